"""Shapes of history that are quadratic for many: their steps are counted while their size doubles.

Nothing is timed. `Walker.steps` counts slots of the list looked at, siblings compared, events moved over and
looked at on the way; `Tip.steps` counts events taken in, those walked again, and the steps of every
walker that the tip ever had. Near-linear with a logarithm doubles to little more than twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from syncstring._graph import EventGraph
from syncstring._plan import plan
from syncstring._walker import Walker
from syncstring._weave import Weave
from syncstring.merge import Merge, Tip

DOUBLED = 2.5


class Growing:
    """An event graph, and what is done each time that it has grown."""

    def __init__(self, graph: EventGraph, then: Callable[[], object] = lambda: None) -> None:
        self.graph = graph
        self.then = then

    def __call__(self, session: str, parents: set[int], *ops: int | str) -> int:
        """Append an event; times rise in the order of arrival, so branches interleave in time."""
        time = len(self.graph) + 1
        event = self.graph.append(time, session, sorted(parents), tuple(op for op in ops if op), "x", 0)
        self.then()
        return event


Shape = Callable[[Growing, int], None]
SHAPES: dict[str, tuple[int, Shape]] = {}


def shape(n: int) -> Callable[[Shape], Shape]:
    """A shape and the size at which it is judged."""

    def add(build: Shape) -> Shape:
        SHAPES[build.__name__] = n, build
        return build

    return add


# --- the shapes: all type single characters, most of them at few places


@shape(20_000)
def two_offline_branches(add: Growing, n: int) -> None:
    """Of n events each, which interleave in time."""
    a = b = add("base", set(), "some text")
    for i in range(n):
        a = add("a", {a}, 4 + i, "a")
        b = add("b", {b}, 9 + i, "b")


@shape(20_000)
def branches_that_arrive_one_after_the_other(add: Growing, n: int) -> None:
    a = b = add("base", set(), "some text")
    for i in range(n):
        a = add("a", {a}, 4 + i, "a")
    for _ in range(n):
        b = add("b", {b}, "b")


def late_by(add: Growing, sessions: int, late: int, rounds: int) -> None:
    """Sessions that type in turns and see each other late by so many of their patches, always."""
    base = add("base", set(), "base")
    own = [[base] for _ in range(sessions)]
    for i in range(rounds):
        for who in range(sessions):
            seen = {other[i - late] for other in own if i > late and other is not own[who]}
            own[who].append(add(f"s{who}", {own[who][-1], *seen}, 2, "x"))


@shape(20_000)
def two_sessions_five_patches_late(add: Growing, n: int) -> None:
    late_by(add, 2, 5, n)


@shape(2_000)
def ten_sessions_three_patches_late(add: Growing, n: int) -> None:
    late_by(add, 10, 3, n)


@shape(2_000)
def ten_sessions_at_one_place_unseen(add: Growing, n: int) -> None:
    base = add("base", set(), "base")
    tips = [base] * 10
    for i in range(n):
        for who in range(10):
            tips[who] = add(f"s{who}", {tips[who]}, 2 + i, "x")


@shape(2_000)
def ten_sessions_at_one_place_that_meet_each_round(add: Growing, n: int) -> None:
    tips = {add("base", set(), "base")}
    for _ in range(n):
        meeting = set()
        for who in range(10):
            meeting.add(add(f"s{who}", tips, 2, "x"))
        tips = meeting


def comb(add: Growing, n: int) -> None:
    """n heads on one version, all at one place, in an order that isn't theirs in the text."""
    base = add("base", set(), "base")
    for i in range(n):
        add(f"s{i * 7919 % n:05}", {base}, 2, "x")


@shape(64_000)
def three_sessions_that_meet_now_and_then(add: Growing, n: int) -> None:
    """Each takes in what one of the others has, about every twentieth time."""
    chance = random.Random(3)
    tips = [add("base", set(), "base")] * 3
    for i in range(n):
        seen = {chance.choice(tips)} if chance.random() < 0.05 else set()
        tips[i % 3] = add(f"s{i % 3}", {tips[i % 3], *seen}, "x")


@shape(1_000)
def a_comb_merged_at_once(add: Growing, n: int) -> None:
    comb(add, n)
    add("merge", set(range(1, n + 1)), 2, "m")


@shape(16_000)
def a_comb_merged_one_by_one(add: Growing, n: int) -> None:
    comb(add, n)
    last = 1
    for head in range(2, n + 1):
        last = add("merge", {last, head}, 2, "m")


@shape(8_192)
def a_comb_merged_in_pairs(add: Growing, n: int) -> None:
    comb(add, n)
    heads = list(range(1, n + 1))
    while len(heads) > 1:
        one, other = heads.pop(0), heads.pop(0)
        heads.append(add(f"m{one}", {one, other}, 2, "m"))


@shape(100_000)
def insertions_at_0_one_on_the_other(add: Growing, n: int) -> None:
    last = add("s", set(), "x")
    for _ in range(n - 1):
        last = add("s", {last}, "x")


@shape(100_000)
def insertions_at_0_all_unseen(add: Growing, n: int) -> None:
    for i in range(n):
        add(f"s{i * 7919 % n:05}", set(), "x")


@shape(50_000)
def insertions_at_0_of_two_who_type_backwards(add: Growing, n: int) -> None:
    a = b = add("base", set(), "base")
    for _ in range(n):
        a = add("a", {a}, "a")
        b = add("b", {b}, "b")


@shape(8_000)
def late_events_each_older_than_the_last(add: Growing, n: int) -> None:
    line = [add("line", set(), "x")]
    for _ in range(n):
        line.append(add("line", {line[-1]}, 1, "x"))
    for parent in reversed(line[:-1]):
        add(f"late{parent}", {parent}, "y")


@shape(4_000)
def an_old_branch_that_trickles_in_between_small_bubbles(add: Growing, n: int) -> None:
    old = last = add("line", set(), "x")
    for _ in range(n):
        last = add("line", {last}, 1, "x")
    for _ in range(n):
        old = add("old", {old}, "o")
        last = add("line", {last, old}, 1, "x")
        a = add("a", {last}, 1, "a")
        b = add("b", {last}, 2, "b")
        last = add("line", {a, b}, 1, "x")


@shape(10_000)
def a_branch_that_takes_in_the_main_line_now_and_then(add: Growing, n: int) -> None:
    main = branch = add("main", set(), "base")
    for i in range(n):
        main = add("main", {main}, 2, "m")
        parents = {branch, main} if i % 20 == 19 else {branch}
        branch = add("branch", parents, "b")


@shape(4_000)
def patches_from_before_and_after_a_great_deletion_in_turns(add: Growing, n: int) -> None:
    text = add("base", set(), "x" * 2 * n)
    cut = add("cut", {text}, *(op for _ in range(n) for op in (1, -1)))
    add("aside", {text}, "y")
    deletion = add("deletion", {cut}, -n)
    for i in range(n // 2):
        add(f"before{i}", {cut}, i, "b")
        add(f"after{i}", {deletion}, "a")


@shape(4_000)
def two_branches_that_take_a_long_text_to_pieces(add: Growing, n: int) -> None:
    a = b = add("base", set(), "x" * 4 * n)
    for i in range(n):
        a = add("a", {a}, i, -1)
        b = add("b", {b}, 2 * i, -1, 1, "y")


@shape(10_000)
def deleting_and_typing_again_at_one_place(add: Growing, n: int) -> None:
    base = add("base", set(), "base")
    own = [[base], [base]]
    for i in range(n):
        for who in range(2):
            seen = {own[1 - who][i - 5]} if i > 5 else set()
            own[who].append(add(f"s{who}", {own[who][-1], *seen}, 1, *([-1] if i % 2 else ["x"])))


@shape(10_000)
def two_who_type_while_a_third_stays_offline(add: Growing, n: int) -> None:
    third = add("third", set(), "base")
    own = [[third], [third]]
    for i in range(n):
        for who in range(2):
            seen = {own[1 - who][i - 5]} if i > 5 else set()
            own[who].append(add(f"s{who}", {own[who][-1], *seen}, 2, "x"))
        third = add("third", {third}, "t")


# --- how they are counted


def whole(build: Shape, n: int) -> EventGraph:
    graph = EventGraph()
    build(Growing(graph), n)
    return graph


def live(build: Shape, n: int) -> Tip:
    tip = Tip(EventGraph())
    build(Growing(tip.graph, tip.advance), n)
    return tip


def at_once(graph: EventGraph) -> Walker:
    walker = Walker(graph, 0, 0)
    walker.walk_all(plan(graph, 0, len(graph)))
    return walker


def assert_doubles(count: Callable[[int], int], n: int) -> None:
    """Twice the size costs about twice the steps."""
    half, full = count(n // 2), count(n)
    assert 0 < half < full
    assert full < DOUBLED * half, f"{half} steps for {n // 2}, {full} for {n}: {full / half:.2f} times"


EVERY = pytest.mark.parametrize("name", SHAPES)


@EVERY
def test_live_twice_the_events_cost_about_twice_the_steps(name: str) -> None:
    n, build = SHAPES[name]
    assert_doubles(lambda n: live(build, n).steps, n)


@EVERY
def test_at_once_twice_the_events_cost_about_twice_the_steps(name: str) -> None:
    n, build = SHAPES[name]
    assert_doubles(lambda n: at_once(whole(build, n)).steps, n)


@EVERY
def test_what_is_kept_of_twice_the_events_is_about_twice_as_long(name: str) -> None:
    n, build = SHAPES[name]

    def length(n: int) -> int:
        graph = whole(build, n)
        rows = Weave(at_once(graph)).rows()
        script = Merge(graph).script(len(graph))
        return len(rows) + sum(len(killers) for *_, killers in rows) + len(script.log)

    assert_doubles(length, n)


@EVERY
def test_live_and_at_once_end_in_one_text(name: str) -> None:
    n, build = SHAPES[name]
    tip = live(build, n)
    assert str(tip.buffer) == Merge(whole(build, n)).text(len(tip.graph))


def test_a_tip_counts_what_it_walked_and_forgot() -> None:
    def forgetful(n: int) -> int:
        tip = Tip(EventGraph())

        def forget() -> None:
            tip.drop_caches()
            tip.advance()

        two_sessions_five_patches_late(Growing(tip.graph, forget), n)
        return tip.steps

    assert forgetful(400) > 3 * forgetful(200)


def in_turns(add: Growing, branches: int, length: int) -> None:
    base = add("base", set(), "base")
    tips = [base] * branches
    for i in range(length):
        for who in range(branches):
            tips[who] = add(f"s{who}", {tips[who]}, 2 + i, "x")


def test_with_more_branches_than_versions_are_kept_a_patch_costs_no_more_than_its_branch_is_long() -> None:
    # Not near-linear in the branches' length, then: the least there is to move is a branch.
    assert_doubles(lambda n: live(lambda add, n: in_turns(add, n, 40), n).steps, 256)
    assert_doubles(lambda n: at_once(whole(lambda add, n: in_turns(add, 100, n), n)).steps, 200)


def test_no_more_walkers_are_kept_than_the_history_has_doublings() -> None:
    chance = random.Random(3)
    tip = Tip(EventGraph())
    add = Growing(tip.graph, tip.advance)
    line = [add("line", set(), "x")]
    most = 0
    for i in range(4_000):
        line.append(add("line", {line[-1]}, 1, "x"))
        if i % 7 == 0:
            # A bubble of its own, mostly; now and then one that goes far back.
            back = chance.randrange(len(line)) if i % 497 == 0 else 1
            late = add(f"late{i}", {line[-1 - back]}, "y")
            line.append(add("line", {line[-1], late}, 1, "x"))
        most = max(most, len(tip.kept))
    assert 2 < most <= 2 * len(tip.graph).bit_length()
    assert str(tip.buffer) == Merge(tip.graph).text(len(tip.graph))
