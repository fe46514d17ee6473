"""`store check` on files and in memory: what it says, what it finds, that it changes nothing; secrets."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, runner
from hypothesis import given
from hypothesis import strategies as st

import syncstring
from syncstring import store as contract
from syncstring.backends import sqlite
from syncstring.backends.memory import MemoryStore
from syncstring.cli import standing
from syncstring.cli.output import masked
from syncstring.errors import StoreError, StoreUnavailable
from syncstring.store import EVERYTHING, Feed, Gap, Key, Row, Standing, Verdict, open_store
from syncstring.testing.store_bench import collect

FIGURES = ("reading", "writing", "hearing", "clock")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and nobody's settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNCSTRING_STORE", raising=False)
    monkeypatch.setattr(standing, "LIMIT", 60.0)  # a machine that stands still finds nothing
    return tmp_path


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    return runner(capfdbinary)


@pytest.fixture
def memory_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[MemoryStore]], None]:
    """Makes `memory:` another store."""

    def be(kind: type[MemoryStore]) -> None:
        monkeypatch.setitem(contract.BACKENDS, "memory", f"{__name__}:{kind.__name__}")  # type: ignore[arg-type]

    return be


def made(path: str = "team.db") -> None:
    with syncstring.open(path, "notes.md", author="ada") as document:
        document.insert(0, "text")


def contents(path: str) -> dict[str, list[Row]]:
    async def read() -> dict[str, list[Row]]:
        async with await open_store(path, create=False) as store:
            return {table: await collect(store.scan(table, *EVERYTHING)) for table in contract.TABLES}

    return asyncio.run(read())


def one(found: Any, status: int = 0) -> dict[str, Any]:
    """The one object that was said."""
    assert (found.status, found.err) == (status, "")
    (told,) = found.objects
    return dict(told)


# --- what is sound ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["team.db", "sqlite:team.db"])
def test_a_sound_file_is_described_and_measured_and_left_as_it_was(run: Run, url: str) -> None:
    made()
    before = contents("team.db")
    told = one(run("store", "check", url, "--json"))
    assert told["url"] == "sqlite:team.db"
    assert told["version"] == f"SQLite {sqlite3.sqlite_version}"
    assert told["kept"] == {"journal_mode": "wal", "synchronous": "full", "read_only": False}
    assert all(type(told[name]) is int for name in FIGURES)
    assert told["findings"] == told["unseen"] == [] and told["tables"] == {}
    lines = run("store", "check", url).lines
    assert lines[:3] == [
        "sqlite:team.db",
        f"  server    SQLite {sqlite3.sqlite_version}",
        "  kept      journal mode wal, synchronous full",
    ]
    assert [line.split()[0] for line in lines[3:7]] == list(FIGURES) and lines[-1] == "  sound"
    assert contents("team.db") == before


def test_the_store_may_be_named_by_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("store", "check").status == 2
    made()
    monkeypatch.setenv("SYNCSTRING_STORE", "team.db")
    assert one(run("store", "check", "--json"))["url"] == "sqlite:team.db"


def test_memory_is_measured_and_nothing_else_is_known_of_it(run: Run) -> None:
    told = one(run("store", "check", "memory:", "--json"))
    assert (told["version"], told["kept"], told["findings"], told["advice"]) == ("", {}, [], [])
    assert all(type(told[name]) is int for name in FIGURES)


def test_a_file_that_is_not_there_is_not_made(run: Run) -> None:
    found = run("store", "check", "no.db")
    assert (found.status, found.out) == (3, "") and found.err.count("\n") == 1
    assert not Path("no.db").exists()


def test_what_is_no_store_exits_with_4(run: Run) -> None:
    Path("no.db").write_text("this is no database, however long it may be " * 99)
    found = run("store", "check", "no.db")
    assert (found.status, found.out) == (4, "") and found.err.count("\n") == 1


@pytest.mark.parametrize(("version", "told"), [((3, 51, 2), True), ((3, 51, 3), False)])
def test_a_version_of_sqlite_that_may_corrupt_files_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], told: bool
) -> None:
    made()
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    assert (
        any("corrupt" in line for line in one(run("store", "check", "team.db", "--json"))["advice"]) == told
    )


def test_a_file_that_can_only_be_read_is_told_as_that(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made()
    before = sqlite.SqliteStore.open

    async def only_read(url: str, **options: Any) -> Any:
        return await before(url, **options, read_only=True)

    monkeypatch.setattr(sqlite.SqliteStore, "open", only_read)
    told = one(run("store", "check", "team.db", "--json"))
    assert told["kept"] == {"journal_mode": "wal", "read_only": True}
    assert type(told["reading"]) is int and told["writing"] is told["hearing"] is None
    assert [line for line in told["advice"] if "only be read" in line]
    assert [line for line in told["advice"] if "can't be written" in line]


# --- what is wrong ----------------------------------------------------------------------------------------


class Shaky(MemoryStore):
    """Knows of itself that it can't be trusted."""

    async def standing(self) -> Standing:
        kept = {"servers": 1, "hook": True, "spare": False, "note": ""}
        tables = {"tags": {"replicas": 3}, "names": {"replicas": 3}, "packs": {}}
        findings = ("it loses \x1b[31mrows",)
        return Standing("sand 1.0", kept, tables, ("what lies below",), findings, ("build on rock",))


def test_what_a_store_knows_of_itself_is_told(
    run: Run, memory_is: Callable[[type[MemoryStore]], None]
) -> None:
    memory_is(Shaky)
    found = run("store", "check", "memory:")
    assert (found.status, found.err) == (1, "")
    assert found.lines[:5] == [
        "memory:",
        "  server    sand 1.0",
        "  kept      1 server, hook",
        "  tables    tags, names: 3 replicas",
        "            packs: not seen",
    ]
    assert found.lines[-3:] == [
        "  not seen  what lies below",
        "  wrong     it loses \\x1b[31mrows",
        "  advice    build on rock",
    ]
    told = one(run("store", "check", "memory:", "--json"), status=1)
    assert told["findings"] == ["it loses \x1b[31mrows"] and told["tables"]["tags"] == {"replicas": 3}


class Deaf(MemoryStore):
    """Its feeds never begin."""

    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        return Silent(Gap("nobody is there"))


class Forgetful(MemoryStore):
    """Its feeds begin, and tell nothing."""

    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        return Silent(contract.Ready())


class Silent(Feed):
    def __init__(self, first: contract.Change) -> None:
        self._left = [first]

    async def __anext__(self) -> contract.Change:
        if self._left:
            return self._left.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def aclose(self) -> None:
        pass


class Slow(MemoryStore):
    """Writes are never acknowledged, though they land."""

    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        await super().insert(table, rows)
        raise StoreUnavailable("no answer within 10 s; try again")


class Empty(MemoryStore):
    """A table can't be read."""

    async def get(self, table: str, keys: Sequence[Key]) -> list[Row | None]:
        raise StoreError("there is no table meta")


class Away(MemoryStore):
    """Nothing is answered."""

    async def time(self) -> int:
        raise StoreUnavailable("connection refused; try again")


@pytest.mark.parametrize(
    ("kind", "wrong", "seen"),
    [
        (Deaf, "no feed was ready within 2 s: nobody is there", {"reading", "writing", "clock"}),
        (Forgetful, "a feed didn't tell what was written within 2 s", {"reading", "writing", "clock"}),
        (Slow, "no answer: no answer within 10 s; try again", {"reading", "clock"}),
        (Empty, "it can't be read: there is no table meta", set()),
        (Away, "no answer: connection refused; try again", set()),
    ],
)
def test_what_does_not_work_is_found_and_nothing_stays_behind(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    memory_is: Callable[[type[MemoryStore]], None],
    kind: type[MemoryStore],
    wrong: str,
    seen: set[str],
) -> None:
    left: list[list[Key]] = []
    before = kind.close

    async def close(self: MemoryStore) -> None:
        left.append(self.keys("cursors"))
        await before(self)

    monkeypatch.setattr(kind, "close", close)
    if kind in (Deaf, Forgetful):
        monkeypatch.setattr(standing, "LIMIT", 2.0)  # what is waited for never comes
    memory_is(kind)
    told = one(run("store", "check", "memory:", "--json"), status=1)
    assert told["findings"] == [wrong]
    assert {name for name in FIGURES if told[name] is not None} == seen
    assert left == [[]]


class Late(MemoryStore):
    """Its clock is an hour behind."""

    async def time(self) -> int:
        return time.time_ns() // 1_000 - 3_600_000_000


def test_a_clock_that_is_far_off_is_told(run: Run, memory_is: Callable[[type[MemoryStore]], None]) -> None:
    memory_is(Late)
    told = one(run("store", "check", "memory:", "--json"))
    assert abs(told["clock"] + 3_600_000_000) < 60_000_000
    (advice,) = told["advice"]
    assert "ahead of the store's" in advice


# --- what is not for everybody's eyes ---------------------------------------------------------------------


@given(
    before=st.text(),
    user=st.text("abc%@", max_size=3),
    password=st.text("xyz:@/#?%", min_size=1),
    after=st.text(),
)
def test_no_password_of_a_url_is_left_in_a_masked_text(
    before: str, user: str, password: str, after: str
) -> None:
    user = user.replace("@", "")
    secret = f"hush{password}hush"
    shown = masked(f"{before} rethinkdb://{user}:{secret}@host:28015/db {after}")
    assert "hush" not in shown.removeprefix(before).removesuffix(after)
    assert f"rethinkdb://{user}@host:28015/db " in shown


@given(st.text(st.characters(exclude_characters="@")))
def test_a_text_without_one_is_left_as_it_is(text: str) -> None:
    assert masked(text) == text
    kept = f"rethinkdb://ada@h1:28015,h2/db?password_file=x {text}"
    assert masked(kept) == kept


# --- the driver -------------------------------------------------------------------------------------------


def test_without_the_driver_it_is_said_in_one_line_what_to_install() -> None:
    code = (
        "import sys; sys.modules['rethinkdb'] = None\n"
        "from syncstring.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    for args in (["list", "--store"], ["store", "check"], ["test"], ["log", "x", "-f", "--store"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *args, "rethinkdb://h/db"],
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert (done.returncode, done.stdout) == (4, "")
        assert done.stderr == (
            'syncstring: rethinkdb: needs the driver rethinkdb; run: pip install "syncstring[rethinkdb]"\n'
        )


def test_the_driver_is_imported_for_urls_that_need_it_alone() -> None:
    code = (
        "import sys\nfrom syncstring.cli import main\n"
        "for args in (['store', 'check', 'memory:'], ['import', 'a', 'a'], ['list', '--store', 'a.sync']):\n"
        "    assert main(args) == 0\n"
        "sys.exit(any(name.partition('.')[0] == 'rethinkdb' for name in sys.modules))"
    )
    Path("a").write_text("text")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
