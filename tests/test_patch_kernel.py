"""What splices and deltas do to texts, to each other and to positions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncstring._patch import (
    MAX_COUNT,
    Splice,
    apply,
    compose,
    consumed,
    decode_delta,
    encode_delta,
    growth,
    invert,
    map_position,
    ops_apply,
    ops_splices,
    transform,
)
from syncstring.errors import MalformedRow, PatchError, UnsupportedVersion
from syncstring.testing import reference

NOTABLE = "ab\n\t\0%=+-é\u0100\u0301\ud7ff\ufffd\U00010000😀\U0010ffff"
TEXTS = st.text(st.sampled_from(NOTABLE) | st.characters(exclude_categories=("Cs",)), max_size=30)


@st.composite
def edits(draw: st.DrawFn, length: int) -> list[tuple[int, int, str]]:
    splices = []
    for _ in range(draw(st.integers(0, 8))):
        pos = draw(st.integers(0, length))
        delete = draw(st.integers(0, min(6, length - pos)))
        insert = draw(TEXTS)
        splices.append((pos, delete, insert))
        length += len(insert) - delete
    return splices


@st.composite
def text_and_edits(draw: st.DrawFn, count: int = 1):  # type: ignore[no-untyped-def]
    text = draw(TEXTS)
    return text, *(draw(edits(len(text))) for _ in range(count))


@given(text_and_edits())
def test_a_composed_delta_is_the_one_that_its_definition_gives(given):
    _, splices = given
    assert compose(splices) == reference.compose(splices)


@given(text_and_edits())
def test_a_composed_delta_does_what_its_splices_did(given):
    text, splices = given
    assert ops_apply(text, compose(splices)) == apply(text, splices) == reference.apply(text, splices)


@given(text_and_edits())
def test_a_delta_and_its_splices_say_the_same(given):
    text, splices = given
    ops = compose(splices)
    derived = ops_splices(ops)
    assert compose(derived) == ops
    assert all(type(splice) is Splice for splice in derived)
    assert apply(text, derived) == ops_apply(text, ops)


@given(text_and_edits())
def test_derived_splices_insert_first_and_then_delete_from_the_right(given):
    _, splices = given
    derived = ops_splices(compose(splices))
    deletes = [splice.delete > 0 for splice in derived]
    assert deletes == sorted(deletes)
    places = [splice.pos for splice in derived if splice.delete]
    assert places == sorted(places, reverse=True)


def test_an_insertion_keeps_its_side_of_a_deletion():
    assert ops_splices((1, "x", -2, "y")) == [(3, 0, "y"), (1, 2, "x")]
    assert compose([(3, 0, "y"), (1, 2, "x")]) == (1, "x", -2, "y")


@given(text_and_edits())
def test_counts_of_a_delta_are_those_of_its_effect(given):
    text, splices = given
    ops = compose(splices)
    assert consumed(ops) == reference.consumed(ops) <= len(text)
    assert growth(ops) == len(apply(text, splices)) - len(text)


def test_a_hundred_thousand_splices_anywhere_compose():
    splices = [(i * 7919 % (i + 1), 0, "x") for i in range(100_000)]
    assert compose(splices) == ("x" * 100_000,)
    replaced = [(i * 7919 % 300_000, 1, "y") for i in range(100_000)]
    assert apply("x" * 300_000, ops_splices(compose(replaced))) == apply("x" * 300_000, replaced)


@given(text_and_edits())
def test_an_inverse_takes_back(given):
    text, splices = given
    assert apply(apply(text, splices), invert(text, splices)) == text


@given(text_and_edits(2), st.booleans())
def test_edits_beside_each_other_meet_in_one_text(given, first):
    text, a, b = given
    one = apply(apply(text, b), transform(a, b, first))
    two = apply(apply(text, a), transform(b, a, not first))
    assert one == two


@given(text_and_edits())
def test_nothing_changes_beside_nothing(given):
    _, splices = given
    assert compose(transform(splices, [])) == compose(splices)
    assert transform([], splices) == []


def test_of_two_insertions_at_one_place_the_one_that_is_first_stands_left():
    a, b = [(1, 0, "a")], [(1, 0, "b")]
    assert apply(apply("--", b), transform(a, b)) == "-ba-"
    assert apply(apply("--", b), transform(a, b, first=True)) == "-ab-"


@given(st.data())
def test_a_position_stays_with_its_neighbour(data):
    """Neighbours are marked by being unique; what is inserted never is."""
    text = "".join(map(chr, range(0x4E00, 0x4E00 + data.draw(st.integers(0, 12)))))
    splices = data.draw(edits(len(text)))
    pos = data.draw(st.integers(0, len(text)))
    after = apply(text, splices)
    if pos < len(text) and text[pos] in after:
        assert after.index(text[pos]) == map_position(pos, splices)
    if pos and text[pos - 1] in after:
        assert after.index(text[pos - 1]) + 1 == map_position(pos, splices, sticks="before")


@given(st.data())
def test_positions_keep_their_order_and_stay_in_the_text(data):
    text = data.draw(TEXTS)
    splices = data.draw(edits(len(text)))
    for sticks in ("before", "after"):
        mapped = [map_position(pos, splices, sticks) for pos in range(len(text) + 1)]
        assert mapped == sorted(mapped)
        assert mapped[0] >= 0 and mapped[-1] <= len(apply(text, splices))


def test_a_position_beside_a_replacement():
    def at(pos: int, sticks: str) -> int:
        return map_position(pos, [(2, 3, "xy")], sticks)

    assert [at(pos, "after") for pos in range(7)] == [0, 1, 4, 4, 4, 4, 5]
    assert [at(pos, "before") for pos in range(7)] == [0, 1, 2, 4, 4, 4, 5]


@given(text_and_edits())
def test_a_delta_survives_being_written(given):
    _, splices = given
    ops = compose(splices)
    written = encode_delta(ops)
    assert decode_delta(written) == ops
    assert "\0" not in written


def test_a_written_delta_looks_like_this():
    assert encode_delta((5, "a%\t\0b", -2)) == "=5\t+a%25%09%00b\t-2"
    assert encode_delta(()) == ""
    assert decode_delta("+%2509") == ("%09",)


@pytest.mark.parametrize(
    ("delta", "says"),
    [
        ("\t", "empty operation at 0"),
        ("+a\t", "ends in a tab"),
        ("+a\t\t-1", "empty operation at 3"),
        ("+", "insertion of nothing at 0"),
        ("+a\t+b", "two insertions beside each other at 3"),
        ("-1\t-1", "two deletions beside each other at 3"),
        ("=1\t=1\t+a", "two keeps beside each other at 3"),
        ("-0", "begins with no 0"),
        ("=01\t+a", "begins with no 0"),
        ("=\t+a", "count in ASCII digits"),
        ("-1a", "count in ASCII digits"),
        ("-١", "count in ASCII digits"),
        ("--1", "count in ASCII digits"),
        (f"-{MAX_COUNT + 1}", "at most 2^53 - 1"),
        ("-" + "9" * 5000, "at most 2^53 - 1"),
        ("+a\t=1", "what is kept at the end"),
        ("=1", "what is kept at the end"),
        ("+%", "%25, %09 and %00"),
        ("+%2", "%25, %09 and %00"),
        ("+%41", "%25, %09 and %00"),
        ("+a\0", "written %00"),
        ("+\ud800", "lone surrogate U+D800 at 1"),
    ],
)
def test_a_malformed_delta_is_refused_with_its_own_reason(delta, says):
    with pytest.raises(MalformedRow) as refused:
        decode_delta(delta)
    assert says in str(refused.value)


def test_an_operation_that_nobody_knows_yet_is_not_malformed():
    with pytest.raises(UnsupportedVersion):
        decode_delta("=1\t*3")


@given(st.text(st.sampled_from("=+-\t%0915a"), max_size=12))
def test_only_the_canonical_form_is_read(delta):
    try:
        ops = decode_delta(delta)
    except (MalformedRow, UnsupportedVersion):
        return
    assert encode_delta(ops) == delta


@pytest.mark.parametrize(
    "splice",
    [(-1, 0, "a"), (0, -1, ""), (0, 0, "\ud800"), (0, 0, None), (0.0, 0, "a"), (True, 0, "a"), (0, 0), "abc",
     7, (1 << 60, 0, "a"), (1 << 99, 0, "a")],
)  # fmt: skip
def test_a_splice_that_can_not_be_meant_is_refused(splice):
    for kernel in (
        compose,
        lambda s: apply("abc", s),
        lambda s: invert("abc", s),
        lambda s: map_position(0, s),
    ):
        with pytest.raises(PatchError):
            kernel([splice])


@pytest.mark.parametrize("splice", [(4, 0, "a"), (0, 4, ""), (2, 2, "")])
def test_a_splice_beyond_the_text_is_refused(splice):
    with pytest.raises(PatchError):
        apply("abc", [splice])
    with pytest.raises(PatchError):
        invert("abc", [splice])


def test_a_position_sticks_to_one_side_or_the_other():
    with pytest.raises(PatchError, match="sticks"):
        map_position(0, [], "between")
