"""Many patches in few bytes, and back.

The law of this room. `decode(*encode(patches)) == patches`, for any list of well-formed patches of which
none stands before a parent. A pack has two sections: the *graph* (ids and parents), from which alone what is
known and what is critical follows, and the *body* (everything else), which time travel reads. Both are
columns: what is alike stands together, as runs and differences, and is then compressed by the standard
library. Nothing that is read is believed: lengths are bounded before memory is taken, and every patch passes
the rules again.

It doesn't know stores or manifests. FORMAT.md has the columns.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby, pairwise
from typing import Any, Final

from syncstring._columns import read_columns
from syncstring._graph import EventGraph
from syncstring._patch import MAX_COUNT
from syncstring._runs import read_numbers, read_text
from syncstring._text import TextBuffer
from syncstring.errors import CorruptStore, PatchError, SyncstringError, UnsupportedVersion
from syncstring.patch import Id, Patch

__all__ = [
    "LEAST_ROOM", "MAX_PATCHES", "MAX_SECTION", "MAX_TEXT", "PACK_SIZE", "alike", "append", "decode",
    "decode_graph", "decode_text", "encode", "encode_text", "pieces", "room",
]  # fmt: skip

MAX_SECTION: Final = 256 << 20
"""Bytes of a section before compression."""
MAX_TEXT: Final = MAX_SECTION // 4 - 16
"""Code points of a text that surely fits a section."""
MAX_PATCHES: Final = 1 << 20
"""Patches in a pack: as runs they take no bytes, so this alone bounds what a few bytes turn into."""
_MAX_COLUMN: Final = 1 << 22  # numbers in a column, for the same reason
LEAST_ROOM: Final = 16
PACK_SIZE: Final = LEAST_ROOM * MAX_PATCHES
"""`room` in a pack: what is compressed, and read, at once. No pack that has no more passes a limit above."""

_PLAIN, _DEFLATE, _LZMA = 0, 1, 2
_FORMAT: Final = 1
_FILTERS: Final = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 3, "pb": 0, "dict_size": 1 << 22}]
_RUN: Final = 32  # equal numbers in a row that are a run: fewer are left to the compressor
_LONG: Final = 1_024  # bytes that are worth a try
_CODECS = (zlib.error, lzma.LZMAError)


def encode(patches: Iterable[Patch]) -> tuple[bytes, bytes]:
    """Patches, parents first, as (graph, body). The same list gives the same bytes; fewest in time order.
    `PatchError` for what passes a limit: `pieces` don't. O(n)."""
    ordered = list(patches)
    if len(ordered) > MAX_PATCHES:
        raise PatchError(f"{len(ordered):,} patches; a pack has at most {MAX_PATCHES:,}: make several")
    place = {patch.id: i for i, patch in enumerate(ordered)}
    graph, body = _Writer(), _Writer()

    graph.number(len(ordered))
    sessions = graph.table(patch.session for patch in ordered)
    graph.column(sessions[patch.session] for patch in ordered)
    times = [divmod(patch.time, 1_000) for patch in ordered]
    # Times are whole milliseconds, or one more than another time.
    graph.column(b[0] - a[0] for a, b in pairwise([(0, -1), *times]))
    graph.column(b[1] - (a[1] + 1) * (a[0] == b[0]) for a, b in pairwise([(0, -1), *times]))
    graph.column(len(patch.parents) for patch in ordered)
    outside = sorted({parent for patch in ordered for parent in patch.parents if parent not in place})
    graph.number(len(outside))
    outer = {id: i for i, id in enumerate(outside)}
    graph.numbers(time for time, _ in outside)
    graph.texts(session for _, session in outside)
    # A parent in the pack by its distance, one outside as 0 and its number.
    graph.counted(
        i - place[parent] if parent in place else 0
        for i, patch in enumerate(ordered)
        for parent in reversed(patch.parents)
    )
    graph.numbers(outer[parent] for patch in ordered for parent in reversed(patch.parents) if parent in outer)

    authors = body.table(patch.author for patch in ordered)
    columns = _Columns()
    for patch in ordered:
        columns.put(patch, authors[patch.author])
    body.column(columns.authors)
    body.column(columns.walls)
    said = [(i, patch.message) for i, patch in enumerate(ordered) if patch.message is not None]
    body.number(len(said))
    body.numbers(b - a for a, b in pairwise([0, *(i for i, _ in said)]))
    body.texts(message for _, message in said if message is not None)
    kinds = body.table(columns.shapes)
    body.column(kinds[shape] for shape in columns.shapes)
    body.counted(columns.firsts)
    body.counted(columns.counts)
    body.text("".join(columns.texts))
    return graph.packed(), body.packed()


class _Columns:
    """What the body says of each patch, as seen from the patch before it of the same session."""

    def __init__(self) -> None:
        self.authors: list[int] = []
        self.walls: list[int] = []
        self.shapes: list[str] = []
        self.firsts: list[int] = []
        self.counts: list[int] = []
        self.texts: list[str] = []
        self._last: dict[str, tuple[int, int, int]] = {}

    def put(self, patch: Patch, author: int) -> None:
        by, drift, end = self._last.get(patch.session, (-1, 0, 0))
        ahead = patch.wall - patch.time + patch.time % 1_000
        self.authors.append(0 if author == by else author + 1)
        self.walls.append(ahead - drift)
        at = 0
        kinds = ""
        for op in patch.ops:
            if isinstance(op, str):
                kinds += "+"
                self.counts.append(len(op))
                self.texts.append(op)
                at += len(op)
            elif op < 0:
                kinds += "-"
                self.counts.append(-op)
            else:
                if kinds:
                    self.counts.append(op)
                else:
                    self.firsts.append(op - end)
                kinds += "="
                at += op
        self.shapes.append(kinds)
        self._last[patch.session] = author, ahead, min(at, MAX_COUNT) if kinds else end


def room(patch: Patch) -> int:
    """How much room a patch takes in a pack: 16, 16 a parent, 4 an operation, and the code points of its
    texts. Its bytes before compression are at most eight times as many."""
    text = sum(len(op) for op in patch.ops if isinstance(op, str))
    said = len(patch.author) + len(patch.message or "")
    return LEAST_ROOM + 16 * len(patch.parents) + 4 * len(patch.ops) + text + said


def pieces(patches: Iterable[Patch], size: int = PACK_SIZE) -> Iterator[list[Patch]]:
    """The same patches in runs, each of which a pack has room for."""
    piece: list[Patch] = []
    left = size
    for patch in patches:
        taken = room(patch)
        if piece and taken > left:
            yield piece
            piece, left = [], size
        piece.append(patch)
        left -= taken
    if piece:
        yield piece


def alike(some: Sequence[Patch], others: Sequence[Patch], step: int = 1_000) -> bool:
    """Whether these are the same patches: so many at a time, for a comparison of lists lets no other thread
    run until its end (96 ms of 60,000)."""
    return len(some) == len(others) and all(
        some[start : start + step] == others[start : start + step] for start in range(0, len(some), step)
    )


def append(graph: EventGraph, known: bytes, rest: bytes, text: TextBuffer | None = None) -> range:
    """Append a pack's patches to a graph, from its two sections; their events are returned.

    The packs before it are in the graph. `CorruptStore` and `UnsupportedVersion` as `decode_graph` raises
    them; `LookupError` where a parent isn't in the graph, or a patch is already: then one pack is missing or
    two overlap. Whatever is raised, the graph is as it was. No object is made for a patch. O(n).

    With an empty `text`, a pack that is one chain and begins the history may be left as it lies, its first
    events folded: then that is the text after it.
    """
    with _Blame("graph", known):
        raw = _unpacked(known)
    with _Blame("body", rest):
        return _events(graph, raw, _unpacked(rest), text=text)


def _events(
    graph: EventGraph, known: bytes, rest: bytes | None, stubs: bool = False, text: TextBuffer | None = None
) -> range:
    """Append all that is said of a pack's patches, or who they are alone; before them, as `stubs`, parents
    outside."""
    try:
        first = read_columns(graph, known, rest, stubs=stubs, vet=partial(_vet, graph), text=text)
    except LookupError:
        if not stubs:
            raise
        raise ValueError("a parent outside is in it") from None
    return range(first, len(graph))


def _vet(graph: EventGraph, event: int) -> None:
    """`PatchError` if a patch's row is too long."""
    patch = Patch.of_event(graph, event)
    Patch.of_ops(patch.id, patch.parents, patch.ops, patch.author, patch.wall, patch.message)


def decode_graph(known: bytes) -> list[tuple[Id, tuple[Id, ...]]]:
    """The ids and parents in a graph section, in order. `CorruptStore` says what is wrong with it,
    `UnsupportedVersion` that a later format wrote it."""
    graph = EventGraph()
    with _Blame("graph", known):
        events = _events(graph, _unpacked(known), None, stubs=True)
    patches = (Patch.of_event(graph, event) for event in events)
    return [(patch.id, patch.parents) for patch in patches]


def decode(known: bytes, rest: bytes) -> list[Patch]:
    """The patches of a pack, in order, as views of a graph that they share. Raises as `decode_graph` does."""
    graph = EventGraph()
    with _Blame("graph", known):
        raw = _unpacked(known)
    with _Blame("body", rest):
        events = _events(graph, raw, _unpacked(rest), stubs=True)
    return [Patch.of_event(graph, event) for event in events]


def encode_text(text: str) -> bytes:
    """A text in few bytes."""
    writer = _Writer()
    writer.text(text)
    return writer.packed()


def decode_text(data: bytes) -> str:
    """`encode_text` back. Raises as `decode_graph` does."""
    with _Blame("text", data):
        return read_text(_unpacked(data))


# --- columns ----------------------------------------------------------------------------------------------


class _Writer:
    def __init__(self) -> None:
        self.out = bytearray()
        self.cuts: list[int] = []
        """Where something of another kind begins."""

    def number(self, number: int) -> None:
        """LEB128 of a zigzag: small numbers of either sign are short."""
        self._put(_zigzag(number))

    def _put(self, number: int) -> None:
        while number > 0x7F:
            self.out.append(number & 0x7F | 0x80)
            number >>= 7
        self.out.append(number)

    def numbers(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.number(number)

    def column(self, numbers: Iterable[int]) -> None:
        """The lengths of runs, -k for k that differ; then the values in planes: the first byte of each, then
        the second byte of each that has one, and so on."""
        runs: list[int] = []
        values: list[int] = []
        total = 0
        for number, same in groupby(numbers):
            times = len(list(same))
            total += times
            if times >= _RUN:
                runs.append(times)
                values.append(_zigzag(number))
            else:
                if not runs or runs[-1] > 0:
                    runs.append(0)
                runs[-1] -= times
                values += [_zigzag(number)] * times
        if total > _MAX_COLUMN:
            raise PatchError(f"a column of {total:,}; a pack's have at most {_MAX_COLUMN:,}: make several")
        if 1 < len(values) == total and values.count(values[0]) == total:
            runs, values = [total], values[:1]
        self.cuts.append(len(self.out))
        self.numbers(runs)
        while values:
            self.cuts.append(len(self.out))
            self.out += bytes([value & 0x7F | (value > 0x7F) << 7 for value in values])
            values = [value >> 7 for value in values if value > 0x7F]
        self.cuts.append(len(self.out))

    def counted(self, numbers: Iterable[int]) -> None:
        """A column whose length nothing else tells."""
        known = list(numbers)
        self.number(len(known))
        self.column(known)

    def text(self, text: str) -> None:
        data = text.encode()
        self.number(len(data))
        self.out += data

    def texts(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.text(text)

    def table(self, texts: Iterable[str]) -> dict[str, int]:
        """The different texts, in the order of their first occurrence; their numbers are returned."""
        index: dict[str, int] = {}
        for text in texts:
            index.setdefault(text, len(index))
        self.number(len(index))
        self.texts(index)
        return index

    def packed(self) -> bytes:
        raw = bytes(self.out)
        if len(raw) > MAX_SECTION:
            raise PatchError(f"a section of {len(raw):,} bytes; at most {MAX_SECTION:,} are allowed")
        method, data = _PLAIN, raw
        if len(deflated := _deflated(raw, self.cuts)) < len(data):
            method, data = _DEFLATE, deflated
        if len(raw) < 32 << 20:
            squeezed = lzma.compress(raw, lzma.FORMAT_RAW, filters=_FILTERS)
            if 4 * len(squeezed) < 3 * len(data):
                method, data = _LZMA, squeezed
        head = _Writer()
        head.number(_FORMAT)
        head.number(method)
        head.number(len(raw))
        head.number(zlib.crc32(raw))
        return bytes(head.out) + data


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _deflated(raw: bytes, cuts: Sequence[int]) -> bytes:
    """One stream of raw deflate, with a new code at each cut. A long part in which repeats aren't worth it,
    such as the bytes of times, is coded letter by letter: that took 5% off the times of people who type."""
    out = bytearray()
    current = zlib.Z_DEFAULT_STRATEGY
    packer = _packer(current)
    for start, stop in pairwise([0, *cuts, len(raw)]):
        part = raw[start:stop]
        best = current
        if len(part) >= _LONG:
            letters, repeats = (_size(part, how) for how in (zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY))
            best = zlib.Z_HUFFMAN_ONLY if letters < repeats else zlib.Z_DEFAULT_STRATEGY
        if best != current:
            out += packer.flush(zlib.Z_SYNC_FLUSH)
            current, packer = best, _packer(best)
        out += packer.compress(part) + packer.flush(zlib.Z_BLOCK)
    out += packer.flush()
    return bytes(out)


def _packer(how: int) -> Any:
    return zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, how)


def _size(part: bytes, how: int) -> int:
    packer = _packer(how)
    return len(packer.compress(part)) + len(packer.flush())


def _unpacked(data: bytes) -> bytes:
    """What `_Writer.packed` packed. `ValueError` for whatever isn't that."""
    (version, method, size, check), start = read_numbers(data, 4)
    if version != _FORMAT:
        raise UnsupportedVersion(f"a section of format {version}, not {_FORMAT}; upgrade syncstring")
    if not 0 <= size <= MAX_SECTION:
        raise ValueError(f"it would have {size:,} bytes; at most {MAX_SECTION:,} are allowed")
    rest = data[start:]
    reader: Any = None
    if method == _PLAIN:
        raw = rest
    elif method == _DEFLATE:
        reader = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            raw = reader.decompress(rest, size + 1)
        except zlib.error as error:
            if str(error).startswith("Error -4 "):  # so `zlib` says that memory ran out
                raise MemoryError from None
            raise
    elif method == _LZMA:
        try:
            reader = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS)
        except ValueError:  # nothing is wrong with the filters: so `lzma` says that memory ran out
            raise MemoryError from None
        raw = reader.decompress(rest, size + 1)
    else:
        raise UnsupportedVersion(f"a section compressed by method {method}; upgrade syncstring")
    if len(raw) != size or zlib.crc32(raw) != check:
        raise ValueError("its checksum is wrong")
    if reader and (reader.unused_data or not reader.eof):
        raise ValueError("its compressed data ends elsewhere")
    return raw


class _Blame:
    """What goes wrong in reading a section is its fault, unless memory ran out or something isn't here."""

    def __init__(self, what: str, data: bytes) -> None:
        self.what, self.size = what, len(data)

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UnsupportedVersion):
            return
        if isinstance(error, (ValueError, EOFError, *_CODECS, SyncstringError)):
            raise CorruptStore(
                f"a pack's {self.what} of {self.size:,} bytes is damaged: {error or 'it ends too early'}; "
                "fsck says what can still be read"
            ) from None
