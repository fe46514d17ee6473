"""A chain that stays in its pack, against the same that was read flat: every answer alike, every refusal.

The twin is a graph that the same sections were read into without offering a text: then all is read flat.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_columns import alone, raw

from syncstring import Document, pack
from syncstring._columns import read_columns
from syncstring._graph import EventGraph
from syncstring._text import TextBuffer
from syncstring.errors import CorruptStore
from syncstring.history import History
from syncstring.patch import Id, Patch

PAGE = 1_024


def typed(chance: random.Random, count: int, sessions: int = 1, steady: bool = False) -> list[Patch]:
    """A chain of edits by one session or several: most type on, or delete, some are pastes and rewrites.
    `steady`: all by a clock that ticks alike."""
    made: list[Patch] = []
    size = at = 0
    time = 1_600_000_000_000_000
    session, wall = 0, 0
    for i in range(count):
        if sessions > 1 and chance.random() < 0.1:
            session, wall = chance.randrange(sessions), chance.choice((0, 0, 999, -70_123))
        if steady:
            time += 1 if i % 1_000 else 1_000 - time % 1_000
        else:
            time += chance.choice((1, 7, 150_000 - time % 1_000, 1_000_137))
        kind = chance.random()
        at = min(at, size) if kind < 0.7 else chance.randint(0, size)
        insert, delete = "", 0
        if kind < 0.6 or not size:
            insert = chance.choice("abcé乙😀")
        elif kind < 0.9:
            delete = min(size - at, chance.choice((1, 1, 5)))
        elif kind < 0.99:
            insert, delete = "über" * chance.randrange(4), min(size - at, chance.randrange(4))
        if i == 300:
            insert = "z" * 6_100
        splices = [(at, delete, insert)]
        size += len(insert) - delete
        at += len(insert)
        if chance.random() < 0.03 and size:
            splices.append((0, 1, "Q"))
        message = f"note {i}" if chance.random() < 0.01 else None
        author = "ada" if chance.random() < 0.98 else "grace"
        parents = [made[-1].id] if made else []
        made.append(Patch((time, f"s{session}"), parents, splices, author, time + wall, message))
    return made


def in_rows(chance: random.Random, count: int, sessions: int = 1) -> list[Patch]:
    """A chain of rows: what is typed on, and what is deleted on to either side, by as many code points each
    time; some begin where the one before ended, some are of one edit."""
    made: list[Patch] = []
    size = at = 0
    while len(made) < count:
        how = chance.choice(["type", "type", "back", "on", "before"])
        points = chance.choice((1, 1, 1, 2, 70))
        at = chance.choice((at, min(size, at + 1), chance.randint(0, size)))
        for _ in range(chance.choice((1, 2, 7, 8, 9, 31, 32, 33, 200))):
            if how in ("type", "before"):
                splice = (at, 0, "".join(chance.choices("abcé乙😀", k=points)))
                size += points
                at += points if how == "type" else 0
            else:
                at = at - points if how == "back" else at
                if not 0 <= at <= size - points:
                    at = max(0, min(at, size))
                    break
                splice = (at, points, "")
                size -= points
            time, parents = 1_000 * len(made) + 1_000, [patch.id for patch in made[-1:]]
            session = f"s{chance.randrange(sessions) if chance.random() < 0.02 else 0}"
            made.append(Patch((time, session), parents, [splice], "ada", time))
    return made


def laid(sections: tuple[bytes, bytes]) -> tuple[EventGraph, TextBuffer]:
    graph, text = EventGraph(), TextBuffer()
    read_columns(graph, *sections, vet=bool, text=text)
    return graph, text


def flat(sections: tuple[bytes, bytes]) -> EventGraph:
    graph = EventGraph()
    read_columns(graph, *sections, vet=bool)
    return graph


def sizes(graph: EventGraph) -> list[tuple[Any, ...]]:
    return [
        (graph.size_of(e), graph.size_before(e), graph.is_misfit(e), graph.text_range(e), graph.time_of(e))
        for e in range(len(graph))
    ]


CHANCES = st.integers(0, 1 << 30).map(random.Random)
LENGTHS = st.sampled_from([PAGE + 1, 2 * PAGE, 2 * PAGE + 1, 2_500])
CHAINS = st.one_of(
    st.builds(typed, CHANCES, LENGTHS, st.sampled_from([1, 2, 30]), st.booleans()),
    st.builds(in_rows, CHANCES, LENGTHS, st.sampled_from([1, 3])),
)


@settings(max_examples=12, deadline=None)
@given(CHAINS)
def test_every_answer_is_that_of_the_same_read_flat(made: list[Patch]) -> None:
    sections = raw(made)
    graph, text = laid(sections)
    twin = flat(sections)
    assert graph.folded >= PAGE and twin.folded == 0
    text.check()
    assert str(text) == History(made).text()
    assert [graph.find(*patch.id) for patch in made] == [*range(len(made))]
    assert graph.find(made[3].id.time, made[3].id.session + "x") == -1
    assert graph.folded >= PAGE  # page by page: nothing asked so far unfolds all
    assert sizes(graph) == sizes(twin)
    assert alone(graph) == alone(twin)
    graph.check_events()
    assert graph.folded == 0
    assert sizes(graph) == sizes(twin)


@settings(max_examples=12, deadline=None)
@given(CHAINS, st.integers(0, 1 << 30).map(random.Random))
def test_pages_are_decoded_in_any_order_and_as_often_as_asked(
    made: list[Patch], chance: random.Random
) -> None:
    graph, _ = laid(raw(made))
    for _ in range(12):
        event = chance.randrange(len(made))
        assert Patch.of_event(graph, event) == made[event]
    assert graph.folded


@settings(max_examples=10, deadline=None)
@given(CHAINS, st.integers(0, 1 << 30).map(random.Random))
def test_a_history_goes_on_from_it_as_from_any_other(made: list[Patch], chance: random.Random) -> None:
    """With more packs, with what comes late, and with what is typed on."""
    count = len(made)
    half = chance.choice([count - 3, count // 2 + 1, PAGE + 1])
    sections = [pack.encode(made[:half]), pack.encode(made[half:])]
    history, twin = History.of_packs(sections), History(made)
    assert history.graph.folded == (half - 1) // PAGE * PAGE
    assert history.merge.known_text()[0] == (half if half > PAGE else 0)
    late = made[chance.randrange(count)]
    more = [
        Patch((made[-1].id.time + 5, "n"), [made[-1].id], [(0, 0, "new")], "n", 1),
        Patch((late.id.time + 1, "late"), [late.id], [(0, 0, "late")], "n", 1),
        Patch((made[-1].id.time + 9, "s0"), [made[-1].id], [(0, 0, "mine")], "n", 1),
    ]
    chance.shuffle(more)
    for patch in more:
        history.add([patch])
        twin.add([patch])
        assert history.text() == twin.text() and history.heads == twin.heads
    n = chance.randrange(count)
    assert history.text(n) == twin.text(n)
    assert history.merge.splices(n + 1) == twin.merge.splices(n + 1)
    history.drop_caches()
    assert history.text() == twin.text()
    history.graph.check_events()


def test_a_pack_that_stands_beside_the_chain_takes_the_text_from_none() -> None:
    made = typed(random.Random(3), 1_500)
    beside = Patch((made[700].id.time + 1, "b"), [made[700].id], [(0, 0, "beside")], "b", 1)
    history = History.of_packs([pack.encode(made), pack.encode([beside])])
    assert history.merge.known_text() == (0, "")
    assert history.text() == History([*made, beside]).text()


def test_a_patch_of_the_same_session_that_is_older_and_on_nothing_is_found_and_so_are_all_others() -> None:
    made = typed(random.Random(9), 1_500)
    at = next(i for i in range(50, 1_500) if made[i].id.time > made[i - 1].id.time + 1)
    older = Patch((made[at].id.time - 1, "s0"), [], [(0, 0, "older")], "b", 1)
    graph, _ = laid(raw(made))
    pack.append(graph, *pack.encode([older]))
    assert graph.find(*older.id) == len(made)
    assert [graph.find(*patch.id) for patch in made] == [*range(len(made))]
    graph.check_events()


def test_a_patch_that_is_in_the_chain_already_is_a_look_up_that_failed() -> None:
    made = typed(random.Random(4), 1_500)
    for again in (made[5], made[-1]):
        graph, _ = laid(raw(made))
        with pytest.raises(LookupError, match="is here already"):
            pack.append(graph, *pack.encode([again]))
        assert len(graph) == len(made)
        assert [Patch.of_event(graph, event) for event in range(len(graph))] == made


def test_a_document_adopts_it_and_types_on() -> None:
    made = typed(random.Random(5), 3_000, sessions=3)
    document = Document(session="me", author="me", clock=lambda: made[-1].id.time + 10_000)
    document.adopt(History.of_packs([pack.encode(made[:-40]), pack.encode(made[-40:])]))
    assert document.text == History(made).text()
    assert document.history.graph.folded
    document.insert(0, "more ")
    document.commit()
    assert document.at(len(made)) == History(made).text()
    assert [version.id for version in document.versions][1:-1] == [patch.id for patch in made]
    assert document.text == "more " + History(made).text()


# --- what isn't plain -------------------------------------------------------------------------------------


def changed(made: Sequence[Patch], at: int, **how: Any) -> list[Patch]:
    """The same with another patch in one place, and all after it on that one."""
    result = list(made[:at])
    for i, patch in enumerate(made[at:], start=at):
        parents = (result[-1].id,) if result else ()
        parts = {
            "id": patch.id,
            "parents": parents,
            "ops": patch.ops,
            "author": patch.author,
            "wall": patch.wall,
        }
        if i == at:
            parts |= how
        result.append(Patch.trusted(*parts.values()))
    return result


@pytest.mark.parametrize(
    "how",
    [
        {"ops": (1 << 40, "far")},
        {"ops": ("x", -(1 << 50))},
        {"parents": ()},
        {"wall": (1 << 53) - 1},
        {"wall": 0},
    ],
    ids=["a misfit", "deletes too much", "no parents", "a late wall", "an early wall"],
)
@pytest.mark.parametrize("at", [3, PAGE + 20])
def test_what_is_right_and_not_plain_is_read_as_well(at: int, how: dict[str, Any]) -> None:
    made = changed(typed(random.Random(6), 1_200), at, **how)
    graph, _ = laid(raw(made))
    assert alone(graph) == alone(flat(raw(made)))
    assert History.of_packs([pack.encode(made)]).text() == History(made).text()


@pytest.mark.parametrize("past", [-2, -1, 0, 1, 30])
def test_a_millisecond_that_ends_after_the_last_tame_time_is_left_to_who_reads_flat(past: int) -> None:
    """Times from 2^52 on may stand close to their parents' alone. On the second page one is skipped, so that
    those after it are a run of their own."""
    made: list[Patch] = []
    for i in range(PAGE + 80):
        time = (1 << 52) + past - (PAGE + 80) + i + (i > PAGE + 5)
        made.append(Patch((time, "s"), [patch.id for patch in made[-1:]], [(i, 0, "x")], "ada", 1 << 40))
    graph, text = laid(raw(made))
    assert (graph.folded, len(text)) == ((PAGE, PAGE + 80) if past < 0 else (0, 0))
    assert [Patch.of_event(graph, event) for event in range(len(graph))] == made


def by_turns(sessions: Sequence[str], authors: Sequence[str]) -> list[Patch]:
    """A chain of more than a page, of which every one has a part."""
    made: list[Patch] = []
    for i in range(PAGE + 80):
        session, author = (names[i % len(names)] for names in (sessions, authors))
        time, parents = 1_000 * i + 1_000, [patch.id for patch in made[-1:]]
        made.append(Patch((time, session), parents, [(0, 0, "x")], author, time))
    return made


@pytest.mark.parametrize("bent", ["session", "author"])
def test_whoever_stands_twice_in_a_table_is_one_all_the_same(bent: str) -> None:
    sections = raw(by_turns(["session-1", "session-2"], ["author-1", "author-2"]))
    once, twice = f"{bent}-1".encode(), f"{bent}-2".encode()
    known, rest = (section.replace(twice, once) for section in sections)
    graph, _ = laid((known, rest))
    twin = flat((known, rest))
    assert alone(graph) == alone(twin)
    assert [graph.find(*twin.id_of(event)) for event in range(len(twin))] == [*range(len(twin))]


@pytest.mark.parametrize("sessions", [256, 257])
def test_a_chain_stays_in_its_pack_up_to_so_many_sessions(sessions: int) -> None:
    made = by_turns([f"s{i}" for i in range(sessions)], ["ada"])
    graph, _ = laid(raw(made))
    assert graph.folded == (PAGE if sessions == 256 else 0)
    assert [Patch.of_event(graph, event) for event in range(len(graph))] == made
    assert [graph.find(*patch.id) for patch in made] == [*range(len(made))]


@pytest.mark.parametrize(
    "how",
    [
        {"wall": -1},
        {"wall": 1 << 53},
        {"id": Id(5, "s0")},
        {"id": Id((1 << 52) + (1 << 51), "s0")},
        {"author": "a" * 257},
        {"ops": ("x" * (1 << 20),)},
    ],
    ids=["an earlier wall", "a later wall", "an early time", "a wild time", "a long author", "a long row"],
)
@pytest.mark.parametrize("at", [3, PAGE + 20])
def test_what_is_wrong_is_refused_in_the_same_words_and_leaves_nothing(at: int, how: dict[str, Any]) -> None:
    sections = pack.encode(changed(typed(random.Random(7), 1_200), at, **how))
    graph, text = EventGraph(), TextBuffer()
    with pytest.raises(CorruptStore) as found:
        pack.append(graph, *sections, text)
    with pytest.raises(CorruptStore) as expected:
        pack.append(EventGraph(), *sections)
    assert str(found.value) == str(expected.value)
    assert (len(graph), graph.folded, graph.heads, len(text)) == (0, 0, (), 0)
    graph.check()
    made = typed(random.Random(8), 1_100)
    pack.append(graph, *pack.encode(made), text)
    assert [Patch.of_event(graph, event) for event in range(len(graph))] == made
    graph.check_events()


@pytest.mark.parametrize("rows", [False, True], ids=["by chance", "in rows"])
@pytest.mark.parametrize("seed", range(6))
def test_any_bytes_are_read_alike_or_refused_in_the_same_words(seed: int, rows: bool) -> None:
    chance = random.Random(seed)
    if rows:
        sections = raw(in_rows(chance, 1_100, 1 + seed % 3))
    else:
        sections = raw(typed(chance, 1_100, sessions=1 + seed % 3, steady=seed % 2 == 1))
    kept = 0
    for _ in range(150):
        which = chance.randrange(2)
        bent = bytearray(sections[which])
        for _ in range(chance.choice((1, 1, 2))):
            at = chance.randrange(len(bent))
            bent[at] = chance.choice(
                (bent[at] ^ 1, bent[at] + 1 & 255, bent[at] - 1 & 255, chance.randrange(256))
            )
        both = (bytes(bent), sections[1]) if which == 0 else (sections[0], bytes(bent))
        said = opinion_in_words(lambda both=both: laid(both))
        expected = opinion_in_words(lambda both=both: flat(both))
        if isinstance(said, tuple) and isinstance(expected, EventGraph):
            found, text = said
            if found.folded:
                kept += 1
                assert str(text) == History.of_graph(expected).text()
            assert sizes(found)[::97] == sizes(expected)[::97]
            assert sizes(found) == sizes(expected)
            assert alone(found) == alone(expected)
        else:
            assert said == expected
    assert kept


def opinion_in_words(work: Any) -> Any:
    try:
        return work()
    except (ValueError, LookupError) as error:
        return f"{type(error).__name__}: {error}"
