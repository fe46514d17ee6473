"""Version 1 of the format is frozen: its vectors and stored files are read, and written, as they lie there.

What `vectors/` holds was made by `make_vectors.py`; FORMAT.md says what a later version may change. An
unknown version of anything is refused, and what is refused is left as it is.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from make_vectors import FILES, HERE, compressed_alike, differences, dumped, files, lines, make, vectors
from page_reader import unpacked
from vector_cases import BEGAN, DOC, patch_of, plain, plain_manifest, row_text, tags

import syncstring
from syncstring import Patch
from syncstring._patch import apply, decode_delta, encode_delta, ops_apply
from syncstring.archive import Archive, find_document, list_documents
from syncstring.errors import CorruptStore, MalformedRow, UnsupportedVersion
from syncstring.history import History
from syncstring.manifest import Checkpoint, Manifest, Pack, Section, doc_of_name, name_of_row, name_row
from syncstring.outbox import Outbox
from syncstring.outside import fresh_key
from syncstring.pack import decode, decode_graph, decode_text, encode, encode_text
from syncstring.patch import Id, canonical_bytes
from syncstring.store import Row, Store, open_store
from syncstring.tags import read_tags, tag_of_row, tag_row
from syncstring.testing.reference import Reference

pytestmark = pytest.mark.filterwarnings("ignore:SQLite")


def each(name: str) -> Any:
    """One case for each vector of one file."""
    found = lines(name)
    ids = [str(line.get("what", number)) for number, line in enumerate(found)]
    return pytest.mark.parametrize("vector", found, ids=ids)


def row_of(vector: dict[str, Any]) -> Row:
    row: Row = json.loads(vector["row"])
    return row


# --- what was made ----------------------------------------------------------------------------------------


def test_what_lies_there_is_what_the_script_makes(tmp_path: Path) -> None:
    make(tmp_path)
    assert differences(tmp_path) == []


def test_a_file_that_is_not_what_the_script_makes_is_told(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "tags.jsonl").write_text('{"what": "another"}\n')
    (tmp_path / "names.jsonl").unlink()
    (tmp_path / "stores" / "more").touch()
    with sqlite3.connect(tmp_path / "stores" / "rows.db") as db:
        db.execute("DELETE FROM tags")
    db.close()
    told = ["stores/more: missing", "names.jsonl: not made any more", "stores/rows.db: differs"]
    assert differences(tmp_path) == [*told, "tags.jsonl: differs"]


def test_what_compresses_in_another_way_makes_the_same_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def otherwise(data: bytes, level: int, wbits: int) -> bytes:
        work = zlib.compressobj(level, wbits=wbits, strategy=zlib.Z_HUFFMAN_ONLY)
        return work.compress(data) + work.flush()

    monkeypatch.setattr(zlib, "compress", otherwise)
    make(tmp_path)
    assert (tmp_path / "methods.jsonl").read_bytes() != (HERE / "methods.jsonl").read_bytes()
    assert not compressed_alike()
    assert differences(tmp_path) == []


def test_every_file_is_read_here() -> None:
    stored = [f"stores/{name}{kind}" for name in FILES for kind in (".db", ".json")]
    expected = [f"{name}.jsonl" for name in vectors()] + [*stored, "stores/outbox", "stores/outbox.json"]
    assert files(HERE) == sorted(expected)
    assert all((HERE / name).stat().st_size < 80_000 for name in expected)


# --- vectors ----------------------------------------------------------------------------------------------


@each("deltas")
def test_a_delta_is_composed_and_read_as_it_was(vector: dict[str, Any]) -> None:
    patch = Patch((1, "s"), [], vector["splices"], "", 1)
    ops = decode_delta(vector["delta"])
    assert patch.ops == ops and patch.delta == encode_delta(ops) == vector["delta"]
    assert [list(splice) for splice in patch.splices] == vector["reads"]
    for splices in (vector["splices"], vector["reads"]):
        assert apply(vector["before"], splices) == ops_apply(vector["before"], ops) == vector["after"]


@each("patches")
def test_a_patch_is_read_and_written_as_it_was(vector: dict[str, Any]) -> None:
    patch = patch_of(vector["means"])
    row, data = row_of(vector), bytes.fromhex(vector["bytes"])
    assert Patch.from_row(row) == Patch.from_bytes(data) == patch
    assert plain(Patch.from_row(row)) == plain(Patch.from_bytes(data)) == vector["means"]
    assert row_text(patch.to_row(DOC)) == vector["row"] == row_text(row)
    assert patch.to_bytes() == data
    assert patch.digest().hex() == vector["digest"]
    assert str(patch.id) == vector["name"]


@each("packs")
def test_a_pack_is_read_and_written_as_it_was(vector: dict[str, Any]) -> None:
    patches = [patch_of(means) for means in vector["patches"]]
    sections = bytes.fromhex(vector["graph"]), bytes.fromhex(vector["body"])
    assert [plain(patch) for patch in decode(*sections)] == vector["patches"]
    assert decode_graph(sections[0]) == [(patch.id, patch.parents) for patch in patches]
    for written, there in zip(encode(patches), sections, strict=True):
        written_as_it_was(written, there)


def written_as_it_was(written: bytes, there: bytes) -> None:
    """The same bytes; where they are compressed, which each version of zlib and liblzma may do in a way of
    its own, the same before that."""
    method, raw = unpacked(there)
    assert written == there if method == 0 else unpacked(written)[1] == raw


def patches_of_pack(what: str) -> list[dict[str, Any]]:
    (pack,) = (pack for pack in lines("packs") if pack["what"] == what)
    found: list[dict[str, Any]] = pack["patches"]
    return found


@each("methods")
def test_a_section_is_read_whichever_way_it_was_compressed(vector: dict[str, Any]) -> None:
    patches = decode(bytes.fromhex(vector["graph"]), bytes.fromhex(vector["body"]))
    assert [plain(patch) for patch in patches] == patches_of_pack(vector["pack"])


@each("methods")
def test_a_section_ends_where_what_was_compressed_ends(vector: dict[str, Any]) -> None:
    graph, body = bytes.fromhex(vector["graph"]), bytes.fromhex(vector["body"])
    for changed in (body + b"\0", body + body[-1:], body[:-1]):
        with pytest.raises(CorruptStore):
            decode(graph, changed)


@each("columns")
def test_a_section_is_read_whichever_way_its_columns_were_cut(vector: dict[str, Any]) -> None:
    patches = decode(bytes.fromhex(vector["graph"]), bytes.fromhex(vector["body"]))
    assert [plain(patch) for patch in patches] == patches_of_pack(vector["pack"])


def test_every_method_is_among_the_vectors() -> None:
    assert {unpacked(bytes.fromhex(vector["graph"]))[0] for vector in lines("methods")} == {0, 1, 2}
    chosen = {
        unpacked(bytes.fromhex(vector[name]))[0] for vector in lines("packs") for name in ("graph", "body")
    }
    assert chosen == {0, 1, 2}


def test_packs_with_parents_elsewhere_and_with_messages_are_among_the_vectors() -> None:
    outside, messages = set(), set()
    for vector in lines("packs"):
        ids = {tuple(patch["id"]) for patch in vector["patches"]}
        parents = [[tuple(parent) for parent in patch["parents"]] for patch in vector["patches"]]
        outside |= {(any(id in ids for id in some), any(id not in ids for id in some)) for some in parents}
        messages |= {patch.get("message") for patch in vector["patches"]}
    assert outside == {(False, False), (True, False), (False, True), (True, True)}
    assert messages > {None, ""}


@each("texts")
def test_a_checkpoints_text_is_read_and_written_as_it_was(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["text"])
    assert decode_text(data) == vector["means"]
    written_as_it_was(encode_text(vector["means"]), data)


def manifest_of(means: dict[str, Any]) -> Manifest:
    """A manifest from plain JSON."""

    def section(means: dict[str, Any]) -> Section:
        return Section(means["name"], means["parts"], means["bytes"], means["sha256"])

    def heads(means: dict[str, Any]) -> tuple[Id, ...]:
        return tuple(Id(*id) for id in means["heads"])

    packs = [
        Pack(
            pack["count"], pack["total"], heads(pack), pack["first"], pack["last"],
            section(pack["graph"]), section(pack["body"]),
        )
        for pack in means["packs"]
    ]  # fmt: skip
    point = means["checkpoint"]
    checkpoint = point and Checkpoint(heads(point), point["count"], point["length"], section(point["text"]))
    return Manifest(means["doc"], means["counter"], means["deleted"], tuple(packs), checkpoint)


@each("manifests")
def test_a_manifest_is_read_and_written_as_it_was(vector: dict[str, Any]) -> None:
    manifest = Manifest.from_row(row_of(vector))
    assert manifest == manifest_of(vector["means"])
    assert plain_manifest(manifest) == vector["means"]
    assert row_text(manifest.to_row()) == vector["row"]


@each("names")
def test_a_name_is_read_and_written_as_it_was(vector: dict[str, Any]) -> None:
    assert name_of_row(row_of(vector)) == (vector["name"], vector["doc"])
    assert doc_of_name(vector["name"]) == vector["doc"]
    assert row_text(name_row(vector["name"], vector["doc"])) == vector["row"]


@each("tags")
def test_a_tag_is_read_and_written_as_it_was(vector: dict[str, Any]) -> None:
    heads = [tuple(id) for id in vector["heads"]]
    assert tag_of_row(row_of(vector)) == (vector["tag"], tuple(heads))
    assert row_text(tag_row(vector["doc"], vector["tag"], heads)) == vector["row"]


# --- stored files -----------------------------------------------------------------------------------------


def stored_documents() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name in FILES:
        means = json.loads((HERE / "stores" / f"{name}.json").read_text("utf-8"))
        found += [(name, document) for document in means["documents"]]
    return found


STORED = pytest.mark.parametrize(
    ("file", "means"),
    stored_documents(),
    ids=[f"{file} {means['name']}" for file, means in stored_documents()],
)


def copied(tmp_path: Path, file: str) -> Path:
    """A stored file, where it may be written."""
    return Path(shutil.copy(HERE / "stores" / f"{file}.db", tmp_path / "team.db"))


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 240))


@STORED
def test_a_stored_document_opens_with_its_text_and_every_version(
    tmp_path: Path, file: str, means: dict[str, Any]
) -> None:
    path = copied(tmp_path, file)
    with syncstring.open(path, means["name"], author="reader", create=False) as document:
        assert document._traffic.link.doc == means["doc"]
        assert document.text == means["text"]
        assert [list(id) for id in document.heads] == means["heads"]
        assert {tag: [list(id) for id in heads] for tag, heads in document.tags.items()} == means["tags"]
        assert [document.at(n) for n in range(len(document.history) + 1)] == means["texts"]
        assert [list(version.id) for version in document.versions if version.id] == [
            patch["id"] for patch in means["patches"]
        ]
        assert [plain(patch) for patch in document.history] == means["patches"]
        assert [list(patch.id) for patch in document.parked] == means["parked"]
        misfits = [list(document.history.graph.id_of(event)) for event in document.history.graph.misfits]
        assert misfits == means["misfits"]
        assert len(document.problems) == len(misfits)
        for tag, heads in means["tags"].items():
            assert document.at(tag) == document.history.text_at([Id(*id) for id in heads])


@STORED
def test_a_stored_document_is_read_whole_from_its_rows_and_packs(
    tmp_path: Path, file: str, means: dict[str, Any]
) -> None:
    async def reading() -> list[Patch]:
        async with await open_store(str(copied(tmp_path, file)), read_only=True) as store:
            doc = await find_document(store, means["name"], fresh_key, create=False)
            contents = await Archive(store, doc, fresh_key).read(whole=True)
            assert not contents.problems
            return contents.patches

    patches = [patch for patch in run(reading()) if list(patch.id) not in means["parked"]]
    assert sorted(map(plain, patches), key=lambda one: one["id"]) == means["patches"]
    assert History(patches).text() == Reference(patches).text() == means["text"]


@STORED
def test_a_stored_document_goes_on_being_edited_and_packed(
    tmp_path: Path, file: str, means: dict[str, Any]
) -> None:
    path = copied(tmp_path, file)
    with syncstring.open(path, means["name"], author="writer", create=False) as document:
        document.insert(0, "new ")
        document.flush()
        document.pack()
    with syncstring.open(path, means["name"], author="reader", create=False) as document:
        assert document.text == "new " + means["text"]
        assert document.at(len(means["patches"])) == means["text"]


@pytest.mark.parametrize("file", FILES)
def test_a_stored_file_holds_these_documents_and_no_others(tmp_path: Path, file: str) -> None:
    async def reading() -> list[tuple[str, str]]:
        async with await open_store(str(copied(tmp_path, file)), read_only=True) as store:
            return await list_documents(store)

    expected = [(means["name"], means["doc"]) for name, means in stored_documents() if name == file]
    assert run(reading()) == sorted(expected)


def test_a_stored_outbox_is_read_and_sent(tmp_path: Path) -> None:
    path = Path(shutil.copy(HERE / "stores" / "outbox", tmp_path / "outbox"))
    means = json.loads((HERE / "stores" / "outbox.json").read_text("utf-8"))
    kept = Outbox(path)
    rows = kept.rows()
    kept.close()
    assert [plain(Patch.from_row(row)) for row in rows] == means["patches"]
    assert {row["id"][0] for row in rows} == {means["doc"]}
    assert path.read_bytes() == b"".join(canonical_bytes(row) + b"\n" for row in rows), (
        "the torn end is cut off"
    )
    with syncstring.open(tmp_path / "team.db", "notes.md", author="ada", outbox=path) as document:
        document.flush()
        assert [plain(patch) for patch in document.parked] == means["patches"]


# --- what a later version may have written ----------------------------------------------------------------

PATCH = next(vector for vector in lines("patches") if vector["what"] == "a replacement")
ROW: Row = json.loads(PATCH["row"])
LATER_ROWS: dict[str, Row] = {
    "v": {**ROW, "v": 2},
    "a v that isn't one more": {**ROW, "v": 0},
    "an unknown field": {**ROW, "redacted": True},
    "an unknown operation": {**ROW, "delta": ROW["delta"] + "\t*3"},
    "an unknown operation first": {**ROW, "delta": "~x\t" + ROW["delta"]},
    "all of them": {**ROW, "v": 3, "delta": "~x", "wall": None, "forget": 1},
}
later_row = pytest.mark.parametrize("row", LATER_ROWS.values(), ids=LATER_ROWS)


@later_row
def test_a_row_of_a_later_version_is_unsupported_and_makes_a_history_read_only(row: Row) -> None:
    with pytest.raises(UnsupportedVersion):
        Patch.from_row(row)
    parent = Patch((BEGAN, "k3x9q0w7e2r5"), [], [(0, 0, "Hello")], "ada", BEGAN)
    child = Patch((BEGAN + 99, "s"), [Id(*ROW["id"][1:])], [(0, 0, "x")], "bob", BEGAN)
    history = History([parent, row, child])
    assert history.read_only and history.unsupported is not None
    assert history.text() == "Hello" and history.parked == (child,), "it doesn't count as an empty one"


@later_row
def test_a_stored_row_of_a_later_version_lets_nobody_write_and_is_never_packed(
    tmp_path: Path, row: Row
) -> None:
    path = copied(tmp_path, "rows")
    (means,) = (means for file, means in stored_documents() if file == "rows" and means["name"] == "notes.md")
    later = {**row, "id": [means["doc"], *row["id"][1:]]}

    async def put(*rows: Row) -> None:
        async with await open_store(str(path)) as store:
            assert all(verdict.fine for verdict in await store.insert("patches", rows))

    async def rows() -> list[Row]:
        async with await open_store(str(path)) as store:
            await Archive(store, means["doc"], fresh_key).pack(everything=True)
            return await Archive(store, means["doc"], fresh_key).rows()

    child = Patch((BEGAN + 10**9, "s"), [Id(*ROW["id"][1:])], [(0, 0, "x")], "bob", BEGAN)
    run(put(later, child.to_row(means["doc"])))
    document = syncstring.open(path, "notes.md", author="reader")
    try:
        assert document.text == means["text"], "what it knows can be read"
        for edit in (partial(document.insert, 0, "x"), partial(document.set_text, "x"), document.undo):
            with pytest.raises(UnsupportedVersion, match="upgrade"):
                edit()
        assert not document.unsaved
    finally:
        document.close()
    left = run(rows())
    assert later in left and child.to_row(means["doc"]) in left, "neither it nor what stands on it is packed"


def test_bytes_that_begin_as_no_vector_does_are_unsupported() -> None:
    begun = {bytes.fromhex(vector["bytes"])[0] for vector in lines("patches")}
    assert begun == set(range(0x50, 0x60))
    for first in set(range(256)) - begun:
        with pytest.raises(UnsupportedVersion):
            Patch.from_bytes(bytes([first]) + bytes.fromhex(PATCH["bytes"])[1:])


def test_bytes_with_an_unknown_operation_are_unsupported() -> None:
    with pytest.raises(UnsupportedVersion):
        Patch.from_bytes(bytes.fromhex(PATCH["bytes"]) + bytes([1 << 2 | 3]))


PACK = next(vector for vector in lines("packs") if vector["what"] == "typing")
GRAPH, BODY = bytes.fromhex(PACK["graph"]), bytes.fromhex(PACK["body"])
TEXT = encode_text("Hello")


@pytest.mark.parametrize("version", [0, 2, 3, 63])
def test_a_section_of_another_format_is_unsupported(version: int) -> None:
    refused_sections(lambda data: bytes([version << 1]) + data[1:])


@pytest.mark.parametrize("method", [3, 4, 63])
def test_a_section_by_an_unknown_method_is_unsupported(method: int) -> None:
    refused_sections(lambda data: data[:1] + bytes([method << 1]) + data[2:])


def refused_sections(changed: Callable[[bytes], bytes]) -> None:
    for read in (
        lambda: decode_graph(changed(GRAPH)),
        lambda: decode(changed(GRAPH), BODY),
        lambda: decode(GRAPH, changed(BODY)),
        lambda: decode_text(changed(TEXT)),
    ):
        with pytest.raises(UnsupportedVersion):
            read()


LATER: dict[str, tuple[str, Callable[[Row], Any], dict[str, Any]]] = {
    "a manifest": ("manifests", Manifest.from_row, {"v": 2}),
    "a manifest with a new field": ("manifests", Manifest.from_row, {"forgotten": []}),
    "a name": ("names", name_of_row, {"v": 2}),
    "a tag": ("tags", tag_of_row, {"v": 2}),
}


@pytest.mark.parametrize(("file", "read", "change"), LATER.values(), ids=LATER)
def test_a_row_of_another_table_of_a_later_version_is_unsupported(
    file: str, read: Callable[[Row], Any], change: dict[str, Any]
) -> None:
    for vector in lines(file):
        with pytest.raises(UnsupportedVersion, match="upgrade"):
            read({**row_of(vector), **change})


def test_a_field_that_is_new_deeper_in_a_manifest_is_damage_for_such_a_manifest_has_another_v() -> None:
    (row,) = (
        row_of(vector) for vector in lines("manifests") if vector["what"] == "two packs and a checkpoint"
    )
    for changed in ({**row, "checkpoint": {**row["checkpoint"], "new": 1}},
                    {**row, "packs": [{**pack, "new": 1} for pack in row["packs"]]}):  # fmt: skip
        with pytest.raises(CorruptStore):
            Manifest.from_row(changed)
        with pytest.raises(UnsupportedVersion):
            Manifest.from_row({**changed, "v": 2})


async def changed_row(path: Path, table: str, key: tuple[str, ...], **change: Any) -> None:
    async with await open_store(str(path)) as store:
        (row,) = await store.get(table, [key])
        assert row is not None
        assert (await store.swap(table, key, row, {**row, **change})).fine


@pytest.mark.parametrize("change", [{"v": 2}, {"forgotten": []}])
def test_a_document_with_a_manifest_of_a_later_version_is_not_opened_and_left_as_it_is(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    path = copied(tmp_path, "packed")
    run(changed_row(path, "documents", (DOC,), **change))
    before = dumped_alone(path)
    with pytest.raises(UnsupportedVersion, match="upgrade"):
        syncstring.open(path, "notes.md", author="reader")

    async def packing() -> None:
        async with await open_store(str(path)) as store:
            for work in (Archive(store, DOC, fresh_key).pack, Archive(store, DOC, fresh_key).sweep):
                with pytest.raises(UnsupportedVersion):
                    await work()

    run(packing())
    assert dumped_alone(path) == before


def dumped_alone(path: Path) -> list[str]:
    """All that a SQLite file says, once its log is folded into it."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return dumped(path)


async def put_later_section(path: Path, means: dict[str, Any], which: str) -> None:
    """Have a document's checkpoint, or a section of its only pack, be of format 2."""
    async with await open_store(str(path)) as store:
        archive = Archive(store, means["doc"], fresh_key)
        manifest = await archive.manifest()
        (pack,), point = manifest.packs, manifest.checkpoint
        assert point is not None
        sections = {"graph": pack.graph, "body": pack.body, "text": point.text}
        data = bytes([2 << 1]) + (await archive.section(sections[which]))[1:]
        sections[which] = section = Section.of(f"later-{which}", data)
        await store.insert("packs", section.rows(means["doc"], data))
        after = manifest.next(
            packs=(replace(pack, graph=sections["graph"], body=sections["body"]),),
            checkpoint=replace(point, text=sections["text"]),
        )
        assert (await store.swap("documents", (means["doc"],), manifest.to_row(), after.to_row())).fine


PACKED = next(means for _, means in stored_documents() if means["name"] == "Grüße 乙.md")


def test_a_document_whose_checkpoint_is_of_a_later_version_is_not_opened(tmp_path: Path) -> None:
    path = copied(tmp_path, "packed")
    run(put_later_section(path, PACKED, "text"))
    with pytest.raises(UnsupportedVersion, match="format 2"):
        syncstring.open(path, PACKED["name"], author="reader")


@pytest.mark.parametrize("which", ["graph", "body"])
def test_a_document_whose_past_is_of_a_later_version_can_be_edited_and_keeps_it(
    tmp_path: Path, which: str
) -> None:
    path = copied(tmp_path, "packed")
    run(put_later_section(path, PACKED, which))
    with syncstring.open(path, PACKED["name"], author="writer") as document:
        assert document.text == PACKED["text"]
        for asked in (partial(document.at, 3), document.blame):
            with pytest.raises(UnsupportedVersion, match="format 2"):
                asked()
        document.insert(0, "new ")
        document.flush()
    with syncstring.open(path, PACKED["name"], author="reader") as document:
        assert document.text == "new " + PACKED["text"]
        manifest = document._traffic.call(document._traffic.link.archive.manifest())
        assert [section.name for pack in manifest.packs for section in pack.sections()].count(
            f"later-{which}"
        ) == 1


def test_a_document_whose_name_is_of_a_later_version_is_not_opened_and_gets_no_second_one(
    tmp_path: Path,
) -> None:
    path = copied(tmp_path, "packed")
    run(changed_row(path, "names", (doc_of_name("notes.md"),), v=2))
    before = dumped_alone(path)
    with pytest.raises(UnsupportedVersion, match="upgrade"):
        syncstring.open(path, "notes.md", author="reader")
    assert dumped_alone(path) == before


def test_a_tag_of_a_later_version_is_passed_over_and_stays(tmp_path: Path) -> None:
    path = copied(tmp_path, "rows")
    (tag, heads), *_ = tags()
    run(changed_row(path, "tags", (DOC, tag_row(DOC, tag, heads)["id"][1]), v=2))

    async def reading() -> tuple[list[str], list[Row | None]]:
        async with await open_store(str(path)) as store:
            key = (DOC, tag_row(DOC, tag, heads)["id"][1])
            return [*await read_tags(store, DOC)], await store.get("tags", [key])

    names, (row,) = run(reading())
    assert names == ["nothing"] and row is not None and row["v"] == 2
    with syncstring.open(path, "notes.md", author="reader") as document:
        document.insert(0, "new ")


def test_a_file_of_a_later_version_is_not_opened_and_left_as_it_is(tmp_path: Path) -> None:
    path = copied(tmp_path, "rows")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 2")
    db.close()
    before = dumped_alone(path)
    for options in ({}, {"read_only": True}):
        with pytest.raises(UnsupportedVersion, match="format 2; this is 1"):
            run(opened(path, **options))
    assert dumped_alone(path) == before


async def opened(path: Path, **options: Any) -> Store:
    return await open_store(str(path), **options)


def test_an_outbox_with_a_later_versions_row_is_not_sent_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    kept = Outbox(path)
    kept.add([{**ROW, "v": 2}])
    kept.close()
    before = path.read_bytes()
    with pytest.raises(UnsupportedVersion):
        syncstring.open(tmp_path / "team.db", "notes.md", author="ada", outbox=path)
    assert path.read_bytes() == before


def test_what_breaks_a_rule_is_malformed_whatever_a_later_version_might_mean() -> None:
    for change in ({"v": "1"}, {"v": 1.0}, {"delta": "=0\t*3"}, {"delta": "*3", "parents": "x"}):
        with pytest.raises(MalformedRow):
            Patch.from_row({**ROW, **change})
