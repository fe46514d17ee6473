"""The RethinkDB store keeps the contract, on a real server: rights, doubts, heartbeats, many readers."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from rethink_servers import Address as Rig
from rethink_servers import Proxy, Server, fresh_database, missing
from steady import Steady

if reason := missing():
    pytest.skip(f"RethinkDB: {reason}", allow_module_level=True)

from syncstring.backends import rethink_feeds
from syncstring.backends.rethink import RethinkStore
from syncstring.backends.rethink_schema import SCHEMA
from syncstring.backends.rethink_wire import Address
from syncstring.errors import CorruptStore, PatchError, StoreError, StoreUnavailable, UnsupportedVersion
from syncstring.store import EVERYTHING, Change, Changed, Feed, Gap, Ready, Store, of_document, open_store
from syncstring.testing.conformance import CHECKS, check_store
from syncstring.testing.store_bench import Check, Client, collect, row_of
from syncstring.testing.store_feeds import Follower

T = TypeVar("T")
DOC = "d" * 40
PATIENCE = 240.0  # seconds after which a test hangs: machines stand still at times


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server of this file's own, to be frozen and made sick."""
    with Server() as server:
        yield server


def run(work: Awaitable[T]) -> T:
    async def main() -> T:
        async with asyncio.timeout(PATIENCE):
            return await work

    return asyncio.run(main())


async def opened(url: str, **options: Any) -> RethinkStore:
    store = await open_store(url, **{"limit": PATIENCE / 2, **options})
    assert isinstance(store, RethinkStore)
    return store


async def until(feed: Feed, kind: type[Change]) -> list[Change]:
    """What a feed says, up to the first of that kind."""
    said: list[Change] = []
    async with asyncio.timeout(PATIENCE / 2):
        while not said or not isinstance(said[-1], kind):
            said.append(await anext(feed))
    return said


async def quiet(store: RethinkStore, feed: Feed, seconds: float) -> None:
    """A feed that is ready says nothing for so long, many heartbeats, and its connection stays. In one of
    five tries: a machine that stands still for as long as three of them is silent, too."""
    for left in reversed(range(5)):
        dialed = store.streams.wire.dialed
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                told = await anext(feed)
                assert left, f"it said {told} each time"
                if not isinstance(told, Ready):
                    await until(feed, Ready)
                continue
        if store.streams.wire.dialed == dialed:
            return
    raise AssertionError("its connection was given up each time")


# --- the contract ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(check: Check, own: Server) -> None:
    url = own.url("contract")

    async def factory(**options: Any) -> Store:
        return await opened(url, **options)

    async def connection_lost(store: Store) -> None:
        assert isinstance(store, RethinkStore)
        store.streams.wire.drop("a cable was pulled out")

    @asynccontextmanager
    async def frozen() -> AsyncIterator[None]:
        own.freeze()
        try:
            yield
        finally:
            own.thaw()

    asyncio.run(check_store(factory, checks=[check], gaps=[connection_lost], stall=frozen, within=600))


# --- addresses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown", "hosts"),
    [
        ("rethinkdb://localhost/prod", "rethinkdb://localhost:28015/prod", [("localhost", 28015)]),
        (
            "rethinkdb://a:1,b,[::1]:7/x-1",
            "rethinkdb://a:1,b:28015,[::1]:7/x-1",
            [("a", 1), ("b", 28015), ("::1", 7)],
        ),
        ("rethinkdb://app:p%40ss,word@h:2/db", "rethinkdb://app@h:2/db", [("h", 2)]),
    ],
)
def test_a_url_names_hosts_and_a_database(url: str, shown: str, hosts: list[tuple[str, int]]) -> None:
    address = Address.parsed(url)
    assert repr(address) == str(address) == shown
    assert list(address.hosts) == hosts


def test_a_password_is_percent_decoded_and_never_shown() -> None:
    address = Address.parsed("rethinkdb://ada:s%3Acr%2Fet%25@h/db")
    assert (address.user, address.password) == ("ada", "s:cr/et%")
    assert "cr" not in repr(address)
    for unescaped in ("zq/vx", "zq?vx", "zq#vx", "zq/v@x", "zq@a/vx"):
        with pytest.raises(PatchError) as caught:
            Address.parsed(f"rethinkdb://ada:{unescaped}@h/db")
        assert "zq" not in str(caught.value) and "vx" not in str(caught.value)


def test_a_password_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush\n")
    assert Address.parsed(f"rethinkdb://ada@h/db?password_file={tmp_path}/secret").password == "hush"
    with pytest.raises(StoreError, match="No such file"):
        Address.parsed(f"rethinkdb://ada@h/db?password_file={tmp_path}/none")


@pytest.mark.parametrize(
    "url",
    [
        "rethinkdb://", "rethinkdb://h", "rethinkdb://h/", "rethinkdb:///db", "rethinkdb://h/a/b", "rethinkdb://h/é",
        "rethinkdb://h:0/db", "rethinkdb://h:65536/db", "rethinkdb://h:x/db", "rethinkdb://h,/db", "rethinkdb://[::1/db",
        "rethinkdb:h/db",
        "rethinkdb://äda@h/db",
        "rethinkdb://ada:p%C3%A4@h/db",
        "rethinkdb://h/rethinkdb",
        "rethinkdb://h/db#part",
        "rethinkdb://a\0b/db",
        "rethinkdb://h/db?ca=x", "rethinkdb://h/db?durability=soft", "rethinkdb://u:p@h/db?password_file=x",
        "rethinkdb://h:\u0661/db", "rethinkdb://h:" + "9" * 5_000 + "/db", "rethinkdb://h/db;DROP",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_meant_is_refused(url: str) -> None:
    with pytest.raises(PatchError):
        run(open_store(url))


def test_a_file_of_certificates_that_has_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for path, reason in (("/nowhere", "No such file"), (f"{tmp_path}/empty", "no certificate")):
        with pytest.raises(StoreError, match=f"certificates '{path}': {reason}") as caught:
            run(open_store(f"rethinkdbs://h/db?ca={path}"))
        assert not isinstance(caught.value, StoreUnavailable)


def test_hosts_are_tried_in_turn(rethink_url: str) -> None:
    address = Address.parsed(rethink_url)
    (host, port), db = address.hosts[0], address.db
    url = rethink_url.replace(f"{host}:{port}", f"127.0.0.1:1,{host}:{port},127.0.0.1:2")

    async def main() -> None:
        for _ in range(6):  # chance says which is the first
            async with await opened(url) as store:
                assert await store.get("names", [("n",)]) == [None]
                assert store.address.db == db

    run(main())


def test_no_host_that_answers_is_unavailable_and_says_which() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        run(open_store("rethinkdb://u:hush@127.0.0.1:1,127.0.0.1:2/db"))
    for host in ("127.0.0.1:1", "127.0.0.1:2"):
        assert f"{host} can't be reached: connection refused" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_it_speaks_tls_and_trusts_only_the_given_certificate(tmp_path: Path, servers: None) -> None:
    def certificate(name: str) -> None:
        subprocess.run(
            (
                "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
                f"-addext subjectAltName=DNS:localhost -keyout {name}.key -out {name}.pem"
            ).split(),
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )

    certificate("server")
    certificate("other")
    tls = [
        "--driver-tls-key",
        str(tmp_path / "server.key"),
        "--driver-tls-cert",
        str(tmp_path / "server.pem"),
    ]
    with Server(options=tls) as server:

        async def main() -> None:
            url = f"rethinkdbs://localhost:{server.port}/db?ca={tmp_path}/"
            async with await opened(url + "server.pem") as store:
                await store.insert("patches", [row_of(DOC)])
            with pytest.raises(StoreError, match="TLS"):
                await opened(url + "other.pem")
            with pytest.raises(StoreError):
                await opened(f"rethinkdb://localhost:{server.port}/db")

        run(main())


# --- tables and rights ------------------------------------------------------------------------------------


def test_tables_are_made_once_and_all_of_them(rethink: Rig, rethink_url: str) -> None:
    async def main() -> None:
        stores = await asyncio.gather(*(opened(rethink_url) for _ in range(6)))
        for store in stores:
            standing = await store.standing()
            assert not standing.findings and all("hook" not in each for each in standing.advice)
            await store.close()

    run(main())
    db = Address.parsed(rethink_url).db
    assert sorted(rethink.ask(lambda r: r.db(db).table_list())) == sorted(SCHEMA)


def test_who_is_cut_off_while_making_tables_leaves_nothing_that_the_next_one_cannot_mend(
    rethink: Rig, rethink_url: str
) -> None:
    db = Address.parsed(rethink_url).db

    async def cut_off(after: float) -> None:
        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(after):
                await (await opened(rethink_url)).close()

    async def main() -> None:
        for number in range(6):
            await asyncio.gather(cut_off(0.1 * number), cut_off(0.1 * number + 0.05))
        async with await opened(rethink_url) as store:
            standing = await store.standing()
            assert not standing.findings and all("hook" not in each for each in standing.advice)

    run(main())
    assert sorted(rethink.ask(lambda r: r.db(db).table_list())) == sorted(SCHEMA)


def test_of_two_tables_of_a_name_whose_makers_are_gone_one_is_taken_away(
    rethink: Rig, rethink_url: str
) -> None:
    db = Address.parsed(rethink_url).db
    rethink.ask(lambda r: r.db_create(db))
    with ThreadPoolExecutor(8) as threads:

        def make(_: int) -> None:
            with suppress(Exception):
                rethink.ask(lambda r: r.db(db).table_create("tags"))

        list(threads.map(make, range(8)))
    configs = rethink.ask(lambda r: r.db("rethinkdb").table("table_config").filter({"db": db}))
    if len(configs) == 1:
        pytest.skip("this time they came one after the other")

    async def main() -> None:
        await (await opened(rethink_url)).close()

    run(main())
    assert sorted(rethink.ask(lambda r: r.db(db).table_list())) == sorted(SCHEMA)


def test_what_is_missing_is_named_where_nothing_is_to_be_made(rethink: Rig, rethink_url: str) -> None:
    db = Address.parsed(rethink_url).db
    with pytest.raises(StoreError, match=f"no database '{db}'"):
        run(opened(rethink_url, create=False))
    rethink.ask(lambda r: r.db_create(db))
    with pytest.raises(StoreError, match="no table names, documents, patches"):
        run(opened(rethink_url, create=False))


@pytest.fixture
def user(rethink: Rig) -> Iterator[tuple[str, str]]:
    """A user that has no rights, and its password."""
    name = fresh_database()
    rethink.ask(lambda r: r.db("rethinkdb").table("users").insert({"id": name, "password": "hush"}))
    yield name, "hush"
    rethink.ask(lambda r: r.db("rethinkdb").table("users").get(name).delete())


def grant(rethink: Rig, db: str, user: str, **rights: bool) -> None:
    rethink.ask(lambda r: r.db(db).grant(user, rights))


def test_who_may_not_make_tables_is_told_which(rethink: Rig, rethink_url: str, user: tuple[str, str]) -> None:
    db = Address.parsed(rethink_url).db
    rethink.ask(lambda r: r.db_create(db))
    grant(rethink, db, user[0], read=True, write=True)
    with pytest.raises(StoreError, match=r"table 'names' isn't there, and it can't be made: .*permission"):
        run(opened(rethink.url(db, *user)))


def test_reading_and_writing_are_the_only_rights_that_are_needed(
    rethink: Rig, rethink_url: str, user: tuple[str, str]
) -> None:
    db = Address.parsed(rethink_url).db

    async def main() -> None:
        await (await opened(rethink_url)).close()
        grant(rethink, db, user[0], read=True, write=True)
        async with await opened(rethink.url(db, *user)) as store:
            follower = Follower(Client(store, False), "patches", *of_document(DOC))
            await store.insert("patches", [row_of(DOC)])
            standing = await store.standing()
            assert "how the tables are kept" in standing.unseen and not standing.findings
            await follower.close()

    run(main())


def test_who_may_not_read_is_told_when_opening(rethink: Rig, rethink_url: str, user: tuple[str, str]) -> None:
    db = Address.parsed(rethink_url).db

    async def main() -> None:
        await (await opened(rethink_url)).close()
        grant(rethink, db, user[0], read=False, write=True)
        with pytest.raises(StoreError, match=f"User '{user[0]}' may not do this") as caught:
            await opened(rethink.url(db, *user))
        assert not isinstance(caught.value, StoreUnavailable)

    run(main())


def test_who_may_not_write_is_told_when_writing(
    rethink: Rig, rethink_url: str, user: tuple[str, str]
) -> None:
    db = Address.parsed(rethink_url).db

    async def main() -> None:
        async with await opened(rethink_url) as store:
            await store.insert("patches", [row_of(DOC)])
        grant(rethink, db, user[0], read=True, write=False)
        async with await opened(rethink.url(db, *user), create=False, beat=0.1) as store:
            feed = store.feed("patches", *EVERYTHING)
            await until(feed, Ready)
            for work in (store.insert("patches", [row_of(DOC)]), store.delete("patches", [row_of(DOC)])):
                with pytest.raises(StoreError, match="may not do this") as caught:
                    await work
                assert not isinstance(caught.value, StoreUnavailable)
            await quiet(store, feed, 1.0)  # no heartbeat can be written, and the feed lives all the same

    run(main())


def test_a_wrong_password_is_no_reason_to_try_again(rethink: Rig, user: tuple[str, str]) -> None:
    with pytest.raises(StoreError, match=f"refuses user '{user[0]}': Wrong password") as caught:
        run(opened(rethink.url("db", user[0], "guessed")))
    assert not isinstance(caught.value, StoreUnavailable)
    assert "guessed" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "told"),
    [({"durability": "soft"}, "soft durability"), ({"write_acks": "single"}, "what a single replica has")],
)
def test_tables_that_may_lose_what_they_acknowledge_are_refused(
    rethink: Rig, rethink_url: str, setting: dict[str, str], told: str
) -> None:
    db = Address.parsed(rethink_url).db

    async def main() -> None:
        await (await opened(rethink_url)).close()
        rethink.ask(lambda r: r.db(db).table("patches").config().update(setting))
        with pytest.raises(StoreError, match=f"can't be trusted with patches: table patches .*{told}"):
            await opened(rethink_url)
        async with await opened(rethink_url, check=False) as store:
            assert told in " ".join((await store.standing()).findings)

    run(main())


def test_a_later_format_is_left_alone(rethink: Rig, rethink_url: str) -> None:
    db = Address.parsed(rethink_url).db

    async def main() -> None:
        async with await opened(rethink_url) as store:
            (row,) = await store.get("meta", [("format",)])
            assert row == {"id": ["format"], "v": 1}
        for text, error in (('{"v":2}', UnsupportedVersion), ("{}", CorruptStore)):
            rethink.ask(lambda r, text=text: r.db(db).table("meta").update({"row": text}))
            with pytest.raises(error):
                await opened(rethink_url)

    run(main())


def test_no_client_changes_a_patch_and_any_deletes_it(rethink: Rig, rethink_url: str) -> None:
    table = lambda r: r.db(Address.parsed(rethink_url).db).table("patches")  # noqa: E731

    async def main() -> None:
        async with await opened(rethink_url) as store:
            await store.insert("patches", [row_of(DOC)])

    run(main())
    for change in (
        lambda r: table(r).update({"row": "forged"}),
        lambda r: table(r).insert({"id": [DOC, 1, "s"], "row": "forged"}, conflict="replace"),
    ):
        assert "never change" in rethink.ask(change)["first_error"]
    assert rethink.ask(lambda r: table(r).delete())["deleted"] == 1


@pytest.mark.parametrize("hook", [True, False])
def test_a_swap_of_what_never_changes_leaves_no_mark(rethink: Rig, rethink_url: str, hook: bool) -> None:
    db = Address.parsed(rethink_url).db

    async def main() -> None:
        async with await opened(rethink_url) as store:
            if not hook:
                rethink.ask(lambda r: r.db(db).table("patches").set_write_hook(None))
            first, second = row_of(DOC, n=1), row_of(DOC, n=2)
            for old, new in ((None, first), (first, second), (second, second)):
                assert (await store.swap("patches", (DOC, 1, "s"), old, new)).kind == "swapped"
                assert (await store.insert("patches", [new]))[0].kind == "present"
            assert (await store.delete("patches", [second]))[0].kind == "deleted"

    run(main())


# --- rows ------------------------------------------------------------------------------------------------


def test_a_row_that_the_server_refuses_takes_no_other_along(rethink_url: str) -> None:
    async def main() -> None:
        async with await opened(rethink_url) as store:
            long = row_of("d" * 64, 2**52, "s" * 64)  # more than the 127 bytes that a key may have
            verdicts = await store.insert("patches", [row_of(DOC, 1), long, row_of(DOC, 2)])
            assert [verdict.kind for verdict in verdicts] == ["inserted", "refused", "inserted"]
            assert "key too long" in verdicts[1].reason

    run(main())


def test_values_that_mean_something_to_the_server_are_only_values(rethink_url: str) -> None:
    async def main() -> None:
        async with await opened(rethink_url) as store:
            rows = [
                row_of(DOC, 1, value={"$reql_type$": "TIME", "epoch_time": 0, "timezone": "+00:00"}),
                row_of(DOC, 2, value={"$reql_type$": "EVIL"}),
                row_of(DOC, 3, value=[99, [15, ["patches"]]]),
                row_of(DOC, 4, **{"$reql_type$": "BINARY", "data": "AAAA"}),
            ]
            assert {verdict.kind for verdict in await store.insert("patches", rows)} == {"inserted"}
            found = await store.get("patches", [(DOC, n, "s") for n in (1, 2, 3, 4)])
            assert found == rows

    run(main())


def test_what_others_put_there_is_told_as_unreadable_or_left_out(rethink: Rig, rethink_url: str) -> None:
    db = Address.parsed(rethink_url).db
    planted = [
        {"id": [DOC, 1, "s"]},
        {"id": [DOC, 2, "s"], "row": 7},
        {"id": [DOC, 3, "s"], "row": "{"},
        {"id": [DOC, 4, "s"], "row": "{}", "data": "text"},
        {"id": [DOC, 5, "s"], "row": "[" * 100_000},
        {"id": [DOC, 6, ["s"]], "row": "{}"},
        {"id": [DOC], "row": "{}"},
        {"id": [DOC, "zzz"]},
        {"id": [DOC, 7, "s", 1], "row": "{}"},
        {"id": "key", "row": "{}"},
    ]

    async def main() -> None:
        async with await opened(rethink_url) as store:
            feed = store.feed("patches", *EVERYTHING)
            await until(feed, Ready)
            rethink.ask(lambda r: r.db(db).table("patches").insert(planted))
            await store.insert("patches", [row_of(DOC, 9)])
            told = {}
            while len(told) < 6:
                change = await asyncio.wait_for(anext(feed), PATIENCE / 2)
                assert isinstance(change, Changed) and change.new is not None
                told[change.key[1]] = change.new
            rows = {row["id"][1]: row for row in await collect(store.scan("patches", *EVERYTHING))}
            assert rows.keys() == told.keys() == {1, 2, 3, 4, 5, 9}
            assert all("unreadable" in rows[n] and "unreadable" in told[n] for n in range(1, 6))
            assert await store.get("patches", [(DOC, 3, "s"), (DOC, 9, "s")]) == [rows[3], row_of(DOC, 9)]

    run(main())


def test_rows_of_many_callers_go_in_by_few_queries(rethink_url: str) -> None:
    async def main() -> None:
        async with await opened(rethink_url) as store:
            before = store.queries
            many = [store.insert("patches", [row_of(DOC, n)]) for n in range(1, 1_001)]
            assert {verdict.kind for (verdict,) in await asyncio.gather(*many)} == {"inserted"}
            assert store.queries - before <= 4 + 1_000 // 128 + 4

    run(main())


# --- waits -----------------------------------------------------------------------------------------------


def test_who_stops_waiting_harms_nobody(rethink_url: str) -> None:
    async def main() -> None:
        async with await opened(rethink_url) as store:
            follower = Follower(Client(store, False), "patches", *of_document(DOC))
            await follower.until(lambda: follower.readies > 0, lambda: "Ready")
            rows = [row_of(DOC, n) for n in range(1, 201)]
            calls: list[Callable[[], Awaitable[Any]]] = [
                lambda: store.insert("patches", rows[:50]),
                lambda: store.get("patches", [(DOC, n, "s") for n in range(1, 100)]),
                lambda: collect(store.scan("patches", *EVERYTHING)),
                lambda: store.swap("documents", (DOC,), None, {"id": [DOC], "n": 1}),
                lambda: store.delete("patches", rows[190:]),
                store.time,
            ]
            for n in range(60):  # cancelled after so many steps of the event loop
                task = asyncio.ensure_future(calls[n % len(calls)]())
                for _ in range(n // len(calls)):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await store.insert("patches", rows)
            await follower.has(rows)
            assert follower.gaps == []
            assert (store._wire.dialed, store.streams.wire.dialed) == (1, 1)
            await follower.close()

    run(main())


def test_a_mute_network_is_noticed_within_three_heartbeats(rethink: Rig, rethink_url: str) -> None:
    async def main(proxy: Proxy) -> None:
        url = proxy.url(Address.parsed(rethink_url).db)
        await (await opened(rethink_url)).close()
        async with await opened(url, beat=0.3) as store:
            store.limit = 2.0  # not before: opening has no haste
            feed = store.feed("patches", *EVERYTHING)
            await until(feed, Ready)
            proxy.mute()
            with Steady() as clock:
                began = clock.time()
                (gap,) = await until(feed, Gap)
                assert isinstance(gap, Gap) and "heartbeat" in gap.reason
                assert clock.time() - began < 5  # three heartbeats are one second, and there is little to do
            with pytest.raises(StoreUnavailable):
                await store.insert("patches", [row_of(DOC)])
            proxy.passes()
            await until(feed, Ready)
            client = Client(store, True)
            follower = Follower(client, "patches", *EVERYTHING)
            await client.insert("patches", [row_of(DOC)])
            await follower.has([row_of(DOC)])
            await follower.close()

    with Proxy(rethink) as proxy:
        run(main(proxy))


def test_a_quiet_feed_is_not_given_up(rethink_url: str) -> None:
    async def main() -> None:
        async with await opened(rethink_url, beat=0.1) as store:
            feed = store.feed("patches", *EVERYTHING)
            await until(feed, Ready)
            await quiet(store, feed, 2.0)

    run(main())


def test_the_heartbeat_leaves_no_row_behind(rethink: Rig, rethink_url: str) -> None:
    db = Address.parsed(rethink_url).db

    async def main() -> None:
        async with await opened(rethink_url, beat=0.1) as store:
            feed = store.feed("patches", *EVERYTHING)
            await until(feed, Ready)
            while not rethink.ask(lambda r: r.db(db).table("heartbeat").count()):
                await asyncio.sleep(0.05)

    run(main())
    assert rethink.ask(lambda r: r.db(db).table("heartbeat").count()) == 0


def test_who_waits_for_a_connection_is_told_that_the_store_was_closed(rethink: Rig, rethink_url: str) -> None:
    async def main(proxy: Proxy) -> None:
        await (await opened(rethink_url)).close()
        store = await opened(proxy.url(Address.parsed(rethink_url).db))
        proxy.mute()
        store._wire.drop("a cable was pulled out")
        waiting = asyncio.ensure_future(store.get("names", [("n",)]))
        await asyncio.sleep(0.1)
        await store.close()
        with pytest.raises(StoreError, match="was closed"):
            await waiting

    with Proxy(rethink) as proxy:
        run(main(proxy))


def test_a_close_that_is_cancelled_goes_on_and_is_waited_for_by_the_next(
    rethink: Rig, rethink_url: str
) -> None:
    async def main(proxy: Proxy) -> None:
        await (await opened(rethink_url)).close()
        store = await opened(proxy.url(Address.parsed(rethink_url).db))
        await until(store.feed("patches", *EVERYTHING), Ready)
        store.limit = 1.0
        proxy.mute()
        asking = asyncio.ensure_future(store.insert("patches", [row_of(DOC)]))
        while not store._wire._running:  # it is under way
            await asyncio.sleep(0)
        closing = asyncio.ensure_future(store.close())
        while store._ending is None:
            await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await store.close()
        with pytest.raises(StoreError):
            await asyncio.wait_for(asking, PATIENCE / 2)
        others = asyncio.all_tasks() - {asyncio.current_task(), asking}
        assert not [task for task in others if "Stream" in repr(task) or "_reader" in repr(task)]

    with Proxy(rethink) as proxy:
        run(main(proxy))


def test_another_event_loop_is_told_so_at_once(rethink_url: str) -> None:
    store = run(opened(rethink_url))
    with pytest.raises(StoreError, match="another event loop"):
        run(store.get("names", [("n",)]))


def test_the_rows_of_clients_that_were_killed_are_swept_a_day_later(rethink: Rig, rethink_url: str) -> None:
    db = Address.parsed(rethink_url).db

    async def main() -> None:
        async with await opened(rethink_url, beat=0.1) as store:
            for name, age in (("old", 100_000), ("young", 1_000)):
                row = {"id": name, "n": 1}
                rethink.ask(
                    lambda r, row=row, age=age: (
                        r.db(db).table("heartbeat").insert({**row, "at": r.now() - age})
                    )
                )
            await until(store.feed("patches", *EVERYTHING), Ready)
            while rethink.ask(lambda r: r.db(db).table("heartbeat").get("old")) is not None:
                await asyncio.sleep(0.05)
        assert rethink.ask(lambda r: r.db(db).table("heartbeat").get("young")) is not None

    run(main())


def test_a_server_that_is_away_is_dialed_by_all_feeds_together(rethink: Rig, rethink_url: str) -> None:
    async def main(proxy: Proxy) -> None:
        await (await opened(rethink_url)).close()
        async with await opened(proxy.url(Address.parsed(rethink_url).db)) as store:
            feeds = [store.feed("patches", *of_document(f"{n:040}")) for n in range(50)]
            for feed in feeds:
                await until(feed, Ready)
            wire, dials = store.streams.wire, 0
            dial = wire._dialed

            async def counted(host: str, port: int) -> Any:
                nonlocal dials
                dials += 1
                return await dial(host, port)

            wire._dialed = counted  # type: ignore[method-assign]
            began = time.monotonic()
            proxy.down()
            for feed in feeds:
                await until(feed, Gap)
            await asyncio.sleep(2)
            # The pause doubles from 50 ms; each feed for itself would make hundreds.
            assert dials <= 8 + (time.monotonic() - began)
            proxy.passes()
            for feed in feeds:
                await until(feed, Ready)

    with Proxy(rethink) as proxy:
        run(main(proxy))


def test_something_else_on_the_port_is_told_from_a_server() -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n\0")
        await reader.read()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(web, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(StoreUnavailable, match="doesn't answer as a RethinkDB server does"):
            await opened(f"rethinkdb://127.0.0.1:{port}/db")
        server.close()

    run(main())


# --- many readers ----------------------------------------------------------------------------------------


def test_beyond_some_documents_all_share_a_feed(rethink_url: str) -> None:
    async def main() -> None:
        async with await opened(rethink_url) as store:
            docs = [f"{n:040}" for n in range(rethink_feeds.NARROW + 100)]
            feeds = [store.feed("patches", *of_document(doc)) for doc in docs]
            for feed in feeds:
                await until(feed, Ready)
            assert len(store.streams) == rethink_feeds.NARROW + 1
            await store.insert("patches", [row_of(doc) for doc in docs])
            for doc, feed in zip(docs, feeds, strict=True):
                change = (await until(feed, Changed))[-1]
                assert isinstance(change, Changed) and change.new == row_of(doc)
            for feed in feeds:
                await feed.aclose()
            assert len(store.streams) == 0

    run(main())


def test_when_a_shared_feed_comes_back_its_readers_are_told_a_few_at_a_time(
    rethink_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rethink_feeds, "NARROW", 0)

    async def main() -> None:
        async with await opened(rethink_url) as store:
            feeds = [store.feed("patches", *of_document(f"{n:040}")) for n in range(300)]
            for feed in feeds:
                await until(feed, Ready)
            store.streams.wire.drop("a cable was pulled out")
            for feed in feeds:
                await until(feed, Gap)
            while not (told := sum(feed.waiting for feed in feeds)):  # type: ignore[attr-defined]
                await asyncio.sleep(0)
            assert told < 300
            for feed in feeds:
                await until(feed, Ready)
            await store.insert("patches", [row_of(f"{n:040}") for n in range(300)])
            for feed in feeds:
                await until(feed, Changed)

    run(main())


def test_an_overflow_in_the_server_is_a_gap_and_no_end(rethink: Rig, rethink_url: str) -> None:
    db = Address.parsed(rethink_url).db

    async def main(proxy: Proxy) -> None:
        url = proxy.url(db)
        async with await opened(rethink_url) as writer, await opened(url, queue=10, beat=20.0) as store:
            follower = Follower(Client(store, False), "patches", *of_document(DOC))
            await follower.until(lambda: follower.readies > 0, lambda: "Ready")
            proxy.mute()  # the server's own queue for us is the only one that fills
            rows = [row_of(DOC, n, text="x" * 2_000) for n in range(1, 4_001)]
            await writer.insert("patches", rows)
            proxy.passes()
            await follower.has(rows)
            assert any("skipped" in gap for gap in follower.gaps), follower.gaps
            await follower.close()

    with Proxy(rethink) as proxy:
        run(main(proxy))
