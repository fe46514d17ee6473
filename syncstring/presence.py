"""Who else has a document open, and where they are in it.

The law of this room. Each session that takes part keeps one row in the table `cursors`: its author, its
cursors as positions in the text of the heads that it names, and a number that each writing raises. A reader
carries the positions to the text that it shows, and from then on they move with it; positions in a version
that isn't here yet wait for it. A row counts as long as it goes on changing: who didn't change it for
`TIMEOUT` seconds of the reader's own clock is gone, so nobody's clock is believed. Rows may be lost at any
time, and nothing depends on them; what can't be read is passed over.

It costs nothing before it is used. It changes neither text nor history.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from syncstring._patch import Splice, map_position
from syncstring.document import Cursor, Document
from syncstring.errors import (
    DocumentDeleted,
    PatchError,
    StoreError,
    StoreUnavailable,
    SyncstringError,
)
from syncstring.manifest import read_heads
from syncstring.patch import MAX_PARENTS, Id
from syncstring.store import Changed, Key, Ready, Row, Store, key_of, of_document
from syncstring.traffic import Bell, Traffic

__all__ = ["Peer", "Presence", "Range"]

BEAT: Final = 10.0  # seconds between two writings where nothing moves
TIMEOUT: Final = 30.0  # seconds until who doesn't write any more is gone
LEFT: Final = 300.0  # seconds until whoever sees such a row deletes it: its session crashed
THROTTLE: Final = 0.2  # seconds between two writings at least
FAREWELL: Final = 2.0  # seconds that the end waits for a row to be deleted
PAUSE: Final = 2.0  # seconds before a call that failed is tried again
MAX_CURSORS: Final = 100
MAX_PEERS: Final = 1_000
"""Rows that are looked at; a document that more people have open shows some of them."""


class Range(NamedTuple):
    """A selection in the text, in code points; a caret, where both are equal."""

    anchor: int
    head: int


class Peer(NamedTuple):
    """Somebody who has the document open."""

    session: str
    author: str
    cursors: tuple[Range, ...]
    """Where they are in the text as it is now."""


class Said(NamedTuple):
    """What a row says."""

    session: str
    author: str
    beat: int
    heads: tuple[Id, ...]
    cursors: tuple[Range, ...]


def row_of(doc: str, said: Said, now: int) -> Row:
    """The row of a session's cursors. `now`, in microseconds, is for people."""
    return {
        "v": 1,
        "id": [doc, said.session],
        "author": said.author,
        "beat": said.beat,
        "heads": [f"{time}:{session}" for time, session in said.heads],
        "cursors": [list(cursor) for cursor in said.cursors],
        "time": now,
    }


def said_by(row: Mapping[str, Any]) -> Said | None:
    """What a row says; None if it can't be read."""
    try:
        session, author, beat, cursors = row["id"][1], row["author"], row["beat"], row["cursors"]
        if row["v"] != 1 or type(author) is not str or len(author.encode()) > 256:
            return None
        if type(cursors) is not list or len(cursors) > MAX_CURSORS or len(row["heads"]) > MAX_PARENTS:
            return None
        ranges = tuple(Range(anchor, head) for anchor, head in cursors)
        numbers = [beat, *(number for each in ranges for number in each)]
        if any(type(number) is not int or number < 0 for number in numbers):
            return None
        return Said(session, author, beat, read_heads(row["heads"]), ranges)
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


def before(pos: int, splices: Iterable[Splice]) -> int:
    """Where a position in the text after these splices was before them; what they inserted stands where it
    was put."""
    for at, delete, insert in reversed([*splices]):
        pos = map_position(pos, [(at, len(insert), " " * delete)])
    return pos


@dataclass
class _Seen:
    """A row, and since when it is as it is."""

    row: Row
    said: Said
    since: float
    gone: bool = False
    placed: bool = False
    cursors: list[tuple[Cursor, Cursor]] = field(default_factory=list)


class Presence:
    """The presence of a session in a document, and its peers. Of one event loop; `now()` counts seconds."""

    def __init__(self, document: Document, traffic: Traffic, now: Callable[[], float]) -> None:
        self._document = document
        self._traffic = traffic
        self._now = now
        self._seen: dict[str, _Seen] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._bell = Bell()
        self._moved = asyncio.Event()
        self._mine: list[tuple[Cursor, Cursor]] = []
        self._row: Row | None = None  # what we wrote last, as far as we know
        self._beat = 0
        self._cleared = now()
        self._closed = False
        self.failure: SyncstringError | None = None
        """What no waiting helps against: presence goes without the store then."""

    def begin(self) -> None:
        """Take part: from now on it costs a feed, and a row every `BEAT` seconds."""
        if not self._tasks and not self._closed:
            works = (self._watch, self._tell, self._mind)
            self._tasks = [asyncio.create_task(self._carry(work)) for work in works]

    # --- mine ------------------------------------------------------------

    def show(self, cursors: Iterable[tuple[int, int] | int]) -> None:
        """These are my cursors; see `Session.show_cursors`."""
        try:
            ranges = [(each, each) if isinstance(each, int) else tuple(each) for each in cursors]
            if any(len(each) != 2 for each in ranges):
                raise TypeError
        except TypeError:
            raise PatchError(
                f"cursors are {cursors!r:.60}; they are a list of ranges (anchor, head) or positions"
            ) from None
        if len(ranges) > MAX_CURSORS:
            raise PatchError(f"{len(ranges)} cursors; at most {MAX_CURSORS} can be shown")
        document = self._document
        self._mine = [(document.cursor(anchor), document.cursor(head)) for anchor, head in ranges]
        self._moved.set()
        self.begin()

    async def _tell(self) -> None:
        while True:
            self._moved.clear()
            await self._write()
            await asyncio.sleep(THROTTLE)
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._moved.wait()
            if self._now() - self._cleared >= BEAT:
                self._cleared = self._now()
                await self._clear_out()

    async def _write(self) -> None:
        """Put what is so now in place of what we wrote last."""
        link, document = self._traffic.link, self._document
        if self._row is not None and self._row["id"][1] != document.session:  # it has a new name
            await self._delete(self._row)
            self._row = None
        for _ in range(3):
            self._beat += 1
            said = Said(document.session, document.author, self._beat, document.heads, self._committed())
            row = row_of(link.doc, said, self._traffic.clock())
            verdict = await link.store.swap("cursors", key_of(row), self._row, row)
            if verdict.fine:
                self._row = row
                return
            self._row = verdict.row  # ours, whose answer was lost; or None, if somebody cleared it away
            if said_by(self._row or {}) is not None:
                self._beat = max(self._beat, (self._row or {})["beat"])

    def _committed(self) -> tuple[Range, ...]:
        """My cursors in the text that is committed."""
        pending = self._document.uncommitted
        return tuple(
            Range(before(anchor.pos, pending), before(head.pos, pending)) for anchor, head in self._mine
        )

    async def _delete(self, row: Row) -> None:
        await self._traffic.link.store.delete("cursors", [row])

    async def _clear_out(self) -> None:
        """Delete what crashed sessions left."""
        now = self._now()
        for session, seen in list(self._seen.items()):
            if now - seen.since > LEFT:
                if not seen.gone:
                    await self._delete(seen.row)
                self._seen.pop(session, None)

    # --- the others ------------------------------------------------------------

    @property
    def peers(self) -> list[Peer]:
        """Who else is here; see `Session.presence`."""
        self.begin()
        now = self._now()
        found = [
            Peer(seen.said.session, seen.said.author, _ranges(seen.cursors))
            for seen in self._seen.values()
            if not seen.gone and now - seen.since <= TIMEOUT
        ]
        return sorted(found, key=lambda peer: (peer.author, peer.session))

    async def changes(self) -> AsyncIterator[list[Peer]]:
        """`peers`, each time that somebody came, moved or went."""
        told: list[Peer] | None = None
        while not self._closed:
            here = self.peers
            if here != told:
                told = here
                yield here
                continue
            if (trouble := self._trouble) is not None:
                raise trouble
            now = self._now()
            ends = [seen.since + TIMEOUT - now for seen in self._seen.values() if not seen.gone]
            pause = min((end for end in ends if end >= 0), default=TIMEOUT) + 0.01
            await self._bell.until(partial(self._stirs, here), pause)

    def _stirs(self, told: list[Peer]) -> bool:
        return self._closed or self._trouble is not None or self.peers != told

    @property
    def _trouble(self) -> SyncstringError | None:
        traffic = self._traffic
        gone = traffic.broken if isinstance(traffic.broken, DocumentDeleted) else None
        return self.failure or traffic.dead or gone

    async def _mind(self) -> None:
        """Tell those who wait when the document is no more."""
        await self._traffic.bell.until(lambda: self._trouble)
        self._bell.ring()

    async def _watch(self) -> None:
        link = self._traffic.link
        feed = link.store.feed("cursors", *of_document(link.doc))
        try:
            async for change in feed:
                if isinstance(change, Ready):
                    await self._scan(link.store)
                elif isinstance(change, Changed):
                    self._note(change.key, change.new)
                self._bell.ring()
        finally:
            await feed.aclose()

    async def _scan(self, store: Store) -> None:
        found: set[str] = set()
        async for batch in store.scan("cursors", *of_document(self._traffic.link.doc)):
            for row in batch:
                found.add(row["id"][1])
                self._note(key_of(row), row)
            if len(found) > MAX_PEERS:
                return
        for session, seen in self._seen.items():
            seen.gone = seen.gone or session not in found

    def _note(self, key: Key, row: Row | None) -> None:
        """A row is there, or gone; perhaps that is old news."""
        session = str(key[1])
        seen = self._seen.get(session)
        if row is None:
            if seen is not None:
                seen.gone, seen.since = True, self._now()
            return
        said = said_by(row)
        if said is None or said.session == self._document.session:
            return
        if seen is None and len(self._seen) >= MAX_PEERS and not self._make_room():
            return
        if seen is None or said.beat > seen.said.beat:
            known = [] if seen is None else seen.cursors
            self._seen[session] = new = _Seen(row, said, self._now(), cursors=known)
            self._place(new)

    def _make_room(self) -> bool:
        """Forget somebody who is gone, or who was silent for longest and too long; False if nobody was."""
        session, last = min(self._seen.items(), key=lambda item: (not item[1].gone, item[1].since))
        if not last.gone and self._now() - last.since <= TIMEOUT:
            return False
        del self._seen[session]
        return True

    def settle(self) -> None:
        """The document has taken something in: what waited for it may have its place."""
        waiting = [seen for seen in self._seen.values() if not seen.placed and not seen.gone]
        for seen in waiting:
            self._place(seen)
        if any(seen.placed for seen in waiting):
            self._bell.ring()

    def _place(self, seen: _Seen) -> None:
        """Carry positions to the text as it is shown; they stay where they were, if they can't be."""
        document, history = self._document, self._document.history
        try:
            events = history.events(seen.said.heads)
            size = history.merge.size_at(events)
            since = [*history.merge.between(events, history.graph.heads), *document.uncommitted]
        except SyncstringError:
            return  # a version that isn't here, or not yet
        seen.placed = True
        with suppress(PatchError):
            seen.cursors = [
                (document.cursor(map_position(anchor, since)), document.cursor(map_position(head, since)))
                for anchor, head in seen.said.cursors
                if anchor <= size and head <= size
            ]

    # --- the end ------------------------------------------------------------

    async def _carry(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something, once the document was found, and again after what may pass by itself."""
        await self._traffic.bell.until(lambda: self._traffic.joined)
        while True:
            try:
                await work()
                return
            except StoreUnavailable:
                await asyncio.sleep(PAUSE)
            except BaseException as error:
                if not self._closed:
                    broke = StoreError(f"presence broke down: {error!r:.200}")
                    self.failure = error if isinstance(error, SyncstringError) else broke
                    self._bell.ring()
                if isinstance(error, Exception):
                    return
                raise

    async def close(self) -> None:
        """Be gone, for the others at once, if the store answers within `FAREWELL` seconds. Twice is fine."""
        self._closed = True
        self._bell.ring()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if tasks and self._beat and self._traffic.state != "offline":
            with suppress(SyncstringError, TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    link = self._traffic.link
                    for row in await link.store.get("cursors", [(link.doc, self._document.session)]):
                        if row is not None:
                            await self._delete(row)


def _ranges(cursors: Iterable[tuple[Cursor, Cursor]]) -> tuple[Range, ...]:
    return tuple(Range(anchor.pos, head.pos) for anchor, head in cursors)
