"""The floors: imports go down only, and the rooms of one floor do not know each other.

`.py` files are read with `ast`, of `.pyx`, `.pxd` and `.pyi` files every `import` and `cimport` line counts.
One case a file, so that a failure names the room that broke the rule. A room without a floor fails.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "syncstring"

# From the ground up. A room is a module, or a folder whose files know each other as they like.
FLOORS: list[set[str]] = [
    {"errors", "_memory"},
    {"_bisect", "_common", "_names", "_pool"},
    {"_text", "_runs", "_rows", "_lane", "_folds"},
    {"_entries", "_patch"},
    {"_events", "_stretch"},
    {"_criticals"},
    {"_bytes", "_graph", "_spans", "_diff"},
    {"_columns", "_fugue", "_plan", "_walked"},
    {"_walker"},
    {"_weave"},
    {"_standing", "_tip"},
    {"offsets", "refs", "rules"},
    {"compact", "_clock"},
    {"_values"},
    {"_placed"},
    {"_keys"},
    {"patch"},
    {"pack"},
    {"merge"},
    {"history", "interop"},
    {"timeline"},
    {"exports", "shown", "undo"},
    {"document", "store"},
    {"manifest"},
    {"archive", "tags"},
    {"fsck", "imports"},
    {"link", "outbox", "outside"},
    {"traffic"},
    {"live", "presence"},
    {"session", "blocking", "backends", "traces", "git"},
    {"testing"},
    {"cli"},
]
ROOF = {"__init__", "__main__"}  # what a user imports or runs: above every floor

# No hidden inputs below the session: no clock, no randomness, nothing opened, nothing waited for.
CORE = set().union(*FLOORS[: FLOORS.index({"link", "outbox", "outside"})])
HIDDEN_INPUTS = {
    "asyncio", "multiprocessing", "os", "random", "secrets", "select", "selectors", "signal", "socket",
    "sqlite3", "subprocess", "tempfile", "threading", "time", "uuid",
}  # fmt: skip
ONLY_IN = {
    "diff_match_patch": {"interop", "testing"},
    "hypothesis": {"testing"},
    "rethinkdb": {"backends"},
    "sqlite3": {"backends"},
    "subprocess": {"git", "cli"},
    "click": {"cli"},
    "rich": {"cli"},
}
LONGEST = 600  # lines; a file that needs more holds two ideas

FILES = sorted(
    path
    for suffix in ("py", "pyx", "pxd", "pyi")
    for path in PACKAGE.rglob(f"*.{suffix}")
    if "__pycache__" not in path.parts
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

IMPORT = re.compile(
    r"^\s*(?:from\s+(?P<source>[\w.]+)\s+c?import\s+(?P<names>[^#]+)|c?import\s+(?P<modules>[^#]+))"
)


def room_of(path: Path) -> str:
    """The room that a file belongs to: the first folder or module below the package."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.partition(".")[0]


def imports_of(path: Path) -> Iterator[str]:
    """Every dotted name that the file imports, relative ones spelled out; `from a import b` gives `a.b`."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text, filename=str(path))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                source = absolute(path, "." * node.level + (node.module or ""))
                yield from (f"{source}.{alias.name}" for alias in node.names)
        return
    # Parenthesised lists are joined to one line first: Cython has no `ast`.
    joined = re.sub(r"\(([^()]*)\)", lambda found: found[1].replace("\n", " "), text)
    for line in joined.splitlines():
        found = IMPORT.match(line)
        if found is None:
            continue
        names = (found["names"] or found["modules"]).split(",")
        plain = (name.split(" as ")[0].strip() for name in names if name.strip())
        if found["source"]:
            source = absolute(path, found["source"])
            yield from (f"{source}.{name}" for name in plain)
        else:
            yield from plain


def absolute(path: Path, module: str) -> str:
    dots = len(module) - len(module.lstrip("."))
    if not dots:
        return module
    inside = ("syncstring", *path.relative_to(PACKAGE).parent.parts)
    above = inside[: len(inside) - (dots - 1)]
    return ".".join([*above, module.lstrip(".")]).rstrip(".")


def rooms_imported(path: Path) -> set[str]:
    """The rooms of ours that a file imports; the roof counts as one."""
    rooms = set()
    for name in imports_of(path):
        package, *inside = name.split(".")
        if package == "syncstring":
            rooms.add(inside[0] if inside and inside[0] in LEVEL else "__init__")
    return rooms


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_from_the_floors_below(path: Path) -> None:
    room = room_of(path)
    if room in ROOF:
        return
    assert room in LEVEL, f"{room} has no floor: give it one in FLOORS here and in ARCHITECTURE.md"
    others = rooms_imported(path) - {room}
    wrong = {other for other in others if LEVEL.get(other, len(FLOORS)) >= LEVEL[room]}
    assert not wrong, (
        f"{room} (floor {LEVEL[room]}) imports {', '.join(sorted(wrong))}, which is not below it"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_outside_world_comes_in_by_the_rooms_made_for_it(path: Path) -> None:
    room = room_of(path)
    names = set(imports_of(path))
    heads = {name.split(".")[0] for name in names}
    if room in CORE:
        hidden = (heads | names) & HIDDEN_INPUTS
        assert not hidden, f"{room}: same calls, same bytes; yet it imports {', '.join(sorted(hidden))}"
    for library, rooms in ONLY_IN.items():
        assert library not in heads or room in rooms, f"{library} belongs in {', '.join(sorted(rooms))}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_is_short_enough_to_be_one_idea(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{lines} lines: which two ideas are in here?"


def test_the_reader_of_imports_sees_every_way_to_write_one(tmp_path: Path) -> None:
    kernel = PACKAGE / "_imaginary.pyx"
    source = (
        "from syncstring._text cimport (\n    SpliceLog,\n    TextBuffer,\n)\n"
        "cimport cython\n"
        "from libc.stdlib cimport free, malloc  # why\n"
        "import os, random as chance\n"
        "def late():\n    from syncstring import history\n"
    )
    written = tmp_path / kernel.name
    written.write_text(source)
    assert set(imports_of(written)) == {
        "syncstring._text.SpliceLog",
        "syncstring._text.TextBuffer",
        "cython",
        "libc.stdlib.free",
        "libc.stdlib.malloc",
        "os",
        "random",
        "syncstring.history",
    }
    assert absolute(PACKAGE / "cli" / "log.py", "..patch") == "syncstring.patch"
    assert absolute(PACKAGE / "history.py", ".patch") == "syncstring.patch"
    assert absolute(PACKAGE / "cli" / "log.py", ".") == "syncstring.cli"


def test_no_room_stands_on_two_floors() -> None:
    assert sum(len(rooms) for rooms in FLOORS) == len(LEVEL)
