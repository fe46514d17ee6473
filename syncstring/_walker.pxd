# The C layout of the walker.

from libc.stdint cimport int32_t, int64_t, uint8_t

from syncstring._fugue cimport FugueList
from syncstring._graph cimport EventGraph
from syncstring._spans cimport COLUMNS
from syncstring._text cimport SpliceLog


cdef class Walker:
    cdef readonly EventGraph graph
    cdef readonly FugueList list
    cdef readonly Py_ssize_t base          # a critical prefix: what is walked are events from here on
    cdef readonly Py_ssize_t walked        # how many of them
    cdef Py_ssize_t capacity
    cdef int32_t cursor[COLUMNS]           # column -> the event whose version it is at, -1: the base
    cdef int32_t *head                     # heads of what is walked, ascending
    cdef Py_ssize_t heads, heads_capacity
    # What each walked event deleted: ranges of ids, those of event base + i from target_start[i] on.
    cdef int64_t *target_start
    cdef int32_t *target_count
    cdef int64_t *target_id
    cdef int32_t *target_length
    cdef Py_ssize_t targets, targets_capacity
    # Differences between versions.
    cdef int32_t *heap
    cdef Py_ssize_t heap_length, heap_capacity
    cdef int32_t *seen
    cdef Py_ssize_t seen_length, seen_capacity
    cdef int32_t *back                     # events to retreat from
    cdef int32_t *forth                    # events to advance over
    cdef int32_t *best_back
    cdef int32_t *best_forth
    cdef Py_ssize_t backs, forths, best_backs, best_forths, moves_capacity
    cdef int64_t spent                     # moves since the last new column
    cdef readonly int64_t moves            # events retreated or advanced, in all

    cdef int reserve(self, Py_ssize_t event) except -1
    cdef bint sees_all(self, Py_ssize_t event) noexcept
    cdef int push(self, int32_t event, uint8_t mark, Py_ssize_t *unshared) except -1
    cdef int32_t pop(self) noexcept
    cdef Py_ssize_t distance(self, int32_t cursor, Py_ssize_t event, Py_ssize_t limit) except -1
    cdef int choose(self, Py_ssize_t event) except -1
    cdef int move(self, int column, int32_t event, int by) except -1
    cdef int insert(self, int column, int64_t pos, int64_t length, int64_t offset, Py_ssize_t event,
                    SpliceLog out, Py_ssize_t mark) except -1
    cdef int delete(self, int column, int64_t pos, int64_t length, Py_ssize_t local,
                    SpliceLog out, Py_ssize_t mark) except -1
    cdef int walk_one(self, Py_ssize_t event, SpliceLog out) except -1
