# cython: language_level=3
"""The walker: replays events from a critical version on, each on the text that its author saw.

The law of this room (Eg-walker: Gentle & Kleppmann, EuroSys 2025, section 3). A walk starts from a base
that everything else has in its history, with nothing but the base's length. It can take the events
after it in any topological order; the order of the list that comes out, and who deleted what, are the
same for all of them. What one event emits, applied to the merge of those walked before it, gives the
merge with it.

What is ours. The paper moves one *prepare* version about, retreating and advancing over events. Here
an event whose author saw everything walked so far is applied to the merged text itself, with no move;
and up to 64 versions are kept at once (columns of the span list), a new one being opened when moving an
old one has cost as much as opening it does. So branches that are received in turns don't undo each other.

It doesn't know texts, ids or rows: `_graph.pyx` numbers what it reads, `_fugue.pyx` decides the order.
"""

cimport cython
from cpython.mem cimport PyMem_Free
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memset

from syncstring._fugue cimport RIGHT, FugueList
from syncstring._entries cimport DELETE, INSERT, JUDGED, KEEP, MISFIT
from syncstring._graph cimport EventGraph
from syncstring._memory cimport grown
from syncstring._spans cimport COLUMNS
from syncstring._text cimport SpliceLog

__all__ = ["Walker"]

cdef enum:
    NEAR = 128        # moving a column over so many spans is never worth opening another
    # Marks, while a way from one version to another is looked for:
    BACK = 1          # only in the version to go back from, as far as is known
    BOTH = 2
    FORTH = 3


@cython.final
cdef class Walker:
    """Walks the events of `graph` from the critical prefix `base` on, whose text has `base_size` code points.

    `walk` and `walk_all` take events whose parents are walked or in the base. Every event costs O(log n)
    an operation, and O(log n) for each event that some column has to be moved over.
    """

    def __cinit__(self, EventGraph graph not None, Py_ssize_t base, int64_t base_size):
        if graph.critical_floor(base) != base or base > graph.length:
            raise ValueError(f"prefix {base} is not critical")
        graph.reach(base)
        self.graph = graph
        self.base = base
        self.list = FugueList(graph, base_size, graph.text_start[base])
        self.cursor[0] = -1

    def __dealloc__(self):
        PyMem_Free(self.within)
        PyMem_Free(self.is_head)
        PyMem_Free(self.weight)
        PyMem_Free(self.extents)
        PyMem_Free(self.target_start)
        PyMem_Free(self.target_count)
        PyMem_Free(self.target_id)
        PyMem_Free(self.target_length)
        PyMem_Free(self.heap)
        PyMem_Free(self.seen)
        PyMem_Free(self.back)
        PyMem_Free(self.forth)

    cdef int begin(self) except -1:
        """Forget what was walked: it was cut short within an event, and stands nowhere."""
        cdef Py_ssize_t i
        self.list = FugueList(self.graph, self.list.base_size, self.list.pool_base)
        for i in range(self.capacity):
            self.within[i] = self.is_head[i] = 0
            self.target_count[i] = -1
        self.targets = self.heads = self.spent = 0
        self.broken = False

    cdef int reserve(self, Py_ssize_t event) except -1:
        """Room for an event's own entries."""
        cdef Py_ssize_t local = event - self.base, room, i
        if local >= self.capacity:
            room = max(16, local + 1, 2 * self.capacity)
            self.within = <uint64_t *>grown(self.within, room, sizeof(uint64_t))
            self.is_head = <uint8_t *>grown(self.is_head, room, sizeof(uint8_t))
            self.weight = <int32_t *>grown(self.weight, room, sizeof(int32_t))
            self.extents = <int32_t *>grown(self.extents, room, sizeof(int32_t))
            self.target_start = <int64_t *>grown(self.target_start, room, sizeof(int64_t))
            self.target_count = <int32_t *>grown(self.target_count, room, sizeof(int32_t))
            self.heap = <int32_t *>grown(self.heap, room, sizeof(int32_t))
            self.seen = <int32_t *>grown(self.seen, room, sizeof(int32_t))
            self.back = <int32_t *>grown(self.back, room, sizeof(int32_t))
            self.forth = <int32_t *>grown(self.forth, room, sizeof(int32_t))
            memset(self.within + self.capacity, 0, (room - self.capacity) * sizeof(uint64_t))
            memset(self.is_head + self.capacity, 0, room - self.capacity)
            for i in range(self.capacity, room):
                self.target_count[i] = -1
            self.capacity = room
        self.list.reserve_ids(self.list.base_size + self.graph.text_start[event + 1] - self.list.pool_base)
        return 0

    # Versions.

    cdef bint sees_all(self, Py_ssize_t event) noexcept:
        """Whether the event's parents name every head of what is walked."""
        cdef int64_t k
        cdef Py_ssize_t named = 0
        for k in range(self.graph.parent_start[event], self.graph.parent_start[event + 1]):
            if self.graph.parents[k] >= self.base:
                named += self.is_head[self.graph.parents[k] - self.base]
        return named == self.heads

    cdef void push(self, int32_t event, uint8_t mark) noexcept:
        """Mark an event BACK or BOTH, which stays; queue it if it is new."""
        cdef uint8_t old = self.graph.marks[event]
        cdef Py_ssize_t at, up
        cdef int32_t held
        if old >= mark:
            return
        self.graph.marks[event] = mark
        self.unshared += (mark == BACK) - (old == BACK)
        if old:
            return
        self.seen[self.seen_length] = event
        self.seen_length += 1
        at = self.heap_length
        self.heap_length += 1
        while at:
            up = (at - 1) >> 1
            held = self.heap[up]
            if held > event:
                break
            self.heap[at] = held
            at = up
        self.heap[at] = event

    cdef int32_t pop(self) noexcept:
        cdef int32_t result = self.heap[0], last
        cdef Py_ssize_t at = 0, down
        self.heap_length -= 1
        last = self.heap[self.heap_length]
        while True:
            down = 2 * at + 1
            if down >= self.heap_length:
                break
            if down + 1 < self.heap_length and self.heap[down + 1] > self.heap[down]:
                down += 1
            if self.heap[down] < last:
                break
            self.heap[at] = self.heap[down]
            at = down
        self.heap[at] = last
        return result

    cdef Py_ssize_t distance(self, int column, Py_ssize_t event, Py_ssize_t limit) noexcept:
        """What lies between the version that a column is at and the parents of `event`, into `back` and
        `forth`; about how many spans that is, is returned. The search ends early where it exceeds `limit`."""
        cdef Py_ssize_t cost = 0, i, done = 0
        cdef int64_t k
        cdef int32_t at = <int32_t>event, parent
        cdef uint64_t bit = <uint64_t>1 << (column - 1)
        self.heap_length = self.seen_length = self.unshared = 0
        self.backs = self.forths = 0
        if self.cursor[column] >= 0:
            self.push(self.cursor[column], BACK)
        # Forth: from the parents down to what the column has. That is known of each event, so what the
        # versions share isn't looked at, however much of it is newer than what they don't.
        while True:
            for k in range(self.graph.parent_start[at], self.graph.parent_start[at + 1]):
                parent = self.graph.parents[k]
                if parent < self.base:
                    continue
                if self.within[parent - self.base] & bit:
                    self.push(parent, BOTH)
                elif self.graph.marks[parent] == 0:
                    self.graph.marks[parent] = FORTH
                    self.seen[self.seen_length] = parent
                    self.seen_length += 1
                    self.forth[self.forths] = parent
                    self.forths += 1
            if done == self.forths or cost > limit:
                break
            at = self.forth[done]
            done += 1
            cost += self.weight[at - self.base]
            self.moves += 1
        # Back: from the cursor down to what was met there.
        while self.unshared and cost <= limit:
            at = self.pop()
            self.moves += 1
            if self.graph.marks[at] == BACK:
                self.unshared -= 1
                self.back[self.backs] = at
                self.backs += 1
                cost += self.weight[at - self.base]
            else:
                cost += 1
            for k in range(self.graph.parent_start[at], self.graph.parent_start[at + 1]):
                if self.graph.parents[k] >= self.base:
                    self.push(self.graph.parents[k], self.graph.marks[at])
        for i in range(self.seen_length):
            self.graph.marks[self.seen[i]] = 0
        return cost

    cdef int choose(self, Py_ssize_t event) except -1:
        """A column at the version of the event's parents, moved there if none is."""
        cdef int column, best = -1, asked = -1
        cdef Py_ssize_t cost, room, least = 0x7fffffff, limit = 32, known = 0, i
        cdef int64_t k
        cdef int32_t parent = <int32_t>self.graph.last_parent(event), s
        if self.graph.parent_start[event + 1] - self.graph.parent_start[event] <= 1:
            if parent < self.base:
                parent = -1
            for column in range(1, self.list.columns):
                if self.cursor[column] == parent:
                    return column
        if self.list.columns == 1:
            column = self.list.add_column(0)
            for s in range(<int32_t>self.list.spans):
                self.list.state[column][s] = self.list.span[s].id < self.list.base_size or s == 0
            self.list.refresh(column)
            self.cursor[column] = -1
            self.extent[column] = 0
        # The nearest one. A column may be far from here: none is asked for more than a few times the least,
        # and none that lacks more than that by number alone.
        for k in range(self.graph.parent_start[event], self.graph.parent_start[event + 1]):
            if self.graph.parents[k] >= self.base:
                known = max(known, self.extents[self.graph.parents[k] - self.base])
        while best < 0:
            for column in range(self.list.columns - 1, 0, -1):
                room = min(limit, least - 1)
                if known - self.extent[column] > room:
                    continue
                asked = column
                cost = self.distance(column, event, room)
                if cost <= room:
                    least = cost
                    best = column
                    if cost == 0:
                        return best
            limit *= 4
        if asked != best:
            self.distance(best, event, least)
        # What is retreated from is likely to be advanced over again; advances alone come to an end.
        cost = 0
        for i in range(self.backs):
            cost += self.weight[self.back[i] - self.base]
        if cost > NEAR:
            self.spent += cost
            if self.spent > self.list.spans and self.list.columns < COLUMNS:
                self.spent = 0
                best = self.open_column(best)
        for i in range(self.backs):
            self.move(best, self.back[i], -1)
        for i in range(self.forths):
            self.move(best, self.forth[i], 1)
        return best

    cdef int open_column(self, int like) except -1:
        """One more column, at the version that column `like` is at."""
        cdef int column = self.list.add_column(like)
        cdef Py_ssize_t i
        for i in range(self.capacity):
            self.within[i] |= (self.within[i] >> (like - 1) & 1) << (column - 1)
        self.cursor[column] = self.cursor[like]
        self.extent[column] = self.extent[like]
        return column

    cdef int move(self, int column, int32_t event, int by) except -1:
        """Retreat from (-1) or advance over (1) one event in a column."""
        cdef int64_t id, stop, i
        cdef int32_t s, weight = 1
        cdef Py_ssize_t local = event - self.base
        self.moves += 1
        self.within[local] ^= <uint64_t>1 << (column - 1)
        self.extent[column] += by
        if self.graph.flags[event] & MISFIT:
            return 0
        id = self.list.base_size + self.graph.text_start[event] - self.list.pool_base
        stop = self.list.base_size + self.graph.text_start[event + 1] - self.list.pool_base
        if id < stop:
            # Spans may hold the runs of several events.
            s = self.list.span_from(id)
            while True:
                if self.list.span[s].id + self.list.span[s].length > stop:
                    self.list.cut(s, <int32_t>(stop - self.list.span[s].id))
                self.list.set_state(column, s, self.list.state[column][s] + by)
                weight += 1
                id += self.list.span[s].length
                if id == stop:
                    break
                s = self.list.span_at(id)
        for i in range(self.target_start[local], self.target_start[local] + self.target_count[local]):
            id = self.target_id[i]
            stop = id + self.target_length[i]
            while id < stop:
                s = self.list.span_at(id)
                self.list.set_state(column, s, self.list.state[column][s] + by)
                weight += 1
                id += self.list.span[s].length
        self.weight[local] = weight
        return 0

    # Applying.

    cdef int insert(self, int column, int64_t pos, int64_t length, int64_t offset, Py_ssize_t event,
                    SpliceLog out, Py_ssize_t mark) except -1:
        """Insert `length` code points (at `offset` of the pool) at a position of a column."""
        cdef FugueList spans = self.list
        cdef int32_t left = 0, right, s, at = 0
        cdef int64_t id = spans.base_size + offset - spans.pool_base, place
        cdef int other
        cdef bint same
        if pos:
            left = spans.find(column, pos - 1, &at)
            if at + 1 < spans.span[left].length:
                spans.cut(left, at + 1)
        right = spans.next_existing(column, left)
        same = left and spans.last_id(left) + 1 == id and id > spans.base_size \
            and spans.span[left].kids[RIGHT] < 0 and spans.span[left].right == right
        if same:
            for other in range(spans.columns):
                same = same and spans.state[other][left] == (1 if other == 0 or other == column else 0)
        if same:
            # The run goes on: as a node of its own it would be the only right child of its last character.
            place = spans.before(0, left) + spans.span[left].length
            spans.lengthen(left, <int32_t>length)
        else:
            s = spans.new_span(id, <int32_t>length, spans.last_id(left), right, <int32_t>event)
            spans.state[0][s] = 1
            spans.state[column][s] = 1
            spans.integrate(s, left, right)
            place = spans.before(0, s) if out is not None else 0
        if out is not None:
            out.append(place, 0, offset, length)
        return 0

    cdef int delete(self, int column, int64_t pos, int64_t length, Py_ssize_t local,
                    SpliceLog out, Py_ssize_t mark) except -1:
        """Delete what a column shows at [pos, pos + length)."""
        cdef FugueList spans = self.list
        cdef int32_t s, at = 0
        cdef int64_t place
        cdef Py_ssize_t last, room
        while length:
            s = spans.find(column, pos, &at)
            if at:
                s = spans.cut(s, at)
            if spans.span[s].length > length:
                spans.cut(s, <int32_t>length)
            if self.targets == self.targets_capacity:
                room = 2 * self.targets_capacity + 16
                self.target_id = <int64_t *>grown(self.target_id, room, sizeof(int64_t))
                self.target_length = <int32_t *>grown(self.target_length, room, sizeof(int32_t))
                self.targets_capacity = room
            self.target_id[self.targets] = spans.span[s].id
            self.target_length[self.targets] = spans.span[s].length
            self.targets += 1
            self.target_count[local] += 1
            if spans.state[0][s] == 1:
                if out is not None:
                    place = spans.before(0, s)
                    last = out.length - 1
                    if last >= mark and out.pos[last] + out.count[last] == place:
                        out.delete[last] += spans.span[s].length
                    else:
                        out.append(place, spans.span[s].length, 0, 0)
                spans.set_state(0, s, 2)
            if column:
                spans.set_state(column, s, spans.state[column][s] + 1)
            length -= spans.span[s].length
        return 0

    cdef int walk_one(self, Py_ssize_t event, SpliceLog out) except -1:
        cdef EventGraph graph = self.graph
        cdef Py_ssize_t local = event - self.base, mark = 0, i
        cdef int column
        cdef int64_t k, length, pos, offset, before
        if self.broken:
            self.begin()
        self.reserve(event)
        if self.target_count[local] >= 0:
            raise ValueError(f"event {event} is walked already")
        for k in range(graph.parent_start[event], graph.parent_start[event + 1]):
            i = graph.parents[k] - self.base
            if i >= 0 and self.target_count[i] < 0:
                raise ValueError(f"event {event} before its parent {graph.parents[k]}")
        self.broken = True
        column = 0 if self.sees_all(event) else self.choose(event)
        self.target_start[local] = self.targets
        self.target_count[local] = 0
        self.weight[local] = 1
        before = self.list.total(column)
        if not graph.flags[event] & JUDGED:
            graph.judge(event, before)
        if out is not None:
            mark = out.length
        if not graph.flags[event] & MISFIT:
            # First what was inserted, in the parents' coordinates; then what was deleted.
            pos = 0
            offset = graph.text_start[event]
            for k in range(graph.op_start[event], graph.op_start[event + 1]):
                length = graph.ops[k] >> 2
                if graph.ops[k] & 3 == INSERT:
                    self.insert(column, pos, length, offset, event, out, mark)
                    self.weight[local] += 1
                    offset += length
                pos += length
            pos = 0
            for k in range(graph.op_start[event], graph.op_start[event + 1]):
                length = graph.ops[k] >> 2
                if graph.ops[k] & 3 == DELETE:
                    self.delete(column, pos, length, local, out, mark)
                else:
                    pos += length
        self.weight[local] += self.target_count[local]
        if column:
            self.cursor[column] = <int32_t>event
            self.within[local] |= <uint64_t>1 << (column - 1)
            self.extent[column] += 1
        self.extents[local] = <int32_t>(self.extent[column] if column else self.walked + 1)
        for k in range(graph.parent_start[event], graph.parent_start[event + 1]):
            i = graph.parents[k] - self.base
            if i >= 0:
                self.heads -= self.is_head[i]
                self.is_head[i] = 0
        self.is_head[local] = 1
        self.heads += 1
        self.walked += 1
        self.broken = False
        return 0

    def walk(self, Py_ssize_t event, SpliceLog out=None):
        """Walk one event; what it does to the merge of those walked before it is appended to `out`."""
        self.walk_all((event,), out)

    cdef int step(self, Py_ssize_t event, SpliceLog out) except -1:
        """`walk` of an event that there is."""
        self.graph.reach(self.base)
        try:
            return self.walk_one(event, out)
        except BaseException:
            self.walked = 0 if self.broken else self.walked
            raise

    def walk_all(self, events, SpliceLog out=None):
        """Walk several, in the order given. Where memory runs out, all is forgotten: so is `out`."""
        cdef Py_ssize_t event, before = self.walked
        self.graph.reach(self.base)
        try:
            for event in events:
                if not self.base <= event < self.graph.length:
                    raise IndexError(f"no event {event} in [{self.base}, {self.graph.length})")
                self.walk_one(event, out)
        except BaseException:
            if self.broken or self.walked != before:
                self.broken = True
                self.walked = 0
            raise

    @property
    def size(self):
        """The length of the merge of all that is walked."""
        return self.list.total(0)

    @property
    def spans(self):
        """How many spans the list has."""
        return self.list.spans

    @property
    def columns(self):
        """How many versions are kept at once, the merge not counted."""
        return self.list.columns - 1

    @property
    def steps(self):
        """What tests of growth count: slots looked at, siblings compared, events moved over."""
        return self.list.steps + self.moves

    def check(self):
        """Derive every column from the events it has walked and compare. For tests."""
        cdef int column
        cdef int32_t s
        cdef Py_ssize_t event
        cdef int64_t k
        listed = self.list.check()
        walked = [event for event in range(self.base, self.graph.length)
                  if event - self.base < self.capacity and self.target_count[event - self.base] >= 0]
        assert len(walked) == self.walked
        outside = {parent for event in walked for parent in self.graph.parents_of(event)}
        assert [e for e in walked if self.is_head[e - self.base]] == [e for e in walked if e not in outside]
        assert self.heads == len([e for e in walked if e not in outside])
        assert not any([self.graph.marks[event] for event in range(self.graph.length)])
        for event in walked:
            assert self.extents[event - self.base] == sum(self.graph.members([event], self.base))
        for column in range(self.list.columns):
            if column:
                heads = [self.cursor[column]] if self.cursor[column] >= 0 else []
                mask = self.graph.members(heads, self.base)
                there = {self.base + i for i, bit in enumerate(mask) if bit}
                assert there == {e for e in walked if self.within[e - self.base] >> (column - 1) & 1}
                assert self.extent[column] == len(there)
            else:
                there = set(walked)
            expect = {s: 1 if self.list.span[s].id < self.list.base_size or s == 0 else 0 for s in listed}
            for event in [event for event in there if not self.graph.is_misfit(event)]:
                start, stop = self.graph.text_range(event)
                for k in range(start, stop):
                    s = self.list.span_at(k - self.list.pool_base + self.list.base_size)
                    expect[s] = max(expect[s], 1)
            for event in there:
                for k in range(self.target_start[event - self.base],
                               self.target_start[event - self.base] + self.target_count[event - self.base]):
                    id_ = self.target_id[k]
                    while id_ < self.target_id[k] + self.target_length[k]:
                        s = self.list.span_at(id_)
                        assert expect[s] >= 1
                        expect[s] += 1
                        id_ += self.list.span[s].length
            for s in listed:
                shown = expect[s] if column else min(expect[s], 2)
                assert self.list.state[column][s] == shown, (column, s)
