"""The measurements measure what they say: every row has its figures, and a wrong text has none.

The traces are tiny and written here; how fast anything is isn't tested.
"""

from __future__ import annotations

import json
import platform
import random
import subprocess
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import recordings  # noqa: E402
import rethink  # noqa: E402
import rethink_page  # noqa: E402
import rethink_tasks  # noqa: E402
import run  # noqa: E402
import table  # noqa: E402
import tasks  # noqa: E402

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
    for _ in range(count):
        patches = []
        for _ in range(chance.choice((1, 1, 1, 3))):
            pos = chance.randint(0, len(text))
            delete = min(chance.choice((0, 0, 1, 2)), len(text) - pos)
            insert = chance.choice(letters) + chance.choice(("", "", "xyz"))
            patches.append([pos, delete, insert])
            text = text[:pos] + insert + text[pos + delete :]
        txns.append({"patches": patches})
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
    for section in table.SECTIONS:
        head, *lines = done.stdout.partition(section.title + "\n")[2].partition("\n\n")[0].splitlines()
        assert head.split()[0] == "syncstring"
        # No two versions of a tiny trace are 500 edits apart.
        rows = [row for row in section.rows if not any(far in row.label for far in ("500", "5000"))]
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
    assert rows == [line for line in printed if line and line not in {s.title for s in table.SECTIONS}]
    assert f"## {table.SECTIONS[0].title}\n" in readme
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
    """The contender `str`, to be changed."""
    spec = spec_from_file_location("contender", BENCHMARKS / "contenders" / "str.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return SimpleNamespace(**vars(module), diff=lambda old, new: new, patched=lambda old, made: made)


def longer(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given: function(*given) + "x"


TASKS_OF_STR = ("typing", "exchange", "versions", "slider", "diff", "apply")


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
    else:
        contender.text, contender.patched = longer(contender.text), longer(contender.patched)
    trace = recordings.read(tiny / "json-crdt-patch.json")
    with pytest.raises(tasks.WrongText, match="code points and differs at"):
        tasks.run(task, contender, trace, 1)


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
    done = bench("--traces", tiny, "--runs", "1", "--only", "import", "--contender", absent)
    assert done.returncode == 0
    said = "bench: absent is left out: No module named 'a_package_that_is_nowhere'"
    assert said in done.stderr.splitlines()
    assert "import and one document" in done.stdout


def test_a_trace_that_can_not_be_read_is_left_out_in_one_line(tmp_path: Path) -> None:
    tmp_path.joinpath("sveltecomponent.json.gz").write_bytes(b"\x1f\x8bno")
    done = bench("--traces", tmp_path, "--runs", "1", "--only", "typing")
    assert done.returncode == 2
    assert "bench: trace sveltecomponent can't be replayed: " in done.stderr


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
        recordings.concurrent("odd", txns, [[(0, 0, "a")], [(0, 0, text)]], 1, "xa")


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
    ],
)
def test_figures_are_written_with_three_digits(value: float, unit: str, written: str) -> None:
    assert table.shown(value, unit) == written


def test_a_ratio_is_the_median_of_those_within_each_run() -> None:
    turn = table.SECTIONS[0].rows[0].turn
    kinds = {"us": ("ours", "1"), "a": ("peer", "1"), "b": ("peer", "1"), "str": ("yardstick", "1")}
    figures = {"us": [1.0, 2.0, 9.0], "a": [2.0, 1.0, 3.0], "b": [4.0, 8.0, 1.0], "str": [1.0, 1.0, 1.0]}
    results = table.Results(3, kinds, {turn: {label: {"all": times} for label, times in figures.items()}})
    ((_, (head, cells)),) = table.tables(results)
    assert head == ["", "us", "a", "b", "str", "ours / best peer", "ours / str"]
    assert cells[1:] == ["2.00 s", "2.00 s", "4.00 s", "1.00 s", "2.00 (0.50 to 9.00)", "2.00 (1.00 to 9.00)"]
