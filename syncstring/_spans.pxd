# The C layout of the list of spans: a B+tree in document order, and an index by character.

from libc.stdint cimport int32_t, int64_t, uint64_t, uint8_t

cdef enum:
    FAN = 32          # slots a node
    COLUMNS = 65      # states a span can have at once: what is there now, and up to 64 versions
    LEVELS = 6        # of the index: 64^6 characters

ctypedef struct Span:
    int64_t id        # of its first character; the others follow
    int64_t left      # the character that its first one was typed after; -1: the start
    int32_t length
    int32_t right     # the span whose first character it was typed before; -1: the end
    int32_t leaf      # the node that lists it
    int32_t event     # that inserted its first character; -1: the base text
    # Its place in the tree of _fugue.pyx, for children on the left (0) and on the right (1):
    int32_t kids[2]   # roots of treaps of spans
    int32_t spine[2]
    int32_t up[2]
    int32_t down[2]
    # In the treap that it is itself in:
    int32_t lower
    int32_t higher


cdef class SpanList:
    cdef Span *span
    cdef readonly Py_ssize_t spans
    cdef Py_ssize_t spans_capacity
    cdef int32_t *state[COLUMNS]           # a span's state in a column: 0 not there, 1 shown, 1 + k deleted k times
    cdef readonly int columns

    cdef int32_t *child                    # FAN a node: nodes, or spans where level is 0
    cdef int32_t *width[COLUMNS]           # code points shown below a slot
    cdef int32_t *exist[COLUMNS]           # spans with a state above 0 below a slot
    cdef int32_t *count                    # slots in use
    cdef int32_t *parent
    cdef int32_t *parent_slot
    cdef uint8_t *level
    cdef Py_ssize_t nodes, nodes_capacity
    cdef int32_t root

    cdef uint64_t *starts[LEVELS]          # which characters begin a span, and which words are not empty
    cdef int32_t *span_of_start
    cdef Py_ssize_t ids, ids_capacity
    cdef readonly int64_t steps            # slots and words looked at: what tests of growth count

    cdef int reserve_spans(self, Py_ssize_t n) except -1
    cdef int reserve_nodes(self, Py_ssize_t n) except -1
    cdef int reserve_ids(self, Py_ssize_t n) except -1
    cdef void mark_start(self, int64_t id, int32_t s) noexcept nogil
    cdef int32_t span_at(self, int64_t id) noexcept nogil
    cdef int32_t new_span(self, int64_t id, int32_t length, int64_t left, int32_t right, int32_t event) except -1
    cdef int32_t new_node(self, uint8_t level) noexcept nogil
    cdef int32_t slot_of(self, int32_t s) noexcept nogil
    cdef void add(self, int column, int32_t node, int32_t slot, int32_t width, int32_t exist) noexcept nogil
    cdef void set_state(self, int column, int32_t s, int32_t value) noexcept nogil
    cdef void split_node(self, int32_t node) noexcept nogil
    cdef void insert_at(self, int32_t node, int32_t slot, int32_t s) noexcept nogil
    cdef void insert_after(self, int32_t where, int32_t s) noexcept nogil
    cdef void insert_before(self, int32_t where, int32_t s) noexcept nogil
    cdef int32_t split(self, int32_t s, int32_t offset) except -1
    cdef void lengthen(self, int32_t s, int32_t by) noexcept nogil
    cdef int32_t find(self, int column, int64_t pos, int32_t *offset) noexcept nogil
    cdef int64_t before(self, int column, int32_t s) noexcept nogil
    cdef int64_t total(self, int column) noexcept nogil
    cdef int32_t next_in(self, int32_t **sums, int column, int32_t s) noexcept nogil
    cdef int32_t next_existing(self, int column, int32_t s) noexcept nogil
    cdef int32_t next_shown(self, int column, int32_t s) noexcept nogil
    cdef int order(self, int32_t a, int32_t b) noexcept nogil
    cdef int add_column(self, int like) except -1
    cdef void refresh(self, int column) noexcept nogil
