"""A patch in few bytes, and back: the plain way, which says what is wrong with bytes that are none.

The law of this room. `read(written(parts)) == parts`; each patch has one spelling, the shortest, and what
isn't exactly that is refused; what is read is bounded by what is there. The kernel in `_values` writes and
reads what most patches look like, and leaves the rest, and every refusal, to this.

The format is written down in FORMAT.md.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from syncstring._patch import MAX_COUNT, Ops
from syncstring.errors import MalformedRow, PatchError, UnsupportedVersion
from syncstring.rules import MAX_OPERATIONS, MAX_PARENTS, MAX_ROW, Id, Parts, made, shown

__all__ = ["SAME", "Reader", "put", "put_session", "put_text", "read", "written"]

SAME: Final = 0xFF
"""Stands in place of a session: the patch's own."""
BYTES: Final = 0x50  # the first byte, plus
WALL, MESSAGE, PARENTS, FINE = 1, 2, 4, 8

_KEEP, _INSERT, _DELETE = 0, 1, 2
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_PACKED = re.compile(r"[0-9a-z]{12}")


def put(out: bytearray, number: int) -> None:
    """LEB128: seven bits a byte, low ones first, the top bit says that more follow."""
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def put_text(out: bytearray, text: str) -> None:
    """How many bytes of UTF-8, then those."""
    data = text.encode()
    put(out, len(data))
    out += data


def put_session(out: bytearray, session: str) -> None:
    """Twelve digits in base 36 as 63 bits; others as 0x80 | length (up to 48) and their letters."""
    if _PACKED.fullmatch(session):
        out += int(session, 36).to_bytes(8, "big")
    else:
        out.append(0x80 | len(session))
        out += session.encode()


def _ahead(wall: int, time: int) -> int:
    ahead = wall - time
    return ahead << 1 if ahead > 0 else (-ahead << 1) - 1


def written(parts: Parts) -> bytes:
    """The one spelling of these parts. O(len)."""
    (time, session), parents, ops, author, wall, message = parts
    flags = WALL * (wall != time) | MESSAGE * (message is not None) | FINE * (time % 1_000 != 0)
    flags |= PARENTS * (len(parents) != 1 or parents[0][1] != session)
    out = bytearray([BYTES | flags])
    out += time.to_bytes(7, "big") if flags & FINE else (time // 1_000).to_bytes(6, "big")
    put_session(out, session)
    if flags & PARENTS:
        put(out, len(parents))
    for before, whose in parents:
        older = time - before
        put(out, older << 1 | 1 if older % 1_000 else older // 1_000 << 1)
        if flags & PARENTS:
            if whose == session:
                out.append(SAME)
            else:
                put_session(out, whose)
    put_text(out, author)
    if flags & WALL:
        put(out, _ahead(wall, time))
    if message is not None:
        put_text(out, message)
    for op in ops:
        if isinstance(op, str):
            text = op.encode()
            put(out, len(text) << 2 | 1)
            out += text
        else:
            put(out, op << 2 if op > 0 else -op << 2 | 2)
    return bytes(out)


def read(data: bytes) -> Parts:
    """`written` back. `MalformedRow` for what isn't exactly what `written` gives for some patch;
    `UnsupportedVersion` for another format's."""
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise MalformedRow(f"patch bytes are bytes; this is {shown(data)}")
    reader = Reader(bytes(data))
    try:
        if len(data) > 2 * MAX_ROW:
            raise MalformedRow(f"there are {len(data):,}; no row's patch has as many")
        flags = reader.take(1, "the format")[0]
        if flags & 0xF0 != BYTES:
            raise UnsupportedVersion(f"they begin with {flags:#04x}; this library reads 0x50 to 0x5f")
        if flags & FINE:
            time = int.from_bytes(reader.take(7, "the time"), "big")
        else:
            time = int.from_bytes(reader.take(6, "the time"), "big") * 1_000
        session = reader.session(None)
        count = reader.number("the number of parents") if flags & PARENTS else 1
        if count > MAX_PARENTS:
            raise MalformedRow(f"it has {count:,} parents; at most {MAX_PARENTS:,} are allowed")
        parents = []
        for _ in range(count):
            older = reader.number("a parent's time")
            older = older >> 1 if older & 1 else (older >> 1) * 1_000
            parents.append(Id(time - older, reader.session(session) if flags & PARENTS else session))
        author = reader.text("the author", reader.number("the author's length"))
        wall = time
        if flags & WALL:
            ahead = reader.number("wall")
            wall += -(ahead + 1 >> 1) if ahead & 1 else ahead >> 1
        message = reader.text("the message", reader.number("its length")) if flags & MESSAGE else None
        parts = made((time, session), parents, reader.ops(), author, wall, message)
        if written(parts) != reader.data:
            raise MalformedRow("they are not in canonical form, which is what to_bytes gives")
    except (PatchError, MalformedRow, UnsupportedVersion) as error:
        blame = UnsupportedVersion if isinstance(error, UnsupportedVersion) else MalformedRow
        raise blame(f"patch bytes: {error}") from None
    return parts


@lru_cache(1_000)  # who sends one patch sends more
def _unpacked(number: int) -> str:
    return "".join(_BASE36[number // 36**place % 36] for place in range(11, -1, -1))


class Reader:
    """Bytes from the left; whatever isn't there is a `MalformedRow`."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int, what: str) -> bytes:
        start, self.at = self.at, self.at + count
        if self.at > len(self.data):
            raise MalformedRow(f"they end at {len(self.data)} inside {what}; were they cut off?")
        return self.data[start : self.at]

    def number(self, what: str) -> int:
        at = self.at
        byte = self.data[at] if at < len(self.data) else 0x80
        if byte < 0x80:  # most are
            self.at = at + 1
            return byte
        result = shift = 0
        while (byte := self.take(1, what)[0]) > 0x7F and shift < 56:
            result |= (byte & 0x7F) << shift
            shift += 7
        result |= byte << shift
        if result > MAX_COUNT << 2 | 3:
            raise MalformedRow(f"{what} before {self.at} is a number of 2^55 or more")
        return result

    def text(self, what: str, count: int) -> str:
        try:
            return self.take(count, what).decode()
        except UnicodeDecodeError:
            raise MalformedRow(f"{what} before {self.at} is not UTF-8") from None

    def session(self, own: str | None) -> str:
        first = self.take(1, "a session")[0]
        if own is not None and first == SAME:
            return own
        if first & 0x80:
            return self.text("a session", first & 0x7F)
        self.at -= 1
        number = int.from_bytes(self.take(8, "a session"), "big")
        if number >= 36**12:
            raise MalformedRow(f"a session before {self.at} is a number of more than 12 digits in base 36")
        return _unpacked(number)

    def ops(self) -> Ops:
        ops: list[int | str] = []
        before = 3
        while self.at < len(self.data):
            number = self.number("an operation")
            count, kind = number >> 2, number & 3
            if kind == 3:
                raise UnsupportedVersion(f"an operation of kind 3 before {self.at}; upgrade syncstring")
            if not count or kind == before:
                wrong = "is of the last one's kind" if count else "does nothing"
                raise MalformedRow(f"an operation before {self.at} {wrong}")
            if len(ops) == MAX_OPERATIONS:
                known, most = f"{len(ops) + 1:,}", f"{MAX_OPERATIONS:,}"
                raise MalformedRow(f"its delta has {known} operations or more; at most {most} are allowed")
            ops.append(self.text("an insertion", count) if kind == _INSERT else -count if kind else count)
            before = kind
        if before == _KEEP:
            raise MalformedRow("what is kept at the end isn't written")
        return tuple(ops)
