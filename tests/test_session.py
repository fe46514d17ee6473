"""Documents in a store: what `flush` and `sync` promise, between sessions, processes and lives."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import syncstring
from syncstring._patch import apply
from syncstring.archive import Archive, delete_document, rename_document
from syncstring.blocking import StoredDocument
from syncstring.errors import (
    DocumentDeleted,
    PatchError,
    StoreError,
    StoreUnavailable,
    UnknownVersion,
)
from syncstring.history import History
from syncstring.manifest import Manifest, rows_of_checkpoint, rows_of_pack
from syncstring.outside import fresh_key
from syncstring.patch import Id, Patch
from syncstring.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore:SQLite")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "team.db")


@pytest.fixture
def opened(path: str) -> Iterator[list[StoredDocument]]:
    """Documents that a test opens; closed after it."""
    documents: list[StoredDocument] = []
    yield documents
    for document in documents:
        document.close()


@pytest.fixture
def get(path: str, opened: list[StoredDocument]):
    def get(author: str = "ada", name: str = "notes.md", **options) -> StoredDocument:
        document = syncstring.open(path, name, author=author, **options)
        opened.append(document)
        return document

    return get


def run(coroutine):
    return asyncio.run(coroutine)


def typed(document: StoredDocument, count: int) -> None:
    for i in range(count):
        document.insert(len(document), f"{i} ")
        document.commit()


# --- writing and reading --------------------------------------------------------------


def test_what_one_session_was_acknowledged_the_other_sees_at_its_next_sync(get):
    ada, bob = get("ada"), get("bob")
    ada.insert(0, "Hello ")
    assert ada.sync() == []
    bob.insert(0, "world")
    shown = apply("world", bob.sync())
    assert shown == bob.text
    ada.sync()
    assert ada.text == bob.text
    assert sorted(ada.text) == sorted("Hello world")


def test_leaving_the_context_flushes(path):
    with syncstring.open(path, "notes.md", author="ada") as document:
        document.insert(0, "kept")
    with syncstring.open(path, "notes.md", author="ada") as document:
        assert document.text == "kept"


def test_leaving_what_was_closed_inside_says_nothing(path):
    with syncstring.open(path, "notes.md", author="ada") as ada:
        ada.insert(0, "kept")
        ada.flush()
        ada.close()
    with syncstring.open(path, "notes.md", author="bob") as bob:
        assert bob.text == "kept"


def test_an_exception_inside_the_context_is_not_hidden(path):
    with pytest.raises(ZeroDivisionError), syncstring.open(path, "notes.md", author="ada") as document:
        document.insert(0, "kept all the same")
        raise ZeroDivisionError
    with syncstring.open(path, "notes.md", author="ada") as document:
        assert document.text == "kept all the same"


def test_what_arrives_by_itself_can_be_pulled_without_waiting(get):
    ada, bob = get("ada"), get("bob")
    ada.insert(0, "soon")
    ada.flush()
    end = time.monotonic() + 60
    while not bob.pull() and time.monotonic() < end:
        time.sleep(0.01)
    assert bob.text == "soon"


def test_what_nobody_pulled_is_bounded_and_not_lost(get, monkeypatch):
    monkeypatch.setattr("syncstring.link.ARRIVALS", 10)
    ada, bob, eve = get("ada"), get("bob"), get("eve")
    for lot in range(5):
        typed(ada, 20)
        ada.flush()
        if lot % 2:
            ada.pack()
    shown = apply("", bob.sync())
    assert shown == bob.text == ada.text
    editor = ""
    end = time.monotonic() + 60
    while editor != ada.text and time.monotonic() < end:
        assert len(eve._traffic.link.arrivals) <= 120
        editor = apply(editor, eve.pull())
        time.sleep(0.01)
    assert editor == eve.text == ada.text


def test_several_documents_live_in_one_file_and_do_not_meet(get):
    one, two = get(name="one"), get(name="two")
    one.insert(0, "1")
    two.insert(0, "2")
    one.sync()
    two.sync()
    assert (one.text, two.text) == ("1", "2")


def test_a_document_that_is_not_there_is_made_only_if_that_is_wanted(path):
    with pytest.raises(StoreError, match="no such file"):
        syncstring.open(path, "absent", author="ada", create=False)
    assert not Path(path).exists()
    syncstring.open(path, "other", author="ada").close()
    with pytest.raises(UnknownVersion, match="no document"):
        syncstring.open(path, "absent", author="ada", create=False)
    syncstring.open(path, "absent", author="ada").close()
    syncstring.open(path, "absent", author="ada", create=False).close()


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "x" * 5_000])
def test_what_cannot_be_a_name_is_refused(path, name):
    with pytest.raises(PatchError):
        syncstring.open(path, name, author="ada")


def test_ten_processes_at_one_file_end_in_one_text(path):
    code = (
        "import random, sys, syncstring, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "chance = random.Random(sys.argv[2])\n"
        "with syncstring.open(sys.argv[1], 'notes.md', author=sys.argv[2], limit=200) as document:\n"
        "    for i in range(20):\n"
        "        document.insert(chance.randint(0, len(document)), sys.argv[2])\n"
        "        document.commit()\n"
        "        if i % 5 == 0: document.sync()\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, path, "abcdefghij"[i]]) for i in range(10)]
    assert [process.wait(400) for process in running] == [0] * 10
    with (
        syncstring.open(path, "notes.md", author="a") as one,
        syncstring.open(path, "notes.md", author="b") as two,
    ):
        assert one.text == two.text
        assert len(one.history) == 200
        assert [one.text.count(letter) for letter in "abcdefghij"] == [20] * 10


# --- packs ----------------------------------------------------------------------------


def test_opening_reads_a_checkpoint_and_the_newest_patches_and_time_travel_the_rest(get):
    ada = get("ada")
    typed(ada, 700)
    ada.sync()
    packed = ada.pack(everything=False)
    assert packed is not None
    assert packed.count == 500
    bob = get("bob")
    assert bob.text == ada.text
    assert bob.history.base is not None
    assert len(bob.history) == 700
    assert bob.at(100) == ada.at(100)
    assert bob.history.base is not None, "the first packs were enough"
    assert bob.at(650) == ada.at(650)
    assert bob.blame() == ada.blame()
    assert bob.history.base is None
    assert [version.id for version in bob.versions] == [version.id for version in ada.versions]


def test_editing_goes_on_over_a_checkpoint(get):
    ada = get("ada")
    typed(ada, 300)
    ada.sync()
    ada.pack(everything=True)
    bob, eve = get("bob"), get("eve")
    bob.insert(0, "B")
    eve.insert(len(eve), "E")
    eve.undo()
    eve.redo()
    for document in (bob, eve, bob, ada, eve):
        document.sync()
    assert ada.text == bob.text == eve.text
    assert ada.text.startswith("B")
    assert ada.text.endswith("E")
    assert bob.undo().patch is not None
    bob.sync()
    assert bob.text == ada.text.removeprefix("B")


def test_a_late_patch_with_parents_before_the_first_pack_finds_its_place(get):
    ada, late = get("ada"), get("late")
    ada.insert(0, "base")
    ada.sync()
    late.sync()
    late.insert(4, "!")
    syncstring.Document.commit(late)  # it is offline: nothing is handed over, so nothing is sent
    typed(ada, 300)
    ada.sync()
    ada.pack(everything=True)
    bob = get("bob")
    assert bob.history.base is not None
    late.sync()
    for document in (bob, ada, late):
        document.sync()
    assert bob.text == ada.text == late.text
    assert "!" in bob.text
    ada.pack(everything=True)
    assert get("eve").text == ada.text


def test_a_session_that_was_away_for_three_packs_comes_back(get):
    ada, away = get("ada"), get("away")
    typed(away, 3)
    away.sync()
    for _ in range(3):
        typed(ada, 80)
        ada.sync()
        assert ada.pack(everything=True) is not None
    away.insert(0, "back ")
    away.sync()
    ada.sync()
    assert away.text == ada.text
    assert len(away.history) == len(ada.history) == 244


@pytest.mark.slow
def test_opening_reads_as_many_rows_of_a_long_history_as_of_a_short_one():
    def rows_read(count: int) -> int:
        async def reading() -> int:
            store = await open_store("memory:")
            doc = "d" * 40
            patches = [
                Patch.trusted(
                    Id(1_000_000 + i, "s"),
                    (Id(999_999 + i, "s"),) if i else (),
                    ("x",) if i % 2 == 0 else (-1,),
                    "ada",
                    0,
                )
                for i in range(count)
            ]
            tail = [
                Patch(
                    (2_000_000_000 + i, "t"),
                    [(1_999_999_999 + i, "t") if i else patches[-1].id],
                    [(0, 0, "y")],
                    "t",
                    0,
                )
                for i in range(50)
            ]
            pack, rows = rows_of_pack(doc, "p", patches, None, (patches[-1].id,))
            checkpoint, text = rows_of_checkpoint(doc, "c", (patches[-1].id,), count, "x" * (count % 2))
            await store.insert("packs", [*rows, *text])
            await store.insert("documents", [Manifest(doc, 1, False, (pack,), checkpoint).to_row()])
            await store.insert("patches", [patch.to_row(doc) for patch in tail])
            archive = Archive(store, doc, fresh_key)
            store.rows_read = 0
            contents = await archive.read()
            assert len(History(contents.patches, contents.base)) == count + 50
            return store.rows_read

        return run(reading())

    assert rows_read(1_000) == rows_read(1_000_000) == 52


def test_a_slider_loads_packs_as_it_goes(get):
    ada = get("ada")
    for count in (400, 150, 60):  # packs of falling size are not merged
        typed(ada, count)
        ada.sync()
        assert ada.pack(everything=True) is not None
    bob = get("bob")
    read = []
    reading = bob._traffic.link.archive.patches

    async def patches(pack):
        read.append(pack.count)
        return await reading(pack)

    bob._traffic.link.archive.patches = patches
    for n, packs in ((10, [400]), (399, [400]), (401, [400, 150]), (600, [400, 150, 60])):
        assert bob.at(n) == ada.at(n)
        assert read == packs
    assert bob.history.base is not None


# --- lives and deaths -------------------------------------------------------------------


def test_an_outbox_on_disk_keeps_what_was_committed_and_never_sent(path, tmp_path, get):
    outbox = tmp_path / "outbox"
    code = (
        "import os, sys, syncstring\n"
        "document = syncstring.open(sys.argv[1], 'notes.md', author='ada', outbox=sys.argv[2])\n"
        "document._traffic.post = lambda patches: None  # offline\n"
        "document.insert(0, 'typed on the train')\n"
        "document.commit()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, path, str(outbox)], check=False).returncode == -9
    assert get("bob").text == ""
    again = get("ada", outbox=outbox)
    again.sync()
    assert again.text == "typed on the train"
    assert get("eve").text == "typed on the train"
    assert outbox.read_bytes() == b""


def test_a_line_that_a_crash_cut_off_is_left_out(path, tmp_path, get):
    outbox = tmp_path / "outbox"
    first = get("ada", outbox=outbox)
    first._traffic.post = lambda patches: None  # type: ignore[method-assign]
    first.insert(0, "whole")
    first.commit()
    first._traffic.post = type(first._traffic).post.__get__(first._traffic)  # type: ignore[method-assign]
    first.close()
    with outbox.open("ab") as file:
        file.write(b'{"author":"ada","del')
    again = get("ada", outbox=outbox)
    again.sync()
    assert again.text == "whole"


def test_one_outbox_serves_one_session_at_a_time(tmp_path, get):
    get("ada", outbox=tmp_path / "outbox")
    with pytest.raises(StoreError, match="used by another session"):
        get("bob", outbox=tmp_path / "outbox")


def test_a_fork_has_to_open_anew(get):
    document = get()
    document.insert(0, "parent")
    document.flush()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            document.insert(0, "child")
            document.flush()
            said = "no error"
        except StoreError as error:
            said = str(error)
        os.write(writing, said.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    said = os.read(reading, 1_000).decode()
    os.close(reading)
    assert "forked" in said
    document.insert(0, "the ")
    document.sync()
    assert document.text == "the parent"


def in_a_fork(act) -> str:
    """What a call says in a forked process."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "no error"
        try:
            act()
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    said = os.read(reading, 1_000).decode()
    os.close(reading)
    return said


def test_a_fork_makes_no_patch_and_leaves_the_outbox_of_its_parent_alone(get, tmp_path):
    document = get(outbox=tmp_path / "outbox")
    document._traffic.post = lambda patches: None
    document.insert(0, "first ")
    document.commit()
    document.insert(6, "typed before the fork")
    on_disk = (tmp_path / "outbox").read_bytes()
    patch = Patch((1, "elsewhere"), (), [(0, 0, "x")], "bob", 0)
    calls = {
        "splice": lambda: document.insert(0, "child"),
        "set_text": lambda: document.set_text("child"),
        "commit": document.commit,
        "undo": document.undo,
        "redo": document.redo,
        "revert": lambda: document.revert(document.heads),
        "restore": lambda: document.restore(document.heads),
        "edit_at": lambda: document.edit_at(document.heads, [(0, 0, "child")]),
        "bring": lambda: document.bring([patch]),
        "pull": document.pull,
        "flush": document.flush,
        "sync": document.sync,
        "pack": document.pack,
    }
    for name, call in calls.items():

        def child(call=call) -> None:
            before = document.heads, document.uncommitted, list(document.outgoing)
            try:
                call()
            finally:
                assert before == (document.heads, document.uncommitted, list(document.outgoing))

        said = in_a_fork(child)
        assert said.startswith("StoreError: ") and "forked" in said, f"{name}: {said}"
    assert in_a_fork(document.close) == "no error"
    assert (tmp_path / "outbox").read_bytes() == on_disk
    assert document.commit() is not None


def test_a_session_whose_name_was_used_twice_takes_another_and_loses_nothing(path, get):
    ada = get("ada")
    ada.insert(0, "first ")
    ada.flush()
    row = ada.history.patch(ada.heads[0])
    ada.insert(6, "mine")
    patch = syncstring.Document.commit(ada)
    assert patch is not None

    async def forge() -> None:
        store = await open_store(path)
        forged = Patch(patch.id, [row.id], [(0, 0, "theirs ")], "ada", 0)
        await store.insert("patches", [forged.to_row(ada._traffic.link.doc)])
        await store.close()

    run(forge())
    ada.sync()
    bob = get("bob")
    ada.sync()
    assert ada.text == bob.text
    assert "mine" in ada.text
    assert "theirs" in ada.text
    assert ada.session != patch.session


def test_what_cannot_be_sent_stays_and_says_so(path, get, monkeypatch):
    document = get()

    async def broken(self, table, rows):
        raise StoreUnavailable("the cable is out")

    store = type(document._traffic.store)
    insert = store.insert
    monkeypatch.setattr(store, "insert", broken)
    document.insert(0, "waits")
    with pytest.raises(StoreUnavailable, match="outbox stays"):
        document.flush(0.3)
    assert [patch.ops for patch in document.unsaved] == [("waits",)]
    monkeypatch.setattr(store, "insert", insert)
    document.flush(timeout=60)
    assert document.unsaved == []
    assert get("bob").text == "waits"


def test_a_deleted_document_is_not_put_back_and_unsent_work_stays_readable(path, get):
    ada, bob = get("ada"), get("bob")
    ada.insert(0, "text")
    ada.sync()
    bob.sync()

    async def delete() -> None:
        store = await open_store(path)
        await delete_document(store, "notes.md")
        await store.close()

    run(delete())
    bob.insert(0, "unsent ")
    with pytest.raises(DocumentDeleted):
        bob.sync()
    assert bob.text == "unsent text"
    assert [patch.ops for patch in bob.unsaved] == [("unsent ",)]
    with pytest.raises(DocumentDeleted):
        ada.sync()
    fresh = get("eve")
    assert fresh.text == ""
    assert fresh._traffic.link.doc != ada._traffic.link.doc


def test_a_renamed_document_goes_on_and_its_old_name_is_free(path, get):
    ada = get("ada")
    ada.insert(0, "text")
    ada.sync()

    async def rename(old: str, new: str) -> None:
        store = await open_store(path)
        try:
            await rename_document(store, old, new)
        finally:
            await store.close()

    run(rename("notes.md", "other.md"))
    ada.insert(4, "!")
    ada.sync()
    assert get("bob", "other.md").text == "text!"
    assert get("eve", "notes.md").text == ""
    with pytest.raises(PatchError, match="already"):
        run(rename("other.md", "notes.md"))
    with pytest.raises(UnknownVersion):
        run(rename("absent", "new"))


def test_a_close_that_is_interrupted_goes_on_and_a_second_one_waits_for_it(get, monkeypatch):
    document = get()
    traffic = document._traffic
    loose, closed = threading.Event(), threading.Event()
    close = traffic.store.close

    async def slow() -> None:
        while not loose.is_set():
            await asyncio.sleep(0.01)
        await close()
        closed.set()

    traffic.store.close = slow
    with monkeypatch.context() as patched:

        def interrupted() -> None:
            raise KeyboardInterrupt

        patched.setattr(traffic._thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            document.close()
    loose.set()
    document.close()
    assert closed.is_set()
    assert not traffic._thread.is_alive()
    assert traffic.loop.is_closed()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limit": float("inf")}, "limit is inf; it is a number of seconds"),
        ({"limit": float("nan")}, "limit is nan; it is a number"),
        ({"limit": -1}, "limit is -1; it is a number"),
        ({"limit": "5"}, "limit is '5'; it is a number"),
        ({"limit": None}, "limit is None; it is a number"),
        ({"limit": True}, "limit is True; it is a number"),
        ({"limit": 10**400}, "limit is 1000"),
        ({"name": 5}, "name is 5; it is text"),
        ({"name": None}, "name is None; it is text"),
        ({"outbox": "a\0b"}, "outbox is .*U.0000"),
        ({"outbox": 5}, "outbox is 5; it is a file's path"),
        ({"outbox": "\ud800"}, "outbox is "),
        ({"author": "é" * 129}, "^author has 258 bytes"),
        ({"author": "a\ud800"}, "^author holds the lone surrogate"),
        ({"author": 5}, "^author is 5; it is a string"),
    ],
)
@pytest.mark.parametrize("face", ["open", "connect"])
def test_what_cannot_be_meant_is_refused_before_anything_is_opened(tmp_path, face, options, said):
    given = {"name": "notes", "author": "ada", **options}
    name = given.pop("name")

    async def connect() -> None:
        async with syncstring.connect(tmp_path / "team.db", name, **given):
            pass

    with pytest.raises(PatchError, match=said):
        if face == "open":
            syncstring.open(tmp_path / "team.db", name, **given)
        else:
            run(connect())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("timeout", [-1, float("inf"), "5"])
def test_a_limit_of_one_call_that_cannot_be_meant_is_refused(get, timeout):
    document = get()
    document.insert(0, "kept")
    for call in (document.flush, document.sync):
        with pytest.raises(PatchError, match=r"timeout is .*number of seconds"):
            call(timeout)
    assert document.uncommitted, "nothing was done"


def test_an_opening_that_takes_too_long_says_what_was_not_reached(path, monkeypatch):
    async def never(self) -> None:
        await asyncio.sleep(100)

    monkeypatch.setattr("syncstring.blocking._Thread.join", never)
    with pytest.raises(StoreUnavailable, match=r"team\.db was not reached within 0\.01 s$"):
        syncstring.open(path, "notes", author="ada", limit=0.01)


def test_closing_twice_is_fine_and_calls_after_it_say_so(get):
    document = get()
    document.close()
    document.close()
    for call in (document.sync, document.flush, lambda: document.insert(0, "lost"), document.undo):
        with pytest.raises(StoreError, match="closed"):
            call()
    assert document.text == ""


@pytest.mark.slow
def test_two_hundred_sigkills_lose_nothing_that_was_acknowledged():
    script = Path(__file__).with_name("kills.py")
    done = subprocess.run(
        [sys.executable, str(script), "--kills", "200"], capture_output=True, text=True, check=False
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["kills"] >= 200


def test_who_packs_while_the_session_packs_by_itself_waits_and_packs_the_rest(get, tmp_path):
    """Of two at a time one lost its swap: `pack` said None then, and left rows behind."""
    ada = get("ada")
    for _ in range(3):
        ada.commit_each([(0, 0, "x")] * 1_000)
        ada.flush()
        ada.pack()
        rows = ada._traffic.call(ada._traffic.link.archive.rows())
        assert rows == []
