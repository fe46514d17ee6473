"""A file's history in git, as patches: one a commit that changed it, merges as merges.

The law of this room. The version that a commit's heads name is exactly what that commit has of the file, in
every branch: what our merge of a merge commit's parents makes is compared with what was committed, and the
difference is that commit's own patch. The patches of a commit depend on the commit, what is reachable from
it and the path alone: sessions come from the SHA-256 of both. So importing again after more commits gives the
same patches for the old ones, and the same import gives the same bytes.

Renames are followed backwards: the nodes of the history are pairs of a commit and the path that the file had
there, which may differ between branches. Where the file is there and isn't in a parent, git is asked (as `git
diff -M` would answer) which file of the parent it was. Only regular files count: where the path is a link,
a folder or a submodule, or nothing at all, the text is empty. Line ends and everything else stay as
they were committed.

It asks git itself, by plumbing commands that read and that no hook, filter, replacement or user's output
setting changes, a handful of processes for a history of any length. Sources: git's gitformat-commit,
git-cat-file and git-diff-tree manuals.
"""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from hashlib import sha256
from types import TracebackType
from typing import Final, NamedTuple, Self

from syncstring._diff import diff
from syncstring._graph import EventGraph
from syncstring._patch import compose
from syncstring.errors import CorruptStore, MalformedRow, PatchError, UnknownVersion
from syncstring.merge import Merge
from syncstring.patch import (
    MAX_AUTHOR,
    MAX_MESSAGE,
    MAX_TIME,
    MAX_TIME_STEP,
    MIN_WILD_TIME,
    Id,
    Patch,
    chained,
)

__all__ = ["MAX_TEXT", "GitHistory", "read_git"]

MAX_TEXT: Final = 1 << 24
"""Code points that a version of the file may have."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LATEST = MIN_WILD_TIME - MAX_TIME_STEP  # later times are taken for this: there is room to count up from it
_TEXTS_KEPT = 16
_LONGEST_LINK = 4_096  # bytes: no system makes a link that says more

# What ties a git process to another repository than the one it is pointed at, as a hook's environment does.
_ELSEWHERE = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE", "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
}  # fmt: skip
_ENVIRONMENT = {
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}

_FOUND = re.compile(rb"([0-9a-f]{40,64}) ([a-z]+)(?: ([0-9]{1,18}))?\n")
_LED_AWAY = re.compile(rb"(?:symlink|dangling|loop|notdir) ([0-9]{1,18})\n")
_PARENTS = re.compile(r"[0-9a-f]{40,64}(?: [0-9a-f]{40,64})*")
_SECONDS = re.compile(rb" *(-?[0-9]{1,20})(?: |$)")
_KINDS = {b"040000": "a folder", b"120000": "a symbolic link", b"160000": "a submodule"}


class _Blob(NamedTuple):
    id: str
    size: int


class _Node(NamedTuple):
    """A commit, and what the file is called there."""

    commit: str
    path: bytes


class _Change(NamedTuple):
    """A file that is in a commit and not in a parent (it appears), or the other way round."""

    node: _Node
    parent: str
    appears: bool


class GitHistory:
    """What `read_git` found. `patches` have their parents before them."""

    def __init__(
        self,
        git: _Git,
        patches: list[Patch],
        commits: dict[str, tuple[Id, ...]],
        paths: Mapping[str, bytes | None],
    ) -> None:
        self.patches = patches
        self.commits = commits
        """For each commit that was reached, by its full name, the heads of the version whose text is what it
        has of the file; where it has no such file, that is an empty text."""
        self._git = git
        self._paths = paths

    def resolve(self, ref: str) -> tuple[Id, ...] | None:
        """The heads of the version at a git revision (`main`, `v1.2~3`, `HEAD@{yesterday}`, an abbreviated
        commit), or None where git knows no such commit or it wasn't reached. Asks git now."""
        commit = self._git.commit(ref)
        return None if commit is None else self.commits.get(commit)

    def path_at(self, commit: str) -> str | None:
        """What the file is called in a commit, from the repository's root; None if it isn't there.

        `commit` is a key of `commits`; `UnknownVersion` for any other.
        """
        if commit not in self._paths:
            raise UnknownVersion(f"commit {commit!r:.80} was not reached; give one of `commits`")
        path = self._paths[commit]
        return None if path is None else os.fsdecode(path)


def read_git(repo: str | os.PathLike[str], path: str | os.PathLike[str], rev: str = "HEAD") -> GitHistory:
    """Read the history of a file up to a revision, as patches.

    `repo` is a repository, a work tree or a folder in one; `path` is relative to it. Authors and `wall` are
    the commits' authors and their dates, times the committers', raised above the parents' where needed;
    messages are the commits'; what is too long is cut.

    `UnknownVersion` says that there is no such repository, revision or file, or no git. `MalformedRow` names
    a commit whose file isn't UTF-8 or has more than `MAX_TEXT` code points. `CorruptStore` is a repository
    that git can't read. Costs what git takes to find the file in every commit, and a diff a change.
    """
    git = _Git(os.fspath(repo))
    start = git.path(path)
    tip = git.commit(rev)
    if tip is None:
        raise UnknownVersion(f"no revision {rev!r:.80} in {git.repo!r}; `git log` there shows what there is")
    parents = git.parents(tip)
    graph = _Graph(git, parents, _Node(tip, start))
    if graph.files[_Node(tip, start)] is None:
        raise UnknownVersion(git.why_no_file(tip, start, rev))
    with _Objects(git) as objects:
        importer = _Importer(graph, objects)
        importer.run()
    paths = {
        commit: next((path for path in known if graph.files[_Node(commit, path)]), None)
        for commit, known in graph.paths.items()
    }
    commits = {
        commit: importer.heads(_Node(commit, graph.paths[commit][0] if path is None else path))
        for commit, path in paths.items()
    }
    return GitHistory(git, importer.patches, commits, paths)


# --- which commits, under which names -------------------------------------------------------------------


class _Graph:
    """Where the file was: every node that the tip's descends from, and what it is there."""

    def __init__(self, git: _Git, parents: dict[str, list[str]], tip: _Node) -> None:
        self.git = git
        self.parents = parents  # children first
        self.files: dict[_Node, _Blob | None] = {}
        self.links: dict[_Node, dict[str, _Node]] = {}  # to the same file in each parent
        self._follow(tip)
        self.paths: dict[str, list[bytes]] = {tip.commit: [tip.path]}
        """The names that the file has in a commit, as its descendants know it: mostly one."""
        for commit in parents:
            for path in self.paths[commit]:
                for node in self.links[_Node(commit, path)].values():
                    known = self.paths.setdefault(node.commit, [])
                    if node.path not in known:
                        known.append(node.path)

    def _follow(self, tip: _Node) -> None:
        """Back from the tip. Every round ends where the file appears and may have had another name."""
        todo = [tip]
        while todo:
            self._look_up(todo)
            changes: list[_Change] = []
            while todo:
                node = todo.pop()
                if node in self.links:
                    continue
                links = {parent: _Node(parent, node.path) for parent in self.parents[node.commit]}
                self.links[node] = links
                here = self.files[node] is not None
                for parent, link in links.items():
                    if here == (self.files[link] is not None):
                        todo.append(link)
                    else:
                        changes.append(_Change(node, parent, here))
            for change, name in zip(changes, self.git.renamed(changes), strict=True):
                links = self.links[change.node]
                if name is not None:
                    links[change.parent] = _Node(change.parent, name)
                todo.append(links[change.parent])

    def _look_up(self, nodes: Iterable[_Node]) -> None:
        """Find the files of nodes and of all that they may descend from under the same name."""
        todo = list(nodes)
        wanted: list[_Node] = []
        while todo:
            node = todo.pop()
            if node not in self.files:
                self.files[node] = None
                wanted.append(node)
                todo += [_Node(parent, node.path) for parent in self.parents[node.commit]]
        self.files.update(zip(wanted, self.git.files(wanted), strict=True))


# --- patches --------------------------------------------------------------------------------------------


class _Importer:
    """Makes the patches, parents first."""

    def __init__(self, graph: _Graph, objects: _Objects) -> None:
        self.graph = graph
        self.objects = objects
        self.patches: list[Patch] = []
        self.events = EventGraph()  # the same, under the same numbers
        self.merge = Merge(self.events)
        self.blobs: dict[int, _Blob | None] = {}  # what is at each that ends a commit; None is the empty text
        self.versions: dict[_Node, tuple[int, ...]] = {}  # what is at each node, by its heads: one or none

    def run(self) -> None:
        for commit in reversed(self.graph.parents):
            for path in self.graph.paths[commit]:
                node = _Node(commit, path)
                self.versions[node] = self._version(node)

    def heads(self, node: _Node) -> tuple[Id, ...]:
        """The name of the version that is a node's text."""
        return tuple(self.patches[version].id for version in self.versions[node])

    def _version(self, node: _Node) -> tuple[int, ...]:
        heads = tuple({head for link in self.graph.links[node].values() for head in self.versions[link]})
        if len(heads) > 1:
            heads = self.events.dominators(heads)
        blob = self.graph.files[node]
        if blob and not blob.size:
            blob = None
        if len(heads) > 1:
            old = self.merge.text_at(heads)
        else:
            known = self.blobs[heads[0]] if heads else None
            if known == blob:
                return heads
            old = self._text(known, node)
        for patch in self._made(node, heads, diff(old, self._text(blob, node))):
            heads = (
                self.events.append(patch.time, patch.session, heads, patch.ops, patch.author, patch.wall),
            )
            self.patches.append(patch)
        self.blobs[heads[0]] = blob
        return heads

    def _made(
        self, node: _Node, heads: tuple[int, ...], splices: Iterable[tuple[int, int, str]]
    ) -> list[Patch]:
        """What a commit did, one patch or, where that doesn't fit a row, a chain of them."""
        commit = _Commit(self.objects.read(node.commit))
        source = sha256(node.commit.encode() + b":" + node.path).digest()
        session = "".join(_DIGITS[byte % 36] for byte in source[:12])
        made: list[Patch] = []
        parents = [self.patches[head].id for head in heads]
        chain = chained(compose(splices))
        for ops in chain:
            time = max(commit.time, 1 + max((parent.time for parent in parents), default=0))
            message = commit.message if len(made) == len(chain) - 1 else None
            try:
                patch = Patch.of_ops((time, session), parents, ops, commit.author, commit.wall, message)
            except PatchError as error:
                raise MalformedRow(f"commit {node.commit}: {error}") from None
            made.append(patch)
            parents = [patch.id]
        return made

    def _text(self, blob: _Blob | None, node: _Node) -> str:
        try:
            return self.objects.text(blob) if blob else ""
        except MalformedRow as error:
            raise MalformedRow(f"commit {node.commit}: {os.fsdecode(node.path)!r} {error}") from None


class _Commit:
    """What a patch takes from a commit object: `author`, `wall`, `time`, `message`."""

    def __init__(self, data: bytes) -> None:
        head, _, body = data.partition(b"\n\n")
        fields: dict[bytes, bytes] = {}
        for line in head.split(b"\n"):
            name, _, value = line.partition(b" ")
            fields.setdefault(name, value)
        encoding = fields.get(b"encoding", b"utf-8").decode("latin-1")
        author, written = _person(fields.get(b"author", b""))
        _, committed = _person(fields.get(b"committer", b""))
        self.author = _cut(_decoded(author, encoding), MAX_AUTHOR)
        self.wall = min(max(written, 0), MAX_TIME)
        self.time = min(max(committed, 1), _LATEST)
        self.message = _cut(_decoded(body, encoding).strip("\n"), MAX_MESSAGE) or None


def _person(line: bytes) -> tuple[bytes, int]:
    """A name, or the address where there is none, and a time in microseconds; 0 if it can't be read."""
    name, _, rest = line.rpartition(b"<")
    address, _, written = rest.partition(b">")
    found = _SECONDS.match(written)
    return name.strip() or address, int(found[1]) * 1_000_000 if found else 0


def _decoded(data: bytes, encoding: str) -> str:
    """Old commits say how they are encoded, and some say it wrongly."""
    if len(data) > 1 << 16:
        encoding = "utf-8"  # of what may be said, some takes quadratic time
    for name in (encoding, "utf-8"):
        try:
            text = data.decode(name)
            text.encode()  # there are encodings that give lone surrogates
            return text
        except (LookupError, ValueError):
            pass
    return data.decode("latin-1")


def _cut(text: str, most: int) -> str:
    """As much of the text's beginning as `most` bytes of UTF-8 hold."""
    return text.encode()[:most].decode(errors="ignore")


# --- asking git -----------------------------------------------------------------------------------------


class _Git:
    """One repository, asked by processes that end when they have answered."""

    def __init__(self, repo: str) -> None:
        self.repo = repo
        self.environment = {k: v for k, v in os.environ.items() if k not in _ELSEWHERE} | _ENVIRONMENT

    def command(self, *args: str) -> list[str]:
        return ["git", "-C", self.repo, *args]

    def ask(self, *args: str, given: bytes = b"") -> tuple[int, bytes, str]:
        """Exit status, what it wrote, and what it complained of in one line."""
        try:
            done = subprocess.run(
                self.command(*args), input=given, capture_output=True, env=self.environment, check=False
            )
        except (OSError, ValueError) as error:
            raise _no_git(error) from None
        lines = done.stderr.decode(errors="replace").strip().split("\n")
        complaint = next((line for line in lines if line.startswith(("error:", "fatal:"))), lines[0])
        return done.returncode, done.stdout, complaint

    def run(self, *args: str, given: bytes = b"") -> bytes:
        status, out, complaint = self.ask(*args, given=given)
        if status:
            raise CorruptStore(
                f"git {args[0]} failed in {self.repo!r} ({complaint or status}); `git fsck` there says more"
            )
        return out

    def path(self, path: str | os.PathLike[str]) -> bytes:
        """Where in the repository's trees a path lies that is relative to the folder given."""
        status, out, complaint = self.ask("rev-parse", "--show-prefix")
        if status:
            raise UnknownVersion(
                f"{self.repo!r} is no readable git repository ({complaint}); name its folder, or one in it"
            )
        name = os.fspath(path)
        if name and _can_be_said(name) and not posixpath.isabs(name):
            inside = posixpath.normpath(out.removesuffix(b"\n") + os.fsencode(name))
            if inside.split(b"/")[0] not in (b".", b".."):
                return inside
        raise UnknownVersion(f"{name!r:.80} names no file there; paths are relative to {self.repo!r}")

    def commit(self, ref: str) -> str | None:
        """The full name of the commit that a revision means."""
        if not ref or ref.startswith("-") or not _can_be_said(ref):
            return None
        # What follows :/ is searched for in messages to its very end.
        name = ref if ref.startswith(":/") else ref + "^{commit}"
        _, out, _ = self.ask("rev-parse", "--verify", "--quiet", name)
        found = out.strip().decode("latin-1")
        return found if re.fullmatch("[0-9a-f]{40,64}", found) else None

    def parents(self, tip: str) -> dict[str, list[str]]:
        """Each commit reachable from the tip with its parents, children first."""
        lines = self.run("rev-list", "--topo-order", "--parents", tip).decode("latin-1").splitlines()
        found = {line.split(" ")[0]: line.split(" ")[1:] for line in lines if _PARENTS.fullmatch(line)}
        known = {tip}.union(*found.values())
        if len(found) != len(lines) or not known <= found.keys():
            raise CorruptStore(f"git rev-list tells half a history of {self.repo!r}; ask `git fsck` there")
        return found

    def files(self, nodes: list[_Node]) -> list[_Blob | None]:
        """The regular file that each node is, or None."""
        names = [node.commit.encode() + b":" + node.path for node in nodes]
        found = self._look_up(names)
        # Links are blobs, too: those that it makes a difference to follow.
        small = [place for place, blob in enumerate(found) if blob and blob.size <= _LONGEST_LINK]
        followed = self._look_up([names[place] for place in small], "--follow-symlinks")
        for place, target in zip(small, followed, strict=True):
            if target != found[place]:
                found[place] = None
        return found

    def _look_up(self, names: list[bytes], *options: str) -> list[_Blob | None]:
        """The blobs of that name; None where there is no such thing, or another one."""
        if not names:
            return []
        if any(b"\n" in name for name in names):
            end, options = b"\0", (*options, "-z")
        else:
            end = b"\n"
        out = self.run("cat-file", "--batch-check", *options, given=b"".join(name + end for name in names))
        blobs: list[_Blob | None] = []
        at = 0
        for name in names:
            blob = None
            if found := _FOUND.match(out, at):
                at = found.end()
                if found[2] == b"blob" and found[3]:
                    blob = _Blob(found[1].decode(), int(found[3]))
            elif found := _LED_AWAY.match(out, at):
                at = found.end() + int(found[1]) + 1
            elif out.startswith(missing := name + b" missing\n", at):
                at += len(missing)
            else:
                raise CorruptStore(f"git cat-file answered {out[at : at + 80]!r} in {self.repo!r}")
            blobs.append(blob)
        return blobs

    def renamed(self, changes: list[_Change]) -> list[bytes | None]:
        """For each change, what the file is called in the parent if it has another name there."""
        if not changes:
            return []
        pairs = "".join(f"{change.node.commit} {change.parent}\n" for change in changes)
        out = self.run(
            "diff-tree", "--stdin", "--always", "-r", "-z", "--raw", "-M50%", "-l1000", "--diff-filter=ADRT",
            given=pairs.encode(),
        )  # fmt: skip
        tokens = iter(out.split(b"\0"))
        next(tokens)  # the commit that what follows is of
        names = []
        for node, parent, appears in changes:
            name, told = None, False
            while (token := next(tokens, b"")).startswith(b":"):
                before = after = next(tokens, b"")
                if token[-1:].isdigit():  # how alike they are: it was renamed
                    after = next(tokens, b"")
                if node.path == (after if appears else before):
                    told = True
                    if appears and before != after:
                        name = before
            if not told:  # the file is on both sides, and one of them can't be read
                commit = parent if appears else node.commit
                raise CorruptStore(
                    f"{os.fsdecode(node.path)!r} can't be read in commit {commit} of {self.repo!r}; "
                    "`git fsck` there says more"
                )
            names.append(name)
        return names

    def why_no_file(self, commit: str, path: bytes, rev: str) -> str:
        """In words, what is at a path where no regular file is."""
        shown = f"{os.fsdecode(path)!r} in {rev!r:.80} of {self.repo!r}"
        out = self.run("ls-tree", "--full-tree", "-z", commit, "--", os.fsdecode(path))
        kind = _KINDS.get(out.partition(b" ")[0])
        if out.startswith(b"100"):
            raise CorruptStore(f"{shown} can't be read; `git fsck` there says more")
        if kind is None:
            return f"no file {shown}; paths are relative to the folder given"
        return f"{shown} is {kind}; the history of a regular file can be read"


class _Objects:
    """Objects by their names, from one process that waits for the next question."""

    def __init__(self, git: _Git) -> None:
        self._git = git
        self._texts: OrderedDict[str, str] = OrderedDict()
        try:
            self._process = subprocess.Popen(
                git.command("cat-file", "--batch"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=git.environment,
            )
        except OSError as error:
            raise _no_git(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def read(self, name: str) -> bytes:
        """The bytes of an object."""
        questions, answers = self._process.stdin, self._process.stdout
        assert questions is not None and answers is not None
        try:
            questions.write(name.encode() + b"\n")
            questions.flush()
            found = _FOUND.fullmatch(answers.readline())
            if found and found[3]:
                data = answers.read(int(found[3]))
                if len(data) == int(found[3]) and answers.read(1) == b"\n":
                    return data
        except BrokenPipeError:
            pass
        raise CorruptStore(f"object {name} can't be read from {self._git.repo!r}; `git fsck` there says more")

    def text(self, blob: _Blob) -> str:
        """The text of a file."""
        if blob.id in self._texts:
            self._texts.move_to_end(blob.id)
            return self._texts[blob.id]
        text = None
        if blob.size <= 4 * MAX_TEXT:
            try:
                text = self.read(blob.id).decode()
            except UnicodeDecodeError as error:
                raise MalformedRow(
                    f"is not UTF-8 at byte {error.start} of {blob.size}; only text has a history here"
                ) from None
        if text is None or len(text) > MAX_TEXT:
            raise MalformedRow(f"has {blob.size:,} bytes; a text has at most {MAX_TEXT:,} code points")
        self._texts[blob.id] = text
        if len(self._texts) > _TEXTS_KEPT:
            self._texts.popitem(last=False)
        return text


def _can_be_said(name: str) -> bool:
    """Whether a process can be given that as an argument."""
    try:
        return "\0" not in name and len(os.fsencode(name)) < 1 << 16
    except UnicodeEncodeError:
        return False


def _no_git(error: Exception) -> UnknownVersion:
    return UnknownVersion(f"git can't be run ({error}); is it installed and on PATH?")
