"""The simulated world: a seed replays it, it finds what is planted, and what it finds is short."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import seeds

from syncstring._patch import apply
from syncstring.backends.memory import MemoryStore
from syncstring.document import Document
from syncstring.history import Base
from syncstring.link import Link
from syncstring.patch import Patch
from syncstring.store import Changed, Gap, Ready, open_store
from syncstring.testing.network import FAULTS, World
from syncstring.testing.oracle import Broken
from syncstring.testing.sites import PlainEditor, Splices
from syncstring.testing.world import search, shrunk


def lived(seed: int, steps: int, **options: Any) -> World:
    world = World(seed, **options)
    world.begin(2)
    try:
        return world.live(steps)
    finally:
        world.close()


def find(
    make: Callable[[int], World], steps: int, seeds: Iterable[int], seconds: float = 1
) -> tuple[Broken, str]:
    """The first law that breaks, with the script, which is made short for so many seconds at most."""
    for seed in seeds:
        try:
            search(lambda seed=seed: make(seed), steps, seconds=seconds)  # type: ignore[misc]
        except Broken as broken:
            return broken, broken.__notes__[0]
    raise AssertionError("nothing was found")


# --- what it is ---------------------------------------------------------------------------------------


def test_a_seed_replays_a_run_call_for_call() -> None:
    first, second = lived(5, 600), lived(5, 600)
    assert first.script == second.script
    assert first.made == second.made and len(first.made) > 10
    assert first.texts == second.texts
    assert first.faults.counts == second.faults.counts


def test_a_script_does_what_the_run_did() -> None:
    first = lived(7, 400)
    again = World(7)
    again.perform(first.script)
    again.close()
    assert again.made == first.made
    assert again.texts == first.texts


def test_a_seed_means_the_same_in_every_process() -> None:
    """Also where strings hash otherwise."""
    code = (
        "from syncstring.testing.network import World\n"
        "world = World(9); world.begin(2); world.live(500)\n"
        "print([(tuple(id), str(patch.to_row('0' * 40))) for id, patch in world.made.items()], world.script)"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(told) == 1 and len(told.pop()) > 1_000


@pytest.mark.slow
@pytest.mark.parametrize("faults", [False, True], ids=["a good store", "a bad store"])
@pytest.mark.parametrize("share", range(8))
def test_no_law_breaks(share: int, faults: bool) -> None:
    first = seeds.fresh()
    counts: Counter[str] = Counter()
    for nth in range(12):
        world = search(lambda nth=nth: World(first + nth, faults=faults), 1_000)  # type: ignore[misc]
        counts.update(world.counts)
        counts.update(patches=len(world.made), **world.faults.counts)
    assert counts["patches"] > 300 and counts["packs"] > 5  # else nothing was shown
    if faults:
        assert all(counts[name] for name in ("late", "twice", "gap", "lost_before"))


def test_everything_happens() -> None:
    counts: Counter[str] = Counter()
    happened: Counter[str] = Counter()
    for seed in range(100):
        world = lived(seed, 1_000)
        counts.update(world.counts)
        counts.update(world.faults.counts)
        happened.update(name for name, _ in world.script)
    assert all(counts[name] >= 5 for name in (*FAULTS, "half"))
    assert {"opening", "sending", "refreshing", "reading on", "packing", "packs", "sweeping"} <= set(counts)
    assert {name for name, each in World.actions.items() if each.weight} <= set(happened)


def test_a_world_over_sqlite_keeps_the_laws(tmp_path: Path) -> None:
    for seed in range(4):
        path = tmp_path / f"{seed}.db"
        world = lived(seed, 500, store=lambda path=path, **options: open_store(str(path), **options))
        assert len(world.made) > 5


# --- what it finds ---------------------------------------------------------------------------------------


def test_a_lost_patch_is_found_and_told_in_a_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that says that it took a row, and didn't: one of twenty."""
    known = MemoryStore._put

    def forgetful(self: MemoryStore, table: str, key: Any, new: Any) -> None:
        known(self, table, key, new)
        if table == "patches" and new is not None and key[1] % 20_000 == 0:
            del self._shared.tables[table][key]

    monkeypatch.setattr(MemoryStore, "_put", forgetful)
    broken, script = find(World, 400, range(40), 600)
    assert broken.law == "durable"
    assert script.count("\nworld.") < 25


def test_a_document_that_drops_a_patch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(Document):
        def receive(self, patches: Iterable[Any], stored: bool = False) -> list[Any]:
            kept = [each for each in patches if not isinstance(each, Patch) or each.time % 7_000]
            return super().receive(kept, stored)

    broken, _ = find(lambda seed: World(seed, document=Deaf), 600, range(40))
    assert broken.law in ("content", "converge", "durable", "refused")


@pytest.mark.parametrize("call", ["undo", "revert", "restore", "set_text"])
def test_a_call_that_does_something_else_is_found(call: str) -> None:
    """Replicas agree on it, and no letter is there that nobody typed: what is wrong is what was asked for."""

    def wipe(self: Document, *_: Any, **__: Any) -> Any:
        if call == "set_text":
            splices = [(0, len(self), "")] if len(self) else []
            for splice in splices:
                self.splice(*splice)
            return splices
        return (
            self.edit_at(self.heads, [(0, len(self), "")])
            if not self._pending
            else getattr(known, call)(self, *_)
        )

    known = Document
    wrong = type("Wrong", (Document,), {call: wipe})
    broken, _ = find(lambda seed: World(seed, document=wrong), 600, range(60))
    assert broken.law in ("undo", "editor")


def test_an_editor_that_misses_a_splice_is_found() -> None:
    class Hasty(PlainEditor):
        def apply(self, splices: Splices) -> None:
            super().apply([splice for splice in splices if splice[1] < 2])

    broken, script = find(lambda seed: World(seed, editor=Hasty), 400, range(20), 600)
    assert broken.law == "editor"
    assert script.count("\nworld.") < 40


def test_a_gap_that_is_ignored_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(self: Link, change: Ready | Changed | Gap) -> None:
        if isinstance(change, Changed):
            known(self, change)

    known = Link.take
    monkeypatch.setattr(Link, "take", careless)
    broken, _ = find(World, 600, range(60))
    assert broken.law in ("converge", "durable")


def test_an_outbox_that_is_dropped_at_send_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Link.send

    async def hasty(self: Link) -> list[Any]:
        try:
            return await known(self)
        except Exception:
            self.outbox.clear()
            raise

    monkeypatch.setattr(Link, "send", hasty)
    broken, _ = find(World, 600, range(60))
    assert broken.law == "durable"


def test_a_child_that_is_sent_before_a_ghost_parent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(self: Link, batch: Iterable[Patch]) -> None:
        return None

    monkeypatch.setattr(Link, "_secure", careless)
    ghosts = {"lost_before": 0.3, "ghost": 1.0}
    broken, _ = find(lambda seed: World(seed, faults=ghosts), 800, range(100))
    assert broken.law == "durable"


def test_a_disk_that_keeps_no_ghost_parents_is_found() -> None:
    """Who comes back from a disk after a crash has only what is on it."""
    ghosts = {**FAULTS, "lost_before": 0.2, "ghost": 1.0}

    class Forgetful(World):
        def _post(self, site: Any, made: Sequence[Patch]) -> None:
            whole, site.link.doubtful = site.link.doubtful, lambda patches: []
            try:
                super()._post(site, made)
            finally:
                site.link.doubtful = whole

    broken, _ = find(lambda seed: Forgetful(seed, faults=ghosts), 1_000, range(300))
    assert broken.law in ("durable", "converge")


# --- how it is told ---------------------------------------------------------------------------------------


def test_the_script_of_a_failure_is_a_program(tmp_path: Path) -> None:
    """It needs neither Hypothesis nor a test runner."""

    world = World(3)
    world.begin(1)
    world.type(0, 0, 0, "abc")
    world.sites[0].copy._text = "abd"  # as if the document were wrong
    with pytest.raises(Broken) as broken:
        world.commit(0, False)
    script = broken.value.__notes__[0]
    world.close()
    assert script.splitlines()[:3] == [
        "# Again, without a test runner:",
        "from syncstring.testing.network import World",
        "world = World(3, faults=True)",
    ]
    program = tmp_path / "again.py"
    program.write_text(
        "import sys\nsys.modules['hypothesis'] = None\n" + script + "\nprint(world.sites[0].document.text)\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "abc\n"


def test_what_does_not_fail_is_not_cut_down() -> None:
    world = lived(3, 100)
    assert shrunk(lambda: World(3), world.script, 1) is None


def test_letters_are_typed_once_and_come_in_every_width() -> None:
    world = World(0)
    typed = "".join(world.letters(3, block) for block in range(4) for _ in range(100))
    assert len(set(typed)) == len(typed)
    assert {len(letter.encode()) for letter in typed} == {1, 2, 3, 4}
    world.close()


# --- what it has found ----------------------------------------------------------------------------------


def test_reading_the_past_moves_no_cursor_a_second_time() -> None:
    """While something was uncommitted: its splices were applied to cursors again."""
    ticks = iter(range(1_000_000, 9_000_000, 1_000))
    whole = Document(session="a", author="a", clock=lambda: next(ticks))
    whole.insert(0, "ab")
    whole.commit()
    base = Base(whole.heads, 1, "ab")
    doc = Document(session="b", author="b", clock=lambda: next(ticks), base=base)
    cursor = doc.cursor(1)
    doc.insert(0, "xyz")
    assert cursor.pos == 4
    doc.adopt(whole.history.patches())
    assert cursor.pos == 4 and doc.text == "xyzab"


def test_reading_the_past_commits_what_is_uncommitted_where_something_comes_in() -> None:
    """Even where the text stays the same: what is typed stands beside what its author saw, and that only."""
    ticks = iter(range(1_000_000, 9_000_000, 1_000))
    old = Document(session="a", author="a", clock=lambda: next(ticks))
    old.insert(0, "ab")
    first = old.commit()
    old.insert(1, "c")
    old.commit()
    base = Base(old.heads, 2, old.text)
    assert first is not None
    late = Document(session="l", author="l", clock=lambda: next(ticks), patches=[first])
    late.insert(1, "q")
    one = late.commit()
    late.delete(1, 1)
    two = late.commit()
    assert one is not None and two is not None
    doc = Document(session="b", author="b", clock=lambda: next(ticks), base=base)
    doc.receive([one, two])  # they wait: what they stand on lies before the checkpoint
    doc.insert(0, "x")
    doc.adopt(old.history.patches())
    (mine,) = doc.outgoing
    assert mine.parents == base.heads
    assert doc.text == "xacb"


def test_reading_the_past_takes_no_equal_letters_for_each_other() -> None:
    """Two texts were compared: a letter that was brought back behind the cursor's own was taken for the one
    that went before it, and the cursor for one whose letter went."""
    ticks = iter(range(1_000_000, 9_000_000, 1_000))
    first = Document(session="a", author="a", clock=lambda: next(ticks))
    first.insert(0, "x")
    one = first.commit()
    assert one is not None
    mine = Document(session="b", author="b", clock=lambda: next(ticks), base=Base((one.id,), 1, "x"))
    mine.insert(0, "y")
    mine.commit()
    cursor = mine.cursor(0)
    other = Document(session="c", author="c", clock=lambda: next(ticks), patches=[one])
    other.delete(0, 1)
    gone = other.commit()
    other.insert(0, "x")
    back = other.commit()
    assert gone is not None and back is not None
    shown = mine.text
    splices = mine.adopt([one, gone, back])
    assert sum(delete for _, delete, _ in splices) == 1
    assert cursor.pos == mine.text.index("y") and apply(shown, splices) == mine.text


def test_a_gap_during_a_refresh_is_not_forgotten() -> None:
    """`stale` was cleared at the end of the read that the gap came after."""
    world = World(1, faults=False)
    world.begin(2)
    reader, writer = world.sites
    task = reader.link.refresh()
    task.send(None)  # it has asked for the rows
    task.send(None)
    writer.type(0, 0, "a")
    writer.commit()
    world.driver.run(world._sending(writer))
    for tap in reader.link.feeds:
        tap.feed.gap("a fault")  # type: ignore[attr-defined]
        tap.feed.ready()  # type: ignore[attr-defined]
    world._pull(reader)
    with pytest.raises(StopIteration):
        while True:
            task.send(None)
    assert reader.link.stale
    world.end()
    world.close()


def test_a_task_that_never_began_leaves_its_owner_free() -> None:
    world = World(1, faults=False)
    world.begin(2)
    world.send(0)
    world.die(0)
    assert not world._busy(world.sites[0])
    world.close()


def test_nothing_is_heard_over_a_line_that_is_cut() -> None:
    world = World(1, faults=False)
    world.begin(2)
    world.cut(0)
    world.type(1, 0, 0, "x")
    world.commit(1, False)
    world.send(1)
    world.finish(0)
    world.receive(0)
    assert world.sites[0].document.text == ""
    world.heal(0)
    world.receive(0)
    assert world.sites[0].link.stale
    world.end()
    world.close()


def test_a_row_whose_parent_nobody_has_is_not_put_back() -> None:
    """A feed showed a child, whose parent only its author ever had, and a crash took both: put back alone,
    the child would wait in the store for ever, and every opening read the whole history for it."""
    world = World(1, faults=False)
    world.begin(2)
    reader, other = world.sites
    ticks = iter(range(7_000, 9_000))
    author = Document(session="gone", author="gone", clock=lambda: next(ticks))
    author.insert(0, "a")
    author.commit()
    author.insert(1, "b")
    child = author.commit()
    assert child is not None
    reader.link.take(Changed(None, child.to_row(world.doc)))
    assert world.driver.run(reader.link.refresh()) is None  # type: ignore[func-returns-value]
    rows = world._memory.keys("patches") if world._memory else []
    assert rows == []
    other.type(0, 0, "c")
    other.commit()
    world.driver.run(world._sending(other))
    reader.link.take(Changed(None, author.history.patches()[0].to_row(world.doc)))
    world.driver.run(reader.link.refresh())
    assert {key[2] for key in world._memory.keys("patches")} >= {"gone"}  # type: ignore[union-attr]
    world.close()
