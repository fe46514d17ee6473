# cython: language_level=3
"""What a document does at every keystroke, its own and others'.

The law of this room. Each way here does exactly what the way in `document.py` of the same name would do, and
is taken only where nothing else is to be thought of: a splice onto a text with nothing uncommitted, a commit
of just that, patches that are new and stand on what is here. All that can fail comes before anything shows, so
a call is done or not. Nothing is made that nobody looks at: what is typed goes straight to the graph's columns,
the patch is a view of them, and what undo would take back is a time.

Measured: the same in Python took 13 us for a splice and its commit, of which 2 went into the graph.
"""

from cpython.mem cimport PyMem_Free
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stdint cimport int64_t

from syncstring._clock cimport MIN_WILD_TIME, Clocks, Reading
from syncstring._entries cimport DELETE, INSERT, JUDGED, KEEP
from syncstring._events cimport EventLog
from syncstring._graph cimport EventGraph
from syncstring._memory cimport grown
from syncstring._patch cimport listed, splice_of
from syncstring._placed cimport Placed
from syncstring._text cimport SpliceLog, TextBuffer
from syncstring._tip cimport Tip
from syncstring._values cimport Patch, id_of, view

from syncstring._patch import Splice, compose
from syncstring.errors import PatchError

__all__ = ["Keys"]

cdef extern from "Python.h":
    bint PyLong_CheckExact(object value)
    bint PyUnicode_CheckExact(object value)
    bint PyTuple_CheckExact(object value)
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1

cdef enum:
    FEW_HEADS = 1_000                  # far from how many a patch may name
    FEW_LETTERS = 10_000               # far from how many fit a row
    FEW_STEPS = 64

cdef int64_t ENDLESS = <int64_t>1 << 60


cdef class Keys:
    """What a document does at every keystroke, its own and others'."""

    cdef public Placed history
    cdef public str session, author
    cdef public list outgoing, _redos
    cdef public Tip _tip
    cdef public Clocks _clocks
    cdef public object _closed, _early, _seen, _next, _cursors
    cdef public str _text
    cdef public bint _pointing
    cdef public int64_t _last
    cdef object limit
    cdef int64_t most                  # `limit`, or what is greater than any text
    # What is uncommitted: one splice, as typed, or a list.
    cdef bint one
    cdef Py_ssize_t pos, delete
    cdef str insert
    cdef list pending
    # What undo takes back, step by step: the ids of chains, then single patches, as ranges of events.
    cdef list steps
    cdef EventGraph typed_in
    cdef Py_ssize_t *lately            # the first of a range, and the first that isn't in it
    cdef Py_ssize_t latelies, lately_room

    def __cinit__(self, *args, **options):
        self.insert = ""
        self.pending = []
        self.steps = []

    def __dealloc__(self):
        PyMem_Free(self.lately)

    @property
    def size_limit(self):
        return self.limit

    @size_limit.setter
    def size_limit(self, limit):
        self.most = min(max(limit, 0), ENDLESS)
        self.limit = limit

    @property
    def _pending(self):
        if self.one:
            self.pending = [splice_of(self.pos, self.delete, self.insert)]
            self.one = False
        return self.pending

    @_pending.setter
    def _pending(self, list splices not None):
        self.pending = splices
        self.one = False

    @property
    def _undos(self):
        cdef Py_ssize_t i, event
        cdef list steps
        cdef EventLog log
        if self.latelies:
            steps = []
            for i in range(self.latelies):
                for event in range(self.lately[2 * i], self.lately[2 * i + 1]):
                    log = self.typed_in.log_of(event)
                    steps.append((id_of(log.time[event], <str>self.typed_in.sessions[log.session[event]]),))
            self.steps += steps
            self.latelies = 0
        return self.steps

    @_undos.setter
    def _undos(self, list steps not None):
        self.steps = steps
        self.latelies = 0

    def _splice_any(self, pos, delete, insert):
        raise NotImplementedError  # `document.py` says what is done where these ways don't lead

    def _commit_any(self, message, now=None):
        raise NotImplementedError

    def _receive_any(self, patches, stored):
        raise NotImplementedError

    # --- editing ------------------------------------------------------------

    cdef bint begun(self) noexcept:
        """Whether `__init__` was called, and nothing taken away since."""
        return self._tip is not None and self.history is not None and self._clocks is not None

    def splice(self, pos, delete, insert):
        cdef Py_ssize_t at, count
        if self.one or self.pending or not self.types(pos, delete, insert, &at, &count):
            self._splice_any(pos, delete, insert)
            return
        self._tip.buffer.edit(at, count, <str>insert)
        self.pos, self.delete, self.insert = at, count, <str>insert
        self.one = True
        self._text = None

    cdef bint types(
        self, object pos, object delete, object insert, Py_ssize_t *at, Py_ssize_t *count
    ) except -1:
        """Whether a splice, of which nothing is known yet, is plainly fine, but for lone surrogates; if so,
        where, and how much it deletes."""
        cdef int64_t first, many, size
        cdef int over = 0, beyond = 0
        if (
            not PyLong_CheckExact(pos) or not PyLong_CheckExact(delete) or not PyUnicode_CheckExact(insert)
            or not self.begun() or self._pointing or self.history.read_only or self._closed is not None
        ):
            return False
        size = self._tip.buffer.size()
        first = PyLong_AsLongLongAndOverflow(pos, &over)
        many = PyLong_AsLongLongAndOverflow(delete, &beyond)
        if over or beyond or not 0 <= first <= size or not 0 <= many <= size - first:
            return False
        if size + len(<str>insert) - many > self.most or not many and not len(<str>insert):
            return False
        at[0], count[0] = first, many
        return True

    def commit(self, message=None):
        cdef Reading reading
        cdef Patch patch = None
        if not self.one or message is not None or not self.plain(self.insert):
            return self._commit_any(message)
        self._clocks.ask(&reading)
        if self.one and self.plain(self.insert):  # the clock may be somebody who edits, too
            patch = self.made(
                &reading, self.pos, self.delete, self.insert,
                self._tip.buffer.size() - len(self.insert) + self.delete,
            )
        if patch is None:
            return self._commit_any(None, (reading.time, reading.wall))
        self.one = False
        self.insert = ""
        return patch

    cdef bint plain(self, str insert) noexcept:
        """Whether a patch that inserts this can be made on all that there is, and nothing but one splice is
        uncommitted."""
        cdef EventGraph graph
        if not self.begun():
            return False
        graph = self._tip.graph
        return (
            not self.pending and self._early is None and self._seen is None
            and self._tip.taken == graph.length and graph.heads_length < FEW_HEADS
            and len(insert) < FEW_LETTERS
            # The base is no patch, so a patch on it names others than its event.
            and (self.history.base is None or graph.heads_length == 1 and graph.length > 1)
        )

    cdef Patch made(
        self, Reading *reading, Py_ssize_t pos, Py_ssize_t delete, str insert, Py_ssize_t before
    ):
        """The patch of a splice that fits a text of `before`; None where its time is to be thought about. What
        is uncommitted is the caller's to forget."""
        cdef EventGraph graph = self._tip.graph
        cdef Py_ssize_t event = graph.length, top
        cdef int64_t time = max(reading.time, max(graph.latest(), self._last) + 1), end
        cdef list doomed
        cdef Patch patch
        if time >= MIN_WILD_TIME:
            return None
        graph.shrink()
        if self.typed_in is not graph:
            self._undos  # those of another are steps now
            self.typed_in = graph
        if self.latelies == self.lately_room:
            top = max(FEW_STEPS, self.lately_room + (self.lately_room >> 1))
            self.lately = <Py_ssize_t *>grown(self.lately, top, 2 * sizeof(Py_ssize_t))
            self.lately_room = top
        graph.begin(time, self.session, self.author, reading.wall)
        graph.put_heads()
        graph.put_splice(pos, delete, insert)
        doomed = graph.still_critical(event, &top, &end)
        patch = view(graph, event)
        self.outgoing.append(patch)
        # Nothing fails from here on.
        graph.show(event, top, end, doomed)
        graph.size[event] = before + len(insert) - delete
        graph.flags[event] |= JUDGED
        self._tip.taken += 1
        if not self.latelies or self.lately[2 * self.latelies - 1] != event:
            self.lately[2 * self.latelies] = event
            self.latelies += 1
        self.lately[2 * self.latelies - 1] = event + 1
        if self._redos:
            self._redos.clear()
        self._last = time
        return patch

    def commit_each(self, splices):
        cdef Reading reading
        cdef list patches = []
        cdef Patch patch
        cdef bint asked = False
        if not self.begun():
            raise AttributeError("a document whose __init__ was never called")
        try:
            each = iter(splices)
        except TypeError:
            raise PatchError(f"splices are {splices!r:.40}; they are a list of (pos, delete, insert)") from None
        self.commit()
        for splice in each:  # may come from somebody who edits, too
            if not asked:
                self._clocks.ask(&reading)
                asked = True
            patch = self.typed(&reading, splice)
            if patch is None:
                if not isinstance(splice, (tuple, list)) or len(splice) != 3:
                    compose((splice,))  # says what is wrong with it
                self._splice_any(splice[0], splice[1], splice[2])
                patch = self._commit_any(None, (reading.time, reading.wall))
            if patch is not None:
                patches.append(patch)
        return patches

    cdef Patch typed(self, Reading *reading, object splice):
        """The patch of a splice, which is done, all or nothing; None, and nothing is, where it is to be thought
        about."""
        cdef TextBuffer buffer
        cdef Py_ssize_t pos, delete
        cdef Patch patch
        if not PyTuple_CheckExact(splice) and type(splice) is not Splice or PyTuple_GET_SIZE(splice) != 3:
            return None
        insert = <object>PyTuple_GET_ITEM(splice, 2)
        if self.one or not self.types(
            <object>PyTuple_GET_ITEM(splice, 0), <object>PyTuple_GET_ITEM(splice, 1), insert, &pos, &delete
        ) or not self.plain(<str>insert):
            return None
        buffer = self._tip.buffer
        buffer.reserve(<str>insert)
        patch = self.made(reading, pos, delete, <str>insert, buffer.size())
        if patch is not None:
            buffer.edit(pos, delete, <str>insert)  # for which there is room
            self._text = None
        return patch

    # --- what others do ------------------------------------------------------------

    def receive(self, patches, stored=False):
        cdef Placed history = self.history
        cdef EventGraph graph
        cdef Py_ssize_t went, before
        cdef SpliceLog log
        cdef list splices
        if (
            type(patches) is not list or stored or self.one or self.pending or not self.begun()
            or self._pointing or self._seen is not None or self._tip.taken != self._tip.graph.length
            or history._placing is not None or history._waiting or not _all_patches(<list>patches)
        ):
            return self._receive_any(patches, stored)
        graph = self._tip.graph
        before = graph.length
        self._next = None
        went = history.place(<list>patches, 0, None)
        if went < len(<list>patches):
            return self._receive_any((<list>patches)[went:], False)
        if graph.length == before:
            return []
        if graph.length == before + 1:
            splices = self.one_more(before)
            if splices is not None:
                graph.shrink()
                return splices
        log = self._tip.look()
        splices = listed(log, 0, log.length)
        self._tip.put(log)
        self._tip.give_back(log)
        self._text = None
        return splices

    cdef list one_more(self, Py_ssize_t event):
        """Show an event, the only one not shown, where it was made on all that is shown and is one splice
        that fits; the splice, alone in a list. Else nothing is done, and None."""
        cdef EventGraph graph = self._tip.graph
        cdef TextBuffer buffer = self._tip.buffer
        cdef Py_ssize_t size = buffer.size(), pos = 0, delete = 0, count = 0, k, kind, last = -1
        cdef Py_ssize_t start = graph.text_start[event]
        if graph.critical_below(event) != event:
            return None
        for k in range(graph.op_start[event], graph.op_start[event + 1]):
            kind = graph.ops[k] & 3
            if kind == KEEP and last == -1:
                pos = graph.ops[k] >> 2
            elif kind == INSERT and last <= KEEP:
                count = graph.ops[k] >> 2
            elif kind == DELETE:
                delete = graph.ops[k] >> 2
            else:
                return None
            last = kind
        if last < INSERT or pos > size or delete > size - pos:
            return None
        splices = [splice_of(pos, delete, graph.pool.get(start, count))]  # all of it, before the text shows it
        buffer.put(
            pos, delete, graph.pool.kind, <const char *>graph.pool.data + start * graph.pool.kind, count
        )
        # Nothing fails from here on.
        graph.size[event] = size + count - delete
        graph.flags[event] |= JUDGED
        self._tip.taken += 1
        self._text = None
        return splices


cdef bint _all_patches(list patches):
    for patch in patches:
        if type(patch) is not Patch:
            return False
    return True
