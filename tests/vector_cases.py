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
from itertools import count, groupby
from typing import Any, Final, TypeAlias

from page_reader import LZMA2, Fields, read_body, read_graph

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


def number(value: int, least: int = 1) -> bytes:
    """A section's number, in so many bytes at least."""
    zigzag = 2 * value if value >= 0 else -2 * value - 1
    size = max(least, -(-zigzag.bit_length() // 7))
    groups = [zigzag >> 7 * i & 0x7F for i in range(size)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def by_method(raw: bytes, method: int) -> bytes:
    """A section of these bytes, compressed so, whether or not that is the shortest."""
    data = (
        raw
        if method == 0
        else zlib.compress(raw, 9, -zlib.MAX_WBITS)
        if method == 1
        else lzma.compress(raw, lzma.FORMAT_RAW, filters=LZMA2)
    )
    return b"".join(map(number, (1, method, len(raw), zlib.crc32(raw)))) + data


# --- columns in other ways --------------------------------------------------------------------------------

Cut: TypeAlias = Callable[[list[int]], list[int]]
"""The lengths of a column's runs, for its numbers."""


def in_turn(numbers: list[int]) -> list[int]:
    """Runs of every kind beside each other: one alike, two that may differ, all that are alike."""
    runs: list[int] = []
    at = 0
    while at < len(numbers):
        alike = next(len(list(same)) for _, same in groupby(numbers[at:]))
        runs.append((1, -min(2, len(numbers) - at), alike)[len(runs) % 3])
        at += abs(runs[-1])
    return runs


CUTS: dict[str, tuple[Cut, int]] = {
    "in runs of one alike": (lambda numbers: [1] * len(numbers), 1),
    "in one run that may differ": (lambda numbers: [-len(numbers)] * bool(numbers), 1),
    "in runs of one that may differ": (lambda numbers: [-1] * len(numbers), 1),
    "in runs of all that are alike": (lambda numbers: [len(list(same)) for _, same in groupby(numbers)], 1),
    "in runs of every kind": (in_turn, 1),
    "in numbers of nine bytes": (lambda numbers: [-len(numbers)] * bool(numbers), 9),
}


class Recut(Fields):
    """Reads a section's bytes, and writes them anew on the way, with its columns in another way."""

    def __init__(self, data: bytes, cut: Cut, least: int) -> None:
        super().__init__(data)
        self.out = bytearray()
        self.cut = cut
        self.least = least

    def take(self, count: int) -> bytes:
        part = super().take(count)
        self.out += part
        return part

    def column(self, length: int) -> list[int]:
        start = len(self.out)
        found = super().column(length)
        runs, values, rest = self.cut(found), [], found
        for run in runs:
            values += [number(value, self.least) for value in (rest[:1] if run > 0 else rest[:-run])]
            rest = rest[abs(run) :]
        self.out[start:] = b"".join(number(run, self.least) for run in runs)
        for plane in range(max(map(len, values), default=0)):
            self.out += bytes(value[plane] for value in values if plane < len(value))
        return found


def recut(graph: bytes, body: bytes, cut: Cut, least: int) -> tuple[bytes, bytes]:
    """The bytes of a pack's sections, with their columns in another way."""
    readers = Recut(graph, cut, least), Recut(body, cut, least)
    read_body(readers[1], read_graph(readers[0]))
    return bytes(readers[0].out), bytes(readers[1].out)


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
    for n in range(16):
        time = BEGAN + (1_234 if n & 8 else 5_000)
        parents = [(BEGAN, "Bob_2-x" if n & 4 else ada), *[(BEGAN + 1_000, ada)] * (n >> 2 & 1)]
        wall, message = time + 77 * (n & 1), "said" if n & 2 else None
        yield f"bytes that begin with {0x50 + n:#x}", Patch((time, ada), parents, [], "ada", wall, message)
    for time in (BEGAN + 70_000, BEGAN + 70_007):
        for age in (1, 64, 999, 1_000, 64_000, 10**9 + 1):
            yield (
                f"{time % 1_000} µs beyond, a parent {age} µs older",
                Patch((time, ada), [(time - age, ada)], [(3, 0, "k")], "ada", time),
            )
    yield (
        "whole milliseconds, the greatest time",
        by_id((most // 1_000 * 1_000, "s"), (most - (1 << 32), "s")),
    )
    for time in (BEGAN + 9_000, BEGAN + 9_007):
        parents = [(BEGAN, "a"), (BEGAN + 7, "a"), (BEGAN + 2_000, "b"), (BEGAN + 8_999, ada)]
        yield f"{time % 1_000} µs beyond, parents of any age", by_id((time, ada), *parents)
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
    yield "a merge of patches in other packs and of one in this", merge_of_packs()
    yield "messages", messages()
    yield "numbers of one byte to eight", great_numbers()
    yield "alike for long, then not, then again", runs()
    yield "lines that are numbered", numbered()


def merge_of_packs() -> list[Patch]:
    """Parents elsewhere: some of a session of this pack's own, some of one moment, one of them twice."""
    ada, far = "k3x9q0w7e2r5", [(BEGAN, "k3x9q0w7e2r5"), (BEGAN + 5, "0"), (BEGAN + 5, "Bob_2-x")]
    here = Patch((BEGAN + 3, "here"), far[:1], [(1, 0, "x")], "ada", BEGAN + 3)
    late = Patch((BEGAN + 8_000, ada), [far[0], here.id, *far[1:]], [(2, 1, "yz")], "ada", BEGAN)
    return [here, late, Patch((BEGAN + 9_000, ada), [far[2], late.id], [], "ada", BEGAN + 9_000)]


def messages() -> list[Patch]:
    """Some patches with a message: the first, two in a row, the last; one of no letters."""
    said = ["first", None, None, "", "Grüße,\n😀\0", None, "last"]
    made: list[Patch] = []
    for n, message in enumerate(said):
        parents = [made[-1].id] if made else []
        made.append(Patch((BEGAN + 1_000 * n, "0"), parents, [(n, 0, "x")], "ada", BEGAN, message))
    return made


def great_numbers() -> list[Patch]:
    """Counts, clocks and times that are as great as a number of so many bytes is."""
    made: list[Patch] = []
    time = 1
    for n in range(1, 54, 2):
        wall = (1 << n) - 1 if n % 4 == 1 else 0
        splices = [((1 << n) - 1, 0, "x"), ((1 << n) - 2, 1, "")] if n % 3 else [(0, (1 << n) - 1, "")]
        made.append(Patch((time, "abc"[n % 3]), [made[-1].id] if made else [], splices, "ada", wall))
        time += 1 << min(n, 45)
    return made


def runs() -> list[Patch]:
    """Columns of which a part is alike: who writes, how long they wait, where, how much, by which author."""
    made: list[Patch] = []
    time = BEGAN
    for n in range(110):
        steady = n < 70 or n >= 77
        time += 1_000 if steady else 37 * n
        session = ("k3x9q0w7e2r5" if n < 35 else "Bob_2-x") if steady else "ab"[n % 2]
        splice = (n, 0, "x") if steady else (n * n % 50, n % 3, "yz"[: n % 4])
        author = "ada" if n < 60 else f"ada {n % 4}"
        made.append(Patch((time, session), [made[-1].id] if made else [], [splice], author, time + n % 5))
    return made


def numbered() -> list[Patch]:
    """Pages of lines with their numbers, which LZMA makes a tenth of what deflate does."""
    made: list[Patch] = []
    for n in range(6):
        page = "".join(f"{line:05}\n" for line in range(100 * n, 100 * n + 100))
        parents = [made[-1].id] if made else []
        made.append(Patch((BEGAN + 1_000 * n, "0"), parents, [(600 * n, 0, page)], "ada", BEGAN + 1_000 * n))
    return made


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
