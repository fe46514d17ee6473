# cython: language_level=3
"""Where the shortest way from one text to another has its middle.

The split is that of Myers 1986 ("An O(ND) difference algorithm", section 4b) as diff-match-patch has
it: paths from either end go one edit further each round until the furthest two overlap. Which
diagonals a round visits is Wu, Manber, Myers and Miller 1990 ("An O(NP) sequence comparison
algorithm"): of a way of D edits between texts of n >= m, e = (D - n + m) / 2 are insertions, whatever
the way, so no path with more of them has any say. That leaves every split as it was and makes the cost
O((n + m) e) for e the fewer of what is inserted and what is deleted.

It counts its steps, so that a caller can bound them: one for a diagonal visited, with the 8 bytes that
come next on it, and one for each 8 bytes more. Nothing here knows what becomes of a split.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

__all__: list = []

ctypedef fused Unit:
    uint8_t
    uint16_t
    uint32_t

cdef enum:
    BLOCK = 64                         # diagonals taken at once
    COLUMNS = 16
    UNREACHED = -0x40000000            # less than any place in a text, whatever is added


cdef int _room(int32_t **block, Py_ssize_t *room, Py_ssize_t needed) except -1 nogil:
    cdef Py_ssize_t grown = max(needed, room[0] + room[0] // 2)
    cdef void *moved
    if needed > room[0]:
        moved = PyMem_RawRealloc(block[0], grown * sizeof(int32_t))
        if moved == NULL:
            with gil:
                raise MemoryError
        block[0] = <int32_t *>moved
        room[0] = grown
    return 0


# --- along a diagonal ---------------------------------------------------------------------------------

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    /* What differs between the 8 bytes from a and from b on, the first of them lowest. */
    static inline uint64_t syncstring_differing(const void *a, const void *b);
    /* The same from the last of them on. */
    static inline uint64_t syncstring_turned(uint64_t differing);
    /* How many bytes come before the first that differs; one does. */
    static inline int syncstring_alike(uint64_t differing);

    #if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    static inline uint64_t syncstring_differing(const void *a, const void *b) {
        uint64_t p, q;
        memcpy(&p, a, 8);
        memcpy(&q, b, 8);
        return p ^ q;
    }
    static inline uint64_t syncstring_turned(uint64_t differing) { return __builtin_bswap64(differing); }
    static inline int syncstring_alike(uint64_t differing) { return __builtin_ctzll(differing) >> 3; }
    #else
    static inline uint64_t syncstring_differing(const void *a, const void *b) {
        const unsigned char *p = (const unsigned char *)a, *q = (const unsigned char *)b;
        uint64_t differing = 0;
        for (int i = 7; i >= 0; i--) differing = differing << 8 | (uint64_t)(p[i] ^ q[i]);
        return differing;
    }
    static inline uint64_t syncstring_turned(uint64_t differing) {
        uint64_t turned = 0;
        for (int i = 0; i < 8; i++, differing >>= 8) turned = turned << 8 | (differing & 255);
        return turned;
    }
    static inline int syncstring_alike(uint64_t differing) {
        int alike = 0;
        for (; !(differing & 255); differing >>= 8) alike++;
        return alike;
    }
    #endif
    """
    uint64_t _differing "syncstring_differing"(const void *a, const void *b) nogil
    uint64_t _turned "syncstring_turned"(uint64_t differing) nogil
    int _alike "syncstring_alike"(uint64_t differing) nogil


cdef inline uint64_t _next(const Unit *s, const Unit *t, Py_ssize_t way) noexcept nogil:
    # What differs in the next 8 bytes: those from s and t on, or with -1 for `way` those up to there.
    if way > 0:
        return _differing(s, t)
    return _turned(_differing(<const char *>(s + 1) - MARGIN, <const char *>(t + 1) - MARGIN))


cdef Py_ssize_t _snake(const Unit *s, const Unit *t, Py_ssize_t way, Py_ssize_t most, Py_ssize_t *left) noexcept nogil:
    # How many code points are the same, after 8 bytes that are; it may go 8 bytes beyond `most`.
    cdef Py_ssize_t done = MARGIN // <Py_ssize_t>sizeof(Unit)
    cdef uint64_t differing
    while done < most and left[0] > 0:
        left[0] -= 1
        differing = _next(s + way * done, t + way * done, way)
        if differing:
            return done + _alike(differing) // <Py_ssize_t>sizeof(Unit)
        done += MARGIN // <Py_ssize_t>sizeof(Unit)
    return done


cdef inline Py_ssize_t _follow(
    const Unit *s, const Unit *t, Py_ssize_t way, const int32_t *fresh, int32_t *far, Py_ssize_t diagonal,
    Py_ssize_t j, Py_ssize_t count
) noexcept nogil:
    # Goes on from fresh[j ..] along what is the same, up to one where 8 bytes are; which that is. No
    # branch depends on the texts but that: at a few instructions a diagonal a wrong guess is dear.
    cdef uint64_t differing
    diagonal -= 2 * j
    while j < count:
        differing = _next(s + way * fresh[j], t + way * (fresh[j] - diagonal), way)
        if differing == 0:
            break
        far[j] = fresh[j] + _alike(differing) // <int>sizeof(Unit)
        diagonal -= 2
        j += 1
    return j


# --- rounds -------------------------------------------------------------------------------------------

# A path makes moves along s, the longer text, of n, along t, of m, or along both where they are the
# same. After d moves along one of them, i of them along t, it's on diagonal d - 2i, and far[i] is how far
# along s the furthest such path is. The next round makes that the greater of far[i] + 1 and far[i - 1].
#
# As e isn't known, the columns 0 .. 15 of `far` go through all rounds that e < 16 could need, then the
# next few columns do, and so on. Before column i comes i - 1: `edge` holds what the last column so far had
# after each round.


cdef inline void _round(
    const Unit *s, Py_ssize_t n, const Unit *t, Py_ssize_t m, Py_ssize_t way, int32_t *far, Py_ssize_t d,
    Py_ssize_t low, Py_ssize_t high, Py_ssize_t *left
) noexcept nogil:
    # One move further in columns low .. high, no further than the texts go, then along what is the same.
    # That may go some bytes beyond the ends; the next round takes it back.
    cdef int32_t fresh[BLOCK]
    cdef int32_t end = <int32_t>n, below, x, y
    cdef Py_ssize_t i, j, count, at, diagonal
    while high >= low:
        i = max(low, high + 1 - BLOCK)
        count = high + 1 - i
        diagonal = d - 2 * i
        below = <int32_t>(m + diagonal)
        for j in range(count):         # the compiler takes many at once
            x = far[i + j] + 1
            y = far[i + j - 1]
            x = x if x > y else y
            y = below - <int32_t>(2 * j)
            y = y if y < end else end
            fresh[j] = x if x < y else y
        j = 0
        while True:
            j = _follow(s, t, way, fresh, far + i, diagonal, j, count)
            if j == count:
                break
            at = fresh[j]
            far[i + j] = <int32_t>(at + _snake(s + way * at, t + way * (at - diagonal + 2 * j), way,
                                               min(n - at, m + diagonal - 2 * j - at), left))
            j += 1
        high = i - 1


cdef bint _rounds(
    const Unit *s, Py_ssize_t n, const Unit *t, Py_ssize_t m, Py_ssize_t way, Side *side, Py_ssize_t low,
    Py_ssize_t high, Py_ssize_t d, Py_ssize_t last, Py_ssize_t *left
) noexcept nogil:
    # Columns low .. high from round d to round `last`; whether the steps were enough.
    cdef int32_t *far = side.far + 1
    cdef int32_t *edge = side.edge + 1
    cdef int32_t kept = far[low - 1]
    while d <= last:
        left[0] -= min(d, high) - low + 1
        if left[0] <= 0:
            return False
        if low:
            far[low - 1] = edge[d - 1]
        edge[d - 1] = far[high]
        if way > 0:
            _round(s, n, t, m, 1, far, d, low, min(d, high), left)
        else:
            _round(s + n - 1, n, t + m - 1, m, -1, far, d, low, min(d, high), left)
        if left[0] <= 0:
            return False
        d += 1
    far[low - 1] = kept
    return True


cdef int _open(Side *side, Py_ssize_t low, Py_ssize_t high, Py_ssize_t rounds) except -1 nogil:
    # Room for columns low .. high and so many rounds, and for one before the first of each.
    cdef Py_ssize_t i
    _room(&side.far, &side.far_room, high + 2)
    _room(&side.edge, &side.edge_room, rounds + 2)
    for i in range(low, high + 1):
        side.far[i + 1] = UNREACHED
    if low == 0:
        side.far[0] = UNREACHED
        side.far[1] = -1               # a move along s before the start
    return 0


cdef int _bisect(
    Bisection *w, const Unit *s, Py_ssize_t n, const Unit *t, Py_ssize_t m, bint turned, Py_ssize_t *x, Py_ssize_t *y
) except -1 nogil:
    cdef Py_ssize_t low, high = -1, e, i, front, back, first = -1, second = -1
    cdef int32_t end = <int32_t>n
    cdef int32_t *far
    cdef int32_t *facing
    cdef bint met
    while high < m - 1:
        low = high + 1
        high = min(m - 1, high + max(COLUMNS, low // 4))
        _open(&w.forward, low, high, (n - m + 1) // 2 + high)
        _open(&w.reverse, low, high, (n - m) // 2 + high)
        if not (_rounds(s, n, t, m, 1, &w.forward, low, high, low, first, &w.steps_left)
                and _rounds(s, n, t, m, -1, &w.reverse, low, high, low, second, &w.steps_left)):
            return OUT_OF_STEPS
        far, facing = w.forward.far + 1, w.reverse.far + 1
        for e in range(low, high + 1):
            # Have ways with e insertions been found, half of their edits from each end?
            front, back = (n - m + 1) // 2 + e, (n - m) // 2 + e
            if not (_rounds(s, n, t, m, 1, &w.forward, 0, high, first + 1, front, &w.steps_left)
                    and _rounds(s, n, t, m, -1, &w.reverse, 0, high, second + 1, back, &w.steps_left)):
                return OUT_OF_STEPS
            first, second = front, back
            met = False
            for i in range(e + 1):
                met |= far[i] + facing[e - i] >= end
            if not met:
                continue
            # Of several the package meets this one first.
            if (front != back) != turned:
                i = e
                while far[i] + facing[e - i] < end:
                    i -= 1
            else:
                i = 0
                while far[i] + facing[e - i] < end:
                    i += 1
            x[0] = min(far[i], n, m + front - 2 * i)
            y[0] = x[0] - (front - 2 * i)
            return SPLIT
    return NOTHING_COMMON


cdef int bisect(
    Bisection *w, int kind, const char *a, Py_ssize_t n, const char *b, Py_ssize_t m, Py_ssize_t *x, Py_ssize_t *y
) except -1 nogil:
    cdef bint turned = n < m
    cdef int outcome
    if w.steps_left <= 0 or n + m >= -UNREACHED:
        return OUT_OF_STEPS
    if turned:
        a, n, b, m, x, y = b, m, a, n, y, x
    if kind == 1:
        outcome = _bisect(w, <const uint8_t *>a, n, <const uint8_t *>b, m, turned, x, y)
    elif kind == 2:
        outcome = _bisect(w, <const uint16_t *>a, n, <const uint16_t *>b, m, turned, x, y)
    else:
        outcome = _bisect(w, <const uint32_t *>a, n, <const uint32_t *>b, m, turned, x, y)
    if outcome == OUT_OF_STEPS:
        w.steps_left = 0
    return outcome


cdef void release(Bisection *w) noexcept nogil:
    PyMem_RawFree(w.forward.far)
    PyMem_RawFree(w.forward.edge)
    PyMem_RawFree(w.reverse.far)
    PyMem_RawFree(w.reverse.edge)
