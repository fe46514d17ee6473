from typing_extensions import disjoint_base

from syncstring._entries import Entries

__all__ = ["EventLog"]

@disjoint_base
class EventLog(Entries):
    """What is asked about events, by number or id. Costs are O(1) unless a method says otherwise, but that
    what is folded may have to be unfolded, which is O(n)."""

    @property
    def misfits(self) -> list[int]:
        """Events judged not to fit, in the order of judging."""
    def __len__(self) -> int: ...
    def find(self, time: int, session: str) -> int:
        """The event with that id, or -1. O(log n)."""
    def lane(self, session: str) -> list[int]:
        """The events of one session, ascending by time."""
    def id_of(self, event: int) -> tuple[int, str]: ...
    def time_of(self, event: int) -> int: ...
    def wall_of(self, event: int) -> int: ...
    def author_of(self, event: int) -> str: ...
    def message_of(self, event: int) -> str | None: ...
    def parents_of(self, event: int) -> tuple[int, ...]: ...
    def hash_of(self, event: int) -> int:
        """The 64 bits by which people call the event's version; FORMAT.md gives the function."""
    def ops_of(self, event: int) -> tuple[int | str, ...]:
        """The event's delta, as it was given."""
    def text_range(self, event: int) -> tuple[int, int]:
        """Where in the pool the event's inserted text lies: [start, stop)."""
    def totals(self, event: int) -> tuple[int, int, int]:
        """Code points inserted, deleted and consumed by the event's delta."""
    def size_of(self, event: int) -> int:
        """The length of the text at the event's own version, or -1 if nobody asked yet."""
    def size_before(self, event: int) -> int:
        """The length of the text of a judged event's parents."""
    def judge(self, event: int, before: int) -> bool:
        """Give the verdict on an event whose parents' text has `before` code points: does it fit?"""
    def is_misfit(self, event: int) -> bool: ...
    def check_events(self) -> None:
        """Derive the index and the ranges from scratch and compare. O(n log n)."""
