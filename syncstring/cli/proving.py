"""`test` and `fuzz`: hold a store to its contract, and the library to its laws in a simulated world.

The law of this room. What it tells can be seen again: each failure comes with what to type, or with a program
that needs nothing but the library; the seed is told whatever happens. An interrupt ends with the figures so
far. What `fuzz` prints is a program: figures are comments in it. A store that can't be opened, or isn't
reached any more, is no failure of a law but an error.

It doesn't know what is checked: that stands in `syncstring.testing`.
"""

from __future__ import annotations

import asyncio
import secrets
import shlex
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from syncstring.backends.memory import MemoryStore
from syncstring.cli.options import FAILED, FINE, INTERRUPTED
from syncstring.cli.output import Output, masked, working
from syncstring.cli.places import with_store
from syncstring.errors import PatchError, StoreUnavailable
from syncstring.store import Store, open_store
from syncstring.testing.conformance import CHECKS, check_store
from syncstring.testing.network import World
from syncstring.testing.store_bench import Check
from syncstring.testing.world import search

__all__ = ["check_url", "fuzz", "list_checks"]

_SEEDS: Final = 1 << 32
_TOLD: Final = ("crash", "cut", "die", "fail", "jump", "restart")  # actions that a person wants to know of


# --- a store ------------------------------------------------------------------------------


def list_checks(out: Output, only: str) -> None:
    """Print the name of each check, and what it asks for."""
    for check in _chosen(only):
        if out.json:
            out.object({"check": check.__name__, "promise": _promise(check)})
        else:
            out.line(f"{out.paint(check.__name__, 'cyan')}  {_promise(check)}")


def check_url(out: Output, url: str, seed: int | None, only: str) -> int:
    """Run the checks on a store, told one by one; the exit status."""
    checks = _chosen(only)
    named = masked(url)
    seed = secrets.randbelow(_SEEDS) if seed is None else seed
    with_store(url, _nothing, create=True)  # says why it can't be opened, if so
    began = time.monotonic()
    done = failed = 0
    interrupted = False
    try:
        for n, check in enumerate(checks, start=1):
            start = time.monotonic()
            with working(f"{n} of {len(checks)}: {_promise(check)}"):
                wrong = _verdict(url, check, seed)
            done += 1
            failed += wrong is not None
            _tell(out, named, check, seed, wrong, time.monotonic() - start)
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.monotonic() - began
    if out.json:
        told = {"url": named, "checks": done, "failed": failed, "seconds": round(seconds, 3), "seed": seed}
        out.object({**told, "interrupted": interrupted})
    else:
        of_all = f" of {len(checks)}" if interrupted else ""
        out.line(
            f"{done}{of_all} {'check' if len(checks) == 1 else 'checks'}, "
            + out.paint(f"{failed} failed", "red" if failed else "green")
            + f", {seconds:.1f} s, seed {seed}"
        )
    return INTERRUPTED if interrupted else FAILED if failed else FINE


def _chosen(only: str) -> list[Check]:
    checks = [check for check in CHECKS if only in check.__name__]
    if not checks:
        raise PatchError(f"no check has {only!r:.80} in its name; --list tells what they are called")
    return checks


def _promise(check: Check) -> str:
    """What a check asks for: the first paragraph of what it says of itself."""
    return " ".join((check.__doc__ or check.__name__).strip().partition("\n\n")[0].split())


async def _nothing(store: Store) -> None:
    return None


def _verdict(url: str, check: Check, seed: int) -> str | None:
    """What is wrong; None if nothing is."""
    try:
        asyncio.run(check_store(_clients(url), seed=seed, checks=[check]))
    except AssertionError as error:
        return str(error)
    return None


def _clients(url: str) -> Callable[..., Awaitable[Store]]:
    """Opens one more client of always the same store."""
    known: list[MemoryStore] = []

    async def client(**options: Any) -> Store:
        if known:
            return known[0].client(**options)
        store = await open_store(url, **options)
        if isinstance(store, MemoryStore):  # each that is opened has rows of its own
            known.append(store)
        return store

    return client


def _tell(out: Output, url: str, check: Check, seed: int, wrong: str | None, seconds: float) -> None:
    again = f"syncstring test {shlex.quote(url)} --seed {seed} --only {check.__name__}"
    if out.json:
        told = {"check": check.__name__, "promise": _promise(check), "ok": wrong is None}
        out.object({**told, "seconds": round(seconds, 3), "message": wrong, "again": again})
        return
    if wrong is None:
        out.line(f"{out.paint('ok', 'green')}      {_promise(check)}")
        return
    out.line(f"{out.paint('FAILED', 'bold red')}  {_promise(check)}")
    _, *lines = wrong.split("\n")  # the first is the promise
    for line in lines:
        if not line.startswith("again: await"):
            out.line(f"        {out.text(line)}")
    out.line(f"        again: {out.text(again)}")


# --- a world ------------------------------------------------------------------------------


class _Figures:
    """What has happened in all worlds so far."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.began = time.monotonic()
        self.worlds = 0
        self.steps = 0
        self.patches = 0
        self.acknowledged = 0
        self.actions: Counter[str] = Counter()
        self.tasks: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.now: World | None = None
        self.tries = 0  # worlds made for the present seed: more than one to cut a failure down

    @property
    def seed(self) -> int:
        """The seed that comes next, or runs."""
        return self.first + self.worlds

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def add(self, world: World) -> None:
        """A world has come to its end, or stopped."""
        steps = _steps(world)
        self.worlds += 1
        self.steps += sum(steps.values())
        self.patches += len(world.made)
        self.acknowledged += world.acknowledged.bit_count()
        self.actions.update(steps)
        self.tasks.update(world.counts)
        self.faults.update(world.faults.counts)
        self.now = None
        self.tries = 0

    def far(self) -> str:
        """How far it is; called by another thread than the worlds'."""
        world = self.now
        if world is None:
            return "begins"
        if self.tries > 1:
            return f"seed {self.seed} broke; cutting its script down, attempt {self.tries - 1:,}"
        steps = self.steps + len(world.script)
        faults = self.faults.total() + sum(list(world.faults.counts.values()))
        rate = steps / max(self.seconds, 0.001)
        return f"seed {self.seed}, {steps:,} steps, {rate:,.0f} a second, {faults:,} faults"


def _steps(world: World) -> Counter[str]:
    """The actions that were drawn, by name."""
    return Counter(name for name, _ in world.script if name not in ("begin", "end"))


def fuzz(
    out: Output,
    *,
    seed: int | None,
    steps: int,
    minutes: float | None,
    worlds: int | None,
    url: str | None,
    faults: bool,
) -> int:
    """Let world after world live, until the time is over or a law breaks; the exit status."""
    if url is not None:
        if url.partition(":")[0] == "memory":
            raise PatchError(
                "what is in memory can't be opened twice; leave --store out, for a simulated store"
            )
        with_store(url, _nothing, create=True)
        faults = False  # they are the simulated store's
    named = url and masked(url)
    figures = _Figures(secrets.randbelow(_SEEDS) if seed is None else seed)
    if minutes is None and worlds is None:
        minutes = 1.0
    until = float("inf") if minutes is None else figures.began + minutes * 60
    broken: BaseException | None = None
    status = FINE
    try:
        if out.json:
            out.object({"seed": figures.first, "steps": steps, "store": named, "faults": faults})
        else:
            out.line(f"# seeds from {figures.first}, {steps:,} steps each")
        with working("fuzzing") as tell:
            tell(figures.far)
            while True:
                figures.add(search(_maker(figures, url, faults), steps))
                if not time.monotonic() < until or figures.worlds == worlds:
                    break
    except KeyboardInterrupt as stop:
        status = INTERRUPTED
        broken = _found(stop)  # it was being cut down
    except Exception as error:
        broken = _found(error)
        if broken is None:
            raise
        if url is not None and isinstance(broken, StoreUnavailable):
            raise broken from None
    at = figures.seed
    if figures.now is not None:
        figures.add(figures.now)
    interrupted = status == INTERRUPTED
    if broken is not None:
        status = FAILED
    _sum_up(out, figures, broken, at, _script(broken, url), interrupted)
    return status


def _maker(figures: _Figures, url: str | None, faults: bool) -> Callable[[], World]:
    """Makes the world of the seed whose turn it is, again and again."""
    seed = figures.seed

    def make() -> World:
        made = f"World({seed}, faults={faults!r})"
        if url is None:
            world = World(seed, faults=faults, made_by=made)
        else:
            made = made.replace(")", f", store=lambda: open_store({masked(url)!r}))")
            world = World(seed, faults=faults, store=_clients(url), made_by=made)
        if not figures.tries:
            figures.now = world
        figures.tries += 1
        return world

    return make


def _found(error: BaseException | None) -> BaseException | None:
    """The failure with a script to see it again, which this one is or came from."""
    while error is not None and not _notes(error):
        error = error.__context__
    return error


def _notes(error: BaseException) -> list[str]:
    return [note for note in getattr(error, "__notes__", ()) if note.startswith("# Again")]


def _script(broken: BaseException | None, url: str | None) -> str | None:
    """The program that shows a failure again."""
    if broken is None:
        return None
    script = _notes(broken)[-1]
    if url is not None:
        script = script.replace("\nworld =", "\nfrom syncstring.store import open_store\n\nworld =", 1)
    return script


def _sum_up(
    out: Output,
    figures: _Figures,
    broken: BaseException | None,
    at: int,
    script: str | None,
    interrupted: bool,
) -> None:
    last = figures.seed - 1 if figures.worlds else None
    if out.json:
        failure = None
        if broken is not None:
            kind, law = type(broken).__name__, getattr(broken, "law", None)
            failure = {"seed": at, "error": kind, "law": law, "message": str(broken), "script": script}
        out.object(
            {
                "worlds": figures.worlds,
                "steps": figures.steps,
                "patches": figures.patches,
                "acknowledged": figures.acknowledged,
                "actions": dict(sorted(figures.actions.items())),
                "tasks": dict(sorted(figures.tasks.items())),
                "faults": dict(sorted(figures.faults.items())),
                "broken": int(broken is not None),
                "seconds": round(figures.seconds, 3),
                "first": figures.first,
                "last": last,
                "interrupted": interrupted,
                "failure": failure,
            }
        )
        return
    seeds = f"seeds {figures.first} to {last}" if figures.worlds > 1 else f"seed {figures.first}"
    number = f"{figures.worlds:,} {'world' if figures.worlds == 1 else 'worlds'}"
    state = out.paint("1 broken" if broken else "0 broken", "red" if broken else "green")
    said = "interrupted, " if interrupted else ""
    lines = [
        f"{said}{number}, {figures.steps:,} steps, {state}, {figures.seconds:.1f} s, {seeds}",
        f"{figures.patches:,} patches made, {figures.acknowledged:,} acknowledged",
        f"actions: {_listed(figures.actions, _TOLD)}",
        f"tasks done: {_listed(figures.tasks, sorted(figures.tasks))}",
        f"faults: {_listed(figures.faults, sorted(figures.faults))}",
    ]
    if broken is not None:
        told = out.text(f"{type(broken).__name__}: {broken}").splitlines()
        lines += ["", f"seed {at} broke:", *told]
    for line in lines:
        out.line(f"# {line}".rstrip())
    if script is not None:
        out.line(script)


def _listed(counts: Mapping[str, int], names: Iterable[str]) -> str:
    return ", ".join(f"{name} {counts[name]:,}" for name in names if counts.get(name)) or "none"
