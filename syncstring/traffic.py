"""One document's way to its store and back, in an event loop: the core that both faces of a session share.

The law of this room. What is posted is sent, the same bytes again after any doubt, until the store has it;
what arrives waits for its reader. What may pass by itself (`StoreUnavailable`) is tried again for ever, after
pauses that grow and differ by chance. What no waiting helps against is kept as one error, the work stays in
the outbox, and it is tried again when somebody asks. Where all this stands is one of four states:

                 ready                  read
    offline ─────────────▶ catching up ──────▶ live
       ▲                     │       ▲          │
       │         lost        │       └──────────┤ missed, ready
       └─────────────────────┴──────────────────┘ lost
    closed: from each of them, for good

*Offline*: a feed has a gap, or a call got no answer. *Catching up*: every change is told again, and what was
missed is being read. *Live*: whatever was acknowledged to anybody before now is here or on its way.

A task of ours that dies is a defect: who waits is told so from then on, and nothing is live again.
It touches queues only, and no document: `live` does that, in its caller's thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from syncstring.archive import Archive, Contents, find_document
from syncstring.errors import DocumentDeleted, StoreError, StoreUnavailable, SyncstringError
from syncstring.link import Link
from syncstring.manifest import hash_of_name
from syncstring.outbox import Outbox
from syncstring.outside import StoreClock, about, fresh_key
from syncstring.patch import Id, Patch
from syncstring.store import Change as ChangeOfStore
from syncstring.store import Feed, Gap, Ready, Store, at_once, open_at_once, open_store, without_secrets
from syncstring.tags import read_tags

__all__ = ["LAST", "TURNS", "Bell", "Traffic", "turned"]

State: TypeAlias = Literal["offline", "catching up", "live", "closed"]
Event: TypeAlias = Literal["ready", "missed", "read", "lost", "close"]

TURNS: Final[Mapping[tuple[State, Event], State]] = {
    ("offline", "ready"): "catching up",
    ("offline", "missed"): "offline",
    ("offline", "lost"): "offline",
    ("offline", "close"): "closed",
    ("catching up", "ready"): "catching up",
    ("catching up", "missed"): "catching up",
    ("catching up", "read"): "live",
    ("catching up", "lost"): "offline",
    ("catching up", "close"): "closed",
    ("live", "ready"): "catching up",
    ("live", "missed"): "catching up",
    ("live", "read"): "live",
    ("live", "lost"): "offline",
    ("live", "close"): "closed",
    ("closed", "close"): "closed",
}
"""What follows on what. Missing: a read that ends well while offline is void, and nothing follows the end."""

PACK_AT: Final = 1_000
"""Rows in `patches` from which on a session packs."""
FIRST_PAUSE: Final = 0.05  # seconds before a failed call is tried again; doubled up to
LONGEST_PAUSE: Final = 5.0
HOPELESS_PAUSE: Final = 60.0  # before what no waiting helps against is tried again all the same
AT_ONCE: Final = 100  # changes that are taken in before others in the event loop have their turn
TRIM_AT: Final = 64 << 10  # bytes of an outbox on disk whose patches are all acknowledged
LAST: Final = 2.0  # seconds for what is still to be done when somebody was interrupted and wants to leave


def turned(state: State, event: Event) -> State:
    """The state after an event. `AssertionError` for one that can't happen then."""
    after = TURNS.get((state, event))
    assert after is not None, f"{event!r} while {state}"
    return after


class Bell:
    """Wakes everybody who waits, each time that it rings. Who wakes looks what is new."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def ring(self) -> None:
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self) -> None:
        await self._next.wait()

    async def until(self, met: Callable[[], object], seconds: float | None = None) -> bool:
        """Wait until that holds; False if it doesn't after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                while not met():
                    await self.wait()
        except TimeoutError:
            return False
        return True


class Traffic:
    """The tasks that keep one document's link with a store going. Of one event loop.

    `store` is a URL or path, opened and closed here, or a `Store`, which is neither. `kept` is the outbox on
    disk, of which it is made sure that it belongs to the document.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | Store,
        name: str,
        create: bool,
        options: Mapping[str, Any],
        kept: Outbox | None = None,
    ) -> None:
        self.pid = os.getpid()
        self.name = name
        self.unnamed = hash_of_name(f"{hash_of_name(name)} not found yet")
        """What stands for the document's key in an outbox on disk, until it is known."""
        self._given = store if isinstance(store, Store) else None
        self._url = "" if isinstance(store, Store) else os.fspath(store)
        self._create = create
        self._options = options
        self._kept = kept
        self._trims = True
        self.url = store.url if isinstance(store, Store) else without_secrets(self._url)
        """Which store, to be told to people: without what is secret."""
        self.store: Store
        self.link = Link()
        self.clock = StoreClock()
        self.bell = Bell()
        """Rings when something arrived, was acknowledged or failed, and when the state changed."""
        self.state: State = "offline"
        self.joined = False
        """Whether the document was found and read once."""
        self.found: Contents | None = None
        """What a read from the beginning found and nobody took into the document yet."""
        self.tags: dict[str, tuple[Id, ...]] = {}
        self.failure: SyncstringError | None = None
        """What no waiting helps against, of sending: the outbox waits until `drain` asks for it anew."""
        self.broken: SyncstringError | None = None
        """What no waiting helps against, of reading."""
        self.dead: StoreError | None = None
        """What a task of ours died of."""
        self.doubt = ""
        """What went wrong last and may pass by itself."""
        self.readies = 0
        """How often all feeds became ready."""
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: asyncio.Task[None] | None = None
        self._packing: asyncio.Task[None] | None = None
        self._beside = True  # what takes long is done in a thread of its own
        self._tried = 0  # rows there were when packing was tried last
        self._post = asyncio.Event()
        self._asked = asyncio.Event()
        self._stale = asyncio.Event()
        self._wanted = asyncio.Event()
        self._refreshing = asyncio.Lock()
        self._gaps: set[Feed] = set()  # feeds that are not ready
        self._heard = 0  # changes that feeds told

    # --- states ------------------------------------------------------------

    def _turn(self, event: Event) -> None:
        if self.state != "closed" and (self.dead is None or event in ("lost", "close")):
            self.state = turned(self.state, event)
            self.bell.ring()

    def _lose(self, reason: object) -> None:
        """A call got no answer."""
        self.doubt = str(reason)
        self._turn("lost")
        self._stale.set()

    def _fail(self, error: SyncstringError) -> None:
        self.failure = error
        self.bell.ring()

    def _break(self, error: SyncstringError) -> None:
        self.broken = error
        self._turn("lost")

    @property
    def hopeless(self) -> SyncstringError | None:
        """What no waiting helps against, if there is something that keeps it from being live."""
        return self.dead or self.broken or (None if self.joined else self.failure)

    @property
    def forked(self) -> bool:
        """Whether this is another process than the one that began: nothing here is its own."""
        return self.pid != os.getpid()

    def claim(self) -> None:
        """`StoreError` in another process than the one that began."""
        if self.forked:
            raise StoreError("this process was forked from one that has it open; open it in a spawned one")

    def check(self, alive: bool = False) -> None:
        """`StoreError` in another process, after the end and, if it is to be `alive`, after a defect."""
        self.claim()
        if self.state == "closed":
            raise StoreError("the document was closed; open it again")
        if alive and self.dead is not None:
            raise StoreError(str(self.dead))

    @property
    def _over(self) -> bool:
        """Whether nothing happens any more."""
        return self.dead is not None or self.state == "closed"

    def late(self, limit: float | None) -> str:
        """What to say when an answer doesn't come in time."""
        why = f" ({self.doubt})" if self.state == "offline" and self.doubt else ""
        return f"not acknowledged by {self.url} within {limit or 0:g} s{why}; the outbox stays, try again"

    # --- the beginning ------------------------------------------------------------

    async def join(self) -> Contents:
        """Open the store, find the document, read it. Raises what that raises; then it can be tried again."""
        store = self._given
        if store is None:
            store = await open_store(self._url, create=self._create, **self._options)
        return await self._join(store, self._create)

    def join_at_once(self) -> Contents | None:
        """`join` in the calling thread, without an event loop, where there is a document and nobody has to be
        waited for; None otherwise, for whatever reason: `join` tells it. Nobody else may have to do with this
        meanwhile; after it, in its event loop, the store is to be started."""
        self._beside = False
        try:
            store = open_at_once(self._url, **self._options) if self._given is None else None
            return None if store is None else at_once(self._join(store, create=False))
        except SyncstringError:
            return None
        finally:
            self._beside = True

    async def join_aside(self) -> Contents | None:
        """`join_at_once` without stopping the event loop: one way to another thread and back."""
        if self._given is not None:
            return None
        aside = ThreadPoolExecutor(1)  # of its own: all those that are shared may be busy
        work = asyncio.get_running_loop().run_in_executor(aside, self.join_at_once)
        aside.shutdown(wait=False)
        try:
            contents = await asyncio.shield(work)
        except BaseException:
            work.add_done_callback(self._let_go)
            raise
        if contents is not None:
            self.store.start()
        return contents

    def _let_go(self, work: asyncio.Future[Contents | None]) -> None:
        """Close what was opened when nobody waited for it any more."""
        if not work.cancelled() and self.joined:
            at_once(self.store.close())

    async def _join(self, store: Store, create: bool) -> Contents:
        try:
            doc = await find_document(store, self.name, fresh_key, create)
            if self._kept is not None:
                self._kept.rows(doc, self.unnamed)
            self.link.join(Archive(store, doc, fresh_key, aside=self._aside))
            await self.link.listen()
            self._turn("ready")
            contents = await self.link.read()
            tags = await read_tags(store, doc)
            now = await store.time()
        except BaseException:
            if self.state != "offline":
                self._turn("lost")
            try:
                await self.link.close()
            finally:
                if self._given is None:
                    await store.close()
            raise
        self.store = store
        self.clock.learn(now)
        self.tags = tags
        self.joined = True
        self._turn("read")
        return contents

    async def reach(self) -> Contents:
        """`join`, until the store answers."""
        pause = FIRST_PAUSE
        while True:
            self._asked.clear()
            try:
                return await self.join()
            except StoreUnavailable as error:
                self.doubt = str(error)
                self.bell.ring()
            await self._rest(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def reached(self) -> None:
        """Wait until `join` ended well once. Raises what no waiting helps against."""
        if not self.joined:
            self.failure = None
            self._ask()
            await self.bell.until(lambda: self.joined or self.failure or self._over)
            if self.failure is not None:
                raise self.failure
        self.check(alive=True)

    def _ask(self) -> None:
        """Somebody waits: pauses are cut short."""
        self._asked.set()
        self.bell.ring()

    async def _aside(self, work: Callable[..., Any], *args: Any) -> Any:
        """Do it beside the event loop, where there is one."""
        return await asyncio.to_thread(work, *args) if self._beside else work(*args)

    def carry(self) -> None:
        """Start what keeps it going; before it `join` must have ended well."""
        work = [*map(self._listen, self.link.feeds), self._send(), self._catch_up(), self._look_past_gaps()]
        self.begin(*work, self._read_whole())

    def come(self) -> None:
        """`reach` and `carry`, in the background: what is read is `found` then."""
        self.begin(self._come())

    def begin(self, *work: Coroutine[Any, Any, None]) -> None:
        """Do this in the background until the end. Where a part of it breaks down, all calls say so."""
        tasks = [asyncio.create_task(each) for each in work]
        for task in tasks:
            task.add_done_callback(self._ended)
        self._tasks += tasks

    def _ended(self, task: asyncio.Task[None]) -> None:
        """None of them ends by itself, but for a defect of ours, or a store's: that isn't kept secret."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None and self.state != "closed":
            self.dead = self.dead or StoreError(f"the session broke down: {error!r:.200}; connect again")
            self._turn("lost")

    async def _come(self) -> None:
        while not self.joined:
            try:
                self.found = await self.reach()
            except SyncstringError as error:
                self._fail(error)
                await self._rest(HOPELESS_PAUSE)
        self.failure = None
        self.carry()
        self.bell.ring()

    async def _rest(self, pause: float) -> None:
        """A pause, cut short where somebody asks. In a minute rights may be given, a table restored."""
        with suppress(TimeoutError):
            async with asyncio.timeout(about(pause)):
                await self._asked.wait()

    # --- what arrives ------------------------------------------------------------

    async def _listen(self, feed: Feed) -> None:
        try:
            async for change in feed:
                self._hear(feed, change)
                self._heard += 1
                if self._heard % AT_ONCE == 0:
                    await asyncio.sleep(0)  # a feed that is full is no reason to let an editor wait
        except SyncstringError as error:
            if self.state != "closed":
                self._break(error)

    def _hear(self, feed: Feed, change: ChangeOfStore) -> None:
        self.link.take(change)
        if isinstance(change, Gap):  # after it comes `Ready`
            self._gaps.add(feed)
            self.doubt = change.reason
            self._turn("lost")
            return
        if isinstance(change, Ready):
            self._gaps.discard(feed)
            if not self._gaps:
                self.broken = None  # it may be whole again
                self.readies += 1
                self._turn("ready")
        if self.link.stale:
            self.look()
        self.bell.ring()

    async def _look_past_gaps(self) -> None:
        """Where a feed doesn't come back, or reading failed for good, read all the same, now and then:
        perhaps the feed never can, and reading says why; or what was broken is whole again."""
        pause = LONGEST_PAUSE
        while True:
            readies = self.readies
            if not self._gaps and self.broken is None:
                pause = LONGEST_PAUSE
                await self.bell.until(lambda: self._gaps or self.broken)
            elif not await self.bell.until(partial(self._ready_since, readies), about(pause)):
                pause = HOPELESS_PAUSE
                self.look()

    def _ready_since(self, readies: int) -> bool:
        return self.readies != readies

    async def _catch_up(self) -> None:
        """Read again what may have been missed, until it works."""
        pause = FIRST_PAUSE
        while True:
            await self._stale.wait()
            self._stale.clear()
            if self.link.full:
                self.link.overrun = True  # whoever reads what waits says `resume`
                continue
            try:
                await self.refresh()
                pause = FIRST_PAUSE
            except StoreUnavailable:
                await asyncio.sleep(about(pause))
                pause = min(2 * pause, LONGEST_PAUSE)
            except SyncstringError as error:
                self._break(error)
                self._stale.clear()  # until something comes, or somebody asks

    async def refresh(self) -> None:
        """See whatever was acknowledged before this call."""
        async with self._refreshing:
            try:
                await self.link.refresh()
            except StoreUnavailable as error:
                self._lose(error)
                raise
            except BaseException:
                self._stale.set()
                raise
        if self.link.deleted:
            self._break(DocumentDeleted(f"document {self.link.doc} was deleted"))
        elif not self.wanting:  # else what was read isn't all of the text
            self.broken = None
        if not (self.broken or self.wanting or self.link.stale or self._gaps):
            if self.state == "offline":
                self._turn("ready")
            self._turn("read")
        self.bell.ring()
        self._pack_soon()

    def look(self) -> None:
        """Read again, in the background, though nothing says that something was missed."""
        self.link.stale = True
        if self.state == "live":
            self._turn("missed")
        self._stale.set()

    def resume(self) -> None:
        """Somebody reads what arrives: what was dropped may come again."""
        self.link.let_go()
        self.link.overrun = False
        if self.link.stale:
            self._stale.set()

    @property
    def wanting(self) -> bool:
        """Whether a read from the beginning is due."""
        return self._wanted.is_set()

    def want_whole(self) -> None:
        """Read from the beginning, in the background: it is `found` then, and not live before."""
        self._wanted.set()
        if self.state == "live":
            self._turn("missed")

    async def find_whole(self) -> None:
        """Read from the beginning: it is `found` then."""
        self.found = await self.link.archive.read(whole=True)
        self._wanted.clear()
        if self.state != "live":
            self.look()
        self.bell.ring()

    async def _read_whole(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._wanted.wait()
            readies = self.readies
            try:
                await self.find_whole()
                pause = FIRST_PAUSE
            except StoreUnavailable as error:
                self._lose(error)
                await asyncio.sleep(about(pause))
                pause = min(2 * pause, LONGEST_PAUSE)
            except SyncstringError as error:
                self._break(error)
                met = partial(lambda readies: not self.wanting or self._ready_since(readies), readies)
                await self.bell.until(met, about(HOPELESS_PAUSE))

    # --- what is sent ------------------------------------------------------------

    def post(self, patches: list[Patch]) -> None:
        """Patches to send, parents first."""
        self.link.post(patches)
        self._post.set()

    async def _send(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await self._post.wait()
            self._post.clear()
            while self.link.outbox:
                self._asked.clear()
                self.failure = None  # who withdraws because of it must not do so while this is on its way
                readies = self.readies
                try:
                    await self.link.send()
                    pause = FIRST_PAUSE
                    if self.state == "offline" and not (self._gaps or self.broken):
                        self._turn("ready")  # it answers, whether or not anybody reads what arrives
                    self._trim()
                    self._pack_soon()
                    self.bell.ring()
                except StoreUnavailable as error:
                    self._lose(error)
                    await self._regained(readies, about(pause))
                    pause = min(2 * pause, LONGEST_PAUSE)
                except SyncstringError as error:
                    self._fail(error)
                    await self._rest(HOPELESS_PAUSE)

    async def _regained(self, readies: int, pause: float) -> None:
        """A pause, cut short where somebody asks, or feeds come back and what was missed is read: then it is
        worth a try."""
        asked = self._asked.is_set
        await self.bell.until(lambda: asked() or self._ready_since(readies), pause)
        if self._ready_since(readies):
            await self.bell.until(lambda: asked() or self.state != "catching up", LONGEST_PAUSE)

    def _trim(self) -> None:
        """An outbox on disk doesn't grow for ever, though nobody flushes."""
        kept = self._kept
        if self._trims and kept is not None and kept.size > TRIM_AT and not self.link.outbox:
            with suppress(StoreError):
                kept.clear()

    async def drain(self) -> None:
        """Wait until the outbox is empty. Raises what no waiting helps against."""
        self.failure = None
        self._post.set()
        self._ask()
        await self.bell.until(lambda: not self.link.outbox or self.failure or self._over)
        if self.failure is not None:
            raise self.failure
        if self.link.outbox:
            self.check(alive=True)

    def withdraw(self) -> list[Patch]:
        """Take everything out of the outbox, parents first."""
        patches = list(self.link.outbox.values())
        self.link.outbox.clear()
        self.link.forget(patch.id for patch in patches)
        self.failure = None
        self._ask()
        return patches

    # --- packing, the end ------------------------------------------------------------

    def _pack_soon(self) -> None:
        """Pack in the background, where it is time; where that didn't help, not before there is more."""
        if self.link.rows >= max(PACK_AT, self._tried + PACK_AT // 5) and not self.link.deleted:
            self._tried = self.link.rows
            if self._packing is None or self._packing.done():
                self._packing = asyncio.create_task(self._pack_quietly())

    async def _pack_quietly(self) -> None:
        with suppress(SyncstringError):
            if await self.link.pack():
                self._tried = 0

    async def end(self) -> None:
        """Stop everything; what isn't acknowledged stays in the outbox. It goes on where this is cancelled,
        and a second call waits for it."""
        if self._ending is None:
            self._turn("close")
            self._ending = asyncio.create_task(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        tasks = [*self._tasks, *([] if self._packing is None else [self._packing])]
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.link.close()
        finally:
            if self.joined and self._given is None:
                await self.store.close()
