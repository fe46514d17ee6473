"""The campaign: everything that takes longer than a test may, one after the other; figures go to CAMPAIGN.md.

    python tests/campaign.py                      # all of it, about an hour of one core
    python tests/campaign.py --only steps,kills   # some parts; the figures of the others stay
    python tests/campaign.py --share 0.01         # a hundredth of each

Each part is a script of its own, whose last line of output is JSON and whose exit status says whether
anything was found. `--lanes 2` runs two at a time.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

TESTS = Path(__file__).resolve().parent
PAGE = TESTS / "CAMPAIGN.md"
Figures = Mapping[str, Any]


class Part(NamedTuple):
    """One script, what it is asked for, and how its figures read."""

    name: str
    command: Callable[[int, float], list[str]]
    what: str
    tell: Callable[[Figures], str]


def _count(number: float) -> str:
    return f"{round(number):,}"


def _steps(figures: Figures) -> str:
    counts = figures["counts"]
    faults = sum(count for name, count in counts.items() if name.startswith("fault "))
    said = [", ".join(f"{_count(count)} {name}" for name, count in figures["steps"].items())]
    for name in (
        "patches",
        "typed",
        "loose",
        "versions read again",
        "judged by the slow twin",
        "packs",
        "crash",
    ):
        said.append(f"{name} {_count(counts.get(name, 0))}")
    found = figures["found"] or "nothing"
    return f"{_count(figures['total'])} steps: {'; '.join(said)}; faults {_count(faults)}; found: {found}"


def _exhaustive(figures: Figures) -> str:
    told = ", ".join(f"{name} {_number(value)}" for name, value in figures.items() if _plain(name, value))
    return told


def _plain(name: str, value: object) -> bool:
    return name not in ("seed", "cpu", "seconds") and isinstance(value, (int, float, str)) and value != ""


def _number(value: object) -> str:
    return _count(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def _kills(figures: Figures) -> str:
    return (
        f"{_count(figures['kills'])} SIGKILLs, {_count(figures['acknowledged'])} patches acknowledged; "
        f"failures: {len(figures['failures'])}"
    )


def _decoders(figures: Figures) -> str:
    targets = figures["targets"]
    each = targets.values() if isinstance(targets, dict) else targets
    inputs = sum(target["inputs"] for target in each)
    accepted = sum(target["accepted"] for target in each)
    found = sum(
        target["found"] if isinstance(target["found"], int) else len(target["found"]) for target in each
    )
    return f"{_count(inputs)} inputs to {len(targets)} decoders, {_count(accepted)} accepted; found: {found}"


def _servers(figures: Figures) -> str:
    told = []
    for name, one in sorted(figures.items()):  # as they come back from the page
        if isinstance(one, dict):
            kept = sorted(each for each in one.items() if _plain(*each))
            each = ", ".join(f"{what} {_number(value)}" for what, value in kept)
            told.append(f"{name}: {each}")
    return f"{'; '.join(told)}; failures: {len(figures['failures'])}"


PARTS = (
    Part(
        "steps",
        lambda seed, share: ["steps.py", f"--seed={seed}", f"--steps={round(1_000_000 * share)}"],
        "people, packers, faults: steps",
        _steps,
    ),
    Part(
        "exhaustive",
        lambda seed, share: [
            "exhaustive.py", f"--seed={seed}", "--patches=4", f"--share=0/{max(1, round(1 / share))}",
        ],
        "all histories of up to four patches by three sessions, against both slow twins",
        _exhaustive,
    ),
    Part(
        "kills",
        lambda seed, share: [
            "kills.py", "--seed", f"{seed}", "--kills", f"{max(5, round(1_000 * share))}", "--minutes", "30",
        ],
        "writers and packers of one SQLite file, killed",
        _kills,
    ),
    Part(
        "servers",
        lambda seed, share: ["rethink_faults.py", "--seed", f"{seed}", "--share", f"{share}"],
        "RethinkDB: servers, writers and networks that die, freeze, move and fall silent",
        _servers,
    ),
    Part(
        "decoders",
        lambda seed, share: [
            "decoders.py", "--seed", f"{seed}", "--inputs", f"{max(10_000, round(9_400_000 * share))}",
            "--minutes", "45",
        ],
        "every decoder, fed with what was valid and then bent",
        _decoders,
    ),
    Part(
        "coverage",
        lambda seed, share: [
            "decoders.py", "--seed", f"{seed}", "--inputs", f"{max(10_000, round(600_000 * share))}",
            "--minutes", "20", "--atheris",
        ],
        "the same, guided by coverage (atheris)",
        _decoders,
    ),
    Part(
        "allocation",
        lambda seed, share: ["allocation.py", f"--seed={seed}", "--strict", "--runs=0"],
        "every single allocation of every operation fails (leaks: a share in every run of the tests)",
        _exhaustive,
    ),
    Part(
        "sanitized",
        lambda seed, share: ["sanitized.py", "--seed", f"{seed}", "--minutes", "45"],
        "tests on kernels with bounds checks and sanitizers for addresses and undefined behaviour",
        _exhaustive,
    ),
    Part(
        "mutants",
        lambda seed, share: [
            "mutants.py", "--seed", f"{seed}", "--json", "--share", f"1/{max(1, round(1 / share))}",
        ],
        "seeded faults: who notices",
        lambda figures: (
            f"{sum(bool(row['caught']) for row in figures['table'])} of {len(figures['table'])} caught"
        ),
    ),
)  # fmt: skip


def run(part: Part, seed: int, share: float) -> dict[str, Any]:
    """The part's figures, with how long it took and whether it found anything."""
    began = time.monotonic()
    command = part.command(seed, share)
    done = subprocess.run(
        [sys.executable, TESTS / command[0], *command[1:]], stdout=subprocess.PIPE, text=True, check=False
    )
    lines = done.stdout.strip().splitlines()
    try:
        figures = json.loads(lines[-1])
    except (IndexError, ValueError):
        figures = {"broken": f"no figures, exit status {done.returncode}"}
        done.returncode = done.returncode or 1
    return {
        "seed": seed,
        "share": share,
        "status": done.returncode,
        "seconds": round(time.monotonic() - began),
        "figures": figures,
    }


# --- the page ------------------------------------------------------------------------------------------

HEAD = """# The campaign

Written by `make campaign` (`tests/campaign.py`): what takes longer than a test may. CI runs a share of each
part with a fresh seed; these are the whole ones. A part's seed plays it again:
`python tests/campaign.py --only PART --seed N`.
"""


def page(results: Mapping[str, dict[str, Any]], where: str) -> str:
    rows = ["| part | what | figures | seed | minutes |", "|---|---|---|---|---|"]
    for part in PARTS:
        result = results.get(part.name)
        if result is None:
            rows.append(f"| {part.name} | {part.what} | not run | | |")
            continue
        figures = result["figures"]
        told = figures["broken"] if "broken" in figures else part.tell(figures)
        if result["status"]:
            told = f"**exit status {result['status']}** {told}"
        if result["share"] != 1:
            told = f"(a share of {result['share']:g}) {told}"
        minutes = f"{result['seconds'] / 60:.1f}"
        rows.append(f"| {part.name} | {part.what} | {told} | {result['seed']} | {minutes} |")
    text = f"{HEAD}\n{where}\n\n" + "\n".join(rows) + "\n"
    faults = results.get("mutants", {}).get("figures", {}).get("table", [])
    if faults:
        text += "\n## Who notices which seeded fault\n\n| fault | first noticed by |\n|---|---|\n"
        text += "".join(
            f"| {row['name']} | {row['by'] if row['caught'] else '**nobody**: ' + row['by']} |\n"
            for row in faults
        )
    kept = json.dumps(results, sort_keys=True, separators=(",", ":"), ensure_ascii=True).replace(
        "--", "-\\u002d"
    )
    return f"{text}\n<!-- {kept} -->\n"


def known() -> dict[str, dict[str, Any]]:
    """The figures that stand on the page."""
    if not PAGE.exists():
        return {}
    found = re.search(r"^<!-- (.*) -->$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    result: dict[str, dict[str, Any]] = json.loads(found[1]) if found else {}
    return result


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--only", default=",".join(part.name for part in PARTS), help="parts, by commas")
    arguments.add_argument("--seed", type=int, default=None)
    arguments.add_argument("--share", type=float, default=1.0)
    arguments.add_argument("--lanes", type=int, default=1, help="how many parts at a time")
    given = arguments.parse_args()
    seed = random.SystemRandom().randrange(1 << 30) if given.seed is None else given.seed
    names = given.only.split(",")
    if unknown := set(names) - {part.name for part in PARTS}:
        arguments.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(p.name for p in PARTS)}")
    todo = [part for part in PARTS if part.name in names]
    lock = threading.Lock()
    status = 0
    where = f"{platform.python_implementation()} {platform.python_version()}, {platform.system()}."

    def work() -> None:
        nonlocal status
        while True:
            with lock:
                if not todo:
                    return
                part = todo.pop(0)
                print(f"campaign: {part.name} begins", file=sys.stderr, flush=True)
            try:
                result = run(part, seed, given.share)
                part.tell(result["figures"])
            except Exception as error:
                result = {"seed": seed, "share": given.share, "status": 1, "seconds": 0}
                result["figures"] = {"broken": repr(error)}
            with lock:
                status |= int(result["status"] != 0)
                PAGE.write_text(page({**known(), part.name: result}, where), encoding="utf-8")
                told = "fine" if not result["status"] else f"exit status {result['status']}"
                print(f"campaign: {part.name} {told}, {result['seconds']} s", file=sys.stderr, flush=True)

    lanes = [threading.Thread(target=work) for _ in range(given.lanes)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    return status


if __name__ == "__main__":
    sys.exit(main())
