# cython: language_level=3
"""Heads and critical versions: what everybody who wrote later had seen.

The law of this room. A *version* is a set of events with all their ancestors, named by its heads. A version is
*critical* when every event outside it has all of it in its history; critical versions are prefixes of
every topological order, so they are kept as prefix lengths. An appended event can end the criticality
of versions after its latest parent, and no others (Gentle & Kleppmann, EuroSys 2025, section 3.5).

What lies before a critical version is folded when it is long ago: nobody needs its columns who goes on from there.
Parents may be redundant (one an ancestor of another): nothing here takes them for an antichain.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy, memmove

from syncstring._entries cimport FAR, JUDGED, NEAR, Entries
from syncstring._events cimport EventLog
from syncstring._folds cimport Folds
from syncstring._lane cimport Lane
from syncstring._memory cimport grown
from syncstring._stretch cimport Stretch, Writer

__all__ = ["Criticals"]

cdef list _NOTHING = []                 # stays empty


cdef class Criticals(EventLog):
    """Events with what follows from their parents as they come. Costs are O(1) amortised unless a method says
    otherwise."""

    def __cinit__(self):
        self.critical_heads = {}
        self.critical_first = <int64_t *>grown(NULL, 4, sizeof(int64_t))
        self.critical_last = <int64_t *>grown(NULL, 4, sizeof(int64_t))
        self.criticals_capacity = 4
        self.critical_first[0] = self.critical_last[0] = 0
        self.criticals = 1

    def __dealloc__(self):
        PyMem_Free(self.head)
        PyMem_Free(self.critical_first)
        PyMem_Free(self.critical_last)
        PyMem_Free(self.marks)

    cdef int need_marks(self, Py_ssize_t events) except -1:
        """A mark for each of so many events. Memory that nobody writes to is none."""
        cdef Py_ssize_t room = max(16, events, self.markable + (self.markable >> 1))
        cdef void *marks
        if events > self.markable:
            marks = PyMem_Calloc(room, sizeof(uint8_t))
            if marks == NULL:
                raise MemoryError
            PyMem_Free(self.marks)  # all of which are zero
            self.marks = <uint8_t *>marks
            self.markable = room
        return 0

    cdef int need_head(self) except -1:
        """Room for one more head."""
        if self.heads_length == self.heads_capacity:
            self.head = <int32_t *>grown(self.head, max(4, 2 * self.heads_capacity), sizeof(int32_t))
            self.heads_capacity = max(4, 2 * self.heads_capacity)
        return 0

    def append(self, int64_t time, str session not None, parents, tuple ops not None,
               str author not None, int64_t wall, str message=None):
        """Append one event; its number is returned. `parents` are events, ascending; `ops` a delta.

        The caller vouches for well-formedness and for the id being new. Either all of it is appended
        or, when memory runs out, nothing that shows.
        """
        cdef Py_ssize_t index, count = len(parents)
        cdef int32_t *known
        self.begin(time, session, author, wall)
        known = self.put_parents(count)
        for index in range(count):
            known[index] = parents[index]
        self.put_ops(ops)
        return self.finish(message)

    cdef int begin(self, int64_t time, str session, str author, int64_t wall) except -1:
        """One more event, of which nothing shows yet. `put_parents` and its delta come next, then `finish`."""
        self.need_marks(self.length + 1)
        self.need_head()
        self.put(time, session, author, wall)
        return 0

    cdef int put_heads(self) except -1:
        """Let its parents be all heads."""
        memcpy(self.put_parents(self.heads_length), self.head, self.heads_length * sizeof(int32_t))
        return 0

    cdef object finish(self, str message):
        """Let the event show; its number is returned."""
        cdef Py_ssize_t event = self.length, top
        cdef int64_t end
        cdef list doomed = self.still_critical(event, &top, &end)
        cdef object number = event
        if message is not None:
            self.messages[event] = message
        self.show(event, top, end, doomed)
        return number

    cdef void show(self, Py_ssize_t event, Py_ssize_t top, int64_t end, list doomed) noexcept:
        """Nothing fails here, and nothing of it was seen before."""
        self.close_criticals(event, top, end, doomed)
        self.count_in()
        self.place_head(event)

    cdef int take_in(self, Py_ssize_t stop, list sessions, list authors, dict messages, list near,
                     object vet) except -1:
        """Count in the events from `length` to `stop`, whose columns are written, with names that are new and
        messages by event; then ask `vet(event)` about those of `near`. What raises leaves the graph as it was:
        `ValueError` where an id stands twice, `LookupError` where it was here already. O(1) an event in a chain."""
        cdef Py_ssize_t start = self.length, heads = self.heads_length, ordered = self.ordered, criticals = self.criticals
        cdef dict critical_heads = self.critical_heads.copy()
        cdef int32_t *head = NULL
        cdef int64_t *critical = NULL
        cdef bint done = False
        try:
            self.need_head()
            head = <int32_t *>grown(NULL, heads + 1, sizeof(int32_t))
            critical = <int64_t *>grown(NULL, 2 * criticals, sizeof(int64_t))
            memcpy(head, self.head, heads * sizeof(int32_t))
            memcpy(critical, self.critical_first, criticals * sizeof(int64_t))
            memcpy(critical + criticals, self.critical_last, criticals * sizeof(int64_t))
            self.name(sessions, authors)
            self.index(start, stop)
            self.take_events(stop)
            self.messages.update(messages)
            for event in near:
                vet(event)
            self.fold_at = self.length + max(FAR, self.length >> 1)
            done = True
        finally:
            if not done and critical != NULL:
                self.unindex(start)
                for event in messages:
                    self.messages.pop(event, None)
                memcpy(self.head, head, heads * sizeof(int32_t))
                memcpy(self.critical_first, critical, criticals * sizeof(int64_t))
                memcpy(self.critical_last, critical + criticals, criticals * sizeof(int64_t))
                self.length, self.heads_length = start, heads
                self.criticals, self.ordered, self.critical_heads = criticals, ordered, critical_heads
                self.widest = start
            PyMem_Free(head)
            PyMem_Free(critical)
        return 0

    cdef int take_chain(self, Stretch laid, Entries other, Folds folds, list sessions, list authors,
                        dict messages, list near, object vet) except -1:
        """Be the chain that was surveyed, having had no event: `folds` are its first pages, `other` has the columns
        of what comes then. Names, messages and `vet` as in `take_in`; what raises leaves the graph empty."""
        cdef Py_ssize_t event, i, first = other.folded, stop = laid.count
        cdef Writer *writers = laid.writers + (laid.pages - 1) * laid.table
        cdef Lane lane
        cdef bint done = False
        self.need_marks(stop)
        self.need_head()
        self.name(sessions, authors)
        for i in range(laid.table):
            (<Lane>self.lanes[laid.session[i]]).reserve(stop - first)
        try:
            # Nothing fails in this block, and nothing of it was seen before.
            self.trade(other)
            self.folds = folds
            for i in range(laid.table):
                lane = <Lane>self.lanes[laid.session[i]]
                lane.gone, lane.newest = writers[i].gone, writers[i].newest
            for event in range(first, stop):
                lane = <Lane>self.lanes[self.session[event]]
                lane.event[lane.length] = <int32_t>event
                lane.length += 1
            self.length, self.heads_length = stop, 1
            self.head[0] = <int32_t>(stop - 1)
            self.critical_last[0] = stop

            self.messages.update(messages)
            for number in near:
                vet(number)
            self.fold_at = stop + FAR
            self.looks = 0
            done = True
        finally:
            if not done:
                for lane in self.lanes:
                    lane.length = lane.gone = 0
                for number in messages:
                    self.messages.pop(number, None)
                if self.folded:
                    self.trade(other)
                self.folds = self.page = None
                self.length = self.heads_length = self.ordered = self.widest = 0
                self.criticals, self.critical_last[0] = 1, 0
        return 0

    cdef int take_events(self, Py_ssize_t stop) except -1:
        """Heads and critical versions, event by event; where each just follows the one before it, at once."""
        cdef Py_ssize_t event, top
        cdef int64_t end
        cdef list doomed
        while self.length < stop:
            event = self.length
            if self.heads_length == 1 and self.head[0] == event - 1:
                while event < stop and self.parent_start[event + 1] == self.parent_start[event] + 1 and \
                        self.parents[self.parent_start[event]] == event - 1:
                    event += 1
                if event > self.length:
                    self.critical_last[self.criticals - 1] = event
                    self.head[0] = <int32_t>(event - 1)
                    self.length = event
                    continue
            self.need_head()
            doomed = self.still_critical(event, &top, &end)
            self.close_criticals(event, top, end, doomed)
            self.length += 1
            self.place_head(event)
        return 0

    cdef void place_head(self, Py_ssize_t event) noexcept:
        """Heads after `event`: its parents are none any more, it is one."""
        cdef Py_ssize_t low, high, middle, index
        cdef int32_t parent
        if self.parent_start[event + 1] - self.parent_start[event] > 8:
            # A merge of many: one pass over the heads with the parents marked.
            for index in range(self.parent_start[event], self.parent_start[event + 1]):
                self.marks[self.parents[index]] = 1
            low = 0
            for index in range(self.heads_length):
                if not self.marks[self.head[index]]:
                    self.head[low] = self.head[index]
                    low += 1
            self.heads_length = low
            for index in range(self.parent_start[event], self.parent_start[event + 1]):
                self.marks[self.parents[index]] = 0
        else:
            for index in range(self.parent_start[event], self.parent_start[event + 1]):
                parent = self.parents[index]
                low = 0
                high = self.heads_length
                while low < high:
                    middle = (low + high) >> 1
                    if self.head[middle] < parent:
                        low = middle + 1
                    else:
                        high = middle
                if low < self.heads_length and self.head[low] == parent:
                    memmove(self.head + low, self.head + low + 1,
                            (self.heads_length - low - 1) * sizeof(int32_t))
                    self.heads_length -= 1
        self.head[self.heads_length] = <int32_t>event
        self.heads_length += 1

    cdef bint covers(self, Py_ssize_t event, Py_ssize_t prefix) except -1:
        """Whether `event` has the whole of a critical `prefix` in its history, all its parents being
        within it. A head of the prefix is no other's ancestor there, so it must be named."""
        cdef Py_ssize_t index
        cdef object heads
        if prefix == 0:
            return True
        if prefix == self.length and self.heads_length == 1 or \
                prefix < self.length and prefix not in self.critical_heads:
            return self.last_parent(event) == prefix - 1
        if prefix == self.length and self.heads_length > self.parent_start[event + 1] - self.parent_start[event]:
            return False
        heads = {self.parents[index]
                 for index in range(self.parent_start[event], self.parent_start[event + 1])}
        return heads.issuperset(self.heads if prefix == self.length else self.critical_heads[prefix])

    cdef list still_critical(self, Py_ssize_t event, Py_ssize_t *interval, int64_t *end):
        """Which critical versions `event` (about to be counted) covers: those up to `end`, in that interval.
        None where it goes on with the last one, else the keys of `critical_heads` that go. All that can fail."""
        cdef int64_t last = self.last_parent(event), stop
        cdef Py_ssize_t top = self.criticals - 1
        cdef list doomed
        if self.folded and (last < 0 or self.parents[self.parent_start[event]] < self.folded):
            self.unfold()  # whoever shows it will look at all that it doesn't know
        interval[0] = top
        end[0] = event + 1
        if last == event - 1 and self.covers(event, event):
            if self.heads_length > 1:
                self.critical_heads[event] = self.heads
                self.widest = event
            return None
        if top + 2 > self.criticals_capacity:
            self.critical_first = <int64_t *>grown(
                self.critical_first, 2 * self.criticals_capacity, sizeof(int64_t))
            self.critical_last = <int64_t *>grown(
                self.critical_last, 2 * self.criticals_capacity, sizeof(int64_t))
            self.criticals_capacity *= 2
        while self.critical_first[top] > last + 1:
            top -= 1
        stop = self.critical_last[top]
        if stop >= last + 1:
            stop = last + 1
            if last == event - 1 or not self.covers(event, last + 1):  # if the last, that was asked above
                # Prefix 0 is always covered, so something stays.
                if self.critical_first[top] == last + 1:
                    top -= 1
                    stop = self.critical_last[top]
                else:
                    stop = last
        doomed = _NOTHING
        if self.widest > stop:
            for prefix in reversed(self.critical_heads):
                if <int64_t>prefix <= stop:
                    break
                if doomed is _NOTHING:
                    doomed = []
                doomed.append(prefix)
        interval[0] = top
        end[0] = stop
        return doomed

    cdef void close_criticals(self, Py_ssize_t event, Py_ssize_t top, int64_t end, list doomed) noexcept:
        """Drop the critical versions that `event` doesn't cover; its own is one."""
        self.critical_last[top] = end
        if doomed is None:
            return
        for prefix in doomed:
            del self.critical_heads[prefix]
        self.widest = min(self.widest, end)
        if self.ordered > end:
            self.ordered = end
        top += 1
        self.critical_first[top] = self.critical_last[top] = event + 1
        self.criticals = top + 1

    # Folding.

    def fold_before(self, Py_ssize_t prefix):
        """Fold the events before a critical prefix, and none of what follows; whether more is folded now. Not
        where verdicts are missing, or times don't ascend with arrival within a session. O(events that aren't)."""
        cdef Py_ssize_t event
        if not 0 <= prefix < self.length or self.critical_below(prefix) != prefix:
            raise IndexError(f"no critical prefix of {prefix} before the last of {self.length} events")
        for event in range(self.folded, prefix):
            if not self.flags[event] & JUDGED:
                return False
        self.page = None  # of pages that were cut otherwise, perhaps
        return prefix > self.folded and self.fold(prefix, self.length + FAR)

    cdef void shrink(self) noexcept:
        """Fold what came long ago, if there is enough of it: whoever calls looks at nothing then."""
        cdef Py_ssize_t flat = self.length - self.folded
        if self.length < self.fold_at:
            return
        try:
            if self.fold_before(self.critical_below(self.length - NEAR)):
                flat = 0
        except MemoryError:
            pass  # it isn't needed
        self.fold_at = self.length + max(FAR, flat >> 1)

    # Versions.

    @property
    def heads(self):
        """The heads of everything, ascending."""
        cdef list heads = []
        for index in range(self.heads_length):
            heads.append(self.head[index])
        return tuple(heads)

    cdef Py_ssize_t critical_below(self, Py_ssize_t prefix) noexcept:
        """The greatest critical prefix of at most `prefix` events."""
        return min(prefix, self.chain_end(prefix))

    cdef Py_ssize_t critical_above(self, Py_ssize_t prefix) noexcept:
        """The least critical prefix of at least `prefix` events."""
        cdef Py_ssize_t low = 0, high = self.criticals, middle
        while low < high:
            middle = (low + high) >> 1
            if self.critical_last[middle] < prefix:
                low = middle + 1
            else:
                high = middle
        return max(prefix, self.critical_first[low])

    cdef Py_ssize_t chain_end(self, Py_ssize_t prefix) noexcept:
        """Where the last run of critical prefixes ends that begins at `prefix` or before."""
        cdef Py_ssize_t low = 0, high = self.criticals, middle
        while low < high:
            middle = (low + high) >> 1
            if self.critical_first[middle] <= prefix:
                low = middle + 1
            else:
                high = middle
        return self.critical_last[low - 1]

    def critical_floor(self, Py_ssize_t prefix):
        """The greatest critical prefix of at most `prefix` events. O(log n)."""
        if prefix < 0:
            raise IndexError(f"no prefix of {prefix} among {self.length} events")
        return self.critical_below(prefix)

    def critical_ceiling(self, Py_ssize_t prefix):
        """The least critical prefix of at least `prefix` events. O(log n)."""
        if prefix > self.length:
            raise IndexError(f"no prefix of {prefix} among {self.length} events")
        return self.critical_above(prefix)

    def linear_until(self, Py_ssize_t prefix):
        """How far a linear stretch reaches from a prefix, if that is critical; else the prefix. O(log n)."""
        if not 0 <= prefix <= self.length:
            raise IndexError(f"no prefix of {prefix} among {self.length} events")
        return max(prefix, self.chain_end(prefix))

    def prefix_heads(self, Py_ssize_t prefix):
        """The heads of a critical prefix."""
        if prefix == 0:
            return ()
        if prefix == self.length:
            return self.heads
        return self.critical_heads.get(prefix, (prefix - 1,))

    def stretches(self, Py_ssize_t start, Py_ssize_t stop):
        """Cut [start, stop), both critical, into linear stretches and bubbles: (first, last, linear)."""
        cdef Py_ssize_t at = start, end, middle, low = 0, high = self.criticals
        cdef list result = []
        if not 0 <= start <= stop <= self.length:
            raise IndexError(f"no stretch [{start}, {stop}) among {self.length} events")
        while low < high:
            middle = (low + high) >> 1
            if self.critical_last[middle] < start:
                low = middle + 1
            else:
                high = middle
        while at < stop:
            end = min(stop, self.critical_last[low])
            if end > at:
                result.append((at, end, True))
            if end < stop:
                low += 1
                at = self.critical_first[low]
                result.append((end, at, False))
            else:
                at = end
        return result

    def greatest_time(self):
        """The greatest time of any event, 0 if there is none. O(heads)."""
        return self.latest()

    cdef int64_t latest(self) noexcept:
        cdef Py_ssize_t index
        cdef int64_t result = 0
        for index in range(self.heads_length):
            result = max(result, self.time[self.head[index]])
        return result
