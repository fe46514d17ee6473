"""Conversions of positions are held against `str.encode`; those of splices against edits of encoded texts."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncstring import offsets
from syncstring.errors import PatchError

Splice = tuple[int, int, str]


class Kind(NamedTuple):
    """One unit: how it is encoded, and the functions that convert from and to it."""

    codec: str
    size: int
    length: Callable[[str], int]
    to: Callable[[str, int], int]
    back: Callable[..., int]
    splices_to: Callable[[str, list[Splice]], list[Splice]]
    splices_back: Callable[[str, list[Splice]], list[Splice]]


UTF16 = Kind(
    "utf-16-le",
    2,
    offsets.utf16_length,
    offsets.to_utf16,
    offsets.from_utf16,
    offsets.splices_to_utf16,
    offsets.splices_from_utf16,
)
UTF8 = Kind(
    "utf-8",
    1,
    offsets.utf8_length,
    offsets.to_utf8,
    offsets.from_utf8,
    offsets.splices_to_utf8,
    offsets.splices_from_utf8,
)
both = pytest.mark.parametrize("kind", [UTF16, UTF8], ids=["utf16", "utf8"])

# Every length in UTF-8, both in UTF-16, and what stands at the borders between them.
LETTERS = "a\0\x7f\x80é\u07ff\u0800ж\u0301\ud7ff\ue000\uffff\U00010000😀\U0010ffff"
texts = st.one_of(st.text("ab\n", max_size=20), st.text(LETTERS, max_size=20), st.text(max_size=20))


@st.composite
def edits(draw: st.DrawFn) -> tuple[str, list[Splice], str]:
    """A text, sequential splices in code points that fit it, and the text after them."""
    before = text = draw(texts)
    splices: list[Splice] = []
    for _ in range(draw(st.integers(0, 8))):
        pos = draw(st.integers(0, len(text)))
        delete = draw(st.integers(0, len(text) - pos))
        insert = draw(texts)
        splices.append((pos, delete, insert))
        text = text[:pos] + insert + text[pos + delete :]
    return before, splices, text


def units(text: str, kind: Kind) -> int:
    return len(text.encode(kind.codec)) // kind.size


# --- one position -------------------------------------------------------------------------------------


@both
@given(text=texts)
def test_a_length_is_that_of_the_encoded_text(kind: Kind, text: str) -> None:
    assert kind.length(text) == units(text, kind)


@both
@given(text=texts, data=st.data())
def test_a_position_counts_the_units_before_it_and_comes_back(
    kind: Kind, text: str, data: st.DataObject
) -> None:
    pos = data.draw(st.integers(0, len(text)))
    there = kind.to(text, pos)
    assert there == units(text[:pos], kind)
    assert kind.back(text, there) == pos


@both
@given(text=texts)
def test_every_unit_is_a_place_or_is_inside_a_character(kind: Kind, text: str) -> None:
    places = {units(text[:pos], kind): pos for pos in range(len(text) + 1)}
    for unit in range(units(text, kind) + 1):
        if unit in places:
            for inside in ("refuse", "before", "after"):
                assert kind.back(text, unit, inside) == places[unit]
            continue
        first = max(there for there in places if there < unit)
        before = places[first]
        with pytest.raises(PatchError, match=f" {unit} is inside a character that begins at {first};"):
            kind.back(text, unit)
        assert kind.back(text, unit, "before") == before
        assert kind.back(text, unit, "after") == before + 1


@both
@pytest.mark.parametrize("text", ["", "abc", "aж😀"])
def test_a_position_out_of_range_is_refused(kind: Kind, text: str) -> None:
    for pos in (-1, len(text) + 1, 2**80, -(2**80)):
        with pytest.raises(PatchError, match=rf"not within a text of {len(text)}"):
            kind.to(text, pos)
    for pos in (-1, units(text, kind) + 1, 2**80, -(2**80)):
        with pytest.raises(PatchError, match=rf"{pos} is not within a text of {units(text, kind)}"):
            kind.back(text, pos)


@both
@pytest.mark.parametrize("bad", ["\ud800", "a\udfffb", "\ud83d\ude00"])
def test_lone_surrogates_are_refused(kind: Kind, bad: str) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: kind.length(bad),
        lambda: kind.to(bad, len(bad)),
        lambda: kind.back(bad, len(bad)),
        lambda: kind.splices_to("abc", [(0, 0, bad)]),
        lambda: kind.splices_back("abc", [(0, 0, bad)]),
        lambda: kind.splices_back(bad, []),
    ]
    for call in calls:
        with pytest.raises(PatchError, match="lone surrogate"):
            call()


# --- lists of splices ---------------------------------------------------------------------------------


@both
@given(edits())
def test_splices_do_to_the_encoded_text_what_they_did_to_the_text(
    kind: Kind, case: tuple[str, list[Splice], str]
) -> None:
    before, splices, after = case
    converted = kind.splices_to(before, splices)
    encoded = before.encode(kind.codec)
    for pos, delete, insert in converted:
        start, stop = pos * kind.size, (pos + delete) * kind.size
        encoded = encoded[:start] + insert.encode(kind.codec) + encoded[stop:]
    assert encoded.decode(kind.codec) == after
    assert kind.splices_back(before, converted) == splices


@both
def test_a_long_list_all_over_a_long_text_comes_back(kind: Kind) -> None:
    chance = random.Random(1)
    before = after = "".join(chance.choices("aж😀", k=50_000))
    splices = []
    for _ in range(1_500):
        pos = chance.randrange(len(after) + 1)
        delete = min(chance.choice((0, 0, 1, 3, 1_500)), len(after) - pos)
        insert = chance.choice(("", "a", "😀ж", "ж" * 900, "é" * 2_500))
        splices.append((pos, delete, insert))
        after = after[:pos] + insert + after[pos + delete :]
    converted = kind.splices_to(before, splices)
    assert kind.splices_back(before, converted) == splices
    # What they leave is as long in units as they say: no drift from block to block.
    grown = sum(kind.length(insert) - delete for _, delete, insert in converted)
    assert units(before, kind) + grown == units(after, kind)


@both
def test_a_splice_that_fits_no_text_is_named(kind: Kind) -> None:
    good = (1, 0, "😀")
    for pos, delete in ((-1, 0), (0, -1), (5, 0), (2, 3), (0, 2**80)):
        with pytest.raises(PatchError, match=r"splice 1: .* not within a text of 4"):
            kind.splices_to("abc", [good, (pos, delete, "")])
    size = 3 + units("😀", kind)
    for pos, delete in ((-1, 0), (0, -1), (size + 1, 0), (2, size), (0, 2**80)):
        with pytest.raises(PatchError, match=rf"splice 1: .* not within a text of {size}"):
            kind.splices_back("abc", [good, (pos, delete, "")])


@both
@pytest.mark.parametrize(("pos", "delete"), [(302, 0), (302, 1), (301, 1), (0, 302)])
def test_a_splice_that_tears_a_character_is_refused(kind: Kind, pos: int, delete: int) -> None:
    with pytest.raises(PatchError, match=r"splice 0: .* 302 is inside a character that begins at 301"):
        kind.splices_back("a" * 301 + "😀" + "b" * 700, [(pos, delete, "x")])


# --- lines and columns --------------------------------------------------------------------------------


@given(st.text("a\r\nж😀", max_size=20), st.sampled_from(["utf16", "utf8", "codepoints"]))
def test_lines_and_columns_come_back_wherever_a_line_has_a_place(text: str, unit: Any) -> None:
    kinds = {"utf16": UTF16, "utf8": UTF8}
    lines, start = text.replace("\r\n", "\0\n").replace("\r", "\n").split("\n"), 0
    for line, content in enumerate(lines):
        shown = content.removesuffix("\0")
        for column in range(len(shown) + 1):
            expected = units(shown[:column], kinds[unit]) if unit in kinds else column
            assert offsets.to_line(text, start + column, unit) == (line, expected)
            assert offsets.from_line(text, line, expected, unit) == start + column
        assert offsets.from_line(text, line, 10_000, unit) == start + len(shown)
        if content != shown:
            with pytest.raises(PatchError, match="between the"):
                offsets.to_line(text, start + len(content), unit)
        start += len(content) + 1
    with pytest.raises(PatchError, match=rf"line {len(lines)} is not in a text of {len(lines)} lines"):
        offsets.from_line(text, len(lines), 0, unit)


def test_a_place_on_no_line_is_refused() -> None:
    with pytest.raises(PatchError, match="inside a character"):
        offsets.from_line("a\n😀", 1, 1)
    for line, column in ((-1, 0), (0, -1)):
        with pytest.raises(PatchError, match="count from 0"):
            offsets.from_line("a", line, column)
    for pos in (-1, 2):
        with pytest.raises(PatchError, match="text of 1 code points"):
            offsets.to_line("a", pos)
    with pytest.raises(PatchError, match="no unit 'utf32'"):
        offsets.to_line("a", 0, "utf32")  # type: ignore[arg-type]
