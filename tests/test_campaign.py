"""The campaign's page is what its script makes of its figures, and each part runs."""

from __future__ import annotations

import json
import subprocess
import sys

import campaign
import pytest


def test_the_page_says_what_the_figures_say() -> None:
    text = campaign.PAGE.read_text(encoding="utf-8")
    where = text[len(campaign.HEAD) :].strip().split("\n")[0]
    assert text == campaign.page(campaign.known(), where)


def test_a_part_that_found_something_stands_out() -> None:
    known = campaign.known()
    known["kills"] = {**known["kills"], "status": 1}
    assert "**exit status 1**" in campaign.page(known, "here")


@pytest.mark.parametrize("part", campaign.PARTS, ids=lambda part: part.name)
def test_a_part_has_the_options_that_it_is_asked_for_with(part: campaign.Part) -> None:
    script, *options = part.command(1, 0.001)
    told = subprocess.run(
        [sys.executable, campaign.TESTS / script, "--help"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    for option in options:
        assert not option.startswith("--") or option.partition("=")[0] in told


def test_some_of_a_million_steps_are_taken() -> None:
    done = subprocess.run(
        [sys.executable, campaign.TESTS / "steps.py", "--steps", "5000"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["found"] == "" and figures["total"] >= 5000
    assert set(figures["steps"]) == {"simulated", "memory", "sqlite", "hypothesis"}
