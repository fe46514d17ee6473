"""The documents say what is so: examples run, tables are made anew, names and links lead somewhere.

Blocks marked python are run, all of one document in one namespace and one fresh folder; one marked text
right after it is what it prints. In blocks marked console, lines that begin with `$ ` are run, in a fresh
folder, too, and what follows each is what it prints; `make`, `git`, `pip` and `pytest` are left alone.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import io
import keyword
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from test_architecture import FLOORS
from worked_example import BLOCK, EVENTS, TABLES, documents, in_arrival_order

import syncstring
from syncstring import Document, apply
from syncstring._plan import plan
from syncstring._walker import Walker
from syncstring.testing.reference import Reference

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part == "build" for part in path.relative_to(ROOT).parts)
)
README, ARCHITECTURE, INTERNALS = (ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "INTERNALS"))

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
LEFT_ALONE = re.compile(r"^(make|git|pip|\S*pytest|cd) ")

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(path: Path) -> list[tuple[str, str]]:
    """Every fenced block as (language, contents)."""
    return [(found[1], found[2]) for found in FENCE.finditer(read(path))]


def examples(path: Path) -> Iterator[tuple[str, str]]:
    """Every block of Python with what it prints."""
    found = [*FENCE.finditer(read(path))]
    for block, after in zip(found, [*found[1:], None], strict=True):
        if block[1] == "python":
            told = after and after[1] == "text" and not read(path)[block.end() : after.start()].strip()
            yield block[2], after[2] if after and told else ""


def prose(path: Path) -> str:
    return FENCE.sub("", read(path))


def section(path: Path, title: str) -> str:
    """What stands below a heading, up to the next one of its kind."""
    _, _, rest = read(path).partition(f"\n## {title}\n")
    assert rest, f"{path.name} has no section {title!r}"
    return rest.partition("\n## ")[0]


# --- examples


# FORMAT.md's Python is run on its test vectors, by `test_format.py`.
@pytest.mark.parametrize(
    "path",
    [path for path in DOCUMENTS if "```python\n" in read(path) and path.name != "FORMAT.md"],
    ids=lambda path: path.name,
)
def test_python_examples_print_what_the_document_says(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "example"}
    for code, expected in examples(path):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(path), "exec"), namespace)
        assert printed.getvalue() == expected


def commands(path: Path) -> Iterator[tuple[str, str]]:
    """Every command of the document's console blocks, its continued lines joined, with what it prints."""
    for language, contents in blocks(path):
        if language == "console":
            for entry in re.split(r"^\$ ", contents, flags=re.MULTILINE)[1:]:
                command, _, printed = re.sub(r"\\\n> ?", "", entry).partition("\n")
                while printed.startswith("> "):  # a here-document
                    line, _, printed = printed[2:].partition("\n")
                    command += f"\n{line}"
                yield command, printed


@pytest.mark.parametrize(
    "path", [path for path in DOCUMENTS if "```console\n" in read(path)], ids=lambda path: path.name
)
def test_shell_examples_print_what_the_document_says(path: Path, tmp_path: Path) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SYNCSTRING_", "PYTHON"))
    }
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
    }
    for command, expected in commands(path):
        if LEFT_ALONE.match(command):
            continue
        command = re.sub(r"^syncstring\b", f"{sys.executable} -m syncstring", command, flags=re.MULTILINE)
        found = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert found.stdout == expected, command


def test_what_the_readme_says_is_not_there_yet_is_not_there() -> None:
    for name in re.findall(r"`syncstring\.(\w+)`", section(README, "What is not there yet")):
        assert not hasattr(syncstring, name), f"syncstring.{name} is there now: the README says it isn't"


# --- names


def test_the_readme_tells_every_public_name() -> None:
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`\n]+`", read(README)))))
    assert not set(syncstring.__all__) - told


def test_what_the_readme_says_that_each_name_has_is_there() -> None:
    rows = re.findall(r"^\| (`\w+`[^|]*) \| ([^|]*) \|$", section(README, "The library"), re.M)
    assert rows
    for names, told in rows:
        owners = [getattr(syncstring, name) for name in re.findall(r"`(\w+)`", names)]
        had = set().union(*(classes().get(owner.__name__, ()) for owner in owners))
        if had:
            told_names = set(re.findall(r"`([a-z_]\w*)`", told)) - set(keyword.kwlist)
            assert not told_names - had, names


def test_the_readme_tells_every_command() -> None:
    click = pytest.importorskip("click")
    run = importlib.import_module("syncstring.cli.commands").run
    groups = [value for value in vars(inspect.getmodule(run)).values() if isinstance(value, click.Group)]
    (group,) = groups
    told = section(README, "The command line")
    for name in group.commands:
        assert f"`{name}" in told or f"syncstring {name} " in told, name


@cache
def classes() -> dict[str, set[str]]:
    """Every class of the package with what it and its bases have, read from sources and stubs."""
    own: dict[str, set[str]] = {}
    bases: dict[str, set[str]] = {}
    for path in sorted([*(ROOT / "syncstring").rglob("*.py"), *(ROOT / "syncstring").rglob("*.pyi")]):
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.ClassDef):
                own.setdefault(node.name, set()).update(attributes(node))
                bases.setdefault(node.name, set()).update(b.id for b in node.bases if isinstance(b, ast.Name))
    return {name: inherited(name, own, bases) for name in own}


def inherited(name: str, own: dict[str, set[str]], bases: dict[str, set[str]]) -> set[str]:
    above = [inherited(base, own, bases) for base in bases.get(name, ()) if base != name]
    return own.get(name, set()).union(*above)


def attributes(owner: ast.ClassDef) -> Iterator[str]:
    for node in ast.walk(owner):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


@each_document
def test_attributes_that_a_document_names_are_there(path: Path) -> None:
    named = re.findall(r"\b([A-Z]\w+)\.([a-z]\w+)", read(path))
    wrong = [f"{owner}.{name}" for owner, name in named if name not in classes().get(owner, {name})]
    assert not wrong


@each_document
def test_modules_that_a_document_names_are_there(path: Path) -> None:
    places = [ROOT, ROOT / "syncstring", ROOT / "tests", path.parent]
    named = re.findall(r"`([a-z0-9_/]+\.(?:py|pyx|pxd|pyi))`", prose(path))
    assert not [name for name in named if not any((place / name).exists() for place in places)]


@each_document
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = path.parent / name if name else path
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


def anchors(path: Path) -> set[str]:
    """What headings are called in links, as GitHub has it."""
    titles = re.findall(r"^#+ +(.+?)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@each_document
def test_make_knows_the_targets_that_a_document_names(path: Path) -> None:
    known = set(re.findall(r"^([\w-]+):", read(ROOT / "Makefile"), re.MULTILINE))
    code = re.findall(r"(?:`|^\$ )(?:\w+=\S+ )*make +([^`#\n]+)", read(path), re.MULTILINE)
    named = {word for words in code for word in words.split('"')[0].split() if "=" not in word}
    assert not named - known


# --- floors


def drawing() -> str:
    lines = []
    for level, rooms in reversed([*enumerate(FLOORS)]):
        told = [room if stands(room) else f"{room} (later)" for room in sorted(rooms)]
        lines.append(f"{level:3}  {'  '.join(told)}\n")
    return "".join(lines)


def stands(room: str) -> bool:
    places = [ROOT / "syncstring" / room / "__init__.py"]
    places += [ROOT / "syncstring" / f"{room}.{suffix}" for suffix in ("py", "pyx")]
    return any(place.exists() for place in places)


def test_the_floors_are_drawn_as_they_are() -> None:
    assert blocks(ARCHITECTURE)[0] == ("text", drawing())


def test_every_room_has_its_one_idea() -> None:
    told = re.findall(r"^\| `(\w+)` \|", section(ARCHITECTURE, "The floors"), re.MULTILINE)
    assert len(told) == len(set(told))
    assert set(told) == set().union(*FLOORS)


# --- the worked example

MADE = {found[1]: found[2] for found in BLOCK.finditer(read(INTERNALS))}


def test_the_internals_show_each_table_once() -> None:
    assert sorted(TABLES) == sorted(re.findall(r"<!-- made: (\w+) -->", read(INTERNALS)))


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_the_internals_is_what_comes_out(name: str) -> None:
    assert MADE.get(name) == TABLES[name](), "run: python tests/worked_example.py"


def test_the_engine_does_live_what_the_twin_does_in_the_example() -> None:
    cyd = Document(session="fresh", author="cyd", clock=lambda: 1)
    twin, text = Reference(EVENTS.values()), ""
    for n, patch in enumerate(EVENTS.values(), start=1):
        text = apply(text, cyd.receive([patch]))
        assert text == cyd.text == Reference([*EVENTS.values()][:n]).text()
    assert [cyd.at(id) for id in map(id_of, EVENTS)] == [twin.text_at([id]) for id in map(id_of, EVENTS)]


def id_of(name: str) -> tuple[int, str]:
    return EVENTS[name].id


def test_walked_in_one_go_nothing_is_moved_in_the_example() -> None:
    graph = in_arrival_order()
    order = plan(graph, 1, 5)
    walker = Walker(graph, 1, 2)
    walker.walk_all(order)
    assert [f"e{event + 1}" for event in order] == ["e4", "e2", "e3", "e5"]
    assert walker.moves == 0


def test_what_two_deleted_stays_away_though_both_take_it_back() -> None:
    cyd, ann = documents()
    cyd.revert(id_of("e3"))
    ann.receive(cyd.outgoing)
    ann.revert(id_of("e4"))
    assert ann.text == "aYce"


# --- the rest


def test_the_changelog_is_of_this_version() -> None:
    told = read(ROOT / "CHANGELOG.md")
    assert f"\n## [{syncstring.__version__}]" in told or f"will be {syncstring.__version__}" in told


def test_every_test_file_has_its_place_in_the_list() -> None:
    told = re.findall(r"`(test_\w+\.py)`", read(ROOT / "tests" / "README.md"))
    there = {path.name for path in (ROOT / "tests").glob("test_*.py")}
    assert there <= set(told), "say in tests/README.md which tests go there"
