"""Time travel: the versions in a row, any of them as text, and who wrote what in it.

The law of this room. A version is a set of patches, named by its heads for ever. Numbers and times are only
questions about what is known now: `n` means the first n patches in time order, a time means all up to it,
and a late patch changes the answer, never a version. What is listed once (`versions`) stays as it was.
Objects are made when looked at, so a million versions cost nothing until then.

It doesn't know how texts come about (`merge.py`), nor what time it is: `now` is passed in.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple, TypeAlias, overload

from syncstring._patch import Splice, compose, ops_splices
from syncstring.errors import AmbiguousVersion, PatchError, UnknownVersion
from syncstring.history import History
from syncstring.merge import Merge
from syncstring.patch import Id
from syncstring.refs import Moment, Number, Prefixes, micros, parse_ref

__all__ = ["Ref", "Run", "Timeline", "Version", "Versions"]

Heads: TypeAlias = Iterable[tuple[int, str]]
Ref: TypeAlias = "int | str | datetime | Version | tuple[int, str] | Heads"
"""A version by number, by id or the beginning of one, by tag, by time, or by its heads."""

_SHORTEST = 4
_MARK_EVERY = 64
_EVENT_BITS = 32
_EVENT_MASK = (1 << _EVENT_BITS) - 1


class Run(NamedTuple):
    """A stretch of a text that one patch inserted."""

    pos: int
    """Where it begins, in code points."""
    text: str
    id: Id
    author: str
    time: int
    wall: int


class Version:
    """A point in history. Equal where the patches it contains are the same.

    `n`: how many patches it contains, if it is the first n in time order. `id`: of the patch that is its last
    one; None for the empty version, and for one that is named by several heads.
    """

    __slots__ = ("_event", "_graph", "_heads", "_merge", "_row", "n")

    def __init__(
        self,
        merge: Merge,
        n: int | None,
        event: int,
        heads: tuple[Id, ...] | None = None,
        row: Versions | None = None,
    ) -> None:
        self._merge = merge
        self._graph = merge.graph
        self._event = event  # of the last patch, -1: none
        self._heads = heads
        self._row = row
        self.n = n

    @property
    def id(self) -> Id | None:
        return None if self._event < 0 else Id(*self._graph.id_of(self._event))

    @property
    def heads(self) -> tuple[Id, ...]:
        """Ids, ascending."""
        if self._heads is None:
            assert self._row is not None and self.n is not None
            self._heads = self._row.heads(self.n)
        return self._heads

    @property
    def author(self) -> str:
        return "" if self._event < 0 else self._graph.author_of(self._event)

    @property
    def session(self) -> str:
        return "" if self._event < 0 else self._graph.id_of(self._event)[1]

    @property
    def time(self) -> int:
        """Microseconds since the epoch, by the clock that orders patches; 0 for the empty version."""
        return 0 if self._event < 0 else self._graph.time_of(self._event)

    @property
    def wall(self) -> int:
        """Microseconds since the epoch, by its author's own clock."""
        return 0 if self._event < 0 else self._graph.wall_of(self._event)

    @property
    def message(self) -> str | None:
        return None if self._event < 0 else self._graph.message_of(self._event)

    @property
    def inserted(self) -> int:
        """How many code points its last patch inserts; none if that doesn't fit its parents' text."""
        return self._totals()[0]

    @property
    def deleted(self) -> int:
        """How many code points its last patch deletes."""
        return self._totals()[1]

    def _totals(self) -> tuple[int, int, int]:
        graph = self._graph
        if self._event < 0:
            return 0, 0, 0
        if graph.size_of(self._event) < 0:  # nobody asked yet whether it fits
            self._merge.script(graph.place_of(self._event) + 1)
        return (0, 0, 0) if graph.is_misfit(self._event) else graph.totals(self._event)

    @property
    def summary(self) -> str:
        """What its last patch did, in few characters: `+18 -7 "…drag the slider"`."""
        inserted, deleted, _ = self._totals()
        counts = f"+{inserted} -{deleted}"
        if not inserted:
            return counts
        graph = self._graph
        start, _ = graph.text_range(self._event)
        words = " ".join(graph.pool.read(start, min(inserted, 60)).split())
        if not words:
            return counts
        return f'{counts} "{words if len(words) <= 30 and inserted <= 60 else words[:29] + "…"}"'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.heads == other.heads

    def __hash__(self) -> int:
        return hash(self.heads)

    def __repr__(self) -> str:
        id = self.id
        return f"<Version {self.n}{f' {id}' if id else ''} {self.author} {self.summary}>"


class Versions(Sequence[Version]):
    """Versions 0 to n as they were when this was made; `versions[n].n == n`. Made when asked for."""

    def __init__(self, history: History) -> None:
        self._merge = history.merge
        self._graph = history.graph
        self._length = len(history)
        # Of a chain no order need be written down: that took a tenth of reading one from packs.
        linear = self._graph.linear_until(0) >= self._length
        self._order: Sequence[int] = range(self._length) if linear else self._graph.order_until(self._length)
        # The heads after every so many events of one concurrent stretch, the last one that was asked about.
        self._marked = -1
        self._marks: list[frozenset[int]] = []

    def __len__(self) -> int:
        return self._length + 1

    @overload
    def __getitem__(self, index: int) -> Version: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Version]: ...
    def __getitem__(self, index: int | slice) -> Version | Sequence[Version]:
        if isinstance(index, slice):
            return _Slice(self, range(len(self))[index])
        try:
            return self._version(range(len(self))[index])
        except IndexError:
            raise IndexError(f"no version {index}: there are versions 0 to {self._length}") from None

    def _version(self, n: int, heads: tuple[Id, ...] | None = None) -> Version:
        return Version(self._merge, n, self._order[n - 1] if n else -1, heads, self)

    def heads(self, n: int) -> tuple[Id, ...]:
        """The heads of version n. O(the concurrent stretch it lies in) for the first one asked for in it,
        then O(1) but for their number."""
        graph = self._graph
        n = range(len(self))[n]
        # What is critical now was so then, and has the same events in it.
        first = graph.critical_floor(min(n, self._length))
        if self._marked != first:
            self._marked, self._marks = first, [frozenset(graph.prefix_heads(first))]
        mark = min((n - first) // _MARK_EVERY, len(self._marks) - 1)
        heads = set(self._marks[mark])
        for at, event in enumerate(self._order[first + mark * _MARK_EVERY : n], start=mark * _MARK_EVERY + 1):
            heads.difference_update(graph.parents_of(event))
            heads.add(event)
            if at == len(self._marks) * _MARK_EVERY:
                self._marks.append(frozenset(heads))
        return tuple(sorted(Id(*graph.id_of(event)) for event in heads))

    def __iter__(self) -> Iterator[Version]:
        return self._iterate(range(len(self)))

    def _iterate(self, chosen: range) -> Iterator[Version]:
        """Going forward, heads are carried along: O(heads) each, not O(stretch)."""
        if chosen.step < 0:
            yield from map(self._version, chosen)
            return
        graph = self._graph
        heads: set[int] | None = None
        at = 0
        for n in chosen:
            if heads is None:
                first = graph.critical_floor(n)
                heads, at = set(graph.prefix_heads(first)), first
            for event in self._order[at:n]:
                heads.difference_update(graph.parents_of(event))
                heads.add(event)
            at = n
            yield self._version(n, tuple(sorted(Id(*graph.id_of(event)) for event in heads)))


class _Slice(Sequence[Version]):
    """Some of the versions, as lazy as all of them."""

    def __init__(self, versions: Versions, chosen: range) -> None:
        self._versions = versions
        self._chosen = chosen

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> Version: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Version]: ...
    def __getitem__(self, index: int | slice) -> Version | Sequence[Version]:
        if isinstance(index, slice):
            return _Slice(self._versions, self._chosen[index])
        return self._versions._version(self._chosen[index])

    def __iter__(self) -> Iterator[Version]:
        return self._versions._iterate(self._chosen)


class Timeline:
    """The versions of one history, by any of their names. Follows the history as it grows.

    `tags` says which heads a tag means. `now()` gives microseconds since the epoch; without it, times that
    are relative to the present are refused. `zone` is where times of day are meant, local by default.
    """

    def __init__(
        self,
        history: History,
        tags: Mapping[str, tuple[Id, ...]] | None = None,
        now: Callable[[], int] | None = None,
        zone: tzinfo | None = None,
    ) -> None:
        if zone is not None and not isinstance(zone, tzinfo):
            raise PatchError(f"zone is {zone!r:.40}; it is a tzinfo, as of zoneinfo, or None for local time")
        self.history = history
        self.tags: dict[str, tuple[Id, ...]] = dict(tags or {})
        self._now = now
        self._zone = zone
        self._versions: Versions | None = None
        self._names: list[int] = []  # hash and event in one number, sorted: see `_beginning_with`
        self._named = self._rebuilds = 0

    @property
    def versions(self) -> Versions:
        """All versions known now; a patch that comes later shows in the next one. O(1) if none came."""
        self.history.whole()
        kept = self._versions
        if kept is None or kept._graph is not self.history.graph or len(kept) != len(self.history) + 1:
            kept = self._versions = Versions(self.history)
        return kept

    # --- names ------------------------------------------------------------

    def version(self, ref: Ref) -> Version:
        """The version that a name means now.

        `UnknownVersion` if there is none, `AmbiguousVersion` (which it is one of) if there are several,
        `PatchError` if it can't be a name. O(log n), and for the first id that is asked for O(n log n).
        """
        self.history.whole()
        if isinstance(ref, Version):
            return self._of_heads(ref.heads)
        if isinstance(ref, bool):
            raise PatchError(f"{ref!r} is no version's name")
        if isinstance(ref, int):
            return self._of_number(ref)
        if isinstance(ref, datetime):
            return self._of_number(self._until(micros(ref)))
        if isinstance(ref, str):
            return self._of_text(ref)
        if isinstance(ref, tuple) and len(ref) == 2 and isinstance(ref[1], str):
            return self._of_event(self.history.event(ref))
        return self._of_heads(ref)

    def _of_text(self, ref: str) -> Version:
        if ref in self.tags:
            return self._of_heads(self.tags[ref])
        parsed = parse_ref(ref, self._now, self._zone)
        if isinstance(parsed, Number):
            return self._of_number(parsed.n)
        if isinstance(parsed, Prefixes):
            events = [self._beginning_with(digits) for digits in parsed.digits]
            return self._of_event(events[0]) if len(events) == 1 else self._of_heads(self.history.ids(events))
        if isinstance(parsed, Moment):
            return self._of_number(self._until(parsed.time))
        raise UnknownVersion(
            f"no version {ref!r:.60}: it is no tag here, no number of patches, no id (at least "
            f"{_SHORTEST} hex digits, one of them a letter) and no time"
        )

    def _of_number(self, n: int) -> Version:
        versions = self.versions
        if not 0 <= n < len(versions):
            raise UnknownVersion(f"no version {n}: there are versions 0 to {len(versions) - 1}")
        return versions[n]

    def _of_event(self, event: int) -> Version:
        id = Id(*self.history.graph.id_of(event))
        return Version(self.history.merge, self._number((event,)), event, (id,))

    def _of_heads(self, heads: Heads) -> Version:
        events = self.history.events(heads)
        event = events[0] if len(events) == 1 else -1
        number = self._number(events)
        if number and event < 0:
            event = self.history.graph.event_at(number - 1)
        return Version(self.history.merge, number, event, self.history.ids(events))

    def _number(self, events: tuple[int, ...]) -> int | None:
        """n, if these are the heads of the first n patches. O(the concurrent stretch they lie in)."""
        graph = self.history.graph
        n = max((graph.place_of(event) for event in events), default=-1) + 1
        return n if tuple(sorted(events)) == graph.heads_at(n) else None

    def _until(self, time: int) -> int:
        return self.history.graph.count_until(max(0, min(time, (1 << 62))))

    def _beginning_with(self, digits: str) -> int:
        """The event whose id is written with these digits first."""
        low = int(digits.ljust(16, "0"), 16)
        high = int(digits.ljust(16, "f"), 16)
        found = self._named_between(low, high)
        if not found:
            raise UnknownVersion(f"no version {digits}: no patch here has an id that begins so")
        if len(found) > 1:
            some = ", ".join(f"{name:016x}" for name, _ in found[:3])
            raise AmbiguousVersion(f"version {digits} is one of {len(found)}: {some}…; give more digits")
        return found[0][1]

    def _named_between(self, low: int, high: int) -> list[tuple[int, int]]:
        names = self._sorted_names()
        start = bisect_left(names, low << _EVENT_BITS)
        stop = bisect_left(names, (high + 1) << _EVENT_BITS)
        return [(name >> _EVENT_BITS, name & _EVENT_MASK) for name in names[start:stop]]

    def _sorted_names(self) -> list[int]:
        graph = self.history.graph
        if self._rebuilds != self.history.rebuilds:
            self._names, self._named, self._rebuilds = [], 0, self.history.rebuilds
        if self._named < len(graph):
            hash_of = graph.hash_of
            self._names += [hash_of(event) << _EVENT_BITS | event for event in range(self._named, len(graph))]
            self._names.sort()  # the old part is a run already: the new ones are merged in
            self._named = len(graph)
        return self._names

    def short(self, id: tuple[int, str]) -> str:
        """How an id is written for people: the first digits that no other id here begins with, at least
        four and with a letter among them. O(log n), and O(n log n) for the first."""
        event = self.history.event(id)
        names = self._sorted_names()
        own = self.history.graph.hash_of(event)
        at = bisect_left(names, own << _EVENT_BITS | event)
        length = _SHORTEST
        for near in (at - 1, at + 1):
            if 0 <= near < len(names):
                # As many digits as they have in common, and one more.
                same = (64 - (own ^ names[near] >> _EVENT_BITS).bit_length()) // 4
                length = max(length, min(same + 1, 16))
        digits = f"{own:016x}"
        while digits[:length].isdigit():
            length += 1
        return digits[:length]

    # --- texts ------------------------------------------------------------

    def events(self, ref: Ref) -> tuple[int, ...]:
        """The heads that a name means, as events of the history's graph."""
        return self.history.events(self.version(ref).heads)

    def text(self, ref: Ref) -> str:
        """The text at a version."""
        version = self.version(ref)
        return self.history.text_at(version.heads)

    def diff(self, a: Ref, b: Ref) -> list[Splice]:
        """The splices that turn version a's text into version b's, each no longer than it need be.

        They follow the characters themselves, not their likeness: text that both versions show is kept, and
        text that was deleted and written anew counts as both. Law: `apply(text(a), diff(a, b)) == text(b)`.
        """
        return ops_splices(compose(self.history.merge.between(self.events(a), self.events(b))))

    def blame(self, at: Ref | None = None) -> list[Run]:
        """Who wrote what a version (the newest by default) shows: runs in order, together its text.

        Neighbours by one patch are joined. O(history before it).
        """
        self.history.whole()
        graph = self.history.graph
        heads = graph.heads if at is None else self.events(at)
        result: list[Run] = []
        pos = 0
        parts: list[str] = []
        last = -1
        for event, start, length in [*self.history.merge.runs(heads), (-1, 0, 0)]:
            if event != last and parts:
                text = "".join(parts)
                id = Id(*graph.id_of(last))
                result.append(Run(pos, text, id, graph.author_of(last), id.time, graph.wall_of(last)))
                pos += len(text)
                parts = []
            last = event
            if length:
                parts.append(graph.pool.read(start, length))
        return result
