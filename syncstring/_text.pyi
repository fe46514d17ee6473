from typing import Self, final

from syncstring._pool import TextPool

__all__ = ["SpliceLog", "TextBuffer"]

@final
class TextBuffer:
    """A text under edit: one block with a gap wherever somebody types.

    An edit costs its own size plus its distance from the nearest of up to sixteen gaps; amortised, never more
    than twice what one gap would cost. `len` is O(1), `str` O(n).
    """

    @property
    def gaps(self) -> int:
        """How many there are: 1 to 16."""
    @property
    def moved(self) -> int:
        """How many code points were moved to make way, in all: what edits cost beyond their own size."""

    def __new__(cls, text: str = "") -> Self: ...
    def __len__(self) -> int: ...
    def splice(self, pos: int, delete: int, insert: str) -> None:
        """Replace the `delete` code points at `pos` by `insert`; out of range raises `PatchError`.

        A lone surrogate in `insert` is refused too. Whatever raises changes nothing.
        """
    def slice(self, start: int, stop: int) -> str:
        """Return the text from `start` up to `stop`; `PatchError` unless 0 <= start <= stop <= len."""
    def copy(self) -> TextBuffer:
        """Return an independent buffer with the same text."""
    def check(self) -> None:
        """Derive again what is kept beside the text; `AssertionError` where it doesn't agree."""

@final
class SpliceLog:
    """Sequential splices as columns; what they insert are ranges of `pool`.

    Appending is O(1) amortised. `replay` is the loop that time travel runs on: nothing in it makes
    a Python object.
    """

    @property
    def pool(self) -> TextPool: ...
    @property
    def length(self) -> int: ...
    def __new__(cls, pool: TextPool) -> Self: ...
    def __len__(self) -> int: ...
    def push(self, pos: int, delete: int, start: int, count: int) -> None:
        """Append a splice that inserts the `count` code points at `start` of the pool.

        `PatchError` for negative numbers and for a range that the pool hasn't. Whether the splice
        fits a text shows in `replay` only.
        """
    def splices(self, first: int, last: int) -> list[tuple[int, int, str]]:
        """Return the splices `first` up to `last` as tuples `(pos, delete, insert)`."""
    def join(self) -> None:
        """Make one of neighbours that type on, delete on, or delete the end of what was just typed: a text
        and any position in it come out the same. O(n)."""
    def truncate(self, n: int) -> None:
        """Forget all but the first `n` splices; the pool keeps their texts."""
    def replay(self, buffer: TextBuffer, first: int, last: int) -> None:
        """Apply the splices `first` up to `last` to `buffer`, in order.

        One that doesn't fit raises `PatchError`; the buffer then stands as those before it left it.
        Costs what the edits cost (see `TextBuffer`), about 10 ns each for typing.
        """
    def check(self) -> None:
        """Derive again what is kept beside the splices; `AssertionError` where it doesn't agree."""
