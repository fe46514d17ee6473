"""What only `mutants.py` asked for: a fault was put in, no test noticed, and now one of these does.

Each says what holds, not what the fault was. Codecs of packs, opening over a checkpoint, what an answer from
the store is worth, a disk that keeps only what was synced, and sessions that read again only when told to.
"""

from __future__ import annotations

import os
import random
import types
from collections.abc import Coroutine, Generator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncstring.archive import Archive, find_document
from syncstring.backends.memory import Faults, MemoryStore
from syncstring.document import Document
from syncstring.errors import CorruptStore, StoreError, StoreUnavailable, UnsupportedVersion
from syncstring.fsck import check_document
from syncstring.history import History
from syncstring.link import Link
from syncstring.outbox import Outbox
from syncstring.pack import decode, decode_graph, encode
from syncstring.patch import Id, Patch
from syncstring.store import Gap, Key, Row, Verdict
from syncstring.testing.reference import Reference
from syncstring.testing.strategies import histories, texts

Task = Coroutine[Any, Any, Any]
DOC = "5e" * 20


@types.coroutine
def switch() -> Generator[None, None, None]:
    """Let somebody else go on."""
    yield


def run(task: Task) -> Any:
    """Carry out one task alone."""
    while True:
        try:
            task.send(None)
        except StopIteration as stop:
            return stop.value


def memory(kind: type[MemoryStore] = MemoryStore, **options: Any) -> MemoryStore:
    """A store that needs no event loop."""
    return kind(pause=switch, clock=lambda: 1_700_000_000_000_000, limit=float("inf"), **options)


class Names:
    """Fresh ones, always the same."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self) -> str:
        self.drawn += 1
        return f"{random.Random(self.drawn).getrandbits(160):040x}"


def put(store: MemoryStore, doc: str, patches: Sequence[Patch]) -> None:
    verdicts = run(store.insert("patches", [patch.to_row(doc) for patch in patches]))
    assert all(verdict.fine for verdict in verdicts)


def edits(count: int, session: str = "s") -> list[Patch]:
    """So many patches in a row."""
    made: list[Patch] = []
    for n in range(count):
        parents = [made[-1].id] if made else []
        made.append(Patch((1_000 * (n + 1), session), parents, [(n, 0, "ab😀"[n % 3])], "ada", n))
    return made


# --- the bytes of packs --------------------------------------------------------------------------------


@given(histories())
def test_a_pack_holds_what_was_packed(patches: list[Patch]) -> None:
    ordered = sorted(patches, key=lambda patch: patch.id)
    graph, body = encode(ordered)
    assert decode(graph, body) == ordered
    assert decode_graph(graph) == [(patch.id, patch.parents) for patch in ordered]


@given(st.lists(texts(20).filter(bool), max_size=5))
def test_a_pack_holds_any_text(inserted: list[str]) -> None:
    patches = [Patch((n, "s"), (), [(0, 0, text)], "ada", 0) for n, text in enumerate(inserted, start=1)]
    assert decode(*encode(patches)) == patches


@given(histories(max_patches=6), st.data())
def test_no_byte_of_a_pack_can_change_unseen(patches: list[Patch], data: st.DataObject) -> None:
    sections = list(encode(sorted(patches, key=lambda patch: patch.id)))
    which = data.draw(st.integers(0, 1))
    section = bytearray(sections[which])
    section[data.draw(st.integers(0, len(section) - 1))] ^= data.draw(st.integers(1, 255))
    sections[which] = bytes(section)
    with pytest.raises((CorruptStore, UnsupportedVersion)):
        decode(*sections)


# --- opening -------------------------------------------------------------------------------------------


@given(histories(), st.data())
def test_what_is_opened_is_the_merge_of_packs_and_rows_whatever_they_know_of_each_other(
    patches: list[Patch], data: st.DataObject
) -> None:
    """Packed is a prefix in time order; what comes after it may stand on any part of that, or on nothing."""
    ordered = sorted(patches, key=lambda patch: patch.id)
    first = data.draw(st.integers(0, len(ordered)), label="packed")
    assert opened(ordered[:first], ordered[first:]) == Reference(ordered).text()


def test_a_patch_without_parents_that_came_after_a_checkpoint_is_merged_with_what_it_did_not_know() -> None:
    packed = edits(5)
    root = Patch((packed[-1].id.time + 1, "stranger"), [], [(0, 0, "root")], "eve", 1)
    assert opened(packed, [root]) == Reference([*packed, root]).text()


def opened(packed: list[Patch], rows: list[Patch]) -> str:
    """What somebody reads who opens a document of which that much is packed."""
    store = memory()
    fresh = Names()
    doc = run(find_document(store, "notes", fresh))
    put(store, doc, packed)
    run(Archive(store, doc, fresh).pack(everything=True))
    put(store, doc, rows)
    contents = run(Link(Archive(store, doc, fresh)).open())
    document = Document(
        session="reader", author="eve", clock=lambda: 1, patches=contents.patches, base=contents.base
    )
    assert not document.parked
    return document.text


# --- what a store's answer is worth -----------------------------------------------------------------------


class Garbling(MemoryStore):
    """Acknowledges a row of a pack and keeps another."""

    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        if table == "packs":
            rows = [{**row, "data": bytes([row["data"][0] ^ 1]) + row["data"][1:]} for row in rows]
        return await super().insert(table, rows)


def test_what_does_not_read_as_it_was_written_is_not_packed() -> None:
    store = memory(Garbling)
    doc = run(find_document(store, "notes", Names()))
    patches = edits(5)
    put(store, doc, patches)
    archive = Archive(store, doc, Names())
    with pytest.raises(CorruptStore):
        run(archive.pack(everything=True))
    assert not run(archive.manifest()).packs
    assert len(run(archive.rows())) == len(patches)


class Refusing(MemoryStore):
    """Takes no patches."""

    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        if table == "patches":
            return [Verdict("refused", reason="the store is for reading only") for _ in rows]
        return await super().insert(table, rows)


def test_what_the_store_refuses_stays_in_the_outbox() -> None:
    store = memory(Refusing)
    link = Link(Archive(store, run(find_document(store, "notes", Names())), Names()))
    run(link.open())
    (patch,) = edits(1)
    link.post([patch])
    with pytest.raises(StoreError, match="for reading only"):
        run(link.send())
    assert list(link.outbox.values()) == [patch]


class Doubtful(MemoryStore):
    """Does a swap, and says nothing."""

    async def swap(self, table: str, key: Key, old: Row | None, new: Row) -> Verdict:
        await super().swap(table, key, old, new)
        raise StoreUnavailable("no answer")


def test_what_was_swapped_in_without_an_answer_can_be_read() -> None:
    store = memory(Doubtful)
    doc = run(find_document(store, "notes", Names()))
    patches = edits(5)
    put(store, doc, patches)
    archive = Archive(store, doc, Names())
    with pytest.raises(StoreUnavailable):
        run(archive.pack(everything=True))
    assert run(archive.manifest()).total == len(patches)
    assert run(archive.read(whole=True)).patches == patches


def test_repairing_keeps_every_pack_while_what_the_manifest_lists_is_gone() -> None:
    store, fresh = memory(), Names()
    doc = run(find_document(store, "notes", fresh))
    archive = Archive(store, doc, fresh)
    patches = edits(50)
    put(store, doc, patches[:30])
    run(archive.pack(everything=True))
    (older,) = run(store.get("documents", [(doc,)]))
    put(store, doc, patches[30:])
    run(archive.pack(everything=True))
    (newer,) = run(store.get("documents", [(doc,)]))
    run(store.swap("documents", (doc,), newer, older))  # from a backup, of this row alone
    assert not run(check_document(store, doc, fresh, repair=True)).sound
    (left,) = run(store.get("documents", [(doc,)]))
    run(store.swap("documents", (doc,), left, newer))
    assert run(archive.read(whole=True)).patches == patches


# --- a disk that keeps only what was synced --------------------------------------------------------------


@given(st.lists(st.none() | st.integers(1, 3), max_size=8))
def test_what_the_outbox_was_given_outlives_a_power_cut_and_what_was_cleared_does_not(
    tmp_path_factory: pytest.TempPathFactory, calls: list[int | None]
) -> None:
    path = tmp_path_factory.mktemp("power") / "outbox"
    synced = b""
    sync = os.fsync

    def fsync(file: int) -> None:
        nonlocal synced
        sync(file)
        if os.path.samestat(os.fstat(file), path.stat()):
            synced = path.read_bytes()

    rows: list[Row] = []
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(os, "fsync", fsync)
        outbox = Outbox(path)
        for n, count in enumerate(calls):
            if count is None:
                outbox.clear()
                rows = []
            else:
                more = [patch.to_row(DOC) for patch in edits(count, f"s{n}")]
                outbox.add(more)
                rows += more
        outbox.close()
    path.write_bytes(synced)
    again = Outbox(path)
    assert again.rows(DOC) == rows
    again.close()


# --- sessions that read again only when told to ------------------------------------------------------------


class Reader:
    """One opening: what a feed says is taken at once, and the store is read again only when it is due."""

    def __init__(self, link: Link, doc: Document) -> None:
        self.link = link
        self.doc = doc
        self.busy = False
        self.due = False  # kept apart, as a gap during a refresh makes another one due

    def take(self) -> None:
        for feed in self.link.feeds:
            while feed._queue:  # type: ignore[attr-defined]
                change = run(feed.__anext__())
                self.link.take(change)
                if self.link.stale and not isinstance(change, Gap):  # after a gap comes `Ready`
                    self.due = True
        arrivals = self.link.arrivals
        while arrivals:
            row, sure = arrivals.popleft()
            self.doc.receive([row], stored=sure)

    def write(self, chance: random.Random) -> None:
        pos = chance.randint(0, len(self.doc))
        self.doc.splice(pos, min(chance.randint(0, 2), len(self.doc) - pos), chance.choice(("a", "bc", "d")))
        self.doc.commit()
        made, self.doc.outgoing = self.doc.outgoing, []
        self.link.post(made)

    async def refresh(self) -> None:
        self.due = False
        await self.link.refresh()

    async def alone(self, task: Task) -> None:
        self.busy = True
        try:
            await task
        finally:
            self.busy = False


def live(seed: int) -> int:
    """Sessions open, write, send and read, one call to the store at a time, while its feeds come late, twice,
    or break. In the end all have everything. How often one was told to read again is returned."""
    chance = random.Random(seed)
    store = memory(faults=Faults(seed, late=0.3, twice=0.1, gap=0.06))
    doc = run(find_document(store, "notes", Names()))
    readers: list[Reader] = []
    tasks: list[Task] = []
    now = 1_700_000_000_000_000
    reads = 0

    def clock() -> int:
        nonlocal now
        now += chance.choice((1_000, 70_000))
        return now

    async def opening() -> None:
        link = Link(Archive(store, doc, Names()))
        found = (await link.open()).patches
        name = f"s{len(readers)}"
        readers.append(Reader(link, Document(session=name, author="x", clock=clock, patches=found)))

    run(opening())
    for _ in range(120):
        choice = chance.random()
        reader = chance.choice(readers)
        if choice < 0.5 and tasks:
            task = tasks[chance.randrange(len(tasks))]
            try:
                task.send(None)
            except StopIteration:
                tasks.remove(task)
        elif choice < 0.65:
            reader.write(chance)
        elif choice < 0.8:
            reader.take()
        elif choice < 0.97 and not reader.busy:
            reads += reader.due
            tasks.append(reader.alone(reader.refresh() if reader.due else reader.link.send()))
        elif len(readers) + len(tasks) < 6:
            tasks.append(opening())
    for task in tasks:
        run(task)
    store.deliver()
    store.faults = None
    for reader in readers:
        while run(reader.link.send()):
            pass
    for reader in readers:
        reader.take()
        if reader.due:
            run(reader.refresh())
            reader.take()
    patches = run(readers[0].link.archive.read()).patches
    assert {reader.doc.heads for reader in readers} == {History(patches).heads}
    assert {reader.doc.text for reader in readers} == {History(patches).text()}
    return reads


@pytest.mark.parametrize("start", range(0, 120, 20))
def test_who_reads_again_only_when_the_feed_says_so_misses_nothing(start: int) -> None:
    reads = 0
    for seed in range(start, start + 20):
        try:
            reads += live(seed)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    assert reads > 10  # else nothing was shown


class Watched(dict[Id, Patch]):
    """Counts the entries that somebody goes through."""

    seen = 0

    def keys(self) -> Any:
        self.seen += len(self)
        return super().keys()

    def items(self) -> Any:
        self.seen += len(self)
        return super().items()


def test_many_rows_that_went_missing_are_put_back_in_as_many_steps() -> None:
    store, patches = memory(), edits(400)
    doc = run(find_document(store, "notes", Names()))
    link = Link(Archive(store, doc, Names()))
    run(link.open())
    link.post(patches)
    while run(link.send()):
        pass
    rows = run(link.archive.rows())
    run(store.delete("patches", rows))
    link._held = held = Watched(link._held)
    run(link.refresh())
    assert run(link.archive.rows()) == rows
    assert len(rows) == 400 and held.seen <= 4 * len(rows)


def test_what_was_packed_before_it_was_seen_is_taken_in() -> None:
    store, patches = memory(), edits(30)
    doc = run(find_document(store, "notes", Names()))
    reader, writer = (Link(Archive(store, doc, Names())) for _ in range(2))
    for link in (reader, writer):
        run(link.open())
    writer.post(patches)
    while run(writer.send()):
        pass
    assert run(writer.pack(everything=True))
    assert run(reader.archive.rows()) == []
    run(reader.refresh())
    assert [patch for patch, _ in reader.arrivals] == patches


# --- rows that were shown and then weren't there ------------------------------------------------------------


class Shaky:
    """Sessions that die, on a store that shows rows of calls which failed, and loses answers."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.faults = Faults(seed, lost_before=0.25, lost_after=0.1, ghost=1.0)
        self.store = memory()
        self.doc = run(find_document(self.store, "notes", Names()))
        self.readers: list[Reader] = []
        self.acknowledged: set[Id] = set()
        self.opened = 0
        self.now = 1_700_000_000_000_000
        run(self.opening())
        self.store.faults = self.faults

    def clock(self) -> int:
        self.now += 1_000
        return self.now

    async def opening(self) -> None:
        link = Link(Archive(self.store, self.doc, Names()))
        found = (await link.open()).patches
        name = f"s{self.opened}"
        self.opened += 1
        self.readers.append(Reader(link, Document(session=name, author="x", clock=self.clock, patches=found)))

    async def sending(self, reader: Reader) -> None:
        before = set(reader.link.outbox)
        sent: set[Id] = set()
        try:
            sent.update(await reader.link.send())
        finally:
            assert before - sent <= reader.link.outbox.keys(), "unacknowledged, and not in the outbox"
            self.acknowledged |= sent
            version = Reference(reader.doc.history.patches()).graph.history_of(sent)
            assert version <= self.there(), "acknowledged, and what it stands on isn't safe"

    async def refreshing(self, reader: Reader) -> None:
        await reader.refresh()
        reader.take()
        shown = {patch.id for patch in reader.doc.history.patches()}
        assert shown - reader.link.outbox.keys() <= self.there(), "shown, and nowhere else"

    def there(self) -> set[Id]:
        """What the store really has. Seen from behind: a call would break the feeds that show a ghost."""
        return {Id(*key[1:]) for key in self.store._shared.tables.get("patches", {})}  # type: ignore[arg-type]

    def step(self) -> None:
        choice = self.chance.random()
        reader = self.chance.choice(self.readers)
        if choice < 0.3:
            reader.write(self.chance)
        elif choice < 0.55:
            run(self.sending(reader))
        elif choice < 0.7:
            reader.take()
        elif choice < 0.8:
            run(self.refreshing(reader))
        elif choice < 0.9 and len(self.readers) > 1:
            self.readers.remove(reader)  # it dies
        elif len(self.readers) < 4:
            run(self.opening())


@pytest.mark.parametrize("start", range(0, 120, 20))
def test_what_was_acknowledged_stands_on_what_is_safe_and_what_was_read_again_is_safe(start: int) -> None:
    ghosts = 0
    for seed in range(start, start + 20):
        world = Shaky(seed)
        try:
            for _ in range(120):
                with suppress(StoreUnavailable):
                    world.step()
                assert world.acknowledged <= world.there()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        ghosts += world.faults.counts.get("ghost", 0)
    assert ghosts > 20  # else nothing was shown
