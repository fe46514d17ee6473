"""How a document lies in a store: its name, its manifest, its pack rows; as values, and as rows.

The law of this room. A document's *manifest* is one row, changed only by compare and set, each time under a
greater counter. It lists the packs in order, each with what all up to it contain, and the newest
checkpoint. A pack, or a checkpoint, is a few rows under a name that was drawn at random and is never used
again. What a manifest doesn't list is not there, whatever rows there may be.

It does no I/O: `archive.py` reads and writes these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

from syncstring.errors import CorruptStore, PatchError, UnsupportedVersion
from syncstring.pack import decode, decode_graph, decode_text, encode, encode_text
from syncstring.patch import Id, Patch
from syncstring.store import Row, same

__all__ = [
    "Checkpoint",
    "Manifest",
    "Pack",
    "Section",
    "doc_of_name",
    "hash_of_name",
    "name_of_row",
    "name_row",
    "read_heads",
    "rows_of_checkpoint",
    "rows_of_pack",
    "shown",
]

MAX_NAME: Final = 4_096
_FIELDS = {"v", "id", "counter", "deleted", "packs", "checkpoint"}
_DOC = re.compile(r"[0-9a-f]{40}")
_HEAD = re.compile(r"([1-9][0-9]{0,15}):([0-9A-Za-z_-]{1,48})")
PART: Final = 1_000_000  # bytes of data a row: with the rest of it below 1 MiB


def hash_of_name(name: str) -> str:
    """What a document's name is filed under: 40 hex digits. `PatchError` for what can't be a name."""
    try:
        data = name.encode()
    except UnicodeEncodeError:
        raise PatchError(f"{name!r:.60} holds a lone surrogate; a document's name is text") from None
    if not 1 <= len(data) <= MAX_NAME or "\0" in name:
        raise PatchError(
            f"{name!r:.60} has {len(data):,} bytes of UTF-8; a name has 1 to {MAX_NAME:,}, none U+0000"
        )
    return sha256(data).hexdigest()[:40]


doc_of_name = hash_of_name  # the key that a document gets where nobody had it before


def name_row(name: str, doc: str) -> Row:
    """The row that says which document a name means."""
    return {"v": 1, "id": [hash_of_name(name)], "name": name, "doc": doc}


def name_of_row(row: Row) -> tuple[str, str]:
    """A name and the key of the document that it means. `CorruptStore` for what isn't one, or stands under
    another's key; `UnsupportedVersion` for a later format's."""
    if "unreadable" not in row and row.get("v") != 1:
        wrong = f"name {shown(row.get('id'), 60)}: format {shown(row.get('v'), 20)}"
        raise UnsupportedVersion(f"{wrong}; upgrade")
    try:
        name, doc = row["name"], row["doc"]
        if not _DOC.fullmatch(doc):
            raise ValueError(f"{doc!r:.60} where a document's key is expected")
        if not same(name_row(name, doc), row):
            raise ValueError("it isn't in canonical form, or belongs under another key")
        return name, doc
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        why = row.get("unreadable") or (f"no field {error}" if isinstance(error, KeyError) else error)
        raise CorruptStore(
            f"name {shown(row.get('id'), 60)} can't be read: {why}; fsck finds the document that lost it"
        ) from None


@dataclass(frozen=True)
class Section:
    """A run of bytes in rows `[doc, name + suffix + number]`."""

    name: str
    parts: int
    size: int
    digest: str

    @classmethod
    def of(cls, name: str, data: bytes) -> Section:
        return cls(name, max(1, -(-len(data) // PART)), len(data), sha256(data).hexdigest()[:32])

    def keys(self, doc: str) -> list[tuple[str, str]]:
        """The keys of its rows, in order."""
        return [(doc, f"{self.name}.{part}") for part in range(self.parts)]

    def rows(self, doc: str, data: bytes) -> list[Row]:
        """Its rows, in order."""
        return [
            {"v": 1, "id": list(key), "data": data[part * PART : (part + 1) * PART]}
            for part, key in enumerate(self.keys(doc))
        ]

    def joined(self, rows: Sequence[Row]) -> bytes:
        """What its rows hold. `CorruptStore` if it isn't what was written."""
        try:
            data = b"".join(row["data"] for row in rows)
        except (KeyError, TypeError):
            raise CorruptStore(f"pack row {self.name}: no bytes in it; fsck tells what is left") from None
        if len(data) != self.size or sha256(data).hexdigest()[:32] != self.digest:
            raise CorruptStore(
                f"section {self.name}: its {len(data):,} bytes are not the {self.size:,} that were written; "
                "fsck says what can still be read"
            )
        return data

    def to_json(self) -> list[Any]:
        return [self.name, self.parts, self.size, self.digest]

    @classmethod
    def from_json(cls, value: Any) -> Section:
        name, parts, size, digest = value
        if not (
            isinstance(name, str)
            and isinstance(digest, str)
            and type(parts) is int
            and type(size) is int
            and 1 <= parts <= 1_000
            and 0 <= size <= parts * PART
        ):
            raise ValueError(f"a section {value!r:.80}")
        return cls(name, parts, size, digest)


@dataclass(frozen=True)
class Pack:
    """An increment of history: with all packs before it, it is causally closed.

    Its patches stand in the order in which they were packed, so that a pack that was merged from others still
    tells which of them were there when the packs had so and so many.
    """

    count: int
    """Patches in it."""
    total: int
    """Patches in it and all before it."""
    heads: tuple[Id, ...]
    """Of all those."""
    first: int
    """The least time in it."""
    last: int
    """The greatest."""
    graph: Section
    body: Section

    @property
    def name(self) -> str:
        return self.graph.name.rpartition("-")[0]

    def sections(self) -> tuple[Section, ...]:
        return self.graph, self.body

    def patches(self, graph: bytes, body: bytes) -> list[Patch]:
        """What it holds. `CorruptStore` if that isn't what the manifest says."""
        patches = decode(graph, body)
        if len(patches) != self.count:
            raise CorruptStore(f"pack {self.name} has {len(patches)} patches, the manifest says {self.count}")
        return patches

    def ids(self, graph: bytes) -> list[tuple[Id, tuple[Id, ...]]]:
        """The ids and parents of what it holds."""
        named = decode_graph(graph)
        if len(named) != self.count:
            raise CorruptStore(f"pack {self.name} has {len(named)} patches, the manifest says {self.count}")
        return named

    def to_json(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "total": self.total,
            "heads": _written(self.heads),
            "first": self.first,
            "last": self.last,
            "graph": self.graph.to_json(),
            "body": self.body.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Pack:
        return cls(
            _natural(value["count"]),
            _natural(value["total"]),
            read_heads(value["heads"]),
            _natural(value["first"]),
            _natural(value["last"]),
            Section.from_json(value["graph"]),
            Section.from_json(value["body"]),
        )


@dataclass(frozen=True)
class Checkpoint:
    """The text at the version with these heads, which contains `count` patches."""

    heads: tuple[Id, ...]
    count: int
    length: int
    text: Section

    @property
    def name(self) -> str:
        return self.text.name.rpartition("-")[0]

    def read(self, data: bytes) -> str:
        text = decode_text(data)
        if len(text) != self.length:
            raise CorruptStore(f"checkpoint {self.name} has {len(text)} code points, not {self.length}")
        return text

    def to_json(self) -> dict[str, Any]:
        return {
            "heads": _written(self.heads),
            "count": self.count,
            "length": self.length,
            "text": self.text.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Checkpoint:
        return cls(
            read_heads(value["heads"]),
            _natural(value["count"]),
            _natural(value["length"]),
            Section.from_json(value["text"]),
        )


@dataclass(frozen=True)
class Manifest:
    """What a document consists of, beside its rows in `patches`."""

    doc: str
    counter: int = 0
    deleted: bool = False
    packs: tuple[Pack, ...] = ()
    checkpoint: Checkpoint | None = None

    @property
    def total(self) -> int:
        """Patches in all packs."""
        return self.packs[-1].total if self.packs else 0

    @property
    def heads(self) -> tuple[Id, ...]:
        """Of all packs together."""
        return self.packs[-1].heads if self.packs else ()

    def sections(self) -> Iterator[Section]:
        for pack in self.packs:
            yield from pack.sections()
        if self.checkpoint is not None:
            yield self.checkpoint.text

    def keys(self) -> set[tuple[str, str]]:
        """The keys of every row it lists."""
        return {key for section in self.sections() for key in section.keys(self.doc)}

    def next(self, **changes: Any) -> Manifest:
        """What takes its place: changed so, under the next counter."""
        return replace(self, counter=self.counter + 1, **changes)

    def to_row(self) -> Row:
        return {
            "v": 1,
            "id": [self.doc],
            "counter": self.counter,
            "deleted": self.deleted,
            "packs": [pack.to_json() for pack in self.packs],
            "checkpoint": self.checkpoint.to_json() if self.checkpoint else None,
        }

    @classmethod
    def from_row(cls, row: Row) -> Manifest:
        """`from_row(m.to_row()) == m`. `CorruptStore` for what no manifest is, so that what is read is what
        stands there; `UnsupportedVersion` for a later format's."""
        try:
            if "unreadable" in row:
                raise ValueError(row["unreadable"])
            if row.get("v") != 1:
                raise UnsupportedVersion(
                    f"manifest {shown(row.get('id'), 60)}: format {shown(row.get('v'), 20)}; upgrade"
                )
            if unknown := row.keys() - _FIELDS:
                raise UnsupportedVersion(
                    f"manifest {shown(row.get('id'), 60)}: unknown field {min(unknown)!r:.40}; upgrade"
                )
            packs = tuple(Pack.from_json(pack) for pack in row["packs"])
            total = 0
            for pack in packs:
                total += pack.count
                if pack.total != total:
                    raise ValueError(f"pack {pack.name} ends at {pack.total}, not {total}")
            checkpoint = row["checkpoint"]
            manifest = cls(
                str(row["id"][0]),
                _natural(row["counter"]),
                bool(row["deleted"]),
                packs,
                None if checkpoint is None else Checkpoint.from_json(checkpoint),
            )
            if not same(manifest.to_row(), row):
                raise ValueError("it isn't in canonical form")
            return manifest
        except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
            raise CorruptStore(f"manifest {shown(row.get('id'), 60)} can't be read: {error}") from None


def rows_of_pack(
    doc: str, name: str, patches: Iterable[Patch], before: Pack | None, heads: tuple[Id, ...]
) -> tuple[Pack, list[Row]]:
    """A pack under a fresh name, and its rows; `before` is the one that it follows."""
    ordered = list(patches)
    graph, body = encode(ordered)
    pack = Pack(
        len(ordered),
        len(ordered) + (before.total if before else 0),
        heads,
        min(patch.time for patch in ordered),
        max(patch.time for patch in ordered),
        Section.of(f"{name}-graph", graph),
        Section.of(f"{name}-body", body),
    )
    return pack, [*pack.graph.rows(doc, graph), *pack.body.rows(doc, body)]


def rows_of_checkpoint(
    doc: str, name: str, heads: tuple[Id, ...], count: int, text: str
) -> tuple[Checkpoint, list[Row]]:
    """A checkpoint under a fresh name, and its rows."""
    data = encode_text(text)
    checkpoint = Checkpoint(heads, count, len(text), Section.of(f"{name}-text", data))
    return checkpoint, checkpoint.text.rows(doc, data)


def _written(heads: Iterable[Id]) -> list[str]:
    return [f"{time}:{session}" for time, session in heads]


def read_heads(written: Iterable[str]) -> tuple[Id, ...]:
    """Ids as rows have them, `time:session`. `ValueError` or `TypeError` for what isn't that."""
    heads = []
    for one in written:
        found = _HEAD.fullmatch(one)
        if found is None:
            raise ValueError(f"{one!r:.60} where time:session is expected")
        heads.append(Id(int(found[1]), found[2]))
    return tuple(heads)


def shown(value: Any, most: int) -> str:
    """What stands in a row, for an error's text. What is too deep, or has too many digits, has no repr."""
    try:
        return f"{value!r:.{most}}"
    except (ValueError, RecursionError):
        return f"something of type {type(value).__name__}"


def _natural(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r:.40} where a count is expected")
    return value
