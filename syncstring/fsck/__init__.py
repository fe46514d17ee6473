"""What is wrong with what a store holds; what can be read of it all the same; what to do.

The law of this room. Looking changes nothing, and nothing is called damage that others' packing or sending
at this moment explains: what looks wrong is looked at again. Repairing loses nothing. Rows are deleted only
where the same is read from elsewhere, or of a document that was deleted; unlisted pack rows only by the
sweep's counter swap, and only when nothing else is amiss, so that they can't be the last copy of anything.
What is written anew (a checkpoint, the manifest's numbers, a row under its right key) follows from what is
there and was checked. Whatever needs a judgement is told and left.

It has no tasks and no clock: it awaits nothing but the store. `fresh()` draws 40 random hex digits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from syncstring.errors import CorruptStore
from syncstring.fsck.document import Check
from syncstring.fsck.findings import BACKUP, Finding, Fresh, Report
from syncstring.fsck.names import Names
from syncstring.fsck.salvage import salvage
from syncstring.store import Store

__all__ = ["Finding", "Report", "check_document", "check_everything", "salvage"]

ROUNDS: Final = 10  # of repairing: one repair may make way for the next


async def check_document(store: Store, doc: str, fresh: Fresh, repair: bool = False) -> Report:
    """Look at everything that belongs to a document; with `repair`, mend what can be mended without loss.

    What was repaired stays among the findings, marked. Damage is no exception; `StoreUnavailable` is, as the
    store raises it. Reads all of the document: O(bytes).
    """
    repaired: list[Finding] = []
    for left in reversed(range(ROUNDS)):  # the last one only looks
        try:
            check = await Check.of(store, doc, fresh)
            done = [finding for finding, fix in check.fixes if await fix()] if repair and left else []
        except CorruptStore as error:
            wrong = Finding("unreadable-store", f"document {doc}", str(error), BACKUP)
            return Report(doc, findings=[*repaired, wrong])
        repaired += [replace(finding, repaired=True) for finding in done]
        if not done:
            break
    report = check.report
    report.findings = [*repaired, *report.findings]
    return report


async def check_everything(store: Store, fresh: Fresh, repair: bool = False) -> list[Report]:
    """Look at every document of a store, and at the names that lead to them.

    A report each, by name; the first one, if it is under no document's key, is of names. Otherwise as
    `check_document`; every row of every table is read.
    """
    found, repaired = await _check_names(store, repair)
    reports = [await check_document(store, doc, fresh, repair) for doc in found.docs]
    if any(finding.repaired for report in reports for finding in report.findings):
        found, more = await _check_names(store, repair)  # a document that is there again wants a name
        repaired += more
    for report in reports:
        report.names = tuple(sorted(found.names.get(report.doc, ())))
    reports.sort(key=lambda report: (report.names, report.doc))
    if repaired or found.findings:
        reports.insert(0, Report("", findings=[*repaired, *found.findings]))
    return reports


async def _check_names(store: Store, repair: bool) -> tuple[Names, list[Finding]]:
    repaired: list[Finding] = []
    for left in reversed(range(ROUNDS)):
        found = await Names.of(store)
        done = [finding for finding, fix in found.fixes if await fix()] if repair and left else []
        repaired += [replace(finding, repaired=True) for finding in done]
        if not done:
            break
    return found, repaired
