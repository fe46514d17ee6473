# The C layout of a chain of events that stay where a pack says them.

from libc.stdint cimport int32_t, int64_t, uint8_t

from syncstring._entries cimport Entries
from syncstring._folds cimport Columns, Folds, Laid, Page
from syncstring._runs cimport Column
from syncstring._pool cimport TextPool
from syncstring._text cimport TextBuffer

cdef enum:
    MOST_SESSIONS = 256
    NEAR_A_ROW = 6000                  # code points, operations and parents together: below it no row is too long

cdef struct Shape:
    const uint8_t *kinds
    Py_ssize_t length

cdef struct Writer:
    # What is remembered of a session from one patch to its next.
    int64_t end                        # where its last edit ended
    int64_t drift                      # wall less whole milliseconds
    int32_t author                     # -1: none yet
    # Of a stretch:
    Py_ssize_t gone                    # how many it made
    int64_t newest                     # the last one's time

cdef struct Place:
    # Where reading is: in each column, and what the event before lets expect.
    Column lanes, milliseconds, rests, by, walls, kinds, firsts, counts
    int64_t whole, rest, newest        # of its time
    int64_t size                       # of its text
    int64_t begun, others              # values of `firsts` and `counts` that are left
    int64_t ops, text                  # where the next one's begin


cdef class Stretch(Laid):
    cdef bytes known, rest             # the sections, which the columns lie in
    cdef TextPool pool
    cdef Py_ssize_t count              # events, from 0 on
    cdef Py_ssize_t table, named, forms    # sessions, authors, shapes
    cdef int32_t *session              # number in the pack -> the graph's
    cdef int32_t *author
    cdef Shape *shapes
    cdef uint8_t *kinds                # which the shapes are of
    cdef Page *page                    # where each begins, and the last ends
    cdef Place *places                 # one a page
    cdef Writer *writers               # one a page and session
    cdef Py_ssize_t pages

    cdef bint survey(self, Place *start, TextBuffer text, list near) except -1
    cdef int part(self, Folds folds, Entries other) except -1
    cdef bint read(self, Place *p, Writer *writers, Py_ssize_t event, Py_ssize_t stop, Columns *c, TextBuffer text,
                   list near) except -1
    cdef bint when(self, Place *p, Py_ssize_t event, Py_ssize_t stop, int64_t *least, Columns *c) noexcept
    cdef bint wall(self, Place *p, Writer *w, int64_t least, Py_ssize_t event, Py_ssize_t stop, Columns *c) noexcept
    cdef bint what(self, Place *p, Writer *w, Py_ssize_t event, Py_ssize_t stop, Columns *c, TextBuffer text,
                   list near) except -1
    cdef Py_ssize_t row(self, Place *p, Writer *w, Py_ssize_t most, TextBuffer text) except -2
    cdef bint each(self, Place *p, Writer *w, Py_ssize_t event, Py_ssize_t stop, Columns *c, TextBuffer text,
                   list near) except -1
