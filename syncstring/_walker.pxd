# The C layout of the walker.

from libc.stdint cimport int32_t, int64_t

from syncstring._fugue cimport FugueList
from syncstring._text cimport SpliceLog
from syncstring._walked cimport Walked


cdef class Walker(Walked):
    cdef readonly FugueList list
    cdef bint broken                       # cut short within an event: to begin anew
    # What each event deleted, as ranges of ids; -1 of them: not walked.
    cdef int64_t *target_start
    cdef int32_t *target_count
    cdef int64_t *target_id
    cdef int32_t *target_length
    cdef Py_ssize_t targets, targets_capacity
    # Where its author may type on: an event that was walked last and only inserted a text, or NOBODY.
    cdef Py_ssize_t typed
    cdef int32_t typed_in                  # the span that ends with that text
    cdef int typed_at                      # the column that it was walked in
    cdef int64_t typed_end                 # where the text ends in the event's own version
    cdef int64_t spent                     # spans retreated from since the last new column

    cdef int begin(self) except -1
    cdef int reserve(self, Py_ssize_t event) except -1
    cdef int choose(self, Py_ssize_t event) except -1
    cdef int open_column(self, int like) except -1
    cdef int move(self, int column, const int32_t *events, Py_ssize_t count, int by) except -1
    cdef int32_t shift(self, int column, int64_t id, int64_t stop, int by) except -1
    cdef int32_t move_targets(self, int column, int32_t event, int by) noexcept
    cdef int32_t insert(self, int column, int64_t pos, int64_t length, int64_t offset, Py_ssize_t event,
                        SpliceLog out) except -1
    cdef int delete(self, int column, int64_t pos, int64_t length, Py_ssize_t local,
                    SpliceLog out, Py_ssize_t mark) except -1
    cdef int walk_one(self, Py_ssize_t event, SpliceLog out) except -1
    cdef Py_ssize_t type_on(self, const int32_t *events, Py_ssize_t count, SpliceLog out) except -1
    cdef int walk_row(self, const int32_t *events, Py_ssize_t count, SpliceLog out) except -1
