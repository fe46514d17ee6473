"""What a store promises, and how to open one.

The law of this room. A store keeps rows in tables and knows nothing of texts. One row is the atomic unit.
What was acknowledged is there for ever after, for every reader. A row is found by its key, and a second
row under a key never replaces the first unasked. Nothing is promised that only a single file could keep: no
sequence numbers, no order between keys, no moment at which others see a change.

That is enough for any number of writers and readers: writers send the same row again until it is
acknowledged; a reader opens a feed, waits for `Ready`, then scans, and merges both by key; after a `Gap` it
does the same again. There is no cursor to resume from, because "newer than" loses rows that come late.

It doesn't know which backend it is: those stand in `backends/`, each named in `BACKENDS` by its URL's scheme,
and `syncstring.testing.check_store` holds all of them to this page.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeAlias

from syncstring.errors import PatchError, StoreError

__all__ = [
    "BACKENDS",
    "TABLES",
    "Change",
    "Changed",
    "Feed",
    "Gap",
    "Key",
    "Ready",
    "Row",
    "Store",
    "Verdict",
    "checked",
    "key_of",
    "of_document",
    "open_store",
    "refusal",
    "same",
]

Key: TypeAlias = tuple[str | int, ...]
Row: TypeAlias = dict[str, Any]
"""A JSON object with its key as a list under `id`; beside JSON's values, `bytes` may stand in a field."""

TABLES: Final[Mapping[str, tuple[type, ...]]] = {
    "names": (str,),  # [hash of the name]: which document the name means
    "documents": (str,),  # [doc]: its manifest; whether it was deleted
    "patches": (str, int, str),  # [doc, time, session]: the newest part of each history
    "packs": (str, str),  # [doc, random name]: the rest of it, and checkpoints
    "tags": (str, str),  # [doc, hash of the tag]
    "cursors": (str, str),  # [doc, session]: who is where; may be lost at any time
    "meta": (str,),  # ["format"]: what wrote here
}
"""Every table and the types of its keys' parts, of which all are there."""

MAX_ROW_BYTES: Final = 4 << 20

BACKENDS: Final[Mapping[str, str]] = {
    "memory": "syncstring.backends.memory:MemoryStore",
    "sqlite": "syncstring.backends.sqlite:SqliteStore",
}


class Verdict(NamedTuple):
    """What became of one row."""

    kind: Literal[
        "inserted", "present", "conflict",  # of `insert`; present: the same row was there, conflict: another
        "swapped", "lost",
        "deleted", "absent", "differs",
        "refused",  # of any of them, for the reason given: nothing changed
    ]  # fmt: skip
    row: Row | None = None
    """The row that is there instead, where one is in the way."""
    reason: str = ""

    @property
    def fine(self) -> bool:
        """Whether the store is now as it was asked to be."""
        return self.kind in ("inserted", "present", "swapped", "deleted", "absent")


class Ready(NamedTuple):
    """From here on every committed change is delivered: at least once, in any order. Now scan."""


class Changed(NamedTuple):
    """A row came, changed or went. Of an `old` row perhaps only the `id` is told. A change that was undone
    before the feed looked may be skipped."""

    old: Row | None
    new: Row | None

    @property
    def key(self) -> Key:
        return key_of(self.new or self.old or {})


class Gap(NamedTuple):
    """Changes may have been missed, for this reason. The feed goes on by itself and says `Ready` again."""

    reason: str


Change: TypeAlias = Ready | Changed | Gap


class Feed(ABC):
    """`async for change in feed`, until `aclose`. For one reader; cancelling a wait loses nothing."""

    def __aiter__(self) -> Feed:
        return self

    @abstractmethod
    async def __anext__(self) -> Change:
        """The next change. Raises `StoreError` once the store is closed."""

    @abstractmethod
    async def aclose(self) -> None:
        """End it; a reader that waits gets no more. Twice is fine."""


class Store(ABC):
    """Rows in tables.

    Every call raises `StoreUnavailable` when it got no answer within `limit` seconds or the answer was lost:
    what it asked for may then have happened or not, and asking again is safe. After `close` every call
    raises `StoreError`. Batches have no atomicity: some rows may land and others not.
    """

    schemes: ClassVar[tuple[str, ...]]
    limit: float = 30.0
    url: str

    @classmethod
    @abstractmethod
    async def open(cls, url: str, **options: Any) -> Store:
        """Open what the URL names; made where it isn't there yet, if it may be."""

    @abstractmethod
    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        """Add rows; a verdict each, in order. What is inserted or present is durable when this returns."""

    @abstractmethod
    async def swap(self, table: str, key: Key, old: Row | None, new: Row) -> Verdict:
        """Put `new` under its key if just `old` (None: nothing) is there: one step, durable on return.
        A verdict of `lost` is certain: it was not, and never will be, put there by this call."""

    @abstractmethod
    async def delete(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        """Remove rows, each only where the stored one equals it."""

    @abstractmethod
    async def get(self, table: str, keys: Sequence[Key]) -> list[Row | None]:
        """The rows under these keys, in order. All that was acknowledged is seen."""

    @abstractmethod
    def scan(self, table: str, lower: Key, upper: Key) -> AsyncIterator[list[Row]]:
        """All rows with `lower <= key < upper` (a shorter key stands before those that it begins), in
        batches, in no order. What was acknowledged before is in it; what comes meanwhile may be."""

    @abstractmethod
    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        """What happens to rows in that range, until it is closed. Begins with `Ready` or `Gap`. A reader
        that is slow costs bounded memory: beyond it, it gets a `Gap`."""

    @abstractmethod
    async def time(self) -> int:
        """The store's clock, in microseconds since the epoch."""

    @abstractmethod
    async def close(self) -> None:
        """End every feed and give everything back. Twice is fine. Waits for calls that have begun."""


def key_of(row: Mapping[str, Any]) -> Key:
    """A row's key."""
    return tuple(row["id"])


def of_document(doc: str) -> tuple[Key, Key]:
    """The range of keys that begin with a document's key, as (lower, upper)."""
    return (doc,), (doc + "~",)


def same(a: Row | None, b: Row | None) -> bool:
    """Whether two rows are equal, type by type: 1, 1.0 and True are three values."""
    return a is b or (a is not None and b is not None and _image(a) == _image(b))


def _image(value: Any) -> str:
    """A row as text, the same for equal rows only."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False, default=_bytes)


def _bytes(value: Any) -> Any:
    if not isinstance(value, bytes):
        raise TypeError(f"a {type(value).__name__} is in it")
    return {"": value.hex()}


def refusal(row: Row) -> str:
    """Why no store could keep a row; empty if nothing speaks against it."""
    try:
        size = len(_image(row).encode())
    except UnicodeEncodeError as error:
        return f"it holds a lone surrogate at {error.start}"
    except (TypeError, ValueError, RecursionError) as error:
        return f"it is not JSON: {error}"
    if size > MAX_ROW_BYTES:
        return f"it has {size:,} bytes; at most {MAX_ROW_BYTES:,} are allowed"
    return ""


def checked(table: str, rows: Iterable[Row | Key]) -> None:
    """Refuse what can't be meant: `PatchError` for an unknown table or a key of another shape."""
    types = TABLES.get(table)
    if types is None:
        raise PatchError(f"no table {table!r:.40}; there are {', '.join(TABLES)}")
    for row in rows:
        key = row.get("id") if isinstance(row, Mapping) else row
        if (
            not isinstance(key, (list, tuple))
            or len(key) != len(types)
            or any(type(part) is not wanted for part, wanted in zip(key, types, strict=True))
            or any(isinstance(part, int) and abs(part) >= 1 << 53 for part in key)
            or any(isinstance(part, str) and ("\0" in part or len(part) > 64) for part in key)
        ):
            names = ", ".join(wanted.__name__ for wanted in types)
            raise PatchError(
                f"{key!r:.80} is no key of table {table}; one is [{names}], texts of up to 64 without "
                "U+0000, numbers below 2^53"
            )


async def open_store(url: str, **options: Any) -> Store:
    """The store that a URL names: `memory:`, `sqlite:PATH`; a path alone means SQLite.

    `PatchError` for a scheme that nobody serves; else what the backend's `open` raises.
    """
    scheme, colon, _ = url.partition(":")
    if not colon or len(scheme) < 2 or not scheme.isalnum():  # one letter is a Windows drive
        scheme, url = "sqlite", f"sqlite:{url}"
    if scheme not in BACKENDS:
        raise PatchError(f"no store speaks {scheme}:; there are {', '.join(f'{name}:' for name in BACKENDS)}")
    from pkgutil import resolve_name

    backend = resolve_name(BACKENDS[scheme])
    store = await backend.open(url, **options)
    if not isinstance(store, Store):
        raise StoreError(f"{BACKENDS[scheme]} gave no store")
    return store
