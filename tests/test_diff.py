"""Diffs: right for all texts, those of diff-match-patch within the budget, and never beyond the budget.

The package is the slow twin. It gives deletions and insertions apart, in either order; here each run
of them between two equalities is one splice, which is what is compared.
"""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
from diff_match_patch import diff_match_patch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from syncstring._diff import BUDGET, diff, diff_counted
from syncstring._pool import TextPool
from syncstring._text import SpliceLog, TextBuffer
from syncstring.errors import PatchError

Splice = tuple[int, int, str]

# One alphabet for each width that CPython and the kernels know, few letters each: much is alike then.
ALPHABETS = ["ab", "ab\n\0", "aé\xff", "aж\u0301\uffff", "a😀\U0010ffff\u0301\0é"]

texts = st.sampled_from(ALPHABETS).flatmap(lambda letters: st.text(letters, max_size=40))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str]:
    """Two texts: with nothing to do with each other, or the second edited out of the first."""
    old = draw(texts)
    if draw(st.booleans()):
        return old, draw(texts)
    new = old
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(new)))
        stop = draw(st.integers(start, min(start + 6, len(new))))
        new = new[:start] + draw(texts)[:6] + new[stop:]
    return old, new


def spliced(text: str, splices: list[Splice]) -> str:
    buffer = TextBuffer(text)
    for splice in splices:
        buffer.splice(*splice)
    return str(buffer)


def package_diff(old: str, new: str) -> list[Splice]:
    """What the package says, each run of edits between two equalities as one splice."""
    package = diff_match_patch()
    package.Diff_Timeout = 0
    splices: list[Splice] = []
    pos, delete, insert = 0, 0, ""
    for op, text in [*package.diff_main(old, new, False), (0, "")]:
        if op < 0:
            delete += len(text)
        elif op > 0:
            insert += text
        else:
            if delete or insert:
                splices.append((pos, delete, insert))
            pos += len(insert) + len(text)
            delete, insert = 0, ""
    return splices


def size(splices: list[Splice]) -> int:
    return sum(delete + len(insert) for _, delete, insert in splices)


@given(pairs())
@example(("", ""))
@example(("\0", ""))
@example(("", "\0"))
@example(("e\u0301", "e"))
@example(("\U0001f600", "\U0001f601"))
@example(("a\U0001f600b", "ab"))
@example(("abc", "\U0001f600abc"))
@example(("aab" * 20, "abb" * 20))
def test_a_diff_is_that_of_diff_match_patch(pair: tuple[str, str]) -> None:
    old, new = pair
    splices = diff(old, new)
    assert spliced(old, splices) == new
    assert splices == package_diff(old, new)


@given(
    st.sampled_from([*ALPHABETS, "abcdefghijklmnopqrstuvwxyz "]),
    st.integers(0, 400),
    st.sampled_from([0, 3, 30, 200]),
    st.sampled_from([0, 40, 400]),
    st.integers(0, 2**32),
)
@settings(max_examples=60)
def test_a_diff_of_texts_that_are_far_apart_is_that_of_diff_match_patch(
    letters: str, length: int, times: int, grown: int, seed: int
) -> None:
    # Far enough for several blocks of diagonals and several batches of columns; many more insertions than
    # deletions or the other way round, and, where the texts have nothing to do with each other, as many.
    chance = random.Random(seed)
    old = prose(chance, length, letters)
    new = edited(chance, old, min(times, length), letters)[0] if times else prose(chance, length, letters)
    pos = chance.randint(0, len(new))
    new = new[:pos] + prose(chance, grown, letters) + new[pos:]
    assert diff(old, new) == package_diff(old, new)
    assert diff(new, old) == package_diff(new, old)


@pytest.mark.parametrize("letter", ["a", "é", "ж", "😀"])
@pytest.mark.parametrize("length", [*range(1, 20), 63, 64, 65, 130])
def test_what_is_the_same_from_one_end_to_the_other_is_kept(letter: str, length: int) -> None:
    # The bisection compares 8 bytes at a time, from either end, and may look beyond where a text ends.
    same = letter * length
    old, new = f"x{same}yz", f"y{same}zx"
    assert diff(old, new) == package_diff(old, new)
    assert size(diff(old, new)) <= 6


@pytest.mark.parametrize("length", [50, 51, 52, 53, 54, 55, 56, 57])
def test_zeros_are_no_longer_the_same_where_one_text_ends(length: int) -> None:
    # Behind a text the kernel has zeros of its own.
    old, new = "a" + "\0" * 200 + "b", "c" + "\0" * length
    assert diff(old, new) == package_diff(old, new)
    assert diff(old[::-1], new[::-1]) == package_diff(old[::-1], new[::-1])


@pytest.mark.parametrize("length", range(2, 70))
def test_one_letter_in_common_is_found(length: int) -> None:
    old, new = "a" * length + "x" + "b", "cd" + "x" + "e" * (length - 2)
    assert size(diff(old, new)) == len(old) + len(new) - 2
    assert size(diff(new, old)) == len(old) + len(new) - 2


@given(pairs(), st.data())
def test_a_diff_is_right_with_any_budget_and_never_exceeds_it(
    pair: tuple[str, str], data: st.DataObject
) -> None:
    old, new = pair
    best, needed = diff_counted(old, new)
    budget = data.draw(st.integers(0, needed + 1))
    splices, steps = diff_counted(old, new, budget)
    assert spliced(old, splices) == new
    assert steps <= budget
    if budget > needed:
        assert (splices, steps) == (best, needed)


@given(pairs())
def test_splices_rise_are_apart_and_change_something(pair: tuple[str, str]) -> None:
    end = -1
    for pos, delete, insert in diff(*pair):
        assert pos > end
        assert delete or insert
        end = pos + len(insert)


# --- where the caret stands ---------------------------------------------------------------------------


@pytest.mark.parametrize("cursor", [1, 2, 3, 4])
def test_a_letter_typed_among_its_likes_stands_before_the_cursor(cursor: int) -> None:
    assert diff("aaa", "aaaa", cursor) == [(cursor - 1, 0, "a")]


@pytest.mark.parametrize("cursor", [0, 1, 2])
def test_a_letter_deleted_among_its_likes_stood_at_the_cursor(cursor: int) -> None:
    assert diff("aaa", "aa", cursor) == [(cursor, 1, "")]


def test_a_repeated_line_is_inserted_before_the_cursor() -> None:
    assert diff("one\ntwo\n", "one\none\ntwo\n", 4) == [(0, 0, "one\n")]
    assert diff("one\ntwo\n", "one\none\ntwo\n", 8) == [(4, 0, "one\n")]
    assert diff("one\ntwo\n", "one\none\ntwo\n", 6) == [(2, 0, "e\non")]


@given(texts, texts, st.data())
def test_a_single_edit_is_found_where_the_cursor_says(text: str, insert: str, data: st.DataObject) -> None:
    pos = data.draw(st.integers(0, len(text)))
    grown = text[:pos] + insert + text[pos:]
    assert diff(text, grown, pos + len(insert)) == ([(pos, 0, insert)] if insert else [])
    assert diff(grown, text, pos) == ([(pos, len(insert), "")] if insert else [])


@given(pairs(), st.data())
def test_a_cursor_elsewhere_changes_nothing_but_a_single_edits_place(
    pair: tuple[str, str], data: st.DataObject
) -> None:
    old, new = pair
    plain = diff(old, new)
    cursor = data.draw(st.integers(0, len(new)))
    hinted = diff(old, new, cursor)
    assert spliced(old, hinted) == new
    if hinted != plain:
        ((pos, delete, insert),) = hinted
        assert (delete == 0) != (insert == "")
        assert pos + len(insert) == cursor
        assert size(hinted) == size(plain)


@pytest.mark.parametrize("cursor", [-1, 5, 2**80, -(2**80)])
def test_a_cursor_outside_the_new_text_is_refused(cursor: int) -> None:
    with pytest.raises(PatchError, match="new text of 4"):
        diff("aaa", "aaaa", cursor)


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["\ud800", "ab\udfff", "\ud83d\ude00", "😀" * 40 + "\udc00"])
def test_lone_surrogates_are_refused_on_either_side(bad: str) -> None:
    for pair in ((bad, "abc"), ("abc", bad), (bad, bad)):
        with pytest.raises(PatchError, match=r"lone surrogate U\+D[8-F].. at \d+ of a text of"):
            diff(*pair)


@pytest.mark.parametrize("near", ["\ud7ff", "\ue000", "\U0001d800", "\U0010dfff"])
def test_neighbours_of_the_surrogates_are_text_like_any_other(near: str) -> None:
    assert diff("ab", f"a{near}b") == [(1, 0, near)]


@pytest.mark.parametrize("wrong", [None, b"abc", 7])
def test_what_is_no_str_is_a_type_error(wrong: object) -> None:
    with pytest.raises(TypeError):
        diff("abc", wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        diff(wrong, "abc")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        diff("abc", "abcd", "2")  # type: ignore[arg-type]


# --- large texts --------------------------------------------------------------------------------------


def prose(chance: random.Random, length: int, letters: str = "abcdefghijklmnopqrstuvwxyz ") -> str:
    return "".join(chance.choices(letters, k=length))


def edited(
    chance: random.Random, text: str, times: int, letters: str = "abcdefghijklmnopqrstuvwxyz "
) -> tuple[str, int]:
    """The text with that many small edits all over it, and how much they inserted and deleted."""
    changed, at, parts = 0, 0, []
    for pos in sorted(chance.sample(range(len(text)), times)):
        if pos < at:
            continue
        delete, insert = chance.randrange(4), prose(chance, chance.randrange(1, 8), letters)
        parts += [text[at:pos], insert]
        at = pos + delete
        changed += delete + len(insert)
    return "".join([*parts, text[at:]]), changed


@pytest.mark.parametrize("letters", ["abcdefghijklmnopqrstuvwxyz ", "ab", "aéж😀"])
def test_two_wholly_different_texts_of_100000_are_diffed_within_the_budget(letters: str) -> None:
    chance = random.Random(1)
    old, new = prose(chance, 100_000, letters), prose(chance, 100_000, letters)
    splices, steps = diff_counted(old, new)
    assert steps <= BUDGET
    assert spliced(old, splices) == new
    assert diff(old, new) == splices


def test_beyond_the_budget_what_is_the_same_is_still_found() -> None:
    chance = random.Random(2)
    old = prose(chance, 1_000_000)
    new, changed = edited(chance, old, 5_000)
    splices, steps = diff_counted(old, new)
    assert steps == BUDGET, "this pair is meant to need more"
    assert spliced(old, splices) == new
    assert size(splices) < 4 * changed


def test_beyond_the_budget_blocks_in_another_order_are_mostly_kept() -> None:
    chance = random.Random(3)
    lines = [prose(chance, 60) + "\n" for _ in range(4_000)]
    old = "".join(lines)
    new = "".join(lines[2_000:] + lines[:2_000])
    splices, _ = diff_counted(old, new)
    assert spliced(old, splices) == new
    assert size(splices) <= len(old)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_a_key_pressed_in_a_long_text_costs_no_step(fraction: float) -> None:
    text = prose(random.Random(4), 200_000)
    pos = int(fraction * len(text))
    splices, steps = diff_counted(text, f"{text[:pos]}ж{text[pos:]}")
    assert (splices, steps) == ([(pos, 0, "ж")], 0)


def test_steps_grow_with_the_text_times_the_edits() -> None:
    chance = random.Random(5)

    def steps(length: int, times: int) -> int:
        text = prose(chance, length)
        new, changed = edited(chance, text, times)
        return diff_counted(text, new)[1] // changed

    # Twice the text for the same number of edits: no more than twice the work, and a little.
    small, double, again = (steps(length, 20) for length in (20_000, 40_000, 80_000))
    assert double < 3 * small
    assert again < 3 * double
    assert again < 80_000


def test_what_is_only_inserted_costs_few_steps_however_much_it_is() -> None:
    chance = random.Random(7)
    text = prose(chance, 3_000)

    def steps(length: int) -> int:
        new = "".join(prose(chance, length) + text[i : i + 1_000] for i in range(0, 3_000, 1_000))
        splices, forth = diff_counted(text, f"{new}.")
        assert size(splices) == 3 * length + 1
        return max(forth, diff_counted(f"{new}.", text)[1])

    # A path with any deletion is too long: the rounds grow with what is inserted, not their diagonals.
    assert steps(1_000) < 100 * 3_000
    assert steps(4_000) < 100 * 12_000


@pytest.mark.parametrize("trace", ["automerge-paper", "sveltecomponent", "json-crdt-patch"])
def test_versions_of_real_texts_are_diffed_as_diff_match_patch_does(traces: Path, trace: str) -> None:
    recorded = json.loads(gzip.decompress((traces / f"{trace}.json.gz").read_bytes()))
    log = SpliceLog(TextPool())
    for transaction in recorded["txns"]:
        for pos, delete, insert in transaction["patches"]:
            log.push(pos, delete, log.pool.push(insert), len(insert))
    chance = random.Random(6)
    for gap, times in ((1, 60), (7, 40), (60, 20), (300, 3)):
        for start in sorted(chance.sample(range(len(log) - gap), times)):
            buffer = TextBuffer(recorded["startContent"])
            log.replay(buffer, 0, start)
            old = str(buffer)
            log.replay(buffer, start, start + gap)
            new = str(buffer)
            splices, steps = diff_counted(old, new)
            assert spliced(old, splices) == new
            assert steps < BUDGET
            assert splices == package_diff(old, new), (trace, start, gap)
