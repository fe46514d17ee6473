from typing import Self, final

from syncstring._graph import EventGraph
from syncstring._text import SpliceLog, TextBuffer
from syncstring._walker import Walker

__all__ = ["Script", "Weave", "put_own", "replay_linear"]

def put_own(graph: EventGraph, event: int, log: SpliceLog) -> None:
    """Append an event's own splices to a log: right where its parents' text is what they meet."""

def replay_linear(graph: EventGraph, first: int, last: int, buffer: TextBuffer) -> None:
    """Judge the linear events [first, last), the first on the text in the buffer, and do there what they do.

    Without a log on the way: that of a long history takes far more memory than its text, and twice the time.
    `IndexError` if they are for another text. Where memory runs out, the buffer is left on the way. About
    9 ns each.
    """

@final
class Weave:
    """What a walker has walked: the events [walker.base, last), all of them."""

    @property
    def graph(self) -> EventGraph: ...
    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...
    @property
    def base_size(self) -> int: ...
    @property
    def pieces(self) -> int: ...
    def __new__(cls, walker: Walker) -> Self: ...
    def __len__(self) -> int: ...
    def between(self, a: bytes | bytearray, b: bytes | bytearray, log: SpliceLog) -> None:
        """Append the splices from one version's text to another's. O(pieces and deletions).

        Versions are masks over the events from `first` on; events beyond a mask's end are not in it.
        """
    def runs(self, mask: bytes | bytearray) -> list[tuple[int, int, int]]:
        """What a version shows, as (event, start, length) in order; event -1: `start` in the base text,
        otherwise `start` in the pool."""
    def rows(self) -> list[tuple[int, int, int, tuple[int, ...]]]:
        """Every piece as (event, start, length, deleting events), in order."""

@final
class Script:
    """The splices from version to version, in time order, of a prefix of the history."""

    @property
    def graph(self) -> EventGraph: ...
    @property
    def log(self) -> SpliceLog: ...
    @property
    def length(self) -> int: ...
    def __new__(cls, graph: EventGraph) -> Self: ...
    def __len__(self) -> int: ...
    def size_at(self, n: int) -> int:
        """Code points of version n's text."""
    def ends(self, n: int) -> int:
        """How many splices lead from the empty text to version n."""
    def splices(self, n: int) -> list[tuple[int, int, str]]:
        """The splices from version n - 1 to version n, as tuples."""
    def counts(self, n: int) -> tuple[int, int]:
        """How many code points version n inserted and deleted, compared with version n - 1."""
    def replay(self, buffer: TextBuffer, a: int, b: int) -> None:
        """Turn version a's text, in the buffer, into version b's, a <= b.

        Where memory runs out, the buffer is left on the way from one to the other.
        """
    def truncate(self, n: int) -> None:
        """Forget the versions after n."""
    def extend_linear(self, first: int, last: int) -> None:
        """Append the linear events [first, last), where `first` is the length so far."""
    def extend_woven(self, weave: Weave) -> None:
        """Append a bubble's versions in time order. O(p log p) for p pieces and deletions."""
