# cython: language_level=3
"""Which events a walk has taken in, which versions it is at, and what lies between these.

The law of this room. A column of a walk is at some version: the events in it have its bit. What a column must
retreat from and advance over, to get to the version that an event was made on, is found from what the two
don't share alone. Nothing here fails but for want of memory, when room is made.

It doesn't know what is at a version: `_walker.pyx` moves there. Source: Gentle & Kleppmann, EuroSys 2025,
section 3.2.
"""

from cpython.mem cimport PyMem_Free
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memset

from syncstring._memory cimport grown

__all__ = ["Walked"]

cdef enum:
    # Marks, while a way from one version to another is looked for:
    BACK = 1          # only in the version to go back from, as far as is known
    BOTH = 2
    FORTH = 3


cdef class Walked:
    """What is walked of a graph from a base on, and the versions that columns are at."""

    def __dealloc__(self):
        PyMem_Free(self.within)
        PyMem_Free(self.is_head)
        PyMem_Free(self.weight)
        PyMem_Free(self.extents)
        PyMem_Free(self.heap)
        PyMem_Free(self.seen)
        PyMem_Free(self.back)
        PyMem_Free(self.forth)

    cdef int make_room(self, Py_ssize_t room) except -1:
        """Room for so many events."""
        self.within = <uint64_t *>grown(self.within, room, sizeof(uint64_t))
        self.is_head = <uint8_t *>grown(self.is_head, room, sizeof(uint8_t))
        self.weight = <int32_t *>grown(self.weight, room, sizeof(int32_t))
        self.extents = <int32_t *>grown(self.extents, room, sizeof(int32_t))
        self.heap = <int32_t *>grown(self.heap, room, sizeof(int32_t))
        self.seen = <int32_t *>grown(self.seen, room, sizeof(int32_t))
        self.back = <int32_t *>grown(self.back, room, sizeof(int32_t))
        self.forth = <int32_t *>grown(self.forth, room, sizeof(int32_t))
        memset(self.within + self.capacity, 0, (room - self.capacity) * sizeof(uint64_t))
        memset(self.is_head + self.capacity, 0, room - self.capacity)
        self.capacity = room
        return 0

    cdef void nothing_walked(self) noexcept:
        """Forget what was. The count is the caller's."""
        memset(self.within, 0, self.capacity * sizeof(uint64_t))
        memset(self.is_head, 0, self.capacity)
        self.heads = 0

    cdef bint sees_all(self, Py_ssize_t event) noexcept:
        """Whether the event's parents name every head of what is walked."""
        cdef int64_t k
        cdef Py_ssize_t named = 0
        for k in range(self.graph.parent_start[event], self.graph.parent_start[event + 1]):
            if self.graph.parents[k] >= self.base:
                named += self.is_head[self.graph.parents[k] - self.base]
        return named == self.heads

    cdef void push(self, int32_t event, uint8_t mark) noexcept:
        """Mark an event BACK or BOTH, which stays; queue it if it is new."""
        cdef uint8_t old = self.graph.marks[event]
        cdef Py_ssize_t at, up
        cdef int32_t held
        if old >= mark:
            return
        self.graph.marks[event] = mark
        self.unshared += (mark == BACK) - (old == BACK)
        if old:
            return
        self.seen[self.seen_length] = event
        self.seen_length += 1
        at = self.heap_length
        self.heap_length += 1
        while at:
            up = (at - 1) >> 1
            held = self.heap[up]
            if held > event:
                break
            self.heap[at] = held
            at = up
        self.heap[at] = event

    cdef int32_t pop(self) noexcept:
        cdef int32_t result = self.heap[0], last
        cdef Py_ssize_t at = 0, down
        self.heap_length -= 1
        last = self.heap[self.heap_length]
        while True:
            down = 2 * at + 1
            if down >= self.heap_length:
                break
            if down + 1 < self.heap_length and self.heap[down + 1] > self.heap[down]:
                down += 1
            if self.heap[down] < last:
                break
            self.heap[at] = self.heap[down]
            at = down
        self.heap[at] = last
        return result

    cdef Py_ssize_t distance(self, int column, Py_ssize_t event, Py_ssize_t limit) noexcept:
        """What lies between the version that a column is at and the parents of `event`, into `back` and
        `forth`; about how many spans that is, is returned. The search ends early where it exceeds `limit`."""
        cdef Py_ssize_t cost = 0, i, done = 0
        cdef int64_t k
        cdef int32_t at = <int32_t>event, parent
        cdef uint64_t bit = <uint64_t>1 << (column - 1)
        self.heap_length = self.seen_length = self.unshared = 0
        self.backs = self.forths = 0
        if self.cursor[column] >= 0:
            self.push(self.cursor[column], BACK)
        # Forth: from the parents down to what the column has. That is known of each event, so what the
        # versions share isn't looked at, however much of it is newer than what they don't.
        while True:
            for k in range(self.graph.parent_start[at], self.graph.parent_start[at + 1]):
                parent = self.graph.parents[k]
                if parent < self.base:
                    continue
                if self.within[parent - self.base] & bit:
                    self.push(parent, BOTH)
                elif self.graph.marks[parent] == 0:
                    self.graph.marks[parent] = FORTH
                    self.seen[self.seen_length] = parent
                    self.seen_length += 1
                    self.forth[self.forths] = parent
                    self.forths += 1
            if done == self.forths or cost > limit:
                break
            at = self.forth[done]
            done += 1
            cost += self.weight[at - self.base]
            self.moves += 1
        # Back: from the cursor down to what was met there.
        while self.unshared and cost <= limit:
            at = self.pop()
            self.moves += 1
            if self.graph.marks[at] == BACK:
                self.unshared -= 1
                self.back[self.backs] = at
                self.backs += 1
                cost += self.weight[at - self.base]
            else:
                cost += 1
            for k in range(self.graph.parent_start[at], self.graph.parent_start[at + 1]):
                if self.graph.parents[k] >= self.base:
                    self.push(self.graph.parents[k], self.graph.marks[at])
        for i in range(self.seen_length):
            self.graph.marks[self.seen[i]] = 0
        return cost
