"""A simulated world under Hypothesis: it draws what happens, and cuts a failure down to what matters.

The law of this room. `ConvergenceMachine` has a rule for everything that can happen in a `network.World`,
whose laws hold after every step and at the end. A failure is reported by Hypothesis as the steps that lead to
it, and once more as a script that needs no Hypothesis. Subclass it and fill in `make` to hold your own store,
editor or engine to the same laws.

    class TestMine(ConvergenceMachine.TestCase): ...

It doesn't know what a world is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from syncstring.testing.network import World
from syncstring.testing.world import World as Scripted

__all__ = ["ConvergenceMachine", "run_machine"]

F = TypeVar("F", bound=Callable[..., object])

MAIL: Final = ("deliver", "repeat", "lose")  # what happens to messages, in a world that has them

_numbers = st.integers(0, 255)
_few = st.integers(0, 3)
_lengths = st.integers(0, 5)
_yes = st.booleans()


def _can(name: str) -> Callable[[F], F]:
    """Only where the world knows that, and it makes sense now."""
    check: Callable[[F], F] = precondition(lambda self: name in self.world.actions and self.world.can(name))
    return check


class ConvergenceMachine(RuleBasedStateMachine):
    """People who edit one text through a store that fails, drawn by Hypothesis.

    `make(seed)` gives the world: a `network.World` with simulated faults, unless a subclass says otherwise. A
    rule whose action the world doesn't know is left out. `world` is there to be looked at in rules of your
    own; `world.oracle` knows every letter that was typed.
    """

    world: Scripted

    def make(self, seed: int) -> Scripted:
        """The world of one run."""
        return World(seed)

    @initialize(seed=st.integers(0, (1 << 16) - 1), people=st.integers(1, 3))
    def begin(self, seed: int, people: int) -> None:
        self.world = self.make(seed)
        self.world.begin(people)

    # --- editing ------------------------------------------------------------------------------------

    @rule(who=_few, pos=_numbers, delete=_few, count=_lengths, block=_few)
    @_can("type")
    def edit(self, who: int, pos: int, delete: int, count: int, block: int) -> None:
        self._do("type", who, pos, delete, self.world.letters(count, block))

    @rule(who=_few, pos=_numbers, delete=_few, count=_lengths)
    @_can("set_text")
    def set_text(self, who: int, pos: int, delete: int, count: int) -> None:
        self._do("set_text", who, pos, delete, self.world.letters(count))

    @rule(who=_few, says=_yes)
    @_can("commit")
    def commit(self, who: int, says: bool) -> None:
        self._do("commit", who, says)

    @rule(who=_few, redo=_few)
    @_can("undo")
    def undo(self, who: int, redo: int) -> None:
        self._do("undo", who, redo)

    @rule(who=_few, which=_numbers)
    @_can("revert")
    def revert(self, who: int, which: int) -> None:
        self._do("revert", who, which)

    @rule(who=_few, which=_numbers)
    @_can("restore")
    def restore(self, who: int, which: int) -> None:
        self._do("restore", who, which)

    @rule(who=_few)
    @_can("go_away")
    def go_away(self, who: int) -> None:
        self._do("go_away", who)

    @rule(who=_few, pos=_numbers, delete=_few, count=_lengths, lags=_yes)
    @_can("edit_at")
    def edit_at(self, who: int, pos: int, delete: int, count: int, lags: bool) -> None:
        self._do("edit_at", who, pos, delete, self.world.letters(count), lags)

    @rule(who=_few, pos=_numbers, after=_yes)
    @_can("point")
    def point(self, who: int, pos: int, after: bool) -> None:
        self._do("point", who, pos, after)

    # --- traffic ------------------------------------------------------------------------------------

    @rule(who=_few)
    @_can("send")
    def send(self, who: int) -> None:
        self._do("send", who)

    @rule(who=_few)
    @_can("receive")
    def receive(self, who: int) -> None:
        self._do("receive", who)

    @rule(who=_few)
    @_can("refresh")
    def refresh(self, who: int) -> None:
        self._do("refresh", who)

    @rule(which=_numbers)
    @_can("go")
    def go(self, which: int) -> None:
        self._do("go", which)

    @rule(which=_numbers)
    @_can("finish")
    def finish(self, which: int) -> None:
        self._do("finish", which)

    @rule(which=_numbers)
    @_can("deliver")
    def deliver(self, which: int) -> None:
        self._do("deliver", which)

    @rule(which=_numbers)
    @_can("repeat")
    def repeat(self, which: int) -> None:
        self._do("repeat", which)

    @rule(which=_numbers)
    @_can("lose")
    def lose(self, which: int) -> None:
        self._do("lose", which)

    @rule(who=_few)
    @_can("cut")
    def cut(self, who: int) -> None:
        self._do("cut", who)

    @rule(who=_few)
    @_can("heal")
    def heal(self, who: int) -> None:
        self._do("heal", who)

    # --- what else happens --------------------------------------------------------------------------

    @rule(whole=_yes, disk=_yes)
    @_can("join")
    def join(self, whole: bool, disk: bool) -> None:
        self._do("join", whole, disk)

    @rule(who=_few)
    @_can("crash")
    def crash(self, who: int) -> None:
        self._do("crash", who)

    @rule(which=_few)
    @_can("restart")
    def restart(self, which: int) -> None:
        self._do("restart", which)

    @rule(which=_numbers)
    @_can("die")
    def die(self, which: int) -> None:
        self._do("die", which)

    @rule(everything=_yes)
    @_can("pack")
    def pack(self, everything: bool) -> None:
        self._do("pack", everything)

    @rule()
    @_can("sweep")
    def sweep(self) -> None:
        self._do("sweep")

    @rule(who=_few)
    @_can("drop_caches")
    def drop_caches(self, who: int) -> None:
        self._do("drop_caches", who)

    @rule(nth=_few, after=_yes)
    @_can("fail")
    def fail(self, nth: int, after: bool) -> None:
        self._do("fail", nth, after)

    @rule(who=_few, how=_few)
    @_can("jump")
    def jump(self, who: int, how: int) -> None:
        self._do("jump", who, how)

    @rule(who=_few, which=_numbers)
    @_can("look")
    def look(self, who: int, which: int) -> None:
        self._do("look", who, which)

    # --- the end ------------------------------------------------------------------------------------

    def _do(self, name: str, *args: Any) -> None:
        getattr(self.world, name)(*args)

    def check_invariants(self, *args: Any, **kwargs: Any) -> None:
        """Invariants of your own, too, fail with the script."""
        try:
            super().check_invariants(*args, **kwargs)
        except Exception as error:
            if hasattr(self, "world"):
                self.world.complain(error)
            raise

    def teardown(self) -> None:
        world = getattr(self, "world", None)
        if world is None:
            return
        try:
            if not world.broken:
                world.end()
        finally:
            world.close()


ACTION_OF: Final[Mapping[str, str]] = {
    "edit": "type",
    **{name: name for name in vars(ConvergenceMachine) if name in {*World.actions, *MAIL} - {"begin"}},
}
"""The action that each rule takes."""


def run_machine(
    machine: type[ConvergenceMachine], *, examples: int = 100, steps: int = 50, seed: int | None = None
) -> None:
    """Run a machine outside of a test runner: that many runs of that many steps. AssertionError tells the
    smallest failure, and the script that shows it. With a `seed` the same is drawn each time."""
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=seed == 0,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],  # explaining costs more than the script says
    )
    if seed:
        from hypothesis import seed as seeded

        machine = seeded(seed)(type(machine.__name__, (machine,), {}))
    run_state_machine_as_test(machine, settings=chosen)
