"""What a session has from outside: the time, and chance.

The law of this room. A name is drawn from a source that forked processes don't share, so nobody had it
before; a clock never goes back. Everything below is given these, and reads neither.
"""

from __future__ import annotations

import secrets
import time

__all__ = ["StoreClock", "about", "fresh_key", "fresh_session"]


def fresh_key() -> str:
    """40 random hex digits."""
    return secrets.token_hex(20)


def fresh_session() -> str:
    """A session id that nobody had before: 12 random characters of 0-9a-z."""
    number = secrets.randbelow(36**12)  # drawn once: each draw asks the system
    return "".join("0123456789abcdefghijklmnopqrstuvwxyz"[number // 36**i % 36] for i in range(12))


def about(pause: float) -> float:
    """A pause of that order: who failed at the same moment doesn't try again at the same moment."""
    return pause * (0.5 + secrets.randbelow(1_000) / 1_000)


class StoreClock:
    """The store's clock, as read once, carried on by our own that never goes back. Until then, our own."""

    def __init__(self) -> None:
        self._began = time.monotonic_ns()
        self._then = time.time_ns() // 1_000

    def learn(self, now: int) -> None:
        """The store's clock says this."""
        self._began, self._then = time.monotonic_ns(), now

    def __call__(self) -> int:
        return self._then + (time.monotonic_ns() - self._began) // 1_000
