"""pycrdt: Yrs, the Rust port of Yjs, from Python.

An edit is a transaction; what a peer would be sent is the update of that transaction's event. Positions
are bytes of UTF-8 (`len` too), so a trace beyond ASCII is counted anew before the clock starts. Client
ids are 32 bits wide, as they are when nobody sets them: with ids 1 and 2 updates would look shorter.

Old versions: `Doc.from_snapshot` panics on most versions of real documents (0.14.13: on 14 of 20 of
sveltecomponent), so a version is made from the updates that it consists of. Nothing is kept between two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pycrdt import Doc, Text

if TYPE_CHECKING:
    from recordings import Trace

LABEL = "pycrdt"
PACKAGE = "pycrdt"
KIND = "peer"
TASKS = ("import", "typing", "exchange", "save", "open", "memory", "versions", "slider", "apply")
STORED = ("tail 50", "whole")
MERGES = True
CACHES = False

_CLIENTS = (2_654_435_769, 3_266_489_917, 4_083_286_876)


def empty(agent: int = -1) -> Any:
    return Doc({"text": Text()}, client_id=_CLIENTS[agent] if agent < 2 else _CLIENTS[-1] - agent)


def text(document: Any) -> str:
    return str(document["text"])


def prepare(trace: Trace) -> Trace:
    return trace.in_utf8()


def type_all(trace: Trace) -> Any:
    document = empty(0)
    content = document["text"]
    for _, _, splices in trace.steps:
        with document.transaction():
            for pos, delete, insert in splices:
                if delete:
                    del content[pos : pos + delete]
                if insert:
                    content.insert(pos, insert)
    return document


def exchange(trace: Trace, watch: Collection[int] = ()) -> tuple[list[Any], list[bytes], dict[int, str]]:
    documents = [empty(agent) for agent in range(trace.agents)]
    contents = [document["text"] for document in documents]
    updates: list[bytes] = []
    seen = {}
    typing = False

    def keep(event: Any) -> None:
        if typing:  # what is received causes events as well
            updates.append(event.update)

    for document in documents:
        document.observe(keep)
    for agent, arrived, splices in trace.steps:
        document, content = documents[agent], contents[agent]
        for number in arrived:
            document.apply_update(updates[number])
        typing = True
        with document.transaction():
            for pos, delete, insert in splices:
                if delete:
                    del content[pos : pos + delete]
                if insert:
                    content.insert(pos, insert)
        typing = False
        if len(updates) - 1 in watch:
            seen[len(updates) - 1] = str(content)
    for document, numbers in zip(documents, trace.rest, strict=True):
        for number in numbers:
            document.apply_update(updates[number])
    if len(updates) != len(trace.steps):
        raise ValueError(f"{len(updates)} updates of {len(trace.steps)} transactions")
    return documents, updates, seen


def take(document: Any, updates: list[bytes]) -> None:
    for update in updates:
        document.apply_update(update)


# The fastest way there is. One transaction around all of them took forty times as long on friendsforever
# (0.14.13: about quadratic), and so did `merge_updates`.
take_at_once = take


def save(document: Any) -> list[bytes]:
    return [document.get_update()]


def load(saved: list[bytes]) -> Any:
    document = empty()
    document.apply_update(saved[0])
    return document


def store(trace: Trace, folder: Path) -> None:
    import stored

    (blob,) = save(type_all(trace))
    for figure in STORED:
        stored.put(folder / figure, blob)


def open_stored(folder: Path, figure: str) -> Any:
    import stored

    return load([stored.get(folder / figure)])


def close_stored(document: Any) -> None:
    pass


class Past:
    def __init__(self, trace: Trace, watch: Collection[int] = ()) -> None:
        _, self.updates, self.live = exchange(trace, watch)
        self.made_of = {number: trace.members(number) for number in watch}

    def forget(self) -> None:
        pass

    def text(self, number: int) -> str:
        document = empty()
        updates = self.updates
        for each in self.made_of[number]:
            document.apply_update(updates[each])
        return str(document["text"])


def slide(document: Any, updates: list[bytes], stops: list[int]) -> Iterator[str]:
    start, copy = 0, empty()
    for stop in stops:
        for update in updates[start : stop + 1]:
            copy.apply_update(update)
        start = stop + 1
        yield str(copy["text"])
