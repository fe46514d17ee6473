"""fast-diff-match-patch, asked for the best diff, as ours is: characters only, no time limit.

Not for wholly different texts, which would take it minutes.
"""

from __future__ import annotations

from typing import Any

from fast_diff_match_patch import diff as diff_texts

LABEL = "fast-diff-match-patch, exact"
PACKAGE = "fast-diff-match-patch"
KIND = "peer"
TASKS = ("diff",)
MERGES = False
CACHES = False


def empty(agent: int = -1) -> list[str]:
    return [""]


def diff(old: str, new: str) -> Any:
    return diff_texts(old, new, timelimit=0, checklines=False, cleanup="No", counts_only=False)


def patched(old: str, made: Any) -> str:
    if "".join(text for kind, text in made if kind != "+") != old:
        raise ValueError("the diff is of another text")
    return "".join(text for kind, text in made if kind != "-")
