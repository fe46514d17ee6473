"""What a store promises, and how to open one.

The law of this room. A store keeps rows in tables and knows nothing of texts. One row is the atomic unit.
What was acknowledged is there for ever after, for every reader. A row is found by its key, and a second
row under a key never replaces the first unasked. Nothing is promised that only a single file could keep: no
sequence numbers, no order between keys, no moment at which others see a change.

That is enough for any number of writers and readers: writers send the same row again until it is
acknowledged; a reader opens a feed, waits for `Ready`, then scans, and merges both by key; after a `Gap` it
does the same again. There is no cursor to resume from, because "newer than" loses rows that come late.

It doesn't know which backend it is: those stand in `backends/`, each named in `BACKENDS` by its URL's scheme,
and `check_store` of `syncstring.testing.conformance` holds all of them to this page.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, NamedTuple, Self, TypeAlias, TypeVar

from syncstring.errors import PatchError, StoreError

__all__ = [
    "BACKENDS",
    "EVERYTHING",
    "MAX_ROW_BYTES",
    "TABLES",
    "Change",
    "Changed",
    "Feed",
    "Gap",
    "Image",
    "Key",
    "Ready",
    "Row",
    "Standing",
    "Store",
    "Verdict",
    "at_once",
    "bounded",
    "checked",
    "image",
    "key_of",
    "of_document",
    "open_at_once",
    "open_store",
    "refusal",
    "restored",
    "same",
    "without_secrets",
]

T = TypeVar("T")

Key: TypeAlias = tuple[str | int, ...]
Row: TypeAlias = dict[str, Any]
"""A JSON object with its key as a list under `id`; one of its other fields may be `bytes`."""

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

EVERYTHING: Final[tuple[Key, Key]] = ((), ("~",))
"""The range of all keys, as (lower, upper)."""

MAX_ROW_BYTES: Final = 4 << 20
MAX_DEPTH: Final = 64  # of lists and objects in each other: any reader's stack has room for these

BACKENDS: Final[Mapping[str, str]] = {
    "memory": "syncstring.backends.memory:MemoryStore",
    "sqlite": "syncstring.backends.sqlite:SqliteStore",
    "rethinkdb": "syncstring.backends.rethink:RethinkStore",
    "rethinkdbs": "syncstring.backends.rethink:RethinkStore",
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

    def __bool__(self) -> bool:
        return True  # an empty tuple isn't; this one is something


class Changed(NamedTuple):
    """A row came or changed (it's `new`), or went (`new` is None, and `old` has at least its `id`).

    A store that doesn't remember what was there tells no `old` of a row that changed. A change that was
    undone before the feed looked may be skipped. Readers share the rows: don't change them."""

    old: Row | None
    new: Row | None

    @property
    def key(self) -> Key:
        return key_of(self.new or self.old or {})


class Gap(NamedTuple):
    """Changes may have been missed, for this reason. The feed goes on by itself and says `Ready` again."""

    reason: str


Change: TypeAlias = Ready | Changed | Gap


class Standing(NamedTuple):
    """What a store stands on, as far as we may look, and what that means for its promises."""

    version: str = ""
    """What keeps the rows, and of which version: as it says itself."""
    kept: Mapping[str, Any] = MappingProxyType({})
    """How all of it is kept: such as `journal_mode`, `read_only`, or how many `servers` there are."""
    tables: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    """The same of each table that is there: such as `durability`, `write_acks`, `replicas`."""
    unseen: tuple[str, ...] = ()
    """What we have no right to look at."""
    findings: tuple[str, ...] = ()
    """What is wrong: by it, an acknowledged row may be lost, or something doesn't work."""
    advice: tuple[str, ...] = ()
    """What could be better."""


class Feed(ABC):
    """`async for change in feed`, until `aclose`. For one reader; cancelling a wait loses nothing."""

    def __aiter__(self) -> Feed:
        return self

    @abstractmethod
    async def __anext__(self) -> Change:
        """The next change. Once the store is closed: those that wait already, then `StoreError`."""

    @abstractmethod
    async def aclose(self) -> None:
        """End it; a reader that waits gets no more, nor an error. Twice is fine."""


class Store(ABC):
    """Rows in tables.

    Every call raises `StoreUnavailable` when it got no answer within `limit` seconds or the answer was lost:
    what it asked for may then have happened, happen yet, or not, and asking again is safe. After `close`
    every call raises `StoreError`. Batches have no atomicity: some rows may land and others not; one that is
    refused takes no other along. Tables and keys that can't be meant are a `PatchError`, before anything
    happens. What a store holds but can't read any more comes as `{"id": [...], "unreadable": why}`.
    """

    schemes: ClassVar[tuple[str, ...]]
    tears: ClassVar[bool] = False
    """Whether a batch may be in the store in part for good, where the store and who sent it die together.
    Sessions then send no patch beside its parent: nobody would ever bring the parent."""
    limit: float = 30.0
    url: str

    @classmethod
    @abstractmethod
    async def open(cls, url: str, **options: Any) -> Store:
        """Open what the URL names; made where it isn't there yet, if it may be. Options of every backend:
        `limit` in seconds, and `queue`, how many changes may wait for each reader of a feed."""

    @classmethod
    def open_at_once(cls, url: str, **options: Any) -> Store | None:
        """Open what is there already, in the calling thread and without an event loop, where nobody has to be
        waited for; None otherwise, for whatever reason: `open` tells it.

        Until `start` nothing but `get`, `scan`, `time`, `feed` and `close` may be called, and none of them
        waits (`at_once`). A feed that is asked for by then has been ready since the opening: what scans
        don't show is told once it is started. By default there is no such way.
        """
        return None

    def start(self) -> None:
        """What was opened at once is from now on as if `open` had given it, in the running event loop.
        Once; `StoreError` for what was opened otherwise."""
        raise StoreError(f"{self.url} was not opened at once")

    @abstractmethod
    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        """Add rows; a verdict each, in order. What is inserted or present is durable when this returns."""

    @abstractmethod
    async def swap(self, table: str, key: Key, old: Row | None, new: Row) -> Verdict:
        """Put `new` under its key if just `old` (None: nothing) is there: one step, durable on return.
        A verdict of `lost` is certain: it was not, and never will be, put there by this call, and tells the
        row that is there. `PatchError` if `new` has another key."""

    @abstractmethod
    async def delete(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        """Remove rows, each only where the stored one equals it."""

    @abstractmethod
    async def get(self, table: str, keys: Sequence[Key]) -> list[Row | None]:
        """The rows under these keys, in order. All that was acknowledged is seen; and what is seen is from
        then on as durable, and as visible to others, as if it had been."""

    @abstractmethod
    def scan(self, table: str, lower: Key, upper: Key) -> AsyncIterator[list[Row]]:
        """All rows with `lower <= key < upper` (a shorter key stands before those that it begins), in
        batches, in no order. What was acknowledged before is in it; what comes meanwhile may be. As sure as
        `get`; no key comes twice."""

    @abstractmethod
    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        """What happens to rows in that range, until it is closed. Begins with `Ready` or `Gap`. What a scan
        begun after `Ready` doesn't show yet is told after that scan, even if it was told before. A reader
        that is slow costs bounded memory: beyond it, it gets a `Gap`."""

    @abstractmethod
    async def time(self) -> int:
        """The store's clock, in microseconds since the epoch."""

    async def standing(self) -> Standing:
        """What it stands on. It is looked at, and nothing changes. By default nothing is known."""
        return Standing()

    @abstractmethod
    async def close(self) -> None:
        """End every feed and give everything back. Twice is fine. Calls that have begun end first, with their
        answer or with `StoreError`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def key_of(row: Mapping[str, Any]) -> Key:
    """A row's key."""
    return tuple(row["id"])


def of_document(doc: str) -> tuple[Key, Key]:
    """The range of keys that begin with a document's key, as (lower, upper)."""
    return (doc,), (doc + "\x01",)  # no key has a letter that low: nothing else is in between


# --- rows as stores keep them -----------------------------------------------------------------


class Image(NamedTuple):
    """What a row is beside its key: equal rows have equal images, and only they."""

    text: str
    """Canonical JSON: of the fields; where one is bytes, of a list: the other fields, that one's name."""
    data: bytes | None
    """The field of bytes."""


_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_decode = json.JSONDecoder().raw_decode


def image(row: Mapping[str, Any]) -> Image:
    """A row as stores keep it. `ValueError` says why no store could. O(row)."""
    fields = {name: value for name, value in row.items() if name != "id"}
    binary = [name for name, value in fields.items() if type(value) is bytes]
    if len(binary) > 1:
        raise ValueError(f"{len(binary)} fields are bytes; one may be")
    data = fields.pop(binary[0]) if binary else None
    try:
        text = _encode([fields, *binary] if binary else fields)
        size = len(text.encode()) + len(data or b"")
        # What doesn't come back as it is (tuples, numbers for names) isn't JSON. A depth takes its brackets.
        exact = _decode(text)[0] == ([fields, *binary] if binary else fields)
        deep = text.count("[") + text.count("{") > MAX_DEPTH and not _within(fields, MAX_DEPTH)
    except UnicodeEncodeError:
        raise ValueError("it holds a lone surrogate") from None
    except RecursionError:
        exact, deep = True, True
    except (TypeError, ValueError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if deep:
        raise ValueError(f"more than {MAX_DEPTH} lists and objects stand in each other")
    if not exact:
        raise ValueError("it is not JSON: it would come back as something else")
    if size > MAX_ROW_BYTES:
        raise ValueError(f"it has {size:,} bytes; at most {MAX_ROW_BYTES:,} are allowed")
    return Image(text, data)


def restored(key: Iterable[str | int], image: tuple[str, bytes | None]) -> Row:
    """The row of a key and an image. `ValueError` if it is the image of none."""
    text, data = image
    row: Row
    try:
        found, end = _decode(text)
    except RecursionError:
        raise ValueError("too many lists and objects stand in each other") from None
    if data is None:
        row = found
    elif type(found) is list and len(found) == 2 and type(found[0]) is dict and type(found[1]) is str:
        row = found[0]
        row[found[1]] = data
    else:
        raise ValueError("it is no row with bytes")
    if type(row) is not dict or end != len(text):
        raise ValueError("it is no row")
    row["id"] = list(key)
    return row


def _within(value: Any, depth: int) -> bool:
    """Whether lists and objects stand at most so deep in each other."""
    if type(value) not in (list, dict):
        return True
    return depth > 0 and all(
        _within(part, depth - 1) for part in (value.values() if type(value) is dict else value)
    )


def same(a: Row | None, b: Row | None) -> bool:
    """Whether two rows are equal, type by type: 1, 1.0 and True are three values. What no store could keep
    equals nothing but itself."""
    if a is b or a is None or b is None:
        return a is b
    try:
        return _encode(a["id"]) == _encode(b["id"]) and image(a) == image(b)
    except (LookupError, TypeError, ValueError, RecursionError):
        return False


def refusal(row: Row) -> str:
    """Why no store could keep a row; empty if nothing speaks against it."""
    try:
        image(row)
    except ValueError as error:
        return str(error)
    return ""


# --- what is asked -----------------------------------------------------------------

_NAME = re.compile(r"[ -}]{1,64}")  # a part of a key: printable ASCII below "~"
_BOUND = re.compile(r"[\x01-~]{0,65}")


def _types_of(table: str) -> tuple[type, ...]:
    types = TABLES.get(table) if isinstance(table, str) else None
    if types is None:
        raise PatchError(f"no table {table!r:.40}; there are {', '.join(TABLES)}")
    return types


def _fits(part: Any, kind: type, text: re.Pattern[str]) -> bool:
    if isinstance(part, str):
        return kind is type(part) and text.fullmatch(part) is not None
    return kind is type(part) is int and abs(part) < 1 << 53


def checked(table: str, rows: Iterable[Row | Key]) -> None:
    """Refuse what can't be meant: `PatchError` for an unknown table or a key of another shape."""
    types = _types_of(table)
    for row in rows:
        key = row.get("id") if isinstance(row, Mapping) else row
        if (
            not isinstance(key, (list, tuple))
            or len(key) != len(types)
            or not all(map(_fits, key, types, [_NAME] * len(types)))
        ):
            names = ", ".join(kind.__name__ for kind in types)
            raise PatchError(
                f"{key!r:.80} is no key of table {table}; one is [{names}], texts of 1 to 64 printable ASCII "
                "letters below ~, numbers below 2^53"
            )


def bounded(table: str, lower: Key, upper: Key) -> None:
    """Refuse what can't be meant: `PatchError` for an unknown table or a bound that no key compares with."""
    types = _types_of(table)
    for bound in (lower, upper):
        if (
            not isinstance(bound, tuple)
            or len(bound) > len(types)
            or not all(map(_fits, bound, types, [_BOUND] * len(types)))
        ):
            raise PatchError(
                f"{bound!r:.80} bounds no keys of table {table}; a bound is a tuple of the first parts of one"
            )


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """What comes out of work that awaits nothing but a store that was opened at once."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    raise AssertionError("it waits")


def open_at_once(url: str, **options: Any) -> Store | None:
    """The store that a URL names, as `Store.open_at_once` gives it; None where `open_store` has to."""
    scheme, url = _address(url)
    return None if scheme not in BACKENDS else _backend(scheme).open_at_once(url, **options)


async def open_store(url: str, **options: Any) -> Store:
    """The store that a URL names: `memory:`, `sqlite:PATH`, where a path alone means the same, or
    `rethinkdb://HOST:PORT/DB`.

    Options go to the backend's `open`. `PatchError` for a scheme that nobody serves, `StoreError` where its
    driver isn't installed; else what it raises.
    """
    scheme, url = _address(url)
    if scheme not in BACKENDS:
        raise PatchError(f"no store speaks {scheme}:; there are {', '.join(f'{name}:' for name in BACKENDS)}")
    store = await _backend(scheme).open(url, **options)
    if not isinstance(store, Store):
        raise StoreError(f"{BACKENDS[scheme]} gave no store")
    return store


def _address(url: str) -> tuple[str, str]:
    """The scheme, and the URL with it."""
    scheme, colon, rest = url.partition(":")
    if scheme.lower() in BACKENDS:
        scheme, url = scheme.lower(), f"{scheme.lower()}:{rest}"
    if not colon or len(scheme) < 2 or not scheme.isalnum():  # one letter is a Windows drive
        scheme, url = "sqlite", f"sqlite:{url}"
    return scheme, url


def _backend(scheme: str) -> Any:
    module, _, name = BACKENDS[scheme].partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name != "rethinkdb":
            raise
        raise StoreError(
            f'{scheme}: needs the driver {error.name}; run: pip install "syncstring[{error.name}]"'
        ) from None


def without_secrets(url: str) -> str:
    """A URL without what is secret: neither user and password, nor options. Where it isn't sure what is a
    password's end, the scheme alone."""
    if "://" not in url:
        return url.partition("?")[0]
    sure = re.fullmatch(r"(\w+://)(?:[^/?#]*@)?([^?#@]*)(?:[?#][^@]*)?", url)
    return sure[1] + sure[2] if sure else url.partition("//")[0]
