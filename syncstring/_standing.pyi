from collections.abc import Iterable
from typing import final

from syncstring._weave import Weave

__all__ = ["Stretches"]

@final
class Stretches:
    """What is known to stand for what, event by event, ascending; and which event took back which."""

    @property
    def looked_at(self) -> int:
        """Pieces, stretches and single code points looked at so far: what tests of growth count."""
    def __len__(self) -> int: ...
    def stand(self, event: int, begin: int, stop: int, at: int, length: int, deleter: int, nth: int) -> None:
        """Of the event's text, which is [begin, stop) of the pool, `length` code points from `at` on stand
        for what another deleted, from its nth on. `ValueError` after a later event. O(1) amortised."""
    def took(self, event: int, taken: int) -> None:
        """The event took that one back. `ValueError` after a later event. O(1) amortised."""
    def reach(self, oldest: int) -> int:
        """How far to look back from there so as to see what came back since stands for. O(stretches
        since)."""
    def follow(
        self, weave: Weave, mine: Iterable[int], known: bytes | bytearray
    ) -> tuple[list[int | None], list[tuple[bool, int, int, int, int]]]:
        """What becomes of everything in the weave, which reaches back as far as `reach` says, if the events
        `mine` are taken back; `known` is a mask over its events: which knew any of them, and aren't of them.

        The operations are returned, None for each stretch that comes back, and these: (whether it is base
        text, where it starts in that or in the pool, length, the event that deleted it, how many code points
        that one deleted before it). O(pieces and stretches, and code points that stand for others or that
        others stand for).
        """
