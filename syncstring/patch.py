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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple, NoReturn

from syncstring._events import name_hash
from syncstring._patch import MAX_COUNT, Ops, Splice, compose, decode_delta, encode_delta, ops_splices
from syncstring.errors import MalformedRow, PatchError, SyncstringError, UnsupportedVersion

__all__ = [
    "MAX_AUTHOR",
    "MAX_MESSAGE",
    "MAX_OPERATIONS",
    "MAX_PARENTS",
    "MAX_ROW",
    "MAX_TIME",
    "MAX_TIME_STEP",
    "MIN_WILD_TIME",
    "Id",
    "Patch",
    "canonical_bytes",
    "chained",
    "doc_of_row",
    "id_of_row",
]

MAX_ROW: Final = 1 << 20
"""Bytes of a row in canonical form."""
MAX_PARENTS: Final = 1_024
MAX_OPERATIONS: Final = 100_000
MAX_AUTHOR: Final = 256
"""Bytes of UTF-8."""
MAX_MESSAGE: Final = 4_096
"""Bytes of UTF-8."""
MAX_TIME: Final = (1 << 53) - 1
MIN_WILD_TIME: Final = 1 << 52
"""From here on a time may be only `MAX_TIME_STEP` above the greatest parent's."""
MAX_TIME_STEP: Final = 1 << 32

_SESSION = re.compile(r"[0-9A-Za-z_-]{1,48}")
_PARENT = re.compile(r"([1-9][0-9]{0,15}):([0-9A-Za-z_-]{1,48})")
_DOC = re.compile(r"[0-9a-f]{40}")
_NO_DOC = "0" * 40  # every document's key is as long, so a row's size doesn't depend on which it is
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

    def __init__(
        self,
        id: tuple[int, str],
        parents: Iterable[tuple[int, str]],
        splices: Iterable[Sequence[Any]],
        author: str,
        wall: int,
        message: str | None = None,
    ) -> None:
        try:
            fresh = Id(*id)
            known = tuple(sorted({Id(*parent) for parent in parents}))
        except TypeError:
            raise PatchError("an id is (time, session), and parents are a collection of ids") from None
        self._set(fresh, known, compose(splices), author, wall, message)
        if flaw := next(self._flaws(), None):
            raise PatchError(f"patch {self._shown()}: {flaw}")

    def _set(
        self, id: Id, parents: tuple[Id, ...], ops: Ops, author: str, wall: int, message: str | None
    ) -> None:
        self._id = id
        self._parents = parents
        self._ops = ops
        self._author = author
        self._wall = wall
        self._message = message

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
        patch = cls.trusted(id, tuple(sorted(map(Id._make, parents))), ops, author, wall, message)
        if flaw := next(patch._flaws(), None):
            raise PatchError(f"patch {patch._shown()}: {flaw}")
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
        patch = cls.__new__(cls)
        patch._set(Id(*id), parents, ops, author, wall, message)
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
        message = f", message={self._message!r}" if self._message is not None else ""
        return (
            f"Patch(id={tuple(self._id)}, parents={[tuple(parent) for parent in self._parents]}, "
            f"splices={[tuple(splice) for splice in self.splices]}, author={self._author!r}, "
            f"wall={self._wall}{message})"
        )

    # --- the rules -----------------------------------------------------------------------------------------

    def _shown(self) -> str:
        return f"({self._id[0]!r:.24}, {self._id[1]!r:.60})"

    def _flaws(self) -> Iterator[str]:
        """What breaks a rule, in words; nothing if the patch is well-formed."""
        yield from _id_flaws("its", self._id)
        for parent in self._parents:
            yield from _id_flaws("a parent's", parent)
        if len(self._parents) > MAX_PARENTS:
            yield f"has {len(self._parents):,} parents; more than {MAX_PARENTS:,} are merged in steps"
        newest = self._parents[-1][0] if self._parents else 0
        if self._id[0] <= newest:
            yield f"is not later than a parent's time {newest}; a patch's time exceeds its parents'"
        if self._id[0] >= MIN_WILD_TIME and self._id[0] - newest > MAX_TIME_STEP:
            yield (
                f"is {self._id[0] - newest} µs above the greatest parent's time; "
                f"from {MIN_WILD_TIME} (the year 2112) on, at most {MAX_TIME_STEP} are allowed"
            )
        yield from _text_flaws("author", self._author, MAX_AUTHOR)
        if self._message is not None:
            yield from _text_flaws("message", self._message, MAX_MESSAGE)
        if type(self._wall) is not int or not 0 <= self._wall <= MAX_TIME:
            yield f"wall is {self._wall!r:.40}; it is a whole number of microseconds in 0 .. 2^53 - 1"
        if len(self._ops) > MAX_OPERATIONS:
            yield f"its delta has {len(self._ops):,} operations; at most {MAX_OPERATIONS:,} are allowed"
        size = self._size()
        if size > MAX_ROW:
            yield f"its row has {size:,} bytes; at most {MAX_ROW:,} are allowed"

    def _size(self) -> int:
        """The bytes of its canonical row, or fewer than `MAX_ROW` where that is plain anyway."""
        text = sum(len(op) for op in self._ops if isinstance(op, str))
        # A code point takes at most 6 bytes (\\u001f), an operation's frame 19, a parent 67, the rest 30,000.
        most = 6 * text + 19 * len(self._ops) + 67 * len(self._parents) + 30_000
        return most if most <= MAX_ROW else len(canonical_bytes(self.to_row(_NO_DOC)))

    # --- rows ------------------------------------------------------------------------------------------------

    def to_row(self, doc: str) -> dict[str, Any]:
        """Its row in table `patches`. `PatchError` unless `doc` is a document's key: 40 hex digits."""
        if not isinstance(doc, str) or not _DOC.fullmatch(doc):
            raise PatchError(f"{doc!r:.60} is no document's key; that has 40 digits of 0-9a-f")
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
            raise MalformedRow(f"a row is an object of named fields; this is {row!r:.60}")
        where = f"row {row.get('id')!r:.120}"
        version = row.get("v")
        if type(version) is not int:
            raise MalformedRow(f"{where}: v is {version!r:.40}; it is the number of the format")
        if version != 1:
            raise UnsupportedVersion(f"{where}: format {version}, this library reads 1; upgrade syncstring")
        if unknown := sorted(str(name) for name in row if name not in _FIELDS and name != "message"):
            raise UnsupportedVersion(
                f"{where}: unknown field {unknown[0]!r:.40}; a later format may know it: upgrade syncstring"
            )
        if missing := [name for name in _FIELDS if name not in row]:
            raise MalformedRow(f"{where}: no {missing[0]}; a row has {', '.join(_FIELDS)} and perhaps message")
        if "message" in row and row["message"] is None:
            raise MalformedRow(f"{where}: message is null; a patch without one has no such field")
        doc_of_row(row)
        id = Id(*row["id"][1:])
        for name in ("parents", "delta"):
            if not isinstance(row[name], str):
                raise MalformedRow(f"{where}: {name} is {row[name]!r:.40}; it is a string")
        if len(row["delta"]) > MAX_ROW:
            raise MalformedRow(f"{where}: its delta alone is longer than the {MAX_ROW:,} bytes of a row")
        try:
            parents = _parse_parents(row["parents"])
            ops = decode_delta(row["delta"])
        except (MalformedRow, UnsupportedVersion) as error:
            raise type(error)(f"{where}: {error}") from None
        patch = cls.trusted(id, parents, ops, row["author"], row["wall"], row.get("message"))
        if flaw := next(patch._flaws(), None):
            raise MalformedRow(f"{where}: {flaw}")
        return patch

    # --- bytes -----------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """The patch in few bytes, to send to a peer: `from_bytes(p.to_bytes()) == p`. FORMAT.md says how."""
        time, session = self._id
        flags = _WALL * (self._wall != time) | _MESSAGE * (self._message is not None)
        flags |= _PARENTS * (len(self._parents) != 1 or self._parents[0][1] != session)
        out = bytearray([_FORMAT | flags])
        out += time.to_bytes(7, "big")
        _put_session(out, session)
        if flags & _PARENTS:
            _put(out, len(self._parents))
        for parent in self._parents:
            _put(out, time - parent[0])
            if flags & _PARENTS:
                if parent[1] == session:
                    out.append(_SAME)
                else:
                    _put_session(out, parent[1])
        _put_text(out, self._author)
        if flags & _WALL:
            _put(out, self._wall)
        if self._message is not None:
            _put_text(out, self._message)
        for op in self._ops:
            if isinstance(op, str):
                text = op.encode()
                _put(out, len(text) << 2 | 1)
                out += text
            else:
                _put(out, op << 2 if op > 0 else -op << 2 | 2)
        return bytes(out)

    @classmethod
    def from_bytes(cls, data: bytes) -> Patch:
        """`to_bytes` back. `MalformedRow` for what isn't exactly what `to_bytes` gives for some patch;
        `UnsupportedVersion` for another format's."""
        reader = _Reader(bytes(data))
        first = reader.byte("the format")
        if first & ~0xF != _FORMAT or first & ~(_FORMAT | _WALL | _MESSAGE | _PARENTS):
            raise UnsupportedVersion(f"patch bytes begin with {first:#04x}; this library reads 0x50 to 0x57")
        time = int.from_bytes(reader.take(7, "the time"), "big")
        session = reader.session(None)
        count = reader.number("the number of parents") if first & _PARENTS else 1
        if count > MAX_PARENTS:
            raise MalformedRow(f"patch bytes: {count:,} parents; at most {MAX_PARENTS:,} are allowed")
        parents = []
        for _ in range(count):
            older = time - reader.number("a parent's time")
            parents.append(Id(older, reader.session(session) if first & _PARENTS else session))
        author = reader.text("the author", reader.number("the author's length"))
        wall = reader.number("wall") if first & _WALL else time
        message = reader.text("the message", reader.number("its length")) if first & _MESSAGE else None
        ops: list[int | str] = []
        while reader.at < len(reader.data):
            number = reader.number("an operation")
            if number & 3 == 1:
                ops.append(reader.text("an insertion", number >> 2))
            elif number & 3 == 3:
                raise UnsupportedVersion("patch bytes: an operation of kind 3; upgrade syncstring")
            else:
                ops.append(-(number >> 2) if number & 2 else number >> 2)
            if len(ops) > MAX_OPERATIONS:
                raise MalformedRow(f"patch bytes: more than {MAX_OPERATIONS:,} operations")
        try:
            # The row's rules for deltas hold here, too; and only what we would write ourselves is taken.
            if decode_delta(encode_delta(tuple(ops))) != tuple(ops):
                raise MalformedRow("the delta is not in canonical form")
            patch = cls.of_ops((time, session), parents, tuple(ops), author, wall, message)
            if patch.to_bytes() != reader.data:
                raise MalformedRow("they are not in canonical form")
        except SyncstringError as error:
            raise MalformedRow(f"patch bytes: {error}") from None
        return patch

    def digest(self) -> bytes:
        """SHA-256 of its canonical row with an empty `doc`: of two patches under one id, where no store
        has decided, the one with the smaller digest counts."""
        row = self.to_row(_NO_DOC)
        row["id"][0] = ""
        return sha256(canonical_bytes(row)).digest()


# --- rows -----------------------------------------------------------------------------------------------------


def canonical_bytes(row: Mapping[str, Any]) -> bytes:
    """The one way to write a row: JSON in UTF-8, keys sorted, no spaces, nothing escaped that needn't be."""
    return json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def id_of_row(row: Mapping[str, Any]) -> Id:
    """The id of a row whose rest may be beyond us. `MalformedRow` if even that can't be read."""
    doc_of_row(row)
    return Id(*row["id"][1:])


def doc_of_row(row: Mapping[str, Any]) -> str:
    """The key of the document that a row belongs to. `MalformedRow` if its id isn't [doc, time, session]."""
    id = row.get("id") if isinstance(row, Mapping) else None
    if not isinstance(id, (list, tuple)) or len(id) != 3:
        raise MalformedRow(f"row {id!r:.120}: an id is [doc, time, session]")
    if not isinstance(id[0], str) or not _DOC.fullmatch(id[0]):
        raise MalformedRow(f"row {id!r:.120}: its doc has 40 digits of 0-9a-f")
    if flaw := next(_id_flaws("its", id[1:]), None):
        raise MalformedRow(f"row {id!r:.120}: {flaw}")
    return id[0]


def _id_flaws(whose: str, id: Sequence[Any]) -> Iterator[str]:
    time, session = id
    if type(time) is not int or not 1 <= time <= MAX_TIME:
        yield f"{whose} time is {time!r:.40}; it is a whole number of microseconds in 1 .. 2^53 - 1"
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        yield f"{whose} session is {session!r:.60}; it has 1 to 48 of 0-9A-Za-z_-"


def _text_flaws(name: str, text: Any, most: int) -> Iterator[str]:
    if not isinstance(text, str):
        yield f"{name} is {text!r:.40}; it is a string"
    elif found := _LONE.search(text):
        yield f"{name} holds the lone surrogate U+{ord(found[0]):04X} at {found.start()}"
    elif len(text) > most or len(text.encode()) > most:
        yield f"{name} has {len(text.encode()):,} bytes of UTF-8; at most {most:,} are allowed"


def _parse_parents(written: str) -> tuple[Id, ...]:
    if not written:
        return ()
    if written.count("\t") >= MAX_PARENTS:
        raise MalformedRow(
            f"parents: {written.count(chr(9)) + 1:,} of them; at most {MAX_PARENTS:,} are allowed"
        )
    parents: list[Id] = []
    for token in written.split("\t"):
        found = _PARENT.fullmatch(token)
        if found is None:
            raise MalformedRow(f"parents: {token!r:.80} is not time:session, as in 1432111222333444:k3x9")
        parent = Id(int(found[1]), found[2])
        if parents and parent <= parents[-1]:
            raise MalformedRow(f"parents: {token!r:.80} stands after one that isn't less; they ascend by id")
        parents.append(parent)
    return tuple(parents)


# --- bytes ----------------------------------------------------------------------------------------------------

_FORMAT = 0x50
_WALL, _MESSAGE, _PARENTS = 1, 2, 4
_SAME = 0xFF  # in place of a session: the patch's own
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_PACKED = re.compile(r"[0-9a-z]{12}")


def _put(out: bytearray, number: int) -> None:
    """LEB128: seven bits a byte, low ones first, the top bit says that more follow."""
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _put_text(out: bytearray, text: str) -> None:
    data = text.encode()
    _put(out, len(data))
    out += data


def _put_session(out: bytearray, session: str) -> None:
    """Twelve digits in base 36 as 63 bits; others as 0x80 | length (up to 48) and their letters."""
    if _PACKED.fullmatch(session):
        out += int(session, 36).to_bytes(8, "big")
    else:
        out.append(0x80 | len(session))
        out += session.encode()


class _Reader:
    """Bytes from the left; whatever isn't there is a `MalformedRow`."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def lacks(self, what: str) -> NoReturn:
        raise MalformedRow(f"patch bytes end at {len(self.data)} inside {what}; were they cut off?")

    def take(self, count: int, what: str) -> bytes:
        if count > len(self.data) - self.at:
            self.lacks(what)
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self, what: str) -> int:
        return self.take(1, what)[0]

    def number(self, what: str) -> int:
        result = shift = 0
        while True:
            byte = self.byte(what)
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 56:
                raise MalformedRow(f"patch bytes: {what} is above 2^56 at {self.at}")
        if result > MAX_COUNT << 2 | 3:
            raise MalformedRow(f"patch bytes: {what} is {result} at {self.at}; that is too great")
        return result

    def text(self, what: str, count: int) -> str:
        try:
            return self.take(count, what).decode()
        except UnicodeDecodeError:
            raise MalformedRow(f"patch bytes: {what} before {self.at} is not UTF-8") from None

    def session(self, own: str | None) -> str:
        first = self.byte("a session")
        if own is not None and first == _SAME:
            return own
        if first & 0x80:
            return self.text("a session", first & 0x7F)
        self.at -= 1
        number = int.from_bytes(self.take(8, "a session"), "big")
        digits = []
        for _ in range(12):
            number, digit = divmod(number, 36)
            digits.append(_BASE36[digit])
        if number:
            raise MalformedRow("patch bytes: a session above 36^12")
        return "".join(reversed(digits))


# --- deltas that are too long for one row ---------------------------------------------------------------------

_DELTA_ROOM = MAX_ROW - (100 << 10)  # beside 1,024 parents, a message and an author at their longest
_PIECE = 1 << 15


def chained(ops: Ops) -> list[Ops]:
    """The deltas, one on the other, that together do what `ops` does; each fits a row. Often just itself.

    `ops_apply` one after the other gives the same text, and no character stands elsewhere. O(len(ops)).
    """
    text = sum(len(op) for op in ops if isinstance(op, str))
    if len(ops) <= MAX_OPERATIONS and 6 * text + 19 * len(ops) <= _DELTA_ROOM:
        return [ops]
    chain: list[Ops] = []
    done = 0  # code points of the text left by the deltas so far that stand before what follows
    link: list[int | str] = []
    made = room = 0

    def close() -> None:
        nonlocal link, done, made, room
        while link and isinstance(link[-1], int) and link[-1] > 0:
            link.pop()
        if link:
            chain.append(tuple(link))
        done += made
        link = [done] if done else []
        made = room = 0

    for op in ops:
        for part in _parts(op):
            weight = 19 + (_weight(part) if isinstance(part, str) else 0)
            if room + weight > _DELTA_ROOM or len(link) >= MAX_OPERATIONS - 1:
                close()
            room += weight
            made += len(part) if isinstance(part, str) else max(part, 0)
            last = link[-1] if link else None
            if isinstance(part, str) and isinstance(last, str):
                link[-1] = last + part
            elif isinstance(part, int) and isinstance(last, int) and (part > 0) == (last > 0):
                link[-1] = last + part
            else:
                link.append(part)
    close()
    return chain


def _parts(op: int | str) -> Iterator[int | str]:
    if isinstance(op, int):
        yield op
    else:
        for start in range(0, len(op), _PIECE):
            yield op[start : start + _PIECE]


def _weight(text: str) -> int:
    return len(json.dumps(encode_delta((text,)), ensure_ascii=False).encode()) - 2
