"""The state machine that an editor holds: edits in, patches out; others' patches in, splices out.

The law of this room. `text` is always the merge of everything in `history`, with what is not yet
committed on top; each call that changes it says by which splices, so a copy that applies them is equal
to it after every call. A call that raises changed nothing. No I/O, no randomness, no clock but those
passed in, one thread: the same calls give the same bytes.

Where memory runs out (`MemoryError`), the text, and what cursors say, is as it was, and the same call can be
made again. But patches can't be taken out of a history: those that came in by then stay, what was uncommitted
may be committed, and of an edit that exceeds one row the first rows may be made. Then `text` stays behind
`history`: it can be edited and committed as it stands, and the next call that returns splices to apply
catches up.

What isn't committed yet is committed before others' patches come in, as made on what its author saw.

It doesn't know stores or networks: a session takes what is `outgoing` and hands over what arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import tzinfo
from operator import attrgetter, index
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from syncstring._clock import Clocks, time_above
from syncstring._diff import diff as diff_texts
from syncstring._patch import Ops, Splice, compose, growth, ops_apply, ops_splices, transform
from syncstring._tip import Tip
from syncstring.errors import PatchError, SyncstringError, UnknownVersion
from syncstring.history import Base, History
from syncstring.patch import MAX_PARENTS, MIN_WILD_TIME, Id, Patch, chained
from syncstring.shown import FEW, Cursor, Shown, without_last
from syncstring.timeline import Heads, Ref, Run, Timeline, Versions
from syncstring.undo import Back, Taken, Undone, take_back

__all__ = ["Cursor", "Document", "Edit"]

T = TypeVar("T")
_Cut: TypeAlias = tuple[int, tuple[int, ...], Ops, list[Patch]]  # what the text took in, version, edit; made

_ID: Final = attrgetter("id")
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


class Document(Shown):
    """A text under edit by one session.

    `session` names this opening of the document and is never used again, not even after a crash.
    `clock()` is the time in microseconds since the epoch that all share; `wall()` the author's own, the
    same by default. They may stand still, jump and go back, before the epoch too; what isn't an int is a
    `PatchError` of the call that asked. `patches` are there from the start, on a `base` where history was
    left out. `size_limit` (code points) is checked when an edit that lengthens the text is made here, never
    when a patch arrives. Costs are those of the edit, not of the text or the history, unless it is said.
    """

    def __init__(
        self,
        *,
        session: str,
        author: str,
        clock: Callable[[], int],
        wall: Callable[[], int] | None = None,
        patches: Iterable[Patch | Mapping[str, Any]] | History = (),
        base: Base | None = None,
        size_limit: int = SIZE_LIMIT,
        zone: tzinfo | None = None,
    ) -> None:
        plain = Patch((1, session), (), (), author, 0)  # says what is wrong with either
        self.history: History
        self._clocks = Clocks(clock, wall)
        if type(size_limit) is not int or size_limit < 0:
            raise PatchError(f"size_limit is {size_limit!r:.40}; it is a number of code points")
        self.session, self.author, self.size_limit = plain.id.session, plain.author, size_limit
        self.history = patches if isinstance(patches, History) else History(patches, base)
        self.outgoing = []
        self._last = 0  # the greatest time of a patch made here: none of them is given twice
        super().__init__(self.history.graph)
        self._cut: _Cut | None = None  # an `edit_at` that is made and not yet shown
        self._closed: SyncstringError | None = None  # why nothing may be edited any more
        self._early = None  # what was committed early since the last `commit`
        self._timeline = Timeline(self.history, now=clock, zone=zone)
        self._undos = []  # what undo takes back, step by step; a step may be a chain
        self._redos = []
        self._taken = Taken()  # by which patches made here what was taken back

    # --- the text -----------------------------------------------------------------------------------------

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

    def _splice_any(self, pos: int, delete: int, insert: str) -> None:
        """`splice`, whatever it is."""
        size = len(self._tip.buffer)
        if (  # what can be said of it at once, and nothing to be composed
            type(pos) is type(delete) is int
            and type(insert) is str
            and 0 <= pos <= pos + delete <= size
            and size + len(insert) - delete <= self.size_limit
            and not self.history.read_only
            and self._closed is None
        ):
            if insert or delete:
                self._put(pos, delete, insert)
            return
        ops = compose(((pos, delete, insert),))
        _fit(((pos, delete, insert),), size)
        self._writable(size + growth(ops))
        self._edit(ops_splices(ops))

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
        if not isinstance(new, str):
            raise PatchError(f"the new text is {new!r:.40}; it is a str")
        self._writable(len(new))
        try:
            splices = diff_texts(self.text, str(new), cursor)
        except TypeError:
            raise PatchError(f"cursor is {cursor!r:.40}; it is a position in the new text, or None") from None
        self._edit(splices)
        return splices

    def _writable(self, size: int) -> None:
        """Whether an edit that leaves a text of `size` may be made."""
        if error := self._closed or self.history.unsupported:
            raise error
        if size > max(self.size_limit, len(self)):
            raise PatchError(
                f"the document would have {size:,} code points; at most {self.size_limit:,} are allowed"
            )

    def _allow(self, ops: Ops, events: tuple[int, ...]) -> None:
        """Whether an edit of these events' text may be made, before what is uncommitted is committed."""
        size = len(self) + sum(len(op) for op in ops if isinstance(op, str))
        if size > self.size_limit:  # it counts what the edit deletes, of which some may be gone already
            since = self.history.merge.between(events, self.history.graph.heads) + self._pending
            size = len(self) + growth(compose(transform(ops_splices(ops), since)))
        self._writable(size)

    # --- committing ---------------------------------------------------------------------------------------

    def _commit_any(self, message: str | None, now: tuple[int, int] | None = None) -> Patch | None:
        """`commit`, whatever there is. `now`, if the clock was read."""
        made = self._early
        if self._pending:
            made = self._commit(now or self._clocks.read(), message) or made
        elif made is not None and message is not None:
            chain = self._make(self.history.graph.heads, (), now or self._clocks.read(), message)
            self._apply(chain)
            made = chain[-1]
        self._early = None
        return made

    def _commit(self, now: tuple[int, int], message: str | None = None) -> Patch | None:
        ops = compose(self._pending)
        if not ops:
            self._pending.clear()
            return None
        parents = self._shown_heads()
        chain = self._make(parents, ops, now, message)
        if len(chain) > 1:
            self._pending = [splice for patch in chain for splice in ops_splices(patch.ops)]
        before = len(self._tip.buffer) - growth(ops)
        return self._as_step(chain, self._append_shown, before, _merges(len(parents)))

    def _append_shown(self, chain: list[Patch], before: int, merges: int) -> Patch:
        """Append patches that do what is uncommitted, of which `merges` merge heads only. Each takes what it
        does out of what is uncommitted."""
        for i, patch in enumerate(chain):
            behind = self._behind
            left = self._pending[len(ops_splices(patch.ops)) :] if len(chain) > 1 else []
            if i < merges:  # it hasn't seen everything
                self._append(patch)
                if not behind:
                    self._tip.advance()
            elif behind:
                seen = (len(self.history.graph),)
                self._append(patch)
                self._pending, self._seen = left, seen
            else:
                after = before + growth(patch.ops)
                self._append(patch, self._tip, before)
                self._pending, before = left, after
        return chain[-1]

    def _as_step(self, chain: list[Patch], act: Callable[..., T], *more: Any) -> T:
        """Let these patches be appended, as a step that `undo` can take back."""
        redos, last = list(self._redos), chain[-1].time
        newest = self.outgoing[-1] if self.outgoing else None
        kept = self._undos[:] if len(self._undos) < FEW else None
        self._done(chain)
        try:
            return act(chain, *more)
        except BaseException:
            if (self.outgoing[-1] if self.outgoing else None) is newest:  # none of them was
                self._undos, self._redos = without_last(self._undos, kept), redos
            elif self._last < last:
                self._last = last  # the step names all of them: no id is given to another patch
            raise

    def _done(self, chain: list[Patch]) -> None:
        """Note a step that `undo` can take back."""
        self._undos.append(tuple(patch.id for patch in chain))
        self._redos.clear()

    def _append(self, patch: Patch, tip: Tip | None = None, before: int = 0) -> None:
        """Append a patch, or raise and do nothing. A `tip` is told that its buffer, which had `before` code
        points, shows what the patch does."""
        event, last = len(self.history.graph), max(self._last, patch.time)
        taken = event + 1
        kept = self.outgoing[:] if len(self.outgoing) < FEW else None
        self.outgoing.append(patch)
        try:
            self.history.append(patch)
        except BaseException:
            self.outgoing = without_last(self.outgoing, kept)
            raise
        self._last = last
        if tip is not None:
            tip.took(event, taken, before)

    def _make(
        self, parents: Sequence[int], ops: Ops, now: tuple[int, int], message: str | None = None
    ) -> list[Patch]:
        """The patches that do `ops` on the merge of these events; nothing is appended yet."""
        known = list(self.history.ids(parents))
        last = max(self.history.graph.greatest_time(), self._last)
        present, wall = now
        chain: list[Patch] = []
        # The newest ones are merged first, so that the merging patch is the newest then.
        merging: list[Ops] = [()] * _merges(len(known))
        links = merging + chained(ops)
        for i, link in enumerate(links):
            seen, known = known[-MAX_PARENTS:], known[:-MAX_PARENTS]
            time = time_above(present, last, seen[-1].time if seen else 0, self._has_time)
            said = message if i == len(links) - 1 else None
            id = Id(time, self.session)
            if said is None and len(link) < 100 and time < MIN_WILD_TIME:
                # Session and author were checked when they were given, everything else is made here. A row
                # of some small insertions is far from its limit.
                patch = Patch.trusted(id, tuple(seen), link, self.author, wall)
                if sum(len(op) for op in link if isinstance(op, str)) > 10_000:
                    patch = Patch.of_ops(id, seen, link, self.author, wall)
            else:
                patch = Patch.of_ops(id, seen, link, self.author, wall, said)
            chain.append(patch)
            known.append(patch.id)
            last = max(last, time)
        return chain

    def _has_time(self, time: int) -> bool:
        return self.history.known(Id(time, self.session)) is not None  # it may wait for a parent again

    # --- others' edits ------------------------------------------------------------------------------------

    def _receive_any(self, patches: Iterable[Patch | Mapping[str, Any]], stored: bool) -> list[Splice]:
        """`receive`, whatever it is."""
        asked = bool(self._pending)
        now = self._clocks.read() if asked else (0, 0)
        known = self.history.judged(patches)
        history = self.history
        if self._pending and not asked:  # who gives the patches edits, too
            now = self._clocks.read()
        if self._pending and list(map(history.known, map(_ID, known))) != known:
            self._settle(now)
        if self._pending and self._behind:
            self._settle(now)
        self._next = None
        history.add(known, stored, self._derive)
        if self._next is not None:
            return self._show()
        return self._advance() if self._behind else []

    def _settle(self, now: tuple[int, int]) -> None:
        """Commit early, before something else happens; the next `commit` returns that patch, if no other."""
        self._early = self._commit(now) or self._early

    def reissue(self, session: str, patches: Iterable[Patch]) -> list[Splice]:
        """Take a new session id, and make these patches of this session anew under it, with all that is
        `outgoing`: the store has others under their ids. All are `outgoing` then. O(history).
        """
        session = Patch((1, session), (), (), self.author, 0).id.session  # says what is wrong with it
        if self._pending:
            self._settle(self._clocks.read())
        lost = {patch.id: patch for patch in (*patches, *self.outgoing)}
        again = {id: Id(id.time, session) for id in lost}
        made = [
            Patch.trusted(
                again[patch.id],
                tuple(sorted(again.get(parent, parent) for parent in patch.parents)),
                patch.ops,
                patch.author,
                patch.wall,
                patch.message,
            )
            for patch in lost.values()
        ]
        kept = [patch for patch in self.history.patches() if lost.get(patch.id) != patch]
        history = History([*kept, *made], self.history.base)
        history.keep_verdicts(self.history)
        history.rebuilds = self.history.rebuilds + 1
        undos = [tuple(again.get(id, id) for id in step) for step in self._undos]
        redos = [tuple(again.get(id, id) for id in step) for step in self._redos]
        taken = Taken()
        for id, undone in self._taken.items():
            stands = [
                stand._replace(deleter=again.get(stand.deleter, stand.deleter)) for stand in undone.stands
            ]
            ids = tuple(again.get(taken, taken) for taken in undone.ids)
            taken.put(again.get(id, id), Undone(ids, stands))
        self._derive(history.graph)
        self.history = self._timeline.history = history
        self.session, self.outgoing = session, made
        self._undos, self._redos, self._taken = undos, redos, taken
        return self._show()

    def adopt(self, patches: Iterable[Patch] | History, base: Base | None = None) -> list[Splice]:
        """Know another history: these patches, on a `base` or from the beginning, and what is here. A
        `History` is taken over.

        What the editor must apply is returned: nothing, if all of it was here, be it in a base. O(history).
        """
        whole = patches if isinstance(patches, History) else History(patches, base)
        whole.keep_verdicts(self.history)
        whole.add(self.history.patches())
        there = self._stands_in(whole)
        if self._pending and not (there and whole.heads == self.history.heads):
            self._settle(self._clocks.read())
            whole.add(self.history.patches())
            there = self._stands_in(whole)
        whole.rebuilds = self.history.rebuilds + 1
        known = whole.merge.between(whole.events(self.heads), whole.graph.heads) if there else None
        self._derive(whole.graph, known, whole.merge.known_text())
        self.history = self._timeline.history = whole
        return self._show()

    def _stands_in(self, whole: History) -> bool:
        """Whether another history says of this version what the text shows: it may have other contents under
        known ids."""
        if self._behind or not all(id in whole for id in self.heads):
            return False
        graph, merge = self.history.graph, self.history.merge
        committed = merge.text_at(graph.heads) if self._pending else self.text
        return whole.merge.text_at(whole.events(self.heads)) == committed

    def edit_at(self, heads: Heads, splices: Iterable[Sequence[Any]]) -> Edit:
        """Make a patch of an edit by an editor elsewhere (a browser, a file), against the version that it
        last confirmed, however many patches ago; what is uncommitted here is committed first.

        `UnknownVersion` for heads that aren't here, `PatchError` for splices that don't fit that version's
        text and for what `splice` refuses. After a `MemoryError` the patch may be made: the same call, made
        next, doesn't make it twice. O(the concurrent stretch between that version and now).
        """
        if not isinstance(splices, Iterable):
            raise PatchError(f"splices are {splices!r:.40}; they are a list of (pos, delete, insert)")
        given = list(splices)
        ops = compose(given)
        history = self.history
        events = history.events(heads)
        _fit(given, history.merge.size_at(events))
        cut = self._cut
        made = cut[-1] if cut is not None and cut[:3] == (self._tip.taken, events, ops) else None
        if ops and made is None:
            self._allow(ops, events)
        now = self._clocks.read()
        self._commit(now)
        patch = None
        if made is not None:
            events, patch = (history.event(made[-1].id),), made[-1]
        elif ops:
            chain = self._make(events, ops, now)
            self._as_step(chain, self._append_unshown, (self._tip.taken, events, ops, chain))
            events, patch = (len(history.graph) - 1,), chain[-1]
        heads_now = history.graph.heads
        to_now = ops_splices(compose(history.merge.between(events, heads_now))) if events != heads_now else []
        return self._caught_up(patch, to_now)

    def _append_unshown(self, chain: list[Patch], cut: _Cut) -> None:
        """Append patches that the text doesn't show yet, and note that."""
        for patch in chain:
            self._append(patch)
        self._cut = cut

    # --- taking back --------------------------------------------------------------------------------------

    def undo(self) -> Edit:
        """Take back this session's last commit that wasn't taken back yet, through everybody's later patches.

        `Edit.patch` is None if there is none, or nothing of it is left. The size of the step and a copy
        of the text; where others' patches came since, or what cancels out only in part, O(patches since).
        """
        return self._step_back(self._undos, self._redos)

    def redo(self) -> Edit:
        """Take back the last undo, unless something was committed since."""
        return self._step_back(self._redos, self._undos)

    def _step_back(self, steps: list[tuple[Id, ...]], others: list[tuple[Id, ...]]) -> Edit:
        self._writable(0)
        now = self._clocks.read()
        if steps is self._undos:  # of what is uncommitted, if there is any
            self._writable(len(self) - growth(compose(self._pending)))
        self._commit(now)
        if not steps:
            return self._caught_up(None)
        step, redoing = steps[-1], steps is not self._undos
        chain, back = self._taken_back(step, now)
        # Neither list is copied: there may be a million steps.
        left = steps[:-1] if len(steps) < FEW else None
        before = others[:] if len(others) < FEW else None
        if chain:
            others.append(tuple(patch.id for patch in chain))
        try:
            edit = self._apply_back(chain, step, back) if chain else self._caught_up(None)
        except BaseException:
            if chain:
                others = without_last(others, before)
            self._undos, self._redos = (others, steps) if redoing else (steps, others)
            raise
        steps = without_last(steps, left)
        self._undos, self._redos = (others, steps) if redoing else (steps, others)
        return edit

    def revert(self, ref: Ref) -> Edit:
        """Take back any one patch, whoever made it. An ordinary commit, which `undo` takes back.

        `UnknownVersion` for what names no patch. O(patches since), and a copy of the text.
        """
        self._writable(0)
        version = self._timeline.version(ref)
        if version.id is None:
            raise UnknownVersion(f"{ref!r:.60} names no single patch that could be taken back")
        chain, back = self._taken_back((version.id,), self._clocks.read())
        if not chain:
            return self._caught_up(None)
        return self._as_step(chain, self._apply_back, (version.id,), back)

    def _taken_back(self, ids: tuple[Id, ...], now: tuple[int, int]) -> tuple[list[Patch], Back]:
        """The patches that take these back, if any, and what is to be noted of them."""
        known = [id for id in ids if id in self.history]
        back = take_back(self.history, known, self._taken)
        self._allow(back.ops, self.history.graph.heads)
        if self._pending:
            self._commit(now)
            back = take_back(self.history, known, self._taken)
        return self._make(self.history.graph.heads, back.ops, now) if back.ops else [], back

    def _apply_back(self, chain: list[Patch], ids: tuple[Id, ...], back: Back) -> Edit:
        """Append them; what isn't made didn't take anything back."""
        last_first = reversed(chain)
        try:
            self._taken.note(chain, ids, back)
            return self._apply(chain)
        except BaseException:
            for patch in last_first:
                if self.outgoing and self.outgoing[-1] is patch:
                    break
                self._taken.pop(patch.id, None)
            raise

    def _apply(self, chain: list[Patch]) -> Edit:
        """Append patches made on everything, and tell what they did to the text. One is made and shown, or
        neither: the text is copied."""
        if len(chain) > 1:
            for patch in chain:
                self._append(patch)
            return self._caught_up(chain[-1])
        (patch,) = chain
        tip, before, splices = self._look_past(patch.ops)
        edit = Edit(patch, splices, splices, (patch.id,))
        self._append(patch, tip, before)
        self._show()
        return edit

    def _caught_up(self, patch: Patch | None, wanted: list[Splice] | None = None) -> Edit:
        """Show what the history has got since. `wanted` is what the editor that asked must apply, if else."""
        splices = self._look_ahead() if self._behind else []
        edit = Edit(patch, splices if wanted is None else wanted, splices, self.heads)
        if self._behind:
            self._show()
        return edit

    def restore(self, ref: Ref) -> Edit:
        """Bring back the text of an old version, as a new patch: nothing that came since is lost.

        Costs what `at` and `diff` do.
        """
        old = self._timeline.text(ref)
        self._writable(len(old))
        now = self._clocks.read()
        self._commit(now)
        ops = compose(diff_texts(self.history.text() if self._behind else self.text, old))
        if not ops:
            return self._caught_up(None)
        chain = self._make(self.history.graph.heads, ops, now)
        return self._as_step(chain, self._apply)

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

    def check(self, behind: bool = False) -> None:
        """Derive what is kept from scratch and compare. The text may be `behind` only where memory ran out.
        For tests."""
        self.history.graph.check()
        assert behind or (not self._behind and self._seen is None)
        committed = self.history.merge.text_at(self._shown_heads())
        expected = ops_apply(committed, compose(self._pending))
        assert self.text == expected == str(self._tip.buffer), (self.text, expected)


def _merges(heads: int) -> int:
    """How many patches merge so many heads before one can name them all."""
    return -(-max(0, heads - MAX_PARENTS) // (MAX_PARENTS - 1))


def _fit(splices: Iterable[Sequence[Any]], size: int) -> None:
    """Whether sequential splices, else well-formed, fit a text of `size` code points."""
    for pos, delete, insert in splices:
        if index(pos) + index(delete) > size:
            raise PatchError(f"a splice at {pos} deletes {delete}, which is not within a text of {size}")
        size += len(insert) - index(delete)
