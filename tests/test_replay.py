"""`replay`: the film and its player without a terminal, the screen, and all of it in a real one."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vt import Screen, Session, syncstring

from syncstring._patch import apply
from syncstring._text import TextBuffer
from syncstring.cli.log import groups
from syncstring.cli.player import FIT, SHORTEST, Film, Player
from syncstring.cli.replay import _Picture
from syncstring.cli.screen import Row, View, find, rows_of
from syncstring.history import History
from syncstring.patch import Patch
from syncstring.testing.strategies import histories, texts
from syncstring.timeline import Timeline

SECOND = 1_000_000


def typed(*steps: tuple[int, str, list[tuple[int, int, str]]]) -> Timeline:
    """A history of (seconds, author, splices), each on the one before."""
    patches: list[Patch] = []
    for seconds, author, splices in steps:
        parents = [patches[-1].id] if patches else []
        time = 1_700_000_000 * SECOND + seconds * SECOND
        patches.append(Patch((time, author.replace(" ", "-")), parents, splices, author, time))
    return Timeline(History(patches))


def player_of(timeline: Timeline, **options: Any) -> Player:
    settings: dict[str, Any] = {
        "first": 0,
        "last": len(timeline.history),
        "speed": 1.0,
        "max_idle": 2 * SECOND,
    }
    return Player(Film(timeline), timeline, **settings | options)


# --- the film ---------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(histories(), st.data())
def test_a_film_shows_any_version_and_who_wrote_each_character(
    patches: list[Patch], data: st.DataObject
) -> None:
    timeline = Timeline(History(patches))
    film = Film(timeline)
    for n in data.draw(st.lists(st.integers(0, len(patches)), max_size=8)):
        film.go(n)
        assert (film.n, str(film.text)) == (n, timeline.text(n))
        signs = film.authors_of(0, len(film.text))
        written = [run.author for run in timeline.blame(n) for _ in run.text]
        assert [film.names[film.number_of(sign)] for sign in signs] == written


def test_a_film_that_keeps_places_shows_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncstring.cli.player._KEEP_EVERY", 10)
    timeline = typed(*((n, f"author {n % 3}", [(n // 2, int(n % 5 == 4), "xyz")]) for n in range(300)))
    film = Film(timeline)
    for n in (300, 12, 299, 0, 150, 149, 151, 300):
        film.go(n)
        assert str(film.text) == timeline.text(n)
        assert len(film.text) == len(film.authors)


@settings(max_examples=50)
@given(histories(), st.data())
def test_the_splices_of_a_move_lead_there_if_it_says_so(patches: list[Patch], data: st.DataObject) -> None:
    film = Film(Timeline(History(patches)))
    for n in data.draw(st.lists(st.integers(0, len(patches)), max_size=6)):
        before, was = str(film.text), film.n
        move = film.go(n)
        assert move.complete == (n >= was)
        if move.complete:
            assert apply(before, move.splices) == str(film.text)


def test_more_authors_than_a_byte_counts_are_told_apart() -> None:
    timeline = typed(*((n, f"author {n}", [(0, 0, "x")]) for n in range(300)))
    film = Film(timeline)
    film.go(300)
    assert [film.names[film.number_of(sign)] for sign in film.authors_of(0, 300)] == [
        f"author {n}" for n in reversed(range(300))
    ]
    assert [Film.number_of(chr(code)) for code in (1, 0xD7FF, 0xE000)] == [0, 0xD7FE, 0xD7FF]


# --- the player -------------------------------------------------------------------------------------------


def test_versions_come_when_they_were_written() -> None:
    player = player_of(typed((0, "a", [(0, 0, "x")]), (1, "a", [(1, 0, "y")]), (2, "a", [(2, 0, "z")])))
    seen = []
    for _ in range(6):
        due = player.due()
        if due is None:
            break
        player.tick(due - 1)
        before = player.n
        player.tick(1)
        seen.append((due, before, player.n))
    assert [(before, after) for _, before, after in seen] == [(0, 1), (1, 2), (2, 3)]
    assert [due for due, _, _ in seen] == [SHORTEST, SECOND, SECOND]
    assert player.ended and player.due() is None


def test_a_speed_divides_what_an_idle_limit_has_cut() -> None:
    timeline = typed((0, "a", [(0, 0, "x")]), (3_600, "a", [(1, 0, "y")]), (3_601, "a", [(2, 0, "z")]))
    player = player_of(timeline, first=1, speed=4.0, max_idle=2 * SECOND)
    assert player.due() == SECOND // 2
    player.tick(SECOND // 2)
    assert player.n == 2


def test_what_has_no_times_is_typed_evenly() -> None:
    patches = []
    for n in range(1, 11):
        patches.append(Patch((n, "s"), [patches[-1].id] if patches else [], [(0, 0, "x")], "a", 0))
    player = player_of(Timeline(History(patches)))
    for n in range(10):
        assert player.n == n
        player.tick(SHORTEST + 1)
    assert player.ended


def test_without_a_speed_a_long_history_takes_a_minute_and_a_short_one_its_time() -> None:
    long = typed(*((2 * n, "a", [(0, 0, "x")]) for n in range(3_000)))
    player = player_of(long, speed=None)
    player.tick(FIT - SECOND)
    assert not player.ended
    player.tick(2 * SECOND)
    assert player.ended
    assert player_of(typed((0, "a", [(0, 0, "x")])), speed=None).speed == 1


def test_keys_pause_step_seek_and_change_the_speed() -> None:
    player = player_of(typed(*((n, "a", [(n, 0, "x")]) for n in range(100))))
    player.press("5")
    assert player.n == 50
    for key, n in (
        (".", 51),
        ("right", 52),
        ("left", 51),
        ("home", 0),
        ("left", 0),
        ("end", 100),
        (".", 100),
    ):
        player.press(key)
        assert player.n == n, key
    player.press("3")
    assert not player.playing, "stepping pauses"
    assert not player.tick(60 * SECOND) and player.n == 30
    player.press(" ")
    assert player.tick(SECOND + 1) and player.n == 31
    player.press("+")
    player.press("+")
    assert player.speed == 4
    player.press("-")
    assert player.speed == 2
    player.press("x")
    player.press("")
    assert (player.n, player.over) == (31, False)
    player.press("q")
    assert player.over


def test_space_at_the_end_begins_again_once_it_was_paused() -> None:
    player = player_of(typed((0, "a", [(0, 0, "x")])))
    player.press("end")
    player.press(" ")
    assert (player.n, player.playing) == (1, False)
    player.press(" ")
    assert (player.n, player.playing) == (0, True)


def test_brackets_go_from_group_to_group_and_a_from_author_to_author() -> None:
    timeline = typed(
        *((n, "ada", [(0, 0, "x")]) for n in range(5)),
        *((100 + n, "bob", [(0, 0, "x")]) for n in range(4)),
        *((9_000 + n, "bob", [(0, 0, "x")]) for n in range(3)),
    )
    assert sorted(group.n for group in groups(timeline.history.graph)) == [5, 9, 12]
    player = player_of(timeline)
    seen = []
    for key in ("]", "]", "]", "]", "[", "[", "[", "[", "a", "a", "a"):
        player.press(key)
        seen.append(player.n)
    assert seen == [5, 9, 12, 12, 9, 5, 0, 0, 1, 6, 12]


def test_a_part_of_a_history_is_played_from_its_first_to_its_last_version() -> None:
    player = player_of(typed(*((n, "a", [(n, 0, "x")]) for n in range(100))), first=20, last=40)
    assert player.n == 20
    for key, n in (("end", 40), (".", 40), ("home", 20), ("left", 20), ("5", 30), ("]", 40), ("[", 20)):
        player.press(key)
        assert player.n == n, key


@settings(max_examples=50)
@given(histories(), st.data())
def test_what_is_shown_as_new_is_what_was_typed_last(patches: list[Patch], data: st.DataObject) -> None:
    timeline = Timeline(History(patches))
    player = player_of(timeline)
    for key in data.draw(st.lists(st.sampled_from([".", "left", "5", "end", "home"]), max_size=12)):
        was = player.n
        player.press(key)
        shown = {pos for a, b, _ in player.recent for pos in range(a, b)}
        assert all(0 <= a < b <= len(player.film.text) for a, b, _ in player.recent)
        assert 0 <= player.focus <= len(player.film.text)
        if player.n == was + 1:
            newest = timeline.versions[player.n].id
            inserted = {
                run.pos + i
                for run in timeline.blame(player.n)
                if run.id == newest
                for i in range(len(run.text))
            }
            assert inserted <= shown


def test_what_was_new_is_old_after_a_moment() -> None:
    player = player_of(typed(*((n, "a", [(n, 0, "x")]) for n in range(10))))
    player.tick(SHORTEST + 1)
    assert [(a, b) for a, b, _ in player.recent] == [(0, 1)]
    player.tick(SECOND)
    assert [(a, b) for a, b, _ in player.recent] == [(1, 2)]


# --- the screen -------------------------------------------------------------------------------------------

wild = st.text("ab \t\n\r\x1b\x00\x7f\x9bé漢字😀\u0301\u200d\u202e\u2028\ufeff", max_size=60) | texts(60)


def cells_of(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf", "Cn"):
        return 0
    if "\U0001f3fb" <= char <= "\U0001f3ff":  # changes the colour of the one before, on most terminals
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


@given(wild, st.integers(2, 12), st.integers(0, 30))
def test_rows_show_every_code_point_once_in_order_and_fit(text: str, width: int, start: int) -> None:
    rows = rows_of(text, start, width, 1_000)
    at = start
    for row in rows:
        assert row.start == at or (row.start == at + 1 and text[at - start] == "\n")
        assert len(row.cells) == row.stop - row.start
        assert sum(cells_of(char) for cell in row.cells for char in cell) <= width
        at = row.stop
    assert at == start + len(text)


@given(wild, st.integers(2, 12))
def test_nothing_that_is_shown_can_steer_a_terminal(text: str, width: int) -> None:
    shown = "".join("".join(row.cells) for row in rows_of(text, 0, width, 1_000))
    for char in shown:
        assert unicodedata.category(char) not in ("Cc", "Zl", "Zp")
        assert unicodedata.bidirectional(char) not in (
            "RLO",
            "LRO",
            "RLE",
            "LRE",
            "PDF",
            "RLI",
            "LRI",
            "FSI",
            "PDI",
        )


@given(wild, st.integers(2, 12), st.integers(1, 8), st.data())
def test_a_view_that_jumps_shows_what_it_jumped_to(
    text: str, width: int, height: int, data: st.DataObject
) -> None:
    view = View()
    view.width, view.height = width, height
    buffer = TextBuffer(text)
    view.top = data.draw(st.integers(0, len(text)))
    focus = data.draw(st.integers(0, len(text)))
    view.jump(buffer, focus)
    rows = view.rows(buffer)
    place = find(rows, focus)
    assert place is not None and len(rows) <= height
    assert 0 <= rows[place].column(focus) <= width
    view.lost(buffer)
    assert find(view.rows(buffer), view.top) == 0


def test_a_view_stays_with_what_it_shows_while_text_is_typed_above() -> None:
    text = "".join(f"line {n}\n" for n in range(100))
    view, buffer = View(), TextBuffer(text)
    view.width, view.height = 40, 10
    view.jump(buffer, text.index("line 50"))
    before = ["".join(row.cells) for row in view.rows(buffer)]
    buffer.splice(7, 0, "and\nmore\n")
    view.moved([(7, 0, "and\nmore\n")])
    assert ["".join(row.cells) for row in view.rows(buffer)] == before
    assert "line 50" in before


class Counted:
    """A buffer that counts what is read of it."""

    def __init__(self, text: str) -> None:
        self.text, self.read = text, 0

    def __len__(self) -> int:
        return len(self.text)

    def slice(self, start: int, stop: int) -> str:
        self.read += stop - start
        return self.text[start:stop]


@pytest.mark.parametrize("line", ["x" * 70 + "\n", "漢\t" * 40 + "\n", "x" * 4_000_000, "\n"])
def test_a_frame_reads_what_it_shows_and_not_the_text(line: str) -> None:
    buffer = Counted((line * (4_000_000 // len(line)))[:4_000_000])
    view = View()
    view.width, view.height = 80, 24
    view.jump(buffer, 2_000_000)
    found = find(view.rows(buffer), 2_000_000)
    assert found is not None
    # Where a line begins has to be looked for; in lines of any sane length that isn't far.
    limit = 50_000 if "\n" in line else 2_100_000
    assert buffer.read < limit


def test_tabs_reach_to_the_next_stop() -> None:
    (row,) = rows_of("a\tbc\td", 0, 40, 5)
    assert "".join(row.cells) == "a       bc      d"
    assert row.column(2) == 8
    assert find([Row(0, 3, "abc"), Row(3, 5, "de")], 3) == 1


def test_the_view_does_not_jump_to_and_fro_between_people_who_type_at_once() -> None:
    ada = 1_000  # where she types; bob does at the end, 200 lines further down
    steps: list[tuple[int, str, list[tuple[int, int, str]]]] = [
        (0, "cyd", [(0, 0, "a line of text\n" * 200)])
    ]
    length, typing = 3_000, ada
    for n in range(200):
        steps.append((n, "ada", [(typing, 0, "A")]))
        steps.append((n, "bob", [(length + 1, 0, "B")]))
        typing += 1
        length += 2
    timeline = typed(*((n, author, splices) for n, (_, author, splices) in enumerate(steps)))
    player = player_of(timeline, first=1, speed=10.0)
    view = View()
    picture = _Picture(player, view, False, True)
    tops = []
    for _ in range(90):  # three seconds: thirty keystrokes
        player.tick(SECOND // 30)
        picture.draw(40, 10)
        tops.append(view.top)
    jumps = sum(abs(a - b) > 500 for a, b in itertools.pairwise(tops))
    assert 1 <= jumps <= 4
    player.press(".")
    picture.draw(40, 10)
    was = view.top
    player.press(".")
    picture.draw(40, 10)
    assert abs(view.top - was) > 500, "whoever steps sees each edit"


# --- a real terminal --------------------------------------------------------------------------------------


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Forty lines by ada, then twenty words by bob at the end of the first one; no times."""
    txns: list[dict[str, Any]] = []
    length = 0
    for n in range(40):
        line = f"line {n} of ada\n"
        txns.append({"agent": 0, "parents": [len(txns) - 1] if txns else [], "patches": [[length, 0, line]]})
        length += len(line)
    at = len("line 0 of ada")
    for n in range(20):
        word = f" bob{n}"
        txns.append({"agent": 1, "parents": [len(txns) - 1], "patches": [[at, 0, word]]})
        at += len(word)
    first, rest = (
        "line 0 of ada" + "".join(f" bob{n}" for n in range(20)),
        "".join(f"line {n} of ada\n" for n in range(1, 40)),
    )
    trace = {
        "kind": "concurrent", "numAgents": 2, "agents": ["ada", "bob"], "endContent": f"{first}\n{rest}",
        "txns": txns,
    }  # fmt: skip
    path = tmp_path / "notes.json"
    path.write_text(json.dumps(trace))
    return path


@pytest.fixture
def playing(notes: Path) -> Iterator[Session]:
    """Played so slowly that nothing moves by itself."""
    with Session(
        syncstring("replay", str(notes), "--speed", "0.001"), before="$ syncstring replay\r\n"
    ) as session:
        session.see("0/60")
        yield session


def test_it_plays_to_the_end_and_waits_there_until_q(notes: Path) -> None:
    with Session(
        syncstring("replay", str(notes), "--speed", "50"), before="$ syncstring replay\r\n"
    ) as session:
        screen = session.see("60/60")
        assert screen.alternate
        assert screen.lines[0].startswith("line 0 of ada bob0 bob1")
        session.press("q")
        assert session.end() == 0
        assert session.restored
        assert session.screen.lines[0] == "$ syncstring replay"


def test_it_leaves_at_the_end_if_asked_to(notes: Path) -> None:
    with Session(syncstring("replay", str(notes), "--speed", "100", "--quit-at-end")) as session:
        assert session.end() == 0
        assert session.restored


_KEYS = [
    (".", "1/60"), ("\x1b[C", "2/60"), ("\x1bOC", "3/60"), ("\x1b[D", "2/60"), ("5", "30/60"),
    ("\x1b[F", "60/60"), ("\x1b[H", "0/60"), ("]", "40/60"), ("]", "60/60"), ("[", "40/60"),
    ("a", "41/60"), ("1", "6/60"), ("\x1b[4~", "60/60"), ("g", "0/60"), ("G", "60/60"),
]  # fmt: skip


def test_keys_step_and_seek(playing: Session) -> None:
    for keys, where in _KEYS:
        playing.press(keys)
        playing.see(f" {where} ")
    playing.press("..\x1b[D\x1b[D")
    playing.see(" 58/60 ")


def test_space_pauses_and_goes_on(notes: Path) -> None:
    with Session(syncstring("replay", str(notes), "--speed", "2")) as session:
        # A frame of a slow machine may be many patches later.
        session.until(lambda screen: re.search(r" ([3-9]|[1-5][0-9])/60 ", screen.lines[-1]))
        session.press(" ")
        paused = session.until(lambda screen: "‖" in screen.lines[-1])
        where = paused.lines[-1].split()[1]
        session.press(" ")
        session.until(lambda screen: "▶" in screen.lines[-1] and screen.lines[-1].split()[1] != where)


def test_the_view_follows_the_edit(playing: Session) -> None:
    playing.press("]")
    screen = playing.see(" 40/60 ")
    assert "line 39 of ada" in screen.lines and "line 0 of ada" not in screen.lines
    assert screen.cursor_shown
    playing.press("G")
    screen = playing.see(" 60/60 ")
    assert screen.lines[0].startswith("line 0 of ada bob0")
    text = screen.lines[screen.row]
    assert screen.column == len(text) and text.endswith("bob19")


def test_authors_have_colours_and_new_text_is_reversed(playing: Session) -> None:
    playing.press("G")
    screen = playing.see(" 60/60 ")
    assert screen.styles("line 1 of ada") == {"36"}
    assert screen.styles("bob0") == {"35"}
    assert screen.styles("bob19") == {"7;35"}


@pytest.mark.parametrize("env, options", [({"NO_COLOR": "1"}, []), ({}, ["--color", "never"])])
def test_without_colours_new_text_is_reversed_all_the_same(
    notes: Path, env: dict[str, str], options: list[str]
) -> None:
    with Session(syncstring("replay", str(notes), "--speed", "0.001", *options), env=env) as session:
        session.see("0/60")
        session.press("G")
        screen = session.see(" 60/60 ")
        assert screen.styles("line 1 of ada") == {""}
        assert screen.styles("bob0") == {""}
        assert screen.styles("bob19") == {"7"}


def test_a_dumb_terminal_gets_lines(notes: Path) -> None:
    with Session(syncstring("replay", str(notes)), env={"TERM": "dumb"}, rows=100, columns=100) as session:
        assert session.end() == 0
        assert not session.screen.alternate
        assert sum("+" in line for line in session.screen.lines) == 60


def test_a_resized_screen_is_drawn_anew(playing: Session) -> None:
    playing.press("]")
    playing.see(" 40/60 ")
    playing.resize(30, 8)
    screen = playing.until(lambda screen: "40/60" in screen.lines[-1])
    assert len(screen.lines) == 8
    assert "line 39 of ada" in screen.lines
    playing.press("G")
    screen = playing.see(" 60/60 ")
    wrapped = "".join(screen.lines[: screen.row + 1])
    assert wrapped.endswith("bob18 bob19") and wrapped in " ".join(f"bob{n}" for n in range(20))
    playing.resize(120, 1)
    playing.press("g")
    playing.resize(60, 20)
    playing.see(" 0/60 ")


def test_only_rows_that_changed_are_written(playing: Session) -> None:
    playing.press("G")
    playing.see(" 60/60 ")
    whole = playing.screen.written
    playing.press("\x1b[D")
    playing.see(" 59/60 ")
    assert playing.screen.written - whole < whole / 4


@pytest.mark.parametrize(
    "end, status",
    [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGHUP, 128 + signal.SIGHUP)],
)
def test_signals_end_it_and_the_terminal_is_as_before(
    playing: Session, end: signal.Signals, status: int
) -> None:
    playing.press("5")
    playing.see(" 30/60 ")
    playing.process.send_signal(end)
    assert playing.end() == status
    assert playing.restored
    assert playing.screen.lines[0] == "$ syncstring replay"
    assert "Traceback" not in str(playing.screen)


def test_control_c_on_the_keyboard_ends_it(playing: Session) -> None:
    playing.press("\x03")
    assert playing.end() == 130
    assert playing.restored


def test_an_error_inside_leaves_the_terminal_as_before(notes: Path) -> None:
    broken = (
        "import sys; from syncstring.cli import main, replay\n"
        "def fail(self, columns):\n    raise RuntimeError('something broke')\n"
        "replay._Picture._status = fail\n"
        f"sys.exit(main(['replay', {str(notes)!r}]))"
    )
    command = [*syncstring()[:1], "-c", broken]
    with Session(command) as session:
        assert session.end() == 1
        assert session.restored
        assert "RuntimeError: something broke" in str(session.screen)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, for its job control")
def test_control_z_gives_the_terminal_back_until_it_goes_on(notes: Path) -> None:
    env = {"PS1": "$ ", "ENV": "", "HISTFILE": "", "PROMPT_COMMAND": ""}
    command = " ".join([*syncstring("replay", str(notes), "--speed", "0.001"), "\n"])
    with Session(["bash", "--norc", "--noprofile", "--noediting", "-i"], env=env, columns=200) as session:
        session.see("$")
        session.press(command)
        session.see(" 0/60 ")
        session.press("5")
        session.see(" 30/60 ")
        session.press("\x1a")
        screen = session.see("Stopped")
        assert not screen.alternate and screen.wraps
        session.press("echo here $((40 + 2))\n")
        session.see("here 42")
        session.press("fg\n")
        screen = session.until(lambda screen: screen.alternate and " 30/60 " in str(screen))
        session.press("q")
        session.until(lambda screen: not screen.alternate)
        session.press("exit 7\n")
        assert session.end() == 7


def test_a_text_cannot_steer_the_terminal(tmp_path: Path) -> None:
    evil = "\x1b]0;title\x07\x1b[2J\x9b31m\rover\x00 \u202etxt\u202c 漢字😀 e\u0301\t|\n"
    trace = {"kind": "concurrent", "numAgents": 1, "agents": ["e\x1b[31mve"], "endContent": evil}
    trace["txns"] = [{"agent": 0, "parents": [], "patches": [[0, 0, evil]]}]
    path = tmp_path / "evil.json"
    path.write_text(json.dumps(trace))
    with Session(syncstring("replay", str(path), "--speed", "1000")) as session:
        screen = session.see(" 1/1 ")  # the screen refuses all that isn't ours
        assert screen.lines[0].startswith("␛]0;title␇␛[2J\ufffd31m␍over␀ \ufffdtxt\ufffd 漢字😀 e")
        assert "e\\x1b[31mve" in screen.lines[-1]
        session.press("q")
        assert session.end() == 0


def test_wide_characters_keep_their_columns(tmp_path: Path) -> None:
    text = "漢字" * 30 + "|\n" + "😀" * 3 + "end\n"
    trace = {"startContent": "", "endContent": text, "txns": [{"patches": [[0, 0, text]]}]}
    path = tmp_path / "wide.json"
    path.write_text(json.dumps(trace))
    with Session(syncstring("replay", str(path), "--speed", "1000"), columns=41, rows=10) as session:
        screen = session.see(" 1/1 ")
        assert screen.lines[:4] == ["漢字" * 10, "漢字" * 10, "漢字" * 10 + "|", "😀😀😀end"]


def test_keys_come_from_the_terminal_where_standard_input_is_something_else(notes: Path) -> None:
    command = " ".join(syncstring("replay", str(notes), "--speed", "0.001"))
    with Session(["sh", "-c", f"{command} < /dev/null"]) as session:
        session.see(" 0/60 ")
        session.press("5")
        session.see(" 30/60 ")
        session.press("q")
        assert session.end() == 0
        assert session.restored


def test_an_empty_history_is_a_film_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty.json"
    path.write_text(json.dumps({"endContent": "", "txns": []}))
    with Session(syncstring("replay", str(path))) as session:
        session.see(" 0/0 ")
        session.press(" .5[]aGq")
        assert session.end() == 0


@pytest.mark.slow
def test_a_recorded_history_plays_and_seeks(traces: Path) -> None:
    path = traces / "friendsforever.json.gz"
    end = json.loads(gzip.decompress(path.read_bytes()))["endContent"]
    with Session(syncstring("replay", str(path)), columns=100, rows=30) as session:
        session.until(lambda screen: "/26,078" in str(screen) and screen.lines[0])
        for digit in "951":
            session.press(digit)
        session.press("G")
        screen = session.see(" 26,078/26,078 ")
        shown = [line for line in screen.lines[:-1] if len(line) > 40]
        assert shown and all(line.strip() in end for line in shown)
        session.press("q")
        assert session.end() == 0
        assert session.restored


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux, as a terminal that isn't ours")
def test_another_terminal_sees_the_same(notes: Path, tmp_path: Path) -> None:
    socket = str(tmp_path / "tmux")
    env = {k: v for k, v in os.environ.items() if k not in ("TMUX", "NO_COLOR")} | {"LC_ALL": "C.UTF-8"}

    def tmux(*args: str) -> str:
        return subprocess.run(
            ["tmux", "-S", socket, "-f", "/dev/null", *args],
            env=env,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def until(text: str) -> list[str]:
        for _ in range(600):
            screen = tmux("capture-pane", "-p", "-t", "play").split("\n")
            if any(text in line for line in screen):
                return screen
            subprocess.run(["sleep", "0.1"], check=True)
        raise AssertionError(f"{text!r} doesn't come\n" + "\n".join(screen))

    command = " ".join(syncstring("replay", str(notes), "--speed", "0.001"))
    tmux("new-session", "-d", "-s", "play", "-x", "40", "-y", "12", "sh")
    try:
        tmux("send-keys", "-t", "play", f"PS1='% '; clear; {command}", "Enter")
        until(" 0/60 ")
        tmux("send-keys", "-t", "play", "G")
        screen = until(" 60/60 ")
        wanted = "line 0 of ada" + "".join(f" bob{n}" for n in range(20))
        assert "".join(line.ljust(40) for line in screen[:4]).startswith(wanted), (
            "the last column is there, too"
        )
        tmux("send-keys", "-t", "play", "q")
        screen = until("%")
        assert not any("60/60" in line for line in screen)
    finally:
        tmux("kill-server")


def test_the_screen_of_these_tests_knows_what_it_is_shown() -> None:
    screen = Screen(10, 3)
    screen.feed(b"ab\x1b[2;3H\x1b[31mcd\x1b[0m\x1b[1;2H\x1b[K")
    assert screen.lines == ["a", "  cd", ""]
    assert screen.styles("cd") == {"31"}
    with pytest.raises(AssertionError):
        screen.feed(b"\x1b]0;title\x07" + b"x" * 20)
    with pytest.raises(AssertionError):
        Screen(10, 3).feed("\x9b".encode())
