"""The state machine that an editor holds: edits in, patches out; others' patches in, splices out.

The law of this room. `text` is always the merge of everything in `history`, with what is not yet
committed on top; each call that changes it says by which splices, so a copy that applies them is equal
to it after every call. A call that raises changed nothing. No I/O, no randomness, no clock but the one
passed in, one thread: the same calls give the same bytes.

What isn't committed yet is carried along: when others' patches come in between, it moves to where its
text has moved, as if it had been typed just after them.

It doesn't know stores or networks: a session takes what is `outgoing` and hands over what arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final, Literal, NamedTuple
from weakref import WeakSet

from syncstring._diff import diff as diff_texts
from syncstring._patch import (
    Ops,
    Splice,
    compose,
    growth,
    map_position,
    ops_apply,
    ops_splices,
    transform,
)
from syncstring.errors import PatchError, SyncstringError, UnknownVersion
from syncstring.history import History
from syncstring.merge import Tip
from syncstring.patch import MAX_PARENTS, MAX_TIME, MAX_TIME_STEP, MIN_WILD_TIME, Id, Patch, chained
from syncstring.timeline import Heads, Ref, Run, Timeline, Versions
from syncstring.undo import Standing, inverse

__all__ = ["Cursor", "Document", "Edit"]

SIZE_LIMIT: Final = 16 << 20
"""Code points that a document may have by default."""


class Edit(NamedTuple):
    """What a call did that made a patch."""

    patch: Patch | None
    """The patch, the last one where it took several, None if there was nothing to do."""
    splices: list[Splice]
    """What the editor that asked must apply, in order, to show `doc.text`."""
    applied: list[Splice]
    """What changed in `doc.text`, in order."""
    heads: tuple[Id, ...]
    """What that editor holds then."""


class Cursor:
    """A position that moves with the text: it stays with the character after it, or before it.

    `pos` is in code points. Kept up to date for as long as somebody holds it.
    """

    __slots__ = ("__weakref__", "pos", "sticks")

    def __init__(self, pos: int, sticks: Literal["after", "before"]) -> None:
        self.pos = pos
        self.sticks = sticks

    def __index__(self) -> int:
        return self.pos

    def __repr__(self) -> str:
        return f"<Cursor {self.pos}, sticks {self.sticks}>"


class Document:
    """A text under edit by one session.

    `session` names this opening of the document and is never used again, not even after a crash.
    `clock()` is the time in microseconds since the epoch that all share; `wall()` the author's own, the
    same by default. `patches` are there from the start. `size_limit` (code points) is checked when an edit
    is made here, never when a patch arrives. Costs are those of the edit, not of the text or the history,
    unless a method says so.
    """

    def __init__(
        self,
        *,
        session: str,
        author: str,
        clock: Callable[[], int],
        wall: Callable[[], int] | None = None,
        patches: Iterable[Patch | Mapping[str, Any]] = (),
        size_limit: int = SIZE_LIMIT,
        zone: tzinfo | None = None,
    ) -> None:
        Patch((1, session), (), (), author, 0)  # says what is wrong with either
        self.session = session
        self.author = author
        self.size_limit = size_limit
        self.history = History(patches)
        self.outgoing: list[Patch] = []
        """Every patch made here that nobody took yet, parents first. Whoever sends them takes them out."""
        self._clock = clock
        self._wall = wall or clock
        self._tip = Tip(self.history.graph)
        self._tip.advance()
        self._pending: list[Splice] = []  # sequential, on the committed text
        self._undone: list[Splice] = []  # what takes them back, the last one first when reversed
        self._text: str | None = None
        self._cursors: WeakSet[Cursor] = WeakSet()
        self._timeline = Timeline(self.history, now=clock, zone=zone)
        self._undos: list[tuple[Id, ...]] = []  # what undo takes back, step by step; a step may be a chain
        self._redos: list[tuple[Id, ...]] = []
        self._standings: dict[Id, list[Standing]] = {}

    # --- the text -----------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The text, what is uncommitted included. O(len) after a change."""
        if self._text is None:
            self._text = str(self._tip.buffer)
        return self._text

    def __str__(self) -> str:
        return self.text

    def __len__(self) -> int:
        return len(self._tip.buffer)

    @property
    def heads(self) -> tuple[Id, ...]:
        """Ids of the newest patches known, ascending."""
        return self.history.heads

    @property
    def parked(self) -> tuple[Patch, ...]:
        """Patches that wait for a parent."""
        return self.history.parked

    @property
    def problems(self) -> list[SyncstringError]:
        """What was wrong with what arrived; see `History.problems`."""
        return self.history.problems

    # --- editing ------------------------------------------------------------------------------------------

    def splice(self, pos: int, delete: int, insert: str) -> None:
        """Replace the `delete` code points at `pos` by `insert`. Not yet committed.

        `PatchError` if that lies outside the text, for a lone surrogate, and where the document would
        outgrow its limit; `UnsupportedVersion` if a later format's patches were met.
        """
        buffer = self._tip.buffer
        try:
            self._writable(len(buffer) + len(insert) - delete if delete < len(insert) else 0)
            deleted = buffer.slice(pos, pos + delete) if delete > 0 else ""
            buffer.splice(pos, delete, insert)
        except (TypeError, OverflowError):
            shown = f"({pos!r:.40}, {delete!r:.40}, {insert!r:.40})"
            raise PatchError(f"a splice is two whole numbers and a str; this is {shown}") from None
        if insert or deleted:
            self._pending.append(Splice(pos, delete, insert))
            self._undone.append(Splice(pos, len(insert), deleted))
            self._changed(self._pending[-1:])

    def insert(self, pos: int, text: str) -> None:
        """`splice(pos, 0, text)`."""
        self.splice(pos, 0, text)

    def delete(self, pos: int, count: int) -> None:
        """`splice(pos, count, "")`."""
        self.splice(pos, count, "")

    def set_text(self, new: str, cursor: int | None = None) -> list[Splice]:
        """Make the text `new` by few splices, which are returned. Not yet committed.

        For editors that only hand over a whole text. `cursor`, where the caret stands in `new`, settles which
        of several like letters was typed. Raises what `splice` does. Costs what `diff` does.
        """
        self._writable(len(new))
        splices = diff_texts(self.text, new, cursor)
        for pos, delete, insert in splices:
            self.splice(pos, delete, insert)
        return splices

    def _writable(self, size: int) -> None:
        if error := self.history.unsupported:
            raise error
        if size > self.size_limit:
            raise PatchError(
                f"the document would have {size:,} code points; at most {self.size_limit:,} are allowed"
            )

    def _changed(self, splices: Sequence[Splice]) -> None:
        if splices:
            self._text = None
            for cursor in self._cursors:
                cursor.pos = map_position(cursor.pos, splices, cursor.sticks)

    def cursor(self, pos: int, sticks: Literal["after", "before"] = "after") -> Cursor:
        """A position that moves with the text. `PatchError` if it lies outside."""
        if not 0 <= pos <= len(self):
            raise PatchError(f"a cursor at {pos} in a text of {len(self)}")
        cursor = Cursor(map_position(pos, (), sticks), sticks)
        self._cursors.add(cursor)
        return cursor

    # --- committing ---------------------------------------------------------------------------------------

    def commit(self, message: str | None = None) -> Patch | None:
        """Make a patch of what was edited since the last one; None if nothing changed.

        What exceeds one row becomes a chain of patches, of which the last is returned and bears the
        message. `PatchError` for a bad message. O(n log n) for n splices.
        """
        if not self._pending:
            return None
        ops = compose(self._pending)
        before = len(self._tip.buffer) - growth(ops)
        chain = self._make(self.history.graph.heads, ops, message) if ops else []
        self._pending.clear()
        self._undone.clear()
        for patch in chain:
            seen = self.history.graph.heads
            event = self._append(patch)
            if len(seen) == len(patch.parents):
                self._tip.took(event, before)
            else:  # one of those that merge heads, of which there are too many for one patch
                self._tip.advance()
            before += growth(patch.ops)
        if not chain:
            return None
        self._done(chain)
        return chain[-1]

    def _done(self, chain: list[Patch]) -> None:
        self.outgoing += chain
        self._undos.append(tuple(patch.id for patch in chain))
        self._redos.clear()

    def _append(self, patch: Patch) -> int:
        graph = self.history.graph
        parents = sorted(graph.find(time, session) for time, session in patch.parents)
        return graph.append(
            patch.time, patch.session, parents, patch.ops, patch.author, patch.wall, patch.message
        )

    def _make(self, parents: Sequence[int], ops: Ops, message: str | None = None) -> list[Patch]:
        """The patches that do `ops` on the merge of these events; nothing is appended yet."""
        known = list(self.history.ids(parents))
        time = self.history.graph.greatest_time()
        wall = max(0, min(int(self._wall()), MAX_TIME))
        chain: list[Patch] = []
        while len(known) > MAX_PARENTS:
            time = self._time(time, known[MAX_PARENTS - 1].time)
            merging = Patch.of_ops((time, self.session), known[:MAX_PARENTS], (), self.author, wall)
            chain.append(merging)
            known = [*known[MAX_PARENTS:], merging.id]
        links = chained(ops) or [()]
        for i, link in enumerate(links):
            time = self._time(time, known[-1].time if known else 0)
            last = i == len(links) - 1
            patch = Patch.of_ops(
                (time, self.session), known, link, self.author, wall, message if last else None
            )
            chain.append(patch)
            known = [patch.id]
        return chain

    def _time(self, known: int, parents: int) -> int:
        """The time of a patch made now: by the clock, cut to milliseconds, and above all times known.

        From the year 2112 on a time may be only so far above its parents', and a clock that claims to be
        there isn't followed any further than that.
        """
        now = int(self._clock())
        time = max(now - now % 1_000, known + 1)
        if time >= MIN_WILD_TIME and time - parents > MAX_TIME_STEP:
            time = max(known + 1, min(time, max(MIN_WILD_TIME - 1, parents + MAX_TIME_STEP)))
        return time

    # --- others' edits ------------------------------------------------------------------------------------

    def receive(self, patches: Iterable[Patch | Mapping[str, Any]]) -> list[Splice]:
        """Take in patches (or rows) in any order, known ones too; what the editor must apply, in order.

        A patch with an unknown parent is parked. What is malformed, conflicting or of a later format is no
        exception, but one of `problems`. `PatchError` only for what is neither patch nor row.
        """
        history = self.history
        rebuilds = history.rebuilds
        if not history.add(patches):
            return []
        if history.rebuilds != rebuilds:
            return self._start_again()
        if not self._pending:
            return self._advance()
        # The committed text has to be there for the patches to fit it; then what is pending comes on top.
        pending = compose(self._pending)
        buffer = self._tip.buffer
        for pos, delete, insert in reversed(self._undone):
            buffer.splice(pos, delete, insert)
        log = self._tip.advance()
        arrived = [Splice(*splice) for splice in log.splices(0, len(log))]
        splices = transform(arrived, ops_splices(pending))
        self._put_pending(transform(ops_splices(pending), arrived, first=True))
        self._changed(splices)
        return splices

    def _advance(self) -> list[Splice]:
        log = self._tip.advance()
        splices = [Splice(*splice) for splice in log.splices(0, len(log))]
        self._changed(splices)
        return splices

    def _put_pending(self, splices: list[Splice]) -> None:
        """Edit the committed text, in the buffer, by what is pending."""
        buffer = self._tip.buffer
        self._pending = splices
        self._undone = []
        for pos, delete, insert in splices:
            self._undone.append(Splice(pos, len(insert), buffer.slice(pos, pos + delete)))
            buffer.splice(pos, delete, insert)

    def _start_again(self) -> list[Splice]:
        """Another content won an id: what was built on the other one is built anew. O(history)."""
        shown = self.text
        pending = ops_splices(compose(self._pending))
        for pos, delete, insert in reversed(self._undone):
            self._tip.buffer.splice(pos, delete, insert)
        was = str(self._tip.buffer)
        self._tip = Tip(self.history.graph)
        self._tip.advance()
        self._put_pending(transform(pending, diff_texts(was, str(self._tip.buffer)), first=True))
        splices = diff_texts(shown, str(self._tip.buffer))
        self._changed(splices)
        return splices

    def edit_at(self, heads: Heads, splices: Iterable[Sequence[Any]]) -> Edit:
        """Make a patch of an edit by an editor elsewhere (a browser, a file), against the version that it
        last confirmed, however many patches ago; what is uncommitted here is committed first.

        `UnknownVersion` for heads that aren't here, `PatchError` for splices that don't fit that version's
        text. O(the concurrent stretch between that version and now).
        """
        given = list(splices)
        ops = compose(given)
        events = self.history.events(heads)
        merge, graph = self.history.merge, self.history.graph
        size = merge.size_at(events)
        _fit(given, size)
        self._writable(max(size, len(self)) + max(growth(ops), 0) if growth(ops) > 0 else 0)
        self.commit()
        if not ops:
            to_now = [] if events == graph.heads else ops_splices(compose(merge.between(events, graph.heads)))
            return Edit(None, to_now, [], self.heads)
        chain = self._make(events, ops)
        last = [self._append(patch) for patch in chain][-1]
        self._done(chain)
        applied = self._advance()
        to_now = []
        if graph.heads != (last,):
            to_now = ops_splices(compose(self.history.merge.between((last,), graph.heads)))
        return Edit(chain[-1], to_now, applied, self.heads)

    # --- taking back --------------------------------------------------------------------------------------

    def undo(self) -> Edit:
        """Take back this session's last commit that wasn't taken back yet, through everybody's later patches.

        `Edit.patch` is None if there is none, or nothing of it is left. O(patches since).
        """
        return self._step_back(self._undos, self._redos)

    def redo(self) -> Edit:
        """Take back the last undo, unless something was committed since."""
        return self._step_back(self._redos, self._undos)

    def _step_back(self, steps: list[tuple[Id, ...]], others: list[tuple[Id, ...]]) -> Edit:
        self._writable(0)
        self.commit()
        if not steps:
            return Edit(None, [], [], self.heads)
        chain, edit = self._take_back(steps[-1])
        steps.pop()
        if chain:
            others.append(tuple(patch.id for patch in chain))
        return edit

    def revert(self, ref: Ref) -> Edit:
        """Take back any one patch, whoever made it. An ordinary commit, which `undo` takes back.

        `UnknownVersion` for what names no patch. O(patches since).
        """
        self._writable(0)
        version = self._timeline.version(ref)
        if version.id is None:
            raise UnknownVersion(f"{ref!r:.60} names no single patch that could be taken back")
        self.commit()
        chain, edit = self._take_back((version.id,))
        if chain:
            self._undos.append(tuple(patch.id for patch in chain))
            self._redos.clear()
        return edit

    def _take_back(self, ids: tuple[Id, ...]) -> tuple[list[Patch], Edit]:
        ops, stands = inverse(self.history, [id for id in ids if id in self.history], self._standings)
        if not ops:
            return [], Edit(None, [], [], self.heads)
        self._writable(len(self) + growth(ops) if growth(ops) > 0 else 0)
        chain = self._make(self.history.graph.heads, ops)
        self._stand(chain, stands)
        return chain, self._apply(chain)

    def _stand(self, chain: list[Patch], stands: list[Standing]) -> None:
        """Note what the chain's inserted text stands for, patch by patch."""
        done = 0
        for patch in chain:
            length = sum(len(op) for op in patch.ops if isinstance(op, str))
            own = []
            for at, count, deleter, nth in stands:
                start, stop = max(at, done), min(at + count, done + length)
                if start < stop:
                    own.append(Standing(start - done, stop - start, deleter, nth + start - at))
            if own:
                self._standings[patch.id] = own
            done += length

    def _apply(self, chain: list[Patch]) -> Edit:
        """Append patches made on the newest text, and tell what they did to it."""
        for patch in chain:
            self._append(patch)
        self.outgoing += chain
        splices = self._advance()
        return Edit(chain[-1], splices, splices, self.heads)

    def restore(self, ref: Ref) -> Edit:
        """Bring back the text of an old version, as a new patch: nothing that came since is lost.

        Costs what `at` and `diff` do.
        """
        self._writable(0)
        old = self._timeline.text(ref)
        self._writable(len(old))
        self.commit()
        ops = compose(diff_texts(self.text, old))
        if not ops:
            return Edit(None, [], [], self.heads)
        chain = self._make(self.history.graph.heads, ops)
        self._undos.append(tuple(patch.id for patch in chain))
        self._redos.clear()
        return self._apply(chain)

    # --- the past -----------------------------------------------------------------------------------------

    @property
    def tags(self) -> dict[str, tuple[Id, ...]]:
        """Names of versions: tag -> heads."""
        return self._timeline.tags

    @property
    def timeline(self) -> Timeline:
        return self._timeline

    @property
    def versions(self) -> Versions:
        """Versions 0 (empty) to `len(history)`, as they are now. Uncommitted edits are in none."""
        return self._timeline.versions

    def at(self, ref: Ref) -> str:
        """The text at a version: its number, id or the beginning of one, tag, time ("5 minutes ago", a
        datetime), heads, or itself. `UnknownVersion` or `AmbiguousVersion` where it means none or several."""
        return self._timeline.text(ref)

    def diff(self, a: Ref, b: Ref) -> list[Splice]:
        """The splices from one version's text to another's; see `Timeline.diff`."""
        return self._timeline.diff(a, b)

    def blame(self, at: Ref | None = None) -> list[Run]:
        """Who wrote each run of a version (the newest by default), in which patch; see `Timeline.blame`."""
        return self._timeline.blame(at)

    def check(self) -> None:
        """Derive what is kept from scratch and compare. For tests."""
        self.history.graph.check()
        assert self._tip.taken == len(self.history)
        expected = ops_apply(self.history.text(), compose(self._pending))
        assert self.text == expected, (self.text, expected)
        assert self.text == str(self._tip.buffer)


def _fit(splices: Iterable[Sequence[Any]], size: int) -> None:
    """Whether sequential splices fit a text of `size` code points."""
    for pos, delete, insert in splices:
        if pos + delete > size:
            raise PatchError(f"a splice deletes {delete} at {pos} in a text of {size}")
        size += len(insert) - delete
