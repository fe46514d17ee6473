"""One look at a document: its manifest, packs, rows, checkpoint and tags, each against the others.

The law of this room. Everything is read once, in the order in which readers read: rows, then the manifest
that says where others are. If anything looks wrong, and what was read isn't what is there any more, all of
it is read again. Each finding that can be mended without loss comes with what mends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Self

from syncstring.archive import AT_ONCE, Archive
from syncstring.errors import CorruptStore, StoreUnavailable, SyncstringError, UnsupportedVersion
from syncstring.fsck.findings import BACKUP, UPGRADE, Finding, Fix, Fresh, Report, ids_of, listed, rows_of
from syncstring.fsck.salvage import salvage, scanned
from syncstring.history import History
from syncstring.manifest import Checkpoint, Manifest, Pack, Section, rows_of_checkpoint
from syncstring.pack import decode, decode_graph
from syncstring.patch import Id, Patch
from syncstring.store import EVERYTHING, Key, Row, Store, key_of, same
from syncstring.tags import tag_of_row

__all__ = ["Check"]

TRIES: Final = 20
_ANEW: Final = "`--repair` writes it anew, from the patches"


class Check:
    """What one look at a document found."""

    def __init__(self, store: Store, doc: str, fresh: Fresh) -> None:
        self.report = Report(doc)
        self.fixes: list[tuple[Finding, Fix]] = []
        self._store = store
        self._doc = doc
        self._fresh = fresh
        self._archive = Archive(store, doc, fresh)
        self._row: Row | None = None  # the manifest's
        self._manifest = Manifest(doc)
        self._rows: list[Row] = []  # of `patches`
        self._stored: dict[Key, Row] = {}  # of `packs`
        self._packed: dict[Id, Patch] = {}
        self._named: dict[Id, tuple[Id, ...]] = {}  # what is in packs, where only its ids can be read, too
        self._loose: dict[Id, Patch] = {}  # what can be read in rows alone
        self._history = History()
        self._lost = 0  # patches in packs that can't be read
        self._intact = True  # every listed pack can be read and stands on those before it
        self._blind = False  # not even the ids in some pack can be read

    @classmethod
    async def of(cls, store: Store, doc: str, fresh: Fresh) -> Self:
        """Look at a document."""
        for _ in range(TRIES):
            check = cls(store, doc, fresh)
            await check._look()
            if not check.report.findings or await check._still():
                return check
        raise StoreUnavailable(f"document {doc} is changed by others all the time; try again")

    async def _still(self) -> bool:
        """Whether what was looked at is still what is there."""
        if not same((await self._store.get("documents", [(self._doc,)]))[0], self._row):
            return False
        keys: list[Key] = [(self._doc, *id) for id in self._missing()]
        return not keys or not any(await self._store.get("patches", keys))

    def _find(
        self, kind: str, where: str, what: str, advice: str, fix: Fix | None = None, grave: bool = True
    ) -> None:
        finding = Finding(kind, where, what, advice, grave)
        self.report.findings.append(finding)
        if fix is not None:
            self.fixes.append((finding, fix))

    async def _look(self) -> None:
        problems: list[SyncstringError] = []
        self._rows = await scanned(self._store, "patches", self._doc, problems)
        packs = await scanned(self._store, "packs", self._doc, problems)
        self._stored = {key_of(row): row for row in packs}
        tags = await scanned(self._store, "tags", self._doc, problems)
        for problem in problems:
            self._find("unreadable-table", f"document {self._doc}", str(problem), BACKUP)
        if not await self._read_manifest():
            history = History((await salvage(self._store, self._doc))[0])
            self.report.patches, self.report.unread = len(history), len(history.parked)
            return
        if self._manifest.deleted:
            self._read_deleted(tags)
            return
        self._read_packs()
        self._read_rows()
        await self._weigh()
        self._read_checkpoint()
        for row in tags:
            self._read_tag(row)
        self._read_unlisted()
        await self._open()

    # --- the manifest ------------------------------------------------------------

    async def _read_manifest(self) -> bool:
        (self._row,) = await self._store.get("documents", [(self._doc,)])
        where = f"documents [{self._doc}]"
        if self._row is None:
            what = "the document's row is gone, which lists its packs"
            if not self._stored:  # it has none, so an empty list is the right one
                self._find("missing-document", where, what, "`--repair` puts it back", self._put_manifest)
            else:
                self._find("missing-document", where, what, BACKUP)
            return False
        try:
            if "unreadable" in self._row:
                raise CorruptStore(f"the store can't read the row: {self._row['unreadable']}")
            self._manifest = Manifest.from_row(self._row)
        except UnsupportedVersion as error:
            self._find("later-version", where, str(error), UPGRADE)
            return False
        except CorruptStore as error:
            counted = _without_sums(self._row)
            if counted is None:
                self._find("damaged-manifest", where, str(error), BACKUP)
                return False
            self._manifest = counted  # the sums are judged with the packs
        later = sorted(self._manifest.keys() - self._stored.keys())
        if later:  # written since the scan, or gone
            for row in await self._store.get("packs", later):
                if row is not None:
                    self._stored[key_of(row)] = row
        return True

    async def _put_manifest(self) -> bool:
        return (await self._store.insert("documents", [Manifest(self._doc).to_row()]))[0].fine

    def _read_deleted(self, tags: Sequence[Row]) -> None:
        self.report.deleted = True
        left = len(self._rows) + len(self._stored) + len(tags)
        if not left:
            return

        async def sweep() -> bool:
            await self._archive.sweep()
            return await self._delete("tags", tags)

        what = f"{rows_of(left)} of a document that was deleted"
        advice = "harmless; `--repair` sweeps"
        self._find("deleted-rows", f"documents [{self._doc}]", what, advice, sweep, grave=False)

    async def _swap(self, after: Manifest, written: Sequence[Row] = ()) -> bool:
        """Put a manifest in the place of the one that was looked at. Who was told that it lost removes what
        it wrote; after any doubt, that is left to a sweep."""
        verdict = await self._store.swap("documents", (self._doc,), self._row, after.to_row())
        if verdict.fine or same(verdict.row, after.to_row()):
            return True
        await self._delete("packs", written)
        return False

    async def _delete(self, table: str, rows: Sequence[Row]) -> bool:
        """Delete rows, each only if it is still the one that was looked at."""
        for start in range(0, len(rows), AT_ONCE):
            await self._store.delete(table, rows[start : start + AT_ONCE])
        return True

    # --- packs ------------------------------------------------------------

    def _read_packs(self) -> None:
        packs = self._manifest.packs
        counted: list[Pack] = []  # as they should be listed
        for number, pack in enumerate(packs, start=1):
            what = f"pack {number} of {len(packs)}"
            graph = self._section(pack.graph, f"the graph of {what}")
            body = self._section(pack.body, f"the body of {what}")
            patches = self._decoded(pack, graph, body, what)
            if patches is None:
                self._intact = False
                self._lost += pack.count
                continue
            self._judge_pack(pack, patches, what)
            times = [patch.time for patch in patches] or [pack.first]
            total = len(patches) + (counted[-1].total if counted else 0)
            counted.append(
                replace(
                    pack,
                    count=len(patches),
                    total=total,
                    heads=_heads_of(self._named),
                    first=min(times),
                    last=max(times),
                )
            )
        # The row itself is compared: its sums were passed over.
        if self._intact and self._row is not None and not _lists(self._row, counted):
            after = self._manifest.next(packs=tuple(counted))
            what = "the manifest's counts, heads or times are not those of its packs"
            advice = "`--repair` counts again"
            self._find("wrong-numbers", f"documents [{self._doc}]", what, advice, lambda: self._swap(after))

    def _section(
        self, section: Section, what: str, lost: str = BACKUP, fix: Fix | None = None
    ) -> bytes | None:
        """The bytes of a section; None, and a finding, if they aren't what was written."""
        keys = section.keys(self._doc)
        rows = [self._stored.get(key) for key in keys]
        gone = [key for key, row in zip(keys, rows, strict=True) if row is None]
        stray = self._stray(section, rows) if len(gone) == 1 else None
        if stray is not None:
            moved = {**stray, "id": list(gone[0])}

            async def put_back() -> bool:
                return (await self._store.insert("packs", [moved]))[0].fine

            told = f"it holds what belongs under {gone[0][1]}, a row of {what} that is missing"
            where = f"packs [{self._doc}, {stray['id'][1]}]"
            self._find("misplaced-row", where, told, "`--repair` puts it back", put_back)
            return None
        if gone:
            told = f"{len(gone)} of {rows_of(len(keys))} of {what} {'is' if len(gone) == 1 else 'are'} gone"
            self._find("missing-row", f"packs [{self._doc}, {gone[0][1]}]", told, lost, fix)
            return None
        found = [row for row in rows if row is not None]
        for row in found:
            if "unreadable" in row:
                told = f"the store can't read it, a row of {what}: {row['unreadable']}"
                self._find("unreadable-row", f"packs [{self._doc}, {row['id'][1]}]", told, lost, fix)
                return None
        try:
            return section.joined(found)
        except CorruptStore:
            told = f"the bytes of {what} are not those that were written: their digest differs"
            self._find("damaged-section", f"packs [{self._doc}, {section.name}]", told, lost, fix)
            return None

    def _stray(self, section: Section, rows: Sequence[Row | None]) -> Row | None:
        """The unlisted row that is just the one that a section lacks."""
        known = self._manifest.keys()
        for key, row in self._stored.items():
            if key not in known and isinstance(row.get("data"), bytes):
                try:
                    section.joined([row if one is None else one for one in rows])
                    return row
                except CorruptStore:
                    continue
        return None

    def _decoded(self, pack: Pack, graph: bytes | None, body: bytes | None, what: str) -> list[Patch] | None:
        """The patches of a pack, or None; of one that can't be read, the ids are noted, if those can."""
        where = f"packs [{self._doc}, {pack.name}]"
        try:
            if graph is not None and body is not None:
                return decode(graph, body)
            if graph is not None:
                self._named.update(decode_graph(graph))
                return None
        except UnsupportedVersion as error:
            self._find("later-version", where, f"{what}: {error}", UPGRADE)
        except SyncstringError as error:
            # Its digest is right, so it was written so.
            self._find("malformed-pack", where, f"{what}: {error}", BACKUP)
        self._blind = True
        return None

    def _judge_pack(self, pack: Pack, patches: Sequence[Patch], what: str) -> None:
        where = f"packs [{self._doc}, {pack.name}]"
        twice: list[Id] = []
        early: list[Id] = []
        for patch in patches:
            if patch.id in self._named:
                twice.append(patch.id)
                continue
            early += [parent for parent in patch.parents if parent not in self._named]
            self._named[patch.id] = patch.parents
            self._packed[patch.id] = patch
        if twice:
            self._intact = False
            told = f"{what} holds again what a pack before it has: {ids_of(twice)}"
            self._find("packed-twice", where, told, "the first one counts; restore a backup to be rid of it")
        if early and not self._blind:
            self._intact = False
            told = f"{what} stands on {ids_of(early)}, which neither it nor a pack before it has"
            self._find("missing-parent", where, told, BACKUP)

    # --- rows ------------------------------------------------------------

    def _read_rows(self) -> None:
        left: list[Row] = []
        for row in self._rows:
            where = f"patches [{', '.join(map(str, row['id']))}]"
            if "unreadable" in row:
                told = f"the store can't read it: {row['unreadable']}"
                self._find("unreadable-row", where, told, BACKUP)
                continue
            try:
                patch = Patch.from_row(row)
            except UnsupportedVersion as error:
                self._find("later-version", where, str(error), UPGRADE)
                continue
            except SyncstringError as error:
                advice = "readers pass it over; ask whoever wrote it"
                self._find("malformed-row", where, str(error), advice)
                continue
            known = self._packed.get(patch.id)
            if known is None:
                self._loose[patch.id] = patch
            elif known == patch:
                left.append(row)
            else:
                told = "a pack has another content under this id, and that one counts"
                advice = "was a session id used twice? Look at it, then `compact`, which deletes the row"
                self._find("conflict", where, told, advice)
        if left:
            told = f"{rows_of(len(left))} whose patches are in packs; or somebody packs at this moment"
            advice = "harmless; `--repair` deletes them"
            where = f"patches [{self._doc}]"
            self._find("left-over", where, told, advice, lambda: self._delete("patches", left), grave=False)

    def _missing(self) -> set[Id]:
        """Parents that are nowhere."""
        if self._blind:
            return set()  # that can't be told
        named = [patch.parents for patch in self._loose.values()] + list(self._named.values())
        return {id for parents in named for id in parents if id not in self._loose and id not in self._named}

    async def _weigh(self) -> None:
        """Put together what can be read, and say what is missing in it."""
        self._history = history = History([*self._packed.values(), *self._loose.values()])
        again = sum(id in self._named for id in self._loose)  # a row has what a damaged pack had
        self.report.patches = len(history)
        self.report.unread = len(history.parked) + max(0, self._lost - again)
        missing = self._missing()
        waiting: dict[tuple[Id, ...], list[Id]] = {}
        for id, patch in sorted(self._loose.items()):
            lacking = tuple(parent for parent in patch.parents if parent in missing)
            if lacking:
                waiting.setdefault(lacking, []).append(id)
        for lacking, ids in waiting.items():
            where = f"patches [{self._doc}, {ids[0].time}, {ids[0].session}]"
            more = f" So do {len(ids) - 1:,} more rows." if len(ids) > 1 else ""
            home = await self._home(lacking)
            if home:
                told = (
                    f"it stands on {ids_of(lacking)}, which only document {home} has: it belongs there.{more}"
                )
                self._find("foreign-row", where, told, "readers wait for its parents; ask whoever wrote it")
            else:
                told = f"it stands on {ids_of(lacking)}, which is nowhere.{more}"
                told += f" {len(history.parked):,} in all wait for what is missing"
                self._find("missing-parent", where, told, BACKUP)
        for problem in history.problems:
            advice = "it counts as an empty one, for everybody; ask whoever wrote it"
            self._find("misfit", f"document {self._doc}", str(problem), advice)

    async def _home(self, ids: Sequence[Id]) -> str:
        """Another document that has these patches, or an empty text."""
        async for batch in self._store.scan("documents", *EVERYTHING):
            for row in batch:
                other = str(row["id"][0])
                if other == self._doc:
                    continue
                keys: list[Key] = [(other, *id) for id in ids]
                found = await self._store.get("patches", keys)
                left = {id for id, known in zip(ids, found, strict=True) if known is None}
                try:
                    archive = Archive(self._store, other, self._fresh)
                    for pack in Manifest.from_row(row).packs:
                        if any(pack.first <= id.time <= pack.last for id in left):
                            left -= {id for id, _ in await archive.ids(pack)}
                except SyncstringError:
                    continue
                if not left:
                    return other
        return ""

    # --- the checkpoint ------------------------------------------------------------

    def _read_checkpoint(self) -> None:
        checkpoint = self._manifest.checkpoint
        if checkpoint is None:
            return
        can = self._intact and bool(self._manifest.packs)
        advice, fix = (_ANEW, self._write_checkpoint) if can else (BACKUP, None)
        data = self._section(checkpoint.text, "the checkpoint", advice, fix)
        if data is not None and (flaw := self._flaw_of(checkpoint, data)):
            where = f"packs [{self._doc}, {checkpoint.text.name}]"
            self._find("lying-checkpoint", where, f"the checkpoint {flaw}", advice, fix)

    def _flaw_of(self, checkpoint: Checkpoint, data: bytes) -> str:
        """What a checkpoint gets wrong, as far as that can be told."""
        history = self._history
        unknown = [id for id in checkpoint.heads if id not in history]
        if unknown:
            # Of what can't be read it may tell the truth.
            return f"is of a version that no pack has, {ids_of(unknown)}" if self._intact else ""
        try:
            text = checkpoint.read(data)
        except SyncstringError as error:
            return f"can't be read: {error}"
        events = history.events(checkpoint.heads)
        count = len(history.graph.difference(events, ())[0])
        if count != checkpoint.count:
            return f"counts {checkpoint.count:,} patches where its version has {count:,}"
        if history.text_at(checkpoint.heads) != text:
            return "has another text than its patches make"
        return ""

    async def _write_checkpoint(self) -> bool:
        """A new one, of all that is in packs. The old one's rows are swept when nothing else is amiss."""
        history = History(self._packed.values())
        text = history.text()
        checkpoint, rows = rows_of_checkpoint(
            self._doc, self._fresh()[:20], history.heads, len(history), text
        )
        for row in rows:
            if not (await self._store.insert("packs", [row]))[0].fine:
                return False
        if checkpoint.read(await self._archive.section(checkpoint.text)) != text:
            return False
        return await self._swap(self._manifest.next(checkpoint=checkpoint), rows)

    # --- the rest ------------------------------------------------------------

    def _read_tag(self, row: Row) -> None:
        where = f"tags [{', '.join(map(str, row['id']))}]"
        try:
            tag, heads = tag_of_row(row)
        except UnsupportedVersion as error:
            self._find("later-version", where, str(error), UPGRADE)
        except CorruptStore as error:
            self._find("damaged-tag", where, str(error), "set the tag again")
        else:
            unknown = [id for id in heads if id not in self._named and id not in self._loose]
            if unknown and not self._blind:
                told = f"tag {tag!r} names a version that isn't there: {ids_of(unknown)}"
                self._find("damaged-tag", where, told, "set it again, or delete it")

    def _read_unlisted(self) -> None:
        """Pack rows that the manifest doesn't list. They may be all that is left of something, unless all
        else is well."""
        known = self._manifest.keys()
        names = [str(key[1]) for key in self._stored if key not in known]
        if not names:
            return

        async def sweep() -> bool:
            return await self._archive.sweep() > 0

        told = f"{rows_of(len(names))} that the manifest doesn't list ({listed(sorted(names))}): left by a "
        told += "packer that died, or one is at work at this moment"
        where = f"packs [{self._doc}]"
        if self.report.sound:
            self._find("unlisted", where, told, "harmless; `--repair` sweeps", sweep, grave=False)
        else:
            advice = "nobody sweeps while something else is amiss, in case they hold what is missing there"
            self._find("unlisted", where, told, advice, grave=False)

    async def _open(self) -> None:
        """Whether a session could begin, and whether the past can be read, as readers do it."""
        try:
            contents = await self._archive.read()
            History(contents.patches, contents.base).text()
            self.report.opens = True
            if self.report.findings:
                await self._archive.read(whole=True)
            self.report.whole = not self.report.unread
        except (CorruptStore, UnsupportedVersion):
            pass


def _without_sums(row: Row) -> Manifest | None:
    """A manifest of which nothing is wrong but its sums; None for any other."""
    try:
        manifest = Manifest.from_row({**row, "packs": []})
        return replace(manifest, packs=tuple(map(Pack.from_json, row["packs"])))
    except (SyncstringError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _lists(row: Row, packs: Sequence[Pack]) -> bool:
    return bool(row["packs"] == [pack.to_json() for pack in packs])


def _heads_of(named: dict[Id, tuple[Id, ...]]) -> tuple[Id, ...]:
    parents = {parent for of in named.values() for parent in of}
    return tuple(sorted(id for id in named if id not in parents))
