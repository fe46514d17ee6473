"""A part of a text on a grid of cells: lines wrapped, wide characters two cells wide, nothing dangerous.

The law of this room. Only what is seen is looked at: a view costs its own size, however long the text and
its lines are. Each code point is shown by none, one or two cells, tabs by as many as they reach; control
characters by pictures of them, so that no text can steer the terminal. A view stays with what it shows while
the text changes, until it is told to jump.

It knows a buffer to slice from and positions in it, in code points; no colours, no terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from syncstring._patch import map_position

__all__ = ["Buffer", "Row", "View", "find", "rows_of", "shown"]

_TAB = 8
_LINE = 4_096  # code points; of a longer line this much is looked at to find out where its rows begin
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]")


class Buffer(Protocol):
    """What a text is here."""

    def __len__(self) -> int: ...
    def slice(self, start: int, stop: int) -> str: ...


class Row(NamedTuple):
    """One row of cells: the code points [start, stop) of the text, and how each of them is shown."""

    start: int
    stop: int
    cells: Sequence[str]

    def column(self, pos: int) -> int:
        """The cell in which the code point at `pos` begins."""
        return sum(map(_width, self.cells[: pos - self.start]))


@lru_cache(4_096)
def shown(char: str) -> str:
    """How a code point that isn't a tab is shown: as it is, or by a picture if it is a control character."""
    if not _UNSAFE.match(char):
        return char
    code = ord(char)
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


@lru_cache(4_096)
def _width(cell: str) -> int:
    if cell.isascii():
        return len(cell)
    from rich.cells import get_character_cell_size

    return sum(map(get_character_cell_size, cell))


def rows_of(text: str, start: int, width: int, most: int) -> list[Row]:
    """The first rows, at most `most`, of a text that begins at `start` in its buffer."""
    rows: list[Row] = []
    at = 0
    while len(rows) < most:
        end = text.find("\n", at)
        stop = end if end >= 0 else len(text)
        if stop - at > width * (most - len(rows)) * 2 + _LINE:
            stop = at + width * (most - len(rows)) * 2 + _LINE  # more than can be seen
        rows += _wrapped(text[at:stop], start + at, width)
        if end < 0:
            break
        at = end + 1
    return rows[:most]


def _wrapped(line: str, start: int, width: int) -> list[Row]:
    """The rows of one line."""
    if line.isascii() and line.isprintable():
        places = range(0, max(len(line), 1), width)
        return [Row(start + at, start + min(at + width, len(line)), line[at : at + width]) for at in places]
    rows: list[Row] = []
    cells: list[str] = []
    first, used = 0, 0
    for at, char in enumerate(line):
        if char == "\t":
            cell = " " * min(_TAB - used % _TAB, max(width - used, 1))
            size = len(cell)
        else:
            cell = shown(char)
            size = _width(cell)
        if used + size > width and cells:
            rows.append(Row(start + first, start + at, cells))
            cells, first, used = [], at, 0
        cells.append(cell)
        used += size
    rows.append(Row(start + first, start + len(line), cells))
    return rows


def _line_start(buffer: Buffer, pos: int) -> int:
    """Where the line at `pos` begins, or the last whole `_LINE` of it."""
    start, high = 0, pos
    while high:
        low = max(0, high - _LINE)
        found = buffer.slice(low, high).rfind("\n")
        if found >= 0:
            start = low + found + 1
            break
        high = low
    return start + (pos - start) // _LINE * _LINE


class View:
    """A window of `height` rows onto a text, of `width` cells each."""

    def __init__(self) -> None:
        self.top = 0
        self.width = self.height = 1

    def moved(self, splices: Iterable[tuple[int, int, str]]) -> None:
        """The text has changed by these splices: stay with what is seen."""
        self.top = map_position(self.top, splices, "before")

    def lost(self, buffer: Buffer) -> None:
        """The text has changed otherwise: stay where that is, at the beginning of a row."""
        self.top = min(self.top, len(buffer))
        start = _line_start(buffer, self.top)
        self.top = _wrapped(buffer.slice(start, self.top), start, self.width)[-1].start

    def rows(self, buffer: Buffer) -> list[Row]:
        """The rows that are seen."""
        top = min(self.top, len(buffer))
        text = buffer.slice(top, min(len(buffer), top + 2 * self.width * self.height + _LINE))
        return rows_of(text, top, self.width, self.height)

    def jump(self, buffer: Buffer, pos: int) -> None:
        """Move to where a position is seen, in the upper third if there is that much above it."""
        self.top = self._around(buffer, pos)

    def _around(self, buffer: Buffer, focus: int) -> int:
        """Where a view begins that has `focus` a third of its height below."""
        above = self.height // 3
        start = _line_start(buffer, focus)
        starts = [row.start for row in _wrapped(buffer.slice(start, focus), start, self.width)]
        while len(starts) <= above and start > 0:
            end = start - 1 if buffer.slice(start - 1, start) == "\n" else start
            start = _line_start(buffer, max(end - (end == start), 0))
            starts = [row.start for row in _wrapped(buffer.slice(start, end), start, self.width)] + starts
        return starts[max(len(starts) - 1 - above, 0)]


def find(rows: Sequence[Row], pos: int) -> int | None:
    """The row in which a position is, or None. Between two rows of a line it is at the second's start."""
    for number in range(len(rows) - 1, -1, -1):
        row = rows[number]
        if row.start <= pos:
            # After the last row begins what isn't seen, unless the row is where its line or the text ends.
            return number if pos <= row.stop else None
    return None
