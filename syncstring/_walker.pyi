from collections.abc import Iterable
from typing import Self, final

from syncstring._fugue import FugueList
from syncstring._graph import EventGraph
from syncstring._text import SpliceLog
from syncstring._walked import Walked

__all__ = ["Walker"]

@final
class Walker(Walked):
    """Replays events from a critical version on, and says what each does to the merged text."""

    @property
    def list(self) -> FugueList: ...
    @property
    def size(self) -> int:
        """The length of the merged text."""
    @property
    def spans(self) -> int: ...
    @property
    def columns(self) -> int: ...
    @property
    def steps(self) -> int:
        """Slots and words looked at, and events moved: what tests of growth count."""
    def __new__(cls, graph: EventGraph, base: int, base_size: int, stop: int = 0) -> Self:
        """Start at the critical prefix of `base` events, whose text has `base_size` code points; there is
        room for what the events up to `stop` insert."""
    def walk(self, event: int, out: SpliceLog | None = None) -> None:
        """Take in one event whose parents were; append what it does to the merged text to `out`.

        Where memory runs out on the way, the walker is back at its base and has walked nothing.
        """
    def walk_all(self, events: Iterable[int], out: SpliceLog | None = None) -> None:
        """`walk` for each of them."""
    def check(self) -> None:
        """Derive from scratch what is kept, and compare. O(n^2): for tests."""
