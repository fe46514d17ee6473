"""SOURCE: whatever has a history, as a timeline.

    NAME                          a stored document, see `places.py`
    notes.json, notes.json.gz     a recorded editing trace
    git:REPO:FILE                 a file's history in git, up to HEAD
    git:REPO:REV:FILE             the same up to another revision

REPO may be empty: the current folder. As in git's own `REV:FILE`, a colon ends REPO and REV, and FILE is
all that follows; a file whose name has a colon is named with its revision.

The law of this room. Which of these a SOURCE is depends on how it is written and on which files there are. In
this order: with `--store` it is a document; `git:` begins git; what has a NAME.sync beside it is a document,
unless $SYNCSTRING_STORE says that documents are elsewhere; a file NAME.json or NAME.json.gz is a trace; with
$SYNCSTRING_STORE everything else is a document. A REF means what it means to the timeline; only one that
means nothing there is tried as a git revision, where the source is git. Whether that names the same version
as it did yesterday is git's affair.
"""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from syncstring.cli.output import clock, working
from syncstring.cli.places import VARIABLE, Place, place_of, with_store
from syncstring.errors import AmbiguousVersion, PatchError, UnknownVersion
from syncstring.history import History
from syncstring.patch import Id, Patch
from syncstring.timeline import Timeline, Version

__all__ = ["Source", "git_parts", "open_source", "stored_place"]

_GIT = "git:"
_TRACES = (".json", ".json.gz")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True)
class Source:
    """A history with the names that its versions have."""

    title: str
    timeline: Timeline
    resolve: Callable[[str], tuple[Id, ...] | None] | None = None
    """What a REF means that the timeline doesn't know: heads, or None."""
    ends: frozenset[Id] = frozenset()
    """Patches after which something is complete: a commit."""
    place: Place | None = None
    """Where it is stored, if it is a document."""
    doc: str = ""
    """Its key there."""

    def version(self, ref: str) -> Version:
        """The version that a REF means. `UnknownVersion` if it means none, `PatchError` if it can't."""
        try:
            return self.timeline.version(ref)
        except AmbiguousVersion:
            raise
        except (UnknownVersion, PatchError) as error:
            heads = self.resolve(ref) if self.resolve is not None else None
            if heads is not None:
                return self.timeline.version(heads)
            if self.resolve is not None and isinstance(error, UnknownVersion):
                raise UnknownVersion(f"{error}; and no revision that git finds in this history") from None
            raise

    def number(self, ref: str) -> int:
        """n of the first version in time order that contains all of what a REF means."""
        version = self.version(ref)
        if version.n is not None:
            return version.n
        graph = self.timeline.history.graph
        return 1 + max(graph.place_of(graph.find(*head)) for head in version.heads)


def open_source(name: str, store: str | None = None) -> Source:
    """Read a SOURCE. Raises what `read_trace`, `read_git` and `Archive.read` do; `PatchError` for half a git
    source, `UnknownVersion` for a document that isn't there."""
    with _without_collector():
        place = stored_place(name, store)
        if place is not None:
            return _document(place)
        return _git(name) if name.startswith(_GIT) else _trace(name)


def stored_place(name: str, store: str | None) -> Place | None:
    """Where the document is that a SOURCE means; None if it is a trace, or git."""
    if not store and name.startswith(_GIT):
        return None
    place = place_of(name, store)
    elsewhere = bool(os.environ.get(VARIABLE))
    if store or (not elsewhere and place.is_there):
        return place
    if name.endswith(_TRACES) and os.path.exists(name):
        return None
    if elsewhere:
        return place
    if os.path.lexists(name) or name.endswith(_TRACES):
        return None
    raise UnknownVersion(
        f"no document {name!r:.200}: there is no file {place.url!r:.200}, and neither --store nor "
        f"${VARIABLE} says where else it is"
    )


def _document(place: Place) -> Source:
    from syncstring.archive import Archive, Contents, find_document
    from syncstring.outside import fresh_key
    from syncstring.store import Store
    from syncstring.tags import read_tags

    async def read(store: Store) -> tuple[str, Contents, dict[str, tuple[Id, ...]]]:
        doc = await find_document(store, place.name, fresh_key, create=False)
        contents = await Archive(store, doc, fresh_key).read(whole=True)
        return doc, contents, await read_tags(store, doc)

    with working(f"reading {place.name}"):
        doc, contents, tags = with_store(place.url, read)
        history = contents.history
        if history is None or contents.problems:
            history = History()
            history.add(contents.patches, stored=bool(contents.problems))
            if contents.problems:
                history.add(contents.rows)  # so that it tells of them
        timeline = Timeline(history, tags, now=clock)
        return Source(place.name, timeline, place=place, doc=doc)


def _trace(name: str) -> Source:
    from syncstring.traces import read_trace

    with working(f"reading {name}"):
        trace = read_trace(name)
        return Source(name, Timeline(trace.history(), now=clock))


def _git(name: str) -> Source:
    repo, rev, file = git_parts(name)
    from syncstring.git import read_git

    with working(f"reading the history of {file}"):
        found = read_git(repo, file, rev)
        ends = frozenset(heads[0] for heads in found.commits.values() if len(heads) == 1)
        return Source(file, _timeline(found.patches), found.resolve, ends)


def git_parts(name: str) -> tuple[str, str, str]:
    """REPO, REV and FILE."""
    rest = name.removeprefix(_GIT)
    start = 2 if _DRIVE.match(rest) else 0
    repo, *parts = (rest[start:]).split(":", 2)
    if not parts or not parts[-1]:
        raise PatchError(f"{name!r:.80} names no file; write git:REPO:FILE or git:REPO:REV:FILE")
    rev = parts[0] if len(parts) == 2 else "HEAD"
    return rest[:start] + repo or ".", rev or "HEAD", parts[-1]


def _timeline(patches: Iterable[Patch]) -> Timeline:
    return Timeline(History(patches), now=clock)


@contextmanager
def _without_collector() -> Iterator[None]:
    """A history is millions of objects and no garbage: looking through them again and again for some takes
    longer than reading them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
