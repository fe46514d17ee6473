"""FORMAT.md is enough to write a reader: the one written from it reads every vector, and whatever is packed.

It isn't the package's; that one is held to the vectors by `test_vectors.py`, and to the page's own by
`test_format.py`. It also says which forms of columns the vectors have.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_vectors import lines
from page_reader import (
    Damaged,
    Fields,
    Later,
    Read,
    read_body,
    read_bytes,
    read_graph,
    read_pack,
    read_text,
    unpacked,
)
from vector_cases import CUTS, patch_of

from syncstring import Patch
from syncstring.pack import encode, encode_text
from syncstring.testing.strategies import histories, patches, texts


def as_read(patch: Patch) -> Read:
    """What a reader of the page finds in a patch's bytes."""
    return Read(patch.id, patch.parents, patch.ops, patch.author, patch.wall, patch.message)


def test_it_imports_nothing_of_the_package() -> None:
    source = Path(__file__).with_name("page_reader.py").read_text(encoding="utf-8")
    found = re.findall(r"^ *(?:from|import) (\w+)", source, re.MULTILINE)
    assert found == ["__future__", "lzma", "zlib", "typing"]


def sections_of(vector: dict[str, Any]) -> tuple[bytes, bytes]:
    return bytes.fromhex(vector["graph"]), bytes.fromhex(vector["body"])


def test_every_patchs_bytes_are_read() -> None:
    for vector in lines("patches"):
        patch = patch_of(vector["means"])
        assert read_bytes(bytes.fromhex(vector["bytes"])) == as_read(patch), vector["what"]


def test_every_pack_is_read_however_it_was_written() -> None:
    packs = {
        vector["what"]: [as_read(patch_of(means)) for means in vector["patches"]] for vector in lines("packs")
    }
    for name in ("packs", "methods", "columns"):
        for vector in lines(name):
            what = vector["what"]
            assert read_pack(*sections_of(vector)) == packs[vector.get("pack", what)], what


def test_every_checkpoints_text_is_read() -> None:
    for vector in lines("texts"):
        assert read_text(bytes.fromhex(vector["text"])) == vector["means"], vector["what"]


@given(patches())
def test_whatever_is_sent_is_read(patch: Patch) -> None:
    assert read_bytes(patch.to_bytes()) == as_read(patch)


@given(histories(), st.integers(0, 20))
def test_whatever_is_packed_is_read(history: list[Patch], before: int) -> None:
    some = history[before:]
    assert read_pack(*encode(some)) == [as_read(patch) for patch in some]


@given(texts())
def test_whatever_a_checkpoint_holds_is_read(text: str) -> None:
    assert read_text(encode_text(text)) == text


def test_what_a_later_version_may_write_is_refused() -> None:
    data = bytes.fromhex(lines("patches")[0]["bytes"])
    for later in (b"\x4f" + data[1:], b"\x60" + data[1:], data + b"\x07"):
        with pytest.raises(Later):
            read_bytes(later)
    section = bytes.fromhex(lines("texts")[0]["text"])
    for later in (b"\x04" + section[1:], section[:1] + b"\x06" + section[2:]):
        with pytest.raises(Later):
            read_text(later)


@pytest.mark.parametrize("changed", [lambda data: data[:-1], lambda data: data + b"\0"])
def test_what_is_cut_off_or_left_over_is_refused(changed: Callable[[bytes], bytes]) -> None:
    for vector in lines("packs"):
        graph, body = (unpacked(data)[1] for data in sections_of(vector))
        with pytest.raises(Damaged):
            read_graph(Fields(changed(graph)))
        with pytest.raises(Damaged):
            read_body(Fields(changed(body)), read_graph(Fields(graph)))
    for vector in lines("texts"):
        with pytest.raises((Damaged, zlib.error)):
            read_text(changed(bytes.fromhex(vector["text"])))


# --- what is among the vectors ----------------------------------------------------------------------------


class Watching(Fields):
    """Notes what columns look like."""

    def __init__(self, data: bytes, seen: set[str]) -> None:
        super().__init__(data)
        self.seen = seen

    def column(self, length: int) -> list[int]:
        if length == 0:
            self.seen.add("an empty one")
        return super().column(length)

    def runs(self, length: int) -> list[int]:
        found = super().runs(length)
        kinds = ["alike" if run > 0 else "loose" for run in found]
        if len(kinds) == 1:
            self.seen.add(f"all {kinds[0]}")
        self.seen |= {f"{a}, then {b}" for a, b in pairwise(kinds)}
        return found

    def planes(self, count: int) -> list[int]:
        start, spread = self.at, super().planes(count)
        going_on, at = count, start
        for plane in range(1, 10):
            here = self.data[at : at + going_on]
            at += going_on
            if any(byte < 0x80 for byte in here):
                self.seen.add(f"numbers of {plane}")
            going_on = sum(byte >= 0x80 for byte in here)
        assert at == self.at
        return spread


def test_every_form_of_a_column_is_among_the_vectors() -> None:
    def seen_in(*names: str) -> set[str]:
        seen: set[str] = set()
        for vector in (vector for name in names for vector in lines(name)):
            graph, body = (unpacked(bytes.fromhex(vector[which]))[1] for which in ("graph", "body"))
            read_body(Watching(body, seen), read_graph(Watching(graph, seen)))
        return seen

    forms = {"all alike", "all loose", "alike, then loose", "loose, then alike", "alike, then alike"}
    sizes = {f"numbers of {size}" for size in range(1, 9)}
    assert seen_in("packs") == forms | sizes | {"an empty one"}, "what this writer writes"
    assert seen_in("columns") >= forms | {"loose, then loose", "numbers of 9"}, "what others may"
    cuts = {vector["what"].partition(", ")[2] for vector in lines("columns")}
    assert cuts == set(CUTS)


def test_times_and_ages_of_whole_milliseconds_and_others_are_among_the_vectors() -> None:
    kinds = set()
    for vector in lines("patches"):
        time, flags = vector["means"]["id"][0], bytes.fromhex(vector["bytes"])[0] - 0x50
        ages = [time - before for before, _ in vector["means"]["parents"]]
        kinds |= {(time % 1_000 == 0, age % 1_000 == 0, bool(flags & 4)) for age in ages}
        assert (flags & 8 == 0) == (time % 1_000 == 0)
    assert len(kinds) == 8
