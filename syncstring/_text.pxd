# The C layout of texts that grow and change. All offsets and lengths are code points.

cdef class TextPool:
    # An append-only run of code points, as wide as the widest that it holds.
    cdef int kind                      # bytes per code point: 1, 2 or 4
    cdef void *data
    cdef readonly Py_ssize_t length
    cdef Py_ssize_t capacity           # code points

    cdef Py_ssize_t add(self, str text) except -1          # where it starts
    cdef Py_ssize_t add_bytes(self, const unsigned char *data, Py_ssize_t count) except -1  # valid UTF-8
    cdef str get(self, Py_ssize_t start, Py_ssize_t count)  # the range is the caller's to check


cdef class TextBuffer:
    # A gap buffer: text before the gap, the gap, text after it.
    cdef int kind
    cdef void *data
    cdef Py_ssize_t capacity, gap_start, gap_end

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
