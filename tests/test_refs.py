"""How people name a version: what a text means, whatever there is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncstring.errors import PatchError
from syncstring.refs import Moment, Name, Number, Prefixes, is_tag, micros, parse_ref

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 25, 17, 30, 15, 250, tzinfo=UTC)
INDIA = timezone(timedelta(hours=5, minutes=30))


def us(when: datetime) -> int:
    return (when - EPOCH) // timedelta(microseconds=1)


def now() -> int:
    return us(NOW)


class Summery(tzinfo):
    """A zone with a summer: two hours ahead of UTC up to the end of 24 October, one hour from then on."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        assert when is not None
        return timedelta(hours=2 if when.replace(tzinfo=None) < datetime(2026, 10, 25) else 1)

    def dst(self, when: datetime | None) -> timedelta:
        return self.utcoffset(when) - timedelta(hours=1)

    def tzname(self, when: datetime | None) -> str:
        return "Summery"


@pytest.mark.parametrize(
    ("text", "n"), [("0", 0), ("7", 7), ("007", 7), (" 12 ", 12), ("1234", 1234), ("1" * 16, int("1" * 16))]
)
def test_digits_alone_are_a_number_of_patches(text: str, n: int) -> None:
    assert parse_ref(text) == Number(n)
    assert not is_tag(text)


def test_a_number_of_any_length_is_a_number() -> None:
    parsed = parse_ref("9" * 10_000)
    assert isinstance(parsed, Number)
    assert parsed.n > 1 << 64


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("abcd", ("abcd",)),
        ("12ab", ("12ab",)),
        ("000f", ("000f",)),
        ("DeadBeef", ("deadbeef",)),
        ("0123456789abcdef", ("0123456789abcdef",)),
        ("abcd+12ef", ("abcd", "12ef")),
        (" face+beef+cafe\n", ("face", "beef", "cafe")),
    ],
)
def test_four_to_sixteen_hex_digits_with_a_letter_begin_an_id(text: str, digits: tuple[str, ...]) -> None:
    assert parse_ref(text) == Prefixes(digits)
    assert not is_tag(text)


@pytest.mark.parametrize(
    "text",
    ["abc", "xyz1", "0123456789abcdef0", "abcd+", "abcd+12", "abcd+1234", "abcd 12ef", "٣", "²", "v1.2",
     "draft", "24:00", "7:5", "17:60", "5 ms ago", "5 lightyears ago", "-5 minutes ago", "minutes ago",
     "5minutes ago", "5 minutes", "tomorrow", "26-11-25", "today's", "", "   "],
)  # fmt: skip
def test_everything_else_is_a_name(text: str) -> None:
    assert parse_ref(text, now) == Name(text.strip())


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("now", NOW),
        ("Today", NOW),
        ("yesterday", NOW - timedelta(days=1)),
        ("5 minutes ago", NOW - timedelta(minutes=5)),
        ("1 minute ago", NOW - timedelta(minutes=1)),
        ("a minute ago", NOW - timedelta(minutes=1)),
        ("an hour ago", NOW - timedelta(hours=1)),
        ("30 s ago", NOW - timedelta(seconds=30)),
        ("30 secs ago", NOW - timedelta(seconds=30)),
        ("2  Weeks  AGO", NOW - timedelta(weeks=2)),
        ("3 d ago", NOW - timedelta(days=3)),
        ("90 min ago", NOW - timedelta(minutes=90)),
        ("0 seconds ago", NOW),
        ("17:00", datetime(2026, 11, 25, 17, tzinfo=UTC)),
        ("17:30", datetime(2026, 11, 25, 17, 30, tzinfo=UTC)),
        ("17:31", datetime(2026, 11, 24, 17, 31, tzinfo=UTC)),
        ("17:30:16", datetime(2026, 11, 24, 17, 30, 16, tzinfo=UTC)),
        ("9:05", datetime(2026, 11, 25, 9, 5, tzinfo=UTC)),
        ("09:05:07", datetime(2026, 11, 25, 9, 5, 7, tzinfo=UTC)),
        ("today 18:00", datetime(2026, 11, 25, 18, tzinfo=UTC)),
        ("today at 9:00", datetime(2026, 11, 25, 9, tzinfo=UTC)),
        ("yesterday 17:00", datetime(2026, 11, 24, 17, tzinfo=UTC)),
        ("yesterday at 23:59", datetime(2026, 11, 24, 23, 59, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20 17:00", datetime(2026, 11, 20, 17, tzinfo=UTC)),
        ("2026-11-20T17:00:01.000001", datetime(2026, 11, 20, 17, 0, 1, 1, tzinfo=UTC)),
        ("2026-11-20 17:00+01:00", datetime(2026, 11, 20, 16, tzinfo=UTC)),
        ("2026-11-20T17:00:00Z", datetime(2026, 11, 20, 17, tzinfo=UTC)),
        ("1969-12-31", datetime(1969, 12, 31, tzinfo=UTC)),
    ],
)
def test_what_reads_as_a_time_is_one(text: str, when: datetime) -> None:
    assert parse_ref(text, now, UTC) == Moment(us(when))
    assert not is_tag(text)


def test_times_of_day_and_dates_are_meant_in_the_zone() -> None:
    assert parse_ref("17:00", now, INDIA) == Moment(us(datetime(2026, 11, 25, 17, tzinfo=INDIA)))
    # It is 23:00 there: the last time that it was 23:30 was yesterday.
    assert parse_ref("23:30", now, INDIA) == Moment(us(datetime(2026, 11, 24, 23, 30, tzinfo=INDIA)))
    assert parse_ref("2026-11-20", now, INDIA) == Moment(us(datetime(2026, 11, 20, tzinfo=INDIA)))
    assert parse_ref("2026-11-20 17:00Z", now, INDIA) == Moment(us(datetime(2026, 11, 20, 17, tzinfo=UTC)))


def after_the_change() -> int:
    return us(datetime(2026, 10, 25, 12, tzinfo=Summery()))


def test_another_day_has_that_days_offset() -> None:
    assert parse_ref("yesterday 17:00", after_the_change, Summery()) == Moment(
        us(datetime(2026, 10, 24, 15, tzinfo=UTC))
    )


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time as in `Summery`, but for the hour at which it changes."""
    if not hasattr(time, "tzset"):
        pytest.skip("local time can't be set here")
    monkeypatch.setenv("TZ", "ONE-1TWO,M3.5.0,M10.5.0")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("local")
def test_without_a_zone_times_are_local_on_that_day() -> None:
    assert parse_ref("11:00", after_the_change) == Moment(us(datetime(2026, 10, 25, 10, tzinfo=UTC)))
    assert parse_ref("13:00", after_the_change) == Moment(us(datetime(2026, 10, 24, 11, tzinfo=UTC)))
    assert parse_ref("yesterday 17:00", after_the_change) == Moment(
        us(datetime(2026, 10, 24, 15, tzinfo=UTC))
    )
    assert parse_ref("2026-07-01 12:00") == Moment(us(datetime(2026, 7, 1, 10, tzinfo=UTC)))
    assert micros(datetime(2026, 12, 1, 12)) == us(datetime(2026, 12, 1, 11, tzinfo=UTC))


def test_a_datetime_is_exact_to_the_microsecond() -> None:
    for when in (
        EPOCH,
        NOW,
        datetime(2112, 9, 18, 0, 0, 0, 999_999, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ):
        assert micros(when) == us(when)
        assert EPOCH + timedelta(microseconds=micros(when)) == when
    assert micros(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1


@pytest.mark.parametrize(
    "when",
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
    ],
)
def test_a_datetime_beyond_the_calendar_is_refused(when: datetime) -> None:
    with pytest.raises(PatchError, match="too near an end of the calendar"):
        micros(when)


@pytest.mark.parametrize(
    "text",
    ["2026-13-01", "2026-02-30", "2026-11-25 25:00", "2026-11-25 soon", "0001-01-01 00:00+02:00",
     "9999-12-31 23:59-02:00"],
)  # fmt: skip
def test_what_begins_like_a_date_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(PatchError, match="begins like a date and is none; write 2026-11-25"):
        parse_ref(text, now, UTC)
    assert not is_tag(text)


@pytest.mark.parametrize("text", ["now", "yesterday", "5 minutes ago", "17:00", "yesterday 17:00"])
def test_what_is_relative_to_the_present_needs_a_clock_that_tells_it(text: str) -> None:
    with pytest.raises(PatchError, match="there is no clock here; name a date"):
        parse_ref(text)
    for clock in (1 << 60, -(1 << 60), 1.5, None, "noon", True):
        with pytest.raises(PatchError, match="is relative to the present, and the clock here says"):
            parse_ref(text, lambda clock=clock: clock, UTC)  # type: ignore[misc]


@pytest.mark.parametrize("text", ["7", "abcd", "2026-11-25", "draft", "2026-11-25 17:00Z"])
def test_what_is_not_relative_asks_no_clock(text: str) -> None:
    def clock() -> int:
        raise AssertionError

    parse_ref(text, clock, UTC)


def test_long_ago_is_before_everything() -> None:
    assert parse_ref("999999999 weeks ago", now) == Moment(0)
    assert parse_ref("1 second ago", lambda: 500_000) == Moment(0)


@pytest.mark.parametrize(
    "name",
    ["draft", "v1", "v1.2", "x", "1.0", "été", "漢字", "release/2026-11-25", "a@b", "a" * 100, "nowhere",
     "abcg", "1st", "final_2", "12x", "3-4"],
)  # fmt: skip
def test_what_may_be_a_tag(name: str) -> None:
    assert is_tag(name)
    assert parse_ref(name, now) == Name(name)


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "-a", ".a", "/a", "_a", "a\n", " a", "a" * 101, "12", "abcd", "now", "Yesterday",
     "17:00", "2026-11-25", "2026-99-99", "a+b", "a:b", "a\0", "😀"],
)  # fmt: skip
def test_what_may_not_be_a_tag(name: str) -> None:
    assert not is_tag(name)


pieces = st.sampled_from(
    ["0", "7", "59", "2026-11-25", "2026-02-30", "T", " ", ":", "17:00", "+", "-", "a", "an", "ab", "face",
     "0f0f", "now", "today", "yesterday", "at", "ago", "minute", "s", "weeks", "hour", "Z", "+01:00", ".5",
     "é", "٣", "\n", "/", "_"]
)  # fmt: skip
names = st.lists(pieces, max_size=6).map("".join) | st.text(max_size=12)
clocks = st.integers(-(1 << 54), 1 << 54)
zones = st.sampled_from([UTC, INDIA, Summery(), timezone(timedelta(hours=-12)), None])


@given(names, clocks, zones)
def test_a_text_means_something_or_is_refused(text: str, present: int, zone: tzinfo | None) -> None:
    try:
        parsed = parse_ref(text, lambda: present, zone)
    except PatchError as error:
        assert "begins like a date" in str(error)
    else:
        assert isinstance(parsed, (Number, Prefixes, Moment, Name))
        assert parse_ref(f" {text}\n", lambda: present, zone) == parsed


@given(names, clocks, zones)
def test_a_tag_never_comes_to_mean_anything_else(text: str, present: int, zone: tzinfo | None) -> None:
    if is_tag(text):
        assert parse_ref(text, lambda: present, zone) == Name(text)


@given(names, clocks, clocks, zones, zones)
def test_what_kind_of_name_a_text_is_depends_on_the_text_alone(
    text: str, one: int, other: int, here: tzinfo | None, there: tzinfo | None
) -> None:
    def kind(present: int, zone: tzinfo | None) -> type:
        try:
            return type(parse_ref(text, lambda: present, zone))
        except PatchError:
            return PatchError

    assert kind(one, here) is kind(other, there)


@given(
    st.integers(0, 23),
    st.integers(0, 59),
    clocks.filter(lambda present: present > 0),
    st.sampled_from([UTC, INDIA]),
)
def test_a_time_of_day_alone_is_the_last_one_that_has_passed(
    hour: int, minute: int, present: int, zone: tzinfo
) -> None:
    parsed = parse_ref(f"{hour}:{minute:02}", lambda: present, zone)
    assert isinstance(parsed, Moment)
    assert present - 86_400_000_000 < parsed.time <= present
    when = (EPOCH + timedelta(microseconds=parsed.time)).astimezone(zone)
    assert (when.hour, when.minute, when.second, when.microsecond) == (hour, minute, 0, 0)
