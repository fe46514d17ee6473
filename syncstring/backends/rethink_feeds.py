"""Changes of a RethinkDB server's tables, to any number of readers, through its breakdowns.

The law of this room. A reader is told `Ready` only when the server has said that from here on every change
comes; whatever the server says that isn't a change, a connection that ends, a heartbeat that isn't heard, is
a `Gap` for all whom it may concern. Then it is tried again, at the next host, after a pause that grows and
that chance spreads. So who scans after each `Ready` misses nothing, and no wait is endless.

Up to `NARROW` documents of a table have a feed each; those that come then share one of the whole table,
handed out here, since each feed costs the server a look at every write. When a feed of many readers comes
back, they are told so a few at a time: all of them are going to read again.

The heartbeat: a client writes a row of its own now and then, and listens to it on the connection that its
feeds are on. It doesn't know rows but by `decode`. Source: RethinkDB 2.4.4, rdb_protocol/changefeed.cc.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from rethinkdb import query as r
from rethinkdb.ast import expr

from syncstring.backends import rethink_queries as queries
from syncstring.backends.feeds import Readers
from syncstring.backends.rethink_schema import HEARTBEAT
from syncstring.backends.rethink_wire import Wire, batches
from syncstring.errors import StoreError
from syncstring.store import EVERYTHING, Changed, Feed, Key, bounded

__all__ = ["Streams"]

NARROW: Final = 64
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 5.0
TOGETHER: Final = 50  # readers that are told `Ready` at once,
BETWEEN: Final = 0.1  # seconds between them: 500 a second
MISSED: Final = 2  # heartbeats in a row until a connection is given up: three after the last that was heard
FORGOTTEN: Final = 86_400  # seconds after which a client's row is nobody's
SERVER_QUEUE: Final = 100_000

Decode = Callable[[str, Any], tuple[Changed, int] | None]


class _Stream:
    """One changefeed of the server, and who reads it."""

    def __init__(self, streams: Streams, table: str, lower: Key, upper: Key) -> None:
        self.table = table
        self.lower = lower
        self.upper = upper
        self.readers = Readers(streams.limit)
        self.live = False
        self.empty = asyncio.Event()  # nobody reads any more
        self._streams = streams
        self._trouble = ""
        self._round = 0
        self._task = asyncio.ensure_future(self._run())

    def feed(self, lower: Key, upper: Key) -> Feed:
        reader = _Leaving(self.readers.feed(self.table, lower, upper), self)
        if self.live:
            reader.inner.ready()
        elif self._trouble:
            reader.inner.gap(self._trouble)
        return reader

    def left(self) -> None:
        if not len(self.readers):
            self._streams.forget(self)
            self._task.cancel()

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._listen()
            except (StoreError, TimeoutError) as error:
                reason = str(error) or "the feed didn't begin in time"
            except (
                Exception
            ) as error:  # of whatever the server may have said: a feed that died would be silent
                reason = f"the feed broke: {type(error).__name__}: {error}"
            else:
                reason = "the feed ended"
            if self.live:
                pause = FIRST_PAUSE
            self.broke(reason)
            await asyncio.sleep(pause * (0.5 + random.random()))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _listen(self) -> None:
        wire = self._streams.wire
        between = r.table(self.table).between(list(self.lower), list(self.upper))
        feed = between.changes(include_states=True, squash=False, changefeed_queue_size=self._streams.queue)
        async with asyncio.timeout(self._streams.patience) as limit:
            cursor = await wire.run(feed)
            async for items in batches(cursor, wire.address):
                for item in items:
                    self._take(item)
                if self.live and limit.when() is not None:
                    limit.reschedule(None)  # from here on the heartbeat watches over it

    def _take(self, item: dict[str, Any]) -> None:
        if item.get("state") == "ready":
            self._begin()
        elif "new_val" in item or "old_val" in item:
            if self.live and (change := self._streams.decode(self.table, item)) is not None:
                self.readers.publish(self.table, *change)
        elif "state" not in item:
            # The server threw away what waited for us, and goes on.
            self.broke(f"overflow: {str(item.get('error', item))[:200]}")
            self._begin()

    def _begin(self) -> None:
        self.live = True
        self._trouble = ""
        self._round += 1
        waiting = self.readers.unready()
        for reader in waiting[:TOGETHER]:
            reader.ready()
        if len(waiting) > TOGETHER:
            self._streams.keep(self._begin_by_and_by(self._round, waiting[TOGETHER:]))

    async def _begin_by_and_by(self, round: int, waiting: list[Any]) -> None:
        random.shuffle(waiting)
        while waiting and self.live and self._round == round:
            await asyncio.sleep(BETWEEN * (0.5 + random.random()))
            if self.live and self._round == round:
                for reader in waiting[:TOGETHER]:
                    reader.ready()
                del waiting[:TOGETHER]

    def broke(self, reason: str) -> None:
        if self.live or not self._trouble:  # told once
            self.readers.gap(reason)
            self._trouble = reason
        self.live = False

    async def end(self) -> None:
        """End it: its readers get what waits, then `StoreError`."""
        self.readers.close()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


class _Leaving(Feed):
    """A reader that says when it leaves."""

    def __init__(self, inner: Any, stream: _Stream) -> None:
        self.inner = inner
        self._stream = stream

    @property
    def waiting(self) -> int:
        """How many changes wait to be read."""
        return int(self.inner.waiting)

    async def __anext__(self) -> Any:
        return await self.inner.__anext__()

    async def aclose(self) -> None:
        await self.inner.aclose()
        self._stream.left()


class Streams:
    """All feeds of one client, on one connection.

    `limit` changes wait for each reader at most, `queue` in the server for each feed. A feed begins within
    `patience` seconds, or is tried again; every `beat` seconds a heartbeat is written, through `writes`."""

    def __init__(self, wire: Wire, decode: Decode, writes: Wire, limit: int, beat: float, name: str) -> None:
        self.wire = wire
        self.decode = decode
        self.limit = limit
        self.queue = max(1, min(10 * limit, SERVER_QUEUE))
        self.patience = 2 * MISSED * beat
        self.name = name
        self.closed = False
        self._writes = writes
        self._beat = beat
        self._streams: dict[tuple[str, Key, Key], _Stream] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pulse: asyncio.Task[None] | None = None
        wire.lost = self._lost

    def _lost(self, reason: str) -> None:
        for stream in self._streams.values():
            stream.broke(reason)

    def __len__(self) -> int:
        """How many feeds the server keeps for us."""
        return len(self._streams)

    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        """A reader of one range. `PatchError` for one that none can be."""
        bounded(table, lower, upper)
        if self.closed:
            raise StoreError("the store was closed; open it again")
        if self._pulse is None:
            self._pulse = asyncio.ensure_future(self._live_on())
        place = (table, lower, upper)
        if place not in self._streams and self._crowded(table) and lower:
            place = (table, *EVERYTHING)
        if place not in self._streams:
            self._streams[place] = _Stream(self, *place)
        return self._streams[place].feed(lower, upper)

    def _crowded(self, table: str) -> bool:
        return sum(name == table for name, _, _ in self._streams) >= NARROW

    def forget(self, stream: _Stream) -> None:
        """Nobody reads it any more."""
        place = (stream.table, stream.lower, stream.upper)
        if self._streams.get(place) is stream:
            del self._streams[place]

    def keep(self, work: Any) -> None:
        """Have something done beside."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- the heartbeat ------------------------------------------------------------

    async def _live_on(self) -> None:
        """A heartbeat that ended by some defect would be silence for ever."""
        swept = False
        while True:
            try:
                if not swept:
                    with suppress(StoreError, TimeoutError):  # clients that were killed leave their row
                        async with asyncio.timeout(self._beat):
                            await self._writes.run(queries.sweep(HEARTBEAT, FORGOTTEN))
                swept = True
                await self._beat_on()
            except Exception as error:
                self.wire.drop(f"the heartbeat broke: {error!r:.200}")
            await asyncio.sleep(self._beat)

    async def _beat_on(self) -> None:
        """As long as there are feeds: write, and see that it is heard."""
        row = r.table(HEARTBEAT).get(self.name)
        loop = asyncio.get_running_loop()
        said = heard = missed = dialed = 0
        sure = True  # whether the last one was heard
        listening: asyncio.Task[None] | None = None
        news = asyncio.Event()

        async def listen() -> None:
            nonlocal heard
            cursor = await self.wire.run(row.changes(include_initial=True, squash=True))
            async for items in batches(cursor, self.wire.address):
                for item in items:
                    heard = max(heard, int((item.get("new_val") or {}).get("n", 0)))
                news.set()

        async def within_a_beat(work: Awaitable[Any]) -> bool:
            try:
                async with asyncio.timeout(self._beat):
                    await work
            except (TimeoutError, StoreError):
                return False
            return True

        async def hear() -> None:
            while heard < said:
                news.clear()
                await news.wait()

        while True:
            due = loop.time() + self._beat * (0.8 + 0.2 * random.random())
            if self._streams:
                if listening is None or listening.done():
                    listening = asyncio.ensure_future(listen())
                    listening.add_done_callback(_looked_at)
                    self.keep(listening)
                if dialed != self.wire.dialed:
                    dialed, missed = self.wire.dialed, 0  # those were another connection's
                said += 1
                before = self.wire.received
                writing = within_a_beat(self._writes.run(queries.beat(HEARTBEAT, self.name, said)))
                if sure:
                    wrote, answers = await writing, False
                else:
                    wrote, answers = await asyncio.gather(writing, within_a_beat(self.wire.run(expr(1))))
                # Where it can't be written, by the other connection or for want of rights, that says nothing
                # of this one, which is then asked itself.
                alive = await within_a_beat(hear()) if wrote else answers
                sure = wrote and alive
                if not wrote:
                    self._writes.doubt()
                # Where something else came, the line is slow, or full.
                missed = 0 if alive or self.wire.received > before else missed + 1
                if missed >= MISSED:
                    self.wire.drop(f"missed heartbeat: {MISSED} in a row, {self._beat:g} s each")
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def close(self) -> None:
        """End every feed. Twice is fine."""
        self.closed = True
        for stream in list(self._streams.values()):
            await stream.end()
        tasks = [*self._tasks, *([self._pulse] if self._pulse else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._pulse is not None:
            with suppress(StoreError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._writes.run(r.table(HEARTBEAT).get(self.name).delete(durability="soft"))
            self._pulse = None


def _looked_at(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
