# cython: language_level=3
"""The times of patches: a hybrid logical clock, over a clock that is passed in.

The law of this room. A time is above every time that its author knew, so no clock can put a patch before what
it stands on; and close to what the clock says, cut to milliseconds, where that is sane. A clock may stand
still, jump and go back. From the year 2112 on, times only count up: nobody follows a clock beyond that.
Source: Kulkarni and others, "Logical Physical Clocks", OPODIS 2014.

It reads no clock but the ones it is given, and knows no documents.
"""

cimport cython
from libc.stdint cimport int64_t

from syncstring.errors import PatchError
from syncstring.rules import MAX_TIME as LAST
from syncstring.rules import MAX_TIME_STEP
from syncstring.rules import MIN_WILD_TIME as WILD

__all__ = ["Clocks", "time_above"]

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1

cdef int64_t MAX_TIME = LAST
MIN_WILD_TIME = WILD


@cython.final
cdef class Clocks:
    def __init__(self, clock, wall):
        if not callable(clock) or not (wall is None or callable(wall)):
            raise PatchError(
                f"clock is {clock!r:.40}, wall {wall!r:.40}; they are functions without arguments"
            )
        self._clock = clock
        self._wall = wall

    def read(self):
        cdef Reading reading
        self.ask(&reading)
        return reading.time, reading.wall

    cdef int ask(self, Reading *reading) except -1:
        cdef int64_t time = _asked("clock", self._clock)
        cdef int64_t wall = time if self._wall is None else _asked("wall", self._wall)
        cdef int64_t rest
        time = min(time, MIN_WILD_TIME - 1)
        rest = time % 1_000
        reading.time = time - (rest + 1_000 if rest < 0 else rest)
        reading.wall = max(0, min(wall, MAX_TIME))
        return 0


cdef int64_t _asked(str name, object clock) except? -1:
    cdef object time = clock()
    cdef int overflow = 0
    cdef int64_t result
    if type(time) is not int:
        raise PatchError(f"{name}() gives {time!r:.40}; it gives microseconds since the epoch, as an int")
    result = PyLong_AsLongLongAndOverflow(time, &overflow)
    if overflow:
        return overflow * (<int64_t>1 << 60)  # beyond all that counts, on its side
    return min(max(result, -(<int64_t>1 << 60)), <int64_t>1 << 60)


def time_above(int64_t present, int64_t known, int64_t parents, taken):
    cdef int64_t time = max(present, known + 1)
    cdef int64_t most = max(MIN_WILD_TIME - 1, parents + <int64_t>MAX_TIME_STEP)
    if time > most:  # the edit is of a version before somebody's clock ran wild
        time = most
        while taken(time):
            time -= 1
    return time
