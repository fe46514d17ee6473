"""Rows as SQLite gives them: the kernel beside the plain way, which is its twin."""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncstring import Patch
from syncstring._rows import plain_row, rows_of
from syncstring.backends import sqlite_file as sql
from syncstring.store import image, key_of
from syncstring.testing.strategies import patches

DOC = "d" * 40
TEXTS = st.text() | st.text('\t\n"\\/\b\f\r\0\x7fé€😀a', max_size=20)
FIELDS = st.fixed_dictionaries(
    {
        "author": TEXTS,
        "delta": TEXTS,
        "parents": TEXTS,
        "v": st.integers(0, 10**20) | st.just(1),
        "wall": st.integers(-5, 10**20) | st.floats(allow_nan=False) | st.none() | st.booleans(),
    },
    optional={"message": TEXTS, "later": TEXTS},
)
KEYS = st.tuples(
    st.just(DOC) | st.text(max_size=5), st.integers(-(2**63), 2**63 - 1), st.text("abc_é", max_size=48)
)


def columns(key: tuple[Any, ...], text: bytes, data: bytes | None = None) -> tuple[Any, ...]:
    """What SQLite gives of a row that was stored so."""
    return (*key, text, data, crc32(data or b"", crc32(text, crc32("\t".join(map(str, key)).encode()))))


def agree(found: tuple[Any, ...]) -> bool:
    """Whether the kernel read it; what it read is what the plain way reads, types and order included."""
    row = plain_row(found)
    if row is not None:
        plain = sql._row(found)
        assert repr(row) == repr(plain)
        assert list(map(type, row.values())) == list(map(type, plain.values()))
    return row is not None


@given(patches())
def test_a_patch_that_a_store_keeps_is_read_by_the_kernel(patch: Patch) -> None:
    row = patch.to_row(DOC)
    stored = sql.stored(key_of(row), image(row))
    found = (*stored.key, stored.image.text.encode(), stored.image.data, stored.sum)
    read = plain_row(found)
    if any(letter < " " and letter not in "\b\t\n\f\r" for letter in f"{row['author']}{row['delta']}"):
        assert read is None  # \u escapes are rare
    if read is not None:
        assert read == row
    assert (read or sql._row(found)) == row


@given(KEYS, FIELDS)
def test_what_the_kernel_reads_is_what_the_plain_way_reads(key: Any, fields: dict[str, Any]) -> None:
    text = json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    agree(columns(key, text.encode()))
    agree(columns(key, json.dumps(fields).encode()))


GOOD = b'{"author":"ada","delta":"=5\\t+a","parents":"1:s","v":1,"wall":12}'


@given(st.integers(0, len(GOOD)), st.integers(0, 3), st.binary(max_size=3))
@example(len(GOOD) - 1, 0, b" ")
@example(len(GOOD), 0, b" ")
@example(len(GOOD) - 3, 2, b"012")
@example(len(GOOD) - 3, 2, b"1e1")
@example(len(GOOD) - 3, 2, b"")
@example(12, 0, b"\x1f")
@example(12, 0, b"\\")
@example(12, 0, b"\xff")
@example(12, 0, b"\xed\xa0\x80")
@example(0, 0, b"\xef\xbb\xbf")
def test_bytes_bent_anywhere_are_read_alike_or_left_to_the_plain_way(at: int, cut: int, put: bytes) -> None:
    agree(columns((DOC, 5, "s"), GOOD[:at] + put + GOOD[at + cut :]))


@given(st.integers(0, len(GOOD)))
def test_a_text_that_ends_early_is_left_to_the_plain_way(end: int) -> None:
    assert agree(columns((DOC, 5, "s"), GOOD[:end])) == (end == len(GOOD))


@given(st.integers(0, 2**32 - 1), KEYS)
def test_a_wrong_checksum_is_left_to_the_plain_way(total: int, key: Any) -> None:
    found = columns(key, GOOD)
    if total != found[-1]:
        assert plain_row((*found[:-1], total)) is None


@given(st.text("abc", max_size=40), st.integers(0, 2**63 - 1), st.text("xyz", max_size=48))
def test_every_length_has_its_checksum(doc: str, time: int, session: str) -> None:
    assert agree(columns((doc, time, session), GOOD))


@pytest.mark.parametrize(
    "found",
    [
        (),
        (DOC, 5, GOOD, None, 0),
        columns((DOC, 5, "s"), GOOD, b"data"),
        (DOC, 5, "s", GOOD.decode(), None, columns((DOC, 5, "s"), GOOD)[-1]),
        (DOC, "5", "s", GOOD, None, columns((DOC, 5, "s"), GOOD)[-1]),
        (DOC, True, "s", GOOD, None, columns((DOC, 1, "s"), GOOD)[-1]),
        (DOC, 2**64, "s", GOOD, None, 0),
        (b"d", 5, "s", GOOD, None, 0),
        (DOC, 5, "s", GOOD, None, None),
        (DOC, 5, "s", GOOD, None, float(columns((DOC, 5, "s"), GOOD)[-1])),
        (DOC, 5, "\ud800", GOOD, None, 0),
    ],
)
def test_columns_of_other_types_are_left_to_the_plain_way(found: tuple[Any, ...]) -> None:
    assert plain_row(found) is None


@given(st.lists(st.booleans(), max_size=12), st.integers(0, 700))
def test_a_cursor_is_read_row_by_row_up_to_a_size(strange: list[bool], most: int) -> None:
    found = [
        (DOC, n, "s", None, b"data", 0) if odd else columns((DOC, n, "s"), GOOD)
        for n, odd in enumerate(strange)
    ]
    asked = []

    def plain(columns: tuple[Any, ...]) -> dict[str, Any]:
        asked.append(columns)
        return {"id": list(columns[:3])}

    left = iter(found)
    rows, size = rows_of(left, most, plain)
    sizes = [4 if odd else len(GOOD) for odd in strange]
    taken = next((n for n in range(1, len(found)) if sum(sizes[:n]) > most), len(found))
    assert size == sum(sizes[:taken]) and len(list(left)) == len(found) - taken
    assert [row["id"] for row in rows] == [[DOC, n, "s"] for n in range(taken)]
    assert asked == [each for each, odd in zip(found[:taken], strange, strict=False) if odd]
