# cython: language_level=3
"""What stands for what, along a weave: where taking patches back finds what goes, stays and comes back.

The law of this room. A *stretch* says of code points that a patch inserted, and which take the place of others,
which ones these are: the nth, n + 1st, … that some patch deleted, in the text's order. `Stretches.follow` says
by them what becomes of everything in a weave when some of its events are taken back; `undo.py` says what is
meant by that. Stretches of events and code points that aren't there are passed over. Code points that neither
stand for others nor have any that stand for them are never looked at one by one.

It doesn't know ids, texts or who knows of which stretch. The slow twin is `Reference.inverse`.
"""

cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport INT64_MAX, int64_t, uint8_t
from libc.string cimport memset

from syncstring._memory cimport grown
from syncstring._weave cimport Weave

__all__ = ["Stretches"]


cdef struct Stretch:
    int64_t event, begin, stop   # whose inserted text it is a part of, and where that lies in the pool
    int64_t place, length        # the part
    int64_t deleter, nth         # what it stands for


cdef struct Pair:
    int64_t event, taken


cdef struct Piece:
    int64_t at, start, length, killer, nth, base


cdef struct Going:
    int64_t at, length


@cython.final
cdef class Stretches:
    """What is known to stand for what, event by event, ascending; and which event took back which."""

    cdef Stretch *rows
    cdef Py_ssize_t count, room
    cdef Pair *pairs
    cdef Py_ssize_t taken, taken_room
    cdef readonly int64_t looked_at
    """Pieces, stretches and single code points looked at so far: what tests of growth count."""

    def __dealloc__(self):
        PyMem_Free(self.rows)
        PyMem_Free(self.pairs)

    def __len__(self):
        return self.count

    def stand(self, int64_t event, int64_t begin, int64_t stop, int64_t at, int64_t length, int64_t deleter,
              int64_t nth):
        """Of the event's text, which is [begin, stop) of the pool, `length` code points from `at` on stand for
        what another deleted, from its nth on."""
        cdef Stretch *row
        if self.count and event < self.rows[self.count - 1].event:
            raise ValueError(f"event {event} after {self.rows[self.count - 1].event}")
        if self.count == self.room:
            self.rows = <Stretch *>grown(self.rows, 2 * self.room + 16, sizeof(Stretch))
            self.room = 2 * self.room + 16
        if at < 0 or nth < 0 or deleter < 0 or deleter >= event or at >= stop - begin:
            return
        row = &self.rows[self.count]
        row.event, row.begin, row.stop = event, begin, stop
        row.place, row.length = begin + at, min(length, stop - begin - at)
        row.deleter, row.nth = deleter, nth
        if row.length > 0:
            self.count += 1

    def took(self, int64_t event, int64_t taken):
        """The event took that one back."""
        if self.taken and event < self.pairs[self.taken - 1].event:
            raise ValueError(f"event {event} after {self.pairs[self.taken - 1].event}")
        if self.taken == self.taken_room:
            self.pairs = <Pair *>grown(self.pairs, 2 * self.taken_room + 16, sizeof(Pair))
            self.taken_room = 2 * self.taken_room + 16
        self.pairs[self.taken] = Pair(event, taken)
        self.taken += 1

    def reach(self, int64_t oldest):
        """How far to look back from there so as to see what came back since stands for. O(stretches since)."""
        cdef Py_ssize_t i = self.count - 1
        while i >= 0 and self.rows[i].event >= oldest:
            oldest = min(oldest, self.rows[i].deleter)
            i -= 1
        return oldest

    def follow(self, Weave weave not None, mine, const uint8_t[::1] known not None):
        """What becomes of everything in the weave, which reaches back as far as `reach` says, if the events
        `mine` are taken back; `known` is a mask over its events: which knew any of them, and aren't of them.

        The operations are returned, None for each stretch that comes back, and these: (whether it is base
        text, where it starts in that or in the pool, length, the event that deleted it, how many code points
        that one deleted before it). O(pieces and stretches, and code points that stand for others or that
        others stand for).
        """
        cdef _Following following = _Following(self, weave)
        cdef Py_ssize_t event
        if known.shape[0] != following.events:
            raise ValueError(f"a mask of {known.shape[0]} for {following.events} events")
        for event in mine:
            if not weave.first <= event < weave.last:
                raise ValueError(f"event {event} is not in the weave of [{weave.first}, {weave.last})")
            following.mine[event - weave.first] = 1
        following.number()
        following.link(&known[0] if following.events else NULL)
        following.find_back()
        self.looked_at += following.looked_at
        return following.woven(), [
            (bool(following.back[i].base), following.back[i].start, following.back[i].length,
             following.back[i].killer + weave.first, following.back[i].nth)
            for i in range(following.backs)
        ]


@cython.final
cdef class _Following:
    """One answer of `Stretches.follow` in the making.

    Code points that matter have numbers: first those of events with stretches, by event, so that what a code
    point stands for has a lower number or one of the others, which stand for nothing.
    """

    cdef Stretches known
    cdef Weave weave
    cdef Py_ssize_t events, low            # of the weave; the first stretch of one of them
    cdef int64_t standing, numbers         # code points of events with stretches; all that have numbers
    cdef int64_t looked_at
    # By event:
    cdef uint8_t *mine
    cdef int64_t *base                     # the number of its first code point, -1 if it has no stretches
    cdef int64_t *deleted_from             # of a deleter in a stretch: where in `deleted` its own begin
    cdef uint8_t *deleter                  # whether it is one
    cdef int64_t *passed                   # code points deleted so far
    cdef int64_t *pair                     # the first of its pairs
    # By piece:
    cdef int64_t *first                    # the number of its first code point, -1 if it has none
    # By number:
    cdef int64_t *at                       # where it stands, or stood, in the weave
    cdef int64_t *origin                   # what it stands for, -1 for nothing
    cdef uint8_t *goes                     # whether it was inserted by `mine`, or stands for what was
    cdef uint8_t *fine                     # whether it counts as gone by `mine` alone
    cdef uint8_t *held                     # whether something that stands for it doesn't
    cdef int64_t *deleted
    cdef Piece *back
    cdef Py_ssize_t backs, backs_room
    cdef Going *going
    cdef Py_ssize_t goings_room

    def __cinit__(self, Stretches known, Weave weave):
        cdef Py_ssize_t n = weave.last - weave.first
        self.known, self.weave, self.events = known, weave, n
        self.mine = <uint8_t *>zeros(n, 1)
        self.base = <int64_t *>zeros(n, sizeof(int64_t))
        self.deleted_from = <int64_t *>zeros(n + 1, sizeof(int64_t))
        self.deleter = <uint8_t *>zeros(n, 1)
        self.passed = <int64_t *>zeros(n, sizeof(int64_t))
        self.pair = <int64_t *>zeros(n, sizeof(int64_t))
        self.first = <int64_t *>zeros(weave.pieces, sizeof(int64_t))

    def __dealloc__(self):
        PyMem_Free(self.mine)
        PyMem_Free(self.base)
        PyMem_Free(self.deleted_from)
        PyMem_Free(self.deleter)
        PyMem_Free(self.passed)
        PyMem_Free(self.pair)
        PyMem_Free(self.first)
        PyMem_Free(self.at)
        PyMem_Free(self.origin)
        PyMem_Free(self.goes)
        PyMem_Free(self.fine)
        PyMem_Free(self.held)
        PyMem_Free(self.deleted)
        PyMem_Free(self.back)
        PyMem_Free(self.going)

    cdef int number(self) except -1:
        """Give numbers to the code points that matter, and list what deleters deleted."""
        cdef Weave weave = self.weave
        cdef Stretch *row
        cdef Py_ssize_t i, event, piece
        cdef int64_t k, total = 0, at = 0, number, j, *filled
        self.low = self.known.count
        while self.low > 0 and self.known.rows[self.low - 1].event >= weave.first:
            self.low -= 1
        for event in range(self.events):
            self.base[event] = self.pair[event] = -1
        i = self.known.taken
        while i > 0 and self.known.pairs[i - 1].event >= weave.first:
            i -= 1
            if self.known.pairs[i].event < weave.last:
                self.pair[self.known.pairs[i].event - weave.first] = i
        for i in range(self.low, self.known.count):
            row = &self.known.rows[i]
            if row.event >= weave.last:
                break
            if self.base[row.event - weave.first] < 0:
                self.base[row.event - weave.first] = self.standing
                self.standing += row.stop - row.begin
            if row.deleter >= weave.first:
                self.deleter[row.deleter - weave.first] = 1
        self.numbers = self.standing
        # Count what deleters deleted, and number what of it has no number.
        for piece in range(weave.pieces):
            event = weave.event[piece]
            self.first[piece] = -1
            if event >= 0 and self.base[event - weave.first] >= 0:
                self.first[piece] = self.base[event - weave.first] + weave.start[piece] - self.begin_of(event)
            for k in range(weave.killer_start[piece], weave.killer_start[piece + 1]):
                if self.deleter[weave.killers[k]]:
                    self.deleted_from[weave.killers[k] + 1] += weave.length[piece]
                    if self.first[piece] < 0:
                        self.first[piece] = self.numbers
                        self.numbers += weave.length[piece]
        for event in range(self.events):
            self.deleted_from[event + 1] += self.deleted_from[event]
        self.deleted = <int64_t *>zeros(self.deleted_from[self.events], sizeof(int64_t))
        self.at = <int64_t *>zeros(self.numbers, sizeof(int64_t))
        self.origin = <int64_t *>zeros(self.numbers, sizeof(int64_t))
        self.goes = <uint8_t *>zeros(self.numbers, 1)
        self.fine = <uint8_t *>zeros(self.numbers, 1)
        self.held = <uint8_t *>zeros(self.numbers, 1)
        memset(self.origin, 255, self.numbers * sizeof(int64_t))
        memset(self.fine, 1, self.numbers)
        for piece in range(weave.pieces):
            number = self.first[piece]
            event = weave.event[piece]
            if number >= 0:
                for j in range(weave.length[piece]):
                    self.at[number + j] = at + j
                if event >= 0 and self.mine[event - weave.first]:
                    memset(self.goes + number, 1, weave.length[piece])
                if number < self.standing and not self.gone_by_mine(piece):
                    memset(self.fine + number, 0, weave.length[piece])
                for k in range(weave.killer_start[piece], weave.killer_start[piece + 1]):
                    if self.deleter[weave.killers[k]]:
                        total = self.deleted_from[weave.killers[k]] + self.passed[weave.killers[k]]
                        for j in range(weave.length[piece]):
                            self.deleted[total + j] = number + j
                        self.passed[weave.killers[k]] += weave.length[piece]
            at += weave.length[piece]
        self.looked_at += 2 * weave.pieces + self.known.count - self.low + self.numbers
        for event in range(self.events):
            self.passed[event] = 0
        return 0

    cdef int64_t begin_of(self, Py_ssize_t event) noexcept:
        """Where the text of an event with stretches begins in the pool."""
        cdef Py_ssize_t low = self.low, high = self.known.count, middle
        while low < high:
            middle = (low + high) // 2
            if self.known.rows[middle].event < event:
                low = middle + 1
            else:
                high = middle
        return self.known.rows[low].begin

    cdef bint gone_by_mine(self, Py_ssize_t piece) noexcept:
        """Whether a piece of something that came back is gone by `mine` alone, or because its coming back was
        taken back."""
        cdef Weave weave = self.weave
        cdef int64_t k, i
        cdef bint found
        if weave.killer_start[piece] == weave.killer_start[piece + 1]:
            return False
        for k in range(weave.killer_start[piece], weave.killer_start[piece + 1]):
            found = self.mine[weave.killers[k]]
            i = self.pair[weave.killers[k]]
            while not found and 0 <= i < self.known.taken and (
                self.known.pairs[i].event == weave.killers[k] + weave.first
            ):
                found = self.known.pairs[i].taken == weave.event[piece]
                i += 1
            if not found:
                return False
        return True

    cdef int link(self, const uint8_t *known) except -1:
        """Say of each number what it stands for, and what follows from that."""
        cdef Stretch *row
        cdef Py_ssize_t i
        cdef int64_t j, number, origin, start, stop, event
        for i in range(self.low, self.known.count):
            row = &self.known.rows[i]
            if row.event >= self.weave.last:
                break
            if row.deleter < self.weave.first:
                continue
            event = row.event - self.weave.first
            start = self.deleted_from[row.deleter - self.weave.first]
            stop = self.deleted_from[row.deleter - self.weave.first + 1]
            if row.nth >= stop - start:
                continue
            start += row.nth
            stop = min(stop, start + row.length)
            number = self.base[event] + row.place - row.begin
            for j in range(start, stop):
                origin = self.deleted[j]
                if origin < number or origin >= self.standing:
                    self.origin[number] = origin
                    if self.goes[origin]:
                        self.goes[number] = 1
                    if known[event]:
                        self.at[number] = self.at[origin]
                number += 1
        for number in range(self.standing - 1, -1, -1):
            if self.origin[number] >= 0 and (self.held[number] or not self.fine[number]):
                self.held[self.origin[number]] = 1
        return 0

    cdef int find_back(self) except -1:
        """What comes back, in the text's order."""
        cdef Weave weave = self.weave
        cdef Py_ssize_t piece
        cdef int64_t k, at = 0, start, stop, number
        cdef bint alone
        for piece in range(weave.pieces):
            k = weave.killer_start[piece]
            alone = k < weave.killer_start[piece + 1] and not (
                weave.event[piece] >= 0 and self.mine[weave.event[piece] - weave.first])
            for k in range(weave.killer_start[piece], weave.killer_start[piece + 1]):
                if not self.mine[weave.killers[k]]:
                    alone = False
            if alone:
                number = self.first[piece]
                stop = 0
                while stop < weave.length[piece]:
                    start = stop
                    stop = weave.length[piece]
                    if number >= 0:
                        while start < weave.length[piece] and self.held[number + start]:
                            start += 1
                        stop = start
                        while stop < weave.length[piece] and not self.held[number + stop]:
                            stop += 1
                    if start < stop:
                        self.comes_back(piece, at, start, stop)
            for k in range(weave.killer_start[piece], weave.killer_start[piece + 1]):
                if self.mine[weave.killers[k]]:
                    self.passed[weave.killers[k]] += weave.length[piece]
            at += weave.length[piece]
        self.looked_at += weave.pieces
        return 0

    cdef int comes_back(self, Py_ssize_t piece, int64_t at, int64_t start, int64_t stop) except -1:
        cdef Weave weave = self.weave
        cdef Piece *one
        cdef int64_t killer = weave.killers[weave.killer_start[piece]]
        if self.backs == self.backs_room:
            self.back = <Piece *>grown(self.back, 2 * self.backs_room + 16, sizeof(Piece))
            self.backs_room = 2 * self.backs_room + 16
        one = &self.back[self.backs]
        one.at, one.start, one.length = at + start, weave.start[piece] + start, stop - start
        one.killer, one.nth, one.base = killer, self.passed[killer] + start, weave.event[piece] < 0
        self.backs += 1
        return 0

    cdef int64_t until_back(self, int64_t old) noexcept:
        """How many places from there on have nothing that comes back between them."""
        cdef Py_ssize_t low = 0, high = self.backs, middle
        while low < high:
            middle = (low + high) // 2
            if self.back[middle].at < old:
                low = middle + 1
            else:
                high = middle
        return self.back[low].at - old + 1 if low < self.backs else INT64_MAX

    cdef list woven(self):
        """The operations. Every stretch that comes back goes before the first one that stays and has its old
        place after it; so far before those that go, too."""
        cdef Weave weave = self.weave
        cdef _Woven out = _Woven()
        cdef Py_ssize_t piece, done = 0, goings = 0, i
        cdef int64_t at = 0, old, j, number, step, most
        cdef bint goes
        for piece in range(weave.pieces + 1):
            if piece < weave.pieces and weave.killer_start[piece] < weave.killer_start[piece + 1]:
                at += weave.length[piece]
                continue
            j = 0
            while j < (weave.length[piece] if piece < weave.pieces else 1):
                old, step, goes = at + j, 1, False
                if piece < weave.pieces:
                    number = self.first[piece]
                    if weave.event[piece] >= 0 and self.mine[weave.event[piece] - weave.first]:
                        step, goes = weave.length[piece], True
                    elif number < 0 or number >= self.standing:
                        step = weave.length[piece]
                    else:
                        old, goes = self.at[number + j], self.goes[number + j]
                        most = min(weave.length[piece] - j, self.until_back(old))
                        while step < most and (
                            self.at[number + j + step] == old + step and self.goes[number + j + step] == goes
                        ):
                            step += 1
                j += step
                if goes:
                    if goings == self.goings_room:
                        self.going = <Going *>grown(self.going, 2 * self.goings_room + 16, sizeof(Going))
                        self.goings_room = 2 * self.goings_room + 16
                    self.going[goings] = Going(old, step)
                    goings += 1
                    continue
                for i in range(goings):
                    while done < self.backs and self.back[done].at < min(self.going[i].at, old):
                        out.come()
                        done += 1
                    out.go(self.going[i].length)
                goings = 0
                while done < self.backs and self.back[done].at < old:
                    out.come()
                    done += 1
                out.stay(step)
            if piece < weave.pieces:
                at += weave.length[piece]
        self.looked_at += weave.pieces
        out.go(0)
        return out.ops


@cython.final
cdef class _Woven:
    """Operations, those that keep or delete in a row joined."""

    cdef list ops
    cdef int64_t kept, gone

    def __cinit__(self):
        self.ops = []

    cdef int stay(self, int64_t length) except -1:
        if self.gone:
            self.ops.append(-self.gone)
            self.gone = 0
        self.kept += length
        return 0

    cdef int go(self, int64_t length) except -1:
        if self.kept:
            self.ops.append(self.kept)
            self.kept = 0
        self.gone += length
        return 0

    cdef int come(self) except -1:
        self.stay(0)
        self.go(0)
        self.ops.append(None)
        return 0


cdef void *zeros(int64_t count, Py_ssize_t size) except NULL:
    cdef void *result = PyMem_Calloc(max(1, count), size)
    if result == NULL:
        raise MemoryError
    return result
