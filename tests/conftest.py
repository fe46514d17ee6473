"""What several test files share: the merge cases, the recorded traces, how Hypothesis runs.

A test that takes `case` runs once for each line of `merge-cases/`; one that takes `traces` gets the
folder of recorded editing traces, which isn't part of this project, or is skipped without it. One that takes
`rethink`, `rethink_url` or `servers` has real RethinkDB servers, or is skipped, and the summary says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import rethink_servers
import seeds
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
SHARED = "SYNCSTRING_SHARED"

# Machines differ in speed by an order of magnitude, and stand still at times: how long an example takes, or
# drawing one, proves nothing.
settings.register_profile("syncstring", deadline=None, suppress_health_check=[HealthCheck.too_slow])
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


# --- RethinkDB ------------------------------------------------------------------------------------------

RETHINK = "RethinkDB: "  # how the reasons of its skipped tests begin


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.stats.get("skipped", [])
    reasons = [str(report.longrepr[2]) for report in reports if isinstance(report.longrepr, tuple)]
    skipped = [reason.partition(RETHINK)[2] for reason in reasons if RETHINK in reason]
    if skipped:
        line = f"{RETHINK}{len(skipped)} test{'s' * (len(skipped) > 1)} skipped, {skipped[0]}"
        terminalreporter.write_line(line, yellow=True, bold=True)


@pytest.fixture(scope="session")
def servers() -> None:
    """For a test that starts, kills and freezes RethinkDB servers of its own: skipped where none can be."""
    if reason := rethink_servers.missing():
        pytest.skip(f"{RETHINK}{reason}")


@pytest.fixture(scope="session")
def rethink() -> Iterator[rethink_servers.Address]:
    """A RethinkDB server that all share and nobody harms: `$SYNCSTRING_RETHINKDB`, or one for each worker."""
    reason = rethink_servers.missing()
    if url := os.environ.get(rethink_servers.NAME):
        yield rethink_servers.Address.of(url)
    elif reason:
        pytest.skip(f"{RETHINK}{reason} and no ${rethink_servers.NAME}")
    else:
        with rethink_servers.Server() as server:
            yield server


@pytest.fixture
def rethink_url(rethink: rethink_servers.Address) -> Iterator[str]:
    """The URL of a database of the test's own, which nobody made yet; dropped after it."""
    with rethink_servers.database(rethink) as db:
        yield rethink.url(db)
