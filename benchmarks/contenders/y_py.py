"""y-py: Yrs, the Rust port of Yjs, by an older Python binding that is no longer developed.

An edit is a transaction; what a peer would be sent is the update of that transaction's event. Positions are
code points (`offset_kind="utf32"`). Client ids are 32 bits wide, as they are when nobody sets them. It is
left out where it does what pycrdt does, more slowly: typing, old versions.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from y_py import YDoc, apply_update, encode_state_as_update

if TYPE_CHECKING:
    from recordings import Trace

LABEL = "y-py"
PACKAGE = "y-py"
KIND = "peer"
TASKS = ("import", "exchange", "open", "memory")
STORED = ("tail 50", "whole")
MERGES = True
CACHES = False

_CLIENTS = (2_654_435_769, 3_266_489_917, 4_083_286_876)


def empty(agent: int = -1) -> Any:
    return YDoc(client_id=_CLIENTS[agent] if agent < 2 else _CLIENTS[-1] - agent, offset_kind="utf32")


def text(document: Any) -> str:
    return str(document.get_text("text"))


def type_all(trace: Trace) -> Any:
    document = empty(0)
    content = document.get_text("text")
    for _, _, splices in trace.steps:
        with document.begin_transaction() as transaction:
            for pos, delete, insert in splices:
                if delete:
                    content.delete_range(transaction, pos, delete)
                if insert:
                    content.insert(transaction, pos, insert)
    return document


def exchange(trace: Trace, watch: Collection[int] = ()) -> tuple[list[Any], list[bytes], dict[int, str]]:
    documents = [empty(agent) for agent in range(trace.agents)]
    contents = [document.get_text("text") for document in documents]
    updates: list[bytes] = []
    typing = False

    def keep(event: Any) -> None:
        if typing:  # what is received causes events as well
            updates.append(event.get_update())

    for document in documents:
        document.observe_after_transaction(keep)
    for agent, arrived, splices in trace.steps:
        document, content = documents[agent], contents[agent]
        for number in arrived:
            apply_update(document, updates[number])
        typing = True
        with document.begin_transaction() as transaction:
            for pos, delete, insert in splices:
                if delete:
                    content.delete_range(transaction, pos, delete)
                if insert:
                    content.insert(transaction, pos, insert)
        typing = False
    for document, numbers in zip(documents, trace.rest, strict=True):
        for number in numbers:
            apply_update(document, updates[number])
    if len(updates) != len(trace.steps):
        raise ValueError(f"{len(updates)} updates of {len(trace.steps)} transactions")
    return documents, updates, {}


def take(document: Any, updates: list[bytes]) -> None:
    for update in updates:
        apply_update(document, update)


take_at_once = take  # as with pycrdt


def save(document: Any) -> list[bytes]:
    return [encode_state_as_update(document)]


def load(saved: list[bytes]) -> Any:
    document = empty()
    apply_update(document, saved[0])
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
