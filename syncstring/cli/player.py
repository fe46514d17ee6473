"""A history as a film: the text of any version with the author of each character, and who moves through it.

The law of this room. A *film* stands at one version; going on costs the splices in between, going anywhere
else those from the nearest place that was kept: nothing is ever the length of the text in Python. A
*player* moves by time, given from outside, or by keys, which have names. Neither knows a clock, a screen
or a terminal.

Authors are kept as a second text of the same length, edited by the same splices: its code points stand for
authors.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise
from math import ceil
from typing import Final, NamedTuple

from syncstring._patch import Splice, map_position
from syncstring._pool import TextPool
from syncstring._text import SpliceLog, TextBuffer
from syncstring.cli.log import authors, groups
from syncstring.timeline import Timeline

__all__ = ["Film", "Move", "Player"]

SHORTEST: Final = 40_000
"""Microseconds that a version is shown at least, at speed 1: nobody types faster, and recordings without
times, or with one for a whole burst, can be watched."""
FIT: Final = 60_000_000
"""Microseconds in which all is played if no speed is given; what is shorter is played as it was."""

# Places are kept where this many splices have passed, at about 10 ns each; but not more places than that.
_KEEP_EVERY, _PLACES = 20_000, 32
_TAIL = 64  # splices that are told one by one
_RECENT = 700_000  # microseconds for which what was typed is shown as new


class Move(NamedTuple):
    """The last splices that led to where the film stands now."""

    splices: list[Splice]
    complete: bool
    """Whether they lead there from where it stood before."""
    own: int
    """How many of them, at the end, are those of the last version."""


class Film:
    """Versions 0 to `len(film)` of a history as it is now. `text` and `authors` are those of version `n`."""

    def __init__(self, timeline: Timeline) -> None:
        graph = timeline.history.graph
        self._graph = graph
        self._length = len(graph)
        self._order = graph.order_until(self._length)
        self._script = timeline.history.merge.script(self._length)
        self.names = authors(graph)
        """The authors, in order of appearance: `number_of` gives an index into it."""
        self._places: list[int] = []  # versions worth keeping once they were come by, ascending
        self._kept: dict[int, tuple[str, str]] = {0: ("", "")}
        self._bylines = self._signed()
        self.n = 0
        self.text = TextBuffer()
        self.authors = TextBuffer()

    def __len__(self) -> int:
        return self._length

    def _signed(self) -> SpliceLog:
        """The script's splices, each inserting its author's sign instead of what it inserts. O(splices)."""
        pool = TextPool()
        sign_of = {name: _sign(place) for place, name in enumerate(self.names)}
        signs: dict[str, tuple[int, int]] = {}  # author -> where in the pool as many signs of his stand
        script, author_of, order = self._script, self._graph.author_of, self._order
        log, ends, result = script.log, script.ends, SpliceLog(pool)
        every = max(_KEEP_EVERY, len(log) // _PLACES)
        start, keep = 0, every
        for n in range(1, self._length + 1):
            stop = ends(n)
            if stop >= keep:
                self._places.append(n)
                keep = stop + every
            if start == stop:
                continue
            author = author_of(order[n - 1])
            for pos, delete, insert in log.splices(start, stop):
                length = len(insert)
                place, room = signs.get(author, (0, 0))
                if room < length:
                    room = 2 * length + 16
                    place = pool.push(sign_of[author] * room)
                    signs[author] = place, room
                result.push(pos, delete, place, length)
            start = stop
        return result

    def go(self, n: int) -> Move:
        """Stand at version n. O(splices in between) forward, else O(splices from the nearest kept place)."""
        was, at = self.n, self.n
        kept = max(place for place in self._kept if place <= n)
        if n < was or kept > was:
            text, authors = self._kept[kept]
            self.text, self.authors = TextBuffer(text), TextBuffer(authors)
            at = kept
        for place in self._places[bisect_right(self._places, at) : bisect_right(self._places, n)]:
            self._replay(at, place)
            self._kept[place] = str(self.text), str(self.authors)
            at = place
        self._replay(at, n)
        self.n = n
        ends = self._script.ends
        start, stop = ends(was if was <= n else n - 1 if n else 0), ends(n)
        last = self._script.log.splices(max(start, stop - _TAIL), stop)
        own = stop - ends(n - 1) if n else 0
        return Move([Splice(*splice) for splice in last], was <= n and stop - start <= _TAIL, own)

    def _replay(self, a: int, b: int) -> None:
        start, stop = self._script.ends(a), self._script.ends(b)
        self._script.log.replay(self.text, start, stop)
        self._bylines.replay(self.authors, start, stop)

    def author(self, n: int) -> str:
        """Who wrote the patch that makes version n of version n - 1."""
        return self._graph.author_of(self._order[n - 1]) if n else ""

    def wall(self, n: int) -> int:
        return self._graph.wall_of(self._order[n - 1]) if n else 0

    def time(self, n: int) -> int:
        return self._graph.time_of(self._order[n - 1]) if n else 0

    def authors_of(self, start: int, stop: int) -> str:
        """For each code point of the text in [start, stop) a sign for its author: see `number_of`."""
        return self.authors.slice(start, stop)

    @staticmethod
    def number_of(sign: str) -> int:
        """The index in `names` that a sign stands for."""
        code = ord(sign)
        return code - 1 if code < 0xD800 else code - 0x801


def _sign(number: int) -> str:
    return chr(number + 1 if number + 1 < 0xD800 else number + 0x801)


class Player:
    """Moves a film through [first, last]. Times are microseconds.

    `speed`: how many times as fast as it was written, None for what fits `FIT`; `max_idle`: what longer
    pauses are cut to.
    """

    def __init__(
        self, film: Film, timeline: Timeline, first: int, last: int, speed: float | None, max_idle: int
    ) -> None:
        self.film = film
        self.first, self.last = first, last
        self._timeline = timeline
        times = [film.time(n) for n in range(first, last + 1)]
        steps = [min(max(b - a, SHORTEST), max_idle) for a, b in pairwise(times)]
        if steps and not first:
            steps[0] = SHORTEST  # before it was nothing, since the epoch
        self._moments = array("d", accumulate(steps, initial=0))  # when each version is reached
        self.speed = speed or max(1.0, self._moments[-1] / FIT)
        self.playing = True
        self.over = False
        self.recent: list[tuple[int, int, int]] = []
        """What was typed last: [start, stop) in the text, and when that was shown."""
        self.focus = 0
        """Where the last edit ended."""
        self.now = 0
        """How much time has passed."""
        self._at = 0.0  # in the film's time
        self._stops: list[int] | None = None
        self.moves: list[Move] = []
        """How the film moved, to be taken out by who draws it."""
        self._go(first)

    @property
    def n(self) -> int:
        return self.film.n

    @property
    def ended(self) -> bool:
        return self.n >= self.last

    def _go(self, n: int, jumping: bool = False) -> None:
        """Move the film and take notice of how it moved; after a jump only the last version is new."""
        move = self.film.go(n)
        self.moves.append(move)
        if jumping or not move.complete:
            self.recent = []
        old = len(move.splices) - move.own if jumping else 0
        for place, splice in enumerate(move.splices):
            pos, _, insert = splice
            self.recent = [
                (map_position(a, (splice,), "after"), map_position(b, (splice,), "before"), since)
                for a, b, since in self.recent
            ]
            if insert and place >= old:
                self.recent.append((pos, pos + len(insert), self.now))
            self.focus = pos + len(insert)
        since_when = self.now - _RECENT
        self.recent = [(a, b, since) for a, b, since in self.recent if a < b and since >= since_when][-_TAIL:]
        self.focus = min(self.focus, len(self.film.text))

    def tick(self, elapsed: int) -> bool:
        """Let time pass; whether another version is shown now."""
        self.now += elapsed
        if not self.playing or self.ended:
            return False
        self._at += elapsed * self.speed
        n = self.first + bisect_right(self._moments, self._at) - 1
        if n == self.n:
            return False
        self._go(n)
        return True

    def due(self) -> int | None:
        """How long until the next version; None if none comes by itself."""
        if not self.playing or self.ended:
            return None
        ahead = self._moments[self.n + 1 - self.first] - self._at
        return max(0, ceil(ahead / self.speed))

    def seek(self, n: int) -> None:
        """Stand at version n, or at the end that is nearest to it."""
        n = min(max(n, self.first), self.last)
        self._at = self._moments[n - self.first]
        self._go(n, jumping=n != self.n + 1)

    def press(self, key: str) -> None:
        """Do what a key means; nothing for any other."""
        if key in ("q", "Q", "eof"):
            self.over = True
        elif key == " ":
            if self.ended and not self.playing:
                self.seek(self.first)
            self.playing = not self.playing
        elif key in (".", "right", "l"):
            self.playing = False
            self.seek(self.n + 1)
        elif key in (",", "left", "h"):
            self.playing = False
            self.seek(self.n - 1)
        elif key in ("+", "=", "up"):
            self.speed = min(self.speed * 2, 1_000_000.0)
        elif key in ("-", "_", "down"):
            self.speed = max(self.speed / 2, 0.001)
        elif key in ("g", "home"):
            self.seek(self.first)
        elif key in ("G", "end"):
            self.seek(self.last)
        elif key == "]":
            stops = self._groups()
            place = bisect_right(stops, self.n)
            self.seek(stops[place] if place < len(stops) else self.last)
        elif key == "[":
            place = bisect_left(self._groups(), self.n)
            self.seek(self._groups()[place - 1] if place else self.first)
        elif key == "a":
            self.seek(self._next_author())
        elif len(key) == 1 and key in "0123456789":
            self.seek(self.first + (self.last - self.first) * int(key) // 10)

    def _groups(self) -> list[int]:
        """Where the groups of `log` end, ascending."""
        if self._stops is None:
            self._stops = sorted(group.n for group in groups(self._timeline.history.graph))
        return self._stops

    def _next_author(self) -> int:
        name = self.film.author(self.n)
        return next((n for n in range(self.n + 1, self.last + 1) if self.film.author(n) != name), self.last)
