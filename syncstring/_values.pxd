# The C layout of a patch.

from libc.stdint cimport int64_t

from syncstring._graph cimport EventGraph


cdef class Patch:
    # Where it was made or read from a pack, a patch is a view of an event, else of its bytes: its parts are made
    # when somebody looks at them. The less there is in one, the less memory many of them touch.
    cdef object source                 # an EventGraph, or bytes, or None: then the parts are here
    cdef Py_ssize_t place              # the event, or where the operations begin in the bytes
    cdef int64_t time_, wall_
    cdef str session_, author_, message_
    cdef object id_                    # None: not looked at yet
    cdef tuple parents_                # None: not looked at yet, or the one that follows
    cdef int64_t parent_time
    cdef str parent_session            # None: not just one
    cdef tuple ops_                    # None: not looked at yet


cdef object id_of(int64_t time, str session)
cdef Patch view(EventGraph graph, Py_ssize_t event)
cdef Py_ssize_t enter(EventGraph graph, Patch patch, int64_t base) except -2
cdef bint holds(EventGraph graph, Py_ssize_t event, Patch patch) except -1
