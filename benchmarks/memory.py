"""How much memory typing takes. As little as can be is loaded beside the contender.

The law of this room. The peak is that of this process alone, from after the import on. It is read where
Linux tells it; elsewhere nothing is measured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from recordings import Splices

STATUS = Path("/proc/self/status")
PAGE = 4_096  # less can't be told


class Streamed:
    """A sequential trace whose steps are read from a file, one after the other."""

    agents = 1
    is_sequential = True

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def steps(self) -> Iterator[tuple[int, list[int], Splices]]:
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield 0, [], json.loads(line)


def grown(contender: Any, folder: Path) -> dict[str, Any]:
    """What `measure.py` says of it."""
    if not STATUS.exists():
        return {"refused": "no /proc to read the peak of memory from"}
    trace = Streamed(folder / "edits")
    kept = [contender.empty(0)]
    for _ in trace.steps:
        break
    before = _forget_peak()
    document = getattr(contender, "type_sent", contender.type_all)(trace)
    text = contender.text(document)
    peak = _read("VmHWM")
    del kept
    if text != (folder / "end").read_bytes().decode():
        return {"refused": "its text after the last edit isn't the recorded one"}
    return {"figures": {"grown": max(peak - before, PAGE)}, "digest": ""}


def _forget_peak() -> int:
    """Let the peak begin anew, where that may be done; resident bytes now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _read("VmHWM")
    return _read("VmRSS")


def _read(name: str) -> int:
    found = re.search(rf"^{name}:\s*(\d+) kB", STATUS.read_text(), re.M)
    assert found is not None, name
    return int(found[1]) * 1_024
