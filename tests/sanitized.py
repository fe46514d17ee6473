"""Build the kernels with bounds checks and gcc's sanitizers, elsewhere, and run tests on that build.

    python tests/sanitized.py --seed 7 --json

The checkout is copied to a temporary folder and built there with SYNCSTRING_SANITIZE=1: an index out of
range of a list or a buffer raises, an address or an operation that C leaves undefined ends the process. That
this is so is tried first, on a kernel with an error of each kind. Then every file of `FILES` runs in a
process of its own, without what is marked slow, and `allocation.py` for the ways out when memory ends.

Needs gcc with libasan. Prints one line of JSON; exits with 1 if anything failed, crashed, was not reached in
time, or if the sanitizers don't work. LeakSanitizer is off, since CPython never frees much of its own memory:
leaks are `allocation.py`'s part.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

FILES: Final = [
    "test_patch_kernel", "test_text_buffer", "test_diff", "test_graph", "test_walker", "test_patch",
    "test_values", "test_keys", "test_merge", "test_history", "test_timeline", "test_offsets", "test_interop",
    "test_packing_model", "test_decoders", "test_undo", "test_document", "test_folds", "test_stretch",
    "test_sqlite_rows",
]  # fmt: skip
"""Those that work on the kernels most; the others reach them through the same calls."""

_CANARY: Final = """
# cython: language_level=3
from libc.stdlib cimport free, malloc
from libc.string cimport memset

def address(Py_ssize_t i):
    cdef char *block = <char *>malloc(8)
    try:
        memset(block, 1, i)
        return block[0]
    finally:
        free(block)

def undefined(int i):
    cdef int one = 1
    return one << i

def bounds(list items, Py_ssize_t i):
    return items[i]
"""
# (CPython is built with -fwrapv, and so is what it loads: a sum that overflows is defined.)
_KILLED: Final = {
    "address(9)": "heap-buffer-overflow",
    "undefined(40)": "shift exponent",
}

_IGNORED: Final = shutil.ignore_patterns(
    ".*", "build", "__pycache__", "*.so", "*.c", "*.html", "*.egg-info", "node_modules"
)


def copied(folder: Path) -> Path:
    """The checkout without what can be made again."""
    tree = folder / "checkout"
    shutil.copytree(ROOT, tree, ignore=_IGNORED)
    (tree / "syncstring" / "_canary.pyx").write_text(_CANARY, encoding="utf-8")
    return tree


def environment(tree: Path) -> dict[str, str]:
    """How a Python that isn't sanitized itself loads a build that is."""
    runtime = subprocess.run(
        [os.environ.get("CC", "gcc"), "-print-file-name=libasan.so"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if not Path(runtime).is_absolute():
        raise SystemExit("gcc has no libasan here")
    return {
        **os.environ,
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",  # so that every block has its own borders
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SYNCSTRING_SHARED": os.environ.get("SYNCSTRING_SHARED", str(ROOT.parent / "shared")),
    }


def checked(tree: Path, env: dict[str, str]) -> list[str]:
    """Whether it is this build that is loaded, and whether its checks bite."""

    def says(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", code], cwd=tree, env=env, capture_output=True, text=True)

    wrong = []
    loaded = says("import syncstring._walker as kernel; print(kernel.__file__)").stdout.strip()
    if not loaded.startswith(str(tree)):
        wrong.append(f"tests would run on {loaded or 'nothing that can be loaded'}")
    for call, report in _KILLED.items():
        done = says(f"from syncstring._canary import *; print({call})")
        if done.returncode == 0 or not re.search(report, done.stderr):
            wrong.append(f"the sanitizers let {call} pass: {done.stdout or done.stderr:.300}")
    done = says("from syncstring._canary import *; bounds([1], 1)")
    if "IndexError" not in done.stderr:
        wrong.append(f"no bounds are checked: {done.stdout or done.stderr:.300}")
    return wrong


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--seed", type=int, default=None)
    arguments.add_argument("--json", action="store_true", help="figures of each file, too")
    arguments.add_argument("--minutes", type=float, default=20.0, help="what is not reached by then fails")
    arguments.add_argument("--keep", type=Path, default=None, help="build in this folder, and leave it there")
    arguments.add_argument("files", nargs="*", help="test files without .py; a list of our own by default")
    given = arguments.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if given.seed is None else given.seed
    begun = time.monotonic()
    counts = {"passed": 0, "failed": 0, "errors": 0, "skipped": 0, "xfailed": 0}
    each: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="syncstring-sanitized-") as temporary:
        folder = given.keep or Path(temporary)
        tree = folder / "checkout"
        if not tree.exists():
            tree = copied(folder)
            print("building", file=sys.stderr, flush=True)
            subprocess.run(
                [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"],
                cwd=tree,
                env={**os.environ, "SYNCSTRING_SANITIZE": "1"},
                stdout=sys.stderr,
                check=True,
            )
        built = time.monotonic()
        env = environment(tree)
        failures = checked(tree, env)
        commands = {
            name: [
                sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow",
                f"--hypothesis-seed={seed}", f"tests/{name}.py",
            ]
            for name in given.files or FILES
        }  # fmt: skip
        if not given.files:
            commands["allocation"] = [
                sys.executable, "tests/allocation.py", f"--seed={seed}", "--share=60", "--runs=0",
            ]  # fmt: skip
        for name, command in commands.items() if not failures else ():
            print(name, file=sys.stderr, flush=True)
            started = time.monotonic()
            left = begun + 60 * given.minutes - started
            try:
                done = subprocess.run(
                    command, cwd=tree, env=env, capture_output=True, text=True, timeout=max(left, 1)
                )
            except subprocess.TimeoutExpired:
                failures.append(f"{name}: not done after {given.minutes:g} minutes in all")
                continue
            said = dict.fromkeys(counts, 0)
            last = done.stdout.strip().rpartition("\n")[2]
            for number, what in re.findall(r"(\d+) (passed|failed|error|skipped|xfailed)", last):
                said["errors" if what == "error" else what] += int(number)
            for what, number in said.items():
                counts[what] += number
            each[name] = {**said, "seconds": round(time.monotonic() - started, 1)}
            if done.returncode:
                failures.append(f"{name}: exit status {done.returncode}")
                print(done.stdout[-6_000:], done.stderr[-6_000:], sep="\n", file=sys.stderr, flush=True)
    result = {
        "seed": seed,
        "files": len(each),
        **counts,
        "build_seconds": round(built - begun, 1),
        "seconds": round(time.monotonic() - begun, 1),
        "failures": failures,
    }
    if given.json:
        result["each"] = each
    print(json.dumps(result))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
