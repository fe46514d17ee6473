# cython: language_level=3
"""The events of one session by time: how an id is found.

The law of this room. Times ascend and no two are alike, once whoever appends has sorted. It holds numbers of
events and not their times, which stand in a column that callers hand in. Of the earliest, which may be folded, it
knows how many there are, and the newest's time.
"""

cimport cython
from cpython.mem cimport PyMem_Free
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport qsort
from libc.string cimport memmove

from syncstring._memory cimport grown

__all__ = []


@cython.final
cdef class Lane:
    """The events of one session, ascending by time: the index from ids to events."""
    def __dealloc__(self):
        PyMem_Free(self.event)

    cdef Py_ssize_t bisect(self, const int64_t *times, int64_t time) noexcept:
        # Most look-ups are of the newest: look there first.
        cdef Py_ssize_t low = 0, high = self.length, middle
        if high and times[self.event[high - 1]] < time:
            return high
        while low < high:
            middle = (low + high) >> 1
            if times[self.event[middle]] < time:
                low = middle + 1
            else:
                high = middle
        return low

    cdef int reserve(self, Py_ssize_t more=1) except -1:
        """Room for some more."""
        cdef Py_ssize_t room
        if self.length + more > self.capacity:
            room = max(8, self.length + more, 2 * self.capacity)
            self.event = <int32_t *>grown(self.event, room, sizeof(int32_t))
            self.capacity = room
        return 0

    cdef void insert(self, Py_ssize_t at, Py_ssize_t event) noexcept:
        memmove(self.event + at + 1, self.event + at, (self.length - at) * sizeof(int32_t))
        self.event[at] = <int32_t>event
        self.length += 1

    cdef bint parts_at(self, Py_ssize_t stop) noexcept:
        """Whether the events before that one are the earliest here, and in this order."""
        cdef Py_ssize_t i, last = -1
        for i in range(self.length):
            if last >= stop:
                if self.event[i] < stop:
                    return False
            elif self.event[i] < last:
                return False
            last = max(last, self.event[i])
        return True

    cdef void fold(self, const int64_t *times, Py_ssize_t stop) noexcept:
        """Know the events before that one no more, which it parts at."""
        cdef Py_ssize_t i = 0
        while i < self.length and self.event[i] < stop:
            i += 1
        if i:
            self.newest = times[self.event[i - 1]]
            self.gone += i
            self.length -= i
            memmove(self.event, self.event + i, self.length * sizeof(int32_t))

    cdef void unfold(self) noexcept:
        """Leave a gap for the events that were folded, for which there is room; the caller fills it, counting
        in `gone` as it goes."""
        memmove(self.event + self.gone, self.event, self.length * sizeof(int32_t))
        self.length += self.gone
        self.gone = 0

    cdef int sort(self, const int64_t *times, Py_ssize_t start) except -1:
        """Bring what was appended from `start` on to its place. O(k log k) for k that come after the earliest."""
        cdef Py_ssize_t i, first = start
        cdef int64_t least = times[self.event[start]]
        cdef Timed *timed
        for i in range(start, self.length):
            least = min(least, times[self.event[i]])
        while first and times[self.event[first - 1]] >= least:
            first -= 1
        timed = <Timed *>grown(NULL, self.length - first, sizeof(Timed))
        for i in range(first, self.length):
            timed[i - first] = Timed(times[self.event[i]], self.event[i])
        qsort(timed, self.length - first, sizeof(Timed), _by_time)
        for i in range(first, self.length):
            self.event[i] = timed[i - first].event
        PyMem_Free(timed)
        return 0


cdef struct Timed:
    int64_t time
    int32_t event


cdef int _by_time(const void *a, const void *b) noexcept nogil:
    cdef int64_t left = (<const Timed *>a).time, right = (<const Timed *>b).time
    return (left > right) - (left < right)
