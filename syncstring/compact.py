"""Numbers, texts, sessions and operations in few bytes, and back.

The law of this room. Each has one shortest spelling; what is read is bounded by what is there. It knows
nothing of patches: `patch.py` says in which order they stand, FORMAT.md what they mean.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from syncstring._patch import MAX_COUNT, Ops
from syncstring.errors import MalformedRow, UnsupportedVersion

__all__ = ["MAX_OPERATIONS", "SAME", "Reader", "put", "put_session", "put_text"]

MAX_OPERATIONS: Final = 100_000
"""In a delta, as the format has it."""
SAME: Final = 0xFF
"""Stands in place of a session: the patch's own."""

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
