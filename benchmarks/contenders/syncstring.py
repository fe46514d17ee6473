"""syncstring, by the names that its README shows.

Each edit is committed as a patch of its own and stays in `outgoing`, as in an editor whose session lags.
The clock is a counter: 150 ms and some microseconds from keystroke to keystroke, so that patches have as
many bytes as in life, and runs repeat.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from syncstring import Document, Patch, apply
from syncstring import diff as diff_texts
from syncstring._text import TextBuffer  # what an editor holds, in place of one
from syncstring.pack import decode, encode

if TYPE_CHECKING:
    from recordings import Trace

LABEL = "syncstring"
PACKAGE = "syncstring"
KIND = "ours"
TASKS = ("import", "typing", "exchange", "save", "versions", "slider", "diff", "apply")
MERGES = True
CACHES = True

_clock = count(1_600_000_000_000_000, 150_137).__next__  # asked once a commit
_SESSIONS = ("k3x9q0p4m1za", "w8c2v7b5n6td", "h4j1f9s0g3ry")


def empty(agent: int = -1) -> Document:
    return Document(session=_SESSIONS[agent] if agent < 2 else f"agent{agent:07}", author="ada", clock=_clock)


def text(document: Document) -> str:
    return document.text


def type_all(trace: Trace) -> Document:
    document = empty(0)
    for _, _, splices in trace.steps:
        for pos, delete, insert in splices:
            document.splice(pos, delete, insert)
        document.commit()
    return document


def exchange(trace: Trace, watch: Collection[int] = ()) -> tuple[list[Document], list[bytes], dict[int, str]]:
    documents = [empty(agent) for agent in range(trace.agents)]
    updates: list[bytes] = []
    seen = {}
    for agent, arrived, splices in trace.steps:
        document = documents[agent]
        for number in arrived:
            document.receive([Patch.from_bytes(updates[number])])
        for pos, delete, insert in splices:
            document.splice(pos, delete, insert)
        patch = document.commit()
        assert patch is not None  # each transaction changes something
        updates.append(patch.to_bytes())
        if len(updates) - 1 in watch:
            seen[len(updates) - 1] = document.text
    for document, numbers in zip(documents, trace.rest, strict=True):
        for number in numbers:
            document.receive([Patch.from_bytes(updates[number])])
    if sum(len(document.outgoing) for document in documents) != len(trace.steps):
        raise ValueError("a transaction was too long for one patch")
    return documents, updates, seen


def take(document: Document, updates: list[bytes]) -> None:
    for update in updates:
        document.receive([Patch.from_bytes(update)])


def take_at_once(document: Document, updates: list[bytes]) -> None:
    document.receive([Patch.from_bytes(update) for update in updates])


def save(document: Document) -> list[bytes]:
    """One pack, as a store would keep it, without a checkpoint of the text."""
    return list(encode(document.history))


def load(saved: list[bytes]) -> Document:
    return Document(session="loader", author="ada", clock=_clock, patches=decode(*saved))


class Past:
    def __init__(self, trace: Trace, watch: Collection[int] = ()) -> None:
        self.live: dict[int, str] = {}
        if trace.is_sequential:
            documents = [type_all(trace)]
        else:
            documents, _, self.live = exchange(trace, watch)
        self.history = documents[0].history
        # Transactions are made in the order of the clock, so their patches' ids ascend.
        self.ids = sorted(patch.id for document in documents for patch in document.outgoing)

    def forget(self) -> None:
        self.history.drop_caches()

    def text(self, number: int) -> str:
        return self.history.text_at([self.ids[number]])


def slide(document: Document, updates: list[bytes], stops: list[int]) -> Iterator[str]:
    start, editor = 0, TextBuffer()
    document.history.drop_caches()
    versions = document.history.splices()
    for stop in stops:
        for splices in versions[start : stop + 1]:
            for pos, delete, insert in splices:
                editor.splice(pos, delete, insert)
        start = stop + 1
        yield str(editor)


def all_splices(document: Document) -> None:
    document.history.drop_caches()
    document.history.splices()


def diff(old: str, new: str) -> Any:
    return diff_texts(old, new)


def patched(old: str, made: Any) -> str:
    return apply(old, made)
