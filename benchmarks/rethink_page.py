"""The part of README.md about RethinkDB: how it is put there, and what it says of the figures.

The law of this room. A cell is a median over the runs, a ratio is taken within each of them. What is said of
the figures in words is derived from them. What wasn't measured has no table. The part stands between two
marks, and nothing else of the page is touched.

It doesn't measure: it knows only what `rethink.py` found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from rethink_server import BATCH
from table import machine, markdown, page, ratio, shown

if TYPE_CHECKING:
    from rethink import Results

BEGIN = "<!-- rethink.py writes from here -->"
END = "<!-- rethink.py writes up to here -->"


def part(file: Path) -> str:
    """What stands there of it, with its marks and an empty line before; empty if there is none."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    begin, end = text.find(BEGIN), text.find(END)
    return f"\n{text[begin : end + len(END)]}\n" if 0 <= begin < end else ""


def put(text: str, file: Path) -> None:
    """Put it in its place in a file, or at the end."""
    there = file.read_text(encoding="utf-8") if file.exists() else ""
    new = f"{BEGIN}\n\n{text}\n{END}\n"
    if old := part(file):
        file.write_text(there.replace(old[1:], new), encoding="utf-8")
    else:
        file.write_text(f"{there}\n{new}" if there else new, encoding="utf-8")


def section(results: Results) -> str:
    """The part, whole."""
    parts = [
        "## Through a RethinkDB server",
        f"""Measured {date.today():%Y-%m-%d} on {machine()}, through {results.version}; load
        average before the first run: {results.load:.1f}. Runs: {results.sizes.runs}.""",
        """One server on loopback, started for this, on the processors that the clients use too: there is no
        network in these figures, and what clients take the server lacks. *Bare* is the driver alone (its
        asyncio face), in the same run and by turns: rows of the same bytes, as durable, into a table without
        our write hook, and a feed on a second connection. Times are wall time, but those called CPU. Cells
        are medians over the runs; a ratio is taken within each run, in brackets the least and the greatest.
        No time counts before the texts were found whole and equal.""",
    ]
    for each in (_keystrokes, _rates, _catch_up, _restarts, _held):
        parts += each(results)
    return page(parts)


# --- a keystroke ------------------------------------------------------------------------------------------


def _keystrokes(results: Results) -> Iterator[str]:
    found = results.keystrokes
    if not found:
        return
    yield "### A keystroke, until a peer shows it"
    yield f"""Two sessions, each with a client of its own, in one process. One types a letter and commits it;
        the other has it in its text, as splices for an editor. Between two of ours comes one insert of the
        driver, until its feed tells it. {results.sizes.keystrokes:,} of each a run."""
    labels = {
        "peer, median": "until the peer's text has it, median",
        "peer, 99th of 100": "until the peer's text has it, 99th of 100",
        "acknowledged, median": "until it is acknowledged, median",
        "acknowledged, 99th of 100": "until it is acknowledged, 99th of 100",
        "cpu": "client CPU, both ends together",
    }
    rows = [["", "syncstring", "bare", "ours / bare"]]
    for name, label in labels.items():
        rows.append([label, *_pair([each[name] for each in found], _time)])
    yield markdown(rows)
    more = median(ours - bare for ours, bare in (each["cpu"] for each in found))
    slow = [each["peer, 99th of 100"][1] for each in found]
    fast = [each["peer, median"][1] for each in found]
    yield f"""Of the client's CPU {_time(more)} a keystroke is ours, for both ends. How quiet the machine was:
        from run to run the bare driver's own median went from {_time(min(fast))} to {_time(max(fast))}, its
        99th of 100 from {_time(min(slow))} to {_time(max(slow))}."""


def _pair(found: Sequence[Sequence[float]], write: Callable[[float], str]) -> list[str]:
    """Cells of ours and the bare driver's figures, run by run, and of their ratio."""
    ours, bare = zip(*found, strict=True)
    ratios = [mine / max(theirs, 1e-9) for mine, theirs in found]
    return [write(median(ours)), write(median(bare)), ratio(ratios)]


def _time(seconds: float) -> str:
    return shown(seconds, "s")


def _count(number: float) -> str:
    return f"{number:,.0f}"


# --- patches per second -----------------------------------------------------------------------------------


def _rates(results: Results) -> Iterator[str]:
    if not results.rates and not results.at_once:
        return
    yield "### Patches per second"
    yield f"""Every session types a letter, commits, and types the next when that is acknowledged, for
        {results.sizes.seconds:g} s; time stops when every session's text has all of them. All sessions stand
        in one process and one event loop: a hundred of them share a processor, and on one document each of
        them takes in what all others type, in patches that name as many parents as were typed at once. CPU is
        that process's, all sessions together, and the server's. Bare has as many pairs of connections, of
        which one inserts row after row and the other hears the rows of its document. In the last line all
        patches are made before any is sent, and ours begins to pack them meanwhile; bare sends {BATCH} rows
        at once. More is better here."""
    rows = [
        [
            "",
            "syncstring",
            "bare",
            "ours / bare",
            "client CPU a patch, ours",
            "bare",
            "server CPU, ours",
            "bare",
        ]
    ]
    for row in results.rates:
        both = list(zip(row["ours"], row["bare"], strict=True))
        cells = _pair([(ours["rate"], bare["rate"]) for ours, bare in both], _count)
        for name in ("cpu", "server"):
            cells += _pair([(ours[name], bare[name]) for ours, bare in both], _time)[:2]
        rows.append([_of(*row["rate"]), *cells])
    if results.at_once:
        cells = _pair([each["rate"] for each in results.at_once], _count)
        cells += _pair([each["cpu"] for each in results.at_once], _time)[:2]
        rows.append([f"1 session that comes back with {results.sizes.at_once:,}", *cells, "-", "-"])
    yield markdown(rows)


def _of(sessions: int, documents: int, clients: int) -> str:
    through = "" if clients == sessions else f", through {clients} client" + "s" * (clients > 1)
    return f"{sessions} session{'s' * (sessions > 1)}, {documents} document{'s' * (documents > 1)}{through}"


# --- catching up, coming back -----------------------------------------------------------------------------


def _catch_up(results: Results) -> Iterator[str]:
    found = results.catch_up
    if not found:
        return
    count = f"{results.sizes.history:,}"
    yield "### Catching up"
    yield f"""A document of {count} patches is opened for editing, first with all of them as rows, then with
        all in packs. Bare reads the rows and does nothing with them. Medians of {results.sizes.times}."""
    rows = [["", "syncstring", "bare", "client CPU, ours", "bare"]]
    for name, label, bare in (
        ("rows", f"opening it, {count} rows", "reading the rows"),
        ("packed", "opening it, packed", ""),
        ("packed, and its history", "opening it, packed, and reading all its history", ""),
        ("packing", f"packing {count} rows, once", ""),
    ):
        times = (found[f"{name}{end}"] for end in ("", ", cpu"))
        theirs = (_time(found[f"{bare}{end}"]) if bare else "-" for end in ("", ", cpu"))
        rows.append([label, *(cell for pair in zip(map(_time, times), theirs, strict=True) for cell in pair)])
    yield markdown(rows)


def _restarts(results: Results) -> Iterator[str]:
    found = results.restarts
    if not found:
        return
    yield "### After a kill"
    yield f"""SIGKILL of the server; half a second later it is started again, and from that moment on time
        runs for all at once; {len(found["port"])} in all. The live session typed while it was dead. Bare
        dials anew every 10 ms and inserts a row."""
    rows = [["", "median", "slowest"]]
    for name, label in (
        ("port", "the port answers"),
        ("bare", "bare: a row is acknowledged"),
        ("acknowledged", "a live session: `flush` returns"),
        ("peer", "a live peer shows it"),
        ("opened", "a new session has opened the document"),
    ):
        rows.append([label, _time(median(found[name])), _time(max(found[name]))])
    yield markdown(rows)


# --- much that is open ------------------------------------------------------------------------------------


def _held(results: Results) -> Iterator[str]:
    if not results.held:
        return
    yield "### Much that is open"
    yield f"""What documents cost that are open while nobody types in them, and what a write costs then:
        {results.sizes.writes:,} patches, one after the other, each to the next document, by a client that has
        none open; every one is taken in where its document is open. A client has two connections (feeds;
        everything else) and hears its own heartbeat; a session follows two tables; beyond 64 documents a
        client has one feed of each table for all others. Memory is what opening added, the server's to
        one that was just started. *Idle* is the CPU of a second in which nobody writes, of heartbeats mostly;
        a write's CPU is what it adds. Everything once, each on a server of its own; where it was measured
        twice, the CPU of a write came out up to a quarter apart."""
    head = [
        "",
        "opening",
        "feeds",
        "server memory",
        "server CPU idle",
        "server CPU a write",
        "a write, median",
    ]
    rows = [[*head, "slowest", "clients' memory", "clients' CPU idle", "clients' CPU a write"]]
    for found in results.held:
        kind, count, processes = found["held"]
        none = not count
        cells = [_time(found["opening"]), _count(found["feeds"]), _megabytes(found["server memory"])]
        cells += [_time(found["server idle"]), _time(found["server cpu"])]
        cells += [_time(found["write"]), _time(found["slowest write"])]
        ours = [_megabytes(found["memory"]), _time(found["idle"]), _time(found["cpu"])]
        if none:
            cells[0] = cells[2] = "-"
            ours = ["-"] * 3
        rows.append([_what(kind, count, processes), *cells, *ours])
    yield markdown(rows)
    yield from _of_feeds(results.held)


def _what(kind: str, count: int, processes: int) -> str:
    if not count:
        return "nothing"
    return {
        "documents": f"{count:,} documents, one client",
        "clients": f"{count:,} documents, a client each, in {processes} processes",
        "feeds": f"bare: a feed of each of {count:,} documents, one connection",
    }[kind]


def _of_feeds(held: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What sharing feeds saves, where both were measured."""
    found = {(each["held"][0], each["held"][1]): each for each in held}
    none = found.get(("documents", 0))
    for (kind, count), bare in found.items():
        ours = found.get(("documents", count))
        if kind == "feeds" and ours is not None and none is not None:
            costs = [each["server cpu"] for each in (none, ours, bare)]
            full = [_count(1 / max(cost, 1e-9)) for cost in costs]
            yield f"""A write takes the server {_time(costs[0])} of CPU with nothing open, {_time(costs[1])}
                with {count:,} documents open through one client, and {_time(costs[2])} with a feed for each:
                a core is used up by {full[0]}, {full[1]} and {full[2]} writes a second."""


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.{0 if size >= 1e7 else 1}f} MB"
