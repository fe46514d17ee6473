from typing import Self, final

__all__ = ["SpliceLog", "TextBuffer", "TextPool"]

@final
class TextPool:
    """An append-only run of code points; a text in it is named by where it starts and its length.

    `len(pool)` is the number of code points. Adding costs O(len(text)) amortised, and once
    O(len(pool)) when a text is wider than all before it.
    """

    @property
    def length(self) -> int: ...
    def __len__(self) -> int: ...
    def push(self, text: str) -> int:
        """Append `text` and return where it starts. A lone surrogate in it raises `PatchError`."""
    def read(self, start: int, count: int) -> str:
        """Return the `count` code points from `start` on. `PatchError` if the pool hasn't that many."""
    def check(self) -> None:
        """Derive again what is kept beside the text; `AssertionError` where it doesn't agree."""

@final
class TextBuffer:
    """A text under edit: a gap buffer.

    An edit costs its own size plus its distance from the edit before it; `len` is O(1), `str` O(n).
    """

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
