"""Taking histories in: once is as good as twice, and whoever dies in between has lost and broken nothing."""

from __future__ import annotations

import random
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import pytest

from syncstring import imports
from syncstring.archive import Archive, find_document
from syncstring.backends.memory import Faults, MemoryStore
from syncstring.document import Document
from syncstring.errors import ConflictingPatch, PatchError, StoreError, StoreUnavailable
from syncstring.fsck import check_document
from syncstring.history import History
from syncstring.imports import Taken, take_in
from syncstring.link import Link
from syncstring.manifest import Manifest
from syncstring.patch import Id, Patch
from syncstring.store import Key, Row, Verdict, key_of

T = TypeVar("T")
NOON = 1_700_000_000_000_000


@types.coroutine
def switch() -> Generator[None, None, None]:
    """Let somebody else go on."""
    yield


def run(task: Coroutine[Any, Any, T]) -> T:
    while True:
        try:
            task.send(None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few patches are a long history here, and several packs."""
    monkeypatch.setattr(imports, "MANY", 10)
    monkeypatch.setattr(imports, "PACK_SIZE", 400)
    monkeypatch.setattr(imports, "AT_ONCE", 7)


def history(count: int, session: str = "ada", on: Sequence[Patch] = ()) -> list[Patch]:
    """Patches of somebody and, now and then, of somebody else at the same time."""
    made = list(on)
    for n in range(count):
        size = len(History(made).text())
        heads = History(made).heads
        time = max((head.time for head in heads), default=NOON) + 1
        parents = heads if n % 5 else heads[:1]
        size = len(History(made).text_at(parents))
        made.append(Patch((time, f"{session}{n % 2}"), parents, [(n % (size + 1), 0, f"{n} ")], "Ada", time))
    return made[len(on) :]


class World:
    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore(pause=switch, clock=lambda: NOON, limit=float("inf"))
        self.drawn = 0
        self.doc = run(find_document(self.store, "notes.md", self.fresh))

    def fresh(self) -> str:
        self.drawn += 1
        return f"{random.Random(self.drawn).getrandbits(160):040x}"

    @property
    def archive(self) -> Archive:
        return Archive(self.store, self.doc, self.fresh)

    def taking(self, patches: Sequence[Patch], **options: Any) -> Coroutine[Any, Any, Taken]:
        return take_in(self.store, self.doc, self.fresh, patches, **options)

    def take(self, patches: Sequence[Patch], **options: Any) -> Taken:
        return run(self.taking(patches, **options))

    def patches(self) -> list[Patch]:
        return sorted(run(self.archive.read(whole=True)).patches, key=lambda patch: patch.id)

    def everything(self) -> dict[str, dict[Key, Any]]:
        return {table: dict(rows) for table, rows in self.store._shared.tables.items()}

    def rows(self) -> int:
        return len(run(self.archive.rows()))


def test_a_long_history_is_packed_and_a_short_one_is_rows() -> None:
    long, short = history(40), history(5)
    world = World()
    assert world.take(long) == Taken(40, 0, 0)
    manifest = run(world.archive.manifest())
    assert world.rows() == 0 and len(manifest.packs) > 1 and manifest.total == 40
    assert world.patches() == long
    contents = run(world.archive.read())
    assert contents.base is not None and contents.base.text == History(long).text()
    other = World()
    assert other.take(short) == Taken(5, 0, 0)
    assert other.rows() == 5 and run(other.archive.manifest()) == Manifest(other.doc)


@pytest.mark.parametrize("first", [0, 3, 15, 40])
def test_what_is_known_is_left_alone(first: int) -> None:
    patches = history(40)
    world = World()
    world.take(patches[:first])
    assert world.take(patches) == Taken(40 - first, first, 0)
    before = world.everything()
    assert world.take(patches) == Taken(0, 40, 0)
    assert world.take(patches[::-1] + patches) == Taken(0, 80, 0)
    assert world.everything() == before
    assert world.patches() == patches
    assert run(check_document(world.store, world.doc, world.fresh)).findings == []


def test_progress_is_told_up_to_all() -> None:
    told: list[tuple[int, int]] = []
    world = World()
    patches = history(40)
    world.take(patches, progress=lambda done, all: told.append((done, all)))
    assert told == sorted(told) and told[-1] == (40, 40)
    told.clear()
    world.take([*patches, *history(9, "bob", patches)], progress=lambda done, all: told.append((done, all)))
    assert told == [(7, 9), (9, 9)]


def test_another_content_refuses_the_whole() -> None:
    patches = history(12)
    world = World()
    world.take(patches[:6])
    known = patches[3]
    forged = Patch(known.id, known.parents, [(0, 0, "forged")], "Eve", known.wall)
    before = world.patches()
    for given in ([*patches, forged], [forged], [*patches[6:], patches[7], forged]):
        with pytest.raises(ConflictingPatch, match="nothing was taken"):
            world.take(given)
        assert world.patches() == before


def test_what_a_later_version_wrote_under_an_id_is_not_passed_over() -> None:
    patches = history(30)
    world = World()
    row = {**patches[9].to_row(world.doc), "v": 2}
    run(world.store.insert("patches", [row]))
    with pytest.raises(StoreError, match="conflict"):
        world.take(patches)
    assert run(world.store.get("patches", [key_of(row)])) == [row]


def test_a_history_that_shares_nothing_is_merged_only_if_that_is_meant() -> None:
    ours, theirs = history(4), history(6, "bob")
    world = World()
    world.take(ours)
    with pytest.raises(PatchError, match="shares nothing"):
        world.take(theirs)
    assert world.patches() == ours
    assert world.take(theirs, merge=True) == Taken(6, 0, 0)
    more = history(2, "cyd", [*ours, *theirs])
    assert world.take(more) == Taken(2, 0, 0)  # it stands on what is there


def test_what_stands_on_nothing_is_left_out_with_all_that_stands_on_it() -> None:
    patches = history(30)
    known = [patch for patch in patches if patch.id != patches[20].id]
    reachable = History(known)
    world = World()
    assert world.take(known) == Taken(len(reachable), 0, len(reachable.parked))
    assert reachable.parked
    assert world.patches() == list(reachable)


@pytest.mark.parametrize("had", [0, 12])
def test_whoever_dies_at_any_step_has_broken_nothing(had: int) -> None:
    patches = history(30)
    step = 0
    while True:
        world = World()
        if had:
            world.take(patches[:had])
        task = world.taking(patches)
        try:
            for _ in range(step):
                task.send(None)
        except StopIteration:
            break
        task.close()
        found = world.patches()
        assert found[:had] == patches[:had]
        assert not History(found).parked
        if not had:
            assert found in ([], patches)  # as a whole or not at all
        report = run(check_document(world.store, world.doc, world.fresh, repair=True))
        assert report.sound and report.patches == len(found)
        assert world.take(patches) == Taken(len(patches) - len(found), len(found), 0)
        assert world.patches() == patches
        step += 1
    assert step > 10


@pytest.mark.parametrize("fault", ["fail_nth", "fail_nth_after"])
@pytest.mark.parametrize("had", [0, 12])
def test_a_call_that_fails_can_be_followed_by_the_same_again(fault: str, had: int) -> None:
    patches = history(30)
    nth = 0
    while True:
        nth += 1
        world = World()
        if had:
            world.take(patches[:had])
        world.store.faults = faults = Faults(nth, **{fault: nth})
        with suppress(StoreUnavailable):
            world.take(patches)
        world.store.faults = None
        world.take(patches)
        assert world.patches() == patches
        assert run(check_document(world.store, world.doc, world.fresh, repair=True)).sound
        if not faults.counts:
            break
    assert nth > 5


class Between(MemoryStore):
    """Does something once, before the next swap."""

    before: Callable[[], Awaitable[Any]] | None = None

    async def swap(self, table: str, key: Key, old: Row | None, new: Row) -> Verdict:
        if self.before is not None:
            work, self.before = self.before, None
            await work()
        return await super().swap(table, key, old, new)


def test_who_loses_the_swap_removes_its_packs_and_goes_the_long_way() -> None:
    patches = history(30)
    theirs = history(3, "bob")
    store = Between(pause=switch, clock=lambda: NOON, limit=float("inf"))
    world = World(store)

    async def first() -> None:
        await store.insert("patches", [patch.to_row(world.doc) for patch in theirs])
        assert await world.archive.pack(everything=True)

    store.before = first
    assert world.take(patches) == Taken(30, 0, 0)
    assert world.patches() == sorted([*patches, *theirs], key=lambda patch: patch.id)
    assert run(check_document(world.store, world.doc, world.fresh)).findings == []


def test_a_session_that_has_the_document_open_learns_of_it() -> None:
    patches = history(30)
    world = World()
    link = Link(world.archive)
    contents = run(link.open())
    doc = Document(session="eve", author="Eve", clock=lambda: NOON, patches=contents.patches)
    world.take(patches)
    run(link.refresh())
    doc.receive([row for row, _ in link.arrivals], stored=True)
    assert doc.text == History(patches).text()
    doc.insert(0, "on top of it ")
    doc.commit()
    link.post(doc.outgoing)
    assert run(link.send()) == [doc.outgoing[0].id]
    assert {patch.id for patch in world.patches()} == {*(patch.id for patch in patches), Id(*doc.heads[0])}
