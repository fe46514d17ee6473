# The C layout of heads and critical versions.

from libc.stdint cimport int32_t, int64_t, uint8_t

from syncstring._entries cimport Entries
from syncstring._events cimport EventLog
from syncstring._folds cimport Folds
from syncstring._stretch cimport Stretch


cdef class Criticals(EventLog):
    # Heads, ascending.
    cdef int32_t *head
    cdef Py_ssize_t heads_length, heads_capacity
    # Critical versions as intervals [first, last] of prefix lengths, ascending; the last ends in `length`.
    cdef int64_t *critical_first
    cdef int64_t *critical_last
    cdef Py_ssize_t criticals, criticals_capacity
    cdef dict critical_heads           # prefix length -> its heads, where they are not just the last event
    cdef int64_t widest                # no less than any of these lengths
    cdef Py_ssize_t ordered            # events whose time order was derived, see `_graph`
    cdef Py_ssize_t markable           # room for
    cdef uint8_t *marks                # all zero between calls

    cdef int need_marks(self, Py_ssize_t events) except -1
    cdef void shrink(self) noexcept
    cdef int begin(self, int64_t time, str session, str author, int64_t wall) except -1
    cdef int put_heads(self) except -1
    cdef object finish(self, str message)
    cdef void show(self, Py_ssize_t event, Py_ssize_t top, int64_t end, list doomed) noexcept
    cdef int need_head(self) except -1
    cdef int take_in(self, Py_ssize_t stop, list sessions, list authors, dict messages, list near,
                     object vet) except -1
    cdef int take_chain(self, Stretch laid, Entries other, Folds folds, list sessions, list authors,
                        dict messages, list near, object vet) except -1
    cdef int take_events(self, Py_ssize_t stop) except -1
    cdef void place_head(self, Py_ssize_t event) noexcept
    cdef list still_critical(self, Py_ssize_t event, Py_ssize_t *interval, int64_t *end)
    cdef void close_criticals(self, Py_ssize_t event, Py_ssize_t top, int64_t end, list doomed) noexcept
    cdef bint covers(self, Py_ssize_t event, Py_ssize_t prefix) except -1
    cdef Py_ssize_t critical_below(self, Py_ssize_t prefix) noexcept
    cdef Py_ssize_t critical_above(self, Py_ssize_t prefix) noexcept
    cdef Py_ssize_t chain_end(self, Py_ssize_t prefix) noexcept
    cdef int64_t latest(self) noexcept
