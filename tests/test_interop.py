"""What comes from diff-match-patch and goes there means the same on both sides."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from diff_match_patch import diff_match_patch
from hypothesis import example, given
from hypothesis import strategies as st

from syncstring._diff import diff
from syncstring._patch import Ops, apply, compose, encode_delta, ops_apply
from syncstring.errors import MalformedRow, PatchError, UnsupportedVersion
from syncstring.interop import Unplaced, apply_context_patches, from_dmp_delta, to_dmp_delta

Units = Literal["utf16", "codepoints"]

LETTERS = "ab%\t\n\0+=- é\xffж\u0301\ud7ff\uffff😀\U0010ffff"
texts = st.text(LETTERS, max_size=20)
both = pytest.mark.parametrize("units", ["utf16", "codepoints"])


@st.composite
def deltas(draw: st.DrawFn) -> tuple[str, Ops]:
    """A text and a canonical delta that fits it."""
    text = draw(texts)
    splices, size = [], len(text)
    for _ in range(draw(st.integers(0, 6))):
        pos = draw(st.integers(0, size))
        delete = draw(st.integers(0, min(size - pos, 4)))
        insert = draw(st.text(LETTERS, max_size=4))
        splices.append((pos, delete, insert))
        size += len(insert) - delete
    return text, compose(splices)


def the_package() -> Any:
    package = diff_match_patch()
    package.Diff_Timeout = 0
    return package


# --- deltas -------------------------------------------------------------------------------------------


@both
@given(deltas())
def test_a_delta_comes_back_from_the_other_format(units: Units, case: tuple[str, Ops]) -> None:
    text, ops = case
    there = to_dmp_delta(ops, text, units)
    assert from_dmp_delta(there, text, units) == ops
    assert to_dmp_delta(encode_delta(ops), text, units) == there


@given(deltas())
def test_the_package_reads_what_we_write(case: tuple[str, Ops]) -> None:
    text, ops = case
    package = the_package()
    diffs = package.diff_fromDelta(text, to_dmp_delta(ops, text))
    assert package.diff_text1(diffs) == text
    assert package.diff_text2(diffs) == ops_apply(text, ops)
    assert package.diff_toDelta(diffs) == to_dmp_delta(ops, text)


@given(texts, texts)
@example("", "")
def test_we_read_what_the_package_writes(old: str, new: str) -> None:
    package = the_package()
    ops = from_dmp_delta(package.diff_toDelta(package.diff_main(old, new, False)), old)
    assert ops_apply(old, ops) == new
    assert from_dmp_delta(to_dmp_delta(ops, old), old) == ops


def test_what_is_counted_shows_behind_an_astral_character() -> None:
    ops: Ops = (2, "x", -1)
    assert to_dmp_delta(ops, "😀ab😀") == "=3\t+x\t-1\t=2"
    assert to_dmp_delta(ops, "😀ab😀", "codepoints") == "=2\t+x\t-1\t=1"
    assert from_dmp_delta("=3\t+x\t-1\t=2", "😀ab😀") == ops
    assert from_dmp_delta("=2\t+x\t-1\t=1", "😀ab😀", "codepoints") == ops


def test_what_does_nothing_is_dropped_and_neighbours_are_joined() -> None:
    written = "=1\t=1\t+\t+a\t=0\t+b\t\t-1\t-0\t-1\t=1\t"
    assert from_dmp_delta(written, "12345") == (2, "ab", -2)
    assert from_dmp_delta("", "") == from_dmp_delta("=5", "12345") == ()


@both
@pytest.mark.parametrize(
    ("delta", "says"),
    [
        ("=1\t*2", r"operation 1: '\*2' begins with neither"),
        ("=x", "operation 0: 'x' is no count"),
        ("=", "operation 0: '' is no count"),
        ("--1", "operation 0: '-1' is no count"),
        ("=٣", "operation 0: '٣' is no count"),
        ("=" + "9" * 5000, "operation 0: '9999.* is no count"),
        ("=2\t+100%", "operation 1: '%' is no escape"),
        ("+%4", "operation 0: '%4' is no escape"),
        ("+%zz", "operation 0: '%zz' is no escape"),
        ("+%ff", "operation 0: escapes that are not UTF-8"),
        ("+%ED%A0%BD", "operation 0: escapes that are not UTF-8"),
        ("+\ud83d", "operation 0: escapes that are not UTF-8"),
    ],
)
def test_a_malformed_delta_says_what_is_wrong(units: Units, delta: str, says: str) -> None:
    with pytest.raises(MalformedRow, match=says):
        from_dmp_delta(delta, "abc", units)


@pytest.mark.parametrize(
    ("delta", "says"),
    [
        ("", "covers 0 UTF-16 units, the text has 4"),
        ("=3", "covers 3 UTF-16 units, the text has 4"),
        ("=3\t-3", "covers 6 or more UTF-16 units, the text has 4"),
        ("=" + "9" * 16, "covers 9{16} or more UTF-16 units, the text has 4"),
        ("=2\t-2", "parts a character before UTF-16 unit 2"),
        ("-2\t=2", "parts a character before UTF-16 unit 2"),
    ],
)
def test_a_delta_on_another_text_is_refused(delta: str, says: str) -> None:
    with pytest.raises(PatchError, match=says):
        from_dmp_delta(delta, "a😀b")


def test_our_delta_on_another_text_is_refused() -> None:
    with pytest.raises(PatchError, match="text of 3 code points or more, this one has 2"):
        to_dmp_delta((1, -2), "ab")
    with pytest.raises(PatchError, match="lone surrogate"):
        to_dmp_delta(("\ud800",), "")
    with pytest.raises(MalformedRow, match="delta"):
        to_dmp_delta("=02\t-1", "abc")
    with pytest.raises(UnsupportedVersion):
        to_dmp_delta("*2", "abc")


# --- context patches ----------------------------------------------------------------------------------

POEM = (
    "The fog comes\non little cat feet.\n\nIt sits looking\nover harbor and city\n"
    "on silent haunches\nand then moves on.\n"
)


def made(old: str, new: str) -> str:
    package = the_package()
    return str(package.patch_toText(package.patch_make(old, new)))


def from_javascript(patches: str, old: str) -> str:
    """The same patches with headers as JavaScript writes them, for texts that are astral all over."""
    package = the_package()
    hunks = package.patch_fromText(patches)
    for hunk in hunks:
        hunk.start1 *= 2
        hunk.start2 *= 2
        hunk.length1 *= 2
        hunk.length2 *= 2
    return str(package.patch_toText(hunks))


def test_patches_do_to_their_own_text_what_they_were_made_for() -> None:
    new = POEM.replace("cat", "dog").replace("silent", "noisy") + "Fin\0 100% é😀\n"
    splices, unplaced = apply_context_patches(POEM, made(POEM, new))
    assert apply(POEM, splices) == new
    assert splices == diff(POEM, new)
    assert unplaced == []


def test_patches_find_their_place_in_a_text_that_moved_on() -> None:
    patches = made(POEM, POEM.replace("silent", "noisy"))
    moved = "A poem.\n\n" + POEM.replace("haunches", "hunches")
    splices, unplaced = apply_context_patches(moved, patches)
    assert apply(moved, splices) == moved.replace("silent", "noisy")
    assert unplaced == []


def test_what_finds_no_place_is_told_in_words_and_the_rest_is_done() -> None:
    patches = made(POEM, POEM.replace("cat", "dog").replace("silent", "noisy"))
    other = POEM.replace("on silent haunches\nand then moves on.\n", "0123456789" * 4)
    splices, unplaced = apply_context_patches(other, patches)
    assert apply(other, splices) == other.replace("cat", "dog")
    (lost,) = unplaced
    assert (lost.hunk, lost.delete, lost.insert, lost.partly) == (1, "silent", "noisy", False)
    # Where its context begins, or a little off: the package shifts what it looks for by its margin.
    assert abs(lost.pos - POEM.index("silent")) < 10
    assert str(lost).startswith("hunk 2 would delete 'silent' and insert 'noisy' near ")


def test_a_hunk_that_is_placed_in_part_says_which_part_is_missing() -> None:
    # Longer than the package looks for at once (32 characters): it is placed in parts.
    patch = (
        "@@ -1,84 +1,84 @@\n The fog \n-comes\n+crept\n"
        " %0Aon little cat feet.%0A%0AIt sits looking%0Aover harbor \n"
        "-and\n+but\n  city%0Aon silent ha\n"
    )
    splices, unplaced = apply_context_patches(POEM, patch)
    assert (apply(POEM, splices), unplaced) == (
        POEM.replace("comes", "crept").replace("and city", "but city"),
        [],
    )

    other = POEM[:38] + "~" * 60
    splices, unplaced = apply_context_patches(other, patch)
    assert apply(other, splices) == other.replace("comes", "crept")
    assert unplaced == [Unplaced(0, 0, "and", "but", True)]
    assert str(unplaced[0]).startswith("a part of hunk 1 would delete 'and' and insert 'but' near 0, but")


def test_a_line_for_people_is_short() -> None:
    lost = Unplaced(0, 7, "", "x" * 1000, True)
    assert str(lost).startswith(f"a part of hunk 1 would insert '{'x' * 39}…' near 7, but no text")


@given(texts, texts, texts)
@example("", "a", "")
@example("a", "", "a")
def test_the_text_that_patches_leave_is_the_packages(old: str, new: str, other: str) -> None:
    package = the_package()
    patches = made(old, new)
    for text in (old, other, old[:7] + other, other + old):
        after, placed = package.patch_apply(package.patch_fromText(patches), text)
        splices, unplaced = apply_context_patches(text, patches)
        assert apply(text, splices) == after
        assert bool(unplaced) == (not all(placed))


def test_long_patches_on_a_text_that_changed_all_over_leave_what_the_package_leaves() -> None:
    package = the_package()
    old = "".join(f"{i * i} bottles of beer on wall {i}\n" for i in range(60))
    new = (
        old.replace("bottles", "crates").replace("7", "seven").replace("wall 3", "the floor, and so on, " * 5)
    )
    new = new[:900] + new[1_400:]
    for text in (old, old.replace("beer", "ale"), old[300:], old.replace("9", ""), old[::-1]):
        patches = made(old, new)
        after, placed = package.patch_apply(package.patch_fromText(patches), text)
        splices, unplaced = apply_context_patches(text, patches)
        assert apply(text, splices) == after
        # A part that changes nothing may fail too: nothing is lost then.
        assert not unplaced or not all(placed)


def test_positions_in_utf16_units_are_understood() -> None:
    # Ten places look alike: only the position tells which is meant.
    old = "😀😀😀😀😀😀😁" * 10
    new = old[:34] + "🙃" + old[34:]
    javascript = from_javascript(made(old, new), old)
    splices, unplaced = apply_context_patches(old, javascript, "utf16")
    assert (apply(old, splices), unplaced) == (new, [])
    elsewhere, _ = apply_context_patches(old, javascript, "codepoints")
    assert apply(old, elsewhere) != new


def test_no_patches_do_nothing() -> None:
    assert apply_context_patches("abc", "") == ([], [])
    assert apply_context_patches("", "") == ([], [])


@pytest.mark.parametrize(
    ("patches", "says"),
    [
        ("nonsense", "line 1: 'nonsense' is no header"),
        ("\n@@ -1 +1 @@", "line 1: '' is no header"),
        ("+a", r"line 1: '\+a' is no header"),
        ("@@ -1,3 +1 @", "line 1: .* is no header"),
        ("@@ -1" + "0" * 5000 + " +1 @@\n a\n", "line 1: .* is no header"),
        ("@@ -1,3 +1,4 @@\n abc\n+d\n@ -9 +9 @@", "line 4: '@ -9 .9 @@' is no header"),
        ("@@ -1,3 +1,4 @@\n abc\n*d\n", r"line 3: '\*d' begins with neither"),
        ("@@ -1,3 +1,4 @@\n abc\n+%f\n", "line 3: '%f' is no escape"),
        ("@@ -1,3 +1,4 @@\n abc\n+%ff\n", "line 3: escapes that are not UTF-8"),
        ("@@ -1,3 +1,4 @@\n abc\n", "hunk 1: 4 characters by its header, 3 by its lines; was it cut off"),
        ("@@ -1,3 +1,4 @@\n", "hunk 1: 3 characters by its header, 0 by its lines"),
    ],
)
def test_malformed_patches_say_what_is_wrong(patches: str, says: str) -> None:
    with pytest.raises(MalformedRow, match=says):
        apply_context_patches("abc", patches)


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(PatchError, match="lone surrogate"):
        apply_context_patches("\ud800", made("abc", "abcd"))
