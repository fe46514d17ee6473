from typing_extensions import disjoint_base

from syncstring._pool import TextPool

__all__ = ["Entries"]

@disjoint_base
class Entries:
    """Append-only columns of events. Costs are O(1) amortised unless a method says otherwise."""

    @property
    def pool(self) -> TextPool: ...
    @property
    def length(self) -> int: ...
    @property
    def folded(self) -> int:
        """How many events have no entries in the columns: the first ones."""
