"""One document in a store: read it, pack it, sweep it, so that whatever dies in between loses nothing.

The law of this room. Every acknowledged patch is, at every instant, in a row of `patches` or in a pack
that the manifest lists. Hence the orders kept here: a packer writes rows, reads them back, and only then
swaps the manifest, and only then deletes what it packed, each row only if it is the one it packed. A reader
scans `patches` before it reads the manifest, so what leaves the one is found in the other; a listed pack
that is gone means that the manifest moved on. Only who was told that it lost a swap removes its rows; after
any doubt they are left to a sweep, which scans first, then raises the counter, and only then removes what it
scanned and the manifest that it wrote doesn't list: who began to pack before loses its swap.

It has no tasks and no clock: it awaits nothing but the store and `aside`, so a seed can drive it. `fresh()`
draws names.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from typing import Any, Final

from syncstring.errors import (
    ConflictingPatch,
    CorruptStore,
    DocumentDeleted,
    MalformedRow,
    PatchError,
    StoreUnavailable,
    SyncstringError,
    UnknownVersion,
    UnsupportedVersion,
)
from syncstring.history import Base, History
from syncstring.manifest import (
    Checkpoint,
    Manifest,
    Pack,
    Section,
    doc_of_name,
    hash_of_name,
    name_of_row,
    name_row,
    rows_of_checkpoint,
    rows_of_pack,
)
from syncstring.pack import LEAST_ROOM, MAX_TEXT, PACK_SIZE, alike, pieces, room
from syncstring.patch import MAX_PARENTS, Id, Patch
from syncstring.store import Key, Row, Store, key_of, of_document, same

__all__ = [
    "Archive",
    "Contents",
    "Moved",
    "Packed",
    "delete_document",
    "find_document",
    "list_documents",
    "rename_document",
]

LATEST: Final = 200  # patches that are left out of a pack, unless they are older than
LATEST_AGE: Final = 60_000_000  # microseconds
FARTHEST: Final = 5_000  # patches: how far back a critical version may lie
AT_ONCE: Final = 500  # rows a call
PARTS_AT_ONCE: Final = 8  # rows of packs a call, each at most 1 MiB, unless one section has more
TRIES: Final = 20


async def find_document(store: Store, name: str, fresh: Callable[[], str], create: bool = True) -> str:
    """The key of the document that a name means; made where there is none yet and `create` says so.

    `UnknownVersion` otherwise; `CorruptStore` and `UnsupportedVersion` for a name that can't be read. The key
    is derived from the name, unless a document of an earlier life had it. Failing in the middle leaves an
    empty document without a name: of a derived key the next call takes it, one that was drawn is `fsck`'s.
    """
    at = hash_of_name(name)
    for _ in range(TRIES):
        (row,) = await store.get("names", [(at,)])
        if row is not None:
            return name_of_row(row)[1]
        if not create:
            raise UnknownVersion(f"no document {name!r:.80} in {store.url}; `list` tells what there is")
        doc = doc_of_name(name)
        (made,) = await store.insert("documents", [Manifest(doc).to_row()])
        if made.kind == "conflict" and (made.row is None or not same(made.row, Manifest(doc).to_row())):
            doc = fresh()
            await store.insert("documents", [Manifest(doc).to_row()])
        (named,) = await store.insert("names", [name_row(name, doc)])
        if named.fine:
            # `fsck --repair` deletes empty documents without a name, and may have taken this one for such.
            await store.insert("documents", [Manifest(doc).to_row()])
            return doc
    raise StoreUnavailable(f"the name {name!r:.80} is changed by others all the time; try again")


async def list_documents(store: Store, unread: list[SyncstringError] | None = None) -> list[tuple[str, str]]:
    """The name and the key of every document, by name. What can't be read is added to `unread`, or raised:
    `CorruptStore`, `UnsupportedVersion`. O(documents)."""
    found: list[tuple[str, str]] = []
    async for batch in store.scan("names", ("",), ("~",)):
        for row in batch:
            try:
                found.append(name_of_row(row))
            except (CorruptStore, UnsupportedVersion) as error:
                if unread is None:
                    raise
                unread.append(error)
    return sorted(found)


async def rename_document(store: Store, old: str, new: str) -> None:
    """Call a document otherwise. Its key, its history and who has it open are untouched.

    `UnknownVersion` if there is none of the old name, `PatchError` if there is one of the new name. A crash
    in the middle leaves both names, and doing it again the new one. After `StoreUnavailable`, where an answer
    was lost, `UnknownVersion` may mean that it was done: a name that is gone doesn't tell where it led.
    """
    if old == new:
        return
    (row,) = await store.get("names", [(hash_of_name(old),)])
    if row is None:
        raise UnknownVersion(f"no document {old!r:.80} in {store.url}; `list` tells what there is")
    _, doc = name_of_row(row)
    archive = Archive(store, doc, lambda: "")
    # The old name's next document must not take this one for its own: see `find_document`.
    for _ in range(TRIES):
        before, manifest = await archive._manifest()
        if manifest.counter or await archive._swap(before, manifest.next()):
            break
    (verdict,) = await store.insert("names", [name_row(new, doc)])
    if not verdict.fine:
        raise PatchError(f"there is a document {new!r:.80} already; delete or rename that one first")
    await store.delete("names", [row])


async def delete_document(store: Store, name: str) -> None:
    """Delete a document: sessions that have it open learn of it, and nothing of it is put back.

    Its rows go at the next sweep. `UnknownVersion` if there is none of that name; after `StoreUnavailable`,
    where an answer was lost, that may mean that it was done.
    """
    (row,) = await store.get("names", [(hash_of_name(name),)])
    if row is None:
        raise UnknownVersion(f"no document {name!r:.80} in {store.url}; `list` tells what there is")
    archive = Archive(store, name_of_row(row)[1], lambda: "")
    await archive.delete()
    await store.delete("names", [row])
    await archive.sweep()


@dataclass
class Contents:
    """What a read found."""

    manifest: Manifest
    base: Base | None
    """Where the history that was read begins; None: at its beginning."""
    tail: list[Patch]
    """What is in rows of `patches` and can be read."""
    rows: list[Row]
    """The rows of `patches`, the unreadable among them included."""
    problems: list[SyncstringError] = field(default_factory=list)
    history: History | None = None
    """All of it, where packs were read. Of two contents under one id the packed one is there."""

    @cached_property
    def patches(self) -> list[Patch]:
        """All that was read."""
        return self.tail if self.history is None else self.history.patches()


@dataclass(frozen=True)
class Packed:
    """What a call to `pack` did."""

    count: int
    """Patches that are in packs now and weren't before."""
    manifest: Manifest
    problems: tuple[SyncstringError, ...] = ()


class Moved(StoreUnavailable):
    """A listed row is gone: the manifest moved on, or the store is damaged. Reading it again tells."""


class Archive:
    """One document's rows. `fresh()` gives 40 random hex digits, never the same twice. `latest` is how many
    patches a packer leaves out. `aside(work, *args)` does what takes the processor long, such as compressing:
    in an event loop, not in its thread; what holds the interpreter's lock still stops that."""

    def __init__(
        self,
        store: Store,
        doc: str,
        fresh: Callable[[], str],
        latest: int | None = None,
        aside: Callable[..., Awaitable[Any]] | None = None,
    ) -> None:
        self._aside = aside or _here
        self.store = store
        self.doc = doc
        self.latest = LATEST if latest is None else latest
        self._fresh = fresh

    # --- reading ------------------------------------------------------------

    async def manifest(self) -> Manifest:
        """What the document consists of now. `CorruptStore` if its row is gone."""
        return (await self._manifest())[1]

    async def _manifest(self) -> tuple[Row, Manifest]:
        (row,) = await self.store.get("documents", [(self.doc,)])
        if row is None:
            raise CorruptStore(f"document {self.doc}: its row is gone; fsck says what can still be read")
        return row, Manifest.from_row(row)

    async def rows(self) -> list[Row]:
        """Its rows in `patches`."""
        return await self._scan("patches")

    async def _scan(self, table: str) -> list[Row]:
        found: list[Row] = []
        async for batch in self.store.scan(table, *of_document(self.doc)):
            found += batch
        return found

    async def read(self, whole: bool = False, more: Iterable[Patch] = ()) -> Contents:
        """All that is needed to go on editing, with `more` patches that may not be stored yet: one checkpoint
        and the newest patches, or, where those don't suffice or `whole` says so, every patch. Costs what is
        read.
        """
        given = list(more)
        rows = await self.rows()
        patches, problems = _parsed(rows)
        for _ in range(TRIES):
            manifest = await self.manifest()
            if manifest.deleted:
                raise DocumentDeleted(f"document {self.doc} was deleted")
            try:
                if not whole and suffices(manifest, [*patches, *given]):
                    base = await self._base(manifest.checkpoint)
                    return Contents(manifest, base, patches, rows, problems)
                history = await self._packed(manifest)
                problems = [*problems, *_join(history, patches)]
                return Contents(manifest, None, patches, rows, problems, history)
            except Moved as gone:
                if (await self.manifest()).counter == manifest.counter:
                    raise CorruptStore(f"document {self.doc}: {gone}; fsck tells what is left") from None
        raise StoreUnavailable(f"document {self.doc} is packed by others all the time; try again")

    async def _base(self, checkpoint: Checkpoint | None) -> Base | None:
        if checkpoint is None:
            return None
        text = await self._aside(checkpoint.read, await self.section(checkpoint.text))
        return Base(checkpoint.heads, checkpoint.count, text)

    async def packed(self) -> History:
        """The history of all that packs hold. Costs what is read."""
        for _ in range(TRIES):
            manifest = await self.manifest()
            try:
                return await self._packed(manifest)
            except Moved as gone:
                if (await self.manifest()).counter == manifest.counter:
                    raise CorruptStore(f"document {self.doc}: {gone}; fsck tells what is left") from None
        raise StoreUnavailable(f"document {self.doc} is packed by others all the time; try again")

    async def _packed(self, manifest: Manifest) -> History:
        found = iter(
            await self._sections([part for pack in manifest.packs for part in (pack.graph, pack.body)])
        )
        history: History = await self._aside(_of_packs, manifest, list(zip(found, found, strict=True)))
        return history

    async def patches(self, pack: Pack) -> list[Patch]:
        """What a pack holds."""
        graph, body = await self._sections([pack.graph, pack.body])
        patches: list[Patch] = await self._aside(pack.patches, graph, body)
        return patches

    async def ids(self, pack: Pack) -> list[tuple[Id, tuple[Id, ...]]]:
        """The ids and parents of what a pack holds."""
        return pack.ids(await self.section(pack.graph))

    async def section(self, section: Section) -> bytes:
        """The bytes of a section."""
        return (await self._sections([section]))[0]

    async def _sections(self, wanted: Sequence[Section]) -> list[bytes]:
        """The bytes of sections. Small ones are asked for together: asking costs more than they do."""
        found: list[bytes] = []
        for some in _together(wanted):
            rows = iter(await self.store.get("packs", [key for each in some for key in each.keys(self.doc)]))
            found += [_joined(section, list(islice(rows, section.parts))) for section in some]
        return found

    # --- packing ------------------------------------------------------------

    async def pack(self, everything: bool = False) -> Packed | None:
        """Move the older patches into a pack, with a new checkpoint; None if there was nothing to do, or
        somebody else was faster.

        What is packed is a critical version that leaves out the newest patches; with `everything`, all.
        `StoreUnavailable` in any doubt: nothing is lost then, and a sweep removes what is left over.
        """
        before, manifest = await self._manifest()
        if manifest.deleted:
            raise DocumentDeleted(f"document {self.doc} was deleted")
        try:
            return await self._pack(before, manifest, everything)
        except Moved:
            return None  # somebody else packs or sweeps at this moment: our swap would be lost

    async def _pack(self, before: Row, manifest: Manifest, everything: bool) -> Packed | None:
        history, packed, contents = await self._known(manifest)
        latest = 0 if everything else self.latest
        new, heads, text = await self._aside(_chosen, history, packed, latest)
        if text is None:
            await self._clear(contents, packed)
            return None
        packs, merged = await self._merged(manifest, new)
        lots = await self._aside(_lots, merged, new)
        written: list[Row] = []
        for lot in lots:
            last = packs[-1] if packs else None
            pack, rows = await self._aside(_pack_of, self.doc, self._fresh()[:20], lot, last)
            packs.append(pack)
            written += rows
        checkpoint: Checkpoint | None = None
        if len(heads) <= MAX_PARENTS and len(text) <= MAX_TEXT:  # else nobody could name or read it
            checkpoint, rows = await self._aside(
                rows_of_checkpoint, self.doc, self._fresh()[:20], heads, packs[-1].total, text
            )
            written += rows
        after = manifest.next(packs=tuple(packs), checkpoint=checkpoint)
        await self._write(written)
        await self._compare(after, lots)
        if not await self._swap(before, after, written):
            return None
        packed.update(patch.id for patch in new)
        await self._clear(contents, packed)
        await self._remove(manifest.keys() - after.keys())
        return Packed(len(new), after, tuple(contents.problems))

    async def _known(self, manifest: Manifest) -> tuple[History, set[Id], Contents]:
        """The history from the checkpoint on, or the whole; which of its patches are in packs; and the rows.

        The manifest was read before the rows: who packs in between makes our swap lose."""
        rows = await self.rows()
        patches, problems = await self._aside(_parsed, rows)
        if suffices(manifest, patches):
            base = await self._base(manifest.checkpoint)
            history = await self._aside(History, patches, base)
            return history, set(), Contents(manifest, base, patches, rows, problems)
        history = await self._packed(manifest)
        packed, more = await self._aside(_joined_ids, history, patches)
        problems += more
        return history, packed, Contents(manifest, None, patches, rows, problems, history)

    async def _merged(self, manifest: Manifest, new: Sequence[Patch]) -> tuple[list[Pack], list[Patch]]:
        """The packs that stay, and the patches of the small ones at the end that become part of the new
        one: each pack has at least twice as many patches as the next, or the two have no room in one. So a
        patch is written anew log n times, and of packs that are full at most one is read in vain."""
        keep = list(manifest.packs)
        merged: list[Patch] = []
        size = await self._aside(_room, new)
        while keep and keep[-1].count < 2 * (len(new) + len(merged)):
            if size + LEAST_ROOM * keep[-1].count > PACK_SIZE:
                break
            last = await self.patches(keep[-1])
            size += await self._aside(_room, last)
            if size > PACK_SIZE:
                break
            merged = [*last, *merged]
            keep.pop()
        return keep, merged

    async def _write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            (verdict,) = await self.store.insert("packs", [row])
            if not verdict.fine:
                raise StoreUnavailable(f"pack row {row['id']} was not taken: {verdict.kind} {verdict.reason}")

    async def _compare(self, manifest: Manifest, lots: Sequence[list[Patch]]) -> None:
        """Read back what was written, the last packs and the checkpoint: a pack is trusted with the only
        copy."""
        for pack, patches in zip(manifest.packs[-len(lots) :], lots, strict=True):
            if not await self._aside(alike, await self.patches(pack), patches):
                raise CorruptStore(f"pack {pack.name} doesn't read as it was written; nothing was changed")
        await self._base(manifest.checkpoint)

    async def _swap(self, before: Row, after: Manifest, written: Sequence[Row] = ()) -> bool:
        """Put the manifest in its place. False: certainly not, and what was written for it is removed."""
        verdict = await self.store.swap("documents", (self.doc,), before, after.to_row())
        if verdict.fine:
            return True
        if verdict.row is not None and same(verdict.row, after.to_row()):
            return True  # an answer was lost, and this is it
        await self._delete("packs", written)
        return False

    async def _clear(self, contents: Contents, packed: set[Id]) -> None:
        """Delete rows that a packer packed and couldn't delete any more."""
        if packed:
            await self._delete("patches", [row for row in contents.rows if _id_in(row, packed)])

    async def _delete(self, table: str, rows: Sequence[Row]) -> None:
        for start in range(0, len(rows), AT_ONCE):
            await self.store.delete(table, rows[start : start + AT_ONCE])

    async def _remove(self, keys: Iterable[Key]) -> None:
        """Delete pack rows that the manifest lists no more."""
        for key in sorted(keys):
            (row,) = await self.store.get("packs", [key])
            if row is not None:
                await self.store.delete("packs", [row])

    # --- upkeep ------------------------------------------------------------

    async def sweep(self) -> int:
        """Remove rows that no manifest lists; how many is returned. Whoever packs meanwhile starts again."""
        found = await self._scan("packs")
        before, manifest = await self._manifest()
        listed = manifest.keys()
        if not manifest.deleted and all(key_of(row) in listed for row in found):
            return 0
        after = manifest.next(packs=() if manifest.deleted else manifest.packs)
        if manifest.deleted:
            after = manifest.next(packs=(), checkpoint=None)
        if not await self._swap(before, after):
            return 0
        listed = after.keys()
        unlisted = [row for row in found if key_of(row) not in listed]
        await self._delete("packs", unlisted)
        count = len(unlisted)
        for table in ("patches", "tags", "cursors") if after.deleted else ():
            rows = await self._scan(table)
            await self._delete(table, rows)
            count += len(rows)
        return count

    async def delete(self) -> None:
        """Mark the document deleted. Its rows are never put back after that, and may be swept."""
        for _ in range(TRIES):
            before, manifest = await self._manifest()
            if manifest.deleted or await self._swap(before, manifest.next(deleted=True)):
                return
        raise StoreUnavailable(f"document {self.doc} is packed by others all the time; try again")


async def _here(work: Callable[..., Any], *args: Any) -> Any:
    return work(*args)


def suffices(manifest: Manifest, patches: Sequence[Patch]) -> bool:
    """Whether a checkpoint and these patches, all that there are beside packs, are enough to go on.

    They are if there are no packs, or each has parents, which are all among them or are exactly the
    checkpoint's heads: then nothing of what is missing can stand beside anything that is typed.
    """
    checkpoint = manifest.checkpoint
    if checkpoint is None:
        return not manifest.packs
    ids = {patch.id for patch in patches}
    for patch in patches:
        parents = patch.parents
        if not parents or not (ids.issuperset(parents) or parents == checkpoint.heads):
            return False
    return True


def _parsed(rows: Iterable[Row]) -> tuple[list[Patch], list[SyncstringError]]:
    patches: list[Patch] = []
    problems: list[SyncstringError] = []
    for row in rows:
        try:
            patches.append(Patch.from_row(row))
        except (MalformedRow, UnsupportedVersion) as error:
            problems.append(error)
    return patches, problems


def _together(sections: Iterable[Section]) -> Iterator[list[Section]]:
    some: list[Section] = []
    for section in sections:
        if some and sum(each.parts for each in some) + section.parts > PARTS_AT_ONCE:
            yield some
            some = []
        some.append(section)
    if some:
        yield some


def _joined(section: Section, rows: Sequence[Row | None]) -> bytes:
    found = [row for row in rows if row is not None]
    if len(found) != section.parts:
        raise Moved(
            f"{section.parts - len(found)} of {section.parts} rows of section {section.name} are gone"
        )
    return section.joined(found)


def _of_packs(manifest: Manifest, sections: Sequence[tuple[bytes, bytes]]) -> History:
    """The history in these sections. `CorruptStore` if a pack hasn't as many patches as the manifest says."""
    history = History.of_packs(sections)
    if len(history) != manifest.total:
        for pack, each in zip(manifest.packs, sections, strict=True):
            pack.patches(*each)
    return history


def _join(history: History, patches: Iterable[Patch]) -> list[SyncstringError]:
    """Add what is in rows to what is in packs. Of two contents under one id the packed one counts; what is
    wrong with the others is returned."""
    new: list[Patch] = []
    problems: list[SyncstringError] = []
    for patch in patches:
        known = history.known(patch.id)
        if known is None:
            new.append(patch)
        elif known != patch:
            problems.append(
                ConflictingPatch(f"patch {tuple(patch.id)}: the row differs from the pack's, which counts")
            )
    history.add(new)
    return problems


def _joined_ids(history: History, patches: Iterable[Patch]) -> tuple[set[Id], list[SyncstringError]]:
    """`_join`, and what was packed before it."""
    packed = {patch.id for patch in history.patches()}
    return packed, _join(history, patches)


def _choose(history: History, packed: set[Id], latest: int) -> int:
    """How many events of the graph to have in packs and checkpoint, all but some `latest`; 0: leave it."""
    graph = history.graph
    count = len(graph)
    start = 1 if history.base else 0
    inside = max((graph.place_of(history.event(id)) + 1 for id in packed), default=start)
    if count <= start:
        return 0
    if not latest:
        chosen = count
    else:
        aged = graph.count_until(max(0, graph.greatest_time() - LATEST_AGE))
        chosen = max(graph.critical_floor(max(0, count - latest)), graph.critical_floor(aged))
        if chosen <= inside and count - inside > FARTHEST:
            chosen = count - latest  # closed, if not critical
    return chosen if chosen >= inside and chosen > start + len(packed) else 0


def _chosen(history: History, packed: set[Id], latest: int) -> tuple[list[Patch], tuple[Id, ...], str | None]:
    """What is to be packed anew, and the checkpoint after it; without a text if there is nothing to do."""
    count = _choose(history, packed, latest)
    if not count:
        return [], (), None
    patches = (history.patch_of(event) for event in _prefix(history, count))
    new = [patch for patch in patches if patch.id not in packed]
    return new, history.ids(history.graph.heads_at(count)), history.merge.text(count)


def _room(patches: Iterable[Patch]) -> int:
    return sum(map(room, patches))


def _lots(*patches: Iterable[Patch]) -> list[list[Patch]]:
    return list(pieces(chain(*patches), PACK_SIZE))


def _pack_of(doc: str, name: str, patches: Sequence[Patch], last: Pack | None) -> tuple[Pack, list[Row]]:
    return rows_of_pack(doc, name, patches, last, _heads_after(last, patches))


def _heads_after(pack: Pack | None, patches: Iterable[Patch]) -> tuple[Id, ...]:
    """The heads of all packs up to this one and of patches that follow, parents first."""
    heads = set(pack.heads if pack else ())
    for patch in patches:
        heads.difference_update(patch.parents)
        heads.add(patch.id)
    return tuple(sorted(heads))


def _prefix(history: History, count: int) -> list[int]:
    """The first events in time order, without the base."""
    return [event for event in history.graph.order_until(count) if not (history.base and event == 0)]


def _id_in(row: Mapping[str, Any], ids: set[Id]) -> bool:
    """Whether a readable row is of one of these patches."""
    try:
        return Id(*row["id"][1:]) in ids and bool(Patch.from_row(row))
    except SyncstringError:
        return False
