"""Measures us beside the peers, prints a table and writes it to README.md.

    run.py [--quick] [--traces DIR] [--runs N] [--only REGEX] [--json] [--contender FILE] [--output FILE]

The law of this room. Every figure comes from a fresh process (`measure.py`). Within a run the contenders take
turns task by task, and each run begins with another one. A contender that fails or shows a wrong text in any
run has no figures for that task at all. README.md is written only where everything was measured in full,
which takes about half an hour; the part of it that `rethink.py` writes is left as it is.

Exit status: 0; 1 if a contender was refused; 2 if nothing could be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import derived
import recordings
import rethink_page
from readme import plain, readme
from rows import CONCURRENT, FLAT, SECTIONS, Turn
from table import Results
from targets import judged
from tasks import PREPARED

HERE = Path(__file__).parent
NAMES = (
    "syncstring", "pycrdt", "y_py", "loro", "automerge", "diff_match_patch", "fast_diff_match_patch",
    "fast_diff_match_patch_exact", "str", "gap_buffer",
)  # fmt: skip
CONTENDERS = [HERE / "contenders" / f"{name}.py" for name in NAMES]
LIMIT = 1_800  # seconds for one process; where nothing is wrong none needs a tenth of it
ENOUGH = 5
QUICK = 8_000  # transactions of each trace


class Entrant(NamedTuple):
    """A contender that is here."""

    file: Path
    label: str
    tasks: tuple[str, ...]
    merges: bool


Refused = dict[tuple[Turn, str], str]
"""Why a contender, named last, has no figures in a turn."""


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    with TemporaryDirectory(prefix="bench-") as scratch:
        return _main(options, Path(scratch))


def _main(options: argparse.Namespace, scratch: Path) -> int:
    runs = options.runs or (1 if options.quick else ENOUGH)
    results = Results(runs, cut=QUICK if options.quick else 0, load=os.getloadavg()[0])
    entrants, missing = _entrants([*CONTENDERS, *options.contender], results)
    files, lacking = _traces(options.traces, results, scratch)
    results.missing = missing + lacking
    for line in results.missing:
        _say(line)
    turns = _turns(entrants, files, options.only)
    if not turns:
        _say("nothing is left to measure")
        return 2

    refused: Refused = {}
    for turn, here in turns.items():
        for entrant in here if turn.task in PREPARED else ():
            _show(f"{_name(turn)} is prepared for {entrant.label}")
            (scratch / entrant.label).mkdir(exist_ok=True)
            given = [turn.task, str(files[turn.trace or ""]), str(scratch / entrant.label)]
            if why := measure(entrant.file, "prepare", *given).get("refused"):
                refused[turn, entrant.label] = why
    for number in range(runs):
        for turn, here in turns.items():
            _show(f"run {number + 1} of {runs}: {_name(turn)}")
            first = number % len(here)
            input = [str(files[turn.trace]), str(number)] if turn.trace else []
            _run(turn, here[first:] + here[:first], input, scratch, results, refused)
    _show("")
    for (turn, label), why in refused.items():
        results.figures.get(turn, {}).pop(label, None)
        results.missing.append(f"{label} is refused at {_name(turn)}: {why}")
        _say(results.missing[-1])

    print(json.dumps(_as_json(results, refused), indent=1) if options.json else plain(results))
    whole = not (options.quick or options.contender or options.only.pattern)
    everything = whole and not results.missing
    if options.output is not None:
        kept = rethink_page.part(options.output) if options.output.exists() else ""
        options.output.write_text(readme(results) + kept, encoding="utf-8")
    elif everything and runs >= ENOUGH:
        kept = rethink_page.part(HERE / "README.md")
        (HERE / "README.md").write_text(readme(results) + kept, encoding="utf-8")
    else:
        _say(f"README.md stays as it is: it takes everything, measured at least {ENOUGH} times")
    return 1 if refused else 0


def _show(line: str) -> None:
    """What is going on now, for who watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def _say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description="Measures us beside the peers.")
    add = parser.add_argument
    shared = Path(os.environ.get("SYNCSTRING_SHARED") or HERE.parent.parent / "shared")
    folder = "the folder of recorded traces; $SYNCSTRING_SHARED/traces or ../shared/traces by default"
    add("--traces", type=Path, default=shared / "traces", metavar="DIR", help=folder)
    add("--runs", type=_count, metavar="N", help=f"{ENOUGH} by default, 1 with --quick")
    add("--quick", action="store_true", help=f"only the first {QUICK:,} transactions of each trace")
    only = "measure only what it is found in: 'typing', 'versions friends'"
    add("--only", type=_pattern, default=re.compile(""), metavar="REGEX", help=only)
    add("--json", action="store_true", help="print every figure of every run in place of the table")
    more = "one more contender: a module with the names that tasks.py asks for"
    add("--contender", type=Path, action="append", default=[], metavar="FILE", help=more)
    output = "write README.md there, whatever was measured"
    add("--output", type=Path, metavar="FILE", help=output)
    return parser.parse_args(arguments)


def _count(written: str) -> int:
    number = int(written)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} runs measure nothing")
    return number


def _pattern(written: str) -> re.Pattern[str]:
    try:
        return re.compile(written)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{written!r} is no regular expression: {error}") from None


def _name(turn: Turn) -> str:
    return f"{turn.task} {turn.trace}" if turn.trace else turn.task


def _entrants(files: list[Path], results: Results) -> tuple[list[Entrant], list[str]]:
    """The contenders that are here, and what is to be said of the others."""
    entrants, missing = [], []
    for file in files:
        found = measure(file)
        if why := found.get("missing") or found.get("refused"):
            missing.append(f"{file.stem} is left out: {why}")
            continue
        results.contenders[found["label"]] = (found["kind"], found["version"])
        entrants.append(Entrant(file, found["label"], tuple(found["tasks"]), found["merges"]))
    return entrants, missing


def _traces(folder: Path, results: Results, scratch: Path) -> tuple[dict[str, Path], list[str]]:
    """The files of the traces that rows ask for, and what is to be said of those that can't be had."""
    found, absent, lacking = {}, [], []
    for name in dict.fromkeys(row.turn.trace for section in SECTIONS for row in section.rows):
        if name is None:
            continue
        path = recordings.find(folder, CONCURRENT[0] if name == FLAT else name)
        if path is None:
            absent.append(name)
            continue
        try:
            found[name] = _readied(name, path, results.cut, scratch)
            results.sizes[name] = len(recordings.read(found[name]).steps)
        except (OSError, EOFError, zlib.error, LookupError, TypeError, ValueError) as error:
            found.pop(name, None)
            lacking.append(f"trace {name} can't be replayed: {type(error).__name__}: {error}")
    if absent:
        lacking.insert(0, f"no trace {', '.join(absent)} in {folder}; --traces names another folder")
    return found, lacking


def _readied(name: str, path: Path, cut: int, scratch: Path) -> Path:
    """The file to be replayed: the recording's own, or one that is made from it."""
    if cut:
        source, path = path, scratch / f"{path.name.partition('.')[0]}.json"
        derived.shorten(source, path, cut)
    if name == FLAT:
        source, path = path, scratch / f"{FLAT}.json"
        derived.flatten(source, path)
    return path


def _turns(
    entrants: list[Entrant], files: dict[str, Path], only: re.Pattern[str]
) -> dict[Turn, list[Entrant]]:
    """What is measured, in the order of the table, and who takes part in it."""
    turns = {}
    for turn in dict.fromkeys(row.turn for section in SECTIONS for row in section.rows):
        if (turn.trace is None or turn.trace in files) and only.search(_name(turn)):
            able = [entrant for entrant in entrants if turn.task in entrant.tasks]
            if here := [entrant for entrant in able if entrant.merges or turn.trace not in CONCURRENT]:
                turns[turn] = here
    return turns


def _run(
    turn: Turn, here: list[Entrant], input: list[str], scratch: Path, results: Results, refused: Refused
) -> None:
    """One turn of each contender that wasn't refused in it before."""
    digests = {}
    for entrant in here:
        if (turn, entrant.label) in refused:
            continue
        folder = [str(scratch / entrant.label)] if input else []
        found = measure(entrant.file, turn.task, *input, *folder)
        if why := found.get("refused"):
            refused[turn, entrant.label] = why
            continue
        digests[entrant.label] = found["digest"]
        mine = results.figures.setdefault(turn, {}).setdefault(entrant.label, {})
        for name, value in found["figures"].items():
            mine.setdefault(name, []).append(value)
    for label in outvoted(digests):
        refused[turn, label] = "its texts are not what the others say"


def measure(file: Path, *arguments: str) -> dict[str, Any]:
    """What a process of its own says about a contender; `refused` where it didn't come to say anything."""
    command = [sys.executable, str(HERE / "measure.py"), str(file), *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return {"refused": f"not done within {LIMIT} s"}
    if done.returncode:
        last = (done.stderr.strip() or "no word").splitlines()[-1]
        return {"refused": f"it died ({done.returncode}): {last}"}
    line: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return line


def outvoted(digests: dict[str, str]) -> list[str]:
    """The contenders whose texts differ from those of more than half; all, where no text has as many."""
    if not digests:
        return []
    digest, votes = Counter(digests.values()).most_common(1)[0]
    if votes * 2 <= len(digests):
        return list(digests)
    return [label for label in digests if digests[label] != digest]


def _as_json(results: Results, refused: Refused) -> dict[str, Any]:
    rows = []
    for section in SECTIONS:
        for row in section.rows:
            if figures := results.of(row):
                ratios = results.ratios(row, "peer")
                found = {"section": section.title, "row": row.label, "unit": row.unit, "figures": figures}
                rows.append({**found, "ratios": ratios, "ratio": median(ratios) if ratios else None})
    return {
        "targets": [each._asdict() for each in judged(results)],
        "runs": results.runs,
        "load": results.load,
        "versions": {label: version for label, (_, version) in results.contenders.items()},
        "rows": rows,
        "refused": [
            {"contender": label, "task": turn.task, "trace": turn.trace, "why": why}
            for (turn, label), why in refused.items()
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
