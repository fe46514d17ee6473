"""What goes wrong with real RethinkDB servers, and that nothing acknowledged is lost by it.

    python tests/rethink_faults.py                              # the long form, about an hour
    python tests/rethink_faults.py --only kills,rights --seed 7 # some of it, again
    python tests/rethink_faults.py --share 0.05                 # a twentieth of each

Each scenario is a function of a size and a seed that returns figures, or raises `AssertionError`. In the end
of each all replicas are equal, every acknowledged patch is there once, no call took longer than its limit.
What the seed can't decide is when exactly a process dies: the same seed does the same things, not at the same
instants. The last line of output is JSON; exit status 1 if anything was found. It knows the package by its
public names alone. A SIGKILL is not a power cut: the system keeps what a process had written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, Final, NamedTuple

from rethink_crew import SLACK, Crew, Worker, folder, judge, refused
from rethink_rights import rights
from rethink_servers import Address, Cluster, Proxy, Server, database, missing
from rethink_work import LIMIT, Editor, Id, digest, type_something
from steady import Steady

import syncstring
from syncstring.store import Changed, Gap, Ready, key_of, of_document, open_store
from syncstring.testing.store_bench import collect, row_of

Figures = dict[str, Any]

HOUR: Final = 3_600
YEAR: Final = 365 * 24 * HOUR
QUEUE: Final = 10  # changes that may wait for the reader of a feed, where one is to overflow
BEAT: Final = 0.5  # seconds between heartbeats, where a scenario waits for them to be missed


# --- servers and writers that die ---------------------------------------------------------------------------


def kills(size: int, seed: int) -> Figures:
    """SIGKILL of the server under four writers and a packer, of a writer, of both at once: `size` times."""
    chance = random.Random(seed)
    counts = dict.fromkeys(("server", "writer", "both"), 0)
    slowest = 0.0
    with Server() as server, folder() as logs, Crew(server.url("killed"), logs, seed) as crew:
        crew.progress()
        for number in range(size):
            what = ("server", "both", "writer")[number % 3]
            counts[what] += 1
            victim = chance.choice(crew.writers if what == "writer" else crew.workers)
            time.sleep(chance.uniform(0.02, 0.5))
            if what != "writer":
                server.kill9()
                time.sleep(chance.choice((0, chance.uniform(0, 0.4))))  # writers go on without it
            if what != "server":
                victim.kill()
            if what != "writer":
                server.start()
            if what != "server":
                victim.start()
            slowest = max(slowest, crew.progress())
        figures = crew.settle()
        return {**counts, **figures, "slowest recovery s": round(slowest, 1), "server MB": server.rss >> 20}


def crowd(where: Address, size: int, seed: int) -> Figures:
    """`size` times, eight processes come at once to a database that nobody made yet."""
    slowest = 0.0
    acknowledged = 0
    for number in range(size):
        with (
            database(where) as db,
            folder() as logs,
            Crew(where.url(db), logs, seed + number, 8, 0, prepared=False) as crew,
        ):
            slowest = max(slowest, crew.progress())
            acknowledged += crew.settle()["acknowledged"]
    return {"crowds": size, "acknowledged": acknowledged, "lost": 0, "slowest s": round(slowest, 1)}


def failover(size: int, seed: int) -> Figures:
    """Three servers, three replicas: the primary is killed and comes back, is frozen and thawed, the tables
    are resharded, all under load: `size` times each."""
    chance = random.Random(seed)
    slowest = {"kill": 0.0, "freeze": 0.0, "reshard": 0.0}
    db = "moved"
    with Cluster(3) as cluster, folder() as logs, ExitStack() as stack:
        cluster.heartbeat(2)
        crew = stack.enter_context(Crew(cluster.url(db), logs, seed))
        crew.progress()
        cluster.replicate(db)
        for number in range(3 * size):
            what = ("freeze", "kill", "reshard")[number % 3]
            time.sleep(chance.uniform(0.1, 0.5))
            primary = cluster.primary(db, "patches")
            began = time.monotonic()
            if what == "kill":
                primary.kill9()
                if chance.random() < 0.7:  # else it is back before anybody was chosen
                    crew.progress()
                primary.start()
            elif what == "freeze":
                primary.freeze()
                if chance.random() < 0.7:
                    crew.progress()
                else:
                    time.sleep(chance.uniform(0.1, 4))
                primary.thaw()
            else:
                cluster.replicate(db, shards=2 - number // 3 % 2)
            crew.progress()
            slowest[what] = max(slowest[what], time.monotonic() - began)
            cluster.joined(3)
        cluster.replicate(db)
        figures = crew.settle()
    return {"each": size, **figures, **{f"slowest {what} s": round(s, 1) for what, s in slowest.items()}}


# --- a bad network ------------------------------------------------------------------------------------------


def proxied(where: Address, size: int, seed: int) -> Figures:
    """A network that delays, cuts in mid-message, goes mute and goes down, `size` times each."""
    return asyncio.run(_proxied(where, size, seed))


async def _proxied(where: Address, size: int, seed: int) -> Figures:
    chance = random.Random(seed)
    acknowledged: set[Id] = set()
    noticed: list[float] = []
    refusals = 0
    with database(where) as db, Proxy(where) as proxy, Steady() as clock:
        async with (
            syncstring.connect(where.url(db), "net", author="near") as near,
            syncstring.connect(proxy.url(db), "net", author="far", limit=LIMIT, beat=BEAT) as far,
        ):
            editors = {session: Editor(session) for session in (near, far)}

            def typed() -> set[Id]:
                made = {editor.type(chance) for editor in editors.values()}
                return {id for id in made if id is not None}

            async def equal() -> None:
                """What was typed comes to the other editor by itself."""
                for session in (near, far):
                    await session.flush(120)
                await editors[near].shows(lambda text: text == editors[far].text, 120)
                await far.until("live", 120)
                assert not far.unsaved and not near.unsaved, "flush() returned, and something is unsaved"

            for number in range(4 * size):
                what = ("delay", "cut", "mute", "down")[number % 4]
                made = typed()
                if what == "delay":
                    proxy.delay(chance.uniform(0.01, 0.2))
                elif what == "cut":
                    proxy.cut(chance.randrange(1, 1_500), chance.choice(("client", "server")))
                    while proxy.pending:
                        made |= typed()
                        await near.flush(60)
                        await far.flush(60)
                else:
                    await equal()
                    began = clock.time()
                    proxy.mute() if what == "mute" else proxy.down()
                    while far.state == "live":
                        assert clock.time() - began < 3 * BEAT + SLACK, "it is live, and hears nothing"
                        await asyncio.sleep(0.01)
                    noticed.append(clock.time() - began)
                    made |= typed()
                    await near.flush(60)
                    began = clock.time()
                    try:
                        await far.flush(1)
                    except syncstring.StoreUnavailable:
                        refusals += 1
                    else:
                        raise AssertionError("flush() said that it is safe, and nothing can have passed")
                    assert clock.time() - began < 1 + SLACK, "flush() took longer than its limit"
                    assert far.unsaved, "what wasn't acknowledged isn't unsaved"
                if what != "delay":
                    proxy.passes()
                await equal()
                acknowledged |= made
                proxy.passes()
            texts = [digest(editor.text) for editor in editors.values()]
        figures = judge(where.url(db), "net", acknowledged, (), texts)
    return {
        "each": size,
        **figures,
        "noticed after s": round(max(noticed), 2),
        "heartbeat s": BEAT,
        "refused flushes": refusals,
        "connections": proxy.connections,
    }


# --- more than a reader can take ----------------------------------------------------------------------------


def overflow(where: Address, size: int, seed: int) -> Figures:
    """`size` rows in a burst, for a feed with a small queue: first nobody reads it meanwhile, then its whole
    process is busy, so that the server's own queue runs over too. It says that it missed some, and keeps few
    of them; what it says, and a scan whenever it is ready, are all the rows."""
    gaps = told = 0
    with database(where) as db:
        for busy in (False, True):
            some = asyncio.run(_overflow(where.url(db), size, seed + busy, busy))
            gaps, told = gaps + some[0], told + some[1]
    return {"rows": 2 * size, "missed": 0, "gaps": gaps, "told by the feeds": told, "queue": QUEUE}


async def _overflow(url: str, size: int, seed: int, busy: bool) -> tuple[int, int]:
    chance = random.Random(seed)
    doc = f"{seed % (1 << 60):040x}"
    rows = [row_of(doc, 1_000 + number, text=f"{chance.random()}" * 9) for number in range(size)]
    late = row_of(doc, 1, text="after all of it")

    async def write(rows: list[Any]) -> None:
        async with await open_store(url) as writer:
            for start in range(0, len(rows), 1_000):
                verdicts = await writer.insert("patches", rows[start : start + 1_000])
                assert all(verdict.fine for verdict in verdicts)

    # A heartbeat would come to the same by another way: it is to stay out of this.
    async with await open_store(url, queue=QUEUE, beat=60) as reader:
        feed = reader.feed("patches", *of_document(doc))
        assert await anext(feed) == Ready()
        burst = threading.Thread(target=lambda: asyncio.run(write(rows)), daemon=True)
        burst.start()
        if busy:
            burst.join(120)
        else:
            await asyncio.to_thread(burst.join, 120)
        assert not burst.is_alive(), "writing them takes too long"
        waiting = getattr(feed, "waiting", 0)
        assert waiting <= QUEUE + 2, f"{waiting} changes wait where {QUEUE} may"
        found: dict[Any, Any] = {}
        gaps = told = 0
        try:
            async with asyncio.timeout(120):
                while key_of(late) not in found:
                    change = await anext(feed)
                    if isinstance(change, Gap):
                        gaps += 1
                    elif isinstance(change, Ready):
                        for row in await collect(reader.scan("patches", *of_document(doc))):
                            found[key_of(row)] = row
                    elif isinstance(change, Changed) and change.new is not None:
                        told += 1
                        found[change.key] = change.new
                    if len(found) == size:
                        await write([late])
        except TimeoutError:
            raise AssertionError(f"{len(found)} of {size} rows in the end, {gaps} gaps") from None
        await feed.aclose()
    assert gaps, "a feed that can't have kept up says that it has"
    assert [found[key_of(row)] for row in rows] == rows, "rows are missing, or not what they were"
    return gaps, told


def asleep(where: Address, size: int, seed: int) -> Figures:
    """A reader's process is stopped while `size` patches come in, and for as many milliseconds more; it wakes
    up, reads one text, and is no bigger than one that read all along needs to be."""
    chance = random.Random(seed)
    with database(where) as db, folder() as logs:
        url = where.url(db)
        order = {"url": url, "name": "burst", "role": "reader", "seed": seed, "options": {"queue": 100}}
        sleeper = Worker(logs, {**order, "author": "sleeper"})
        awake = Worker(logs, {**order, "author": "awake"})
        try:
            with syncstring.open(url, "burst", author="writer", limit=60) as writer:
                for worker in (sleeper, awake):
                    worker.start()
                    worker.wait(lambda worker=worker: worker.openings > 0, "opened")  # type: ignore[misc]
                before = sleeper.rss
                sleeper.freeze()
                began = time.monotonic()
                made = [type_something(writer, chance) for _ in range(size)]
                writer.flush(600 + size / 10)  # a chain costs a round trip a patch
                took = time.monotonic() - began
                time.sleep(size / 1_000)
                sleeper.thaw()
                text = digest(writer.text)
                said = []
                for worker in (sleeper, awake):  # what they miss has to come by itself
                    worker.tell(f"pull {text}")
                    said.append(worker.answer("read"))
        finally:
            sleeper.kill()
            awake.kill()
        for read in said:
            assert read["slowest"] < SLACK, f"it waited {read['slowest']} s beyond its limit"
        slept, kept = (read["rss"] for read in said)
        assert slept < 2 * max(before, kept), (
            f"{before >> 20} MB, then {slept >> 20}, with {kept >> 20} awake"
        )
        ids = {(patch.id.time, patch.id.session) for patch in made if patch is not None}
        figures = judge(url, "burst", ids, (), [text, *(read["text"] for read in said)])
    return {
        **figures,
        "burst s": round(took, 1),
        "asleep s": round(took + size / 1_000),
        "MB before, after, awake": [each >> 20 for each in (before, slept, kept)],
    }


# --- time ---------------------------------------------------------------------------------------------------


def offline(where: Address, size: int, seed: int) -> Figures:
    """Two sessions are away for two weeks and type `size` patches each; meanwhile the document goes on, and
    is packed. One stays open, one dies and comes back with what its outbox has; both return at once."""
    chance = random.Random(seed)
    passed = 0  # microseconds, beside those that really pass
    clock = lambda: time.time_ns() // 1_000 + passed  # noqa: E731
    made: set[Id] = set()

    def typed(document: Any) -> None:
        if (patch := type_something(document, chance)) is not None:
            made.add((patch.id.time, patch.id.session))

    with database(where) as db, folder() as files, Proxy(where) as proxy, ExitStack() as stack:

        def opened(url: str, author: str, **options: Any) -> Any:
            document = syncstring.open(url, "weeks", author=author, clock=clock, **options)
            stack.callback(document.close)
            return document

        home = opened(where.url(db), "home", limit=300)
        stays = opened(proxy.url(db), "stays", limit=60, beat=BEAT)
        dies = opened(proxy.url(db), "dies", limit=60, beat=BEAT, outbox=files / "outbox")
        for document in (home, stays, dies):
            for _ in range(20):
                typed(document)
            document.sync()
        for document in (home, stays, dies):
            document.sync()
        proxy.down()
        packs = 0
        for number in range(size):
            passed += 14 * 24 * HOUR * 1_000_000 // size
            for document in (stays, dies, home):
                typed(document)
            if number % max(1, size // 8) == size // 16:
                home.flush()
                packs += home.pack(everything=True) is not None
        home.flush()
        for document in (stays, dies):
            refused(partial(document.flush, 0.5), syncstring.StoreUnavailable, 0.5)
            waiting = len(document.unsaved)
            assert waiting >= size * 0.9, f"{waiting} patches are unsaved, of {size}"
        dies.close()
        refused(
            lambda: opened(proxy.url(db), "dies", limit=0.5, outbox=files / "outbox"),
            syncstring.StoreUnavailable,
            1.0,
        )
        proxy.passes()
        began = time.monotonic()
        back = opened(proxy.url(db), "dies", limit=60, outbox=files / "outbox")
        for document in (stays, back):
            document.flush(600)
        took = time.monotonic() - began
        for document in (stays, back, home):
            document.sync(600)
        texts = [digest(document.text) for document in (stays, back, home)]
        home.pack(everything=True)
        figures = judge(where.url(db), "weeks", made, (), texts)
    return {**figures, "each offline": size, "packs meanwhile": packs, "back in s": round(took, 1)}


def now(off: int = 0) -> int:
    """The time in microseconds on a clock that is so many seconds off."""
    return time.time_ns() // 1_000 + off * 1_000_000


def clocks(where: Address, size: int, seed: int) -> Figures:
    """Sessions whose clocks are an hour and a year off, both ways; then machines whose clocks are: those
    don't matter at all, since sessions go by the store's, and only `wall` tells of them."""
    chance = random.Random(seed)
    offsets = {"right": 0, "late": -HOUR, "early": HOUR, "last year": -YEAR, "next year": YEAR}
    made: set[Id] = set()
    with database(where) as db, folder() as logs:
        url = where.url(db)
        with ExitStack() as stack:
            documents = [
                stack.enter_context(
                    syncstring.open(url, "clocks", author=author, limit=300, clock=partial(now, off))
                )
                for author, off in offsets.items()
            ]
            for _ in range(size):
                document = chance.choice(documents)
                for _ in range(chance.randint(1, 4)):
                    if (patch := type_something(document, chance)) is not None:
                        made.add((patch.id.time, patch.id.session))
                if chance.random() < 0.7:
                    document.sync()
                if chance.random() < 0.1:
                    document.flush()
                    document.pack(everything=chance.random() < 0.5)
            for document in documents * 2:
                document.sync()
            texts = [digest(document.text) for document in documents]
        figures = judge(url, "clocks", made, (), texts)

        earliest = where.ask(lambda r: r.now().to_epoch_time()) - 60
        for author, off in offsets.items():
            order = {"url": url, "name": "machines", "role": "writer", "seed": seed, "off": off}
            worker = Worker(logs, {**order, "author": author.replace(" ", "-")})
            worker.start()
            try:
                worker.wait(lambda worker=worker: worker.acknowledged, "got anything acknowledged")  # type: ignore[misc]
                worker.tell("flush")
                worker.answer("flush")
            finally:
                worker.kill()
        latest = where.ask(lambda r: r.now().to_epoch_time()) + 60
        with syncstring.open(url, "machines", author="judge") as document:
            versions = [version for version in document.versions if version.id is not None]
            for version in versions:
                off = offsets[version.author.replace("-", " ")]
                assert earliest < version.time / 1e6 < latest, (
                    f"{version.author}: a time that isn't the store's"
                )
                assert earliest < version.wall / 1e6 - off < latest, (
                    f"{version.author}: a wall that isn't its own"
                )
    return {**figures, "sessions": len(offsets), "patches of machines": len(versions)}


# --- the long form ------------------------------------------------------------------------------------------


class Scenario(NamedTuple):
    run: Callable[..., Figures]
    full: int
    """Its size in the long form."""
    alone: bool = False
    """Whether it starts servers of its own; else it is given one."""


SCENARIOS: Final = {
    "kills": Scenario(kills, 200, alone=True),
    "crowd": Scenario(crowd, 20),
    "failover": Scenario(failover, 50, alone=True),
    "proxied": Scenario(proxied, 50),
    "overflow": Scenario(overflow, 10_000),
    "asleep": Scenario(asleep, 60_000),
    "offline": Scenario(offline, 5_000),
    "clocks": Scenario(clocks, 500),
    "rights": Scenario(rights, 10),
}


def play(name: str, size: int, seed: int, where: Address | None = None) -> Figures:
    """One scenario, on a server that is there or one of its own. An `AssertionError` tells the seed."""
    scenario = SCENARIOS[name]
    try:
        if scenario.alone:
            return scenario.run(size, seed)
        if where is not None:
            return scenario.run(where, size, seed)
        with Server() as server:
            return scenario.run(server, size, seed)
    except BaseException as error:
        error.add_note(f"python tests/rethink_faults.py --only {name} --size {size} --seed {seed}")
        raise


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--only", default=",".join(SCENARIOS), help="scenarios, by commas")
    arguments.add_argument("--seed", type=int, default=None)
    arguments.add_argument("--share", type=float, default=1.0, help="of the full size of each")
    arguments.add_argument("--size", type=int, default=None, help="instead of a share")
    arguments.add_argument("--json", action="store_true", help="what it prints anyway")
    given = arguments.parse_args()
    seed = random.SystemRandom().randrange(1 << 30) if given.seed is None else given.seed
    names = given.only.split(",")
    if unknown := set(names) - SCENARIOS.keys():
        arguments.error(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    figures: Figures = {"seed": seed}
    failures: list[str] = []
    if reason := missing():
        failures, names = [reason], []
    for name in names:
        size = given.size or max(1, round(SCENARIOS[name].full * given.share))
        began = time.monotonic()
        print(f"{name}: size {size}, seed {seed}", file=sys.stderr, flush=True)
        try:
            figures[name] = play(name, size, seed)
        except Exception as error:
            traceback.print_exc()
            failures.append(f"{name}: {type(error).__name__} {error}")
            figures[name] = {"size": size}
        figures[name]["seconds"] = round(time.monotonic() - began)
    print(json.dumps({**figures, "failures": failures}, ensure_ascii=False))
    return 1 if failures else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left lying about
    status = main()
    sys.stdout.flush()
    os._exit(status)  # threads of proxies have nothing left to say
