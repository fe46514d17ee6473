# What two texts have in common, for kernels that compare them. All offsets are code points.

cdef struct Text:
    # The code points of a str, borrowed: the str must outlive it.
    int kind                           # bytes per code point: 1, 2 or 4
    const char *data
    Py_ssize_t size

cdef struct Piece:
    Py_ssize_t a, b, size              # s[a:a+size] is t[b:b+size]

# `PatchError` if there's a lone surrogate in it.
cdef Text text_of(str text) except *

# s as code points of `kind` bytes, no fewer than it has now, between two margins of so many zero bytes;
# malloc'ed, the caller frees it.
cdef char *widened(Text s, int kind, Py_ssize_t margin) except NULL nogil

# How many of n code points from s[i] and from t[j] on, or before them, are the same. n must be there.
cdef Py_ssize_t prefix(Text s, Py_ssize_t i, Text t, Py_ssize_t j, Py_ssize_t n) noexcept nogil
cdef Py_ssize_t suffix(Text s, Py_ssize_t i, Text t, Py_ssize_t j, Py_ssize_t n) noexcept nogil

# Where t[j:j+m] first is in s[i:i+n], counted from i, or -1. s and t are of one kind. O(n + m).
cdef Py_ssize_t find(Text s, Py_ssize_t i, Py_ssize_t n, Text t, Py_ssize_t j, Py_ssize_t m) except -2 nogil

# Pieces of at least `size` that s[i:i+n] and t[j:j+m] both have, rising in both and apart from each
# other; how many. They are malloc'ed to found[0], which is NULL for none. s and t are of one kind.
cdef Py_ssize_t pieces(
    Text s, Py_ssize_t i, Py_ssize_t n, Text t, Py_ssize_t j, Py_ssize_t m, int size, Piece **found
) except -1 nogil
