"""The text that an editor shows: that of a graph, with what is uncommitted on top, and cursors in it.

The law of this room. Text, cursors and what is uncommitted change all at once or not at all: what can fail,
for want of memory too, is done before the first of them changes. So the text may stay behind the graph; it
shows a version of it all the same, which an edit can be made on, and catches up later.

It doesn't know patches, ids or clocks. Source: `merge.Tip` walks, this shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeVar
from weakref import WeakSet

from syncstring._diff import diff as diff_texts
from syncstring._graph import EventGraph
from syncstring._keys import Keys
from syncstring._patch import Ops, Splice, map_position, ops_splices
from syncstring._text import SpliceLog, TextBuffer
from syncstring._tip import Tip
from syncstring.errors import PatchError

__all__ = ["FEW", "Cursor", "Next", "Shown", "without_last"]


T = TypeVar("T")

FEW: Final = 8
"""Of a list with fewer, the last one can't be taken off without memory: CPython makes it smaller then."""


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


class Next(NamedTuple):
    """What is shown next."""

    tip: Tip
    buffer: TextBuffer
    log: SpliceLog | None
    """What is still to be done to the buffer, which is the tip's then."""
    splices: list[Splice]
    moves: Iterator[tuple[Cursor, int]]


class Shown(Keys):
    """The text of all of a graph, uncommitted edits on it, and cursors. A `Document` is one."""

    def __init__(self, graph: EventGraph) -> None:
        self._tip = Tip(graph)
        self._tip.begin()
        self._pending = []  # sequential, on the committed text
        self._next: Next | None = None
        self._seen = None  # what the text shows, if it was committed to when behind
        self._text = None
        self._cursors: WeakSet[Cursor] = WeakSet()
        self._pointing = False  # whether there ever was a cursor

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
    def uncommitted(self) -> tuple[Splice, ...]:
        """The edits that aren't committed yet, in order."""
        return tuple(self._pending)

    def cursor(self, pos: int, sticks: Literal["after", "before"] = "after") -> Cursor:
        """A position that moves with the text. `PatchError` if it lies outside."""
        if type(pos) is not int or not 0 <= pos <= len(self):
            raise PatchError(f"a cursor at {pos!r:.40} in a text of {len(self)}")
        if sticks not in ("after", "before"):
            raise PatchError(
                f"sticks is {sticks!r:.40}; it is 'after' or 'before', the character to stay with"
            )
        cursor = Cursor(pos, sticks)
        self._cursors.add(cursor)
        self._pointing = True
        return cursor

    # --- edits here ---------------------------------------------------------------------------------------

    def _put(self, pos: int, delete: int, insert: str) -> None:
        """Do one splice: a keystroke."""
        splice, pending = Splice(pos, delete, insert), self._pending
        moves = kept = None
        if self._pointing:
            moves = self._moves((splice,))
        if len(pending) < FEW:
            kept = pending[:]
        pending.append(splice)
        try:
            self._tip.buffer.splice(pos, delete, insert)
        except BaseException:
            self._pending = without_last(pending, kept)
            raise
        self._text = None
        if moves is not None:
            _move(moves)

    def _edit(self, splices: Sequence[Splice]) -> None:
        """Do what was found to be allowed, all or nothing."""
        if len(splices) == 1:
            self._put(*splices[0])
        elif splices:
            buffer = self._tip.buffer.copy()
            for splice in splices:
                buffer.splice(*splice)
            moves = self._moves(splices)
            self._pending += splices
            self._tip.buffer = buffer
            self._text = None
            _move(moves)

    def _moves(self, splices: Sequence[Splice]) -> Iterator[tuple[Cursor, int]]:
        """Where cursors stand after these splices. Going through it takes no memory."""
        if not self._pointing or not splices:  # asking a weak set costs more than a keystroke
            return iter(())
        moves = [(cursor, map_position(cursor.pos, splices, cursor.sticks)) for cursor in self._cursors]
        return iter(moves)

    # --- what the graph has got ---------------------------------------------------------------------------

    @property
    def _behind(self) -> bool:
        """Whether memory ran out after the history got something and before the text did."""
        return self._tip.taken != len(self._tip.graph)

    def _shown_heads(self) -> tuple[int, ...]:
        """The events that name what the text shows, what is uncommitted apart."""
        graph = self._tip.graph
        if not self._behind:
            return graph.heads
        return graph.dominators(range(self._tip.taken)) if self._seen is None else self._seen

    def _advance(self) -> list[Splice]:
        """Show what the history has got since. All or nothing."""
        self._look_ahead()
        return self._show()

    def _look_ahead(self) -> list[Splice]:
        """What `_advance` will show. With text that was committed to while behind: O(history)."""
        if self._seen is not None:
            return self._derive(self._tip.graph)
        log = self._tip.ahead()
        splices = [Splice(*splice) for splice in log.splices(0, len(log))]
        self._next = Next(self._tip, self._tip.buffer, log, splices, self._moves(splices))
        return splices

    def _derive(
        self, graph: EventGraph, known: list[Splice] | None = None, start: tuple[int, str] = (0, "")
    ) -> list[Splice]:
        """The history is, or will be, another one: derive anew everything that is derived. O(history), or
        what comes after a critical prefix of it whose text is handed in.

        Where it isn't `known` what that changes, two texts are compared, in which equal letters may be taken
        for each other.
        """
        shown = self.text
        tip = Tip(graph)
        tip.begin(*start)
        for splice in self._pending:  # there are some only where the committed text is what it was
            tip.buffer.splice(*splice)
        splices = diff_texts(shown, str(tip.buffer)) if known is None else known
        self._next = Next(tip, tip.buffer, None, splices, self._moves(splices))
        return splices

    def _look_past(self, ops: Ops) -> tuple[Tip, int, list[Splice]]:
        """What an edit of everything, which the graph hasn't got yet, will show: in which tip, after a text
        of how many code points, by which splices. A copy of the text, and O(history) when behind."""
        tip = self._tip
        if self._behind:
            tip = Tip(tip.graph)
            tip.begin()
        before, buffer, splices = len(tip.buffer), tip.buffer, ops_splices(ops)
        if splices:
            buffer = buffer.copy()
            for splice in splices:
                buffer.splice(*splice)
        if tip is not self._tip:
            splices = diff_texts(self.text, str(buffer))
        self._next = Next(tip, buffer, None, splices, self._moves(splices))
        return tip, before, splices

    def _show(self) -> list[Splice]:
        """Show what was found to be next."""
        found = self._next
        assert found is not None
        if found.log is not None:
            found.tip.show(found.log)
        found.tip.buffer = found.buffer
        self._tip = found.tip
        self._next = self._text = self._seen = None
        _move(found.moves)
        return found.splices


def without_last(items: list[T], kept: list[T] | None) -> list[T]:
    """A list without what was appended last: `kept`, if it was copied before, because it had but `FEW`."""
    if kept is not None:
        return kept
    items.pop()
    return items


def _move(moves: Iterable[tuple[Cursor, int]]) -> None:
    for cursor, pos in moves:
        cursor.pos = pos
