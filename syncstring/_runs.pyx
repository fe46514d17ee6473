# cython: language_level=3
"""Numbers, texts and columns of numbers, read from bytes that nobody vouches for.

The law of this room. A *number* is LEB128 of a zigzag, at most nine bytes. A *column* of known length is the
lengths of its runs, and then its values in planes: the first byte of each, the second byte of each that goes
on, and so on, so that what a compressor sees next to each other is alike. Before a value is taken, runs and
planes are added up: a column that isn't all there is refused, and the loops that take values (in the `.pxd`)
need no bounds. What is wrong is a `ValueError`.

It doesn't know what the numbers mean; FORMAT.md has them.
"""

from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t, uint64_t

__all__ = ["read_numbers", "read_text"]


cdef int64_t number_of(Bytes *data) except? -1:
    cdef uint64_t result = 0
    cdef int shift = 0
    while True:
        if data.at == data.stop:
            raise ValueError("it ends inside a number")
        if shift == 7 * PLANES:
            raise ValueError("a number of more than nine bytes")
        result |= <uint64_t>(data.at[0] & 0x7F) << shift
        shift += 7
        data.at += 1
        if data.at[-1] < 0x80:
            return signed(result)


cdef int64_t count_of(Bytes *data, int64_t most) except -1:
    cdef int64_t result = number_of(data)
    if not 0 <= result <= most:
        raise ValueError(f"a count of {result}")
    return result


cdef int64_t bounded(Bytes *data) except -1:
    cdef int64_t result = number_of(data)
    if not 0 <= result <= data.stop - data.at:
        raise ValueError(f"a count of {result} with {data.stop - data.at} bytes left")
    return result


cdef str text_of(Bytes *data, int64_t most, str what):
    cdef int64_t size = bounded(data)
    if size > most:
        raise ValueError(f"{what} of {size:,} bytes; at most {most:,} are allowed")
    data.at += size
    return PyUnicode_DecodeUTF8(<const char *>data.at - size, size, NULL)


cdef list numbers_of(Bytes *data, int64_t count):
    # A loop, for where memory runs out in a comprehension Cython 3.3 gives an item back twice.
    cdef list numbers = []
    cdef int64_t i
    for i in range(count):
        numbers.append(number_of(data))
    return numbers


cdef int end_of(Bytes *data) except -1:
    if data.at != data.stop:
        raise ValueError(f"{data.stop - data.at} bytes too many")
    return 0


cdef int open_column(Bytes *data, int64_t count, Column *column) except -1:
    """Find where a column's runs and values lie, and that all of them are there."""
    cdef int64_t done = 0, values = 0, times, more, i
    cdef int plane
    column.left = 0
    column.runs = data.at
    while done < count:
        times = number_of(data)
        if times == 0 or times > count - done or times < done - count:
            raise ValueError(f"a run of {times} in a column of {count}")
        done += times if times > 0 else -times
        values += 1 if times > 0 else -times
    for plane in range(PLANES):
        if values > data.stop - data.at:
            raise ValueError("it ends inside a column")
        column.plane[plane] = data.at
        more = 0
        for i in range(values):
            more += data.at[i] >> 7
        data.at += values
        values = more
        if values == 0:
            return 0
    raise ValueError("a number of more than nine bytes")


def read_numbers(bytes data not None, Py_ssize_t count):
    """The first `count` numbers as a tuple, and where they end. `ValueError` if they aren't there."""
    cdef Bytes reader
    reader.at = <const uint8_t *>data
    reader.stop = reader.at + len(data)
    numbers = tuple(numbers_of(&reader, count))
    return numbers, reader.at - <const uint8_t *>data


def read_text(bytes data not None):
    """The one text that this is. `ValueError` if it isn't."""
    cdef Bytes reader
    reader.at = <const uint8_t *>data
    reader.stop = reader.at + len(data)
    text = text_of(&reader, len(data), "a text")
    end_of(&reader)
    return text
