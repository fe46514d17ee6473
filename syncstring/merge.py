"""The one answer every replica gets: the text at any version, and the splices between any two.

The law of this room. What is answered is a pure function of the events a version contains (promises 1
and 3 of the design): not of arrival order, of what was asked before, or of what is cached. Everything
kept here (the script, weaves, checkpoints, a warm walker) can be dropped at any time; no answer changes.

How a history is cut up decides what an answer costs. Between critical versions that follow each other
directly the history is *linear*: an event's own splices are right as they stand. What lies between two
critical versions that don't is a *bubble*: it is walked once (`_walker`), leaving a weave (`_weave`).
Any version lies within one bubble, or between two linear events: it is the prefix up to there, plus a
filter over that weave.

It doesn't know ids, rows or clocks: events are numbers, versions tuples of them. Source: Gentle &
Kleppmann, "Collaborative Text Editing with Eg-walker", EuroSys 2025.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from syncstring._graph import EventGraph
from syncstring._patch import Ops, Splice, compose, invert, ops_splices
from syncstring._plan import plan
from syncstring._text import SpliceLog, TextBuffer
from syncstring._tip import Tip
from syncstring._walker import Walker
from syncstring._weave import Script, Weave, replay_linear

__all__ = ["Merge", "Tip"]

# A checkpoint is made where reaching a version took more splices than this: replaying one costs about
# 10 ns, copying a text of 100,000 characters about 10 us.
CHECKPOINT_EVERY = 2_000
WEAVES_KEPT = 8


class Merge:
    """Texts and splices of one event graph. Reading only: the graph may grow between calls."""

    def __init__(self, graph: EventGraph) -> None:
        self.graph = graph
        self._script = Script(graph)
        self._weaves: OrderedDict[tuple[int, int], Weave] = OrderedDict()
        self._checkpoints: OrderedDict[int, str] = OrderedDict()
        self._looked_at = 0  # versions of which anything is kept
        self._walker: Walker | None = None  # of the bubble woven last

    # Prefixes of the time order.

    def script(self, n: int) -> Script:
        """The script of at least the first n versions. O(what was not resolved before)."""
        graph, script = self.graph, self._script
        self._forget_late()
        if n > len(script):
            script.truncate(graph.critical_floor(len(script)))  # memory may have run out within a bubble
            stop = graph.critical_ceiling(n)
            self._looked_at = max(self._looked_at, stop)
            for first, last, linear in graph.stretches(len(script), stop):
                if linear:
                    script.extend_linear(first, last)
                else:
                    script.extend_woven(self._weave(first, last))
        return script

    def _forget_late(self) -> None:
        """A late event changed what comes after some critical version: nothing before is touched."""
        n = self.graph.critical_floor(self._looked_at)
        if n == self._looked_at:
            return
        self._looked_at = n
        self._script.truncate(min(n, len(self._script)))
        for last in [last for last in self._checkpoints if last > n]:
            del self._checkpoints[last]

    def drop_caches(self) -> None:
        """Forget everything that can be derived again."""
        self._script = Script(self.graph)
        self._looked_at = 0
        self._weaves.clear()
        self._checkpoints.clear()
        self._walker = None

    def size(self, n: int) -> int:
        """The length of the text of the first n events in time order."""
        return self.script(n).size_at(n)

    def text(self, n: int, backward: bool = False) -> str:
        """The text of the first n events in time order. Who asks for one after the other, `backward`, waits
        for a long replay once in `CHECKPOINT_EVERY` of them."""
        self._forget_late()
        start = max((kept for kept in self._checkpoints if kept <= n), default=0)
        if start:
            self._checkpoints.move_to_end(start)
        if start == n and n:
            return self._checkpoints[n]
        buffer = TextBuffer(self._checkpoints[start] if start else "")
        if backward and n - start > CHECKPOINT_EVERY:
            self._replay(buffer, start, n - CHECKPOINT_EVERY)
            start = n - CHECKPOINT_EVERY
            self._keep(start, str(buffer))
        steps = self._replay(buffer, start, n)
        result = str(buffer)
        if steps > CHECKPOINT_EVERY:
            self._keep(n, result)
        return result

    def _replay(self, buffer: TextBuffer, start: int, n: int) -> int:
        """Turn the text of the first `start` events, in the buffer, into that of the first n; by how many
        splices."""
        if n > len(self._script) and self.graph.linear_until(start) >= n:
            replay_linear(self.graph, start, n, buffer)  # who asks for one text needn't wait for a script
            self._looked_at = max(self._looked_at, n)
            return n - start
        script = self.script(n)
        script.replay(buffer, start, n)
        return script.ends(n) - script.ends(start)

    def keep(self, n: int, text: str) -> None:
        """Know the text of the first n events: for who found it on the way, when these were all."""
        self._looked_at = max(self._looked_at, n)
        self._keep(n, text)

    def _keep(self, n: int, text: str) -> None:
        """Make a checkpoint; together they hold at most twice the longest text's length."""
        self._checkpoints[n] = text
        room = 2 * max(len(kept) for kept in self._checkpoints.values())
        while sum(len(kept) for kept in self._checkpoints.values()) > room:
            self._checkpoints.popitem(last=False)

    def known_text(self) -> tuple[int, str]:
        """The longest critical prefix whose text is kept, and that text; else none, and the empty one."""
        self._forget_late()
        known = (n for n in self._checkpoints if self.graph.critical_floor(n) == n)
        n = max(known, default=0)
        return n, self._checkpoints.get(n, "")

    def splices(self, n: int) -> list[Splice]:
        """The splices from the text of the first n - 1 events to that of the first n."""
        return [Splice(*splice) for splice in self.script(n).splices(n)]

    # Any version.

    def _weave(self, first: int, last: int) -> Weave:
        """The weave of a bubble whose base is resolved."""
        weave = self._weaves.get((first, last))
        if weave is None:
            walker = self._walker
            if walker is None or walker.base != first or first + walker.walked > last:
                size = self._script.size_at(first) if first <= len(self._script) else self.size(first)
                walker = self._walker = Walker(self.graph, first, size)
            # A bubble that grows is not walked again: only what is new.
            walker.walk_all(plan(self.graph, first + walker.walked, last))
            weave = self._weaves[first, last] = Weave(walker)
            while len(self._weaves) > WEAVES_KEPT:
                self._weaves.popitem(last=False)
        else:
            self._weaves.move_to_end((first, last))
        return weave

    def weave_from(self, first: int) -> Weave:
        """Everything from a critical prefix on, woven; or from one before it, up to twice as far back, so
        that who goes back step by step doesn't have all walked anew each time. O(events after it)."""
        graph, n = self.graph, len(self.graph)
        farthest = n - 2 * (n - first)
        base = first if self._walker is None else self._walker.base
        if not farthest <= base <= first or graph.critical_floor(base) != base:
            base = graph.critical_floor(max(0, first - (n - first) // 2))
        return self._weave(base if base >= farthest else first, n)

    def locate(self, heads: Iterable[int]) -> tuple[int, int, bytearray]:
        """Where a version lies: the critical prefix `first` that it contains, the next one `last`, and
        which of the events between it contains. `first == last` when it is that prefix exactly."""
        graph = self.graph
        heads = tuple(heads)
        top = max(heads, default=-1) + 1
        first = graph.critical_floor(top)
        if first == top and set(graph.prefix_heads(top)) <= set(heads):
            return top, top, bytearray()
        first = graph.critical_floor(top - 1)
        return first, graph.critical_ceiling(top), graph.members(heads, first)

    def text_at(self, heads: Iterable[int]) -> str:
        """The text of the version with these heads. O(its bubble, plus what `text` costs)."""
        first, last, mask = self.locate(heads)
        base = self.text(first)
        if first == last:
            return base
        log = SpliceLog(self.graph.pool)
        self._weave_for(first, last).between(b"", mask, log)
        buffer = TextBuffer(base)
        log.replay(buffer, 0, len(log))
        return str(buffer)

    def _weave_for(self, first: int, last: int) -> Weave:
        self.script(first)
        return self._weave(first, last)

    def size_at(self, heads: Iterable[int]) -> int:
        """The length of the text of the version with these heads."""
        heads = tuple(heads)
        if len(heads) == 1:
            known = self.graph.size_of(heads[0])
            if known >= 0:
                return known
        first, last, mask = self.locate(heads)
        if first == last:
            return self.size(first)
        return sum(length for _, _, length in self._weave_for(first, last).runs(mask))

    def between(self, a: Iterable[int], b: Iterable[int]) -> list[Splice]:
        """Splices that turn version a's text into version b's, the heads of both given.

        They go forth from a to the version that contains both, and from there back to b: no character
        that both show is touched, and what replaces others stands before them. Law:
        `apply(text_at(a), between(a, b)) == text_at(b)`. O(events between, and the bubbles met).
        """
        graph = self.graph
        here, there = graph.dominators(a), graph.dominators(b)
        both = graph.dominators((*here, *there))
        result = self._forth(here, both) if here != both else []
        if there != both:
            result += invert(self.text_at(there), self._forth(there, both))
        return ops_splices(_insertions_first(compose(result)))

    def _forth(self, a: tuple[int, ...], b: tuple[int, ...]) -> list[Splice]:
        """The splices from version a to version b, which contains it."""
        start, end, inside = self.locate(a)
        stop, top, beyond = self.locate(b)
        log = SpliceLog(self.graph.pool)
        if (start, end) == (stop, top):
            if start != end:
                self._weave_for(start, end).between(inside, beyond, log)
            return self._listed(log)
        # To the end of a's bubble, along the script, and into b's.
        if start != end:
            self._weave_for(start, end).between(inside, b"\1" * (end - start), log)
        script = self.script(stop)
        result = self._listed(log)
        result += [Splice(*splice) for splice in script.log.splices(script.ends(end), script.ends(stop))]
        if stop != top:
            log = SpliceLog(self.graph.pool)
            self._weave_for(stop, top).between(b"", beyond, log)
            result += self._listed(log)
        return result

    @staticmethod
    def _listed(log: SpliceLog) -> list[Splice]:
        return [Splice(*splice) for splice in log.splices(0, len(log))]

    def runs(self, heads: Iterable[int]) -> list[tuple[int, int, int]]:
        """Who inserted what a version shows: (event, start in the pool, length), in order.

        O(events before it): the whole history up to there is woven.
        """
        heads = tuple(heads)
        top = max(heads, default=-1) + 1
        weave = self._weave_for(0, self.graph.critical_ceiling(top))
        return weave.runs(self.graph.members(heads, 0))


def _insertions_first(ops: Ops) -> Ops:
    """The delta with what is inserted anywhere in a row of deletions put before them. The text is the same,
    and how the characters were found, which depends on arrival order, shows no more."""
    result: list[int | str] = []
    inserted, deleted = "", 0
    for op in (*ops, 0):
        if isinstance(op, str):
            inserted += op
        elif op < 0:
            deleted += op
        else:
            result += [part for part in (inserted, deleted, op) if part]
            inserted, deleted = "", 0
    return tuple(result)
