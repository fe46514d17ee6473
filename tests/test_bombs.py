"""What is made to be too much: refused at the limit, in bounded memory, or near-linear in operations.

Limits are those of the format: the greatest that is allowed is taken, one more is refused, with one
`SyncstringError` that says which limit. What is allowed, however ugly, costs about twice as much when there
is twice as much of it. Nothing is timed: kernels count their steps, and of Python the calls are counted. The
shapes of `test_growth.py` are those of histories that somebody may have; these here are those of somebody who
wants to do harm.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_growth import Growing, assert_doubles, at_once, live, whole

from syncstring import Document, History, Patch, pack
from syncstring._diff import BUDGET, diff_counted
from syncstring._patch import apply
from syncstring.archive import Archive
from syncstring.backends.memory import MemoryStore
from syncstring.errors import CorruptStore, MalformedRow, PatchError, SyncstringError, UnsupportedVersion
from syncstring.fsck import check_document
from syncstring.imports import read_rows
from syncstring.manifest import Manifest, Pack, Section, hash_of_name, rows_of_pack
from syncstring.merge import Merge
from syncstring.patch import (
    MAX_AUTHOR,
    MAX_MESSAGE,
    MAX_OPERATIONS,
    MAX_PARENTS,
    MAX_ROW,
    Id,
    canonical_bytes,
)
from syncstring.store import open_store, refusal
from syncstring.tags import tag_of_row
from syncstring.testing.strategies import histories, patches
from syncstring.traces import read_trace

DOC = "d" * 40
BASE = Id(1, "base")


def calls(work: Callable[[], object]) -> int:
    """How many functions a piece of work calls, compiled ones included."""
    count = 0

    def counted(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def row(**changed: Any) -> dict[str, Any]:
    made = Patch((5, "ada"), [], [(0, 0, "x")], "ada", 5).to_row(DOC)
    return {**made, **changed}


# --- a row at each limit, and one beyond ------------------------------------------------------------


def of_size(size: int) -> dict[str, Any]:
    """A row of just so many canonical bytes."""
    made = row(delta="+")
    return {**made, "delta": "+" + "x" * (size - len(canonical_bytes(made)))}


def parents(count: int) -> str:
    return "\t".join(f"1:{n:048}" for n in range(count))


def operations(count: int) -> str:
    return "\t".join("-1" if n % 2 else "=1" for n in range(count))


@pytest.mark.parametrize(
    ("most", "beyond", "words"),
    [
        (of_size(MAX_ROW), of_size(MAX_ROW + 1), "1,048,577 bytes"),
        (row(parents=parents(MAX_PARENTS)), row(parents=parents(MAX_PARENTS + 1)), "1,025 parents"),
        (row(delta=operations(MAX_OPERATIONS)), row(delta=operations(MAX_OPERATIONS + 2)), "100,002 op"),
        (row(author="é" * (MAX_AUTHOR // 2)), row(author="é" * (MAX_AUTHOR // 2) + "e"), "257 bytes"),
        (row(message="😀" * (MAX_MESSAGE // 4)), row(message="😀" * (MAX_MESSAGE // 4) + "e"), "4,097 bytes"),
    ],
    ids=["row", "parents", "operations", "author", "message"],
)
def test_a_row_at_a_limit_is_taken_and_one_beyond_it_is_refused(
    most: dict[str, Any], beyond: dict[str, Any], words: str
) -> None:
    patch = Patch.from_row(most)
    assert patch.to_row(DOC) == most
    assert Patch.from_bytes(patch.to_bytes()) == patch
    assert pack.decode(*pack.encode([patch])) == [patch]
    assert refusal(most) == ""
    with pytest.raises(MalformedRow, match=words):
        Patch.from_row(beyond)
    history = History([most, beyond])
    assert [type(problem) for problem in history.problems][:1] == [MalformedRow]


def test_a_name_at_its_limit_is_taken_and_one_beyond_it_is_refused() -> None:
    assert len(hash_of_name("é" * 2_048)) == 40
    with pytest.raises(PatchError, match="4,097 bytes"):
        hash_of_name("é" * 2_048 + "e")


@pytest.mark.parametrize("text", ["x", "\x1f", "\0", "%", "é", "😀", "\t"])
def test_a_commit_of_the_longest_text_on_the_most_heads_by_the_longest_author_never_fails(text: str) -> None:
    heads = [Patch((n + 1, f"{n:048}"), [], (), "x", 0) for n in range(MAX_PARENTS)]
    document = Document(session="s" * 48, author="\x1f" * MAX_AUTHOR, clock=lambda: 1 << 51, patches=heads)
    document.insert(0, text * 1_500_000)
    last = document.commit("\x1f" * MAX_MESSAGE)
    assert last is not None and last.message is not None
    made = document.outgoing
    assert made[-1] == last and len(made[0].parents) == MAX_PARENTS and len(made) < 20
    assert all(len(canonical_bytes(patch.to_row(DOC))) <= MAX_ROW for patch in made)
    assert History([*heads, *(Patch.from_row(patch.to_row(DOC)) for patch in made)]).text() == document.text


def test_a_document_at_its_limit_is_taken_and_one_letter_more_is_refused_and_changes_nothing() -> None:
    document = Document(session="ada", author="ada", clock=lambda: 9)
    document.insert(0, "x" * (16 << 20))
    with pytest.raises(PatchError, match=r"16,777,217 .* 16,777,216"):
        document.insert(7, "y")
    document.splice(7, 1, "y")
    assert len(document) == 16 << 20


def test_an_edit_of_more_operations_than_a_row_has_room_for_becomes_a_chain_that_does_it() -> None:
    text = "ab" * 150_001
    document = Document(session="ada", author="ada", clock=lambda: 9)
    document.insert(0, text)
    document.commit()
    document.outgoing.clear()
    for n in reversed(range(150_000)):
        document.splice(2 * n + 1, 1, "")
    document.commit()
    assert 3 < len(document.outgoing) < 10
    assert all(len(canonical_bytes(patch.to_row(DOC))) <= MAX_ROW for patch in document.outgoing)
    assert document.text == "a" * 150_000 + "ab" == document.history.text()
    document.check()


@pytest.mark.parametrize("count", [MAX_PARENTS, MAX_PARENTS + 1, 2 * MAX_PARENTS, 3 * MAX_PARENTS])
def test_any_number_of_heads_is_merged_by_the_next_commit(count: int) -> None:
    heads = [Patch((n + 1, f"s{n:05}"), [], [(0, 0, "x")], "x", 0) for n in range(count)]
    document = Document(session="ada", author="ada", clock=lambda: 1 << 40, patches=heads)
    document.insert(0, "!")
    document.commit()
    assert len(document.outgoing) == -(-(count - 1) // (MAX_PARENTS - 1))
    assert len(document.heads) == 1
    assert document.text == "!" + "x" * count == History([*heads, *document.outgoing]).text()


# --- what is allowed, and ugly ------------------------------------------------------------


def a_tooth_at_each_letter(add: Growing, n: int) -> None:
    """One long line, and at each of its letters somebody who has seen nothing but it."""
    base = add("base", set(), "x" * n)
    for i in range(n):
        add(f"s{i * 7919 % n:06}", {base}, i, "x")


def a_tooth_at_each_patch_of_a_chain(add: Growing, n: int) -> None:
    """A long chain at one place, and on each of its patches somebody who has seen no more."""
    last = add("chain", set(), "x")
    for i in range(n):
        add(f"tooth{i * 7919 % n:06}", {last}, "x")
        last = add("chain", {last}, "x")


def teeth_that_delete_the_same_line(add: Growing, n: int) -> None:
    base = add("base", set(), "x" * n)
    last = add("all", {base}, -n)
    for i in range(n):
        add(f"s{i * 7919 % n:06}", {base}, i, -1)
        last = add("all", {last}, "x")


def everybody_merges_everybody_each_round(add: Growing, n: int) -> None:
    """Rounds of 64 who each name all 64 of the last round."""
    tips: set[int] = set()
    for _ in range(n):
        tips = {add(f"s{who:02}", tips, "x") for who in range(64)}


def a_chain_that_names_as_parents_all_that_it_may(add: Growing, n: int) -> None:
    """Every patch names the 256 before it, of which the last one would do."""
    last: list[int] = []
    for _ in range(n):
        last = [*last[-255:], add("s", set(last), "x")]


def a_chain_of_empty_patches_beside_another(add: Growing, n: int) -> None:
    a = b = add("base", set(), "base")
    for _ in range(n):
        a, b = add("a", {a}), add("b", {b})


def misfits_beside_misfits(add: Growing, n: int) -> None:
    a = b = add("base", set(), "base")
    for _ in range(n):
        a, b = add("a", {a}, -99), add("b", {b}, 7_000_000, "x")


def a_fork_at_each_fork(add: Growing, n: int) -> None:
    """A tree that doubles at each level, all of it at one place."""
    level = [add("root", set(), "x")]
    while len(level) < n:
        level = [add(f"s{2 * i + side}", {tip}, "x") for i, tip in enumerate(level) for side in (0, 1)]


def one_letter_typed_and_deleted_by_two(add: Growing, n: int) -> None:
    a = b = add("base", set(), "x")
    for _ in range(n):
        a = add("a", {add("a", {a}, "x")}, -1)
        b = add("b", {add("b", {b}, 1, "x")}, 1, -1)


UGLY: list[tuple[Callable[[Growing, int], None], int]] = [
    (a_tooth_at_each_letter, 20_000),
    (a_tooth_at_each_patch_of_a_chain, 8_000),
    (teeth_that_delete_the_same_line, 8_000),
    (everybody_merges_everybody_each_round, 32),
    (a_chain_that_names_as_parents_all_that_it_may, 4_000),
    (a_chain_of_empty_patches_beside_another, 20_000),
    (misfits_beside_misfits, 20_000),
    (a_fork_at_each_fork, 8_192),
    (one_letter_typed_and_deleted_by_two, 10_000),
]
EVERY_UGLY = pytest.mark.parametrize(("build", "n"), UGLY, ids=[build.__name__ for build, _ in UGLY])


@EVERY_UGLY
def test_live_twice_as_much_of_it_costs_about_twice_the_steps(
    build: Callable[[Growing, int], None], n: int
) -> None:
    assert_doubles(lambda n: live(build, n).steps, n)


@EVERY_UGLY
def test_at_once_twice_as_much_of_it_costs_about_twice_the_steps(
    build: Callable[[Growing, int], None], n: int
) -> None:
    # Each event counts as one more: of patches that do nothing, thousands take no step.
    assert_doubles(lambda n: len(graph := whole(build, n)) + at_once(graph).steps, n)


@EVERY_UGLY
def test_live_and_at_once_it_ends_in_one_text(build: Callable[[Growing, int], None], n: int) -> None:
    tip = live(build, n // 2)
    merge = Merge(whole(build, n // 2))
    assert str(tip.buffer) == merge.text(len(tip.graph)) == merge.text_at(tip.graph.heads)


def chain(n: int) -> list[Patch]:
    made: list[Patch] = []
    for i in range(n):
        made.append(Patch.trusted(Id(i + 1, "s"), tuple(p.id for p in made[-1:]), ("x",), "s", 0))
    return made


def fan(n: int) -> list[Patch]:
    """Two chains that merge each other at each patch."""
    made: list[Patch] = []
    for i in range(n):
        known = tuple(sorted(p.id for p in made[-2:]))
        made.append(Patch.trusted(Id(2 * i // 2 + 1, f"s{i % 2}"), known, ("x",), "s", 0))
    return made


@pytest.mark.parametrize("make", [chain, fan])
def test_children_that_come_before_their_parents_wait_at_no_more_than_twice_the_cost_for_twice_as_many(
    make: Callable[[int], list[Patch]],
) -> None:
    def received(n: int) -> int:
        made = make(n)
        document = Document(session="reader", author="reader", clock=lambda: 0)

        def work() -> None:
            for patch in reversed(made):
                document.receive([patch])

        count = calls(work)
        assert len(document.history) == n and not document.parked
        return count

    assert_doubles(received, 2_000)


@pytest.mark.slow
def test_a_chain_of_100000_patches_that_arrives_backwards_all_at_once_is_read() -> None:
    made = chain(100_000)
    history = History(reversed(made))
    assert history.text() == "x" * 100_000
    assert history.text_at([made[0].id]) == "x"


def test_100000_insertions_at_0_become_one_patch_and_one_operation() -> None:
    document = Document(session="ada", author="ada", clock=lambda: 9)
    for n in range(100_000):
        document.insert(0, "ab"[n % 2])
    patch = document.commit()
    assert patch is not None and patch.ops == ("ba" * 50_000,)
    assert document.history.text() == document.text


def test_300_patches_at_0_are_taken_back_one_by_one_and_brought_back_at_once() -> None:
    document = Document(session="ada", author="ada", clock=lambda: 9)
    for _ in range(300):
        document.insert(0, "x")
        document.commit()
    for _ in range(300):
        document.undo()
    assert document.text == ""
    document.restore(300)
    assert document.text == "x" * 300


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x" * 100_000, "x" * 90_000),
        ("x" * 100_000, ("x" * 99 + "y") * 900),
        ("xy" * 50_000, "yx" * 50_000),
        ("x\n" * 50_000, "\nx" * 49_999),
        ("x" * 50_000 + "y" * 50_000, "y" * 50_000 + "x" * 50_000),
    ],
)
def test_texts_of_one_or_two_letters_are_diffed_within_the_budget(old: str, new: str) -> None:
    splices, steps = diff_counted(old, new)
    assert apply(old, splices) == new
    assert steps <= BUDGET


# --- what claims to be more than it is ------------------------------------------------------------


def section(
    raw: bytes = b"", *, size: int | None = None, method: int = 1, data: bytes | None = None
) -> bytes:
    """A section that says of itself what it likes."""
    head = pack._Writer()
    for number in (1, method, len(raw) if size is None else size, zlib.crc32(raw)):
        head.number(number)
    return bytes(head.out) + (zlib.compress(raw, 9, -15) if data is None else data)


TEN_GB = 10 << 30

LIMITED = """
import re, resource, sys, zlib, lzma
from pathlib import Path
from syncstring import pack, traces
from syncstring.errors import SyncstringError

def most():
    "The peak in KiB: of this program alone, where it can be had, and not of the one that started it."
    try:
        return int(re.search(r"VmHWM:\\s*([0-9]+)", Path("/proc/self/status").read_text())[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

used = most()
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
data = Path(sys.argv[1]).read_bytes()
for read in (pack.decode_text, pack.decode_graph, lambda data: pack.decode(data, data))[: int(sys.argv[2])]:
    try:
        read(data)
    except SyncstringError as error:
        print(type(error).__name__, error)
    else:
        print("taken")
print((most() - used) >> 10)
"""


@pytest.fixture(scope="module")
def ten_gigabytes() -> bytes:
    """What unpacks to 10 GB of one letter: 10 MB that repeat."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    chunk = b"x" * (1 << 20)
    parts = [packer.compress(chunk) for _ in range(64)]
    unit = packer.compress(chunk) + packer.flush(zlib.Z_FULL_FLUSH)
    again = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = again.compress(chunk * 8) + again.flush(zlib.Z_FULL_FLUSH)
    return b"".join(parts) + unit + block * (TEN_GB // (8 << 20))


def limited(tmp_path: Path, data: bytes, ways: int = 3) -> list[str]:
    """What another process, which has 1 GiB, says of a text, a graph, a pack; and how many MiB it took."""
    path = tmp_path / "section"
    path.write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path), str(ways)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("size", [TEN_GB, pack.MAX_SECTION + 1, -1, (1 << 62) - 1])
@pytest.mark.parametrize("method", [0, 1, 2])
def test_a_section_that_claims_more_than_a_section_may_have_is_refused_unread(
    tmp_path: Path, size: int, method: int
) -> None:
    *said, mebibytes = limited(tmp_path, section(size=size, method=method, data=b"\0" * 1_000))
    assert all("CorruptStore" in line and "at most 268,435,456 are allowed" in line for line in said)
    assert int(mebibytes) < 16


@pytest.mark.slow
@pytest.mark.parametrize("size", [TEN_GB, pack.MAX_SECTION, 1 << 20, 100])
def test_a_section_that_unpacks_to_10_gigabytes_is_refused_in_bounded_memory(
    tmp_path: Path, ten_gigabytes: bytes, size: int
) -> None:
    assert len(ten_gigabytes) < 20 << 20
    ways = 1 if size == pack.MAX_SECTION else 3
    *said, mebibytes = limited(tmp_path, section(size=size, data=ten_gigabytes), ways)
    assert [line.split()[0] for line in said] == ["CorruptStore"] * ways
    assert int(mebibytes) < 600


@pytest.mark.slow
def test_a_section_at_its_limit_is_read_in_bounded_memory(tmp_path: Path) -> None:
    writer = pack._Writer()
    writer.number(pack.MAX_SECTION - 5)
    raw = bytes(writer.out) + b"x" * (pack.MAX_SECTION - 5)
    assert len(raw) == pack.MAX_SECTION
    said, mebibytes = limited(tmp_path, section(raw, data=zlib.compress(raw, 1, -15)), 1)
    assert said == "taken"
    assert int(mebibytes) < 1_000


@pytest.mark.parametrize("of", ["graph", "body"])
def test_a_section_that_counts_to_more_than_there_can_be_is_refused(of: str) -> None:
    for count in (-1, pack.MAX_PATCHES + 1, 1 << 40, 1 << 62):
        writer = pack._Writer()
        writer.numbers([count, 1, 1, 0])
        bomb = section(bytes(writer.out))
        with pytest.raises(CorruptStore):
            pack.decode_graph(bomb) if of == "graph" else pack.decode(pack.encode([])[0], bomb)


def test_a_column_of_many_numbers_in_few_bytes_is_refused() -> None:
    graph, _ = pack.encode([Patch((5, "ada"), [], (), "ada", 0)])
    for bomb in range(len(graph)):
        for byte in (0x7F, 0xFF):
            damaged = graph[:bomb] + bytes([byte]) * 9 + graph[bomb + 1 :]
            with pytest.raises((CorruptStore, UnsupportedVersion)):
                pack.decode_graph(damaged)


@pytest.mark.slow
def test_a_trace_that_unpacks_to_10_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.json.gz"
    unit = gzip.compress(b" " * (64 << 20), 9, mtime=0)
    path.write_bytes(unit * 160)
    with pytest.raises(MalformedRow, match="bytes"):
        read_trace(path)


# --- depth, digits, tabs ------------------------------------------------------------

DEEP = "[" * 200_000
NESTED: Any = []
for _ in range(100_000):
    NESTED = [NESTED]
DIGITS = "9" * 10_000
HUGE = int("9" * 4_000) ** 3  # so long that `repr` refuses it

VALUES = [
    NESTED,
    {"a": NESTED},
    HUGE,
    -HUGE,
    [HUGE],
    {"a": HUGE},
    DIGITS,
    DEEP,
    float("inf"),
    float("nan"),
    "\t" * 10**6,
]


@pytest.mark.parametrize("field", ["v", "id", "author", "wall", "parents", "delta", "message", "more"])
@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_a_row_with_something_monstrous_in_a_field_is_refused(field: str, value: Any) -> None:
    with pytest.raises((MalformedRow, UnsupportedVersion)) as failure:
        Patch.from_row(row(**{field: value}))
    assert len(str(failure.value)) < 500
    assert History([row(**{field: value})]).problems


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_a_row_with_something_monstrous_in_its_id_is_refused(place: int, value: Any) -> None:
    id: list[Any] = [DOC, 5, "ada"]
    id[place] = value
    with pytest.raises(MalformedRow):
        Patch.from_row(row(id=id))


def manifests() -> Iterator[dict[str, Any]]:
    one = Section("n", 1, 1, "d")
    listed = Pack(1, 1, (BASE,), 1, 1, one, one)
    good = Manifest(DOC, 1, packs=(listed,)).to_row()
    assert Manifest.from_row(good).total == 1
    for value in VALUES:
        yield from ({**good, name: value} for name in (*good, "more"))
        yield from ({**good, "packs": [{**good["packs"][0], name: value}]} for name in good["packs"][0])
        yield from (
            {**good, "packs": [{**good["packs"][0], "graph": [*["n", 1, 1, "d"][:at], value, "d"][:4]}]}
            for at in range(4)
        )
        yield {**good, "packs": [{**good["packs"][0], "heads": [value]}]}
        yield {**good, "packs": [{**good["packs"][0], "heads": [f"{DIGITS}:ada"]}]}
        yield {**good, "checkpoint": {"heads": [], "count": value, "length": 1, "text": ["n", 1, 1, "d"]}}


def test_a_manifest_with_something_monstrous_anywhere_is_refused_or_means_something_else() -> None:
    for number, wrong in enumerate(manifests()):
        try:
            Manifest.from_row(wrong)
        except (CorruptStore, UnsupportedVersion) as error:
            assert len(str(error)) < 500
        else:
            assert refusal(wrong) == "", f"manifest {number} was taken, which no store could keep"


def test_a_tag_with_something_monstrous_in_it_is_refused() -> None:
    for value in VALUES:
        for name in ("v", "id", "tag", "heads"):
            with pytest.raises((CorruptStore, UnsupportedVersion)):
                tag_of_row({"v": 1, "id": [DOC, hash_of_name("t1")], "tag": "t1", "heads": [], name: value})
        with pytest.raises((CorruptStore, UnsupportedVersion)):
            tag_of_row(
                {"v": 1, "id": [DOC, hash_of_name("t1")], "tag": "t1", "heads": [value, f"{DIGITS}:a"]}
            )


@pytest.mark.parametrize(
    "line",
    [
        DEEP,
        '{"a":' * 100_000,
        f'{{"v": {DIGITS}}}',
        canonical_bytes(row()).decode().replace('"wall":5', f'"wall":{DIGITS}'),
        canonical_bytes(row()).decode().replace('"wall":5', f'"wall":1e{DIGITS}'),
        canonical_bytes(row()).decode().replace('"ada"', DEEP),
        f'"{"x" * 10**6}"',
    ],
    ids=range(7),
)
def test_a_line_of_rows_that_is_deep_or_has_many_digits_is_refused(line: str) -> None:
    with pytest.raises((MalformedRow, UnsupportedVersion), match="line 2"):
        read_rows([canonical_bytes(row()), line.encode()])


@pytest.mark.parametrize(
    "content",
    [
        DEEP,
        '{"txns":' + DEEP,
        '{"kind":"concurrent","numAgents":' + DIGITS + ',"endContent":"","txns":[]}',
        '{"startContent":"","endContent":"","txns":[{"time":"","patches":[[' + DIGITS + ',0,"x"]]}]}',
        '{"startContent":"","endContent":"","txns":[{"time":"","patches":[[0,0,' + DEEP + "]]}]}",
        '{"kind":"concurrent","numAgents":1e9,"endContent":"","txns":[]}',
        '{"kind":"concurrent","numAgents":1000000000,"endContent":"","txns":[]}',
        '{"kind":"concurrent","numAgents":1,"endContent":"","txns":[{"agent":0,"parents":['
        + DIGITS
        + '],"patches":[]}]}',
    ],
    ids=range(8),
)
def test_a_trace_that_is_deep_or_has_many_digits_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bomb.json"
    path.write_text(content)
    try:
        trace = read_trace(path)
    except SyncstringError as error:
        assert len(str(error)) < 1_000
    else:
        assert len(trace.patches) == 0


@pytest.mark.parametrize(
    "delta",
    [
        "\t" * 10**6,
        "=" + DIGITS,
        "-" + DIGITS,
        "=1\t" * 10**5,
        "+%" * 10**5,
        "+%",
        "+" + "%2" * 10**5,
        "=1\t=1",
    ],
    ids=range(8),
)
def test_a_monstrous_delta_is_refused(delta: str) -> None:
    with pytest.raises((MalformedRow, UnsupportedVersion)):
        Patch.from_row(row(delta=delta))


@pytest.mark.parametrize(
    "data",
    [
        bytes([0x50]) + bytes(10**6),
        Patch((5, "ada"), [], [(0, 0, "x")], "ada", 5).to_bytes() + b"\x04\x06" * 10**6,
        bytes([0x54]) + bytes(6) + b"\5" + b"\x83ada" + b"\xff" * 8 + b"\x7f",
        b"\x50" * (2 * MAX_ROW + 1),
    ],
    ids=range(4),
)
def test_monstrous_patch_bytes_are_refused(data: bytes) -> None:
    with pytest.raises((MalformedRow, UnsupportedVersion)):
        Patch.from_bytes(data)


def test_twice_the_packs_in_a_manifest_cost_about_twice_the_calls() -> None:
    def listing(n: int) -> int:
        packs = [
            Pack(
                1,
                i + 1,
                (Id(i + 1, "s"),),
                i + 1,
                i + 1,
                Section(f"{i}g", 1, 1, "d"),
                Section(f"{i}b", 1, 1, "d"),
            )
            for i in range(n)
        ]
        manifest = Manifest(DOC, 1, packs=tuple(packs)).to_row()
        return calls(lambda: Manifest.from_row(manifest).keys())

    assert_doubles(listing, 2_000)


@pytest.mark.parametrize("work", ["read", "pack"])
def test_twice_the_packs_cost_about_twice_the_calls_to_the_store(work: str) -> None:
    """Packs of one patch each, which nobody makes who merges them."""

    async def done(n: int) -> int:
        async with await open_store("memory:") as store:
            assert isinstance(store, MemoryStore)
            packs: list[Pack] = []
            for i, patch in enumerate(chain(n)):
                made, rows = rows_of_pack(DOC, f"{i:020}", [patch], packs[-1] if packs else None, (patch.id,))
                packs.append(made)
                await store.insert("packs", rows)
            await store.insert("documents", [Manifest(DOC, 1, packs=tuple(packs)).to_row()])
            late = Patch.trusted(Id(n + 9, "late"), (packs[0].heads[0],), ("y",), "late", 0)
            await store.insert("patches", [late.to_row(DOC)])
            archive = Archive(store, DOC, lambda: "f" * 40)
            before = store.calls
            if work == "read":
                assert len((await archive.read()).patches) == n + 1
            else:
                packed = await archive.pack(everything=True)
                assert packed is not None and packed.count == 1 and len(packed.manifest.packs) == 1
            return store.calls - before

    assert_doubles(lambda n: asyncio.run(done(n)), 400)


# --- what is more than a pack may hold ------------------------------------------------------------


async def typed(store: MemoryStore, patches: list[Patch]) -> None:
    """The rows of patches, one by one."""
    for patch in patches:
        (verdict,) = await store.insert("patches", [patch.to_row(DOC)])
        assert verdict.fine


def drawing() -> Callable[[], str]:
    names = (f"{number:020x}" * 2 for number in range(10**9))
    return lambda: next(names)


async def packs_of(archive: Archive) -> list[list[Patch]]:
    return [await archive.patches(each) for each in (await archive.manifest()).packs]


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> int:
    """Room for ten patches of a chain in a pack."""
    size = 10 * pack.room(chain(2)[1])
    monkeypatch.setattr("syncstring.archive.PACK_SIZE", size)
    return size


def test_what_a_pack_may_hold_is_what_can_be_read_again() -> None:
    assert pack.PACK_SIZE // pack.LEAST_ROOM <= pack.MAX_PATCHES
    assert pack.PACK_SIZE // 4 <= pack._MAX_COLUMN  # operations; parents are fewer
    assert pack.PACK_SIZE * 8 <= pack.MAX_SECTION
    assert 4 * pack.MAX_TEXT + 10 <= pack.MAX_SECTION


@given(histories() | st.lists(patches(), max_size=9, unique_by=lambda patch: patch.id), st.integers(1, 500))
def test_pieces_are_the_patches_and_have_the_room_that_they_take(some: list[Patch], size: int) -> None:
    found = list(pack.pieces(some, size))
    assert [patch for piece in found for patch in piece] == some
    for piece in found:
        assert len(piece) == 1 or sum(map(pack.room, piece)) <= size
    for piece, after in pairwise(found):
        assert sum(map(pack.room, [*piece, after[0]])) > size
    sections = pack.encode(sorted(some, key=lambda patch: patch.id))
    assert sum(len(pack._unpacked(each)) for each in sections) <= 8 * sum(map(pack.room, some)) + 32


@pytest.mark.parametrize(
    ("limit", "words"),
    [("MAX_PATCHES", "21 patches; a pack has at most 20"), ("_MAX_COLUMN", "a column of 21"),
     ("MAX_SECTION", "at most 20 are allowed")],
)  # fmt: skip
def test_a_pack_that_could_not_be_read_again_is_not_written(
    limit: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, limit, 20)
    with pytest.raises(PatchError, match=words):
        pack.encode(chain(21))


@pytest.mark.parametrize("count", [9, 10, 11, 95, 100])
def test_a_document_that_no_pack_holds_is_packed_into_several_at_once(small_packs: int, count: int) -> None:
    async def work() -> None:
        async with await open_store("memory:") as store:
            assert isinstance(store, MemoryStore)
            await store.insert("documents", [Manifest(DOC).to_row()])
            archive = Archive(store, DOC, drawing())
            await typed(store, chain(count))
            packed = await archive.pack(everything=True)
            assert packed is not None and packed.count == count
            found = await packs_of(archive)
            assert [len(each) for each in found[:-1]] == [10] * (len(found) - 1)
            assert [patch for each in found for patch in each] == chain(count)
            assert await archive.rows() == [] and await archive.pack(everything=True) is None
            base = (await archive.read()).base
            assert base is not None and base.text == "x" * count
            assert (await check_document(store, DOC, drawing())).findings == []

    asyncio.run(work())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories(), st.integers(40, 400), st.integers(1, 20))
def test_whatever_is_packed_into_several_has_the_heads_that_it_should_have(
    monkeypatch: pytest.MonkeyPatch, some: list[Patch], size: int, step: int
) -> None:
    async def work() -> None:
        async with await open_store("memory:") as store:
            assert isinstance(store, MemoryStore)
            await store.insert("documents", [Manifest(DOC).to_row()])
            archive = Archive(store, DOC, drawing())
            for start in range(0, len(some), step):
                await typed(store, some[start : start + step])
                await archive.pack(everything=True)
            contents = await archive.read(whole=True)
            assert {patch.id: patch for patch in contents.patches} == {patch.id: patch for patch in some}
            assert await archive.rows() == []
            findings = (await check_document(store, DOC, drawing())).findings
            assert {finding.kind for finding in findings} <= {"misfit"}

    with monkeypatch.context() as patched:
        patched.setattr("syncstring.archive.PACK_SIZE", size)
        asyncio.run(work())


@pytest.mark.parametrize("step", [1, 3, 7, 10, 25])
def test_a_document_without_an_end_is_packed_for_ever_and_full_packs_are_left_alone(
    small_packs: int, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = read = 0
    reads = Archive.patches

    async def patches_of(archive: Archive, each: Pack) -> list[Patch]:
        nonlocal read
        read += each.count
        return await reads(archive, each)

    async def work(n: int) -> None:
        nonlocal written
        async with await open_store("memory:") as store:
            assert isinstance(store, MemoryStore)
            await store.insert("documents", [Manifest(DOC).to_row()])
            archive = Archive(store, DOC, drawing())
            known: set[str] = set()
            for start in range(0, n, step):
                await typed(store, chain(n)[start : start + step])
                assert await archive.pack(everything=True) is not None
                manifest = await archive.manifest()
                written += sum(each.count for each in manifest.packs if each.name not in known)
                known |= {each.name for each in manifest.packs}
            found = await packs_of(archive)
            assert [patch for each in found for patch in each] == chain(n)
            for one, two in pairwise(found):
                room = sum(map(pack.room, [*one, *two]))
                assert sum(map(pack.room, one)) <= small_packs
                assert len(one) >= 2 * len(two) or room > small_packs

    monkeypatch.setattr(Archive, "patches", patches_of)
    asyncio.run(work(200))
    assert written <= 5 * 200  # as often as ten can be halved, and once
    assert read <= 3 * 5 * 200  # to merge, to compare, in vain


def test_a_text_that_no_section_holds_makes_no_checkpoint_and_is_packed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> None:
        async with await open_store("memory:") as store:
            assert isinstance(store, MemoryStore)
            await store.insert("documents", [Manifest(DOC).to_row()])
            archive = Archive(store, DOC, drawing())
            await typed(store, chain(9))
            assert await archive.pack(everything=True) is not None
            contents = await archive.read()
            assert contents.manifest.checkpoint is None and contents.base is None
            assert History(contents.patches).text() == "x" * 9
            assert (await check_document(store, DOC, drawing())).findings == []

    monkeypatch.setattr("syncstring.archive.MAX_TEXT", 8)
    asyncio.run(work())


def test_a_store_takes_nothing_that_is_deeper_than_any_reader_can_go() -> None:
    async def kept(value: Any) -> str:
        async with await open_store("memory:") as store:
            (verdict,) = await store.insert("documents", [{"v": 1, "id": [DOC], "value": value}])
            return verdict.kind

    for value in VALUES:
        expected = "inserted" if isinstance(value, str) else "refused"
        assert asyncio.run(kept(value)) == expected
    assert json.loads(canonical_bytes(row()))["v"] == 1
