"""The walker, its list, the weave and the script against the slow twin, character by character."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pytest
from events import Events, patches_of
from hypothesis import given
from hypothesis import strategies as st

from syncstring._graph import EventGraph
from syncstring._patch import compose
from syncstring._plan import plan
from syncstring._text import SpliceLog, TextBuffer
from syncstring._walker import Walker
from syncstring._weave import Script, Weave, put_own
from syncstring.patch import Id, Patch
from syncstring.testing import reference
from syncstring.testing.reference import Reference, Tree, apply, joined
from syncstring.testing.strategies import histories, orders

Splices = list[tuple[int, int, str]]


def walked(
    graph: EventGraph, events: Iterable[int], base: int = 0, size: int = 0
) -> tuple[Walker, list[Splices]]:
    """A walker that has walked these events, and what each of them emitted."""
    walker, log, emitted = Walker(graph, base, size), SpliceLog(graph.pool), []
    for event in events:
        start = len(log)
        walker.walk(event, log)
        emitted.append(log.splices(start, len(log)))
    log.check()
    return walker, emitted


def woven(graph: EventGraph) -> Weave:
    walker = Walker(graph, 0, 0)
    walker.walk_all(plan(graph, 0, len(graph)))
    return Weave(walker)


def scripted(graph: EventGraph) -> Script:
    """The script of the whole history, as `merge.py` makes it."""
    script = Script(graph)
    for first, last, linear in graph.stretches(0, len(graph)):
        if linear:
            script.extend_linear(first, last)
        else:
            walker = Walker(graph, first, script.size_at(first))
            walker.walk_all(plan(graph, first, last))
            script.extend_woven(Weave(walker))
    return script


def text_of(emitted: Iterable[Splices], text: str = "") -> str:
    for splices in emitted:
        text = apply(text, splices)
    return text


# --- the published cases


def test_the_published_text_comes_out_whatever_the_order_of_the_walk(case) -> None:
    events = Events(patches_of(case))
    chance = random.Random(case["id"])
    for _ in range(25):
        walker, emitted = walked(events.graph, any_order(events.graph, chance))
        walker.check()
        assert text_of(emitted) == case["final"]
        assert walker.size == len(case["final"])


def any_order(graph: EventGraph, chance: random.Random) -> list[int]:
    waiting, result = list(range(len(graph))), []
    while waiting:
        ready = [event for event in waiting if set(graph.parents_of(event)).issubset(result)]
        result.append(chance.choice(ready))
        waiting.remove(result[-1])
    return result


def test_the_published_prefixes_come_out_of_a_walk_in_time_order(case) -> None:
    events = Events(patches_of(case))
    _, emitted = walked(events.graph, case["order"])
    text = ""
    for splices, expected in zip(emitted, case["prefixes"][1:], strict=True):
        text = apply(text, splices)
        assert text == expected


def test_the_published_prefixes_come_out_of_the_script(case) -> None:
    script = scripted(Events(patches_of(case)).graph)
    text = ""
    for n, expected in enumerate(case["prefixes"]):
        text = apply(text, script.splices(n)) if n else ""
        assert text == expected
        assert script.size_at(n) == len(expected)


def test_the_published_text_at_each_patch_is_a_filter_over_the_weave(case) -> None:
    graph = Events(patches_of(case)).graph
    weave = woven(graph)
    for event, expected in enumerate(case["at"]):
        runs = weave.runs(graph.members([event], 0))
        assert "".join(graph.pool.read(start, length) for _, start, length in runs) == expected


# --- any history


@given(histories(), st.data())
def test_any_order_of_the_walk_gives_the_text_of_walker_and_tree(
    patches: list[Patch], data: st.DataObject
) -> None:
    twin = Reference(patches)
    events = Events(patches)
    order = [events.number[patch.id] for patch in data.draw(orders(patches))]
    walker, emitted = walked(events.graph, order)
    assert text_of(emitted) == twin.text() == twin.tree_text_at(twin.heads)
    assert walker.size == len(twin.text())
    assert walker.walked == len(patches)
    walker.check()
    assert events.graph.misfits == sorted(events.graph.misfits, key=order.index)
    assert set(events.named(events.graph.misfits)) == twin.misfits


@given(histories())
def test_what_is_emitted_in_time_order_is_what_the_twin_emits(patches: list[Patch]) -> None:
    twin = Reference(patches)
    events = Events(patches)
    tree = Tree(twin.graph)
    _, emitted = walked(events.graph, [events.number[id] for id in twin.order])
    for n, (splices, expected) in enumerate(zip(emitted, twin.splices(), strict=True)):
        assert compose(splices) == reference.compose(expected)
        tree.plant(twin.order[n])
        assert apply(twin.prefix(n), splices) == twin.prefix(n + 1) == tree.text()


@given(histories())
def test_the_walk_is_sound_after_every_event(patches: list[Patch]) -> None:
    graph = Events(patches).graph
    walker = Walker(graph, 0, 0)
    for event in range(len(graph)):
        walker.walk(event)
        walker.check()
        walker.list.check()


@given(histories())
def test_a_walk_tells_how_long_the_text_is_at_every_event(patches: list[Patch]) -> None:
    twin = Reference(patches)
    events = Events(patches)
    walked(events.graph, plan(events.graph, 0, len(patches)))
    for patch in patches:
        event = events.number[patch.id]
        assert events.graph.size_of(event) == len(twin.text_at([patch.id]))
        assert events.graph.size_before(event) == len(twin.text_at(patch.parents))


@given(histories(), st.data())
def test_a_walk_from_any_critical_version_needs_nothing_but_its_length(
    patches: list[Patch], data: st.DataObject
) -> None:
    twin = Reference(patches)
    events = Events(patches)
    graph = events.graph
    base = graph.critical_floor(data.draw(st.integers(0, len(patches))))
    before = twin.text_at(events.named(graph.prefix_heads(base)))
    order = [
        events.number[patch.id] for patch in data.draw(orders(patches)) if events.number[patch.id] >= base
    ]
    walker, emitted = walked(graph, order, base, len(before))
    assert text_of(emitted, before) == twin.text()
    walker.check()


@given(histories(), st.data())
def test_what_is_walked_silently_changes_nothing_that_is_emitted_after_it(
    patches: list[Patch], data: st.DataObject
) -> None:
    events = Events(patches)
    order = [events.number[patch.id] for patch in data.draw(orders(patches))]
    silent = data.draw(st.integers(0, len(order)))
    _, emitted = walked(events.graph, order)
    walker, log = Walker(events.graph, 0, 0), SpliceLog(events.graph.pool)
    walker.walk_all(order[:silent])
    walker.walk_all(order[silent:], log)
    assert log.splices(0, len(log)) == [splice for splices in emitted[silent:] for splice in splices]


def spelled(patches: Iterable[Patch]) -> list[Patch]:
    """The same history typed letter by letter: of each patch a chain, whose last stands for it."""
    last: dict[Id, Id] = {}
    result = []
    for patch in patches:
        parents = [last[parent] for parent in patch.parents]
        letters = [
            (pos + i, 0 if i else delete, letter)
            for pos, delete, insert in patch.splices
            for i, letter in enumerate(insert or [""])
        ]
        for i, splice in enumerate(letters or [(0, 0, "")]):
            id = Id(100 * patch.time + i, patch.session)
            result.append(Patch(id, parents, [splice], patch.author, patch.wall))
            parents = [id]
        last[patch.id] = parents[0]
    return result


@given(histories(12, skewed=False).map(spelled), st.data())
def test_what_is_typed_letter_by_letter_is_walked_as_the_twin_does(
    patches: list[Patch], data: st.DataObject
) -> None:
    twin = Reference(patches)
    events = Events(patches)
    graph = events.graph
    ways = {
        "as it came": list(range(len(graph))),
        "as planned": plan(graph, 0, len(graph)),
        "in any order": [events.number[patch.id] for patch in data.draw(orders(patches))],
    }
    way = ways[data.draw(st.sampled_from(sorted(ways)))]
    walker, emitted = walked(Events(patches).graph, way)
    assert text_of(emitted) == twin.text()
    walker.check()
    assert as_chars(events, Weave(walker).rows()) == chars(twin)
    at_once, log = Walker(graph, 0, 0), SpliceLog(graph.pool)
    at_once.walk_all(way, log)
    assert log.splices(0, len(log)) == [splice for splices in emitted for splice in splices]
    at_once.check()
    assert as_chars(events, Weave(at_once).rows()) == chars(twin)
    assert (at_once.spans, at_once.steps) <= (walker.spans, walker.steps)
    assert [graph.size_of(event) for event in way] == [walker.graph.size_of(event) for event in way]
    assert graph.misfits == walker.graph.misfits


@given(histories(), st.data())
def test_a_plan_has_every_event_once_and_parents_first(patches: list[Patch], data: st.DataObject) -> None:
    graph = Events(patches).graph
    first = data.draw(st.integers(0, len(patches)))
    last = data.draw(st.integers(first, len(patches)))
    order = plan(graph, first, last)
    assert sorted(order) == list(range(first, last))
    place = {event: i for i, event in enumerate(order)}
    assert all(
        place[parent] < place[event]
        for event in order
        for parent in graph.parents_of(event)
        if parent >= first
    )


# --- the weave


def chars(twin: Reference) -> list[tuple[str, Id, set[Id]]]:
    """Every character ever inserted, in the final order, with who inserted and who deleted it."""
    walker = reference.Walker(twin.graph)
    for id in twin.order:
        walker.walk(id)
    return [(item.char, Id(*item.by), item.deleters) for item in walker.items]


def as_chars(
    events: Events, rows: Iterable[tuple[int, int, int, tuple[int, ...]]]
) -> list[tuple[str, Id, set[Id]]]:
    return [
        (char, events.ids[event], set(events.named(killers)))
        for event, start, length, killers in rows
        for char in events.graph.pool.read(start, length)
    ]


@given(histories(), st.data())
def test_the_weave_has_every_character_in_its_one_order(patches: list[Patch], data: st.DataObject) -> None:
    events = Events(patches)
    walker, _ = walked(events.graph, [events.number[patch.id] for patch in data.draw(orders(patches))])
    weave = Weave(walker)
    assert as_chars(events, weave.rows()) == chars(Reference(patches))
    assert (weave.first, weave.last, weave.base_size) == (0, len(patches), 0)
    assert len(weave) == weave.pieces == len(weave.rows())
    assert all(len(set(killers)) == len(killers) for *_, killers in weave.rows())


@given(histories(), st.data())
def test_every_version_is_a_filter_over_the_weave(patches: list[Patch], data: st.DataObject) -> None:
    twin = Reference(patches)
    events = Events(patches)
    weave = woven(events.graph)
    heads = some(patches, data)
    version = twin.graph.history_of(heads)
    runs = weave.runs(events.graph.members(events.numbers(heads), 0))
    shown = [(char, by) for char, by, killers in chars(twin) if by in version and not killers & version]
    assert [
        (char, events.ids[event])
        for event, start, length in runs
        for char in events.graph.pool.read(start, length)
    ] == shown
    assert "".join(char for char, _ in shown) == twin.text_at(heads)


@given(histories(), st.data())
def test_between_two_versions_nothing_is_touched_that_both_show(
    patches: list[Patch], data: st.DataObject
) -> None:
    twin = Reference(patches)
    events = Events(patches)
    weave = woven(events.graph)
    a, b = some(patches, data), some(patches, data)
    log = SpliceLog(events.graph.pool)
    weave.between(*(events.graph.members(events.numbers(heads), 0) for heads in (a, b)), log)
    splices = log.splices(0, len(log))
    assert apply(twin.text_at(a), splices) == twin.text_at(b)
    before, after = twin.graph.history_of(a), twin.graph.history_of(b)
    ops: list[int | str] = []
    for char, by, killers in chars(twin):
        there = by in before and not killers & before
        stays = by in after and not killers & after
        if there or stays:
            ops.append((1 if stays else -1) if there else char)
    assert touched(compose(splices)) == touched(joined(ops))


def touched(ops: Sequence[int | str]) -> tuple[list[int], list[tuple[int, str]]]:
    """Which characters a delta deletes, and what it inserts after how many that it keeps.

    Where an insertion meets deletions their order is not looked at: it leaves no trace in the text.
    """
    deleted: list[int] = []
    inserted: dict[int, str] = {}
    at = kept = 0
    for op in ops:
        if isinstance(op, str):
            inserted[kept] = inserted.get(kept, "") + op
        elif op > 0:
            at, kept = at + op, kept + op
        else:
            deleted += range(at, at - op)
            at -= op
    return deleted, sorted(inserted.items())


def some(patches: list[Patch], data: st.DataObject) -> list[Id]:
    return (
        data.draw(st.lists(st.sampled_from([patch.id for patch in patches]), max_size=3)) if patches else []
    )


@given(histories())
def test_a_bubble_has_a_weave_of_its_own_over_its_base_text(patches: list[Patch]) -> None:
    twin = Reference(patches)
    events = Events(patches)
    graph = events.graph
    for first, last, linear in graph.stretches(0, len(graph)):
        base = twin.text_at(events.named(graph.prefix_heads(first)))
        walker, _ = walked(graph, plan(graph, first, last), first, len(base))
        weave = Weave(walker)
        assert (weave.first, weave.last, weave.base_size) == (first, last, len(base))
        for event in range(first, last):
            runs = weave.runs(graph.members([event], first))
            text = "".join(
                base[start : start + length] if by < 0 else graph.pool.read(start, length)
                for by, start, length in runs
            )
            assert text == twin.text_at([events.ids[event]])
        assert linear or last - first > 1


# --- the script


@given(histories())
def test_the_script_has_every_prefix_in_time_order(patches: list[Patch]) -> None:
    twin = Reference(patches)
    script = scripted(Events(patches).graph)
    assert len(script) == script.length == len(patches)
    assert (script.size_at(0), script.ends(0)) == (0, 0)
    for n, expected in enumerate(twin.splices(), 1):
        splices = script.splices(n)
        assert touched(compose(splices)) == touched(reference.compose(expected))
        assert apply(twin.prefix(n - 1), splices) == twin.prefix(n)
        assert script.size_at(n) == len(twin.prefix(n))
        assert script.ends(n) - script.ends(n - 1) == len(splices)
        assert script.counts(n) == (
            sum(len(insert) for *_, insert in splices),
            sum(delete for _, delete, _ in splices),
        )
    script.log.check()


@given(histories(), st.data())
def test_replaying_the_script_leads_from_any_prefix_to_any_later_one(
    patches: list[Patch], data: st.DataObject
) -> None:
    twin = Reference(patches)
    script = scripted(Events(patches).graph)
    a = data.draw(st.integers(0, len(patches)))
    b = data.draw(st.integers(a, len(patches)))
    buffer = TextBuffer(twin.prefix(a))
    script.replay(buffer, a, b)
    assert str(buffer) == twin.prefix(b)


@given(histories(), st.data())
def test_a_script_cut_short_at_a_critical_version_goes_on_from_there(
    patches: list[Patch], data: st.DataObject
) -> None:
    graph = Events(patches).graph
    script = scripted(graph)
    whole = [script.splices(n) for n in range(1, len(patches) + 1)]
    cut = graph.critical_floor(data.draw(st.integers(0, len(patches))))
    script.truncate(cut)
    assert (len(script), len(script.log)) == (cut, script.ends(cut))
    for first, last, linear in graph.stretches(cut, len(graph)):
        if linear:
            script.extend_linear(first, last)
        else:
            walker, _ = walked(graph, plan(graph, first, last), first, script.size_at(first))
            script.extend_woven(Weave(walker))
    assert [script.splices(n) for n in range(1, len(patches) + 1)] == whole


@given(histories())
def test_a_patch_on_its_own_parents_does_what_its_delta_says(patches: list[Patch]) -> None:
    twin = Reference(patches)
    events = Events(patches)
    walked(events.graph, range(len(patches)))
    for patch in patches:
        log = SpliceLog(events.graph.pool)
        put_own(events.graph, events.number[patch.id], log)
        splices = log.splices(0, len(log))
        fits = patch.id not in twin.misfits
        assert touched(compose(splices)) == touched(patch.ops if fits else ())
        assert apply(twin.text_at(patch.parents), splices) == twin.text_at([patch.id])


# --- longer ones, that Hypothesis would not get to


def branches(chance: random.Random, count: int, length: int, meet: float = 0.0) -> list[Patch]:
    """Branches from one version that grow in turns; now and then one takes in another's newest."""
    start = Patch((1, "start"), [], [(0, 0, "the base, which all of them know")], "x", 0)
    made, sizes = [start], {start.id: 32}
    walker = reference.Walker(reference.Graph([start]))
    walker.walk(start.id)
    tips = [(start.id,)] * count
    for time in range(2, 2 + count * length):
        who = chance.randrange(count)
        parents = tips[who]
        if chance.random() < meet:
            version = walker.graph.history_of([*parents, *chance.choice(tips)])
            parents = walker.graph.heads_of(version)
        if len(parents) > 1:
            walker.move(walker.graph.history_of(parents))
            size = len(walker.shown())
        else:
            size = sizes[parents[0]]
        pos = chance.choice([chance.randint(0, size), min(size, 5), size])
        delete = chance.choice([0, 0, 0, 1, 3]) if pos + 3 <= size else 0
        insert = chance.choice(["x", "yz", "", "é", "😀w"])
        patch = Patch((time, f"s{-who % count}"), parents, [(pos, delete, insert)], "x", 0)
        walker.graph.patches[patch.id] = patch
        walker.walk(patch.id)
        sizes[patch.id] = size - delete + len(insert)
        tips[who] = (patch.id,)
        made.append(patch)
    return made


@pytest.mark.parametrize(
    ("count", "length", "meet"), [(2, 150, 0), (3, 90, 0.05), (8, 30, 0.2), (70, 4, 0.02)]
)
def test_branches_that_grow_in_turns_merge_as_the_twin_says(count: int, length: int, meet: float) -> None:
    patches = branches(random.Random(count), count, length, meet)
    twin = Reference(patches)
    events = Events(patches)
    for order in (
        range(len(patches)),
        plan(events.graph, 0, len(patches)),
        any_order(events.graph, random.Random(length)),
    ):
        walker, emitted = walked(events.graph, order)
        assert text_of(emitted) == twin.text()
        walker.check()
        assert as_chars(events, Weave(walker).rows()) == chars(twin)
    script = scripted(events.graph)
    for n in range(1, len(patches) + 1):
        assert apply(twin.prefix(n - 1), script.splices(n)) == twin.prefix(n)


def test_a_version_for_each_of_many_branches_is_kept_and_stays_right() -> None:
    # Branches so long that going from one to the other costs more than keeping both.
    patches = branches(random.Random(5), 5, 400)
    graph = Events(patches).graph
    walker, emitted = walked(graph, range(len(patches)))
    assert walker.columns > 3
    walker.check()
    planned, straight = walked(graph, plan(graph, 0, len(patches)))
    assert text_of(emitted) == text_of(straight)
    assert Weave(walker).rows() == Weave(planned).rows()


@pytest.mark.parametrize("seed", range(3))
def test_a_list_of_thousands_of_spans_stays_sound(seed: int) -> None:
    chance = random.Random(seed)
    graph = EventGraph()
    graph.append(1, "a", (), ("0123456789" * 30,), "x", 0)
    for event in range(1, 1500):
        # Everybody types on the first version, at places that are often the same.
        pos = chance.choice([0, 7, 7, 150, 300, chance.randint(0, 290)])
        ops: list[int | str] = [pos] if pos else []
        ops.append("ab" * chance.randint(1, 2))
        if chance.random() < 0.2 and pos < 290:
            ops.append(-chance.randint(1, 8))
        graph.append(2 + event // 3, f"s{event % 7}-{event}", (0,), tuple(ops), "x", 0)
    walker, emitted = walked(graph, range(len(graph)))
    assert walker.spans > 1500
    walker.check()
    other, again = walked(graph, [0, *chance.sample(range(1, len(graph)), len(graph) - 1)])
    other.check()
    assert text_of(emitted) == text_of(again)
    assert Weave(walker).rows() == Weave(other).rows()


# --- what is refused


def forked() -> EventGraph:
    graph = EventGraph()
    graph.append(1, "a", (), ("abc",), "x", 0)
    graph.append(2, "a", (0,), ("d",), "x", 0)
    graph.append(2, "b", (0,), ("e",), "x", 0)
    return graph


@pytest.mark.parametrize("wrong", [-1, 3, 1 << 40])
def test_only_events_of_the_graph_are_walked(wrong: int) -> None:
    with pytest.raises(IndexError):
        Walker(forked(), 0, 0).walk(wrong)
    with pytest.raises(IndexError):
        Walker(forked(), 0, 0).walk_all([0, wrong])


def test_an_event_is_walked_once_and_after_its_parents() -> None:
    walker = Walker(forked(), 0, 0)
    with pytest.raises(ValueError, match="before its parent 0"):
        walker.walk(1)
    walker.walk(0)
    with pytest.raises(ValueError, match="walked already"):
        walker.walk(0)
    walker.walk(2)
    walker.check()
    assert walker.walked == 2


def test_an_event_within_the_base_is_not_walked() -> None:
    with pytest.raises(IndexError):
        Walker(forked(), 1, 3).walk(0)


@pytest.mark.parametrize("wrong", [2, 4])
def test_a_walk_starts_from_a_critical_version(wrong: int) -> None:
    with pytest.raises(ValueError, match="not critical"):
        Walker(forked(), wrong, 0)


def test_a_weave_is_of_everything_up_to_some_event() -> None:
    walker = Walker(forked(), 0, 0)
    walker.walk_all([0, 2])
    with pytest.raises(ValueError, match="event 1 is not walked"):
        Weave(walker)


def test_a_script_goes_on_where_it_ends() -> None:
    script = Script(forked())
    with pytest.raises(ValueError, match="after 0 versions"):
        script.extend_linear(1, 2)
    script.extend_linear(0, 1)
    with pytest.raises(ValueError, match="after 1 versions"):
        script.extend_woven(woven(forked()))


@pytest.mark.parametrize(("first", "last"), [(-1, 2), (2, 1), (0, 4)])
def test_a_plan_is_of_events_that_are_there(first: int, last: int) -> None:
    with pytest.raises(IndexError):
        plan(forked(), first, last)


def test_versions_that_a_script_does_not_have_are_refused() -> None:
    script = scripted(forked())
    for ask in (script.size_at, script.ends, script.splices, script.counts, script.truncate):
        with pytest.raises(IndexError):
            ask(4)
        with pytest.raises(IndexError):
            ask(-1)
    for ask in (script.splices, script.counts):
        with pytest.raises(IndexError):
            ask(0)
    with pytest.raises(IndexError):
        script.replay(TextBuffer(), 0, 4)
