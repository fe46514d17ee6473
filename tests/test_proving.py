"""`test` and `fuzz`: what holds passes, what is broken on purpose is found, told, and can be seen again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from command_line import Result, Run, real, runner
from vt import Session, syncstring

from syncstring import store as contract
from syncstring.backends.memory import MemoryStore
from syncstring.cli import proving
from syncstring.document import Document
from syncstring.errors import StoreUnavailable
from syncstring.patch import Patch
from syncstring.store import Row, Verdict, key_of
from syncstring.testing.conformance import CHECKS
from syncstring.testing.oracle import Broken
from syncstring.testing.world import search

pytestmark = pytest.mark.filterwarnings("ignore:SQLite")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and nobody's settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNCSTRING_STORE", raising=False)
    return tmp_path


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    return runner(capfdbinary)


# --- test ---------------------------------------------------------------------------------


class Overwrites(MemoryStore):
    """Breaks one of its promises."""

    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        verdicts = await super().insert(table, rows)
        for row, verdict in zip(rows, verdicts, strict=True):
            if verdict.kind == "conflict":
                await super().swap(table, key_of(row), verdict.row, row)
        return verdicts


class Crashes(MemoryStore):
    """Raises what no store may raise, with what others wrote in it."""

    async def insert(self, table: str, rows: Sequence[Row]) -> list[Verdict]:
        raise ZeroDivisionError("\x1b[31mno\x07\nsuch row")


@pytest.fixture
def memory_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[MemoryStore]], None]:
    """Makes `memory:` another store."""

    def be(kind: type[MemoryStore]) -> None:
        monkeypatch.setitem(contract.BACKENDS, "memory", f"{__name__}:{kind.__name__}")  # type: ignore[arg-type]

    return be


def test_a_good_store_passes_every_check() -> None:
    found = real("test", "memory:")
    assert (found.status, found.err) == (0, "")
    *lines, last = found.lines
    assert len(lines) == len(CHECKS)
    assert all(line.startswith("ok  ") for line in lines)
    assert last.startswith(f"{len(CHECKS)} checks, 0 failed, ") and ", seed " in last


@pytest.mark.parametrize("url", ["x.db", "sqlite:x.db"])
def test_a_store_in_a_file_is_made_and_each_check_is_an_object(folder: Path, url: str) -> None:
    found = real("test", url, "--json", "--seed", "7", "--only", "feed")
    assert (found.status, found.err) == (0, "")
    *told, last = found.objects
    assert [one["check"] for one in told] == [c.__name__ for c in CHECKS if "feed" in c.__name__]
    assert all(one["ok"] and one["message"] is None and one["promise"] for one in told)
    assert {**last, "seconds": 0} == {
        "url": url, "checks": len(told), "failed": 0, "seconds": 0, "seed": 7, "interrupted": False,
    }  # fmt: skip
    assert Path("x.db").exists()


def test_every_check_of_one_run_sees_the_same_store(
    run: Run, monkeypatch: pytest.MonkeyPatch, memory_is: Callable[[type[MemoryStore]], None]
) -> None:
    clients: list[MemoryStore] = []
    before = MemoryStore.client

    def client(self: MemoryStore, **options: Any) -> MemoryStore:
        clients.append(before(self, **options))
        return clients[-1]

    monkeypatch.setattr(MemoryStore, "client", client)
    assert run("test", "memory:", "--only", "every_table_keeps_rows").status == 0
    assert clients and len({id(one._shared) for one in clients}) == 1


def test_a_broken_promise_is_told_with_how_to_see_it_again(
    run: Run, memory_is: Callable[[type[MemoryStore]], None]
) -> None:
    memory_is(Overwrites)
    found = run("test", "memory:", "--seed", "5")
    assert (found.status, found.err) == (1, "")
    failed = [at for at, line in enumerate(found.lines) if line.startswith("FAILED")]
    assert "A second row under a key is a conflict" in found.lines[failed[0]]
    assert found.lines[failed[0] + 1].startswith("        patches: {'delta': '=2', ")
    assert found.lines[-1].startswith(f"{len(CHECKS)} checks, {len(failed)} failed, ")
    assert found.lines[-1].endswith(", seed 5")

    (again,) = [line.strip() for line in found.lines[failed[0] :][:4] if "again: " in line]
    assert again == "again: syncstring test memory: --seed 5 --only another_row_under_a_key_is_a_conflict"
    seen = run(*again.split()[2:], "--json")
    told, last = seen.objects
    assert seen.status == 1
    assert not told["ok"] and " came instead of " in told["message"]
    assert told["again"] == again.removeprefix("again: ")
    assert (last["checks"], last["failed"]) == (1, 1)


def test_what_a_store_says_cannot_steer_a_terminal(
    run: Run, memory_is: Callable[[type[MemoryStore]], None]
) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "from syncstring import store; store.BACKENDS['memory'] = 'test_proving:Crashes'\n"
        "from syncstring.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", script, here, "test", "memory:", "--only", "every_table"]
    with Session(command, columns=120) as session:  # its screen refuses what isn't ours
        assert session.end() == 1
        assert "ZeroDivisionError isn't an error that a store may raise: \\x1b[31mno\\x07" in str(
            session.screen
        )


def test_chance_follows_from_the_seed_which_is_another_each_time(run: Run) -> None:
    seeds = {run("test", "memory:", "--only", "every_text", "--json").objects[-1]["seed"] for _ in range(3)}
    assert len(seeds) == 3


def test_the_checks_are_listed_without_a_store(run: Run) -> None:
    listed = run("test", "--list")
    assert listed.status == 0
    assert [line.split("  ")[0] for line in listed.lines] == [check.__name__ for check in CHECKS]
    told = run("test", "--list", "--json", "--only", "scan").objects
    assert [one["check"] for one in told] == [c.__name__ for c in CHECKS if "scan" in c.__name__]
    assert all(one["promise"].endswith(".") for one in told)


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (("test",), 2), (("test", "poem:"), 2), (("test", "memory:", "--only", "nothing like it"), 2),
        (("test", "memory:named"), 2), (("test", "memory:", "--seed", "-1"), 2),
        (("test", "no folder/x.db"), 4), (("test", "text.db"), 4),
        (("fuzz", "--store", "memory:"), 2), (("fuzz", "--store", "poem:"), 2), (("fuzz", "--steps", "0"), 2),
        (("fuzz", "--worlds", "0"), 2), (("fuzz", "--minutes", "-1"), 2), (("fuzz", "--minutes", "nan"), 2),
        (("fuzz", "more"), 2),
        (("fuzz", "--store", "no folder/x.db"), 4), (("fuzz", "--store", "text.db"), 4),
    ],
)  # fmt: skip
def test_wrong_usage_exits_with_2_and_a_broken_store_with_4(
    run: Run, args: tuple[str, ...], status: int
) -> None:
    Path("text.db").write_text("this is no database, however long it may be " * 99)
    found = run(*args)
    assert (found.status, found.out) == (status, "")
    assert found.err and "Traceback" not in found.err


def test_a_store_in_memory_is_refused_with_what_to_do_instead(run: Run) -> None:
    assert "leave --store out" in run("fuzz", "--store", "memory:").err


def test_which_check_runs_is_told_on_a_terminal_and_an_interrupt_sums_up() -> None:
    script = (
        "import sys\n"
        "from syncstring.cli import main, proving\n"
        "async def fine(bench):\n    'Nothing is asked.'\n"
        "async def slow(bench):\n    'It waits.'\n    import asyncio; await asyncio.sleep(60)\n"
        "proving.CHECKS = (fine, slow, fine)\n"
        "sys.exit(main(['test', 'memory:', '--seed', '3']))"
    )
    with Session([sys.executable, "-c", script], columns=80) as session:
        session.see("2 of 3: It waits.")
        session.press("\x03")
        assert session.end() == 130
        assert "ok      Nothing is asked." in session.screen.lines
        assert "It waits." not in str(session.screen)
        session.see("1 of 3 checks, 0 failed")
        assert "Traceback" not in str(session.screen)


# --- fuzz ---------------------------------------------------------------------------------


def figures(found: Result) -> dict[str, Any]:
    """What sums up, but how long it took."""
    _, last = found.objects
    return {name: value for name, value in last.items() if name != "seconds"}


def test_a_world_in_which_much_goes_wrong_breaks_no_law() -> None:
    found = real("fuzz", "--seed", "11", "--worlds", "3", "--steps", "400")
    assert (found.status, found.err) == (0, ""), found
    assert all(line.startswith("#") for line in found.lines)
    assert found.lines[0] == "# seeds from 11, 400 steps each"
    assert found.lines[1].startswith("# 3 worlds, 1,200 steps, 0 broken, ")
    assert found.lines[1].endswith(" s, seeds 11 to 13")


def test_the_figures_are_of_all_that_happened_and_the_same_seeds_give_the_same() -> None:
    args = ("fuzz", "--seed", "11", "--worlds", "3", "--steps", "400", "--json")
    first, second = real(*args), real(*args)
    assert first.objects[0] == {"seed": 11, "steps": 400, "store": None, "faults": True}
    told = figures(first)
    assert told == figures(second)
    assert (told["worlds"], told["steps"], told["broken"], told["failure"]) == (3, 1_200, 0, None)
    assert (told["first"], told["last"]) == (11, 13)
    assert sum(told["actions"].values()) == told["steps"]
    assert 0 < told["acknowledged"] <= told["patches"]
    assert told["faults"].keys() > {"late", "twice", "gap"} and told["actions"]["crash"] > 0

    parts = [figures(real(*args[:2], str(seed), "--worlds", "1", *args[5:])) for seed in (11, 12, 13)]
    assert sum(part["patches"] for part in parts) == told["patches"]
    assert sum(part["faults"].get("late", 0) for part in parts) == told["faults"]["late"]


def test_without_faults_nothing_goes_wrong_by_chance(run: Run) -> None:
    told = figures(run("fuzz", "--seed", "4", "--worlds", "1", "--steps", "300", "--no-faults", "--json"))
    assert told["faults"].keys() <= {"fail_nth", "fail_nth_after"}


def test_the_first_seed_is_another_each_time(run: Run) -> None:
    found = [run("fuzz", "--worlds", "1", "--steps", "1", "--json").objects for _ in range(3)]
    assert len({first["seed"] for first, _ in found}) == 3
    assert all(last["first"] == first["seed"] for first, last in found)


def test_when_the_time_is_over_no_further_world_begins(run: Run) -> None:
    told = figures(run("fuzz", "--minutes", "0", "--steps", "20", "--json"))
    assert (told["worlds"], told["steps"]) == (1, 20)


def test_a_world_lives_in_any_store_again_and_again(run: Run) -> None:
    args = ("fuzz", "--seed", "3", "--worlds", "2", "--steps", "100", "--store", "x.db")
    for _ in range(2):
        found = run(*args, "--json")
        assert found.status == 0, found
        told = figures(found)
        assert (told["worlds"], told["faults"]) == (2, {})
    assert Path("x.db").stat().st_size > 0


@contextmanager
def planted(fault: str) -> Iterator[None]:
    """While this lasts, the library is broken."""
    with pytest.MonkeyPatch.context() as patch:
        if fault == "drops":
            receive = Document.receive

            def drops(self: Document, patches: Iterable[Patch], *args: Any) -> Any:
                return receive(self, list(patches)[:1], *args)

            patch.setattr(Document, "receive", drops)
        else:
            insert = MemoryStore.insert

            async def forgets(self: MemoryStore, table: str, rows: Sequence[Row]) -> list[Verdict]:
                verdicts = await insert(self, table, rows)
                for row in rows:
                    if "X" in str(row.get("delta")):
                        self._shared.tables["patches"].pop(key_of(row), None)
                return verdicts

            patch.setattr(MemoryStore, "insert", forgets)
        yield


def played(program: str) -> None:
    """Run it. What a failure leaves under way would be told by whoever runs when it is collected."""
    names: dict[str, Any] = {}
    try:
        exec(compile(program, "broken.py", "exec"), names)
    finally:
        names["world"].close()


def shortened(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """What breaks is made short for so long at most."""
    monkeypatch.setattr(proving, "search", partial(search, seconds=seconds))


@pytest.mark.parametrize("fault", ["drops", "forgets"])
def test_what_a_planted_fault_breaks_comes_out_as_a_program_that_breaks_it_again(
    run: Run, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shortened(monkeypatch, 600)
    with planted(fault):
        found = run("fuzz", "--seed", "1", "--worlds", "9", "--json")
        assert (found.status, found.err) == (1, "")
        told = figures(found)
        failure = told["failure"]
        assert (told["broken"], told["last"], failure["seed"]) == (1, failure["seed"], failure["seed"])
        assert failure["error"] == "Broken" and failure["law"] in ("converge", "durable")

        printed = run("fuzz", "--seed", str(failure["seed"]), "--worlds", "1")
        assert printed.status == 1
        assert f"# seed {failure['seed']} broke:" in printed.lines
        assert printed.out.endswith(failure["script"] + "\n")
        calls = [line for line in printed.lines if not line.startswith("#")]
        assert len(calls) < 60
        with pytest.raises(Broken) as again:
            played(printed.out)
        assert again.value.law == failure["law"]
    played(printed.out)  # the library, as it is, does it right


def test_what_breaks_in_a_store_of_ones_own_is_a_program_that_opens_it(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shortened(monkeypatch, 3)
    with planted("drops"):
        found = run("fuzz", "--seed", "1", "--worlds", "9", "--store", "x.db")
        assert found.status == 1, found
        assert "from syncstring.store import open_store" in found.lines
        assert any("store=lambda: open_store('x.db')" in line for line in found.lines)
        with pytest.raises(Broken):
            played(found.out)


def test_a_store_that_is_gone_is_no_broken_law(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from syncstring.testing.network import World

    def settle(self: World) -> None:
        raise StoreUnavailable("no answer within 30 s; try again")

    monkeypatch.setattr(World, "settle", settle)
    found = run("fuzz", "--worlds", "1", "--steps", "5", "--store", "x.db")
    assert (found.status, found.err) == (4, "syncstring: no answer within 30 s; try again\n")


def test_an_interrupt_ends_with_the_figures_so_far() -> None:
    for more in ([], ["--store", "x.db"]):
        process = subprocess.Popen(
            syncstring("fuzz", "--minutes", "60", "--json", *more),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            first = json.loads(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=240)
        finally:
            process.kill()
        last = json.loads(out)
        assert (process.returncode, err) == (130, "")
        assert last["interrupted"] and last["first"] == first["seed"] and last["broken"] == 0


def test_how_far_it_is_is_told_on_a_terminal() -> None:
    with Session(syncstring("fuzz", "--seed", "5", "--minutes", "60"), columns=120) as session:
        session.see("fuzzing, seed ")
        screen = session.until(lambda screen: " a second, " in str(screen) and " faults" in str(screen))
        assert "# seeds from 5, 1,000 steps each" in screen.lines
        session.press("\x03")
        assert session.end() == 130
        assert "fuzzing" not in str(session.screen)
        assert "# interrupted, " in str(session.screen) and "Traceback" not in str(session.screen)


# --- both ---------------------------------------------------------------------------------


def test_neither_needs_hypothesis() -> None:
    for args in (["test", "memory:", "--only", "every_table"], ["fuzz", "--worlds", "1", "--steps", "50"]):
        script = (
            f"import sys; sys.modules['hypothesis'] = None\n"
            f"from syncstring.cli import main; sys.exit(main({args}))"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
