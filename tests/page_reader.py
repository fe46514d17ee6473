"""A reader of version 1, written from FORMAT.md alone: of compact bytes, of packs, of checkpoints.

The law of this room. It knows what stands in sections 4, 7 and 9 of that page, and nothing of the package: it
imports nothing of it. It is what somebody else would write: as slow as it likes, and trusting, for it doesn't
judge patches; but what is cut off, left over or of a later version it refuses.
"""

from __future__ import annotations

import lzma
import zlib
from typing import NamedTuple, TypeAlias

Id: TypeAlias = tuple[int, str]
Known: TypeAlias = list[tuple[Id, tuple[Id, ...]]]

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
LZMA2 = [{"id": lzma.FILTER_LZMA2, "lc": 3, "lp": 0, "pb": 0, "dict_size": 1 << 22}]


class Damaged(Exception):
    """It isn't what version 1 writes."""


class Later(Exception):
    """A later version may have written it."""


class Read(NamedTuple):
    """A patch. Of operations, 5 keeps five code points, -2 deletes two, "abc" inserts."""

    id: Id
    parents: tuple[Id, ...]
    ops: tuple[int | str, ...]
    author: str
    wall: int
    message: str | None


class Reader:
    """Bytes from the left."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.at:
            raise Damaged("cut off")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self) -> int:
        """LEB128."""
        result = shift = 0
        while True:
            (byte,) = self.take(1)
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result

    def text(self, size: int) -> str:
        return self.take(size).decode()

    def end(self) -> None:
        if self.at != len(self.data):
            raise Damaged("left over")


# --- section 7 --------------------------------------------------------------------------------------------


def read_bytes(data: bytes) -> Read:
    """A patch's compact bytes."""
    reader = Reader(data)

    def session(own: str = "") -> str:
        (first,) = reader.take(1)
        if first == 0xFF and own:
            return own
        if first >= 128:
            return reader.text(first - 128)
        number = int.from_bytes(bytes([first]) + reader.take(7), "big")
        return "".join(DIGITS[number // 36**place % 36] for place in reversed(range(12)))

    (first,) = reader.take(1)
    if not 0x50 <= first <= 0x5F:
        raise Later(f"bytes that begin with {first:#x}")
    flags = first - 0x50
    if flags & 8:
        time = int.from_bytes(reader.take(7), "big")
    else:
        time = 1_000 * int.from_bytes(reader.take(6), "big")
    by = session()
    parents = []
    for _ in range(reader.number() if flags & 4 else 1):
        age = reader.number()
        before = time - (age // 2 if age % 2 else 1_000 * (age // 2))
        parents.append((before, session(by) if flags & 4 else by))
    author = reader.text(reader.number())
    ahead = reader.number() if flags & 1 else 0
    wall = time - (ahead + 1) // 2 if ahead % 2 else time + ahead // 2
    message = reader.text(reader.number()) if flags & 2 else None
    ops: list[int | str] = []
    while reader.at < len(data):
        count, kind = divmod(reader.number(), 4)
        if kind == 3:
            raise Later("an operation of kind 3")
        ops.append(reader.text(count) if kind == 1 else -count if kind == 2 else count)
    return Read((time, by), tuple(parents), tuple(ops), author, wall, message)


# --- section 9 --------------------------------------------------------------------------------------------


def signed(zigzag: int) -> int:
    return -(zigzag + 1) // 2 if zigzag % 2 else zigzag // 2


class Fields(Reader):
    """The bytes of a section that was unpacked."""

    def signed(self) -> int:
        return signed(self.number())

    def string(self) -> str:
        return self.text(self.signed())

    def strings(self, count: int) -> list[str]:
        return [self.string() for _ in range(count)]

    def table(self) -> list[str]:
        return self.strings(self.signed())

    def numbers(self, count: int) -> list[int]:
        return [self.signed() for _ in range(count)]

    def runs(self, length: int) -> list[int]:
        found: list[int] = []
        while (rest := length - sum(map(abs, found))) > 0:
            found.append(self.signed())
            if not 0 < abs(found[-1]) <= rest:
                raise Damaged("a run that is longer than its column, or of nothing")
        return found

    def planes(self, count: int) -> list[int]:
        values = [0] * count
        going_on = [*range(count)]
        shift = 0
        while going_on:
            plane = self.take(len(going_on))
            for i, byte in zip(going_on, plane, strict=True):
                values[i] |= (byte & 0x7F) << shift
            going_on = [i for i, byte in zip(going_on, plane, strict=True) if byte >= 0x80]
            shift += 7
        return [signed(value) for value in values]

    def column(self, length: int) -> list[int]:
        runs = self.runs(length)
        values = iter(self.planes(sum(1 if run > 0 else -run for run in runs)))
        found: list[int] = []
        for run in runs:
            found += [next(values)] * run if run > 0 else [next(values) for _ in range(-run)]
        return found

    def counted(self) -> list[int]:
        return self.column(self.signed())


def unpacked(section: bytes) -> tuple[int, bytes]:
    """A section's method, and its bytes before compression."""
    fields = Fields(section)
    version, method, size, check = fields.numbers(4)
    if version != 1 or method not in (0, 1, 2):
        raise Later(f"format {version}, method {method}")
    data = fields.take(len(section) - fields.at)
    if method:
        unpacker = (
            zlib.decompressobj(-15) if method == 1 else lzma.LZMADecompressor(lzma.FORMAT_RAW, None, LZMA2)
        )
        data = unpacker.decompress(data)
        if unpacker.unused_data or not unpacker.eof:
            raise Damaged("the compressed data ends elsewhere")
    if len(data) != size or zlib.crc32(data) != check:
        raise Damaged("not the bytes that were packed")
    return method, data


def read_graph(fields: Fields) -> Known:
    """The ids and parents of a pack's patches, from its graph."""
    n = fields.signed()
    sessions = fields.table()
    by, milliseconds, beyond, how_many = (fields.column(n) for _ in range(4))
    m = fields.signed()
    elsewhere = [*zip(fields.numbers(m), fields.strings(m), strict=True)]
    distances = fields.counted()
    others = iter(fields.numbers(distances.count(0)))
    fields.end()

    left = iter(distances)
    found: Known = []
    whole, rest = 0, -1
    for i in range(n):
        rest = beyond[i] if milliseconds[i] else rest + 1 + beyond[i]
        whole += milliseconds[i]
        parents: list[Id] = []
        for _ in range(how_many[i]):
            distance = next(left)
            parents.append(found[i - distance][0] if distance else elsewhere[next(others)])
        found.append(((1_000 * whole + rest, sessions[by[i]]), tuple(reversed(parents))))
    if [*left, *others]:
        raise Damaged("parents of nobody")
    return found


def read_body(fields: Fields, known: Known) -> list[Read]:
    """The patches of a pack, from its body and what its graph said."""
    n = len(known)
    authors = fields.table()
    by, walls = fields.column(n), fields.column(n)
    gaps = fields.numbers(fields.signed())
    messages = {sum(gaps[: i + 1]): message for i, message in enumerate(fields.strings(len(gaps)))}
    shapes = fields.table()
    kinds = fields.column(n)
    firsts, counts = iter(fields.counted()), iter(fields.counted())
    text = Reader(fields.string().encode("utf-32-be"))
    fields.end()

    author_of: dict[str, str] = {}
    drift_of: dict[str, int] = {}
    end_of: dict[str, int] = {}
    found = []
    for i, (id, parents) in enumerate(known):
        time, session = id
        if by[i]:
            author_of[session] = authors[by[i] - 1]
        drift_of[session] = drift_of.get(session, 0) + walls[i]
        ops: list[int | str] = []
        at = 0
        for kind in shapes[kinds[i]]:
            first = kind == "=" and not ops
            count = next(firsts) + end_of.get(session, 0) if first else next(counts)
            if kind == "+":
                ops.append(text.take(4 * count).decode("utf-32-be"))
            else:
                ops.append(count if kind == "=" else -count)
            at += count if kind != "-" else 0
        if ops:
            end_of[session] = min(at, 2**53 - 1)
        wall = time // 1_000 * 1_000 + drift_of[session]
        found.append(Read(id, parents, tuple(ops), author_of[session], wall, messages.get(i)))
    text.end()
    if [*firsts, *counts]:
        raise Damaged("operations of nobody")
    return found


def read_pack(graph: bytes, body: bytes) -> list[Read]:
    """The patches in a pack's two sections, in order."""
    return read_body(Fields(unpacked(body)[1]), read_graph(Fields(unpacked(graph)[1])))


def read_text(section: bytes) -> str:
    """The text in a checkpoint's section."""
    fields = Fields(unpacked(section)[1])
    text = fields.string()
    fields.end()
    return text
