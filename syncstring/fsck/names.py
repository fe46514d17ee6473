"""One look at which names lead to which documents, and at documents that none leads to.

The law of this room. Documents are those that have a row of their own, those that are named, and those that
any row belongs to. Who makes a document writes its row before its name, and anything else after that: so one
that has something and, looked for twice, no name is one that nobody can open. One that has nothing can be
deleted: who gives it a name after that puts its row back, and one that was named just before is seen by the
next look as a document whose row is missing.
"""

from __future__ import annotations

from typing import Self

from syncstring.errors import CorruptStore, SyncstringError, UnsupportedVersion
from syncstring.fsck.findings import BACKUP, UPGRADE, Finding, Fix
from syncstring.manifest import Manifest, name_of_row, name_row
from syncstring.store import EVERYTHING, Row, Store, same

__all__ = ["Names"]


class Names:
    """What one look at the names of a store found."""

    def __init__(self, store: Store) -> None:
        self.findings: list[Finding] = []
        self.fixes: list[tuple[Finding, Fix]] = []
        self.docs: list[str] = []
        """Every document's key."""
        self.names: dict[str, list[str]] = {}
        """The names of each."""
        self._store = store

    @classmethod
    async def of(cls, store: Store) -> Self:
        """Look at the names of a store."""
        names = cls(store)
        await names._look()
        return names

    async def _look(self) -> None:
        manifests = {str(row["id"][0]): row for row in await self._all("documents")}
        for row in await self._all("names"):
            self._read_name(row, manifests)
        owners = set()
        for table in ("patches", "packs", "tags"):
            owners |= {str(row["id"][0]) for row in await self._all(table)}
        nameless = sorted(manifests.keys() - self.names.keys())
        if nameless:
            named = await self._named()  # else it was renamed meanwhile
            for doc in nameless:
                (now,) = await self._store.get("documents", [(doc,)])
                if now is not None and now.get("deleted") is not True and doc not in named:
                    self._read_nameless(doc, now, doc in owners)
        self.docs = sorted({*manifests, *owners, *self.names})

    async def _all(self, table: str) -> list[Row]:
        """Every row of a table; of the large tables only their keys."""
        found: list[Row] = []
        try:
            async for batch in self._store.scan(table, *EVERYTHING):
                found += batch if table in ("names", "documents") else [{"id": row["id"]} for row in batch]
        except CorruptStore as error:
            self._find("unreadable-table", table, str(error), BACKUP)
        return found

    async def _named(self) -> set[str]:
        """The documents that names lead to, or will, once those are moved or this library is upgraded."""
        return {_doc_of(row) for row in await self._all("names")}

    def _find(
        self, kind: str, where: str, what: str, advice: str, fix: Fix | None = None, grave: bool = True
    ) -> None:
        finding = Finding(kind, where, what, advice, grave)
        self.findings.append(finding)
        if fix is not None:
            self.fixes.append((finding, fix))

    def _read_name(self, row: Row, manifests: dict[str, Row]) -> None:
        where = f"names [{row['id'][0]}]"
        try:
            name, doc = name_of_row(row)
        except UnsupportedVersion as error:
            self._find("later-version", where, str(error), UPGRADE)
            return
        except CorruptStore as error:
            meant = _meant(row)
            if meant is None:
                advice = "its document is there still; if that has no other name, `--repair` gives it one"
                self._find("damaged-name", where, str(error), advice)
            else:
                what = f"the name {meant['name']!r:.80} stands under another's key, so it leads nowhere"
                fix = self._mover(row, meant)
                self._find("wrong-key", where, what, "`--repair` puts it where it belongs", fix)
            return
        self.names.setdefault(doc, []).append(name)
        if doc in manifests and manifests[doc].get("deleted") is True:
            what = f"the name {name!r:.80} is still that of a document that was deleted"
            self._find(
                "deleted-name",
                where,
                what,
                "`--repair` makes it free",
                lambda: self._delete(row),
                grave=False,
            )

    def _mover(self, row: Row, meant: Row) -> Fix:
        async def move() -> bool:
            return (await self._store.insert("names", [meant]))[0].fine and await self._delete(row)

        return move

    def _read_nameless(self, doc: str, row: Row, owns: bool) -> None:
        where = f"documents [{doc}]"
        empty = Manifest(doc).to_row()
        if not owns and same(row, empty):

            async def delete() -> bool:
                return (await self._store.delete("documents", [empty]))[0].fine

            what = "an empty document without a name: a session died while it made it, or makes it just now"
            self._find("nameless", where, what, "harmless; `--repair` deletes it", delete, grave=False)
            return
        name = f"found-{doc[:8]}"
        what = "a document without a name, so that nobody can open it"
        advice = f"`--repair` calls it {name}"
        self._find("nameless", where, what, advice, lambda: self._name(name, doc))

    async def _name(self, name: str, doc: str) -> bool:
        return (await self._store.insert("names", [name_row(name, doc)]))[0].fine

    async def _delete(self, row: Row) -> bool:
        return (await self._store.delete("names", [row]))[0].fine


def _meant(row: Row) -> Row | None:
    """The row that a name should have, if nothing of it is wrong but its key; else None."""
    try:
        meant = name_row(row["name"], row["doc"])
        name_of_row(meant)
    except (SyncstringError, LookupError, AttributeError):
        return None
    return meant if same({**row, "id": meant["id"]}, meant) else None


def _doc_of(row: Row) -> str:
    """The document that a name is meant for; empty if that can't be told."""
    try:
        return name_of_row(_meant(row) or row)[1]
    except UnsupportedVersion:
        return str(row.get("doc"))
    except CorruptStore:
        return ""
