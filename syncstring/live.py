"""A document whose patches are on their way when a call returns: what both faces of a session share.

The law of this room. Whatever a call commits is handed to the outbox before that call returns, and with an
outbox on disk it is there by then. Others' patches come in when they are asked for, all that wait at once,
and what that changed is told exactly once. What waits for a parent is bounded: the newest beyond that is
dropped, and comes again with every read of all rows. If the store has another patch under one of our ids, our
patches live on under a fresh session id.

In a process that was forked, whatever makes or takes in patches raises `StoreError` before it did anything:
the session and its outbox are the parent's.

It waits for nothing, and knows the traffic only by its queues.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from typing import Any, Final

from syncstring._patch import Splice
from syncstring.archive import Contents, suffices
from syncstring.document import Document, Edit
from syncstring.errors import PatchError, SyncstringError
from syncstring.manifest import hash_of_name
from syncstring.outbox import Outbox
from syncstring.outside import fresh_session
from syncstring.patch import Id, Patch
from syncstring.store import Row
from syncstring.timeline import Ref
from syncstring.traffic import Traffic

__all__ = ["LiveDocument", "Unsaved", "ancestors", "check_call", "kept_in", "seconds"]

LONGEST_LIMIT: Final = 1e9  # seconds
PARKED: Final = 10_000
"""Patches that may wait for a parent: beyond it a tenth is dropped, so that a flood costs little each."""
PARKED_SIZE: Final = 16 << 20
"""About how many bytes they may have, as `history.weight` counts them."""


def seconds(limit: Any, name: str = "limit") -> float:
    """How long to wait at most. `PatchError` for what says no such thing."""
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 <= limit <= LONGEST_LIMIT:
        raise PatchError(f"{name} is {limit!r:.40}; it is a number of seconds, from 0 to 10^9")
    return float(limit)


def check_call(name: Any, author: Any, limit: Any) -> None:
    """Refuse what can't be meant by one who opens a document, before anything is opened: `PatchError`."""
    if not isinstance(name, str):
        raise PatchError(f"a document's name is {name!r:.40}; it is text")
    hash_of_name(name)
    try:
        Patch((1, "session"), (), (), author, 0)
    except PatchError as error:  # there is no patch yet, of which its text begins to speak
        raise PatchError(str(error).partition(": ")[2]) from None
    seconds(limit)


@contextmanager
def kept_in(outbox: str | os.PathLike[str] | None) -> Iterator[tuple[Outbox | None, list[Patch]]]:
    """The outbox on disk, if there is to be one, and what an earlier session left there; closed where opening
    a document with it fails."""
    kept = None if outbox is None else Outbox(outbox)
    try:
        yield kept, [Patch.from_row(row) for row in kept.rows()] if kept else []
    except BaseException:
        if kept is not None:
            kept.close()
        raise


class Unsaved(list[Patch]):
    """The patches that aren't acknowledged yet, parents first, at the moment that it was asked for."""

    def __init__(self, patches: Iterable[Patch], sent: Iterable[Id], acknowledged: int) -> None:
        super().__init__(patches)
        ids = set(sent)
        self.local: list[Patch] = [patch for patch in self if patch.id not in ids]
        """Those that weren't sent yet."""
        self.sent: list[Patch] = [patch for patch in self if patch.id in ids]
        """Those that were sent at least once and not answered: the store may have them."""
        self.acknowledged = acknowledged
        """How many others the store has acknowledged to this session so far."""


class LiveDocument(Document):
    """A `Document` on a store: what `commit`, `undo` and the like make is on its way when they return.

    With an outbox on disk it is there by then; `StoreError` if the disk refuses, and then the patch is made,
    not sent, and kept with the next one. Reading what was packed before it was opened raises
    `HistoryTruncated`. It begins with `contents`, or empty before they were read, and what was `left` in the
    outbox.
    """

    def __init__(
        self,
        traffic: Traffic,
        kept: Outbox | None,
        left: list[Patch],
        contents: Contents | None,
        author: str,
        clock: Callable[[], int] | None,
        wall: Callable[[], int] | None,
        zone: tzinfo | None,
    ) -> None:
        super().__init__(
            session=fresh_session(),
            author=author,
            clock=clock or traffic.clock,
            wall=wall or (lambda: time.time_ns() // 1_000),
            zone=zone,
            patches=(contents.history or contents.patches) if contents else (),
            base=contents.base if contents else None,
        )
        self._traffic = traffic
        self._kept = kept
        self._splices: list[Splice] = []  # what changed the text and wasn't handed over yet
        self._dropped_at: int | None = None  # how long the history was when something that waits was dropped
        self.tags.update(traffic.tags)
        self.receive(left)  # before anybody sees the text
        self._take_in()
        self._shown()

    @property
    def unsaved(self) -> Unsaved:
        """Patches made here that aren't acknowledged yet, parents first."""
        link = self._traffic.link
        return Unsaved([*link.outbox.values(), *self.outgoing], list(link.sent), link.acknowledged)

    # --- handing over ------------------------------------------------------------

    def splice(self, pos: int, delete: int, insert: str) -> None:
        self._traffic.claim()
        super().splice(pos, delete, insert)

    def set_text(self, new: str, cursor: int | None = None) -> list[Splice]:
        self._traffic.claim()
        return super().set_text(new, cursor)

    def _hand_over(self) -> None:
        if self._closed is None and (made := self.outgoing):
            self._keep(made)  # if that fails, they are outgoing still
            self.outgoing = []
            self._traffic.post(made)

    def _keep(self, made: list[Patch]) -> None:
        if self._kept is not None:
            self._kept.add(self._rows(made))

    def _rows(self, made: list[Patch]) -> list[Row]:
        """What an outbox on disk keeps of patches: their rows, with those that they stand on and that a crash
        of the store may take back."""
        link = self._traffic.link
        doc = link.doc or self._traffic.unnamed
        return [patch.to_row(doc) for patch in (*link.doubtful(made), *made)]

    def _handed(self, edit: Edit) -> Edit:
        try:
            self._hand_over()
        except SyncstringError:
            self._splices += edit.applied  # it is made, and the next call that returns shows it
            raise
        return edit

    def commit(self, message: str | None = None) -> Patch | None:
        """As `Document.commit`; the patch is on its way then, `flush` waits until it is safe. With an outbox
        on disk, it is there when this returns."""
        self._traffic.claim()
        patch = super().commit(message)
        if self.outgoing:
            self._hand_over()
        return patch

    def commit_each(self, splices: Iterable[Sequence[Any]]) -> list[Patch]:
        self._traffic.claim()
        try:
            return super().commit_each(splices)
        finally:
            self._hand_over()

    def edit_at(self, heads: Iterable[tuple[int, str]], splices: Iterable[Sequence[Any]]) -> Edit:
        self._traffic.claim()
        return self._handed(super().edit_at(heads, splices))

    def undo(self) -> Edit:
        self._traffic.claim()
        return self._handed(super().undo())

    def redo(self) -> Edit:
        self._traffic.claim()
        return self._handed(super().redo())

    def revert(self, ref: Ref) -> Edit:
        self._traffic.claim()
        return self._handed(super().revert(ref))

    def restore(self, ref: Ref) -> Edit:
        self._traffic.claim()
        return self._handed(super().restore(ref))

    # --- taking in ------------------------------------------------------------

    def _shown(self) -> list[Splice]:
        """What changed the text and wasn't handed over yet: it is now. Only a call that is about to return it
        asks, since what one that raises had taken in is still to be shown."""
        splices, self._splices = self._splices, []
        return splices

    def _take_in(self) -> None:
        """Take in all that waits."""
        self._traffic.claim()
        self._begin()
        link = self._traffic.link
        sure: list[Patch | Row] = []
        seen: list[Patch | Row] = []
        while link.arrivals:
            came, known = link.arrivals.popleft()
            (sure if known else seen).append(came)
        if link.overrun:
            self._traffic.resume()
        self._splices += self.receive(seen)
        self._splices += self.receive(sure, stored=True)
        self._drop()
        self._hand_over()  # what was uncommitted had to be committed before

    def _drop(self) -> None:
        """Drop what waits for a parent beyond the bound: after all that came in one go, so that nothing whose
        parents are among it is. What is sent from here stays; it isn't told to this document again."""
        history, link = self.history, self._traffic.link
        if len(history.waiting) <= PARKED and history.parked_size <= PARKED_SIZE:
            return
        dropped = history.drop_parked(PARKED * 9 // 10, PARKED_SIZE * 9 // 10, link.outbox)
        link.dropped.extend(patch.id for patch in dropped)
        self._traffic.resume()
        if dropped and self._dropped_at is None:
            self._dropped_at = len(history)

    @property
    def _may_stand(self) -> bool:
        """Whether patches that wait were dropped, and others came since on which they may stand."""
        return self._dropped_at is not None and len(self.history) > self._dropped_at

    def _lacks(self) -> bool:
        """Whether what waits can't be taken in without what came before a checkpoint, which wasn't read."""
        found, history = self._traffic.found, self.history
        if found is not None:
            given = [*found.patches, *history.patches()]
            return found.base is not None and (bool(self._pending) or not suffices(found.manifest, given))
        if history.base is None:
            return self._traffic.wanting
        new = [*history.parked, *history.judged([came for came, _ in self._traffic.link.arrivals])]
        ids = {patch.id for patch in new}
        return any(
            patch.parents != history.base.heads
            and (not patch.parents or any(id not in ids and id not in history for id in patch.parents))
            for patch in new
            if patch.id not in history
        )

    def _begin(self) -> None:
        """Take in what a read from the beginning found: the document, where this began without it, or what
        came before the checkpoint that it began with."""
        found = self._traffic.found
        if found is None:
            return
        self._traffic.found = None
        if found.base is not None:
            if self._pending:
                self._settle(self._clocks.read())
            if not suffices(found.manifest, [*found.patches, *self.history.patches()]):
                self._traffic.want_whole()  # something was made here meanwhile that stands beside all of it
                return
        self._splices += self.adopt(found.history or found.patches, found.base)
        self.tags.update(self._traffic.tags)

    def _renew(self, lost: list[Patch]) -> None:
        """Somebody used this session's name. Our patches live on under another, and under that one alone."""
        self._splices += self.reissue(fresh_session(), lost)
        if self._kept is not None:
            self._kept.replace(self._rows(self.outgoing))
        made, self.outgoing = self.outgoing, []
        self._traffic.post(made)


def ancestors(patches: Iterable[Patch], heads: Iterable[tuple[int, str]]) -> list[Patch]:
    """The patches of the version with these heads, in time order. O(n log n)."""
    by_id = {tuple(patch.id): patch for patch in patches}
    found: dict[tuple[int, str], Patch] = {}
    todo = [tuple(head) for head in heads]
    while todo:
        id = todo.pop()
        if id not in found and id in by_id:
            found[id] = by_id[id]  # type: ignore[index]
            todo.extend(tuple(parent) for parent in by_id[id].parents)
    return sorted(found.values(), key=lambda patch: patch.id)
