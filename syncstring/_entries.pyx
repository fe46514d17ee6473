# cython: language_level=3
"""Events in columns, as they are written and kept: flat, or the first of them folded.

The law of this room. Events are numbered in arrival order, parents before children, and only ever
appended; inserted texts lie in one pool in the same order. What was appended is given back exactly.

The first events may be *folded* (`_folds`): then columns have no entries for those before `folded`, and whoever
reads the columns of an event does so after `reach` of it and before the next append.

What is asked about events is answered in `_events`.
"""

from cpython.mem cimport PyMem_Free
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy

from syncstring._folds cimport Columns, Folds
from syncstring._lane cimport Lane
from syncstring._memory cimport big_block, grown
from syncstring._pool cimport TextPool

__all__ = ["Entries"]


cdef enum:
    COLUMNS = 9


cdef class Entries:
    """Append-only columns of events. Costs are O(1) amortised unless a method says otherwise."""

    def __cinit__(self):
        self.pool = TextPool()
        self.sessions = []
        self.authors = []
        self.session_index = {}
        self.author_index = {}
        self.messages = {}
        self.lanes = []
        self.fold_at = NEAR + FAR
        self.make_room(16)
        self.parent_start[0] = self.op_start[0] = self.text_start[0] = 0

    def __dealloc__(self):
        cdef void **column[COLUMNS]
        cdef Py_ssize_t width[COLUMNS]
        cdef int i
        self.shift(-self.folded, -self.parents_gone, -self.ops_gone)
        self.columns(column, width)
        for i in range(COLUMNS if self.slab == NULL else 0):
            PyMem_Free(column[i][0])
        PyMem_Free(self.slab)
        PyMem_Free(self.parents)
        PyMem_Free(self.ops_block)

    cdef void columns(self, void ***column, Py_ssize_t *width) noexcept:
        """The columns with an entry an event, and the bytes of one."""
        column[0], width[0] = <void **>&self.time, sizeof(int64_t)
        column[1], width[1] = <void **>&self.wall, sizeof(int64_t)
        column[2], width[2] = <void **>&self.size, sizeof(int64_t)
        column[3], width[3] = <void **>&self.parent_start, sizeof(int64_t)
        column[4], width[4] = <void **>&self.op_start, sizeof(int64_t)
        column[5], width[5] = <void **>&self.text_start, sizeof(int64_t)
        column[6], width[6] = <void **>&self.session, sizeof(int32_t)
        column[7], width[7] = <void **>&self.author, sizeof(int32_t)
        column[8], width[8] = <void **>&self.flags, sizeof(uint8_t)

    cdef int make_room(self, Py_ssize_t events, bint together=False) except -1:
        """Make room for `events` in all; the object stays sound if memory runs out half-way. A great many are
        best off `together`, in one block of big pages: it took 9 ms to touch what 260,000 events have in small ones."""
        cdef void **column[COLUMNS]
        cdef Py_ssize_t width[COLUMNS]
        cdef Py_ssize_t room = max(events, self.capacity + (self.capacity - self.folded >> 1)), size = 0
        cdef int i
        cdef char *at
        cdef void *slab
        if events <= self.capacity:
            return 0
        self.columns(column, width)
        if not together and self.slab == NULL:
            for i in range(COLUMNS):
                size = self.folded * width[i]
                column[i][0] = <char *>grown(<char *>column[i][0] + size, room + 1 - self.folded, width[i]) - size
            self.capacity = room
            return 0
        room = (room + (room >> 4)) | 7  # so that each column begins at a multiple of 8
        for i in range(COLUMNS):
            size += (room + 1) * width[i]
        slab = big_block(size, &at)
        for i in range(COLUMNS):
            memcpy(at, column[i][0], (self.length + 1) * width[i])
            if self.slab == NULL:
                PyMem_Free(column[i][0])
            column[i][0] = at
            at += (room + 1) * width[i]
        PyMem_Free(self.slab)
        self.slab = slab
        self.capacity = room
        return 0

    # Writing the columns of one more event, where nobody looks yet: the caller counts it in, once all that can
    # fail is done. What one that failed has left is written over by the next.

    cdef int put(self, int64_t time, str session, str author, int64_t wall) except -1:
        """Everything but the parents and the delta. First of these."""
        cdef Py_ssize_t event = self.length, slot
        cdef Lane lane
        if event >= 0x7fffffff:
            raise MemoryError("a history holds at most 2^31 patches")
        slot = self.session_new(session)
        lane = <Lane>self.lanes[slot]
        if lane.gone and time <= lane.newest:
            self.unfold()
        lane.reserve()
        self.make_room(event + 1)
        self.time[event] = time
        self.wall[event] = wall
        self.session[event] = slot
        self.size[event] = -1
        self.flags[event] = 0
        slot = (<size_t><void *>author >> 4) & (MET - 1)
        if self.author_met[slot] == <void *>author:
            self.author[event] = self.author_at[slot]
        else:
            self.author[event] = self.author_number(author)
        return 0

    cdef int32_t author_number(self, str author) except -1:
        """Where an author stands in `authors`; put there if need be."""
        cdef Py_ssize_t slot
        index_ = self.author_index.get(author)
        if index_ is None:
            # The index is what counts: a list may end in what was never entered there.
            index_ = len(self.author_index)
            while len(self.authors) > index_:
                self.authors.pop()
            self.authors.append(author)
            self.author_index[author] = index_
        if self.authors[index_] is author:
            slot = (<size_t><void *>author >> 4) & (MET - 1)
            self.author_met[slot] = <void *>author
            self.author_at[slot] = index_
        return index_

    cdef Py_ssize_t session_number(self, str session) except -2:
        """Where a session stands in `sessions`, or -1."""
        cdef Py_ssize_t slot = (<size_t><void *>session >> 4) & (MET - 1)
        cdef object index
        if self.session_met[slot] == <void *>session:
            return self.session_at[slot]
        index = self.session_index.get(session)
        if index is None:
            return -1
        if self.sessions[index] is session:  # kept by the list, so its address is nobody else's
            self.session_met[slot] = <void *>session
            self.session_at[slot] = index
        return index

    cdef int32_t session_new(self, str session) except -1:
        """Where it stands; put there if need be."""
        cdef Py_ssize_t index = self.session_number(session)
        if index < 0:
            index = len(self.session_index)
            while len(self.sessions) > index:
                self.sessions.pop()
            while len(self.lanes) > index:
                self.lanes.pop()
            self.sessions.append(session)
            self.lanes.append(Lane())
            self.session_index[session] = index
        return <int32_t>index

    cdef int32_t *put_parents(self, Py_ssize_t count) except NULL:
        """Room for so many parents, which the caller writes there, ascending."""
        cdef Py_ssize_t event = self.length
        cdef int64_t at = self.parent_start[event], room = self.parents_capacity
        if at + count > room or room == 0:
            self.need_parents(max(at + count, room + (room - self.parents_gone >> 1) + 16))
        self.parent_start[event + 1] = at + count
        return self.parents + at

    cdef int64_t *room_for_ops(self, Py_ssize_t count) except NULL:
        """Room for so many operations; their texts go to the pool next."""
        cdef int64_t at = self.op_start[self.length], room = self.ops_capacity
        if at + count > room or room == 0:
            self.need_ops(max(at + count, room + (room - self.ops_gone >> 1) + 16))
        self.pool.length = self.text_start[self.length]
        return self.ops + at

    cdef int need_ops(self, Py_ssize_t room, bint together=False) except -1:
        """Room for so many operations in all, as `make_room` has it."""
        cdef void *block
        cdef char *start
        cdef int64_t *ops = self.ops + self.ops_gone
        if room <= self.ops_capacity:
            return 0
        if together or self.ops_block != ops:
            block = big_block((room - self.ops_gone) * sizeof(int64_t), &start)
            if ops != NULL:
                memcpy(start, ops, (self.op_start[self.length] - self.ops_gone) * sizeof(int64_t))
            PyMem_Free(self.ops_block)
            self.ops_block = block
            ops = <int64_t *>start
        else:
            self.ops_block = grown(ops, room - self.ops_gone, sizeof(int64_t))
            ops = <int64_t *>self.ops_block
        self.ops = ops - self.ops_gone
        self.ops_capacity = room
        return 0

    cdef int put_ops(self, tuple ops) except -1:
        """The delta."""
        cdef Py_ssize_t event = self.length, index, count = len(ops)
        cdef int64_t length
        cdef int64_t *at = self.room_for_ops(count)
        cdef object op
        for index in range(count):
            op = ops[index]
            if isinstance(op, str):
                length = len(<str>op)
                self.pool.add(<str>op)
                at[index] = length << 2 | INSERT
            else:
                length = op
                at[index] = (-length) << 2 | DELETE if length < 0 else length << 2 | KEEP
        self.op_start[event + 1] = self.op_start[event] + count
        self.text_start[event + 1] = self.pool.length
        return 0

    cdef int put_splice(self, int64_t pos, int64_t delete, str insert) except -1:
        """The delta of one splice that does something."""
        cdef Py_ssize_t event = self.length, count = 0
        cdef int64_t *at = self.room_for_ops(3)
        if pos:
            at[count] = pos << 2 | KEEP
            count += 1
        if insert:
            self.pool.add(insert)
            at[count] = <int64_t>len(insert) << 2 | INSERT
            count += 1
        if delete:
            at[count] = delete << 2 | DELETE
            count += 1
        self.op_start[event + 1] = self.op_start[event] + count
        self.text_start[event + 1] = self.pool.length
        return 0

    cdef void count_in(self) noexcept:
        """Let the event that was put be one of them."""
        cdef Lane lane = <Lane>self.lanes[self.session[self.length]]
        lane.insert(lane.bisect(self.time, self.time[self.length]), self.length)
        self.length += 1

    # Many at once, whose columns somebody wrote from `length` on.

    cdef int need_parents(self, Py_ssize_t room) except -1:
        """Room for so many parents in all."""
        cdef int32_t *parents = self.parents + self.parents_gone
        if room > self.parents_capacity:
            parents = <int32_t *>grown(parents, room - self.parents_gone, sizeof(int32_t))
            self.parents = parents - self.parents_gone
            self.parents_capacity = room
        return 0

    cdef int name(self, list sessions, list authors) except -1:
        """Number new sessions and authors. One that no event has is no harm."""
        cdef str name
        del self.authors[len(self.author_index):]
        for name in authors:
            self.authors.append(name)
            self.author_index[name] = len(self.author_index)
        del self.sessions[len(self.session_index):]
        del self.lanes[len(self.session_index):]
        for name in sessions:
            self.sessions.append(name)
            self.lanes.append(Lane())
            self.session_index[name] = len(self.session_index)
        return 0

    cdef int index(self, Py_ssize_t start, Py_ssize_t stop) except -1:
        """Let the events [start, stop) be found by id. `ValueError` where two have one, `LookupError` where an
        event before them has it. What raises leaves some of them there: `unindex`. O(n), and O(k log k) in a
        session whose times don't ascend."""
        cdef Py_ssize_t event = start, last, i
        cdef int32_t session
        cdef Lane lane
        cdef dict ragged = {}
        if self.folded:
            for event in range(start, stop):
                lane = <Lane>self.lanes[self.session[event]]
                if lane.gone and self.time[event] <= lane.newest:
                    self.unfold()
                    break
            event = start
        while event < stop:
            session = self.session[event]
            last = event
            while last < stop and self.session[last] == session:
                last += 1
            lane = <Lane>self.lanes[session]
            if lane.length + last - event > lane.capacity:
                lane.reserve(last - event)
            while event < last:
                if lane.length and self.time[lane.event[lane.length - 1]] >= self.time[event]:
                    ragged.setdefault(session, lane.length)
                lane.event[lane.length] = <int32_t>event
                lane.length += 1
                event += 1
        for number, i in ragged.items():
            lane = <Lane>self.lanes[number]
            lane.sort(self.time, i)
            for i in range(1, lane.length):
                if self.time[lane.event[i - 1]] == self.time[lane.event[i]]:
                    id = (self.time[lane.event[i]], self.sessions[number])
                    if min(lane.event[i - 1], lane.event[i]) < start:
                        raise LookupError(f"{id} is here already")
                    raise ValueError(f"{id} stands in it twice")
        return 0

    cdef void unindex(self, Py_ssize_t start) noexcept:
        """Let no event from `start` on be found any more."""
        cdef Lane lane
        cdef Py_ssize_t i, kept
        for lane in self.lanes:
            kept = 0
            for i in range(lane.length):
                if lane.event[i] < start:
                    lane.event[kept] = lane.event[i]
                    kept += 1
            lane.length = kept

    # Folding.

    cdef void shift(self, Py_ssize_t events, Py_ssize_t parents, Py_ssize_t ops) noexcept:
        """Let the entries that begin the columns be those of an event that comes so many later, and so many
        parents and operations."""
        cdef void **column[COLUMNS]
        cdef Py_ssize_t width[COLUMNS]
        cdef int i
        self.columns(column, width)
        for i in range(COLUMNS):
            column[i][0] = <char *>column[i][0] - events * width[i]
        self.parents -= parents
        self.ops -= ops
        self.folded += events
        self.capacity += events
        self.parents_gone += parents
        self.parents_capacity += parents
        self.ops_gone += ops
        self.ops_capacity += ops

    cdef int lay(self, Py_ssize_t folded, int64_t parents_gone, int64_t ops_gone,
                 Py_ssize_t room, int64_t parents_room, int64_t ops_room) except -1:
        """Of a new one: let there be columns for the events from `folded` up to `room`."""
        self.make_room(room - folded)
        self.need_parents(max(16, parents_room - parents_gone))
        self.need_ops(max(16, ops_room - ops_gone))
        self.shift(folded, parents_gone, ops_gone)
        return 0

    cdef void swap(self, Entries other) noexcept:
        """Take over another's columns, with all that is in ours and not folded there; it has ours then."""
        cdef void **mine[COLUMNS]
        cdef void **theirs[COLUMNS]
        cdef Py_ssize_t width[COLUMNS]
        cdef Py_ssize_t first = max(self.folded, other.folded), stop = min(self.capacity, other.capacity) + 1
        cdef int i
        self.columns(mine, width)
        other.columns(theirs, width)
        for i in range(COLUMNS):
            memcpy(<char *>theirs[i][0] + first * width[i], <char *>mine[i][0] + first * width[i],
                   (stop - first) * width[i])
        first, stop = max(self.parents_gone, other.parents_gone), min(self.parents_capacity, other.parents_capacity)
        memcpy(other.parents + first, self.parents + first, (stop - first) * sizeof(int32_t))
        first, stop = max(self.ops_gone, other.ops_gone), min(self.ops_capacity, other.ops_capacity)
        memcpy(other.ops + first, self.ops + first, (stop - first) * sizeof(int64_t))
        self.trade(other)

    cdef void trade(self, Entries other) noexcept:
        """Take over another's columns; it has ours then."""
        cdef void **mine[COLUMNS]
        cdef void **theirs[COLUMNS]
        cdef Py_ssize_t width[COLUMNS]
        cdef int i
        self.columns(mine, width)
        other.columns(theirs, width)
        for i in range(COLUMNS):
            mine[i][0], theirs[i][0] = theirs[i][0], mine[i][0]
        self.parents, other.parents = other.parents, self.parents
        self.ops, other.ops = other.ops, self.ops
        self.ops_block, other.ops_block = other.ops_block, self.ops_block
        self.slab, other.slab = other.slab, self.slab
        self.folded, other.folded = other.folded, self.folded
        self.capacity, other.capacity = other.capacity, self.capacity
        self.parents_gone, other.parents_gone = other.parents_gone, self.parents_gone
        self.parents_capacity, other.parents_capacity = other.parents_capacity, self.parents_capacity
        self.ops_gone, other.ops_gone = other.ops_gone, self.ops_gone
        self.ops_capacity, other.ops_capacity = other.ops_capacity, self.ops_capacity

    cdef Columns all_columns(self) noexcept:
        return Columns(self.time, self.wall, self.size, self.parent_start, self.op_start, self.text_start,
                       self.session, self.author, self.flags, self.parents, self.ops)

    cdef bint fold(self, Py_ssize_t stop, Py_ssize_t room) except -1:
        """Fold the events before `stop`, all of them judged, and leave room for events up to `room`; whether it
        was done: not where a session's patches came in another order than that of their times. O(n)."""
        cdef Entries other = Entries.__new__(Entries)
        cdef Columns columns
        cdef Lane lane
        cdef int64_t parents, ops
        if self.folds is None:
            self.folds = Folds()
        # From here on nothing is made that the collector counts, so nobody else comes in between.
        columns = self.all_columns()
        parents, ops = self.parent_start[stop], self.op_start[stop]
        for lane in self.lanes:
            if not lane.parts_at(stop):
                return False
        other.lay(stop, parents, ops, room, self.parent_start[self.length] + room - self.length,
                  self.op_start[self.length] + 2 * (room - self.length))
        self.folds.fold(&columns, stop)
        # Nothing fails from here on.
        for lane in self.lanes:
            lane.fold(columns.time, stop)
        self.swap(other)
        self.looks = 0
        return True

    cdef int unfold(self) except -1:
        """Let there be columns for every event. O(n), where anything is folded."""
        cdef Columns columns
        cdef Entries other = Entries.__new__(Entries)
        cdef Lane lane
        cdef Py_ssize_t number, event
        if not self.folded:
            return 0
        for lane in self.lanes:
            lane.reserve(lane.gone + 1)  # one may be about to be counted in
        other.lay(0, 0, 0, self.capacity, self.parents_capacity, self.ops_capacity)
        # Nothing fails from here on.
        columns = other.all_columns()
        for number in range(len(self.folds.pages)):
            self.folds.unfold(number, &columns)
        for lane in self.lanes:
            lane.unfold()
        for event in range(self.folded):
            lane = <Lane>self.lanes[columns.session[event]]
            lane.event[lane.gone] = <int32_t>event
            lane.gone += 1
        for lane in self.lanes:
            lane.gone = 0
        self.swap(other)
        self.folds = None
        self.fold_at = self.length + max(FAR, self.length >> 1)
        return 0
