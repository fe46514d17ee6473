"""The pool, the gap buffer and the log are held against plain `str` operations."""

from __future__ import annotations

import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncstring._patch import apply, map_position
from syncstring._pool import TextPool
from syncstring._text import SpliceLog, TextBuffer
from syncstring.errors import PatchError

Splice = tuple[int, int, str]

# One alphabet for each width that CPython and the kernels know: ASCII, Latin-1, two bytes, four.
ASCII, LATIN, WIDE, ASTRAL = "ab\n\0", "é\xff", "ж\u0301\uffff", "😀\U0010ffff\U00100000"
ALPHABETS = [ASCII, ASCII + LATIN, ASCII + LATIN + WIDE, ASCII + LATIN + WIDE + ASTRAL]

texts = st.sampled_from(ALPHABETS).flatmap(lambda letters: st.text(letters, max_size=12))


@st.composite
def edits(draw: st.DrawFn) -> tuple[str, list[Splice]]:
    """A text and sequential splices that fit it."""
    start = draw(texts)
    size = len(start)
    splices: list[Splice] = []
    for _ in range(draw(st.integers(0, 12))):
        pos = draw(st.integers(0, size))
        delete = draw(st.integers(0, size - pos))
        insert = draw(texts)
        splices.append((pos, delete, insert))
        size += len(insert) - delete
    return start, splices


def spliced(text: str, splice: Splice) -> str:
    pos, delete, insert = splice
    return text[:pos] + insert + text[pos + delete :]


def logged(splices: list[Splice]) -> SpliceLog:
    log = SpliceLog(TextPool())
    for pos, delete, insert in splices:
        log.push(pos, delete, log.pool.push(insert), len(insert))
    return log


def same(built: str, expected: str) -> None:
    assert built == expected
    if len(expected) == 1 and expected < "Ā":
        return  # CPython keeps one of each, perhaps with its UTF-8 beside it
    # A str wider than its text needs would compare as different elsewhere: CPython trusts the widths.
    assert sys.getsizeof(built) == sys.getsizeof("".join([expected[:1], expected[1:]]))


@given(edits())
@example(("", [(0, 0, "a"), (1, 0, "é"), (2, 0, "ж"), (3, 0, "😀"), (3, 1, ""), (2, 1, "")]))
def test_a_buffer_holds_what_the_same_splices_make_of_a_str(case: tuple[str, list[Splice]]) -> None:
    text, splices = case
    buffer = TextBuffer(text)
    same(str(buffer), text)
    for splice in splices:
        buffer.splice(*splice)
        buffer.check()
        text = spliced(text, splice)
        assert len(buffer) == len(text)
        same(str(buffer), text)


@given(edits(), st.data())
def test_a_slice_is_the_slice_of_the_text_wherever_the_gap_is(
    case: tuple[str, list[Splice]], data: st.DataObject
) -> None:
    text, splices = case
    buffer = TextBuffer(text)
    for splice in splices:
        buffer.splice(*splice)
        text = spliced(text, splice)
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, len(text)))
    same(buffer.slice(start, stop), text[start:stop])


@given(edits(), edits())
def test_a_copy_is_edited_alone(one: tuple[str, list[Splice]], other: tuple[str, list[Splice]]) -> None:
    buffer = TextBuffer(one[0])
    for splice in one[1]:
        buffer.splice(*splice)
    before = str(buffer)
    twin = buffer.copy()
    twin.check()
    same(str(twin), before)
    twin.splice(0, len(twin), other[0])
    for splice in other[1]:
        twin.splice(*splice)
    same(str(buffer), before)
    buffer.check()
    twin.check()


@pytest.mark.parametrize("wider", [LATIN, WIDE, ASTRAL])
@pytest.mark.parametrize("narrow", [ASCII, LATIN, WIDE])
def test_a_wider_insertion_widens_the_text_and_changes_nothing_else_in_it(narrow: str, wider: str) -> None:
    for pos in range(len(narrow) + 1):
        buffer = TextBuffer(narrow)
        buffer.splice(pos, 0, wider)
        buffer.check()
        same(str(buffer), narrow[:pos] + wider + narrow[pos:])
        buffer.splice(pos, len(wider), "")
        same(str(buffer), narrow)


@st.composite
def far_edits(draw: st.DrawFn) -> tuple[str, list[Splice]]:
    """Edits at a few places of a long text, some great; what is deleted may reach over many."""
    letters = draw(st.sampled_from(ALPHABETS[:3]))
    size = draw(st.integers(0, 60_000))
    start = (letters * (size // len(letters) + 1))[:size]
    places = draw(st.lists(st.integers(0, 1_000), min_size=1, max_size=12))
    splices: list[Splice] = []
    for _ in range(draw(st.integers(0, 40))):
        pos = min(size, draw(st.sampled_from(places)) * size // 1_000 + draw(st.integers(0, 5)))
        other = draw(st.sampled_from(places)) * size // 1_000
        delete = draw(st.sampled_from([0, 0, 1, 7, 3_000, size // 3, max(0, other - pos)]))
        insert = draw(st.one_of(texts, st.sampled_from(["x" * 300, "y" * 5_000])))
        splices.append((pos, min(delete, size - pos), insert))
        size += len(insert) - min(delete, size - pos)
    return start, splices


@given(far_edits(), st.data())
def test_a_buffer_with_many_gaps_holds_what_the_same_splices_make_of_a_str(
    case: tuple[str, list[Splice]], data: st.DataObject
) -> None:
    text, splices = case
    buffer = TextBuffer(text)
    for splice in splices:
        buffer.splice(*splice)
        buffer.check()
        text = spliced(text, splice)
        same(str(buffer), text)
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, len(text)))
    same(buffer.slice(start, stop), text[start:stop])
    twin = buffer.copy()
    twin.check()
    same(str(twin), text)


def test_people_far_apart_do_not_make_the_text_between_them_move() -> None:
    people, apart, turns = 8, 100_000, 500
    buffer = TextBuffer("." * people * apart)
    for turn in range(turns):
        for person in range(people):
            # Whoever is further up has typed once more in this turn.
            buffer.splice(person * (apart + turn + 1) + turn, 0, "a")
        if turn == 0:
            assert buffer.gaps == people + 1  # one is where the text ends
            began = buffer.moved
    assert buffer.moved == began
    buffer.check()


def test_typing_at_two_far_places_moves_what_a_growing_text_costs_however_long_it_is() -> None:
    for size in (10_000, 100_000, 1_000_000):
        buffer = TextBuffer("." * size)
        for turn in range(size):
            buffer.splice(size // 10 + turn, 0, "a")
            buffer.splice(size // 10 * 9 + 2 * turn + 1, 0, "b")
        assert len(buffer) == 3 * size
        assert buffer.moved < 8 * 2 * size  # a few code points for one that was typed
        buffer.check()


def test_gaps_that_nobody_types_at_any_more_follow_those_who_type() -> None:
    size, turns = 200_000, 10_000
    buffer = TextBuffer("." * size)
    for step in (16, 8, 4, 2, 1):  # each between two: so that all have much room
        for i in range(0, 17, step):
            buffer.splice(i * size // 32, 1, "x")
    assert buffer.gaps == 16
    began = buffer.moved
    for _ in range(turns):  # two people where no gap is, nearer to each other than to any
        buffer.splice(size // 100 * 90, 1, "a")
        buffer.splice(size // 100 * 95, 1, "b")
    assert buffer.moved - began < 30 * size  # with one gap: 5,000 sizes
    assert buffer.gaps < 16
    buffer.check()


def test_a_block_that_is_full_grows_for_two_people_who_only_replace() -> None:
    size, turns = 100_000, 1_000
    buffer = TextBuffer("." * size)
    buffer.splice(size // 2, 0, "x" * (size // 2 - 300))  # it was half as great again as the text
    for _ in range(turns):
        buffer.splice(size // 10, 1, "a")
        buffer.splice(size, 1, "b")
    assert buffer.gaps > 1
    assert buffer.moved < 30 * size  # with one gap: 1,800 sizes
    buffer.check()


class OneGap:
    """What the classic buffer would move."""

    def __init__(self, size: int) -> None:
        self.gap = size
        self.moved = 0

    def splice(self, pos: int, delete: int, insert: str) -> None:
        self.moved += max(self.gap - pos - delete, pos - self.gap, 0)
        self.gap = pos + len(insert)


@given(far_edits())
def test_many_gaps_move_at_most_twice_what_one_would(case: tuple[str, list[Splice]]) -> None:
    text, splices = case
    one, buffer = OneGap(len(text)), TextBuffer(text)
    own = 0
    for pos, delete, insert in splices:
        one.splice(pos, delete, insert)
        buffer.splice(pos, delete, insert)
        own += delete + len(insert)
        assert buffer.moved <= 2 * (one.moved + own)


def test_what_is_deleted_around_a_gap_and_over_another_is_not_moved_first() -> None:
    buffer = TextBuffer("." * 40_000)
    buffer.splice(10_000, 0, "a")
    began = buffer.moved
    buffer.splice(8_000, 32_000, "")  # both gaps, the second at the end
    buffer.splice(7_000, 1_000, "")
    assert buffer.moved == began
    buffer.check()


def test_what_is_deleted_over_other_gaps_makes_one_of_them() -> None:
    text = "".join(chr(97 + i % 26) for i in range(90_000))
    buffer = TextBuffer(text)
    for place in (5_000, 25_000, 45_000, 65_000, 85_000):
        buffer.splice(place, 0, "!")
        text = spliced(text, (place, 0, "!"))
    assert buffer.gaps == 6  # and one at the end
    buffer.splice(20_000, 60_000, "?")
    assert buffer.gaps == 4  # a new one, instead of three
    buffer.check()
    same(str(buffer), spliced(text, (20_000, 60_000, "?")))


def test_what_is_typed_behind_two_gaps_that_met_stands_behind_both() -> None:
    for where in (10_000, 10_001, 10_002, 10_004):
        text, buffer = "." * 40_000 + "abcdefgh" * 5_000, TextBuffer()
        for splice in [
            (0, 0, text),
            (40_000, 0, "B"),  # a gap behind it
            (10_000, 0, "A"),
            (10_001, 30_001, ""),  # all up to that gap
            (where, 0, "!"),
        ]:
            buffer.splice(*splice)
            buffer.check()
        assert buffer.slice(9_998, 10_008) == spliced("..Aabcdefgha", (where - 9_998, 0, "!"))[:10]


def test_insertions_all_over_a_long_text_land_where_they_should() -> None:
    text, buffer = "", TextBuffer()
    for i in range(3000):
        place = i * 7919 % (len(text) + 1) if i % 3 else len(text) // 2
        splice = (place, 0, chr(97 + i % 26) * (i % 5))
        buffer.splice(*splice)
        text = spliced(text, splice)
    buffer.check()
    same(str(buffer), text)


@pytest.mark.parametrize(
    ("pos", "delete"),
    [
        (-1, 0),
        (4, 0),
        (0, -1),
        (0, 4),
        (3, 1),
        (2, 2),
        (0, sys.maxsize),
        (sys.maxsize, 1),
        (2**80, 0),
        (0, 2**80),
    ],
)
def test_a_splice_out_of_range_is_refused_and_changes_nothing(pos: int, delete: int) -> None:
    buffer = TextBuffer("abc")
    with pytest.raises(PatchError, match="text of 3"):
        buffer.splice(pos, delete, "x")
    assert str(buffer) == "abc"
    buffer.check()


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (2, 1), (0, 4), (4, 4), (0, 2**80), (-(2**80), 0)])
def test_a_slice_out_of_range_is_refused(start: int, stop: int) -> None:
    with pytest.raises(PatchError, match="text of 3"):
        TextBuffer("abc").slice(start, stop)


@pytest.mark.parametrize("bad", ["\ud800", "ab\udfff", "\ud83d\ude00", "😀\udc00"])
def test_lone_surrogates_are_refused_and_change_nothing(bad: str) -> None:
    buffer, pool = TextBuffer("abc"), TextPool()
    pool.push("ж")
    with pytest.raises(PatchError, match=r"lone surrogate U\+D[8-F]"):
        buffer.splice(1, 1, bad)
    with pytest.raises(PatchError, match="lone surrogate"):
        TextBuffer(bad)
    with pytest.raises(PatchError, match="lone surrogate"):
        pool.push(bad)
    assert str(buffer) == "abc"
    assert pool.read(0, len(pool)) == "ж"


@pytest.mark.parametrize("near", ["\ud7ff", "\ue000", "\U0001d800", "\U0010dfff"])
def test_neighbours_of_the_surrogates_are_text_like_any_other(near: str) -> None:
    buffer = TextBuffer("ab")
    buffer.splice(1, 0, near)
    same(str(buffer), f"a{near}b")


@given(st.lists(texts, max_size=12))
def test_a_pool_gives_back_every_text_whatever_came_after_it(pieces: list[str]) -> None:
    pool = TextPool()
    starts = []
    for piece in pieces:
        starts.append(pool.push(piece))
        pool.check()
    assert len(pool) == pool.length == sum(map(len, pieces))
    for start, piece in zip(starts, pieces, strict=True):
        same(pool.read(start, len(piece)), piece)
    same(pool.read(0, len(pool)), "".join(pieces))


@pytest.mark.parametrize(("start", "count"), [(-1, 1), (0, -1), (0, 4), (4, 0), (2, 2), (1, 2**80)])
def test_reading_outside_a_pool_is_refused(start: int, count: int) -> None:
    pool = TextPool()
    pool.push("abc")
    with pytest.raises(PatchError, match="pool of 3"):
        pool.read(start, count)


@given(edits(), st.data())
def test_replaying_a_log_equals_applying_its_splices_to_a_str(
    case: tuple[str, list[Splice]], data: st.DataObject
) -> None:
    text, splices = case
    log = logged(splices)
    log.check()
    assert len(log) == log.length == len(splices)
    assert log.splices(0, len(log)) == splices
    middle = data.draw(st.integers(0, len(splices)))
    buffer = TextBuffer(text)
    for first, last in ((0, middle), (middle, len(splices))):
        log.replay(buffer, first, last)
        for splice in splices[first:last]:
            text = spliced(text, splice)
        buffer.check()
        same(str(buffer), text)


def test_replay_stops_at_a_splice_that_does_not_fit_and_leaves_what_came_before() -> None:
    log = logged([(0, 0, "abc"), (2, 2, "x"), (0, 0, "y")])
    buffer = TextBuffer("")
    with pytest.raises(PatchError, match="splice 1 at 2 deletes 2, which is not within a text of 3"):
        log.replay(buffer, 0, 3)
    assert str(buffer) == "abc"
    buffer.check()


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_deletions_longer_than_any_text_are_refused_before_room_is_made_for_what_follows(count: int) -> None:
    log = logged([(0, sys.maxsize // 2, "")] * count + [(0, 0, "x")])
    buffer = TextBuffer("abc")
    with pytest.raises(PatchError, match="splice 0 at 0 deletes"):
        log.replay(buffer, 0, count + 1)
    assert str(buffer) == "abc"
    buffer.check()


@st.composite
def typing(draw: st.DrawFn) -> tuple[str, list[Splice]]:
    """Splices most of which go on where the one before them stopped."""
    start = draw(st.text("xyz", max_size=6))
    size, at, splices = len(start), draw(st.integers(0, len(start))), list[Splice]()
    for _ in range(draw(st.integers(0, 20))):
        kind = draw(
            st.sampled_from(["types", "types", "backspace", "backspace", "delete", "goes", "replaces"])
        )
        if kind == "goes":
            at = draw(st.integers(0, size))
        insert = draw(st.text("ab", min_size=1, max_size=3)) if kind in ("types", "replaces") else ""
        delete = draw(st.integers(1, 3)) if kind in ("backspace", "delete", "replaces") else 0
        at -= min(at, delete) if kind == "backspace" else 0
        delete = min(delete, size - at)
        if insert or delete:
            splices.append((at, delete, insert))
        at, size = at + len(insert), size + len(insert) - delete
    return start, splices


@given(typing())
@example(("", [(0, 0, "a"), (1, 0, "b"), (1, 1, ""), (1, 0, "c"), (0, 2, "")]))
@example(("xy", [(0, 0, "a"), (0, 1, ""), (0, 1, "b"), (1, 0, "c"), (2, 1, "")]))
def test_joined_splices_do_the_same_to_the_text_and_to_every_position(
    case: tuple[str, list[Splice]],
) -> None:
    start, splices = case
    log = logged(splices)
    log.join()
    log.check()
    joined = log.splices(0, len(log))
    assert apply(start, joined) == apply(start, splices)
    for pos in range(len(start) + 1):
        for sticks in ("after", "before"):
            assert map_position(pos, joined, sticks) == map_position(pos, splices, sticks)


def test_what_is_typed_or_deleted_in_a_row_is_one_splice() -> None:
    log = logged(
        [(2, 0, "he"), (4, 0, "ll"), (6, 0, "i"), (6, 1, ""), (6, 0, "o"), (9, 1, ""), (8, 1, ""), (8, 2, "")]
    )
    log.join()
    assert log.splices(0, len(log)) == [(2, 0, "hell"), (6, 0, "o"), (8, 4, "")]
    log = logged([(3, 0, "a"), (3, 1, "")])
    log.join()
    assert len(log) == 0


def test_a_log_cut_short_goes_on_from_there() -> None:
    log = logged([(0, 0, "ab"), (1, 1, ""), (0, 0, "c")])
    log.truncate(1)
    log.push(2, 0, log.pool.push("é"), 1)
    log.check()
    assert log.splices(0, 2) == [(0, 0, "ab"), (2, 0, "é")]
    for wrong in (-1, 3, 2**80):
        with pytest.raises(PatchError, match="log of 2"):
            log.truncate(wrong)


@pytest.mark.parametrize(
    "splice",
    [
        (-1, 0, 0, 0),
        (0, -1, 0, 0),
        (2**80, 0, 0, 0),
        (0, 2**80, 0, 0),
        (0, 0, -1, 0),
        (0, 0, 0, -1),
        (0, 0, 0, 4),
        (0, 0, 4, 0),
        (0, 0, 4, 2**80),
    ],
)
def test_a_log_refuses_splices_that_fit_no_text_or_no_pool(splice: tuple[int, int, int, int]) -> None:
    log = SpliceLog(TextPool())
    log.pool.push("abc")
    with pytest.raises(PatchError):
        log.push(*splice)
    assert len(log) == 0


@pytest.mark.parametrize(("first", "last"), [(-1, 0), (1, 0), (0, 3), (0, 2**80)])
def test_a_log_refuses_ranges_that_it_does_not_have(first: int, last: int) -> None:
    log = logged([(0, 0, "a"), (0, 0, "b")])
    with pytest.raises(PatchError, match="log of 2"):
        log.splices(first, last)
    with pytest.raises(PatchError, match="log of 2"):
        log.replay(TextBuffer(), first, last)


@pytest.mark.parametrize("wrong", [None, b"abc", 7])
def test_what_is_no_str_is_a_type_error(wrong: object) -> None:
    with pytest.raises(TypeError):
        TextBuffer("abc").splice(0, 0, wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        TextBuffer(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        TextPool().push(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        SpliceLog(wrong)  # type: ignore[arg-type]
