"""A store of one's own, held to the contract: rows that lie sealed in any other store.

    python examples/prove_store.py

`Sealed` keeps every row's fields compressed, as one field of bytes, so that whoever reads the tables below it
sees keys and nothing else. It is small, so most of it is what any store needs; what proves it is at the end.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from syncstring.store import (
    Change,
    Changed,
    Feed,
    Image,
    Key,
    Row,
    Store,
    Verdict,
    image,
    open_store,
    refusal,
    restored,
)
from syncstring.testing.conformance import check_store
from syncstring.testing.network import World
from syncstring.testing.world import search


def seal(row: Row) -> Row:
    """A row as it lies below."""
    text, data = image(row)
    return {
        "id": row["id"],
        "sealed": zlib.compress(text.encode() + b"\0" * (data is not None) + (data or b"")),
    }


def unseal(row: Row | None) -> Row | None:
    """A row as it was; what is unreadable below stays so."""
    if row is None or "sealed" not in row:
        return row
    text, binary, data = zlib.decompress(row["sealed"]).partition(b"\0")
    return restored(row["id"], Image(text.decode(), data if binary else None))


class SealedFeed(Feed):
    def __init__(self, feed: Feed) -> None:
        self.feed = feed

    async def __anext__(self) -> Change:
        change = await anext(self.feed)
        return Changed(unseal(change.old), unseal(change.new)) if isinstance(change, Changed) else change

    async def aclose(self) -> None:
        await self.feed.aclose()


class Sealed(Store):
    """Another store, sealed."""

    schemes = ()

    def __init__(self, store: Store) -> None:
        self.store = store
        self.url = store.url
        self.limit = store.limit

    @classmethod
    async def open(cls, url: str, **options: Any) -> Sealed:
        return cls(await open_store(url, **options))

    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        refused = [refusal(row) for row in rows]
        fine = [seal(row) for row, why in zip(rows, refused, strict=True) if not why]
        verdicts = iter(await self.store.insert(table, fine))
        return [Verdict("refused", reason=why) if why else self._seen(next(verdicts)) for why in refused]

    async def swap(self, table: str, key: Key, old: Row | None, new: Row) -> Verdict:
        if why := refusal(new):
            return Verdict("refused", reason=why)
        verdict = await self.store.swap(table, key, None if old is None else seal(old), seal(new))
        return self._seen(verdict)

    async def delete(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        refused = [refusal(row) for row in rows]
        fine = [seal(row) for row, why in zip(rows, refused, strict=True) if not why]
        verdicts = iter(await self.store.delete(table, fine))
        return [Verdict("refused", reason=why) if why else self._seen(next(verdicts)) for why in refused]

    def _seen(self, verdict: Verdict) -> Verdict:
        return verdict._replace(row=unseal(verdict.row))

    async def get(self, table: str, keys: Sequence[Key]) -> list[Row | None]:
        return [unseal(row) for row in await self.store.get(table, keys)]

    async def scan(self, table: str, lower: Key, upper: Key) -> AsyncIterator[list[Row]]:
        async for batch in self.store.scan(table, lower, upper):
            # One row at a time: what is a small batch below may be a large one here. The suite found that.
            for row in batch:
                opened = unseal(row)
                if opened is not None:
                    yield [opened]

    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        return SealedFeed(self.store.feed(table, lower, upper))

    async def time(self) -> int:
        return await self.store.time()

    async def close(self) -> None:
        await self.store.close()


# --- the proof ------------------------------------------------------------------------------------------


def main(worlds: int = 10) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "sealed.db")

        async def client(**options: Any) -> Store:
            """One more client of always the same store."""
            return await Sealed.open(f"sqlite:{path}", **options)

        asyncio.run(check_store(client))
        print("it keeps the contract")
        patches = sum(len(search(lambda s=seed: World(s, store=client), 400).made) for seed in range(worlds))
        print(f"{worlds} worlds lived on it: {patches} patches, and no law was broken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
