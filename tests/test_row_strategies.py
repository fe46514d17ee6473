"""Single patches and rows, good and bad, are what they are said to be, at every door."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis import strategies as st
from test_format import judged

from syncstring._patch import MAX_COUNT, consumed
from syncstring.document import Document
from syncstring.errors import MalformedRow, PatchError, UnsupportedVersion
from syncstring.history import History
from syncstring.patch import (
    MAX_AUTHOR,
    MAX_MESSAGE,
    MAX_OPERATIONS,
    MAX_PARENTS,
    MAX_ROW,
    MAX_TIME,
    MAX_TIME_STEP,
    MIN_WILD_TIME,
    Patch,
    canonical_bytes,
    doc_of_row,
)
from syncstring.testing.malformed import MALFORMED, UNSUPPORTED
from syncstring.testing.reference import joined
from syncstring.testing.rows import row_size
from syncstring.testing.strategies import (
    Flawed,
    histories,
    malformed_rows,
    patches,
    rows,
    unsupported_rows,
)

DOC = "0" * 40
afresh = settings(database=None)
few = settings(max_examples=10, suppress_health_check=[HealthCheck.large_base_example])


def counted(strategy: st.SearchStrategy[Any], names: Any, examples: int = 200, runs: int = 4) -> Counter[str]:
    """How often each name comes up among values drawn much alike each time; `names` gives those of a value.

    In several runs, because Hypothesis draws much alike in one. (Not quite alike each time: it also draws the
    constants of all modules that were imported by then.)
    """
    met: Counter[str] = Counter()

    @settings(max_examples=examples, database=None, phases=[Phase.generate])
    @given(strategy)
    def count(value: Any) -> None:
        met.update(names(value))

    for number in range(runs):
        seed(number)(count)()
    return met


# --- what is well-formed


@given(patches())
def test_patches_survive_their_row_and_their_bytes(patch: Patch) -> None:
    assert Patch.from_row(patch.to_row(DOC)) == patch
    assert Patch.from_bytes(patch.to_bytes()) == patch
    assert joined(patch.ops) == patch.ops


@given(rows())
def test_rows_are_taken_and_written_again_as_they_were(row: dict[str, Any]) -> None:
    again = Patch.from_row(row).to_row(doc_of_row(row))
    assert again == row
    assert canonical_bytes(again) == canonical_bytes(row)
    assert row_size(row) == len(canonical_bytes(row))
    assert judged(row) == "well-formed"


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(rows(large=True))
def test_large_rows_are_taken_too(row: dict[str, Any]) -> None:
    assert Patch.from_row(row).to_row(doc_of_row(row)) == row


@given(rows(doc=DOC))
def test_rows_lie_in_the_document_that_was_asked_for(row: dict[str, Any]) -> None:
    assert doc_of_row(row) == DOC


def newest(patch: Patch) -> int:
    return patch.parents[-1].time if patch.parents else 0


def counts(patch: Patch) -> list[int]:
    return [abs(op) for op in patch.ops if isinstance(op, int)]


TRAITS: dict[str, Callable[[Patch], bool]] = {
    "no parent": lambda patch: not patch.parents,
    "one parent": lambda patch: len(patch.parents) == 1,
    "two parents": lambda patch: len(patch.parents) == 2,
    "a hundred parents": lambda patch: 100 < len(patch.parents) < MAX_PARENTS,
    "all parents there may be": lambda patch: len(patch.parents) == MAX_PARENTS,
    "parents of one time": lambda patch: len({time for time, _ in patch.parents}) < len(patch.parents),
    "parents of one session": lambda patch: len({by for _, by in patch.parents}) < len(patch.parents),
    "the least time": lambda patch: patch.time == 1,
    "next to a parent": lambda patch: patch.time == newest(patch) + 1 > 1,
    "the last tame time": lambda patch: patch.time == MIN_WILD_TIME - 1,
    "a wild time": lambda patch: patch.time >= MIN_WILD_TIME,
    "the farthest wild time": lambda patch: MIN_WILD_TIME <= patch.time == newest(patch) + MAX_TIME_STEP,
    "the greatest time": lambda patch: patch.time == MAX_TIME,
    "the longest session": lambda patch: len(patch.session) == 48,
    "the least wall": lambda patch: patch.wall == 0,
    "the greatest wall": lambda patch: patch.wall == MAX_TIME,
    "wall ahead of time": lambda patch: patch.wall > patch.time,
    "no author": lambda patch: not patch.author,
    "the longest author": lambda patch: len(patch.author.encode()) == MAX_AUTHOR,
    "no message": lambda patch: patch.message is None,
    "an empty message": lambda patch: patch.message == "",
    "the longest message": lambda patch: len((patch.message or "").encode()) == MAX_MESSAGE,
    "an empty delta": lambda patch: not patch.ops,
    "all kinds of operations": lambda patch: {op[0] for op in patch.delta.split("\t") if op} == set("=+-"),
    "the greatest count": lambda patch: MAX_COUNT in counts(patch),
    "more consumed than any count": lambda patch: consumed(patch.ops) > MAX_COUNT,
    "what is escaped": lambda patch: "%" in patch.delta,
    "what lies beyond the basic plane": lambda patch: max(patch.delta, default="") > "\uffff",
}


def test_patches_reach_every_limit_again_and_again() -> None:
    met = counted(patches(), lambda patch: [name for name, has in TRAITS.items() if has(patch)])
    assert {name: met[name] for name in TRAITS if met[name] < 3} == {}


def test_large_patches_fill_their_row_and_have_all_operations_there_may_be() -> None:
    def sizes(patch: Patch) -> set[str]:
        full = row_size(patch.to_row(DOC)) > MAX_ROW - 6
        many = len(patch.ops) == MAX_OPERATIONS
        return {"full" if full else "many" if many else "neither"}

    met = counted(patches(large=True), sizes, 10)
    assert min(met["full"], met["many"], met["neither"]) > 1, met


def test_a_patch_shrinks_to_the_one_that_its_docstring_gives() -> None:
    assert find(patches(), lambda _: True, settings=afresh) == Patch((1, "b"), [], [], "", 0)


# --- what isn't


@pytest.mark.parametrize("why", MALFORMED)
def test_a_malformed_row_is_refused_at_the_door_and_set_aside_by_documents(why: str) -> None:
    @settings(few)
    @given(malformed_rows(why))
    def check(flawed: Flawed) -> None:
        assert flawed.why == why
        assert judged(flawed.sound) == "well-formed"
        assert judged(flawed.row) == "malformed"
        with pytest.raises(MalformedRow):
            Patch.from_row(flawed.row)
        assert_set_aside(flawed.row, MalformedRow)

    check()


@pytest.mark.parametrize("why", UNSUPPORTED)
def test_an_unsupported_row_is_said_to_be_one_and_makes_documents_read_only(why: str) -> None:
    @settings(few, max_examples=40)
    @given(unsupported_rows(why))
    def check(flawed: Flawed) -> None:
        assert flawed.why == why
        assert judged(flawed.row) == "unsupported"
        with pytest.raises(UnsupportedVersion):
            Patch.from_row(flawed.row)
        assert_set_aside(flawed.row, UnsupportedVersion)

    check()


HELD = [Patch((1, "a"), [], [(0, 0, "held")], "ada", 1), Patch((9, "b"), [(7, "a")], [], "bob", 9)]
LATER = Patch((2, "a"), [(1, "a")], [(4, 0, "!")], "ada", 2)


def assert_set_aside(row: dict[str, Any], blame: type[Exception]) -> None:
    """It comes among good ones: they are taken, it is one problem, and nothing else is another."""
    before = repr(row)
    history = History(HELD)
    assert history.add([row]) == []
    assert history.add([row, LATER, row]) == [LATER]
    assert [type(problem) for problem in history.problems] == [blame]
    assert history.patches() == sorted([*HELD, LATER], key=lambda patch: patch.id)
    assert history.parked == (HELD[1],)
    assert history.text() == "held!"
    assert history.read_only == (blame is UnsupportedVersion)

    document = Document(session="me", author="", clock=lambda: 3, patches=HELD)
    assert document.receive([row]) == []
    assert document.text == "held"
    assert document.receive([LATER, row]) == [(4, 0, "!")]
    assert document.text == "held!"
    assert [type(problem) for problem in document.problems] == [blame]
    assert document.outgoing == []
    document.check()
    assert repr(row) == before


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(histories(max_patches=6), st.lists(malformed_rows() | unsupported_rows(), max_size=4), st.data())
def test_flawed_rows_among_a_history_leave_it_as_it_is(
    made: list[Patch], flawed: list[Flawed], data: st.DataObject
) -> None:
    clean = History(made)
    mixed = data.draw(st.permutations([*made, *(bad.row for bad in flawed)]))
    history = History()
    for item in mixed:
        history.add([item])
    assert history.text() == clean.text()
    assert history.heads == clean.heads
    assert history.patches() == clean.patches()
    blamed = {refused(bad.row) for bad in flawed}
    assert sorted(map(str, history.problems)) == sorted({*blamed, *map(str, clean.problems)})


def refused(row: dict[str, Any]) -> str:
    """The words in which it is."""
    with pytest.raises((MalformedRow, UnsupportedVersion)) as raised:
        Patch.from_row(row)
    return str(raised.value)


@given(malformed_rows())
def test_a_malformed_row_differs_from_a_sound_one_where_it_says(flawed: Flawed) -> None:
    row, why, sound = flawed
    differ = {name for name in {*row, *sound} if repr(row.get(name, ...)) != repr(sound.get(name, ...))}
    if why == "fields are missing":
        assert row == {name: sound[name] for name in row}
    else:
        assert differ == {why.partition(" ")[0].removesuffix(":")}


def test_each_kind_of_malformed_row_comes_up_and_so_does_each_reason_to_refuse_one() -> None:
    """An error's text without what it quotes stands for a rule: one that nothing drawn breaks is missing."""
    met = counted(malformed_rows(), lambda flawed: [flawed.why, refused(flawed.row)], 400)
    assert {why: met[why] for why in MALFORMED if not met[why]} == {}
    assert [part for part in REASONS if not any(part in text for text in met)] == []


def test_each_kind_of_unsupported_row_comes_up() -> None:
    met = counted(unsupported_rows(), lambda flawed: [flawed.why], 10, 12)
    assert {why: met[why] for why in UNSUPPORTED if met[why] < 10} == {}


REASONS = [
    "it is an integer, the format's number",
    "a row has v, id",
    "message is null",
    "an id is [doc, time, session]",
    "it has 40 digits of 0-9a-f",
    "its time is",
    "it lies in 1 .. 2^53 - 1",
    "its session is",
    "parents is",
    "delta is",
    "parents has",
    "delta has",
    "is not time:session",
    "they ascend by id",
    "parents; at most 1,024 are allowed",
    "is not above a parent's",
    "and more than 2^32 above",
    "author is",
    "author holds the lone surrogate",
    "author has",
    "message is",
    "message holds the lone surrogate",
    "message has",
    "wall is",
    "it lies in 0 .. 2^53 - 1",
    "operations; at most 100,000 are allowed",
    "bytes; at most 1,048,576 are allowed",
    "ends in a tab",
    "nothing else is escaped",
    "in an inserted text it is written %00",
    "delta: lone surrogate",
    "an insertion of nothing",
    "beside each other",
    "after = and - there is a count in ASCII digits",
    "a count is above 0 and begins with no 0",
    "a count is at most 2^53 - 1",
    "an empty operation",
    "what is kept at the end isn't written",
]


def test_a_flawed_row_shrinks_to_a_short_one() -> None:
    least = find(malformed_rows("delta: a count of zero"), lambda _: True, settings=afresh)
    assert least.row == {"v": 1, "id": [DOC, 2, "b"], "author": "", "wall": 0, "parents": "", "delta": "=0"}
    assert least.sound == {**least.row, "delta": ""}


@pytest.mark.parametrize("strategy", [malformed_rows, unsupported_rows])
def test_a_kind_of_flaw_that_there_is_not_is_the_caller_s_fault(strategy: Any) -> None:
    with pytest.raises(ValueError, match="no kind of row is \\['delta: boring'\\]"):
        strategy("delta: boring")


@given(st.sampled_from([None, 7, "row", b"row", [], ()]))
def test_what_is_no_object_is_no_row_and_for_documents_no_patch(value: Any) -> None:
    with pytest.raises(MalformedRow):
        Patch.from_row(value)
    with pytest.raises(PatchError):
        History().add([value])
