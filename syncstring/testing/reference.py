"""The slow twin: what the engine means, written for a reader; learn the algorithm here.

Everything compiled is compared with this file, so it is plain before it is anything else: one
character at a time, Python lists and sets, no index, no cache, nothing shared with what it checks.
A history of some hundred patches is what it can bear. It reads of a patch `.id`, `.parents` and
`.ops` and knows nothing of rows, clocks or stores.

In the order to read it:

1. *Deltas*: what one patch says about its parents' text.
2. `Graph`: which patch knew which.
3. `Walker`: the merge as it is computed: Eg-walker (Gentle and Kleppmann, "Collaborative Text Editing
   with Eg-walker", EuroSys 2025), its list ordered by the scan of YjsMod.
4. `Tree`: the same order defined: FugueMax (Weidner and Kleppmann, "The Art of the Fugue", 2023).
   It shares nothing with the walker but how a delta is read; that both agree is a test.
5. `Reference`: the questions that tests ask.

Words: the *version* of some patches is them and all their ancestors, a set of ids. A character
*exists* in a version if the patch that inserted it is in there, and is *shown* if moreover none that
deleted it is. `rank` decides between those who could not know of each other: lower stands first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

__all__ = [
    "Graph",
    "Id",
    "Ops",
    "PatchLike",
    "Reference",
    "Splice",
    "Tree",
    "Walker",
    "apply",
    "compose",
    "consumed",
    "joined",
    "read",
]

Id = tuple[int, str]  # (time, session); ordered by it: the time order
Ops = tuple[int | str, ...]  # 5 keeps five, "abc" inserts, -2 deletes two
Splice = tuple[int, int, str]  # (pos, delete, insert), pos in what the splice before left
Char = tuple[Id, int]  # the n-th character that a patch inserted


class PatchLike(Protocol):
    """All that is needed of a patch."""

    @property
    def id(self) -> Id: ...
    @property
    def parents(self) -> Sequence[Id]: ...
    @property
    def ops(self) -> Ops: ...


# 1. Deltas ------------------------------------------------------------------------------------------


def compose(splices: Iterable[Splice]) -> Ops:
    """One delta on the parents' text that does what the sequential splices do.

    The parents' text is held as items, shown or deleted. Its length doesn't matter: beyond the
    last item that a splice touches there is only more to keep, and a delta doesn't end in a keep.
    """
    splices = list(splices)
    reach = sum(pos + delete for pos, delete, _ in splices)
    items: list[int | str] = [1] * reach  # 1 is kept, -1 deleted, a letter inserted
    for pos, delete, insert in splices:
        shown = [i for i, item in enumerate(items) if item != -1]
        gap = shown[pos - 1] + 1 if pos else 0  # directly after the shown item before, so ...
        for i in reversed(shown[pos : pos + delete]):
            if items[i] == 1:
                items[i] = -1
            else:
                del items[i]  # ours, and gone without a trace
        items[gap:gap] = insert  # ... before any deleted ones
    return joined(items)


def joined(items: Iterable[int | str]) -> Ops:
    """The same operations in canonical form: equal neighbours joined, no trailing keep."""

    def sort(op: int | str) -> str:
        return "insert" if isinstance(op, str) else "keep" if op > 0 else "delete"

    ops: list[int | str] = []
    for item in items:
        if ops and sort(ops[-1]) == sort(item):
            ops[-1] += item  # type: ignore[operator]  # both are str or both are int
        else:
            ops.append(item)
    if ops and sort(ops[-1]) == "keep":
        ops.pop()
    return tuple(ops)


def read(ops: Ops) -> tuple[list[tuple[int, str]], list[int]]:
    """What a delta says: insertions as (how many of the parents' characters stand before, text), and
    the indices of the parents' characters that it deletes. Both ascend.

    The character before an insertion is its left neighbour, even if this same delta deletes it.
    """
    insertions: list[tuple[int, str]] = []
    deletions: list[int] = []
    at = 0
    for op in ops:
        if isinstance(op, str):
            insertions.append((at, op))
        else:
            if op < 0:
                deletions.extend(range(at, at - op))
            at += abs(op)
    return insertions, deletions


def consumed(ops: Ops) -> int:
    """How long the parents' text must be at least. A delta on a shorter one is a *misfit*."""
    return sum(abs(op) for op in ops if isinstance(op, int))


def apply(text: str, splices: Iterable[Splice]) -> str:
    """The text after the sequential splices."""
    for pos, delete, insert in splices:
        assert 0 <= pos <= pos + delete <= len(text), (pos, delete, len(text))
        text = text[:pos] + insert + text[pos + delete :]
    return text


# 2. The event graph ---------------------------------------------------------------------------------


class Graph:
    """Patches by id, in time order. Those with an ancestor missing wait in `parked`.

    A patch's time exceeds its parents', so the time order has parents first. Of two patches under
    one id the later given counts: conflicts are for others to judge.
    """

    def __init__(self, patches: Iterable[PatchLike]) -> None:
        self.patches: dict[Id, PatchLike] = {}
        self.parked: dict[Id, PatchLike] = {}
        for id, patch in sorted({patch.id: patch for patch in patches}.items()):
            known = all(parent in self.patches for parent in patch.parents)
            (self.patches if known else self.parked)[id] = patch

    def history_of(self, heads: Iterable[Id]) -> set[Id]:
        """The version that these heads name: them and all their ancestors."""
        version: set[Id] = set()
        todo = list(heads)
        while todo:
            id = todo.pop()
            if id not in version:
                version.add(id)
                todo.extend(self.patches[id].parents)
        return version

    def heads_of(self, version: Iterable[Id]) -> tuple[Id, ...]:
        """The shortest name of a version: those in it that nobody in it has as parent."""
        version = set(version)
        return tuple(sorted(version.difference(*(self.patches[id].parents for id in version))))


def rank(id: Id) -> tuple[str, int]:
    """Who stands first of those who typed at one place unseen: by session, then by time.

    The session alone would not do: one that was copied is concurrent to itself.
    """
    time, session = id
    return session, time


# 3. The walker --------------------------------------------------------------------------------------


@dataclass(eq=False)  # compared by identity
class Item:
    """A character for ever: deleted ones stay, because others were typed beside them."""

    char: str
    by: Id
    nth: int  # of those that `by` inserted
    left: Item | None  # the neighbours that its author saw, or None at the text's ends
    right: Item | None
    state: int = 0  # in the version being looked at: 0 not there yet, 1 shown, 1 + k deleted k times
    deleters: set[Id] = field(default_factory=set)  # every patch walked so far that deletes it


class Walker:
    """Walks patches, parents first, and turns each into splices of all that was walked before.

    Each patch was made on its parents' version. So before one is applied, `move` makes the list look
    like that version, in which its positions mean what its author meant. Where the list keeps the
    characters in one order that doesn't depend on who walks what when, everybody gets one text.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.items: list[Item] = []  # every character ever inserted, in its final order
        self.now: set[Id] = set()  # the version that the states describe
        self.touched: dict[Id, list[Item]] = {}  # what each patch inserted or deleted
        self.misfits: set[Id] = set()

    def walk(self, id: Id) -> list[Splice]:
        """The patch as splices of `text()`, one character each."""
        self.move(self.graph.history_of(self.graph.patches[id].parents))
        return self.apply(id)

    def move(self, version: set[Id]) -> None:
        """Retreat from what `version` doesn't know, advance to what it knows besides.

        In any order, because a state only counts: an item that two patches deleted is shown again
        only after a retreat from both.
        """
        for id in self.now - version:
            self.count(id, -1)
        for id in version - self.now:
            self.count(id, +1)
        self.now = set(version)

    def count(self, id: Id, step: int) -> None:
        for item in self.touched[id]:
            item.state += step

    def shown(self) -> list[Item]:
        """The characters of the version that was moved to."""
        return [item for item in self.items if item.state == 1]

    def text(self) -> str:
        """The merge of everything walked."""
        return "".join(item.char for item in self.items if not item.deleters)

    def apply(self, id: Id) -> list[Splice]:
        """Insert and delete in the version that `id`'s author saw; tell what that changes in `text()`.

        A misfit counts as an empty patch. That it is one follows from its ancestors alone, so all
        replicas judge alike.
        """
        ops = self.graph.patches[id].ops
        touched = self.touched[id] = []
        self.now.add(id)
        parents_text = self.shown()
        if consumed(ops) > len(parents_text):
            self.misfits.add(id)
            return []
        splices: list[Splice] = []
        insertions, deletions = read(ops)
        for at, text in insertions:
            left = parents_text[at - 1] if at else None
            right = self.next_existing(left)
            for char in text:
                item = Item(char, id, len(touched), left, right, state=1)
                place = self.integrate(item)
                self.items.insert(place, item)
                touched.append(item)
                splices.append((self.alive_before(place), 0, char))
                left = item  # the next one stands behind it, before the same right neighbour
        for at in reversed(deletions):
            item = parents_text[at]
            if not item.deleters:  # else somebody else was faster, and nothing changes
                splices.append((self.alive_before(self.items.index(item)), 1, ""))
            item.state += 1
            item.deleters.add(id)
            touched.append(item)
        return splices

    def next_existing(self, left: Item | None) -> Item | None:
        """The first item behind `left` that its author knew, shown to him or deleted. All between are
        concurrent to him."""
        after = self.items.index(left) + 1 if left else 0
        return next((item for item in self.items[after:] if item.state != 0), None)

    def alive_before(self, place: int) -> int:
        return sum(not item.deleters for item in self.items[:place])

    def integrate(self, new: Item) -> int:
        """Where in the gap between its neighbours the new item belongs: a scan from the left.

        The gap holds the concurrent items `other`. Its place is behind the last one that is known to
        come first. Those with a nearer right neighbour are `undecided`: the next plain tie
        decides whether we follow them, too.
        """
        place = {item: i for i, item in enumerate(self.items)}
        left = place[new.left] if new.left else -1
        right = place[new.right] if new.right else len(self.items)
        best, undecided = left + 1, False
        for i in range(left + 1, right):
            other = self.items[i]
            other_left = place[other.left] if other.left else -1
            other_right = place[other.right] if other.right else len(self.items)
            if other_left < left:  # from here on they hang on something before the gap
                break
            if other_left == left:
                if other_right == right:
                    if rank(new.by) < rank(other.by):
                        break
                    undecided = False
                else:
                    undecided = other_right < right
            # other_left > left: it hangs on another item of the gap, and goes where that one goes
            if not undecided:
                best = i + 1
        return best


# 4. The tree ----------------------------------------------------------------------------------------


@dataclass(eq=False)
class Node:
    """A character in the tree: its left children stand before it, its right children behind."""

    char: str
    by: Id
    right: Node | None  # what stood behind it for its author, or None at the end
    lefts: list[Node] = field(default_factory=list)
    rights: list[Node] = field(default_factory=list)
    deleters: set[Id] = field(default_factory=set)


class Tree:
    """FugueMax: the order of all characters as a tree that only grows, read from left to right.

    Who types x behind l hangs it on l's right side, if that is bare for all he knows. Else it must
    go before what he sees next, r, which is on l's right side then and itself bare on the left:
    x becomes r's left child. So what is typed in one piece, forward or backward, is one branch, and
    nobody else's branch can get in between.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.start = Node("", (0, ""), None)  # stands before every text

    def plant(self, id: Id) -> None:
        """Grow by one patch whose parents are planted."""
        patch = self.graph.patches[id]
        version = self.graph.history_of(patch.parents)
        nodes = self.in_order()
        place = {node: i for i, node in enumerate(nodes)}
        exists = [node for node in nodes if node is self.start or node.by in version]
        shown = [node for node in exists if not node.deleters & version]  # the start is shown, too
        if consumed(patch.ops) > len(shown) - 1:
            return

        def from_farthest_right(node: Node) -> tuple[float, tuple[str, int]]:
            return -place[node.right] if node.right else float("-inf"), rank(node.by)

        insertions, deletions = read(patch.ops)
        for at, text in insertions:
            left = shown[at]
            right = next((node for node in exists if place[node] > place[left]), None)
            for char in text:
                node = Node(char, id, right)
                if any(child.by in version for child in left.rights):
                    assert right is not None
                    right.lefts.append(node)
                    right.lefts.sort(key=lambda node: rank(node.by))
                else:
                    left.rights.append(node)
                    left.rights.sort(key=from_farthest_right)
                left = node
        for at in deletions:
            shown[at + 1].deleters.add(id)

    def in_order(self) -> list[Node]:
        """Every node from left to right: left children, itself, right children."""
        order: list[Node] = []
        todo = [(self.start, False)]
        while todo:  # a branch is as deep as what was typed in one go is long: no recursion
            node, opened = todo.pop()
            if opened:
                order.append(node)
            else:
                inside = [*((n, False) for n in node.lefts), (node, True), *((n, False) for n in node.rights)]
                todo.extend(reversed(inside))
        return order

    def text(self) -> str:
        """The merge of everything planted."""
        return "".join(node.char for node in self.in_order() if not node.deleters)


# 5. The questions -----------------------------------------------------------------------------------


class Reference:
    """A history that answers slowly and rightly. Takes patches in any order, some perhaps twice."""

    def __init__(self, patches: Iterable[PatchLike]) -> None:
        self.graph = Graph(patches)
        self.order: list[Id] = list(self.graph.patches)
        self.heads: tuple[Id, ...] = self.graph.heads_of(self.order)
        walker = Walker(self.graph)
        self._prefixes = [""]
        self._splices: list[list[Splice]] = []
        for id in self.order:
            self._splices.append(walker.walk(id))
            self._prefixes.append(walker.text())
        self.misfits = walker.misfits

    def walked(self, heads: Iterable[Id]) -> Walker:
        """A walker that has walked exactly the version of these heads."""
        walker = Walker(self.graph)
        for id in sorted(self.graph.history_of(heads)):
            walker.walk(id)
        return walker

    def text(self) -> str:
        """The merge of all patches."""
        return self._prefixes[-1]

    def text_at(self, heads: Iterable[Id]) -> str:
        """The text of the version that these heads name, walked from nothing."""
        return self.walked(heads).text()

    def tree_text_at(self, heads: Iterable[Id]) -> str:
        """The same by the tree."""
        tree = Tree(self.graph)
        for id in sorted(self.graph.history_of(heads)):
            tree.plant(id)
        return tree.text()

    def prefix(self, n: int) -> str:
        """The merge of the first n patches in time order."""
        return self._prefixes[n]

    def prefixes(self) -> list[str]:
        """`prefix(0)` to `prefix(len(order))`."""
        return list(self._prefixes)

    def splices(self) -> list[list[Splice]]:
        """For each patch in time order, what leads from the prefix without it to the one with it."""
        return [list(splices) for splices in self._splices]

    def blame(self, heads: Iterable[Id]) -> list[tuple[str, Id]]:
        """The version's text in runs, each with the id of the patch that inserted it."""
        alive = [item for item in self.walked(heads).items if not item.deleters]
        runs = groupby(alive, key=lambda item: item.by)
        return [("".join(item.char for item in run), id) for id, run in runs]

    def inverse(
        self,
        id: Id,
        heads: Iterable[Id],
        stands_for: Mapping[Char, Char] | None = None,
        took_back: Mapping[Id, Id] | None = None,
    ) -> str:
        """The version's text once patch `id` in it is taken back.

        What it inserted and still stands goes; what it deleted and nobody else deleted comes back
        where it stood. The patch that does this is an ordinary one and inserts new characters;
        `stands_for` says of such ones whose place they took, so that they are taken back, and
        count as back, as the first ones would; `took_back` which patch took back which, so that
        one that came back and was taken back again counts as never come back.
        """
        return "".join(char for char, _ in self._taken_back(id, heads, stands_for or {}, took_back or {}))

    def restored(
        self,
        id: Id,
        heads: Iterable[Id],
        stands_for: Mapping[Char, Char] | None = None,
        took_back: Mapping[Id, Id] | None = None,
    ) -> list[Char]:
        """The characters that come back in `inverse`, in the text's order: what the first, second, …
        character that the inverse patch inserts stands for."""
        found = self._taken_back(id, heads, stands_for or {}, took_back or {})
        return [back for _, back in found if back is not None]

    def _taken_back(
        self, id: Id, heads: Iterable[Id], stands_for: Mapping[Char, Char], took_back: Mapping[Id, Id]
    ) -> Iterable[tuple[str, Char | None]]:
        items = self.walked(heads).items
        place = {(item.by, item.nth): i for i, item in enumerate(items)}

        def stood_for(char: Char) -> list[Char]:
            chars = [char]
            while chars[-1] in stands_for:
                chars.append(stands_for[chars[-1]])
            return chars

        def old_place(char: Char) -> int:
            # Who came back when `id` was known was never seen beside what `id` deleted; whose place
            # they took was.
            while char in stands_for and id in self.graph.history_of([char[0]]):
                char = stands_for[char]
            return place[char]

        def nobody_else_deleted(char: Char) -> bool:
            others = [item for item in items if char in stood_for((item.by, item.nth))]
            return all(
                other.deleters and all(by == id or took_back.get(by) == other.by for by in other.deleters)
                for other in others
                if (other.by, other.nth) != char
            )

        stay, back = [], []
        for item in items:
            char = item.by, item.nth
            if item.deleters == {id} and nobody_else_deleted(char):
                back.append((item.char, char))
            elif not item.deleters and all(by != id for by, _ in stood_for(char)):
                stay.append((item.char, char))
        for letter, char in stay:
            while back and place[back[0][1]] < old_place(char):
                yield back.pop(0)
            yield letter, None
        yield from back
