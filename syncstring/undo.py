"""Taking a patch back, through everybody's later ones.

The law of this room. What the patch inserted and still stands goes; what it deleted and nobody else
deleted comes back in its old place; nothing else changes, wherever the text around has moved and whatever
looks like it. Text that comes back is new text: it *stands for* the old one, so that taking back who wrote
that takes it along, and who deleted it once doesn't bring it back twice. The answer is an ordinary delta on
the newest text.

What stands for what is known to who took something back (`Standings`); characters are followed through a
weave, never by likeness. It doesn't know sessions, stacks or clocks. The slow twin is `Reference.inverse`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from syncstring._patch import Ops
from syncstring.history import History
from syncstring.patch import Id

__all__ = ["Standing", "Standings", "inverse"]


class Standing(NamedTuple):
    """A stretch of what a patch inserted, and what it stands for."""

    at: int
    """Where it begins in the patch's inserted text, in code points."""
    length: int
    deleter: Id
    """The patch that deleted what it stands for."""
    nth: int
    """How many code points that patch deleted before it, in the text's order."""


Standings: TypeAlias = Mapping[Id, list[Standing]]
"""For each patch that took one back: what its inserted text stands for, ascending."""

# A character by where it lies: its offset in the pool of inserted texts, or -1 - its offset in the base text.
_Place: TypeAlias = int


def inverse(history: History, ids: Iterable[Id], standings: Standings) -> tuple[Ops, list[Standing]]:
    """What takes these patches back from the newest text, and what the text it inserts stands for.

    Of several patches taken back together, what one inserted and another deleted stays away. Law, for one
    patch: `ops_apply(text, ops) == Reference(patches).inverse(id, heads, stands_for)`.
    `UnknownVersion` for an id that isn't here. O(events since before the oldest of them).
    """
    graph, merge = history.graph, history.merge
    mine = {history.event(id) for id in ids}
    if not mine:
        return (), []
    first = graph.critical_floor(min(mine))
    rows = merge.weave_from(first).rows()
    inserted = [graph.text_range(event) for event in mine]
    substitutes = _Substitutes(history, rows, first, standings)
    base: str | None = None
    counts = dict.fromkeys(mine, 0)  # code points deleted by each so far, in the text's order
    ops: list[int | str] = []
    stands: list[Standing] = []
    restored = 0
    for event, start, length, killers in rows:
        place = -1 - start if event < 0 else start
        step = -1 if event < 0 else 1
        if not killers:
            if event in mine:
                _put(ops, -length)
            elif event in substitutes.events:
                for i in range(length):
                    gone = any(
                        lower <= origin < upper
                        for origin in substitutes.origins(place + step * i)
                        for lower, upper in inserted
                    )
                    _put(ops, -1 if gone else 1)
            else:
                _put(ops, length)
            continue
        if event not in mine and mine.issuperset(killers):
            back = [i for i in range(length) if substitutes.all_deleted_by(place + step * i, mine)]
            if back:
                if event >= 0:
                    text = graph.pool.read(start, length)
                else:
                    base = merge.text(first) if base is None else base
                    text = base[start : start + length]
                deleter = killers[0]
                for i in back:
                    _put(ops, text[i])
                    _stand(stands, restored, Id(*graph.id_of(deleter)), counts[deleter] + i)
                    restored += 1
        for killer in killers:
            if killer in mine:
                counts[killer] += length
    while ops and isinstance(ops[-1], int) and ops[-1] > 0:
        ops.pop()
    return tuple(ops), stands


def _put(ops: list[int | str], op: int | str) -> None:
    """Append an operation, joined with one of its kind."""
    if ops:
        last = ops[-1]
        if isinstance(op, str):
            if isinstance(last, str):
                ops[-1] = last + op
                return
        elif isinstance(last, int) and (last > 0) == (op > 0):
            ops[-1] = last + op
            return
    ops.append(op)


def _stand(stands: list[Standing], at: int, deleter: Id, nth: int) -> None:
    if stands:
        last = stands[-1]
        if last.deleter == deleter and last.at + last.length == at and last.nth + last.length == nth:
            stands[-1] = last._replace(length=last.length + 1)
            return
    stands.append(Standing(at, 1, deleter, nth))


class _Substitutes:
    """What stands for what, in one weave."""

    def __init__(
        self,
        history: History,
        rows: list[tuple[int, int, int, tuple[int, ...]]],
        first: int,
        standings: Standings,
    ) -> None:
        graph = history.graph
        self.events: set[int] = set()
        self._origin: dict[_Place, _Place] = {}
        self._others: dict[_Place, list[_Place]] = {}
        self._killers: dict[_Place, tuple[int, ...]] = {}
        known = [(graph.find(*id), stands) for id, stands in standings.items()]
        known = [(event, stands) for event, stands in known if event >= first]
        if not known:
            return
        deleted = _deleted_by(
            rows, {graph.find(*stand.deleter) for _, stands in known for stand in stands} - {-1}
        )
        for event, stands in sorted(known, key=lambda pair: pair[0]):
            self.events.add(event)
            begin, _ = graph.text_range(event)
            for stand in stands:
                places = deleted.get(graph.find(*stand.deleter), [])[stand.nth : stand.nth + stand.length]
                for i, place in enumerate(places):  # none, where the deleter is older than the weave
                    self._origin[begin + stand.at + i] = place
        for place in self._origin:
            for origin in self.origins(place):
                self._others.setdefault(origin, []).append(place)
        for event, start, length, killers in rows:
            if event in self.events:
                self._killers.update(dict.fromkeys(range(start, start + length), killers))

    def origins(self, place: _Place) -> list[_Place]:
        """What the character stands for, and what that stands for, and so on."""
        result = []
        while (origin := self._origin.get(place)) is not None:
            result.append(origin)
            place = origin
        return result

    def all_deleted_by(self, place: _Place, mine: set[int]) -> bool:
        """Whether nobody else had a hand in what stands for the character."""
        return all(
            self._killers[other] and mine.issuperset(self._killers[other])
            for other in self._others.get(place, ())
        )


def _deleted_by(
    rows: list[tuple[int, int, int, tuple[int, ...]]], events: set[int]
) -> dict[int, list[_Place]]:
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
