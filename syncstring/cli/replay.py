"""`replay`: a history played in the terminal, or told version by version.

The law of this room. At most thirty frames a second are drawn, and a frame costs the screen, not the text;
between frames as many versions pass as are due. In a pipe time plays no part.
"""

from __future__ import annotations

import time
from itertools import groupby
from typing import TYPE_CHECKING, Final

from syncstring.cli.log import Describe
from syncstring.cli.output import (
    AUTHOR_STYLES,
    Output,
    fit,
    is_dumb,
    is_timed,
    iso,
    painter,
    plain,
    record,
    width_of,
    working,
)
from syncstring.cli.player import Film, Player
from syncstring.cli.screen import Row, View, find
from syncstring.cli.sources import Source
from syncstring.errors import PatchError

if TYPE_CHECKING:
    from syncstring.cli.terminal import Terminal

__all__ = ["replay"]

FRAME: Final = 1_000_000 // 30
"""Microseconds between frames, at least."""
LINGER: Final = 1_000_000
"""How long the end is shown before leaving by itself."""
STAY: Final = 1_500_000
"""How long the view stays with somebody who goes on typing, while others type elsewhere."""


def replay(
    source: Source,
    out: Output,
    *,
    speed: float | None = None,
    max_idle: int = 2_000_000,
    start: str | None = None,
    stop: str | None = None,
    quit_at_end: bool = False,
) -> None:
    """Play versions `start` to `stop` (all by default) on a terminal, else print them.

    `speed` is a factor, None for all of it in a minute; `max_idle` in microseconds. `PatchError` if it
    would have to go backwards.
    """
    first = source.number(start) if start is not None else 0
    last = source.number(stop) if stop is not None else len(source.timeline.history)
    if first > last:
        raise PatchError(f"--from is version {first}, --to is version {last}; it plays forward")
    if out.terminal and not out.json and not is_dumb() and (terminal := _terminal()) is not None:
        with working("merging"):
            film = Film(source.timeline)
            player = Player(film, source.timeline, first, last, speed, max_idle)
        _play(player, terminal, out, quit_at_end)
    else:
        _tell(source, out, first, last)


def _terminal() -> Terminal | None:
    try:
        from syncstring.cli.terminal import Terminal
    except ModuleNotFoundError:  # no termios on this system
        return None
    return Terminal()


def _tell(source: Source, out: Output, first: int, last: int) -> None:
    """One line a version, the first one to play included."""
    timeline = source.timeline
    merge = timeline.history.merge
    describe = Describe(timeline, out)
    with out.telling("listing"):
        for version in timeline.versions[first : last + 1]:
            assert version.n is not None
            if out.json:
                splices = [list(splice) for splice in merge.splices(version.n)] if version.n else []
                out.object(record(version, splices=splices))
            elif version.n:
                out.line(describe.version(version))


# --- on a terminal --------------------------------------------------------------------------------------


def _play(player: Player, terminal: Terminal, out: Output, quit_at_end: bool) -> None:
    view = View()
    picture = _Picture(player, view, out.colored, terminal.is_unicode)
    with terminal:
        before, drawn, changed = _now(), 0, True
        while not player.over:
            if terminal.disturbed or (changed and _now() - drawn >= FRAME):
                terminal.draw(*picture.draw(*terminal.size))
                drawn, changed = _now(), False
            leaving = quit_at_end and player.ended and player.playing
            if leaving and not changed and _now() - drawn >= LINGER:
                return
            keys = list(terminal.keys(_wait(player, changed, drawn, leaving)))
            now = _now()
            changed |= player.tick(0 if terminal.paused else now - before)
            before, terminal.paused = now, False
            for key in keys:
                player.press(key)
                changed = True


def _wait(player: Player, changed: bool, drawn: int, leaving: bool) -> float | None:
    """Seconds until there is something to do without a key; None if there is nothing."""
    passed = _now() - drawn
    due = player.due()
    if changed:
        wait = FRAME - passed
    elif leaving:
        wait = LINGER - passed
    elif due is None:
        return None
    else:
        wait = max(due, FRAME - passed)
    return max(wait, 0) / 1_000_000


def _now() -> int:
    return time.monotonic_ns() // 1_000


class _Picture:
    """Frames: the text around the last edit, authors, what is new reversed; below that how far it got."""

    def __init__(self, player: Player, view: View, colored: bool, unicode: bool) -> None:
        self._player = player
        self._view = view
        self._colored = colored
        self._unicode = unicode
        self._jumped = -STAY
        self._paint = painter(True)  # without colours it still reverses

    def draw(self, columns: int, rows: int) -> tuple[list[str], tuple[int, int] | None]:
        """The rows of a screen of this size, and where the cursor stands."""
        player, view = self._player, self._view
        view.width, view.height = columns, max(rows - 1, 1)
        for move in player.moves:
            if move.complete:
                view.moved(move.splices)
        if not all(move.complete for move in player.moves):
            view.lost(player.film.text)
        player.moves.clear()
        shown, focus = self._follow()
        place = find(shown, focus)
        cursor = None if place is None else (place, min(shown[place].column(focus), columns - 1))
        lines = [self._row(row) for row in shown]
        if rows > 1:
            lines += [""] * (view.height - len(lines))
            lines.append(self._status(columns))
        return lines, cursor

    def _follow(self) -> tuple[list[Row], int]:
        """The rows to show, and the edit in them that is followed.

        That is the last one; but where several people type at once, the view stays with one of them for
        a while instead of jumping to and fro.
        """
        player, view = self._player, self._view
        text, focus = player.film.text, player.focus
        rows = view.rows(text)
        if find(rows, focus) is not None:
            return rows, focus
        if player.playing and player.now - self._jumped < STAY:
            for _, pos, _ in reversed(player.recent):
                if find(rows, pos) is not None:
                    return rows, pos
        view.jump(text, focus)
        self._jumped = player.now
        return view.rows(text), focus

    def _style(self, sign: str) -> str:
        film = self._player.film
        if not self._colored or len(film.names) < 2:
            return ""
        return AUTHOR_STYLES[film.number_of(sign) % len(AUTHOR_STYLES)]

    def _row(self, row: Row) -> str:
        if row.start == row.stop:
            return ""
        authors = self._player.film.authors_of(row.start, row.stop)
        recent = [(a, b) for a, b, _ in self._player.recent if a < row.stop and b > row.start]
        if not recent and authors == authors[0] * len(authors):
            return self._paint("".join(row.cells), self._style(authors[0]))
        new = bytearray(len(authors))
        for a, b in recent:
            a, b = max(a - row.start, 0), min(b, row.stop) - row.start
            new[a:b] = b"\1" * (b - a)
        parts, at = [], 0
        for (sign, is_new), run in groupby(zip(authors, new, strict=True)):
            stop = at + sum(1 for _ in run)
            style = self._style(sign) + (" reverse" if is_new else "")
            parts.append(self._paint("".join(row.cells[at:stop]), style.strip()))
            at = stop
        return "".join(parts)

    def _status(self, columns: int) -> str:
        player = self._player
        film = player.film
        playing = player.playing and not player.ended
        mark = "▶" if playing else "■" if player.ended else "‖"
        if not self._unicode:
            mark = ">" if playing else "|"
        wall = film.wall(player.n)
        parts = [f"{player.n:,}/{len(film):,}"]
        if is_timed(wall):
            parts.append(iso(wall)[:19].replace("T", " "))
        parts += [fit(plain(film.author(player.n)), 24), f"x{player.speed:.3g}"]
        left = f" {mark} " + "  ".join(part for part in parts if part) + " "
        hint = " space . q +- [] "
        room = columns - width_of(left) - len(hint)
        if room >= 10:
            done = (player.n - player.first) * room // max(player.last - player.first, 1)
            full, empty = "━─" if self._unicode else "=-"
            text = left + full * done + empty * (room - done) + hint
        else:
            text = fit(left, columns)
        return self._paint(text + " " * (columns - width_of(text)), "reverse")
