"""The columns of a pack, read slowly: the twin of the kernel that reads them into a graph.

The law of this room. It follows FORMAT.md line by line, and has the same opinion as the kernel of any bytes:
the same patches, or none. It knows the rules of patches and nothing of graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from syncstring.errors import PatchError
from syncstring.patch import MAX_TIME, Id, Patch, flaw_of_time, is_session

MAX_PATCHES = 1 << 20
MAX_COLUMN = 1 << 22
MAX_COUNT = (1 << 53) - 1

T = TypeVar("T")
Named = list[tuple[Id, tuple[Id, ...]]]


class Unreadable(ValueError):
    """What the bytes say isn't a pack."""


def slow_graph(data: bytes) -> Named:
    """The ids and parents in a graph section's bytes. `Unreadable` for anything else."""
    reader = Reader(data)
    n = reader.count(MAX_PATCHES)
    sessions = reader.table(n)
    lanes = reader.column(n)
    milliseconds = reader.column(n)
    rests = reader.column(n)
    numbers = reader.column(n)
    count = reader.count(reader.left)
    times = reader.numbers(count)
    strangers = [Id(time, reader.text()) for time in times]
    _check(all(is_session(session) for session in [*sessions, *(id.session for id in strangers)]))
    _check(all(1 <= time <= MAX_TIME for time in times))
    _check(all(a < b for a, b in pairwise(strangers)))
    distances = reader.column(reader.count(MAX_COLUMN))
    others = reader.numbers(distances.count(0))
    reader.end()

    ids: list[Id] = []
    whole, rest = 0, -1
    for lane, step, beyond in zip(lanes, milliseconds, rests, strict=True):
        rest = beyond if step else beyond + rest + 1
        whole += step
        _check(whole >= 0 and 0 <= rest < 1_000)
        ids.append(Id(1_000 * whole + rest, _entry(sessions, lane)))
        _check(1 <= ids[-1].time <= MAX_TIME)
    _check(len({*ids, *strangers}) == n + count)
    _check(all(0 <= number <= 1_024 for number in numbers) and sum(numbers) == len(distances))
    found = []
    left, far = iter(distances), iter(others)
    for i, number in enumerate(numbers):
        parents = []
        for distance in (next(left) for _ in range(number)):
            _check(0 <= distance <= i)
            parents.append(ids[i - distance] if distance else _entry(strangers, next(far)))
        parents.reverse()
        _check(all(a < b for a, b in pairwise(parents)))
        _check(flaw_of_time(ids[i].time, parents) is None)
        found.append((ids[i], tuple(parents)))
    return found


def slow_patches(graph: bytes, body: bytes) -> list[Patch]:
    """The patches in the bytes of both sections."""
    named = slow_graph(graph)
    n = len(named)
    reader = Reader(body)
    authors = reader.table(n)
    by = reader.column(n)
    walls = reader.column(n)
    gaps = reader.numbers(reader.count(reader.left))
    messages: dict[int, str] = {}
    at = 0
    for gap in gaps:
        at += gap
        _check(0 <= at < n and at not in messages)
        messages[at] = reader.text()
    shapes = reader.table(n)
    for shape in shapes:
        _check(len(shape) <= 100_000 and not shape.strip("+-=") and not shape.endswith("="))
        _check(not any(two in shape for two in ("++", "--", "==")))
    kinds = reader.column(n)
    firsts = reader.column(reader.count(n))
    counts = reader.column(reader.count(MAX_COLUMN))
    text = reader.text()
    reader.end()

    patches = []
    read = begun = counted = 0
    last: dict[str, tuple[str | None, int, int]] = {}
    for i, (id, parents) in enumerate(named):
        author, drift, end = last.get(id.session, (None, 0, 0))
        if by[i]:
            author = _entry(authors, by[i] - 1)
        drift += walls[i]
        ops: list[int | str] = []
        at = 0
        for j, kind in enumerate(_entry(shapes, kinds[i])):
            if kind == "=" and j == 0:
                count = _entry(firsts, begun) + end
                begun += 1
            else:
                count = _entry(counts, counted)
                counted += 1
            _check(0 < count <= MAX_COUNT)
            if kind == "+":
                _check(count <= len(text) - read)
                ops.append(text[read : read + count])
                read += count
            else:
                ops.append(count if kind == "=" else -count)
            if kind != "-":
                at += count
        _check(author is not None)
        wall = id.time - id.time % 1_000 + drift
        try:
            patches.append(Patch.of_ops(id, parents, tuple(ops), str(author), wall, messages.get(i)))
        except PatchError as error:
            raise Unreadable(str(error)) from None
        last[id.session] = author, drift, min(at, MAX_COUNT) if ops else end
    _check((read, begun, counted) == (len(text), len(firsts), len(counts)))
    # Tables are looked at whole, be it that nobody is in them.
    _check(all(len(author.encode()) <= 256 for author in authors))
    return patches


def _check(holds: bool) -> None:
    if not holds:
        raise Unreadable


def _entry(table: Sequence[T], number: int) -> T:
    _check(0 <= number < len(table))
    return table[number]


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def byte(self) -> int:
        _check(self.left > 0)
        self.at += 1
        return self.data[self.at - 1]

    def number(self) -> int:
        result = shift = 0
        while True:
            _check(shift < 63)
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return _signed(result)
            shift += 7

    def numbers(self, count: int) -> list[int]:
        return [self.number() for _ in range(count)]

    def count(self, most: int) -> int:
        result = self.number()
        _check(0 <= result <= most)
        return result

    def column(self, count: int) -> list[int]:
        runs: list[int] = []
        while (done := sum(map(abs, runs))) < count:
            runs.append(self.number())
            _check(0 < abs(runs[-1]) <= count - done)
        values = self.planes(sum(1 if run > 0 else -run for run in runs))
        result: list[int] = []
        for run in runs:
            some = 1 if run > 0 else -run
            result += values[:1] * run if run > 0 else values[:some]
            values = values[some:]
        return result

    def planes(self, count: int) -> list[int]:
        """The first byte of each number, then the second of each that goes on, and so on."""
        values = [0] * count
        open_ = list(range(count))
        shift = 0
        while open_:
            _check(shift < 63 and len(open_) <= self.left)
            bytes_ = [self.byte() for _ in open_]
            for place, byte in zip(open_, bytes_, strict=True):
                values[place] |= (byte & 0x7F) << shift
            open_ = [place for place, byte in zip(open_, bytes_, strict=True) if byte > 0x7F]
            shift += 7
        return [_signed(value) for value in values]

    def text(self) -> str:
        size = self.number()
        _check(0 <= size <= self.left)
        self.at += size
        try:
            return self.data[self.at - size : self.at].decode()
        except UnicodeDecodeError:
            raise Unreadable from None

    def table(self, most: int) -> list[str]:
        return [self.text() for _ in range(self.count(most))]

    def end(self) -> None:
        _check(self.left == 0)


def _signed(zigzag: int) -> int:
    return -(zigzag + 1 >> 1) if zigzag & 1 else zigzag >> 1
