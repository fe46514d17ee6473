# The C layout of texts that grow and change. All offsets and lengths are code points.

from syncstring._pool cimport TextPool

cdef enum:
    GAPS = 16


cdef class TextBuffer:
    # Text with gaps in it. One is open for edits; where the others are is in `first` and `past`, ascending.
    cdef int kind
    cdef void *data
    cdef Py_ssize_t capacity
    cdef Py_ssize_t gap_start, gap_end  # the open one, number `open`
    cdef readonly Py_ssize_t gaps
    cdef Py_ssize_t open
    cdef Py_ssize_t before             # code points in the gaps before it
    cdef Py_ssize_t parked             # in all gaps but it
    cdef Py_ssize_t left, right        # the text around it, up to its neighbours
    cdef Py_ssize_t first[GAPS]
    cdef Py_ssize_t past[GAPS]
    cdef readonly Py_ssize_t moved
    cdef Py_ssize_t joined             # what `moved` was when there was one gap

    cdef Py_ssize_t size(self) noexcept nogil
    # Replace `delete` code points at `pos` by `count` of width `kind` at `data`; range checked by the caller.
    cdef int put(self, Py_ssize_t pos, Py_ssize_t delete, int kind, const void *data, Py_ssize_t count) except -1
    cdef int edit(self, Py_ssize_t pos, Py_ssize_t delete, str insert) except -1
    cdef int reserve(self, str insert) except -1


cdef class SpliceLog:
    # Splices in a row as four columns; inserted text is a range of `pool`.
    cdef readonly TextPool pool
    cdef readonly Py_ssize_t length
    cdef Py_ssize_t capacity
    cdef Py_ssize_t *pos
    cdef Py_ssize_t *delete
    cdef Py_ssize_t *start             # of the inserted text, in the pool
    cdef Py_ssize_t *count             # of inserted code points

    cdef int reserve(self, Py_ssize_t more) except -1
    cdef int append(self, Py_ssize_t pos, Py_ssize_t delete, Py_ssize_t start, Py_ssize_t count) except -1
    cdef void join_all(self) noexcept nogil
    cdef int replay_roomy(self, TextBuffer buffer, Py_ssize_t first, Py_ssize_t last) except -1  # `replay`
    # As `replay`, but memory may run out half-way: for a buffer that nobody sees then.
    cdef int replay_range(self, TextBuffer buffer, Py_ssize_t first, Py_ssize_t last) except -1
