from typing import Any

from typing_extensions import disjoint_base

from syncstring._graph import EventGraph
from syncstring._values import Patch
from syncstring.rules import Id

__all__ = ["Placed"]

@disjoint_base
class Placed:
    """What a `History` holds; and the straight way in, for new patches whose parents are here."""

    graph: EventGraph
    base: Any
    read_only: bool
    """Whether something of a later format was given; see `unsupported`."""
    _parked: dict[Id, Patch]
    _waiting: dict[Id, list[Id]]
    _losers: dict[Id, set[bytes]]
    _settled: set[Id]
    _placing: list[Patch] | None

    def place_all(self, patches: list[Patch], placed: list[Patch], first: int = 0) -> int:
        """Place patches from `first` on, in the order given, up to one that takes more: an unknown parent,
        another content, somebody who waits. Its place in the list is returned; those that are new are
        appended to `placed`."""
