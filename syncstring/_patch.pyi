from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from syncstring._text import TextBuffer as TextBuffer

__all__ = [
    "MAX_COUNT",
    "Ops",
    "Splice",
    "TextBuffer",
    "apply",
    "compose",
    "consumed",
    "decode_delta",
    "encode_delta",
    "growth",
    "invert",
    "map_position",
    "ops_apply",
    "ops_splices",
    "transform",
]

MAX_COUNT: Final[int]
"""The largest count in a delta: 2^53 - 1."""

Ops: TypeAlias = tuple[int | str, ...]
"""A delta: `5` keeps five code points, `-2` deletes two, `"abc"` inserts."""

class Splice(NamedTuple):
    """`delete` code points at `pos` go, then `insert` comes there. Equal to the plain tuple."""

    pos: int
    delete: int
    insert: str

def apply(text: str, splices: Iterable[Sequence[Any]]) -> str:
    """The text after the sequential splices; `PatchError` where one doesn't fit. Cost: as `TextBuffer`."""

def invert(text: str, splices: Iterable[Sequence[Any]]) -> list[Splice]:
    """What takes the splices back: `apply(apply(text, s), invert(text, s)) == text`.

    `PatchError` where one doesn't fit. Cost: as `TextBuffer`.
    """

def compose(splices: Iterable[Sequence[Any]]) -> Ops:
    """The one delta that does what sequential splices do, canonical. O(n log n) for n splices.

    Each inserts directly after the character that stands before it, left of any that were deleted
    there; what is inserted and deleted again leaves no trace. `PatchError` for a splice with a
    negative number or a lone surrogate. `ops_apply(text, compose(s)) == apply(text, s)`.
    """

def ops_splices(ops: Ops) -> list[Splice]:
    """A delta as sequential splices: insertions first, then deletions from the right; one that directly
    follows its insertion is one splice with it. `compose(ops_splices(ops)) == ops` if `ops` is canonical.
    """

def consumed(ops: Ops) -> int:
    """How long the text before must be at least: what the delta keeps and deletes."""

def growth(ops: Ops) -> int:
    """By how much the delta lengthens a text."""

def ops_apply(text: str, ops: Ops) -> str:
    """The text after one delta; `PatchError` where it consumes more than there is. O(len(text))."""

def transform(
    splices: Iterable[Sequence[Any]], over: Iterable[Sequence[Any]], first: bool = False
) -> list[Splice]:
    """`splices` as they are done after `over`, where both were made on one text.

    Of two insertions at one place `over`'s stands left, unless `first`. For any a, b that fit a text:
    `apply(apply(text, b), transform(a, b)) == apply(apply(text, a), transform(b, a, first=True))`.
    For two editors and one server between them (TP1); merging more needs a history.
    """

def map_position(
    pos: int, splices: Iterable[Sequence[Any]], sticks: Literal["after", "before"] = "after"
) -> int:
    """Where a position is after the splices, as code points.

    It stays with the character after it (an insertion at `pos` pushes it on) or before it. Text that
    replaces other text stands left of it, so a position inside or at the end of what is replaced
    comes to stand after the new text; one at its beginning does what it `sticks` to.
    """

def encode_delta(ops: Ops) -> str:
    """A delta as it stands in a row: operations `=n`, `-n`, `+text` joined by tabs."""

def decode_delta(delta: str) -> Ops:
    """`encode_delta` back. `MalformedRow`, saying where, unless it is in canonical form;
    `UnsupportedVersion` for an operation that is none of these. `decode_delta(encode_delta(ops)) == ops`.
    """
