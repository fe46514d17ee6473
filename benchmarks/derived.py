"""Recordings made from the recorded: a beginning, a flattened one, two branches, and one of any length.

The law of this room. What is derived is steps like any others, or a file of the same format, and its end is
known before anything is measured: from a plain `str`, or, where a merge decides, from ours, which the peers'
texts are then held against. The same recordings give the same.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from recordings import Splices, Trace

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def shorten(source: Path, target: Path, count: int) -> None:
    """The first `count` transactions of a trace, as a file."""
    found = _loaded(source)
    found["txns"] = found["txns"][:count]
    if found.get("kind") == "concurrent":
        found["endContent"] = _flat(found)[1]
    else:
        text = found.get("startContent", "")
        for txn in found["txns"]:
            for pos, delete, insert in txn["patches"]:
                text = text[:pos] + insert + text[pos + delete :]
        found["endContent"] = text
    target.write_text(json.dumps(found), encoding="utf-8")


def flatten(source: Path, target: Path) -> None:
    """A concurrent trace made sequential, as a file: its transactions in the file's order, each as it changes
    the merge of those before. `ValueError` if that doesn't end in the recorded text."""
    found = _loaded(source)
    versions, text = _flat(found)
    if text != found["endContent"]:
        raise ValueError(f"{source.name} flattened doesn't end in the recorded text")
    txns = [{"patches": splices} for splices in versions]
    target.write_text(json.dumps({"startContent": "", "endContent": text, "txns": txns}), encoding="utf-8")


def _loaded(source: Path) -> dict[str, Any]:
    data = source.read_bytes()
    found: dict[str, Any] = json.loads(gzip.decompress(data) if source.suffix == ".gz" else data)
    return found


def _flat(found: dict[str, Any]) -> tuple[list[Splices], str]:
    """The splices from each version of a concurrent trace to the next, and the last text. Ours merges."""
    from syncstring.traces import read_trace

    # Times that ascend as the file does, so that time order is the file's.
    txns = [
        {**txn, "time": (_EPOCH + timedelta(milliseconds=number + 1)).isoformat()}
        for number, txn in enumerate(found["txns"])
    ]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        path.write_text(json.dumps({**found, "txns": txns}), encoding="utf-8")
        history = read_trace(path).history()
    versions, text = history.splices(), ""
    for splices in versions:
        for pos, delete, insert in splices:
            text = text[:pos] + insert + text[pos + delete :]
    return [[(pos, delete, insert) for pos, delete, insert in splices] for splices in versions], text


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


def endless_text(traces: list[Trace], base: str, count: int) -> str:
    """The text after the first `count` transactions of `endless`, at least one."""
    left = count - 1
    for trace in cycle(traces):
        if left <= len(trace.steps):
            return (trace.texts([left - 1])[left - 1] if left else "") + base
        left -= len(trace.steps) + bool(trace.end)
    raise AssertionError("unreachable")
