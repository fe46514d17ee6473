# How columns of numbers lie in bytes; and the loops that take values from them, which every reader inlines.

from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef enum:
    PLANES = 9                         # bytes of a number: below 2^63

cdef struct Bytes:
    const uint8_t *at
    const uint8_t *stop

cdef struct Column:
    const uint8_t *runs                # the next run's length
    const uint8_t *plane[PLANES]       # the next value's first byte, second byte, ...
    int64_t left                       # values left in this run
    int64_t value                      # where they are all alike
    bint loose                         # where they are not


cdef int64_t number_of(Bytes *data) except? -1
cdef int64_t count_of(Bytes *data, int64_t most) except -1
cdef int64_t bounded(Bytes *data) except -1                # a count of what takes at least a byte each
cdef str text_of(Bytes *data, int64_t most, str what)
cdef list numbers_of(Bytes *data, int64_t count)
cdef int end_of(Bytes *data) except -1
cdef int open_column(Bytes *data, int64_t count, Column *column) except -1

# `open_column` has added up a column's runs and bytes, so what follows needs no bounds.


cdef inline int64_t signed(uint64_t number) noexcept nogil:
    return <int64_t>(number >> 1) ^ -<int64_t>(number & 1)


cdef inline int64_t taken(Column *column) noexcept nogil:
    cdef uint64_t result = column.plane[0][0]
    cdef uint64_t byte
    cdef int plane = 0
    column.plane[0] += 1
    if result >= 0x80:
        result &= 0x7F
        while True:
            plane += 1
            byte = column.plane[plane][0]
            column.plane[plane] += 1
            result |= (byte & 0x7F) << 7 * plane
            if byte < 0x80:
                break
    return signed(result)


cdef inline void open_run(Column *column) noexcept nogil:
    cdef uint64_t result = 0
    cdef int shift = 0
    while True:
        result |= <uint64_t>(column.runs[0] & 0x7F) << shift
        shift += 7
        column.runs += 1
        if column.runs[-1] < 0x80:
            break
    column.left = signed(result)
    column.loose = column.left < 0
    if column.loose:
        column.left = -column.left
    else:
        column.value = taken(column)


cdef inline int64_t next_of(Column *column) noexcept nogil:
    if column.left == 0:
        open_run(column)
    column.left -= 1
    return taken(column) if column.loose else column.value


cdef inline int64_t alike(Column *column) noexcept nogil:
    """How many values from here on are surely alike; at least 1, of a column that isn't at its end."""
    if column.left == 0:
        open_run(column)
    return 1 if column.loose else column.left


cdef inline int64_t run_of(Column *column, int64_t count) noexcept nogil:
    """The value of the next `count`, which are alike."""
    column.left -= count
    return taken(column) if column.loose else column.value
