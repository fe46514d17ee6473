"""The SQLite store keeps the contract: transactions, locks, limits and feeds of one process."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlite_stores import DOC, RANGE, opened, run, sound

from syncstring.backends import sqlite as backend
from syncstring.backends import sqlite_file as sql
from syncstring.errors import PatchError, StoreError, StoreUnavailable
from syncstring.store import Changed, Gap, Ready, Row, Store, key_of, of_document
from syncstring.testing.conformance import CHECKS, check_store
from syncstring.testing.store_bench import Check, Client, collect, row_of
from syncstring.testing.store_feeds import Follower

# --- the contract ------------------------------------------------------------


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(check: Check, tmp_path: Path) -> None:
    path = tmp_path / "team.db"

    async def factory(**options: Any) -> Store:
        return await opened(path, **options)

    async def changes_cut_short(_: Store) -> None:
        """As a process does that writes more than is kept while another one sleeps."""
        with sqlite3.connect(path, isolation_level=None) as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(
                "INSERT INTO changes (who, tbl, key) VALUES (0, 'meta', ?)", [(f"k{n}",) for n in range(3)]
            )
            db.execute("DELETE FROM changes WHERE seq < (SELECT max(seq) FROM changes)")
            db.execute("COMMIT")
        db.close()

    @asynccontextmanager
    async def locked() -> AsyncIterator[None]:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")
        db.close()

    backend._warned = True
    asyncio.run(check_store(factory, checks=[check], gaps=[changes_cut_short], stall=locked, within=600))
    sound(path)


# --- what it costs ------------------------------------------------------------


def test_nobody_looks_when_nobody_reads(tmp_path: Path) -> None:
    async def main() -> None:
        async with await opened(tmp_path / "team.db") as store:
            await store.insert("patches", [row_of(DOC)])
            await asyncio.sleep(0.2)
            assert store.looks == 0
            feed = store.feed("patches", *RANGE)
            await anext(feed)
            await feed.aclose()
            for _ in range(20):  # the thread may be in the middle of one
                looks = store.looks
                await asyncio.sleep(0.3)
                if store.looks == looks:
                    return
            raise AssertionError("it looks on")

    run(main())


def test_a_quiet_file_is_looked_at_rarely(tmp_path: Path) -> None:
    async def main() -> None:
        async with await opened(tmp_path / "team.db") as store:
            feeds = [store.feed("patches", *of_document(f"{n:040}")) for n in range(100)]
            for feed in feeds:
                await anext(feed)
            await asyncio.sleep(0.1)
            looks, began = store.looks, time.monotonic()
            await asyncio.sleep(1)
            assert store.looks - looks <= (time.monotonic() - began) / backend.POLL + 5

    run(main())


def test_what_waits_for_the_disk_goes_in_one_transaction(tmp_path: Path) -> None:
    path = tmp_path / "team.db"

    async def main() -> None:
        async with await opened(path) as store, await opened(path) as other:
            lock = sqlite3.connect(path, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            calls = [store.insert("patches", [row_of(DOC, time)]) for time in range(400)]
            calls += [store.delete("patches", [row_of(DOC, time, "none")]) for time in range(50)]
            tasks = [asyncio.ensure_future(call) for call in calls]
            await asyncio.sleep(0.1)
            lock.execute("ROLLBACK")
            lock.close()
            before = store.commits
            await asyncio.gather(*tasks)
            assert store.commits - before <= 3
            assert len(await collect(other.scan("patches", *RANGE))) == 400

    run(main())


class Spoiled(sqlite3.Connection):
    """One that can't take some values."""

    def execute(self, statement: str, values: Any = ()) -> Any:
        if any("bad" in str(value) for value in values):
            raise MemoryError("no room for it")
        return super().execute(statement, values)


def spoiled(uri: str, patience: float) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=patience, check_same_thread=False, factory=Spoiled
    )


def test_one_bad_call_does_not_take_its_transaction_along(tmp_path: Path) -> None:
    path = tmp_path / "team.db"

    async def main() -> None:
        async with await opened(path, connect=spoiled) as store:
            lock = sqlite3.connect(path, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            rows = [row_of(DOC, n, v=v) for n, v in enumerate(["good", "bad", "good", "good"])]
            calls = [asyncio.ensure_future(store.insert("patches", [row])) for row in rows]
            await asyncio.sleep(0.05)
            lock.execute("ROLLBACK")
            lock.close()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert [isinstance(answer, MemoryError) for answer in answers] == [False, True, False, False]
            assert len(await collect(store.scan("patches", *RANGE))) == 3

    run(main())


# --- locks and limits ------------------------------------------------------------


def impatient(uri: str, patience: float) -> sqlite3.Connection:
    """One that waits for no lock for long, whatever the store's limit."""
    return sql.dial(uri, 0.2)


def test_a_locked_file_is_unavailable_and_then_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "team.db"

    async def main() -> None:
        async with await opened(path) as store:
            await store.insert("patches", [row_of(DOC)])
        lock = sqlite3.connect(path, isolation_level=None)
        lock.execute("PRAGMA locking_mode=EXCLUSIVE")
        lock.execute("BEGIN EXCLUSIVE")
        for limit in (0.3, 4, 32):  # in a short one, a slow machine doesn't come to ask for the file
            with pytest.raises(StoreUnavailable) as failure:
                await opened(path, limit=limit)
            if "locked by another program" in str(failure.value):
                break
        else:
            raise AssertionError(str(failure.value))
        lock.execute("ROLLBACK")
        lock.close()
        async with await opened(path, connect=impatient) as store:
            lock = sqlite3.connect(path, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable):
                await store.insert("patches", [row_of(DOC, 2)])
            assert await collect(store.scan("patches", *RANGE)) == [row_of(DOC)]
            lock.execute("ROLLBACK")
            lock.close()
            assert (await store.insert("patches", [row_of(DOC, 3)]))[0].fine

    run(main())


def test_rows_are_those_that_were_given_whatever_becomes_of_them(tmp_path: Path) -> None:
    path = tmp_path / "team.db"

    async def main() -> None:
        async with await opened(path) as store:
            lock = sqlite3.connect(path, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            row = row_of(DOC, parts=[1])
            calls = [asyncio.ensure_future(store.insert("patches", [row])) for _ in range(2)]
            await asyncio.sleep(0.01)
            row["parts"].append(2)
            calls.append(asyncio.ensure_future(store.delete("patches", [row])))
            await asyncio.sleep(0.01)
            row["parts"].pop()
            lock.execute("ROLLBACK")
            lock.close()
            kinds = [verdict.kind for (verdict,) in await asyncio.gather(*calls)]
            assert kinds == ["inserted", "present", "differs"]
            assert await store.get("patches", [key_of(row)]) == [row_of(DOC, parts=[1])]

    run(main())


def test_what_was_given_up_before_it_began_is_not_done_later(tmp_path: Path) -> None:
    path = tmp_path / "team.db"

    async def main() -> None:
        async with await opened(path) as store:
            lock = sqlite3.connect(path, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            first = asyncio.ensure_future(store.insert("patches", [row_of(DOC, 1)]))
            await asyncio.sleep(0.1)  # it has begun: it waits for the lock
            second = asyncio.ensure_future(store.insert("patches", [row_of(DOC, 2)]))
            await asyncio.sleep(0.05)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            lock.execute("ROLLBACK")
            lock.close()
            await first
            await store.insert("patches", [row_of(DOC, 3)])
            assert [row["id"][1] for row in await collect(store.scan("patches", *RANGE))] == [1, 3]

    run(main())


def test_options_that_are_not_known_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PatchError, match="colour"):
        run(opened(tmp_path / "team.db", colour="red"))


# --- feeds ------------------------------------------------------------


def test_who_comes_after_a_pause_gets_only_what_is_new(tmp_path: Path) -> None:
    async def main() -> None:
        async with await opened(tmp_path / "team.db") as store:
            for number in range(3):
                feed = store.feed("patches", *RANGE)
                assert await anext(feed) == Ready()
                row = row_of(DOC, number)
                await store.insert("patches", [row])
                assert await anext(feed) == Changed(None, row)
                await feed.aclose()
                await store.insert("patches", [row_of(DOC, number, "unseen")])

    run(main())


def test_the_list_of_changes_is_cut_short_and_readers_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "CHANGES_KEPT", 100)
    path = tmp_path / "team.db"

    async def main() -> None:
        async with await opened(path) as store, await opened(path) as writer:
            follower = Follower(Client(store, False), "patches", *RANGE)
            await follower.until(lambda: follower.readies > 0, lambda: "Ready")
            rows = [row_of(DOC, time) for time in range(4_000)]
            store._handing = True  # it doesn't look: so it falls behind however fast it is
            for start in range(0, len(rows), 500):
                await writer.insert("patches", rows[start : start + 500])
            store._hand([])
            await follower.has(rows)
            assert follower.gaps
            await follower.close()

    run(main())
    with sqlite3.connect(path) as db:
        (kept,) = db.execute("SELECT count(*) FROM changes").fetchone()
    db.close()
    assert kept <= 700


def test_many_changes_of_large_rows_come_in_portions(tmp_path: Path) -> None:
    """What waits is in the file, not in memory: what is on its way to the loop has some bytes at most."""

    async def main() -> None:
        async with await opened(tmp_path / "team.db") as store:
            follower = Follower(Client(store, False), "packs", *RANGE)
            await follower.until(lambda: follower.readies > 0, lambda: "Ready")
            portions = []
            hand = store._hand
            store._hand = lambda changes: (portions.append(sum(each[2] for each in changes)), hand(changes))[
                1
            ]  # type: ignore[method-assign]
            rows: list[Row] = [{"id": [DOC, f"p{n}"], "data": bytes(1 << 20)} for n in range(40)]
            await store.insert("packs", rows)
            await follower.has(rows)
            assert len(portions) >= 4 and max(portions) < 10 << 20
            await follower.close()

    run(main())


def test_a_reader_is_told_of_trouble_and_goes_on_when_it_is_over(tmp_path: Path) -> None:
    path, away = tmp_path / "team.db", tmp_path / "away.db"

    async def main() -> None:
        async with await opened(path) as store:
            feed = store.feed("patches", *RANGE)
            await anext(feed)
            path.rename(away)
            assert isinstance(gap := await anext(feed), Gap) and "moved" in gap.reason
            late = store.feed("patches", *RANGE)
            assert isinstance(await anext(late), Gap)
            away.rename(path)
            assert await anext(feed) == await anext(late) == Ready()
            await store.insert("patches", [row_of(DOC)])
            assert await anext(feed) == await anext(late) == Changed(None, row_of(DOC))

    run(main())


def test_a_reader_of_what_is_restored_from_a_backup_begins_again(tmp_path: Path) -> None:
    path = tmp_path / "team.db"

    async def main() -> None:
        async with await opened(path) as store:
            await store.insert("patches", [row_of(DOC, 1)])
            backup = sqlite3.connect(":memory:")
            with sqlite3.connect(path) as db:
                db.backup(backup)
            await store.insert("patches", [row_of(DOC, time) for time in range(2, 9)])
            feed = store.feed("patches", *RANGE)
            await anext(feed)
            backup.backup(db)
            db.close()
            assert isinstance(await anext(feed), Gap)
            assert await anext(feed) == Ready()
            await store.insert("patches", [row_of(DOC, 5)])
            assert await anext(feed) == Changed(None, row_of(DOC, 5))

    run(main())


def test_closing_waits_for_what_has_begun(tmp_path: Path) -> None:
    async def main() -> None:
        store = await opened(tmp_path / "team.db")
        calls = [asyncio.ensure_future(store.insert("patches", [row_of(DOC, n)])) for n in range(100)]
        await asyncio.sleep(0)
        await asyncio.gather(store.close(), store.close())
        assert all(call.done() and call.result()[0].fine for call in calls)
        with pytest.raises(StoreError):
            await store.get("patches", [])
        assert [path.name for path in tmp_path.iterdir()] == ["team.db"]  # the log is folded in

    run(main())
