# cython: language_level=3
"""Events in columns: who wrote what, on which parents, when; found again by id.

The law of this room. Events are numbered in arrival order, parents before children, and only ever
appended; inserted texts lie in one pool in the same order. What was appended is given back exactly.
The one thing learned later is a verdict: whether an event's delta fits its parents' text, which is
a function of the event's ancestors alone, so it never changes.

Doesn't know versions, ancestry or merging (`_graph`), nor rows and their rules (`patch.py`).
"""

cimport cython
from cpython.mem cimport PyMem_Free
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from syncstring._lane cimport Lane
from syncstring._memory cimport big_block, grown
from syncstring._text cimport TextPool

__all__ = ["EventLog", "name_hash"]


cdef enum:
    COLUMNS = 9


cdef int64_t ENDLESS = <int64_t>1 << 60


cdef class EventLog:
    """Append-only columns of events. Costs are O(1) amortised unless a method says otherwise."""

    def __cinit__(self):
        self.pool = TextPool()
        self.sessions = []
        self.authors = []
        self.session_index = {}
        self.author_index = {}
        self.messages = {}
        self.lanes = []
        self.misfits = []
        self.make_room(16)
        self.parent_start[0] = self.op_start[0] = self.text_start[0] = 0

    def __dealloc__(self):
        cdef void **column[COLUMNS]
        cdef Py_ssize_t width[COLUMNS]
        cdef int i
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
        cdef Py_ssize_t room = max(events, self.capacity + (self.capacity >> 1)), size = 0
        cdef int i
        cdef char *at
        cdef void *slab
        if events <= self.capacity:
            return 0
        self.columns(column, width)
        if not together and self.slab == NULL:
            for i in range(COLUMNS):
                column[i][0] = grown(column[i][0], room + 1, width[i])
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
        if event >= 0x7fffffff:
            raise MemoryError("a history holds at most 2^31 patches")
        self.make_room(event + 1)
        self.time[event] = time
        self.wall[event] = wall
        self.size[event] = -1
        self.flags[event] = 0
        slot = (<size_t><void *>author >> 4) & (MET - 1)
        if self.author_met[slot] == <void *>author:
            self.author[event] = self.author_at[slot]
        else:
            self.author[event] = self.author_number(author)
        self.session[event] = self.session_new(session)
        (<Lane>self.lanes[self.session[event]]).reserve()
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
        cdef Py_ssize_t event = self.length, room
        cdef int64_t at = self.parent_start[event]
        if at + count > self.parents_capacity or self.parents == NULL:
            room = max(at + count, self.parents_capacity + (self.parents_capacity >> 1) + 16)
            self.parents = <int32_t *>grown(self.parents, room, sizeof(int32_t))
            self.parents_capacity = room
        self.parent_start[event + 1] = at + count
        return self.parents + at

    cdef int64_t *room_for_ops(self, Py_ssize_t count) except NULL:
        """Room for so many operations; their texts go to the pool next."""
        cdef int64_t at = self.op_start[self.length]
        if at + count > self.ops_capacity or self.ops == NULL:
            self.need_ops(max(at + count, self.ops_capacity + (self.ops_capacity >> 1) + 16))
        self.pool.length = self.text_start[self.length]
        return self.ops + at

    cdef int need_ops(self, Py_ssize_t room, bint together=False) except -1:
        """Room for so many operations in all, as `make_room` has it."""
        cdef void *block
        cdef char *start
        if room <= self.ops_capacity:
            return 0
        if together or self.ops_block != self.ops:
            block = big_block(room * sizeof(int64_t), &start)
            if self.ops != NULL:
                memcpy(start, self.ops, self.op_start[self.length] * sizeof(int64_t))
            PyMem_Free(self.ops_block)
            self.ops_block = block
            self.ops = <int64_t *>start
        else:
            self.ops = <int64_t *>grown(self.ops, room, sizeof(int64_t))
            self.ops_block = self.ops
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
        if room > self.parents_capacity:
            self.parents = <int32_t *>grown(self.parents, room, sizeof(int32_t))
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

    # Looking up.

    def __len__(self):
        return self.length

    cdef Py_ssize_t last_parent(self, Py_ssize_t event) noexcept:
        cdef int64_t stop = self.parent_start[event + 1]
        return self.parents[stop - 1] if stop > self.parent_start[event] else -1

    cdef Py_ssize_t event_of_text(self, int64_t offset) noexcept:
        """Whose inserted text lies at `offset` of the pool."""
        cdef Py_ssize_t low = 0, high = self.length, middle
        while low < high:
            middle = (low + high) >> 1
            if self.text_start[middle] <= offset:
                low = middle + 1
            else:
                high = middle
        return low - 1

    cdef int rank_compare(self, Py_ssize_t a, Py_ssize_t b) except -2:
        """The tie-break of the merge: (session, time), sessions by code point. -1, 0 or 1."""
        cdef str left, right
        if self.session[a] != self.session[b]:
            left = <str>self.sessions[self.session[a]]
            right = <str>self.sessions[self.session[b]]
            return -1 if left < right else 1
        if self.time[a] != self.time[b]:
            return -1 if self.time[a] < self.time[b] else 1
        return 0

    def find(self, int64_t time, str session not None):
        """The event with that id, or -1."""
        return self.seek(time, session)

    cdef Py_ssize_t seek(self, int64_t time, str session) except -2:
        cdef Py_ssize_t index = self.session_number(session), at
        cdef Lane lane
        if index < 0:
            return -1
        lane = <Lane>self.lanes[index]
        at = lane.bisect(self.time, time)
        if at < lane.length and self.time[lane.event[at]] == time:
            return lane.event[at]
        return -1

    def lane(self, str session not None):
        """The events of one session, ascending by time."""
        cdef object index = self.session_index.get(session)
        cdef Lane lane
        cdef Py_ssize_t at
        if index is None:
            return []
        lane = <Lane>self.lanes[index]
        events = []
        for at in range(lane.length):
            events.append(lane.event[at])
        return events

    cdef int door(self, Py_ssize_t event) except -1:
        if event < 0 or event >= self.length:
            raise IndexError(f"no event {event} among {self.length}")
        return 0

    def id_of(self, Py_ssize_t event):
        self.door(event)
        return (self.time[event], <str>self.sessions[self.session[event]])

    def time_of(self, Py_ssize_t event):
        self.door(event)
        return self.time[event]

    def wall_of(self, Py_ssize_t event):
        self.door(event)
        return self.wall[event]

    def author_of(self, Py_ssize_t event):
        self.door(event)
        return <str>self.authors[self.author[event]]

    def message_of(self, Py_ssize_t event):
        self.door(event)
        return self.messages.get(event)

    def parents_of(self, Py_ssize_t event):
        cdef int64_t index
        cdef list parents = []
        self.door(event)
        for index in range(self.parent_start[event], self.parent_start[event + 1]):
            parents.append(self.parents[index])
        return tuple(parents)

    def ops_of(self, Py_ssize_t event):
        """The event's delta, as it was given."""
        self.door(event)
        return self.delta(event)

    cdef tuple delta(self, Py_ssize_t event):
        cdef int64_t index, length, offset = self.text_start[event]
        cdef Py_ssize_t count = 0
        cdef tuple ops = PyTuple_New(self.op_start[event + 1] - self.op_start[event])
        cdef object op
        for index in range(self.op_start[event], self.op_start[event + 1]):
            length = self.ops[index] >> 2
            if self.ops[index] & 3 == KEEP:
                op = length
            elif self.ops[index] & 3 == DELETE:
                op = -length
            else:
                op = self.pool.get(offset, length)
                offset += length
            Py_INCREF(op)  # the next line takes it over
            PyTuple_SET_ITEM(ops, count, op)
            count += 1
        return ops

    def text_range(self, Py_ssize_t event):
        """Where in the pool the event's inserted text lies: [start, stop)."""
        self.door(event)
        return self.text_start[event], self.text_start[event + 1]

    def totals(self, Py_ssize_t event):
        """Code points inserted, deleted and consumed by the event's delta."""
        self.door(event)
        return self.sums(event)

    cdef (int64_t, int64_t, int64_t) sums(self, Py_ssize_t event) noexcept:
        cdef int64_t index, deleted = 0, consumed = 0
        for index in range(self.op_start[event], self.op_start[event + 1]):
            # 100,000 counts up to 2^53 don't fit 64 bits; beyond 2^60 no text is.
            if self.ops[index] & 3 == KEEP:
                consumed = min(consumed + (self.ops[index] >> 2), ENDLESS)
            elif self.ops[index] & 3 == DELETE:
                deleted = min(deleted + (self.ops[index] >> 2), ENDLESS)
        return self.text_start[event + 1] - self.text_start[event], deleted, min(consumed + deleted, ENDLESS)

    def size_of(self, Py_ssize_t event):
        """The length of the text at the event's own version, or -1 if nobody asked yet."""
        self.door(event)
        return self.size[event]

    def judge(self, Py_ssize_t event, int64_t before):
        """Give the verdict on an event whose parents' text has `before` code points: does it fit?"""
        self.door(event)
        return self.fits(event, before)

    cdef bint fits(self, Py_ssize_t event, int64_t before) except -1:
        """`judge` of an event that there is. Fails only where it doesn't fit."""
        cdef int64_t inserted, deleted, consumed
        inserted, deleted, consumed = self.sums(event)
        if consumed > before:
            if not self.flags[event] & JUDGED:
                self.misfits.append(event)
            self.flags[event] |= MISFIT
            inserted = deleted = 0
        self.size[event] = before + inserted - deleted
        self.flags[event] |= JUDGED
        return consumed <= before

    def size_before(self, Py_ssize_t event):
        """The length of the text of a judged event's parents."""
        cdef int64_t inserted, deleted, consumed
        self.door(event)
        if not self.flags[event] & JUDGED:
            return -1
        if self.flags[event] & MISFIT:
            return self.size[event]
        inserted, deleted, consumed = self.sums(event)
        return self.size[event] - inserted + deleted

    def is_misfit(self, Py_ssize_t event):
        self.door(event)
        return bool(self.flags[event] & MISFIT)

    def hash_of(self, Py_ssize_t event):
        """The 64 bits by which people call the event's version; FORMAT.md gives the function."""
        self.door(event)
        return name_hash(self.time[event], <str>self.sessions[self.session[event]])

    def check_events(self):
        """Derive the index and the ranges from scratch and compare. O(n log n)."""
        cdef Py_ssize_t event
        cdef int64_t inserted, length
        assert self.text_start[self.length] <= len(self.pool)
        self.pool.check()
        for event in range(self.length):
            inserted = sum(len(op) for op in self.ops_of(event) if isinstance(op, str))
            assert self.text_start[event + 1] - self.text_start[event] == inserted
            assert self.find(*self.id_of(event)) == event
            if self.flags[event] & JUDGED:
                assert self.size[event] >= 0
        assert sum(len(self.lane(session)) for session in self.session_index) == self.length
        for session in self.session_index:
            times = [self.time[event] for event in self.lane(session)]
            assert times == sorted(set(times))
        assert len(set(self.misfits)) == len(self.misfits)
        assert all(self.is_misfit(event) for event in self.misfits)


def name_hash(int64_t time, str session not None):
    """FNV-1a over the UTF-8 of `time:session`, then murmur3's fmix64; and of the next numbers in splitmix64's
    order, until a hex digit is a letter. (Mixing a result again would not do: 0 stays 0.)"""
    cdef uint64_t state = 0xCBF29CE484222325, hash
    cdef bytes text = f"{time}:{session}".encode()
    cdef uint8_t byte
    for byte in text:
        state = (state ^ byte) * <uint64_t>0x100000001B3
    hash = _mixed(state)
    while not _has_letter(hash):
        state += <uint64_t>0x9E3779B97F4A7C15
        hash = _mixed(state)
    return hash


cdef uint64_t _mixed(uint64_t hash) noexcept:
    hash = (hash ^ hash >> 33) * <uint64_t>0xFF51AFD7ED558CCD
    hash = (hash ^ hash >> 33) * <uint64_t>0xC4CEB9FE1A85EC53
    return hash ^ hash >> 33


cdef bint _has_letter(uint64_t hash) noexcept:
    cdef int digit
    for digit in range(16):
        if (hash >> 4 * digit) & 15 > 9:
            return True
    return False
