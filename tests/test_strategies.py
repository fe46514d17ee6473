"""The strategies draw what they say, and get to what they are for: the cases in which merges go wrong."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from syncstring._patch import apply, consumed, ops_apply
from syncstring.patch import Id, Patch
from syncstring.testing.reference import Graph, Reference, joined
from syncstring.testing.strategies import deltas, histories, orders, splices, texts


@given(st.integers(0, 20), st.data())
def test_texts_are_as_short_as_asked_and_can_be_encoded(size: int, data: st.DataObject) -> None:
    text = data.draw(texts(size))
    assert len(text) <= size
    assert text.encode().decode() == text


@given(texts(), st.data())
def test_splices_fit_the_text(text: str, data: st.DataObject) -> None:
    drawn = data.draw(splices(len(text), 3))
    assert len(drawn) <= 3
    apply(text, drawn)


@given(texts(), st.data())
def test_deltas_are_canonical_and_fit_the_text_or_not_as_asked(text: str, data: st.DataObject) -> None:
    fitting, other = data.draw(deltas(len(text))), data.draw(deltas(len(text), fits=False))
    ops_apply(text, fitting)
    assert consumed(other) > len(text)
    for ops in (fitting, other):
        assert joined(ops) == ops
        assert all(ops)


@given(histories(max_patches=9), histories(misfits=False))
def test_histories_are_well_formed_and_parents_come_first(short: list[Patch], fitting: list[Patch]) -> None:
    assert len(short) <= 9
    assert not Reference(fitting).misfits
    for patches in (short, fitting):
        known: set[Id] = set()
        for patch in patches:
            assert Patch.from_row(patch.to_row("0" * 40)) == patch
            assert known.issuperset(patch.parents)
            assert patch.id not in known
            known.add(patch.id)


@given(histories(), st.data())
def test_orders_are_the_same_patches_with_parents_first(patches: list[Patch], data: st.DataObject) -> None:
    other = data.draw(orders(patches))
    assert sorted(patch.id for patch in other) == sorted(patch.id for patch in patches)
    known: set[Id] = set()
    for patch in other:
        assert known.issuperset(patch.parents)
        known.add(patch.id)


def forks(patches: list[Patch]) -> bool:
    return len(Reference(patches).heads) > 1


def merges(patches: list[Patch]) -> bool:
    return any(len(Graph(patches).heads_of(patch.parents)) > 1 for patch in patches)


def names_a_parent_that_is_an_ancestor_of_another(patches: list[Patch]) -> bool:
    graph = Graph(patches)
    return any(len(graph.heads_of(graph.history_of(patch.parents))) < len(patch.parents) for patch in patches)


def has_a_misfit_with_children(patches: list[Patch]) -> bool:
    misfits = Reference(patches).misfits
    return any(misfits.intersection(patch.parents) for patch in patches)


def has_a_session_concurrent_to_itself(patches: list[Patch]) -> bool:
    graph = Graph(patches)
    return any(
        a.session == b.session and a.id < b.id and a.id not in graph.history_of([b.id])
        for a in patches
        for b in patches
    )


def has_sessions_that_sort_against_time(patches: list[Patch]) -> bool:
    return any(a.id < b.id and a.session > b.session for a in patches for b in patches)


def arrives_out_of_time_order(patches: list[Patch]) -> bool:
    return [patch.id for patch in patches] != sorted(patch.id for patch in patches)


def has_one_time_twice(patches: list[Patch]) -> bool:
    return len({patch.time for patch in patches}) < len(patches)


def deletes_one_character_twice(patches: list[Patch]) -> bool:
    reference = Reference(patches)
    return any(len(item.deleters) > 1 for item in reference.walked(reference.heads).items)


def inserts_unseen_at_one_place(patches: list[Patch]) -> bool:
    items = Reference(patches).walked(Reference(patches).heads).items
    return any(a.by != b.by and (a.left, a.right) == (b.left, b.right) for a in items for b in items)


def needs_all_four_bytes(patches: list[Patch]) -> bool:
    return max(Reference(patches).text(), default="") > "\uffff"


def test_what_histories_are_for_happens_again_and_again() -> None:
    met = dict.fromkeys(CASES, 0)

    @settings(max_examples=250, database=None, derandomize=True, phases=[Phase.generate])
    @given(histories())
    def count(patches: list[Patch]) -> None:
        for happens in CASES:
            met[happens] += happens(patches)

    count()
    assert min(met.values()) > 2, {happens.__name__: times for happens, times in met.items()}


CASES: list[Callable[[list[Patch]], bool]] = [
    forks,
    merges,
    names_a_parent_that_is_an_ancestor_of_another,
    has_a_misfit_with_children,
    has_a_session_concurrent_to_itself,
    has_sessions_that_sort_against_time,
    arrives_out_of_time_order,
    has_one_time_twice,
    deletes_one_character_twice,
    inserts_unseen_at_one_place,
    needs_all_four_bytes,
]


def test_a_history_shrinks_to_the_patches_that_matter() -> None:
    quick = settings(database=None, derandomize=True, phases=[Phase.generate, Phase.shrink])
    least = find(histories(), merges, settings=quick)
    assert [(patch.id, patch.parents, patch.ops) for patch in least] == [
        ((1, "b"), (), ("a",)),
        ((2, "b"), (), ("a",)),
        ((3, "b"), ((1, "b"), (2, "b")), (1, "a")),
    ]
