from typing import Final

from syncstring._patch import Splice

__all__ = ["BUDGET", "diff", "diff_counted"]

BUDGET: Final[int]

def diff(old: str, new: str, cursor: int | None = None) -> list[Splice]:
    """Return the splices that make `new` of `old`, in order, each as `(pos, delete, insert)`.

    `apply(old, diff(old, new)) == new`. They are as diff-match-patch has them: few and readable, not
    always the fewest. `cursor` is where the caret stands in `new`: of a single insertion or deletion
    that could stand in several places, that one is returned which ends (or was made) there.
    `PatchError` for a cursor outside `new` and for lone surrogates.
    Cost: O((n + m) (d + 1)) for d deleted or inserted code points, whichever are fewer, while that is
    below BUDGET steps, O(n + m) beyond.
    """

def diff_counted(old: str, new: str, budget: int = ...) -> tuple[list[Splice], int]:
    """Return `(splices, steps)`: what `diff` gives under that budget, and the steps it took.

    A step is one diagonal visited by a bisection, or 8 bytes compared along it after the first 8. No
    more than `budget` are made; with as many as are needed, the splices are those of diff-match-patch.
    """
