"""The command line on a real RethinkDB: the same answers as on a file, every failure in one line, no secrets.

And the example of two terminals, one of which a person can use.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from command_line import NOTES, Result, Run, runner, write
from rethink_servers import Address, Cluster, Proxy, Server, fresh_database, missing
from vt import syncstring

import syncstring as library
from syncstring.cli import standing

pytestmark = pytest.mark.filterwarnings("ignore:SQLite")
EXAMPLE = Path(__file__).parent.parent / "examples" / "two_terminals.py"
HUSH = "hu%sh:x"  # a password; in a URL, escaped:
HUSHED = "hu%25sh%3Ax"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and nobody's settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNCSTRING_STORE", raising=False)
    monkeypatch.setenv("SYNCSTRING_AUTHOR", "ada")
    return tmp_path


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    return runner(capfdbinary)


def fine(found: Result, status: int = 0) -> Result:
    assert (found.status, found.err) == (status, ""), found
    return found


def one(found: Result, status: int = 0) -> dict[str, Any]:
    (told,) = fine(found, status).objects
    return told


def refused(found: Result, status: int, words: str) -> None:
    """It ended with that status and one line, which says why."""
    assert (found.status, found.out) == (status, ""), found
    assert found.err.count("\n") == 1 and found.err.startswith("syncstring: "), found.err
    assert re.search(words, found.err), found.err
    assert "hu" not in found.err.lower().replace("authenticat", ""), found.err


@pytest.fixture
def user(rethink: Address) -> Iterator[str]:
    """A user who may do nothing yet, with the password HUSH."""
    name = fresh_database()
    rethink.ask(lambda r: r.db("rethinkdb").table("users").insert({"id": name, "password": HUSH}))
    yield name
    rethink.ask(lambda r: r.db("rethinkdb").table("users").get(name).delete())


@pytest.fixture(scope="module")
def shop(rethink: Address) -> Iterator[str]:
    """A database with one document, `a`, that many tests use."""
    url = rethink.url(fresh_database())
    with library.open(url, "a", author="ada") as document:
        document.insert(0, "text")
    yield url
    rethink.drop(db_of(url))


def db_of(url: str) -> str:
    return url.rpartition("/")[2]


# --- every command ----------------------------------------------------------------------------------------


def test_what_is_read_from_a_server_is_what_is_read_from_a_file(run: Run, rethink_url: str) -> None:
    write(Path("notes.json"), NOTES)
    reading = [
        ("log", "notes"), ("log", "notes", "--all", "--json"), ("show", "notes", "2"),
        ("show", "notes", "v1"), ("diff", "notes", "1", "v1"), ("diff", "notes", "2", "3", "--words"),
        ("blame", "notes", "--json"), ("replay", "notes", "--json"), ("stats", "notes", "--json"),
        ("tag", "notes", "--json"),
        ("export", "rows", "notes"), ("export", "trace", "notes"), ("export", "git", "notes"),
        ("export", "text", "notes"), ("export", "rows", "--salvage", "notes"), ("list", "--json"),
        ("fsck", "--json"), ("fsck", "notes"),
    ]  # fmt: skip
    answers = []
    for store in ("team.db", rethink_url):
        fine(run("import", "notes.json", "notes", "--store", store))
        assert one(run("import", "notes.json", "notes", "--store", store, "--json"))["new"] == 0
        fine(run("tag", "notes", "v1", "3", "--store", store))
        before = [run(*args, "--store", store) for args in reading]
        packed = one(run("compact", "notes", "--store", store, "--json"))
        assert packed["packed"] == 4
        answers.append((before, [run(*args, "--store", store) for args in reading]))
    assert answers[0] == answers[1]
    assert all(found.err == "" and found.out and found.status < 2 for found in answers[1][0] + answers[1][1])


def test_what_is_changed_on_a_server_is_seen_by_the_next_command(run: Run, rethink_url: str) -> None:
    store = ("--store", rethink_url)
    for text in ("one\n", "one\ntwo\n", "one\ntwo\nthree\n"):
        Path("notes.md").write_text(text)
        assert one(run("import", "notes.md", "notes", *store, "-m", text[-4:-1], "--json"))["new"] == 1
    assert one(run("restore", "notes", "1", *store, "--json"))["deleted"] == 10
    assert fine(run("export", "text", "notes", *store)).out == "one\n"
    assert one(run("revert", "notes", "4", *store, "--json"))["inserted"] == 10
    assert fine(run("export", "text", "notes", *store)).out == "one\ntwo\nthree\n"
    fine(run("compact", *store))
    assert fine(run("show", "notes", "1", *store)).out == "one\n"
    assert one(run("compact", "notes", *store, "--json"))["packed"] == 0
    fine(run("rename", "notes", "minutes", *store))
    refused(run("show", "notes", "1", *store), 3, "no document 'notes'")
    assert fine(run("list", *store)).out.startswith("minutes  5 patches  ")
    fine(run("delete", "minutes", "--yes", *store))
    assert fine(run("list", *store)).out == ""
    assert "it was deleted" in fine(run("fsck", *store)).out


def test_the_store_may_be_named_by_the_environment(
    run: Run, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("b").write_text("text of b")
    monkeypatch.setenv("SYNCSTRING_STORE", shop)
    fine(run("import", "b", "docs/b"))
    assert fine(run("show", "docs/b", "1")).out == "text of b"
    assert one(run("store", "check", "--json"))["url"] == shop
    assert sorted(os.listdir()) == ["b"]


def test_no_command_that_reads_makes_a_database(run: Run, rethink: Address, rethink_url: str) -> None:
    for args in (
        ("list",), ("fsck",), ("compact",), ("log", "x"), ("show", "x", "1"), ("log", "x", "-f"),
        ("tag", "x"), ("restore", "x", "1"), ("revert", "x", "1"), ("export", "text", "x"),
        ("delete", "x", "--yes"), ("rename", "x", "y"), ("store", "check"),
    ):  # fmt: skip
        where = [rethink_url] if args[0] == "store" else ["--store", rethink_url]
        refused(
            run(*args, *where),
            4,
            f"(?i)no database '{db_of(rethink_url)}'|`{db_of(rethink_url)}` does not exist",
        )
    assert db_of(rethink_url) not in rethink.ask(lambda r: r.db_list())


def test_following_tells_of_others_patches_until_interrupted(shop: str) -> None:
    with library.open(shop, "followed", author="bob") as document:
        document.insert(0, "one ")
        document.flush()
        follower = subprocess.Popen(
            syncstring("log", "followed", "-f", "--json", "--store", shop),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert follower.stdout is not None
            assert json.loads(follower.stdout.readline())["n"] == 1
            document.insert(4, "two ")
            document.flush()
            told = json.loads(follower.stdout.readline())
            assert (told["n"], told["author"], told["inserted"]) == (2, "bob", 4)
            follower.send_signal(signal.SIGINT)
            out, err = follower.communicate(timeout=240)
            assert (follower.returncode, out, err) == (130, "", "")
        finally:
            follower.kill()
            follower.communicate()


@pytest.mark.slow
def test_following_goes_on_after_the_server_was_killed(servers: None) -> None:
    with Server() as server, library.open(server.url("db"), "doc", author="bob") as document:
        document.insert(0, "one ")
        document.flush()
        follower = subprocess.Popen(
            syncstring("log", "doc", "-f", "--json", "--store", server.url("db")),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert follower.stdout is not None
            assert json.loads(follower.stdout.readline())["n"] == 1
            server.kill9()
            document.insert(4, "two ")
            document.commit()
            time.sleep(1)
            server.start()
            assert json.loads(follower.stdout.readline())["n"] == 2
        finally:
            follower.kill()
            follower.communicate()


# --- what goes wrong --------------------------------------------------------------------------------------

COMMANDS = (
    ("list", "--store"), ("fsck", "--store"), ("show", "x", "1", "--store"), ("log", "x", "-f", "--store"),
    ("import", "a", "x", "--store"), ("restore", "x", "1", "--store"), ("store", "check"), ("test",),
    ("fuzz", "--worlds", "1", "--store"),
)  # fmt: skip


@pytest.mark.parametrize("args", COMMANDS, ids=lambda args: args[0])
def test_why_a_server_cannot_be_used_is_said_in_one_line(
    run: Run, rethink: Address, rethink_url: str, user: str, args: tuple[str, ...]
) -> None:
    Path("a").write_text("text")
    db = db_of(rethink_url)
    at = f"{rethink.host}:{rethink.port}/{db}"

    def told(url: str) -> Result:
        for _ in range(9):  # a machine that stands still lets a dial time out
            if not re.search("timed out|doesn't answer", (found := run(*args, url)).err):
                break
        return found

    refused(told(f"rethinkdb://{user}:{HUSHED}@127.0.0.1:1/{db}"), 4, "127.0.0.1:1 can't be reached")
    refused(told(f"rethinkdb://{user}:hu@{at}"), 4, f"refuses user '{user}': Wrong password")
    refused(told(f"rethinkdb://nobody_{user}:hu@{at}"), 4, "Unknown user")
    refused(told(f"rethinkdb://{user}:{HUSHED}@{at}"), 4, "permission|no database|does not exist")
    refused(told(f"rethinkdb://{user}:{HUSHED}@{rethink.host}/"), 2, "names no database")
    refused(told(f"rethinkdb://{user}:hu/sh@{at}"), 2, "written %2F|names no database")
    refused(told(f"rethinkdb://{user}@{at}?password_file=none"), 4, "password file none: No such file")
    refused(told(f"rethinkdbs://{user}@{at}?ca=none"), 4, "file of certificates 'none': No such file")


def test_who_may_only_read_reads_and_is_told_who_to_ask(
    run: Run, rethink: Address, shop: str, user: str
) -> None:
    rethink.ask(lambda r: r.db(db_of(shop)).grant(user, {"read": True, "write": False}))
    Path("secret").write_text(HUSH)
    url = f"rethinkdb://{user}@{rethink.host}:{rethink.port}/{db_of(shop)}?password_file=secret"
    assert fine(run("show", "a", "1", "--store", url)).out == "text"
    assert "a" in [line.split()[0] for line in fine(run("list", "--store", url)).lines]
    Path("a").write_text("text, and more")
    for args in (("import", "a", "a"), ("delete", "a", "--yes"), ("tag", "a", "v1"), ("rename", "a", "b")):
        refused(run(*args, "--store", url), 4, "required `write` permission.*ask who administers")
    told = one(run("store", "check", url, "--json"))
    assert told["url"] == url.partition("?")[0]
    assert type(told["reading"]) is int and told["writing"] is told["hearing"] is None
    assert told["unseen"] and told["findings"] == [] and "can't be written" in " ".join(told["advice"])
    assert fine(run("store", "check", url)).lines[-1] == "  sound, as far as it can be seen"


def test_a_password_is_shown_nowhere(run: Run, rethink: Address, shop: str, user: str) -> None:
    rethink.ask(lambda r: r.db(db_of(shop)).grant(user, {"read": True, "write": True}))
    url = f"rethinkdb://{user}:{HUSHED}@{rethink.host}:{rethink.port}/{db_of(shop)}"
    said = []
    for args in (
        ("store", "check", url), ("store", "check", url, "--json"), ("store", "check", url, "more"),
        ("list", "--json", "--store", url), ("show", "b", "1", "--store", url), ("fsck", "--store", url),
        ("test", url, "--only", "fits_no", "--json"), ("test", url, "--only", "every_table", "--json"),
        ("fuzz", "--worlds", "1", "--steps", "3", "--json", "--store", url), ("log", url),
        ("export", "trace", url),
    ):  # fmt: skip
        found = run(*args)
        assert found.out or found.err
        said += [found.out, found.err]
    assert not [text for text in said if "hu%" in text or HUSH in text]
    assert sum(f"rethinkdb://{user}@" in text for text in said) >= 4


# --- interrupts -------------------------------------------------------------------------------------------


ENDED = (130, "", "")


def interrupted(
    proxy: Proxy, seconds: float, command: Callable[[int], Sequence[str]]
) -> tuple[int, str, str]:
    """Run a command, whose server falls silent so long after it connected; then press Ctrl-C. The first of
    some tries that it ends: a machine that stands still at the wrong moment lets a command be done before, or
    ends it too late. `command` gets the number of the try."""
    found = (0, "", "it goes on")
    for number in range(5):
        with suppress(subprocess.TimeoutExpired):
            if (found := _interrupted(proxy, seconds, command(number))) == ENDED:
                break
    return found


def _interrupted(proxy: Proxy, seconds: float, args: Sequence[str]) -> tuple[int, str, str]:
    before = proxy.connections
    waiting = subprocess.Popen(
        syncstring(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        end = time.monotonic() + 120
        while proxy.connections == before and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(seconds)
        proxy.mute()
        time.sleep(0.2)
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=8)  # far below the limit of the store's answers
        return waiting.returncode, out, err
    finally:
        waiting.kill()
        waiting.communicate()
        proxy.passes()


@pytest.mark.parametrize("args", [("list",), ("import", "b", "a"), ("log", "a", "-f"), ("store", "check")])
def test_an_interrupt_ends_what_waits_for_a_server_that_never_speaks(
    rethink: Address, shop: str, args: tuple[str, ...]
) -> None:
    Path("b").write_text("text")
    with Proxy(rethink) as proxy:
        url = proxy.url(db_of(shop))
        where = (url,) if args[0] == "store" else ("--store", url)

        def command(_: int) -> tuple[str, ...]:
            proxy.mute()
            return (*args, *where)

        assert interrupted(proxy, 0.0, command) == ENDED


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.5])
@pytest.mark.parametrize(
    "args", [("list",), ("import", "notes.json"), ("restore", "a", "0"), ("compact",), ("store", "check")]
)
def test_an_interrupt_ends_a_command_whose_server_falls_silent(
    rethink: Address, shop: str, args: tuple[str, ...], seconds: float
) -> None:
    write(Path("notes.json"), NOTES)
    with Proxy(rethink) as proxy:
        url = proxy.url(db_of(shop))
        where = (url,) if args[0] == "store" else ("--store", url)

        def command(number: int) -> tuple[str, ...]:
            proxy.delay(0.1)
            return (*args, *[f"notes {seconds} {number}"] * (args[0] == "import"), *where)

        assert interrupted(proxy, seconds, command) == ENDED


# --- store check ------------------------------------------------------------------------------------------


def test_a_sound_server_is_described_and_measured(run: Run, rethink: Address, shop: str) -> None:
    db = db_of(shop)

    def rows_of(table: str) -> Any:
        return rethink.ask(lambda r: r.db(db).table(table).coerce_to("array"))

    def rows() -> dict[str, Any]:
        tables = sorted(rethink.ask(lambda r: r.db(db).table_list()))
        return {table: rows_of(table) for table in tables if table != "heartbeat"}

    before = rows()
    told = one(run("store", "check", shop, "--json"))
    assert rows() == before
    assert told["version"].startswith("rethinkdb 2.") and told["kept"]["servers"] >= 1
    assert told["findings"] == told["unseen"] == []
    tables = told["tables"]
    assert sorted(tables) == sorted([*before, "heartbeat"])
    assert tables["patches"]["hook"] and not tables["names"]["hook"]
    assert tables["patches"]["durability"] == "hard" and tables["cursors"]["durability"] == "soft"
    assert all(table["write_acks"] == "majority" and table["ready"] for table in tables.values())
    assert all(type(told[name]) is int for name in ("reading", "writing", "hearing", "clock"))
    lines = fine(run("store", "check", shop)).lines
    assert lines[0] == shop and lines[-1] == "  sound"
    assert any("packs, patches: durability hard, write acks majority" in line for line in lines)


def test_what_is_wrong_with_a_database_is_found_though_commands_refuse_it(
    run: Run, rethink: Address, rethink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "LIMIT", 60.0)
    Path("a").write_text("text")
    fine(run("import", "a", "a", "--store", rethink_url))
    db = db_of(rethink_url)
    rethink.ask(lambda r: r.db(db).table("patches").config().update({"durability": "soft"}))
    rethink.ask(lambda r: r.db(db).table("tags").config().update({"write_acks": "single"}))
    rethink.ask(lambda r: r.db(db).table("packs").set_write_hook(None))
    refused(
        run("list", "--store", rethink_url),
        4,
        "can't be trusted with patches: table patches has soft durability",
    )
    told = one(run("store", "check", rethink_url, "--json"), status=1)
    assert [finding.partition(":")[0] for finding in told["findings"]] == [
        "table patches has soft durability", "table tags acknowledges what a single replica has",
    ]  # fmt: skip
    assert any("table packs has no write hook" in advice for advice in told["advice"])
    assert type(told["writing"]) is int
    monkeypatch.setattr(standing, "LIMIT", 3.0)  # what is waited for never comes
    rethink.ask(lambda r: r.db(db).table_drop("cursors"))
    rethink.ask(lambda r: r.db(db).table("meta").get(["format"]).update({"row": '{"v":2}'}))
    found = fine(run("store", "check", rethink_url), 1)
    assert f"  wrong     database '{db}' has no table cursors" in found.lines
    assert "  wrong     the tables have format 2, this library reads 1; upgrade it" in found.lines
    assert "  sound" not in found.lines
    assert "cursors" not in rethink.ask(lambda r: r.db(db).table_list())


@pytest.mark.slow
def test_servers_that_are_away_are_found(run: Run, servers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "LIMIT", 20.0)
    Path("a").write_text("text")
    with Cluster(3) as cluster:
        url = cluster.servers[0].url("db")
        fine(run("import", "a", "a", "--store", url))
        told = one(run("store", "check", url, "--json"))
        assert told["kept"] == {"servers": 3} and told["advice"] == []
        assert {table["replicas"] for table in told["tables"].values()} == {3}
        cluster.servers[1].kill9()
        end = time.monotonic() + 180
        while (found := run("store", "check", url, "--json")).status and time.monotonic() < end:
            time.sleep(0.2)  # until others took its place
        (advice,) = one(found)["advice"]
        assert "have a replica that is away or behind" in advice
        monkeypatch.setattr(standing, "LIMIT", 3.0)  # what is waited for never comes
        cluster.servers[2].kill9()
        told = one(run("store", "check", url, "--json"), status=1)
        away, silent = told["findings"]
        assert re.fullmatch("tables .*patches, tags can't be written now: ready for [a-z; ]*", away), away
        assert silent.startswith("no answer: ") and told["reading"] is told["writing"] is None


# --- the example ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_terminals_end_with_one_text_though_the_server_was_killed(servers: None) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE, "--speed", "25", "--seed", "7"], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    assert "the server was killed with SIGKILL" in done.stdout
    assert re.search("offline, [0-9]{2,} unsaved", done.stdout)
    assert done.stdout.endswith("so does whoever opens it now.\n")


def test_a_terminal_of_ones_own_shows_what_others_type(shop: str) -> None:
    def edit(author: str, typed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, EXAMPLE, "--edit", "lines", "--store", shop, "--author", author],
            input=typed, capture_output=True, text=True, timeout=240,
        )  # fmt: skip

    first = edit("ada", "one\ntwo\n/show\n/quit\nnever\n")
    assert (first.returncode, first.stderr) == (0, "")
    assert "one\ntwo\n-- " in first.stdout
    with library.open(shop, "lines", author="cyd", create=False) as document:
        assert document.text == "one\ntwo\n"
    second = edit("bob", "three\n")
    assert second.returncode == 0
    with library.open(shop, "lines", author="cyd", create=False) as document:
        assert sorted(document.text.split()) == ["one", "three", "two"]


def test_a_terminal_that_has_no_store_says_so_in_one_line() -> None:
    if reason := missing().partition("driver")[1]:
        pytest.skip(reason)
    for args, words in (
        (["--edit", "a", "--store", "rethinkdb://127.0.0.1:1"], "names no database"),
        (["--edit", "a", "--store", "nowhere/at/all.db"], "no folder to make it in"),
    ):
        done = subprocess.run(
            [sys.executable, EXAMPLE, *args], input="x\n", capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 1 and words in done.stderr and done.stderr.count("\n") == 1
    done = subprocess.run(
        [sys.executable, EXAMPLE], env={"PATH": ""}, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 1 and "no `rethinkdb` on PATH" in done.stderr
