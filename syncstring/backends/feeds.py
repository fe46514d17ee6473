"""One stream of changes, handed to many readers, each with a bounded queue of its own.

The law of this room. Every reader whose range holds a key gets every change of it after its `Ready`, or a
`Gap` and a new `Ready`: a reader that doesn't keep up loses what is queued, never memory, and never
silently. Publishing waits for nobody.

It doesn't know where changes come from. All in one event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque

from syncstring.errors import StoreError
from syncstring.store import Change, Changed, Feed, Gap, Key, Ready

__all__ = ["Readers"]

QUEUE = 10_000


class _Reader(Feed):
    """A feed from a queue."""

    def __init__(self, readers: Readers, table: str, lower: Key, upper: Key) -> None:
        self.table = table
        self.lower = lower
        self.upper = upper
        self._readers = readers
        self._queue: deque[Change] = deque([Ready()])
        self._wake = asyncio.Event()
        self._ended = False

    def put(self, change: Change) -> None:
        if len(self._queue) < self._readers.limit:
            self._queue.append(change)
            self._wake.set()
        else:
            self.gap(f"overflow: more than {self._readers.limit:,} changes waited for a slow reader")

    def gap(self, reason: str) -> None:
        """All that waits is void; the reader starts again."""
        self._queue.clear()
        self._queue += (Gap(reason), Ready())
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    async def __anext__(self) -> Change:
        while not self._queue:
            if self._ended:
                raise StoreError("the store was closed; open it again")
            self._wake.clear()
            await self._wake.wait()
        if self._ended and self not in self._readers:
            raise StopAsyncIteration
        return self._queue.popleft()

    async def aclose(self) -> None:
        self._readers.remove(self)
        self._queue.clear()
        self.end()


class Readers:
    """The readers of one store's feeds. `limit`: changes that may wait for each."""

    def __init__(self, limit: int = QUEUE) -> None:
        self.limit = limit
        self._all: set[_Reader] = set()
        # Readers of one document stand under its key: a change looks at none but its own.
        self._narrow: dict[tuple[str, str | int], list[_Reader]] = {}
        self._wide: dict[str, list[_Reader]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, reader: object) -> bool:
        return reader in self._all

    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        """A reader of one range; it counts from this call on, not from its first `anext`."""
        reader = _Reader(self, table, lower, upper)
        self._all.add(reader)
        if _is_narrow(reader):
            self._narrow.setdefault((table, lower[0]), []).append(reader)
        else:
            self._wide.setdefault(table, []).append(reader)
        return reader

    def remove(self, reader: _Reader) -> None:
        """Forget a reader. Twice is fine."""
        if reader not in self._all:
            return
        self._all.remove(reader)
        if _is_narrow(reader):
            key = (reader.table, reader.lower[0])
            self._narrow[key].remove(reader)
            if not self._narrow[key]:
                del self._narrow[key]
        else:
            self._wide[reader.table].remove(reader)

    def publish(self, table: str, change: Changed) -> None:
        """Hand a change to everybody whose range holds its key."""
        key = change.key
        for reader in (*self._narrow.get((table, key[0]), ()), *self._wide.get(table, ())):
            if reader.lower <= key < reader.upper:
                reader.put(change)

    def gap(self, reason: str) -> None:
        """Tell everybody that changes may have been missed."""
        for reader in self._all:
            reader.gap(reason)

    def close(self) -> None:
        """End every feed: its reader gets what waits, then `StoreError`."""
        for reader in self._all:
            reader.end()


def _is_narrow(reader: _Reader) -> bool:
    lower, upper = reader.lower, reader.upper
    return len(lower) == 1 == len(upper) and upper[0] == f"{lower[0]}~"
