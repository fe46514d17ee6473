# The C layout of events in columns. An event is named by its place in arrival order (an int).

from libc.stdint cimport int32_t, int64_t, uint8_t

from syncstring._folds cimport Columns, Folds
from syncstring._pool cimport TextPool

# Operations are packed into one int64 each: length << 2 | kind.
cdef enum:
    KEEP = 0
    INSERT = 1
    DELETE = 2

cdef enum:
    MET = 16

# When `fold_at` is come all but the newest are folded; unfolded, they stay so until there are half as many more.
cdef enum:
    NEAR = 1_024
    FAR = 3_072

cdef enum:
    MISFIT = 1        # consumes more than its parents' text: counts as empty
    JUDGED = 2        # the verdict is known (and so is `size`)


cdef class Entries:
    cdef readonly TextPool pool        # inserted texts, one after another in arrival order
    cdef readonly Py_ssize_t length    # events
    cdef Py_ssize_t capacity
    cdef readonly Py_ssize_t folded    # columns have no entries for the events before this one
    cdef Folds folds                   # which are in here
    cdef Py_ssize_t fold_at            # how many events there shall be when more are folded
    cdef Py_ssize_t looks              # how often a page was unfolded for one look since
    cdef void *slab                    # NULL, or what the columns with an entry an event are parts of
    # One entry an event:
    cdef int64_t *time
    cdef int64_t *wall
    cdef int32_t *session              # index into `sessions`
    cdef int32_t *author               # index into `authors`
    cdef int64_t *size                 # length of the text at the event's own version, -1: not known yet
    cdef uint8_t *flags
    # One entry more than there are events; those of event i are [i], [i+1]:
    cdef int64_t *parent_start
    cdef int64_t *op_start
    cdef int64_t *text_start
    cdef int32_t *parents              # ascending for each event
    cdef Py_ssize_t parents_gone, parents_capacity
    cdef int64_t *ops
    cdef void *ops_block               # which they lie in
    cdef Py_ssize_t ops_gone, ops_capacity
    cdef list sessions, authors
    cdef dict session_index, author_index, messages
    # Where names that are the very objects in `sessions` and `authors` stand there, by their addresses.
    cdef void *session_met[MET]
    cdef int32_t session_at[MET]
    cdef void *author_met[MET]
    cdef int32_t author_at[MET]
    cdef list lanes                    # session index -> Lane: its events by time

    cdef void columns(self, void ***column, Py_ssize_t *width) noexcept
    cdef int make_room(self, Py_ssize_t events, bint together=*) except -1
    cdef int put(self, int64_t time, str session, str author, int64_t wall) except -1
    cdef int32_t author_number(self, str author) except -1
    cdef int32_t session_new(self, str session) except -1
    cdef int32_t *put_parents(self, Py_ssize_t count) except NULL
    cdef int64_t *room_for_ops(self, Py_ssize_t count) except NULL
    cdef int put_ops(self, tuple ops) except -1
    cdef int put_splice(self, int64_t pos, int64_t delete, str insert) except -1
    cdef void count_in(self) noexcept
    cdef Py_ssize_t session_number(self, str session) except -2
    cdef int need_parents(self, Py_ssize_t room) except -1
    cdef int need_ops(self, Py_ssize_t room, bint together=*) except -1
    cdef int name(self, list sessions, list authors) except -1
    cdef int index(self, Py_ssize_t start, Py_ssize_t stop) except -1
    cdef void unindex(self, Py_ssize_t start) noexcept
    cdef void shift(self, Py_ssize_t events, Py_ssize_t parents, Py_ssize_t ops) noexcept
    cdef int lay(self, Py_ssize_t folded, int64_t parents_gone, int64_t ops_gone,
                 Py_ssize_t room, int64_t parents_room, int64_t ops_room) except -1
    cdef void swap(self, Entries other) noexcept
    cdef void trade(self, Entries other) noexcept
    cdef Columns all_columns(self) noexcept
    cdef bint fold(self, Py_ssize_t stop, Py_ssize_t room) except -1
    cdef int unfold(self) except -1

    cdef inline int reach(self, Py_ssize_t event) except -1:
        """Let the columns have entries for this event and all after it."""
        return self.unfold() if event < self.folded else 0
