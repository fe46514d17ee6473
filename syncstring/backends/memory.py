"""The contract in plain dicts: for tests, and to show that the contract is small.

The law of this room. What `store.py` promises, as long as the process lives. With `Faults` it does all that
a real cluster may do within that promise, in an order that one seed decides: changes come late, twice and in
any order; feeds break; answers are lost after or before the deed; a row is shown that then isn't there, if it
wasn't acknowledged; the n-th call fails.

It doesn't know documents.
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from syncstring.backends.feeds import QUEUE, Readers
from syncstring.errors import StoreError, StoreUnavailable
from syncstring.store import Changed, Feed, Key, Row, Store, Verdict, checked, key_of, refusal, same

__all__ = ["Faults", "MemoryStore"]


@dataclass
class Faults:
    """What goes wrong, and how often (chances from 0 to 1), under one seed."""

    seed: int = 0
    lost_before: float = 0.0
    """A call fails and did nothing."""
    lost_after: float = 0.0
    """A call fails though it was done, in whole or, for a batch, in part."""
    late: float = 0.0
    """A change is delivered after others that came later."""
    twice: float = 0.0
    """A change is delivered again."""
    gap: float = 0.0
    """All feeds break, and what was to be delivered is lost."""
    ghost: float = 0.0
    """Of a call that fails having done nothing, how often its rows were shown by the feeds all the same."""
    fail_nth: int = 0
    """The n-th call from now on fails once, before it did anything (0: none)."""
    fail_nth_after: int = 0
    """The n-th call from now on fails once, after it was done (0: none)."""
    random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def happens(self, chance: float) -> bool:
        return chance > 0 and self.random.random() < chance


class MemoryStore(Store):
    """Rows in this process. All who share the object share the rows.

    `pause()` is awaited before each step of each call: whoever passes one in decides who goes on when.
    """

    schemes: ClassVar[tuple[str, ...]] = ("memory",)

    def __init__(
        self,
        *,
        faults: Faults | None = None,
        pause: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], int] | None = None,
        queue: int = QUEUE,
    ) -> None:
        self.url = "memory:"
        self.faults = faults
        self.calls = 0
        self.rows_read = 0
        """How many rows `get` and `scan` gave: what tests of growth count."""
        self._pause = pause or (lambda: asyncio.sleep(0))
        self._clock = clock or _wall_clock
        self._tables: dict[str, dict[Key, Row]] = {}
        self._readers = Readers(queue)
        self._held: list[tuple[str, Changed]] = []  # changes not delivered yet
        self._closed = False

    @classmethod
    async def open(cls, url: str, **options: Any) -> MemoryStore:
        return cls(**options)

    async def _begin(self, table: str, keys: Sequence[Row | Key] = ()) -> dict[Key, Row]:
        checked(table, keys)
        self._open()
        await self._pause()
        self._open()
        self.calls += 1
        return self._tables.setdefault(table, {})

    def _open(self) -> None:
        if self._closed:
            raise StoreError("the store was closed; open it again")

    def _before(self, table: str, rows: Sequence[Row] = ()) -> None:
        """Perhaps fail, having done nothing; with what a feed may then have shown all the same."""
        faults = self.faults
        if faults is None:
            return
        faults.fail_nth -= 1
        if faults.fail_nth == 0 or faults.happens(faults.lost_before):
            if rows and faults.happens(faults.ghost):
                for row in rows:
                    if key_of(row) not in self._tables.get(table, {}):
                        self._publish(table, None, row)
            raise StoreUnavailable("no answer from the store (an injected fault); try again")

    async def _after(self) -> None:
        """Perhaps lose the answer."""
        await self._pause()
        faults = self.faults
        if faults is None:
            return
        faults.fail_nth_after -= 1
        if faults.fail_nth_after == 0 or faults.happens(faults.lost_after):
            raise StoreUnavailable("the store's answer was lost (an injected fault); try again")

    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        held = await self._begin(table, rows)
        self._before(table, rows)
        verdicts: list[Verdict] = []
        for row in rows:
            if reason := refusal(row):
                verdicts.append(Verdict("refused", reason=reason))
                continue
            faults = self.faults
            if faults is not None and verdicts and faults.happens(faults.lost_after / 4):
                raise StoreUnavailable("the answer was lost in mid-batch (an injected fault); try again")
            key = key_of(row)
            known = held.get(key)
            if known is None:
                held[key] = copy.deepcopy(row)
                self._publish(table, None, row)
                verdicts.append(Verdict("inserted"))
            elif same(known, row):
                verdicts.append(Verdict("present"))
            else:
                verdicts.append(Verdict("conflict", copy.deepcopy(known)))
        await self._after()
        return verdicts

    async def swap(self, table: str, key: Key, old: Row | None, new: Row) -> Verdict:
        held = await self._begin(table, [key, new])
        self._before(table)
        known = held.get(key)
        if not same(known, old):
            verdict = Verdict("lost", copy.deepcopy(known))
        else:
            held[key] = copy.deepcopy(new)
            self._publish(table, known, new)
            verdict = Verdict("swapped")
        await self._after()
        return verdict

    async def delete(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        held = await self._begin(table, rows)
        self._before(table)
        verdicts = []
        for row in rows:
            known = held.get(key_of(row))
            if known is None:
                verdicts.append(Verdict("absent"))
            elif same(known, row):
                del held[key_of(row)]
                self._publish(table, known, None)
                verdicts.append(Verdict("deleted"))
            else:
                verdicts.append(Verdict("differs", copy.deepcopy(known)))
        await self._after()
        return verdicts

    async def get(self, table: str, keys: Sequence[Key]) -> list[Row | None]:
        held = await self._begin(table, keys)
        self._before(table)
        found = [copy.deepcopy(held.get(key)) for key in keys]
        self.rows_read += sum(row is not None for row in found)
        return found

    async def scan(self, table: str, lower: Key, upper: Key) -> AsyncIterator[list[Row]]:
        held = await self._begin(table)
        self._before(table)
        keys = [key for key in held if lower <= key < upper]
        if self.faults is not None:
            self.faults.random.shuffle(keys)
        batch = 1_000 if self.faults is None else 3
        for start in range(0, len(keys), batch):
            rows = [copy.deepcopy(held[key]) for key in keys[start : start + batch] if key in held]
            self.rows_read += len(rows)
            yield rows
            await self._begin(table)
            self._before(table)

    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        checked(table, ())
        self._open()
        return self._readers.feed(table, lower, upper)

    def _publish(self, table: str, old: Row | None, new: Row | None) -> None:
        change = (table, Changed(copy.deepcopy(old), copy.deepcopy(new)))
        faults = self.faults
        if faults is None:
            self._readers.publish(*change)
            return
        self._held.append(change)
        if faults.happens(faults.twice):
            self._held.append(change)
        if faults.happens(faults.gap):
            self._held.clear()
            self._readers.gap("lost connection (an injected fault)")
        faults.random.shuffle(self._held)
        while self._held and not faults.happens(faults.late):
            self._readers.publish(*self._held.pop())

    def deliver(self) -> None:
        """Let every change that is late arrive."""
        while self._held:
            self._readers.publish(*self._held.pop())

    async def time(self) -> int:
        await self._begin("meta")
        return self._clock()

    async def close(self) -> None:
        self._closed = True
        self._readers.close()

    def check(self) -> None:
        """Every row stands under its own key. For tests."""
        for rows in self._tables.values():
            assert all(key_of(row) == key for key, row in rows.items())


def _wall_clock() -> int:
    from time import time_ns

    return time_ns() // 1_000
