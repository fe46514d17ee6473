"""The values: who changed what, knowing what, when.

The law of this room. A patch never changes once made, and equal patches are equal bytes: only one
spelling of each is well-formed, whether as a row or in its compact form. The rules that say so are in
`rules.py`, the object itself in `_values`: here both have their public place, beside what makes patches of
an edit that is too long for one.

Knows no history, document or store. The format is written down in FORMAT.md.
"""

from __future__ import annotations

from syncstring._patch import Ops, encode_delta
from syncstring._values import Patch
from syncstring.rules import (
    MAX_AUTHOR,
    MAX_MESSAGE,
    MAX_OPERATIONS,
    MAX_PARENTS,
    MAX_ROW,
    MAX_TIME,
    MAX_TIME_STEP,
    MIN_WILD_TIME,
    Id,
    canonical_bytes,
    doc_of_row,
    flaw_of_time,
    id_of_row,
    is_session,
)

__all__ = [
    "MAX_AUTHOR", "MAX_MESSAGE", "MAX_OPERATIONS", "MAX_PARENTS", "MAX_ROW", "MAX_TIME", "MAX_TIME_STEP",
    "MIN_WILD_TIME", "Id", "Patch", "canonical_bytes", "chained", "doc_of_row",
    "flaw_of_time", "id_of_row", "is_session",
]  # fmt: skip

_KEEP, _INSERT, _DELETE = 0, 1, 2

# --- deltas that are too long for one row ------------------------------------------------------------

_DELTA_ROOM = MAX_ROW - (100 << 10)  # beside 1,024 parents, a message and an author at their longest
_PIECE = 1 << 15


def chained(ops: Ops) -> list[Ops]:
    """The deltas, one on the other, that together do what `ops` does; each fits a row. Often just itself.

    `ops_apply` one after the other gives the same text, and in a merge, too, every character comes to
    stand where it would. O(len(ops)).
    """
    text = sum(len(op) for op in ops if isinstance(op, str))
    if len(ops) <= MAX_OPERATIONS and 6 * text + 19 * len(ops) <= _DELTA_ROOM:
        return [ops]
    chain: list[list[int | str]] = [[]]
    size = 0
    for op in ops:
        starts = range(0, len(op), _PIECE) if isinstance(op, str) else (0,)
        for part in (op[start : start + _PIECE] if isinstance(op, str) else op for start in starts):
            link = chain[-1]
            weight = 19 + (len(canonical_bytes({"": encode_delta((part,))})) if isinstance(part, str) else 0)
            if size + weight > _DELTA_ROOM or len(link) >= MAX_OPERATIONS - 1:
                # A deletion goes with the insertion behind it, which would else come to stand before it.
                held = [link.pop()] if isinstance(part, str) and _kind(link[-1]) == _DELETE else []
                done = sum(len(op) if isinstance(op, str) else max(op, 0) for op in link)
                link = [done, *held]
                chain.append(link)
                size = 19 * len(link)
            size += weight
            if link and _kind(link[-1]) == _kind(part):
                link[-1] += part  # type: ignore[operator]  # two texts or two counts
            else:
                link.append(part)
    for link in chain:
        if link and _kind(link[-1]) == _KEEP:
            link.pop()
    return [tuple(link) for link in chain if link]


def _kind(op: int | str) -> int:
    return _INSERT if isinstance(op, str) else _KEEP if op > 0 else _DELETE
