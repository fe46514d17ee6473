from collections.abc import Iterable
from typing import final

from syncstring._criticals import Criticals

__all__ = ["EventGraph"]

@final
class EventGraph(Criticals):
    """Events and what follows from their parents. Costs are O(1) amortised unless a method says otherwise."""

    def members(self, heads: Iterable[int], floor: int) -> bytearray:
        """The version with these heads as a mask over the events from `floor` on. O(events between)."""
    def difference(self, a: Iterable[int], b: Iterable[int]) -> tuple[list[int], list[int]]:
        """Two versions, by their heads: the events only in `a`, only in `b`, both descending."""
    def dominators(self, events: Iterable[int]) -> tuple[int, ...]:
        """The heads of the version that these events and their ancestors make, ascending."""
    def event_at(self, place: int) -> int:
        """The event at a place (from 0) of the time order."""
    def place_of(self, event: int) -> int:
        """The event's place (from 0) in the time order."""
    def order_until(self, prefix: int) -> memoryview[int]:
        """The first `prefix` events in time order, as a copy: a view of C ints."""
    def heads_at(self, prefix: int) -> tuple[int, ...]:
        """The heads of the first `prefix` events in time order. O(the bubble it lies in)."""
    def count_until(self, time: int) -> int:
        """How many events have a time of at most `time`: the length of that prefix. O(log n)."""
    def check(self) -> None:
        """Derive heads, criticals and the time order from scratch and compare. O(n^2): for tests."""
