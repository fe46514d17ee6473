"""A world that remembers what was done to it, so that a failure is a script that anybody can run again.

The law of this room. Everything that can happen in a world is an *action*: a method whose arguments are plain
numbers and texts, and that means something whatever happened before (numbers are taken modulo what is there).
So any list of actions can be carried out, one that fails can be cut down to the few that matter, and it is
written as calls that need no test runner. One seed decides everything that the actions leave open.

It doesn't know what a world is made of: `network` has documents in a store, `engines` replicas of any engine.
"""

from __future__ import annotations

import functools
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Concatenate, Final, NamedTuple, ParamSpec, Self, TypeAlias, TypeVar, cast

__all__ = ["Action", "Draw", "Found", "Script", "World", "action", "search", "shrunk", "spelled"]

Draw: TypeAlias = str
"""What an argument is drawn from: `number` 0 to 255, `few` 0 to 3, `text` new letters, `yes` a bool."""
Script: TypeAlias = Sequence[tuple[str, tuple[Any, ...]]]
"""Actions by name, with their arguments."""

P = ParamSpec("P")
W = TypeVar("W", bound="World")
Acts: TypeAlias = Callable[Concatenate[W, P], None]

# Letters of every width; each is typed once, so that a letter tells who it is. Readable ones first.
_BLOCKS: Final = (
    tuple(range(0x61, 0x7B)) + tuple(range(0x41, 0x5B)) + tuple(range(0x30, 0x3A)),
    # Among Latin letters, what editors like to tidy up: line ends, a mark, a joiner, U+0000.
    (*range(0xC0, 0xC8), 0x0D, 0x0A, 0x301, 0x200D, 0, 0x2028, *range(0xC8, 0x180)),
    tuple(range(0x4E00, 0xA000)),
    tuple(range(0x20000, 0x2A6D7)),
)


class Action(NamedTuple):
    """Something that can happen in a world."""

    name: str
    weight: int
    """How often a seed picks it, beside the others' weights."""
    draws: tuple[Draw, ...]
    """What its arguments are drawn from."""


def action(weight: int, *draws: Draw) -> Callable[[Acts[W, P]], Acts[W, P]]:
    """Make a method an action: its calls are written down, and `check` is called after each."""

    def mark(method: Acts[W, P]) -> Acts[W, P]:
        @functools.wraps(method)
        def acted(self: W, *args: P.args, **kwargs: P.kwargs) -> None:
            if self._ending:  # the end calls actions by itself
                method(self, *args, **kwargs)
                return
            self.script.append((method.__name__, args))
            try:
                method(self, *args, **kwargs)
                self.check()
            except Exception as error:
                self.complain(error)
                raise

        acted.is_action = Action(method.__name__, weight, draws)  # type: ignore[attr-defined]
        return cast(Acts[W, P], acted)

    return mark


class World:
    """What all worlds have in common. `made_by` is the call that makes one like this, for its script."""

    actions: ClassVar[Mapping[str, Action]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        found = {}
        for base in reversed(cls.__mro__):
            found.update(
                {name: value.is_action for name, value in vars(base).items() if hasattr(value, "is_action")}
            )
        cls.actions = found

    def __init__(self, seed: int, made_by: str) -> None:
        self.random = random.Random(seed)  # of what actions leave open
        self._dice = random.Random(f"dice {seed}")  # of which action comes next: a script replays without
        self.made_by = made_by
        self.script: list[tuple[str, tuple[Any, ...]]] = []
        self.broken = False
        self._ending = False
        # Each world has a taste of its own (swarm testing: Groce and others, ISSTA 2012): rare things meet.
        self._taste = {name: self._dice.choice((0.2, 1.0, 1.0, 3.0)) for name in self.actions}
        self._typed = [0] * len(_BLOCKS)

    # --- to be filled in --------------------------------------------------------------

    def begin(self, people: int) -> None:
        """So many people are there from the start."""

    def check(self) -> None:
        """What must hold after every action: raises AssertionError otherwise."""

    def settle(self) -> None:
        """Let everything end well: no more faults, everybody hears of everything; then check the rest."""

    def close(self) -> None:
        """Give back what isn't memory."""

    # --- chance --------------------------------------------------------------

    def letters(self, count: int, block: int = 0) -> str:
        """That many letters that nobody typed yet; `block` 0 to 3: ASCII, Latin, BMP, astral."""
        found = []
        block %= len(_BLOCKS)
        for _ in range(count):
            while block < len(_BLOCKS) - 1 and self._typed[block] == len(_BLOCKS[block]):
                block += 1
            letters = _BLOCKS[block]
            found.append(chr(letters[self._typed[block] % len(letters)]))
            self._typed[block] += 1
        return "".join(found)

    def draw(self, draw: Draw) -> Any:
        """An argument, from this world's own chance."""
        chance = self._dice
        if draw == "number":
            return chance.randrange(256)
        if draw == "few":
            return chance.choice((0, 0, 0, 1, 1, 2, 3))
        if draw == "yes":
            return chance.random() < 0.5
        assert draw == "text", draw
        return self.letters(chance.choice((0, 1, 1, 1, 2, 3, 5)), chance.choice((0, 0, 1, 2, 3)))

    def simpler(self, script: Script) -> Iterable[Script]:
        """Scripts that mean nearly the same and are easier to cut down."""
        return ()

    def can(self, name: str) -> bool:
        """Whether an action makes sense now; all do, unless a world says otherwise."""
        return True

    def step(self) -> None:
        """One action, drawn from this world's chance."""
        known = [each for name, each in self.actions.items() if each.weight and self.can(name)]
        (chosen,) = self._dice.choices(known, [each.weight * self._taste[each.name] for each in known])
        getattr(self, chosen.name)(*map(self.draw, chosen.draws))

    def live(self, steps: int) -> Self:
        """That many steps, then `settle`. If a law breaks, AssertionError has the script as a note."""
        for _ in range(steps):
            self.step()
        self.end()
        return self

    def end(self) -> None:
        """`settle`, as part of the script."""
        self.script.append(("end", ()))
        self._ending = True
        try:
            self.settle()
        except Exception as error:
            self.complain(error)
            raise

    # --- again --------------------------------------------------------------

    def complain(self, error: BaseException) -> None:
        """Tell with an error how to see it again, once."""
        self.broken = True
        if not any(note.startswith("# Again") for note in getattr(error, "__notes__", ())):
            error.add_note(self.written())

    def written(self) -> str:
        """The script: what was done, as a program."""
        lines = ["# Again, without a test runner:", *self.imports(), f"world = {self.made_by}"]
        lines += [f"world.{name}({', '.join(map(ascii, args))})" for name, args in self.script]
        return "\n".join(lines)

    def imports(self) -> list[str]:
        """The first lines of a script."""
        return [f"from {type(self).__module__} import {type(self).__name__}"]

    def perform(self, script: Script) -> None:
        """Carry out a script."""
        for name, args in script:
            getattr(self, name)(*args)


def spelled(part: object, what: str) -> tuple[str, str]:
    """How a script names something that was handed to a world, and the line that imports it."""
    module, name = getattr(part, "__module__", ""), getattr(part, "__qualname__", "")
    if not name.isidentifier() or not module:  # local, a lambda, a partial: nobody can import it
        name = name.rpartition(".")[2]
        name = name if name.isidentifier() else f"my_{what}"
        return name, f"# {name}: put your {what} here"
    if module == "__main__":
        module = Path(getattr(sys.modules[module], "__file__", None) or module).stem
    return name, f"from {module} import {name}"


class Found(NamedTuple):
    """A failure, cut down."""

    error: Exception
    script: Script
    """The actions that lead to it."""
    written: str
    """The same as a program."""


def search(make: Callable[[], W], steps: int, people: int = 2, seconds: float = 30.0) -> W:
    """Let a world live, with so many people at the start, and if a law breaks, raise that for the shortest
    script that is found within some `seconds`; that script is its note. The world is returned, closed."""
    world = make()
    try:
        world.begin(people)
        world.live(steps)
        return world
    except Exception as error:
        world.close()
        found = shrunk(make, world.script, seconds)
        if found is None:
            error.add_note(
                "# It didn't fail again when this was repeated: what a store did by itself matters."
            )
            raise
        found.error.__notes__ = [found.written]
        raise found.error from None
    finally:
        world.close()


def shrunk(make: Callable[[], World], script: Script, seconds: float = 30.0) -> Found | None:
    """Leave out of a script that fails whatever can be left out; delta debugging (Zeller, Hildebrandt, 2002).

    `make` gives a new world each time. Another failure than the first counts if it has the same type and
    the same law. None if the script doesn't fail. Ends after some `seconds` with the best so far.
    """
    best = _failure(make, script)
    if best is None:
        return None
    until = time.monotonic() + seconds

    def better(script: Script) -> bool:
        nonlocal best
        found = _failure(make, script) if time.monotonic() < until else None
        if found is None or best is None or _kind(found.error) != _kind(best.error):
            return False
        if _size(found.script) >= _size(best.script):  # else it would never end
            return False
        best = found
        return True

    nearly = make()
    for simpler in nearly.simpler(script):
        better(simpler)
    nearly.close()
    while time.monotonic() < until:
        before = best.script
        size = max(1, len(before) // 2)
        while size:
            for start in range(len(best.script) - size, -1, -size):  # from the end: what depends on most
                better([*best.script[:start], *best.script[start + size :]])
            size //= 2
        for at in range(len(best.script)):
            # Each success changes the script, so what else could be simpler is looked for again.
            while any(better(simpler) for simpler in _simpler(best.script, at)):
                pass
        if best.script == before:
            break
    return best


def _simpler(script: Script, at: int) -> Iterator[Script]:
    """The same with a smaller number, or a shorter text, in one action."""
    if at >= len(script):
        return
    name, args = script[at]
    for nth, value in enumerate(args):
        for smaller in (value[:1],) if isinstance(value, str) else map(type(value), range(4)):
            if smaller == value:
                break  # as small as can be tried
            yield [*script[:at], (name, (*args[:nth], smaller, *args[nth + 1 :])), *script[at + 1 :]]


def _size(script: Script) -> tuple[int, int, int]:
    """Fewer actions first; of as many, those that need less said of them."""
    values = [value for _, args in script for value in args]
    told = sum(len(value) if isinstance(value, str) else int(value) for value in values)
    return len(script), sum(name == "go" for name, _ in script), told


def _kind(error: Exception) -> tuple[type[Exception], str]:
    return type(error), getattr(error, "law", "")


def _failure(make: Callable[[], World], script: Script) -> Found | None:
    world = make()
    try:
        world.perform(script)
    except Exception as error:
        error.__context__ = None
        return Found(error, list(world.script), world.written())
    finally:
        world.close()
    return None
