"""The contract in plain dicts: for tests, and to show that the contract is small.

The law of this room. What `store.py` promises, as long as the process lives. With `Faults` it does all that
a real cluster may do within that promise, in an order that one seed decides: changes come late, twice and in
any order; feeds break; answers are lost, the deed done before, later, in part or not at all; a row is shown
that then isn't there, if it wasn't acknowledged; a read doesn't see what wasn't acknowledged and no read has
seen; the n-th call fails.

It doesn't know documents. It draws nothing and reads no clock but what it is given.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from syncstring.backends.feeds import QUEUE, Readers
from syncstring.errors import PatchError, StoreError, StoreUnavailable
from syncstring.store import (
    Changed,
    Feed,
    Image,
    Key,
    Row,
    Store,
    Verdict,
    bounded,
    checked,
    image,
    key_of,
    restored,
)

__all__ = ["Faults", "MemoryStore"]

BATCH = 1_000  # rows of a scan at once, or
BATCH_BYTES = 8 << 20


@dataclass
class Faults:
    """What goes wrong, and how often (chances from 0 to 1), under one seed."""

    seed: int = 0
    lost_before: float = 0.0
    """A call fails and did nothing."""
    lost_after: float = 0.0
    """A call fails though it was done, in whole or, for a batch, in part."""
    lost_late: float = 0.0
    """A writing call fails, and is done after calls that begin later."""
    stale: float = 0.0
    """A read doesn't see a change that isn't acknowledged yet and that no other read has seen."""
    late: float = 0.0
    """A change is delivered after others that came later."""
    twice: float = 0.0
    """A change is delivered again."""
    gap: float = 0.0
    """The feeds of a client break at a change, and what was to be delivered to them is lost."""
    ghost: float = 0.0
    """Of an insert that fails having done nothing, how often feeds show its rows before they break."""
    fail_nth: int = 0
    """The n-th call from now on fails once, before it did anything (0: none)."""
    fail_nth_after: int = 0
    """The n-th writing call from now on fails once, after it was done (0: none)."""
    counts: dict[str, int] = field(default_factory=dict)
    """How often each of them happened."""
    random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def happens(self, name: str) -> bool:
        """Whether that goes wrong now; counted if so."""
        chance = getattr(self, name)
        return chance > 0 and self.random.random() < chance and self.count(name)

    def due(self, name: str) -> bool:
        """Whether this is the call that is to fail."""
        left = getattr(self, name)
        setattr(self, name, max(left - 1, 0))
        return left == 1 and self.count(name)

    def count(self, name: str) -> bool:
        self.counts[name] = self.counts.get(name, 0) + 1
        return True


_Stand: TypeAlias = dict[str, dict[Key, Image]]
_Deed: TypeAlias = Callable[[], None]


class _Shared:
    """What all clients of one store have in common."""

    def __init__(self, faults: Faults | None) -> None:
        self.tables: _Stand = {}
        self.faults = faults
        self.clients: list[MemoryStore] = []
        self.held: list[tuple[MemoryStore, str, Changed, int]] = []  # not delivered yet
        self.broken = False  # the feeds end at the next call: a row was shown that isn't there
        self.unsure: dict[tuple[str, Key], Image | None] = {}  # neither acknowledged nor seen: what was there
        self.to_come: list[_Deed] = []  # done though their callers were told otherwise
        self.delivering = False


class MemoryStore(Store):
    """Rows in this process. All who share the object share the rows; `client()` gives another that does.

    `pause()` is awaited before each step of each call: whoever passes one in decides who goes on when. With
    `limit=inf` nothing here needs an event loop; late changes then wait for more, or for `deliver`.
    """

    schemes: ClassVar[tuple[str, ...]] = ("memory",)

    def __init__(
        self,
        *,
        faults: Faults | None = None,
        pause: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], int] | None = None,
        queue: int = QUEUE,
        limit: float = 30.0,
    ) -> None:
        self.url = "memory:"
        self.limit = limit
        self.calls = 0
        self.rows_read = 0
        """How many rows `get` and `scan` gave: what tests of growth count."""
        self._pause = pause or (lambda: asyncio.sleep(0))
        self._clock = clock or (lambda: time.time_ns() // 1_000)
        self._readers = Readers(queue)
        self._shared = _Shared(faults)
        self._shared.clients.append(self)
        self._closed = False

    @classmethod
    async def open(cls, url: str, *, create: bool = True, **options: Any) -> MemoryStore:
        if url != "memory:":
            raise PatchError(f"{url!r:.80}: what is in memory has no name; say memory:")
        if unknown := options.keys() - {"faults", "pause", "clock", "queue", "limit"}:
            raise PatchError(f"a memory store has no option {', '.join(sorted(unknown))}")
        return cls(**options)

    def client(self, *, queue: int | None = None, limit: float | None = None) -> MemoryStore:
        """Another client of the same rows, with the same faults; each is closed by itself."""
        other = type(self)(
            pause=self._pause,
            clock=self._clock,
            queue=self._readers.limit if queue is None else queue,
            limit=self.limit if limit is None else limit,
        )
        other._shared = self._shared
        self._shared.clients.append(other)
        return other

    def keys(self, table: str) -> list[Key]:
        """The keys of all rows that stand in a table now: a look from outside, which no client notices."""
        return list(self._shared.tables.get(table, ()))

    def twin(self) -> MemoryStore:
        """A store without faults and feeds that has the same rows at this instant."""
        other = type(self)(pause=self._pause, clock=self._clock, limit=self.limit)
        other._shared.tables = {table: dict(rows) for table, rows in self._shared.tables.items()}
        return other

    @property
    def faults(self) -> Faults | None:
        """What goes wrong, for all clients; None or another may be set at any time."""
        return self._shared.faults

    @faults.setter
    def faults(self, faults: Faults | None) -> None:
        self._shared.faults = faults

    # --- calls ------------------------------------------------------------

    async def _step(self) -> None:
        if self.limit == float("inf"):  # driven without an event loop, step by step
            await self._pause()
            return
        try:
            async with asyncio.timeout(self.limit):
                await self._pause()
        except TimeoutError:
            raise StoreUnavailable(f"no answer within {self.limit:g} s; try again") from None

    def _open(self) -> None:
        if self._closed:
            raise StoreError("the store was closed; open it again")

    async def _begin(
        self,
        deed: _Deed | None = None,
        rows: tuple[str, Sequence[Row]] = ("", ()),
        chance: bool = True,
    ) -> None:
        """Perhaps fail, having done nothing (yet), with what feeds may then have shown all the same."""
        self._open()
        await self._step()
        self._open()
        self.calls += 1
        shared, faults = self._shared, self.faults
        if shared.broken:
            shared.broken = False
            self._break(shared.clients, "lost connection (an injected fault)")
        if faults is None:
            return
        while shared.to_come and faults.random.random() < 0.5:
            self._do_late()
        if faults.due("fail_nth") or (chance and faults.happens("lost_before")):
            if rows[1] and faults.happens("ghost"):
                shared.broken = True
                for row in rows[1]:
                    if key_of(row) not in shared.tables.get(rows[0], {}):
                        self._publish(rows[0], None, row)
            raise StoreUnavailable("no answer from the store (an injected fault); try again")
        if deed is not None and faults.happens("lost_late"):
            shared.to_come.append(deed)
            raise StoreUnavailable("no answer from the store yet (an injected fault); try again")

    async def _end(self, told: Sequence[tuple[str, Key]]) -> None:
        """Perhaps lose the answer. What it tells of is sure from now on."""
        try:
            await self._step()  # a deed that is done is told, even of a store that was closed meanwhile
            faults = self.faults
            if faults is not None and (faults.due("fail_nth_after") or faults.happens("lost_after")):
                raise StoreUnavailable("the store's answer was lost (an injected fault); try again")
        finally:
            self._settle(told)

    def _do_late(self) -> None:
        self._shared.to_come.pop(0)()
        self._settle(list(self._shared.unsure))

    def _settle(self, places: Sequence[tuple[str, Key]]) -> None:
        """From now on every read sees these. A scan that didn't may have come after a gap that swallowed the
        change, so that is told again."""
        for table, key in places:
            if (table, key) in self._shared.unsure:
                del self._shared.unsure[table, key]
                if self.faults is not None and self.faults.stale:
                    row = _row(key, self._shared.tables[table].get(key))
                    self._publish(table, {"id": list(key)} if row is None else None, row)

    def _put(self, table: str, key: Key, new: Image | None) -> None:
        """Change one row, tell the feeds, and remember what was there until it is sure."""
        rows = self._shared.tables.setdefault(table, {})
        old = rows.get(key)
        if new is None:
            del rows[key]
        else:
            rows[key] = new
        self._shared.unsure[table, key] = old
        self._publish(table, _row(key, old), _row(key, new), _size(old) + _size(new))

    def _stands(self, table: str, key: Key) -> Image | None:
        """What a read sees."""
        place = (table, key)
        if place in self._shared.unsure and self.faults is not None and self.faults.happens("stale"):
            return self._shared.unsure[place]
        self._shared.unsure.pop(place, None)
        return self._shared.tables.get(table, {}).get(key)

    # --- the contract ------------------------------------------------------------

    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        checked(table, rows)
        images = [_image(row) for row in rows]
        verdicts: list[Verdict] = []

        def deed() -> None:
            for row, new in zip(rows, images, strict=True):
                if isinstance(new, str):
                    verdicts.append(Verdict("refused", reason=new))
                    continue
                faults = self.faults
                if faults is not None and verdicts and faults.random.random() < faults.lost_after / 4:
                    faults.count("half")
                    return
                known = self._shared.tables.get(table, {}).get(key_of(row))
                if known is None:
                    self._put(table, key_of(row), new)
                    verdicts.append(Verdict("inserted"))
                elif known == new:
                    verdicts.append(Verdict("present"))
                else:
                    verdicts.append(Verdict("conflict", _row(key_of(row), known)))

        kept = [row for row, new in zip(rows, images, strict=True) if not isinstance(new, str)]
        await self._begin(deed, (table, kept))
        deed()
        await self._end([(table, key_of(row)) for row in rows])
        if len(verdicts) < len(rows):
            raise StoreUnavailable("the answer was lost in mid-batch (an injected fault); try again")
        return verdicts

    async def swap(self, table: str, key: Key, old: Row | None, new: Row) -> Verdict:
        checked(table, [key, new])
        if key != key_of(new):
            raise PatchError(f"the new row has the key {key_of(new)!r:.80}, not {key!r:.80}")
        after = _image(new)
        if isinstance(after, str):
            return Verdict("refused", reason=after)
        before = None if old is None else _image(old)
        verdicts: list[Verdict] = []

        def deed() -> None:
            known = self._shared.tables.get(table, {}).get(key)
            if known == before and (old is None or key_of(old) == key):
                self._put(table, key, after)
                verdicts.append(Verdict("swapped"))
            else:
                verdicts.append(Verdict("lost", _row(key, known)))

        await self._begin(deed)
        deed()
        await self._end([(table, key)])
        return verdicts[0]

    async def delete(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        checked(table, rows)
        images = [_image(row) for row in rows]
        verdicts: list[Verdict] = []

        def deed() -> None:
            for row, old in zip(rows, images, strict=True):
                known = self._shared.tables.get(table, {}).get(key_of(row))
                if isinstance(old, str):
                    verdicts.append(Verdict("refused", reason=old))
                elif known is None:
                    verdicts.append(Verdict("absent"))
                elif known == old:
                    self._put(table, key_of(row), None)
                    verdicts.append(Verdict("deleted"))
                else:
                    verdicts.append(Verdict("differs", _row(key_of(row), known)))

        await self._begin(deed)
        deed()
        await self._end([(table, key_of(row)) for row in rows])
        return verdicts

    async def get(self, table: str, keys: Sequence[Key]) -> list[Row | None]:
        checked(table, keys)
        await self._begin()
        found = [_row(key, self._stands(table, key)) for key in map(tuple, keys)]
        self.rows_read += sum(row is not None for row in found)
        return found

    async def scan(self, table: str, lower: Key, upper: Key) -> AsyncIterator[list[Row]]:
        bounded(table, lower, upper)
        await self._begin()
        known = dict.fromkeys(self._shared.tables.get(table, {}))
        known.update({key: None for name, key in self._shared.unsure if name == table})  # perhaps gone
        keys = [key for key in known if lower <= key < upper]
        if self.faults is not None:
            self.faults.random.shuffle(keys)
        breaks = -1  # a scan may fail at any of its batches, at the chance of one call
        if self.faults is not None and self.faults.happens("lost_before"):
            breaks = self.faults.random.randrange(len(keys) + 1)
        batch: list[Row] = []
        size = 0
        for number, key in enumerate(keys):
            if number == breaks:
                raise StoreUnavailable("no more answers from the store (an injected fault); try again")
            if len(batch) >= (BATCH if self.faults is None else 3) or size > BATCH_BYTES:
                yield batch
                batch, size = [], 0
                await self._begin(chance=False)
            image = self._stands(table, key)
            if image is not None:
                batch.append(restored(key, image))
                size += _size(image)
                self.rows_read += 1
        if batch:
            yield batch

    async def time(self) -> int:
        await self._begin()
        return self._clock()

    async def close(self) -> None:
        self._closed = True
        self._readers.close()
        if self in self._shared.clients:
            self._shared.clients.remove(self)

    # --- feeds ------------------------------------------------------------

    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        reader = self._readers.feed(table, lower, upper)
        reader.ready()
        return reader

    def _publish(self, table: str, old: Row | None, new: Row | None, size: int = 0) -> None:
        change = Changed(old, new)
        shared, faults = self._shared, self.faults
        if faults is None:
            for client in shared.clients:
                client._readers.publish(table, change, size)
            return
        for client in list(shared.clients):
            if faults.happens("gap"):
                self._break([client], "lost connection (an injected fault)")
            for _ in range(1 + faults.happens("twice")):
                shared.held.append((client, table, change, size))
        self._deliver_some()

    def _break(self, clients: Sequence[MemoryStore], reason: str) -> None:
        self._shared.held = [held for held in self._shared.held if held[0] not in clients]
        for client in clients:
            client._readers.gap(reason)
            client._readers.ready()

    def _deliver_some(self) -> None:
        """Deliver in any order, and what is late in one of the event loop's next rounds."""
        shared, faults = self._shared, self.faults
        while shared.held and not (faults is not None and faults.happens("late")):
            if faults is not None:
                at = faults.random.randrange(len(shared.held))
                shared.held[at], shared.held[-1] = shared.held[-1], shared.held[at]
            self._deliver_one()
        if shared.held and not shared.delivering and self.limit != float("inf"):
            shared.delivering = True
            asyncio.get_running_loop().call_soon(self._deliver_late)

    def _deliver_late(self) -> None:
        self._shared.delivering = False
        self._deliver_some()

    def _deliver_one(self) -> None:
        client, table, change, size = self._shared.held.pop()
        client._readers.publish(table, change, size)

    def deliver(self) -> None:
        """Let every deed and every change that is late happen now."""
        while self._shared.to_come:
            self._do_late()
        while self._shared.held:
            self._deliver_one()

    def check(self) -> None:
        """Every row is found under its own key. For tests."""
        for table, rows in self._shared.tables.items():
            checked(table, rows)
            assert all(key_of(restored(key, image)) == key for key, image in rows.items())


def _image(row: Row) -> Image | str:
    """A row as it is kept, or why it can't be."""
    try:
        return image(row)
    except ValueError as error:
        return str(error)


def _row(key: Key, image: Image | None) -> Row | None:
    return None if image is None else restored(key, image)


def _size(image: Image | None) -> int:
    return 0 if image is None else len(image.text) + len(image.data or b"")
