from collections.abc import Callable
from typing import final

__all__ = ["Clocks", "time_above"]

@final
class Clocks:
    """The shared clock and the author's own, the same where `wall` is None: microseconds since the epoch."""

    _clock: Callable[[], int]
    _wall: Callable[[], int] | None

    def __init__(self, clock: Callable[[], int], wall: Callable[[], int] | None) -> None: ...
    def read(self) -> tuple[int, int]:
        """What both say: one reading for a call, however many patches it makes. `PatchError` for no int."""

def time_above(present: int, known: int, parents: int, taken: Callable[[int], bool]) -> int:
    """The time of a patch made at `present`, where `known` is the greatest time known and `parents` that of
    its parents. `taken` says whether this session has a patch of that time."""
