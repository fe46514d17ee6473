"""Recordings made from the recorded: a beginning, a flattened one, two branches, and one of any length.

The law of this room. What is derived is steps like any others, or a file of the same format, and its end is
known before anything is measured: from a plain `str`, or, where a merge decides, from ours, which the peers'
texts are then held against. The same recordings give the same.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from recordings import Splices, Trace


def shorten(source: Path, target: Path, count: int) -> None:
    """The first `count` transactions of a trace, as a file."""
    data = source.read_bytes()
    found: dict[str, Any] = json.loads(gzip.decompress(data) if source.suffix == ".gz" else data)
    found["txns"] = found["txns"][:count]
    if found.get("kind") == "concurrent":
        found["endContent"] = _merged(found)
    else:
        text = found.get("startContent", "")
        for txn in found["txns"]:
            for pos, delete, insert in txn["patches"]:
                text = text[:pos] + insert + text[pos + delete :]
        found["endContent"] = text
    target.write_text(json.dumps(found), encoding="utf-8")


def _merged(found: dict[str, Any]) -> str:
    """The text that a concurrent trace ends in."""
    from syncstring.traces import read_trace

    with TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        path.write_text(json.dumps(found), encoding="utf-8")
        return read_trace(path).history().text()


def flatten(source: Path, target: Path) -> None:
    """A concurrent trace made sequential, as a file: from each version to the next in time order. All times
    that it has are the recording's. `ValueError` if that doesn't end in the recorded text."""
    from syncstring.traces import read_trace

    recorded = read_trace(source)
    history = recorded.history()
    txns, text = [], ""
    for splices in history.splices():
        for pos, delete, insert in splices:
            text = text[:pos] + insert + text[pos + delete :]
        txns.append({"patches": [list(splice) for splice in splices]})
    if text != recorded.end_content:
        raise ValueError(f"{source.name} flattened doesn't end in the recorded text")
    target.write_text(json.dumps({"startContent": "", "endContent": text, "txns": txns}), encoding="utf-8")


class Branches(NamedTuple):
    """Two replicas' transactions on one text, neither of which sees the other's."""

    base: str
    mine: list[Splices]
    """As the recording went on."""
    theirs: list[Splices]
    """The recording's beginning, typed behind the base."""
    behind: list[Splices]
    """The same, where all of mine are known: what makes one author's history of both."""
    end: str


def branches(trace: Trace, count: int) -> Branches:
    """So many transactions each, of a sequential trace that has twice as many."""
    first = len(trace.steps) // 2
    texts = trace.texts([first - 1, first - 1 + count, count - 1])
    base, here = texts[first - 1], texts[first - 1 + count]
    beginning = [step.splices for step in trace.steps[:count]]
    return Branches(
        base,
        [step.splices for step in trace.steps[first : first + count]],
        [_moved(splices, len(base)) for splices in beginning],
        [_moved(splices, len(here)) for splices in beginning],
        here + texts[count - 1],
    )


def _moved(splices: Splices, by: int) -> Splices:
    return [(pos + by, delete, insert) for pos, delete, insert in splices]


def repeated(trace: Trace, times: int) -> Iterator[tuple[Splices, int]]:
    """A sequential trace typed so many times, each time after deleting all; transactions and their times."""
    for turn in range(times):
        if turn and trace.end:
            yield [(0, len(trace.end), "")], 0
        yield from ((step.splices, time) for step, time in zip(trace.steps, trace.times, strict=True))


def endless(traces: list[Trace], base: str) -> Iterator[Splices]:
    """Single transactions without end: `base`, then one recording after another in front of it, from the
    beginning again after the last, each deleted when it is done."""
    yield [(0, 0, base)]
    for trace in cycle(traces):
        yield from (step.splices for step in trace.steps)
        if trace.end:
            yield [(0, len(trace.end), "")]
