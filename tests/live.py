"""What the tests of live sessions share: stores to share, an editor, and a clock that doesn't make one wait.

`STORES` is the one place that says with which stores they are run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any, TypeAlias, TypeVar

import pytest
from rethink_servers import Address, fresh_database

import syncstring
from syncstring._patch import apply
from syncstring.backends.memory import MemoryStore
from syncstring.session import Session
from syncstring.store import Store, open_store

T = TypeVar("T")
Given: TypeAlias = str | Store


def _memory(_: pytest.FixtureRequest) -> Callable[[], Given]:
    shared = MemoryStore()
    return lambda: shared.client()


def _sqlite(request: pytest.FixtureRequest) -> Callable[[], Given]:
    path = request.getfixturevalue("tmp_path") / "team.db"
    return lambda: f"sqlite:{path}"


@pytest.fixture(scope="module")
def rethink_database(rethink: Address) -> Iterator[str]:
    """A database for all tests of a module: making its tables takes seconds."""
    db = fresh_database()
    yield rethink.url(db)
    rethink.drop(db)


def _rethinkdb(request: pytest.FixtureRequest) -> Callable[[], Given]:
    url = request.getfixturevalue("rethink_database")
    return lambda: url


STORES: dict[str, Callable[[pytest.FixtureRequest], Callable[[], Given]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "rethinkdb": _rethinkdb,
}
"""By name: what to hand to each `connect` of a test, so that all of them share one store. Whoever uses it
imports `rethink_database`, too."""


class Place:
    """A store, and sessions in it that are closed at the end."""

    def __init__(self, kind: str, given: Callable[[], Given], name: str = "notes") -> None:
        self.kind = kind
        self.given = given
        self.name = name
        """Of the test's own document."""
        self.stack = AsyncExitStack()

    @classmethod
    def of(cls, request: pytest.FixtureRequest, kind: str) -> Place:
        """A store of this kind for a test."""
        return cls(kind, STORES[kind](request), request.node.name)

    async def connect(self, author: str = "ada", **options: Any) -> Session:
        if self.kind != "memory":
            options.setdefault("limit", 120.0)  # of what waits for something outside
        return await self.stack.enter_async_context(
            syncstring.connect(self.given(), self.name, author=author, **options)
        )

    async def store(self) -> Store:
        given = self.given()
        store = given if isinstance(given, Store) else await open_store(given)
        return await self.stack.enter_async_context(store)

    def run(self, scenario: Callable[[Place], Coroutine[Any, Any, T]]) -> T:
        """Play it to its end, and fail rather than hang."""

        async def played() -> T:
            async with self.stack:
                return await scenario(self)

        return run(played(), hurried=self.kind == "memory")


class Hurried(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next thing that is due when there is nothing else to do.

    Only for what waits for nothing outside: then an hour takes as long as what is done in it.
    """

    _now = 1_000.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now = max(self._now, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """At once: a thread would be something outside."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


def run(work: Coroutine[Any, Any, T], hurried: bool = True) -> T:
    """Do it, and fail rather than hang: for an hour on a clock that is hurried, else for some minutes."""
    limit = 3_600 if hurried else 240
    with asyncio.Runner(loop_factory=Hurried if hurried else None) as runner:
        return runner.run(asyncio.wait_for(work, limit))


class Editor:
    """A text on a screen: it knows the document by what it is told and what is typed into it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.text = session.document.text

    def key(self, pos: int, delete: int = 0, insert: str = "") -> None:
        """A key is pressed: both change at once, in the editor's own coordinates."""
        self.text = apply(self.text, [(pos, delete, insert)])
        self.session.document.splice(pos, delete, insert)

    async def live(self) -> None:
        """Show what others do, until the session ends."""
        async for change in self.session.changes():
            self.text = apply(self.text, change.splices)


async def steps(count: int = 1) -> None:
    """Let everybody else go on, for so many steps."""
    for _ in range(count):
        await asyncio.sleep(0)
