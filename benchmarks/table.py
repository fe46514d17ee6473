"""Figures by contender, and tables of them.

The law of this room. A cell is the median of a contender's runs. A ratio is taken within one run, of figures
that were measured one after the other; the median of those is shown with the least and the greatest.
A row that nobody has figures for isn't shown.

It doesn't measure, and doesn't know what the rows mean (`rows.py`).
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from textwrap import fill

from rows import SECTIONS, Row, Section, Turn


@dataclass
class Results:
    """Figures by turn, contender and name: one number a run."""

    runs: int
    contenders: dict[str, tuple[str, str]] = field(default_factory=dict)
    """label: (kind, version), in the order in which columns stand."""
    figures: dict[Turn, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    """Transactions of each trace."""
    cut: int = 0
    """How many transactions of each trace were replayed at most; 0: all."""
    missing: list[str] = field(default_factory=list)
    """What could not be measured, and why."""
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

    def best(self, row: Row) -> str | None:
        """The peer whose median is the least."""
        found = self.of(row)
        peers = [label for label in found if self.contenders[label][0] == "peer"]
        return min(peers, key=lambda label: median(found[label]), default=None)


RATIOS = (("ours / best peer", "peer"), ("ours / str", "yardstick"), ("ours / C", "floor"))


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
        written = f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"
        return (written.rstrip("0").rstrip(".") if "." in written else written) + " B"
    if unit == "MiB":
        return f"{_digits(value / 2**20)} MiB"
    if unit == "/s":
        return f"{value:,.0f} /s"
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
    least, middle, most = (times(value) for value in (min(ratios), median(ratios), max(ratios)))
    return middle if least == most else f"{middle} ({least} to {most})"


def times(value: float) -> str:
    """A ratio with two or three significant digits."""
    return _digits(value) if value >= 0.0995 else f"{value:.2g}"


# --- on a page ------------------------------------------------------------------------------------------


def page(parts: Sequence[str]) -> str:
    """Headings, paragraphs and tables as a page has them."""
    return "\n\n".join(part if "\n|" in part else _wrapped(part) for part in parts) + "\n"


def markdown(table: list[list[str]]) -> str:
    head, *rows = [f"| {' | '.join(row)} |" for row in table]
    rule = f"| --- |{' ---: |' * (len(table[0]) - 1)}"
    return "\n".join([head, rule, *rows])


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
