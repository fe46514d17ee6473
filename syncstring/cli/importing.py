"""`import`: whatever has a history, or is a text, into a stored document.

The law of this room. What FROM is depends on how it is written, or on `--as`; never on what stands in it. It
is read whole before anything is written. What comes out says how many patches were new.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from syncstring.archive import find_document
from syncstring.blocking import open as open_document
from syncstring.cli.options import FINE, WRONG
from syncstring.cli.output import Output, plain, working
from syncstring.cli.places import Place, with_store
from syncstring.cli.sources import git_parts
from syncstring.errors import MalformedRow, PatchError
from syncstring.imports import Taken, read_rows, take_in
from syncstring.outside import fresh_key
from syncstring.patch import Patch
from syncstring.store import Store

__all__ = ["import_into", "login_name"]

_STDIN: Final = "-"


def login_name(author: str = "") -> str:
    """Who is working, if nobody says."""
    with suppress(KeyError, OSError, ImportError):
        return author or getpass.getuser()
    return "somebody"


def import_into(
    out: Output, origin: str, kind: str, place: Place, *, merge: bool, author: str, message: str | None
) -> int:
    """Import and say how much of it was new; the exit status."""
    if kind == "auto":
        kind = _kind_of(origin)
    if message is not None and kind != "text":
        raise PatchError(f"a message is for a text; patches of {kind} have their own")
    if kind == "text":
        return _tell(out, place, kind, _import_text(_read(origin), place, login_name(author), message))
    patches = _patches(origin, kind)
    with working(f"importing into {place.name}") as tell:

        async def take(store: Store) -> Taken:
            doc = await find_document(store, place.name, fresh_key)

            def progress(done: int, all: int) -> None:
                tell(f"{done:,} of {all:,} patches")

            return await take_in(store, doc, fresh_key, patches, progress, merge=merge)

        taken = with_store(place.url, take, create=True)
    return _tell(out, place, kind, taken)


def _kind_of(origin: str) -> str:
    if origin.startswith("git:"):
        return "git"
    if origin.endswith((".json", ".json.gz")):
        return "trace"
    return "rows" if origin.endswith(".jsonl") else "text"


def _patches(origin: str, kind: str) -> Sequence[Patch]:
    with working(f"reading {origin}"):
        if kind == "git":
            from syncstring.git import read_git

            repo, rev, file = git_parts(origin)
            return read_git(repo, file, rev).patches
        if kind == "trace":
            from syncstring.traces import read_trace

            return read_trace(origin).patches
        try:
            return read_rows(_read(origin).split(b"\n"))
        except MalformedRow as error:
            raise MalformedRow(f"{origin}: {error}") from None


def _read(origin: str) -> bytes:
    if origin == _STDIN:
        return sys.stdin.buffer.read()
    with open(origin, "rb") as file:
        return file.read()


def _import_text(data: bytes, place: Place, author: str, message: str | None) -> Taken:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise MalformedRow(f"the text is not UTF-8 at byte {error.start}; only text has a history") from None
    _make(place)
    with working(f"importing into {place.name}"), open_document(place.url, place.name, author=author) as doc:
        before = len(doc.history)
        doc.set_text(text)
        doc.commit(message)
        return Taken(len(doc.history) - before, before, 0)


def _make(place: Place) -> None:
    """See that the store can be opened here and now: its complaints come in our words."""

    async def nothing(store: Store) -> None:
        pass

    with_store(place.url, nothing, create=True)


def _tell(out: Output, place: Place, kind: str, taken: Taken) -> int:
    if out.json:
        told = {"new": taken.new, "known": taken.known, "waiting": taken.waiting}
        out.object({"name": place.name, "kind": kind, **told})
    else:
        new = f"{taken.new:,} new patch{'' if taken.new == 1 else 'es'}" if taken.new else "nothing new"
        out.line(f"{plain(place.name)}: {new}, {taken.known:,} known")
    if taken.waiting:
        sys.stdout.flush()
        print(
            f"syncstring: {taken.waiting:,} patches were left out: they stand on others that are neither in "
            "what was read nor in the document",
            file=sys.stderr,
        )
        return WRONG
    return FINE
