# The C layout of the order of insertions.

from libc.stdint cimport int32_t, int64_t

from syncstring._graph cimport EventGraph
from syncstring._spans cimport SpanList

cdef enum:
    LEFT = 0
    RIGHT = 1


cdef class FugueList(SpanList):
    cdef readonly EventGraph graph
    cdef readonly int64_t base_size        # code points of the base text: their ids are 0 .. base_size - 1
    cdef readonly int64_t pool_base        # the pool's offset of id base_size
    cdef int32_t *tail[2]                  # of each spine: its last span
    cdef Py_ssize_t spines[2]
    cdef Py_ssize_t spines_capacity[2]

    cdef int reserve_spines(self) except -1
    cdef void start_spine(self, int side, int32_t s) noexcept nogil
    cdef void join_spine(self, int side, int32_t above, int32_t s) noexcept nogil
    cdef void cut_spine(self, int side, int32_t above, int32_t below) noexcept nogil
    cdef int32_t extreme(self, int side, int32_t s) noexcept nogil
    cdef int64_t last_id(self, int32_t s) noexcept nogil
    cdef int compare(self, int side, int32_t x, int32_t y) except -2
    cdef int integrate(self, int32_t x, int32_t left, int32_t right) except -1
    cdef int32_t cut(self, int32_t s, int32_t offset) except -1
    cdef int32_t span_from(self, int64_t id) except -1
