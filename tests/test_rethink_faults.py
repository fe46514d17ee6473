"""What goes wrong with real servers, in the short form: each scenario of `rethink_faults.py`, small.

Sizes are what a minute and a half allows. The seed is the run's; a failure says how to play it again.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rethink_faults
import seeds
from rethink_crew import Worker, judge
from rethink_servers import Address
from rethink_work import Id, digest

import syncstring

pytestmark = pytest.mark.slow


def played(name: str, size: int, where: Address | None = None) -> rethink_faults.Figures:
    figures = rethink_faults.play(name, size, seeds.fresh(), where)
    print(f"{name}: {json.dumps(figures, ensure_ascii=False)}")
    assert figures.get("lost", 0) == figures.get("missed", 0) == 0
    return figures


def test_what_was_acknowledged_survives_kills_of_the_server_of_writers_and_of_both(servers: None) -> None:
    figures = played("kills", 6)
    assert figures["server"] == figures["both"] == figures["writer"] == 2
    assert figures["acknowledged"] > 6


def test_a_cluster_loses_nothing_when_its_primary_dies_or_freezes_or_its_tables_move(servers: None) -> None:
    assert played("failover", 1)["acknowledged"] > 3


def test_eight_processes_may_make_the_database_at_once(rethink: Address) -> None:
    assert played("crowd", 1, rethink)["acknowledged"] >= 8


def test_a_network_that_is_slow_cut_mute_or_down_is_noticed_and_got_over(rethink: Address) -> None:
    figures = played("proxied", 1, rethink)
    assert figures["refused flushes"] == 2


def test_a_feed_that_overflows_says_so_and_its_reader_misses_nothing(rethink: Address) -> None:
    assert played("overflow", 10_000, rethink)["gaps"] >= 1


def test_a_reader_that_slept_through_a_burst_reads_all_of_it_and_stays_small(rethink: Address) -> None:
    assert played("asleep", 3_000, rethink)["patches"] >= 2_900


def test_two_weeks_offline_come_back_to_a_document_that_was_packed(rethink: Address) -> None:
    assert played("offline", 300, rethink)["packs meanwhile"] >= 1


def test_clocks_that_are_a_year_off_neither_lose_nor_part_anything(rethink: Address) -> None:
    assert played("clocks", 40, rethink)["sessions"] == 5


def test_lost_rights_and_tables_are_one_clear_error_each_and_local_work_is_kept(rethink: Address) -> None:
    told = played("rights", 1, rethink)["told"]
    harms = ["no right to write", "no right to read", "table dropped"]
    assert list(told) == ["wrong password", *harms, *(f"{harm}, by changes()" for harm in harms)]


# --- the judge, on a store that nothing goes wrong with -----------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> str:
    with syncstring.open(tmp_path / "team.db", "work.md", author="ada") as document:
        document.insert(0, "kept")
    return str(tmp_path / "team.db")


def ids(path: str) -> set[Id]:
    with syncstring.open(path, "work.md", author="bob") as document:
        return {(v.id.time, v.id.session) for v in document.versions if v.id is not None}


def test_the_judge_counts_what_is_there(path: str) -> None:
    assert judge(path, "work.md", ids(path), ids(path), [digest("kept")])["acknowledged"] == 1


def test_the_judge_forgives_no_lost_patch_and_no_second_text(path: str) -> None:
    with pytest.raises(AssertionError, match="1 of 2 acknowledged patches are lost"):
        judge(path, "work.md", ids(path) | {(1, "never")})
    with pytest.raises(AssertionError, match="committed to an outbox"):
        judge(path, "work.md", ids(path), {(1, "never")})
    with pytest.raises(AssertionError, match="2 different texts"):
        judge(path, "work.md", ids(path), (), [digest("kept"), digest("lost")])


def test_a_worker_that_ends_by_itself_is_told_with_what_it_said(tmp_path: Path) -> None:
    order = {"url": "nosuch:", "name": "work.md", "role": "writer", "seed": 0, "author": "ada"}
    worker = Worker(tmp_path, order)
    worker.start()
    try:
        with pytest.raises(AssertionError, match=r"(?s)ada ended by itself.*no store speaks nosuch"):
            worker.wait(lambda: worker.acknowledged, "got anything acknowledged")
    finally:
        worker.kill()
