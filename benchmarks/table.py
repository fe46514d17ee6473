"""What the rows are, and how a table of them is written: for the terminal, and README.md.

The law of this room. A cell is the median of a contender's runs. A ratio is taken within one run, of figures
that were measured one after the other; the median of those is shown with the least and the greatest.
A row that nobody has figures for isn't shown. What is said of the results in words (where a peer is ahead,
how busy the machine was) is derived from them, so that it can't be out of date.

It doesn't measure: it knows only figures by contender.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import NamedTuple

CONCURRENT = ("friendsforever",)


class Turn(NamedTuple):
    """What is measured at one go, contender after contender."""

    task: str
    trace: str | None = None


class Row(NamedTuple):
    turn: Turn
    figure: str
    label: str
    unit: str = "s"


class Section(NamedTuple):
    title: str
    prose: str
    rows: Sequence[Row]


EXCHANGE = Turn("exchange", "friendsforever")
SECTIONS = [
    Section(
        "Typing, edit by edit",
        """One author's recording is typed anew; each transaction is a patch (a transaction, a commit) of its
        own. Ours makes the patch that others would be sent; the peers weren't asked for their updates.""",
        [
            Row(Turn("typing", trace), "all", trace)
            for trace in ("automerge-paper", "sveltecomponent", "json-crdt-patch")
        ],
    ),
    Section(
        "Two people at once",
        """friendsforever: two replicas exchange every update as bytes, each typing on what its author had
        seen, until both have all. Then a fresh replica takes all of them in. Ours says each time which
        splices an editor must apply; the peers had no observer that asks for those. For pycrdt the fastest
        way to take all at once is one by one: one transaction around them, and `merge_updates`, took forty
        times as long (0.14.13).""",
        [
            Row(EXCHANGE, "exchange", "typing and exchanging every update"),
            Row(EXCHANGE, "each", "a fresh replica, one by one"),
            Row(EXCHANGE, "at once", "a fresh replica, all at once"),
        ],
    ),
    Section(
        "Bytes on the way",
        """The updates of friendsforever. Ours names author, time, session and parents; all ids have the width
        that they have when nobody chooses them.""",
        [
            Row(EXCHANGE, "keystroke", "one keystroke (median)", "B"),
            Row(EXCHANGE, "update", "an update (mean of all)", "B"),
        ],
    ),
    Section(
        "The whole history, stored",
        """Every edit with its author and time, from which any version can be read. Ours is a pack without a
        checkpoint, decoded patch by patch when it is loaded; to open a stored document for editing it isn't
        read at all. loro's snapshot has the text beside the history, which it leaves undecoded until it is
        asked for. pycrdt keeps no times, and no edit's own version but as what a client knew.""",
        [
            Row(Turn("save", trace), figure, f"{trace}, {label}", unit)
            for figure, label, unit in (
                ("bytes", "in all", "B"),
                ("an edit", "an edit", "B"),
                ("load", "loading, then the text", "s"),
            )
            for trace in ("automerge-paper", "sveltecomponent", "friendsforever")
        ],
    ),
    Section(
        "Text of an old version",
        """Ten versions a run, others in each run, the same for all: what a random transaction and everything
        its author had seen make. The history is in memory. Cold: whatever was derived from it is dropped
        before (ours: `drop_caches`; loro: its history cache and diff calculator). Warm: ten other versions
        were asked for before. loro's way is `checkout`. pycrdt applies the updates that the version consists
        of (snapshots panicked on 14 of 20 versions of sveltecomponent with 0.14.13), `str` replays the edits;
        both keep nothing between versions, so warm is cold.""",
        [
            Row(Turn("versions", trace), figure, f"{trace}, {figure}{'' if ',' in figure else ', median'}")
            for trace in ("automerge-paper", "friendsforever")
            for figure in ("cold", "cold, slowest", "warm", "warm, slowest")
        ],
    ),
    Section(
        "Every version in turn",
        """A slider that is drawn from the beginning to the end: a text that goes through every version. Ours
        asks for `history.splices()`, nothing cached, and applies them to an editor's text one by one. The
        peers apply one update after the other, their fastest way: loro's `checkout` of each version in turn
        took ten times as long (1.17.1).""",
        [
            Row(Turn("slider", trace), figure, trace + label)
            for figure, label in (("slide", ""), ("splices", ", `history.splices()` alone"))
            for trace in ("friendsforever", "sveltecomponent")
        ],
    ),
    Section(
        "Diff of two versions",
        """Five pairs of versions a run, so many edits apart. diff-match-patch as it comes: it stops after a
        second of wall time with a coarser diff, where ours goes on to the end within a budget of steps.""",
        [
            Row(
                Turn("diff", trace),
                f"{apart}{slowest}",
                f"{trace}, {apart} edits apart{slowest or ', median'}",
            )
            for trace in ("automerge-paper", "sveltecomponent")
            for apart in (50, 500, 5000)
            for slowest in ("", ", slowest")
        ],
    ),
    Section(
        "A thousand patches",
        """The last 1,000 transactions of automerge-paper, as bytes (diff-match-patch: as text), each read and
        applied to a replica that holds the 100 kB before them.""",
        [Row(Turn("apply", "automerge-paper"), "all", "1,000 patches onto 100 kB")],
    ),
    Section(
        "Import",
        "In an interpreter that has started, until the first document stands.",
        [Row(Turn("import"), "all", "import and one document")],
    ),
]


@dataclass
class Results:
    """Figures by turn, contender and name: one number a run."""

    runs: int
    contenders: dict[str, tuple[str, str]] = field(default_factory=dict)
    """label: (kind, version), in the order in which columns stand."""
    figures: dict[Turn, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    """Transactions of each trace."""
    load: float = 0.0
    """The machine's load average before the first run."""

    def of(self, row: Row) -> dict[str, list[float]]:
        """The figures of a row by contender."""
        here = self.figures.get(row.turn, {})
        return {
            label: here[label][row.figure] for label in self.contenders if row.figure in here.get(label, {})
        }

    def ratios(self, row: Row, kind: str) -> list[float]:
        """Ours against the best of a kind, run by run; empty where one of both is missing."""
        found = self.of(row)
        ours = next((found[label] for label in found if self.contenders[label][0] == "ours"), [])
        others = [found[label] for label in found if self.contenders[label][0] == kind]
        if not ours or not others:
            return []
        return [mine / max(min(theirs), 1e-9) for mine, *theirs in zip(ours, *others, strict=True)]


RATIOS = (("ours / best peer", "peer"), ("ours / str", "yardstick"))


def tables(results: Results) -> Iterator[tuple[Section, list[list[str]]]]:
    """Each section that has figures, with its table: rows of cells, the first of which are headings."""
    for section in SECTIONS:
        rows = [row for row in section.rows if results.of(row)]
        if not rows:
            continue
        labels = [label for label in results.contenders if any(label in results.of(row) for row in rows)]
        ratios = [(head, kind) for head, kind in RATIOS if any(results.ratios(row, kind) for row in rows)]
        table = [["", *labels, *(head for head, _ in ratios)]]
        for row in rows:
            figures = results.of(row)
            size = results.sizes.get(row.label)  # where a row is named for its trace
            name = f"{row.label} ({size:,} transactions)" if size else row.label
            cells = [shown(median(figures[label]), row.unit) if label in figures else "-" for label in labels]
            table.append([name, *cells, *(ratio(results.ratios(row, kind)) for _, kind in ratios)])
        yield section, table


def shown(value: float, unit: str) -> str:
    """A figure with three significant digits, as people write it."""
    if unit == "B":
        return f"{value:.1f}".removesuffix(".0") + " B"
    for factor, name in ((1, "s"), (1e3, "ms")):
        if value * factor >= 0.9995:
            return f"{_digits(value * factor)} {name}"
    return f"{_digits(value * 1e6)} µs"


def _digits(value: float) -> str:
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def ratio(ratios: Sequence[float]) -> str:
    """The median of ratios, with the least and the greatest."""
    if not ratios:
        return "-"
    least, middle, most = (_times(value) for value in (min(ratios), median(ratios), max(ratios)))
    return middle if least == most else f"{middle} ({least} to {most})"


def _times(value: float) -> str:
    """A ratio with two or three significant digits."""
    return _digits(value) if value >= 0.0995 else f"{value:.2g}"


# --- where it is written ------------------------------------------------------------------------------


def plain(results: Results) -> str:
    """The tables for a terminal."""
    parts = []
    for section, table in tables(results):
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        lines = []
        for first, *others in table:
            cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
            lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
        parts.append("\n".join([section.title, *lines]))
    return "\n\n".join(parts)


def readme(results: Results) -> str:
    """benchmarks/README.md, whole."""
    versions = ", ".join(f"{label} {version}" for label, (_, version) in results.contenders.items())
    parts = [
        "# How fast",
        """Written by `make bench`, which measures everything below anew; don't edit. The part at the end
        about RethinkDB is written by `benchmarks/rethink.py`.""",
        f"""Measured {date.today():%Y-%m-%d} on {machine()}; load average before the first run:
        {results.load:.1f}. Versions: {versions}.""",
        "## How",
        f"""Recorded editing histories are replayed, keystroke by keystroke: traces of
        josephg/editing-traces (CC BY 4.0), which aren't part of this project. Every figure comes from a
        process of its own that runs one contender on one task once. Times are CPU time of that process
        (`time.process_time`), the garbage collector on as it comes; the trace was read and prepared before.
        Runs: {results.runs}; in each the contenders take turns, task by task and beginning with another
        one, so that what else the machine does hits all alike. Cells are medians over the runs. A ratio is
        taken within each run: the median is shown, in brackets the least and the greatest. Below 1, ours
        takes less.""",
        """No time counts before the result was found right. In every run every text must be the recorded
        one, in the end and at the old versions; those of a concurrent trace, of which no recording tells,
        must be what the contender showed live at that moment, and what the others say. `str` is a plain
        Python string, sliced at each edit: no peer, having neither history nor merge, but a yardstick.""",
    ]
    for section, table in tables(results):
        parts += [f"## {section.title}", section.prose, markdown(table)]
    parts += ["## Reading them", *_notes(results)]
    return page(parts)


def page(parts: Sequence[str]) -> str:
    """Headings, paragraphs and tables as a page has them."""
    return "\n\n".join(part if "\n|" in part else _wrapped(part) for part in parts) + "\n"


def markdown(table: list[list[str]]) -> str:
    head, *rows = [f"| {' | '.join(row)} |" for row in table]
    rule = f"| --- |{' ---: |' * (len(table[0]) - 1)}"
    return "\n".join([head, rule, *rows])


def _notes(results: Results) -> Iterator[str]:
    behind = []
    for section in SECTIONS:
        found = {row.label: results.ratios(row, "peer") for row in section.rows}
        worse = [
            f"{label} ({_times(median(each))})" for label, each in found.items() if median(each or [0]) > 1
        ]
        if worse:
            behind.append(f"*{section.title}*: {', '.join(worse)}")
    if behind:
        yield f"Where a peer is ahead, and how many times: {'; '.join(behind)}."
    else:
        yield "No peer is ahead in any row."
    yield """The same job isn't the same work. Ours checks every patch that comes in against the format's
        rules, keeps its author and time, and says what an editor must apply. The peers carry rich text, maps
        and lists as well."""
    yield """One machine, one Python, texts that are mostly ASCII. A ratio within a factor of 1.5 of 1, or
        with a range that spans 1, says nothing about another machine."""
    yield """Not measured here yet: memory, bytes on disk, loading, SQLite, texts beyond 100 kB, more than two
        people at once without a store."""


def _wrapped(text: str) -> str:
    return fill(" ".join(text.split()), 110, break_long_words=False, break_on_hyphens=False)


def machine() -> str:
    """What kind of machine this is; not which."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    processor = f"{found[1]}, {platform.machine()}" if found else platform.machine()
    return f"{os.cpu_count()} CPUs ({processor}), {platform.system()}, {python}"
