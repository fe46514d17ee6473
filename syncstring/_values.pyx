# cython: language_level=3
"""The patch itself: its parts, or where they stand in a graph; and its bytes, out and in.

The law of this room. A patch never changes. One that was made here or read from a pack is a view of an event
(an `EventGraph` never changes one either), one that was read from bytes keeps those, so that nobody pays for
parts which nobody looks at. Equal parts are equal patches, wherever they stand. `from_bytes(to_bytes())` gives
it back, and no other bytes do.

What most patches look like is written and read here; for the rest, and to say what is wrong with bytes that
are none, `compact.py` is asked, which is also what this is tested against. The rules are in `rules.py`.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_SET_ITEM
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy

from hashlib import sha256

from syncstring._bytes cimport (
    Reading, author_at, is_short, is_text, next_number, ops_in, plain_delta, put_number, put_ops_in, put_session,
    session_at,
)
from syncstring._entries cimport DELETE, INSERT, KEEP
from syncstring._events cimport EventLog
from syncstring._graph cimport EventGraph

from syncstring import compact
from syncstring._patch import compose, encode_delta, ops_splices
from syncstring.errors import PatchError
from syncstring.rules import NO_DOC, Id, canonical_bytes, items, made, parts_of_row, row_of_parts

__all__ = ["Patch"]

cdef extern from "Python.h":
    object PyType_GenericAlloc(PyTypeObject *kind, Py_ssize_t items)
    void PyObject_GC_UnTrack(object value)
    int PyUnicode_IS_COMPACT_ASCII(object text)
    void *PyUnicode_DATA(object text)
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1

cdef enum:
    BYTES = 0x50                       # the first byte, plus what is there or so
    WALL = 1
    MESSAGE = 2
    PARENTS = 4
    FINE = 8
    SAME = 0xFF                        # instead of a session: the patch's own
    SMALL = 1024                       # bytes of what is written and read here

cdef int64_t MAX_TIME = (<int64_t>1 << 53) - 1
cdef int64_t MIN_WILD_TIME = <int64_t>1 << 52


cdef object id_of(int64_t time, str session):
    """`Id(time, session)`, in a third of the time."""
    cdef object id = PyType_GenericAlloc(<PyTypeObject *>Id, 2), number = time
    Py_INCREF(number)
    PyTuple_SET_ITEM(id, 0, number)
    Py_INCREF(session)
    PyTuple_SET_ITEM(id, 1, session)
    PyObject_GC_UnTrack(id)  # nothing in it leads anywhere: collections needn't look at it
    return id


cdef tuple delta_of(Patch patch):
    """Its operations."""
    if patch.ops_ is None:
        if PyBytes_CheckExact(patch.source):
            patch.ops_ = ops_in(<bytes>patch.source, patch.place)
        else:  # of nobody: `__new__` alone was called
            patch.ops_ = () if patch.source is None else (<EventGraph>patch.source).seen(patch.place).delta(patch.place)
    return patch.ops_


cdef int fill(Patch patch, tuple parts) except -1:
    id, patch.parents_, patch.ops_, patch.author_, patch.wall_, patch.message_ = parts
    patch.time_, patch.session_ = id
    if type(id) is Id:
        patch.id_ = id
    return 0


@cython.final
@cython.no_gc  # it holds strings, tuples of such, and a graph, which knows no patch: no cycle leads back
@cython.freelist(256)
cdef class Patch:
    def __init__(self, id, parents, splices, author, wall, message=None):
        if self.session_ is not None:
            raise PatchError("a patch never changes; make another")
        ops = compose(items("splices", splices, "(pos, delete, insert)"))
        fill(self, made(id, parents, ops, author, wall, message))

    @classmethod
    def of_ops(cls, id, parents, tuple ops not None, author, wall, message=None):
        cdef Patch patch = Patch.__new__(Patch)
        fill(patch, made(id, parents, ops, author, wall, message))
        return patch

    @classmethod
    def trusted(cls, id, tuple parents not None, tuple ops not None, author, wall, message=None):
        cdef Patch patch = Patch.__new__(Patch)
        fill(patch, (id, parents, ops, author, wall, message))
        return patch

    @classmethod
    def of_event(cls, EventGraph graph not None, Py_ssize_t event):
        graph.seen(event)
        return view(graph, event)

    # --- its parts ------------------------------------------------------------

    @property
    def id(self):
        if self.id_ is None:
            self.id_ = id_of(self.time_, self.session_)
        return self.id_

    @property
    def time(self):
        return self.time_

    @property
    def session(self):
        return self.session_

    @property
    def parents(self):
        cdef EventGraph graph
        cdef int64_t k
        cdef Py_ssize_t parent
        cdef list known, ids
        cdef EventLog log
        if self.parents_ is None:
            if self.parent_session is not None:
                self.parents_ = (id_of(self.parent_time, self.parent_session),)
            elif type(self.source) is EventGraph:
                graph = <EventGraph>self.source
                known, ids = [], []
                log = graph.seen(self.place)
                for k in range(log.parent_start[self.place], log.parent_start[self.place + 1]):
                    known.append(log.parents[k])
                # Making an id may collect garbage; others may come in then, and fold what was just seen.
                for parent in known:
                    log = graph.seen(parent)
                    ids.append(id_of(log.time[parent], <str>graph.sessions[log.session[parent]]))
                ids.sort()
                self.parents_ = tuple(ids)
            else:  # of nobody: `__new__` alone was called
                self.parents_ = ()
        return self.parents_

    @property
    def ops(self):
        return delta_of(self)

    @property
    def delta(self):
        return encode_delta(delta_of(self))

    @property
    def splices(self):
        return ops_splices(delta_of(self))

    @property
    def author(self):
        return self.author_

    @property
    def wall(self):
        return self.wall_

    @property
    def message(self):
        return self.message_

    def __eq__(self, other):
        cdef Patch patch
        if type(other) is not Patch:
            return False
        patch = <Patch>other
        if self is patch:
            return True
        if (
            self.time_ != patch.time_ or self.wall_ != patch.wall_ or self.session_ != patch.session_
            or self.author_ != patch.author_ or self.message_ != patch.message_
        ):
            return False
        return delta_of(self) == delta_of(patch) and self.parents == patch.parents

    def __hash__(self):
        return hash((self.id, delta_of(self)))

    def __reduce__(self):
        parts = (self.id, self.parents, delta_of(self), self.author_, self.wall_, self.message_)
        return Patch.trusted, parts

    def __repr__(self):
        parents, splices = [*map(tuple, self.parents)], [*map(tuple, self.splices)]
        message = f", message={self.message!r}" if self.message is not None else ""
        return (
            f"Patch(id={tuple(self.id)}, parents={parents}, splices={splices}, "
            f"author={self.author!r}, wall={self.wall}{message})"
        )

    # --- rows and bytes ------------------------------------------------------------

    def to_row(self, doc):
        return row_of_parts(
            doc, self.id, self.parents, delta_of(self), self.author_, self.wall_, self.message_
        )

    # These two are static, for a class method's bound method costs a seventh of what reading a keystroke does.

    @staticmethod
    def from_row(row):
        cdef Patch patch = Patch.__new__(Patch)
        if type(row) is dict and _read_row(patch, <dict>row):
            return patch
        patch = Patch.__new__(Patch)
        fill(patch, parts_of_row(row))
        return patch

    def to_bytes(self):
        cdef uint8_t small[SMALL]
        cdef Py_ssize_t size
        if PyBytes_CheckExact(self.source):
            return self.source
        size = _write(self, small)
        if size:
            return PyBytes_FromStringAndSize(<char *>small, size)
        return compact.written(
            (self.id, self.parents, delta_of(self), self.author_, self.wall_, self.message_)
        )

    @staticmethod
    def from_bytes(data):
        cdef Patch patch = Patch.__new__(Patch)
        if PyBytes_CheckExact(data) and _read(
            patch, <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
        ):
            patch.source = data
            return patch
        patch = Patch.__new__(Patch)
        fill(patch, compact.read(data))
        return patch

    def digest(self):
        row = self.to_row(NO_DOC)
        row["id"][0] = ""
        return sha256(canonical_bytes(row)).digest()


cdef Patch view(EventGraph graph, Py_ssize_t event):
    """The patch that an event is."""
    cdef Patch patch = Patch.__new__(Patch)
    cdef EventLog log = graph.seen(event) if event < graph.folded else graph
    patch.source = graph
    patch.place = event
    patch.time_ = log.time[event]
    patch.wall_ = log.wall[event]
    patch.session_ = <str>graph.sessions[log.session[event]]
    patch.author_ = <str>graph.authors[log.author[event]]
    if graph.messages:
        patch.message_ = graph.messages.get(event)
    return patch


# --- in a graph ------------------------------------------------------------

cdef Py_ssize_t enter(EventGraph graph, Patch patch, int64_t base) except -2:
    """Append a patch that isn't there yet; its event, or -1 if a parent isn't there. With a `base` of more
    than 0 nothing is done for a patch without parents: it stands before it."""
    cdef Py_ssize_t event = graph.length, parent = event - 1, top, i, j, count = 1
    cdef int64_t end
    cdef int32_t *known
    cdef tuple parents = patch.parents_
    cdef list doomed
    if parents is None and patch.parent_session is None:
        parents = patch.parents
    if parents is None:
        # It is nearly always the newest event: who types sends letter by letter.
        if (
            parent < 0 or graph.time[parent] != patch.parent_time
            or <str>graph.sessions[graph.session[parent]] is not patch.parent_session
        ):
            parent = graph.seek(patch.parent_time, patch.parent_session)
            if parent < 0:
                return -1
        graph.begin(patch.time_, patch.session_, patch.author_, patch.wall_)
        graph.put_parents(1)[0] = <int32_t>parent
    else:
        count = len(parents)
        if base and not count:
            return -1
        for time, session in parents:  # before anything is entered: its session, too
            if graph.seek(time, session) < 0:
                return -1
        graph.begin(patch.time_, patch.session_, patch.author_, patch.wall_)
        graph.put_parents(count)
        for i in range(count):
            time, session = parents[i]
            parent = graph.seek(time, session)
            known = graph.parents + graph.parent_start[event]  # who looked may have moved them
            j = i  # they ascend: by id mostly the same way as by arrival
            while j and known[j - 1] > parent:
                known[j] = known[j - 1]
                j -= 1
            known[j] = <int32_t>parent
    if PyBytes_CheckExact(patch.source):
        put_ops_in(graph, <bytes>patch.source, patch.place)
    else:
        graph.put_ops(delta_of(patch))
    if patch.message_ is not None:
        return graph.finish(patch.message_)
    doomed = graph.still_critical(event, &top, &end)
    graph.show(event, top, end, doomed)
    return event


cdef bint holds(EventGraph graph, Py_ssize_t event, Patch patch) except -1:
    """Whether the event is that patch, whose id it has."""
    if patch.source is graph and patch.place == event:
        return True
    return view(graph, event) == patch


# --- bytes, out ------------------------------------------------------------

cdef Py_ssize_t _write(Patch patch, uint8_t *out) except -1:
    """The bytes of a patch, and how many; 0 for what may have more than `SMALL`."""
    cdef Py_ssize_t at = 0, size, count = 1, i
    cdef int64_t time = patch.time_, older, ahead = patch.wall_ - time
    cdef tuple ops = delta_of(patch), parents = patch.parents_
    cdef int flags = BYTES
    cdef const char *text
    cdef bint alone
    cdef int64_t before = 0
    cdef str whose = None
    cdef object op
    if parents is None and patch.parent_session is None:
        parents = patch.parents
    if parents is not None:
        count = len(parents)
    # The rest has at most 8 + 49 + 1 + 258 + 10; a parent 10 + 49, an operation 10, and its text.
    if patch.message_ is not None or count > 4 or len(ops) > 8:
        return 0
    if not 0 < time <= MAX_TIME or not is_short(patch.session_):
        return 0
    if parents is None:
        before, whose = patch.parent_time, patch.parent_session
    elif count == 1:
        before, whose = parents[0]
    alone = count == 1 and whose == patch.session_
    flags |= (ahead != 0) * WALL | (not alone) * PARENTS | (time % 1_000 != 0) * FINE
    out[0] = <uint8_t>flags
    if flags & FINE:
        size, older = 7, time
    else:
        size, older = 6, time // 1_000
    for i in range(size):
        out[1 + i] = <uint8_t>(older >> 8 * (size - 1 - i))
    at = put_session(out, 1 + size, patch.session_)
    if flags & PARENTS:
        at = put_number(out, at, count)
    for i in range(count):
        if count > 1:
            before, whose = parents[i]
        older = time - before
        if older < 1:
            return 0
        at = put_number(out, at, older << 1 | 1 if older % 1_000 else older // 1_000 << 1)
        if flags & PARENTS:
            if whose == patch.session_:
                out[at] = SAME
                at += 1
            else:
                if not is_short(whose):
                    return 0
                at = put_session(out, at, whose)
    text = PyUnicode_AsUTF8AndSize(patch.author_, &size)
    if size > 256:
        return 0
    at = put_number(out, at, size)
    memcpy(out + at, text, size)
    at += size
    if flags & WALL:
        at = put_number(out, at, ahead << 1 if ahead > 0 else (-ahead << 1) - 1)
    for op in ops:
        if isinstance(op, str):
            text = PyUnicode_AsUTF8AndSize(op, &size)
            if at + size + 10 > SMALL:
                return 0
            at = put_number(out, at, size << 2 | INSERT)
            memcpy(out + at, text, size)
            at += size
        else:
            if at + 10 > SMALL:
                return 0
            older = op
            at = put_number(out, at, older << 2 | KEEP if older > 0 else -older << 2 | DELETE)
    return at


# --- bytes, in ------------------------------------------------------------

cdef bint _read(Patch patch, const uint8_t *data, Py_ssize_t size) except -1:
    """Fill in a patch from its bytes; False for whatever isn't plainly fine."""
    cdef Reading reading
    cdef int64_t time = 0, number, count = 1, i
    cdef int flags, kind, fine, before = 3
    cdef str session, author
    cdef list parents = None
    reading.data, reading.at, reading.size = data, 1, size
    if not 16 <= size <= SMALL:
        return False
    flags = data[0]
    if flags & 0xF0 != BYTES or flags & MESSAGE:
        return False
    for i in range(7 if flags & FINE else 6):
        time = time << 8 | data[reading.at]
        reading.at += 1
    if not flags & FINE:
        time *= 1_000
    elif time % 1_000 == 0:
        return False
    if not 0 < time < MIN_WILD_TIME:
        return False
    session = session_at(&reading)
    if session is None:
        return False
    if flags & PARENTS:
        count = next_number(&reading)
        if not 0 <= count <= 4:
            return False
    if count != 1:
        parents = []
    for i in range(count):
        number = next_number(&reading)
        if number < 2:
            return False
        fine, number = number & 1, number >> 1
        if number >= time or fine and number % 1_000 == 0:
            return False
        number = time - (number if fine else number * 1_000)
        whose = session
        if number < 1:
            return False
        if flags & PARENTS:
            if reading.at < size and data[reading.at] == SAME:
                if count == 1:
                    return False
                reading.at += 1
            else:
                whose = session_at(&reading)
                if whose is None or <str>whose == session:
                    return False
        if count == 1:
            patch.parent_time, patch.parent_session = number, <str>whose
        else:
            parents.append(id_of(number, <str>whose))
            if i and not parents[i - 1] < parents[i]:
                return False
    if count != 1:
        patch.parents_ = tuple(parents)
    number = next_number(&reading)
    if not 0 <= number <= 256 or reading.at + number > size:
        return False
    author = author_at(data + reading.at, number)
    if author is None:
        return False
    reading.at += number
    patch.wall_ = time
    if flags & WALL:
        number = next_number(&reading)
        if number < 1:
            return False
        patch.wall_ += -(number + 1 >> 1) if number & 1 else number >> 1
        if not 0 <= patch.wall_ <= MAX_TIME:
            return False
    patch.place = reading.at
    while reading.at < size:
        number = next_number(&reading)
        if number < 4:
            return False
        kind, number = number & 3, number >> 2
        if kind == before or kind == 3:
            return False
        if kind == INSERT:
            if reading.at + number > size or not is_text(data + reading.at, number):
                return False
            reading.at += number
        before = kind
    if before == KEEP:
        return False
    patch.time_, patch.session_, patch.author_ = time, session, author
    return True


# --- rows, in ------------------------------------------------------------

cdef inline bint _is_name(const uint8_t *text, Py_ssize_t size) noexcept:
    """Whether a session may be called so."""
    cdef Py_ssize_t i
    if not 0 < size <= 48:
        return False
    for i in range(size):
        if not (48 <= text[i] <= 57 or 65 <= text[i] <= 90 or 97 <= text[i] <= 122 or text[i] in (45, 95)):
            return False
    return True


cdef inline int64_t _whole(object number) except -2:
    """An int below 2^53, or -1."""
    cdef int over = 0
    cdef int64_t result
    if type(number) is not int:
        return -1
    result = PyLong_AsLongLongAndOverflow(number, &over)
    return result if not over and 0 <= result <= MAX_TIME else -1


cdef bint _read_row(Patch patch, dict row) except -1:
    """Fill in a patch from its row; False for whatever isn't plainly fine."""
    cdef const uint8_t *text
    cdef Py_ssize_t i, start, size
    cdef int64_t time, wall, older = 0
    cdef list parents = []
    cdef object id = row.get("id"), delta = row.get("delta"), author = row.get("author")
    cdef object known = row.get("parents"), part
    if len(row) != 6 or type(row.get("v")) is not int or row["v"] != 1 or type(id) is not list or len(<list>id) != 3:
        return False
    if type(delta) is not str or type(author) is not str or type(known) is not str or len(<str>delta) > SMALL:
        return False
    part = (<list>id)[0]
    if type(part) is not str or not PyUnicode_IS_COMPACT_ASCII(part) or len(<str>part) != 40:
        return False
    text = <const uint8_t *>PyUnicode_DATA(part)
    for i in range(40):
        if not (48 <= text[i] <= 57 or 97 <= text[i] <= 102):
            return False
    time, wall = _whole((<list>id)[1]), _whole(row.get("wall"))
    part = (<list>id)[2]
    if not 0 < time < MIN_WILD_TIME or wall < 0 or type(part) is not str or not PyUnicode_IS_COMPACT_ASCII(part):
        return False
    text = <const uint8_t *>PyUnicode_DATA(part)
    if not _is_name(text, len(<str>part)):
        return False
    patch.time_, patch.wall_, patch.session_ = time, wall, author_at(text, len(<str>part))
    if not PyUnicode_IS_COMPACT_ASCII(author) or len(<str>author) > 256:
        return False
    patch.author_ = author_at(<const uint8_t *>PyUnicode_DATA(author), len(<str>author))
    if not PyUnicode_IS_COMPACT_ASCII(known):
        return False
    text = <const uint8_t *>PyUnicode_DATA(known)
    size, i = len(<str>known), 0
    while i < size:
        older, start = 0, i
        while i < size and 48 <= text[i] <= 57 and i - start < 16:
            older = 10 * older + (text[i] - 48)
            i += 1
        if i == start or text[start] == 48 or i == size or text[i] != 58 or older >= time:
            return False
        i += 1
        start = i
        while i < size and text[i] != 9:
            i += 1
        if not _is_name(text + start, i - start):
            return False
        part = id_of(older, author_at(text + start, i - start))
        if parents and not parents[len(parents) - 1] < part:
            return False
        parents.append(part)
        i += 1
        if i == size:  # a tab at the end
            return False
    if len(parents) > 8:
        return False
    if len(parents) == 1:
        patch.parent_time, patch.parent_session = parents[0]
    patch.parents_ = tuple(parents)
    patch.ops_ = plain_delta(<str>delta)
    return patch.ops_ is not None
