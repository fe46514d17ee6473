"""What is measured: every row, and what is said of each section.

The law of this room. A row is one figure of one turn; a turn is one task on one trace, run contender by
contender. It knows neither contenders nor figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

CONCURRENT = ("friendsforever",)
FLAT = "friendsforever_flat"
"""friendsforever as one author would have typed it: no recording, made from that one."""
SEQUENTIAL = ("automerge-paper", "sveltecomponent", "json-crdt-patch")


class Turn(NamedTuple):
    """What is measured at one go, contender after contender."""

    task: str
    trace: str | None = None


class Row(NamedTuple):
    turn: Turn
    figure: str
    label: str
    unit: str = "s"
    """s, B (bytes), MiB (of bytes) or /s (how many a second; more is better)."""


class Section(NamedTuple):
    title: str
    prose: str
    rows: Sequence[Row]


PAPER = "automerge-paper"
EXCHANGE = Turn("exchange", "friendsforever")
SECTIONS = [
    Section(
        "Typing, edit by edit",
        """One author's recording is typed anew; each transaction is a patch (a transaction, a commit) of its
        own. Ours makes the patch that others would be sent; the peers weren't asked for their updates. y-py
        (yrs, as pycrdt) and automerge are left out: they took 19 and 7 times as long as loro.""",
        [Row(Turn("typing", trace), "all", trace) for trace in SEQUENTIAL],
    ),
    Section(
        "The same edits as one list",
        """All splices are known from the start and handed over in one call. Ours makes a patch of each
        (`commit_each`); loro makes one change of all. pycrdt and y-py are left out: one transaction of so
        many edits took them minutes. *Replay kernel*: the loop that time travel runs on, alone, on
        splices that lie ready; beside it a gap buffer in C, compiled when the measurement starts. Medians
        of 20 replays.""",
        [
            *(Row(Turn("list", trace), "all", trace) for trace in SEQUENTIAL),
            Row(Turn("kernel", PAPER), "replay", f"{PAPER}, replay kernel alone"),
        ],
    ),
    Section(
        "Two people at once",
        """friendsforever: two replicas exchange every update as bytes, each typing on what its author had
        seen, until both have all. Then a fresh replica takes all of them in. Ours says each time which
        splices an editor must apply; the peers had no observer that asks for those. For pycrdt and y-py the
        fastest way to take all at once is one by one: one transaction around them, and `merge_updates`, took
        forty times as long (0.14.13).""",
        [
            Row(EXCHANGE, "exchange", "typing and exchanging every update"),
            Row(EXCHANGE, "each", "a fresh replica, one by one"),
            Row(EXCHANGE, "at once", "a fresh replica, all at once"),
            Row(EXCHANGE, "rows", "a fresh replica, all at once, from rows"),
        ],
    ),
    Section(
        "Bytes on the way",
        """The updates of friendsforever. Ours names author, time, session and parents; all ids have the width
        that they have when nobody chooses them.""",
        [
            Row(EXCHANGE, "keystroke", "one keystroke (median)", "B"),
            Row(EXCHANGE, "update", "an update (mean of all)", "B"),
        ],
    ),
    Section(
        "The whole history, stored",
        """Every edit with its author and the time that the recording has, from which any version can be read.
        Ours is what pack rows hold, without a checkpoint, decoded patch by patch when it is loaded; to open a
        stored document for editing it isn't read at all. loro's snapshot has the text beside the history,
        which it leaves undecoded until it is asked for. No peer was made to keep the times; pycrdt keeps no
        edit's own version either, but as what a client knew. automerge takes one operation a character, so
        the paste in sveltecomponent costs it dear. *Times*: what json-crdt-patch's own milliseconds add to
        the pack of the same edits one millisecond apart, and the order-0 entropy of the differences between
        them.""",
        [
            *(
                Row(Turn("save", trace), figure, f"{trace}, {label}", unit)
                for figure, label, unit in (
                    ("bytes", "in all", "B"),
                    ("an edit", "an edit", "B"),
                    ("load", "loading, then the text", "s"),
                )
                for trace in (PAPER, "sveltecomponent", FLAT, "friendsforever")
            ),
            Row(Turn("times", "json-crdt-patch"), "times", "json-crdt-patch, times", "B"),
            Row(Turn("times", "json-crdt-patch"), "entropy", "json-crdt-patch, entropy of times", "B"),
        ],
    ),
    Section(
        "Opening a stored document",
        """automerge-paper in a SQLite file, opened and its text read; medians of five, after one that loads
        modules. Ours is a store with all in packs but a tail of rows, opened for editing by name: `open`,
        in CPU of all threads until the text is there. What it leaves to a thread that comes then (an
        event loop, feeds) counts in *and `sync`*: until that returns, which reads the rows once more. At
        10 times the history the recording was typed ten times over, each time after deleting all.
        *Whole*: every packed patch is read as well. The peers have one blob in a table, which is read
        and loaded: loro's snapshot, which leaves the history undecoded, and for *whole* its log of
        operations; pycrdt and y-py know only the whole.""",
        [
            Row(Turn("open", PAPER), figure, f"{PAPER}, {label}")
            for figure, label in (
                ("tail 50", "a tail of 50 rows"),
                ("tail 1000", "a tail of 1,000 rows"),
                ("tail 50, synced", "a tail of 50 rows, and `sync`"),
                ("tail 1000, synced", "a tail of 1,000 rows, and `sync`"),
                ("tail 50, 10 x", "a tail of 50 rows, 10 times the history"),
                ("tail 1000, 10 x", "a tail of 1,000 rows, 10 times the history"),
                ("whole", "whole"),
            )
        ],
    ),
    Section(
        "Text of an old version",
        """What a random transaction and everything its author had seen make; others in each run, the same
        for all. The history is in memory. Cold: ten versions, and whatever was derived from the history
        is dropped before each (ours: `drop_caches`; loro: its history cache and diff calculator). In a
        row: twenty versions, of which the first is cold; what ours keeps of texts is at most twice the
        longest. loro's way is `checkout`, automerge's `text(heads)`. pycrdt applies the updates that the
        version consists of (snapshots panicked on 14 of 20 versions of sveltecomponent with 0.14.13),
        `str` replays the edits; these three keep nothing between versions.""",
        [
            Row(Turn("versions", trace), figure, f"{trace}, {figure}{'' if ',' in figure else ', median'}")
            for trace in (PAPER, FLAT, "friendsforever")
            for figure in ("cold", "cold, slowest", "in a row", "in a row, slowest")
        ],
    ),
    Section(
        "Every version in turn",
        """A slider that is drawn from the beginning to the end. First a text that goes through every
        version: ours asks for `history.splices()`, nothing cached, and applies them to an editor's text
        one by one; the peers apply one update after the other, their fastest way: loro's `checkout` of
        each version in turn took ten times as long (1.17.1). Then `document.at(n)` for every n, a whole
        text each time.""",
        [
            *(
                Row(Turn("slider", trace), figure, trace + label)
                for figure, label in (("slide", ""), ("splices", ", `history.splices()` alone"))
                for trace in ("friendsforever", "sveltecomponent")
            ),
            Row(Turn("every", PAPER), "rate", f"{PAPER}, texts a second", "/s"),
        ],
    ),
    Section(
        "Memory",
        """How much the peak of resident memory grows in a fresh interpreter while automerge-paper is typed,
        each transaction by itself, and the text is read in the end. The edits are read line by line from a
        file. Ours hands on its patches every thousand commits, as a session does, and keeps the history.""",
        [Row(Turn("memory", PAPER), "grown", f"{PAPER}, typed", "MiB")],
    ),
    Section(
        "Diff of two versions",
        """Five pairs of versions a run, so many edits apart. diff-match-patch as it comes, in Python, and in
        C++ (fast-diff-match-patch, no clean-up): both compare lines first and stop after a second of wall
        time, with a coarser diff, where ours compares characters and goes on to the end within a budget of
        steps. *Exact* is the C++ one asked for what ours gives: characters only, no time limit. *Wholly
        different*: random letters against others, and the text of automerge-paper against its own reverse;
        the slower of the two.""",
        [
            *(
                Row(
                    Turn("diff", trace),
                    f"{apart}{slowest}",
                    f"{trace}, {apart} edits apart{slowest or ', median'}",
                )
                for trace in (PAPER, "sveltecomponent")
                for apart in (50, 500, 5000)
                for slowest in ("", ", slowest")
            ),
            *(
                Row(Turn("different", PAPER), str(size), f"wholly different, {size:,} characters")
                for size in (20_000, 100_000)
            ),
        ],
    ),
    Section(
        "A thousand patches",
        """The last 1,000 transactions of automerge-paper, as bytes (diff-match-patch: as text), each read and
        applied to a replica that holds the 100 kB before them.""",
        [Row(Turn("apply", PAPER), "all", "1,000 patches onto 100 kB")],
    ),
    Section(
        "Two branches",
        """From a text of automerge-paper two replicas type 20,000 patches each, by turns in time, and
        neither sees the other's. One edits that text as the recording went on, the other types the
        recording's beginning behind it. *Merge*: one takes in all of the other's at once. *Versions*:
        `history.splices()` of all, nothing cached. *Live*: one takes in each of the other's patches as it
        is typed, while it types its own; the other never sees any. *Linear* is the same edits by one
        author.""",
        [
            Row(Turn("branches", PAPER), figure, label)
            for figure, label in (
                ("merge", "merge"),
                ("merge, linear", "the same patches, linear"),
                ("versions", "versions"),
                ("versions, linear", "versions, linear"),
                ("live", "live, a receipt (mean)"),
                ("live, 99th", "live, a receipt, 99th of 100"),
                ("live, linear", "a receipt in a quiet document (mean)"),
                ("live, linear, 99th", "a receipt in a quiet document, 99th of 100"),
            )
        ],
    ),
    Section(
        "Starting",
        """In an interpreter that has started, until the first document stands; then whole processes from
        beginning to end, medians of five, the interpreter's own start included.""",
        [
            Row(Turn("import"), "all", "import and one document"),
            Row(Turn("start"), "interpreter", "an interpreter that does nothing"),
            Row(Turn("start"), "import", "`import syncstring`"),
            Row(Turn("start"), "help", "`syncstring --help`"),
        ],
    ),
]
