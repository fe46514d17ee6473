# cython: language_level=3
"""Code points in one, two or four bytes each, and the pool: an append-only run of them.

The law of this room. Code points are as wide as the widest that came, and copied: no `str` that was handed in is
kept. Any lone surrogate is refused with `PatchError` at the door. Running out of memory raises `MemoryError` and
leaves a pool as it was. Nothing here knows what the texts are for.
"""

cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from syncstring.errors import PatchError

__all__ = ["TextPool"]

cdef extern from "Python.h" nogil:
    int PyUnicode_KIND(object text)
    void *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef extern from "Python.h":
    str PyUnicode_DecodeUTF8(const char *data, Py_ssize_t size, const char *errors)
    str PyUnicode_FromKindAndData(int kind, const void *data, Py_ssize_t size)
    # With NULL for the exception, whatever doesn't fit is clipped: out of range stays out of range.
    Py_ssize_t PyNumber_AsSsize_t(object value, void *exception) except? -1
    const Py_ssize_t PY_SSIZE_T_MAX

ctypedef fused Unit:
    uint8_t
    uint16_t
    uint32_t

ctypedef fused Other:
    uint8_t
    uint16_t
    uint32_t


# --- code points of any width -----------------------------------------------------------------------------

cdef uint32_t _or_all(const Unit *data, Py_ssize_t n) noexcept nogil:
    cdef uint32_t bits = 0
    cdef Py_ssize_t i
    for i in range(n):
        bits |= data[i]
    return bits


cdef uint32_t bits_of(int kind, const void *data, Py_ssize_t n) noexcept nogil:
    # The bits that any code point has. Widths change at powers of two, so this tells the width.
    if kind == 1:
        return _or_all(<const uint8_t *>data, n)
    if kind == 2:
        return _or_all(<const uint16_t *>data, n)
    return _or_all(<const uint32_t *>data, n)


cdef void _convert(Unit *target, const Other *source, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        target[i] = <Unit>source[i]


cdef void _convert_from(Unit *target, int kind, const void *source, Py_ssize_t n) noexcept nogil:
    if kind == 1:
        _convert(target, <const uint8_t *>source, n)
    elif kind == 2:
        _convert(target, <const uint16_t *>source, n)
    else:
        _convert(target, <const uint32_t *>source, n)


cdef void convert_points(int kind, void *target, int source_kind, const void *source, Py_ssize_t n) noexcept nogil:
    if kind == 1:
        _convert_from(<uint8_t *>target, source_kind, source, n)
    elif kind == 2:
        _convert_from(<uint16_t *>target, source_kind, source, n)
    else:
        _convert_from(<uint32_t *>target, source_kind, source, n)


cdef Py_ssize_t _surrogate_in(const Unit *data, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if (data[i] & <uint32_t>0xFFFFF800) == 0xD800:
            return i
    return -1


cdef Py_ssize_t surrogate_at(int kind, const void *data, Py_ssize_t n) noexcept nogil:
    if kind == 1:
        return -1
    if kind == 2:
        return _surrogate_in(<const uint16_t *>data, n)
    return _surrogate_in(<const uint32_t *>data, n)


cdef int refuse_surrogates(str text) except -1:
    cdef Py_ssize_t at = surrogate_at(PyUnicode_KIND(text), PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    if at >= 0:
        raise PatchError(
            f"lone surrogate U+{ord(text[at]):04X} at {at} of an inserted text of {len(text)}; "
            "offsets are code points: was this text cut inside a UTF-16 pair?"
        )
    return 0


cdef Py_ssize_t roomier(Py_ssize_t capacity, Py_ssize_t needed) except -1:
    # Half as much again, so that appending costs O(1) each. The bound keeps byte counts representable.
    if needed > PY_SSIZE_T_MAX // 16:
        raise MemoryError
    return max(needed, capacity + capacity // 2, 16)


cdef void *_allocate(Py_ssize_t count, int size) except NULL:
    cdef void *block = PyMem_RawMalloc(max(count, 1) * size)
    if block == NULL:
        raise MemoryError
    return block


# --- the pool ---------------------------------------------------------------------------------------------

@cython.final
cdef class TextPool:
    """An append-only run of code points; a text in it is named by where it starts and its length.

    `len(pool)` is the number of code points. Adding costs O(len(text)) amortised, and once
    O(len(pool)) when a text is wider than all before it.
    """

    def __cinit__(self):
        self.kind = 1
        self.length = 0
        self.capacity = 0
        self.data = NULL

    def __dealloc__(self):
        PyMem_RawFree(self.data)

    def __len__(self):
        return self.length

    cdef Py_ssize_t add(self, str text) except -1:
        cdef int kind = PyUnicode_KIND(text)
        cdef Py_ssize_t n = PyUnicode_GET_LENGTH(text)
        cdef Py_ssize_t start = self.length
        cdef Py_ssize_t capacity
        cdef void *data
        refuse_surrogates(text)
        if kind > self.kind:
            capacity = max(self.capacity, roomier(0, start + n))
            data = _allocate(capacity, kind)
            copy_points(kind, data, 0, self.kind, self.data, 0, start)
            PyMem_RawFree(self.data)
            self.data, self.kind, self.capacity = data, kind, capacity
        elif start + n > self.capacity:
            capacity = roomier(self.capacity, start + n)
            data = PyMem_RawRealloc(self.data, capacity * self.kind)
            if data == NULL:
                raise MemoryError
            self.data, self.capacity = data, capacity
        copy_points(self.kind, self.data, start, kind, PyUnicode_DATA(text), 0, n)
        self.length = start + n
        return start

    cdef Py_ssize_t add_bytes(self, const unsigned char *data, Py_ssize_t count) except -1:
        cdef Py_ssize_t start = self.length
        if count > self.capacity - start or bits_of(1, data, count) > 0x7F:
            return self.add(PyUnicode_DecodeUTF8(<const char *>data, count, NULL))
        # ASCII, and there is room: no string need be made.
        copy_points(self.kind, self.data, start, 1, data, 0, count)
        self.length = start + count
        return start

    cdef str get(self, Py_ssize_t start, Py_ssize_t count):
        return PyUnicode_FromKindAndData(self.kind, <const char *>self.data + start * self.kind, count)

    def push(self, str text not None):
        """Append `text` and return where it starts. A lone surrogate in it raises `PatchError`."""
        cdef object start = self.length
        self.add(text)
        return start

    def read(self, start, count):
        """Return the `count` code points from `start` on. `PatchError` if the pool hasn't that many."""
        cdef Py_ssize_t at = PyNumber_AsSsize_t(start, NULL)
        cdef Py_ssize_t n = PyNumber_AsSsize_t(count, NULL)
        if at < 0 or n < 0 or at > self.length or n > self.length - at:
            raise PatchError(f"{n} code points at {at} are not in a pool of {self.length}")
        return self.get(at, n)

    def check(self):
        """Derive again what is kept beside the text; `AssertionError` where it doesn't agree."""
        assert 0 <= self.length <= self.capacity
        assert self.kind in (1, 2, 4)
        # As wide as the widest that came; who owns a pool may have cut it since.
        assert self.kind >= width_of(bits_of(self.kind, self.data, self.length))
        assert surrogate_at(self.kind, self.data, self.length) < 0
