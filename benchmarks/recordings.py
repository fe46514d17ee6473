"""Recorded traces as steps: who had received what when they typed what.

The law of this room. A trace is read whole and without the package that is measured, so that nobody is
timed on another's parser. Replicas that follow the steps hold, before each transaction, exactly the
history that its author had: what the recording names as parents, and all before it. A trace for which
that can't be had (an author who types without having seen their own last transaction, a transaction that
changes nothing) is refused, not bent.

The format is that of the public *editing-traces* collection: positions and lengths are code points.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

Splices = list[tuple[int, int, str]]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Step(NamedTuple):
    """One transaction. Its number is its place in `Trace.steps`."""

    agent: int
    arrived: list[int]
    """The transactions of others that come in just before, parents first."""
    splices: Splices
    """(pos, delete, insert), each on the text that the one before left."""


@dataclass(frozen=True)
class Trace:
    name: str
    agents: int
    steps: list[Step]
    parents: list[list[int]]
    rest: list[list[int]]
    """For each agent, what it has still not received when the last transaction is done."""
    end: str
    times: list[int]
    """When each transaction was made, in microseconds since the epoch; 0 where the recording doesn't say."""

    @property
    def is_sequential(self) -> bool:
        return self.agents == 1

    @cached_property
    def is_ascii(self) -> bool:
        return all(insert.isascii() for step in self.steps for _, _, insert in step.splices)

    def members(self, number: int) -> list[int]:
        """The transactions that the version of one contains, itself included, ascending."""
        if self.is_sequential:
            return list(range(number + 1))
        inside = bytearray(number + 1)
        inside[number] = 1
        for each in range(number, -1, -1):
            if inside[each]:
                for parent in self.parents[each]:
                    inside[parent] = 1
        return [each for each in range(number + 1) if inside[each]]

    def texts(self, numbers: list[int]) -> dict[int, str]:
        """The texts after these transactions of a sequential trace: a plain `str`, edited."""
        wanted, found, text = set(numbers), {}, ""
        for number, step in enumerate(self.steps):
            for pos, delete, insert in step.splices:
                text = text[:pos] + insert + text[pos + delete :]
            if number in wanted:
                found[number] = text
        return found

    def in_utf8(self) -> Trace:
        """The same with positions and lengths counted in bytes of UTF-8. O(edits * text) beyond ASCII."""
        if self.is_ascii:
            return self
        if not self.is_sequential:
            raise ValueError("a concurrent trace beyond ASCII can't be counted in bytes: it is merged first")
        steps, text = [], ""
        for step in self.steps:
            splices = []
            for pos, delete, insert in step.splices:
                before, gone = text[:pos], text[pos : pos + delete]
                splices.append((len(before.encode()), len(gone.encode()), insert))
                text = before + insert + text[pos + delete :]
            steps.append(step._replace(splices=splices))
        return replace(self, steps=steps)

    def tail(self, count: int) -> Trace:
        """A sequential trace's last `count` transactions, after one that inserts the text before them."""
        start = self.texts([len(self.steps) - count - 1]).popitem()[1]
        edits = [[(0, 0, start)], *(step.splices for step in self.steps[-count:])]
        return sequential(self.name, edits, self.end, self.times[-count - 1 :])


def find(folder: Path, name: str) -> Path | None:
    """The file of a trace, `NAME.json.gz` or `NAME.json`."""
    return next((path for end in (".json.gz", ".json") if (path := folder / (name + end)).is_file()), None)


def read(path: Path) -> Trace:
    """The trace in a file. `ValueError` says why it can't be replayed."""
    data = path.read_bytes()
    found = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    name = path.name.removesuffix(".gz").removesuffix(".json")
    edits = [[(pos, delete, insert) for pos, delete, insert in txn["patches"]] for txn in found["txns"]]
    times = [_micros(txn.get("time")) for txn in found["txns"]]
    if found.get("kind") == "concurrent":
        return concurrent(name, found["txns"], edits, found["numAgents"], found["endContent"], times)
    if start := found.get("startContent", ""):
        edits.insert(0, [(0, 0, start)])
        times.insert(0, min(times, default=0))
    # What changes nothing makes no patch.
    made = [(splices, time) for splices, time in zip(edits, times, strict=True) if _changes(splices)]
    return sequential(name, [edit for edit, _ in made], found["endContent"], [time for _, time in made])


def sequential(name: str, edits: list[Splices], end: str, times: list[int] | None = None) -> Trace:
    """One author's edits, one after the other."""
    steps = [Step(0, [], splices) for splices in edits]
    parents = [[n - 1] if n else [] for n in range(len(steps))]
    return Trace(name, 1, steps, parents, [[]], end, times or [0] * len(steps))


def concurrent(
    name: str, txns: list[dict[str, Any]], edits: list[Splices], agents: int, end: str, times: list[int]
) -> Trace:
    """Several authors' transactions, each on the merge of its parents; deliveries come as late as can be."""
    parents = [sorted(txn["parents"]) for txn in txns]
    known = [bytearray(len(txns)) for _ in range(agents)]
    heads: list[set[int]] = [set() for _ in range(agents)]
    steps = []

    def take(agent: int, number: int) -> None:
        known[agent][number] = 1
        heads[agent].difference_update(parents[number])
        heads[agent].add(number)

    for number, txn in enumerate(txns):
        agent, arrived = txn["agent"], []
        todo = list(parents[number])
        while todo:
            each = todo.pop()
            if not known[agent][each]:
                known[agent][each] = 1
                arrived.append(each)
                todo += parents[each]
        arrived.sort()
        for each in arrived:
            take(agent, each)
        if not heads[agent] <= set(parents[number]):
            raise ValueError(f"trace {name}: txns[{number}] was typed without all that its author had")
        if not _changes(edits[number]):
            raise ValueError(f"trace {name}: txns[{number}] changes nothing: no peer sends that")
        take(agent, number)
        steps.append(Step(agent, arrived, edits[number]))
    rest = [[number for number in range(len(txns)) if not has[number]] for has in known]
    return Trace(name, agents, steps, parents, rest, end, times)


def _micros(time: str | None) -> int:
    if time is None:
        return 0
    moment = datetime.fromisoformat(time)
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // _MICROSECOND


def _changes(splices: Splices) -> bool:
    return any(delete or insert for _, delete, insert in splices)
