"""Patches that wait for a parent: a session holds few of them, drops the rest, and loses none for good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from live import STORES, Editor, Place, rethink_database  # noqa: F401

import syncstring
from syncstring._patch import apply
from syncstring.archive import Archive
from syncstring.backends.memory import Faults, MemoryStore
from syncstring.blocking import StoredDocument
from syncstring.history import weight
from syncstring.link import Link
from syncstring.live import LiveDocument
from syncstring.outbox import Outbox
from syncstring.outside import fresh_key
from syncstring.patch import Patch
from syncstring.session import Session
from syncstring.store import Store, open_store

pytestmark = pytest.mark.filterwarnings("ignore:SQLite")

FEW = 20


@pytest.fixture(params=["memory", "sqlite"])
def place(request: pytest.FixtureRequest) -> Place:
    return Place.of(request, request.param)


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> Place:
    return Place.of(request, "memory")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many may wait, and pauses are short, where a clock can't be hurried."""
    monkeypatch.setattr("syncstring.live.PARKED", FEW)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncstring.session.PATIENCE", 0.05)


def family(count: int, at: int = 1_000, text: str = "x") -> list[Patch]:
    """A parent, and as many patches that stand on it, each on the one before."""
    patches = [Patch((at, "orphans"), [], [(0, 0, text)], "eve", at)]
    for n in range(1, count + 1):
        patches.append(Patch((at + n, "orphans"), [patches[-1].id], [(0, 0, text)], "eve", at))
    return patches


def brood(count: int, at: int = 1_000, text: str = "x") -> list[Patch]:
    """A parent, and as many patches beside each other on it."""
    parent = Patch((at, "orphans"), [], [(0, 0, text)], "eve", at)
    beside = [Patch((at + n, f"s{n}"), [parent.id], [(0, 0, text)], "eve", at) for n in range(1, count + 1)]
    return [parent, *beside]


FAMILIES: dict[str, Callable[[int], list[Patch]]] = {"a chain": family, "side by side": brood}


async def stored(store: Store, doc: str, patches: Sequence[Patch]) -> None:
    for start in range(0, len(patches), 50):
        rows = [patch.to_row(doc) for patch in patches[start : start + 50]]
        assert all(verdict.fine for verdict in await store.insert("patches", rows))


def held(document: LiveDocument) -> int:
    """How many patches a session holds that have no place: in the document, and in its link."""
    link = document._traffic.link
    end = time.monotonic() + 60
    threaded = isinstance(document, StoredDocument)
    while (link.dropped or (threaded and link.arrivals)) and time.monotonic() < end:
        if threaded:
            document.pull()  # what the feed has told since
        time.sleep(0.001)  # another thread's
    known = {patch.id for patch in document.history.patches() if patch.id in document.history}
    for ids in (link._held, link._read, link._sure, document.history._settled):
        assert len(ids - known if isinstance(ids, set) else ids.keys() - known) <= FEW
    return len(document.history.waiting)


async def until(met: Callable[[], bool]) -> None:
    while not met():
        await asyncio.sleep(0.01)


def read(session: Session) -> tuple[Editor, asyncio.Future[None]]:
    editor = Editor(session)
    return editor, asyncio.ensure_future(editor.live())


# --- live -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_flood_of_orphans_is_bounded_and_all_of_it_is_placed_when_the_parents_come(
    place: Place, hurry: None, kind: str
) -> None:
    async def scenario(place: Place) -> None:
        bob, store = await place.connect("bob"), await place.store()
        doc = bob._traffic.link.doc
        editor, reading = read(bob)
        parent, *orphans = FAMILIES[kind](200)
        for start in range(0, 200, 8):
            await stored(store, doc, orphans[start : start + 8])
            await until(lambda: bool(bob.document.parked) and not bob._traffic.link.arrivals)
            assert held(bob.document) <= FEW
        assert {patch.id for patch in bob.document.parked} < {patch.id for patch in orphans}
        assert editor.text == ""
        await stored(store, doc, [parent])
        await until(lambda: len(bob.document.history) == 201)
        assert not bob.document.parked
        assert editor.text == bob.document.text == "x" * 201
        bob.document.check()
        reading.cancel()

    place.run(scenario)


def test_who_opens_among_orphans_holds_few_of_them_and_a_sync_places_all(place: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, store = await place.connect("ada"), await place.store()
        doc = ada._traffic.link.doc
        parent, *orphans = brood(100)
        await stored(store, doc, orphans)
        bob = await place.connect("bob")
        assert held(bob.document) <= FEW
        await bob.sync()
        assert held(bob.document) <= FEW
        await stored(store, doc, [parent])
        assert apply("", await bob.sync()) == bob.document.text == "x" * 101
        assert held(bob.document) == 0
        assert apply("", await ada.sync()) == ada.document.text == bob.document.text

    place.run(scenario)


def test_an_offline_session_that_meets_orphans_holds_few_of_them(place: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, store = await place.connect("ada"), await place.store()
        parent, *orphans = brood(100)
        await stored(store, ada._traffic.link.doc, orphans)
        bob = await place.connect("bob", offline=True)
        bob.document.insert(0, "mine")
        await bob.sync()
        assert held(bob.document) <= FEW
        await stored(store, ada._traffic.link.doc, [parent])
        await bob.sync()
        assert sorted(bob.document.text) == sorted("mine" + "x" * 101)

    place.run(scenario)


def test_what_was_dropped_is_placed_though_others_packed_it_meanwhile(place: Place, hurry: None) -> None:
    async def scenario(place: Place) -> None:
        bob, store = await place.connect("bob"), await place.store()
        doc = bob._traffic.link.doc
        editor, reading = read(bob)
        parent, *orphans = family(100)
        await stored(store, doc, orphans)
        await until(lambda: bool(bob.document.parked) and not bob._traffic.link.arrivals)
        await stored(store, doc, [parent])
        assert await Archive(store, doc, fresh_key).pack(everything=True)
        await until(lambda: len(bob.document.history) == 101)
        assert editor.text == bob.document.text == "x" * 101
        reading.cancel()

    place.run(scenario)


def test_what_is_dropped_after_it_was_seen_in_a_pack_comes_again(memory: Place) -> None:
    """The link has taken note of the pack then, and believes that the document has what is in it."""

    async def scenario(place: Place) -> None:
        bob, store = await place.connect("bob"), await place.store()
        link = bob._traffic.link
        parent, *orphans = family(60)
        await stored(store, link.doc, [parent, *orphans])
        assert await Archive(store, link.doc, fresh_key).pack(everything=True)
        await until(lambda: link.packed == 61)
        arrived = list(link.arrivals)
        link.arrivals.clear()  # the parent is late
        link.arrivals += [each for each in arrived if each[0] != parent]
        bob.take()
        assert held(bob.document) <= FEW
        bob.document.receive([parent])
        await bob.sync()
        assert bob.document.text == "x" * 61 and not link._astray

    memory.run(scenario)


def test_parents_that_never_come_are_not_looked_for_again_and_again(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        bob, store = await place.connect("bob"), await place.store()
        mine = bob._traffic.store
        assert isinstance(mine, MemoryStore)
        _, reading = read(bob)
        await stored(store, bob._traffic.link.doc, brood(200)[1:])
        await asyncio.sleep(60)
        before = mine.rows_read
        await asyncio.sleep(1_800)
        assert mine.rows_read == before
        reading.cancel()

    memory.run(scenario)


def test_while_others_type_what_was_dropped_is_read_again_ever_more_rarely(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob, store = await place.connect("ada"), await place.connect("bob"), await place.store()
        mine = bob._traffic.store
        assert isinstance(mine, MemoryStore)
        editor, reading = read(bob)
        parent, *orphans = brood(200)
        await stored(store, ada._traffic.link.doc, orphans)
        await asyncio.sleep(10)
        before = mine.rows_read
        for _ in range(600):
            ada.document.insert(0, "a")
            ada.document.commit()
            await asyncio.sleep(1)
        scans = (mine.rows_read - before) / 200
        assert 3 <= scans < 60, (
            "some dozen scans in ten minutes, of rows that were 200 and are 800 at the end"
        )
        await stored(store, ada._traffic.link.doc, [parent])
        await asyncio.sleep(120)
        assert len(bob.document.history) == 801 and not bob.document.parked
        assert editor.text == bob.document.text
        reading.cancel()

    memory.run(scenario)


def test_their_texts_count_and_not_their_number_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncstring.live.PARKED_SIZE", 10_000)

    async def scenario(place: Place) -> None:
        ada, store = await place.connect("ada"), await place.store()
        parent, *orphans = brood(15, text="字" * 500)
        await stored(store, ada._traffic.link.doc, orphans)
        bob = await place.connect("bob")
        assert 0 < len(bob.document.parked) < 10
        assert bob.document.history.parked_size == sum(map(weight, bob.document.parked)) <= 10_000
        await stored(store, ada._traffic.link.doc, [parent])
        await bob.sync()
        assert bob.document.text == "字" * 500 * 16

    place.run(scenario)


def test_what_is_still_to_be_sent_is_not_dropped(memory: Place, tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        ada, store = await place.connect("ada"), await place.store()
        doc = ada._traffic.link.doc
        parent, *orphans = brood(50)
        kept = Outbox(tmp_path / "outbox")
        kept.add([patch.to_row(doc) for patch in orphans])
        kept.close()
        client = place.given()
        assert isinstance(client, MemoryStore)
        client.faults = Faults(lost_before=1.0)  # nothing is answered
        bob = await place.stack.enter_async_context(
            syncstring.connect(client, place.name, author="bob", offline=True, outbox=tmp_path / "outbox")
        )
        bob.take()
        assert len(bob.document.parked) == len(bob.unsaved) == 50
        client.faults = None
        await bob.sync()
        bob.take()
        assert held(bob.document) <= FEW and not bob.unsaved
        await stored(store, doc, [parent])
        await bob.sync()
        assert bob.document.text == "x" * 51

    memory.run(scenario)


# --- without an event loop --------------------------------------------------------------------------------


@pytest.fixture
def get(tmp_path: Path) -> Iterator[Callable[[str], StoredDocument]]:
    with ExitStack() as stack:
        yield lambda author: stack.enter_context(syncstring.open(tmp_path / "team.db", "doc", author=author))


def put(path: Path, doc: str, patches: Sequence[Patch]) -> None:
    async def putting() -> None:
        async with await open_store(str(path)) as store:
            await stored(store, doc, patches)

    asyncio.run(putting())


@pytest.mark.parametrize("kind", FAMILIES)
def test_who_syncs_among_orphans_holds_few_and_gets_all_when_the_parents_come(
    get: Callable[[str], StoredDocument], tmp_path: Path, kind: str
) -> None:
    ada = get("ada")
    doc = ada._traffic.link.doc
    parent, *orphans = FAMILIES[kind](100)
    put(tmp_path / "team.db", doc, orphans[:50])
    bob = get("bob")
    assert held(bob) <= FEW
    put(tmp_path / "team.db", doc, orphans[50:])
    for document in (ada, bob):
        document.sync()
        assert 0 < held(document) <= FEW
    put(tmp_path / "team.db", doc, [parent])
    assert apply("", ada.sync()) == ada.text == "x" * 101
    bob.insert(0, "typed ")
    bob.sync()
    assert sorted(bob.text) == sorted("typed " + ada.text)
    assert held(bob) == 0


def test_who_only_pulls_holds_few(get: Callable[[str], StoredDocument], tmp_path: Path) -> None:
    ada = get("ada")
    put(tmp_path / "team.db", ada._traffic.link.doc, brood(100)[1:])
    end = time.monotonic() + 60
    while (ada._dropped_at is None or ada._traffic.link.arrivals) and time.monotonic() < end:
        ada.pull()
        assert len(ada.history.waiting) <= FEW
        time.sleep(0.01)
    assert ada._dropped_at is not None


def test_what_waits_over_a_checkpoint_is_bounded_and_placed_when_the_past_was_read(
    get: Callable[[str], StoredDocument], tmp_path: Path
) -> None:
    ada = get("ada")
    for _ in range(5):
        ada.insert(0, "a")
        ada.commit()
    ada.flush()
    past = list(ada.history)
    assert ada.pack() is not None
    bob = get("bob")
    assert bob.history.base is not None
    late = [Patch((past[0].time + n, f"s{n}"), [past[0].id], [(0, 0, "l")], "late", 0) for n in range(1, 61)]
    parent, *orphans = brood(60, past[-1].time + 1_000)
    put(tmp_path / "team.db", ada._traffic.link.doc, [*late, *orphans])
    bob.sync()
    assert bob.text.count("l") == 60 and 0 < held(bob) <= FEW
    put(tmp_path / "team.db", ada._traffic.link.doc, [parent])
    bob.sync()
    assert bob.text.count("x") == 61 and not bob.parked


def test_what_was_dropped_and_is_then_brought_by_hand_is_placed_and_sent(
    get: Callable[[str], StoredDocument], tmp_path: Path
) -> None:
    ada = get("ada")
    link = ada._traffic.link
    parent, *orphans = brood(50)
    put(tmp_path / "team.db", link.doc, orphans)
    ada.sync()
    assert 0 < held(ada) <= FEW
    ada.bring([parent, *orphans])
    ada.sync()
    assert ada.text == "x" * 51 and not ada.unsaved and not link.dropped


def test_what_was_dropped_and_is_sent_from_here_now_is_held_as_all_that_is_sent() -> None:
    link = Link()
    orphans = brood(5)[1:]
    link.post(orphans)
    link.dropped.extend(patch.id for patch in orphans)
    link.let_go()
    assert link._held == {patch.id: patch for patch in orphans}, "a crash of the store may take them back"
