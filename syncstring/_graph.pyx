# cython: language_level=3
"""The event graph: who knew what when they wrote; any version, and the time order.

The law of this room. Events are numbered in arrival order, parents before children, and only ever
appended (`_entries`); their heads and critical versions are kept as they come (`_criticals`). What is asked here
about versions and about the time order is derived when it is asked for, no further back than it must be.

It doesn't know what a merge is. Parents may be redundant (one an ancestor of another): nothing here
takes them for an antichain.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free
from libc.stdint cimport int32_t, int64_t, uint8_t

from syncstring._criticals cimport Criticals
from syncstring._memory cimport grown

__all__ = ["EventGraph"]

cdef enum:
    CHILDLESS = 0x7fffffff             # above every place


@cython.final
cdef class EventGraph(Criticals):
    """Events and what follows from their parents. Costs are O(1) amortised unless a method says otherwise."""

    def __dealloc__(self):
        PyMem_Free(self.order)
        PyMem_Free(self.rank)
        PyMem_Free(self.fate)

    cdef int need_places(self, Py_ssize_t events) except -1:
        """Room for the time order of so many events."""
        cdef Py_ssize_t room = max(16, events, self.places + (self.places >> 1))
        if events > self.places:
            self.order = <int32_t *>grown(self.order, room, sizeof(int32_t))
            self.rank = <int32_t *>grown(self.rank, room, sizeof(int32_t))
            self.fate = <int32_t *>grown(self.fate, room, sizeof(int32_t))
            self.places = room
        return 0

    def members(self, heads, Py_ssize_t floor):
        """The version with these heads as a mask over the events from `floor` on (a critical prefix that
        it contains). O(events between). What lies below `floor` is in it and isn't looked at."""
        cdef Py_ssize_t top = floor, event
        cdef int64_t index
        cdef bytearray mask
        cdef uint8_t *bits
        self.reach(floor)
        for event in heads:
            self.door(event)
            top = max(top, event + 1)
        mask = bytearray(top - floor)
        bits = mask
        for event in heads:
            if event >= floor:
                bits[event - floor] = 1
        for event in range(top - 1, floor - 1, -1):
            if bits[event - floor]:
                for index in range(self.parent_start[event], self.parent_start[event + 1]):
                    if self.parents[index] >= floor:
                        bits[self.parents[index] - floor] = 1
        return mask

    def difference(self, a, b):
        """Two versions, by their heads: the events only in `a`, only in `b`, both descending.

        O(d log d) for d events newer than the newest that the two share.
        """
        cdef list heap = [], only_a = [], only_b = [], touched = []
        cdef Py_ssize_t event, parent
        cdef int64_t index
        cdef uint8_t mark
        cdef Py_ssize_t open_ = 0      # entries on the heap that are not in both
        import heapq
        try:
            for event in a:
                self.door(event)
                if self.marks[event] == 0:
                    touched.append(event)
                    self.marks[event] = 1
                    heapq.heappush(heap, -event)
                    open_ += 1
            for event in b:
                self.door(event)
                if self.marks[event] == 0:
                    touched.append(event)
                    self.marks[event] = 2
                    heapq.heappush(heap, -event)
                    open_ += 1
                elif self.marks[event] == 1:
                    self.marks[event] = 3
                    open_ -= 1
            while open_:
                event = -heapq.heappop(heap)
                mark = self.marks[event]
                if mark == 1:
                    only_a.append(event)
                    open_ -= 1
                elif mark == 2:
                    only_b.append(event)
                    open_ -= 1
                self.reach(event)
                for index in range(self.parent_start[event], self.parent_start[event + 1]):
                    parent = self.parents[index]
                    if self.marks[parent] == 0:
                        touched.append(parent)
                        self.marks[parent] = mark
                        heapq.heappush(heap, -parent)
                        if mark != 3:
                            open_ += 1
                    elif self.marks[parent] != 3 and self.marks[parent] | mark == 3:
                        self.marks[parent] = 3
                        open_ -= 1
        finally:
            for event in touched:
                self.marks[event] = 0
        return only_a, only_b

    def dominators(self, events):
        """The heads of the version that these events and their ancestors make, ascending. Looks no
        further back than the oldest of them."""
        cdef list ascending = sorted(set(events))
        cdef bytearray mask
        cdef uint8_t *bits
        cdef Py_ssize_t floor, top, event
        cdef int64_t index
        cdef list result
        if len(ascending) < 2:
            return tuple(ascending)
        floor = ascending[0]
        top = ascending[len(ascending) - 1]
        self.door(floor)
        self.door(top)
        mask = bytearray(top - floor + 1)
        bits = mask
        result = []
        for event in ascending:
            bits[event - floor] = 2
        for event in range(top, floor - 1, -1):
            if not bits[event - floor]:
                continue
            if bits[event - floor] == 2:
                result.append(event)
            for index in range(self.parent_start[event], self.parent_start[event + 1]):
                if self.parents[index] >= floor:
                    bits[self.parents[index] - floor] = 1
        return tuple(reversed(result))

    # Time order.

    cdef int ensure_order(self, Py_ssize_t prefix) except -1:
        """Know the time order of the first `prefix` events at least. Sorting happens within bubbles only:
        outside them arrival order is time order."""
        cdef Py_ssize_t at, event, stop = self.critical_above(prefix)
        cdef Py_ssize_t first, last, parent
        cdef int64_t index
        cdef list keys
        if self.ordered >= stop:
            return 0
        self.need_places(stop)
        for first, last, linear in self.stretches(self.ordered, stop):
            if linear:
                for at in range(first, last):
                    self.order[at] = self.rank[at] = <int32_t>at
            else:
                self.reach(first)
                keys = [(self.time[event], <str>self.sessions[self.session[event]], event)
                        for event in range(first, last)]
                keys.sort()
                at = first
                for _, _, event in keys:
                    self.order[at] = <int32_t>event
                    self.rank[event] = <int32_t>at
                    at += 1
                for at in range(first, last):
                    event = self.order[at]
                    self.fate[at] = CHILDLESS
                    for index in range(self.parent_start[event], self.parent_start[event + 1]):
                        parent = self.parents[index]
                        if parent >= first and self.fate[self.rank[parent]] == CHILDLESS:
                            self.fate[self.rank[parent]] = <int32_t>at
        self.ordered = stop
        return 0

    def event_at(self, Py_ssize_t place):
        """The event at a place (from 0) of the time order."""
        self.numbered(place)
        if place >= self.ordered:
            self.ensure_order(place + 1)
        return self.order[place]

    def place_of(self, Py_ssize_t event):
        """The event's place (from 0) in the time order."""
        self.numbered(event)
        if event >= self.ordered:
            self.ensure_order(event + 1)
        return self.rank[event]

    def order_until(self, Py_ssize_t prefix):
        """The first `prefix` events in time order, as a copy: a view of C ints. O(prefix) moved bytes."""
        if prefix < 0 or prefix > self.length:
            raise IndexError(f"no prefix of {prefix} among {self.length} events")
        self.ensure_order(prefix)
        return memoryview(PyBytes_FromStringAndSize(<char *>self.order, prefix * sizeof(int32_t))).cast("i")

    def heads_at(self, Py_ssize_t prefix):
        """The heads of the first `prefix` events in time order. O(the bubble it lies in), a glance an event."""
        cdef Py_ssize_t first, place
        cdef list result = []
        if prefix < 0 or prefix > self.length:
            raise IndexError(f"no prefix of {prefix} among {self.length} events")
        first = self.critical_below(prefix)
        if first == prefix:
            return self.prefix_heads(prefix)
        self.ensure_order(prefix)
        # The bubble's first event has all that lies before the bubble in its history.
        for place in range(first, prefix):
            if self.fate[place] >= prefix:
                result.append(self.order[place])
        result.sort()
        return tuple(result)

    def count_until(self, int64_t time):
        """How many events have a time of at most `time`: the length of that prefix. O(log n)."""
        cdef Py_ssize_t low = 0, high = self.length, middle
        self.ensure_order(self.length)
        self.unfold()
        while low < high:
            middle = (low + high) >> 1
            if self.time[self.order[middle]] <= time:
                low = middle + 1
            else:
                high = middle
        return low

    def check(self):
        """Derive heads, criticals and the time order from scratch and compare. O(n^2): for tests."""
        cdef Py_ssize_t event, n
        seen = [set() for _ in range(self.length)]
        self.unfold()
        for event in range(self.length):
            for parent in self.parents_of(event):
                assert parent < event
                assert self.time[parent] < self.time[event]
                seen[event] |= seen[parent] | {parent}
        below = set().union(*seen) if seen else set()
        assert self.heads == tuple(sorted(set(range(self.length)) - below))
        assert self.widest >= max(self.critical_heads, default=0)
        for n in range(self.length + 1):
            critical = all(seen[event].issuperset(range(n)) for event in range(n, self.length))
            assert critical == (self.critical_below(n) == n), n
            assert self.critical_above(n) >= n and self.critical_below(self.critical_above(n)) == \
                self.critical_above(n)
            if critical:
                inner = set().union(*seen[:n]) if n else set()
                assert self.prefix_heads(n) == tuple(sorted(set(range(n)) - inner)), n
        order = sorted(range(self.length), key=self.id_of)
        assert [self.event_at(n) for n in range(self.length)] == order
        assert all(self.place_of(event) == n for n, event in enumerate(order))
        assert not any([self.marks[event] for event in range(self.length)])
        self.check_events()
