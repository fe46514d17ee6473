"""Power cuts: at any instant of a run, what was acknowledged is in what a disk may then hold.

The store runs on the disk of `disks.py`. What a power cut at an instant may have left is opened as a store
and compared with what had been acknowledged.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest
from disks import Connection, Disk, Op, Remains, kept, lost, torn

from syncstring.backends.sqlite import SqliteStore
from syncstring.errors import StoreUnavailable
from syncstring.store import Row, key_of, of_document, open_store
from syncstring.testing.store_bench import collect, row_of

DOC = "d" * 40
RANGE = of_document(DOC)


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
