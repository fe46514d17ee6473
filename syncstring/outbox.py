"""Patches on disk until a store has them.

The law of this room. What `add` was given is on disk when it returns, and is there for every later opening
until `clear` or `replace`. The file is a list of lines, each a row in canonical form, synced after each call;
what a crash left half-written by the last call was never promised, and is left out. That is a line without
its end, and everything from the first U+0000 on: a disk that wrote the end of a line and not its beginning
has those there, and no row has. A file of anything else is refused, and not touched. A call that fails leaves
the file as it was. One process at a time: a second one is refused, and so is one that was forked.

It doesn't know stores or documents.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from syncstring.errors import CorruptStore, MalformedRow, PatchError, StoreError
from syncstring.patch import canonical_bytes, id_of_row
from syncstring.store import Row

__all__ = ["Outbox"]

_BEGINNING = b'{"author":'
_SECTOR = 512  # bytes, or a multiple of them, are written to a disk at once
_ZEROS = re.compile(rb"\0+")
_STRANGE = re.compile(rb"[\x01-\x09\x0b-\x1f]")


class Outbox:
    """The file of one session's unacknowledged patches, made where it isn't there."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._pid = os.getpid()
        try:
            self.path = path = Path(path)
            os.fsencode(path)
            if "\0" in str(path):
                raise ValueError("it holds U+0000")
        except (TypeError, ValueError) as error:
            raise PatchError(f"outbox is {path!r:.60}; it is a file's path: {error}") from None
        try:
            self._file = open(path, "a+b", buffering=0)  # noqa: SIM115  # closed by `close`
        except OSError as error:
            raise StoreError(f"outbox {path}: {error.strerror or error}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise StoreError(f"outbox {path} is used by another session; give each its own") from None
        self._size = 0  # of what was promised
        try:
            self._rows = self._read()
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # a new file's name, too
            finally:
                os.close(folder)
        except OSError as error:
            self._file.close()
            raise StoreError(f"outbox {path}: {error.strerror or error}") from None
        except BaseException:
            self._file.close()  # its lock, too
            raise

    def _read(self) -> list[Row]:
        self._file.seek(0)
        data = self._file.read()
        whole = data.partition(b"\0")[0].rpartition(b"\n")
        lines = whole[0].split(b"\n") if whole[1] else []
        rows = []
        for number, line in enumerate(lines, start=1):
            try:
                rows.append(json.loads(line))
                id_of_row(rows[-1])
            except (ValueError, RecursionError, MalformedRow):
                raise CorruptStore(
                    f"outbox {self.path}, line {number} is damaged; move the file away"
                ) from None
        self._size = len(whole[0] + whole[1])
        if not self._is_torn(data):
            raise CorruptStore(f"{self.path} is no outbox; name a file of its own")
        self._cut()
        return rows

    def _is_torn(self, data: bytes) -> bool:
        """Whether what follows the whole lines is what a crash leaves: a row's beginning, sectors that were
        written, zeros in the place of others. Else it is somebody's file, and isn't touched."""
        left = data[self._size :]
        if not _BEGINNING.startswith(left[: len(_BEGINNING)].partition(b"\0")[0]) or _STRANGE.search(left):
            return False
        for zeros in _ZEROS.finditer(data):
            starts, ends = zeros.span()
            if (starts != self._size and starts % _SECTOR) or (ends != len(data) and ends % _SECTOR):
                return False
        return True

    def rows(self, *docs: str) -> list[Row]:
        """What an earlier session left, in its order. `StoreError` if it doesn't belong to a document with
        one of these keys; none given: whose it is isn't asked."""
        for row in self._rows if docs else ():
            if row["id"][0] not in docs:
                raise StoreError(f"outbox {self.path} holds patches of another document; give each its own")
        return list(self._rows)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._size

    def add(self, rows: Iterable[Row]) -> None:
        """Keep rows; on disk when this returns."""
        self._claim()
        data = b"".join(canonical_bytes(row) + b"\n" for row in rows)
        try:
            self._cut()  # where a call before failed and couldn't
            rest = memoryview(data)
            while rest:  # a disk that is nearly full takes a part
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                self._cut()
            raise StoreError(f"outbox {self.path}: {error.strerror or error}; nothing was sent") from None
        self._size += len(data)

    def _claim(self) -> None:
        """The lock is shared with a forked process, which doesn't know what was added since."""
        if self._pid != os.getpid():
            raise StoreError(f"outbox {self.path} belongs to the process that this was forked from")

    def _cut(self) -> None:
        """Take away what was not promised."""
        if os.fstat(self._file.fileno()).st_size != self._size:
            self._file.truncate(self._size)

    def replace(self, rows: Iterable[Row]) -> None:
        """Keep these rows instead of all others: in one step, whenever the power goes."""
        self._claim()
        path, folder = self.path.with_name(f"{self.path.name}.new"), self.path.parent
        data = b"".join(canonical_bytes(row) + b"\n" for row in rows)
        try:
            file = open(path, "a+b", buffering=0)  # noqa: SIM115  # closed below, or by `close`
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.truncate(0)
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
                os.replace(path, self.path)
            except BaseException:
                file.close()
                with suppress(OSError):
                    path.unlink()
                raise
            self._file.close()
            self._file, self._size, self._rows = file, len(data), []
            sure = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(sure)
            finally:
                os.close(sure)
        except OSError as error:
            raise StoreError(f"outbox {self.path}: {error.strerror or error}") from None

    def clear(self) -> None:
        """Forget everything: it is acknowledged."""
        self._claim()
        self._rows = []
        self._size = 0
        try:
            self._cut()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StoreError(f"outbox {self.path}: {error.strerror or error}; it can't be emptied") from None

    def close(self) -> None:
        self._file.close()
