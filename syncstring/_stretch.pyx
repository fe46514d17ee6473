# cython: language_level=3
"""A chain of events that stays in the columns of the pack that says it, and is decoded page by page when asked for.

The law of this room. A chain is *surveyed* once, whole, before any of it counts: every number, shape, time, wall and
edit is judged by the rules that `_columns` has, what is alike all at once; and what it does is done to a text, what is
typed in a row as one edit. A survey says yes or no, never what is wrong: where it says no, or anything is out of the
ordinary, whoever asked reads the columns one by one, and is told. What was surveyed is decoded later by the same loops
from the same bytes, so that cannot fail; it takes no memory, but the columns that it is written to.

It doesn't know graphs. A recording of 260,000 keystrokes, 18 in a row on the average, is read in a third of the time
that flat columns and a replay of them take, most of which is the first touch of their memory.
"""

cimport cython
from cpython.mem cimport PyMem_Free
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from syncstring._entries cimport DELETE, INSERT, JUDGED, KEEP, Entries
from syncstring._folds cimport PAGE, Columns, Folds, Laid, Page
from syncstring._memory cimport grown
from syncstring._runs cimport Column, alike, next_of, open_run, run_of, signed
from syncstring._pool cimport TextPool
from syncstring._text cimport TextBuffer

__all__ = []

cdef enum:
    LONE = 4                           # edits that are looked at by themselves, once one is

cdef extern from *:
    """
    #define MOST ((((int64_t)1 << 53) - 1))
    #define WILD ((int64_t)1 << 52)
    #define EACH 0x0101010101010101ull
    """
    const int64_t MOST                 # a time, a wall or a count
    const int64_t WILD                 # times from here on have rules of their own
    const uint64_t EACH                # times a byte: eight of it


cdef inline int64_t steps(Column *a, Column *b, int64_t most) noexcept nogil:
    """How many values of both are surely alike, of so many."""
    return min(most, min(alike(a), alike(b)))


cdef inline int64_t left_in(Column *column, const uint8_t **first) noexcept nogil:
    """How many values are left in a run, of a column that isn't at its end. Where they differ, `first` is the first's
    first byte."""
    if column.left == 0:
        open_run(column)
    if column.loose:
        first[0] = column.plane[0]
    return column.left


cdef inline int64_t same(const uint8_t *at, uint8_t byte, int64_t most) noexcept nogil:
    """How many bytes are this one, of so many. Eight at a time: a third of the time of a survey was spent here."""
    cdef int64_t count = 0
    cdef uint64_t eight
    while count <= most - 8:
        memcpy(&eight, at + count, 8)
        if eight != EACH * byte:
            break
        count += 8
    while count < most and at[count] == byte:
        count += 1
    return count


cdef inline void skip(Column *column, int64_t count) noexcept nogil:
    """Take what a run has left; of those that differ, such as have a byte each."""
    column.left -= count
    if column.loose:
        column.plane[0] += count


@cython.final
cdef class Stretch(Laid):
    """The events 0 up to `count`, each on the one before, as a pack's columns say them."""

    def __dealloc__(self):
        PyMem_Free(self.session)
        PyMem_Free(self.author)
        PyMem_Free(self.shapes)
        PyMem_Free(self.kinds)
        PyMem_Free(self.page)
        PyMem_Free(self.places)
        PyMem_Free(self.writers)

    cdef bint survey(self, Place *start, TextBuffer text, list near) except -1:
        """Judge all that is said, from where columns start, and do it to an empty text; whether it is plain and right.
        `near` gets the events whose rows may be too long. O(n), and less where columns are alike."""
        cdef Py_ssize_t number, i
        cdef Place place = start[0]
        cdef Writer *writers
        place.whole, place.rest, place.newest, place.size, place.ops, place.text = 0, -1, 0, 0, 0, 0
        self.pages = (self.count + PAGE - 1) // PAGE
        self.page = <Page *>grown(NULL, self.pages + 1, sizeof(Page))
        self.places = <Place *>grown(NULL, self.pages, sizeof(Place))
        self.writers = writers = <Writer *>grown(NULL, (self.pages + 1) * self.table, sizeof(Writer))
        for i in range(self.table):
            writers[i] = Writer(0, 0, -1, 0, 0)
        for number in range(self.pages):
            i = number * PAGE
            self.places[number] = place
            memcpy(writers + self.table, writers, self.table * sizeof(Writer))
            writers += self.table
            # Times ascend, so no page has what the one before it may have.
            self.page[number] = Page(i, place.newest + 1, 0, max(0, i - 1), place.ops, place.text)
            if not self.read(&place, writers, i, min(self.count, i + PAGE), NULL, text, near):
                return False
            self.page[number].newest = place.newest
        self.page[self.pages] = Page(self.count, 0, 0, self.count - 1, place.ops, place.text)
        return place.begun == 0 and place.others == 0 and place.text == self.pool.length

    cdef int part(self, Folds folds, Entries other) except -1:
        """Lay all pages but the last into new folds, and write the last into new columns: who goes on from here looks
        at the newest."""
        cdef Page *last = self.page + self.pages - 1
        cdef Columns columns
        folds.lay(self, self.page, self.pages - 1)
        other.lay(last.first, last.parents, last.ops, self.count + PAGE, self.count + PAGE, last[1].ops + 2 * PAGE)
        columns = other.all_columns()
        columns.parent_start[last.first] = last.parents
        columns.op_start[last.first] = last.ops
        columns.text_start[last.first] = last.text
        self.unfold(last.first, self.count, &columns)
        return 0

    cdef void unfold(self, Py_ssize_t first, Py_ssize_t stop, Columns *columns) noexcept:
        cdef Py_ssize_t number = first // PAGE
        cdef Place place = self.places[number]
        cdef Writer writers[MOST_SESSIONS]
        memcpy(writers, self.writers + number * self.table, self.table * sizeof(Writer))
        self.read(&place, writers, first, stop, columns, None, None)

    cdef bint read(self, Place *p, Writer *writers, Py_ssize_t event, Py_ssize_t stop, Columns *c, TextBuffer text,
                   list near) except -1:
        """Some events of a page: write them to columns, or do them to a text."""
        cdef Py_ssize_t end
        cdef int64_t number, whole
        while event < stop:
            end = event + min(stop - event, alike(&p.lanes))
            number = run_of(&p.lanes, end - event)
            if not 0 <= number < self.table or not self.when(p, event, end, &whole, c) or \
                    not self.wall(p, writers + number, whole, event, end, c) or \
                    not self.what(p, writers + number, event, end, c, text, near):
                return False
            writers[number].gone += end - event
            writers[number].newest = p.newest
            if c != NULL:
                while event < end:
                    c.session[event] = self.session[number]
                    event += 1
            event = end
        return True

    cdef bint when(self, Place *p, Py_ssize_t event, Py_ssize_t stop, int64_t *least, Columns *c) noexcept:
        """Times; the first one's whole milliseconds are `least`."""
        cdef int64_t step, beyond, rest = p.rest, whole = p.whole, newest = p.newest, time
        cdef Py_ssize_t some, end
        cdef bint begun = False
        while event < stop:
            some = steps(&p.milliseconds, &p.rests, stop - event)
            step = run_of(&p.milliseconds, some)
            beyond = run_of(&p.rests, some)
            if not (-MOST <= step <= MOST and -1000 <= beyond < 1000):
                return False
            if c == NULL and begun and step == 0 and 0 <= beyond and rest + some * (beyond + 1) < 1000:
                # All of one millisecond.
                rest += some * (beyond + 1)
                newest = 1000 * whole + rest
                if newest >= WILD:
                    return False
                event += some
                continue
            end = event + some
            while event < end:
                rest = beyond + (0 if step else rest + 1)
                whole += step
                if not 0 <= whole <= MOST // 1000 or not 0 <= rest < 1000:
                    return False
                time = 1000 * whole + rest
                if not newest < time < WILD:
                    return False
                newest = time
                if not begun:
                    least[0] = whole
                    begun = True
                if c != NULL:
                    c.time[event] = time
                event += 1
        p.rest, p.whole, p.newest = rest, whole, newest
        return True

    cdef bint wall(self, Place *p, Writer *w, int64_t least, Py_ssize_t event, Py_ssize_t stop,
                   Columns *c) noexcept:
        """Authors, and what their clocks said: judged by the first time and the last, between which all others
        lie."""
        cdef int64_t number, step, drift = w.drift
        cdef Py_ssize_t some, i
        while event < stop:
            some = steps(&p.by, &p.walls, stop - event)
            number = run_of(&p.by, some)
            step = run_of(&p.walls, some)
            if number:
                if not 0 < number <= self.named:
                    return False
                w.author = <int32_t>(number - 1)
            elif w.author < 0:
                return False
            if not -MOST <= step <= MOST:
                return False
            for i in range(some if step or c != NULL else 1):
                drift += step
                if not (0 <= 1000 * least + drift and 1000 * p.whole + drift <= MOST):
                    return False
                if c != NULL:
                    c.wall[event + i] = c.time[event + i] - c.time[event + i] % 1000 + drift
                    c.author[event + i] = self.author[w.author]
            event += some
        w.drift = drift
        return True

    cdef bint what(self, Place *p, Writer *w, Py_ssize_t event, Py_ssize_t stop, Columns *c, TextBuffer text,
                   list near) except -1:
        """Edits: what is done in a row, at once where it is only done to a text."""
        cdef Py_ssize_t some
        if c != NULL:
            return self.each(p, w, event, stop, c, text, near)
        while event < stop:
            some = self.row(p, w, stop - event, text)
            if some < 0:
                return False
            if some == 0:
                some = min(stop - event, LONE)
                if not self.each(p, w, event, event + some, NULL, text, near):
                    return False
            event += some
        return True

    cdef Py_ssize_t row(self, Place *p, Writer *w, Py_ssize_t most, TextBuffer text) except -2:
        """Do to the text, as one edit, what is typed on, or deleted on to one side, by as many code points each time.
        How many edits that were; 0: look at the next by itself; -1: it isn't plain."""
        cdef int64_t count, at, all, step = 0, some = 1
        cdef uint8_t none = 0, kind, size, then
        cdef const uint8_t *kinds = &none
        cdef const uint8_t *firsts = &none
        cdef const uint8_t *counts = &none
        cdef int unit = self.pool.kind
        cdef Shape shape
        if p.begun == 0 or p.others == 0:
            return 0
        most = min(most, min(p.others, min(left_in(&p.kinds, &kinds), left_in(&p.counts, &counts))))
        kind, size = kinds[0], counts[0]
        if kind > 0x7F or size > 0x7F:
            return 0
        count = signed(size) if p.counts.loose else p.counts.value
        at = signed(kind) if p.kinds.loose else p.kinds.value
        if not 0 <= at < self.forms or not 0 < count < NEAR_A_ROW - 2:
            return 0
        shape = self.shapes[at]
        if shape.length != 2 or shape.kinds[0] != KEEP or shape.kinds[1] == KEEP:
            return 0
        at = w.end + next_of(&p.firsts)
        p.begun -= 1
        if most > 1 and p.begun:
            # Where the second goes on from the first, all do that go on in the same way.
            most = min(most, 1 + min(p.begun, left_in(&p.firsts, &firsts)))
            then = firsts[0]
            step = signed(then) if p.firsts.loose else p.firsts.value
            if then < 0x80 and (step == 0 or step == -count and shape.kinds[1] == DELETE):
                if p.firsts.loose:
                    most = 1 + same(firsts, then, most - 1)
                if p.kinds.loose:
                    most = same(kinds, kind, most)
                if p.counts.loose:
                    most = same(counts, size, most)
                some = most
        all = some * count
        if shape.kinds[1] == INSERT:
            if not 0 < at <= p.size or all > self.pool.length - p.text:
                return -1
            text.put(at, 0, unit, <const char *>self.pool.data + p.text * unit, all)
            p.text += all
            p.size += all
            w.end = at + all
        else:
            if some > 1 and step:
                at -= all - count              # each goes before the one before it
            if at < 1 or all > p.size - at:
                return -1
            text.put(at, all, unit, NULL, 0)
            p.size -= all
            w.end = at
        skip(&p.kinds, some)
        skip(&p.counts, some)
        skip(&p.firsts, some - 1)
        p.begun -= some - 1
        p.others -= some
        p.ops += 2 * some
        return some

    cdef bint each(self, Place *p, Writer *w, Py_ssize_t event, Py_ssize_t stop, Columns *c, TextBuffer text,
                   list near) except -1:
        """Edits one by one. What consumes more than there is, isn't plain."""
        cdef int unit = self.pool.kind, kind
        cdef const char *pool = <const char *>self.pool.data
        cdef int64_t number, count, at, left, place = p.text, ops = p.ops, size = p.size, k
        cdef Shape shape
        # Local: what is written through one pointer might else change what another says.
        cdef Column kinds = p.kinds, firsts = p.firsts, counts = p.counts
        cdef int64_t begun = p.begun, others = p.others, end = w.end, start, most = self.pool.length
        for event in range(event, stop):
            number = next_of(&kinds)
            if not 0 <= number < self.forms:
                return False
            shape = self.shapes[number]
            at, left, start = 0, size, place
            for k in range(shape.length):
                kind = shape.kinds[k]
                if k == 0 and kind == KEEP:
                    if begun == 0:
                        return False
                    begun -= 1
                    count = next_of(&firsts) + end
                else:
                    if others == 0:
                        return False
                    others -= 1
                    count = next_of(&counts)
                if not 0 < count <= MOST:
                    return False
                # `left`: what the parents' text has beyond; `at`: how far the new one is written.
                if kind == INSERT:
                    if count > most - place:
                        return False
                    if c == NULL:
                        text.put(at, 0, unit, pool + place * unit, count)
                    place += count
                    size += count
                    at += count
                else:
                    if count > left:
                        return False
                    left -= count
                    if kind == KEEP:
                        at += count
                    else:
                        size -= count
                        if c == NULL:
                            text.put(at, count, unit, NULL, 0)
                if c != NULL:
                    c.ops[ops + k] = count << 2 | kind
            ops += shape.length
            if shape.length:
                end = at
            if c != NULL:
                c.op_start[event + 1] = ops
                c.text_start[event + 1] = place
                c.size[event] = size
                c.flags[event] = JUDGED
                c.parent_start[event + 1] = event
                if event:
                    c.parents[event - 1] = <int32_t>(event - 1)
            elif place - start + shape.length >= NEAR_A_ROW:
                near.append(event)
        p.kinds, p.firsts, p.counts = kinds, firsts, counts
        p.begun, p.others, p.text, p.ops, p.size, w.end = begun, others, place, ops, size, end
        return True
