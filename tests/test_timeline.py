"""Time travel: versions by any of their names, in a row, as text, compared, and who wrote them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice, pairwise
from typing import Any

import pytest
from events import patches_of
from hypothesis import given
from hypothesis import strategies as st

from syncstring import timeline
from syncstring._graph import EventGraph
from syncstring._patch import apply
from syncstring.document import Document
from syncstring.errors import AmbiguousVersion, PatchError, SyncstringError, UnknownVersion
from syncstring.history import History
from syncstring.merge import Merge
from syncstring.patch import Id, Patch
from syncstring.testing.reference import Reference
from syncstring.testing.strategies import histories, orders
from syncstring.timeline import Ref, Run, Timeline, Version, Versions

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
QUARTER_PAST = NOON - timedelta(minutes=45)


def us(when: datetime) -> int:
    return (when - EPOCH) // timedelta(microseconds=1)


def patch(
    time: int,
    session: str,
    parents: Iterable[Patch] = (),
    *splices: tuple[int, int, str],
    message: str | None = None,
) -> Patch:
    ids = [parent.id for parent in parents]
    return Patch((time, session), ids, splices, author=f"{session}!", wall=time + 7, message=message)


def seen(version: Version) -> tuple[Any, ...]:
    """All that a version tells."""
    return (
        version.n, version.id, version.heads, version.author, version.session, version.time, version.wall,
        version.message, version.inserted, version.deleted, version.summary,
    )  # fmt: skip


# --- names --------------------------------------------------------------------------------------------


@pytest.fixture
def day() -> Timeline:
    """A root at 10:00, two that don't know of each other at 11:00 and 11:30, their merge at noon."""
    root = patch(us(NOON) - 7_200_000_000, "s", (), (0, 0, "text"), message="begin")
    left = patch(us(NOON) - 3_600_000_000, "t", [root], (0, 0, "a "))
    right = patch(us(NOON) - 1_800_000_000, "u", [root], (4, 0, " b"))
    merge = patch(us(NOON), "s", [left, right], (0, 1, "A"))
    tags = {"draft": (root.id,), "both": (left.id, right.id), "nothing": (), "gone": (Id(5, "x"),)}
    clock = lambda: us(NOON + timedelta(minutes=10))  # noqa: E731
    return Timeline(History([merge, right, left, root]), tags, now=clock, zone=UTC)


def ids(day: Timeline) -> list[Id]:
    return [each.id for each in day.history]


TEXTS = ["", "text", "a text", "a text b", "A text b"]
NAMES: list[tuple[str, Callable[[list[Id]], Ref], str]] = [
    ("0", lambda ids: 0, ""),
    ("4", lambda ids: 4, "A text b"),
    ("'3'", lambda ids: "3", "a text b"),
    ("an id", lambda ids: ids[2], "text b"),
    ("a plain id", lambda ids: tuple(ids[2]), "text b"),
    ("a written id", lambda ids: str(ids[1]), "a text"),
    ("a written id in capitals", lambda ids: f" {str(ids[1]).upper()} ", "a text"),
    ("two written ids", lambda ids: f"{ids[1]}+{ids[2]}", "a text b"),
    ("one written id and its ancestor's", lambda ids: f"{ids[0]}+{ids[2]}", "text b"),
    ("one head", lambda ids: [ids[3]], "A text b"),
    ("heads", lambda ids: [ids[1], ids[2]], "a text b"),
    ("heads in another order", lambda ids: (ids[2], ids[1]), "a text b"),
    ("heads in a set", lambda ids: {ids[2], ids[1], ids[0]}, "a text b"),
    ("heads from an iterator", lambda ids: iter(ids[:2]), "a text"),
    ("no heads", lambda ids: [], ""),
    ("a tag", lambda ids: "draft", "text"),
    ("a tag for several heads", lambda ids: "both", "a text b"),
    ("a tag for nothing", lambda ids: "nothing", ""),
    ("a datetime", lambda ids: NOON - timedelta(hours=1), "a text"),
    ("a microsecond before", lambda ids: NOON - timedelta(hours=1, microseconds=1), "text"),
    ("a datetime elsewhere", lambda ids: QUARTER_PAST.astimezone(timezone(timedelta(hours=9))), "a text"),
    ("a local datetime", lambda ids: QUARTER_PAST.astimezone().replace(tzinfo=None), "a text"),
    ("the beginning of time", lambda ids: datetime.min.replace(tzinfo=UTC), ""),
    ("the end of time", lambda ids: datetime.max.replace(tzinfo=UTC), "A text b"),
    ("now", lambda ids: "now", "A text b"),
    ("11 minutes ago", lambda ids: "11 minutes ago", "a text b"),
    ("an hour ago", lambda ids: "an hour ago", "a text"),
    ("11:00", lambda ids: "11:00", "a text"),
    ("yesterday", lambda ids: "yesterday 23:59", ""),
    ("a date", lambda ids: "2026-11-25", ""),
    ("a date and time", lambda ids: "2026-11-25 11:30:00", "a text b"),
    ("tomorrow", lambda ids: "2026-11-26T00:00:00Z", "A text b"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [row[1:] for row in NAMES], ids=[row[0] for row in NAMES])
def test_a_version_answers_to_all_its_names(
    day: Timeline, name: Callable[[list[Id]], Ref], text: str
) -> None:
    assert day.text(name(ids(day))) == text
    version = day.version(name(ids(day)))
    assert day.text(version) == text
    assert day.text(version.heads) == text
    assert day.version(version) == version


WRONG: list[tuple[str, Callable[[list[Id]], Any], type[SyncstringError], str]] = [
    ("-1", lambda ids: -1, UnknownVersion, "no version -1: there are versions 0 to 4"),
    ("5", lambda ids: 5, UnknownVersion, "no version 5: there are versions 0 to 4"),
    ("'5'", lambda ids: "5", UnknownVersion, "there are versions 0 to 4"),
    ("a number without end", lambda ids: "9" * 5_000, UnknownVersion, "there are versions 0 to 4"),
    ("an unknown id", lambda ids: (5, "x"), UnknownVersion, r"no patch \(5, 'x'\) here"),
    ("an unknown head", lambda ids: [ids[0], (5, "x")], UnknownVersion, r"no patch \(5, 'x'\) here"),
    ("an unknown tag", lambda ids: "final", UnknownVersion, "'final': it is no tag here"),
    ("a tag for what isn't here", lambda ids: "gone", UnknownVersion, r"no patch \(5, 'x'\) here"),
    ("an empty text", lambda ids: "", UnknownVersion, "it is no tag here"),
    ("an unknown beginning", lambda ids: "beefbeefbeef", UnknownVersion, "no patch here has an id"),
    ("one unknown of two", lambda ids: f"{ids[0]}+beefbeefbeef", UnknownVersion, "begins so"),
    ("no date", lambda ids: "2026-02-31", PatchError, "begins like a date"),
    ("None", lambda ids: None, PatchError, "None are no heads"),
    ("True", lambda ids: True, PatchError, "True is no version's name"),
    ("a fraction", lambda ids: 1.5, PatchError, "1.5 are no heads"),
    ("bytes", lambda ids: b"abcd", PatchError, "are no heads"),
    ("a day", lambda ids: NOON.date(), PatchError, "are no heads"),
    ("texts", lambda ids: [str(ids[0])], PatchError, "is no id"),
    ("ids as lists", lambda ids: [list(ids[0])], PatchError, "is no id"),
    ("an unhashable session", lambda ids: [(1, ["s"])], PatchError, "is no id"),
    ("before the calendar", lambda ids: datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), PatchError,
     "calendar"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "error", "says"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_name_that_means_nothing_is_one_clear_error(
    day: Timeline, name: Callable[[list[Id]], Any], error: type[SyncstringError], says: str
) -> None:
    for ask in (day.version, day.text, day.blame, lambda ref: day.diff(ref, 0), lambda ref: day.diff(0, ref)):
        if name(ids(day)) is None and ask == day.blame:
            continue  # which means the newest there
        with pytest.raises(error, match=says) as caught:
            ask(name(ids(day)))
        assert type(caught.value) is error


def test_without_a_clock_only_times_that_are_relative_are_refused(day: Timeline) -> None:
    still = Timeline(day.history, zone=UTC)
    assert still.text("2026-11-25 11:00") == "a text"
    for name in ("now", "5 minutes ago", "11:00"):
        with pytest.raises(PatchError, match="no clock here"):
            still.text(name)
    with pytest.raises(PatchError, match="zone is 5; it is a tzinfo"):
        Timeline(day.history, zone=5)  # type: ignore[arg-type]


def test_a_history_without_patches_has_one_version() -> None:
    empty = Timeline(History())
    assert len(empty.versions) == 1
    (version,) = empty.versions
    assert seen(version) == (0, None, (), "", "", 0, 0, None, 0, 0, "+0 -0")
    for name in (0, "0", [], (), NOON, "2026-11-25", version):
        assert empty.text(name) == ""
        assert empty.version(name) == version
    assert empty.blame() == empty.blame(0) == []
    assert empty.diff(0, "0") == []
    with pytest.raises(UnknownVersion, match="versions 0 to 0"):
        empty.text(1)
    with pytest.raises(UnknownVersion, match="no patch here has an id"):
        empty.text("abcd")


def test_a_version_tells_what_its_last_patch_did(day: Timeline) -> None:
    root, left, right, merge = ids(day)
    assert seen(day.versions[1]) == (
        1, root, (root,), "s!", "s", root.time, root.time + 7, "begin", 4, 0, '+4 -0 "text"'
    )  # fmt: skip
    assert seen(day.versions[3]) == (
        3, right, (left, right), "u!", "u", right.time, right.time + 7, None, 2, 0, '+2 -0 "b"'
    )  # fmt: skip
    assert day.versions[4].summary == '+1 -1 "A"'
    alone = day.version(right)
    assert seen(alone)[:3] == (None, right, (right,))
    assert day.version([left, right]).id == right  # the first three, of which that is the last
    assert seen(day.version([root, right]))[:3] == (None, right, (right,))
    assert day.version(merge) == day.versions[4] == day.version(4)
    assert repr(alone) == f'<Version None {right} u! +2 -0 "b">'


def test_the_version_of_several_heads_has_no_single_patch() -> None:
    a, b, c = patch(1, "a"), patch(2, "b"), patch(3, "c")
    version = Timeline(History([a, b, c])).version([c.id, a.id])
    assert seen(version) == (None, None, (a.id, c.id), "", "", 0, 0, None, 0, 0, "+0 -0")
    assert version != a
    assert hash(version) == hash(Timeline(History([c, a])).version(2))


@pytest.mark.parametrize(
    ("insert", "summary"),
    [
        ("", "+0 -0"),
        ("one", '+3 -0 "one"'),
        (" \n ", "+3 -0"),
        ("a  b\nc", '+6 -0 "a b c"'),
        ("x" * 30, f'+30 -0 "{"x" * 30}"'),
        ("x" * 31, f'+31 -0 "{"x" * 29}…"'),
        ("ab" + " " * 100, '+102 -0 "ab…"'),
        ("😀" * 1_000, f'+1000 -0 "{"😀" * 29}…"'),
    ],
)
def test_a_summary_is_short(insert: str, summary: str) -> None:
    assert Timeline(History([patch(1, "s", (), (0, 0, insert))])).versions[1].summary == summary


def test_what_a_misfit_did_is_nothing_before_and_after_anybody_merged() -> None:
    root = patch(1, "s", (), (0, 0, "abc"))
    history = History([root, patch(2, "t", [root], (5, 1, "x")), patch(3, "u", [root], (0, 1, "y"))])
    fresh = [(version.inserted, version.deleted, version.summary) for version in Timeline(history).versions]
    assert fresh == [(0, 0, "+0 -0"), (3, 0, '+3 -0 "abc"'), (0, 0, "+0 -0"), (1, 1, '+1 -1 "y"')]
    history.text()
    assert [(each.inserted, each.deleted, each.summary) for each in Timeline(history).versions] == fresh


# --- written ids --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crowd() -> Timeline:
    """So many patches that beginnings of ids collide."""
    return Timeline(History(patch(n, "s") for n in range(1, 3_000)))


def test_the_short_form_of_an_id_is_its_shortest_beginning_that_names_it(crowd: Timeline) -> None:
    written = {str(each.id): each.id for each in crowd.history}
    lengths = set()
    for whole, id in written.items():
        short = crowd.short(id)
        lengths.add(len(short))
        assert whole.startswith(short)
        assert crowd.version(short).id == id
        assert [other for other in written if other.startswith(short)] == [whole]
        shorter = short[:-1]
        assert (
            len(short) == 4
            or shorter.isdigit()
            or len([other for other in written if other.startswith(shorter)]) > 1
        )
    assert {4, 5} <= lengths


def test_a_beginning_that_several_ids_share_is_ambiguous(crowd: Timeline) -> None:
    written = sorted(str(each.id) for each in crowd.history)
    pairs = [(a, b) for a, b in pairwise(written) if a[:4] == b[:4] and not a[:4].isdigit()]
    assert len(pairs) > 20
    for a, b in pairs:
        with pytest.raises(AmbiguousVersion, match=rf"{a[:4]} is one of [23]: .*{a}.*; give more digits"):
            crowd.version(a[:4])
        with pytest.raises(AmbiguousVersion):
            crowd.version(f"{written[0]}+{a[:4]}")
        assert str(crowd.version(a).id) == a
        assert str(crowd.version(b).id) == b


def test_ids_are_found_as_patches_come_and_after_a_rebuild() -> None:
    a = patch(1, "a", (), (0, 0, "A"))
    rivals = sorted((patch(2, "b", [a], (0, 0, letter)) for letter in "pqrstu"), key=Patch.digest)
    history = History([a, rivals[-1]])
    line = Timeline(history)
    assert line.version(str(rivals[0].id)).n == 2
    late = patch(1, "late", (), (0, 0, "L"))  # which a rebuild puts before
    history.add([late])
    assert line.version(str(late.id)).id == late.id
    c = patch(3, "c", [rivals[0]], (0, 1, ""))
    history.add([c])
    assert line.version(str(c.id)).id == c.id
    history.add([rivals[0]])
    assert history.rebuilds == 1
    assert line.text(str(rivals[0].id)) == f"{rivals[0].ops[0]}A"
    for each in history:
        assert line.version(str(each.id)).id == line.version(line.short(each.id)).id == each.id
    with pytest.raises(UnknownVersion):
        line.short((9, "a"))


# --- all versions in a row ----------------------------------------------------------------------------


@given(histories(), st.data())
def test_the_versions_in_a_row_are_the_twins_prefixes(patches: list[Patch], data: st.DataObject) -> None:
    reference = Reference(patches)
    line = Timeline(History(data.draw(orders(patches))))
    assert len(line.versions) == len(patches) + 1
    for n, version in enumerate(line.versions):
        first = reference.order[:n]
        assert version.n == n
        assert version.heads == reference.graph.heads_of(first)
        assert version.id == (first[-1] if first else None)
        assert line.text(version) == reference.prefix(n)
        assert line.text(n) == reference.prefix(n)
        for name in (n, str(n), version.heads, list(reversed(version.heads)), version, [*first]):
            again = line.version(name)
            assert again == version
            assert hash(again) == hash(version)
            assert seen(again) == seen(version)


@given(histories(), st.data())
def test_an_id_names_what_its_author_saw_after_it(patches: list[Patch], data: st.DataObject) -> None:
    reference = Reference(patches)
    line = Timeline(History(data.draw(orders(patches))))
    for id in reference.order:
        version = line.version(id)
        assert version.id == id
        assert version.heads == (id,)
        assert line.text(id) == line.text(str(id)) == line.text(line.short(id)) == reference.text_at([id])
        contained = sorted(reference.graph.history_of([id]))
        assert version.n == (len(contained) if contained == reference.order[: len(contained)] else None)


@given(histories(), st.data())
def test_a_time_names_all_patches_up_to_it(patches: list[Patch], data: st.DataObject) -> None:
    line = Timeline(History(data.draw(orders(patches))))
    for time in sorted({0, *(each.time + by for each in patches for by in (-1, 0, 1))}):
        until = [each for each in patches if each.time <= time]
        assert line.version(EPOCH + timedelta(microseconds=time)).n == len(until)


def bounds() -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(-15, 15)


@given(
    histories(), st.lists(st.tuples(bounds(), bounds(), bounds().filter(lambda step: step != 0)), max_size=3)
)
def test_slices_of_versions_are_those_of_a_list(
    patches: list[Patch], cuts: list[tuple[int | None, int | None, int | None]]
) -> None:
    versions: Any = Timeline(History(patches)).versions
    expected = [versions[n] for n in range(len(versions))]
    for start, stop, step in [*cuts, (None, None, 1)]:
        versions = versions[start:stop:step]
        expected = expected[start:stop:step]
        assert len(versions) == len(expected)
        assert list(map(seen, versions)) == list(map(seen, expected))
        assert list(map(seen, reversed(versions))) == list(map(seen, reversed(expected)))
        for n in range(-len(expected), len(expected)):
            assert seen(versions[n]) == seen(expected[n])
        for n in (len(expected), -len(expected) - 1):
            with pytest.raises(IndexError):
                versions[n]


def test_an_index_beyond_the_versions_says_which_there_are(day: Timeline) -> None:
    for n in (5, -6):
        with pytest.raises(IndexError, match=f"no version {n}: there are versions 0 to 4"):
            day.versions[n]
    with pytest.raises(IndexError):
        day.versions.heads(5)
    assert day.versions[-1] == day.versions[4]
    assert day.versions[4] in day.versions
    assert day.versions.index(day.version(2)) == 2


@given(histories(), st.data())
def test_what_is_listed_once_stays_as_it_was(patches: list[Patch], data: st.DataObject) -> None:
    arrived = data.draw(orders(patches))
    cut = data.draw(st.integers(0, len(arrived)))
    history = History(arrived[:cut])
    line = Timeline(history)
    versions = line.versions
    expected = list(map(seen, Timeline(History(arrived[:cut])).versions))
    texts = [line.text(version) for version in versions]
    looked = data.draw(st.sets(st.integers(0, cut)))
    held = {n: versions[n] for n in looked}
    for start in range(cut, len(arrived), 3):
        history.add(arrived[start : start + 3])
        assert len(line.versions) == len(history) + 1
    assert len(versions) == cut + 1
    assert [seen(versions[n]) for n in range(cut + 1)] == expected
    assert list(map(seen, versions)) == expected
    assert list(map(seen, versions[::-1])) == expected[::-1]
    assert {n: seen(version) for n, version in held.items()} == {n: expected[n] for n in looked}
    assert [line.text(version) for version in versions] == texts


def test_a_snapshot_outlives_another_contents_victory() -> None:
    a = patch(1, "a", (), (0, 0, "A"))
    rivals = sorted((patch(2, "b", [a], (0, 0, letter)) for letter in "pqrstu"), key=Patch.digest)
    winner, loser = rivals[0], rivals[-1]
    late = patch(2, "a", [a], (1, 0, "late"))
    history = History([a, loser])
    line = Timeline(history)
    before = line.versions
    expected = list(map(seen, Timeline(History([a, loser])).versions))
    history.add([winner, late])
    assert list(map(seen, before)) == expected
    assert before[2].summary == f'+1 -0 "{loser.ops[0]}"'
    assert line.versions is not before
    assert line.versions[3].summary == f'+1 -0 "{winner.ops[0]}"'
    # Heads name what is known now: of the content that lost nothing is left but what was noted of it.
    assert line.text(before[2]) == f"{winner.ops[0]}A"


class Counted:
    """How many versions were made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        begin = Version.__init__

        def counting(version: Version, *rest: Any) -> None:
            self.made += 1
            begin(version, *rest)

        monkeypatch.setattr(timeline.Version, "__init__", counting)


@pytest.fixture(scope="module")
def million() -> Timeline:
    """A million patches, mostly one after the other; every thousandth has a concurrent one beside it."""
    history = History()
    append, last = history.graph.append, -1
    for n in range(1_000_000):
        if n % 1_000 == 999:
            append(n + 1, "t", [last - 1], (), "t!", 0)
            append(n + 1, "s", [last], ("x",), "s!", 0)
            append(n + 2, "s", [last + 1, last + 2], (), "s!", 0)
            last += 3
        elif n % 1_000 < 998:
            last = append(n + 2, "s", [last] if last >= 0 else [], ("x",), "s!", 0)
    return Timeline(history)


@pytest.mark.slow
def test_a_million_versions_cost_nothing_until_they_are_looked_at(
    million: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    versions = million.versions
    length = len(versions)
    assert length > 1_000_000
    assert versions[length - 1] == versions[-1]
    part = versions[10:-10][::-7][5:100_000:3]
    assert len(part) == 33_332
    assert part[0].n == length - 11 - 7 * 5
    assert next(iter(part)).n == part[0].n
    assert [version.n for version in islice(versions, 3)] == [0, 1, 2]
    assert [version.n for version in islice(reversed(versions), 2)] == [length - 1, length - 2]
    assert million.version(500_000).n == 500_000
    assert million.versions is versions
    assert counted.made < 20


@pytest.mark.slow
def test_walking_along_a_million_versions_gives_what_indexing_gives(million: Timeline) -> None:
    versions = million.versions
    # 999 of a thousand have one head; the others lie where two were made at once.
    several = 0
    for version in versions[990:30_000]:
        assert version.heads == versions.heads(version.n or 0)
        several += len(version.heads) > 1
    assert several == 29
    for version in versions[500_000:1_000_000:9_973]:
        assert seen(version)[:8] == seen(versions[version.n or 0])[:8]


@pytest.mark.slow
def test_walking_along_versions_asks_for_each_events_parents_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One bubble of 20,000: indexing costs its length each time, walking doesn't."""
    history = History()
    for session, first in (("a", 1), ("b", 2)):
        last: list[int] = []
        for n in range(10_000):
            last = [history.graph.append(2 * n + first, session, last, ("x",), session, 0)]
    versions = Timeline(history).versions
    graph = Asked(history.graph)
    versions._graph = graph  # type: ignore[assignment]
    assert sum(len(version.heads) for version in versions) == 2 * 20_000 - 1
    assert graph.asked == 20_000


def test_the_heads_of_a_version_in_linear_history_are_known_at_once() -> None:
    history = History()
    last: list[int] = []
    for n in range(1_000):
        last = [history.graph.append(n + 1, "s", last, ("x",), "s", 0)]
    versions = Timeline(history).versions
    graph = Asked(history.graph)
    versions._graph = graph  # type: ignore[assignment]
    assert versions[900].heads == (Id(900, "s"),)
    assert [version.heads for version in versions[500:503]] == [(Id(n, "s"),) for n in range(500, 503)]
    assert graph.asked <= 3


class Asked:
    """A graph that counts how often it is asked for parents."""

    def __init__(self, graph: EventGraph) -> None:
        self.graph = graph
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.graph, name)

    def parents_of(self, event: int) -> tuple[int, ...]:
        self.asked += 1
        return self.graph.parents_of(event)


# --- texts --------------------------------------------------------------------------------------------


def shown(reference: Reference, heads: Iterable[Id]) -> set[tuple[Id, int]]:
    return {(item.by, item.nth) for item in reference.walked(heads).items if not item.deleters}


@given(histories(), st.data())
def test_a_diff_turns_one_versions_text_into_the_others_and_touches_nothing_that_both_show(
    patches: list[Patch], data: st.DataObject
) -> None:
    reference = Reference(patches)
    line = Timeline(History(data.draw(orders(patches))))
    some = st.lists(st.sampled_from(reference.order), max_size=3) if patches else st.just([])
    a, b = data.draw(some), data.draw(some)
    splices = line.diff(a, b)
    assert apply(reference.text_at(a), splices) == reference.text_at(b)
    before, after = shown(reference, a), shown(reference, b)
    assert sum(delete for _, delete, _ in splices) == len(before - after)
    assert sum(len(insert) for _, _, insert in splices) == len(after - before)
    assert line.diff(a, a) == line.diff(line.version(b), b) == []


@given(histories(), st.data())
def test_who_wrote_what_is_what_the_twin_says(patches: list[Patch], data: st.DataObject) -> None:
    reference = Reference(patches)
    line = Timeline(History(data.draw(orders(patches))))
    by_id = {each.id: each for each in patches}
    some = st.lists(st.sampled_from(reference.order), max_size=3) if patches else st.just([])
    for heads in (data.draw(some), reference.heads, data.draw(some)):
        runs = line.blame(heads)
        assert [(run.text, run.id) for run in runs] == reference.blame(heads)
        pos = 0
        for run in runs:
            source = by_id[run.id]
            assert run == Run(pos, run.text, source.id, source.author, source.time, source.wall)
            pos += len(run.text)
    assert line.blame() == line.blame(reference.heads)


def test_blame_goes_through_undo_and_restore() -> None:
    ticks = iter(range(1_000_000, 2_000_000, 1_000))
    document = Document(session="s", author="ada", clock=lambda: next(ticks))
    document.insert(0, "one two")
    first = document.commit()
    document.delete(3, 4)
    second = document.commit()
    undo = document.undo()
    assert first is not None
    assert second is not None
    assert undo.patch is not None
    assert [(run.text, run.id) for run in document.blame()] == [("one", first.id), (" two", undo.patch.id)]
    document.set_text("")
    document.commit()
    restored = document.restore(first.id).patch
    assert restored is not None
    assert [(run.text, run.id) for run in document.blame()] == [("one two", restored.id)]
    assert [(run.text, run.id) for run in document.blame(1)] == [("one two", first.id)]
    assert [(run.pos, run.text) for run in document.blame(second.id)] == [(0, "one")]


def test_random_access_to_the_published_versions_in_random_order_with_caches_dropped(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncstring.merge.CHECKPOINT_EVERY", 3)
    monkeypatch.setattr("syncstring.merge.WEAVES_KEPT", 1)
    chance = random.Random(case["id"])
    patches = patches_of(case)
    history = History()
    line = Timeline(history)
    arriving = chance.sample(patches, len(patches))
    while arriving:
        history.add([arriving.pop()])
        if chance.random() < 0.3:
            line.text(chance.randint(0, len(history)))
    questions = [("n", n) for n in range(len(patches) + 1)] + [("at", i) for i in range(len(patches))]
    for kind, i in chance.sample(questions, len(questions)):
        if chance.random() < 0.2:
            history.drop_caches()
        if kind == "n":
            name = chance.choice([i, str(i), line.versions[i], line.versions[i].heads])
            assert line.text(name) == case["prefixes"][i]
        else:
            id = patches[i].id
            name = chance.choice([id, str(id), line.short(id), [id], line.version(id)])
            assert line.text(name) == case["at"][i]
    for _ in range(10):
        a, b = chance.choices(range(len(patches)), k=2)
        assert apply(case["at"][a], line.diff(patches[a].id, patches[b].id)) == case["at"][b]


def test_time_travel_leaves_uncommitted_edits_alone() -> None:
    document = Document(session="s", author="ada", clock=lambda: us(NOON), zone=UTC)
    document.insert(0, "committed")
    document.commit()
    document.insert(9, " and not")
    names: list[Ref] = [1, "12:00", document.heads, document.versions[-1]]
    for name in names:
        assert document.at(name) == "committed"
    assert [run.text for run in document.blame()] == ["committed"]
    assert document.diff(0, 1) == [(0, 0, "committed")]
    assert len(document.versions) == 2
    assert document.text == "committed and not"
    document.commit()
    assert document.at(2) == "committed and not"


def test_listing_versions_merges_nothing(day: Timeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Merge, "script", None)
    monkeypatch.setattr(Merge, "_weave", None)
    assert [version.time for version in day.versions] == [0, *(id.time for id in ids(day))]
    assert day.versions[3].heads
    assert isinstance(day.versions, Versions)


def walk(timeline: Timeline) -> Iterator[str]:
    for version in timeline.versions:
        yield timeline.text(version)


def test_versions_can_be_walked_while_patches_come(day: Timeline) -> None:
    texts = walk(day)
    got = [next(texts), next(texts)]
    day.history.add([patch(us(NOON) - 7_199_000_000, "late", (), (0, 0, "late "))])
    got += texts
    assert got == TEXTS
    assert list(walk(day)) == [
        each if n < 2 else f"late {TEXTS[n - 1]}" for n, each in enumerate([*TEXTS, ""])
    ]
