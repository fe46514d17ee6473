# The C layout of the event graph.

from libc.stdint cimport int32_t

from syncstring._criticals cimport Criticals


cdef class EventGraph(Criticals):
    # Time order, known for the first `ordered` events.
    cdef Py_ssize_t places             # room in the three columns that follow
    cdef int32_t *order
    cdef int32_t *rank
    cdef int32_t *fate                 # place in a bubble -> that of the event's first child, or CHILDLESS

    cdef int need_places(self, Py_ssize_t events) except -1
    cdef int ensure_order(self, Py_ssize_t prefix) except -1
