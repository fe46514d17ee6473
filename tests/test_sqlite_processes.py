"""Several processes on one SQLite file: seen soon, killed at any instant, of two Pythons, forked, warned."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from sqlite_stores import DOC, RANGE, opened, python, run, said, sound

from syncstring.backends import sqlite as backend
from syncstring.store import EVERYTHING, Changed, Ready, key_of
from syncstring.testing.store_bench import Client, collect, row_of
from syncstring.testing.store_feeds import Follower

WRITE = """
async def main(path, who, count):
    async with await open_store(path) as store:
        print("open", flush=True)
        for line in sys.stdin:
            for n in range(int(count)):
                row = {"id": ["d" * 40, n, who], "at": await store.time()}
                assert (await store.insert("patches", [row]))[0].fine
                print(n, flush=True)
                await asyncio.sleep(0.02)
asyncio.run(main(*sys.argv[1:]))
"""


def test_another_process_s_commit_is_seen_soon(tmp_path: Path, record_property: Any) -> None:
    """That it's seen is promised; how soon is told in the report: machines differ."""
    path = tmp_path / "team.db"

    async def main() -> list[int]:
        async with await opened(path) as store:
            feed = store.feed("patches", *RANGE)
            assert await anext(feed) == Ready()
            process = python(WRITE, path, "other", 20)
            assert process.stdout is not None and process.stdin is not None
            await asyncio.to_thread(process.stdout.readline)
            process.stdin.write("go\n")
            process.stdin.close()
            process.stdin = None
            delays = []
            while len(delays) < 20:
                change = await anext(feed)
                assert isinstance(change, Changed) and change.new is not None
                delays.append(await store.time() - change.new["at"])
            await asyncio.to_thread(process.wait)
            process.communicate()
            return delays

    backend._warned = True
    delays = run(main())
    record_property("median_microseconds_until_seen", statistics.median(delays))
    print(
        f"seen after {statistics.median(delays) / 1000:.1f} ms (median), {max(delays) / 1000:.1f} ms (worst)"
    )


def test_writers_killed_at_any_instant_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    code = """
async def main(path, who):
    async with await open_store(path) as store:
        print("open", file=sys.stderr, flush=True)
        n = 0
        while True:
            rows = [{"id": ["d" * 40, n + i, who], "filler": "x" * 300} for i in range(1 + n % 5)]
            await store.insert("patches", rows)
            if n % 7 == 0:
                await store.delete("patches", rows[:1])
                rows = rows[1:]
            for row in rows:
                sys.stdout.write(f"{row['id'][1]}\\n")
            sys.stdout.flush()
            n += 5
asyncio.run(main(*sys.argv[1:]))
"""
    chance = random.Random(0)
    acknowledged: set[tuple[int, str]] = set()
    for round in range(50):
        if acknowledged and round >= 8:
            break
        writers = {f"r{round}w{who}": python(code, path, f"r{round}w{who}") for who in range(2)}
        for process in writers.values():
            assert process.stderr is not None and process.stderr.readline() == "open\n"
        time.sleep(chance.random() * 0.3)
        for process in writers.values():
            process.send_signal(signal.SIGKILL)
        for who, process in writers.items():
            out, _ = process.communicate(timeout=240)
            *whole, _ = out.split("\n")  # the last line may be torn
            acknowledged |= {(int(line), who) for line in whole}
        sound(path)

    async def main() -> None:
        async with await opened(path) as store:
            found = {
                (key[1], key[2])
                for row in await collect(store.scan("patches", *RANGE))
                if (key := key_of(row))
            }
            assert acknowledged and not acknowledged - found

    run(main())


def test_ten_processes_may_make_the_file_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    code = """
async def main(path, who):
    sys.stdin.readline()
    async with await open_store(path) as store:
        assert (await store.insert("patches", [{"id": ["d" * 40, 1, who]}]))[0].kind == "inserted"
asyncio.run(main(*sys.argv[1:]))
"""
    processes = [python(code, path, f"w{who}") for who in range(10)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        said(process)

    async def main() -> None:
        async with await opened(path) as store:
            assert len(await collect(store.scan("patches", *RANGE))) == 10

    run(main())
    sound(path)


def pythons() -> list[str]:
    """Other Pythons here that this package runs on."""
    names = {f"python3.{minor}" for minor in range(11, 20)} - {f"python3.{sys.version_info.minor}"}
    found = [
        str(Path(folder) / name) for folder in os.environ["PATH"].split(os.pathsep) for name in sorted(names)
    ]
    found += [
        str(path)
        for path in sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3.??"))
        if path.name in names
    ]
    return [path for path in found if os.access(path, os.X_OK) and "shims" not in path]


def test_two_versions_of_python_work_on_one_file(tmp_path: Path) -> None:
    code = """
try:
    import syncstring._rows
except ImportError:  # it is compiled for one of them: in the others the plain way takes its place

    class Plain:
        @staticmethod
        def rows_of(cursor, most, plain):
            return [plain(found) for found in cursor], 0

    sys.modules["syncstring._rows"] = Plain

async def main(path, who):
    async with await open_store(path) as store:
        for n in range(20):
            row = {"id": ["d" * 40, n, who], "text": "é\\0", "data": bytes(range(256))}
            assert (await store.insert("patches", [row]))[0].fine
        found = [row async for batch in store.scan("patches", *EVERYTHING) for row in batch]
        assert all(row["data"] == bytes(range(256)) and row["text"] == "é\\0" for row in found)
        print(len(found))
asyncio.run(main(*sys.argv[1:]))
"""
    others = pythons()
    if not others:
        pytest.skip("needs another Python >= 3.11 on this machine, beside the one that runs the tests")
    path = tmp_path / "team.db"
    processes = [
        python(code, path, f"p{n}", executable=each) for n, each in enumerate([sys.executable, *others])
    ]
    counts = [int(said(process)) for process in processes]
    assert max(counts) == 20 * len(processes)
    sound(path)


def test_a_store_is_of_no_use_to_a_fork(tmp_path: Path) -> None:
    code = """
async def main(path):
    store = await open_store(path)
    await store.insert("patches", [{"id": ["d" * 40, 1, "s"]}])
    return store
store = asyncio.run(main(sys.argv[1]))
if os.fork() == 0:
    async def child():
        calls = [
            lambda: store.insert("patches", [{"id": ["d" * 40, 2, "s"]}]),
            lambda: store.get("patches", [("d" * 40, 1, "s")]), store.time,
        ]
        for call in calls:
            try:
                await call()
            except StoreError as error:
                assert "fork" in str(error)
            else:
                os._exit(3)
        try:
            store.feed("patches", *EVERYTHING)
        except StoreError:
            await store.close()
            os._exit(0)
    asyncio.run(child())
    os._exit(4)
_, status = os.wait()
async def parent():
    await store.insert("patches", [{"id": ["d" * 40, 3, "s"]}])
    print(os.waitstatus_to_exitcode(status), len([b async for b in store.scan("patches", *EVERYTHING)][0]))
    await store.close()
asyncio.run(parent())
"""
    assert said(python(code, tmp_path / "team.db")) == "0 2\n"


def test_a_fork_is_refused_the_file_that_its_parent_has_open(tmp_path: Path) -> None:
    """SQLite would take its parent's locks for its own, or wait for what its parent's threads hold."""
    code = """
import syncstring
path, link = sys.argv[1], sys.argv[1] + "-link"
os.symlink(path, link)
def grown():
    with syncstring.open(path, "notes", author="ada") as document:
        document.insert(0, "x")
    return document.text
def child():
    for each in (path, link):
        try:
            syncstring.open(each, "notes", author="bob")
        except StoreError as error:
            assert "open it in a spawned one" in str(error), error
        else:
            os._exit(3)
    os._exit(0)
def ended():
    return os.waitstatus_to_exitcode(os.wait()[1])
grown()
with syncstring.open(path, "notes", author="ada") as document:
    if os.fork() == 0:
        if os.fork() == 0:  # and so are forks of forks
            child()
        child() if ended() == 0 else os._exit(4)
    print(ended())
    document.insert(0, "y")
if os.fork() == 0:  # nobody has it open
    os._exit(0 if grown() == "xyx" else 5)
print(ended())
"""
    assert said(python(code, tmp_path / "team.db")) == "0\n0\n"


def test_a_fork_is_refused_a_file_that_is_just_being_made(tmp_path: Path) -> None:
    code = """
import sqlite3
from syncstring.backends.sqlite_file import SqliteFile
path = sys.argv[1]
class Forking(sqlite3.Connection):
    def execute(self, sql, *more):
        if sql == "BEGIN IMMEDIATE" and os.fork() == 0:
            try:
                SqliteFile(path, 1.0).open(True, False)
            except StoreError as error:
                os._exit(0 if "open it in a spawned one" in str(error) else 3)
            os._exit(4)
        return super().execute(sql, *more)
def dial(uri, patience):
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, factory=Forking)
SqliteFile(path, 1.0, dial).open(True, False)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert said(python(code, tmp_path / "team.db")) == "0\n"


def test_a_fork_may_open_what_its_parent_dropped(tmp_path: Path) -> None:
    code = """
import syncstring
from syncstring.backends.sqlite import SqliteStore
path = sys.argv[1]
syncstring.open(path, "notes", author="ada").close()
store = SqliteStore.open_at_once("sqlite:" + path)
assert store is not None
del store
if os.fork() == 0:
    syncstring.open(path, "notes", author="ada").close()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert said(python(code, tmp_path / "team.db")) == "0\n"


def test_a_process_may_end_without_closing(tmp_path: Path) -> None:
    code = """
async def main(path):
    store = await open_store(path)
    store.feed("patches", *EVERYTHING)
    print((await store.insert("patches", [{"id": ["d" * 40, 1, "s"]}]))[0].kind)
asyncio.run(main(sys.argv[1]))
"""
    assert said(python(code, tmp_path / "team.db")) == "inserted\n"
    assert said(python(code.replace("inserted", ""), tmp_path / "team.db")) == "present\n"


# --- the warning ------------------------------------------------------------


@pytest.fixture
def old_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 2))
    monkeypatch.setattr(backend, "_warned", False)


async def write_elsewhere(path: Path) -> None:
    code = """
async def main(path, who):
    async with await open_store(path) as store:
        await store.insert("patches", [{"id": ["d" * 40, n, who]} for n in range(3)])
asyncio.run(main(*sys.argv[1:]))
"""
    await asyncio.to_thread(said, python(code, path, str(time.time_ns())))


@pytest.mark.parametrize("reads", [True, False], ids=["reading a feed", "writing"])
def test_old_sqlite_is_warned_of_once_when_another_process_writes(
    reads: bool, tmp_path: Path, old_sqlite: None
) -> None:
    path = tmp_path / "team.db"

    async def main() -> None:
        async with await opened(path) as store, await opened(path) as second:
            if reads:
                follower = Follower(Client(store, False), "patches", *RANGE)
            for number in range(3):
                await write_elsewhere(path)
                await second.insert("patches", [row_of(DOC, number, "here")])
                await store.insert("patches", [row_of(DOC, 9 + number, "here")])
            if reads:
                await follower.has([row_of(DOC, 11, "here")])
                await follower.close()

    with pytest.warns(RuntimeWarning, match=r"fixed in 3\.51\.3") as told:
        run(main())
    assert len([each for each in told if "fixed in" in str(each.message)]) == 1


def test_nobody_is_warned_while_one_process_writes(tmp_path: Path, old_sqlite: None) -> None:
    """Not of what others wrote before, of their reading, of a second client here, or with a newer SQLite."""
    path = tmp_path / "team.db"

    async def main() -> None:
        await write_elsewhere(path)
        async with await opened(path) as store, await opened(path) as second:
            follower = Follower(Client(store, False), "patches", *EVERYTHING)
            for number in range(3):
                await second.insert("patches", [row_of(DOC, number, "two")])
                await store.insert("patches", [row_of(DOC, number, "one")])
                await asyncio.to_thread(said, python("asyncio.run(open_store(sys.argv[1]))", path))
            await follower.has([row_of(DOC, 2, "one")])
            await follower.close()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(main())
    assert not backend._warned


def test_a_new_sqlite_is_not_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    monkeypatch.setattr(backend, "_warned", False)

    async def main() -> None:
        async with await opened(tmp_path / "team.db") as store:
            await write_elsewhere(tmp_path / "team.db")
            await store.insert("patches", [row_of(DOC)])
            await store.insert("patches", [row_of(DOC, 2)])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(main())
