"""A world in one process: people with editors, packers, and one store that does all that a cluster may do.

The law of this room. `World(seed)` and a list of actions give the same run, call for call. Everybody edits,
commits, sends, reads, is cut off, crashes and comes back from what was durable; packers and sweepers die at
any call; the store shows rows that vanish, forgets its answers, delivers late, twice and in any order; clocks
jump. After every action this must hold, and else `Broken` is raised, with a script that shows it again:

- who has the same patches has the same text, always ("converge"), and an old version never reads otherwise;
- every letter that nobody deleted is there once, and no other; runs stay whole (`oracle.LAWS`);
- the editor shows the document's text, and cursors stay with their letter ("editor");
- nothing acknowledged is missing from what anybody opens or reads anew ("durable"), nor, at the end, anything
  that somebody who is still there has made, or that a disk kept;
- taking back does just that ("undo"); nothing was refused, and at the end nobody waits for a parent, and
  nothing unlisted is left in the store.

One's own store, editor binding or document class can be put in. It doesn't know Hypothesis.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final, TypeAlias

from syncstring.archive import Archive, Contents, find_document
from syncstring.backends.memory import Faults, MemoryStore
from syncstring.document import Document
from syncstring.errors import HistoryTruncated, StoreUnavailable
from syncstring.link import Link
from syncstring.patch import Id, Patch
from syncstring.store import Row, Store
from syncstring.testing.faults import FAULTS, taste
from syncstring.testing.judge import judge
from syncstring.testing.lines import Driver, Line, Loop, Plain, Task, switch
from syncstring.testing.oracle import LAWS, Broken, Oracle
from syncstring.testing.sites import Editor, PlainEditor, Site, Skew
from syncstring.testing.world import Script, action, spelled
from syncstring.testing.world import World as Scripted

__all__ = ["FAULTS", "World"]

MOST: Final = 5  # people at once
YEARS: Final = 3 * 31_536_000 * 1_000_000  # that a clock may be off

StoreFactory: TypeAlias = Callable[..., Awaitable[Store]]


class World(Scripted):
    """See above. `faults`: chances, some of `FAULTS` for True, none for False. `store` opens a client of one
    store, as for `check_store`; None: a simulated one. `editor` makes a binding of a document, `document` a
    document of the arguments of `Document`. `laws`: what the oracle demands. `latest`: how many patches are
    left out by packers, so that packs are many and small."""

    def __init__(
        self,
        seed: int = 0,
        *,
        faults: bool | Mapping[str, float] = True,
        store: StoreFactory | None = None,
        editor: Callable[[Document], Editor] = PlainEditor,
        document: Callable[..., Document] = Document,
        laws: Collection[str] = LAWS,
        latest: int = 3,
        made_by: str | None = None,
    ) -> None:
        chances = taste(seed) if faults is True else dict(faults or {})
        given = (("store", store), ("editor", editor), ("document", document))
        self._own_parts = {
            n: spelled(part, n) for n, part in given if part not in (None, PlainEditor, Document)
        }
        said = [f"{seed}"] if store is not None else [f"{seed}, faults={faults!r}"]
        said += [f"{name}={spelling}" for name, (spelling, _) in self._own_parts.items()]
        if frozenset(laws) != LAWS:
            said.append(f"laws={sorted(laws)}")
        if latest != 3:
            said.append(f"latest={latest}")
        super().__init__(seed, made_by or f"World({', '.join(said)})")
        self.now = 1_700_000_000_000_000
        self.faults = Faults(seed, **chances)  # type: ignore[arg-type]
        self.latest = latest
        self.eager = self.random.random() < 0.5  # whether people read anew without being told that it is due
        self.oracle = Oracle(laws)
        self.sites: list[Site] = []
        self.gone: list[dict[Id, Row]] = []  # disks of those that crashed
        self.tasks: list[Task] = []
        self.made: dict[Id, Patch] = {}
        self.acknowledged = 0  # edits, a bit each
        self.kept = 0  # edits that a disk kept
        self.texts: dict[tuple[Id, ...], str] = {}  # of every version that anybody ever had
        self.counts: dict[str, int] = {}
        self._editor = editor
        self._document = document
        self._names = 0
        self._closed = False
        self._bad = bool(chances)
        self._memory: MemoryStore | None = None
        self._factory = store
        self._lines: list[Line] = []
        self.driver: Driver
        if store is None:
            self.driver = Plain()
            self._memory = MemoryStore(pause=switch, clock=self._clock, limit=float("inf"))
        else:
            self.driver = Loop()
        self._own = self.driver.run(self._line())
        # A real store may have had a world of this seed before, whose patches have the same ids.
        name = f"world {seed}" if store is None else f"world {seed} {secrets.token_hex(8)}"
        self.doc = self.driver.run(find_document(self._own, name, self._fresh))
        self.archive = self._archive_at(self._own)
        if self._memory is not None:
            self._memory.faults = self.faults

    # --- what everybody needs ----------------------------------------------------------------

    def _clock(self) -> int:
        self.now += self.random.choice((1_000, 50_000, 5_000_000, 40_000_000))
        return self.now

    def _fresh(self) -> str:
        self._names += 1
        return f"{random.Random(self._names).getrandbits(160):040x}"

    async def _line(self) -> Line:
        """Another client of the store."""
        if self._factory is not None:
            store = await self._factory()
        else:
            assert self._memory is not None
            store = self._memory.client(queue=self.random.choice((4, 30, 1_000)))
        self._lines.append(Line(store, self.driver))
        return self._lines[-1]

    def _archive_at(self, line: Line) -> Archive:
        return Archive(line, self.doc, self._fresh, self.latest)

    def _site(self, who: int) -> Site | None:
        return self.sites[who % len(self.sites)] if self.sites else None

    def can(self, name: str) -> bool:
        tasks, fail = bool(self.tasks), self._bad and self._memory is not None
        return {"go": tasks, "finish": tasks, "die": tasks, "restart": bool(self.gone), "fail": fail}.get(
            name, True
        )

    # --- opening, crashing ----------------------------------------------------------------

    @action(5, "yes", "yes")
    def join(self, whole: bool, disk: bool) -> None:
        """Somebody opens the document; with `disk`, an outbox on disk."""
        self.tasks.append(Task(self._opening(whole, {} if disk else None), "opening"))

    @action(0, "few")
    def begin(self, people: int) -> None:
        """So many open it at once, and nothing goes wrong yet."""
        if self._memory is not None:
            self._memory.faults = None
        for _ in range(people):
            self.driver.run(self._opening(False, {}))
        if self._memory is not None:
            self._memory.faults = self.faults

    @action(3, "number")
    def restart(self, which: int) -> None:
        """Somebody who crashed opens it again, with what the disk kept."""
        if self.gone:
            disk = self.gone[which % len(self.gone)]
            self.tasks.append(Task(self._opening(False, disk, again=True), "opening"))

    async def _opening(
        self, whole: bool, disk: dict[Id, Row] | None, again: bool = False, most: int = MOST
    ) -> None:
        if len(self.sites) >= most:
            return
        promised = self.acknowledged
        line = await self._line()
        link = Link(self._archive_at(line))
        try:
            contents = await link.open(whole)
        except BaseException:
            await line.close()
            raise
        self._names += 1
        skew = Skew()
        document = self._document(
            session=f"s{self._names}",
            author=f"author {self._names}",
            clock=lambda: self._clock() + skew.ahead,
            patches=contents.patches,
            base=contents.base,
        )
        copy = self.oracle.copy(document.heads, document.text)
        site = Site(line, link, document, self._editor(document), copy, skew, self._post)
        self._promised(document, promised)
        if again and not any(disk is other for other in self.gone):
            await line.close()  # somebody else has it, and locked it
            return
        self.sites.append(site)
        if disk is not None:
            self.gone = [other for other in self.gone if other is not disk]
            site.disk = disk
            patches = [Patch.from_row(row) for row in disk.values()]
            if patches:
                site.receive(patches, False)
                link.post(patches)

    @action(2, "number")
    def crash(self, who: int) -> None:
        """A machine dies: what it had in memory is gone, its tasks end where they are."""
        site = self._site(who)
        if site is None or len(self.sites) < 2:
            return
        self.count("crash")
        self.sites.remove(site)
        for task in [task for task in self.tasks if task.who is site]:
            self._end_task(task)
        self.driver.run(site.line.close())
        if site.disk:
            self.gone.append(site.disk)

    # --- editing ----------------------------------------------------------------

    @action(30, "number", "number", "few", "text")
    def type(self, who: int, pos: int, delete: int, text: str) -> None:
        """Somebody types; not yet committed."""
        site = self._site(who)
        if site is None:
            return
        site.type(*_within(len(site.document), pos, delete), text)

    @action(2, "number", "number", "few", "text")
    def set_text(self, who: int, pos: int, delete: int, text: str) -> None:
        """The same by an editor that hands over a whole text."""
        site = self._site(who)
        if site is None:
            return
        old = site.document.text
        pos, delete = _within(len(old), pos, delete)
        site.set_text(old[:pos] + text + old[pos + delete :])

    @action(20, "number", "yes")
    def commit(self, who: int, says: bool) -> None:
        """What was typed becomes a patch."""
        site = self._site(who)
        if site is not None:
            site.commit("says why" if says and len(self.made) % 8 == 0 else None)

    @action(4, "number", "number")
    def undo(self, who: int, redo: int) -> None:
        """Take back one's last patch, or (every third time) take that back."""
        site = self._site(who)
        if site is not None:
            with self._reads_on(site):
                site.take_back("redo" if redo % 3 == 0 else "undo")

    @action(2, "number", "number")
    def revert(self, who: int, which: int) -> None:
        """Take back any one patch."""
        site = self._site(who)
        known = self._known(site)
        if site is not None and known:
            with self._reads_on(site):
                site.take_back("revert", known[which % len(known)])

    @action(1, "number", "number")
    def restore(self, who: int, which: int) -> None:
        """Bring back the text of an old version."""
        site = self._site(who)
        known = self._known(site)
        if site is not None and known:
            with self._reads_on(site):
                id = known[which % len(known)]
                site.restore(id, self.texts.get((id,)))

    @action(3, "number")
    def go_away(self, who: int) -> None:
        """An editor elsewhere (a browser) is shown the document as it is."""
        site = self._site(who)
        if site is not None and not site.copy.uncommitted:
            site.away = (site.document.heads, site.copy.fork())

    @action(6, "number", "number", "few", "text", "yes")
    def edit_at(self, who: int, pos: int, delete: int, text: str, lags: bool) -> None:
        """That editor sends an edit against what it confirmed; if it `lags`, it drops the answer, since it
        has typed meanwhile."""
        site = self._site(who)
        if site is None or site.away is None:
            return
        pos, delete = _within(len(site.away[1].chars), pos, delete)
        with self._reads_on(site):
            site.edited_elsewhere(pos, delete, text, lags)

    @action(4, "number", "number", "yes")
    def point(self, who: int, pos: int, after: bool) -> None:
        """A cursor beside a letter, which it stays with."""
        site = self._site(who)
        if site is None or not site.copy.chars:
            return
        at = pos % len(site.copy.chars)
        cursor = site.document.cursor(at if after else at + 1, "after" if after else "before")
        site.cursors = [*site.cursors[-3:], (cursor, site.copy.chars[at])]

    @contextmanager
    def _reads_on(self, site: Site) -> Iterator[None]:
        """What needs more of the past than was read changes nothing; the rest is read then."""
        document = site.document
        before = document.heads, document.text
        try:
            yield
        except HistoryTruncated:
            if document.history.base is None or document.outgoing:
                raise
            if before != (document.heads, document.text):
                raise Broken("editor", "a call that raised changed the document") from None
            self._read_on(site)

    def _read_on(self, site: Site) -> None:
        if not self._busy(site):
            self.tasks.append(Task(self._refreshing(site, whole=True), "reading on", site))

    def _busy(self, site: Site) -> bool:
        return any(task.who is site for task in self.tasks)

    def imports(self) -> list[str]:
        return [*super().imports(), *(line for _, line in self._own_parts.values())]

    def simpler(self, script: Script) -> Iterable[Script]:
        yield [("finish" if name == "go" else name, args) for name, args in script]

    def _post(self, site: Site, made: Sequence[Patch]) -> None:
        for patch in made:
            self.made[patch.id] = patch
        if site.disk is not None:
            for patch in (*site.link.doubtful(made), *made):
                site.disk[patch.id] = patch.to_row(self.doc)
            self.kept |= self.oracle.version(patch.id for patch in made)
        site.link.post(made)

    def _known(self, site: Site | None) -> list[Id]:
        """The patches that somebody can name."""
        return [] if site is None else [id for id in self.made if id in site.document.history]

    # --- traffic ----------------------------------------------------------------

    @action(10, "number")
    def send(self, who: int) -> None:
        """Begin to send some of what is in an outbox."""
        site = self._site(who)
        if site is not None and not self._busy(site):
            self.tasks.append(Task(self._sending(site), "sending", site))

    async def _sending(self, site: Site) -> None:
        before = set(site.link.outbox)
        try:
            done = await site.link.send()
            self.acknowledged |= self.oracle.version(done)
            self._stored(self.oracle.version(done), "stands below what was acknowledged")
            if site.disk is not None and not site.link.outbox:
                site.disk.clear()
        finally:
            left = before - site.link.outbox.keys()
            self._stored(sum(1 << self.oracle.number(id) for id in left), "left an outbox")

    def _stored(self, edits: int, why: str) -> None:
        """These are in the store at this instant. It isn't asked: a call would show more than was shown."""
        if self._memory is None:
            return
        rows = {key[1:] for key in self._memory.keys("patches")}
        missing = [id for id in self.oracle.names(edits) if id in self.made and id not in rows]
        if missing:
            archive = Archive(self._memory.twin(), self.doc, self._fresh)
            packed = {patch.id for patch in Plain().run(archive.read(whole=True)).patches}
            missing = [id for id in missing if id not in packed]
        if missing:
            raise Broken("durable", f"{len(missing)} patches are not in the store: {missing[0]} {why}")

    @action(14, "number")
    def receive(self, who: int) -> None:
        """Somebody reads what came, and the editor shows it."""
        site = self._site(who)
        if site is not None:
            self._pull(site)

    def _pull(self, site: Site) -> None:
        for feed in site.link.feeds:
            for change in self.driver.arrived(feed):  # type: ignore[arg-type]  # a line's feeds are taps
                site.link.take(change)
        sure: list[Patch | Row] = []
        seen: list[Patch | Row] = []
        while site.link.arrivals:
            came, known = site.link.arrivals.popleft()
            (sure if known else seen).append(came)
        site.receive(seen, False)
        site.receive(sure, True)

    @action(4, "number")
    def refresh(self, who: int) -> None:
        """Begin to read anew all that may have been missed."""
        site = self._site(who)
        if site is not None and not self._busy(site) and (self.eager or site.link.stale):
            self.tasks.append(Task(self._refreshing(site), "refreshing", site))

    async def _refreshing(self, site: Site, whole: bool = False) -> None:
        promised = self.acknowledged
        await site.link.refresh()
        self._pull(site)
        if site.document.history.base is not None and (whole or site.document.parked):
            contents: Contents = await site.link.archive.read(whole=True)
            site.adopt(contents.patches)
        self._promised(site.document, promised)

    @action(4, "number")
    def cut(self, who: int) -> None:
        """Nothing gets through to somebody any more."""
        site = self._site(who)
        if site is not None:
            site.line.cut()

    @action(8, "number")
    def heal(self, who: int) -> None:
        """It does again."""
        site = self._site(who)
        if site is not None:
            site.line.heal()

    # --- upkeep ----------------------------------------------------------------

    @action(6, "yes")
    def pack(self, everything: bool) -> None:
        """Somebody begins to pack."""
        self.tasks.append(Task(self._packing(everything), "packing"))

    async def _packing(self, everything: bool) -> None:
        if await self._archive_at(self._own).pack(everything):
            self.count("packs")

    @action(1)
    def sweep(self) -> None:
        """Somebody begins to sweep."""
        self.tasks.append(Task(self._archive_at(self._own).sweep(), "sweeping"))

    @action(2, "number")
    def drop_caches(self, who: int) -> None:
        """Forget all that can be derived again."""
        site = self._site(who)
        if site is not None:
            site.document.history.drop_caches()

    # --- chance ----------------------------------------------------------------

    @action(80, "number")
    def go(self, which: int) -> None:
        """A task goes on by one call to the store."""
        if self.tasks:
            self._go_on(self.tasks[which % len(self.tasks)])

    @action(8, "number")
    def finish(self, which: int) -> None:
        """A task goes on to its end."""
        if self.tasks:
            task = self.tasks[which % len(self.tasks)]
            while not self._go_on(task):
                pass

    def _go_on(self, task: Task) -> bool:
        done = failed = False
        try:
            done = self.driver.step(task)
        except StoreUnavailable as error:
            done = failed = True
            cut = any(line.was_cut for line in self._lines)
            if self._memory is not None and not self._bad and not cut and "by others" not in str(error):
                raise Broken(
                    "durable", f"{task.what} got no answer from a store that works: {error}"
                ) from error
        except BaseException:
            self.tasks.remove(task)
            raise
        if done:
            self.tasks.remove(task)
            self.count(f"{task.what} failed" if failed else task.what)
        return done

    @action(6, "number")
    def die(self, which: int) -> None:
        """A task ends where it is."""
        if self.tasks:
            self._end_task(self.tasks[which % len(self.tasks)])

    def _end_task(self, task: Task) -> None:
        self.tasks.remove(task)
        self.driver.kill(task)

    @action(2, "number", "yes")
    def fail(self, nth: int, after: bool) -> None:
        """One of the next calls fails, before it was done or after."""
        if after:
            self.faults.fail_nth_after = nth % 8 + 1
        else:
            self.faults.fail_nth = nth % 8 + 1

    @action(3, "number", "few")
    def jump(self, who: int, how: int) -> None:
        """Somebody's clock jumps: by an hour or a year, ahead or back."""
        site = self._site(who)
        if site is not None:
            jump = (3_600, -3_600, 31_536_000, -31_536_000)[how % 4] * 1_000_000
            site.skew.ahead = max(-YEARS, min(YEARS, site.skew.ahead + jump))

    @action(6, "number", "number")
    def look(self, who: int, which: int) -> None:
        """Somebody looks at an old version."""
        site = self._site(who)
        if site is None or not self.texts:
            return
        heads = list(self.texts)[which % len(self.texts)]
        if all(id in site.document.history for id in heads):
            with self._reads_on(site):
                self.same(heads, site.document.at(heads), "was read again as")
        elif site.document.history.base is not None and which % 2 == 0:
            self._read_on(site)

    # --- what must hold ----------------------------------------------------------------

    def check(self) -> None:
        for site in self.sites:
            site.check()
            if self._ending:
                site.copy.check()
            if not site.copy.uncommitted:
                self.same(site.document.heads, site.document.text, "is")

    def same(self, heads: tuple[Id, ...], text: str, verb: str) -> None:
        """A version has the text that it always had; the first time, it has it from now on."""
        known = self.texts.setdefault(heads, text)
        if known != text:
            names = ", ".join(map(str, heads))
            raise Broken("converge", f"the version of {names} {verb} {text!r}, and was {known!r}")

    def _promised(self, document: Document, promised: int) -> None:
        if document.history.base is not None and document.parked:
            return  # it knows that it has to read more
        missing = promised & ~self.oracle.version(document.heads)
        if missing:
            names = [id for id in self.oracle.names(missing) if id not in document.history]
            raise Broken("durable", f"{missing.bit_count()} acknowledged patches are missing: {names[:3]}")

    def count(self, what: str) -> None:
        """Something happened."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def settle(self) -> None:
        for task in list(self.tasks):
            self._end_task(task)
        for site in self.sites:
            site.line.heal()
        if self._memory is not None:
            self._memory.deliver()
            self._memory.faults = None
        for disk in list(self.gone):
            self.driver.run(self._opening(False, disk, again=True, most=1_000))
        if not self.sites:
            self.driver.run(self._opening(False, None))
        eager = self.eager or self._memory is None  # a real store's feeds take their time
        for _ in range(4):
            for site in self.sites:
                site.commit()
                self._pull(site)
                if eager or site.link.stale or site.document.parked:
                    self.driver.run(self._refreshing(site))
                while site.link.outbox:
                    self.driver.run(self._sending(site))
                self._pull(site)
        judge(self, swept=False)  # before a packer tells everybody to read anew
        self.driver.run(self._packing(True))
        self.driver.run(self.archive.sweep())
        for site in self.sites:
            self._pull(site)
            if eager or site.link.stale:
                self.driver.run(self._refreshing(site))
        self.check()
        judge(self, swept=True)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for task in list(self.tasks):
            self._end_task(task)
        for line in self._lines:
            with suppress(StoreUnavailable):
                self.driver.run(line.close())
        self.driver.close()


def _within(size: int, pos: int, delete: int) -> tuple[int, int]:
    pos %= size + 1
    return pos, min(delete, size - pos)
