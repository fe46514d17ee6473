"""Hypothesis strategies: texts of every width, edits, and whole concurrent histories.

What comes out is well-formed and deterministic: the same choices give the same values. A history is
drawn as a list of steps that mean something whatever the steps before them were (numbers are taken
modulo what is there), so Hypothesis can leave out any of them, and what is left of a failing history is
the few patches that matter. Lengths that edits have to fit come from `reference`, never from what is
to be tested. It doesn't know stores, networks or documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from hypothesis import strategies as st

from syncstring.patch import Id, Patch
from syncstring.testing.reference import Graph, Ops, PatchLike, Splice, Walker, compose

__all__ = ["deltas", "histories", "orders", "splices", "texts"]

# One alphabet for each width that CPython and the kernels know, and what goes wrong in texts: line ends,
# U+0000, combining marks, joiners, emoji of several code points, what lies next to the surrogates.
_ASCII = "ab \n\r\t\0%"
_LATIN = _ASCII + "é\xff"
_BASIC = _LATIN + "ж乙\u0301\u200d\ufe0f\ud7ff\ue000\uffff"
_ASTRAL = _BASIC + "😀👩🏽\U00010000\U0010ffff"
_CLUSTERS = ["\r\n", "e\u0301", "👩\u200d👩\u200d👧", "🇪🇺", "👍🏽"]

# Against each other and against time: digits, upper case before lower case, one the beginning of another.
_SESSIONS = ["b", "a", "Z", "10", "9", "ab", "_", "-"]

P = TypeVar("P", bound=PatchLike)


def texts(max_size: int = 8) -> st.SearchStrategy[str]:
    """Texts without lone surrogates, of at most `max_size` code points; runs of one letter among them."""
    plain = st.sampled_from([_ASCII, _LATIN, _BASIC, _ASTRAL]).flatmap(
        lambda letters: st.text(letters, max_size=max_size)
    )
    runs = st.builds(str.__mul__, st.sampled_from("aé乙😀"), st.integers(0, max_size))
    clusters = st.lists(st.sampled_from(_CLUSTERS), max_size=max_size).map("".join)
    cut = clusters.map(lambda text: text[:max_size])
    return st.text("abc", max_size=max_size) | plain | runs | cut


class _Change(NamedTuple):
    """A splice of a text whose length isn't known yet."""

    pos: int | None  # None: where the same author's last one ended
    delete: int
    insert: str

    def splice(self, size: int, cursor: int) -> Splice:
        pos = min(cursor, size) if self.pos is None else self.pos % (size + 1)
        return pos, min(self.delete, size - pos), self.insert


_FAR = 60
_changes = st.builds(
    _Change,
    st.none() | st.integers(0, 3) | st.integers(0, _FAR),
    st.integers(0, 2) | st.integers(0, _FAR),
    st.text("abc", min_size=1, max_size=3) | texts(6),
)


def _fitted(changes: Sequence[_Change], size: int, cursor: int = 0) -> tuple[list[Splice], int]:
    """The changes as sequential splices of a text of `size`, and where the last one ends."""
    result: list[Splice] = []
    for change in changes:
        pos, delete, insert = change.splice(size, cursor)
        result.append((pos, delete, insert))
        size += len(insert) - delete
        cursor = pos + len(insert)
    return result, cursor


def splices(size: int, max_size: int = 4) -> st.SearchStrategy[list[Splice]]:
    """At most `max_size` sequential splices that fit a text of `size` code points."""
    return st.lists(_changes, max_size=max_size).map(lambda changes: _fitted(changes, size)[0])


def deltas(size: int, fits: bool = True) -> st.SearchStrategy[Ops]:
    """Canonical deltas on a text of `size` code points; with `fits=False` such as consume more than that."""
    fitting = splices(size).map(compose)
    if fits:
        return fitting
    return st.builds(compose, splices(size, 2).flatmap(lambda few: _beyond(few, size)))


def _beyond(few: list[Splice], size: int) -> st.SearchStrategy[list[Splice]]:
    """The splices and one more that needs characters behind the end."""
    size += sum(len(insert) - delete for _, delete, insert in few)
    last = st.builds(
        lambda over, delete, insert: (size + over - delete, delete, insert),
        st.integers(1, 3),
        st.integers(0, 1),
        texts(3),
    ).map(lambda splice: splice if splice[1] or splice[2] else (splice[0], 0, "x"))
    return last.map(lambda splice: [*few, splice])


class _Step(NamedTuple):
    """Somebody takes in what others wrote, changes the text and makes a patch of it."""

    replica: int
    back: int | None  # forget all but this patch (a restored backup, a copied file)
    receives: list[int]  # patches taken in first, with all their ancestors; 0 is the newest one
    redundant: bool  # name an ancestor of a parent as one more parent
    later: int  # by so much the clock is ahead
    changes: list[_Change]
    misfit: bool


_rarely = st.integers(0, 9).map(lambda n: n == 9)
_steps = st.builds(
    _Step,
    replica=st.integers(0, 3),
    back=_rarely.flatmap(lambda back: st.integers(0, _FAR) if back else st.none()),
    receives=st.lists(st.integers(0, 3) | st.integers(0, _FAR), max_size=2),
    redundant=_rarely,
    later=st.integers(0, 3),
    changes=st.lists(_changes, min_size=1, max_size=3),
    misfit=_rarely,
)


@st.composite
def histories(draw: st.DrawFn, max_patches: int = 20, misfits: bool = True) -> list[Patch]:
    """Patches of up to four replicas, parents before children; otherwise in no order of time.

    Replicas fork, merge, fall back to old versions, and some share a session's name, so that a
    session is concurrent to itself. Some patches are empty, some name a parent that is an ancestor of
    another parent, and with `misfits` some don't fit their parents' text.
    """
    names = draw(st.lists(st.sampled_from(_SESSIONS), min_size=4, max_size=4))
    least = draw(st.integers(0, max_patches // 2))  # left alone, lists of Hypothesis are mostly short
    steps = draw(st.lists(_steps, min_size=least, max_size=max_patches))
    graph = Graph([])
    walker = Walker(graph)
    made: list[Patch] = []
    heads: list[tuple[Id, ...]] = [()] * len(names)  # of each replica
    cursors = [0] * len(names)
    for step in steps:
        who = step.replica
        if step.back is not None:
            heads[who] = (made[step.back % len(made)].id,) if made else ()
        taken = [made[-1 - n % len(made)].id for n in step.receives if made]
        version = graph.history_of([*heads[who], *taken])
        parents = set(graph.heads_of(version))
        if step.redundant and len(version) > len(parents):
            parents.add(sorted(version - parents)[step.later % (len(version) - len(parents))])
        walker.move(version)
        size = len(walker.shown())
        edit, cursors[who] = _fitted(step.changes, size, cursors[who])
        if misfits and step.misfit:
            edit.append((size + sum(len(insert) for _, _, insert in edit) + 1, 0, "misfit"))
        time = max((time for time, _ in parents), default=0) + 1 + step.later
        while (time, names[who]) in graph.patches:
            time += 1
        patch = Patch((time, names[who]), parents, edit, author=names[who], wall=time)
        graph.patches[patch.id] = patch
        walker.walk(patch.id)
        made.append(patch)
        heads[who] = (patch.id,)
    return made


@st.composite
def orders(draw: st.DrawFn, patches: Sequence[P]) -> list[P]:
    """The same patches in another order that has parents first, where these have."""
    waiting, known, result = list(patches), set[Id](), list[P]()
    while waiting:
        ready = [i for i, patch in enumerate(waiting) if known.issuperset(patch.parents)]
        patch = waiting.pop(draw(st.sampled_from(ready)))
        known.add(Id(*patch.id))
        result.append(patch)
    return result
