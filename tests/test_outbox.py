"""The outbox on disk: what `add` was given outlasts any crash, and a document that has one loses nothing."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from disks import SECTOR
from hypothesis import given
from hypothesis import strategies as st

import syncstring
from syncstring._patch import apply
from syncstring.blocking import StoredDocument
from syncstring.errors import CorruptStore, StoreError, StoreUnavailable
from syncstring.outbox import Outbox
from syncstring.patch import Patch
from syncstring.store import Changed, Row
from syncstring.testing.strategies import texts

pytestmark = pytest.mark.filterwarnings("ignore:SQLite")

DOC = "d" * 40


def row(time: int, text: str) -> Row:
    return Patch((time, "ada"), [], [(0, 0, text)], "ada", 0).to_row(DOC)


_texts = texts(30) | st.integers(1, 900).map(lambda n: "x\0é😀"[n % 4] * n)
_batches = st.lists(st.lists(_texts, min_size=1, max_size=4), min_size=1, max_size=4).map(
    lambda lots: [[row(10 * i + j + 1, text) for j, text in enumerate(lot)] for i, lot in enumerate(lots)]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outboxes")


def written(path: Path, batches: list[list[Row]]) -> tuple[bytes, bytes]:
    """What is in the file before and after the last batch."""
    path.unlink(missing_ok=True)
    kept = Outbox(path)
    for batch in batches[:-1]:
        kept.add(batch)
    before = path.read_bytes()
    kept.add(batches[-1])
    kept.close()
    return before, path.read_bytes()


def opened_after(path: Path, content: bytes) -> list[Row]:
    """What is there after a crash that left this; and that one can go on, and that this is there then."""
    path.write_bytes(content)
    kept = Outbox(path)
    found = kept.rows(DOC)
    kept.add([row(99, "later")])
    kept.close()
    again = Outbox(path)
    assert again.rows(DOC) == [*found, row(99, "later")]
    again.close()
    return found


@given(_batches, st.data())
def test_a_crash_at_any_byte_of_a_call_leaves_what_calls_before_it_were_given(
    folder: Path, batches: list[list[Row]], data: st.DataObject
) -> None:
    before, after = written(folder / "cut", batches)
    cut = data.draw(st.integers(len(before), len(after)))
    found = opened_after(folder / "cut", after[:cut])
    promised = [row for batch in batches[:-1] for row in batch]
    assert found == [*promised, *batches[-1]][: len(found)]
    assert len(found) >= len(promised) + (len(batches[-1]) if cut == len(after) else 0)


@given(_batches, st.data())
def test_a_disk_that_wrote_any_sectors_of_a_call_leaves_what_calls_before_it_were_given(
    folder: Path, batches: list[list[Row]], data: st.DataObject
) -> None:
    before, after = written(folder / "torn", batches)
    content = bytearray(after)
    for start in range(0, len(after), SECTOR):
        if start + SECTOR > len(before) and data.draw(st.booleans()):
            first = max(start, len(before))
            content[first : start + SECTOR] = bytes(len(content[first : start + SECTOR]))
    found = opened_after(folder / "torn", bytes(content))
    promised = [row for batch in batches[:-1] for row in batch]
    assert found == [*promised, *batches[-1]][: len(found)]
    assert len(found) >= len(promised)


class Nearly:
    """A file on a disk that takes at most so many bytes at once, and then no more."""

    def __init__(self, file: Any, at_once: int, room: int) -> None:
        self.file = file
        self.at_once = at_once
        self.room = room

    def write(self, data: bytes) -> int:
        count = min(len(data), self.at_once, self.room)
        if not count:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= count
        return int(self.file.write(data[:count]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_a_forked_process_may_read_an_outbox_and_not_change_it(tmp_path: Path) -> None:
    kept = Outbox(tmp_path / "outbox")
    kept.add([row(1, "before")])
    pid = os.fork()
    if pid == 0:
        refused = 0
        for call in (lambda: kept.add([row(2, "child")]), lambda: kept.replace([]), kept.clear):
            with suppress(StoreError):
                call()
                continue
            refused += 1
        kept.close()
        os._exit(refused)
    kept.add([row(2, "after")])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    kept.add([row(3, "and later")])
    kept.close()
    again = Outbox(tmp_path / "outbox")
    assert again.rows(DOC) == [row(1, "before"), row(2, "after"), row(3, "and later")]
    again.close()


def test_a_disk_that_takes_a_call_in_pieces_has_all_of_it(tmp_path: Path) -> None:
    kept = Outbox(tmp_path / "outbox")
    kept._file = Nearly(kept._file, 7, 10_000)  # type: ignore[assignment]
    kept.add([row(1, "a" * 100), row(2, "b")])
    kept.close()
    assert Outbox(tmp_path / "outbox").rows(DOC) == [row(1, "a" * 100), row(2, "b")]


@pytest.mark.parametrize("room", [0, 1, 100, 200, 300])
def test_a_call_that_the_disk_has_no_room_for_leaves_the_file_as_it_was(tmp_path: Path, room: int) -> None:
    path = tmp_path / "outbox"
    kept = Outbox(path)
    kept.add([row(1, "before")])
    before, real = path.read_bytes(), kept._file
    kept._file = Nearly(real, 50, room)  # type: ignore[assignment]
    with pytest.raises(StoreError, match=r"No space left.*nothing was sent"):
        kept.add([row(2, "x" * 300), row(3, "y")])
    assert path.read_bytes() == before
    kept._file = real
    kept.add([row(4, "after")])
    kept.close()
    assert Outbox(path).rows(DOC) == [row(1, "before"), row(4, "after")]


def test_what_replaces_all_is_there_alone_and_can_be_added_to(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    kept = Outbox(path)
    kept.add([row(1, "old"), row(2, "old, too")])
    kept.replace([row(3, "new")])
    assert kept.size == path.stat().st_size
    with pytest.raises(StoreError, match="used by another"):
        Outbox(path)
    kept.add([row(4, "more")])
    kept.close()
    assert Outbox(path).rows(DOC) == [row(3, "new"), row(4, "more")]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_what_cannot_be_replaced_is_there_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "outbox"
    kept = Outbox(path)
    kept.add([row(1, "old")])

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(StoreError, match="No space left"):
        patched.setattr(f"syncstring.outbox.os.{call}", full)
        kept.replace([row(2, "new")])
    kept.add([row(3, "more")])
    kept.close()
    assert Outbox(path).rows(DOC) == [row(1, "old"), row(3, "more")]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("line", [b"{", b"[]", b"7", b"{}", b'{"id":7}', b"[" * 100_000, b"\xff"])
def test_a_damaged_line_is_told_and_changes_nothing_and_nobody_is_locked_out(
    tmp_path: Path, line: bytes
) -> None:
    path = tmp_path / "outbox"
    content = json.dumps(row(1, "first")).encode() + b"\n" + line + b"\n"
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(CorruptStore, match="line 2 is damaged") as failure:
            Outbox(path)
        assert failure.traceback  # it holds on to what failed, and that to no lock
    assert path.read_bytes() == content


# --- under a document ------------------------------------------------------------


@pytest.fixture
def get(tmp_path: Path) -> Iterator[Callable[..., StoredDocument]]:
    documents: list[StoredDocument] = []

    def get(author: str = "ada", **options: Any) -> StoredDocument:
        documents.append(syncstring.open(tmp_path / "team.db", "notes.md", author=author, **options))
        return documents[-1]

    yield get
    for document in documents:
        document.close()


def filled(document: StoredDocument) -> Callable[[], None]:
    """The disk of its outbox is full, until the function is called."""
    kept = document._kept
    assert kept is not None
    real = kept._file
    kept._file = Nearly(real, 50, 60)  # type: ignore[assignment]

    def empty() -> None:
        kept._file = real

    return empty


@pytest.mark.parametrize(
    "data",
    [
        b"SQLite format 3\0\x10\0\x02\x02\0",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\0\0\0\x20ftypisom",
        b"a note",
        b"a note\nof mine",
        b'{"a": 1}\n{"b"',
    ],
)
def test_a_file_of_something_else_is_refused_and_not_touched(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    for _ in range(2):
        with pytest.raises(CorruptStore):
            Outbox(path)
    assert path.read_bytes() == data


def test_what_an_outbox_had_no_room_for_is_sent_once_it_has(get: Any, tmp_path: Path) -> None:
    document = get(outbox=tmp_path / "outbox")
    empty = filled(document)
    document.insert(0, "typed on a full disk")
    with pytest.raises(StoreError, match="No space left"):
        document.flush()
    assert [patch.ops for patch in document.unsaved] == [("typed on a full disk",)]
    empty()
    document.insert(0, "and ")
    document.flush()
    assert document.unsaved == []
    assert get("bob").text == "and typed on a full disk"


def test_what_an_undo_changed_is_shown_later_where_an_outbox_had_no_room_for_it(
    get: Any, tmp_path: Path
) -> None:
    document = get(outbox=tmp_path / "outbox")
    document.insert(0, "hello")
    document.flush()
    editor = document.text
    empty = filled(document)
    with pytest.raises(StoreError, match="No space left"):
        document.undo()
    empty()
    assert apply(editor, document.sync()) == document.text == get("bob").text == ""


def test_what_an_outbox_holds_is_in_the_text_at_once_and_not_told_again(get: Any, tmp_path: Path) -> None:
    first = get(outbox=tmp_path / "outbox")
    first._traffic.post = lambda patches: None  # offline
    first.insert(0, "left behind")
    first.commit()
    first.close()
    again = get(outbox=tmp_path / "outbox")
    editor = again.text
    assert editor == "left behind"
    assert apply(editor, again.sync()) == again.text == get("bob").text == "left behind"


def test_what_a_sync_that_failed_took_in_is_shown_by_the_next_one(get: Any) -> None:
    late = get("late")
    late.insert(0, "base ")
    late.flush()
    ada = get("ada")
    post, late._traffic.post = late._traffic.post, lambda patches: None
    late.insert(0, "late ")
    late.commit()
    made = list(late.history)[-1:]
    ada.insert(len(ada), "more ")
    ada.flush()
    ada.pack()
    reader = get("reader")
    assert reader.history.base is not None
    editor = reader.text
    ada.insert(0, "newest ")
    ada.flush()
    late._traffic.post = post
    late._traffic.post(made)
    late.flush()
    grow, reader._grow = reader._grow, lambda: (_ for _ in ()).throw(StoreUnavailable("the cable is out"))
    with pytest.raises(StoreUnavailable, match="cable"):
        reader.sync()
    reader._grow = grow
    editor = apply(editor, reader.sync())
    ada.sync()
    assert editor == reader.text == ada.text
    assert "late" in editor and "newest" in editor


def test_what_a_patch_stands_on_is_kept_with_it_where_only_a_feed_has_shown_it(tmp_path: Path) -> None:
    """A crash of the store takes such a row back, and its author may be gone: who comes back with a patch
    that stands on it has to bring it along."""
    path, box = tmp_path / "team.db", tmp_path / "outbox"
    ghost = syncstring.Patch(
        id=(7_000, "ghost"), parents=[], splices=[(0, 0, "boo ")], author="g", wall=7_000
    )
    with syncstring.open(path, "notes", author="first"):
        pass
    doc = syncstring.open(path, "notes", author="ada", outbox=box)
    link = doc._traffic.link

    async def shown() -> None:
        link.take(Changed(None, ghost.to_row(link.doc)))

    doc._traffic.call(shown())
    doc.pull()
    doc.insert(4, "who?")
    mine = doc.commit()
    assert mine is not None and mine.parents == (ghost.id,)
    kept = [tuple(json.loads(line)["id"][1:]) for line in box.read_bytes().splitlines()]
    assert kept == [tuple(ghost.id), tuple(mine.id)]
    doc.close()
