"""Tags in a store: names that people give to versions of a document.

The law of this room. A tag is one row, changed by compare and set alone; it names heads, so it means the
same version for ever after, whatever arrives. What can't be a tag (`refs.is_tag`) is refused, what can't be
read is passed over: `fsck` tells of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from syncstring.errors import CorruptStore, PatchError, StoreUnavailable, UnknownVersion, UnsupportedVersion
from syncstring.manifest import hash_of_name, read_heads, shown
from syncstring.patch import Id
from syncstring.refs import is_tag
from syncstring.store import Row, Store, of_document, same

__all__ = ["delete_tag", "read_tags", "set_tag", "tag_of_row", "tag_row"]

TRIES: Final = 20


def tag_row(doc: str, tag: str, heads: Iterable[tuple[int, str]]) -> Row:
    """The row of a tag. `PatchError` for what can't be one."""
    if not is_tag(tag):
        raise PatchError(
            f"{tag!r:.80} can't be a tag: that has 1 to 100 letters, digits and _ . / @ -, begins with a "
            "letter or digit, and doesn't look like a number, an id or a time"
        )
    return {
        "v": 1,
        "id": [doc, hash_of_name(tag)],
        "tag": tag,
        "heads": [f"{time}:{session}" for time, session in sorted(heads)],
    }


def tag_of_row(row: Row) -> tuple[str, tuple[Id, ...]]:
    """A tag and the heads that it means. `CorruptStore` for what isn't one, or stands under another's key;
    `UnsupportedVersion` for a later format's."""
    if "unreadable" not in row and row.get("v") != 1:
        wrong = f"tag {shown(row.get('id'), 120)}: format {shown(row.get('v'), 20)}"
        raise UnsupportedVersion(f"{wrong}; upgrade")
    try:
        heads = read_heads(row["heads"])
        if not same(tag_row(row["id"][0], row["tag"], heads), row):
            raise ValueError("it isn't in canonical form, or its name belongs under another key")
        return row["tag"], heads
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CorruptStore(f"tag {shown(row.get('id'), 120)} can't be read: {error}") from None


async def read_tags(store: Store, doc: str) -> dict[str, tuple[Id, ...]]:
    """A document's tags. O(tags)."""
    tags = {}
    async for batch in store.scan("tags", *of_document(doc)):
        for row in batch:
            try:
                tag, heads = tag_of_row(row)
            except (CorruptStore, UnsupportedVersion):
                continue
            tags[tag] = heads
    return dict(sorted(tags.items()))


async def set_tag(
    store: Store, doc: str, tag: str, heads: Iterable[tuple[int, str]], move: bool = False
) -> bool:
    """Have a tag mean the version with these heads; whether that is new.

    `PatchError` if it means another version already, unless `move` says so, and for what can't be a tag.
    """
    row = tag_row(doc, tag, heads)
    key = (doc, row["id"][1])
    for _ in range(TRIES):
        (before,) = await store.get("tags", [key])
        if same(before, row):
            return False
        if before is not None and not move:
            raise PatchError(f"tag {tag!r} means another version already; `--move` moves it")
        verdict = await store.swap("tags", key, before, row)
        if verdict.fine or same(verdict.row, row):
            return True
    raise StoreUnavailable(f"tag {tag!r} is changed by others all the time; try again")


async def delete_tag(store: Store, doc: str, tag: str) -> None:
    """Forget a tag; the version stays. `UnknownVersion` if there is none of that name; after
    `StoreUnavailable`, where an answer was lost, that may mean that it was done."""
    (row,) = await store.get("tags", [(doc, hash_of_name(tag))])
    if row is None:
        raise UnknownVersion(f"no tag {tag!r:.80} here; `tag` lists them")
    await store.delete("tags", [row])
