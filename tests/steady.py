"""A clock that stands still while the machine does: for what has to end within a limit of its own.

A machine that is shared stops everything on it for seconds at times, and whoever measures a wait then
measures that. A thread here sleeps for a tick again and again; what it sleeps too long, the whole process
stood still, and that isn't counted. What waits too long by itself stops no other thread, and is counted in
full. It doesn't see what keeps the interpreter's lock, and isn't meant for work: that is counted, not timed.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

TICK = 0.05


class Steady:
    """A context manager, within which the clock goes."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._last = (0.0, time.monotonic())
        """Seconds that were slept too long in all ticks before this one, and when this one began: one value,
        so that whoever looks meanwhile sees both."""
        self._thread = threading.Thread(target=self._tick, name="steady", daemon=True)

    def __enter__(self) -> Self:
        self._last = (0.0, time.monotonic())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _tick(self) -> None:
        while not self._over.wait(TICK):
            (stood, since), now = self._last, time.monotonic()
            self._last = (stood + too_long(now - since), now)

    def time(self) -> float:
        """Seconds that passed in which this process could go on."""
        (stood, since), now = self._last, time.monotonic()
        return now - stood - too_long(now - since)


def too_long(took: float) -> float:
    """What a tick took beyond itself: being a little late is no stall."""
    return max(0.0, took - 2 * TICK)
