# The C layout of a session's events.

from libc.stdint cimport int32_t, int64_t


cdef class Lane:
    cdef int32_t *event                # ascending by time
    cdef Py_ssize_t length, capacity
    cdef Py_ssize_t gone               # earlier ones, which are folded
    cdef int64_t newest                # the last one's time, of these

    cdef Py_ssize_t bisect(self, const int64_t *times, int64_t time) noexcept
    cdef int reserve(self, Py_ssize_t more=*) except -1
    cdef void insert(self, Py_ssize_t at, Py_ssize_t event) noexcept
    cdef bint parts_at(self, Py_ssize_t stop) noexcept
    cdef void fold(self, const int64_t *times, Py_ssize_t stop) noexcept
    cdef void unfold(self) noexcept
    cdef int sort(self, const int64_t *times, Py_ssize_t start) except -1
