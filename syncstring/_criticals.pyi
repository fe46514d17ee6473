from collections.abc import Sequence

from typing_extensions import disjoint_base

from syncstring._events import EventLog

__all__ = ["Criticals"]

@disjoint_base
class Criticals(EventLog):
    """Events with what follows from their parents as they come. Costs are O(1) amortised unless a method says
    otherwise."""

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
    def fold_before(self, prefix: int) -> bool:
        """Fold the events before a critical prefix, and none of what follows; whether more is folded now.

        Not where verdicts are missing, or times don't ascend with arrival within a session. O(those).
        """
    def greatest_time(self) -> int:
        """The greatest time of any event, 0 if there is none. O(heads)."""
