"""Histories take patches in any order, and say the same about the same set of them."""

from __future__ import annotations

import gc
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple
from weakref import ref

import pytest
from events import patches_of
from hypothesis import given, settings
from hypothesis import strategies as st

from syncstring._patch import apply, map_position
from syncstring._text import TextBuffer
from syncstring.document import Document
from syncstring.errors import (
    ConflictingPatch,
    MalformedRow,
    PatchError,
    SyncstringError,
    UnknownVersion,
    UnsupportedVersion,
)
from syncstring.history import History, weight
from syncstring.patch import Id, Patch, flaw_of_time
from syncstring.testing.reference import Reference
from syncstring.testing.strategies import histories, orders
from syncstring.traces import Trace, read_trace

DOC = "0" * 40
ORDERS = 25

Item = Patch | dict[str, Any]


def patch(
    time: int,
    session: str,
    parents: Iterable[Patch | tuple[int, str]] = (),
    *splices: tuple[int, int, str],
    message: str | None = None,
) -> Patch:
    ids = [parent.id if isinstance(parent, Patch) else parent for parent in parents]
    return Patch((time, session), ids, splices, author=session, wall=time, message=message)


class Said(NamedTuple):
    """All that a history answers about what it was given."""

    text: str
    heads: tuple[Id, ...]
    patches: list[Patch]
    prefixes: list[str]
    parked: tuple[Patch, ...]
    missing: tuple[Id, ...]
    problems: list[tuple[type[SyncstringError], str]]
    readonly: str | None


def said(history: History) -> Said:
    history.graph.check()
    return Said(
        history.text(),
        history.heads,
        list(history),
        [history.text(n) for n in range(len(history) + 1)],
        history.parked,
        history.missing,
        [(type(problem), str(problem)) for problem in history.problems],
        str(history.unsupported) if history.unsupported else None,
    )


def batches(items: Sequence[Item], chance: random.Random) -> list[list[Item]]:
    """The items shuffled, some twice, cut up: one by one, all at once, or anyhow."""
    items = [*items, *chance.choices(items, k=len(items) // 4)] if items else []
    chance.shuffle(items)
    most = chance.choice((1, 3, len(items) + 1))
    result = []
    while items:
        size = chance.randint(1, most)
        result.append(items[:size])
        items = items[size:]
    return result


# --- merging ------------------------------------------------------------------------------------------


def test_the_published_texts_come_out_in_any_order_of_arrival(case: dict[str, Any]) -> None:
    patches = patches_of(case)
    for seed in range(ORDERS):
        chance = random.Random(f"{case['id']} {seed}")
        items: list[Item] = [each if chance.random() < 0.5 else each.to_row(DOC) for each in patches]
        history = History()
        for batch in batches(items, chance):
            history.add(batch)
            if chance.random() < 0.2:
                history.text()  # what was asked before changes nothing
        assert history.text() == case["final"], seed
        for n in chance.sample(range(len(patches) + 1), len(patches) + 1):
            assert history.text(n) == case["prefixes"][n], seed
        for i, each in enumerate(patches):
            assert history.text_at([each.id]) == case["at"][i], seed
        text = ""
        for n, splices in enumerate(history.splices(), 1):
            text = apply(text, splices)
            assert text == case["prefixes"][n], seed
        assert not history.parked
        assert not history.problems


def test_what_was_typed_at_one_place_unseen_stays_in_one_piece(case: dict[str, Any]) -> None:
    text = History(patches_of(case)).text()
    for run in [*case.get("runs", ()), *case.get("runs_back", ())]:
        assert run in text


@given(histories(), st.data())
def test_histories_say_what_the_twin_says_whatever_the_order(
    patches: list[Patch], data: st.DataObject
) -> None:
    reference = Reference(patches)
    history = History()
    for each in data.draw(orders(patches)):
        assert history.add([each]) == [each]
    assert history.text() == reference.text()
    assert history.heads == reference.heads
    assert [each.id for each in history] == reference.order
    assert [history.text(n) for n in range(len(patches) + 1)] == reference.prefixes()
    text = ""
    for splices, expected in zip(history.splices(), reference.prefixes()[1:], strict=True):
        text = apply(text, splices)
        assert text == expected


@given(histories(), st.data())
def test_what_a_version_lacks_is_what_the_twin_says_it_lacks(
    patches: list[Patch], data: st.DataObject
) -> None:
    history, reference = History(patches), Reference(patches)
    heads = data.draw(st.lists(st.sampled_from(reference.order or [Id(1, "x")]), max_size=3 * bool(patches)))
    lacking = history.since(heads)
    assert {each.id for each in lacking} == set(reference.order) - reference.graph.history_of(heads)
    seen = set(reference.graph.history_of(heads))
    for each in lacking:
        assert seen.issuperset(each.parents)
        seen.add(each.id)


# --- real histories -----------------------------------------------------------------------------------

_read: dict[str, Trace] = {}


def trace_of(traces: Path, name: str) -> Trace:
    if name not in _read:
        _read[name] = read_trace(traces / f"{name}.json.gz")
    return _read[name]


ARRIVALS: dict[str, Callable[[list[Patch]], list[Patch]]] = {
    "file order": list,
    "reversed": lambda patches: patches[::-1],
    "shuffled": lambda patches: random.Random(1).sample(patches, len(patches)),
}
# In one go a history sorts what it is given; in batches children do come before their parents.
TRACES = [
    pytest.param("friendsforever", 100),
    pytest.param("sveltecomponent", 100, marks=pytest.mark.slow),
    pytest.param("json-crdt-patch", 100, marks=pytest.mark.slow),
    pytest.param("automerge-paper", 1_000, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("arrival", ARRIVALS)
@pytest.mark.parametrize(("name", "size"), TRACES)
def test_a_recorded_history_ends_in_its_text(traces: Path, name: str, size: int, arrival: str) -> None:
    trace = trace_of(traces, name)
    patches = ARRIVALS[arrival](list(trace.patches))
    history = History()
    for start in range(0, len(patches), size):
        history.add(patches[start : start + size])
    assert history.text() == trace.end_content
    assert len(history) == len(patches)
    assert not history.parked
    assert not history.problems


@pytest.mark.parametrize("name", [param.values[0] for param in TRACES if not param.marks])
def test_a_recorded_history_ends_in_its_text_in_one_go(traces: Path, name: str) -> None:
    trace = trace_of(traces, name)
    assert History(trace.patches).text() == trace.end_content


@pytest.mark.parametrize("arrival", ARRIVALS)
def test_a_recorded_history_arrives_live_in_an_editor_that_holds_a_plain_string(
    traces: Path, arrival: str
) -> None:
    trace = trace_of(traces, "friendsforever")
    document = Document(session="reader", author="reader", clock=lambda: 1)
    text = ""
    for each in ARRIVALS[arrival](list(trace.patches)):
        for pos, delete, insert in document.receive([each]):
            text = text[:pos] + insert + text[pos + delete :]
    assert text == document.text == trace.end_content
    assert not document.problems


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sveltecomponent", "json-crdt-patch", "automerge-paper"])
def test_one_authors_history_arrives_live(traces: Path, name: str) -> None:
    trace = trace_of(traces, name)
    document = Document(session="reader", author="reader", clock=lambda: 1)
    editor = TextBuffer()
    for each in trace.patches:
        for splice in document.receive([each]):
            editor.splice(*splice)
    assert str(editor) == document.text == trace.end_content


# --- verdicts -----------------------------------------------------------------------------------------


def rival(original: Patch, kind: int, letter: str) -> Patch:
    """Another content for a patch's id."""
    parents, ops = original.parents, original.ops
    if kind == 0:  # shorter, so that children may not fit any more
        ops = tuple(op for op in ops if isinstance(op, int))
        ops = () if len(ops) != len(original.ops) else (letter,)
    elif kind == 1:  # longer, so that misfits may come to fit
        ops = (letter * 9, *(ops if not ops or isinstance(ops[0], int) else (-1,)))
    elif kind == 2 and not flaw_of_time(original.time, parents[:-1]):  # knowing less
        parents = parents[:-1]
    elif kind == 3:  # waiting for ever
        parents = (*parents, Id(original.time - 1, "nobody")) if original.time > 1 else parents
    return Patch.of_ops(original.id, parents, ops, f"rival {letter}", original.wall)


class Trouble(NamedTuple):
    items: list[Item]
    winners: list[Patch]


@st.composite
def troubles(draw: st.DrawFn) -> Trouble:
    """What can be wrong with what arrives: patches that are missing, don't fit, bear one id with other
    contents; rows that are malformed or of a later format."""
    patches = draw(histories(max_patches=8))
    few = st.lists(st.integers(0, max(0, len(patches) - 1)), max_size=2 * bool(patches))
    lost = {patches[n].id for n in draw(few)}
    contents = [each for each in patches if each.id not in lost]
    for n, kind, letter in draw(
        st.lists(st.tuples(st.integers(0, 7), st.integers(0, 4), st.sampled_from("xyz")), max_size=3)
    ):
        if patches:
            contents.append(rival(patches[n % len(patches)], kind, letter))
    winners: dict[Id, Patch] = {}
    for each in contents:
        if each.id not in winners or each.digest() < winners[each.id].digest():
            winners[each.id] = each
    items: list[Item] = list(contents)
    for n in draw(few):
        row = patches[n].to_row(DOC)
        items.append(draw(st.sampled_from([{**row, "delta": "=0"}, {**row, "wall": -1}, {**row, "v": 2}])))
    return Trouble(items, list(winners.values()))


@given(troubles(), st.randoms(use_true_random=False), st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_verdicts_are_the_same_on_every_replica_and_in_every_order(
    trouble: Trouble, here: random.Random, there: random.Random
) -> None:
    replicas = [History(), History()]
    for history, chance in zip(replicas, (here, there), strict=True):
        for batch in batches(trouble.items, chance):
            rows = chance.random() < 0.5
            history.add([each.to_row(DOC) if rows and isinstance(each, Patch) else each for each in batch])
    first, second = map(said, replicas)
    assert first == second


@given(troubles(), st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_verdicts_are_those_that_the_twin_comes_to_from_the_smallest_digests(
    trouble: Trouble, chance: random.Random
) -> None:
    history = History()
    for batch in batches(trouble.items, chance):
        history.add(batch)
    reference = Reference(trouble.winners)
    found = said(history)
    assert found.text == reference.text()
    assert found.heads == reference.heads
    assert found.prefixes == reference.prefixes()
    assert found.patches == [reference.graph.patches[id] for id in reference.order]
    assert found.parked == tuple(reference.graph.parked.values())
    named = {parent for each in found.parked for parent in each.parents}
    assert found.missing == tuple(sorted(named - {each.id for each in trouble.winners}))

    contents: dict[Id, set[Patch]] = {}
    for item in trouble.items:
        if isinstance(item, Patch):
            contents.setdefault(item.id, set()).add(item)
    conflicts = sorted(id for id, rivals in contents.items() if len(rivals) > 1)
    kinds = [kind for kind, _ in found.problems]
    assert kinds.count(ConflictingPatch) == len(conflicts)
    for id, (_, text) in zip(conflicts, (p for p in found.problems if p[0] is ConflictingPatch), strict=True):
        assert text.startswith(f"patch {tuple(id)}: {len(contents[id]) - 1} other content")
    misfits = [text for kind, text in found.problems if kind is MalformedRow and "counts as empty" in text]
    assert [text.split(":")[0] for text in misfits] == [
        f"patch {tuple(id)}" for id in sorted(reference.misfits)
    ]
    order = [UnsupportedVersion, ConflictingPatch, MalformedRow]
    assert kinds == sorted(kinds, key=order.index)
    assert (found.readonly is not None) == (UnsupportedVersion in kinds)


@given(troubles(), st.randoms(use_true_random=False))
def test_a_document_that_is_told_in_any_order_ends_as_its_history(
    trouble: Trouble, chance: random.Random
) -> None:
    document = Document(session="reader", author="reader", clock=lambda: 1)
    text = ""
    for batch in batches(trouble.items, chance):
        text = apply(text, document.receive(batch))
        assert text == document.text
        document.check()
    assert text == Reference(trouble.winners).text()


@given(troubles(), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_who_types_on_while_it_arrives_keeps_up(trouble: Trouble, chance: random.Random) -> None:
    clock = iter(range(1, 1 << 40)).__next__
    # Later formats make a document read-only, which is tested elsewhere.
    items = [item for item in trouble.items if isinstance(item, Patch) or item["v"] == 1]
    document = Document(session="writer", author="writer", clock=clock)
    text = ""
    cursors = [(document.cursor(0), 0)]

    def show(splices: Sequence[tuple[int, int, str]]) -> None:
        nonlocal text, cursors
        text = apply(text, splices)
        cursors = [(cursor, map_position(pos, splices, cursor.sticks)) for cursor, pos in cursors]
        assert text == document.text
        assert all(cursor.pos == pos for cursor, pos in cursors)
        document.check()

    for batch in batches(items, chance):
        show(document.receive(batch))
        for _ in range(chance.randint(0, 2)):
            pos = chance.randint(0, len(document))
            splice = (pos, min(chance.randint(0, 2), len(document) - pos), chance.choice(("", "W", "ww")))
            document.splice(*splice)
            show([splice])
        cursors.append((document.cursor(len(document) // 2), len(document) // 2))
        if chance.random() < 0.5:
            document.commit()
            show([])
        if chance.random() < 0.3:
            show(chance.choice([document.undo, document.redo])().splices)
    document.commit()
    assert len({each.id for each in document.outgoing}) == len(document.outgoing)
    assert said(document.history) == said(History([*items, *document.outgoing]))


def test_the_content_with_the_smaller_digest_of_its_canonical_row_without_a_document_counts() -> None:
    contents = [patch(5, "s", (), (0, 0, letter)) for letter in "abcdefgh"]

    def digest(each: Patch) -> bytes:
        row = each.to_row(DOC) | {"id": ["", each.time, each.session]}
        return sha256(json.dumps(row, sort_keys=True, separators=(",", ":")).encode()).digest()

    history = History(contents)
    assert list(history) == [min(contents, key=digest)]
    (problem,) = history.problems
    assert str(problem).startswith("patch (5, 's'): 7 other contents under this id")


def test_the_content_that_is_stored_wins_whenever_it_is_known_to_be() -> None:
    contents = sorted((patch(5, "s", (), (0, 0, letter)) for letter in "abc"), key=Patch.digest)
    stored = contents[-1]
    told = set()
    for order in permutations([*((each, False) for each in contents), (stored, True)]):
        history = History()
        for each, surely in order:
            history.add([each], stored=surely)
        told.add((history.text(), *map(str, history.problems)))
    ((text, problem),) = told
    assert text == stored.ops[0]
    assert "2 other contents" in problem


@pytest.fixture
def rivals() -> tuple[Patch, Patch, Patch, Patch, Patch]:
    """Three contents under one id, the winner first; a child that fits all of them, and one that fits only
    the third."""
    contents = [patch(5, "s", (), (0, 0, f"{letter}bc")) for letter in "xyz"]
    contents.append(patch(5, "s", (), (0, 0, "a long text")))
    contents.sort(key=Patch.digest)
    long = next(each for each in contents if len(each.ops[0]) > 3)
    assert long is not contents[0]
    winner, other = [each for each in contents if each is not long][:2]
    return winner, other, long, patch(6, "t", [long], (1, 1, "")), patch(7, "u", [long], (5, 1, "!"))


def test_children_of_a_content_that_lost_stand_on_the_one_that_won(
    rivals: tuple[Patch, Patch, Patch, Patch, Patch],
) -> None:
    winner, _, _, child, misfit = rivals
    expected = None
    for seed in range(60):
        history = History()
        for batch in batches(rivals, random.Random(seed)):
            history.add(batch)
        expected = expected or said(history)
        assert said(history) == expected
    assert expected is not None
    assert expected.patches == [winner, child, misfit]
    assert expected.text == apply(apply("", winner.splices), child.splices)
    assert [kind for kind, _ in expected.problems] == [ConflictingPatch, MalformedRow]
    assert "2 other contents" in expected.problems[0][1]
    assert "its delta is for a text of 6 code points or more, its parents' has 3" in expected.problems[1][1]


def test_a_winner_that_waits_takes_the_losers_place_away_and_all_that_stands_on_it() -> None:
    contents = [patch(5, "s", (), (0, 0, "placed")), patch(5, "s", [(4, "r")], (0, 0, "a"))]
    for i in range(40):
        contents[1] = patch(5, "s", [(4, "r")], (0, 0, f"waits {i}"))
        if contents[1].digest() < contents[0].digest():
            break
    placed, waits = contents
    child = patch(6, "t", [placed], (0, 1, "P"))
    history = History([placed, child])
    assert history.text() == "Placed"
    assert history.add([waits]) == []
    assert history.text() == ""
    assert history.heads == ()
    assert history.parked == (waits, child)
    assert history.missing == ((4, "r"),)
    assert history.rebuilds == 1
    parent = patch(4, "r", (), (0, 0, "-"))
    assert history.add([parent]) == [parent, waits, child]
    assert said(history) == said(History([waits, parent, placed, child]))


def test_of_two_that_wait_under_one_id_the_smaller_digest_goes_on_waiting() -> None:
    contents = [patch(5, "s", [(3, name)], (0, 0, name)) for name in ("p", "q")]
    parents = [patch(3, name, (), (0, 0, name.upper())) for name in ("p", "q")]
    winner = min(contents, key=Patch.digest)
    results = set()
    for seed in range(40):
        history = History()
        for batch in batches([*contents, *parents], random.Random(seed)):
            history.add(batch)
        results.add((history.text(), history.heads, str(history.problems)))
    ((text, heads, _),) = results
    assert winner.ops[0] in text
    assert winner.id in heads


def test_a_session_that_is_concurrent_to_itself_merges_the_same_everywhere() -> None:
    root = patch(1, "s", (), (0, 0, "--"))
    one = patch(2, "s", [root], (1, 0, "one"))
    two = patch(3, "s", [root], (1, 0, "two"))
    three = patch(4, "s", [one], (4, 0, "ONE"))
    four = patch(5, "s", [two], (4, 0, "TWO"))
    forked = [root, one, two, three, four]
    expected = Reference(forked).text()
    for seed in range(60):
        history = History()
        for batch in batches(forked, random.Random(seed)):
            history.add(batch)
        assert history.text() == expected == "-oneONEtwoTWO-"
        assert not history.problems


def test_a_known_patch_that_comes_again_is_nothing_new() -> None:
    one, two = patch(1, "s", (), (0, 0, "a")), patch(2, "s", [(1, "s")], (1, 0, "b"))
    history = History([one])
    assert history.add([one, one.to_row(DOC)]) == []
    assert history.add([two, one, two]) == [two]
    assert history.rebuilds == 0
    assert not history.problems


@given(troubles(), st.randoms(use_true_random=False))
def test_what_took_its_place_is_returned_parents_first(trouble: Trouble, chance: random.Random) -> None:
    history = History()
    for batch in batches(trouble.items, chance):
        before = set(history)
        placed = history.add(batch)
        assert set(placed) == set(history) - before
        seen = {each.id for each in history} - {each.id for each in placed}
        for each in placed:
            assert seen.issuperset(each.parents)
            seen.add(each.id)


def test_what_is_wrong_is_told_in_one_order() -> None:
    row = patch(9, "s", (), (0, 0, "x")).to_row(DOC)
    bad = [{**row, "wall": -n} for n in range(1, 9)] + [{**row, "v": n} for n in range(2, 9)]
    told = set()
    for seed in range(20):
        history = History()
        for batch in batches(bad, random.Random(seed)):
            history.add(batch)
        told.add(tuple(map(str, history.problems)))
        assert str(history.unsupported) == str(history.problems[0])
    assert len(told) == 1


def test_what_waits_is_told_with_what_it_waits_for() -> None:
    a, b, c = patch(1, "s"), patch(2, "s", [(1, "s")]), patch(3, "s", [(1, "s"), (2, "t")])
    history = History([c, b])
    assert history.parked == (b, c)
    assert history.missing == ((1, "s"), (2, "t"))
    assert history.heads == ()
    assert len(history) == 0
    assert history.add([a]) == [a, b]
    assert history.parked == (c,)
    assert history.missing == ((2, "t"),)
    with pytest.raises(UnknownVersion, match="it waits for its parents"):
        history.text_at([c.id])


@given(troubles(), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_what_was_dropped_while_it_waited_takes_its_place_when_it_is_given_again(
    trouble: Trouble, chance: random.Random
) -> None:
    history = History()
    for batch in batches(trouble.items, chance):
        history.add(batch, stored=False)
        assert history.parked_size == sum(map(weight, history.parked))
        count, size = chance.randint(0, 4), chance.choice((0, 300, 1 << 20))
        waited, missing = history.parked, history.missing
        dropped = history.drop_parked(count, size)
        assert (*history.parked, *dropped) == waited, "the newest are dropped"
        assert len(history.parked) <= count and history.parked_size <= size
        assert history.parked_size == sum(map(weight, history.parked))
        assert set(history.missing) <= set(missing)
    history.add(trouble.items)
    assert said(history) == said(History(trouble.items))


def test_no_more_is_dropped_than_must_and_nothing_that_is_to_be_kept() -> None:
    waits = [patch(n, "s", [(1, "nobody")], (0, 0, "x" * n)) for n in range(10, 20)]
    history = History(waits)
    assert history.drop_parked(10, history.parked_size) == []
    assert history.drop_parked(8, 1 << 20) == waits[8:]
    assert history.drop_parked(8, history.parked_size - 1) == waits[7:8]
    assert history.drop_parked(3, 1 << 20, kept={waits[5].id, waits[6].id}) == waits[1:5]
    assert history.parked == (waits[0], *waits[5:7])
    history.add([patch(1, "nobody", ())])
    assert not history.parked and history.parked_size == 0
    assert [each.id for each in history] == [(1, "nobody"), waits[0].id, waits[5].id, waits[6].id]


def test_what_a_patch_weighs_counts_its_texts_and_is_never_far_below_what_its_parts_take() -> None:
    plain = weight(patch(9, "s", ()))
    assert weight(patch(9, "s", (), (0, 0, "a" * 1_000))) == plain + 1_050
    assert weight(patch(9, "s", (), (0, 0, "乙" * 1_000))) == plain + 3_050
    many = patch(9, "s", (), *((n, 1, "") for n in range(1_000)))
    assert weight(many) >= 50 * len(many.ops)
    wide = patch(99, "s", [(n, "t") for n in range(1, 51)])
    assert weight(wide) >= 50 * 150


def test_a_misfit_counts_as_empty_and_its_children_stand() -> None:
    root = patch(1, "s", (), (0, 0, "abc"))
    misfit = patch(2, "s", [root], (2, 2, "never seen"))
    child = patch(3, "s", [misfit], (3, 0, "d"))
    history = History([root, misfit, child])
    assert [history.text(n) for n in range(4)] == ["", "abc", "abc", "abcd"]
    assert history.patch(misfit.id) == misfit
    (problem,) = history.problems
    assert str(problem) == (
        "patch (2, 's'): its delta is for a text of 4 code points or more, its parents' has 3; "
        "it counts as empty"
    )


def test_problems_of_what_is_merged_already_cost_no_merging(monkeypatch: pytest.MonkeyPatch) -> None:
    patches = [patch(1, "s", (), (0, 0, "abc")), patch(2, "s", [(1, "s")], (2, 2, ""))]
    document = Document(session="reader", author="reader", clock=lambda: 1)
    document.receive(patches)
    monkeypatch.setattr(type(document.history.merge), "script", None)
    assert len(document.problems) == 1


@given(histories(max_patches=6), st.data())
def test_problems_are_known_before_anything_was_merged(patches: list[Patch], data: st.DataObject) -> None:
    history, reference = History(), Reference(patches)
    for each in data.draw(orders(patches)):
        history.add([each])
        if data.draw(st.booleans()):
            assert len(history.problems) <= len(reference.misfits)
    assert len(history.problems) == len(reference.misfits)


def test_problems_are_known_anew_after_another_content_won(
    rivals: tuple[Patch, Patch, Patch, Patch, Patch],
) -> None:
    winner, _, long, _, misfit = rivals
    history = History([long, misfit])
    for _ in range(2):
        assert history.problems == []
    history.add([winner])
    assert [type(problem) for problem in history.problems] == [ConflictingPatch, MalformedRow]


def test_what_is_kept_of_a_bad_row_is_only_what_is_wrong_with_it() -> None:
    class Row(dict[str, Any]):
        """A dict that says when it goes."""

    good = Row(patch(1, "s", (), (0, 0, "x" * 1_000)).to_row(DOC))
    bad = Row(good | {"delta": "=0"})
    later = Row(good | {"v": 2})
    watched = [ref(row) for row in (good, bad, later)]
    history = History([good, bad, later])
    assert len(history.problems) == 2
    del good, bad, later
    gc.collect()
    assert [row() for row in watched] == [None] * 3
    first = history.unsupported
    assert first is not None
    for _ in range(3):
        with pytest.raises(UnsupportedVersion):
            raise first
    assert history.unsupported is not None
    assert history.unsupported.__traceback__ is None


# --- questions ----------------------------------------------------------------------------------------


def test_a_history_is_its_patches_in_time_order() -> None:
    one, two = patch(1, "s", (), (0, 0, "b")), patch(2, "a", (), (0, 0, "a"))
    history = History(iter([two, one]))
    assert list(history) == [one, two]
    assert len(history) == 2
    assert one.id in history
    assert (1, "s") in history
    for other in [(3, "s"), (1, "x"), (1, "s", 1), (0, "s"), (1 << 60, "s"), one, 1, "s"]:
        assert other not in history
    assert history.patch((1, "s")) == one
    assert history.since([]) == [one, two]
    assert history.since([one.id]) == [two]
    assert history.text(1) == "b"


def test_dropping_all_caches_changes_no_answer(case: dict[str, Any]) -> None:
    history = History(patches_of(case))
    before = said(history)
    history.drop_caches()
    assert said(history) == before


BAD: list[tuple[str, Callable[[History], object], type[SyncstringError], str]] = [
    ("a number for patches", lambda h: h.add(5), PatchError, "a collection of patches is wanted"),  # type: ignore[arg-type]
    ("nothing for patches", lambda h: h.add(None), PatchError, "a collection of patches is wanted"),  # type: ignore[arg-type]
    ("one patch", lambda h: h.add(patch(9, "s")), PatchError, "this is one Patch"),  # type: ignore[arg-type]
    ("one row", lambda h: h.add(patch(9, "s").to_row(DOC)), PatchError, "this is one dict"),  # type: ignore[arg-type]
    ("a text", lambda h: h.add("s"), PatchError, "this is one str"),  # type: ignore[arg-type]
    ("bytes", lambda h: h.add(b"s"), PatchError, "neither a Patch nor a row"),  # type: ignore[arg-type]
    ("a list with None", lambda h: h.add([patch(9, "s"), None]), PatchError, "None is neither"),  # type: ignore[list-item]
    ("a row, then a splice", lambda h: h.add([{}, (0, 0, "x")]), PatchError, "neither a Patch nor a row"),  # type: ignore[list-item]
    ("text of -1", lambda h: h.text(-1), UnknownVersion, "there are versions 0 to 1"),
    ("text of too many", lambda h: h.text(2), UnknownVersion, "there are versions 0 to 1"),
    ("text of a text", lambda h: h.text("1"), PatchError, "'1' is no number of patches"),  # type: ignore[arg-type]
    ("text of a fraction", lambda h: h.text(0.5), PatchError, "0.5 is no number"),  # type: ignore[arg-type]
    ("text of a truth", lambda h: h.text(True), PatchError, "True is no number"),
    ("heads that are none", lambda h: h.text_at(None), PatchError, "None are no heads"),  # type: ignore[arg-type]
    ("heads in a text", lambda h: h.text_at("ab"), PatchError, "'ab' are no heads"),  # type: ignore[arg-type]
    ("an id for heads", lambda h: h.text_at((1, "s")), PatchError, "1 is no id"),  # type: ignore[arg-type]
    ("heads as lists", lambda h: h.text_at([[1, "s"]]), PatchError, "is no id"),  # type: ignore[list-item]
    ("an unhashable session", lambda h: h.text_at([(1, [])]), PatchError, "is no id"),  # type: ignore[list-item]
    ("unknown heads", lambda h: h.text_at([(1, "s"), (2, "s")]), UnknownVersion, r"\(2, 's'\)"),
    ("a time that is none", lambda h: h.text_at([("1", "s")]), UnknownVersion, r"\('1', 's'\)"),  # type: ignore[list-item]
    ("a huge time", lambda h: h.patch((1 << 70, "s")), UnknownVersion, "may not have arrived"),
    ("an unknown patch", lambda h: h.patch((1, "t")), UnknownVersion, "may not have arrived yet"),
    ("since unknown heads", lambda h: h.since([(7, "s")]), UnknownVersion, r"\(7, 's'\)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "says"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_argument_is_one_clear_error_and_changes_nothing(
    call: Callable[[History], object], error: type[SyncstringError], says: str
) -> None:
    history = History([patch(1, "s", (), (0, 0, "a")), patch(5, "t", [(4, "t")])])
    before = said(history)
    with pytest.raises(error, match=says) as caught:
        call(history)
    assert type(caught.value) is error
    assert said(history) == before


def test_rows_of_any_mapping_are_taken() -> None:
    class Row(Mapping[str, Any]):
        def __init__(self, fields: dict[str, Any]) -> None:
            self.fields = fields

        def __getitem__(self, name: str) -> Any:
            return self.fields[name]

        def __iter__(self) -> Any:
            return iter(self.fields)

        def __len__(self) -> int:
            return len(self.fields)

    one = patch(1, "s", (), (0, 0, "a"))
    assert History([Row(one.to_row(DOC))]).text() == "a"
