"""`diff`: two texts compared by lines or by words, for people and for patch(1).

The law of this room. What is shown is a diff of the two texts: applied to one it gives the other, to the last
line's missing end. (How the one came to be the other is `Timeline.diff`, which `--json` prints.) Lines
end at U+000A and nowhere else. Lines or words are numbered, equal ones alike, and the numbers compared
as characters by the compiled `diff`, which is bounded by steps: texts of any size take moments, not minutes.

By words, whitespace counts too, and a line end that is gone or new stands as `↵` among what has changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from syncstring._diff import diff as diff_texts
from syncstring.cli.output import Output, plain

__all__ = ["Block", "Hunk", "Row", "blocks", "print_lines", "print_words", "unified", "word_rows"]

TAB = "\t"

_CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MARKS = r"!-/:-@\[-\^`{-~\u00a1-\u00bf\u2010-\u205e\u3000-\u303f\uff01-\uff0f"
_WORD = rf"[^\s{_MARKS}{_CJK}]+"
_TOKEN = re.compile(rf"\n|[^\S\n]+|{_WORD}(?:['’]{_WORD})*|.", re.DOTALL)
_SURROGATES, _NUMBERS = 0xD800, 0x110000 - 0x800


class Block(NamedTuple):
    """Where two sequences differ: [a, b) of the old one became [c, d) of the new one."""

    a: int
    b: int
    c: int
    d: int


def blocks(old: Sequence[str], new: Sequence[str]) -> list[Block]:
    """Where two sequences of lines or words differ, in order; between the blocks they are equal.

    O((n + m) d) for d differing ones, up to the step budget of `diff`; O(n + m) beyond.
    """
    head = 0
    for a, b in zip(old, new, strict=False):
        if a != b:
            break
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    numbers: dict[str, int] = {}
    coded_old, coded_new = (
        [numbers.setdefault(item, len(numbers)) for item in side[head : len(side) - tail]]
        for side in (old, new)
    )
    if len(numbers) >= _NUMBERS:  # more than there are characters: right, and coarse
        return [Block(head, len(old) - tail, head, len(new) - tail)]
    result: list[Block] = []
    grown = 0
    for pos, delete, insert in diff_texts(_characters(coded_old), _characters(coded_new)):
        block = Block(head + pos - grown, head + pos - grown + delete, head + pos, head + pos + len(insert))
        grown += len(insert) - delete
        if result and result[-1].b == block.a:
            result[-1] = Block(result[-1].a, block.b, result[-1].c, block.d)
        else:
            result.append(block)
    return result


def _characters(numbers: Iterable[int]) -> str:
    return "".join(chr(n if n < _SURROGATES else n + 0x800) for n in numbers)


def _lines(text: str) -> list[str]:
    """The lines with their ends; of the last one that may be missing."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


# --- by lines -------------------------------------------------------------------------------------------


class Hunk(NamedTuple):
    """A stretch of both texts: `lines` of (' ', '-' or '+', the line with its end)."""

    header: str
    lines: list[tuple[str, str]]


def unified(old: str, new: str, context: int = 3) -> Iterator[Hunk]:
    """The hunks of a unified diff, with as many lines of context."""
    before, after = _lines(old), _lines(new)
    for near in _close(blocks(before, after), context):
        start = max(near[0].a - context, 0)
        stop = min(near[-1].b + context, len(before))
        shift = near[0].c - near[0].a
        lines: list[tuple[str, str]] = []
        at = start
        for block in near:
            lines += [(" ", line) for line in before[at : block.a]]
            lines += [("-", line) for line in before[block.a : block.b]]
            lines += [("+", line) for line in after[block.c : block.d]]
            at = block.b
        lines += [(" ", line) for line in before[at:stop]]
        first = start + shift
        length = near[-1].d + stop - near[-1].b - first
        yield Hunk(f"@@ -{_range(start, stop - start)} +{_range(first, length)} @@", lines)


def _close(found: list[Block], context: int) -> Iterator[list[Block]]:
    """The blocks in clusters that share context."""
    cluster: list[Block] = []
    for block in found:
        if cluster and block.a - cluster[-1].b > 2 * context:
            yield cluster
            cluster = []
        cluster.append(block)
    if cluster:
        yield cluster


def _range(start: int, length: int) -> str:
    """As diff(1) writes it: counted from 1, an empty range by the line before it."""
    return str(start + 1) if length == 1 else f"{start + (length > 0)},{length}"


_STYLES = {" ": "", "-": "red", "+": "green"}


def print_lines(out: Output, old: str, new: str, names: tuple[str, str], context: int) -> None:
    """Print a unified diff; nothing where the texts are equal."""
    hunks = unified(old, new, context)
    for number, hunk in enumerate(hunks):
        if not number:
            _print_names(out, names)
        out.line(out.paint(hunk.header, "cyan"))
        for sign, line in hunk.lines:
            ended = line.endswith("\n")
            shown = line[:-1] if ended else line
            if sign == " " and out.terminal:
                shown = shown.removesuffix("\r")  # what didn't change needn't be seen
            out.line(out.paint(sign + out.text(shown), _STYLES[sign]))
            if not ended:
                out.line("\\ No newline at end of file")


def _print_names(out: Output, names: tuple[str, str]) -> None:
    for mark, name in zip(("---", "+++"), names, strict=True):
        out.line(out.paint(f"{mark} {plain(name, TAB)}", "bold"))


# --- by words -------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """A line to be shown: pieces of (' ', '-' or '+', text), and which lines of both texts begin there."""

    pieces: list[tuple[str, str]]
    old: int
    new: int

    @property
    def changed(self) -> bool:
        return any(kind != " " for kind, _ in self.pieces)


def word_rows(old: str, new: str) -> list[Row]:
    """Both texts in one, line by line, what is gone and what is new marked by words.

    All pieces but those marked `-` are the new text, all but those marked `+` the old one.
    """
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    rows = _Rows()
    at = 0
    for block in _joined(blocks(before, after), before):
        rows.add(" ", "".join(before[at : block.a]))
        rows.add("-", "".join(before[block.a : block.b]))
        rows.add("+", "".join(after[block.c : block.d]))
        at = block.b
    rows.add(" ", "".join(before[at:]))
    return rows.finished()


def _joined(found: Iterable[Block], before: Sequence[str]) -> Iterator[Block]:
    """The same with neighbours made one where only a space between two replaced words is left."""
    last: Block | None = None
    for block in found:
        if last is None:
            last = block
        elif (
            min(last.b - last.a, last.d - last.c, block.b - block.a, block.d - block.c) > 0
            and block.a - last.b == 1
            and before[last.b] != "\n"
            and before[last.b].isspace()
        ):
            last = Block(last.a, block.b, last.c, block.d)
        else:
            yield last
            last = block
    if last is not None:
        yield last


class _Rows:
    """Rows under construction."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._pieces: list[tuple[str, str]] = []
        self._old = self._new = self._from_old = self._from_new = 0

    def add(self, kind: str, text: str) -> None:
        for line in _lines(text):
            mixed = any(other != kind for other, _ in self._pieces)
            self._put(kind, line)
            if line.endswith("\n"):
                self._old += kind != "+"
                self._new += kind != "-"
                # A line end that is gone ends no row if the rest of the line is still there.
                if kind != "-" or not mixed:
                    self._end()

    def _put(self, kind: str, text: str) -> None:
        if self._pieces and self._pieces[-1][0] == kind:
            self._pieces[-1] = (kind, self._pieces[-1][1] + text)
        else:
            self._pieces.append((kind, text))

    def _end(self) -> None:
        self._rows.append(Row(self._pieces, self._from_old, self._from_new))
        self._pieces = []
        self._from_old, self._from_new = self._old, self._new

    def finished(self) -> list[Row]:
        if self._pieces:
            self._end()
        return self._rows


_BRACKETS = {"-": ("[-", "-]"), "+": ("{+", "+}")}


def print_words(out: Output, old: str, new: str, names: tuple[str, str], context: int) -> None:
    """Print what changed by words, as `git diff --word-diff` does; nothing where the texts are equal."""
    rows = word_rows(old, new)
    changed = [Block(i, i + 1, 0, 0) for i, row in enumerate(rows) if row.changed]
    for number, near in enumerate(_close(changed, context)):
        if not number:
            _print_names(out, names)
        start, stop = max(near[0].a - context, 0), min(near[-1].b + context, len(rows))
        first = rows[start]
        end = rows[stop] if stop < len(rows) else None
        old_stop = end.old if end else len(_lines(old))
        new_stop = end.new if end else len(_lines(new))
        spans = f"-{_range(first.old, old_stop - first.old)} +{_range(first.new, new_stop - first.new)}"
        out.line(out.paint(f"@@ {spans} @@", "cyan"))
        for row in rows[start:stop]:
            whole = len(row.pieces) == 1
            out.line("".join(_piece(out, kind, text, whole) for kind, text in row.pieces))


def _piece(out: Output, kind: str, text: str, whole: bool) -> str:
    if kind == " ":
        text = text.removesuffix("\n")
        return out.text(text.removesuffix("\r") if out.terminal else text)
    if whole and text != "\n":
        text = text.removesuffix("\n")  # of a line that is gone or new, the end goes without saying
    opened, closed = _BRACKETS[kind]
    return out.paint(opened + out.text(text.replace("\n", "↵")) + closed, _STYLES[kind])
