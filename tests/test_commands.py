"""What each command prints, and the functions under it."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from command_line import NOTES, VERSIONS, Repository, Result, Run, one_author, runner, small_repository, write
from hypothesis import given, settings
from hypothesis import strategies as st

from syncstring._graph import EventGraph
from syncstring._patch import Splice, apply
from syncstring.cli.blame import by_lines
from syncstring.cli.diff import blocks, unified, word_rows
from syncstring.cli.log import Group, groups, snippet
from syncstring.cli.output import iso
from syncstring.cli.sources import open_source
from syncstring.errors import UnknownVersion
from syncstring.history import History
from syncstring.patch import Patch
from syncstring.testing.strategies import histories
from syncstring.timeline import Timeline

SECOND = 1_000_000


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    return runner(capfdbinary)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return write(tmp_path / "notes.json", NOTES)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return small_repository(tmp_path_factory.mktemp("git") / "repo")


# --- log --------------------------------------------------------------------------------------------------


def made(steps: Sequence[tuple[int, str, str | None]]) -> EventGraph:
    """Events one on the other: (seconds since the one before, author, message), one letter each."""
    graph, time = EventGraph(), 1_000_000 * SECOND
    for number, (seconds, author, message) in enumerate(steps):
        time += seconds * SECOND + 1
        parents = [number - 1] if number else []
        graph.append(time, author, parents, ("x",), author, time, message)
    return graph


def grouped_slowly(
    steps: Sequence[tuple[int, str, str | None]], pause: int, most: int, ends: frozenset[int]
) -> list[tuple[int, int, int]]:
    """(n of the last patch, of the first, patches) of each group, newest first: the twin."""
    graph = made(steps)
    result = []
    for author in {author for _, author, _ in steps}:
        events = [event for event in range(len(steps)) if graph.author_of(event) == author]
        runs: list[list[int]] = []
        for event in events:
            last = runs[-1][-1] if runs else None
            if (
                last is None
                or graph.time_of(event) - graph.time_of(last) > pause
                or graph.message_of(last) is not None
                or last in ends
            ):
                runs.append([])
            runs[-1].append(event)
        for run in runs:
            while run:  # counted from the newest
                part, run = run[-most:], run[:-most]
                result.append((part[-1] + 1, part[0] + 1, len(part)))
    return sorted(result, reverse=True)


steps = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 5, 6, 50]), st.sampled_from("ab"), st.sampled_from([None, None, None, "m"])
    ),
    max_size=40,
)


@given(steps, st.sampled_from([0, 5, 20]), st.integers(1, 6), st.frozensets(st.integers(0, 40), max_size=3))
def test_groups_are_what_one_wrote_without_a_pause(
    steps: list[tuple[int, str, str | None]], seconds: int, most: int, ends: frozenset[int]
) -> None:
    found = list(groups(made(steps), seconds * SECOND, most, ends=ends))
    assert [(group.n, group.first + 1, group.patches) for group in found] == grouped_slowly(
        steps, seconds * SECOND, most, ends
    )
    assert all(group.inserted == group.patches and group.deleted == 0 for group in found)


class Counting:
    """An event graph that counts how often it is asked for an author."""

    def __init__(self, graph: EventGraph) -> None:
        self._graph, self.asked = graph, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._graph, name)

    def __len__(self) -> int:
        return len(self._graph)

    def author_of(self, event: int) -> str:
        self.asked += 1
        return self._graph.author_of(event)


def test_the_first_group_is_there_before_the_rest_is_looked_at() -> None:
    graph: Any = Counting(made([(0, "a", None)] * 20_000))
    first = next(groups(graph, most=1_000))
    assert first.patches == 1_000
    assert graph.asked <= 1_001
    graph = Counting(
        made([*[(0, "ab"[n % 2], None) for n in range(10_000)], (900, "a", None), (1, "b", None)])
    )
    assert next(groups(graph)).patches == 1
    assert graph.asked <= 4


@settings(max_examples=50)
@given(histories())
def test_versions_going_back_have_the_heads_that_they_have_going_forward(patches: list[Patch]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("syncstring.timeline._MARK_EVERY", 2)
        versions = Timeline(History(patches)).versions
        assert [version.heads for version in versions[::-1]] == [version.heads for version in versions][::-1]


def lines_of(found: Result) -> list[list[str]]:
    return [re.split(r" {2,}", line, maxsplit=4) for line in found.lines]


def test_the_log_is_newest_first_by_author_and_pause(run: Run, notes: Path) -> None:
    found = run("log", notes)
    assert found.status == 0
    assert [fields[2:] for fields in lines_of(found)] == [
        ["ada", "+0 -1"],
        ["ada", "+11 -0", '"one three !"'],
        ["bob", "+4 -0", '"two"'],
    ]


def test_the_log_in_json_has_the_groups_numbers(run: Run, notes: Path) -> None:
    newest, ada, bob = run("log", notes, "--json").objects
    assert (newest["n"], newest["patches"], newest["first"]) == (4, 1, 4)
    assert (ada["n"], ada["patches"], ada["first"], ada["inserted"], ada["deleted"]) == (3, 2, 1, 11, 0)
    assert ada["started"] < ada["wall"]
    assert (bob["n"], bob["author"], bob["text"]) == (2, "bob", "two")


def test_the_log_can_be_of_every_patch_of_some_or_of_somebody(run: Run, notes: Path) -> None:
    assert [v["n"] for v in run("log", notes, "--all", "--json").objects] == [4, 3, 2, 1]
    assert [v["n"] for v in run("log", notes, "--all", "--json", "-n", "2").objects] == [4, 3]
    assert run("log", notes, "-n", "0").out == ""
    assert [v["n"] for v in run("log", notes, "--author", "BO", "--json").objects] == [2]
    assert run("log", notes, "--author", "nobody").out == ""
    assert len(run("log", notes, "--pause", "2h").lines) == 2
    assert len(run("log", notes, "--pause", "30").lines) == 4
    assert len(run("log", notes, "--pause", "2h", "--most", "1").lines) == 4


def test_an_empty_history_has_an_empty_log(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "empty.json", {"endContent": "", "txns": []})
    for args in (
        ("log", path),
        ("show", path, "0"),
        ("blame", path),
        ("replay", path),
        ("diff", path, "0", "0"),
    ):
        assert run(*args) == Result(0, "", "")
    assert run("stats", path, "--json").objects[0]["patches"] == 0
    assert run("stats", path).status == 0


def typed(*splices: tuple[str, int, int, str]) -> tuple[History, Group]:
    """A history of one splice a patch, (author, pos, delete, insert), and its newest group."""
    patches: list[Patch] = []
    for number, (author, *splice) in enumerate(splices):
        parents = [patches[-1].id] if patches else []
        patches.append(Patch((number + 1, author), parents, [splice], author, 0))
    history = History(patches)
    return history, next(groups(history.graph))


def test_a_snippet_is_what_was_typed_without_what_was_rubbed_out() -> None:
    keys = [("a", n, 0, char) for n, char in enumerate("wrods")]
    keys += [("a", 4, 1, ""), ("a", 3, 1, ""), ("a", 2, 1, ""), ("a", 1, 1, "")]
    keys += [("a", n + 1, 0, char) for n, char in enumerate("ords")]
    assert snippet(*typed(*keys)) == "words"


def test_a_snippet_goes_on_where_others_have_moved_it() -> None:
    keys = []
    for n, char in enumerate("together"):
        keys += [("b", 0, 0, "#"), ("a", 2 * n + 1, 0, char)]
        keys[-1] = ("a", (n + 1) + n, 0, char)
    assert snippet(*typed(*keys)) == "together"


def test_a_snippet_shows_the_last_places_and_no_more_than_it_may() -> None:
    assert snippet(*typed(("a", 0, 0, "first"), ("a", 0, 0, "second "))) == "first … second"
    assert snippet(*typed(("a", 0, 0, "x" * 500 + " end")), most=10) == "…xxxxx end"
    assert snippet(*typed(("a", 0, 0, " \n\t "))) == ""


# --- diff -------------------------------------------------------------------------------------------------


def patched(old: str, diff: str) -> str:
    """Apply a unified diff, strictly: what a patch(1) without mercy would do."""
    before = re.findall(r"[^\n]*\n|[^\n]+$", old)
    lines = diff.split("\n")[:-1]
    result: list[str] = []
    at, number = 0, 0
    while number < len(lines):
        found = re.fullmatch(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", lines[number])
        assert found, lines[number]
        start, length, new_start, new_length = (int(n) if n else 1 for n in found.groups())
        number += 1
        begin = start - (length > 0)
        result += before[at:begin]
        at = begin
        assert len(result) == new_start - (new_length > 0)
        made = len(result)
        while number < len(lines) and not lines[number].startswith("@@"):
            sign, line = lines[number][:1], lines[number][1:] + "\n"
            number += 1
            if number < len(lines) and lines[number] == "\\ No newline at end of file":
                line = line[:-1]
                number += 1
            if sign in " -":
                assert before[at] == line
                at += 1
            if sign in " +":
                result.append(line)
        assert (at - begin, len(result) - made) == (length, new_length)
    return "".join(result + before[at:])


def printed(old: str, new: str, context: int) -> str:
    parts = []
    for hunk in unified(old, new, context):
        parts.append(hunk.header + "\n")
        for sign, line in hunk.lines:
            parts.append(sign + line + ("" if line.endswith("\n") else "\n\\ No newline at end of file\n"))
    return "".join(parts)


lines = st.lists(st.sampled_from(["a\n", "b\n", "\n", "a\r\n", "\u2028\n", "b"]), max_size=14).map("".join)


@given(lines, lines, st.integers(0, 3))
def test_a_diff_by_lines_leads_from_one_text_to_the_other_and_back(old: str, new: str, context: int) -> None:
    diff = printed(old, new, context)
    assert patched(old, diff) == new
    assert (diff == "") == (old == new)
    assert patched(new, printed(new, old, context)) == old


@given(st.lists(st.integers(0, 4)), st.lists(st.integers(0, 4)))
def test_blocks_are_where_sequences_differ(old: list[int], new: list[int]) -> None:
    a, b = [*map(str, old)], [*map(str, new)]
    at, result = 0, []
    for block in blocks(a, b):
        assert block.a >= at and (block.b > block.a or block.d > block.c)
        result += a[at : block.a]
        assert len(result) == block.c
        result += b[block.c : block.d]
        at = block.b
    assert result + a[at:] == b


def test_more_different_lines_than_there_are_characters_make_one_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("syncstring.cli.diff._NUMBERS", 4)
    old, new = list("xabcdefy"), list("xahcdijy")
    assert blocks(old, new) == [(2, 7, 2, 7)]


def test_lines_beyond_the_surrogates_are_told_apart() -> None:
    old = [str(n) for n in range(0xD7F0, 0xD7F0 + 60_000)]
    new = [*old[:30_000], "new", *old[30_001:]]
    new[5], new[-5] = "first", "last"
    assert blocks(old, new) == [
        (5, 6, 5, 6),
        (30_000, 30_001, 30_000, 30_001),
        (59_995, 59_996, 59_995, 59_996),
    ]


def test_a_diff_looks_like_a_diff(run: Run, notes: Path) -> None:
    found = run("diff", notes, "1", "3")
    assert found.status == 1
    assert found.out == (
        f"--- {notes}\t1\n+++ {notes}\t3\n@@ -1,2 +1,3 @@\n-one\n+one two\n three\n+!\n"
        "\\ No newline at end of file\n"
    )
    assert run("diff", notes, "1", "3", "-U0").out.splitlines()[2:] == [
        "@@ -1 +1 @@", "-one", "+one two", "@@ -2,0 +3 @@", "+!", "\\ No newline at end of file"
    ]  # fmt: skip


def test_diff_exits_with_0_where_texts_are_equal(run: Run, notes: Path) -> None:
    for options in ([], ["--words"]):
        assert run("diff", notes, "2", "4", *options) == Result(0, "", "")
        assert run("diff", notes, "4", "4", *options) == Result(0, "", "")
    assert run("diff", notes, "2", "4", "--json").status == 0


def test_a_diff_in_json_is_splices(run: Run, notes: Path) -> None:
    for a in range(5):
        for b in range(5):
            found = run("diff", notes, str(a), str(b), "--json")
            splices = [Splice(**splice) for splice in found.objects]
            assert apply(VERSIONS[a], splices) == VERSIONS[b]
            assert found.status == (VERSIONS[a] != VERSIONS[b])


words = st.lists(
    st.sampled_from(["a", "b ", "don't", " ", "\n", ", ", "漢字", "é", "\t", "."]), max_size=14
).map("".join)


@given(words, words)
def test_a_diff_by_words_holds_both_texts(old: str, new: str) -> None:
    rows = word_rows(old, new)
    assert "".join(text for row in rows for kind, text in row.pieces if kind != "-") == new
    assert "".join(text for row in rows for kind, text in row.pieces if kind != "+") == old
    assert any(row.changed for row in rows) == (old != new)
    seen_old = seen_new = ""
    for row in rows:
        assert (row.old, row.new) == (seen_old.count("\n"), seen_new.count("\n"))
        seen_old += "".join(text for kind, text in row.pieces if kind != "+")
        seen_new += "".join(text for kind, text in row.pieces if kind != "-")


@pytest.mark.parametrize(
    "old, new, shown",
    [
        ("the big dog\n", "the small cat\n", ["@@ -1 +1 @@", "the [-big dog-]{+small cat+}"]),
        ("don't go\n", "won't go!\n", ["@@ -1 +1 @@", "[-don't-]{+won't+} go{+!+}"]),
        ("a\nb\n", "a b\n", ["@@ -1,2 +1 @@", "a[-↵-]{+ +}b"]),
        ("a b\n", "a\nb\n", ["@@ -1 +1,2 @@", "a[- -]{+↵+}", "b"]),
        ("a\n\nb\n", "a\nb\n", ["@@ -1,3 +1,2 @@", "a", "[-↵-]", "b"]),
        ("a\nb\n", "a\nnew line\nb\n", ["@@ -1,2 +1,3 @@", "a", "{+new line+}", "b"]),
        ("a", "a\n", ["@@ -1 +1 @@", "a{+↵+}"]),
        ("漢字假", "漢字真", ["@@ -1 +1 @@", "漢字[-假-]{+真+}"]),
        ("", "a\n", ["@@ -0,0 +1 @@", "{+a+}"]),
    ],
)
def test_words_that_differ_are_marked(run: Run, tmp_path: Path, old: str, new: str, shown: list[str]) -> None:
    path = write(tmp_path / "trace.json", one_author(old, new))
    found = run("diff", path, "1", "2", "--words")
    assert found.status == 1
    assert found.lines[2:] == shown


def test_context_is_shown_around_words_as_around_lines(run: Run, tmp_path: Path) -> None:
    old = "".join(f"line {n}\n" for n in range(40))
    path = write(
        tmp_path / "trace.json", one_author(old, old.replace("line 5\n", "row 5\n").replace("30", "thirty"))
    )
    by_words, by_lines = run("diff", path, "1", "2", "-w").lines, run("diff", path, "1", "2").lines
    assert [line for line in by_words if line.startswith("@@")] == [
        line for line in by_lines if line.startswith("@@")
    ]
    assert "[-line-]{+row+} 5" in by_words and "line [-30-]{+thirty+}" in by_words


# --- blame ------------------------------------------------------------------------------------------------


def test_blame_credits_a_line_to_who_wrote_in_it_last(run: Run, notes: Path) -> None:
    found = run("blame", notes)
    assert found.status == 0
    assert [re.sub(r"^[0-9a-f]+ +", "", line) for line in found.lines] == [
        f"(bob +1  {iso(micros(1))}  1) one two",
        f"(ada     {iso(micros(0))}  2) three",
    ]
    assert [line.split()[1] for line in run("blame", notes, "--at", "1").lines] == ["(ada", "(ada"]


def micros(minutes: int) -> int:
    return 1_793_725_200 * SECOND + minutes * 60 * SECOND


def test_blame_in_json_is_runs_that_are_the_text(run: Run, notes: Path) -> None:
    runs = run("blame", notes, "--json").objects
    assert "".join(run["text"] for run in runs) == VERSIONS[4]
    assert [(each["line"], each["pos"], each["text"], each["author"]) for each in runs] == [
        (1, 0, "one", "ada"), (1, 3, " two", "bob"), (1, 7, "\nthree\n", "ada")
    ]  # fmt: skip
    ids = {version["id"]: version["author"] for version in run("log", notes, "--all", "--json").objects}
    assert all(ids[each["id"]] == each["author"] for each in runs)
    assert [line.split()[-1] for line in run("blame", notes, "--runs").lines] == [
        '"one"',
        'two"',
        '"\\nthree\\n"',
    ]


@settings(max_examples=50)
@given(histories(), st.data())
def test_the_lines_of_blame_are_those_of_the_text(patches: list[Patch], data: st.DataObject) -> None:
    timeline = Timeline(History(patches))
    n = data.draw(st.integers(0, len(patches)))
    text = timeline.text(n)
    runs = timeline.blame(n)
    lines = list(by_lines(runs))
    assert ["".join(piece for piece, _ in line.pieces) for line in lines] == (
        text.removesuffix("\n").split("\n") if text else []
    )
    at = 0
    for line, content in zip(lines, re.findall(r"[^\n]*\n|[^\n]+$", text), strict=True):
        inside = [run for run in runs if run.pos < at + len(content) and run.pos + len(run.text) > at]
        visible = [run for run in inside if run.pos < at + len(content.rstrip("\n"))] or inside
        assert line.latest.id == max(run.id for run in visible)
        assert line.others == len({run.author for run in visible}) - 1
        at += len(content)


# --- replay and stats -------------------------------------------------------------------------------------


def test_a_replay_in_a_pipe_is_a_line_a_version_oldest_first(run: Run, notes: Path) -> None:
    found = run("replay", notes)
    assert found.status == 0
    assert [fields[2:] for fields in lines_of(found)] == [
        ["ada", "+10 -0", '"one three"'], ["bob", "+4 -0", '"two"'], ["ada", "+1 -0", '"!"'], ["ada", "+0 -1"]
    ]  # fmt: skip


def test_a_replay_in_json_can_be_played_by_others(run: Run, notes: Path) -> None:
    text = ""
    found = run("replay", notes, "--json").objects
    assert [version["n"] for version in found] == [0, 1, 2, 3, 4]
    for version, wanted in zip(found, VERSIONS, strict=True):
        text = apply(text, version["splices"])
        assert text == wanted
    assert [v["n"] for v in run("replay", notes, "--json", "--from", "2", "--to", "3").objects] == [2, 3]


def test_a_part_of_history_can_be_named_by_heads_that_are_no_prefix(run: Run, notes: Path) -> None:
    third = run("show", notes, "3", "--json").objects[0]["id"]  # without version 2's patch
    assert [v["n"] for v in run("replay", notes, "--json", "--from", third).objects] == [3, 4]


def test_stats_count_what_there_is(run: Run, notes: Path) -> None:
    found = run("stats", notes, "--json").objects
    assert len(found) == 1
    counted = found[0]
    assert {key: counted[key] for key in ("patches", "versions", "sessions", "length", "lines", "bytes")} == {
        "patches": 4, "versions": 5, "sessions": 2, "length": 14, "lines": 2, "bytes": 14
    }  # fmt: skip
    assert (counted["inserted"], counted["deleted"]) == (15, 1)
    assert (counted["bubbles"], counted["concurrent"], counted["largest_bubble"]) == (1, 2, 2)
    assert counted["authors"] == [
        {"author": "ada", "patches": 3, "inserted": 11, "deleted": 1, "standing": 10},
        {"author": "bob", "patches": 1, "inserted": 4, "deleted": 0, "standing": 4},
    ]
    assert (counted["first"], counted["last"]) == (micros(0), micros(60))
    assert counted["pauses"][0] == {"after": 3, "length": 58 * 60 * SECOND}
    assert counted["problems"] == []


def test_stats_for_people_say_the_same(run: Run, notes: Path) -> None:
    out = run("stats", notes).out
    for said in (
        "4 by 2 authors in 2 sessions",
        "14 code points, 2 lines, 14 bytes",
        "58 min after version 3",
        "2 patches in 1 bubble",
        "(1 h)",
    ):
        assert said in out, out


# --- git --------------------------------------------------------------------------------------------------


def test_a_git_history_is_a_line_a_commit(run: Run, repository: Repository) -> None:
    found = run("log", f"git:{repository.path}:notes.md")
    assert found.status == 0
    assert [(fields[2], *fields[4:]) for fields in lines_of(found)] == [
        ("a", "Merge side"), ("ada", "Say five"), ("bob", "Say zero"), ("ada", "Begin")
    ]  # fmt: skip
    assert run("log", f"git:{repository.path}:notes.md", "--json").objects[-1]["message"] == "Begin"


def test_git_revisions_name_exactly_what_was_committed(run: Run, repository: Repository) -> None:
    source = f"git:{repository.path}:notes.md"
    for ref in ("HEAD", "main", "v1", "HEAD~2", "side", repository.git("rev-parse", "--short", "HEAD"),
                repository.git("rev-parse", "side")):  # fmt: skip
        committed = repository.git("show", f"{ref}:notes.md") + "\n"
        assert run("show", source, ref).out == committed, ref
    first = repository.git("rev-list", "--max-parents=0", "HEAD")
    assert run("show", source, first).out == "one\ntwo\nthree\nfour\n", "under its old name"
    assert run("diff", source, "side", "HEAD~2").status == 1
    assert run("blame", source, "--at", "side").lines[0].endswith(") zero")


def test_a_git_source_may_name_a_revision(run: Run, repository: Repository) -> None:
    found = run("show", f"git:{repository.path}:side:notes.md", "now")
    assert found.out == "zero\none\ntwo\nthree\nfour\n"
    found = run("show", f"git:{repository.path}:side:notes.md", "main")
    assert found.status == 3 and "no revision that git finds in this history" in found.err
    assert run("log", f"git:{repository.path}::notes.md").status == 0


def test_git_sources_default_to_the_current_folder(
    run: Run, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository.path)
    assert run("log", "git::notes.md").out == run("log", f"git:{repository.path}:notes.md").out


def test_what_the_timeline_knows_is_not_asked_of_git(repository: Repository) -> None:
    source = open_source(f"git:{repository.path}:notes.md")
    assert source.version("1").n == 1
    newest = source.timeline.versions[-1].id
    assert newest is not None
    assert source.version(str(newest)[:8]).id == newest
    with pytest.raises(UnknownVersion, match="git"):
        source.version("no-such-branch")


# --- recorded histories -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_long_recording_is_grouped_and_every_patch_is_in_a_group(traces: Path, run: Run) -> None:
    found = run("log", traces / "automerge-paper.json.gz", "--json").objects
    assert found[0]["n"] == 259_778
    assert sum(group["patches"] for group in found) == 259_778
    assert sum(group["inserted"] for group in found) == 182_315
    assert all(group["patches"] <= 1_000 for group in found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["friendsforever", "sveltecomponent", "json-crdt-patch"])
def test_a_recording_ends_in_its_text(traces: Path, run: Run, name: str) -> None:
    path = traces / f"{name}.json.gz"
    end = json.loads(gzip.decompress(path.read_bytes()))["endContent"]
    assert run("show", path, "now").out == end
    runs = run("blame", path, "--json").objects
    assert "".join(each["text"] for each in runs) == end
    counted = run("stats", path, "--json").objects[0]
    assert sum(author["standing"] for author in counted["authors"]) == counted["length"] == len(end)
    diff = run("diff", path, "5000", str(counted["patches"])).out
    assert patched(run("show", path, "5000").out, diff.partition("\n")[2].partition("\n")[2]) == end
