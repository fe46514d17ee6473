"""A plain `str`, sliced and joined at each edit: what there is without any engine.

It keeps no history, merges nothing and sends nothing. No peer, but a yardstick: on small texts it is hard
to beat. An old version is made by replaying the edits from the start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from platform import python_version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recordings import Splices, Trace

LABEL = "str"
PACKAGE = None
VERSION = f"of Python {python_version()}"
KIND = "yardstick"
TASKS = ("typing", "versions", "slider", "apply")
MERGES = False
CACHES = False


def empty(agent: int = -1) -> list[str]:
    return [""]


def text(document: list[str]) -> str:
    return document[0]


def type_all(trace: Trace) -> list[str]:
    text = ""
    for _, _, splices in trace.steps:
        for pos, delete, insert in splices:
            text = text[:pos] + insert + text[pos + delete :]
    return [text]


def exchange(
    trace: Trace, watch: Collection[int] = ()
) -> tuple[list[list[str]], list[Splices], dict[int, str]]:
    return [type_all(trace)], [splices for _, _, splices in trace.steps], {}


def take(document: list[str], updates: list[Splices]) -> None:
    text = document[0]
    for splices in updates:
        for pos, delete, insert in splices:
            text = text[:pos] + insert + text[pos + delete :]
    document[0] = text


class Past:
    def __init__(self, trace: Trace, watch: Collection[int] = ()) -> None:
        _, self.updates, self.live = exchange(trace, watch)

    def forget(self) -> None:
        pass

    def text(self, number: int) -> str:
        text = ""
        for splices in self.updates[: number + 1]:
            for pos, delete, insert in splices:
                text = text[:pos] + insert + text[pos + delete :]
        return text


def slide(document: list[str], updates: list[Splices], stops: list[int]) -> Iterator[str]:
    start, text = 0, ""
    for stop in stops:
        for splices in updates[start : stop + 1]:
            for pos, delete, insert in splices:
                text = text[:pos] + insert + text[pos + delete :]
        start = stop + 1
        yield text
