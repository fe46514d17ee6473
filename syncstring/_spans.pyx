# cython: language_level=3
"""A list of spans in document order that knows, for several versions at once, what each of them shows.

The law of this room. A *span* is a run of characters that were typed in a row and have fared alike so
far; deleted ones stay in the list. Characters have numbers (ids); a span's are consecutive. Each span
has one small *state* per column: 0 not there, 1 shown, 1 + k deleted k times. Column 0 is what the merge
of everything shows (1 or 2 there); every other column is the version that some view is at.

A B+tree with two sums a column answers, in O(log n): which character is shown at a position, what is
the position of a span, which span comes next that exists or shows in a column, which of two spans
stands first. A 64-ary bit index finds the span of a character. Spans are split, never joined or
removed. The list doesn't know why a span stands where it does: that is `_fugue.pyx`.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int32_t, int64_t, uint64_t, uint8_t
from libc.string cimport memcpy, memmove, memset

__all__ = ["SpanList"]

cdef extern from *:
    int ctz "__builtin_ctzll"(unsigned long long) noexcept nogil
    int clz "__builtin_clzll"(unsigned long long) noexcept nogil


cdef void *grown(void *block, Py_ssize_t count, Py_ssize_t size) except NULL:
    cdef void *result = PyMem_Realloc(block, count * size)
    if result == NULL:
        raise MemoryError
    return result


cdef class SpanList:
    """Starts with span 0, which is empty, exists in every column and stands before all text."""

    def __cinit__(self):
        self.root = -1
        self.columns = 1
        self.reserve_spans(16)
        self.reserve_nodes(4)
        self.reserve_ids(64)
        self.root = self.new_node(0)
        self.new_span(0, 0, -1, -1, -1)
        self.state[0][0] = 1
        self.child[self.root * FAN] = 0
        self.width[0][self.root * FAN] = 0
        self.exist[0][self.root * FAN] = 1
        self.count[self.root] = 1
        self.span[0].leaf = self.root

    def __dealloc__(self):
        cdef int i
        PyMem_Free(self.span)
        PyMem_Free(self.child)
        PyMem_Free(self.count)
        PyMem_Free(self.parent)
        PyMem_Free(self.parent_slot)
        PyMem_Free(self.level)
        PyMem_Free(self.span_of_start)
        for i in range(COLUMNS):
            PyMem_Free(self.state[i])
            PyMem_Free(self.width[i])
            PyMem_Free(self.exist[i])
        for i in range(LEVELS):
            PyMem_Free(self.starts[i])

    # Room. Everything that can fail for want of memory happens here, before anything is changed.

    cdef int reserve_spans(self, Py_ssize_t n) except -1:
        cdef Py_ssize_t room
        cdef int column
        if n <= self.spans_capacity:
            return 0
        room = max(n, 2 * self.spans_capacity)
        self.span = <Span *>grown(self.span, room, sizeof(Span))
        for column in range(self.columns):
            self.state[column] = <int32_t *>grown(self.state[column], room, sizeof(int32_t))
        self.spans_capacity = room
        return 0

    cdef int reserve_nodes(self, Py_ssize_t n) except -1:
        cdef Py_ssize_t room
        cdef int column
        if n <= self.nodes_capacity:
            return 0
        room = max(n, 2 * self.nodes_capacity)
        self.child = <int32_t *>grown(self.child, room * FAN, sizeof(int32_t))
        self.count = <int32_t *>grown(self.count, room, sizeof(int32_t))
        self.parent = <int32_t *>grown(self.parent, room, sizeof(int32_t))
        self.parent_slot = <int32_t *>grown(self.parent_slot, room, sizeof(int32_t))
        self.level = <uint8_t *>grown(self.level, room, sizeof(uint8_t))
        for column in range(self.columns):
            self.width[column] = <int32_t *>grown(self.width[column], room * FAN, sizeof(int32_t))
            self.exist[column] = <int32_t *>grown(self.exist[column], room * FAN, sizeof(int32_t))
        self.nodes_capacity = room
        return 0

    cdef int reserve_ids(self, Py_ssize_t n) except -1:
        cdef Py_ssize_t room, old, words
        cdef int i
        if n <= self.ids_capacity:
            return 0
        room = (max(n, 2 * self.ids_capacity) + 63) & ~63
        self.span_of_start = <int32_t *>grown(self.span_of_start, room, sizeof(int32_t))
        old = self.ids_capacity
        words = room
        for i in range(LEVELS):
            old = (old + 63) >> 6 if self.ids_capacity else 0
            words = (words + 63) >> 6
            self.starts[i] = <uint64_t *>grown(self.starts[i], words, sizeof(uint64_t))
            memset(self.starts[i] + old, 0, (words - old) * sizeof(uint64_t))
        self.ids_capacity = room
        return 0

    # The index from characters to spans.

    cdef void mark_start(self, int64_t id, int32_t s) noexcept nogil:
        cdef int i
        self.span_of_start[id] = s
        for i in range(LEVELS):
            self.starts[i][id >> 6] |= <uint64_t>1 << (id & 63)
            id >>= 6

    cdef int32_t span_at(self, int64_t id) noexcept nogil:
        """The span that holds character `id`: the nearest start at or before it."""
        cdef int i = 0
        cdef int64_t at = id
        cdef uint64_t word
        word = self.starts[0][at >> 6] & (~<uint64_t>0 >> (63 - (at & 63)))
        while word == 0:
            at >>= 6
            i += 1
            self.steps += 1
            # Strictly before this word.
            word = self.starts[i][at >> 6] & ((<uint64_t>1 << (at & 63)) - 1)
        at = (at & ~<int64_t>63) | (63 - clz(word))
        while i:
            i -= 1
            at = at << 6 | (63 - clz(self.starts[i][at]))
        self.steps += 1
        return self.span_of_start[at]

    # Spans and nodes.

    cdef int32_t new_span(self, int64_t id, int32_t length, int64_t left, int32_t right, int32_t event) except -1:
        """A span outside the list, its states 0. `reserve_ids` has been called for its characters."""
        cdef int32_t s
        cdef int column, side
        cdef Span *span
        self.reserve_spans(self.spans + 1)
        self.reserve_nodes(self.nodes + 2 + 2 * LEVELS)
        s = <int32_t>self.spans
        span = self.span + s
        span.id = id
        span.length = length
        span.left = left
        span.right = right
        span.event = event
        span.leaf = -1
        span.lower = span.higher = -1
        for side in range(2):
            span.kids[side] = span.spine[side] = span.up[side] = span.down[side] = -1
        for column in range(self.columns):
            self.state[column][s] = 0
        self.spans += 1
        if length:
            self.mark_start(id, s)
        return s

    cdef int32_t new_node(self, uint8_t level) noexcept nogil:
        cdef int32_t node = <int32_t>self.nodes
        self.nodes += 1
        self.count[node] = 0
        self.parent[node] = -1
        self.parent_slot[node] = 0
        self.level[node] = level
        return node

    cdef int32_t slot_of(self, int32_t s) noexcept nogil:
        cdef int32_t *slots = self.child + self.span[s].leaf * FAN
        cdef int32_t i = 0
        while slots[i] != s:
            i += 1
        self.steps += 1
        return i

    cdef void add(self, int column, int32_t node, int32_t slot, int32_t width, int32_t exist) noexcept nogil:
        while node >= 0:
            self.width[column][node * FAN + slot] += width
            self.exist[column][node * FAN + slot] += exist
            slot = self.parent_slot[node]
            node = self.parent[node]
            self.steps += 1

    cdef void set_state(self, int column, int32_t s, int32_t value) noexcept nogil:
        cdef int32_t old = self.state[column][s], width = 0
        if old == value:
            return
        self.state[column][s] = value
        if value == 1:
            width = self.span[s].length
        elif old == 1:
            width = -self.span[s].length
        if width or (old > 0) != (value > 0):
            self.add(column, self.span[s].leaf, self.slot_of(s), width, (value > 0) - (old > 0))

    cdef void split_node(self, int32_t node) noexcept nogil:
        """Give the upper half of a full node's slots to a new right neighbour. Room is reserved."""
        cdef int32_t up = self.parent[node], fresh, i, slot, half = FAN // 2, moved
        cdef int32_t w0, x0, w1, x1
        cdef int column
        if up < 0:
            up = self.new_node(self.level[node] + 1)
            self.root = up
            self.parent[node] = up
            self.parent_slot[node] = 0
            self.child[up * FAN] = node
            self.count[up] = 1
            # Its sums are set below.
        elif self.count[up] == FAN:
            self.split_node(up)
            up = self.parent[node]
        fresh = self.new_node(self.level[node])
        moved = self.count[node] - half
        memcpy(self.child + fresh * FAN, self.child + node * FAN + half, moved * sizeof(int32_t))
        self.count[node] = half
        self.count[fresh] = moved
        for i in range(moved):
            if self.level[node] == 0:
                self.span[self.child[fresh * FAN + i]].leaf = fresh
            else:
                self.parent[self.child[fresh * FAN + i]] = fresh
                self.parent_slot[self.child[fresh * FAN + i]] = i
        slot = self.parent_slot[node]
        memmove(self.child + up * FAN + slot + 2, self.child + up * FAN + slot + 1,
                (self.count[up] - slot - 1) * sizeof(int32_t))
        self.child[up * FAN + slot + 1] = fresh
        for column in range(self.columns):
            memcpy(self.width[column] + fresh * FAN, self.width[column] + node * FAN + half, moved * sizeof(int32_t))
            memcpy(self.exist[column] + fresh * FAN, self.exist[column] + node * FAN + half, moved * sizeof(int32_t))
            memmove(self.width[column] + up * FAN + slot + 2, self.width[column] + up * FAN + slot + 1,
                    (self.count[up] - slot - 1) * sizeof(int32_t))
            memmove(self.exist[column] + up * FAN + slot + 2, self.exist[column] + up * FAN + slot + 1,
                    (self.count[up] - slot - 1) * sizeof(int32_t))
            w0 = x0 = w1 = x1 = 0
            for i in range(half):
                w0 += self.width[column][node * FAN + i]
                x0 += self.exist[column][node * FAN + i]
            for i in range(moved):
                w1 += self.width[column][fresh * FAN + i]
                x1 += self.exist[column][fresh * FAN + i]
            self.width[column][up * FAN + slot] = w0
            self.exist[column][up * FAN + slot] = x0
            self.width[column][up * FAN + slot + 1] = w1
            self.exist[column][up * FAN + slot + 1] = x1
        self.count[up] += 1
        self.parent[fresh] = up
        for i in range(slot + 1, self.count[up]):
            self.parent_slot[self.child[up * FAN + i]] = i
        self.steps += FAN * self.columns

    cdef void insert_at(self, int32_t node, int32_t slot, int32_t s) noexcept nogil:
        """List span `s`, its states set, in a leaf at a slot."""
        cdef int column
        cdef int32_t width, exist, rest
        if self.count[node] == FAN:
            self.split_node(node)
            if slot > self.count[node]:
                slot -= self.count[node]
                # The new right neighbour is the next slot of the parent.
                node = self.child[self.parent[node] * FAN + self.parent_slot[node] + 1]
        rest = self.count[node] - slot
        memmove(self.child + node * FAN + slot + 1, self.child + node * FAN + slot, rest * sizeof(int32_t))
        self.child[node * FAN + slot] = s
        self.span[s].leaf = node
        self.count[node] += 1
        for column in range(self.columns):
            memmove(self.width[column] + node * FAN + slot + 1, self.width[column] + node * FAN + slot,
                    rest * sizeof(int32_t))
            memmove(self.exist[column] + node * FAN + slot + 1, self.exist[column] + node * FAN + slot,
                    rest * sizeof(int32_t))
            width = self.span[s].length if self.state[column][s] == 1 else 0
            exist = self.state[column][s] > 0
            self.width[column][node * FAN + slot] = width
            self.exist[column][node * FAN + slot] = exist
            if width or exist:
                self.add(column, self.parent[node], self.parent_slot[node], width, exist)
        self.steps += 1

    cdef void insert_after(self, int32_t where, int32_t s) noexcept nogil:
        self.insert_at(self.span[where].leaf, self.slot_of(where) + 1, s)

    cdef void insert_before(self, int32_t where, int32_t s) noexcept nogil:
        self.insert_at(self.span[where].leaf, self.slot_of(where), s)

    cdef int32_t split(self, int32_t s, int32_t offset) except -1:
        """Cut a span in two before its character `offset`; the new span is the second part. Its place in
        the tree of insertions is the caller's business."""
        cdef int32_t fresh, slot
        cdef int column
        cdef int64_t id = self.span[s].id
        fresh = self.new_span(id + offset, self.span[s].length - offset, id + offset - 1,
                              self.span[s].right, self.span[s].event)
        slot = self.slot_of(s)
        for column in range(self.columns):
            self.state[column][fresh] = self.state[column][s]
            if self.state[column][s] == 1:
                self.add(column, self.span[s].leaf, slot, offset - self.span[s].length, 0)
        self.span[s].length = offset
        self.insert_at(self.span[s].leaf, slot + 1, fresh)
        return fresh

    cdef void lengthen(self, int32_t s, int32_t by) noexcept nogil:
        """Let a span's run go on by so many characters, which follow its last one by number."""
        cdef int column
        cdef int32_t slot = self.slot_of(s)
        self.span[s].length += by
        for column in range(self.columns):
            if self.state[column][s] == 1:
                self.add(column, self.span[s].leaf, slot, by, 0)

    # Questions.

    cdef int32_t find(self, int column, int64_t pos, int32_t *offset) noexcept nogil:
        """The span that shows position `pos` of a column, and where in the span. 0 <= pos < total."""
        cdef int32_t node = self.root, i
        cdef int32_t *widths
        while True:
            widths = self.width[column] + node * FAN
            i = 0
            while pos >= widths[i]:
                pos -= widths[i]
                i += 1
            self.steps += 1
            if self.level[node] == 0:
                offset[0] = <int32_t>pos
                return self.child[node * FAN + i]
            node = self.child[node * FAN + i]

    cdef int64_t before(self, int column, int32_t s) noexcept nogil:
        """How many code points a column shows before a span."""
        cdef int32_t node = self.span[s].leaf, slot = self.slot_of(s), i
        cdef int64_t result = 0
        cdef int32_t *widths
        while node >= 0:
            widths = self.width[column] + node * FAN
            for i in range(slot):
                result += widths[i]
            slot = self.parent_slot[node]
            node = self.parent[node]
            self.steps += 1
        return result

    cdef int64_t total(self, int column) noexcept nogil:
        cdef int32_t i
        cdef int64_t result = 0
        for i in range(self.count[self.root]):
            result += self.width[column][self.root * FAN + i]
        return result

    cdef int32_t next_in(self, int32_t **sums, int column, int32_t s) noexcept nogil:
        """The next span after `s` with something in `sums`, or -1."""
        cdef int32_t node = self.span[s].leaf, slot = self.slot_of(s) + 1
        cdef int32_t *values = sums[column]
        while True:
            while slot < self.count[node] and values[node * FAN + slot] == 0:
                slot += 1
            self.steps += 1
            if slot < self.count[node]:
                break
            slot = self.parent_slot[node] + 1
            node = self.parent[node]
            if node < 0:
                return -1
        while self.level[node]:
            node = self.child[node * FAN + slot]
            slot = 0
            while values[node * FAN + slot] == 0:
                slot += 1
            self.steps += 1
        return self.child[node * FAN + slot]

    cdef int32_t next_existing(self, int column, int32_t s) noexcept nogil:
        return self.next_in(self.exist, column, s)

    cdef int32_t next_shown(self, int column, int32_t s) noexcept nogil:
        return self.next_in(self.width, column, s)

    cdef int order(self, int32_t a, int32_t b) noexcept nogil:
        """-1 if `a` stands before `b`, 1 if after it, 0 if they are one. O(log n)."""
        cdef int32_t x, y, i, j
        if a == b:
            return 0
        x = self.span[a].leaf
        y = self.span[b].leaf
        i = self.slot_of(a)
        j = self.slot_of(b)
        while x != y:
            i = self.parent_slot[x]
            j = self.parent_slot[y]
            x = self.parent[x]
            y = self.parent[y]
            self.steps += 1
        return -1 if i < j else 1

    # Columns.

    cdef int add_column(self, int like) except -1:
        """A new column with the states of column `like`; its number is returned. O(spans)."""
        cdef int column = self.columns
        if column == COLUMNS:
            raise OverflowError("no column left")
        self.state[column] = <int32_t *>grown(self.state[column], self.spans_capacity, sizeof(int32_t))
        self.width[column] = <int32_t *>grown(self.width[column], self.nodes_capacity * FAN, sizeof(int32_t))
        self.exist[column] = <int32_t *>grown(self.exist[column], self.nodes_capacity * FAN, sizeof(int32_t))
        memcpy(self.state[column], self.state[like], self.spans * sizeof(int32_t))
        memcpy(self.width[column], self.width[like], self.nodes * FAN * sizeof(int32_t))
        memcpy(self.exist[column], self.exist[like], self.nodes * FAN * sizeof(int32_t))
        self.columns += 1
        self.steps += self.spans
        return column

    cdef void refresh(self, int column) noexcept nogil:
        """Set the sums of a column from its states. O(spans)."""
        cdef int32_t node, i, s
        cdef int32_t level = 0, at, w, x
        # Level by level from the leaves: a node's slots are right before its parent's are summed.
        while level <= self.level[self.root]:
            for node in range(<int32_t>self.nodes):
                if self.level[node] != level:
                    continue
                w = x = 0
                for i in range(self.count[node]):
                    at = node * FAN + i
                    if level == 0:
                        s = self.child[at]
                        self.width[column][at] = self.span[s].length if self.state[column][s] == 1 else 0
                        self.exist[column][at] = self.state[column][s] > 0
                    w += self.width[column][at]
                    x += self.exist[column][at]
                if self.parent[node] >= 0:
                    at = self.parent[node] * FAN + self.parent_slot[node]
                    self.width[column][at] = w
                    self.exist[column][at] = x
            level += 1
        self.steps += self.spans

    def __len__(self):
        return self.spans

    def check(self):
        """Derive every sum, link and index from scratch and compare. For tests."""
        cdef int32_t node, i, s, offset
        cdef int column
        seen = []

        def visit(node, up, slot, level):
            assert self.parent[node] == up and self.parent_slot[node] == slot
            assert self.level[node] == level and 0 < self.count[node] <= FAN
            sums = [[0, 0] for _ in range(self.columns)]
            for i in range(self.count[node]):
                below = self.child[node * FAN + i]
                if level:
                    parts = visit(below, node, i, level - 1)
                else:
                    assert self.span[below].leaf == node
                    seen.append(below)
                    parts = [[self.span[below].length if self.state[c][below] == 1 else 0,
                              int(self.state[c][below] > 0)] for c in range(self.columns)]
                for c in range(self.columns):
                    assert self.width[c][node * FAN + i] == parts[c][0], (node, i, c)
                    assert self.exist[c][node * FAN + i] == parts[c][1], (node, i, c)
                    sums[c][0] += parts[c][0]
                    sums[c][1] += parts[c][1]
            return sums

        visit(self.root, -1, 0, self.level[self.root])
        assert sorted(seen) == list(range(self.spans))
        assert seen[0] == 0
        for place, s in enumerate(seen):
            assert self.state[0][s] in (1, 2)
            if place + 1 < len(seen):
                assert self.order(s, seen[place + 1]) == -1 and self.order(seen[place + 1], s) == 1
                assert self.next_existing(0, s) == seen[place + 1]
            for i in range(self.span[s].length):
                assert self.span_at(self.span[s].id + i) == s
        for column in range(self.columns):
            pos = 0
            for s in seen:
                assert self.before(column, s) == pos
                if self.state[column][s] == 1 and self.span[s].length:
                    assert self.find(column, pos, &offset) == s and offset == 0
                    pos += self.span[s].length
                    assert self.find(column, pos - 1, &offset) == s
            assert self.total(column) == pos
        return seen
