# The C layout of events that can be asked about.

from libc.stdint cimport int32_t, int64_t

from syncstring._entries cimport Entries


cdef class EventLog(Entries):
    cdef readonly list misfits         # events judged not to fit, in the order of judging
    cdef EventLog page                 # some of what is folded: what was looked at last

    cdef int door(self, Py_ssize_t event) except -1
    cdef int numbered(self, Py_ssize_t event) except -1
    cdef EventLog seen(self, Py_ssize_t event)
    cdef EventLog log_of(self, Py_ssize_t event)
    cdef Py_ssize_t seek_folded(self, int64_t time, int32_t session) except -2
    cdef Py_ssize_t seek(self, int64_t time, str session) except -2
    cdef tuple delta(self, Py_ssize_t event)
    cdef (int64_t, int64_t, int64_t) sums(self, Py_ssize_t event) noexcept
    cdef bint fits(self, Py_ssize_t event, int64_t before) except -1
    cdef int rank_compare(self, Py_ssize_t a, Py_ssize_t b) except -2
    cdef Py_ssize_t last_parent(self, Py_ssize_t event) noexcept
    cdef Py_ssize_t event_of_text(self, int64_t offset) noexcept
