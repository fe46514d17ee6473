# The C layout of resolved histories.

from libc.stdint cimport int32_t, int64_t, uint8_t

from syncstring._events cimport EventLog
from syncstring._graph cimport EventGraph
from syncstring._text cimport SpliceLog, TextBuffer


cdef int64_t put_next(EventLog graph, Py_ssize_t event, SpliceLog log, int64_t size) except -1


cdef class Weave:
    cdef readonly EventGraph graph
    cdef readonly Py_ssize_t first, last   # the events [first, last) are woven; both are critical
    cdef readonly int64_t base_size
    cdef readonly Py_ssize_t pieces
    cdef int64_t *start                    # of a piece's text: in the pool, or in the base text
    cdef int32_t *length
    cdef int32_t *event                    # that inserted it, -1: the base text
    cdef int64_t *killer_start             # CSR: the events that deleted it, relative to `first`
    cdef int32_t *killers

    cdef bint shown(self, Py_ssize_t piece, const uint8_t *mask, Py_ssize_t n) noexcept nogil


cdef class Script:
    cdef readonly EventGraph graph
    cdef readonly SpliceLog log
    cdef readonly Py_ssize_t length        # versions, the empty one not counted
    cdef Py_ssize_t capacity
    cdef int64_t *end                      # splices up to and with a version; end[0] = 0
    cdef int64_t *size                     # code points of a version; size[0] = 0

    cdef int reserve(self, Py_ssize_t n) except -1
    cdef int door(self, Py_ssize_t n) except -1
