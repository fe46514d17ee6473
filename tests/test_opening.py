"""A document that is opened at once, in its caller's thread, beside the plain way."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_stores import edited, opened, run

import syncstring
from syncstring.archive import Archive, Contents, find_document
from syncstring.backends import sqlite as backend
from syncstring.backends.sqlite import SqliteStore
from syncstring.blocking import StoredDocument, _Thread
from syncstring.errors import StoreError, StoreUnavailable, SyncstringError
from syncstring.outside import fresh_key
from syncstring.store import (
    at_once,
)
from syncstring.tags import set_tag
from syncstring.traffic import Traffic

pytestmark = pytest.mark.filterwarnings("ignore:SQLite")


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


def test_where_no_event_loop_can_be_had_it_says_so_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "team.db"
    edited(path, "text")

    def none() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio, "new_event_loop", none)
    document = syncstring.open(path, "notes", author="bob")
    document.insert(0, "more ")
    with pytest.raises(StoreError, match=r"no thread for the traffic: .*Too many open files"):
        document.flush(5)
    assert [patch.author for patch in document.unsaved] == ["bob"]
    document.close()
    document.close()
    assert not list(tmp_path.glob("*-wal")), "all was closed"
    with pytest.raises(StoreError, match="no thread for the traffic"):
        syncstring.open(path, "another", author="bob")


def test_who_is_interrupted_while_it_closes_before_its_thread_has_come_has_it_closed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "team.db"
    edited(path, "text")
    come, start = threading.Event(), _Thread._start_thread

    def late(self: _Thread) -> None:
        come.wait(200)
        start(self)

    monkeypatch.setattr(_Thread, "_start_thread", late)
    document = syncstring.open(path, "notes", author="bob")
    traffic = document._traffic

    def interrupted(timeout: float | None = None) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(traffic._looping, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            document.close()
    come.set()
    while traffic.state != "closed" or traffic._thread.is_alive():
        threading.Event().wait(0.01)
    assert not list(tmp_path.glob("*-wal")), "all was closed"
    document.close()


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
            go_on.wait(200)
        contents = join(self)
        began.set()
        if when == "after":
            go_on.wait(200)
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


def test_a_connect_waits_for_no_thread_that_others_keep_busy(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    edited(path, "text")
    enough = threading.Event()

    async def main() -> None:
        busy = [asyncio.create_task(asyncio.to_thread(enough.wait, 200)) for _ in range(100)]
        await asyncio.sleep(0)
        try:
            async with syncstring.connect(path, "notes", author="bob", limit=60) as session:
                assert session.document.text == "text"
        finally:
            enough.set()
            await asyncio.gather(*busy)

    run(main())


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    backend._warned = True
    yield
