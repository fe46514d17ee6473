"""FORMAT.md is true: its vectors against the package, and against plain Python that shares nothing with it.

The Python that stands on the page is run, too: an implementation written from the page alone.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_reader import Fields, Read, read_body, read_bytes, read_graph, read_pack, unpacked

from syncstring import patch as room
from syncstring._graph import EventGraph
from syncstring._patch import MAX_COUNT, apply, decode_delta, ops_apply
from syncstring.errors import MalformedRow, UnsupportedVersion
from syncstring.merge import Merge
from syncstring.pack import decode, encode
from syncstring.patch import Id, Patch, canonical_bytes, doc_of_row
from syncstring.testing.reference import Reference

PAGE = Path(__file__).parent.parent.joinpath("FORMAT.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+) ?(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
KINDS = ["names", "deltas", "rows", "digests", "merges", "verdicts", "bytes", "graph", "body", "packs"]
SOURCE = "\n\n".join(text for language, _, text in BLOCKS if language == "python")


def lines(kind: str) -> list[str]:
    """The vectors of one kind as they stand there. U+2028 ends no line."""
    return [line for _, name, text in BLOCKS if name == kind for line in text.split("\n") if line]


def vectors(kind: str) -> Any:
    """One case for each vector of one kind."""
    found = [json.loads(line) for line in lines(kind)]
    return pytest.mark.parametrize("vector", found, ids=[str(number) for number in range(len(found))])


def python_of_the_page(*changes: tuple[str, str]) -> dict[str, Any]:
    """What the page's Python defines, perhaps with mistakes made in it."""
    source = SOURCE
    for right, wrong in changes:
        assert source.count(right) == 1, f"the page doesn't say {right!r} once"
        source = source.replace(right, wrong)
    names: dict[str, Any] = {}
    exec(source, names)
    return names


WRITTEN = python_of_the_page()
ROWS = lines("rows")


def test_the_page_has_vectors_of_every_kind_and_no_others():
    assert [kind for kind in KINDS if not lines(kind)] == []
    assert {name for language, name, _ in BLOCKS if language == "jsonl"} == set(KINDS)
    assert PAGE.count("```") == 2 * len(BLOCKS)


# --- ids


def name_of(time: int, session: str) -> str:
    def mix(value: int) -> int:
        value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD % 2**64
        value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 % 2**64
        return value ^ value >> 33

    value = 0xCBF29CE484222325
    for byte in f"{time}:{session}".encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    while f"{mix(value):016x}".isdecimal():
        value = (value + 0x9E3779B97F4A7C15) % 2**64
    return f"{mix(value):016x}"


@vectors("names")
def test_an_id_has_the_name_that_the_page_says(vector):
    id = Id(vector["time"], vector["session"])
    assert str(id) == name_of(*id) == vector["name"]


@given(st.integers(1, room.MAX_TIME), st.from_regex(r"[0-9A-Za-z_-]{1,48}", fullmatch=True))
def test_every_id_has_the_name_that_the_page_s_rule_gives(time, session):
    assert str(Id(time, session)) == name_of(time, session)


# --- deltas


def written(ops: list[int | str]) -> str:
    """Operations as a delta, by section 3."""
    escapes = {"%": "%25", "\t": "%09", "\0": "%00"}

    def one(op: int | str) -> str:
        if isinstance(op, str):
            return "+" + "".join(escapes.get(char, char) for char in op)
        return f"={op}" if op > 0 else f"-{-op}"

    return "\t".join(map(one, ops))


def spliced(text: str, splices: list[list[Any]]) -> str:
    for pos, delete, insert in splices:
        text = text[:pos] + insert + text[pos + delete :]
    return text


@vectors("deltas")
def test_splices_compose_to_the_delta_that_the_page_says(vector):
    patch = Patch((1, "s"), [], vector["splices"], "", 0)
    assert patch.delta == vector["delta"] == written(WRITTEN["compose"](vector["splices"]))
    assert patch.ops == decode_delta(vector["delta"])


@vectors("deltas")
def test_a_delta_reads_as_the_page_says(vector):
    ops = decode_delta(vector["delta"])
    patch = Patch.of_ops((1, "s"), [], ops, "", 0)
    assert [list(splice) for splice in patch.splices] == vector["reads"]
    assert ops_apply(vector["before"], ops) == vector["after"]
    for splices in (vector["splices"], vector["reads"]):
        assert apply(vector["before"], splices) == spliced(vector["before"], splices) == vector["after"]


# --- rows


def canonical(value: Any) -> str:
    """JSON in canonical form, by section 4."""
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
    if isinstance(value, str):
        chars = (short.get(char) or (char if char >= " " else f"\\u{ord(char):04x}") for char in value)
        return f'"{"".join(chars)}"'
    if isinstance(value, list):
        return f"[{','.join(map(canonical, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{canonical(key)}:{canonical(value[key])}' for key in sorted(value))}}}"
    assert type(value) is int
    return str(value)


@pytest.mark.parametrize("line", ROWS, ids=map(str, range(len(ROWS))))
def test_a_row_is_read_and_written_as_it_stands_on_the_page(line):
    row = json.loads(line)
    again = Patch.from_row(row).to_row(doc_of_row(row))
    assert again == row
    assert canonical_bytes(again) == line.encode() == canonical(row).encode()


def test_the_rows_lie_in_the_document_whose_name_the_page_gives():
    key = hashlib.sha256(b"notes.md").digest()[:20].hex()
    assert {doc_of_row(json.loads(line)) for line in ROWS} == {key}


@vectors("digests")
def test_a_digest_is_that_of_the_row_without_its_document(vector):
    row = json.loads(ROWS[vector["row"]])
    digest = Patch.from_row(row).digest().hex()
    row["id"][0] = ""
    assert digest == hashlib.sha256(canonical(row).encode()).hexdigest() == vector["digest"]


def test_each_row_has_its_digest_and_its_bytes():
    for kind in ("digests", "bytes"):
        assert [json.loads(line)["row"] for line in lines(kind)] == list(range(len(ROWS)))


def test_the_limits_on_the_page_are_those_of_the_package():
    assert MAX_COUNT == 2**53 - 1
    table = [
        f"| a row in canonical bytes | {room.MAX_ROW:,} bytes |",
        f"| parents | {room.MAX_PARENTS:,} |",
        f"| operations in a delta | {room.MAX_OPERATIONS:,} |",
        "| a count in a delta | 2^53 - 1 |",
        f"| author | {room.MAX_AUTHOR:,} bytes of UTF-8 |",
        f"| message | {room.MAX_MESSAGE:,} bytes of UTF-8 |",
    ]
    assert "\n".join(["| what | at most |", "|---|---|", *table, ""]) in PAGE


# --- verdicts


def judged(row: dict[str, Any]) -> str:
    """A row's verdict, by sections 2 to 4 and the order of section 6."""
    fields = ["v", "id", "author", "wall", "parents", "delta"]
    good, malformed, unsupported = "well-formed", "malformed", "unsupported"

    def number(value: Any, least: int) -> bool:
        return type(value) is int and least <= value < 2**53

    def text(value: Any, most: int) -> bool:
        return isinstance(value, str) and len(value.encode("utf-8", "surrogatepass")) <= most and plain(value)

    def plain(value: str) -> bool:
        return not re.search("[\ud800-\udfff]", value)

    session = re.compile("[0-9A-Za-z_-]{1,48}")
    if "v" not in row or type(row["v"]) is not int:
        return malformed
    if row["v"] != 1 or set(row) - {*fields, "message"}:
        return unsupported
    if set(fields) - set(row) or row.get("message", "") is None:
        return malformed
    id, parents, delta = row["id"], row["parents"], row["delta"]
    if not (isinstance(id, list) and len(id) == 3 and number(id[1], 1)):
        return malformed
    if not all(isinstance(part, str) for part in (id[0], id[2], parents, delta)):
        return malformed
    if not re.fullmatch("[0-9a-f]{40}", id[0]) or not session.fullmatch(id[2]) or len(delta) > 2**20:
        return malformed
    known: list[tuple[int, str]] = []
    for parent in parents.split("\t") if parents else []:
        time, colon, by = parent.partition(":")
        if not (re.fullmatch("[1-9][0-9]{0,15}", time) and colon and session.fullmatch(by)):
            return malformed
        known.append((int(time), by))
    if known != sorted(set(known)):
        return malformed
    before = ""
    for op in delta.split("\t") if delta else []:
        if op and op[0] not in "=+-":
            return unsupported
        if not re.fullmatch("[=-][1-9][0-9]{0,15}|[+]([^%\0]|%25|%09|%00)+", op, re.DOTALL) or not plain(op):
            return malformed
        if op[0] == before or (op[0] != "+" and int(op[1:]) >= 2**53):
            return malformed
        before = op[0]
    newest = known[-1][0] if known else 0
    return (
        good
        if before != "="
        and len(known) <= 1024
        and id[1] > newest
        and (id[1] < 2**52 or id[1] - newest <= 2**32)
        and text(row["author"], 256)
        and text(row.get("message", ""), 4096)
        and number(row["wall"], 0)
        and delta.count("\t") < 100_000
        and len(canonical(row).encode()) <= 2**20
        else malformed
    )


def found(row: dict[str, Any]) -> str:
    """The package's verdict."""
    try:
        Patch.from_row(row)
    except MalformedRow:
        return "malformed"
    except UnsupportedVersion:
        return "unsupported"
    return "well-formed"


@vectors("verdicts")
def test_a_row_gets_the_verdict_that_the_page_says(vector):
    row = json.loads(ROWS[0]) | vector.get("set", {})
    for name in vector.get("drop", []):
        del row[name]
    assert found(row) == judged(row) == vector["verdict"]


TIMES = st.sampled_from([0, 1, 2, 3, 2**32, 2**52 - 1, 2**52, 2**52 + 1, 2**53 - 1, 2**53, 1.0, True, "1"])
SESSIONS = st.sampled_from(["", "s", "t", "é", "a b", "x" * 48, "x" * 49, 7])
OPS = st.sampled_from(
    ["=1", "=2", "-1", "-3", "+a", "+%25", "+%41", "+", "=0", "-01", "*1", "", f"={2**53}", "+\ud800"]
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "v": st.sampled_from([1, 2, True, None]),
        "id": st.builds(lambda doc, time, session: [doc, time, session], st.just("a" * 40), TIMES, SESSIONS),
        "author": st.sampled_from(["", "é" * 128, "é" * 129, "\ud800", 7]),
        "wall": TIMES,
        "parents": st.lists(st.builds("{}:{}".format, TIMES, SESSIONS), max_size=3).map("\t".join),
        "delta": st.lists(OPS, max_size=4).map("\t".join),
        "message": st.sampled_from(["", "m" * 4096, "m" * 4097, None]),
        "color": st.just("red"),
    },
)


@settings(max_examples=400)
@given(CHANGES, st.sets(st.sampled_from(["v", "id", "author", "wall", "parents", "delta"]), max_size=1))
def test_package_and_page_judge_every_row_alike(changes, drop):
    row = {name: value for name, value in (json.loads(ROWS[0]) | changes).items() if name not in drop}
    assert found(row) == judged(row)


# --- merging


def in_graph(patches: list[Any], order: list[int]) -> tuple[str, list[int], list[str]]:
    """The package's text, misfits and text at each patch, fed in this order, which has parents first."""
    graph = EventGraph()
    event_of = {number: event for event, number in enumerate(order)}
    number_of = {patch.id: number for number, patch in enumerate(patches)}
    for number in order:
        patch = patches[number]
        parents = sorted(event_of[number_of[parent]] for parent in patch.parents)
        graph.append(*patch.id, parents, patch.ops, "", 0)
    merge = Merge(graph)
    text = merge.text(len(graph))
    at = [merge.text_at([event_of[number]]) for number in range(len(patches))]
    return text, sorted(order[event] for event in graph.misfits), at


def on_page(python: dict[str, Any], patches: list[Any], order: list[int]) -> tuple[str, list[int]]:
    """The same by the page's Python, which walks the ids in the order that `sorted` gives."""
    number_of = {patch.id: number for number, patch in enumerate(patches)}
    walk = [patches[number].id for number in order]
    names = python | {"sorted": lambda ids: [id for id in walk if id in ids]}
    merge = type(python["merge"])(python["merge"].__code__, names)
    text, misfits = merge({patch.id: (patch.parents, list(patch.ops)) for patch in patches})
    return text, sorted(number_of[id] for id in misfits)


def patches_of(vector: dict[str, Any]) -> list[Any]:
    made = []
    for time, session, written_parents, delta in vector["patches"]:
        row = json.loads(ROWS[0]) | {"parents": written_parents, "delta": delta}
        made.append(Patch.from_row(row | {"id": [row["id"][0], time, session]}))
    return made


def orders(patches: list[Any]) -> list[list[int]]:
    """Every order that has parents first."""
    ids = [patch.id for patch in patches]
    return [
        list(order)
        for order in permutations(range(len(ids)))
        if all(
            {*patches[number].parents} <= {ids[earlier] for earlier in order[:place]}
            for place, number in enumerate(order)
        )
    ]


@vectors("merges")
def test_patches_merge_to_the_text_that_the_page_says_in_every_order(vector):
    patches = patches_of(vector)
    expected = vector["text"], vector["misfits"]
    slow = Reference(patches)
    at = [slow.text_at([patch.id]) for patch in patches]
    assert (slow.text(), [n for n, patch in enumerate(patches) if patch.id in slow.misfits]) == expected
    assert slow.tree_text_at(slow.heads) == vector["text"]
    for order in orders(patches):
        assert in_graph(patches, order) == (*expected, at)
        assert on_page(WRITTEN, patches, order) == expected


TIE = "return session, time"
MISTAKES = {
    "rank by time": [(TIE, "return time, session")],
    "rank by number": [(TIE, "return session.isdigit() and int(session), session, time")],
    "rank without case": [(TIE, "return session.lower(), session, time")],
    "undecided is ignored": [("if not undecided:", "if True:")],
    "the scan goes on behind the gap": [("        if other_left < left:\n            break\n", "")],
    "right is the next one shown": [
        ("right = exist[exist.index(left) + 1]", "right = shown[shown.index(left) + 1]"),
    ],
    "plain Fugue": [
        (
            "    left, right = index[new.left], index[new.right]\n",
            "    far = lambda item: index[item.right] if item.right.left is item.left else len(items)\n"
            "    left, right, stop = index[new.left], far(new), index[new.right]\n",
        ),
        ("range(left + 1, right):", "range(left + 1, stop):"),
        ("index[other.left], index[other.right]", "index[other.left], far(other)"),
    ],
    "an insertion moves before the deletion": [
        (
            "insertions.append((at, op))",
            "insertions.append((max(gap for gap in range(at + 1) if gap - 1 not in deletions), op))",
        ),
    ],
    "only the last deletion counts": [(".deleters.add(id)", ".deleters = {id}")],
    "a misfit does what it can": [
        (
            "misfits.append(id)\n            continue",
            "insertions = [(at, text) for at, text in insertions if at < len(shown) - 1]\n"
            "            deletions = [at for at in deletions if at < len(shown) - 2]",
        )
    ],
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_merge_vector_catches_the_mistake_that_it_names(mistake):
    wrong = python_of_the_page(*MISTAKES[mistake])
    named = [vector for vector in map(json.loads, lines("merges")) if vector.get("catches") == mistake]
    assert named
    for vector in named:
        patches = patches_of(vector)
        assert on_page(wrong, patches, list(range(len(patches))))[0] != vector["text"]


def test_each_mistake_that_a_vector_names_is_tried():
    assert {json.loads(line).get("catches") for line in lines("merges")} - {None} == set(MISTAKES)


@pytest.mark.parametrize("seed", range(40))
def test_the_page_and_the_package_merge_any_history_alike(seed):
    chance = random.Random(seed)
    made: list[Any] = []
    for number in range(9):
        alive = chance.sample(made, min(len(made), chance.choice([1, 1, 2])))
        parents = tuple(sorted(patch.id for patch in alive))
        known = Reference(made).text_at(parents)
        pos = chance.randrange(len(known) + 1)
        delete = min(chance.choice([0, 0, 1, 3]), len(known) - pos)
        splices = [(pos, delete, chance.choice("ABC") * chance.choice([0, 1, 2]))]
        id = (number + 1, chance.choice(["9", "10", "B", "a"]))
        made.append(SimpleNamespace(id=id, parents=parents, ops=tuple(WRITTEN["compose"](splices))))
    order: list[int] = []
    while len(order) < len(made):
        known_ids = {made[number].id for number in order}
        ready = [n for n in range(len(made)) if n not in order and {*made[n].parents} <= known_ids]
        order.append(chance.choice(ready))
    text, misfits, at = in_graph(made, order)
    assert on_page(WRITTEN, made, order) == (text, misfits)
    assert at == [Reference(made).tree_text_at([patch.id]) for patch in made]


# --- bytes


def packed(row: dict[str, Any]) -> bytes:
    """A row in compact bytes, by section 7."""

    def number(value: int) -> bytes:
        low = value & 0x7F
        return bytes([low]) if value == low else bytes([low | 0x80]) + number(value >> 7)

    def string(value: str) -> bytes:
        return number(len(value.encode())) + value.encode()

    def session_of(value: str) -> bytes:
        if not re.fullmatch("[0-9a-z]{12}", value):
            return bytes([128 + len(value)]) + value.encode()
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"
        return sum(digits.index(d) * 36**place for place, d in enumerate(reversed(value))).to_bytes(8, "big")

    def operation(op: int | str) -> bytes:
        if isinstance(op, str):
            return number(4 * len(op.encode()) + 1) + op.encode()
        return number(4 * op) if op > 0 else number(-4 * op + 2)

    _, time, session = row["id"]
    parents = [parent.split(":") for parent in row["parents"].split("\t") if parent]
    plain = len(parents) == 1 and parents[0][1] == session
    thousands, rest = divmod(time, 1000)
    flags = [row["wall"] != time, "message" in row, not plain, rest != 0]
    out = bytes([0x50 + sum(2**place for place, flag in enumerate(flags) if flag)])
    out += time.to_bytes(7, "big") if rest else thousands.to_bytes(6, "big")
    out += session_of(session)
    out += b"" if plain else number(len(parents))
    for parent, by in parents:
        thousands, rest = divmod(time - int(parent), 1000)
        out += number(2 * (1000 * thousands + rest) + 1 if rest else 2 * thousands)
        out += b"" if plain else b"\xff" if by == session else session_of(by)
    out += string(row["author"])
    ahead = row["wall"] - time
    out += b"" if not ahead else number(2 * ahead if ahead > 0 else -2 * ahead - 1)
    out += string(row["message"]) if "message" in row else b""
    return out + b"".join(map(operation, decode_delta(row["delta"])))


@vectors("bytes")
def test_a_patch_has_the_compact_bytes_that_the_page_says(vector):
    row = json.loads(ROWS[vector["row"]])
    data = bytes.fromhex(vector["bytes"])
    assert Patch.from_row(row).to_bytes() == data == packed(row)
    assert Patch.from_bytes(data).to_row(doc_of_row(row)) == row


def test_the_vectors_write_every_flag():
    flags = {bytes.fromhex(json.loads(line)["bytes"])[0] - 0x50 for line in lines("bytes")}
    assert [bit for bit in (1, 2, 4, 8) if not any(flag & bit for flag in flags)] == []
    assert [bit for bit in (1, 2, 4, 8) if all(flag & bit for flag in flags)] == []


def test_the_vectors_write_whole_milliseconds_and_others_of_times_and_of_ages():
    kinds = set()
    for row in map(json.loads, ROWS):
        time = row["id"][1]
        parents = [parent.partition(":")[0] for parent in row["parents"].split("\t") if parent]
        kinds |= {(time % 1000 == 0, (time - int(parent)) % 1000 == 0) for parent in parents}
    assert len(kinds) == 4


@vectors("bytes")
def test_compact_bytes_are_read_by_the_page_alone(vector):
    row = json.loads(ROWS[vector["row"]])
    assert as_row(read_bytes(bytes.fromhex(vector["bytes"])), doc_of_row(row)) == row


# --- packs


def as_row(patch: Read, doc: str) -> dict[str, Any]:
    """A patch that was read by the page as a row, by sections 3 and 4."""
    time, session = patch.id
    parents = "\t".join(f"{time}:{by}" for time, by in patch.parents)
    row = {"v": 1, "id": [doc, time, session], "author": patch.author, "wall": patch.wall, "parents": parents}
    return (
        row | {"delta": written([*patch.ops])} | ({} if patch.message is None else {"message": patch.message})
    )


@vectors("packs")
def test_rows_make_the_packs_that_the_page_says(vector):
    rows = [json.loads(ROWS[number]) for number in vector["rows"]]
    sections = bytes.fromhex(vector["graph"]), bytes.fromhex(vector["body"])
    assert [as_row(patch, doc_of_row(rows[0])) for patch in read_pack(*sections)] == rows
    assert [patch.to_row(doc_of_row(rows[0])) for patch in decode(*sections)] == rows
    made = encode([Patch.from_row(row) for row in rows])
    assert [unpacked(section)[1] for section in made] == [unpacked(section)[1] for section in sections]


def noting(read: Callable[..., Any]) -> Callable[..., Any]:
    """A method that notes which bytes it took, where no other one asked for them, and what they are."""

    def reading(reader: Any, *arguments: Any) -> Any:
        start, outer, reader.outer = reader.at, reader.outer, False
        result = read(reader, *arguments)
        reader.outer = outer
        if outer and reader.at > start:
            reader.found.append((reader.data[start : reader.at].hex(), result))
        return result

    return reading


class Parts(Fields):
    """Notes each part of a section."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.found: list[tuple[str, Any]] = []
        self.outer = True

    signed, numbers = noting(Fields.signed), noting(Fields.numbers)
    string, strings, table = noting(Fields.string), noting(Fields.strings), noting(Fields.table)
    column, counted = noting(Fields.column), noting(Fields.counted)


def test_each_part_of_the_pack_that_is_explained_is_what_the_page_says():
    rows = [json.loads(line) for line in ROWS[:2]]
    graph, body = (Parts(unpacked(data)[1]) for data in encode([Patch.from_row(row) for row in rows]))
    assert [as_row(patch, doc_of_row(rows[0])) for patch in read_body(body, read_graph(graph))] == rows
    for kind, parts in (("graph", graph), ("body", body)):
        assert parts.found == [(part["bytes"], part["is"]) for part in map(json.loads, lines(kind))]
        assert "".join(part for part, _ in parts.found) == parts.data.hex()
