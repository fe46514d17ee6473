# What other kernels make of splices without the detour through Python.

from syncstring._text cimport SpliceLog

cdef object splice_of(Py_ssize_t pos, Py_ssize_t delete, str insert)
cdef list listed(SpliceLog log, Py_ssize_t first, Py_ssize_t last)
