"""What the checks of a store work with: clients, keys and rows of their own, chance, and patience.

The law of this room. All chance comes from one seed, so a failure comes again. Keys are fresh, so a store
can be checked twice. A patient client does what a session does: where the answer was lost it asks again, and
then knows how to read the second answer.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeAlias, TypeVar

from syncstring.errors import StoreUnavailable
from syncstring.store import Feed, Key, Row, Store, Verdict

__all__ = ["Answers", "Bench", "Client", "collect", "differ", "row_of", "shown"]

Factory: TypeAlias = Callable[..., Awaitable[Store] | AbstractAsyncContextManager[Store]]
GapMaker: TypeAlias = Callable[[Store], Awaitable[None]]
Stall: TypeAlias = Callable[[], AbstractAsyncContextManager[object]]

T = TypeVar("T")
TRIES = 1_000


class Answers(list[Verdict]):
    """The verdicts of one call."""

    doubt = False
    """Whether it was made again after a lost answer, so that they don't tell its own deeds from others'."""


class Client:
    """The calls of a `Store`; if `patient`, made again after a lost answer."""

    def __init__(self, store: Store, patient: bool) -> None:
        self.store = store
        self._tries = TRIES if patient else 1

    async def _sure(self, call: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """The answer, and whether there was doubt before it."""
        for attempt in range(1, self._tries + 1):
            try:
                return await call(), attempt > 1
            except StoreUnavailable:
                if attempt == self._tries:
                    raise
        raise AssertionError("unreachable")

    async def insert(self, table: str, rows: Sequence[Row]) -> Answers:
        return await self._answers(lambda: self.store.insert(table, rows))

    async def delete(self, table: str, rows: Sequence[Row]) -> Answers:
        return await self._answers(lambda: self.store.delete(table, rows))

    async def _answers(self, call: Callable[[], Awaitable[list[Verdict]]]) -> Answers:
        verdicts, doubt = await self._sure(call)
        answers = Answers(verdicts)
        answers.doubt = doubt
        return answers

    async def swap(self, table: str, key: Key, old: Row | None, new: Row) -> Answers:
        """A single verdict."""

        async def call() -> list[Verdict]:
            return [await self.store.swap(table, key, old, new)]

        return await self._answers(call)

    async def get(self, table: str, keys: Sequence[Key]) -> list[Row | None]:
        return (await self._sure(lambda: self.store.get(table, keys)))[0]

    async def scan(self, table: str, lower: Key, upper: Key) -> list[Row]:
        """All rows of a range."""
        return (await self._sure(lambda: collect(self.store.scan(table, lower, upper))))[0]

    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        return self.store.feed(table, lower, upper)


Check: TypeAlias = Callable[["Bench"], Awaitable[None]]


class Bench:
    """One check's tools."""

    def __init__(
        self, factory: Factory, seed: int, gaps: Sequence[GapMaker], stall: Stall | None, patient: bool
    ) -> None:
        self.random = random.Random(seed)
        self.gaps = gaps
        self.stall = stall
        self.patient = patient
        self._factory = factory
        self._open = AsyncExitStack()

    async def store(self, **options: Any) -> Store:
        """One more client of the store, as it is. It's closed at the end."""
        made = self._factory(**options)
        if inspect.isawaitable(made):
            store: Store = await made
            self._open.push_async_callback(store.close)
        else:
            store = await self._open.enter_async_context(made)
        return store

    async def client(self, **options: Any) -> Client:
        """One more client."""
        return Client(await self.store(**options), self.patient)

    async def answered(self, call: Callable[[], Awaitable[T]], within: float) -> T:
        """What a call with a short limit gives, of a store that answers. Where a slow machine passes
        the limit, it is made again, for so many seconds."""
        clock = asyncio.get_running_loop().time
        end = clock() + within
        while True:
            try:
                return await call()
            except StoreUnavailable:
                if clock() > end:
                    raise
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        await self._open.aclose()

    def doc(self) -> str:
        """A document's key that nobody used."""
        return secrets.token_hex(20)


def row_of(doc: str, time: int = 1, session: str = "s", **fields: Any) -> Row:
    """A row of table `patches`."""
    return {"id": [doc, time, session], **fields}


async def collect(batches: AsyncIterator[list[Row]]) -> list[Row]:
    """All rows of a scan."""
    return [row async for batch in batches for row in batch]


def shown(value: object) -> str:
    """A value, short enough for a message."""
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:200]}… ({len(text):,} letters)"


def differ(found: Row | None, wanted: Row | None) -> str:
    """What to say of a row that isn't the one."""
    return f"{shown(found)} came instead of {shown(wanted)}"
