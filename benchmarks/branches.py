"""Two replicas that don't see each other, beside one author's history of the same edits.

The law of this room. What is compared is typed in the same process, and its text is known beforehand.
"""

from __future__ import annotations

from statistics import fmean
from time import process_time
from typing import Any

import derived
from contest import Contender, Outcome, clock, verify
from recordings import Splices, Trace

COUNT = 20_000  # patches on each side


def branches(contender: Contender, trace: Trace, seed: int) -> Outcome:
    found = derived.branches(trace, min(COUNT, len(trace.steps) // 8))
    one, others = _typed(contender, found, found.mine, found.theirs)
    began = clock()
    contender.take_at_once(one, others)
    figures = {"merge": process_time() - began}
    verify(contender.text(one), found.end, "after the merge")

    author = contender.empty(0)
    updates = [contender.commit(author, splices) for splices in (_base(found), *found.mine, *found.behind)]
    verify(contender.text(author), found.end, "of one author's history")
    readers = [contender.empty(), contender.empty()]
    late = len(updates) - len(others)
    for reader in readers:
        contender.take(reader, updates[:late])
    began = clock()
    contender.take_at_once(readers[0], updates[late:])
    figures["merge, linear"] = process_time() - began
    figures["live, linear"], figures["live, linear, 99th"] = _each(
        _receipts(contender, readers[1], updates[late:])
    )
    for reader in readers:
        verify(contender.text(reader), found.end, "of who read one author's history")

    for name, document in (("versions", one), ("versions, linear", readers[0])):
        began = clock()
        contender.all_splices(document)
        figures[name] = process_time() - began
    figures["live"], figures["live, 99th"] = _each(_live(contender, found))
    return Outcome(figures)


def _base(found: derived.Branches) -> Splices:
    return [(0, 0, found.base)]


def _typed(contender: Contender, found: derived.Branches, mine: list[Splices], theirs: list[Splices]) -> Any:
    """A replica with its own branch, and the other's updates, typed by turns."""
    one, other = contender.empty(0), contender.empty(1)
    contender.take(other, [contender.commit(one, _base(found))])
    updates = []
    for here, there in zip(mine, theirs, strict=True):
        contender.commit(one, here)
        updates.append(contender.commit(other, there))
    return one, updates


def _live(contender: Contender, found: derived.Branches) -> list[float]:
    """Seconds of each receipt while both type; who receives goes on from what it has."""
    one, other = contender.empty(0), contender.empty(1)
    contender.take(other, [contender.commit(one, _base(found))])
    times = []
    clock()
    for here, there in zip(found.mine, found.theirs, strict=True):
        contender.commit(one, here)
        times += _receipts(contender, one, [contender.commit(other, there)])
    verify(contender.text(one), found.end, "after all was received live")
    return times


def _receipts(contender: Contender, document: Any, updates: list[Any]) -> list[float]:
    times = []
    for update in updates:
        began = process_time()
        contender.take(document, [update])
        times.append(process_time() - began)
    return times


def _each(times: list[float]) -> tuple[float, float]:
    return fmean(times), sorted(times)[len(times) * 99 // 100]
