"""The suite that judges stores passes a good one, and no bad one: each check is shown to fail."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from syncstring.backends.feeds import Readers, _Reader
from syncstring.backends.memory import MemoryStore
from syncstring.errors import StoreError, StoreUnavailable
from syncstring.store import (
    Change,
    Changed,
    Feed,
    Gap,
    Image,
    Key,
    Ready,
    Row,
    Store,
    Verdict,
    image,
    key_of,
    restored,
)
from syncstring.testing import store_feeds, store_rows
from syncstring.testing.conformance import CHECKS, check_store
from syncstring.testing.store_bench import Check


async def judge(kind: type[MemoryStore], *checks: Check, seed: int = 0) -> None:
    """Hold a store to the contract, with all that can be done to one in memory."""
    blocked = asyncio.Event()
    blocked.set()

    async def pause() -> None:
        await asyncio.sleep(0)
        await blocked.wait()

    first = kind(pause=pause)

    async def factory(**options: Any) -> Store:
        return first.client(**options)

    async def lost_connection(store: Store) -> None:
        await asyncio.sleep(0)
        store._readers.gap("lost connection")  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        store._readers.ready()  # type: ignore[attr-defined]

    @asynccontextmanager
    async def stall() -> AsyncIterator[None]:
        blocked.clear()
        yield
        blocked.set()

    await check_store(
        factory, seed=seed, checks=checks or CHECKS, gaps=[lost_connection], stall=stall, within=120
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_store_that_keeps_its_promises_passes(check: Check) -> None:
    for seed in range(2):
        asyncio.run(judge(MemoryStore, check, seed=seed))


# --- stores that don't ------------------------------------------------------------


class Overwrites(MemoryStore):
    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        verdicts = await super().insert(table, rows)
        for row, verdict in zip(rows, verdicts, strict=True):
            if verdict.kind == "conflict":
                await super().swap(table, key_of(row), verdict.row, row)
        return verdicts


class TellsNoConflict(MemoryStore):
    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        return [
            verdict._replace(row=None) if verdict.kind == "conflict" else verdict
            for verdict in await super().insert(table, rows)
        ]


class SaysConflictAgain(MemoryStore):
    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        return [
            verdict._replace(kind="conflict") if verdict.kind == "present" else verdict
            for verdict in await super().insert(table, rows)
        ]


class TakesOneForTrue(MemoryStore):
    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        verdicts = await super().insert(table, rows)
        return [
            Verdict("present") if verdict.row is not None and verdict.row == row else verdict
            for row, verdict in zip(rows, verdicts, strict=True)
        ]


class MakesFloats(MemoryStore):
    async def get(self, table: str, keys: Sequence[Key]) -> list[Row | None]:
        found = await super().get(table, keys)
        for row in found:
            for name, value in (row or {}).items():
                if type(value) is int and row is not None:
                    row[name] = float(value)
        return found


class CutsAtNul(MemoryStore):
    def _put(self, table: str, key: Key, new: Image | None) -> None:
        super()._put(table, key, new and Image(new.text.replace("\\u0000", ""), new.data))


class ForgetsEmptyBytes(MemoryStore):
    def _put(self, table: str, key: Key, new: Image | None) -> None:
        if new is not None and new.data == b"":
            row = restored(key, new)
            new = Image(re.sub(r",\"\w+\"\]$", "", new.text[1:]), None)
            assert row
        super()._put(table, key, new)


class RefusesLargeRows(MemoryStore):
    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        if sum(len(str(row)) for row in rows) > 1 << 22:
            raise StoreError("too much")
        return await super().insert(table, rows)


class TakesTheBatchAlong(MemoryStore):
    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        verdicts = await super().insert(table, rows)
        if any(verdict.kind == "refused" for verdict in verdicts):
            await super().delete(table, rows)
            return [Verdict("refused", reason="another row of its batch is")] * len(rows)
        return verdicts


class ChecksNoKeys(MemoryStore):
    async def get(self, table: str, keys: Sequence[Key]) -> list[Row | None]:
        try:
            return await super().get(table, keys)
        except ValueError:
            raise KeyError(table) from None


class DeletesWhateverIsThere(MemoryStore):
    async def delete(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        stored = await super().get(table, [key_of(row) for row in rows])
        return await super().delete(table, [known or row for known, row in zip(stored, rows, strict=True)])


class StopsAtTheFirstThatDiffers(MemoryStore):
    async def delete(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        verdicts: list[Verdict] = []
        for row in rows:
            if any(verdict.kind == "differs" for verdict in verdicts):
                verdicts.append(Verdict("absent"))
            else:
                verdicts += await super().delete(table, [row])
        return verdicts


class ReadsThenWrites(MemoryStore):
    async def swap(self, table: str, key: Key, old: Row | None, new: Row) -> Verdict:
        (known,) = await super().get(table, [key])
        if known != old:
            return Verdict("lost", known)
        await asyncio.sleep(0)
        self._put(table, key, image(new))
        return Verdict("swapped")


class TellsNotWhoWon(MemoryStore):
    async def swap(self, table: str, key: Key, old: Row | None, new: Row) -> Verdict:
        return (await super().swap(table, key, old, new))._replace(row=None)


class ScansItsUpperBound(MemoryStore):
    async def scan(self, table: str, lower: Key, upper: Key) -> AsyncIterator[list[Row]]:
        async for batch in super().scan(table, lower, upper):
            yield batch
        if len(upper) == 3:
            yield [row for row in await self.get(table, [upper]) if row is not None]


class ScansByCounting(MemoryStore):
    """With OFFSET, as many do."""

    async def scan(self, table: str, lower: Key, upper: Key) -> AsyncIterator[list[Row]]:
        start = 0
        while True:
            rows = [row async for batch in super().scan(table, lower, upper) for row in batch]
            batch = sorted(rows, key=key_of)[start : start + 500]
            if not batch:
                return
            yield batch
            start += 500


class ScansAtOnce(MemoryStore):
    async def scan(self, table: str, lower: Key, upper: Key) -> AsyncIterator[list[Row]]:
        yield [row async for batch in super().scan(table, lower, upper) for row in batch]


class ReadsItsOwnCopy(MemoryStore):
    """Sees of others' rows only what it saw first."""

    async def get(self, table: str, keys: Sequence[Key]) -> list[Row | None]:
        copy: dict[Any, Row | None] = self.__dict__.setdefault("copy", {})
        found = await super().get(table, keys)
        return [copy.setdefault((table, key), row) for key, row in zip(keys, found, strict=True)]


class LosesARow(MemoryStore):
    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        verdicts = await super().insert(table, rows)
        if table == "patches" and len(rows) == 4:
            await super().delete(table, rows[3:])
        return verdicts


class WorksOn(MemoryStore):
    def _open(self) -> None:
        pass


class KnowsNoLimit(MemoryStore):
    async def _step(self) -> None:
        await self._pause()


class StaysAway(MemoryStore):
    away = False

    async def _step(self) -> None:
        try:
            await super()._step()
        except StoreUnavailable:
            self.away = True
        if self.away:
            raise StoreUnavailable("no answer, once and for all")


class HangsWhenClosed(MemoryStore):
    async def _step(self) -> None:
        await super()._step()
        if self._closed:
            await asyncio.Event().wait()


class LosesWhenClosed(MemoryStore):
    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        try:
            return await super().insert(table, rows)
        except StoreError:
            return [Verdict("inserted")] * len(rows)


class TellsNothing(MemoryStore):
    def _publish(self, table: str, old: Row | None, new: Row | None, size: int = 0) -> None:
        pass


class TellsItsOwnOnly(MemoryStore):
    def _publish(self, table: str, old: Row | None, new: Row | None, size: int = 0) -> None:
        self._readers.publish(table, Changed(old, new), size)


class TellsNoDeletions(MemoryStore):
    def _publish(self, table: str, old: Row | None, new: Row | None, size: int = 0) -> None:
        if new is not None:
            super()._publish(table, old, new, size)


class TellsEverything(MemoryStore):
    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        return super().feed(table, (), ("~",))


class _Feed(Feed):
    """Some other feed, spoiled."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed

    async def __anext__(self) -> Change:
        return await anext(self.feed)

    async def aclose(self) -> None:
        await self.feed.aclose()


def spoiled(kind: type[_Feed]) -> type[MemoryStore]:
    class Spoiled(MemoryStore):
        def feed(self, table: str, lower: Key, upper: Key) -> Feed:
            return kind(super().feed(table, lower, upper))

    Spoiled.__name__ = kind.__name__
    return Spoiled


class NeverReady(_Feed):
    async def __anext__(self) -> Change:
        while isinstance(change := await anext(self.feed), Ready):
            pass
        return change


class HidesGaps(_Feed):
    async def __anext__(self) -> Change:
        if isinstance(change := await anext(self.feed), Gap):
            await anext(self.feed)  # the Ready after it
            return await anext(self)
        return change


class TakesBeforeItWaits(_Feed):
    async def __anext__(self) -> Change:
        change = await anext(self.feed)
        await asyncio.sleep(0)
        return change


class EndsWithTheStore(_Feed):
    async def __anext__(self) -> Change:
        try:
            return await anext(self.feed)
        except StoreError:
            raise StopAsyncIteration from None


class WaitsForEver(_Feed):
    async def __anext__(self) -> Change:
        try:
            return await anext(self.feed)
        except StopAsyncIteration:
            await asyncio.Event().wait()
            raise


class BeginsTooEarly(MemoryStore):
    """Says Ready before it listens."""

    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        reader = self._readers.feed(table, lower, upper)
        reader._queue.append((Ready(), 0))
        asyncio.get_running_loop().call_later(0.005, setattr, reader, "_is_ready", True)
        return reader


class KeepsAll(MemoryStore):
    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "queue": 10**9})


class DropsTheOldest(MemoryStore):
    """Bounded, and silent about it."""

    def feed(self, table: str, lower: Key, upper: Key) -> Feed:
        class Reader(_Reader):
            def gap(self, reason: str) -> None:
                self._queue.popleft()

        reader = super().feed(table, lower, upper)
        assert isinstance(reader, _Reader)
        reader.__class__ = Reader
        return reader


class StopsAfterAGap(MemoryStore):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

        class Silent(Readers):
            def ready(self) -> None:
                pass

        self._readers.__class__ = Silent


class TimesOutOnceClosed(MemoryStore):
    def _open(self) -> None:
        if self._closed:
            raise StoreUnavailable("closed")


BAD: list[tuple[type[MemoryStore], Callable[..., Any]]] = [
    (LosesARow, store_rows.calls_at_random_answer_as_a_dict_would),
    (ReadsItsOwnCopy, store_rows.every_table_keeps_rows),
    (LosesARow, store_rows.only_an_equal_row_is_deleted),
    (TakesTheBatchAlong, store_rows.what_is_refused_takes_nothing_along),
    (Overwrites, store_rows.another_row_under_a_key_is_a_conflict),
    (TellsNoConflict, store_rows.another_row_under_a_key_is_a_conflict),
    (SaysConflictAgain, store_rows.inserting_again_is_fine),
    (TakesOneForTrue, store_rows.values_keep_their_types),
    (TakesOneForTrue, store_rows.calls_at_random_answer_as_a_dict_would),
    (MakesFloats, store_rows.values_keep_their_types),
    (CutsAtNul, store_rows.every_text_comes_back),
    (ForgetsEmptyBytes, store_rows.bytes_come_back),
    (RefusesLargeRows, store_rows.large_rows_come_back),
    (ChecksNoKeys, store_rows.what_cannot_be_meant_is_refused_at_once),
    (DeletesWhateverIsThere, store_rows.only_an_equal_row_is_deleted),
    (StopsAtTheFirstThatDiffers, store_rows.only_an_equal_row_is_deleted),
    (ReadsThenWrites, store_rows.one_of_many_swappers_wins),
    (TellsNotWhoWon, store_rows.a_swap_needs_the_row_that_it_names),
    (ScansItsUpperBound, store_rows.scans_give_their_range),
    (ScansByCounting, store_rows.a_scan_is_right_while_rows_come_and_go),
    (ScansAtOnce, store_rows.a_scan_may_be_left),
    (WorksOn, store_rows.a_closed_store_says_so),
    (TimesOutOnceClosed, store_rows.a_closed_store_says_so),
    (KnowsNoLimit, store_rows.calls_end_within_their_limit),
    (StaysAway, store_rows.calls_end_within_their_limit),
    (TellsNothing, store_feeds.a_feed_tells_what_happens),
    (TellsItsOwnOnly, store_feeds.a_feed_tells_what_happens),
    (TellsNoDeletions, store_feeds.a_feed_tells_what_happens),
    (spoiled(NeverReady), store_feeds.a_feed_tells_what_happens),
    (TellsEverything, store_feeds.a_feed_tells_its_range_only),
    (TellsItsOwnOnly, store_feeds.many_feeds_cost_little),
    (BeginsTooEarly, store_feeds.who_comes_amid_writes_misses_nothing),
    (spoiled(HidesGaps), store_feeds.after_every_gap_nothing_is_missed),
    (StopsAfterAGap, store_feeds.after_every_gap_nothing_is_missed),
    (KeepsAll, store_feeds.a_slow_reader_gets_a_gap),
    (DropsTheOldest, store_feeds.a_slow_reader_gets_a_gap),
    (spoiled(TakesBeforeItWaits), store_feeds.a_cancelled_wait_loses_nothing),
    (spoiled(WaitsForEver), store_feeds.a_closed_feed_ends),
    (HangsWhenClosed, store_feeds.closing_in_the_middle_hangs_nobody),
    (LosesWhenClosed, store_feeds.closing_in_the_middle_hangs_nobody),
    (spoiled(EndsWithTheStore), store_feeds.closing_in_the_middle_hangs_nobody),
]


@pytest.mark.parametrize(
    ("kind", "check"), BAD, ids=[f"{kind.__name__}-{check.__name__}" for kind, check in BAD]
)
def test_a_store_that_breaks_a_promise_fails_its_check(
    kind: type[MemoryStore], check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_feeds, "PATIENCE", 0.3)
    monkeypatch.setattr(store_rows, "PATIENCE", 2.0)
    with pytest.raises(AssertionError) as failure:
        asyncio.run(judge(kind, check))
    said = str(failure.value)
    promise = (inspect.getdoc(check) or "").partition("\n")[0]
    assert said.startswith(promise)
    assert f"checks=[{check.__module__}.{check.__name__}]" in said


def test_every_check_is_shown_to_fail() -> None:
    shown = {check.__name__ for _, check in BAD}
    assert {check.__name__ for check in CHECKS} == shown


def test_a_failure_at_random_is_made_short() -> None:
    with pytest.raises(AssertionError) as failure:
        asyncio.run(judge(LosesARow, store_rows.calls_at_random_answer_as_a_dict_would))
    script = re.findall(r"^  client \d: (\w+)", str(failure.value), re.MULTILINE)
    assert len(script) <= 3 and "insert" in script


def test_checks_keep_to_their_own_documents() -> None:
    async def twice() -> None:
        store = MemoryStore()

        async def factory(**options: Any) -> Store:
            return store.client(**options)

        for _ in range(2):
            await check_store(factory, checks=[store_rows.scans_give_their_range, *store_feeds.FEED_CHECKS])

    asyncio.run(twice())


def test_a_factory_may_be_an_async_context_manager() -> None:
    closed = []

    async def run() -> None:
        store = MemoryStore()

        @asynccontextmanager
        async def factory(**options: Any) -> AsyncIterator[Store]:
            client = store.client(**options)
            yield client
            await client.close()
            closed.append(client)

        await check_store(factory, checks=[store_rows.inserting_again_is_fine])

    asyncio.run(run())
    assert len(closed) == 2
