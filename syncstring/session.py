"""A document that lives in a store, for code in an event loop: it is live, and everything stays in that loop.

The law of this room. What arrives is queued; the document takes it in `changes()`, in the very step of the
event loop that hands the splices over. The editor applies them before it awaits again, so no key is pressed
between the two, and text that is typed always refers to the text that is shown. Nothing else changes the
document behind its editor's back. `flush()` returns when everything committed here is acknowledged, and not
before; what was not stays in the outbox, through any error, and is sent when the store is there again.

A session id is drawn for each opening and never used again: a process that was forked has to connect anew,
and can't to an SQLite file that its parent has open.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import tzinfo
from typing import Any, Final, NamedTuple, get_args

from syncstring._patch import Splice
from syncstring.archive import Contents, Packed
from syncstring.errors import (
    ConflictingPatch,
    DocumentDeleted,
    PatchError,
    StoreError,
    StoreUnavailable,
    SyncstringError,
)
from syncstring.live import LiveDocument, Unsaved, check_call, kept_in, seconds
from syncstring.outbox import Outbox
from syncstring.patch import Id
from syncstring.presence import Peer, Presence
from syncstring.store import Store
from syncstring.traffic import HOPELESS_PAUSE, LAST, State, Traffic

__all__ = ["Change", "Session", "connect"]

PATIENCE: Final = 1.0
"""Seconds that a patch waits for its parents, which may come after it, until they are looked for. Twice as
long after each look in vain that brought more than may wait, up to `HOPELESS_PAUSE`."""


class Change(NamedTuple):
    """What others did to the text."""

    splices: list[Splice]
    """What the editor must apply, in order, before it awaits again."""


class Session:
    """A live document, given by `connect`. Of one task at a time, in one event loop.

    Calls that wait for the store raise `StoreUnavailable` past their limit, and then what was to be sent is
    sent later; what no waiting helps against (`DocumentDeleted`, another `StoreError`) they raise as it is.
    After the end, and in a forked process, every call raises `StoreError`.
    """

    def __init__(self, traffic: Traffic, document: LiveDocument, kept: Outbox | None, limit: float) -> None:
        self.document = document
        """The document. What its calls commit is on its way when they return."""
        self.limit = limit
        """Seconds that `flush`, `sync` and `read_history` wait at most."""
        self._traffic = traffic
        self._kept = kept
        self._bell = traffic.bell
        self._readers = 0  # who waits for arrivals
        self._told: tuple[Any, ...] = ()  # the error that was raised by `arrival` last, and since when
        self._presence = Presence(document, traffic, asyncio.get_running_loop().time)
        self._closing: asyncio.Task[None] | None = None
        traffic.begin(self._mend())

    # --- where it stands ------------------------------------------------------------

    @property
    def state(self) -> State:
        """`offline`, `catching up`, `live` or `closed`; `traffic` says what leads from one to the other."""
        return self._traffic.state

    async def until(self, state: State, timeout: float | None = None) -> None:
        """Wait for a state. `StoreUnavailable` past the limit; what no waiting helps against, as it is."""
        traffic = self._traffic
        traffic.claim()
        if state not in get_args(State):
            raise PatchError(f"{state!r:.40} is no state; there are {', '.join(get_args(State))}")
        if timeout is not None:
            seconds(timeout, "timeout")
        met = await self._bell.until(lambda: self.state in (state, "closed") or traffic.hopeless, timeout)
        if not met:
            raise StoreUnavailable(f"not {state} within {timeout:g} s; it goes on trying")
        if self.state != state:
            traffic.check()
            if traffic.hopeless is not None:
                raise traffic.hopeless

    async def states(self) -> AsyncIterator[State]:
        """The state now, and each new one, until it is closed. One that passes at once may be left out."""
        told: State | None = None
        while told != "closed":
            while self.state == told:
                await self._bell.wait()
            told = self.state
            yield told

    @property
    def unsaved(self) -> Unsaved:
        """The patches that aren't acknowledged yet, parents first."""
        return self.document.unsaved

    # --- what others do ------------------------------------------------------------

    async def changes(self) -> AsyncIterator[Change]:
        """What others do to the text, as it arrives; ends when the session is closed.

        The document takes in what arrived in the same step that hands it over: apply it before you await
        again. Nothing may stand in between that takes a step of its own, as `asyncio.wait_for` does: use
        `arrival` and `take` there. Raises what no waiting helps against: `DocumentDeleted`, and a defect that
        ended the session, again and again, else once: it may be called again and goes on then.
        """
        while await self.arrival():
            if splices := self.take():
                yield Change(splices)

    async def arrival(self) -> bool:
        """Wait until there is something to `take`; False if the session was closed. Safe to cancel."""
        self._readers += 1
        try:
            await self._bell.until(self._arrived)
        finally:
            self._readers -= 1
        if self._waits:
            return True
        if (error := self._trouble) is not None:
            self._told = self._said(error)
            raise error
        return False

    @property
    def _waits(self) -> bool:
        """Whether something waits to be taken."""
        traffic = self._traffic
        if traffic.state == "closed":
            return False
        return bool(traffic.link.arrivals or self.document._splices or traffic.found or self._conflicting)

    @property
    def _conflicting(self) -> bool:
        return isinstance(self._traffic.failure, ConflictingPatch)

    @property
    def _trouble(self) -> SyncstringError | None:
        """What no waiting helps against and `arrival` hasn't raised yet."""
        for error in (self._traffic.dead, self._traffic.broken, self._traffic.failure):
            if isinstance(error, DocumentDeleted) or (error is not None and error is self._traffic.dead):
                return error
            if error is not None and self._said(error) != self._told:
                return error
        return None

    def _said(self, error: SyncstringError) -> tuple[Any, ...]:
        """What tells an error from the same one after something went well."""
        return type(error), str(error), self._traffic.link.acknowledged, self._traffic.readies

    def _arrived(self) -> bool:
        return self._waits or self.state == "closed" or self._trouble is not None

    def take(self) -> list[Splice]:
        """Take in what has arrived; what the editor must apply, in order, before it awaits again.

        Never waits. `StoreError` if the session is closed, or the outbox on disk fails; then the next call
        tells what was taken in.
        """
        self._traffic.check()
        document = self.document
        if self._conflicting:
            document._renew(self._traffic.withdraw())
        document._take_in()
        splices = document._shown()
        self._presence.settle()
        self._bell.ring()
        return splices

    # --- the store ------------------------------------------------------------

    async def flush(self, timeout: float | None = None) -> None:
        """Commit, send, and return when all of it is acknowledged: nothing that dies later takes it along.

        Past the limit `StoreUnavailable`, and then the outbox stays and sending goes on. `DocumentDeleted` if
        somebody deleted it, another `StoreError` if the store refuses: what is unsent is in `unsaved`.
        `ConflictingPatch` if the store has somebody's patches under our ids: `take` gives ours new ones, and
        while somebody reads `changes()` that happens by itself.
        """
        self._traffic.check()
        self.document.commit()
        self.document._hand_over()
        await self._within(timeout, self._drain)
        if self._kept is not None and not self._traffic.link.outbox:
            self._kept.clear()

    async def _drain(self) -> None:
        while True:
            try:
                await self._traffic.drain()
                return
            except ConflictingPatch:
                if not self._readers:
                    raise
                await self._bell.until(lambda: not self._conflicting or self._traffic.dead)

    async def sync(self, timeout: float | None = None) -> list[Splice]:
        """`flush`, then take in all that others were acknowledged before; what the editor must apply, in
        order, before it awaits again. The limit is for each of the two.

        Where ids of ours were somebody's, and new ones change the text, it returns with that, and another
        `flush` tells that our patches are safe.
        """
        while True:
            with suppress(ConflictingPatch):
                await self.flush(timeout)
            await self._within(timeout, self._refresh)
            again = self._conflicting
            if (splices := self.take()) or not again:
                return splices

    async def _refresh(self) -> None:
        traffic = self._traffic
        await traffic.reached()
        while True:
            traffic.resume()  # somebody reads
            await traffic.refresh()
            if traffic.link.deleted and traffic.broken is not None:
                raise traffic.broken
            if self.document._lacks():
                await traffic.find_whole()
            elif not traffic.link.overrun:
                return

    async def read_history(self, timeout: float | None = None) -> list[Splice]:
        """Read what was packed before this session began, so that the document can be asked for any version.

        What the editor must apply: what arrived meanwhile. O(history).
        """
        self._traffic.check()
        await self._within(timeout, self._read)
        return self.take()

    async def _read(self) -> None:
        traffic = self._traffic
        await traffic.reached()
        if self.document.history.base is not None or traffic.found is not None or traffic.wanting:
            await traffic.find_whole()

    async def pack(self, everything: bool = True) -> Packed | None:
        """Move patches into packs now; see `Archive.pack`. Sessions do so by themselves when it is time."""
        self._traffic.check()
        await self._within(None, self._traffic.reached)
        return await self._traffic.link.pack(everything)

    async def _within(self, timeout: float | None, work: Callable[[], Awaitable[None]]) -> None:
        """Do something, or say after the limit that it may still happen."""
        limit = seconds(self.limit) if timeout is None else seconds(timeout, "timeout")
        self._traffic.check()
        try:
            async with asyncio.timeout(limit):
                await work()
        except TimeoutError:
            raise StoreUnavailable(self._traffic.late(limit)) from None

    async def _mend(self) -> None:
        """Look for the parents of patches that wait for them too long: they came late, and older ones than
        the checkpoint that this began with were never read. And for those that too many waited beside, when
        what they waited for may have come."""
        document, traffic = self.document, self._traffic
        looked: set[Id] = set()  # what was looked for in vain
        pause = PATIENCE
        while True:
            while not (waits := document.history.waiting - looked) and not document._may_stand:
                await self._bell.wait()
            await asyncio.sleep(pause)
            if waits.isdisjoint(document.history.waiting) and not document._may_stand:
                continue
            document._dropped_at = None
            await self._bell.until(lambda: traffic.joined)
            traffic.look()
            await self._bell.until(lambda: traffic.state == "live" and not traffic.link.arrivals)
            if document._lacks():
                traffic.want_whole()
                await self._bell.until(lambda: document.history.base is None)
            looked = (looked | waits) & document.history.waiting
            vain = document._dropped_at is not None and not any(id in document.history for id in waits)
            pause = min(2 * pause, HOPELESS_PAUSE) if vain else PATIENCE

    # --- who is here ------------------------------------------------------------

    @property
    def presence(self) -> list[Peer]:
        """Who else is here, by author, each with cursors in the text as it is now.

        Whoever uses presence is here: from the first time that this is asked, or `show_cursors` called.
        """
        return self._presence.peers

    def show_cursors(self, cursors: Iterable[tuple[int, int] | int]) -> None:
        """Show the others where I am: ranges (anchor, head) of the text, or positions, in code points.

        They move with the text until the next call. Others learn of it within a fifth of a second, the last
        call counts; in text that isn't committed yet, they see it where that will be. `PatchError` for what
        lies outside the text, and for more than `presence.MAX_CURSORS`.
        """
        self._traffic.check()
        self._presence.show(cursors)

    async def presence_changes(self) -> AsyncIterator[list[Peer]]:
        """`presence`, each time that somebody came, moved or went; ends when the session is closed. (That
        cursors move with the text is no news.) Raises what no waiting helps against."""
        async for peers in self._presence.changes():
            yield peers

    # --- the end ------------------------------------------------------------

    async def close(self) -> None:
        """Give everything back; what isn't acknowledged stays in the outbox on disk, if there is one.

        The text and its history stay readable, editing raises `StoreError`. Where this is cancelled, it goes
        on, and a second call waits for it.
        """
        if self._traffic.forked:  # connections, feeds and rows are the parent's
            if self._kept is not None:
                self._kept.close()
            return
        self.document._closed = StoreError("the document was closed; open it again")
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            await self._presence.close()
        finally:
            await self._traffic.end()
            if self._kept is not None:
                self._kept.close()

    async def _leave(self, timeout: float | None = None) -> None:
        """The last `flush`, unless it was closed: no editor shows the text any more."""
        if self.state == "closed":
            return
        try:
            await self.flush(timeout)
        except ConflictingPatch:
            self.take()
            await self.flush(timeout)

    async def _hurry(self) -> None:
        """The last `flush` of one who is cancelled: perhaps with all tasks of the event loop, at its end."""
        limit = min(self.limit, LAST)
        try:
            await self._leave(limit)
        except StoreError:
            if self._traffic.dead is None:
                raise
            await self._within(limit, self._push)

    async def _push(self) -> None:
        """Send without the task whose work that is."""
        while self._traffic.joined and self._traffic.link.outbox:
            await self._traffic.link.send()


@asynccontextmanager
async def connect(
    store: str | os.PathLike[str] | Store,
    name: str,
    *,
    author: str,
    create: bool = True,
    outbox: str | os.PathLike[str] | None = None,
    limit: float = 30.0,
    offline: bool = False,
    clock: Callable[[], int] | None = None,
    wall: Callable[[], int] | None = None,
    zone: tzinfo | None = None,
    **options: Any,
) -> AsyncIterator[Session]:
    """A live document of a store, by its name; made where there is none, if `create`.

    `store` is a path, a URL, or a `Store` that many share and that stays open. `outbox` names a file that
    keeps what is committed and not yet acknowledged, so that a machine that dies offline loses nothing; what
    an earlier session left there is sent first. `limit` is how many seconds calls wait for the store.

    With `offline`, it begins at once, with an empty document, before the store was asked at all: what is
    typed is kept, and merged with what the store has once that answers; that text comes with `changes()`.
    Otherwise it costs one checkpoint and the newest patches, and raises what `open_store` does,
    `StoreUnavailable` past the limit, `UnknownVersion` if there is no such document, `DocumentDeleted`.

    Leaving flushes, and raises what `flush` does. Who is cancelled or interrupted waits no more than two
    seconds for that.
    """
    check_call(name, author, limit)
    if isinstance(store, Store) and options:
        raise PatchError(f"a store that is open takes no options: {', '.join(sorted(options))}")
    with kept_in(outbox) as (kept, left):
        traffic = Traffic(store, name, create, {"limit": limit, **options}, kept)
        try:
            traffic.post(left)
            contents = None if offline else await _reached(traffic, limit)
            document = LiveDocument(traffic, kept, left, contents, author, clock, wall, zone)
            session = Session(traffic, document, kept, limit)
        except BaseException:
            await traffic.end()
            raise
    if offline:
        traffic.come()
    else:
        traffic.carry()
    try:
        yield session
    except BaseException as error:
        with suppress(SyncstringError):
            await (session._leave() if isinstance(error, Exception) else session._hurry())
        raise
    else:
        await session._leave()
    finally:
        await session.close()


async def _reached(traffic: Traffic, limit: float) -> Contents:
    try:
        async with asyncio.timeout(limit):
            return await traffic.join_aside() or await traffic.reach()
    except TimeoutError:
        why = f": {traffic.doubt}" if traffic.doubt else ""
        raise StoreUnavailable(f"{traffic.url} was not reached within {limit:g} s{why}") from None
