"""Hypothesis strategies: single well-formed patches and their rows, up to every limit of the format.

Here a patch stands alone: its parents are ids of nothing, its delta fits no text in particular. For
patches that belong together see `histories` in `strategies`. What comes out is deterministic: the same
choices give the same values. Limits are taken from `patch`, where the format has them; how many bytes a
row has is counted here, not by what is to be tested. Users import these from `strategies`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from hypothesis import strategies as st

from syncstring.patch import (
    MAX_AUTHOR,
    MAX_MESSAGE,
    MAX_OPERATIONS,
    MAX_PARENTS,
    MAX_ROW,
    MAX_TIME,
    MAX_TIME_STEP,
    MIN_WILD_TIME,
    Id,
    Patch,
)
from syncstring.testing.edits import texts
from syncstring.testing.reference import Ops, joined

__all__ = ["NAMES", "Row", "later_rows", "patches", "row_size", "rows"]

Row = dict[str, Any]

NAMES = ["b", "a", "Z", "10", "9", "ab", "_", "-"]
"""Sessions that sort against each other and against time: digits, upper case before lower case, one the
beginning of another."""

_LETTERS = "abz019AZ_-"
_MAX_COUNT = (1 << 53) - 1
_NOW = 1_432_111_222_333_444


def row_size(row: Row) -> int:
    """Bytes of the row in canonical form. O(row)."""
    return len(json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode())


def _longest(size: int) -> list[str]:
    """Texts of as many bytes of UTF-8 as `size` allows, made of letters of each length."""
    return [letter * (size // len(letter.encode())) for letter in "aé乙😀"]


# Hypothesis prefers fewer choices to smaller ones, so what is simplest comes first and as a `just`, which is
# no choice beyond that of the branch.
_sessions = (
    st.just(NAMES[0])
    | st.sampled_from(NAMES)
    | st.text(_LETTERS, min_size=1, max_size=48)
    | st.builds(str.__mul__, st.sampled_from(_LETTERS), st.just(48))
)
_older = (
    st.integers(1, 9)
    | st.integers(_NOW, _NOW + 9)
    | st.integers(MIN_WILD_TIME - MAX_TIME_STEP - 2, MIN_WILD_TIME - MAX_TIME_STEP + 2)
    | st.integers(MIN_WILD_TIME - 3, MIN_WILD_TIME + 3)
    | st.integers(MAX_TIME - MAX_TIME_STEP - 2, MAX_TIME - MAX_TIME_STEP + 2)
    | st.integers(MAX_TIME - 3, MAX_TIME - 1)
    | st.integers(1, MAX_TIME - 1)
)
_ids = st.builds(Id, _older, _sessions)
_few = st.just(set[Id]()) | st.sets(_ids, max_size=1) | st.sets(_ids, max_size=3)
_docs = (
    st.just("0" * 40)
    | st.just("f" * 40)
    | texts(3).map(lambda name: sha256(name.encode()).digest()[:20].hex())
)


def _fan(first: Id, width: int, step: int) -> set[Id]:
    """So many ids from the first one on: of one time, of one session, or both changing."""
    width = min(width, MAX_TIME - first.time) if step else width
    return {Id(first.time + step * i, first.session if step == 1 else f"s{i}") for i in range(width)}


_fans = st.builds(
    _fan, _ids, st.integers(2, 9) | st.integers(2, MAX_PARENTS) | st.just(MAX_PARENTS), st.integers(0, 1)
)


def _counts(op: int | str) -> int | str:
    """Joining neighbours may have made too large a count of two."""
    return op if isinstance(op, str) else max(-_MAX_COUNT, min(op, _MAX_COUNT))


def _canonical(items: Iterable[int | str]) -> Ops:
    return tuple(map(_counts, joined(item for item in items if item)))


_spans = st.integers(1, 9) | st.integers(1, _MAX_COUNT) | st.just(_MAX_COUNT)
_ops = st.just(()) | st.lists(
    texts(6) | _spans | _spans.map(lambda count: -count), min_size=1, max_size=6
).map(_canonical)
_authors = st.just("") | texts(9) | st.sampled_from(_longest(MAX_AUTHOR))
_messages = st.none() | texts(20) | st.sampled_from(_longest(MAX_MESSAGE))
_walls = (
    st.just(0)
    | st.integers(1, 9)
    | st.integers(_NOW, _NOW + 9)
    | st.integers(0, MAX_TIME)
    | st.just(MAX_TIME)
)


def _times(newest: int, least: int) -> st.SearchStrategy[int]:
    """Every time from `least` on that a patch may have whose greatest parent has time `newest`, or 0 without
    parents."""
    last = max(MIN_WILD_TIME - 1, min(newest + MAX_TIME_STEP, MAX_TIME))
    first = max(newest + 1, least)
    return (
        st.just(first) | st.integers(first, min(first + 3, last)) | st.integers(first, last) | st.just(last)
    )


def patches(large: bool = False) -> st.SearchStrategy[Patch]:
    """Single well-formed patches.

    None to 1,024 parents; times from 1 to 2^53 - 1, next to their parents' and as far above as is allowed;
    any `wall`; sessions, authors and messages from shortest to longest; deltas with texts of all kinds and
    counts to 2^53 - 1. With `large` some have as many operations or as many bytes as a row may, which takes
    some 10 ms each. Shrinks to `Patch((1, "b"), [], [], "", 0)`.
    """
    return _patches(large, 1)


@st.composite
def _patches(draw: st.DrawFn, large: bool, least: int) -> Patch:
    parents = draw(_few | _fans)
    id = draw(_times(max((time for time, _ in parents), default=0), least)), draw(_sessions)
    ops, author, wall = draw(_ops), draw(_authors), draw(_walls)
    message = draw(_messages)
    filling = draw(st.just("") | st.sampled_from(["operations", *"a\n\x01é😀"])) if large else ""
    if filling == "operations":
        ops = ("a", -1) * (MAX_OPERATIONS // 2)
    elif filling:
        row = Patch.of_ops(id, parents, (filling,), author, wall, message).to_row("0" * 40)
        one = row_size(row)
        row["delta"] += filling
        ops = (filling * (1 + (MAX_ROW - one) // (row_size(row) - one)),)
    return Patch.of_ops(id, parents, ops, author, wall, message)


def rows(doc: str | None = None, large: bool = False) -> st.SearchStrategy[Row]:
    """Rows of table `patches`, in canonical form, of well-formed patches: see `patches`.

    They lie in the document with the key `doc` (40 hex digits), by default in any. Each is drawn as a new
    dict, which is yours to change. Shrinks to that of the least patch, in document "0000…".
    """
    return st.builds(Patch.to_row, patches(large), _docs if doc is None else st.just(doc))


later_rows: st.SearchStrategy[Row] = st.builds(Patch.to_row, _patches(False, 2), _docs)
"""Rows whose time is at least 2: each might have a parent more."""
