# cython: language_level=3
"""Rows as SQLite gives them; a patch's checked and read in one go, where nothing is strange about it.

The law of this room. A row that is given is the one that the plain way (`backends/sqlite_file.py`: the
checksum, then `store.restored`) gives for these columns, in the same order of fields. Whatever isn't a
patch's row in canonical form, whose checksum is right, is left to that way: so is what it refuses, and what
is merely rare. Nothing is believed: bytes are looked at only inside their bounds.

It doesn't know what the fields mean. Source: RFC 8259; the CRC-32 of RFC 1952, eight bytes at a time.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint32_t, uint8_t
from libc.string cimport memcmp, memcpy

__all__ = ["plain_row", "rows_of"]

cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 most)
    void *PyUnicode_DATA(object text) noexcept
    bint PyUnicode_IS_ASCII(object text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(object text) noexcept
    int64_t PyLong_AsLongLong(object number) except? -1

cdef enum:
    DIGITS = 18  # of a number that surely fits 64 bits


# --- the checksum ------------------------------------------------------------------------------------------

cdef uint32_t[8][256] TABLE


cdef void _tabulate() noexcept nogil:
    cdef uint32_t i, value
    cdef int bit, row
    for i in range(256):
        value = i
        for bit in range(8):
            value = (value >> 1) ^ (<uint32_t>0xEDB88320 if value & 1 else 0)
        TABLE[0][i] = value
    for i in range(256):
        for row in range(1, 8):
            TABLE[row][i] = (TABLE[row - 1][i] >> 8) ^ TABLE[0][TABLE[row - 1][i] & 0xFF]


_tabulate()


cdef uint32_t _go_on(uint32_t sum, const uint8_t *at, Py_ssize_t size) noexcept nogil:
    """The register of a CRC-32 after these bytes, too."""
    while size >= 8:
        sum = (
            TABLE[7][at[0] ^ (sum & 0xFF)] ^ TABLE[6][at[1] ^ (sum >> 8 & 0xFF)]
            ^ TABLE[5][at[2] ^ (sum >> 16 & 0xFF)] ^ TABLE[4][at[3] ^ (sum >> 24)]
            ^ TABLE[3][at[4]] ^ TABLE[2][at[5]] ^ TABLE[1][at[6]] ^ TABLE[0][at[7]]
        )
        at += 8
        size -= 8
    while size > 0:
        sum = (sum >> 8) ^ TABLE[0][at[0] ^ (sum & 0xFF)]
        at += 1
        size -= 1
    return sum


cdef int _written(int64_t number, uint8_t *out) noexcept nogil:
    """A number that isn't negative in digits; how many."""
    cdef uint8_t[20] digits
    cdef int count = 0, i
    while True:
        digits[count] = <uint8_t>(48 + number % 10)
        count += 1
        number //= 10
        if number == 0:
            break
    for i in range(count):
        out[i] = digits[count - 1 - i]
    return count


# --- the text ----------------------------------------------------------------------------------------------

cdef struct Json:
    const uint8_t *at
    const uint8_t *stop


cdef bint _takes(Json *json, const char *what, Py_ssize_t size) noexcept nogil:
    if json.stop - json.at < size or memcmp(json.at, what, size) != 0:
        return False
    json.at += size
    return True


cdef object _number(Json *json):
    """A number that is plainly one; None otherwise."""
    cdef int64_t result = 0
    cdef const uint8_t *start = json.at
    while json.at < json.stop and 48 <= json.at[0] <= 57:
        if json.at - start == DIGITS:
            return None
        result = 10 * result + json.at[0] - 48
        json.at += 1
    if json.at == start or (start[0] == 48 and json.at - start > 1):
        return None
    return result


cdef uint8_t _meant(uint8_t letter) noexcept nogil:
    """What stands for a letter after a backslash; 0 for what isn't plain."""
    if letter == c't':
        return 9
    if letter == c'n':
        return 10
    if letter == c'"' or letter == c'\\' or letter == c'/':
        return letter
    if letter == c'r':
        return 13
    if letter == c'b':
        return 8
    if letter == c'f':
        return 12
    return 0


cdef object _text(Json *json):
    """A text, after its first quote and with its last; None where it isn't plainly one."""
    cdef const uint8_t *start = json.at
    cdef const uint8_t *at = start
    cdef Py_ssize_t escapes = 0, size
    cdef bint ascii = True
    cdef uint8_t *out
    cdef uint8_t *room
    while at < json.stop and at[0] != c'"':
        if at[0] < 32:
            return None
        if at[0] == c'\\':
            escapes += 1
            at += 1
            if at == json.stop or _meant(at[0]) == 0:
                return None
        elif at[0] >= 128:
            ascii = False
        at += 1
    if at == json.stop:
        return None
    json.at = at + 1
    size = at - start - escapes
    if ascii:
        text = PyUnicode_New(size, 127)
        if size:
            _unescape(start, at, <uint8_t *>PyUnicode_DATA(text), escapes)
        return text
    if escapes == 0:
        return PyUnicode_DecodeUTF8(<const char *>start, size, NULL)
    room = <uint8_t *>PyMem_Malloc(size)
    if room == NULL:
        raise MemoryError
    try:
        _unescape(start, at, room, escapes)
        return PyUnicode_DecodeUTF8(<const char *>room, size, NULL)
    finally:
        PyMem_Free(room)


cdef void _unescape(const uint8_t *at, const uint8_t *stop, uint8_t *out, Py_ssize_t escapes) noexcept nogil:
    if escapes == 0:
        memcpy(out, at, stop - at)
        return
    while at < stop:
        if at[0] == c'\\':
            at += 1
            out[0] = _meant(at[0])
        else:
            out[0] = at[0]
        out += 1
        at += 1


# --- the row -----------------------------------------------------------------------------------------------

def plain_row(tuple found not None):
    if len(found) != 6 or found[4] is not None:
        return None
    doc, time, session, data, total = found[0], found[1], found[2], found[3], found[5]
    if not (type(doc) is str and type(time) is int and type(session) is str and type(data) is bytes):
        return None
    if type(total) is not int or not PyUnicode_IS_ASCII(doc) or not PyUnicode_IS_ASCII(session):
        return None
    cdef int64_t moment
    cdef uint8_t[32] digits
    cdef int count
    try:
        moment = PyLong_AsLongLong(time)
    except OverflowError:
        return None
    if moment < 0:
        return None
    count = _written(moment, digits + 1)
    digits[0] = digits[count + 1] = 9
    cdef uint32_t sum = 0xFFFFFFFF
    sum = _go_on(sum, <const uint8_t *>PyUnicode_DATA(doc), PyUnicode_GET_LENGTH(doc))
    sum = _go_on(sum, digits, count + 2)
    sum = _go_on(sum, <const uint8_t *>PyUnicode_DATA(session), PyUnicode_GET_LENGTH(session))
    cdef Json json
    json.at = <const uint8_t *>PyBytes_AS_STRING(data)
    json.stop = json.at + PyBytes_GET_SIZE(data)
    sum = _go_on(sum, json.at, json.stop - json.at) ^ <uint32_t>0xFFFFFFFF
    if sum != total:
        return None
    try:
        return _row(&json, [doc, time, session])
    except UnicodeDecodeError:
        return None


# A copy has room for all of it at once, where a new one would grow.
cdef dict BLANK = dict.fromkeys(["author", "delta", "parents", "v", "wall", "id"])
cdef dict BLANK_WITH_MESSAGE = dict.fromkeys(["author", "delta", "message", "parents", "v", "wall", "id"])


cdef dict _row(Json *json, list id):
    cdef dict row
    if not _takes(json, b'{"author":"', 11):
        return None
    if (value := _text(json)) is None:
        return None
    author = value
    if not _takes(json, b',"delta":"', 10):
        return None
    if (value := _text(json)) is None:
        return None
    delta = value
    if _takes(json, b',"message":"', 12):
        if (value := _text(json)) is None:
            return None
        row = BLANK_WITH_MESSAGE.copy()
        row["message"] = value
    else:
        row = BLANK.copy()
    row["author"] = author
    row["delta"] = delta
    if not _takes(json, b',"parents":"', 12):
        return None
    if (value := _text(json)) is None:
        return None
    row["parents"] = value
    if not _takes(json, b',"v":', 5):
        return None
    if (value := _number(json)) is None:
        return None
    row["v"] = value
    if not _takes(json, b',"wall":', 8):
        return None
    if (value := _number(json)) is None:
        return None
    row["wall"] = value
    if not _takes(json, b"}", 1) or json.at != json.stop:
        return None
    row["id"] = id
    return row


def rows_of(cursor, Py_ssize_t most, plain not None):
    cdef list rows = []
    cdef Py_ssize_t size = 0
    for found in cursor:
        row = plain_row(found)
        if row is not None:
            size += PyBytes_GET_SIZE(found[3])
        else:
            row = plain(found)
            for part in found[-3:-1]:
                if part is not None:
                    size += len(part)
        rows.append(row)
        if size > most:
            break
    return rows, size
