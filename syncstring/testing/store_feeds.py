"""The checks of feeds: who reads one as `store.py` says misses nothing, whatever breaks.

The law of this room. One function a promise, as in `store_rows`. Nothing is expected of a feed that isn't
promised: changes may come in any order and twice, a Gap may come at any time, so a `Follower` does what a
session does, and only what it knows in the end counts. That it knows enough is waited for, with patience; a
feed that lost something never tells, so such a check fails when nothing comes for long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Final

from syncstring.errors import StoreError
from syncstring.store import EVERYTHING, Change, Changed, Feed, Gap, Key, Ready, Row, key_of, of_document
from syncstring.testing.store_bench import Bench, Check, Client, collect, row_of, shown

__all__ = ["FEED_CHECKS", "Follower"]

PATIENCE: Final = 60.0  # seconds in which nothing that is waited for comes: machines stand still at times


class Follower:
    """A reader that merges by key: after each `Ready` it scans, and it looks at everything that comes."""

    def __init__(self, client: Client, table: str, lower: Key, upper: Key) -> None:
        self.client = client
        self.place = (table, lower, upper)
        self.feed = client.feed(table, lower, upper)
        self.rows: dict[Key, Row] = {}
        """The newest of each key that it saw, by the number `n` in it."""
        self.gone: set[Key] = set()
        """Every key that it saw nothing under, having seen something."""
        self.readies = 0
        self.gaps: list[str] = []
        self.first: Change | None = None
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._follow())
        self._task.add_done_callback(_look_at)  # told in `until`

    async def _follow(self) -> None:
        async for change in self.feed:
            self.first = change if self.first is None else self.first
            if isinstance(change, Ready):
                self.readies += 1
                rows = {key_of(row): row for row in await self.client.scan(*self.place)}
                self.gone |= self.rows.keys() - rows.keys()
                for row in rows.values():
                    self._merge(row)
            elif isinstance(change, Gap):
                self.gaps.append(change.reason)
            else:
                _, lower, upper = self.place
                assert lower <= change.key < upper, f"{change.key} comes on a feed from {lower} to {upper}"
                if change.new is not None:
                    self._merge(change.new)
                else:
                    self.gone.add(change.key)
            self._news.set()

    def _merge(self, row: Row) -> None:
        known = self.rows.get(key_of(row))
        if known is None or known.get("n", 0) <= row.get("n", 0):
            self.rows[key_of(row)] = row

    async def until(self, holds: Callable[[], bool], missing: Callable[[], object]) -> None:
        """Wait until that holds; what is missing is told if nothing comes any more."""
        while not holds():
            self._news.clear()
            news = asyncio.ensure_future(self._news.wait())
            done, _ = await asyncio.wait(
                [news, self._task], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
            )
            news.cancel()
            if self._task in done:
                self._task.result()
                raise AssertionError("the feed ended by itself")
            if not done:
                told = f"{self.readies} times Ready, gaps: {shown(self.gaps[-3:])}"
                raise AssertionError(f"{shown(missing())} never came ({told})")

    async def has(self, rows: Iterable[Row]) -> None:
        """Wait until it knows these rows, or newer ones."""
        wanted = {key_of(row): row for row in rows}

        def missing() -> list[Key]:
            return [
                key
                for key, row in wanted.items()
                if key not in self.rows or self.rows[key].get("n", 0) < row.get("n", 0)
            ]

        await self.until(lambda: not missing(), missing)

    async def close(self) -> None:
        await self.feed.aclose()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


def _look_at(task: asyncio.Future[Any]) -> None:
    """Don't let asyncio complain of what isn't awaited because a check fails before."""
    if not task.cancelled():
        task.exception()


async def _ready(feed: Feed) -> None:
    """Wait until a feed is ready."""
    while not isinstance(await _next(feed), Ready):
        pass


async def _next(feed: Feed) -> Change:
    try:
        return await asyncio.wait_for(anext(feed), PATIENCE)
    except TimeoutError:
        raise AssertionError("a feed says nothing, not even Ready or Gap") from None


def _at_hand(feed: Feed) -> Change | None:
    """What a feed gives without waiting, if anything."""
    step: Coroutine[Any, Any, Change] = feed.__anext__()
    try:
        step.send(None)
    except StopIteration as ended:
        change: Change = ended.value
        return change
    step.close()
    return None


async def a_feed_tells_what_happens(bench: Bench) -> None:
    """A feed begins with Ready or a Gap, then tells each row that comes, changes or goes, whoever does it."""
    reader, writer, doc = await bench.client(), await bench.client(), bench.doc()
    follower = Follower(reader, "patches", *of_document(doc))
    await follower.until(lambda: follower.readies > 0, lambda: "Ready")
    assert isinstance(follower.first, (Ready, Gap)), f"it begins with {shown(follower.first)}"
    for number, client in enumerate([writer, reader, writer]):
        old, new = row_of(doc, number, n=1), row_of(doc, number, n=2)
        await client.insert("patches", [old])
        await follower.has([old])
        await client.swap("patches", key_of(old), old, new)
        await follower.has([new])
        await client.delete("patches", [new])
        key = key_of(new)
        await follower.until(lambda key=key: key in follower.gone, lambda: "a deletion")  # type: ignore[misc]
    await follower.close()


async def a_feed_tells_its_range_only(bench: Bench) -> None:
    """Every feed whose range holds a key tells its changes; no other does."""
    client, writer = await bench.client(), await bench.client()
    docs = sorted(bench.doc() for _ in range(3))
    docs.append(docs[0][:20])
    ranges = [of_document(doc) for doc in docs]
    ranges += [((docs[0], 3), (docs[0], 6)), ((docs[0], 3, "s"), (docs[1], 2)), EVERYTHING]
    followers = [Follower(client, "patches", *each) for each in ranges]
    elsewhere = Follower(client, "packs", *of_document(docs[0]))
    for follower in (*followers, elsewhere):
        await follower.until(lambda follower=follower: follower.readies > 0, lambda: "Ready")  # type: ignore[misc]
    rows = [row_of(doc, time) for doc in docs for time in range(8)]
    bench.random.shuffle(rows)
    for start in range(0, len(rows), 5):
        await writer.insert("patches", rows[start : start + 5])
    for (lower, upper), follower in zip(ranges, followers, strict=True):
        await follower.has([row for row in rows if lower <= key_of(row) < upper])
        await follower.close()
    assert not elsewhere.rows, "a feed of packs tells patches"
    await elsewhere.close()


async def who_comes_amid_writes_misses_nothing(bench: Bench) -> None:
    """A feed may be opened at any instant: what is acknowledged is in the scan after Ready, or comes."""
    writers, readers, doc = [await bench.client() for _ in range(3)], await bench.client(), bench.doc()
    rows = [row_of(doc, time, f"w{who}") for who in range(3) for time in range(150)]
    followers: list[Follower] = []

    async def write(who: int) -> None:
        for start in range(0, 150, 3):
            await writers[who].insert("patches", rows[150 * who + start : 150 * who + start + 3])

    async def come() -> None:
        for _ in range(15):
            for _ in range(bench.random.randrange(20)):
                await asyncio.sleep(0)
            followers.append(Follower(readers, "patches", *of_document(doc)))
            await asyncio.sleep(bench.random.random() / 100)

    await asyncio.gather(*map(write, range(3)), come())
    for follower in followers:
        await follower.has(rows)
        await follower.close()


async def after_every_gap_nothing_is_missed(bench: Bench) -> None:
    """Whatever gap a store makes: after the next Ready and a scan, nothing is missed."""
    reader, writer = await bench.client(queue=50), await bench.client()
    for gap in (None, *bench.gaps):
        doc = bench.doc()
        follower = Follower(reader, "patches", *of_document(doc))
        manifest = Follower(reader, "documents", *of_document(doc))
        rows: list[Row] = []
        row: Row | None = None
        for number in range(12):
            batch = [row_of(doc, time) for time in range(100 * number, 100 * number + 80)]
            after: Row = {"id": [doc], "n": number}
            work: list[Awaitable[object]] = [
                writer.insert("patches", batch),
                writer.swap("documents", (doc,), row, after),
            ]
            if gap is not None:
                work.append(gap(reader.store))
            bench.random.shuffle(work)
            await asyncio.gather(*work)
            rows, row = rows + batch, after
            await asyncio.sleep(bench.random.choice([0, 0.001]))
        await follower.has(rows)
        await manifest.has([{"id": [doc], "n": 11}])
        if gap is not None:
            assert follower.gaps, f"{getattr(gap, '__name__', gap)} makes no Gap"
        await follower.close()
        await manifest.close()


async def many_feeds_cost_little(bench: Bench) -> None:
    """A thousand documents' feeds on one client get their own changes each, one of the whole table all."""
    client, writer = await bench.client(), await bench.client()
    docs = [bench.doc() for _ in range(1_000)]
    feeds = [client.feed("patches", *of_document(doc)) for doc in docs]
    whole = Follower(client, "patches", *EVERYTHING)
    await whole.until(lambda: whole.readies > 0, lambda: "Ready")
    for feed in feeds:
        await _ready(feed)
    rows = [row_of(doc) for doc in docs]
    for start in range(0, 1_000, 100):
        await writer.insert("patches", rows[start : start + 100])
    await whole.has(rows)
    for row, feed in zip(rows, feeds, strict=True):
        change = await _next(feed)
        if isinstance(change, Changed):
            assert change.new == row, f"the feed of {row['id'][0]} tells {shown(change)}"
        else:
            assert isinstance(change, Gap), f"Ready comes twice: {shown(change)}"
            assert await client.get("patches", [key_of(row)]) == [row]
        await feed.aclose()
    await whole.close()


async def a_slow_reader_gets_a_gap(bench: Bench) -> None:
    """Of a reader that is slow no more than `queue` changes are kept; then it gets a Gap, and can resume."""
    client, writer, doc = await bench.client(queue=100), await bench.client(), bench.doc()
    feed = client.feed("patches", *of_document(doc))
    await _ready(feed)
    fast = Follower(client, "patches", *of_document(doc))
    rows = [row_of(doc, time) for time in range(1_000)]
    for start in range(0, 1_000, 200):
        await writer.insert("patches", rows[start : start + 200])
        await fast.has(rows[: start + 200])
    kept: list[Change] = []
    while (waiting := _at_hand(feed)) is not None:
        kept.append(waiting)
    assert len(kept) <= 102, f"{len(kept)} changes are kept for a reader that may have 100"
    assert any(isinstance(change, Gap) for change in kept), "a slow reader isn't told that it lost something"
    at = max(at for at, change in enumerate(kept) if isinstance(change, Gap))
    while not any(isinstance(change, Ready) for change in kept[at:]):
        kept.append(await _next(feed))
    assert len(await client.scan("patches", *of_document(doc))) == 1_000
    last = row_of(doc, 1_000)
    await writer.insert("patches", [last])
    while not (isinstance(change := await _next(feed), Changed) and change.new == last):
        pass
    await feed.aclose()
    await fast.close()


async def a_cancelled_wait_loses_nothing(bench: Bench) -> None:
    """Who stops waiting for a change, and asks again, has lost none."""
    client, writer, doc = await bench.client(), await bench.client(), bench.doc()
    feed = client.feed("patches", *of_document(doc))
    await _ready(feed)
    rows = [row_of(doc, time) for time in range(200)]
    seen: set[Key] = set()

    async def write() -> None:
        for row in rows:
            await writer.insert("patches", [row])

    task = asyncio.create_task(write())
    task.add_done_callback(_look_at)
    clock = asyncio.get_running_loop().time
    news = clock()
    while len(seen) < len(rows) and (not task.done() or clock() < news + PATIENCE):
        waiting = asyncio.ensure_future(anext(feed))
        for _ in range(bench.random.randrange(4)):
            await asyncio.sleep(0)
        if bench.random.random() < 0.3:
            await asyncio.wait([waiting], timeout=0.02)
        waiting.cancel()
        try:
            change = await waiting
        except asyncio.CancelledError:
            continue
        news = clock()
        if isinstance(change, Ready):
            seen |= {key_of(row) for row in await client.scan("patches", *of_document(doc))}
        elif isinstance(change, Changed):
            seen.add(change.key)
    await task
    assert len(seen) == len(rows), f"{len(rows) - len(seen)} of {len(rows)} changes are lost"
    await feed.aclose()


async def a_closed_feed_ends(bench: Bench) -> None:
    """After `aclose` a feed ends, also for who waits for it at that moment; other feeds go on."""
    client, writer, doc = await bench.client(), await bench.client(), bench.doc()
    feeds = [client.feed("patches", *of_document(doc)) for _ in range(3)]
    for feed in feeds:
        await _ready(feed)
    waiting = asyncio.ensure_future(_ended(feeds[0]))
    await asyncio.sleep(0)
    await writer.insert("patches", [row_of(doc)])
    for feed in feeds[:2]:
        await feed.aclose()
        await feed.aclose()
    ends = [waiting, *(asyncio.ensure_future(_ended(feed)) for feed in feeds[:2])]
    done, late = await asyncio.wait(ends, timeout=PATIENCE)
    for task in late:
        task.cancel()
    assert not late, "who waits for a closed feed waits for ever"
    for task in done:
        task.result()
    follower = Follower(client, "patches", *of_document(doc))
    await follower.has([row_of(doc)])
    await _next(feeds[2])
    await follower.close()


async def _ended(feed: Feed) -> None:
    async for _ in feed:
        pass


async def closing_in_the_middle_hangs_nobody(bench: Bench) -> None:
    """When a store is closed, each call that has begun ends, with its answer or a StoreError; what was
    acknowledged is there."""
    witness = await bench.client()
    for number in range(18):
        client, doc = (await bench.client()).store, bench.doc()
        rows = [row_of(doc, time) for time in range(40)]
        feeds = [client.feed("patches", *of_document(doc)) for _ in range(3)]
        calls: dict[str, list[Coroutine[Any, Any, object]]] = {
            "insert": [client.insert("patches", [row]) for row in rows],
            "swap": [client.swap("documents", (doc,), None, {"id": [doc], "n": n}) for n in range(5)],
            "delete": [client.delete("patches", [row_of(doc, 99)]) for _ in range(5)],
            "get": [client.get("patches", [key_of(row)]) for row in rows[:5]],
            "scan": [collect(client.scan("patches", *EVERYTHING)) for _ in range(3)],
            "feed": [_ended(feed) for feed in feeds],
            "time": [client.time()],
        }
        tasks = {asyncio.ensure_future(call): name for name, some in calls.items() for call in some}
        for task in tasks:
            task.add_done_callback(_look_at)
        inserts = list(tasks)[: len(rows)]
        for _ in range(number % 6):  # from "not begun" to "mostly done"
            await asyncio.sleep(0 if number < 12 else bench.random.random() / 200)
        closing = [asyncio.ensure_future(client.close()) for _ in range(2)]
        _, late = await asyncio.wait([*tasks, *closing], timeout=PATIENCE)
        assert not late, f"closing hangs: {sorted({tasks.get(task, 'close') for task in late})}"
        for task, name in tasks.items():
            error = task.exception()
            assert error is None or isinstance(error, StoreError), f"{name} ended with {error!r}"
            assert name != "feed" or error is not None, (
                "the feed of a closed store ends as if it were its end"
            )
        for task in closing:
            task.result()
        done = [row for row, task in zip(rows, inserts, strict=True) if task.exception() is None]
        found = {key_of(row) for row in await witness.scan("patches", *of_document(doc))}
        missing = {key_of(row) for row in done} - found
        assert not missing, f"{len(missing)} rows were acknowledged, and are not there"


FEED_CHECKS: Final[tuple[Check, ...]] = (
    a_feed_tells_what_happens,
    a_feed_tells_its_range_only,
    who_comes_amid_writes_misses_nothing,
    after_every_gap_nothing_is_missed,
    many_feeds_cost_little,
    a_slow_reader_gets_a_gap,
    a_cancelled_wait_loses_nothing,
    a_closed_feed_ends,
    closing_in_the_middle_hangs_nobody,
)
