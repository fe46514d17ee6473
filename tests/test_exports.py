"""What a module says it gives is what it gives."""

from __future__ import annotations

import importlib
import pkgutil
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
    public = {
        name
        for name, value in vars(syncstring).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public - {"annotations"} <= set(getattr(syncstring, "__all__", []))


@pytest.mark.parametrize("name", ["syncstring", *MODULES])
def test_what_is_exported_says_what_it_is(name: str) -> None:
    module = load(name)
    silent = [
        each
        for each in getattr(module, "__all__", [])
        if callable(value := getattr(module, each)) and not (getattr(value, "__doc__", None) or "").strip()
    ]
    assert not silent, f"no docstring: {', '.join(silent)}"
