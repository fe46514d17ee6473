"""What is to be reached, and whether it is.

The law of this room. A target is one row of ours against a bound: so many times what the best peer took (or
one that is named, or ours where nothing is hard) in the same run, or a figure by itself. Ratios are taken
within each run and the median counts; so nothing is met by luck in one of them. What wasn't measured is said
to be so, never left out.

It doesn't measure: it knows only figures by contender.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from rows import FLAT, PAPER, Row, Turn
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


def _row(task: str, trace: str | None, figure: str, unit: str = "s") -> Row:
    return Row(Turn(task, trace), figure, "", unit)


def _peers(factor: float) -> Goal:
    return Goal(factor, "peers")


def _linear(factor: float, figure: str) -> Goal:
    return Goal(factor, _row("branches", PAPER, figure))


SVELTE, JSON, TWO = "sveltecomponent", "json-crdt-patch", "friendsforever"
ONCE = {figure: _row("open", PAPER, figure) for figure in ("tail 50", "tail 1000")}
FLATNESS = 1.25  # between two openings that cost the same lies nothing but noise
TARGETS = [
    Target(f"typing, each edit a patch: {PAPER}", _row("typing", PAPER, "all"), _peers(0.5)),
    *(
        Target(f"typing, each edit a patch: {trace}", _row("typing", trace, "all"), Goal(1.5, "str"))
        for trace in (SVELTE, JSON)
    ),
    Target(f"edits as one list: {PAPER}", _row("list", PAPER, "all"), _peers(0.33)),
    Target(f"replay kernel alone: {PAPER}", _row("kernel", PAPER, "replay"), Goal(5, "C gap buffer")),
    *(
        Target(
            f"stored bytes an edit, whole history: {trace}", _row("save", trace, "an edit", "B"), Goal(most)
        )
        for trace, most in ((PAPER, 0.4), (SVELTE, 2.0), (FLAT, 1.0), (TWO, 1.4))
    ),
    Target(
        f"column of times: {JSON}",
        _row("times", JSON, "times", "B"),
        Goal(1.1, _row("times", JSON, "entropy", "B")),
    ),
    Target("open from SQLite, a tail of 50 rows", ONCE["tail 50"], _peers(1)),
    Target("open from SQLite, a tail of 1,000 rows", ONCE["tail 1000"], Goal(0.008)),
    *(
        Target(
            f"open from SQLite, a {figure.replace('tail', 'tail of')}, 10 times the history",
            _row("open", PAPER, f"{figure}, 10 x"),
            Goal(FLATNESS, once),
        )
        for figure, once in ONCE.items()
    ),
    Target("open from SQLite, the whole history decoded", _row("open", PAPER, "whole"), _peers(1)),
    *(
        Target(f"old versions in a row, {name}: {trace}", _row("versions", trace, figure), _peers(factor))
        for trace in (PAPER, FLAT)
        for name, figure, factor in (("median", "in a row", 0.33), ("slowest", "in a row, slowest", 0.5))
    ),
    Target(f"texts a second, every version: {PAPER}", _row("every", PAPER, "rate", "/s"), Goal(5_000)),
    Target(f"exchange of every patch: {TWO}", _row("exchange", TWO, "exchange"), _peers(0.5)),
    Target("a fresh replica, one by one", _row("exchange", TWO, "each"), _peers(0.8)),
    Target("a fresh replica, all at once", _row("exchange", TWO, "at once"), _peers(0.4)),
    Target("a fresh replica, from rows", _row("exchange", TWO, "rows"), None),
    Target("bytes of one keystroke", _row("exchange", TWO, "keystroke", "B"), Goal(28)),
    Target(f"memory grown by typing: {PAPER}", _row("memory", PAPER, "grown", "MiB"), _peers(1)),
    *(
        Target(f"diff, {apart:,} edits apart: {trace}", _row("diff", trace, str(apart)), _peers(1))
        for trace in (PAPER, SVELTE)
        for apart in (50, 500, 5_000)
    ),
    *(
        Target(f"diff, wholly different, {size:,} characters", _row("different", PAPER, str(size)), Goal(0.1))
        for size in (20_000, 100_000)
    ),
    Target("1,000 patches onto 100 kB", _row("apply", PAPER, "all"), Goal(0.1, "diff-match-patch")),
    Target("two branches: merge", _row("branches", PAPER, "merge"), _linear(10, "merge, linear")),
    Target(
        "two branches: all versions", _row("branches", PAPER, "versions"), _linear(10, "versions, linear")
    ),
    Target("two branches live: a receipt, mean", _row("branches", PAPER, "live"), _linear(5, "live, linear")),
    Target(
        "two branches live: a receipt, 99th of 100",
        _row("branches", PAPER, "live, 99th"),
        _linear(5, "live, linear, 99th"),
    ),
    Target("`import syncstring`, a whole process", _row("start", None, "import"), Goal(0.06)),
    Target("`syncstring --help`, a whole process", _row("start", None, "help"), Goal(0.15)),
]
BOUNDS = {
    f"edits as one list: {PAPER}": """260,000 patches are made and kept, 112 bytes each, and a third of the
    time is the first touch of their memory: the ratio hangs on what else the memory has to do""",
    "open from SQLite, a tail of 50 rows": """connecting and the first read, which makes the log beside the
    file and its index, take 0.25 ms; inflating the text 0.1 to 0.25, its checksums and copies 0.06; reading,
    checking and placing 50 rows 0.08: about what the peer takes for all, which reads one blob by one
    statement. The rest is Python, some 1,300 calls, none of them above 0.05""",
    "open from SQLite, the whole history decoded": """to open it takes 1.7 ms, as without its history; its
    columns are inflated and their checksums taken in 0.9; judging and replaying 260,000 edits, what was
    typed in a row at once, takes 0.9; to let the document go on from there, and to compare it with what was
    open, 0.6; the rest is the thread that reads, its event loop, and rows""",
    "a fresh replica, all at once": """26,078 updates are as many objects: 3 ms to read their bytes, 4 to
    place them, 4 to walk them, and some for the first touch of memory""",
}
"""What keeps a target from being met, where it isn't: as profiled, not measured anew with each run."""
HEAD = ["what", "ours", "compared with", "ratio", "to reach", "met?"]


def judged(results: Results) -> list[Judged]:
    """Every target, in order; none if no row of any was measured. On the recordings' beginnings alone nothing
    is met or missed: what it would be stands in brackets."""
    found = [_judge(target, results) for target in TARGETS]
    if results.cut:
        found = [each._replace(met=f"({each.met})") if each.met in ("yes", "no") else each for each in found]
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
    if part := [each.met for each in found if each.met in ("(yes)", "(no)")]:
        return f"Were these the whole, {part.count('(yes)')} of {len(part)} targets would be met."
    judged = [each for each in found if each.met in ("yes", "no")]
    missed = [f"{each.what} ({_reached(each)})" for each in judged if each.met == "no"]
    unsaid = [f"{each.what} ({each.met})" for each in found if each.met not in ("yes", "no", "-")]
    parts = [f"Of {len(judged)} targets {len(judged) - len(missed)} are met."]
    if missed:
        parts.append(f"Not met: {'; '.join(missed)}.")
    if unsaid:
        parts.append(f"Not told: {'; '.join(unsaid)}.")
    return " ".join(parts)


def lines(found: list[Judged]) -> list[list[str]]:
    """The table's, where what isn't met and is known to be bounded says so."""
    return [
        [*each[:-1], "no, bounded" if each.met == "no" and each.what in BOUNDS else each.met]
        for each in found
    ]


def bounds(found: list[Judged]) -> str:
    """What bounds those that aren't met, as far as it is known; empty if nothing is."""
    known = [
        f"{each.what}: {' '.join(BOUNDS[each.what].split())}"
        for each in found
        if each.met == "no" and each.what in BOUNDS
    ]
    return f"What bounds these: {'; '.join(known)}." if known else ""


def _reached(each: Judged) -> str:
    """What decided."""
    return each.ratio if each.goal.endswith("×") else each.ours
