"""The world under Hypothesis: it holds, and a failure is small and can be run again without Hypothesis."""

from __future__ import annotations

import pytest
from hypothesis import settings

from syncstring.testing.machines import ACTION_OF, ConvergenceMachine, run_machine
from syncstring.testing.network import World
from syncstring.testing.oracle import Broken
from syncstring.testing.sites import PlainEditor, Splices
from syncstring.testing.world import World as Scripted


class TestConvergence(ConvergenceMachine.TestCase):  # type: ignore[misc,name-defined]
    settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


class GoodStore(ConvergenceMachine):
    def make(self, seed: int) -> Scripted:
        return World(seed, faults=False)


class TestGoodStore(GoodStore.TestCase):  # type: ignore[misc,name-defined]
    settings = settings(max_examples=80, stateful_step_count=60, deadline=None)


def test_every_action_of_the_world_has_a_rule() -> None:
    assert {name for name, each in World.actions.items() if each.weight} <= set(ACTION_OF.values())


def test_a_failure_is_small_and_comes_with_a_script() -> None:
    class Hasty(PlainEditor):
        def apply(self, splices: Splices) -> None:
            super().apply([splice for splice in splices if not splice[1]])

    class Mine(ConvergenceMachine):
        def make(self, seed: int) -> Scripted:
            return World(seed, faults=False, editor=Hasty)

    with pytest.raises(Broken) as broken:
        run_machine(Mine, examples=200, steps=30, seed=3)
    notes = "\n".join(broken.value.__notes__)
    assert broken.value.law == "editor"
    script = notes[notes.index("# Again") :].split("\n")
    calls = [line for line in script if line.startswith("world.")]
    assert 2 <= len(calls) <= 6
    assert any(line.startswith("world = World(") for line in script)
