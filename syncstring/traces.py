"""Recorded editing traces in: JSON files that hold how a text was typed, keystroke by keystroke.

The format is that of the public *editing-traces* collection, gzipped or not. *Sequential* traces hold one
author's transactions, each on the text that the one before left; *concurrent* ones a graph of transactions
by several agents, each on the merge of its parents. Positions and lengths are code points.

The law of this room. The same bytes give the same patches: sessions come from the file's SHA-256 and the
agent's number, and are ordered as agents are; times come from the recording, raised where needed above the
parents' and the agent's own last; where one is so late that this can't be done (see `_Late`), late ones are
put earlier. A file is judged whole before any patch is given: what is wrong with it is one `MalformedRow`.

Knows files and patches. Merging is `merge.py`'s; it is asked only whether every transaction of a concurrent
trace fits the text that its parents make.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BufferedReader
from itertools import zip_longest
from typing import Any, Final, Literal, overload

from syncstring._graph import EventGraph
from syncstring._patch import Ops, compose
from syncstring._text import TextBuffer
from syncstring.errors import MalformedRow, PatchError
from syncstring.history import History
from syncstring.merge import Tip
from syncstring.patch import MAX_PARENTS, MAX_TIME, MAX_TIME_STEP, MIN_WILD_TIME, Id, Patch, chained

__all__ = ["MAX_SIZE", "Trace", "read_trace"]

MAX_SIZE: Final = 1 << 28
"""Bytes of JSON in a file, once decompressed: ten times what the largest known recording has."""

_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LATEST = MIN_WILD_TIME - MAX_TIME_STEP  # there is room to count up from it


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A recorded history. `patches` are in the file's order, parents first."""

    kind: Literal["sequential", "concurrent"]
    patches: Sequence[Patch]
    """One a transaction; one more before them for a `startContent`, more where one doesn't fit a row. They
    are kept in few bytes and each is made when it is asked for."""
    history: Callable[[], History]
    """The same as a history, without making each patch."""
    end_content: str
    """The text in the end, as recorded. Sequential patches are known to end in it; concurrent ones do so
    wherever no two agents inserted at one place unseen, which the format promises."""


def read_trace(path: str | os.PathLike[str]) -> Trace:
    """Read a trace file, `.json` or `.json.gz`.

    Authors are called "author", or "agent 0" and so on; `wall` is the time that was recorded. Fields that
    the format doesn't have are passed over. `MalformedRow` names the file and says where and what is wrong
    with it; `OSError` is what opening and reading it raises. O(n log n) for a file of n bytes.
    """
    name = os.fsdecode(path)
    with open(path, "rb") as file:
        try:
            return _trace(_content(file, name))
        except MalformedRow as error:
            raise MalformedRow(f"trace {name!r}: {error}") from None


# --- the file -------------------------------------------------------------------------------------------


def _content(file: BufferedReader, name: str) -> bytes:
    zipped = file.peek(2)[:2] == _GZIP
    if not zipped and name.endswith(".gz"):
        raise MalformedRow("it is named .gz and isn't gzipped; was it unpacked on the way?")
    chunks, size = [], 0
    try:
        source = gzip.GzipFile(fileobj=file) if zipped else file
        while chunk := source.read(_CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_SIZE:
                raise MalformedRow(f"it holds more than {MAX_SIZE:,} bytes of JSON; that is no trace")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise MalformedRow(f"it can't be decompressed ({error}); was it cut off?") from None
    return b"".join(chunks)


def _trace(data: bytes) -> Trace:
    try:
        found = json.loads(data.decode())
    except UnicodeDecodeError as error:
        raise MalformedRow(f"it is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise MalformedRow("its JSON is nested too deep; that is no trace") from None
    except ValueError as error:
        raise MalformedRow(f"it is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise MalformedRow(f"it holds {_shown(found)}; a trace is an object with txns")
    kind = found.get("kind", "sequential")
    if kind not in ("sequential", "concurrent"):
        raise MalformedRow(f"kind is {_shown(kind)}; it is 'concurrent', or missing for one author's trace")
    start = _text(found.get("startContent", ""), "startContent")
    end = _text(found.get("endContent"), "endContent")
    txns = _list(found.get("txns"), "txns")
    count: Any = 1
    if kind == "concurrent":
        count = found.get("numAgents")
        if type(count) is not int or not 0 < count <= MAX_TIME:
            raise MalformedRow(f"numAgents is {_shown(count)}; it is how many wrote, 1 or more")
        if start:
            raise MalformedRow("it is concurrent and has a startContent; its first transaction inserts that")
    names = _names(found, count)

    def read(cut: bool) -> Trace:
        patches = _Patches(data, count, names or (["author"] if kind == "sequential" else []), cut)
        if kind == "sequential":
            _read_sequential(patches, start, txns, end)
        else:
            _read_concurrent(patches, txns, count)
        return Trace(kind, patches, patches.history, end)

    try:
        return read(cut=False)
    except _Late:
        return read(cut=True)


def _names(found: dict[str, Any], count: int) -> list[str]:
    """What the authors are called, where the file says so: `agents` is no part of the collection's format,
    but a trace that was exported with its authors has it."""
    if "agents" not in found:
        return []
    names = _list(found["agents"], "agents")
    if len(names) != count:
        raise MalformedRow(f"agents are {len(names)} names; there are {count} authors")
    for number, name in enumerate(names):
        try:
            Patch((1, "x"), (), (), name, 0)
        except PatchError as error:
            raise MalformedRow(f"agents[{number}]: {error}") from None
    return names


# --- transactions ---------------------------------------------------------------------------------------


def _read_sequential(patches: _Patches, start: str, txns: list[Any], end: str) -> None:
    last: tuple[int, ...] = ()
    if start:
        began = None
        if txns and isinstance(txns[0], dict):
            with suppress(MalformedRow):  # which is told below
                began = _time(txns[0])
        last = (patches.put(0, (), chained((start,)), began),)
    buffer = TextBuffer(start)
    for number, txn in enumerate(txns):
        try:
            splices = _splices(txn)
            ops = compose(splices)
            size = len(ops)
            for pos, delete, insert in splices:
                buffer.splice(pos, delete, insert)
                size += len(insert)
            # A keystroke needn't be weighed.
            last = (patches.put(0, last, (ops,) if size < 1_000 else chained(ops), _time(txn)),)
        except (MalformedRow, PatchError) as error:
            raise MalformedRow(f"txns[{number}]: {error}") from None
    text = str(buffer)
    if text != end:
        at = next(i for i, (a, b) in enumerate(zip_longest(text, end)) if a != b)
        raise MalformedRow(
            f"its transactions end in a text of {len(text)} code points that differs from endContent, which "
            f"has {len(end)}, at {at}; were positions counted in other units?"
        )


def _read_concurrent(patches: _Patches, txns: list[Any], count: int) -> None:
    made: list[int] = []  # the number of the patch that ends each transaction
    for number, txn in enumerate(txns):
        try:
            ops = compose(_splices(txn))
            agent = txn.get("agent")
            if type(agent) is not int or not 0 <= agent < count:
                raise MalformedRow(f"agent is {_shown(agent)}; it lies in 0 .. numAgents - 1 = {count - 1}")
            parents = {made[parent] for parent in _parents(txn, number)}
            made.append(patches.put(agent, tuple(parents), chained(ops), _time(txn)))
        except (MalformedRow, PatchError) as error:
            raise MalformedRow(f"txns[{number}]: {error}") from None
    _refuse_misfits(patches, made)


def _refuse_misfits(patches: _Patches, made: list[int]) -> None:
    """Whether a delta fits the merge of its parents shows when they are merged."""
    graph = patches.graph()
    Tip(graph).begin()
    if graph.misfits:
        first = min(graph.misfits)
        raise MalformedRow(
            f"txns[{bisect_left(made, first)}]: it is for a text of {graph.totals(first)[2]} code points or "
            f"more, its parents' has {graph.size_before(first)}; were positions counted in other units?"
        )


def _splices(txn: Any) -> list[Any]:
    if not isinstance(txn, dict):
        raise MalformedRow(f"{_shown(txn)} is no transaction; that is an object with patches")
    return _list(txn.get("patches"), "patches")


def _parents(txn: dict[str, Any], number: int) -> list[Any]:
    parents = _list(txn.get("parents"), "parents")
    for parent in parents:
        if type(parent) is not int or not 0 <= parent < number:
            raise MalformedRow(f"parent {_shown(parent)} is no transaction before this one")
    if len(parents) > MAX_PARENTS:
        raise MalformedRow(f"{len(parents):,} parents; at most {MAX_PARENTS:,} are allowed")
    return parents


def _time(txn: dict[str, Any]) -> int | None:
    """Microseconds since the epoch by the recording's clock, which shows UTC if it doesn't say; None where
    nothing is recorded. The collection's files say `time`, its description `timestamp`."""
    written = txn.get("time")
    if written is None and (written := txn.get("timestamp")) is None:
        return None
    try:
        time = datetime.fromisoformat(written)
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        return (time - _EPOCH) // _MICROSECOND
    except (TypeError, ValueError, OverflowError):
        raise MalformedRow(
            f"time is {_shown(written)}; it is written as in '2021-04-19T06:06:58.219Z'"
        ) from None


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise MalformedRow(f"{name} is {_shown(value)}; it is an array")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise MalformedRow(f"{name} is {_shown(value)}; it is a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise MalformedRow(f"{name} holds the lone surrogate U+{ord(value[error.start]):04X}") from None
    return value


def _shown(value: Any) -> str:
    try:
        return "missing" if value is None else f"{value!r:.40}"
    except (RecursionError, ValueError):
        return f"a {type(value).__name__}"


# --- patches --------------------------------------------------------------------------------------------


class _Late(Exception):
    """A time is 2^52 or later, or was counted up to that, and so far above its parents' that no patch may
    have it."""


class _Patches(Sequence[Patch]):
    """Patches in columns. What `put` is given is well-formed but for its time; with `cut`, times are at most
    `_LATEST` or counted up from that, so that it never raises `_Late`."""

    def __init__(self, data: bytes, count: int, names: list[str], cut: bool) -> None:
        self._latest = _LATEST if cut else MIN_WILD_TIME - 1  # these need no further look
        self._cut = cut
        self._source = "".join(_DIGITS[byte % 36] for byte in sha256(data).digest())
        self._width = len(_in_base_36(count - 1))
        self._names = names
        self._sessions: dict[int, str] = {}
        self._last: dict[int, int] = {}  # each agent's last time
        self._agents = array("q")
        self._times = array("q")
        self._walls = array("q")
        self._parents: list[tuple[int, ...]] = []
        self._ops: list[Ops] = []

    def put(self, agent: int, parents: tuple[int, ...], chain: Sequence[Ops], recorded: int | None) -> int:
        """Append a transaction, mostly one patch, on the patches numbered `parents`; return its last one's
        number."""
        times = self._times
        for ops in chain:  # comparisons, not min and max: a long recording comes through here
            time = self._last.get(agent, 0)
            for parent in parents:
                if times[parent] > time:
                    time = times[parent]
            time += 1
            if recorded is None:
                self._walls.append(time)
            elif time <= recorded <= self._latest:
                self._walls.append(recorded)
                time = recorded
            else:
                self._walls.append(min(max(recorded, 0), MAX_TIME))
                time = max(time, min(recorded, _LATEST) if self._cut else recorded)
            if time >= MIN_WILD_TIME:
                newest = max((times[parent] for parent in parents), default=0)
                if time > MAX_TIME or time - newest > MAX_TIME_STEP:
                    raise _Late
            self._last[agent] = time
            self._agents.append(agent)
            times.append(time)
            self._parents.append(parents)
            self._ops.append(ops)
            parents = (len(self._ops) - 1,)
        return len(self._ops) - 1

    def id(self, number: int) -> Id:
        return Id(self._times[number], self._session(self._agents[number]))

    def _session(self, agent: int) -> str:
        """Digits of the file, then of the agent: of insertions at one place, a lower agent's stands left."""
        session = self._sessions.get(agent)
        if session is None:
            own = _in_base_36(agent).rjust(self._width, "0")
            session = self._sessions[agent] = self._source[: 12 - self._width] + own
        return session

    def _patch(self, number: int) -> Patch:
        agent = self._agents[number]
        return Patch.trusted(
            self.id(number),
            tuple(sorted(self.id(parent) for parent in self._parents[number])),
            self._ops[number],
            self._author(agent),
            self._walls[number],
        )

    def graph(self) -> EventGraph:
        """The same as events, numbered as here."""
        graph = EventGraph()
        for number, ops in enumerate(self._ops):
            agent = self._agents[number]
            parents = self._parents[number]
            graph.append(
                self._times[number],
                self._session(agent),
                sorted(parents) if len(parents) > 1 else parents,
                ops,
                self._author(agent),
                self._walls[number],
            )
        return graph

    def history(self) -> History:
        return History.of_graph(self.graph())

    def _author(self, agent: int) -> str:
        return self._names[agent] if self._names else f"agent {agent}"

    def __len__(self) -> int:
        return len(self._ops)

    @overload
    def __getitem__(self, number: int) -> Patch: ...
    @overload
    def __getitem__(self, number: slice) -> list[Patch]: ...
    def __getitem__(self, number: int | slice) -> Patch | list[Patch]:
        numbers = range(len(self))[number]
        return self._patch(numbers) if isinstance(numbers, int) else [self._patch(each) for each in numbers]

    def __iter__(self) -> Iterator[Patch]:
        return map(self._patch, range(len(self)))


def _in_base_36(number: int) -> str:
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits
