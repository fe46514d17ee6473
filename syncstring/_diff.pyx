# cython: language_level=3
"""What changed between two texts, as sequential splices.

`diff` gives what `diff_main(old, new, False)` of diff-match-patch (20241021) gives with
`Diff_Timeout = 0`, each run of insertions and deletions between two equalities as one splice:
common ends are trimmed, a shorter text is looked for in the longer one, the rest is bisected and
every level of the recursion is cleaned up as `diff_cleanupMerge` does. Odd-looking details below are
the package's.

It never looks at a clock. The bisections of one call make at most BUDGET steps together, as `_bisect`
counts them. What they leave undone is split at pieces that both texts have (patience diff on k-grams
instead of lines) and, where there are none, replaced: coarser, still right, and the same everywhere.
Nothing here knows of patches.

Operations are kept as lengths only: what stands before one says which texts it means.
"""

from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from libc.string cimport memcmp, memcpy, memset

from syncstring._bisect cimport MARGIN, OUT_OF_STEPS, SPLIT, Bisection, bisect, release
from syncstring._common cimport Piece, Text, find, pieces, prefix, suffix, text_of, widened

from syncstring._patch import Splice
from syncstring.errors import PatchError

__all__ = ["BUDGET", "diff", "diff_counted"]

cdef Py_ssize_t _BUDGET = 30_000_000
BUDGET = _BUDGET

cdef extern from "Python.h":
    str PyUnicode_Substring(object text, Py_ssize_t start, Py_ssize_t stop)
    # With NULL for the exception, whatever doesn't fit is clipped: out of range stays out of range.
    Py_ssize_t PyNumber_AsSsize_t(object value, void *exception) except? -1
    const Py_ssize_t PY_SSIZE_T_MAX

# Beyond the budget, texts are matched by pieces this long, what is left between by shorter ones.
cdef enum:
    LEVELS = 3
cdef int[LEVELS] PIECES = [32, 16, 8]

cdef enum Op:
    DELETE
    INSERT
    EQUAL

cdef struct Edit:
    Op op
    Py_ssize_t size

cdef enum Todo:
    SOLVE                              # diff old[a:a_end] with new[b:b_end]
    KEEP                               # an equality of `size`
    CLEAN                              # ends a level: an equality of `size`, then clean up from edit `start`

cdef struct Task:
    Todo what
    Py_ssize_t a, a_end, b, b_end, start, size
    int level                          # which of PIECES is next


# --- memory -----------------------------------------------------------------------------------------

cdef struct Work:
    Text old, new                      # of one kind
    Edit *edits
    Edit *spare
    Task *tasks
    Py_ssize_t edits_count, edits_room, spare_room, tasks_count, tasks_room
    Bisection bisection                # with the steps that are left
    Py_ssize_t sweeps_left             # of what cleaning up may look at again
    char *copies[2]                    # of the texts, and what was found: ours to free
    Piece *found
    bint sliding                       # only an insertion or only a deletion: it may stand elsewhere as well,
    Py_ssize_t latest                  # here at the latest


cdef int _no_memory() except -1 nogil:
    with gil:
        raise MemoryError


cdef int _room(void **block, Py_ssize_t *room, Py_ssize_t needed, size_t size) except -1 nogil:
    cdef Py_ssize_t grown = max(needed, room[0] + room[0] // 2, 16)
    cdef void *moved
    if needed <= room[0]:
        return 0
    moved = PyMem_RawRealloc(block[0], grown * size)
    if moved == NULL:
        _no_memory()
    block[0] = moved
    room[0] = grown
    return 0


cdef int _emit(Work *w, Op op, Py_ssize_t size) except -1 nogil:
    if size:
        _room(<void **>&w.edits, &w.edits_room, w.edits_count + 1, sizeof(Edit))
        w.edits[w.edits_count].op = op
        w.edits[w.edits_count].size = size
        w.edits_count += 1
    return 0


cdef int _push(Work *w, Task task) except -1 nogil:
    _room(<void **>&w.tasks, &w.tasks_room, w.tasks_count + 1, sizeof(Task))
    w.tasks[w.tasks_count] = task
    w.tasks_count += 1
    return 0


cdef inline Task _solving(Py_ssize_t a, Py_ssize_t a_end, Py_ssize_t b, Py_ssize_t b_end, int level) noexcept nogil:
    return Task(SOLVE, a, a_end, b, b_end, 0, 0, level)


# --- cleaning up, as diff_cleanupMerge does ------------------------------------------------------------

cdef Py_ssize_t _merge(
    Text old, Text new, Py_ssize_t a, Py_ssize_t b, const Edit *source, Py_ssize_t n, Edit *target
) noexcept nogil:
    # Joins each run of edits to one deletion and one insertion, moving what these begin and end with
    # in common to the equalities around. Writes at most n + 2; a and b are where the first stands.
    cdef Py_ssize_t count = 0, deleted = 0, inserted = 0, deletions = 0, insertions = 0
    cdef Py_ssize_t i, common
    cdef Edit edit
    for i in range(n + 1):
        edit = source[i] if i < n else Edit(EQUAL, 0)
        if edit.op == DELETE:
            deletions += 1
            deleted += edit.size
            continue
        if edit.op == INSERT:
            insertions += 1
            inserted += edit.size
            continue
        if deletions and insertions:
            common = prefix(old, a, new, b, min(deleted, inserted))
            if common:
                if count == 0:
                    target[0] = Edit(EQUAL, 0)
                    count = 1
                target[count - 1].size += common
                a += common
                b += common
                deleted -= common
                inserted -= common
            common = suffix(old, a + deleted, new, b + inserted, min(deleted, inserted))
            edit.size += common
            deleted -= common
            inserted -= common
        if deleted:
            target[count] = Edit(DELETE, deleted)
            count += 1
        if inserted:
            target[count] = Edit(INSERT, inserted)
            count += 1
        # Where a run has vanished, the equalities around it stay two until the next sweep.
        if deletions + insertions == 0 and count and target[count - 1].op == EQUAL:
            target[count - 1].size += edit.size
        else:
            target[count] = edit
            count += 1
        a += deleted + edit.size
        b += inserted + edit.size
        deleted = inserted = deletions = insertions = 0
    if count and target[count - 1].size == 0:
        count -= 1
    return count


cdef inline bint _same(Text text, Py_ssize_t i, Py_ssize_t j, Py_ssize_t n) noexcept nogil:
    return memcmp(text.data + i * text.kind, text.data + j * text.kind, n * text.kind) == 0


cdef bint _shift(Text old, Text new, Py_ssize_t a, Py_ssize_t b, Edit *edits, Py_ssize_t *n) noexcept nogil:
    # Moves single edits over a whole neighbouring equality, which vanishes; says whether any moved.
    cdef Py_ssize_t i = 1, count = 1   # read and written
    cdef Py_ssize_t at, before, passed
    cdef bint moved = False
    cdef Text text
    cdef Edit edit, after
    a += edits[0].size if edits[0].op != INSERT else 0
    b += edits[0].size if edits[0].op != DELETE else 0
    while i < n[0] - 1:
        edit, after = edits[i], edits[i + 1]
        before = edits[count - 1].size
        passed = 0
        if edits[count - 1].op == EQUAL and after.op == EQUAL:
            text = old if edit.op == DELETE else new
            at = a if edit.op == DELETE else b
            passed = after.size
            if before <= edit.size and _same(text, at - before, at + edit.size - before, before):
                edits[count - 1] = edit
                edits[count] = Edit(EQUAL, before + after.size)
            elif after.size <= edit.size and _same(text, at, at + edit.size, after.size):
                edits[count - 1].size += after.size
                edits[count] = edit
            else:
                passed = 0
        if passed:
            # The package goes on behind both, whichever of them stands last now.
            moved = True
            i += 1
        else:
            edits[count] = edit
        count += 1
        i += 1
        a += passed + (edit.size if edit.op != INSERT else 0)
        b += passed + (edit.size if edit.op != DELETE else 0)
    if i < n[0]:
        edits[count] = edits[i]
        count += 1
    n[0] = count
    return moved


cdef int _clean(Work *w, Text old, Text new, Py_ssize_t start, Py_ssize_t a, Py_ssize_t b) except -1 nogil:
    # Cleans up the edits from `start` on, which stand at old[a] and new[b].
    cdef Py_ssize_t n = w.edits_count - start
    cdef bint moved = n > 0
    while moved:
        _room(<void **>&w.spare, &w.spare_room, n + 2, sizeof(Edit))
        _room(<void **>&w.edits, &w.edits_room, start + n + 2, sizeof(Edit))
        n = _merge(old, new, a, b, w.edits + start, n, w.spare)
        moved = n > 2 and _shift(old, new, a, b, w.spare, &n)
        memcpy(w.edits + start, w.spare, n * sizeof(Edit))
        if moved:
            w.sweeps_left -= n
            if w.sweeps_left < 0:
                break                  # right as it is, if not the last word
    w.edits_count = start + n
    return 0


# --- one level after the other, on a stack of our own ----------------------------------------------------

cdef int _compute(Work *w, Task t) except -1 nogil:
    # diff_compute: texts that begin and end with nothing in common.
    cdef Py_ssize_t n = t.a_end - t.a
    cdef Py_ssize_t m = t.b_end - t.b
    cdef Py_ssize_t at, x = 0, y = 0
    cdef int outcome
    if n and m:
        if n > m:
            at = find(w.old, t.a, n, w.new, t.b, m)
            if at >= 0:
                _emit(w, DELETE, at)
                _emit(w, EQUAL, m)
                _emit(w, DELETE, n - m - at)
                return 0
        else:
            at = find(w.new, t.b, m, w.old, t.a, n)
            if at >= 0:
                _emit(w, INSERT, at)
                _emit(w, EQUAL, n)
                _emit(w, INSERT, m - n - at)
                return 0
        if n > 1 and m > 1:
            outcome = bisect(&w.bisection, w.old.kind, w.old.data + t.a * w.old.kind, n,
                             w.new.data + t.b * w.new.kind, m, &x, &y)
            if outcome == SPLIT and 0 < x + y < n + m:
                _push(w, _solving(t.a + x, t.a_end, t.b + y, t.b_end, 0))
                _push(w, _solving(t.a, t.a + x, t.b, t.b + y, 0))
                return 0
            if outcome == OUT_OF_STEPS and _piecewise(w, t):
                return 0
    _emit(w, DELETE, n)
    _emit(w, INSERT, m)
    return 0


cdef int _piecewise(Work *w, Task t) except -1 nogil:
    # Beyond the budget: keep the pieces that both texts have; what is left between is still to do.
    cdef Py_ssize_t count = 0, i
    cdef int level = t.level
    cdef Piece piece
    while level < LEVELS and count == 0:
        count = pieces(w.old, t.a, t.a_end - t.a, w.new, t.b, t.b_end - t.b, PIECES[level], &w.found)
        level += 1
    if count == 0:
        return 0
    for i in range(count - 1, -1, -1):
        piece = w.found[i]
        _push(w, _solving(piece.a + piece.size, t.a_end, piece.b + piece.size, t.b_end, level))
        _push(w, Task(KEEP, 0, 0, 0, 0, 0, piece.size, 0))
        t.a_end = piece.a
        t.b_end = piece.b
    _push(w, _solving(t.a, t.a_end, t.b, t.b_end, level))
    PyMem_RawFree(w.found)
    w.found = NULL
    return 1


cdef int _solve(Work *w, Task t) except -1 nogil:
    # diff_main: trims what the texts begin and end with in common, and leaves the clean-up for last.
    cdef Py_ssize_t start = w.edits_count
    cdef Py_ssize_t a = t.a, b = t.b
    cdef Py_ssize_t common = prefix(w.old, a, w.new, b, min(t.a_end - a, t.b_end - b))
    _emit(w, EQUAL, common)
    t.a += common
    t.b += common
    common = suffix(w.old, t.a_end, w.new, t.b_end, min(t.a_end - t.a, t.b_end - t.b))
    t.a_end -= common
    t.b_end -= common
    _push(w, Task(CLEAN, a, 0, b, 0, start, common, 0))
    return _compute(w, t)


cdef int _work(Work *w, Text old, Text new) except -1 nogil:
    cdef Py_ssize_t both = min(old.size, new.size)
    cdef Py_ssize_t head = prefix(old, 0, new, 0, both)
    cdef Py_ssize_t tail = suffix(old, old.size, new, new.size, both - head)
    cdef Py_ssize_t n = old.size - head - tail
    cdef Py_ssize_t m = new.size - head - tail
    cdef Task t
    # From here on the middles are the texts, in one width, with the margins that a bisection reads.
    w.old = Text(old.kind, old.data + head * old.kind, n)
    w.new = Text(new.kind, new.data + head * new.kind, m)
    if n and m:
        w.copies[0] = widened(w.old, max(old.kind, new.kind), MARGIN)
        w.copies[1] = widened(w.new, max(old.kind, new.kind), MARGIN)
        w.old = Text(max(old.kind, new.kind), w.copies[0] + MARGIN, n)
        w.new = Text(max(old.kind, new.kind), w.copies[1] + MARGIN, m)
    w.sliding = (n == 0) != (m == 0)
    w.latest = head
    _emit(w, EQUAL, head)
    _compute(w, _solving(0, n, 0, m, 0))
    while w.tasks_count:
        w.tasks_count -= 1
        t = w.tasks[w.tasks_count]
        if t.what == SOLVE:
            _solve(w, t)
        else:
            _emit(w, EQUAL, t.size)
            if t.what == CLEAN:
                _clean(w, w.old, w.new, t.start, t.a, t.b)
    _emit(w, EQUAL, tail)
    return _clean(w, old, new, 0, 0, 0)


# --- the door -------------------------------------------------------------------------------------------

cdef list _splices(Work *w, str new):
    # Each run between two equalities as one splice; it stands where the new text has come to.
    cdef list splices = []
    cdef Py_ssize_t i = 0, pos = 0, delete, insert
    while i < w.edits_count:
        delete = insert = 0
        while i < w.edits_count and w.edits[i].op != EQUAL:
            if w.edits[i].op == DELETE:
                delete += w.edits[i].size
            else:
                insert += w.edits[i].size
            i += 1
        if delete or insert:
            splices.append(Splice(pos, delete, PyUnicode_Substring(new, pos, pos + insert)))
            pos += insert
        if i < w.edits_count:
            pos += w.edits[i].size
            i += 1
    return splices


cdef list _slid(Work *w, Text old, Text new, str text, Py_ssize_t cursor):
    # The one insertion that ends at the cursor, or deletion that was made there; None if there's none.
    cdef Py_ssize_t grown = new.size - old.size
    cdef Py_ssize_t pos = cursor - max(grown, 0)
    if not w.sliding or not 0 <= pos <= w.latest:
        return None
    if grown > 0:
        if _same(new, pos, pos + grown, w.latest - pos):
            return [Splice(pos, 0, PyUnicode_Substring(text, pos, cursor))]
    elif _same(old, pos, pos - grown, w.latest - pos):
        return [Splice(pos, -grown, "")]
    return None


cdef tuple _diff(str old, str new, object cursor, Py_ssize_t budget):
    cdef Text s = text_of(old), t = text_of(new)
    cdef Py_ssize_t caret = -1
    cdef list splices = None
    cdef Work w
    if cursor is not None:
        caret = PyNumber_AsSsize_t(cursor, NULL)
        if not 0 <= caret <= t.size:
            raise PatchError(f"cursor at {cursor} is not within the new text of {t.size}; it is the caret after the edit")
    memset(&w, 0, sizeof(Work))
    w.bisection.steps_left = budget
    w.sweeps_left = _BUDGET
    try:
        with nogil:
            _work(&w, s, t)
        if caret >= 0:
            splices = _slid(&w, s, t, new, caret)
        if splices is None:
            splices = _splices(&w, new)
        return splices, budget - w.bisection.steps_left
    finally:
        PyMem_RawFree(w.edits)
        PyMem_RawFree(w.spare)
        PyMem_RawFree(w.tasks)
        release(&w.bisection)
        PyMem_RawFree(w.copies[0])
        PyMem_RawFree(w.copies[1])
        PyMem_RawFree(w.found)


def diff(str old not None, str new not None, cursor=None):
    """Return the splices that make `new` of `old`, in order, each as `(pos, delete, insert)`.

    `apply(old, diff(old, new)) == new`. They are as diff-match-patch has them: few and readable, not
    always the fewest. `cursor` is where the caret stands in `new`: of a single insertion or deletion
    that could stand in several places, that one is returned which ends (or was made) there.
    `PatchError` for a cursor outside `new` and for lone surrogates.
    Cost: O((n + m) (d + 1)) for d deleted or inserted code points, whichever are fewer, while that is
    below BUDGET steps, O(n + m) beyond.
    """
    return _diff(old, new, cursor, _BUDGET)[0]


def diff_counted(str old not None, str new not None, budget=BUDGET):
    """Return `(splices, steps)`: what `diff` gives under that budget, and the steps it took.

    A step is one diagonal visited by a bisection, or 8 bytes compared along it after the first 8. No
    more than `budget` are made; with as many as are needed, the splices are those of diff-match-patch.
    """
    return _diff(old, new, None, max(PyNumber_AsSsize_t(budget, NULL), 0))
