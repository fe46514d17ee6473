"""Tasks about what is stored: how many bytes, and how fast it is there again.

The law of this room. What lies in files is laid there once, in the contender's own folder, by a process that
measures nothing; each run opens it anew.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from itertools import pairwise
from math import log2
from pathlib import Path
from statistics import median
from time import process_time

from contest import Contender, Outcome, clock, prepared, verify
from recordings import Trace

OPENED = 5
LEAN = "edits"


def save(contender: Contender, trace: Trace, seed: int) -> Outcome:
    mine = prepared(contender, trace)
    if recorded := getattr(contender, "type_recorded", None):
        document = recorded(mine)
    else:
        document = contender.type_all(mine) if trace.is_sequential else contender.exchange(mine)[0][0]
    saved = contender.save(document)
    began = clock()
    loaded = contender.load(saved)
    text = contender.text(loaded)
    took = process_time() - began
    verify(text, trace.end, "after it was saved and loaded")
    size = sum(map(len, saved))
    edits = sum(len(step.splices) for step in trace.steps)
    return Outcome({"bytes": size, "an edit": size / edits, "load": took})


def times(contender: Contender, trace: Trace, seed: int) -> Outcome:
    """What the recording's times add to a pack, beside the same edits a millisecond apart; and the order-0
    entropy of the differences between them, in whole milliseconds, without a table of which there are."""
    even = trace.times[0] + 1_000
    sizes = []
    for moments in (trace.times, [even + 1_000 * number for number in range(len(trace.times))]):
        document = contender.type_recorded(trace, moments)
        verify(contender.text(document), trace.end, "after the last edit")
        sizes.append(sum(map(len, contender.save(document))))
    steps = Counter(after // 1_000 - before // 1_000 for before, after in pairwise(trace.times))
    total = sum(steps.values())
    bits = sum(count * log2(total / count) for count in steps.values())
    return Outcome({"times": sizes[0] - sizes[1], "entropy": bits / 8})


# --- files ------------------------------------------------------------------------------------------------


def lay(contender: Contender, trace: Trace, folder: Path) -> None:
    contender.store(prepared(contender, trace), folder)


def opened(contender: Contender, trace: Trace, folder: Path) -> Outcome:
    figures = {}
    for figure in contender.STORED:
        times = []
        for _ in range(OPENED + 1):  # the first loads modules, and what the disk has
            began = clock()
            document = contender.open_stored(folder, figure)
            text = contender.text(document)
            times.append(process_time() - began)
            contender.close_stored(document)
            verify(text, trace.end, f"after it was opened ({figure})")
        figures[figure] = median(times[1:])
    return Outcome(figures)


def stream(contender: Contender, trace: Trace, folder: Path) -> None:
    """The edits line by line, so that typing them doesn't take a parsed trace; and the end."""
    with (folder / LEAN).open("w", encoding="utf-8") as file:
        for step in prepared(contender, trace).steps:
            print(json.dumps(step.splices), file=file)
    (folder / "end").write_bytes(trace.end.encode())


# --- a peer's file ----------------------------------------------------------------------------------------


def put(path: Path, blob: bytes) -> None:
    """A table with one row, which holds the bytes."""
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as database:
        database.execute("create table documents (name text primary key, data blob)")
        database.execute("insert into documents values (?, ?)", ("paper", blob))
    database.close()


def get(path: Path) -> bytes:
    """What `put` put there."""
    database = sqlite3.connect(path)
    (blob,) = database.execute("select data from documents where name = ?", ("paper",)).fetchone()
    database.close()
    return bytes(blob)
