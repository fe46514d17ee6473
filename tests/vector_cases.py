"""What the format's test vectors are of: patches, deltas, packs, texts, manifests; and each in plain JSON.

`make_vectors.py` writes them down, `test_vectors.py` reads them. No clock is read here, and nothing drawn but
from fixed seeds: the same calls give the same patches.
"""

from __future__ import annotations

import lzma
import random
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count
from typing import Any, Final, TypeAlias

from syncstring import Document, Patch
from syncstring.manifest import (
    Checkpoint,
    Manifest,
    Pack,
    Section,
    doc_of_name,
    rows_of_checkpoint,
    rows_of_pack,
)
from syncstring.patch import Id, canonical_bytes
from syncstring.testing.reference import Reference

DOC: Final = doc_of_name("notes.md")
BEGAN: Final = 1_432_111_222_333_000
Plain: TypeAlias = dict[str, Any]


# --- in plain JSON ----------------------------------------------------------------------------------------


def plain(patch: Patch) -> Plain:
    """A patch: `Patch(**plain(p)) == p`. A message stands there only where there is one."""
    means: Plain = {
        "id": list(patch.id),
        "parents": [list(id) for id in patch.parents],
        "splices": [list(splice) for splice in patch.splices],
        "author": patch.author,
        "wall": patch.wall,
    }
    return means if patch.message is None else {**means, "message": patch.message}


def patch_of(means: Plain) -> Patch:
    return Patch(**{**means, "id": tuple(means["id"]), "parents": [tuple(id) for id in means["parents"]]})


def plain_manifest(manifest: Manifest) -> Plain:
    """A manifest, and under `rows` the key of every row in `packs` that it lists."""

    def section(section: Section) -> Plain:
        return {
            "name": section.name, "parts": section.parts, "bytes": section.size, "sha256": section.digest
        }  # fmt: skip

    def pack(pack: Pack) -> Plain:
        return {
            "count": pack.count,
            "total": pack.total,
            "heads": [list(id) for id in pack.heads],
            "first": pack.first,
            "last": pack.last,
            "graph": section(pack.graph),
            "body": section(pack.body),
        }

    point = manifest.checkpoint
    return {
        "doc": manifest.doc,
        "counter": manifest.counter,
        "deleted": manifest.deleted,
        "packs": [pack(each) for each in manifest.packs],
        "checkpoint": point
        and {
            "heads": [list(id) for id in point.heads],
            "count": point.count,
            "length": point.length,
            "text": section(point.text),
        },
        "rows": [list(key) for key in sorted(manifest.keys())],
    }


def row_text(row: Plain) -> str:
    return canonical_bytes(row).decode()


def unpacked(section: bytes) -> tuple[int, bytes]:
    """A section's method and its bytes before compression, by FORMAT.md alone."""
    numbers, at = [], 0
    for _ in range(4):
        number = shift = 0
        while True:
            number |= (section[at] & 0x7F) << shift
            shift += 7
            at += 1
            if section[at - 1] < 0x80:
                break
        numbers.append(-(number + 1 >> 1) if number & 1 else number >> 1)
    version, method, size, check = numbers
    data = section[at:]
    if method == 1:
        data = zlib.decompress(data)
    elif method == 2:
        data = lzma.decompress(data, lzma.FORMAT_RAW, filters=_LZMA)
    assert version == 1 and method in (0, 1, 2) and len(data) == size and zlib.crc32(data) == check
    return method, data


_LZMA = [{"id": lzma.FILTER_LZMA2, "lc": 3, "lp": 0, "pb": 0, "dict_size": 1 << 22}]


def by_method(raw: bytes, method: int) -> bytes:
    """A section of these bytes, compressed so, whether or not that is the shortest."""

    def number(value: int) -> bytes:
        value, out = value << 1, bytearray()
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes([*out, value])

    data = (
        raw
        if method == 0
        else zlib.compress(raw, 9)
        if method == 1
        else lzma.compress(raw, lzma.FORMAT_RAW, filters=_LZMA)
    )
    return b"".join(map(number, (1, method, len(raw), zlib.crc32(raw)))) + data


# --- patches ----------------------------------------------------------------------------------------------


def clock(start: int = BEGAN, step: int = 170_000) -> Callable[[], int]:
    """A clock that goes on by so many microseconds each time that it is read."""
    return count(start, step).__next__


def typist(session: str, author: str, start: int = BEGAN) -> Document:
    return Document(session=session, author=author, clock=clock(start), wall=clock(start + 3_907))


PROSE = (
    "A patch is what one person did in one go, and what that person knew when doing it. "
    "Whoever has the same patches has the same text. "
)


def typed(number: int, seed: int = 1) -> list[Patch]:
    """One person at a keyboard: letters, slips that are taken back, now and then another place."""
    chance = random.Random(seed)
    document = typist("k3x9q0w7e2r5", "ada")
    at = 0
    made: list[Patch] = []
    for letter in (PROSE * (number // len(PROSE) + 1))[:number]:
        what = chance.random()
        if what < 0.06 and at:
            document.delete(at - 1, 1)
            at -= 1
        else:
            if what < 0.1:
                at = chance.randrange(len(document) + 1)
            document.insert(at, letter)
            at += 1
        patch = document.commit()
        assert patch is not None
        made.append(patch)
    return made


def together(number: int, seed: int = 2) -> list[Patch]:
    """Three people who write beside each other, with letters of several scripts, and take things back."""
    chance = random.Random(seed)
    people = [
        typist("k3x9q0w7e2r5", "ada"),
        typist("Bob_2-x", "Zoë 😀", BEGAN + 1),
        typist("0", "", BEGAN + 2),
    ]
    made: list[Patch] = []
    seen = [0] * len(people)
    for n in range(number):
        i = chance.randrange(len(people))
        person = people[i]
        if chance.random() < 0.5:
            person.receive(made[seen[i] :])
            seen[i] = len(made)
        size = len(person)
        at = chance.randrange(size + 1)
        if n % 9 == 8:
            patch = person.undo().patch
            if patch is None:
                continue
        else:
            person.splice(
                at, min(chance.choice((0, 0, 1, 3)), size - at), chance.choice(("乙", "é", "ab", "😀\t"))
            )
            patch = person.commit(message="said" if n % 7 == 6 else None)
        assert patch is not None
        person.outgoing.clear()
        made.append(patch)
    return made


def single_patches() -> Iterator[tuple[str, Patch]]:
    """Every field at its least and its greatest, every form of an operation and of an id."""
    ada = "k3x9q0w7e2r5"
    first = (BEGAN, ada)
    most = (1 << 53) - 1
    strange = '%\t\0%09 "\\\n\r\x01\x1f\x7f\u2028/é😀'

    def one(
        splices: Any = (), parents: Any = (first,), author: str = "ada", wall: int = BEGAN + 9, **more: Any
    ) -> Patch:
        return Patch((BEGAN + 9, ada), parents, splices, author, wall, **more)

    def by_id(id: tuple[int, str], *parents: tuple[int, str]) -> Patch:
        return Patch(id, parents, [(0, 0, "x")], "", id[0])

    yield "the first one", Patch(first, [], [(0, 0, "Hello")], "ada", BEGAN)
    yield "a keystroke", one([(5, 0, ",")])
    yield "a deletion", one([(1, 3, "")])
    yield "a replacement", one([(1, 3, "ipp")])
    yield "an insertion behind what it deletes", one([(2, 0, "x"), (1, 1, "")])
    yield "several splices", one([(0, 1, "J"), (5, 0, "!"), (2, 2, ""), (1, 0, "é")])
    yield "many operations", one([(n, n % 2, "ab"[n % 3 :]) for n in range(60)])
    yield "the greatest count", one([(most, 0, "x")])
    yield "what is escaped, and what isn't", one([(0, 0, strange)])
    yield "nothing changed", one()
    yield "an empty message", one(message="")
    yield "a message", one(message="Grüße,\n😀\0")
    yield "the longest message", one(message="乙" * 1_365 + "x")
    yield "no author", one(author="")
    yield "the longest author", one(author="😀" * 64)
    yield "a clock behind", one(wall=BEGAN - 3_600_000_000)
    yield "a clock ahead", one(wall=BEGAN + 3_600_000_000)
    yield "the least wall", one(wall=0)
    yield "the greatest wall", one(wall=most)
    yield "two parents, one's own among them", one(parents=[first, (BEGAN + 5, "Bob_2-x")])
    yield "two parents and a message", one(parents=[first, (BEGAN + 5, "b")], message="merged")
    yield "two parents, a message, a clock behind", one((), [first, (BEGAN + 5, "b")], wall=0, message="")
    yield "a parent that is another's ancestor", one(parents=[first, (BEGAN + 5, ada), (BEGAN + 5, "b")])
    yield "many parents", one(parents=[(BEGAN + n % 7, f"s{n}") for n in range(40)])
    yield "a parent of another session", by_id((BEGAN + 1, "zzzzzzzzzzzz"), first)
    yield "the shortest session", by_id((BEGAN, "0"))
    yield "the longest session", by_id((BEGAN + 1, "Z" * 48), (BEGAN, "-" * 48))
    yield "twelve letters that are no number", by_id((BEGAN, "K3X9Q0W7E2R5"))
    yield "twelve zeros", by_id((BEGAN, "0" * 12))
    yield "the least time", by_id((1, "zzzzzzzzzzzz"))
    yield "the greatest time that needs no parent", by_id(((1 << 52) - 1, "s"))
    yield "a wild clock", by_id((1 << 52, "s"), ((1 << 52) - (1 << 32), "s"))
    yield "the greatest time", by_id((most, "s"), (most - (1 << 32), "s"))
    for n, patch in enumerate(together(12, seed=3)):
        yield f"one of three who write together, {n}", patch


def deltas() -> Iterator[Plain]:
    """Splices on a text, the delta that they compose to, the text after it, and the splices it reads as."""
    chance = random.Random(4)
    before = "a😀\tbé%cd\0e"
    lists: list[list[tuple[int, int, str]]] = [
        [], [(0, 0, "x")], [(9, 0, "x")], [(0, 9, "")], [(3, 2, "x")], [(3, 2, ""), (3, 0, "x")],
        [(3, 2, ""), (4, 0, "x")], [(3, 0, "xyz"), (4, 1, "")], [(3, 0, "xyz"), (2, 3, ""), (2, 0, "w")],
        [(0, 0, "%\t\0")], [(8, 1, "y"), (1, 1, ""), (0, 0, "z")],
    ]  # fmt: skip
    for _ in range(25):
        splices, size = [], len(before)
        for _ in range(chance.randint(1, 5)):
            pos = chance.randint(0, size)
            splice = (
                pos,
                min(chance.choice((0, 1, 2, 4)), size - pos),
                chance.choice(("", "x", "é%", "\t", "\0ab")),
            )
            size += len(splice[2]) - splice[1]
            splices.append(splice)
        lists.append(splices)
    for splices in lists:
        patch = Patch((1, "s"), [], splices, "", 1)
        after = before
        for pos, delete, insert in splices:
            after = after[:pos] + insert + after[pos + delete :]
        yield {
            "before": before,
            "splices": [list(splice) for splice in splices],
            "delta": patch.delta,
            "after": after,
            "reads": [list(splice) for splice in patch.splices],
        }


# --- packs ------------------------------------------------------------------------------------------------


def packs() -> Iterator[tuple[str, list[Patch]]]:
    """What packs hold, in order."""
    line, people = typed(90), together(40)
    yield "one patch", line[:1]
    yield "one that knows others", line[1:2]
    yield "typing", line[:30]
    yield "typing goes on", line[30:]
    yield "three people", people
    yield "three people go on", together(60)[40:]
    late = Patch((line[1].time + 9, "late"), [line[0].id], [(0, 0, "late")], "late", 5)
    yield "in the order in which they were packed, a late one last", [*line[:5], late]
    yield "no author, no text, no change", [Patch((n, "0"), [], [], "", n) for n in (3, 1, 2)]
    yield (
        "every single patch that can stand beside the others",
        [patch for patch in {patch.id: patch for _, patch in single_patches()}.values() if not patch.parents],
    )


def texts() -> Iterator[tuple[str, str]]:
    """What checkpoints hold."""
    yield "empty", ""
    yield "plain", "Hello, world\n"
    yield "several scripts", "Grüße 乙😀\t\0\u2028"
    yield "long", PROSE * 12


def manifests() -> Iterator[tuple[str, Manifest]]:
    """Without packs, with some, and with every number at its greatest."""
    line = typed(90)
    first, _ = rows_of_pack(DOC, drawn(1)[:20], line[:30], None, (line[29].id,))
    second, _ = rows_of_pack(DOC, drawn(2)[:20], line[30:], first, (line[89].id,))
    point, _ = rows_of_checkpoint(DOC, drawn(3)[:20], second.heads, 90, Reference(line).text())
    yield "empty", Manifest(DOC)
    yield "deleted", Manifest(DOC, 7, True)
    yield "a pack without a checkpoint", Manifest(DOC, 1, False, (first,))
    yield "two packs and a checkpoint", Manifest(DOC, 2, False, (first, second), point)
    heads = (Id(BEGAN, "Bob_2-x"), Id(BEGAN, "k3x9q0w7e2r5"), Id((1 << 53) - 1, "Z" * 48))
    wide = Section(f"{drawn(4)[:20]}-graph", 1, 0, sha256().hexdigest()[:32])
    great = Section(f"{drawn(4)[:20]}-body", 3, 2_500_000, sha256(b"great").hexdigest()[:32])
    text = Section(f"{drawn(5)[:20]}-text", 2, 1_000_001, sha256(b"text").hexdigest()[:32])
    pack = Pack(1 << 20, 1 << 20, heads, 1, (1 << 53) - 1, wide, great)
    yield (
        "several heads, sections in several rows",
        Manifest(DOC, 1 << 40, False, (pack,), Checkpoint(heads, 1 << 20, 16 << 20, text)),
    )


def tags() -> Iterator[tuple[str, list[Id]]]:
    yield "draft", []
    yield "v1.0", [Id(BEGAN, "k3x9q0w7e2r5")]
    yield "Grüße_-/@.z", [Id(BEGAN, "0"), Id(BEGAN, "Bob_2-x"), Id(BEGAN + 1, "0")]


def drawn(number: int) -> str:
    """In the place of 40 random hex digits."""
    return sha256(f"drawn {number}".encode()).hexdigest()[:40]
