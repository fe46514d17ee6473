"""The fast ways of a document (`_keys`, `_placed`) beside the plain ones, which are always right and dearer.

One document takes whatever way it likes, its twin none but the plain ones; both are told the same, and say
the same after every step. Then what only the fast ways could get wrong: who edits while they are under way,
what can't be meant, what a call costs, counted.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import pytest
import seeds
from hypothesis import given, settings
from hypothesis import strategies as st

import syncstring
from syncstring._patch import Splice, apply, map_position
from syncstring.document import Cursor, Document
from syncstring.errors import PatchError, SyncstringError, UnsupportedVersion
from syncstring.history import Base, History
from syncstring.patch import MAX_PARENTS, MIN_WILD_TIME, Id, Patch
from syncstring.testing.strategies import histories

DOC: Final = "0" * 40
LETTERS: Final = "ab \né漢😀\0"
NOW: Final = 1_700_000_000_000_000


class Slow(History):
    """Places no patch straight away."""

    def place_all(self, patches: list[Patch], placed: list[Patch], first: int = 0) -> int:
        return first


class Plain(Document):
    """Goes none but the plain ways."""

    def splice(self, pos: int, delete: int, insert: str) -> None:
        self._splice_any(pos, delete, insert)

    def commit(self, message: str | None = None) -> Patch | None:
        return self._commit_any(message)

    def commit_each(self, splices: Iterable[Sequence[Any]]) -> list[Patch]:
        self.commit()
        made: list[Patch] = []
        now = None
        for splice in splices:
            now = now or self._clocks.read()
            self._splice_any(*splice)
            if patch := self._commit_any(None, now):
                made.append(patch)
        return made

    def receive(self, patches: Iterable[Patch | Mapping[str, Any]], stored: bool = False) -> list[Splice]:
        return self._receive_any(patches, stored)


class Clock:
    """Ticks whenever it is asked, the same way each time that it is made."""

    def __init__(self, seed: int, wild: bool) -> None:
        self.random = random.Random(seed)
        self.wild = wild
        self.now = NOW

    def __call__(self) -> Any:
        self.now += self.random.choice((0, 1, 300, 999_999))
        kind = self.random.randrange(24)
        if kind == 0:
            return -self.now
        if kind == 1:
            return self.random.choice((True, None, 1.5))
        if kind == 2 and self.wild:
            return self.random.choice((MIN_WILD_TIME - 1, MIN_WILD_TIME, 1 << 53, 1 << 70))
        return self.now


class Pair:
    """A document, its twin, an editor of each, and others who edit the same text."""

    def __init__(self, seed: int, wild: bool, limit: int, start: str) -> None:
        self.chance = random.Random(seed)
        self.peers = [Document(session=f"p{i}", author=f"peer {i}", clock=Clock(i, wild)) for i in range(3)]
        self.sent: list[Patch] = []
        for _ in range(0 if start == "nothing" else 5):
            self.peer(self.chance)
        first, base = list(self.sent), None
        if start == "base":
            self.peers[0].receive(first)
            first, base = [], Base(self.peers[0].heads, len(first), self.peers[0].text)
            for peer in self.peers:
                peer.receive(self.sent)
        self.both = [
            kind(
                session="mine",
                author="me",
                clock=Clock(seed, wild),
                size_limit=limit,
                patches=history(first, base),
            )
            for kind, history in ((Document, History), (Plain, Slow))
        ]
        self.editors = [doc.text for doc in self.both]
        self.cursors: list[list[Cursor]] = [[], []]
        self.posted = 0

    # --- what happens -----------------------------------------------------------------------------------

    def step(self, name: str, seed: int) -> None:
        chance = random.Random(seed)
        if name == "peer":
            self.peer(chance)
            return
        call: Callable[[Document], Any] = getattr(self, name)(chance)
        told = [self.told(i, call) for i in (0, 1)]
        assert told[0] == told[1], name
        assert self.says(0) == self.says(1), name
        for i, doc in enumerate(self.both):
            assert self.editors[i] == doc.text, name
        self.sent += self.both[0].outgoing[self.posted :]
        self.posted = len(self.both[0].outgoing)

    def told(self, i: int, call: Callable[[Document], Any]) -> Any:
        """What a call tells, in a form that can be compared; its editor does what it is told."""
        doc, stood = self.both[i], [cursor.pos for cursor in self.cursors[i]]
        try:
            result = call(doc)
        except (SyncstringError, LookupError, TypeError) as error:
            self.editors[i] = doc.text  # what was typed before it
            return type(error), str(error)
        if isinstance(result, Cursor):
            self.cursors[i].append(result)
            return result.pos
        if isinstance(result, tuple):  # edits by way of others
            made, splices = result
            self.editors[i] = apply(self.editors[i], splices)
            # Where characters beside a cursor went, its place depends on the order of arrival.
            if made is None:
                there = [map_position(pos, splices) for pos in stood]
                assert [cursor.pos for cursor in self.cursors[i]] == there
            return made
        self.editors[i] = doc.text
        return result

    def says(self, i: int) -> tuple[Any, ...]:
        doc = self.both[i]
        doc.check()
        return (
            doc.text,
            doc.uncommitted,
            doc.heads,
            list(doc.outgoing),
            list(doc._undos),
            list(doc._redos),
            doc._last,
            doc._early,
            doc.parked,
            [str(problem) for problem in doc.problems],
            [doc.history.patch(id).wall for id in doc.heads if doc.history.base is None],
        )

    def peer(self, chance: random.Random) -> None:
        """Somebody else reads some of what was sent, and writes."""
        peer = chance.choice(self.peers)
        peer.receive(self.sent[: chance.randint(0, len(self.sent))] if chance.random() < 0.5 else self.sent)
        for _ in range(chance.choice((1, 1, 1, 3))):
            peer.splice(*some_splice(chance, len(peer)))
        try:
            peer.commit(chance.choice((None, None, "why")))
        except PatchError:  # its clock gave no time
            return
        self.sent += peer.outgoing
        peer.outgoing.clear()

    # --- calls ----------------------------------------------------------------------------------------------

    def splice(self, chance: random.Random) -> Callable[[Document], Any]:
        splice = some_splice(chance, len(self.both[0]))
        wrong = chance.choice((None, None, None, None, None, "pos", "delete", "insert"))
        pos, delete, insert = splice
        if wrong == "pos":
            return lambda doc: doc.splice(chance_of(pos, (-1, 1 << 70, True, 1.5, None)), delete, insert)
        if wrong == "delete":
            return lambda doc: doc.splice(pos, chance_of(pos, (-1, 1 << 70, True, "x", len(doc) + 1)), insert)
        if wrong == "insert":
            return lambda doc: doc.splice(pos, delete, chance_of(pos, ("\ud800", None, b"x", Text("sub"))))
        return lambda doc: doc.splice(*splice)

    def commit(self, chance: random.Random) -> Callable[[Document], Any]:
        message = chance.choice((None, None, None, "why"))
        return lambda doc: doc.commit(message)

    def type(self, chance: random.Random) -> Callable[[Document], Any]:
        splice = some_splice(chance, len(self.both[0]))

        def call(doc: Document) -> Any:
            doc.splice(*splice)
            return doc.commit()

        return call

    def commit_each(self, chance: random.Random) -> Callable[[Document], Any]:
        seed, way = chance.random(), chance.randrange(4)
        received = self.sent[-2:]

        def call(doc: Document) -> Any:
            again = random.Random(seed)

            def each() -> Iterator[Any]:
                for i in range(again.randrange(8)):
                    if way == 1 and again.random() < 0.4:
                        doc.splice(*some_splice(again, len(doc)))
                    if way == 2 and again.random() < 0.4:
                        again.choice((doc.commit, doc.undo, doc.redo, lambda: doc.receive(received)))()
                    splice = some_splice(again, len(doc))
                    if way == 3 and i == 3:
                        splice = (len(doc) + 1, 0, "x")
                    yield again.choice((tuple, list, lambda parts: Splice(*parts)))(splice)

            return doc.commit_each(each())

        return call

    def receive(self, chance: random.Random) -> Callable[[Document], Any]:
        some = chance.choice(
            (self.sent, self.sent[-3:], self.sent[-1:], chance.sample(self.sent, min(4, len(self.sent))))
        )
        given: list[Any] = list(some)
        if chance.random() < 0.3:
            chance.shuffle(given)
        if chance.random() < 0.3:
            given += given[:2]
        given = [patch if chance.random() < 0.5 else Patch.from_bytes(patch.to_bytes()) for patch in given]
        if given and chance.random() < 0.1:
            one = chance.choice(given)
            given.insert(chance.randint(0, len(given)), Patch(one.id, one.parents, [(0, 0, "!")], "liar", 1))
        if chance.random() < 0.1:
            time = max(self.both[0].history.graph.greatest_time(), 1) + 7
            given.append(Patch((time, "bad"), self.both[0].heads, [(1_000, 5, "")], "eve", 1))
        if chance.random() < 0.2:
            given = [patch.to_row(DOC) if chance.random() < 0.5 else patch for patch in given]
        if chance.random() < 0.05:
            given.append({"v": 1})
        if chance.random() < 0.01:
            given.append({"v": 2})
        if chance.random() < 0.05:
            given.append(chance.choice((None, 7, "a text")))
        kind = chance.choice((list, list, list, list, tuple, iter))
        stored = chance.random() < 0.2

        def call(doc: Document) -> Any:
            return None, doc.receive(kind(given), stored)

        return call

    def undo(self, chance: random.Random) -> Callable[[Document], Any]:
        return _edit(lambda doc: doc.undo())

    def redo(self, chance: random.Random) -> Callable[[Document], Any]:
        return _edit(lambda doc: doc.redo())

    def revert(self, chance: random.Random) -> Callable[[Document], Any]:
        n = chance.randint(0, len(self.both[0].history))
        return _edit(lambda doc: doc.revert(n))

    def edit_at(self, chance: random.Random) -> Callable[[Document], Any]:
        heads = (chance.choice(self.sent).id,) if self.sent else ()
        return _edit(lambda doc: doc.edit_at(heads, [(0, 0, "far")]))

    def cursor(self, chance: random.Random) -> Callable[[Document], Any]:
        pos = chance.randint(0, len(self.both[0]))
        return lambda doc: doc.cursor(pos)

    def reissue(self, chance: random.Random) -> Callable[[Document], Any]:
        session = f"again{chance.randrange(1 << 30)}"
        return lambda doc: (None, doc.reissue(session, ()))

    def adopt(self, chance: random.Random) -> Callable[[Document], Any]:
        sent = list(self.sent)
        return lambda doc: (None, doc.adopt((History if type(doc) is Document else Slow)(sent)))


class Text(str):
    """No plain str."""


def chance_of(seed: int, choices: Sequence[Any]) -> Any:
    return choices[seed % len(choices)]


def some_splice(chance: random.Random, size: int) -> tuple[int, int, str]:
    pos = chance.randint(0, size)
    insert = "".join(chance.choices(LETTERS, k=chance.choice((0, 1, 1, 2, 5))))
    return pos, min(chance.choice((0, 0, 0, 1, 6)), size - pos), insert


def _edit(call: Callable[[Document], Any]) -> Callable[[Document], Any]:
    """An edit that was typed nowhere: its own editor, too, does what it is told."""

    def told(doc: Document) -> Any:
        edit = call(doc)
        return (edit.patch, edit.heads), edit.applied

    return told


OFTEN: Final = (
    "type",
    "splice",
    "commit",
    "commit_each",
    "peer",
    "peer",
    "receive",
    "receive",
    "undo",
    "redo",
)
SELDOM: Final = ("revert", "edit_at", "cursor", "reissue", "adopt")
STEPS: Final = st.lists(st.tuples(st.sampled_from(OFTEN * 3 + SELDOM), st.integers(0, 1 << 30)), max_size=30)


@given(
    st.integers(0, 1 << 30),
    st.booleans(),
    st.sampled_from((1 << 20, 1 << 20, 30)),
    st.sampled_from(("nothing", "history", "base")),
    STEPS,
)
@settings(max_examples=150)
def test_the_fast_ways_say_what_the_plain_ones_say(
    seed: int, wild: bool, limit: int, start: str, steps: list[tuple[str, int]]
) -> None:
    pair = Pair(seed, wild, limit, start)
    for name, number in steps:
        pair.step(name, number)


@pytest.mark.parametrize("share", range(4))
def test_the_fast_ways_say_what_the_plain_ones_say_through_long_scripts(share: int) -> None:
    for script in range(60):
        chance = random.Random(f"{seeds.fresh()} {share} {script}")
        start = chance.choice(("nothing", "history", "base"))
        pair = Pair(chance.randrange(1 << 30), script % 2 == 0, chance.choice((1 << 20, 30)), start)
        for _ in range(40):
            pair.step(chance.choice(OFTEN * 3 + SELDOM), chance.randrange(1 << 30))


@pytest.mark.parametrize("limit", [0, 5, 100])
def test_no_key_leads_beyond_the_size_that_a_document_may_have(limit: int) -> None:
    doc = a_document(size_limit=limit)
    doc.commit_each((i, 0, "x") for i in range(limit))
    for call in (lambda: doc.splice(0, 0, "x"), lambda: doc.commit_each([(0, 0, "x")])):
        with pytest.raises(PatchError, match=f"at most {limit} are allowed"):
            call()
    assert len(doc) == limit and doc.uncommitted == ()
    doc.receive([Patch((NOW + 10_000, "p"), doc.heads, [(0, 0, "more")], "p", 1)])
    doc.splice(0, 2, "")  # it was beyond it already, and gets no longer
    doc.size_limit += 3
    doc.splice(0, 0, "x")
    with pytest.raises(PatchError, match="are allowed"):
        doc.splice(0, 0, "x")


def test_more_heads_than_a_patch_may_name_are_merged_first_on_either_way() -> None:
    for count in (999, 1_000, MAX_PARENTS + 6):
        patches = [Patch((NOW + i, f"s{i}"), (), [(0, 0, "x")], "x", 1) for i in range(count)]
        told = []
        for kind, history in ((Document, History), (Plain, Slow)):
            doc = kind(session="mine", author="me", clock=lambda: NOW, patches=history(patches))
            doc.splice(3, 1, "y")
            told.append((doc.commit(), list(doc.outgoing), doc.text, doc.heads))
            told.append((doc.commit_each([(0, 0, "z"), (0, 1, "")]), list(doc.outgoing), doc.text, doc.heads))
            doc.check()
        assert told[:2] == told[2:]


# --- who edits while they are under way ---------------------------------------------------------------------


def a_document(kind: type[Document] = Document, **options: Any) -> Document:
    return kind(**{"session": "mine", "author": "me", "clock": lambda: NOW, **options})


def test_what_the_clock_types_while_a_commit_asks_it_is_part_of_that_commit() -> None:
    def clock() -> int:
        if len(doc) == 1:
            doc.splice(1, 0, "b")
        return NOW

    doc = a_document(clock=clock)
    doc.splice(0, 0, "a")
    made = doc.commit()
    assert made is not None and made.splices == [(0, 0, "ab")]
    assert doc.uncommitted == ()
    doc.check()


def test_what_the_clock_commits_while_a_commit_asks_it_is_not_committed_again() -> None:
    asked = []

    def clock() -> int:
        asked.append(1)
        if len(asked) == 1:
            doc.commit()
        return NOW

    doc = a_document(clock=clock)
    doc.splice(0, 0, "a")
    assert doc.commit() is None
    assert len(doc.outgoing) == 1 and doc.uncommitted == ()
    doc.check()


def test_what_the_clock_takes_in_while_a_commit_asks_it_is_beside_that_commit() -> None:
    theirs = Patch((NOW, "p"), (), [(0, 0, "theirs")], "p", 1)
    given: list[Patch] = [theirs]

    def clock() -> int:
        if given:
            doc.receive([given.pop()])
        return NOW

    doc = a_document(clock=clock)
    doc.splice(0, 0, "a")
    doc.commit()
    assert [patch.parents for patch in doc.outgoing] == [()]
    assert sorted(doc.text) == sorted("atheirs") and doc.uncommitted == ()
    doc.check()


def test_what_is_typed_by_who_gives_the_splices_goes_with_the_splice_that_follows() -> None:
    doc = a_document()

    def each() -> Iterator[tuple[int, int, str]]:
        doc.splice(0, 0, "A")
        yield 1, 0, "B"
        doc.splice(2, 0, "C")
        doc.commit()
        yield 3, 0, "D"
        doc.splice(4, 0, "E")

    assert [patch.splices for patch in doc.commit_each(each())] == [[(0, 0, "AB")], [(3, 0, "D")]]
    assert doc.text == "ABCDE" and doc.uncommitted == ((4, 0, "E"),)
    doc.check()


def test_what_is_typed_by_who_gives_the_patches_is_committed_before_them() -> None:
    doc = a_document()

    def patches() -> Iterator[Patch]:
        doc.splice(0, 0, "mine")
        yield Patch((5, "p"), (), [(0, 0, "theirs")], "p", 1)

    doc.receive(patches())
    (made,) = doc.outgoing
    assert made.wall == NOW and made.parents == () and doc.uncommitted == ()
    doc.check()


# --- `commit_each` ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [NOW, MIN_WILD_TIME, -5])
@pytest.mark.parametrize("pointing", [False, True])
def test_all_of_commit_each_is_at_one_reading_of_the_clock(now: int, pointing: bool) -> None:
    asked = []

    def clock() -> int:
        asked.append(1)
        return now + 1_000_000 * len(asked)

    doc = a_document(clock=clock)
    if pointing:
        held = doc.cursor(0)
    made = doc.commit_each([(0, 0, "a"), [1, 0, "b"], Splice(0, 0, ""), (2, 0, "x" * 20_000), (0, 1, "")])
    assert len(asked) == 1
    assert len(made) == 4 and len({patch.wall for patch in made}) == 1
    assert made == doc.outgoing and doc.heads == (made[-1].id,)
    if pointing:
        assert held.pos == len(doc)
    doc.check()


def test_commit_each_commits_first_what_is_uncommitted() -> None:
    doc = a_document()
    doc.splice(0, 0, "a")
    (made,) = doc.commit_each([(1, 0, "b")])
    assert [patch.splices for patch in doc.outgoing] == [[(0, 0, "a")], [(1, 0, "b")]]
    assert made is doc.outgoing[1]
    assert doc.commit_each([]) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ((5, 0, "x"), "splice"),
        ((0, 0, "\ud800"), "lone surrogate"),
        ((0, 0), "this has 2 parts"),
        ([0, 0, "x", 1], "this has 4 parts"),
        ("abc", "a splice is"),
        (None, "a splice is"),
        ((True, 0, "x"), "pos of a splice is True"),
        ((0, 0, 5), "insert of a splice is 5"),
    ],
)
def test_of_a_splice_that_commit_each_refuses_nothing_is_done_and_those_before_it_are(
    wrong: Any, said: str
) -> None:
    doc = a_document()
    with pytest.raises(PatchError, match=said):
        doc.commit_each([(0, 0, "a"), (1, 0, "b"), wrong, (0, 0, "never")])
    assert doc.text == "ab" and doc.uncommitted == ()
    assert [patch.splices for patch in doc.outgoing] == [[(0, 0, "a")], [(1, 0, "b")]]
    doc.check()


@pytest.mark.parametrize("splices", [5, None])
def test_what_is_no_list_of_splices_is_refused_before_anything_is_committed(splices: Any) -> None:
    doc = a_document()
    doc.splice(0, 0, "a")
    with pytest.raises(PatchError, match="a list of"):
        doc.commit_each(splices)
    assert doc.uncommitted == ((0, 0, "a"),)


def test_what_raises_in_who_gives_the_splices_leaves_those_before_it_made() -> None:
    def each() -> Iterator[tuple[int, int, str]]:
        yield 0, 0, "a"
        raise ZeroDivisionError

    doc = a_document()
    with pytest.raises(ZeroDivisionError):
        doc.commit_each(each())
    assert [patch.splices for patch in doc.outgoing] == [[(0, 0, "a")]]
    doc.check()


def test_each_of_commit_each_is_a_step_of_undo() -> None:
    doc = a_document()
    doc.commit_each([(0, 0, "a"), (1, 0, "b"), (2, 0, "c")])
    texts = [doc.text for _ in range(3) if doc.undo()]
    assert texts == ["ab", "a", ""]
    assert doc.redo() and doc.text == "a"
    doc.commit_each([(1, 0, "d")])
    assert doc.redo().patch is None


# --- what can't be meant ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda doc: doc.splice(0, 0, "x"),
        lambda doc: doc.commit_each([(0, 0, "x")]),
        lambda doc: doc.receive([]),
        lambda doc: doc.receive([Patch((1, "s"), (), (), "x", 0)]),
    ],
)
def test_a_document_that_was_never_begun_says_so(call: Callable[[Document], Any]) -> None:
    with pytest.raises(AttributeError):
        call(Document.__new__(Document))


def test_a_history_that_was_never_begun_places_nothing() -> None:
    placed: list[Patch] = []
    assert History.__new__(History).place_all([Patch((1, "s"), (), (), "x", 0)], placed) == 0
    assert placed == []


def test_a_patch_that_was_never_made_is_refused() -> None:
    doc = a_document()
    with pytest.raises(TypeError):
        doc.receive([Patch.__new__(Patch)])
    assert doc.heads == ()
    doc.check()


def test_session_and_author_may_be_of_a_subclass_of_str() -> None:
    doc = a_document(session=Text("mine"), author=Text("me"))
    doc.splice(0, 0, "x")
    doc.commit()
    doc.splice(0, 0, "y")
    doc.reissue(Text("again"), ())
    doc.commit_each([(0, 0, "z")])
    assert [(patch.id.session, patch.author) for patch in doc.outgoing] == 3 * [("again", "me")]
    assert {(type(patch.id.session), type(patch.author)) for patch in doc.outgoing} == {(str, str)}


def test_a_session_says_nothing_of_a_name_that_stands_where_its_own_stood_in_memory() -> None:
    """Names are found by their addresses first: those that are kept, which nothing else can have."""
    doc = a_document()
    for i in range(200):
        name = f"s{i}"  # freed at the next turn: its address is the next one's
        doc.receive([Patch((NOW + i, name), doc.heads, [(i, 0, "x")], name[:1] * 2 + name[1:], 1)])
        assert doc.heads == ((NOW + i, name),)
    authors = [version.author for version in doc.versions][1:]
    assert authors == [f"ss{i}" for i in range(200)]
    doc.check()


# --- what a history placed ----------------------------------------------------------------------------------


@given(histories(max_patches=12), st.randoms(use_true_random=False))
def test_of_each_patch_it_is_told_once_that_it_took_its_place_and_parents_first(
    patches: list[Patch], chance: random.Random
) -> None:
    given = [*patches, *patches[::2]]
    chance.shuffle(given)
    history = History()
    told: list[Patch] = []
    while given:
        some, given = given[:3], given[3:]
        told += history.add(some)
    assert sorted(patch.id for patch in told) == sorted(patch.id for patch in patches)
    seen: set[Id] = set()
    for patch in told:
        assert seen.issuperset(patch.parents)
        seen.add(patch.id)


@pytest.mark.parametrize("nothing", [[], ()])
def test_what_the_text_is_behind_with_is_shown_by_a_receipt_of_nothing(nothing: Sequence[Patch]) -> None:
    doc = a_document()
    doc.commit_each([(0, 0, "a")])
    doc.history.add([Patch((NOW + 9, "p"), doc.heads, [(1, 0, "b")], "p", 1)])  # as where memory ran out
    assert doc.text == "a"
    assert doc.receive(nothing) == [(1, 0, "b")]
    doc.check()


def test_typing_while_the_text_is_behind_is_on_what_it_shows() -> None:
    doc = a_document()
    doc.commit_each([(0, 0, "a")])
    theirs = Patch((NOW + 9, "p"), doc.heads, [(0, 1, "b")], "p", 1)
    doc.history.add([theirs])
    made = doc.commit_each([(1, 0, "c"), (2, 0, "d")])
    assert doc.text == "acd" and theirs.id not in {id for patch in made for id in patch.parents}
    doc.receive([])
    assert doc.text == "bcd"
    doc.check()


def test_what_is_adopted_may_have_another_content_under_a_known_id() -> None:
    first = Patch((5, "p"), (), [(0, 0, "one")], "p", 1)
    other = Patch((5, "p"), (), [(0, 0, "another")], "p", 1)
    loser, winner = sorted((first, other), key=Patch.digest, reverse=True)
    for uncommitted in (False, True):
        doc = a_document(patches=[loser])
        if uncommitted:
            doc.splice(len(doc), 0, "!")
        before = doc.text
        assert apply(before, doc.adopt([winner])) == doc.text
        assert doc.text.replace("!", "") == winner.splices[0].insert
        assert doc.text.count("!") == uncommitted and doc.uncommitted == ()
        doc.check()


@pytest.mark.parametrize(
    "turn",
    [
        lambda doc: doc.adopt([Patch((NOW + 5, "q"), (), [(0, 0, "more")], "q", 1)]),
        lambda doc: doc.reissue("again", ()),
    ],
)
def test_what_was_wrong_stays_known_where_another_history_takes_the_place(
    turn: Callable[[Document], Any],
) -> None:
    contents = [Patch((5, "p"), (), [(0, 0, text)], "p", 1) for text in ("one", "another")]
    doc = a_document(patches=contents)
    doc.receive([{"v": 1}, {"v": 2}])
    before = [str(problem) for problem in doc.problems]
    assert len(before) == 3
    turn(doc)
    assert [str(problem) for problem in doc.problems] == before
    with pytest.raises(UnsupportedVersion):
        doc.splice(0, 0, "x")


def test_what_a_session_commits_one_by_one_is_on_its_way_also_where_one_is_refused() -> None:
    with syncstring.open("memory:", "notes", author="ada") as doc:
        with pytest.raises(PatchError):
            doc.commit_each([(0, 0, "a"), (1, 0, "b"), (9, 0, "c")])
        made = doc.commit_each([(2, 0, "c"), (3, 0, "d")])
        assert doc.outgoing == [] and len(made) == 2
        doc.flush()
        assert doc.unsaved == [] and doc.unsaved.acknowledged == 4
        assert doc.text == "abcd"


# --- the clock ----------------------------------------------------------------------------------------------


@given(st.integers(-(1 << 70), 1 << 70), st.integers(-(1 << 70), 1 << 70))
def test_a_clock_is_cut_to_the_millisecond_before_and_to_what_a_row_can_hold(now: int, wall: int) -> None:
    time, told = a_document(clock=lambda: now, wall=lambda: wall)._clocks.read()
    sane = min(max(now, -(1 << 60)), MIN_WILD_TIME - 1)
    assert time == sane - sane % 1_000
    assert told == min(max(wall, 0), (1 << 53) - 1)


# --- what it costs, counted ---------------------------------------------------------------------------------


class Counting(Document):
    """How often the plain ways were asked."""

    asked = 0

    def _splice_any(self, *what: Any) -> None:
        self.asked += 1
        super()._splice_any(*what)

    def _commit_any(self, *what: Any) -> Patch | None:
        self.asked += 1
        return super()._commit_any(*what)

    def _receive_any(self, *what: Any) -> list[Splice]:
        self.asked += 1
        return super()._receive_any(*what)


def type_all(doc: Document) -> None:
    for i in range(100):
        doc.splice(i, 0, "x")
        doc.commit()


def type_each(doc: Document) -> None:
    doc.commit()
    before = doc.asked  # type: ignore[attr-defined]
    doc.commit_each((i, 0, "x") for i in range(100))
    doc.asked = before + (doc.asked > before + 1)  # type: ignore[attr-defined]  # a commit of nothing is plain


def nothing(doc: Document) -> None:
    pass


def something_long(doc: Document) -> None:
    doc.splice(0, 0, "x" * 10_000)
    doc.commit()


def taken_back(doc: Document) -> None:
    something_long(doc)
    doc.undo()


def two_heads(doc: Document) -> None:
    something_long(doc)
    doc.receive([Patch((5, "p"), (), [(0, 0, "y")], "p", 1)])


@pytest.mark.parametrize("before", [nothing, something_long, taken_back, two_heads])
@pytest.mark.parametrize("act", [type_all, type_each])
def test_no_key_asks_for_the_plain_ways_whatever_came_before(
    act: Callable[[Document], None], before: Callable[[Document], None]
) -> None:
    doc = a_document(Counting)
    assert isinstance(doc, Counting)
    before(doc)
    doc.asked = 0
    act(doc)
    assert doc.asked <= (act is type_each)
    doc.check()


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("in_bytes", [False, True])
def test_no_receipt_of_what_stands_on_what_is_here_asks_for_the_plain_ways(
    at_once: bool, in_bytes: bool
) -> None:
    writer = a_document(session="them")
    patches = writer.commit_each((i, 0, "x") for i in range(100))
    if in_bytes:
        patches = [Patch.from_bytes(patch.to_bytes()) for patch in patches]
    doc = a_document(Counting)
    assert isinstance(doc, Counting)
    for some in [patches] if at_once else [[patch] for patch in patches]:
        doc.receive(some)
        doc.receive(some)  # known by then
    assert doc.asked == 0 and doc.text == writer.text
    assert doc._tip.steps == len(patches)  # each looked at once
    doc.check()
