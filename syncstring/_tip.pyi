from typing import Self, final

from syncstring._graph import EventGraph
from syncstring._text import SpliceLog, TextBuffer
from syncstring._walker import Walker

__all__ = ["Tip"]

@final
class Tip:
    """The text of everything, kept current event by event: what a live document holds.

    A remote event costs about its own size: walkers are kept between calls, so that neither a bubble that
    stays open nor a late event is walked anew each time. There are O(log n) of them, each from a base that
    is about twice as far back as that of the next but one.
    """

    @property
    def graph(self) -> EventGraph: ...
    buffer: TextBuffer
    taken: int
    """How many events the buffer's text is of."""
    @property
    def kept(self) -> tuple[Walker, ...]:
        """The walkers."""
    @property
    def steps(self) -> int:
        """What tests of growth count: events taken in or walked again, and what walkers did for them."""
    def __new__(cls, graph: EventGraph) -> Self: ...
    def advance(self) -> SpliceLog:
        """Take in every event that the graph has got since the last call.

        The splices returned, in order, turn the buffer's text before the call into its text after it; what is
        typed or deleted in a row is one. Where memory runs out, nothing was taken in.
        """
    def begin(self, taken: int = 0, text: str = "") -> None:
        """`advance` for the first time, where nobody asks what it did: a chain that the history begins with
        is replayed without a log, in a quarter of the time. Where the text of a critical prefix is known, of
        `taken` events, only what comes after it is; `IndexError` if that is none. Where memory runs out,
        `taken` tells how far."""
    def show(self, log: SpliceLog) -> None:
        """Do to the buffer what `ahead` found, the graph being what it was then. All or nothing."""
    def ahead(self) -> SpliceLog:
        """What `advance` would do, and hasn't done yet."""
    def took(self, event: int, taken: int, before: int) -> None:
        """Count the newest event as taken in, which makes `taken` of them: its author saw everything, and the
        buffer, whose text had `before` code points, was edited already. Takes no memory."""
    def drop_caches(self) -> None:
        """Forget the walkers."""
