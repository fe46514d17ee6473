"""Where a stored document is: which store, under which name.

    --store STORE, or $SYNCSTRING_STORE     a path or a URL; NAME is the document's name in it
    else NAME.sync                          a file beside NAME, with the document called as NAME's last part

The law of this room. What only reads or changes never makes a store. A store that isn't there is a file that
isn't there. What a store warns of is one line on stderr.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TextIO, TypeVar

from syncstring.cli.output import plain
from syncstring.errors import PatchError
from syncstring.store import Store, open_store

__all__ = ["VARIABLE", "Place", "place_of", "store_of", "with_store"]

VARIABLE = "SYNCSTRING_STORE"
SUFFIX = ".sync"
_HURRY = 1.0  # seconds for closing a store after an interrupt

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """A document's name in a store."""

    url: str
    name: str

    @property
    def is_there(self) -> bool:
        """Whether there is such a store."""
        return _missing_file(self.url) is None


def place_of(name: str, store: str | None) -> Place:
    """Where the document is that a command was given."""
    url = store or os.environ.get(VARIABLE)
    if url:
        return Place(url, name)
    return Place(name + SUFFIX, os.path.basename(name))


def store_of(store: str | None) -> str:
    """The store that a command was given without a document. `PatchError` if it wasn't."""
    url = store or os.environ.get(VARIABLE)
    if not url:
        raise PatchError(f"which store? Name it by --store or in ${VARIABLE}, or name a document")
    return url


def _missing_file(url: str) -> str | None:
    """The path of a store in a file that isn't there; None for any other."""
    scheme, colon, path = url.partition(":")
    if colon and len(scheme) > 1 and scheme.isalnum():
        if scheme != "sqlite":
            return None
    else:
        path = url
    return None if os.path.exists(path) else path


def with_store(url: str, work: Callable[[Store], Awaitable[T]], create: bool = False, **options: Any) -> T:
    """What `work` does with a store, opened before it and closed after it. Without `create`, a file that
    isn't there is a `FileNotFoundError`; else what `open_store` and `work` raise."""
    missing = None if create else _missing_file(url)
    if missing is not None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), missing)
    warnings.showwarning = _say

    async def whole() -> T:
        store = await open_store(url, create=create, **options)
        limit = None
        try:
            return await work(store)
        except asyncio.CancelledError:  # an interrupt: nobody is going to wait for what is under way
            limit = _HURRY
            raise
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await store.close()

    return asyncio.run(whole())


def _say(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    with suppress(OSError):
        print(f"syncstring: {plain(str(message))}", file=sys.stderr)
