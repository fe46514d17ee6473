# cython: language_level=3
"""Texts that grow and change: an append-only pool, a gap buffer, a log of splices to replay.

Every structure holds bare code points, as wide (1, 2 or 4 bytes) as the widest it ever held, and
copies them: no `str` that was handed in is kept. Positions and lengths are code points. What is
out of range, and any lone surrogate, is refused with `PatchError` at the door; the `cdef` faces
that other kernels use trust their callers instead. Running out of memory raises `MemoryError` and
leaves the object as it was. Nothing here knows of patches, versions or merging.

The gap buffer is the classic one: an edit moves the text between the old gap and the new place
(one `memmove`), so edits that stay near each other cost their own size only.
"""

cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc, PyMem_RawRealloc
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memmove

from syncstring.errors import PatchError

__all__ = ["SpliceLog", "TextBuffer", "TextPool"]

cdef extern from "Python.h" nogil:
    int PyUnicode_KIND(object text)
    void *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef extern from "Python.h":
    str PyUnicode_DecodeUTF8(const char *data, Py_ssize_t size, const char *errors)
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    str PyUnicode_FromKindAndData(int kind, const void *data, Py_ssize_t size)
    # With NULL for the exception, whatever doesn't fit is clipped: out of range stays out of range.
    Py_ssize_t PyNumber_AsSsize_t(object value, void *exception) except? -1
    const Py_ssize_t PY_SSIZE_T_MAX

ctypedef fused Unit:
    uint8_t
    uint16_t
    uint32_t

ctypedef fused Other:
    uint8_t
    uint16_t
    uint32_t


# --- code points of any width ---------------------------------------------------------------------

cdef uint32_t _or_all(const Unit *data, Py_ssize_t n) noexcept nogil:
    cdef uint32_t bits = 0
    cdef Py_ssize_t i
    for i in range(n):
        bits |= data[i]
    return bits


cdef uint32_t _bits(int kind, const void *data, Py_ssize_t n) noexcept nogil:
    # The bits that any code point has. Widths change at powers of two, so this tells the width.
    if kind == 1:
        return _or_all(<const uint8_t *>data, n)
    if kind == 2:
        return _or_all(<const uint16_t *>data, n)
    return _or_all(<const uint32_t *>data, n)


cdef inline int _width(uint32_t bits) noexcept nogil:
    return 1 if bits < 0x100 else 2 if bits < 0x10000 else 4


cdef void _convert(Unit *target, const Other *source, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        target[i] = <Unit>source[i]


cdef void _convert_from(Unit *target, int kind, const void *source, Py_ssize_t n) noexcept nogil:
    if kind == 1:
        _convert(target, <const uint8_t *>source, n)
    elif kind == 2:
        _convert(target, <const uint16_t *>source, n)
    else:
        _convert(target, <const uint32_t *>source, n)


cdef inline void _copy(
    int kind, void *target, Py_ssize_t at, int source_kind, const void *source, Py_ssize_t start, Py_ssize_t n
) noexcept nogil:
    # Copies n code points from source[start] to target[at]; the target must be wide enough for them.
    if n == 0:                         # either may be NULL then
        return
    target = <char *>target + at * kind
    source = <const char *>source + start * source_kind
    if kind == source_kind:
        memcpy(target, source, n * kind)
    elif kind == 1:
        _convert_from(<uint8_t *>target, source_kind, source, n)
    elif kind == 2:
        _convert_from(<uint16_t *>target, source_kind, source, n)
    else:
        _convert_from(<uint32_t *>target, source_kind, source, n)


cdef Py_ssize_t _surrogate_in(const Unit *data, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if (data[i] & <uint32_t>0xFFFFF800) == 0xD800:
            return i
    return -1


cdef Py_ssize_t _surrogate(int kind, const void *data, Py_ssize_t n) noexcept nogil:
    if kind == 1:
        return -1
    if kind == 2:
        return _surrogate_in(<const uint16_t *>data, n)
    return _surrogate_in(<const uint32_t *>data, n)


cdef int _refuse_surrogates(str text) except -1:
    cdef Py_ssize_t at = _surrogate(PyUnicode_KIND(text), PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text))
    if at >= 0:
        raise PatchError(
            f"lone surrogate U+{ord(text[at]):04X} at {at} of an inserted text of {len(text)}; "
            "offsets are code points: was this text cut inside a UTF-16 pair?"
        )
    return 0


cdef Py_ssize_t _grown(Py_ssize_t capacity, Py_ssize_t needed) except -1:
    # Half as much again, so that appending costs O(1) each. The bound keeps byte counts representable.
    if needed > PY_SSIZE_T_MAX // 16:
        raise MemoryError
    return max(needed, capacity + capacity // 2, 16)


cdef void *_allocate(Py_ssize_t count, int size) except NULL:
    cdef void *block = PyMem_RawMalloc(max(count, 1) * size)
    if block == NULL:
        raise MemoryError
    return block


# --- the pool ---------------------------------------------------------------------------------------

@cython.final
cdef class TextPool:
    """An append-only run of code points; a text in it is named by where it starts and its length.

    `len(pool)` is the number of code points. Adding costs O(len(text)) amortised, and once
    O(len(pool)) when a text is wider than all before it.
    """

    def __cinit__(self):
        self.kind = 1
        self.length = 0
        self.capacity = 0
        self.data = NULL

    def __dealloc__(self):
        PyMem_RawFree(self.data)

    def __len__(self):
        return self.length

    cdef Py_ssize_t add(self, str text) except -1:
        cdef int kind = PyUnicode_KIND(text)
        cdef Py_ssize_t n = PyUnicode_GET_LENGTH(text)
        cdef Py_ssize_t start = self.length
        cdef Py_ssize_t capacity
        cdef void *data
        _refuse_surrogates(text)
        if kind > self.kind:
            capacity = max(self.capacity, _grown(0, start + n))
            data = _allocate(capacity, kind)
            _copy(kind, data, 0, self.kind, self.data, 0, start)
            PyMem_RawFree(self.data)
            self.data, self.kind, self.capacity = data, kind, capacity
        elif start + n > self.capacity:
            capacity = _grown(self.capacity, start + n)
            data = PyMem_RawRealloc(self.data, capacity * self.kind)
            if data == NULL:
                raise MemoryError
            self.data, self.capacity = data, capacity
        _copy(self.kind, self.data, start, kind, PyUnicode_DATA(text), 0, n)
        self.length = start + n
        return start

    cdef Py_ssize_t add_bytes(self, const unsigned char *data, Py_ssize_t count) except -1:
        cdef Py_ssize_t start = self.length
        if count > self.capacity - start or _bits(1, data, count) > 0x7F:
            return self.add(PyUnicode_DecodeUTF8(<const char *>data, count, NULL))
        # ASCII, and there is room: no string need be made.
        _copy(self.kind, self.data, start, 1, data, 0, count)
        self.length = start + count
        return start

    cdef str get(self, Py_ssize_t start, Py_ssize_t count):
        return PyUnicode_FromKindAndData(self.kind, <const char *>self.data + start * self.kind, count)

    def push(self, str text not None):
        """Append `text` and return where it starts. A lone surrogate in it raises `PatchError`."""
        cdef object start = self.length
        self.add(text)
        return start

    def read(self, start, count):
        """Return the `count` code points from `start` on. `PatchError` if the pool hasn't that many."""
        cdef Py_ssize_t at = PyNumber_AsSsize_t(start, NULL)
        cdef Py_ssize_t n = PyNumber_AsSsize_t(count, NULL)
        if at < 0 or n < 0 or at > self.length or n > self.length - at:
            raise PatchError(f"{n} code points at {at} are not in a pool of {self.length}")
        return self.get(at, n)

    def check(self):
        """Derive again what is kept beside the text; `AssertionError` where it doesn't agree."""
        assert 0 <= self.length <= self.capacity
        assert self.kind in (1, 2, 4)
        # As wide as the widest that came; who owns a pool may have cut it since.
        assert self.kind >= _width(_bits(self.kind, self.data, self.length))
        assert _surrogate(self.kind, self.data, self.length) < 0


# --- the gap buffer -----------------------------------------------------------------------------------

cdef enum Outcome:
    DONE
    NO_MEMORY


cdef Outcome _reallocate(TextBuffer b, int kind, Py_ssize_t extra) noexcept nogil:
    # A new block of width `kind`, its gap at the same place with room for at least `extra`.
    cdef Py_ssize_t tail = b.capacity - b.gap_end
    cdef Py_ssize_t size = b.gap_start + tail
    cdef Py_ssize_t capacity, gap_end
    cdef void *data
    if extra > PY_SSIZE_T_MAX // 16 - size:
        return NO_MEMORY
    capacity = size + extra + (size + extra) // 2 + 16
    gap_end = capacity - tail
    data = PyMem_RawMalloc(capacity * kind)
    if data == NULL:
        return NO_MEMORY
    if b.data != NULL:
        _copy(kind, data, 0, b.kind, b.data, 0, b.gap_start)
        _copy(kind, data, gap_end, b.kind, b.data, b.gap_end, tail)
        PyMem_RawFree(b.data)
    b.data = data
    b.kind = kind
    b.capacity = capacity
    b.gap_end = gap_end
    return DONE


cdef inline void _open_gap(TextBuffer b, Py_ssize_t pos, Py_ssize_t delete) noexcept nogil:
    # The gap moves to `pos` and swallows `delete` code points; both ends move by one memmove at most.
    cdef Py_ssize_t stop = pos + delete
    cdef Py_ssize_t n
    cdef char *data = <char *>b.data
    if stop < b.gap_start:             # wholly before the gap: what stands between goes behind it
        n = b.gap_start - stop
        memmove(data + (b.gap_end - n) * b.kind, data + stop * b.kind, n * b.kind)
        b.gap_end -= n
    elif pos > b.gap_start:            # wholly behind it
        n = pos - b.gap_start
        memmove(data + b.gap_start * b.kind, data + b.gap_end * b.kind, n * b.kind)
        b.gap_end += n + delete
    else:                              # around the gap: nothing moves
        b.gap_end += stop - b.gap_start
    b.gap_start = pos


cdef inline Outcome _put(
    TextBuffer b, Py_ssize_t pos, Py_ssize_t delete, int kind, const void *data, Py_ssize_t start, Py_ssize_t count
) noexcept nogil:
    # Inserts `count` code points from data[start]. All that can fail comes before any change of the text.
    cdef int width = b.kind
    if kind > width:
        # A wide pool may hold narrow pieces: the buffer widens only for what it really gets.
        width = max(width, _width(_bits(kind, <const char *>data + start * kind, count)))
    if width != b.kind or count > b.gap_end - b.gap_start:
        if _reallocate(b, width, count) != DONE:
            return NO_MEMORY
    _open_gap(b, pos, delete)
    if count:
        _copy(b.kind, b.data, b.gap_start, kind, data, start, count)
        b.gap_start += count
    return DONE


@cython.final
cdef class TextBuffer:
    """A text under edit: a gap buffer.

    An edit costs its own size plus its distance from the edit before it; `len` is O(1), `str` O(n).
    """

    def __cinit__(self, str text not None=""):
        cdef Py_ssize_t n = PyUnicode_GET_LENGTH(text)
        self.kind = 1
        self.data = NULL
        self.capacity = self.gap_start = self.gap_end = 0
        _refuse_surrogates(text)
        if _put(self, 0, 0, PyUnicode_KIND(text), PyUnicode_DATA(text), 0, n) != DONE:
            raise MemoryError

    def __dealloc__(self):
        PyMem_RawFree(self.data)

    def __len__(self):
        return self.size()

    def __str__(self):
        return _text(self, 0, self.size())

    cdef Py_ssize_t size(self) noexcept nogil:
        return self.capacity - (self.gap_end - self.gap_start)

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
        _refuse_surrogates(insert)
        self.put(at, n, PyUnicode_KIND(insert), PyUnicode_DATA(insert), PyUnicode_GET_LENGTH(insert))

    cdef int edit(self, Py_ssize_t pos, Py_ssize_t delete, str insert) except -1:
        """`splice` whose range was checked."""
        _refuse_surrogates(insert)
        return self.put(pos, delete, PyUnicode_KIND(insert), PyUnicode_DATA(insert), PyUnicode_GET_LENGTH(insert))

    cdef int reserve(self, str insert) except -1:
        """Let no edit that inserts this fail, if it comes next."""
        cdef int kind = max(self.kind, <int>PyUnicode_KIND(insert))
        cdef Py_ssize_t count = PyUnicode_GET_LENGTH(insert)
        _refuse_surrogates(insert)
        if kind != self.kind or count > self.gap_end - self.gap_start:
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
        cdef Py_ssize_t tail = self.capacity - self.gap_end
        assert self.kind in (1, 2, 4)
        assert 0 <= self.gap_start <= self.gap_end <= self.capacity
        assert self.size() == self.gap_start + tail
        assert _surrogate(self.kind, self.data, self.gap_start) < 0
        assert _surrogate(self.kind, <const char *>self.data + self.gap_end * self.kind, tail) < 0


cdef object _misfit(str what, Py_ssize_t pos, Py_ssize_t delete, Py_ssize_t size):
    return PatchError(
        f"{what} at {pos} deletes {delete}, which is not within a text of {size}; "
        "splices are sequential: was this one made on another text?"
    )


cdef void _gather(TextBuffer b, Py_ssize_t first, Py_ssize_t last, int kind, void *target) noexcept nogil:
    # The text from `first` to `last`, without the gap, as code points of width `kind`.
    cdef Py_ssize_t middle = min(max(first, b.gap_start), last)
    cdef Py_ssize_t gap = b.gap_end - b.gap_start
    _copy(kind, target, 0, b.kind, b.data, first, middle - first)
    _copy(kind, target, middle - first, b.kind, b.data, middle + gap, last - middle)


cdef str _text(TextBuffer b, Py_ssize_t first, Py_ssize_t last):
    cdef Py_ssize_t middle = min(max(first, b.gap_start), last)
    cdef Py_ssize_t gap = b.gap_end - b.gap_start
    cdef const char *data = <const char *>b.data
    cdef uint32_t bits
    cdef str text
    if middle == last:
        return PyUnicode_FromKindAndData(b.kind, data + first * b.kind, last - first)
    if middle == first:
        return PyUnicode_FromKindAndData(b.kind, data + (first + gap) * b.kind, last - first)
    bits = _bits(b.kind, data + first * b.kind, middle - first)
    bits |= _bits(b.kind, data + (middle + gap) * b.kind, last - middle)
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
        capacity = _grown(self.capacity, self.length + more)
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
        most = max(most, size + log.count[i])  # the room is there before what is deleted gives its own
        size += log.count[i] - log.delete[i]
    if kind > width:
        for i in range(first, last):
            width = max(width, _width(_bits(kind, data + log.start[i] * kind, log.count[i])))
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
