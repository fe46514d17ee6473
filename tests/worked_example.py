"""The tables of INTERNALS.md, made from the engine and its slow twin, so that they say what is so.

In the document each stands in a fenced block after a comment `<!-- made: NAME -->`. `test_documents.py`
compares them; `python tests/worked_example.py` writes them anew. Knows nothing of how the document is worded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count
from pathlib import Path

from syncstring import Document, History, Patch, Splice
from syncstring._graph import EventGraph
from syncstring._patch import encode_delta
from syncstring._plan import plan
from syncstring._walker import Walker as CompiledWalker
from syncstring._weave import Weave
from syncstring.patch import Id
from syncstring.testing import reference
from syncstring.testing.reference import Graph, Item, Node, Reference, Tree, Walker, rank

INTERNALS = Path(__file__).parent.parent / "INTERNALS.md"
BLOCK = re.compile(r"(?<=<!-- made: )(\w+) -->\n```text\n(.*?)```\n", re.DOTALL)

EVENTS: dict[str, Patch] = {}
for _name, _time, _session, _parents, _ops in [
    ("e1", 1, "ann", "", ("ad",)),
    ("e2", 2, "bob", "e1", (1, "c")),
    ("e3", 3, "bob", "e2", (1, "b", 1, -1)),
    ("e4", 2, "ann", "e1", (1, "X", -1)),
    ("e5", 4, "bob", "e3", (3, "e")),
    ("e6", 5, "cyd", "e4 e5", (3, "Y")),
]:
    EVENTS[_name] = Patch.of_ops(
        (_time, _session), [EVENTS[each].id for each in _parents.split()], _ops, _session, _time
    )
NAMES = {patch.id: name for name, patch in EVENTS.items()}
TEXT = "adcbXeY"  # what they insert, in this order: each letter once


def lined_up(rows: Iterable[Sequence[object]]) -> str:
    """Rows as lines, their columns below each other."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    return "".join(f" {'  '.join(row)}".rstrip() + "\n" for row in padded)


def names(ids: Iterable[tuple[int, str]]) -> str:
    return " ".join(sorted(NAMES[Id(*id)] for id in ids)) or "-"


def spelled(patch: Patch) -> str:
    return encode_delta(patch.ops).replace("\t", " ")


def joined(splices: Iterable[tuple[int, int, str]]) -> list[Splice]:
    """The twin's splices of one character each, those that go on from the one before joined to it."""
    result: list[Splice] = []
    for pos, delete, insert in splices:
        if result and pos == result[-1].pos + len(result[-1].insert):
            result[-1] = Splice(result[-1].pos, result[-1].delete + delete, result[-1].insert + insert)
        else:
            result.append(Splice(pos, delete, insert))
    return result


def told(splices: Iterable[tuple[int, int, str]]) -> str:
    return ", ".join(f'({pos}, {delete}, "{insert}")' for pos, delete, insert in splices) or "nothing"


def quoted(text: str) -> str:
    return f'"{text}"'


# --- the walk


def events(merged: dict[str, str] | None = None) -> str:
    twin = Reference(EVENTS.values())
    rows: list[Sequence[object]] = [("", "id", "parents", "delta", "on", "makes", "merged")]
    for name, patch in EVENTS.items():
        before, after = twin.text_at(patch.parents), twin.text_at([patch.id])
        made = quoted(before), quoted(after), merged[name] if merged else "?"
        rows.append((name, f"{patch.time} {patch.session}", names(patch.parents), spelled(patch), *made))
    return lined_up(rows)


def filled() -> str:
    walker = Walker(Graph(EVENTS.values()))
    return events({name: told(joined(walker.walk(patch.id))) for name, patch in EVENTS.items()})


def step(name: str) -> str:
    """What the twin's list says after it has moved to what an event's author saw, and after the event."""
    walker = Walker(Graph(EVENTS.values()))
    for current, patch in EVENTS.items():
        seen = walker.graph.history_of(patch.parents)
        back, forth = walker.now - seen, seen - walker.now
        walker.move(seen)
        moved = {item: item.state for item in walker.items}
        reads = "".join(item.char for item in walker.shown())
        splices = joined(walker.apply(patch.id))
        if current == name:
            break
    moves = [f"retreat from {names(back)}"] * bool(back) + [f"advance over {names(forth)}"] * bool(forth)
    head = f' {", ".join(moves) or "nothing to move"}: the list reads "{reads}"\n'
    head += f' apply {spelled(EVENTS[name])}, emit {told(splices)}: the merge is "{walker.text()}"\n\n'
    rows: list[Sequence[object]] = [("item", "by", "typed between", "moved", "applied", "deleted by")]
    for item in walker.items:
        between = f"{letter(item.left, '^')} {letter(item.right, '$')}"
        deleted = names(item.deleters) if item.deleters else ""
        rows.append((item.char, NAMES[Id(*item.by)], between, moved.get(item, ""), item.state, deleted))
    return head + lined_up(rows)


def letter(item: Item | None, end: str) -> str:
    return item.char if item else end


def scan() -> str:
    """How e4's X finds its place among what was there: `Walker.integrate`, told line by line."""
    walker = Walker(Graph(EVENTS.values()))
    for name in ("e1", "e2", "e3"):
        walker.walk(EVENTS[name].id)
    walker.move(walker.graph.history_of(EVENTS["e4"].parents))
    a, d = walker.shown()
    new = Item("X", EVENTS["e4"].id, 0, a, d)
    place = {item: i for i, item in enumerate(walker.items)}
    left, right = place[a], place[d]
    best, undecided = left + 1, False
    rows: list[Sequence[object]] = [("other", "typed between", "verdict", "X goes")]
    for other in walker.items[left + 1 : right]:
        assert other.left and other.right
        if place[other.left] > left:
            verdict = f"hangs on {other.left.char}: goes where that goes"
        elif place[other.right] == right and rank(new.by) < rank(other.by):
            verdict = f"same neighbours, {new.by[1]} < {other.by[1]}: stop"
        elif place[other.right] == right:
            verdict, undecided = f"same neighbours, {new.by[1]} > {other.by[1]}: after it", False
        else:
            undecided = place[other.right] < right
            verdict = "a nearer right neighbour: undecided" if undecided else "a farther one: after it"
        if not undecided and "stop" not in verdict:
            best = place[other] + 1
        where = f"before {walker.items[best].char}"
        rows.append((other.char, f"{other.left.char} {other.right.char}", verdict, where))
        if "stop" in verdict:
            break
    assert best == walker.integrate(new)
    return lined_up(rows)


def tree() -> str:
    grown = Tree(Graph(EVENTS.values()))
    for id in grown.graph.patches:
        grown.plant(id)
    lines = ["^"]

    def draw(node: Node, above: Node, side: str, depth: int) -> None:
        mark = f"{'  ' * depth}{node.char}"
        lines.append(f"{mark:16}{side} child of {above.char or '^'}, by {NAMES[Id(*node.by)]}")
        draw_children(node, depth + 1)

    def draw_children(node: Node, depth: int) -> None:
        for kid in node.lefts:
            draw(kid, node, "left", depth)
        for kid in node.rights:
            draw(kid, node, "right", depth)

    draw_children(grown.start, 1)
    return "".join(f" {line}\n" for line in lines)


# --- the rules


class NoUndecided(Walker):
    """Takes a nearer right neighbour for a reason to go on."""

    def integrate(self, new: Item) -> int:
        place, left, right = self.gap(new)
        best = left + 1
        for i in range(left + 1, right):
            other = self.items[i]
            other_left = place[other.left] if other.left else -1
            other_right = place[other.right] if other.right else len(self.items)
            if other_left < left or (
                other_left == left and other_right == right and rank(new.by) < rank(other.by)
            ):
                break
            best = i + 1
        return best

    def gap(self, new: Item) -> tuple[dict[Item, int], int, int]:
        place = {item: i for i, item in enumerate(self.items)}
        return place, place[new.left] if new.left else -1, place[new.right] if new.right else len(place)


class NoOuterGap(NoUndecided):
    """Doesn't stop at what hangs on something before the gap."""

    def integrate(self, new: Item) -> int:
        place, left, right = self.gap(new)
        best, undecided = left + 1, False
        for i in range(left + 1, right):
            other = self.items[i]
            other_left = place[other.left] if other.left else -1
            other_right = place[other.right] if other.right else len(self.items)
            if other_left == left:
                if other_right == right:
                    if rank(new.by) < rank(other.by):
                        break
                    undecided = False
                else:
                    undecided = other_right < right
            if not undecided:
                best = i + 1
        return best


class ShownRight(Walker):
    """Overlooks deleted characters when it asks what stood to the right."""

    def next_existing(self, left: Item | None) -> Item | None:
        after = self.items.index(left) + 1 if left else 0
        return next((item for item in self.items[after:] if item.state == 1), None)


class Flag(Walker):
    """Remembers that an item is deleted, not how often."""

    def move(self, version: set[reference.Id]) -> None:
        for id in sorted(self.now - version, reverse=True):
            self.count(id, -1)
        for id in sorted(version - self.now):
            self.count(id, +1)
        self.now = set(version)

    def count(self, id: reference.Id, step: int) -> None:
        for item in self.touched[id]:
            inserted, deleted = (0, 1) if step < 0 else (1, 2)
            item.state = inserted if item.by == id else deleted


def failures(rule: type[Walker]) -> int:
    """How many of the published merge cases end in another text under this rule."""
    return sum(not ends_right(rule, case) for case in cases())


def cases() -> list[dict[str, object]]:
    files = sorted((Path(__file__).parent / "merge-cases").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def ends_right(rule: type[Walker], case: dict[str, object]) -> bool:
    txns = case["txns"]
    assert isinstance(txns, list)
    ids = [(txn["time"], txn["agent"]) for txn in txns]
    patches = [
        Patch(id, [ids[i] for i in txn["parents"]], txn["patches"], "somebody", 0)
        for id, txn in zip(ids, txns, strict=True)
    ]
    walker = rule(Graph(patches))
    try:
        for id in walker.graph.patches:
            walker.walk(id)
    except (ValueError, IndexError, AttributeError, AssertionError):
        return False  # a list in disorder can't be read any more
    return walker.text() == case["final"]


def rules() -> str:
    assert not failures(Walker)
    return lined_up(
        [
            ("what is left out", f"cases of {len(cases())} that then end in another text"),
            ("`undecided`", failures(NoUndecided)),
            ("the break at an outer gap", failures(NoOuterGap)),
            ("deleted items as right neighbours", failures(ShownRight)),
            ("counting deletions (a flag instead)", failures(Flag)),
        ]
    )


# --- the engine


def in_arrival_order() -> EventGraph:
    """The events as one replica got them: e1 to e6."""
    history = History()
    for patch in EVENTS.values():
        history.add([patch])
    return history.graph


def critical() -> str:
    graph = in_arrival_order()
    rows: list[Sequence[object]] = [("n", "the first n", "heads", "critical", "because")]
    given = list(EVENTS.values())
    twin = Graph(given)
    for n in range(len(given) + 1):
        inside = {patch.id for patch in given[:n]}
        blind = [patch for patch in given[n:] if not inside <= twin.history_of([patch.id])]
        assert (graph.critical_floor(n) == n) == (not blind)
        why = f"{NAMES[blind[0].id]} hasn't all of it in its history" if blind else ""
        heads = names(twin.heads_of(inside))
        rows.append((n, " ".join([*EVENTS][:n]) or "-", heads, "no" if blind else "yes", why))
    return lined_up(rows)


def in_turns(n: int) -> EventGraph:
    """Two sessions that don't see each other; n patches of each arrive in turns, one character each."""
    graph = EventGraph()
    graph.append(1, "base", [], ("base",), "", 1)
    last = [0, 0]
    for i in range(2 * n):
        last[i % 2] = graph.append(2 + i, "ab"[i % 2], [last[i % 2]], (2, "x"), "", 1)
    return graph


def one_version_moves(graph: EventGraph) -> int:
    """Retreats and advances of a walker that keeps one version, in arrival order."""
    moves, now, histories = 0, set[int](), list[set[int]]()
    for event in range(len(graph)):
        seen = set[int]().union(*(histories[parent] for parent in graph.parents_of(event)))
        moves += len(now ^ seen)
        now = seen | {event}
        histories.append(now)
    return moves


def walked(graph: EventGraph, size: int) -> CompiledWalker:
    walker = CompiledWalker(graph, 1, size)
    walker.walk_all(range(1, len(graph)))
    return walker


def turns() -> str:
    rows: list[Sequence[object]] = [("patches of each", "moves, one version kept", "moves, columns kept")]
    for n in (200, 400, 800):
        graph = in_turns(n)
        rows.append((n, f"{one_version_moves(graph):,}", f"{walked(graph, 4).moves:,}"))
    return lined_up(rows)


def at_one_place(n: int) -> EventGraph:
    """n sessions insert one character each at one place, unseen; each belongs behind those before it."""
    graph = EventGraph()
    graph.append(1, "base", [], ("base",), "", 1)
    for i in range(n):
        graph.append(2 + i, f"s{i:06}", [0], (2, "x"), "", 1)
    return graph


def places() -> str:
    rows: list[Sequence[object]] = [("sessions", "items that a scan looks at", "steps of the walker", "each")]
    for n in (100, 1_000, 10_000):
        steps = walked(at_one_place(n), 4).steps
        rows.append((f"{n:,}", f"{n * (n - 1) // 2:,}", f"{steps:,}", f"{steps / n:.0f}"))
    return lined_up(rows)


# --- the past


def woven() -> Weave:
    graph = in_arrival_order()
    walker = CompiledWalker(graph, 1, 2)
    walker.walk_all(plan(graph, 1, 5))
    return Weave(walker)


def weave() -> str:
    rows: list[Sequence[object]] = [("piece", "by", "deleted by")]
    for event, start, length, killers in woven().rows():
        text = TEXT[start : start + length]  # the base text is what the pool begins with
        by = "base" if event < 0 else f"e{event + 1}"
        rows.append((text, by, " ".join(f"e{killer + 1}" for killer in killers)))
    return lined_up(rows)


VERSIONS = ["e1", "e2", "e3", "e4", "e2 e4", "e5", "e4 e5"]


def versions() -> str:
    found = woven()
    pieces = [TEXT[start : start + length] for _, start, length, _ in found.rows()]
    rows: list[Sequence[object]] = [("heads", " ".join(pieces), "text")]
    for version in VERSIONS:
        heads = [int(name[1:]) - 1 for name in version.split()]
        shown = {start for _, start, _ in found.runs(found.graph.members(heads, 1))}
        letters = [TEXT[start] if start in shown else "." for _, start, _, _ in found.rows()]
        text = "".join(letters).replace(".", "")
        assert text == Reference(EVENTS.values()).text_at([EVENTS[name].id for name in version.split()])
        rows.append((version, " ".join(letters), quoted(text)))
    return lined_up(rows)


def script() -> str:
    history = History(EVENTS.values())
    rows: list[Sequence[object]] = [("n", "patch", "splices from n - 1 to n", "text"), (0, "", "", '""')]
    for n, (patch, splices) in enumerate(zip(history, history.splices(), strict=True), start=1):
        rows.append((n, NAMES[patch.id], told(splices), quoted(history.text(n))))
    return lined_up(rows)


# --- undo


def documents() -> tuple[Document, Document]:
    """Two replicas that hold all of the example, cyd's and ann's, on one clock."""
    ticks = count(1_000, 1_000)

    def opened(author: str) -> Document:
        return Document(
            session=f"{author}2", author=author, clock=lambda: next(ticks), patches=EVENTS.values()
        )

    return opened("cyd"), opened("ann")


def undo() -> str:
    cyd, ann = documents()
    rows: list[Sequence[object]] = [("who", "does", "delta", "cyd's text"), ("", "", "", quoted(cyd.text))]

    def line(who: str, does: str, patch: Patch | None) -> None:
        assert patch is not None
        rows.append((who, does, spelled(patch), quoted(cyd.text)))

    cyd.delete(2, 3)
    ann.insert(3, "Z")
    theirs = ann.commit()
    line("cyd", "deletes bYc", cyd.commit())
    assert theirs is not None
    cyd.receive([theirs])
    line("ann", "types Z before Y, unseen", theirs)
    line("cyd", "undoes", cyd.undo().patch)
    line("cyd", "reverts e6", cyd.revert(EVENTS["e6"].id).patch)
    line("cyd", "reverts e3", cyd.revert(EVENTS["e3"].id).patch)
    return lined_up(rows)


TABLES: dict[str, Callable[[], str]] = {
    "events": events,
    **{name: partial(step, name) for name in ("e2", "e3", "e4", "e5", "e6")},
    "filled": filled,
    "scan": scan,
    "tree": tree,
    "rules": rules,
    "critical": critical,
    "turns": turns,
    "places": places,
    "weave": weave,
    "versions": versions,
    "script": script,
    "undo": undo,
}

if __name__ == "__main__":
    text = INTERNALS.read_text(encoding="utf-8")
    INTERNALS.write_text(
        BLOCK.sub(lambda found: f"{found[1]} -->\n```text\n{TABLES[found[1]]()}```\n", text), encoding="utf-8"
    )
