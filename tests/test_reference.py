"""The slow twin against the published cases, and its two halves against each other."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncstring.testing.reference import Ops, Reference, Splice, Tree, apply, compose, consumed, read


@dataclass(frozen=True)
class Patch:
    """The least that the twin takes for a patch."""

    id: tuple[int, str]
    parents: tuple[tuple[int, str], ...]
    ops: Ops


def from_case(case: dict[str, Any]) -> list[Patch]:
    ids = [(txn["time"], txn["agent"]) for txn in case["txns"]]
    return [
        Patch(id, tuple(sorted(ids[i] for i in txn["parents"])), compose(map(tuple, txn["patches"])))
        for id, txn in zip(ids, case["txns"], strict=True)
    ]


# --- the published cases


def test_the_walker_gives_the_published_text_after_each_patch_in_time_order(case):
    patches = from_case(case)
    reference = Reference(reversed(patches))
    assert reference.order == [patches[i].id for i in case["order"]]
    assert reference.prefixes() == case["prefixes"]
    assert reference.text() == case["final"]


def test_the_walker_gives_the_published_text_at_each_patch(case):
    patches = from_case(case)
    reference = Reference(patches)
    assert [reference.text_at([patch.id]) for patch in patches] == case["at"]


def test_the_tree_gives_the_published_text_after_each_patch_in_time_order(case):
    reference = Reference(from_case(case))
    tree = Tree(reference.graph)
    texts = [tree.text()]
    for id in reference.order:
        tree.plant(id)
        texts.append(tree.text())
    assert texts == case["prefixes"]


def test_the_tree_gives_the_published_text_at_each_patch(case):
    patches = from_case(case)
    reference = Reference(patches)
    assert [reference.tree_text_at([patch.id]) for patch in patches] == case["at"]


def test_what_was_typed_at_one_place_stays_whole(case):
    text = Reference(from_case(case)).text()
    for run in case.get("runs", []) + case.get("runs_back", []):
        assert run in text


def test_the_splices_lead_from_each_prefix_to_the_next(case):
    reference = Reference(from_case(case))
    text = ""
    for splices, expected in zip(reference.splices(), reference.prefixes()[1:], strict=True):
        text = apply(text, splices)
        assert text == expected


# --- deltas


def done(text: str, ops: Ops) -> str:
    """What `read` says about a delta, carried out: all insertions first, then the deletions."""
    insertions, deletions = read(ops)
    letters = list(text)
    for at in reversed(deletions):
        letters[at] = ""
    for at, insert in reversed(insertions):
        letters[at:at] = insert
    return "".join(letters)


@st.composite
def texts_and_splices(draw: st.DrawFn) -> tuple[str, list[Splice]]:
    text = draw(st.text("ab", max_size=8))
    length, splices = len(text), []
    for insert in draw(st.lists(st.text("xyz", max_size=3), max_size=5)):
        pos = draw(st.integers(0, length))
        delete = draw(st.integers(0, length - pos))
        splices.append((pos, delete, insert))
        length += len(insert) - delete
    return text, splices


@given(texts_and_splices())
def test_a_composed_delta_does_what_the_splices_do_one_after_the_other(case):
    text, splices = case
    assert done(text, compose(splices)) == apply(text, splices)


@given(texts_and_splices())
def test_a_composed_delta_is_canonical(case):
    ops = compose(case[1])
    sorts = [str if isinstance(op, str) else op > 0 for op in ops]
    assert all(ops)
    assert all(one != next for one, next in pairwise(sorts))
    assert sorts[-1:] != [True]
    assert consumed(ops) <= len(case[0])


def test_an_insertion_stands_before_what_the_same_patch_deletes_there():
    assert compose([(1, 2, "x")]) == (1, "x", -2)
    assert compose([(1, 2, ""), (1, 0, "x")]) == (1, "x", -2)


def test_what_a_patch_inserts_and_deletes_itself_leaves_no_trace():
    assert compose([(0, 0, "abc"), (1, 1, "")]) == ("ac",)
    assert compose([(0, 0, "abc"), (0, 3, "")]) == ()


# --- histories


@pytest.fixture
def story() -> list[Patch]:
    """ada writes `ab`; she deletes `b` while Zoe deletes all and writes `c`; both meet in Zoe's last."""
    first, hers, his, last = (1, "ada"), (2, "ada"), (2, "zoe"), (3, "zoe")
    return [
        Patch(first, (), ("ab",)),
        Patch(hers, (first,), (1, -1)),
        Patch(his, (first,), ("c", -2)),
        Patch(last, (hers, his), (1, "d")),
    ]


def test_blame_names_the_patch_that_inserted_each_run(story):
    assert Reference(story).blame([story[-1].id]) == [("c", story[2].id), ("d", story[3].id)]


def test_taking_back_a_deletion_leaves_deleted_what_somebody_else_deleted_too(story):
    reference = Reference(story)
    assert reference.inverse(story[2].id, reference.heads) == "da"
    assert reference.restored(story[2].id, reference.heads) == [(story[0].id, 0)]


def test_taking_back_an_insertion_leaves_what_others_typed_beside_it(story):
    reference = Reference(story)
    assert reference.inverse(story[0].id, reference.heads) == "cd"


def test_patches_without_their_ancestors_are_parked(story):
    reference = Reference([story[0], story[3], story[2]])
    assert list(reference.graph.parked) == [story[3].id]
    assert reference.order == [story[0].id, story[2].id]
    assert reference.text() == "c"


def test_a_misfit_counts_as_an_empty_patch(story):
    longer = Patch((2, "max"), (story[0].id,), (2, -1))
    reference = Reference([*story, longer])
    assert reference.misfits == {longer.id}
    assert reference.text() == Reference(story).text()
    assert reference.tree_text_at([longer.id]) == "ab"
