"""`store check`: what a store stands on, how fast it answers, what is wrong with it.

The law of this room. Nothing is made that isn't there, and nothing is changed: what is written, to see that
writing works, is a few rows of `cursors` under a document that nobody has, gone again at the end. A store
that other commands refuse for what is wrong with it is looked at all the same. Whatever can't be seen, or
doesn't come in time, is told as that. A *finding* is what is wrong, *advice* what could be better.

What a store knows of itself is `Store.standing`; here it is measured from outside, by calls of the contract.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from statistics import median
from typing import Any, Final

from syncstring.cli.options import FAILED, FINE
from syncstring.cli.output import Output, clock, plain, working
from syncstring.cli.places import with_store
from syncstring.errors import StoreError, StoreUnavailable
from syncstring.outside import fresh_key, fresh_session
from syncstring.store import Changed, Feed, Gap, Key, Ready, Row, Standing, Store, of_document

__all__ = ["check_store", "measured"]

LIMIT: Final = 10.0  # seconds for each answer
TIMES: Final = 9  # calls of each kind; the one in the middle counts
FAR: Final = 60_000_000  # microseconds by which clocks may differ before people notice
_UNCHECKED: Final = ("rethinkdb", "rethinkdbs")  # stores that refuse to be opened for what is wrong with them


def check_store(out: Output, url: str) -> int:
    """Look at a store and tell; the exit status."""
    options = {"check": False} if url.partition(":")[0] in _UNCHECKED else {}
    with working("checking"):
        told = with_store(url, _look, limit=LIMIT, **options)
    if out.json:
        out.object(told)
    else:
        for line in _lines(out, told):
            out.line(line)
    return FAILED if told["findings"] else FINE


async def _look(store: Store) -> dict[str, Any]:
    standing = await store.standing()
    figures, findings, advice = await measured(store)
    return {
        "url": store.url,
        **Standing(
            standing.version,
            dict(standing.kept),
            {name: dict(table) for name, table in standing.tables.items()},
            standing.unseen,
            (*standing.findings, *findings),
            (*standing.advice, *advice),
        )._asdict(),
        **figures,
    }


# --- measuring ------------------------------------------------------------------------------------------


async def measured(store: Store) -> tuple[dict[str, int | None], list[str], list[str]]:
    """How long a store takes for `reading`, `writing` and `hearing` (what was written, through a feed), and
    how far its `clock` is ahead of ours: microseconds, None where it couldn't be seen. And what is wrong, and
    what could be better. Every wait has the store's limit."""
    figures: dict[str, int | None] = dict.fromkeys(("reading", "writing", "hearing", "clock"))
    findings: list[str] = []
    advice: list[str] = []
    try:
        figures["reading"], ahead = await _read(store)
    except StoreUnavailable as error:
        findings.append(f"no answer: {error}")
    except StoreError as error:
        findings.append(f"it can't be read: {error}")
    else:
        figures["clock"] = ahead
        if abs(ahead) > FAR:
            which = "behind" if ahead > 0 else "ahead of"
            told = f"this machine's clock is {abs(ahead) / 1e6:,.0f} s {which} the store's"
            advice.append(f"{told}: people see wrong times")
        await _write_and_hear(store, figures, findings, advice)
    return figures, findings, advice


async def _write_and_hear(
    store: Store, figures: dict[str, int | None], findings: list[str], advice: list[str]
) -> None:
    doc = fresh_key()
    rows: list[Row] = [{"id": [doc, fresh_session()], "check": n} for n in range(TIMES)]
    began: dict[Key, float] = {}
    async with aclosing(store.feed("cursors", *of_document(doc))) as feed:
        ear = _Ear(feed)
        listening = asyncio.create_task(ear.listen())
        try:
            if not (ready := await ear.hears(store.limit)):
                why = ear.trouble or "it is silent"
                findings.append(f"no feed was ready within {store.limit:g} s: {why}")
            figures["writing"] = await _write(store, rows, began)
            if ready:
                figures["hearing"] = await _heard(ear, began, store.limit)
                if figures["hearing"] is None:
                    why = f": {ear.trouble}" if ear.trouble else ""
                    findings.append(f"a feed didn't tell what was written within {store.limit:g} s{why}")
        except StoreUnavailable as error:
            findings.append(f"no answer: {error}")
        except StoreError as error:
            advice.append(f"it can't be written: {error}")
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            if began:
                with suppress(StoreError):
                    await store.delete("cursors", rows)


class _Ear:
    """What a feed tells, and when."""

    def __init__(self, feed: Feed) -> None:
        self.ready = asyncio.Event()
        self.heard: dict[Key, float] = {}
        self.trouble = ""
        self._feed = feed
        self._news = asyncio.Event()

    async def listen(self) -> None:
        async for change in self._feed:
            if isinstance(change, Ready):
                self.ready.set()
            elif isinstance(change, Gap):
                self.trouble = change.reason
            elif isinstance(change, Changed):
                self.heard.setdefault(change.key, time.perf_counter())
            self._news.set()

    async def hears(self, limit: float, keys: Sequence[Key] = ()) -> bool:
        """Whether the feed is ready, and has told of those keys, within the limit."""
        try:
            async with asyncio.timeout(limit):
                await self.ready.wait()
                while not self.heard.keys() >= set(keys):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True


async def _read(store: Store) -> tuple[int, int]:
    """How long a read takes; how far the store's clock is ahead."""
    took, offsets = [], []
    for _ in range(TIMES):
        start = time.perf_counter()
        await store.get("meta", [("format",)])
        took.append(time.perf_counter() - start)
        before, start = clock(), time.perf_counter()
        now = await store.time()
        passed = time.perf_counter() - start
        offsets.append((passed, now - before - round(passed * 500_000)))  # it was read half way, most likely
    return _micros(took), min(offsets)[1]


async def _write(store: Store, rows: list[Row], began: dict[Key, float]) -> int:
    """How long it takes until a row is acknowledged."""
    took = []
    for row in rows:
        key = tuple(row["id"])
        began[key] = time.perf_counter()
        await store.insert("cursors", [row])
        took.append(time.perf_counter() - began[key])
    return _micros(took)


async def _heard(ear: _Ear, began: dict[Key, float], limit: float) -> int | None:
    if not await ear.hears(limit, list(began)):
        return None
    return _micros([ear.heard[key] - start for key, start in began.items()])


def _micros(seconds: Sequence[float]) -> int:
    return round(median(seconds) * 1e6)


# --- telling --------------------------------------------------------------------------------------------


def _lines(out: Output, told: dict[str, Any]) -> Iterator[str]:
    """What people read."""
    yield out.paint(plain(told["url"]), "cyan")
    rows: list[tuple[str, str]] = [("server", plain(told["version"]))] if told["version"] else []
    rows += [("kept", _kept(told["kept"]))] if told["kept"] else []
    groups: dict[str, list[str]] = {}
    for name, table in told["tables"].items():
        groups.setdefault(_kept(table), []).append(name)
    rows += [("tables", f"{', '.join(names)}: {how}") for how, names in groups.items()]
    rows += [
        ("reading", _time(told["reading"])),
        ("writing", _time(told["writing"])),
        ("hearing", _time(told["hearing"])),
        ("clock", _clock(told["clock"])),
    ]
    rows += [("not seen", plain(what)) for what in told["unseen"]]
    last = ""
    for title, what in rows:
        yield f"  {'' if title == last else title:<9} {what}"
        last = title
    for what in told["findings"]:
        yield f"  {out.paint('wrong', 'red')}     {plain(what)}"
    for what in told["advice"]:
        yield f"  {out.paint('advice', 'yellow')}    {plain(what)}"
    if not told["findings"]:
        yield f"  {out.paint('sound', 'green')}{', as far as it can be seen' if told['unseen'] else ''}"


def _kept(how: Mapping[str, Any]) -> str:
    """How something is kept, in words."""
    words = []
    for name, value in how.items():
        name = name.replace("_", " ")
        if value is True:
            words.append(name)
        elif type(value) is int:
            words.append(f"{value} {name.removesuffix('s') if value == 1 else name}")
        elif value:
            words.append(f"{name} {plain(str(value))}")
    return ", ".join(words) or "not seen"


def _clock(ahead: int | None) -> str:
    return "not seen" if ahead is None else f"{round(ahead / 1_000):+,} ms beside ours"


def _time(took: int | None) -> str:
    return "not seen" if took is None else f"{took / 1_000:.1f} ms"
