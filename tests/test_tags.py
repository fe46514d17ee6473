"""Tags in a store: one row each, changed by compare and set, passed over where it can't be read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from syncstring.backends.memory import MemoryStore
from syncstring.errors import CorruptStore, PatchError, UnknownVersion, UnsupportedVersion
from syncstring.patch import Id
from syncstring.store import Key, Row, Store, Verdict
from syncstring.tags import delete_tag, read_tags, set_tag, tag_of_row, tag_row

DOC = "0123456789abcdef0123456789abcdef01234567"
ONE, TWO = Id(5, "ada"), Id(7, "bob")


def run(work: Callable[[Store], Awaitable[Any]], store: MemoryStore | None = None) -> Any:
    async def whole() -> Any:
        async with store or MemoryStore() as opened:
            return await work(opened)

    return asyncio.run(whole())


@pytest.mark.parametrize("heads", [(), (ONE,), (TWO, ONE)])
def test_a_row_is_the_tag_that_it_was_made_of(heads: tuple[Id, ...]) -> None:
    row = tag_row(DOC, "v1.2/é", heads)
    assert tag_of_row(row) == ("v1.2/é", tuple(sorted(heads)))


@pytest.mark.parametrize(
    "tag", ["", "7", "beef", "5 minutes ago", "2026-01-01", "-x", "a b", "x" * 101, "now"]
)
def test_what_could_be_another_kind_of_name_is_no_tag(tag: str) -> None:
    with pytest.raises(PatchError, match="can't be a tag"):
        tag_row(DOC, tag, [ONE])


@pytest.mark.parametrize(
    "changed",
    [
        {"tag": "v2"}, {"tag": 7}, {"tag": "beef"}, {"heads": "5:ada"}, {"heads": ["ada"]}, {"heads": [7]},
        {"heads": ["7:bob", "5:ada"]}, {"heads": ["05:ada"]}, {"heads": None}, {"more": 1},
        {"unreadable": "its checksum differs"},
    ],
)  # fmt: skip
def test_what_is_not_the_row_of_a_tag_is_passed_over(changed: dict[str, Any]) -> None:
    row = {**tag_row(DOC, "v1", [ONE]), **changed}
    with pytest.raises(CorruptStore):
        tag_of_row(row)

    async def work(store: Store) -> None:
        await store.insert("tags", [row])
        await set_tag(store, DOC, "well", [TWO])
        assert await read_tags(store, DOC) == {"well": (TWO,)}

    run(work)


def test_the_tag_of_a_later_version_is_none_that_is_broken() -> None:
    with pytest.raises(UnsupportedVersion):
        tag_of_row({**tag_row(DOC, "v1", [ONE]), "v": 2})


def test_a_tag_is_set_once_moved_on_demand_and_deleted() -> None:
    async def work(store: Store) -> None:
        assert await set_tag(store, DOC, "v1", [ONE])
        assert not await set_tag(store, DOC, "v1", [ONE])
        with pytest.raises(PatchError, match="another version already"):
            await set_tag(store, DOC, "v1", [TWO])
        assert await read_tags(store, DOC) == {"v1": (ONE,)}
        assert await set_tag(store, DOC, "v1", [TWO, ONE], move=True)
        assert await read_tags(store, DOC) == {"v1": (ONE, TWO)}
        assert await read_tags(store, "f" * 40) == {}
        await delete_tag(store, DOC, "v1")
        assert await read_tags(store, DOC) == {}
        with pytest.raises(UnknownVersion):
            await delete_tag(store, DOC, "v1")

    run(work)


def test_of_two_who_set_a_tag_at_once_the_second_is_told() -> None:
    class Between(MemoryStore):
        async def swap(self, table: str, key: Key, old: Row | None, new: Row) -> Verdict:
            await self.insert("tags", [tag_row(DOC, "v1", [TWO])])  # just before
            return await super().swap(table, key, old, new)

    async def work(store: Store) -> None:
        with pytest.raises(PatchError, match="another version already"):
            await set_tag(store, DOC, "v1", [ONE])
        assert await read_tags(store, DOC) == {"v1": (TWO,)}

    run(work, Between())
