"""Measures us through a RethinkDB server, beside its driver alone, and writes a part of README.md.

    rethink.py [--runs N] [--only REGEX] [--quick] [--json] [--output FILE]

The law of this room. The servers are our own, on loopback, on the very processors that the clients use. Every
task is a process of its own (`rethink_tasks.py`). Ours and the bare driver take turns within each run, and
each run begins with the other one. README.md is written only where everything was measured in full, which
takes about ten minutes; the rest of that page is left as it is.

Exit status: 0; 1 if a figure was refused; 2 if nothing could be measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import rethink_tasks
from rethink_page import put, section
from rethink_server import Down, Server, cpu, missing, rss
from rethink_tasks import Wrong

HERE = Path(__file__).parent
TASKS = HERE / "rethink_tasks.py"
LIMIT = 600  # seconds for one process
DB = "measured"


class Rate(NamedTuple):
    """How many sessions type, in how many documents, through how many clients."""

    sessions: int
    documents: int
    clients: int


class Held(NamedTuple):
    """What is open while something is written: `documents` through one client, `clients` with one each, or
    `feeds` of the bare driver on one connection."""

    kind: str
    documents: int
    processes: int = 1


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    runs: int = 3
    keystrokes: int = 1_000
    rates: tuple[Rate, ...] = (
        Rate(1, 1, 1),
        Rate(10, 1, 10),
        Rate(100, 1, 100),
        Rate(10, 10, 10),
        Rate(100, 100, 100),
        Rate(100, 100, 1),
    )
    seconds: float = 3.0  # of typing
    at_once: int = 5_000
    history: int = 50_000
    times: int = 3  # that it is opened
    restarts: int = 5
    held: tuple[Held, ...] = (
        Held("documents", 0),
        Held("documents", 64),
        Held("documents", 1_000),
        Held("documents", 5_000),
        Held("clients", 1_000, 4),
        Held("feeds", 5_000),
    )
    writes: int = 1_000
    idle: float = 10.0  # seconds: two heartbeats
    fresh: bool = True  # each of `held` on a server of its own


QUICK = Sizes(
    runs=1,
    keystrokes=20,
    rates=(Rate(1, 1, 1), Rate(3, 1, 3), Rate(3, 3, 1)),
    seconds=0.2,
    at_once=200,
    history=300,
    times=1,
    restarts=1,
    held=(Held("documents", 0), Held("documents", 70), Held("clients", 4, 2), Held("feeds", 5)),
    writes=20,
    idle=0.5,
    fresh=False,
)


@dataclass
class Results:
    """Figures as the tasks told them, run by run."""

    sizes: Sizes
    version: str = ""
    load: float = 0.0
    """The machine's load average before the first run."""
    keystrokes: list[dict[str, Any]] = field(default_factory=list)
    rates: list[dict[str, Any]] = field(default_factory=list)
    """For each rate `ours` and `bare`: a list of figures, one a run."""
    at_once: list[dict[str, Any]] = field(default_factory=list)
    catch_up: dict[str, float] = field(default_factory=dict)
    restarts: dict[str, list[float]] = field(default_factory=dict)
    held: list[dict[str, Any]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    if why := missing():
        _say(f"nothing can be measured: {why}")
        return 2
    sizes = QUICK if options.quick else Sizes()
    results = Results(sizes if options.runs is None else replace(sizes, runs=options.runs))
    results.load = os.getloadavg()[0]
    try:
        measure(results, options.only)
    except Down as error:
        _say(f"nothing can be measured: {error}")
        return 2
    for name, why in results.refused.items():
        _say(f"{name} is refused: {why}")
    page = section(results)
    print(json.dumps(asdict(results), indent=1) if options.json else page)
    everything = not (results.refused or options.quick or options.only.pattern)
    if options.output is not None:
        put(page, options.output)
    elif everything and results.sizes.runs >= Sizes.runs:
        put(page, HERE / "README.md")
    else:
        _say(f"README.md stays as it is: it takes everything, measured at least {Sizes.runs} times")
    return 1 if results.refused else 0


def _say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="rethink.py", description="Measures us through a RethinkDB server, beside its driver alone."
    )
    add = parser.add_argument
    add("--runs", type=int, metavar="N", help=f"{Sizes.runs} by default")
    only = "measure only what it is found in: keystrokes, rates, at once, catch up, restarts, held"
    add("--only", type=re.compile, default=re.compile(""), metavar="REGEX", help=only)
    add("--quick", action="store_true", help="tiny sizes, to see that it measures; the figures mean nothing")
    add("--json", action="store_true", help="print every figure in place of the tables")
    add("--output", type=Path, metavar="FILE", help="write the part there, whatever was measured")
    return parser.parse_args(arguments)


def measure(results: Results, only: re.Pattern[str]) -> None:
    """Everything whose name it is found in."""
    sizes = results.sizes
    with Server() as server:
        results.version = asyncio.run(rethink_tasks.begin(server.url(DB)))
        for run in range(sizes.runs):
            if only.search("keystrokes"):
                found = _task(results, "keystrokes", server, count=sizes.keystrokes, tag=f"{run}")
                results.keystrokes += [found] if found else []
            if only.search("rates"):
                _rates(results, server, run)
            if only.search("at once"):
                found = _task(results, "at once", server, count=sizes.at_once, tag=f"{run}")
                results.at_once += [found] if found else []
        if only.search("catch up"):
            found = _task(results, "catch up", server, count=sizes.history, times=sizes.times)
            results.catch_up = found or {}
        if only.search("restarts"):
            with _refusing(results, "restarts"):
                results.restarts = asyncio.run(rethink_tasks.restarts(server, DB, sizes.restarts))
        if only.search("held") and not sizes.fresh:
            for held in sizes.held:
                _held(results, held, server)
    if only.search("held") and sizes.fresh:
        for held in sizes.held:
            with Server() as server:
                _held(results, held, server)


def _rates(results: Results, server: Server, run: int) -> None:
    sizes = results.sizes
    for rate in sizes.rates:
        _progress(f"run {run + 1}: {rate}")
        order = ("ours", "bare") if run % 2 == 0 else ("bare", "ours")
        found = {}
        for who in order:
            arguments = {**rate._asdict(), "seconds": sizes.seconds, "tag": f"{run} {tuple(rate)}"}
            found[who] = _task(results, "rate", server, who=who, **arguments)
        if found["ours"] and found["bare"]:
            row = next((row for row in results.rates if row["rate"] == rate), None)
            if row is None:
                row = {"rate": rate, "ours": [], "bare": []}
                results.rates.append(row)
            for who in order:
                row[who].append(found[who])


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr)


@contextmanager
def _refusing(results: Results, name: str) -> Iterator[None]:
    """What goes wrong is the figure's, and is told."""
    try:
        yield
    except (Wrong, TimeoutError, subprocess.SubprocessError) as error:
        results.refused[name] = f"{type(error).__name__}: {str(error)[:300]}"


def _task(results: Results, name: str, server: Server, **arguments: Any) -> dict[str, Any] | None:
    """What a process of its own says; None if it is refused."""
    _progress(f"{name} {arguments}")
    command = [sys.executable, str(TASKS), name, server.url(DB), str(server.pid), json.dumps(arguments)]
    with _refusing(results, f"{name} {arguments}"):
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False
        )
        if done.returncode:
            last = (done.stderr.strip() or "no word").splitlines()[-1]
            raise Wrong(f"it died ({done.returncode}): {last}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if "refused" in found:
            raise Wrong(found["refused"])
        return found
    return None


# --- much that is open ----------------------------------------------------------------------------------


class Holder:
    """Processes that have something open, until `end`."""

    def __init__(self, held: Held, names: list[str], server: Server) -> None:
        self._processes: list[subprocess.Popen[str]] = []
        for number in range(held.processes if held.documents else 0):
            share = json.dumps({"kind": held.kind, "names": names[number :: held.processes]})
            command = [sys.executable, str(TASKS), "hold", server.url(DB), str(server.pid), share]
            self._processes.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
            )

    def opened(self) -> dict[str, float]:
        """What it took, once all is open."""
        return self._told()

    def _told(self) -> dict[str, float]:
        told = []
        for process in self._processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise Wrong(f"a process that held documents open died ({process.wait()})")
            told.append(json.loads(line))
        sums = {name: sum(each[name] for each in told) for name in ("cpu", "memory", "arrived", "feeds")}
        return {"opening": max((each["opening"] for each in told), default=0.0), **sums}

    def now(self) -> dict[str, float]:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("\n")
        return self._told()

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()


def _held(results: Results, held: Held, server: Server) -> None:
    """What it takes to have so much open, and what a write costs then."""
    _progress(f"{held}")
    sizes = results.sizes
    names = [f"held {number}" for number in range(held.documents)]
    with _refusing(results, f"{held}"):
        asyncio.run(rethink_tasks.prepare(server.url(DB), names))
        if sizes.fresh:  # it forgets what making them took
            server.kill()
            server.start()
            asyncio.run(rethink_tasks.prepare(server.url(DB), []))
            # A table that is read may not be written yet.
            asyncio.run(rethink_tasks.writes(server.url(DB), server.pid, ["ready"], 1))
        time.sleep(sizes.idle / 5)
        memory = rss(server.pid)
        holder = Holder(held, names, server)
        try:
            found: dict[str, Any] = holder.opened()
            time.sleep(sizes.idle / 5)
            found |= {"held": held, "server memory": rss(server.pid) - memory}
            found |= _idle(sizes, server, holder)
            found |= _written(sizes, server, holder, names, found)
        finally:
            holder.end()
        results.held.append(found)


def _idle(sizes: Sizes, server: Server, holder: Holder) -> dict[str, float]:
    """Processor time a second, while nobody writes."""
    began, ours, theirs = time.perf_counter(), holder.now()["cpu"], cpu(server.pid)
    time.sleep(sizes.idle)
    took = time.perf_counter() - began
    theirs, ours = cpu(server.pid) - theirs, holder.now()["cpu"] - ours
    return {"idle": ours / took, "server idle": theirs / took}


def _written(
    sizes: Sizes, server: Server, holder: Holder, names: list[str], idle: dict[str, Any]
) -> dict[str, Any]:
    """Processor time a write, beyond that; and how long one takes."""
    before, began = holder.now(), time.perf_counter()
    writes = rethink_tasks.writes(server.url(DB), server.pid, names or ["nobody has it open"], sizes.writes)
    took, theirs = asyncio.run(writes)
    while (after := holder.now())["arrived"] - before["arrived"] < sizes.writes and names:
        if time.perf_counter() - began > LIMIT:
            raise Wrong("patches didn't arrive")
        time.sleep(0.05)
    passed = time.perf_counter() - began
    return {
        "cpu": (after["cpu"] - before["cpu"] - idle["idle"] * passed) / sizes.writes,
        "server cpu": (theirs - idle["server idle"] * sum(took)) / sizes.writes,
        "write": sorted(took)[len(took) // 2],
        "slowest write": max(took),
    }


if __name__ == "__main__":
    sys.exit(main())
