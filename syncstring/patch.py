"""The values: who changed what, knowing what, when; and every rule by which one is well-formed.

The law of this room. A patch never changes once made, and equal patches are equal bytes: only one
spelling of each is well-formed, whether as a row or in its compact form. Every rule here can be judged from
the patch alone, so everybody judges alike; whether a delta fits its parents' text can't, and is judged
where that text is known (`merge.py`). What you make wrongly raises `PatchError`; what came from
outside raises `MalformedRow`, or `UnsupportedVersion` where a later format may mean something by it.

Knows no history, document or store. The format is written down in FORMAT.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from syncstring._events import name_hash
from syncstring._patch import MAX_COUNT, Ops, Splice, compose, decode_delta, encode_delta, ops_splices
from syncstring.compact import MAX_OPERATIONS, SAME, Reader, put, put_session, put_text
from syncstring.errors import MalformedRow, PatchError, UnsupportedVersion

__all__ = [
    "MAX_AUTHOR", "MAX_MESSAGE", "MAX_OPERATIONS", "MAX_PARENTS", "MAX_ROW", "MAX_TIME", "MAX_TIME_STEP",
    "MIN_WILD_TIME", "Id", "Patch", "canonical_bytes", "chained", "doc_of_row",
    "flaw_of_time", "id_of_row", "is_session",
]  # fmt: skip

MAX_ROW: Final = 1 << 20  # bytes in canonical form
MAX_PARENTS: Final = 1_024
MAX_AUTHOR: Final = 256  # bytes of UTF-8
MAX_MESSAGE: Final = 4_096  # bytes of UTF-8
MAX_TIME: Final = (1 << 53) - 1
MIN_WILD_TIME: Final = 1 << 52  # from here on a time is at most MAX_TIME_STEP above the greatest parent's
MAX_TIME_STEP: Final = 1 << 32

_SESSION = re.compile(r"[0-9A-Za-z_-]{1,48}")
_PARENT = r"[1-9][0-9]{0,15}:[0-9A-Za-z_-]{1,48}"
_ONE_PARENT = re.compile(_PARENT)
_ALL_PARENTS = re.compile(rf"{_PARENT}(?:\t{_PARENT})*+")
_DOC = re.compile(r"[0-9a-f]{40}")
_NO_DOC = "0" * 40  # every document's key is as long, so a row's size doesn't depend on which it is
_FIELDS = ("v", "id", "author", "wall", "parents", "delta")
_BYTES = 0x50  # the first byte of compact bytes, plus
_WALL, _MESSAGE, _PARENTS = 1, 2, 4
_KEEP, _INSERT, _DELETE = 0, 1, 2
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


class Patch:
    """One edit by one author, on the text of its parents. Frozen; equal by value; hashable.

    `splices` are sequential `(pos, delete, insert)` on the parents' merged text, in code points; they
    are composed into one delta at once, and `patch.splices` are that delta's. `parents` are sorted,
    doubles dropped. `PatchError` says what breaks a rule. O(n log n) for n splices.
    """

    __slots__ = ("_author", "_id", "_message", "_ops", "_parents", "_wall")

    _id: Id
    _parents: tuple[Id, ...]
    _ops: Ops
    _author: str
    _wall: int
    _message: str | None

    def __new__(
        cls,
        id: tuple[int, str],
        parents: Iterable[tuple[int, str]],
        splices: Iterable[Sequence[Any]],
        author: str,
        wall: int,
        message: str | None = None,
    ) -> Patch:
        ops = compose(_items("splices", splices, "(pos, delete, insert)"))
        return cls.of_ops(id, parents, ops, author, wall, message)

    @classmethod
    def of_ops(
        cls,
        id: tuple[int, str],
        parents: Iterable[tuple[int, str]],
        ops: Ops,
        author: str,
        wall: int,
        message: str | None = None,
    ) -> Patch:
        """The same from a canonical delta. The caller vouches for the delta; everything else is checked."""
        fresh = _made_id("its", id)
        known = {_made_id("a parent's", parent) for parent in _items("parents", parents, "(time, session)")}
        patch = cls.trusted(fresh, tuple(sorted(known)), ops, _plain(author), wall, _plain(message))
        if flaw := patch._flaw():
            raise PatchError(f"patch {tuple(fresh)}: {flaw}")
        return patch

    @classmethod
    def trusted(
        cls,
        id: tuple[int, str],
        parents: tuple[Id, ...],
        ops: Ops,
        author: str,
        wall: int,
        message: str | None = None,
    ) -> Patch:
        """One that was checked before, from its parts."""
        patch = object.__new__(cls)
        patch._id = id if type(id) is Id else Id(*id)
        patch._parents = parents
        patch._ops = ops
        patch._author = author
        patch._wall = wall
        patch._message = message
        return patch

    @property
    def id(self) -> Id:
        return self._id

    @property
    def time(self) -> int:
        return self._id[0]

    @property
    def session(self) -> str:
        return self._id[1]

    @property
    def parents(self) -> tuple[Id, ...]:
        """Ids of the heads that the author had: distinct, ascending."""
        return self._parents

    @property
    def ops(self) -> Ops:
        """The delta as operations: 5 keeps five code points, -2 deletes two, "abc" inserts."""
        return self._ops

    @property
    def delta(self) -> str:
        """The delta as it stands in a row."""
        return encode_delta(self._ops)

    @property
    def splices(self) -> list[Splice]:
        """The delta as sequential splices: insertions first, then deletions from the right."""
        return ops_splices(self._ops)

    @property
    def author(self) -> str:
        return self._author

    @property
    def wall(self) -> int:
        """What the author's own clock said, in microseconds since the epoch; for people."""
        return self._wall

    @property
    def message(self) -> str | None:
        return self._message

    def _parts(self) -> tuple[Any, ...]:
        return self._id, self._parents, self._ops, self._author, self._wall, self._message

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Patch) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash((self._id, self._ops))

    def __reduce__(self) -> Any:
        return type(self).trusted, self._parts()

    def __repr__(self) -> str:
        parents, splices = [*map(tuple, self._parents)], [*map(tuple, self.splices)]
        message = f", message={self._message!r}" if self._message is not None else ""
        return (
            f"Patch(id={tuple(self._id)}, parents={parents}, splices={splices}, "
            f"author={self._author!r}, wall={self._wall}{message})"
        )

    # --- the rules ------------------------------------------------------------------------------------

    def _flaw(self) -> str | None:
        """The first rule that it breaks, in words; those for ids and canonical form were kept already."""
        if flaw := flaw_of_time(self._id[0], self._parents):
            return flaw
        if flaw := _text_flaw("author", self._author, MAX_AUTHOR):
            return flaw
        if self._message is not None and (flaw := _text_flaw("message", self._message, MAX_MESSAGE)):
            return flaw
        if type(self._wall) is not int or not 0 <= self._wall <= MAX_TIME:
            return _number_flaw("wall", self._wall, 0)
        if len(self._ops) > MAX_OPERATIONS:
            return f"its delta has {len(self._ops):,} operations; at most {MAX_OPERATIONS:,} are allowed"
        text = 0
        for op in self._ops:
            if isinstance(op, str):
                text += len(op)
            elif not -MAX_COUNT <= op <= MAX_COUNT:
                return f"an operation of its delta spans {abs(op)}; a count is at most 2^53 - 1"
        # A code point takes at most 6 bytes (\\u001f), an operation's frame 19, a parent 67, the rest 30,000.
        if 6 * text + 19 * len(self._ops) + 67 * len(self._parents) + 30_000 > MAX_ROW:
            size = len(canonical_bytes(self.to_row(_NO_DOC)))
            if size > MAX_ROW:
                return f"its row has {size:,} bytes; at most {MAX_ROW:,} are allowed: make it a chain"
        return None

    # --- rows -----------------------------------------------------------------------------------------

    def to_row(self, doc: str) -> dict[str, Any]:
        """Its row in table `patches`. `PatchError` unless `doc` is a document's key: 40 hex digits."""
        doc = _plain(doc)
        if type(doc) is not str or not _DOC.fullmatch(doc):
            raise PatchError(f"{_shown(doc)} is no document's key; that has 40 digits of 0-9a-f")
        row: dict[str, Any] = {
            "v": 1,
            "id": [doc, self._id[0], self._id[1]],
            "author": self._author,
            "wall": self._wall,
            "parents": "\t".join(f"{time}:{session}" for time, session in self._parents),
            "delta": self.delta,
        }
        if self._message is not None:
            row["message"] = self._message
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Patch:
        """The patch that a row holds: `from_row(p.to_row(doc)) == p`. O(len(delta)).

        `MalformedRow` says what breaks a rule and in which row; `UnsupportedVersion` that a later format
        may know what this one doesn't: another `v`, an unknown field or operation.
        """
        if not isinstance(row, Mapping):
            raise MalformedRow(f"a row is an object of named fields; this is {_shown(row)}")
        try:
            missing = next((name for name in _FIELDS if name not in row), None)
            if missing != "v":
                if type(row["v"]) is not int:
                    raise MalformedRow(f"v is {_shown(row['v'])}; it is an integer, the format's number")
                if row["v"] != 1:
                    raise UnsupportedVersion(f"v is {_shown(row['v'])}; this library reads 1: upgrade it")
                if unknown := [name for name in row if name not in _FIELDS and name != "message"]:
                    raise UnsupportedVersion(f"unknown field {_shown(unknown[0])}; upgrade this library")
            if missing:
                raise MalformedRow(f"no {missing}; a row has {', '.join(_FIELDS)} and perhaps message")
            if "message" in row and row["message"] is None:
                raise MalformedRow("message is null; a patch without one has no such field")
            if flaw := _row_id_flaw(row["id"]):
                raise MalformedRow(flaw)
            for name in ("parents", "delta"):
                if type(row[name]) is not str:
                    raise MalformedRow(f"{name} is {_shown(row[name])}; it is a string")
                if len(row[name]) > MAX_ROW:
                    raise MalformedRow(f"{name} has {len(row[name]):,} letters; a row has {MAX_ROW:,} bytes")
            parents = _parse_parents(row["parents"])
            ops = decode_delta(row["delta"])
            patch = cls.trusted(row["id"][1:], parents, ops, row["author"], row["wall"], row.get("message"))
            if flaw := patch._flaw():
                raise MalformedRow(flaw)
        except (MalformedRow, UnsupportedVersion) as error:
            raise type(error)(f"row {_shown(row.get('id'), 120)}: {error}") from None
        return patch

    # --- bytes ----------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """The patch in few bytes, to send to a peer: `from_bytes(p.to_bytes()) == p`. FORMAT.md says how."""
        time, session = self._id
        flags = _WALL * (self._wall != time) | _MESSAGE * (self._message is not None)
        flags |= _PARENTS * (len(self._parents) != 1 or self._parents[0][1] != session)
        out = bytearray([_BYTES | flags])
        out += time.to_bytes(7, "big")
        put_session(out, session)
        if flags & _PARENTS:
            put(out, len(self._parents))
        for parent in self._parents:
            put(out, time - parent[0])
            if flags & _PARENTS:
                if parent[1] == session:
                    out.append(SAME)
                else:
                    put_session(out, parent[1])
        put_text(out, self._author)
        if flags & _WALL:
            ahead = self._wall - time
            put(out, ahead << 1 if ahead > 0 else (-ahead << 1) - 1)
        if self._message is not None:
            put_text(out, self._message)
        for op in self._ops:
            if isinstance(op, str):
                text = op.encode()
                put(out, len(text) << 2 | 1)
                out += text
            else:
                put(out, op << 2 if op > 0 else -op << 2 | 2)
        return bytes(out)

    @classmethod
    def from_bytes(cls, data: bytes) -> Patch:
        """`to_bytes` back. `MalformedRow` for what isn't exactly what `to_bytes` gives for some patch;
        `UnsupportedVersion` for another format's."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise MalformedRow(f"patch bytes are bytes; this is {_shown(data)}")
        reader = Reader(bytes(data))
        try:
            if len(data) > 2 * MAX_ROW:
                raise MalformedRow(f"there are {len(data):,}; no row's patch has as many")
            first = reader.take(1, "the format")[0]
            if first & ~(_WALL | _MESSAGE | _PARENTS) != _BYTES:
                raise UnsupportedVersion(f"they begin with {first:#04x}; this library reads 0x50 to 0x57")
            time = int.from_bytes(reader.take(7, "the time"), "big")
            session = reader.session(None)
            count = reader.number("the number of parents") if first & _PARENTS else 1
            if count > MAX_PARENTS:
                raise MalformedRow(f"it has {count:,} parents; at most {MAX_PARENTS:,} are allowed")
            parents = []
            for _ in range(count):
                older = time - reader.number("a parent's time")
                parents.append((older, reader.session(session) if first & _PARENTS else session))
            author = reader.text("the author", reader.number("the author's length"))
            wall = time
            if first & _WALL:
                ahead = reader.number("wall")
                wall += -(ahead + 1 >> 1) if ahead & 1 else ahead >> 1
            message = reader.text("the message", reader.number("its length")) if first & _MESSAGE else None
            patch = cls.of_ops((time, session), parents, reader.ops(), author, wall, message)
            if patch.to_bytes() != reader.data:
                raise MalformedRow("they are not in canonical form, which is what to_bytes gives")
        except (PatchError, MalformedRow, UnsupportedVersion) as error:
            blame = UnsupportedVersion if isinstance(error, UnsupportedVersion) else MalformedRow
            raise blame(f"patch bytes: {error}") from None
        return patch

    def digest(self) -> bytes:
        """SHA-256 of its canonical row with an empty `doc`: of two patches under one id, where no store
        has decided, the one with the smaller digest counts."""
        row = self.to_row(_NO_DOC)
        row["id"][0] = ""
        return sha256(canonical_bytes(row)).digest()


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


# --- arguments and rules -----------------------------------------------------------------------------


def _items(name: str, items: Iterable[Any], each: str) -> Iterable[Any]:
    try:
        return iter(items)
    except TypeError:
        raise PatchError(f"{name} are {_shown(items)}; they are a list of {each}") from None


def _made_id(whose: str, id: Any) -> Id:
    try:
        time, session = id
    except (TypeError, ValueError):
        raise PatchError(f"{whose} id is {_shown(id)}; an id is (time, session)") from None
    session = _plain(session)
    if flaw := _id_flaw(whose, time, session):
        raise PatchError(f"patch ({_shown(time)}, {_shown(session)}): {flaw}")
    return Id(time, session)


def _plain(text: Any) -> Any:
    """A str that is no subclass's, which kernels wouldn't take; anything else as it is."""
    return str.__str__(text) if isinstance(text, str) else text


def _id_flaw(whose: str, time: Any, session: Any) -> str | None:
    if type(time) is not int or not 1 <= time <= MAX_TIME:
        return _number_flaw(f"{whose} time", time, 1)
    if type(session) is not str or not _SESSION.fullmatch(session):
        return f"{whose} session is {_shown(session, 60)}; it has 1 to 48 of 0-9A-Za-z_-"
    return None


def _number_flaw(name: str, value: Any, least: int) -> str:
    if type(value) is not int:
        return f"{name} is {_shown(value)}, of type {type(value).__name__}; it is an int of microseconds"
    return f"{name} is {_shown(value)}; it lies in {least} .. 2^53 - 1"


def _text_flaw(name: str, text: Any, most: int) -> str | None:
    if type(text) is not str:
        return f"{name} is {_shown(text)}; it is a string"
    if found := _LONE.search(text):
        return f"{name} holds the lone surrogate U+{ord(found[0]):04X} at {found.start()}"
    if len(text) > most or len(text.encode()) > most:
        return f"{name} has {len(text.encode()):,} bytes of UTF-8; at most {most:,} are allowed"
    return None


def _shown(value: Any, most: int = 40) -> str:
    """A value in an error's text, cut short. Not every value's repr works: that of a huge int doesn't."""
    try:
        return f"{value!r:.{most}}"
    except MemoryError:
        raise
    except Exception:
        return f"something of type {type(value).__name__}"


# --- rows --------------------------------------------------------------------------------------------


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
    if flaw := _row_id_flaw(id):
        raise MalformedRow(f"row {_shown(id, 120)}: {flaw}")
    doc: str = row["id"][0]
    return doc


def _row_id_flaw(id: Any) -> str | None:
    if not isinstance(id, (list, tuple)) or len(id) != 3:
        return "an id is [doc, time, session]"
    if type(id[0]) is not str or not _DOC.fullmatch(id[0]):
        return f"its doc is {_shown(id[0])}; it has 40 digits of 0-9a-f"
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


# --- deltas that are too long for one row ------------------------------------------------------------

_DELTA_ROOM = MAX_ROW - (100 << 10)  # beside 1,024 parents, a message and an author at their longest
_PIECE = 1 << 15


def chained(ops: Ops) -> list[Ops]:
    """The deltas, one on the other, that together do what `ops` does; each fits a row. Often just itself.

    `ops_apply` one after the other gives the same text, and in a merge, too, every character comes to
    stand where it would. O(len(ops)).
    """
    text = sum(len(op) for op in ops if isinstance(op, str))
    if len(ops) <= MAX_OPERATIONS and 6 * text + 19 * len(ops) <= _DELTA_ROOM:
        return [ops]
    chain: list[list[int | str]] = [[]]
    size = 0
    for op in ops:
        starts = range(0, len(op), _PIECE) if isinstance(op, str) else (0,)
        for part in (op[start : start + _PIECE] if isinstance(op, str) else op for start in starts):
            link = chain[-1]
            weight = 19 + (len(canonical_bytes({"": encode_delta((part,))})) if isinstance(part, str) else 0)
            if size + weight > _DELTA_ROOM or len(link) >= MAX_OPERATIONS - 1:
                # A deletion goes with the insertion behind it, which would else come to stand before it.
                held = [link.pop()] if isinstance(part, str) and _kind(link[-1]) == _DELETE else []
                done = sum(len(op) if isinstance(op, str) else max(op, 0) for op in link)
                link = [done, *held]
                chain.append(link)
                size = 19 * len(link)
            size += weight
            if link and _kind(link[-1]) == _kind(part):
                link[-1] += part  # type: ignore[operator]  # two texts or two counts
            else:
                link.append(part)
    for link in chain:
        if link and _kind(link[-1]) == _KEEP:
            link.pop()
    return [tuple(link) for link in chain if link]


def _kind(op: int | str) -> int:
    return _INSERT if isinstance(op, str) else _KEEP if op > 0 else _DELETE
