"""Worlds by the thousand: the machine's steps over memory, SQLite and the simulated store, and by Hypothesis.

    python tests/steps.py --steps 1000000 --seed 7

Each world has a seed of its own, `--seed` and up; a law that breaks is told with the script that shows it.
The last line is JSON; exit status 1 if anything was found.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from syncstring.store import Store, open_store
from syncstring.testing.machines import ConvergenceMachine, run_machine
from syncstring.testing.network import World
from syncstring.testing.world import search

A_WORLD = 1_000  # steps
SHARES = {"simulated": 0.82, "memory": 0.14, "sqlite": 0.02, "hypothesis": 0.02}


def sqlite(folder: Path, seed: int) -> World:
    async def client(**options: Any) -> Store:
        return await open_store(str(folder / "worlds.db"), **options)

    return World(seed, store=client)


def lived(make: Callable[[int], World], first: int, steps: int, counts: Counter[str]) -> int:
    """Worlds one after the other; how many steps they lived."""
    done = 0
    while done < steps:
        world = search(lambda seed=first + done // A_WORLD: make(seed), min(A_WORLD, steps - done))  # type: ignore[misc]
        done += min(A_WORLD, steps - done)
        counts.update(world.counts)
        counts.update({f"fault {name}": count for name, count in world.faults.counts.items()})
        counts.update(patches=len(world.made), acknowledged=world.acknowledged.bit_count())
        counts.update(typed=len(world.oracle.letters), loose=len(world.oracle.loose))
    return done


def drawn(first: int, steps: int, counts: Counter[str]) -> int:
    """Steps that Hypothesis draws, in runs of 50."""
    taken = 0

    class Counted(ConvergenceMachine):
        def _do(self, name: str, *args: Any) -> None:
            nonlocal taken
            taken += 1
            super()._do(name, *args)

    while taken < steps:
        run_machine(Counted, examples=100, steps=50, seed=first)
        first += 1
    return taken


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--steps", type=int, default=100_000)
    arguments.add_argument("--seed", type=int, default=None)
    arguments.add_argument("--json", action="store_true", help="what it prints anyway")
    given = arguments.parse_args()
    seed = random.SystemRandom().randrange(1 << 30) if given.seed is None else given.seed
    counts: Counter[str] = Counter()
    steps: dict[str, int] = {}
    found = ""
    began = time.process_time()
    with tempfile.TemporaryDirectory(prefix="syncstring-steps-") as folder:
        makers: dict[str, Callable[[int, int, Counter[str]], int]] = {
            "simulated": lambda first, some, counts: lived(World, first, some, counts),
            "memory": lambda first, some, counts: lived(
                lambda s: World(s, faults=False), first, some, counts
            ),
            "sqlite": lambda first, some, counts: lived(
                lambda s: sqlite(Path(folder), s), first, some, counts
            ),
            "hypothesis": drawn,
        }
        for name, share in SHARES.items():
            try:
                steps[name] = makers[name](seed, max(1, round(given.steps * share)), counts)
            except Exception as error:
                found = f"{name}: {type(error).__name__} {error}"
                print(found, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
                break
    figures = {
        "seed": seed,
        "steps": steps,
        "total": sum(steps.values()),
        "counts": dict(counts.most_common()),
        "found": found,
        "cpu": round(time.process_time() - began, 1),
    }
    print(json.dumps(figures))
    return 1 if found else 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # SQLite's threads have nothing left to say
