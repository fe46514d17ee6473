"""The patch itself: a kernel that writes and reads what `compact` does, and views of events that are no less
than patches of the same parts.
"""

from __future__ import annotations

import copy
import gc
import pickle
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
import seeds
from bending import Bender
from decoder_targets import Target
from hypothesis import given, settings
from hypothesis import strategies as st

from syncstring import compact
from syncstring._graph import EventGraph
from syncstring.errors import MalformedRow, SyncstringError, UnsupportedVersion
from syncstring.patch import MAX_TIME, MAX_TIME_STEP, MIN_WILD_TIME, Id, Patch
from syncstring.rules import Parts
from syncstring.testing.reference import joined
from syncstring.testing.strategies import histories, orders, patches

DOC = "0123456789abcdef" * 2 + "01234567"
NOW = 1_432_111_222_333_000
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-"
SMALL = 1_024  # bytes of what the kernel writes and reads


def parts_of(patch: Patch) -> Parts:
    return patch.id, patch.parents, patch.ops, patch.author, patch.wall, patch.message


def made_of(parts: Any) -> Patch:
    return Patch.trusted(*parts)


# --- patches on both sides of every limit of the kernel


@st.composite
def spread(draw: st.DrawFn) -> Parts:
    """The parts of a patch that the kernel takes, or just doesn't: by what it looks at."""
    session = draw(names)
    time = draw(
        st.integers(1, NOW // 1_000).map(lambda thousands: 1_000 * thousands)
        | st.integers(NOW, NOW + 9_999)
        | st.integers(1, 2_001)
        | st.sampled_from([MIN_WILD_TIME - 1, MIN_WILD_TIME - 496, MIN_WILD_TIME, MAX_TIME, MAX_TIME - 991])
    )
    ages = (
        st.integers(1, 2_001)
        | st.integers(1, 10**6).map(lambda thousands: 1_000 * thousands)
        | st.integers(1, MAX_TIME_STEP)
        | st.integers(1, time)
    )
    known = {
        Id(time - draw(ages), draw(st.just(session) | names))
        for _ in range(draw(st.just(1) | st.integers(0, 6)))
    }
    known = {id for id in known if id.time > 0}
    if time >= MIN_WILD_TIME and time - max((id.time for id in known), default=0) > MAX_TIME_STEP:
        known.add(Id(time - MAX_TIME_STEP, session))
    wall = draw(
        st.just(time)
        | st.integers(-2_000, 2_000).map(lambda ahead: min(max(time + ahead, 0), MAX_TIME))
        | st.sampled_from([0, MAX_TIME])
        | st.integers(0, MAX_TIME)
    )
    author = draw(st.text(max_size=12) | st.sampled_from(["", "x" * 256, "é" * 128, "😀" * 64, "\0"]))
    message = draw(st.none() | st.none() | st.none() | st.text(max_size=5))
    counts = st.integers(1, 9) | st.integers(1, MAX_TIME)
    inserts = st.text(min_size=1, max_size=9) | st.builds(
        str.__mul__, st.sampled_from(["x", "é", "乙", "😀"]), st.integers(200, SMALL)
    )
    ops: list[int | str] = []
    for kind in draw(st.lists(st.sampled_from("=+-"), max_size=draw(st.sampled_from([3, 12])))):
        ops.append(draw(inserts) if kind == "+" else draw(counts) if kind == "=" else -draw(counts))
    delta = tuple(op for op in joined(ops) if isinstance(op, str) or abs(op) <= MAX_TIME)
    return Id(time, session), tuple(sorted(known)), joined(delta), author, wall, message


names = (
    st.text(LETTERS, min_size=1, max_size=48)
    | st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=12, max_size=12)
    | st.sampled_from(
        ["0" * 12, "z" * 12, "Z" * 12, "k3x9m2p7q1a", "k3x9m2p7q1aaa", "x" * 48, "a" * 11 + "-"]
    )
)

every = spread() | patches().map(parts_of)


def keystroke(size: int = 1, **changes: Any) -> Parts:
    """What somebody types who types alone."""
    parts = {
        "id": Id(NOW, "k3x9m2p7q1aa"),
        "parents": (Id(NOW - 180_000, "k3x9m2p7q1aa"),),
        "ops": (7, "x" * size),
        "author": "ada",
        "wall": NOW,
        "message": None,
    }
    id, parents, ops, author, wall, message = (parts | changes).values()
    return id, parents, ops, author, wall, message


# --- bytes, out


@settings(max_examples=1_500)
@given(every)
def test_a_patch_has_the_bytes_that_the_plain_way_writes(parts):
    assert made_of(parts).to_bytes() == compact.written(parts)


@pytest.mark.parametrize("letter", ["x", "é", "乙", "😀"])
def test_a_patch_of_any_size_near_the_kernel_s_room_has_the_bytes_that_the_plain_way_writes(letter):
    sizes = set()
    for count in range((SMALL - 80) // len(letter.encode()), SMALL // len(letter.encode()) + 9):
        for ops in ((letter * count,), (1, letter * count, -1), ("x", -1, "y", -1, letter * count, -5)):
            parts = keystroke(ops=ops)
            data = made_of(parts).to_bytes()
            assert data == compact.written(parts)
            assert parts_of(Patch.from_bytes(data)) == parts
            sizes.add(len(data))
    assert {SMALL - 1, SMALL, SMALL + 1} <= sizes or letter != "x"


@pytest.mark.parametrize("count", range(7))
@pytest.mark.parametrize("own", [True, False])
def test_a_patch_of_any_number_of_parents_has_the_bytes_that_the_plain_way_writes(count, own):
    parents = tuple(Id(NOW - 9_000 + i, "k3x9m2p7q1aa" if own else f"s{i}") for i in range(count))
    parts = keystroke(parents=parents)
    data = made_of(parts).to_bytes()
    assert data == compact.written(parts)
    assert parts_of(Patch.from_bytes(data)) == parts


@pytest.mark.parametrize(
    "change",
    [
        {"id": Id(NOW, "s" * 5_000)},
        {"id": Id(NOW, "é")},
        {"id": Id(NOW, "乙" * 48)},
        {"id": Id(NOW, "")},
        {"id": Id(0, "s"), "parents": ()},
        {"id": Id(MAX_TIME + 1, "s")},
        {"parents": (Id(NOW - 1, "s" * 5_000),)},
        {"parents": (Id(NOW - 1, "é"), Id(NOW - 1, "乙"))},
        {"parents": tuple(Id(NOW - 1, f"{i}" * 48) for i in range(9))},
        {"parents": (Id(NOW, "s"),)},
        {"parents": (Id(NOW + 1, "s"),)},
        {"author": "a" * 5_000},
        {"author": "é" * 129},
        {"ops": (-1, "x") * 600},
        {"ops": (MAX_TIME + 1, "x")},
        {"ops": (2**61 - 1,) * 8},
    ],
    ids=str,
)
def test_what_breaks_a_rule_and_was_trusted_has_the_bytes_that_the_plain_way_writes_or_none(change):
    parts = keystroke(**change)

    def outcome(write: Callable[[], bytes]) -> Any:
        try:
            return write()
        except ValueError as error:
            return str(error)

    assert outcome(made_of(parts).to_bytes) == outcome(lambda: compact.written(parts))


# --- bytes, in


def read(how: Callable[[bytes], Any], data: bytes) -> Any:
    """What comes of it: the parts, or the error and its words."""
    try:
        return how(data)
    except SyncstringError as error:
        return type(error), str(error)


def reads_alike(data: bytes) -> Any:
    mine = read(lambda data: parts_of(Patch.from_bytes(data)), data)
    plain = read(compact.read, data)
    assert mine == plain
    if isinstance(mine[0], Id):
        patch = Patch.from_bytes(data)
        assert patch.to_bytes() == data == compact.written(mine)
        assert {type(text) for text in (patch.session, patch.author)} == {str}
        assert all(type(id) is Id for id in (patch.id, *patch.parents))
    return mine


@settings(max_examples=1_500)
@given(every)
def test_bytes_of_a_patch_give_the_parts_that_the_plain_way_reads(parts):
    assert reads_alike(compact.written(parts)) == parts


HEAD = compact.written(keystroke(parents=()))[:15]  # flags, time, session
FINE_HEAD = b"\x5c" + (NOW + 7).to_bytes(7, "big") + HEAD[7:]


@settings(max_examples=1_500)
@given(
    st.builds(
        bytes.__add__,
        st.sampled_from(
            [b"", HEAD, FINE_HEAD, b"\x50" + HEAD[1:], b"\x51" + HEAD[1:], b"\x58" + FINE_HEAD[1:]]
        )
        | st.integers(0x50, 0x5F).map(lambda first: bytes([first])),
        st.binary(max_size=60),
    )
)
def test_any_bytes_are_judged_as_the_plain_way_does(data):
    reads_alike(data)


TYPED = b"\x03ada\x05x"  # the author, one letter


@pytest.mark.parametrize(
    ("age", "says"),
    [
        ((1 << 55) - 2, "a parent's time is -"),  # in microseconds it is negative in 64 bits
        ((1 << 55) - 1, "a parent's time is -"),
        (2 * NOW + 1, "a parent's time is 0"),
        (NOW // 1_000 << 1, "a parent's time is 0"),
        (1 << 55, "a number of 2^55 or more"),
    ],
)
def test_a_parent_is_not_so_much_older_that_64_bits_do_not_hold_it(age, says):
    written = bytearray()
    compact.put(written, age)
    error, text = reads_alike(b"\x50" + HEAD[1:] + written + TYPED)
    assert error is MalformedRow and says in text


def test_a_count_of_an_operation_is_at_most_2_to_the_53_less_1():
    for count, fits in ((MAX_TIME, True), (MAX_TIME + 1, False)):
        written = bytearray()
        compact.put(written, count << 2)
        judged = reads_alike(b"\x50" + HEAD[1:] + b"\x02\x00" + written + b"\x05a")
        assert (judged[0] == Id(NOW, "k3x9m2p7q1aa")) is fits


@cache
def written() -> tuple[bytes, ...]:
    """Bytes of patches of every kind, from a seed."""
    chance = random.Random(8)
    found = []
    for count in range(160):
        own = "".join(chance.choices("09az", k=12)) if count % 2 else "".join(chance.choices(LETTERS, k=5))
        time = NOW + chance.choice([0, 0, 1, 999, 1_000, 1_001])
        parents = {
            Id(
                time - chance.choice([1, 999, 1_000, 2_000, 10**6, 10**9 + 1]),
                chance.choice([own, "p", "q" * 12]),
            )
            for _ in range(chance.choice([1, 1, 0, 2, 3, 4, 5]))
        }
        ops = [(3, "é"), (3, -1), (), ("x" * 90, -2), (1, "a", 1, "b", 1, "c", 2, -1), (-MAX_TIME,)]
        wall = time + chance.choice([0, 0, 1, -1, 900, -(10**7)])
        author = chance.choice(["", "ada", "bö😀", "é" * 20])
        message = chance.choice([None, None, None, "", "said"])
        found.append(
            compact.written((Id(time, own), tuple(sorted(parents)), ops[count % 6], author, wall, message))
        )
    return tuple(found)


WORDS = (
    b"\xff", b"\x80", b"\x00", b"\x01", b"\x80\x00", b"\xd1\x0f", b"\xd0\x0f", b"\x81p", b"\x8c" + b"x" * 12,
    b"\xff" * 7 + b"\x3f", b"\x80" * 7 + b"\x40", NOW.to_bytes(7, "big"), (NOW // 1_000).to_bytes(6, "big"),
    b"\xed\xa0\x80", b"\xc3", *[bytes([0x50 + flags]) for flags in range(16)],
)  # fmt: skip
FOREIGN = (MalformedRow, UnsupportedVersion)
BENT = Target("compact", 1, FOREIGN, Patch.from_bytes, lambda: [*written()], WORDS)


def bent(seed: int, count: int) -> None:
    bender = Bender(BENT, random.Random(seed))
    taken = 0
    for _ in range(count):
        data = bender.input()
        if isinstance(reads_alike(data)[0], Id):
            taken += 1
            bender.took(data)
    assert count // 20 < taken < count


def test_bytes_that_are_almost_some_patch_s_are_judged_as_the_plain_way_does():
    for data in written():
        for at in range(len(data)):
            for new in (0, 1, 2, 0x7F, 0x80, 0xFF, data[at] ^ 1, data[at] ^ 2, data[at] ^ 0x80):
                reads_alike(data[:at] + bytes([new]) + data[at + 1 :])


def test_bytes_that_were_bent_by_chance_are_judged_as_the_plain_way_does():
    bent(seeds.fresh(), 4_000)


@pytest.mark.slow
def test_bytes_that_were_bent_by_chance_and_by_the_ten_thousand_are_judged_as_the_plain_way_does():
    bent(seeds.fresh() + 1, 60_000)


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda data: memoryview(data)[:]])
def test_bytes_of_another_kind_give_the_same_patch(kind):
    for data in written():
        assert Patch.from_bytes(kind(data)) == Patch.from_bytes(data)


def test_a_subclass_of_bytes_is_judged_by_its_bytes():
    class Odd(bytes):
        def __len__(self) -> int:
            return 3

    data = written()[1]
    assert read(Patch.from_bytes, Odd(data)) == read(Patch.from_bytes, data)


# --- what the kernel is for


def plain_ways_taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the plain ways that were taken from now on."""
    taken: list[str] = []
    for name in ("written", "read"):
        way = getattr(compact, name)
        monkeypatch.setattr(compact, name, lambda given, way=way, name=name: taken.append(name) or way(given))
    return taken


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"wall": NOW + 913},
        {"wall": NOW - 5_000_000},
        {"id": Id(NOW + 1, "k3x9m2p7q1aa")},
        {"parents": ()},
        {"parents": (Id(NOW - 1_000, "another"),)},
        {"parents": (Id(NOW - 1_001, "another"), Id(NOW - 1_000, "k3x9m2p7q1aa"), Id(NOW - 1_000, "x"))},
        {"ops": (1, "é", 1, -1)},
        {"ops": ("x" * 900,)},
        {"author": "bö😀"},
    ],
    ids=str,
)
def test_what_most_patches_look_like_takes_no_plain_way(change, monkeypatch):
    parts = keystroke(**change)
    data = compact.written(parts)
    taken = plain_ways_taken(monkeypatch)
    assert made_of(parts).to_bytes() == data
    assert parts_of(Patch.from_bytes(data)) == parts
    assert not taken


def test_what_the_kernel_leaves_to_the_plain_way_goes_there(monkeypatch):
    data = compact.written(keystroke(message="why"))
    taken = plain_ways_taken(monkeypatch)
    Patch.from_bytes(data).to_bytes()
    with pytest.raises(MalformedRow):
        Patch.from_bytes(data[:-1] + b"\x80")
    assert taken == ["read", "written", "written", "read"]


def test_texts_that_come_again_are_the_same_object():
    data = compact.written(keystroke(author="ada é"))
    one, other = Patch.from_bytes(data), Patch.from_bytes(data)
    assert one.session is other.session and one.author is other.author


def test_of_twenty_thousand_sessions_and_authors_each_is_read_as_itself():
    for number in [*range(20_000), *range(300)]:
        id, author = Id(NOW, f"s{number}"), f"{number} é"
        patch = Patch.from_bytes(compact.written(keystroke(id=id, author=author)))
        assert (patch.id, patch.author, patch.parents) == (id, author, keystroke()[1])


# --- views of events


def graph_of(patches: list[Patch]) -> EventGraph:
    """A graph with these patches as its events, in this order, which has parents first."""
    graph = EventGraph()
    for patch in patches:
        parents = sorted(graph.find(*parent) for parent in patch.parents)
        graph.append(*patch.id, parents, patch.ops, patch.author, patch.wall, patch.message)
    return graph


def is_the_same_patch(view: Callable[[], Patch], patch: Patch) -> None:
    """Whatever it is asked first."""
    assert view() == patch and patch == view() and view() == view()
    assert hash(view()) == hash(patch) and len({view(), patch}) == 1
    assert repr(view()) == repr(patch)
    assert view().to_bytes() == patch.to_bytes() == compact.written(parts_of(view()))
    assert view().to_row(DOC) == patch.to_row(DOC)
    assert view().digest() == patch.digest()
    assert view().splices == patch.splices and view().delta == patch.delta
    assert (view().time, view().session) == patch.id
    for name in ("id", "parents", "ops", "author", "wall", "message"):
        assert getattr(view(), name) == getattr(patch, name)
        assert type(getattr(view(), name)) is type(getattr(patch, name))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(view(), protocol)) == patch
    assert copy.copy(view()) == copy.deepcopy(view()) == patch
    assert eval(repr(view())) == patch
    looked_at = view()
    assert parts_of(looked_at) == parts_of(patch)
    assert looked_at.ops is looked_at.ops and looked_at.parents is looked_at.parents
    assert looked_at == patch and looked_at.to_bytes() == patch.to_bytes()


@settings(max_examples=60)
@given(st.data())
def test_a_view_of_an_event_is_the_patch_of_the_same_parts(data):
    made = [
        patch
        if data.draw(st.booleans())
        else Patch.trusted(*parts_of(patch)[:-1], data.draw(st.text("ab 😀", max_size=4)))
        for patch in data.draw(histories(max_patches=8))
    ]
    arrived = data.draw(orders(made))
    graph = graph_of(arrived)
    for event, patch in enumerate(arrived):
        is_the_same_patch(lambda: Patch.of_event(graph, event), patch)  # noqa: B023
    views = [Patch.of_event(graph, event) for event in range(len(graph))]
    assert len(set(views)) == len(views)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 40])
@pytest.mark.parametrize("message", [None, "", "why 😀"])
def test_parents_ascend_by_id_however_they_arrived(count, message):
    roots = [Patch((NOW + 7 * i, f"s{i}"), [], [(0, 0, f"root {i}")], "ada", NOW) for i in range(count)]
    ids = [root.id for root in roots]
    merged = Patch((NOW + 1_000_000, "s0"), ids, [(0, 1, "é"), (5, 0, "乙")], "bob", 5, message)
    random.Random(count).shuffle(roots)
    roots.sort(key=lambda root: root.time % 3, reverse=True)
    graph = graph_of([*roots, merged])
    view = Patch.of_event(graph, count)
    assert [*view.parents] == sorted(ids)
    is_the_same_patch(lambda: Patch.of_event(graph, count), merged)


def test_parents_of_one_time_ascend_by_session():
    roots = [Patch((NOW, session), [], [], "ada", NOW) for session in ("b", "a", "B", "10", "9")]
    graph = graph_of([*roots, Patch((NOW + 1, "b"), [root.id for root in roots], [], "ada", NOW)])
    assert [id.session for id in Patch.of_event(graph, 5).parents] == ["10", "9", "B", "a", "b"]


def test_a_view_is_equal_to_a_view_of_another_graph():
    patches = [Patch((5, "a"), [], [(0, 0, "x")], "ada", 5), Patch((5, "b"), [], [], "bob", 5)]
    patches.append(Patch((6, "a"), [patch.id for patch in patches], [(0, 1, "y")], "ada", 6, "m"))
    one, other = graph_of(patches), graph_of([patches[1], patches[0], patches[2]])
    assert Patch.of_event(one, 2) == Patch.of_event(other, 2)
    assert Patch.of_event(one, 0) == Patch.of_event(other, 1) != Patch.of_event(other, 0)


def test_any_other_part_makes_another_view():
    parts = keystroke(parents=())
    plain = Patch.of_event(graph_of([made_of(parts)]), 0)
    for change in (
        {"id": Id(NOW + 1, "k3x9m2p7q1aa")},
        {"id": Id(NOW, "k3x9m2p7q1ab")},
        {"ops": (7, "y")},
        {"author": "bob"},
        {"wall": NOW + 1},
        {"message": ""},
    ):
        other = made_of(keystroke(**{"parents": (), **change}))
        assert plain != other and plain != Patch.of_event(graph_of([other]), 0)


def test_a_view_stays_what_it_is_while_the_graph_grows_and_when_nobody_else_has_it():
    first = made_of(keystroke(parents=()))
    graph = graph_of([first])
    view = Patch.of_event(graph, 0)
    for i in range(500):
        graph.append(NOW + 1 + i, f"s{i}", (i,), (1, "乙" * 9), f"author {i}", 0, "m")
    assert view == first
    view = Patch.of_event(graph, 500)
    del graph
    gc.collect()
    assert parts_of(view) == (
        (NOW + 500, "s499"), ((NOW + 499, "s498"),), (1, "乙" * 9), "author 499", 0, "m"
    )  # fmt: skip


def test_only_an_event_that_there_is_can_be_viewed():
    graph = graph_of([made_of(keystroke(parents=()))])
    for event in (-1, 1, 2**40):
        with pytest.raises(IndexError):
            Patch.of_event(graph, event)
    for graph_given in (None, 7, [graph]):
        with pytest.raises(TypeError):
            Patch.of_event(graph_given, 0)


# --- a patch that nobody made


def everything_about(patch: Patch) -> list[Callable[[], Any]]:
    names = ("id", "time", "session", "parents", "ops", "delta", "splices", "author", "wall", "message")
    return [
        *[lambda name=name: getattr(patch, name) for name in names],
        patch.to_bytes,
        patch.digest,
        patch.__reduce__,
        lambda: patch.to_row(DOC),
        lambda: repr(patch),
        lambda: hash(patch),
        lambda: patch == Patch.__new__(Patch),
        lambda: patch == made_of(keystroke()),
        lambda: pickle.loads(pickle.dumps(patch)),
        lambda: copy.deepcopy(patch),
    ]


def test_a_patch_that_was_never_filled_answers_or_raises_whatever_it_is_asked_in_any_order():
    chance = random.Random(seeds.fresh())
    for _ in range(200):
        patch = Patch.__new__(Patch)
        for ask in chance.sample(everything_about(patch), 8):
            with suppress(TypeError, ValueError, AttributeError, SyncstringError):
                ask()
    patch = Patch.__new__(Patch)
    assert (patch.parents, patch.ops, patch.session, patch.message) == ((), (), None, None)
    assert patch == Patch.__new__(Patch) != made_of(keystroke())
    with pytest.raises(TypeError):
        patch.to_bytes()


def test_a_patch_that_could_not_be_made_was_never_filled():
    patch = Patch.__new__(Patch)
    with pytest.raises(SyncstringError):
        patch.__init__((0, "s"), [], [], "ada", 0)  # type: ignore[misc]
    assert patch == Patch.__new__(Patch)
    patch.__init__((7, "s"), [], [(0, 0, "x")], "ada", 0)  # type: ignore[misc]
    assert patch == Patch((7, "s"), [], [(0, 0, "x")], "ada", 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": (NOW,)},
        {"id": ("5", "s")},
        {"id": (2**70, "s")},
        {"id": (NOW, 7)},
        {"ops": None},
        {"parents": None},
        {"parents": []},
        {"author": 7},
        {"wall": "7"},
        {"wall": 2**70},
        {"message": 7},
    ],
    ids=str,
)
def test_parts_of_another_type_are_not_even_trusted(wrong):
    with pytest.raises((TypeError, ValueError, OverflowError)):
        made_of(keystroke(**wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        {"parents": (None,)},
        {"parents": (7, 8)},
        {"parents": ((5,),)},
        {"parents": (("5", "s"),)},
        {"parents": ((5, 7), (5, "s"))},
        {"parents": ((5, None),)},
        {"ops": (None,)},
        {"ops": (0.5, b"x")},
        {"ops": (2**80, "\ud800")},
        {"author": "\ud800"},
    ],
    ids=str,
)
def test_wrong_values_in_parts_that_were_trusted_end_in_an_error(wrong):
    with pytest.raises((TypeError, ValueError, OverflowError)):
        made_of(keystroke(**wrong)).to_bytes()


# --- nothing leaks


def rounds(act: Callable[[], Any], count: int = 100_000) -> int:
    """By how many blocks memory grows in so many calls.

    The least of three tries: what threads of earlier tests and of the test runner allocate meanwhile comes
    and goes (64 blocks, seen once), and what a call leaves behind is there each time.
    """

    def grown() -> int:
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(count):
            act()
        gc.collect()
        return sys.getallocatedblocks() - before

    for _ in range(100):
        act()
    return min(grown() for _ in range(3))


@pytest.mark.skipif(not sys.getallocatedblocks(), reason="this allocator counts no blocks")
def test_a_leak_of_one_block_a_call_is_seen_each_time():
    kept: list[object] = []
    assert rounds(lambda: kept.append(object()), 2_000) > 1_000  # other threads may give some back meanwhile


LONG = "é" * 300
SESSION = "a session of ours".replace(" ", "-")


def a_graph() -> EventGraph:
    roots = [Patch((NOW - i, f"{SESSION}-{i}"), [], [(0, 0, LONG)], "ada", NOW, LONG) for i in range(3)]
    return graph_of(
        [*roots, Patch((NOW + 1, SESSION), [p.id for p in roots], [(0, 1, LONG)], "ada", 7, LONG)]
    )


ALONE = compact.written(keystroke())
MERGE = compact.written(keystroke(parents=tuple(Id(NOW - 2_000 + i, f"s{i}") for i in range(3))))
GRAPH = a_graph()


@pytest.mark.parametrize(
    "act",
    [
        lambda: Patch.from_bytes(ALONE).to_bytes(),
        lambda: parts_of(Patch.from_bytes(ALONE)),
        lambda: Patch.from_bytes(MERGE).to_bytes(),
        lambda: parts_of(Patch.from_bytes(MERGE)),
        lambda: parts_of(Patch.of_event(GRAPH, 3)),
        lambda: hash(Patch.of_event(GRAPH, 3)),
        lambda: Patch.of_event(GRAPH, 3) == Patch.of_event(GRAPH, 2),
        lambda: GRAPH.ops_of(3),
    ],
    ids=[
        "a keystroke's bytes",
        "its parts",
        "a merge's bytes",
        "its parts",
        "a view",
        "hash",
        "==",
        "ops_of",
    ],
)
def test_a_hundred_thousand_patches_leave_nothing_behind(act):
    assert rounds(act) < 100


@pytest.mark.parametrize("end", [b"\x80", b"\x05\xff", b"\x04", b"\x07\x00", b"\x86\x00"])
def test_bytes_that_are_refused_leave_nothing_behind(end):
    for data in (MERGE + end, MERGE[:20] + end, compact.written(keystroke()) + end):

        def act() -> None:
            with suppress(SyncstringError):
                Patch.from_bytes(data)  # noqa: B023

        assert rounds(act, 2_000) < 50


def test_texts_belong_to_as_many_as_hold_them():
    graph = a_graph()
    view = Patch.of_event(graph, 3)
    texts = [view.session, view.author, view.message, view.parents[0].session, None, 1, Id]
    del view

    def act() -> None:
        patch = Patch.of_event(graph, 3)
        parts_of(patch)
        hash(patch)
        patch.to_bytes()

    act()
    before = [sys.getrefcount(text) for text in texts]
    for _ in range(20_000):
        act()
    after = [sys.getrefcount(text) for text in texts]
    assert all(abs(b - a) < 500 for a, b in zip(before, after, strict=True))
