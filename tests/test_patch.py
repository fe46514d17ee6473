"""Patches are values: one spelling each, every rule judged alike at every door, nothing else raised."""

from __future__ import annotations

import copy
import json
import pickle
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from hashlib import sha256
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from syncstring import patch as room
from syncstring import rules
from syncstring._patch import MAX_COUNT, Splice, consumed, decode_delta, encode_delta, ops_apply, ops_splices
from syncstring.errors import MalformedRow, PatchError, UnsupportedVersion
from syncstring.patch import Id, Patch, canonical_bytes, chained, doc_of_row, id_of_row
from syncstring.testing import reference

DOC = "0123456789abcdef" * 2 + "01234567"
TIME = 1432111222333444
NOTABLE = 'ab\n\t\0%=+-"\\\x1f\x7fé\u2028\ud7ff\ufffd😀\U0010ffff'
CHARACTERS = st.sampled_from(NOTABLE) | st.characters(exclude_categories=("Cs",))

texts = st.text(CHARACTERS, max_size=12)
sessions = st.text("09azAZ_-", min_size=1, max_size=48) | st.text("09az", min_size=12, max_size=12)
times = st.integers(1, room.MIN_WILD_TIME - 1)
ids = st.builds(Id, times | st.integers(1, 9), sessions)
splices = st.lists(
    st.builds(Splice, st.integers(0, 9) | st.integers(0, MAX_COUNT // 10), st.integers(0, 4), texts),
    max_size=5,
)


@st.composite
def patches(draw: st.DrawFn) -> Patch:
    """Any well-formed patch; its parents' sessions and its wall are often its own session and its time."""
    id = draw(ids)
    own = st.builds(Id, times, st.just(id.session))
    parents = [parent for parent in draw(st.lists(own | ids, max_size=3)) if parent.time < id.time]
    wall = draw(st.just(id.time) | st.integers(0, room.MAX_TIME))
    return Patch(id, parents, draw(splices), draw(texts), wall, draw(st.none() | texts))


@st.composite
def deltas(draw: st.DrawFn, most: int = 12) -> tuple[str, tuple[int | str, ...]]:
    """A text and a canonical delta that fits it."""
    text = draw(st.text("abcdefgh", max_size=most))
    items: list[int | str] = []
    for _ in text:
        items += draw(st.text(CHARACTERS, max_size=3).map(list))
        items.append(draw(st.sampled_from([1, -1])))
    return text, reference.joined([*items, *draw(texts)])


small = st.lists(st.builds(Splice, st.integers(0, 9), st.integers(0, 4), texts), max_size=5)


# --- making one


@given(small)
def test_splices_are_composed_when_a_patch_is_made(given):
    patch = Patch((TIME, "s"), [], given, "ada", 0)
    assert patch.ops == reference.compose(given)
    assert patch.delta == encode_delta(patch.ops)


@given(patches())
def test_the_splices_of_a_patch_are_those_of_its_delta(patch):
    assert patch.splices == ops_splices(patch.ops)
    parts = (patch.id, patch.parents)
    rest = (patch.author, patch.wall, patch.message)
    assert Patch(*parts, patch.splices, *rest) == patch == Patch.of_ops(*parts, patch.ops, *rest)


@given(st.lists(st.builds(Id, st.integers(1, 9), st.sampled_from("AaBb9")), max_size=12))
def test_parents_are_sorted_and_doubles_dropped(parents):
    expected = tuple(sorted(set(parents)))
    for given_as in (parents, tuple(parents), iter(parents), map(list, parents)):
        assert Patch((10, "s"), given_as, [], "ada", 0).parents == expected
    patch = Patch.of_ops((10, "s"), parents, (), "ada", 0)
    assert patch.parents == expected
    assert all(type(parent) is Id for parent in patch.parents)


def test_a_patch_says_what_it_was_made_of():
    patch = Patch([7, "s"], [(5, "s")], [(2, 1, "x")], "ada", 3, "why")
    assert (patch.id, patch.time, patch.session) == ((7, "s"), 7, "s")
    assert (patch.parents, patch.author, patch.wall, patch.message) == (((5, "s"),), "ada", 3, "why")
    assert (patch.ops, patch.delta, patch.splices) == ((2, "x", -1), "=2\t+x\t-1", [(2, 1, "x")])
    assert Patch((7, "s"), [], [], "ada", 3).message is None


def test_an_id_is_a_tuple_that_is_written_as_digits_with_a_letter():
    id = Patch((TIME, "s"), [], [], "ada", 0).id
    assert type(id) is Id and id == (TIME, "s") and sorted([(2, "a"), Id(1, "b"), Id(1, "B")])[0] == (1, "B")
    assert re.fullmatch("[0-9a-f]{16}", str(id)) and re.search("[a-f]", str(id))


# --- a value


@given(patches(), patches())
def test_patches_are_equal_if_all_their_parts_are(one, other):
    def parts(patch: Patch) -> tuple[Any, ...]:
        return patch.id, patch.parents, patch.ops, patch.author, patch.wall, patch.message

    assert (one == other) is (parts(one) == parts(other))
    twin = Patch(one.id, one.parents, one.splices, one.author, one.wall, one.message)
    assert twin == one and hash(twin) == hash(one) and len({one, twin}) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"id": (11, "s")},
        {"id": (10, "t")},
        {"parents": [(1, "t")]},
        {"splices": [(0, 0, "y")]},
        {"author": "bob"},
        {"wall": 1},
        {"message": ""},
        {"message": "why"},
    ],
)
def test_any_other_part_makes_another_patch(change):
    parts: dict[str, Any] = {
        "id": (10, "s"),
        "parents": [],
        "splices": [(0, 0, "x")],
        "author": "a",
        "wall": 0,
    }
    one, other = Patch(**parts), Patch(**parts | change)
    assert one != other
    assert one.to_bytes() != other.to_bytes()
    assert one.digest() != other.digest()
    assert canonical_bytes(one.to_row(DOC)) != canonical_bytes(other.to_row(DOC))


def test_a_patch_is_nothing_else_s_equal():
    patch = Patch((1, "s"), [], [], "ada", 0)
    assert patch != patch.to_row(DOC) and patch != patch.id and patch != None  # noqa: E711


@given(patches())
def test_a_patch_survives_copies_pickles_and_its_own_repr(patch):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(patch, protocol)) == patch
    assert copy.copy(patch) == copy.deepcopy(patch) == patch
    assert eval(repr(patch)) == patch


def test_a_patch_never_changes():
    parents, given = [(1, "s")], [(0, 0, "x")]
    patch = Patch((2, "s"), parents, given, "ada", 0)
    twin = copy.copy(patch)
    parents.append((1, "t"))
    given.clear()
    patch.splices.clear()
    patch.to_row(DOC)["id"][1] = 9
    with pytest.raises(PatchError, match="never changes"):
        patch.__init__((3, "s"), [], [], "bob", 0)
    for name in ("id", "time", "session", "parents", "ops", "delta", "splices", "author", "wall", "message"):
        with pytest.raises(AttributeError):
            setattr(patch, name, getattr(patch, name))
        with pytest.raises(AttributeError):
            delattr(patch, name)
    with pytest.raises(AttributeError):
        patch.note = "new"
    assert patch == twin and hash(patch) == hash(twin)


def test_letters_of_another_kind_of_string_are_kept_as_plain_strings():
    class Name(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "another"

    patch = Patch((2, Name("s")), [(1, Name("t"))], [], Name("ada"), 0, Name("why"))
    assert patch == Patch((2, "s"), [(1, "t")], [], "ada", 0, "why")
    kept = [patch.session, patch.parents[0].session, patch.author, patch.message]
    assert {type(text) for text in kept} == {str}
    assert str(patch.id) == str(Id(2, "s"))
    assert Patch.from_row(patch.to_row(Name(DOC))) == patch


# --- there and back


@given(patches())
def test_a_patch_comes_back_from_its_row(patch):
    row = patch.to_row(DOC)
    assert Patch.from_row(row) == patch
    assert Patch.from_row(json.loads(canonical_bytes(row))) == patch
    assert Patch.from_row(MappingProxyType(row | {"id": tuple(row["id"])})) == patch
    assert (doc_of_row(row), id_of_row(row)) == (DOC, patch.id)


@given(patches())
def test_a_patch_comes_back_from_its_bytes(patch):
    data = patch.to_bytes()
    for given_as in (data, bytearray(data), memoryview(data)):
        assert Patch.from_bytes(given_as) == patch


@given(patches())
def test_a_row_has_these_fields_and_is_written_one_way(patch):
    row = patch.to_row(DOC)
    message = {} if patch.message is None else {"message": patch.message}
    assert row == message | {
        "v": 1,
        "id": [DOC, patch.time, patch.session],
        "author": patch.author,
        "wall": patch.wall,
        "parents": "\t".join(f"{time}:{session}" for time, session in patch.parents),
        "delta": patch.delta,
    }
    written = canonical_bytes(row).decode()
    assert json.loads(written) == row
    assert canonical_bytes(dict(reversed(row.items()))) == written.encode()
    strings = re.findall(r'"((?:[^"\\]|\\.)*)"', written)
    assert written.count(" ") == sum(string.count(" ") for string in strings)
    assert set(re.findall(r"\\(?:u....|.)", written)) <= {
        *('\\"', "\\\\", "\\b", "\\f", "\\n", "\\r", "\\t"),
        *(f"\\u{code:04x}" for code in range(32) if chr(code) not in "\b\f\n\r\t"),
    }


def test_the_digest_is_of_the_row_without_its_document():
    patch = Patch((TIME, "s"), [], [(0, 0, "é")], "ada", 0)
    row = f'{{"author":"ada","delta":"+é","id":["",{TIME},"s"],"parents":"","v":1,"wall":0}}'
    assert patch.digest() == sha256(row.encode()).digest()


@pytest.mark.parametrize(
    "doc", ["", "notes.md", DOC[1:], DOC + "0", DOC.upper(), DOC[1:] + "\n", None, 7, b"0" * 40]
)
def test_a_row_lies_in_a_document_with_a_key(doc):
    patch = Patch((1, "s"), [], [], "ada", 0)
    with pytest.raises(PatchError, match="40 digits of 0-9a-f"):
        patch.to_row(doc)


# --- well-formed and just not

PARTS: dict[str, Any] = {"id": (TIME, "s"), "parents": [], "splices": [], "author": "ada", "wall": 0}


def unchecked(parts: dict[str, Any]) -> Patch:
    """The patch that these parts would make if no rule were kept."""
    parents = tuple(sorted({Id(*parent) for parent in parts["parents"]}))
    ops = reference.compose(parts["splices"]) if "ops" not in parts else parts["ops"]
    return Patch.trusted(parts["id"], parents, ops, parts["author"], parts["wall"], parts.get("message"))


def takes(**changes: Any) -> None:
    """Every door takes a patch with these parts, and gives the same."""
    parts = PARTS | changes
    patch = unchecked(parts)
    rest = (patch.author, patch.wall, patch.message)
    assert Patch(patch.id, parts["parents"], patch.splices, *rest) == patch
    assert Patch.of_ops(patch.id, parts["parents"], patch.ops, *rest) == patch
    assert Patch.from_row(patch.to_row(DOC)) == patch
    assert Patch.from_bytes(patch.to_bytes()) == patch


def refuses(*says: str, **changes: Any) -> None:
    """Every door refuses a patch with these parts, for the reason given, and says whose it is."""
    parts = PARTS | changes
    patch = unchecked(parts)
    rest = (parts["author"], parts["wall"], parts.get("message"))
    doors = [
        (PatchError, lambda: Patch(parts["id"], parts["parents"], ops_splices(patch.ops), *rest)),
        (PatchError, lambda: Patch.of_ops(parts["id"], parts["parents"], patch.ops, *rest)),
        (MalformedRow, lambda: Patch.from_row(patch.to_row(DOC))),
    ]
    if patch.session.isascii() and patch.parents[-1:] <= (patch.id,):  # others have no bytes
        doors.append((MalformedRow, lambda: Patch.from_bytes(patch.to_bytes())))
    for blame, door in doors:
        with pytest.raises(blame) as refused:
            door()
        for fragment in says:
            assert fragment in str(refused.value)


def test_times_are_taken_up_to_their_limits_and_not_beyond():
    takes(id=(1, "s"))
    takes(id=(2**52 - 1, "s"))
    takes(id=(2**52, "s"), parents=[(2**52 - 2**32, "s")])
    takes(id=(2**52, "s"), parents=[(1, "s"), (2**52 - 2**32, "t")])
    takes(id=(2**53 - 1, "s"), parents=[(2**53 - 1 - 2**32, "s")])
    takes(id=(2**53 - 1, "s"), parents=[(2**53 - 2, "s")])
    refuses("its time is 0;", id=(0, "s"))
    refuses("4503599627370496 is 2^52 or later", "has no parents", id=(2**52, "s"))
    near = f"more than 2^32 above its greatest parent's, {2**52 - 2**32 - 1}"
    refuses(near, id=(2**52, "s"), parents=[(2**52 - 2**32 - 1, "s")])
    refuses("2^52 or later", id=(2**53 - 1, "s"), parents=[(2**53 - 2 - 2**32, "s"), (1, "t")])
    refuses("its time is 9007199254740992;", id=(2**53, "s"), parents=[(2**53 - 1, "s")])


def test_a_patch_is_later_than_each_of_its_parents():
    takes(id=(5, "s"), parents=[(4, "s"), (1, "t")])
    refuses("its time 5 is not above a parent's, 5", id=(5, "s"), parents=[(5, "r"), (1, "t")])
    refuses("its time 5 is not above a parent's, 5", id=(5, "s"), parents=[(5, "s")])
    refuses("its time 5 is not above a parent's, 6", id=(5, "s"), parents=[(1, "t"), (6, "a")])


@pytest.mark.parametrize(
    "session", ["0", "-", "_", "x" * 47, "x" * 48, "p00000000000", "zzzzzzzzzzzz", "A" * 12]
)
def test_a_session_is_taken_as_patch_s_and_as_parent_s(session):
    takes(id=(5, session))
    takes(id=(5, session), parents=[(4, session)])
    takes(id=(5, "s"), parents=[(4, session)])
    takes(id=(5, session), parents=[(4, session), (4, "s")])


@pytest.mark.parametrize("session", ["", "x" * 49, "a b", "a:b", "a\tb", "a\n", "\0", "é", "٣", "a.b"])
def test_a_session_of_other_letters_or_another_length_is_refused(session):
    refuses("its session is", "1 to 48 of 0-9A-Za-z_-", id=(5, session))
    if "\t" not in session:
        with pytest.raises(PatchError, match="a parent's session is"):
            Patch((5, "s"), [(4, session)], [], "ada", 0)
        row = Patch((5, "s"), [], [], "ada", 0).to_row(DOC) | {"parents": f"4:{session}"}
        with pytest.raises(MalformedRow, match="is not time:session"):
            Patch.from_row(row)
        with pytest.raises(MalformedRow, match="a parent's session is" if session.isascii() else "UTF-8"):
            Patch.from_bytes(unchecked(PARTS | {"id": (5, "s"), "parents": [(4, session)]}).to_bytes())


@pytest.mark.parametrize(("field", "most"), [("author", 256), ("message", 4096)])
def test_texts_are_taken_up_to_so_many_bytes_and_not_beyond(field, most):
    for text in (
        "",
        "x" * (most - 1),
        "x" * most,
        "é" * (most // 2),
        "😀" * (most // 4),
        "\0\x1f\t" * (most // 3),
    ):
        takes(**{field: text})
    for text in ("x" * (most + 1), "é" * (most // 2) + "x", "😀" * (most // 4) + "x", "é" * most):
        refuses(f"{field} has", f"at most {most:,} are allowed", **{field: text})


def test_wall_lies_from_0_to_2_to_the_53():
    for wall in (0, 1, TIME, 2**52, 2**53 - 1):
        takes(wall=wall)
    refuses("wall is 9007199254740992; it lies in 0 .. 2^53 - 1", wall=2**53)
    with pytest.raises(PatchError, match="wall is -1; it lies in 0"):
        Patch(**PARTS | {"wall": -1})
    with pytest.raises(MalformedRow, match="wall is -1; it lies in 0"):
        Patch.from_row(unchecked(PARTS | {"wall": -1}).to_row(DOC))


def test_a_thousand_and_twenty_four_parents_are_taken_and_not_one_more():
    parents = [(1 + number // 3, f"s{number}") for number in range(1025)]
    for count in (1023, 1024):
        takes(parents=parents[:count])
    takes(parents=[*parents[:1024], *parents[:1024]])
    refuses("it has 1,025 parents; at most 1,024", parents=parents)


def test_a_hundred_thousand_operations_are_taken_and_not_one_more():
    ops = ("x", -1) * 50_001
    for count in (99_999, 100_000):
        takes(ops=ops[:count])
    refuses("its delta has 100,001 operations", "; at most 100,000 are allowed", ops=ops[:100_001])


def test_a_count_is_at_most_what_json_numbers_hold_exactly():
    takes(ops=(MAX_COUNT, "x", -MAX_COUNT))
    once = (0, MAX_COUNT, "")
    assert Patch((1, "s"), [], [once], "ada", 0).ops == (-MAX_COUNT,)
    takes(splices=[(1, 1, ""), (2, 0, "x")])
    with pytest.raises(PatchError, match="a count is at most"):
        Patch((1, "s"), [], [once, (0, 1, "")], "ada", 0)
    for ops in ((-MAX_COUNT - 1,), (MAX_COUNT + 1, "x")):
        with pytest.raises(MalformedRow, match="a count is at most"):
            Patch.from_row(unchecked(PARTS | {"ops": ops}).to_row(DOC))
        with pytest.raises(MalformedRow, match="a number of 2"):
            Patch.from_bytes(unchecked(PARTS | {"ops": ops}).to_bytes())


@pytest.mark.parametrize(
    ("char", "weight"), [("x", 1), ("é", 2), ("\0", 3), ("%", 3), ("😀", 4), ("\x1f", 6), ("\n", 2)]
)
def test_a_row_has_a_mebibyte_and_not_one_byte_more(char, weight):
    empty = Patch((TIME, "s"), [(1, "t")], [(7, 1, "x")], "ada", 0)
    room_left = room.MAX_ROW - len(canonical_bytes(empty.to_row(DOC)))
    whole, rest = divmod(room_left, weight)
    full = (7, char * whole + "x" * (rest + 1), -1)
    takes(parents=[(1, "t")], ops=full)
    takes(parents=[(1, "t")], ops=(7, full[1][1:], -1))
    assert (
        len(canonical_bytes(unchecked(PARTS | {"parents": [(1, "t")], "ops": full}).to_row(DOC)))
        == room.MAX_ROW
    )
    refuses("its row has 1,048,577 bytes; at most 1,048,576", parents=[(1, "t")], ops=(7, full[1] + "x", -1))


@given(patches(), st.integers(-2, 2))
def test_the_size_of_a_row_is_judged_by_its_canonical_bytes(patch, beyond):
    size = len(canonical_bytes(patch.to_row(DOC)))
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(rules, "MAX_ROW", size - beyond)
        if beyond > 0:
            with pytest.raises(MalformedRow, match=f"its row has {size:,} bytes"):
                rules.parts_of_row(patch.to_row(DOC))  # the kernel weighs nothing that is far too small
        else:
            assert Patch.trusted(*rules.parts_of_row(patch.to_row(DOC))) == patch


# --- malformed rows

ROW: dict[str, Any] = {
    "v": 1,
    "id": [DOC, TIME, "s"],
    "author": "ada",
    "wall": TIME,
    "parents": f"{TIME - 2}:s\t{TIME - 1}:a",
    "delta": "=1\t-1\t+x",
}
GONE = object()
MALFORMED = [
    ({"v": GONE}, "no v; a row has v, id, author, wall, parents, delta and perhaps message"),
    ({"v": None}, "v is None; it is an integer"),
    ({"v": 1.0}, "v is 1.0; it is an integer"),
    ({"v": True}, "v is True; it is an integer"),
    ({"id": GONE}, "no id; a row has"),
    ({"author": GONE}, "no author; a row has"),
    ({"wall": GONE}, "no wall; a row has"),
    ({"parents": GONE}, "no parents; a row has"),
    ({"delta": GONE}, "no delta; a row has"),
    ({"message": None}, "message is null; a patch without one has no such field"),
    ({"id": None}, "row None: an id is [doc, time, session]"),
    ({"id": [DOC, TIME]}, f"row ['{DOC}', {TIME}]: an id is [doc, time, session]"),
    ({"id": [DOC, TIME, "s", 0]}, f"row ['{DOC}', {TIME}, 's', 0]: an id is [doc, time, session]"),
    ({"id": ["notes.md", TIME, "s"]}, "its doc is 'notes.md'; it has 40 digits"),
    ({"id": [7, TIME, "s"]}, "its doc is 7; it has 40 digits"),
    ({"id": [DOC, 0, "s"]}, "its time is 0; it lies in 1 .. 2^53 - 1"),
    ({"id": [DOC, 2**53, "s"]}, "its time is 9007199254740992; it lies in 1"),
    ({"id": [DOC, 5.0, "s"]}, "its time is 5.0, of type float; it is an int of microseconds"),
    ({"id": [DOC, True, "s"]}, "its time is True, of type bool"),
    ({"id": [DOC, 2**52, "s"]}, "its time 4503599627370496 is 2^52 or later"),
    ({"id": [DOC, TIME, ""]}, "its session is ''; it has 1 to 48"),
    ({"id": [DOC, TIME, None]}, "its session is None; it has 1 to 48"),
    ({"author": None}, "author is None; it is a string"),
    ({"author": "x" * 257}, "author has 257 bytes of UTF-8; at most 256"),
    ({"author": "a\ud800"}, "author holds the lone surrogate U+D800 at 1"),
    ({"message": 7}, "message is 7; it is a string"),
    ({"message": "x" * 4097}, "message has 4,097 bytes of UTF-8; at most 4,096"),
    ({"message": "\udfff"}, "message holds the lone surrogate U+DFFF at 0"),
    ({"wall": None}, "wall is None, of type NoneType"),
    ({"wall": 0.5}, "wall is 0.5, of type float"),
    ({"wall": False}, "wall is False, of type bool"),
    ({"wall": -1}, "wall is -1; it lies in 0"),
    ({"wall": 2**53}, "wall is 9007199254740992; it lies in 0"),
    ({"parents": []}, "parents is []; it is a string"),
    ({"parents": "x" * (2**20 + 1)}, "parents has 1,048,577 letters; a row has 1,048,576 bytes"),
    ({"parents": f"{TIME - 1}"}, f"'{TIME - 1}' is not time:session, as in"),
    ({"parents": "1:a\t"}, "parents: '' is not time:session"),
    ({"parents": "01:a"}, "parents: '01:a' is not time:session"),
    ({"parents": "2:a\t1:b"}, "parents: '1:b' stands after one that isn't less"),
    ({"parents": "1:b\t1:a"}, "parents: '1:a' stands after one that isn't less"),
    ({"parents": "1:c\t1:c"}, "parents: '1:c' stands after one that isn't less"),
    ({"parents": f"{TIME}:a"}, f"its time {TIME} is not above a parent's, {TIME}"),
    ({"parents": "9007199254740992:a"}, "is not above a parent's, 9007199254740992"),
    ({"parents": "\t".join(f"1:{n:04}" for n in range(1025))}, "it has 1,025 parents; at most 1,024"),
    ({"delta": None}, "delta is None; it is a string"),
    ({"delta": "+" + "x" * 2**20}, "delta has 1,048,577 letters; a row has 1,048,576 bytes"),
    ({"delta": "=1"}, "delta: ends in '=1'; what is kept at the end isn't written"),
    ({"delta": "-1\t-1"}, "delta: two deletions beside each other at 3"),
    ({"delta": "+x\t-1" + "\t+x\t-1" * 50_000}, "its delta has 100,002 operations; at most 100,000"),
    ({"delta": "+" + "\x1f" * 200_000}, "its row has 1,200,"),
]  # fmt: skip


def changed(change: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (ROW | change).items() if value is not GONE}


@pytest.mark.parametrize(("change", "says"), MALFORMED, ids=[says for _, says in MALFORMED])
def test_a_malformed_row_is_refused_with_its_own_reason(change, says):
    row = changed(change)
    with pytest.raises(MalformedRow) as refused:
        Patch.from_row(row)
    message = str(refused.value)
    assert [fragment for _, fragment in MALFORMED if fragment in message] == [says]
    assert message.startswith(f"row {row.get('id')!r:.120}: ")
    assert len(message) < 400


# --- what a later format may mean


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"v": 2}, "v is 2; this library reads 1"),
        ({"v": 0}, "v is 0; this library reads 1"),
        ({"v": 10**5000}, "v is something of type int; this library reads 1"),
        ({"v": 2, "id": 7, "wall": GONE, "color": "red"}, "v is 2; this library reads 1"),
        ({"redacted": [1, 2]}, "unknown field 'redacted'"),
        ({"forget": None}, "unknown field 'forget'"),
        ({"color": "red", "wall": -1, "delta": GONE}, "unknown field 'color'"),
        ({"delta": "=1\t*3"}, "delta: '*3' at 3 is none of =, + and -"),
        ({"delta": "*3\t=0", "author": None}, "delta: '*3' at 0 is none of =, + and -"),
    ],
)
def test_what_a_later_format_may_mean_is_unsupported_not_malformed(change, says):
    row = changed(change)
    with pytest.raises(UnsupportedVersion) as refused:
        Patch.from_row(row)
    assert str(refused.value).startswith(f"row {row['id']!r:.120}: {says}")
    assert "upgrade" in str(refused.value)


@pytest.mark.parametrize(
    "change", [{"v": GONE, "color": "red"}, {"delta": "=0\t*3"}, {"delta": "*3", "parents": "x"}]
)
def test_what_breaks_a_rule_before_that_is_malformed(change):
    with pytest.raises(MalformedRow):
        Patch.from_row(changed(change))


# --- whatever comes

letters = st.text(max_size=5) | st.text("=+-\t%0925:a\ud800é*", max_size=8)
huge = st.builds(pow, st.just(10), st.just(5000))  # so many digits that repr refuses
numbers = st.integers() | st.sampled_from([0, 1, 2**52, 2**53 - 1, 2**53]) | huge | st.floats()


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(letters, inner, max_size=3),
        max_leaves=5,
    )


values = nested(st.none() | st.booleans() | numbers | letters)
row_ids = st.tuples(st.just(DOC) | values, st.integers(1, 9) | values, st.just("s") | values).map(list)


def reads_exactly_or_says_no(row: Any) -> None:
    try:
        patch = Patch.from_row(row)
    except (MalformedRow, UnsupportedVersion) as error:
        assert len(str(error)) < 600
    else:
        again = patch.to_row(doc_of_row(row))
        assert again == row and canonical_bytes(again) == canonical_bytes(row)
        assert patch == Patch(patch.id, patch.parents, patch.splices, patch.author, patch.wall, patch.message)


@given(values | st.dictionaries(st.sampled_from([*ROW, "message", "color"]), values))
@example(MappingProxyType({}))
@example(None)
def test_anything_is_read_exactly_or_refused_by_name(row):
    reads_exactly_or_says_no(row)


@settings(max_examples=200)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "v": values,
            "id": row_ids | values,
            "author": letters | values,
            "wall": numbers | values,
            "parents": st.lists(st.builds("{}:{}".format, st.integers(0, 9), letters), max_size=3).map(
                "\t".join
            ),
            "delta": st.lists(st.text("=+-%0925a", max_size=4), max_size=3).map("\t".join) | values,
            "message": letters | values,
            "color": values,
        },
    )
)
def test_a_row_of_anything_is_read_exactly_or_refused_by_name(change):
    reads_exactly_or_says_no(ROW | {"parents": ""} | change)


@settings(max_examples=200)
@given(st.data())
def test_a_row_with_letters_changed_is_read_exactly_or_refused_by_name(data):
    row = data.draw(patches()).to_row(DOC)
    name = data.draw(st.sampled_from(["author", "parents", "delta"]))
    at = data.draw(st.integers(0, len(row[name])))
    cut = data.draw(st.integers(0, 2))
    reads_exactly_or_says_no(row | {name: row[name][:at] + data.draw(letters) + row[name][at + cut :]})


def test_what_can_not_even_be_shown_is_refused_by_name():
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for odd in (deep, 10**5000, -(10**5000), "\ud800" * 10**6, [[10**5000]]):
        for name in (*ROW, "message"):
            with pytest.raises((MalformedRow, UnsupportedVersion)):
                Patch.from_row(ROW | {name: odd})
        for place in range(3):
            id = [DOC, TIME, "s"]
            id[place] = odd
            with pytest.raises(MalformedRow):
                Patch.from_row(ROW | {"id": id})
        for change in ("id", "parents", "splices", "author", "wall", "message"):
            with pytest.raises(PatchError):
                Patch(**PARTS | {change: odd})


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (None, "row None: an id is"),
        ({}, "row None: an id is"),
        ({"id": "abc"}, "row 'abc': an id is"),
        ({"id": [DOC, 0, "s"]}, "its time is 0"),
        ({"id": [DOC, 1, "?"]}, "its session is '?'"),
        ({"id": ["?", 1, "s"]}, "its doc is '?'"),
    ],
)
def test_an_id_that_can_not_be_read_is_malformed(row, says):
    for read in (id_of_row, doc_of_row):
        with pytest.raises(MalformedRow, match=re.escape(says)):
            read(row)


def test_the_id_of_a_row_is_read_when_the_rest_is_beyond_us():
    row = {"v": 9, "id": [DOC, 5, "s"], "shape": [1.5]}
    assert (doc_of_row(row), id_of_row(row)) == (DOC, Id(5, "s"))
    assert canonical_bytes(row) == f'{{"id":["{DOC}",5,"s"],"shape":[1.5],"v":9}}'.encode()


@pytest.mark.parametrize("row", [{"a": "\ud800"}, {"a": {1}}, {"a": b""}, {1: 2, "a": 3}, {1, 2}])
def test_what_is_not_json_has_no_canonical_bytes(row):
    with pytest.raises(MalformedRow, match="no row"):
        canonical_bytes(row)


# --- arguments that can't be meant


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": None}, "its id is None; an id is (time, session)"),
        ({"id": 7}, "its id is 7; an id is (time, session)"),
        ({"id": (1,)}, "its id is (1,); an id is (time, session)"),
        ({"id": (1, "s", 2)}, "its id is (1, 's', 2); an id is (time, session)"),
        ({"id": "ab"}, "its time is 'a', of type str"),
        ({"id": ("s", 1)}, "its time is 's', of type str"),
        ({"id": (True, "s")}, "its time is True, of type bool"),
        ({"id": (1.0, "s")}, "its time is 1.0, of type float"),
        ({"id": (1, None)}, "its session is None; it has 1 to 48"),
        ({"id": (1, b"s")}, "its session is b's'; it has 1 to 48"),
        ({"parents": None}, "parents are None; they are a list of (time, session)"),
        ({"parents": 7}, "parents are 7; they are a list of"),
        ({"parents": list}, "parents are <class 'list'>; they are a list of"),
        ({"parents": (1, "s")}, "a parent's id is 1; an id is (time, session)"),
        ({"parents": ["ab"]}, "a parent's time is 'a'"),
        ({"parents": [(1, "s"), (True, "s")]}, "a parent's time is True, of type bool"),
        ({"parents": [(1, "s"), (1.0, "s")]}, "a parent's time is 1.0, of type float"),
        ({"parents": [(1, "s"), ("1", "s")]}, "a parent's time is '1'"),
        ({"parents": [([], "s")]}, "a parent's time is []"),
        ({"splices": None}, "splices are None; they are a list of (pos, delete, insert)"),
        ({"splices": 7}, "splices are 7; they are a list of"),
        ({"splices": "abc"}, "a splice is (pos, delete, insert)"),
        ({"splices": (0, 0, "a")}, "a splice is (pos, delete, insert)"),
        ({"splices": [(0, 0)]}, "a splice is (pos, delete, insert)"),
        ({"splices": [(-1, 0, "a")]}, "pos of a splice is -1"),
        ({"splices": [(0, True, "a")]}, "delete of a splice is True"),
        ({"splices": [(0, 0.0, "a")]}, "delete of a splice is 0.0"),
        ({"splices": [(0, 0, b"a")]}, "insert of a splice is b'a'"),
        ({"splices": [(0, 0, "\ud800")]}, "lone surrogate U+D800 at 0"),
        ({"author": None}, "author is None; it is a string"),
        ({"author": b"ada"}, "author is b'ada'; it is a string"),
        ({"author": "\ud83d"}, "author holds the lone surrogate U+D83D at 0"),
        ({"wall": None}, "wall is None, of type NoneType; it is an int"),
        ({"wall": True}, "wall is True, of type bool"),
        ({"wall": 1.0}, "wall is 1.0, of type float"),
        ({"message": 7}, "message is 7; it is a string"),
        ({"message": False}, "message is False; it is a string"),
    ],
)
def test_an_argument_that_can_not_be_meant_is_refused_with_its_own_reason(change, says):
    with pytest.raises(PatchError) as refused:
        Patch(**PARTS | change)
    assert says in str(refused.value)
    if "splices" not in change:
        parts = {name: value for name, value in (PARTS | change).items() if name != "splices"}
        with pytest.raises(PatchError) as refused:
            Patch.of_ops(ops=(), **parts)
        assert says in str(refused.value)


@given(
    st.tuples(st.sampled_from(["id", "parents", "author", "wall", "message"]), values)
    | st.tuples(st.just("splices"), nested(st.none() | st.booleans() | st.integers() | st.floats() | letters))
)
def test_no_argument_raises_anything_else(argument):
    try:
        patch = Patch(**PARTS | dict([argument]))
    except PatchError:
        return
    assert Patch.from_row(patch.to_row(DOC)) == patch


@pytest.mark.parametrize("name", ["splices", "parents"])
def test_an_error_of_the_caller_s_own_is_not_ours(name):
    def broken() -> Iterator[Any]:
        raise TypeError("theirs")
        yield

    with pytest.raises(TypeError, match="theirs"):
        Patch(**PARTS | {name: broken()})


# --- bytes


def reads_bytes_exactly_or_says_no(data: bytes) -> Patch | None:
    try:
        patch = Patch.from_bytes(data)
    except (MalformedRow, UnsupportedVersion) as error:
        assert str(error).startswith("patch bytes") and len(str(error)) < 600
        return None
    assert patch.to_bytes() == data
    assert Patch.from_row(patch.to_row(DOC)) == patch
    return patch


FIRST = st.sampled_from([b"\x50", b"\x54", b"\x5d"])
SPELLINGS = [b"\x80\x00", b"\xff", b"\x00", b"\x50", b"\x57", b"\x58", b"\x5f"]


@given(st.binary(max_size=40) | st.builds(bytes.__add__, FIRST, st.binary(max_size=40)))
def test_any_bytes_are_read_exactly_or_refused_by_name(data):
    reads_bytes_exactly_or_says_no(data)


@settings(max_examples=200)
@given(patches(), st.data())
def test_changed_bytes_are_read_exactly_or_refused_by_name(patch, data):
    written = bytearray(patch.to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(written)))
        new = data.draw(st.binary(max_size=2) | st.sampled_from(SPELLINGS))
        written[at : at + data.draw(st.integers(0, 2))] = new
    other = reads_bytes_exactly_or_says_no(bytes(written))
    assert (other == patch) is (written == patch.to_bytes())


@given(patches())
def test_bytes_cut_off_are_refused_unless_it_is_between_operations(patch):
    written = patch.to_bytes()
    shorter = [patch.ops[:count] for count in range(len(patch.ops))]
    for size in range(len(written)):
        part = reads_bytes_exactly_or_says_no(written[:size])
        if part is not None:
            assert part.ops in shorter
            assert part == Patch.of_ops(
                patch.id, patch.parents, part.ops, patch.author, patch.wall, patch.message
            )


SHORT = Patch((5, "s"), [(4, "s")], [], "a", 5).to_bytes()
BOTH = Patch((5, "s"), [(4, "s"), (4, "t")], [], "a", 5).to_bytes()
WHOLE = Patch((5_000, "s"), [(4_000, "s")], [], "a", 5_000).to_bytes()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "end at 0 inside the format"),
        (SHORT[:5], "end at 5 inside the time; were they cut off?"),
        (SHORT[:7], "end at 7 inside the time"),
        (WHOLE[:6], "end at 6 inside the time"),
        (WHOLE[:7], "end at 7 inside a session"),
        (SHORT[:8], "end at 8 inside a session"),
        (SHORT[:9], "end at 9 inside a session"),
        (SHORT[:10], "end at 10 inside a parent's time"),
        (SHORT[:12], "end at 12 inside the author"),
        (SHORT + b"\x05", "inside an insertion"),
        (SHORT + b"\x80", "inside an operation"),
        (SHORT + b"\x05\xff", "an insertion before 15 is not UTF-8"),
        (SHORT + b"\x0d\xed\xa0\x80", "an insertion before 17 is not UTF-8"),
        (SHORT + b"\x00", "an operation before 14 does nothing"),
        (SHORT + b"\x01", "an operation before 14 does nothing"),
        (SHORT + b"\x06\x06", "an operation before 15 is of the last one's kind"),
        (SHORT + b"\x05a\x05b", "is of the last one's kind"),
        (SHORT + b"\x04", "what is kept at the end isn't written"),
        (SHORT + b"\x86\x00", "not in canonical form"),
        (SHORT + b"\xff" * 7 + b"\x7f", "a number of 2^55 or more"),
        (SHORT + b"\xff" * 20, "a number of 2^55 or more"),
        (SHORT[:8] + b"\x8c" + b"x" * 12 + SHORT[10:], "not in canonical form"),
        (SHORT[:8] + b"\x7f" + b"\xff" * 7 + SHORT[10:], "more than 12 digits in base 36"),
        (SHORT[:8] + b"\x80" + SHORT[10:], "its session is ''"),
        (SHORT[:8] + b"\xff" + b"x" * 127 + SHORT[10:], "its session is 'xxx"),
        (SHORT[:1] + bytes(7) + SHORT[8:], "its time is 0"),
        (SHORT[:1] + b"\x20" + bytes(6) + SHORT[8:], "its time is 9007199254740992"),
        (WHOLE[:1] + bytes(6) + WHOLE[7:], "its time is 0"),
        (WHOLE[:1] + b"\xff" * 6 + WHOLE[7:], "its time is 281474976710655000"),
        (b"\x58" + (5_000).to_bytes(7, "big") + WHOLE[7:], "not in canonical form"),
        (SHORT[:10] + b"\x0b" + SHORT[11:], "a parent's time is 0"),
        (SHORT[:10] + b"\x0d" + SHORT[11:], "a parent's time is -1"),
        (SHORT[:10] + b"\x02" + SHORT[11:], "a parent's time is -995"),
        (SHORT[:10] + b"\x00" + SHORT[11:], "is not above a parent's, 5"),
        (SHORT[:10] + b"\x01" + SHORT[11:], "is not above a parent's, 5"),
        (WHOLE[:9] + b"\xd1\x0f" + WHOLE[10:], "not in canonical form"),
        (WHOLE[:9] + b"\x82\x00" + WHOLE[10:], "not in canonical form"),
        (b"\x59" + SHORT[1:] + b"\x00", "not in canonical form"),
        (BOTH[:11] + b"\x03\xff\x03\xff" + BOTH[-2:], "not in canonical form"),
        (BOTH[:11] + b"\x03\x81t\x03\xff" + BOTH[-2:], "not in canonical form"),
        (BOTH[:11] + b"\x03\x81s\x03\x81t" + BOTH[-2:], "not in canonical form"),
        (SHORT + b"x" * 2**21, "there are 2,097,165; no row's patch has as many"),
        ("50", "patch bytes are bytes; this is '50'"),
        (80, "patch bytes are bytes; this is 80"),
        (None, "patch bytes are bytes; this is None"),
    ],
)
def test_malformed_bytes_are_refused_with_their_own_reason(data, says):
    with pytest.raises(MalformedRow) as refused:
        Patch.from_bytes(data)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x60" + SHORT[1:], "patch bytes: they begin with 0x60; this library reads 0x50 to 0x5f"),
        (b"\x40" + SHORT[1:], "patch bytes: they begin with 0x40"),
        (b"{}", "patch bytes: they begin with 0x7b"),
        (SHORT + b"\x07\x00", "patch bytes: an operation of kind 3 before 14"),
    ],
)
def test_bytes_of_a_later_format_are_unsupported(data, says):
    with pytest.raises(UnsupportedVersion) as refused:
        Patch.from_bytes(data)
    assert str(refused.value).startswith(says)


def test_a_keystroke_fits_forty_bytes():
    patch = Patch(
        (TIME, "k3x9q0w7e2r5"), [(TIME - 10**6, "k3x9q0w7e2r5")], [(10_000, 0, "a")], "ada", TIME + 900
    )
    assert len(patch.to_bytes()) <= 40


# --- chains


@contextmanager
def little_room() -> Iterator[int]:
    """Limits so low that every edit worth drawing needs a chain."""
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(room, "_DELTA_ROOM", 140)
        limits.setattr(room, "_PIECE", 5)
        limits.setattr(room, "MAX_OPERATIONS", 5)
        yield 140


@settings(max_examples=200)
@given(deltas())
def test_the_links_of_a_chain_do_together_what_the_whole_does(given):
    text, ops = given
    expected = ops_apply(text, ops)
    with little_room() as most:
        chain = chained(ops)
        for link in chain:
            assert decode_delta(encode_delta(link)) == link
            assert len(link) <= 5
            assert len(canonical_bytes({"delta": encode_delta(link)})) <= most
            text = ops_apply(text, link)
    assert text == expected
    assert all(chain) or chain == [()]


@settings(max_examples=150)
@given(deltas(most=6), deltas(most=6), st.sampled_from(["a", "z"]))
def test_in_a_merge_a_chain_leaves_every_character_where_the_whole_would(one, two, session):
    """Somebody else edits the same text, not knowing of it; what stands between deleted characters shows."""
    text, ops = one
    if consumed(two[1]) > len(text):
        return
    base = SimpleNamespace(id=(1, "m"), parents=(), ops=reference.joined(text))
    other = SimpleNamespace(id=(2, session), parents=(base.id,), ops=two[1])
    whole = SimpleNamespace(id=(3, "k"), parents=(base.id,), ops=ops)
    links = []
    with little_room():
        for number, link in enumerate(chained(ops)):
            parents = (links[-1].id if links else base.id,)
            links.append(SimpleNamespace(id=(3 + number, "k"), parents=parents, ops=link))
    expected = reference.Reference([base, other, whole]).text()
    assert reference.Reference([base, other, *links]).text() == expected


@given(patches())
def test_what_fits_a_row_is_no_chain(patch):
    assert chained(patch.ops) == [patch.ops]


def test_a_text_that_fits_but_might_not_have_is_no_chain():
    ops = (5, "x" * 800_000, -3)
    assert chained(ops) == [ops]


LONGEST = {
    "parents": [(TIME - 1, f"{number:048}") for number in range(1024)],
    "author": "\x1f" * 256,
    "message": "\x1f" * 4096,
}


@pytest.mark.parametrize(
    "ops",
    [
        ("x" * 3_000_000,),
        (7, "\x1f" * 500_000, -5, "é😀\0%" * 200_000, 3, -2),
        ("x", -1) * 150_000,
        (1, -1) * 150_000 + ("y" * 2_000_000,),
        tuple(op for number in range(30_000) for op in (number % 50 + 1, "abc\n" * 12, -2)),
    ],
    ids=["ascii", "escapes", "operations", "many-and-long", "mixed"],
)
def test_each_link_of_a_long_chain_fits_a_row_beside_the_longest_of_everything(ops):
    text = "0123456789" * (consumed(ops) // 10 + 1)
    expected = ops_apply(text, ops)
    chain = chained(ops)
    assert len(chain) > 1
    for link in chain:
        patch = Patch.of_ops((TIME, "k" * 48), ops=link, wall=room.MAX_TIME, **LONGEST)
        assert decode_delta(patch.delta) == link
        text = ops_apply(text, link)
    assert text == expected


def test_a_long_random_edit_becomes_a_short_chain():
    chance = random.Random(7)
    letters = [chr(code) for code in (*range(1, 128), 0xE9, 0x20AC, 0x1F600)]
    items: list[int | str] = []
    for _ in range(60_000):
        items += [chance.choice([1, -1]) * chance.randint(1, 9), "".join(chance.choices(letters, k=30))]
    ops = reference.joined(items)
    text = "x" * consumed(ops)
    chain = chained(ops)
    for link in chain:
        Patch.of_ops((TIME, "s"), [], link, "ada", 0)
    expected = ops_apply(text, ops)
    for link in chain:
        text = ops_apply(text, link)
    assert text == expected
    size = len(canonical_bytes({"delta": encode_delta(ops)}))
    assert len(chain) <= size // (room.MAX_ROW // 2) + 1


# --- found failures: what the kernel's door let through


def test_a_huge_position_is_a_patch_error():
    with pytest.raises(PatchError, match="16,610 bits"):
        Patch((1, "s"), [], [(10**5000, 0, "a")], "ada", 0)


def test_a_type_for_a_position_is_a_patch_error():
    with pytest.raises(PatchError):
        Patch((1, "s"), [], [(int, 0, "a")], "ada", 0)


def test_a_huge_number_for_a_splice_is_a_patch_error():
    with pytest.raises(PatchError):
        Patch((1, "s"), [], [10**5000], "ada", 0)


def test_the_text_of_an_enumeration_is_inserted_not_its_name():
    class Mark(str, Enum):  # noqa: UP042  # a StrEnum gives its value when asked for its text
        A = "a"

    assert Patch((1, "s"), [], [(0, 0, Mark.A)], "ada", 0).ops == ("a",)
