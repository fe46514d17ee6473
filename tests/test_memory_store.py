"""The memory store does what a cluster may do, no more, and the same again under the same seed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncstring.backends.memory import Faults, MemoryStore
from syncstring.errors import PatchError, StoreError, StoreUnavailable
from syncstring.store import Changed, Gap, Key, Ready, Row, Store, key_of, of_document, open_store
from syncstring.testing import store_feeds, store_rows
from syncstring.testing.conformance import check_store
from syncstring.testing.store_bench import Check, Client, collect, row_of
from syncstring.testing.store_feeds import Follower

DOC = "d" * 40
RANGE = of_document(DOC)
ROWS = [row_of(DOC, time, n=time) for time in range(10)]
CHANCES = ("lost_before", "lost_after", "lost_late", "stale", "late", "twice", "gap", "ghost")
EVERY_CHANCE = dict.fromkeys(CHANCES, 0.2)


async def there(store: MemoryStore) -> list[int]:
    """The times of the rows that are really there, whatever is to go wrong."""
    faults, store.faults = store.faults, None
    found = await collect(store.scan("patches", *RANGE))
    store.faults = faults
    return sorted(row["id"][1] for row in found)


async def log_of(faults: Faults) -> list[str]:
    """Everything that a writer, a scanner and a feed are told."""
    store = MemoryStore(faults=faults)
    reader = store.client()
    feed = reader.feed("patches", *RANGE)
    log: list[str] = []

    async def note(what: str, call: Callable[[], Awaitable[object]]) -> None:
        try:
            log.append(f"{what}: {await call()}")
        except StoreUnavailable as error:
            log.append(f"{what}: {error}")

    async def listen() -> None:
        async for change in feed:
            log.append(f"feed: {change}")

    async def write() -> None:
        for start in range(0, 10, 2):
            await note("insert", lambda start=start: store.insert("patches", ROWS[start : start + 3]))  # type: ignore[misc]
            await note("delete", lambda start=start: store.delete("patches", ROWS[start : start + 1]))  # type: ignore[misc]
        await note("swap", lambda: store.swap("patches", key_of(ROWS[9]), ROWS[9], {**ROWS[9], "n": -1}))

    async def read() -> None:
        for _ in range(10):
            await note("scan", lambda: collect(reader.scan("patches", *RANGE)))
            await note("get", lambda: reader.get("patches", [key_of(row) for row in ROWS[:4]]))

    listener = asyncio.create_task(listen())
    await asyncio.gather(write(), read())
    reader._shared.held.clear()
    for _ in range(100):
        await asyncio.sleep(0)
    listener.cancel()
    return log


@pytest.mark.parametrize("name", EVERY_CHANCE)
def test_what_goes_wrong_does_so_at_its_chance_and_again_under_its_seed(name: str) -> None:
    def run(seed: int, chance: float) -> tuple[list[str], int]:
        chances = {name: chance, **({"lost_before": 0.5} if name == "ghost" else {})}
        faults = Faults(seed, **chances)  # type: ignore[arg-type]
        return asyncio.run(log_of(faults)), faults.counts.get(name, 0)

    runs = [run(seed, 0.3) for seed in range(12)]
    assert runs == [run(seed, 0.3) for seed in range(12)]
    assert len({tuple(log) for log, _ in runs}) > 6
    assert sum(count for _, count in runs) > 0
    assert all(run(seed, 0.0)[1] == 0 for seed in range(3))


def test_no_faults_are_no_faults() -> None:
    quiet = asyncio.run(log_of(Faults()))
    assert not any("injected" in line or "Gap" in line for line in quiet)


# --- what each of them means ------------------------------------------------------------


def test_a_call_that_is_lost_before_did_nothing() -> None:
    async def run() -> None:
        store = MemoryStore(faults=Faults(lost_before=1.0))
        for call in every_call(store):
            with pytest.raises(StoreUnavailable):
                await call()
        assert await there(store) == []

    asyncio.run(run())


def every_call(store: Store) -> list[Callable[[], Coroutine[Any, Any, object]]]:
    return [
        lambda: store.insert("patches", ROWS[:2]),
        lambda: store.swap("patches", key_of(ROWS[2]), None, ROWS[2]),
        lambda: store.delete("patches", ROWS[:1]),
        lambda: store.get("patches", [key_of(ROWS[0])]),
        lambda: collect(store.scan("patches", *RANGE)),
        store.time,
    ]


def test_a_call_whose_answer_is_lost_was_done_in_whole_or_in_part() -> None:
    async def run(seed: int) -> int:
        store = MemoryStore(faults=Faults(seed, lost_after=1.0))
        with pytest.raises(StoreUnavailable):
            await store.insert("patches", ROWS)
        found = await there(store)
        assert found == list(range(len(found))) and found
        with pytest.raises(StoreUnavailable):
            await store.delete("patches", ROWS[:1])
        assert 0 not in await there(store)
        return len(found)

    sizes = {asyncio.run(run(seed)) for seed in range(50)}
    assert 10 in sizes and len(sizes) > 3


def test_what_is_lost_late_is_done_after_calls_that_begin_later() -> None:
    async def run() -> None:
        store = MemoryStore(faults=Faults(lost_late=1.0))
        for call in every_call(store)[:2]:
            with pytest.raises(StoreUnavailable):
                await call()
        assert await there(store) == []
        store.deliver()
        assert await there(store) == [0, 1, 2]
        with pytest.raises(StoreUnavailable):
            await store.delete("patches", ROWS[:1])
        for _ in range(20):
            await store.get("patches", [])
        assert await there(store) == [1, 2]

    asyncio.run(run())


def test_a_stale_read_lacks_only_what_nobody_was_told_of() -> None:
    async def run(chance: float) -> list[bool]:
        told = asyncio.Event()
        answer = asyncio.Event()
        steps = 0

        async def pause() -> None:
            nonlocal steps
            steps += 1
            if steps == 2:  # the row is there, its author doesn't know
                told.set()
                await answer.wait()

        store = MemoryStore(faults=Faults(stale=chance), pause=pause)
        writing = asyncio.create_task(store.insert("patches", ROWS[:1]))
        await told.wait()
        seen = [await store.get("patches", [key_of(ROWS[0])]) != [None] for _ in range(3)]
        seen.append(len(await collect(store.scan("patches", *RANGE))) == 1)
        answer.set()
        await writing
        assert await store.get("patches", [key_of(ROWS[0])]) == ROWS[:1]
        return seen

    assert asyncio.run(run(1.0)) == [False] * 4
    assert asyncio.run(run(0.0)) == [True] * 4
    for _ in range(20):
        seen = asyncio.run(run(0.5))
        assert seen == sorted(seen)  # what one read saw, the next one sees


def test_late_changes_come_in_another_order_and_all_of_them() -> None:
    async def run(seed: int) -> list[int]:
        store = MemoryStore(faults=Faults(seed, late=0.6))
        feed = store.feed("patches", *RANGE)
        assert await anext(feed) == Ready()
        for row in ROWS:
            await store.insert("patches", [row])
        changes = [await anext(feed) for _ in ROWS]
        return [change.key[1] for change in changes if isinstance(change, Changed)]  # type: ignore[misc]

    orders = [asyncio.run(run(seed)) for seed in range(20)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) > 10


def test_changes_come_twice() -> None:
    async def run() -> None:
        store = MemoryStore(faults=Faults(twice=1.0))
        feed = store.feed("patches", *RANGE)
        await anext(feed)
        await store.insert("patches", ROWS[:1])
        assert await anext(feed) == await anext(feed) == Changed(None, ROWS[0])

    asyncio.run(run())


def test_feeds_break_each_client_by_itself() -> None:
    async def run(seed: int) -> tuple[bool, bool]:
        store = MemoryStore(faults=Faults(seed, gap=0.5))
        feeds = [client.feed("patches", *RANGE) for client in (store, store.client())]
        for feed in feeds:
            await anext(feed)
        await store.insert("patches", ROWS[:1])
        firsts = [await anext(feed) for feed in feeds]
        for first, feed in zip(firsts, feeds, strict=True):
            if isinstance(first, Gap):
                assert await anext(feed) == Ready()
        one, two = (isinstance(first, Gap) for first in firsts)
        return one, two

    assert len({asyncio.run(run(seed)) for seed in range(30)}) == 4


def test_a_ghost_is_shown_then_not_there_then_the_feed_breaks() -> None:
    async def run() -> None:
        store = MemoryStore(faults=Faults(lost_before=1.0, ghost=1.0))
        feed = store.feed("patches", *RANGE)
        await anext(feed)
        with pytest.raises(StoreUnavailable):
            await store.insert("patches", ROWS[:1])
        assert await anext(feed) == Changed(None, ROWS[0])
        assert await there(store) == []
        assert isinstance(await anext(feed), Gap)
        assert await anext(feed) == Ready()

    asyncio.run(run())


def test_what_was_acknowledged_is_never_a_ghost() -> None:
    async def run(seed: int) -> None:
        store = MemoryStore(faults=Faults(seed, **EVERY_CHANCE))  # type: ignore[arg-type]
        sure = []
        for row in ROWS:
            with suppress(StoreUnavailable):
                if (await store.insert("patches", [row]))[0].fine:
                    sure.append(row["id"][1])
        assert set(sure) <= set(await there(store))

    for seed in range(300):
        asyncio.run(run(seed))


@pytest.mark.parametrize("when", ["fail_nth", "fail_nth_after"])
def test_the_nth_call_fails_once_wherever_that_is(when: str) -> None:
    """What fails can be made again, and the end is the same as if nothing had failed."""

    async def run(n: int) -> int:
        store = MemoryStore(faults=Faults(**{when: n}))  # type: ignore[arg-type]
        failed = 0
        for call in every_call(store):
            try:
                await call()
            except StoreUnavailable:
                failed += 1
                await call()
        assert await there(store) == [1, 2]
        return failed

    results = [asyncio.run(run(n)) for n in range(10)]
    calls = 6 if when == "fail_nth" else 3  # those that only read have no deed whose answer could be lost
    assert results == [0] + [1] * calls + [0] * (9 - calls)


# --- the resume protocol ------------------------------------------------------------


class Forgetful(Follower):
    """A reader that goes on after a gap as if there had been none."""

    async def _follow(self) -> None:
        first = True
        async for change in self.feed:
            if isinstance(change, Changed) and change.new is not None:
                self._merge(change.new)
            elif isinstance(change, Ready) and first:
                first = False
                for row in await self.client.scan(*self.place):
                    self._merge(row)
            self._news.set()


async def follow(seed: int, kind: type[Follower] = Follower, **chances: float) -> set[Key]:
    """What a reader lacks in the end, of what two writers were told is there."""
    faults = Faults(seed, **chances)  # type: ignore[arg-type]
    store = MemoryStore(faults=faults, queue=6)
    writers = [Client(store, patient=True), Client(store.client(), patient=True)]
    follower = kind(Client(store.client(), patient=True), "patches", *RANGE)

    async def write(who: int) -> None:
        rows = [row_of(DOC, time, f"w{who}") for time in range(6)]
        while rows:
            batch = rows[: faults.random.randint(1, 4)]
            await writers[who].insert("patches", batch)
            rows = rows[len(batch) :]
            for _ in range(faults.random.randrange(4)):
                await asyncio.sleep(0)

    await asyncio.gather(write(0), write(1))
    store.faults = None
    store.deliver()
    for _ in range(60):
        await asyncio.sleep(0)
    await follower.close()
    return {(DOC, time, f"w{who}") for who in range(2) for time in range(6)} - follower.rows.keys()


def test_a_reader_that_scans_after_every_ready_misses_nothing() -> None:
    for seed in range(2_000):
        assert not asyncio.run(follow(seed, **EVERY_CHANCE)), f"seed {seed}"


def test_a_reader_that_does_not_scan_again_is_found_out() -> None:
    assert any(asyncio.run(follow(seed, Forgetful, **EVERY_CHANCE)) for seed in range(50))


@given(
    seed=st.integers(0, 2**32),
    chances=st.fixed_dictionaries({name: st.sampled_from([0.0, 0.1, 0.5]) for name in EVERY_CHANCE}),
)
def test_a_reader_misses_nothing_under_any_mixture_of_faults(seed: int, chances: dict[str, float]) -> None:
    assert not asyncio.run(follow(seed, **chances))


# --- the contract holds all the same ------------------------------------------------------------

QUICK = [
    store_rows.every_table_keeps_rows,
    store_rows.inserting_again_is_fine,
    store_rows.another_row_under_a_key_is_a_conflict,
    store_rows.values_keep_their_types,
    store_rows.only_an_equal_row_is_deleted,
    store_rows.scans_give_their_range,
    store_rows.calls_at_random_answer_as_a_dict_would,
    store_feeds.a_feed_tells_what_happens,
    store_feeds.a_feed_tells_its_range_only,
    store_feeds.who_comes_amid_writes_misses_nothing,
    store_feeds.after_every_gap_nothing_is_missed,
    store_feeds.closing_in_the_middle_hangs_nobody,
]


@pytest.mark.parametrize("seed", range(30))
def test_who_is_told_that_it_won_or_lost_a_swap_did(seed: int) -> None:
    """Ten count up at once. Every certain win is in the sum, and only what was in doubt may be beside."""

    async def run() -> None:
        store = MemoryStore(faults=Faults(seed, lost_before=0.1, lost_after=0.1, lost_late=0.1, stale=0.3))
        won = unsure = 0
        await Client(store, patient=True).insert("documents", [{"id": [DOC], "n": 0}])

        async def count(client: MemoryStore) -> None:
            nonlocal won, unsure
            for _ in range(20):
                try:
                    (old,) = await client.get("documents", [(DOC,)])
                except StoreUnavailable:
                    continue
                assert old is not None
                try:
                    won += (await client.swap("documents", (DOC,), old, {**old, "n": old["n"] + 1})).fine
                except StoreUnavailable:
                    unsure += 1

        await asyncio.gather(*(count(store.client()) for _ in range(10)))
        store.faults = None
        store.deliver()
        (last,) = await store.get("documents", [(DOC,)])
        assert last is not None and won <= last["n"] <= won + unsure and won and unsure

    asyncio.run(run())


async def check_with(faults: Faults, checks: list[Check], seed: int) -> None:
    store = MemoryStore(faults=faults)

    async def factory(**options: Any) -> Store:
        return store.client(**options)

    await check_store(factory, checks=checks, patient=True, seed=seed, within=600)


@pytest.mark.parametrize(
    "chances",
    [
        {"lost_before": 0.2, "ghost": 0.5},
        {"lost_after": 0.2},
        {"stale": 0.5, "lost_after": 0.05},
        {"late": 0.7, "twice": 0.5},
        {"gap": 0.1},
        {"lost_before": 0.1, "lost_after": 0.1, "ghost": 0.5, "stale": 0.3, "late": 0.5, "twice": 0.2},
    ],
    ids=lambda chances: "+".join(chances),
)
def test_the_contract_holds_whatever_goes_wrong(chances: dict[str, float]) -> None:
    for seed in range(3):
        asyncio.run(check_with(Faults(seed, **chances), QUICK, seed))  # type: ignore[arg-type]


# --- the rest ------------------------------------------------------------


def test_clients_share_rows_and_are_closed_by_themselves() -> None:
    async def run() -> None:
        one = MemoryStore()
        two = one.client()
        await one.insert("patches", ROWS[:1])
        await one.close()
        assert await collect(two.scan("patches", *RANGE)) == ROWS[:1]
        feed = two.feed("patches", *RANGE)
        await two.insert("patches", ROWS[1:2])
        assert [await anext(feed), await anext(feed)] == [Ready(), Changed(None, ROWS[1])]
        two.check()

    asyncio.run(run())


def test_rows_are_copies() -> None:
    async def run() -> None:
        store = MemoryStore()
        row: Row = {**row_of(DOC), "parts": [1]}
        await store.insert("patches", [row])
        row["parts"].append(2)
        (found,) = await store.get("patches", [key_of(row)])
        assert found is not None and found["parts"] == [1]
        found["parts"].append(3)
        assert (await store.insert("patches", [{**row, "parts": [1]}]))[0].kind == "present"

    asyncio.run(run())


def test_what_was_read_is_counted() -> None:
    async def run() -> None:
        store = MemoryStore()
        await store.insert("patches", ROWS)
        assert store.rows_read == 0
        await store.get("patches", [key_of(ROWS[0]), (DOC, 99, "s")])
        assert store.rows_read == 1
        await collect(store.scan("patches", *RANGE))
        assert store.rows_read == 11

    asyncio.run(run())


def test_large_rows_that_wait_for_a_slow_reader_are_bounded_by_their_bytes() -> None:
    async def run() -> None:
        store = MemoryStore()
        feed = store.feed("patches", *RANGE)
        for time in range(100):
            row = row_of(DOC, time, text="x" * (1 << 20))
            await store.insert("patches", [row])
            await store.delete("patches", [row])
        first = await anext(feed)
        assert isinstance(first, Gap) and "slow reader" in first.reason

    asyncio.run(run())


def test_who_goes_on_when_is_the_caller_s_to_say() -> None:
    async def run() -> None:
        turn = asyncio.Event()
        store = MemoryStore(pause=turn.wait, clock=lambda: 7)
        task = asyncio.create_task(store.insert("patches", ROWS[:1]))
        await asyncio.sleep(0.01)
        assert not task.done()
        turn.set()
        await task
        assert await store.time() == 7

    asyncio.run(run())


def test_without_a_limit_it_needs_no_event_loop() -> None:
    async def pause() -> None:
        pass

    async def main() -> list[Row]:
        store = MemoryStore(faults=Faults(late=0.9), pause=pause, limit=float("inf"))
        feed = store.feed("patches", *RANGE)
        assert await anext(feed) == Ready()
        await store.insert("patches", ROWS)
        store.deliver()
        changes = [await anext(feed) for _ in ROWS]
        return sorted(
            (change.new for change in changes if isinstance(change, Changed) and change.new), key=key_of
        )

    steps = main()
    with pytest.raises(StopIteration) as ended:
        steps.send(None)
    assert ended.value.value == ROWS


@pytest.mark.parametrize("call", range(6))
def test_a_store_that_never_goes_on_is_unavailable_at_its_limit(call: int) -> None:
    async def run() -> None:
        store = MemoryStore(pause=asyncio.Event().wait, limit=0.01)  # type: ignore[arg-type]
        with pytest.raises(StoreUnavailable):
            await every_call(store)[call]()

    asyncio.run(run())


def test_a_memory_store_is_opened_by_its_url() -> None:
    async def run() -> None:
        async with await open_store("memory:", queue=5, limit=3.0) as store:
            assert isinstance(store, MemoryStore) and store.url == "memory:" and store.limit == 3.0
        with pytest.raises(StoreError):
            await store.time()
        for url, options in (("memory:team", {}), ("memory:", {"color": 1}), ("redis:x", {})):
            with pytest.raises(PatchError):
                await open_store(url, **options)

    asyncio.run(run())


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
values = st.recursive(
    values,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
    max_leaves=8,
)


def exact(a: Any, b: Any) -> bool:
    """Whether they are the same value of the same types, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(exact(a[name], b[name]) for name in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(exact, a, b))
    return repr(a) == repr(b)


@given(values)
@example({"b": 1, "a": -0.0})
def test_any_value_is_kept_exactly_or_refused(value: Any) -> None:
    async def run() -> None:
        store = MemoryStore()
        row = row_of(DOC, value=value)
        (verdict,) = await store.insert("patches", [row])
        (found,) = await store.get("patches", [key_of(row)])
        store.check()
        if verdict.kind == "refused":
            assert verdict.reason and found is None
        else:
            assert found is not None and exact(found["value"], value)
            assert (await store.insert("patches", [row]))[0].kind == "present"

    asyncio.run(run())
