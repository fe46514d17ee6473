"""The contract in one SQLite file, for any number of processes on one machine.

The law of this room. What is acknowledged was synced to disk (WAL, `synchronous=FULL`, one `BEGIN IMMEDIATE`
transaction for all that waited: group commit). Every change goes into the table `changes` in the same
transaction, in the order of commits; feeds are read from there, so other processes' changes and our own
come by one way. That table is cut short; who falls behind its beginning gets a `Gap`.

One thread writes and one reads, each with a connection of its own; the event loop never waits for the disk.
It doesn't know documents. Not for network file systems: WAL needs shared memory. Facts: sqlite.org/wal.html,
/pragma.html; the WAL-reset bug of versions before 3.51.3.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ClassVar, TypeAlias, TypeVar

from syncstring.backends.feeds import QUEUE, Readers
from syncstring.errors import CorruptStore, StoreError, StoreUnavailable, UnsupportedVersion
from syncstring.store import TABLES, Changed, Feed, Key, Row, Store, Verdict, checked, key_of, refusal, same

__all__ = ["SqliteStore"]

APPLICATION = 0x53594E43  # "SYNC"
FORMAT = 1
BATCH = 500
CHANGES_KEPT = 50_000
POLL = 0.02  # seconds; asking `data_version` costs about 10 us
POLL_IDLE = 0.04

T = TypeVar("T")
_Found: TypeAlias = tuple[str, Key, Row | None]

_SQL_TYPE = {str: "TEXT", int: "INTEGER"}


def _columns(table: str) -> list[str]:
    return [f"k{i}" for i in range(len(TABLES[table]))]


def _schema() -> list[str]:
    tables = [
        f"CREATE TABLE IF NOT EXISTS {table} ("
        + ", ".join(f"k{i} {_SQL_TYPE[kind]} NOT NULL" for i, kind in enumerate(kinds))
        + ", row TEXT NOT NULL, data BLOB, PRIMARY KEY ("
        + ", ".join(_columns(table))
        + "))"
        for table, kinds in TABLES.items()
    ]
    changes = "CREATE TABLE IF NOT EXISTS changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, tbl TEXT, key TEXT)"
    return [*tables, changes]


class SqliteStore(Store):
    """Rows in an SQLite file."""

    schemes: ClassVar[tuple[str, ...]] = ("sqlite",)

    def __init__(self, path: str, limit: float, queue: int) -> None:
        self.path = path
        self.url = f"sqlite:{path}"
        self.limit = limit
        self.rows_read = 0
        """How many rows `get` and `scan` gave: what tests of growth count."""
        self.read_only = False
        self._queue = queue
        self._readers = Readers(queue)
        self._seen = 0  # the last change that feeds know
        self._polling: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._waiting: list[tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._closed = False
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix="syncstring-sqlite-write")
        self._reader_thread = ThreadPoolExecutor(1, thread_name_prefix="syncstring-sqlite-read")
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None

    @classmethod
    async def open(
        cls, url: str, *, limit: float = 30.0, queue: int = QUEUE, create: bool = True, **_: Any
    ) -> SqliteStore:
        """Open the file, made if it isn't there and `create` says so.

        `CorruptStore` if it is no database of ours, `UnsupportedVersion` if a later version made it,
        `StoreUnavailable` if it is locked or can't be opened. A file that can't be written is opened for
        reading; inserts then raise `StoreError`.
        """
        store = cls(url.removeprefix("sqlite:"), limit, queue)
        try:
            await store._on(store._writer_thread, lambda: store._connect(create))
        except BaseException:
            store._shut()
            raise
        return store

    # --- connections ------------------------------------------------------------

    def _connect(self, create: bool) -> None:
        """In the writer's thread: open or make the file, and see that it's ours."""
        path = self.path
        if not path:
            raise StoreError("a store needs a path: sqlite:team.db")
        if not os.path.exists(path) and not create:
            raise StoreError(f"{path}: there is no such file")
        if not os.path.isdir(os.path.dirname(os.path.realpath(path))):
            raise StoreError(f"{path}: there is no folder to make it in")
        if os.path.isdir(path):
            raise StoreError(f"{path} is a folder; a store is a file")
        with _Told(path):
            self._writer = self._connection("rwc" if create else "rw")
            try:
                self._prepare(self._writer)
            except sqlite3.OperationalError as error:
                if "readonly" not in str(error):
                    raise
                self.read_only = True
                self._writer.close()
                self._writer = self._connection("ro")
                self._verify(self._writer)
            self._reader = self._connection("ro" if self.read_only else "rw")
            self._seen = self._newest(self._writer)

    def _connection(self, mode: str) -> sqlite3.Connection:
        from urllib.parse import quote

        db = sqlite3.connect(
            f"file:{quote(os.path.abspath(self.path))}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=min(self.limit, 10.0),
            check_same_thread=False,  # each is used by one thread; close comes from another
        )
        db.execute("PRAGMA trusted_schema=OFF")
        if mode != "ro":
            db.execute("PRAGMA synchronous=FULL")
            db.execute("PRAGMA fullfsync=1")  # where fsync doesn't reach the disk (macOS)
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        if db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            self._verify(db)
        if db.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
            raise StoreUnavailable(f"{self.path}: no write-ahead log can be kept there; use a local disk")
        # Every opener takes the lock once, so that a file that can't be written is found out now.
        db.execute("BEGIN IMMEDIATE")
        try:
            if db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
                db.execute(f"PRAGMA application_id={APPLICATION}")
                for statement in _schema():
                    db.execute(statement)
                db.execute(f"PRAGMA user_version={FORMAT}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self._verify(db)

    def _verify(self, db: sqlite3.Connection) -> None:
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION:
            raise CorruptStore(f"{self.path} is an SQLite file of another program; name another file")
        if version > FORMAT:
            raise UnsupportedVersion(
                f"{self.path} was made by a later syncstring (format {version}); upgrade"
            )

    def _warn_once(self) -> None:
        """Other processes are here, and the library is one of those that may corrupt a file then."""
        global _warned
        if not _warned and sqlite3.sqlite_version_info < (3, 51, 3):
            _warned = True
            warnings.warn(
                f"SQLite {sqlite3.sqlite_version} has a rare bug that can corrupt a file which several "
                "processes write at the same instant (fixed in 3.51.3); upgrade SQLite, keep backups",
                RuntimeWarning,
                stacklevel=2,
            )

    # --- waiting ------------------------------------------------------------

    async def _on(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        """Do something in a thread, with our own limit. What was begun isn't broken off."""
        if self._closed:
            raise StoreError("the store was closed; open it again")
        future = asyncio.get_running_loop().run_in_executor(thread, work)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self.limit)
        except TimeoutError:
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise StoreUnavailable(f"{self.path}: no answer within {self.limit:g} s; try again") from None

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something in the next transaction, together with all that waits by then."""
        if self._closed:
            raise StoreError("the store was closed; open it again")
        if self.read_only:
            raise StoreError(f"{self.path} can't be written: it is read-only")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._commit_all())
        try:
            return await asyncio.wait_for(asyncio.shield(future), self.limit)
        except TimeoutError:
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise StoreUnavailable(
                f"{self.path}: not written within {self.limit:g} s (is it locked?); try again"
            ) from None

    async def _commit_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            loop = asyncio.get_running_loop()
            results = await loop.run_in_executor(
                self._writer_thread, self._transaction, [work for work, _ in batch]
            )
            for (_, future), (value, error) in zip(batch, results, strict=True):
                if future.done():
                    continue
                if error is None:
                    future.set_result(value)
                else:
                    future.set_exception(error)
            self._wake.set()

    def _transaction(
        self, works: list[Callable[[sqlite3.Connection], Any]]
    ) -> list[tuple[Any, BaseException | None]]:
        """In the writer's thread: all of it, synced, or none."""
        db = self._writer
        assert db is not None
        results: list[tuple[Any, BaseException | None]] = []
        try:
            with _Told(self.path):
                db.execute("BEGIN IMMEDIATE")
                try:
                    results = [(work(db), None) for work in works]
                    self._trim(db)
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
        except BaseException as error:
            if len(works) > 1 and not isinstance(error, StoreUnavailable):
                # Whoever is to blame fails alone.
                return [result for work in works for result in self._transaction([work])]
            return [(None, error)] * len(works)
        return results

    def _trim(self, db: sqlite3.Connection) -> None:
        newest = self._newest(db)
        if newest % 1_024 < 64:
            db.execute("DELETE FROM changes WHERE seq <= ?", (newest - CHANGES_KEPT,))

    @staticmethod
    def _newest(db: sqlite3.Connection) -> int:
        found = db.execute("SELECT max(seq) FROM changes").fetchone()[0]
        return int(found) if found is not None else 0

    # --- the contract ------------------------------------------------------------

    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        checked(table, rows)
        refusals = [refusal(row) for row in rows]
        kept = [
            ((), row, "", None) if refused else (key_of(row), row, *_stored(row))
            for row, refused in zip(rows, refusals, strict=True)
        ]

        def work(db: sqlite3.Connection) -> list[Verdict]:
            verdicts = []
            for (key, row, text, data), refused in zip(kept, refusals, strict=True):
                if refused:
                    verdicts.append(Verdict("refused", reason=refused))
                    continue
                known = _read(db, table, key)
                if known is None:
                    _put(db, table, key, text, data)
                    verdicts.append(Verdict("inserted"))
                elif same(known, row):
                    verdicts.append(Verdict("present"))
                else:
                    verdicts.append(Verdict("conflict", known))
            return verdicts

        return await self._write(work) if rows else []

    async def swap(self, table: str, key: Key, old: Row | None, new: Row) -> Verdict:
        checked(table, [key, new])
        text, data = _stored(new)

        def work(db: sqlite3.Connection) -> Verdict:
            known = _read(db, table, key)
            if not same(known, old):
                return Verdict("lost", known)
            _put(db, table, key, text, data)
            return Verdict("swapped")

        return await self._write(work)

    async def delete(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        checked(table, rows)

        def work(db: sqlite3.Connection) -> list[Verdict]:
            verdicts = []
            for row in rows:
                key = key_of(row)
                known = _read(db, table, key)
                if known is None:
                    verdicts.append(Verdict("absent"))
                elif same(known, row):
                    db.execute(f"DELETE FROM {table} WHERE {_where(table)}", key)
                    _note(db, table, key)
                    verdicts.append(Verdict("deleted"))
                else:
                    verdicts.append(Verdict("differs", known))
            return verdicts

        return await self._write(work) if rows else []

    async def get(self, table: str, keys: Sequence[Key]) -> list[Row | None]:
        checked(table, keys)
        found = await self._read(lambda db: [_read(db, table, key) for key in keys])
        self.rows_read += sum(row is not None for row in found)
        return found

    async def scan(self, table: str, lower: Key, upper: Key) -> AsyncIterator[list[Row]]:
        checked(table, ())
        after: Key | None = None
        columns = _columns(table)
        while True:
            # A key is a prefix of the columns; a row value compares as the contract says keys do.
            start = lower if after is None else after
            low = f"({', '.join(columns[: len(start)])}) {'>=' if after is None else '>'} ({_marks(start)})"
            high = f"({', '.join(columns[: len(upper)])}) < ({_marks(upper)})"
            rows = await self._read(_select(table, f"{low} AND {high}", (*start, *upper)))
            if not rows:
                return
            self.rows_read += len(rows)
            after = key_of(rows[-1])
            yield rows
            if len(rows) < BATCH:
                return

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def told() -> T:
            assert self._reader is not None
            with _Told(self.path):
                return work(self._reader)

        return await self._on(self._reader_thread, told)

    async def time(self) -> int:
        if self._closed:
            raise StoreError("the store was closed; open it again")
        return time.time_ns() // 1_000

    # --- feeds ------------------------------------------------------------

    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        checked(table, ())
        if self._closed:
            raise StoreError("the store was closed; open it again")
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        return self._readers.feed(table, lower, upper)

    async def _poll(self) -> None:
        """Look for changes as long as somebody reads: at once after our own, soon after others'."""
        version = -1
        quiet = 0
        while not self._closed:
            ours = self._wake.is_set()
            self._wake.clear()
            try:
                now = await self._read(lambda db: int(db.execute("PRAGMA data_version").fetchone()[0]))
                if now != version or ours:
                    quiet = 0
                    if not ours and version != -1:
                        self._warn_once()
                    version = now
                    await self._deliver()
                else:
                    quiet += 1
            except StoreError as error:
                if self._closed:
                    return
                self._readers.gap(str(error))
                await asyncio.sleep(0.2)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL if quiet < 50 else POLL_IDLE)

    async def _deliver(self) -> None:
        while True:
            seen = self._seen

            def work(db: sqlite3.Connection, seen: int = seen) -> tuple[int, list[_Found]]:
                db.execute("BEGIN")
                try:
                    first = db.execute("SELECT min(seq) FROM changes").fetchone()[0]
                    query = "SELECT seq, tbl, key FROM changes WHERE seq > ? ORDER BY seq LIMIT 2000"
                    found = db.execute(query, (seen,)).fetchall()
                    if first is not None and first > seen + 1 and seen:
                        return self._newest(db), [("", (), None)]
                    changes: list[_Found] = []
                    for _, table, written in found:
                        key = tuple(json.loads(written))
                        changes.append((table, key, _read(db, table, key)))
                    return (found[-1][0] if found else seen), changes
                finally:
                    db.execute("COMMIT")

            last, changes = await self._read(work)
            self._seen = last
            for table, key, row in changes:
                if not table:
                    self._readers.gap("overflow: the file's list of changes was cut short meanwhile")
                else:
                    self._readers.publish(table, Changed({"id": list(key)} if row is None else None, row))
            if len(changes) < 2_000:
                return

    async def close(self) -> None:
        if self._closed:
            return
        while self._writing is not None and not self._writing.done():
            await asyncio.wait([self._writing])
        self._closed = True
        self._wake.set()
        self._readers.close()
        if self._polling is not None:
            await asyncio.wait([self._polling])
        loop = asyncio.get_running_loop()
        for thread, db in ((self._reader_thread, self._reader), (self._writer_thread, self._writer)):
            if db is not None:
                await loop.run_in_executor(thread, db.close)
        self._shut()

    def _shut(self) -> None:
        self._closed = True
        self._writer_thread.shutdown(wait=False)
        self._reader_thread.shutdown(wait=False)


_warned = False


class _Told:
    """SQLite's errors as ours."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, sqlite3.Error):
            return
        said = str(error)
        if "not a database" in said or "malformed" in said or "corrupt" in said:
            raise CorruptStore(f"{self.path}: {said}; restore a backup, or try sqlite3's .recover")
        if "locked" in said or "busy" in said:
            raise StoreUnavailable(f"{self.path} is locked by another program ({said}); try again")
        if "full" in said:
            raise StoreUnavailable(f"{self.path}: {said}; free some room and try again, nothing was changed")
        if "readonly" in said:
            raise StoreError(f"{self.path} can't be written: {said}")
        raise StoreUnavailable(f"{self.path}: {said}; what was being written may or may not be there")


# --- rows ------------------------------------------------------------


def _stored(row: Row) -> tuple[str, bytes | None]:
    """A row as text, and its one field of bytes, if it has one, beside it."""
    binary = [name for name, value in row.items() if isinstance(value, bytes)]
    if not binary:
        return json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":")), None
    (name,) = binary
    rest = {**row, name: None, "\0data": name}
    return json.dumps(rest, ensure_ascii=False, sort_keys=True, separators=(",", ":")), row[name]


def _row(text: str, data: bytes | None) -> Row:
    try:
        row: Row = json.loads(text)
        if data is not None:
            row[row.pop("\0data")] = data
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptStore(f"a stored row can't be read ({error}): {text!r:.80}") from None
    return row


def _select(table: str, where: str, values: Key) -> Callable[[sqlite3.Connection], list[Row]]:
    order = ", ".join(_columns(table))
    query = f"SELECT row, data FROM {table} WHERE {where} ORDER BY {order} LIMIT {BATCH}"
    return lambda db: [_row(*found) for found in db.execute(query, values)]


def _marks(key: Key) -> str:
    return ", ".join("?" * len(key))


def _where(table: str) -> str:
    return " AND ".join(f"{column} = ?" for column in _columns(table))


def _read(db: sqlite3.Connection, table: str, key: Key) -> Row | None:
    found = db.execute(f"SELECT row, data FROM {table} WHERE {_where(table)}", key).fetchone()
    return None if found is None else _row(*found)


def _put(db: sqlite3.Connection, table: str, key: Key, text: str, data: bytes | None) -> None:
    columns = ", ".join(_columns(table))
    db.execute(
        f"INSERT OR REPLACE INTO {table} ({columns}, row, data) VALUES ({_marks(key)}, ?, ?)",
        (*key, text, data),
    )
    _note(db, table, key)


def _note(db: sqlite3.Connection, table: str, key: Key) -> None:
    db.execute("INSERT INTO changes (tbl, key) VALUES (?, ?)", (table, json.dumps(key, ensure_ascii=False)))
