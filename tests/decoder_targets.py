"""The decoders, each as a function of bytes, with the seeds that its inputs are bent from.

The law of this room. What is refused is refused with an error that the decoder's docstring names; what is
taken comes out of the encoder as it went in. Where a second opinion is cheap (the grammar of deltas), both
must agree. What stands behind a checksum or in a compressed section is the input here, and is wrapped before
it is read: else nothing would ever come so far. Files are made in one temporary folder alone.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from syncstring import git, interop, offsets
from syncstring._patch import MAX_COUNT, apply, consumed, decode_delta, encode_delta
from syncstring.cli.sources import git_parts
from syncstring.errors import (
    CorruptStore,
    MalformedRow,
    PatchError,
    StoreError,
    SyncstringError,
    UnknownVersion,
    UnsupportedVersion,
)
from syncstring.exports import to_rows, to_trace
from syncstring.history import History
from syncstring.imports import read_rows
from syncstring.manifest import (
    Checkpoint,
    Manifest,
    Section,
    name_of_row,
    name_row,
    rows_of_checkpoint,
    rows_of_pack,
)
from syncstring.outbox import Outbox
from syncstring.pack import _unpacked, _Writer, decode, decode_graph, decode_text, encode, encode_text
from syncstring.patch import Patch, canonical_bytes
from syncstring.refs import Moment, Name, Number, Prefixes, is_tag, parse_ref
from syncstring.store import image, open_store, restored, same
from syncstring.tags import tag_of_row, tag_row
from syncstring.traces import read_trace

DOC: Final = "0123456789abcdef0123456789abcdef01234567"


# --- valid values ---------------------------------------------------------------------------------------


@cache
def patches() -> list[Patch]:
    """A history with everything in it that a patch can have: branches, merges, all widths, all limits."""
    a, b = "k3x9m2p7q1aa", "Z_-9"
    now = 1_432_111_222_333_000
    made = [Patch((now, a), (), [(0, 0, "hello world\n")], "ada", now)]

    def put(session: str, parents: Sequence[Patch], *splices: tuple[int, int, str], **more: Any) -> Patch:
        time = 1_000 + max(p.time for p in parents) + (session == b)
        more = {"author": "ada" if session == a else "bö😀", "wall": time, **more}
        made.append(Patch((time, session), [p.id for p in parents], splices, **more))
        return made[-1]

    left = put(a, made[:1], (5, 6, ", 世界"), (0, 1, "H"), message="greet")
    right = put(b, made[:1], (0, 5, ""), (1, 0, "\0\t%25\n"), wall=0)
    end = put(b, [left, right], (1, 0, "é" * 20))
    for at in range(12):
        end = put(a, [end], (at, 0, "typed"[at % 5]))
    end = put(b, [end], (0, 1, ""), (3, 1, "x"), (7, 2, ""), wall=(1 << 53) - 1, message="\u2028 😀")
    put(a, [end])
    return made


@cache
def history() -> History:
    return History(patches())


@cache
def _packed() -> tuple[bytes, bytes]:
    graph, body = encode(patches())
    return _unpacked(graph), _unpacked(body)


def wrapped(raw: bytes, method: int = 0) -> bytes:
    """A section with this content, its head and checksum right."""
    head = b"".join(map(leb, (1, method, len(raw), zlib.crc32(raw))))
    return head + (zlib.compress(raw, 1, -15) if method else raw)


def _lines(history: History) -> bytes:
    return b"".join(to_rows(history, DOC))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _loaded(data: bytes) -> Any:
    """JSON as a store's driver would give it; what isn't JSON never comes so far."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unfit from error


class Unfit(SyncstringError):
    """No input for this decoder: refused by what stands before it."""


@cache
def _folder() -> Path:
    """A folder for what must be a file."""
    place = tempfile.TemporaryDirectory(prefix="syncstring-decoders-")
    _kept.append(place)
    return Path(place.name)


_kept: list[Any] = []


def leb(number: int) -> bytes:
    """A number as sections have them."""
    writer = _Writer()
    writer.number(number)
    return bytes(writer.out)


# --- the targets ----------------------------------------------------------------------------------------

_FOREIGN = (MalformedRow, UnsupportedVersion)
_STORED = (CorruptStore, UnsupportedVersion)


@dataclass(frozen=True)
class Target:
    """One decoder. `run` returns where it took the input, and raises one of `says` where it refused it."""

    name: str
    weight: float
    """How often it is tried."""
    says: tuple[type[SyncstringError], ...]
    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()
    """What has a meaning there: put in and put in place of what is there."""
    is_json: bool = False


TARGETS: dict[str, Target] = {}


def target(
    weight: float,
    says: tuple[type[SyncstringError], ...],
    seeds: Callable[[], list[bytes]],
    *words: bytes,
    is_json: bool = False,
) -> Callable[[Callable[[bytes], object]], Callable[[bytes], object]]:
    def keep(run: Callable[[bytes], object]) -> Callable[[bytes], object]:
        name = run.__name__.strip("_")
        TARGETS[name] = Target(name, weight, says, run, seeds, words, is_json)
        return run

    return keep


# The grammar of FORMAT.md, section 3, a second time and in the slowest words.
_OP = re.compile(r"([=-])([1-9][0-9]*)|\+((?:[^\t\0%\ud800-\udfff]|%25|%09|%00)+)")


def is_delta(written: str) -> bool:
    """Whether it is a delta in canonical form."""
    last = ""
    for token in written.split("\t") if written else ():
        found = _OP.fullmatch(token)
        if found is None or token[0] == last or (found[2] and int(found[2][:17]) > MAX_COUNT):
            return False
        last = token[0]
    return last != "="


@target(
    24, _FOREIGN, lambda: [p.delta.encode() for p in patches()], b"\t", b"=", b"-", b"+", b"\t=1", b"\t-2",
    b"\t+ab", b"%25", b"%09", b"%00", b"%", b"\0", b"0", b"9007199254740991", b"9007199254740992",
    "😀".encode(), b"\xed\xa0\x80", "٣".encode(),
)  # fmt: skip
def deltas(data: bytes) -> None:
    written = data.decode("utf-8", "surrogatepass" if data.isascii() else "replace")
    if b"\xed\xa0\x80" in data:
        written += "\ud800"
    try:
        ops = decode_delta(written)
    except _FOREIGN:
        assert not is_delta(written), "it was refused and is a delta"
        raise
    assert is_delta(written), "it was taken and is no delta"
    assert encode_delta(ops) == written
    assert ops == () or consumed(ops) >= 0


@target(
    22, _FOREIGN, lambda: [p.to_bytes() for p in patches()], b"\xff", b"\x80", b"\x50", b"\x57", b"\x58",
    b"\x5f",
)  # fmt: skip
def patch_bytes(data: bytes) -> None:
    patch = Patch.from_bytes(data)
    assert patch.to_bytes() == data
    row = patch.to_row(DOC)
    assert Patch.from_row(row) == patch
    assert is_delta(row["delta"])


def _rows() -> list[bytes]:
    return [canonical_bytes(p.to_row(DOC)) for p in patches()]


@target(
    8, _FOREIGN, _rows, b'"message"', b'"v":2', b"\\u0000", b"\\ud800", b"\\t", b"null", b"1e3", is_json=True
)
def rows(data: bytes) -> None:
    row = _loaded(data)
    patch = Patch.from_row(row)
    again = patch.to_row(DOC)
    again["id"][0] = row["id"][0]
    assert again == dict(row)
    assert same(again, row), "another type was taken for the right one"
    assert is_delta(row["delta"])
    assert Patch.from_bytes(patch.to_bytes()) == patch


@target(2, _FOREIGN, lambda: [_lines(history()), b"\n".join(_rows()[:2])], b"\n", b"\r\n", b"{", b"\xff")
def row_files(data: bytes) -> None:
    found = read_rows(data.split(b"\n"))
    written = b"\n".join(canonical_bytes(p.to_row(DOC)) for p in found)
    assert read_rows(written.split(b"\n")) == found
    history = History()
    history.add(sorted(set(found), key=lambda patch: patch.id))
    history.text()


@target(7, _STORED, lambda: [_packed()[0]], b"\x80", b"\xff\xff\xff\x3f", b"\x02", b"\x00", b"\x01")
def graphs(data: bytes) -> None:
    named = decode_graph(wrapped(data))
    made = [Patch.of_ops(id, parents, (), "", 0) for id, parents in named]
    assert [(p.id, p.parents) for p in made] == named, "parents aren't as a patch has them"
    assert decode_graph(encode(made)[0]) == named


def _both() -> list[bytes]:
    found = []
    for some in (patches(), patches()[:5], patches()[4:9]):
        graph, body = map(_unpacked, encode(some))
        found.append(len(graph).to_bytes(2, "big") + graph + body)
    return found


@target(7, _STORED, _both, b"\x80", b"\xff\xff\xff\x3f", b"+", b"-", b"=", b"\x02", b"\x00", b"\x01")
def packs(data: bytes) -> None:
    size = 2 + int.from_bytes(data[:2], "big")
    graph = wrapped(data[2:size])
    found = decode(graph, wrapped(data[size:]))
    assert decode(*encode(found)) == found
    assert decode_graph(graph) == [(p.id, p.parents) for p in found]
    assert all(Patch.from_row(p.to_row(DOC)) == p for p in found)


@target(2, _STORED, lambda: [_content_of("héllo 😀"), _content_of("")], b"\x80", b"\xff")
def checkpoints(data: bytes) -> None:
    section = wrapped(data)
    text = decode_text(section)
    Checkpoint((), 0, len(text), Section.of("a-text", section)).read(section)
    assert decode_text(encode_text(text)) == text


def _content_of(text: str) -> bytes:
    return _unpacked(encode_text(text))


def _sections() -> list[bytes]:
    raw = _packed()[0]
    return [*encode(patches()), encode_text("a" * 500), wrapped(raw), wrapped(raw, 1)]


@target(2, _STORED, _sections, b"\x80\x80\x80\x80\x40", b"\x04", b"\x02", b"\x00")
def sections(data: bytes) -> None:
    """A section as it lies there, head, checksum and compression included."""
    taken = 0
    for read in (decode_graph, decode_text, lambda data: decode(encode(())[0], data)):
        try:
            read(data)
            taken += 1
        except _STORED as error:
            refusal = error
    if not taken:
        raise refusal


def _manifests() -> list[bytes]:
    found = [Manifest(DOC), Manifest(DOC, 7, True)]
    first, _ = rows_of_pack(DOC, "ab12" * 5, patches()[:5], None, (patches()[4].id,))
    second, _ = rows_of_pack(DOC, "cd34" * 5, patches()[5:], first, history().heads)
    checkpoint, _ = rows_of_checkpoint(DOC, "ef56" * 5, history().heads, second.total, history().text())
    found += [Manifest(DOC, 2, False, (first,)), Manifest(DOC, 3, False, (first, second), checkpoint)]
    return [_json(manifest.to_row()) for manifest in found]


@target(4, _STORED, _manifests, b'"v":2', b'"unreadable":', b"null", b"true", b"-1", b"[", is_json=True)
def manifests(data: bytes) -> None:
    row = _loaded(data)
    if type(row) is not dict:
        raise Unfit  # no store gives that
    manifest = Manifest.from_row(row)
    assert same(manifest.to_row(), row), "it comes out as another manifest"
    assert Manifest.from_row(manifest.to_row()) == manifest
    assert manifest.total >= 0
    manifest.keys()


@target(
    3, _STORED, lambda: [_json(tag_row(DOC, tag, history().heads)) for tag in ("v1.0", "ä/x@y")], b"null",
    b":", b"[", b'"unreadable":', is_json=True,
)  # fmt: skip
def tags(data: bytes) -> None:
    row = _loaded(data)
    if type(row) is not dict:
        raise Unfit
    tag, heads = tag_of_row(row)
    assert same(tag_row(row["id"][0], tag, heads), row)
    assert is_tag(tag)


@target(
    3, _STORED, lambda: [_json(name_row(name, DOC)) for name in ("notes.md", "ä/x")], b"null", b'"v":2', b"[",
    b'"unreadable":', is_json=True,
)  # fmt: skip
def names(data: bytes) -> None:
    row = _loaded(data)
    if type(row) is not dict:
        raise Unfit
    name, doc = name_of_row(row)
    assert same(name_row(name, doc), row)
    assert len(bytes.fromhex(doc)) == 20


def _images() -> list[bytes]:
    plain = [image(json.loads(row)) for row in [*_rows()[:3], *_manifests()[-1:]]]
    binary = image({"v": 1, "id": ["a", "b"], "data": b"\0\xff"})
    return [text.encode() for text, _ in plain] + [b"\0" + binary.text.encode()]


@target(3, (Unfit,), _images, b"NaN", b"Infinity", b"[", b"]", b'"data"', b"\0", is_json=True)
def stored_rows(data: bytes) -> None:
    """What stands in a store's file, read as a row; `ValueError` is what its caller waits for."""
    binary = data.startswith(b"\0")
    try:
        row = restored((DOC,), (data.removeprefix(b"\0").decode(), b"\0\xff" if binary else None))
    except ValueError:
        raise Unfit from None
    try:
        kept = image(row)
    except ValueError:
        return
    assert same(restored((DOC,), kept), row)


def _traces() -> list[bytes]:
    sequential = {
        "startContent": "ab\n",
        "endContent": "a😀\n!",
        "txns": [
            {"time": "2021-04-19T06:06:58.219Z", "patches": [[1, 1, "😀"]]},
            {"timestamp": "2021-04-19T06:07:00+01:00", "patches": [[3, 0, "?"], [3, 1, "!"]]},
            {"patches": []},
        ],
    }
    return [b"".join(to_trace(history())), _json(sequential)]


@target(
    3, (MalformedRow,), _traces, b'"agents"', b'"concurrent"', b'"numAgents"', b"null", b"\\ud800",
    b'"2021-04-19T06:06:58.219Z"', b"0001-01-01T00:00:00+23:59", b"9999-12-31", b"[0,0,\"\"]", is_json=True,
)  # fmt: skip
def traces(data: bytes) -> None:
    path = _folder() / "trace.json"
    path.write_bytes(data)
    trace = read_trace(path)
    made = trace.history()
    assert History(trace.patches).text() == made.text()
    assert all(Patch.from_row(p.to_row(DOC)) == p for p in trace.patches)
    if trace.kind == "sequential":
        assert made.text() == trace.end_content
    path.write_bytes(b"".join(to_trace(made)))
    assert read_trace(path).history().text() == made.text()


@target(1, (MalformedRow,), lambda: [*map(gzip.compress, _traces())], b"\x1f\x8b\x08", b"\0" * 8)
def gzipped_traces(data: bytes) -> None:
    path = _folder() / "trace.json.gz"
    path.write_bytes(data)
    read_trace(path)


_COMMITS = [
    b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A U Thor <a@example.org> 1112911993 -0700\n"
    b"committer C <c@example.org> 1112911999 +0200\nencoding ISO-8859-1\n\nsubject \xe9\n\nbody\n",
    "author é <> -5 +0000\ncommitter <x> 99999999999999999999\ngpgsig -----\n a\n\n\n".encode(),
]


@target(
    6, (), lambda: _COMMITS, b"\nencoding utf-7", b"\nencoding utf-16", b"\nencoding idna", b"\nencoding hex",
    b"\nencoding punycode", b"\nencoding unicode_escape", b"\nencoding undefined", b"\nencoding \0", b"<",
    b">", b"\n\n", b" 0 ", b"-", b"\nauthor ", b"\ncommitter ",
)  # fmt: skip
def git_commits(data: bytes) -> None:
    """A commit object: nothing in it is refused."""
    commit = git._Commit(data)
    patch = Patch.of_ops((commit.time, "s"), (), (), commit.author, commit.wall, commit.message)
    assert Patch.from_row(patch.to_row(DOC)) == patch


class _Told(git._Git):
    """A git that says what it is told to."""

    said = b""

    def ask(self, *args: str, given: bytes = b"") -> tuple[int, bytes, str]:
        return 0, self.said, ""


_NODE = git._Node("c0ffee" * 6 + "c0ff", b"a/b c")
_OTHER = "b0b" * 13 + "b"
_SHA = b"c0ffee" * 6 + b"c0ff"
_BLOB = b"deadbeef" * 5
_ANSWERS = [
    b"0" + _SHA + b" " + _OTHER.encode() + b"\n" + _OTHER.encode() + b"\n",
    b"1" + _BLOB + b" blob 12\n" + _SHA + b":a/b c missing\n",
    b"1" + _BLOB + b" tree 12\nsymlink 4\nabcd\n",
    b"2" + _SHA + b"\0:100644 100644 " + _BLOB + b" " + _BLOB + b" R086\0old\0a/b c\0" + _SHA + b"\0",
    b"2" + _SHA + b"\0:000000 100644 " + _BLOB + b" " + _BLOB + b" A\0a/b c\0",
    b"3" + _SHA + b"\n",
    b"4100644 blob " + _BLOB + b"\ta/b c\0",
]


@target(
    4, (CorruptStore, UnknownVersion), lambda: _ANSWERS, b" missing\n", b" blob ", b" blob\n", b"symlink 9\n",
    b"\0", b"\n", b":", b"R100\0", b" 99999999999999999999\n", b"\xff", _SHA, _OTHER.encode(),
)  # fmt: skip
def git_answers(data: bytes) -> None:
    """What git's commands write, each to whoever asked."""
    asked = _Told(".")
    which, asked.said = data[:1], data[1:]
    if which == b"0":
        found = asked.parents(_SHA.decode())
        assert _SHA.decode() in found
        assert all(parent in found for parents in found.values() for parent in parents)
    elif which == b"1":
        assert len(asked._look_up([b"x:y", _SHA + b":a/b c"])) == 2
    elif which == b"2":
        assert len(asked.renamed([git._Change(_NODE, _OTHER, True)])) == 1
    elif which == b"3":
        asked.commit("HEAD")
    else:
        asked.why_no_file(_NODE.commit, _NODE.path, "HEAD")


_REFS = [
    b"17", b"9f3a", b"0123456789abcdef+c0de", b"v1.0", b"now", b"5 minutes ago", b"an hour ago",
    b"yesterday 17:00", b"today at 9:05:07", b"2026-11-25", b"2026-11-25 17:00:00+01:00",
    b"2026-11-25T17:00:00.123456Z", b"\xc3\xa4/x@y",
]  # fmt: skip


@target(
    8, (PatchError,), lambda: _REFS, b" ", b"+", b":", b" ago", b"yesterday", b"today", b"0001-01-01", b"\0",
    b"9999-12-31", b"999999999", b" weeks ago", "ſ".encode(), "\u212a".encode(), "İ".encode(), "٣".encode(),
    b"T24:00", b"\xed\xa0\x80", b"+23:59:59.999999",
)  # fmt: skip
def refs(data: bytes) -> None:
    written = data.decode("utf-8", "replace") + ("\ud800" if b"\xed\xa0\x80" in data else "")
    zone = timezone(timedelta(hours=len(data) % 25 - 12)) if data else None
    found = parse_ref(written, lambda: 1_764_000_000_000_000, zone)
    assert parse_ref(written, lambda: 1_764_000_000_000_000, zone) == found
    if isinstance(found, Number):
        assert 0 <= found.n < 10**30
    elif isinstance(found, Prefixes):
        assert parse_ref("+".join(found.digits)) == found
    elif isinstance(found, Moment):
        assert abs(found.time) < 1 << 60
        assert not is_tag(written)
    else:
        assert isinstance(found, Name)


_DMP_TEXT = "a😀b\nпривет\té"


_DMP_DELTAS = [b"u=3\t-3\t+x%25%C3%A9 %F0%9F%98%80\t=7", b"c=12", b"u-13\t+a", b"c=3\t-2\t+ing\t=7"]


@target(
    5, (MalformedRow, PatchError), lambda: _DMP_DELTAS, b"\t", b"+", b"=", b"-", b"%", b"%ed%a0%80", b"%00",
    b"=0", b"u", b"c", b"9999999999999999", "٣".encode(),
)  # fmt: skip
def dmp_deltas(data: bytes) -> None:
    unit, written = _unit(data), data[1:].decode("utf-8", "replace")
    ops = interop.from_dmp_delta(written, _DMP_TEXT, unit)
    assert consumed(ops) <= len(_DMP_TEXT)
    assert is_delta(encode_delta(ops)), "it isn't in canonical form"
    back = interop.to_dmp_delta(ops, _DMP_TEXT, unit)
    assert interop.from_dmp_delta(back, _DMP_TEXT, unit) == ops


def _unit(data: bytes) -> Literal["utf16", "codepoints"]:
    return "utf16" if data.startswith(b"u") else "codepoints"


_DMP_PATCHES = [
    b"u@@ -1,5 +1,6 @@\n a\n-%F0%9F%98%80\n+xy\n b%0A%D0%BF\n",
    b"c@@ -3,0 +3,4 @@\n+word\n@@ -8,3 +12,1 @@\n-%D1%82%09%C3%A9\n+!\n",
]


@target(
    1, (MalformedRow, PatchError), lambda: _DMP_PATCHES, b"@@ -1 +1 @@\n", b"\n", b"\n+", b"\n-", b"\n ",
    b"%0A", b"%", b"@@ -9999999999999999,9 +1,9 @@", b"%ed%a0%80", b"%00",
)  # fmt: skip
def dmp_patches(data: bytes) -> None:
    written = data[1:].decode("utf-8", "replace")
    splices, unplaced = interop.apply_context_patches(_DMP_TEXT, written, _unit(data))
    apply(_DMP_TEXT, splices).encode()
    assert all(str(one) for one in unplaced)


def _units() -> list[bytes]:
    return [_json([unit, *_CHANGES]) for unit in ("utf16", "utf8")]


_CHANGES = [[0, 1, "😀x"], [3, 0, "é"], [2, 1, ""]]


@target(4, (PatchError,), _units, b'"utf8"', b"null", b"-1", b"true", b"\\ud83d", b"1e9", is_json=True)
def units(data: bytes) -> None:
    """An editor's changes, counted in its own units."""
    found = _loaded(data)
    if type(found) is not list:
        raise Unfit
    utf8 = found[:1] == ["utf8"]
    taken = (offsets.splices_from_utf8 if utf8 else offsets.splices_from_utf16)(_DMP_TEXT, found[1:])
    given = (offsets.splices_to_utf8 if utf8 else offsets.splices_to_utf16)(_DMP_TEXT, taken)
    assert [tuple(each) for each in given] == [tuple(each) for each in found[1:]]
    apply(_DMP_TEXT, taken)


_URLS = [
    b"memory:", b"memory:x", b"sqlite:team.db", b"sqlite:", b"team.db", b"C:\\x\\team.db",
    b"rethinkdb://localhost/prod", b"sqlite:no/such/folder/x.db", b"sqlite:%00?mode=rwc&immutable=1#x",
]  # fmt: skip


@target(
    0.2, (PatchError, StoreError, UnsupportedVersion), lambda: _URLS, b"sqlite:", b"memory:", b":", b"/",
    b"..", b"\0", b"\xff", b"?", b"#", b"a" * 300, b"a/" * 2_000, b"\xed\xa0\x80",
)  # fmt: skip
def urls(data: bytes) -> None:
    """The URL of a store that isn't there, and mustn't be made."""
    url = os.fsdecode(data) + ("\ud800" if b"\xed\xa0\x80" in data else "")
    if "\0" not in url and os.path.isfile(url.removeprefix("sqlite:").encode("utf-8", "surrogatepass")):
        raise Unfit

    async def look() -> None:
        store = await open_store(url, create=False)
        await store.close()
        assert store.url == "memory:", "a store was made"

    asyncio.run(look())


@target(
    2, (PatchError,), lambda: [b"git:.:README.md", b"git:..:main~2:a:b", b"git:C:\\x:f", b"git:::x"], b":",
    b"git:", b"\0", b"\\", b"C:/",
)  # fmt: skip
def sources(data: bytes) -> None:
    """`git:REPO:REV:FILE`."""
    repo, rev, file = git_parts(os.fsdecode(data))
    assert repo and rev and file
    assert git_parts(f"git:{repo}:{rev}:{file}") == (repo, rev, file)


@target(
    0.5, (StoreError, *_FOREIGN), lambda: [b"\n".join([*_rows()[:3], b""]), b"", _rows()[0]], b"\n", b"\0",
    b"null\n", b"{}\n", b"[]\n", b"\xff\xfe", b"[" * 2_000 + b"\n",
)  # fmt: skip
def outboxes(data: bytes) -> None:
    path = _folder() / "outbox"
    path.write_bytes(data)
    found: list[list[Patch]] = []
    for _ in range(2):
        outbox = Outbox(path)
        try:
            found.append([Patch.from_row(row) for row in outbox.rows(DOC)])
        finally:
            outbox.close()
    assert found[0] == found[1], "what was kept is read otherwise the next time"
