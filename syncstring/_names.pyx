# cython: language_level=3
"""The names by which people call versions: 64 bits of an id.

The law of this room. A name is a function of the id alone, the same in every process; as sixteen hex digits it never
looks like a number. FORMAT.md gives the function.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t

__all__ = ["name_hash"]


def name_hash(int64_t time, str session not None):
    """FNV-1a over the UTF-8 of `time:session`, then murmur3's fmix64; and of the next numbers in splitmix64's
    order, until a hex digit is a letter. (Mixing a result again would not do: 0 stays 0.)"""
    cdef uint64_t state = 0xCBF29CE484222325, hash
    cdef bytes text = f"{time}:{session}".encode()
    cdef uint8_t byte
    for byte in text:
        state = (state ^ byte) * <uint64_t>0x100000001B3
    hash = _mixed(state)
    while not _has_letter(hash):
        state += <uint64_t>0x9E3779B97F4A7C15
        hash = _mixed(state)
    return hash


cdef uint64_t _mixed(uint64_t hash) noexcept:
    hash = (hash ^ hash >> 33) * <uint64_t>0xFF51AFD7ED558CCD
    hash = (hash ^ hash >> 33) * <uint64_t>0xC4CEB9FE1A85EC53
    return hash ^ hash >> 33


cdef bint _has_letter(uint64_t hash) noexcept:
    cdef int digit
    for digit in range(16):
        if (hash >> 4 * digit) & 15 > 9:
            return True
    return False
