"""Live sessions: what they promise through gaps, failures, deaths and long absences, over each store."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import pytest
from live import STORES, Editor, Hurried, Place, rethink_database, run, steps  # noqa: F401

import syncstring
from syncstring._patch import apply
from syncstring.archive import Archive, delete_document, find_document
from syncstring.backends.memory import Faults, MemoryStore
from syncstring.errors import (
    ConflictingPatch,
    DocumentDeleted,
    HistoryTruncated,
    PatchError,
    StoreError,
    StoreUnavailable,
    UnknownVersion,
)
from syncstring.history import History
from syncstring.outbox import Outbox
from syncstring.outside import fresh_key
from syncstring.patch import Patch
from syncstring.session import Session, connect
from syncstring.store import Verdict, open_store
from syncstring.testing.faults import FAULTS
from syncstring.traffic import TURNS, Event, State, Traffic, turned

pytestmark = pytest.mark.filterwarnings("ignore:SQLite")


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest) -> Place:
    """A test's own store; the test is run with each kind."""
    return Place.of(request, request.param)


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> Place:
    return Place.of(request, "memory")


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are short, where a clock can't be hurried."""
    monkeypatch.setattr("syncstring.traffic.LONGEST_PAUSE", 0.1)
    monkeypatch.setattr("syncstring.session.PATIENCE", 0.05)


def typed(session: Session, *texts: str) -> None:
    """Patches at the end, one each."""
    for text in texts:
        session.document.insert(len(session.document), text)
        session.document.commit()


async def shown(session: Session, text: str) -> None:
    """Read changes until the text is there."""
    editor = Editor(session)
    if text not in editor.text:
        async for change in session.changes():
            editor.text = apply(editor.text, change.splices)
            assert editor.text == session.document.text
            if text in editor.text:
                return


def silent(store: MemoryStore) -> None:
    """No call is answered any more."""
    store.faults = Faults(lost_before=1.0)


def cut(session: Session, reason: str = "cut") -> None:
    session._traffic.store._readers.gap(reason)  # type: ignore[attr-defined]


def mended(session: Session) -> None:
    session._traffic.store._readers.ready()  # type: ignore[attr-defined]


# --- states --------------------------------------------------------------------------------------

PAIRS = list(itertools.product(get_args(State), get_args(Event)))
IMPOSSIBLE = {("offline", "read"), *(("closed", event) for event in get_args(Event) if event != "close")}
"""A read that ends while offline is void, and isn't told; after the end nothing is."""


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_every_event_in_every_state_leads_to_a_state_or_cannot_happen(state: Any, event: Any) -> None:
    if (state, event) in IMPOSSIBLE:
        with pytest.raises(AssertionError, match=f"{event}.* while {state}"):
            turned(state, event)
    else:
        assert turned(state, event) in get_args(State)


def test_the_table_says_nothing_beside() -> None:
    assert set(TURNS) == set(PAIRS) - IMPOSSIBLE
    assert {turned(state, "close") for state in get_args(State)} == {"closed"}
    assert {after for (state, event), after in TURNS.items() if event == "lost"} == {"offline"}
    assert {before for (before, _), after in TURNS.items() if after == "live"} == {"catching up", "live"}


def test_a_session_goes_through_its_states_as_the_store_comes_and_goes(memory: Place) -> None:
    async def scenario(place: Place) -> list[str]:
        store = place.given()
        assert isinstance(store, MemoryStore)
        silent(store)
        told: list[str] = []
        async with connect(store, place.name, author="ada", offline=True) as session:

            async def listen() -> None:
                async for state in session.states():
                    told.append(state)

            listening = asyncio.ensure_future(listen())
            await asyncio.sleep(10)
            assert told == ["offline"]
            store.faults = None
            await session.until("live")
            await steps(3)
            cut(session)
            await session.until("offline")
            await steps(3)
            mended(session)
            await session.until("live")
            await steps(3)
            silent(store)
            typed(session, "unanswered")
            await session.until("offline")
            await asyncio.sleep(60)
            assert session.state == "offline"
            store.faults = None
            await session.flush()
            await session.until("live")
            await steps(3)
        await listening
        return told

    told = memory.run(scenario)
    assert told[0] == "offline" and told[-1] == "closed"
    without = [state for state in told if state != "catching up"]
    assert without == ["offline", "live", "offline", "live", "offline", "live", "closed"]
    assert told.count("catching up") >= 2


def test_who_waits_for_a_state_that_cannot_come_is_told_why(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        store = place.given()
        silent(store)  # type: ignore[arg-type]
        session = await place.connect(offline=True)
        with pytest.raises(StoreUnavailable, match="not live within 5 s"):
            await session.until("live", 5)
        await session.close()
        with pytest.raises(StoreError, match="closed"):
            await session.until("live")
        await session.until("closed")
        nowhere = await place.stack.enter_async_context(
            suppress_leaving(connect(place.given(), "absent", author="eve", create=False, offline=True))
        )
        store.faults = None  # type: ignore[union-attr]
        with pytest.raises(UnknownVersion):
            await nowhere.until("live")

    memory.run(scenario)


class suppress_leaving:  # noqa: N801
    """A context whose leaving may fail."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __aenter__(self) -> Any:
        return await self.inner.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        with suppress(StoreError, UnknownVersion):
            await self.inner.__aexit__(None, None, None)


# --- two people ----------------------------------------------------------------------------------


def test_what_one_types_the_other_is_shown(place: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await place.connect("ada"), await place.connect("bob")
        assert ada.state == bob.state == "live"
        typed(ada, "Hello ")
        await shown(bob, "Hello ")
        typed(bob, "world")
        await shown(ada, "world")
        assert ada.document.text == bob.document.text == "Hello world"

    place.run(scenario)


def test_a_commit_is_on_its_way_when_it_returns_and_so_is_what_undo_makes(place: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await place.connect("ada"), await place.connect("bob")
        typed(ada, "one ", "two ")
        await shown(bob, "two ")
        ada.document.undo()
        await shown(bob, "one ")
        while bob.document.text != "one ":
            await bob.arrival()
            bob.take()
        ada.document.redo()
        ada.document.restore(1)
        ada.document.revert(1)
        assert ada.document.outgoing == []
        assert ada.unsaved.acknowledged + len(ada.unsaved) == 6
        await ada.flush()
        await bob.sync()
        assert bob.document.text == ada.document.text == ""

    place.run(scenario)


def test_a_sync_sees_all_that_was_acknowledged_to_anybody(place: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await place.connect("ada"), await place.connect("bob")
        for number in range(5):
            typed(ada, f"{number} ")
            await ada.flush()
            editor = bob.document.text
            assert apply(editor, await bob.sync()) == bob.document.text == ada.document.text

    place.run(scenario)


def test_leaving_flushes_and_ends_the_changes(place: Place) -> None:
    async def scenario(place: Place) -> None:
        async with connect(place.given(), place.name, author="ada") as session:
            reading = asyncio.ensure_future(Editor(session).live())
            session.document.insert(0, "not even committed")
        await reading
        assert session.state == "closed"
        bob = await place.connect("bob")
        assert bob.document.text == "not even committed"

    place.run(scenario)


def test_an_exception_inside_is_not_hidden_and_what_was_typed_is_kept(place: Place) -> None:
    async def scenario(place: Place) -> None:
        with pytest.raises(ZeroDivisionError):
            async with connect(place.given(), place.name, author="ada") as session:
                session.document.insert(0, "kept")
                raise ZeroDivisionError
        assert (await place.connect("bob")).document.text == "kept"

    place.run(scenario)


def test_after_the_end_every_call_says_so_and_the_text_stays_readable(place: Place) -> None:
    async def scenario(place: Place) -> None:
        session = await place.connect()
        typed(session, "text")
        await session.flush()
        await session.close()
        await session.close()
        for call in (session.flush, session.sync, session.read_history, session.pack):
            with pytest.raises(StoreError, match="closed"):
                await call()
        for edit in (session.take, session.document.undo, lambda: session.document.insert(0, "x")):
            with pytest.raises(StoreError, match="closed"):
                edit()
        with pytest.raises(StoreError, match="closed"):
            session.show_cursors([0])
        assert not await session.arrival()
        assert [change async for change in session.changes()] == []
        assert session.document.text == "text"

    place.run(scenario)


def test_a_store_that_is_given_open_stays_open_and_takes_no_options() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        async with connect(store, "notes", author="ada"):
            pass
        assert await store.scan("names", ("",), ("~",)).__anext__()
        with pytest.raises(PatchError, match="no options: queue"):
            async with connect(store, "notes", author="ada", queue=3):
                pass

    run(scenario())


def test_where_a_batch_may_be_torn_no_patch_is_sent_beside_its_parent() -> None:
    """Found on real servers: one and a writer, killed at once, left a child whose parent nobody had."""
    sent: list[list[str]] = []

    class Torn(MemoryStore):
        tears = True

        async def insert(self, table: str, rows: Any) -> Any:
            if table == "patches":
                sent.append([f"{row['id'][1]}:{row['id'][2]}" for row in rows])
                parents = {id for row in rows for id in row["parents"].split("\t")}
                assert parents.isdisjoint(sent[-1])
            return await super().insert(table, rows)

    async def scenario() -> None:
        async with connect(Torn(), "notes", author="ada", offline=True) as session:
            for _ in range(20):
                session.document.insert(0, "x")
                session.document.commit()
            await session.flush()
            assert [len(ids) for ids in sent] == [1] * 20

    run(scenario())


def test_no_session_waits_for_a_state_that_there_is_not() -> None:
    async def scenario() -> None:
        async with connect(MemoryStore(), "notes", author="ada") as session:
            with pytest.raises(PatchError, match="'online' is no state; there are offline, catching up"):
                await session.until("online")  # type: ignore[arg-type]

    run(scenario())


def test_a_forked_process_has_to_connect_anew(place: Place) -> None:
    async def scenario(place: Place) -> None:
        session = await place.connect()
        session.document.insert(0, "typed before, ")
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            said = []
            document = session.document
            for call in (lambda: document.insert(0, "child"), document.commit, document.undo, session.take):
                try:
                    call()
                    said.append("no error")
                except StoreError as error:
                    said.append(str(error))
            os.write(writing, "\n".join(said).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        said = os.read(reading, 1_000).splitlines()
        assert len(said) == 4 and all(b"forked" in each for each in said)
        os.close(reading)
        os.close(writing)
        typed(session, "parent")
        await session.flush()

    place.run(scenario)


# --- what isn't acknowledged -----------------------------------------------------------------------


def test_unsaved_tells_what_is_local_what_was_sent_and_what_is_safe(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        store = place.given()
        assert isinstance(store, MemoryStore)
        session = await place.connect()
        typed(session, "one ", "two ")
        unsaved = session.unsaved
        assert (len(unsaved.local), len(unsaved.sent), unsaved.acknowledged) == (2, 0, 0)
        await session.flush()
        assert [*session.unsaved, session.unsaved.acknowledged] == [2]
        store.faults = Faults(lost_after=1.0)
        typed(session, "three ")
        await session.until("offline")
        typed(session, "four ")
        unsaved = session.unsaved
        assert [patch.ops[-1] for patch in unsaved.sent] == ["three "]
        assert [patch.ops[-1] for patch in unsaved.local] == ["four "]
        assert unsaved == [*unsaved.sent, *unsaved.local]
        store.faults = None
        await session.flush()
        assert session.unsaved == [] and session.unsaved.acknowledged == 4

    memory.run(scenario)


def test_a_flush_past_its_limit_says_so_and_sending_goes_on(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        store = place.given()
        assert isinstance(store, MemoryStore)
        session = await place.connect(limit=3)
        silent(store)
        typed(session, "waits")
        for call in (session.flush, session.sync):
            with pytest.raises(StoreUnavailable, match=r"within 3 s.*outbox stays"):
                await call()
        with pytest.raises(StoreUnavailable, match="within 1 s"):
            await session.flush(1)
        assert len(session.unsaved) == 1
        store.faults = None
        while session.unsaved:
            await asyncio.sleep(1)
        assert (await place.connect("bob")).document.text == "waits"

    memory.run(scenario)


def refusing(store: MemoryStore, error: Exception | Verdict) -> Callable[[], None]:
    """Writing patches is answered with this, until the function is called."""
    insert = store.insert

    async def refuse(table: str, rows: Any) -> list[Verdict]:
        if table != "patches":
            return await insert(table, rows)
        if isinstance(error, Verdict):
            return [error] * len(rows)
        raise error

    store.insert = refuse  # type: ignore[method-assign]

    def stop() -> None:
        store.insert = insert  # type: ignore[method-assign]

    return stop


@pytest.mark.parametrize("error", [StoreError("no right to write"), Verdict("refused", None, "no right")])
def test_what_no_waiting_helps_against_is_one_clear_error_and_the_work_is_kept(error: Any) -> None:
    async def scenario() -> None:
        store = MemoryStore()
        async with connect(store, "notes", author="ada") as session:
            allow = refusing(store, error)
            typed(session, "mine")
            with pytest.raises(StoreError, match="no right"):
                async for _ in session.changes():
                    pass
            with pytest.raises(StoreError, match="no right"):
                await session.flush()
            assert [patch.ops for patch in session.unsaved] == [("mine",)]
            typed(session, " and more")
            assert session.state == "live"
            waiting = asyncio.ensure_future(anext(session.changes()))
            await asyncio.sleep(300)
            assert not waiting.done(), "it was told once"
            waiting.cancel()
            allow()
            await session.flush()
            assert session.unsaved == []

    run(scenario())


def test_rights_that_come_back_are_noticed_though_nobody_asks() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        async with connect(store, "notes", author="ada") as session:
            allow = refusing(store, StoreError("no right to write"))
            typed(session, "mine")
            await asyncio.sleep(10)
            assert session.unsaved
            allow()
            await asyncio.sleep(200)
            assert not session.unsaved

    run(scenario())


@pytest.mark.parametrize("feeds", ["come back", "don't"])
def test_a_table_that_is_dropped_is_one_clear_error_and_its_return_is_noticed(feeds: str) -> None:
    async def scenario() -> None:
        store = MemoryStore()
        async with connect(store, "notes", author="ada") as session:
            rows = session._traffic.link.archive.rows

            async def dropped() -> Any:
                raise StoreError("table patches does not exist")

            session._traffic.link.archive.rows = dropped  # type: ignore[method-assign]
            cut(session)
            if feeds == "come back":
                mended(session)
            with pytest.raises(StoreError, match="does not exist"):
                async for _ in session.changes():
                    pass
            assert session.state == "offline"
            with pytest.raises(StoreError, match="does not exist"):
                await session.sync()
            with pytest.raises(StoreError, match="does not exist"):
                await session.until("live")
            session._traffic.link.archive.rows = rows  # type: ignore[method-assign]
            cut(session)
            mended(session)
            await steps(2)
            await session.until("live", 100)

    run(scenario())


def test_a_defect_that_stops_a_session_is_told_and_not_waited_for() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        async with connect(store, "notes", author="ada") as session:

            def broken(change: Any) -> None:
                raise ZeroDivisionError("a defect")

            session._traffic.link.take = broken  # type: ignore[method-assign]
            cut(session)
            with pytest.raises(StoreError, match=r"broke down: ZeroDivisionError.*connect again"):
                async for _ in session.changes():
                    pass

    run(scenario())


@pytest.mark.parametrize("ended", ["by an error", "by a cancellation"])
def test_a_session_one_of_whose_tasks_died_is_never_live_again_and_every_wait_says_so(ended: str) -> None:
    async def scenario() -> None:
        store = MemoryStore()
        with pytest.raises(StoreError, match="broke down"):
            async with connect(store, "notes", author="ada") as session:
                died = RuntimeError("a defect") if ended == "by an error" else asyncio.CancelledError()
                allow = refusing(store, died)
                typed(session, "unsent")
                waiting = asyncio.ensure_future(session.flush())
                with pytest.raises(StoreError, match=r"broke down.*connect again"):
                    await waiting
                allow()
                cut(session)
                mended(session)
                await asyncio.sleep(300)
                assert session.state == "offline"
                now = asyncio.get_running_loop().time()
                here = session.presence_changes()
                for call in (
                    session.flush,
                    session.sync,
                    session.read_history,
                    session.arrival,
                    lambda: session.until("live"),
                    session.arrival,
                    lambda: anext(here),
                ):
                    with pytest.raises(StoreError, match=r"broke down.*connect again"):
                        for _ in range(2):  # presence says who is here first
                            await call()
                assert asyncio.get_running_loop().time() == now, "nothing is waited for"
                session.document.insert(0, "still kept ")
                session.document.commit()
                assert len(session.unsaved) == 2

    run(scenario())


def test_a_session_whose_look_for_parents_died_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with connect(MemoryStore(), "notes", author="ada") as session:
            monkeypatch.delattr("syncstring.session.PATIENCE")
            row = Patch((9, "other"), [(1, "absent")], [(0, 0, "x")], "o", 0).to_row(
                session._traffic.link.doc
            )
            await session._traffic.store.insert("patches", [row])
            with pytest.raises(StoreError, match="broke down: NameError"):
                async for _ in session.changes():
                    pass
            await session.flush()  # nothing is unsent

    run(scenario())


def test_a_feed_that_is_full_lets_others_have_their_turn(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        session = await place.connect()
        link = session._traffic.link
        patches = [Patch((number, "other"), [], [(0, 0, "x")], "o", 0) for number in range(1, 1_001)]
        await (await place.store()).insert("patches", [patch.to_row(link.doc) for patch in patches])
        turns = 0
        while len(link.arrivals) < 1_000:
            await steps()
            turns += 1
        assert turns > 5

    memory.run(scenario)


def test_a_deleted_document_is_told_again_and_again_and_unsent_work_stays_readable(place: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = (
            await place.connect("ada"),
            await place.stack.enter_async_context(
                suppress_leaving(connect(place.given(), place.name, author="bob"))
            ),
        )
        typed(ada, "text")
        await ada.flush()
        await bob.sync()
        await ada.close()
        bob.document.insert(0, "unsent ")
        await delete_document(await place.store(), place.name)
        for _ in range(2):
            with pytest.raises(DocumentDeleted):
                async for _ in bob.changes():
                    pass
            with pytest.raises(DocumentDeleted):
                await bob.flush()
            with pytest.raises(DocumentDeleted):
                await bob.sync()
        assert bob.document.text == "unsent text"
        assert [patch.ops for patch in bob.unsaved] == [("unsent ",)]
        fresh = await place.connect("eve")
        assert fresh.document.text == ""

    place.run(scenario)


def forged(session: Session, patch: Patch) -> dict[str, Any]:
    other = Patch(patch.id, patch.parents, [(0, 0, "theirs ")], "eve", 0)
    return other.to_row(session._traffic.link.doc)


@pytest.mark.parametrize("reading", [False, True], ids=["nobody reads", "somebody reads"])
def test_a_session_whose_ids_were_used_takes_another_and_loses_nothing(memory: Place, reading: bool) -> None:
    async def scenario(place: Place) -> None:
        store = place.given()
        assert isinstance(store, MemoryStore)
        session = await place.connect()
        typed(session, "first ")
        await session.flush()
        post, session._traffic.post = session._traffic.post, lambda patches: None  # type: ignore[method-assign]
        typed(session, "mine")
        patch = session.document.history.patch(session.document.heads[0])
        await store.insert("patches", [forged(session, patch)])
        session._traffic.post = post  # type: ignore[method-assign]
        editor = Editor(session)
        task = asyncio.ensure_future(editor.live()) if reading else None
        post([patch])
        if reading:
            await session.flush()
        else:
            with pytest.raises(ConflictingPatch):
                await session.flush()
            assert editor.text == session.document.text, "the text doesn't change behind the editor's back"
            editor.text = apply(editor.text, await session.sync())
            await session.flush()
        assert session.document.session != patch.session
        bob = await place.connect("bob")
        splices = await session.sync()
        editor.text = apply(editor.text, splices)
        assert editor.text == session.document.text == bob.document.text
        assert "mine" in bob.document.text and "theirs" in bob.document.text
        if task is not None:
            task.cancel()

    memory.run(scenario)


def test_a_crash_after_ids_were_renewed_doubles_nothing(memory: Place, tmp_path: Path) -> None:
    async def scenario(place: Place) -> None:
        store = place.given()
        assert isinstance(store, MemoryStore)
        async with connect(place.given(), place.name, author="ada", outbox=tmp_path / "outbox") as session:
            allow = refusing(session._traffic.store, StoreUnavailable("not now"))  # type: ignore[arg-type]
            typed(session, "mine")
            await store.insert("patches", [forged(session, session.unsaved[0])])
            allow()
            while not session._conflicting:
                await asyncio.sleep(0.01)
            session._traffic.post = lambda patches: None  # type: ignore[method-assign]
            session.take()
            await session.close()
        async with connect(place.given(), place.name, author="ada", outbox=tmp_path / "outbox") as again:
            await again.sync()
            assert again.document.text.count("mine") == again.document.text.count("theirs") == 1

    memory.run(scenario)


def test_leaving_with_ids_that_were_used_loses_nothing(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        store = place.given()
        assert isinstance(store, MemoryStore)
        async with connect(place.given(), place.name, author="ada") as session:
            allow = refusing(session._traffic.store, StoreUnavailable("not now"))  # type: ignore[arg-type]
            typed(session, "mine")
            await store.insert("patches", [forged(session, session.unsaved[0])])
            allow()
        bob = await place.connect("bob")
        assert "mine" in bob.document.text and "theirs" in bob.document.text

    memory.run(scenario)


# --- packs and the past ------------------------------------------------------------------------------


def test_the_past_is_read_when_it_is_asked_for(place: Place) -> None:
    async def scenario(place: Place) -> None:
        ada = await place.connect("ada")
        typed(ada, *"abcdef")
        await ada.flush()
        assert await ada.pack() is not None
        bob = await place.connect("bob")
        assert bob.document.text == "abcdef" and bob.document.history.base is not None
        with pytest.raises(HistoryTruncated):
            bob.document.at(3)
        assert await bob.read_history() == []
        assert bob.document.at(3) == "abc"
        assert await bob.read_history() == []
        assert [run.author for run in bob.document.blame()] == ["ada"] * 6

    place.run(scenario)


def test_a_late_patch_older_than_the_checkpoint_finds_its_place_by_itself(place: Place, hurry: None) -> None:
    async def scenario(place: Place) -> None:
        ada, late = await place.connect("ada"), await place.connect("late")
        typed(ada, "base")
        await ada.flush()
        await late.sync()
        late._traffic.post, post = lambda patches: None, late._traffic.post  # type: ignore[method-assign]
        late.document.insert(4, "!")
        patch = late.document.commit()
        assert patch is not None
        typed(ada, *"xyz")
        await ada.flush()
        await ada.pack()
        bob, eve = await place.connect("bob"), await place.connect("eve")
        assert bob.document.history.base is not None
        post([patch])
        await late.flush()
        await shown(bob, "!")
        editor = eve.document.text
        assert apply(editor, await eve.sync()) == eve.document.text == bob.document.text
        await ada.sync()
        assert ada.document.text == bob.document.text

    place.run(scenario)


def test_a_child_that_comes_first_waits_and_reads_nothing_anew_if_its_parent_comes(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada, bob = await place.connect("ada"), await place.connect("bob")
        typed(ada, *"ab")
        made = list(ada.document.history)
        await ada.flush()
        link = bob._traffic.link
        await steps(5)
        rows = [row for row, _ in link.arrivals]
        assert len(rows) == 2
        link.arrivals.clear()
        store = bob._traffic.store
        assert isinstance(store, MemoryStore)
        read = store.rows_read
        for patch in reversed(made):
            link.arrivals.append((patch.to_row(link.doc), False))
            bob.take()
            await asyncio.sleep(0.3)
        assert bob.document.text == "ab"
        await asyncio.sleep(60)
        assert store.rows_read == read

    memory.run(scenario)


def test_what_nobody_reads_is_bounded_and_whoever_reads_then_misses_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncstring.link.ARRIVALS", 10)

    async def scenario(place: Place) -> None:
        ada, bob = await place.connect("ada"), await place.connect("bob")
        link = bob._traffic.link
        for lot in range(8):
            typed(ada, *(f"{lot}.{n} " for n in range(20)))
            await ada.flush()
            if lot % 3 == 2:
                await ada.pack()
            await asyncio.sleep(0.05)
            assert len(link.arrivals) <= 10
        assert link.overrun
        editor = Editor(bob)
        reading = asyncio.ensure_future(editor.live())
        while len(bob.document.history) < 160:
            await asyncio.sleep(0.01)
        assert editor.text == bob.document.text == ada.document.text
        typed(ada, "and on")
        await ada.flush()
        while "and on" not in editor.text:
            await asyncio.sleep(0.01)
        reading.cancel()
        assert not bob.document.parked

    place.run(scenario)


# --- everything at once ------------------------------------------------------------------------------


class People:
    """Sessions on a store that fails and lies, each with an editor that types and shows what arrives."""

    def __init__(self, seed: int, count: int) -> None:
        self.random = random.Random(seed)
        self.faults = Faults(seed, **FAULTS)
        self.shared = MemoryStore(faults=self.faults, queue=20)
        self.count = count
        self.typed: set[str] = set()
        self.acknowledged: set[Any] = set()
        self.letters = (chr(0x4E00 + n) for n in itertools.count())

    async def person(self, number: int) -> None:
        chance = random.Random(f"{number} {self.random.random()}")
        async with suppress_leaving(
            connect(self.shared.client(), "notes", author=f"p{number}", limit=600, offline=number == 2)
        ) as session:
            editor = Editor(session)
            reading = asyncio.ensure_future(editor.live())
            for _ in range(25):
                letter = next(self.letters)
                self.typed.add(letter)
                editor.key(chance.randint(0, len(editor.text)), 0, letter)
                if chance.random() < 0.6:
                    session.document.commit()
                if chance.random() < 0.3:
                    await session.flush()
                    self.note(session)
                if chance.random() < 0.05:
                    with suppress(StoreUnavailable):
                        await session.pack(everything=chance.random() < 0.5)
                await asyncio.sleep(chance.choice((0, 0, 0.01, 1)))
                assert editor.text == session.document.text
            while True:
                with suppress(StoreUnavailable):
                    splices = await session.sync(600)
                    editor.text = apply(editor.text, splices)
                    break
            assert editor.text == session.document.text
            session.document.check()
            self.note(session)
            reading.cancel()

    def note(self, session: Session) -> None:
        """Everything made there that isn't unsaved was acknowledged."""
        unsaved = {patch.id for patch in session.unsaved}
        made = {patch.id for patch in session.document.history if patch.session == session.document.session}
        self.acknowledged |= made - unsaved

    async def all(self) -> None:
        await asyncio.gather(*map(self.person, range(self.count)))
        self.shared.faults = None
        self.shared.deliver()
        texts = []
        async with (
            connect(self.shared, "notes", author="a") as a,
            connect(self.shared.client(), "notes", author="b", offline=True) as b,
        ):
            for session in (a, b):
                await session.sync()
                assert not session.document.parked
                texts.append(session.document.text)
            await a.read_history()
            there = {patch.id for patch in a.document.history}
        assert texts[0] == texts[1]
        assert self.acknowledged <= there
        assert {letter: texts[0].count(letter) for letter in self.typed} == dict.fromkeys(self.typed, 1)


@pytest.mark.parametrize("seed", range(12))
def test_people_on_a_store_with_every_fault_end_in_one_text_and_lose_nothing(seed: int) -> None:
    people = People(seed, 2 + seed % 2)
    run(people.all())
    assert len(people.acknowledged) > 5


def test_those_people_meet_every_fault() -> None:
    met: set[str] = set()
    for seed in range(6):
        people = People(seed, 3)
        run(people.all())
        met |= people.faults.counts.keys()
    assert met >= FAULTS.keys() - {"stale"}


# --- offline from the first keystroke ------------------------------------------------------------------


def unreachable(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """No store can be opened, until the function is called."""

    async def nothing(url: str, **options: Any) -> Any:
        raise StoreUnavailable("no network")

    monkeypatch.setattr("syncstring.traffic.open_store", nothing)
    return lambda: monkeypatch.setattr("syncstring.traffic.open_store", open_store)


def test_what_was_typed_before_the_store_was_reached_is_merged_with_what_it_has(
    place: Place, monkeypatch: pytest.MonkeyPatch, hurry: None
) -> None:
    async def scenario(place: Place) -> None:
        ada = await place.connect("ada")
        typed(ada, "there before ")
        await ada.flush()
        given = place.given()
        reach = unreachable(monkeypatch)
        if isinstance(given, MemoryStore):
            silent(given)
        async with connect(given, place.name, author="bob", offline=True) as bob:
            assert bob.state == "offline" and bob.document.text == ""
            typed(bob, "typed ", "on ", "the train")
            bob.document.delete(0, 2)
            assert bob.document.text == "ped on the train"
            assert bob.unsaved[0].parents == ()
            await asyncio.sleep(0.2)
            editor = Editor(bob)
            reading = asyncio.ensure_future(editor.live())
            reach()
            if isinstance(given, MemoryStore):
                given.faults = None
            await bob.until("live")
            await bob.flush()
            await steps(20)
            assert editor.text == bob.document.text
            assert sorted(editor.text) == sorted("there before ped on the train")
            reading.cancel()
        await ada.sync()
        assert ada.document.text == editor.text

    place.run(scenario)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_it_begins_with_a_checkpoint_only_if_nothing_stands_beside_it(
    memory: Place, packed: bool, moment: str
) -> None:
    """Whenever the first key is pressed: before the document is read, while it is, or before it's shown."""

    async def scenario(place: Place) -> None:
        ada = await place.connect("ada")
        typed(ada, *"abcdefgh")
        await ada.flush()
        if packed:
            await ada.pack()
        async with connect(place.given(), place.name, author="bob", offline=True) as bob:
            if moment == "before":
                bob.document.insert(0, "X")
                bob.document.commit()
            while not bob._traffic.joined:
                await steps()
                if moment == "during" and bob.state == "catching up" and not bob.document.text:
                    bob.document.insert(0, "X")
            if moment == "after":
                while bob._traffic.found is None:
                    await steps()
                bob.document.insert(0, "X")
            editor = Editor(bob)
            while bob.document.text not in ("Xabcdefgh", "abcdefghX"):
                assert await bob.arrival()
                editor.text = apply(editor.text, bob.take())
                assert editor.text == bob.document.text
                assert "X" in editor.text, "what is typed stays on the screen"
            await bob.flush()
            assert not bob.document.parked
            assert bob.document.history.base is None
            bob.document.check()
        await ada.sync()
        assert ada.document.text == editor.text

    memory.run(scenario)


def test_it_is_not_live_before_the_whole_text_was_read_though_that_failed_for_good_once(
    memory: Place,
) -> None:
    async def scenario(place: Place) -> None:
        ada = await place.connect("ada")
        typed(ada, *"abcdefgh")
        await ada.flush()
        await ada.pack()
        async with connect(place.given(), place.name, author="bob", offline=True) as bob:
            bob.document.insert(0, "X")
            while bob._traffic.found is None:
                await steps()
            store = bob._traffic.store
            get, refuses = store.get, True

            async def refused(table: str, keys: Any) -> Any:
                if table == "packs" and refuses:
                    raise StoreError("no right to read packs")
                return await get(table, keys)

            store.get = refused  # type: ignore[method-assign]
            with pytest.raises(StoreError, match="no right to read packs"):
                async for _ in bob.changes():
                    pass
            for _ in range(20):
                await asyncio.sleep(10)
                assert bob.state != "live"
            with pytest.raises(StoreError, match="no right to read packs"):
                await bob.sync()
            with pytest.raises(StoreError, match="no right to read packs"):
                await bob.until("live")
            refuses = False
            reading = asyncio.ensure_future(Editor(bob).live())
            while bob.state != "live":
                await asyncio.sleep(1)
            await steps(5)
            assert bob.document.text in ("Xabcdefgh", "abcdefghX")
            reading.cancel()

    memory.run(scenario)


def test_an_offline_session_that_typed_nothing_begins_with_the_checkpoint(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        ada = await place.connect("ada")
        typed(ada, *"abcdefgh")
        await ada.flush()
        await ada.pack()
        async with connect(place.given(), place.name, author="bob", offline=True) as bob:
            change = await anext(bob.changes())
            assert apply("", change.splices) == "abcdefgh"
            assert bob.document.history.base is not None
            typed(bob, "!")
            await bob.flush()
        await ada.sync()
        assert ada.document.text == "abcdefgh!"

    memory.run(scenario)


def test_without_offline_the_store_is_waited_for_until_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        reach = unreachable(monkeypatch)
        with pytest.raises(StoreUnavailable, match="not reached within 2 s: no network"):
            async with connect("rethinkdb://ada:secret@nowhere/prod", "notes", author="ada", limit=2):
                pass
        asyncio.get_running_loop().call_later(1, reach)
        async with connect("memory:", "notes", author="ada", limit=20) as session:
            assert session.state == "live"

    run(scenario())


def test_no_password_of_a_url_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        unreachable(monkeypatch)
        with pytest.raises(StoreUnavailable, match=r"rethinkdb://nowhere/prod ") as failure:
            async with connect("rethinkdb://ada:secret@nowhere/prod?x=secret", "n", author="a", limit=1):
                pass
        assert "secret" not in str(failure.value)

    run(scenario())


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("rethinkdb://ada:se/cret@h/one", "rethinkdb:"),
        ("rethinkdb://ada:se?cret@h/one", "rethinkdb:"),
        ("rethinkdb://ada:se#cret@h/one", "rethinkdb:"),
        ("rethinkdb://ada:x@se/cret@h/one", "rethinkdb:"),
        ("rethinkdb://ada:x@secret@h/one", "rethinkdb://h/one"),
        ("rethinkdb://h:1,[::1]:2/one?password_file=secret", "rethinkdb://h:1,[::1]:2/one"),
        ("/home/ada@home/team.db", "/home/ada@home/team.db"),
    ],
)
def test_of_a_url_only_what_is_surely_no_secret_is_told(url: str, told: str) -> None:
    assert Traffic(url, "notes", True, {}).url == told


def test_a_state_is_offline_no_longer_than_the_store_though_nobody_reads(
    memory: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncstring.link.ARRIVALS", 10)

    async def scenario(place: Place) -> None:
        ada, bob = await place.connect("ada"), await place.connect("bob")
        typed(bob, *"0123456789abcdefghij")
        await bob.flush()
        store = ada._traffic.store
        assert isinstance(store, MemoryStore)
        silent(store)
        typed(ada, "x")
        await ada.until("offline")
        store.faults = None
        await ada.flush()
        assert ada._traffic.link.full
        assert ada.state == "catching up"

    memory.run(scenario)


def test_who_flushes_waits_for_no_pause_of_those_before(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        store = place.given()
        assert isinstance(store, MemoryStore)
        silent(store)
        clock = asyncio.get_running_loop().time
        for offline in (True, False):
            async with connect(store, place.name, author="ada", offline=True) as session:
                if not offline:
                    await session.flush()
                    silent(store)
                typed(session, "x")
                for _ in range(50):
                    await asyncio.sleep(7)  # not in step with the pauses
                    now = clock()
                    with pytest.raises(StoreUnavailable):
                        await session.flush(0.1)
                store.faults = None
                await asyncio.sleep(0)
                now = clock()
                await session.flush(0.1)
                assert clock() - now < 0.1

    memory.run(scenario)


# --- leaving -----------------------------------------------------------------------------------------------


def test_who_is_cancelled_leaves_within_two_seconds_whatever_the_limit(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        store = place.given()
        assert isinstance(store, MemoryStore)

        async def work() -> None:
            async with connect(store, place.name, author="ada", limit=30) as session:
                silent(store)
                typed(session, "unsent")
                await asyncio.sleep(1_000)

        working = asyncio.ensure_future(work())
        await asyncio.sleep(5)
        now = asyncio.get_running_loop().time()
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert asyncio.get_running_loop().time() - now < 2.1

    memory.run(scenario)


def test_the_last_words_are_sent_though_the_event_loop_ends_with_all_its_tasks(tmp_path: Path) -> None:
    async def main() -> None:
        typing = asyncio.Event()

        async def edit() -> None:
            async with connect(tmp_path / "team.db", "notes", author="ada") as session:
                session.document.insert(0, "last words")
                typing.set()
                await asyncio.sleep(1_000)

        editing = asyncio.ensure_future(edit())
        await typing.wait()
        assert not editing.done()

    asyncio.run(main())
    with syncstring.open(tmp_path / "team.db", "notes", author="bob") as document:
        assert document.text == "last words"


@pytest.mark.parametrize("slow", ["presence", "feeds", "store"])
def test_a_close_that_is_cancelled_goes_on_and_a_second_one_waits_for_it(slow: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connect("memory:", "notes", author="ada", outbox=tmp_path / "outbox") as session:
            typed(session, "text")
            await session.flush()
            session.show_cursors([0])
            await asyncio.sleep(1)
            traffic = session._traffic
            within = {"presence": session._presence, "feeds": traffic.link, "store": traffic.store}[slow]
            close, loose, began = within.close, asyncio.Event(), 0

            async def slowly() -> None:
                nonlocal began
                began += 1
                await loose.wait()
                await close()

            within.close = slowly  # type: ignore[method-assign, union-attr]
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(session.close(), 1)
            assert began == 1
            with pytest.raises(StoreError, match="closed"):
                session.document.insert(0, "late")
            closing = asyncio.ensure_future(session.close())
            await steps(5)
            assert not closing.done()
            loose.set()
            await closing
            assert session.state == "closed"
            assert asyncio.all_tasks() == {asyncio.current_task()}
            Outbox(tmp_path / "outbox").close()

    async def limited() -> None:  # a limit of `run` would be a task more
        async with asyncio.timeout(3_600):
            await scenario()

    with asyncio.Runner(loop_factory=Hurried) as runner:
        runner.run(limited())


def test_a_long_time_offline_costs_what_was_typed_and_is_sent_in_order_once(memory: Place) -> None:
    async def scenario(place: Place) -> None:
        store = place.given()
        assert isinstance(store, MemoryStore)
        ada, bob = await place.connect("ada"), await place.connect("bob")
        typed(ada, "start ")
        await ada.flush()
        await bob.sync()
        silent(store)
        cut(ada)
        cut(bob)
        for _ in range(7):
            typed(bob, *(f"b{n} " for n in range(100)))
            await asyncio.sleep(300)
        assert bob.state == "offline" and len(bob.unsaved) == 700
        tasks = len(asyncio.all_tasks())
        store.faults = None
        typed(ada, *(f"a{n} " for n in range(100)))
        mended(ada)
        mended(bob)
        await ada.flush()
        await ada.pack(everything=True)
        sent: list[Any] = []
        insert = bob._traffic.store.insert

        async def noted(table: str, rows: Any) -> Any:
            sent.extend(row["id"][1] for row in rows if table == "patches")
            return await insert(table, rows)

        bob._traffic.store.insert = noted  # type: ignore[method-assign]
        await bob.flush()
        assert sent == sorted(sent)
        await bob.sync()
        await ada.sync()
        assert ada.document.text == bob.document.text
        assert len(ada.document.history) == 801
        assert len(asyncio.all_tasks()) <= tasks + 1

    memory.run(scenario)


# --- the outbox on disk ----------------------------------------------------------------------------------

CHILD = """
import asyncio, os, sys, syncstring, syncstring.traffic

async def unreachable(url, **options):
    raise syncstring.StoreUnavailable("no network")

async def main():
    if sys.argv[3] == "offline":
        syncstring.traffic.open_store = unreachable
    async with syncstring.connect(
        sys.argv[1], "notes", author="ada", outbox=sys.argv[2], offline=sys.argv[3] == "offline"
    ) as session:
        if sys.argv[3] != "offline":
            session._traffic.post = lambda patches: None
        for letter in sys.argv[4]:
            session.document.insert(len(session.document), letter)
            session.document.commit()
        os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def killed(path: Path, outbox: Path, how: str, letters: str) -> None:
    """A process that commits these letters and is killed before any of them is sent."""
    arguments = [str(path), str(outbox), how, letters]
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", CHILD, *arguments], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("how", ["offline", "connected"])
@pytest.mark.parametrize("again", ["offline", "connected", "blocking"])
def test_what_was_committed_when_the_process_was_killed_is_sent_by_the_next_one(
    tmp_path: Path, how: str, again: str
) -> None:
    path, outbox = tmp_path / "team.db", tmp_path / "outbox"
    with syncstring.open(path, "notes", author="first") as document:
        document.insert(0, "There: ")
        document.flush()
        document.pack()
    killed(path, outbox, how, "abc")
    killed(path, outbox, how, "def")

    async def scenario() -> str:
        async with connect(path, "notes", author="ada", outbox=outbox, offline=again == "offline") as session:
            await session.sync()
            assert session.unsaved == []
            return session.document.text

    if again == "blocking":
        with syncstring.open(path, "notes", author="ada", outbox=outbox) as document:
            document.sync()
            text = document.text
    else:
        text = run(scenario(), hurried=False)
    assert "abc" in text and "def" in text and "There: " in text
    assert outbox.read_bytes() == b""
    with syncstring.open(path, "notes", author="eve") as document:
        assert document.text == text


def test_what_was_kept_for_a_name_goes_to_no_other_document(tmp_path: Path) -> None:
    path, outbox = tmp_path / "team.db", tmp_path / "outbox"
    killed(path, outbox, "offline", "abc")
    with pytest.raises(StoreError, match="another document"):
        syncstring.open(path, "other", author="ada", outbox=outbox)

    async def scenario() -> None:
        with pytest.raises(StoreError, match="another document"):
            async with connect(path, "other", author="ada", outbox=outbox):
                pass
        with pytest.raises(StoreError, match="another document"):
            async with connect(path, "other", author="ada", outbox=outbox, offline=True) as session:
                await session.sync()

    run(scenario(), hurried=False)
    with syncstring.open(path, "notes", author="ada", outbox=outbox) as document:
        assert document.text == "abc"


def test_an_outbox_on_disk_is_emptied_though_nobody_flushes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncstring.traffic.TRIM_AT", 2_000)

    async def scenario() -> None:
        async with connect(MemoryStore(), "notes", author="ada", outbox=tmp_path / "outbox") as session:
            sizes = []
            for number in range(200):
                typed(session, f"{number} ")
                await asyncio.sleep(0.1)
                sizes.append((tmp_path / "outbox").stat().st_size)
            assert max(sizes) < 10_000
            assert not session.unsaved

    run(scenario())


def test_an_outbox_on_disk_is_not_emptied_while_patches_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncstring.traffic.TRIM_AT", 0)
    monkeypatch.setattr("syncstring.link.AT_ONCE", 10)

    async def scenario() -> None:
        store = MemoryStore()
        async with connect(store, "notes", author="ada", outbox=tmp_path / "outbox") as session:
            typed(session, *map(str, range(25)))
            insert, calls = store.insert, itertools.count(1)

            async def once(table: str, rows: Any) -> list[Verdict]:
                if next(calls) > 1:
                    raise StoreUnavailable("not now")
                return await insert(table, rows)

            store.insert = once  # type: ignore[method-assign]
            await session.until("offline")
            assert len(session.unsaved) == 15
            there = [json.loads(line)["id"][1] for line in (tmp_path / "outbox").read_bytes().splitlines()]
            assert {patch.time for patch in session.unsaved} <= set(there)
            store.insert = insert  # type: ignore[method-assign]

    run(scenario())


def test_a_disk_that_is_full_stops_no_text_and_loses_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connect(MemoryStore(), "notes", author="ada", outbox=tmp_path / "outbox") as session:
            kept = session._kept
            assert isinstance(kept, Outbox)
            add, full = kept.add, StoreError("outbox: No space left on device; nothing was sent")

            def refuse(rows: Any) -> None:
                raise full

            kept.add = refuse  # type: ignore[method-assign]
            session.document.insert(0, "typed")
            with pytest.raises(StoreError, match="No space"):
                session.document.commit()
            assert session.document.text == "typed"
            assert len(session.unsaved.local) == 1
            kept.add = add  # type: ignore[method-assign]
            await session.flush()
            assert session.unsaved == []

    run(scenario())


def test_a_later_formats_row_makes_a_session_read_only_from_the_start(place: Place) -> None:
    async def scenario(place: Place) -> None:
        store = await place.store()
        doc = await find_document(store, place.name, fresh_key)
        row = Patch((5, "later"), [], [(0, 0, "x")], "l", 0).to_row(doc)
        await store.insert("patches", [{**row, "v": 2}])
        session = await place.connect()
        with pytest.raises(syncstring.UnsupportedVersion):
            session.document.insert(0, "y")
        assert await Archive(store, doc, fresh_key).rows()

    place.run(scenario)


def test_what_history_reads_is_what_was_written_by_all(place: Place) -> None:
    async def scenario(place: Place) -> None:
        sessions = [await place.connect(name) for name in ("ada", "bob", "eve")]
        chance = random.Random(7)
        for number in range(60):
            session = chance.choice(sessions)
            size = len(session.document)
            at = chance.randint(0, size)
            session.document.splice(at, min(chance.choice((0, 0, 1, 3)), size - at), f"{number} ")
            session.document.commit()
            if chance.random() < 0.3:
                await session.sync()
        for session in (*sessions, *sessions):
            await session.sync()
        patches = list(sessions[0].document.history)
        assert len({session.document.text for session in sessions}) == 1
        assert History(patches).text() == sessions[1].document.text

    place.run(scenario)
