"""Engines in one machine: ours, two CRDTs, and a fold of diff-match-patch patches; the guides' examples."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from syncstring.testing.engines import Exchange, check_engine
from syncstring.testing.oracle import Broken

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "examples"))

import engines  # noqa: E402


@pytest.mark.parametrize("name", ["ours", "pycrdt", "loro"])
def test_an_engine_keeps_what_it_promises(name: str) -> None:
    if name != "ours":
        pytest.importorskip(name)
    engine, promised = engines.ENGINES[name]
    check_engine(engine, **promised)


def test_a_fold_of_patches_loses_what_somebody_typed() -> None:
    with pytest.raises(Broken, match="is lost: it was typed, and nobody deleted it") as broken:
        check_engine(engines.Fold, laws={"content"}, ordered=True, seed=1)
    assert len(re.findall(r"^world\.", broken.value.__notes__[0], re.M)) <= 12


def test_the_example_in_the_guide_is_what_the_harness_prints() -> None:
    guide = (ROOT / "PROVING.md").read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "engines.py", "fold"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert done.stdout.strip() in guide


@pytest.mark.parametrize("guide", ["prove_store", "prove_editor"])
def test_the_guides_whole_examples_prove_what_they_say(guide: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{guide}.py"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "worlds" in done.stdout


def test_ties_that_each_replica_decides_for_itself_are_found() -> None:
    class Selfish(engines.Ours):  # type: ignore[misc]
        """Nothing is lost; only who stands first at one place is whoever came first."""

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.shown = ""

        @property
        def text(self) -> str:
            return self.shown

        def splice(self, pos: int, delete: int, insert: str) -> None:
            self.document.set_text(self.shown)
            super().splice(pos, delete, insert)
            self.shown = self.document.text

        def give(self, message: list[bytes]) -> None:
            before = self.document.text
            super().give(message)
            new = [letter for letter in self.document.text if letter not in before]
            old = [letter for letter in self.shown if letter in self.document.text]
            self.shown = "".join(old + new)

    with pytest.raises(Broken) as found:
        check_engine(Selfish, laws={"content"}, seed=3)
    assert found.value.law in ("converge", "content")


class Wrong(engines.Ours):  # type: ignore[misc]
    """An engine to be broken in one way each."""


def broken(engine: Any) -> str:
    with pytest.raises(Broken) as found:
        check_engine(engine, seed=2)
    return found.value.law


def test_an_engine_that_does_not_merge_is_found() -> None:
    class ByArrival:
        """Positions are taken as they come."""

        def __init__(self, name: str) -> None:
            self.name, self.text, self.out = name, "", list[tuple[int, int, str]]()

        def splice(self, pos: int, delete: int, insert: str) -> None:
            self.text = self.text[:pos] + insert + self.text[pos + delete :]
            self.out.append((pos, delete, insert))

        def take(self) -> list[tuple[int, int, str]]:
            out, self.out = self.out, []
            return out

        def give(self, message: list[tuple[int, int, str]]) -> None:
            for pos, delete, insert in message:
                pos = min(pos, len(self.text))
                self.text = self.text[:pos] + insert + self.text[pos + delete :]

    assert broken(ByArrival) in ("content", "converge", "order", "piece")


def test_an_engine_that_doubles_what_comes_again_is_found() -> None:
    class Doubling(Wrong):
        def give(self, message: list[bytes]) -> None:
            before = self.document.text
            super().give(message)
            if message and self.document.text == before and before:
                self.document.insert(0, before[0])

    assert broken(Doubling) == "content"


def test_what_two_delete_goes_once() -> None:
    world = Exchange(0, engines.Ours)
    world.begin(1)
    world.type(0, 0, 0, "ab")
    world.send(0)
    world.deliver(0)
    world.type(0, 0, 1, "")
    world.type(1, 0, 2, "")
    world.end()
    assert {person.replica.text for person in world.people} == {""}
