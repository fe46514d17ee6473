"""The commands on stored documents, on SQLite files, each in a process but where many are refused."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import NOTES, Result, Run, real, runner, small_repository, write
from vt import Session, syncstring

import syncstring as library
from syncstring.cli.sources import open_source
from syncstring.errors import UnknownVersion
from syncstring.store import open_store
from syncstring.traces import read_trace

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
pytestmark = pytest.mark.filterwarnings("ignore:SQLite")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and nobody's settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNCSTRING_STORE", raising=False)
    monkeypatch.setenv("SYNCSTRING_AUTHOR", "ada")
    return tmp_path


def run(*args: str | Path, status: int = 0, stdin: Any = subprocess.DEVNULL) -> Result:
    found = real(*args, stdin=stdin)
    assert found.status == status, found
    assert_one_line(found)
    return found


def assert_one_line(found: Result) -> None:
    """What went wrong is said in one line."""
    assert found.err.count("\n") == (found.status > 1), found.err
    assert not found.err or found.err.startswith("syncstring: "), found.err


@pytest.fixture
def refused(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs a command in this process that is to end with a status and one line."""
    here = runner(capfdbinary)

    def run(*args: str | Path, status: int) -> Result:
        found = here(*args)
        assert (found.status, found.out) == (status, ""), (args, found)
        assert_one_line(found)
        return found

    return run


def one(*args: str | Path, status: int = 0) -> dict[str, Any]:
    """The one object that a command says with --json."""
    (found,) = run(*args, "--json", status=status).objects
    return found


def texts(name: str, store: str | None = None) -> list[str]:
    """The text of every version."""
    timeline = open_source(name, store).timeline
    return [timeline.text(version) for version in timeline.versions]


def rows(path: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that is in a store's file, but what changed when."""
    db = sqlite3.connect(path)
    tables = ("names", "documents", "patches", "packs", "tags")
    found = {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    db.close()
    return found


def typed(name: str, *insertions: str, store: str = "team.db", author: str = "bob") -> None:
    """Patches by a session of this process."""
    with library.open(store, name, author=author) as document:
        for insertion in insertions:
            document.insert(len(document), insertion)
            document.commit()


# --- where documents are ----------------------------------------------------------------------------------


def test_a_text_gets_a_store_beside_it_and_every_verb_finds_it(folder: Path) -> None:
    (folder / "sub").mkdir()
    Path("sub/notes.md").write_text("one\n")
    assert one("import", "sub/notes.md", "sub/notes.md") == {
        "name": "notes.md", "kind": "text", "new": 1, "known": 0, "waiting": 0,
    }  # fmt: skip
    assert sorted(os.listdir("sub")) == ["notes.md", "notes.md.sync"]
    Path("sub/notes.md").write_text("one\ntwo\n")
    run("import", "sub/notes.md", "sub/notes.md", "-m", "Say two")
    assert run("show", "sub/notes.md", "1").out == "one\n"
    assert run("diff", "sub/notes.md", "1", "2", status=1).lines[-1] == "+two"
    first, second = run("log", "sub/notes.md", "--all", "--json").objects[::-1]
    assert (first["author"], second["message"]) == ("ada", "Say two")
    assert [line.split(")")[-1] for line in run("blame", "sub/notes.md").lines] == [" one", " two"]
    assert one("stats", "sub/notes.md")["patches"] == 2
    assert len(run("replay", "sub/notes.md", "--json").objects) == 3
    assert run("export", "text", "sub/notes.md").out == "one\ntwo\n"


def test_the_store_is_named_by_an_option_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a").write_text("text of a")
    run("import", "a", "docs/a", "--store", "team.db")
    assert not Path("docs").exists() and Path("team.db").exists()
    assert run("show", "docs/a", "1", "--store", "sqlite:team.db").out == "text of a"
    monkeypatch.setenv("SYNCSTRING_STORE", "team.db")
    assert run("show", "docs/a", "1").out == "text of a"
    assert [found["name"] for found in run("list", "--json").objects] == ["docs/a"]
    write(Path("trace.json"), NOTES)
    assert one("stats", "trace.json")["patches"] == 4  # a trace is a trace all the same
    assert "no document 'trace.json'" in run("stats", "trace.json", "--store", "team.db", status=3).err


def test_what_is_not_there_exits_with_3_and_makes_nothing(refused: Run) -> None:
    typed("there", "x")
    for args in (
        ("log", "absent"), ("show", "absent", "1"), ("export", "rows", "absent"), ("restore", "absent", "1"),
        ("revert", "absent", "1"), ("tag", "absent"), ("tag", "absent", "v1"), ("compact", "absent"),
        ("fsck", "absent"), ("delete", "absent", "--yes"), ("log", "absent", "--follow"),
        ("export", "rows", "--salvage", "absent"), ("export", "text", "absent"),
    ):  # fmt: skip
        before = sorted(os.listdir())
        refused(*args, status=3)
        refused(*args, "--store", "no.db", status=3)
        assert "no document 'absent'" in refused(*args, "--store", "team.db", status=3).err
        assert sorted(os.listdir()) == before
    refused("import", "absent", "absent", status=3)
    refused("list", "--store", "no.db", status=3)
    refused("rename", "absent", "new", "--store", "team.db", status=3)
    for args in (("show", "there", "7"), ("restore", "there", "nothing"), ("tag", "there", "v1", "beef")):
        assert "no version" in refused(*args, "--store", "team.db", status=3).err
    assert "no tag" in refused("tag", "there", "v1", "-d", "--store", "team.db", status=3).err
    assert not Path("no.db").exists() and not Path("absent.sync").exists()


@pytest.mark.parametrize(
    "args",
    [
        ("import", "x"), ("import", "x", "y", "--as", "poem"), ("export", "poem", "x"), ("list",), ("fsck",),
        ("compact",), ("rename", "a", "b"), ("delete", "x", "--store", "team.db"),
        ("tag", "x", "2024", "--store", "team.db"), ("tag", "x", "-d", "--store", "team.db"),
        ("tag", "x", "0", "--store", "team.db"), ("tag", "x", "t", "1", "-d", "--store", "team.db"),
        ("export", "trace", "x", "--json", "--store", "team.db"),
        ("export", "text", "x", "--salvage", "--store", "team.db"), ("log", "git:.:x", "--follow"),
        ("export", "git", "x", "--branch", "a..b", "--store", "team.db"),
        ("export", "git", "x", "--path", "../x", "--store", "team.db"),
        ("import", "trace.json", "x", "-m", "no", "--store", "team.db"), ("tag", "trace.json"),
    ],
)  # fmt: skip
def test_wrong_usage_exits_with_2(capfdbinary: pytest.CaptureFixture[bytes], args: tuple[str, ...]) -> None:
    typed("x", "text")
    write(Path("trace.json"), NOTES)
    before = rows("team.db")
    found = runner(capfdbinary)(*args)
    assert found.status == 2 and found.out == "" and found.err
    assert rows("team.db") == before


def test_what_is_broken_exits_with_4_and_changes_nothing(refused: Run) -> None:
    typed("x", "text")
    Path("latin").write_bytes(b"caf\xe9")
    Path("text.jsonl").write_text("no row\n")
    Path("wrong.json").write_text("{}")
    Path("no.db").write_text("this is no database, however long it may be " * 99)
    before = rows("team.db")
    for args in (("latin",), ("text.jsonl",), ("wrong.json",), ("wrong.json", "--as", "rows")):
        refused("import", args[0], "x", *args[1:], "--store", "team.db", status=4)
    for args in (("log", "x"), ("list",), ("fsck",), ("compact",), ("import", "latin", "x")):
        refused(*args, "--store", "no.db", status=4)
    assert rows("team.db") == before


# --- import and export ------------------------------------------------------------------------------------


def again(*args: str | Path, store: str = "team.db") -> dict[str, Any]:
    """Import twice: the second time changes nothing."""
    first = one("import", *args, "--store", store)
    before = rows(store)
    second = one("import", *args, "--store", store)
    assert rows(store) == before
    assert second["new"] == 0 and first["new"] > 0
    if first["kind"] != "text":
        assert second["known"] == first["new"] + first["known"]
    return first


def test_importing_twice_changes_nothing(folder: Path) -> None:
    Path("text").write_text("a\r\n\0b😀\n")
    again("text", "one")
    again(write(Path("trace.json"), NOTES), "two")
    Path("rows.jsonl").write_text(run("export", "rows", "two", "--store", "team.db").out)
    again("rows.jsonl", "three")
    assert texts("two", "team.db") == texts("three", "team.db")
    assert texts("one", "team.db")[-1] == "a\r\n\0b😀\n"
    assert [report["sound"] for report in run("fsck", "--store", "team.db", "--json").objects] == [True] * 3


@needs_git
def test_a_git_history_is_imported_and_what_is_new_in_it_later(folder: Path) -> None:
    repo = small_repository(folder / "repo")
    source = "git:repo:notes.md"
    first = again(source, "notes")
    expected = texts(source)
    assert texts("notes", "team.db") == expected and len(expected) == first["new"] + 1
    repo.commit("More", "eve", notes_md="all new\n")
    assert one("import", source, "notes", "--store", "team.db")["new"] == 1
    assert texts("notes", "team.db") == [*expected, "all new\n"]


def test_a_long_history_goes_straight_into_packs(folder: Path) -> None:
    txns = [{"patches": [[n // 2, 0, f"{n % 10}"]]} for n in range(1_500)]
    end = ""
    for n in range(1_500):
        end = end[: n // 2] + f"{n % 10}" + end[n // 2 :]
    again(write(Path("long.json"), {"endContent": end, "txns": txns}), "long")
    db = sqlite3.connect("team.db")
    assert db.execute("SELECT count(*) FROM patches").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM changes WHERE tbl = 'patches'").fetchone() == (0,)
    db.close()
    assert run("export", "text", "long", "--store", "team.db").out == end
    with library.open("team.db", "long", author="eve") as document:  # and one can go on
        assert document.text == end and len(document.history.graph) == 1
        document.insert(0, "> ")
    assert run("export", "text", "long", "--store", "team.db").out == "> " + end
    assert one("import", "long.json", "long", "--store", "team.db")["new"] == 0


def test_rows_that_are_new_are_merged_into_what_is_there(folder: Path) -> None:
    typed("doc", "one ", "two ")
    Path("before.jsonl").write_text(run("export", "rows", "doc", "--store", "team.db").out)
    run("import", "before.jsonl", "doc", "--store", "other.db")
    typed("doc", "here", store="team.db")
    typed("doc", "there", store="other.db")
    Path("after.jsonl").write_text(run("export", "rows", "doc", "--store", "other.db").out)
    assert one("import", "after.jsonl", "doc", "--store", "team.db") == {
        "name": "doc", "kind": "rows", "new": 1, "known": 2, "waiting": 0,
    }  # fmt: skip
    assert sorted(run("export", "text", "doc", "--store", "team.db").out) == sorted("one two herethere")


def test_two_histories_without_a_common_patch_are_put_together_only_if_that_is_meant(folder: Path) -> None:
    typed("doc", "one ")
    write(Path("trace.json"), NOTES)
    before = rows("team.db")
    found = run("import", "trace.json", "doc", "--store", "team.db", status=2)
    assert "--merge" in found.err and rows("team.db") == before
    assert one("import", "trace.json", "doc", "--merge", "--store", "team.db")["new"] == 4


def test_rows_whose_parents_are_nowhere_are_left_out_and_another_content_is_refused(folder: Path) -> None:
    typed("doc", "one ", "two ", "three ")
    lines = run("export", "rows", "doc", "--store", "team.db").lines
    Path("torn.jsonl").write_text("\n".join([lines[0], lines[2]]) + "\n")
    found = real("import", "torn.jsonl", "torn", "--store", "team.db", "--json")
    assert found.status == 4 and "1 patches were left out" in found.err
    assert found.objects[0]["new"] == 1 and found.objects[0]["waiting"] == 1
    Path("forged.jsonl").write_text("\n".join([lines[0].replace("one", "won"), *lines[1:]]))
    before = rows("team.db")
    assert "another patch" in run("import", "forged.jsonl", "doc", "--store", "team.db", status=4).err
    assert rows("team.db") == before


def test_standard_input_is_a_text_or_rows(folder: Path) -> None:
    typed("doc", "one ")
    with subprocess.Popen(
        syncstring("export", "rows", "doc", "--store", "team.db"), stdout=subprocess.PIPE
    ) as export:
        run("import", "-", "copy", "--as", "rows", "--store", "team.db", stdin=export.stdout)
    assert texts("copy", "team.db") == ["", "one "]
    Path("text").write_text("from a pipe")
    with open("text") as file:
        run("import", "-", "piped", "--store", "team.db", stdin=file)
    assert texts("piped", "team.db") == ["", "from a pipe"]


@needs_git
def test_what_is_exported_is_imported_as_it_was(folder: Path) -> None:
    write(Path("trace.json"), NOTES)
    run("import", "trace.json", "doc", "--store", "team.db")
    expected = texts("doc", "team.db")
    run("tag", "doc", "v1", "2", "--store", "team.db")
    run("tag", "doc", "a.lock", "--store", "team.db")

    told = one("export", "trace", "doc", "-o", "again.json", "--store", "team.db")
    assert told["patches"] == 4 and told["bytes"] == Path("again.json").stat().st_size
    assert texts("again.json") == expected
    assert [patch.author for patch in read_trace("again.json").patches] == ["ada", "bob", "ada", "ada"]

    subprocess.run(["git", "init", "--quiet", "repo"], check=True)
    found = real("export", "git", "doc", "--all", "--path", "notes.md", "-o", "stream", "--store", "team.db")
    assert found.status == 0
    assert found.err == "syncstring: tag 'a.lock' can't be one in git; it was left out\n"
    with open("stream", "rb") as stream:
        subprocess.run(["git", "-C", "repo", "fast-import", "--quiet"], stdin=stream, check=True)
    assert texts("git:repo:main:notes.md") == expected
    assert run("show", "git:repo:main:notes.md", "v1").out == expected[2]
    assert run("import", "git:repo:main:notes.md", "back", "--store", "team.db").status == 0
    assert texts("back", "team.db") == expected

    assert not [name for name in os.listdir() if name.endswith(".part")]
    at = run("export", "rows", "doc", "--at", "v1", "--store", "team.db").lines
    assert len(at) == 2


# --- tags, restore, revert --------------------------------------------------------------------------------


def test_a_tag_means_one_version_for_ever_and_is_a_ref_everywhere(folder: Path) -> None:
    typed("doc", "one ", "two ")
    told = one("tag", "doc", "v1", "1", "--store", "team.db")
    assert (told["tag"], told["n"], told["changed"]) == ("v1", 1, True)
    assert one("tag", "doc", "v1", "1", "--store", "team.db")["changed"] is False
    run("tag", "doc", "all", "--store", "team.db")
    typed("doc", "three ")
    assert run("show", "doc", "v1", "--store", "team.db").out == "one "
    assert run("show", "doc", "all", "--store", "team.db").out == "one two "
    with library.open("team.db", "doc", author="eve") as document:
        assert document.at("v1") == "one " and set(document.tags) == {"all", "v1"}
    assert [line.split()[0] for line in run("tag", "doc", "--store", "team.db").lines] == ["all", "v1"]

    assert "--move" in run("tag", "doc", "v1", "2", "--store", "team.db", status=2).err
    run("tag", "doc", "v1", "2", "--move", "--store", "team.db")
    assert run("show", "doc", "v1", "--store", "team.db").out == "one two "
    run("tag", "doc", "v1", "--delete", "--store", "team.db")
    assert [tag["tag"] for tag in run("tag", "doc", "--json", "--store", "team.db").objects] == ["all"]


def test_an_old_text_comes_back_and_one_patch_is_taken_back(folder: Path) -> None:
    typed("doc", "one ", "two ", "three ")
    told = one("revert", "doc", "2", "--store", "team.db")
    assert told["changed"] is True and told["author"] == "ada" and told["n"] == 4
    assert one("revert", "doc", "2", "--store", "team.db") == {"name": "doc", "changed": False}
    run("restore", "doc", "1", "--author", "eve", "--store", "team.db")
    assert one("restore", "doc", "1", "--store", "team.db")["changed"] is False
    run("restore", "doc", told["id"], "--store", "team.db")
    assert texts("doc", "team.db") == [
        "", "one ", "one two ", "one two three ", "one three ", "one ", "one three ",
    ]  # fmt: skip
    log = run("log", "doc", "--all", "--json", "--store", "team.db").objects
    assert [found["author"] for found in log] == ["ada", "eve", "ada", "bob", "bob", "bob"]
    run("compact", "doc", "--store", "team.db")
    run("restore", "doc", "2", "--store", "team.db")  # of what is in packs by now
    assert texts("doc", "team.db")[-1] == "one two "


# --- upkeep -----------------------------------------------------------------------------------------------


def test_compact_packs_everything_and_every_version_stays(folder: Path) -> None:
    typed("doc", *(f"{n} " for n in range(30)))
    typed("other", "x")
    before = texts("doc", "team.db")
    told = one("compact", "doc", "--store", "team.db")
    assert (told["packed"], told["patches"], told["packs"]) == (30, 30, 1)
    assert one("compact", "doc", "--store", "team.db")["packed"] == 0
    typed("doc", "more ")
    told = run("compact", "--store", "team.db", "--json").objects
    assert [(each["name"], each["packed"]) for each in told] == [("doc", 1), ("other", 1)]
    assert not rows("team.db")["patches"]
    assert texts("doc", "team.db") == [*before, before[-1] + "more "]


def test_list_delete_and_rename(folder: Path) -> None:
    typed("doc", "one ")
    typed("other", "x", "y")
    run("compact", "other", "--store", "team.db")
    listed = run("list", "--json", "--store", "team.db").objects
    assert [(each["name"], each["patches"], each["packed"]) for each in listed] == [
        ("doc", 1, 0), ("other", 2, 2),
    ]  # fmt: skip
    run("rename", "doc", "new name", "--store", "team.db")
    run("log", "doc", "--store", "team.db", status=3)
    assert run("export", "text", "new name", "--store", "team.db").out == "one "
    assert "already" in run("rename", "new name", "other", "--store", "team.db", status=2).err
    with library.open("team.db", "other", author="eve") as document:
        run("delete", "other", "--yes", "--store", "team.db")
        with pytest.raises(library.DocumentDeleted):
            document.sync()
    assert [line.split("  ")[0] for line in run("list", "--store", "team.db").lines] == ["new name"]
    typed("other", "again")  # the name is free
    assert texts("other", "team.db") == ["", "again"]
    assert [report["sound"] for report in run("fsck", "--store", "team.db", "--json").objects] == [True] * 3


def test_a_damaged_name_or_document_hides_no_other_from_a_list(folder: Path) -> None:
    typed("doc", "one ")
    typed("other", "two ")

    async def damage() -> None:
        async with await open_store("team.db") as store:
            await store.insert("names", [{"id": ["evil"], "v": 1}])

    asyncio.run(damage())
    found = run("list", "--store", "team.db", status=4)
    assert [line.split("  ")[0] for line in found.lines] == ["doc", "other"]
    assert "evil" in found.err
    assert len(run("list", "--store", "team.db", "--json", status=4).objects) == 2


def test_fsck_says_what_is_wrong_and_repairs_and_what_can_be_read_is_salvaged(folder: Path) -> None:
    typed("doc", *(f"{n} " for n in range(20)))
    run("compact", "doc", "--store", "team.db")
    typed("doc", "more ")
    text = run("export", "text", "doc", "--store", "team.db").out
    found = run("fsck", "doc", "--store", "team.db")
    assert found.out == "doc: sound; all of it can be read: 21 patches\n"

    db = sqlite3.connect("team.db")
    with db:
        key = db.execute("SELECT k0 FROM packs").fetchone()[0]
        assert db.execute("DELETE FROM packs WHERE k1 LIKE '%-text.0'").rowcount == 1
    db.close()
    found = real("fsck", "doc", "--store", "team.db", "--json")
    (told,) = found.objects
    assert (found.status, found.err) == (4, "")
    assert (told["doc"], told["sound"], told["opens"]) == (key, False, False)
    assert [finding["kind"] for finding in told["findings"]] == ["missing-row"]
    repaired = run("fsck", "doc", "--repair", "--store", "team.db")
    assert "repaired" in repaired.out
    assert run("export", "text", "doc", "--store", "team.db").out == text

    db = sqlite3.connect("team.db")
    with db:
        assert db.execute("UPDATE packs SET data = X'0102' WHERE k1 LIKE '%-body.0'").rowcount == 1
    db.close()
    damaged = real("fsck", "--store", "team.db")
    assert damaged.status == 4 and "damaged" in damaged.out and "salvage" in damaged.out
    assert real("log", "doc", "--store", "team.db").status == 4
    assert run("export", "text", "doc", "--store", "team.db").out == text  # the checkpoint has it
    saved = real("export", "rows", "--salvage", "doc", "--store", "team.db")
    assert saved.status == 0 and saved.err.count("\n") == 1
    assert len(saved.lines) == 1 and json.loads(saved.lines[0])["delta"].endswith("more ")


# --- following --------------------------------------------------------------------------------------------


class Follower:
    """A `log --follow` that runs."""

    def __init__(self, *args: str) -> None:
        self._process = subprocess.Popen(
            syncstring("log", *args, "--follow"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def end(self, signal_: int | None = None) -> tuple[int, str, str]:
        if signal_ is not None:
            self._process.send_signal(signal_)
        out, err = self._process.communicate(timeout=240)
        return self._process.returncode, out, err


@pytest.fixture
def followers() -> Iterator[list[Follower]]:
    found: list[Follower] = []
    yield found
    for follower in found:
        follower._process.kill()
        follower._process.communicate()


def test_log_follow_tells_of_each_patch_as_it_is_written_until_interrupted(followers: list[Follower]) -> None:
    typed("doc", "one ", "two ", "three ")
    follower = Follower("doc", "-n", "2", "--json", "--store", "team.db")
    followers.append(follower)
    assert [json.loads(follower.line())["n"] for _ in range(2)] == [2, 3]
    typed("doc", "four ", author="cyd")
    told = json.loads(follower.line())
    assert (told["n"], told["author"], told["inserted"]) == (4, "cyd", 5)
    typed("doc", "five ", "six ")
    assert [json.loads(follower.line())["n"] for _ in range(2)] == [5, 6]
    run("compact", "doc", "--store", "team.db")  # what is packed isn't told again
    typed("doc", "seven ")
    assert json.loads(follower.line())["n"] == 7
    status, out, err = follower.end(signal.SIGINT)
    assert (status, out) == (130, "") and "Traceback" not in err


def test_log_follow_ends_when_the_document_is_deleted(followers: list[Follower]) -> None:
    typed("doc", "one ")
    follower = Follower("doc", "--store", "team.db")
    followers.append(follower)
    assert "one" in follower.line()
    run("delete", "doc", "--yes", "--store", "team.db")
    status, out, err = follower.end()
    assert (status, out) == (4, "") and "was deleted" in err


# --- terminals --------------------------------------------------------------------------------------------


def test_how_far_long_work_is_is_told_on_a_terminal() -> None:
    script = (
        "from syncstring.cli.output import working\n"
        "with working('importing') as tell:\n    tell('5 of 9 patches\\x07')\n    input()"
    )
    with Session([sys.executable, "-c", script], columns=80) as session:
        session.see("importing, 5 of 9 patches\\x07")
        session.press("\r")
        assert session.end() == 0


def test_on_a_terminal_deleting_asks_first() -> None:
    typed("doc", "one ")
    for answer, status in (("n", 130), ("y", 0)):
        with Session(syncstring("delete", "doc", "--store", "team.db"), columns=80) as session:
            session.see("with all its history?")
            session.press(answer + "\r")
            assert session.end() == status
        assert len(run("list", "--store", "team.db").lines) == status // 130


# --- which of several things a SOURCE is ------------------------------------------------------------------


def test_a_source_is_what_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(Path("notes.json"), NOTES)
    Path("notes.md").write_text("x")
    assert open_source("notes.json").place is None
    typed("notes.json", "stored", store="notes.json.sync")
    place = open_source("notes.json").place
    assert place is not None and (place.url, place.name) == ("notes.json.sync", "notes.json")
    with pytest.raises(UnknownVersion, match="SYNCSTRING_STORE"):
        open_source("absent.md")
    monkeypatch.setenv("SYNCSTRING_STORE", "team.db")
    typed("notes.md", "in the team's")
    assert open_source("notes.json").place is None
    found = open_source("notes.md")
    assert found.place is not None and found.timeline.text(1) == "in the team's"
