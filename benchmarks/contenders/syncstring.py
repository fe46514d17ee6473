"""syncstring, by the names that its README shows.

Each edit is committed as a patch of its own and stays in `outgoing`, as in an editor whose session lags.
The clock is a counter: 150 ms and some microseconds from keystroke to keystroke, so that patches have as
many bytes as in life, and runs repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import count
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

from syncstring import Document, History, Patch, apply
from syncstring import diff as diff_texts
from syncstring._pool import TextPool
from syncstring._text import SpliceLog, TextBuffer  # what an editor holds, in place of one
from syncstring.pack import encode, pieces

if TYPE_CHECKING:
    from recordings import Splices, Step, Trace

LABEL = "syncstring"
PACKAGE = "syncstring"
KIND = "ours"
TASKS = (
    "import", "start", "typing", "list", "kernel", "exchange", "save", "times", "open", "memory", "versions",
    "slider", "every", "diff", "different", "apply", "branches",
)  # fmt: skip
STORED = (
    "tail 50", "tail 1000", "tail 50, synced", "tail 1000, synced", "tail 50, 10 x", "tail 1000, 10 x",
    "whole",
)  # fmt: skip
COMMANDS = {"import": ["-c", "import syncstring"], "help": ["-m", "syncstring", "--help"]}
MERGES = True
CACHES = True

_clock = count(1_600_000_000_000_000, 150_137).__next__  # asked once a commit
_SESSIONS = ("k3x9q0p4m1za", "w8c2v7b5n6td", "h4j1f9s0g3ry")


def empty(agent: int = -1, clock: Callable[[], int] = _clock) -> Document:
    return Document(session=_SESSIONS[agent] if agent < 2 else f"agent{agent:07}", author="ada", clock=clock)


def text(document: Document) -> str:
    return document.text


def type_all(trace: Trace) -> Document:
    document = empty(0)
    for _, _, splices in trace.steps:
        for pos, delete, insert in splices:
            document.splice(pos, delete, insert)
        document.commit()
    return document


def type_sent(trace: Trace) -> Document:
    """The same, and what is outgoing is handed on every thousand commits, as a session does."""
    document = empty(0)
    for number, (_, _, splices) in enumerate(trace.steps):
        for pos, delete, insert in splices:
            document.splice(pos, delete, insert)
        document.commit()
        if number % 1_000 == 999:
            document.outgoing = []
    document.outgoing = []
    return document


def type_list(edits: Splices) -> Document:
    document = empty(0)
    if each := getattr(document, "commit_each", None):
        each(edits)
    else:
        for pos, delete, insert in edits:
            document.splice(pos, delete, insert)
            document.commit()
    return document


def replayer(edits: Splices) -> Callable[[], TextBuffer]:
    log = SpliceLog(pool := TextPool())
    for pos, delete, insert in edits:
        log.push(pos, delete, pool.push(insert), len(insert))

    def replay() -> TextBuffer:
        buffer = TextBuffer()
        log.replay(buffer, 0, len(log))
        return buffer

    return replay


class _Recorded:
    """A clock that shows when each step was recorded."""

    def __init__(self, times: Iterable[int]) -> None:
        self.times = times
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def through(self, steps: Iterable[Step]) -> Iterator[Step]:
        for step, time in zip(steps, self.times, strict=True):
            self.now = time
            yield step


def type_recorded(trace: Trace, times: list[int] | None = None) -> Document:
    """All that was recorded, at the recorded times or those."""
    clock = _Recorded(times or trace.times)
    if not trace.is_sequential:
        return exchange(trace, clock=clock)[0][0]
    document = Document(session=_SESSIONS[0], author="ada", clock=clock)
    for _, _, splices in clock.through(trace.steps):
        for pos, delete, insert in splices:
            document.splice(pos, delete, insert)
        document.commit()
    return document


def commit(document: Document, splices: Splices) -> bytes:
    for pos, delete, insert in splices:
        document.splice(pos, delete, insert)
    patch = document.commit()
    assert patch is not None
    return patch.to_bytes()


def exchange(
    trace: Trace, watch: Collection[int] = (), clock: _Recorded | None = None
) -> tuple[list[Document], list[bytes], dict[int, str]]:
    documents = [empty(agent, clock or _clock) for agent in range(trace.agents)]
    updates: list[bytes] = []
    seen = {}
    for agent, arrived, splices in clock.through(trace.steps) if clock else trace.steps:
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


def take_rows(document: Document, documents: list[Document]) -> Callable[[], object]:
    rows = [patch.to_row("0" * 40) for each in documents for patch in each.outgoing]
    return lambda: document.receive(rows)


def save(document: Document) -> list[bytes]:
    """The sections of the packs that a store would keep, without a checkpoint of the text."""
    return [section for piece in pieces(document.history) for section in encode(piece)]


def load(saved: list[bytes]) -> Document:
    history = History.of_packs(zip(saved[::2], saved[1::2], strict=True))
    return Document(session="loader", author="ada", clock=_clock, patches=history)


# --- stored -----------------------------------------------------------------------------------------------


def store(trace: Trace, folder: Path) -> None:
    """Two histories, each once with 1,000 patches as rows and all others in packs, once with 50."""
    from derived import repeated

    for times, name in ((1, ""), (10, ", 10 x")):
        clock = _Recorded(())
        document = Document(session=_SESSIONS[0], author="ada", clock=clock)
        for splices, clock.now in repeated(trace, times):
            for pos, delete, insert in splices:
                document.splice(pos, delete, insert)
            document.commit()
        patches, document = document.outgoing, empty()
        lay(folder, name, patches)
    copyfile(folder / "tail 50", folder / "whole")


def lay(folder: Path, name: str, patches: list[Patch]) -> None:
    """A store with a tail of 1,000 rows, and one with 50, of this history."""
    asyncio.run(_lay(folder, name, patches))


async def _lay(folder: Path, name: str, patches: list[Patch]) -> None:
    from secrets import token_hex

    from syncstring.archive import Archive, find_document
    from syncstring.imports import take_in
    from syncstring.store import open_store

    def fresh() -> str:
        return token_hex(20)

    paths = {tail: folder / f"tail {tail}{name}" for tail in (1_000, 50)}
    early, between, last = patches[:-1_000], patches[-1_000:-50], patches[-50:]
    async with await open_store(f"sqlite:{paths[1_000]}") as store:
        doc = await find_document(store, "paper", fresh)
        await take_in(store, doc, fresh, early)
        await Archive(store, doc, fresh).pack(everything=True)  # what was too little to be packed at once
    copyfile(paths[1_000], paths[50])
    for tail, path in paths.items():
        async with await open_store(f"sqlite:{path}") as store:
            archive = Archive(store, doc, fresh)
            for rows in (between, last):
                for start in range(0, len(rows), 500):
                    await store.insert("patches", [patch.to_row(doc) for patch in rows[start : start + 500]])
                if tail == 50 and rows is between:
                    await archive.pack(everything=True)
            left = len(await archive.rows())
            if left != min(tail, len(patches)):
                raise ValueError(f"{left} rows are left of {tail}")


def open_stored(folder: Path, figure: str) -> Any:
    from syncstring import open as open_document

    file = folder / figure.removesuffix(", synced")
    document = open_document(file, "paper", author="ada", create=False)
    if figure.endswith("synced"):
        document.sync()
    if figure == "whole":
        len(document.versions)
    return document


def close_stored(document: Any) -> None:
    document.close()


# --- the past ---------------------------------------------------------------------------------------------


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


def every(document: Document) -> Iterator[str]:
    document.history.drop_caches()
    for n in range(len(document.history) + 1):
        yield document.at(n)


def all_splices(document: Document) -> None:
    document.history.drop_caches()
    document.history.splices()


def diff(old: str, new: str) -> Any:
    return diff_texts(old, new)


def patched(old: str, made: Any) -> str:
    return apply(old, made)
