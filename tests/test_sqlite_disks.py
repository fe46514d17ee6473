"""Disks that fill up, files that go away, and what may be read or written by whom."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlite_stores import DOC, RANGE, ROWS, made, opened, python, read, refused, run, said, sound

from syncstring.backends import sqlite_file as sql
from syncstring.errors import StoreError, StoreUnavailable
from syncstring.store import Changed, Gap, Ready, key_of
from syncstring.testing.store_bench import collect, row_of

# --- files that go away ------------------------------------------------------------


def _delete(path: Path) -> None:
    path.unlink()


def _move(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def _replace(path: Path) -> None:
    shutil.copy(path, path.with_name("new.db"))
    path.with_name("new.db").replace(path)


def _delete_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


@pytest.mark.parametrize("harm", [_delete, _move, _replace, _delete_log], ids=lambda harm: harm.__name__[1:])
def test_a_file_that_goes_away_under_an_open_store_is_noticed(
    harm: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "team.db"

    async def main() -> None:
        async with await opened(path) as store:
            await store.insert("patches", ROWS)
            feed = store.feed("patches", *RANGE)
            await anext(feed)
            harm(path)
            for call in (
                lambda: store.insert("patches", [row_of(DOC, 777)]),
                lambda: store.get("patches", [key_of(ROWS[0])]),
                lambda: collect(store.scan("patches", *RANGE)),
            ):
                with pytest.raises(StoreError, match="moved, deleted or replaced") as failure:
                    await call()
                assert not isinstance(failure.value, StoreUnavailable)
            assert isinstance(await anext(feed), Gap)

    run(main())


def limited(pages: list[int]) -> sql.Connect:
    """Connections to a file that can't grow beyond some pages."""

    def connect(uri: str, patience: float) -> sqlite3.Connection:
        db = sql.dial(uri, patience)
        db.execute(f"PRAGMA max_page_count={pages[0]}")
        return db

    return connect


def test_a_full_disk_is_unavailable_and_nothing_is_harmed(tmp_path: Path) -> None:
    path, pages = tmp_path / "team.db", [40]

    async def main() -> None:
        await made(path, [])
        async with await opened(path, connect=limited(pages)) as store:
            good = 0
            with pytest.raises(StoreUnavailable, match="full"):
                for good in range(1_000):
                    await store.insert("patches", [row_of(DOC, good, text="x" * 1_000)])
            assert 10 < good < 200
            assert len(await collect(store.scan("patches", *RANGE))) == good
            await store.delete("patches", [row_of(DOC, 0, text="x" * 1_000)])
            assert (await store.insert("patches", [row_of(DOC, 999)]))[0].fine  # there is room for it now
        assert len(await read(path)) == good

    run(main())
    sound(path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs to mount a tmpfs, which takes root and a kernel that lets it")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_really_full_loses_nothing_that_was_acknowledged(small_disk: Path) -> None:
    path = small_disk / "team.db"

    async def main() -> None:
        good = 0
        async with await opened(path) as store:
            with pytest.raises(StoreUnavailable, match=r"full|disk I/O"):
                for good in range(1_000):
                    await store.insert("patches", [row_of(DOC, good, text="x" * 3_000)])
            assert good > 20
            found = await collect(store.scan("patches", *RANGE))
            assert [row["id"][1] for row in found] == list(range(good))
        assert len(await read(path)) == good

    run(main())
    sound(path)


def test_a_disk_too_full_to_make_a_store_says_so(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(1 << 20))
    with pytest.raises(StoreUnavailable, match=r"full|disk I/O"):
        run(opened(small_disk / "team.db"))


def test_a_read_only_disk_is_read(small_disk: Path) -> None:
    path = small_disk / "team.db"
    run(made(path))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    async def main() -> None:
        async with await opened(path) as store:
            assert store.read_only
            assert await collect(store.scan("patches", *RANGE)) == ROWS
            with pytest.raises(StoreError, match="reading only"):
                await store.insert("patches", ROWS)
            assert await anext(store.feed("patches", *RANGE)) == Ready()

    run(main())
    refused(small_disk / "other.db", StoreError, "can't be opened")


# --- permissions ------------------------------------------------------------

NOBODY = """
import pkgutil, syncstring.backends.sqlite
from syncstring.testing.store_bench import collect
RANGE = of_document("d" * 40)
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


def as_nobody(code: str, *args: object) -> subprocess.Popen[str]:
    """A process of a user to whom permissions mean something."""
    return python(NOBODY + code, *args)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may enter and only we may write."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)
        os.chmod(folder, 0o755)


OPEN = """
async def main(path):
    try:
        async with await open_store(path) as store:
            print(store.read_only, len(await collect(store.scan("patches", *RANGE))))
            await store.insert("patches", [{"id": ["d" * 40, 999, "s"]}])
    except StoreError as error:
        print(type(error).__name__, error)
asyncio.run(main(sys.argv[1]))
"""


def locked_up(folder: Path) -> None:
    """For those who aren't root: take our own right to write there."""
    if os.getuid():
        os.chmod(folder, 0o555)


def test_a_file_that_may_not_be_read_says_so(public: Path) -> None:
    path = public / "team.db"
    run(made(path))
    path.chmod(0o000 if os.getuid() else 0o600)
    assert said(as_nobody(OPEN, path)) == f"StoreError {path} can't be read; ask whoever owns it\n"


@pytest.mark.parametrize("mode", [0o444, 0o666])
def test_a_file_in_a_folder_that_may_not_be_written_is_read(mode: int, public: Path) -> None:
    path = public / "team.db"
    run(made(path))
    path.chmod(mode)
    locked_up(public)
    first, second = said(as_nobody(OPEN, path)).splitlines()
    assert first == "True 100"
    assert second.startswith("StoreError") and "reading only" in second


def test_a_store_can_not_be_made_where_nothing_may_be_written(public: Path) -> None:
    locked_up(public)
    assert said(as_nobody(OPEN, public / "team.db")).startswith("StoreError")
    assert not list(public.iterdir())


def test_a_read_only_file_with_a_live_writer_is_followed(public: Path) -> None:
    if os.getuid():
        pytest.skip("needs root, to be two users at once")
    path = public / "team.db"
    code = """
async def main(path):
    async with await open_store(path) as store:
        feed = store.feed("patches", *RANGE)
        print(store.read_only, await anext(feed), flush=True)
        print(await anext(feed))
        print(len(await collect(store.scan("patches", *RANGE))))
asyncio.run(main(sys.argv[1]))
"""

    async def main() -> None:
        async with await opened(path) as store:
            await store.insert("patches", ROWS)
            reader = as_nobody(code, path)
            assert reader.stdout is not None
            assert await asyncio.to_thread(reader.stdout.readline) == "True Ready()\n"
            await store.insert("patches", [row_of(DOC, 777)])
            out = await asyncio.to_thread(said, reader, "go\n")
            assert out == f"{Changed(None, row_of(DOC, 777))}\n101\n"

    run(main())


def test_what_can_not_be_followed_is_not_read_on(public: Path) -> None:
    """Opened without a log in a folder where none can be made: whoever writes then isn't seen, so we stop."""
    if os.getuid():
        pytest.skip("needs root, to be two users at once")
    path = public / "team.db"
    run(made(path))
    code = """
async def main(path):
    async with await open_store(path) as store:
        print(len(await collect(store.scan("patches", *RANGE))), flush=True)
        sys.stdin.readline()
        try:
            await collect(store.scan("patches", *RANGE))
        except StoreUnavailable as error:
            print(error)
asyncio.run(main(sys.argv[1]))
"""
    reader = as_nobody(code, path)
    assert reader.stdout is not None and reader.stdout.readline() == "100\n"
    run(made(path, [row_of(DOC, 777)]))
    assert "was written by somebody" in said(reader, "go\n")


def test_reading_only_leaves_a_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    run(made(path))
    before = path.read_bytes()

    async def main() -> None:
        async with await opened(path, read_only=True) as store:
            assert store.read_only
            assert await collect(store.scan("patches", *RANGE)) == ROWS
            for call in (store.insert("patches", ROWS), store.delete("patches", ROWS)):
                with pytest.raises(StoreError, match="reading only"):
                    await call
            with pytest.raises(StoreError, match="reading only"):
                await store.swap("patches", key_of(ROWS[0]), ROWS[0], ROWS[0])

    run(main())
    assert path.read_bytes() == before
