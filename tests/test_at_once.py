"""A store that is opened at once, in its caller's thread, beside the same store opened the plain way."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlite_stores import DOC, RANGE, ROWS, begun, edited, made, opened, run, said, sound
from sqlite_stores import python as process

import syncstring
from syncstring.backends import sqlite as backend
from syncstring.backends.memory import MemoryStore
from syncstring.backends.sqlite import SqliteStore
from syncstring.errors import StoreError, StoreUnavailable
from syncstring.store import (
    BACKENDS,
    Changed,
    Ready,
    Store,
    at_once,
    key_of,
    open_at_once,
)
from syncstring.testing.conformance import CHECKS, check_store
from syncstring.testing.store_bench import Check, collect

pytestmark = pytest.mark.filterwarnings("ignore:SQLite")


# --- the contract ------------------------------------------------------------


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_once_it_is_started_it_keeps_the_contract(check: Check, tmp_path: Path) -> None:
    path = tmp_path / "team.db"

    async def factory(**options: Any) -> Store:
        store = open_at_once(str(path), **options)
        if store is None:
            return await opened(path, **options)
        store.start()
        at_once_there.append(store)
        return store

    @asynccontextmanager
    async def locked() -> AsyncIterator[None]:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")
        db.close()

    at_once_there: list[Store] = []
    run(made(path, []))
    asyncio.run(check_store(factory, checks=[check], stall=locked, within=600))
    assert at_once_there
    sound(path)


def test_what_it_reads_before_it_is_started_is_what_is_there_and_nothing_waits(tmp_path: Path) -> None:
    run(made(tmp_path / "team.db"))
    store = begun(tmp_path / "team.db")
    assert at_once(collect(store.scan("patches", *RANGE))) == ROWS
    assert at_once(store.get("patches", [key_of(ROWS[5]), (DOC, 5_000, "none")])) == [ROWS[5], None]
    assert at_once(store.time()) > 0
    at_once(store.close())


def test_what_comes_after_the_opening_is_told_once_it_is_started(tmp_path: Path) -> None:
    path = tmp_path / "team.db"

    async def main() -> None:
        await made(path, ROWS[:10])
        store = begun(path)
        feeds = [store.feed("patches", *RANGE), store.feed("documents", *RANGE)]
        for feed in feeds:
            assert at_once(_next(feed)) == Ready()
        before = at_once(collect(store.scan("patches", *RANGE)))
        async with await opened(path) as other:
            await other.insert("patches", ROWS[10:20])
            await other.delete("patches", ROWS[:3])
            await other.insert("documents", [{"id": [DOC], "x": 1}])
        assert at_once(collect(store.scan("patches", *RANGE))) == before == ROWS[:10], "it is of one moment"
        store.start()
        rows = {key_of(row): row for row in before}
        for _ in range(13):
            change = await anext(feeds[0])
            assert isinstance(change, Changed)
            rows.pop(change.key, None)
            rows.update({change.key: change.new} if change.new else {})
        assert sorted(rows.values(), key=key_of) == ROWS[3:20]
        assert await anext(feeds[1]) == Changed(None, {"id": [DOC], "x": 1})
        assert await collect(store.scan("patches", *RANGE)) == ROWS[3:20]
        late = store.feed("patches", *RANGE)
        assert await anext(late) == Ready()
        await store.insert("patches", ROWS[:1])
        assert (await anext(late)).key == key_of(ROWS[0])  # type: ignore[union-attr]
        await store.close()

    run(main())


async def _next(feed: Any) -> Any:
    return await anext(feed)


def test_a_list_of_changes_that_was_cut_short_by_then_is_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "team.db"

    async def main() -> None:
        await made(path)
        store = begun(path)
        feed = store.feed("patches", *RANGE)
        with sqlite3.connect(path) as db:
            db.executemany("INSERT INTO changes (who, tbl, key) VALUES (0, 'meta', ?)", [("a",), ("b",)])
            db.execute("DELETE FROM changes WHERE seq < (SELECT max(seq) FROM changes)")
        db.close()
        store.start()
        told = [await anext(feed) for _ in range(3)]
        assert [type(each).__name__ for each in told] == ["Ready", "Gap", "Ready"]
        await store.close()

    run(main())


def test_before_it_is_started_nothing_is_written_and_it_starts_once(tmp_path: Path) -> None:
    path = tmp_path / "team.db"

    async def main() -> None:
        await made(path, [])
        store = begun(path)
        for call in (store.insert("patches", ROWS), store.delete("patches", ROWS), store.standing()):
            with pytest.raises(StoreError, match="nothing is written before it is started"):
                await call
        store.start()
        with pytest.raises(StoreError, match="started already"):
            store.start()
        await store.insert("patches", ROWS)
        assert await collect(store.scan("patches", *RANGE)) == ROWS
        await store.close()
        async with await opened(path) as plain:
            with pytest.raises(StoreError, match="not opened at once"):
                plain.start()

    run(main())


def test_it_is_closed_without_being_started_and_every_call_says_so(tmp_path: Path) -> None:
    path = tmp_path / "team.db"

    async def main() -> None:
        await made(path)
        store = begun(path)
        feed = store.feed("patches", *RANGE)
        await store.close()
        await store.close()
        assert await anext(feed) == Ready()
        for call in (store.get("patches", []), collect(store.scan("patches", *RANGE)), anext(feed)):
            with pytest.raises(StoreError, match="closed"):
                await call
        with pytest.raises(StoreError, match="closed"):
            store.start()
        assert [each.name for each in tmp_path.iterdir()] == ["team.db"]

    run(main())


def test_it_keeps_others_from_nothing(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    run(made(path))
    store = begun(path)
    with sqlite3.connect(path, timeout=0, isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM patches")
        db.execute("COMMIT")
    db.close()
    assert at_once(collect(store.scan("patches", *RANGE))) == ROWS
    at_once(store.close())


# --- where there is no such way ------------------------------------------------------------


def _of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE notes (text)")
    db.close()


def _changed(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        run(made(path, []))
        with sqlite3.connect(path) as db:
            for statement in statements:
                db.execute(statement)
        db.close()

    return change


STRANGE: dict[str, Callable[[Path], Any]] = {
    "nothing": lambda path: None,
    "an empty file": lambda path: path.touch(),
    "a short file": lambda path: path.write_bytes(b"x" * 100),
    "text": lambda path: path.write_text("notes\n" * 500),
    "a folder": lambda path: path.mkdir(),
    "another program's": _of_another_program,
    "a later version's": _changed("PRAGMA user_version=99"),
    "one with a trigger": _changed("CREATE TRIGGER t AFTER INSERT ON patches BEGIN SELECT 1; END"),
    "one that lacks a table": _changed("DROP TABLE tags"),
    "one without a log": _changed("PRAGMA journal_mode=DELETE"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_whatever_isnt_a_store_in_order_is_left_as_it_is_to_the_plain_way(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    STRANGE[kind](path)
    before = path.read_bytes() if path.is_file() else None
    assert open_at_once(str(path)) is None
    assert (path.read_bytes() if path.is_file() else None) == before
    assert not path.with_name("team.db-wal").exists()


def test_a_file_that_is_locked_is_left_to_the_plain_way_which_waits_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    with syncstring.open(path, "notes", author="ada") as doc:
        doc.insert(0, "text")
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("BEGIN IMMEDIATE")
    assert open_at_once(str(path)) is None
    for limit in (0.5, 4, 32):  # in a short one, a slow machine doesn't come to ask for the file
        with pytest.raises(StoreUnavailable) as failure:
            syncstring.open(path, "notes", author="ada", limit=limit)
        if "locked by another program" in str(failure.value):
            break
    else:
        raise AssertionError(str(failure.value))
    threading.Timer(0.3, lambda: db.execute("ROLLBACK")).start()
    with syncstring.open(path, "notes", author="ada", limit=60) as doc:
        assert doc.text == "text"
    db.close()


def test_a_file_that_cannot_be_written_is_left_to_the_plain_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "team.db"
    edited(path, "text")
    # Root may write everything; SQLite lets a transaction begin on what it can't write.
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    assert open_at_once(str(path)) is None
    document = syncstring.open(path, "notes", author="bob")
    assert document.text == "text"
    document.insert(0, "more ")
    with pytest.raises(StoreError, match="can't be written"):
        document.flush()
    document.close()


def test_other_options_and_other_backends_have_no_such_way(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    run(made(path))
    assert open_at_once(str(path), read_only=True) is None
    assert open_at_once(str(path), unknown=5) is None
    assert open_at_once("") is None and open_at_once("a\0b") is None
    assert open_at_once("memory:") is None
    assert open_at_once("postgres://here") is None
    with pytest.raises(StoreError, match="not opened at once"):
        MemoryStore().start()
    assert all(hasattr(backend, "open_at_once") for backend in (MemoryStore, SqliteStore)) and BACKENDS


def test_work_that_waits_after_all_is_a_defect() -> None:
    class Pause:
        def __await__(self) -> Any:
            yield

    async def work() -> None:
        await Pause()

    with pytest.raises(AssertionError, match="it waits"):
        at_once(work())


# --- other processes ------------------------------------------------------------


def test_in_a_forked_process_it_is_the_parents(tmp_path: Path) -> None:
    run(made(tmp_path / "team.db"))
    store = begun(tmp_path / "team.db")
    child = os.fork()
    if not child:
        with suppress(BaseException):
            try:
                at_once(store.get("patches", []))
            except StoreError as error:
                at_once(store.close())
                os._exit(0 if "forked" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert at_once(collect(store.scan("patches", *RANGE))) == ROWS
    at_once(store.close())
    sound(tmp_path / "team.db")


def test_what_was_opened_at_once_and_killed_leaves_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    run(made(path))
    killed = process(
        "import signal\nstore = open_at_once(sys.argv[1])\nassert store\n"
        "os.kill(os.getpid(), signal.SIGKILL)",
        path,
    )
    killed.communicate(timeout=240)
    assert killed.returncode == -9
    sound(path)
    store = begun(path)
    assert at_once(collect(store.scan("patches", *RANGE))) == ROWS
    at_once(store.close())
    assert "100" in said(
        process(
            "store = open_at_once(sys.argv[1])\nfrom syncstring.testing.store_bench import collect\n"
            "print(len(at_once(collect(store.scan('patches', *EVERYTHING)))))",
            path,
        )
    )


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    backend._warned = True
    yield
