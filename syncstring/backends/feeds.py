"""One stream of changes, handed to many readers, each with a bounded queue of its own.

The law of this room. Every reader whose range holds a key gets every change of it after its `Ready`, or a
`Gap` and a new `Ready`: a reader that doesn't keep up loses what is queued, never memory, and never
silently. Publishing waits for nobody, and costs nothing for readers of other documents.

It doesn't know where changes come from. All in one event loop's thread, but `wants`.
"""

from __future__ import annotations

import asyncio
from collections import deque

from syncstring.errors import StoreError
from syncstring.store import Change, Changed, Feed, Gap, Key, Ready, bounded, of_document

__all__ = ["Readers"]

QUEUE = 10_000
BYTES = 64 << 20


class _Reader(Feed):
    """A feed from a queue."""

    def __init__(self, readers: Readers, table: str, lower: Key, upper: Key) -> None:
        self.table = table
        self.lower = lower
        self.upper = upper
        self._readers = readers
        self._queue: deque[tuple[Change, int]] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self.is_ready = False

    @property
    def waiting(self) -> int:
        """How many changes wait to be read."""
        return len(self._queue)

    def ready(self) -> None:
        """From now on every change comes."""
        if not self.is_ready:
            self.is_ready = True
            self._add(Ready())

    def put(self, change: Change, size: int) -> None:
        if not self.is_ready:
            return  # before its `Ready`, a reader is owed nothing
        if len(self._queue) < self._readers.limit and self._bytes + size <= BYTES:
            self._add(change, size)
        else:
            self.gap(f"overflow: {len(self._queue):,} changes waited for a slow reader")
            self.ready()

    def gap(self, reason: str) -> None:
        """All that waits is void; the reader starts again at its next `Ready`."""
        self._queue.clear()
        self._bytes = 0
        self.is_ready = False
        self._add(Gap(reason))

    def _add(self, change: Change, size: int = 0) -> None:
        self._queue.append((change, size))
        self._bytes += size
        self._wake.set()

    def wake(self) -> None:
        self._wake.set()

    async def __anext__(self) -> Change:
        while True:
            if self not in self._readers:
                raise StopAsyncIteration
            if self._queue:
                change, size = self._queue.popleft()
                self._bytes -= size
                return change
            if self._readers.closed:
                raise StoreError("the store was closed; open it again")
            self._wake.clear()
            await self._wake.wait()

    async def aclose(self) -> None:
        self._readers.remove(self)
        self._queue.clear()
        self.wake()


class Readers:
    """The readers of one store's feeds. `limit`: changes that may wait for each; 64 MiB of rows may."""

    def __init__(self, limit: int = QUEUE) -> None:
        self.limit = limit
        self.closed = False
        self._all: set[_Reader] = set()
        # Readers of one document stand under its key: a change looks at none but its own.
        self._narrow: dict[tuple[str, str | int], list[_Reader]] = {}
        self._wide: dict[str, list[_Reader]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, reader: object) -> bool:
        return reader in self._all

    def feed(self, table: str, lower: Key, upper: Key) -> _Reader:
        """A reader of one range, which begins at its `ready()`. `PatchError` for a range that none can be."""
        bounded(table, lower, upper)
        if self.closed:
            raise StoreError("the store was closed; open it again")
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

    def _of(self, table: str, key: Key) -> list[_Reader]:
        candidates = (*self._narrow.get((table, key[0]), ()), *self._wide.get(table, ()))
        return [reader for reader in candidates if reader.lower <= key < reader.upper]

    def wants(self, table: str, key: Key) -> bool:
        """Whether somebody reads that key. From any thread: a reader that comes meanwhile scans later."""
        return bool(self._of(table, key))

    def publish(self, table: str, change: Changed, size: int = 0) -> None:
        """Hand a change, whose rows have `size` bytes, to everybody whose range holds its key."""
        for reader in self._of(table, change.key):
            reader.put(change, size)

    def ready(self) -> None:
        """Tell everybody who waits for it that from now on every change comes."""
        for reader in self._all:
            reader.ready()

    def unready(self) -> list[_Reader]:
        """Who waits for `Ready`: to tell them one by one."""
        return [reader for reader in self._all if not reader.is_ready]

    def gap(self, reason: str) -> None:
        """Tell everybody that changes may have been missed; `ready` says when they come again."""
        for reader in self._all:
            reader.gap(reason)

    def close(self) -> None:
        """End every feed: its reader gets what waits, then `StoreError`."""
        self.closed = True
        for reader in self._all:
            reader.wake()


def _is_narrow(reader: _Reader) -> bool:
    return len(reader.lower) == 1 and (reader.lower, reader.upper) == of_document(str(reader.lower[0]))
