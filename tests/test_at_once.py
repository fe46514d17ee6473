"""A store that is opened at once, in its caller's thread, beside the same store opened the plain way."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_stores import DOC, RANGE, ROWS, made, opened, run, said, sound
from sqlite_stores import python as process

import syncstring
from syncstring.archive import Archive, Contents, find_document
from syncstring.backends import sqlite as backend
from syncstring.backends.memory import MemoryStore
from syncstring.backends.sqlite import SqliteStore
from syncstring.blocking import StoredDocument, _Thread
from syncstring.errors import StoreError, StoreUnavailable, SyncstringError
from syncstring.outside import fresh_key
from syncstring.store import (
    BACKENDS,
    Changed,
    Ready,
    Store,
    at_once,
    key_of,
    open_at_once,
)
from syncstring.tags import set_tag
from syncstring.testing.conformance import CHECKS, check_store
from syncstring.testing.store_bench import Check, collect
from syncstring.traffic import Traffic

pytestmark = pytest.mark.filterwarnings("ignore:SQLite")


def begun(path: Path | str, **options: Any) -> SqliteStore:
    store = open_at_once(f"sqlite:{path}", **options)
    assert isinstance(store, SqliteStore)
    return store


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
    asyncio.run(check_store(factory, checks=[check], stall=locked))
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
    with pytest.raises(StoreUnavailable, match="locked by another program"):
        syncstring.open(path, "notes", author="ada", limit=0.5)
    threading.Timer(0.3, lambda: db.execute("ROLLBACK")).start()
    with syncstring.open(path, "notes", author="ada", limit=20) as doc:
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


# --- a document ------------------------------------------------------------


def joined(traffic: Traffic) -> Contents:
    """The plain way, to its end."""

    async def join() -> Contents:
        contents = await traffic.join()
        await traffic.end()
        return contents

    return run(join())


def told(traffic: Traffic, contents: Contents) -> dict[str, Any]:
    """All that an opening has found out."""
    link = traffic.link
    return {
        "manifest": contents.manifest,
        "base": contents.base,
        "patches": contents.patches,
        "tail": contents.tail,
        "rows": contents.rows,
        "problems": [(type(each), str(each)) for each in contents.problems],
        "tags": traffic.tags,
        "doc": link.doc,
        "held": link._held,
        "read": link._read,
        "sure": link._sure,
        "packed": link.packed,
        "count": link.rows,
        "stale": link.stale,
        "arrivals": [(each if isinstance(each, dict) else each.id, sure) for each, sure in link.arrivals],
    }


def both_ways(path: Path, name: str = "notes") -> Contents:
    """Open it in either way; the same is found out."""
    ways = [Traffic(path, name, False, {}) for _ in range(2)]
    contents = ways[0].join_at_once()
    assert contents is not None
    at_once(ways[0].store.close())
    assert told(ways[0], contents) == told(ways[1], joined(ways[1]))
    return contents


def edited(path: Path, *texts: str, pack: tuple[int, ...] = ()) -> str:
    """A document in which these were typed, one after another, and packed after some of them."""
    with syncstring.open(path, "notes", author="ada") as doc:
        for number, text in enumerate(texts):
            doc.insert(len(doc) // 2, text)
            doc.commit()
            if number in pack:
                doc.flush()
                doc.pack()
        return doc._traffic.link.doc


def test_a_document_is_read_as_the_plain_way_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    doc = edited(path, *"abcdefghij", pack=(3, 6))

    async def tagged() -> None:
        async with await opened(path) as store:
            contents = await Archive(store, doc, fresh_key).read()
            await set_tag(store, doc, "draft", contents.manifest.heads)

    run(tagged())
    contents = both_ways(path)
    assert contents.base is not None and len(contents.tail) == 3 and contents.manifest.total == 7
    assert Traffic(path, "notes", False, {}).join_at_once()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from("abcé"), min_size=1, max_size=8),
    st.sets(st.integers(0, 7), max_size=2),
    st.lists(st.sampled_from(["sum", "row", "text", "late", "v", "field", "parent"]), max_size=3),
)
def test_whatever_is_damaged_is_set_aside_as_the_plain_way_does(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], pack: set[int], damage: list[str]
) -> None:
    path = tmp_path_factory.mktemp("at-once") / "team.db"
    doc = edited(path, *texts, pack=tuple(pack))
    late = syncstring.Patch((5, "late"), (), [(0, 0, "late")], "eve", 5).to_row(doc)
    orphan = syncstring.Patch((4 * 10**15, "orphan"), [(7, "gone")], [(0, 0, "x")], "eve", 5).to_row(doc)
    other: dict[str, Any] = {
        "late": late, "v": {**late, "v": 2}, "field": {**late, "id": [doc, 6, "late"], "new": 1},
        "parent": orphan,
    }  # fmt: skip

    async def insert() -> None:
        async with await opened(path) as store:
            await store.insert("patches", [other[each] for each in damage if each in other])

    run(insert())
    bend = {"sum": "sum = sum + 1", "row": "row = 'x' || row", "text": "row = CAST(x'7bff' AS TEXT)"}
    with sqlite3.connect(path) as db:
        for number, each in enumerate(each for each in damage if each in bend):
            where = f"(k0, k1, k2) IN (SELECT k0, k1, k2 FROM patches LIMIT 1 OFFSET {number})"
            db.execute(f"UPDATE patches SET {bend[each]} WHERE {where}")
    db.close()
    both_ways(path)
    shown = []
    for _ in range(2):
        with ways(plain=bool(shown)), suppress(SyncstringError):
            document = syncstring.open(path, "notes", author="bob", create=False)
            shown.append((document.text, document.heads, sorted(map(str, document.problems))))
            document.close()
    assert len(shown) == 2 and shown[0] == shown[1]


@contextmanager
def ways(plain: bool) -> Iterator[None]:
    """Within it, there is only the plain way, if `plain`."""
    with pytest.MonkeyPatch.context() as patch:
        if plain:
            patch.setattr(SqliteStore, "open_at_once", classmethod(lambda cls, url, **options: None))
        yield


def test_a_document_that_is_deleted_or_isnt_there_is_left_to_the_plain_way(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    edited(path, "text")
    assert Traffic(path, "other", True, {}).join_at_once() is None
    with pytest.raises(syncstring.UnknownVersion, match="no document 'other'"):
        syncstring.open(path, "other", author="ada", create=False)
    with syncstring.open(path, "other", author="ada") as doc:
        assert doc.text == ""

    async def delete() -> None:
        async with await opened(path) as store:
            doc = await find_document(store, "notes", fresh_key)
            await Archive(store, doc, fresh_key).delete()

    run(delete())
    assert Traffic(path, "notes", True, {}).join_at_once() is None
    with pytest.raises(syncstring.DocumentDeleted):
        syncstring.open(path, "notes", author="ada")
    assert [each.name for each in tmp_path.iterdir()] == ["team.db"], "all was closed"


def test_what_others_do_before_the_thread_comes_arrives(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    edited(path, "text", pack=(0,))
    traffic = _Thread(path, "notes", False, {"limit": 30.0}, None)
    contents = traffic.join_at_once()
    assert contents is not None
    document = StoredDocument(traffic, None, 30.0, [], contents, "bob", None, None, None)
    with syncstring.open(path, "notes", author="ada") as other:
        other.insert(0, "new ")
        other.flush()
        other.pack()
        other.insert(0, "newer ")
    document.insert(4, "!")
    document.commit()
    traffic.launch(traffic.go_on)
    deadline = threading.Event()
    while document.text != "newer new text!" and not deadline.wait(0.01):
        document.pull()
    document.flush()
    document.close()
    with syncstring.open(path, "notes", author="ada") as other:
        assert other.text == "newer new text!"


def test_a_document_is_edited_flushed_and_closed_before_its_thread_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "team.db"
    edited(path, "text")
    start = _Thread._start_thread

    def late(self: _Thread) -> None:
        threading.Event().wait(0.2)
        start(self)

    monkeypatch.setattr(_Thread, "_start_thread", late)
    with syncstring.open(path, "notes", author="bob") as document:
        document.insert(0, "more ")
        document.commit()
        document.insert(0, "and ")
        document.flush()
        assert document.unsaved == []
    syncstring.open(path, "notes", author="bob").close()
    monkeypatch.undo()
    with syncstring.open(path, "notes", author="eve") as document:
        assert document.text == "and more text"


@pytest.mark.parametrize("which", ["threading.Thread.start", "syncstring.blocking.start_new_thread"])
def test_where_no_thread_can_be_had_it_says_so_and_ends(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "team.db"
    edited(path, "text")

    def none(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(which, none)
    document = syncstring.open(path, "notes", author="bob")
    assert document.text == "text"
    document.insert(0, "more ")
    with pytest.raises(StoreError, match="no thread for the traffic"):
        document.flush()
    assert [patch.author for patch in document.unsaved] == ["bob"]
    document.close()
    document.close()
    assert not list(tmp_path.glob("*-wal")), "all was closed"
    with pytest.raises(StoreError, match="no thread for the traffic"):
        syncstring.open(path, "another", author="bob")


@pytest.mark.parametrize("which", ["syncstring-sqlite_write_all", "syncstring-sqlite_read_all"])
def test_where_the_stores_threads_cannot_be_had_it_says_so_and_ends(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "team.db"
    edited(path, "text")
    start = threading.Thread.start

    def none(self: threading.Thread) -> None:
        if self.name == which:
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", none)
    document = syncstring.open(path, "notes", author="bob")
    document.insert(0, "more ")
    with pytest.raises(StoreError, match="the session broke down"):
        document.flush()
    document.close()
    assert not list(tmp_path.glob("*-wal")), "all was closed"
    with pytest.raises(StoreUnavailable, match="no threads for it"):
        run(opened(path))


def test_who_is_interrupted_while_it_opens_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "team.db"
    edited(path, "text")

    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("syncstring.traffic.read_tags", interrupted)
    with pytest.raises(KeyboardInterrupt):
        syncstring.open(path, "notes", author="bob")
    assert [each.name for each in tmp_path.iterdir()] == ["team.db"]
    while [each for each in threading.enumerate() if each.name.startswith("syncstring")]:
        threading.Event().wait(0.01)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connect_that_is_given_up_meanwhile_leaves_nothing_open(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "team.db"
    edited(path, "text")
    go_on, began = threading.Event(), threading.Event()
    join = Traffic.join_at_once

    def slow(self: Traffic) -> Contents | None:
        if when == "before":
            go_on.wait(20)
        contents = join(self)
        began.set()
        if when == "after":
            go_on.wait(20)
        return contents

    monkeypatch.setattr(Traffic, "join_at_once", slow)

    async def main() -> None:
        with pytest.raises(StoreUnavailable, match="was not reached within"):
            async with syncstring.connect(path, "notes", author="bob", limit=0.2):
                pass
        go_on.set()
        while not began.is_set() or list(tmp_path.glob("*-wal")):
            await asyncio.sleep(0.01)

    run(main())


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
    killed.communicate(timeout=60)
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
