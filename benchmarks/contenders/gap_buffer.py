"""A gap buffer in C (`gap_buffer.c`), compiled anew in each process: no peer, but the physical limit.

Only the call that replays is timed. Where there is no C compiler it is left out.
"""

from __future__ import annotations

import ctypes
import shlex
import subprocess
import sysconfig
from array import array
from collections.abc import Callable
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recordings import Splices

LABEL = "C gap buffer"
PACKAGE = None
KIND = "floor"
TASKS = ("kernel",)
MERGES = False
CACHES = False


def _compiler() -> list[str]:
    for command in (sysconfig.get_config_var("CC") or "", "cc", "gcc", "clang"):
        words = shlex.split(command)
        if words and which(words[0]):
            return words[:1]
    raise ImportError("no C compiler on PATH")


_CC = _compiler()
VERSION = (
    "by " + subprocess.run([*_CC, "--version"], capture_output=True, text=True).stdout.partition("\n")[0]
)


def _compiled(unit: str) -> Any:
    with TemporaryDirectory() as folder:
        target = str(Path(folder) / "gap_buffer.so")
        source = str(Path(__file__).with_suffix(".c"))
        options = ["-O2", "-shared", "-fPIC", f"-DUNIT={unit}"]
        subprocess.run([*_CC, *options, "-o", target, source], check=True, capture_output=True)
        return ctypes.CDLL(target)


def empty(agent: int = -1) -> list[str]:
    return [""]


class _Text:
    """What a replay left, given back to C once it was read."""

    def __init__(self, at: int, length: int, width: int, free: Any) -> None:
        self.at, self.length, self.width, self.free = at, length, width, free

    def __str__(self) -> str:
        data = ctypes.string_at(self.at, self.length * self.width)
        self.free(self.at)
        return data.decode("ascii" if self.width == 1 else "utf-32-le")


def replayer(edits: Splices) -> Callable[[], _Text]:
    text = "".join(insert for _, _, insert in edits)
    width = 1 if text.isascii() else 4
    function = _compiled("char" if width == 1 else "int").replay
    function.restype = ctypes.c_void_p
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]
    columns = zip(*((pos, delete, len(insert)) for pos, delete, insert in edits), strict=True)
    pos, gone, added = (array("l", column) for column in columns)
    data = text.encode("ascii" if width == 1 else "utf-32-le")
    length = ctypes.c_long()
    given = (
        ctypes.c_long(len(edits)),
        *(ctypes.c_void_p(column.buffer_info()[0]) for column in (pos, gone, added)),
        ctypes.c_char_p(data),
        ctypes.byref(length),
    )
    held = (pos, gone, added, data)  # as long as the function below is

    def replay() -> _Text:
        return _Text(function(*given), length.value, width, free if held else None)

    return replay
