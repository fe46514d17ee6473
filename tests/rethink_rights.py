"""Rights taken away while connected, a wrong password, a table dropped: what a session says and keeps.

What it guarantees: each is one `StoreError` within the limit, of the very type that says that waiting doesn't
help, with a text that names what is wrong and never a password; what was typed stays, in `unsaved` and in the
outbox on disk, and is acknowledged once the harm is mended. Both faces of a session, on a user of their own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from rethink_crew import SLACK, folder, judge, refused
from rethink_servers import Address, database
from rethink_work import LIMIT, Id, digest, type_something
from steady import Steady

import syncstring
from syncstring.store import open_store

__all__ = ["rights"]

NAME: Final = "rights.md"
BEAT: Final = 0.5
PATIENCE: Final = 60.0
"""Seconds that every call here may take, since machines stand still at times; otherwise an error comes within
`LIMIT`."""


class _Harm(NamedTuple):
    """Something that whoever administers a database does to it."""

    what: str
    do: Callable[[], Any]
    mend: Callable[[], Any]
    words: tuple[str, ...]
    """What the error tells."""


def _harms(where: Address, db: str, user: str) -> list[_Harm]:
    def grant(**given: bool) -> None:
        where.ask(lambda r: r.db(db).grant(user, given))

    def made_again() -> None:
        async def make() -> None:
            async with await open_store(where.url(db)):
                pass

        asyncio.run(make())

    return [
        _Harm("no right to write", lambda: grant(write=False), lambda: grant(write=True), (user, "`write`")),
        # The server calls it the right to write, where it is asked to.
        _Harm("no right to read", lambda: grant(read=False), lambda: grant(read=True), (user, "permission")),
        _Harm(
            "table dropped",
            lambda: where.ask(lambda r: r.db(db).table_drop("patches")),
            made_again,
            ("patches", "does not exist"),
        ),
    ]


@contextmanager
def _granted(where: Address, db: str, user: str, password: str) -> Iterator[None]:
    """A user who may read and write, and neither make tables nor look at how they are kept."""
    users = {"id": user, "password": password}
    where.ask(lambda r: r.db("rethinkdb").table("users").insert(users, conflict="replace"))
    try:
        where.ask(lambda r: r.db(db).grant(user, {"read": True, "write": True}))
        yield
    finally:
        where.ask(lambda r: r.db("rethinkdb").table("users").get(user).delete())


def rights(where: Address, size: int, seed: int) -> dict[str, Any]:
    """Rights taken away while connected, a wrong password, a table dropped: one clear error each, `size`
    times through each face, and what was typed goes out once that is mended."""
    chance = random.Random(seed)
    user, password = f"user{seed % 1_000_000}", f"secret{chance.randrange(1 << 60)}"
    made: set[Id] = set()
    told: dict[str, str] = {}
    with database(where) as db:
        with syncstring.open(where.url(db), NAME, author="owner") as owner:
            owner.insert(0, "made by who may make tables\n")
        with _granted(where, db, user, password):
            wrong = where.url(db, user, "wrong word")
            told["wrong password"] = refused(
                lambda: syncstring.open(wrong, NAME, author="ada"), syncstring.StoreError, 1
            )
            assert user in told["wrong password"] and "password" in told["wrong password"]
            harms = _harms(where, db, user) * size
            url = where.url(db, user, password)
            texts = _blocking(url, harms, chance, made, told)
            texts += asyncio.run(_live(url, harms, chance, made, told))
        said = "".join(told.values())
        assert password not in said and "wrong word" not in said, "an error tells the password"
        figures = judge(where.url(db), NAME, made, (), texts[-1:])
    return {"each": 2 * size, **figures, "told": told}


def _typed(document: syncstring.Document, chance: random.Random) -> set[Id]:
    patch = None
    while patch is None:
        patch = type_something(document, chance)
    return {(patch.id.time, patch.id.session)}


def _kept(document: Any, text: str, outbox: Path) -> None:
    assert document.text == text, "the text isn't what was typed"
    assert len(document.unsaved) == 1, f"{len(document.unsaved)} patches are unsaved, of one"
    assert outbox.stat().st_size, "the outbox on disk is empty"


def _clear(error: str, harm: _Harm) -> str:
    assert all(word in error for word in harm.words), f"{harm.what} is told as {error}"
    return error


def _blocking(
    url: str, harms: list[_Harm], chance: random.Random, made: set[Id], told: dict[str, str]
) -> list[str]:
    with folder() as files:
        outbox = files / "outbox"
        document = syncstring.open(url, NAME, author="ada", outbox=outbox, limit=PATIENCE, beat=BEAT)
        try:
            for harm in harms:
                made |= _typed(document, chance)
                document.flush()
                document.pack(everything=True)  # a table that is dropped takes what is in it
                harm.do()
                made |= _typed(document, chance)
                text = document.text
                error = refused(lambda: document.flush(PATIENCE), syncstring.StoreError, LIMIT)
                told[harm.what] = _clear(error, harm)
                _kept(document, text, outbox)
                harm.mend()
                document.flush(PATIENCE)
                document.sync(PATIENCE)
                assert not document.unsaved, "flush() returned, and something is unsaved"
            return [digest(document.text)]
        finally:
            document.close()


async def _live(
    url: str, harms: list[_Harm], chance: random.Random, made: set[Id], told: dict[str, str]
) -> list[str]:
    with folder() as files:
        outbox = files / "outbox"
        async with syncstring.connect(
            url, NAME, author="bob", outbox=outbox, limit=PATIENCE, beat=BEAT
        ) as session:
            document = session.document
            for harm in harms:
                made |= _typed(document, chance)
                await session.flush()
                await session.pack()
                changes = asyncio.create_task(_until_it_raises(session))
                await asyncio.to_thread(harm.do)
                made |= _typed(document, chance)
                text = document.text
                with Steady() as clock:
                    began = clock.time()
                    try:
                        await session.flush(PATIENCE)
                    except syncstring.SyncstringError as error:
                        assert type(error) is syncstring.StoreError, f"{type(error).__name__}: {error}"
                        _clear(str(error), harm)
                    else:
                        raise AssertionError(f"{harm.what}: flush() says that it is safe")
                    _kept(document, text, outbox)
                    raised = await asyncio.wait_for(changes, PATIENCE)
                    took = clock.time() - began
                    assert took < 2 * (LIMIT + SLACK), f"{harm.what}: it took {took:.1f} s to be told"
                assert type(raised) is syncstring.StoreError, f"changes() raises {raised!r}"
                told[f"{harm.what}, by changes()"] = _clear(str(raised), harm)
                await asyncio.to_thread(harm.mend)
                await session.flush(PATIENCE)
                assert not session.unsaved, "flush() returned, and something is unsaved"
                await session.sync(PATIENCE)
                await session.until("live", PATIENCE)
            return [digest(document.text)]


async def _until_it_raises(session: Any) -> syncstring.SyncstringError:
    try:
        async for _ in session.changes():
            pass
    except syncstring.SyncstringError as error:
        return error
    raise AssertionError("changes() ended")
