"""Seeded faults: put one mistake into a copy of the project, and see whether the tests notice.

    python tests/mutants.py                      # all of them, a line each
    python tests/mutants.py --only "reversed"    # those whose name holds that
    python tests/mutants.py --share 2/8 --json   # every eighth, from the second on; the table as JSON
    python tests/mutants.py --draw 3 --seed 7    # three by chance

The law of this file. A fault is a sentence that says what is wrong, the replacements that make it so, and the
tests that are expected to notice: files of the normal suite, or single tests of them. It counts as *caught*
if one of those tests fails with it and, by itself, passes without it. Not counted: what doesn't compile or
import, what brings the interpreter down, what never ends; those are told apart. The old text of a
replacement stands in its file exactly once, which `test_mutants.py` checks, so the table can't rot.

The project itself isn't touched: all of it happens in a temporary copy, whose compiled modules are built
anew where a fault needs it. Exit status 1 if a fault survived.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = (".git", ".venv", "build", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis", "*.c", "*.html")
FAILED = "failed"
# What the copy's conftest.py has besides: a failure is noted, and nobody makes it small.
NOTING = f"""
from hypothesis import Phase

settings.register_profile("unshrunk", deadline=None, database=None, phases=(Phase.explicit, Phase.generate))
settings.load_profile("unshrunk")


def pytest_runtest_logreport(report):
    if report.failed:
        with open({FAILED!r}, "a") as file:
            file.write(report.nodeid + "\\n")
"""


class Change(NamedTuple):
    """One replacement. `old` stands in the file once."""

    file: str
    old: str
    new: str


class Fault(NamedTuple):
    """A mistake, and who should notice."""

    name: str
    changes: tuple[Change, ...]
    tests: tuple[str, ...]

    @property
    def compiled(self) -> list[str]:
        """The modules that have to be built anew: with a .pxd, those that it is part of."""
        stems = {Path(change.file).stem for change in self.changes if change.file.endswith((".pyx", ".pxd"))}
        shared = {Path(change.file).stem for change in self.changes if change.file.endswith(".pxd")}
        for path in (ROOT / "syncstring").glob("*.pyx") if shared else ():
            if any(f"{stem} cimport" in path.read_text(encoding="utf-8") for stem in shared):
                stems.add(path.stem)
        return sorted(stems)


class Verdict(NamedTuple):
    name: str
    caught: bool
    by: str
    """The test that failed first; where it wasn't caught, what happened."""
    seconds: float


def fault(name: str, tests: str, *changes: tuple[str, str, str]) -> Fault:
    """`tests`: names without `test_` and `.py`, perhaps with `::` and what follows; in order."""
    paths = []
    for test in tests.split():
        room, colons, one = test.partition("::")
        paths.append(f"tests/test_{room}.py{colons}{one}")
    return Fault(
        name, tuple(Change(f"syncstring/{file}", old, new) for file, old, new in changes), tuple(paths)
    )


FAULTS: list[Fault] = [
    # --- the merge: who stands first ------------------------------------------------------------------
    fault(
        "the tie between sessions is reversed",
        "walker::test_the_published_text_comes_out_whatever_the_order_of_the_walk walker merge",
        ("_events.pyx", "return -1 if left < right else 1", "return 1 if left < right else -1"),
    ),
    fault(
        "time comes before session in the tie",
        "walker::test_the_published_text_comes_out_whatever_the_order_of_the_walk walker merge",
        (
            "_events.pyx",
            "        if self.session[a] != self.session[b]:\n            left =",
            "        if self.time[a] != self.time[b]:\n"
            "            return -1 if self.time[a] < self.time[b] else 1\n"
            "        if self.session[a] != self.session[b]:\n            left =",
        ),
    ),
    fault(
        "time comes before session in the twin's tie",
        "reference",
        ("testing/reference.py", "return session, time", "return time, session"),
    ),
    fault(
        "the twin scans without `undecided`",
        "reference",
        ("testing/reference.py", "undecided = other_right < right", "undecided = False"),
    ),
    fault(
        "right siblings are ordered without regard to how far their right neighbour is",
        "walker::test_the_published_text_comes_out_whatever_the_order_of_the_walk walker merge",
        (
            "_fugue.pyx",
            "        if side == RIGHT:\n            rx =",
            "        if side > RIGHT:\n            rx =",
        ),
    ),
    fault(
        "the twin scans without the break on an outer left origin",
        "reference",
        (
            "testing/reference.py",
            "            if other_left < left:  # from here on they hang on something before the gap\n"
            "                break\n",
            "",
        ),
    ),
    fault(
        "what is typed before a character that hung on its left neighbour is hung there, too",
        "walker merge",
        ("_fugue.pyx", "if right >= 0 and self.span[right].left == self.last_id(left):", "if right < -1:"),
    ),
    fault(
        "deleted characters don't count as right neighbours in the twin",
        "reference",
        ("testing/reference.py", "if item.state != 0), None)", "if item.state == 1), None)"),
    ),
    fault(
        "deleted characters don't count as right neighbours",
        "walker::test_the_published_text_comes_out_whatever_the_order_of_the_walk walker merge",
        (
            "_walker.pyx",
            "right = spans.next_existing(column, left)",
            "right = spans.next_shown(column, left)",
        ),
    ),
    fault(
        "what is typed after the cursor went elsewhere is walked as if it hadn't",
        "walker::test_what_is_typed_letter_by_letter_is_walked_as_the_twin_does walker merge",
        ("_walker.pyx", "graph.ops[k] == (end << 2 | KEEP)", "graph.ops[k] & 3 == KEEP"),
    ),
    fault(
        "what is typed on is typed on something else than the event before it",
        "walker::test_what_is_typed_letter_by_letter_is_walked_as_the_twin_does walker merge",
        ("_walker.pyx", "and graph.parents[graph.parent_start[event]] == event - 1", "and True"),
    ),
    fault(
        "insertions that touch are one splice wherever their texts stand",
        "text_buffer::test_joined_splices_do_the_same_to_the_text_and_to_every_position text_buffer",
        ("_text.pyx", " and start == self.start[last] + self.count[last]:", ":"),
    ),
    fault(
        "the newest time of what a session has in a pack's columns isn't known",
        "stretch::test_every_answer_is_that_of_the_same_read_flat stretch",
        ("_stretch.pyx", "writers[number].newest = p.newest", "writers[number].newest = 0"),
    ),
    fault(
        "who takes back what came after a bubble has all of that woven",
        "merge::test_what_is_woven_goes_at_most_twice_as_far_back_beside_a_bubble_too merge",
        ("merge.py", "self._weave(base if base >= farthest else first, n)", "self._weave(base, n)"),
    ),
    fault(
        "what is deleted to the left in a row is taken one too far",
        "stretch::test_every_answer_is_that_of_the_same_read_flat stretch",
        ("_stretch.pyx", "at -= all - count ", "at -= all "),
    ),
    fault(
        "what is typed before itself in a row is turned round",
        "stretch::test_every_answer_is_that_of_the_same_read_flat stretch",
        ("_stretch.pyx", "or step == -count and shape.kinds[1] == DELETE", "or step == -count"),
    ),
    fault(
        "a row may delete more than there is",
        "stretch::test_any_bytes_are_read_alike_or_refused_in_the_same_words stretch",
        ("_stretch.pyx", "if at < 1 or all > p.size - at:", "if at < 1:"),
    ),
    fault(
        "eight edits in a row are, where seven are",
        "stretch::test_every_answer_is_that_of_the_same_read_flat stretch",
        ("_stretch.pyx", "if eight != EACH * byte:", "if (eight ^ EACH * byte) << 8:"),
    ),
    fault(
        "who stands in a chain's table twice is two",
        "stretch::test_whoever_stands_twice_in_a_table_is_one_all_the_same stretch",
        ("_columns.pyx", "if len(set(self.names)) < len(self.names) or", "if False or"),
    ),
    fault(
        "a wall of a chain is judged by the first time alone",
        "stretch::test_what_is_wrong_is_refused_in_the_same_words_and_leaves_nothing stretch",
        ("_stretch.pyx", "and 1000 * p.whole + drift <= MOST", "and 1000 * least + drift <= MOST"),
    ),
    fault(
        "a page that somebody looked at is kept where others are cut",
        "folds::test_what_is_folded_anew_in_other_pages_is_found_there folds",
        ("_criticals.pyx", "self.page = None  # of pages that were cut otherwise, perhaps", "pass"),
    ),
    fault(
        "nobody who types far from others gets a gap there",
        "text_buffer::test_people_far_apart_do_not_make_the_text_between_them_move text_buffer",
        ("_text.pyx", "return b.gaps < GAPS and", "return b.gaps < 0 and"),
    ),
    fault(
        "a gap stays for ever where somebody once typed",
        "text_buffer::test_gaps_that_nobody_types_at_any_more_follow_those_who_type text_buffer",
        ("_text.pyx", "b.moved - b.joined > GAPS * b.capacity", "False"),
    ),
    fault(
        "a block that is full stays so while people only replace",
        "text_buffer::test_a_block_that_is_full_grows_for_two_people_who_only_replace text_buffer",
        ("_text.pyx", "if b.capacity - b.size() >= b.capacity // 16 or", "if True or"),
    ),
    fault(
        "room is made for what follows a splice that doesn't fit",
        "text_buffer::test_deletions_longer_than_any_text_are_refused_before_room_is_made_for_what_follows "
        "text_buffer",
        ("_text.pyx", "if log.pos[i] > size or log.delete[i] > size - log.pos[i]:", "if False:"),
    ),
    fault(
        "of two gaps at one place the first is opened for what comes behind both",
        "text_buffer::test_a_buffer_with_many_gaps_holds_what_the_same_splices_make_of_a_str text_buffer",
        ("_text.pyx", " or away == nearest and away > 0:", ":"),
    ),
    fault(
        "deletion is a flag instead of a counter in the twin",
        "reference",
        (
            "testing/reference.py",
            "            item.state += step",
            "            item.state = min(item.state + step, 2)",
        ),
    ),
    fault(
        "deletion is a flag instead of a counter",
        "walker::test_the_published_text_comes_out_whatever_the_order_of_the_walk walker merge",
        (
            "_walker.pyx",
            "                s = self.list.span_at(id)\n"
            "                self.list.set_state(column, s, self.list.state[column][s] + by)",
            "                s = self.list.span_at(id)\n"
            "                self.list.set_state(column, s, 2 if by > 0 else 1)",
        ),
    ),
    fault(
        "a delta is read left to right",
        "walker::test_the_published_text_comes_out_whatever_the_order_of_the_walk walker merge",
        (
            "_walker.pyx",
            "                pos += length\n"
            "            pos = 0\n"
            "            for k in range(graph.op_start[event], graph.op_start[event + 1]):\n"
            "                length = graph.ops[k] >> 2\n"
            "                if graph.ops[k] & 3 == DELETE:",
            "                if graph.ops[k] & 3 == DELETE:",
        ),
    ),
    fault(
        "a patch is also judged by the text of the replica that merges it",
        "walker::test_the_published_text_comes_out_whatever_the_order_of_the_walk walker merge history",
        (
            "_walker.pyx",
            "before = self.list.total(column)",
            "before = min(self.list.total(column), self.list.total(0))",
        ),
    ),
    fault(
        "a version shows what others deleted in it",
        "walker::test_the_published_text_at_each_patch_is_a_filter_over_the_weave walker merge",
        ("_weave.pyx", "if self.killers[k] < n and mask[self.killers[k]]:", "if self.killers[k] < 0:"),
    ),
    # --- the graph and what is kept ------------------------------------------------------------------
    fault(
        "a version stays critical beside a patch that knows only some of its heads",
        "graph::test_heads_and_criticals_are_right_after_each_append graph merge",
        ("_criticals.pyx", "if last == event - 1 or not self.covers(event, last + 1):", "if False:"),
    ),
    fault(
        "critical versions reach one patch too far",
        "graph::test_heads_and_criticals_are_right_after_each_append graph merge",
        (
            "_criticals.pyx",
            "            stop = last + 1\n            if last ==",
            "            stop = min(last + 2, event)\n            if last ==",
        ),
    ),
    fault(
        "patches of one time stand in the order of arrival",
        "graph::test_heads_and_criticals_are_right_after_each_append graph history",
        (
            "_graph.pyx",
            "(self.time[event], <str>self.sessions[self.session[event]], event)",
            '(self.time[event], "", event)',
        ),
    ),
    fault(
        "a version at a time leaves out what has just that time",
        "timeline::test_a_version_answers_to_all_its_names timeline",
        (
            "_graph.pyx",
            "if self.time[self.order[middle]] <= time:",
            "if self.time[self.order[middle]] < time:",
        ),
    ),
    fault(
        "a version that lacks some heads of a critical one is taken for it",
        "merge::test_every_answer_is_the_twins merge",
        ("merge.py", "if first == top and set(graph.prefix_heads(top)) <= set(heads):", "if first == top:"),
    ),
    fault(
        "the oldest time of what is folded is taken for the newest",
        "folds",
        ("_lane.pyx", "self.newest = times[self.event[i - 1]]", "self.newest = times[self.event[0]]"),
    ),
    fault(
        "a chain's times needn't ascend where it stays in its pack",
        "stretch columns",
        ("_stretch.pyx", "if not newest < time < WILD:", "if not 0 < time < WILD:"),
    ),
    fault(
        "nobody asks whether a row of a chain that stays in its pack is too long",
        "stretch columns",
        ("_stretch.pyx", "                near.append(event)", "                pass"),
    ),
    fault(
        "a pack's patch that is older than what is folded of its session stands behind it",
        "stretch folds columns history",
        ("_entries.pyx", "self.time[event] <= lane.newest:", "self.time[event] < 0:"),
    ),
    fault(
        "an id is looked for among the newest alone",
        "folds",
        (
            "_events.pyx",
            "if lane.gone and time <= lane.newest:\n            return",
            "if False:\n            return",
        ),
    ),
    fault(
        "an author's clock is unfolded a microsecond late",
        "folds",
        ("_folds.pyx", "b.wall = step_from(0, &at)", "b.wall = step_from(1, &at)"),
    ),
    fault(
        "checkpoints of what comes after a late patch are kept",
        "merge::test_a_late_patch_forgets_what_comes_after_it_and_nothing_before merge",
        ("merge.py", "for last in [last for last in self._checkpoints if last > n]:", "for last in ():"),
    ),
    fault(
        "a walker begins at a version that isn't critical",
        "merge::test_the_tip_holds_the_merge_of_what_has_arrived_after_every_call merge document",
        ("_tip.pyx", "        base = graph.critical_below(at)\n", "        base = at\n"),
    ),
    fault(
        "a walker goes on from a version that is critical no more",
        "merge::test_the_tip_holds_the_merge_of_what_has_arrived_after_every_call merge document",
        (
            "_tip.pyx",
            "while walker is not None and graph.critical_below(walker.base) != walker.base:",
            "while False:",
        ),
    ),
    # --- histories: verdicts ------------------------------------------------------------------------
    fault(
        "parked patches aren't woken by their parent",
        "history",
        ("history.py", "        self._release(patch.id, placed)\n", ""),
    ),
    fault(
        "of two contents under one id the one that came first counts",
        "history::test_verdicts_are_the_same_on_every_replica_and_in_every_order history",
        (
            "history.py",
            "winner, loser = sorted((known, patch), key=Patch.digest)",
            "winner, loser = known, patch",
        ),
    ),
    fault(
        "what a store decided doesn't win a conflict",
        "history::test_the_content_that_is_stored_wins_whenever_it_is_known_to_be history",
        (
            "history.py",
            "                if stored:\n"
            "                    winner, loser = patch, known\n"
            "                elif",
            "                if",
        ),
    ),
    # --- patches and their bytes --------------------------------------------------------------------
    fault(
        "a patch may have its parent's time",
        "patch::test_a_patch_is_later_than_each_of_its_parents patch",
        ("rules.py", "if time <= newest:", "if time < newest:"),
    ),
    fault(
        "a row's parents may stand in any order",
        "patch::test_a_malformed_row_is_refused_with_its_own_reason patch format",
        ("rules.py", "        if parent <= before:\n", "        if parent == before:\n"),
    ),
    fault(
        "operations of one kind may follow each other in compact bytes",
        "patch::test_malformed_bytes_are_refused_with_their_own_reason patch",
        ("compact.py", "if not count or kind == before:", "if not count:"),
    ),
    fault(
        "compact bytes have the sign of `wall` wrong",
        "patch::test_a_patch_comes_back_from_its_bytes patch",
        ("compact.py", "wall += -(ahead + 1 >> 1) if ahead & 1 else ahead >> 1", "wall += ahead + 1 >> 1"),
    ),
    fault(
        "the kernel has the sign of `wall` wrong in compact bytes",
        "patch::test_a_patch_comes_back_from_its_bytes patch",
        (
            "_values.pyx",
            "patch.wall_ += -(number + 1 >> 1) if number & 1 else number >> 1",
            "patch.wall_ += number + 1 >> 1",
        ),
    ),
    fault(
        "compact bytes may be spelled in two ways",
        "patch::test_malformed_bytes_are_refused_with_their_own_reason patch",
        ("compact.py", "if written(parts) != reader.data:", "if False:"),
    ),
    fault(
        "the kernel reads how much older a parent is in whole milliseconds, however it is spelled",
        "values::test_bytes_that_are_almost_some_patch_s_are_judged_as_the_plain_way_does values",
        ("_values.pyx", "if number >= time or fine and number % 1_000 == 0:", "if number >= time:"),
    ),
    fault(
        "the kernel lets a parent be older than 64 bits hold",
        "values::test_a_parent_is_not_so_much_older_that_64_bits_do_not_hold_it values",
        ("_values.pyx", "if number >= time or fine and number % 1_000", "if fine and number % 1_000"),
    ),
    fault(
        "the kernel reads counts beyond 2^53",
        "patch::test_a_count_is_at_most_what_json_numbers_hold_exactly patch",
        ("_bytes.pxd", " or result >> 55 else <int64_t>result", " else <int64_t>result"),
    ),
    fault(
        "the parents of a view stand in the order of their arrival",
        "values::test_parents_ascend_by_id_however_they_arrived values",
        ("_values.pyx", "                ids.sort()\n", ""),
    ),
    # --- the fast ways ----------------------------------------------------------------------------------
    fault(
        "what the clock types while a commit asks it stays uncommitted, though it is made",
        "keys",
        ("_keys.pyx", "        if self.one and self.plain(self.insert):  # the", "        if True:  # the"),
    ),
    fault(
        "what is typed by who gives the splices is written over by the next one",
        "keys",
        ("_keys.pyx", "        if self.one or not self.types(\n", "        if not self.types(\n"),
    ),
    fault(
        "a key may go beyond the size that the document may have",
        "keys",
        ("_keys.pyx", "        if size + len(<str>insert) - many > self.most or not", "        if not"),
    ),
    fault(
        "an undo can be redone although something was typed since",
        "keys",
        ("_keys.pyx", "            self._redos.clear()\n", "            pass\n"),
    ),
    fault(
        "one patch is shown as it stands, whatever came beside it",
        "keys",
        (
            "_keys.pyx",
            "        if graph.critical_below(event) != event:\n            return None\n",
            "",
        ),
    ),
    fault(
        "another content under a known id passes for what is known",
        "keys",
        ("_placed.pyx", "if based or not holds(graph, event, patch):", "if based:"),
    ),
    fault(
        "a patch without parents takes its place beside a checkpoint",
        "keys",
        ("_values.pyx", "        if base and not count:\n            return -1\n", ""),
    ),
    fault(
        "a clock before the epoch is cut to the millisecond after",
        "keys",
        (
            "_clock.pyx",
            "reading.time = time - (rest + 1_000 if rest < 0 else rest)",
            "reading.time = time - rest",
        ),
    ),
    fault(
        "a section may go on behind what was compressed",
        "vectors::test_a_section_ends_where_what_was_compressed_ends",
        ("pack.py", "    if reader and (reader.unused_data or not reader.eof):", "    if False:"),
    ),
    fault(
        "a pack counts inserted text in UTF-16 units",
        "seeded_faults",
        (
            "pack.py",
            "self.counts.append(len(op))\n",
            'self.counts.append(len(op.encode("utf-16-le")) // 2)\n',
        ),
    ),
    fault(
        "a pack is read without regard to its checksum",
        "seeded_faults::test_no_byte_of_a_pack_can_change_unseen seeded_faults",
        ("pack.py", "if len(raw) != size or zlib.crc32(raw) != check:", "if len(raw) != size:"),
    ),
    # --- the document -------------------------------------------------------------------------------
    fault(
        "the clock isn't raised by the times of what was received",
        "document",
        ("document.py", "last = max(self.history.graph.greatest_time(), self._last)", "last = self._last"),
    ),
    fault(
        "uncommitted text isn't committed before others' patches come in",
        "document",
        (
            "document.py",
            "if self._pending and list(map(history.known, map(_ID, known))) != known:",
            "if False:",
        ),
    ),
    fault(
        "a patch that arrives is refused where it makes the text too long",
        "document::test_a_text_that_came_too_long_may_still_be_edited_as_long_as_it_does_not_grow document",
        (
            "document.py",
            "        return self._advance() if self._behind else []",
            "        splices = self._advance() if self._behind else []\n"
            "        self._writable(len(self))\n"
            "        return splices",
        ),
        ("document.py", "if size > max(self.size_limit, len(self)):", "if size > self.size_limit:"),
    ),
    fault(
        "every cursor stays with the character after it",
        "document",
        (
            "shown.py",
            "map_position(cursor.pos, splices, cursor.sticks)",
            'map_position(cursor.pos, splices, "after")',
        ),
    ),
    fault(
        "an edit of an old version is made on the newest one",
        "document",
        (
            "document.py",
            "chain = self._make(events, ops, now)",
            "chain = self._make(history.graph.heads, ops, now)",
        ),
    ),
    fault(
        "undo brings back what others deleted as well",
        "undo",
        (
            "_standing.pyx",
            "not self.mine[weave.killers[k]]:\n                    alone",
            "not self.mine[weave.killers[weave.killer_start[piece]]]:\n                    alone",
        ),
    ),
    fault(
        "what was taken back before is taken for what never was",
        "undo",
        ("undo.py", "not any(map(undos.has, ids))", "True"),
    ),
    fault(
        "what cancelled out is thought to do so whatever other content wins",
        "undo",
        ("undo.py", "undone.since.rebuilds == history.rebuilds", "True"),
    ),
    fault(
        "a commit leaves what could be redone",
        "undo",
        ("document.py", "for patch in chain))\n        self._redos.clear()", "for patch in chain))"),
    ),
    # --- units --------------------------------------------------------------------------------------
    fault(
        "offsets in UTF-16 units are taken for code points",
        "offsets",
        (
            "offsets.py",
            "        start, stop = self._from_units(pos), self._from_units(pos + delete)",
            "        start, stop = pos, pos + delete",
        ),
    ),
    fault(
        "offsets in UTF-8 count an astral character one byte short",
        "offsets",
        (
            "offsets.py",
            "return len(text) if text.isascii() else len(self.encoded(text)) // self.size",
            "return len(self.encoded(text)) // self.size - (self.size == 1 and text > chr(0xFFFF))",
        ),
    ),
    fault(
        "a line break of two characters counts as two lines",
        "offsets::test_lines_and_columns_come_back_wherever_a_line_has_a_place offsets",
        ("offsets.py", ' - text.count("\\r\\n", 0, pos)\n', "\n"),
    ),
    # --- a document's traffic -----------------------------------------------------------------------
    fault(
        "a child is sent before a ghost parent",
        "seeded_faults",
        ("link.py", "        await self._secure(batch)\n", ""),
    ),
    fault(
        "the outbox is dropped at sending",
        "seeded_faults",
        (
            "link.py",
            "        self.sent.update(patch.id for patch in batch)\n",
            "        self.sent.update(patch.id for patch in batch)\n        self.outbox.clear()\n",
        ),
    ),
    fault(
        "what was in doubt is sent again under a fresh id",
        "packing_model",
        (
            "link.py",
            "        self.sent.update(patch.id for patch in batch)\n",
            "        fresh = []\n"
            "        for patch in batch:\n"
            "            id = (patch.time + (patch.id in self.sent), patch.session)\n"
            "            fresh.append(Patch(id, patch.parents, patch.splices, patch.author, patch.wall))\n"
            "        self.sent.update(patch.id for patch in batch)\n",
        ),
        (
            "link.py",
            'self.store.insert("patches", [patch.to_row(self.doc) for patch in batch])',
            'self.store.insert("patches", [patch.to_row(self.doc) for patch in fresh])',
        ),
    ),
    fault(
        "a patch that the store refused counts as acknowledged",
        "seeded_faults::test_what_the_store_refuses_stays_in_the_outbox seeded_faults session",
        ("link.py", "            if verdict.fine:", "            if True:"),
    ),
    fault(
        "a resuming session reads only what is newer than what it has",
        "packing_model",
        (
            "link.py",
            "        rows = await self.archive.rows()\n",
            "        newest = max((id.time for id in self._sure), default=0)\n"
            '        rows = [row for row in await self.archive.rows() if row["id"][1] > newest]\n',
        ),
    ),
    fault(
        "what is held here and nowhere else isn't put back",
        "seeded_faults",
        (
            "link.py",
            "        await self._put_back(await self._standing("
            "sorted(lost, key=lambda patch: patch.id), safe, manifest))\n",
            "",
        ),
    ),
    fault(
        "what was packed before it was seen isn't taken in",
        "seeded_faults::test_what_was_packed_before_it_was_seen_is_taken_in packing_model",
        ("link.py", "new = {id for id in ids[known:] if id not in self._held}", "new = set[Id]()"),
    ),
    fault(
        "a gap is ignored",
        "seeded_faults::test_who_reads_again_only_when_the_feed_says_so_misses_nothing seeded_faults",
        ("link.py", "        else:\n            self.stale = True\n", "        else:\n            pass\n"),
    ),
    fault(
        "the feed is opened after the scan",
        "seeded_faults::test_who_reads_again_only_when_the_feed_says_so_misses_nothing seeded_faults",
        (
            "link.py",
            "        await self.listen()\n        return await self.read(whole)\n",
            "        contents = await self.read(whole)\n"
            "        await self.listen()\n"
            "        return contents\n",
        ),
    ),
    fault(
        "a deleted document is put back",
        "session::test_a_deleted_document_is_not_put_back_and_unsent_work_stays_readable session",
        (
            "link.py",
            "        if manifest.deleted:\n            self._bury()\n            return\n",
            "",
        ),
        (
            "link.py",
            "                if manifest.deleted:\n"
            "                    self._bury()\n"
            '                    raise DocumentDeleted(f"document {self.doc} was deleted")\n',
            "",
        ),
    ),
    fault(
        "a session id is used again after a conflict",
        "session::test_a_session_whose_name_was_used_twice_takes_another_and_loses_nothing session",
        ("live.py", "self.reissue(fresh_session(), lost)", "self.reissue(self.session, lost)"),
    ),
    fault(
        "`flush` returns when everything is sent",
        "session::test_editing_goes_on_over_a_checkpoint session",
        (
            "traffic.py",
            "until(lambda: not self.link.outbox or",
            "until(lambda: not self.link.outbox.keys() - self.link.sent or",
        ),
    ),
    fault(
        "the outbox on disk is emptied when a patch is handed over",
        "session::test_an_outbox_on_disk_keeps_what_was_committed_and_never_sent session",
        (
            "live.py",
            "            self._traffic.post(made)\n",
            "            self._traffic.post(made)\n"
            "            if self._kept is not None:\n"
            "                self._kept.clear()\n",
        ),
    ),
    fault(
        "the outbox on disk isn't synced",
        "seeded_faults::test_what_the_outbox_was_given_outlives_a_power_cut_and_what_was_cleared_"
        "does_not seeded_faults",
        (
            "outbox.py",
            "self._file.write(rest) :]\n            os.fsync(self._file.fileno())\n",
            "self._file.write(rest) :]\n",
        ),
    ),
    # --- live sessions ------------------------------------------------------------------------------
    fault(
        "the text changes a step before its editor is told",
        "hand_over",
        (
            "session.py",
            "            if splices := self.take():\n",
            "            splices = self.take()\n"
            "            await asyncio.sleep(0)\n"
            "            if splices:\n",
        ),
    ),
    fault(
        "ids are renewed behind the editor's back",
        "live_session::test_a_session_whose_ids_were_used_takes_another_and_loses_nothing live_session",
        (
            "session.py",
            "                if not self._readers:\n                    raise\n",
            "                self.document._renew(self._traffic.withdraw())\n",
        ),
    ),
    fault(
        "what was typed while ids are renewed keeps its parents",
        "hand_over",
        ("document.py", "for patch in (*patches, *self.outgoing)}", "for patch in patches}"),
    ),
    fault(
        "renewed patches stand in the outbox on disk beside the old ones",
        "live_session::test_a_crash_after_ids_were_renewed_doubles_nothing live_session",
        ("live.py", "self._kept.replace(self._rows(", "self._kept.add(self._rows("),
    ),
    fault(
        "what nobody read is dropped for good",
        "live_session::test_what_nobody_reads_is_bounded_and_whoever_reads_then_misses_nothing live_session",
        ("live.py", "        if link.overrun:\n            self._traffic.resume()\n", ""),
    ),
    fault(
        "what waits for a parent is kept without bound",
        "waiting::test_a_flood_of_orphans_is_bounded_and_all_of_it_is_placed_when_the_parents_come waiting",
        ("live.py", "if len(history.waiting) <= PARKED and", "if True or"),
    ),
    fault(
        "what was dropped while it waited is dropped for good",
        "waiting::test_a_flood_of_orphans_is_bounded_and_all_of_it_is_placed_when_the_parents_come waiting",
        ("live.py", "        link.dropped.extend(patch.id for patch in dropped)\n", ""),
    ),
    fault(
        "what nobody reads is kept without bound",
        "live_session::test_what_nobody_reads_is_bounded_and_whoever_reads_then_misses_nothing live_session",
        ("link.py", "if self.overrun or self._unread >= ARRIVALS:", "if False:"),
    ),
    fault(
        "a gap leaves the state as it is",
        "live_session::test_a_session_goes_through_its_states_as_the_store_comes_and_goes live_session",
        (
            "traffic.py",
            '            self.doubt = change.reason\n            self._turn("lost")\n',
            "            self.doubt = change.reason\n",
        ),
    ),
    fault(
        "what was typed offline is put on a checkpoint",
        "live_session::test_it_begins_with_a_checkpoint_only_if_nothing_stands_beside_it live_session",
        ("live.py", "            if not suffices(", "            if False and not suffices("),
        ("archive.py", "suffices(manifest, [*patches, *given])", "suffices(manifest, patches)"),
    ),
    fault(
        "what was kept for one name goes to any document",
        "live_session::test_what_was_kept_for_a_name_goes_to_no_other_document live_session",
        ("traffic.py", "self._kept.rows(doc, self.unnamed)", "self._kept.rows()"),
    ),
    fault(
        "what no waiting helps against is tried again without a word",
        "live_session::test_what_no_waiting_helps_against_is_one_clear_error_and_the_work_is_kept "
        "live_session",
        (
            "traffic.py",
            "                    self._fail(error)\n                    await self._rest(HOPELESS_PAUSE)\n",
            "                    await asyncio.sleep(about(pause))\n",
        ),
    ),
    fault(
        "the outbox on disk is emptied while patches wait",
        "live_session::test_an_outbox_on_disk_is_not_emptied_while_patches_wait live_session",
        ("traffic.py", "kept.size > TRIM_AT and not self.link.outbox:", "kept.size > TRIM_AT:"),
    ),
    fault(
        "a session one of whose tasks died counts as live again",
        "live_session::test_a_session_one_of_whose_tasks_died_is_never_live_again_and_every_wait_says_so "
        "live_session",
        ("traffic.py", ' and (self.dead is None or event in ("lost", "close")):', ":"),
    ),
    fault(
        "it is live though a part of the text was never read",
        "live_session::test_it_is_not_live_before_the_whole_text_was_read_though_that_failed_for_good_once "
        "live_session",
        (
            "traffic.py",
            "if not (self.broken or self.wanting or self.link",
            "if not (self.broken or self.link",
        ),
        ("traffic.py", "        elif not self.wanting:  # else", "        else:  #"),
    ),
    fault(
        "a forked process changes the outbox of its parent",
        "outbox::test_a_forked_process_may_read_an_outbox_and_not_change_it outbox",
        ("outbox.py", "        if self._pid != os.getpid():\n", "        if False:\n"),
    ),
    fault(
        "a forked process makes patches under its parent's session id",
        "session::test_a_fork_makes_no_patch_and_leaves_the_outbox_of_its_parent_alone session",
        ("live.py", "        self._traffic.claim()\n        patch = super()", "        patch = super()"),
    ),
    fault(
        "a close that was cancelled counts as done",
        "live_session::test_a_close_that_is_cancelled_goes_on_and_a_second_one_waits_for_it live_session",
        (
            "session.py",
            "            self._closing = asyncio.create_task(self._close())\n"
            "        await asyncio.shield(self._closing)\n",
            "            self._closing = asyncio.create_task(self._close())\n"
            "            await self._closing\n",
        ),
    ),
    fault(
        "who moves all the time clears nothing out",
        "presence::test_who_moves_all_the_time_clears_out_what_crashed_sessions_left presence",
        (
            "presence.py",
            "                    await self._moved.wait()\n            if",
            "                    await self._moved.wait()\n                    continue\n            if",
        ),
    ),
    fault(
        "whoever was here once is here for ever",
        "presence",
        ("presence.py", "if not seen.gone and now - seen.since <= TIMEOUT\n", "if not seen.gone\n"),
    ),
    fault(
        "an old row of presence replaces a newer one",
        "presence",
        ("presence.py", "seen is None or said.beat > seen.said.beat", "True"),
    ),
    fault(
        "cursors are told as they stand in text that isn't committed",
        "presence",
        (
            "presence.py",
            "Range(before(anchor.pos, pending), before(head.pos, pending))",
            "Range(anchor.pos, head.pos)",
        ),
    ),
    fault(
        "cursors are carried to a text without what is uncommitted",
        "presence",
        ("presence.py", "history.graph.heads), *document.uncommitted]", "history.graph.heads)]"),
    ),
    fault(
        "every move of a cursor is written",
        "presence::test_writes_are_few_and_the_last_call_counts presence",
        ("presence.py", "            await asyncio.sleep(THROTTLE)\n", ""),
    ),
    # --- packs --------------------------------------------------------------------------------------
    fault(
        "packs are read before patches at opening",
        "packing_model",
        (
            "archive.py",
            "        rows = await self.rows()\n"
            "        patches, problems = _parsed(rows)\n"
            "        for _ in range(TRIES):\n"
            "            manifest = await self.manifest()\n",
            "        for _ in range(TRIES):\n"
            "            manifest = await self.manifest()\n"
            "            rows = await self.rows()\n"
            "            patches, problems = _parsed(rows)\n",
        ),
    ),
    fault(
        "a pack is read back before its rows are acknowledged",
        "seeded_faults::test_what_does_not_read_as_it_was_written_is_not_packed seeded_faults",
        (
            "archive.py",
            "        await self._write(written)\n        await self._compare(after, lots)\n",
            "        try:\n"
            "            await self._compare(after, lots)\n"
            "        except Moved:\n"
            "            pass\n"
            "        await self._write(written)\n",
        ),
    ),
    fault(
        "the manifest is swapped before the pack's rows are acknowledged",
        "packing_model",
        (
            "archive.py",
            "        await self._write(written)\n"
            "        await self._compare(after, lots)\n"
            "        if not await self._swap(before, after, written):\n"
            "            return None\n",
            "        if not await self._swap(before, after, written):\n"
            "            return None\n"
            "        await self._write(written)\n"
            "        await self._compare(after, lots)\n",
        ),
    ),
    fault(
        "packed rows are deleted before the manifest is swapped",
        "packing_model",
        (
            "archive.py",
            "        if not await self._swap(before, after, written):\n"
            "            return None\n"
            "        packed.update(patch.id for patch in new)\n"
            "        await self._clear(contents, packed)\n",
            "        packed.update(patch.id for patch in new)\n"
            "        await self._clear(contents, packed)\n"
            "        if not await self._swap(before, after, written):\n"
            "            return None\n",
        ),
    ),
    fault(
        "the manifest is written without compare",
        "packing_model",
        (
            "archive.py",
            '        verdict = await self.store.swap("documents", (self.doc,), before, after.to_row())',
            "        before, _ = await self._manifest()\n"
            '        verdict = await self.store.swap("documents", (self.doc,), before, after.to_row())',
        ),
    ),
    fault(
        "rows are cleaned up after a doubtful swap",
        "packing_model",
        (
            "archive.py",
            '        verdict = await self.store.swap("documents", (self.doc,), before, after.to_row())',
            "        try:\n"
            '            verdict = await self.store.swap("documents", (self.doc,), before, after.to_row())\n'
            "        except StoreUnavailable:\n"
            '            await self._delete("packs", written)\n'
            "            raise",
        ),
    ),
    fault(
        "pack rows are named by their contents",
        "packing_model seeded_faults",
        (
            "manifest.py",
            "    graph, body = encode(ordered)\n",
            "    graph, body = encode(ordered)\n    name = sha256(graph + body).hexdigest()[:20]\n",
        ),
    ),
    fault(
        "a sweep doesn't raise the counter",
        "packing_model",
        (
            "archive.py",
            "        if not await self._swap(before, after):\n            return 0\n        listed",
            "        listed",
        ),
    ),
    fault(
        "a root counts as satisfied when opening from a checkpoint",
        "seeded_faults::test_a_patch_without_parents_that_came_after_a_checkpoint_is_merged_with_what_it_did_not_"
        "know seeded_faults",
        ("archive.py", "if not parents or not (ids", "if not (ids"),
    ),
    fault(
        "a patch on some of a checkpoint's heads counts as on all of them",
        "packing_model seeded_faults",
        (
            "archive.py",
            "or parents == checkpoint.heads):",
            "or set(parents) <= set(checkpoint.heads)):",
        ),
        (
            "history.py",
            "if self.base is not None and patch.parents == self.base.heads:",
            "if self.base is not None and patch.parents and set(patch.parents) <= set(self.base.heads):",
        ),
    ),
    # --- stores -------------------------------------------------------------------------------------
    fault(
        "the memory store deletes without compare",
        "conformance memory_store",
        (
            "backends/memory.py",
            "                elif known == old:",
            "                elif known is not None:",
        ),
    ),
    fault(
        "the memory store writes over what is there",
        "conformance memory_store",
        (
            "backends/memory.py",
            '                    verdicts.append(Verdict("conflict", _row(key_of(row), known)))',
            "                    self._put(table, key_of(row), new)\n"
            '                    verdicts.append(Verdict("inserted"))',
        ),
    ),
    fault(
        "a feed that overflows loses changes silently",
        "conformance::test_a_store_that_keeps_its_promises_passes conformance memory_store",
        (
            "backends/feeds.py",
            '            self.gap(f"overflow: {len(self._queue):,} changes waited for a slow reader")\n'
            "            self.ready()\n",
            "            pass\n",
        ),
    ),
    fault(
        "SQLite deletes without compare",
        "sqlite_store",
        ("backends/sqlite.py", "                elif sql.is_kept(known, old):", "                else:"),
        (
            "backends/sqlite.py",
            '                else:\n                    verdicts.append(Verdict("differs", known))\n',
            "",
        ),
    ),
    fault(
        "SQLite swaps without compare",
        "sqlite_store",
        (
            "backends/sqlite.py",
            "            if not sql.is_kept(known, before):",
            "            if known is None and before:",
        ),
    ),
    fault(
        "SQLite acknowledges before it commits",
        "sqlite_crash::test_a_power_cut_at_any_instant_loses_nothing_that_was_acknowledged sqlite_crash",
        (
            "backends/sqlite.py",
            "                    self._trim(db, last)\n",
            "                    self._trim(db, last)\n                    _answer(results)\n",
        ),
    ),
    fault(
        "a file of a later format is opened",
        "vectors::test_a_file_of_a_later_version_is_not_opened_and_left_as_it_is vectors",
        ("backends/sqlite_file.py", "        if version > FORMAT:", "        if False:"),
    ),
    fault(
        "what is new in a manifest is called damage",
        "vectors::test_a_row_of_another_table_of_a_later_version_is_unsupported vectors",
        ("manifest.py", "            if unknown := row.keys() - _FIELDS:", "            if unknown := ():"),
    ),
    fault(
        "SQLite isn't asked to sync",
        "sqlite_crash::test_a_power_cut_at_any_instant_loses_nothing_that_was_acknowledged",
        ("backends/sqlite_file.py", "PRAGMA synchronous=FULL", "PRAGMA synchronous=OFF"),
    ),
    fault(
        "a list of changes that was cut short is read on as if it were whole",
        "sqlite_store::test_the_list_of_changes_is_cut_short_and_readers_resume sqlite_store",
        (
            "backends/sqlite.py",
            "if last < self._seen or (found and found[0].seq != self._seen + 1):",
            "if last < self._seen:",
        ),
    ),
    fault(
        "what was opened at once tells of changes from its start on alone",
        "at_once",
        (
            "backends/sqlite.py",
            "            store._born = store._seen = store._here(sql.newest)[0]\n",
            "            store._born = store._seen = 1 << 60\n",
        ),
    ),
    fault(
        "a row's checksum isn't looked at",
        "sqlite_rows",
        ("_rows.pyx", "    if sum != total:\n        return None\n", ""),
    ),
    fault(
        "a tag is moved without being asked",
        "tags",
        ("tags.py", "if before is not None and not move:", "if move is None:"),
    ),
    fault(
        "fsck sweeps while something else is amiss",
        "seeded_faults",
        (
            "fsck/document.py",
            '        if self.report.sound:\n            self._find("unlisted"',
            '        if True:\n            self._find("unlisted"',
        ),
    ),
]


# --- the copy ------------------------------------------------------------------------------------------


class Copy:
    """The project in a temporary folder, and what to run there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "copy"
        shutil.copytree(ROOT, self.root, ignore=shutil.ignore_patterns(*LEFT_OUT))
        # One module at a time, and soon: what is fast to compile needn't be fast.
        setup = self.root / "setup.py"
        text = setup.read_text().replace('["-O3"]', '["-O1"]')
        setup.write_text(text.replace('glob("*.pyx")', 'glob(os.environ["MUTANT"] + ".pyx")'))
        with (self.root / "tests" / "conftest.py").open("a") as conftest:
            conftest.write(NOTING)
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))
        } | {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        package = self.root / "syncstring"
        built = min((path.stat().st_mtime for path in package.glob("*.so")), default=0.0)
        if any(path.stat().st_mtime > built for path in package.glob("*.p[yx][xd]")):
            code, output = self.build("*")  # what lies there isn't what was compiled
            if code:
                raise SystemExit(f"the copy can't be built: {output[-2000:]}")
        where = "import syncstring as s, syncstring._walker as w; print(s.__file__, w.__file__, sep='\\n')"
        code, output = self.run([sys.executable, "-c", where], 60)
        if code or any(self.root not in Path(line).parents for line in output.split("\n") if line):
            raise SystemExit(f"the copy isn't what runs: {output}")

    def run(self, command: Sequence[str], limit: float, **more: str) -> tuple[int | None, str]:
        """Exit status (None: it didn't end in so many seconds) and output."""
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return None, output.decode(errors="replace")
        return process.returncode, output.decode(errors="replace")

    def build(self, stem: str) -> tuple[int | None, str]:
        """Compile one module, or all (`*`)."""
        command = [sys.executable, "setup.py", "build_ext", "--inplace", "--force"]
        return self.run(command, 600, MUTANT=stem)

    def test(
        self, tests: Sequence[str], seed: int, limit: float, *more: str
    ) -> tuple[int | None, list[str], str]:
        """pytest's exit status, the tests that failed, the output."""
        failed = self.root / FAILED
        failed.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no"]
        code, output = self.run([*command, f"--hypothesis-seed={seed}", *more, *tests], limit)
        return code, failed.read_text().splitlines() if failed.exists() else [], output

    @contextmanager
    def with_fault(self, fault: Fault) -> Iterator[str]:
        """As long as this lasts, the copy has the fault; why it hasn't, or nothing, is given."""
        package = self.root / "syncstring"
        touched = {self.root / change.file for change in fault.changes}
        for stem in fault.compiled:
            touched.update(package.glob(f"{stem}.c*"))
        before = {path: path.read_bytes() for path in touched}
        try:
            for change in fault.changes:
                path = self.root / change.file
                text = path.read_text()
                if text.count(change.old) != 1:
                    raise ValueError(f"{change.old!r} stands {text.count(change.old)} times in {change.file}")
                path.write_text(text.replace(change.old, change.new))
            trouble = ""
            for stem in fault.compiled:
                code, output = self.build(stem)
                if code:
                    trouble = output[-2000:]
            yield trouble
        finally:
            for path, data in before.items():
                # Not written over: a process that still runs may have it in memory.
                path.unlink()
                path.write_bytes(data)


def seed_one(copy: Copy, fault: Fault, seed: int, limit: float) -> Verdict:
    """Let the tests run with one fault until one fails."""
    began = time.monotonic()
    with copy.with_fault(fault) as trouble:
        if trouble:
            return Verdict(fault.name, False, f"it doesn't compile: {trouble}", time.monotonic() - began)
        code, failed, output = copy.test(fault.tests, seed, limit, "-x")
    seconds = time.monotonic() - began
    if code is None:
        return Verdict(fault.name, False, f"no end within {limit:g} s", seconds)
    if code == 1 and failed:
        return Verdict(fault.name, True, failed[0], seconds)
    if code == 0:
        return Verdict(fault.name, False, "every test passed", seconds)
    print(output[-1000:], file=sys.stderr)
    return Verdict(fault.name, False, f"pytest ended with {code}", seconds)


def judge(faults: Sequence[Fault], seed: int, limit: float = 600, told: bool = False) -> list[Verdict]:
    """Each fault by itself; then the tests that noticed, without any."""
    with tempfile.TemporaryDirectory(prefix="syncstring-mutants-") as folder:
        copy = Copy(Path(folder))
        verdicts = []
        for fault in faults:
            verdict = seed_one(copy, fault, seed, limit)
            verdicts.append(verdict)
            if told:
                how = "caught  " if verdict.caught else "SURVIVED"
                line = f"{how} {verdict.seconds:6.1f} s  {fault.name}: {verdict.by}"
                print(line, file=sys.stderr, flush=True)
        if catchers := sorted({verdict.by for verdict in verdicts if verdict.caught}):
            code, fails, output = copy.test(catchers, seed, limit)
            if code:
                if not fails:
                    raise SystemExit(f"without a fault, pytest ended with {code}: {output[-2000:]}")
                verdicts = [
                    verdict._replace(caught=False, by=f"{verdict.by} fails without it, too")
                    if verdict.by in fails
                    else verdict
                    for verdict in verdicts
                ]
    return verdicts


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--only", default="", help="faults whose name holds this")
    arguments.add_argument("--share", default="1/1", help="K/N: every N-th, from the K-th on")
    arguments.add_argument("--draw", type=int, default=None, help="so many, by chance")
    arguments.add_argument("--seed", type=int, default=None)
    arguments.add_argument("--limit", type=float, default=600, help="seconds that the tests may take for one")
    arguments.add_argument("--json", action="store_true", help="tell all in one line of JSON")
    given = arguments.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if given.seed is None else given.seed
    part, parts = map(int, given.share.split("/"))
    faults = [fault for fault in FAULTS if given.only in fault.name][part - 1 :: parts]
    if given.draw is not None:
        faults = random.Random(seed).sample(faults, min(given.draw, len(faults)))
    began = time.monotonic()
    verdicts = judge(faults, seed, given.limit, told=True)
    survived = [verdict for verdict in verdicts if not verdict.caught]
    for verdict in survived:
        print(f"survived: {verdict.name}: {verdict.by}", file=sys.stderr)
    figures = {
        "seed": seed,
        "faults": len(verdicts),
        "caught": len(verdicts) - len(survived),
        "survived": [verdict.name for verdict in survived],
        "seconds": round(time.monotonic() - began, 1),
    }
    if given.json:
        table = [verdict._asdict() | {"seconds": round(verdict.seconds, 1)} for verdict in verdicts]
        print(json.dumps(figures | {"table": table}))
    else:
        print(json.dumps(figures))
    return 1 if survived or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
