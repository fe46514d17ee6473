"""A document that lives in a store: the calls of `Document`, and those that reach the store.

The law of this room. `flush()` returns when everything committed here is acknowledged, and not before; what
was not stays in the outbox. `sync()` has seen whatever was acknowledged to anybody before it was called.
The document belongs to its caller's thread; all traffic with the store happens in one of its own, and the
two share queues only. What is asked of the past and wasn't read is read then.

A session id is drawn for each opening and never used again: a process that was forked has to open anew.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from datetime import tzinfo
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

from syncstring._patch import Splice
from syncstring.archive import Archive, Contents, Packed, find_document
from syncstring.document import Document, Edit
from syncstring.errors import (
    ConflictingPatch,
    DocumentDeleted,
    HistoryTruncated,
    StoreError,
    StoreUnavailable,
    SyncstringError,
)
from syncstring.history import History
from syncstring.link import Link
from syncstring.outbox import Outbox
from syncstring.patch import Id, Patch
from syncstring.store import Feed, Gap, Row, Store, open_store
from syncstring.tags import read_tags
from syncstring.timeline import Ref, Run, Versions

__all__ = ["StoredDocument", "fresh_key", "fresh_session", "open"]

T = TypeVar("T")

PACK_AT: Final = 1_000
"""Rows in `patches` from which on a session packs."""
FIRST_PAUSE: Final = 0.05  # seconds before a failed call is tried again; doubled up to
LONGEST_PAUSE: Final = 5.0


def fresh_key() -> str:
    """40 random hex digits."""
    return secrets.token_hex(20)


def fresh_session() -> str:
    """A session id that nobody had before: 12 random characters of 0-9a-z."""
    return "".join(secrets.choice("0123456789abcdefghijklmnopqrstuvwxyz") for _ in range(12))


class _Traffic:
    """A thread with an event loop: one store, one link, the tasks that keep it going."""

    def __init__(self, url: str | os.PathLike[str], options: Mapping[str, Any]) -> None:
        self.pid = os.getpid()
        self._url = os.fspath(url)
        self._options = options
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="syncstring", daemon=True)
        self._thread.start()
        self.store: Store
        self.link: Link
        self._tasks: list[asyncio.Task[None]] = []
        self._post: asyncio.Event
        self._sent: asyncio.Condition
        self._stale: asyncio.Event
        self._refreshing: asyncio.Lock
        self._packing: asyncio.Task[None] | None = None
        self._tried = 0  # rows there were when packing was tried last
        self.failure: SyncstringError | None = None

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(self, work: Coroutine[Any, Any, T], limit: float | None = None) -> T:
        """Do something in the loop and wait for it, from the caller's thread."""
        if self.pid != os.getpid():
            work.close()
            raise StoreError("this process was forked after the document was opened; open it again here")
        if self.loop.is_closed():
            work.close()
            raise StoreError("the document was closed; open it again")
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(limit)
        except FutureTimeout:
            future.cancel()
            raise StoreUnavailable(
                f"not acknowledged by {self._url} within {limit:g} s; the outbox stays, try again"
            ) from None
        except BaseException:
            future.cancel()
            raise

    async def open(self, name: str, create: bool) -> tuple[Contents, dict[str, tuple[Id, ...]], int]:
        self._post = asyncio.Event()
        self._sent = asyncio.Condition()
        self._stale = asyncio.Event()
        self._refreshing = asyncio.Lock()
        self.store = await open_store(self._url, create=create, **self._options)
        try:
            doc = await find_document(self.store, name, fresh_key, create)
            self.link = Link(Archive(self.store, doc, fresh_key))
            contents = await self.link.open()
            tags = await read_tags(self.store, doc)
            now = await self.store.time()
        except BaseException:
            await self.store.close()
            raise
        self._tasks = [asyncio.create_task(self._listen(feed)) for feed in self.link.feeds]
        self._tasks += [asyncio.create_task(self._send()), asyncio.create_task(self._catch_up())]
        return contents, tags, now

    async def _listen(self, feed: Feed) -> None:
        with suppress(StoreError):
            async for change in feed:
                self.link.take(change)
                if self.link.stale and not isinstance(change, Gap):  # after a gap comes `Ready`
                    self._stale.set()

    async def _catch_up(self) -> None:
        """Read again what may have been missed, until it works."""
        pause = FIRST_PAUSE
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                await self.refresh()
                pause = FIRST_PAUSE
            except SyncstringError:
                self._stale.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def refresh(self) -> None:
        """See whatever was acknowledged before this call."""
        async with self._refreshing:
            await self.link.refresh()
        self._pack_soon()

    def _pack_soon(self) -> None:
        """Pack in the background, where it is time; and, where that didn't help, not again before there is
        more to pack."""
        if self.link.rows >= max(PACK_AT, self._tried + PACK_AT // 5) and not self.link.deleted:
            self._tried = self.link.rows
            if self._packing is None or self._packing.done():
                self._packing = asyncio.create_task(self._pack_quietly())

    async def _pack_quietly(self) -> None:
        with suppress(SyncstringError):
            if await self.link.archive.pack():
                self._tried = 0

    def post(self, patches: list[Patch]) -> None:
        """From the caller's thread: patches to send."""

        def put() -> None:
            self.link.post(patches)
            self._post.set()

        if self.pid == os.getpid() and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(put)

    async def _send(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._post.wait()
            self._post.clear()
            while self.link.outbox:
                try:
                    await self.link.send()
                    self._pack_soon()
                    pause = FIRST_PAUSE
                    self.failure = None
                except (ConflictingPatch, DocumentDeleted) as error:
                    self.failure = error
                    async with self._sent:
                        self._sent.notify_all()
                    break
                except SyncstringError as error:
                    self.failure = error
                    await asyncio.sleep(pause * (0.5 + secrets.randbelow(1_000) / 1_000))
                    pause = min(2 * pause, LONGEST_PAUSE)
                async with self._sent:
                    self._sent.notify_all()

    async def drain(self) -> None:
        """Wait until the outbox is empty. Raises what no waiting helps against."""
        self._post.set()
        async with self._sent:
            while self.link.outbox:
                if isinstance(self.failure, (ConflictingPatch, DocumentDeleted)):
                    raise self.failure
                await self._sent.wait()

    def withdraw(self) -> list[Patch]:
        """Take everything out of the outbox, parents first."""
        patches = list(self.link.outbox.values())
        self.link.outbox.clear()
        self.link.forget(patches)
        self.failure = None
        return patches

    def close(self) -> None:
        """End the thread. Twice is fine."""
        if self.pid != os.getpid() or self.loop.is_closed():
            return

        async def end() -> None:
            if self._packing is not None:
                self._tasks.append(self._packing)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if hasattr(self, "link"):
                await self.link.close()
            if hasattr(self, "store"):
                await self.store.close()

        with suppress(Exception):
            self.call(end(), 30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class StoredDocument(Document):
    """A document in a store, opened by `open`. Of one thread; a context manager, which flushes when left."""

    def __init__(
        self, traffic: _Traffic, contents: Contents, outbox: Outbox | None, limit: float, **options: Any
    ) -> None:
        super().__init__(patches=contents.patches, base=contents.base, **options)
        self.limit = limit
        """Seconds that `flush` and `sync` wait at most."""
        self._traffic = traffic
        self._kept = outbox
        self._splices: list[Splice] = []  # what changed the text and wasn't handed over yet
        self._past = History()  # what was packed first, as far as it was looked at

    # --- the store ------------------------------------------------------------

    def flush(self, timeout: float | None = None) -> None:
        """Commit, send, and return when all of it is acknowledged: nothing that dies later takes it along.

        `StoreUnavailable` past the limit, and then the outbox stays and sending goes on; `DocumentDeleted` if
        somebody deleted it: what is unsent stays readable in `unsaved`.
        """
        self.commit()
        self._hand_over()
        try:
            self._traffic.call(self._traffic.drain(), self.limit if timeout is None else timeout)
        except ConflictingPatch:
            # Somebody used this session's name. Our patches live on under another.
            lost = self._traffic.call(self._withdrawn())
            self._splices += self.reissue(fresh_session(), lost)
            self._hand_over()
            self._traffic.call(self._traffic.drain(), self.limit if timeout is None else timeout)
        if self._kept is not None and not self._traffic.link.outbox:
            self._kept.clear()

    async def _withdrawn(self) -> list[Patch]:
        return self._traffic.withdraw()

    def _hand_over(self) -> None:
        if self._closed is None and (made := self.outgoing):
            if self._kept is not None:  # if that fails, they are outgoing still
                link = self._traffic.link
                self._kept.add(patch.to_row(link.doc) for patch in (*link.doubtful(made), *made))
            self.outgoing = []
            self._traffic.post(made)

    def commit(self, message: str | None = None) -> Patch | None:
        """As `Document.commit`; the patch is on its way then, `flush` waits until it is safe. With an outbox
        on disk, it is there when this returns."""
        patch = super().commit(message)
        if self.outgoing:
            self._hand_over()
        return patch

    def sync(self, timeout: float | None = None) -> list[Splice]:
        """`flush`, then take in all that others were acknowledged before; what the editor must apply."""
        self.flush(timeout)
        self._traffic.call(self._traffic.refresh(), self.limit if timeout is None else timeout)
        if self._traffic.link.deleted:
            raise DocumentDeleted(f"document {self._traffic.link.doc} was deleted")
        self._take_in()
        if self.history.base is not None and self.parked:
            self._splices += self._grow()  # all rows were read: what is missing is older than the checkpoint
        return self._shown()

    def bring(self, patches: Iterable[Patch]) -> list[Splice]:
        """Take in patches that were made elsewhere, and send them: an import. What the editor must apply.

        The same patches again change nothing. `flush` waits until they are safe.
        """
        given = list(patches)
        self._splices += self.receive(given)
        if self.history.base is not None and self.parked:
            self._splices += self._grow()
        new = [patch for patch in given if patch.id in self.history and self.history.patch(patch.id) == patch]
        if self._kept is not None:
            link = self._traffic.link
            self._kept.add(patch.to_row(link.doc) for patch in (*link.doubtful(new), *new))
        self._traffic.post(sorted(new, key=lambda patch: patch.id))
        return self._shown()

    def _grow(self) -> list[Splice]:
        """Read what came before the checkpoint: something refers to it."""
        return self.adopt(self._traffic.call(self._traffic.link.archive.read(whole=True)).patches)

    def pull(self) -> list[Splice]:
        """Take in what has arrived by itself; what the editor must apply. Doesn't wait: what has a parent
        that isn't here is left to `sync`."""
        self._take_in()
        return self._shown()

    def _shown(self) -> list[Splice]:
        """What changed the text and wasn't handed over yet: it is now. Only a call that is about to return it
        asks, since what one that raises had taken in is still to be shown."""
        splices, self._splices = self._splices, []
        return splices

    def _take_in(self) -> None:
        arrivals = self._traffic.link.arrivals
        sure: list[Row] = []
        seen: list[Row] = []
        while arrivals:
            row, known = arrivals.popleft()
            (sure if known else seen).append(row)
        self._splices += self.receive(seen)
        self._splices += self.receive(sure, stored=True)
        self._hand_over()  # what was uncommitted had to be committed before

    @property
    def unsaved(self) -> list[Patch]:
        """Patches made here that aren't acknowledged yet, parents first."""
        return [*self._traffic.link.outbox.values(), *self.outgoing]

    def pack(self, everything: bool = True) -> Packed | None:
        """Move patches into packs now; see `Archive.pack`."""
        return self._traffic.call(self._traffic.link.archive.pack(everything))

    def close(self) -> None:
        """Give everything back; what isn't acknowledged stays in the outbox on disk, if there is one.

        The text and its history stay readable, editing raises `StoreError`.
        """
        self._closed = StoreError("the document was closed; open it again")
        self._traffic.close()
        if self._kept is not None:
            self._kept.close()

    def __enter__(self) -> StoredDocument:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.flush()
        except SyncstringError:
            if error is None:
                raise
        finally:
            self.close()

    # --- the past: what wasn't read is read when it is asked for ------------------

    def _whole(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except HistoryTruncated:
            base = self.history.base
            if base is None:
                raise
        contents = self._traffic.call(self._traffic.link.archive.read(whole=True))
        self._splices += self.adopt(_ancestors(contents.patches, base.heads))
        return ask()

    def at(self, ref: Ref) -> str:
        """As `Document.at`. A number is looked up in the first packs alone, as many as it takes."""
        base = self.history.base
        if type(ref) is int and base is not None and 0 <= ref <= base.count:
            self._traffic.call(self._reach(ref))
            if ref <= len(self._past):
                return self._past.text(ref)
        return self._whole(lambda: super(StoredDocument, self).at(ref))

    async def _reach(self, n: int) -> None:
        """Read packs, in order, until the first n patches in time order are known; or none, where packs
        overlap in time, because something came late."""
        archive = self._traffic.link.archive
        packs = (await archive.manifest()).packs
        if any(after.first <= before.last for before, after in pairwise(packs)):
            self._past = History()
            return
        for pack in packs:
            known = len(self._past) - (pack.total - pack.count)
            if known < pack.count and len(self._past) < n:
                self._past.add((await archive.patches(pack))[max(0, known) :])

    def diff(self, a: Ref, b: Ref) -> list[Splice]:
        return self._whole(lambda: super(StoredDocument, self).diff(a, b))

    def blame(self, at: Ref | None = None) -> list[Run]:
        return self._whole(lambda: super(StoredDocument, self).blame(at))

    @property
    def versions(self) -> Versions:
        return self._whole(lambda: self.timeline.versions)

    def revert(self, ref: Ref) -> Edit:
        return self._handed(self._whole(lambda: super(StoredDocument, self).revert(ref)))

    def restore(self, ref: Ref) -> Edit:
        return self._handed(self._whole(lambda: super(StoredDocument, self).restore(ref)))

    def undo(self) -> Edit:
        return self._handed(super().undo())

    def redo(self) -> Edit:
        return self._handed(super().redo())

    def edit_at(self, heads: Iterable[tuple[int, str]], splices: Iterable[Sequence[Any]]) -> Edit:
        known, given = list(heads), list(splices)
        return self._handed(self._whole(lambda: super(StoredDocument, self).edit_at(known, given)))

    def _handed(self, edit: Edit) -> Edit:
        try:
            self._hand_over()
        except SyncstringError:
            self._splices += edit.applied  # it is made, and the next call that returns shows it
            raise
        return edit


def _ancestors(patches: Iterable[Patch], heads: Iterable[tuple[int, str]]) -> list[Patch]:
    """The patches of the version with these heads."""
    by_id = {tuple(patch.id): patch for patch in patches}
    found: dict[tuple[int, str], Patch] = {}
    todo = [tuple(head) for head in heads]
    while todo:
        id = todo.pop()
        if id not in found and id in by_id:
            found[id] = by_id[id]  # type: ignore[index]
            todo.extend(tuple(parent) for parent in by_id[id].parents)
    return sorted(found.values(), key=lambda patch: patch.id)


def open(
    store: str | os.PathLike[str],
    name: str,
    *,
    author: str,
    create: bool = True,
    outbox: str | os.PathLike[str] | None = None,
    limit: float = 30.0,
    clock: Callable[[], int] | None = None,
    wall: Callable[[], int] | None = None,
    zone: tzinfo | None = None,
    **options: Any,
) -> StoredDocument:
    """Open a document of a store (a path, or a URL) by its name; made where there is none, if `create`.

    `outbox` names a file that keeps what is committed and not yet acknowledged, so that a machine that dies
    offline loses nothing; what an earlier session left there is sent first. `limit` is how many seconds
    `flush` and `sync` wait. Costs one checkpoint and the newest patches, whatever the history's length.
    Raises what `open_store` does, `UnknownVersion` if there is no such document, `DocumentDeleted`.
    """
    traffic = _Traffic(store, {"limit": limit, **options})
    kept: Outbox | None = None
    try:
        contents, tags, now = traffic.call(traffic.open(name, create), 2 * limit)
        document = StoredDocument(
            traffic,
            contents,
            None,
            limit,
            session=fresh_session(),
            author=author,
            clock=clock or _clock(now),
            wall=wall or (lambda: time.time_ns() // 1_000),
            zone=zone,
        )
        document.tags.update(tags)
        if outbox is not None:
            kept = Outbox(Path(outbox))
            document._kept = kept
            left = [Patch.from_row(row) for row in kept.rows(traffic.link.doc)]
            if left:
                document.receive(left)  # before anybody saw the text
                traffic.post(left)
    except BaseException:
        traffic.close()
        if kept is not None:
            kept.close()
        raise
    return document


def _clock(now: int) -> Callable[[], int]:
    """The store's clock, as read once, carried on by our own that never goes back."""
    began = time.monotonic_ns()
    return lambda: now + (time.monotonic_ns() - began) // 1_000
