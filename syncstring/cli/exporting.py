"""`export`: a history out of wherever it is, to standard output or into a file.

The law of this room. A file is written whole or not at all. What can't be carried, or couldn't be read, is
told on stderr, a line each; the bytes themselves hold nothing but what the format asks for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from syncstring.archive import Archive, Contents, find_document
from syncstring.cli.output import Output, plain, working
from syncstring.cli.places import Place, with_store
from syncstring.cli.sources import Source, open_source, stored_place
from syncstring.errors import PatchError, SyncstringError
from syncstring.exports import is_git_ref, to_git, to_rows, to_trace
from syncstring.fsck import salvage as salvage_document
from syncstring.history import History
from syncstring.manifest import doc_of_name
from syncstring.outside import fresh_key
from syncstring.patch import Patch
from syncstring.store import Store

__all__ = ["export_to"]


def export_to(
    out: Output,
    format: str,
    name: str,
    store: str | None,
    path: str | None,
    *,
    at: str | None,
    file: str | None,
    branch: str,
    pause: int | None,
    most: int,
    salvage: bool,
) -> None:
    """Write a SOURCE in a format; to the file `path`, or to standard output."""
    if out.json and path is None:
        raise PatchError("--json tells what was written to a file; name that by -o")
    if salvage and format != "rows":
        raise PatchError("what can be salvaged is rows; say `export rows --salvage`")
    place = stored_place(name, store)
    source = None
    if salvage:
        if place is None:
            raise PatchError(f"{name!r:.200} is no stored document; only of those can more be salvaged")
        title, doc, history = _salvaged(place)
    elif format == "text" and at is None and place is not None:
        title, doc, history = _newest(place)
    else:
        source = open_source(name, store)
        title, doc, history = source.title, source.doc, source.timeline.history
        for problem in history.problems:
            _warn(str(problem))
    if at is not None:
        if source is None:
            raise PatchError("what is salvaged has no versions; leave out --at")
        history = _version(source, at)
    with out.telling(f"exporting {title}"):
        if format == "rows":
            pieces = to_rows(history, doc or doc_of_name(os.path.basename(title)))
        elif format == "trace":
            pieces = to_trace(history)
        elif format == "text":
            pieces = iter([history.text().encode()])
        else:
            assert source is not None
            pieces = _git(source, history, file or os.path.basename(title), branch, pause, most)
        size = _write(pieces, path)
    if out.json:
        patches = len(history) + len(history.parked)
        out.object({"source": title, "format": format, "file": path, "patches": patches, "bytes": size})


def _version(source: Source, ref: str) -> History:
    """The history of one version alone."""
    history = source.timeline.history
    wanted = history.events(source.version(ref).heads)
    inside, _ = history.graph.difference(wanted, ())
    return History(history.patch_of(event) for event in inside)


def _git(
    source: Source, history: History, file: str, branch: str, pause: int | None, most: int
) -> Iterator[bytes]:
    tags = {}
    for tag, heads in source.timeline.tags.items():
        if not is_git_ref(f"refs/tags/{tag}"):
            _warn(f"tag {tag!r} can't be one in git; it was left out")
        elif all(head in history for head in heads):
            tags[tag] = heads
    # Where each patch is a commit already, it stays one.
    wait = None if source.ends else pause
    return to_git(history, file, ref=f"refs/heads/{branch}", pause=wait, most=most, tags=tags)


def _newest(place: Place) -> tuple[str, str, History]:
    """No more of a document than its newest text takes, whatever has become of its past."""

    async def read(store: Store) -> tuple[str, Contents]:
        doc = await find_document(store, place.name, fresh_key, create=False)
        return doc, await Archive(store, doc, fresh_key).read()

    doc, contents = with_store(place.url, read)
    history = History(contents.patches, contents.base)
    for problem in (*contents.problems, *history.problems):
        _warn(str(problem))
    return place.name, doc, history


def _salvaged(place: Place) -> tuple[str, str, History]:
    async def read(store: Store) -> tuple[str, list[Patch], list[SyncstringError]]:
        doc = await find_document(store, place.name, fresh_key, create=False)
        return doc, *await salvage_document(store, doc)

    with working(f"reading {place.name}"):
        doc, patches, problems = with_store(place.url, read)
    for problem in problems:
        _warn(str(problem))
    return place.name, doc, History(patches)


def _write(pieces: Iterable[bytes], path: str | None) -> int:
    """Write them; how many bytes there were."""
    if path is None:
        size = _copy(pieces, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return size
    part = f"{path}.part"
    try:
        with open(part, "wb") as file:
            size = _copy(pieces, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise
    return size


def _copy(pieces: Iterable[bytes], file: BinaryIO) -> int:
    size = 0
    for piece in pieces:
        file.write(piece)
        size += len(piece)
    return size


def _warn(text: str) -> None:
    print(f"syncstring: {plain(text)}", file=sys.stderr)
