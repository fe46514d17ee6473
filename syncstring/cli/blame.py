"""`blame`: who wrote what a version shows, line by line.

The law of this room. A line is credited to the patch that wrote last in it, of what is still seen of it; if
others wrote in it as well, how many authors did is said. Its end counts only where there is nothing else:
who splits a line hasn't written it. On a terminal with colours each character has its author's.

Who wrote which character is `Timeline.blame`, which follows them through every merge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from syncstring.cli.log import authors
from syncstring.cli.output import Output, plain, styles_of, width_of, working
from syncstring.cli.sources import Source
from syncstring.timeline import Run

__all__ = ["Line", "by_lines", "print_blame"]


class Line(NamedTuple):
    """A line of the text: its pieces without the line's end, who wrote last in it, how many others did."""

    pieces: list[tuple[str, Run]]
    latest: Run
    others: int


def by_lines(runs: Sequence[Run]) -> Iterator[Line]:
    """The lines of a text from the runs that make it up. O(text)."""
    pieces: list[tuple[str, Run]] = []
    for run in runs:
        if "\n" not in run.text:
            pieces.append((run.text, run))
            continue
        *ended, rest = run.text.split("\n")
        for text in ended:
            if text:
                pieces.append((text, run))
            yield _line(pieces, run)
            pieces = []
        if rest:
            pieces.append((rest, run))
    if pieces:
        yield _line(pieces, pieces[-1][1])


def _line(pieces: list[tuple[str, Run]], ended_by: Run) -> Line:
    if not pieces:
        return Line(pieces, ended_by, 0)
    latest = max((run for _, run in pieces), key=lambda run: run.id)
    return Line(pieces, latest, len({run.author for _, run in pieces}) - 1)


def print_blame(source: Source, out: Output, at: str | None = None, *, by_runs: bool = False) -> None:
    """Print the lines of a version (the newest by default), or its runs."""
    timeline = source.timeline
    with working("looking who wrote it"):
        runs = timeline.blame(source.version(at) if at is not None else None)
    if out.json:
        for line, run in _numbered(runs):
            id = str(run.id)
            out.object(
                {"line": line, "pos": run.pos, "text": run.text, "id": id}
                | {"author": run.author, "time": run.time, "wall": run.wall}
            )
        return
    styles = styles_of(authors(timeline.history.graph))
    if by_runs:
        _Columns(source, out, runs, styles).print_runs(runs)
    else:
        lines = list(by_lines(runs))
        _Columns(source, out, [line.latest for line in lines], styles).print_lines(lines)


class _Columns:
    """What stands before each line: id, author, time of the runs that are named, as wide as the widest."""

    def __init__(self, source: Source, out: Output, named: Sequence[Run], styles: dict[str, str]) -> None:
        self._out = out
        self._styles = styles
        self._names = {run.author: out.name(run.author) for run in named}
        self._ids = {id: source.timeline.short(id) for id in {run.id for run in named}}
        self._times = {wall: out.when(wall) for wall in {run.wall for run in named}}
        self._id_width = max(map(len, self._ids.values()), default=0)
        self._time_width = max(map(len, self._times.values()), default=0)

    def _id(self, run: Run) -> str:
        return f"{self._ids[run.id]:<{self._id_width}}"

    def _time(self, run: Run) -> str:
        return f"{self._times[run.wall]:<{self._time_width}}"

    def print_runs(self, runs: Sequence[Run]) -> None:
        width = max(map(width_of, self._names.values()), default=0)
        for line, run in _numbered(runs):
            name = _padded(self._names[run.author], width)
            text = plain(json.dumps(run.text, ensure_ascii=False))
            head = f"{self._id(run)}  {name}  {self._time(run)}  {line:>5}  "
            self._out.line(head + self._out.paint(text, self._styles[run.author]))

    def print_lines(self, lines: Sequence[Line]) -> None:
        out = self._out
        labels = [
            self._names[line.latest.author] + (f" +{line.others}" if line.others else "") for line in lines
        ]
        width = max(map(width_of, labels), default=0)
        digits = len(str(len(lines)))
        for number, (line, label) in enumerate(zip(lines, labels, strict=True), start=1):
            head = f"{self._id(line.latest)} ({_padded(label, width)}  {self._time(line.latest)}  "
            head += f"{number:>{digits}}) "
            if out.colored:
                by_author = groupby(line.pieces, key=lambda piece: piece[1].author)
                parts = (
                    out.paint(out.text("".join(text for text, _ in pieces)), self._styles[author])
                    for author, pieces in by_author
                )
                out.line(out.paint(head, "dim") + "".join(parts))
            else:
                out.line(head + out.text("".join(text for text, _ in line.pieces)))


def _numbered(runs: Sequence[Run]) -> Iterator[tuple[int, Run]]:
    """Each run with the line, from 1, in which it begins."""
    line = 1
    for run in runs:
        yield line, run
        line += run.text.count("\n")


def _padded(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))
