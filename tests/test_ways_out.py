"""What goes out comes back: histories as rows, as traces, as git repositories, and what each format keeps."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from syncstring.errors import HistoryTruncated, MalformedRow, PatchError, UnknownVersion, UnsupportedVersion
from syncstring.exports import is_git_ref, to_git, to_rows, to_trace
from syncstring.git import read_git
from syncstring.history import Base, History
from syncstring.imports import read_rows
from syncstring.patch import MIN_WILD_TIME, Id, Patch, canonical_bytes
from syncstring.testing.reference import Reference
from syncstring.testing.strategies import histories
from syncstring.traces import Trace, read_trace

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
DOC = "0123456789abcdef0123456789abcdef01234567"
SECOND = 1_000_000
NOON = 1_600_000_000 * SECOND


def p(
    time: int,
    session: str,
    parents: Iterable[Patch],
    *splices: tuple[int, int, str],
    author: str = "ada",
    wall: int | None = None,
    message: str | None = None,
) -> Patch:
    at = NOON + time
    ids = [parent.id for parent in parents]
    return Patch((at, session), ids, splices, author, at if wall is None else wall, message)


def chain(*texts: str) -> list[Patch]:
    """A patch a text, each appended, by one author."""
    patches: list[Patch] = []
    size = 0
    for number, text in enumerate(texts, start=1):
        patches.append(p(number * SECOND, "s", patches[-1:], (size, 0, text)))
        size += len(text)
    return patches


# --- rows -------------------------------------------------------------------------------------------------


@given(histories())
def test_rows_come_back_as_the_patches_that_they_were(patches: list[Patch]) -> None:
    lines = list(to_rows(History(patches), DOC))
    assert read_rows(lines) == sorted(patches, key=lambda patch: patch.id)
    for line in lines:
        assert line == canonical_bytes(json.loads(line)) + b"\n"


def test_rows_hold_the_parked_patches_too() -> None:
    first, second, third = chain("a", "b", "c")
    assert read_rows(to_rows(History([first, third]), DOC)) == [first, third]
    assert second not in read_rows(to_rows(History([first, third]), DOC))


@pytest.mark.parametrize(
    ("line", "error", "says"),
    [
        (b"{", MalformedRow, "line 2 is not JSON"),
        (b"\xff", MalformedRow, "line 2 is not JSON in UTF-8"),
        (b"[" * 100_000, MalformedRow, "line 2 is not JSON"),
        (b"[]", MalformedRow, "line 2: a row is an object"),
        (b'{"v": 2}', UnsupportedVersion, "line 2: row"),
        (canonical_bytes(chain("x")[0].to_row("f" * 40)), MalformedRow, "line 2: it is of another document"),
    ],
)
def test_lines_that_are_no_rows_are_named(line: bytes, error: type[Exception], says: str) -> None:
    good = canonical_bytes(chain("x")[0].to_row(DOC))
    with pytest.raises(error, match=says):
        read_rows([good, line])


def test_a_history_that_begins_with_a_base_goes_nowhere() -> None:
    history = History([], Base((Id(NOON, "s"),), 3, "text"))
    for export in (to_rows(history, DOC), to_trace(history)):
        with pytest.raises(HistoryTruncated):
            next(export)
    with pytest.raises(HistoryTruncated):
        to_git(history, "notes.md")


# --- traces -----------------------------------------------------------------------------------------------


def reread(history: History, folder: Path) -> Trace:
    path = folder / "trace.json"
    path.write_bytes(b"".join(to_trace(history)))
    return read_trace(path)


def in_time_order(patches: Iterable[Patch]) -> list[Patch]:
    return sorted(patches, key=lambda patch: patch.id)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
def test_a_trace_has_the_texts_the_graph_the_times_and_the_authors(
    tmp_path: Path, patches: list[Patch]
) -> None:
    history = History(patches)
    trace = reread(history, tmp_path)
    again = History(trace.patches)
    assert again.problems == []
    before, after = in_time_order(patches), in_time_order(trace.patches)
    places = {patch.id: place for place, patch in enumerate(before)}
    numbers = {patch.id: place for place, patch in enumerate(after)}
    assert [patch.time for patch in after] == [patch.time for patch in before]
    assert [patch.author for patch in after] == [patch.author for patch in before]
    for old, new in zip(before, after, strict=True):
        assert [numbers[id] for id in new.parents] == [places[id] for id in old.parents]
        assert new.ops == (() if history.graph.is_misfit(history.event(old.id)) else old.ops)
        assert again.text_at([new.id]) == history.text_at([old.id])
    assert again.text() == trace.end_content == history.text() == Reference(patches).text()


@pytest.mark.parametrize(
    "times",
    [
        [MIN_WILD_TIME - 1],
        [MIN_WILD_TIME - (1 << 32) + 7, MIN_WILD_TIME - 1, MIN_WILD_TIME],
        [MIN_WILD_TIME - 5, MIN_WILD_TIME - 5 + (1 << 32), MIN_WILD_TIME - 5 + (2 << 32)],
        [1, MIN_WILD_TIME - 1, MIN_WILD_TIME - 1 + (1 << 32)],
    ],
)
def test_a_trace_has_the_times_of_a_clock_that_was_a_century_ahead(tmp_path: Path, times: list[int]) -> None:
    patches: list[Patch] = []
    for time in times:
        parents = [patch.id for patch in patches[-1:]]
        patches.append(Patch((time, "b"), parents, [(0, 0, "x")], "ada", 0))
    patches.append(Patch((times[0], "a"), [], [(0, 0, "y")], "bob", 0))
    again = in_time_order(reread(History(patches), tmp_path).patches)
    assert [patch.time for patch in again] == sorted([*times, times[0]])
    assert History(again).text() == History(patches).text()


def test_ties_between_many_sessions_fall_as_they_did(tmp_path: Path) -> None:
    names = [f"s{n:03}" for n in range(150)]
    patches = [p(n, name, [], (0, 0, name + " ")) for n, name in enumerate(reversed(names))]
    assert reread(History(patches), tmp_path).end_content == History(patches).text()
    assert History(reread(History(patches), tmp_path).patches).text() == "".join(f"{n} " for n in names)


def test_an_empty_history_is_a_trace(tmp_path: Path) -> None:
    trace = reread(History(), tmp_path)
    assert (list(trace.patches), trace.end_content) == ([], "")


def test_a_trace_that_was_exported_is_exported_as_the_same_bytes(tmp_path: Path) -> None:
    first, second = p(0, "x", [], (0, 0, "a\0b\u2028")), p(1, "b", [], (0, 0, "c"))
    merged = p(2, "x", [first, second], (0, 1, "😀"), author="Ada \U0001f600")
    out = b"".join(to_trace(History([first, second, merged])))
    (tmp_path / "trace.json").write_bytes(out)
    again = History(read_trace(tmp_path / "trace.json").patches)
    assert b"".join(to_trace(again)) == out


def test_parked_patches_are_not_in_a_trace(tmp_path: Path) -> None:
    first, _, third = chain("a", "b", "c")
    assert len(reread(History([first, third]), tmp_path).patches) == 1


def test_a_recording_is_exported_as_it_was_recorded(traces: Path, tmp_path: Path) -> None:
    recorded = read_trace(traces / "friendsforever.json.gz")
    again = reread(History(recorded.patches), tmp_path)
    assert again.end_content == recorded.end_content
    assert [patch.ops for patch in again.patches] == [patch.ops for patch in in_time_order(recorded.patches)]


# --- git --------------------------------------------------------------------------------------------------


class Repo:
    """A bare repository that streams are imported into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--bare", "--initial-branch=main")

    def run(self, *args: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        env = plain | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
        return subprocess.run(
            ["git", *args], cwd=self.folder, input=given, capture_output=True, env=env, check=False
        )

    def git(self, *args: str, given: bytes = b"") -> bytes:
        done = self.run(*args, given=given)
        assert done.returncode == 0, (args, done.stderr.decode())
        return done.stdout

    def take(self, stream: Iterable[bytes]) -> list[str]:
        """Import it; the commits in the order of their marks."""
        self.git("fast-import", "--quiet", "--export-marks=marks", given=b"".join(stream))
        lines = [line.split() for line in (self.folder / "marks").read_text().splitlines()]
        return [commit for _, commit in sorted((int(mark[1:]), commit) for mark, commit in lines)]

    def parents(self, ref: str) -> dict[str, list[str]]:
        lines = self.git("rev-list", "--parents", ref).decode().splitlines()
        return {commit: parents for commit, *parents in map(str.split, lines)}

    def texts(self, commits: Sequence[str], path: str) -> list[str]:
        asked = "".join(f"{commit}:{path}\n" for commit in commits).encode()
        out = self.git("cat-file", "--batch", given=asked)
        texts, at = [], 0
        for _ in commits:
            end = out.index(b"\n", at)
            size = int(out[at:end].split()[2])
            texts.append(out[end + 1 : end + 1 + size].decode())
            at = end + size + 2
        return texts

    def field(self, commit: str, format: str) -> str:
        return self.git("log", "-1", f"--format=tformat:{format}", commit).decode().removesuffix("\n")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


def groups(patches: list[Patch], pause: int | None, ends: set[Id]) -> tuple[list[list[Patch]], dict[Id, int]]:
    """Which patches are one commit, in the order of their last ones; and which each is in. The slow twin."""
    ordered = in_time_order(patches)
    children = {patch.id: [other for other in ordered if patch.id in other.parents] for patch in ordered}

    def ends_here(patch: Patch) -> bool:
        if pause is None or patch.id in ends or patch.message is not None or len(children[patch.id]) != 1:
            return True
        (child,) = children[patch.id]
        same = child.author == patch.author and child.time - patch.time <= pause
        return child.parents != (patch.id,) or not same

    found: list[list[Patch]] = []
    for last in ordered:
        if ends_here(last):
            run = [last]
            while len(run[-1].parents) == 1:
                (before,) = (patch for patch in ordered if patch.id == run[-1].parents[0])
                if ends_here(before):
                    break
                run.append(before)
            found.append(run[::-1])
    return found, {patch.id: number for number, run in enumerate(found) for patch in run}


_counter = iter(range(1 << 30))


@pytest.fixture(scope="module")
def shared_repo(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    return Repo(tmp_path_factory.mktemp("git") / "repo")


@needs_git
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(histories(max_patches=14), st.sampled_from([None, 0, 1, 2, 10**9]))
@example([], None)
@example([p(1, "a", [], (0, 0, "x")), p(2, "b", [], (0, 0, "y"))], None)
def test_every_checkout_is_our_version_and_reading_them_gives_the_same_graph(
    shared_repo: Repo, patches: list[Patch], pause: int | None
) -> None:
    repo, branch = shared_repo, f"refs/heads/x{next(_counter)}"
    history = History(patches)
    heads = history.heads
    runs, group = groups(patches, pause, set(heads))
    commits = repo.take(to_git(history, "notes.md", ref=branch, pause=pause))
    merged = len(heads) > 1
    assert len(commits) == len(runs) + merged
    if not commits:
        assert repo.run("rev-parse", "--verify", "--quiet", branch).returncode
        return
    texts = repo.texts(commits, "notes.md")
    assert texts[: len(runs)] == [history.text_at([run[-1].id]) for run in runs]
    assert repo.texts([branch], "notes.md") == [history.text()]
    parents = repo.parents(branch)
    assert set(parents) == set(commits)
    for commit, run in zip(commits, runs, strict=False):
        assert set(parents[commit]) == {commits[group[id]] for id in run[0].parents}
    if merged:
        assert set(parents[commits[-1]]) == {commits[group[id]] for id in heads}
    assert repo.git("fsck", "--strict") == b""

    # And back: each commit's version has its text, and stands on those of its parents.
    found = read_git(repo.folder, "notes.md", branch)
    again = History(found.patches)
    assert again.problems == []
    by_id = {patch.id: patch for patch in found.patches}
    for commit, text in zip(commits, texts, strict=True):
        version = found.commits[commit]
        assert again.text_at(version) == text
        on = {id for parent in parents[commit] for id in found.commits[parent]}
        on = set(again.ids(again.events(on)))  # without what others of them contain
        if len(on) < 2 and text == again.text_at(on):
            assert set(version) == on  # nothing was changed, so there is no patch
        else:
            assert len(version) == 1 and set(by_id[version[0]].parents) == on


@needs_git
def test_authors_dates_and_messages_are_kept(repo: Repo) -> None:
    first = p(0, "a", [], (0, 0, "x"), author="Ada", wall=NOON + 3600 * SECOND, message="Begin\n\nat the end")
    second = p(90 * SECOND, "b", [first], (0, 0, "y"), author="Bob <bob@example.org>")
    one, two = repo.take(to_git(History([first, second]), "notes.md"))
    assert repo.field(one, "%an|%ae|%at|%ct|%B") == "Ada||1600003600|1600000000|Begin\n\nat the end"
    assert repo.field(two, "%an|%ae|%cn|%ce|%B") == "Bob|bob@example.org|Bob|bob@example.org|"
    found = read_git(repo.folder, "notes.md", "main").patches
    assert [(patch.author, patch.wall, patch.time, patch.message) for patch in found] == [
        ("Ada", first.wall, first.time, "Begin\n\nat the end"),
        ("Bob", second.wall, second.time, None),
    ]


@needs_git
@pytest.mark.parametrize(
    ("author", "name", "address"),
    [
        ("", "", ""),
        ("  ", "", ""),
        ("a<b", "a(b", ""),
        (">", ")", ""),
        ("<x>", "", "x"),
        ("a\nb\0c\r\td\x7f", "a b c d", ""),
        ("a <b> <c>", "a (b)", "c"),
        ("a <b\nc>", "a", "b c"),
        (". , ;:\"'", ". , ;:\"'", ""),
        ("\u2028\u200f名前 é 😀", "\u2028\u200f名前 é 😀", ""),
    ],
)
def test_what_git_does_not_bear_in_a_name_is_replaced(
    repo: Repo, author: str, name: str, address: str
) -> None:
    (commit,) = repo.take(to_git(History([p(0, "a", [], (0, 0, "x"), author=author)]), "f"))
    raw = repo.git("cat-file", "commit", commit)
    assert f"\nauthor {name} <{address}> 1600000000 +0000\n".encode() in raw
    assert repo.git("fsck", "--strict") == b""


@needs_git
@pytest.mark.parametrize(
    "message", ["", "\n", "a\0b", "data 3\nfrom :1\n", "é\r\n\t😀\n\n", "\x1b[31m", "x" * 4_096]
)
def test_a_message_says_what_it_said_but_for_what_ends_a_string(repo: Repo, message: str) -> None:
    patch = p(0, "a", [], (0, 0, "x"), message=message)
    (commit,) = repo.take(to_git(History([patch]), "f"))
    raw = repo.git("cat-file", "commit", commit)
    assert raw.partition(b"\n\n")[2] == message.replace("\0", "\ufffd").encode()
    repo.git("fsck", "--strict")


@needs_git
@pytest.mark.parametrize("text", ["", "\0", "no end", "\r\n\r", "😀\u0301\ufeff", "data <<END\nEND\n", "\n"])
def test_any_text_is_checked_out_as_it_is(repo: Repo, text: str) -> None:
    patches = chain("a", text or "b")
    if not text:
        patches.append(p(3 * SECOND, "s", patches[-1:], (0, 2, "")))
    commits = repo.take(to_git(History(patches), "f"))
    assert repo.texts(commits[-1:], "f") == [History(patches).text()]


@needs_git
@pytest.mark.parametrize(
    "path",
    ["notes.md", "a/b/c d", '"q"\\', "new\nline", "tab\t", "名前 😀", ".gitignore", "-x", ":0", "a.lock"],
)
def test_the_file_may_have_any_name_that_git_bears(repo: Repo, path: str) -> None:
    (commit,) = repo.take(to_git(History(chain("a")), path))
    names = repo.git("ls-tree", "-r", "-z", "--name-only", commit).decode()
    assert names == path + "\0"
    assert read_git(repo.folder, path, "main").commits[commit]


@pytest.mark.parametrize(
    "path", ["", "/", "/etc/x", "a//b", "a/", "..", "a/../b", "./a", "a/.GIT/b", "\0", "\ud800"]
)
def test_a_file_name_that_git_does_not_bear_is_refused(path: str) -> None:
    with pytest.raises(PatchError, match=r"git can't have a file|lone surrogate"):
        to_git(History(chain("a")), path)


@needs_git
def test_a_run_of_typing_is_one_commit(repo: Repo) -> None:
    patches = chain("a", "b", "c")
    patches.append(p(100 * SECOND, "s", patches[-1:], (3, 0, "d")))
    patches.append(p(101 * SECOND, "s", patches[-1:], (4, 0, "e"), message="said"))
    patches.append(p(102 * SECOND, "s", patches[-1:], (5, 0, "f")))
    patches.append(p(103 * SECOND, "t", patches[-1:], (6, 0, "g"), author="bob"))
    commits = repo.take(to_git(History(patches), "f", pause=60 * SECOND))
    assert repo.texts(commits, "f") == ["abc", "abcde", "abcdef", "abcdefg"]


@needs_git
def test_a_run_without_an_end_is_several_commits(repo: Repo) -> None:
    commits = repo.take(to_git(History(chain(*"abcdefgh")), "f", pause=60 * SECOND, most=3))
    assert repo.texts(commits, "f") == ["abc", "abcdef", "abcdefgh"]
    assert [len(parents) for parents in repo.parents("main").values()] == [1, 1, 0]


@needs_git
def test_tags_are_refs_and_end_a_run(repo: Repo) -> None:
    patches = chain("a", "b", "c")
    apart = p(9 * SECOND, "t", [patches[0]], (0, 0, "z"))
    tags = {
        "v1": [patches[1].id],
        "both": [patches[1].id, apart.id],
        "redundant/one": [patches[0].id, patches[2].id],
        "nothing": [],
    }
    history = History([*patches, apart])
    repo.take(to_git(history, "f", pause=10**9, tags=tags))
    assert repo.texts(["v1", "both", "redundant/one", "main"], "f") == ["ab", "zab", "abc", "zabc"]
    assert repo.git("tag").split() == [b"both", b"redundant/one", b"v1"]
    assert repo.field("both", "%an|%s|%ct") == f"syncstring|Merge 2 heads|{1_600_000_009}"
    assert len(repo.parents("main")) == 5  # 1, 2, 3, apart, and what merges them; no other that merges
    with pytest.raises(UnknownVersion):
        to_git(history, "f", tags={"v1": [Id(1, "nobody")]})


@needs_git
def test_half_a_stream_is_refused(repo: Repo) -> None:
    pieces = list(to_git(History(chain("a", "b")), "f"))
    for count in range(1, len(pieces)):
        assert repo.run("fast-import", "--quiet", given=b"".join(pieces[:count])).returncode, count
    assert not repo.git("for-each-ref")


@needs_git
def test_refs_are_what_git_says_they_are(repo: Repo) -> None:
    inside = [
        "main", "a/b", ".a", "a.lock", "a.lock/b", "a..b", "a.", "a.b", "a/", "/a", "a~1", "a^", "a:b", "a?",
        "a*", "[a", "a]", "a\\b", "@{", "a@{b", "@", "a@b", "-a", "名", "é😀", "a.lockb", ".lock", "a/.b",
        "{a}", "a/.lock", "a b", "a\x7f", "a\tb", "",
    ]  # fmt: skip
    for name in [*(f"refs/heads/{name}" for name in inside), "/refs/heads/a", "@", "main", ".a/b", "a/b", ""]:
        assert is_git_ref(name) == (repo.run("check-ref-format", name).returncode == 0), name
    with pytest.raises(PatchError, match="git can't have a ref"):
        to_git(History(chain("a")), "f", ref="refs/heads/a..b")
    with pytest.raises(PatchError, match="git can't have a ref"):
        to_git(History(chain("a")), "f", tags={"a.lock": []})


@needs_git
def test_more_commits_go_on_where_the_last_import_ended(repo: Repo) -> None:
    patches = chain("a", "b", "c")
    before = repo.take(to_git(History(patches[:2]), "f"))
    assert repo.take(to_git(History(patches), "f"))[:2] == before
    assert repo.texts(["main"], "f") == ["abc"]


def test_the_same_history_is_the_same_stream_whatever_the_order_of_arrival() -> None:
    first, second = p(0, "a", [], (0, 0, "x")), p(1, "b", [], (0, 0, "y"))
    third, fourth = p(3, "c", [first], (1, 0, "z")), p(4, "d", [first, second], (0, 0, "w"))
    patches = [first, second, third, fourth]
    for export in (to_trace, lambda history: to_git(history, "f"), lambda history: to_rows(history, DOC)):
        assert b"".join(export(History(patches))) == b"".join(export(History([first, third, second, fourth])))
        live = History(patches[2:])
        live.add(patches[:2])
        assert b"".join(export(live)) == b"".join(export(History(patches)))


@needs_git
@pytest.mark.slow
def test_a_recording_of_two_who_type_at_once_becomes_a_repository(traces: Path, repo: Repo) -> None:
    history = History(read_trace(traces / "friendsforever.json.gz").patches)
    commits = repo.take(to_git(history, "notes.md", pause=60 * SECOND))
    assert repo.texts(["main"], "notes.md") == [history.text()]
    assert sum(len(parents) > 1 for parents in repo.parents("main").values()) > 100
    runs = re.findall(rb"mark :", b"".join(to_git(history, "notes.md", pause=60 * SECOND)))
    assert len(runs) == len(commits) < len(history)
