"""Presence: who is here and where, moving with the text, gone after a while, whatever rows say."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from live import STORES, Editor, Place, rethink_database, steps  # noqa: F401

from syncstring._patch import apply, map_position
from syncstring.archive import delete_document
from syncstring.backends.memory import Faults, MemoryStore
from syncstring.errors import DocumentDeleted, PatchError, StoreError
from syncstring.patch import Id
from syncstring.presence import (
    BEAT,
    LEFT,
    MAX_CURSORS,
    THROTTLE,
    TIMEOUT,
    Peer,
    Range,
    Said,
    before,
    row_of,
    said_by,
)
from syncstring.session import Session, connect
from syncstring.store import image
from syncstring.testing.strategies import splices, texts

pytestmark = pytest.mark.filterwarnings("ignore:SQLite")


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest) -> Place:
    return Place.of(request, request.param)


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> Place:
    return Place.of(request, "memory")


def rows(place: Place) -> list[Any]:
    """The keys in the table `cursors`."""
    store = place.given()
    assert isinstance(store, MemoryStore)
    return store.keys("cursors")


async def seen(session: Session, *expected: tuple[str, list[int]]) -> list[Peer]:
    """Wait until just these are here, by author, with carets there."""
    async for peers in session.presence_changes():
        if [(peer.author, [cursor.head for cursor in peer.cursors]) for peer in peers] == list(expected):
            return peers
    raise AssertionError("the session was closed")


def carets(session: Session) -> list[list[int]]:
    return [[cursor.head for cursor in peer.cursors] for peer in session.presence]


def crash(session: Session) -> None:
    """It says nothing more, and doesn't take leave."""
    for task in session._presence._tasks:
        task.cancel()
    session._presence._beat = 0


async def two(place: Place, text: str = "") -> tuple[Session, Session]:
    """Two sessions that show a text."""
    ada, bob = await place.connect("ada"), await place.connect("bob")
    if text:
        ada.document.insert(0, text)
        await ada.flush()
        await bob.sync()
    return ada, bob


# --- who is here ---------------------------------------------------------------------------------------


def test_people_see_each_other_and_where_they_are(place: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await two(place, "Hello world")
        ada.show_cursors([(6, 11)])
        (peer,) = await seen(bob, ("ada", [11]))
        assert peer == Peer(ada.document.session, "ada", (Range(6, 11),))
        await seen(ada, ("bob", []))
        bob.show_cursors([3, (4, 5)])
        await seen(ada, ("bob", [3, 5]))
        bob.show_cursors([])
        await seen(ada, ("bob", []))
        await bob.close()
        await seen(ada)

    place.run(scenario)


def test_who_leaves_is_gone_at_once_and_leaves_no_row(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await two(place)
        ada.show_cursors([0])
        await seen(bob, ("ada", [0]))
        assert len(rows(place)) == 2
        now = asyncio.get_running_loop().time()
        await ada.close()
        await seen(bob)
        assert asyncio.get_running_loop().time() - now < 1
        assert len(rows(place)) == 1

    memory.run(scenario)


def test_who_says_nothing_any_more_is_gone_after_the_timeout_and_its_row_later(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        clock = asyncio.get_running_loop().time
        ada, bob = await two(place)
        ada.show_cursors([0])
        await seen(bob, ("ada", [0]))
        crash(ada)
        now = clock()
        await seen(bob)
        assert TIMEOUT - 1 < clock() - now <= TIMEOUT + 1
        assert len(rows(place)) == 2
        await asyncio.sleep(LEFT + BEAT)
        assert rows(place) == [(bob._traffic.link.doc, bob.document.session)]
        assert bob.presence == []

    memory.run(scenario)


def test_who_goes_on_without_moving_stays_and_who_was_frozen_comes_back(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await two(place, "text")
        ada.show_cursors([2])
        await seen(bob, ("ada", [2]))
        for _ in range(100):
            await asyncio.sleep(TIMEOUT / 2)
            assert carets(bob) == [[2]]
        store = ada._traffic.store
        swap = store.swap

        async def frozen(*_: Any) -> Any:
            await asyncio.sleep(2 * LEFT)
            return await swap(*_)

        store.swap = frozen  # type: ignore[method-assign]
        await seen(bob)
        store.swap = swap  # type: ignore[method-assign]
        await seen(bob, ("ada", [2]))

    memory.run(scenario)


def test_nothing_is_written_or_read_before_presence_is_used(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, _ = await two(place, "text")
        store = ada._traffic.store
        assert isinstance(store, MemoryStore)
        await asyncio.sleep(100)
        assert rows(place) == [] and len(store._readers) == 2
        assert ada.presence == []
        await steps(10)
        assert len(rows(place)) == 1 and len(store._readers) == 3

    memory.run(scenario)


# --- where they are ---------------------------------------------------------------------------------------


def test_cursors_move_with_the_text_of_whoever_looks(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await two(place, "Hello world")
        ada.show_cursors([(6, 11)])
        await seen(bob, ("ada", [11]))
        bob.document.insert(0, "Oh! ")
        assert bob.presence[0].cursors == (Range(10, 15),)
        bob.document.delete(0, 12)
        assert bob.presence[0].cursors == (Range(0, 3),)
        bob.document.undo()
        await bob.sync()
        assert bob.presence[0].cursors[0].head == len(bob.document)

    memory.run(scenario)


@given(st.data())
def test_wherever_a_caret_is_shown_everybody_finds_it_beside_the_same_letter(data: st.DataObject) -> None:
    """Each letter is there once, so the one after the caret tells where it is."""
    text = "abcdefghijklmnop"
    at = data.draw(st.integers(0, len(text) - 1))
    hers = data.draw(st.integers(0, len(text)))
    his = data.draw(st.lists(st.integers(0, len(text)), max_size=3))
    commits = data.draw(st.booleans())

    async def scenario(place: Place) -> None:
        ada, bob = await two(place, text)
        for n, pos in enumerate(his):
            bob.document.insert(pos, "XYZ"[n])
        ada.document.insert(hers, "1")
        if commits:
            ada.document.commit()
        ada.show_cursors([ada.document.text.index(text[at])])
        assert bob.presence == []
        await ada.flush()
        await bob.sync()
        async for peers in bob.presence_changes():
            if peers and peers[0].cursors:
                break
        (cursor,) = bob.presence[0].cursors
        assert bob.document.text[cursor.head] == text[at]

    memory = MemoryStore()
    Place("memory", lambda: memory.client()).run(scenario)


def test_a_caret_in_text_that_isnt_here_yet_waits_for_it(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await two(place, "text")
        ada.show_cursors([1])
        await seen(bob, ("ada", [1]))
        ada.document.insert(4, " and more")
        await ada.flush()
        ada.show_cursors([13])
        await asyncio.sleep(1)
        assert carets(bob) == [[1]], "where it was, until the text is here"
        editor = Editor(bob)
        reading = asyncio.ensure_future(editor.live())
        await seen(bob, ("ada", [13]))
        assert editor.text == "text and more"
        reading.cancel()

    memory.run(scenario)


def test_carets_in_text_that_isnt_committed_stand_where_it_will_be(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await two(place, "Hello")
        ada.document.insert(5, " world")
        ada.show_cursors([11, (2, 8)])
        await seen(bob, ("ada", [5, 5]))
        assert bob.presence[0].cursors == (Range(5, 5), Range(2, 5))
        ada.document.commit()
        ada.show_cursors([11, (2, 8)])
        await ada.flush()
        await bob.sync()
        await seen(bob, ("ada", [11, 8]))

    memory.run(scenario)


def test_a_caret_that_comes_while_something_is_uncommitted_stands_beside_its_letter(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await two(place, "Hello")
        assert bob.presence == []
        bob.document.insert(0, "Oh! ")
        bob.document.delete(5, 1)
        ada.show_cursors([4])
        await seen(bob, ("ada", [7]))
        assert bob.document.text[7] == "o"

    memory.run(scenario)


def test_it_works_in_a_document_that_begins_with_a_checkpoint(place: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, _ = await two(place, "Hello world")
        await ada.pack()
        eve = await place.connect("eve")
        assert eve.document.history.base is not None
        eve.show_cursors([5])
        await seen(ada, ("eve", [5]))
        ada.show_cursors([7])
        await seen(eve, ("ada", [7]))

    place.run(scenario)


def test_a_session_that_began_offline_shows_itself_once_it_is_there(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, _ = await two(place, "there")
        store = place.given()
        assert isinstance(store, MemoryStore)
        store.faults = Faults(lost_before=1.0)
        async with connect(place.given(), place.name, author="eve", offline=True) as eve:
            eve.document.insert(0, "typed")
            eve.show_cursors([5])
            await asyncio.sleep(10)
            assert eve.presence == []
            store.faults = None
            await eve.sync()
            await ada.sync()
            async for peers in ada.presence_changes():
                if peers and peers[0].cursors:
                    break
            assert ada.document.text[: peers[0].cursors[0].head] in ("typed", "theretyped", "typedthere")

    memory.run(scenario)


# --- what it costs ------------------------------------------------------------------------------------------


def test_writes_are_few_and_the_last_call_counts(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await two(place, "x" * 100)
        store, calls = ada._traffic.store, Counter[str]()
        swap = store.swap

        async def counted(table: str, *more: Any) -> Any:
            calls[table] += 1
            return await swap(table, *more)

        store.swap = counted  # type: ignore[method-assign]
        for number in range(100):
            ada.show_cursors([number])
            await asyncio.sleep(0.01)
        await seen(bob, ("ada", [99]))
        assert calls["cursors"] <= 1 + 1.5 / THROTTLE
        calls.clear()
        await asyncio.sleep(10 * BEAT)
        assert 8 <= calls["cursors"] <= 10

    memory.run(scenario)


def test_what_lies_outside_the_text_and_too_much_is_refused(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, _ = await two(place, "text")
        ada.show_cursors([1])
        for wrong in ([5], [-1], [(0, 5)], ["1"], [(1, 2, 3)], [1.5], [None], [0] * (MAX_CURSORS + 1)):
            with pytest.raises(PatchError):
                ada.show_cursors(wrong)  # type: ignore[arg-type]
        with pytest.raises(PatchError):
            ada.show_cursors(7)  # type: ignore[arg-type]
        assert [anchor.pos for anchor, _ in ada._presence._mine] == [1]

    memory.run(scenario)


# --- what rows say ------------------------------------------------------------------------------------------

_ids = st.builds(Id, st.integers(1, (1 << 52) - 1), st.text("abz019", min_size=1, max_size=12))
_said = st.builds(
    Said,
    session=st.text("abz019", min_size=1, max_size=12),
    author=texts(20),
    beat=st.integers(0, 1 << 40),
    heads=st.lists(_ids, max_size=3, unique=True).map(lambda ids: tuple(sorted(ids))),
    cursors=st.lists(st.builds(Range, st.integers(0, 99), st.integers(0, 99)), max_size=4).map(tuple),
)


@given(_said)
def test_a_row_says_what_was_put_into_it(said: Said) -> None:
    row = row_of("d" * 40, said, 7)
    assert image(row)
    assert said_by(row) == said


_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts(5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(3), inner, max_size=2),
    max_leaves=6,
)


@given(_said, st.sampled_from(["v", "author", "beat", "heads", "cursors", "time"]), _junk)
def test_a_row_that_was_bent_says_nothing_or_something_that_can_be_meant(
    said: Said, field: str, junk: Any
) -> None:
    bent = row_of("d" * 40, said, 7)
    bent[field] = junk
    found = said_by(bent)
    if found is not None:
        assert said_by(row_of("d" * 40, found, 7)) == found
    del bent[field]
    assert (said_by(bent) is None) == (field != "time")


def test_rows_that_nobody_can_read_are_passed_over(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await two(place, "text")
        doc = ada._traffic.link.doc
        good = Said("good", "g", 1, ada.document.heads, (Range(1, 2),))
        bad = [
            {"id": [doc, "a"]},
            {**row_of(doc, good, 1), "id": [doc, "b"], "v": 2},
            {**row_of(doc, good, 1), "id": [doc, "c"], "cursors": [[0] * 3]},
            {**row_of(doc, good, 1), "id": [doc, "d"], "cursors": [[0, 1]] * (MAX_CURSORS + 1)},
            {**row_of(doc, good, 1), "id": [doc, "e"], "heads": ["7:x", "7:x", 7]},
            {**row_of(doc, good, 1), "id": [doc, "f"], "beat": "1"},
            {**row_of(doc, good, 1), "id": [doc, "g"], "author": "x" * 257},
        ]
        nowhere = Said("nowhere", "n", 1, ada.document.heads, (Range(5, 5), Range(4, 4)))
        unknown = Said("unknown", "u", 1, (Id(99, "who"),), (Range(0, 0),))
        assert bob.presence == []
        await (await place.store()).insert("cursors", bad)
        await (await place.store()).insert(
            "cursors", [row_of(doc, said, 1) for said in (good, nowhere, unknown)]
        )
        await seen(bob, ("g", [2]), ("n", [4]), ("u", []))
        eve = await place.connect("eve")
        await seen(eve, ("bob", []), ("g", [2]), ("n", [4]), ("u", []))

    memory.run(scenario)


@given(st.permutations(range(1, 6)))
def test_rows_that_come_late_or_twice_change_nothing(order: list[int]) -> None:
    async def scenario(place: Place) -> None:
        _, bob = await two(place, "abcdefgh")
        doc = bob._traffic.link.doc
        presence = bob._presence
        for beat in (*order, order[0]):
            said = Said("peer", "p", beat, bob.document.heads, (Range(beat, beat),))
            presence._note((doc, "peer"), row_of(doc, said, 1))
        assert carets(bob) == [[5]]
        presence._note((doc, "peer"), None)
        presence._note((doc, "peer"), row_of(doc, said, 1))
        assert bob.presence == []

    shared = MemoryStore()
    Place("memory", lambda: shared.client()).run(scenario)


def test_what_happened_in_a_gap_is_read(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await two(place, "text")
        eve = await place.connect("eve")
        ada.show_cursors([1])
        eve.show_cursors([2])
        await seen(bob, ("ada", [1]), ("eve", [2]))
        readers = bob._traffic.store._readers  # type: ignore[attr-defined]
        readers.gap("cut")
        ada.show_cursors([3])
        await eve.close()
        await asyncio.sleep(1)
        readers.ready()
        await seen(bob, ("ada", [3]))

    memory.run(scenario)


def test_a_store_that_fails_now_and_then_delays_presence_only() -> None:
    shared = MemoryStore(faults=Faults(3, lost_before=0.2, lost_after=0.2, late=0.3, twice=0.2, gap=0.1))

    async def scenario(place: Place) -> None:
        ada, bob = await place.connect("ada"), await place.connect("bob")
        ada.document.insert(0, "x" * 50)
        for number in range(50):
            ada.show_cursors([number])
            await asyncio.sleep(0.1)
            assert all(len(peer.cursors) <= 1 for peer in bob.presence)
        await ada.flush()
        shared.faults = None
        await bob.sync()
        await seen(bob, ("ada", [49]))

    Place("memory", lambda: shared.client()).run(scenario)


def test_a_session_without_rights_goes_without_presence_and_says_why(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await two(place, "text")

        async def refused(*_: Any) -> Any:
            raise StoreError("no right to write cursors")

        ada._traffic.store.swap = refused  # type: ignore[method-assign]
        bob.show_cursors([1])
        with pytest.raises(StoreError, match="no right"):
            async for _ in ada.presence_changes():
                pass
        ada.document.insert(0, "still works ")
        await ada.flush()
        assert carets(ada) == [[13]]

    memory.run(scenario)


def test_who_moves_all_the_time_clears_out_what_crashed_sessions_left(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await two(place, "text")
        ada.show_cursors([0])
        await seen(bob, ("ada", [0]))
        crash(ada)
        for number in range(int((LEFT + 2 * BEAT) / (BEAT / 5))):
            bob.show_cursors([number % 4])
            await asyncio.sleep(BEAT / 5)
        assert rows(place) == [(bob._traffic.link.doc, bob.document.session)]

    memory.run(scenario)


@pytest.mark.parametrize("how", ["left", "crashed", "stayed"])
def test_who_comes_takes_the_place_of_whoever_is_gone(
    memory: Place, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncstring.presence.MAX_PEERS", 3)

    async def scenario(place: Place) -> None:
        bob = await place.connect("bob")
        assert bob.presence == []
        for number in range(3):
            session = await place.connect(f"first {number}")
            session.show_cursors([0])
            await asyncio.sleep(1)
            if how == "left":
                await session.close()
            elif how == "crashed":
                crash(session)
        await asyncio.sleep(TIMEOUT + 5)
        eve = await place.connect("eve")
        eve.show_cursors([0])
        await asyncio.sleep(1)
        here = [peer.author for peer in bob.presence]
        assert here == (["first 0", "first 1", "first 2"] if how == "stayed" else ["eve"])
        assert len(bob._presence._seen) <= 3

    memory.run(scenario)


def test_presence_of_a_deleted_document_says_so_and_ends(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada = await place.connect("ada")
        changes = ada.presence_changes()
        assert await anext(changes) == []
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(1)
        store = await place.store()
        await delete_document(store, place.name)
        now = asyncio.get_running_loop().time()
        with pytest.raises(DocumentDeleted):
            await waiting
        assert asyncio.get_running_loop().time() - now < 1

    memory.run(scenario)


def test_a_defect_in_presence_is_told_there_and_stops_nothing_else(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada = await place.connect("ada")

        async def broken(*_: Any) -> Any:
            raise ZeroDivisionError("a defect")

        ada._traffic.store.swap = broken  # type: ignore[method-assign]
        with pytest.raises(StoreError, match="presence broke down: ZeroDivisionError"):
            async for _ in ada.presence_changes():
                pass
        ada.document.insert(0, "still works")
        await ada.flush()
        assert ada.state == "live"

    memory.run(scenario)


# --- positions ------------------------------------------------------------------------------------------


@given(texts(20).flatmap(lambda text: st.tuples(st.just(text), splices(len(text)))), st.data())
def test_a_position_carried_back_lies_in_the_text_before(
    case: tuple[str, list[Any]], data: st.DataObject
) -> None:
    text, done = case
    after = apply(text, done)
    pos = data.draw(st.integers(0, len(after)))
    back = before(pos, done)
    assert 0 <= back <= len(text)
    if all(not delete for _, delete, _ in done):  # what stands after it comes along
        assert map_position(back, done) >= pos
        if after[pos:] == text[back:]:
            assert map_position(back, done) == pos
