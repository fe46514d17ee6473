"""fast-diff-match-patch: diff-match-patch's diff in C++, without its patches.

As it comes: lines are compared first, which is faster and coarser. No clean-up of the result, as ours does
none but what makes it canonical. It stops after a second of wall time, as the Python package does by default;
without that, wholly different texts take it minutes.
"""

from __future__ import annotations

from typing import Any

from fast_diff_match_patch import diff as diff_texts

LABEL = "fast-diff-match-patch"
PACKAGE = "fast-diff-match-patch"
KIND = "peer"
TASKS = ("diff", "different")
MERGES = False
CACHES = False


def empty(agent: int = -1) -> list[str]:
    return [""]


def diff(old: str, new: str) -> Any:
    return diff_texts(old, new, timelimit=1, cleanup="No", counts_only=False)


def patched(old: str, made: Any) -> str:
    if "".join(text for kind, text in made if kind != "+") != old:
        raise ValueError("the diff is of another text")
    return "".join(text for kind, text in made if kind != "-")
