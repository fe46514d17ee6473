"""What the tests of the command line run, and what they run it on: traces and repositories made here."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from vt import syncstring

from syncstring.cli import main


class Result(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Result]


def runner(captured: pytest.CaptureFixture[bytes]) -> Run:
    """Runs command lines in this process."""

    def run(*args: str | Path) -> Result:
        captured.readouterr()
        status = main([str(arg) for arg in args])
        out, err = captured.readouterr()
        return Result(status, out.decode(), err.decode())

    return run


def real(*args: str | Path, stdin: Any = subprocess.DEVNULL, **env: str) -> Result:
    """Runs a command line in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR",)} | env
    done = subprocess.run(
        syncstring(*map(str, args)), stdin=stdin, capture_output=True, env=environment, check=False
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


NOTES = {
    "kind": "concurrent",
    "numAgents": 2,
    "agents": ["ada", "bob"],
    "endContent": "one two\nthree\n",
    "txns": [
        {"agent": 0, "parents": [], "time": "2026-11-03T17:00:00Z", "patches": [[0, 0, "one\nthree\n"]]},
        {"agent": 1, "parents": [0], "time": "2026-11-03T17:01:00Z", "patches": [[3, 0, " two"]]},
        {"agent": 0, "parents": [0], "time": "2026-11-03T17:02:00Z", "patches": [[10, 0, "!"]]},
        {"agent": 0, "parents": [1, 2], "time": "2026-11-03T18:00:00Z", "patches": [[14, 1, ""]]},
    ],
}
VERSIONS = ["", "one\nthree\n", "one two\nthree\n", "one two\nthree\n!", "one two\nthree\n"]


def write(path: Path, trace: dict[str, Any]) -> Path:
    path.write_text(json.dumps(trace))
    return path


def one_author(*texts: str) -> dict[str, Any]:
    """A trace in which one author replaces text by text."""
    txns, before = [], ""
    for text in texts:
        txns.append({"patches": [[0, len(before), text]]})
        before = text
    return {"endContent": before, "txns": txns}


class Repository:
    """A repository with a history of one file, `notes.md`, which was `draft.md` once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 1_790_000_000
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *args: str) -> str:
        env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_AUTHOR_DATE": f"{self.now} +0100",
            "GIT_COMMITTER_DATE": f"{self.now} +0100",
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "c",
            "GIT_COMMITTER_EMAIL": "c@example.org",
        }
        return subprocess.run(
            ["git", *args], cwd=self.path, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, message: str, author: str, **files: str) -> str:
        self.now += 60
        for name, text in files.items():
            (self.path / name.replace("_", ".")).write_bytes(text.encode())
        self.git("add", "--all")
        self.git(
            "commit", "--quiet", "--allow-empty", "-m", message, f"--author={author} <{author}@example.org>"
        )
        return self.git("rev-parse", "HEAD")


def small_repository(path: Path) -> Repository:
    """One with a rename, a branch and a merge."""
    repo = Repository(path)
    repo.commit("Begin", "ada", draft_md="one\ntwo\nthree\nfour\n")
    repo.git("mv", "draft.md", "notes.md")
    repo.commit("Rename", "ada")
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit("Say zero\n\nFor completeness.", "bob", notes_md="zero\none\ntwo\nthree\nfour\n")
    repo.git("checkout", "--quiet", "main")
    repo.commit("Say five", "ada", notes_md="one\ntwo\nthree\nfour\nfive\n")
    repo.git("merge", "--quiet", "--no-edit", "side", "-m", "Merge side")
    repo.git("tag", "v1")
    repo.commit("Another file", "cyd", other_md="x\n")
    return repo
