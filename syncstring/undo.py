"""Taking a patch back, through everybody's later ones.

The law of this room. What the patch inserted and still stands goes; what it deleted and nobody else
deleted comes back in its old place; nothing else changes, wherever the text around has moved and whatever
looks like it. Text that comes back is new text: it *stands for* the old one, so that taking back who wrote
that takes it along, who deleted it once doesn't bring it back twice, and what comes back later beside it
finds its place. The answer is an ordinary delta on the newest text.

What took what back is known to who did it (`Undos`); characters are followed through a weave, never by
likeness. Where all that came since cancels out there is nothing to be followed: the patch's own delta, turned
round, is the answer, byte by byte. Whoever holds Ctrl-Z down, and then Ctrl-Y, is always there.

It doesn't know sessions, stacks or clocks. The slow twin is `Reference.inverse`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from syncstring._graph import EventGraph
from syncstring._patch import Ops
from syncstring._standing import Stretches
from syncstring.history import History
from syncstring.patch import Id, Patch

__all__ = ["Back", "Since", "Standing", "Taken", "Undone", "Undos", "inverse", "take_back"]


class Standing(NamedTuple):
    """A stretch of what a patch inserted, and what it stands for."""

    at: int
    """Where it begins in the patch's inserted text, in code points."""
    length: int
    deleter: Id
    """The patch that deleted what it stands for."""
    nth: int
    """How many code points that patch deleted before it, in the text's order."""


class Since(NamedTuple):
    """From where on everything cancels out, up to some patch and with it."""

    event: int
    rebuilds: int
    """Of the history whose event it is; after another rebuild it says nothing."""


class Undone(NamedTuple):
    """What a patch took back, and what the text that it inserts stands for."""

    ids: tuple[Id, ...]
    stands: list[Standing]
    since: Since | None = None


Undos: TypeAlias = Mapping[Id, Undone]
"""For each patch that took others back: which, and by what."""


class Back(NamedTuple):
    """What takes patches back from the newest text."""

    ops: Ops
    stands: list[Standing]
    """What the text that `ops` inserts stands for."""
    since: Since | None
    """From where on everything cancels out once `ops` is done, if that is known."""


class Taken(dict[Id, Undone]):
    """All that one took back, in order. Where memory runs out in a call, what it notes is noted or not."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[Id, Id] = {}  # by which patch each was taken back first, if that one was made
        self._stretches: tuple[int, int, Stretches] | None = None  # rebuilds of a history; of how many undos

    def has(self, id: Id) -> bool:
        """Whether a patch was ever taken back."""
        undone = self.get(self._first.get(id, id))
        return undone is not None and id in undone.ids

    def put(self, id: Id, undone: Undone) -> None:
        """Note what one patch took back: a later one than all before."""
        for taken in undone.ids:
            if not self.has(taken):
                self._first[taken] = id
        self[id] = undone

    def stretches(self, history: History) -> Stretches:
        """What stands for what in a history. O(what was noted since the last call)."""
        rebuilds, count, known = self._stretches or (history.rebuilds, 0, Stretches())
        if rebuilds != history.rebuilds:
            count, known = 0, Stretches()
        self._stretches = None  # memory may run out on the way
        _stretched(history.graph, islice(self.items(), count, None), known)
        self._stretches = history.rebuilds, len(self), known
        return known

    def note(self, chain: Sequence[Patch], ids: tuple[Id, ...], back: Back) -> None:
        """Note that these patches together do what takes those with `ids` back. What isn't made in the end
        may be deleted again."""
        done = 0
        for patch in chain:
            length = sum(len(op) for op in patch.ops if isinstance(op, str))
            own = []
            for at, count, deleter, nth in back.stands:
                start, stop = max(at, done), min(at + count, done + length)
                if start < stop:
                    own.append(Standing(start - done, stop - start, deleter, nth + start - at))
            self.put(patch.id, Undone(ids, own, back.since if patch is chain[-1] else None))
            done += length


def take_back(history: History, ids: Sequence[Id], undos: Taken) -> Back:
    """What `inverse` answers, byte by byte; at the size of the patches where all that came since cancels out,
    and of the text if they deleted any.

    That is: they and all since are one chain, of which everything else is an ancestor; and what came since
    are empty patches and stretches that cancel out. Such a one ends with an undo and begins with what that
    took back at such a moment, which is noted with it (`Since`).

    Then the text is the one that they left. To each character x of that one belongs one of this: x itself or,
    where x was deleted in a stretch, what came back for it, which stands for x. So:
    - what stands for what they inserted is what belongs to it: just that goes;
    - what they deleted was shown to them and to nobody after them, so nobody else deleted it. Something that
      stands for it could only have come by taking them back, which never happened: all of it comes back;
    - what stays came back when they were known, or never went: its old place is that of the character that it
      belongs to. Those stand in the weave in the order of the text that they left. So the delta keeps,
      deletes and brings back in the order in which theirs keeps, inserts and deletes.
    If they were taken back before, it is asked whether that answer is right: what came back then may count as
    deleted by somebody else, if it was taken along by an undo of an older patch.

    What they deleted is read from the text before them: a copy of that, and at most `merge.CHECKPOINT_EVERY`
    events replayed on it for who goes back step by step. Raises what `inverse` does.
    """
    graph = history.graph
    mine = sorted({history.event(id) for id in ids})
    if mine and _cancels_since(history, mine[-1] + 1, undos) and graph.linear_until(mine[0]) == len(graph):
        plain = _plain(history, mine)
        if plain is not None and not any(map(undos.has, ids)):
            return Back(*plain, Since(mine[0], history.rebuilds))
        found = inverse(history, ids, undos)
        return Back(*found, Since(mine[0], history.rebuilds) if found == plain else None)
    return Back(*inverse(history, ids, undos), None)


def _cancels_since(history: History, event: int, undos: Undos) -> bool:
    """Whether everything from an event on is known to cancel out, if it is a chain. O(stretches)."""
    graph = history.graph
    at = len(graph)
    while at > event:
        undone = undos.get(Id(*graph.id_of(at - 1)))
        if undone is not None and undone.since is not None and undone.since.rebuilds == history.rebuilds:
            at = undone.since.event
        elif not any(graph.totals(at - 1)[:2]) or graph.is_misfit(at - 1):
            at -= 1
        else:
            return False
    return at == event


def _plain(history: History, mine: list[int]) -> tuple[Ops, list[Standing]] | None:
    """The inverse of a chain of events on the text after them, if each goes on where the one before stopped,
    as links of one delta do."""
    graph = history.graph
    if mine[-1] - mine[0] + 1 != len(mine):
        return None
    ops: list[int | str] = []
    stands: list[Standing] = []
    passed = back = 0  # code points of the text after the events so far; and that come back
    for event in mine:
        if graph.size_of(event) < 0:
            return None
        own = list(() if graph.is_misfit(event) else graph.ops_of(event))
        if own and ops:
            kept = own[0]
            if not isinstance(kept, int) or kept < passed:
                return None
            own[:1] = [kept - passed] if kept > passed else []
            if isinstance(own[0], str) and isinstance(ops[-1], int):
                return None  # it stands before what is deleted there
        ops += own
        passed += sum(len(op) if isinstance(op, str) else max(op, 0) for op in own)
        if deleted := -sum(op for op in own if isinstance(op, int) and op < 0):
            stands.append(Standing(back, deleted, Id(*graph.id_of(event)), 0))
            back += deleted
    text = history.merge.text(mine[0], backward=True) if back else ""
    at = 0
    for i, op in enumerate(ops):
        if isinstance(op, str):
            ops[i] = -len(op)
        else:
            if op < 0:
                ops[i] = text[at : at - op]
            at += abs(op)
    return _joined(ops), stands


def inverse(history: History, ids: Iterable[Id], undos: Undos) -> tuple[Ops, list[Standing]]:
    """What takes these patches back from the newest text, and what the text it inserts stands for.

    Of several patches taken back together, what one inserted and another deleted stays away. Law, for one
    patch: `ops_apply(text, ops) == Reference(patches).inverse(id, heads, stands_for, took_back)`.
    `UnknownVersion` for an id that isn't here. O(events since before the oldest of them).
    """
    graph, merge = history.graph, history.merge
    mine = {history.event(id) for id in ids}
    if not mine:
        return (), []
    stretches = undos.stretches(history) if isinstance(undos, Taken) else _stretched(graph, undos.items())
    weave = merge.weave_from(graph.critical_floor(stretches.reach(min(mine))))
    first = weave.first
    ops, back = stretches.follow(weave, mine, _knowing(graph, mine, first))
    base = merge.text(first, backward=True) if any(row[0] for row in back) else ""
    texts = [
        base[start : start + length] if in_base else graph.pool.read(start, length)
        for in_base, start, length, _, _ in back
    ]
    come = iter(texts)
    return _joined(next(come) if op is None else op for op in ops), _stands(graph, back)


def _stretched(
    graph: EventGraph, undos: Iterable[tuple[Id, Undone]], known: Stretches | None = None
) -> Stretches:
    """What is known of events that took others back, by event: added to what is `known` of older ones."""
    result = Stretches() if known is None else known
    events = [(event, undone) for id, undone in undos if (event := graph.find(*id)) >= 0]
    for event, undone in sorted(events, key=itemgetter(0)):
        for id in undone.ids:
            result.took(event, graph.find(*id))
        for at, length, deleter, nth in undone.stands:
            result.stand(event, *graph.text_range(event), at, length, graph.find(*deleter), nth)
    return result


def _knowing(graph: EventGraph, mine: set[int], first: int) -> bytearray:
    """A mask over the events from `first` on: those that know of any of these, themselves left out. O(events
    up to the next critical version)."""
    sure = graph.critical_ceiling(max(mine) + 1)  # from here on all do
    knowing = set(mine)
    for event in range(min(mine) + 1, sure):
        if not knowing.isdisjoint(graph.parents_of(event)):
            knowing.add(event)
    result = bytearray(b"\0" * (sure - first) + b"\1" * (len(graph) - sure))
    for event in knowing - mine:
        result[event - first] = 1
    return result


def _joined(ops: Iterable[int | str]) -> Ops:
    """The operations in canonical form: neighbours of one kind joined, nothing kept at the end."""

    def kind(op: int | str) -> int:
        return 0 if isinstance(op, str) else 1 if op > 0 else -1

    result: list[int | str] = []
    for _, stretch in groupby(ops, kind):
        parts = list(stretch)
        result.append("".join(parts) if isinstance(parts[0], str) else sum(parts))  # type: ignore[arg-type]
    if result and kind(result[-1]) == 1:
        result.pop()
    return tuple(result)


def _stands(graph: EventGraph, back: list[tuple[bool, int, int, int, int]]) -> list[Standing]:
    """What the text that comes back stands for, in as few stretches as will do."""
    result: list[Standing] = []
    done = 0
    for _, _, length, deleter, nth in back:
        stand = Standing(done, length, Id(*graph.id_of(deleter)), nth)
        done += length
        if result and (result[-1].deleter, result[-1].nth + result[-1].length) == stand[2:]:
            at, length, _, nth = result.pop()
            stand = Standing(at, length + stand.length, stand.deleter, nth)
        result.append(stand)
    return result
