"""Packs are read into a graph as the slow twin reads them, whatever their bytes; all of one, or nothing."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from bending import Bender
from decoder_targets import TARGETS
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_pack import MAX_COLUMN, MAX_PATCHES, Unreadable, slow_graph, slow_patches

from syncstring import pack
from syncstring._columns import read_columns
from syncstring._graph import EventGraph
from syncstring._text import SpliceLog, TextBuffer
from syncstring._weave import Script, put_own, replay_linear
from syncstring.errors import CorruptStore
from syncstring.history import History
from syncstring.patch import Id, Patch
from syncstring.testing.strategies import histories, orders


def raw(patches: Sequence[Patch]) -> tuple[bytes, bytes]:
    graph, body = pack.encode(patches)
    return pack._unpacked(graph), pack._unpacked(body)


def read(graph: bytes, body: bytes | None) -> list[Patch]:
    """What the kernel finds in both sections, or the ids and parents alone."""
    events = EventGraph()
    return [Patch.of_event(events, event) for event in pack._events(events, graph, body, stubs=True)]


def opinion(work: Callable[[], Any], wrong: tuple[type[Exception], ...]) -> Any:
    try:
        return work()
    except wrong:
        return "refused"


def alone(graph: EventGraph) -> tuple[Any, ...]:
    """All that a graph says of its events."""
    return (
        graph.heads,
        [
            (graph.id_of(e), graph.parents_of(e), graph.ops_of(e), graph.author_of(e), graph.wall_of(e))
            for e in range(len(graph))
        ],
        [graph.message_of(event) for event in range(len(graph))],
        [graph.prefix_heads(n) for n in range(len(graph) + 1) if graph.critical_floor(n) == n],
        graph.stretches(0, len(graph)),
        graph.order_until(len(graph)).tolist(),
    )


def one_by_one(patches: Sequence[Patch]) -> EventGraph:
    history = History()
    for patch in patches:
        history.append(patch)
    return history.graph


def cut(patches: Sequence[Patch], at: Sequence[int]) -> list[list[Patch]]:
    bounds = sorted({0, len(patches), *(place % (len(patches) + 1) for place in at)})
    return [list(patches[a:b]) for a, b in pairwise(bounds)]


def chain(count: int, session: str = "a", start: int = 1) -> list[Patch]:
    made: list[Patch] = []
    for i in range(count):
        parents = [made[-1].id] if made else []
        made.append(Patch((start + i, session), parents, [(i, 0, "x")], "ada", start + i))
    return made


# --- what was packed ------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.data(), histories())
def test_the_kernel_and_its_slow_twin_read_what_was_packed(data: st.DataObject, patches: list[Patch]) -> None:
    order = data.draw(orders(patches))
    some = order[data.draw(st.integers(0, len(order))) :]
    graph, body = raw(some)
    assert read(graph, body) == slow_patches(graph, body) == some
    assert (
        [(p.id, p.parents) for p in read(graph, None)]
        == slow_graph(graph)
        == [(p.id, p.parents) for p in some]
    )


@settings(max_examples=40)
@given(st.data(), histories())
def test_a_graph_that_was_read_is_the_one_that_was_appended_to(
    data: st.DataObject, patches: list[Patch]
) -> None:
    order = data.draw(orders(patches))
    graph = EventGraph()
    for some in cut(order, data.draw(st.lists(st.integers(0, 50), max_size=4))):
        assert [*pack.append(graph, *pack.encode(some))] == [*range(len(graph) - len(some), len(graph))]
    assert alone(graph) == alone(one_by_one(order))
    graph.check()


@settings(max_examples=40)
@given(st.data(), histories())
def test_a_graph_that_was_read_goes_on_as_any_other(data: st.DataObject, patches: list[Patch]) -> None:
    order = data.draw(orders(patches))
    packed = data.draw(st.integers(0, len(order)))
    history = History.of_packs([pack.encode(order[:packed])], order[packed:])
    history.graph.check()
    whole = History(patches)
    assert history.text() == whole.text()
    assert history.heads == whole.heads
    assert [*map(str, history.problems)] == [*map(str, whole.problems)]
    assert history.splices() == whole.splices()
    for event in range(len(history.graph)):
        assert history.graph.size_of(event) == whole.graph.size_of(whole.event(history._id(event)))


# --- bytes that nobody vouches for ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_the_kernel_and_its_slow_twin_are_of_one_opinion_of_any_bytes(seed: int) -> None:
    bender = Bender(TARGETS["packs"], random.Random(seed))
    taken = 0
    for _ in range(400):
        data = bender.input()
        size = 2 + int.from_bytes(data[:2], "big")
        graph, body = data[2:size], data[size:]
        found = opinion(lambda graph=graph, body=body: read(graph, body), (ValueError,))
        assert found == opinion(lambda graph=graph, body=body: slow_patches(graph, body), (Unreadable,)), data
        if found != "refused":
            taken += 1
            bender.took(data)
    assert taken


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_pack_leaves_the_graph_as_it_was(seed: int) -> None:
    chance = random.Random(seed)
    bender = Bender(TARGETS["packs"], chance)
    start = bender.seeds[1]
    size = 2 + int.from_bytes(start[:2], "big")
    refused = 0
    for _ in range(60):
        graph = EventGraph()
        pack._events(graph, start[2:size], start[size:])
        before = alone(graph)
        data = bender.input()
        end = 2 + int.from_bytes(data[:2], "big")
        try:
            pack._events(graph, data[2:end], data[end:])
        except (ValueError, LookupError):
            refused += 1
            assert alone(graph) == before
            graph.check()
            again = graph.append(graph.greatest_time() + 1, "new", graph.heads, ("x",), "", 0)
            assert graph.message_of(again) is None and graph.ops_of(again) == ("x",)
            graph.check()
    assert refused > 20


def test_a_patch_whose_parent_is_in_no_pack_is_a_look_up_that_failed() -> None:
    made = chain(5)
    graph = EventGraph()
    pack.append(graph, *pack.encode(made[:2]))
    before = alone(graph)
    with pytest.raises(LookupError, match=r"\(3, 'a'\) isn't here"):
        pack.append(graph, *pack.encode(made[3:]))
    assert alone(graph) == before


def test_a_patch_that_is_here_already_is_a_look_up_that_failed() -> None:
    made = chain(5)
    graph = EventGraph()
    pack.append(graph, *pack.encode(made[:3]))
    before = alone(graph)
    with pytest.raises(LookupError, match=r"\(3, 'a'\) is here already"):
        pack.append(graph, *pack.encode(made[2:]))
    assert alone(graph) == before
    graph.check()


def test_packs_that_overlap_or_of_which_one_is_missing_make_the_history_of_their_patches() -> None:
    made = chain(6)
    overlapping = History.of_packs([pack.encode(made[:4]), pack.encode(made[2:])])
    assert overlapping.text() == "xxxxxx" and not overlapping.problems
    torn = History.of_packs([pack.encode(made[:2]), pack.encode(made[3:])], [made[5]])
    assert torn.text() == "xx" and list(torn.parked) == made[3:]


def test_ids_of_a_session_may_come_in_any_order() -> None:
    times = list(range(1, 200))
    random.Random(1).shuffle(times)
    made = [Patch((time, "a"), [], [(0, 0, "x")], "ada", 0) for time in times]
    graph = EventGraph()
    pack.append(graph, *pack.encode(made[:120]))
    pack.append(graph, *pack.encode(made[120:]))
    graph.check()
    assert alone(graph) == alone(one_by_one(made))


def test_what_one_row_does_not_hold_is_no_patch_of_a_pack() -> None:
    long = Patch.trusted(Id(2, "a"), (Id(1, "a"),), ("é" * 600_000,), "ada", 2)
    with pytest.raises(CorruptStore, match="its row has 1,200,"):
        pack.decode(*pack.encode([long]))
    graph = EventGraph()
    pack.append(graph, *pack.encode(chain(1)))
    with pytest.raises(CorruptStore):
        pack.append(graph, *pack.encode([long]))
    assert len(graph) == 1
    graph.check()


def test_a_misfit_in_a_pack_is_found_when_it_is_merged() -> None:
    made = [
        *chain(2),
        Patch((5, "a"), [(2, "a")], [(7, 1, "")], "ada", 5),
        Patch((6, "a"), [(5, "a")], [(0, 1, "")], "", 0),
    ]
    history = History.of_packs([pack.encode(made)])
    assert history.text() == "x" and history.graph.misfits == [2]


def test_limits_are_those_that_are_written() -> None:
    assert (MAX_PATCHES, MAX_COLUMN) == (pack.MAX_PATCHES, pack._MAX_COLUMN)


@pytest.mark.parametrize("count", [1_024, 1_025])
def test_a_patch_of_a_pack_has_as_many_parents_as_any_other(count: int) -> None:
    heads = [Patch((1, f"s{i:04}"), [], [], "ada", 1) for i in range(count)]
    merge = Patch.trusted(Id(2, "m"), tuple(patch.id for patch in heads), (), "ada", 2)
    graph, body = raw([*heads, merge])
    found = opinion(lambda: read(graph, body), (ValueError,))
    assert found == opinion(lambda: slow_patches(graph, body), (Unreadable,))
    assert (found == "refused") == (count > 1_024)


def test_a_long_history_goes_on_after_it_was_read() -> None:
    """So many events lie in one block, which is left behind when it is full."""
    made = chain(70_000)
    graph = EventGraph()
    for some in (made[:66_000], made[66_000:66_100], made[66_100:]):
        pack.append(graph, *pack.encode(some))
    for event in range(len(made), len(made) + 20_000):
        graph.append(
            event + 1, "b", (event - 1,), (event, "y"), "bob", event, "said" if event % 999 == 0 else None
        )
    assert [Patch.of_event(graph, event) for event in range(len(made))] == made
    for event in range(len(made), len(graph)):
        assert (graph.id_of(event), graph.parents_of(event)) == ((event + 1, "b"), (event - 1,))
        assert (graph.ops_of(event), graph.wall_of(event)) == ((event, "y"), event)
    graph.check_events()
    history = History.of_graph(graph)
    assert history.text() == 70_000 * "x" + 20_000 * "y"


# --- cost -------------------------------------------------------------------------------------------------


def blocks_of(sections: tuple[bytes, bytes]) -> int:
    """Blocks that a graph holds after it has read a pack."""
    graph = EventGraph()
    before = sys.getallocatedblocks()
    read_columns(graph, *sections)
    return sys.getallocatedblocks() - before


def test_reading_makes_no_object_for_a_patch() -> None:
    few, many = raw(chain(100)), raw(chain(10_000))
    # The least of nine tries: other threads allocate, too; an object for a patch would be there each time.
    assert min(abs(blocks_of(many) - blocks_of(few)) for _ in range(9)) < 20


# --- a linear stretch at once -------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from(["", "a", "é", "😀b"]))))
def test_a_linear_stretch_at_once_is_its_events_one_by_one(edits: list[tuple[int, int, str]]) -> None:
    made: list[Patch] = []
    for i, splice in enumerate(edits):
        made.append(Patch((i + 1, "a"), [made[-1].id] if made else [], [splice], "ada", 0))
    slow, fast, direct = one_by_one(made), one_by_one(made), one_by_one(made)
    log, size = SpliceLog(slow.pool), 0
    for event in range(len(slow)):
        slow.judge(event, size)
        put_own(slow, event, log)
        size = slow.size_of(event)
    script = Script(fast)
    script.extend_linear(0, len(fast))
    assert script.size_at(len(fast)) == size
    assert script.log.splices(0, len(script.log)) == log.splices(0, len(log))
    assert fast.misfits == slow.misfits
    buffer, shown = TextBuffer(), TextBuffer()
    log.replay(buffer, 0, len(log))
    replay_linear(direct, 0, len(direct), shown)
    shown.check()
    assert str(shown) == str(buffer)
    assert direct.misfits == slow.misfits


def test_a_linear_stretch_is_not_replayed_on_another_text() -> None:
    graph = one_by_one(chain(5))
    replay_linear(graph, 0, 5, TextBuffer())
    with pytest.raises(IndexError, match="for another text"):
        replay_linear(graph, 3, 5, TextBuffer())
    with pytest.raises(IndexError):
        replay_linear(graph, 0, 6, TextBuffer())
