# cython: language_level=3
"""What a history holds, and the straight way in.

The law of this room. A patch that is new, and whose parents all have their place, takes its own: nothing else
is to be thought of then, as long as nobody waits. All else is `history.py`'s to judge. What fails for want of
memory has done nothing; a patch is in or not.
"""

from syncstring._graph cimport EventGraph
from syncstring._values cimport Patch, enter, holds

__all__ = ["Placed"]

cdef enum:
    MANY = 100                         # patches that columns are made ready for at once


cdef class Placed:
    """What a history holds; and the straight way in, for new patches whose parents are here."""

    def place_all(self, list patches not None, list placed not None, Py_ssize_t first=0):
        if not 0 <= first <= len(patches):
            raise IndexError(f"no patch {first} among {len(patches)}")
        return self.place(patches, first, placed)

    cdef int make_room(self, Py_ssize_t count) except -1:
        """Room for so many patches, most of which have one parent and two operations: growing by halves would
        copy all of it thrice."""
        cdef EventGraph graph = self.graph
        cdef Py_ssize_t parents = graph.parent_start[graph.length] + count
        cdef Py_ssize_t ops = graph.op_start[graph.length] + 2 * count
        graph.make_room(graph.length + count)
        graph.need_marks(graph.length + count)
        if parents > graph.parents_capacity:
            graph.need_parents(max(parents, graph.parents_capacity + (graph.parents_capacity - graph.parents_gone >> 1)))
        if ops > graph.ops_capacity:
            graph.need_ops(max(ops, graph.ops_capacity + (graph.ops_capacity - graph.ops_gone >> 1)))
        return 0

    cdef Py_ssize_t place(self, list patches, Py_ssize_t first, list placed) except -1:
        """How far it went. `placed` may be None."""
        cdef EventGraph graph = self.graph
        cdef Py_ssize_t i = first, event, count = len(patches) - first
        cdef bint based = self.base is not None
        cdef Patch patch
        if graph is None or self._waiting or self._placing is not None and self._placing is not placed:
            return first
        if count > MANY:
            self.make_room(count)
        for i in range(first, len(patches)):
            if type(patches[i]) is not Patch:
                return i
            patch = <Patch>patches[i]
            if patch.session_ is None:  # of nobody: `__new__` alone was called
                return i
            event = graph.seek(patch.time_, patch.session_)
            if event >= 0:
                # On a base, an event may name as its parent what is no patch.
                if based or not holds(graph, event, patch):
                    return i
                continue
            if placed is None:
                if enter(graph, patch, based) < 0:
                    return i
                continue
            placed.append(patch)  # what raises leaves it there: see `History.add`
            if enter(graph, patch, based) < 0:
                placed.pop()
                return i
        return len(patches)
