"""What can be read of a document in any way at all.

The law of this room. Nothing is asked of what is read but that it is well-formed: packs are taken as they lie
there, whether a manifest lists them or not, whether what they stand on is there or not.
"""

from __future__ import annotations

from collections.abc import Iterable

from syncstring.errors import CorruptStore, SyncstringError, UnsupportedVersion
from syncstring.pack import decode
from syncstring.patch import Id, Patch
from syncstring.store import Row, Store, of_document

__all__ = ["salvage", "scanned"]


async def salvage(store: Store, doc: str) -> tuple[list[Patch], list[SyncstringError]]:
    """Every patch of a document that can be read, in time order, and what couldn't be.

    Where contents differ under one id, a pack's counts. O(bytes).
    """
    problems: list[SyncstringError] = []
    known: dict[Id, Patch] = {}
    for name, parts in _by_name(await scanned(store, "packs", doc, problems)).items():
        if "text" in parts:
            continue
        try:
            patches = decode(parts.get("graph", b""), parts.get("body", b""))
        except (CorruptStore, UnsupportedVersion) as error:
            problems.append(CorruptStore(f"pack {name}: {error}"))
            continue
        for patch in patches:
            known.setdefault(patch.id, patch)
    for row in await scanned(store, "patches", doc, problems):
        try:
            patch = Patch.from_row(row)
            known.setdefault(patch.id, patch)
        except SyncstringError as error:
            problems.append(error)
    return sorted(known.values(), key=lambda patch: patch.id), problems


async def scanned(store: Store, table: str, doc: str, problems: list[SyncstringError]) -> list[Row]:
    """A document's rows in a table, as far as the store gives them; why not all of them, in `problems`."""
    found: list[Row] = []
    try:
        async for batch in store.scan(table, *of_document(doc)):
            found += batch
    except CorruptStore as error:
        problems.append(error)
    return found


def _by_name(rows: Iterable[Row]) -> dict[str, dict[str, bytes]]:
    """The bytes of the sections (`graph`, `body`, `text`) that there are, by the name of what they are of."""
    parts: dict[str, dict[str, dict[int, bytes]]] = {}
    for row in rows:
        name, _, rest = str(row["id"][1]).rpartition("-")
        section, _, part = rest.partition(".")
        if isinstance(row.get("data"), bytes) and part.isdecimal():
            parts.setdefault(name, {}).setdefault(section, {})[int(part)] = row["data"]
    return {
        name: {
            section: b"".join(data for _, data in sorted(pieces.items())) for section, pieces in known.items()
        }
        for name, known in parts.items()
    }
