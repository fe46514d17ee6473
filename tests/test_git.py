"""What git has of a file in a commit is what the version of that commit says, and nothing disturbs that."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncstring import git
from syncstring.errors import CorruptStore, MalformedRow, UnknownVersion
from syncstring.git import GitHistory, read_git
from syncstring.history import History
from syncstring.patch import MAX_TIME, MIN_WILD_TIME, Patch
from syncstring.testing.reference import Reference

if shutil.which("git") is None:
    pytest.skip("needs git", allow_module_level=True)

CHECKOUT = Path(__file__).parent.parent
FILE, LINK, SUBMODULE = "100644", "120000", "160000"
NOON = 1_600_000_000

Tree = dict[str, Any]  # path -> text, bytes, or (mode, bytes)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that this machine or its user told git counts."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


pytestmark = pytest.mark.usefixtures("alone")


def run(folder: Path, *args: str, given: bytes = b"", **environment: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *args],
        input=given,
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, (args, done.stderr.decode())
    return done.stdout.decode().strip()


class Repo:
    """A repository made commit by commit, each of a whole tree. `write` puts them there at once."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        subprocess.run(["git", "init", "-q", "-b", "main", *options, str(folder)], check=True)
        self.git_folder = folder if "--bare" in options else folder / ".git"
        self.trees: list[Tree] = []
        self.shas: list[str] = []
        self._stream: list[bytes] = []
        self._clock = NOON

    def commit(
        self,
        tree: Tree,
        *parents: int,
        author: bytes = b"Ada <ada@example.org>",
        authored: str = "",
        committed: str = "",
        message: str | bytes = "",
        encoding: bytes = b"",
    ) -> int:
        """One commit of that tree on those parents, by default the last; -1 for none. Its number."""
        number = len(self.trees)
        if not parents and number:
            parents = (number - 1,)
        self._clock += 1
        message = message.encode() if isinstance(message, str) else message
        known = [parent for parent in parents if parent >= 0]
        write = self._stream.append
        if number and not known:
            write(b"reset refs/heads/main\n")
        write(b"commit refs/heads/main\nmark :%d\n" % (number + 1))
        write(b"author %s %s\n" % (author, (authored or f"{self._clock} +0000").encode()))
        write(b"committer C <c@example.org> %s\n" % (committed or f"{self._clock} +0000").encode())
        if encoding:
            write(b"encoding %s\n" % encoding)
        write(b"data %d\n%s\n" % (len(message), message))
        for verb, parent in zip([b"from", *[b"merge"] * len(known)], known, strict=False):
            write(b"%s :%d\n" % (verb, parent + 1))
        write(b"deleteall\n")
        for path, what in tree.items():
            mode, data = what if isinstance(what, tuple) else (FILE, what)
            data = data.encode() if isinstance(data, str) else data
            name = os.fsencode(
                '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
            )
            if mode == SUBMODULE:
                write(b"M 160000 %s %s\n" % (data, name))
            else:
                write(b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), name, len(data), data))
        self.trees.append(tree)
        return number

    def write(self) -> Repo:
        if self._stream:
            marks = self.git_folder / "marks"
            given = b"".join(self._stream)
            self._stream = []
            known = [f"--import-marks={marks}"] if marks.exists() else []
            run(
                self.folder,
                "fast-import",
                "--quiet",
                "--force",
                f"--export-marks={marks}",
                *known,
                given=given,
            )
            lines = [line.split() for line in marks.read_text().splitlines()]
            self.shas = [sha for _, sha in sorted((int(mark[1:]), sha) for mark, sha in lines)]
        return self

    def read(self, path: str = "file", rev: int | str = "main") -> GitHistory:
        self.write()
        return read_git(self.folder, path, self.shas[rev] if isinstance(rev, int) else rev)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


def text_of(tree: Tree, path: str | None) -> str:
    """The text of a regular file in a tree, or the empty one."""
    what = tree.get(path) if path is not None else None
    if what is None or isinstance(what, tuple):
        return ""
    return what if isinstance(what, str) else what.decode()


def assert_exact(repo: Repo, found: GitHistory, path: str | None = "file") -> None:
    """Every commit names its text, by the compiled engine and by the slow twin. No path: as it says."""
    history = History(found.patches)
    slow = Reference(found.patches) if len(found.patches) < 40 else None
    assert history.problems == [] and not history.parked
    for sha, tree in zip(repo.shas, repo.trees, strict=True):
        if sha in found.commits:
            name = path or found.path_at(sha)
            heads = found.commits[sha]
            assert history.text_at(heads) == text_of(tree, name)
            if slow:
                assert slow.text_at(heads) == text_of(tree, name)


# --- every commit's version is its text ----------------------------------------------------------------


def test_every_commit_names_its_text(repo: Repo) -> None:
    for text in ("one\n", "one\ntwo\n", "two\n", "two\nthree\n"):
        repo.commit({"file": text})
    found = repo.read()
    assert set(found.commits) == set(repo.shas)
    assert_exact(repo, found)
    assert [len(patch.parents) for patch in found.patches] == [0, 1, 1, 1]


def test_a_commit_that_does_not_touch_the_file_is_its_parents_version(repo: Repo) -> None:
    repo.commit({"other": "1"})
    repo.commit({"other": "1", "file": "a"})
    repo.commit({"other": "2", "file": "a"})
    found = repo.read()
    assert len(found.patches) == 1
    first, second, third = (found.commits[sha] for sha in repo.shas)
    assert first == ()
    assert second == third == (found.patches[0].id,)
    assert found.path_at(repo.shas[0]) is None
    assert found.path_at(repo.shas[2]) == "file"


def test_a_merge_of_different_versions_is_a_patch_on_both(repo: Repo) -> None:
    base = repo.commit({"file": "1\n2\n3\n"})
    left = repo.commit({"file": "one\n2\n3\n"}, base)
    right = repo.commit({"file": "1\n2\nthree\n"}, base)
    merge = repo.commit({"file": "one\n2\nthree\n"}, left, right)
    found = repo.read()
    assert_exact(repo, found)
    patch = found.patches[-1]
    assert found.commits[repo.shas[merge]] == (patch.id,)
    assert patch.ops == (), "our merge is the committed text: nothing is left to do"
    both = {found.commits[repo.shas[side]][0] for side in (left, right)}
    assert set(patch.parents) == both


def test_a_merge_says_in_its_own_patch_where_it_differs_from_ours(repo: Repo) -> None:
    base = repo.commit({"file": "1\n2\n3\n"})
    left = repo.commit({"file": "one\n2\n3\n"}, base)
    right = repo.commit({"file": "1\n2\nthree\n"}, base)
    repo.commit({"file": "one\nTWO\nthree\nfour\n"}, left, right)
    found = repo.read()
    assert_exact(repo, found)
    assert len(found.patches[-1].parents) == 2
    assert found.patches[-1].ops != ()


def test_a_merge_that_drops_one_side_is_exact(repo: Repo) -> None:
    base = repo.commit({"file": "1\n2\n3\n"})
    left = repo.commit({"file": "one\n2\n3\n"}, base)
    right = repo.commit({"file": "1\n2\nthree\n"}, base)
    repo.commit({"file": "one\n2\n3\n"}, left, right)
    repo.commit({"file": "one\n2\n3\n4\n"})
    assert_exact(repo, repo.read())


def test_a_merge_whose_other_side_is_an_ancestor_changes_nothing(repo: Repo) -> None:
    base = repo.commit({"file": "1\n"})
    topic = repo.commit({"file": "1\n2\n"}, base)
    merge = repo.commit({"file": "1\n2\n"}, base, topic)
    found = repo.read()
    assert len(found.patches) == 2
    assert found.commits[repo.shas[merge]] == found.commits[repo.shas[topic]]


def test_a_merge_that_takes_back_what_its_descendant_side_did_has_that_side_as_only_parent(
    repo: Repo,
) -> None:
    base = repo.commit({"file": "1\n"})
    topic = repo.commit({"file": "1\n2\n"}, base)
    repo.commit({"file": "1\n"}, base, topic)
    found = repo.read()
    assert_exact(repo, found)
    assert found.patches[-1].parents == found.commits[repo.shas[topic]]


def test_an_octopus_is_a_patch_with_many_parents(repo: Repo) -> None:
    lines = [f"{i}\n" for i in range(9)]
    base = repo.commit({"file": "".join(lines)})
    sides = []
    for i in range(0, 9, 2):
        lines[i] = f"side {i}\n"
        sides.append(
            repo.commit({"file": "".join(f"side {i}\n" if j == i else f"{j}\n" for j in range(9))}, base)
        )
    repo.commit({"file": "".join(lines)}, *sides)
    found = repo.read()
    assert_exact(repo, found)
    assert len(found.patches[-1].parents) == 5
    assert found.patches[-1].ops == ()


def test_criss_cross_merges_are_exact(repo: Repo) -> None:
    base = repo.commit({"file": "a\nb\nc\nd\n"})
    left = repo.commit({"file": "A\nb\nc\nd\n"}, base)
    right = repo.commit({"file": "a\nb\nc\nD\n"}, base)
    left = repo.commit({"file": "A\nb\nc\nD\nleft\n"}, left, right)
    right = repo.commit({"file": "right\nA\nb\nc\nD\n"}, right, left - 2)
    left2 = repo.commit({"file": "A\nB\nc\nD\nleft\n"}, left)
    right2 = repo.commit({"file": "right\nA\nb\nC\nD\n"}, right)
    repo.commit({"file": "right\nA\nB\nC\nD\nleft\n"}, left2, right2)
    repo.commit({"file": "right\nA\nB\nC\nD\nleft\n!"}, right2, left2)
    repo.commit({"file": "the end"}, 7, 8)
    assert_exact(repo, repo.read())


def test_a_deleted_file_is_an_empty_text_and_may_come_back(repo: Repo) -> None:
    for tree in ({"file": "a\n"}, {"x": ""}, {"x": "1"}, {"file": "b\n"}, {"file": ""}, {"file": "c"}):
        repo.commit(tree)
    found = repo.read()
    assert_exact(repo, found)
    assert [found.path_at(sha) for sha in repo.shas] == ["file", None, None, "file", "file", "file"]
    assert len({found.commits[sha] for sha in repo.shas}) == 5
    assert [patch.parents for patch in found.patches[1:]] == [(patch.id,) for patch in found.patches[:-1]]


def test_an_empty_file_is_the_same_text_as_none(repo: Repo) -> None:
    for tree in (
        {"x": ""},
        {"x": "", "file": ""},
        {"x": ""},
        {"file": "a"},
        {"file": ""},
        {"x": ""},
        {"file": "b"},
    ):
        repo.commit(tree)
    found = repo.read()
    assert_exact(repo, found)
    assert [patch.ops for patch in found.patches] == [("a",), (-1,), ("b",)]


def test_a_file_deleted_in_one_branch_and_edited_in_another_is_exact(repo: Repo) -> None:
    base = repo.commit({"file": "1\n2\n3\n", "x": ""})
    gone = repo.commit({"x": ""}, base)
    edited = repo.commit({"file": "1\n2\n3\n4\n", "x": ""}, base)
    kept = repo.commit({"file": "1\n2\n3\n4\n", "x": ""}, gone, edited)
    dropped = repo.commit({"x": ""}, edited, gone)
    repo.commit({"file": "1\n", "x": ""}, kept, dropped)
    assert_exact(repo, repo.read())


def test_unrelated_histories_meet(repo: Repo) -> None:
    one = repo.commit({"file": "one\n"})
    two = repo.commit({"file": "two\n"}, -1)
    three = repo.commit({"x": "a history without it"}, -1)
    repo.commit({"file": "one\ntwo\n"}, one, two, three)
    found = repo.read()
    assert_exact(repo, found)
    assert [len(patch.parents) for patch in found.patches] == [0, 0, 2]


def test_all_patches_are_in_the_tips_version(repo: Repo) -> None:
    grow(repo, random.Random(1), 40)
    found = repo.read("file", 39)
    heads = found.commits[repo.shas[39]]
    history = History(found.patches)
    assert history.heads == heads
    known: set[tuple[int, str]] = set()
    for patch in found.patches:
        assert known.issuperset(patch.parents)
        known.add(patch.id)
    assert len(known) == len(found.patches)


def grow(repo: Repo, chance: random.Random, commits: int, names: Sequence[str] = ("file",)) -> None:
    """Commits on random parents whose file is a random edit of a parent's; the last has it for sure."""
    leaves: set[int] = set()
    for number in range(commits):
        count = min(number, chance.choice([1, 1, 1, 1, 2, 2, 3]))
        recent = range(max(0, number - 8), number)
        parents = chance.sample(recent, min(count, len(recent))) or [-1]
        if chance.random() < 0.04:
            parents = [-1]
        before = repo.trees[parents[0]] if parents[0] >= 0 else {}
        path, text = next(((p, t) for p, t in before.items() if p != "x"), (names[0], "line\n" * 12))
        lines = text.splitlines(keepends=True)
        for _ in range(chance.choice([0, 1, 1, 3])):
            at = chance.randrange(len(lines) + 1)
            lines[at : at + chance.choice([0, 0, 1, 3])] = chance.choices(
                ["a\n", "bé\n", "c😀\n", "same\n"], k=2
            )
        if len(names) > 1 and chance.random() < 0.2:
            path = chance.choice(names)
        tree = {path: "".join(lines), "x": str(number)}
        if number < commits - 1 and chance.random() < 0.08:
            del tree[path]
        if number == commits - 1:
            parents = sorted(leaves)
        leaves.difference_update(parents)
        leaves.add(repo.commit(tree, *parents))


@pytest.mark.parametrize("seed", range(12))
def test_random_histories_are_exact_in_every_commit(repo: Repo, seed: int) -> None:
    grow(repo, random.Random(seed), 60)
    found = repo.read("file", 59)
    assert_exact(repo, found)
    assert any(len(patch.parents) > 1 for patch in found.patches)
    for sha in found.commits:
        tree = repo.trees[repo.shas.index(sha)]
        assert found.path_at(sha) == ("file" if "file" in tree else None)


@pytest.mark.parametrize("seed", range(8))
def test_random_histories_with_renames_are_exact_in_every_commit(repo: Repo, seed: int) -> None:
    grow(repo, random.Random(seed), 40, names=("file", "moved", "again"))
    tip = next(path for path in repo.trees[39] if path != "x")
    found = repo.read(tip, 39)
    assert_exact(repo, found, path=None)
    assert found.path_at(repo.shas[39]) == tip


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_whatever_is_committed_is_what_its_version_says(tmp_path_factory: Any, data: st.DataObject) -> None:
    repo = Repo(tmp_path_factory.mktemp("drawn"))
    texts = st.none() | st.text("ab\n", max_size=8)
    for number in range(data.draw(st.integers(2, 10), label="commits")):
        parents = data.draw(st.sets(st.integers(-1, number - 1), min_size=1, max_size=3), label="parents")
        known = sorted(parents - {-1}) or [-1]
        text = data.draw(texts, label="text")
        repo.commit({"x": str(number)} if text is None else {"x": str(number), "file": text}, *known)
    everything = range(len(repo.trees))
    repo.commit({"file": data.draw(st.text("ab\n", max_size=8), label="tip")}, *everything)
    assert_exact(repo, repo.read())


# --- the same again ------------------------------------------------------------------------------------


def test_the_same_import_gives_the_same_bytes(repo: Repo) -> None:
    grow(repo, random.Random(5), 40)
    one, two = repo.read("file", 39), repo.read("file", 39)
    assert [patch.to_bytes() for patch in one.patches] == [patch.to_bytes() for patch in two.patches]
    assert one.commits == two.commits


@pytest.mark.parametrize("names", [("file",), ("file", "moved")])
@pytest.mark.parametrize("seed", range(2))
def test_importing_again_after_more_commits_gives_the_same_patches_for_the_old_ones(
    repo: Repo, seed: int, names: tuple[str, ...]
) -> None:
    grow(repo, random.Random(seed), 40, names)
    whole = repo.read(next(path for path in repo.trees[39] if path != "x"), 39)
    sizes = []
    for number, sha in enumerate(repo.shas):
        path = whole.path_at(sha)
        if path is not None:
            part = repo.read(path, number)
            assert set(part.patches) <= set(whole.patches)
            assert part.commits[sha] == whole.commits[sha]
            sizes.append(len(part.patches))
    assert min(sizes) < max(sizes) == len(whole.patches)


def test_importing_again_after_a_rename_gives_the_same_patches_for_the_old_ones(repo: Repo) -> None:
    repo.commit({"old": "1\n2\n3\n"})
    repo.commit({"old": "1\n2\n3\n4\n"})
    before = repo.read("old")
    repo.commit({"new": "1\n2\n3\n4\n"})
    repo.commit({"new": "1\n2\n3\n4\n5\n"})
    after = repo.read("new")
    assert after.patches[:2] == before.patches
    assert len(after.patches) == 3


def test_two_files_of_one_commit_have_sessions_of_their_own(repo: Repo) -> None:
    repo.commit({"file": "a", "other": "a"})
    one, two = repo.read("file").patches[0], repo.read("other").patches[0]
    assert one.session != two.session
    assert (len(one.session), one.session.isalnum(), one.session.lower()) == (12, True, one.session)


# --- who, when, why ------------------------------------------------------------------------------------


def test_author_dates_and_message_are_the_commits(repo: Repo) -> None:
    repo.commit(
        {"file": "a"},
        author="Ada Löve <ada@example.org>".encode(),
        authored="1500000000 +0530",
        committed="1600000000 -0800",
        message="Say why\n\nAt length.\n",
    )
    (patch,) = repo.read().patches
    assert patch.author == "Ada Löve"
    assert patch.wall == 1_500_000_000_000_000
    assert patch.time == 1_600_000_000_000_000
    assert patch.message == "Say why\n\nAt length."


def test_a_time_exceeds_its_parents_where_the_clock_went_back(repo: Repo) -> None:
    repo.commit({"file": "a"}, committed="1600000000 +0000")
    repo.commit({"file": "b"}, committed="1500000000 +0000")
    repo.commit({"file": "c"}, committed="1600000000 +0000")
    times = [patch.time for patch in repo.read().patches]
    assert times == [1_600_000_000_000_000, 1_600_000_000_000_001, 1_600_000_000_000_002]


def test_an_empty_message_is_none_and_an_empty_name_the_address(repo: Repo) -> None:
    repo.commit({"file": "a"}, author=b"<ada@example.org>", message="\n")
    (patch,) = repo.read().patches
    assert patch.message is None
    assert patch.author == "ada@example.org"


def test_what_is_too_long_is_cut_at_a_character(repo: Repo) -> None:
    repo.commit({"file": "a"}, author=("x" + "é" * 200).encode() + b" <a@b>", message="y" + "€" * 3000)
    (patch,) = repo.read().patches
    assert patch.author == "x" + "é" * 127
    assert patch.message == "y" + "€" * 1365
    assert len(patch.author.encode()) == 255 and len(patch.message.encode()) == 4096


def test_old_encodings_are_read(repo: Repo) -> None:
    repo.commit({"file": "a"}, author=b"L\xf6we <a@b>", message=b"Gr\xfc\xdfe", encoding=b"ISO-8859-1")
    repo.commit({"file": "b"}, author=b"L\xf6we <a@b>", message=b"Gr\xfc\xdfe", encoding=b"no-such-thing")
    repo.commit({"file": "c"}, author=b"L\xf6we <a@b>", message=b"Gr\xfc\xdfe")
    repo.commit({"file": "d"}, author="Löwe <a@b>".encode(), message="Grüße", encoding=b"ascii")
    repo.commit({"file": "e"}, author="Löwe <a@b>".encode(), message="Grüße", encoding=b"hex")
    repo.commit({"file": "f"}, message=b"\\ud800", encoding=b"unicode_escape")
    repo.commit({"file": "g"}, message=b"a" * 70_000, encoding=b"utf-16-le")
    patches = repo.read().patches
    assert [(patch.author, patch.message) for patch in patches[:5]] == [("Löwe", "Grüße")] * 5
    assert patches[5].message == "\\ud800"
    assert patches[6].message == "a" * 4_096, "a long one is UTF-8, whatever it says"


@pytest.mark.parametrize(
    ("written", "wall", "time"),
    [
        ("-5 +0000", 0, 1),
        ("0 +0000", 0, 1),
        ("99999999999 +0000", MAX_TIME, MIN_WILD_TIME - (1 << 32)),
        ("18446744073709551615 +0000", MAX_TIME, MIN_WILD_TIME - (1 << 32)),
        ("yesterday", 0, 1),
        ("", 0, 1),
    ],
)
def test_odd_dates_are_brought_into_range(repo: Repo, written: str, wall: int, time: int) -> None:
    repo.commit({"file": "a"})
    tree = run(repo.write().folder, "rev-parse", "main^{tree}")
    commit = f"tree {tree}\nauthor A <a@b> {written}\ncommitter A <a@b> {written}\n\nodd\n".encode()
    sha = run(repo.folder, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", given=commit)
    (patch,) = repo.read(rev=sha).patches
    assert (patch.wall, patch.time, patch.author, patch.message) == (wall, time, "A", "odd")


def test_a_person_that_is_no_person_is_taken_as_it_stands(repo: Repo) -> None:
    repo.commit({"file": "a"})
    tree = run(repo.write().folder, "rev-parse", "main^{tree}")
    commit = f"tree {tree}\nauthor nobody at all\n\nodd\n".encode()
    sha = run(repo.folder, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", given=commit)
    (patch,) = repo.read(rev=sha).patches
    assert (patch.author, patch.time, patch.wall) == ("nobody at all", 1, 0)


# --- renames -------------------------------------------------------------------------------------------

BODY = "".join(f"line {i}\n" for i in range(20))


def test_renames_are_followed(repo: Repo) -> None:
    repo.commit({"first": BODY})
    repo.commit({"first": BODY + "a\n"})
    repo.commit({"folder/second": BODY + "a\n"})
    repo.commit({"third": "top\n" + BODY + "a\nb\n"})
    found = repo.read("third")
    assert [found.path_at(sha) for sha in repo.shas] == ["first", "first", "folder/second", "third"]
    assert_exact(repo, found, path=None)
    assert len(found.patches) == 3, "a rename alone changes nothing"


def test_a_file_may_have_another_name_in_each_branch(repo: Repo) -> None:
    base = repo.commit({"old": BODY})
    here = repo.commit({"new": BODY}, base)
    here = repo.commit({"new": "top\n" + BODY}, here)
    there = repo.commit({"old": BODY + "end\n"}, base)
    merge = repo.commit({"new": "top\n" + BODY + "end\n"}, here, there)
    repo.commit({"newest": "top\n" + BODY + "end\n"}, merge)
    found = repo.read("newest")
    assert [found.path_at(sha) for sha in repo.shas] == ["old", "new", "new", "old", "new", "newest"]
    assert_exact(repo, found, path=None)
    assert found.patches[-1].ops == ()
    assert len(found.patches[-1].parents) == 2


def test_a_file_that_is_new_has_no_past(repo: Repo) -> None:
    repo.commit({"other": "something else\n" * 9})
    repo.commit({"file": BODY})
    found = repo.read()
    assert found.path_at(repo.shas[0]) is None
    assert found.commits[repo.shas[0]] == ()


@pytest.mark.parametrize(("kept", "name"), [(12, "old"), (6, None)])
def test_half_a_file_must_be_alike_for_a_rename(repo: Repo, kept: int, name: str | None) -> None:
    repo.commit({"old": BODY})
    lines = BODY.splitlines(keepends=True)[:kept]
    repo.commit({"file": "".join(lines) + "".join(f"NEW {i * i}\n" for i in range(20 - kept))})
    assert repo.read().path_at(repo.shas[0]) == name


@pytest.mark.parametrize("swapped", [False, True])
def test_a_name_under_which_the_file_is_there_counts_before_one_under_which_it_is_not(
    repo: Repo, swapped: bool
) -> None:
    base = repo.commit({"old": BODY})
    trees = [{"file": BODY + "moved\n"}, {"file": "begun from nothing\n" * 9}]
    one, two = [repo.commit(tree, base) for tree in (reversed(trees) if swapped else trees)]
    repo.commit({"file": BODY}, one, two)
    found = repo.read()
    assert found.path_at(repo.shas[base]) == "old"
    assert_exact(repo, found, path=None)


def test_a_copy_is_no_rename(repo: Repo) -> None:
    repo.commit({"other": BODY})
    repo.commit({"other": BODY, "file": BODY})
    assert repo.read().path_at(repo.shas[0]) is None


def test_two_files_that_become_one_are_both_its_past(repo: Repo) -> None:
    base = repo.commit({"a": BODY, "b": BODY.upper()})
    one = repo.commit({"file": BODY}, base)
    two = repo.commit({"file": BODY.upper()}, base)
    repo.commit({"file": BODY + BODY.upper()}, one, two)
    found = repo.read()
    assert_exact(repo, found, path=None)
    assert found.path_at(repo.shas[base]) in ("a", "b")


# --- where it is ---------------------------------------------------------------------------------------

ODD = [
    "with space", "été/日本.txt", "-dash", "--all", "line\nbreak", "a:b", ":colon", 'quo"te', "back\\slash",
    "*.txt", "tab\there", "deep/er/still", "#x", "~", "trailing ", "folder\nx/f",
]  # fmt: skip


@pytest.mark.parametrize("path", ODD)
def test_a_path_may_have_any_letters(repo: Repo, path: str) -> None:
    repo.commit({"before": BODY})
    repo.commit({path: BODY + "1"})
    repo.commit({path: BODY + "2", "decoy": "x"})
    found = repo.read(path)
    assert len(found.patches) == 3
    assert [found.path_at(sha) for sha in repo.shas] == ["before", path, path]
    assert_exact(repo, found, path=None)


def test_a_path_whose_bytes_are_not_utf8_is_found(repo: Repo) -> None:
    path = os.fsdecode(b"\xff\xfe")
    repo.commit({path: "a"})
    assert repo.read(path).path_at(repo.shas[0]) == path


def test_a_path_is_relative_to_the_folder_given(repo: Repo) -> None:
    repo.commit({"sub/file": "inside", "file": "outside"})
    sub = repo.write().folder / "sub"
    run(repo.folder, "reset", "-q", "--hard")
    for path, text in {
        "file": "inside",
        "./file": "inside",
        "../file": "outside",
        "../sub/file": "inside",
    }.items():
        found = read_git(sub, path)
        assert History(found.patches).text() == text
    with pytest.raises(UnknownVersion, match="names no file"):
        read_git(sub, "../../file")


def test_a_bare_repository_is_read(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "bare.git", "--bare")
    repo.commit({"sub/file": "a"})
    assert History(repo.read("sub/file").patches).text() == "a"


def test_a_git_folder_is_read(repo: Repo) -> None:
    repo.commit({"sub/file": "a"})
    found = read_git(repo.write().folder / ".git", "sub/file")
    assert History(found.patches).text() == "a"


def test_a_worktree_is_read_with_its_own_head(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"file": "a"})
    repo.commit({"file": "b"})
    tree = tmp_path / "tree"
    run(repo.write().folder, "worktree", "add", "-q", str(tree), repo.shas[0])
    assert History(read_git(tree, "file").patches).text() == "a"
    assert History(read_git(repo.folder, "file").patches).text() == "b"


def test_a_shallow_clone_begins_where_it_was_cut(repo: Repo, tmp_path: Path) -> None:
    for text in "abcd":
        repo.commit({"file": text})
    clone = tmp_path / "clone"
    run(tmp_path, "clone", "-q", "--depth", "2", f"file://{repo.write().folder}", str(clone))
    found = read_git(clone, "file")
    assert set(found.commits) == set(repo.shas[2:])
    history = History(found.patches)
    assert [history.text_at(found.commits[sha]) for sha in repo.shas[2:]] == ["c", "d"]
    assert len(found.patches) == 2


def test_names_of_256_bits_are_read(tmp_path: Path) -> None:
    try:
        repo = Repo(tmp_path / "repo", "--object-format=sha256")
    except subprocess.CalledProcessError:
        pytest.skip("this git has no SHA-256 repositories")
    base = repo.commit({"old": BODY})
    left = repo.commit({"file": BODY + "a"}, base)
    right = repo.commit({"old": "b" + BODY}, base)
    repo.commit({"file": "b" + BODY + "a"}, left, right)
    found = repo.read()
    assert len(repo.shas[0]) == 64
    assert_exact(repo, found, path=None)


# --- what a text is ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["a\r\nb\rc\n", "\ufeffwith a mark", "no end", "nul\0nul", "e\u0301 😀 \u2028\n", "\n\n", " "]
)
def test_a_text_comes_as_it_was_committed(repo: Repo, text: str) -> None:
    repo.commit({"file": "before", ".gitattributes": "* text eol=crlf ident\n"})
    repo.commit({"file": text, ".gitattributes": "* text eol=crlf ident\n"})
    run(repo.write().folder, "config", "core.autocrlf", "true")
    assert History(repo.read().patches).text() == text


def test_a_text_too_long_for_a_row_becomes_a_chain_whose_last_patch_is_the_commits(repo: Repo) -> None:
    long = "".join(f"{i * i:x} é\n" for i in range(200_000))
    repo.commit({"file": "short\n"}, message="one")
    repo.commit({"file": long}, message="two")
    repo.commit({"file": long + "end"}, message="three")
    found = repo.read()
    history = History(found.patches)
    assert [history.text_at(found.commits[sha]) for sha in repo.shas] == ["short\n", long, long + "end"]
    messages = [patch.message for patch in found.patches]
    assert len(messages) > 3
    assert messages == ["one", *[None] * (len(messages) - 3), "two", "three"]
    for patch in found.patches:
        assert Patch.from_row(patch.to_row("0" * 40)) == patch


def test_what_is_not_utf8_is_refused_with_its_commit_and_path(repo: Repo) -> None:
    repo.commit({"sub/file": "fine"})
    repo.commit({"sub/file": b"abc\xff"})
    repo.commit({"sub/file": "fine again"})
    with pytest.raises(MalformedRow) as caught:
        repo.read("sub/file")
    assert repo.shas[1] in str(caught.value)
    assert "'sub/file' is not UTF-8 at byte 3 of 4" in str(caught.value)
    assert len(read_git(repo.folder, "sub/file", repo.shas[0]).patches) == 1


@pytest.mark.parametrize("text", [b"1234567", ("é" * 7).encode(), b"\xff" * 25])
def test_what_is_too_long_for_a_text_is_refused(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    repo.commit({"file": "é" * 6})
    repo.commit({"file": text})
    monkeypatch.setattr(git, "MAX_TEXT", 6)
    with pytest.raises(MalformedRow, match=f"'file' has {len(text)} bytes"):
        repo.read()
    assert History(repo.read(rev=0).patches).text() == "é" * 6


def test_links_and_folders_of_the_past_are_no_text(repo: Repo) -> None:
    repo.commit({"file": "target\n", "target": "t"})
    repo.commit({"file": (LINK, b"target"), "target": "t"})
    repo.commit({"file": (LINK, b"nowhere"), "target": "t"})
    repo.commit({"file/inside": "a folder"})
    repo.commit({"file": (SUBMODULE, b"1" * 40)})
    repo.commit({"file": "back\n"})
    found = repo.read()
    assert_exact(repo, found)
    assert [found.path_at(sha) for sha in repo.shas] == ["file", None, None, None, None, "file"]


# --- what must not disturb -----------------------------------------------------------------------------


def test_the_environment_of_another_repository_does_not_count(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit({"file": "ours"})
    other = Repo(tmp_path / "other")
    other.commit({"file": "theirs"})
    other.write()
    repo.write()
    monkeypatch.setenv("GIT_DIR", str(other.git_folder))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.folder))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.git_folder / "objects"))
    monkeypatch.setenv("GIT_INDEX_FILE", "nowhere")
    monkeypatch.setenv("GIT_NAMESPACE", "elsewhere")
    monkeypatch.setenv("GIT_TRACE", "1")
    found = read_git(repo.folder, "file")
    assert History(found.patches).text() == "ours"
    assert found.resolve("main") == found.commits[repo.shas[0]]


def test_a_users_settings_do_not_change_what_is_read(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(5):
        others = {f"other {j} {i}": f"{j}\n{BODY}{'y' * i}" for j in range(5)}
        repo.commit({f"été {i}": BODY + "x" * i, **others})
    plain = repo.read("été 4")
    config = tmp_path / "config"
    config.write_text(
        "[diff]\n renames = false\n renameLimit = 1\n noprefix = true\n orderFile = /nowhere\n"
        "[core]\n quotePath = true\n pager = false\n abbrev = 4\n[color]\n ui = always\n diff = always\n"
        "[log]\n showSignature = true\n follow = true\n date = relative\n[format]\n pretty = oneline\n"
        "[i18n]\n logOutputEncoding = latin1\n[alias]\n rev-list = !false\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert repo.read("été 4").patches == plain.patches
    assert len(plain.patches) == 5


def test_replaced_and_grafted_commits_are_read_as_they_were_made(repo: Repo) -> None:
    repo.commit({"file": "a"})
    repo.commit({"file": "b"})
    repo.commit({"file": "c"})
    plain = repo.read()
    run(repo.folder, "replace", repo.shas[1], repo.shas[0])
    (repo.git_folder / "info").mkdir(exist_ok=True)
    (repo.git_folder / "info" / "grafts").write_text(f"{repo.shas[2]} {repo.shas[0]}\n")
    again = repo.read()
    assert again.patches == plain.patches
    assert again.commits == plain.commits


def test_nothing_is_written_to_the_repository(repo: Repo) -> None:
    grow(repo, random.Random(2), 20)
    repo.write()

    def state() -> dict[str, tuple[int, int]]:
        files = (path for path in repo.folder.rglob("*") if path.is_file())
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in files}

    before = state()
    repo.read("file", 19).resolve("main")
    assert state() == before


def test_how_many_processes_run_does_not_depend_on_how_many_commits_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    real = subprocess.Popen

    class Counted(real):  # type: ignore[type-arg, misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            counts[-1] += 1
            super().__init__(*args, **kwargs)

    for commits in (10, 150):
        repo = Repo(tmp_path / str(commits))
        repo.commit({"old": BODY})
        repo.commit({"file": BODY})
        for number in range(commits):
            repo.commit({"file": BODY + str(number)})
        repo.write()
        monkeypatch.setattr(subprocess, "Popen", Counted)
        counts.append(0)
        repo.read()
        monkeypatch.setattr(subprocess, "Popen", real)
    assert counts[0] == counts[1] <= 12


# --- names of versions ---------------------------------------------------------------------------------


def test_git_revisions_name_versions(repo: Repo) -> None:
    repo.commit({"file": "a"}, message="first things")
    repo.commit({"file": "b"}, message="second")
    repo.commit({"file": "c"}, message="third")
    run(repo.write().folder, "tag", "-a", "-m", "a tag", "v1", repo.shas[1], GIT_COMMITTER_NAME="x",
        GIT_COMMITTER_EMAIL="x@y")  # fmt: skip
    found = repo.read()
    one, two, three = (found.commits[sha] for sha in repo.shas)
    for ref, heads in {
        "main": three, "HEAD": three, "main~1": two, "main^^": one, "v1": two, "v1~1": one, ":/first": one,
        repo.shas[0]: one, repo.shas[0][:9]: one, "main^{/second}": two, "refs/heads/main": three, "@": three,
    }.items():  # fmt: skip
        assert found.resolve(ref) == heads, ref


@pytest.mark.parametrize(
    "ref",
    [
        "", "nothing", "main~99", "main..HEAD", "^main", "main:file", "main^{tree}", "--all", "-n1", "--help",
        "--git-dir", "--output=owned", "a\0b", "\ud800", "main main", "--end-of-options", "0" * 40,
        "x" * 200_000,
    ],
)  # fmt: skip
def test_what_names_no_commit_is_none(repo: Repo, ref: str) -> None:
    repo.commit({"file": "a"})
    found = repo.read()
    assert found.resolve(ref) is None
    assert not list(repo.folder.glob("owned"))


def test_what_looks_like_an_option_never_reaches_git(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit({"file": "a"})
    found = repo.read()
    monkeypatch.setattr(subprocess, "Popen", None)
    assert found.resolve("--since=2000-01-01") is None


def test_a_commit_that_was_not_reached_is_none(repo: Repo) -> None:
    repo.commit({"file": "a"})
    repo.commit({"file": "b"})
    found = repo.read(rev=0)
    assert found.resolve("main") is None
    with pytest.raises(UnknownVersion, match="was not reached"):
        found.path_at(repo.shas[1])


# --- what can't be -------------------------------------------------------------------------------------


def refused(kind: type[Exception], says: str, *args: Any) -> None:
    with pytest.raises(kind, match=says) as caught:
        read_git(*args)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_what_is_no_repository_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "file").write_text("")
    refused(UnknownVersion, "no readable git repository .*not a git repository", tmp_path, "file")
    refused(UnknownVersion, "no readable git repository", tmp_path / "nowhere", "file")
    refused(UnknownVersion, "no readable git repository", tmp_path / "file", "file")
    refused(UnknownVersion, "git can't be run", "a\0b", "file")


@pytest.mark.parametrize("rev", ["nothing", "--all", "-n1", "", "main..main", "main:file"])
def test_what_is_no_revision_is_refused(repo: Repo, rev: str) -> None:
    repo.commit({"file": "a"})
    refused(UnknownVersion, "no revision", repo.write().folder, "file", rev)


def test_a_repository_without_commits_has_no_revision(repo: Repo) -> None:
    refused(UnknownVersion, "no revision 'HEAD'", repo.folder, "file")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("nothing", "no file 'nothing'"),
        ("file/inside", "no file"),
        ("folder", "'folder' in 'HEAD' of .* is a folder"),
        ("folder/", "is a folder"),
        ("link", "is a symbolic link"),
        ("dangling", "is a symbolic link"),
        ("module", "is a submodule"),
        ("link-to-folder/f", "no file"),
        ("", "names no file"),
        (".", "no file"),
        ("..", "names no file"),
        ("../file", "names no file"),
        ("/file", "names no file"),
        ("fi\0le", "names no file"),
        ("\ud800", "names no file"),
    ],
)
def test_what_is_no_file_is_refused_by_what_it_is(repo: Repo, path: str, says: str) -> None:
    repo.commit(
        {
            "file": "a",
            "folder/f": "b",
            "link": (LINK, b"file"),
            "dangling": (LINK, b"nowhere"),
            "link-to-folder": (LINK, b"folder"),
            "module": (SUBMODULE, b"1" * 40),
        }
    )
    refused(UnknownVersion, says, repo.write().folder, path)


def test_without_git_it_says_so(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit({"file": "a"})
    repo.write()
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(UnknownVersion, "git can't be run .*; is it installed", repo.folder, "file")


@pytest.mark.parametrize("how", ["gone", "garbled", "empty"])
@pytest.mark.parametrize(
    "what", ["main:file", "main~1:file", "main~1:", "main~2^{tree}", "main~2", "main~1:sub"]
)
def test_a_damaged_repository_is_told_from_an_empty_file(repo: Repo, what: str, how: str) -> None:
    for text in "abcd":
        repo.commit({"file": text, "sub/file": text * 2})
    sha = run(repo.write().folder, "rev-parse", what)
    path = repo.git_folder / "objects" / sha[:2] / sha[2:]
    path.chmod(0o600)
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(b"garbage" if how == "garbled" else b"")
    refused(CorruptStore, "git fsck", repo.folder, "sub/file" if "sub" in what else "file")


def test_a_file_whose_only_text_is_lost_is_no_missing_file(repo: Repo) -> None:
    repo.commit({"file": "a"})
    sha = run(repo.write().folder, "rev-parse", "main:file")
    (repo.git_folder / "objects" / sha[:2] / sha[2:]).unlink()
    refused(CorruptStore, "'file' in 'HEAD' of .* can't be read; `git fsck`", repo.folder, "file")


# --- this project's own --------------------------------------------------------------------------------


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.undo()  # whose repository this is may be a matter of the user's settings
    shown = subprocess.run(
        ["git", "-C", str(CHECKOUT), "rev-parse", "--show-toplevel"],
        capture_output=True,
        text=True,
        check=False,
    )
    if shown.returncode or Path(shown.stdout.strip()).resolve() != CHECKOUT.resolve():
        pytest.skip("not a git checkout of this project")
    yield CHECKOUT


@pytest.mark.parametrize(
    "path", ["pyproject.toml", "tests/test_architecture.py", "README.md", "syncstring/patch.py"]
)
def test_this_projects_own_history_is_exact(checkout: Path, path: str) -> None:
    try:
        found = read_git(checkout, path)
    except UnknownVersion as error:
        pytest.skip(str(error))
    history = History(found.patches)
    for commit, heads in found.commits.items():
        name = found.path_at(commit)
        shown = subprocess.run(
            ["git", "-C", str(checkout), "cat-file", "blob", f"{commit}:{name}"],
            capture_output=True,
            check=False,
        )
        assert history.text_at(heads).encode() == (shown.stdout if name else b"")
