# The C layout of the tip: the text of everything, as it grows.

from syncstring._graph cimport EventGraph
from syncstring._text cimport SpliceLog, TextBuffer
from syncstring._walker cimport Walker


cdef class Tip:
    cdef readonly EventGraph graph
    cdef public TextBuffer buffer
    cdef public Py_ssize_t taken           # events whose edits the buffer shows
    cdef list walkers                      # bases ascending
    cdef SpliceLog spare                   # or None
    cdef Py_ssize_t done                   # steps of walkers that are gone, and of planning

    cdef SpliceLog look(self)
    cdef int put(self, SpliceLog log) except -1
    cdef void give_back(self, SpliceLog log) noexcept
    cdef Walker walker_at(self, Py_ssize_t at, Py_ssize_t size, Py_ssize_t stop)
    cdef int walk(self, Walker walker, Py_ssize_t stop, SpliceLog log) except -1
    cdef int forget(self, Py_ssize_t i) except -1
