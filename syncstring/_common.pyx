# cython: language_level=3
"""What two texts have in common: their ends, one inside the other, and pieces here and there.

Texts are code points of any width, borrowed from a `str`. Everything is linear in what it looks at,
whatever the texts are like, and the same on every machine. `pieces` is patience diff (Bram Cohen)
on k-grams in place of lines: those that each text has once, or else the first with the first, the
second with the second and so on; of these the longest chain that rises in both texts. A hash only
proposes: what is returned was compared. Nothing here knows what a diff is.
"""

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from syncstring.errors import PatchError

__all__: list = []

cdef extern from "Python.h" nogil:
    int PyUnicode_KIND(object text)
    void *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

ctypedef fused Unit:
    uint8_t
    uint16_t
    uint32_t

ctypedef fused Other:
    uint8_t
    uint16_t
    uint32_t

cdef enum:
    BLOCK = 128                        # code points that memcmp skips at once: 1M in 30 us, one by one in 280
    SAMPLES = 1 << 16                  # about as many k-grams are looked at, however long the texts
    PROBES = 32                        # a k-gram that finds no slot within so many is left out
cdef uint64_t FACTOR = 0x9E3779B97F4A7C15
cdef uint64_t SPREAD = 0xD6E8FEB86659FD93


cdef int _no_memory() except -1 nogil:
    with gil:
        raise MemoryError


cdef bint _surrogate_in(const Unit *data, Py_ssize_t n) noexcept nogil:
    # Looks at all of them: without a way out of the loop the compiler takes many at once.
    cdef uint32_t found = 0
    cdef Py_ssize_t i
    for i in range(n):
        found |= (data[i] & <uint32_t>0xFFFFF800) == 0xD800
    return found


cdef Text text_of(str text) except *:
    cdef Text s = Text(PyUnicode_KIND(text), <const char *>PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    cdef Py_ssize_t at
    if (s.kind == 2 and _surrogate_in(<const uint16_t *>s.data, s.size)) or (
        s.kind == 4 and _surrogate_in(<const uint32_t *>s.data, s.size)
    ):
        at = next(i for i, c in enumerate(text) if "\ud800" <= c <= "\udfff")
        raise PatchError(
            f"lone surrogate U+{ord(text[at]):04X} at {at} of a text of {s.size}; "
            "offsets are code points: was this text cut inside a UTF-16 pair?"
        )
    return s


cdef void _convert(Unit *target, const Other *source, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        target[i] = <Unit>source[i]


cdef char *widened(Text s, int kind, Py_ssize_t margin) except NULL nogil:
    cdef char *block = <char *>PyMem_RawMalloc(s.size * kind + 2 * margin)
    cdef char *wide = block + margin
    if block == NULL:
        _no_memory()
    memset(block, 0, margin)
    memset(wide + s.size * kind, 0, margin)
    if s.kind == kind:
        memcpy(wide, s.data, s.size * kind)
    elif kind == 2:
        _convert(<uint16_t *>wide, <const uint8_t *>s.data, s.size)
    elif s.kind == 1:
        _convert(<uint32_t *>wide, <const uint8_t *>s.data, s.size)
    else:
        _convert(<uint32_t *>wide, <const uint16_t *>s.data, s.size)
    return block


# --- ends ---------------------------------------------------------------------------------------------

cdef Py_ssize_t _prefix_units(const Unit *a, const Other *b, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < n and a[i] == b[i]:
        i += 1
    return i


cdef Py_ssize_t _suffix_units(const Unit *a, const Other *b, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < n and a[-1 - i] == b[-1 - i]:
        i += 1
    return i


cdef Py_ssize_t _prefix_with(const Unit *a, int kind, const char *b, Py_ssize_t n) noexcept nogil:
    if kind == 1:
        return _prefix_units(a, <const uint8_t *>b, n)
    if kind == 2:
        return _prefix_units(a, <const uint16_t *>b, n)
    return _prefix_units(a, <const uint32_t *>b, n)


cdef Py_ssize_t _suffix_with(const Unit *a, int kind, const char *b, Py_ssize_t n) noexcept nogil:
    if kind == 1:
        return _suffix_units(a, <const uint8_t *>b, n)
    if kind == 2:
        return _suffix_units(a, <const uint16_t *>b, n)
    return _suffix_units(a, <const uint32_t *>b, n)


cdef Py_ssize_t prefix(Text s, Py_ssize_t i, Text t, Py_ssize_t j, Py_ssize_t n) noexcept nogil:
    cdef const char *a = s.data + i * s.kind
    cdef const char *b = t.data + j * t.kind
    cdef Py_ssize_t done = 0
    if s.kind == t.kind:
        while n - done >= BLOCK and memcmp(a + done * s.kind, b + done * s.kind, BLOCK * s.kind) == 0:
            done += BLOCK
        a += done * s.kind
        b += done * s.kind
    if s.kind == 1:
        return done + _prefix_with(<const uint8_t *>a, t.kind, b, n - done)
    if s.kind == 2:
        return done + _prefix_with(<const uint16_t *>a, t.kind, b, n - done)
    return done + _prefix_with(<const uint32_t *>a, t.kind, b, n - done)


cdef Py_ssize_t suffix(Text s, Py_ssize_t i, Text t, Py_ssize_t j, Py_ssize_t n) noexcept nogil:
    cdef const char *a = s.data + i * s.kind
    cdef const char *b = t.data + j * t.kind
    cdef Py_ssize_t done = 0
    if s.kind == t.kind:
        while n - done >= BLOCK and memcmp(a - BLOCK * s.kind, b - BLOCK * s.kind, BLOCK * s.kind) == 0:
            done += BLOCK
            a -= BLOCK * s.kind
            b -= BLOCK * s.kind
    if s.kind == 1:
        return done + _suffix_with(<const uint8_t *>a, t.kind, b, n - done)
    if s.kind == 2:
        return done + _suffix_with(<const uint16_t *>a, t.kind, b, n - done)
    return done + _suffix_with(<const uint32_t *>a, t.kind, b, n - done)


# --- one inside the other -------------------------------------------------------------------------------

cdef Py_ssize_t _find_units(
    const Unit *text, Py_ssize_t n, const Unit *part, Py_ssize_t m, Py_ssize_t *failure
) noexcept nogil:
    # Where `part` is first in `text`, or -1. Plain comparing, or with a table Knuth-Morris-Pratt;
    # -2 if comparing did too much and wants the table.
    cdef Py_ssize_t i, k, patience = 4 * n
    if failure == NULL:
        for i in range(n - m + 1):
            if text[i] == part[0] and text[i + m - 1] == part[m - 1]:
                k = 1
                while k < m and text[i + k] == part[k]:
                    k += 1
                if k == m:
                    return i
                patience -= k
                if patience < 0:
                    return -2
        return -1
    failure[0] = k = 0
    for i in range(1, m):
        while k and part[i] != part[k]:
            k = failure[k - 1]
        if part[i] == part[k]:
            k += 1
        failure[i] = k
    k = 0
    for i in range(n):
        while k and text[i] != part[k]:
            k = failure[k - 1]
        if text[i] == part[k]:
            k += 1
        if k == m:
            return i + 1 - m
    return -1


cdef Py_ssize_t _find_with(
    Text s, Py_ssize_t a, Py_ssize_t n, Text t, Py_ssize_t b, Py_ssize_t m, Py_ssize_t *failure
) noexcept nogil:
    if s.kind == 1:
        return _find_units(<const uint8_t *>s.data + a, n, <const uint8_t *>t.data + b, m, failure)
    if s.kind == 2:
        return _find_units(<const uint16_t *>s.data + a, n, <const uint16_t *>t.data + b, m, failure)
    return _find_units(<const uint32_t *>s.data + a, n, <const uint32_t *>t.data + b, m, failure)


cdef Py_ssize_t find(Text s, Py_ssize_t a, Py_ssize_t n, Text t, Py_ssize_t b, Py_ssize_t m) except -2 nogil:
    cdef Py_ssize_t at = _find_with(s, a, n, t, b, m, NULL)
    cdef Py_ssize_t *failure
    if at == -2:
        failure = <Py_ssize_t *>PyMem_RawMalloc(m * sizeof(Py_ssize_t))
        if failure == NULL:
            _no_memory()
        at = _find_with(s, a, n, t, b, m, failure)
        PyMem_RawFree(failure)
    return at


# --- pieces here and there --------------------------------------------------------------------------------

cdef struct Gram:
    uint32_t tag
    int32_t count, met                 # how often in s (0: the slot is free), how often in t
    int32_t first, last                # its places in s, as a list in `places`

cdef struct Place:
    Py_ssize_t at
    int32_t next

cdef struct Pair:
    Py_ssize_t a, b                    # one k-gram in both texts
    Py_ssize_t before                  # the pair before it in the longest rising chain that it ends

cdef struct Search:
    Text s, t
    int size                           # k
    Gram *slots
    uint64_t mask, skip                # a k-gram whose hash has a bit of `skip` isn't looked at
    uint64_t distinct
    Place *places
    Pair *pairs
    Py_ssize_t places_count, places_room, pairs_count, pairs_room

cdef enum Scan:
    LIST                               # s: where each k-gram is
    COUNT                              # t: how often each of these is there
    PAIR_UNIQUE                        # t: pairs of those that both texts have once
    PAIR_IN_ORDER                      # t: pairs of the first with the first, the second with the second, ...


cdef bint _room(void **block, Py_ssize_t *room, Py_ssize_t needed, size_t size) noexcept nogil:
    cdef Py_ssize_t grown = needed + needed // 2 + 16
    cdef void *moved
    if needed <= room[0]:
        return True
    moved = PyMem_RawRealloc(block[0], grown * size)
    if moved == NULL:
        return False
    block[0] = moved
    room[0] = grown
    return True


cdef Gram *_slot(Search *f, uint64_t hash, bint adding) noexcept nogil:
    cdef uint64_t i = hash >> 32
    cdef Gram *gram
    for _ in range(PROBES):
        gram = &f.slots[i & f.mask]
        if gram.count == 0:
            if not adding or 2 * f.distinct > f.mask:
                return NULL
            f.distinct += 1
            gram.tag = <uint32_t>hash
            gram.first = -1
            return gram
        if gram.tag == <uint32_t>hash:
            return gram
        i += 1
    return NULL


cdef bint _note(Search *f, Gram *gram, Py_ssize_t at) noexcept nogil:
    cdef int32_t place = <int32_t>f.places_count
    if not _room(<void **>&f.places, &f.places_room, f.places_count + 1, sizeof(Place)):
        return False
    f.places[place] = Place(at, -1)
    if gram.first < 0:
        gram.first = place
    else:
        f.places[gram.last].next = place
    gram.last = place
    gram.count += 1
    f.places_count += 1
    return True


cdef bint _pair(Search *f, Gram *gram, Py_ssize_t b) noexcept nogil:
    cdef Py_ssize_t a
    cdef Pair *before
    if gram.first < 0:
        return True
    a = f.places[gram.first].at
    gram.first = f.places[gram.first].next
    if prefix(f.s, a, f.t, b, f.size) < f.size:
        return True
    if f.pairs_count:
        before = &f.pairs[f.pairs_count - 1]
        if a - b == before.a - before.b and a < before.a + f.size:
            return True                # the pair before it says most of this
    if not _room(<void **>&f.pairs, &f.pairs_room, f.pairs_count + 1, sizeof(Pair)):
        return False
    f.pairs[f.pairs_count] = Pair(a, b, -1)
    f.pairs_count += 1
    return True


cdef bint _scan(Search *f, Scan scan, const Unit *text, Py_ssize_t start, Py_ssize_t n) noexcept nogil:
    # Rolls a hash over text[start:start+n] and deals with each k-gram in turn.
    cdef uint64_t hash = 0, mixed, oldest = 1
    cdef Py_ssize_t i, k = f.size
    cdef Gram *gram
    text += start
    for i in range(k):
        oldest *= FACTOR
    for i in range(n):
        hash = hash * FACTOR + text[i] + 1
        if i >= k:
            hash -= oldest * (<uint64_t>text[i - k] + 1)
        elif i < k - 1:
            continue
        mixed = (hash ^ hash >> 29) * SPREAD
        if (mixed >> 54) & f.skip:
            continue
        gram = _slot(f, mixed, scan == LIST)
        if gram == NULL:
            continue
        if scan == LIST:
            if not _note(f, gram, start + i + 1 - k):
                return False
        elif scan == COUNT:
            gram.met += 1
        elif scan == PAIR_IN_ORDER or (gram.count == 1 and gram.met == 1):
            if not _pair(f, gram, start + i + 1 - k):
                return False
    return True


cdef bint _scan_text(Search *f, Scan scan, Text text, Py_ssize_t start, Py_ssize_t n) noexcept nogil:
    if text.kind == 1:
        return _scan(f, scan, <const uint8_t *>text.data, start, n)
    if text.kind == 2:
        return _scan(f, scan, <const uint16_t *>text.data, start, n)
    return _scan(f, scan, <const uint32_t *>text.data, start, n)


cdef Py_ssize_t _chain(Pair *pairs, Py_ssize_t n, Py_ssize_t *tails) noexcept nogil:
    # The pair that ends the longest chain rising in a; b rises already. Patience sorting.
    cdef Py_ssize_t length = 0
    cdef Py_ssize_t p, low, high, middle
    for p in range(n):
        low, high = 0, length
        if length and pairs[tails[length - 1]].a < pairs[p].a:
            low = length               # mostly so: texts that need no search are alike
        while low < high:
            middle = (low + high) // 2
            if pairs[tails[middle]].a < pairs[p].a:
                low = middle + 1
            else:
                high = middle
        if low:
            pairs[p].before = tails[low - 1]
        tails[low] = p
        if low == length:
            length += 1
    return tails[length - 1]


cdef Py_ssize_t _join(const Pair *pairs, Py_ssize_t p, int size, Piece *found) noexcept nogil:
    # The chain that ends in p as pieces apart from each other: k-grams on one diagonal are joined,
    # the earlier of two that overlap otherwise is left out.
    cdef Py_ssize_t count = 0, i
    cdef Piece *last
    while p >= 0:
        if count:
            last = &found[count - 1]
            if pairs[p].a - pairs[p].b == last.a - last.b and pairs[p].a + size >= last.a:
                last.size += last.a - pairs[p].a
                last.a, last.b = pairs[p].a, pairs[p].b
                p = pairs[p].before
                continue
        if count == 0 or (pairs[p].a + size <= last.a and pairs[p].b + size <= last.b):
            found[count] = Piece(pairs[p].a, pairs[p].b, size)
            count += 1
        p = pairs[p].before
    for i in range(count // 2):
        found[i], found[count - 1 - i] = found[count - 1 - i], found[i]
    return count


cdef Py_ssize_t _search(Search *f, Py_ssize_t i, Py_ssize_t n, Py_ssize_t j, Py_ssize_t m, Piece **found) noexcept nogil:
    # How many pieces, or -1 without memory.
    cdef uint64_t slots = 16
    cdef Py_ssize_t last
    cdef Py_ssize_t *tails
    while slots < <uint64_t>(2 * n) and slots < 4 * SAMPLES:
        slots *= 2
    f.mask = slots - 1
    while max(n, m) > <Py_ssize_t>(f.skip + 1) * SAMPLES and f.skip < 0x3FF:
        f.skip = 2 * f.skip + 1
    f.slots = <Gram *>PyMem_RawCalloc(slots, sizeof(Gram))
    if f.slots == NULL:
        return -1
    if not (_scan_text(f, LIST, f.s, i, n) and _scan_text(f, COUNT, f.t, j, m)
            and _scan_text(f, PAIR_UNIQUE, f.t, j, m)):
        return -1
    if f.pairs_count == 0 and not _scan_text(f, PAIR_IN_ORDER, f.t, j, m):
        return -1
    if f.pairs_count == 0:
        return 0
    tails = <Py_ssize_t *>PyMem_RawMalloc(f.pairs_count * sizeof(Py_ssize_t))
    found[0] = <Piece *>PyMem_RawMalloc(f.pairs_count * sizeof(Piece))
    if tails == NULL or found[0] == NULL:
        PyMem_RawFree(tails)
        PyMem_RawFree(found[0])
        found[0] = NULL
        return -1
    last = _chain(f.pairs, f.pairs_count, tails)
    PyMem_RawFree(tails)
    return _join(f.pairs, last, f.size, found[0])


cdef Py_ssize_t pieces(
    Text s, Py_ssize_t i, Py_ssize_t n, Text t, Py_ssize_t j, Py_ssize_t m, int size, Piece **found
) except -1 nogil:
    cdef Search f
    cdef Py_ssize_t count
    found[0] = NULL
    if n < size or m < size or n > 0x7FFFFFFF or m > 0x7FFFFFFF:
        return 0                       # places are counted in 32 bits
    f = Search(s, t, size, NULL, 0, 0, 0, NULL, NULL, 0, 0, 0, 0)
    count = _search(&f, i, n, j, m, found)
    PyMem_RawFree(f.slots)
    PyMem_RawFree(f.places)
    PyMem_RawFree(f.pairs)
    if count < 0:
        _no_memory()
    return count
