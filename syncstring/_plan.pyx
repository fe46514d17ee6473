# cython: language_level=3
"""An order in which a stretch of events is cheap to walk.

The law of this room. Parents come before children. Whichever such order is walked, the merge is the same; this
one goes down a branch to its end before the next, since going from one version to another is what costs.
Source: Gentle & Kleppmann, EuroSys 2025, section 3.7. It knows no text.
"""

from cpython.mem cimport PyMem_Free
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport qsort

from syncstring._memory cimport grown
from syncstring._graph cimport EventGraph

__all__ = ["plan"]


cdef struct Ready:
    int32_t chain
    int32_t event


cdef int longest_first(const void *a, const void *b) noexcept nogil:
    cdef int32_t x = (<const Ready *>a).chain, y = (<const Ready *>b).chain
    if x != y:
        return -1 if x > y else 1
    # Any fixed order will do; this one makes the walk the same everywhere.
    return -1 if (<const Ready *>a).event > (<const Ready *>b).event else 1


def plan(EventGraph graph not None, Py_ssize_t first, Py_ssize_t last):
    """The events [first, last) in an order that is cheap to walk: depth first, a branch to its end before
    the next, shorter ones first. Parents outside count as walked. O(n log n) in the worst case, O(n) mostly.
    """
    cdef Py_ssize_t i
    cdef list result = []
    cdef int32_t *order
    if not 0 <= first <= last <= graph.length:
        raise IndexError(f"no events [{first}, {last}) among {graph.length}")
    order = <int32_t *>grown(NULL, max(1, last - first), sizeof(int32_t))
    try:
        put_plan(graph, first, last, order)
        for i in range(last - first):
            result.append(order[i])
    finally:
        PyMem_Free(order)
    return result


cdef int put_plan(EventGraph graph, Py_ssize_t first, Py_ssize_t last, int32_t *order) except -1:
    """`plan` of events that there are, into `order`."""
    cdef Py_ssize_t n = last - first, i, at = 0, top = 0, start
    cdef int64_t k
    cdef int32_t event, parent, kid
    cdef int32_t *waiting = NULL, *chain = NULL, *kids = NULL
    cdef int64_t *kid_start = NULL
    cdef Ready *stack = NULL
    graph.reach(first)
    if n == 0:
        return 0
    try:
        waiting = <int32_t *>grown(NULL, n, sizeof(int32_t))
        chain = <int32_t *>grown(NULL, n, sizeof(int32_t))
        kid_start = <int64_t *>grown(NULL, n + 2, sizeof(int64_t))
        stack = <Ready *>grown(NULL, n, sizeof(Ready))
        for i in range(n + 2):
            kid_start[i] = 0
        for i in range(n):
            waiting[i] = 0
            for k in range(graph.parent_start[first + i], graph.parent_start[first + i + 1]):
                if graph.parents[k] >= first:
                    waiting[i] += 1
                    kid_start[graph.parents[k] - first + 2] += 1
        for i in range(n + 1):
            kid_start[i + 1] += kid_start[i]
        kids = <int32_t *>grown(NULL, max(1, kid_start[n + 1]), sizeof(int32_t))
        for i in range(n):
            for k in range(graph.parent_start[first + i], graph.parent_start[first + i + 1]):
                parent = graph.parents[k] - <int32_t>first
                if parent >= 0:
                    kids[kid_start[parent + 1]] = <int32_t>i
                    kid_start[parent + 1] += 1
        for i in range(n - 1, -1, -1):
            chain[i] = 1
            if kid_start[i + 1] - kid_start[i] == 1:
                kid = kids[kid_start[i]]
                if waiting[kid] == 1:
                    chain[i] += chain[kid]
        for i in range(n):
            if waiting[i] == 0:
                stack[top].chain = chain[i]
                stack[top].event = <int32_t>i
                top += 1
        qsort(stack, top, sizeof(Ready), longest_first)
        while top:
            top -= 1
            event = stack[top].event
            order[at] = <int32_t>first + event
            at += 1
            start = top
            for k in range(kid_start[event], kid_start[event + 1]):
                kid = kids[k]
                waiting[kid] -= 1
                if waiting[kid] == 0:
                    stack[top].chain = chain[kid]
                    stack[top].event = kid
                    top += 1
            if top - start > 1:
                qsort(stack + start, top - start, sizeof(Ready), longest_first)
    finally:
        PyMem_Free(waiting)
        PyMem_Free(chain)
        PyMem_Free(kid_start)
        PyMem_Free(kids)
        PyMem_Free(stack)
    return 0
