from collections.abc import Iterable, Sequence
from typing import final

from syncstring._events import EventLog

__all__ = ["EventGraph"]

@final
class EventGraph(EventLog):
    """Events and what follows from their parents. Costs are O(1) amortised unless a method says otherwise."""

    def append(
        self,
        time: int,
        session: str,
        parents: Sequence[int],
        ops: tuple[int | str, ...],
        author: str,
        wall: int,
        message: str | None = None,
    ) -> int:
        """Append one event; its number is returned. `parents` are events, ascending; `ops` a delta."""
    @property
    def heads(self) -> tuple[int, ...]:
        """The heads of everything, ascending."""
    def critical_floor(self, prefix: int) -> int:
        """The greatest critical prefix of at most `prefix` events. O(log n)."""
    def critical_ceiling(self, prefix: int) -> int:
        """The least critical prefix of at least `prefix` events. O(log n)."""
    def linear_until(self, prefix: int) -> int:
        """How far a linear stretch reaches from a prefix, if that is critical; else the prefix. O(log n)."""
    def prefix_heads(self, prefix: int) -> tuple[int, ...]:
        """The heads of a critical prefix."""
    def stretches(self, start: int, stop: int) -> list[tuple[int, int, bool]]:
        """Cut [start, stop), both critical, into linear stretches and bubbles: (first, last, linear)."""
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
    def greatest_time(self) -> int:
        """The greatest time of any event, 0 if there is none. O(heads)."""
    def check(self) -> None:
        """Derive heads, criticals and the time order from scratch and compare. O(n^2): for tests."""
