"""`Merge` and `Tip` against the slow twin: what they answer, in any order, whatever they keep or forgot."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from unittest import mock

import pytest
from events import Events, patches_of
from hypothesis import given
from hypothesis import strategies as st

from syncstring import merge
from syncstring._graph import EventGraph
from syncstring._patch import apply, compose, ops_splices
from syncstring._text import TextBuffer
from syncstring.merge import Merge, Tip
from syncstring.patch import Id, Patch
from syncstring.testing import reference
from syncstring.testing.reference import Reference
from syncstring.testing.strategies import histories, orders


@contextmanager
def keeping(every: int, weaves: int) -> Iterator[None]:
    """A checkpoint after more than `every` splices, and at most `weaves` weaves: histories here are short."""
    with mock.patch.multiple(merge, CHECKPOINT_EVERY=every, WEAVES_KEPT=weaves):
        yield


class Twins:
    """What has arrived of a history, asked of both; every answer is checked."""

    def __init__(self) -> None:
        self.events = Events()
        self.merge = Merge(self.events.graph)
        self.arrived: list[Patch] = []
        self.slow = Reference([])

    def append(self, patch: Patch) -> None:
        self.events.append(patch)
        self.arrived.append(patch)
        self.slow = Reference(self.arrived)

    def ask(self, question: str, a: Sequence[int], b: Sequence[int]) -> None:
        """One of the methods below; a and b are numbers that mean patches modulo what is there."""
        getattr(self, question)(a, b)

    def heads(self, numbers: Sequence[int]) -> list[Id]:
        return [self.arrived[n % len(self.arrived)].id for n in numbers] if self.arrived else []

    def n(self, numbers: Sequence[int]) -> int:
        return sum(numbers) % (len(self.arrived) + 1)

    def text(self, a: Sequence[int], b: Sequence[int]) -> None:
        for n in (self.n(a), self.n(b)):
            assert self.merge.text(n) == self.slow.prefix(n)

    def backward(self, a: Sequence[int], b: Sequence[int]) -> None:
        for n in sorted((self.n(a), self.n(b)), reverse=True):
            assert self.merge.text(n, backward=True) == self.slow.prefix(n)

    def size(self, a: Sequence[int], b: Sequence[int]) -> None:
        assert self.merge.size(self.n(a)) == len(self.slow.prefix(self.n(a)))

    def splices(self, a: Sequence[int], b: Sequence[int]) -> None:
        if n := self.n(a):
            assert apply(self.slow.prefix(n - 1), self.merge.splices(n)) == self.slow.prefix(n)

    def text_at(self, a: Sequence[int], b: Sequence[int]) -> None:
        heads = self.heads(a)
        assert self.merge.text_at(self.events.numbers(heads)) == self.slow.text_at(heads)

    def size_at(self, a: Sequence[int], b: Sequence[int]) -> None:
        heads = self.heads(a)
        assert self.merge.size_at(self.events.numbers(heads)) == len(self.slow.text_at(heads))

    def between(self, a: Sequence[int], b: Sequence[int]) -> None:
        one, other = self.heads(a), self.heads(b)
        splices = self.merge.between(self.events.numbers(one), self.events.numbers(other))
        assert apply(self.slow.text_at(one), splices) == self.slow.text_at(other)

    def runs(self, a: Sequence[int], b: Sequence[int]) -> None:
        heads = self.heads(a)
        pool = self.events.graph.pool
        assert [
            (char, self.events.ids[event])
            for event, start, length in self.merge.runs(self.events.numbers(heads))
            for char in pool.read(start, length)
        ] == [(char, id) for text, id in self.slow.blame(heads) for char in text]

    def locate(self, a: Sequence[int], b: Sequence[int]) -> None:
        graph, heads = self.events.graph, self.heads(a)
        version = set(self.events.numbers(self.slow.graph.history_of(heads)))
        first, last, mask = self.merge.locate(self.events.numbers(heads))
        assert version == {*range(first), *(first + i for i, there in enumerate(mask) if there)}
        assert graph.critical_floor(first) == first == max(self.criticals(version))
        assert last == min(
            n for n in range(len(graph) + 1) if self.is_critical(n) and version <= set(range(n))
        )
        assert (first == last) == (version == set(range(first)))

    def criticals(self, version: set[int]) -> list[int]:
        return [n for n in range(len(self.arrived) + 1) if self.is_critical(n) and version >= set(range(n))]

    def is_critical(self, n: int) -> bool:
        return self.events.graph.critical_floor(n) == n

    def drop_caches(self, a: Sequence[int], b: Sequence[int]) -> None:
        self.merge.drop_caches()


QUESTIONS = [
    "text", "backward", "size", "splices", "text_at", "size_at", "between", "runs", "locate", "drop_caches",
]  # fmt: skip
_numbers = st.lists(st.integers(0, 99), max_size=3)
questions = st.lists(st.tuples(st.sampled_from(QUESTIONS), _numbers, _numbers), max_size=4)
caches = st.tuples(st.sampled_from([0, 2, 2_000]), st.sampled_from([1, 8]))


@pytest.mark.parametrize("question", QUESTIONS[:-1])
@given(patches=histories(), numbers=st.lists(st.tuples(_numbers, _numbers), max_size=5), kept=caches)
def test_every_answer_is_the_twins(
    question: str, patches: list[Patch], numbers: list[tuple[list[int], list[int]]], kept: tuple[int, int]
) -> None:
    twins = Twins()
    for patch in patches:
        twins.append(patch)
    with keeping(*kept):
        for a, b in numbers:
            twins.ask(question, a, b)


@given(histories(), st.data(), caches)
def test_answers_stay_right_while_patches_arrive_and_caches_are_dropped(
    patches: list[Patch], data: st.DataObject, kept: tuple[int, int]
) -> None:
    twins = Twins()
    with keeping(*kept):
        for patch in data.draw(orders(patches)):
            twins.append(patch)
            for question, a, b in data.draw(questions):
                twins.ask(question, a, b)
    twins.events.graph.check()


@given(histories(), st.data())
def test_between_two_versions_no_character_that_both_show_is_touched(
    patches: list[Patch], data: st.DataObject
) -> None:
    events = Events(patches)
    ids = [patch.id for patch in patches]
    a, b = (data.draw(st.lists(st.sampled_from(ids), max_size=3)) if ids else [] for _ in range(2))
    splices = Merge(events.graph).between(events.numbers(a), events.numbers(b))
    assert touched(compose(splices)) == touched(told_apart(Reference(patches), a, b))


def told_apart(twin: Reference, a: Iterable[Id], b: Iterable[Id]) -> reference.Ops:
    """What leads from version a to version b: characters that only one of them shows go or come."""
    before, after = twin.graph.history_of(a), twin.graph.history_of(b)
    walker = reference.Walker(twin.graph)
    for id in twin.order:
        walker.walk(id)
    ops: list[int | str] = []
    for item in walker.items:
        there = item.by in before and not item.deleters & before
        stays = item.by in after and not item.deleters & after
        if there or stays:
            ops.append((1 if stays else -1) if there else item.char)
    return reference.joined(ops)


def touched(ops: reference.Ops) -> tuple[list[int], dict[int, str]]:
    """Which characters a delta deletes, and what it inserts after how many that it keeps. Where
    insertions meet deletions their order isn't looked at: it leaves no trace in the text."""
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
    return deleted, inserted


@given(histories(), st.data())
def test_what_is_woven_from_a_critical_version_on_is_all_that_came_after_it(
    patches: list[Patch], data: st.DataObject
) -> None:
    events = Events(patches)
    slow = Reference(patches)
    first = events.graph.critical_floor(data.draw(st.integers(0, len(patches))))
    answers = Merge(events.graph)
    if data.draw(st.booleans()):
        answers.text(len(patches))
    for asked in (first, events.graph.critical_floor(first // 2), first):
        weave = answers.weave_from(asked)
        base = slow.text_at(events.named(events.graph.prefix_heads(weave.first)))
        assert (weave.last, weave.base_size) == (len(patches), len(base))
        assert weave.first <= asked and weave.last - weave.first <= 2 * (weave.last - asked)
        everything = bytes([1]) * (weave.last - weave.first)
        shown = [
            base[start : start + length] if event < 0 else events.graph.pool.read(start, length)
            for event, start, length in weave.runs(everything)
        ]
        assert "".join(shown) == slow.text()


@pytest.mark.parametrize("after", [1, 3, 4, 7, 20])
def test_what_is_woven_goes_at_most_twice_as_far_back_beside_a_bubble_too(after: int) -> None:
    def on(time: int, session: str, *parents: tuple[int, str]) -> Patch:
        return Patch((time, session), parents, [(0, 0, session)], "ada", 1)

    made = [on(1, "r")]
    for i in range(5):
        made += [on(10 * i + 10, each, (10 * i, each) if i else (1, "r")) for each in "ab"]
    made.append(on(100, "c", (50, "a"), (50, "b")))
    made += [on(101 + i, "c", (100 + i, "c")) for i in range(after)]
    answers = Merge(Events(made).graph)
    answers.text(len(made))
    for asked in range(len(made) - after, len(made)):
        weave = answers.weave_from(asked)
        assert weave.first <= asked and weave.last - weave.first <= 2 * (weave.last - asked)


@given(histories(), st.data())
def test_every_arrival_order_gives_the_same_answers(patches: list[Patch], data: st.DataObject) -> None:
    one, other = Events(patches), Events(data.draw(orders(patches)))
    first, second = Merge(one.graph), Merge(other.graph)
    for n in range(1, len(patches) + 1):
        assert first.splices(n) == second.splices(n)
    for a in patches:
        for b in patches[:3]:
            assert first.between([one.number[a.id]], [one.number[b.id]]) == second.between(
                [other.number[a.id]], [other.number[b.id]]
            )


def test_how_inserted_texts_happen_to_be_kept_does_not_show_in_the_splices_between_versions() -> None:
    # `p` and `q` lie side by side in the pool or not, depending on when `!` came.
    base = Patch((1, "s"), [], [(0, 0, "ab")], "x", 0)
    before = Patch((2, "s"), [base.id], [(0, 0, "p")], "x", 0)
    after = Patch((3, "s"), [before.id], [(1, 0, "q")], "x", 0)
    newest = Patch((4, "s"), [after.id], [(2, 1, "r")], "x", 0)  # pqrb
    other = Patch((2, "t"), [base.id], [(2, 0, "!")], "x", 0)
    for order in ([base, before, after, other, newest], [base, before, other, after, newest]):
        events = Events(order)
        a, b = events.numbers([newest.id]), events.numbers([base.id])
        assert Merge(events.graph).between(a, b) == [(0, 3, "a")]
        assert Merge(events.graph).between(b, a) == [(0, 1, "pqr")]


@given(histories(), st.data())
def test_the_splices_between_two_versions_are_few_and_in_order(
    patches: list[Patch], data: st.DataObject
) -> None:
    events = Events(patches)
    a, b = (
        data.draw(st.lists(st.sampled_from(range(len(patches))), max_size=3)) if patches else [] for _ in "ab"
    )
    splices = Merge(events.graph).between(a, b)
    ops = compose(splices)
    assert splices == ops_splices(ops)
    # No deletion directly before an insertion.
    assert not any(isinstance(op, int) and op < 0 and isinstance(next, str) for op, next in pairwise(ops))


# --- the tip


@given(histories(), st.data())
def test_the_tip_holds_the_merge_of_what_has_arrived_after_every_call(
    patches: list[Patch], data: st.DataObject
) -> None:
    events = Events()
    tip = Tip(events.graph)
    text, arrived, waiting = "", [], data.draw(orders(patches))
    while waiting:
        for _ in range(data.draw(st.integers(1, len(waiting)))):
            arrived.append(waiting.pop(0))
            events.append(arrived[-1])
        if data.draw(st.booleans()):
            tip.drop_caches()
        log = tip.advance()
        log.check()
        text = apply(text, log.splices(0, len(log)))
        slow = Reference(arrived)
        assert text == str(tip.buffer) == slow.text()
        assert tip.taken == len(arrived)
        assert set(events.named(events.graph.misfits)) == slow.misfits
        for patch in arrived:
            assert events.graph.size_of(events.number[patch.id]) == len(slow.text_at([patch.id]))
    assert len(tip.advance()) == 0


@given(histories(), st.data())
def test_the_tip_and_answers_about_the_past_do_not_disturb_each_other(
    patches: list[Patch], data: st.DataObject
) -> None:
    twins = Twins()
    tip = Tip(twins.events.graph)
    for patch in data.draw(orders(patches)):
        twins.append(patch)
        if data.draw(st.booleans()):
            tip.advance()
            assert str(tip.buffer) == twins.slow.text()
        for question, a, b in data.draw(questions):
            twins.ask(question, a, b)
    tip.advance()
    assert str(tip.buffer) == twins.slow.text()


@given(histories(), st.data())
def test_what_the_tip_tells_an_editor_touches_what_changed_and_nothing_else(
    patches: list[Patch], data: st.DataObject
) -> None:
    events = Events()
    tip = Tip(events.graph)
    for n, patch in enumerate(data.draw(orders(patches))):
        before = events.named(events.graph.heads)
        events.append(patch)
        log = tip.advance()
        expected = told_apart(Reference([patches_by(patches)[id] for id in events.ids]), before, events.ids)
        assert touched(compose(log.splices(0, len(log)))) == touched(expected), n


@given(histories(), st.data())
def test_a_tip_may_begin_with_the_text_of_a_critical_version_and_with_no_other(
    patches: list[Patch], data: st.DataObject
) -> None:
    order = data.draw(orders(patches))
    graph, slow = Events(order).graph, Reference(order)
    for n in range(len(order) + 1):
        tip = Tip(graph)
        if graph.critical_floor(n) == n:
            tip.begin(n, slow.prefix(n))
            assert (str(tip.buffer), tip.taken) == (slow.text(), len(order))
        else:
            with pytest.raises(IndexError, match="critical"):
                tip.begin(n, slow.prefix(n))


@given(histories(), st.data())
def test_the_text_that_is_known_is_of_the_longest_critical_version_asked_for(
    patches: list[Patch], data: st.DataObject
) -> None:
    order = data.draw(orders(patches))
    graph, slow = Events(order).graph, Reference(order)
    answers = Merge(graph)
    assert answers.known_text() == (0, "")
    with keeping(-1, 8):
        for n in data.draw(st.lists(st.integers(0, len(order)), max_size=3)):
            answers.text(n)
            kept = [n for n in answers._checkpoints if graph.critical_floor(n) == n]
            assert answers.known_text() == (max(kept, default=0), slow.prefix(max(kept, default=0)))


def patches_by(patches: list[Patch]) -> dict[Id, Patch]:
    return {patch.id: patch for patch in patches}


# --- the published cases


def test_the_published_texts_come_out_whatever_is_asked_first(case) -> None:
    chance = random.Random(case["id"])
    patches = patches_of(case)
    for _ in range(25):
        order = shuffled(patches, chance)
        events = Events(order)
        answers = Merge(events.graph)
        asked = [(n, None) for n in range(len(patches) + 1)] + [(i, patch) for i, patch in enumerate(patches)]
        chance.shuffle(asked)
        with keeping(chance.choice([0, 3, 2_000]), chance.choice([1, 8])):
            for n, patch in asked:
                if chance.random() < 0.1:
                    answers.drop_caches()
                if patch is None:
                    assert answers.text(n) == case["prefixes"][n]
                    assert answers.size(n) == len(case["prefixes"][n])
                else:
                    assert answers.text_at([events.number[patch.id]]) == case["at"][n]
        assert answers.text(len(patches)) == case["final"]


def test_the_published_texts_come_out_live(case) -> None:
    chance = random.Random(case["id"])
    patches = patches_of(case)
    for _ in range(25):
        events = Events()
        tip = Tip(events.graph)
        text = ""
        for patch in shuffled(patches, chance):
            events.append(patch)
            if chance.random() < 0.1:
                tip.drop_caches()
            if chance.random() < 0.7:
                log = tip.advance()
                text = apply(text, log.splices(0, len(log)))
        log = tip.advance()
        assert apply(text, log.splices(0, len(log))) == str(tip.buffer) == case["final"]


def test_between_any_two_published_versions_lead_the_splices(case) -> None:
    patches = patches_of(case)
    answers = Merge(Events(patches).graph)
    for a, before in enumerate(case["at"]):
        for b, after in enumerate(case["at"]):
            assert apply(before, answers.between([a], [b])) == after


def shuffled(patches: list[Patch], chance: random.Random) -> list[Patch]:
    """The same in another order, parents first."""
    waiting, known, result = list(patches), set(), []
    while waiting:
        ready = [patch for patch in waiting if known.issuperset(patch.parents)]
        result.append(chance.choice(ready))
        waiting.remove(result[-1])
        known.add(result[-1].id)
    return result


# --- what is kept, and what is refused


def test_texts_asked_for_backward_are_replayed_from_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "CHECKPOINT_EVERY", 40)
    patches = [Patch((1, "s"), [], [(0, 0, "x")], "s", 1)]
    for n in range(2, 1_001):
        patches.append(Patch((n, "s"), [patches[-1].id], [(n // 2, 0, "y")], "s", n))
    answers = Merge(Events(patches).graph)
    replayed = 0
    plain = Merge._replay

    def counting(self: Merge, buffer: TextBuffer, start: int, n: int) -> int:
        nonlocal replayed
        replayed += n - start
        return plain(self, buffer, start, n)

    monkeypatch.setattr(Merge, "_replay", counting)
    answers.keep(500, answers.text(500))
    replayed = 0
    for n in range(1_000, 499, -1):
        assert len(answers.text(n, backward=True)) == n
    assert replayed <= 500 * 40 + 500 * 500 // 40  # 125,000 if each began at 500
    assert answers.known_text()[0] in range(500, 541)


def test_checkpoints_hold_no_more_than_two_texts_and_are_used_again() -> None:
    graph = EventGraph()
    for event in range(200):
        graph.append(event + 1, "a", (event - 1,) if event else (), ("x" * 10,), "a", 0)
    answers = Merge(graph)
    with keeping(0, 8):
        for n in range(200, 0, -1):
            assert answers.text(n) == "x" * 10 * n
        assert sum(map(len, answers._checkpoints.values())) <= 2 * 2_000
        assert answers.text(1) == "x" * 10


def test_a_late_patch_forgets_what_comes_after_it_and_nothing_before() -> None:
    graph = EventGraph()
    for event in range(10):
        graph.append(event + 1, "a", (event - 1,) if event else (), (f"{event}",), "a", 0)
    answers = Merge(graph)
    with keeping(0, 8):
        texts = [answers.text(n) for n in range(11)]
        graph.append(6, "b", (4,), ("late ",), "b", 0)
        assert answers.text(11) == "98765late 43210"
        assert [answers.text(n) for n in range(7)] == texts[:7]
        assert answers.text(7) == "5late 43210"


def test_versions_that_are_not_there_are_refused() -> None:
    graph = EventGraph()
    graph.append(1, "a", (), ("abc",), "a", 0)
    answers = Merge(graph)
    for wrong in (-1, 2):
        for ask in (answers.text, answers.size, answers.splices):
            with pytest.raises(IndexError):
                ask(wrong)
    with pytest.raises(IndexError):
        answers.splices(0)
    for ask in (answers.text_at, answers.size_at, answers.runs, answers.locate):
        with pytest.raises(IndexError):
            ask([1])
    with pytest.raises(IndexError):
        answers.between([0], [0, 1])
