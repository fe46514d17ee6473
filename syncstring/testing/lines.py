"""How a simulated world talks to a store: one call after the other, on a line that can be cut.

The law of this room. Whoever holds a world decides which task goes on, by one call to the store at a time, so
a seed decides every interleaving. A line that is cut answers nothing: calls fail, before they are made or
after, and what feeds would have told is lost, as a `Gap` says once it is whole again. It changes nothing else
about the store behind it.

A store that needs no event loop (`MemoryStore` with `limit=inf`) is driven without one, and then everything
that happens follows from the seed. Any other store is driven in a loop of the world's own; what it does by
itself between two calls is then its own affair.
"""

from __future__ import annotations

import asyncio
import types
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Generator, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

from syncstring.errors import StoreError, StoreUnavailable
from syncstring.store import Change, Feed, Gap, Key, Ready, Row, Store, Verdict
from syncstring.testing.oracle import Broken

__all__ = ["Driver", "Line", "Loop", "Plain", "Tap", "Task", "switch"]

T = TypeVar("T")
Work: TypeAlias = Coroutine[Any, Any, Any]


@types.coroutine
def switch() -> Generator[None, None, None]:
    """Let somebody else go on, where no event loop is: `pause=switch` of a `MemoryStore`."""
    yield


class Task:
    """Something under way. `what` says what it is, `who` whose."""

    def __init__(self, work: Work, what: str, who: object = None) -> None:
        self.work = work
        self.what = what
        self.who = who
        self.task: asyncio.Task[Any] | None = None
        self.gate: asyncio.Event | None = None
        self.waits: asyncio.Event | None = None


class Driver(ABC):
    """Carries tasks on."""

    @abstractmethod
    def step(self, task: Task) -> bool:
        """Go on to the next call to the store; whether the task is done. Raises what it raises."""

    @abstractmethod
    def kill(self, task: Task) -> None:
        """It goes no further."""

    @abstractmethod
    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry out one task alone."""

    @abstractmethod
    def arrived(self, tap: Tap) -> list[Change]:
        """What came on a feed."""

    async def pause(self) -> None:
        """Called before each call to a store."""
        return None

    def close(self) -> None:
        """Give everything back."""
        return None


class Plain(Driver):
    """Without an event loop."""

    def step(self, task: Task) -> bool:
        try:
            task.work.send(None)
        except StopIteration:
            return True
        return False

    def kill(self, task: Task) -> None:
        task.work.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        while True:
            try:
                work.send(None)
            except StopIteration as stop:
                result: T = stop.value
                return result

    def arrived(self, tap: Tap) -> list[Change]:
        found = []
        while tap.waiting or tap.feed.waiting:  # type: ignore[attr-defined]  # a memory store's feed says it
            found.append(self.run(tap.__anext__()))
        return [] if tap.line.is_cut else found


class Loop(Driver):
    """In an event loop of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._tasks: dict[asyncio.Task[Any], Task] = {}
        self._listening: list[asyncio.Task[None]] = []

    async def pause(self) -> None:
        current = asyncio.current_task()
        task = self._tasks.get(current) if current is not None else None
        if task is not None and task.gate is not None and task.waits is not None:
            task.waits.set()
            await task.gate.wait()
            task.gate.clear()

    def step(self, task: Task) -> bool:
        async def go_on() -> bool:
            if task.task is None:
                task.gate, task.waits = asyncio.Event(), asyncio.Event()
                task.task = asyncio.ensure_future(task.work)
                self._tasks[task.task] = task
            else:
                assert task.gate is not None and task.waits is not None
                task.waits.clear()
                task.gate.set()
            assert task.waits is not None
            waits = asyncio.ensure_future(task.waits.wait())
            await asyncio.wait({task.task, waits}, return_when=asyncio.FIRST_COMPLETED)
            waits.cancel()
            if not task.task.done():
                return False
            del self._tasks[task.task]
            task.task.result()
            return True

        return self.loop.run_until_complete(go_on())

    def kill(self, task: Task) -> None:
        if task.task is None:
            task.work.close()
            return
        task.task.cancel()
        with suppress(asyncio.CancelledError, StoreUnavailable):
            self.loop.run_until_complete(task.task)
        self._tasks.pop(task.task, None)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def arrived(self, tap: Tap) -> list[Change]:
        async def listen() -> None:
            try:
                while True:
                    tap.waiting.append(await anext(tap.feed))
            except Exception as error:  # told to whoever reads, not to the loop
                tap.ended = error

        if tap.ended is not None and not tap.line.closed:
            raise Broken("durable", f"a feed ended by itself: {tap.ended!r}") from tap.ended

        if not tap.listened:
            tap.listened = True
            self._listening.append(self.loop.create_task(listen()))
        if not self.loop.is_running():
            self.loop.run_until_complete(asyncio.sleep(0))
        found = []
        while tap.waiting:
            found.append(tap.waiting.popleft())
        return found if not tap.line.is_cut else []

    def close(self) -> None:
        left = [*self._listening, *self._tasks]

        async def end() -> None:
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

        self.loop.run_until_complete(end())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


class Tap(Feed):
    """A feed as it comes over a line."""

    def __init__(self, line: Line, feed: Feed) -> None:
        self.line = line
        self.feed = feed
        self.waiting: deque[Change] = deque()
        self.listened = False
        self.ended: Exception | None = None

    async def __anext__(self) -> Change:
        if self.waiting:
            return self.waiting.popleft()
        return await anext(self.feed)

    def healed(self) -> None:
        """What was told meanwhile is lost; from here on all is told."""
        self.waiting.clear()
        self.waiting += [Gap("the line was cut"), Ready()]

    async def aclose(self) -> None:
        await self.feed.aclose()


class Line(Store):
    """A store, as one computer reaches it."""

    schemes = ()

    def __init__(self, store: Store, driver: Driver) -> None:
        self.store = store
        self.url = store.url
        self.limit = store.limit
        self.is_cut = False
        self.was_cut = False
        self.closed = False
        self._driver = driver
        self._taps: list[Tap] = []

    @classmethod
    async def open(cls, url: str, **options: Any) -> Store:
        raise StoreError("a line is made of a store, not of a URL")

    def cut(self) -> None:
        """From now on nobody answers."""
        self.is_cut = self.was_cut = True

    def heal(self) -> None:
        """Answers come again."""
        if self.is_cut:
            self.is_cut = False
            for tap in self._taps:
                self._driver.arrived(tap)  # lost
                tap.healed()

    async def _begin(self) -> None:
        await self._driver.pause()
        self._end()

    def _end(self) -> None:
        if self.is_cut:
            raise StoreUnavailable("the line is cut; try again")

    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        await self._begin()
        verdicts = await self.store.insert(table, rows)
        self._end()
        return verdicts

    async def swap(self, table: str, key: Key, old: Row | None, new: Row) -> Verdict:
        await self._begin()
        verdict = await self.store.swap(table, key, old, new)
        self._end()
        return verdict

    async def delete(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        await self._begin()
        verdicts = await self.store.delete(table, rows)
        self._end()
        return verdicts

    async def get(self, table: str, keys: Sequence[Key]) -> list[Row | None]:
        await self._begin()
        found = await self.store.get(table, keys)
        self._end()
        return found

    async def scan(self, table: str, lower: Key, upper: Key) -> AsyncIterator[list[Row]]:
        await self._begin()
        async for batch in self.store.scan(table, lower, upper):
            self._end()
            yield batch

    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        tap = Tap(self, self.store.feed(table, lower, upper))
        self._taps.append(tap)
        return tap

    async def time(self) -> int:
        await self._begin()
        now = await self.store.time()
        self._end()
        return now

    async def close(self) -> None:
        self.closed = True
        await self.store.close()
