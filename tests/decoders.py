"""Feed every decoder with what it never asked for: valid input, bent.

    python tests/decoders.py --seed 7 --inputs 10000000 [--target NAME] [--minutes M] [--atheris] [--json]

The decoders stand in `decoder_targets.py`, how inputs are made in `bending.py`. An input is found if it ends
in an error that its target doesn't name or in a failed comparison, or takes more than a second of CPU or
512 MiB of memory. It is printed on stderr with its traceback and kept nowhere; what it shows becomes a named
test in `test_decoders.py`.

Nothing is needed but this package; with `--atheris` libFuzzer chooses what is bent by the lines that it
reaches. Each target has a process of its own. Prints one line of JSON; exits with 1 if anything was found.
"""
from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NoReturn

from bending import LONGEST, Bender
from decoder_targets import TARGETS, Target, Unfit

SLOW: Final = 1.0  # seconds of CPU for one input
ROOM: Final = 512 << 20  # bytes beyond what is there at the start
ENDLESS: Final = 60  # seconds of CPU after which an input is given up, and its target too
LAST: Final = "last-input"  # the file that tells what a process died of



class Stuck(BaseException):
    """An input that takes far too long, ended by a signal."""


@dataclass
class Tally:
    """What came of a target's inputs."""

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    found: dict[str, str] = field(default_factory=dict)
    """What went wrong, told once for each place where it did."""
    count: int = 0
    """How often."""
    stuck: bool = False
    slowest: float = 0.0
    seconds: float = 0.0
    """Of CPU."""

    def wrong(self, data: bytes, error: BaseException) -> None:
        self.count += 1
        last = traceback.extract_tb(error.__traceback__)[-1:]
        where = f"{type(error).__name__} {[(each.name, each.lineno) for each in last]}"
        if where not in self.found and len(self.found) < 20:
            trace = "".join(traceback.format_exception(error)) if error.__traceback__ else f"{error}\n"
            self.found[where] = f"{data!r}\n{trace}"

    def to_json(self) -> dict[str, Any]:
        rate = round(self.inputs / self.seconds) if self.seconds else 0
        return {
            "inputs": self.inputs,
            "accepted": self.accepted,
            "refused": self.refused,
            "found": self.count,
            "slowest": round(self.slowest, 3),
            "per_second": rate,
        }


def one(of: Target, data: bytes, tally: Tally, slow: float = SLOW) -> bool:
    """Give an input to its target and judge what comes; whether it was taken."""
    tally.inputs += 1
    taken = False
    begun = time.process_time()
    try:
        of.run(data)
        taken = True
        tally.accepted += 1
    except (Unfit, *of.says):
        tally.refused += 1
    except (Exception, Stuck) as error:
        tally.wrong(data, error)
        tally.stuck = isinstance(error, Stuck)
    took = time.process_time() - begun
    if took > tally.slowest:
        tally.slowest = took
        if took > slow:
            tally.wrong(data, RuntimeError(f"{of.name} took {took:.1f} s"))
    return taken


def drive(
    of: Target,
    seed: int,
    inputs: int,
    until: float = float("inf"),
    slow: float = SLOW,
    note: Callable[[bytes], None] | None = None,
) -> Tally:
    """Give a target so many inputs, by the clock `until` at most. With `note`, which is told each of them
    before, a signal ends what has no end."""
    tally = Tally()
    bender = Bender(of, random.Random(f"{seed} {of.name}"))
    for data in bender.seeds:
        one(of, data, tally, slow)
    begun = time.process_time()
    first = _most()
    while tally.inputs < inputs and time.monotonic() < until and not tally.stuck:
        if note is not None:
            signal.setitimer(signal.ITIMER_VIRTUAL, ENDLESS)
        for _ in range(min(500, inputs - tally.inputs)):
            data = bender.input()
            if note is not None:
                note(data)
            if one(of, data, tally, slow):
                bender.took(data)
            elif tally.stuck:
                break
        if _most() - first > ROOM:
            tally.wrong(data, MemoryError(f"{_most() - first >> 20} MiB more, here or just before"))
            first = _most()
    if note is not None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    tally.seconds = time.process_time() - begun
    return tally


def _most() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)


def _limit_memory() -> None:
    """Have whoever takes too much fail at once, where it does."""
    with open("/proc/self/statm") as file:
        there = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (there + ROOM, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _stuck(*_: object) -> NoReturn:
    raise Stuck(f"{ENDLESS} s and no end")


def share(inputs: int) -> dict[str, int]:
    whole = sum(each.weight for each in TARGETS.values())
    return {name: max(1, round(inputs * each.weight / whole)) for name, each in TARGETS.items()}


def _child(name: str, seed: int, inputs: int, minutes: float, guided: bool) -> int:
    """Drive one target in this process, in an empty folder; its line of figures."""
    of = TARGETS[name]
    with open(LAST, "w+b") as file:
        file.write(bytes(8 * LONGEST))
        file.flush()
        shared = mmap.mmap(file.fileno(), 0)

    def note(data: bytes) -> None:
        shared[:4] = len(data).to_bytes(4, "big")
        shared[4 : 4 + len(data)] = data

    if not guided:
        signal.signal(signal.SIGVTALRM, _stuck)
        if sys.platform.startswith("linux"):
            _limit_memory()
        return _told(drive(of, seed, inputs, time.monotonic() + 60 * minutes, note=note))
    import atheris

    bender = Bender(of, random.Random(f"{seed} {name}"))
    tally = Tally()
    begun = time.monotonic()

    def call(data: bytes) -> None:
        note(data)
        one(of, data, tally)
        if tally.inputs >= inputs or (tally.inputs % 100 == 0 and time.monotonic() > begun + 60 * minutes):
            tally.seconds = time.process_time()
            os._exit(_told(tally))  # libFuzzer never comes back

    def bend(data: bytes, most: int, draw: int) -> bytes:
        bender.draw = random.Random(draw).random
        known = data if data and draw % 8 else bender.seed()
        bent = atheris.Mutate(known, most) if draw % 3 == 0 else bender.bent(known)
        return bytes(bent[:most])

    options = [f"-seed={seed & 0x7FFFFFFF or 1}", f"-max_len={4 * LONGEST}", "-rss_limit_mb=2048"]
    options += [f"-timeout={ENDLESS}", "-verbosity=0", "-exact_artifact_path=/dev/null", "seeds"]
    os.mkdir("seeds")
    for number, data in enumerate(bender.seeds):
        Path("seeds", str(number)).write_bytes(data)
    atheris.Setup([sys.argv[0], *options], call, custom_mutator=bend)
    atheris.Fuzz()
    raise AssertionError("libFuzzer came back")


def _told(tally: Tally) -> int:
    for found in tally.found.values():
        print(found, file=sys.stderr, flush=True)
    print(json.dumps(tally.to_json()), flush=True)
    return 1 if tally.count else 0


# Whatever is imported by then is no longer looked into.
_GUIDED = """
import sys, atheris
sys.path.insert(0, {here!r})
with atheris.instrument_imports(include=["syncstring"]):
    import decoders
sys.exit(decoders.main())
"""


def _apart(name: str, seed: int, inputs: int, minutes: float, guided: bool) -> dict[str, Any]:
    """The figures of a target that is driven in a process of its own."""
    here = str(Path(__file__).resolve().parent)
    program = ["-c", _GUIDED.format(here=here)] if guided else [str(Path(here, "decoders.py"))]
    wishes = {"target": name, "seed": seed, "inputs": inputs, "minutes": minutes}
    options = ["--child", *(f"--{key}={value}" for key, value in wishes.items()), *["--atheris"][: guided]]
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # some decoders want files, synced
    with tempfile.TemporaryDirectory(prefix="syncstring-decoders-", dir=memory) as folder:
        # Arenas: each new thread would reserve memory of its own, which counts against the limit.
        environment = {**os.environ, "TMPDIR": folder, "PYTHONFAULTHANDLER": "1", "MALLOC_ARENA_MAX": "2"}
        done = subprocess.run(
            [sys.executable, *program, *options],
            cwd=folder, env=environment, capture_output=True, check=False, text=True, errors="replace",
        )  # fmt: skip
        if done.returncode:
            print(done.stderr, end="", file=sys.stderr)
        try:
            figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        except (IndexError, ValueError):
            last = Path(folder, LAST).read_bytes() if Path(folder, LAST).exists() else bytes(4)
            last = last[4 : 4 + int.from_bytes(last[:4], "big")]
            print(f"{name}: its process ended with {done.returncode}, at or after {last!r}", file=sys.stderr)
            figures = {"inputs": 0, "accepted": 0, "refused": 0, "found": 1}
    return figures


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--inputs", type=int, default=100_000, help="of all targets together")
    arguments.add_argument("--seed", type=int, default=None)
    arguments.add_argument("--minutes", type=float, default=60.0)
    arguments.add_argument("--target", choices=sorted(TARGETS), help="this one alone")
    arguments.add_argument("--atheris", action="store_true", help="guided by coverage, if atheris is there")
    arguments.add_argument("--json", action="store_true", help="what it prints anyway")
    arguments.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    seed = random.SystemRandom().randrange(1 << 31) if given.seed is None else given.seed
    if given.child:
        return _child(given.target, seed, given.inputs, given.minutes, given.atheris)
    if given.atheris and find_spec("atheris") is None:
        arguments.error("atheris is not installed; `pip install atheris`, or leave --atheris out")
    shares = {given.target: given.inputs} if given.target else share(given.inputs)
    end = time.monotonic() + 60 * given.minutes
    figures: dict[str, Any] = {}
    for name, inputs in shares.items():
        # Few targets take as long as they may: each may take three times its part of what is left.
        left = max(0.02, (end - time.monotonic()) / 60)
        most = left * min(1.0, 3 / (len(shares) - len(figures)))
        figures[name] = _apart(name, seed, inputs, most, given.atheris)
    found = sum(each["found"] for each in figures.values())
    total = sum(each["inputs"] for each in figures.values())
    told = {"seed": seed, "inputs": total, "found": found, "guided": given.atheris, "targets": figures}
    print(json.dumps(told))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
