"""`log`: what was written, newest first, by author and pause.

The law of this room. A *group* is what one author wrote without a long pause; what others typed meanwhile
doesn't end it, a message does, and so does a bound on its size, so that a recording without pauses has
more than one. Groups come in the order of their last versions, and each is printed once nothing older can
belong to it: the first line costs as much as its own group, however long the history is.

Numbers are sums over the group's patches; the text shown is what was typed last, with what was rubbed out
again left out where that was done on the spot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from syncstring._graph import EventGraph
from syncstring._patch import map_position
from syncstring.cli.output import Output, fit, plain, record, width_of, working
from syncstring.cli.sources import Source
from syncstring.history import History
from syncstring.timeline import Timeline, Version

__all__ = ["MOST", "PAUSE", "Describe", "Group", "authors", "groups", "log", "snippet"]

PAUSE = 300_000_000
"""Microseconds without typing that end a group."""
MOST = 1_000
"""Patches in a group. As many keystrokes are about a page, and an hour's work."""

_SNIPPET = 60  # code points
_LOOK_BACK = 400  # patches, the author's and others', that a snippet is looked for in


@dataclass(slots=True)
class Group:
    """What one author wrote in one go: patches, by their events in the graph."""

    n: int
    """The number of the version after its last patch."""
    author: str
    time: int
    """Of the earliest patch so far."""
    first: int = -1
    """The place of the first one in the time order."""
    patches: int = 0
    inserted: int = 0
    deleted: int = 0
    closed: bool = False


def groups(
    graph: EventGraph,
    pause: int = PAUSE,
    most: int = MOST,
    wanted: Callable[[str], bool] = lambda author: True,
    ends: frozenset[int] = frozenset(),
) -> Iterator[Group]:
    """The groups of a history, newest first, of the authors that are `wanted`.

    `pause` in microseconds, `most` patches in one; events in `ends` are last ones, as are those with a
    message. Each is given as soon as it is complete. O(n) for all.
    """
    order = graph.order_until(len(graph))
    author_of, time_of, message_of, totals = graph.author_of, graph.time_of, graph.message_of, graph.totals
    is_misfit = graph.is_misfit
    growing: dict[str, Group] = {}
    waiting: deque[Group] = deque()
    for place in range(len(order) - 1, -1, -1):
        event = order[place]
        author = author_of(event)
        if not wanted(author):
            continue
        time = time_of(event)
        while waiting and (waiting[0].closed or waiting[0].time - time > pause):
            yield waiting.popleft()
        group = growing.get(author)
        if (
            group is None
            or group.closed
            or group.time - time > pause
            or event in ends
            or message_of(event) is not None
        ):
            if group is not None:
                group.closed = True
            group = growing[author] = Group(place + 1, author, time)
            waiting.append(group)
        group.time = time
        group.first = place
        group.patches += 1
        if not is_misfit(event):
            inserted, deleted, _ = totals(event)
            group.inserted += inserted
            group.deleted += deleted
        if group.patches == most:
            group.closed = True
    yield from waiting


def authors(graph: EventGraph) -> list[str]:
    """Who wrote, in the order of their first patches: the order in which they get their colours. O(n)."""
    return list(dict.fromkeys(map(graph.author_of, graph.order_until(len(graph)))))


def snippet(history: History, group: Group, most: int = _SNIPPET) -> str:
    """The end of what was typed in a group, in at most about `most` code points.

    Typing goes on where it left off, wherever others have moved that; elsewhere begins another stretch, and
    only the last ones are shown. O(1), once the history up to there is merged.
    """
    script = history.merge.script(len(history))
    order = history.graph.event_at
    author_of = history.graph.author_of
    stretches = [""]
    caret = 0  # where the author's last edit ended
    for n in range(max(group.first + 1, group.n - _LOOK_BACK + 1), group.n + 1):
        own = author_of(order(n - 1)) == group.author
        for splice in script.splices(n):
            pos, delete, insert = splice
            if not own:
                caret = map_position(caret, (splice,), "before")
            elif pos + delete == caret and delete and not insert:  # backspace
                stretches[-1] = stretches[-1][:-delete]
                caret = pos
            else:
                if pos != caret:
                    stretches.append("")
                stretches[-1] = (stretches[-1] + insert)[-4 * most :]
                caret = pos + len(insert)
    result = ""
    for stretch in reversed(stretches):
        words = " ".join(stretch.split())
        if words:
            result = f"{words} … {result}" if result else words
        if len(result) > most:
            return "…" + result[len(result) - most + 1 :].lstrip()
    return result


def log(
    source: Source,
    out: Output,
    *,
    every: bool = False,
    limit: int | None = None,
    author: str | None = None,
    pause: int = PAUSE,
    most: int = MOST,
) -> None:
    """Print the history newest first: groups, or with `every` each patch."""
    history = source.timeline.history
    with working("merging"):
        history.merge.script(len(history))  # judges what doesn't fit
    graph = history.graph
    ends = frozenset(graph.find(*id) for id in source.ends)
    named = author.casefold() if author is not None else ""
    found = groups(graph, pause, 1 if every else most, lambda name: named in name.casefold(), ends)
    describe = Describe(source.timeline, out)
    versions = source.timeline.versions
    with out.telling("listing"):
        for group in islice(found, limit):
            version = versions[group.n]
            if out.json:
                out.object(_record(history, version, group, every))
            else:
                out.line(describe.version(version) if every else describe.group(version, group))


def _record(history: History, version: Version, group: Group, every: bool) -> dict[str, Any]:
    if every:
        return record(version)
    more = {
        "inserted": group.inserted,
        "deleted": group.deleted,
        "patches": group.patches,
        "first": group.first + 1,
        "started": history.graph.wall_of(history.graph.event_at(group.first)),
        "text": snippet(history, group),
    }
    return {**record(version), **more}


class Describe:
    """Lines that say what a group or a version did, in columns as wide as what stood in them so far."""

    def __init__(self, timeline: Timeline, out: Output) -> None:
        self._timeline = timeline
        self._out = out
        self._width = out.width
        self._widths = [0, 0, 0, 0]
        self._authors: dict[str, tuple[str, int]] = {}
        self._second = (-1, "")  # the last one told, and how

    def group(self, version: Version, group: Group) -> str:
        """A line for a group whose last version is given."""
        text = "" if version.message else snippet(self._timeline.history, group)
        return self._line(version, group.inserted, group.deleted, text)

    def version(self, version: Version) -> str:
        """A line for one version, which isn't the empty one."""
        text = "" if version.message or not version.inserted else self._inserted(version)
        return self._line(version, version.inserted, version.deleted, text)

    def _inserted(self, version: Version) -> str:
        history = self._timeline.history
        assert version.id is not None
        start, stop = history.graph.text_range(history.graph.find(*version.id))
        text = " ".join(history.graph.pool.read(start, min(stop - start, 4 * _SNIPPET)).split())
        return text if len(text) <= _SNIPPET else text[: _SNIPPET - 1] + "…"

    def _line(self, version: Version, inserted: int, deleted: int, text: str) -> str:
        out, widths = self._out, self._widths
        assert version.id is not None
        author, size = self._author(version.author)
        columns = (
            (self._timeline.short(version.id), "yellow"),
            (self._time(version.wall), ""),
            (author, "cyan"),
            (f"+{inserted:,} -{deleted:,}", "green"),
        )
        line = ""
        for place, (said, style) in enumerate(columns):
            length = size if said is author else len(said)
            width = widths[place] = max(widths[place], length)
            line += out.paint(said, style) + " " * (width - length + 2)
        if version.message:
            said = plain(version.message.strip().partition("\n")[0])
        else:
            said = f'"{plain(text)}"' if text else ""
        if self._width is not None:
            said = fit(said, max(self._width - sum(widths) - 8, 20))
        return (line + said).rstrip()

    def _author(self, name: str) -> tuple[str, int]:
        """How an author is shown, and how wide that is."""
        known = self._authors.get(name)
        if known is None:
            shown = self._out.name(name)
            known = self._authors[name] = shown, width_of(shown)
        return known

    def _time(self, wall: int) -> str:
        second = wall // 1_000_000
        if second != self._second[0]:
            self._second = second, self._out.when(wall)
        return self._second[1]
