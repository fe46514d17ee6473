"""The oracle of contents: it accepts what must be, and names each law that a text breaks."""

from __future__ import annotations

import random

import pytest
from hypothesis import given

from syncstring.testing.oracle import LAWS, Broken, Copy, Oracle
from syncstring.testing.reference import Reference
from syncstring.testing.strategies import histories


def two(text: str) -> tuple[Oracle, Copy, Copy]:
    """Two people who look at the same text."""
    oracle = Oracle()
    ada = Copy(oracle)
    ada.edit([(0, 0, text)])
    ada.commit("start")
    return oracle, ada, ada.fork()


def test_what_two_people_typed_at_one_place_may_stand_in_either_order() -> None:
    for shown in ([(0, 0, "xy")], [(2, 0, "xy")]):
        oracle = Oracle()
        ada, bob = Copy(oracle), Copy(oracle)
        ada.edit([(0, 0, "ab")])
        ada.commit("ada")
        bob.edit([(0, 0, "xy")])
        bob.commit("bob")
        ada.take(["bob"], shown)
        assert ada.text in ("abxy", "xyab")
        ada.check()


@pytest.mark.parametrize(
    ("splices", "law", "says"),
    [
        ([], "content", "is lost"),
        ([(0, 0, "x")], "content", "is lost"),
        ([(0, 0, "xyy")], "content", "or it is there twice"),
        ([(0, 0, "xyz")], "content", "nobody typed it"),
        ([(0, 1, "xy")], "content", "nobody deleted it"),
        ([(9, 0, "xy")], "content", "is outside of 2 letters"),
        ([(1, 0, "xy")], "piece", "were typed side by side unseen"),
        ([(0, 0, "x"), (3, 0, "y")], "piece", "were typed side by side unseen"),
    ],
)  # fmt: skip
def test_each_way_to_get_it_wrong_has_a_name(
    splices: list[tuple[int, int, str]], law: str, says: str
) -> None:
    oracle = Oracle()
    ada, bob = Copy(oracle), Copy(oracle)
    ada.edit([(0, 0, "ab")])
    ada.commit("ada")
    bob.edit([(0, 0, "xy")])
    bob.commit("bob")
    with pytest.raises(Broken, match=says) as broken:
        ada.take(["bob"], splices)
    assert broken.value.law == law


def test_a_deleted_letter_has_to_go_and_no_other() -> None:
    _, ada, bob = two("abc")
    bob.edit([(1, 1, "")])
    bob.commit("bob")
    with pytest.raises(Broken, match="'b' still stands"):
        ada.fork().take(["bob"], [])
    with pytest.raises(Broken, match="'c' went, and nobody deleted it"):
        ada.fork().take(["bob"], [(1, 2, "")])
    ada.take(["bob"], [(1, 1, "")])
    ada.check()


def test_what_two_deleted_goes_once() -> None:
    _, ada, bob = two("abc")
    ada.edit([(1, 1, "")])
    ada.commit("ada")
    bob.edit([(0, 2, "")])
    bob.commit("bob")
    ada.take(["bob"], [(0, 1, "")])
    assert ada.text == "c"


def test_an_edit_that_comes_with_what_takes_it_back_shows_nothing() -> None:
    _, ada, bob = two("abc")
    bob.edit([(0, 0, "x")])
    bob.commit("one")
    bob.edit([(0, 1, "")])
    bob.commit("two")
    ada.take(["two"], [])
    assert ada.text == "abc"


def test_typing_on_behind_a_letter_stays_with_it() -> None:
    _, ada, bob = two("-")
    ada.edit([(0, 0, "a")])
    ada.commit("a")
    ada.edit([(1, 0, "b")])
    ada.commit("b")
    bob.edit([(0, 0, "x")])
    bob.commit("x")
    with pytest.raises(Broken) as broken:
        ada.take(["x"], [(1, 0, "x")])
    assert broken.value.law == "forward"


def test_typing_backwards_at_one_place_stays_together() -> None:
    _, ada, bob = two("-")
    for letter in "cba":
        ada.edit([(0, 0, letter)])
        ada.commit(letter)
    bob.edit([(0, 0, "x")])
    bob.commit("x")
    with pytest.raises(Broken) as broken:
        ada.take(["x"], [(2, 0, "x")])
    assert broken.value.law == "backward"


def test_between_two_that_saw_nothing_of_each_other_a_third_may_come() -> None:
    """w goes between z and q, which stand side by side by chance: what was typed between them can't stay
    beside both."""
    oracle = Oracle()
    ada, bob, eve = Copy(oracle), Copy(oracle), Copy(oracle)
    for copy, letter in ((ada, "z"), (bob, "q"), (eve, "w")):
        copy.edit([(0, 0, letter)])
        copy.commit(letter)
    ada.take(["q"], [(1, 0, "q")])
    ada.edit([(1, 0, "y")])
    ada.commit("y")
    ada.take(["w"], [(2, 0, "w")])
    assert ada.text == "zywq"


def test_whoever_saw_them_may_type_between_them() -> None:
    _, ada, bob = two("ab")
    bob.edit([(1, 0, "x")])
    bob.commit("bob")
    ada.take(["bob"], [(1, 0, "x")])
    assert ada.text == "axb"


def test_a_law_that_is_not_demanded_is_not_missed() -> None:
    oracle = Oracle(LAWS - {"piece"})
    ada, bob = Copy(oracle), Copy(oracle)
    ada.edit([(0, 0, "ab")])
    ada.commit("ada")
    bob.edit([(0, 0, "xy")])
    bob.commit("bob")
    ada.take(["bob"], [(1, 0, "xy")])
    assert ada.text == "axyb"


def test_letters_that_stood_there_keep_their_order() -> None:
    _, ada, bob = two("abc")
    bob.edit([(3, 0, "x")])
    bob.commit("bob")
    with pytest.raises(Broken) as broken:
        ada.becomes(["bob"], "bacx")
    assert broken.value.law == "order"


def test_of_two_equal_letters_that_came_at_once_nothing_more_is_asked() -> None:
    oracle = Oracle()
    ada, bob, eve = Copy(oracle), Copy(oracle), Copy(oracle)
    for copy, name in ((ada, "ada"), (bob, "bob")):
        copy.edit([(0, 0, "a")])
        copy.commit(name)
    eve.take(["ada", "bob"], [(0, 0, "aa")])
    assert oracle.loose == {"a"}
    ada.edit([(0, 1, "")])
    ada.commit("gone")
    eve.take(["gone"], [(1, 1, "")])
    assert eve.text == "a"


@given(histories(misfits=False))
def test_it_agrees_with_the_slow_twin_on_any_history(patches: list) -> None:  # type: ignore[type-arg]
    """Walk a history in time order in one copy, each patch made in a copy of its parents' version."""
    twin = Reference(patches)
    oracle = Oracle()
    letters = iter(map(chr, range(0x4E00, 0xA000)))
    own = {}  # the twin's letters may be equal; the oracle is given different ones
    for id in twin.order:
        patch = twin.graph.patches[id]
        author = Copy(oracle)
        walked = twin.walked(patch.parents)
        text = "".join(own[item.by, item.nth] for item in walked.items if not item.deleters)
        author.becomes(patch.parents, text)
        splices: list[tuple[int, int, str]] = []
        deletions: list[tuple[int, int, str]] = []
        pos = nth = 0  # all insertions first: one behind a letter that goes stands behind what is left of it
        for op in patch.ops:
            if isinstance(op, str):
                fresh = "".join(next(letters) for _ in op)
                own.update({(id, nth + i): letter for i, letter in enumerate(fresh)})
                splices.append((pos, 0, fresh))
                nth += len(op)
                pos += len(op)
            else:
                if op < 0:
                    deletions.append((pos, -op, ""))
                pos += abs(op)
        splices += reversed(deletions)
        author.edit(splices)
        author.name(id)
        assert author.text == "".join(
            own[item.by, item.nth] for item in twin.walked([id]).items if not item.deleters
        )
    final = "".join(own[item.by, item.nth] for item in twin.walked(twin.heads).items if not item.deleters)
    everything = oracle.copy(twin.heads, final)
    everything.check()
    assert not oracle.loose
    if len(final) > 1:
        chance = random.Random(len(final))
        at = chance.randrange(len(final) - 1)
        with pytest.raises(Broken):
            oracle.copy(twin.heads, final[:at] + final[at + 1 :])
