# cython: language_level=3
"""The text of everything, kept current event by event: what a live document holds.

The law of this room. The buffer is the text of the first `taken` events, whatever it was asked in between;
what leads from there to the text of all is found first and shown then, all or nothing. Where the graph is a
chain an event's own splices are right as they stand; what lies in a bubble goes through a walker.

Walkers are kept between calls, so that neither a bubble that stays open nor a late event is walked anew each
time: O(log n) of them, each from a base that is about twice as far back as that of the next but one. They
can be dropped at any time; no answer changes. Source: Gentle & Kleppmann, EuroSys 2025, section 3.
"""

cimport cython
from cpython.mem cimport PyMem_Free
from libc.stdint cimport int32_t

from syncstring._graph cimport EventGraph
from syncstring._memory cimport grown
from syncstring._plan cimport put_plan
from syncstring._text cimport SpliceLog, TextBuffer
from syncstring._walker cimport Walker
from syncstring._weave cimport put_next

from syncstring._weave import replay_linear

__all__ = ["Tip"]

cdef enum:
    SPARE = 64        # splices that a log which is kept may have room for


@cython.final
cdef class Tip:
    """The text of everything that a graph has, as far as it was taken in. A remote event costs about its own
    size."""

    def __cinit__(self, EventGraph graph not None):
        self.graph = graph
        self.buffer = TextBuffer()
        self.walkers = []

    def advance(self):
        cdef SpliceLog log = self.look()
        self.put(log)
        return log

    def begin(self, Py_ssize_t taken=0, str text not None=""):
        cdef Py_ssize_t end
        cdef TextBuffer buffer
        if not 0 <= taken <= self.graph.length or self.graph.critical_below(taken) != taken:
            raise IndexError(f"no critical prefix of {taken} among {self.graph.length} events")
        end = self.graph.chain_end(taken)
        if self.taken == 0 and end > 0:
            buffer = TextBuffer(text)
            if end > taken:
                replay_linear(self.graph, taken, end, buffer)
            self.buffer = buffer
            self.taken = end
        self.put(self.look())

    def show(self, SpliceLog log not None):
        self.put(log)

    cdef int put(self, SpliceLog log) except -1:
        log.replay_roomy(self.buffer, 0, log.length)
        self.taken = self.graph.length
        self.graph.shrink()
        return 0

    def ahead(self):
        return self.look()

    cdef SpliceLog look(self):
        cdef EventGraph graph = self.graph
        cdef SpliceLog log = self.spare if self.spare is not None else SpliceLog(graph.pool)
        cdef Py_ssize_t at = self.taken, stop = graph.length, size = self.buffer.size(), end
        cdef Walker walker
        graph.reach(at)
        self.spare = None
        log.length = 0
        log.reserve(stop - at)  # most events are one splice
        while at < stop:
            if graph.critical_below(at) == at and graph.critical_above(at + 1) == at + 1:
                # A chain, up to where the interval of critical versions that this is in ends.
                end = min(stop, graph.chain_end(at))
                while at < end:
                    size = put_next(graph, at, log, size)
                    at += 1
            else:
                end = min(stop, graph.critical_above(at + 1))
                walker = self.walker_at(at, size, end)
                at = end
                self.walk(walker, at, log)
                size = walker.list.total(0)
        log.join_all()
        return log

    cdef void give_back(self, SpliceLog log) noexcept:
        """Let the next `look` have a log that nobody looks at any more: making one takes a fifth of a receipt."""
        if log.capacity <= SPARE:
            self.spare = log

    def took(self, Py_ssize_t event, Py_ssize_t taken, Py_ssize_t before):
        self.graph.judge(event, before)
        self.taken = taken

    cdef Walker walker_at(self, Py_ssize_t at, Py_ssize_t size, Py_ssize_t stop):
        """A walker that has walked the events from some critical version up to `at`, whose text has `size`
        code points. It will go on up to `stop`."""
        cdef EventGraph graph = self.graph
        cdef list walkers = self.walkers
        cdef Py_ssize_t base, i
        cdef bint late = False
        cdef Walker walker = <Walker>walkers[len(walkers) - 1] if walkers else None
        while walker is not None and walker.base + walker.walked > at:
            self.forget(len(walkers) - 1)  # it was ahead when memory ran out
            walker = <Walker>walkers[len(walkers) - 1] if walkers else None
        base = graph.critical_below(at)
        while walker is not None and graph.critical_below(walker.base) != walker.base:
            self.forget(len(walkers) - 1)
            walker = <Walker>walkers[len(walkers) - 1] if walkers else None
            late = True
        if late:
            # Another late event may be older still: going back twice as far each time costs twice the last.
            base = graph.critical_below(max(0, 2 * base - at))
        if walker is not None and at - (walker.base + walker.walked) < at - base:
            self.walk(walker, at, None)
            return walker
        # The first event after a critical version was made on exactly its text.
        walker = Walker(graph, base, size if base == at else graph.size_before(base), stop)
        self.walk(walker, at, None)
        walkers.append(walker)
        for i in range(len(walkers) - 2, 0, -1):
            if at - (<Walker>walkers[i - 1]).base < 2 * (at - (<Walker>walkers[i + 1]).base):
                self.forget(i)
        return walker

    cdef int walk(self, Walker walker, Py_ssize_t stop, SpliceLog log) except -1:
        """Let a walker go on up to an event."""
        cdef Py_ssize_t walked = walker.base + walker.walked
        cdef int32_t event = <int32_t>walked
        cdef int32_t *order
        if stop - walked == 1:
            walker.walk_row(&event, 1, log)
        elif stop > walked:
            order = <int32_t *>grown(NULL, stop - walked, sizeof(int32_t))
            try:
                put_plan(self.graph, walked, stop, order)
                walker.walk_row(order, stop - walked, log)
            finally:
                PyMem_Free(order)
        self.done += stop - walked
        return 0

    cdef int forget(self, Py_ssize_t i) except -1:
        self.done += self.walkers.pop(i).steps
        return 0

    @property
    def kept(self):
        return tuple(self.walkers)

    @property
    def steps(self):
        return self.taken + self.done + sum([walker.steps for walker in self.walkers])

    def drop_caches(self):
        while self.walkers:
            self.forget(len(self.walkers) - 1)
