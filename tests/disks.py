"""A disk that remembers every write and sync, and what a power cut at any of them could leave.

SQLite runs on a file system (apsw's) that writes down what is done to each file. From that list, for each
instant, files are made as a power cut could have left them: what was synced is there; of what was not, any
part, torn at sectors of 512 bytes. With a new log or journal SQLite syncs the folder; until then whether a
file is there is as unsure as what is in it. A kill can't show this: the kernel keeps what a killed process
wrote.

It doesn't know stores or documents.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apsw

SECTOR = 512
NAMES = itertools.count()


# --- a disk that remembers how it came to be ------------------------------------------------------------


class Op(NamedTuple):
    """Something done to a file."""

    name: str
    kind: str  # create, write, truncate, delete, sync
    at: int = 0
    data: bytes = b""


class Disk:
    """What is done to files, in order, and what is to go wrong."""

    def __init__(self) -> None:
        self.log: list[Op] = []
        self.fail: Callable[[Op], int] = lambda op: 0
        """The SQLite error that an operation is to end with, if any."""
        self.name = f"disk{next(NAMES)}"
        self.vfs = _Vfs(self)

    def do(self, op: Op) -> None:
        if code := self.fail(op):
            raise apsw.exception_for(code)
        self.log.append(op)

    def connect(self, uri: str, patience: float) -> Any:
        return Connection(self, uri, patience)


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        super().__init__(disk.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(self.disk, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(name, syncdir)
        self.disk.do(Op(Path(name).name, "delete", int(syncdir)))


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self.disk = disk
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        self.name = path.name
        new = not path.exists()
        super().__init__("", name, flags)
        if new:
            disk.do(Op(self.name, "create"))

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self.disk.do(Op(self.name, "write", offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self.disk.do(Op(self.name, "truncate", size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.disk.do(Op(self.name, "sync"))
        super().xSync(flags)


class Connection:
    """An apsw connection that answers as sqlite3's do, as far as the store asks."""

    synchronous = "FULL"

    def __init__(self, disk: Disk, uri: str, patience: float) -> None:
        flags = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        self.db = apsw.Connection(uri, flags=flags, vfs=disk.name)
        self.db.set_busy_timeout(int(patience * 1_000))
        self.db.execute("PRAGMA wal_autocheckpoint=20")  # so that a short run folds its log in a few times

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Any:
        statement = statement.replace("synchronous=FULL", f"synchronous={self.synchronous}")
        return Cursor(self.db, lambda: self.db.execute(statement, tuple(values)))

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]]) -> Any:
        return Cursor(self.db, lambda: self.db.executemany(statement, rows))

    @property
    def in_transaction(self) -> bool:
        return self.db.in_transaction

    def close(self) -> None:
        with _translated():
            self.db.close()


class Cursor:
    def __init__(self, db: apsw.Connection, run: Callable[[], Any]) -> None:
        with _translated():
            self.rows = list(run())
        self.rowcount = db.changes()

    def fetchone(self) -> Any:
        return self.rows[0] if self.rows else None

    def fetchall(self) -> list[Any]:
        return self.rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def close(self) -> None:
        pass


class _translated:  # noqa: N801
    """apsw's errors as sqlite3's."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, apsw.Error):
            ours = sqlite3.OperationalError(str(error))
            ours.sqlite_errorcode = error.extendedresult
            raise ours from error


# --- what a power cut leaves ------------------------------------------------------------


class Remains:
    """The files as they surely are on the disk, and what was done to each since."""

    def __init__(self) -> None:
        self.sure: dict[str, bytes | None] = {}  # None: not there
        self.since: dict[str, list[Op]] = {}
        self.new: set[str] = set()

    def take(self, op: Op) -> None:
        pending = self.since.setdefault(op.name, [])
        if op.kind == "sync":
            self.sure[op.name] = _done(self.sure.get(op.name), pending)
            pending.clear()
            if op.name in self.new:  # with a new log or journal SQLite syncs the folder
                self.new.clear()
                self._sync_folder()
            return
        pending.append(op)
        if op.kind == "create" and not op.name.endswith(".db"):
            self.new.add(op.name)
        elif op.kind == "delete" and op.at:
            self._sync_folder()

    def _sync_folder(self) -> None:
        """Which files there are is sure now, though not what is in them."""
        for name, pending in self.since.items():
            if pending and pending[-1].kind == "delete":
                self.sure[name] = None
                pending.clear()
            elif pending and pending[0].kind == "create":
                self.sure[name] = b""
                del pending[0]

    def files(self, keep: Callable[[Op], list[Op]]) -> dict[str, bytes]:
        """What is there, if of what isn't sure just that is kept."""
        found = {}
        for name, pending in self.since.items():
            content = _done(self.sure.get(name), [part for op in pending for part in keep(op)])
            if content is not None:
                found[name] = content
        return found


def _done(content: bytes | None, ops: Sequence[Op]) -> bytes | None:
    changed = None if content is None else bytearray(content)
    for op in ops:
        if op.kind == "delete":
            changed = None
        elif changed is None:
            changed = bytearray()
        if changed is None:
            continue
        if op.kind == "write":
            changed.extend(bytes(max(0, op.at - len(changed))))
            changed[op.at : op.at + len(op.data)] = op.data
        elif op.kind == "truncate":
            del changed[op.at :]
    return None if changed is None else bytes(changed)


def _sectors(op: Op) -> list[Op]:
    """A write, in the pieces that a disk writes as a whole."""
    if op.kind != "write":
        return [op]
    cuts = [
        op.at,
        *range(op.at - op.at % SECTOR + SECTOR, op.at + len(op.data), SECTOR),
        op.at + len(op.data),
    ]
    return [op._replace(at=a, data=op.data[a - op.at : b - op.at]) for a, b in itertools.pairwise(cuts)]


def lost(op: Op) -> list[Op]:
    return []


def kept(op: Op) -> list[Op]:
    return [op]


def torn(chance: random.Random) -> Callable[[Op], list[Op]]:
    """Any pieces of anything, more or fewer of them."""
    share = chance.choice([0.1, 0.5, 0.9])
    return lambda op: [part for part in _sectors(op) if chance.random() < share]
