"""The table of seeded faults fits the project as it is; a share of it, another one each time, is tried."""

from __future__ import annotations

import ast
import random
import re
from pathlib import Path

import pytest
import seeds
from mutants import FAULTS, NOTING, ROOT, Change, Fault, judge

HERE = Path(__file__).parent

# Whose tests notice within seconds: the others are for a campaign.
QUICK = {"test_offsets.py", "test_patch.py", "test_reference.py", "test_tags.py", "test_seeded_faults.py"}


def files_of(fault: Fault) -> set[str]:
    return {Path(test.partition("::")[0]).name for test in fault.tests}


def test_there_are_at_least_thirty_faults_each_with_a_name_of_its_own() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names)) >= 30


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_fault_can_be_put_in_where_it_stands(fault: Fault) -> None:
    texts: dict[str, str] = {}
    for change in fault.changes:
        text = texts.get(change.file) or (ROOT / change.file).read_text(encoding="utf-8")
        assert text.count(change.old) == 1, change
        texts[change.file] = text.replace(change.old, change.new)
        assert texts[change.file] != text
    for name, text in texts.items():
        if name.endswith(".py"):
            ast.parse(text)


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_fault_names_tests_that_are_there(fault: Fault) -> None:
    assert fault.tests
    for test in fault.tests:
        name, _, one = test.partition("::")
        source = (ROOT / name).read_text(encoding="utf-8")
        assert not one or re.search(
            rf"^(async )?def {re.escape(one.partition('[')[0])}\(", source, re.MULTILINE
        )


def test_the_copy_is_built_from_what_the_build_script_says() -> None:
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert setup.count('["-O3"]') == setup.count('glob("*.pyx")') == 1
    ast.parse((HERE / "conftest.py").read_text(encoding="utf-8") + NOTING)


@pytest.mark.slow
def test_two_faults_by_chance_are_caught_and_none_is_not() -> None:
    seed = seeds.fresh()
    print(f"seed {seed}")
    quick = [fault for fault in FAULTS if not fault.compiled and files_of(fault) <= QUICK]
    drawn = random.Random(seed).sample(quick, 2)
    none = Fault(
        "none",
        (Change("syncstring/tags.py", "The law of this room", "The law here"),),
        ("tests/test_tags.py",),
    )
    verdicts = judge([*drawn, none], seed)
    assert [verdict.caught for verdict in verdicts] == [True, True, False], (seed, verdicts)
    assert verdicts[-1].by == "every test passed"
