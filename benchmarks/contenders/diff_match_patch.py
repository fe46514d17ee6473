"""diff-match-patch, the Python package, as it comes.

`Diff_Timeout` is a second of wall time: a diff that takes longer is cut off and coarser. What a peer would
be sent is the text of its patches, which find their place by context, not by history.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from diff_match_patch import diff_match_patch

if TYPE_CHECKING:
    from recordings import Trace

LABEL = "diff-match-patch"
PACKAGE = "diff-match-patch"
KIND = "peer"
TASKS = ("diff", "apply")
MERGES = False
CACHES = False

_package = diff_match_patch()


def empty(agent: int = -1) -> list[str]:
    return [""]


def text(document: list[str]) -> str:
    return document[0]


def exchange(trace: Trace, watch: Collection[int] = ()) -> tuple[list[list[str]], list[str], dict[int, str]]:
    updates, text = [], ""
    for _, _, splices in trace.steps:
        old = text
        for pos, delete, insert in splices:
            text = text[:pos] + insert + text[pos + delete :]
        updates.append(_package.patch_toText(_package.patch_make(old, text)))
    return [[text]], updates, {}


def take(document: list[str], updates: list[str]) -> None:
    text = document[0]
    for update in updates:
        text, _ = _package.patch_apply(_package.patch_fromText(update), text)
    document[0] = text


def diff(old: str, new: str) -> Any:
    return _package.diff_main(old, new)


def patched(old: str, made: Any) -> str:
    if _package.diff_text1(made) != old:
        raise ValueError("the diff is of another text")
    return str(_package.diff_text2(made))
