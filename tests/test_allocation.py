"""Memory that runs out: at any allocation of the kernels, nothing crashes, leaks or stays half done.

A share of what `allocation.py` does for all allocations, in a process of its own, since what is looked for
may end it; and each defect that was found so, by name.
"""

from __future__ import annotations

import gc
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import allocation
import pytest
import seeds
from kernel_operations import a_document, a_history
from operations import OPERATIONS, Trial

from syncstring._graph import EventGraph
from syncstring._patch import Splice, apply, compose
from syncstring._pool import TextPool
from syncstring._text import SpliceLog, TextBuffer
from syncstring._walker import Walker
from syncstring._weave import Script, Weave
from syncstring.document import Document
from syncstring.history import History
from syncstring.patch import Patch

HERE = Path(__file__).parent
KERNELS = sorted(HERE.parent.joinpath("syncstring").glob("*.pyx"))

pytestmark = pytest.mark.skipif(
    allocation.set_nomemory is None, reason="this Python has no _testcapi: no allocation can be made to fail"
)


@pytest.fixture(scope="module")
def run() -> dict[str, Any]:
    """What the script says of a share of the allocations of every operation."""
    seed = seeds.fresh()
    options = [f"--seed={seed}", "--share=16", "--runs=20", "--json"]
    command = [sys.executable, str(HERE / "allocation.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    last = done.stdout.strip().rpartition("\n")[2]
    assert done.returncode in (0, 1) and last, f"{command} ended with {done.returncode}: {done.stderr}"
    result: dict[str, Any] = json.loads(last)
    return result


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_that_lacks_memory_raises_memory_error_leaks_nothing_and_can_be_done_again(
    run: dict[str, Any], name: str
) -> None:
    assert not [found for found in run["failures"] if found.startswith(name)], run["seed"]
    figures = run["each"][name]
    assert figures["raised"] > 0 and figures["leak_runs"] > 0


def test_every_kernel_takes_its_memory_where_it_can_be_made_to_fail() -> None:
    for path in KERNELS:
        assert "libc.stdlib cimport" not in re.sub(
            r"from libc\.stdlib cimport qsort\n", "", path.read_text(encoding="utf-8")
        ), path.name


def test_no_kernel_turns_off_the_checks_that_a_debug_build_turns_on() -> None:
    # What the first line of a file says counts for more than what setup.py says.
    for path in KERNELS:
        assert path.read_text(encoding="utf-8").startswith("# cython: language_level=3\n"), path.name


# --- what was found ---------------------------------------------------------------------------------------


def at_every_allocation(fresh: Callable[[], tuple[Callable[[], Any], Callable[[], Any]]]) -> None:
    """Call the first of each pair with its n-th allocation failing, then the second, for each n."""
    for n in range(10_000):
        call, look = fresh()
        outcome = allocation.with_failures(call, n, n + 1)
        look()
        if not outcome.failed and not outcome.reached:
            assert n > 0
            return
    raise AssertionError("no end of allocations")


def a_graph() -> EventGraph:
    graph = EventGraph()
    graph.append(300, "one", (), ("first",), "ann", 300)
    graph.append(400, "one", (0,), (5, " second"), "ann", 400)
    return graph


def test_an_append_that_fails_is_not_found_afterwards() -> None:
    def fresh() -> tuple[Callable[[], Any], Callable[[], Any]]:
        graph = a_graph()

        def look() -> None:
            event = graph.find(5_000, "two")
            assert event == (2 if len(graph) == 3 else -1)
            graph.check()

        return lambda: graph.append(5_000, "two", (0,), (1, "x"), "bob", 7, "said"), look

    at_every_allocation(fresh)


def test_an_append_that_fails_leaves_neither_its_message_nor_its_text_to_others() -> None:
    def fresh() -> tuple[Callable[[], Any], Callable[[], Any]]:
        graph = a_graph()

        def look() -> None:
            if len(graph) == 2:
                graph.append(6_000, "three", (1,), (2, "y"), "cleo", 8)
                assert graph.message_of(2) is None
            assert graph.ops_of(1) == (5, " second")
            assert graph.text_range(1) == (5, 12) and graph.text_range(2) == (12, 13)
            graph.check()

        return lambda: graph.append(5_000, "two", (0,), (1, "乙"), "bob", 7, "said"), look

    at_every_allocation(fresh)


def test_an_append_that_fails_ends_no_critical_version_and_moves_no_head() -> None:
    def fresh() -> tuple[Callable[[], Any], Callable[[], Any]]:
        graph = a_graph()
        for i in range(4):  # heads that a critical version has to keep
            graph.append(1_000 + i, f"s{i}", (1,), (f"{i}",), "dan", 0)
        graph.append(2_000, "one", (2, 3, 4, 5), (), "ann", 0)
        before = [graph.critical_floor(n) for n in range(len(graph) + 1)], graph.heads

        def look() -> None:
            graph.check()
            if len(graph) == 7:
                assert ([graph.critical_floor(n) for n in range(8)], graph.heads) == before

        return lambda: graph.append(5_000, "late", (0,), (1, "x"), "bob", 7), look

    at_every_allocation(fresh)


def test_a_difference_that_fails_leaves_no_marks() -> None:
    def fresh() -> tuple[Callable[[], Any], Callable[[], Any]]:
        graph = a_graph()
        graph.append(5_000, "two", (0,), (1, "x"), "bob", 7)
        return lambda: graph.difference((1,), (2,)), graph.check

    at_every_allocation(fresh)


def test_a_verdict_that_fails_is_not_given() -> None:
    def fresh() -> tuple[Callable[[], Any], Callable[[], Any]]:
        graph = a_graph()

        def look() -> None:
            assert graph.is_misfit(1) == (graph.size_of(1) >= 0) == bool(graph.misfits)

        return lambda: graph.judge(1, 3), look

    at_every_allocation(fresh)


def test_a_walk_that_fails_begins_anew() -> None:
    def fresh() -> tuple[Callable[[], Any], Callable[[], Any]]:
        graph = a_graph()
        for i in range(6):
            graph.append(1_000 + i, f"s{i}", (i % 2,), (2, f"{i} 乙", -1), "dan", 0)
        walker = Walker(graph, 0, 0)
        walker.walk_all([0, 1, 2])

        def look() -> None:
            assert walker.walked in (0, 3, 8)  # 3: it hadn't begun
            walker.walk_all(range(walker.walked, 8))
            walker.check()
            other = Walker(graph, 0, 0)
            other.walk_all(range(8))
            assert Weave(walker).rows() == Weave(other).rows()

        return lambda: walker.walk_all(range(3, 8), SpliceLog(graph.pool)), look

    at_every_allocation(fresh)


def test_a_script_that_fails_half_way_goes_on_without_splices_of_nobody() -> None:
    def fresh() -> tuple[Callable[[], Any], Callable[[], Any]]:
        graph = EventGraph()
        for i in range(30):
            graph.append(i + 1, "one", range(i - 1, i) if i else (), (f"{i}", -1) if i else ("x",), "ann", 0)
        script = Script(graph)

        def look() -> None:
            script.extend_linear(len(script), 30)
            assert [script.splices(i + 1) for i in range(1, 30)] == [[(0, 1, f"{i}")] for i in range(1, 30)]

        return lambda: script.extend_linear(0, 30), look

    at_every_allocation(fresh)


def test_a_replay_that_lacks_room_changes_nothing() -> None:
    def fresh() -> tuple[Callable[[], Any], Callable[[], Any]]:
        pool = TextPool()
        pool.push("a" * 500 + "乙")
        log = SpliceLog(pool)
        for start, count in (0, 1), (1, 400), (500, 1):
            log.push(0, 0, start, count)
        buffer = TextBuffer("xyz")

        def look() -> None:
            buffer.check()
            assert str(buffer) in ("xyz", "乙" + "a" * 401 + "xyz")

        return lambda: log.replay(buffer, 0, 3), look

    at_every_allocation(fresh)


# --- a text that is behind its history --------------------------------------------------------------------


def behind() -> Iterator[tuple[Document, list[Patch]]]:
    """Documents that ran out of memory while they received patches, wherever that leaves the text behind;
    with the patches that they were given then."""
    patches = a_history(random.Random(8), 4)
    for n in range(10_000):
        document = a_document("mine", patches[:-7])
        document.splice(0, 1, "first")
        document.commit()
        before = document.text
        outcome = allocation.with_failures(lambda: document.receive(patches[-7:]), n, n + 1)  # noqa: B023
        if not outcome.failed and not outcome.reached:
            return
        if outcome.failed and document._behind:
            assert document.text == before
            document.check(behind=True)
            yield document, patches[-7:]


def test_a_text_behind_is_edited_and_committed_as_it_stands_and_catches_up_at_the_next_call() -> None:
    documents = [document for document, _ in behind()]
    assert len(documents) > 5
    for document in documents:
        document.splice(1, 2, "typed")
        shown = document.text
        made = document.commit()
        assert made is not None and document.at(made.id) == document.text == shown
        document.set_text("x" + shown + "y")
        again = document.commit()
        assert again is not None and again.parents == (made.id,)
        document.splice(0, 0, "uncommitted")
        shown = document.text
        document.check(behind=True)
        assert apply(shown, document.receive(())) == document.text == document.history.text()
        document.check()
        assert document.receive(()) == []


def test_what_a_call_that_lacked_memory_took_in_and_what_it_did_not_is_shown_when_it_is_made_again() -> None:
    for document, given in behind():
        shown = document.text
        assert apply(shown, document.receive(given)) == document.text
        assert document.text == History([*document.history.patches(), *given]).text()
        document.check()


@pytest.mark.parametrize("typing", [False, True])
@pytest.mark.parametrize(
    "call",
    [
        lambda document: document.undo().splices,
        lambda document: document.revert(3).splices,
        lambda document: document.restore(2).splices,
        lambda document: document.edit_at(document.history.ids([4]), [(0, 0, "there")]).applied,
        lambda document: document.edit_at(document.heads, []).applied,
        lambda document: document.reissue("renamed", []),
        lambda document: document.adopt([]),
    ],
    ids=["undo", "revert", "restore", "edit_at", "edit_at for nothing", "reissue", "adopt"],
)
def test_a_text_behind_catches_up_at_any_call_that_says_what_to_apply(
    call: Callable[[Document], list[Splice]], typing: bool
) -> None:
    for document, _ in behind():
        if typing:
            document.splice(0, 0, "uncommitted")
        shown = document.text
        assert apply(shown, call(document)) == document.text == document.history.text()
        document.check()


# --- that the script would find something -----------------------------------------------------------------


def found(fresh: Callable[[], Trial], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(allocation.OPERATIONS, "planted", lambda chance: fresh)
    gc.freeze()  # what is here needn't be looked at each time that memory is counted
    try:
        with pytest.raises(allocation.Found) as error:
            allocation.examine("planted", 0, None, 40)
    finally:
        gc.unfreeze()
    return str(error.value)


def test_the_script_finds_a_leak_on_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[object] = []

    def leaky() -> object:
        kept.append(object())
        result = compose([(500, 2, "abc"), (700, 1, "de")])
        kept.pop()
        return result

    assert "repetitions leave" in found(lambda: Trial(leaky), monkeypatch)


def test_the_script_finds_an_error_that_was_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def swallowing() -> list[int]:
        try:
            return list(range(300, 400))
        except MemoryError:
            return []

    assert "another result" in found(lambda: Trial(swallowing), monkeypatch)


def test_the_script_finds_what_stays_half_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh() -> Trial:
        done: list[list[int]] = []

        def run() -> int:
            done.append([])
            done.append(list(range(300, 400)))
            return len(done)

        def sound() -> None:
            assert not done

        return Trial(run, sound)

    assert "isn't as before" in found(fresh, monkeypatch)
