"""What is to be reached, and whether it is.

The law of this room. A target is one row of ours against a bound: so many times what the best peer took (or
one that is named, or ours where nothing is hard) in the same run, or a figure by itself. Ratios are taken
within each run and the median counts; so nothing is met by luck in one of them. What wasn't measured is said
to be so, never left out.

It doesn't measure: it knows only figures by contender.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from rows import EXCHANGE, FLAT, PAPER, Row, Turn
from table import Results, ratio, shown


@dataclass(frozen=True)
class Goal:
    """How much is enough. `to` is a factor where it is compared, else a figure in the row's unit."""

    to: float
    than: str | Row | None = None
    """None: by itself. "peers": the best of them. Another contender's label, or a row of ours."""

    def said(self, unit: str) -> str:
        if self.than is None:
            return f"{'≥' if unit == '/s' else '≤'} {shown(self.to, unit)}"
        return f"≤ {self.to:g} ×"


class Target(NamedTuple):
    what: str
    row: Row
    goal: Goal | None
    """None: reported only."""


class Judged(NamedTuple):
    what: str
    ours: str
    other: str
    ratio: str
    goal: str
    met: str
    """yes, no, or why that can't be said."""


def _best(factor: float) -> Goal:
    return Goal(factor, "peers")


def _targets() -> Iterator[Target]:
    typing = {trace: Row(Turn("typing", trace), "all", "") for trace in (PAPER, "sveltecomponent")}
    typing["json-crdt-patch"] = Row(Turn("typing", "json-crdt-patch"), "all", "")
    yield Target(f"typing, each edit a patch: {PAPER}", typing[PAPER], _best(0.5))
    for trace in ("sveltecomponent", "json-crdt-patch"):
        yield Target(f"typing, each edit a patch: {trace}", typing[trace], Goal(1.5, "str"))
    yield Target(f"edits as one list: {PAPER}", Row(Turn("list", PAPER), "all", ""), _best(0.33))
    yield Target(
        f"replay kernel alone: {PAPER}", Row(Turn("kernel", PAPER), "replay", ""), Goal(5, "C gap buffer")
    )
    for trace, most in ((PAPER, 0.4), ("sveltecomponent", 2.0), (FLAT, 1.0), ("friendsforever", 1.4)):
        row = Row(Turn("save", trace), "an edit", "", "B")
        yield Target(f"stored bytes an edit, whole history: {trace}", row, Goal(most))
    times = Turn("times", "json-crdt-patch")
    entropy = Row(times, "entropy", "", "B")
    yield Target("column of times: json-crdt-patch", Row(times, "times", "", "B"), Goal(1.1, entropy))

    tails = {name: Row(Turn("open", PAPER), name, "") for name in ("tail 50", "tail 1000", "whole")}
    yield Target("open from SQLite, a tail of 50 rows", tails["tail 50"], _best(1))
    yield Target("open from SQLite, a tail of 1,000 rows", tails["tail 1000"], Goal(0.008))
    for name, label in (("tail 50", "50"), ("tail 1000", "1,000")):
        more = Row(Turn("open", PAPER), f"{name}, 10 x", "")
        # Flat: nothing but noise between the two.
        yield Target(
            f"open from SQLite, a tail of {label}, 10 times the history", more, Goal(1.25, tails[name])
        )
    yield Target("open from SQLite, the whole history decoded", tails["whole"], _best(1))
    for trace in (PAPER, FLAT):
        for figure, factor in (("in a row", 0.33), ("in a row, slowest", 0.5)):
            label = f"old versions in a row, {'slowest' if 'slowest' in figure else 'median'}: {trace}"
            yield Target(label, Row(Turn("versions", trace), figure, ""), _best(factor))
    yield Target(
        f"texts a second, every version: {PAPER}", Row(Turn("every", PAPER), "rate", "", "/s"), Goal(5_000)
    )

    yield Target("exchange of every patch: friendsforever", Row(EXCHANGE, "exchange", ""), _best(0.5))
    yield Target("a fresh replica, one by one", Row(EXCHANGE, "each", ""), _best(0.8))
    yield Target("a fresh replica, all at once", Row(EXCHANGE, "at once", ""), _best(0.4))
    yield Target("a fresh replica, from rows", Row(EXCHANGE, "rows", ""), None)
    yield Target("bytes of one keystroke", Row(EXCHANGE, "keystroke", "", "B"), Goal(28))
    yield Target(f"memory grown by typing: {PAPER}", Row(Turn("memory", PAPER), "grown", "", "MiB"), _best(1))
    for trace in (PAPER, "sveltecomponent"):
        for apart in (50, 500, 5_000):
            row = Row(Turn("diff", trace), str(apart), "")
            yield Target(f"diff, {apart:,} edits apart: {trace}", row, _best(1))
    for size in (20_000, 100_000):
        yield Target(
            f"diff, wholly different, {size:,}", Row(Turn("different", PAPER), str(size), ""), Goal(0.1)
        )
    yield Target(
        "1,000 patches onto 100 kB", Row(Turn("apply", PAPER), "all", ""), Goal(0.1, "diff-match-patch")
    )

    branches = Turn("branches", PAPER)
    for figure, label, factor in (
        ("merge", "two branches of 20,000: merge", 10.0),
        ("versions", "two branches of 20,000: all versions", 10.0),
        ("live", "two branches live: a receipt (mean)", 5.0),
        ("live, 99th", "two branches live: a receipt, 99th of 100", 5.0),
    ):
        linear = "live, linear, 99th" if figure == "live, 99th" else f"{figure}, linear"
        yield Target(label, Row(branches, figure, ""), Goal(factor, Row(branches, linear, "")))
    yield Target("`import syncstring`, a whole process", Row(Turn("start"), "import", ""), Goal(0.06))
    yield Target("`syncstring --help`, a whole process", Row(Turn("start"), "help", ""), Goal(0.15))


TARGETS = list(_targets())
HEAD = ["what", "ours", "compared with", "ratio", "to reach", "met?"]


def judged(results: Results) -> list[Judged]:
    """Every target, in order; none if no row of any was measured."""
    found = [_judge(target, results) for target in TARGETS]
    return found if any(each.ours != "-" for each in found) else []


def _judge(target: Target, results: Results) -> Judged:
    row, goal = target.row, target.goal
    figures, ours = results.of(row), _ours(results, row)
    said = goal.said(row.unit) if goal else "reported"
    if not ours:
        return Judged(target.what, "-", "-", "-", said, "not measured")
    shows = shown(median(ours), row.unit)
    if goal is None or goal.than is None:
        best = results.best(row)
        others = f"{shown(median(figures[best]), row.unit)} ({best})" if best else "-"
        ratios = results.ratios(row, "peer")
        met = "-" if goal is None else _met(median(ours), goal, row.unit)
        return Judged(target.what, shows, others, ratio(ratios), said, met)
    if isinstance(goal.than, Row):
        than, label = _ours(results, goal.than), _label(goal.than, row)
        than = than if all(than) else []  # nothing is so many times nothing
        ratios = [mine / max(theirs, 1e-9) for mine, theirs in zip(ours, than, strict=False)]
    elif goal.than == "peers":
        label = results.best(row) or ""
        than, ratios = figures.get(label, []), results.ratios(row, "peer")
    else:
        label = goal.than
        than = figures.get(label, [])
        ratios = [mine / max(theirs, 1e-9) for mine, theirs in zip(ours, than, strict=False)]
    if not ratios:
        return Judged(target.what, shows, "-", "-", said, f"no {label or 'peer'} here")
    other = f"{shown(median(than), row.unit)} ({label})"
    return Judged(target.what, shows, other, ratio(ratios), said, _met(median(ratios), goal))


def _ours(results: Results, row: Row) -> list[float]:
    found = results.of(row)
    return next((found[label] for label in found if results.contenders[label][0] == "ours"), [])


def _label(than: Row, row: Row) -> str:
    if than.figure == "entropy":
        return "order-0 entropy"
    return "the history once" if row.figure.endswith("10 x") else "linear"


def _met(found: float, goal: Goal, unit: str = "") -> str:
    return "yes" if (found >= goal.to if unit == "/s" else found <= goal.to) else "no"


def verdict(found: list[Judged]) -> str:
    """In a sentence: how many are met, and which aren't."""
    judged = [each for each in found if each.met in ("yes", "no")]
    missed = [f"{each.what} ({_reached(each)})" for each in judged if each.met == "no"]
    unsaid = [f"{each.what} ({each.met})" for each in found if each.met not in ("yes", "no", "-")]
    parts = [f"Of {len(judged)} targets {len(judged) - len(missed)} are met."]
    if missed:
        parts.append(f"Not met: {'; '.join(missed)}.")
    if unsaid:
        parts.append(f"Not told: {'; '.join(unsaid)}.")
    return " ".join(parts)


def _reached(each: Judged) -> str:
    """What decided."""
    return each.ratio if each.goal.endswith("×") else each.ours
