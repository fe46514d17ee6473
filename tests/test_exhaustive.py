"""Every history of up to three patches, and a share of those of four, against the slow twin: `exhaustive.py`.

The share is another one each time; its seed is printed with a failure.
"""

from __future__ import annotations

from itertools import product

import pytest
import seeds
from exhaustive import SESSIONS, Tally, ancestors, dealt, edits, graphs, made, run, versions

from syncstring.testing import reference
from syncstring.testing.reference import Graph, consumed


def test_every_history_of_up_to_three_patches_is_what_the_twin_says() -> None:
    tally = run(Tally(3, seed=seeds.fresh()))
    assert not tally.failures, f"seed {tally.seed}: {tally.failures[0]}"
    assert tally.judged == tally.histories == 4 + 67 + 4_073


@pytest.mark.slow
def test_a_share_of_the_histories_of_four_patches_is_what_the_twin_says() -> None:
    tally = run(Tally(4, (0, 211), seeds.fresh()))
    assert not tally.failures, f"seed {tally.seed}: {tally.failures[0]}"
    assert tally.by_length == {1: 4, 2: 67, 3: 4_073, 4: 766_727}
    assert tally.judged > 4 + 67 + 4_073 + 3_500


def test_all_shares_together_are_all_histories_once() -> None:
    whole = run(Tally(2))
    parts = [run(Tally(2, (k, 5), seed=3)) for k in range(5)]
    assert sum(part.judged - 4 for part in parts) == whole.judged - 4  # the shorter ones are in each


@pytest.mark.parametrize("length", range(5))
def test_the_graphs_are_all_ways_to_choose_parents_of_which_none_stands_for_another(length: int) -> None:
    found = set()
    for chosen in product(*(range(1 << i) for i in range(length))):
        graph = tuple(tuple(i for i in range(n) if mask >> i & 1) for n, mask in enumerate(chosen))
        known = ancestors(graph)
        if all(a not in known[b] for parents in graph for a in parents for b in parents):
            found.add(graph)
    assert sorted(graphs(length)) == sorted(found)


def test_sessions_that_are_dealt_out_alike_decide_every_tie_alike() -> None:
    for graph in graphs(4):
        known = ancestors(graph)
        members = [names for alike in dealt(graph) for names in alike]
        assert sorted(members) == list(product(SESSIONS, repeat=4))
        for alike in dealt(graph):
            ranked = [[reference.rank((i, name)) for i, name in enumerate(names)] for names in alike]
            for b, ancestors_of_b in enumerate(known):
                for a in set(range(b)) - ancestors_of_b:
                    assert len({ranks[a] < ranks[b] for ranks in ranked}) == 1


def test_the_edits_of_a_text_are_all_that_change_one_place_of_it_and_one_that_does_not_fit() -> None:
    for size in range(6):
        found = edits(size, 1)
        assert len(found) == len(set(found))
        assert [ops for ops in found if consumed(ops) > size] == [(-size - 1,)]
        results = {
            reference.apply("abcdef"[:size], made(((),), "s", [ops])[0].splices)
            for ops in found
            if consumed(ops) <= size
        }
        text = "abcdef"[:size]
        wanted = {
            text[:first] + insert + text[last:]
            for first in range(size + 1)
            for last in range(first, size + 1)
            for insert in (("", "x") if last > first else ("", "x", "xX"))
        }
        assert results == wanted


def test_the_versions_of_a_graph_are_those_that_some_heads_name() -> None:
    for graph in graphs(4):
        patches = made(graph, "abca", [()] * 4)
        whole = Graph(patches)
        named = set()
        for mask in range(1 << 4):
            version = whole.history_of(patches[i].id for i in range(4) if mask >> i & 1)
            named.add(sum(1 << time - 1 for time, _ in version))
        assert sorted(versions(graph)) == sorted(named)


@pytest.mark.parametrize(
    "fault",
    [
        lambda id: (tuple(-ord(letter) for letter in id[1]), id[0]),
        lambda id: (id[1], -id[0]),
        lambda id: id,
    ],
    ids=["the other session first", "a forked session's later patch first", "time before session"],
)
def test_another_rule_for_ties_is_found_among_the_histories_of_two_and_three_patches(
    fault: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "rank", fault)
    tally = run(Tally(3))
    assert tally.failures and "text" in tally.failures[0] and "patches = [" in tally.failures[0]
