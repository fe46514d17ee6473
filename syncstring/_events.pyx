# cython: language_level=3
"""Events in columns: who wrote what, on which parents, when; found again by id.

The law of this room. Events are numbered in arrival order, parents before children, and only ever
appended (`_entries`); every question by number or id is answered, be they folded or not.
The one thing learned later is a verdict: whether an event's delta fits its parents' text, which is
a function of the event's ancestors alone, so it never changes.

Doesn't know versions, ancestry or merging (`_graph`), nor rows and their rules (`patch.py`).
"""

from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport int32_t, int64_t

from syncstring._folds cimport Columns, Folds
from syncstring._entries cimport DELETE, JUDGED, KEEP, MISFIT, Entries
from syncstring._lane cimport Lane

from syncstring._names import name_hash

__all__ = ["EventLog"]


cdef int64_t ENDLESS = <int64_t>1 << 60


cdef class EventLog(Entries):
    """What is asked about events, by number or id. Costs are O(1) unless a method says otherwise, but that
    what is folded may have to be unfolded, which is O(n)."""

    def __cinit__(self):
        self.misfits = []

    def __len__(self):
        return self.length

    cdef Py_ssize_t last_parent(self, Py_ssize_t event) noexcept:
        cdef int64_t stop = self.parent_start[event + 1]
        return self.parents[stop - 1] if stop > self.parent_start[event] else -1

    cdef Py_ssize_t event_of_text(self, int64_t offset) noexcept:
        """Whose inserted text lies at `offset` of the pool."""
        cdef Py_ssize_t low = self.folded, high = self.length, middle
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
        if lane.gone and time <= lane.newest:
            return self.seek_folded(time, index)
        return -1

    def lane(self, str session not None):
        """The events of one session, ascending by time."""
        cdef object index = self.session_index.get(session)
        cdef Lane lane
        cdef Py_ssize_t at
        if index is None:
            return []
        lane = <Lane>self.lanes[index]
        if lane.gone:
            self.unfold()
        events = []
        for at in range(lane.length):
            events.append(lane.event[at])
        return events

    cdef int door(self, Py_ssize_t event) except -1:
        self.numbered(event)
        return self.reach(event)

    cdef int numbered(self, Py_ssize_t event) except -1:
        if event < 0 or event >= self.length:
            raise IndexError(f"no event {event} among {self.length}")
        return 0

    cdef EventLog log_of(self, Py_ssize_t event):
        """Where the columns of an event can be read, and those of what follows up to that log's `length`: here,
        or a page. O(page), the first time in a row."""
        cdef Folds folds = self.folds
        cdef Py_ssize_t number
        cdef Columns columns
        cdef EventLog log
        if event >= self.folded:
            return self
        if self.page is not None and self.page.folded <= event < self.page.length:
            return self.page
        number = folds.page_of(event)
        log = EventLog.__new__(EventLog)
        log.lay(folds.page[number].first, folds.page[number].parents, folds.page[number].ops,
                folds.page[number + 1].first, folds.page[number + 1].parents, folds.page[number + 1].ops)
        columns = log.all_columns()
        folds.unfold(number, &columns)
        log.length = folds.page[number + 1].first
        log.pool = self.pool
        self.page = log
        return log

    cdef EventLog seen(self, Py_ssize_t event):
        """`log_of` an event that somebody looks at, once. All are unfolded where many look here and there."""
        self.numbered(event)
        if event < self.folded and not (self.page is not None and self.page.folded <= event < self.page.length):
            self.looks += 1
            if self.looks > 16 + 2 * len(self.folds.pages):
                self.unfold()
        return self.log_of(event)

    cdef Py_ssize_t seek_folded(self, int64_t time, int32_t session) except -2:
        """`seek` among what is folded. O(pages), and of the few that may have it; as `seen` looks at them."""
        cdef Folds folds = self.folds
        cdef EventLog log
        cdef Py_ssize_t number, event
        for number in range(len(folds.pages)):
            if folds.page[number].oldest <= time <= folds.page[number].newest:
                log = self.seen(folds.page[number].first)
                if log is self:
                    return self.seek(time, <str>self.sessions[session])
                for event in range(log.folded, log.length):
                    if log.time[event] == time and log.session[event] == session:
                        return event
        return -1

    def id_of(self, Py_ssize_t event):
        cdef EventLog log = self.seen(event)
        return (log.time[event], <str>self.sessions[log.session[event]])

    def time_of(self, Py_ssize_t event):
        return self.seen(event).time[event]

    def wall_of(self, Py_ssize_t event):
        return self.seen(event).wall[event]

    def author_of(self, Py_ssize_t event):
        return <str>self.authors[self.seen(event).author[event]]

    def message_of(self, Py_ssize_t event):
        self.numbered(event)
        return self.messages.get(event)

    def parents_of(self, Py_ssize_t event):
        cdef int64_t index
        cdef list parents = []
        cdef EventLog log = self.seen(event)
        for index in range(log.parent_start[event], log.parent_start[event + 1]):
            parents.append(log.parents[index])
        return tuple(parents)

    def ops_of(self, Py_ssize_t event):
        """The event's delta, as it was given."""
        return self.seen(event).delta(event)

    cdef tuple delta(self, Py_ssize_t event):
        cdef int64_t index, length, offset
        cdef Py_ssize_t count = 0
        cdef tuple ops = PyTuple_New(self.op_start[event + 1] - self.op_start[event])
        cdef EventLog log = self.log_of(event)  # collecting garbage, others may have come in and folded it
        cdef object op
        offset = log.text_start[event]
        for index in range(log.op_start[event], log.op_start[event + 1]):
            length = log.ops[index] >> 2
            if log.ops[index] & 3 == KEEP:
                op = length
            elif log.ops[index] & 3 == DELETE:
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
        cdef EventLog log = self.seen(event)
        return log.text_start[event], log.text_start[event + 1]

    def totals(self, Py_ssize_t event):
        """Code points inserted, deleted and consumed by the event's delta."""
        return self.seen(event).sums(event)

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
        return self.seen(event).size[event]

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
        cdef EventLog log = self.seen(event)
        if not log.flags[event] & JUDGED:
            return -1
        if log.flags[event] & MISFIT:
            return log.size[event]
        inserted, deleted, consumed = log.sums(event)
        return log.size[event] - inserted + deleted

    def is_misfit(self, Py_ssize_t event):
        return bool(self.seen(event).flags[event] & MISFIT)

    def hash_of(self, Py_ssize_t event):
        """The 64 bits by which people call the event's version; FORMAT.md gives the function."""
        return name_hash(*self.id_of(event))

    def check_events(self):
        """Derive the index and the ranges from scratch and compare. O(n log n)."""
        cdef Py_ssize_t event
        cdef int64_t inserted, length
        self.unfold()
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
