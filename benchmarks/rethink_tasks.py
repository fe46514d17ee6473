"""What is measured through a RethinkDB server, ours and the bare driver by turns.

    rethink_tasks.py TASK URL PID ARGUMENTS      one JSON line: the task's figures

The law of this room. A task runs in a process of its own, so that the processor time it reads is the
clients'; the server's is read from the kernel under its PID. The bare driver does what can't be left out: it
writes rows of the same bytes, durably, to a table without our write hook, and waits for the same answers; a
feed on another connection tells it of them. No time counts before the result was found right: the texts are
equal and whole, no row is missing.

Times are seconds; `(ours, bare)` where both took part.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from statistics import mean, median
from time import perf_counter, process_time
from typing import Any, Final, Protocol

from rethink_server import BATCH, LIMIT, Server, cpu, dial, driver, rss

from syncstring import Document, Patch, Session, apply, connect
from syncstring.manifest import Manifest, doc_of_name, name_row
from syncstring.store import Row, Store, image, of_document, open_store

Figures = dict[str, Any]
OPENING: Final = 16  # documents that are opened at once
THEN: Final = 1_700_000_000_000_000  # a moment
SETTLED: Final = 0.002  # seconds after a keystroke in which loose ends are tied up


class Wrong(Exception):
    """A figure that would be of something else than it says."""


def expect(right: bool, what: str) -> None:
    if not right:
        raise Wrong(what)


# --- a keystroke ---------------------------------------------------------------------------------------


async def keystrokes(url: str, pid: int, count: int, tag: str) -> Figures:
    """One types, one letter a patch; the other shows it. Between two of ours, one insert of the driver."""
    taken: dict[str, list[tuple[float, float, float]]] = {"ours": [], "bare": []}
    shown = asyncio.Event()
    name = f"keystrokes {tag}"
    text = ""

    async def watch(session: Session) -> None:
        nonlocal text
        async for change in session.changes():
            text = apply(text, change.splices)
            shown.set()

    async with (
        connect(url, name, author="ada") as a,
        connect(url, name, author="bob") as b,
        bare_pair(url, name) as bare,
    ):
        watching = asyncio.create_task(watch(b))

        async def ours(number: int) -> tuple[float, float]:
            began = perf_counter()
            a.document.insert(number, "x")
            a.document.commit()
            flushed = asyncio.create_task(_at(a.flush()))
            while len(text) <= number:
                shown.clear()
                await shown.wait()
            return perf_counter() - began, await flushed - began

        async def theirs(number: int) -> tuple[float, float]:
            began = perf_counter()
            answered = asyncio.create_task(_at(bare.insert(number)))
            await bare.heard()
            return perf_counter() - began, await answered - began

        for number in range(count):
            for whose, press in (("ours", ours), ("bare", theirs)):
                used = process_time()
                async with asyncio.timeout(LIMIT):
                    peer, acknowledged = await press(number)
                await asyncio.sleep(SETTLED)
                taken[whose].append((peer, acknowledged, process_time() - used))
        expect(a.document.text == b.document.text == text == count * "x", "the peer's text is another")
        watching.cancel()
    found: Figures = {}
    for place, until in enumerate(("peer", "acknowledged")):
        for part, point in (("median", 0.5), ("99th of 100", 0.99)):
            found[f"{until}, {part}"] = tuple(_point(taken[who], place, point) for who in ("ours", "bare"))
    found["cpu"] = tuple(mean(each[2] for each in taken[who]) for who in ("ours", "bare"))
    return found


async def _at(work: Awaitable[Any]) -> float:
    await work
    return perf_counter()


def _point(taken: list[tuple[float, float, float]], place: int, point: float) -> float:
    return sorted(each[place] for each in taken)[int(point * (len(taken) - 1))]


class Bare:
    """A connection that inserts rows like ours and one that hears of them."""

    def __init__(self, r: Any, doc: str, writing: Any, feed: Any) -> None:
        self._r, self._doc, self._writing, self._feed = r, doc, writing, feed
        self._row = image(_patch(doc, THEN + 1, "session00000", [(THEN, "session00000")], 7, "x")).text

    def row(self, number: int, session: str = "session00000") -> dict[str, Any]:
        return {"id": [self._doc, THEN + number, session], "row": self._row}

    async def insert(self, number: int, session: str = "session00000") -> None:
        await self.take([self.row(number, session)])

    async def take(self, rows: list[dict[str, Any]]) -> None:
        answer = await self._r.table("bare").insert(rows, durability="hard").run(self._writing)
        expect(answer["inserted"] == len(rows), f"the driver's insert: {answer}")

    async def heard(self) -> Any:
        return await self._feed.next()


@asynccontextmanager
async def bare_pair(url: str, name: str, writing: Any = None, hearing: Any = None) -> AsyncIterator[Bare]:
    """Two connections of the driver, or a feed on given ones."""
    r = driver()
    own = [await dial(r, url) for given in (writing, hearing) if given is None]
    try:
        writing = writing or own[0]
        hearing = hearing or own[-1]
        doc = doc_of_name(name)
        between = r.table("bare").between(*map(list, of_document(doc)))
        yield Bare(r, doc, writing, await between.changes().run(hearing))
    finally:
        for connection in own:
            with suppress(r.errors.ReqlError, OSError):  # a server that was killed has closed it
                await connection.close(noreply_wait=False)


def _patch(
    doc: str, time: int, session: str, parents: Sequence[tuple[int, str]], pos: int, letter: str
) -> Row:
    """A row in which one letter is typed."""
    patch = Patch(id=(time, session), parents=parents, splices=[(pos, 0, letter)], author="ada", wall=THEN)
    return patch.to_row(doc)


# --- patches per second --------------------------------------------------------------------------------


class Typist(Protocol):
    """Who makes patches of one document, and hears of those of others."""

    document: str

    async def type(self) -> None:
        """Make one patch; it is acknowledged when this returns."""

    def seen(self) -> int:
        """How many patches of the document have come here, one's own too."""

    def text(self) -> str:
        """What must be equal for all of one document."""


class OurTypist:
    def __init__(self, session: Session, document: str) -> None:
        self.document = document
        self._session = session
        self._before = len(session.document)

    async def type(self) -> None:
        document = self._session.document
        document.insert(len(document), "x")
        document.commit()
        await self._session.flush()

    def seen(self) -> int:
        return len(self._session.document) - self._before

    def text(self) -> str:
        return self._session.document.text

    async def read(self) -> None:
        async for _ in self._session.changes():
            pass


class BareTypist:
    def __init__(self, bare: Bare, document: str, session: str) -> None:
        self.document = document
        self._bare = bare
        self._session = session
        self._made = self._heard = 0

    async def type(self) -> None:
        self._made += 1
        await self._bare.insert(self._made, self._session)

    def seen(self) -> int:
        return self._heard

    def text(self) -> str:
        return ""

    async def read(self) -> None:
        while True:
            await self._bare.heard()
            self._heard += 1


async def rate(
    url: str, pid: int, who: str, sessions: int, documents: int, clients: int, seconds: float, tag: str
) -> Figures:
    """So many sessions type as fast as each is acknowledged, spread over documents and clients."""
    async with AsyncExitStack() as stack:
        names = [f"rate {tag} {number}" for number in range(documents)]
        opening = asyncio.Semaphore(OPENING)
        if who == "ours":
            stores = [await stack.enter_async_context(await open_store(url)) for _ in range(clients)]
        else:
            r = driver()
            pairs = [(await dial(r, url), await dial(r, url)) for _ in range(clients)]

        async def enter(number: int) -> OurTypist | BareTypist:
            name = names[number % documents]
            async with opening:
                if who == "ours":
                    store = stores[number % clients]
                    session = await stack.enter_async_context(connect(store, name, author=f"author {number}"))
                    return OurTypist(session, name)
                bare = await stack.enter_async_context(bare_pair(url, name, *pairs[number % clients]))
                return BareTypist(bare, name, f"bare{number:08}")

        for name in names if who == "ours" else ():  # made before they are opened by many at once
            async with connect(stores[0], name, author="nobody"):
                pass
        typists = await asyncio.gather(*map(enter, range(sessions)))
        reading = [asyncio.create_task(typist.read()) for typist in typists]
        try:
            return await _contest(typists, pid, seconds)
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)


async def _contest(typists: Sequence[Typist], pid: int, seconds: float) -> Figures:
    made: Counter[str] = Counter()
    gc.collect()
    used, server, began = process_time(), cpu(pid), perf_counter()

    async def work(typist: Typist) -> None:
        while perf_counter() < began + seconds:
            await typist.type()
            made[typist.document] += 1

    async with asyncio.timeout(10 * LIMIT):
        await asyncio.gather(*map(work, typists))
        while any(typist.seen() < made[typist.document] for typist in typists):
            await asyncio.sleep(0.005)
    took = perf_counter() - began
    patches = made.total()
    texts = {typist.document: typist.text() for typist in typists}
    expect(all(t.seen() == made[t.document] for t in typists), "patches came that nobody made")
    expect(all(t.text() == texts[t.document] for t in typists), "two texts of one document differ")
    return {
        "rate": patches / took,
        "cpu": (process_time() - used) / patches,
        "server": (cpu(pid) - server) / patches,
    }


async def at_once(url: str, pid: int, count: int, tag: str) -> Figures:
    """One session's patches, made before any was sent; the driver's rows in batches."""
    found: dict[str, tuple[float, float]] = {}
    async with (
        connect(url, f"at once {tag}", author="ada") as session,
        bare_pair(url, f"at once {tag}") as bare,
    ):
        document = session.document
        used, began = process_time(), perf_counter()
        for number in range(count):
            document.insert(number, "x")
            document.commit()
        await session.flush(10 * LIMIT)
        found["ours"] = count / (perf_counter() - began), (process_time() - used) / count
        expect(not session.unsaved, "flush returned too early")
        used, began = process_time(), perf_counter()
        rows = [bare.row(number) for number in range(count)]
        for start in range(0, count, BATCH):
            await bare.take(rows[start : start + BATCH])
        found["bare"] = count / (perf_counter() - began), (process_time() - used) / count
    return {
        "rate": (found["ours"][0], found["bare"][0]),
        "cpu": (found["ours"][1], found["bare"][1]),
    }


# --- catching up ---------------------------------------------------------------------------------------


def typed(count: int, doc: str) -> tuple[list[Patch], str]:
    """So many patches of one author, who types, deletes and jumps now and then; and the text."""
    chance = random.Random(1)
    clock = iter(range(THEN, 2 * THEN, 100_000)).__next__  # ten patches a second
    document = Document(session="writer000000", author="ada", clock=clock)
    pos = 0
    for _ in range(count):
        if chance.random() < 0.02:
            pos = chance.randint(0, len(document))
        if pos and chance.random() < 0.15:
            pos -= 1
            document.delete(pos, 1)
        else:
            document.insert(pos, chance.choice("etaoin shrdlu"))
            pos += 1
        document.commit()
    patches, document.outgoing = document.outgoing, []
    return patches, document.text


async def catch_up(url: str, pid: int, count: int, times: int) -> Figures:
    """Open a document of so many patches, none of them packed, then all."""
    doc = doc_of_name("long")
    patches, text = typed(count, doc)
    rows = [patch.to_row(doc) for patch in patches]
    del patches
    found: Figures = {}

    def note(name: str, wall: float, used: float) -> None:
        found.setdefault(name, []).append(wall)
        found.setdefault(f"{name}, cpu", []).append(used)

    async def opened(name: str, history: bool = False) -> None:
        gc.collect()
        used, began = process_time(), perf_counter()
        async with connect(url, "long", author="bob") as session:
            if history:
                await session.read_history()
            note(name, perf_counter() - began, process_time() - used)
            expect(session.document.text == text, "the text is another")
            expect(not history or len(session.document.history) == count, "patches are missing")

    async with await open_store(url) as store:
        await named(store, ["long"])
        for start in range(0, count, 4 * BATCH):
            verdicts = await store.insert("patches", rows[start : start + 4 * BATCH])
            expect(all(verdict.kind == "inserted" for verdict in verdicts), "rows were refused")
        del rows
        gc.collect()
        r = driver()
        connection = await dial(r, url)
        for _ in range(times):
            used, began = process_time(), perf_counter()
            read = [
                row
                async for row in await r.table("patches")
                .between(*map(list, of_document(doc)))
                .run(connection)
            ]
            note("reading the rows", perf_counter() - began, process_time() - used)
            expect(len(read) == count, f"{len(read)} rows are there")
            del read
            await opened("rows")
        await connection.close(noreply_wait=False)
        async with connect(store, "long", author="eve") as session:
            used, began = process_time(), perf_counter()
            packed = await session.pack()
            note("packing", perf_counter() - began, process_time() - used)
            expect(packed is not None and packed.manifest.total == count, "they weren't packed")
        for _ in range(times):
            await opened("packed")
            await opened("packed, and its history", history=True)
    return {name: median(each) for name, each in found.items()}


# --- a restart -----------------------------------------------------------------------------------------


async def restarts(server: Server, db: str, times: int) -> Figures:
    """SIGKILL, and the same server again: seconds from the moment that it is started."""
    url = server.url(db)
    found: Figures = {}

    async def first_answer(began: float, number: int) -> float:
        r = driver()
        while True:
            with suppress(r.errors.ReqlError, OSError, TimeoutError):
                async with asyncio.timeout(5):
                    connection = await dial(r, url)
                    try:
                        row = {"id": ["restart", number, "bare"], "row": ""}
                        answer = await r.table("bare").insert(row, durability="hard").run(connection)
                        if answer["inserted"] == 1:
                            return perf_counter() - began
                    finally:
                        await connection.close(noreply_wait=False)
            await asyncio.sleep(0.01)

    async def opened(began: float) -> float:
        async with connect(url, "restart", author="new", limit=LIMIT):
            return perf_counter() - began

    async with (
        connect(url, "restart", author="ada", limit=LIMIT) as a,
        connect(url, "restart", author="bob", limit=LIMIT) as b,
    ):
        for number in range(times):
            server.kill()
            await asyncio.sleep(0.5)
            a.document.insert(0, "x")
            a.document.commit()
            began = perf_counter()

            async def acknowledged(began: float = began) -> float:
                await a.flush()
                return perf_counter() - began

            async def shown(began: float = began, count: int = number + 1) -> float:
                while len(b.document) < count:
                    expect(await b.arrival(), "the session was closed")
                    b.take()
                return perf_counter() - began

            names = ("port", "bare", "acknowledged", "peer", "opened")
            works = (
                asyncio.to_thread(server.start),
                first_answer(began, number),
                acknowledged(),
                shown(),
                opened(began),
            )
            async with asyncio.timeout(2 * LIMIT):
                for name, took in zip(names, await asyncio.gather(*works), strict=True):
                    found.setdefault(name, []).append(took)
            expect(a.document.text == b.document.text, "two texts of one document differ")
    return found


# --- many ----------------------------------------------------------------------------------------------


async def named(store: Store, names: Sequence[str]) -> None:
    """Make empty documents."""
    for start in range(0, len(names), 4 * BATCH):
        some = names[start : start + 4 * BATCH]
        await store.insert("documents", [Manifest(doc_of_name(name)).to_row() for name in some])
        await store.insert("names", [name_row(name, doc_of_name(name)) for name in some])


async def prepare(url: str, names: Sequence[str]) -> None:
    """A database with these documents."""
    async with await open_store(url) as store:
        await named(store, names)


async def hold(url: str, pid: int, kind: str, names: Sequence[str]) -> None:
    """Have documents open until the input ends: `documents` through one client, `clients` each through its
    own, `feeds` of the bare driver. Tells what it takes when all are open, and at each line that comes in."""
    opening = asyncio.Semaphore(OPENING)
    stores: list[Any] = []
    sessions: list[Session] = []
    kept: list[Any] = []  # else they would be closed
    heard = 0

    async def read(session: Session) -> None:
        async for _ in session.changes():
            pass

    async def hear(feed: Any) -> None:
        nonlocal heard
        async for _ in feed:
            heard += 1

    async def one(name: str) -> None:
        async with opening:
            if kind == "feeds":
                between = r.table("patches").between(*map(list, of_document(doc_of_name(name))))
                kept.append(asyncio.create_task(hear(await between.changes().run(connection))))
                return
            if kind == "clients":
                stores.append(await open_store(url))
            entering = connect(stores[-1], name, author="ada")
            sessions.append(await entering.__aenter__())
            kept.extend((entering, asyncio.create_task(read(sessions[-1]))))

    gc.collect()
    memory, began = rss(os.getpid()), perf_counter()
    if kind == "feeds":
        r = driver()
        connection = await dial(r, url)
    elif kind == "documents":
        stores.append(await open_store(url))
    await asyncio.gather(*map(one, names))
    took = perf_counter() - began
    gc.collect()
    while True:
        told = {
            "opening": took,
            "cpu": process_time(),
            "memory": rss(os.getpid()) - memory,
            "arrived": heard + sum(len(session.document) for session in sessions),
            "feeds": sum(len(store.streams) for store in stores) if stores else len(names),
        }
        print(json.dumps(told), flush=True)
        if not await asyncio.to_thread(sys.stdin.readline):
            return


async def writes(url: str, pid: int, names: Sequence[str], count: int) -> tuple[list[float], float]:
    """One patch after the other, each to the next document: how long each took, and what they took of the
    server together."""
    last: dict[str, list[tuple[int, str]]] = {}
    took = []
    session = f"w{time.time_ns() // 1_000}"
    async with await open_store(url) as store:
        used = cpu(pid)
        for number in range(count):
            doc = doc_of_name(names[number % len(names)])
            row = _patch(doc, THEN + number, session, last.get(doc, []), 0, "x")
            last[doc] = [(THEN + number, session)]
            began = perf_counter()
            (verdict,) = await store.insert("patches", [row])
            took.append(perf_counter() - began)
            expect(verdict.kind == "inserted", f"a row was not inserted: {verdict.kind}")
        return took, cpu(pid) - used


async def begin(url: str) -> str:
    """Make the database, its tables and the bare driver's. The server's version, as it says it."""
    async with await open_store(url) as store:
        found = (await store.standing()).version
    r = driver()
    connection = await dial(r, url)
    await r.table_create("bare").run(connection)
    await connection.close()
    return found


TASKS: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
    "keystrokes": keystrokes,
    "rate": rate,
    "at once": at_once,
    "catch up": catch_up,
    "hold": hold,
}


def main() -> None:
    name, url, pid, arguments = sys.argv[1:]
    try:
        found = asyncio.run(TASKS[name](url, int(pid), **json.loads(arguments)))
    except Wrong as wrong:
        found = {"refused": f"{wrong}"}
    if found is not None:
        print(json.dumps(found), flush=True)
    if name == "hold":
        os._exit(0)  # thousands of documents needn't be closed one by one


if __name__ == "__main__":
    main()
