# cython: language_level=3
"""Texts that grow and change: a buffer with gaps, a log of splices to replay.

Both hold bare code points (`_pool`), and positions and lengths are code points. What is out of range, and any lone
surrogate, is refused with `PatchError` at the door; the `cdef` faces that other kernels use trust their callers
instead. Running out of memory raises `MemoryError` and leaves the object as it was. Nothing here knows of patches,
versions or merging.

The buffer is the classic one of editors, with more than one gap: an edit moves the text between the nearest gap and
its place, and where that is far, a gap is divided and one half goes there. So edits that stay near each other cost
their own size only, and so do those of a few people, each near their own last. All room is in one block, and gaps
are joined where one is used up: an edit for which there is room anywhere can't fail. They are joined too
once much was moved where none could be divided: so gaps that people left behind follow them.
"""

cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.stdint cimport uint32_t
from libc.string cimport memmove

from syncstring._pool cimport TextPool, bits_of, copy_points, refuse_surrogates, roomier, surrogate_at, width_of

from syncstring.errors import PatchError

__all__ = ["SpliceLog", "TextBuffer"]

cdef enum:
    FAR = 2048                         # code points that are moved rather than a gap divided: 30 ns
    LEAST = 256                        # room in a gap's half, at least

cdef extern from "Python.h" nogil:
    int PyUnicode_KIND(object text)
    void *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef extern from "Python.h":
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    str PyUnicode_FromKindAndData(int kind, const void *data, Py_ssize_t size)
    # With NULL for the exception, whatever doesn't fit is clipped: out of range stays out of range.
    Py_ssize_t PyNumber_AsSsize_t(object value, void *exception) except? -1
    const Py_ssize_t PY_SSIZE_T_MAX


# --- gaps -------------------------------------------------------------------------------------------------

cdef enum Outcome:
    DONE
    NO_MEMORY


cdef inline void _note(TextBuffer b) noexcept nogil:
    # Let the list of gaps say where the open one is.
    b.first[b.open], b.past[b.open] = b.gap_start, b.gap_end


cdef void _open(TextBuffer b, Py_ssize_t number) noexcept nogil:
    # Edits go to this gap from now on.
    cdef Py_ssize_t i
    b.open = number
    b.gap_start, b.gap_end = b.first[number], b.past[number]
    b.before = b.parked = 0
    for i in range(b.gaps):
        if i < number:
            b.before += b.past[i] - b.first[i]
        if i != number:
            b.parked += b.past[i] - b.first[i]
    b.left = b.past[number - 1] if number > 0 else 0
    b.right = b.first[number + 1] if number + 1 < b.gaps else b.capacity


cdef void _turn(TextBuffer b, Py_ssize_t pos) noexcept nogil:
    # Open the gap that is nearest to `pos`, which has none between itself and there; half of it, if it is far.
    cdef Py_ssize_t i, away, best = 0, nearest = 0, before = 0
    _note(b)
    for i in range(b.gaps):
        away = pos - (b.first[i] - before)
        before += b.past[i] - b.first[i]
        if i == 0 or max(away, -away) < max(nearest, -nearest) or away == nearest and away > 0:
            best, nearest = i, away
    if max(nearest, -nearest) > FAR:
        if not _divisible(b, best) and b.moved - b.joined > GAPS * b.capacity:
            # Gaps stand where nobody types any more, or the block is full. To begin again with one gap costs no
            # more than that has. (At one `capacity` instead, edits all over a text cost five times as much.)
            _open(b, best)
            if b.capacity - b.size() >= b.capacity // 16 or _reallocate(b, b.kind, 0) != DONE:
                _join(b)
            _note(b)
            best = 0
        if _divisible(b, best):
            best = _divide(b, best, nearest, (b.past[best] - b.first[best]) // 2)
    _open(b, best)


cdef inline bint _divisible(TextBuffer b, Py_ssize_t number) noexcept nogil:
    return b.gaps < GAPS and b.past[number] - b.first[number] >= 2 * LEAST


cdef Py_ssize_t _divide(TextBuffer b, Py_ssize_t number, Py_ssize_t away, Py_ssize_t left) noexcept nogil:
    # Leave so much room in a gap, and make another of the rest, so many code points away; its number.
    cdef Py_ssize_t first = b.first[number], past = b.past[number], i
    cdef char *data = <char *>b.data
    for i in range(b.gaps, number, -1):
        b.first[i], b.past[i] = b.first[i - 1], b.past[i - 1]
    b.gaps += 1
    b.moved += max(away, -away)
    if away > 0:                       # what stands between goes down, behind what is left
        memmove(data + (first + left) * b.kind, data + past * b.kind, away * b.kind)
        b.past[number] = first + left
        number += 1
        b.first[number], b.past[number] = first + left + away, past + away
    else:                              # or up, before it
        memmove(data + (past - left + away) * b.kind, data + (first + away) * b.kind, -away * b.kind)
        b.first[number + 1] = past - left
        b.first[number], b.past[number] = first + away, past - left + away
    return number


cdef void _join(TextBuffer b) noexcept nogil:
    # All room to the open gap, which stays where it is in the text. O(n).
    cdef Py_ssize_t i, n, to
    cdef char *data = <char *>b.data
    _note(b)
    to = b.first[0]
    for i in range(b.open):
        n = b.first[i + 1] - b.past[i]
        memmove(data + to * b.kind, data + b.past[i] * b.kind, n * b.kind)
        to += n
        b.moved += n
    b.gap_start = to
    to = b.past[b.gaps - 1]
    for i in range(b.gaps - 1, b.open, -1):
        n = b.first[i] - b.past[i - 1]
        to -= n
        memmove(data + to * b.kind, data + b.past[i - 1] * b.kind, n * b.kind)
        b.moved += n
    b.gap_end = to
    _alone(b)


cdef void _alone(TextBuffer b) noexcept nogil:
    # The open gap is the only one.
    b.gaps = 1
    b.joined = b.moved
    b.open = b.before = b.parked = b.left = 0
    b.right = b.capacity


cdef Outcome _reallocate(TextBuffer b, int kind, Py_ssize_t extra) noexcept nogil:
    # A new block of width `kind`, with one gap, where the open one was, and room for at least `extra` in it.
    cdef Py_ssize_t size = b.size(), place = b.gap_start - b.before
    cdef Py_ssize_t capacity, gap_end
    cdef void *data
    if extra > PY_SSIZE_T_MAX // 16 - size:
        return NO_MEMORY
    capacity = size + extra + (size + extra) // 2 + 16
    gap_end = capacity - (size - place)
    data = PyMem_RawMalloc(capacity * kind)
    if data == NULL:
        return NO_MEMORY
    if b.data != NULL:
        _gather(b, 0, place, kind, data)
        _gather(b, place, size, kind, <char *>data + gap_end * kind)
        PyMem_RawFree(b.data)
    b.data = data
    b.kind = kind
    b.capacity = capacity
    b.gap_start, b.gap_end = place, gap_end
    _alone(b)
    return DONE


cdef Outcome _make_way(TextBuffer b, int kind, Py_ssize_t count) noexcept nogil:
    # Room in the open gap for `count` more of width `kind`. What is joined is moved once more: it stands between
    # two gaps since it was moved there, or inserted. A block grows by half. So this is O(1) amortised over both.
    if kind == b.kind and count <= b.capacity - b.size():
        _join(b)
        return DONE
    return _reallocate(b, kind, count)


cdef inline void _open_gap(TextBuffer b, Py_ssize_t pos, Py_ssize_t delete) noexcept nogil:
    # The gap moves to `pos` and swallows `delete` code points; both ends move by one memmove at most. Places are
    # those in the block, were the gap not there; all is within the text around it.
    cdef Py_ssize_t stop = pos + delete
    cdef Py_ssize_t n
    cdef char *data = <char *>b.data
    if stop < b.gap_start:             # wholly before the gap: what stands between goes behind it
        n = b.gap_start - stop
        memmove(data + (b.gap_end - n) * b.kind, data + stop * b.kind, n * b.kind)
        b.gap_end -= n
        b.moved += n
    elif pos > b.gap_start:            # wholly behind it
        n = pos - b.gap_start
        memmove(data + b.gap_start * b.kind, data + b.gap_end * b.kind, n * b.kind)
        b.gap_end += n + delete
        b.moved += n
    else:                              # around the gap: nothing moves
        b.gap_end += stop - b.gap_start
    b.gap_start = pos


cdef void _swallow(TextBuffer b, Py_ssize_t pos, Py_ssize_t delete) noexcept nogil:
    # As `_open_gap`, where what is deleted goes on behind other gaps, which become one with this.
    cdef Py_ssize_t next = b.open + 1, reach = b.right - (b.gap_end - b.gap_start) - pos, rest = delete - reach, i
    _open_gap(b, pos, reach)           # up to its neighbour
    while rest > 0:
        b.gap_end = b.past[next]
        b.parked -= b.past[next] - b.first[next]
        b.gaps -= 1
        for i in range(next, b.gaps):
            b.first[i], b.past[i] = b.first[i + 1], b.past[i + 1]
        b.right = b.first[next] if next < b.gaps else b.capacity
        reach = min(rest, b.right - b.gap_end)
        b.gap_end += reach
        rest -= reach


cdef inline Outcome _put(
    TextBuffer b, Py_ssize_t pos, Py_ssize_t delete, int kind, const void *data, Py_ssize_t start, Py_ssize_t count
) noexcept nogil:
    # Inserts `count` code points from data[start]. All that can fail comes before any change of the text.
    cdef int width = b.kind
    cdef Py_ssize_t room = b.gap_end - b.gap_start, at = pos + b.before
    if at < b.left or at > b.right - room or at > b.gap_start + FAR or at < b.gap_start - FAR:
        _turn(b, pos)
        room, at = b.gap_end - b.gap_start, pos + b.before
    if kind > width:
        # A wide pool may hold narrow pieces: the buffer widens only for what it really gets.
        width = max(width, width_of(bits_of(kind, <const char *>data + start * kind, count)))
    if width != b.kind or count > room:
        if _make_way(b, width, count) != DONE:
            return NO_MEMORY
        room, at = b.gap_end - b.gap_start, pos + b.before
    if delete > b.right - room - at:
        _swallow(b, at, delete)
    else:
        _open_gap(b, at, delete)
    if count:
        copy_points(b.kind, b.data, b.gap_start, kind, data, start, count)
        b.gap_start += count
    return DONE


# --- the buffer -------------------------------------------------------------------------------------------

@cython.final
cdef class TextBuffer:
    """A text under edit: one block with a gap wherever somebody types.

    An edit costs its own size plus its distance from the nearest of up to sixteen gaps; amortised, never more
    than twice what one gap would cost. `len` is O(1), `str` O(n).
    """

    def __cinit__(self, str text not None=""):
        cdef Py_ssize_t n = PyUnicode_GET_LENGTH(text)
        self.kind = 1
        self.data = NULL
        self.capacity = self.gap_start = self.gap_end = self.moved = 0
        _alone(self)
        refuse_surrogates(text)
        if _put(self, 0, 0, PyUnicode_KIND(text), PyUnicode_DATA(text), 0, n) != DONE:
            raise MemoryError

    def __dealloc__(self):
        PyMem_RawFree(self.data)

    def __len__(self):
        return self.size()

    def __str__(self):
        return _text(self, 0, self.size())

    cdef Py_ssize_t size(self) noexcept nogil:
        return self.capacity - self.parked - (self.gap_end - self.gap_start)

    cdef int put(
        self, Py_ssize_t pos, Py_ssize_t delete, int kind, const void *data, Py_ssize_t count
    ) except -1:
        if _put(self, pos, delete, kind, data, 0, count) != DONE:
            raise MemoryError
        return 0

    def splice(self, pos, delete, str insert not None):
        """Replace the `delete` code points at `pos` by `insert`; out of range raises `PatchError`."""
        cdef Py_ssize_t at = PyNumber_AsSsize_t(pos, NULL)
        cdef Py_ssize_t n = PyNumber_AsSsize_t(delete, NULL)
        cdef Py_ssize_t size = self.size()
        if at < 0 or n < 0 or at > size or n > size - at:
            raise _misfit("splice", at, n, size)
        refuse_surrogates(insert)
        self.put(at, n, PyUnicode_KIND(insert), PyUnicode_DATA(insert), PyUnicode_GET_LENGTH(insert))

    cdef int edit(self, Py_ssize_t pos, Py_ssize_t delete, str insert) except -1:
        """`splice` whose range was checked."""
        refuse_surrogates(insert)
        return self.put(pos, delete, PyUnicode_KIND(insert), PyUnicode_DATA(insert), PyUnicode_GET_LENGTH(insert))

    cdef int reserve(self, str insert) except -1:
        """Let no edit that inserts this fail, if it comes next."""
        cdef int kind = max(self.kind, <int>PyUnicode_KIND(insert))
        cdef Py_ssize_t count = PyUnicode_GET_LENGTH(insert)
        refuse_surrogates(insert)
        if kind != self.kind or count > self.capacity - self.size():
            if _reallocate(self, kind, count) != DONE:
                raise MemoryError
        return 0

    def slice(self, start, stop):
        """Return the text from `start` up to `stop`; `PatchError` unless 0 <= start <= stop <= len."""
        cdef Py_ssize_t first = PyNumber_AsSsize_t(start, NULL)
        cdef Py_ssize_t last = PyNumber_AsSsize_t(stop, NULL)
        if not 0 <= first <= last <= self.size():
            raise PatchError(f"slice from {first} to {last} is not within a text of {self.size()}")
        return _text(self, first, last)

    def copy(self):
        """Return an independent buffer with the same text."""
        cdef TextBuffer twin = TextBuffer()
        if _reallocate(twin, self.kind, self.size()) != DONE:
            raise MemoryError
        _gather(self, 0, self.size(), twin.kind, twin.data)
        twin.gap_start = self.size()
        return twin

    def check(self):
        """Derive again what is kept beside the text; `AssertionError` where it doesn't agree."""
        cdef Py_ssize_t i, at = 0, size = 0, before = 0, room = 0, stop
        assert self.kind in (1, 2, 4)
        assert 0 <= self.open < self.gaps <= GAPS
        _note(self)
        for i in range(self.gaps + 1):
            stop = self.first[i] if i < self.gaps else self.capacity
            assert at <= stop
            assert surrogate_at(self.kind, <const char *>self.data + at * self.kind, stop - at) < 0
            size += stop - at
            if i == self.open:
                assert (self.before, self.left) == (room, at)
            if i == self.open + 1:
                assert self.right == stop
            if i < self.gaps:
                at = self.past[i]
                assert stop <= at
                room += at - stop
        assert self.size() == size
        assert self.parked == room - (self.gap_end - self.gap_start)


cdef object _misfit(str what, Py_ssize_t pos, Py_ssize_t delete, Py_ssize_t size):
    return PatchError(
        f"{what} at {pos} deletes {delete}, which is not within a text of {size}; "
        "splices are sequential: was this one made on another text?"
    )


cdef void _gather(TextBuffer b, Py_ssize_t first, Py_ssize_t last, int kind, void *target) noexcept nogil:
    # The text from `first` to `last`, without the gaps, as code points of width `kind`.
    cdef Py_ssize_t i, at = 0, room = 0, stop, start
    _note(b)
    for i in range(b.gaps + 1):
        stop = b.first[i] if i < b.gaps else b.capacity
        start = max(first, at - room)
        if start < min(last, stop - room):
            copy_points(kind, target, start - first, b.kind, b.data, start + room, min(last, stop - room) - start)
        if i < b.gaps:
            at = b.past[i]
            room += at - stop


cdef str _text(TextBuffer b, Py_ssize_t first, Py_ssize_t last):
    cdef const char *data = <const char *>b.data
    cdef Py_ssize_t i, at = 0, room = 0, stop, start, n
    cdef uint32_t bits = 0
    cdef str text
    _note(b)
    for i in range(b.gaps + 1):
        stop = b.first[i] if i < b.gaps else b.capacity
        start = max(first, at - room)
        n = min(last, stop - room) - start
        if n == last - first:          # it lies there in one piece
            return PyUnicode_FromKindAndData(b.kind, data + (start + room) * b.kind, n)
        if n > 0:
            bits |= bits_of(b.kind, data + (start + room) * b.kind, n)
        if i < b.gaps:
            at = b.past[i]
            room += at - stop
    # Or'ed bits may exceed the last code point, but only where a code point needs four bytes anyway.
    text = PyUnicode_New(last - first, min(bits, <uint32_t>0x10FFFF))
    _gather(b, first, last, PyUnicode_KIND(text), PyUnicode_DATA(text))
    return text


# --- the log ----------------------------------------------------------------------------------------------

cdef int _extend(Py_ssize_t **column, Py_ssize_t capacity) except -1:
    cdef void *block = PyMem_RawRealloc(column[0], capacity * sizeof(Py_ssize_t))
    if block == NULL:
        raise MemoryError
    column[0] = <Py_ssize_t *>block
    return 0


@cython.final
cdef class SpliceLog:
    """Sequential splices as columns; what they insert are ranges of `pool`.

    Appending is O(1) amortised. `replay` is the loop that time travel runs on: nothing in it makes
    a Python object.
    """

    def __cinit__(self, TextPool pool not None):
        self.pool = pool
        self.length = self.capacity = 0
        self.pos = self.delete = self.start = self.count = NULL

    def __dealloc__(self):
        PyMem_RawFree(self.pos)
        PyMem_RawFree(self.delete)
        PyMem_RawFree(self.start)
        PyMem_RawFree(self.count)

    def __len__(self):
        return self.length

    cdef int reserve(self, Py_ssize_t more) except -1:
        """Room for so many more."""
        cdef Py_ssize_t capacity
        if more <= self.capacity - self.length:
            return 0
        capacity = roomier(self.capacity, self.length + more)
        # A column that grew before another failed is only roomier than it need be.
        _extend(&self.pos, capacity)
        _extend(&self.delete, capacity)
        _extend(&self.start, capacity)
        _extend(&self.count, capacity)
        self.capacity = capacity
        return 0

    cdef int append(self, Py_ssize_t pos, Py_ssize_t delete, Py_ssize_t start, Py_ssize_t count) except -1:
        cdef Py_ssize_t n = self.length
        if n == self.capacity:
            self.reserve(1)
        self.pos[n] = pos
        self.delete[n] = delete
        self.start[n] = start
        self.count[n] = count
        self.length = n + 1
        return 0

    cdef int replay_range(self, TextBuffer buffer, Py_ssize_t first, Py_ssize_t last) except -1:
        cdef Py_ssize_t i = _replay(self, buffer, first, last)
        if i == last:
            return 0
        if self.pos[i] < 0 or self.delete[i] < 0 or self.pos[i] + self.delete[i] > buffer.size():
            raise _misfit(f"splice {i}", self.pos[i], self.delete[i], buffer.size())
        raise MemoryError

    cdef int replay_roomy(self, TextBuffer buffer, Py_ssize_t first, Py_ssize_t last) except -1:
        if _make_room(self, buffer, first, last) != DONE:
            raise MemoryError
        return self.replay_range(buffer, first, last)

    def push(self, pos, delete, start, count):
        """Append a splice that inserts the `count` code points at `start` of the pool.

        `PatchError` for negative numbers and for a range that the pool hasn't. Whether the splice
        fits a text shows in `replay` only.
        """
        cdef Py_ssize_t at = PyNumber_AsSsize_t(pos, NULL)
        cdef Py_ssize_t n = PyNumber_AsSsize_t(delete, NULL)
        cdef Py_ssize_t begin = PyNumber_AsSsize_t(start, NULL)
        cdef Py_ssize_t size = PyNumber_AsSsize_t(count, NULL)
        if at < 0 or n < 0 or at > PY_SSIZE_T_MAX // 2 or n > PY_SSIZE_T_MAX // 2:
            raise PatchError(f"a splice at {at} that deletes {n} fits no text")
        if begin < 0 or size < 0 or begin > self.pool.length or size > self.pool.length - begin:
            raise PatchError(f"{size} code points at {begin} are not in a pool of {self.pool.length}")
        self.append(at, n, begin, size)

    def splices(self, first, last):
        """Return the splices `first` up to `last` as tuples `(pos, delete, insert)`."""
        cdef Py_ssize_t begin, end, i
        cdef list splices = []
        begin, end = _range(self, first, last)
        for i in range(begin, end):
            splices.append((self.pos[i], self.delete[i], self.pool.get(self.start[i], self.count[i])))
        return splices

    def join(self):
        """Make one of neighbours that type on, delete on, or delete the end of what was just typed: a text and
        any position in it come out the same. O(n)."""
        self.join_all()

    cdef void join_all(self) noexcept nogil:
        cdef Py_ssize_t i, n = 0, last
        cdef Py_ssize_t pos, delete, start, count
        for i in range(self.length):
            pos, delete, start, count = self.pos[i], self.delete[i], self.start[i], self.count[i]
            last = n - 1
            if n and delete == 0 and self.delete[last] == 0 and count and self.count[last]:
                if pos == self.pos[last] + self.count[last] and start == self.start[last] + self.count[last]:
                    self.count[last] += count
                    continue
            elif n and count == 0 and self.count[last] == 0:
                if pos == self.pos[last] or pos + delete == self.pos[last]:
                    self.pos[last] = pos
                    self.delete[last] += delete
                    continue
            elif n and count == 0 and self.delete[last] == 0:
                if pos >= self.pos[last] and pos + delete == self.pos[last] + self.count[last]:
                    self.count[last] -= delete
                    n -= self.count[last] == 0
                    continue
            self.pos[n], self.delete[n], self.start[n], self.count[n] = pos, delete, start, count
            n += 1
        self.length = n

    def truncate(self, n):
        """Forget all but the first `n` splices; the pool keeps their texts."""
        cdef Py_ssize_t length = PyNumber_AsSsize_t(n, NULL)
        if not 0 <= length <= self.length:
            raise PatchError(f"a log of {self.length} splices can't be cut to {length}")
        self.length = length

    def replay(self, TextBuffer buffer not None, first, last):
        """Apply the splices `first` up to `last` to `buffer`, in order.

        One that doesn't fit raises `PatchError`; the buffer then stands as those before it left it.
        Costs what the edits cost (see `TextBuffer`), about 10 ns each for typing.
        """
        cdef Py_ssize_t begin, end
        begin, end = _range(self, first, last)
        self.replay_roomy(buffer, begin, end)

    def check(self):
        """Derive again what is kept beside the splices; `AssertionError` where it doesn't agree."""
        cdef Py_ssize_t i
        assert 0 <= self.length <= self.capacity
        for i in range(self.length):
            assert self.pos[i] >= 0 and self.delete[i] >= 0
            assert 0 <= self.start[i] and 0 <= self.count[i] <= self.pool.length - self.start[i]
        self.pool.check()


cdef (Py_ssize_t, Py_ssize_t) _range(SpliceLog log, object first, object last) except *:
    cdef Py_ssize_t begin = PyNumber_AsSsize_t(first, NULL)
    cdef Py_ssize_t end = PyNumber_AsSsize_t(last, NULL)
    if not 0 <= begin <= end <= log.length:
        raise PatchError(f"splices {begin} to {end} are not within a log of {log.length}")
    return begin, end


cdef Outcome _make_room(SpliceLog log, TextBuffer b, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    # So that memory runs out before anything is changed, not half-way.
    cdef Py_ssize_t i, size = b.size(), most = size
    cdef int kind = log.pool.kind, width = b.kind
    cdef const char *data = <const char *>log.pool.data
    for i in range(first, last):
        if log.pos[i] > size or log.delete[i] > size - log.pos[i]:
            break                      # it will be refused
        most = max(most, size + log.count[i])  # the room is there before what is deleted gives its own
        size += log.count[i] - log.delete[i]
    if kind > width:
        for i in range(first, last):
            width = max(width, width_of(bits_of(kind, data + log.start[i] * kind, log.count[i])))
            if width == kind:
                break
    if width == b.kind and most <= b.capacity:
        return DONE
    return _reallocate(b, width, most - b.size())


cdef Py_ssize_t _replay(SpliceLog log, TextBuffer b, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    # Returns `last`, or the index of the splice that could not be applied: a misfit, or no memory.
    cdef Py_ssize_t i, pos, delete, size
    cdef int kind = log.pool.kind
    cdef const void *data = log.pool.data
    for i in range(first, last):
        pos, delete, size = log.pos[i], log.delete[i], b.size()
        if pos < 0 or delete < 0 or pos > size or delete > size - pos:
            return i
        if _put(b, pos, delete, kind, data, log.start[i], log.count[i]) != DONE:
            return i
    return last
