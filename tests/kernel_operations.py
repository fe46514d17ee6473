"""What a trial of an operation is, what it is made of, and those over the compiled core.

Each operation is given a seeded generator and makes a trial of equal values each time that it is called. A
trial's `run` can be called again when it has failed. It doesn't know how it is made to fail.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple
from zlib import crc32

from syncstring import _patch
from syncstring._diff import diff, diff_counted
from syncstring._graph import EventGraph
from syncstring._names import name_hash
from syncstring._patch import Splice
from syncstring._plan import plan
from syncstring._pool import TextPool
from syncstring._rows import rows_of
from syncstring._text import SpliceLog, TextBuffer
from syncstring._walker import Walker
from syncstring._weave import Script, Weave
from syncstring.document import Document
from syncstring.history import History
from syncstring.patch import Patch
from syncstring.store import image

DOC: Final = "0" * 40


class Trial(NamedTuple):
    """An operation on fresh values."""

    run: Callable[[], Any]
    """What is tried; told apart from other outcomes by what it returns."""
    sound: Callable[[], None] = lambda: None
    """Raises `AssertionError` unless what `run` works on is as it was before, after `run` has failed."""
    says: Callable[[], Any] = lambda: None
    """What it works on says when `run` has succeeded. Asked without failures."""


# --- material ---------------------------------------------------------------------------------------------

_LETTERS: Final = ("ab \n", "abé", "ab乙", "a😀%\t\0")


def a_text(chance: random.Random, size: int, letters: str | None = None) -> str:
    return "".join(chance.choices(letters or "".join(_LETTERS), k=size))


def some_splices(chance: random.Random, size: int, count: int) -> list[Splice]:
    result = []
    for _ in range(count):
        pos = chance.randint(0, size)
        delete = chance.randint(0, min(3, size - pos))
        insert = a_text(chance, chance.randint(0, 4), chance.choice(_LETTERS))
        result.append(Splice(pos, delete, insert))
        size += len(insert) - delete
    return result


def a_document(session: str, patches: Sequence[Patch] = ()) -> Document:
    return Document(session=session, author=f"author {session}", clock=lambda: 0, patches=patches)


def type_in(document: Document, chance: random.Random, message: str | None = None) -> Patch:
    while True:
        for splice in some_splices(chance, len(document), chance.randint(1, 3)):
            document.splice(*splice)
        patch = document.commit(message)
        if patch is not None:
            return patch


def a_history(chance: random.Random, rounds: int) -> list[Patch]:
    """Sessions that fork and meet again, parents first: linear stretches and bubbles."""
    documents = [a_document(session) for session in ("one", "two", "3")]
    made: list[Patch] = []
    for i in range(rounds):
        alone = i % 3 == 0
        for document in documents[:1] if alone else documents:
            for _ in range(2):
                made.append(type_in(document, chance, "a message" if chance.random() < 0.3 else None))
        if i % 3 != 1:
            for document in documents:
                document.receive(made)
    return made


# --- the operations ---------------------------------------------------------------------------------------

Operation = Callable[[random.Random], Callable[[], Trial]]
OPERATIONS: dict[str, Operation] = {}


def operation(make: Operation) -> Operation:
    OPERATIONS[make.__name__.strip("_").replace("_", " ")] = make
    return make


def plain(run: Callable[[], Any]) -> Callable[[], Trial]:
    """An operation on values that nothing changes."""
    return lambda: Trial(run)


@operation
def rows_of_a_cursor(chance: random.Random) -> Callable[[], Trial]:
    found = []
    for time in range(1, 6):
        patch = Patch((time, "s"), (), [(0, 0, a_text(chance, 20, "aé\t\n😀"))], "ada", time)
        row = patch.to_row(DOC)
        text = image(row).text.encode()
        total = crc32(text, crc32("\t".join(map(str, row["id"])).encode()))
        found.append((*row["id"], text, None, total + (time == 3)))
    return plain(lambda: rows_of(iter(found), 1_000, lambda columns: {"id": list(columns[:3])}))


@operation
def diff_by_bisection(chance: random.Random) -> Callable[[], Trial]:
    old = a_text(chance, 300, "ab\n")
    new = _patch.apply(old, some_splices(chance, 300, 30))
    return plain(lambda: diff(old, new))


@operation
def diff_of_two_widths(chance: random.Random) -> Callable[[], Trial]:
    old = a_text(chance, 60, "abé")
    new = a_text(chance, 70, "abé😀")
    return plain(lambda: (diff(old, new), diff(new, old)))


@operation
def diff_beyond_its_budget(chance: random.Random) -> Callable[[], Trial]:
    parts = [a_text(chance, 90, "abcdefgh") for _ in range(6)]
    old, new = "x".join(parts), "yz".join(reversed(parts))
    return plain(lambda: diff_counted(old, new, 50))


@operation
def diff_that_searches_a_text_in_another(chance: random.Random) -> Callable[[], Trial]:
    part = "a" * 60 + "b" + "a" * 60  # repetitive: wants the table of Knuth, Morris and Pratt
    old = "a" * 400 + part + "ac" * 10
    return plain(lambda: diff("c" + old + "d", "e" + part + "f"))


@operation
def apply(chance: random.Random) -> Callable[[], Trial]:
    text = a_text(chance, 50, "ab")
    splices = some_splices(chance, 50, 12)
    return plain(lambda: _patch.apply(text, splices))


@operation
def compose(chance: random.Random) -> Callable[[], Trial]:
    splices = some_splices(chance, 50, 12)
    return plain(lambda: _patch.compose(splices))


@operation
def ops_splices_and_ops_apply(chance: random.Random) -> Callable[[], Trial]:
    text = a_text(chance, 50)
    ops = _patch.compose(some_splices(chance, 50, 6))
    return plain(lambda: (_patch.ops_splices(ops), _patch.ops_apply(text, ops)))


@operation
def invert(chance: random.Random) -> Callable[[], Trial]:
    text = a_text(chance, 50)
    splices = some_splices(chance, 50, 12)
    return plain(lambda: _patch.invert(text, splices))


@operation
def transform(chance: random.Random) -> Callable[[], Trial]:
    ours, theirs = some_splices(chance, 50, 5), some_splices(chance, 50, 5)
    return plain(lambda: _patch.transform(ours, theirs, True))


@operation
def map_position(chance: random.Random) -> Callable[[], Trial]:
    splices = some_splices(chance, 50, 12)
    return plain(lambda: _patch.map_position(1_000, splices, "before"))


@operation
def encode_delta_and_decode_delta(chance: random.Random) -> Callable[[], Trial]:
    ops = (5_000, "%" + a_text(chance, 9) + "\t\0", -7_000, a_text(chance, 3, "ab"), 1_234)
    ops = ops[:4]
    return plain(lambda: _patch.decode_delta(_patch.encode_delta(ops)))


@operation
def a_refusal(chance: random.Random) -> Callable[[], Trial]:
    """Errors are values, too: making one may fail."""
    pos = chance.randint(100, 200)

    def run() -> str:
        try:
            _patch.apply("ab", [(0, 1, "\ud800"), (pos, 1, "")])
        except _patch.PatchError as error:
            return str(error)
        return "nothing was wrong"

    return plain(run)


@operation
def TextBuffer_splice(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    text = a_text(chance, 40, "ab")
    long, wide = a_text(chance, 300, "abé"), a_text(chance, 20)

    splices = [(5, 3, long), (7, 0, "乙"), (20, 1, wide)]
    states = [_patch.apply(text, splices[:i]) for i in range(4)]

    def fresh() -> Trial:
        buffer = TextBuffer(text)

        def run() -> str:
            for i in range(states.index(str(buffer)), 3):
                buffer.splice(*splices[i])
            return str(buffer)

        def sound() -> None:
            buffer.check()
            assert str(buffer) in states

        return Trial(run, sound)

    return fresh


@operation
def TextBuffer_str_slice_and_copy(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    text = a_text(chance, 700)

    def fresh() -> Trial:
        buffer = TextBuffer(text)
        buffer.splice(300, 1, "x")
        before = str(buffer)

        def run() -> Any:
            twin = buffer.copy()
            twin.check()
            return str(buffer), buffer.slice(290, 310), str(twin)

        def sound() -> None:
            buffer.check()
            assert str(buffer) == before

        return Trial(run, sound)

    return fresh


@operation
def TextPool_push(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    first, wide = a_text(chance, 30, "ab"), a_text(chance, 60, "ab乙") + "乙"

    def fresh() -> Trial:
        pool = TextPool()
        pool.push(first)

        def run() -> Any:
            start = pool.push(wide)
            return start, pool.read(start, len(wide)), pool.read(0, len(first))

        def sound() -> None:
            pool.check()
            assert pool.read(0, len(first)) == first
            assert len(pool) in (len(first), len(first) + len(wide))

        return Trial(lambda: run()[1:], sound)

    return fresh


@operation
def SpliceLog_push_and_replay(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    text = a_text(chance, 300)

    def fresh() -> Trial:
        pool = TextPool()
        pool.push(text)
        log = SpliceLog(pool)

        def run() -> Any:
            log.truncate(0)
            for i in range(40):
                log.push(i, 0, 7 * i, 7)
            buffer = TextBuffer()
            log.replay(buffer, 0, 40)
            return str(buffer), log.splices(0, 40)

        return Trial(run, log.check)

    return fresh


@operation
def a_Patch(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    splices = some_splices(chance, 40, 6)
    parents = [(300, "b"), (200, "a"), (300, "b")]
    return plain(lambda: Patch((500, "c"), parents, splices, "author", 499, "message"))


def _a_patch(chance: random.Random) -> Patch:
    return Patch((5_000, "c" * 12), [(300, "b"), (200, "a")], some_splices(chance, 40, 6), "é", 7, "乙")


@operation
def to_row_and_digest(chance: random.Random) -> Callable[[], Trial]:
    patch = _a_patch(chance)
    return plain(lambda: (patch.to_row(DOC), patch.digest(), str(patch.id), repr(patch)))


@operation
def from_row(chance: random.Random) -> Callable[[], Trial]:
    row = _a_patch(chance).to_row(DOC)
    return plain(lambda: Patch.from_row(row))


@operation
def to_bytes_and_from_bytes(chance: random.Random) -> Callable[[], Trial]:
    patch = _a_patch(chance)
    return plain(lambda: Patch.from_bytes(patch.to_bytes()))


def _in_place_of(data: bytes, field: str) -> bytes:
    """Bytes of a patch after which that text of those is read anew, not found among what was met last."""
    for number in range(100_000):
        met = getattr(Patch.from_bytes(data), field)
        name = f"{number:012}" if field == "session" else f"other-{number}"
        other = Patch.of_ops((9_000, name), (), ("letters",), "", 9_000).to_bytes()
        Patch.from_bytes(other)
        if getattr(Patch.from_bytes(data), field) is not met:
            return other
    raise AssertionError("it is always met again")


@operation
def bytes_of_a_keystroke(chance: random.Random) -> Callable[[], Trial]:
    """By the kernel: no message, few operations and parents."""
    at, insert = chance.randint(300, 9_000), a_text(chance, 3, "é乙")
    parts = ((5_000_123, "c" * 12), ((4_000_123, "c" * 12),), (at, insert, -300), "author é", 4_999_000)
    data = Patch.of_ops(*parts).to_bytes()
    others = [_in_place_of(data, "session"), _in_place_of(data, "author")]

    def fresh() -> Trial:
        for other in others:
            Patch.from_bytes(other)
        patch = Patch.of_ops(*parts)

        def run() -> Any:
            read = Patch.from_bytes(patch.to_bytes())
            return read.id, read.parents, read.ops, read.author, read.wall, hash(read)

        def sound() -> None:
            assert patch.to_bytes() == data and Patch.from_bytes(data) == patch

        return Trial(run, sound)

    return fresh


@operation
def bytes_of_a_merge(chance: random.Random) -> Callable[[], Trial]:
    parents = [(4_000_000 - i, session) for i, session in enumerate(("c" * 12, "d" * 12, "Z_-9"))]
    patch = Patch((5_000_000, "c" * 12), parents, [(0, 300, a_text(chance, 3))], "author", 5_000_000)

    def run() -> Any:
        read = Patch.from_bytes(patch.to_bytes())
        return read.id, read.parents, read.ops, read.author, read.wall

    return plain(run)


@operation
def Patch_of_event(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    """Parents in another order than they came, and a message."""
    ops = (300, a_text(chance, 9, "é乙"), -400)

    def fresh() -> Trial:
        graph = EventGraph()
        for i in range(3):
            graph.append(3_000 - i, f"s{i}", (), ("x",), "ann", 3_000)
        graph.append(5_000, "two", (0, 1, 2), ops, "bob", 4_000, "said")

        def run() -> Any:
            view, twin = Patch.of_event(graph, 3), Patch.of_event(graph, 3)
            same = view == twin, hash(view) == hash(twin)
            return same, view.id, view.parents, view.ops, view.to_bytes(), view.to_row(DOC), repr(view)

        return Trial(run, lambda: graph_is_sound(graph))

    return fresh


@operation
def EventGraph_append_in_a_row(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    """Twenty: every column grows."""
    text = a_text(chance, 20, "ab")
    wide = a_text(chance, 20)

    def fresh() -> Trial:
        graph = EventGraph()
        graph.append(1_000, "one", (), ("x",), "a", 1_000)

        def run() -> Any:
            while (event := len(graph)) < 24:
                time, insert = 1_000 + event, wide if event > 12 else text
                said = f"event {event}" if event % 2 else None
                graph.append(time, "one", (event - 1,), (1, insert, insert[1:]), "a", time, said)
            return graph_says(graph)

        return Trial(run, lambda: graph_is_sound(graph))

    return fresh


@operation
def EventGraph_append_beside_others(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    """New sessions, authors and heads; criticals end, heads are merged."""
    patches = a_history(chance, 4)

    def fresh() -> Trial:
        graph = EventGraph()

        def run() -> Any:
            for patch in patches[len(graph) :]:
                parents = sorted(graph.find(*parent) for parent in patch.parents)
                graph.append(*patch.id, parents, patch.ops, patch.author, patch.wall, patch.message)
            return graph_says(graph)

        return Trial(run, lambda: graph_is_sound(graph))

    return fresh


def graph_says(graph: EventGraph) -> Any:
    n = len(graph)
    return (
        [(graph.id_of(i), graph.parents_of(i), graph.ops_of(i), graph.message_of(i)) for i in range(n)],
        [graph.heads_at(i) for i in range(n + 1)],
    )


def graph_is_sound(graph: EventGraph) -> None:
    graph.check()
    assert graph.find(1 << 52, "nobody") == -1
    assert all(graph.find(*graph.id_of(i)) == i for i in range(len(graph)))


@operation
def EventGraph_asked(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    graph = History(a_history(chance, 5)).graph
    n = len(graph)

    def run() -> Any:
        a, b = graph.heads, (n // 2, n // 3)
        return (
            graph.difference(a, b),
            graph.difference(b, a),
            graph.dominators((*a, *b)),
            bytes(graph.members(b, 0)),
            graph.stretches(0, n),
            graph.lane("one"),
            graph.order_until(n).tolist(),
            name_hash(5, "one"),
        )

    return lambda: Trial(run, lambda: graph_is_sound(graph))


@operation
def a_past_folded(chance: random.Random) -> Callable[[], Trial]:
    typed = a_document("typing")
    for _ in range(40):
        typed.splice(chance.randint(0, len(typed.text)), 0, a_text(chance, 3))
        typed.commit()
    patches, n = typed.outgoing, chance.randint(2, 39)

    def fresh() -> Trial:
        graph = History(patches).graph
        for event in range(40):
            graph.judge(event, 3 * event)

        def run() -> Any:
            folded = [graph.fold_before(prefix) or graph.folded >= prefix for prefix in (n // 2, n)]
            looked = [graph.id_of(event) for event in range(40)], graph.find(*patches[0].id)
            # Last, since nothing can be folded before it any more.
            return folded, looked, graph.append(9 << 40, "late", (0,), (), "ada", 0)

        return Trial(run, lambda: graph_is_sound(graph), lambda: graph.folded)

    return fresh


@operation
def a_time_order(chance: random.Random) -> Callable[[], Trial]:
    patches = a_history(chance, 4)

    def fresh() -> Trial:
        graph = History(patches).graph
        return Trial(
            lambda: ([graph.event_at(i) for i in range(len(graph))], graph.count_until(2_000)),
            lambda: graph_is_sound(graph),
        )

    return fresh


@operation
def Walker_and_Weave(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    graph = History(a_history(chance, 4)).graph

    def run() -> Any:
        walker = Walker(graph, 0, 0)
        log = SpliceLog(graph.pool)
        walker.walk_all(plan(graph, 0, len(graph)), log)
        weave = Weave(walker)
        return log.splices(0, len(log)), weave.rows(), weave.runs(b"\1" * len(graph))

    return lambda: Trial(run, lambda: graph_is_sound(graph))


@operation
def a_walker_of_many_branches(chance: random.Random) -> Callable[[], Trial]:
    """Columns are opened and moved."""
    ours, theirs = a_document("ours"), a_document("theirs")
    patches = []
    for document in ours, theirs:
        for _ in range(12):
            document.splice(chance.randint(0, len(document)), 0, a_text(chance, 3))
            patches.append(document.commit())
    ours.receive(patches)
    ours.splice(0, len(ours), "x")
    patches.append(ours.commit())
    graph = History(sorted(patches, key=lambda patch: patch.id)).graph

    def run() -> Any:
        walker = Walker(graph, 0, 0)
        log = SpliceLog(graph.pool)
        walker.walk_all(range(len(graph)), log)
        return log.splices(0, len(log))

    return lambda: Trial(run, lambda: graph_is_sound(graph))


@operation
def a_Script(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    """Linear stretches and bubbles; what fails half-way goes on from there."""
    graph = History(a_history(chance, 6)).graph
    n = len(graph)
    walker = Walker(graph, 0, 0)
    walker.walk_all(plan(graph, 0, n))

    def fresh() -> Trial:
        script = Script(graph)
        weaves = {}
        for first, last, linear in graph.stretches(0, n):
            if not linear:
                base = Walker(graph, first, graph.size_before(first) if first else 0)
                base.walk_all(plan(graph, first, last))
                weaves[first] = Weave(base)

        def run() -> Any:
            script.truncate(graph.critical_floor(len(script)))
            for first, last, linear in graph.stretches(len(script), n):
                if linear:
                    script.extend_linear(first, last)
                else:
                    script.extend_woven(weaves[first])
            buffer = TextBuffer()
            script.replay(buffer, 0, n)
            return str(buffer), [script.splices(i + 1) for i in range(n)]

        def sound() -> None:
            graph_is_sound(graph)
            script.log.check()

        return Trial(run, sound)

    return fresh
