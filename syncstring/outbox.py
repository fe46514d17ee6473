"""Patches on disk until a store has them.

The law of this room. What `add` was given is on disk when it returns, and is there for every later opening
until `clear`. The file is a list of lines, each a row in canonical form, synced after each call; a last
line that a crash cut off was never promised, and is left out. One process at a time: a second one is refused.

It doesn't know stores or documents.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from pathlib import Path

from syncstring.errors import CorruptStore, StoreError
from syncstring.patch import canonical_bytes
from syncstring.store import Row

__all__ = ["Outbox"]


class Outbox:
    """The file of one session's unacknowledged patches, made where it isn't there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = open(path, "a+b", buffering=0)  # noqa: SIM115  # closed by `close`
        except OSError as error:
            raise StoreError(f"outbox {path}: {error.strerror or error}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise StoreError(f"outbox {path} is used by another session; give each its own") from None
        self._rows = self._read()
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # a new file's name, too
        finally:
            os.close(folder)

    def _read(self) -> list[Row]:
        self._file.seek(0)
        data = self._file.read()
        lines = data.split(b"\n")
        if lines[-1]:  # a crash in mid-write: never promised
            self._file.truncate(len(data) - len(lines[-1]))
        rows = []
        for number, line in enumerate(lines[:-1], start=1):
            try:
                rows.append(json.loads(line))
            except ValueError:
                raise CorruptStore(
                    f"outbox {self.path}, line {number} is damaged; move the file away"
                ) from None
        return rows

    def rows(self, doc: str) -> list[Row]:
        """What an earlier session left, in its order. `StoreError` if it belongs to another document."""
        for row in self._rows:
            if row["id"][0] != doc:
                raise StoreError(f"outbox {self.path} holds patches of another document; give each its own")
        return list(self._rows)

    def add(self, rows: Iterable[Row]) -> None:
        """Keep rows; on disk when this returns."""
        lines = [canonical_bytes(row) + b"\n" for row in rows]
        try:
            self._file.write(b"".join(lines))
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StoreError(f"outbox {self.path}: {error.strerror or error}; nothing was sent") from None

    def clear(self) -> None:
        """Forget everything: it is acknowledged."""
        self._rows = []
        self._file.truncate(0)
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
