"""How long whole processes take, from beginning to end."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from statistics import median
from typing import Any

STARTS = 5


def started(contender: Any) -> dict[str, float]:
    """CPU seconds by name: an interpreter that does nothing, and each of the contender's own commands."""
    commands = {"interpreter": ["-c", ""], **contender.COMMANDS}
    return {name: median(_cpu(arguments) for _ in range(STARTS)) for name, arguments in commands.items()}


def _cpu(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
        env=os.environ,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
