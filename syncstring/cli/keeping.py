"""`tag`, `restore`, `revert`: what a person does to a stored document from outside of an editor.

The law of this room. What is done is acknowledged when it is said, and is one new patch, or one row of tags:
nothing that was there is changed. What makes no difference is said to make none, and is no error.
"""

from __future__ import annotations

from typing import Literal

from syncstring.archive import find_document
from syncstring.blocking import open as open_document
from syncstring.cli.importing import login_name
from syncstring.cli.output import Output, plain, record, working
from syncstring.cli.places import Place, with_store
from syncstring.cli.sources import Source, open_source
from syncstring.errors import PatchError, UnknownVersion
from syncstring.outside import fresh_key
from syncstring.store import Store
from syncstring.tags import delete_tag, set_tag, tag_row
from syncstring.timeline import Timeline, Version

__all__ = ["change_tag", "list_tags", "take_back"]


def list_tags(out: Output, name: str, store: str | None) -> None:
    """Print every tag and what it means."""
    source = _document(name, store)
    timeline = source.timeline
    rows = []
    for tag, heads in timeline.tags.items():
        try:
            version = timeline.version(heads)
        except UnknownVersion:
            if out.json:
                out.object({"tag": tag, "n": None, "id": None, "heads": [str(head) for head in heads]})
            else:
                rows.append((tag, "a version that isn't there; `fsck` tells more", "", ""))
            continue
        if out.json:
            out.object({"tag": tag, **record(version)})
        else:
            rows.append((tag, _named(timeline, version), out.when(version.wall), out.name(version.author)))
    widths = [max((len(row[at]) for row in rows), default=0) for at in range(4)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)]
        out.line("  ".join([out.paint(cells[0], "yellow"), *cells[1:]]).rstrip())


def _named(timeline: Timeline, version: Version) -> str:
    """A version as it can be given as a REF."""
    return "+".join(timeline.short(head) for head in version.heads) or "0"


def _document(name: str, store: str | None) -> Source:
    source = open_source(name, store)
    if source.place is None:
        raise PatchError(f"{name!r:.200} is no stored document; `import` makes one of it")
    return source


def change_tag(
    out: Output, name: str, store: str | None, tag: str, ref: str | None, *, delete: bool, move: bool
) -> None:
    """Have a tag mean a version, by default the newest; or forget it."""
    source = _document(name, store)
    place = source.place
    assert place is not None
    if delete:
        if ref is not None or move:
            raise PatchError("to delete a tag, give nothing but its name")

        async def forget(store: Store) -> None:
            await delete_tag(store, source.doc, tag)

        with_store(place.url, forget)
        if out.json:
            out.object({"tag": tag, "deleted": True})
        return
    tag_row(source.doc, tag, ())  # says what is wrong with it
    timeline = source.timeline
    version = timeline.version(timeline.history.heads) if ref is None else source.version(ref)

    async def put(store: Store) -> bool:
        return await set_tag(store, source.doc, tag, version.heads, move)

    changed = with_store(place.url, put)
    if out.json:
        out.object({"tag": tag, "changed": changed, **record(version)})
    else:
        out.line(f"{tag}  {_named(timeline, version)}")


def take_back(out: Output, place: Place, verb: Literal["restore", "revert"], ref: str, author: str) -> None:
    """Bring an old text back, or take one patch back."""

    async def find(store: Store) -> str:
        return await find_document(store, place.name, fresh_key, create=False)

    with_store(place.url, find)
    with (
        working(f"reading {place.name}"),
        open_document(place.url, place.name, author=login_name(author), create=False) as doc,
    ):
        edit = doc.restore(ref) if verb == "restore" else doc.revert(ref)
        doc.flush()
        if edit.patch is None:
            if out.json:
                out.object({"name": place.name, "changed": False})
            else:
                out.line(f"{plain(place.name)}: nothing to {verb}, it would change nothing")
            return
        version = doc.timeline.version(edit.patch.id)
        if out.json:
            out.object({"name": place.name, "changed": True, **record(version)})
        else:
            said = f"+{version.inserted:,} -{version.deleted:,}"
            out.line(f"{plain(place.name)}: {doc.timeline.short(edit.patch.id)}  {said}")
