"""The times of patches: a hybrid logical clock, over a clock that is passed in.

The law of this room. A time is above every time that its author knew, so no clock can put a patch before what
it stands on; and close to what the clock says, cut to milliseconds, where that is sane. A clock may stand
still, jump and go back. From the year 2112 on, times only count up: nobody follows a clock beyond that.
Source: Kulkarni and others, "Logical Physical Clocks", OPODIS 2014.

It reads no clock but the ones it is given, and knows no documents.
"""

from __future__ import annotations

from collections.abc import Callable

from syncstring.errors import PatchError
from syncstring.patch import MAX_TIME, MAX_TIME_STEP, MIN_WILD_TIME

__all__ = ["Clocks", "time_above"]


class Clocks:
    """The shared clock and the author's own, the same where `wall` is None: microseconds since the epoch."""

    def __init__(self, clock: Callable[[], int], wall: Callable[[], int] | None) -> None:
        if not callable(clock) or not (wall is None or callable(wall)):
            raise PatchError(
                f"clock is {clock!r:.40}, wall {wall!r:.40}; they are functions without arguments"
            )
        self._clock = clock
        self._wall = wall

    def read(self) -> tuple[int, int]:
        """What both say: one reading for a call, however many patches it makes. `PatchError` for no int."""
        time = _asked("clock", self._clock)
        wall = time if self._wall is None else _asked("wall", self._wall)
        time = min(time, MIN_WILD_TIME - 1)
        return time - time % 1_000, max(0, min(wall, MAX_TIME))


def _asked(name: str, clock: Callable[[], int]) -> int:
    time = clock()
    if type(time) is not int:
        raise PatchError(f"{name}() gives {time!r:.40}; it gives microseconds since the epoch, as an int")
    return time


def time_above(present: int, known: int, parents: int, taken: Callable[[int], bool]) -> int:
    """The time of a patch made at `present`, where `known` is the greatest time known and `parents` that of
    its parents. `taken` says whether this session has a patch of that time."""
    time = max(present, known + 1)
    most = max(MIN_WILD_TIME - 1, parents + MAX_TIME_STEP)
    if time > most:  # the edit is of a version before somebody's clock ran wild
        time = most
        while taken(time):
            time -= 1
    return time
