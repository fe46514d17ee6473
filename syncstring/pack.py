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
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Final, TypeVar

from syncstring.errors import CorruptStore, PatchError, SyncstringError, UnsupportedVersion
from syncstring.patch import MAX_TIME, Id, Patch, flaw_of_time, is_session

__all__ = [
    "LEAST_ROOM", "MAX_PATCHES", "MAX_SECTION", "MAX_TEXT", "PACK_SIZE", "decode", "decode_graph",
    "decode_text", "encode", "encode_text", "pieces", "room",
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

T = TypeVar("T")

_PLAIN, _ZLIB, _LZMA = 0, 1, 2
_FORMAT: Final = 1
_CODECS = (zlib.error, lzma.LZMAError)


def encode(patches: Iterable[Patch]) -> tuple[bytes, bytes]:
    """Patches, parents first, as (graph, body). The same list gives the same bytes; fewest in time order.
    `PatchError` for what passes a limit: `pieces` don't."""
    ordered = list(patches)
    if len(ordered) > MAX_PATCHES:
        raise PatchError(f"{len(ordered):,} patches; a pack has at most {MAX_PATCHES:,}: make several")
    place = {patch.id: i for i, patch in enumerate(ordered)}
    graph, body = _Writer(), _Writer()

    graph.number(len(ordered))
    sessions = graph.table(patch.session for patch in ordered)
    graph.runs(sessions[patch.session] for patch in ordered)
    times = [0, *(patch.time for patch in ordered)]
    # Times are whole milliseconds, or one more than another time.
    graph.runs(b // 1_000 - a // 1_000 for a, b in pairwise(times))
    graph.runs(time % 1_000 for time in times[1:])
    graph.runs(len(patch.parents) for patch in ordered)
    outside = sorted({parent for patch in ordered for parent in patch.parents if parent not in place})
    graph.number(len(outside))
    outer = {id: i for i, id in enumerate(outside)}
    graph.numbers(time for time, _ in outside)
    graph.texts(session for _, session in outside)
    # A parent in the pack by its distance, one outside as 0 and its number.
    graph.runs(
        i - place[parent] if parent in place else 0
        for i, patch in enumerate(ordered)
        for parent in reversed(patch.parents)
    )
    graph.numbers(outer[parent] for patch in ordered for parent in reversed(patch.parents) if parent in outer)

    authors = body.table(patch.author for patch in ordered)
    body.runs(authors[patch.author] for patch in ordered)
    body.runs(patch.wall - patch.time for patch in ordered)
    said = [(i, patch.message) for i, patch in enumerate(ordered) if patch.message is not None]
    body.number(len(said))
    body.numbers(b - a for a, b in pairwise([0, *(i for i, _ in said)]))
    body.texts(message for _, message in said if message is not None)
    shapes, firsts, counts, texts = _columns(ordered)
    kinds = body.table(shapes)
    body.runs(kinds[shape] for shape in shapes)
    body.runs(firsts)
    body.runs(counts)
    body.text("".join(texts))
    return graph.packed(), body.packed()


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


def _columns(ordered: Sequence[Patch]) -> tuple[list[str], list[int], list[int], list[str]]:
    """Deltas as columns: the kinds of their operations, where each begins as seen from where the last edit
    ended, all other counts, and the inserted texts."""
    shapes, firsts, counts, texts = [], [], [], []
    end = 0
    for patch in ordered:
        kinds = []
        at = 0
        for i, op in enumerate(patch.ops):
            if isinstance(op, str):
                kinds.append("+")
                counts.append(len(op))
                texts.append(op)
                at += len(op)
            elif op > 0:
                kinds.append("=")
                if i:
                    counts.append(op)
                else:
                    firsts.append(op - end)
                at += op
            else:
                kinds.append("-")
                counts.append(-op)
        if kinds:
            end = at
        shapes.append("".join(kinds))
    return shapes, firsts, counts, texts


def decode_graph(graph: bytes) -> list[tuple[Id, tuple[Id, ...]]]:
    """The ids and parents in a graph section, in order. `CorruptStore` says what is wrong with it,
    `UnsupportedVersion` that a later format wrote it."""
    return _guarded("graph", graph, _graph)


def decode(graph: bytes, body: bytes) -> list[Patch]:
    """The patches of a pack, in order. Raises as `decode_graph` does."""
    named = decode_graph(graph)
    return _guarded("body", body, lambda reader: _body(reader, named))


def _graph(reader: _Reader) -> list[tuple[Id, tuple[Id, ...]]]:
    n = reader.count()
    sessions = reader.table()
    lanes = reader.runs(n)
    milliseconds = reader.runs(n)
    rests = reader.runs(n)
    numbers = reader.runs(n)
    outside_count = reader.count()
    outside_times = reader.numbers(outside_count)
    outside_sessions = reader.texts(outside_count)
    outside = [Id(*pair) for pair in zip(outside_times, outside_sessions, strict=True)]
    for session in chain(sessions, outside_sessions):
        if not is_session(session):
            raise ValueError(f"a session {session!r:.60}")
    total = sum(numbers)
    if min(numbers, default=0) < 0:
        raise ValueError("a negative number of parents")
    distances = reader.runs(total)
    others = iter(reader.numbers(distances.count(0)))
    reader.end()  # all columns have the length that they should: from here on memory is taken for patches
    ids: list[Id] = []
    base = 0
    for lane, ms, rest in zip(lanes, milliseconds, rests, strict=True):
        base += ms
        ids.append(Id(base * 1_000 + rest, sessions[_index(lane, sessions)]))
        if not 0 < ids[-1].time <= MAX_TIME:
            raise ValueError(f"a time of {ids[-1].time}")
    del lanes, milliseconds, rests
    known = set(ids)
    if len(known) != n:
        raise ValueError(f"{n - len(known)} of {n} ids stand in it twice")
    if not known.isdisjoint(outside):
        raise ValueError("a parent outside is in it")
    del known
    if min(outside_times, default=1) < 1:
        raise ValueError(f"a time of {min(outside_times)}")
    result = []
    at = 0
    for i, number in enumerate(numbers):
        parents = []
        for distance in distances[at : at + number]:
            if distance == 0:
                parents.append(outside[_index(next(others), outside)])
            elif 0 < distance <= i:
                parents.append(ids[i - distance])
            else:
                raise ValueError(f"patch {i} has a parent {distance} before it")
        at += number
        parents.reverse()
        if number > 1 and any(a >= b for a, b in pairwise(parents)):
            raise ValueError(f"patch {i}: its parents don't ascend")
        if flaw := flaw_of_time(ids[i].time, parents):
            raise ValueError(f"patch {i}: {flaw}")
        result.append((ids[i], tuple(parents)))
    return result


def _body(reader: _Reader, named: list[tuple[Id, tuple[Id, ...]]]) -> list[Patch]:
    n = len(named)
    authors = reader.table()
    by = reader.runs(n)
    walls = reader.runs(n)
    messages: dict[int, str] = {}
    count = reader.numbers(1)[0]
    gaps = reader.numbers(reader.bounded(count))
    at = 0
    for gap, message in zip(gaps, reader.texts(len(gaps)), strict=True):
        at += gap
        if not 0 <= at < n or at in messages:
            raise ValueError(f"a message of patch {at}, which has one or isn't there")
        messages[at] = message
    shapes = reader.table()
    for shape in shapes:
        if shape.strip("+-=") or shape.endswith("=") or any(two in shape for two in ("++", "--", "==")):
            raise ValueError(f"operations {shape!r:.40} in no canonical form")
    kinds = [shapes[_index(kind, shapes)] for kind in reader.runs(n)]
    firsts = iter(reader.runs(sum(shape.startswith("=") for shape in kinds)))
    plain = sum(len(shape) - shape.startswith("=") for shape in kinds)
    counts = iter(reader.runs(plain))
    text = reader.text()
    reader.end()
    patches = []
    read = end = 0
    for i, (id, parents) in enumerate(named):
        ops: list[int | str] = []
        at = 0
        for j, kind in enumerate(kinds[i]):
            count = next(firsts) + end if kind == "=" and j == 0 else next(counts)
            if count <= 0:
                raise ValueError(f"patch {i} has an operation of {count}")
            if kind == "+":
                ops.append(text[read : read + count])
                read += count
                if read > len(text):
                    raise ValueError(f"patch {i} inserts more text than there is")
                at += count
            elif kind == "=":
                ops.append(count)
                at += count
            else:
                ops.append(-count)
        if ops:
            end = at
        author = authors[_index(by[i], authors)]
        patches.append(Patch.of_ops(id, parents, tuple(ops), author, id.time + walls[i], messages.get(i)))
    if read != len(text):
        raise ValueError(f"{len(text) - read} code points belong to no patch")
    return patches


def _index(number: int, of: Sequence[object]) -> int:
    if not 0 <= number < len(of):
        raise ValueError(f"no entry {number} in a table of {len(of)}")
    return number


def encode_text(text: str) -> bytes:
    """A text in few bytes."""
    writer = _Writer()
    writer.text(text)
    return writer.packed()


def decode_text(data: bytes) -> str:
    """`encode_text` back. Raises as `decode_graph` does."""

    def read(reader: _Reader) -> str:
        text = reader.text()
        reader.end()
        return text

    return _guarded("text", data, read)


# --- columns ----------------------------------------------------------------------------------------------


class _Writer:
    def __init__(self) -> None:
        self.out = bytearray()

    def number(self, number: int) -> None:
        """LEB128 of a zigzag: small numbers of either sign are short."""
        number = number << 1 if number >= 0 else (-number << 1) - 1
        while number > 0x7F:
            self.out.append(number & 0x7F | 0x80)
            number >>= 7
        self.out.append(number)

    def numbers(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.number(number)

    def runs(self, numbers: Iterable[int]) -> None:
        """(how often more, number) pairs where numbers repeat, else -how many and the numbers themselves."""
        loose: list[int] = []
        total = 0
        for number, times in _repeats(numbers):
            total += times
            if times < 3:
                loose += [number] * times
                continue
            self._loose(loose)
            loose = []
            self.number(times)
            self.number(number)
        self._loose(loose)
        if total > _MAX_COLUMN:
            raise PatchError(f"a column of {total:,}; a pack's have at most {_MAX_COLUMN:,}: make several")

    def _loose(self, numbers: list[int]) -> None:
        if numbers:
            self.number(-len(numbers))
            self.numbers(numbers)

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
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 3, "pb": 0, "dict_size": 1 << 22}]
        candidates = [(_PLAIN, raw), (_ZLIB, zlib.compress(raw, 9))]
        if len(raw) < 32 << 20:
            candidates.append((_LZMA, lzma.compress(raw, lzma.FORMAT_RAW, filters=filters)))
        method, data = min(candidates, key=lambda candidate: len(candidate[1]))
        head = _Writer()
        head.number(_FORMAT)
        head.number(method)
        head.number(len(raw))
        head.number(zlib.crc32(raw))
        return bytes(head.out) + data


def _repeats(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    last: int | None = None
    times = 0
    for number in numbers:
        if number == last:
            times += 1
            continue
        if last is not None:
            yield last, times
        last, times = number, 1
    if last is not None:
        yield last, times


class _Reader:
    """What `_Writer` wrote; `ValueError` for whatever isn't that."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def number(self) -> int:
        result = shift = 0
        while True:
            if self.at == len(self.data):
                raise ValueError("it ends inside a number")
            byte = self.data[self.at]
            self.at += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return -(result + 1 >> 1) if result & 1 else result >> 1
            shift += 7
            if shift > 63:
                raise ValueError("a number above 2^63")

    def numbers(self, count: int) -> list[int]:
        self.bounded(count)
        return [self.number() for _ in range(count)]

    def bounded(self, count: int) -> int:
        """A count that takes at least a byte each."""
        if not 0 <= count <= len(self.data) - self.at:
            raise ValueError(f"a count of {count} with {len(self.data) - self.at} bytes left")
        return count

    def count(self) -> int:
        """A count that runs may make great: bounded by what anybody would store."""
        count = self.number()
        if not 0 <= count <= MAX_PATCHES:
            raise ValueError(f"a count of {count}")
        return count

    def runs(self, count: int) -> list[int]:
        if count > _MAX_COLUMN:
            raise ValueError(f"a column of {count}")
        result: list[int] = []
        while len(result) < count:
            times = self.number()
            if times == 0 or abs(times) > count - len(result):
                raise ValueError(f"a run of {times} in a column of {count}")
            if times > 0:
                result += [self.number()] * times
            else:
                result += self.numbers(-times)
        return result

    def text(self) -> str:
        size = self.bounded(self.number())
        self.at += size
        return self.data[self.at - size : self.at].decode()

    def texts(self, count: int) -> list[str]:
        return [self.text() for _ in range(self.bounded(count))]

    def table(self) -> list[str]:
        return self.texts(self.number())

    def end(self) -> None:
        if self.at != len(self.data):
            raise ValueError(f"{len(self.data) - self.at} bytes too many")


def _unpacked(data: bytes) -> bytes:
    head = _Reader(data)
    if (version := head.number()) != _FORMAT:
        raise UnsupportedVersion(f"a section of format {version}, not {_FORMAT}; upgrade syncstring")
    method, size, check = head.number(), head.number(), head.number()
    if not 0 <= size <= MAX_SECTION:
        raise ValueError(f"it would have {size:,} bytes; at most {MAX_SECTION:,} are allowed")
    rest = data[head.at :]
    if method == _PLAIN:
        raw = rest
    elif method == _ZLIB:
        raw = zlib.decompressobj().decompress(rest, size + 1)
    elif method == _LZMA:
        filters = [{"id": lzma.FILTER_LZMA2, "lc": 3, "pb": 0, "dict_size": 1 << 22}]
        try:
            reader = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
        except ValueError:  # nothing is wrong with the filters: so `lzma` says that memory ran out
            raise MemoryError from None
        raw = reader.decompress(rest, size + 1)
    else:
        raise UnsupportedVersion(f"a section compressed by method {method}; upgrade syncstring")
    if len(raw) != size or zlib.crc32(raw) != check:
        raise ValueError("its checksum is wrong")
    return raw


def _guarded(what: str, data: bytes, read: Callable[[_Reader], T]) -> T:
    """Read a section; whatever goes wrong is its fault, save that memory runs out."""
    try:
        return read(_Reader(_unpacked(data)))
    except UnsupportedVersion:
        raise
    except (ValueError, IndexError, StopIteration, EOFError, *_CODECS, SyncstringError) as error:
        raise CorruptStore(
            f"a pack's {what} of {len(data):,} bytes is damaged: {error or 'it ends too early'}; "
            "fsck says what can still be read"
        ) from None
