"""How often what goes wrong in a simulated world.

The law of this room. What can go wrong is what `backends.memory.Faults` can do; here stands how often it does
in a world that says nothing of its own: often enough that a hundred worlds meet all of it, seldom enough that
something is done in between. Overflow comes of short queues, a freeze of a task that doesn't go on for long.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

__all__ = ["FAULTS", "taste"]

FAULTS: Final[Mapping[str, float]] = {
    "lost_before": 0.03,
    "lost_after": 0.08,
    "lost_late": 0.06,
    "stale": 0.6,
    "late": 0.3,
    "twice": 0.1,
    "gap": 0.03,
    "ghost": 0.8,
}
"""How often what goes wrong, from 0 to 1 (see `Faults`), on the whole; each world has its own taste."""


def taste(seed: int) -> dict[str, float]:
    """What goes wrong in one world: some of it often, some never."""
    chance = random.Random(f"faults {seed}")
    return {name: min(1.0, usual * chance.choice((0, 0.5, 1, 1, 4))) for name, usual in FAULTS.items()}
