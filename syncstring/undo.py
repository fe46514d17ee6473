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

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple, TypeAlias

from syncstring._graph import EventGraph
from syncstring._patch import Ops
from syncstring.history import History
from syncstring.patch import Id, Patch

__all__ = ["Back", "Standing", "Taken", "Undone", "Undos", "inverse", "take_back"]


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

# A character by where it lies: its offset in the pool of inserted texts, or -1 - its offset in the base text.
_Place: TypeAlias = int
_Row: TypeAlias = tuple[int, int, int, tuple[int, ...]]  # of a weave: event, start, length, deleting events


class Back(NamedTuple):
    """What takes patches back from the newest text."""

    ops: Ops
    stands: list[Standing]
    """What the text that `ops` inserts stands for."""
    since: Since | None
    """From where on everything cancels out once `ops` is done, if that is known."""


class Taken(dict[Id, Undone]):
    """All that one took back."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[Id, Id] = {}  # by which patch each was taken back first, if that one was made

    def has(self, id: Id) -> bool:
        """Whether a patch was ever taken back."""
        undone = self.get(self._first.get(id, id))
        return undone is not None and id in undone.ids

    def put(self, id: Id, undone: Undone) -> None:
        for taken in undone.ids:
            if not self.has(taken):
                self._first[taken] = id
        self[id] = undone

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
    """What `inverse` answers, byte by byte; at the size of the patches where all that came since cancels out.

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

    Deleted text is read from the version before theirs, where `merge.CHECKPOINT_EVERY` events are replayed on
    a copy of the text if they are asked for one after the other, backward. Raises what `inverse` does.
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


class _Back(NamedTuple):
    """A stretch that comes back."""

    at: int  # its old place: how many code points of the weave lie before it
    text: str
    deleter: int
    nth: int


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
    first = graph.critical_floor(_reach(graph, min(mine), undos))
    rows = merge.weave_from(first).rows()
    inserted = [graph.text_range(event) for event in mine]
    known = _Known(graph, rows, first, undos, mine)
    base: str | None = None
    counts = dict.fromkeys(mine, 0)  # code points deleted by each so far, in the text's order
    shown: list[tuple[int, int]] = []  # what stands now: where, and what becomes of how much of it
    back: list[_Back] = []
    at = 0
    for event, start, length, killers in rows:
        places = range(-1 - start, -1 - start - length, -1) if event < 0 else range(start, start + length)
        if not killers:
            if event in mine:
                shown.append((at, -length))
            elif event not in known.events:
                shown.append((at, length))
            else:
                shown += [
                    (known.old_place(place, at + i), -1 if known.stands_for_any(place, inserted) else 1)
                    for i, place in enumerate(places)
                ]
        elif event not in mine and mine.issuperset(killers):
            nobody = (known.nobody_else_deleted(place) for place in places)
            for flag, i, stop in _runs(nobody) if known.events else [(True, 0, length)]:
                if flag and event < 0:
                    base = merge.text(first) if base is None else base
                    back.append(
                        _Back(at + i, base[start + i : start + stop], killers[0], counts[killers[0]] + i)
                    )
                elif flag:
                    text = graph.pool.read(start + i, stop - i)
                    back.append(_Back(at + i, text, killers[0], counts[killers[0]] + i))
        for killer in killers:
            if killer in mine:
                counts[killer] += length
        at += length
    shown.append((at, 1))  # the end, as something that stays; what is kept last isn't written
    return _joined(_woven(shown, back)), _stands(graph, back)


def _reach(graph: EventGraph, oldest: int, undos: Undos) -> int:
    """How far to look back from there so as to see what text that came back since stands for."""
    for event, undone in sorted(((graph.find(*id), undone) for id, undone in undos.items()), reverse=True):
        if event < oldest:
            break
        deleters = {graph.find(*stand.deleter) for stand in undone.stands} - {-1}
        oldest = min(oldest, *deleters, oldest)
    return oldest


def _runs(flags: Iterable[bool]) -> Iterator[tuple[bool, int, int]]:
    """Stretches of like flags: (flag, start, stop)."""
    stop = 0
    for flag, stretch in groupby(flags):
        start, stop = stop, stop + sum(1 for _ in stretch)
        yield flag, start, stop


def _woven(shown: Iterable[tuple[int, int]], back: list[_Back]) -> Iterator[int | str]:
    """Every stretch that comes back goes before the first one that stays and has its old place after it;
    so far before those that go, too."""
    done = 0

    def until(at: int) -> Iterator[str]:
        nonlocal done
        while done < len(back) and back[done].at < at:
            yield back[done].text
            done += 1

    going: list[tuple[int, int]] = []
    for at, op in shown:
        if op < 0:
            going.append((at, op))
            continue
        for old, gone in going:
            yield from until(min(old, at))
            yield gone
        going.clear()
        yield from until(at)
        yield op


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


def _stands(graph: EventGraph, back: list[_Back]) -> list[Standing]:
    """What the text that comes back stands for, in as few stretches as will do."""
    result: list[Standing] = []
    done = 0
    for _, text, deleter, nth in back:
        stand = Standing(done, len(text), Id(*graph.id_of(deleter)), nth)
        done += len(text)
        if result and (result[-1].deleter, result[-1].nth + result[-1].length) == stand[2:]:
            at, length, _, nth = result.pop()
            stand = Standing(at, length + stand.length, stand.deleter, nth)
        result.append(stand)
    return result


class _Known:
    """What is known of text that came back, in one weave, to who takes back the events `mine`."""

    def __init__(self, graph: EventGraph, rows: list[_Row], first: int, undos: Undos, mine: set[int]) -> None:
        self.events: set[int] = set()
        """Those whose text stands for other text."""
        self._mine = mine
        self._took: dict[int, set[int]] = {}  # which events an event took back
        self._origin: dict[_Place, _Place] = {}
        self._later: set[_Place] = set()  # came back when all of `mine` that deleted was known
        self._others: dict[_Place, list[_Place]] = {}
        self._fate: dict[_Place, tuple[int, tuple[int, ...]]] = {}  # who inserted it, who deleted it
        events = sorted((event, id) for id in undos if (event := graph.find(*id)) >= first)
        if not events:
            return
        deleters = {graph.find(*stand.deleter) for _, id in events for stand in undos[id].stands}
        deleted = _deleted_by(rows, deleters - {-1})
        knowing = _descendants(graph, mine) - mine  # what `mine` inserted has its own place, as it goes
        for event, id in events:
            self._took[event] = {graph.find(*taken) for taken in undos[id].ids}
            begin, _ = graph.text_range(event)
            for stand in undos[id].stands:
                self.events.add(event)
                gone = deleted.get(graph.find(*stand.deleter), [])[stand.nth : stand.nth + stand.length]
                places = range(begin + stand.at, begin + stand.at + len(gone))
                self._origin.update(zip(places, gone, strict=True))
                if event in knowing:
                    self._later.update(places)
        for place in self._origin:
            for origin in self._origins(place):
                self._others.setdefault(origin, []).append(place)
        spans = []
        at = 0
        for event, start, length, killers in rows:
            if event in self.events:
                self._fate.update(dict.fromkeys(range(start, start + length), (event, killers)))
            spans.append((-start - length if event < 0 else start, at, length if event < 0 else 0))
            at += length
        self._spans = sorted(spans)

    def _origins(self, place: _Place) -> list[_Place]:
        """What the character stands for, and what that stands for, and so on."""
        result = []
        while (origin := self._origin.get(place)) is not None:
            result.append(origin)
            place = origin
        return result

    def stands_for_any(self, place: _Place, ranges: list[tuple[int, int]]) -> bool:
        """Whether what the character stands for lies in one of these ranges of the pool."""
        return any(lower <= origin < upper for origin in self._origins(place) for lower, upper in ranges)

    def old_place(self, place: _Place, at: int) -> int:
        """Where in the weave the character stands, or what it stands for if it came back too late to have
        been seen beside what now comes back."""
        if place not in self._later:
            return at
        while place in self._later:
            place = self._origin[place]
        low, at, length = self._spans[bisect_right(self._spans, place, key=lambda span: span[0]) - 1]
        return at + (length - 1 - (place - low) if length else place - low)

    def nobody_else_deleted(self, place: _Place) -> bool:
        """Whether what stands for the character is gone by `mine` alone, or because its coming back was
        taken back."""
        for other in self._others.get(place, ()):
            event, killers = self._fate[other]
            hands = (killer in self._mine or event in self._took.get(killer, ()) for killer in killers)
            if not killers or not all(hands):
                return False
        return True


def _descendants(graph: EventGraph, events: set[int]) -> set[int]:
    """The events and all that know of any of them."""
    result = set(events)
    for event in range(min(events) + 1, len(graph)):
        if not result.isdisjoint(graph.parents_of(event)):
            result.add(event)
    return result


def _deleted_by(rows: list[_Row], events: set[int]) -> dict[int, list[_Place]]:
    """For each of these events, the characters that it deleted, in the text's order."""
    result: dict[int, list[_Place]] = {event: [] for event in events}
    for event, start, length, killers in rows:
        for killer in killers:
            if killer in events:
                if event < 0:
                    result[killer].extend(range(-1 - start, -1 - start - length, -1))
                else:
                    result[killer].extend(range(start, start + length))
    return result
