"""Whatever stands at a store's path: plain success or one clear error, and nothing harmed."""

from __future__ import annotations

import os
import random
import shutil
import socket
import sqlite3
from pathlib import Path

import pytest
from sqlite_stores import DOC, RANGE, ROWS, made, opened, read, refused, run, sound

import syncstring
from syncstring.backends import sqlite_file as sql
from syncstring.backends.sqlite import SqliteStore
from syncstring.errors import (
    CorruptStore,
    PatchError,
    StoreError,
    SyncstringError,
    UnsupportedVersion,
)
from syncstring.store import TABLES, Changed, Ready, key_of, open_store
from syncstring.testing.store_bench import collect

# --- paths ------------------------------------------------------------

NAMES = [
    "with spaces.db", "ünïcödé 乙 😀.db", "what?.db", "a#b.db", "100%.db", "%41%00.db", "a&mode=ro.db",
    "quote'\".db", "back\\slash", "-dash", ".hidden", "file:x.db", ":memory:", "~", "line\nbreak",
    "e\u0301", "x" * 200, "sqlite:y", os.fsdecode(b"not-utf8-\xff.db"),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_names_just_that_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    run(made(path))
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert run(read(path)) == ROWS
    assert run(read(path, create=False, read_only=True)) == ROWS


@pytest.mark.parametrize("url", [":memory:", "sqlite::memory:"])
def test_what_sqlite_calls_memory_is_no_file_by_accident(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PatchError, match="called memory: here"):
        syncstring.open(url, "notes", author="ada")
    assert not list(tmp_path.iterdir())
    with syncstring.open("./:memory:", "notes", author="ada") as document:
        document.insert(0, "text")
    assert (tmp_path / ":memory:").is_file()


def test_a_path_alone_means_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with await open_store(str(tmp_path / "team.db")) as store:
            assert isinstance(store, SqliteStore)
        async with await open_store("team.sync") as store:
            assert isinstance(store, SqliteStore) and store.path == "team.sync"

    monkeypatch.chdir(tmp_path)
    run(main())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["team.db", "team.sync"]


def test_a_relative_path_stays_what_it_was_when_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        async with await opened("here.db") as store:
            os.chdir("there")
            await store.insert("patches", ROWS)
            feed = store.feed("patches", *RANGE)
            assert await anext(feed) == Ready()
            await store.delete("patches", ROWS[:1])
            assert await anext(feed) == Changed({"id": ROWS[0]["id"]}, None)
        assert await read("../here.db") == ROWS[1:]

    run(main())
    assert not list((tmp_path / "there").iterdir())


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_leads_to_the_file_and_its_log(dangling: bool, tmp_path: Path) -> None:
    real, link = tmp_path / "data" / "real.db", tmp_path / "links" / "link.db"
    real.parent.mkdir()
    link.parent.mkdir()
    if not dangling:
        run(made(real))
    link.symlink_to(Path("..") / "data" / "real.db")

    async def main() -> None:
        async with await opened(link) as one, await opened(real) as two:
            await one.insert("patches", ROWS)
            assert await collect(two.scan("patches", *RANGE)) == ROWS
            assert sorted(each.name for each in real.parent.iterdir()) == [
                "real.db",
                "real.db-shm",
                "real.db-wal",
            ]

    run(main())
    assert link.is_symlink() and [each.name for each in link.parent.iterdir()] == ["link.db"]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, StoreError, "is a folder")
    refused(tmp_path / "none" / "team.db", StoreError, "no folder")
    refused(tmp_path / "team.db", StoreError, "no such file", create=False)
    refused(tmp_path / "team.db", StoreError, "no such file", read_only=True)
    assert not list(tmp_path.iterdir())
    os.mkfifo(tmp_path / "fifo")
    refused(tmp_path / "fifo", StoreError, "is no file")
    (tmp_path / "loop").symlink_to("loop")
    refused(tmp_path / "loop", StoreError, "no folder|can't be opened")
    (tmp_path / "plain").write_text("")
    refused(tmp_path / "plain" / "team.db", StoreError, "no folder")
    refused(tmp_path / ("x" * 300), StoreError, "can't be opened")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "socket"))
        refused(tmp_path / "socket", StoreError, "is no file")
    for path in ("", "a\0b"):
        with pytest.raises(PatchError):
            run(opened(path))


# --- what is in the file ------------------------------------------------------------


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "team.db").touch()
    run(made(tmp_path / "team.db"))
    assert run(read(tmp_path / "team.db")) == ROWS


def foreign(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


@pytest.mark.parametrize(
    ("statements", "kind", "words"),
    [
        (["CREATE TABLE patches (id)", "INSERT INTO patches VALUES (1)"], CorruptStore, "another program"),
        (["PRAGMA application_id=7", "PRAGMA user_version=1"], CorruptStore, "another program"),
        (["PRAGMA user_version=3"], CorruptStore, "another program"),
        (["CREATE VIEW patches AS SELECT 1"], CorruptStore, "another program"),
        (["PRAGMA journal_mode=WAL", "CREATE TABLE t (a)"], CorruptStore, "another program"),
        (
            [f"PRAGMA application_id={sql.APPLICATION}", f"PRAGMA user_version={sql.FORMAT + 1}"],
            UnsupportedVersion,
            "later syncstring",
        ),
        (
            [f"PRAGMA application_id={sql.APPLICATION}", f"PRAGMA user_version={sql.FORMAT}"],
            CorruptStore,
            "isn't as it was made",
        ),
    ],
)
def test_a_file_of_somebody_else_is_left_alone(
    statements: list[str], kind: type[SyncstringError], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.db"
    foreign(path, *statements)
    before = path.read_bytes()
    for options in ({}, {"read_only": True}, {"create": False}):
        refused(path, kind, words, **options)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["theirs.db"]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON patches BEGIN DELETE FROM patches; END",
        "DROP TABLE changes",
        "ALTER TABLE patches ADD COLUMN more",
    ],
)
def test_a_store_that_was_tampered_with_is_refused(statement: str, tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    run(made(path))
    foreign(path, statement)
    refused(path, CorruptStore, "trigger|isn't as it was made")


def test_indexes_and_views_of_the_owner_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    run(made(path))
    foreign(
        path, "CREATE INDEX i ON patches (k2)", "CREATE VIEW v AS SELECT * FROM patches", "CREATE TABLE t (a)"
    )
    assert run(read(path)) == ROWS


@pytest.mark.parametrize(
    "content", [b"x", b"hello " * 1000, bytes(4096), b"SQLite format 3\0", random.Random(0).randbytes(9000)]
)
def test_what_is_not_a_database_is_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    refused(path, CorruptStore, "not a database|damaged|another program")
    assert path.read_bytes() == content


@pytest.mark.parametrize("keep", [16, 99, 100, 512, 4095, 4096, 4097, 8192, -4096, -1])
def test_a_truncated_file_is_damaged_or_read_rightly(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    run(made(path))
    content = path.read_bytes()[:keep]
    path.write_bytes(content)
    try:
        assert run(read(path)) == ROWS
    except CorruptStore as error:
        assert str(path) in str(error)
        assert path.read_bytes() == content


def test_no_flipped_byte_makes_a_row_another_row(tmp_path: Path) -> None:
    """Each is found, or hides a row; what is read is what was written, or said to be unreadable."""
    path, copy = tmp_path / "team.db", tmp_path / "copy.db"
    rows = [{**row, "data": bytes([n]) * 50} for n, row in enumerate(ROWS)]
    run(made(path, rows))
    content = path.read_bytes()
    right = {key_of(row): row for row in rows}
    chance = random.Random(0)
    seen = {"unreadable": 0, "damaged": 0, "right": 0}

    async def main() -> None:
        for _ in range(150):
            at = chance.randrange(100, len(content))
            copy.write_bytes(
                content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]
            )
            try:
                async with await opened(copy) as store:
                    found = await collect(store.scan("patches", *RANGE))
                    got = await store.get("patches", list(right))
            except CorruptStore:
                seen["damaged"] += 1
                continue
            for row in (*found, *(row for row in got if row is not None)):
                if "unreadable" in row:
                    seen["unreadable"] += 1
                else:
                    seen["right"] += 1
                    assert row == right[key_of(row)]

    run(main())
    assert all(seen.values()), seen


@pytest.mark.parametrize(
    "change",
    [
        "row = replace(row, 'text', 'test')",
        "row = CAST(x'ff' AS TEXT)",
        "row = x'7b7d'",
        "row = 5",
        "data = x'00'",
        "data = 'text'",
        "sum = 'none'",
        "row = ''",
    ],
)
def test_a_damaged_row_is_set_aside_and_can_be_removed(change: str, tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    run(made(path))
    foreign(path, f"UPDATE patches SET {change} WHERE k1 = 7")

    async def main() -> None:
        async with await opened(path) as store:
            found = await collect(store.scan("patches", *RANGE))
            assert [row for row in found if row["id"][1] != 7] == [row for row in ROWS if row["id"][1] != 7]
            (bad,) = (row for row in found if row["id"][1] == 7)
            assert bad.keys() == {"id", "unreadable"} and bad["unreadable"]
            assert await store.get("patches", [key_of(bad)]) == [bad]
            (verdict,) = await store.insert("patches", [ROWS[7]])
            assert verdict.kind == "conflict" and verdict.row == bad
            assert (await store.delete("patches", [ROWS[7]]))[0].kind == "differs"
            feed = store.feed("patches", *RANGE)
            await anext(feed)
            assert (await store.delete("patches", [bad]))[0].kind == "deleted"
            assert await anext(feed) == Changed({"id": bad["id"]}, None)
            assert (await store.insert("patches", [ROWS[7]]))[0].kind == "inserted"

    run(main())


def test_a_row_that_was_moved_to_another_key_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    run(made(path, ROWS[:1]))
    foreign(path, "UPDATE patches SET k1 = 5")
    assert [row.keys() for row in run(read(path))] == [{"id", "unreadable"}]


def test_a_key_that_no_row_can_have_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    run(made(path))
    foreign(path, "UPDATE patches SET k2 = x'00' WHERE k1 = 5")
    with pytest.raises(CorruptStore, match="a key is"):
        run(read(path))


def test_a_copy_without_its_log_is_an_older_store(tmp_path: Path) -> None:
    path, copy = tmp_path / "team.db", tmp_path / "copy.db"

    async def main() -> None:
        await made(path, ROWS[:50])
        async with await opened(path) as store:
            await store.insert("patches", ROWS[50:])
            shutil.copy(path, copy)
        assert await read(copy) == ROWS[:50]
        assert await read(path) == ROWS
        await made(copy, ROWS[60:])
        assert len(await read(copy)) == 90

    run(main())
    sound(copy)


def test_anybody_s_sqlite_can_read_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "team.db"
    run(made(path, ROWS[:1]))
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT k0, k1, k2, json_extract(row, '$.text') FROM patches").fetchall() == [
            (DOC, 0, "s", "0" * 99)
        ]
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    db.close()
    assert tables - {"sqlite_sequence"} == {*TABLES, "changes"}
