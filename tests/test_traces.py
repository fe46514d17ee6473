"""What a recorded trace says becomes patches that say the same; what isn't a trace is refused in one line."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncstring import traces as module
from syncstring._patch import apply, compose
from syncstring.errors import MalformedRow
from syncstring.history import History
from syncstring.patch import MAX_TIME, MIN_WILD_TIME, Patch
from syncstring.testing.reference import Reference
from syncstring.traces import Trace, read_trace

COUNTS = {
    "automerge-paper": ("sequential", 259_778),
    "sveltecomponent": ("sequential", 18_335),
    "json-crdt-patch": ("sequential", 18_639),
    "friendsforever": ("concurrent", 26_078),
}
NOON = "2020-09-13T12:26:40Z"
AT_NOON = 1_600_000_000_000_000


def wrote(folder: Path, content: Any, name: str = "a.json") -> Path:
    """A file that holds that: bytes as they are, anything else as JSON."""
    path = folder / name
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(gzip.compress(data, 1) if name.endswith(".gz") else data)
    return path


def sequential(*txns: Any, start: str = "", end: str | None = None, **more: Any) -> dict[str, Any]:
    """A sequential trace of transactions given as lists of splices or as they are."""
    whole = [txn if isinstance(txn, dict) else {"patches": txn} for txn in txns]
    if end is None:
        end = start
        for txn in whole:
            end = apply(end, txn["patches"])
    return {"startContent": start, "endContent": end, "txns": whole, **more}


def concurrent(*txns: tuple[int, list[int], list[Any]], end: str, **more: Any) -> dict[str, Any]:
    """A concurrent trace of transactions `(agent, parents, splices)` by two agents."""
    whole = [{"agent": a, "parents": p, "numChildren": 0, "patches": s} for a, p, s in txns]
    return {"kind": "concurrent", "numAgents": 2, "endContent": end, "txns": whole, **more}


FORK = [(0, [], [[0, 0, "ab"]]), (0, [0], [[0, 0, "x"]]), (1, [0], [[2, 0, "y"]]), (1, [1, 2], [[0, 1, "z"]])]


# --- the recordings ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(traces: Path) -> Callable[[str], Trace]:
    return cache(lambda name: read_trace(traces / f"{name}.json.gz"))


recordings = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if count > 100_000 else [])
        for name, (_, count) in COUNTS.items()
    ],
)


@recordings
def test_a_recording_ends_in_its_end_content(recorded: Callable[[str], Trace], name: str) -> None:
    trace = recorded(name)
    assert (trace.kind, len(trace.patches)) == COUNTS[name]
    history = History(trace.patches)
    assert history.text() == trace.end_content
    assert history.problems == []
    assert len(history) == len(trace.patches)


def test_a_concurrent_recording_ends_so_in_any_order(recorded: Callable[[str], Trace]) -> None:
    trace = recorded("friendsforever")
    for seed in range(2):
        patches = list(trace.patches)
        random.Random(seed).shuffle(patches)
        history = History(patches)
        assert history.text() == trace.end_content
    assert History(reversed(trace.patches)).text() == trace.end_content


@recordings
def test_every_patch_of_a_recording_is_well_formed(recorded: Callable[[str], Trace], name: str) -> None:
    patches = recorded(name).patches
    for patch in patches[:: 1 + len(patches) // 2_000]:
        assert Patch.from_row(patch.to_row("0" * 40)) == patch


def test_a_recordings_times_are_its_own(recorded: Callable[[str], Trace]) -> None:
    start, *_, end = recorded("json-crdt-patch").patches
    assert start.time == start.wall == 1_689_887_971_555_000
    assert end.time == end.wall == 1_699_029_903_203_000
    unknown = recorded("friendsforever").patches
    assert {patch.wall for patch in unknown} == {0} and unknown[0].time == 1
    agents = {patch.author: patch.session for patch in unknown}
    assert set(agents) == {"agent 0", "agent 1"} and len(set(agents.values())) == 2


# --- transactions -----------------------------------------------------------------------------------


def test_a_transaction_is_one_patch(tmp_path: Path) -> None:
    txns = [[0, 0, "abc"]], [[3, 0, "d"], [0, 1, "A"], [2, 2, ""]], [], [[0, 0, ""]]
    trace = read_trace(wrote(tmp_path, sequential(*txns)))
    assert [patch.ops for patch in trace.patches] == [compose(txn) for txn in txns]
    assert [len(patch.parents) for patch in trace.patches] == [0, 1, 1, 1]
    assert History(trace.patches).text() == trace.end_content == "Ab"


def test_a_gzipped_file_reads_as_a_plain_one(tmp_path: Path) -> None:
    content = sequential([[0, 0, "é😀"]], [[2, 0, "x"]])
    plain = read_trace(wrote(tmp_path, content))
    zipped = read_trace(wrote(tmp_path, content, "a.json.gz"))
    hidden = read_trace(wrote(tmp_path, gzip.compress(json.dumps(content).encode()), "a.trace"))
    assert list(plain.patches) == list(zipped.patches) == list(hidden.patches)


def test_the_start_is_inserted_by_a_patch_of_its_own(tmp_path: Path) -> None:
    content = sequential({"time": NOON, "patches": [[5, 0, "!"]]}, start="start")
    one, two = read_trace(wrote(tmp_path, content)).patches
    assert (one.ops, one.parents, one.time) == (("start",), (), AT_NOON)
    assert (two.ops, two.parents, two.time) == ((5, "!"), (one.id,), AT_NOON + 1)


def test_a_start_alone_is_a_trace(tmp_path: Path) -> None:
    (patch,) = read_trace(wrote(tmp_path, sequential(start="only this"))).patches
    assert (patch.ops, patch.time) == (("only this",), 1)
    assert len(read_trace(wrote(tmp_path, sequential())).patches) == 0


def test_concurrent_transactions_have_the_parents_that_they_say(tmp_path: Path) -> None:
    trace = read_trace(wrote(tmp_path, concurrent(*FORK, end="zaby")))
    a, b, c, d = trace.patches
    assert (a.parents, b.parents, c.parents) == ((), (a.id,), (a.id,))
    assert d.parents == tuple(sorted((b.id, c.id)))
    assert [patch.author for patch in trace.patches] == ["agent 0", "agent 0", "agent 1", "agent 1"]
    assert Reference(trace.patches).text() == History(trace.patches).text() == "zaby"


def test_a_transaction_too_long_for_a_row_becomes_a_chain(tmp_path: Path) -> None:
    long = "".join(f"{i:x}é" for i in range(200_000))
    txns = (
        (0, [], [[0, 0, "ab"]]),
        (0, [0], [[1, 0, long]]),
        (1, [0], [[2, 0, "c"]]),
        (1, [1, 2], [[0, 0, "d"]]),
    )
    end = f"da{long}bc"
    trace = read_trace(wrote(tmp_path, concurrent(*txns, end=end)))
    assert len(trace.patches) > 4
    assert History(trace.patches).text() == end
    assert trace.patches[-2].parents == (trace.patches[0].id,), "the chain's first link is not its last"
    assert set(trace.patches[-1].parents) == {trace.patches[-2].id, trace.patches[-3].id}
    whole = read_trace(wrote(tmp_path, sequential([[0, 0, "ab"]], [[1, 0, long]], start=long)))
    assert History(whole.patches).text() == f"a{long}b{long}"
    for patch in (*trace.patches, *whole.patches):
        assert Patch.from_row(patch.to_row("0" * 40)) == patch


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_typed_comes_out_again(tmp_path: Path, data: st.DataObject) -> None:
    text, txns = "", []
    for _ in range(data.draw(st.integers(0, 6))):
        splices = []
        for _ in range(data.draw(st.integers(0, 3))):
            pos = data.draw(st.integers(0, len(text)))
            delete = data.draw(st.integers(0, min(3, len(text) - pos)))
            splices.append([pos, delete, data.draw(st.text("aé😀\n\0", max_size=3))])
            text = apply(text, splices[-1:])
        txns.append(splices)
    trace = read_trace(wrote(tmp_path, sequential(*txns)))
    assert Reference(trace.patches).text() == trace.end_content == text
    assert [patch.ops for patch in trace.patches] == [compose(txn) for txn in txns]


def test_patches_are_a_sequence_that_makes_them_when_asked(tmp_path: Path) -> None:
    patches = read_trace(wrote(tmp_path, sequential(*([[0, 0, "x"]] for _ in range(5))))).patches
    whole = list(patches)
    assert list(patches) == whole and len(patches) == 5
    assert (patches[0], patches[-1], patches[1:3]) == (whole[0], whole[4], whole[1:3])
    assert list(reversed(patches)) == whole[::-1] and patches.index(whole[2]) == 2
    with pytest.raises(IndexError):
        patches[5]


# --- who and when -----------------------------------------------------------------------------------


def test_the_same_file_gives_the_same_bytes_and_another_file_other_sessions(tmp_path: Path) -> None:
    content = concurrent(*FORK, end="zaby")
    one = [patch.to_bytes() for patch in read_trace(wrote(tmp_path, content)).patches]
    two = [patch.to_bytes() for patch in read_trace(wrote(tmp_path, content, "b.json.gz")).patches]
    assert one == two
    other = read_trace(wrote(tmp_path, {**content, "comment": 1})).patches
    sessions = {patch.session for patch in read_trace(wrote(tmp_path, content)).patches}
    assert sessions.isdisjoint(patch.session for patch in other)
    for session in sessions:
        assert len(session) == 12 and session.isalnum() and session == session.lower()


def test_authors_are_called_as_the_file_says(tmp_path: Path) -> None:
    ours = read_trace(wrote(tmp_path, concurrent(*FORK, end="zaby", agents=["ada", "bob"]))).patches
    assert [patch.author for patch in ours] == ["ada", "ada", "bob", "bob"]
    (alone,) = read_trace(wrote(tmp_path, sequential([[0, 0, "x"]], agents=["ada"]))).patches
    assert alone.author == "ada"
    (nobody,) = read_trace(wrote(tmp_path, sequential([[0, 0, "x"]]))).patches
    assert nobody.author == "author"


@pytest.mark.parametrize(
    ("written", "microseconds"),
    [
        ("2020-09-13T12:26:40Z", AT_NOON),
        ("2020-09-13T12:26:40.123456Z", AT_NOON + 123_456),
        ("2020-09-13T12:26:40", AT_NOON),
        ("2020-09-13T14:26:40+02:00", AT_NOON),
        ("1970-01-01T00:00:00.001Z", 1_000),
    ],
)
def test_a_time_is_microseconds_since_the_epoch(tmp_path: Path, written: str, microseconds: int) -> None:
    for field in ("time", "timestamp"):
        (patch,) = read_trace(wrote(tmp_path, sequential({field: written, "patches": []}))).patches
        assert patch.time == patch.wall == microseconds


LATE = [
    ("2112-09-17T23:53:47.370495Z", None, None),  # 2^52 - 1: then no time is left for a second root
    ("2112-09-17T23:53:47.370495Z", "2112-09-17T23:53:47.370496Z", None),
    ("2112-09-17T23:53:47.370495Z", "1970-01-01T00:00:00.000009Z", "2255-06-05T23:47:34Z"),
]


@pytest.mark.parametrize("written", LATE)
def test_late_times_that_leave_none_for_what_follows_are_put_earlier(
    tmp_path: Path, written: tuple[str | None, ...]
) -> None:
    txns = [{"agent": 0, "parents": [], "time": time, "patches": [[0, 0, "x"]]} for time in written]
    found = {"kind": "concurrent", "numAgents": 1, "endContent": "xxx", "txns": txns}
    path = tmp_path / "late.json"
    path.write_text(json.dumps(found))
    patches = read_trace(path).patches
    first = MIN_WILD_TIME - (1 << 32)
    assert [patch.time for patch in patches] == [first, first + 1, first + 2]
    for patch in patches:
        assert Patch.from_row(patch.to_row("0" * 40)) == patch


@pytest.mark.parametrize(
    ("written", "time", "wall"),
    [
        ("1970-01-01T00:00:00Z", 1, 0),
        ("1969-12-31T23:59:59Z", 1, 0),
        ("0001-01-01T00:00:00+23:00", 1, 0),
        ("2200-01-01T00:00:00Z", MIN_WILD_TIME - (1 << 32), 7_258_118_400_000_000),
        ("9999-12-31T23:59:59Z", MIN_WILD_TIME - (1 << 32), MAX_TIME),
    ],
)
def test_odd_times_are_brought_into_range(tmp_path: Path, written: str, time: int, wall: int) -> None:
    txns = [{"time": written, "patches": []}] * 3
    patches = read_trace(wrote(tmp_path, sequential(*txns))).patches
    assert [patch.time for patch in patches] == [time, time + 1, time + 2]
    assert {patch.wall for patch in patches} == {wall}
    for patch in patches:
        assert Patch.from_row(patch.to_row("0" * 40)) == patch


def test_a_time_exceeds_its_parents_where_none_is_recorded_or_the_clock_went_back(tmp_path: Path) -> None:
    txns = [{"patches": []}, {"time": NOON, "patches": []}, {"patches": []}, {"time": None, "patches": []},
            {"time": "2001-01-01", "patches": []}]  # fmt: skip
    patches = read_trace(wrote(tmp_path, sequential(*txns))).patches
    assert [patch.time for patch in patches] == [1, AT_NOON, AT_NOON + 1, AT_NOON + 2, AT_NOON + 3]
    assert patches[3].wall == AT_NOON + 2
    assert patches[4].wall == 978_307_200_000_000


def test_an_agent_that_did_two_things_unseen_by_itself_gives_them_two_ids(tmp_path: Path) -> None:
    txns = (0, [], [[0, 0, "a"]]), (0, [0], [[0, 0, "b"]]), (0, [0], [[1, 0, "c"]]), (0, [1, 2], [])
    trace = read_trace(wrote(tmp_path, concurrent(*txns, end="bac", numAgents=1)))
    assert [patch.time for patch in trace.patches] == [1, 2, 3, 4]
    assert History(trace.patches).text() == "bac"


# --- what is no trace -------------------------------------------------------------------------------


def refused(path: Path, says: str) -> None:
    with pytest.raises(MalformedRow, match=says) as caught:
        read_trace(path)
    assert str(caught.value).startswith(f"trace {str(path)!r}: ")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300 + len(str(path))


def test_a_file_that_cannot_be_opened_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_trace(tmp_path / "nowhere.json")
    with pytest.raises(IsADirectoryError):
        read_trace(tmp_path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"\xff\xfe{}", "it is not UTF-8 at byte 0"),
        (b'{"txns": "\xff"}', "it is not UTF-8 at byte 10"),
        ('{"txns": []}'.encode("utf-16"), "it is not UTF-8"),
        (b"[" * 200_000, "nested too deep"),
        (b'{"txns":' * 100_000, "nested too deep"),
        (b"1" * 5_000, "it is not JSON"),
        (b"[]", r"it holds \[\]; a trace is an object"),
        (b"null", "it holds missing; a trace is an object"),
        (b"NaN", "it holds nan; a trace is an object"),
    ],
)
def test_what_is_not_json_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    refused(wrote(tmp_path, data), says)
    refused(wrote(tmp_path, data, "a.json.gz"), says)


def test_what_cannot_be_decompressed_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(json.dumps(sequential([[0, 0, "abc" * 99]])).encode())
    for name, data, says in [
        ("plain", b'{"txns": []}', "it is named .gz and isn't gzipped"),
        ("empty", b"", "it is named .gz and isn't gzipped"),
        ("magic", b"\x1f\x8b", "can't be decompressed .*was it cut off"),
        ("cut", whole[:-20], "can't be decompressed"),
        ("short", whole[:-4], "can't be decompressed"),
        ("flipped", whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:], "can't be decompressed .*CRC"),
        ("garbage", whole[:15] + b"\xff" * 20 + whole[35:], "can't be decompressed"),
        ("method", whole[:2] + b"\x07" + whole[3:], "can't be decompressed"),
        ("trailing", whole + b"more", "can't be decompressed"),
    ]:
        path = tmp_path / f"{name}.json.gz"
        path.write_bytes(data)
        refused(path, says)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = wrote(tmp_path, b" " * (64 << 20), "a.json.gz")
    assert path.stat().st_size < 1 << 20
    monkeypatch.setattr(module, "MAX_SIZE", 4 << 20)
    tracemalloc.start()
    refused(path, "more than 4,194,304 bytes of JSON")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20
    refused(wrote(tmp_path, b" " * (5 << 20)), "more than 4,194,304 bytes of JSON")


GOOD = sequential([[0, 0, "abc"]], [[1, 1, "é"]])
GOOD_FORK = concurrent(*FORK, end="zaby")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"txns": None}, "txns is missing; it is an array"),
        ({"txns": {}}, r"txns is \{\}; it is an array"),
        ({"txns": [5]}, r"txns\[0\]: 5 is no transaction"),
        ({"txns": [[]]}, r"txns\[0\]: \[\] is no transaction"),
        ({"txns": [{}]}, r"txns\[0\]: patches is missing; it is an array"),
        ({"txns": [{"patches": "abc"}]}, r"txns\[0\]: patches is 'abc'; it is an array"),
        ({"kind": "tree"}, "kind is 'tree'"),
        ({"kind": []}, r"kind is \[\]"),
        ({"endContent": None}, "endContent is missing; it is a string"),
        ({"endContent": 5}, "endContent is 5; it is a string"),
        ({"endContent": "\ud800"}, r"endContent holds the lone surrogate U\+D800"),
        ({"startContent": None}, "startContent is missing; it is a string"),
        ({"startContent": "\udfff"}, r"startContent holds the lone surrogate U\+DFFF"),
        ({"startContent": "x"}, "has 4, at 0|differs from endContent"),
        ({"endContent": "aéd"}, "text of 3 code points that differs from endContent, which has 3, at 2"),
        ({"endContent": "aécc"}, "text of 3 code points that differs from endContent, which has 4, at 3"),
        ({"endContent": ""}, "differs from endContent, which has 0, at 0"),
        ({"agents": "ada"}, "agents is 'ada'; it is an array"),
        ({"agents": ["ada", "bob"]}, "agents are 2 names; there are 1 authors"),
        ({"agents": [5]}, r"agents\[0\]: .*author"),
        ({"agents": ["\ud800"]}, r"agents\[0\]: .*author .*lone surrogate"),
        ({"agents": ["é" * 200]}, r"agents\[0\]: .*author has 400 bytes"),
    ],
)
def test_a_trace_of_the_wrong_shape_is_refused(tmp_path: Path, change: Any, says: str) -> None:
    read_trace(wrote(tmp_path, GOOD))
    refused(wrote(tmp_path, {**GOOD, **change}), says)


@pytest.mark.parametrize(
    ("splice", "says"),
    [
        ([4, 0, "x"], r"splice at 4 deletes 0, which is not within a text of 3"),
        ([3, 1, ""], r"splice at 3 deletes 1, which is not within a text of 3"),
        ([0, 4, ""], "splice at 0 deletes 4"),
        ([-1, 0, "x"], "pos of a splice is -1"),
        ([0, -1, "x"], "delete of a splice is -1"),
        ([True, 0, "x"], "pos of a splice is True"),
        ([0, False, "x"], "delete of a splice is False"),
        ([1.0, 0, "x"], "pos of a splice is 1.0"),
        ([10**30, 0, "x"], "pos of a splice is 1000"),
        (["1", 0, "x"], "pos of a splice is '1'"),
        ([None, 0, "x"], "pos of a splice is None"),
        ([0, 0, None], "insert of a splice is None"),
        ([0, 0, 5], "insert of a splice is 5"),
        ([0, 0, "a\ud83d"], r"lone surrogate U\+D83D"),
        ([0, 0], "splice"),
        ([0, 0, "x", NOON], "splice"),
        ([], "splice"),
        ("abc", "splice"),
        (5, "splice"),
        (None, "splice"),
        ({"pos": 0, "delete": 0, "insert": "x"}, "splice"),
    ],
)
def test_a_malformed_splice_is_refused_with_its_transaction(tmp_path: Path, splice: Any, says: str) -> None:
    txns = [{"patches": [[0, 0, "ab"]]}, {"patches": [[0, 0, "c"], splice]}]
    refused(wrote(tmp_path, {"startContent": "", "endContent": "", "txns": txns}), rf"txns\[1\]: .*{says}")
    if "not within" not in says and "deletes" not in says:
        whole = [{"agent": 0, "parents": [0] * number, **txn} for number, txn in enumerate(txns)]
        content = {"kind": "concurrent", "numAgents": 1, "endContent": "", "txns": whole}
        refused(wrote(tmp_path, content), rf"txns\[1\]: .*{says}")


@pytest.mark.parametrize(
    "time", [5, 1.5, True, [], {}, "", "yesterday", "2020-13-01", "2020-09-13T12:26:40+99:00"]
)
def test_a_malformed_time_is_refused_with_its_transaction(tmp_path: Path, time: Any) -> None:
    for field in ("time", "timestamp"):
        content = sequential({field: time, "patches": []}, start="x")
        refused(wrote(tmp_path, content), r"txns\[0\]: time is .*; it is written as in")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"numAgents": None}, "numAgents is missing"),
        ({"numAgents": 0}, "numAgents is 0"),
        ({"numAgents": True}, "numAgents is True"),
        ({"numAgents": 2.0}, "numAgents is 2.0"),
        ({"numAgents": 10**30}, "numAgents is 1000"),
        ({"numAgents": 1}, r"txns\[2\]: agent is 1; it lies in 0 .. numAgents - 1 = 0"),
        ({"agents": ["ada"]}, "agents are 1 names; there are 2 authors"),
        ({"startContent": "x"}, "concurrent and has a startContent"),
    ],
)
def test_a_concurrent_trace_of_the_wrong_shape_is_refused(tmp_path: Path, change: Any, says: str) -> None:
    read_trace(wrote(tmp_path, GOOD_FORK))
    refused(wrote(tmp_path, {**GOOD_FORK, **change}), says)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"parents": [2]}, "parent 2 is no transaction before this one"),
        ({"parents": [1, 3]}, "parent 3 is no transaction before this one"),
        ({"parents": [-1]}, "parent -1 is no transaction"),
        ({"parents": [True]}, "parent True is no transaction"),
        ({"parents": [0.0]}, "parent 0.0 is no transaction"),
        ({"parents": ["0"]}, "parent '0' is no transaction"),
        ({"parents": [[]]}, r"parent \[\] is no transaction"),
        ({"parents": 0}, "parents is 0; it is an array"),
        ({"parents": None}, "parents is missing"),
        ({"parents": [0] * 1_025}, "1,025 parents"),
        ({"agent": 2}, "agent is 2; it lies in 0 .. numAgents - 1 = 1"),
        ({"agent": -1}, "agent is -1"),
        ({"agent": False}, "agent is False"),
        ({"agent": None}, "agent is missing"),
        ({"agent": 1.0}, "agent is 1.0"),
        ({"patches": [[3, 0, "x"]]}, "for a text of 3 code points or more, its parents' has 2"),
        ({"patches": [[2, 1, ""]]}, "for a text of 3 code points or more, its parents' has 2"),
        ({"parents": [], "patches": [[0, 1, ""]]}, "for a text of 1 code points or more, its parents' has 0"),
    ],
)
def test_a_malformed_concurrent_transaction_is_refused_by_its_number(
    tmp_path: Path, change: Any, says: str
) -> None:
    content = json.loads(json.dumps(GOOD_FORK))
    content["txns"][2] |= change
    refused(wrote(tmp_path, content), rf"txns\[2\]: .*{says}")


def test_what_does_not_fit_a_merge_is_refused(tmp_path: Path) -> None:
    txns = [*FORK[:3], (0, [1, 2], [[4, 0, "!"]]), (1, [3], [[6, 0, "?"]])]
    refused(wrote(tmp_path, concurrent(*txns, end="")), r"txns\[4\]: .*text of 6 .*parents' has 5")
    read_trace(wrote(tmp_path, concurrent(*txns[:4], end="")))


def test_a_parent_named_twice_is_one_parent(tmp_path: Path) -> None:
    txns = [*FORK[:3], (1, [1, 2, 1], [])]
    patch = read_trace(wrote(tmp_path, concurrent(*txns, end="xaby"))).patches[-1]
    assert len(patch.parents) == 2
    assert Patch.from_row(patch.to_row("0" * 40)) == patch


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_trace_is_read_or_refused_never_anything_else(tmp_path: Path, data: st.DataObject) -> None:
    source = json.dumps(data.draw(st.sampled_from([GOOD, GOOD_FORK]))).encode()
    damaged = bytearray(source)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=2) | st.sampled_from(
            [b"-", b"9", b"[", b"]", b"null", b"1e5", b'"', b"\\ud800", b"true"]))  # fmt: skip
    for content, name in ((bytes(damaged), "a.json"), (bytes(damaged), "a.json.gz")):
        try:
            trace = read_trace(wrote(tmp_path, content, name))
        except MalformedRow as error:
            assert "\n" not in str(error)
        else:
            assert History(trace.patches).problems == []
