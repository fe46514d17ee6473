# cython: language_level=3
"""Where a concurrent insertion stands: the order of FugueMax, without ever scanning a gap.

The law of this room (Weidner & Kleppmann, "The Art of the Fugue", 2023, section 4; the scan of Yjs gives
the same order). Insertions form a tree. An insertion typed between characters l and r, in the version
its author saw with deleted characters counted, is a *left child of r* if l had a right child there, and
else a *right child of l*. Right children of one character are ordered by their r, the farther first, then
by rank; left children by rank; rank is (session, time). The text is the tree in order.

Two facts make this quick. l had a right child exactly if r itself was typed after l (`right.left == l`):
what stands between l and r can only have come from both. And the neighbour of a new child in the text is
always the far end of a sibling's subtree, which is the tail of a *spine*: the chain of first left (or
last right) children. Spines are doubly linked and named; cutting one renames its shorter part, so that
all cuts together cost O(n log n). Siblings are kept in treaps. So a placement costs O(log n), however
many insertions met at that place; the scan that others do is linear in them.

A run is one node for all its characters: each is the right child of the one before it.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport int32_t, int64_t, uint32_t

from syncstring._graph cimport EventGraph
from syncstring._spans cimport Span, SpanList

__all__ = ["FugueList"]

cdef enum:
    SOME = 1024       # characters that there is room for at first: few bubbles insert more while they are live


cdef inline uint32_t priority(int32_t s) noexcept nogil:
    # Any fixed mixing does: spans are numbered in an order that nobody can choose to match it cheaply.
    cdef uint32_t x = <uint32_t>s
    x = (x ^ (x >> 16)) * <uint32_t>0x7feb352d
    x = (x ^ (x >> 15)) * <uint32_t>0x846ca68b
    return x ^ (x >> 16)


@cython.final
cdef class FugueList(SpanList):
    """Spans over a base text of `base_size` code points; inserted characters get the ids after it. There is
    `room` for so many of these at once."""

    def __cinit__(self, EventGraph graph not None, int64_t base_size, int64_t pool_base, int64_t room=0):
        cdef int side
        cdef int32_t base
        self.graph = graph
        self.base_size = base_size
        self.pool_base = pool_base
        self.reserve_spines()
        for side in range(2):
            self.start_spine(side, 0)
        self.reserve_ids(base_size + room + SOME)  # what is touched is only what is used
        if base_size:
            base = self.new_span(0, <int32_t>base_size, -1, -1, -1)
            self.reserve_spines()
            self.state[0][base] = 1
            self.span[0].kids[RIGHT] = base
            self.join_spine(RIGHT, 0, base)
            self.start_spine(LEFT, base)
            self.insert_after(0, base)

    def __dealloc__(self):
        PyMem_Free(self.tail[0])
        PyMem_Free(self.tail[1])

    # Spines.

    cdef int reserve_spines(self) except -1:
        """Room for the spines that one placement and two cuts of spans can start."""
        cdef int side
        cdef void *block
        for side in range(2):
            if self.spines[side] + 8 > self.spines_capacity[side]:
                block = PyMem_Realloc(self.tail[side], (2 * self.spines[side] + 16) * sizeof(int32_t))
                if block == NULL:
                    raise MemoryError
                self.tail[side] = <int32_t *>block
                self.spines_capacity[side] = 2 * self.spines[side] + 16
        return 0

    cdef void start_spine(self, int side, int32_t s) noexcept nogil:
        self.tail[side][self.spines[side]] = s
        self.span[s].spine[side] = <int32_t>self.spines[side]
        self.spines[side] += 1

    cdef void join_spine(self, int side, int32_t above, int32_t s) noexcept nogil:
        """Let `s` be the next after the tail `above`."""
        cdef int32_t spine = self.span[above].spine[side]
        self.span[above].down[side] = s
        self.span[s].up[side] = above
        self.span[s].spine[side] = spine
        self.tail[side][spine] = s

    cdef void cut_spine(self, int side, int32_t above, int32_t below) noexcept nogil:
        """Make two spines of one, renaming the shorter part."""
        cdef int32_t up = above, down = below
        cdef int32_t old = self.span[above].spine[side], fresh = <int32_t>self.spines[side]
        self.spines[side] += 1
        self.span[above].down[side] = -1
        self.span[below].up[side] = -1
        while self.span[up].up[side] >= 0 and self.span[down].down[side] >= 0:
            up = self.span[up].up[side]
            down = self.span[down].down[side]
            self.steps += 1
        if self.span[up].up[side] < 0:
            self.tail[side][fresh] = above
            while up >= 0:
                self.span[up].spine[side] = fresh
                up = self.span[up].down[side]
        else:
            self.tail[side][fresh] = self.tail[side][old]
            self.tail[side][old] = above
            while down >= 0:
                self.span[down].spine[side] = fresh
                down = self.span[down].up[side]

    cdef int32_t extreme(self, int side, int32_t s) noexcept nogil:
        """The first (LEFT) or last (RIGHT) span of the subtree of `s`."""
        return self.tail[side][self.span[s].spine[side]]

    # The tree.

    cdef int64_t last_id(self, int32_t s) noexcept nogil:
        return self.span[s].id + self.span[s].length - 1

    cdef int compare(self, int side, int32_t x, int32_t y) except -2:
        """Siblings: negative if `x` stands before `y`."""
        cdef int32_t rx, ry
        self.steps += 1
        if side == RIGHT:
            rx = self.span[x].right
            ry = self.span[y].right
            if rx != ry:
                if rx < 0 or ry < 0:
                    return -1 if rx < 0 else 1
                return -self.order(rx, ry)
        if self.span[x].event < 0 or self.span[y].event < 0:
            return -1 if self.span[x].event < self.span[y].event else 1
        return self.graph.rank_compare(self.span[x].event, self.span[y].event)

    cdef int integrate(self, int32_t x, int32_t left, int32_t right) except -1:
        """Put `x`, its states set, into tree and list: typed after the last character of `left`, before the
        first one of `right` (-1: the end), which was the next one that existed for its author."""
        cdef int side
        cdef int32_t parent, node, before = -1, after = -1
        cdef int32_t *link
        cdef int32_t *lower
        cdef int32_t *higher
        cdef uint32_t mine = priority(x)
        self.reserve_spines()
        if right >= 0 and self.span[right].left == self.last_id(left):
            side = LEFT
            parent = right
        else:
            side = RIGHT
            parent = left
        # Down the treap of siblings while they outrank x; x takes the place of the first that doesn't,
        # whose subtree is divided between x's two sides.
        link = &self.span[parent].kids[side]
        node = link[0]
        while node >= 0 and priority(node) > mine:
            if self.compare(side, x, node) < 0:
                after = node
                link = &self.span[node].lower
            else:
                before = node
                link = &self.span[node].higher
            node = link[0]
        link[0] = x
        lower = &self.span[x].lower
        higher = &self.span[x].higher
        while node >= 0:
            if self.compare(side, x, node) < 0:
                after = node
                higher[0] = node
                higher = &self.span[node].lower
                node = higher[0]
            else:
                before = node
                lower[0] = node
                lower = &self.span[node].higher
                node = lower[0]
        lower[0] = higher[0] = -1

        if side == LEFT:
            self.insert_before(right if after < 0 else self.extreme(LEFT, after), x)
        else:
            self.insert_after(left if before < 0 else self.extreme(RIGHT, before), x)

        self.start_spine(1 - side, x)
        if (before if side == LEFT else after) < 0:
            if self.span[parent].down[side] >= 0:
                self.cut_spine(side, parent, self.span[parent].down[side])
            # `parent` is a tail now.
            self.join_spine(side, parent, x)
        else:
            self.start_spine(side, x)
        return 0

    cdef int32_t cut(self, int32_t s, int32_t offset) except -1:
        """Split a span before its character `offset`; the second part is returned. It is the right child
        of the first and inherits its right children."""
        cdef int32_t fresh, down
        cdef Span *first
        cdef Span *second
        self.reserve_spines()
        fresh = self.split(s, offset)
        first = self.span + s
        second = self.span + fresh
        if second.id >= self.base_size:
            second.event = <int32_t>self.graph.event_of_text(second.id - self.base_size + self.pool_base)
        second.kids[RIGHT] = first.kids[RIGHT]
        first.kids[RIGHT] = fresh
        down = first.down[RIGHT]
        first.down[RIGHT] = fresh
        second.up[RIGHT] = s
        second.down[RIGHT] = down
        second.spine[RIGHT] = first.spine[RIGHT]
        if down >= 0:
            self.span[down].up[RIGHT] = fresh
        else:
            self.tail[RIGHT][second.spine[RIGHT]] = fresh
        self.start_spine(LEFT, fresh)
        return fresh

    cdef int32_t span_from(self, int64_t id) except -1:
        """The span that starts with character `id`, made by a cut if need be."""
        cdef int32_t s = self.span_at(id)
        if self.span[s].id == id:
            return s
        return self.cut(s, <int32_t>(id - self.span[s].id))

    def check(self):
        """The list is sound, is the tree in order, and every spine ends where its chain does. For tests."""
        cdef int side
        cdef int32_t s, node
        listed = SpanList.check(self)

        def siblings(root):
            if root < 0:
                return []
            return siblings(self.span[root].lower) + [root] + siblings(self.span[root].higher)

        walked = []
        stack = [(0, False)]
        while stack:
            s, opened = stack.pop()
            if opened:
                walked.append(s)
                continue
            stack.extend((kid, False) for kid in reversed(siblings(self.span[s].kids[RIGHT])))
            stack.append((s, True))
            stack.extend((kid, False) for kid in reversed(siblings(self.span[s].kids[LEFT])))
        assert walked == listed, (walked, listed)
        for s in listed:
            for side in range(2):
                kids = siblings(self.span[s].kids[side])
                for one, next_ in zip(kids, kids[1:], strict=False):
                    assert self.compare(side, one, next_) < 0
                    assert self.compare(side, next_, one) > 0
                extreme = (kids[0 if side == LEFT else len(kids) - 1]) if kids else -1
                assert self.span[s].down[side] == extreme
                if extreme >= 0:
                    assert self.span[extreme].up[side] == s
                    assert self.span[extreme].spine[side] == self.span[s].spine[side]
                node = s
                while self.span[node].down[side] >= 0:
                    node = self.span[node].down[side]
                assert self.extreme(side, s) == node
        return listed
