# cython: language_level=3
"""Resolved histories: the weave of a bubble, and the script of all versions in time order.

The law of this room. A *weave* holds every character that a stretch of concurrent events ever inserted,
over its base text, in the one final order, each with the event that inserted it and all events that
deleted it. The text at any version within the stretch is a filter over it: shown is what was inserted in
the version (or before) and deleted by none of it. This is true because the order of FugueMax never
depends on what is deleted, and never changes for characters once placed (after Loro's and Yjs's item
lists; checked against the walker on every version of the test histories).

A *script* holds, for the versions of the whole history in time order, the splices from each to the next.
Where history is linear they are the events' own. Within a bubble they come from its weave, in one pass
over the events in time order, with a Fenwick tree over the pieces: O(p log p) for p pieces.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memset

from syncstring._fugue cimport FugueList
from syncstring._entries cimport DELETE, INSERT, JUDGED, KEEP, MISFIT
from syncstring._events cimport EventLog
from syncstring._graph cimport EventGraph
from syncstring._text cimport SpliceLog, TextBuffer
from syncstring._walker cimport Walker

__all__ = ["Script", "Weave", "put_own", "replay_linear"]


cdef void *grown(void *block, Py_ssize_t count, Py_ssize_t size) except NULL:
    cdef void *result = PyMem_Realloc(block, max(1, count) * size)
    if result == NULL:
        raise MemoryError
    return result


cdef int put_insert(SpliceLog log, Py_ssize_t mark, int64_t pos, int64_t start, int64_t count) except -1:
    """Append an insertion, joined with the last splice (not before `mark`) where they touch."""
    cdef Py_ssize_t last = log.length - 1
    if last >= mark:
        if log.count[last] == 0:
            if log.pos[last] == pos:
                log.start[last] = start
                log.count[last] = count
                return 0
        elif log.pos[last] + log.count[last] == pos and log.start[last] + log.count[last] == start:
            log.count[last] += count
            return 0
    return log.append(pos, 0, start, count)


cdef int put_delete(SpliceLog log, Py_ssize_t mark, int64_t pos, int64_t length) except -1:
    """Append a deletion, joined likewise."""
    cdef Py_ssize_t last = log.length - 1
    if last >= mark and log.pos[last] + log.count[last] == pos:
        log.delete[last] += length
        return 0
    return log.append(pos, length, 0, 0)


def put_own(EventGraph graph not None, Py_ssize_t event, SpliceLog log not None):
    """Append an event's own splices to a log: right where its parents' text is what they meet.

    From the right to the left, each insertion with the deletion that directly follows it: so a cursor that
    is carried along knows on which side of deleted text something was inserted.
    The caller has judged it. A misfit has none.
    """
    own_splices(graph.seen(event), event, log)


cdef int own_splices(EventLog graph, Py_ssize_t event, SpliceLog log) except -1:
    """`put_own` of an event that there is."""
    cdef int64_t k, length, pos = 0, offset, deleted = 0
    if graph.flags[event] & MISFIT:
        return 0
    for k in range(graph.op_start[event], graph.op_start[event + 1]):
        if graph.ops[k] & 3 != INSERT:
            pos += graph.ops[k] >> 2
    offset = graph.text_start[event + 1]
    for k in range(graph.op_start[event + 1] - 1, graph.op_start[event] - 1, -1):
        length = graph.ops[k] >> 2
        if graph.ops[k] & 3 == INSERT:
            offset -= length
            log.append(pos, deleted, offset, length)
            deleted = 0
            continue
        if deleted:
            log.append(pos, deleted, 0, 0)
            deleted = 0
        pos -= length
        if graph.ops[k] & 3 == DELETE:
            deleted = length
    if deleted:
        log.append(pos, deleted, 0, 0)
    return 0


cdef int64_t put_next(EventLog graph, Py_ssize_t event, SpliceLog log, int64_t size) except -1:
    """Judge an event whose parents' text has `size` code points, and append its own splices; the size of its
    text is returned. Most events keep something, then insert or delete once."""
    cdef int64_t k = graph.op_start[event], length
    if not graph.flags[event] & JUDGED:
        graph.fits(event, size)
    if graph.op_start[event + 1] == k + 2 and graph.ops[k] & 3 == KEEP and not graph.flags[event] & MISFIT:
        length = graph.ops[k + 1] >> 2
        if graph.ops[k + 1] & 3 == INSERT:
            log.append(graph.ops[k] >> 2, 0, graph.text_start[event], length)
        else:
            log.append(graph.ops[k] >> 2, length, 0, 0)
    else:
        own_splices(graph, event, log)
    return graph.size[event]


def replay_linear(EventGraph graph not None, Py_ssize_t first, Py_ssize_t last, TextBuffer buffer not None):
    """Judge the linear events [first, last), the first on the text in the buffer, and do there what they do.

    Without a log on the way: that of a long history takes far more memory than its text, and twice the time.
    `IndexError` if they are for another text. Where memory runs out, the buffer is left on the way. About
    9 ns each.
    """
    cdef Py_ssize_t event = first
    cdef EventLog page
    cdef SpliceLog log = SpliceLog(graph.pool)
    if not 0 <= first <= last <= graph.length:
        raise IndexError(f"no events [{first}, {last}) among {graph.length}")
    while event < last:
        page = graph.log_of(event)
        _replay(page, event, min(last, page.length), buffer, log)
        event = page.length


cdef int _replay(
    EventLog graph, Py_ssize_t first, Py_ssize_t last, TextBuffer buffer, SpliceLog log
) except -1:
    cdef Py_ssize_t event, unit = graph.pool.kind
    cdef const char *pool = <const char *>graph.pool.data
    cdef int64_t k, length, size
    for event in range(first, last):
        size = buffer.size()
        if not graph.flags[event] & JUDGED:
            graph.fits(event, size)
        k = graph.op_start[event]
        if graph.op_start[event + 1] == k + 2 and graph.ops[k] & 3 == KEEP and not graph.flags[event] & MISFIT:
            length = graph.ops[k + 1] >> 2
            size -= graph.ops[k] >> 2
            if size < 0 or graph.ops[k + 1] & 3 == DELETE and size < length:
                raise IndexError(f"event {event} is for another text than one of {buffer.size()}")
            if graph.ops[k + 1] & 3 == INSERT:
                buffer.put(graph.ops[k] >> 2, 0, unit, pool + graph.text_start[event] * unit, length)
            else:
                buffer.put(graph.ops[k] >> 2, length, unit, NULL, 0)
        else:
            log.length = 0
            own_splices(graph, event, log)
            log.replay_range(buffer, 0, log.length)
    return 0


@cython.final
cdef class Weave:
    """What a walker has walked: the events [walker.base, last), all of them."""

    def __cinit__(self, Walker walker not None):
        cdef FugueList spans = walker.list
        cdef EventGraph graph = walker.graph
        cdef Py_ssize_t local, room = 0, piece
        cdef int32_t s, event
        cdef int64_t id, stop, take, offset, k, at
        cdef int32_t *first_piece = NULL
        graph.reach(walker.base)
        self.graph = graph
        self.first = walker.base
        self.last = walker.base + walker.walked
        self.base_size = spans.base_size
        for local in range(walker.walked):
            if local >= walker.capacity or walker.target_count[local] < 0:
                raise ValueError(f"event {walker.base + local} is not walked")
        try:
            first_piece = <int32_t *>grown(NULL, spans.spans + 1, sizeof(int32_t))
            s = spans.next_existing(0, 0)
            while s >= 0:
                first_piece[s] = <int32_t>self.pieces
                id = spans.span[s].id
                stop = id + spans.span[s].length
                event = -1
                offset = id
                if id >= spans.base_size:
                    offset = id - spans.base_size + spans.pool_base
                    event = <int32_t>graph.event_of_text(offset)
                while id < stop:
                    if self.pieces == room:
                        room = 2 * room + 16
                        self.start = <int64_t *>grown(self.start, room, sizeof(int64_t))
                        self.length = <int32_t *>grown(self.length, room, sizeof(int32_t))
                        self.event = <int32_t *>grown(self.event, room, sizeof(int32_t))
                    take = stop - id
                    if event >= 0:
                        # A span may hold the runs of several events.
                        while graph.text_start[event + 1] <= offset:
                            event += 1
                        take = min(take, graph.text_start[event + 1] - offset)
                    self.start[self.pieces] = offset
                    self.length[self.pieces] = <int32_t>take
                    self.event[self.pieces] = event
                    self.pieces += 1
                    id += take
                    offset += take
                s = spans.next_existing(0, s)
            # Who deleted what: count, then fill.
            self.killer_start = <int64_t *>grown(NULL, self.pieces + 2, sizeof(int64_t))
            for piece in range(self.pieces + 2):
                self.killer_start[piece] = 0
            for fill in range(2):
                if fill:
                    for piece in range(self.pieces + 1):
                        self.killer_start[piece + 1] += self.killer_start[piece]
                    self.killers = <int32_t *>grown(
                        NULL, self.killer_start[self.pieces + 1], sizeof(int32_t))
                for local in range(walker.walked):
                    for k in range(walker.target_start[local],
                                   walker.target_start[local] + walker.target_count[local]):
                        id = walker.target_id[k]
                        stop = id + walker.target_length[k]
                        while id < stop:
                            s = spans.span_at(id)
                            piece = first_piece[s]
                            at = spans.span[s].id
                            id = at + spans.span[s].length
                            while at < id:
                                if fill:
                                    self.killers[self.killer_start[piece + 1]] = <int32_t>local
                                    self.killer_start[piece + 1] += 1
                                else:
                                    self.killer_start[piece + 2] += 1
                                at += self.length[piece]
                                piece += 1
        finally:
            PyMem_Free(first_piece)

    def __dealloc__(self):
        PyMem_Free(self.start)
        PyMem_Free(self.length)
        PyMem_Free(self.event)
        PyMem_Free(self.killer_start)
        PyMem_Free(self.killers)

    def __len__(self):
        return self.pieces

    cdef bint shown(self, Py_ssize_t piece, const uint8_t *mask, Py_ssize_t n) noexcept nogil:
        """Whether the version that `mask` (over the events from `first` on) stands for shows a piece."""
        cdef int64_t k
        cdef int32_t event = self.event[piece]
        if event >= 0 and (event - self.first >= n or not mask[event - self.first]):
            return False
        for k in range(self.killer_start[piece], self.killer_start[piece + 1]):
            if self.killers[k] < n and mask[self.killers[k]]:
                return False
        return True

    def between(self, const uint8_t[::1] a not None, const uint8_t[::1] b not None, SpliceLog log not None):
        """Append the splices from one version's text to another's. O(pieces and deletions).

        Versions are masks over the events from `first` on; events beyond a mask's end are not in it.
        """
        cdef Py_ssize_t piece, mark = log.length
        cdef int64_t pos = 0
        cdef bint before, after
        cdef const uint8_t *pa = &a[0] if a.shape[0] else NULL
        cdef const uint8_t *pb = &b[0] if b.shape[0] else NULL
        for piece in range(self.pieces):
            before = self.shown(piece, pa, a.shape[0])
            after = self.shown(piece, pb, b.shape[0])
            if before and after:
                pos += self.length[piece]
            elif before:
                put_delete(log, mark, pos, self.length[piece])
            elif after:
                if self.event[piece] < 0:
                    raise AssertionError("a version before the base")
                put_insert(log, mark, pos, self.start[piece], self.length[piece])
                pos += self.length[piece]

    def runs(self, const uint8_t[::1] mask not None):
        """What a version shows, as (event, start, length) in order; event -1: `start` in the base text,
        otherwise `start` in the pool."""
        cdef Py_ssize_t piece
        cdef const uint8_t *p = &mask[0] if mask.shape[0] else NULL
        cdef list result = []
        for piece in range(self.pieces):
            if self.shown(piece, p, mask.shape[0]):
                result.append((self.event[piece], self.start[piece], self.length[piece]))
        return result

    def rows(self):
        """Every piece as (event, start, length, deleting events), in order."""
        cdef Py_ssize_t piece
        cdef int64_t k
        return [(self.event[piece], self.start[piece], self.length[piece],
                 tuple([self.first + self.killers[k]
                        for k in range(self.killer_start[piece], self.killer_start[piece + 1])]))
                for piece in range(self.pieces)]


@cython.final
cdef class Script:
    """The splices from version to version, in time order, of a prefix of the history."""

    def __cinit__(self, EventGraph graph not None):
        self.graph = graph
        self.log = SpliceLog(graph.pool)
        self.reserve(1)
        self.end[0] = self.size[0] = 0

    def __dealloc__(self):
        PyMem_Free(self.end)
        PyMem_Free(self.size)

    cdef int reserve(self, Py_ssize_t n) except -1:
        cdef Py_ssize_t room
        if n < self.capacity:
            return 0
        room = max(n + 1, self.capacity + (self.capacity >> 1) + 16)
        self.end = <int64_t *>grown(self.end, room, sizeof(int64_t))
        self.size = <int64_t *>grown(self.size, room, sizeof(int64_t))
        self.capacity = room
        return 0

    def __len__(self):
        return self.length

    cdef int door(self, Py_ssize_t n) except -1:
        if n < 0 or n > self.length:
            raise IndexError(f"no version {n} among {self.length}")
        return 0

    def size_at(self, Py_ssize_t n):
        """Code points of version n's text."""
        self.door(n)
        return self.size[n]

    def ends(self, Py_ssize_t n):
        """How many splices lead from the empty text to version n."""
        self.door(n)
        return self.end[n]

    def splices(self, Py_ssize_t n):
        """The splices from version n - 1 to version n, as tuples."""
        self.door(n)
        self.door(n - 1)
        return self.log.splices(self.end[n - 1], self.end[n])

    def counts(self, Py_ssize_t n):
        """How many code points version n inserted and deleted, compared with version n - 1."""
        cdef int64_t k, inserted = 0, deleted = 0
        self.door(n)
        self.door(n - 1)
        for k in range(self.end[n - 1], self.end[n]):
            inserted += self.log.count[k]
            deleted += self.log.delete[k]
        return inserted, deleted

    def replay(self, TextBuffer buffer not None, Py_ssize_t a, Py_ssize_t b):
        """Turn version a's text, in the buffer, into version b's, a <= b. Where memory runs out, the buffer
        is left on the way from one to the other."""
        self.door(a)
        self.door(b)
        if a > b:
            raise IndexError(f"no way from version {a} back to {b}")
        self.log.replay_range(buffer, self.end[a], self.end[b])

    def truncate(self, Py_ssize_t n):
        """Forget the versions after n."""
        self.door(n)
        self.length = n
        self.log.truncate(self.end[n])

    def extend_linear(self, Py_ssize_t first, Py_ssize_t last):
        """Append the linear events [first, last), where `first` is the length so far."""
        cdef Py_ssize_t event
        cdef EventLog page
        if first != self.length:
            raise ValueError(f"event {first} after {self.length} versions")
        self.reserve(last)
        self.log.length = self.end[self.length]  # one that was cut short may have left splices
        while self.length < last:
            page = self.graph.log_of(self.length)
            for event in range(self.length, min(last, page.length)):
                self.size[event + 1] = put_next(page, event, self.log, self.size[event])
                self.end[event + 1] = self.log.length
                self.length = event + 1

    def extend_woven(self, Weave weave not None):
        """Append a bubble's versions in time order. O(p log p) for p pieces and deletions."""
        cdef EventGraph graph = self.graph
        cdef Py_ssize_t n = weave.last - weave.first, pieces = weave.pieces
        cdef Py_ssize_t piece, place, mark, i, low
        cdef int32_t local
        cdef int64_t k, pos, width, size
        cdef int64_t *fenwick = NULL
        cdef uint8_t *shown = NULL
        cdef int64_t *born_start = NULL
        cdef int32_t *born = NULL
        cdef int64_t *dead_start = NULL
        cdef int32_t *dead = NULL
        if weave.first != self.length:
            raise ValueError(f"a weave of {weave.first} after {self.length} versions")
        if weave.base_size != self.size[self.length]:
            raise AssertionError("the weave's base is another text")
        graph.reach(weave.first)
        self.reserve(weave.last)
        self.log.length = self.end[self.length]  # one that was cut short may have left splices
        graph.ensure_order(weave.last)
        low = 1
        while low * 2 <= pieces:
            low *= 2
        try:
            fenwick = <int64_t *>grown(NULL, pieces + 1, sizeof(int64_t))
            shown = <uint8_t *>grown(NULL, pieces, sizeof(uint8_t))
            born_start = <int64_t *>grown(NULL, n + 2, sizeof(int64_t))
            dead_start = <int64_t *>grown(NULL, n + 2, sizeof(int64_t))
            for i in range(n + 2):
                born_start[i] = dead_start[i] = 0
            for piece in range(pieces):
                fenwick[piece + 1] = weave.length[piece] if weave.event[piece] < 0 else 0
                shown[piece] = weave.event[piece] < 0
                if weave.event[piece] >= 0:
                    born_start[weave.event[piece] - weave.first + 2] += 1
                for k in range(weave.killer_start[piece], weave.killer_start[piece + 1]):
                    dead_start[weave.killers[k] + 2] += 1
            for i in range(n + 1):
                born_start[i + 1] += born_start[i]
                dead_start[i + 1] += dead_start[i]
            born = <int32_t *>grown(NULL, born_start[n + 1], sizeof(int32_t))
            dead = <int32_t *>grown(NULL, dead_start[n + 1], sizeof(int32_t))
            for piece in range(pieces):
                if weave.event[piece] >= 0:
                    local = weave.event[piece] - <int32_t>weave.first
                    born[born_start[local + 1]] = <int32_t>piece
                    born_start[local + 1] += 1
                for k in range(weave.killer_start[piece], weave.killer_start[piece + 1]):
                    local = weave.killers[k]
                    dead[dead_start[local + 1]] = <int32_t>piece
                    dead_start[local + 1] += 1
            for piece in range(1, pieces + 1):
                i = piece + (piece & -piece)
                if i <= pieces:
                    fenwick[i] += fenwick[piece]

            size = self.size[self.length]
            for place in range(weave.first, weave.last):
                local = graph.order[place] - <int32_t>weave.first
                mark = self.log.length
                for k in range(born_start[local], born_start[local + 1]):
                    piece = born[k]
                    pos = 0
                    i = piece
                    while i:
                        pos += fenwick[i]
                        i &= i - 1
                    width = weave.length[piece]
                    shown[piece] = 1
                    i = piece + 1
                    while i <= pieces:
                        fenwick[i] += width
                        i += i & -i
                    size += width
                    put_insert(self.log, mark, pos, weave.start[piece], width)
                for k in range(dead_start[local], dead_start[local + 1]):
                    piece = dead[k]
                    if not shown[piece]:
                        continue
                    pos = 0
                    i = piece
                    while i:
                        pos += fenwick[i]
                        i &= i - 1
                    width = weave.length[piece]
                    shown[piece] = 0
                    i = piece + 1
                    while i <= pieces:
                        fenwick[i] -= width
                        i += i & -i
                    size -= width
                    put_delete(self.log, mark, pos, width)
                self.end[place + 1] = self.log.length
                self.size[place + 1] = size
                self.length = place + 1
        finally:
            PyMem_Free(fenwick)
            PyMem_Free(shown)
            PyMem_Free(born_start)
            PyMem_Free(born)
            PyMem_Free(dead_start)
            PyMem_Free(dead)
