"""loro: the Rust engine's Python binding.

An edit is followed by `commit`, without which edits would be merged into one change. What a peer would be
sent is what `subscribe_local_update` hands over. Positions are code points, peer ids 64 bits wide, as they
are when nobody sets them.

Old versions: `checkout`; `fork_at` took at least three times as long (1.17.1). It keeps a history cache and a
diff calculator between two versions; both can be freed, and that is its cold state. The slider imports every
update in turn: a checkout of every version in turn took ten times as long.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loro import ID, ExportMode, Frontiers, LoroDoc, VersionVector

if TYPE_CHECKING:
    from recordings import Splices, Trace

LABEL = "loro"
PACKAGE = "loro"
KIND = "peer"
TASKS = ("import", "typing", "list", "exchange", "save", "open", "memory", "versions", "slider", "apply")
STORED = ("tail 50", "whole")
MERGES = True
CACHES = True

_FIRST_PEER = 11_400_714_819_323_198_485


def empty(agent: int = -1) -> Any:
    document: Any = LoroDoc()  # type: ignore[no-untyped-call]  # its stub says nothing
    document.peer_id = _FIRST_PEER + agent
    return document


def text(document: Any) -> str:
    return str(document.get_text("text").to_string())


def type_all(trace: Trace) -> Any:
    document = empty(0)
    content = document.get_text("text")
    for _, _, splices in trace.steps:
        for pos, delete, insert in splices:
            if delete:
                content.delete(pos, delete)
            if insert:
                content.insert(pos, insert)
        document.commit()
    return document


def type_list(edits: Splices) -> Any:
    document = empty(0)
    content = document.get_text("text")
    for pos, delete, insert in edits:
        if delete:
            content.delete(pos, delete)
        if insert:
            content.insert(pos, insert)
    document.commit()
    return document


def exchange(trace: Trace, watch: Collection[int] = ()) -> tuple[list[Any], list[bytes], dict[int, str]]:
    documents = [empty(agent) for agent in range(trace.agents)]
    contents = [document.get_text("text") for document in documents]
    updates: list[bytes] = []
    seen = {}

    def keep(update: bytes) -> bool:
        updates.append(update)
        return True

    subscriptions = [document.subscribe_local_update(keep) for document in documents]
    for agent, arrived, splices in trace.steps:
        document, content = documents[agent], contents[agent]
        for number in arrived:
            document.import_(updates[number])
        for pos, delete, insert in splices:
            if delete:
                content.delete(pos, delete)
            if insert:
                content.insert(pos, insert)
        document.commit()
        if len(updates) - 1 in watch:
            seen[len(updates) - 1] = str(content.to_string())
    for document, numbers in zip(documents, trace.rest, strict=True):
        for number in numbers:
            document.import_(updates[number])
    del subscriptions  # which end where nobody holds them
    if len(updates) != len(trace.steps):
        raise ValueError(f"{len(updates)} updates of {len(trace.steps)} transactions")
    return documents, updates, seen


def take(document: Any, updates: list[bytes]) -> None:
    for update in updates:
        document.import_(update)


def take_at_once(document: Any, updates: list[bytes]) -> None:
    document.import_batch(updates)


def save(document: Any) -> list[bytes]:
    """The history and, with loro, the text beside it."""
    return [document.export(ExportMode.Snapshot())]


def load(saved: list[bytes]) -> Any:
    document = empty()
    document.import_(saved[0])
    return document


def store(trace: Trace, folder: Path) -> None:
    """A snapshot, of which no more than the text is decoded; and the log of operations, to be read whole."""
    import stored

    document = type_all(trace)
    stored.put(folder / "tail 50", document.export(ExportMode.Snapshot()))
    stored.put(folder / "whole", document.export(ExportMode.Updates(VersionVector())))


def open_stored(folder: Path, figure: str) -> Any:
    import stored

    return load([stored.get(folder / figure)])


def close_stored(document: Any) -> None:
    pass


class Past:
    def __init__(self, trace: Trace, watch: Collection[int] = ()) -> None:
        self.live: dict[int, str] = {}
        if trace.is_sequential:
            self.document = type_all(trace)
        else:
            (self.document, *_), _, self.live = exchange(trace, watch)
        self.content = self.document.get_text("text")
        # Each code point inserted or deleted is one operation of its peer; a version is named by the last.
        counts = [0] * trace.agents
        self.frontiers = []
        for agent, _, splices in trace.steps:
            counts[agent] += sum(delete + len(insert) for _, delete, insert in splices)
            self.frontiers.append(Frontiers.from_id(ID(_FIRST_PEER + agent, counts[agent] - 1)))

    def forget(self) -> None:
        self.document.checkout_to_latest()
        self.document.free_history_cache()
        self.document.free_diff_calculator()

    def text(self, number: int) -> str:
        self.document.checkout(self.frontiers[number])
        return str(self.content.to_string())


def slide(document: Any, updates: list[bytes], stops: list[int]) -> Iterator[str]:
    start, copy = 0, empty()
    for stop in stops:
        for update in updates[start : stop + 1]:
            copy.import_(update)
        start = stop + 1
        yield text(copy)
