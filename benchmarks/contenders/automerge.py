"""automerge, the Python package's core API.

An edit is a transaction. A character is one operation: inserting several at once makes one element that can't
be divided. Positions are code points. Concurrent traces are left out: there is no way to take another
replica's changes but to merge whole documents, and that didn't end (1.0.0rc1: 5,008 of 26,078 in a minute).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from automerge.core import ROOT, Document, ObjType, ScalarType

if TYPE_CHECKING:
    from recordings import Splices, Trace

LABEL = "automerge"
PACKAGE = "automerge"
KIND = "peer"
TASKS = ("import", "save", "versions")
MERGES = False
CACHES = False


class _Replica:
    def __init__(self, document: Any, content: bytes) -> None:
        self.document = document
        self.content = content

    def edit(self, splices: Splices) -> None:
        with self.document.transaction() as transaction:
            for pos, delete, insert in splices:
                for _ in range(delete):
                    transaction.delete(self.content, pos)
                for at, letter in enumerate(insert, start=pos):
                    transaction.insert(self.content, at, ScalarType.Str, letter)


def empty(agent: int = -1) -> _Replica:
    document = Document()
    with document.transaction() as transaction:
        content = transaction.put_object(ROOT, "text", ObjType.Text)
    return _Replica(document, content)


def text(document: _Replica) -> str:
    return str(document.document.text(document.content))


def type_all(trace: Trace) -> _Replica:
    document = empty(0)
    for _, _, splices in trace.steps:
        document.edit(splices)
    return document


def save(document: _Replica) -> list[bytes]:
    return [document.document.save()]


def load(saved: list[bytes]) -> _Replica:
    document = Document.load(saved[0])
    found = document.get(ROOT, "text")
    assert found is not None
    return _Replica(document, found[1])


class Past:
    def __init__(self, trace: Trace, watch: Collection[int] = ()) -> None:
        self.live: dict[int, str] = {}
        self.replica = empty(0)
        self.heads = {}
        wanted = set(watch)
        for number, (_, _, splices) in enumerate(trace.steps):
            self.replica.edit(splices)
            if number in wanted:
                self.heads[number] = self.replica.document.get_heads()

    def forget(self) -> None:
        pass

    def text(self, number: int) -> str:
        return str(self.replica.document.text(self.replica.content, self.heads[number]))
