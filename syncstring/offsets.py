"""Code points to UTF-16 units and UTF-8 bytes, and back: the one door where other units exist.

Inside, every position is a count of code points. JavaScript editors (CodeMirror, Monaco) and language
servers count UTF-16 units, Neovim, tree-sitter and Rust peers UTF-8 bytes. A position inside a
surrogate pair or a multi-byte character means no place in a text: it is refused with `PatchError`,
never rounded unless you say which way. Out of range is refused too, and so are lone surrogates.

A conversion looks at the text up to the position, or at nothing if the text is ASCII. Lists of
splices are sequential in either unit: each counts in the text that the one before it left. For them
the text is held in blocks, so a splice costs about the square root of the text, wherever it is.

What an editor hands over:
- CodeMirror 6: each change of `iterChanges` is `(fromB, toA - fromA, inserted)`. It counts every
  line break as one unit: give it texts with `\\n` alone.
- Monaco: `contentChanges` are `(rangeOffset, rangeLength, text)`, in order.
- Neovim `on_bytes`, tree-sitter's `InputEdit`: byte offsets as they are.
- Language servers: lines and columns, by `from_line` and `to_line`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from math import isqrt
from typing import Any, Literal, TypeAlias

from syncstring.errors import PatchError

__all__ = [
    "from_line",
    "from_utf8",
    "from_utf16",
    "splices_from_utf8",
    "splices_from_utf16",
    "splices_to_utf8",
    "splices_to_utf16",
    "to_line",
    "to_utf8",
    "to_utf16",
    "utf8_length",
    "utf16_length",
]

Splice: TypeAlias = tuple[int, int, str]
Inside: TypeAlias = Literal["refuse", "before", "after"]
Unit: TypeAlias = Literal["utf16", "utf8", "codepoints"]


# --- one position ---------------------------------------------------------------------------------------


def utf16_length(text: str) -> int:
    """Return how many UTF-16 units the text has. O(len(text)). `PatchError` for a lone surrogate."""
    return _UTF16.length(text)


def utf8_length(text: str) -> int:
    """Return how many bytes of UTF-8 the text has. O(len(text)). `PatchError` for a lone surrogate."""
    return _UTF8.length(text)


def to_utf16(text: str, pos: int) -> int:
    """Return the position after `pos` code points of `text`, in UTF-16 units. O(pos).

    `from_utf16(text, to_utf16(text, pos)) == pos`. `PatchError` unless 0 <= pos <= len(text).
    """
    return _UTF16.given(text, pos)


def to_utf8(text: str, pos: int) -> int:
    """Return the position after `pos` code points of `text`, in bytes of UTF-8. O(pos).

    `from_utf8(text, to_utf8(text, pos)) == pos`. `PatchError` unless 0 <= pos <= len(text).
    """
    return _UTF8.given(text, pos)


def from_utf16(text: str, pos: int, inside: Inside = "refuse") -> int:
    """Return the position after `pos` UTF-16 units of `text`, in code points. O(pos).

    One inside a surrogate pair raises `PatchError`, or means the place `"before"` or `"after"` that
    character, if `inside` says so (for a selection to show; never for an edit). Out of range is refused.
    """
    return _UTF16.taken(text, pos, inside)


def from_utf8(text: str, pos: int, inside: Inside = "refuse") -> int:
    """Return the position after `pos` bytes of `text` in UTF-8, in code points. O(pos).

    One inside a character's bytes raises `PatchError`, or means the place `"before"` or `"after"` that
    character, if `inside` says so (for a selection to show; never for an edit). Out of range is refused.
    """
    return _UTF8.taken(text, pos, inside)


# --- lists of splices ------------------------------------------------------------------------------------


def splices_from_utf16(text: str, splices: Iterable[Splice]) -> list[Splice]:
    """Return the sequential splices with positions and deletions in code points, given in UTF-16 units.

    `text` is the text before the first. `PatchError` names the first that is out of range, begins or
    ends inside a surrogate pair, or inserts a lone surrogate. O(len(text) + k sqrt(len(text))) for k.
    """
    return _UTF16.splices_taken(text, splices)


def splices_to_utf16(text: str, splices: Iterable[Splice]) -> list[Splice]:
    """Return the sequential splices with positions and deletions in UTF-16 units, given in code points.

    `text` is the text before the first. `PatchError` names the first that is out of range or inserts a
    lone surrogate. `splices_from_utf16(text, splices_to_utf16(text, s)) == s`. Cost as there.
    """
    return _UTF16.splices_given(text, splices)


def splices_from_utf8(text: str, splices: Iterable[Splice]) -> list[Splice]:
    """Return the sequential splices with positions and deletions in code points, given in UTF-8 bytes.

    `text` is the text before the first. `PatchError` names the first that is out of range, begins or
    ends inside a character, or inserts a lone surrogate. O(len(text) + k sqrt(len(text))) for k.
    """
    return _UTF8.splices_taken(text, splices)


def splices_to_utf8(text: str, splices: Iterable[Splice]) -> list[Splice]:
    """Return the sequential splices with positions and deletions in UTF-8 bytes, given in code points.

    `text` is the text before the first. `PatchError` names the first that is out of range or inserts a
    lone surrogate. `splices_from_utf8(text, splices_to_utf8(text, s)) == s`. Cost as there.
    """
    return _UTF8.splices_given(text, splices)


# --- lines and columns -----------------------------------------------------------------------------------

_LINE_BREAK = re.compile(r"\r\n|\r|\n")  # as the language server protocol has them


def from_line(text: str, line: int, column: int, unit: Unit = "utf16") -> int:
    """Return the position of `column` on `line`, both from 0, in code points; columns count `unit`s.

    Lines end in `\\n`, `\\r\\n` or `\\r`. A column past a line's end means its end, as in the language
    server protocol. `PatchError` for a line that isn't there and for a column inside a character. O(pos).
    """
    start = 0
    if line > 0:
        found = next(islice(_LINE_BREAK.finditer(text), line - 1, line), None)
        start = found.end() if found else -1
    if line < 0 or start < 0:
        lines = 1 + sum(1 for _ in _LINE_BREAK.finditer(text))
        raise PatchError(f"line {line} is not in a text of {lines} lines; lines count from 0")
    if column < 0:
        raise PatchError(f"column {column} is not on line {line}; columns count from 0")
    ends = _LINE_BREAK.search(text, start)
    content = text[start : ends.start() if ends else len(text)]
    if unit == "codepoints":
        return start + min(column, len(content))
    measure = _measure(unit)
    return start + measure.taken(content, min(column, measure.length(content)))


def to_line(text: str, pos: int, unit: Unit = "utf16") -> tuple[int, int]:
    """Return line and column, both from 0, of the position after `pos` code points; columns count `unit`s.

    `from_line(text, *to_line(text, pos)) == pos`. `PatchError` unless 0 <= pos <= len(text), and between
    the `\\r` and the `\\n` of one line break, which is no place on any line. O(pos).
    """
    if not 0 <= pos <= len(text):
        raise PatchError(f"position {pos} is not within a text of {len(text)} code points")
    if text[pos - 1 : pos + 1] == "\r\n" and pos > 0:
        raise PatchError(f"position {pos} is between the \\r and the \\n of one line break; use {pos - 1}")
    line = text.count("\n", 0, pos) + text.count("\r", 0, pos) - text.count("\r\n", 0, pos)
    start = 1 + max(text.rfind("\n", 0, pos), text.rfind("\r", 0, pos))
    return line, pos - start if unit == "codepoints" else _measure(unit).length(text[start:pos])


# --- how it is done ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Measure:
    """A unit that texts are counted in: a codec, its bytes per unit, what marks a character's inner units."""

    name: str
    codec: str
    size: int
    mask: int  # of a unit's last byte
    inner: int  # what is left under the mask where the unit isn't the first of its character

    def encoded(self, text: str) -> bytes:
        try:
            return text.encode(self.codec)
        except UnicodeEncodeError as error:
            raise PatchError(
                f"lone surrogate U+{ord(text[error.start]):04X} in a text of {len(text)}; "
                "was this text cut inside a UTF-16 pair?"
            ) from None

    def length(self, text: str) -> int:
        return len(text) if text.isascii() else len(self.encoded(text)) // self.size

    def given(self, text: str, pos: int) -> int:
        if not 0 <= pos <= len(text):
            raise PatchError(f"position {pos} is not within a text of {len(text)} code points")
        return pos if text.isascii() else self.length(text[:pos])

    def taken(self, text: str, pos: int, inside: Inside = "refuse") -> int:
        if text.isascii() and 0 <= pos <= len(text):
            return pos
        # A character has a unit at least: no more than these hold the position.
        data = self.encoded(text[: max(pos + 1, 0)])
        if not 0 <= pos * self.size <= len(data):
            raise PatchError(f"{self.name} {pos} is not within a text of {self.length(text)}")
        before, over = self.parted(data, pos)
        if over and inside == "refuse":
            raise self.torn(pos, over)
        return before + 1 if over and inside == "after" else before

    def parted(self, data: bytes, pos: int) -> tuple[int, int]:
        """How many whole characters there are before unit `pos`, and how many units of the next one."""
        end, over = pos * self.size, 0
        while end < len(data) and data[end + self.size - 1] & self.mask == self.inner:
            end -= self.size
            over += 1
        return len(data[:end].decode(self.codec)), over

    def torn(self, pos: int, over: int) -> PatchError:
        return PatchError(
            f"{self.name} {pos} is inside a character that begins at {pos - over}; "
            "an edit begins and ends between characters"
        )

    def splices_taken(self, text: str, splices: Iterable[Splice]) -> list[Splice]:
        blocks = _Blocks(text, self)
        return _each(splices, blocks.take)

    def splices_given(self, text: str, splices: Iterable[Splice]) -> list[Splice]:
        blocks = _Blocks(text, self)
        return _each(splices, blocks.give)


_UTF16 = _Measure("UTF-16 unit", "utf-16-le", 2, 0xFC, 0xDC)
_UTF8 = _Measure("byte", "utf-8", 1, 0xC0, 0x80)


def _measure(unit: Unit) -> _Measure:
    if unit == "utf16":
        return _UTF16
    if unit == "utf8":
        return _UTF8
    raise PatchError(f"no unit {unit!r}; use 'utf16', 'utf8' or 'codepoints'")


def _each(splices: Iterable[Splice], convert: Callable[[int, int, str], Splice]) -> list[Splice]:
    converted: list[Splice] = []
    for splice in splices:
        try:
            converted.append(convert(*_parts(splice)))
        except PatchError as error:
            raise PatchError(f"splice {len(converted)}: {error}") from None
    return converted


def _parts(splice: Any) -> Splice:
    """What an editor hands over is often JSON from elsewhere: judged before it is compared."""
    parts = splice if isinstance(splice, (tuple, list)) else [splice]
    if len(parts) == 3:
        pos, delete, insert = parts
        if type(pos) is type(delete) is int and isinstance(insert, str):
            return pos, delete, insert
    kinds = ", ".join(type(part).__name__ for part in parts)
    raise PatchError(f"it is ({kinds:.60}); a splice is (pos, delete, insert), of int, int and str")


class _Blocks:
    """A text under sequential splices, in blocks that know their sizes in code points and in units."""

    def __init__(self, text: str, measure: _Measure) -> None:
        self.measure = measure
        # A block's text is looked at in C, the list of blocks in Python: fewer of these.
        self.block = max(256, 4 * isqrt(len(text)))
        self.texts = self._cut(text)
        self.lengths = [len(block) for block in self.texts]
        self.units = [measure.length(block) for block in self.texts]

    def take(self, pos: int, delete: int, insert: str) -> Splice:
        """The splice in code points, given in units; done to the text."""
        self._refuse_outside(self.measure.name, pos, delete, sum(self.units))
        start, stop = self._from_units(pos), self._from_units(pos + delete)
        self._splice(start, stop, insert)
        return start, stop - start, insert

    def give(self, pos: int, delete: int, insert: str) -> Splice:
        """The splice in units, given in code points; done to the text."""
        self._refuse_outside("position", pos, delete, sum(self.lengths))
        start, stop = self._to_units(pos), self._to_units(pos + delete)
        self._splice(pos, pos + delete, insert)
        return start, stop - start, insert

    def _refuse_outside(self, name: str, pos: int, delete: int, size: int) -> None:
        if not 0 <= pos <= pos + delete <= size:
            raise PatchError(
                f"{name} {pos} and {delete} deleted there are not within a text of {size}; "
                "each splice counts in the text that the one before it left"
            )

    def _from_units(self, pos: int) -> int:
        i, rest = _seek(self.units, pos)
        if not self.texts[i].isascii():
            rest, over = self.measure.parted(self.measure.encoded(self.texts[i]), rest)
            if over:
                raise self.measure.torn(pos, over)
        return sum(self.lengths[:i]) + rest

    def _to_units(self, pos: int) -> int:
        i, rest = _seek(self.lengths, pos)
        return sum(self.units[:i]) + self.measure.length(self.texts[i][:rest])

    def _splice(self, start: int, stop: int, insert: str) -> None:
        i, head = _seek(self.lengths, start)
        j, tail = _seek(self.lengths, stop)
        self.measure.length(insert)  # a lone surrogate is refused before anything is changed
        joined = self._cut(self.texts[i][:head] + insert + self.texts[j][tail:])
        self.texts[i : j + 1] = joined
        self.lengths[i : j + 1] = [len(block) for block in joined]
        self.units[i : j + 1] = [self.measure.length(block) for block in joined]

    def _cut(self, text: str) -> list[str]:
        if len(text) <= 2 * self.block:
            return [text]
        return [text[start : start + self.block] for start in range(0, len(text), self.block)]


def _seek(sizes: list[int], pos: int) -> tuple[int, int]:
    """The block that `pos` is in or at the end of, and how far in."""
    for i, size in enumerate(sizes):
        if pos <= size:
            return i, pos
        pos -= size
    raise AssertionError("a position was not checked against the whole")
