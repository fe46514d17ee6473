"""Power cuts: at any instant of a run, what was acknowledged is in what a disk may then hold.

The store runs on a file system (apsw's) that writes down every write and sync. Then, for each instant, files
are made as a power cut could have left them: what was synced is there; of what was not, any part, torn at
sectors of 512 bytes. Each is opened as a store and compared with what had been acknowledged. A kill can't
show this: the kernel keeps what a killed process wrote.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest

from syncstring.backends.sqlite import SqliteStore
from syncstring.errors import StoreUnavailable
from syncstring.store import Row, key_of, of_document, open_store
from syncstring.testing.store_bench import collect, row_of

DOC = "d" * 40
RANGE = of_document(DOC)
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


# --- a run, and what was acknowledged when ------------------------------------------------------------


class Deed(NamedTuple):
    """A change of one row, and when it began and was acknowledged, in operations of the disk."""

    began: int
    acknowledged: int
    row: Row | None  # None: it was deleted


class Run:
    """A store on such a disk, and all that was done to it."""

    def __init__(self, folder: Path) -> None:
        self.disk = Disk()
        self.path = folder / "team.db"
        self.deeds: dict[Any, list[Deed]] = {}

    async def open(self) -> SqliteStore:
        store = await open_store(f"sqlite:{self.path}", connect=self.disk.connect)
        assert isinstance(store, SqliteStore)
        return store

    async def change(self, what: Any, changes: dict[Any, Row | None]) -> None:
        """Await that call, and write down that these rows are then so."""
        began = len(self.disk.log)
        try:
            await what
            acknowledged = len(self.disk.log)
        except StoreUnavailable:
            acknowledged = 1 << 60  # who knows
        for key, row in changes.items():
            self.deeds.setdefault(key, []).append(Deed(began, acknowledged, row))

    def possible(self, key: Any, at: int) -> list[Row | None]:
        """What may stand under a key after a power cut at that operation."""
        rows: list[Row | None] = [None]
        for deed in self.deeds[key]:
            if deed.acknowledged <= at:
                rows = [deed.row]
            elif deed.began <= at:
                rows.append(deed.row)
        return rows

    async def work(self, count: int) -> None:
        """Insert, swap, delete and read, several at a time, over a few openings."""
        chance = random.Random(1)
        for opening in range(3):
            async with await self.open() as store:
                for number in range(count):
                    await asyncio.gather(*self._calls(store, opening * count + number, chance))
                    await collect(store.scan("patches", *RANGE))

    def _calls(self, store: SqliteStore, number: int, chance: random.Random) -> list[Any]:
        rows = [
            row_of(DOC, 10 * number + n, n=0, text="x" * chance.choice([10, 900, 9_000])) for n in range(4)
        ]
        calls = [
            self.change(store.insert("patches", rows[:3]), {key_of(row): row for row in rows[:3]}),
            self.change(store.insert("patches", rows[3:]), {key_of(rows[3]): rows[3]}),
        ]
        before = {key: deeds[-1].row for key, deeds in self.deeds.items() if deeds[-1].row is not None}
        for key in chance.sample(sorted(before), min(2, len(before))):
            row = before[key]
            assert row is not None
            if chance.random() < 0.5:
                calls.append(self.change(store.delete("patches", [row]), {key: None}))
            else:
                new = {**row, "n": row["n"] + 1}
                calls.append(self.change(store.swap("patches", key, row, new), {key: new}))
        return calls


async def wrong(run: Run, at: int, files: dict[str, bytes], folder: Path) -> str:
    """What is wrong with a store in these files after a power cut at that operation, or nothing."""
    for old in folder.iterdir():
        old.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    async with await open_store(str(folder / run.path.name)) as store:
        found = {key_of(row): row for row in await collect(store.scan("patches", *RANGE))}
    db = sqlite3.connect(folder / run.path.name)
    if (answer := db.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
        return f"integrity_check: {answer}"
    db.close()
    for key in run.deeds:
        if found.pop(key, None) not in run.possible(key, at):
            return f"{key} is not as it was acknowledged"
    return f"{list(found)} were never written" if found else ""


async def cut(run: Run, folder: Path, points: Callable[[int, Op], bool], tears: int) -> list[str]:
    """All that goes wrong, at these instants of the run."""
    folder.mkdir()
    chance = random.Random(0)
    remains = Remains()
    found = []
    for at, op in enumerate(run.disk.log, 1):
        remains.take(op)
        if points(at, op):
            for keep in (lost, kept, *(torn(chance) for _ in range(tears))):
                if why := await wrong(run, at, remains.files(keep), folder):
                    found.append(f"after operation {at} ({op.kind} of {op.name}): {why}")
    return found


# --- the tests ------------------------------------------------------------


@pytest.mark.slow
def test_a_power_cut_at_any_instant_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """At every sync, before and after, and at many writes between."""
    (tmp_path / "real").mkdir()
    run = Run(tmp_path / "real")

    async def main() -> None:
        await run.work(6)
        log = run.disk.log
        kinds = {(op.kind, Path(op.name).suffix.rpartition("-")[2]) for op in log}
        assert {("sync", "wal"), ("sync", "db"), ("write", "db")} <= {
            (kind, name.removeprefix(".")) for kind, name in kinds
        }, "the run didn't fold its log in"
        syncs = {at + side for at, op in enumerate(log, 1) if op.kind == "sync" for side in (-1, 0)}
        points = syncs | set(range(0, len(log), 9)) | set(range(40)) | {len(log)}
        assert not await cut(run, tmp_path / "crashed", lambda at, op: at in points, tears=1)

    asyncio.run(main())


def test_a_store_that_syncs_less_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `synchronous=NORMAL` the same test finds rows that were acknowledged and are gone."""
    monkeypatch.setattr(Connection, "synchronous", "NORMAL")
    (tmp_path / "real").mkdir()
    run = Run(tmp_path / "real")

    async def main() -> None:
        await run.work(2)
        found = await cut(run, tmp_path / "crashed", lambda at, op: at % 5 == 0, tears=0)
        assert any("acknowledged" in each for each in found)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("sync", apsw.SQLITE_IOERR_FSYNC, "may or may not"),
        ("write", apsw.SQLITE_IOERR_WRITE, "may or may not"),
        ("write", apsw.SQLITE_FULL, "full"),
    ],
    ids=["a sync fails", "a write fails", "the disk is full"],
)
def test_the_nth_operation_of_the_disk_fails_and_the_store_goes_on(
    kind: str, code: int, words: str, tmp_path: Path
) -> None:
    """One error, then success; a power cut afterwards loses nothing that was acknowledged, then or later."""

    async def main(nth: int, folder: Path) -> bool:
        (folder / "real").mkdir(parents=True)
        run = Run(folder / "real")
        left = nth
        failed: list[str] = []

        def fail(op: Op) -> int:
            nonlocal left
            left -= op.kind == kind
            if left == 0 and op.kind == kind:
                left = -1
                return code
            return 0

        async with await run.open() as store:
            run.disk.fail = fail
            for number in range(12):
                row = row_of(DOC, number, n=0, text="x" * 3_000)
                call = asyncio.ensure_future(store.insert("patches", [row]))
                await run.change(asyncio.wait_for(asyncio.shield(call), 20), {key_of(row): row})
                if call.exception() is not None:
                    failed.append(str(call.exception()))
                    await run.change(store.insert("patches", [row]), {key_of(row): row})
            run.disk.fail = lambda op: 0
            cutting = len(run.disk.log)
        assert len(failed) <= 1 and all(words in each for each in failed)
        found = await cut(run, folder / "crashed", lambda at, op: at in (cutting - 1, cutting), tears=2)
        assert not found
        return bool(failed) or left == -1

    nth = 1
    while asyncio.run(main(nth, tmp_path / f"{nth}")):
        nth += 1 if nth < 10 else 7
    assert nth > 10
