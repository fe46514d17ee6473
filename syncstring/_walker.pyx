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
from libc.stdint cimport int32_t, int64_t, uint64_t

from syncstring._fugue cimport RIGHT, FugueList
from syncstring._entries cimport DELETE, INSERT, JUDGED, KEEP, MISFIT
from syncstring._graph cimport EventGraph
from syncstring._memory cimport grown
from syncstring._spans cimport COLUMNS
from syncstring._text cimport SpliceLog
from syncstring._walked cimport Walked

__all__ = ["Walker"]

cdef enum:
    NEAR = 128        # moving a column over so many spans is never worth opening another
    NOBODY = -2       # no event's number, and no event's parent's


cdef inline bint types_on(EventGraph graph, Py_ssize_t event, int64_t end) noexcept:
    """Whether an event inserts something at `end`, does nothing else, and was made on just the one before it."""
    cdef int64_t k = graph.op_start[event]
    return (
        graph.op_start[event + 1] == k + 2 and graph.ops[k] == (end << 2 | KEEP)
        and graph.ops[k + 1] & 3 == INSERT and graph.parent_start[event + 1] == graph.parent_start[event] + 1
        and graph.parents[graph.parent_start[event]] == event - 1
    )


@cython.final
cdef class Walker(Walked):
    """Walks the events of `graph` from the critical prefix `base` on, whose text has `base_size` code points.

    `walk` and `walk_all` take events whose parents are walked or in the base. Every event costs O(log n)
    an operation, and O(log n) for each event that some column has to be moved over. There is room at once for
    what the events up to `stop` insert.
    """

    def __cinit__(self, EventGraph graph not None, Py_ssize_t base, int64_t base_size, Py_ssize_t stop=0):
        if graph.critical_floor(base) != base or base > graph.length:
            raise ValueError(f"prefix {base} is not critical")
        graph.reach(base)
        stop = min(max(base, stop), graph.length)
        self.graph = graph
        self.base = base
        self.list = FugueList(graph, base_size, graph.text_start[base], graph.text_start[stop] - graph.text_start[base])
        self.cursor[0] = -1
        self.typed = NOBODY

    def __dealloc__(self):
        PyMem_Free(self.target_start)
        PyMem_Free(self.target_count)
        PyMem_Free(self.target_id)
        PyMem_Free(self.target_length)

    cdef int begin(self) except -1:
        """Forget what was walked: it was cut short within an event, and stands nowhere."""
        cdef Py_ssize_t i
        self.list = FugueList(self.graph, self.list.base_size, self.list.pool_base)
        for i in range(self.capacity):
            self.target_count[i] = -1
        self.nothing_walked()
        self.targets = self.spent = 0
        self.typed = NOBODY
        self.broken = False

    cdef int reserve(self, Py_ssize_t event) except -1:
        """Room for an event's own entries."""
        cdef Py_ssize_t local = event - self.base, room, i
        if local >= self.capacity:
            room = max(16, local + 1, 2 * self.capacity)
            self.target_start = <int64_t *>grown(self.target_start, room, sizeof(int64_t))
            self.target_count = <int32_t *>grown(self.target_count, room, sizeof(int32_t))
            for i in range(self.capacity, room):
                self.target_count[i] = -1
            self.make_room(room)
        self.list.reserve_ids(self.list.base_size + self.graph.text_start[event + 1] - self.list.pool_base)
        return 0

    # Versions.

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
        self.move(best, self.back, self.backs, -1)
        self.move(best, self.forth, self.forths, 1)
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

    cdef int move(self, int column, const int32_t *events, Py_ssize_t count, int by) except -1:
        """Retreat from (-1) or advance over (1) events in a column. What is typed in a row is moved over as one:
        it stays one span."""
        cdef EventGraph graph = self.graph
        cdef int64_t start, stop, first_id = self.list.base_size - self.list.pool_base
        cdef Py_ssize_t i = 0, first
        cdef int32_t spans
        while i < count:
            first = i
            start, stop = graph.text_start[events[i]], graph.text_start[events[i] + 1]
            while True:
                self.within[events[i] - self.base] ^= <uint64_t>1 << (column - 1)
                i += 1
                if i == count or (graph.flags[events[i]] | graph.flags[events[i - 1]]) & MISFIT:
                    break
                # Nearly always the one before it: what is found on the way back comes in descending order.
                if graph.text_start[events[i] + 1] == start:
                    start = graph.text_start[events[i]]
                elif graph.text_start[events[i]] == stop:
                    stop = graph.text_start[events[i] + 1]
                else:
                    break
            self.moves += i - first
            self.extent[column] += by * (i - first)
            if graph.flags[events[first]] & MISFIT:
                continue
            spans = self.shift(column, start + first_id, stop + first_id, by)
            spans = max(1, spans // <int32_t>(i - first)) if spans else 0
            for first in range(first, i):
                self.weight[events[first] - self.base] = 1 + spans + self.move_targets(column, events[first], by)
        return 0

    cdef int32_t shift(self, int column, int64_t id, int64_t stop, int by) except -1:
        """Count the states of the characters [id, stop) up or down; how many spans they are is returned."""
        cdef int32_t s, count = 0
        if id == stop:
            return 0
        # Spans may hold the runs of several events.
        s = self.list.span_from(id)
        while True:
            if self.list.span[s].id + self.list.span[s].length > stop:
                self.list.cut(s, <int32_t>(stop - self.list.span[s].id))
            self.list.set_state(column, s, self.list.state[column][s] + by)
            count += 1
            id += self.list.span[s].length
            if id == stop:
                return count
            s = self.list.span_at(id)

    cdef int32_t move_targets(self, int column, int32_t event, int by) noexcept:
        """The same for what an event deleted."""
        cdef int64_t id, stop, i
        cdef int32_t s, count = 0
        cdef Py_ssize_t local = event - self.base
        for i in range(self.target_start[local], self.target_start[local] + self.target_count[local]):
            id = self.target_id[i]
            stop = id + self.target_length[i]
            while id < stop:
                s = self.list.span_at(id)
                self.list.set_state(column, s, self.list.state[column][s] + by)
                count += 1
                id += self.list.span[s].length
        return count

    # Applying.

    cdef int32_t insert(self, int column, int64_t pos, int64_t length, int64_t offset, Py_ssize_t event,
                        SpliceLog out) except -1:
        """Insert `length` code points (at `offset` of the pool) at a position of a column; the span that ends
        in them is returned."""
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
            s = left
            place = spans.before(0, s) + spans.span[s].length if out is not None else 0
            spans.lengthen(s, <int32_t>length)
        else:
            s = spans.new_span(id, <int32_t>length, spans.last_id(left), right, <int32_t>event)
            spans.state[0][s] = 1
            spans.state[column][s] = 1
            spans.integrate(s, left, right)
            place = spans.before(0, s) if out is not None else 0
        if out is not None:
            out.append(place, 0, offset, length)
        return s

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
        cdef int32_t s = -1
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
        self.typed = NOBODY
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
                    s = self.insert(column, pos, length, offset, event, out)
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
        k = graph.op_start[event + 1] - 1
        if s >= 0 and graph.ops[k] & 3 == INSERT and (
            graph.op_start[event] == k or graph.op_start[event] == k - 1 and graph.ops[k - 1] & 3 == KEEP
        ):
            # All that it does is to insert a text: its author may type on there.
            self.typed, self.typed_in, self.typed_at = event, s, column
            self.typed_end = (graph.ops[k] >> 2) + (graph.ops[k - 1] >> 2 if graph.op_start[event] < k else 0)
        return 0

    cdef Py_ssize_t type_on(self, const int32_t *events, Py_ssize_t count, SpliceLog out) except -1:
        """Walk as one those of the events to come that go on typing where the event walked last did, on what
        its author had then: the span that ends there grows, and nothing else has to be found out. How many
        these are is returned. Nearly all events are such, where people type."""
        cdef EventGraph graph = self.graph
        cdef FugueList spans = self.list
        cdef Py_ssize_t first = self.typed + 1, event = self.typed, local, n = 0
        cdef int64_t end = self.typed_end, length, place
        cdef uint64_t bit = 0
        while n < count and events[n] == event + 1 and types_on(graph, event + 1, end):
            local = event + 1 - self.base
            if local < self.capacity and self.target_count[local] >= 0:
                break  # it is walked already
            event += 1
            end += graph.ops[graph.op_start[event] + 1] >> 2
            n += 1
        if n == 0:
            return 0
        self.reserve(event)
        if out is not None:
            place = spans.before(0, self.typed_in) + spans.span[self.typed_in].length
            for event in range(first, first + n):
                length = graph.ops[graph.op_start[event] + 1] >> 2
                out.append(place, 0, graph.text_start[event], length)
                place += length
        # Nothing fails from here on.
        spans.lengthen(self.typed_in, <int32_t>(end - self.typed_end))
        if self.typed_at:
            bit = <uint64_t>1 << (self.typed_at - 1)
        for event in range(first, first + n):
            local = event - self.base
            if not graph.flags[event] & JUDGED:  # it fits, as the one before it did
                graph.size[event] = graph.size[event - 1] + (graph.ops[graph.op_start[event] + 1] >> 2)
                graph.flags[event] |= JUDGED
            self.target_start[local] = self.targets
            self.target_count[local] = 0
            self.weight[local] = 2
            self.within[local] |= bit
            self.walked += 1
            self.extents[local] = self.extents[local - 1] + 1
        event = first + n - 1
        self.is_head[first - 1 - self.base] = 0
        self.is_head[event - self.base] = 1
        if self.typed_at:
            self.cursor[self.typed_at] = <int32_t>event
            self.extent[self.typed_at] += n
        self.typed, self.typed_end = event, end
        return n

    def walk(self, Py_ssize_t event, SpliceLog out=None):
        """Walk one event; what it does to the merge of those walked before it is appended to `out`."""
        self.walk_all((event,), out)

    def walk_all(self, events, SpliceLog out=None):
        """Walk several, in the order given. Where memory runs out, all is forgotten: so is `out`."""
        cdef Py_ssize_t event, count = 0, room = 0
        cdef int32_t *order = NULL
        try:
            for event in events:
                if not self.base <= event < self.graph.length:
                    raise IndexError(f"no event {event} in [{self.base}, {self.graph.length})")
                if count == room:
                    room = 2 * room + 16
                    order = <int32_t *>grown(order, room, sizeof(int32_t))
                order[count] = <int32_t>event
                count += 1
            self.walk_row(order, count, out)
        finally:
            PyMem_Free(order)

    cdef int walk_row(self, const int32_t *events, Py_ssize_t count, SpliceLog out) except -1:
        """`walk_all` of events that there are."""
        cdef Py_ssize_t i, before = self.walked, on, newest = -1
        self.graph.reach(self.base)
        for i in range(count):
            newest = max(newest, events[i])
        try:
            if count > 1:
                self.reserve(newest)
            i = 0
            while i < count:
                on = self.type_on(events + i, count - i, out)
                if not on:
                    self.walk_one(events[i], out)
                    on = 1
                i += on
        except BaseException:
            if self.broken or self.walked != before:
                self.broken = True
                self.walked = 0
                self.typed = NOBODY
            raise
        return 0

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
