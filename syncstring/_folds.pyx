# cython: language_level=3
"""The far past, folded: columns of events in a byte or a few each, page by page.

The law of this room. What was folded is unfolded exactly, page by page and in any order, and all that can fail is
done before anything has changed. An event is told by what is not as the one before lets expect: in a chain that one
session types it is a byte, and the step in time. The bytes are read by the process that wrote them, never stored:
nobody else's are trusted.

It doesn't know what the numbers mean, but that operations are lengths with a kind, and that insertions lie in a
pool one after another. Measured on a recording of 260,000 keystrokes: 20 ns to fold one, and 45 to unfold it where
all are, with the first touch of the memory; in flat columns it has about 80 bytes.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from syncstring._memory cimport grown

__all__ = []

# Operations, as `_events` has them.
cdef enum:
    KEEP = 0
    INSERT = 1
    DELETE = 2

cdef enum:
    JUDGED = 2

# The first byte of an event: what is not as expected, and in the three bits above that, how its delta looks.
cdef enum:
    PARENTS = 1                        # others than the event before
    PEOPLE = 2                         # another session or author
    WALL = 4                           # another distance from `time`
    STEP = 8                           # another distance in time from the event before
    VERDICT = 16                       # no verdict, or a size that doesn't follow
    ANY = 0                            # operation by operation
    TYPED = 1                          # one code point where the last event ended
    ERASED = 2                         # one code point less before that
    ERASED_AFTER = 3
    INSERTED = 4                       # at a distance from there, so many
    DELETED = 5

cdef enum:
    MOST = 80                          # bytes of an event but for its parents and operations, at most


cdef struct Before:
    # What the event before lets expect.
    int64_t time, step, wall, size, end
    int32_t session, author


cdef inline uint8_t *put(uint8_t *at, uint64_t number) noexcept nogil:
    while number >= 0x80:
        at[0] = <uint8_t>(number | 0x80)
        number >>= 7
        at += 1
    at[0] = <uint8_t>number
    return at + 1


cdef inline uint64_t get(const uint8_t **data) noexcept nogil:
    cdef const uint8_t *at = data[0]
    cdef uint64_t number = at[0] & 0x7F
    cdef int shift = 7
    while at[0] & 0x80:
        at += 1
        number |= <uint64_t>(at[0] & 0x7F) << shift
        shift += 7
    data[0] = at + 1
    return number


# Differences wrap around: any two numbers have one.

cdef inline uint8_t *put_step(uint8_t *at, int64_t to, int64_t start) noexcept nogil:
    cdef uint64_t step = <uint64_t>to - <uint64_t>start
    return put(at, step << 1 ^ -(step >> 63))


cdef inline int64_t step_from(int64_t start, const uint8_t **data) noexcept nogil:
    cdef uint64_t step = get(data)
    return <int64_t>(<uint64_t>start + (step >> 1 ^ -(step & 1)))


cdef uint8_t *fold_event(uint8_t *at, const Columns *c, Py_ssize_t event, Before *b) noexcept nogil:
    cdef uint8_t *head = at
    cdef int64_t k = c.op_start[event], ops = c.op_start[event + 1] - k, size, pos = 0
    cdef int64_t known = c.parent_start[event], parents = c.parent_start[event + 1] - known
    cdef int64_t length = 0
    cdef int flags = 0, kind = ANY, form = ANY
    at += 1
    if parents != 1 or c.parents[known] != event - 1:
        flags |= PARENTS
        at = put(at, parents)
        for k in range(known, known + parents):
            at = put(at, event - c.parents[k])
        k = c.op_start[event]
    if c.session[event] != b.session or c.author[event] != b.author:
        flags |= PEOPLE
        at = put(at, c.session[event])
        at = put(at, c.author[event])
    if <uint64_t>c.wall[event] - <uint64_t>c.time[event] != <uint64_t>b.wall:
        flags |= WALL
        at = put_step(at, c.wall[event], c.time[event])
    if <uint64_t>c.time[event] - <uint64_t>b.time != <uint64_t>b.step:
        flags |= STEP
        at = put_step(at, c.time[event], b.time)
    size = <int64_t>(<uint64_t>b.size + <uint64_t>(c.text_start[event + 1] - c.text_start[event]))
    for k in range(k, k + ops):
        if c.ops[k] & 3 == DELETE:
            size = <int64_t>(<uint64_t>size - <uint64_t>(c.ops[k] >> 2))
    k = c.op_start[event]
    if c.flags[event] != JUDGED or c.size[event] != size:
        flags |= VERDICT
        at[0] = c.flags[event]
        at = put_step(at + 1, c.size[event], b.size)
    if ops == 2 and c.ops[k] & 3 == KEEP:
        pos, length, kind = c.ops[k] >> 2, c.ops[k + 1] >> 2, c.ops[k + 1] & 3
        if length == 1 and kind == INSERT and pos == b.end:
            form = TYPED
        elif length == 1 and kind == DELETE and pos == b.end:
            form = ERASED_AFTER
        elif length == 1 and kind == DELETE and pos + 1 == b.end:
            form = ERASED
        elif kind != KEEP:
            form = INSERTED if kind == INSERT else DELETED
            at = put_step(at, pos, b.end)
            at = put(at, length)
        b.end = pos + length if kind == INSERT else pos
    if form == ANY:
        at = put(at, ops)
        for k in range(k, k + ops):
            at = put(at, <uint64_t>c.ops[k])
    head[0] = <uint8_t>(flags | form << 5)
    b.step = <int64_t>(<uint64_t>c.time[event] - <uint64_t>b.time)
    b.wall = <int64_t>(<uint64_t>c.wall[event] - <uint64_t>c.time[event])
    b.time, b.size = c.time[event], c.size[event]
    b.session, b.author = c.session[event], c.author[event]
    return at


cdef const uint8_t *unfold_event(const uint8_t *at, Columns *c, Py_ssize_t event, Before *b) noexcept nogil:
    cdef int head = at[0], form = at[0] >> 5
    cdef int64_t known = c.parent_start[event], place = c.op_start[event], text = c.text_start[event]
    cdef int64_t parents, ops, k, pos, length, deleted = 0
    at += 1
    if head & PARENTS:
        parents = get(&at)
        for k in range(known, known + parents):
            c.parents[k] = <int32_t>(event - <int64_t>get(&at))
        known += parents
    else:
        c.parents[known] = <int32_t>(event - 1)
        known += 1
    c.parent_start[event + 1] = known
    if head & PEOPLE:
        b.session = <int32_t>get(&at)
        b.author = <int32_t>get(&at)
    c.session[event], c.author[event] = b.session, b.author
    if head & WALL:
        b.wall = step_from(0, &at)
    if head & STEP:
        b.step = step_from(0, &at)
    b.time = <int64_t>(<uint64_t>b.time + <uint64_t>b.step)
    c.time[event] = b.time
    c.wall[event] = <int64_t>(<uint64_t>b.time + <uint64_t>b.wall)
    c.flags[event] = JUDGED
    if head & VERDICT:
        c.flags[event] = at[0]
        at += 1
        c.size[event] = step_from(b.size, &at)
    if form == ANY:
        ops = get(&at)
        for k in range(place, place + ops):
            c.ops[k] = <int64_t>get(&at)
            length = c.ops[k] >> 2
            if c.ops[k] & 3 == INSERT:
                text += length
            elif c.ops[k] & 3 == DELETE:
                deleted = <int64_t>(<uint64_t>deleted + <uint64_t>length)
        if ops == 2 and c.ops[place] & 3 == KEEP:  # two that keep: no delta, but one that may be told
            b.end = c.ops[place] >> 2
        place += ops
    else:
        pos, length = b.end, 1
        if form == ERASED:
            pos -= 1
        elif form >= INSERTED:
            pos = step_from(pos, &at)
            length = get(&at)
        c.ops[place] = pos << 2 | KEEP
        if form == TYPED or form == INSERTED:
            c.ops[place + 1] = length << 2 | INSERT
            text += length
            b.end = pos + length
        else:
            c.ops[place + 1] = length << 2 | DELETE
            deleted = length
            b.end = pos
        place += 2
    c.op_start[event + 1], c.text_start[event + 1] = place, text
    if not head & VERDICT:
        c.size[event] = <int64_t>(<uint64_t>b.size + <uint64_t>(text - c.text_start[event]) - <uint64_t>deleted)
    b.size = c.size[event]
    return at


cdef class Laid:
    """Events of which somebody else knows where they lie, and how they are written to columns."""

    cdef void unfold(self, Py_ssize_t first, Py_ssize_t stop, Columns *columns) noexcept:
        pass


@cython.final
cdef class Folds:
    """The events before `stop`, folded."""

    def __cinit__(self):
        self.pages = []
        self.page = <Page *>grown(NULL, 1, sizeof(Page))
        memset(self.page, 0, sizeof(Page))
        self.room = 1

    def __dealloc__(self):
        PyMem_Free(self.page)

    cdef int lay(self, Laid laid, const Page *page, Py_ssize_t count) except -1:
        """Begin with so many pages that lie elsewhere, and one more that says where the last of them ends."""
        if count + 1 > self.room:
            self.page = <Page *>grown(self.page, count + 1, sizeof(Page))
            self.room = count + 1
        self.pages = [laid] * count
        memcpy(self.page, page, (count + 1) * sizeof(Page))
        self.stop = page[count].first
        return 0

    cdef int fold(self, const Columns *columns, Py_ssize_t stop) except -1:
        """Take in the events up to `stop` as well. O(1) an operation; if memory runs out, nothing is done. Nothing
        is made that the garbage collector counts: where it runs, others may look at the columns, and move them."""
        cdef Py_ssize_t event = self.stop, end, many, number = len(self.pages), i
        cdef int64_t oldest, newest
        cdef bint done = False
        cdef uint8_t *block = NULL
        cdef uint8_t *at
        cdef Before before
        many = number + (stop - event + PAGE - 1) // PAGE + 1
        if many > self.room:
            self.page = <Page *>grown(self.page, max(many, self.room + (self.room >> 1)), sizeof(Page))
            self.room = max(many, self.room + (self.room >> 1))
        try:
            while event < stop:
                end = min(stop, event + PAGE)
                many = MOST * (end - event) + 5 * (columns.parent_start[end] - columns.parent_start[event]) + \
                    10 * (columns.op_start[end] - columns.op_start[event])
                block = <uint8_t *>grown(block, many, 1)
                at = block
                memset(&before, 0, sizeof(Before))
                oldest = newest = columns.time[event]
                for i in range(event, end):
                    at = fold_event(at, columns, i, &before)
                    oldest, newest = min(oldest, columns.time[i]), max(newest, columns.time[i])
                self.pages.append(PyBytes_FromStringAndSize(<char *>block, at - block))
                self.page[number].oldest, self.page[number].newest = oldest, newest
                number += 1
                self.page[number].first = event = end
                self.page[number].parents = columns.parent_start[end]
                self.page[number].ops = columns.op_start[end]
                self.page[number].text = columns.text_start[end]
            done = True
        finally:
            PyMem_Free(block)
            while not done and self.page[len(self.pages)].first > self.stop:
                self.pages.pop()
        self.stop = stop
        return 0

    cdef void unfold(self, Py_ssize_t number, Columns *columns) noexcept:
        """Write a page's events to columns that have room for them."""
        cdef Page *page = self.page + number
        cdef object folded = self.pages[number]
        cdef const uint8_t *at
        cdef Py_ssize_t event = page.first, end = page[1].first
        cdef Before before
        memset(&before, 0, sizeof(Before))
        columns.parent_start[event] = page.parents
        columns.op_start[event] = page.ops
        columns.text_start[event] = page.text
        if not isinstance(folded, bytes):
            (<Laid>folded).unfold(event, end, columns)
            return
        at = <const uint8_t *>PyBytes_AS_STRING(folded)
        for event in range(event, end):
            at = unfold_event(at, columns, event, &before)

    cdef Py_ssize_t page_of(self, Py_ssize_t event) noexcept:
        """Which page an event is on. O(log n)."""
        cdef Py_ssize_t low = 0, high = len(self.pages), middle
        while low < high:
            middle = (low + high) >> 1
            if self.page[middle].first <= event:
                low = middle + 1
            else:
                high = middle
        return low - 1
