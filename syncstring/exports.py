"""Histories out: as a recorded trace, as rows, as a stream for `git fast-import`.

The law of this room. The same history gives the same bytes. What a format can carry is carried: a trace
read back by `read_trace` has the texts and the graph of the history, with its times and authors; rows are
the patches themselves; in git, the file in every commit is exactly the text of the version that the commit's
patch names, the parents are the patch's, in every branch. What a format can't carry (ids and messages in
traces, parts of a second and ids in git) is left out; nothing is made up but what a format demands, and that
is named below.

It opens nothing and runs nothing: bytes come out, in pieces, and what is a piece means nothing. Sources: the
editing-traces collection's README; git's git-fast-import and git-check-ref-format manuals.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from syncstring._patch import TextBuffer, ops_splices
from syncstring.errors import PatchError
from syncstring.history import History
from syncstring.patch import canonical_bytes

__all__ = ["is_git_ref", "to_git", "to_rows", "to_trace"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXTS_KEPT: Final = 16  # of branches that are open at once; others are made anew

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


# --- rows -------------------------------------------------------------------------------------------------


def to_rows(history: History, doc: str) -> Iterator[bytes]:
    """Every patch, the parked ones too, as a line: its row in canonical form, in time order.

    `read_rows` is the exact inverse. `PatchError` unless `doc` is a document's key; `HistoryTruncated` if the
    history begins with a base. O(bytes).
    """
    history.whole()
    for patch in history.patches():
        yield canonical_bytes(patch.to_row(doc)) + b"\n"


# --- recorded traces --------------------------------------------------------------------------------------


def to_trace(history: History) -> Iterator[bytes]:
    """A recorded trace, of the concurrent kind: JSON in UTF-8, a transaction a line.

    A transaction is a patch, an agent is a session, by its rank: so ties between agents fall as they did.
    `agents`, their authors' names, is our addition to the format. Times are those that order the patches, in
    microseconds. Messages, what authors' own clocks said, ids and parked patches aren't carried; a patch
    that doesn't fit its parents' text comes out as the empty one that it counts as. A patch that nearly fills
    a row (900 KiB) may be read back as two. `HistoryTruncated` if the history begins with a base.
    """
    history.whole()
    graph = history.graph
    count = len(graph)
    end = history.text()  # judges what doesn't fit
    sessions = sorted({graph.id_of(event)[1] for event in range(count)})
    agents = {session: number for number, session in enumerate(sessions)}
    names = [""] * len(sessions)
    for event in reversed(graph.order_until(count)):  # the first author, if a session has several
        names[agents[graph.id_of(event)[1]]] = graph.author_of(event)
    if not names:
        names = ["nobody"]  # a trace has at least one agent
    yield f'{{"kind":"concurrent","numAgents":{len(names)},"agents":{_encode(names)},\n"txns":['.encode()
    separator = b"\n"
    for event in graph.order_until(count):
        txn = {
            "agent": agents[graph.id_of(event)[1]],
            "parents": sorted(map(graph.place_of, graph.parents_of(event))),
            "time": _time(graph.time_of(event)),
            "patches": [] if graph.is_misfit(event) else ops_splices(graph.ops_of(event)),
        }
        yield separator + _encode(txn).encode()
        separator = b",\n"
    yield f'],\n"endContent":{_encode(end)}}}\n'.encode()


def _time(time: int) -> str:
    return (_EPOCH + timedelta(microseconds=time)).isoformat().replace("+00:00", "Z")


# --- git --------------------------------------------------------------------------------------------------


def to_git(
    history: History,
    path: str,
    *,
    ref: str = "refs/heads/main",
    pause: int | None = None,
    most: int = 1_000,
    tags: Mapping[str, Iterable[tuple[int, str]]] | None = None,
) -> Iterator[bytes]:
    """A stream for `git fast-import`: the history of one file, `path`, on one branch.

    A commit is a patch; or, with a `pause` (microseconds), a run of patches by one author, each directly on
    the one before and no later than that after it, with nothing else on any of them but the last: so every
    version at which somebody else joined in is a commit. A message ends a run, and so do `most` patches.
    Git's author date is what the author's own clock said, the committer date is the time that orders patches,
    both in UTC.

    `ref` ends at what is known. Where that has several heads, or a tag (name -> heads, as `refs/tags/NAME`)
    has, one more commit merges them; its author is "syncstring". What git doesn't bear in names and messages
    (`<`, `>`, control characters, U+0000) is replaced, "Ada <ada@example.org>" becomes name and address, else
    the address is empty; a message that is missing stays empty. Parked patches aren't in it.

    `PatchError` says that git can't have such a path or ref, `UnknownVersion` that a tag's heads aren't here,
    `HistoryTruncated` that the history begins with a base. Each commit has the whole text: O(commits × text).
    """
    history.whole()
    name = _git_path(path)
    wanted = {f"refs/tags/{tag}": history.events(heads) for tag, heads in (tags or {}).items()}
    wanted[ref] = history.graph.heads  # last: until then it is where the commits are put
    for one in wanted:
        if not is_git_ref(one):
            raise PatchError(f"git can't have a ref {one!r:.120}; see `git help check-ref-format`")
    return _Stream(history, name, ref).write(wanted, pause, most)


class _Stream:
    """Commits, parents first, each under the number of its mark."""

    def __init__(self, history: History, path: bytes, ref: str) -> None:
        self.graph = history.graph
        self.merge = history.merge
        self.path = path
        self.ref = ref.encode()
        self.marks: dict[int, int] = {}  # of the event that a commit ends with
        self.texts: OrderedDict[tuple[int, ...], str] = OrderedDict()

    def write(self, wanted: Mapping[str, tuple[int, ...]], pause: int | None, most: int) -> Iterator[bytes]:
        graph = self.graph
        count = len(graph)
        self.merge.script(count)  # judges what doesn't fit
        ends = {event for heads in wanted.values() for event in heads}
        follower = self._followers(ends, pause)
        # Without this, half a stream would pass for a whole one.
        yield b"feature done\n"
        runs: dict[int, list[int]] = {}  # the run so far, by its last event
        for event in graph.order_until(count):
            parents = graph.parents_of(event)
            before = parents[0] if len(parents) == 1 and follower[parents[0]] == event else -1
            run = runs.pop(before, [])
            run.append(event)
            if follower[event] >= 0 and len(run) < most:
                runs[event] = run
            else:
                yield from self._commit_run(run)
        merged: dict[tuple[int, ...], int] = {}
        for name, heads in wanted.items():
            mark = self.marks[heads[0]] if len(heads) == 1 else merged.get(heads, 0)
            if not mark and heads:
                mark = merged[heads] = len(self.marks) + len(merged) + 1
                yield from self._commit_merge(mark, heads)
            if mark:  # git has no commit for the empty version
                yield b"reset %s\nfrom :%d\n\n" % (name.encode(), mark)
        yield b"done\n"

    def _followers(self, ends: set[int], pause: int | None) -> list[int]:
        """For each event the one that goes on with its commit, or -1."""
        graph = self.graph
        follower = [-1] * len(graph)
        if pause is None:
            return follower
        children = [0] * len(graph)
        for event in range(len(graph)):
            parents = graph.parents_of(event)
            for parent in parents:
                children[parent] += 1
            if len(parents) == 1:
                follower[parents[0]] = event
        for event, child in enumerate(follower):
            if child >= 0 and (
                children[event] > 1
                or event in ends
                or graph.message_of(event) is not None
                or graph.author_of(event) != graph.author_of(child)
                or graph.time_of(child) - graph.time_of(event) > pause
            ):
                follower[event] = -1
        return follower

    def _commit_run(self, run: list[int]) -> Iterator[bytes]:
        """One commit for events of which each stands on just the one before."""
        graph = self.graph
        first, last = run[0], run[-1]
        session = graph.id_of(first)[1]
        # The own branch first, as where git merges.
        parents = sorted(graph.parents_of(first), key=lambda event: (graph.id_of(event)[1] != session, event))
        self.marks[last] = mark = len(self.marks) + 1
        signed = _signed(graph.author_of(last), graph.wall_of(last), graph.time_of(last))
        yield from self._commit(mark, signed, graph.message_of(last) or "", parents, self._text(run))

    def _commit_merge(self, mark: int, heads: tuple[int, ...]) -> Iterator[bytes]:
        """A commit of ours, for a version that no patch names."""
        time = max(map(self.graph.time_of, heads))
        text = self.merge.text_at(heads)
        signed = _signed("syncstring", time, time)
        yield from self._commit(mark, signed, f"Merge {len(heads)} heads", heads, text)

    def _commit(
        self, mark: int, signed: bytes, message: str, parents: Iterable[int], text: str
    ) -> Iterator[bytes]:
        verbs = [b"from :%d\n", b"merge :%d\n"]
        lines = [verbs[place > 0] % self.marks[parent] for place, parent in enumerate(parents)]
        said = message.replace("\0", "\ufffd").encode()
        data = text.encode()
        if not lines:
            yield b"reset %s\n" % self.ref  # else the branch's last commit would be taken for the parent
        yield b"commit %s\nmark :%d\n%sdata %d\n%s\n" % (self.ref, mark, signed, len(said), said)
        yield b"%sM 100644 inline %s\ndata %d\n" % (b"".join(lines), self.path, len(data))
        yield data
        yield b"\n\n"

    def _text(self, run: list[int]) -> str:
        """The text after a run's last event. O(text), where what it begins with was written lately."""
        graph = self.graph
        parents = graph.parents_of(run[0])
        before = self.texts.get(parents)
        if before is None:
            before = self.merge.text_at(parents) if parents else ""
        buffer = TextBuffer(before)
        for event in run:
            if not graph.is_misfit(event):
                for pos, delete, insert in ops_splices(graph.ops_of(event)):
                    buffer.splice(pos, delete, insert)
        text = self.texts[run[-1],] = str(buffer)
        if len(self.texts) > _TEXTS_KEPT:
            self.texts.popitem(last=False)
        return text


_WITH_ADDRESS = re.compile(r"(.*?) *<([^<>]*)>", re.DOTALL)
_BRACKETS = str.maketrans("<>", "()")
_CONTROLS = re.compile("[\0-\x1f\x7f]+")


def _signed(author: str, wall: int, time: int) -> bytes:
    """Who and when: a name, which may be empty, a space, an address in angle brackets, seconds."""
    author = _CONTROLS.sub(" ", author).strip(" ")
    found = _WITH_ADDRESS.fullmatch(author)
    name, address = (found[1], found[2].strip(" ")) if found else (author, "")
    person = f"{name.translate(_BRACKETS).strip(' ')} <{address}>".encode()
    return b"author %s %d +0000\ncommitter %s %d +0000\n" % (
        person, wall // 1_000_000, person, time // 1_000_000,
    )  # fmt: skip


def _git_path(path: str) -> bytes:
    """A path as a stream has it. `PatchError` for what can't be one in a tree of git's."""
    try:
        data = path.encode()
    except UnicodeEncodeError:
        raise PatchError(f"{path!r:.80} holds a lone surrogate; a path is text") from None
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") or part.casefold() == ".git" for part in parts):
        raise PatchError(f"git can't have a file {path!r:.80}; give a path like docs/notes.md")
    # As C writes strings: any byte that could mean something, by its octal number.
    plain = b" !#$%&'()*+,-./:;<=>?@[]^_`{|}~"
    quoted = b"".join(
        bytes([byte]) if byte > 0x7F or chr(byte).isalnum() or byte in plain else b"\\%03o" % byte
        for byte in data
    )
    return b'"%s"' % quoted


_NOT_IN_REFS = re.compile(r"[\0-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|[/.]$|^[/.]|[\ud800-\udfff]")


def is_git_ref(name: str) -> bool:
    """Whether git takes that for the full name of a ref, like `refs/heads/main`."""
    return "/" in name and _NOT_IN_REFS.search(name) is None
