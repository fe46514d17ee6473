"""One fresh seed for a whole run of the tests: told in its first lines, given again by $SYNCSTRING_SEED."""

from __future__ import annotations

import os
import random

NAME = "SYNCSTRING_SEED"


def draw() -> None:
    """Choose it, once, before any worker starts: they inherit it."""
    os.environ.setdefault(NAME, str(random.SystemRandom().randrange(1 << 30)))


def fresh() -> int:
    """The run's seed: below 2^30."""
    draw()
    return int(os.environ[NAME])
