"""Histories in: patches from elsewhere, put into a stored document.

The law of this room. What is known already is left alone, so taking in the same patches twice changes
nothing. Nothing is written before all of them were judged: another content under a known id refuses the
whole. A patch whose parents are nowhere isn't written, since what is acknowledged covers its ancestors; how
many those are is told. A long history for a document that has none goes straight into packs, in the
packer's order: rows, read back, manifest; so it is there as a whole or not at all. Everything else goes the
way of every patch, row by row, and is packed then.

It has no tasks and no clock: it awaits nothing but the store. `fresh()` draws names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from syncstring.archive import AT_ONCE, Archive
from syncstring.errors import (
    ConflictingPatch,
    CorruptStore,
    MalformedRow,
    PatchError,
    StoreError,
    StoreUnavailable,
    UnsupportedVersion,
)
from syncstring.history import History
from syncstring.manifest import Manifest, Pack, rows_of_checkpoint, rows_of_pack
from syncstring.pack import PACK_SIZE, pieces
from syncstring.patch import Id, Patch, doc_of_row
from syncstring.store import Row, Store, same

__all__ = ["Taken", "read_rows", "take_in"]

MANY: Final = 1_000
"""Patches from which on they are packed."""


def read_rows(lines: Iterable[bytes]) -> list[Patch]:
    """The patches in lines of JSON, each a row of one document, as `to_rows` writes them. Empty lines are
    passed over.

    `MalformedRow` and `UnsupportedVersion` name the line and say what is wrong with it. O(bytes).
    """
    patches = []
    doc = ""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode())
            patches.append(Patch.from_row(row))
            doc = doc or doc_of_row(row)
            if doc_of_row(row) != doc:
                raise MalformedRow("it is of another document than the lines before it")
        except (MalformedRow, UnsupportedVersion) as error:
            raise type(error)(f"line {number}: {error}") from None
        except (ValueError, RecursionError) as error:
            raise MalformedRow(f"line {number} is not JSON in UTF-8: {error}") from None
    return patches


@dataclass(frozen=True)
class Taken:
    """What became of patches that were taken in."""

    new: int
    known: int
    waiting: int
    """Those that weren't taken, because a parent is neither among them nor in the document."""


async def take_in(
    store: Store,
    doc: str,
    fresh: Callable[[], str],
    patches: Iterable[Patch],
    progress: Callable[[int, int], None] = lambda done, all: None,
    *,
    merge: bool = False,
) -> Taken:
    """Put patches into a stored document, where it hasn't got them; durable when this returns.

    `progress` is told how many of how many are there. `ConflictingPatch` if the document has another content
    under an id. `PatchError` if it has a history that shares nothing with them, so that two texts would come
    to stand side by side, unless `merge` says so. Nothing was written then. O(history).
    """
    archive = Archive(store, doc, fresh)
    contents = await archive.read(whole=True)
    known = {patch.id: patch for patch in contents.patches}
    had = set(known)
    given = sorted(patches, key=lambda patch: patch.id)
    new: list[Patch] = []
    left: set[Id] = set()
    for patch in given:  # parents first: a patch's time is above theirs
        have = known.get(patch.id)
        if have is None and all(parent in known for parent in patch.parents):
            known[patch.id] = patch
            new.append(patch)
        elif have is None:
            left.add(patch.id)
        elif have != patch:
            raise ConflictingPatch(
                f"the document has another patch {tuple(patch.id)}; nothing was taken. Was either altered?"
            )
    taken = Taken(len(new), len(given) - len(new) - len(left), len(left))
    if not new:
        return taken
    if had and not merge and not any(patch.id in had or had.intersection(patch.parents) for patch in given):
        raise PatchError("it shares nothing with the history that is there; `--merge` puts both side by side")
    if len(new) >= MANY and not had and not contents.rows and await _packed(archive, fresh, new, progress):
        return taken
    for start in range(0, len(new), AT_ONCE):
        some = new[start : start + AT_ONCE]
        for verdict in await store.insert("patches", [patch.to_row(doc) for patch in some]):
            if not verdict.fine:
                raise StoreError(f"the store didn't take a patch: {verdict.kind} {verdict.reason}".rstrip())
        progress(min(start + AT_ONCE, len(new)), len(new))
    if len(contents.rows) + len(new) >= MANY:
        await archive.pack(everything=True)
    return taken


async def _packed(
    archive: Archive,
    fresh: Callable[[], str],
    patches: Sequence[Patch],
    progress: Callable[[int, int], None],
) -> bool:
    """Make packs of a history, for a document without one. False if somebody else was faster."""
    store, doc = archive.store, archive.doc
    (before,) = await store.get("documents", [(doc,)])
    if before is None or (manifest := Manifest.from_row(before)) != Manifest(doc, manifest.counter):
        return False
    history = History()
    packs: list[Pack] = []
    written: list[Row] = []
    for some in pieces(patches, PACK_SIZE):
        history.add(some)
        last = packs[-1] if packs else None
        pack, rows = rows_of_pack(doc, fresh()[:20], some, last, history.heads)
        packs.append(pack)
        written += rows
        await _insert(archive, rows)
        if await archive.patches(pack) != some:
            raise CorruptStore(f"pack {pack.name} doesn't read as it was written; nothing was changed")
        progress(pack.total, len(patches))
    checkpoint, rows = rows_of_checkpoint(doc, fresh()[:20], history.heads, len(history), history.text())
    written += rows
    await _insert(archive, rows)
    checkpoint.read(await archive.section(checkpoint.text))
    after = manifest.next(packs=tuple(packs), checkpoint=checkpoint).to_row()
    verdict = await store.swap("documents", (doc,), before, after)
    if verdict.fine or same(verdict.row, after):
        return True
    for row in written:
        await store.delete("packs", [row])
    return False


async def _insert(archive: Archive, rows: Iterable[Row]) -> None:
    for row in rows:
        (verdict,) = await archive.store.insert("packs", [row])
        if not verdict.fine:
            raise StoreUnavailable(f"pack row {row['id']} was not taken: {verdict.kind} {verdict.reason}")
