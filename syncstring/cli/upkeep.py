"""`list`, `compact`, `fsck`, `delete`, `rename`: what is done to documents as a whole.

The law of this room. One line, or object, a document; one that is damaged keeps nobody from the others.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import click

from syncstring.archive import Archive, delete_document, find_document, list_documents, rename_document
from syncstring.cli.output import Output, is_terminal, plain, working
from syncstring.cli.places import place_of, store_of, with_store
from syncstring.errors import CorruptStore, PatchError, StoreError, SyncstringError
from syncstring.fsck import Report, check_document, check_everything
from syncstring.outside import fresh_key
from syncstring.store import Store

__all__ = ["check", "compact", "delete_one", "list_all", "rename_one"]


def list_all(out: Output, store: str | None) -> None:
    """Print every document of a store, by name."""

    async def read(store: Store) -> list[dict[str, Any]]:
        return [await _described(store, name, doc) for name, doc in await list_documents(store, unread)]

    unread: list[SyncstringError] = []
    url = store_of(store)
    with working("reading"):
        found = with_store(url, read)
    if out.json:
        for one in found:
            out.object(one)
    rows = [
        (
            plain(one["name"]),
            "damaged" if one["problem"] else _count(one["patches"], "patch", "patches"),
            out.when(one["time"]),
        )
        for one in found
    ]
    widths = [max((len(row[at]) for row in rows), default=0) for at in range(2)]
    for name, size, when in rows if not out.json else ():
        out.line(f"{out.paint(f'{name:<{widths[0]}}', 'cyan')}  {size:>{widths[1]}}  {when}")
    unread += [CorruptStore(f"{one['name']}: {one['problem']}") for one in found if one["problem"]]
    if unread:
        sys.stdout.flush()
        raise unread[0]


async def _described(store: Store, name: str, doc: str) -> dict[str, Any]:
    archive = Archive(store, doc, fresh_key)
    told: dict[str, Any] = {"name": name, "doc": doc, "patches": 0, "packed": 0, "time": 0, "problem": None}
    try:
        rows = await archive.rows()
        manifest = await archive.manifest()
    except StoreError as error:
        return {**told, "problem": str(error)}
    packed = manifest.total
    times = [pack.last for pack in manifest.packs] + [row["id"][1] for row in rows]
    return {**told, "patches": packed + len(rows), "packed": packed, "time": max(times, default=0)}


def _each(
    name: str | None, store: str | None, work: Callable[[Store, str, str], Awaitable[Any]]
) -> list[Any]:
    """What `work(store, name, doc)` gives for one document, or for every one of the store."""

    async def whole(store: Store) -> list[Any]:
        if place is not None:
            doc = await find_document(store, place.name, fresh_key, create=False)
            return [await work(store, place.name, doc)]
        return [await work(store, name, doc) for name, doc in await list_documents(store)]

    place = None if name is None else place_of(name, store)
    return with_store(store_of(store) if place is None else place.url, whole)


def compact(out: Output, name: str | None, store: str | None) -> None:
    """Pack everything and sweep."""

    async def pack(store: Store, name: str, doc: str) -> dict[str, Any] | SyncstringError:
        archive = Archive(store, doc, fresh_key)
        packed = 0
        try:
            while (done := await archive.pack(everything=True)) is not None:
                packed += done.count
            swept = await archive.sweep()
            manifest = await archive.manifest()
        except SyncstringError as error:
            return type(error)(f"{name}: {error}")
        size = sum(section.size for section in manifest.sections())
        told = {"name": name, "packed": packed, "swept": swept, "patches": manifest.total}
        return {**told, "packs": len(manifest.packs), "bytes": size}

    with working("packing"):
        found = _each(name, store, pack)
    for told in found:
        if isinstance(told, SyncstringError):
            continue
        if out.json:
            out.object(told)
        else:
            packs = _count(told["packs"], "pack", "packs")
            line = f"{plain(told['name'])}: {told['packed']:,} patches packed, {told['swept']:,} rows swept; "
            out.line(line + f"{told['patches']:,} patches in {packs} of {told['bytes']:,} bytes")
    for told in found:
        if isinstance(told, SyncstringError):
            sys.stdout.flush()
            raise told


def _count(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"


def check(out: Output, name: str | None, store: str | None, repair: bool) -> bool:
    """Look for damage, tell of it, repair; whether no damage is left."""

    async def look(store: Store) -> list[Report]:
        if place is None:
            return await check_everything(store, fresh_key, repair)
        doc = await find_document(store, place.name, fresh_key, create=False)
        report = await check_document(store, doc, fresh_key, repair)
        report.names = (place.name,)
        return [report]

    place = None if name is None else place_of(name, store)
    with working("checking"):
        reports = with_store(store_of(store) if place is None else place.url, look)
    for report in reports:
        _tell(out, report)
    return all(report.sound for report in reports)


def _tell(out: Output, report: Report) -> None:
    if out.json:
        told = {**asdict(report), "sound": report.sound, "readable": report.readable if report.doc else None}
        out.object(told)
        return
    title = plain(", ".join(report.names)) or (f"document {report.doc}" if report.doc else "names")
    sound = "sound" if report.sound else "damaged"
    out.line(out.paint(title, "cyan") + f": {sound}" + (f"; {report.readable}" if report.doc else ""))
    for finding in report.findings:
        kind = "repaired" if finding.repaired else finding.kind
        style = "green" if finding.repaired else "red" if finding.grave else "yellow"
        out.line(f"  {out.paint(kind, style)}  {plain(finding.where)}: {plain(finding.what)}")
        if not finding.repaired:
            out.line(f"      {plain(finding.advice)}")


def delete_one(out: Output, name: str, store: str | None, yes: bool) -> None:
    """Delete a document, if that is meant."""
    place = place_of(name, store)

    async def find(store: Store) -> str:
        return await find_document(store, place.name, fresh_key, create=False)

    doc = with_store(place.url, find)
    if not yes:
        if not is_terminal(sys.stdin):
            raise PatchError(f"{name!r:.200} would be gone with all its history; say --yes")
        if not click.confirm(f"Delete {plain(place.name)} with all its history?", err=True):
            raise click.Abort

    async def delete(store: Store) -> None:
        await delete_document(store, place.name)

    with_store(place.url, delete)
    if out.json:
        out.object({"name": place.name, "doc": doc, "deleted": True})
    else:
        out.line(f"{plain(place.name)}: deleted")


def rename_one(out: Output, old: str, new: str, store: str | None) -> None:
    """Give a document another name."""
    try:
        url = store_of(store)
    except PatchError:
        beside = place_of(old, None)
        raise PatchError(
            f"{beside.url!r:.200} is a store of its own, found by the file's name; to rename the document in "
            "it, name it by --store"
        ) from None

    async def rename(store: Store) -> None:
        await rename_document(store, old, new)

    with_store(url, rename)
    if out.json:
        out.object({"old": old, "name": new})
    else:
        out.line(f"{plain(old)} is called {plain(new)} now")
