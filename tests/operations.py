"""Operations that are tried with allocations failing: see `allocation.py`. Here are those in Python, over the
kernels; `kernel_operations` has the others.

The law that they are tried by. `MemoryError` and nothing else comes out; what a call worked on is sound then,
and the same call again does what it would have done. A `Document`'s text, and what it has uncommitted or can
take back, is as before, but its history may have grown where `may_grow` says so.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from kernel_operations import (
    DOC,
    OPERATIONS,
    Trial,
    a_document,
    a_history,
    graph_is_sound,
    graph_says,
    operation,
    plain,
    some_splices,
    type_in,
)

from syncstring import pack
from syncstring._graph import EventGraph
from syncstring._patch import Splice, apply, compose
from syncstring._text import TextBuffer
from syncstring.document import Document
from syncstring.history import Base, History, weight
from syncstring.merge import Merge
from syncstring.patch import Patch
from syncstring.timeline import Timeline

__all__ = ["NOT_YET", "OPERATIONS", "Trial"]

NOT_YET: Final[dict[str, str]] = {}
"""Operations that don't keep the whole law yet, and why: of these it is asked that nothing but `MemoryError`
comes out, and that nothing leaks. All of it with --strict."""


def everything(history: History) -> tuple[Any, ...]:
    """What a history says that could differ."""
    return (
        history.text(),
        history.heads,
        history.parked,
        [str(problem) for problem in history.problems],
        history.splices(),
    )


def _added(patches: Sequence[Patch], first: Sequence[Patch] = ()) -> Callable[[], Trial]:
    """`History.add` of patches that come in one call."""

    def fresh() -> Trial:
        history = History(first)

        placed: list[list[Patch]] = [[]]

        def run() -> None:
            placed[0] = history.add(patches)

        def sound() -> None:
            graph_is_sound(history.graph)
            known = History(patch for patch in history.patches() if patch.id in history)
            assert history.text() == known.text() and history.heads == known.heads

        return Trial(run, sound, lambda: (sorted(patch.id for patch in placed[0]), everything(history)))

    return fresh


@operation
def History_add_in_a_row(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    document = a_document("one")
    return _added([type_in(document, chance, "said") for _ in range(12)])


@operation
def History_add_of_patches_in_bytes(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    return _added([Patch.from_bytes(patch.to_bytes()) for patch in a_history(chance, 3)])


@operation
def History_add_of_a_bubble(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    patches = a_history(chance, 3)
    return _added(patches[4:], patches[:4])


@operation
def History_add_of_what_was_parked(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    patches = a_history(chance, 3)
    return _added(patches[:1], patches[1:])


@operation
def History_drop_parked(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    patches = a_history(chance, 3)[1:]

    def fresh() -> Trial:
        history = History(patches)
        before = everything(history)

        def sound() -> None:
            assert everything(history) == before or len(history.parked) == 2
            assert history.parked_size == sum(map(weight, history.parked))

        return Trial(lambda: history.drop_parked(2, 1 << 20), sound, lambda: everything(history))

    return fresh


@operation
def History_add_of_rows_good_and_bad(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    rows = [patch.to_row(DOC) for patch in a_history(chance, 2)]
    rows[3] = {**rows[3], "delta": "=0"}
    rows[5] = {**rows[5], "v": 2}
    return _added(rows)  # type: ignore[arg-type]


@operation
def History_add_of_another_content(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    patches = a_history(chance, 2)
    return _added([_another(patches)], patches)


def _another(patches: Sequence[Patch]) -> Patch:
    """Another content of the second patch, which wins."""
    return min(
        (Patch(patches[1].id, patches[1].parents, [(0, 0, f"other {i}")], "b", 7) for i in range(20)),
        key=Patch.digest,
    )


@operation
def History_text_text_at_and_splices(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    patches = a_history(chance, 4)
    ids = [patch.id for patch in patches]

    def fresh() -> Trial:
        history = History(patches)

        def run() -> Any:
            return history.text(), [history.text_at([id]) for id in ids[::3]], history.splices()

        return Trial(run, lambda: graph_is_sound(history.graph))

    return fresh


@operation
def Merge_between(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    graph = History(a_history(chance, 4)).graph
    n = len(graph)

    def fresh() -> Trial:
        merge = Merge(graph)
        versions = [graph.heads, (n // 2,), (n // 3,), ()]
        return Trial(
            lambda: [merge.between(a, b) for a in versions for b in versions],
            lambda: graph_is_sound(graph),
        )

    return fresh


def _document(
    patches: Sequence[Patch],
    prepare: Callable[[Document], Any],
    call: Callable[[Document], Any],
    may_grow: bool = False,
    pointing: bool = True,
) -> Callable[[], Trial]:
    """A call of a `Document`: one that raises changed nothing, save that its history may have grown. With a
    cursor it goes the plain ways."""

    def fresh() -> Trial:
        document = a_document("mine", patches)
        document.held = document.cursor(min(1, len(document))) if pointing else None  # type: ignore[attr-defined]
        prepare(document)
        shown = _shown(document)  # as an editor has it
        done = _done(document)

        def run() -> Any:
            return call(document)

        def sound() -> None:
            document.check(behind=may_grow)
            assert _shown(document) == shown
            now = _done(document)
            if may_grow:
                assert now[0] >= done[0] and now[1][: len(done[1])] == done[1]
                assert {patch.id for patch in document.outgoing} <= {id for id, _ in now[0]}
            else:
                assert now == done

        def says() -> Any:
            document.check()
            return _shown(document), _done(document), document.heads, document.parked

        return Trial(run, sound, says)

    return fresh


def _shown(document: Document) -> tuple[Any, ...]:
    held = document.held  # type: ignore[attr-defined]
    return document.text, held and held.pos


def _done(document: Document) -> tuple[Any, ...]:
    return (
        {(patch.id, patch.digest()) for patch in document.history.patches()},
        list(document.outgoing),
        list(document._undos),
        list(document._redos),
        dict(document._taken),
        compose(document._pending),
    )


def _type(document: Document) -> None:
    for splice in some_splices(random.Random(5), len(document), 4):
        document.splice(*splice)


def _commit(document: Document) -> None:
    document.splice(0, 2, "mine")
    document.commit()


@operation
def Document_splice(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    return _document(a_history(chance, 2), _type, lambda document: document.splice(2, 1, "乙" * 70))


@operation
def Document_set_text(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    return _document(
        a_history(chance, 2), _type, lambda document: document.set_text("new 乙" + document.text[2:-2])
    )


@operation
def Document_commit(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    def prepare(document: Document) -> None:
        _commit(document)
        document.undo()
        _type(document)

    return _document(a_history(chance, 2), prepare, lambda document: document.commit("said"))


@operation
def Document_splice_of_a_key(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    return _document(
        a_history(chance, 2), _commit, lambda document: document.splice(2, 1, "乙" * 70), pointing=False
    )


@operation
def Document_commit_of_a_key(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    def prepare(document: Document) -> None:
        _commit(document)
        document.undo()
        document.splice(1, 1, "乙" * 70)

    return _document(a_history(chance, 2), prepare, lambda document: document.commit(), pointing=False)


@operation
def Document_commit_each(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    """Those before the one that it fails in are made, and that one is done, and uncommitted, or not; so the
    next call is for the rest."""
    patches = a_history(chance, 2)
    size = len(a_document("mine", patches))
    splices = [*some_splices(chance, size, 5), Splice(0, 0, "乙" * 70), Splice(1, 1, "😀"), Splice(0, 1, "")]
    splices = [splice for splice in splices if splice.delete or splice.insert]

    def fresh() -> Trial:
        document = a_document("mine", patches)
        text, heads = document.text, document.heads

        def done() -> int:
            return len(document.outgoing) + len(document.uncommitted)

        def run() -> Any:
            document.commit_each(splices[done() :])

        def sound() -> None:
            document.check()
            assert document.text == apply(text, splices[: done()])
            made = {patch.id for patch in document.history.patches()}
            assert made == {patch.id for patch in (*patches, *document.outgoing)}
            assert [step for (step,) in document._undos] == [patch.id for patch in document.outgoing]
            parents = heads
            for patch, splice in zip(document.outgoing, splices, strict=False):
                assert (patch.ops, patch.parents) == (compose([splice]), parents)
                parents = (patch.id,)

        return Trial(run, sound, lambda: (_done(document), document.text, document.heads))

    return fresh


@operation
def Document_commit_of_a_message(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    patches = a_history(chance, 2)

    def prepare(document: Document) -> None:
        _type(document)
        document.receive(patches[-1:])

    return _document(patches[:-1], prepare, lambda document: document.commit("said"))


@operation
def Document_receive(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    patches = a_history(chance, 3)
    return _document(patches[:-4], _type, lambda document: document.receive(patches[-4:]), may_grow=True)


@operation
def Document_receive_of_one(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    """Which stands on all that is there."""
    *patches, last = _in_a_row(chance, 6)
    return _document(patches, _nothing, lambda document: document.receive([last]), True, False)


@operation
def Document_receive_of_one_in_bytes(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    *patches, last = (Patch.from_bytes(patch.to_bytes()) for patch in _in_a_row(chance, 6))
    return _document(patches, _nothing, lambda document: document.receive([last]), True, False)


@operation
def Document_receive_of_many(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    """Concurrent ones and doubles among them."""
    patches = a_history(chance, 4)
    given = [*patches[3:], *patches[:6]]
    return _document(patches[:4], _nothing, lambda document: document.receive(given), True, False)


@operation
def Document_receive_of_many_in_bytes(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    patches = _in_a_row(chance, 20)
    given = [Patch.from_bytes(patch.to_bytes()) for patch in patches[2:]]
    return _document(patches[:2], _nothing, lambda document: document.receive(given), True, False)


def _in_a_row(chance: random.Random, count: int) -> list[Patch]:
    document = a_document("one")
    return [type_in(document, chance) for _ in range(count)]


def _nothing(document: Document) -> None:
    pass


@operation
def Document_receive_of_several_bubbles(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    patches = a_history(chance, 7)
    return _document(
        patches[:4], lambda document: None, lambda document: document.receive(patches[4:]), may_grow=True
    )


@operation
def Document_receive_of_another_content(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    patches = a_history(chance, 2)
    rows = [_another(patches).to_row(DOC)]
    return _document(patches[:-1], _type, lambda document: document.receive(rows, stored=True), may_grow=True)


@operation
def Document_edit_at(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    patches = a_history(chance, 3)
    heads = (patches[len(patches) // 2].id,)
    splices = [(0, 0, "elsewhere")]
    return _document(patches, _type, lambda document: document.edit_at(heads, splices), may_grow=True)


@operation
def Document_undo(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    return _document(a_history(chance, 3), _commit, lambda document: document.undo())


@operation
def Document_redo(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    def prepare(document: Document) -> None:
        _commit(document)
        document.undo()

    return _document(a_history(chance, 3), prepare, lambda document: document.redo())


@operation
def Document_redo_beside_others(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    """The long way: what came back is looked for, and taken back where it stands now."""
    patches = a_history(chance, 3)

    def prepare(document: Document) -> None:
        _commit(document)
        document.undo()
        document.receive(patches[-1:])

    return _document(patches[:-1], prepare, lambda document: document.redo())


@operation
def Document_revert(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    def prepare(document: Document) -> None:
        _commit(document)
        document.undo()

    return _document(a_history(chance, 3), prepare, lambda document: document.revert(4))


@operation
def Document_restore(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    return _document(a_history(chance, 3), _commit, lambda document: document.restore(5))


@operation
def Document_restore_of_uncommitted(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    return _document(a_history(chance, 3), _type, lambda document: document.restore(5), may_grow=True)


@operation
def Document_reissue(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    def call(document: Document) -> Any:
        lost = [patch for patch in document.history.patches() if patch.id.session == "mine"]
        return document.reissue("other", lost)

    return _document(a_history(chance, 2), _commit, call)


@operation
def Document_adopt(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    patches = a_history(chance, 3)
    return _document(patches[3:], lambda document: None, lambda document: document.adopt(patches[:3]))


@operation
def Document_adopt_of_a_chain(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    """Which stays in its pack, and ends where the document begins."""
    patches = _chain(chance, 1_033)
    packed, rest = patches[:1_030], patches[1_030:]
    sections = [pack.encode(packed)]
    base = Base((packed[-1].id,), len(packed), History(packed).text())

    def fresh() -> Trial:
        document = Document(session="mine", author="ada", clock=lambda: 0, patches=rest, base=base)
        text = document.text

        def run() -> Any:
            splices = document.adopt(History.of_packs(sections))
            return splices, document.text == text, len(document.history), document.heads

        def sound() -> None:
            assert (document.text, document.heads) == (text, (rest[-1].id,))
            assert document.history.base in (base, None)  # it may be adopted and not yet shown
            document.check(behind=True)

        return Trial(run, sound)

    return fresh


@operation
def Timeline_at_diff_and_blame(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    patches = a_history(chance, 4)

    def fresh() -> Trial:
        history = History(patches)
        timeline = Timeline(history, now=lambda: 0)
        n = len(patches)

        def run() -> Any:
            names = [timeline.short(patch.id) for patch in patches[::4]]
            return timeline.text(n // 2), timeline.diff(n // 3, n), timeline.blame(), names

        return Trial(run, lambda: graph_is_sound(history.graph))

    return fresh


@operation
def pack_encode(chance: random.Random) -> Callable[[], Trial]:
    patches = a_history(chance, 3)
    return plain(lambda: pack.encode(patches))


@operation
def pack_decode(chance: random.Random) -> Callable[[], Trial]:
    sections = pack.encode(a_history(chance, 3))
    return plain(lambda: (pack.decode(*sections), pack.decode_graph(sections[0])))


@operation
def pack_append(chance: random.Random) -> Callable[[], Trial]:
    """All of a pack or nothing, be it of a history that forks."""
    patches = a_history(chance, 3)
    half = len(patches) // 2
    first, second = pack.encode(patches[:half]), pack.encode(patches[half:])

    def fresh() -> Trial:
        graph = EventGraph()
        pack.append(graph, *first)

        def run() -> Any:
            if len(graph) == half:
                pack.append(graph, *second)
            return graph_says(graph)

        def sound() -> None:
            graph_is_sound(graph)
            assert len(graph) in (half, len(patches))

        return Trial(run, sound)

    return fresh


def _chain(chance: random.Random, count: int) -> list[Patch]:
    """So long that a pack of it can stay as it lies."""
    patches: list[Patch] = []
    for i in range(count):
        parents = [patches[-1].id] if patches else []
        message = "said" if i in (7, 1_028) else None
        insert = chance.choice("aé乙") * (7_000 if i == 500 else 1)
        patches.append(
            Patch((1_000 * i + 1, "ab"[i % 2]), parents, [(i, 0, insert)], "ada", 1_000 * i, message)
        )
    return patches


@operation
def pack_append_chain(chance: random.Random) -> Callable[[], Trial]:
    """A chain that stays in its pack; all of it or nothing, and so with its text."""
    patches = _chain(chance, 1_030)
    sections = pack.encode(patches)

    def fresh() -> Trial:
        graph, text = EventGraph(), TextBuffer()

        def run() -> Any:
            if not len(graph):
                pack.append(graph, *sections, text)
            return (
                len(graph),
                str(text),
                graph.id_of(3),
                graph.ops_of(1_027),
                graph.find(5_001, "b"),
            )

        def sound() -> None:
            graph.check_events()  # the rest takes n^2
            assert (len(graph), len(text)) in ((0, 0), (1_030, 8_029))

        return Trial(run, sound)

    return fresh


@operation
def History_of_packs(chance: random.Random) -> Callable[[], Trial]:  # noqa: N802
    patches = a_history(chance, 3)
    sections = [pack.encode(patches[:5]), pack.encode(patches[5:9])]
    return plain(lambda: graph_says(History.of_packs(sections, patches[9:]).graph))
