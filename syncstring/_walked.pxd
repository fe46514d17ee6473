# The C layout of what is walked, and of the versions that a walk is at.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from syncstring._graph cimport EventGraph
from syncstring._spans cimport COLUMNS


cdef class Walked:
    cdef readonly EventGraph graph
    cdef readonly Py_ssize_t base          # a critical prefix: what is walked are events from here on
    cdef readonly Py_ssize_t walked        # how many of them
    cdef Py_ssize_t capacity
    cdef int32_t cursor[COLUMNS]           # column -> the event whose version it is at, -1: the base
    cdef Py_ssize_t extent[COLUMNS]        # column -> how many events are in that version, the base's not counted
    # One entry an event, that of event base + i at [i]:
    cdef uint64_t *within                  # bit c - 1: it is in the version that column c is at
    cdef uint8_t *is_head                  # walked, and no child of it is
    cdef int32_t *weight                   # about how many spans it is to move a column over it
    cdef int32_t *extents                  # how many events are in its own version, the base's not counted
    cdef Py_ssize_t heads
    # Differences between versions, with room for every event.
    cdef int32_t *heap
    cdef int32_t *seen
    cdef int32_t *back                     # events to retreat from
    cdef int32_t *forth                    # events to advance over
    cdef Py_ssize_t heap_length, seen_length, unshared, backs, forths
    cdef readonly int64_t moves            # events looked at on the way from version to version, and moved over

    cdef int make_room(self, Py_ssize_t room) except -1
    cdef void nothing_walked(self) noexcept
    cdef bint sees_all(self, Py_ssize_t event) noexcept
    cdef void push(self, int32_t event, uint8_t mark) noexcept
    cdef int32_t pop(self) noexcept
    cdef Py_ssize_t distance(self, int column, Py_ssize_t event, Py_ssize_t limit) noexcept
