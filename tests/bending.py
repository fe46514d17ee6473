"""Inputs that were valid once: seeds, bent.

The law of this room. The same seed and the same answers of the decoder make the same inputs. It knows bytes,
JSON and a target's own words; what they mean is the target's affair. It is lean: a decoder that takes ten
microseconds shouldn't wait for its inputs.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import Any, Final

from decoder_targets import Target, leb

from syncstring._patch import MAX_COUNT

LONGEST: Final = 4_096  # bytes; bombs are tests of their own

_NUMBERS = [
    0, 1, -1, 2, 255, 256, 1_000, (1 << 16) - 1, 1 << 20, 1 << 26, (1 << 31) - 1, 1 << 32, MAX_COUNT - 1,
    MAX_COUNT, MAX_COUNT + 1, 1 << 52, (1 << 63) - 1, 1 << 64, 10**40,
]  # fmt: skip
_VALUES: list[Any] = [
    None, True, False, 0.5, 1e300, "", [], {}, [[]], "\0", "\ud800", "x" * 300, "0" * 40, -0.0, [1, 2, 3],
    {"": None}, "1:a", ["1:a", "2:b"],
]  # fmt: skip
_DIGITS = re.compile(rb"[0-9]+")
_BYTES = [bytes([each]) for each in range(256)]
_LEBS = [leb(number) for number in _NUMBERS if abs(number) < 1 << 62]


class Bender:
    """Makes inputs for a target out of its seeds. The same seed makes the same ones."""

    def __init__(self, of: Target, chance: random.Random) -> None:
        self.target = of
        self.seeds = of.seeds()
        self.pool = list(self.seeds)  # and what was taken lately
        self.draw = chance.random  # for speed: everything here is made of this one call

    def _below(self, count: int) -> int:
        return int(self.draw() * count)

    def _of(self, items: Sequence[Any]) -> Any:
        return items[int(self.draw() * len(items))]

    def seed(self) -> bytes:
        found: bytes = self._of(self.seeds)
        return found

    def input(self) -> bytes:
        pool = self.pool if self.draw() < 0.5 else self.seeds
        return self.bent(self._of(pool))

    def bent(self, data: bytes) -> bytes:
        draw = self.draw
        if self.target.is_json and draw() < 0.6:
            data = self._bent_json(data)
            if draw() < 0.8:
                return data
        while True:
            data = self._bent_bytes(data)
            if draw() < 0.6:
                return data[:LONGEST]

    def took(self, data: bytes) -> None:
        """Remember what was taken, in place of something else that was."""
        if len(self.pool) < len(self.seeds) + 40:
            self.pool.append(data)
        elif self.draw() < 0.05:
            self.pool[len(self.seeds) + self._below(40)] = data

    def _bent_bytes(self, data: bytes) -> bytes:
        size = len(data)
        at = self._below(size + 1)
        kind = self._below(12)
        if kind == 0:
            return data[:at]
        if kind == 1:
            return data[:at] + self._of(_BYTES) + data[at:]
        if kind == 2:
            return data[:at] + data[at + 1 + self._below(4) :]
        if kind == 3 and at < size:
            return data[:at] + _BYTES[data[at] ^ 1 << self._below(8)] + data[at + 1 :]
        if kind == 4 and at < size:
            return data[:at] + self._of(_BYTES) + data[at + 1 :]
        if kind == 5:  # twice the same
            end = at + 1 + self._below(20)
            return data[:end] + data[at:end] * (1 + self._below(3)) + data[end:]
        if kind == 6:  # the rest of another one
            other = self._of(self.pool)
            return data[:at] + other[self._below(len(other) + 1) :]
        if kind == 7:
            if found := _DIGITS.search(data, at):
                return data[: found.start()] + b"%d" % self._of(_NUMBERS) + data[found.end() :]
            return data[:at] + self._of(_LEBS) + data[at + 1 :]
        if kind == 8 and at < size:  # one more or one less
            return data[:at] + _BYTES[data[at] + self._of((1, -1, 2, -2)) & 255] + data[at + 1 :]
        if kind == 9:
            return data[:at] + self._of(_LEBS) + data[at + self._below(4) :]
        if words := self.target.words:
            return data[:at] + self._of(words) + data[at + (self._below(6) if kind == 10 else 0) :]
        return data[at:] + data[:at]

    def _bent_json(self, data: bytes) -> bytes:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return data
        holder = [value]
        for _ in range(1 + self._below(3)):
            self._bend(holder)
        try:
            bent = json.dumps(holder[0], ensure_ascii=self.draw() < 0.1)
            return bent.encode("utf-8", "replace")[: 4 * LONGEST]
        except (RecursionError, ValueError):
            return data

    def _bend(self, within: Any) -> None:
        """Go down somewhere, and change what is there."""
        key: Any = 0
        for _ in range(8):
            value = within[key]
            if not value or not isinstance(value, (list, dict)) or self.draw() < 0.15:
                break
            within, key = value, self._of(_keys(value))
        value, kind = within[key], self._below(8)
        if kind == 0 and isinstance(value, int):
            within[key] = value + self._of((1, -1))
        elif kind < 3 and isinstance(value, str):
            within[key] = self._bent_bytes(value.encode("utf-8", "replace")).decode("utf-8", "replace")
        elif kind == 3 and isinstance(within, dict):
            within[self._of(("", "x", "v", "unreadable", "message", "time"))] = value
        elif kind == 4 and isinstance(within, list):
            within.insert(key, value)
        elif kind == 5 and len(within) > 1:
            del within[key]
        elif kind == 6 and len(within) > 1:
            other = self._of(_keys(within))
            within[key], within[other] = within[other], value
        elif kind == 7 and isinstance(value, int):
            within[key] = self._of(_NUMBERS)
        else:
            within[key] = self._of(_VALUES) if self.draw() < 0.7 else self._of(_NUMBERS)


def _keys(value: list[Any] | dict[str, Any]) -> Sequence[Any]:
    return list(value) if isinstance(value, dict) else range(len(value))
