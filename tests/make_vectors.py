"""Makes the test vectors of the format's version 1, in `vectors/`: what every later version must read.

    python tests/make_vectors.py            writes them anew: to add to them, for those of version 1 stay
    python tests/make_vectors.py --check    whether what lies there is what it makes; exit status 1 if not

Each line of a `.jsonl` file is one vector: `what` it shows, the bytes (a row in canonical bytes, or hex), and
beside them what they mean in plain JSON. `stores/` has SQLite files and an outbox, with what is in them as
JSON beside each; texts there are the slow twin's. The same calls give the same files: no clock is read and
nothing is drawn but from fixed seeds. What zlib and liblzma make of the same bytes may differ between their
versions: `--check` compares sections unpacked, and says which stores it can't compare then.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

from page_reader import unpacked
from vector_cases import (
    BEGAN,
    CUTS,
    DOC,
    Plain,
    by_method,
    deltas,
    drawn,
    manifests,
    packs,
    plain,
    plain_manifest,
    recut,
    row_text,
    single_patches,
    tags,
    texts,
    together,
    typed,
)

from syncstring import Patch
from syncstring.archive import Archive, delete_document, find_document, rename_document
from syncstring.manifest import doc_of_name, name_row
from syncstring.outbox import Outbox
from syncstring.pack import encode, encode_text
from syncstring.patch import canonical_bytes
from syncstring.store import Store, open_store
from syncstring.tags import set_tag, tag_row
from syncstring.testing.reference import Graph, Reference, consumed

HERE: Final = Path(__file__).parent / "vectors"
SECTIONS: Final = ("graph", "body", "text")


# --- files ------------------------------------------------------------------------------------------------


def vectors() -> dict[str, list[Plain]]:
    """The lines of each `.jsonl` file."""
    names = ["notes.md", "a", "Grüße/乙 😀.md", "x" * 4_096]
    some_packs = {what: [unpacked(data)[1] for data in encode(patches)] for what, patches in packs()}
    return {
        "deltas": list(deltas()),
        "patches": [
            {
                "what": what,
                "means": plain(patch),
                "row": row_text(patch.to_row(DOC)),
                "digest": patch.digest().hex(),
                "name": str(patch.id),
                "bytes": patch.to_bytes().hex(),
            }
            for what, patch in single_patches()
        ],
        "packs": [
            {"what": what, "patches": [plain(patch) for patch in patches]} | hexed(*encode(patches))
            for what, patches in packs()
        ],
        "methods": [
            {"what": f"typing, by method {method}", "pack": "typing"}
            | hexed(*(by_method(raw, method) for raw in some_packs["typing"]))
            for method in (0, 1, 2)
        ],
        "columns": [
            {"what": f"{pack}, {how}", "pack": pack}
            | hexed(*(by_method(raw, 0) for raw in recut(*some_packs[pack], *CUTS[how])))
            for pack in ("three people go on", "messages", "typing")
            for how in CUTS
        ],
        "texts": [{"what": what, "means": text, "text": encode_text(text).hex()} for what, text in texts()],
        "manifests": [
            {"what": what, "means": plain_manifest(manifest), "row": row_text(manifest.to_row())}
            for what, manifest in manifests()
        ],
        "names": [
            {"name": name, "doc": doc_of_name(name), "row": row_text(name_row(name, doc_of_name(name)))}
            for name in names
        ],
        "tags": [
            {
                "doc": DOC,
                "tag": tag,
                "heads": [list(id) for id in heads],
                "row": row_text(tag_row(DOC, tag, heads)),
            }
            for tag, heads in tags()
        ],
    }


def hexed(graph: bytes, body: bytes) -> Plain:
    return {"graph": graph.hex(), "body": body.hex()}


def lines(name: str) -> list[Plain]:
    """The vectors that lie in one file. U+2028 ends no line."""
    return [json.loads(line) for line in (HERE / f"{name}.jsonl").read_text("utf-8").split("\n") if line]


def lines_of(found: Iterable[Plain]) -> str:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in found)


# --- stores -----------------------------------------------------------------------------------------------


async def put(store: Store, doc: str, patches: Sequence[Patch]) -> None:
    verdicts = await store.insert("patches", [patch.to_row(doc) for patch in patches])
    assert all(verdict.fine for verdict in verdicts)


def fresh_names() -> Callable[[], str]:
    names = count(100)
    return lambda: drawn(next(names))


def told(name: str, doc: str, patches: Sequence[Patch], tags: Plain, parked: Sequence[Patch] = ()) -> Plain:
    """What a document in a store means: its patches in time order, and the text after each, by the twin."""
    ordered = sorted(patches, key=lambda patch: patch.id)
    twin = Reference(ordered)
    graph = Graph(ordered)
    texts = twin.prefixes()
    misfits = [patch for patch in ordered if consumed(patch.ops) > len(twin.text_at(patch.parents))]
    return {
        "name": name,
        "doc": doc,
        "text": texts[-1],
        "heads": [list(id) for id in graph.heads_of([patch.id for patch in ordered])],
        "patches": [plain(patch) for patch in ordered],
        "parked": [list(patch.id) for patch in parked],
        "misfits": [list(patch.id) for patch in misfits],
        "texts": texts,
        "tags": tags,
    }


async def rows_alone(store: Store) -> list[Plain]:
    """Documents that nobody packed: a misfit and a patch that waits for ever among their rows."""
    fresh = fresh_names()
    doc = await find_document(store, "notes.md", fresh)
    people = together(16)
    misfit = Patch((people[0].time + 7, "wrong"), [people[0].id], [(0, 999, "?")], "eve", 1)
    child = Patch((misfit.time + 1, "wrong"), [misfit.id], [(0, 0, "stands")], "eve", 2)
    waits = Patch((people[-1].time, "waits"), [(5, "nobody")], [(0, 0, "never")], "eve", 3)
    await put(store, doc, [*people, misfit, child, waits])
    await set_tag(store, doc, "draft", [people[9].id])
    await set_tag(store, doc, "nothing", [])
    await find_document(store, "empty.md", fresh)
    tags = {"draft": [list(people[9].id)], "nothing": []}
    return [
        told("notes.md", doc, [*people, misfit, child], tags, [waits]),
        told("empty.md", doc_of_name("empty.md"), [], {}),
    ]


async def packed(store: Store) -> list[Plain]:
    """A document that was packed again and again, with a tail, a late patch and a row that a crash left; one
    that was renamed after its name had been another's; and one that was deleted."""
    fresh = fresh_names()
    doc = await find_document(store, "notes.md", fresh)
    line = typed(60)
    await put(store, doc, line[:45])
    assert await Archive(store, doc, fresh, latest=5).pack()
    await put(store, doc, line[45:])
    assert await Archive(store, doc, fresh, latest=5).pack()
    late = Patch((line[20].time + 9, "late"), [line[20].id], [(3, 2, "LATE")], "late", 5)
    await put(store, doc, [late, line[10]])
    await set_tag(store, doc, "v1.0", [line[50].id])
    gone = await find_document(store, "gone.md", fresh)
    await put(store, gone, [Patch((BEGAN, "0"), [], [(0, 0, "gone")], "ada", 1)])
    await delete_document(store, "gone.md")
    other = await find_document(store, "gone.md", fresh)
    assert other != gone, "the key isn't used twice"
    people = together(24)
    await put(store, other, people)
    assert await Archive(store, other, fresh).pack(everything=True)
    await rename_document(store, "gone.md", "Grüße 乙.md")
    return [
        told("notes.md", doc, [*line, late], {"v1.0": [list(line[50].id)]}),
        told("Grüße 乙.md", other, people, {}),
    ]


FILES: dict[str, Callable[[Store], Coroutine[Any, Any, list[Plain]]]] = {
    "rows": rows_alone,
    "packed": packed,
}


def make_store(path: Path, fill: Callable[[Store], Coroutine[Any, Any, list[Plain]]]) -> list[Plain]:
    """A SQLite file as small as can be, and what is in it."""

    async def filled() -> list[Plain]:
        async with await open_store(f"sqlite:{path}") as store:
            return await fill(store)

    documents = asyncio.run(filled())
    with sqlite3.connect(path, isolation_level=None) as db:
        # Stores forget changes, too; who made them is a random number, of a process.
        db.execute("DELETE FROM changes WHERE seq < (SELECT max(seq) FROM changes)")
        db.execute("UPDATE changes SET who = 1")
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute("PRAGMA page_size=1024")
        db.execute("VACUUM")
        db.execute("PRAGMA journal_mode=WAL")
    db.close()
    return documents


def dumped(path: Path) -> list[str]:
    """All that a SQLite file says, whichever SQLite wrote it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        copy.write_bytes(path.read_bytes())
        db = sqlite3.connect(copy)
        pragmas = [
            f"{name} = {db.execute(f'PRAGMA {name}').fetchone()[0]}"
            for name in ("application_id", "user_version", "journal_mode")
        ]
        statements = list(db.iterdump())
        db.close()
    return [*pragmas, *statements]


def make_outbox(path: Path) -> Plain:
    """An outbox as a process leaves it that was killed while it wrote: with the beginning of a line."""
    patches = typed(6)[3:]
    kept = Outbox(path)
    kept.add([patch.to_row(DOC) for patch in patches[:2]])
    kept.add([patch.to_row(DOC) for patch in patches[2:]])
    kept.close()
    with open(path, "ab") as file:
        file.write(canonical_bytes(typed(7)[6].to_row(DOC))[:40])
    return {"doc": DOC, "patches": [plain(patch) for patch in patches]}


# --- all of it --------------------------------------------------------------------------------------------


def make(folder: Path) -> None:
    """Write everything."""
    (folder / "stores").mkdir(parents=True, exist_ok=True)
    for name, found in vectors().items():
        (folder / f"{name}.jsonl").write_text(lines_of(found), encoding="utf-8")
    for name, fill in FILES.items():
        path = folder / "stores" / f"{name}.db"
        path.unlink(missing_ok=True)
        documents = make_store(path, fill)
        path.with_suffix(".json").write_text(told_text({"documents": documents}), encoding="utf-8")
    path = folder / "stores" / "outbox"
    path.unlink(missing_ok=True)
    path.with_suffix(".json").write_text(told_text(make_outbox(path)), encoding="utf-8")


def told_text(means: Plain) -> str:
    return json.dumps(means, ensure_ascii=False, indent=1) + "\n"


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def compressed_alike() -> bool:
    """Whether zlib and liblzma make the same of the same bytes here as where the vectors were made."""
    sections = [bytes.fromhex(line[name]) for line in lines("methods") for name in SECTIONS if name in line]
    return all(by_method(raw, method) == data for data in sections for method, raw in [unpacked(data)])


def differences(folder: Path) -> list[str]:
    """What of the vectors that lie there isn't as it is made in `folder`."""
    alike = compressed_alike()
    made_names, there_names = set(files(folder)), set(files(HERE))
    wrong = [f"{name}: missing" for name in sorted(made_names - there_names)]
    wrong += [f"{name}: not made any more" for name in sorted(there_names - made_names)]
    for name in sorted(made_names & there_names):
        there, made = HERE / name, folder / name
        if name.endswith(".db"):
            same = not alike or dumped(there) == dumped(made)
        elif name.endswith(".jsonl"):
            same = compared(there) == compared(made)
        else:
            same = there.read_bytes() == made.read_bytes()
        if not same:
            wrong.append(f"{name}: differs")
    return wrong


def compared(path: Path) -> list[Any]:
    """A file's lines, with sections as they are before compression; of a manifest's, not their sums."""
    found: list[Plain] = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    if path.stem == "manifests" and not compressed_alike():
        return [line["what"] for line in found]
    return [
        {
            key: unpacked(bytes.fromhex(value))[1] if key in SECTIONS and isinstance(value, str) else value
            for key, value in line.items()
        }
        for line in found
    ]


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--check", action="store_true", help="compare, and write nothing")
    if not arguments.parse_args().check:
        make(HERE)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        wrong = differences(Path(folder))
    if not compressed_alike():
        print("stores are not compared: zlib or liblzma compress otherwise here", file=sys.stderr)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
