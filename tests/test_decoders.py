"""Whatever comes in from outside is taken whole, or refused with one reason: bent inputs, found ones, bombs.

The inputs are made anew in every run, from a seed that a failure tells; `decoders.py` makes as many as one
likes. What was ever found stands here by name.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import lzma
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import seeds
from decoder_targets import DOC, TARGETS, Target, Unfit, leb, patches, wrapped
from decoders import drive, share

from syncstring.archive import delete_document, find_document, list_documents, rename_document
from syncstring.compact import Reader, put
from syncstring.errors import CorruptStore, MalformedRow, PatchError, SyncstringError, UnsupportedVersion
from syncstring.git import _Commit
from syncstring.imports import read_rows
from syncstring.interop import apply_context_patches, from_dmp_delta
from syncstring.manifest import Manifest, hash_of_name, name_of_row, name_row
from syncstring.offsets import splices_from_utf8, splices_from_utf16
from syncstring.pack import MAX_PATCHES, MAX_SECTION, decode, decode_graph, decode_text, encode
from syncstring.patch import MAX_OPERATIONS, MAX_PARENTS, Id, Patch
from syncstring.refs import Moment, Name, parse_ref
from syncstring.store import Store, open_store
from syncstring.tags import tag_of_row, tag_row
from syncstring.traces import read_trace

INPUTS = 100_000  # of all targets together
SHARES = share(INPUTS)


@pytest.mark.parametrize("name", TARGETS)
def test_a_bent_input_is_taken_whole_or_refused_with_one_reason(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seed = seeds.fresh()
    tally = drive(TARGETS[name], seed, SHARES[name], slow=5.0)
    again = f"python tests/decoders.py --target {name} --seed {seed} --inputs {SHARES[name]}"
    found = "\n".join(tally.found.values())
    assert not tally.found, f"{tally.count} of {tally.inputs} inputs; {again}\n{found}"
    assert tally.accepted, f"nothing is ever taken, so nothing was tested; {again}"


# --- the driver itself ------------------------------------------------------------------------------------


def _target(run: Callable[[bytes], object]) -> Target:
    return Target("one", 1, (MalformedRow,), run, lambda: [b"abc", b"12"])


def test_another_error_than_a_target_names_is_found_with_its_input() -> None:
    def run(data: bytes) -> None:
        if len(data) > 5:
            raise PatchError("not this one's")

    tally = drive(_target(run), 1, 500)
    assert 0 < tally.count < tally.inputs == 500
    (told,) = tally.found.values()
    assert len(eval(told.split("\n")[0])) > 5
    assert "PatchError: not this one's" in told


def test_what_a_target_names_is_no_find() -> None:
    def run(data: bytes) -> None:
        raise MalformedRow("no") if len(data) % 2 else Unfit("no")

    tally = drive(_target(run), 1, 500)
    assert (tally.refused, tally.accepted, tally.found) == (500, 0, {})


def test_an_input_that_takes_long_is_found() -> None:
    def run(data: bytes) -> None:
        end = time.process_time() + 1
        while data == b"12" and time.process_time() < end:
            pass

    tally = drive(_target(run), 1, 2, slow=0.5)
    assert [told.split("\n")[0] for told in tally.found.values()] == ["b'12'"]


def test_the_same_seed_makes_the_same_inputs_and_another_one_others() -> None:
    def seen(seed: int) -> list[bytes]:
        inputs: list[bytes] = []
        drive(_target(inputs.append), seed, 200)
        return inputs

    assert seen(3) == seen(3) != seen(4)


@pytest.mark.parametrize("guided", [False, True], ids=["by itself", "by coverage"])
def test_the_script_prints_a_line_of_figures(guided: bool) -> None:
    if guided:
        pytest.importorskip("atheris")
    script = str(Path(__file__).with_name("decoders.py"))
    options = ["--target", "refs", "--seed", "5", "--inputs", "300", "--json", *["--atheris"][:guided]]
    done = subprocess.run([sys.executable, script, *options], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["seed"], told["inputs"], told["found"]) == (5, 300, 0)
    assert told["targets"]["refs"]["accepted"] + told["targets"]["refs"]["refused"] == 300


# --- what was found ---------------------------------------------------------------------------------------


def _bad(*ids: tuple[int, str], parents: tuple[tuple[int, str], ...] = (), ops: Any = ("a",)) -> list[Patch]:
    """Patches that break a rule, made past all checks, as another program may have made them."""
    known = tuple(Id(*parent) for parent in parents)
    return [Patch.trusted(id, known, ops, "ada", max(id[0], 0)) for id in ids]


@pytest.mark.parametrize(
    "some",
    [
        _bad((5, "k#x9")),
        _bad((5, "")),
        _bad((0, "a")),
        _bad((-5, "a")),
        _bad((1 << 53, "a")),
        _bad((1 << 52, "a")),
        _bad((5, "a"), (5, "a")),
        _bad((5, "a"), parents=((5, "b"),)),
        _bad((9, "a"), parents=((3, "b"), (2, "b"))),
        _bad((9, "a"), parents=((3, "b"), (3, "b"))),
        _bad((9, "a"), parents=((0, "b"),)),
        _bad((9, "a"), parents=((3, "b c"),)),
    ],
    ids=lambda some: f"{[tuple(patch.id) for patch in some]}"[:40],
)
def test_a_graph_section_holds_only_ids_and_parents_that_patches_can_have(some: list[Patch]) -> None:
    graph, body = encode(some)
    with pytest.raises(CorruptStore):
        decode_graph(graph)
    with pytest.raises(CorruptStore):
        decode(graph, body)


def _section(*columns: bytes) -> bytes:
    return wrapped(b"".join(columns))


def _run(times: int, number: int) -> bytes:
    return leb(times) + leb(number) if times >= 3 else leb(-times) + times * leb(number)


def _graph(count: int) -> bytes:
    """As many patches as one says, a millisecond apart, in a few bytes."""
    columns = [_run(count, 0), _run(count, 1), _run(count, 0), _run(count, 0)]
    return _section(leb(count), leb(1), leb(1), b"a", *columns, leb(0), leb(0))


def test_a_graph_section_knows_its_own_patches_by_their_distance() -> None:
    columns = [_run(2, 0), _run(2, 1), _run(2, 0), leb(-2), leb(0), leb(1)]
    table, parent = leb(1) + leb(1) + b"a", leb(1) + leb(1_000) + leb(1) + b"a"
    distance, outside = leb(1) + _run(1, 1), leb(1) + _run(1, 0) + leb(0)
    assert len(decode_graph(_section(leb(2), table, *columns, leb(0), distance))) == 2
    with pytest.raises(CorruptStore, match="a parent outside is in it"):
        decode_graph(_section(leb(2), table, *columns, parent, outside))


@pytest.mark.parametrize("ops", [(5,), (-1, 5), ("a", "b"), (-1, -2), (3, 3, "a"), ("a", 1, -1, 2)])
def test_a_body_section_holds_only_deltas_in_canonical_form(ops: tuple[int | str, ...]) -> None:
    with pytest.raises(CorruptStore, match="canonical"):
        decode(*encode(_bad((5, "a"), ops=ops)))


@pytest.mark.parametrize(("gap", "fine"), [(0, True), (1, False), (-1, False), (1 << 40, False)])
def test_a_message_belongs_to_a_patch_of_its_pack(gap: int, fine: bool) -> None:
    table = leb(1) + leb(1) + b"x"
    shapes = leb(1) + leb(0)
    body = [table, _run(1, 1), _run(1, 0), leb(1), leb(gap), leb(2) + b"hi", shapes, _run(1, 0)]
    body += [leb(0), leb(0), leb(0)]
    if fine:
        assert decode(_graph(1), _section(*body))[0].message == "hi"
        return
    with pytest.raises(CorruptStore, match="a message of patch"):
        decode(_graph(1), _section(*body))


def test_a_body_section_with_too_little_text_is_refused() -> None:
    table = leb(1) + leb(1) + b"x"
    shapes = leb(1) + leb(1) + b"+"
    body = [table, _run(1, 1), _run(1, 0), leb(0), shapes, _run(1, 0), leb(0)]
    body += [leb(1), _run(1, 1 << 40), leb(2) + b"hi"]
    with pytest.raises(CorruptStore, match="inserts more text than there is"):
        decode(_graph(1), _section(*body))


MANIFEST = json.loads(TARGETS["manifests"].seeds()[-1])


@pytest.mark.parametrize(
    "heads",
    [[7], [None], ["17"], ["17:"], ["1_7:a"], [" 7:a"], ["07:a"], ["-1:a"], ["9" * 5_000 + ":a"], "17:a", 5],
    ids=lambda heads: f"{heads!r:.20}",
)
def test_heads_in_a_row_are_ids_in_the_form_that_we_write(heads: Any) -> None:
    checkpoint = {**MANIFEST["checkpoint"], "heads": heads}
    with pytest.raises(CorruptStore):
        Manifest.from_row({**MANIFEST, "checkpoint": checkpoint})
    with pytest.raises(CorruptStore):
        tag_of_row({**tag_row(DOC, "x", ()), "heads": heads})


@pytest.mark.parametrize(
    "change",
    [{"deleted": 0}, {"v": True}, {"v": 1.0}, {"counter": True}, {"packs": {}}, {"packs": 5}, {"id": []}],
    ids=repr,
)
def test_a_manifest_of_other_types_is_none(change: dict[str, Any]) -> None:
    assert Manifest.from_row(MANIFEST).to_row() == MANIFEST
    with pytest.raises(CorruptStore):
        Manifest.from_row({**MANIFEST, **change})


def test_a_field_of_a_manifest_that_we_do_not_know_is_not_dropped_but_refused() -> None:
    with pytest.raises(UnsupportedVersion, match="unknown field 'rule'; upgrade"):
        Manifest.from_row({**MANIFEST, "rule": 2})


def test_a_manifest_that_its_store_cannot_read_is_damaged_and_not_of_a_later_version() -> None:
    with pytest.raises(CorruptStore, match="its checksum is wrong"):
        Manifest.from_row({"id": [DOC], "unreadable": "its checksum is wrong"})


@pytest.mark.parametrize("change", [{"v": True}, {"v": 1.0}, {"id": []}, {"id": ""}, {"id": None}], ids=repr)
def test_a_tag_of_other_types_is_none(change: dict[str, Any]) -> None:
    row = tag_row(DOC, "x", ())
    assert tag_of_row(row) == ("x", ())
    with pytest.raises(CorruptStore):
        tag_of_row({**row, **change})


NAME = name_row("notes", DOC)


def _of_a_name(row: dict[str, Any], error: type[SyncstringError], says: str) -> None:
    """Everything that reads names says so of this one, and changes nothing."""

    async def everything() -> None:
        async with await open_store("memory:") as store:
            await store.insert("documents", [Manifest(DOC).to_row()])
            await store.insert("names", [row, name_row("other", "e" * 40)])
            for work in _readers_of_names(store):
                with pytest.raises(error, match=says) as failure:
                    await work
                assert row["id"][0] in str(failure.value)
            assert await store.get("names", [(row["id"][0],)]) == [row]

    asyncio.run(everything())


def _readers_of_names(store: Store) -> list[Coroutine[Any, Any, Any]]:
    return [
        list_documents(store),
        find_document(store, "notes", lambda: "f" * 40),
        find_document(store, "notes", lambda: "f" * 40, create=False),
        rename_document(store, "notes", "ideas"),
        delete_document(store, "notes"),
    ]


@pytest.mark.parametrize(
    "change",
    [{"name": None}, {"name": 7}, {"name": "another"}, {"doc": None}, {"doc": 7}, {"doc": "d"},
     {"doc": [DOC]}, {"doc": "D" * 40}, {"v": True}, {"more": 1}],
    ids=repr,
)  # fmt: skip
def test_a_name_of_other_types_is_one_corrupt_store_to_everybody(change: dict[str, Any]) -> None:
    assert name_of_row(NAME) == ("notes", DOC)
    _of_a_name({**NAME, **change}, CorruptStore, "can't be read")


@pytest.mark.parametrize("field", ["name", "doc"])
def test_a_name_without_a_field_is_one_corrupt_store_to_everybody(field: str) -> None:
    row = {key: value for key, value in NAME.items() if key != field}
    _of_a_name(row, CorruptStore, f"can't be read: no field '{field}'; fsck")


@pytest.mark.parametrize("v", [2, None, "1", [1]], ids=repr)
def test_a_name_of_a_later_format_is_an_unsupported_version_to_everybody(v: Any) -> None:
    _of_a_name({**NAME, "v": v, "doc": None}, UnsupportedVersion, "format .*; upgrade")


def test_a_name_that_its_store_cannot_read_is_a_corrupt_store() -> None:
    with pytest.raises(CorruptStore, match="its checksum is wrong"):
        name_of_row({"id": [hash_of_name("notes")], "unreadable": "its checksum is wrong"})


@pytest.mark.parametrize(
    "written", ["5 ſ ago", "5 ſeconds ago", "5 wee\u212as ago", "yeſterday 17:00", "٣ s ago"], ids=ascii
)
def test_a_time_is_written_in_ascii_letters_alone(written: str) -> None:
    assert parse_ref(written, lambda: 10**15) == Name(written)
    assert isinstance(parse_ref("5 S AGO", lambda: 10**15), Moment)


@pytest.mark.parametrize("convert", [splices_from_utf16, splices_from_utf8])
@pytest.mark.parametrize(
    "splice",
    [("é", 0, 3), (2, 1), -0.0, None, (2, 0.5, ""), (0, 1, -0.0), (0, True, ""), "abc", {0: 1, 1: 2, 2: 3}],
    ids=ascii,
)
def test_a_splice_from_an_editor_is_two_whole_numbers_and_a_text(convert: Any, splice: Any) -> None:
    with pytest.raises(PatchError, match=r"splice 1: it is .*; a splice is"):
        convert("aé😀b", [(0, 1, ""), splice])


@pytest.mark.parametrize("url", ["sqlite:a\ud800.db", "\ud800", "sqlite:no/\ud800/x"], ids=ascii)
def test_a_path_with_a_lone_surrogate_names_no_store(url: str) -> None:
    with pytest.raises(PatchError, match="lone surrogate"):
        asyncio.run(open_store(url, create=False))


@pytest.mark.parametrize(
    "answer",
    [
        b"0" + b"ab" * 20 + b" \xff\n",
        b"0" + b"ab" * 20 + b"\n\n",
        b"0" + b"ab" * 20 + b" " + b"cd" * 20 + b"\n",
        b"1" + b"ab" * 20 + b" blob 1" + b"0" * 5_000 + b"\n",
        b"2" + b"ab" * 20 + b"\0:000000 100644 A",
        b"2" + b"ab" * 20 + b"\0:100644 100644 R100\0old",
    ],
    ids=lambda answer: repr(answer)[:20],
)
def test_half_an_answer_of_git_is_one_corrupt_store(answer: bytes) -> None:
    with pytest.raises(CorruptStore):
        TARGETS["git_answers"].run(answer)


# --- bombs ------------------------------------------------------------------------------------------------


def _most(work: Callable[[], object], error: type[SyncstringError]) -> int:
    """Bytes that were taken at most, until it was refused with this error."""
    tracemalloc.start()
    try:
        with pytest.raises(error):
            work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _zeros(count: int, method: int) -> Iterator[bytes]:
    if method == 1:
        packer: Any = zlib.compressobj(9, zlib.DEFLATED, -15)
    else:
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "lc": 3, "pb": 0, "dict_size": 1 << 22}]
        packer = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=filters)
    for _ in range(count >> 20):
        yield packer.compress(bytes(1 << 20))
    yield packer.flush()


def _head(method: int, size: int) -> bytes:
    return b"".join(map(leb, (1, method, size, 0)))


@pytest.mark.parametrize("method", [1, 2], ids=["deflate", "lzma"])
@pytest.mark.parametrize("claimed", [0, 100, 10 << 30, 1 << 62, -1], ids=str)
@pytest.mark.parametrize("read", [decode_graph, decode_text], ids=["graph", "text"])
def test_a_section_takes_no_more_memory_than_it_may_claim(read: Any, claimed: int, method: int) -> None:
    data = _head(method, claimed) + b"".join(_zeros(64 << 20, method))
    assert _most(lambda: read(data), CorruptStore) < 16 << 20


def test_a_section_may_claim_only_so_much() -> None:
    assert MAX_SECTION <= 256 << 20
    with pytest.raises(CorruptStore, match="it would have 10,737,418,240 bytes"):
        decode_text(_head(0, 10 << 30))


HUGE = [1 << 26, MAX_PATCHES + 1, 1 << 62, -1]


def test_many_patches_that_are_alike_take_few_bytes() -> None:
    assert len(decode_graph(_graph(100_000))) == 100_000
    assert len(_graph(100_000)) < 40


def test_the_most_patches_in_the_fewest_bytes_take_bounded_memory() -> None:
    """That is 33 bytes. What a patch takes is measured of fewer: the greatest pack takes 300 MiB."""
    count = 1 << 15
    tracemalloc.start()
    try:
        assert len(decode_graph(_graph(count))) == count
        most = tracemalloc.get_traced_memory()[1] / count
    finally:
        tracemalloc.stop()
    assert most * MAX_PATCHES < 300 << 20


def test_columns_of_different_lengths_are_refused_before_memory_is_taken_for_patches() -> None:
    table, column = leb(1) + leb(1) + b"a", _run(MAX_PATCHES, 0)
    last = _run(MAX_PATCHES + 1, 0), _run(MAX_PATCHES - 1, 0), b""
    for wrong in last:
        graph = _section(leb(MAX_PATCHES), table, column, _run(MAX_PATCHES, 1), column, wrong)
        assert len(graph) < 64
        assert _most(partial(decode_graph, graph), CorruptStore) < 48 << 20
    graph = _section(
        leb(MAX_PATCHES), table, column, _run(MAX_PATCHES, 1), column, column, leb(0), leb(0), leb(0)
    )
    assert _most(partial(decode_graph, graph), CorruptStore) < 48 << 20


@pytest.mark.parametrize(
    "section",
    [
        *(_graph(count) for count in HUGE[:2]),
        *(_section(leb(count)) for count in HUGE),  # of patches
        *(_section(leb(0), leb(count)) for count in HUGE),  # of sessions
        *(_section(leb(1), leb(1), leb(count)) for count in HUGE),  # of letters in one
        *(_section(leb(1), leb(0), leb(count), leb(0)) for count in HUGE),  # in a run
        *(_section(leb(1), leb(0), leb(-count)) for count in HUGE),
        *(_section(leb(0), leb(0), leb(count)) for count in HUGE),  # of parents outside
        *(_section(leb(0), leb(0), leb(0), leb(count)) for count in HUGE),  # of parents
        _section(leb(1), leb(1), leb(1), b"a", _run(1, 0), _run(1, 1), _run(1, 0), _run(1, 1 << 26), leb(0)),
        _section(b"\xff" * 1_000_000),
    ],
    ids=lambda section: f"{len(section)} bytes",
)
def test_a_graph_that_claims_more_than_it_has_is_refused_at_once(section: bytes) -> None:
    assert _most(lambda: decode_graph(section), CorruptStore) < 16 << 20


@pytest.mark.parametrize("count", HUGE)
@pytest.mark.parametrize("place", range(9))
def test_a_body_that_claims_more_than_it_has_is_refused_at_once(place: int, count: int) -> None:
    table = leb(1) + leb(1) + b"x"
    columns = [table, _run(1, 1), _run(1, 0), leb(0), leb(1) + leb(2) + b"+-", _run(1, 0), leb(0)]
    columns += [leb(2) + _run(2, 1), leb(1) + b"a"]
    graph = _graph(1)
    assert len(decode(graph, _section(*columns))) == 1
    columns[place] = leb(count)
    assert _most(lambda: decode(graph, _section(*columns)), CorruptStore) < 16 << 20


def test_a_long_shape_that_many_patches_share_is_refused_at_once() -> None:
    count, shape = 10_000, b"+-" * 50_000
    table, shapes = leb(1) + leb(1) + b"x", leb(1) + leb(len(shape)) + shape
    alike = _run(count, 0)
    body = _section(
        table, alike, alike, leb(0), shapes, alike, leb(0), leb(1 << 22), _run(1 << 22, 1), leb(0)
    )
    graph = _graph(count)
    assert _most(lambda: decode(graph, body), CorruptStore) < 64 << 20


def test_patch_bytes_that_claim_more_than_there_is_are_refused_at_once() -> None:
    whole = patches()[3].to_bytes()
    varint = b"\xff" * 7 + b"\x1f"
    for at in range(len(whole)):
        data = whole[:at] + varint
        assert _most(partial(Patch.from_bytes, data), SyncstringError) < 4 << 20
    with pytest.raises(MalformedRow):
        Patch.from_bytes(b"\x50" * (2 << 20 | 1))


def test_patch_bytes_are_read_no_further_than_the_format_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    plain = Reader.number

    def number(reader: Reader, what: str) -> int:
        nonlocal count
        count += 1
        return plain(reader, what)

    monkeypatch.setattr(Reader, "number", number)
    small = Patch((9, "ada"), [(3, "ada")], (), "ada", 9)
    ops = small.to_bytes() + (leb_of(1 << 2 | 0) + leb_of(1 << 2 | 2)) * (MAX_OPERATIONS // 2)
    assert len(Patch.from_bytes(ops).ops) == MAX_OPERATIONS
    count = 0
    with pytest.raises(MalformedRow, match="100,001 operations or more; at most 100,000"):
        Patch.from_bytes(ops + (leb_of(1 << 2 | 0) + leb_of(1 << 2 | 2)) * 900_000)
    assert count < MAX_OPERATIONS + 10
    merged = Patch((9, "ada"), [(3, "ada"), (4, "ada")], (), "ada", 9).to_bytes()
    at = merged.index(b"\x02", 8)
    count = 0
    with pytest.raises(MalformedRow, match="1,025 parents; at most 1,024"):
        Patch.from_bytes(merged[:at] + leb_of(MAX_PARENTS + 1) + merged[at + 1 :])
    assert count < 10


def leb_of(number: int) -> bytes:
    """A number in compact bytes, which have no sign."""
    out = bytearray()
    put(out, number)
    return bytes(out)


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"v":' * 100_000,
        b'{"v":1,"id":' + b"9" * 100_000 + b"}",
        b'{"v":' + b"9" * 4_000 + b"}",
    ],
    ids=["lists", "objects", "digits", "number"],
)
def test_a_line_of_rows_may_be_as_deep_and_as_long_as_it_likes(line: bytes) -> None:
    with pytest.raises((MalformedRow, UnsupportedVersion)):
        read_rows([line])


def test_a_row_with_a_long_delta_or_many_parents_is_refused() -> None:
    row = patches()[0].to_row(DOC)
    for change in (
        {"delta": "+" + "a" * (1 << 20)},
        {"delta": "\t".join(["-1", "=1"] * 100_000) + "\t+a"},
        {"parents": "\t".join(f"{number}:a" for number in range(1, 2_000))},
        {"parents": "1:a\t" * 200_000},
    ):
        assert _most(partial(Patch.from_row, {**row, **change}), MalformedRow) < 64 << 20


def test_a_trace_with_huge_numbers_is_refused_or_small(tmp_path: Path) -> None:
    path = tmp_path / "bomb.json"
    for change in (
        {"txns": [{"patches": [[1 << 50, 0, ""]]}]},
        {"txns": [{"patches": [[0, 1 << 50, ""]]}]},
        {"txns": [{"patches": [[0, 10**400, ""]]}]},
        {"kind": "concurrent", "numAgents": 1 << 60, "txns": []},
        {"kind": "concurrent", "numAgents": 2, "txns": [{"agent": 1 << 50, "parents": [], "patches": []}]},
        {"kind": "concurrent", "numAgents": 1, "txns": [{"agent": 0, "parents": [0] * 5_000, "patches": []}]},
    ):
        path.write_text(json.dumps({"endContent": "", **change}))
        assert _most(lambda: read_trace(path), MalformedRow) < 16 << 20
    agents = {"kind": "concurrent", "numAgents": (1 << 53) - 1, "txns": [], "endContent": ""}
    path.write_text(json.dumps(agents))
    assert len(read_trace(path).patches) == 0
    deep = tmp_path / "deep.json.gz"
    deep.write_bytes(gzip.compress(b"[" * 1_000_000))
    with pytest.raises(MalformedRow, match="nested too deep"):
        read_trace(deep)


def test_foreign_patches_with_huge_numbers_are_refused() -> None:
    for written in ("=9999999999999999", "-9999999999999999", "=1\t" * 100_000, "+" + "%" * 100_000):
        with pytest.raises((MalformedRow, PatchError)):
            from_dmp_delta(written, "abc")
    far, long = "@@ -9999999999999999,1 +1,1 @@\n+a\n", "@@ -1,9999999999999999 +1 @@\n a\n"
    for header in (far, long, "@@ -1,1 +1" * 10_000):
        with pytest.raises(MalformedRow):
            apply_context_patches("abc", header)


def test_a_name_of_a_version_may_be_as_long_as_it_likes() -> None:
    many = "a1b2+" * 200_000
    for written in ("1" * 1_000_000, many, many + "c3d4", "2026-01-01 " + "1" * 100_000, " " * 1_000_000):
        try:
            parse_ref(written, lambda: 0)
        except PatchError as error:
            assert len(str(error)) < 300


def test_a_commit_may_be_as_large_as_it_likes() -> None:
    commit = _Commit(b"author " + b"a" * 5_000_000 + b" <x> 5\nencoding punycode\n\n" + b"m" * 5_000_000)
    assert (len(commit.author), len(commit.message or "")) == (256, 4_096)
