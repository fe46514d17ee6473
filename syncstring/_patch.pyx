# cython: language_level=3
"""Strings and splices: what edits do to a text, to each other and to positions.

Two ways to write one edit. *Splices* `(pos, delete, insert)` are sequential: each in the coordinates
that the one before it left. A *delta* is one pass over the old text, as a tuple of operations: `5`
keeps five code points, `-2` deletes two, `"abc"` inserts; canonical ones have no zero, no equal
neighbours and no keep at their end. `compose` and `ops_splices` lead from one to the other. Where an
insertion and a deletion meet, the delta's order says which of them stands left: that is part of what a
patch means, so nothing here ever swaps them.

Everything is linear in what it is given, but for `compose` (n log n in the number of splices) and `apply` and
`invert` (see `TextBuffer`). Positions and lengths are code points; whatever isn't meant seriously is
refused with `PatchError` before anything happens. Knows no ids, authors or versions.
"""

cimport cython
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.object cimport PyTypeObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_SET_ITEM
from libc.string cimport memcpy

from operator import index
from typing import NamedTuple

from syncstring._text cimport SpliceLog
from syncstring._text cimport TextBuffer as Buffer

from syncstring._text import TextBuffer
from syncstring.errors import MalformedRow, PatchError, UnsupportedVersion

__all__ = [
    "MAX_COUNT", "Ops", "Splice", "TextBuffer", "apply", "compose", "consumed", "decode_delta",
    "encode_delta", "growth", "invert", "map_position", "ops_apply", "ops_splices", "transform",
]

MAX_COUNT = (1 << 53) - 1
Ops = tuple  # in the stub: tuple[int | str, ...]

cdef extern from "Python.h":
    object PyType_GenericAlloc(PyTypeObject *kind, Py_ssize_t items)
    void PyObject_GC_UnTrack(object value)
    Py_ssize_t PyNumber_AsSsize_t(object value, void *exception) except? -1

cdef extern from "Python.h" nogil:
    int PyUnicode_KIND(object text)
    void *PyUnicode_DATA(object text)
    Py_UCS4 PyUnicode_READ(int kind, void *data, Py_ssize_t index)

cdef enum:
    KEEP = 0
    INSERT = 1
    DELETE = 2

cdef Py_ssize_t LARGEST = (<Py_ssize_t>1 << 53) - 1


class Splice(NamedTuple):
    """`delete` code points at `pos` go, then `insert` comes there. Equal to the plain tuple."""

    pos: int
    delete: int
    insert: str


cdef object splice_of(Py_ssize_t pos, Py_ssize_t delete, str insert):
    """`Splice(pos, delete, insert)`, in a fifth of the time."""
    cdef object splice = PyType_GenericAlloc(<PyTypeObject *>Splice, 3), number = pos
    Py_INCREF(number)
    PyTuple_SET_ITEM(splice, 0, number)
    number = delete
    Py_INCREF(number)
    PyTuple_SET_ITEM(splice, 1, number)
    Py_INCREF(insert)
    PyTuple_SET_ITEM(splice, 2, insert)
    PyObject_GC_UnTrack(splice)  # nothing in it leads anywhere: collections needn't look at it
    return splice


cdef list listed(SpliceLog log, Py_ssize_t first, Py_ssize_t last):
    """The splices of a log from `first` up to `last`, which the caller knows it has."""
    cdef Py_ssize_t i
    cdef list splices = PyList_New(last - first)
    for i in range(first, last):
        splice = splice_of(log.pos[i], log.delete[i], log.pool.get(log.start[i], log.count[i]))
        Py_INCREF(splice)  # the next line takes it over
        PyList_SET_ITEM(splices, i - first, splice)
    return splices


# --- the door -----------------------------------------------------------------------------------------

cdef str _shown(object value):
    try:
        return f"{value!r:.60}"
    except MemoryError:
        raise
    except Exception:  # a huge int has no repr, and who knows what others do
        return f"a {type(value).__name__}"


cdef Py_ssize_t _count(object value, str what) except -1:
    cdef Py_ssize_t number
    if type(value) is not int:
        try:
            if isinstance(value, bool):
                raise TypeError
            value = index(value)
        except TypeError:
            raise PatchError(f"{what} of a splice is {_shown(value)}; it is a whole number of code points") from None
    number = PyNumber_AsSsize_t(value, NULL)
    if number < 0 or number > LARGEST:
        shown = value if value.bit_length() < 128 else f"a number of {value.bit_length():,} bits"
        raise PatchError(f"{what} of a splice is {shown}; it lies in 0 .. 2^53 - 1")
    return number


cdef int _well_formed(str text) except -1:
    """Refuses lone surrogates: no encoding that leaves this process has them."""
    cdef int kind = PyUnicode_KIND(text)
    cdef void *data = PyUnicode_DATA(text)
    cdef Py_ssize_t i
    cdef unsigned int unit
    if kind == 1:
        return 0
    for i in range(len(text)):
        unit = PyUnicode_READ(kind, data, i)
        if 0xD800 <= unit <= 0xDFFF:
            raise PatchError(
                f"lone surrogate U+{unit:04X} at {i} of an inserted text of {len(text)}; "
                "decode UTF-16 as pairs, or replace it by U+FFFD"
            )
    return 0


@cython.final
cdef class _Reader:
    """One splice after another, each checked."""
    cdef Py_ssize_t pos, delete
    cdef str insert

    cdef int read(self, object splice) except -1:
        if type(splice) is not tuple and type(splice) is not Splice and not isinstance(splice, (tuple, list)):
            raise PatchError(f"a splice is (pos, delete, insert); this is {_shown(splice)}")
        if len(splice) != 3:
            raise PatchError(f"a splice is (pos, delete, insert); this has {len(splice)} parts")
        self.pos = _count(splice[0], "pos")
        self.delete = _count(splice[1], "delete")
        if not isinstance(splice[2], str):
            raise PatchError(f"insert of a splice is {splice[2]!r:.40}; it is a str")
        self.insert = str.__str__(splice[2])  # of a subclass, the text itself
        _well_formed(self.insert)
        return 0


# --- deltas as arrays -----------------------------------------------------------------------------------

cdef struct Op:
    int kind
    int source                         # INSERT: which of the inserted strings
    Py_ssize_t start                   # INSERT: where in it
    Py_ssize_t size

cdef struct Pass:
    Op *ops
    Py_ssize_t count


cdef inline void _push(Pass *out, int kind, int source, Py_ssize_t start, Py_ssize_t size) noexcept nogil:
    cdef Op *last
    if size == 0:
        return
    if out.count:
        last = out.ops + out.count - 1
        if last.kind == kind and (kind != INSERT or (last.source == source and last.start + last.size == start)):
            last.size += size
            return
    out.ops[out.count] = Op(kind, source, start, size)
    out.count += 1


cdef void _one_after_other(Pass *a, Pass *b, Pass *out) noexcept nogil:
    """One pass that does what `a` and then `b` do; `out` has room for both.

    What `b` inserts stands directly after the item before it that `a` leaves, so left of what `a`
    deleted there; what `a` inserted and `b` deletes vanishes.
    """
    cdef Py_ssize_t i = 0, j, left = 0, need, take
    cdef Op *x
    cdef Op *y
    if a.count:
        left = a.ops[0].size
    for j in range(b.count):
        y = b.ops + j
        if y.kind == INSERT:
            _push(out, INSERT, y.source, y.start, y.size)
            continue
        need = y.size
        while need:
            if i == a.count:
                _push(out, y.kind, 0, 0, need)
                break
            x = a.ops + i
            if x.kind == DELETE:
                _push(out, DELETE, 0, 0, left)
                take = left
            else:
                take = min(left, need)
                need -= take
                if x.kind == KEEP:
                    _push(out, y.kind, 0, 0, take)
                elif y.kind == KEEP:
                    _push(out, INSERT, x.source, x.start + x.size - left, take)
            left -= take
            if left == 0:
                i += 1
                if i < a.count:
                    left = a.ops[i].size
    while i < a.count:
        x = a.ops + i
        _push(out, x.kind, x.source, x.start + x.size - left, left)
        i += 1
        if i < a.count:
            left = a.ops[i].size


cdef bint _fold(Pass *passes, Py_ssize_t n, Pass *out) noexcept nogil:
    """All passes as one, by halves: n log n. False without memory; `out.ops` is the caller's to free."""
    cdef Pass a, b
    cdef bint fine
    out.ops = NULL
    out.count = 0
    if n == 1:
        out.ops = <Op *>PyMem_RawMalloc(max(passes.count, 1) * sizeof(Op))
        if out.ops == NULL:
            return False
        memcpy(out.ops, passes.ops, passes.count * sizeof(Op))
        out.count = passes.count
        return True
    b.ops = NULL
    fine = _fold(passes, n // 2, &a) and _fold(passes + n // 2, n - n // 2, &b)
    if fine:
        # Every operation of the result ends where one of theirs does.
        out.ops = <Op *>PyMem_RawMalloc(max(a.count + b.count, 1) * sizeof(Op))
        fine = out.ops != NULL
        if fine:
            _one_after_other(&a, &b, out)
    PyMem_RawFree(a.ops)
    PyMem_RawFree(b.ops)
    return fine


cdef tuple _as_ops(Pass *whole, list sources):
    cdef Py_ssize_t i
    cdef Op *op
    cdef list ops = [], texts = []
    cdef str text
    while whole.count and whole.ops[whole.count - 1].kind == KEEP:
        whole.count -= 1
    for i in range(whole.count):
        op = whole.ops + i
        if op.kind == INSERT:
            text = <str>sources[op.source]
            texts.append(text if op.size == len(text) else text[op.start:op.start + op.size])
            if i + 1 < whole.count and whole.ops[i + 1].kind == INSERT:
                continue
            ops.append(texts[0] if len(texts) == 1 else "".join(texts))
            texts = []
        else:
            ops.append(op.size if op.kind == KEEP else -op.size)
    return tuple(ops)


def compose(splices) -> tuple:
    cdef list sources = []
    cdef tuple given = tuple(splices)  # CPython 3.11 never lets go of what it can't make a list of
    cdef Py_ssize_t n = len(given), i
    cdef _Reader reader = _Reader()
    cdef Op *ops
    cdef Pass *passes
    cdef Pass whole, one
    if n == 0:
        return ()
    if n == 1:
        reader.read(given[0])
        return _single(reader.pos, reader.delete, reader.insert)
    whole.ops = NULL
    ops = <Op *>PyMem_RawMalloc(3 * n * sizeof(Op))
    passes = <Pass *>PyMem_RawMalloc(n * sizeof(Pass))
    try:
        if ops == NULL or passes == NULL:
            raise MemoryError
        for i in range(n):
            reader.read(given[i])
            one.ops = ops + 3 * i
            one.count = 0
            _push(&one, KEEP, 0, 0, reader.pos)
            _push(&one, INSERT, <int>i, 0, len(reader.insert))
            _push(&one, DELETE, 0, 0, reader.delete)
            passes[i] = one
            sources.append(reader.insert)
        if not _fold(passes, n, &whole):
            raise MemoryError
        return _as_ops(&whole, sources)
    finally:
        PyMem_RawFree(ops)
        PyMem_RawFree(passes)
        PyMem_RawFree(whole.ops)


cdef tuple _single(Py_ssize_t pos, Py_ssize_t delete, str insert):
    cdef list ops = []
    if pos and (insert or delete):
        ops.append(pos)
    if insert:
        ops.append(insert)
    if delete:
        ops.append(-delete)
    return tuple(ops)


def ops_splices(tuple ops not None) -> list:
    cdef list insertions = [], deletions = []
    cdef Py_ssize_t at = 0, shift = 0, n = len(ops), i
    cdef object op, after
    for i in range(n):
        op = ops[i]
        if isinstance(op, str):
            after = ops[i + 1] if i + 1 < n else 0
            if after < 0:
                deletions.append(Splice(at + shift, -after, op))
            else:
                insertions.append(Splice(at + shift, 0, op))
                shift += len(<str>op)
        elif op > 0:
            at += op
        else:
            if i == 0 or not isinstance(ops[i - 1], str):
                deletions.append(Splice(at + shift, -op, ""))
            at -= op
    deletions.reverse()
    return insertions + deletions


def consumed(tuple ops not None):
    total = 0
    for op in ops:
        if not isinstance(op, str):
            total += op if op > 0 else -op
    return total


def growth(tuple ops not None):
    total = 0
    for op in ops:
        if isinstance(op, str):
            total += len(<str>op)
        elif op < 0:
            total += op
    return total


# --- texts ------------------------------------------------------------------------------------------------

def apply(str text not None, splices) -> str:
    cdef _Reader reader = _Reader()
    cdef Buffer buffer = Buffer(text)
    for splice in splices:
        reader.read(splice)
        buffer.splice(reader.pos, reader.delete, reader.insert)
    return str(buffer)


def ops_apply(str text not None, tuple ops not None) -> str:
    cdef list parts = []
    cdef object at = 0
    for op in ops:
        if isinstance(op, str):
            parts.append(op)
            continue
        if at + abs(op) > len(text):
            raise PatchError(f"a delta that consumes {consumed(ops)} doesn't fit a text of {len(text)}")
        if op > 0:
            parts.append(text[at:at + op])
        at += abs(op)
    parts.append(text[at:])
    return "".join(parts)


def invert(str text not None, splices) -> list:
    cdef _Reader reader = _Reader()
    cdef Buffer buffer = Buffer(text)
    cdef list inverse = []
    cdef Py_ssize_t size
    for splice in splices:
        reader.read(splice)
        size = buffer.size()
        if reader.pos > size or reader.delete > size - reader.pos:
            raise PatchError(f"a splice deletes {reader.delete} at {reader.pos} in a text of {size}")
        inverse.append(Splice(reader.pos, len(reader.insert), buffer.slice(reader.pos, reader.pos + reader.delete)))
        buffer.splice(reader.pos, reader.delete, reader.insert)
    inverse.reverse()
    return inverse


# --- edits beside each other --------------------------------------------------------------------------------

def transform(splices, over, bint first=False) -> list:
    return ops_splices(_transform(compose(splices), compose(over), first))


cdef tuple _transform(tuple ours, tuple over, bint first):
    """`ours` as it is done after `over`, both on one text."""
    cdef list out = []
    cdef Py_ssize_t i = 0, j = 0, kept = 0, deleted = 0
    cdef Py_ssize_t mine = 0, theirs = 0, take
    cdef object op
    while i < len(ours):
        # At a gap: theirs and ours may both insert, once each.
        if mine == 0 and theirs == 0 and first and isinstance(ours[i], str):
            out.append(ours[i])
            i += 1
            continue
        if theirs == 0 and j < len(over) and isinstance(over[j], str):
            # Inside what we keep or delete, or at its edge, or left of our insertion.
            out.append(len(<str>over[j]))
            j += 1
            continue
        if mine == 0:
            op = ours[i]
            if isinstance(op, str):
                out.append(op)
                i += 1
                continue
            mine = op
        if theirs == 0:
            theirs = over[j] if j < len(over) else LARGEST  # after a delta's end all is kept
        take = min(abs(mine), abs(theirs))
        if theirs > 0:
            out.append(take if mine > 0 else -take)
        mine -= take if mine > 0 else -take
        theirs -= take if theirs > 0 else -take
        if mine == 0:
            i += 1
        if theirs == 0 and j < len(over):
            j += 1
    return _joined(out)


cdef tuple _joined(list ops):
    cdef list out = []
    cdef object op, last
    for op in ops:
        if out:
            last = out[len(out) - 1]
            if isinstance(op, str):
                if isinstance(last, str):
                    out[len(out) - 1] = last + op
                    continue
            elif not isinstance(last, str) and (op > 0) == (last > 0):
                out[len(out) - 1] = last + op
                continue
        out.append(op)
    while out and not isinstance(out[len(out) - 1], str) and out[len(out) - 1] > 0:
        out.pop()
    return tuple(out)


def map_position(pos, splices, str sticks not None="after"):
    cdef Py_ssize_t at = _count(pos, "the position")
    cdef bint after = sticks == "after"
    cdef _Reader reader = _Reader()
    if not after and sticks != "before":
        raise PatchError(f"sticks is {sticks!r}; a position sticks to the character 'before' or 'after' it")
    for splice in splices:
        reader.read(splice)
        if at > reader.pos or (at == reader.pos and after):
            # The insertion stands left of what is deleted, so right of no position in there.
            at = reader.pos + len(reader.insert) + max(at - reader.pos - reader.delete, 0)
    return at


# --- deltas as text --------------------------------------------------------------------------------------------

def encode_delta(tuple ops not None) -> str:
    cdef list parts = []
    cdef object op
    cdef str text
    for op in ops:
        if isinstance(op, str):
            text = <str>op
            if "%" in text:
                text = text.replace("%", "%25")
            if "\t" in text:
                text = text.replace("\t", "%09")
            if "\0" in text:
                text = text.replace("\0", "%00")
            parts.append("+" + text)
        elif op > 0:
            parts.append(f"={op}")
        else:
            parts.append(f"{op}")
    return "\t".join(parts)


def decode_delta(str delta not None) -> tuple:
    cdef int kind = PyUnicode_KIND(delta)
    cdef void *data = PyUnicode_DATA(delta)
    cdef Py_ssize_t n = len(delta), i = 0, start, number
    cdef unsigned int sign, unit, before = 0
    cdef list ops = []
    cdef bint escaped
    if n == 0:
        return ()
    while True:
        if i == n:
            raise MalformedRow(f"delta: ends in a tab at {i - 1}; tabs stand between operations only")
        sign = PyUnicode_READ(kind, data, i)
        i += 1
        start = i
        if sign == c'+':
            escaped = False
            while i < n:
                unit = PyUnicode_READ(kind, data, i)
                if unit == c'\t':
                    break
                if unit == c'%':
                    escaped = True
                    if delta[i + 1:i + 3] not in ("25", "09", "00"):
                        raise MalformedRow(
                            f"delta: {delta[i:i + 3]!r} at {i}; in an inserted text %, tab and U+0000 are written "
                            "%25, %09 and %00, and nothing else is escaped"
                        )
                elif unit == 0:
                    raise MalformedRow(f"delta: U+0000 at {i}; in an inserted text it is written %00")
                elif 0xD800 <= unit <= 0xDFFF:
                    raise MalformedRow(f"delta: lone surrogate U+{unit:04X} at {i}; texts hold none")
                i += 1
            if i == start:
                raise MalformedRow(f"delta: an insertion of nothing at {start - 1}; it is left out instead")
            if before == c'+':
                raise MalformedRow(f"delta: two insertions beside each other at {start - 1}; they are written as one")
            text = delta[start:i]
            if escaped:
                text = text.replace("%09", "\t").replace("%00", "\0").replace("%25", "%")
            ops.append(text)
        elif sign == c'=' or sign == c'-':
            number = 0
            while i < n:
                unit = PyUnicode_READ(kind, data, i)
                if not c'0' <= unit <= c'9':
                    break
                if number <= LARGEST:
                    number = 10 * number + <Py_ssize_t>(unit - c'0')
                i += 1
            if i == start or (i < n and unit != c'\t'):
                raise MalformedRow(
                    f"delta: {_operation(delta, start - 1)!r:.40} at {start - 1}; "
                    "after = and - there is a count in ASCII digits, then a tab or the end"
                )
            if PyUnicode_READ(kind, data, start) == c'0':
                raise MalformedRow(
                    f"delta: {_operation(delta, start - 1)!r:.40} at {start - 1}; a count is above 0 and begins with no 0"
                )
            if number > LARGEST:
                raise MalformedRow(
                    f"delta: {_operation(delta, start - 1)!r:.40} at {start - 1}; a count is at most 2^53 - 1"
                )
            if before == sign:
                raise MalformedRow(
                    f"delta: two {'keeps' if sign == c'=' else 'deletions'} beside each other at {start - 1}; "
                    "they are written as one"
                )
            ops.append(number if sign == c'=' else -number)
        elif sign == c'\t':
            raise MalformedRow(f"delta: an empty operation at {i - 1}; one tab stands between two operations")
        else:
            raise UnsupportedVersion(
                f"delta: {_operation(delta, i - 1)!r:.40} at {i - 1} is none of =, + and -; "
                "a later format may know it: upgrade syncstring"
            )
        before = sign
        if i == n:
            break
        i += 1
    if sign == c'=':
        raise MalformedRow(f"delta: ends in {_operation(delta, start - 1)!r:.40}; what is kept at the end isn't written")
    return tuple(ops)


cdef str _operation(str delta, Py_ssize_t start):
    return delta[start:].partition("\t")[0]
