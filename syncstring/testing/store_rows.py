"""The checks of calls: what goes in comes out, once, unchanged, for everybody.

The law of this room. One function a promise, whose first line says it; each takes a `Bench` and raises
AssertionError. The last one makes calls at random and compares every answer with a dict's; what fails
there is made as short as it can be before it is shown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias

from syncstring.errors import PatchError, StoreError, StoreUnavailable
from syncstring.store import EVERYTHING, MAX_ROW_BYTES, TABLES, Key, Row, key_of, of_document, same
from syncstring.testing.store_bench import Answers, Bench, Check, Client, collect, differ, row_of, shown

__all__ = ["ROW_CHECKS"]

MEBIBYTE: Final = 1 << 20
PATIENCE: Final = 60.0  # seconds, far beyond the limit that is checked: machines are slow at times
TWINS: Final[list[Any]] = [
    0, 0.0, -0.0, False, None, "", "0", [], {}, 1, 1.0, True, "1", [1], [1.0], [True], {"": 1}, {"": 1.0},
    2**53 + 1, float(2**53), 2**64, 1e308, 5e-324, "é", "e\u0301", "\r\n", "\n", b"", b"0", b"\0",
]  # fmt: skip
"""Values that are easily taken for each other."""
NAMES: Final = [
    "",
    "\0",
    "unreadable",
    "data",
    "row",
    "$reql_type$",
    "__proto__",
    "ключ",
    "\U0010ffff",
    "a.b",
    "'\"",
]
UNFIT: Final[list[Any]] = [
    float("nan"), float("inf"), "\ud800", "a\udfff", {1: 2}, {"\ud800": 1}, (1, 2), {1, 2}, [b"x"],
    {"x": b"x"}, object(), 1j, bytearray(b"x"),
]  # fmt: skip
"""What no row can hold."""


_IN_DOUBT: Final = {"present": "inserted", "absent": "deleted", "differs": "deleted", "lost": "swapped"}


def _agree(answers: Answers, kinds: Iterable[str]) -> bool:
    """Whether these are the answers, as far as one can tell after a doubt."""
    found, wanted = [verdict.kind for verdict in answers], list(kinds)
    if not answers.doubt:
        return found == wanted
    return [_IN_DOUBT.get(kind, kind) for kind in found] == [_IN_DOUBT.get(kind, kind) for kind in wanted]


def _expect(kinds: list[str], answers: Answers, what: str) -> None:
    found = [verdict.kind for verdict in answers]
    assert _agree(answers, kinds), f"{what} gave {shown(found)} instead of {shown(kinds)}"


async def _holds(client: Client, table: str, row: Row) -> None:
    (found,) = await client.get(table, [key_of(row)])
    assert same(found, row), f"{table}: {differ(found, row)}"


def _example(table: str, doc: str, last: str = "s") -> Row:
    """A row of any table."""
    kinds = TABLES[table]
    return {"id": [doc, *(last if kind is str else 7 for kind in kinds[1:])], "v": 1}


async def every_table_keeps_rows(bench: Bench) -> None:
    """A row of any table is found by its key, also by another client, also after its client was closed."""
    writer, reader = await bench.client(), await bench.client()
    for table in TABLES:
        row = _example(table, bench.doc())
        assert await reader.get(table, [key_of(row)]) == [None], f"{table}: a row that nobody wrote"
        _expect(["inserted"], await writer.insert(table, [row]), f"inserting into {table}")
        await _holds(reader, table, row)
        await _holds(writer, table, row)
        assert await reader.scan(table, *of_document(row["id"][0])) == [row], (
            f"{table}: a scan doesn't see it"
        )
    await writer.store.close()
    await _holds(reader, table, row)


async def inserting_again_is_fine(bench: Bench) -> None:
    """The same row may be inserted again, in one batch too; it is there once."""
    one, two, doc = await bench.client(), await bench.client(), bench.doc()
    row = row_of(doc, delta="=1")
    _expect(["inserted", "present"], await one.insert("patches", [row, row]), "twice in one batch")
    for client in (one, two):
        verdicts = await client.insert("patches", [row])
        assert verdicts[0].fine and verdicts[0].row is None, f"inserting it again gave {shown(verdicts)}"
    assert await two.scan("patches", *of_document(doc)) == [row], "it is there more than once"
    assert await one.insert("patches", []) == [], "no rows, yet a verdict"


async def another_row_under_a_key_is_a_conflict(bench: Bench) -> None:
    """A second row under a key is a conflict that tells the first, and changes nothing."""
    one, two, doc = await bench.client(), await bench.client(), bench.doc()
    first, second = row_of(doc, delta="=1"), row_of(doc, delta="=2")
    await one.insert("patches", [first])
    for client in (one, two):
        other = row_of(doc, 2, str(bench.random.random())[2:9])
        verdicts = await client.insert("patches", [second, other, first])
        _expect(["conflict", "inserted", "present"], verdicts, "another, a new and the first row")
        assert same(verdicts[0].row, first), f"the conflict tells {differ(verdicts[0].row, first)}"
        assert verdicts[2].fine, f"the first row itself, in that batch, gave {shown(verdicts[2])}"
        await _holds(client, "patches", first)


async def values_keep_their_types(bench: Bench) -> None:
    """1, 1.0, True and "1" are four values: kept as they are, and told from each other by every call."""
    client, doc = await bench.client(), bench.doc()
    rows = [row_of(doc, time, value=value) for time, value in enumerate(TWINS)]
    _expect(["inserted"] * len(rows), await client.insert("patches", rows), "inserting them")
    found = await client.get("patches", [key_of(row) for row in rows])
    for row, other in zip(rows, found, strict=True):
        assert same(row, other), differ(other, row)
    for time, value in enumerate(TWINS):
        twin = {**rows[time], "value": TWINS[time - 1]}
        _expect(["conflict"], await client.insert("patches", [twin]), f"{twin['value']!r} over {value!r}")
        _expect(
            ["differs"], await client.delete("patches", [twin]), f"deleting {twin['value']!r}, not {value!r}"
        )
        verdict = await client.swap("patches", key_of(twin), twin, row_of(doc, time))
        _expect(["lost"], verdict, f"swapping {twin['value']!r}, where {value!r} is")
        await _holds(client, "patches", rows[time])


async def every_text_comes_back(bench: Bench) -> None:
    """All of Unicode comes back as it was, U+0000 too, in values and in names of fields."""
    client, doc = await bench.client(), bench.doc()
    rows = []
    for plane in range(17):
        letters = map(chr, range(plane << 16, (plane + 1) << 16))
        rows.append(row_of(doc, plane, text="".join(c for c in letters if not "\ud800" <= c <= "\udfff")))
    rows += [row_of(doc, 100 + number, **{name: name}) for number, name in enumerate(NAMES)]
    rows.append({**row_of(doc, 200, text="\0", parts=["\0", "a\0b"]), "a\0b": {"\0": "\0"}})
    for row in rows:
        _expect(["inserted"], await client.insert("patches", [row]), f"inserting {shown(row)}")
        await _holds(client, "patches", row)


async def bytes_come_back(bench: Bench) -> None:
    """One field of a row may be bytes, of any value and length; other bytes are another row."""
    client, doc = await bench.client(), bench.doc()
    contents = [
        b"",
        b"\0",
        bytes(range(256)),
        bench.random.randbytes(MEBIBYTE),
        b"text",
        b'{"a":1}',
        b"\xff" * 9,
    ]
    for number, data in enumerate(contents):
        row = {"id": [doc, f"p{number}"], "data": data, "v": number}
        _expect(["inserted"], await client.insert("packs", [row]), f"inserting {shown(data)}")
        await _holds(client, "packs", row)
        others: list[Row] = [{**row, "data": data + b"\0"}, {**row, "data": None}, {**row, "data": ""}]
        others += [{"id": row["id"], "v": number}, {"id": row["id"], "v": number, "Data": data}]
        if data:
            others.append({**row, "data": bytes([data[0] ^ 1]) + data[1:]})
        for other in others:
            _expect(["conflict"], await client.insert("packs", [other]), f"{shown(other)} over {shown(row)}")
        _expect(["deleted"], await client.delete("packs", [row]), f"deleting {shown(row)}")


async def large_rows_come_back(bench: Bench) -> None:
    """Rows of 1 MiB are kept, several in a batch, and so is the largest that is allowed; no larger one."""
    client, doc = await bench.client(), bench.doc()
    rows = [row_of(doc, time, text=letter * MEBIBYTE) for time, letter in enumerate('aé"')]
    rows += [row_of(doc, 10 + time, data=bench.random.randbytes(MEBIBYTE)) for time in range(3)]
    rows.append(row_of(doc, 20, text="x" * (MAX_ROW_BYTES // 4), data=b"x" * (MAX_ROW_BYTES // 2)))
    room = MAX_ROW_BYTES - len('{"text":""}')
    _expect(["inserted"] * len(rows), await client.insert("patches", rows), "inserting them")
    _expect(
        ["inserted"], await client.insert("patches", [row_of(doc, 21, text="x" * room)]), "the largest row"
    )
    _expect(
        ["refused"], await client.insert("patches", [row_of(doc, 22, text="x" * (room + 1))]), "a larger row"
    )
    for row in rows:
        await _holds(client, "patches", row)
    found = await client.scan("patches", *of_document(doc))
    assert len(found) == len(rows) + 1, f"a scan gives {len(found)} of {len(rows) + 1} large rows"


async def what_is_refused_takes_nothing_along(bench: Bench) -> None:
    """A row that no store could keep is refused with a reason; the others of its batch land."""
    client, doc = await bench.client(), bench.doc()
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    unfit = [*UNFIT, deep]
    rows = [row_of(doc, 2 * time, value=value) for time, value in enumerate(unfit)]
    rows.append(row_of(doc, 2 * len(unfit), one=b"x", two=b"x"))
    good = [row_of(doc, 2 * time + 1) for time in range(len(rows))]
    mixed = [row for pair in zip(rows, good, strict=True) for row in pair]
    verdicts = await client.insert("patches", mixed)
    _expect(["refused", "inserted"] * len(rows), verdicts, "every second")
    assert all(verdict.reason for verdict in verdicts[::2]), "refused without a reason"
    _expect(["refused", "deleted"] * 3, await client.delete("patches", mixed[:6]), "deleting such rows")
    for row in rows:
        (verdict,) = await client.swap("patches", key_of(row), None, row)
        assert verdict.kind == "refused" and verdict.reason, f"swapping such a row in gave {shown(verdict)}"
    found = await client.scan("patches", *of_document(doc))
    assert len(found) == len(good) - 3, "not just the good ones are there"


async def what_cannot_be_meant_is_refused_at_once(bench: Bench) -> None:
    """An unknown table and a key of another shape are a PatchError; nothing of that call happens."""
    client, doc = await bench.client(), bench.doc()
    good = row_of(doc)
    keys: list[Any] = [
        (), (doc,), (doc, 1), (doc, 1, "s", "s"), (doc, "1", "s"), (doc, 1.0, "s"), (doc, True, "s"),
        (1, 1, "s"), (doc, 1, None), (doc, 1, b"s"), (doc, 1, "\0"), (doc, 1, "\ud800"), (doc, 1, ""),
        (doc, 1, "é"), (doc, 1, "~"), (doc, 1, "s" * 65), (doc, 2**53, "s"), None, "key", 7, {"id": 1},
    ]  # fmt: skip
    bounds: list[Any] = [(doc, 1, "s", "s"), (doc, "1"), (1,), ("\ud800",), (doc, 1.5), [doc], None, "doc"]

    async def refused(what: str, call: Callable[[], Awaitable[object]]) -> None:
        try:
            result = await call()
        except PatchError:
            return
        raise AssertionError(f"{what}: {shown(result)} instead of PatchError")

    async def opened(table: Any, lower: Any, upper: Any) -> None:
        await client.feed(table, lower, upper).aclose()

    for table in ("", "patch", "patches; DROP TABLE patches", "sqlite_master", "patches\0", None, 7):
        what: Any = table
        await refused(f"insert into {what!r}", lambda table=what: client.insert(table, [good]))  # type: ignore[misc]
        await refused(f"swap in {what!r}", lambda table=what: client.swap(table, key_of(good), None, good))  # type: ignore[misc]
        await refused(f"delete in {what!r}", lambda table=what: client.delete(table, [good]))  # type: ignore[misc]
        await refused(f"get from {what!r}", lambda table=what: client.get(table, [key_of(good)]))  # type: ignore[misc]
        await refused(f"scan {what!r}", lambda table=what: client.scan(table, *EVERYTHING))  # type: ignore[misc]
        await refused(f"feed of {what!r}", lambda table=what: opened(table, *EVERYTHING))  # type: ignore[misc]
    for key in keys:
        row = {"id": key if isinstance(key, (str, int, dict, type(None))) else list(key)}
        await refused(f"insert under {key!r}", lambda row=row: client.insert("patches", [good, row]))  # type: ignore[misc]
        await refused(f"delete of {key!r}", lambda row=row: client.delete("patches", [good, row]))  # type: ignore[misc]
        await refused(f"get of {key!r}", lambda key=key: client.get("patches", [key_of(good), key]))  # type: ignore[misc]
        await refused(f"swap of {key!r}", lambda key=key: client.swap("patches", key, None, good))  # type: ignore[misc]
    for bound in bounds:
        await refused(f"scan from {bound!r}", lambda bound=bound: client.scan("patches", bound, ("~",)))  # type: ignore[misc]
        await refused(f"feed up to {bound!r}", lambda bound=bound: opened("patches", (), bound))  # type: ignore[misc]
    await refused("swap of a row with another key", lambda: client.swap("patches", (doc, 2, "s"), None, good))
    assert await client.scan("patches", *of_document(doc)) == [], "something of such a call happened"


async def only_an_equal_row_is_deleted(bench: Bench) -> None:
    """A row is deleted only where the stored one equals it; the rest of the batch doesn't suffer."""
    one, two, doc = await bench.client(), await bench.client(), bench.doc()
    rows = [row_of(doc, time, n=time) for time in range(4)]
    await one.insert("patches", rows)
    given = [rows[0], {**rows[1], "n": -1}, row_of(doc, 9), rows[3]]
    verdicts = await two.delete("patches", given)
    _expect(
        ["deleted", "differs", "absent", "deleted"], verdicts, "deleting an equal, another, an absent one"
    )
    assert same(verdicts[1].row, rows[1]), f"what differs tells {differ(verdicts[1].row, rows[1])}"
    found = await one.scan("patches", *of_document(doc))
    assert sorted(row["n"] for row in found) == [1, 2], f"{shown(found)} are left"
    _expect(["absent"], await one.delete("patches", [rows[0]]), "deleting it again")
    _expect(["inserted"], await one.insert("patches", [rows[0]]), "inserting it again")
    assert await one.delete("patches", []) == [], "no rows, yet a verdict"


async def a_swap_needs_the_row_that_it_names(bench: Bench) -> None:
    """A swap happens only where just the old row is, or nothing where None is said; else it tells the row."""
    one, two, doc = await bench.client(), await bench.client(), bench.doc()
    key = (doc,)
    rows: list[Row] = [{"id": [doc], "counter": n} for n in range(3)]
    _expect(["lost"], await one.swap("documents", key, rows[0], rows[1]), "swapping a row that isn't there")
    _expect(["swapped"], await one.swap("documents", key, None, rows[0]), "swapping in the first")
    for old in (None, rows[1], rows[2], {**rows[0], "counter": 0.0}):
        answers = await two.swap("documents", key, old, rows[1])
        _expect(["lost"], answers, f"swapping {shown(old)} where {rows[0]} is")
        assert same(answers[0].row, rows[0]), f"who lost is told {differ(answers[0].row, rows[0])}"
    _expect(["swapped"], await two.swap("documents", key, rows[0], rows[1]), "swapping the right one")
    await _holds(one, "documents", rows[1])
    _expect(["swapped"], await one.swap("documents", key, rows[1], rows[1]), "swapping a row for itself")


async def one_of_many_swappers_wins(bench: Bench) -> None:
    """Of many who swap the same row at once one wins; who is told that it lost has changed nothing."""
    clients = [await bench.client() for _ in range(4)]
    doc = bench.doc()
    row: Row = {"id": [doc], "counter": 0, "by": -1}
    await clients[0].insert("documents", [row])
    for counter in range(1, 11):
        after: list[Row] = [{"id": [doc], "counter": counter, "by": who} for who in range(12)]
        answers = await asyncio.gather(
            *(clients[who % 4].swap("documents", (doc,), row, after[who]) for who in range(12))
        )
        verdicts = [verdict for (verdict,) in answers]
        won = [who for who, verdict in enumerate(verdicts) if verdict.kind == "swapped"]
        assert len(won) == 1, f"{len(won)} of 12 won round {counter}: {won}"
        for verdict in verdicts:
            assert verdict.kind == "swapped" or same(verdict.row, after[won[0]]), (
                f"who lost: {shown(verdict)}"
            )
        await _holds(clients[counter % 4], "documents", after[won[0]])
        row = after[won[0]]

    async def count(client: Client) -> None:
        """Add one, ten times, whoever else does."""
        for _ in range(10):
            while True:
                (old,) = await client.get("documents", [(doc,)])
                assert old is not None
                new = {**old, "counter": old["counter"] + 1, "by": f"{id(client)} {bench.random.random()}"}
                if (await client.swap("documents", (doc,), old, new))[0].fine:
                    break

    await asyncio.gather(*map(count, clients))
    (last,) = await clients[0].get("documents", [(doc,)])
    assert last is not None and last["counter"] == 50, f"40 were added to 10: {shown(last)}"


async def scans_give_their_range(bench: Bench) -> None:
    """A scan gives each row from its lower bound on and below its upper one, once; bounds may be prefixes."""
    client = await bench.client()
    docs = sorted({bench.doc() for _ in range(2)} | {bench.doc()[:39] for _ in range(2)})
    docs = sorted({*docs, docs[0] + "0", docs[0] + "}", docs[1][:-1]})
    sessions = [" ", "0", "00", "A", "Z", "_", "a", "a ", "ab", "}"]
    times = [-(2**53) + 1, -1, 0, 1, 9, 10, 2**53 - 1]
    keys = [(doc, time, session) for doc in docs for time in times for session in sessions]
    keys = bench.random.sample(keys, 400)
    for start in range(0, len(keys), 100):
        rows = [{"id": list(key)} for key in keys[start : start + 100]]
        _expect(["inserted"] * 100, await client.insert("patches", rows), "inserting them")
    bounds: list[Key] = [of_document(doc)[1] for doc in docs]
    bounds += [(doc, time) for doc in docs for time in (0, 1, 2)]
    bounds += [(doc,) for doc in docs] + bench.random.sample(keys, 30)
    ranges = [of_document(doc) for doc in docs]
    ranges += [(bench.random.choice(bounds), bench.random.choice(bounds)) for _ in range(60)]
    for lower, upper in ranges:
        found = [key_of(row) for row in await client.scan("patches", lower, upper)]
        assert len(set(found)) == len(found), f"rows come twice between {lower} and {upper}"
        wanted = {key for key in keys if lower <= key < upper}
        ours = {key for key in found if key[0] in docs}
        assert ours == wanted, (
            f"from {lower} to {upper}: {len(wanted - ours)} missing, {len(ours - wanted)} too many"
        )
        stray = [key for key in found if not lower <= key < upper]
        assert not stray, f"from {lower} to {upper} comes {stray[0]}"
    everything = {key_of(row) for row in await client.scan("patches", *EVERYTHING)}
    assert everything >= set(keys), "a scan of everything doesn't give everything"
    assert await client.scan("patches", (), ()) == [], "nothing is below the empty bound"


async def a_scan_is_right_while_rows_come_and_go(bench: Bench) -> None:
    """A scan gives every row that is there all the time, once, whatever comes and goes around it."""
    reader, writer, doc = await bench.client(), await bench.client(), bench.doc()
    steady = [row_of(doc, 2 * time, filler="x" * 100) for time in range(3_000)]
    for start in range(0, len(steady), 500):
        await writer.insert("patches", steady[start : start + 500])
    done = False

    async def churn() -> None:
        before: list[Row] = []
        while not done:
            place = bench.random.randrange(3_000)
            rows = [row_of(doc, 2 * place + 1, f"{n}") for n in range(bench.random.randrange(40))]
            await writer.insert("patches", rows)
            await writer.delete("patches", before)
            before = rows

    task = asyncio.create_task(churn())
    try:
        for _ in range(5):
            found = [key_of(row) for row in await reader.scan("patches", *of_document(doc))]
            assert len(set(found)) == len(found), "a row comes twice"
            missing = {key_of(row) for row in steady} - set(found)
            assert not missing, f"{len(missing)} of 3,000 rows are missing, such as {min(missing)}"
            await asyncio.sleep(0)
    finally:
        done = True
        await task


async def a_scan_may_be_left(bench: Bench) -> None:
    """A scan that is left in the middle holds nothing up; batches are bounded, so a table needn't fit."""
    client, doc = await bench.client(), bench.doc()
    rows = [row_of(doc, time, text="x" * MEBIBYTE) for time in range(20)]
    for row in rows:
        await client.insert("patches", [row])
    async for batch in client.store.scan("patches", *of_document(doc)):
        assert len(batch) < 20, "20 rows of 1 MiB come in one batch"
        break
    _expect(["deleted"] * 20, await client.delete("patches", rows), "deleting them")
    assert await client.scan("patches", *of_document(doc)) == []


async def a_closed_store_says_so(bench: Bench) -> None:
    """After `close` every call is a StoreError; closing again is fine, and other clients go on."""
    client, other, doc = await bench.client(), await bench.client(), bench.doc()
    row = row_of(doc)
    await client.insert("patches", [row])
    await client.store.close()
    await client.store.close()
    store = client.store
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "insert": lambda: store.insert("patches", [row]),
        "swap": lambda: store.swap("patches", key_of(row), row, row),
        "delete": lambda: store.delete("patches", [row]),
        "get": lambda: store.get("patches", [key_of(row)]),
        "scan": lambda: collect(store.scan("patches", *of_document(doc))),
        "time": store.time,
        "feed": lambda: store.feed("patches", *of_document(doc)).aclose(),
    }
    for name, call in calls.items():
        try:
            await call()
        except StoreUnavailable as error:
            raise AssertionError(f"{name}: StoreUnavailable says that trying again helps") from error
        except StoreError:
            continue
        raise AssertionError(f"{name} of a closed store did something")
    await _holds(other, "patches", row)


async def calls_end_within_their_limit(bench: Bench) -> None:
    """No call outlasts the store's limit, also while the store doesn't answer: then it's StoreUnavailable.
    What was asked for meanwhile happens once, later, or not at all."""
    if bench.stall is None:
        return
    client, other, doc = (
        await bench.answered(lambda: bench.client(limit=0.5), PATIENCE),
        await bench.client(),
        bench.doc(),
    )
    rows = [row_of(doc, time) for time in range(4)]
    await bench.answered(lambda: client.insert("patches", rows[:1]), PATIENCE)
    async with bench.stall():
        calls = [
            client.store.insert("patches", rows[1:2]),
            client.store.swap("patches", key_of(rows[2]), None, rows[2]),
            client.store.delete("patches", rows[:1]),
            client.store.get("patches", [key_of(rows[0])]),
            collect(client.store.scan("patches", *of_document(doc))),
        ]
        tasks = [asyncio.ensure_future(call) for call in calls]
        _, late = await asyncio.wait(tasks, timeout=PATIENCE)
        for task in late:
            task.cancel()
        assert not late, f"{len(late)} of {len(tasks)} calls outlast a limit of 0.5 s"
        for answer in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(answer, BaseException) and not isinstance(answer, StoreUnavailable):
                raise answer
    answers = await bench.answered(lambda: client.insert("patches", rows), PATIENCE)
    assert answers[0].fine, "it doesn't go on afterwards"
    found = sorted(row["id"][1] for row in await other.scan("patches", *of_document(doc)))
    assert found in ([0, 1, 2, 3], [1, 2, 3]), found  # the deletion may come only now


# --- at random ------------------------------------------------------------

Step: TypeAlias = tuple[str, int, tuple[Any, ...]]  # the call, which client, and what it is called with
_VALUES: Final = [1, 1.0, True, "a", b"a", None]


def _steps(chance: random.Random, count: int) -> list[Step]:
    def pick() -> tuple[int, Any]:
        return chance.randrange(6), chance.choice(_VALUES)

    steps: list[Step] = []
    for _ in range(count):
        name = chance.choice(["insert", "insert", "swap", "delete", "get", "scan"])
        given: tuple[Any, ...] = tuple(pick() for _ in range(chance.randint(1, 4)))
        if name == "swap":
            given = (
                chance.randrange(6),
                chance.choice([None, *_VALUES]),
                chance.choice(_VALUES),
                chance.random() < 0.5,
            )
        elif name == "scan":
            given = (chance.randrange(7), chance.randrange(7))
        steps.append((name, chance.randrange(2), given))
    return steps


class _Model:
    """What a store is: a dict."""

    def __init__(self, doc: str) -> None:
        self.doc = doc
        self.rows: dict[Key, Row] = {}

    def row(self, time: int, value: Any) -> Row:
        return row_of(self.doc, time, value=value)

    def insert(self, row: Row) -> str:
        known = self.rows.setdefault(key_of(row), row)
        return "inserted" if known is row else "present" if same(known, row) else "conflict"

    def delete(self, row: Row) -> str:
        known = self.rows.get(key_of(row))
        if not same(known, row):
            return "absent" if known is None else "differs"
        del self.rows[key_of(row)]
        return "deleted"

    def swap(self, old: Row | None, new: Row) -> str:
        if not same(self.rows.get(key_of(new)), old):
            return "lost"
        self.rows[key_of(new)] = new
        return "swapped"


async def _run(clients: list[Client], doc: str, steps: list[Step]) -> str:
    """What is wrong with the answers, or nothing."""
    model = _Model(doc)
    for name, who, given in steps:
        client = clients[who]
        if name in ("insert", "delete"):
            rows = [model.row(*each) for each in given]
            wanted = [(model.insert if name == "insert" else model.delete)(row) for row in rows]
            answers = await (client.insert if name == "insert" else client.delete)("patches", rows)
            if not _agree(answers, wanted):
                return f"{name} said {[verdict.kind for verdict in answers]}, a dict {wanted}"
        elif name == "swap":
            time, before, after, honest = given
            new = model.row(time, after)
            known = model.rows.get(key_of(new))
            old = known if honest else None if before is None else model.row(time, before)
            said = model.swap(old, new)
            answers = await client.swap("patches", key_of(new), old, new)
            if not _agree(answers, [said]):
                return f"swap of {shown(old)} for {shown(new)} said {answers[0].kind}, a dict {said}"
            if said == "lost" and not same(answers[0].row, known):
                return f"swap told {differ(answers[0].row, known)}"
        elif name == "get":
            keys = [(doc, time, "s") for time, _ in given]
            for key, row in zip(keys, await client.get("patches", keys), strict=True):
                if not same(row, model.rows.get(key)):
                    return f"get: {differ(row, model.rows.get(key))}"
        else:
            lower, upper = (doc, given[0]), (doc, given[1])
            rows = sorted(await client.scan("patches", lower, upper), key=key_of)
            right = [row for key, row in sorted(model.rows.items()) if lower <= key < upper]
            if len(rows) != len(right) or not all(map(same, rows, right)):
                return f"scan from {given[0]} to {given[1]} gave {shown(rows)}, a dict {shown(right)}"
    return ""


async def calls_at_random_answer_as_a_dict_would(bench: Bench) -> None:
    """Any sequence of calls by two clients, one after another, gets the answers that a dict would give."""
    clients = [await bench.client(), await bench.client()]
    for _ in range(10):
        steps = _steps(bench.random, 40)
        wrong = await _run(clients, bench.doc(), steps)
        if not wrong:
            continue
        at = 0
        while at < len(steps):  # leave out what isn't needed for it
            fewer = steps[:at] + steps[at + 1 :]
            if reason := await _run(clients, bench.doc(), fewer):
                steps, wrong = fewer, reason
            else:
                at += 1
        script = "\n".join(f"  client {who}: {name}{given}" for name, who, given in steps)
        raise AssertionError(f"{wrong}, after\n{script}")


ROW_CHECKS: Final[tuple[Check, ...]] = (
    every_table_keeps_rows,
    inserting_again_is_fine,
    another_row_under_a_key_is_a_conflict,
    values_keep_their_types,
    every_text_comes_back,
    bytes_come_back,
    large_rows_come_back,
    what_is_refused_takes_nothing_along,
    what_cannot_be_meant_is_refused_at_once,
    only_an_equal_row_is_deleted,
    a_swap_needs_the_row_that_it_names,
    one_of_many_swappers_wins,
    scans_give_their_range,
    a_scan_is_right_while_rows_come_and_go,
    a_scan_may_be_left,
    a_closed_store_says_so,
    calls_end_within_their_limit,
    calls_at_random_answer_as_a_dict_would,
)
