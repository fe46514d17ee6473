# The C layout of clocks.

from libc.stdint cimport int64_t

cdef struct Reading:
    int64_t time                       # what all share, in whole milliseconds
    int64_t wall                       # what the author's own clock says


cdef class Clocks:
    cdef public object _clock, _wall

    cdef int ask(self, Reading *reading) except -1


cdef int64_t MIN_WILD_TIME
