# cython: language_level=3
"""Memory for columns: blocks that grow, and great ones in big pages.

The law of this room. A block is there or `MemoryError` is raised and nothing has changed. All of it comes from
Python's allocator, so that its debug hooks see it, and goes back by `PyMem_Free`.
"""

from cpython.mem cimport PyMem_Malloc, PyMem_Realloc

__all__ = []

cdef extern from *:
    """
    #include <stdint.h>
    #ifdef __linux__
    #include <sys/mman.h>
    #endif
    #define BIG_PAGE ((uintptr_t)1 << 21)
    static char *in_big_pages(char *block, size_t size) {
        char *start = (char *)(((uintptr_t)block + BIG_PAGE - 1) & ~(BIG_PAGE - 1));
    #ifdef MADV_HUGEPAGE
        madvise(start, size & ~(BIG_PAGE - 1), MADV_HUGEPAGE);
    #endif
        return start;
    }
    """
    char *in_big_pages(char *block, size_t size) noexcept

cdef enum:
    BIG_PAGE = 1 << 21


cdef void *grown(void *block, Py_ssize_t count, Py_ssize_t size) except NULL:
    """The block, or a new one for NULL, with room for `count` of `size` bytes."""
    cdef void *result = PyMem_Realloc(block, count * size)
    if result == NULL:
        raise MemoryError
    return result


cdef void *big_block(Py_ssize_t size, char **start) except NULL:
    """A block for `size` bytes from `start` on, which the system is asked to give in pages of 2 MiB: it takes 0.1 ms
    to touch a MiB of these for the first time, and 0.4 ms of small ones. What is beside them is never touched."""
    cdef char *result = <char *>PyMem_Malloc(size + 2 * BIG_PAGE)
    if result == NULL:
        raise MemoryError
    start[0] = in_big_pages(result, size + BIG_PAGE)
    return result
