"""People at work on one document of a store: each a process of its own, which says what it was promised.

    python tests/rethink_work.py '{"url": …, "name": …, "role": "writer", "author": …, "seed": 7, "log": …}'

A *writer* goes through `syncstring.open`, a *live* one through `syncstring.connect`, with an editor that only
ever applies what `changes()` gives it; a *packer* packs; a *reader* looks on. Told a word on its standard
input, a line each, it stops working and does that: `flush`, `read`, `await DIGEST`, `pull DIGEST`.

What it guarantees: what a worker was acknowledged stands in its log the moment after `flush` said so, and
what it committed the moment after `commit` did; a log survives its worker's SIGKILL (not a power cut: it
isn't synced). A worker ends when its standard input does, so none outlives who started it. How long a call
took beyond its limit, on a clock that stands still while the machine does (`steady.py`), is kept and told. It
doesn't know what goes wrong with the store, or why.
"""

from __future__ import annotations

import asyncio
import faulthandler
import hashlib
import json
import os
import queue
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, NoReturn

import rethink_servers
from steady import Steady

import syncstring

LIMIT: Final = 5.0
"""Seconds that a worker lets the store take for one call."""

Id = tuple[int, str]


def type_something(document: syncstring.Document, chance: random.Random) -> syncstring.Patch | None:
    """One edit, committed. Texts stay within some thousand letters."""
    size = len(document)
    at = chance.randint(0, size)
    delete = min(chance.choice((0, 0, 0, 2, 9)) if size < 2_000 else 200, size - at)
    document.splice(at, delete, chance.choice(("a", "bc ", "d\n", "é", "🙂", f"{chance.randrange(1_000)} ")))
    return document.commit()


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Editor:
    """A live session's text as an editor holds it: it applies what it is handed, and what is typed in it."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.text: str = session.document.text
        self._following = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        async for change in self.session.changes():
            self.text = syncstring.apply(self.text, change.splices)
            self.check()

    def check(self) -> None:
        """The editor shows the document, and nothing ended what keeps it so."""
        assert self.text == self.session.document.text, "the editor and the document have parted"
        if self._following.done():
            self._following.result()

    def type(self, chance: random.Random) -> Id | None:
        """Type something, and commit it."""
        self.check()
        patch = type_something(self.session.document, chance)
        if patch is None:
            return None
        self.text = syncstring.apply(self.text, patch.splices)
        self.check()
        return patch.id.time, patch.id.session

    async def shows(self, true: Callable[[str], bool], limit: float) -> None:
        """Wait, and do nothing, until what it shows makes that true."""
        end = time.monotonic() + limit
        while not true(self.text):
            self.check()
            assert time.monotonic() < end, f"the editor hasn't got the others' text for {limit:g} s"
            await asyncio.sleep(0.01)


# --- a process ----------------------------------------------------------------------------------------------


class _Worker:
    """What a worker hears, and what it tells."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.chance = random.Random(order["seed"])
        self.words: queue.Queue[str] = queue.Queue()
        self.slowest = 0.0  # seconds that a call took beyond its limit
        self.refused = 0  # calls that the store didn't answer in time
        self.made: list[Id] = []  # not known to be acknowledged
        self._clock = Steady().__enter__()  # as long as the process
        self._log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            self.words.put(line.strip())
        os._exit(0)  # nobody is there any more

    def word(self) -> tuple[str, str]:
        """What it was told, if anything."""
        try:
            word, _, rest = self.words.get_nowait().partition(" ")
        except queue.Empty:
            return "", ""
        return word, rest

    def note(self, **fields: Any) -> None:
        os.write(self._log, json.dumps(fields).encode() + b"\n")

    def note_made(self, id: Id) -> None:
        self.made.append(id)
        self.note(made=id)

    def note_acknowledged(self) -> None:
        if self.made:
            self.note(acknowledged=self.made)
            self.made = []

    def note_read(self, document: Any) -> None:
        self.note(
            said="read",
            text=digest(document.text),
            unsaved=len(document.unsaved),
            parked=len(document.parked),
            problems=[str(problem) for problem in document.problems][:3],
            slowest=round(self.slowest, 3),
            refused=self.refused,
            rss=rethink_servers.rss(os.getpid()),
        )

    @contextmanager
    def timed(self, limit: float, done: list[bool]) -> Iterator[None]:
        """A call that may find the store away, within its limit; `done` gets whether it was done."""
        began = self._clock.time()
        try:
            yield
            done.append(True)
        except syncstring.StoreUnavailable:
            self.refused += 1
            done.append(False)
        finally:
            self.slowest = max(self.slowest, self._clock.time() - began - limit)

    def options(self) -> dict[str, Any]:
        order = self.order
        return {
            "author": order["author"],
            "limit": LIMIT,
            "outbox": order.get("outbox"),
            **order.get("options", {}),
        }


class _Blocking(_Worker):
    """A writer, packer or reader, through `syncstring.open`."""

    def opened(self) -> Any:
        while True:
            done: list[bool] = []
            with self.timed(2 * LIMIT, done):
                document = syncstring.open(self.order["url"], self.order["name"], **self.options())
            if done[0]:
                self.note(opened=os.getpid())
                return document
            time.sleep(0.1)

    def flush(self, document: Any) -> bool:
        done: list[bool] = []
        with self.timed(LIMIT, done):
            document.flush(LIMIT)
        if done[0]:
            self.note_acknowledged()
        return done[0]

    def sync(self, document: Any) -> bool:
        done: list[bool] = []
        with self.timed(2 * LIMIT, done):
            document.sync(LIMIT)
        return done[0]

    def work(self, document: Any) -> None:
        if self.order["role"] == "packer":
            self.sync(document)
            with suppress(syncstring.StoreUnavailable):
                document.pack(everything=self.chance.random() < 0.3)
            time.sleep(self.chance.random() * 0.4)
        elif self.order["role"] == "reader":
            document.pull()
            time.sleep(0.02)
        else:
            for _ in range(self.chance.randint(1, 3)):
                if (patch := type_something(document, self.chance)) is not None:
                    self.note_made((patch.id.time, patch.id.session))
            self.flush(document)
            if self.chance.random() < 0.3:
                self.sync(document)
            time.sleep(self.chance.random() * 0.02)

    def run(self) -> NoReturn:
        document = self.opened()
        working = True
        while True:
            word, rest = self.word()
            working = working and not word
            if word == "flush":
                while not self.flush(document):
                    pass
                self.note(said=word)
            elif word == "read":
                while not self.sync(document):
                    pass
                self.note_read(document)
            elif word == "pull":
                while digest(document.text) != rest:
                    document.pull()
                    time.sleep(0.01)
                self.note_read(document)
            elif working:
                self.work(document)
            else:
                time.sleep(0.005)


class _Live(_Worker):
    """A writer through `syncstring.connect`, which never asks for anything: what others do has to come."""

    joining: Any  # held: whoever drops it leaves

    async def joined(self) -> Any:
        order = self.order
        while True:
            done: list[bool] = []
            with self.timed(LIMIT, done):
                # Who has an outbox needn't wait for the store at all.
                self.joining = syncstring.connect(
                    order["url"], order["name"], offline="outbox" in order, **self.options()
                )
                session = await self.joining.__aenter__()
            if done[0]:
                self.note(opened=os.getpid())
                return session
            await asyncio.sleep(0.1)

    async def flush(self, session: Any) -> bool:
        done: list[bool] = []
        with self.timed(LIMIT, done):
            await session.flush(LIMIT)
        if done[0]:
            self.note_acknowledged()
        return done[0]

    async def work(self, editor: Editor) -> None:
        for _ in range(self.chance.randint(1, 3)):
            if (id := editor.type(self.chance)) is not None:
                self.note_made(id)
        await self.flush(editor.session)
        await asyncio.sleep(self.chance.random() * 0.02)

    async def run(self) -> NoReturn:
        session = await self.joined()
        editor = Editor(session)
        working = True
        while True:
            word, rest = self.word()
            working = working and not word
            if word == "flush":
                while not await self.flush(session):
                    pass
                await session.until("live")
                self.note(said=word)
            elif word == "await":
                await editor.shows(lambda text: digest(text) == rest, 150)  # noqa: B023  # awaited here
                self.note(said=word)
            elif word == "read":
                self.note_read(session.document)
            elif working:
                await self.work(editor)
            else:
                await asyncio.sleep(0.005)


def _shift_clock(seconds: float) -> None:
    """Have this process live so much later, or earlier, as far as the time of day goes."""
    clock, clock_ns = time.time, time.time_ns
    time.time = lambda: clock() + seconds
    time.time_ns = lambda: clock_ns() + round(seconds * 1e9)


def main() -> NoReturn:
    order = json.loads(sys.argv[1])
    faulthandler.register(signal.SIGUSR1)  # on which it says where it is
    _shift_clock(order.get("off", 0))
    if order["role"] == "live":
        asyncio.run(_Live(order).run())
    _Blocking(order).run()


if __name__ == "__main__":
    main()
