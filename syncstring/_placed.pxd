# The C layout of what a history holds.

from syncstring._graph cimport EventGraph
from syncstring._values cimport Patch


cdef class Placed:
    cdef public EventGraph graph
    cdef public object base                # or None: it begins at its beginning
    cdef public bint read_only
    cdef public dict _parked, _waiting, _losers
    cdef public set _settled
    cdef public list _placing              # or None

    cdef int make_room(self, Py_ssize_t count) except -1
    cdef Py_ssize_t place(self, list patches, Py_ssize_t first, list placed) except -1
