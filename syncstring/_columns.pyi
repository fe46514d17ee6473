from collections.abc import Callable

from syncstring._graph import EventGraph
from syncstring._text import TextBuffer

__all__ = ["read_columns"]

def read_columns(
    graph: EventGraph,
    known: bytes,
    rest: bytes | None = None,
    *,
    stubs: bool = False,
    vet: Callable[[int], object] | None = None,
    text: TextBuffer | None = None,
) -> int:
    """Append a pack's patches to a graph, from its sections' bytes; the first event is returned.

    `known` is the section with ids and parents, `rest` all else; without it the patches are empty ones.
    Parents outside of the pack must be in the graph; with `stubs` they are appended first, as empty events.
    `vet(event)` is asked of events whose rows may be too long, when all is in place, and may raise.
    With a `text`, an empty one, a long chain that begins a history may be left as it lies, its first events
    folded; where some are, `text` is the one after it.
    `ValueError` says what is wrong with the sections; `LookupError` that a parent isn't here. Then, and where
    memory runs out, the graph is as it was, stubs apart.
    """
