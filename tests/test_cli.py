"""The command line as it is typed: help, exit status, terminals and pipes, the names of versions."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from command_line import NOTES, VERSIONS, Repository, Run, one_author, real, runner, small_repository, write
from hypothesis import given, settings
from hypothesis import strategies as st
from vt import Session, syncstring

from syncstring.cli.commands import cli
from syncstring.cli.output import ago, fit, iso, plain, width_of
from syncstring.history import History
from syncstring.patch import Patch
from syncstring.testing.strategies import histories, texts
from syncstring.timeline import Timeline


def commands(group: click.Group, *words: str) -> Iterator[tuple[str, click.Command]]:
    """Every command by what is typed, those of groups within groups too."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *words, name)
        else:
            yield " ".join((*words, name)), command


COMMANDS = dict(sorted(commands(cli)))
SECOND = 1_000_000


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    return runner(capfdbinary)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return write(tmp_path / "notes.json", NOTES)


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """More than a pipe holds."""
    txns = [{"patches": [[n, 0, "x"]]} for n in range(5_000)]
    return write(tmp_path / "long.json", {"endContent": "x" * 5_000, "txns": txns})


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return small_repository(tmp_path_factory.mktemp("git") / "repo")


# --- help, usage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_says_what_it_exits_with(run: Run, command: str) -> None:
    found = run(*command.split(), "--help")
    said = " ".join(found.out.split())
    assert found.status == 0 and found.err == ""
    for status in ("0 fine", "2 wrong usage", "3 no such", "4 the source is broken", "130 interrupted"):
        assert status in said
    assert ("1 the texts differ" in said) == (command == "diff")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_and_each_of_its_options_say_what_they_do(command: str) -> None:
    found = COMMANDS[command]
    assert found.help
    names = set()
    for option in found.params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            names |= set(option.opts)
    assert {"--json", "--color"} <= names


def test_there_are_the_commands_that_there_are() -> None:
    readers = ["blame", "diff", "export", "log", "replay", "show", "stats"]
    writers = ["compact", "delete", "fsck", "import", "list", "rename", "restore", "revert", "tag"]
    provers = ["fuzz", "store check", "test"]
    assert sorted(readers + writers + provers) == list(COMMANDS)


def test_help_imports_nothing_but_what_it_needs() -> None:
    script = (
        "import sys; from syncstring.cli import main; status = main(['--help']); "
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in ('rich', 'syncstring')), "
        "file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    ours = ["", *(f".cli{name}" for name in ("", ".commands", ".options", ".stored"))]
    assert done.stderr.strip() == str([f"syncstring{name}" for name in ours])


def test_without_click_one_line_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['click'] = None; import syncstring.cli as c; sys.exit(c.main(['log', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == 'syncstring: the command line needs click; run: pip install "syncstring[cli]"\n'
    assert done.stdout == ""


def test_it_is_installed_as_a_program_and_runs_as_a_module() -> None:
    program = Path(sys.executable).with_name("syncstring")
    found = real("--version")
    assert found.status == 0 and re.fullmatch(r"syncstring [0-9.]+\n", found.out)
    if program.exists():
        assert (
            subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
            == found.out
        )


# --- exit status ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        (), ("wrong",), ("log",), ("log", "NOTES", "--wrong"), ("log", "NOTES", "more"), ("show", "NOTES"),
        ("log", "NOTES", "-n", "-1"), ("log", "NOTES", "--pause", "soon"), ("log", "NOTES", "--pause", "-1"),
        ("log", "NOTES", "--color", "red"), ("replay", "NOTES", "--speed", "0"),
        ("replay", "NOTES", "--speed", "nan"),
        ("replay", "NOTES", "--speed", "fast"), ("replay", "NOTES", "--from", "3", "--to", "1"),
        ("log", "git:"), ("log", "git:repo"), ("log", "git:repo:"), ("show", "NOTES", "2026-13-45"),
    ],
)  # fmt: skip
def test_wrong_usage_exits_with_2_and_says_why(run: Run, notes: Path, args: tuple[str, ...]) -> None:
    found = run(*(str(notes) if arg == "NOTES" else arg for arg in args))
    assert found.status == 2
    assert found.out == "" and found.err


@pytest.mark.parametrize(
    "ref", ["5", "99999999999999999999", "abcd", "nowhere", "HEAD", "", "-", "abcd+ef01"]
)
def test_a_version_that_is_not_there_exits_with_3(run: Run, notes: Path, ref: str) -> None:
    for args in (
        ("show", notes, "--", ref),
        ("diff", notes, "--", "0", ref),
        ("diff", notes, "--", ref, "0"),
    ):
        found = run(*args)
        assert (found.status, found.out) == (3, "")
        assert re.fullmatch("syncstring: no version .*\n", found.err)
    assert run("blame", notes, f"--at={ref}").status == 3
    assert run("replay", notes, f"--from={ref}").status == 3


def test_an_id_that_is_two_versions_exits_with_3_and_asks_for_more_digits(tmp_path: Path, run: Run) -> None:
    trace = write(tmp_path / "many.json", one_author(*(str(n) for n in range(2_000))))
    ids = [version["id"] for version in run("log", trace, "--all", "--json").objects]
    prefix = next(
        id[:4] for id in ids if not id[:4].isdigit() and sum(other[:4] == id[:4] for other in ids) > 1
    )
    found = run("show", trace, prefix)
    assert found.status == 3 and "more digits" in found.err


@pytest.mark.parametrize(
    "source",
    [
        "nowhere.json", "no/such/folder.json", "NOTES/below.json", "git:nowhere:x", "git:REPO:nowhere.md",
        "git:REPO:nowhere:notes.md",
    ],
)  # fmt: skip
def test_a_source_that_is_not_there_exits_with_3(
    run: Run, notes: Path, repository: Repository, source: str
) -> None:
    source = source.replace("REPO", str(repository.path)).replace("NOTES", str(notes))
    for command in (("log", source), ("show", source, "0"), ("stats", source)):
        found = run(*command)
        assert (found.status, found.out) == (3, "")
        assert found.err.startswith("syncstring: ") and found.err.count("\n") == 1


def broken(tmp_path: Path) -> list[Path]:
    files = {
        "text.md": b"# Not a trace\n",
        "empty.json": b"",
        "array.json": b"[1, 2]",
        "latin.json": b'{"endContent": "\xff", "txns": []}',
        "wrong.json": json.dumps({"endContent": "other", "txns": [{"patches": [[0, 0, "text"]]}]}).encode(),
        "cut.json.gz": gzip.compress(json.dumps(NOTES).encode())[:-20],
        "deep.json": b"[" * 100_000,
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder.json").mkdir()
    return [*(tmp_path / name for name in files), tmp_path / "folder.json"]


def test_a_source_that_cannot_be_read_exits_with_4(run: Run, tmp_path: Path) -> None:
    for path in broken(tmp_path):
        for command in (("log", path), ("stats", path), ("blame", path)):
            found = run(*command)
            assert (found.status, found.out) == (4, ""), path
            assert found.err.startswith("syncstring: ") and found.err.count("\n") == 1
            assert path.name in found.err


def test_a_git_file_that_is_no_text_exits_with_4(run: Run, tmp_path: Path) -> None:
    repo = Repository(tmp_path / "repo")
    (repo.path / "image.png").write_bytes(b"\x89PNG\xff\xfe")
    repo.commit("Add it", "ada")
    found = run("log", f"git:{repo.path}:image.png")
    assert found.status == 4 and "UTF-8" in found.err


def test_output_that_cannot_be_written_exits_with_4(notes: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            syncstring("show", str(notes), "1"), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 4
    assert done.stderr == b"syncstring: No space left on device\n"


def test_a_closed_output_is_one_line_and_status_4(notes: Path) -> None:
    command = f"exec {sys.executable} -m syncstring log {notes} >&-"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 4
    assert done.stderr == "syncstring: standard output is closed; send it somewhere\n"


@pytest.mark.parametrize(
    "command", [("log", "--all"), ("replay",), ("replay", "--json"), ("show", "5000"), ("blame", "--runs")]
)
def test_a_reader_that_has_seen_enough_is_no_error(long: Path, command: tuple[str, ...]) -> None:
    verb, *options = command
    process = subprocess.Popen(
        syncstring(verb, str(long), *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0
    process.stderr.close()


def test_diff_says_that_texts_differ_even_if_nobody_reads_on(tmp_path: Path) -> None:
    trace = write(tmp_path / "trace.json", one_author("".join(f"{n}\n" for n in range(50_000)), ""))
    process = subprocess.Popen(syncstring("diff", str(trace), "1", "2"), stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.wait() == 1


def test_control_c_while_reading_exits_with_130_without_a_word(tmp_path: Path) -> None:
    pipe = tmp_path / "slow.json"
    os.mkfifo(pipe)
    process = subprocess.Popen(syncstring("log", str(pipe)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    writer = os.open(pipe, os.O_WRONLY)  # returns when it has been opened for reading
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    os.close(writer)
    assert process.returncode == 130
    assert out == b"" and b"Traceback" not in err and err.strip() == b""


# --- terminals --------------------------------------------------------------------------------------------


def on_terminal(*args: str | Path, columns: int = 100, rows: int = 40, **env: str) -> Session:
    session = Session(syncstring(*map(str, args)), columns=columns, rows=rows, env=env)
    with session:
        session.end()
    return session


def test_colours_are_for_terminals(notes: Path) -> None:
    assert on_terminal("log", notes).screen.styles("ada") == {"36"}
    assert on_terminal("diff", notes, "1", "2").screen.styles("+one two") == {"32"}
    assert on_terminal("blame", notes).screen.styles(" two") == {"35"}
    assert "\x1b" not in real("log", notes).out + real("diff", notes, "1", "2").out + real("blame", notes).out


@pytest.mark.parametrize(
    "env, options", [({"NO_COLOR": "1"}, []), ({"TERM": "dumb"}, []), ({}, ["--color", "never"])]
)
def test_colours_can_be_declined(notes: Path, env: dict[str, str], options: list[str]) -> None:
    assert on_terminal("log", notes, *options, **env).screen.styles("ada") == {""}


def test_colours_can_be_asked_for(notes: Path) -> None:
    assert "\x1b[36mada\x1b[0m" in real("log", notes, "--color", "always", NO_COLOR="1").out
    assert "\x1b" not in real("log", notes, "--color", "always", "--json").out


def test_a_line_of_the_log_fits_the_terminal(tmp_path: Path) -> None:
    trace = write(tmp_path / "trace.json", one_author("word " * 100, "漢字" * 100))
    for columns in (60, 90):
        lines = [line for line in on_terminal("log", trace, "--all", columns=columns).screen.lines if line]
        assert len(lines) == 2 and all("…" in line for line in lines)


def test_a_terminal_is_told_how_long_ago_and_a_pipe_when(notes: Path) -> None:
    piped = real("log", notes, "-n", "1", TZ="UTC").out
    assert "2026-11-03T18:00:00+00:00" in piped
    assert "2026-11-03T18:00:00+00:00" in str(on_terminal("log", notes, "--iso", TZ="UTC").screen)
    assert iso(NOW) in iso(NOW) and ago(NOW, NOW + 59 * SECOND) == "just now"


NOW = 1_790_000_000 * SECOND


@pytest.mark.parametrize(
    "past, said",
    [
        (0, "just now"),
        (59, "just now"),
        (60, "1 min ago"),
        (3_599, "59 min ago"),
        (3_600, "1 h ago"),
        (86_399, "23 h ago"),
    ],
)
def test_times_of_today_are_told_by_how_long_ago_they_are(past: int, said: str) -> None:
    assert ago(NOW - past * SECOND, NOW) == said


def test_other_times_are_told_by_date() -> None:
    for then in (NOW - 86_400 * SECOND, NOW + 10 * SECOND):
        assert re.fullmatch(r"2026-09-[0-9]{2} [0-9]{2}:[0-9]{2}", ago(then, NOW))
    assert ago(5, NOW) == iso(5) == "-"
    assert iso((1 << 53) - 1).startswith("2255-")
    assert iso(1 << 62) == "-"


EVIL = "a\x1b[31mb\x9b2J\x07\u202ec"


def test_what_others_wrote_cannot_steer_a_terminal(tmp_path: Path, run: Run) -> None:
    trace = {
        "kind": "concurrent", "numAgents": 1, "agents": [EVIL], "endContent": EVIL + "\n",
        "txns": [{"agent": 0, "parents": [], "patches": [[0, 0, EVIL + "\n"]]}],
    }  # fmt: skip
    path = write(tmp_path / "evil.json", trace)
    commands: list[tuple[str | Path, ...]] = [
        ("log", path), ("log", path, "--all"), ("log", path, "--json"), ("stats", path),
        ("stats", path, "--json"),
        ("blame", path), ("blame", path, "--runs"), ("blame", path, "--json"), ("replay", path, "--json"),
        ("diff", path, "0", "1"), ("diff", path, "0", "1", "--words"), ("diff", path, "0", "1", "--json"),
        ("show", path, "1", "--json"), ("show", path, EVIL), ("log", tmp_path / EVIL),
        ("log", f"git:{EVIL}:{EVIL}"), ("log", path, f"--{EVIL}"),
    ]  # fmt: skip
    for command in commands:
        session = on_terminal(*command, rows=60)  # its screen refuses every sequence that isn't ours
        assert "31" not in {style for row in session.screen.cells for _, style in row}, command
    for command in [*commands[:5], *commands[-5:]]:  # in pipes, too, where no text is what is asked for
        found = run(*command)
        assert not set("\x1b\x9b\x07") & set(found.out + found.err), command


def test_a_pipe_gets_texts_as_they_are(tmp_path: Path, run: Run) -> None:
    text = "a\x1b[31m\r\nb\u202e\n"
    path = write(tmp_path / "evil.json", one_author(text))
    assert "+a\x1b[31m\r\n+b\u202e\n" in run("diff", path, "0", "1").out
    assert run("show", path, "1").out == text
    assert "a\x1b[31m\r\n" in run("blame", path).out


@given(st.text())
def test_plain_text_has_no_character_that_does_something(text: str) -> None:
    shown = plain(text)
    assert shown.isprintable() or all(
        char.isprintable() or char.isspace() or ord(char) > 0x9F for char in shown
    )
    assert not set(shown) & {chr(n) for n in [*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)]}
    assert plain("plain text, ünïcode 漢 😀") == "plain text, ünïcode 漢 😀"


@given(texts(20) | st.text("ab漢😀", max_size=20), st.integers(0, 12))
def test_what_is_fitted_fits(text: str, width: int) -> None:
    shown = fit(text, width)
    assert width_of(shown) <= width
    if width_of(text) <= width:
        assert shown == text
    elif width:
        assert shown.endswith("…") and text.startswith(shown[:-1])


def test_long_work_is_told_on_the_terminals_standard_error(tmp_path: Path) -> None:
    pipe = tmp_path / "slow.json"
    os.mkfifo(pipe)
    with Session(syncstring("log", str(pipe)), columns=200) as session:
        with open(pipe, "w") as file:
            session.see("reading ")
            file.write(json.dumps(NOTES))
        assert session.end() == 0
        assert "reading" not in str(session.screen), "it is gone when it is done"
        assert "ada" in str(session.screen)


def test_work_is_not_told_to_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "slow.json"
    os.mkfifo(pipe)
    script = f"sleep 1.3; cat {write(tmp_path / 'notes.json', NOTES)}"
    with subprocess.Popen(["sh", "-c", f"{{ {script}; }} > {pipe}"]):
        found = real("log", pipe)
    assert found.status == 0 and found.err == ""


@pytest.mark.parametrize(
    "env", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_pipes_get_utf8_whatever_the_locale(tmp_path: Path, env: dict[str, str]) -> None:
    path = write(tmp_path / "trace.json", one_author("漢字 é 😀\n"))
    assert real("show", path, "1", **env).out == "漢字 é 😀\n"
    assert "漢字 é 😀" in real("log", path, **env).out
    assert real("show", path, "1", "--json", **env).objects[0]["text"] == "漢字 é 😀\n"


# --- versions and their names -----------------------------------------------------------------------------

FIELDS = {"n", "id", "heads", "author", "session", "time", "wall", "message", "inserted", "deleted"}


def test_a_version_in_json_has_all_that_names_it(run: Run, notes: Path) -> None:
    for args in (("log", notes, "--all", "--json"), ("log", notes, "--json"), ("replay", notes, "--json")):
        for version in run(*args).objects:
            assert version.keys() >= FIELDS
            assert type(version["n"]) is int and type(version["time"]) is int and type(version["wall"]) is int
            assert all(re.fullmatch("[0-9a-f]{16}", head) for head in version["heads"])
            assert version["id"] is None or re.fullmatch("[0-9a-f]{16}", version["id"])


def test_what_json_says_can_be_given_back_as_a_ref(run: Run, notes: Path) -> None:
    for version in run("log", notes, "--all", "--json").objects:
        n = version["n"]
        for ref in ("+".join(version["heads"]), str(n)):
            found = run("show", notes, ref, "--json").objects[0]
            assert (found["n"], found["heads"], found["text"]) == (n, version["heads"], VERSIONS[n])
        assert run("show", notes, version["id"]).status == 0


def test_an_id_names_what_its_author_saw_and_heads_what_there_was(run: Run, notes: Path) -> None:
    third = run("show", notes, "3", "--json").objects[0]
    assert len(third["heads"]) == 2
    assert run("show", notes, third["id"]).out == "one\nthree\n!"
    assert run("show", notes, "+".join(third["heads"])).out == "one two\nthree\n!"


def test_the_ids_of_the_log_name_versions(run: Run, notes: Path) -> None:
    for line in run("log", notes, "--all").lines:
        assert run("show", notes, line.split()[0]).status == 0


@settings(max_examples=50)
@given(histories())
def test_short_ids_in_a_log_are_short_and_name_one_version(patches: list[Patch]) -> None:
    timeline = Timeline(History(patches))
    for version in timeline.versions[1:]:
        assert version.id is not None
        assert timeline.version(timeline.short(version.id)).id == version.id


@pytest.mark.parametrize(
    "ref, n",
    [
        ("2026-11-03 17:00:59Z", 1),
        ("2026-11-03T17:01:00+00:00", 2),
        ("2026-11-05", 4),  # wherever that day began
        ("1970-01-01", 0),
        ("now", 4),
    ],
)
def test_a_time_names_what_there_was_then(run: Run, notes: Path, ref: str, n: int) -> None:
    assert run("show", notes, ref).out == VERSIONS[n]


@pytest.mark.parametrize(
    "text", ["a\r\nb\rc\n", "no end of line", "\0\x1b\x7f", "漢字 😀 e\u0301\u2028\u2029\x85", ""]
)
def test_show_writes_exactly_the_text(run: Run, tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "trace.json", one_author("before", text))
    assert real("show", path, "2").out == text
    assert run("show", path, "2").out == text
