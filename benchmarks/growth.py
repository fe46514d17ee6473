"""Measures how the cost of each operation grows with the number of patches, and draws it: growth.svg.

    growth.py [--quick] [--traces DIR] [--runs N] [--sizes N,N,...] [--json] [--output FILE]

The law of this room. Each size of each run has a process of its own. The document is one author's: a text of
100,000 characters, in which recordings are typed one after another, again and again, each deleted when it is
done; so its text stays as long while its history grows. No figure counts before the text was found right.
Two branches are such documents too, typed by turns from one text on. Times are CPU time.

growth.svg is written where all sizes were measured; that takes about ten minutes, with --quick one.

Exit status: 0; 2 if nothing could be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from statistics import fmean, median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import derived
import recordings
import svg
from contest import clock, verify
from rows import CONCURRENT, FLAT
from table import machine, shown

HERE = Path(__file__).parent
MIXED = ("sveltecomponent", FLAT, "json-crdt-patch", "automerge-paper")
SIZES = tuple(round(10 ** (half / 2)) for half in range(6, 13))  # 10^3 to 10^6
QUICK = tuple(size for size in SIZES if size <= 100_000)
TEXT = 100_000
LAST = 1_000  # patches that are timed one by one
ASKED = 20
LIMIT = 3_600  # seconds for one process

NAMES = {
    "type": "typing a key",
    "receive": "receiving a patch",
    "late": "receiving a patch made 100 ago",
    "open": "opening, 50 rows beside packs",
    "first": "an old version, the first",
    "next": "an old version, the next ones",
    "slide": "a slider's step",
    "undo": "undo",
    "diff": "diff with 500 patches ago",
    "blame": "blame",
    "splices": "all splices, a patch",
    "pack": "packing, a patch",
    "load": "reading packs, a patch",
    "take": "taking in as patches, a patch",
    "branches": "merging two branches, a patch",
}


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    if options.one:
        print(json.dumps(measure(options.one, options.traces)))
        return 0
    sizes = options.sizes or (QUICK if options.quick else SIZES)
    with TemporaryDirectory(prefix="growth-") as scratch:
        try:
            _gather(options.traces, Path(scratch))
        except FileNotFoundError as error:
            print(f"growth: nothing can be measured: {error}", file=sys.stderr)
            return 2
        found: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
        for number in range(options.runs):
            for size in sizes:
                if sys.stderr.isatty():
                    print(f"\r\033[Krun {number + 1} of {options.runs}: {size:,}", end="", file=sys.stderr)
                found[size].append(_process(size, Path(scratch)))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    figures = {name: [(size, median(each[name] for each in found[size])) for size in sizes] for name in NAMES}
    print(json.dumps(figures) if options.json else _table(figures))
    output = options.output or (HERE / "growth.svg" if tuple(sizes) == SIZES else None)
    if output is None:
        print("growth: growth.svg stays as it is: it takes all sizes", file=sys.stderr)
    else:
        output.write_text(drawn(figures, options.runs), encoding="utf-8")
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="growth.py", description="Measures how costs grow with the history."
    )
    add = parser.add_argument
    shared = Path(os.environ.get("SYNCSTRING_SHARED") or HERE.parent.parent / "shared")
    add("--traces", type=Path, default=shared / "traces", metavar="DIR", help="the folder of recorded traces")
    add("--runs", type=int, default=3, metavar="N", help="3 by default; a point is their median")
    add("--quick", action="store_true", help=f"up to {QUICK[-1]:,} patches")
    add("--sizes", type=_sizes, metavar="N,N", help="other sizes")
    add("--json", action="store_true", help="print the points in place of a table")
    add("--output", type=Path, metavar="FILE", help="draw there, whatever was measured")
    add("--one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _sizes(written: str) -> tuple[int, ...]:
    return tuple(int(each) for each in written.split(","))


def _gather(folder: Path, scratch: Path) -> None:
    """The traces that are mixed, in one folder."""
    for name in MIXED:
        path = recordings.find(folder, CONCURRENT[0] if name == FLAT else name)
        if path is None:
            raise FileNotFoundError(f"no trace {name} in {folder}; --traces names another folder")
        if name == FLAT:
            derived.flatten(path, scratch / f"{FLAT}.json")
        else:
            (scratch / path.name).symlink_to(path.resolve())


def _process(size: int, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", str(size), "--traces", str(folder)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)
    if done.returncode:
        last = (done.stderr.strip() or "no word").splitlines()[-1]
        raise RuntimeError(f"{size:,} patches: it died ({done.returncode}): {last}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _table(figures: dict[str, list[tuple[int, float]]]) -> str:
    sizes = [size for size, _ in figures["type"]]
    lines = ["".join([f"{'':34}", *(f"{size:>12,}" for size in sizes)])]
    for name, points in figures.items():
        lines.append("".join([f"{NAMES[name]:34}", *(f"{shown(value, 's'):>12}" for _, value in points)]))
    return "\n".join(lines)


def drawn(figures: dict[str, list[tuple[int, float]]], runs: int) -> str:
    """The page."""
    panels = {
        NAMES[name]: [(float(size), value) for size, value in points] for name, points in figures.items()
    }
    foot = [
        f"CPU time against the number of patches in the document; "
        f"{f'medians of {runs} runs' if runs > 1 else 'one run'}. "
        f"The text has {TEXT:,} characters and more.",
        f"{date.today():%Y-%m-%d}, {machine()}",
    ]
    return svg.page(panels, _size, lambda seconds: re.sub(r"\.0+ ", " ", shown(seconds, "s")), foot)


def _size(value: float) -> str:
    for factor, name in ((1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:g}{name}"
    return f"{value:g}"


# --- in a process of its own ------------------------------------------------------------------------------


def measure(size: int, folder: Path) -> dict[str, float]:
    """Seconds by operation, on a document of `size` patches."""
    from contenders import syncstring as ours

    traces = [recordings.read(path) for name in MIXED if (path := recordings.find(folder, name))]
    base = (traces[-1].end * (TEXT // max(1, len(traces[-1].end)) + 1))[:TEXT]
    end = derived.endless_text(traces, base, size)
    last = min(LAST, size // 2)
    figures: dict[str, float] = {}

    document, updates = ours.empty(0), []
    edits = derived.endless(traces, base)
    updates += [ours.commit(document, splices) for splices in islice(edits, size - last)]
    rest = list(islice(edits, last))
    figures["type"] = _timed(lambda: _type(document, rest)) / last
    verify(document.text, end, "after the last key")
    patches = list(document.outgoing)

    reader = ours.empty()
    figures["take"] = _timed(lambda: reader.receive(patches[: size - last])) / (size - last)
    arriving = [patch.to_bytes() for patch in patches[size - last :]]
    figures["receive"] = _timed(lambda: ours.take(reader, arriving)) / last
    verify(reader.text, end, "of a reader")

    history = reader.history
    numbers = Random(size).sample(range(size), min(ASKED, size))
    history.drop_caches()
    figures["first"] = _timed(lambda: history.text(numbers[0]))
    figures["next"] = median(_timed(partial(history.text, number)) for number in numbers[1:])
    start = size // 2
    figures["slide"] = _timed(lambda: [history.text(n) for n in range(start, start + last // 2)]) / (
        last // 2
    )
    figures["splices"] = _timed(lambda: ours.all_splices(reader)) / size
    figures["diff"] = _timed(lambda: reader.diff(max(0, size - 500), size))
    figures["blame"] = _timed(reader.blame)

    saved: list[bytes] = []
    figures["pack"] = _timed(lambda: saved.extend(ours.save(reader))) / size
    loaded: list[Any] = []
    figures["load"] = _timed(lambda: loaded.append(ours.load(saved))) / size
    verify(loaded.pop().text, end, "out of packs")

    with TemporaryDirectory() as stored:
        ours.lay(Path(stored), "", patches)
        times = []
        for _ in range(4):
            began = clock()
            opened = ours.open_stored(Path(stored), "tail 50")
            text = opened.text
            times.append(process_time() - began)
            opened.close()
            verify(text, end, "after it was opened")
        figures["open"] = median(times[1:])  # the first loads modules

    figures["undo"] = median(_timed(document.undo) for _ in range(3))
    figures["late"] = _late(ours, patches, end)
    figures["branches"] = _branches(ours, traces, base, max(1, size // 2)) / size
    return figures


def _timed(act: Callable[[], object]) -> float:
    began = clock()
    act()
    return process_time() - began


def _type(document: Any, edits: list[recordings.Splices]) -> None:
    for splices in edits:
        for pos, delete, insert in splices:
            document.splice(pos, delete, insert)
        document.commit()


def _late(ours: Any, patches: list[Any], end: str) -> float:
    """Taking in a patch whose author had not seen the last hundred; ten such, each by another author."""
    reader, author = ours.empty(), ours.empty(2)
    reader.receive(patches)
    ago = max(1, len(patches) - 100)
    author.receive(patches[:ago])
    times = []
    for number in range(10):
        made = author.edit_at(reader.history.ids([ago - 1]), [(0, 0, "x")]).patch
        times.append(_timed(partial(reader.receive, [made])))
        verify("".join(sorted(reader.text)), "".join(sorted("x" * (number + 1) + end)), "after a late patch")
    return fmean(times)


def _branches(ours: Any, traces: list[recordings.Trace], base: str, count: int) -> float:
    """Taking in one branch beside the other."""
    one, other = ours.empty(0), ours.empty(1)
    mine, theirs = derived.endless(traces, base), derived.endless(traces, "")
    ours.take(other, [ours.commit(one, next(mine))])
    next(theirs)
    updates = []
    for here, there in zip(islice(mine, count), _behind(theirs, len(base)), strict=False):
        ours.commit(one, here)
        updates.append(ours.commit(other, there))
    took = _timed(lambda: ours.take_at_once(one, updates))
    front, back = (derived.endless_text(traces, text, count + 1) for text in (base, ""))
    verify(one.text, front + back, "after the merge")
    return took


def _behind(edits: Iterator[recordings.Splices], by: int) -> Iterator[recordings.Splices]:
    for splices in edits:
        yield [(pos + by, delete, insert) for pos, delete, insert in splices]


if __name__ == "__main__":
    sys.exit(main())
