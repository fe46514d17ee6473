from typing import final

__all__ = ["TextPool"]

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
