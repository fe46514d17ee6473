"""The tables of a RethinkDB database of ours, as data; how they are made; whether they can be trusted.

The law of this room. One table of this page is one of the database; what isn't there is made where rights
allow, and named where they don't. Nothing that is there is ever changed here. Whatever would make an
acknowledged row less than durable (tables that don't sync, acknowledgements of one replica of several, a
server with known faults) is a finding, told in a sentence; what we have no right to look at is told as that.

Every access is by primary key, so there are no secondary indexes. What a row looks like: `rethink_queries`.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from rethinkdb import query as r

from syncstring.errors import CorruptStore, StoreError, StoreUnavailable, UnsupportedVersion
from syncstring.store import TABLES, Standing

__all__ = ["AWAY", "FORMAT", "HEARTBEAT", "NEVER", "SCHEMA", "Standing", "Table", "look", "prepare"]

FORMAT: Final = 1
FLOOR: Final = (2, 4, 4)
"""The oldest server that we trust: the releases before had crashes and losses in feeds."""
HEARTBEAT: Final = "heartbeat"
REPLICAS: Final = 3
SETTLED: Final = 0.3  # seconds in which all servers learn of a table
TRIES: Final = 20
AWAY: Final = "can't be written now"
NEVER: Final = "rows of this table never change"

Ask = Callable[[Any], Awaitable[Any]]


class Table(NamedTuple):
    """How a table is made."""

    immutable: bool = False
    """Whether its rows never change. A write hook sees to it, whoever writes."""
    durability: str = "hard"


SCHEMA: Final = {
    "names": Table(),
    "documents": Table(),
    "patches": Table(immutable=True),
    "packs": Table(immutable=True),
    "tags": Table(),
    "cursors": Table(durability="soft"),  # may be lost at any time
    "meta": Table(),
    HEARTBEAT: Table(durability="soft"),  # one row a client, which it writes to see that it still hears
}
_PUT_AWAY = re.compile(rf"({'|'.join(SCHEMA)})_[0-9a-f]{{8}}")
assert SCHEMA.keys() == {*TABLES, HEARTBEAT}


def _hook(_: Any, old: Any, new: Any) -> Any:
    """A row comes or goes, or is put in place of another by a `swap` that says so, with a mark that stays
    here."""
    return r.branch(
        (old == None) | (new == None) | (old == new),  # noqa: E711  # terms of a query
        new,
        new.has_fields("swap"),
        new.without("swap"),
        r.error(NEVER),
    )


async def prepare(ask: Ask, db: str, create: bool) -> bool:
    """See to it that every table is there and answers, and that the format is ours; whether `meta` says so.

    `StoreError` names what is missing and can't be made, `UnsupportedVersion` a later format."""
    if db not in await ask(r.db_list()):
        if not create:
            raise StoreError(f"there is no database {db!r}")
        await _made(ask(r.db_create(db)), f"database {db!r}")
    missing = await _missing(ask)
    if missing and not create:
        raise StoreError(f"database {db!r} has no table {', '.join(missing)}")
    if create and (missing or await _is_doubled(ask, "meta") or not await _has_format(ask)):
        await _make(ask, db)
    # Whether they answer us: who may not read would wait for a feed for ever.
    whole, *_ = await asyncio.gather(
        _has_format(ask), *(ask(r.table(name).limit(1).count()) for name in SCHEMA)
    )
    return bool(whole)


async def _missing(ask: Ask) -> list[str]:
    there = await ask(r.table_list())
    return [name for name in SCHEMA if name not in there]


async def _make(ask: Ask, db: str) -> None:
    """Make the tables that aren't there, and say so in `meta`.

    Two who make a table at once both succeed, and nobody can use either. So whoever made one looks a little
    later, and of several of a name all but one are taken away: they are empty, since nobody writes before
    `meta` says that all are there. Once it does, only who was late takes his own away. Whoever finds all
    tables and no word in `meta` waits for those who make them, and then does what they left undone."""
    replicas = await _replicas(ask)
    mine: dict[str, str] = {}  # tables that were made here, and their ids
    for _ in range(TRIES):
        for name in await _missing(ask):
            making = ask(r.table_create(name, durability=SCHEMA[name].durability, replicas=replicas))
            if (made := await _made(making, f"table {name!r}")) is not None:
                mine[name] = made["config_changes"][0]["new_val"]["id"]
        await asyncio.sleep(SETTLED * (1 + random.random()))
        doubled = [name for name in SCHEMA if await _is_doubled(ask, name)]
        if doubled:
            await _undouble(ask, db, doubled, mine)
            await asyncio.sleep(4 * SETTLED * random.random())
        elif mine or await _has_format(ask):
            break
    if doubled:
        raise StoreError(f"two tables are called {doubled[0]}; drop the empty one by its id in table_config")
    for name, table in SCHEMA.items():
        if table.immutable and await ask(r.table(name).get_write_hook()) is None:
            await ask(r.table(name).wait(timeout=60))
            await ask(r.table(name).set_write_hook(_hook))
    await _say(ask)
    for name in await ask(r.table_list()):  # whoever put it away was cut off
        if _PUT_AWAY.fullmatch(name):
            with suppress(StoreError):
                await _drop_empty(ask, name)


async def _undouble(ask: Ask, db: str, doubled: list[str], mine: dict[str, str]) -> None:
    """Take away tables that have another's name."""
    config = r.db("rethinkdb").table("table_config")
    for name in doubled:
        ids = sorted(await ask(config.filter({"db": db, "name": name})["id"].coerce_to("array")))
        # Asked after that: if it says yes, whose rows may be there was first; if no, there are none.
        begun = "meta" not in doubled and await _has_format(ask)
        extra = ids[1:] if not begun else [id for id in ids if id == mine.get(name)]
        for id in extra if len(ids) > 1 else []:
            await _put_away(ask, config.get(id), f"{name}_{id[:8]}")


async def _put_away(ask: Ask, config: Any, name: str) -> None:
    """Give a table another name; and drop it, if it is empty, as it should be."""
    await ask(config.update({"name": name}))
    if not await _drop_empty(ask, name):
        raise StoreError(f"two tables had one name, both with rows; one is called {name} now: look at it")


async def _drop_empty(ask: Ask, name: str) -> bool:
    """Drop a table if it has no rows. Whether it's gone, be it by somebody else."""
    try:
        if await ask(r.table(name).limit(1).count()):
            return False
        await ask(r.table_drop(name))
    except StoreUnavailable:
        raise
    except StoreError as error:
        if "does not exist" not in str(error):
            raise
    return True


async def _say(ask: Ask) -> None:
    """Have `meta` say that all tables are there."""
    row = {"id": ["format"], "row": f'{{"v":{FORMAT}}}'}
    await ask(r.table("meta").insert(row, durability="hard", conflict=lambda _, old, new: old))
    await _has_format(ask)


async def _is_doubled(ask: Ask, name: str) -> bool:
    try:
        await ask(r.table(name).info())
    except StoreUnavailable:
        raise
    except StoreError as error:
        if "is ambiguous" in str(error) or "does not exist" in str(error):  # somebody took theirs away
            return True
        raise
    return False


async def _made(making: Awaitable[Any], what: str) -> Any:
    """What the server says; None if somebody else made it."""
    try:
        return await making
    except StoreUnavailable:
        raise
    except StoreError as error:
        if "already exists" in str(error) or "is ambiguous" in str(error):
            return None
        raise StoreError(f"{what} isn't there, and it can't be made: {error}") from None


async def _replicas(ask: Ask) -> int:
    """As many as there are servers for, up to three; one where we may not count them."""
    try:
        servers = int(await ask(r.db("rethinkdb").table("server_config").count()))
    except StoreUnavailable:
        raise
    except StoreError:
        return 1
    return REPLICAS if servers >= REPLICAS else 1


async def _has_format(ask: Ask) -> bool:
    """Whether `meta` says that these are our tables. Raises if they are of a later format."""
    found = await ask(r.table("meta").get(["format"]))
    if found is None:
        return False
    version = re.fullmatch(r'\{"v":(\d{1,9})\}', str(found.get("row")))
    if version is None:
        raise CorruptStore(f"table meta says {str(found.get('row'))!r:.80} of the format")
    if int(version[1]) > FORMAT:
        raise UnsupportedVersion(
            f"the tables have format {version[1]}, this library reads {FORMAT}; upgrade it"
        )
    return True


async def look(ask: Ask, db: str) -> Standing:
    """See what can be seen, by queries that change nothing: how many `servers` there are, and of each table
    that is there `durability`, `write_acks`, `replicas`, `hook`, `ready`; what we have no right to see is
    empty. Raises what `ask` does when it is lost."""
    unseen: list[str] = []
    system = r.db("rethinkdb")

    async def seen(query: Any, what: str) -> list[Any]:
        try:
            return list(await ask(query.coerce_to("array")))
        except StoreUnavailable:
            raise
        except StoreError:
            unseen.append(what)
            return []

    versions, configs, states = await asyncio.gather(
        seen(system.table("server_status")["process"]["version"], "the servers' versions"),
        seen(system.table("table_config").filter({"db": db}), "how the tables are kept"),
        seen(system.table("table_status").filter({"db": db}), "whether the tables are ready"),
    )
    found = {config["name"]: config for config in configs}
    ready = {state["name"]: state["status"] for state in states}
    tables: dict[str, dict[str, Any]] = {}
    for name in sorted(set(await ask(r.table_list())) & SCHEMA.keys()):
        tables[name] = table = {}
        if (config := found.get(name)) is not None:
            table["durability"] = config["durability"]
            table["write_acks"] = config["write_acks"]
            table["replicas"] = min(len(shard["replicas"]) for shard in config["shards"])
            table["hook"] = bool(config.get("write_hook"))
        if name in ready:
            table["ready"] = bool(ready[name]["ready_for_writes"])
    findings = [*_of_versions(versions)]
    if missing := SCHEMA.keys() - tables.keys():
        findings.append(f"database {db!r} has no {_tables(missing)}")
    names = [config["name"] for config in configs]
    if twice := sorted({name for name in names if names.count(name) > 1 and name in SCHEMA}):
        findings.append(
            f"two tables are called {twice[0]}, so neither can be used; drop the empty one by its id"
        )
    elif "meta" in tables and tables["meta"].get("ready", True):
        try:
            if not await _has_format(ask):
                findings.append(
                    "table meta doesn't say whose tables these are; open the database to write once"
                )
        except (CorruptStore, UnsupportedVersion) as error:
            findings.append(str(error))
    if away := [name for name, table in tables.items() if not table.get("ready", True)]:
        able = "; ".join(sorted({_able(ready[name]) for name in away}))
        findings.append(f"{_tables(away)} {AWAY}: {able}")
    findings += _of_tables(tables)
    advice = _advice(tables)
    able_to = [name for name, table in tables.items() if table.get("ready")]
    if lag := [name for name in able_to if not ready[name]["all_replicas_ready"]]:
        advice.append(f"{_tables(lag)} {_has(lag)} a replica that is away or behind: less may fail meanwhile")
    shown = ", ".join(sorted({version.partition(" (")[0] for version in versions}))
    kept = {"servers": len(versions)} if versions else {}
    return Standing(shown, kept, tables, tuple(unseen), tuple(findings), tuple(advice))


def _of_versions(versions: list[str]) -> list[str]:
    findings = []
    for version in sorted(set(versions)):
        found = re.search(r"(\d+)\.(\d+)\.(\d+)", version)
        if found is not None and tuple(map(int, found.groups())) < FLOOR:
            floor = ".".join(map(str, FLOOR))
            findings.append(f"server {version} is older than {floor}, whose feeds can be trusted; upgrade it")
    return findings


def _of_tables(tables: dict[str, dict[str, Any]]) -> list[str]:
    """By what an acknowledged row could be lost."""
    hard = {name: table for name, table in tables.items() if SCHEMA[name].durability == "hard"}
    findings = []
    if soft := [name for name, table in hard.items() if table.get("durability") == "soft"]:
        findings.append(
            f"{_tables(soft)} {_has(soft)} soft durability: a crash takes acknowledged rows; "
            f'set it by r.table("{soft[0]}").config().update({{durability: "hard"}})'
        )
    if single := [name for name, table in hard.items() if table.get("write_acks") == "single"]:
        findings.append(
            f"{_tables(single)} acknowledge{'s' if len(single) == 1 else ''} what a single replica has: "
            "a failover takes such rows; "
            f'set it by r.table("{single[0]}").config().update({{write_acks: "majority"}})'
        )
    return findings


def _advice(tables: dict[str, dict[str, Any]]) -> list[str]:
    advice = []
    if bare := [
        name for name, table in tables.items() if SCHEMA[name].immutable and not table.get("hook", True)
    ]:
        advice.append(f"{_tables(bare)} {_has(bare)} no write hook: only good will keeps rows as they are")
    hard = [name for name in tables if SCHEMA[name].durability == "hard"]
    if alone := [name for name in hard if tables[name].get("replicas") == 1]:
        advice.append(
            f"{_tables(alone)} {_has(alone)} one replica: while its server is away, nothing can be sent"
        )
    return advice


def _able(status: dict[str, Any]) -> str:
    """What a table can do that can't do everything."""
    can = [name.removeprefix("ready_for_").replace("_", " ") for name, so in status.items() if so is True]
    return f"ready for {', '.join(can) or 'nothing'}"


def _tables(names: Iterable[str]) -> str:
    listed = sorted(names)
    return f"table{'' if len(listed) == 1 else 's'} {', '.join(listed)}"


def _has(names: list[str]) -> str:
    return "has" if len(names) == 1 else "have"
