"""A document that lives in a store, for code without an event loop: calls that wait.

The law of this room. `flush()` returns when everything committed here is acknowledged, and not before; what
was not stays in the outbox. `sync()` has seen whatever was acknowledged to anybody before it was called.
The document belongs to its caller's thread; all traffic with the store happens in one of its own, and the
two share queues only. That one comes when the document stands, where the store can be opened and read at
once; else it does that, too. What is asked of the past and wasn't read is read then.

A session id is drawn for each opening and never used again: a process that was forked has to open anew, and
where the store is a file in SQLite that its parent has open, a spawned one.
"""

from __future__ import annotations

import asyncio
import os
import threading
from _thread import start_new_thread
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from datetime import tzinfo
from itertools import pairwise
from types import TracebackType
from typing import Any, TypeVar

from syncstring._patch import Splice
from syncstring.archive import Contents, Packed
from syncstring.document import Edit
from syncstring.errors import (
    ConflictingPatch,
    DocumentDeleted,
    HistoryTruncated,
    StoreError,
    StoreUnavailable,
    SyncstringError,
)
from syncstring.history import History
from syncstring.live import LiveDocument, ancestors, check_call, kept_in, seconds
from syncstring.outbox import Outbox
from syncstring.patch import Patch
from syncstring.store import at_once
from syncstring.timeline import Ref, Run, Versions
from syncstring.traffic import LAST, Traffic

__all__ = ["StoredDocument", "open"]

T = TypeVar("T")


class _Thread(Traffic):
    """The traffic in a thread with an event loop of its own, from `launch` on; called from another one."""

    loop: asyncio.AbstractEventLoop
    """There once `_looping` is set."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._trims = False  # what was posted may not be in the outbox yet
        self._stopping: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="syncstring", daemon=True)
        self.launched = False
        self._first: tuple[Callable[[], None], ...] = ()
        self._looping = threading.Event()
        self._alone = True  # the loop hasn't come: nobody else touches the queues
        self._coming = threading.RLock()  # by who goes by that, in a signal's handler too, and when it comes

    def launch(self, *first: Callable[[], None]) -> None:
        """Begin; `first` is what the loop does first. Waits for nothing: the thread comes when it comes."""
        self.launched = True
        # By a thread that ends at once: `Thread.start` waits until the new one runs, and that one runs on,
        # which took its caller 0.3 ms of 1.
        self._first = (*first, *self._first)
        try:
            start_new_thread(self._start_thread, ())
        except RuntimeError as error:
            self._lack(error)

    def _start_thread(self) -> None:
        try:
            self._thread.start()
        except RuntimeError as error:
            self._lack(error)

    def _lack(self, error: Exception) -> None:
        """There are too many threads, or files that are open. The loop doesn't come."""
        self.dead = StoreError(f"no thread for the traffic: {error}; open it again")
        self._looping.set()

    def _run(self) -> None:
        try:
            loop = asyncio.new_event_loop()
        except OSError as error:  # it opens three files
            self._lack(error)
            return
        asyncio.set_event_loop(loop)
        with self._coming:
            for act in self._first:
                loop.call_soon(act)
            self.loop, self._alone = loop, False
        self._looping.set()
        loop.run_forever()
        # What was left by calls that nobody waits for any more: an opening that was interrupted closes its
        # store, which takes tasks of its own.
        for _ in range(3):
            if left := asyncio.all_tasks(loop):
                for task in left:
                    task.cancel()
                loop.run_until_complete(asyncio.wait(left, timeout=LAST))
        loop.run_until_complete(loop.shutdown_asyncgens())

    def go_on(self) -> None:
        """What follows on `join_at_once`, in the loop."""
        self.begin(self._go_on())

    async def _go_on(self) -> None:
        self.store.start()
        self.carry()

    async def open(self) -> Contents:
        """`join` and `carry`."""
        contents = await self.join()
        self.carry()
        return contents

    async def seen(self) -> None:
        """`refresh`, unless nothing happens any more."""
        await self.reached()
        await self.refresh()

    def call(self, work: Coroutine[Any, Any, T], limit: float | None = None, late: str = "") -> T:
        """Do something in the loop and wait for it."""
        try:
            self.check()
            self._looping.wait()
            self.check(alive=self._alone)
        except BaseException:
            work.close()
            raise
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(limit)
        except FutureTimeout:
            future.cancel()
            raise StoreUnavailable(late or self.late(limit)) from None
        except BaseException:
            future.cancel()
            raise

    def _soon(self, act: Callable[..., None], *args: Any) -> None:
        if self.forked:
            return
        with self._coming:
            if self._alone:
                act(*args)
                return
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(act, *args)

    def post(self, patches: list[Patch]) -> None:
        self._soon(super().post, patches)

    def resume(self) -> None:
        self._soon(super().resume)

    def close(self) -> None:
        """End the thread. It goes on where this is interrupted, and a second call waits for it."""
        if self.forked:
            return
        self._soon(self._stop)
        if not self.launched:
            self.launch()
        self._looping.wait()
        if not self._alone:
            self._thread.join()
            self.loop.close()
        elif self.joined:
            at_once(self.store.close())

    def _stop(self) -> None:
        if self._alone:
            self._first = (*self._first, self._stop)  # it ends when it comes
        elif self._stopping is None:
            self._stopping = self.loop.create_task(self._stopped())

    async def _stopped(self) -> None:
        with suppress(BaseException):  # who closes waits for the thread
            async with asyncio.timeout(30):
                await self.end()
        self.loop.stop()


class StoredDocument(LiveDocument):
    """A document in a store, opened by `open`. Of one thread; a context manager, which flushes when left,
    unless it was closed."""

    _traffic: _Thread

    def __init__(self, traffic: _Thread, kept: Outbox | None, limit: float, *more: Any) -> None:
        super().__init__(traffic, kept, *more)
        self.limit = limit
        """Seconds that `flush` and `sync` wait at most."""
        self._past: History | None = None  # what was packed first, as far as it was looked at

    # --- the store ------------------------------------------------------------

    def flush(self, timeout: float | None = None) -> None:
        """Commit, send, and return when all of it is acknowledged: nothing that dies later takes it along.

        `StoreUnavailable` past the limit, and then the outbox stays and sending goes on; `DocumentDeleted` if
        somebody deleted it: what is unsent stays readable in `unsaved`.
        """
        limit = self._limit(timeout)
        self.commit()
        self._hand_over()
        try:
            self._traffic.call(self._traffic.drain(), limit)
        except ConflictingPatch:
            self._renew(self._traffic.call(self._withdrawn()))
            self._traffic.call(self._traffic.drain(), limit)
        if self._kept is not None and not self._traffic.link.outbox:
            self._kept.clear()

    def _limit(self, timeout: float | None) -> float:
        return seconds(self.limit) if timeout is None else seconds(timeout, "timeout")

    async def _withdrawn(self) -> list[Patch]:
        return self._traffic.withdraw()

    def sync(self, timeout: float | None = None) -> list[Splice]:
        """`flush`, then take in all that others were acknowledged before; what the editor must apply."""
        self.flush(timeout)
        limit = self._limit(timeout)
        while True:
            self._traffic.resume()  # somebody reads
            self._traffic.call(self._traffic.seen(), limit)
            if self._traffic.link.deleted:
                raise DocumentDeleted(f"document {self._traffic.link.doc} was deleted")
            behind = self._traffic.link.overrun
            self._take_in()
            if not behind:
                break
        if self.history.base is not None and self.parked:
            self._splices += self._grow()  # all rows were read: what is missing is older than the checkpoint
        return self._shown()

    def bring(self, patches: Iterable[Patch]) -> list[Splice]:
        """Take in patches that were made elsewhere, and send them: an import. What the editor must apply.

        The same patches again change nothing. `flush` waits until they are safe.
        """
        self._traffic.claim()
        given = list(patches)
        self._splices += self.receive(given)
        if self.history.base is not None and self.parked:
            self._splices += self._grow()
        new = [patch for patch in given if patch.id in self.history and self.history.patch(patch.id) == patch]
        self._keep(new)
        self._traffic.post(sorted(new, key=lambda patch: patch.id))
        return self._shown()

    def _grow(self) -> list[Splice]:
        """Read what came before the checkpoint: something refers to it."""
        contents = self._traffic.call(self._traffic.link.archive.read(whole=True))
        splices = self.adopt(contents.history or contents.patches)
        self._drop()
        return splices

    def pull(self) -> list[Splice]:
        """Take in what has arrived by itself; what the editor must apply. Doesn't wait: what has a parent
        that isn't here is left to `sync`, and so is what too many waited beside."""
        self._take_in()
        return self._shown()

    def pack(self, everything: bool = True) -> Packed | None:
        """Move patches into packs now; see `Archive.pack`."""
        return self._traffic.call(self._traffic.link.pack(everything))

    def close(self) -> None:
        """Give everything back; what isn't acknowledged stays in the outbox on disk, if there is one, and is
        lost else: leaving a `with` after it says nothing more of it.

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
            if self._closed is None:  # else no editor shows the text any more
                # Who is interrupted doesn't wait for long.
                self.flush(None if error is None or isinstance(error, Exception) else min(self.limit, LAST))
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
        history = self._traffic.call(self._traffic.link.archive.packed())
        if history.heads != base.heads:
            contents = self._traffic.call(self._traffic.link.archive.read(whole=True))
            history = History(ancestors(contents.patches, base.heads))
        self._splices += self.adopt(history)
        return ask()

    def at(self, ref: Ref) -> str:
        """As `Document.at`. A number is looked up in the first packs alone, as many as it takes."""
        base = self.history.base
        if type(ref) is int and base is not None and 0 <= ref <= base.count:
            past = self._traffic.call(self._reach(self._past or History(), ref))
            self._past = past
            if ref <= len(past):
                return past.text(ref)
        return self._whole(lambda: super(StoredDocument, self).at(ref))

    async def _reach(self, past: History, n: int) -> History:
        """Read packs, in order, until the first n patches in time order are known; or none, where packs
        overlap in time, because something came late."""
        archive = self._traffic.link.archive
        packs = (await archive.manifest()).packs
        if any(after.first <= before.last for before, after in pairwise(packs)):
            return History()
        for pack in packs:
            known = len(past) - (pack.total - pack.count)
            if known < pack.count and len(past) < n:
                past.add((await archive.patches(pack))[max(0, known) :])
        return past

    def diff(self, a: Ref, b: Ref) -> list[Splice]:
        return self._whole(lambda: super(StoredDocument, self).diff(a, b))

    def blame(self, at: Ref | None = None) -> list[Run]:
        return self._whole(lambda: super(StoredDocument, self).blame(at))

    @property
    def versions(self) -> Versions:
        return self._whole(lambda: self.timeline.versions)

    def revert(self, ref: Ref) -> Edit:
        return self._whole(lambda: super(StoredDocument, self).revert(ref))

    def restore(self, ref: Ref) -> Edit:
        return self._whole(lambda: super(StoredDocument, self).restore(ref))

    def edit_at(self, heads: Iterable[tuple[int, str]], splices: Iterable[Sequence[Any]]) -> Edit:
        known, given = list(heads), list(splices)
        return self._whole(lambda: super(StoredDocument, self).edit_at(known, given))


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
    check_call(name, author, limit)
    with kept_in(outbox) as (kept, left):
        traffic = _Thread(store, name, create, {"limit": limit, **options}, kept)
        try:
            traffic.post(left)
            late = f"{traffic.url} was not reached within {limit:g} s"
            contents = traffic.join_at_once()
            if contents is None:
                traffic.launch()
                contents = traffic.call(traffic.open(), limit + 1, late)  # the store says why at the limit
            document = StoredDocument(traffic, kept, limit, left, contents, author, clock, wall, zone)
            if not traffic.launched:
                traffic.launch(traffic.go_on)
            return document
        except BaseException:
            traffic.close()
            raise
