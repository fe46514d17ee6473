"""Power cuts under documents: at every sync of everything that is done with them.

`test_sqlite_crash.py` shows that a row which was acknowledged outlasts a power cut. This shows that what is
made of several rows does: documents are opened, edited, packed, tagged, renamed, imported, swept and deleted
on the disk of `disks.py`, and at every sync, directly before and after it, the power goes. Whoever opens what
is left finds all that was acknowledged, every version as its author saw it, one of the names that there may
be, nothing that `fsck` calls damage, and can go on. The outbox on disk is in `test_outbox.py`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from disks import Disk, Remains, kept, lost, torn

import syncstring
from syncstring.archive import Archive, delete_document, find_document, list_documents, rename_document
from syncstring.blocking import StoredDocument
from syncstring.errors import CorruptStore, DocumentDeleted
from syncstring.fsck import check_everything
from syncstring.history import History
from syncstring.imports import take_in
from syncstring.outside import fresh_key
from syncstring.patch import Id, Patch
from syncstring.store import Store, open_store
from syncstring.tags import read_tags, set_tag

T = TypeVar("T")


# --- a life, and what was promised when ------------------------------------------------------------


@dataclass
class Promise:
    """What may be found from `began` on, and must be from `acknowledged` on, in operations of the disk."""

    began: int
    acknowledged: int
    doc: str
    ids: frozenset[Id] = frozenset()
    names: tuple[frozenset[str], ...] = ()
    """The names that a document may have; the last of them are those that it has in the end."""
    deleted: bool = False
    tag: tuple[str, tuple[Id, ...]] | None = None


@dataclass
class Life:
    """Documents on a disk, what was done to them, and what each version said."""

    path: Path
    disk: Disk = field(default_factory=Disk)
    promises: list[Promise] = field(default_factory=list)
    made: dict[str, dict[Id, Patch]] = field(default_factory=dict)  # by document
    texts: dict[Id, str] = field(default_factory=dict)

    def open(self, name: str) -> StoredDocument:
        return syncstring.open(self.path, name, author="ada", limit=60, connect=self.disk.connect)

    def promise(self, doc: str, work: Callable[[], Any], **what: Any) -> Any:
        began = len(self.disk.log)
        result = work()
        self.promises.append(Promise(began, len(self.disk.log), doc, **what))
        return result

    def write(self, document: StoredDocument, *texts: str) -> None:
        """Type, a patch each, and flush all of them at once."""
        doc = document._traffic.link.doc
        ids = []
        for text in texts:
            document.splice(len(document) // 2, min(1, len(document) % 2), text)
            patch = document.commit()
            assert patch is not None
            self.note(doc, [patch])
            self.texts[patch.id] = document.text
            ids.append(patch.id)
        self.promise(doc, document.flush, ids=frozenset(ids))

    def note(self, doc: str, patches: Iterable[Patch]) -> None:
        self.made.setdefault(doc, {}).update((patch.id, patch) for patch in patches)

    def asked(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """Do something with the store itself."""

        async def whole() -> T:
            async with await open_store(str(self.path), connect=self.disk.connect) as store:
                return await work(store)

        return asyncio.run(whole())

    def go_by(self) -> None:
        with self.open("notes") as notes:
            doc = notes._traffic.link.doc
            self.promise(doc, lambda: None, names=(frozenset({"notes"}),))
            self.write(notes, "one ", "two ")
            self.write(notes, "x" * 3_000)
            notes.pack()
            self.write(notes, "three")
        with self.open("notes") as notes, self.open("notes") as other:
            notes.insert(0, "at the same time ")
            patch = StoredDocument.commit(notes)
            assert patch is not None
            self.note(doc, [patch])
            self.texts[patch.id] = notes.text
            self.promise(doc, notes.flush, ids=frozenset({patch.id}))
            self.write(other, "here", "and there")
            other.pack()
            other.pack(everything=False)
            heads = other.heads
        self.promise(
            doc,
            lambda: self.asked(lambda store: set_tag(store, doc, "v1.0", heads)),
            tag=("v1.0", heads),
        )
        self.promise(
            doc,
            lambda: self.asked(lambda store: rename_document(store, "notes", "ideas")),
            names=(frozenset({"notes"}), frozenset({"notes", "ideas"}), frozenset({"ideas"})),
        )

        async def litter(store: Store) -> None:
            await store.insert("packs", [{"v": 1, "id": [doc, "lost.0"], "data": b"x" * 999}])
            await Archive(store, doc, fresh_key).sweep()

        self.asked(litter)
        with self.open("ideas") as ideas:
            self.write(ideas, "after the rename")
        self.second_document()
        self.imported()

    def second_document(self) -> None:
        """One that is deleted, and another of the same name."""
        with self.open("gone") as gone:
            doc = gone._traffic.link.doc
            self.promise(doc, lambda: None, names=(frozenset({"gone"}),))
            self.write(gone, "soon ", "gone")
            gone.pack()
            self.write(gone, "or not")
        self.promise(
            doc,
            lambda: self.asked(lambda store: delete_document(store, "gone")),
            deleted=True,
            names=(frozenset({"gone"}), frozenset()),
        )
        with self.open("gone") as again:
            assert again._traffic.link.doc != doc
            self.write(again, "second life")

    def imported(self) -> None:
        """A history that goes straight into packs."""
        patches: list[Patch] = []
        for n in range(30):
            parents = [patches[-1].id] if patches else []
            patches.append(Patch((1_000 + n, "else"), parents, [(0, 0, f"{n} ")], "eve", 0))
            self.texts[patches[-1].id] = History(patches).text()
        doc = self.asked(lambda store: find_document(store, "imported", fresh_key))
        self.note(doc, patches)
        self.promise(
            doc,
            lambda: self.asked(lambda store: take_in(store, doc, fresh_key, patches)),
            ids=frozenset(patch.id for patch in patches),
        )

    # --- what is left of it

    async def judge(self, at: int, store: Store) -> None:
        """What is in a store after a power cut at that operation."""
        listed = await list_documents(store)
        names: dict[str, set[str]] = {}
        for name, doc in listed:
            names.setdefault(doc, set()).add(name)
        deleted: dict[str, Promise] = {}
        for promise in self.promises:
            if promise.names and promise.began <= at:
                may = promise.names if promise.acknowledged > at else promise.names[-1:]
                later = [p for p in self.promises if p.names and p.doc == promise.doc and p.began <= at]
                if later[-1] is promise:
                    assert names.get(promise.doc, set()) in may, "its name is another"
            if promise.deleted and promise.began <= at:
                deleted[promise.doc] = promise
        for doc in {promise.doc for promise in self.promises}:
            must = {id for p in self.promises if p.doc == doc and p.acknowledged <= at for id in p.ids}
            if not must and doc not in names:
                continue
            try:
                contents = await Archive(store, doc, fresh_key).read(whole=True)
            except DocumentDeleted:
                assert doc in deleted, "a document is deleted that nobody deleted"
                continue
            assert doc not in deleted or deleted[doc].acknowledged > at, "a deleted document is back"
            self.read(must, self.made.get(doc, {}), contents.patches)
            tags = await read_tags(store, doc)
            for promise in self.promises:
                if promise.tag and promise.doc == doc and promise.acknowledged <= at:
                    assert tags[promise.tag[0]] == promise.tag[1]
        reports = await check_everything(store, fresh_key)
        assert all(report.sound for report in reports), reports
        assert not any(report.unread for report in reports)

    def read(self, must: set[Id], made: dict[Id, Patch], patches: list[Patch]) -> None:
        found = {patch.id: patch for patch in patches}
        assert must <= found.keys(), f"{len(must - found.keys())} acknowledged patches are gone"
        assert len(found) == len(patches)
        assert all(made[id] == patch for id, patch in found.items())
        history = History(patches)
        assert not history.parked
        assert all(history.text_at([id]) == self.texts[id] for id in found)

    def goes_on(self, path: Path) -> None:
        """Somebody opens each document that is left, and writes and packs."""
        for name, _ in run(path, list_documents):
            try:
                with syncstring.open(path, name, author="bob", limit=60) as document:
                    before = document.text
                    document.insert(0, "still here ")
                    document.flush()
                    document.pack()
            except DocumentDeleted:
                continue
            with syncstring.open(path, name, author="bob", limit=60) as document:
                assert document.text == "still here " + before


def run(path: Path, work: Callable[[Store], Awaitable[T]]) -> T:
    async def whole() -> T:
        async with await open_store(str(path)) as store:
            return await work(store)

    return asyncio.run(whole())


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    monkeypatch.setattr("syncstring.imports.MANY", 20)
    monkeypatch.setattr("syncstring.imports.PACK_SIZE", 200)
    monkeypatch.setattr("syncstring.archive.LATEST", 2)
    (tmp_path / "real").mkdir()
    found = Life(tmp_path / "real" / "team.db")
    found.go_by()
    return found


def cuts(life: Life, folder: Path) -> Iterator[tuple[int, str, Path]]:
    """Everything that a power cut directly before or after a sync may leave, as files in a folder."""
    folder.mkdir()
    path = folder / life.path.name
    chance = random.Random(0)
    remains = Remains()
    log = life.disk.log
    for at, op in enumerate(log, 1):
        remains.take(op)
        if op.kind == "sync" or (at < len(log) and log[at].kind == "sync") or at == len(log):
            for how, keep in (("lost", lost), ("kept", kept), ("torn", torn(chance))):
                for old in folder.iterdir():
                    old.unlink()
                for name, content in remains.files(keep).items():
                    (folder / name).write_bytes(content)
                yield at, how, path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:SQLite")
def test_a_power_cut_at_any_sync_leaves_documents_that_have_all_that_was_promised(
    life: Life, tmp_path: Path
) -> None:
    count = 0
    for at, how, path in cuts(life, tmp_path / "cut"):
        count += 1
        try:
            run(path, lambda store, at=at: life.judge(at, store))  # type: ignore[misc]
            if count % 7 == 0:
                life.goes_on(path)
        except BaseException as error:
            error.add_note(f"after operation {at} of {len(life.disk.log)}, what wasn't sure was {how}")
            raise
    assert count > 300


@pytest.mark.filterwarnings("ignore:SQLite")
def test_documents_on_a_disk_that_syncs_less_are_found_to_have_lost_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("disks.Connection.synchronous", "NORMAL")
    life = Life(tmp_path / "real" / "team.db")
    life.path.parent.mkdir()
    with life.open("notes") as notes:
        life.write(notes, "one")
        life.write(notes, "two")
        life.disk.log.append(life.disk.log[0]._replace(kind="sync", name="nothing"))  # an instant to look at
    with pytest.raises((AssertionError, CorruptStore), match=r"patches are gone|its row is gone"):
        for at, _, path in cuts(life, tmp_path / "cut"):
            run(path, lambda store, at=at: life.judge(at, store))  # type: ignore[misc]
