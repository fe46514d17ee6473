"""What is written of all figures: for the terminal, and README.md.

The law of this room. What is said of the results in words (what isn't reached, where a peer is ahead, how
busy the machine was) is derived from them, so that it can't be out of date.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from statistics import median

from rows import SECTIONS
from table import Results, machine, markdown, page, tables, times
from targets import HEAD, bounds, judged, lines, verdict


def plain(results: Results) -> str:
    """The tables for a terminal, the targets last."""
    parts = [_aligned(section.title, table) for section, table in tables(results)]
    if found := [each for each in judged(results) if each.met != "not measured"]:
        parts += [_aligned("Targets", [HEAD, *lines(found)]), verdict(found)]
    return "\n\n".join(parts)


def _aligned(title: str, table: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = [title]
    for first, *others in table:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def readme(results: Results) -> str:
    """benchmarks/README.md, whole."""
    versions = ", ".join(f"{label} {version}" for label, (_, version) in results.contenders.items())
    parts = [
        "# How fast",
        """Written by `make bench`, which measures everything below anew; don't edit. The part at the end
        about RethinkDB is written by `benchmarks/rethink.py`.""",
        f"""Measured {date.today():%Y-%m-%d} on {machine()}; load average before the first run:
        {results.load:.1f}. Versions: {versions}.""",
    ]
    if results.missing:
        parts.append(f"Not measured: {'; '.join(results.missing)}.")
    if results.cut:
        parts.append(
            f"""Of each recording only the first {results.cut:,} transactions were replayed (`--quick`):
            the targets are meant for the whole."""
        )
    if found := judged(results):
        parts += [
            "## Targets",
            """What this project sets out to reach, row by row from the tables below; what each is, and what
            the peers were asked for, is said there. Compared with the best peer of the row, or what is named.
            A ratio's median decides.""",
            markdown([HEAD, *lines(found)]),
            verdict(found),
        ]
        if bound := bounds(found):
            parts.append(bound)
    parts += [
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
        Python string, sliced at each edit: no peer, having neither history nor merge, but a yardstick.
        friendsforever_flat is friendsforever as it comes out of a merge, version by version, as one
        author's.""",
    ]
    for section, table in tables(results):
        parts += [f"## {section.title}", section.prose, markdown(table)]
    parts += [
        "## How costs grow",
        """One document, from a thousand patches to a million: a text of 100,000 characters in which
        recordings were typed one after another, again and again, each deleted when it was done. Every
        panel is one operation, both axes are logarithmic; flat means that history costs nothing. `make
        bench-growth` draws it anew.""",
        "![Cost of each operation against the number of patches](growth.svg)",
        "## Reading them",
        *_notes(results),
    ]
    return page(parts)


def _notes(results: Results) -> Iterator[str]:
    behind = []
    for section in SECTIONS:
        found = {row.label: results.ratios(row, "peer") for row in section.rows}
        worse = [
            f"{label} ({times(median(each))})" for label, each in found.items() if median(each or [0]) > 1
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
    yield """Not measured here: texts beyond 200 kB, more than two people at once without a store, peers'
        stores (they bring none to Python)."""
