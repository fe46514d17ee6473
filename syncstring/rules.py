"""Every rule by which a patch is well-formed, judged by its parts alone; and rows, in and out.

The law of this room. Whoever asks, wherever, gets the same verdict, in words: the first rule that is broken.
What somebody here made wrongly is a `PatchError`, what came from outside a `MalformedRow`, or
`UnsupportedVersion` where a later format may mean something by it. Whether a delta fits its parents' text
can't be judged here. A patch's parts are (id, parents, ops, author, wall, message).

The format is written down in FORMAT.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from syncstring._names import name_hash
from syncstring._patch import MAX_COUNT, Ops, decode_delta, encode_delta
from syncstring.errors import MalformedRow, PatchError, UnsupportedVersion

__all__ = [
    "MAX_AUTHOR", "MAX_MESSAGE", "MAX_OPERATIONS", "MAX_PARENTS", "MAX_ROW", "MAX_TIME", "MAX_TIME_STEP",
    "MIN_WILD_TIME", "NO_DOC", "Id", "Parts", "canonical_bytes", "doc_of_row", "flaw", "flaw_of_time",
    "id_of_row", "is_session", "made", "parts_of_row", "row_of_parts", "shown",
]  # fmt: skip

MAX_ROW: Final = 1 << 20  # bytes in canonical form
MAX_PARENTS: Final = 1_024
MAX_OPERATIONS: Final = 100_000  # in a delta
MAX_AUTHOR: Final = 256  # bytes of UTF-8
MAX_MESSAGE: Final = 4_096  # bytes of UTF-8
MAX_TIME: Final = (1 << 53) - 1
MIN_WILD_TIME: Final = 1 << 52  # from here on a time is at most MAX_TIME_STEP above the greatest parent's
MAX_TIME_STEP: Final = 1 << 32
NO_DOC: Final = "0" * 40  # every document's key is as long, so a row's size doesn't depend on which it is

_SESSION = re.compile(r"[0-9A-Za-z_-]{1,48}")
_PARENT = r"[1-9][0-9]{0,15}:[0-9A-Za-z_-]{1,48}"
_ONE_PARENT = re.compile(_PARENT)
_ALL_PARENTS = re.compile(rf"{_PARENT}(?:\t{_PARENT})*+")
_DOC = re.compile(r"[0-9a-f]{40}")
_FIELDS = ("v", "id", "author", "wall", "parents", "delta")
_LONE = re.compile("[\ud800-\udfff]")


class Id(NamedTuple):
    """What a patch, and the version it makes, is called. Equal to the plain tuple; ordered by it.

    `str(id)` is how people write it: 16 hex digits, of which any prefix of at least 4 that holds a
    letter will do where it is unique.
    """

    time: int
    """Microseconds since the epoch, by a hybrid logical clock: above the time of all that was known."""
    session: str

    def __str__(self) -> str:
        return f"{name_hash(self.time, self.session):016x}"


Parts: TypeAlias = tuple[Id, tuple[Id, ...], Ops, str, int, str | None]


# --- the rules ---------------------------------------------------------------------------------------


def flaw(id: Id, parents: tuple[Id, ...], ops: Ops, author: Any, wall: Any, message: Any) -> str | None:
    """The first rule that these parts break, in words; those for ids and canonical form were kept already."""
    if broken := flaw_of_time(id[0], parents):
        return broken
    if broken := _text_flaw("author", author, MAX_AUTHOR):
        return broken
    if message is not None and (broken := _text_flaw("message", message, MAX_MESSAGE)):
        return broken
    if type(wall) is not int or not 0 <= wall <= MAX_TIME:
        return _number_flaw("wall", wall, 0)
    if len(ops) > MAX_OPERATIONS:
        return f"its delta has {len(ops):,} operations; at most {MAX_OPERATIONS:,} are allowed"
    text = 0
    for op in ops:
        if isinstance(op, str):
            text += len(op)
        elif not -MAX_COUNT <= op <= MAX_COUNT:
            return f"an operation of its delta spans {abs(op)}; a count is at most 2^53 - 1"
    # A code point takes at most 6 bytes (\\u001f), an operation's frame 19, a parent 67, the rest 30,000.
    if 6 * text + 19 * len(ops) + 67 * len(parents) + 30_000 > MAX_ROW:
        size = len(canonical_bytes(row_of_parts(NO_DOC, id, parents, ops, author, wall, message)))
        if size > MAX_ROW:
            return f"its row has {size:,} bytes; at most {MAX_ROW:,} are allowed: make it a chain"
    return None


def flaw_of_time(time: int, parents: Sequence[Id]) -> str | None:
    """The first rule on a patch's place after its parents, in ascending order, that it breaks, in words."""
    if len(parents) > MAX_PARENTS:
        return f"it has {len(parents):,} parents; at most {MAX_PARENTS:,} are allowed: merge in steps"
    newest = parents[-1][0] if parents else 0
    if time <= newest:
        return f"its time {time} is not above a parent's, {newest}; a patch is later than all it knows"
    if time >= MIN_WILD_TIME and time - newest > MAX_TIME_STEP:
        known = f"its greatest parent's, {newest}" if parents else "0, for it has no parents"
        return f"its time {time} is 2^52 or later, and more than 2^32 above {known}: was a clock wrong?"
    return None


def is_session(text: str) -> bool:
    """Whether a session may be called so: 1 to 48 of `0-9A-Za-z_-`."""
    return _SESSION.fullmatch(text) is not None


# --- arguments ---------------------------------------------------------------------------------------


def made(id: Any, parents: Any, ops: Ops, author: Any, wall: Any, message: Any) -> Parts:
    """What somebody makes a patch of, with a canonical delta that its caller vouches for: parents in order,
    doubles dropped. `PatchError` for what breaks a rule."""
    fresh = _made_id("its", id)
    known = {_made_id("a parent's", parent) for parent in items("parents", parents, "(time, session)")}
    parts = (fresh, tuple(sorted(known)), ops, _plain(author), wall, _plain(message))
    if broken := flaw(*parts):
        raise PatchError(f"patch {tuple(fresh)}: {broken}")
    return parts


def items(name: str, items: Iterable[Any], each: str) -> Iterable[Any]:
    try:
        return iter(items)
    except TypeError:
        raise PatchError(f"{name} are {shown(items)}; they are a list of {each}") from None


def _made_id(whose: str, id: Any) -> Id:
    try:
        time, session = id
    except (TypeError, ValueError):
        raise PatchError(f"{whose} id is {shown(id)}; an id is (time, session)") from None
    session = _plain(session)
    if broken := _id_flaw(whose, time, session):
        raise PatchError(f"patch ({shown(time)}, {shown(session)}): {broken}")
    return Id(time, session)


def _plain(text: Any) -> Any:
    """A str that is no subclass's, which kernels wouldn't take; anything else as it is."""
    return str.__str__(text) if isinstance(text, str) else text


def _id_flaw(whose: str, time: Any, session: Any) -> str | None:
    if type(time) is not int or not 1 <= time <= MAX_TIME:
        return _number_flaw(f"{whose} time", time, 1)
    if type(session) is not str or not _SESSION.fullmatch(session):
        return f"{whose} session is {shown(session, 60)}; it has 1 to 48 of 0-9A-Za-z_-"
    return None


def _number_flaw(name: str, value: Any, least: int) -> str:
    if type(value) is not int:
        return f"{name} is {shown(value)}, of type {type(value).__name__}; it is an int of microseconds"
    return f"{name} is {shown(value)}; it lies in {least} .. 2^53 - 1"


def _text_flaw(name: str, text: Any, most: int) -> str | None:
    if type(text) is not str:
        return f"{name} is {shown(text)}; it is a string"
    if found := _LONE.search(text):
        return f"{name} holds the lone surrogate U+{ord(found[0]):04X} at {found.start()}"
    if len(text) > most or len(text.encode()) > most:
        return f"{name} has {len(text.encode()):,} bytes of UTF-8; at most {most:,} are allowed"
    return None


def shown(value: Any, most: int = 40) -> str:
    """A value in an error's text, cut short. Not every value's repr works: that of a huge int doesn't."""
    try:
        return f"{value!r:.{most}}"
    except MemoryError:
        raise
    except Exception:
        return f"something of type {type(value).__name__}"


# --- rows --------------------------------------------------------------------------------------------


def row_of_parts(
    doc: str, id: Id, parents: tuple[Id, ...], ops: Ops, author: str, wall: int, message: str | None
) -> dict[str, Any]:
    """The row of these parts. `PatchError` unless `doc` is a document's key: 40 hex digits."""
    doc = _plain(doc)
    if type(doc) is not str or not _DOC.fullmatch(doc):
        raise PatchError(f"{shown(doc)} is no document's key; that has 40 digits of 0-9a-f")
    row: dict[str, Any] = {
        "v": 1,
        "id": [doc, id[0], id[1]],
        "author": author,
        "wall": wall,
        "parents": "\t".join(f"{time}:{session}" for time, session in parents),
        "delta": encode_delta(ops),
    }
    if message is not None:
        row["message"] = message
    return row


def parts_of_row(row: Mapping[str, Any]) -> Parts:
    """The parts of the patch that a row holds. `MalformedRow` says what breaks a rule and in which row,
    `UnsupportedVersion` what a later format may know. O(len(delta))."""
    if not isinstance(row, Mapping):
        raise MalformedRow(f"a row is an object of named fields; this is {shown(row)}")
    try:
        missing = next((name for name in _FIELDS if name not in row), None)
        if missing != "v":
            if type(row["v"]) is not int:
                raise MalformedRow(f"v is {shown(row['v'])}; it is an integer, the format's number")
            if row["v"] != 1:
                raise UnsupportedVersion(f"v is {shown(row['v'])}; this library reads 1: upgrade it")
            if unknown := [name for name in row if name not in _FIELDS and name != "message"]:
                raise UnsupportedVersion(f"unknown field {shown(unknown[0])}; upgrade this library")
        if missing:
            raise MalformedRow(f"no {missing}; a row has {', '.join(_FIELDS)} and perhaps message")
        if "message" in row and row["message"] is None:
            raise MalformedRow("message is null; a patch without one has no such field")
        if broken := _row_id_flaw(row["id"]):
            raise MalformedRow(broken)
        for name in ("parents", "delta"):
            if type(row[name]) is not str:
                raise MalformedRow(f"{name} is {shown(row[name])}; it is a string")
            if len(row[name]) > MAX_ROW:
                raise MalformedRow(f"{name} has {len(row[name]):,} letters; a row has {MAX_ROW:,} bytes")
        parents = _parse_parents(row["parents"])
        ops = decode_delta(row["delta"])
        parts = (Id(*row["id"][1:]), parents, ops, row["author"], row["wall"], row.get("message"))
        if broken := flaw(*parts):
            raise MalformedRow(broken)
    except (MalformedRow, UnsupportedVersion) as error:
        raise type(error)(f"row {shown(row.get('id'), 120)}: {error}") from None
    return parts


def canonical_bytes(row: Mapping[str, Any]) -> bytes:
    """The one way to write a row: JSON in UTF-8, keys sorted, no spaces, nothing escaped that needn't be.

    `MalformedRow` for what can't be written so: a lone surrogate, something that isn't JSON.
    """
    try:
        return json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise MalformedRow(f"what can't be written as JSON in UTF-8 is no row: {error}") from None


def id_of_row(row: Mapping[str, Any]) -> Id:
    """The id of a row whose rest may be beyond us. `MalformedRow` if even that can't be read."""
    doc_of_row(row)
    return Id(*row["id"][1:])


def doc_of_row(row: Mapping[str, Any]) -> str:
    """The key of the document that a row belongs to. `MalformedRow` if its id isn't [doc, time, session]."""
    id = row.get("id") if isinstance(row, Mapping) else None
    if broken := _row_id_flaw(id):
        raise MalformedRow(f"row {shown(id, 120)}: {broken}")
    doc: str = row["id"][0]
    return doc


def _row_id_flaw(id: Any) -> str | None:
    if not isinstance(id, (list, tuple)) or len(id) != 3:
        return "an id is [doc, time, session]"
    if type(id[0]) is not str or not _DOC.fullmatch(id[0]):
        return f"its doc is {shown(id[0])}; it has 40 digits of 0-9a-f"
    return _id_flaw("its", id[1], id[2])


def _parse_parents(written: str) -> tuple[Id, ...]:
    if not written:
        return ()
    tokens = written.split("\t")
    if _ALL_PARENTS.fullmatch(written) is None:  # once for all: among many who type, each row has many
        token = next(token for token in tokens if _ONE_PARENT.fullmatch(token) is None)
        raise MalformedRow(f"parents: {token!r:.80} is not time:session, as in 1432111222333444:k3x9")
    parents = []
    for token in tokens:
        time, _, session = token.partition(":")
        parents.append(Id(int(time), session))
    for before, parent, token in zip(parents, parents[1:], tokens[1:], strict=False):
        if parent <= before:
            raise MalformedRow(f"parents: {token!r:.80} stands after one that isn't less; they ascend by id")
    return tuple(parents)
