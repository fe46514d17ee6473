"""What is folded, against the same that isn't: every answer alike, whatever was folded and when.

The twin is a graph, or a history, of the same patches in which nothing was ever folded.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from events import Events
from hypothesis import given
from hypothesis import strategies as st

from syncstring import Document, History
from syncstring._graph import EventGraph
from syncstring._text import TextBuffer
from syncstring._weave import Script, replay_linear
from syncstring.patch import Id, Patch
from syncstring.testing.strategies import histories

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
KEPT = st.integers(1, 1 << 40)
OPS = st.lists(
    st.one_of(KEPT, KEPT.map(lambda n: -n), st.text("aé乙😀", min_size=1, max_size=5)),
    max_size=6,
).map(tuple)

ASKED: tuple[Callable[[EventGraph, int], Any], ...] = (
    lambda graph, event: graph.id_of(event),
    lambda graph, event: graph.time_of(event),
    lambda graph, event: graph.wall_of(event),
    lambda graph, event: graph.author_of(event),
    lambda graph, event: graph.message_of(event),
    lambda graph, event: graph.parents_of(event),
    lambda graph, event: graph.ops_of(event),
    lambda graph, event: graph.text_range(event),
    lambda graph, event: graph.totals(event),
    lambda graph, event: graph.size_of(event),
    lambda graph, event: graph.size_before(event),
    lambda graph, event: graph.is_misfit(event),
    lambda graph, event: graph.hash_of(event),
    lambda graph, event: graph.find(*graph.id_of(event)),
    lambda graph, event: graph.place_of(event),
    lambda graph, event: graph.event_at(event),
)


def judged(patches: list[Patch]) -> EventGraph:
    """A graph with the verdicts that merging gives."""
    graph, history = Events(patches).graph, History(patches)
    history.text()
    for event, patch in enumerate(patches):
        graph.judge(event, history.graph.size_before(history.event(patch.id)))
    return graph


def chain(n: int, seed: int = 0) -> list[Patch]:
    """One session's typing, here and there, with what it typed taken back now and then."""
    chance = random.Random(seed)
    document = Document(session="one", author="ada", clock=count(1_000, 700).__next__)
    pos = 0
    for _ in range(n):
        if chance.random() < 0.2:
            pos = chance.randint(0, len(document.text))
        if pos and chance.random() < 0.3:
            pos -= 1
            document.splice(pos, 1, "")
        else:
            text = chance.choice(("a", "b", "乙", "many letters"))
            document.splice(pos, 0, text)
            pos += len(text)
        document.commit()
    return document.outgoing


def critical(graph: EventGraph) -> list[int]:
    return [prefix for prefix in range(len(graph)) if graph.critical_floor(prefix) == prefix]


@given(histories().filter(bool), st.data())
def test_every_event_answers_as_if_nothing_were_folded(patches: list[Patch], data: st.DataObject) -> None:
    twin, graph = judged(patches), judged(patches)
    for prefix in sorted(data.draw(st.lists(st.sampled_from(critical(graph)), max_size=3), "folded before")):
        assert not graph.fold_before(prefix) or graph.folded == prefix
    for event in data.draw(st.permutations(range(len(patches))), "asked"):
        for ask in ASKED:
            assert ask(graph, event) == ask(twin, event)
    graph.check()


@given(st.lists(st.tuples(INT64, INT64, INT64, OPS, st.integers(1, 3)), min_size=2, max_size=12), st.data())
def test_any_numbers_are_unfolded_as_they_were(
    events: list[tuple[int, int, int, Any, int]], data: st.DataObject
) -> None:
    """Whatever 64 bits hold: nobody vouches for what stands in rows."""
    twin, graph = EventGraph(), EventGraph()
    for each in (twin, graph):
        for number, (time, wall, before, ops, parents) in enumerate(events):
            # No two events of a session, for times that are nobody's to order.
            known = tuple(range(max(0, number - parents), number))
            each.append(time, f"session {number}", known, ops, f"author {number % 2}", wall)
            each.judge(number, before >> 2)
    stop = data.draw(st.sampled_from(critical(graph)), "folded before")
    assert graph.fold_before(stop) == (stop > 0)
    for number in range(len(events)):
        for ask in ASKED[:9]:
            assert ask(graph, number) == ask(twin, number)
        assert graph.size_of(number) == twin.size_of(number)
        assert graph.is_misfit(number) == twin.is_misfit(number)


@given(histories().filter(bool), st.data())
def test_what_comes_after_folding_comes_as_if_nothing_were(patches: list[Patch], data: st.DataObject) -> None:
    """Also what was made before all that is folded, and came late."""
    graph, twin = Events(), Events()
    for patch in patches:
        graph.append(patch)
        twin.append(patch)
        for event in range(len(twin.graph)):
            if twin.graph.size_of(event) < 0:
                for each in (graph.graph, twin.graph):
                    each.judge(event, 1_000)
        if data.draw(st.booleans(), "fold"):
            graph.graph.fold_before(data.draw(st.sampled_from(critical(graph.graph)), "before"))
        assert graph.graph.heads == twin.graph.heads
    n, top = len(patches), graph.graph
    assert [top.critical_floor(i) for i in range(n)] == [twin.graph.critical_floor(i) for i in range(n)]
    assert top.difference(top.heads, ()) == twin.graph.difference(top.heads, ())
    assert [top.heads_at(i) for i in range(n + 1)] == [twin.graph.heads_at(i) for i in range(n + 1)]
    assert all(ask(top, event) == ask(twin.graph, event) for event in range(n) for ask in ASKED)
    top.check()


@pytest.mark.parametrize("seed", range(4))
def test_a_linear_past_is_replayed_page_by_page_and_stays_folded(seed: int) -> None:
    patches = chain(2_600, seed)
    graph, twin = judged(patches), judged(patches)
    assert graph.fold_before(2_500)
    for first, last in ((0, 2_600), (0, 1_024), (1_023, 1_025), (1_500, 2_550), (2_500, 2_600)):
        texts = []
        for each in (graph, twin):
            buffer = TextBuffer()
            replay_linear(each, 0, first, buffer)
            replay_linear(each, first, last, buffer)
            texts.append(str(buffer))
        assert texts[0] == texts[1]
    scripts = [Script(graph), Script(twin)]
    for script in scripts:
        script.extend_linear(0, 1_700)
        script.extend_linear(1_700, 2_600)
    for n in range(1, 2_601):
        assert scripts[0].splices(n) == scripts[1].splices(n)
    assert graph.folded == 2_500


def test_an_id_is_found_and_missed_in_what_is_folded() -> None:
    patches = chain(2_600)
    graph = judged(patches)
    graph.fold_before(2_599)
    number = {patch.id.time: event for event, patch in enumerate(patches)}
    for event in (0, 1, 1_023, 1_024, 2_598, 2_599):
        for time in range(patches[event].id.time - 2, patches[event].id.time + 3):
            assert graph.find(time, "one") == number.get(time, -1)
            assert graph.find(time, "two") == -1
    assert graph.folded == 2_599


def test_what_is_folded_anew_in_other_pages_is_found_there() -> None:
    patches = chain(2_600)
    graph = judged(patches)
    graph.fold_before(2_048)
    assert graph.id_of(1_500) == patches[1_500].id  # the page is kept
    graph.lane("one")
    assert graph.folded == 0
    graph.fold_before(2_000)
    graph.fold_before(2_500)
    for event in (2_100, 1_500, 2_010, 2_599, 3):
        assert graph.find(*patches[event].id) == event
    assert graph.folded == 2_500


def test_who_looks_here_and_there_all_the_time_has_it_unfolded() -> None:
    patches = chain(5_000)
    graph = judged(patches)
    graph.fold_before(4_999)
    chance = random.Random(3)
    pages = 0
    while graph.folded:
        assert graph.id_of(event := chance.randrange(4_999)) == patches[event].id
        pages += 1
        assert pages < 100
    assert [graph.id_of(event) for event in range(5_000)] == [patch.id for patch in patches]


@pytest.mark.parametrize("off", [0, 1])
def test_who_asks_for_ids_here_and_there_all_the_time_has_it_unfolded(off: int) -> None:
    patches = chain(5_000)
    graph = judged(patches)
    graph.fold_before(4_999)
    number = {patch.id.time: event for event, patch in enumerate(patches)}
    chance = random.Random(3)
    asked = 0
    while graph.folded:
        time = chance.choice(patches[:4_999]).id.time + off
        assert graph.find(time, "one") == number.get(time, -1)
        asked += 1
        assert asked < 100
    for event in (0, 1, 1_023, 1_024, 4_998, 4_999):
        assert graph.find(*patches[event].id) == event


def test_what_has_no_verdict_is_not_folded() -> None:
    graph = Events(chain(20)).graph
    assert not graph.fold_before(10)
    assert graph.folded == 0


def test_sessions_whose_patches_came_out_of_order_are_not_folded() -> None:
    late, early = Patch((5, "one"), (), (), "ada", 0), Patch((3, "one"), (), (), "ada", 0)
    both = Patch((6, "two"), (early.id, late.id), (), "ada", 0)
    last = Patch((7, "two"), (both.id,), (), "ada", 0)
    graph = judged([late, early, both, last])
    assert not graph.fold_before(3)
    assert graph.find(3, "one") == 1


@pytest.mark.parametrize("prefix", [-1, 20, 21])
def test_only_what_comes_before_other_events_is_folded(prefix: int) -> None:
    with pytest.raises(IndexError, match=f"no critical prefix of {prefix}"):
        judged(chain(20)).fold_before(prefix)


def test_only_what_everybody_had_seen_is_folded() -> None:
    first, left, right = (Patch((n, f"s{n}"), ((1, "s1"),) * (n > 1), (), "ada", 0) for n in (1, 2, 3))
    graph = judged([first, left, right])
    with pytest.raises(IndexError, match="no critical prefix of 2"):
        graph.fold_before(2)
    assert graph.fold_before(1)


# --- in a document -----------------------------------------------------------------------------------------


def typed(document: Document, n: int, keep: list[Id], offset: int = 0) -> None:
    for i in range(n):
        document.splice(min(offset + i % 50, len(document.text)), 0, "abc "[i % 4])
        patch = document.commit()
        assert patch is not None
        keep.append(patch.id)


def test_a_document_that_is_typed_on_folds_its_past_and_answers_all_the_same() -> None:
    clock = count(1_000_000, 1_000).__next__
    document, ids = Document(session="one", author="ada", clock=clock), list[Id]()
    typed(document, 9_000, ids)
    graph = document.history.graph
    assert graph.folded > 5_000
    twin = Document(session="two", author="ada", clock=clock, patches=document.outgoing)
    twin.history.graph.check_events()
    assert [patch.id for patch in document.outgoing] == ids
    assert document.text == twin.text == document.at(9_000)
    assert [document.at(n) for n in range(0, 9_000, 777)] == [twin.at(n) for n in range(0, 9_000, 777)]
    assert document.history.text_at([ids[4_321]]) == twin.history.text_at([ids[4_321]])
    assert document.history.patch(ids[17]) == twin.history.patch(ids[17])
    assert graph.folded > 5_000
    assert document.blame() == twin.blame()
    assert list(document.history) == list(twin.history)


def test_a_patch_from_long_ago_comes_late_and_lands_where_it_would_have() -> None:
    clock = count(1_000_000, 1_000).__next__
    document, ids = Document(session="one", author="ada", clock=clock), list[Id]()
    typed(document, 6_000, ids)
    late = Patch((ids[100].time + 1, "late"), (ids[100],), [(3, 0, "LATE")], "bob", 0)
    orphan = Patch((7, "orphan"), (), [(0, 0, "FIRST")], "bob", 0)
    assert document.history.graph.folded > 2_500
    twin = Document(session="two", author="ada", clock=clock, patches=[*document.outgoing, late, orphan])
    shown = document.text
    for pos, delete, insert in document.receive([late, orphan]):
        shown = shown[:pos] + insert + shown[pos + delete :]
    assert shown == document.text == twin.text
    assert document.history.graph.folded == 0
    document.history.graph.check_events()
    typed(document, 20, ids)
    assert document.history.graph.folded == 0


def test_undo_takes_back_what_is_folded_keystroke_by_keystroke() -> None:
    document, ids = Document(session="one", author="ada", clock=count(1_000_000, 1_000).__next__), list[Id]()
    typed(document, 5_000, ids)
    assert document.history.graph.folded > 2_500
    for n in range(4_999, 4_960, -1):
        document.undo()
        assert document.text == document.at(n)
    for _ in range(3):
        document.redo()
    assert document.text == document.at(4_964)


def test_what_two_type_in_turn_is_folded_too() -> None:
    clock = count(1_000_000, 1_000).__next__
    documents = [Document(session=name, author=name, clock=clock) for name in ("one", "two")]
    for i in range(6_000):
        here, there = documents[i % 2], documents[1 - i % 2]
        here.splice(i % 30 % (len(here.text) + 1), 0, "x")
        there.splice(0, 0, "y")
        patches = [document.commit() for document in (here, there)] if i % 5 == 0 else [here.commit()]
        if len(patches) == 1:
            there.commit()
        documents[0].receive(documents[1].outgoing)
        documents[1].receive(documents[0].outgoing)
        for document in documents:
            document.outgoing = []
    one, two = documents
    assert one.text == two.text
    assert one.history.graph.folded > 8_000
    assert History(list(one.history)).text() == one.text


@pytest.mark.parametrize("part", ["ops", "parents"])
def test_what_is_folded_while_somebody_looks_at_a_patch_is_read_all_the_same(part: str) -> None:
    """As another thread may do it: a collection within the look lets it come in."""
    first = Patch((1, "s"), (), [(0, 0, "text" * 30)], "ada", 0)
    heads = [Patch((2, f"s{n}"), (first.id,), (), "ada", 0) for n in range(9)]
    both = Patch((3, "s"), [p.id for p in heads], [(3 * n, 1, "b") for n in range(30)], "ada", 0)
    last = Patch((4, "s"), (both.id,), (), "ada", 0)
    patches = [first, *heads, both, last]
    graph = judged(patches)
    view = Patch.of_event(graph, len(patches) - 2)
    came = []

    def fold(phase: str, info: object) -> None:
        if phase == "start" and not came:
            came.append(graph.fold_before(len(patches) - 1))

    before = gc.get_threshold()
    gc.callbacks.append(fold)
    gc.set_threshold(1)
    try:
        found = getattr(view, part)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(fold)
    assert came == [True]
    assert found == getattr(both, part)
