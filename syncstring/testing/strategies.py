"""Hypothesis strategies: texts, edits, patches, rows good and bad, and whole concurrent histories.

What comes out is well-formed (but for what is drawn to be refused) and deterministic: the same choices
give the same values. A history is drawn as a list of steps that mean something whatever the steps before
them were (numbers are taken modulo what is there), so Hypothesis can leave out any of them, and what is left
of a failing history is the few patches that matter. Lengths that edits have to fit, and what taking a patch
back means, come from `reference`, never from what is to be tested. It doesn't know stores, networks or
documents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple, TypeVar

from hypothesis import strategies as st

from syncstring.patch import MAX_TIME_STEP, MIN_WILD_TIME, Id, Patch
from syncstring.testing.edits import FAR, Change, changes, deltas, fitted, splices, texts
from syncstring.testing.malformed import Flawed, malformed_rows, unsupported_rows
from syncstring.testing.reference import Graph, Item, Ops, PatchLike, Walker, compose, joined
from syncstring.testing.rows import NAMES, patches, rows

__all__ = [
    "Flawed", "deltas", "histories", "malformed_rows", "orders", "patches", "rows", "splices", "texts",
    "unsupported_rows",
]  # fmt: skip

P = TypeVar("P", bound=PatchLike)


class _Step(NamedTuple):
    """Somebody takes in what others wrote, changes the text and makes a patch of it."""

    replica: int
    back: int | None  # forget all but this patch (a restored backup, a copied file)
    receives: list[int]  # patches taken in first, with all their ancestors; 0 is the newest one
    redundant: bool  # name an ancestor of a parent as one more parent
    later: int  # by so much the clock is ahead
    changes: list[Change]
    takes_back: int | None  # instead of that, take back this patch: 0 is the own session's newest one
    misfit: bool
    leaves: int  # for so many more steps of its own the replica takes nothing in and shows nothing


_rarely = st.integers(0, 9).map(lambda n: n == 9)
_steps = st.builds(
    _Step,
    replica=st.integers(0, 3),
    back=_rarely.flatmap(lambda back: st.integers(0, FAR) if back else st.none()),
    receives=st.lists(st.integers(0, 3) | st.integers(0, FAR), max_size=2),
    redundant=_rarely,
    later=st.integers(0, 3),
    changes=st.lists(changes, min_size=1, max_size=3),
    takes_back=st.integers(0, 3).flatmap(
        lambda n: st.just(0) | st.integers(0, 1) | st.integers(0, FAR) if n == 3 else st.none()
    ),
    misfit=_rarely,
    leaves=_rarely.flatmap(lambda leaves: st.integers(1, 9) if leaves else st.just(0)),
)

# Instead of a step sometimes nothing, which is simpler: so a step can go while what later ones say by number
# stays what it was.
_maybe: st.SearchStrategy[_Step | None] = st.integers(0, 9).flatmap(lambda n: _steps if n else st.none())

# How far ahead each replica's clock is, in microseconds: at most a century, where patches without a parent
# near that time may not go much further.
_HOUR = 3_600_000_000
_ahead = st.just(0) | st.sampled_from([1, 1000, _HOUR, MIN_WILD_TIME - 4])
_clocks = st.just([0] * 4) | st.lists(_ahead, min_size=4, max_size=4)


def _time(clock: int, newest: int, is_taken: Callable[[int], bool]) -> int:
    """The first time from `clock` on that is free and above `newest`, the greatest parent's; if the format
    allows none so far from that, the first one above it."""
    for first in (max(clock, newest + 1), newest + 1):
        time = next(time for time in count(first) if not is_taken(time))
        if time < MIN_WILD_TIME or time <= newest + MAX_TIME_STEP:
            break
    return time


@st.composite
def histories(
    draw: st.DrawFn, max_patches: int = 20, misfits: bool = True, skewed: bool = True
) -> list[Patch]:
    """Patches of up to four replicas, parents before children; otherwise in no order of time.

    Replicas fork, merge, fall back to old versions, work alone for a while, and some share a session's name,
    so that a session is concurrent to itself. Some patches take back an earlier one, perhaps one that took
    back another. Some are empty, some name a parent that is an ancestor of another parent, and with `misfits`
    some don't fit their parents' text. Clocks may be a microsecond, an hour or a century apart, though a
    patch's time exceeds its parents' all the same; without `skewed`, times are a few microseconds after 1970.
    Shrinks to few patches of one session that insert "a".
    """
    names = draw(st.lists(st.sampled_from(NAMES), min_size=4, max_size=4))
    ahead = draw(_clocks) if skewed else [0] * len(names)
    least = draw(st.integers(0, max_patches // 2))  # left alone, lists of Hypothesis are mostly short
    steps = draw(st.lists(_maybe, min_size=least, max_size=max_patches))
    graph = Graph([])
    walker = Walker(graph)
    made: list[Patch] = []
    sent: list[tuple[Id, ...]] = []  # what everybody can have: of each step a patch, or nothing
    kept: list[list[tuple[Id, ...]]] = [[] for _ in names]  # what a replica made while it was away
    away = [0] * len(names)
    heads: list[tuple[Id, ...]] = [()] * len(names)  # of each replica
    cursors = [0] * len(names)
    for step in steps:
        if step is None:
            sent.append(())
            continue
        who = step.replica
        if not away[who]:
            sent += kept[who]
            kept[who] = []
        if step.back is not None and sent:
            heads[who] = sent[step.back % len(sent)]
        received = [sent[-1 - n % len(sent)] for n in step.receives if sent and not away[who]]
        taken = [id for ids in received for id in ids]
        version = graph.history_of([*heads[who], *taken])
        parents = set(graph.heads_of(version))
        if step.redundant and len(version) > len(parents):
            parents.add(sorted(version - parents)[step.later % (len(version) - len(parents))])
        walker.move(version)
        size = len(walker.shown())
        edit, cursors[who] = fitted(step.changes, size, cursors[who])
        if misfits and step.misfit:
            edit.append((size + sum(len(insert) for _, _, insert in edit) + 1, 0, "misfit"))
        ops = compose(edit)
        if step.takes_back is not None and version:
            own_first = sorted(version, key=lambda id: (id[1] == names[who], id), reverse=True)
            ops = taking_back(walker, own_first[step.takes_back % len(version)]) or ops
        newest = max((time for time, _ in parents), default=0)
        soonest = max(ahead[who], newest) + 1 + step.later
        time = _time(soonest, newest, lambda time: (time, names[who]) in graph.patches)  # noqa: B023
        wall = ahead[who] + 1 + len(made)
        patch = Patch.of_ops((time, names[who]), parents, ops, author=names[who], wall=wall)
        graph.patches[patch.id] = patch
        walker.walk(patch.id)
        made.append(patch)
        heads[who] = (patch.id,)
        if away[who]:
            away[who] -= 1
            kept[who].append(heads[who])
        else:
            away[who] = step.leaves
            sent.append(heads[who])
    return made


def taking_back(walker: Walker, id: tuple[int, str]) -> Ops:
    """The delta that takes patch `id` back in the version that the walker was moved to, which has it.

    What it inserted and is shown goes; what it alone deleted comes back where it stood. That is what
    `Reference.inverse` says, for a patch that nobody took back before.
    """

    def step(item: Item) -> int | str:
        if item.state == 1:
            return -1 if item.by == id else 1
        return item.char if item.state == 2 and id in item.deleters else ""

    return joined(op for item in walker.items if (op := step(item)))


@st.composite
def orders(draw: st.DrawFn, patches: Sequence[P]) -> list[P]:
    """The same patches in another order that has parents first, where these have. Shrinks to theirs."""
    waiting, known, result = list(patches), set[Id](), list[P]()
    while waiting:
        ready = [i for i, patch in enumerate(waiting) if known.issuperset(patch.parents)]
        patch = waiting.pop(draw(st.sampled_from(ready)))
        known.add(Id(*patch.id))
        result.append(patch)
    return result
