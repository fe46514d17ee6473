from typing_extensions import disjoint_base

__all__ = ["SpanList"]

@disjoint_base
class SpanList:
    """Spans of characters in document order, in one or more columns of states: see the source for what
    other kernels do with it. To Python it shows its size and what it has cost."""

    @property
    def spans(self) -> int: ...
    @property
    def columns(self) -> int: ...
    @property
    def steps(self) -> int:
        """Slots and words looked at: what tests of growth count."""
    def __len__(self) -> int: ...
    def check(self) -> None:
        """Derive sums, links and the index from the spans themselves and compare. O(n)."""
