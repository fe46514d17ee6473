# The C layout of the walker.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from syncstring._fugue cimport FugueList
from syncstring._graph cimport EventGraph
from syncstring._spans cimport COLUMNS
from syncstring._text cimport SpliceLog


cdef class Walker:
    cdef readonly EventGraph graph
    cdef readonly FugueList list
    cdef readonly Py_ssize_t base          # a critical prefix: what is walked are events from here on
    cdef readonly Py_ssize_t walked        # how many of them
    cdef bint broken                       # cut short within an event: to begin anew
    cdef Py_ssize_t capacity
    cdef int32_t cursor[COLUMNS]           # column -> the event whose version it is at, -1: the base
    cdef Py_ssize_t extent[COLUMNS]        # column -> how many events are in that version, the base's not counted
    # One entry an event, that of event base + i at [i]:
    cdef uint64_t *within                  # bit c - 1: it is in the version that column c is at
    cdef uint8_t *is_head                  # walked, and no child of it is
    cdef int32_t *weight                   # about how many spans it is to move a column over it
    cdef int32_t *extents                  # how many events are in its own version, the base's not counted
    # What it deleted, as ranges of ids; -1 of them: not walked.
    cdef int64_t *target_start
    cdef int32_t *target_count
    cdef int64_t *target_id
    cdef int32_t *target_length
    cdef Py_ssize_t targets, targets_capacity
    cdef Py_ssize_t heads
    # Differences between versions, with room for every event.
    cdef int32_t *heap
    cdef int32_t *seen
    cdef int32_t *back                     # events to retreat from
    cdef int32_t *forth                    # events to advance over
    cdef Py_ssize_t heap_length, seen_length, unshared, backs, forths
    cdef int64_t spent                     # spans retreated from since the last new column
    cdef readonly int64_t moves            # events looked at on the way from version to version, and moved over

    cdef int begin(self) except -1
    cdef int reserve(self, Py_ssize_t event) except -1
    cdef bint sees_all(self, Py_ssize_t event) noexcept
    cdef void push(self, int32_t event, uint8_t mark) noexcept
    cdef int32_t pop(self) noexcept
    cdef Py_ssize_t distance(self, int column, Py_ssize_t event, Py_ssize_t limit) noexcept
    cdef int choose(self, Py_ssize_t event) except -1
    cdef int open_column(self, int like) except -1
    cdef int move(self, int column, int32_t event, int by) except -1
    cdef int insert(self, int column, int64_t pos, int64_t length, int64_t offset, Py_ssize_t event,
                    SpliceLog out, Py_ssize_t mark) except -1
    cdef int delete(self, int column, int64_t pos, int64_t length, Py_ssize_t local,
                    SpliceLog out, Py_ssize_t mark) except -1
    cdef int step(self, Py_ssize_t event, SpliceLog out) except -1
    cdef int walk_one(self, Py_ssize_t event, SpliceLog out) except -1
