/* A gap buffer that replays splices: what typing costs where nothing but the text is kept. UNIT is the width
 * of a character. Nothing is checked: the edits are known to fit. */
#include <stdlib.h>
#include <string.h>

typedef struct { UNIT *at; long size, gap, rest; } buffer; /* text: [0, gap) and [rest, size) */

static void room(buffer *b, long need) {
    if (b->rest - b->gap >= need) return;
    long size = b->size * 2 + need, tail = b->size - b->rest;
    b->at = realloc(b->at, size * sizeof(UNIT));
    memmove(b->at + size - tail, b->at + b->rest, tail * sizeof(UNIT));
    b->rest = size - tail;
    b->size = size;
}

/* The splices, and what all of them insert in one run; returns the text, its length in *length. */
UNIT *replay(long count, const long *pos, const long *gone, const long *added, const UNIT *text, long *length) {
    buffer b = {malloc(64 * sizeof(UNIT)), 64, 0, 64};
    for (long i = 0; i < count; i++) {
        if (pos[i] < b.gap) {
            long move = b.gap - pos[i];
            memmove(b.at + b.rest - move, b.at + pos[i], move * sizeof(UNIT));
            b.rest -= move;
        } else if (pos[i] > b.gap) {
            memmove(b.at + b.gap, b.at + b.rest, (pos[i] - b.gap) * sizeof(UNIT));
            b.rest += pos[i] - b.gap;
        }
        b.gap = pos[i];
        b.rest += gone[i];
        room(&b, added[i]);
        memcpy(b.at + b.gap, text, added[i] * sizeof(UNIT));
        b.gap += added[i];
        text += added[i];
    }
    long tail = b.size - b.rest;
    memmove(b.at + b.gap, b.at + b.rest, tail * sizeof(UNIT));
    *length = b.gap + tail;
    return b.at;
}
