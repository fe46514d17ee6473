"""The n-th call to the store fails, for every n, in everything that is done with a document.

Each operation is done in a world of its own for each n, twice over: the n-th call fails and did nothing; the
n-th call that writes is done, and its answer is lost. The operation then says `StoreUnavailable`, or was able
to help itself. Nothing that was acknowledged may be missing then; what is seen is what was there before or
what was to be there, or, where that takes several steps, something between that the operation names; and done
again it ends as if nothing had happened. In the end a sweep leaves no row that nobody lists, and `fsck` has
no complaint.
"""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import pytest

import syncstring
from syncstring.archive import (
    Archive,
    delete_document,
    find_document,
    list_documents,
    rename_document,
)
from syncstring.backends.memory import Faults, MemoryStore
from syncstring.document import Document
from syncstring.errors import (
    DocumentDeleted,
    StoreUnavailable,
    SyncstringError,
    UnknownVersion,
)
from syncstring.exports import to_rows, to_trace
from syncstring.fsck import check_document, check_everything
from syncstring.history import History
from syncstring.imports import Taken, take_in
from syncstring.link import Link
from syncstring.manifest import name_row
from syncstring.patch import Id, Patch
from syncstring.store import EVERYTHING, Row, Store, key_of
from syncstring.tags import delete_tag, read_tags, set_tag
from syncstring.testing.reference import apply

NOON = 1_700_000_000_000_000
HOWS = ["fail_nth", "fail_nth_after"]


@types.coroutine
def switch() -> Generator[None, None, None]:
    """Where somebody else could go on."""
    yield


def run(task: Coroutine[Any, Any, Any]) -> Any:
    """Carry out one task alone."""
    while True:
        try:
            task.send(None)
        except StopIteration as stop:
            return stop.value


async def rows_in(store: Store, table: str) -> list[Row]:
    return [row async for batch in store.scan(table, *EVERYTHING) for row in batch]


class Seen(NamedTuple):
    """What a document is to whoever opens it."""

    ids: frozenset[Id]
    text: str
    tags: tuple[tuple[str, tuple[Id, ...]], ...] = ()


GONE = Seen(frozenset(), "deleted")
View = dict[str, Seen]  # of every document, by name


@dataclass
class Session:
    """One opening of a document, its editor's copy, and what was acknowledged to it."""

    link: Link
    doc: Document
    editor: str = field(init=False)
    acknowledged: set[Id] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.editor = self.doc.text

    def typed(self, *texts: str) -> None:
        for text in texts:
            self.doc.insert(len(self.doc) // 2, text)
            self.editor = self.doc.text
            self.doc.commit()
        made, self.doc.outgoing = self.doc.outgoing, []
        self.link.post(made)

    async def flush(self) -> None:
        while self.link.outbox:
            self.acknowledged.update(await self.link.send())

    async def pull(self) -> None:
        """Read the feeds, and take in what came."""
        for feed in self.link.feeds:
            while feed._queue:  # type: ignore[attr-defined]
                self.link.take(await anext(feed))
        sure: list[Row] = []
        seen: list[Row] = []
        while self.link.arrivals:
            row, known = self.link.arrivals.popleft()
            (sure if known else seen).append(row)
        splices = self.doc.receive(seen) + self.doc.receive(sure, stored=True)
        if self.doc.history.base is not None and self.doc.parked:
            contents = await self.link.archive.read(whole=True)
            splices += self.doc.adopt(contents.patches)
        self.editor = apply(self.editor, splices)
        assert self.editor == self.doc.text


class Place:
    """A store with documents in it."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.store = MemoryStore(
            faults=self.faults, pause=switch, clock=lambda: self.clock(), limit=float("inf")
        )
        self.now = NOON
        self.drawn = 0
        self.acknowledged: set[Id] = set()
        self.sessions: list[Session] = []

    def clock(self) -> int:
        self.now += 1_000
        return self.now

    def fresh(self) -> str:
        self.drawn += 1
        return f"{self.drawn:020x}" * 2

    async def archive(self, name: str = "notes") -> Archive:
        return Archive(self.store, await find_document(self.store, name, self.fresh), self.fresh)

    async def open(self, name: str = "notes", whole: bool = False) -> Session:
        link = Link(await self.archive(name))
        contents = await link.open(whole)
        doc = Document(
            session=f"s{len(self.sessions)}",
            author="ada",
            clock=self.clock,
            patches=contents.patches,
            base=contents.base,
        )
        session = Session(link, doc)
        self.sessions.append(session)
        return session

    async def written(self, *texts: str, name: str = "notes") -> Session:
        """Somebody opens a document and types."""
        session = await self.open(name)
        session.typed(*texts)
        await session.flush()
        return session

    async def packed(self, *lots: str, name: str = "notes") -> Session:
        """Somebody types, a letter a patch, and packs all of it after each lot."""
        session = await self.open(name)
        for lot in lots:
            session.typed(*lot)
            await session.flush()
            await session.link.archive.pack(everything=True)
            await session.link.refresh()
        return session

    async def view(self) -> View:
        """What everybody sees."""
        found = {}
        for name, doc in await list_documents(self.store):
            try:
                contents = await Archive(self.store, doc, self.fresh).read(whole=True)
            except DocumentDeleted:
                found[name] = GONE
                continue
            history = History(contents.patches)
            assert not history.parked and not history.problems and not contents.problems
            tags = await read_tags(self.store, doc)
            found[name] = Seen(
                frozenset(patch.id for patch in contents.patches), history.text(), tuple(tags.items())
            )
            # Who goes on from a checkpoint sees the same.
            short = await Archive(self.store, doc, self.fresh).read()
            begun = History(short.patches, short.base)
            assert begun.text() == history.text() and len(begun) == len(history)
        return found

    async def tidy(self, mended: tuple[str, ...] = ()) -> None:
        """Sweep, pack, and see that nothing is left over, after a repair if there may be something."""
        for row in await rows_in(self.store, "documents"):
            archive = Archive(self.store, key_of(row)[0], self.fresh)  # type: ignore[arg-type]
            await archive.sweep()
            manifest = await archive.manifest()
            listed = manifest.keys()
            stored = {
                key_of(row) for row in await rows_in(self.store, "packs") if row["id"][0] == archive.doc
            }
            assert stored == listed, "a row that nobody lists survived the sweep"
            if manifest.deleted:
                for table in ("patches", "tags", "cursors"):
                    assert not await archive._scan(table), "a row of a deleted document survived the sweep"
            else:
                await archive.pack(everything=True)
                assert not await archive.rows(), "a row that is packed survived"
        if mended:
            reports = await check_everything(self.store, self.fresh, repair=True)
            found = [finding for report in reports for finding in report.findings]
            assert all(finding.repaired and not finding.grave for finding in found)
            assert {finding.kind for finding in found} <= set(mended)
        reports = await check_everything(self.store, self.fresh)
        assert [finding for report in reports for finding in report.findings] == []


# --- what is done ------------------------------------------------------------


class Operation:
    """Something that is done with a store: once undisturbed, and again and again with a call that fails."""

    several = False
    """Whether patches become visible in several steps: then, if it failed, any of them may be there."""

    mended: tuple[str, ...] = ()
    """What `fsck` may tell of in the end, and repairs."""

    async def prepare(self, place: Place) -> Any:
        raise NotImplementedError

    async def do(self, place: Place, about: Any) -> Any:
        raise NotImplementedError

    async def again(self, place: Place, about: Any) -> Any:
        """What whoever was told `StoreUnavailable` does."""
        return await self.do(place, about)

    def between(self, before: View, after: View) -> list[View]:
        """What else may be seen if it failed."""
        return []

    def same(self, told: Any, expected: Any) -> bool:
        """Whether what it returned at last is what it returns undisturbed, or says that it was done."""
        return bool(told == expected)


OPERATIONS: dict[str, type[Operation]] = {}


def operation(kind: type[Operation]) -> type[Operation]:
    OPERATIONS[kind.__name__.replace("_", " ")] = kind
    return kind


class Opening(Operation):
    name = "notes"

    async def prepare(self, place: Place) -> Any:
        raise NotImplementedError

    async def do(self, place: Place, about: Any) -> Any:
        try:
            session = await place.open(self.name)
        except StoreUnavailable:
            readers = sum(len(held.link.feeds) for held in place.sessions)
            assert len(place.store._readers._all) == readers, "a feed stayed open"
            raise
        return session.doc.text, len(session.doc.history), session.doc.history.base is not None


@operation
class opening_a_new_document(Opening):  # noqa: N801
    async def prepare(self, place: Place) -> None:
        await place.written("another", name="other")

    def between(self, before: View, after: View) -> list[View]:
        return []


@operation
class opening_one_whose_name_was_another_documents(Opening):  # noqa: N801
    mended = ("nameless",)  # its key is drawn, and nobody draws it again: an empty row is left

    async def prepare(self, place: Place) -> None:
        await place.written("first life")
        await delete_document(place.store, "notes")


@operation
class opening_a_document_of_rows(Opening):  # noqa: N801
    async def prepare(self, place: Place) -> None:
        await place.written(*"some text")


@operation
class opening_from_a_checkpoint(Opening):  # noqa: N801
    async def prepare(self, place: Place) -> None:
        session = await place.packed("packed")
        session.typed(*"rows")
        await session.flush()


@operation
class opening_where_a_late_patch_makes_it_read_everything(Opening):  # noqa: N801
    async def prepare(self, place: Place) -> None:
        late = await place.written("base")
        late.typed("late")
        await place.packed("packed", "more")
        await late.flush()


@operation
class flushing(Operation):  # noqa: N801
    several = True

    async def prepare(self, place: Place) -> Session:
        session = await place.written("old")
        session.typed(*"several patches")
        return session

    async def do(self, place: Place, about: Session) -> Any:
        await about.flush()
        return None


@operation
class flushing_on_what_only_a_feed_has_shown(Operation):  # noqa: N801
    """Two patches that a feed showed, and that aren't there any more: they are put back first."""

    several = True

    async def prepare(self, place: Place) -> Session:
        session = await place.written("old")
        other = await place.open()
        other.typed(*"gh")
        ghosts = list(other.link.outbox.values())
        rows = [patch.to_row(other.link.doc) for patch in ghosts]
        await place.store.insert("patches", rows)
        await session.pull()
        await place.store.delete("patches", rows)
        session.typed(*"on it")
        return session

    async def do(self, place: Place, about: Session) -> Any:
        await about.flush()
        return None


@operation
class synchronizing(Operation):  # noqa: N801
    """Send, and take in what others sent and packed meanwhile; something is held that the store lost."""

    several = True

    async def prepare(self, place: Place) -> Session:
        session = await place.written(*"old")
        other = await place.open()
        other.typed(*"ghost")
        rows = [patch.to_row(other.link.doc) for patch in other.link.outbox.values()]
        await place.store.insert("patches", rows)
        await session.pull()
        await place.store.delete("patches", rows)
        third = await place.open()
        third.typed(*"packed")
        await third.flush()
        await third.link.archive.pack(everything=True)
        third.typed(*"rows")
        await third.flush()
        session.typed(*"mine")
        return session

    async def do(self, place: Place, about: Session) -> Any:
        await about.flush()
        await about.link.refresh()
        await about.pull()
        return about.doc.text, len(about.doc.history)


@operation
class taking_in_packs_that_were_merged(Operation):  # noqa: N801
    several = False

    async def prepare(self, place: Place) -> Session:
        session = await place.written(*"old")
        await place.packed("abc", "defg", "h")
        return session

    async def do(self, place: Place, about: Session) -> Any:
        await about.link.refresh()
        await about.pull()
        return about.doc.text, len(about.doc.history)


class Packing(Operation):
    everything = True

    async def prepare(self, place: Place) -> Archive:
        raise NotImplementedError

    async def do(self, place: Place, about: Archive) -> Any:
        packed = await about.pack(everything=self.everything)
        return packed and (packed.count, packed.manifest.total, len(packed.manifest.packs))

    def same(self, told: Any, expected: Any) -> bool:
        return told in (expected, None)  # None: it is done already

    def between(self, before: View, after: View) -> list[View]:
        assert before == after, "packing shows"
        return []


@operation
class packing_the_older_patches(Packing):  # noqa: N801
    everything = False

    async def prepare(self, place: Place) -> Archive:
        return (await place.written(*"ten patches")).link.archive


@operation
class packing_everything(Packing):  # noqa: N801
    async def prepare(self, place: Place) -> Archive:
        return (await place.written(*"ten patches")).link.archive


@operation
class packing_with_small_packs_merged(Packing):  # noqa: N801
    async def prepare(self, place: Place) -> Archive:
        session = await place.packed("abcdefgh", "ijk", "l")
        session.typed(*"mnop")
        await session.flush()
        return session.link.archive


@operation
class packing_what_came_late(Packing):  # noqa: N801
    async def prepare(self, place: Place) -> Archive:
        late = await place.written("base")
        late.typed("late")
        await place.packed("packed", "more")
        await late.flush()
        return late.link.archive


@operation
class packing_beside_rows_that_were_packed_before(Packing):  # noqa: N801
    async def prepare(self, place: Place) -> Archive:
        session = await place.written(*"abc")
        rows = await session.link.archive.rows()
        await session.link.archive.pack(everything=True)
        await place.store.insert("patches", rows)  # their packer died before it deleted them
        return session.link.archive


@operation
class compacting(Packing):  # noqa: N801
    """Pack until there is nothing to do, and sweep: what the command does."""

    async def prepare(self, place: Place) -> Archive:
        session = await place.packed("abcdefgh", "ijk")
        await place.store.insert("packs", [{"v": 1, "id": [session.link.doc, "lost.0"], "data": b"x"}])
        session.typed(*"mn")
        await session.flush()
        return session.link.archive

    async def do(self, place: Place, about: Archive) -> Any:
        while await about.pack(everything=True) is not None:
            pass
        await about.sweep()
        return len((await about.manifest()).packs), len(await rows_in(place.store, "packs"))


@operation
class sweeping(Operation):  # noqa: N801
    async def prepare(self, place: Place) -> Archive:
        archive = (await place.packed("packed")).link.archive
        for number in range(5):
            await place.store.insert("packs", [{"v": 1, "id": [archive.doc, f"lost.{number}"], "data": b"x"}])
        return archive

    async def do(self, place: Place, about: Archive) -> Any:
        return await about.sweep()

    def same(self, told: Any, expected: Any) -> bool:
        return expected == 5 and 0 <= told <= 5  # those that are left


@operation
class sweeping_a_deleted_document(sweeping):  # noqa: N801
    async def prepare(self, place: Place) -> Archive:
        session = await place.packed("packed")
        session.typed(*"rows")
        await session.flush()
        await session.link.archive.delete()
        await place.store.delete("names", [name_row("notes", session.link.doc)])
        return session.link.archive

    def same(self, told: Any, expected: Any) -> bool:
        return bool(0 <= told <= expected)


@operation
class finding_what_is_not_there(Operation):  # noqa: N801
    async def prepare(self, place: Place) -> None:
        await place.written("text", name="other")

    async def do(self, place: Place, about: Any) -> Any:
        with pytest.raises(UnknownVersion):
            await find_document(place.store, "notes", place.fresh, create=False)
        return None


@operation
class listing(Operation):  # noqa: N801
    async def prepare(self, place: Place) -> None:
        for name in "abcdefg":
            await place.written("text", name=name)

    async def do(self, place: Place, about: Any) -> Any:
        return await list_documents(place.store)


@operation
class renaming(Operation):  # noqa: N801
    async def prepare(self, place: Place) -> None:
        await place.written("text")

    async def do(self, place: Place, about: Any) -> Any:
        await rename_document(place.store, "notes", "ideas")
        return None

    async def again(self, place: Place, about: Any) -> Any:
        try:
            await self.do(place, about)
        except UnknownVersion as error:  # it was done, and says so
            assert "'notes'" in str(error)

    def between(self, before: View, after: View) -> list[View]:
        return [{**before, **after}]  # both names


@operation
class deleting(Operation):  # noqa: N801
    async def prepare(self, place: Place) -> None:
        session = await place.packed("packed")
        session.typed(*"rows")
        await session.flush()
        await set_tag(place.store, session.link.doc, "v1.0", session.doc.heads)
        await place.written("stays", name="other")

    async def do(self, place: Place, about: Any) -> Any:
        await delete_document(place.store, "notes")
        return None

    async def again(self, place: Place, about: Any) -> Any:
        try:
            await self.do(place, about)
        except UnknownVersion as error:
            assert "'notes'" in str(error)

    def between(self, before: View, after: View) -> list[View]:
        return [{**before, "notes": GONE}]


class Tagging(Operation):
    async def prepare(self, place: Place) -> Session:
        session = await place.written(*"text")
        await set_tag(place.store, session.link.doc, "old", session.doc.heads)
        await place.store.insert("tags", [])
        return session


@operation
class setting_a_tag(Tagging):  # noqa: N801
    async def do(self, place: Place, about: Session) -> Any:
        return await set_tag(place.store, about.link.doc, "new", about.doc.heads)

    def same(self, told: Any, expected: Any) -> bool:
        return expected is True and told in (True, False)  # False: it was set before


@operation
class moving_a_tag(setting_a_tag):  # noqa: N801
    async def do(self, place: Place, about: Session) -> Any:
        return await set_tag(place.store, about.link.doc, "old", about.doc.history.ids([1]), move=True)


@operation
class deleting_a_tag(Tagging):  # noqa: N801
    async def do(self, place: Place, about: Session) -> Any:
        await delete_tag(place.store, about.link.doc, "old")
        return None

    async def again(self, place: Place, about: Session) -> Any:
        try:
            await self.do(place, about)
        except UnknownVersion as error:
            assert "'old'" in str(error)


def elsewhere(count: int, on: tuple[Id, ...] = ()) -> list[Patch]:
    """A history from somewhere else."""
    made: list[Patch] = []
    for n in range(count):
        parents = (made[-1].id,) if made else on
        made.append(Patch((NOON + 10**9 + n, "else"), parents, [(0, 0, "elsewhere"[n % 9])], "eve", NOON))
    return made


class Importing(Operation):
    several = True
    count = 8

    async def prepare(self, place: Place) -> tuple[str, list[Patch]]:
        return await find_document(place.store, "notes", place.fresh), elsewhere(self.count)

    async def do(self, place: Place, about: tuple[str, list[Patch]]) -> Any:
        doc, patches = about
        return await take_in(place.store, doc, place.fresh, patches, merge=True)

    def same(self, told: Any, expected: Any) -> bool:
        assert isinstance(told, Taken)
        return bool(
            told.new + told.known == expected.new + expected.known and told.waiting == expected.waiting
        )


@operation
class importing_a_few_patches(Importing):  # noqa: N801
    pass


@operation
class importing_a_long_history(Importing):  # noqa: N801
    several = False  # packs are there all at once, or not at all
    count = 40


@operation
class importing_a_long_history_beside_another(Importing):  # noqa: N801
    count = 40

    async def prepare(self, place: Place) -> tuple[str, list[Patch]]:
        await place.written(*"text")
        return await super().prepare(place)


@operation
class exporting(Operation):  # noqa: N801
    async def prepare(self, place: Place) -> Archive:
        session = await place.packed("packed", "in two")
        session.typed(*"rows")
        await session.flush()
        return session.link.archive

    async def do(self, place: Place, about: Archive) -> Any:
        history = History((await about.read(whole=True)).patches)
        return b"".join(to_rows(history, about.doc)), b"".join(to_trace(history))


@operation
class checking(Operation):  # noqa: N801
    async def prepare(self, place: Place) -> str:
        session = await place.packed("packed", "in two")
        session.typed(*"rows")
        await session.flush()
        return session.link.doc

    async def do(self, place: Place, about: str) -> Any:
        return await check_document(place.store, about, place.fresh)


class Repairing(Operation):
    """Damage, and its repair. Where nothing can be opened before, nothing is compared with that."""

    kind: ClassVar[str]

    async def harm(self, place: Place, archive: Archive) -> None:
        raise NotImplementedError

    async def prepare(self, place: Place) -> Any:
        session = await place.packed("packed")
        session.typed(*"rows")
        await session.flush()
        await self.harm(place, session.link.archive)

    async def do(self, place: Place, about: Any) -> Any:
        reports = await check_everything(place.store, place.fresh, repair=True)
        assert all(finding.repaired for report in reports for finding in report.findings)
        return {finding.kind for report in reports for finding in report.findings}

    def same(self, told: Any, expected: Any) -> bool:
        assert self.kind in expected
        # What was repaired before isn't found again; what was written for it and not listed may be, and may
        # turn out to be just what is missing.
        return bool(told <= expected | {"unlisted", "misplaced-row"})


@operation
class repairing_a_lost_checkpoint(Repairing):  # noqa: N801
    kind = "missing-row"

    async def harm(self, place: Place, archive: Archive) -> None:
        checkpoint = (await archive.manifest()).checkpoint
        assert checkpoint is not None
        rows = await place.store.get("packs", checkpoint.text.keys(archive.doc))
        await place.store.delete("packs", [row for row in rows if row])


@operation
class repairing_a_misplaced_row(Repairing):  # noqa: N801
    kind = "misplaced-row"

    async def harm(self, place: Place, archive: Archive) -> None:
        (key,) = (await archive.manifest()).packs[0].body.keys(archive.doc)
        (row,) = await place.store.get("packs", [key])
        assert row is not None
        await place.store.insert("packs", [{**row, "id": [archive.doc, "elsewhere.0"]}])
        await place.store.delete("packs", [row])


@operation
class repairing_wrong_numbers(Repairing):  # noqa: N801
    kind = "wrong-numbers"

    async def harm(self, place: Place, archive: Archive) -> None:
        before, manifest = await archive._manifest()
        row = manifest.to_row()
        row["packs"][0]["total"] += 1
        assert (await place.store.swap("documents", (archive.doc,), before, row)).fine


@operation
class repairing_a_lost_name(Repairing):  # noqa: N801
    kind = "nameless"

    async def harm(self, place: Place, archive: Archive) -> None:
        await place.store.delete("names", await rows_in(place.store, "names"))


@operation
class repairing_a_name_under_a_wrong_key(Repairing):  # noqa: N801
    kind = "wrong-key"

    async def harm(self, place: Place, archive: Archive) -> None:
        (row,) = await rows_in(place.store, "names")
        await place.store.insert("names", [{**row, "id": ["f" * 40]}])
        await place.store.delete("names", [row])


@operation
class repairing_a_lost_manifest(Repairing):  # noqa: N801
    kind = "missing-document"

    async def prepare(self, place: Place) -> Any:
        await place.written("rows alone")
        await place.store.delete("documents", await rows_in(place.store, "documents"))


@operation
class repairing_what_is_left_over(Repairing):  # noqa: N801
    kind = "left-over"

    async def harm(self, place: Place, archive: Archive) -> None:
        rows = await archive.rows()
        await archive.pack(everything=True)
        await place.store.insert("patches", rows)
        await place.store.insert("packs", [{"v": 1, "id": [archive.doc, "lost.0"], "data": b"x"}])
        await place.packed("gone", name="other")
        other = await place.archive("other")
        await other.delete()


# --- the law ------------------------------------------------------------


class Undisturbed(NamedTuple):
    before: View | None
    """None where nothing can be opened."""
    after: View
    told: Any
    calls: int


def undisturbed(kind: type[Operation]) -> Undisturbed:
    place, deed = Place(), kind()
    about = run(deed.prepare(place))
    try:
        before = run(place.view())
    except SyncstringError:
        before = None
    calls = place.store.calls
    told = run(deed.do(place, about))
    calls = place.store.calls - calls
    after = run(place.view())
    run(place.tidy())
    return Undisturbed(before, after, told, calls)


def disturbed(kind: type[Operation], how: str, n: int, expected: Undisturbed) -> bool:
    """Do it with that call failing. Whether there was such a call."""
    place, deed = Place(), kind()
    about = run(deed.prepare(place))
    old = {id for session in place.sessions for id in session.acknowledged}
    setattr(place.faults, how, n)
    failed = False
    try:
        told = run(deed.do(place, about))
    except StoreUnavailable:
        failed = True
    met = place.faults.counts.get(how) == 1
    setattr(place.faults, how, 0)
    assert not failed or met, "it failed by itself"
    promised = {id for session in place.sessions for id in session.acknowledged}
    if failed:
        if expected.before is not None:
            judge(deed, run(place.view()), expected.before, expected.after, promised - old)
        told = run(deed.again(place, about))
    assert deed.same(told, expected.told) or (failed and told is None), (told, expected.told)
    assert run(place.view()) == expected.after
    for session in place.sessions:
        if session.link.feeds:
            run(session.link.refresh())
            run(session.pull())
            name = {doc: name for name, doc in run(list_documents(place.store))}.get(session.link.doc)
            if name is not None and not session.link.deleted:
                assert session.doc.text == expected.after[name].text
    run(place.tidy(deed.mended))
    return met


def judge(deed: Operation, seen: View, before: View, after: View, promised: set[Id]) -> None:
    """What is seen after it failed."""
    there = set().union(*(one.ids for one in seen.values()))
    assert promised <= there, "what was acknowledged just before is missing"
    if seen in (before, after, *deed.between(before, after)):
        return
    assert deed.several, f"half of it is seen: {seen}"
    assert before.keys() <= seen.keys() <= after.keys()
    for name, one in seen.items():
        assert name not in before or before[name].ids <= one.ids
        assert one.ids <= after[name].ids


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few patches make packs here, and take several calls."""
    monkeypatch.setattr("syncstring.archive.LATEST", 3)
    monkeypatch.setattr("syncstring.archive.LATEST_AGE", 10**12)
    for module in ("archive", "link", "imports", "fsck.document"):
        monkeypatch.setattr(f"syncstring.{module}.AT_ONCE", 4)
    monkeypatch.setattr("syncstring.imports.MANY", 30)
    monkeypatch.setattr("syncstring.imports.PACK_SIZE", 300)
    monkeypatch.setattr("syncstring.manifest.PART", 150)
    yield


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_whichever_call_fails_nothing_is_lost_and_it_can_be_done_again(name: str, how: str) -> None:
    kind = OPERATIONS[name]
    expected = undisturbed(kind)
    n = 1
    while True:
        try:
            if not disturbed(kind, how, n, expected):
                break
        except BaseException as error:
            error.add_note(f"{name}: call {n} of {expected.calls}, {how}")
            raise
        n += 1
    if how == "fail_nth":
        assert n > 1, "it calls nothing"
        assert n - 1 >= expected.calls, "a call was left out"


async def forgetful(link: Link, send: Any = Link.send) -> Any:
    """Take what is sent out of the outbox, whether it is acknowledged or not."""
    try:
        return await send(link)
    except StoreUnavailable:
        link.outbox.clear()
        raise


async def hasty(archive: Archive, rows: Any, write: Any = Archive._write) -> None:
    """Delete what is to be packed before it is."""
    await archive._delete("patches", await archive.rows())
    await write(archive, rows)


async def blind(archive: Archive) -> int:
    """Sweep without raising the counter, and what is listed, too."""
    rows = await archive._scan("packs")
    await archive._delete("packs", rows)
    return len(rows)


@pytest.mark.parametrize(
    ("kind", "method", "fault", "name"),
    [
        (Link, "send", forgetful, "flushing"),
        (Archive, "_write", hasty, "packing everything"),
        (Archive, "sweep", blind, "compacting"),
    ],
)
def test_a_fault_of_ours_is_found(
    kind: type[Any], method: str, fault: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault is hasty:
        undone = undisturbed(OPERATIONS[name])  # nothing shows as long as nothing fails
        monkeypatch.setattr(kind, method, fault)
        assert undisturbed(OPERATIONS[name]).after == undone.after
    monkeypatch.setattr(kind, method, fault)
    with pytest.raises((AssertionError, SyncstringError)):
        test_whichever_call_fails_nothing_is_lost_and_it_can_be_done_again(name, "fail_nth")


@pytest.mark.parametrize("how", HOWS)
def test_whichever_call_fails_a_document_opened_by_its_name_loses_nothing(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncstring.traffic.FIRST_PAUSE", 0.001)

    def again(work: Any) -> Any:
        try:
            return work()
        except StoreUnavailable:
            return work()

    n = 1
    while True:
        faults = Faults()
        shared = MemoryStore(faults=faults)

        async def opened(url: str, shared: MemoryStore = shared, **options: Any) -> MemoryStore:
            return shared.client()

        monkeypatch.setattr("syncstring.traffic.open_store", opened)
        setattr(faults, how, n)
        document = again(lambda: syncstring.open("memory:", "notes", author="ada", limit=20))
        editor = ""
        for text in ("one ", "two ", "three "):
            document.insert(len(document), text)
            document.flush()
            editor += text
        again(document.pack)
        document.insert(0, "zero ")
        editor = "zero " + editor
        editor = apply(editor, again(document.sync))
        edit = document.undo()
        editor = apply(apply(editor, edit.splices), again(document.sync))
        assert editor == document.text == "one two three "
        assert document.unsaved == []
        document.close()
        met = faults.counts.get(how) == 1
        setattr(faults, how, 0)
        later = syncstring.open("memory:", "notes", author="bob")
        assert later.text == editor
        assert len(later.versions) - 1 == 5
        later.close()
        if not met:
            break
        n += 1
    assert n > 5
