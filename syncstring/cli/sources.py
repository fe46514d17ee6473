"""SOURCE: whatever has a history, as a timeline.

    notes.json, notes.json.gz     a recorded editing trace
    git:REPO:FILE                 a file's history in git, up to HEAD
    git:REPO:REV:FILE             the same up to another revision

REPO may be empty: the current folder. As in git's own `REV:FILE`, a colon ends REPO and REV, and FILE is
all that follows; a file whose name has a colon is named with its revision.

The law of this room. A REF means what it means to the timeline; only one that means nothing there is
tried as a git revision, where the source is git. Whether that names the same version as it did yesterday is
git's affair.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from syncstring.cli.output import clock, working
from syncstring.errors import AmbiguousVersion, PatchError, UnknownVersion
from syncstring.history import History
from syncstring.patch import Id, Patch
from syncstring.timeline import Timeline, Version

__all__ = ["Source", "open_source"]

_GIT = "git:"
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


def open_source(name: str) -> Source:
    """Read a SOURCE. Raises what `read_trace` and `read_git` do; `PatchError` for half a git source."""
    with _without_collector():
        if name.startswith(_GIT):
            return _git(name)
        return _trace(name)


def _trace(name: str) -> Source:
    from syncstring.traces import read_trace

    with working(f"reading {name}"):
        trace = read_trace(name)
        return Source(name, Timeline(trace.history(), now=clock))


def _git(name: str) -> Source:
    repo, rev, file = _git_parts(name)
    from syncstring.git import read_git

    with working(f"reading the history of {file}"):
        found = read_git(repo, file, rev)
        ends = frozenset(heads[0] for heads in found.commits.values() if len(heads) == 1)
        return Source(file, _timeline(found.patches), found.resolve, ends)


def _git_parts(name: str) -> tuple[str, str, str]:
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
