"""The tree is well-formed: types, style, stubs. So `pytest` alone says whether it is good."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
KERNELS = sorted(path.stem for path in ROOT.joinpath("syncstring").glob("*.pyx"))


def run(*command: str) -> None:
    """Runs a checker on the tree and fails with all that it says."""
    found = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, f"{' '.join(command)}\n{found.stdout}{found.stderr}"


def test_types_are_strict_everywhere() -> None:
    run("mypy", "--strict", "syncstring")


def test_ruff_has_nothing_to_say() -> None:
    run("ruff", "check", ".")


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_has_a_stub_and_a_layout_that_say_what_it_is(kernel: str) -> None:
    assert ROOT.joinpath("syncstring", f"{kernel}.pyi").is_file()
    assert importlib.util.find_spec(f"syncstring.{kernel}") is not None, "not compiled: make build"


def test_stubs_say_what_the_compiled_modules_do() -> None:
    compiled = [f"syncstring.{kernel}" for kernel in KERNELS]
    run("mypy.stubtest", *compiled)
