"""Writers, packers that die at any step, sweepers, openers and live sessions, at once on one simulated store.

A seed decides who goes on after each single call to the store, who dies there, and what the store does wrong.
Whatever happens, nothing acknowledged may ever be missing, nothing may be there twice, and every version must
say what it said when it was made.
"""

from __future__ import annotations

import random
import types
from collections.abc import Coroutine, Generator
from typing import Any

import pytest

from syncstring.archive import Archive, find_document
from syncstring.backends.memory import Faults, MemoryStore
from syncstring.document import Document
from syncstring.errors import StoreUnavailable
from syncstring.history import History
from syncstring.link import Link
from syncstring.patch import Id, Patch
from syncstring.testing.reference import Reference

Task = Coroutine[Any, Any, Any]


@types.coroutine
def switch() -> Generator[None, None, None]:
    """Let somebody else go on."""
    yield


def run(task: Task) -> Any:
    """Carry out one task alone."""
    while True:
        try:
            task.send(None)
        except StopIteration as stop:
            return stop.value


class Session:
    """One opening of the document: what it shows, and its traffic."""

    def __init__(self, world: World, link: Link, doc: Document) -> None:
        self.world = world
        self.link = link
        self.doc = doc
        self.editor = doc.text
        self.busy = False

    def pull(self) -> None:
        """Read the feeds, and take in what came, as an editor does."""
        for feed in self.link.feeds:
            while feed._queue:  # type: ignore[attr-defined]
                self.link.take(run(feed.__anext__()))  # type: ignore[arg-type]
        sure, seen = [], []
        while self.link.arrivals:
            row, known = self.link.arrivals.popleft()
            (sure if known else seen).append(row)
        splices = self.doc.receive(seen) + self.doc.receive(sure, stored=True)
        for pos, delete, insert in splices:
            self.editor = self.editor[:pos] + insert + self.editor[pos + delete :]
        assert self.editor == self.doc.text


class World:
    def __init__(self, seed: int, faults: bool) -> None:
        self.random = random.Random(seed)
        chances = (
            {
                "lost_before": 0.03,
                "lost_after": 0.03,
                "lost_late": 0.02,
                "stale": 0.2,
                "late": 0.3,
                "twice": 0.1,
                "gap": 0.03,
                "ghost": 0.5,
            }
            if faults
            else {}
        )
        self.faults = Faults(seed, **chances)
        self.store = MemoryStore(faults=self.faults, pause=switch, clock=self.clock, limit=float("inf"))
        self.now = 1_700_000_000_000_000
        self.names = 0
        self.doc = ""
        self.sessions: list[Session] = []
        self.running: list[Task] = []
        self.made: dict[Id, Patch] = {}
        self.texts: dict[Id, str] = {}  # what each patch's author saw after it
        self.acknowledged: set[Id] = set()
        self.packs = 0

    def clock(self) -> int:
        self.now += self.random.choice((1_000, 50_000, 5_000_000, 40_000_000))
        return self.now

    def fresh(self) -> str:
        self.names += 1
        return f"{random.Random(self.names).getrandbits(160):040x}"

    def archive(self) -> Archive:
        return Archive(self.store, self.doc, self.fresh)

    # --- what may happen, each a task -------------------------------------------------

    async def opening(self) -> None:
        promised = set(self.acknowledged)
        link = Link(self.archive())
        contents = await link.open(whole=self.random.random() < 0.2)
        self.names += 1
        doc = Document(
            session=f"s{self.names}",
            author="x",
            clock=self.clock,
            patches=contents.patches,
            base=contents.base,
        )
        self.judge(doc, promised)
        if len(self.sessions) < 4:
            self.sessions.append(Session(self, link, doc))
        else:
            await link.close()

    async def sending(self, session: Session) -> None:
        session.busy = True
        try:
            self.acknowledged.update(await session.link.send())
        finally:
            session.busy = False

    async def refreshing(self, session: Session) -> None:
        session.busy = True
        promised = set(self.acknowledged)
        try:
            await session.link.refresh()
        finally:
            session.busy = False
        if session in self.sessions:
            session.pull()
            await self.whole(session)
            self.judge(session.doc, promised)

    async def whole(self, session: Session) -> None:
        if session.doc.history.base is not None and session.doc.parked:
            contents = await session.link.archive.read(whole=True)
            session.doc.adopt(contents.patches)
            session.editor = session.doc.text

    async def packing(self) -> None:
        if await self.archive().pack(everything=self.random.random() < 0.5):
            self.packs += 1

    async def sweeping(self) -> None:
        await self.archive().sweep()

    def typing(self, session: Session) -> None:
        doc = session.doc
        for _ in range(self.random.randint(1, 3)):
            pos = self.random.randint(0, len(doc))
            delete = min(self.random.choice((0, 0, 1, 3)), len(doc) - pos)
            insert = "".join(self.random.choice("abc ") for _ in range(self.random.randint(0, 4)))
            doc.splice(pos, delete, insert)
            session.editor = session.editor[:pos] + insert + session.editor[pos + delete :]
        if doc.commit():
            made, doc.outgoing = doc.outgoing, []
            for patch in made:
                self.made[patch.id] = patch
                self.texts[patch.id] = doc.text
            session.link.post(made)

    def step(self) -> None:
        choice = self.random.random()
        free = [session for session in self.sessions if not session.busy]
        if choice < 0.62 and self.running:
            self.go_on(self.random.randrange(len(self.running)))
        elif choice < 0.66 and self.running:
            self.running.pop(self.random.randrange(len(self.running))).close()  # it dies right there
        elif choice < 0.68 and len(self.sessions) > 1:
            self.sessions.pop(self.random.randrange(len(self.sessions)))  # and so does this session
        elif choice < 0.80 and self.sessions:
            self.typing(self.random.choice(self.sessions))
        elif choice < 0.85 and free:
            self.running.append(self.sending(self.random.choice(free)))
        elif choice < 0.88 and free:
            self.running.append(self.refreshing(self.random.choice(free)))
        elif choice < 0.92 and self.sessions:
            session = self.random.choice(self.sessions)
            session.pull()
        elif choice < 0.95:
            self.running.append(self.packing())
        elif choice < 0.96:
            self.running.append(self.sweeping())
        else:
            self.running.append(self.opening())

    def go_on(self, which: int) -> None:
        try:
            self.running[which].send(None)
        except StopIteration:
            self.running.pop(which)
        except StoreUnavailable:
            self.running.pop(which)

    # --- what must hold ------------------------------------------------------------------

    def version(self, heads: Any) -> dict[Id, Patch]:
        """The patches of the version with these heads, from the list of all that were ever made."""
        found: dict[Id, Patch] = {}
        todo = list(heads)
        while todo:
            id = todo.pop()
            if id not in found:
                found[id] = self.made[id]
                todo.extend(found[id].parents)
        return found

    def judge(self, doc: Document, promised: set[Id]) -> None:
        """What a reader shows has all that was acknowledged before it began, and is what it should be."""
        if doc.history.base is not None and doc.parked:
            return  # it knows that it has to read more
        version = self.version(doc.heads)
        assert promised <= version.keys(), (
            f"{len(promised - version.keys())} acknowledged patches are missing"
        )
        assert doc.text == History(version.values()).text()
        assert len(doc.history) == len(version)

    def settle(self) -> None:
        """No more faults: everybody finishes."""
        for task in self.running:
            task.close()
        self.running = []
        self.store.deliver()
        self.store.faults = None
        for _ in range(3):
            for session in self.sessions:
                run(self.refreshing(session))
                while session.link.outbox:
                    run(self.sending(session))
                session.pull()
        run(self.packing())
        run(self.sweeping())
        for session in self.sessions:
            run(self.refreshing(session))

    def check(self) -> None:
        contents = run(self.archive().read(whole=True))
        ids = [patch.id for patch in contents.patches]
        assert len(ids) == len(set(ids)), "a patch is there twice"
        assert self.acknowledged <= set(ids), f"lost {self.acknowledged - set(ids)}"
        history = History(contents.patches)
        assert not history.parked, "a child is stuck"
        for patch in contents.patches:
            assert self.made[patch.id] == patch
            assert history.text_at([patch.id]) == self.texts[patch.id]
        for session in self.sessions:
            assert session.doc.text == history.text()
        manifest = contents.manifest
        assert sum(pack.count for pack in manifest.packs) == manifest.total
        rows = run(self.archive()._scan("packs"))
        assert {tuple(row["id"]) for row in rows} == manifest.keys(), "something unlisted survived the sweep"
        if len(ids) < 60:
            assert history.text() == Reference(contents.patches).text()


def live(seed: int, steps: int, faults: bool) -> World:
    world = World(seed, faults)
    world.store.faults = None
    world.doc = run(find_document(world.store, "notes", world.fresh))
    run(world.opening())
    world.store.faults = world.faults
    for _ in range(steps):
        world.step()
    world.settle()
    world.check()
    return world


@pytest.mark.parametrize("faults", [False, True], ids=["a good store", "a bad store"])
@pytest.mark.parametrize("start", range(0, 400, 50))
def test_nothing_acknowledged_is_ever_missing(
    start: int, faults: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncstring.archive.LATEST", 3)  # so that packs are many and small
    packs = 0
    for seed in range(start, start + 50):
        try:
            packs += live(seed, 250, faults).packs
        except BaseException as error:
            error.add_note(f"seed {seed}, {'with' if faults else 'without'} faults")
            raise
    assert packs > 25  # else nothing was shown
