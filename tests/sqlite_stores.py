"""What the tests of the SQLite store share: stores at paths, other processes, sound files."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

import syncstring
from syncstring.backends.sqlite import SqliteStore
from syncstring.errors import SyncstringError
from syncstring.store import Row, of_document, open_at_once, open_store
from syncstring.testing.store_bench import collect, row_of

ROOT = Path(__file__).parent.parent
DOC = "d" * 40
RANGE = of_document(DOC)
ROWS = [row_of(DOC, time, text=f"{time}" * 99) for time in range(100)]


def run(what: Coroutine[Any, Any, Any]) -> Any:
    """Run it, and fail rather than hang."""
    return asyncio.run(asyncio.wait_for(what, 240))


async def opened(path: Path | str, **options: Any) -> SqliteStore:
    store = await open_store(f"sqlite:{path}", **{"limit": 120.0, **options})
    assert isinstance(store, SqliteStore)
    return store


async def made(path: Path | str, rows: list[Row] = ROWS) -> None:
    """A store with rows, closed."""
    async with await opened(path) as store:
        await store.insert("patches", rows)


async def read(path: Path | str, **options: Any) -> list[Row]:
    async with await opened(path, **options) as store:
        return await collect(store.scan("patches", *RANGE))


def refused(path: Path | str, kind: type[SyncstringError], words: str, **options: Any) -> None:
    """Opening is that very error, says why, and names the file."""
    with pytest.raises(SyncstringError, match=words) as failure:
        run(opened(path, **options))
    assert type(failure.value) is kind
    assert not str(path) or str(path) in str(failure.value)


def python(code: str, *args: object, **options: Any) -> subprocess.Popen[str]:
    """Another process that runs some code on this very package."""
    head = "import asyncio, os, sys\nfrom syncstring.store import *\nfrom syncstring.errors import *\n"
    return subprocess.Popen(
        [options.pop("executable", sys.executable), "-c", head + code, *map(str, args)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def said(process: subprocess.Popen[str], word: str = "") -> str:
    """Tell a process that word; all that it says until it ends. It must end well."""
    out, err = process.communicate(word, timeout=240)
    assert process.returncode == 0, err
    return out


def sound(path: Path) -> None:
    """The file is as SQLite left it."""
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


def begun(path: Path | str, **options: Any) -> SqliteStore:
    """A store that is opened at once and not started yet."""
    store = open_at_once(f"sqlite:{path}", **options)
    assert isinstance(store, SqliteStore)
    return store


def edited(path: Path, *texts: str, pack: tuple[int, ...] = ()) -> str:
    """A document in which these were typed, one after another, and packed after some of them."""
    with syncstring.open(path, "notes", author="ada") as doc:
        for number, text in enumerate(texts):
            doc.insert(len(doc) // 2, text)
            doc.commit()
            if number in pack:
                doc.flush()
                doc.pack()
        return doc._traffic.link.doc
