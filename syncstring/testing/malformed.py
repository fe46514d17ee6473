"""Hypothesis strategies: rows that break one rule of the format each, and rows of a format to come.

Two tables hold the kinds: what is wrong, in words that begin with the field; then, given a well-formed row,
the values that are wrong there. So a row differs from a well-formed one in the field that is named (in some
kinds, in which fields it has) and in nothing else. The rules are those of FORMAT.md, sections 2 to 4 and 6,
written here once more rather than asked of `patch`. What comes out is deterministic: the same choices give
the same values. All are objects as JSON might hold them, though some could not be written as JSON in UTF-8.
Users import these from `strategies`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

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
)
from syncstring.testing.edits import FAR
from syncstring.testing.rows import Row, later_rows, row_size

__all__ = ["MALFORMED", "UNSUPPORTED", "Flawed", "malformed_rows", "unsupported_rows"]


class Flawed(NamedTuple):
    """A row that is to be refused, what is wrong with it, and the well-formed row that it was made from."""

    row: Row
    why: str
    sound: Row


Values = st.SearchStrategy[Any]
Break = Callable[[Row], Values]  # from the well-formed row the values of a field that break a rule

_WHOLE = ["1", 1.0, 1.5, float("nan"), float("inf"), True, False, None, [1], {"1": 1}]  # are no integers
_STRINGS = [None, 7, 1.5, True, [], ["a"], {}, {"a": "b"}]  # are no strings
_LONE = ["\ud800", "a\udfff", "\udc00\ud800", "\ude00\ud83d"]  # the last two are a pair the wrong way round
_LARGE = [MAX_TIME + 1, 1 << 63, 1 << 64, 10**30]  # beyond 2^53 - 1, and where a machine's integers wrap
_SESSIONS = ["", "a b", "é", "a\n", "\0", "a:b", "a\tb", "a.b", "x" * 49, "٣", "ａ", "\ud800"]


def _values(*values: Any) -> Break:
    return lambda row: st.sampled_from(values)


# --- ids ------------------------------------------------------------------------------------------------


def _id(place: int, *values: Any) -> Break:
    """The id with another value at a place."""
    return lambda row: st.sampled_from(values).map(
        lambda value: [*row["id"][:place], value, *row["id"][place + 1 :]]
    )


def _newest(row: Row) -> int:
    """The time of the greatest parent, or 0."""
    return int(row["parents"].rpartition("\t")[2].partition(":")[0] or 0)


def _wild(row: Row) -> Values:
    """An id whose time is 2^52 or later and too far above all that it knew."""
    doc, _, session = row["id"]
    first = max(MIN_WILD_TIME, _newest(row) + MAX_TIME_STEP + 1)
    times = st.just(first) | st.integers(first, MAX_TIME) | st.just(MAX_TIME)
    return times.map(lambda time: [doc, time, session])


def _knows_newer(row: Row) -> Values:
    """An id whose time is that of a parent, or less."""
    doc, _, session = row["id"]
    newest = _newest(row)
    return st.integers(max(newest - 3, 1), newest).map(lambda time: [doc, time, session])


# --- parents -----------------------------------------------------------------------------------------------


def _tokens(written: str) -> list[str]:
    return written.split("\t") if written else []


def _with_token(name: str, values: Values) -> Break:
    """A list joined by tabs with one more in it, anywhere."""

    def put(row: Row) -> Values:
        tokens = _tokens(row[name])
        return st.builds(
            lambda value, place: "\t".join([*tokens[:place], value, *tokens[place:]]),
            values,
            st.integers(0, len(tokens)),
        )

    return put


def _parents(*tokens: str) -> Break:
    return _with_token("parents", st.sampled_from(tokens))


def _swapped(row: Row) -> Values:
    parents = _tokens(row["parents"])
    if len(parents) < 2:
        return st.sampled_from(["1:b\t1:a", "1:ab\t1:a", "1:_\t1:-", "1:a\t1:Z"])
    places = st.integers(0, len(parents) - 2)
    return places.map(lambda i: "\t".join([*parents[:i], parents[i + 1], parents[i], *parents[i + 2 :]]))


def _doubled(row: Row) -> Values:
    parents = _tokens(row["parents"]) or ["1:a"]
    return st.integers(0, len(parents) - 1).map(lambda i: "\t".join([*parents[: i + 1], *parents[i:]]))


def _too_new(row: Row) -> Values:
    """One more parent, of the patch's own time or a later one."""
    time, session = row["id"][1:]
    latest = st.integers(time, min(time + 3, MAX_TIME)) | st.integers(time, MAX_TIME)
    return latest.map(lambda time: "\t".join([*_tokens(row["parents"]), f"{time}:{session}"]))


def _too_many(row: Row) -> Values:
    """More than 1,024 ids, ascending and all older than the patch; unless it is of time 1."""
    widths = st.just(MAX_PARENTS + 1) | st.integers(MAX_PARENTS + 1, 2 * MAX_PARENTS)
    newest = row["id"][1] - 1
    return widths.map(lambda width: "\t".join(f"{newest}:{i:05}" for i in range(width)))


def _joined_otherwise(row: Row) -> Values:
    parents = _tokens(row["parents"])
    if len(parents) < 2:
        parents = ["1:a", "1:b"]
    separators = st.sampled_from([",", " ", "\n", "\t\t", ", ", ";", "", "\0", "\t\n"])
    return separators.map(lambda separator: separator.join(parents))


# --- deltas ------------------------------------------------------------------------------------------------


def _delta(*tokens: str) -> Break:
    return _with_token("delta", st.sampled_from(tokens))


def _unjoined(row: Row) -> Values:
    """Two operations of a kind beside each other."""
    operations = _tokens(row["delta"]) or ["=1", "+a"]
    return st.integers(0, len(operations) - 1).flatmap(
        lambda i: st.sampled_from([operations[i], operations[i][0] + "7"]).map(
            lambda twin: "\t".join([*operations[: i + 1], twin, *operations[i + 1 :]])
        )
    )


def _kept_at_the_end(row: Row) -> Values:
    return st.integers(1, 9).map(lambda count: "\t".join([*_tokens(row["delta"]), f"={count}"]))


def _stray_tab(row: Row) -> Values:
    delta = row["delta"]
    if not delta:
        return st.just("\t")
    inside = [delta.replace("\t", "\t\t", 1)] if "\t" in delta else []
    return st.sampled_from([delta + "\t", "\t" + delta, *inside])


def _too_many_operations(row: Row) -> Values:
    pairs = ["+a", "-1"] * (MAX_OPERATIONS // 2)
    return st.integers(1, 3).map(lambda more: "\t".join(pairs + ["+a", "-1", "+a"][:more]))


def _too_large(row: Row) -> Values:
    """An insertion that alone makes the row's canonical bytes too many; by one byte, where that can be."""

    def delta(letter: str, more: int) -> str:
        empty = row_size({**row, "delta": "+"})
        each = row_size({**row, "delta": "+" + letter}) - empty
        return "+" + letter * ((MAX_ROW - empty) // each + more)

    return st.builds(delta, st.sampled_from("a\néb\x01乙😀"), st.integers(1, 3))


# --- the tables ------------------------------------------------------------------------------------------

# fmt: off
_MALFORMED: Final[Mapping[str, Break]] = {
    "v is no integer": _values("1", 1.0, 1.5, float("nan"), True, False, None, "", [1], {}),
    "id is no list of three": lambda row: st.sampled_from(
        [None, 7, "", ":".join(map(str, row["id"])), [], {}, row["id"][:2], [*row["id"], 0], [row["id"]]]
    ),
    "id: doc is no string": _id(0, *_STRINGS),
    "id: doc isn't 40 digits of 0-9a-f": _id(
        0, "", "notes.md", "0" * 39, "0" * 41, "A" * 40, "g" * 40, "0" * 40 + "\n", " " + "0" * 39, "٠" * 40,
        "\ud800" * 40,
    ),
    "id: time is no integer": _id(1, *_WHOLE),
    "id: time is out of range": _id(1, 0, -1, -(1 << 53), *_LARGE),
    "id: time is far above all parents'": _wild,
    "id: time isn't above a parent's": _knows_newer,
    "id: session is no string": _id(2, *_STRINGS),
    "id: session isn't 1 to 48 of 0-9A-Za-z_-": _id(2, *_SESSIONS),
    "author is no string": _values(*_STRINGS),
    "author has a lone surrogate": _values(*_LONE),
    "author is too long": _values("a" * (MAX_AUTHOR + 1), "é" * 129, "乙" * 86, "😀" * 65, "a" * 5000),
    "message is null": _values(None),
    "message is no string": _values(*_STRINGS[1:]),
    "message has a lone surrogate": _values(*_LONE),
    "message is too long": _values("a" * (MAX_MESSAGE + 1), "é" * 2049, "乙" * 1366, "😀" * 1025),
    "wall is no integer": _values(*_WHOLE),
    "wall is out of range": _values(-1, -(1 << 53), *_LARGE),
    "parents is no string": _values(*_STRINGS, [[1, "a"]]),
    "parents: not in ascending order": _swapped,
    "parents: one stands there twice": _doubled,
    "parents: one isn't older": _too_new,
    "parents: too many": _too_many,
    "parents: too many letters": _values("1:a\t" * (MAX_ROW // 4 + 1)),
    "parents: not joined by tabs": _joined_otherwise,
    "parents: an empty one": lambda row: st.sampled_from([row["parents"] + "\t", "\t" + row["parents"]]),
    "parents: a time that isn't written plainly": _parents(
        "01:a", "0:a", "-1:a", "+1:a", "1.0:a", "1e0:a", " 1:a", "1 :a", "0x1:a", "١:a", "１:a", ":a", "a:a",
        "1_0:a",
    ),
    "parents: a time that is out of range": _parents(*(f"{time}:a" for time in _LARGE)),
    "parents: a session isn't 1 to 48 of 0-9A-Za-z_-": _parents(
        *(f"1:{session}" for session in _SESSIONS if "\t" not in session), "1", "1:a:b", "1;a"
    ),
    "delta is no string": _values(*_STRINGS, [1, "a"], [[0, 0, "a"]]),
    "delta: a count of zero": _delta("=0", "-0", "=00"),
    "delta: a count with a zero before it": _delta("=01", "-01", "=007", "-00000000000000000001"),
    "delta: a count that isn't ASCII digits": _delta(
        "=", "-", "=a", "=-1", "--1", "=+1", "= 1", "-1 ", "=1.0", "-1e0", "=0x1", "-١", "=²", "=１", "=1\n",
        "-1\0", "=1_0", "-1,+a",
    ),
    "delta: a count that is too large": _delta(
        *(f"{sign}{count}" for sign in "=-" for count in _LARGE), f"={(1 << 64) + 1}", f"-{(1 << 128) + 1}"
    ),
    "delta: an insertion of nothing": _delta("+"),
    "delta: an escape that isn't needed": _delta("+%41", "+%0A", "+%0a", "+%2B", "+%3d", "+%E9", "+a%0D"),
    "delta: an escape that is none": _delta(
        "+%", "+%2", "+%%", "+a%", "+%zz", "+%u0041", "+% 25", "+%\ud800"
    ),
    "delta: U+0000 in a text": _delta("+\0", "+a\0", "+%00\0"),
    "delta: a lone surrogate": _delta(*("+" + text for text in _LONE)),
    "delta: neighbours of one kind": _unjoined,
    "delta: what is kept at the end": _kept_at_the_end,
    "delta: an empty operation": _stray_tab,
    "delta: too many operations": _too_many_operations,
    "delta: too many letters": _values("+" + "a" * MAX_ROW, "+" + "乙" * MAX_ROW),
    "delta: too many bytes in the row": _too_large,
}
_FIELDS: Final = ("v", "id", "author", "wall", "parents", "delta")
_MISSING: Final = "fields are missing"

MALFORMED: Final = (_MISSING, *_MALFORMED)
"""What is wrong with the rows of `malformed_rows`, each kind in words."""

_UNKNOWN = [
    "*3", "*", "x", " ", " +a", "a=1", "@1", "1", "~", "?a", "\n", "\r=1", "\0", "＋a", "−1", "é", "\ud800",
]
_NEW_FIELDS = [
    "redacted", "forget", "color", "V", "Id", "doc", "", " v", "message ", "delta\0", "é", "_id", "\ud800",
]
# fmt: on

_UNSUPPORTED: Final[Mapping[str, Break]] = {
    "v is another": _values(0, 2, -1, 3, 256, *_LARGE),
    "delta: an unknown operation": _delta(*_UNKNOWN),
}
_EXTRA: Final = "an unknown field"
_FUTURE: Final = "v is another, and so is the rest"

UNSUPPORTED: Final = (*_UNSUPPORTED, _EXTRA, _FUTURE)
"""What is new in the rows of `unsupported_rows`, each kind in words."""

_JSON: Values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, FAR) | st.floats() | st.text("a\t:+%", max_size=3),
    lambda inside: (
        st.lists(inside, max_size=2) | st.dictionaries(st.text("a", max_size=2), inside, max_size=2)
    ),
    max_leaves=4,
)


def _changed(table: Mapping[str, Break], why: str, row: Row) -> Values:
    name = why.partition(" ")[0].removesuffix(":")
    return table[why](row).map(lambda value: {**row, name: value})


def _kinds(whys: tuple[str, ...], known: tuple[str, ...]) -> st.SearchStrategy[str]:
    if unknown := set(whys).difference(known):
        raise ValueError(f"no kind of row is {sorted(unknown)}; there are {list(known)}")
    return st.sampled_from(whys or known)


_children = later_rows.filter(lambda row: row["parents"])
_tame = later_rows.filter(lambda row: _newest(row) + MAX_TIME_STEP < MAX_TIME)
_OF: Final = {"id: time isn't above a parent's": _children, "id: time is far above all parents'": _tame}


def malformed_rows(*whys: str) -> st.SearchStrategy[Flawed]:
    """Rows that `MalformedRow` is raised for, each with what is wrong and the well-formed row it was.

    Every rule of FORMAT.md that can be judged from a row alone is broken, one at a time, in the ways that
    `MALFORMED` lists: wrong types, lone surrogates, padded counts, neighbours that should be joined, parents
    out of order, times not above a parent's, what is just beyond a limit, and so on. Where some `whys` are
    named, only these. Some rows have more than a MiB. Shrinks to a short row whose flaw is an early one of
    the list. `ValueError` for a kind that isn't there.
    """
    return _malformed(_kinds(whys, MALFORMED))


@st.composite
def _malformed(draw: st.DrawFn, whys: st.SearchStrategy[str]) -> Flawed:
    why = draw(whys)
    sound = draw(_OF.get(why, later_rows))
    if why == _MISSING:
        dropped = draw(st.sets(st.sampled_from(_FIELDS), min_size=1))
        return Flawed({name: value for name, value in sound.items() if name not in dropped}, why, sound)
    return Flawed(draw(_changed(_MALFORMED, why, sound)), why, sound)


def unsupported_rows(*whys: str) -> st.SearchStrategy[Flawed]:
    """Rows that `UnsupportedVersion` is raised for, as a later format may have them.

    Another `v`, alone or with the rest of the row unlike anything known; unknown fields; an unknown operation
    among sound ones. `UNSUPPORTED` lists the kinds; where some `whys` are named, only these. Shrinks to a
    short row of an early kind. `ValueError` for a kind that isn't there.
    """
    return _unsupported(_kinds(whys, UNSUPPORTED))


@st.composite
def _unsupported(draw: st.DrawFn, whys: st.SearchStrategy[str]) -> Flawed:
    why = draw(whys)
    sound = draw(later_rows)
    if why in _UNSUPPORTED:
        return Flawed(draw(_changed(_UNSUPPORTED, why, sound)), why, sound)
    names = st.sampled_from(_NEW_FIELDS)
    if why == _EXTRA:
        extra = draw(st.dictionaries(names, _JSON, min_size=1, max_size=2))
        return Flawed({**sound, **extra}, why, sound)
    other = st.dictionaries(st.sampled_from([*_FIELDS[1:], "message"]) | names, _JSON, max_size=8)
    return Flawed({**draw(other), "v": draw(_UNSUPPORTED["v is another"](sound))}, why, sound)
