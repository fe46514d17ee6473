"""How people name a version: the grammar alone, no history.

The law of this room. What a text means as a name depends on the text, on `now` and, for times of day, on
the zone; never on what exists. The kinds don't overlap, so a tag that was allowed once can't turn into a
number, an id or a time later: digits alone are a number of patches; at least four hex digits with a
letter among them begin an id; what reads as a time is one; everything else may be a tag. Ids joined by
`+` name the version that contains them all.

It doesn't know which versions there are (`timeline.py`), nor what time it is: that is passed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple, TypeAlias

from syncstring.errors import PatchError

__all__ = ["Moment", "Name", "Number", "Parsed", "Prefixes", "is_tag", "micros", "parse_ref"]


class Number(NamedTuple):
    """The first `n` patches in time order."""

    n: int


class Prefixes(NamedTuple):
    """Beginnings of ids in hex: one, or several joined by `+`."""

    digits: tuple[str, ...]


class Moment(NamedTuple):
    """All patches with a time of at most this, in microseconds since the epoch."""

    time: int


class Name(NamedTuple):
    """A tag, or nothing."""

    tag: str


Parsed: TypeAlias = Number | Prefixes | Moment | Name

_ID = r"(?=[0-9]*[a-f])[0-9a-f]{4,16}"
_IDS = re.compile(rf"{_ID}(\+{_ID})*", re.IGNORECASE)
_AGO = re.compile(
    r"([0-9]{1,9}|an?) +(seconds?|secs?|s|minutes?|mins?|m|hours?|h|days?|d|weeks?|w) +ago",
    re.IGNORECASE | re.ASCII,  # without: the long s of other times is a letter of "seconds", too
)
_CLOCK = re.compile(
    r"(?:(today|yesterday)(?: +at)? +)?([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?",
    re.IGNORECASE | re.ASCII,
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T].*)?")
_TAG = re.compile(r"[^\W_][\w./@-]{0,99}")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FAR = 1 << 55  # microseconds: 1,141 years, which calendars bear


def micros(when: datetime) -> int:
    """A datetime as microseconds since the epoch. One without a zone is local, as everywhere in Python.

    `PatchError` for one so near an end of the calendar that it has no such number.
    """
    try:
        return (when.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError, OSError):
        raise PatchError(f"{when!r:.60} lies too near an end of the calendar") from None


def parse_ref(ref: str, now: Callable[[], int] | None = None, zone: tzinfo | None = None) -> Parsed:
    """What a text means as the name of a version.

    `now()` is in microseconds since the epoch; it is called only for a time that is relative to it, and
    `PatchError` is raised where that can't be had. Times of day and dates without a zone are in `zone`, or
    local. A time of day alone is the last one that has passed; a date alone is its first moment.
    """
    text = ref.strip()
    if text.isascii() and text.isdigit():
        return Number(int(text[:30]))
    if _IDS.fullmatch(text):
        return Prefixes(tuple(text.lower().split("+")))
    time = _moment(text, now, zone)
    return Name(text) if time is None else Moment(time)


def _moment(text: str, now: Callable[[], int] | None, zone: tzinfo | None) -> int | None:
    lower = text.lower()
    if lower in ("now", "today"):
        return _now(text, now)
    if lower == "yesterday":
        return _now(text, now) - 86_400_000_000
    if found := _AGO.fullmatch(text):
        count = 1 if found[1].lower() in ("a", "an") else int(found[1])
        return max(0, _now(text, now) - count * _UNITS[found[2][0].lower()] * 1_000_000)
    if found := _CLOCK.fullmatch(text):
        # Without a zone: naive, so that another day has that day's offset from UTC, as with one.
        present = _datetime(_now(text, now)).astimezone(zone).replace(tzinfo=zone)
        when = present.replace(
            hour=int(found[2]), minute=int(found[3]), second=int(found[4] or 0), microsecond=0
        )
        day = (found[1] or "").lower()
        if day == "yesterday" or (not day and when > present):
            when -= timedelta(days=1)
        return micros(when)
    if _DATE.fullmatch(text):
        try:
            when = datetime.fromisoformat(text)
            if when.tzinfo is None and zone is not None:
                when = when.replace(tzinfo=zone)
            return micros(when)
        except ValueError:
            raise PatchError(
                f"{text!r:.60} begins like a date and is none; write 2026-11-25, or 2026-11-25 17:00:00+01:00"
            ) from None
    return None


def _now(text: str, now: Callable[[], int] | None) -> int:
    if now is None:
        raise PatchError(f"{text!r:.60} is relative to the present, and there is no clock here; name a date")
    time = now()
    if type(time) is not int or not -_FAR < time < _FAR:
        raise PatchError(f"{text!r:.60} is relative to the present, and the clock here says {time!r:.40}")
    return time


def _datetime(time: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time)


def is_tag(name: str) -> bool:
    """Whether a tag may be called so: 1 to 100 letters, digits and `_ . / @ -`, of which a letter or digit
    comes first, and which aren't a number, an id or a time."""
    if not _TAG.fullmatch(name):
        return False
    try:
        return isinstance(parse_ref(name, lambda: 0), Name)
    except PatchError:
        return False
