# Blocks of memory that kernels keep columns in. All are given back by `PyMem_Free`.

cdef void *grown(void *block, Py_ssize_t count, Py_ssize_t size) except NULL
cdef void *big_block(Py_ssize_t size, char **start) except NULL
