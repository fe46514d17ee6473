# cython: language_level=3
"""The columns of a pack, read straight into an event graph.

The law of this room. What a pack says is judged whole before any of it counts: numbers, texts, shapes, ids,
parents, times and limits, by the rules of FORMAT.md. Columns are written where the graph doesn't look yet, and
counted in at the end: what raises leaves the graph as it was. Nothing read is believed: a column's runs and
bytes are added up before one value is taken from it, so the loops that take them need no bounds. No object is
made for a patch. A pack of n patches costs O(n), or O(n log n) where a session's times don't ascend.

It doesn't know compression (`pack.py`) nor rows; the one rule that needs a row, its size, is asked of the
caller, for the few patches that come near it.
"""

cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport qsort

from syncstring._entries cimport DELETE, INSERT, JUDGED, KEEP, Entries
from syncstring._folds cimport PAGE, Folds
from syncstring._graph cimport EventGraph
from syncstring._memory cimport grown
from syncstring._runs cimport Bytes, Column, alike, bounded, count_of, end_of, next_of, number_of
from syncstring._runs cimport numbers_of, open_column, run_of, text_of
from syncstring._stretch cimport MOST_SESSIONS, NEAR_A_ROW, Place, Shape, Stretch, Writer
from syncstring._text cimport TextBuffer

__all__ = ["read_columns"]

cdef enum:
    MAX_PATCHES = 1 << 20
    MAX_COLUMN = 1 << 22               # values, so that few bytes stay within bounded memory
    MAX_PARENTS = 1024
    MAX_OPERATIONS = 100000
    MAX_SESSION = 48
    MAX_AUTHOR = 256                   # bytes of UTF-8
    MAX_MESSAGE = 4096
    MANY = 1 << 16                     # events that are worth a block of their own

cdef extern from *:
    """
    #define MAX_TIME (((int64_t)1 << 53) - 1)
    #define WILD_TIME ((int64_t)1 << 52)
    #define WILD_STEP ((int64_t)1 << 32)
    #define ENDLESS ((int64_t)1 << 60)
    """
    const int64_t MAX_TIME             # also the greatest count of an operation
    const int64_t WILD_TIME
    const int64_t WILD_STEP
    const int64_t ENDLESS              # above any text's length


cdef str session_of(Bytes *data):
    cdef str session = text_of(data, MAX_SESSION, "a session")
    cdef Py_UCS4 c
    for c in session:
        if not (u'0' <= c <= u'9' or u'A' <= c <= u'Z' or u'a' <= c <= u'z' or c == u'_' or c == u'-'):
            raise ValueError(f"a session {session!r:.60}")
    if not session:
        raise ValueError("a session without a name")
    return session


cdef list sessions_of(Bytes *data, int64_t count):
    cdef list sessions = []
    cdef int64_t i
    for i in range(count):
        sessions.append(session_of(data))
    return sessions


# --- the graph --------------------------------------------------------------------------------------------

@cython.final
cdef class _Pack:
    """What is on its way into a graph, written beyond its end: nobody looks there until it is counted in."""
    cdef EventGraph graph
    cdef Py_ssize_t first, count, length
    cdef list sessions, authors        # of the tables, in the pack's order
    cdef dict messages                 # by event
    cdef list outside                  # (time, session) of parents elsewhere
    cdef int32_t *session              # number in the table -> the graph's
    cdef int32_t *author
    cdef int32_t *strangers            # number of a parent outside -> its event
    cdef Writer *writers               # by the graph's number of the session
    cdef Py_ssize_t named              # sessions that the graph has, with those to come
    cdef Shape *shapes
    cdef uint8_t *kinds
    cdef list near                     # events whose rows may be too long
    cdef list names, people            # of the tables, as they stand there
    cdef Place at                      # where the columns begin, with those of parents:
    cdef Column numbers, distances
    cdef Bytes far                     # numbers of parents outside
    cdef Py_ssize_t total, forms
    cdef str text

    def __dealloc__(self):
        PyMem_Free(self.session)
        PyMem_Free(self.author)
        PyMem_Free(self.strangers)
        PyMem_Free(self.writers)
        PyMem_Free(self.shapes)
        PyMem_Free(self.kinds)

    # Names. What the graph doesn't know yet is numbered as it will be, and entered when all was read.

    cdef int number(self, list names, dict index, list new, int32_t **numbers) except -1:
        cdef Py_ssize_t i, known = len(index)
        cdef dict fresh = {}
        cdef object number
        cdef str name
        numbers[0] = <int32_t *>grown(NULL, max(1, len(names)), sizeof(int32_t))
        for i in range(len(names)):
            name = names[i]
            number = index.get(name)
            if number is None:
                number = fresh.get(name)
            if number is None:
                number = known + len(fresh)
                fresh[name] = number
                new.append(name)
            numbers[0][i] = number
        return 0

    cdef int open_graph(self, Bytes *data) except -1:
        """Find where in the first section everything lies, and that it is all there."""
        cdef Py_ssize_t i, n
        cdef int64_t others
        cdef list times
        self.count = n = count_of(data, MAX_PATCHES)
        self.names = sessions_of(data, count_of(data, min(n, data.stop - data.at)))
        open_column(data, n, &self.at.lanes)
        open_column(data, n, &self.at.milliseconds)
        open_column(data, n, &self.at.rests)
        open_column(data, n, &self.numbers)
        others = bounded(data)
        times = numbers_of(data, others)
        self.outside = list(zip(times, sessions_of(data, others)))
        for i in range(others):
            if not 1 <= times[i] <= MAX_TIME or i and not self.outside[i - 1] < self.outside[i]:
                raise ValueError(f"{self.outside[i]} among the parents outside, which ascend")
        self.total = count_of(data, MAX_COLUMN)
        open_column(data, self.total, &self.distances)
        self.far = data[0]
        for i in range(alike_to(0, self.distances, self.total)):
            number_of(data)
        end_of(data)
        return 0

    cdef int read_graph(self, bint stubs) except -1:
        cdef EventGraph graph = self.graph
        cdef Py_ssize_t i, n = self.count, others = len(self.outside), oldest = graph.length
        # All is as long as it should be: from here on memory is taken for patches.
        self.strangers = <int32_t *>grown(NULL, max(1, others), sizeof(int32_t))
        if stubs:
            for i in range(others):
                graph.append(self.outside[i][0], self.outside[i][1], (), (), "", 0)
        self.first = graph.length
        for i in range(others):
            event = graph.find(*self.outside[i])
            if event < 0:
                raise LookupError(f"its parent {self.outside[i]} isn't here")
            self.strangers[i] = event
            oldest = min(oldest, <Py_ssize_t>event)
        if oldest < graph.folded or n >= MANY:
            graph.unfold()
        self.length = self.first + n
        if self.length > 0x7fffffff:
            raise MemoryError("a history holds at most 2^31 patches")
        graph.make_room(self.length, n >= MANY)
        graph.need_marks(self.length)
        graph.need_parents(graph.parent_start[self.first] + self.total)
        self.sessions = []
        self.number(self.names, graph.session_index, self.sessions, &self.session)
        self.named = len(graph.session_index) + len(self.sessions)
        self.read_lanes(&self.at.lanes, len(self.names))
        self.read_times(&self.at.milliseconds, &self.at.rests)
        self.read_parents(&self.numbers, &self.distances, self.total, &self.far, others)
        return 0

    cdef int read_lanes(self, Column *lanes, int64_t table) except -1:
        cdef int32_t *session = self.graph.session
        cdef Py_ssize_t i = self.first, stop
        cdef int64_t number
        while i < self.length:
            stop = i + alike(lanes)
            number = run_of(lanes, stop - i)
            if not 0 <= number < table:
                raise ValueError(f"no entry {number} in a table of {table}")
            while i < stop:
                session[i] = self.session[number]
                i += 1
        return 0

    cdef int read_times(self, Column *steps, Column *beyond) except -1:
        cdef int64_t *time = self.graph.time
        cdef Column milliseconds = steps[0], rests = beyond[0]
        cdef int64_t whole = 0, rest = -1, step
        cdef Py_ssize_t i
        for i in range(self.first, self.length):
            step = next_of(&milliseconds)
            rest = next_of(&rests) + (0 if step else rest + 1)
            whole += step
            if not 0 <= whole <= MAX_TIME // 1000 or not 0 <= rest < 1000:
                raise ValueError(f"a time of {whole} ms and {rest} µs")
            time[i] = 1000 * whole + rest
            if not 0 < time[i] <= MAX_TIME:
                raise ValueError(f"a time of {time[i]}")
        return 0

    cdef int flaw_of_time(self, Py_ssize_t event, int64_t newest) except -1:
        cdef int64_t time = self.graph.time[event]
        if time <= newest:
            raise ValueError(f"patch {event - self.first}: its time {time} is not above a parent's, {newest}")
        raise ValueError(f"patch {event - self.first}: its time {time} is 2^52 or later, and more than 2^32 "
                         f"above its parents', {newest}")

    cdef Py_ssize_t parent(self, Py_ssize_t event, int64_t distance, Bytes *others, int64_t count) except -1:
        """The event that is `distance` before this one; one outside for 0, whose number comes next."""
        if 0 < distance <= event - self.first:
            return event - distance
        if distance:
            raise ValueError(f"patch {event - self.first} has a parent {distance} before it")
        distance = number_of(others)
        if not 0 <= distance < count:
            raise ValueError(f"no entry {distance} in a table of {count}")
        return self.strangers[distance]

    cdef int read_parents(self, Column *numbers, Column *distances, Py_ssize_t total,
                          Bytes *others, int64_t outside) except -1:
        cdef EventGraph graph = self.graph
        cdef int32_t *parents = graph.parents
        cdef int64_t *time = graph.time
        cdef int64_t *parent_start = graph.parent_start
        cdef Column away = distances[0]
        cdef int64_t at = parent_start[self.first], stop = at + total, number, newest, distance
        cdef Py_ssize_t event = self.first, end, parent
        while event < self.length:
            number = alike(numbers)
            end = event + number
            number = run_of(numbers, number)
            if not 0 <= number <= MAX_PARENTS:
                raise ValueError(f"patch {event - self.first} has {number:,} parents; 0 to 1,024 are allowed")
            while event < end:
                if number > stop - at:
                    raise ValueError(f"patch {event - self.first} has {number} parents of {stop - at} that are left")
                newest = 0
                if number == 1:
                    distance = next_of(&away)
                    parent = event - distance
                    if distance <= 0 or parent < self.first:
                        parent = self.parent(event, distance, others, outside)
                    parents[at] = <int32_t>parent
                    newest = time[parent]
                elif number:
                    newest = self.read_many(event, &away, parents + at, number, others, outside)
                if time[event] <= newest or time[event] >= WILD_TIME and time[event] - newest > WILD_STEP:
                    self.flaw_of_time(event, newest)
                at += number
                event += 1
                parent_start[event] = at
        if at != stop:
            raise ValueError(f"{stop - at} parents of nobody")
        return 0

    cdef int64_t read_many(self, Py_ssize_t event, Column *distances, int32_t *parents, int64_t number,
                           Bytes *others, int64_t outside) except -1:
        """The parents of a merge, from the greatest id down. The greatest time is returned."""
        cdef EventGraph graph = self.graph
        cdef int64_t i, newest
        for i in range(number):
            parents[i] = <int32_t>self.parent(event, next_of(distances), others, outside)
            if i and not self.is_below(parents[i], parents[i - 1]):
                raise ValueError(f"patch {event - self.first}: its parents don't ascend")
        newest = graph.time[parents[0]]
        qsort(parents, number, sizeof(int32_t), by_number)
        return newest

    cdef bint is_below(self, Py_ssize_t a, Py_ssize_t b) except -1:
        """Whether one event's id is below another's."""
        cdef EventGraph graph = self.graph
        if graph.time[a] != graph.time[b]:
            return graph.time[a] < graph.time[b]
        return self.session_name(graph.session[a]) < self.session_name(graph.session[b])

    cdef str session_name(self, Py_ssize_t number):
        cdef Py_ssize_t known = len(self.graph.session_index)
        return <str>self.graph.sessions[number] if number < known else <str>self.sessions[number - known]

    # --- the body -----------------------------------------------------------------------------------------

    cdef int open_body(self, Bytes *data) except -1:
        cdef Py_ssize_t i
        self.people = []
        for i in range(count_of(data, min(self.count, data.stop - data.at))):
            self.people.append(text_of(data, MAX_AUTHOR, "an author"))
        open_column(data, self.count, &self.at.by)
        open_column(data, self.count, &self.at.walls)
        self.read_messages(data)
        self.forms = self.read_shapes(data)
        open_column(data, self.count, &self.at.kinds)
        self.at.begun = count_of(data, self.count)
        open_column(data, self.at.begun, &self.at.firsts)
        self.near = []
        self.at.others = count_of(data, MAX_COLUMN)
        open_column(data, self.at.others, &self.at.counts)
        self.text = text_of(data, data.stop - data.at, "a text")
        end_of(data)
        return 0

    cdef int read_body(self) except -1:
        cdef EventGraph graph = self.graph
        cdef Py_ssize_t some = self.at.begun, i = self.at.others
        # As above.
        graph.need_ops(graph.op_start[self.first] + some + i, self.count >= MANY)
        self.writers = <Writer *>PyMem_Calloc(max(1, self.named), sizeof(Writer))
        if self.writers == NULL:
            raise MemoryError
        self.authors = []
        self.number(self.people, graph.author_index, self.authors, &self.author)
        self.read_walls(&self.at.by, &self.at.walls, len(self.people))
        self.read_ops(&self.at.kinds, self.forms, &self.at.firsts, some, &self.at.counts, i, len(self.text))
        graph.pool.length = graph.text_start[self.first]
        graph.pool.add(self.text)
        return 0

    cdef int read_messages(self, Bytes *data) except -1:
        cdef int64_t count = bounded(data), i
        cdef list gaps = numbers_of(data, count)
        cdef object at = 0
        self.messages = {}
        for i in range(count):
            at += gaps[i]
            if not 0 <= at < self.count or self.first + at in self.messages:
                raise ValueError(f"a message of patch {at}, which has one or isn't there")
            self.messages[self.first + at] = text_of(data, MAX_MESSAGE, "a message")
        return 0

    cdef int64_t read_shapes(self, Bytes *data) except -1:
        """The table of shapes, as kinds of operations; how many there are."""
        cdef int64_t table = count_of(data, min(self.count, data.stop - data.at)), i, j, size
        cdef uint8_t *kind
        self.shapes = <Shape *>grown(self.shapes, max(1, table), sizeof(Shape))
        self.kinds = kind = <uint8_t *>grown(self.kinds, data.stop - data.at + 1, 1)
        for i in range(table):
            size = bounded(data)
            if size > MAX_OPERATIONS:
                raise ValueError(f"a delta of {size:,} operations; at most {MAX_OPERATIONS:,} are allowed")
            self.shapes[i] = Shape(kind, size)
            for j in range(size):
                if data.at[0] == c'=':
                    kind[0] = KEEP
                elif data.at[0] == c'+':
                    kind[0] = INSERT
                elif data.at[0] == c'-':
                    kind[0] = DELETE
                else:
                    raise ValueError(f"an operation of kind {data.at[0]}")
                if j and kind[-1] == kind[0] or j == size - 1 and kind[0] == KEEP:
                    raise ValueError("operations in no canonical form")
                data.at += 1
                kind += 1
        return table

    cdef int read_walls(self, Column *authors, Column *steps, int64_t table) except -1:
        cdef EventGraph graph = self.graph
        cdef Column by = authors[0], walls = steps[0]
        cdef int64_t *time = graph.time
        cdef int64_t *wall = graph.wall
        cdef int32_t *session = graph.session
        cdef int32_t *author = graph.author
        cdef Writer *writer
        cdef int64_t number, known
        cdef Py_ssize_t event
        for event in range(self.named):
            self.writers[event].author = -1
        for event in range(self.first, self.length):
            writer = &self.writers[session[event]]
            number = next_of(&by)
            if number:
                if not 0 < number <= table:
                    raise ValueError(f"no entry {number - 1} in a table of {table}")
                writer.author = self.author[number - 1]
            elif writer.author < 0:
                raise ValueError(f"patch {event - self.first}: nobody wrote it")
            author[event] = writer.author
            writer.drift += next_of(&walls)
            known = time[event] - time[event] % 1000 + writer.drift
            if not 0 <= known <= MAX_TIME:
                raise ValueError(f"patch {event - self.first}: wall is {known}; it lies in 0 .. 2^53 - 1")
            wall[event] = known
        return 0

    cdef int read_ops(self, Column *shapes, int64_t table, Column *begun, int64_t some, Column *counted,
                      int64_t others, int64_t text) except -1:
        # Everything is local: what is written through one pointer might else change what another says.
        cdef EventGraph graph = self.graph
        cdef Column kinds = shapes[0], firsts = begun[0], counts = counted[0]
        cdef int64_t op = graph.op_start[self.first], place = graph.text_start[self.first]
        cdef int64_t *ops = graph.ops + op
        cdef int64_t *op_start = graph.op_start
        cdef int64_t *text_start = graph.text_start
        cdef int64_t *sizes = graph.size
        cdef int64_t *parent_start = graph.parent_start
        cdef int32_t *parents = graph.parents
        cdef int32_t *session = graph.session
        cdef uint8_t *flags = graph.flags
        cdef int64_t number, count, at, deleted, consumed, before, start
        cdef Py_ssize_t event, i, known, first
        cdef int kind
        cdef Shape shape
        text += place
        for event in range(self.first, self.length):
            number = next_of(&kinds)
            if not 0 <= number < table:
                raise ValueError(f"no entry {number} in a table of {table}")
            shape = self.shapes[number]
            at = deleted = consumed = 0
            start = place
            first = 0
            if shape.length == 2 and shape.kinds[0] == KEEP and some and others:
                # Most patches keep something, then insert or delete.
                consumed = next_of(&firsts) + self.writers[session[event]].end
                count = next_of(&counts)
                kind = shape.kinds[1]
                if not (0 < consumed <= MAX_TIME and 0 < count <= MAX_TIME) or kind == INSERT and count > text - place:
                    raise ValueError(f"patch {event - self.first} has operations of {consumed} and {count}")
                some -= 1
                others -= 1
                ops[0] = consumed << 2 | KEEP
                ops[1] = count << 2 | kind
                ops += 2
                first = 2
                at = consumed
                if kind == INSERT:
                    place += count
                    at = min(at + count, MAX_TIME)
                else:
                    consumed += count
                    deleted = count
            for i in range(first, shape.length):
                kind = shape.kinds[i]
                if i == 0 and kind == KEEP:
                    if some == 0:
                        raise ValueError(f"patch {event - self.first} begins at nothing")
                    some -= 1
                    count = next_of(&firsts) + self.writers[session[event]].end
                else:
                    if others == 0:
                        raise ValueError(f"patch {event - self.first} has an operation without a count")
                    others -= 1
                    count = next_of(&counts)
                if not 0 < count <= MAX_TIME:
                    raise ValueError(f"patch {event - self.first} has an operation of {count}")
                ops[0] = count << 2 | kind
                ops += 1
                if kind == INSERT:
                    if count > text - place:
                        raise ValueError(f"patch {event - self.first} inserts more text than there is")
                    place += count
                    at = min(at + count, MAX_TIME)
                else:
                    consumed = min(consumed + count, ENDLESS)
                    if kind == KEEP:
                        at = min(at + count, MAX_TIME)
                    else:
                        deleted = min(deleted + count, ENDLESS)
            if shape.length:
                self.writers[session[event]].end = at
            op += shape.length
            op_start[event + 1] = op
            text_start[event + 1] = place
            known = parent_start[event + 1] - parent_start[event]
            if place - start + shape.length + known > NEAR_A_ROW:
                self.near.append(event)
            # On one parent whose text is known, or none, the verdict is at hand. A misfit is left to whoever merges.
            before = -1
            if known == 0:
                before = 0
            elif known == 1 and flags[parents[parent_start[event]]] & JUDGED:
                before = sizes[parents[parent_start[event]]]
            if consumed <= before:
                sizes[event] = before + place - start - deleted
                flags[event] = JUDGED
            else:
                sizes[event] = -1
                flags[event] = 0
        if some or others or place != text:
            raise ValueError(f"{some + others} counts and {text - place} code points belong to no patch")
        return 0

    # --- a chain that nobody need read yet ------------------------------------------------------------------

    cdef bint is_chain(self) noexcept:
        """Whether it is a chain of more than a page that begins a history."""
        cdef Column numbers = self.numbers
        return self.graph.length == 0 and self.count > PAGE and 0 < len(self.names) <= MOST_SESSIONS and \
            not self.outside and self.total == self.count - 1 and next_of(&numbers) == 0 and \
            alike_to(1, numbers, self.total) == self.total == alike_to(1, self.distances, self.total)

    cdef bint stretch(self, bytes known, bytes rest, TextBuffer text, object vet) except -1:
        """Take it in as it lies, and let the text, an empty one, be that after it; whether that was done. What isn't
        plain is left to those who read column by column."""
        cdef EventGraph graph = self.graph
        cdef Stretch laid = Stretch.__new__(Stretch)
        cdef Entries other = Entries.__new__(Entries)
        cdef Folds folds = Folds()
        cdef Bytes data
        cdef bint done = False
        data.at = <const uint8_t *>rest
        data.stop = data.at + len(rest)
        try:
            self.open_body(&data)
        except ValueError:
            return False
        if len(set(self.names)) < len(self.names) or len(set(self.people)) < len(self.people):
            return False
        self.sessions, self.authors = [], []
        self.number(self.names, graph.session_index, self.sessions, &laid.session)
        self.number(self.people, graph.author_index, self.authors, &laid.author)
        laid.known, laid.rest, laid.pool, laid.count = known, rest, graph.pool, self.count
        laid.table, laid.named, laid.forms = len(self.names), len(self.people), self.forms
        laid.shapes, laid.kinds, self.shapes, self.kinds = self.shapes, self.kinds, NULL, NULL
        graph.pool.length = 0
        graph.pool.add(self.text)
        try:
            if laid.survey(&self.at, text, self.near):
                laid.part(folds, other)
                graph.take_chain(laid, other, folds, self.sessions, self.authors, self.messages, self.near, vet)
                done = True
        finally:
            if not done:
                text.put(0, text.size(), 1, NULL, 0)  # which needs no room
        return done

    cdef int bare(self) except -1:
        """Patches of which the graph alone was read: empty ones by nobody."""
        cdef EventGraph graph = self.graph
        cdef Py_ssize_t event
        cdef int32_t nobody = graph.author_index.get("", len(graph.author_index))
        self.authors, self.messages, self.near = [], {}, []
        if "" not in graph.author_index:
            self.authors.append("")
        for event in range(self.first, self.length):
            graph.wall[event] = graph.flags[event] = 0
            graph.author[event] = nobody
            graph.size[event] = -1
            graph.op_start[event + 1] = graph.op_start[self.first]
            graph.text_start[event + 1] = graph.text_start[self.first]
        return 0


cdef int64_t alike_to(int64_t value, Column column, int64_t count) noexcept nogil:
    """How many of a column's values are that one."""
    cdef int64_t found = 0, some
    while count:
        some = alike(&column)
        count -= some
        if run_of(&column, some) == value:
            found += some
    return found


cdef int by_number(const void *a, const void *b) noexcept nogil:
    return (<const int32_t *>a)[0] - (<const int32_t *>b)[0]


def read_columns(EventGraph graph not None, bytes known not None, bytes rest=None, *, bint stubs=False, vet=None,
                 TextBuffer text=None):
    """Append a pack's patches to a graph, from its sections' bytes; the first event is returned.

    `known` is the section with ids and parents, `rest` all else; without it the patches are empty ones.
    Parents outside of the pack must be in the graph; with `stubs` they are appended first, as empty events.
    `vet(event)` is asked of events whose rows may be too long, when all is in place, and may raise.
    With a `text`, an empty one, a long chain that begins a history may be left as it lies, its first events
    folded; where some are, `text` is the one after it.
    `ValueError` says what is wrong with the sections; `LookupError` that a parent isn't here. Then, and where
    memory runs out, the graph is as it was, stubs apart.
    """
    cdef _Pack pack = _Pack.__new__(_Pack)
    cdef Bytes data
    pack.graph = graph
    data.at = <const uint8_t *>known
    data.stop = data.at + len(known)
    pack.open_graph(&data)
    if text is not None and rest is not None and pack.is_chain() and pack.stretch(known, rest, text, vet):
        return 0
    pack.read_graph(stubs)
    if rest is None:
        pack.bare()
    else:
        data.at = <const uint8_t *>rest
        data.stop = data.at + len(rest)
        pack.open_body(&data)
        pack.read_body()
    graph.take_in(pack.length, pack.sessions, pack.authors, pack.messages, pack.near, vet)
    return pack.first
