"""One document's traffic with its store: what arrives, what is sent, what is known to be safe.

The law of this room. A patch made here is *local* until it was sent, *sent* until the store acknowledged
it; it stays in the outbox until then, and after any doubt the same bytes are sent again. Acknowledged
covers ancestors: before a patch is sent, what it stands on and was only seen on a feed is looked for by a
sure read, and put back where it isn't; and where a store may keep a part of a batch for good (`Store.tears`),
no patch is sent beside its parent. After every `Ready` the rows are read again and merged by id; there
is no cursor. What this session holds and neither `patches` nor the packs have is put back, unless the
document was deleted.

It doesn't hold the document: what came in waits in `arrivals`, beyond a bound it is dropped and read again
when somebody reads. What the document had and let go of comes again, too, with the next read. What goes out
is handed to `post`, also before there is a store to send it to. It has no tasks and awaits nothing but the
store and its turn to pack, so a seed can drive it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from types import MappingProxyType

from syncstring.archive import AT_ONCE, TRIES, Archive, Contents, Moved, Packed
from syncstring.errors import ConflictingPatch, DocumentDeleted, StoreError, SyncstringError
from syncstring.manifest import Manifest
from syncstring.patch import Id, Patch
from syncstring.store import Changed, Feed, Gap, Ready, Row, Store, of_document

__all__ = ["Link"]

ARRIVALS = 10_000
"""Patches from feeds that may wait to be read; more are dropped, and read again when somebody reads."""


class Link:
    """A document in a store, as one session sees it; `join` says which one, where it wasn't known yet."""

    def __init__(self, archive: Archive | None = None) -> None:
        self.archive: Archive
        self.store: Store
        self.doc = ""
        """The document's key; empty until it is known."""
        self.arrivals: deque[tuple[Patch | Row, bool]] = deque()
        """What came in and nobody read yet: patches, and rows that are none, of which the document says what
        is wrong with them. And whether it is sure that the store has them."""
        self.dropped: deque[Id] = deque()
        """What the document took and let go of, as too much waits there. Not held here either: the next
        `refresh` that begins after it brings it again."""
        self.outbox: dict[Id, Patch] = {}
        """Patches made here that the store didn't acknowledge yet, parents first."""
        self.sent: set[Id] = set()
        """Those of the outbox that were sent at least once."""
        self.acknowledged = 0
        """How many patches left the outbox because the store has them."""
        self.deleted = False
        self.stale = True
        """Whether something may have been missed, so that `refresh` is due."""
        self.overrun = False
        """Whether arrivals are dropped because nobody reads those that wait. Who reads them sets it to False,
        and then `refresh` is worth while again."""
        self.problems: list[SyncstringError] = []
        self.rows = 0
        """How many rows `patches` had when they were read last."""
        self.packed = 0
        """How many patches the packs have, as far as this session has looked."""
        self._unread = 0  # arrivals from feeds, since there were none
        self._sure: set[Id] = set()  # seen by a sure read, acknowledged, or in a pack
        self._held: dict[Id, Patch] = {}  # what is not known to be in a pack
        self._read: dict[Id, Row] = {}  # of those, the rows that a sure read gave: not parsed again
        self._taken: deque[Patch] = deque(maxlen=AT_ONCE)  # acknowledged since the manifest was read last
        self._astray: set[Id] = set()  # dropped by the document, and perhaps in a pack that counts as known
        self._feeds: list[Feed] = []
        self._turn = asyncio.Lock()
        if archive is not None:
            self.join(archive)

    # --- opening ------------------------------------------------------------

    def join(self, archive: Archive) -> None:
        """This is the document. What was seen of it before, by an attempt that failed, counts for nothing."""
        self.archive, self.store, self.doc = archive, archive.store, archive.doc
        self._sure.clear()
        self._read.clear()
        self._held = dict(self.outbox)
        self.problems.clear()

    async def pack(self, everything: bool = False) -> Packed | None:
        """`Archive.pack`, one after the other: of two at a time one would have worked for nothing."""
        async with self._turn:
            return await self.archive.pack(everything)

    async def open(self, whole: bool = False) -> Contents:
        """Open the feeds, then read: in this order nothing falls in between."""
        await self.listen()
        return await self.read(whole)

    async def listen(self) -> None:
        """Open the feeds and wait until each of them is ready."""
        self._feeds = [
            self.store.feed("patches", *of_document(self.doc)),
            self.store.feed("documents", *of_document(self.doc)),
        ]
        try:
            for feed in self._feeds:
                while not isinstance(await anext(feed), Ready):
                    pass
        except BaseException:
            await self.close()  # nobody would read them
            raise

    async def read(self, whole: bool = False) -> Contents:
        """Read what there is: as much of it as it takes to go on with it, and with what is in the outbox."""
        try:
            contents = await self.archive.read(whole, self.outbox.values())
        except BaseException:
            await self.close()
            raise
        self.packed = contents.manifest.total
        self.rows = len(contents.rows)
        unread = self._keep(contents)
        self.arrivals.clear()  # whoever opens has it in the contents, but for
        self.arrivals += unread
        self.stale = False
        self.problems += contents.problems
        return contents

    def _keep(self, contents: Contents) -> list[tuple[Row, bool]]:
        """`_note` of all rows of a first read, whose patches are parsed already: a fifth of the work. What
        can't be read is returned."""
        if len(contents.tail) < len(contents.rows):
            known = {patch.id: patch for patch in contents.tail}
            return [(row, True) for row in contents.rows if self._note(row, known) is None]
        for patch, row in zip(contents.tail, contents.rows, strict=True):
            id = patch.id
            self._held[id] = patch
            self._read[id] = row
            self._sure.add(id)
        return []

    @property
    def feeds(self) -> list[Feed]:
        """What whoever drives this reads, and hands to `take`: of rows, and of the manifest."""
        return self._feeds

    def _note(self, row: Row, known: Mapping[Id, Patch] = MappingProxyType({})) -> Id | None:
        """Remember a row that a sure read gave; None if it can't be read. What the document may not know
        goes to it. `known`: what some rows are, as patches."""
        try:
            id = Id(*row["id"][1:])
            if self._read.get(id) != row:
                patch = known.get(id) or Patch.from_row(row)
                # Else a feed showed it, or it is ours; another content than what was shown is what stayed.
                if self._held.get(id) != patch:
                    self.arrivals.append((patch, True))
                self._held[id] = patch
                self._read[id] = row
        except (SyncstringError, TypeError):  # of a key of another length, too
            self.arrivals.append((row, True))  # the document says what is wrong with it
            return None
        self._sure.add(id)
        return id

    # --- receiving ------------------------------------------------------------

    def take(self, change: Ready | Changed | Gap) -> None:
        """Take note of what a feed says. After it, look at `stale`."""
        if isinstance(change, Changed):
            if len(change.key) == 1:
                self.stale = True  # a new manifest
            elif change.new is not None:
                self._arrive(change.new)
            # A row that went is packed now, or the document is deleted: its manifest will say.
        else:
            self.stale = True

    def _arrive(self, row: Row) -> None:
        self.let_go()
        if not self.arrivals:
            self._unread = 0
        if self.overrun or self._unread >= ARRIVALS:
            self.stale = self.overrun = True
            return
        came: Patch | Row = row
        try:
            if Id(*row["id"][1:]) in self._held:
                return
            came = Patch.from_row(row)
            self._held[came.id] = came
        except (SyncstringError, TypeError):
            pass  # the document says what is wrong with it
        self.arrivals.append((came, False))
        self._unread += 1

    @property
    def full(self) -> bool:
        """Whether so much waits for a reader that more of it needn't be read."""
        return self.overrun or len(self.arrivals) >= ARRIVALS

    async def refresh(self) -> None:
        """Read everything that may have been missed; put back what is held here and nowhere else.

        `stale` says whether it is due. Raises what the store raises; then it is due still.
        """
        self.stale = False  # what is missed from here on is due again
        try:
            for _ in range(TRIES):
                with suppress(Moved):  # somebody packed meanwhile: the new manifest lists it elsewhere
                    await self._refresh()
                    return
            await self._refresh()
        except BaseException:
            self.stale = True
            raise

    async def _refresh(self) -> None:
        rows = await self.archive.rows()
        before = {patch.id for patch in self._taken}
        manifest = await self.archive.manifest()
        if manifest.deleted:
            self._bury()
            return
        self._taken = deque((patch for patch in self._taken if patch.id not in before), AT_ONCE)
        self.rows = len(rows)
        self.let_go()
        astray = set(self._astray)
        safe: set[Id] = set()
        for row in rows:
            id = self._note(row)
            if id is not None:
                safe.add(id)
        await self._follow(manifest, safe)
        self._astray -= astray  # it was brought, or is nowhere
        lost = [patch for id, patch in self._held.items() if id not in safe and id not in self.outbox]
        self._sure.difference_update(patch.id for patch in lost)
        await self._put_back(await self._standing(sorted(lost, key=lambda patch: patch.id), safe, manifest))

    async def _standing(self, patches: list[Patch], safe: set[Id], manifest: Manifest) -> list[Patch]:
        """Those of some lost patches, parents first, that would stand on something. Whose parent is nowhere,
        not even here, was shown to nobody: put back, it would wait in the store for ever."""
        kept: list[Patch] = []
        left: set[Id] = set()
        for patch in patches:
            unknown = [id for id in patch.parents if id not in safe and id not in self._held]
            for pack in manifest.packs if unknown else ():
                if any(pack.first <= id.time <= pack.last for id in unknown):
                    safe |= {id for id, _ in await self.archive.ids(pack)}
            if left.isdisjoint(patch.parents) and all(id in safe or id in self._held for id in patch.parents):
                kept.append(patch)
            else:
                left.add(patch.id)
        return kept

    async def _follow(self, manifest: Manifest, safe: set[Id]) -> None:
        """Take in what packs have got that this session may not know, and drop what they keep from now on."""
        for pack in manifest.packs:
            known = max(0, self.packed - (pack.total - pack.count))
            here = (id for some in (self._held, self._astray) for id in some)
            if known >= pack.count and not any(pack.first <= id.time <= pack.last for id in here):
                continue
            ids = [id for id, _ in await self.archive.ids(pack)]
            self.let_go()
            new = {id for id in ids[known:] if id not in self._held}  # packed before it was seen here
            new |= self._astray.intersection(ids)
            if new:
                patches = await self.archive.patches(pack)
                self.arrivals += [(patch, True) for patch in patches if patch.id in new]
                self._astray -= new
            safe.update(ids)
            for id in ids:
                if id in self._held:
                    self.acknowledged += self.outbox.pop(id, None) is not None
                    self.sent.discard(id)
                    del self._held[id]
                    self._read.pop(id, None)
                    self._sure.discard(id)
        self.packed = max(self.packed, manifest.total)

    # --- sending ------------------------------------------------------------

    def post(self, patches: Iterable[Patch]) -> None:
        """Put patches made here into the outbox, parents first."""
        for patch in patches:
            self.outbox[patch.id] = patch
            self._held[patch.id] = patch

    async def send(self) -> list[Id]:
        """Send some of the outbox; the ids that were acknowledged are returned, so none means it is empty.

        `ConflictingPatch` when the store has another content under one of our ids: this session's name was
        used before, and it needs a new one. `DocumentDeleted` when that is so. Else what the store raises.
        """
        if not self.outbox:
            return []
        # That it was deleted is told by the feed, as soon as rows of others are; where that may have missed
        # it, it is asked. A sure read for each keystroke would cost as much as writing it.
        if self.deleted or (self.stale and (await self.archive.manifest()).deleted):
            self._bury()
            raise DocumentDeleted(f"document {self.doc} was deleted; what is unsent is still in the outbox")
        batch = self._batch()
        await self._secure(batch)
        self.sent.update(patch.id for patch in batch)
        verdicts = await self.store.insert("patches", [patch.to_row(self.doc) for patch in batch])
        done = []
        refused = None
        for patch, verdict in zip(batch, verdicts, strict=True):
            if verdict.fine:
                self._sure.add(patch.id)
                self._taken.append(patch)
                self.acknowledged += self.outbox.pop(patch.id, None) is not None
                self.sent.discard(patch.id)
                self.rows += 1
                done.append(patch.id)
            elif refused is None and patch.id in self.outbox:  # else it was withdrawn meanwhile
                refused = (patch, verdict)
        if refused is not None and not done:
            patch, verdict = refused
            if verdict.kind == "conflict":
                raise ConflictingPatch(
                    f"the store has another patch {tuple(patch.id)}: session ids must be fresh"
                )
            raise StoreError(f"the store refuses patch {tuple(patch.id)}: {verdict.reason}")
        return done

    def _batch(self) -> list[Patch]:
        """What can be sent together: some of the outbox, parents first; where a batch may be torn for good,
        only what stands on nothing that is still in the outbox."""
        if not self.store.tears:
            return list(islice(self.outbox.values(), AT_ONCE))
        batch: list[Patch] = []
        for patch in islice(self.outbox.values(), AT_ONCE):
            if batch and any(parent in self.outbox for parent in patch.parents):
                break
            batch.append(patch)
        return batch

    def _bury(self) -> None:
        """The document was deleted. What was acknowledged since nobody knows is unsaved again: it may have
        come too late, and then a sweep takes it."""
        self.deleted = True
        late = {patch.id: patch for patch in self._taken if patch.id in self._held}
        self.acknowledged -= len(late.keys() - self.outbox.keys())
        self.outbox = {**late, **self.outbox}
        self._taken.clear()

    async def _secure(self, batch: Iterable[Patch]) -> None:
        """See to it that everything these patches stand on is as durable as they are going to be."""
        if doubtful := self.doubtful(batch):
            await self._put_back(doubtful)

    def doubtful(self, patches: Iterable[Patch]) -> list[Patch]:
        """What these stand on and a feed alone has shown so far: a crash of the store may take it back.
        Parents first, without what stands below the outbox: that was asked when it came in."""
        given = list(patches)
        ids = {patch.id for patch in given}
        todo = [parent for patch in given for parent in patch.parents]
        found: dict[Id, Patch] = {}
        while todo:
            id = todo.pop()
            patch = self._held.get(id)
            if patch is None or id in self._sure or id in found or id in ids or id in self.outbox:
                continue
            found[id] = patch
            todo.extend(patch.parents)
        return sorted(found.values(), key=lambda patch: patch.id)

    async def _put_back(self, patches: list[Patch]) -> None:
        """Make sure that patches are in the store: by a read, and where they aren't, by writing them."""
        for start in range(0, len(patches), AT_ONCE):
            some = patches[start : start + AT_ONCE]
            keys = [(self.doc, *patch.id) for patch in some]
            found = await self.store.get("patches", keys)
            missing = [patch for patch, row in zip(some, found, strict=True) if row is None]
            if missing:
                manifest = await self.archive.manifest()
                if manifest.deleted:
                    self._bury()
                    raise DocumentDeleted(f"document {self.doc} was deleted")
                packed: set[Id] = set()
                for pack in manifest.packs:
                    if any(pack.first <= patch.time <= pack.last for patch in missing):
                        packed |= {id for id, _ in await self.archive.ids(pack)}
                rows = [patch.to_row(self.doc) for patch in missing if patch.id not in packed]
                if rows:
                    await self.store.insert("patches", rows)
            self._sure.update(patch.id for patch in some)

    def forget(self, ids: Iterable[Id]) -> None:
        """These don't count any more, and aren't put back."""
        for id in ids:
            self._held.pop(id, None)
            self._read.pop(id, None)
            self._sure.discard(id)
            self.sent.discard(id)

    def let_go(self) -> None:
        """Forget what the document dropped. What isn't held came from a pack, or was packed meanwhile."""
        while self.dropped:
            id = self.dropped.popleft()
            if id not in self._held:
                self._astray.add(id)
            elif id not in self.outbox:
                self.forget([id])

    async def close(self) -> None:
        """End the feeds. The outbox stays as it is."""
        feeds, self._feeds = self._feeds, []
        for feed in feeds:
            await feed.aclose()
