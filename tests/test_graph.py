"""The event graph against sets: heads, criticals and time order as they are defined, found by trying all."""

from __future__ import annotations

import itertools
import random

import pytest
from events import Events, patches_of
from hypothesis import example, given
from hypothesis import strategies as st

from syncstring._graph import EventGraph
from syncstring._names import name_hash
from syncstring.patch import Id, Patch
from syncstring.testing.strategies import histories, orders


class Sets:
    """The twin: every event's ancestors as a set, nothing else kept."""

    def __init__(self, patches: list[Patch]) -> None:
        number = {patch.id: event for event, patch in enumerate(patches)}
        self.ids = [patch.id for patch in patches]
        self.parents = [sorted(number[parent] for parent in patch.parents) for patch in patches]
        self.before: list[set[int]] = []
        for parents in self.parents:
            self.before.append(set(parents).union(*(self.before[parent] for parent in parents)))
        self.order = sorted(range(len(patches)), key=lambda event: patches[event].id)

    def version(self, heads: tuple[int, ...] | list[int]) -> set[int]:
        return set(heads).union(*(self.before[head] for head in heads))

    def heads(self, version: set[int] | range) -> tuple[int, ...]:
        inner = set().union(*(self.before[event] for event in version))
        return tuple(sorted(set(version) - inner))

    def is_critical(self, prefix: int) -> bool:
        return all(before.issuperset(range(prefix)) for before in self.before[prefix:])

    def criticals(self) -> list[int]:
        return [prefix for prefix in range(len(self.ids) + 1) if self.is_critical(prefix)]


def chain(n: int, session: str = "a") -> list[Patch]:
    ids = [Id(time, session) for time in range(1, n + 1)]
    return [Patch(id, ids[:i][-1:], [(0, 0, "x")], "ada", 0) for i, id in enumerate(ids)]


def fork(patch: Patch, session: str, *parents: Patch) -> Patch:
    """One more patch on some, later than `patch`."""
    return Patch((patch.time + 1, session), [each.id for each in parents], [(0, 0, "y")], "bob", 0)


@given(histories())
def test_heads_and_criticals_are_right_after_each_append(patches: list[Patch]) -> None:
    events = Events()
    for n, patch in enumerate(patches, 1):
        assert events.append(patch) == n - 1
        graph, sets = events.graph, Sets(patches[:n])
        graph.check()
        assert len(graph) == graph.length == n
        assert graph.heads == sets.heads(range(n))
        assert graph.greatest_time() == max(time for time, _ in sets.ids)
        criticals = sets.criticals()
        for prefix in range(n + 1):
            assert graph.critical_floor(prefix) == max(each for each in criticals if each <= prefix)
            assert graph.critical_ceiling(prefix) == min(each for each in criticals if each >= prefix)
        for prefix in criticals:
            assert graph.prefix_heads(prefix) == sets.heads(range(prefix))


@given(histories())
def test_stretches_are_linear_exactly_where_criticals_follow_each_other(patches: list[Patch]) -> None:
    graph, criticals = Events(patches).graph, Sets(patches).criticals()
    for start, stop in itertools.combinations_with_replacement(criticals, 2):
        inside = [each for each in criticals if start <= each <= stop]
        steps: list[tuple[int, int]] = []
        for first, last, linear in graph.stretches(start, stop):
            steps += itertools.pairwise(range(first, last + 1)) if linear else [(first, last)]
        assert steps == list(itertools.pairwise(inside))
        kinds = [linear for *_, linear in graph.stretches(start, stop)]
        assert all(a != b or not a for a, b in itertools.pairwise(kinds))  # linear ones are joined
        for first, last, linear in graph.stretches(start, stop):
            assert linear or last - first > 1


@given(histories(), st.data())
def test_a_version_is_its_heads_and_all_their_ancestors(patches: list[Patch], data: st.DataObject) -> None:
    graph, sets = Events(patches).graph, Sets(patches)
    heads = some(patches, data)
    version = sets.version(heads)
    for floor in (prefix for prefix in sets.criticals() if version.issuperset(range(prefix))):
        mask = graph.members(heads, floor)
        assert {floor + i for i, there in enumerate(mask) if there} == version - set(range(floor))
        assert set(mask) <= {0, 1}
        assert len(mask) == max(0, max(heads, default=-1) + 1 - floor)
    assert graph.dominators(heads) == sets.heads(version)
    graph.check()


@given(histories(), st.data())
def test_the_difference_of_two_versions_is_what_only_one_has(
    patches: list[Patch], data: st.DataObject
) -> None:
    graph, sets = Events(patches).graph, Sets(patches)
    a, b = some(patches, data), some(patches, data)
    only_a, only_b = graph.difference(a, b)
    assert only_a == sorted(sets.version(a) - sets.version(b), reverse=True)
    assert only_b == sorted(sets.version(b) - sets.version(a), reverse=True)
    graph.check()


def some(patches: list[Patch], data: st.DataObject) -> list[int]:
    """Some events, perhaps one an ancestor of another, perhaps one twice."""
    return data.draw(st.lists(st.sampled_from(range(len(patches))), max_size=4)) if patches else []


@given(histories(), st.data())
def test_time_order_is_the_order_by_id_whenever_one_asks(patches: list[Patch], data: st.DataObject) -> None:
    arrived = data.draw(orders(patches))
    events = Events()
    for n, patch in enumerate(arrived, 1):
        events.append(patch)
        order = Sets(arrived[:n]).order
        for place in data.draw(st.lists(st.integers(0, n - 1), max_size=3)):
            # What is known of the order is what was asked for; a late event takes some of it back.
            assert events.graph.event_at(place) == order[place]
            assert events.graph.place_of(order[place]) == place
    graph, sets = events.graph, Sets(arrived)
    assert [graph.event_at(place) for place in range(len(patches))] == sets.order
    for prefix in range(len(patches) + 1):
        assert graph.heads_at(prefix) == sets.heads(set(sets.order[:prefix]))
    for time in {0, 1 << 60, *(time + step for time, _ in sets.ids for step in (-1, 0, 1))}:
        assert graph.count_until(time) == sum(each <= time for each, _ in sets.ids)


@given(histories())
def test_an_event_is_given_back_as_it_was_appended_and_found_by_its_id(patches: list[Patch]) -> None:
    events = Events(patches)
    graph = events.graph
    for event, patch in enumerate(patches):
        assert graph.id_of(event) == patch.id
        assert graph.ops_of(event) == patch.ops
        assert graph.parents_of(event) == events.numbers(patch.parents)
        assert (graph.time_of(event), graph.wall_of(event)) == (patch.time, patch.wall)
        assert (graph.author_of(event), graph.message_of(event)) == (patch.author, patch.message)
        assert graph.hash_of(event) == name_hash(patch.time, patch.session)
        assert graph.pool.read(*spread(graph.text_range(event))) == "".join(
            op for op in patch.ops if isinstance(op, str)
        )
        assert graph.find(*patch.id) == event
        assert graph.find(patch.time, patch.session + "x") == -1
        for time in (patch.time - 1, patch.time + 1):
            assert graph.find(time, patch.session) == events.number.get(Id(time, patch.session), -1)
    for session in {patch.session for patch in patches}:
        own = sorted(patch.id for patch in patches if patch.session == session)
        assert graph.lane(session) == [events.number[id] for id in own]
    assert graph.lane("nobody") == []
    graph.check_events()


def spread(found: tuple[int, int]) -> tuple[int, int]:
    return found[0], found[1] - found[0]


@given(histories(), st.data())
def test_what_follows_from_the_parents_does_not_depend_on_arrival(
    patches: list[Patch], data: st.DataObject
) -> None:
    one, other = Events(patches), Events(data.draw(orders(patches)))
    assert one.named(one.graph.heads) == other.named(other.graph.heads)
    criticals = [
        {
            (n, each.named(each.graph.prefix_heads(n)))
            for n in range(len(patches) + 1)
            if each.graph.critical_floor(n) == n
        }
        for each in (one, other)
    ]
    assert criticals[0] == criticals[1]


@given(st.integers(0, 80), st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=40))
@example(80, [(60, True), (59, False), (58, True), (0, False), (0, True)])
def test_late_events_on_a_long_chain_end_the_right_criticals(
    length: int, late: list[tuple[int, bool]]
) -> None:
    # Longer than what `histories` makes: the intervals of criticals are cut, and appended to again.
    patches = chain(length)
    events = Events(patches)
    for i, (back, merges) in enumerate(late):
        newest = patches[-1] if patches else Patch((1, "z"), [], [], "z", 0)
        if merges:
            parents = [patches[head] for head in events.graph.heads]
        else:
            parents = [patches[-1 - back % len(patches)]] if patches else []
        patches.append(fork(newest, f"s{i}", *parents))
        events.append(patches[-1])
        if back % 3 == 0:
            events.graph.event_at(len(patches) - 1)
    events.graph.check()


@pytest.mark.parametrize("count", [2, 9, 300])
def test_a_merge_of_many_heads_is_critical_only_if_it_names_all_of_them(count: int) -> None:
    base = chain(1)
    comb = [Patch((2, f"s{i:03}"), [base[0].id], [(0, 0, "x")], "ada", 0) for i in range(count)]
    graph = Events([*base, *comb, fork(comb[0], "m", *comb)]).graph
    graph.check()
    assert graph.heads == (count + 1,)
    assert graph.prefix_heads(count + 1) == tuple(range(1, count + 1))
    assert graph.critical_floor(count + 1) == count + 1

    graph = Events([*base, *comb, fork(comb[0], "m", *comb[1:])]).graph
    graph.check()
    assert graph.heads == (1, count + 1)
    assert graph.critical_floor(count + 1) == 1


def test_a_merge_of_many_that_names_ancestors_as_well_is_a_merge_of_their_heads() -> None:
    base = chain(20)
    comb = [fork(base[-1], f"s{i:03}", base[-1]) for i in range(20)]
    merge = fork(comb[0], "m", *base, *comb)
    graph = Events([*base, *comb, merge, fork(merge, "n", base[3], merge)]).graph
    graph.check()
    assert graph.heads == (41,)
    assert graph.critical_floor(41) == 41


def test_histories_of_some_hundred_events_agree_with_the_sets() -> None:
    for seed in range(4):
        chance = random.Random(seed)
        patches: list[Patch] = []
        for n in range(150):
            recent = range(max(0, n - 12), n)
            parents = [patches[i] for i in chance.sample(recent, min(n, chance.choice([1, 1, 1, 2, 4])))]
            if chance.random() < 0.1:
                parents = [patches[i] for i in Sets(patches).heads(range(n))]
            time = max((each.time for each in parents), default=0) + chance.randrange(1, 9)
            patches.append(Patch((time, f"s{n}"), {each.id for each in parents}, [], "x", 0))
        events = Events(patches)
        events.graph.check()


def test_the_published_cases_have_their_published_time_order(case) -> None:
    patches = patches_of(case)
    graph = Events(patches).graph
    assert [graph.event_at(place) for place in range(len(patches))] == case["order"]
    graph.check()


@pytest.mark.parametrize("wrong", [-1, 2, 1 << 40])
def test_what_is_no_event_is_refused(wrong: int) -> None:
    graph = Events(chain(2)).graph
    for ask in (
        graph.id_of, graph.time_of, graph.wall_of, graph.author_of, graph.message_of, graph.parents_of,
        graph.ops_of, graph.text_range, graph.totals, graph.size_of, graph.size_before, graph.is_misfit,
        graph.hash_of, graph.event_at, graph.place_of,
    ):  # fmt: skip
        with pytest.raises(IndexError):
            ask(wrong)
    with pytest.raises(IndexError):
        graph.members([wrong], 0)
    with pytest.raises(IndexError):
        graph.difference([wrong], [])
    with pytest.raises(IndexError):
        graph.dominators([0, wrong])


def test_what_is_no_prefix_is_refused() -> None:
    graph = Events(chain(2)).graph
    for ask in (graph.heads_at, graph.critical_ceiling, lambda stop: graph.stretches(0, stop)):
        with pytest.raises(IndexError):
            ask(3)
    for ask in (graph.heads_at, graph.critical_floor, lambda start: graph.stretches(start, 2)):
        with pytest.raises(IndexError):
            ask(-1)


def test_a_verdict_comes_with_the_lengths_of_the_text_before_and_after() -> None:
    graph = EventGraph()
    event = graph.append(1, "a", (), (3, "xy", -2), "ada", 0)
    assert graph.totals(event) == (2, 2, 5)
    assert (graph.size_of(event), graph.size_before(event)) == (-1, -1)
    assert graph.judge(event, 5)
    assert (graph.size_of(event), graph.size_before(event)) == (5, 5)
    assert not graph.is_misfit(event)


def test_a_misfit_leaves_the_text_as_long_as_it_was() -> None:
    graph = EventGraph()
    event = graph.append(1, "a", (), (3, "xy", -2), "ada", 0)
    assert not graph.judge(event, 4)
    assert not graph.judge(event, 4)
    assert graph.is_misfit(event)
    assert graph.misfits == [event]
    assert (graph.size_of(event), graph.size_before(event)) == (4, 4)


def test_counts_that_exceed_every_integer_in_sum_are_misfits_too() -> None:
    graph = EventGraph()
    most = (1 << 53) - 1
    ops = (most, "x", -most, "y") * 5_000
    event = graph.append(1, "a", (), ops, "ada", 0)
    assert graph.ops_of(event) == ops
    assert not graph.judge(event, 1 << 40)
    assert graph.size_of(event) == 1 << 40
