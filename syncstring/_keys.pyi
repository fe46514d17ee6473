from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakSet

from typing_extensions import disjoint_base

from syncstring._clock import Clocks
from syncstring._patch import Splice
from syncstring._tip import Tip
from syncstring._values import Patch
from syncstring.rules import Id

__all__ = ["Keys"]

@disjoint_base
class Keys:
    """What a document does at every keystroke, its own and others'."""

    history: Any  # a `History`, by what it holds
    session: str
    author: str
    size_limit: int
    outgoing: list[Patch]
    """Every patch made here that nobody took yet, parents first. Whoever sends them takes them out."""
    _tip: Tip
    _clocks: Clocks
    _last: int
    _closed: Any
    _early: Patch | None
    _seen: tuple[int, ...] | None
    _text: str | None
    _next: Any
    _cursors: WeakSet[Any]
    _pointing: bool
    _redos: list[tuple[Id, ...]]
    _pending: list[Splice]
    _undos: list[tuple[Id, ...]]

    def splice(self, pos: int, delete: int, insert: str) -> None:
        """Replace the `delete` code points at `pos` by `insert`. Not yet committed.

        `PatchError` if that lies outside the text, for a lone surrogate, and where the document would
        outgrow its limit; `UnsupportedVersion` if a later format's patches were met.
        """
    def commit(self, message: str | None = None) -> Patch | None:
        """Make a patch of what was edited since the last call; None if nothing changed.

        Where `receive` had to commit it before, that patch is returned, or, with a message, an empty one that
        bears it. What exceeds one row becomes a chain of patches, of which the last is returned and bears the
        message. `PatchError` for a bad message or clock. O(n log n) for n splices.
        """
    def commit_each(self, splices: Iterable[Sequence[Any]]) -> list[Patch]:
        """`splice` and `commit` for each of these, in order: each is a patch of its own, all at one reading
        of the clock. What is uncommitted is committed first. The patches are returned, none for a splice of
        nothing.

        Where one raises, those before it are made, and `outgoing`; so don't make the same call again. Of
        itself nothing is done, unless memory ran out: then it may be uncommitted. Raises what `splice` and
        `commit` do, and `PatchError` for what is no splice.
        """
    def receive(self, patches: Iterable[Patch | Mapping[str, Any]], stored: bool = False) -> list[Splice]:
        """Take in patches (or rows) in any order, known ones too; what the editor must apply, in order, is
        returned. What was typed or deleted in a row is one splice there, whoever did it in how many patches.

        What is uncommitted is committed before anything new comes in, on what its author saw: carried over
        others' edits it would forget which deleted characters it stood beside. A patch with an unknown
        parent is parked. What is malformed, conflicting or of a later format is no exception, but one of
        `problems`. `PatchError` only for what is neither patch nor row. With `stored`, they are surely in
        the store, whose contents win every conflict. After a `MemoryError`, `receive(())` is enough to be
        told what became of the patches that were taken in.
        """
