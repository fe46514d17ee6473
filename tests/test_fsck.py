"""Whatever is planted in a store is found, named and weighed; and repairing never loses anything."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from syncstring.archive import Archive, delete_document, find_document
from syncstring.backends.memory import MemoryStore
from syncstring.document import Document
from syncstring.errors import StoreUnavailable, SyncstringError
from syncstring.fsck import Report, check_document, check_everything, salvage
from syncstring.history import History
from syncstring.manifest import Manifest, hash_of_name, name_row, rows_of_checkpoint, rows_of_pack
from syncstring.patch import Id, Patch
from syncstring.store import EVERYTHING, TABLES, Key, Row, Store, key_of, open_store
from syncstring.tags import read_tags, set_tag, tag_row

pytestmark = pytest.mark.filterwarnings("ignore:SQLite")
T = TypeVar("T")
NOON = 1_700_000_000_000_000
PACKS = (30, 12, 5)
LOOSE = 4
ALL = sum(PACKS) + LOOSE


class World:
    """A store with one document in three packs and some rows, and what it should say."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.doc = ""
        self.drawn = 0
        self.patches: list[Patch] = []
        self.text = ""

    def fresh(self) -> str:
        self.drawn += 1
        return f"{random.Random(self.drawn).getrandbits(160):040x}"

    @property
    def archive(self) -> Archive:
        return Archive(self.store, self.doc, self.fresh)

    async def build(self) -> World:
        self.doc = await find_document(self.store, "notes.md", self.fresh)
        clock = iter(range(NOON, NOON << 1, 1_000_000))
        ada = Document(session="ada", author="Ada", clock=lambda: next(clock))
        bob = Document(session="bob", author="Bob", clock=lambda: next(clock))
        for number, count in enumerate((*PACKS, LOOSE)):
            for i in range(count):
                who, other = (ada, bob) if i % 3 else (bob, ada)
                who.insert(i % (len(who) + 1), f"{number}.{i} ")
                who.commit()
                if i % 4:
                    other.receive(who.history.patches())
                    who.receive(other.history.patches())
            ada.receive(bob.history.patches())
            bob.receive(ada.history.patches())
            new = [patch for patch in ada.history.patches() if patch not in self.patches]
            self.patches += new
            await self.store.insert("patches", [patch.to_row(self.doc) for patch in new])
            if number < len(PACKS):
                await self.archive.pack(everything=True)
        self.text = ada.text
        await set_tag(self.store, self.doc, "v1", ada.heads)
        assert len(self.patches) == ALL
        return self

    # --- damage ------------------------------------------------------------

    async def manifest(self) -> Manifest:
        return await self.archive.manifest()

    async def row(self, table: str, *key: Any) -> Row:
        (row,) = await self.store.get(table, [key])
        assert row is not None
        return row

    async def change(self, table: str, old: Row, **fields: Any) -> None:
        assert (await self.store.swap(table, key_of(old), old, {**old, **fields})).fine

    async def remove(self, table: str, *rows: Row) -> None:
        assert all(verdict.kind == "deleted" for verdict in await self.store.delete(table, rows))

    async def put(self, table: str, *rows: Row) -> None:
        assert all(verdict.kind == "inserted" for verdict in await self.store.insert(table, rows))

    async def pack_row(self, number: int, part: str) -> Row:
        pack = (await self.manifest()).packs[number]
        return await self.row("packs", self.doc, f"{pack.name}-{part}.0")

    async def everything(self) -> dict[str, dict[tuple[Any, ...], Row]]:
        return {
            table: {key_of(row): row async for batch in self.store.scan(table, *EVERYTHING) for row in batch}
            for table in TABLES
        }

    async def check(self, repair: bool = False) -> Report:
        return await check_document(self.store, self.doc, self.fresh, repair)

    async def relist(self, **changes: Any) -> None:
        """A manifest that says something else."""
        row = await self.row("documents", self.doc)
        assert (await self.store.swap("documents", (self.doc,), row, {**row, **changes})).fine


def flipped(data: bytes) -> bytes:
    return data[:40] + bytes([data[40] ^ 1]) + data[41:]


Plant = Callable[[World], Awaitable[None]]


class Damage(NamedTuple):
    plant: Plant
    kinds: set[str]
    patches: int = ALL
    """That can be read then."""
    unread: int = 0
    opens: bool = True
    whole: bool = True
    mended: bool = False
    """Whether `--repair` makes all of it as it was."""


DAMAGES: dict[str, Damage] = {}


def damage(*kinds: str, **expected: Any) -> Callable[[Plant], Plant]:
    def note(plant: Plant) -> Plant:
        DAMAGES[plant.__name__] = Damage(plant, set(kinds), **expected)
        return plant

    return note


@damage("damaged-section", patches=30, unread=ALL - 30, whole=False)
async def a_flipped_byte_in_a_body(world: World) -> None:
    row = await world.pack_row(1, "body")
    await world.change("packs", row, data=flipped(row["data"]))


@damage("damaged-section", patches=30, unread=ALL - 30, whole=False)
async def a_flipped_byte_in_a_graph(world: World) -> None:
    row = await world.pack_row(1, "graph")
    await world.change("packs", row, data=flipped(row["data"]))


@damage("missing-row", patches=0, unread=ALL, whole=False)
async def a_missing_pack_row(world: World) -> None:
    await world.remove("packs", await world.pack_row(0, "body"))


@damage("unreadable-row", patches=42, unread=5 + LOOSE, whole=False)
async def a_pack_row_without_bytes(world: World) -> None:
    row = await world.pack_row(2, "body")
    await world.remove("packs", row)
    await world.put("packs", {"v": 1, "id": row["id"], "unreadable": "its checksum differs"})


@damage("misplaced-row", "unlisted", patches=30, unread=ALL - 30, whole=False, mended=True)
async def a_pack_row_under_a_wrong_key(world: World) -> None:
    row = await world.pack_row(1, "body")
    await world.remove("packs", row)
    await world.put("packs", {**row, "id": [world.doc, "somewhere-else.0"]})


@damage("missing-parent", patches=sum(PACKS) + 1, unread=LOOSE - 2, whole=False)
async def a_parent_that_is_not_there(world: World) -> None:
    first = next(patch for patch in world.patches[sum(PACKS) :] if not _others(world, patch))
    await world.remove("patches", first.to_row(world.doc))


def _others(world: World, patch: Patch) -> bool:
    """Whether a loose patch stands on another loose one."""
    loose = {other.id for other in world.patches[sum(PACKS) :]}
    return not loose.isdisjoint(patch.parents)


@damage("missing-parent", patches=30, unread=5 + LOOSE, whole=False)
async def a_pack_that_is_not_listed_any_more(world: World) -> None:
    manifest = await world.manifest()
    first, second, third = (pack.to_json() for pack in manifest.packs)
    await world.relist(packs=[first, {**third, "total": first["total"] + third["count"]}])
    await world.remove(
        "packs",
        *[
            await world.row("packs", *key)
            for section in manifest.packs[1].sections()
            for key in section.keys(world.doc)
        ],
    )
    assert second not in (await world.row("documents", world.doc))["packs"]


@damage("lying-checkpoint", mended=True)
async def a_checkpoint_that_lies(world: World) -> None:
    manifest = await world.manifest()
    assert manifest.checkpoint is not None
    text = manifest.checkpoint.read(await world.archive.section(manifest.checkpoint.text))
    lie = text[:-1] + "?"
    checkpoint, rows = rows_of_checkpoint(
        world.doc, world.fresh()[:20], manifest.checkpoint.heads, manifest.checkpoint.count, lie
    )
    for key in manifest.checkpoint.text.keys(world.doc):
        await world.remove("packs", await world.row("packs", *key))
    await world.put("packs", *rows)
    await world.relist(checkpoint=checkpoint.to_json())


@damage("lying-checkpoint", mended=True)
async def a_checkpoint_that_counts_wrongly(world: World) -> None:
    checkpoint = (await world.row("documents", world.doc))["checkpoint"]
    await world.relist(checkpoint={**checkpoint, "count": checkpoint["count"] + 1})


@damage("damaged-section", opens=False, whole=False, mended=True)
async def a_flipped_byte_in_a_checkpoint(world: World) -> None:
    section = (await world.row("documents", world.doc))["checkpoint"]["text"]
    row = await world.row("packs", world.doc, f"{section[0]}.0")
    await world.change("packs", row, data=flipped(row["data"]))


@damage("missing-row", opens=False, whole=False, mended=True)
async def a_missing_checkpoint_row(world: World) -> None:
    section = (await world.row("documents", world.doc))["checkpoint"]["text"]
    await world.remove("packs", await world.row("packs", world.doc, f"{section[0]}.0"))


@damage("unlisted", mended=True)
async def an_unlisted_pack(world: World) -> None:
    pack, rows = rows_of_pack(world.doc, world.fresh()[:20], world.patches[-2:], None, ())
    await world.put("packs", *rows)
    assert pack not in (await world.manifest()).packs


@damage("unlisted", mended=True)
async def a_pack_row_without_a_sensible_name(world: World) -> None:
    await world.put("packs", {"v": 1, "id": [world.doc, "x"], "data": b"?"})


@damage("left-over", mended=True)
async def rows_that_are_packed(world: World) -> None:
    await world.put("patches", *[patch.to_row(world.doc) for patch in world.patches[:3]])


@damage("conflict")
async def another_content_under_a_packed_id(world: World) -> None:
    known = world.patches[5]
    other = Patch(known.id, known.parents, [(0, 0, "forged")], "Eve", known.wall)
    await world.put("patches", other.to_row(world.doc))


@damage("malformed-row")
async def a_row_that_breaks_the_format(world: World) -> None:
    row = world.patches[-1].to_row(world.doc)
    await world.put("patches", {**row, "id": [world.doc, NOON, "x"], "delta": "=0"})


@damage("malformed-row")
async def a_row_under_another_key_whose_time_is_below_its_parents(world: World) -> None:
    row = world.patches[-1].to_row(world.doc)
    await world.put("patches", {**row, "id": [world.doc, NOON - 5, "ada"]})


@damage("later-version")
async def a_row_of_a_later_version(world: World) -> None:
    row = world.patches[-1].to_row(world.doc)
    await world.put("patches", {**row, "id": [world.doc, NOON, "x"], "v": 2})


@damage("misfit", patches=ALL + 1)
async def a_delta_that_does_not_fit(world: World) -> None:
    last = world.patches[-1]
    wrong = Patch((last.time + 1, "x"), [last.id], [(10**6, 1, "")], "Eve", 0)
    await world.put("patches", wrong.to_row(world.doc))


@damage("foreign-row", patches=ALL, unread=1, whole=False)
async def a_row_of_another_document(world: World) -> None:
    other = await find_document(world.store, "other.md", world.fresh)
    first = Patch((NOON, "far"), [], [(0, 0, "far ")], "Eve", NOON)
    second = Patch((NOON + 1, "far"), [first.id], [(4, 0, "away")], "Eve", NOON)
    await world.put("patches", first.to_row(other))
    await Archive(world.store, other, world.fresh).pack(everything=True)
    await world.put("patches", second.to_row(world.doc))


@damage("wrong-numbers", opens=True, whole=False, mended=True)
async def a_manifest_that_counts_wrongly(world: World) -> None:
    packs = (await world.row("documents", world.doc))["packs"]
    packs[1]["count"] += 1
    packs[1]["total"] += 1
    packs[2]["total"] += 1
    await world.relist(packs=packs)


@damage("wrong-numbers", opens=False, whole=False, mended=True)
async def a_manifest_whose_sums_are_wrong(world: World) -> None:
    packs = (await world.row("documents", world.doc))["packs"]
    packs[2]["total"] -= 1
    await world.relist(packs=packs)


@damage("wrong-numbers", mended=True)
async def a_manifest_with_other_heads(world: World) -> None:
    packs = (await world.row("documents", world.doc))["packs"]
    packs[0]["heads"] = packs[1]["heads"]
    await world.relist(packs=packs)


@damage("wrong-numbers", mended=True)
async def a_manifest_with_other_times(world: World) -> None:
    packs = (await world.row("documents", world.doc))["packs"]
    packs[0]["last"] += 1
    await world.relist(packs=packs)


@damage("damaged-manifest", patches=ALL, opens=False, whole=False)
async def a_manifest_that_is_none(world: World) -> None:
    await world.relist(packs="none")


@damage("later-version", patches=ALL, opens=False, whole=False)
async def a_manifest_of_a_later_version(world: World) -> None:
    await world.relist(v=2)


@damage("missing-document", patches=ALL, opens=False, whole=False)
async def a_document_without_its_row(world: World) -> None:
    await world.remove("documents", await world.row("documents", world.doc))


@damage("damaged-tag")
async def a_tag_of_a_version_that_is_not_there(world: World) -> None:
    await world.put("tags", tag_row(world.doc, "v2", [Id(NOON, "nobody")]))


@damage("damaged-tag")
async def a_tag_under_a_wrong_key(world: World) -> None:
    row = tag_row(world.doc, "v2", [world.patches[0].id])
    await world.put("tags", {**row, "id": [world.doc, hash_of_name("v3")]})


@damage("later-version")
async def a_tag_of_a_later_version(world: World) -> None:
    await world.put("tags", {**tag_row(world.doc, "v2", []), "v": 2})


# --- each of them -----------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:{tmp_path / 'store.db'}"


def run(url: str, work: Callable[[World], Awaitable[T]]) -> T:
    """Build a document in a store, and do something with it."""

    async def whole() -> T:
        async with await open_store(url) as store:
            return await work(await World(store).build())

    return asyncio.run(whole())


def test_nothing_is_found_in_a_sound_document_and_nothing_is_changed(url: str) -> None:
    async def work(world: World) -> None:
        before = await world.everything()
        for repair in (False, True):
            report = await world.check(repair)
            assert (report.findings, report.sound, report.opens, report.whole) == ([], True, True, True)
            assert (report.patches, report.unread) == (ALL, 0)
            assert report.readable == f"all of it can be read: {ALL} patches"
            (of_store,) = await check_everything(world.store, world.fresh, repair)
            assert (of_store.names, of_store.findings) == (("notes.md",), [])
        assert await world.everything() == before

    run(url, work)


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_named_and_what_is_left_is_counted(url: str, name: str) -> None:
    planted = DAMAGES[name]

    async def work(world: World) -> None:
        await planted.plant(world)
        before = await world.everything()
        report = await world.check()
        assert {finding.kind for finding in report.findings} == planted.kinds
        assert (report.patches, report.unread) == (planted.patches, planted.unread)
        assert (report.opens, report.whole) == (planted.opens, planted.whole)
        assert report.sound == (planted.kinds <= {"unlisted", "left-over"})
        for finding in report.findings:
            assert finding.what and finding.advice and not finding.repaired
            assert finding.where.split()[0] in (*TABLES, "document")
        assert await world.everything() == before  # looking changes nothing

    run(url, work)


@pytest.mark.parametrize("name", DAMAGES)
def test_repairing_mends_what_loses_nothing_and_leaves_the_rest(url: str, name: str) -> None:
    planted = DAMAGES[name]

    async def work(world: World) -> None:
        await planted.plant(world)
        before, known = await world.everything(), await salvage(world.store, world.doc)
        report = await world.check(repair=True)
        if planted.mended:
            assert report.findings and all(finding.repaired for finding in report.findings)
            assert report.sound and report.opens and report.whole
            contents = await world.archive.read(whole=True)
            assert sorted(contents.patches, key=lambda patch: patch.id) == world.patches
            fast = await world.archive.read()
            assert fast.base is not None
            assert History(fast.patches, fast.base).text() == world.text
            assert (await world.check()).findings == []
        else:
            assert not any(finding.repaired for finding in report.findings)
            assert {finding.kind for finding in report.findings} == planted.kinds
            assert await world.everything() == before
        assert set(known[0]) <= set((await salvage(world.store, world.doc))[0])

    run(url, work)


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(sorted(DAMAGES)), min_size=2, max_size=4, unique=True))
@example(["a_manifest_with_other_heads", "a_pack_row_under_a_wrong_key", "a_checkpoint_that_counts_wrongly"])
def test_no_two_kinds_of_damage_make_a_repair_that_loses_anything(names: list[str]) -> None:
    async def work(world: World) -> None:
        for name in names:
            with suppress(AssertionError, SyncstringError, KeyError, TypeError, IndexError):
                await DAMAGES[name].plant(world)  # unless what it would damage is gone already
        before, known = (
            await world.everything(),
            {p.id: p for p in (await salvage(world.store, world.doc))[0]},
        )
        first = await world.check()
        report = await world.check(repair=True)
        after, now = await world.everything(), {p.id: p for p in (await salvage(world.store, world.doc))[0]}
        assert known.keys() <= now.keys()
        assert report.patches >= first.patches
        if not report.sound:
            # What is amiss may yet be mended by somebody with what lies there.
            lost = before["packs"].keys() - after["packs"].keys()
            assert not lost or "unlisted" in {f.kind for f in report.findings if f.repaired}
        again = await world.check(repair=True)
        assert not any(finding.repaired for finding in again.findings)
        assert [f for f in report.findings if not f.repaired] == again.findings

    run("memory:", work)


# --- what else there is in a store ------------------------------------------------------------------------


def kinds(reports: list[Report]) -> list[str]:
    return [finding.kind for report in reports for finding in report.findings]


def test_what_is_left_of_a_deleted_document_is_swept(url: str) -> None:
    async def work(world: World) -> None:
        rows = [patch.to_row(world.doc) for patch in world.patches[:3]]
        await delete_document(world.store, "notes.md")
        await world.put("patches", *rows)
        report = await world.check()
        assert kinds([report]) == ["deleted-rows"] and report.sound
        assert report.readable == "it was deleted"
        report = await world.check(repair=True)
        assert [finding.repaired for finding in report.findings] == [True]
        left = await world.everything()
        assert not left["patches"] and not left["packs"] and not left["tags"]
        assert (await world.check()).findings == []

    run(url, work)


def test_a_name_that_leads_nowhere_is_found_and_its_document_is_put_back(url: str) -> None:
    async def work(world: World) -> None:
        await world.put("names", name_row("lost.md", "f" * 40))
        reports = await check_everything(world.store, world.fresh)
        assert kinds(reports) == ["missing-document"]
        reports = await check_everything(world.store, world.fresh, repair=True)
        assert all(report.sound for report in reports)
        lost = await find_document(world.store, "lost.md", world.fresh, create=False)
        assert (await Archive(world.store, lost, world.fresh).read()).patches == []

    run(url, work)


def test_rows_of_a_document_that_is_nowhere_are_found_and_get_a_name(url: str) -> None:
    async def work(world: World) -> None:
        doc = "e" * 40
        await world.put("patches", Patch((NOON, "x"), [], [(0, 0, "hi")], "Eve", 0).to_row(doc))
        assert kinds(await check_everything(world.store, world.fresh)) == ["missing-document"]
        reports = await check_everything(world.store, world.fresh, repair=True)
        assert kinds(reports) == ["nameless", "missing-document"]
        assert all(report.sound for report in reports)
        found = await find_document(world.store, "found-eeeeeeee", world.fresh, create=False)
        assert found == doc

    run(url, work)


def test_a_document_without_a_name_is_found_and_gets_one(url: str) -> None:
    async def work(world: World) -> None:
        await world.remove("names", await world.row("names", hash_of_name("notes.md")))
        reports = await check_everything(world.store, world.fresh)
        assert kinds(reports) == ["nameless"] and not reports[0].sound
        assert kinds(await check_everything(world.store, world.fresh, repair=True)) == ["nameless"]
        (report,) = await check_everything(world.store, world.fresh)
        assert report.findings == [] and report.names == (f"found-{world.doc[:8]}",)

    run(url, work)


def test_an_empty_document_without_a_name_does_no_harm(url: str) -> None:
    async def work(world: World) -> None:
        await world.put("documents", Manifest(hash_of_name("soon.md")).to_row())
        reports = await check_everything(world.store, world.fresh, repair=True)
        assert kinds(reports) == ["nameless"] and all(report.sound for report in reports)
        await find_document(world.store, "soon.md", world.fresh)
        assert kinds(await check_everything(world.store, world.fresh)) == []

    run(url, work)


def test_an_empty_document_without_a_name_is_deleted_by_a_repair(url: str) -> None:
    async def work(world: World) -> None:
        await world.put("documents", Manifest("e" * 40).to_row())
        ((finding, *_), *_) = [report.findings for report in await check_everything(world.store, world.fresh)]
        assert (finding.kind, finding.grave, finding.repaired) == ("nameless", False, False)
        await check_everything(world.store, world.fresh, repair=True)
        assert await world.store.get("documents", [("e" * 40,)]) == [None]
        assert kinds(await check_everything(world.store, world.fresh)) == []
        assert await find_document(world.store, "notes.md", world.fresh, create=False) == world.doc

    run(url, work)


@pytest.mark.parametrize("first", ["deleted", "named"])
def test_an_empty_document_that_gets_its_name_while_it_is_deleted_is_there(
    first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session makes a document, and a repair comes between its row and its name, or is overtaken there."""

    async def work(world: World) -> None:
        store = world.store
        plain: Any = getattr(store, "insert" if first == "deleted" else "delete")
        met = []

        async def insert(table: str, rows: Any) -> Any:
            if table == "names" and not met:
                met.append(table)
                await check_everything(store, world.fresh, repair=True)
                assert await store.get("documents", [(hash_of_name("new.md"),)]) == [None]
            return await plain(table, rows)

        async def delete(table: str, rows: Any) -> Any:
            done = await plain(table, rows)
            if table == "documents" and not met:
                met.append(table)
                await store.insert("names", [name_row("new.md", hash_of_name("new.md"))])
            return done

        if first == "deleted":
            monkeypatch.setattr(store, "insert", insert)
            await find_document(store, "new.md", world.fresh)
        else:
            await world.put("documents", Manifest(hash_of_name("new.md")).to_row())
            monkeypatch.setattr(store, "delete", delete)
            await check_everything(store, world.fresh, repair=True)
        assert met
        assert kinds(await check_everything(store, world.fresh)) == []
        doc = await find_document(store, "new.md", world.fresh, create=False)
        assert await Archive(store, doc, world.fresh).manifest() == Manifest(doc)

    run("memory:", work)


def test_a_name_of_a_later_version_is_left_as_it_is_and_its_document_needs_no_other(url: str) -> None:
    async def work(world: World) -> None:
        row = await world.row("names", hash_of_name("notes.md"))
        await world.remove("names", row)
        await world.put("names", {**row, "v": 2})
        for repair in (False, True):
            reports = await check_everything(world.store, world.fresh, repair=repair)
            assert kinds(reports) == ["later-version"]
        assert await world.row("names", hash_of_name("notes.md")) == {**row, "v": 2}

    run(url, work)


@pytest.mark.parametrize(
    "change", [{"name": 7}, {"name": ["x"]}, {"doc": None}, {"doc": ["x"]}, {"doc": "x"}], ids=repr
)
def test_a_name_that_is_none_is_found_whatever_it_is(url: str, change: dict[str, Any]) -> None:
    async def work(world: World) -> None:
        row = await world.row("names", hash_of_name("notes.md"))
        await world.remove("names", row)
        await world.put("names", {**row, **change})
        assert kinds(await check_everything(world.store, world.fresh)) == ["damaged-name", "nameless"]
        await check_everything(world.store, world.fresh, repair=True)
        assert await find_document(world.store, f"found-{world.doc[:8]}", world.fresh, create=False)

    run(url, work)


def test_a_name_under_a_wrong_key_is_put_where_it_belongs(url: str) -> None:
    async def work(world: World) -> None:
        row = await world.row("names", hash_of_name("notes.md"))
        await world.remove("names", row)
        await world.put("names", {**row, "id": ["0" * 40]})
        assert kinds(await check_everything(world.store, world.fresh)) == ["wrong-key"]
        assert kinds(await check_everything(world.store, world.fresh, repair=True)) == ["wrong-key"]
        assert kinds(await check_everything(world.store, world.fresh)) == []
        assert await find_document(world.store, "notes.md", world.fresh, create=False) == world.doc

    run(url, work)


def test_a_name_that_can_not_be_read_is_found(url: str) -> None:
    async def work(world: World) -> None:
        row = await world.row("names", hash_of_name("notes.md"))
        await world.remove("names", row)
        await world.put("names", {"v": 1, "id": row["id"], "name": 7})
        assert kinds(await check_everything(world.store, world.fresh)) == ["damaged-name", "nameless"]
        await check_everything(world.store, world.fresh, repair=True)
        assert await find_document(world.store, f"found-{world.doc[:8]}", world.fresh, create=False)

    run(url, work)


def test_the_name_of_a_deleted_document_is_made_free(url: str) -> None:
    async def work(world: World) -> None:
        await world.archive.delete()  # and there whoever did it died
        reports = await check_everything(world.store, world.fresh, repair=True)
        assert kinds(reports) == ["deleted-name", "deleted-rows"]
        assert await find_document(world.store, "notes.md", world.fresh) != world.doc
        assert await read_tags(world.store, world.doc) == {}

    run(url, work)


# --- an SQLite file ---------------------------------------------------------------------------------------


def on_disk(tmp_path: Path, *statements: tuple[str, tuple[Any, ...]]) -> tuple[str, str]:
    """A document in a file that somebody edited by hand; the URL and the document's key."""
    path = tmp_path / "store.db"
    url = f"sqlite:{path}"

    async def work(world: World) -> str:
        return world.doc

    doc = run(url, work)
    db = sqlite3.connect(path)
    with db:
        for statement, arguments in statements:
            assert db.execute(statement, arguments).rowcount > 0
    db.close()
    return url, doc


def reports_of(url: str, repair: bool = False) -> list[Report]:
    async def work() -> list[Report]:
        async with await open_store(url) as store:
            return await check_everything(store, World(store).fresh, repair)

    return asyncio.run(work())


def test_a_byte_that_flipped_in_the_file_is_found(tmp_path: Path) -> None:
    flip = "CAST(substr(data, 1, 9) || X'00' || substr(data, 11) AS BLOB)"
    url, _ = on_disk(tmp_path, (f"UPDATE packs SET data = {flip} WHERE k1 = (SELECT min(k1) FROM packs)", ()))
    (report,) = reports_of(url)
    assert [finding.kind for finding in report.findings] == ["unreadable-row"]
    assert "checksum" in report.findings[0].what


def test_a_row_that_was_put_under_another_key_in_the_file_is_found(tmp_path: Path) -> None:
    url, _ = on_disk(tmp_path, ("UPDATE patches SET k2 = 'eve' WHERE k1 = (SELECT max(k1) FROM patches)", ()))
    (report,) = reports_of(url, repair=True)
    assert "unreadable-row" in {finding.kind for finding in report.findings}
    assert not report.sound and report.opens


def test_a_page_of_the_file_that_is_no_more_is_found(tmp_path: Path) -> None:
    url, _ = on_disk(tmp_path)
    path = Path(url.removeprefix("sqlite:"))
    db = sqlite3.connect(path)
    (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'patches'").fetchone()
    (size,) = db.execute("PRAGMA page_size").fetchone()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    data = bytearray(path.read_bytes())
    data[(root - 1) * size : root * size] = b"\xff" * size
    path.write_bytes(data)
    reports = reports_of(url, repair=True)
    assert {"unreadable-table"} <= set(kinds(reports))
    assert not all(report.sound for report in reports)


# --- while others work ------------------------------------------------------------------------------------


class Busy(MemoryStore):
    """Somebody works between two calls: what is to be done before the next one of that name on that table."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[tuple[str, str, Callable[[], Awaitable[Any]]]] = []
        self.hidden: set[tuple[Any, ...]] = set()

    async def _somebody(self, call: str, table: str) -> None:
        if self.before and self.before[0][:2] == (call, table):
            _, _, work = self.before.pop(0)
            await work()

    async def get(self, table: str, keys: Sequence[Key]) -> list[Row | None]:
        await self._somebody("get", table)
        return await super().get(table, keys)

    async def scan(self, table: str, lower: Key, upper: Key) -> AsyncIterator[list[Row]]:
        await self._somebody("scan", table)
        hidden, self.hidden = self.hidden, set()
        async for batch in super().scan(table, lower, upper):
            yield [row for row in batch if key_of(row) not in hidden]


def later(world: World, count: int) -> list[Patch]:
    """More patches, one on the other, on all that there are."""
    made: list[Patch] = []
    for _ in range(count):
        heads = History([*world.patches, *made]).heads
        made.append(Patch((heads[-1].time + 1, "later"), heads, [(0, 0, "x")], "Eve", 0))
    return made


def test_a_pack_that_was_merged_between_two_reads_is_no_damage() -> None:
    async def work() -> None:
        store = Busy()
        world = await World(store).build()
        more = later(world, 2)

        async def pack(patch: Patch) -> None:
            work, store.before = store.before, []
            await world.put("patches", patch.to_row(world.doc))
            assert await world.archive.pack(everything=True)
            store.before = work

        # After the rows of packs were read, another is listed; before its rows are read, they are gone.
        store.before = [
            ("get", "documents", lambda: pack(more[0])),
            ("get", "packs", lambda: pack(more[1])),
        ]
        report = await world.check()
        assert store.before == [] and report.findings == [] and report.patches == ALL + 2

    asyncio.run(work())


def test_a_parent_that_came_behind_the_reader_is_no_damage() -> None:
    async def work() -> None:
        store = Busy()
        world = await World(store).build()
        parent, child = later(world, 2)
        await world.put("patches", parent.to_row(world.doc), child.to_row(world.doc))
        store.hidden = {(world.doc, *parent.id)}  # the scan had passed that key when it came
        report = await world.check()
        assert report.findings == [] and report.patches == ALL + 2

    asyncio.run(work())


@types.coroutine
def switch() -> Generator[None, None, None]:
    """Let somebody else go on."""
    yield


def alone(task: Coroutine[Any, Any, T]) -> T:
    while True:
        try:
            task.send(None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


async def write(world: World, made: dict[Id, Patch]) -> None:
    for _ in range(3):
        heads = History(made.values()).heads
        time = max(head.time for head in heads) + 1
        patch = Patch((time, f"s{time}"), heads, [(0, 0, "x")], "Eve", 0)
        made[patch.id] = patch
        await world.store.insert("patches", [patch.to_row(world.doc)])


@pytest.mark.parametrize("start", range(0, 24, 8))
def test_what_others_do_at_the_same_time_is_no_damage_and_repairing_then_loses_nothing(start: int) -> None:
    looked = repaired = 0
    for seed in range(start, start + 8):
        chance = random.Random(seed)
        world = World(MemoryStore(pause=switch, clock=lambda: NOON, limit=float("inf")))
        alone(world.build())
        made = {patch.id: patch for patch in world.patches}
        running: list[tuple[str, Coroutine[Any, Any, Any]]] = []
        for _ in range(1_000):
            if len(running) < 4 and chance.random() < 0.2:
                name = chance.choice(("write", "pack", "sweep", "look", "repair"))
                if name == "write" and all(other != "write" for other, _ in running):
                    running.append((name, write(world, made)))
                elif name == "pack":
                    running.append((name, world.archive.pack(everything=chance.random() < 0.5)))
                elif name == "sweep":
                    running.append((name, world.archive.sweep()))
                elif name in ("look", "repair"):
                    running.append((name, world.check(repair=name == "repair")))
            if not running:
                continue
            at = chance.randrange(len(running))
            name, task = running[at]
            if name in ("pack", "repair") and chance.random() < 0.01:
                task.close()  # it dies right there
                running.pop(at)
                continue
            try:
                task.send(None)
            except StoreUnavailable:
                running.pop(at)  # a packer whose rows were swept tries again another time
            except StopIteration as stop:
                running.pop(at)
                if name in ("look", "repair"):
                    assert stop.value.sound, (seed, stop.value.findings)
                    looked += 1
                    repaired += any(finding.repaired for finding in stop.value.findings)
        for name, task in running:
            if name == "write":
                alone(task)
            task.close()
        assert alone(world.check(repair=True)).sound
        contents = alone(world.archive.read(whole=True))
        assert {patch.id: patch for patch in contents.patches} == made, seed
    assert looked > 30 and repaired > 2  # else nothing was shown
