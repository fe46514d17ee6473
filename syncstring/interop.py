"""diff-match-patch's deltas and context patches, in and out.

Its *delta* is one pass over the whole old text, `=3\\t-2\\t+ing`, much like ours; but it counts UTF-16
units (its JavaScript and newer Python do; older Python counted code points: say `units="codepoints"`),
writes whatever isn't plain ASCII as `%XX` of UTF-8, and keeps what is left explicitly. The codec here is our
own, since the package's depends on its version and takes bad escapes for text.

Its *patches* say what stood around each change instead of where it is, and are placed by likeness, which is
a guess. They are placed by the package itself, the only difference being that inside it our `diff` takes the
place of its own: the same result, but bounded by steps instead of by a clock. What it could not place is
given back in words. This is a way to bring foreign edits in, never one to sync by: two replicas that
place one patch in different texts need not agree.

Knows texts and splices; no history.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Literal, NamedTuple, TypeAlias
from urllib.parse import quote, unquote_to_bytes

from diff_match_patch import diff_match_patch

from syncstring._diff import diff
from syncstring._patch import Ops, Splice, consumed, decode_delta
from syncstring.errors import MalformedRow, PatchError
from syncstring.offsets import utf16_length

__all__ = ["Unplaced", "apply_context_patches", "from_dmp_delta", "to_dmp_delta"]

Units: TypeAlias = Literal["utf16", "codepoints"]

_UNESCAPED = (
    "!~*'();/?:@&=+$,# "  # beside letters, digits and -._~: what JavaScript's encodeURI leaves, and the space
)
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HEADER = re.compile(r"@@ -[0-9]{1,16}(,[0-9]{1,16})? \+[0-9]{1,16}(,[0-9]{1,16})? @@")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_COUNT = re.compile(r"[0-9]{1,16}")


# --- deltas -----------------------------------------------------------------------------------------------


def to_dmp_delta(delta: Ops | str, text: str, units: Units = "utf16") -> str:
    """Return our delta on `text`, given as operations or as in a row, in diff-match-patch's format.

    Operations keep their order, so `from_dmp_delta(to_dmp_delta(ops, text), text) == ops`. `units` is what
    the reader counts. `PatchError` if the delta consumes more than `text` has, or for a lone surrogate;
    what `decode_delta` raises for a malformed one. O(len(text) + len(delta)).
    """
    ops = decode_delta(delta) if isinstance(delta, str) else delta
    left = len(text) - consumed(ops)
    if left < 0:
        raise PatchError(
            f"the delta is for a text of {consumed(ops)} code points or more, this one has {len(text)}"
        )
    pos, written = 0, []
    for op in (*ops, left):
        if isinstance(op, str):
            utf16_length(op)  # refuses lone surrogates
            written.append("+" + quote(op, _UNESCAPED))
        elif op:
            covered = text[pos : pos + abs(op)]
            pos += len(covered)
            count = utf16_length(covered) if units == "utf16" else len(covered)
            written.append(f"{'=' if op > 0 else '-'}{count}")
    return "\t".join(written)


def from_dmp_delta(delta: str, text: str, units: Units = "utf16") -> Ops:
    """Return the operations, in canonical form, of a delta in diff-match-patch's format on `text`.

    `units` is what its writer counted. `MalformedRow` says what is wrong with the delta as such; `PatchError`
    that it isn't one on this text: it covers more or less of it, or ends inside a character.
    O(len(text) + len(delta)).
    """
    counted = units == "codepoints" or text.isascii()
    data, size = (text, 1) if counted else (_utf16(text), 2)
    ops: list[int | str] = []
    start = 0
    for op in _operations(delta):
        if isinstance(op, int):
            covered = data[start : start + abs(op) * size]
            start += abs(op) * size
            if start > len(data):
                break
            count = _characters(covered, start // size)
            op = count if op > 0 else -count
        _append(ops, op)
    if start != len(data):
        covers = f"{start // size}{' or more' if start > len(data) else ''} {_NAMES[units]}"
        raise PatchError(
            f"the delta covers {covers}, the text has {len(data) // size}; "
            "was it made on another text, or counted in other units?"
        )
    if ops and isinstance(ops[-1], int) and ops[-1] > 0:
        ops.pop()
    return tuple(ops)


_NAMES = {"utf16": "UTF-16 units", "codepoints": "code points"}


def _operations(delta: str) -> Iterator[int | str]:
    """The operations as written: counts with their sign, texts as they are; none that does nothing."""
    for number, token in enumerate(delta.split("\t")):
        sign, rest = token[:1], token[1:]
        if sign == "+":
            if rest:
                yield _unescaped(rest, f"delta, operation {number}")
        elif sign in ("=", "-"):
            if not _COUNT.fullmatch(rest):
                raise MalformedRow(
                    f"delta, operation {number}: {rest!r:.40} is no count; up to 16 digits follow '=' and '-'"
                )
            if count := int(rest):
                yield count if sign == "=" else -count
        elif sign:
            raise MalformedRow(
                f"delta, operation {number}: {token!r:.40} begins with neither '=', '-' nor '+'"
            )


def _unescaped(written: str, place: str) -> str:
    if wrong := _ESCAPE.search(written):
        raise MalformedRow(
            f"{place}: {written[wrong.start() :][:3]!r} is no escape; '%' is followed by two hex digits"
        )
    try:
        return unquote_to_bytes(written).decode()
    except UnicodeError as error:  # lone surrogates too, as they are or escaped
        raise MalformedRow(f"{place}: escapes that are not UTF-8 ({error})") from None


def _utf16(text: str) -> bytes:
    utf16_length(text)  # refuses lone surrogates
    return text.encode("utf-16-le")


def _characters(covered: str | bytes, end: int) -> int:
    if isinstance(covered, str):
        return len(covered)
    try:
        return len(covered.decode("utf-16-le"))
    except UnicodeDecodeError:
        raise PatchError(
            f"the delta parts a character before UTF-16 unit {end}; "
            "was it made on another text, or counted in code points?"
        ) from None


def _append(ops: list[int | str], op: int | str) -> None:
    if ops and _kind(ops[-1]) == _kind(op):
        ops[-1] += op  # type: ignore[operator]  # two counts or two texts
    else:
        ops.append(op)


def _kind(op: int | str) -> str:
    return "+" if isinstance(op, str) else "=" if op > 0 else "-"


# --- context patches ----------------------------------------------------------------------------------------


class Unplaced(NamedTuple):
    """A hunk, or a part of one, that found no place. `str()` of it is a line to show to a person."""

    hunk: int
    """Which one, from 0."""
    pos: int
    """Where it was looked for first, in code points of the text before any hunk."""
    delete: str
    """What it would have deleted."""
    insert: str
    """What it would have inserted."""
    partly: bool
    """Whether other parts of this hunk were placed."""

    def __str__(self) -> str:
        wishes = [
            f"{verb} {_shown(what)}"
            for verb, what in (("delete", self.delete), ("insert", self.insert))
            if what
        ]
        part = "a part of hunk" if self.partly else "hunk"
        return (
            f"{part} {self.hunk + 1} would {' and '.join(wishes) or 'do nothing'} near {self.pos}, "
            "but no text there is like the one it was made on"
        )


def apply_context_patches(
    text: str, patches: str, units: Units = "codepoints"
) -> tuple[list[Splice], list[Unplaced]]:
    """Return the splices that diff-match-patch's patches make of `text`, and what found no place.

    `patches` is what `patch_toText` wrote. `units` is what its writer counted positions in: code points
    in Python, UTF-16 units in JavaScript; only the place where each hunk is looked for first depends on it.
    The text after the splices is that of the package's `patch_apply`. `MalformedRow` for what isn't such a
    text, or was cut off; `PatchError` for a lone surrogate in `text`.
    Cost: the package's, in Python: the text's length a hunk, and more where it must search.
    """
    utf16_length(text)  # refuses lone surrogates before anything else is said about the text
    hunks = _hunks(patches)
    expected = _expected(text, hunks, units)
    package = _Package()
    after, placed = package.patch_apply(hunks, text)
    unplaced = []
    for hunk, parts in groupby(zip(package.parts, placed, strict=True), key=lambda part: part[0][0]):
        judged = [(diffs, good) for (_, diffs), good in parts]
        failed = [edit for diffs, good in judged if not good for edit in diffs]
        delete = "".join(what for op, what in failed if op < 0)
        insert = "".join(what for op, what in failed if op > 0)
        if delete or insert:  # a part may fail that only looks around: the package makes such
            partly = any(good for _, good in judged)
            unplaced.append(Unplaced(hunk, min(expected[hunk], len(text)), delete, insert, partly))
    return diff(text, after), unplaced


class _Package(diff_match_patch):  # type: ignore[misc]  # it has no types
    """The package with our diff inside, and a record of which part came of which hunk."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[tuple[int, list[tuple[int, str]]]] = []

    def diff_main(
        self, text1: str, text2: str, checklines: bool = True, deadline: float | None = None
    ) -> list[tuple[int, str]]:
        diffs, end, read = [], 0, 0  # in text2, in text1
        for pos, delete, insert in diff(text1, text2):
            kept = pos - end
            deleted = text1[read + kept : read + kept + delete]
            diffs += [(0, text2[end:pos]), (-1, deleted), (1, insert)]
            end = pos + len(insert)
            read += kept + delete
        return [(op, what) for op, what in [*diffs, (0, text2[end:])] if what]

    def patch_splitMax(self, patches: list[Any]) -> None:  # noqa: N802
        # One place after the other, as often as there were hunks: what the package does, quirk included.
        origins = list(range(len(patches)))
        for place in range(len(patches)):
            if place < len(patches):
                split = [patches[place]]
                super().patch_splitMax(split)
                patches[place : place + 1] = split
                origins[place : place + 1] = [origins[place]] * len(split)
        self.parts = [(origin, patch.diffs) for origin, patch in zip(origins, patches, strict=True)]


def _hunks(patches: str) -> list[Any]:
    """The package's patch objects; whatever it would take for something else than was written is refused."""
    if not patches:
        return []
    for number, line in enumerate(patches.split("\n"), start=1):
        if number == 1 or line.startswith("@"):
            if not _HEADER.fullmatch(line):
                raise MalformedRow(
                    f"patches, line {number}: {line!r:.60} is no header; a hunk begins like '@@ -1,5 +1,6 @@'"
                )
        elif line and line[0] not in " +-":
            raise MalformedRow(f"patches, line {number}: {line!r:.60} begins with neither ' ', '+' nor '-'")
        else:
            _unescaped(line[1:], f"patches, line {number}")
    hunks: list[Any] = diff_match_patch().patch_fromText(patches)
    for number, hunk in enumerate(hunks, start=1):
        for length, side in ((hunk.length1, _side(hunk, 1)), (hunk.length2, _side(hunk, -1))):
            if length not in (len(side), utf16_length(side)):
                raise MalformedRow(
                    f"patches, hunk {number}: {length} characters by its header, {len(side)} by its lines; "
                    "was it cut off?"
                )
    return hunks


def _side(hunk: Any, other: int) -> str:
    """The text before (`other` is 1, what insertions are) or after (-1) a hunk, where it was made."""
    return "".join(what for op, what in hunk.diffs if op != other)


def _expected(text: str, hunks: list[Any], units: Units) -> list[int]:
    """Where each hunk is expected in the text before any of them; they count in code points from here on."""
    astral: list[int] = []
    if units == "utf16":
        astral = [found.start() + number for number, found in enumerate(_ASTRAL.finditer(text))]
    expected, grown, grown_points = [], 0, 0
    for hunk in hunks:
        # Hunks count in the text that those before them have changed already.
        unit = max(hunk.start2 - grown, 0)
        pos = unit - bisect_left(astral, unit)
        expected.append(pos)
        grown += hunk.length2 - hunk.length1
        if units == "utf16":
            hunk.start1 = hunk.start2 = pos + grown_points
            hunk.length1, hunk.length2 = len(_side(hunk, 1)), len(_side(hunk, -1))
            grown_points += hunk.length2 - hunk.length1
    return expected


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
