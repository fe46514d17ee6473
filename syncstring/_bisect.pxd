# Where to split the diff of two texts. All offsets are code points.

from libc.stdint cimport int32_t

cdef enum:
    MARGIN = 8                         # bytes before and behind both texts that may be read

cdef enum Outcome:
    SPLIT
    NOTHING_COMMON
    OUT_OF_STEPS

cdef struct Side:                      # the paths from one end
    int32_t *far
    int32_t *edge
    Py_ssize_t far_room, edge_room

cdef struct Bisection:                 # zeroed, but for the steps
    Py_ssize_t steps_left
    Side forward, reverse              # memory for the next time: `release` frees it

# Splits a, of n > 0 code points of `kind` bytes, and b, of m > 0, at x and y where Myers' bisection
# does, or says why not. Texts of 2^30 code points together are out of reach as well.
cdef int bisect(
    Bisection *w, int kind, const char *a, Py_ssize_t n, const char *b, Py_ssize_t m, Py_ssize_t *x, Py_ssize_t *y
) except -1 nogil

cdef void release(Bisection *w) noexcept nogil
