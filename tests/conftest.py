"""What several test files share: the merge cases, the recorded traces, how Hypothesis runs.

A test that takes `case` runs once for each line of `merge-cases/`; one that takes `traces` gets the
folder of recorded editing traces, which isn't part of this project, or is skipped without it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import seeds
from hypothesis import settings

HERE = Path(__file__).parent
SHARED = "SYNCSTRING_SHARED"

# Machines differ in speed by an order of magnitude: how long an example takes proves nothing.
settings.register_profile("syncstring", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "syncstring"))


def pytest_configure() -> None:
    seeds.draw()


def pytest_report_header() -> str:
    return f"fresh seed: {seeds.fresh()} (${seeds.NAME} gives another)"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        lines = [
            json.loads(line)
            for path in sorted((HERE / "merge-cases").glob("*.jsonl"))
            for line in path.read_text(encoding="utf-8").splitlines()
        ]
        metafunc.parametrize("case", lines, ids=[case["id"] for case in lines])


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the checkout (or `$SYNCSTRING_SHARED`); without it the test is skipped."""
    folder = Path(os.environ.get(SHARED) or HERE.parent.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"needs the folder {folder}, which is not here (${SHARED} names another)")
    return folder


@pytest.fixture(scope="session")
def traces(shared: Path) -> Path:
    """The folder of recorded editing traces: `traces / "friendsforever.json.gz"` and others."""
    folder = shared / "traces"
    if not folder.is_dir():
        pytest.skip(f"needs recorded traces in {folder}, which is not here")
    return folder
