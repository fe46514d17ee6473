# Code points of any width. `kind` is the bytes of one: 1, 2 or 4. All offsets and lengths are code points.

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

cdef uint32_t bits_of(int kind, const void *data, Py_ssize_t n) noexcept nogil
cdef Py_ssize_t surrogate_at(int kind, const void *data, Py_ssize_t n) noexcept nogil  # -1: none
cdef int refuse_surrogates(str text) except -1
cdef Py_ssize_t roomier(Py_ssize_t capacity, Py_ssize_t needed) except -1
cdef void convert_points(int kind, void *target, int source_kind, const void *source, Py_ssize_t n) noexcept nogil

cdef inline int width_of(uint32_t bits) noexcept nogil:
    return 1 if bits < 0x100 else 2 if bits < 0x10000 else 4

cdef inline void copy_points(
    int kind, void *target, Py_ssize_t at, int source_kind, const void *source, Py_ssize_t start, Py_ssize_t n
) noexcept nogil:
    # Copies n code points from source[start] to target[at]; the target must be wide enough for them.
    if n == 0:                         # either may be NULL then
        return
    target = <char *>target + at * kind
    source = <const char *>source + start * source_kind
    if kind == source_kind:
        memcpy(target, source, n * kind)
    else:
        convert_points(kind, target, source_kind, source, n)


cdef class TextPool:
    # An append-only run of code points, as wide as the widest that it holds.
    cdef int kind                      # bytes per code point: 1, 2 or 4
    cdef void *data
    cdef readonly Py_ssize_t length
    cdef Py_ssize_t capacity           # code points

    cdef Py_ssize_t add(self, str text) except -1          # where it starts
    cdef Py_ssize_t add_bytes(self, const unsigned char *data, Py_ssize_t count) except -1  # valid UTF-8
    cdef str get(self, Py_ssize_t start, Py_ssize_t count)  # the range is the caller's to check
