"""Let every single allocation of the compiled core fail, one after the other, and see what is left.

    python tests/allocation.py --seed 7 --json

The law that is tested. An operation that runs out of memory raises `MemoryError` and nothing else; what it
worked on is sound afterwards, and the same call, made again, does what it would have done. Nothing leaks.

How. `_testcapi.set_nomemory` makes allocations of CPython's three domains fail by number; the kernels take
all their memory from these. For every n, each of `operations.py` is tried twice on fresh values: with only
its n-th allocation failing, and with `ALL` from the n-th on. The last n is the first at which an allocation
made after the operation succeeds: so it is known, not guessed, that all were reached. For leaks, the blocks
that CPython counts and the bytes that the C library counts are compared around series of repetitions of each
n: what grows by as much in every series is a leak; what grew once is a cache. `RUNS` more repetitions follow,
with failures and without.

CPython 3.11 has faults of its own then, which are counted apart: it keeps an argument for ever if the cell
can't be made that inner functions read it from, and makes other errors of this one (`is_the_interpreters`).
(It also tries for ever to note where in a long function an exception came from: that is why not all that
follow fail.)

Prints one line of JSON; exits with 1 if anything was found, told on stderr. A crash ends it, and the last
line on stderr says in what.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import gc
import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from operations import NOT_YET, OPERATIONS, Trial

try:
    from _testcapi import remove_mem_hooks, set_nomemory
except ImportError:  # some builds of CPython come without it
    set_nomemory = remove_mem_hooks = None

RUNS: Final = 2_000
REPEATS: Final = 16  # what grows by a block in each of so many is a leak
ALL: Final = 1 << 12
IN_PYTHON: Final = ("History", "Merge", "Document", "Timeline", "pack")  # operations that are mostly so
MEASURING: Final = 3  # blocks that comparing takes


class Outcome(NamedTuple):
    failed: bool
    reached: bool
    """Whether an allocation after the operation was to fail as well: the operation made fewer than n."""
    value: Any


def with_failures(run: Callable[[], Any], start: int, stop: int) -> Outcome:
    """Run with the allocations from `start` (0: the first) up to `stop` failing."""
    failed = reached = False
    value: Any = None
    set_nomemory(start, stop)
    try:
        value = run()
        try:
            bytearray(1)
        except MemoryError:
            reached = True
    except MemoryError:
        failed = True
    finally:
        remove_mem_hooks()
    return Outcome(failed, reached, value)


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def _c_library() -> Callable[[], int] | None:
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError):
        return None
    mallinfo.restype = _Mallinfo

    def held() -> int:
        info = mallinfo()
        return int(info.uordblks + info.hblkhd)

    return held


held = _c_library()
"""Bytes that the C library has handed out; None where it doesn't say (it is glibc's)."""


def memory() -> tuple[int, int]:
    """Blocks that CPython counts, bytes that the C library counts."""
    gc.collect()
    return sys.getallocatedblocks(), held() if held is not None else 0


def growth(again: Callable[[], None], repeats: int) -> tuple[int, int]:
    """By how many blocks and bytes memory grows in so many repetitions."""
    before = memory()
    for _ in range(repeats):
        again()
    after = memory()
    return after[0] - before[0], after[1] - before[1]


class Figures(NamedTuple):
    allocations: int
    tried: int
    raised: int
    leak_runs: int
    interpreter: int
    """Faults that are CPython's own."""


class Found(Exception):
    """Something is wrong."""


def _cells_leak() -> bool:
    """Whether an argument is kept for ever if the cell can't be made that inner functions read it from."""

    def keeps(argument: object) -> Any:
        return lambda: argument

    thing = object()
    before = sys.getrefcount(thing)
    with_failures(lambda: keeps(thing), 0, 1)
    return sys.getrefcount(thing) > before


CELLS_LEAK: Final = set_nomemory is not None and _cells_leak()


def in_the_interpreter(fresh: Callable[[], Trial], n: int) -> bool:
    """Whether allocation n, which fails, is one that CPython makes to run code written in Python, outside of
    any kernel. (Or one beside it: what is kept for later use moves the numbers a little.)"""
    for near in (n, n - 1, n + 1, n - 2, n + 2):
        run = fresh().run
        code = None
        try:
            set_nomemory(max(near, 0), near + 1)
            run()
        except Exception as error:
            remove_mem_hooks()
            trace = error.__traceback__
            while trace is not None:
                code, trace = trace.tb_frame.f_code, trace.tb_next
        finally:
            remove_mem_hooks()
        if code is not None and not code.co_filename.endswith(".pyx"):
            return True
    return False


CALLING = ("Patch.from_row", "Patch.from_bytes", "Patch.to_bytes", "Patch.of_ops", "Keys.commit")
"""Kernels that leave the rest to functions in Python."""


def is_the_interpreters(error: Exception) -> bool:
    """Whether CPython made another error of the one that there was: `_lzma` does, and a call of a function in
    Python whose frame finds no room on the stack says nothing at all."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    kernel = trace is not None and trace.tb_frame.f_code.co_filename.endswith(".pyx")
    if isinstance(error, SystemError):
        # A kernel that calls such a function can but pass on what it got.
        passed = any(f"{name} at" in str(error) for name in CALLING) and "without setting" in str(error)
        return (passed or "without exception set" in str(error)) and not kernel
    return "Invalid filter specifier for LZMA filter" in str(error)


def result(trial: Trial) -> Any:
    return trial.run(), trial.says()


def attempt(
    fresh: Callable[[], Trial], right: Any, start: int, stop: int, name: str, whole: bool
) -> bool | None:
    """One trial, judged by the whole law or without its second half; whether it failed for want of memory.
    None for a fault of CPython's."""
    trial = fresh()
    where = f"{name}, allocation {start} {'alone' if stop == start + 1 else 'and all after it'}"
    try:
        outcome = with_failures(trial.run, start, stop)
    except Exception as error:
        if is_the_interpreters(error):
            return None
        raise Found(f"{where}: {type(error).__name__}: {error} instead of MemoryError") from error
    if not whole:
        return outcome.failed
    if not outcome.failed:
        value = (outcome.value, trial.says())
        if value != right:
            raise Found(f"{where}: it gives another result: {value!r:.300}, not {right!r:.300}")
        return False
    try:
        trial.sound()
    except Exception as error:
        raise Found(f"{where}: what it worked on isn't as before: {type(error).__name__}: {error}") from error
    try:
        again = result(trial)
    except Exception as error:
        raise Found(f"{where}: done again, it raises {type(error).__name__}: {error}") from error
    if again != right:
        raise Found(f"{where}: done again, it gives another result: {again!r:.300}, not {right!r:.300}")
    return True


def allocations(fresh: Callable[[], Trial]) -> int:
    """How many an operation makes. Found by bisection: with all from the n-th on failing, one made after the
    operation succeeds only if n is higher."""
    low, high = 0, 64

    def enough(n: int) -> bool:
        try:
            outcome = with_failures(fresh().run, n, n + ALL)
        except Exception:  # told where all n are tried
            return False
        return not outcome.failed and not outcome.reached

    while not enough(high):
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return low


def leaks(fresh: Callable[[], Trial], numbers: Sequence[int], runs: int, name: str) -> tuple[int, int]:
    """Look for what grows, at each n and over many; how many repetitions were made, how many n left out."""
    done = 0
    excused: set[int] = set()

    def failing(start: int, stop: int) -> Callable[[], None]:
        def again() -> None:
            with suppress(Exception):  # told where it is judged
                with_failures(fresh().run, start, stop)

        return again

    for n in numbers if runs else ():
        for stop in (n + 1, n + ALL):
            again = failing(n, stop)
            again()
            done += 2
            blocks, size = growth(again, 1)
            series = 0
            while (blocks > MEASURING or size > 0) and series < 3:
                # What grows by as much in every series of repetitions is a leak; a cache is full after one.
                blocks, size = growth(again, REPEATS)
                done += REPEATS
                series += 1
                blocks, size = blocks // REPEATS * REPEATS, size // (8 * REPEATS) * REPEATS
                if series == 3 and (blocks or size):
                    if CELLS_LEAK and in_the_interpreter(fresh, n):
                        excused.add(n)
                        break
                    raise Found(
                        f"{name}, allocation {n}: {REPEATS} repetitions leave {blocks} blocks, {size} bytes"
                    )
    turn = itertools.cycle(
        [n for n in (numbers if runs else ()) if not (CELLS_LEAK and in_the_interpreter(fresh, n))]
    )

    def one_of_all() -> None:
        n = next(turn, 1 << 30)
        failing(n, n + 1)()

    def none() -> None:
        with_failures(fresh().run, 1 << 30, 1 << 30)

    # What CPython keeps isn't told apart here; each n was looked at above.
    kinds = (none,) if CELLS_LEAK and name.startswith(IN_PYTHON) else (none, one_of_all)
    for again in kinds if runs else ():
        growth(again, runs // 10 + 1)
        for _ in range(3):
            blocks, size = growth(again, runs)
            done += runs
            # A cache grows by less than one thing in ten runs, and no longer in the second half. Threads
            # allocate, too (64 blocks, seen once); what leaks does so in each try.
            if blocks <= max(runs // 10, 16) + MEASURING and size <= 64 * runs // 10 + (1 << 16):
                break
        else:
            raise Found(f"{name}: {runs} repetitions leave {blocks} blocks, {size} bytes")
    return done, len(excused)


def examine(name: str, seed: int, share: int | None, runs: int, strict: bool = True) -> Figures:
    """One operation: all its allocations, or a share of so many. `Found` for what is wrong."""
    whole = strict or name not in NOT_YET
    make = OPERATIONS[name]
    fresh = make(random.Random(f"{seed} {name}"))
    right = result(fresh())
    for _ in range(3):
        if result(fresh()) != right:
            raise Found(f"{name}: without failures, it gives different results")
    total = allocations(fresh)
    numbers: Sequence[int] = range(total)
    if share is not None and share < total:
        numbers = sorted(random.Random(f"{seed} {name} share").sample(numbers, share))
    raised = excused = 0
    for n in numbers:
        for stop in (n + 1, n + ALL):
            failed = attempt(fresh, right, n, stop, name, whole)
            raised += failed is True
            excused += failed is None
    if not raised:
        raise Found(f"{name}: {2 * len(numbers)} failing allocations made no call fail")
    done, more = leaks(fresh, numbers, runs, name)
    return Figures(total, 2 * len(numbers), raised, done, excused + more)


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--seed", type=int, default=None)
    arguments.add_argument("--json", action="store_true", help="figures of each operation, too")
    arguments.add_argument("--only", action="append", choices=sorted(OPERATIONS))
    arguments.add_argument("--share", type=int, default=None, help="so many allocations of each operation")
    arguments.add_argument("--runs", type=int, default=RUNS, help="repetitions that look for leaks")
    arguments.add_argument("--strict", action="store_true", help="the whole law for all operations")
    given = arguments.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if given.seed is None else given.seed
    faulthandler.enable()
    if set_nomemory is None:
        print("SKIPPED: this Python has no _testcapi; nothing was tried", file=sys.stderr)
        print(json.dumps({"seed": seed, "skipped": "no _testcapi", "failures": []}))
        return 0
    if held is None:
        print("this C library doesn't count bytes: leaks are seen in CPython's blocks only", file=sys.stderr)
    gc.disable()  # its rounds would come at other allocations each time
    gc.freeze()  # what is here now needn't be looked at
    begun = time.monotonic()
    figures: dict[str, Figures] = {}
    found: list[str] = []
    for name in given.only or OPERATIONS:
        print(name, file=sys.stderr, flush=True)  # the last line, if it crashes
        try:
            figures[name] = examine(name, seed, given.share, given.runs, given.strict)
        except Found as error:
            found.append(str(error))
            print(f"  FOUND {error}", file=sys.stderr, flush=True)
    said: dict[str, Any] = {
        "seed": seed,
        "operations": len(given.only or OPERATIONS),
        "allocations": sum(each.allocations for each in figures.values()),
        "tried": sum(each.tried for each in figures.values()),
        "raised": sum(each.raised for each in figures.values()),
        "interpreter": sum(each.interpreter for each in figures.values()),
        "leak_runs": sum(each.leak_runs for each in figures.values()),
        "seconds": round(time.monotonic() - begun, 1),
        "failures": found,
        "not_yet": 0 if given.strict else len(NOT_YET),
    }
    if given.json:
        said["each"] = {name: each._asdict() for name, each in figures.items()}
    print(json.dumps(said))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
