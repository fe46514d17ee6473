"""The measurements measure what they say: every row has its figures, and a wrong text has none.

The traces are tiny and written here; how fast anything is isn't tested.
"""

from __future__ import annotations

import json
import platform
import random
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import derived  # noqa: E402
import growth  # noqa: E402
import memory  # noqa: E402
import recordings  # noqa: E402
import rethink  # noqa: E402
import rethink_page  # noqa: E402
import rethink_tasks  # noqa: E402
import run  # noqa: E402
import stored  # noqa: E402
import svg  # noqa: E402
import table  # noqa: E402
import targets  # noqa: E402
import tasks  # noqa: E402
from rows import SECTIONS, Row, Turn  # noqa: E402

LETTERS = "ab \né漢😀"
SEQUENTIAL = ("automerge-paper", "sveltecomponent", "json-crdt-patch")


def bench(*options: str | Path, script: str = "run.py") -> subprocess.CompletedProcess[str]:
    """`make bench` with options, as a process."""
    command = [sys.executable, str(BENCHMARKS / script), *map(str, options)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def one_author(seed: int, count: int, letters: str) -> dict[str, Any]:
    """A sequential trace with several splices in some of its transactions."""
    chance = random.Random(seed)
    text, txns = "", []
    for number in range(count):
        patches = []
        for _ in range(chance.choice((1, 1, 1, 3))):
            pos = chance.randint(0, len(text))
            delete = min(chance.choice((0, 0, 1, 2)), len(text) - pos)
            insert = chance.choice(letters) + chance.choice(("", "", "xyz"))
            patches.append([pos, delete, insert])
            text = text[:pos] + insert + text[pos + delete :]
        time = f"2020-01-01T00:{number // 60:02}:{number % 60:02}.{chance.randint(0, 999):03}Z"
        txns.append({"time": time, "patches": patches})
    return {"startContent": "", "endContent": text, "txns": txns}


def two_authors(count: int) -> dict[str, Any]:
    """A concurrent trace: both type at ends of their own, and see each other's text now and then."""
    parts = ["", ""]  # agent 0 types to the left of "|", agent 1 to the right
    txns: list[dict[str, Any]] = [{"parents": [], "agent": 0, "patches": [[0, 0, "|"]]}]
    heads, left_seen = [[0], [0]], [0, 0]
    for number in range(1, count):
        agent = number % 2
        if number % 7 == 0:  # sees everything
            heads[agent] = sorted({max(heads[0]), max(heads[1])})
            left_seen[1] = len(parts[0]) if agent else left_seen[1]
        letter = "abcdefg"[number % 7]
        pos = len(parts[0]) if agent == 0 else left_seen[1] + 1 + len(parts[1])
        parts[agent] += letter
        txns.append({"parents": heads[agent], "agent": agent, "patches": [[pos, 0, letter]]})
        heads[agent] = [number]
    return {"kind": "concurrent", "endContent": "|".join(parts), "numAgents": 2, "txns": txns}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every trace that rows ask for, each a few dozen transactions long."""
    folder = tmp_path_factory.mktemp("traces")
    for seed, name in enumerate(SEQUENTIAL):
        trace = one_author(seed, 60, LETTERS if seed == 2 else "abc ")
        folder.joinpath(f"{name}.json").write_text(json.dumps(trace))
    folder.joinpath("friendsforever.json").write_text(json.dumps(two_authors(40)))
    return folder


@pytest.fixture(scope="module")
def everything(tiny: Path) -> tuple[subprocess.CompletedProcess[str], str]:
    """One run of all, and the README that it wrote."""
    output = tiny / "README.md"
    done = bench("--traces", tiny, "--runs", "1", "--output", output)
    return done, output.read_text(encoding="utf-8")


def test_every_row_has_a_figure_of_ours_and_a_ratio(
    everything: tuple[subprocess.CompletedProcess[str], str],
) -> None:
    done, _ = everything
    assert done.returncode == 0, done.stderr
    for section in SECTIONS:
        head, *lines = done.stdout.partition(section.title + "\n")[2].partition("\n\n")[0].splitlines()
        assert head.split()[0] == "syncstring"
        # No two versions of a tiny trace are 500 edits apart.
        rows = [row for row in section.rows if not any(f", {far} edits" in row.label for far in (500, 5000))]
        assert len(lines) == len(rows), section.title
        for line, row in zip(lines, rows, strict=True):
            assert line.startswith(row.label)
            figures = line.removeprefix(row.label).split("  ")
            assert any(figure.strip().endswith(("s", "B")) for figure in figures), line
    peers_are_here = "left out" not in done.stderr
    assert ("ours / best peer" in done.stdout) == peers_are_here


def test_the_readme_holds_the_same_tables_and_how_they_came_about(
    everything: tuple[subprocess.CompletedProcess[str], str], tiny: Path
) -> None:
    done, readme = everything
    lines = [line for line in readme.splitlines() if line.startswith("|") and "---" not in line]
    rows = [" ".join(line.replace("|", " ").split()) for line in lines]
    printed = [" ".join(line.split()) for line in done.stdout.splitlines()]
    titles = {section.title for section in SECTIONS}
    at = printed.index("Targets")
    tables, judged = printed[:at], printed[at + 1 : printed.index("", at)]
    unmeasured = [line for line in rows if line.endswith("not measured")]
    assert [line for line in rows if line not in unmeasured] == [
        *judged,
        *(line for line in tables if line and line not in titles),
    ]
    assert all("00 edits apart" in line for line in unmeasured)
    assert readme.index("## Targets\n") < readme.index("## How\n") < readme.index(f"## {SECTIONS[0].title}\n")
    assert f"{platform.python_implementation()} {platform.python_version()}" in readme
    for secret in (str(tiny), str(BENCHMARKS.parent), platform.node()):
        assert secret not in readme


def test_readme_md_itself_is_left_alone_by_a_run_that_measured_less(tiny: Path) -> None:
    readme = BENCHMARKS / "README.md"
    before = readme.read_bytes() if readme.exists() else None
    done = bench("--traces", tiny, "--runs", "1", "--only", "import")
    assert "README.md stays as it is" in done.stderr
    assert before == (readme.read_bytes() if readme.exists() else None)


def test_json_holds_one_figure_a_run_and_ratios_within_each(tiny: Path) -> None:
    done = bench("--traces", tiny, "--runs", "2", "--only", "apply", "--json")
    (row,) = json.loads(done.stdout)["rows"]
    figures = row["figures"]
    assert all(len(times) == 2 for times in figures.values())
    assert set(figures) >= {"syncstring", "str", "diff-match-patch"}
    peers = [figures[label] for label in figures if label not in ("syncstring", "str")]
    best = [min(times) for times in zip(*peers, strict=True)]
    assert row["ratios"] == [ours / theirs for ours, theirs in zip(figures["syncstring"], best, strict=True)]


def the_str() -> SimpleNamespace:
    """The contender `str`, to be changed, with what it needs for tasks that it isn't asked for."""
    spec = spec_from_file_location("contender", BENCHMARKS / "contenders" / "str.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    def edited(edits: recordings.Splices) -> list[str]:
        return [module.type_all(recordings.sequential("", [edits], ""))[0]]

    def every(document: list[Any]) -> Iterator[str]:
        updates = document[1]
        yield ""
        yield from module.slide([], updates, list(range(len(updates))))

    def type_all(trace: recordings.Trace) -> list[Any]:
        return [*module.type_all(trace), [splices for _, _, splices in trace.steps]]

    return SimpleNamespace(
        **{**vars(module), "type_all": type_all},
        diff=lambda old, new: new,
        patched=lambda old, made: made,
        type_list=edited,
        replayer=lambda edits: lambda: edited(edits)[0],
        every=every,
    )


def longer(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given: function(*given) + "x"


TASKS_OF_STR = (
    "typing", "list", "kernel", "exchange", "versions", "slider", "every", "diff", "different", "apply"
)  # fmt: skip


@pytest.mark.parametrize("task", TASKS_OF_STR)
def test_a_right_contender_has_figures(task: str, tiny: Path) -> None:
    contender = the_str()
    contender.take_at_once = contender.take
    trace = recordings.read(tiny / "json-crdt-patch.json")
    figures, _ = tasks.run(task, contender, trace, 1)
    assert figures and all(value >= 0 for value in figures.values())


@pytest.mark.parametrize("task", TASKS_OF_STR)
def test_a_contender_with_a_wrong_text_has_none(task: str, tiny: Path) -> None:
    contender = the_str()
    if task == "versions":
        contender.Past.text = longer(contender.Past.text)
    elif task == "slider":
        right = contender.slide
        contender.slide = lambda *given: (text + "x" for text in right(*given))
    elif task == "every":
        texts = contender.every
        contender.every = lambda document: (text + "x" for text in texts(document))
    elif task == "kernel":
        contender.replayer = lambda edits: lambda: "x"
    else:
        contender.text, contender.patched = longer(contender.text), longer(contender.patched)
    trace = recordings.read(tiny / "json-crdt-patch.json")
    with pytest.raises(tasks.WrongText, match="code points and differs at"):
        tasks.run(task, contender, trace, 1)


def ours() -> SimpleNamespace:
    """Our own contender, to be changed."""
    spec = spec_from_file_location("contender", BENCHMARKS / "contenders" / "syncstring.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return SimpleNamespace(**vars(module))


def test_branches_that_end_in_a_wrong_text_have_no_figures(tiny: Path) -> None:
    trace = recordings.read(tiny / "json-crdt-patch.json")
    contender = ours()
    figures, _ = tasks.run("branches", contender, trace, 1)
    assert len(figures) == 8
    contender.text = longer(contender.text)
    with pytest.raises(tasks.WrongText, match="after the merge"):
        tasks.run("branches", contender, trace, 1)


def test_what_is_opened_must_have_the_recorded_text(tiny: Path, tmp_path: Path) -> None:
    trace = recordings.read(tiny / "json-crdt-patch.json")
    contender = ours()
    contender.STORED = ("tail 50", "whole")
    contender.store(trace, tmp_path)
    assert set(stored.opened(contender, trace, tmp_path).figures) == set(contender.STORED)
    contender.text = longer(contender.text)
    with pytest.raises(tasks.WrongText, match="after it was opened"):
        stored.opened(contender, trace, tmp_path)


def test_a_store_has_the_tail_that_its_name_says_and_all_of_the_history(tiny: Path, tmp_path: Path) -> None:
    trace = recordings.read(tiny / "json-crdt-patch.json")
    contender = ours()
    contender.store(trace, tmp_path)
    once = len(trace.steps)
    for figure, count in (("tail 50", once), ("whole", once), ("tail 50, 10 x", 10 * once + 9)):
        document = contender.open_stored(tmp_path, figure)
        assert figure == "whole" or len(document.history.patches()) == 50
        assert len(document.versions) == count + 1
        contender.close_stored(document)


@pytest.mark.skipif(not memory.STATUS.exists(), reason="only Linux tells the peak")
def test_memory_is_told_of_a_right_text_only(tiny: Path, tmp_path: Path) -> None:
    trace = recordings.read(tiny / "json-crdt-patch.json")
    contender = the_str()
    stored.stream(contender, trace, tmp_path)
    assert [tuple(map(tuple, edits)) for _, _, edits in memory.Streamed(tmp_path / "edits").steps] == [
        tuple(step.splices) for step in trace.steps
    ]
    contender.type_all = lambda given: [
        contender.type_list([s for _, _, each in given.steps for s in each])[0]
    ]
    assert memory.grown(contender, tmp_path)["figures"]["grown"] >= memory.PAGE
    contender.text = longer(contender.text)
    assert "isn't the recorded one" in memory.grown(contender, tmp_path)["refused"]


def test_the_entropy_of_times_is_that_of_their_differences() -> None:
    edits: list[recordings.Splices] = [[(0, 0, "a")]] * 9
    even = recordings.sequential("even", edits, "a" * 9, [1_000_000 * n for n in range(9)])
    assert stored.times(ours(), even, 1).figures["entropy"] == 0
    gaps = [1_000_000 * n + 7_000 * (n % 4 > 1) for n in range(9)]  # four differences, each twice
    assert stored.times(ours(), recordings.sequential("", edits, "a" * 9, gaps), 1).figures["entropy"] == 1.5


def test_without_a_compiler_the_gap_buffer_says_that_it_is_missing() -> None:
    command = [
        sys.executable,
        str(BENCHMARKS / "measure.py"),
        str(BENCHMARKS / "contenders" / "gap_buffer.py"),
    ]
    done = subprocess.run(command, env={"PATH": ""}, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"missing": "no C compiler on PATH"}


def test_a_refused_contender_has_no_column_and_the_others_count(tiny: Path, tmp_path: Path) -> None:
    source = (BENCHMARKS / "contenders" / "str.py").read_text(encoding="utf-8")
    assert source.count("return [text]") == 1
    wrong = tmp_path / "wrong.py"
    wrong.write_text(source.replace("return [text]", "return [text + 'x']").replace('"str"', '"wrong"'))
    done = bench("--traces", tiny, "--runs", "1", "--only", "typing svelte", "--json", "--contender", wrong)
    assert done.returncode == 1
    assert (
        "bench: wrong is refused at typing sveltecomponent: its text after the last edit has" in done.stderr
    )
    said = json.loads(done.stdout)
    assert [each["contender"] for each in said["refused"]] == ["wrong"]
    (row,) = said["rows"]
    assert {"syncstring", "str"} <= set(row["figures"]) and "wrong" not in row["figures"]


def test_whose_texts_differ_from_those_of_most_is_refused() -> None:
    assert run.outvoted({}) == []
    assert run.outvoted({"a": "1"}) == []
    assert run.outvoted({"a": "1", "b": "1", "c": "2"}) == ["c"]
    assert run.outvoted({"a": "1", "b": "2"}) == ["a", "b"]


def test_without_traces_the_rest_is_measured_and_one_line_says_so(tmp_path: Path) -> None:
    done = bench("--traces", tmp_path, "--runs", "1")
    assert done.returncode == 0
    assert "import and one document" in done.stdout and "Typing" not in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if "no trace" in line]
    assert all(name in line for name in (*SEQUENTIAL, "friendsforever"))


def test_nothing_left_to_measure_is_exit_status_2(tmp_path: Path) -> None:
    done = bench("--traces", tmp_path, "--only", "typing")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "bench: nothing is left to measure"
    assert done.stdout == ""


def test_a_peer_that_is_not_installed_is_left_out_in_one_line(tiny: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent.py"
    absent.write_text("import a_package_that_is_nowhere\n")
    page = tmp_path / "README.md"
    options = ("--runs", "1", "--only", "import", "--contender", absent, "--output", page)
    done = bench("--traces", tiny, *options)
    assert done.returncode == 0
    said = "absent is left out: No module named 'a_package_that_is_nowhere'"
    assert f"bench: {said}" in done.stderr.splitlines()
    assert f"Not measured: {said}." in page.read_text(encoding="utf-8").splitlines()
    assert "import and one document" in done.stdout


def test_a_trace_that_can_not_be_read_is_left_out_in_one_line(tmp_path: Path) -> None:
    tmp_path.joinpath("sveltecomponent.json.gz").write_bytes(b"\x1f\x8bno")
    done = bench("--traces", tmp_path, "--runs", "1", "--only", "typing")
    assert done.returncode == 2
    assert "bench: trace sveltecomponent can't be replayed: " in done.stderr


def test_the_quick_form_says_that_it_replays_beginnings(tiny: Path, tmp_path: Path) -> None:
    before = (BENCHMARKS / "README.md").read_bytes()
    output = tmp_path / "README.md"
    done = bench("--traces", tiny, "--quick", "--only", "typing svelte", "--output", output)
    assert done.returncode == 0, done.stderr
    assert f"only the first {run.QUICK:,} transactions" in " ".join(output.read_text().split())
    assert (BENCHMARKS / "README.md").read_bytes() == before


def test_on_beginnings_alone_no_target_is_met_or_missed() -> None:
    for ours, met, count in ((0.1, "(yes)", 1), (0.9, "(no)", 0)):
        found = results(us=[ours] * 3, a=[1.0] * 3)
        found.figures = {Turn("typing", targets.PAPER): found.figures[Turn("typing", "t")]}
        found.cut = 8_000
        judged = [each for each in targets.judged(found) if each.met != "not measured"]
        assert [each.met for each in judged] == [met]
        assert targets.verdict(judged) == f"Were these the whole, {count} of 1 targets would be met."


# --- targets --------------------------------------------------------------------------------------------


def results(**figures: list[float]) -> table.Results:
    """Three runs of one figure, by contender."""
    kinds = {"us": "ours", "a": "peer", "b": "peer", "c": "yardstick"}
    found = table.Results(3, {label: (kind, "1") for label, kind in kinds.items()})
    found.figures[Turn("typing", "t")] = {label: {"all": times} for label, times in figures.items()}
    return found


def judge(goal: targets.Goal | None, unit: str = "s", **figures: list[float]) -> targets.Judged:
    return targets._judge(
        targets.Target("it", Row(Turn("typing", "t"), "all", "", unit), goal), results(**figures)
    )


def test_every_target_is_a_row_that_is_measured() -> None:
    rows = {(row.turn, row.figure, row.unit) for section in SECTIONS for row in section.rows}
    asked = [target.row for target in targets.TARGETS]
    asked += [goal.than for _, _, goal in targets.TARGETS if goal and isinstance(goal.than, Row)]
    for row in asked:
        assert (row.turn, row.figure, row.unit) in rows, row


def test_a_target_counts_the_median_of_ratios_to_the_best_peer_of_each_run() -> None:
    figures = {"us": [1.0, 1.0, 9.0], "a": [2.0, 4.0, 9.0], "b": [4.0, 2.0, 9.0]}
    assert judge(targets.Goal(0.5, "peers"), **figures)[1:] == (
        "1.00 s", "4.00 s (a)", "0.50 (0.50 to 1.00)", "≤ 0.5 ×", "yes",
    )  # fmt: skip
    assert judge(targets.Goal(0.4, "peers"), **figures).met == "no"


def test_a_target_may_name_what_it_is_compared_with() -> None:
    figures = {"us": [3.0, 3.0, 3.0], "a": [1.0, 1.0, 1.0], "c": [2.0, 2.0, 2.0]}
    assert judge(targets.Goal(1.5, "c"), **figures)[2:] == ("2.00 s (c)", "1.50", "≤ 1.5 ×", "yes")
    itself = Row(Turn("typing", "t"), "all", "")
    assert judge(targets.Goal(1, itself), **figures).met == "yes"
    assert judge(targets.Goal(0.9, itself), **figures).met == "no"


def test_a_target_by_itself_knows_whether_more_is_better() -> None:
    assert judge(targets.Goal(2.0), us=[1.0, 2.0, 3.0]).met == "yes"
    assert judge(targets.Goal(1.9), us=[1.0, 2.0, 3.0]).met == "no"
    assert judge(targets.Goal(1.9), "/s", us=[1.0, 2.0, 3.0])[4:] == ("≥ 2 /s", "yes")
    assert judge(targets.Goal(2.1), "/s", us=[1.0, 2.0, 3.0]).met == "no"
    assert judge(None, us=[1.0, 2.0, 3.0])[4:] == ("reported", "-")


def test_what_can_not_be_told_is_neither_met_nor_left_out() -> None:
    goal = targets.Goal(1, "peers")
    found = [judge(goal), judge(goal, us=[1.0, 1.0, 1.0]), judge(goal, us=[1.0] * 3, a=[2.0] * 3)]
    assert [each.met for each in found] == ["not measured", "no peer here", "yes"]
    nothing = Row(Turn("typing", "t"), "other", "")
    assert judge(targets.Goal(1, nothing), us=[1.0, 1.0, 1.0]).met.startswith("no ")
    assert targets.verdict(found) == (
        "Of 1 targets 1 are met. Not told: it (not measured); it (no peer here)."
    )


def test_what_bounds_a_target_is_said_where_it_is_not_met() -> None:
    assert set(targets.BOUNDS) < {target.what for target in targets.TARGETS}
    what, bound = next(iter(targets.BOUNDS.items()))
    missed = targets.Judged(what, "2 s", "1 s (a)", "2", "≤ 1 ×", "no")
    assert targets.bounds([missed]) == f"What bounds these: {what}: {' '.join(bound.split())}."
    assert targets.bounds([missed._replace(met="yes"), missed._replace(what="it")]) == ""
    shown = [
        line[-1] for line in targets.lines([missed, missed._replace(met="yes"), missed._replace(what="it")])
    ]
    assert shown == ["no, bounded", "yes", "no"]


# --- growth ---------------------------------------------------------------------------------------------


def test_growth_has_a_point_for_every_operation_and_size(tiny: Path, tmp_path: Path) -> None:
    before = BENCHMARKS.joinpath("growth.svg").read_bytes()
    output = tmp_path / "growth.svg"
    options = ("--traces", tiny, "--sizes", "120,400", "--runs", "1", "--json", "--output", output)
    done = bench(*options, script="growth.py")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == set(growth.NAMES)
    assert all([size for size, _ in points] == [120, 400] for points in found.values())
    assert all(value > 0 for points in found.values() for _, value in points)
    titles = ElementTree.parse(output).iterfind(".//*[@class='title']")
    assert [title.text for title in titles] == list(growth.NAMES.values())
    assert BENCHMARKS.joinpath("growth.svg").read_bytes() == before


def test_growth_without_traces_is_exit_status_2(tmp_path: Path) -> None:
    done = bench("--traces", tmp_path, script="growth.py")
    assert done.returncode == 2
    assert done.stderr.startswith("growth: nothing can be measured: no trace ")


def test_a_page_of_panels_is_the_same_for_the_same_series() -> None:
    series = {"a < b": [(1_000.0, 0.5), (1_000_000.0, 80.0)], "flat": [(10.0, 1.0), (20.0, 1.0)]}
    drawn = svg.page(series, str, str, ["foot & all"])
    assert drawn == svg.page(series, str, str, ["foot & all"])
    root = ElementTree.fromstring(drawn)
    assert [line.text for line in root.iterfind("{*}text")] == ["foot & all"]
    for group in root.iterfind("{*}g"):
        dots = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in group.iterfind("{*}circle")]
        assert dots[0][0] == svg.LEFT
        assert all(svg.LEFT <= x <= svg.WIDTH - svg.RIGHT for x, _ in dots)
        assert all(svg.TOP <= y <= svg.HEIGHT - svg.BOTTOM for _, y in dots)
    (rising, flat) = root.iterfind("{*}g")
    assert len({dot.attrib["cy"] for dot in flat.iterfind("{*}circle")}) == 1
    first, second = (float(dot.attrib["cy"]) for dot in rising.iterfind("{*}circle"))
    assert second < first  # more is higher


# --- through RethinkDB ----------------------------------------------------------------------------------


def tables(page: str) -> dict[str, list[list[str]]]:
    """The cells of a page's tables, by the heading above each."""
    found: dict[str, list[list[str]]] = {}
    title = ""
    for line in page.splitlines():
        if line.startswith("#"):
            title = line.lstrip("# ")
        elif line.startswith("| ") and "---" not in line:
            found.setdefault(title, []).append([cell.strip() for cell in line.strip("|").split("|")])
    return found


@pytest.mark.slow
def test_everything_is_measured_through_a_server_and_has_a_figure(servers: None, tmp_path: Path) -> None:
    output = tmp_path / "README.md"
    before = (BENCHMARKS / "README.md").read_bytes()
    done = bench("--quick", "--json", "--output", output, script="rethink.py")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert not found["refused"]
    page = output.read_text(encoding="utf-8")
    titles = {
        "A keystroke, until a peer shows it": 5,
        "Patches per second": len(rethink.QUICK.rates) + 1,
        "Catching up": 4,
        "After a kill": 5,
        "Much that is open": len(rethink.QUICK.held),
    }
    cells = tables(page)
    assert {title: len(rows) - 1 for title, rows in cells.items()} == titles
    for rows in cells.values():
        assert {len(row) for row in rows} == {len(rows[0])}
        assert all(any(cell[:1].isdigit() for cell in row[1:]) for row in rows[1:]), rows
    assert found["keystrokes"][0]["peer, median"][0] > 0
    for secret in (str(tmp_path), str(BENCHMARKS.parent), platform.node()):
        assert secret not in page
    assert (BENCHMARKS / "README.md").read_bytes() == before


def test_without_a_server_nothing_is_measured_and_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    done = bench(script="rethink.py")
    assert done.returncode == 2
    assert done.stderr == "bench: nothing can be measured: no `rethinkdb` on PATH\n"
    assert done.stdout == ""


def test_a_task_whose_result_is_wrong_has_no_figure() -> None:
    results = rethink.Results(rethink.QUICK)
    with rethink._refusing(results, "this"):
        rethink_tasks.expect(1 == 2, "one is not two")
    assert results.refused == {"this": "Wrong: one is not two"}
    assert "###" not in rethink_page.section(results)


def test_the_part_about_rethinkdb_is_put_in_place_of_the_old_and_kept_by_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    rethink_page.put("## One\n", page)
    assert page.read_text() == f"{rethink_page.BEGIN}\n\n## One\n\n{rethink_page.END}\n"
    page.write_text("# Above\n")
    assert rethink_page.part(page) == ""
    rethink_page.put("## One\n", page)
    once = page.read_text()
    assert once.startswith("# Above\n\n<!--") and "## One" in once
    assert once == "# Above\n" + rethink_page.part(page)
    rethink_page.put("## Two\n", page)
    assert page.read_text() == once.replace("One", "Two")


# --- recordings -----------------------------------------------------------------------------------------


def test_a_replica_holds_exactly_what_its_author_had_seen(tiny: Path) -> None:
    trace = recordings.read(tiny / "friendsforever.json")
    has: list[set[int]] = [set() for _ in range(trace.agents)]
    for number, (agent, arrived, _) in enumerate(trace.steps):
        assert not has[agent] & set(arrived)
        has[agent] |= {*arrived, number}
        assert has[agent] == set(trace.members(number))
    for agent, rest in enumerate(trace.rest):
        assert has[agent] | set(rest) == set(range(len(trace.steps)))
        assert len(has[agent]) + len(rest) == len(trace.steps)


@pytest.mark.parametrize(
    ("parents", "text", "says"),
    [([], "x", "typed without all that its author had"), ([0], "", "changes nothing")],
)
def test_a_trace_that_replicas_can_not_follow_is_refused(parents: list[int], text: str, says: str) -> None:
    txns = [{"parents": [], "agent": 0}, {"parents": parents, "agent": 0}]
    with pytest.raises(ValueError, match=says):
        recordings.concurrent("odd", txns, [[(0, 0, "a")], [(0, 0, text)]], 1, "xa", [0, 0])


def test_positions_in_utf8_make_the_same_text(tiny: Path) -> None:
    trace = recordings.read(tiny / "json-crdt-patch.json")
    data = b""
    for _, _, splices in trace.in_utf8().steps:
        for pos, delete, insert in splices:
            data = data[:pos] + insert.encode() + data[pos + delete :]
    assert not trace.is_ascii
    assert data.decode() == trace.end


def test_the_tail_of_a_trace_ends_as_the_trace_does(tiny: Path) -> None:
    trace = recordings.read(tiny / "automerge-paper.json")
    tail = trace.tail(10)
    assert len(tail.steps) == 11
    assert tail.texts([10])[10] == trace.end
    assert tail.texts([0])[0] == trace.texts([len(trace.steps) - 11])[len(trace.steps) - 11]


def test_times_are_microseconds_since_the_epoch() -> None:
    assert recordings._micros("1970-01-02T00:00:00.001Z") == 86_400_001_000
    assert recordings._micros("1970-01-01T02:00:00+02:00") == 0
    assert recordings._micros(None) == 0


def edited(text: str, edits: list[recordings.Splices]) -> str:
    for splices in edits:
        for pos, delete, insert in splices:
            text = text[:pos] + insert + text[pos + delete :]
    return text


def test_a_flattened_trace_ends_as_the_concurrent_one(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "flat.json"
    derived.flatten(tiny / "friendsforever.json", path)
    flat, source = recordings.read(path), recordings.read(tiny / "friendsforever.json")
    assert flat.is_sequential and flat.end == source.end == edited("", [step.splices for step in flat.steps])
    inserted = ["".join(insert for _, _, insert in step.splices) for step in source.steps]
    assert ["".join(insert for _, _, insert in step.splices) for step in flat.steps] == inserted


@pytest.mark.parametrize("name", ["json-crdt-patch", "friendsforever"])
@pytest.mark.parametrize("count", [1, 17, 10_000])
def test_a_shortened_trace_is_the_beginning_of_the_whole(
    name: str, count: int, tiny: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"{name}.json"
    derived.shorten(tiny / f"{name}.json", path, count)
    short, whole = recordings.read(path), recordings.read(tiny / f"{name}.json")
    assert short.steps == whole.steps[:count]
    figures, _ = tasks.run("exchange", ours(), short, 1)  # which ends in the text that it names
    assert figures


def test_branches_are_the_same_edits_as_one_authors_history(tiny: Path) -> None:
    trace = recordings.read(tiny / "automerge-paper.json")
    found = derived.branches(trace, 15)
    assert len(found.mine) == len(found.theirs) == len(found.behind) == 15
    assert edited(found.base, found.mine + found.behind) == found.end
    alone = edited(found.base, found.theirs)
    assert alone.startswith(found.base) and found.end.endswith(alone.removeprefix(found.base))


def test_a_document_of_any_length_has_the_text_that_is_foretold(tiny: Path) -> None:
    traces = [recordings.read(tiny / f"{name}.json") for name in SEQUENTIAL[:2]]
    text = ""
    for count, splices in zip(range(1, 300), derived.endless(traces, "base"), strict=False):
        text = edited(text, [splices])
        assert text == derived.endless_text(traces, "base", count), count
    assert text.endswith("base")


# --- cells ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (12.345, "s", "12.3 s"),
        (1.0, "s", "1.00 s"),
        (0.9996, "s", "1.00 s"),
        (0.12345, "s", "123 ms"),
        (0.0099951, "s", "10.0 ms"),
        (0.000_012_3, "s", "12.3 µs"),
        (36.0, "B", "36 B"),
        (36.84, "B", "36.8 B"),
        (0.284, "B", "0.28 B"),
        (5.0, "B", "5 B"),
        (100.0, "B", "100 B"),
        (21_932.2, "B", "21,932 B"),
        (72_870.0, "B", "72,870 B"),
        (2.1 * 2**20, "MiB", "2.10 MiB"),
        (12_345.6, "/s", "12,346 /s"),
    ],
)
def test_figures_are_written_with_three_digits(value: float, unit: str, written: str) -> None:
    assert table.shown(value, unit) == written


def test_a_ratio_is_the_median_of_those_within_each_run() -> None:
    turn = SECTIONS[0].rows[0].turn
    kinds = {"us": ("ours", "1"), "a": ("peer", "1"), "b": ("peer", "1"), "str": ("yardstick", "1")}
    figures = {"us": [1.0, 2.0, 9.0], "a": [2.0, 1.0, 3.0], "b": [4.0, 8.0, 1.0], "str": [1.0, 1.0, 1.0]}
    results = table.Results(3, kinds, {turn: {label: {"all": times} for label, times in figures.items()}})
    ((_, (head, cells)),) = table.tables(results)
    assert head == ["", "us", "a", "b", "str", "ours / best peer", "ours / str"]
    assert cells[1:] == ["2.00 s", "2.00 s", "4.00 s", "1.00 s", "2.00 (0.50 to 9.00)", "2.00 (1.00 to 9.00)"]
