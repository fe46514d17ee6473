"""What a module says it gives is what it gives."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import syncstring

MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(syncstring.__path__, "syncstring.")
    if found.name != "syncstring.__main__"
)


def load(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.mark.parametrize("name", ["syncstring", *MODULES])
def test_every_name_that_a_module_exports_is_there(name: str) -> None:
    module = load(name)
    exported = getattr(module, "__all__", [])
    missing = [each for each in exported if not hasattr(module, each)]
    assert not missing
    assert len(set(exported)) == len(exported)


def test_the_package_exports_all_its_public_names() -> None:
    for name in syncstring.__all__:
        getattr(syncstring, name)
    public = {
        name
        for name, value in vars(syncstring).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public - {"annotations", "Any", "TYPE_CHECKING", "open"} == set(syncstring.__all__)


def test_types_are_told_the_names_that_are_loaded_when_asked_for() -> None:
    source = Path(syncstring.__file__).read_text(encoding="utf-8")
    told = re.findall(r"^    from syncstring\.\w+ import (\w+) as \1$", source, re.MULTILINE)
    assert sorted(set(told) - {"open"}) == syncstring.__all__


def test_importing_the_package_loads_none_of_it() -> None:
    code = "import sys, syncstring; print([name for name in sys.modules if name.startswith('syncstring.')])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


@pytest.mark.parametrize("name", ["syncstring", *MODULES])
def test_what_is_exported_says_what_it_is(name: str) -> None:
    module = load(name)
    silent = [
        each
        for each in getattr(module, "__all__", [])
        if callable(value := getattr(module, each)) and not (getattr(value, "__doc__", None) or "").strip()
    ]
    assert not silent, f"no docstring: {', '.join(silent)}"
