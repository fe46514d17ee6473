"""`stats`: a history in numbers.

The law of this room. Everything is counted from the patches: the same set of them gives the same numbers.
Times are what the authors' own clocks said (`wall`); pauses are between neighbours in the time order.
"""

from __future__ import annotations

from collections import Counter
from heapq import nlargest
from itertools import pairwise
from typing import Any

from syncstring.cli.output import Output, fit, is_timed, iso, plain, width_of, working
from syncstring.cli.sources import Source
from syncstring.timeline import Timeline

__all__ = ["print_stats", "stats"]

_COLUMNS = ("patches", "inserted", "deleted", "standing")
_PAUSES = 3
_SPANS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))
_WORTH_TELLING = 60_000_000  # microseconds of a pause
_MANY = 12  # authors that a screen shows


def stats(timeline: Timeline) -> dict[str, Any]:
    """Patches, versions, text, authors, times and concurrency of a history. O(history).

    Texts in code points (and the newest one's size in bytes of UTF-8), times in microseconds since the epoch,
    0 where none was recorded. A *bubble* is a stretch of patches between two versions that everybody saw,
    in which people wrote without seeing each other.
    """
    history = timeline.history
    graph = history.graph
    n = len(graph)
    history.merge.script(n)  # judges what doesn't fit
    order = graph.order_until(n)
    authors: dict[str, Counter[str]] = {}
    sessions: set[str] = set()
    walls: list[int] = []
    for event in order:
        author = authors.setdefault(graph.author_of(event), Counter())
        author["patches"] += 1
        if not graph.is_misfit(event):
            inserted, deleted, _ = graph.totals(event)
            author["inserted"] += inserted
            author["deleted"] += deleted
        sessions.add(graph.id_of(event)[1])
        walls.append(graph.wall_of(event))
    for event, _, length in history.merge.runs(graph.heads) if n else ():
        authors[graph.author_of(event)]["standing"] += length
    text = history.text()
    bubbles = [last - first for first, last, linear in graph.stretches(0, n) if not linear]
    known = [wall for wall in walls if is_timed(wall)]
    pauses = nlargest(
        _PAUSES,
        ((b - a, -after) for after, (a, b) in enumerate(pairwise(walls), start=1) if is_timed(a) and b > a),
    )
    return {
        "patches": n,
        "versions": n + 1,
        "heads": [str(id) for id in history.heads],
        "sessions": len(sessions),
        "length": len(text),
        "lines": text.count("\n") + (not text.endswith("\n") if text else 0),
        "bytes": len(text.encode()),
        "inserted": sum(author["inserted"] for author in authors.values()),
        "deleted": sum(author["deleted"] for author in authors.values()),
        "first": min(known, default=0),
        "last": max(known, default=0),
        "pauses": [{"after": -after, "length": length} for length, after in pauses],
        "bubbles": len(bubbles),
        "concurrent": sum(bubbles),
        "largest_bubble": max(bubbles, default=0),
        "problems": [str(problem) for problem in history.problems],
        "authors": [
            {"author": name, **{key: author[key] for key in _COLUMNS}}
            for name, author in sorted(authors.items(), key=lambda item: (-item[1]["patches"], item[0]))
        ],
    }


def print_stats(source: Source, out: Output) -> None:
    """Print them as a small table, or as one object."""
    with working("counting"):
        found = stats(source.timeline)
    if out.json:
        out.object({"source": source.title, **found})
        return

    def row(name: str, text: str) -> None:
        out.line(out.paint(f"{name:<11}", "cyan") + text)

    people, sessions = _count(len(found["authors"]), "author"), _count(found["sessions"], "session")
    row("patches", f"{found['patches']:,} by {people} in {sessions}")
    sizes = (("length", "code point"), ("lines", "line"), ("bytes", "byte"))
    row("text", ", ".join(_count(found[what], one) for what, one in sizes))
    row("typed", f"{found['inserted']:,} inserted, {found['deleted']:,} deleted")
    if found["last"]:
        span = duration(found["last"] - found["first"])
        row("time", f"{iso(found['first'])} to {iso(found['last'])} ({span})")
        for pause in found["pauses"]:
            if pause["length"] >= _WORTH_TELLING:
                row("pause", f"{duration(pause['length'])} after version {pause['after']:,}")
    else:
        row("time", "none recorded")
    if found["bubbles"]:
        where = _count(found["bubbles"], "bubble")
        largest = f"the largest of {found['largest_bubble']:,}"
        row("concurrent", f"{_count(found['concurrent'], 'patch', 'patches')} in {where}, {largest}")
    else:
        row("concurrent", "nothing: everybody had seen everything")
    if len(found["heads"]) > 1:
        row("heads", f"{len(found['heads']):,}, merged in what you see")
    for problem in found["problems"]:
        row("problem", plain(problem))
    _print_authors(out, found["authors"])


def _print_authors(out: Output, authors: list[dict[str, Any]]) -> None:
    shown = authors if not out.terminal else authors[:_MANY]
    if not shown:
        return
    names = [fit(plain(author["author"]), 30) for author in shown]
    width = max(map(width_of, names))
    widths = [max(len(name), *(len(f"{author[name]:,}") for author in shown)) for name in _COLUMNS]
    out.line("")
    head = "  ".join(f"{name:>{size}}" for name, size in zip(_COLUMNS, widths, strict=True))
    out.line(out.paint(f"{'':<{width}}  {head}", "cyan"))
    for name, author in zip(names, shown, strict=True):
        cells = "  ".join(f"{author[key]:>{size},}" for key, size in zip(_COLUMNS, widths, strict=True))
        out.line(f"{name}{' ' * (width - width_of(name))}  {cells}")
    if len(shown) < len(authors):
        out.line(f"… and {len(authors) - len(shown):,} more; --json has all of them")


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def duration(micros: int) -> str:
    """A time span in its two largest units: `3 d 4 h`."""
    seconds = micros / 1_000_000
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for size, unit, small, smaller in _SPANS:
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size:,} {unit}" + (f" {rest} {smaller}" if rest else "")
    return "1 min"
