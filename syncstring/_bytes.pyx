# cython: language_level=3
"""Sessions, authors and operations in the few bytes of a patch, and back.

The law of this room. What is read has its one spelling, or it isn't read; who sends one patch sends more, so the
strings met last are found again by what they are made of. `compact.py` says the same in Python.

It knows no patch. The format is written down in FORMAT.md.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcmp, memcpy

from syncstring._entries cimport DELETE, INSERT, Entries

__all__ = []

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    void *PyUnicode_DATA(object text)
    unsigned int PyUnicode_READ(int kind, void *data, Py_ssize_t index)
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    str PyUnicode_DecodeUTF8(const char *data, Py_ssize_t size, const char *errors)

cdef uint64_t SESSIONS = <uint64_t>36 ** 12  # of twelve digits in base 36


cdef inline uint64_t packed(const uint8_t *text, Py_ssize_t length) noexcept:
    """Twelve digits in base 36 as a number; `SESSIONS` for what isn't that."""
    cdef uint64_t number = 0
    cdef Py_ssize_t i
    if length != 12:
        return SESSIONS
    for i in range(12):
        if 48 <= text[i] <= 57:
            number = number * 36 + (text[i] - 48)
        elif 97 <= text[i] <= 122:
            number = number * 36 + (text[i] - 87)
        else:
            return SESSIONS
    return number


cdef Py_ssize_t put_session(uint8_t *out, Py_ssize_t at, str session) noexcept:
    cdef const uint8_t *text = <const uint8_t *>PyUnicode_DATA(session)
    cdef Py_ssize_t length = len(session), i
    cdef uint64_t number = packed(text, length)
    if number < SESSIONS:
        for i in range(8):
            out[at + i] = <uint8_t>(number >> 8 * (7 - i))
        return at + 8
    out[at] = <uint8_t>(0x80 | length)
    memcpy(out + at + 1, text, length)
    return at + 1 + length


# Who sends one patch sends more: what was met last, found by what it is made of.
cdef list _authors = [None] * 256
cdef list _sessions = [None] * 256
cdef uint64_t _numbers[256]


cdef str author_at(const uint8_t *text, Py_ssize_t size):
    """Bytes of UTF-8 as a string; None if they are none."""
    cdef uint64_t hash = size
    cdef Py_ssize_t i, length = 0
    cdef const char *met
    cdef object name
    for i in range(size):
        hash = (hash ^ text[i]) * <uint64_t>0x100000001B3
    hash = (hash ^ hash >> 32) & 255
    name = _authors[hash]
    if name is not None:
        met = PyUnicode_AsUTF8AndSize(name, &length)
        if length == size and memcmp(met, text, size) == 0:
            return <str>name
    try:
        name = PyUnicode_DecodeUTF8(<const char *>text, size, NULL)
    except UnicodeDecodeError:
        return None
    _authors[hash] = name
    return <str>name


cdef str session_at(Reading *reading):
    """A session in its one spelling, or None."""
    cdef char digits[12]
    cdef uint64_t number = 0, rest
    cdef const uint8_t *text
    cdef Py_ssize_t i, length
    cdef uint8_t first
    cdef object session
    if reading.at == reading.size:
        return None
    first = reading.data[reading.at]
    if first & 0x80:
        length = first & 0x7F
        text = reading.data + reading.at + 1
        if not 0 < length <= 48 or reading.at + 1 + length > reading.size or packed(text, length) < SESSIONS:
            return None
        for i in range(length):
            if not (48 <= text[i] <= 57 or 65 <= text[i] <= 90 or 97 <= text[i] <= 122 or text[i] in (45, 95)):
                return None
        reading.at += 1 + length
        return author_at(text, length)
    if reading.at + 8 > reading.size:
        return None
    for i in range(8):
        number = number << 8 | reading.data[reading.at + i]
    if number >= SESSIONS:
        return None
    reading.at += 8
    i = (number ^ number >> 17 ^ number >> 41) & 255
    session = _sessions[i]
    if session is not None and _numbers[i] == number:
        return <str>session
    rest = number
    for length in range(11, -1, -1):
        first = <uint8_t>(rest % 36)
        rest //= 36
        digits[length] = first + 48 if first < 10 else first + 87
    session = PyUnicode_DecodeUTF8(digits, 12, NULL)
    _sessions[i] = session
    _numbers[i] = number
    return <str>session


cdef tuple ops_in(bytes raw, Py_ssize_t at):
    """The operations in bytes that were read before."""
    cdef Reading reading
    cdef int64_t number
    cdef list ops = []
    reading.data, reading.at = <const uint8_t *>PyBytes_AS_STRING(raw), at
    reading.size = PyBytes_GET_SIZE(raw)
    while reading.at < reading.size:
        number = next_number(&reading)
        if number & 3 == INSERT:
            number >>= 2
            ops.append(PyUnicode_DecodeUTF8(<const char *>reading.data + reading.at, number, NULL))
            reading.at += number
        else:
            ops.append(-(number >> 2) if number & 3 == DELETE else number >> 2)
    return tuple(ops)


cdef int put_ops_in(Entries graph, bytes raw, Py_ssize_t at) except -1:
    """`graph.put_ops` of the operations in bytes that were read before."""
    cdef Py_ssize_t event = graph.length, count = 0, start
    cdef Reading reading
    cdef int64_t number
    cdef int64_t *ops
    reading.data, reading.at = <const uint8_t *>PyBytes_AS_STRING(raw), at
    reading.size = PyBytes_GET_SIZE(raw)
    ops = graph.room_for_ops(reading.size - at)
    while reading.at < reading.size:
        number = next_number(&reading)
        if number & 3 == INSERT:
            start = graph.pool.length
            graph.pool.add_bytes(reading.data + reading.at, number >> 2)
            reading.at += number >> 2
            number = <int64_t>(graph.pool.length - start) << 2 | INSERT
        ops[count] = number
        count += 1
    graph.op_start[event + 1] = graph.op_start[event] + count
    graph.text_start[event + 1] = graph.pool.length
    return 0


cdef bint is_text(const uint8_t *data, Py_ssize_t size) except -1:
    """Whether bytes are UTF-8."""
    cdef Py_ssize_t i
    for i in range(size):
        if data[i] > 0x7F:
            try:
                PyUnicode_DecodeUTF8(<const char *>data, size, NULL)
            except UnicodeDecodeError:
                return False
            return True
    return True


cdef tuple plain_delta(str delta):
    """The operations of a row's delta that has its one spelling and nothing escaped; else None."""
    cdef int kind = PyUnicode_KIND(delta)
    cdef void *data = PyUnicode_DATA(delta)
    cdef Py_ssize_t n = len(delta), i = 0, start
    cdef unsigned int sign = 0, unit, before = 0
    cdef int64_t number
    cdef list ops = []
    while i < n:
        before, sign = sign, PyUnicode_READ(kind, data, i)
        i += 1
        start, number = i, 0
        while i < n:
            unit = PyUnicode_READ(kind, data, i)
            if unit == 9:
                break
            if unit == 37 or unit == 0 or 0xD800 <= unit <= 0xDFFF:
                return None
            if sign != 43:
                if not 48 <= unit <= 57 or i == start and unit == 48 or i - start == 15:
                    return None
                number = 10 * number + (unit - 48)
            i += 1
        if i == start or sign == before or sign not in (43, 45, 61):
            return None
        if sign == 43:
            ops.append(delta[start:i])
        else:
            ops.append(number if sign == 61 else -number)
        i += 1
        if i == n:  # a tab at the end
            return None
    return None if sign == 61 else tuple(ops)
