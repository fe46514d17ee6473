"""Taking back one's own commit or anybody's patch, through everybody's later ones, by the character."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncstring import undo
from syncstring._graph import EventGraph
from syncstring._patch import compose, ops_apply
from syncstring._standing import Stretches
from syncstring._walker import Walker
from syncstring.document import Document, Edit
from syncstring.errors import UnknownVersion
from syncstring.history import History
from syncstring.merge import Merge
from syncstring.patch import Id, Patch
from syncstring.testing.reference import Char, Reference, joined
from syncstring.testing.strategies import histories, orders
from syncstring.undo import Since, Standing, Taken, Undone, inverse, take_back


class People:
    """Some who edit one text and see each other's patches when they meet."""

    def __init__(self, *names: str) -> None:
        self.now = 1_000_000
        self.documents = {name: Document(session=name, author=name, clock=self.clock) for name in names}
        self.sent: list[Patch] = []

    def clock(self) -> int:
        self.now += 1_000
        return self.now

    def __getitem__(self, name: str) -> Document:
        return self.documents[name]

    def does(self, name: str, *splices: tuple[int, int, str]) -> Patch:
        """Make a commit of these splices."""
        for splice in splices:
            self[name].splice(*splice)
        made = self[name].commit()
        assert made is not None
        return made

    def meet(self) -> str:
        """Everything arrives everywhere; the text that all have then."""
        for document in self.documents.values():
            self.sent += document.outgoing
            document.outgoing.clear()
        for document in self.documents.values():
            document.receive(self.sent)
            document.check()
        (text,) = {document.text for document in self.documents.values()}
        assert text == Reference(self.sent).text()
        return text


def where(text: str, part: str) -> int:
    assert text.count(part) == 1
    return text.index(part)


# --- what looks alike ---------------------------------------------------------------------------------

FUNCTION = "def f(x):\n    return x\n"


def test_a_pasted_copy_is_undone_after_another_edited_the_copy() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, FUNCTION))
    people.meet()
    people.does("ada", (len(FUNCTION), 0, FUNCTION))
    people.meet()
    people.does("bob", (len(FUNCTION) + 4, 1, "g"), (len(FUNCTION) + 20, 0, "2 * "))
    people.meet()
    people["ada"].undo()
    assert people.meet() == FUNCTION + "g2 * "


def test_a_pasted_copy_is_undone_after_its_author_edited_the_original() -> None:
    people = People("ada")
    people.does("ada", (0, 0, FUNCTION))
    paste = people.does("ada", (len(FUNCTION), 0, FUNCTION))
    people.does("ada", (4, 1, "g"))
    people["ada"].revert(paste.id)
    assert people["ada"].text == FUNCTION.replace("f(", "g(")


def test_a_copy_pasted_before_the_original_is_undone_and_the_original_stays() -> None:
    people = People("ada", "bob")
    people.does("bob", (0, 0, FUNCTION))
    people.meet()
    paste = people.does("ada", (0, 0, FUNCTION))
    people.meet()
    people.does("bob", (len(FUNCTION), 3, "async def"))
    people.meet()
    people["bob"].revert(paste.id)
    assert people.meet() == "async " + FUNCTION
    assert people["ada"].blame()[-1].author == "bob"


def test_of_like_lines_the_one_that_was_deleted_comes_back_where_it_was() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "x\nx\nx\n"))
    people.meet()
    people.does("ada", (2, 2, ""))
    people.does("bob", (2, 0, "before\n"), (11, 0, "after\n"))
    assert people.meet() == "x\nbefore\nafter\nx\n"
    people["ada"].undo()
    assert people.meet() == "x\nbefore\nx\nafter\nx\n"


def test_what_was_deleted_and_typed_anew_comes_back_beside_the_new() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "a word here"))
    people.meet()
    people.does("ada", (2, 4, ""))
    people.meet()
    people.does("bob", (2, 0, "word"))
    people.meet()
    people["ada"].undo()
    assert people.meet() == "a wordword here"
    assert [(run.text, run.author) for run in people["ada"].blame()] == [
        ("a ", "ada"), ("word", "bob"), ("word", "ada"), (" here", "ada")
    ]  # fmt: skip


# --- through others' edits ----------------------------------------------------------------------------


def test_what_others_typed_into_what_is_undone_stays() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "hello world"))
    people.meet()
    people.does("bob", (5, 0, " BIG"))
    people.meet()
    people["ada"].undo()
    assert people.meet() == " BIG"
    people["ada"].redo()
    assert people.meet() == "hello BIG world"


def test_what_others_typed_into_a_deletion_stays_when_it_is_undone() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "hello world"))
    people.meet()
    people.does("ada", (0, 11, ""))
    people.does("bob", (5, 0, " BIG"))
    assert people.meet() == " BIG"
    people["ada"].undo()
    assert people.meet() == "hello BIG world"


def test_of_a_deletion_that_two_made_neither_alone_can_bring_it_back() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "one two three"))
    people.meet()
    people.does("ada", (4, 4, ""))
    people.does("bob", (4, 9, ""))
    assert people.meet() == "one "
    assert people["ada"].undo() == Edit(None, [], [], people["ada"].heads)
    assert people.meet() == "one "
    people["bob"].undo()
    assert people.meet() == "one three"  # what bob alone deleted


def test_of_a_deletion_that_two_made_the_part_of_one_alone_comes_back() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "abcdef"))
    people.meet()
    people.does("ada", (0, 4, ""))
    people.does("bob", (2, 4, ""))
    assert people.meet() == ""
    people["ada"].undo()
    assert people.meet() == "ab"
    people["bob"].undo()
    assert people.meet() == "abef"


def test_a_replaced_word_comes_back_in_one_step() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "the old way"))
    people.meet()
    people.does("ada", (4, 3, "new"))
    people.does("bob", (0, 3, "The"), (11, 0, "!"))
    assert people.meet() == "The new way!"
    people["ada"].undo()
    assert people.meet() == "The old way!"
    people["ada"].redo()
    assert people.meet() == "The new way!"


def test_a_redo_after_others_edits_is_undone_after_more_of_them() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "abcdef"))
    people.meet()
    people.does("ada", (2, 2, "XY"))
    people.meet()
    people.does("bob", (3, 0, "1"))
    people.meet()
    people["ada"].undo()
    assert people.meet() == "ab1cdef"
    people.does("bob", (4, 0, "2"))
    people.meet()
    people["ada"].redo()
    assert people.meet() == "abX1Y2ef"
    people.does("bob", (5, 0, "3"))
    people.meet()
    people["ada"].undo()
    assert people.meet() == "ab13c2def"


def test_undo_and_redo_go_back_and_forth_along_all_steps() -> None:
    people = People("ada")
    texts = [""]
    for letter in "abcde":
        people.does("ada", (0, min(1, len(texts) // 3), letter * 2))
        texts.append(people["ada"].text)
    document = people["ada"]
    for _ in range(3):
        for text in reversed(texts[:-1]):
            document.undo()
            assert document.text == text
        assert document.undo().patch is None
        for text in texts[1:]:
            document.redo()
            assert document.text == text
        assert document.redo().patch is None
    document.check()


def test_what_was_typed_into_fresh_text_comes_back_into_it() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "hello world"))
    people.does("ada", (6, 0, "big "))
    people.does("ada", (6, 3, "small"))
    for _ in range(2):
        for text in ("hello big world", "hello world", ""):
            people["ada"].undo()
            assert people.meet() == text
        for text in ("hello world", "hello big world", "hello small world"):
            people["ada"].redo()
            assert people.meet() == text


def test_what_was_deleted_piece_by_piece_comes_back_in_order_in_any_order() -> None:
    for order in permutations(range(3)):
        people = People("ada")
        people.does("ada", (0, 0, "1234"))
        pieces = [people.does("ada", (pos, 1, "")).id for pos in (2, 0, 0)]
        assert people["ada"].text == "4"
        for n in order:
            people["ada"].revert(pieces[n])
        assert people["ada"].text == "1234"


def test_what_others_typed_into_text_that_came_back_is_no_hindrance() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "hello world"))
    people.does("ada", (6, 0, "big "))
    people["ada"].undo()
    people["ada"].undo()
    people["ada"].redo()
    assert people.meet() == "hello world"
    people.does("bob", (9, 0, "-"))
    assert people.meet() == "hello wor-ld"
    people["ada"].redo()
    assert people.meet() == "hello big wor-ld"


def test_a_patch_can_be_reverted_again_after_its_revert_was_undone() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "abcd"))
    replaced = people.does("ada", (1, 1, "X"))
    people.meet()
    for _ in range(3):
        people["bob"].revert(replaced.id)
        assert people.meet() == "abcd"
        people["bob"].undo()
        assert people.meet() == "aXcd"


def test_text_that_came_back_and_was_deleted_by_another_stays_away() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "abcd"))
    gone = people.does("ada", (1, 2, ""))
    people["ada"].undo()
    people.meet()
    people.does("bob", (1, 1, ""))
    assert people.meet() == "acd"
    assert people["ada"].revert(gone.id).patch is None


def test_an_undo_can_be_reverted_by_its_id_and_that_too() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "abc"))
    people.meet()
    gone = people.does("ada", (1, 1, ""))
    people.meet()
    back = people["ada"].undo().patch
    assert people.meet() == "abc"
    assert back is not None
    again = people["bob"].revert(back.id).patch
    assert people.meet() == "ac"
    assert again is not None
    people["bob"].revert(again.id)
    assert people.meet() == "abc"
    # bob deleted what came back, and it came back once: nothing more to take back of the first deletion
    assert people["ada"].revert(gone.id).patch is None


def test_text_that_came_back_goes_with_the_patch_that_first_inserted_it() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "--"))
    typed = people.does("ada", (1, 0, "word"))
    people.does("ada", (1, 2, ""))
    people["ada"].undo()
    assert people.meet() == "-word-"
    people.does("bob", (3, 0, "!"))
    people.meet()
    people["ada"].revert(typed.id)
    assert people.meet() == "-!-"


def test_a_deletion_that_was_undone_is_not_undone_once_more() -> None:
    people = People("ada")
    people.does("ada", (0, 0, "abc"))
    gone = people.does("ada", (0, 3, ""))
    people["ada"].undo()
    assert people["ada"].text == "abc"
    for _ in range(2):
        assert people["ada"].revert(gone.id).patch is None
    assert people["ada"].text == "abc"


def test_undo_takes_back_what_is_uncommitted_as_a_step_of_its_own() -> None:
    people = People("ada")
    people.does("ada", (0, 0, "one"))
    people["ada"].insert(3, " two")
    edit = people["ada"].undo()
    assert people["ada"].text == "one"
    assert edit.splices == edit.applied == [(3, 4, "")]
    assert len(people["ada"].history) == 3
    people["ada"].redo()
    assert people["ada"].text == "one two"


def test_a_commit_ends_what_could_be_redone() -> None:
    people = People("ada")
    people.does("ada", (0, 0, "one"))
    people["ada"].undo()
    people["ada"].insert(0, "two")
    assert people["ada"].redo().patch is None
    assert people["ada"].text == "two"
    assert people["ada"].redo().patch is None


def test_undo_takes_back_only_what_its_own_session_did() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "ada"))
    people.meet()
    people.does("bob", (0, 0, "bob "))
    people.meet()
    people["ada"].undo()
    assert people.meet() == "bob "
    assert people["ada"].undo().patch is None
    people["bob"].undo()
    assert people.meet() == ""


# --- revert and restore -------------------------------------------------------------------------------


def test_anybody_can_revert_any_patch_by_any_name() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "abc"))
    people.meet()
    people.does("bob", (1, 1, "X"))
    people.meet()
    people.does("ada", (3, 0, "d"))
    people.meet()
    for name in (2, "2", people["ada"].versions[2], people["ada"].versions[2].id):
        assert people["ada"].revert(name).patch is not None
        assert people.meet() == "abcd"
        people["ada"].undo()
        assert people.meet() == "aXcd"


@pytest.mark.parametrize("name", [0, [], "0"])
def test_what_names_no_patch_is_not_reverted(name: Any) -> None:
    people = People("ada")
    people.does("ada", (0, 0, "abc"))
    people["ada"].insert(0, "pending ")
    with pytest.raises(UnknownVersion, match="names no single patch"):
        people["ada"].revert(name)
    assert len(people["ada"].history) == 1


def test_a_patch_that_merged_others_is_reverted_alone() -> None:
    people = People("ada", "bob", "eve")
    people.does("ada", (0, 0, "base"))
    people.meet()
    people.does("ada", (0, 0, "A"))
    people.does("bob", (4, 0, "B"))
    people.meet()
    merged = people.does("eve", (1, 4, "["), (2, 0, "]"))
    assert len(merged.parents) == 2
    assert people.meet() == "A[]B"
    people.does("ada", (2, 0, "in"))
    people.meet()
    people["bob"].revert(merged.id)
    assert people.meet() == "AinbaseB"


def test_reverting_a_misfit_does_nothing() -> None:
    people = People("ada")
    people.does("ada", (0, 0, "abc"))
    head = people["ada"].heads
    people["ada"].receive([Patch((5_000_000, "m"), head, [(2, 5, "x")], author="m", wall=0)])
    assert len(people["ada"].problems) == 1
    edit = people["ada"].revert((5_000_000, "m"))
    assert edit == Edit(None, [], [], people["ada"].heads)
    assert people["ada"].text == "abc"


def test_reverting_an_empty_patch_does_nothing() -> None:
    people = People("ada")
    people.does("ada", (0, 0, "abc"))
    people["ada"].receive([Patch((5_000_000, "m"), people["ada"].heads, [], author="m", wall=0)])
    assert people["ada"].revert((5_000_000, "m")).patch is None


def test_restoring_is_a_new_patch_that_undo_takes_back() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "first text"))
    old = people.meet()
    people.does("ada", (0, 5, "second"))
    people.meet()
    people["ada"].insert(0, "pending ")
    edit = people["ada"].restore(1)
    assert edit.patch is not None
    assert people["ada"].text == old
    assert people["ada"].at(2) == "second text"
    people.meet()
    people.does("bob", (0, 0, "meanwhile "))
    people.meet()
    people["ada"].undo()
    assert people.meet() == "meanwhile pending second text"
    people["ada"].redo()
    assert people.meet() == "meanwhile first text"
    people["bob"].restore([])
    assert people.meet() == ""


def test_restoring_what_is_there_makes_no_patch() -> None:
    people = People("ada")
    people.does("ada", (0, 0, "abc"))
    assert people["ada"].restore(1) == Edit(None, [], [], people["ada"].heads)
    assert len(people["ada"].history) == 1


# --- chains -------------------------------------------------------------------------------------------


def test_a_commit_that_took_several_patches_is_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncstring.patch.MAX_OPERATIONS", 4)
    people = People("ada", "bob")
    people.does("ada", (0, 0, "a b c d e f g h"))
    people.meet()
    before = len(people["ada"].history)
    people.does("ada", *[(at, 1, "XX"[: 1 + at % 4]) for at in range(14, -1, -2)])
    assert len(people["ada"].history) > before + 2
    people.meet()
    people.does("bob", (3, 0, "!"))
    typed = people.meet()
    people["ada"].undo()
    undone = people.meet()
    assert undone.replace("!", "") == "a b c d e f g h"
    people["ada"].redo()
    assert people.meet() == typed
    people["ada"].undo()
    assert people.meet() == undone
    people["ada"].undo()
    assert people.meet() == "!"


def test_what_a_chain_brought_back_stands_for_what_it_brought_back(monkeypatch: pytest.MonkeyPatch) -> None:
    people = People("ada")
    people.does("ada", (0, 0, "-----"))
    some = people.does("ada", (3, 0, "x"), (1, 0, "x"))
    others = people.does("ada", (6, 0, "y"), (3, 0, "y"))
    assert people["ada"].text == "-x-y-x-y-"
    people.does("ada", *[(pos, 1, "") for pos in range(1, 5)])
    assert people["ada"].text == "-----"
    monkeypatch.setattr("syncstring.patch.MAX_OPERATIONS", 3)
    before = len(people["ada"].history)
    people["ada"].undo()
    assert people["ada"].text == "-x-y-x-y-"
    assert len(people["ada"].history) > before + 1
    people["ada"].revert(some.id)
    assert people["ada"].text == "--y--y-"
    people["ada"].revert(others.id)
    assert people["ada"].text == "-----"


def test_what_one_of_a_chain_inserted_and_another_deleted_stays_away() -> None:
    a = Patch((1, "s"), [], [(0, 0, "abc")], "s", 1)
    b = Patch((2, "s"), [a.id], [(1, 0, "xy")], "s", 2)
    c = Patch((3, "s"), [b.id], [(0, 3, "")], "s", 3)
    history = History([a, b, c])
    assert history.text() == "bc"
    ops, stands = inverse(history, [b.id, c.id], {})
    assert ops_apply("bc", ops) == "abc"
    assert stands == [Standing(0, 1, c.id, 0)]


class Deed(NamedTuple):
    who: int
    kind: str
    splices: list[tuple[int, int, str]]


deeds = st.lists(
    st.builds(
        Deed,
        who=st.integers(0, 1),
        kind=st.sampled_from(["edit", "edit", "undo", "redo", "meet"]),
        splices=st.lists(
            st.tuples(st.integers(0, 30), st.integers(0, 3), st.text("xyz", max_size=2)),
            min_size=1,
            max_size=5,
        ),
    ),
    max_size=12,
)


def texts_of(story: list[Deed]) -> list[str]:
    """Everybody's text after each deed."""
    people = People("ada", "bob")
    texts = []
    for who, kind, splices in story:
        document = list(people.documents.values())[who]
        if kind == "meet":
            people.meet()
        elif kind != "edit":
            getattr(document, kind)()
        else:
            for pos, delete, insert in splices:
                pos %= len(document) + 1
                document.splice(pos, min(delete, len(document) - pos), insert)
            document.commit()
        texts += [document.text for document in people.documents.values()]
    people.meet()
    return [*texts, people["ada"].text]


@given(deeds)
@settings(max_examples=150)
def test_whether_a_step_took_several_patches_makes_no_difference(story: list[Deed]) -> None:
    texts = texts_of(story)
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr("syncstring.patch.MAX_OPERATIONS", 3)
        assert texts_of(story) == texts


@given(deeds)
@settings(max_examples=150)
def test_one_who_edits_alone_gets_every_text_back_and_forth(story: list[Deed]) -> None:
    document = People("ada")["ada"]
    texts, now = [""], 0  # as an editor without a history would keep them
    for _, kind, splices in [*story, *[Deed(0, "undo", [])] * 12, *[Deed(0, "redo", [])] * 12]:
        if kind == "undo":
            document.undo()
            now = max(0, now - 1)
        elif kind == "redo":
            document.redo()
            now = min(len(texts) - 1, now + 1)
        else:
            for pos, delete, insert in splices:
                pos %= len(document) + 1
                document.splice(pos, min(delete, len(document) - pos), insert)
            if document.commit():
                now += 1
                texts[now:] = [document.text]
        assert document.text == texts[now]


# --- against the twin ---------------------------------------------------------------------------------


class Step(NamedTuple):
    """What happens next: some patches arrive, somebody edits the text, or takes something back."""

    kind: str
    who: int
    which: int
    pos: int
    delete: int
    insert: str


steps = st.builds(
    Step,
    kind=st.sampled_from(["arrive", "edit", "take back", "take back"]),
    who=st.integers(0, 1),
    which=st.integers(0, 30),
    pos=st.integers(0, 30),
    delete=st.integers(0, 6),
    insert=st.text("xyz", max_size=3),
)


class Story:
    """A history in which two take things back, told to the engine and to the twin."""

    def __init__(self, patches: Sequence[Patch]) -> None:
        self.coming = list(patches)
        self.history = History()
        self.undos = [Taken(), Taken()]
        self.stands_for: list[dict[Char, Char]] = [{}, {}]
        self.took_back: list[dict[Id, Id]] = [{}, {}]

    def put(self, who: int, ops: tuple[int | str, ...]) -> Patch:
        time = max((id.time for id in self.history.heads), default=0) + 1
        made = Patch.of_ops((time, f"undo{who}"), self.history.heads, ops, "who", time)
        self.history.add([made])
        return made

    def tell(self, step: Step) -> None:
        if step.kind == "arrive":
            arriving, self.coming = self.coming[: step.delete], self.coming[step.delete :]
            self.history.add(arriving)
        elif step.kind == "edit":
            text = self.history.text()
            pos = step.pos % (len(text) + 1)
            self.put(step.who, compose([(pos, min(step.delete, len(text) - pos), step.insert)]))
        elif len(self.history):
            # The newest of them is the one that is most often meant.
            self.take_back(step.who, list(self.history)[-1 - step.which % len(self.history)].id)

    def take_back(self, who: int, id: Id) -> Patch:
        history = self.history
        reference = Reference(list(history))
        back = take_back(history, [id], self.undos[who])
        ops, stands, _ = back
        assert (ops, stands) == inverse(history, [id], self.undos[who])
        known = self.stands_for[who], self.took_back[who]
        expected = reference.inverse(id, reference.heads, *known)
        restored = reference.restored(id, reference.heads, *known)
        assert ops == joined(ops)
        assert ops_apply(history.text(), ops) == expected
        assert sum(len(op) for op in ops if isinstance(op, str)) == len(restored)
        self.stand(reference, stands, restored)
        made = self.put(who, ops)
        self.undos[who].note([made], (id,), back)
        self.stands_for[who].update({(made.id, n): back for n, back in enumerate(restored)})
        self.took_back[who][made.id] = id
        assert history.text() == expected
        return made

    def stand(self, reference: Reference, stands: list[Standing], restored: list[Char]) -> None:
        """Whether standings name the characters that came back."""
        items = reference.walked(reference.heads).items
        named: list[Char] = []
        for at, length, deleter, nth in stands:
            assert at == len(named)
            gone = [(item.by, item.nth) for item in items if deleter in item.deleters]
            named += gone[nth : nth + length]
        assert named == restored


@given(histories(max_patches=8), st.lists(steps, max_size=12), st.data())
@settings(max_examples=400)
def test_taking_back_does_what_the_twin_does(
    patches: list[Patch], told: list[Step], data: st.DataObject
) -> None:
    story = Story(data.draw(orders(patches)))
    for step in told:
        story.tell(step)
    assert story.history.text() == Reference(list(story.history)).text()


@given(histories(max_patches=8), st.lists(steps, max_size=6), st.data())
def test_taking_back_what_takes_back_changes_nothing(
    patches: list[Patch], told: list[Step], data: st.DataObject
) -> None:
    story = Story(data.draw(orders(patches)))
    for step in told:
        story.tell(step)
    if len(story.history):
        id = data.draw(st.sampled_from([each.id for each in story.history]))
        text = story.history.text()
        gone = story.take_back(0, id)
        without = story.history.text()
        back = story.take_back(0, gone.id)
        assert story.history.text() == text
        # By whichever name: the last one, or the first.
        again = story.take_back(0, data.draw(st.sampled_from([id, back.id])))
        assert story.history.text() == without
        story.take_back(0, again.id)
        assert story.history.text() == text


class Counted:
    """How often something was done."""

    def __init__(self) -> None:
        self.calls = 0


class Turn(NamedTuple):
    """What one at a keyboard does, so often in a row."""

    kind: str
    times: int
    which: int
    splices: list[tuple[int, int, str]]


turns = st.builds(
    Turn,
    kind=st.sampled_from(["edit", "edit", "undo", "undo", "redo", "redo", "revert", "meanwhile"]),
    times=st.integers(1, 4),
    which=st.integers(0, 9),
    splices=st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 4), st.text("xyz", max_size=2)), min_size=1, max_size=3
    ),
)


def act(story: Story, told: Sequence[Turn]) -> None:
    """Undo and redo as an editor does, revert by any name, and now and then something from elsewhere."""
    undos: list[Id] = []
    redos: list[Id] = []
    for turn in told:
        for _ in range(turn.times):
            if turn.kind == "edit":
                size = len(story.history.text())
                splices = [(pos % (size + 1), delete, insert) for pos, delete, insert in turn.splices[:1]]
                splices = [(pos, min(delete, size - pos), insert) for pos, delete, insert in splices]
                undos.append(story.put(0, compose(splices)).id)
                redos.clear()
            elif turn.kind == "undo" and undos:
                redos.append(story.take_back(0, undos.pop()).id)
            elif turn.kind == "redo" and redos:
                undos.append(story.take_back(0, redos.pop()).id)
            elif turn.kind == "revert" and len(story.history):
                some = list(story.history)[-1 - turn.which % len(story.history)].id
                undos.append(story.take_back(0, some).id)
                redos.clear()
        if turn.kind == "meanwhile":  # nothing, what doesn't fit, somebody's edit, one from before
            story.put(1, [(), (99, -1), ("z",), (-1,)][turn.which % 4])
            if turn.which > 7:
                story.history.add([Patch.of_ops((1 + turn.which, "late"), [], ("l",), "late", 1)])


@given(st.lists(turns, max_size=12))
@settings(max_examples=400)
def test_what_cancels_out_is_passed_over_as_if_it_had_been_looked_at(told: list[Turn]) -> None:
    story = Story([])
    act(story, told)
    assert story.history.text() == Reference(list(story.history)).text()


@given(st.lists(turns, max_size=14), st.integers(3, 5))
@settings(max_examples=300)
def test_a_document_takes_back_what_the_long_way_does(told: list[Turn], most: int) -> None:
    """With chains of several patches, and two who know nothing of each other's undos."""
    people = People("ada", "bob")
    long, short = Counted(), Counted()

    def compared(history: History, ids: Sequence[Id], undos: Taken) -> undo.Back:
        back = take_back(history, ids, undos)
        assert (back.ops, back.stands) == inverse(history, ids, undos)
        (long if back.since is None else short).calls += 1
        return back

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("syncstring.document.take_back", compared)
        patched.setattr("syncstring.patch.MAX_OPERATIONS", most)
        document = people["ada"]
        for turn in told:
            if turn.kind == "meanwhile":
                document = list(people.documents.values())[turn.which % 2]
                if turn.which % 3:
                    people.meet()
            for _ in range(turn.times):
                if turn.kind in ("undo", "redo"):
                    getattr(document, turn.kind)()
                elif turn.kind == "revert" and len(document.history):
                    document.revert(1 + (len(document.history) - 1 - turn.which) % len(document.history))
                elif turn.kind == "edit":
                    for pos, delete, insert in turn.splices:
                        pos %= len(document) + 1
                        document.splice(pos, min(delete, len(document) - pos), insert)
                    document.commit()
        people.meet()


def test_what_came_back_by_another_name_before_is_not_passed_over() -> None:
    """`b` came back and went again, by a redo of an undo that took more: for who asks for the deletion by its
    first name, somebody else's deletion is among those of `b`."""
    story = Story([])
    typed = story.put(0, ("abc",))
    gone = story.put(0, (1, -1))
    back = story.take_back(0, gone.id)
    first = story.take_back(0, typed.id)
    again = story.take_back(0, first.id)
    story.take_back(0, back.id)
    found = take_back(story.history, [gone.id], story.undos[0])
    assert again.ops == ("abc",)
    assert (found.ops, found.since) == ((), None)
    assert story.take_back(0, gone.id).ops == ()


def test_what_was_known_to_cancel_out_is_forgotten_where_another_content_wins() -> None:
    people = People("ada")
    ada = people["ada"]
    people.does("ada", (0, 0, "abc"))
    gone = people.does("ada", (0, 2, ""))
    assert ada.undo().patch is not None
    ada.receive([Patch.of_ops(gone.id, gone.parents, (2, -1), "ada", gone.wall)], stored=True)
    assert ada.text == "abab"  # `ab` came back, and now only `c` is gone
    (undone,) = ada._taken.values()
    assert undone.since == Since(1, 0) and ada.history.rebuilds == 1
    asked = ada.history, gone.parents, ada._taken
    assert take_back(*asked) == (*inverse(*asked), None)


def test_what_is_not_here_is_not_taken_back() -> None:
    history = History([Patch((1, "s"), [], [(0, 0, "abc")], "s", 1)])
    with pytest.raises(UnknownVersion, match=r"\(2, 's'\)"):
        inverse(history, [(2, "s")], {})  # type: ignore[list-item]
    assert inverse(history, [], {}) == ((), [])


def test_what_stands_for_what_in_patches_that_are_not_here_is_passed_over() -> None:
    a = Patch((1, "s"), [], [(0, 0, "abc")], "s", 1)
    b = Patch((2, "s"), [a.id], [(1, 1, "")], "s", 2)
    nowhere = {
        Id(9, "s"): Undone((b.id,), [Standing(0, 1, b.id, 0)]),
        a.id: Undone((Id(8, "s"),), [Standing(0, 1, Id(8, "s"), 0)]),
    }
    assert inverse(History([a, b]), [b.id], nowhere) == ((1, "b"), [Standing(0, 1, b.id, 0)])


@pytest.mark.parametrize("nth", [1, 2, 1 << 40, (1 << 63) - 1])
def test_what_stands_for_more_than_was_deleted_stands_for_nothing(nth: int) -> None:
    a = Patch((1, "s"), [], [(0, 0, "abc")], "s", 1)
    b = Patch((2, "s"), [a.id], [(1, 1, "")], "s", 2)
    c = Patch((3, "s"), [b.id], [(0, 0, "xyz")], "s", 3)
    beyond = {c.id: Undone((b.id,), [Standing(0, 3, b.id, nth)])}
    assert inverse(History([a, b, c]), [b.id], beyond) == ((4, "b"), [Standing(0, 1, b.id, 0)])


# --- cost ---------------------------------------------------------------------------------------------


class Counting:
    """Calls of a function of `undo`, and the lengths of what it is handed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.calls = self.handed = 0
        plain = getattr(undo, name)

        def counting(*args: Any) -> Any:
            self.calls += 1
            self.handed += sum(len(arg) for arg in args if isinstance(arg, (str, list)))
            return plain(*args)

        monkeypatch.setattr(undo, name, counting)


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_bringing_back_a_text_joins_it_once(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    people = People("ada")
    people.does("ada", (0, 0, "x" * size))
    people.does("ada", *[(at, 0, "y") for at in range(0, 200, 2)])
    whole = people["ada"].text
    gone = people.does("ada", (0, size + 100, ""))
    people["ada"].receive([Patch((1, "eve"), [], [], "eve", 1)])  # concurrent to all: nothing is linear
    stretches = Counting(monkeypatch, "_stands")
    joined = Counting(monkeypatch, "_joined")
    people["ada"].revert(gone.id)
    assert people["ada"].text == whole
    assert joined.calls == 1
    assert 100 < stretches.handed < 210  # pieces, not characters


def typed_on(people: People, many: int) -> list[str]:
    """Ada's texts: to begin with, and after each of so many steps."""
    document = people["ada"]
    document.insert(0, "some text to begin with")
    document.commit()
    texts = [document.text]
    for n in range(many):  # one types on, corrects, replaces
        size = len(document)
        document.splice(*[(size, 0, "word "), (size - 3, 2, ""), (n % 20, 3, "new")][n % 3])
        document.commit()
        texts.append(document.text)
    return texts


@pytest.mark.parametrize("many", [50, 400])
def test_undo_in_a_row_and_redo_look_at_nothing_that_was_taken_back_before(
    monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    people = People("ada")
    texts = typed_on(people, many)
    document = people["ada"]
    long = Counting(monkeypatch, "inverse")
    asked = Counted()
    plain = Taken.get

    def counting(taken: Taken, *args: Any) -> Any:
        asked.calls += 1
        return plain(taken, *args)

    monkeypatch.setattr(Taken, "get", counting)
    for _ in range(2):
        for text in reversed(texts[:-1]):
            document.undo()
            assert document.text == text
        for text in texts[1:]:
            document.redo()
            assert document.text == text
    assert long.calls == 0
    assert asked.calls <= 4 * many * 4


def test_undo_while_another_types_walks_again_only_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    people = People("ada", "bob")
    texts = typed_on(people, 128)
    people.meet()
    walkers = Counted()

    def counting(*args: Any) -> Walker:
        walkers.calls += 1
        return Walker(*args)

    monkeypatch.setattr("syncstring.merge.Walker", counting)
    for n, text in enumerate(reversed(texts[:-1])):
        people["ada"].undo()
        assert people["ada"].text == "x" * n + text
        people.does("bob", (0, 0, "x"))
        people["ada"].receive(people["bob"].outgoing)
        people["bob"].receive(people["ada"].outgoing)
    assert walkers.calls < 20


def test_what_nothing_stands_for_is_not_looked_at_letter_by_letter() -> None:
    people = People("ada", "bob")
    people.does("ada", (0, 0, "one two"))
    people.does("ada", (3, 4, ""))
    people["ada"].undo()
    people.meet()
    people.does("bob", (3, 0, "x" * 100_000), (50, 10, ""))
    people["ada"].receive(people["bob"].outgoing)
    people["ada"].redo()
    assert len(people["ada"]) == 3 + 100_000 - 10
    assert people["ada"]._taken.stretches(people["ada"].history).looked_at < 150


def test_stretches_are_of_a_weave_and_come_by_event() -> None:
    graph = EventGraph()
    for event in range(3):
        graph.append(event + 1, "a", (event - 1,) if event else (), ("x",), "a", 0)
    weave = Merge(graph).weave_from(1)
    known = Stretches()
    known.took(5, 1)
    known.stand(5, 10, 12, 0, 2, 4, 0)
    known.stand(5, 10, 12, 2, 1, 4, 0)  # of nothing that is there
    known.stand(5, 10, 12, 0, 1, 5, 0)  # for what came later
    assert len(known) == 1
    assert known.reach(5) == 4 and known.reach(6) == 6
    with pytest.raises(ValueError, match="event 4 after 5"):
        known.took(4, 1)
    with pytest.raises(ValueError, match="event 4 after 5"):
        known.stand(4, 9, 10, 0, 1, 3, 0)
    with pytest.raises(ValueError, match="a mask of 1 for 2 events"):
        known.follow(weave, [1], b"\0")
    for event in (0, 3):
        with pytest.raises(ValueError, match=rf"event {event} is not in the weave of \[1, 3\)"):
            known.follow(weave, [event], b"\0\0")
    assert known.follow(weave, [1], b"\0\1") == ([1, -1, 2], [])
