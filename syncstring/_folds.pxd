# The C layout of folded events.

from libc.stdint cimport int32_t, int64_t, uint8_t

cdef enum:
    PAGE = 1_024                       # events of a page at most

# Where columns would begin if they had an entry for event 0, parent 0 and operation 0.
cdef struct Columns:
    int64_t *time
    int64_t *wall
    int64_t *size
    int64_t *parent_start              # one entry more than events, as in the two that follow
    int64_t *op_start
    int64_t *text_start
    int32_t *session
    int32_t *author
    uint8_t *flags
    int32_t *parents
    int64_t *ops

cdef struct Page:
    Py_ssize_t first                   # event
    int64_t oldest, newest             # times
    int64_t parents, ops, text         # where the first event's begin


cdef class Laid:
    # Events that lie elsewhere. It takes no memory and can't fail to write those from `first`, where a page begins,
    # up to `stop`; where `first` begins in the columns is there already.
    cdef void unfold(self, Py_ssize_t first, Py_ssize_t stop, Columns *columns) noexcept


cdef class Folds:
    cdef readonly Py_ssize_t stop      # the events before this one are folded
    cdef list pages                    # bytes of each, or where it is laid
    cdef Page *page                    # as many and one more, which says where the last ends
    cdef Py_ssize_t room

    cdef int lay(self, Laid laid, const Page *page, Py_ssize_t count) except -1
    cdef int fold(self, const Columns *columns, Py_ssize_t stop) except -1
    cdef void unfold(self, Py_ssize_t number, Columns *columns) noexcept
    cdef Py_ssize_t page_of(self, Py_ssize_t event) noexcept
