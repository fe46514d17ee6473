"""The contract in one SQLite file, for any number of processes on one machine.

The law of this room. What is acknowledged was synced to disk (WAL, `synchronous=FULL`, one `BEGIN IMMEDIATE`
transaction for all that waited: group commit). Every change goes into the table `changes` in the same
transaction, in the order of commits; feeds are read from there, so other processes' changes and our own
come by one way. That table is cut short; who falls behind its beginning gets a `Gap`.

One thread writes and one reads, each with a connection of its own; the event loop never waits for the disk,
and between its jobs the reading one looks for changes, as long as somebody reads a feed. A store belongs to
one event loop and one process. Opened at once, it has no threads until it is started: what is read by then is
read by whoever asks. It doesn't know documents. Not for network file systems: WAL needs shared
memory. Facts: sqlite.org/wal.html, /pragma.html; the WAL-reset bug of versions before 3.51.3.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar

from syncstring.backends import sqlite_file as sql
from syncstring.backends.feeds import QUEUE, Readers
from syncstring.errors import PatchError, StoreError, StoreUnavailable, SyncstringError
from syncstring.store import (
    Changed,
    Feed,
    Key,
    Row,
    Standing,
    Store,
    Verdict,
    bounded,
    checked,
    key_of,
)

__all__ = ["SqliteStore"]

CHANGES_KEPT = 50_000
TOGETHER = 500  # calls in one transaction, keys in one read, changes in one look
POLL = 0.02  # seconds between two looks at the file
POLL_IDLE = 0.04  # with the waking before it a look costs 100 to 200 us: half a percent of a core
TROUBLED = 0.2  # while it can't be looked at
QUIET = 50  # looks that found nothing, until it is idle

T = TypeVar("T")


class _Job(NamedTuple):
    """Something to do in a thread, and who waits for it."""

    work: Callable[[sqlite3.Connection], Any]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]


_Done: TypeAlias = tuple[_Job, Any, BaseException | None]


class SqliteStore(Store):
    """Rows in an SQLite file."""

    schemes: ClassVar[tuple[str, ...]] = ("sqlite",)

    def __init__(self, path: str, limit: float, queue: int, connect: sql.Connect) -> None:
        self.path = path
        self.url = f"sqlite:{path}"
        self.limit = limit
        self.rows_read = 0
        """How many rows `get` and `scan` gave: what tests of growth count."""
        self.commits = 0
        """How many transactions were written."""
        self.looks = 0
        """How often the file was asked for changes."""
        # A lock is waited for a little less long than for the answer, so that this one says what is wrong.
        self._file = sql.SqliteFile(path, min(10.0, 0.8 * limit), connect)
        self._pid = os.getpid()
        self._closed = False
        self._started = False  # before it, there are no threads: what is asked is done where it is asked
        self._last: _Job | None = None  # the job that closes the file
        self._writes: SimpleQueue[_Job | None] = SimpleQueue()  # None: no more will come
        self._reads: SimpleQueue[_Job | None] = SimpleQueue()  # None: look for changes
        self._born = 0  # the last change before us
        self._trimmed = 0  # up to where changes were dropped
        # Feeds. The event loop writes these:
        self._readers = Readers(queue)
        self._feeding: asyncio.AbstractEventLoop | None = None
        self._round = 0  # raised when readers must begin again
        self._live = False  # whether their `Ready` of this round was said
        self._trouble = ""  # why it can't be
        # And the reading thread these:
        self._begun = 0  # the round that it is in
        self._seen = 0  # the last change that it handed over
        self._version = -1  # of the file, when it looked
        self._quiet = 0
        self._due = 0.0  # when to look again
        self._handing = False  # changes are on their way to the event loop: more wait in the file, not here

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        limit: float = 30.0,
        queue: int = QUEUE,
        create: bool = True,
        read_only: bool = False,
        connect: sql.Connect = sql.dial,
        **unknown: Any,
    ) -> SqliteStore:
        """Open the file, made if it isn't there and `create` says so.

        `CorruptStore` if it is no database of ours, `UnsupportedVersion` if a later version made it,
        `StoreUnavailable` if it is locked, `StoreError` if it is not there or can't be opened. A file that
        can't be written is opened for reading (`read_only`); writing then raises `StoreError`.
        """
        if unknown:
            raise PatchError(f"an SQLite store has no option {', '.join(unknown)}")
        store = cls(url.removeprefix("sqlite:"), limit, queue, connect)
        store.start()

        def work(_: sqlite3.Connection) -> None:
            store._file.open(create, read_only)
            assert store._file.reader is not None
            store._born = sql.newest(store._file.reader)[0]

        try:
            await store._ask(store._reads, work)
        except BaseException:
            store._end()
            raise
        return store

    @classmethod
    def open_at_once(
        cls,
        url: str,
        *,
        limit: float = 30.0,
        queue: int = QUEUE,
        connect: sql.Connect = sql.dial,
        **others: Any,
    ) -> SqliteStore | None:
        """A file that is there, in order, and locked by nobody. Its feeds begin with the changes that come
        after the last one that is noted in it now: what is read after that has all those before."""
        if others:
            return None
        try:
            store = cls(url.removeprefix("sqlite:"), limit, queue, connect)
        except SyncstringError:
            return None
        if not store._file.open_at_once():
            return None
        try:
            store._born = store._seen = store._here(sql.newest)[0]
        except BaseException as error:
            store._file.close()
            if isinstance(error, SyncstringError):
                return None
            raise
        store._live = True
        return store

    def start(self) -> None:
        self._usable()
        if self._started:
            raise StoreError(f"{self.path} was not opened at once, or is started already")
        self._feeding = asyncio.get_running_loop()
        self._file.settle()
        self._started = True
        try:
            for run in (self._write_all, self._read_all):
                threading.Thread(target=run, daemon=True, name=f"syncstring-sqlite{run.__name__}").start()
        except RuntimeError as error:
            self._started = False
            self._writes.put(None)  # the one that may be there ends
            raise StoreUnavailable(f"{self.path}: no threads for it: {error}; try again") from None
        self._reads.put(None)

    @property
    def read_only(self) -> bool:
        """Whether it can only be read."""
        return self._file.read_only

    # --- asking ------------------------------------------------------------

    def _usable(self) -> None:
        if self._pid != os.getpid():
            # SQLite's locks are the process's, and a fork believes it has its parent's.
            raise StoreError(f"{self.path} was opened before this process was forked; spawn one instead")
        if self._closed:
            raise StoreError("the store was closed; open it again")

    async def _ask(self, queue: SimpleQueue[_Job | None], work: Callable[[sqlite3.Connection], T]) -> T:
        """Have something done, within our own limit: beyond it, what wasn't begun yet isn't done any more."""
        self._usable()
        if not self._started:
            return self._here(work)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        queue.put(_Job(work, loop, answer))
        try:
            async with asyncio.timeout(self.limit):
                return await answer
        except TimeoutError:
            raise StoreUnavailable(f"{self.path}: no answer within {self.limit:g} s; try again") from None

    def _here(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do it in this thread: there is no other yet."""
        assert self._file.reader is not None
        try:
            return work(self._file.reader)
        except sqlite3.Error as error:
            raise sql.ours(self.path, error) from error

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._ask(self._reads, work)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._usable()
        if self.read_only:
            raise StoreError(f"{self.path} can't be written: it is open for reading only")
        if not self._started:
            raise StoreError(f"{self.path} was opened at once, and nothing is written before it is started")
        return await self._ask(self._writes, work)

    # --- the writing thread ------------------------------------------------------------

    def _write_all(self) -> None:
        more = True
        while more:
            jobs = [self._writes.get()]
            while len(jobs) < TOGETHER and not self._writes.empty():
                jobs.append(self._writes.get())
            more = None not in jobs
            if wanted := [job for job in jobs if job is not None and not job.answer.cancelled()]:
                _answer(self._transaction(wanted))
        self._reads.put(self._last)

    def _transaction(self, jobs: list[_Job]) -> list[_Done]:
        """All of it, synced, or none."""
        try:
            with sql.told(self.path):
                self._file.check()
                db = self._file.for_writing()
                db.execute("BEGIN IMMEDIATE")
                with sql.transaction_of(db):
                    last, who = sql.newest(db)
                    results: list[_Done] = [(job, job.work(db), None) for job in jobs]
                    self._trim(db, last)
            self._file.check()
        except BaseException as error:
            if len(jobs) > 1 and not isinstance(error, StoreUnavailable):
                # Whoever is to blame fails alone.
                return [result for job in jobs for result in self._transaction([job])]
            return [(job, None, error) for job in jobs]
        self.commits += 1
        if last > self._born and who != _process():
            self._tell(jobs[0].loop, _warn_once)
        if len(self._readers):
            self._reads.put(None)
        return results

    def _trim(self, db: sqlite3.Connection, last: int) -> None:
        if last - self._trimmed > CHANGES_KEPT * 9 // 8:
            self._trimmed = last - CHANGES_KEPT
            sql.forget(db, self._trimmed)

    # --- the contract ------------------------------------------------------------

    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        checked(table, rows)
        given = [sql.kept(row) for row in rows]

        def work(db: sqlite3.Connection) -> list[Verdict]:
            verdicts, names = [], []
            for new in given:
                if isinstance(new, str):
                    verdicts.append(Verdict("refused", reason=new))
                elif sql.put_if_absent(db, table, new):
                    names.append(new.name)
                    verdicts.append(Verdict("inserted"))
                else:
                    known, _ = sql.find(db, table, new.key)
                    verdicts.append(
                        Verdict("present") if sql.is_kept(known, new) else Verdict("conflict", known)
                    )
            sql.note(db, _process(), table, names)
            return verdicts

        return await self._write(work)

    async def swap(self, table: str, key: Key, old: Row | None, new: Row) -> Verdict:
        checked(table, [key, new])
        if key != key_of(new):
            raise PatchError(f"the new row has the key {key_of(new)!r:.80}, not {key!r:.80}")
        after = sql.kept(new)
        if isinstance(after, str):
            return Verdict("refused", reason=after)
        before = None if old is None else sql.kept(old)

        def work(db: sqlite3.Connection) -> Verdict:
            known, _ = sql.find(db, table, after.key)
            if not sql.is_kept(known, before):
                return Verdict("lost", known)
            sql.put(db, table, after)
            sql.note(db, _process(), table, [after.name])
            return Verdict("swapped")

        return await self._write(work)

    async def delete(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        checked(table, rows)
        given = [sql.kept(row) for row in rows]

        def work(db: sqlite3.Connection) -> list[Verdict]:
            verdicts, names = [], []
            for old in given:
                if isinstance(old, str):
                    verdicts.append(Verdict("refused", reason=old))
                    continue
                known, _ = sql.find(db, table, old.key)
                if known is None:
                    verdicts.append(Verdict("absent"))
                elif sql.is_kept(known, old):
                    sql.delete(db, table, old.key)
                    names.append(old.name)
                    verdicts.append(Verdict("deleted"))
                else:
                    verdicts.append(Verdict("differs", known))
            sql.note(db, _process(), table, names)
            return verdicts

        return await self._write(work)

    async def get(self, table: str, keys: Sequence[Key]) -> list[Row | None]:
        checked(table, keys)
        found: list[Row | None] = []
        for start in range(0, max(len(keys), 1), TOGETHER):
            some = [tuple(key) for key in keys[start : start + TOGETHER]]

            def work(db: sqlite3.Connection, some: list[Key] = some) -> list[Row | None]:
                return [sql.find(db, table, key)[0] for key in some]

            found += await self._read(work)
        self.rows_read += sum(row is not None for row in found)
        return found

    async def scan(self, table: str, lower: Key, upper: Key) -> AsyncIterator[list[Row]]:
        bounded(table, lower, upper)
        after: Key | None = None
        while True:

            def work(db: sqlite3.Connection, after: Key | None = after) -> tuple[list[Row], Key | None]:
                return sql.scan(db, table, after, lower, upper)

            rows, after = await self._read(work)
            self.rows_read += len(rows)
            if rows:
                yield rows
            if after is None:
                return

    async def time(self) -> int:
        self._usable()
        return time.time_ns() // 1_000

    async def standing(self) -> Standing:
        # How far commits are synced is each connection's own: what counts is the one that writes.
        ask = self._read if self.read_only else self._write
        kept = await ask(sql.how_kept)
        advice = []
        if self.read_only:
            del kept["synchronous"]
            advice.append(f"{self.path} can only be read: it, or its folder, can't be written")
        if sqlite3.sqlite_version_info < _MENDED:
            advice.append(_BUG)
        kept["read_only"] = self.read_only
        return Standing(f"SQLite {sqlite3.sqlite_version}", kept, advice=tuple(advice))

    # --- feeds ------------------------------------------------------------

    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        self._usable()
        if self._started and not len(self._readers):
            self._begin_again()  # nobody looked meanwhile
        reader = self._readers.feed(table, lower, upper)
        if self._live:
            reader.ready()
        elif self._trouble:
            reader.gap(self._trouble)
        if self._started:
            self._feeding = asyncio.get_running_loop()
            self._reads.put(None)
        return reader

    def _begin_again(self) -> None:
        self._live = False
        self._round += 1

    def _go_live(self, round: int) -> None:
        if round == self._round:
            self._live = True
            self._trouble = ""
            self._readers.ready()

    def _break(self, reason: str) -> None:
        self._trouble = reason
        self._readers.gap(reason)
        self._begin_again()

    def _hand(self, changes: list[tuple[str, Changed, int]]) -> None:
        for table, change, size in changes:
            self._readers.publish(table, change, size)
        self._handing = False
        self._reads.put(None)

    # --- the reading thread ------------------------------------------------------------

    def _read_all(self) -> None:
        while True:
            job = None
            with suppress(Empty):
                wait = max(self._due - time.monotonic(), 0.0) if len(self._readers) else None
                job = self._reads.get(timeout=wait)
            if job is not None and job is self._last:
                _answer([self._done(job, check=False)])
                return
            if job is not None and not job.answer.cancelled():
                _answer([self._done(job)])
            if job is None or time.monotonic() >= self._due:
                self._look()

    def _done(self, job: _Job, check: bool = True) -> _Done:
        try:
            with sql.told(self.path):
                if check:
                    self._file.check()
                result = job.work(self._file.reader)  # type: ignore[arg-type]  # None for opening and closing
                if check:
                    self._file.check()
                return job, result, None
        except BaseException as error:
            return job, None, error

    def _look(self) -> None:
        """Hand over what changed: at once after our own commits, soon after others'."""
        db = self._file.reader
        wait = POLL
        if len(self._readers) and not self._handing and db is not None:
            self.looks += 1
            try:
                with sql.told(self.path):
                    self._file.check()
                    wait = self._look_into(db)
            except StoreError as error:
                self._stop(str(error))
                wait = TROUBLED
        self._due = time.monotonic() + wait

    def _stop(self, reason: str) -> None:
        if self._begun >= 0:  # told once
            self._tell(self._feeding, self._break, reason)
        self._begun = -1

    def _look_into(self, db: sqlite3.Connection) -> float:
        """How long to wait then."""
        version = sql.data_version(db)
        if self._begun != self._round:
            round = self._round
            self._seen = sql.newest(db)[0]
            self._version, self._begun = version, round
            self._tell(self._feeding, self._go_live, round)
        elif version == self._version:
            self._quiet += 1
        else:
            self._quiet = 0
            found = sql.noted(db, self._seen, TOGETHER)
            last = found[-1].seq if found else sql.newest(db)[0]
            if last < self._seen or (found and found[0].seq != self._seen + 1):
                self._stop("overflow: the file's list of changes was cut short meanwhile")
                return 0.0
            if self._hand_over(db, found) and len(found) < TOGETHER:
                self._version = version
            else:
                return 0.0
        return POLL if self._quiet < QUIET else POLL_IDLE

    def _hand_over(self, db: sqlite3.Connection, found: list[sql.Noted]) -> bool:
        """Whether that was all of it: rows beyond some bytes come the next time."""
        changes: dict[tuple[str, Key], tuple[str, Changed, int]] = {}
        total = 0
        for seq, who, table, key in found:
            if seq > self._born and who != _process():
                self._tell(self._feeding, _warn_once)
            if (table, key) not in changes and self._readers.wants(table, key):
                row, size = sql.find(db, table, key)
                changes[table, key] = (table, Changed({"id": list(key)} if row is None else None, row), size)
                total += size
            self._seen = seq
            if total > sql.BATCH_BYTES:
                break
        if changes:
            self._handing = True
            self._tell(self._feeding, self._hand, list(changes.values()))
        return total <= sql.BATCH_BYTES

    @staticmethod
    def _tell(loop: asyncio.AbstractEventLoop | None, what: Callable[..., None], *args: Any) -> None:
        if loop is not None:
            with suppress(RuntimeError):  # it was closed: nobody is there any more
                loop.call_soon_threadsafe(what, *args)

    # --- closing ------------------------------------------------------------

    def _end(self) -> asyncio.Future[Any]:
        """Have both threads end, when all that was asked for is done."""
        if self._last is None:
            self._closed = True
            self._readers.close()
            loop = asyncio.get_running_loop()
            self._last = _Job(lambda _: self._file.close(), loop, loop.create_future())
            self._writes.put(None)
        return self._last.answer

    async def close(self) -> None:
        if self._pid != os.getpid():
            return  # a fork has neither the threads nor the locks; the file is its parent's
        if not self._started:
            self._closed = True
            self._readers.close()
            self._file.close()
            return
        try:
            async with asyncio.timeout(self.limit):
                await asyncio.shield(self._end())
        except TimeoutError:
            raise StoreUnavailable(
                f"{self.path} is still being written; it closes when that is done"
            ) from None


def _answer(results: list[_Done]) -> None:
    """Tell those who wait, in their own threads."""
    for loop in {job.loop for job, _, _ in results}:
        with suppress(RuntimeError):  # it was closed: nobody is there any more
            loop.call_soon_threadsafe(_settle, [result for result in results if result[0].loop is loop])


def _settle(results: list[_Done]) -> None:
    for job, value, error in results:
        if job.answer.done():
            continue
        if error is None:
            job.answer.set_result(value)
        elif not isinstance(error, StoreError):
            job.answer.set_exception(error)
        else:  # to each their own: raising one writes into it
            mine = type(error)(str(error))
            mine.__cause__ = error.__cause__
            job.answer.set_exception(mine)


# --- who is here ------------------------------------------------------------

_who = (0, 0)
_warned = False
_MENDED = (3, 51, 3)
_BUG = (
    f"SQLite {sqlite3.sqlite_version} has a rare bug that can corrupt a file which several processes write "
    "at the same instant (fixed in 3.51.3); upgrade SQLite, keep backups"
)


def _process() -> int:
    """A number that this process alone has; its forks have others."""
    global _who
    if _who[0] != os.getpid():
        _who = (os.getpid(), secrets.randbits(31))
    return _who[1]


def _warn_once() -> None:
    """Another process writes too, and the library is one of those that may corrupt a file then."""
    global _warned
    if not _warned and sqlite3.sqlite_version_info < _MENDED:
        _warned = True
        warnings.warn(_BUG, RuntimeWarning, stacklevel=1)
