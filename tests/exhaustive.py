"""Every history of up to four patches by three sessions on a small alphabet, against the slow twin.

    python tests/exhaustive.py --patches 4 --share 0/1 --seed 7 --json

What "every" means here:

- *Graphs.* Patches 1 to n in time order; the parents of each are any set of earlier ones of which none is
  an ancestor of another, the empty set among them: 1, 2, 7 and 40 graphs of 1 to 4 patches. Sessions fork,
  merge, and begin again from nothing; nothing makes a session's patches a chain.
- *Sessions.* Each patch is of one of three sessions, a < b < c. What is read of sessions is who comes first
  of two concurrent patches (those of one session by time), so the 3^n ways to deal them out fall into classes
  that agree in this for every concurrent pair: 1, 3, 23 and 381 graphs with a class each. Every class is
  taken; of its members, which all mean the same, each history takes one, in turns that the seed begins.
- *Edits*, on a parents' text of L characters: nothing; one or two characters inserted at any place; any range
  deleted; any range deleted with one character inserted before it, behind it, or anywhere inside it; and one
  that is for a text of L + 1, a misfit. Each patch inserts a letter of its own, the second one upper case, so
  that every character says where it came from and which of two it was.

That makes 4, 67, 4,073 and 766,727 histories of 1, 2, 3 and 4 patches.

What is left out, and why that is enough: edits at two places in one patch (each place is found by itself;
`strategies` draws them), parents that are ancestors of others (they name the same version), equal times (only
the order of times is read), a fourth session (of the 24 orders of four concurrent patches it adds one). A
history begins empty: three patches about a text of two letters are a history of four.

For each history: the walker's text of every version that holds the last patch is the tree's (`reference.py`);
and the engine says the same as the twin
- in `History.text(n)` for every n, `text_at` of every version, `splices`, which insert and delete as many
  characters as the twin's do, and `between` the versions with and without the last patch, forth and back;
- in `Document.receive`, one patch at a time in every order that has parents first, and once in the reverse of
  the time order (children wait): after each patch the text, and a copy that only applied what was returned.

All of them take some twelve minutes of one core. Prints one line of JSON; exits with 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from syncstring.document import Document
from syncstring.history import History
from syncstring.patch import Id, Patch
from syncstring.testing import reference
from syncstring.testing.reference import Ops, Reference

SESSIONS = "abc"

Parents = tuple[tuple[int, ...], ...]  # of each patch, by their numbers from 0
Names = tuple[str, ...]  # the session of each patch


# --- the space ------------------------------------------------------------


@cache
def edits(size: int, patch: int) -> list[Ops]:
    """Every edit that a patch may make of a text of that size."""
    one, two = "wxyz"[patch], "wxyz"[patch] + "WXYZ"[patch]
    found: list[Ops] = [()]
    for at in range(size + 1):
        found += [_delta(at, one), _delta(at, two)]
    for first, last in itertools.combinations(range(size + 1), 2):
        found.append(_delta(first, first - last))
        found += [_delta(first, first - at, one, at - last) for at in range(first, last + 1)]
    found.append(_delta(0, -size - 1))
    return found


def _delta(*ops: int | str) -> Ops:
    return tuple(op for op in ops if op)


def graphs(n: int) -> list[Parents]:
    """Every graph of n patches."""
    if n == 0:
        return [()]
    found = []
    for graph in graphs(n - 1):
        known = ancestors(graph)
        for size in range(n):
            for parents in itertools.combinations(range(n - 1), size):
                if not any(a in known[b] for a in parents for b in parents):
                    found.append((*graph, parents))
    return found


def ancestors(graph: Parents) -> list[set[int]]:
    """Of each patch, itself not among them."""
    known: list[set[int]] = []
    for parents in graph:
        known.append(set(parents).union(*(known[parent] for parent in parents)))
    return known


@cache
def dealt(graph: Parents) -> list[list[Names]]:
    """The ways to deal out the sessions, those that mean the same in one list."""
    known = ancestors(graph)
    pairs = [(a, b) for a, b in itertools.combinations(range(len(graph)), 2) if a not in known[b]]
    classes: dict[tuple[bool, ...], list[Names]] = {}
    for names in itertools.product(SESSIONS, repeat=len(graph)):
        classes.setdefault(tuple(names[a] <= names[b] for a, b in pairs), []).append(names)
    return list(classes.values())


@cache
def versions(graph: Parents) -> list[int]:
    """Every version, as a mask of patches: the sets that hold the parents of each of theirs."""
    masks = [sum(1 << parent for parent in parents) for parents in graph]
    return [
        version
        for version in range(1 << len(graph))
        if all(not version >> i & 1 or version & mask == mask for i, mask in enumerate(masks))
    ]


@cache
def orders(graph: Parents) -> list[tuple[int, ...]]:
    """Every order of arrival that has parents first, and the reverse of the time order."""
    count = len(graph)
    found = [
        order
        for order in itertools.permutations(range(count))
        if all(order.index(parent) < order.index(i) for i, parents in enumerate(graph) for parent in parents)
    ]
    backwards = tuple(reversed(range(count)))
    return found if backwards in found else [*found, backwards]


@cache
def arrived(graph: Parents, order: tuple[int, ...]) -> list[int]:
    """After each patch of such an order, the version of all that have their parents."""
    found = []
    came: set[int] = set()
    for patch in order:
        came.add(patch)
        placed = 0
        for i, parents in enumerate(graph):
            if i in came and all(placed >> parent & 1 for parent in parents):
                placed |= 1 << i
        found.append(placed)
    return found


# --- one history ------------------------------------------------------------


def made(graph: Parents, names: Sequence[str], deltas: Sequence[Ops]) -> list[Patch]:
    """The patches, with times 1 to n."""
    ids = [Id(time, name) for time, name in enumerate(names, start=1)]
    return [
        Patch.trusted(id, tuple(sorted(ids[parent] for parent in parents)), ops, "author", id.time)
        for id, parents, ops in zip(ids, graph, deltas, strict=True)
    ]


def heads_of(graph: Parents, version: int) -> list[int]:
    inside = [i for i in range(len(graph)) if version >> i & 1]
    return [i for i in inside if not any(i in graph[other] for other in inside)]


Texts = dict[int, str]  # of each version


def twin(graph: Parents, patches: Sequence[Patch], known: Texts) -> tuple[Reference, Texts]:
    """What the twin says of every version; `known` is what it said without the last patch."""
    asked = Reference(patches)
    texts = dict(known)
    for version in versions(graph):
        if version not in texts:
            heads = [patches[i].id for i in heads_of(graph, version)]
            texts[version] = asked.text_at(heads)
            assert texts[version] == asked.tree_text_at(heads), "the walker and the tree differ"
    for n in range(len(patches) + 1):
        assert asked.prefix(n) == texts[(1 << n) - 1], "the twin's prefixes differ"
    return asked, texts


def judge(graph: Parents, patches: Sequence[Patch], asked: Reference, texts: Texts) -> None:
    """Ask the engine the same."""
    count = len(patches)
    history = History(reversed(patches))
    assert not history.parked
    assert {error.args[0].split(":")[0] for error in history.problems} == {
        f"patch {tuple(id)}" for id in asked.misfits
    }
    for version in versions(graph):
        heads = [patches[i].id for i in heads_of(graph, version)]
        assert history.text_at(heads) == texts[version], f"text_at({heads})"
    text = ""
    for n, (ours, theirs) in enumerate(zip(history.splices(), asked.splices(), strict=True), start=1):
        assert history.text(n) == texts[(1 << n) - 1], f"text({n})"
        text = reference.apply(text, ours)
        assert text == texts[(1 << n) - 1], f"splices()[{n - 1}]"
        assert sum(delete for _, delete, _ in ours) == sum(delete for _, delete, _ in theirs)
        assert sum(len(insert) for _, _, insert in ours) == sum(len(insert) for _, _, insert in theirs)
    for order in orders(graph):
        live(patches, order, arrived(graph, order), texts)
    before, after = (1 << count - 1) - 1, (1 << count) - 1
    here, there = (
        history.events([patches[i].id for i in heads_of(graph, version)]) for version in (before, after)
    )
    forth, back = history.merge.between(here, there), history.merge.between(there, here)
    assert reference.apply(texts[before], forth) == texts[after], "between, forth"
    assert reference.apply(texts[after], back) == texts[before], "between, back"


def live(patches: Sequence[Patch], order: Sequence[int], placed: Sequence[int], texts: Texts) -> None:
    """Let a document take the patches in, one at a time."""
    document = Document(session="reader", author="reader", clock=lambda: 0)
    editor = ""
    for patch, version in zip(order, placed, strict=True):
        editor = reference.apply(editor, document.receive([patches[patch]]))
        assert editor == document.text == texts[version], f"received in the order {order}, at {patch}"
        assert document.history.text() == texts[version], f"history, received in the order {order}"


# --- all of them ------------------------------------------------------------


@dataclass
class Tally:
    """How many histories there are, how many were looked at, and what was wrong with the first few."""

    patches: int
    share: tuple[int, int] = (0, 1)
    """Of the histories with `patches` patches, those whose number in the row is k modulo n. Shorter ones are
    all looked at, each once."""
    seed: int = 0
    histories: int = 0
    judged: int = 0
    failures: list[str] = field(default_factory=list)
    by_length: dict[int, int] = field(default_factory=dict)

    def due(self, length: int) -> bool:
        """Whether the next history is one to look at; it is counted."""
        number = self.by_length.get(length, 0)
        self.by_length[length] = number + 1
        self.histories += 1
        k, n = self.share
        return length < self.patches or (number + self.seed) % n == k

    def look(self, graph: Parents, members: Sequence[Names], deltas: Sequence[Ops], known: Texts) -> Texts:
        """Judge one history; the twin's texts of its versions are returned."""
        names = members[(self.judged + self.seed) % len(members)]
        self.judged += 1
        patches = made(graph, names, deltas)
        texts = known
        try:
            asked, texts = twin(graph, patches, known)
            judge(graph, patches, asked, texts)
        except Exception as error:
            shown = ",\n    ".join(map(repr, patches))
            self.failures.append(f"{type(error).__name__}: {error}\npatches = [\n    {shown},\n]")
        return texts


def run(tally: Tally, most: int = 3) -> Tally:
    """Look at every history of up to `tally.patches` patches, or at the share, until `most` are wrong."""
    for length in range(1, tally.patches + 1):
        for graph in graphs(length):
            for members in dealt(graph):
                _extend(tally, graph, members, [], {0: ""}, most)
                if len(tally.failures) >= most:
                    return tally
    return tally


def _extend(
    tally: Tally, graph: Parents, members: Sequence[Names], deltas: list[Ops], known: Texts, most: int
) -> None:
    """Go through all edits of the next patch. What the twin says of the beginning is asked for once."""
    count = len(deltas)
    beginning = graph[: count + 1]
    seen = sum(1 << i for i in {*graph[count], *ancestors(graph)[count]})
    for delta in edits(len(known[seen]), count):
        if len(tally.failures) >= most:
            return
        if count + 1 < len(graph):
            _, texts = twin(beginning, made(beginning, members[0][: count + 1], [*deltas, delta]), known)
            _extend(tally, graph, members, [*deltas, delta], texts, most)
        elif tally.due(len(graph)):
            tally.look(graph, members, [*deltas, delta], known)


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--patches", type=int, default=4)
    arguments.add_argument("--share", default="0/1", help="K/N: of the longest histories every N-th, from K")
    arguments.add_argument("--seed", type=int, default=None)
    arguments.add_argument("--json", action="store_true", help="a line of JSON alone")
    given = arguments.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if given.seed is None else given.seed
    k, _, n = given.share.partition("/")
    began = time.process_time()
    tally = run(Tally(given.patches, (int(k), int(n)), seed))
    for failure in tally.failures:
        print(failure, file=sys.stderr)
    figures = {
        "seed": seed,
        "patches": given.patches,
        "share": given.share,
        "histories": tally.histories,
        "judged": tally.judged,
        "failures": len(tally.failures),
        "seconds": round(time.process_time() - began, 1),
    }
    if not given.json:
        print(f"{tally.judged:,} of {tally.histories:,} histories agree with the twin")
    print(json.dumps(figures))
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
