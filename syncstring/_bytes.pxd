# Numbers, sessions and texts in few bytes, for kernels: what is small enough to stand inline, stands here.

from libc.stdint cimport int64_t, uint8_t, uint64_t

from syncstring._entries cimport Entries

cdef extern from "Python.h":
    int PyUnicode_IS_COMPACT_ASCII(object text)

cdef struct Reading:
    const uint8_t *data
    Py_ssize_t at, size


cdef inline Py_ssize_t put_number(uint8_t *out, Py_ssize_t at, uint64_t number) noexcept:
    while number > 0x7F:
        out[at] = <uint8_t>(number & 0x7F | 0x80)
        number >>= 7
        at += 1
    out[at] = <uint8_t>number
    return at + 1


cdef inline int64_t next_number(Reading *reading) noexcept:
    """A number below 2^55 in its one spelling, or -1."""
    cdef uint64_t result = 0
    cdef int shift = 0
    cdef uint8_t byte
    while reading.at < reading.size and shift < 56:
        byte = reading.data[reading.at]
        reading.at += 1
        result |= <uint64_t>(byte & 0x7F) << shift
        if byte < 0x80:
            return -1 if shift and not byte or result >> 55 else <int64_t>result
        shift += 7
    return -1


cdef inline bint is_short(str session) noexcept:
    """Whether there is room for it: `trusted` keeps no rules."""
    return session is not None and PyUnicode_IS_COMPACT_ASCII(session) and len(session) <= 48


cdef Py_ssize_t put_session(uint8_t *out, Py_ssize_t at, str session) noexcept
cdef str author_at(const uint8_t *text, Py_ssize_t size)
cdef str session_at(Reading *reading)
cdef tuple ops_in(bytes raw, Py_ssize_t at)
cdef int put_ops_in(Entries graph, bytes raw, Py_ssize_t at) except -1
cdef bint is_text(const uint8_t *data, Py_ssize_t size) except -1
cdef tuple plain_delta(str delta)
