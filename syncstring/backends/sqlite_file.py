"""One SQLite file as a place for rows: found, made, checked, opened, read and written.

The law of this room. A file that isn't ours, or that a later format made, is left as it is. What is read is
what was written under that very key (a checksum in each row says so); what isn't comes as an unreadable row,
and takes no other along. What SQLite says becomes one of our errors, with the path in it. A file that was
moved or deleted under us is noticed before anything in it is acknowledged. A fork is refused what was open in
the process that it was forked from.

It knows neither threads nor feeds: every function here blocks. Source: sqlite.org/wal.html, /rescode.html,
/howtocorrupt.html.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import quote
from weakref import WeakKeyDictionary
from zlib import crc32

from syncstring._rows import rows_of
from syncstring.errors import (
    CorruptStore,
    PatchError,
    StoreError,
    StoreUnavailable,
    SyncstringError,
    UnsupportedVersion,
)
from syncstring.store import TABLES, Image, Key, Row, image, key_of, restored

__all__ = [
    "Noted",
    "SqliteFile",
    "Stored",
    "data_version",
    "delete",
    "dial",
    "find",
    "forget",
    "how_kept",
    "is_kept",
    "kept",
    "newest",
    "note",
    "noted",
    "ours",
    "put",
    "put_if_absent",
    "scan",
    "stored",
    "told",
    "transaction_of",
]

APPLICATION: Final = 0x53594E43  # "SYNC"
FORMAT: Final = 1
SMALLEST: Final = 512  # bytes of a database that isn't empty
BATCH: Final = 1_000  # rows of a scan, or
BATCH_BYTES: Final = 8 << 20

Connect: TypeAlias = Callable[[str, float], sqlite3.Connection]
"""From an `file:` URI and the seconds that a lock is waited for to a connection."""


def dial(uri: str, patience: float) -> sqlite3.Connection:
    """A connection as the store needs it: no transactions but its own, used by one thread after another."""
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=patience, check_same_thread=False)


# --- the schema ------------------------------------------------------------


def _columns(table: str) -> list[str]:
    return [f"k{i}" for i in range(len(TABLES[table]))]


def _schema() -> dict[str, str]:
    """The statement that makes each table, as SQLite remembers it."""
    statements = {}
    for table, kinds in TABLES.items():
        keys = "".join(
            f"{column} {'TEXT' if kind is str else 'INTEGER'} NOT NULL, "
            for column, kind in zip(_columns(table), kinds, strict=True)
        )
        # Rows stand in the order of their keys: half the writing, and a document is read in one sweep.
        statements[table] = (
            f"CREATE TABLE {table} ({keys}row TEXT NOT NULL, data BLOB, sum INTEGER NOT NULL, "
            f"PRIMARY KEY ({', '.join(_columns(table))})) WITHOUT ROWID"
        )
    # AUTOINCREMENT: a number is never used twice, and under the one write lock none is left out.
    statements["changes"] = (
        "CREATE TABLE changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, who INTEGER NOT NULL, "
        "tbl TEXT NOT NULL, key TEXT NOT NULL)"
    )
    return statements


SCHEMA: Final = _schema()

_Marks: TypeAlias = list[tuple[int, ...] | None]
_UNWRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)  # the file, or its folder


# --- the file ------------------------------------------------------------

# SQLite keeps for each file what locks its process has: a fork inherits that, and not the locks.
_OPEN: Final = WeakKeyDictionary["SqliteFile", tuple[int, ...]]()  # what is open here, by device and number
_INHERITED: Final[set[tuple[int, ...]]] = set()  # of each that it had open from which this one was forked


def _forked() -> None:
    _INHERITED.update(_OPEN.values())
    _OPEN.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class SqliteFile:
    """A path, and what is found there."""

    def __init__(self, path: str, patience: float, connect: Connect = dial) -> None:
        if not path or "\0" in path:
            raise PatchError(f"{path!r:.80} is no path; a store is named by one: sqlite:team.db")
        if path == ":memory:":  # what SQLite itself calls so is one connection's: nobody could share it
            raise PatchError("a store in memory is called memory: here; a file of that name is ./:memory:")
        try:
            os.fsencode(path)
        except UnicodeEncodeError:
            raise PatchError(f"{path!r:.80} holds a lone surrogate; no file is called so") from None
        self.path = path
        # Now, and with links followed: the process may change its folder, and the log stands beside the file.
        self._real = os.path.realpath(path)
        self._patience = patience
        self._connect = connect
        self.writer: sqlite3.Connection | None = None
        self.reader: sqlite3.Connection | None = None
        self.read_only = False
        self._fixed = False  # nobody can tell us of changes: there mustn't be any
        self._marks: _Marks = []

    def open(self, create: bool, read_only: bool) -> None:
        """Open the file, or make it, and see that it's ours."""
        if os.path.isdir(self._real):
            raise StoreError(f"{self.path} is a folder; a store is a file")
        if not os.path.exists(self._real):
            if not create or read_only:
                raise StoreError(f"{self.path}: there is no such file")
            if not os.path.isdir(os.path.dirname(self._real)):
                raise StoreError(f"{self.path}: there is no folder to make it in")
        elif not os.path.isfile(self._real):
            raise StoreError(f"{self.path} is no file; a store is one")
        elif not os.access(self._real, os.R_OK):
            raise StoreError(f"{self.path} can't be read; ask whoever owns it")
        elif 0 < os.path.getsize(self._real) < SMALLEST:
            # SQLite takes it for an empty one, and would overwrite it.
            raise CorruptStore(f"{self.path} is not a database; name another file")
        elif self._inherited():
            raise StoreError(
                f"{self.path} was open in the process that this was forked from; open it in a spawned one"
            )
        try:
            with told(self.path):
                # SQLite itself takes a while to notice: it lets a transaction begin on what it can't write.
                self._open(read_only or (os.path.exists(self._real) and not os.access(self._real, os.W_OK)))
        except BaseException:
            self.close()
            raise
        self._marks = self._now()

    def _inherited(self) -> bool:
        """Whether the process that this was forked from had it open; if not, forks of this one are told."""
        found = _stat(self._real)
        if found is not None:
            if found[:2] in _INHERITED:
                return True
            _OPEN[self] = found[:2]
        return False

    def open_at_once(self) -> bool:
        """Open a file that is there, in order, and can be written at this moment; False for any other, which
        is left as it is. Nobody is waited for."""
        usable = os.path.isfile(self._real) and os.access(self._real, os.R_OK | os.W_OK)  # see `open`
        if not usable or os.path.getsize(self._real) < SMALLEST or self._inherited():
            return False
        try:
            with told(self.path):
                self.reader = self._dial("rw", 0.0)  # what is locked now is left to `open`
                self._verify(self.reader)
                if _mode(self.reader) != "wal":
                    raise StoreError(f"{self.path} has no write-ahead log yet")
                self.reader.execute("BEGIN IMMEDIATE")
                self.reader.execute("ROLLBACK")
                self.reader.execute("BEGIN")  # until `settle`: what is read by then is of one moment
        except SyncstringError:
            self.close()
            return False
        except BaseException:
            self.close()
            raise
        self._marks = self._now()
        return True

    def _open(self, read_only: bool) -> None:
        try:
            if not read_only:
                self.writer = self._dial("rwc")
                self._prepare(self.writer)
                self.reader = self._dial("rw")
                return
        except sqlite3.OperationalError as error:
            if _code(error) not in _UNWRITABLE or not os.path.exists(self._real):
                raise
        self.read_only = True
        self._hang_up()
        try:
            self.reader = self._dial("ro")
            self._verify(self.reader)
        except sqlite3.OperationalError as error:
            # A log can't be read without an index beside it, which can't be made in a folder that can't be
            # written. Without a log, the file alone is the whole, for as long as it stays as it is.
            if _code(error) not in _UNWRITABLE or os.path.exists(f"{self._real}-wal"):
                raise
            self._hang_up()
            self._fixed = True
            self.reader = self._dial("ro&immutable=1")
            self._verify(self.reader)

    def close(self) -> None:
        """Close what is open. The last one to close a file folds the log into it."""
        self._hang_up()
        self._marks = []
        _OPEN.pop(self, None)

    def _hang_up(self) -> None:
        for db in (self.reader, self.writer):
            if db is not None:
                db.close()
        self.reader = self.writer = None

    def settle(self) -> None:
        """From now on what was opened at once waits for locks, and reads what is new."""
        if self.reader is not None:
            with told(self.path):
                self.reader.execute("ROLLBACK")
                self.reader.execute(f"PRAGMA busy_timeout={round(self._patience * 1_000)}")

    def for_writing(self) -> sqlite3.Connection:
        """The connection that writes: made for the first that does, where it was opened at once."""
        if self.writer is None:
            db = self._dial("rw")
            try:
                self.check()  # that it is still the file whose tables were looked at
            except BaseException:
                db.close()
                raise
            self.writer = db
        return self.writer

    def _dial(self, mode: str, patience: float | None = None) -> sqlite3.Connection:
        uri = f"file:{quote(os.fsencode(self._real))}?mode={mode}"
        db = self._connect(uri, self._patience if patience is None else patience)
        try:
            db.execute("PRAGMA trusted_schema=OFF")
            if not mode.startswith("ro"):
                db.execute("PRAGMA synchronous=FULL")
                db.execute("PRAGMA fullfsync=1")  # where fsync doesn't reach the disk (macOS)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Make it a store, if it is empty; whoever opens at the same time may do so too."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                if not _is_empty(db):
                    self._verify(db)
                self._inherited()  # it is there now, if it wasn't
                if db.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
                    raise StoreError(f"{self.path}: no write-ahead log can be kept there; use a local disk")
                # Every opener takes the lock once, so that a file that can't be written is found out now.
                db.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.OperationalError as error:
                # SQLite doesn't wait by itself while somebody else turns the log on.
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        with transaction_of(db):
            if _is_empty(db):
                db.execute(f"PRAGMA application_id={APPLICATION}")
                db.execute(f"PRAGMA user_version={FORMAT}")
                for statement in SCHEMA.values():
                    db.execute(statement)
        self._verify(db)

    def _verify(self, db: sqlite3.Connection) -> None:
        application, version = _pragma(db, "application_id"), _pragma(db, "user_version")
        if application != APPLICATION:
            raise CorruptStore(f"{self.path} is an SQLite file of another program; name another file")
        if version > FORMAT:
            raise UnsupportedVersion(
                f"{self.path} was made by a later syncstring (format {version}; this is {FORMAT}): upgrade"
            )
        found = {
            name: (kind, sql) for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_master")
        }
        for table, sql in SCHEMA.items():
            if found.get(table) != ("table", sql):
                raise CorruptStore(f"{self.path}: table {table} isn't as it was made; restore a backup")
        for name, (kind, _) in found.items():
            if kind == "trigger":  # it would run with every row we write
                raise CorruptStore(f"{self.path} has a trigger {name!r:.40}, which isn't ours; drop it")

    def _now(self) -> _Marks:
        """What the file is, as far as it mustn't change under us."""
        found = [_stat(self._real), None if self.read_only else _stat(f"{self._real}-wal")]
        if self._fixed:
            return [found[0], _stat(f"{self._real}-wal")]
        return [stat and stat[:2] for stat in found]

    def check(self) -> None:
        """See that what we have open is still what the path names: what goes elsewhere is lost."""
        if self._marks and self._now() != self._marks:
            if self._fixed:
                raise StoreUnavailable(
                    f"{self.path} was written by somebody; it can't be followed from a folder that can't be "
                    "written: open it again"
                )
            raise StoreError(f"{self.path} was moved, deleted or replaced while it was open; open it again")


def _stat(path: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _mode(db: sqlite3.Connection) -> str:
    return str(db.execute("PRAGMA journal_mode").fetchone()[0])


def how_kept(db: sqlite3.Connection) -> dict[str, Any]:
    """How commits reach the disk, in SQLite's words; `synchronous` is this connection's own."""
    levels = {0: "off", 1: "normal", 2: "full", 3: "extra"}
    return {"journal_mode": _mode(db), "synchronous": levels[_pragma(db, "synchronous")]}


def _is_empty(db: sqlite3.Connection) -> bool:
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return not (tables or _pragma(db, "application_id") or _pragma(db, "user_version"))


@contextmanager
def transaction_of(db: sqlite3.Connection) -> Iterator[None]:
    """Ends what `BEGIN` began: committed, or rolled back if anything was raised."""
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


# --- errors ------------------------------------------------------------


def _code(error: sqlite3.Error) -> int:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF  # none: Python can't make sense of a value


@contextmanager
def told(path: str) -> Iterator[None]:
    """What SQLite raises becomes an error of ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise ours(path, error) from error


def ours(path: str, error: sqlite3.Error) -> StoreError:
    """The error of ours that one of SQLite's is."""
    code = _code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreUnavailable(f"{path} is locked by another program; try again")
    if code == sqlite3.SQLITE_NOTADB:
        return CorruptStore(f"{path} is not a database, or is damaged; name another file or restore a backup")
    if code in (
        0,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_SCHEMA,
        sqlite3.SQLITE_FORMAT,
    ):
        return CorruptStore(f"{path} is damaged ({error}); restore a backup, or try sqlite3's .recover")
    if code == sqlite3.SQLITE_FULL:
        return StoreUnavailable(f"{path}: the disk is full, nothing was changed; make room and try again")
    if code == sqlite3.SQLITE_READONLY:
        return StoreError(f"{path} can't be written ({error})")
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreError(f"{path} can't be opened, or the log beside it can't; may you write that folder?")
    return StoreUnavailable(f"{path}: {error}; what was being written may or may not be there, try again")


# --- rows ------------------------------------------------------------


class Stored(NamedTuple):
    """A row as it is kept: its key, the key as one text, its image, and a checksum over all of it."""

    key: Key
    name: str
    image: Image
    sum: int


def _name(key: Sequence[str | int]) -> str:
    return "\t".join(map(str, key))  # no part of a key has a tab


def _sum(name: str, text: bytes, data: bytes | None) -> int:
    return crc32(data or b"", crc32(text, crc32(name.encode())))


def stored(key: Key, image: Image) -> Stored:
    """A row as it is kept."""
    name = _name(key)
    return Stored(key, name, image, _sum(name, image.text.encode(), image.data))


def kept(row: Row) -> Stored | str:
    """A row as it is kept, or why it can't be."""
    try:
        return stored(key_of(row), image(row))
    except ValueError as error:
        return str(error)


def is_kept(known: Row | None, wanted: Stored | str | None) -> bool:
    """Whether that row is there. It is asked of what the caller gave, not of what became of it since."""
    if known is None or wanted is None:
        return known is None and wanted is None
    return not isinstance(wanted, str) and key_of(known) == wanted.key and image(known) == wanted.image


def _row(found: Sequence[Any]) -> Row:
    """What a row holds, of the columns (*key, row, data, sum); if it isn't what was written, what is wrong
    with it."""
    *key, text, data, total = found
    try:
        if _sum(_name(key), text, data) != total:
            raise ValueError("its checksum differs")
        return restored(key, (text.decode(), data))
    except (TypeError, ValueError) as error:
        if any(type(part) is bytes for part in key):  # columns have their types, but for that
            raise CorruptStore(f"a key is {key!r:.80}; restore a backup") from None
        return {"id": key, "unreadable": f"{error}"}


_FIND: Final = {table: " AND ".join(f"{column} = ?" for column in _columns(table)) for table in TABLES}
_VALUES: Final = {
    table: f"({', '.join(_columns(table))}, row, data, sum) VALUES ({'?, ' * len(kinds)}?, ?, ?)"
    for table, kinds in TABLES.items()
}
# As bytes: a text that isn't UTF-8 any more is to fail alone.
_CONTENT: Final = "CAST(row AS BLOB), CAST(data AS BLOB), sum"


def find(db: sqlite3.Connection, table: str, key: Key) -> tuple[Row | None, int]:
    """The row under a key, and its bytes."""
    found = db.execute(f"SELECT {_CONTENT} FROM {table} WHERE {_FIND[table]}", key).fetchone()
    if found is None:
        return None, 0
    return _row((*key, *found)), len(found[0] or b"") + len(found[1] or b"")


def put_if_absent(db: sqlite3.Connection, table: str, row: Stored) -> bool:
    """Add a row; False if there is one under its key."""
    values = (*row.key, *row.image, row.sum)
    return bool(db.execute(f"INSERT INTO {table} {_VALUES[table]} ON CONFLICT DO NOTHING", values).rowcount)


def put(db: sqlite3.Connection, table: str, row: Stored) -> None:
    """Put a row in its place, whatever is there."""
    db.execute(f"INSERT OR REPLACE INTO {table} {_VALUES[table]}", (*row.key, *row.image, row.sum))


def delete(db: sqlite3.Connection, table: str, key: Key) -> None:
    """Remove the row under a key."""
    db.execute(f"DELETE FROM {table} WHERE {_FIND[table]}", key)


@lru_cache
def _scanning(table: str, lower: int, first: bool, upper: int) -> str:
    """The query for the rows from a key of so many parts on, itself included where it is the `first`."""
    columns = _columns(table)
    where = [  # a row value compares as keys do
        f"({', '.join(columns[:parts])}) {sign} ({', '.join('?' * parts)})"
        for parts, sign in ((lower, ">=" if first else ">"), (upper, "<"))
        if parts
    ]
    order = ", ".join(columns)
    return (
        f"SELECT {order}, {_CONTENT} FROM {table} WHERE {' AND '.join(where)} ORDER BY {order} LIMIT {BATCH}"
    )


def scan(
    db: sqlite3.Connection, table: str, after: Key | None, lower: Key, upper: Key
) -> tuple[list[Row], Key | None]:
    """Some rows of a range, in the order of their keys, from the first `after` that key on; and the key to
    go on after, None at the end."""
    start = lower if after is None else after
    if not upper:
        return [], None
    query = _scanning(table, len(start), after is None, len(upper))
    cursor = db.execute(query, (*start, *upper))
    rows, size = rows_of(cursor, BATCH_BYTES, _row)
    cursor.close()
    going_on = len(rows) == BATCH or size > BATCH_BYTES
    return rows, tuple(rows[-1]["id"]) if going_on else None


# --- changes ------------------------------------------------------------


class Noted(NamedTuple):
    """A change: its number, the process that made it, and the row's place."""

    seq: int
    who: int
    table: str
    key: Key


def note(db: sqlite3.Connection, who: int, table: str, names: Sequence[str]) -> None:
    """Remember that rows changed, in this same transaction."""
    db.executemany(
        "INSERT INTO changes (who, tbl, key) VALUES (?, ?, ?)", [(who, table, name) for name in names]
    )


def noted(db: sqlite3.Connection, seen: int, limit: int) -> list[Noted]:
    """The changes after the number `seen`, in the order of commits."""
    query = "SELECT seq, who, tbl, key FROM changes WHERE seq > ? ORDER BY seq LIMIT ?"
    return [
        Noted(seq, who, table, _key(table, name))
        for seq, who, table, name in db.execute(query, (seen, limit))
    ]


def _key(table: str, name: str) -> Key:
    kinds = TABLES.get(table)
    parts = name.split("\t")
    if kinds is None or len(parts) != len(kinds):
        raise CorruptStore(f"the list of changes has {table!r:.40} {name!r:.80}; restore a backup")
    return tuple(kind(part) for kind, part in zip(kinds, parts, strict=True))


def newest(db: sqlite3.Connection) -> tuple[int, int]:
    """The number of the last change, and the process that made it."""
    found = db.execute("SELECT seq, who FROM changes ORDER BY seq DESC LIMIT 1").fetchone()
    return (0, 0) if found is None else (found[0], found[1])


def forget(db: sqlite3.Connection, seq: int) -> None:
    """Drop the changes up to that number."""
    db.execute("DELETE FROM changes WHERE seq <= ?", (seq,))


def data_version(db: sqlite3.Connection) -> int:
    """A number that changes when another connection committed. Costs some microseconds."""
    return _pragma(db, "data_version")
