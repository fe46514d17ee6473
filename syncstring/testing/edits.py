"""Hypothesis strategies: texts of every width and script, and edits that fit them.

What comes out is well-formed and deterministic: the same choices give the same values. A change is drawn
before it is known how long the text will be, and made to fit by arithmetic, so Hypothesis can leave out what
came before it. Everything shrinks towards fewer and shorter pieces, position 0 and the letter "a". It doesn't
know patches, sessions or times. Users import these from `strategies`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from syncstring.testing.reference import Ops, Splice, compose

__all__ = ["FAR", "Change", "changes", "deltas", "fitted", "splices", "texts"]

# One alphabet for each width that CPython and the kernels know, and what goes wrong in texts: line ends and
# what some take for one, U+0000, the delta's own signs, combining marks, joiners, letters that change their
# number when their case changes, scripts from right to left, what lies next to the surrogates.
_ASCII = "ab \n\r\t\0%+-=\x0b\x1f\x7f"
_LATIN = _ASCII + "éß\x85\xa0\xff"
_BASIC = _LATIN + "жςאش\u202eक\u094dกำ한\u1112か\u3099乙\u0301\u200d\u2028\ufe0f\ufeff\ud7ff\ue000\uffff"
_ASTRAL = _BASIC + "😀👩🏽𝔸𠮷\U00010000\U0010ffff"
_CLUSTERS = ["\r\n", "e\u0301", "क\u094dष", "👩\u200d👩\u200d👧", "🇪🇺", "👍🏽"]

FAR = 60
"""Numbers up to this are drawn for places in a history or a text; taken modulo what is there."""


def texts(max_size: int = 8) -> st.SearchStrategy[str]:
    """Texts without lone surrogates, of at most `max_size` code points.

    All scripts and planes, combining marks, joined emoji, CR and LF together and alone (and cut apart),
    controls, runs of one letter up to the full length. Shrinks to "" and to letters "a".
    """
    plain = st.sampled_from([_ASCII, _LATIN, _BASIC, _ASTRAL]).flatmap(
        lambda letters: st.text(letters, max_size=max_size)
    )
    runs = st.builds(str.__mul__, st.sampled_from("aé乙😀"), st.integers(0, max_size))
    clusters = st.lists(st.sampled_from(_CLUSTERS), max_size=max_size).map("".join)
    cut = clusters.map(lambda text: text[:max_size])
    scripts = st.text(st.characters(exclude_categories=["Cs"]), max_size=max_size)
    return st.text("abc", max_size=max_size) | plain | runs | cut | scripts


class Change(NamedTuple):
    """A splice of a text whose length isn't known yet."""

    pos: int | None  # None: where the same author's last one ended
    delete: int
    insert: str

    def splice(self, size: int, cursor: int) -> Splice:
        pos = min(cursor, size) if self.pos is None else self.pos % (size + 1)
        return pos, min(self.delete, size - pos), self.insert


changes: st.SearchStrategy[Change] = st.builds(
    Change,
    st.none() | st.integers(0, 3) | st.integers(0, FAR),
    st.integers(0, 2) | st.integers(0, FAR),
    st.text("abc", min_size=1, max_size=3) | texts(6),
)
"""Changes at the last place, near the beginning and anywhere; mostly small ones."""


def fitted(changes: Sequence[Change], size: int, cursor: int = 0) -> tuple[list[Splice], int]:
    """The changes as sequential splices of a text of `size`, and where the last one ends."""
    result: list[Splice] = []
    for change in changes:
        pos, delete, insert = change.splice(size, cursor)
        result.append((pos, delete, insert))
        size += len(insert) - delete
        cursor = pos + len(insert)
    return result, cursor


def splices(size: int, max_size: int = 4) -> st.SearchStrategy[list[Splice]]:
    """At most `max_size` sequential splices that fit a text of `size` code points. Some do nothing."""
    return st.lists(changes, max_size=max_size).map(lambda drawn: fitted(drawn, size)[0])


def deltas(size: int, fits: bool = True) -> st.SearchStrategy[Ops]:
    """Canonical deltas on a text of `size` code points; with `fits=False` such as consume more than that."""
    fitting = splices(size).map(compose)
    if fits:
        return fitting
    return st.builds(compose, splices(size, 2).flatmap(lambda few: _beyond(few, size)))


def _beyond(few: list[Splice], size: int) -> st.SearchStrategy[list[Splice]]:
    """The splices and one more that needs characters behind the end."""
    size += sum(len(insert) - delete for _, delete, insert in few)
    last = st.builds(
        lambda over, delete, insert: (size + over - delete, delete, insert),
        st.integers(1, 3),
        st.integers(0, 1),
        texts(3),
    ).map(lambda splice: splice if splice[1] or splice[2] else (splice[0], 0, "x"))
    return last.map(lambda splice: [*few, splice])
