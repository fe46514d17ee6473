from typing_extensions import disjoint_base

from syncstring._graph import EventGraph

__all__ = ["Walked"]

@disjoint_base
class Walked:
    """Which events a walk has taken in, and which versions it is at: see the source for what the walker does
    with it. To Python it shows how far it is."""

    @property
    def graph(self) -> EventGraph: ...
    @property
    def base(self) -> int: ...
    @property
    def walked(self) -> int: ...
    @property
    def moves(self) -> int:
        """Events looked at on the way from version to version, and retreated from or advanced over."""
