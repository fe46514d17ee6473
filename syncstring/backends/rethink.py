"""The contract in a RethinkDB cluster: the store of production.

The law of this room. What is acknowledged was synced by a majority of the replicas; what a read shows was
made so before it was shown (majority reads). A row goes in by one query that tells same from other contents,
so sending it again is free and no row replaces another. Rows of many callers go in together, some hundred a
query; each gets its own verdict, and one that the server refuses takes no other along. What the server
certainly didn't do is asked again within the caller's limit; where it may have been done, the caller is told.

It uses two connections: feeds and their heartbeat on one, everything else on the other, since an answer that
is large or late must not hold changes up. A store belongs to one event loop and one process. It doesn't know
documents. What the server really does, of which some is surprising: RethinkDB 2.4.4's documentation and
source (rdb_protocol/real_table.cc, clustering/table_contract/executor/exec_primary.cc for majority reads).
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

from rethinkdb import query as r

from syncstring.backends import rethink_queries as queries
from syncstring.backends.feeds import QUEUE
from syncstring.backends.rethink_feeds import Streams
from syncstring.backends.rethink_schema import AWAY, NEVER, Standing, look, prepare
from syncstring.backends.rethink_wire import Address, NotNow, Wire, batches, leave
from syncstring.errors import PatchError, StoreError, StoreUnavailable
from syncstring.store import (
    Feed,
    Image,
    Key,
    Row,
    Store,
    Verdict,
    bounded,
    checked,
    image,
    key_of,
    restored,
)

__all__ = ["RethinkStore"]

TOGETHER: Final = 128  # rows of one query: the server writes no more than that at once
TOGETHER_BYTES: Final = 4 << 20
QUERIES: Final = 4  # inserting queries under way at once, for each table
KEYS: Final = 500  # of one read
FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.5
BEAT: Final = 5.0
OPENING: Final = 30.0  # seconds, at least
CALLS_PAUSE: Final = 1.0  # seconds that a host which didn't answer is left alone, at most
FEEDS_PAUSE: Final = 5.0

T = TypeVar("T")

_WHY: ContextVar[list[str]] = ContextVar("why")
"""What the server said last to a call, where it said that it isn't done."""


class _Lot(NamedTuple):
    """Some rows of one call to `insert`, in the server's form."""

    rows: list[str]
    size: int
    answer: asyncio.Future[list[Verdict]]


class _Entry:
    """How rows get into one table: several callers' in one query, a few queries at a time."""

    def __init__(self) -> None:
        self.waiting: deque[_Lot] = deque()
        self.running = 0


class RethinkStore(Store):
    """Rows in the tables of a RethinkDB database."""

    schemes: ClassVar[tuple[str, ...]] = ("rethinkdb", "rethinkdbs")
    tears: ClassVar[bool] = True

    def __init__(self, address: Address, limit: float, queue: int, beat: float, read_only: bool) -> None:
        self.address = address
        self.read_only = read_only
        self.url = str(address)
        self.limit = limit
        self.rows_read = 0
        """How many rows `get` and `scan` gave: what tests of growth count."""
        self.queries = 0
        """How many queries were sent."""
        self._pid = os.getpid()
        self._loop = asyncio.get_running_loop()
        self._ending: asyncio.Task[None] | None = None
        self._closed = False
        self._wire = Wire(address, CALLS_PAUSE)
        self._entries: dict[str, _Entry] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.streams = Streams(
            Wire(address, FEEDS_PAUSE), queries.change_of, self._wire, queue, beat, secrets.token_hex(8)
        )
        """Its feeds."""

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        limit: float = 30.0,
        queue: int = QUEUE,
        create: bool = True,
        read_only: bool = False,
        beat: float = BEAT,
        check: bool = True,
        **unknown: Any,
    ) -> RethinkStore:
        """Connect; the database and its tables are made where they aren't there and `create` says so.

        `StoreUnavailable` if no host answers; `StoreError` if it refuses us, if something is missing, or if,
        as far as we may look, acknowledged rows could be lost there (unless `check` is False);
        `UnsupportedVersion` if a later version made it. Making tables may take 30 s, or `limit` if
        that is more. `beat` is the seconds between two heartbeats.
        """
        if unknown:
            raise PatchError(f"a RethinkDB store has no option {', '.join(unknown)}")
        store = cls(Address.parsed(url), limit, queue, beat, read_only)
        try:
            if check or create:  # else it is only to be looked at
                await store._prepare(create and not read_only)
            wrong = (await store.standing()).findings if check else ()
            if wrong := tuple(each for each in wrong if AWAY not in each):  # that one passes
                raise StoreError(f"{store.url} can't be trusted with patches: {'; '.join(wrong)}")
        except BaseException:
            await store.close()
            raise
        return store

    async def _prepare(self, making: bool) -> None:
        db = self.address.db
        try:
            if await self._within(lambda: prepare(self._tried, db, False)):
                return
        except StoreUnavailable:
            raise
        except StoreError:
            if not making:
                raise
        if making:  # some dozens of questions, and tables take their time to be made
            await self._within(lambda: prepare(self._tried, db, True), max(self.limit, OPENING))

    async def standing(self) -> Standing:
        """What the database looks like, and what is wrong with it."""
        return await self._within(lambda: look(self._tried, self.address.db))

    # --- asking ------------------------------------------------------------

    def _writable(self) -> None:
        self._usable()
        if self.read_only:
            raise StoreError(f"{self.url} was opened for reading only")

    def _usable(self) -> None:
        if self._pid != os.getpid():
            raise StoreError(f"{self.url} was opened before this process was forked; open it again")
        if self._loop is not asyncio.get_running_loop():
            raise StoreError(f"{self.url} was opened in another event loop; open it again in this one")
        if self._closed:
            raise StoreError("the store was closed; open it again")

    async def _within(self, work: Callable[[], Awaitable[T]], limit: float = 0.0) -> T:
        """Do something within our own limit."""
        self._usable()
        limit = limit or self.limit
        why: list[str] = []
        mine = _WHY.set(why)
        try:
            async with asyncio.timeout(limit):
                return await work()
        except TimeoutError:
            self._wire.doubt()
            said = f": {why[0]}" if why else ""
            raise StoreUnavailable(f"{self.url}: no answer within {limit:g} s{said}; try again") from None
        finally:
            _WHY.reset(mine)

    async def _tried(self, query: Any) -> Any:
        """Ask, and ask again as long as it certainly wasn't done. For whoever sets a limit."""
        pause = FIRST_PAUSE
        why = _WHY.get([])
        while True:
            self._usable()
            self.queries += 1
            try:
                return await self._wire.run(query)
            except NotNow as error:
                why[:] = [str(error)]
                await asyncio.sleep(pause * (0.5 + random.random()))
                pause = min(2 * pause, LONGEST_PAUSE)

    def _ask(self, query: Any) -> Awaitable[Any]:
        return self._within(lambda: self._tried(query))

    def _go(self, work: Any) -> asyncio.Task[Any]:
        """Do something that goes on when its caller is gone."""
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- inserting ------------------------------------------------------------

    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        checked(table, rows)
        self._writable()
        verdicts: list[Verdict | None] = [None] * len(rows)
        first: dict[Key, tuple[int, Image]] = {}
        again: list[tuple[int, Image]] = []
        for number, row in enumerate(rows):
            try:
                kept = image(row)
            except ValueError as error:
                verdicts[number] = Verdict("refused", reason=str(error))
                continue
            if key_of(row) in first:
                again.append((number, kept))
            else:
                first[key_of(row)] = (number, kept)
        fresh = list(first.items())
        lots = self._enter(table, [queries.stored(key, kept) for key, (_, kept) in fresh])
        answers = await self._within(lambda: asyncio.gather(*(lot.answer for lot in lots)))
        for (_, (number, _)), verdict in zip(fresh, [v for lot in answers for v in lot], strict=True):
            verdicts[number] = verdict
        for number, kept in again:  # of this very batch: what stands is what its first row met
            key = key_of(rows[number])
            at, before = first[key]
            met = verdicts[at]
            assert met is not None
            if met.fine:
                same = kept == before
                verdicts[number] = Verdict("present") if same else Verdict("conflict", restored(key, before))
            elif met.kind == "conflict" and met.row is not None and image(met.row) == kept:
                verdicts[number] = Verdict("present")
            else:
                verdicts[number] = met
        return [verdict for verdict in verdicts if verdict is not None]

    def _enter(self, table: str, texts: list[str]) -> list[_Lot]:
        """Queue rows to be inserted, in lots that fit a query."""
        entry = self._entries.setdefault(table, _Entry())
        new = asyncio.get_running_loop().create_future
        lots = [_Lot(some, sum(map(len, some)), new()) for some in _portions(texts, len)]
        entry.waiting.extend(lots)
        self._pump(table, entry)
        return lots

    def _pump(self, table: str, entry: _Entry) -> None:
        """Send what waits: together what fits, as long as few queries are under way."""
        while entry.waiting and entry.running < QUERIES:
            lots: list[_Lot] = []
            count = size = 0
            while entry.waiting and (not lots or count + len(entry.waiting[0].rows) <= TOGETHER):
                if lots and size + entry.waiting[0].size > TOGETHER_BYTES:
                    break
                lot = entry.waiting.popleft()
                if not lot.answer.done():  # whoever asked may have given up
                    lots.append(lot)
                    count, size = count + len(lot.rows), size + lot.size
            if lots:
                entry.running += 1
                self._go(self._insert(table, entry, lots))

    async def _insert(self, table: str, entry: _Entry, lots: list[_Lot]) -> None:
        try:
            texts = [text for lot in lots for text in lot.rows]
            try:
                # A little less than its callers wait, who are to be told why.
                verdicts = await self._within(lambda: self._inserted(table, texts), 0.9 * self.limit)
            except StoreUnavailable:
                raise
            except StoreError as error:
                if len(texts) == 1 or self._closed or "permission" in str(error):
                    raise
                # Perhaps one row is to blame: it is to fail alone.
                verdicts = [await self._alone(table, text) for text in texts]
            for lot in lots:
                if not lot.answer.done():
                    lot.answer.set_result(verdicts[: len(lot.rows)])
                del verdicts[: len(lot.rows)]
        except BaseException as error:
            for lot in lots:
                if not lot.answer.done():
                    lot.answer.set_exception(_mine(error))
                    lot.answer.exception()  # whoever asked may be gone
            if not isinstance(error, Exception):
                raise
        finally:
            entry.running -= 1
            if not self._closed:
                self._pump(table, entry)

    async def _alone(self, table: str, text: str) -> Verdict:
        return (await self._within(lambda: self._inserted(table, [text])))[0]

    async def _inserted(self, table: str, texts: list[str]) -> list[Verdict]:
        result = await self._tried(queries.insert(table, texts))
        if result is True:
            return [Verdict("inserted")] * len(texts)
        return [queries.verdict(each) for each in result]

    # --- the contract ------------------------------------------------------------

    async def swap(self, table: str, key: Key, old: Row | None, new: Row) -> Verdict:
        checked(table, [key, new])
        if tuple(key) != key_of(new):
            raise PatchError(f"the new row has the key {key_of(new)!r:.80}, not {key!r:.80}")
        self._writable()
        try:
            kept = image(new)
        except ValueError as error:
            return Verdict("refused", reason=str(error))
        before = None if old is None else queries.expected(old)
        if old is not None and key_of(old) != tuple(key):
            before = ""  # no row is that
        for mark in (False, True):  # the write hook asks for it, where there is one
            after = queries.stored(key_of(new), kept, mark)
            refused, there, won = await self._ask(queries.swap(table, tuple(key), before, after))
            if NEVER not in refused:
                break
        if not won:
            return Verdict("lost", None if there is None else queries.row_of(there))
        return queries.refused(refused) if refused else Verdict("swapped")

    async def delete(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        checked(table, rows)
        self._writable()
        verdicts: list[Verdict] = []
        for some in _portions([(row, queries.expected(row)) for row in rows], lambda each: len(each[1])):
            verdicts += await self._delete(table, some)
        return verdicts

    async def _delete(self, table: str, rows: list[tuple[Row, str]]) -> list[Verdict]:
        """Of rows and their texts, which are empty where no store could keep them."""
        texts = {key_of(row): text for row, text in reversed(rows) if text}
        gone: set[Key] = set()
        kept: dict[Key, tuple[Any, str]] = {}
        if texts:
            # A row that is gone afterwards, by this or by an answer that was lost, is gone.
            for told in await self._ask(queries.delete(table, list(texts.values()))):
                if isinstance(told[0], dict):
                    kept[tuple(told[0]["id"])] = (told[0], told[1])
                else:
                    gone.add(tuple(told))
        verdicts = []
        for row, text in rows:
            key = key_of(row)
            if not text:
                verdicts.append(Verdict("refused", reason=queries.why(row)))
            elif text != texts[key]:  # a second row of this batch under one key
                verdicts += await self._delete(table, [(row, text)])
            elif key in gone:
                gone.remove(key)  # again in this batch, it is absent
                verdicts.append(Verdict("deleted"))
            elif key not in kept:
                verdicts.append(Verdict("absent"))
            elif error := kept[key][1]:
                verdicts.append(queries.refused(error))
            else:
                verdicts.append(Verdict("differs", queries.row_of(kept[key][0])))
        return verdicts

    async def get(self, table: str, keys: Sequence[Key]) -> list[Row | None]:
        checked(table, keys)
        found: dict[Key, Row] = {}
        asked = list(dict.fromkeys(map(tuple, keys)))
        if len(asked) == 1:
            answer = await self._ask(queries.get(table, asked[0]))
            found = {} if answer is None else {asked[0]: queries.row_of(answer)}
        else:
            for start in range(0, len(asked), KEYS):
                async for batch in self._rows(table, queries.read(table, asked[start : start + KEYS])):
                    found.update((key_of(row), row) for row in batch)
        self.rows_read += len(found)
        return [found.get(tuple(key)) for key in keys]

    async def scan(self, table: str, lower: Key, upper: Key) -> AsyncIterator[list[Row]]:
        bounded(table, lower, upper)
        self._usable()
        if lower < upper:
            async with aclosing(self._rows(table, queries.scan(table, lower, upper))) as found:
                async for batch in found:
                    self.rows_read += len(batch)
                    yield batch

    async def _rows(self, table: str, query: Any) -> AsyncGenerator[list[Row], None]:
        """What a query gives, each batch within the limit. It is asked again only before it gave any."""
        cursor = await self._ask(query)
        if not hasattr(cursor, "fetch_next"):
            yield [queries.row_of(each) for each in cursor]
            return
        async with aclosing(batches(cursor, self.address)) as answers:
            while True:
                try:
                    async with asyncio.timeout(self.limit):
                        batch = await anext(answers, None)
                except TimeoutError:
                    self._wire.doubt()
                    await leave(cursor)
                    raise StoreUnavailable(f"{self.url}: no more rows within {self.limit:g} s") from None
                except StoreUnavailable as error:
                    if self._closed:
                        raise StoreError("the store was closed; open it again") from None
                    raise StoreUnavailable(str(error)) from None
                if batch is None:
                    return
                yield [queries.row_of(each) for each in batch if queries.is_ours(table, each)]

    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        self._usable()
        return self.streams.feed(table, lower, upper)

    async def time(self) -> int:
        return round(float(await self._ask(r.now().to_epoch_time())) * 1_000) * 1_000

    async def close(self) -> None:
        if self._pid != os.getpid() or self._loop is not asyncio.get_running_loop():
            return
        if self._ending is None:
            self._closed = True
            self._ending = asyncio.ensure_future(self._end())
        await asyncio.shield(self._ending)  # who is cancelled leaves; it goes on

    async def _end(self) -> None:
        if self._tasks:  # what was begun ends first
            await asyncio.wait(list(self._tasks), timeout=min(self.limit, 10.0))
        await self.streams.close()
        await self.streams.wire.close()
        await self._wire.close()
        for entry in self._entries.values():
            for lot in entry.waiting:
                if not lot.answer.done():
                    lot.answer.set_exception(StoreError("the store was closed; open it again"))
                    lot.answer.exception()


# --- portions ------------------------------------------------------------


def _portions(items: Iterable[T], size_of: Callable[[T], int]) -> Iterable[list[T]]:
    """Items in lots that fit a query."""
    lot: list[T] = []
    size = 0
    for item in items:
        if lot and (len(lot) >= TOGETHER or size + size_of(item) > TOGETHER_BYTES):
            yield lot
            lot, size = [], 0
        lot.append(item)
        size += size_of(item)
    if lot:
        yield lot


def _mine(error: BaseException) -> BaseException:
    """The same error, of one's own: raising one writes into it."""
    if isinstance(error, StoreError):
        return type(error)(str(error))
    return error if isinstance(error, Exception) else StoreError("the store was closed; open it again")
