# The order of a walk, for kernels.

from libc.stdint cimport int32_t

from syncstring._graph cimport EventGraph

cdef int put_plan(EventGraph graph, Py_ssize_t first, Py_ssize_t last, int32_t *order) except -1
