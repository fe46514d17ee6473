"""The history of a document: which patches are known, which wait, and what each version says.

The law of this room. What is answered depends on the set of patches alone, not on how or in which order
they came: verdicts, problems and texts are the same on every replica that was given the same set. A patch
takes its place when all its parents have theirs; until then it is *parked* and counts for nothing. What
is malformed is set aside with its reason. Two contents under one id: the one with the smaller digest
counts, the other is reported, and what was built on the wrong one is built again. A patch that doesn't
fit its parents' text counts as an empty one. Nothing that took its place is ever forgotten; what waits may
be dropped by whoever can have it given again.

It doesn't know sessions, clocks or stores. Events are numbered and ordered in `_graph`, merged in `merge.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from syncstring import pack
from syncstring._graph import EventGraph
from syncstring._patch import Splice
from syncstring._placed import Placed
from syncstring._text import TextBuffer
from syncstring.errors import (
    ConflictingPatch,
    HistoryTruncated,
    MalformedRow,
    PatchError,
    SyncstringError,
    UnknownVersion,
    UnsupportedVersion,
)
from syncstring.merge import Merge
from syncstring.patch import Id, Patch

__all__ = ["Base", "History", "weight"]


@dataclass(frozen=True)
class Base:
    """A version that a history begins with, instead of at its beginning: all that is needed to go on from
    there, as long as no patch is concurrent to anything in it."""

    heads: tuple[Id, ...]
    count: int
    """Patches in it."""
    text: str


def weight(patch: Patch) -> int:
    """About how many bytes a patch takes in memory: its texts in UTF-8, and what a list of many small
    operations or parents takes beside them, of which a row may hold 100,000 and 1,024. O(len(delta))."""
    size = 50 * len(patch.ops) + 150 * len(patch.parents)
    for op in patch.ops:
        if isinstance(op, str):
            size += len(op) if op.isascii() else len(op.encode())
    return size + 4 * (len(patch.author) + len(patch.message or ""))


class History(Placed):
    """Patches of one document, in any order, some perhaps twice; and the text of every version of it.

    `patches` are `Patch`es or rows of table `patches`. `PatchError` for anything else, and then nothing
    is taken in. What is wrong with what came from outside is no exception: see `problems`.

    With a `base`, what came before it isn't there: a patch that knows only a part of it is parked, and
    questions about the past raise `HistoryTruncated`.
    """

    def __init__(self, patches: Iterable[Patch | Mapping[str, Any]] = (), base: Base | None = None) -> None:
        self.base: Base | None = base
        self.rebuilds = 0
        """How often another content won an id, so that `graph` and `merge` are new objects."""
        self._parked = {}
        self.parked_size = 0
        """About how many bytes the parked patches take, by `weight`."""
        self._waiting = {}  # an unknown parent -> who waits for it
        self._losers = {}  # digests of the contents that lost an id
        self._settled = set()  # ids whose content a store has decided
        # What was wrong, in words: an exception that is kept would keep the rows it was raised for.
        self._malformed: set[str] = set()
        self._unsupported: set[str] = set()
        self.read_only = False
        self._judged = 0  # events known to be judged
        self._placing = None  # what took its place in a call that memory ran out in
        self._plant()
        self.add(patches)

    @classmethod
    def of_graph(cls, graph: EventGraph) -> History:
        """The history whose patches are the events of a graph, which is handed over. O(1)."""
        history = cls()
        history.graph = graph
        history.merge = Merge(graph)
        return history

    @classmethod
    def of_packs(
        cls, packs: Iterable[tuple[bytes, bytes]], rest: Iterable[Patch | Mapping[str, Any]] = ()
    ) -> History:
        """The history in packs, oldest first, each given as its two sections; and what is in none, which may
        be in one all the same. Of two contents in packs the later one counts. Raises what `pack.decode` does.
        O(n); no object is made for a packed patch."""
        sections = list(packs)
        graph, text = EventGraph(), TextBuffer()
        count = 0  # events that the text is of
        try:
            for known, body in sections:
                pack.append(graph, known, body, None if len(graph) else text)
                if graph.folded and not count:
                    count = len(graph)
            history = cls.of_graph(graph)
            if count:
                history.merge.keep(count, str(text))
        except LookupError:  # packs overlap, or one is missing
            packed = (patch for known, body in sections for patch in pack.decode(known, body))
            history = cls({patch.id: patch for patch in packed}.values())
        history.add(rest)
        return history

    def _plant(self) -> None:
        """Begin a graph: with nothing, or with the base as one event that inserted its text."""
        self.graph = EventGraph()
        self.merge = Merge(self.graph)
        if self.base is not None:
            ops = (self.base.text,) if self.base.text else ()
            self.graph.append(max(self.base.heads).time, "", (), ops, "", 0)

    # --- taking in ------------------------------------------------------------

    def add(
        self,
        patches: Iterable[Patch | Mapping[str, Any]],
        stored: bool = False,
        derive: Callable[[EventGraph], object] | None = None,
    ) -> list[Patch]:
        """Take patches in; those that took their place by it are returned, parents first.

        With `stored`, they are surely in a store, and so win every conflict, for good.

        O(log n) each, and less where they follow each other. Where another content wins a known id, all is
        built again: O(n log n). Then `derive` is called with the graph that takes the place of `graph` next;
        what it raises leaves everything in place. Where memory runs out, each patch is in or not; the next
        call that doesn't fail returns those that are, too.
        """
        placed = self._placing if self._placing is not None else []
        if self._placing is not None:
            if placed and self.graph.find(*placed[-1].id) < 0:  # memory ran out while it took its place
                placed.pop()
            for id in [id for id in self._waiting if self.graph.find(*id) >= 0]:
                self._release(id, placed)
        self._placing = placed
        changed: dict[Id, Patch] = {}
        given = self.judged(patches)
        if stored:
            self._settled.update(patch.id for patch in given)
        went = self.place_all(given, placed)
        rest, went = sorted(given[went:], key=lambda patch: patch.id), 0
        while went < len(rest):
            patch = rest[went]
            known = changed.get(patch.id) or self.known(patch.id)
            if known is None:
                self._take(patch, placed)
            elif known != patch:
                winner, loser = sorted((known, patch), key=Patch.digest)
                if stored:
                    winner, loser = patch, known
                elif patch.id in self._settled:
                    winner, loser = known, patch
                losers = self._losers.setdefault(patch.id, set())
                losers.add(loser.digest())
                losers.discard(winner.digest())  # it may have lost before a store decided
                if winner is patch:
                    if patch.id in self._parked:
                        self._unpark(patch.id)
                        self._take(patch, placed)
                    else:
                        changed[patch.id] = patch
            went += 1
            if not changed:  # else the graph isn't what is known
                went = self.place_all(rest, placed, went)
        if not changed:
            self._placing = None
            return placed
        before = {id for event in self._own_events() if (id := self._id(event)) not in changed}
        before -= {patch.id for patch in placed}
        other = self._rebuilt(changed)
        result = [other.patch_of(event) for event in other._own_events() if other._id(event) not in before]
        if derive is not None:
            derive(other.graph)
        # Nothing fails from here on.
        self.graph, self.merge = other.graph, other.merge
        self._parked, self._waiting, self.parked_size = other._parked, other._waiting, other.parked_size
        self._judged, self.rebuilds = 0, other.rebuilds
        self._placing = None
        return result

    def judged(self, patches: Iterable[Patch | Mapping[str, Any]]) -> list[Patch]:
        """The well-formed ones; the others are set aside, and among `problems`. All or nothing where it is
        the caller's fault: `PatchError`."""
        if isinstance(patches, (Patch, Mapping, str)) or not isinstance(patches, Iterable):
            raise PatchError(f"a collection of patches is wanted, this is one {type(patches).__name__}")
        items = list(patches)
        if set(map(type, items)) <= {Patch}:  # nothing to ask of any
            return items  # type: ignore[return-value]
        for item in items:
            if not isinstance(item, (Patch, Mapping)):
                raise PatchError(f"{item!r:.60} is neither a Patch nor a row")
        result = []
        for item in items:
            try:
                result.append(item if isinstance(item, Patch) else Patch.from_row(item))
            except MalformedRow as error:
                self._malformed.add(str(error))
            except UnsupportedVersion as error:
                self._unsupported.add(str(error))
                self.read_only = True
        return result

    def known(self, id: Id) -> Patch | None:
        """The patch with that id that is here, be it parked."""
        event = self.graph.find(*id)
        return self.patch_of(event) if event >= 0 else self._parked.get(id)

    def _take(self, patch: Patch, placed: list[Patch]) -> None:
        """Place a new patch and all that waited for it, or park it."""
        parents = self._parents(patch)
        if -1 in parents:
            self._park(patch, patch.parents[parents.index(-1)] if patch.parents else Id(0, ""))
            return
        placed.append(patch)  # before it: see `add`
        self.append(patch, parents)
        self._release(patch.id, placed)

    def _release(self, id: Id, placed: list[Patch]) -> None:
        """Place what waited for a patch, and what waited for that; none leaves where it waits before."""
        todo = [id]
        while todo:
            id = todo[-1]
            waiting = self._waiting.get(id)
            if not waiting:
                self._waiting.pop(id, None)
                todo.pop()
                continue
            patch = self._parked.get(waiting[-1])
            if patch is None:  # memory ran out before it was parked, or placed
                waiting.pop()
                continue
            parents = self._parents(patch)
            if -1 in parents:
                self._park(patch, patch.parents[parents.index(-1)])
            else:
                left = self.parked_size - weight(patch)
                todo.append(patch.id)
                placed.append(patch)
                self.append(patch, parents)
                del self._parked[patch.id]
                self.parked_size = left
            waiting.pop()

    def _parents(self, patch: Patch) -> list[int]:
        """The events that a patch's parents are, in its order; -1 for what isn't here. Beside a base, a patch
        without parents waits for what came before."""
        if self.base is not None and patch.parents == self.base.heads:
            return [0]
        if self.base is not None and not patch.parents:
            return [-1]
        return [self.graph.find(time, session) for time, session in patch.parents]

    def append(self, patch: Patch, parents: list[int] | None = None) -> int:
        """Place a new patch whose parents have their place; its event is returned."""
        parents = self._parents(patch) if parents is None else parents
        if len(parents) > 1:
            parents.sort()
        return self.graph.append(
            patch.time, patch.session, parents, patch.ops, patch.author, patch.wall, patch.message
        )

    def _park(self, patch: Patch, missing: Id) -> None:
        """One missing parent is enough to wait for; when it comes, the next one is looked for."""
        size = self.parked_size + (weight(patch) if patch.id not in self._parked else 0)
        self._waiting.setdefault(missing, []).append(patch.id)
        self._parked[patch.id] = patch  # last: whatever is parked waits for something
        self.parked_size = size

    def _unpark(self, id: Id) -> None:
        left = self.parked_size - weight(self._parked[id])
        patch = self._parked.pop(id)
        self.parked_size = left
        for parent in patch.parents:
            waiting = self._waiting.get(parent, [])
            if id in waiting:
                waiting.remove(id)
                if not waiting:
                    del self._waiting[parent]

    def drop_parked(self, count: int, size: int, kept: Container[Id] = ()) -> list[Patch]:
        """Drop parked patches, the newest first, until at most `count` of them and about `size` bytes are
        left; those with ids in `kept` stay. Those dropped are returned, in time order.

        They count as never given: whoever drops them gives them again, when their parents may be here. The
        newest, since no older one waits for them. All or nothing. O(n log n) for n that are parked, nothing
        where they are few enough.
        """
        many, left = len(self._parked), self.parked_size
        if many <= count and left <= size:
            return []
        dropped: dict[Id, Patch] = {}
        for id in sorted(self._parked, reverse=True):
            if many <= count and left <= size:
                break
            if id not in kept:
                dropped[id] = self._parked[id]
                many -= 1
                left -= weight(dropped[id])
        parked = {id: patch for id, patch in self._parked.items() if id not in dropped}
        waiting = {
            parent: rest
            for parent, ids in self._waiting.items()
            if (rest := [id for id in ids if id not in dropped])
        }
        result = list(reversed(dropped.values()))
        self._settled.difference_update(dropped)
        # Nothing fails from here on.
        self._parked, self._waiting, self.parked_size = parked, waiting, left
        return result

    def keep_verdicts(self, other: History) -> None:
        """This history takes the place of another: what was wrong with what was given there stays known."""
        self._malformed |= other._malformed
        self._unsupported |= other._unsupported
        self.read_only = self.read_only or other.read_only
        for id, digests in other._losers.items():
            here = self.known(id)
            if lost := digests - ({here.digest()} if here is not None else set()):
                self._losers.setdefault(id, set()).update(lost)

    def _rebuilt(self, changed: Mapping[Id, Patch]) -> History:
        """What is known, with other contents under some ids."""
        patches = [changed.get(self._id(event)) or self.patch_of(event) for event in self._own_events()]
        patches += self._parked.values()
        other = History(patches, self.base)
        other.rebuilds = self.rebuilds + 1
        return other

    # --- patches ------------------------------------------------------------

    def __len__(self) -> int:
        """How many patches have their place, those in the base included."""
        return len(self.graph) + (self.base.count - 1 if self.base else 0)

    def patches(self) -> list[Patch]:
        """Every patch that is here and not in the base, parked ones too, in time order."""
        here = [self.patch_of(event) for event in self._own_events()]
        return sorted([*here, *self._parked.values()], key=lambda patch: patch.id)

    def _own_events(self) -> range:
        """All events but the base."""
        return range(1 if self.base else 0, len(self.graph))

    def whole(self) -> None:
        """`HistoryTruncated` if it begins with a base."""
        if self.base is not None:
            raise HistoryTruncated(
                f"this needs what came before the checkpoint of {self.base.count:,} patches; read it first"
            )

    def __iter__(self) -> Iterator[Patch]:
        """Every patch that has its place, in time order."""
        self.whole()
        for place in range(len(self.graph)):
            yield self.patch_of(self.graph.event_at(place))

    def __contains__(self, id: object) -> bool:
        return isinstance(id, tuple) and len(id) == 2 and self._find(id) >= 0

    def _find(self, id: tuple[Any, Any]) -> int:
        time, session = id
        if type(time) is not int or not isinstance(session, str) or not 0 < time < 1 << 53:
            return -1
        return self.graph.find(time, session)

    def _id(self, event: int) -> Id:
        return Id(*self.graph.id_of(event))

    def patch(self, id: tuple[int, str]) -> Patch:
        """The patch with that id. `UnknownVersion` if none has its place."""
        return self.patch_of(self.event(id))

    def patch_of(self, event: int) -> Patch:
        """The patch of an event of `graph`."""
        graph = self.graph
        if self.base is None or 0 not in graph.parents_of(event):
            return Patch.of_event(graph, event)
        parents = self.ids(graph.parents_of(event))
        return Patch.trusted(
            self._id(event),
            parents,
            graph.ops_of(event),
            graph.author_of(event),
            graph.wall_of(event),
            graph.message_of(event),
        )

    def event(self, id: tuple[int, str]) -> int:
        """The event of `graph` with that id. `UnknownVersion` if there is none."""
        if not isinstance(id, tuple) or len(id) != 2 or not isinstance(id[1], str):
            raise PatchError(f"{id!r:.60} is no id; that is (time, session)")
        event = self._find(id)
        if event < 0 and self.base is not None:
            if self.base.heads == (id,):
                return 0
            self.whole()
        if event < 0:
            waits = ", it waits for its parents" if id in self._parked else "; it may not have arrived yet"
            raise UnknownVersion(f"no patch {tuple(id)!r:.80} here{waits}")
        return event

    def events(self, heads: Iterable[tuple[int, str]]) -> tuple[int, ...]:
        """The events that name a version, ascending, none an ancestor of another. `UnknownVersion` for an
        id that isn't here."""
        if isinstance(heads, (str, bytes)) or not isinstance(heads, Iterable):
            raise PatchError(f"{heads!r:.60} are no heads; those are a collection of ids (time, session)")
        ids = list(heads)
        if self.base is not None:
            newer = [id for id in ids if id not in self.base.heads]
            if not newer and set(ids) == set(self.base.heads):
                return (0,)
            ids = newer or ids
        return self.graph.dominators([self.event(id) for id in ids])

    def ids(self, events: Iterable[int]) -> tuple[Id, ...]:
        """The ids of events, ascending."""
        if self.base is None:
            ids = [self._id(event) for event in events]
            return tuple(sorted(ids)) if len(ids) > 1 else tuple(ids)
        some = list(events)
        known = [self._id(event) for event in some if event]
        return tuple(sorted([*known, *self.base.heads] if 0 in some else known))

    @property
    def heads(self) -> tuple[Id, ...]:
        """Ids of the patches that no other has as parent, ascending: the name of all that is known."""
        return self.ids(self.graph.heads)

    @property
    def parked(self) -> tuple[Patch, ...]:
        """The patches that wait for a parent, in time order."""
        return tuple(self._parked[id] for id in sorted(self._parked))

    @property
    def waiting(self) -> Set[Id]:
        """The ids of `parked`, as they are from moment to moment."""
        return self._parked.keys()

    @property
    def missing(self) -> tuple[Id, ...]:
        """The ids that parked patches name as parents and that are nowhere, ascending."""
        named = {parent for patch in self._parked.values() for parent in patch.parents}
        return tuple(sorted(id for id in named if id not in self._parked and self.graph.find(*id) < 0))

    def since(self, heads: Iterable[tuple[int, str]]) -> list[Patch]:
        """The patches that a version with these heads lacks, in time order. O(k log k) for k of them."""
        self.whole()
        ahead, _ = self.graph.difference(self.graph.heads, self.events(heads))
        return [self.patch_of(event) for event in sorted(ahead, key=self.graph.id_of)]

    @property
    def problems(self) -> list[SyncstringError]:
        """What is wrong with what was given, once each, in an order that doesn't depend on arrival:
        `UnsupportedVersion`, `ConflictingPatch` (another content lost), `MalformedRow` (set aside, or one
        that doesn't fit its parents' text and counts as empty). O(what was not yet merged by anybody)."""
        self._judge()
        result: list[SyncstringError] = [UnsupportedVersion(text) for text in sorted(self._unsupported)]
        for id in sorted(self._losers):
            others = len(self._losers[id])
            result.append(
                ConflictingPatch(
                    f"patch {tuple(id)}: {others} other content{'s' if others > 1 else ''} under this id; "
                    "the one with the smallest digest counts. Was a session id used twice?"
                )
            )
        result += [MalformedRow(text) for text in sorted(self._malformed)]
        for event in sorted(self.graph.misfits, key=self.graph.id_of):
            result.append(
                MalformedRow(
                    f"patch {self.graph.id_of(event)}: its delta is for a text of "
                    f"{self.graph.totals(event)[2]} code points or more, its parents' has "
                    f"{self.graph.size_of(event)}; it counts as empty"
                )
            )
        return result

    def _judge(self) -> None:
        """See to it that every event has its verdict: merging gives it, and it never changes."""
        graph = self.graph
        while self._judged < len(graph) and graph.size_of(self._judged) >= 0:
            self._judged += 1
        if self._judged < len(graph):
            self.merge.script(len(graph))

    @property
    def unsupported(self) -> UnsupportedVersion | None:
        """Why this library can't write here: something of a later format was given. None if it can."""
        return UnsupportedVersion(min(self._unsupported)) if self._unsupported else None

    # --- texts ------------------------------------------------------------

    def text(self, n: int | None = None) -> str:
        """The text of the first `n` patches in time order, of all by default. `UnknownVersion` beyond."""
        return self.merge.text(self._prefix(n))

    def _prefix(self, n: int | None) -> int:
        if n is None:
            return len(self.graph)
        if type(n) is not int:
            raise PatchError(f"{n!r:.40} is no number of patches")
        if not 0 <= n <= len(self):
            raise UnknownVersion(f"no version {n}: there are versions 0 to {len(self)}")
        if self.base is not None:
            if n < self.base.count:
                self.whole()
            n -= self.base.count - 1
        return n

    def text_at(self, heads: Iterable[tuple[int, str]]) -> str:
        """The text of the version with these heads, for ever the same. `UnknownVersion` for an id that
        isn't here. O(the concurrent stretch it lies in, plus the way from the nearest checkpoint)."""
        return self.merge.text_at(self.events(heads))

    def splices(self) -> list[list[Splice]]:
        """For each patch in time order, what leads from the version without it to the one with it."""
        self.whole()
        return [self.merge.splices(n) for n in range(1, len(self.graph) + 1)]

    def drop_caches(self) -> None:
        """Forget everything that can be derived again. No answer changes."""
        self.merge.drop_caches()
