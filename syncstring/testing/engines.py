"""Any engine that merges texts, held to the same laws: `check_engine`, and the world it lives in.

The law of this room. An engine is known by four things that a replica can do (`Replica`). Replicas send each
other what they did; messages come late, in any order, twice, not at all while a line is cut, and, if the
engine can tell everything it knows, may get lost. After every action what `oracle` demands must hold: each
letter that nobody deleted is there once and no other, runs stay whole; who knows the same edits has the same
text; and in the end all have one text.

It asks an engine no question but its text, so it is fair to any design. What an engine doesn't promise can be
left out (`laws`, `ordered`), and is then not shown to hold.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from syncstring.testing.oracle import LAWS, Broken, Copy, Oracle
from syncstring.testing.world import World, action, search, spelled

if TYPE_CHECKING:
    from syncstring.testing.machines import ConvergenceMachine

__all__ = ["Exchange", "Replica", "check_engine", "engine_machine"]

MOST: int = 4  # replicas at once


class Replica(Protocol):
    """One person's copy of the text. Offsets are code points."""

    @property
    def text(self) -> str:
        """What the person sees."""

    def splice(self, pos: int, delete: int, insert: str) -> None:
        """The person replaces `delete` letters at `pos` by `insert`."""

    def take(self) -> Any:
        """A message to all others with what was done here since the last call."""

    def give(self, message: Any) -> None:
        """A message of another replica arrives, perhaps again."""

    # Where an engine has it, `everything()` gives a message with all that this replica knows. Only then
    # messages get lost, and somebody joins late.


ReplicaFactory: TypeAlias = Callable[[str], Replica]
"""Opens a new replica. Its name is no other's."""


class _Mail(NamedTuple):
    """A message on its way."""

    to: int
    sender: int
    names: tuple[tuple[int, int], ...]  # the edits in it
    messages: tuple[Any, ...]  # one each


class _Person:
    def __init__(self, replica: Replica, copy: Copy) -> None:
        self.replica = replica
        self.copy = copy
        self.unsent: list[tuple[tuple[int, int], Any]] = []  # edits and what tells of them
        self.arrived: set[tuple[int, int]] = set()  # edits that came and wait for what they saw
        self.is_cut = False
        self.edits = 0


class Exchange(World):
    """Replicas of one engine that send each other messages. `ordered`: a message comes only where all that
    its author saw has come before."""

    def __init__(
        self,
        seed: int,
        engine: ReplicaFactory,
        *,
        laws: Iterable[str] = LAWS,
        ordered: bool = False,
        made_by: str | None = None,
    ) -> None:
        self._engine = engine
        self.oracle = Oracle(laws)
        told = f", laws={sorted(self.oracle.laws)}" if self.oracle.laws != LAWS else ""
        name, _ = spelled(engine, "engine")
        super().__init__(seed, made_by or f"Exchange({seed}, {name}{told}{', ordered=True' * ordered})")
        self.ordered = ordered
        self.people: list[_Person] = []
        self.mail: list[_Mail] = []
        self.past: list[_Mail] = []  # what was delivered, and may come again
        self.texts: dict[int, str] = {}  # by what is known
        self._lost = False

    def imports(self) -> list[str]:
        return [*super().imports(), spelled(self._engine, "engine")[1]]

    def can(self, name: str) -> bool:
        if name in ("join", "lose"):
            return bool(self.people) and hasattr(self.people[0].replica, "everything")
        if name in ("deliver", "repeat"):
            return bool(self.mail if name == "deliver" else self.past)
        return bool(self.people) or name == "begin"

    # --- actions ------------------------------------------------------------------------------------

    @action(0, "few")
    def begin(self, people: int) -> None:
        """So many are there from the start, two at least."""
        for _ in range(max(2, people)):
            self._add()

    def _add(self) -> _Person:
        name = chr(ord("a") + len(self.people))
        replica = self._engine(name)
        person = _Person(replica, Copy(self.oracle))
        self.people.append(person)
        return person

    @action(2, "few", "few")
    def join(self, who: int, _: int = 0) -> None:
        """Somebody comes late, and is told everything by somebody who is there."""
        if len(self.people) >= MOST:
            return
        source = self._person(who)
        if source.arrived:
            return  # engines may or may not pass on what waits
        self._send(source)
        message = source.replica.everything()  # type: ignore[attr-defined]
        person = self._add()
        person.replica.give(message)
        person.copy.becomes(self._names(source), person.replica.text)
        here, there = self.people.index(person), self.people.index(source)
        self.mail += [mail._replace(to=here) for mail in self.mail if mail.to == there]

    @action(30, "number", "number", "few", "text")
    def type(self, who: int, pos: int, delete: int, text: str) -> None:
        """Somebody types."""
        person = self._person(who)
        pos %= len(person.copy.chars) + 1
        delete = min(delete, len(person.copy.chars) - pos)
        if any(self.oracle.is_open(char) for char in person.copy.chars[pos : pos + delete]):
            self._close(person)  # so that no edit comes to nothing: engines differ in what they tell of such
        if text or delete:
            person.replica.splice(pos, delete, text)
            person.copy.edit([(pos, delete, text)])

    @action(14, "number")
    def send(self, who: int) -> None:
        """Somebody sends what was done to everybody."""
        self._send(self._person(who))

    def _send(self, person: _Person) -> None:
        self._close(person)
        if person.unsent:
            sender = self.people.index(person)
            names, messages = zip(*person.unsent, strict=True)
            person.unsent = []
            self.mail += [
                _Mail(to, sender, names, messages) for to in range(len(self.people)) if to != sender
            ]

    @action(30, "number")
    def deliver(self, which: int) -> None:
        """A message arrives, any of those on their way."""
        free = [mail for mail in self.mail if self._passes(mail)]
        if free:
            mail = free[which % len(free)]
            self.mail.remove(mail)
            self.past.append(mail)
            self._give(mail)

    @action(4, "number")
    def repeat(self, which: int) -> None:
        """A message arrives again."""
        if self.past:
            self._give(self.past[which % len(self.past)])

    @action(2, "number")
    def lose(self, which: int) -> None:
        """A message doesn't arrive."""
        if self.mail:
            self.mail.pop(which % len(self.mail))
            self._lost = True

    @action(3, "number")
    def cut(self, who: int) -> None:
        """Nothing gets through to somebody, nor from them."""
        self._person(who).is_cut = True

    @action(5, "number")
    def heal(self, who: int) -> None:
        """It does again."""
        self._person(who).is_cut = False

    # --- how it goes ------------------------------------------------------------------------------------

    def _person(self, who: int) -> _Person:
        return self.people[who % len(self.people)]

    def _passes(self, mail: _Mail) -> bool:
        person = self.people[mail.to]
        if person.is_cut or self.people[mail.sender].is_cut:
            return False
        if not self.ordered:
            return True
        known, own = person.copy.known, 0
        for name in mail.names:
            own |= 1 << self.oracle.number(name)
        return not self.oracle.version(mail.names) & ~(known | own)

    def _close(self, person: _Person) -> None:
        """What was done here so far was done without seeing what comes now."""
        name = (self.people.index(person), person.edits)
        if person.copy.commit(name):
            person.edits += 1
            person.unsent.append((name, person.replica.take()))

    def _names(self, person: _Person) -> list[Any]:
        return self.oracle.names(person.copy.known)

    def _give(self, mail: _Mail) -> None:
        person = self.people[mail.to]
        self._close(person)
        for message in mail.messages:
            person.replica.give(message)
        person.arrived.update(mail.names)
        self._look(person)

    def _look(self, person: _Person) -> None:
        """Of what arrived, that counts whose author saw nothing that isn't here."""
        oracle, copy = self.oracle, person.copy
        known = copy.known
        ready: set[tuple[int, int]] = set()
        while True:
            more = {
                name
                for name in person.arrived - ready
                if not oracle.version([name]) & ~(known | 1 << oracle.number(name))
            }
            if not more:
                break
            ready |= more
            known |= oracle.version(more)
        person.arrived -= ready
        try:
            copy.becomes(ready, person.replica.text)
        except Broken as broken:
            if not person.arrived:
                raise
            hint = "edits came before what their authors saw: an engine that shows them at once is `ordered`"
            raise Broken(broken.law, f"{broken}; {hint}") from None

    # --- what must hold ------------------------------------------------------------------------------------

    def check(self) -> None:
        for person in self.people:
            text = person.replica.text
            if text != person.copy.text:
                raise Broken(
                    "content", f"{text!r} is shown, and by what was done it must be {person.copy.text!r}"
                )
            if not person.copy.uncommitted:
                known = self.texts.setdefault(person.copy.known, text)
                if known != text:
                    raise Broken("converge", f"who knows the same shows {text!r} here, and {known!r} there")

    def settle(self) -> None:
        for person in self.people:
            person.is_cut = False
        for person in list(self.people):
            self.send(self.people.index(person))
        while any(map(self._passes, self.mail)):
            self.deliver(0)
        if self.mail and not self._lost:
            raise Broken("content", "messages wait for one that doesn't come")
        if self._lost:
            told = [person.replica.everything() for person in self.people]  # type: ignore[attr-defined]
            names = {name for person in self.people for name in self._names(person)}
            for person in self.people:
                for message in told * (2 if self.ordered else 1):  # perhaps in the wrong order at first
                    person.replica.give(message)
                person.arrived.update(names)
                self._look(person)
        self.check()
        for person in self.people:
            person.copy.check()
        texts = {person.replica.text for person in self.people}
        if len(texts) > 1:
            raise Broken("converge", f"all know the same in the end, and show {sorted(texts)!r:.300}")


def check_engine(
    engine: ReplicaFactory,
    *,
    laws: Iterable[str] = LAWS,
    ordered: bool = False,
    examples: int = 200,
    steps: int = 60,
    seed: int | None = None,
) -> None:
    """Hold an engine to the laws. AssertionError tells the smallest failure found, as a script.

    `engine(name)` opens a new, empty replica. `laws` are those that it promises; Where
    messages come before what their authors saw, an engine must hold them back; one that doesn't is
    `ordered`, and gets them in order. `examples` runs of up to `steps` steps follow from the `seed`;
    a quarter as many are drawn by Hypothesis, in `engine_machine`.
    """
    from syncstring.testing.machines import run_machine  # the only place that needs Hypothesis

    promised = frozenset(laws)

    def make(seed: int) -> Exchange:
        return Exchange(seed, engine, laws=promised, ordered=ordered)

    first = random.SystemRandom().randrange(1 << 32) if seed is None else seed * examples
    for nth in range(examples):
        search(lambda nth=nth: make(first + nth), 3 + steps * (nth + 1) // examples)  # type: ignore[misc]
    run_machine(engine_machine(make), examples=max(1, examples // 4), steps=steps // 2, seed=seed)


def engine_machine(make: Callable[[int], Exchange]) -> type[ConvergenceMachine]:
    """A machine whose world `make(seed)` gives."""
    from syncstring.testing.machines import ACTION_OF, ConvergenceMachine

    # Rules that can't apply are taken out: Hypothesis would draw them, and draw again.
    unknown = {rule: None for rule, name in ACTION_OF.items() if name not in Exchange.actions}
    return type("EngineMachine", (ConvergenceMachine,), {**unknown, "make": lambda _, seed: make(seed)})
