"""One contender, one task, one trace, in this process: prints one JSON line.

    measure.py CONTENDER.py                       who it is
    measure.py CONTENDER.py import                CPU seconds until its first document stands
    measure.py CONTENDER.py TASK TRACE SEED DIR   the task's figures; DIR holds what was prepared for it
    measure.py CONTENDER.py prepare TASK TRACE DIR   lays into DIR what the task needs; no figures

The law of this room. The contender is loaded first, with as little as can be loaded before it, so that its
import is its own. The trace is read and put out of the garbage collector's sight before anything is timed.
What goes wrong is said in the line: `missing` where the package isn't installed, `refused` where it fails or
its text is wrong.
"""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from time import process_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    path, *rest = sys.argv[1:]
    spec = spec_from_file_location("contender", path)
    assert spec is not None and spec.loader is not None, path
    contender: Any = module_from_spec(spec)
    began = process_time()
    try:
        spec.loader.exec_module(contender)
    except ImportError as error:
        say({"missing": f"{error}"})
        return
    contender.empty()
    ready = process_time() - began
    if not rest:
        from importlib.metadata import version
        from platform import python_version

        package = contender.PACKAGE
        say(
            {
                "label": contender.LABEL,
                "kind": contender.KIND,
                "tasks": contender.TASKS,
                "merges": contender.MERGES,
                "version": version(package) if package else getattr(contender, "VERSION", python_version()),
            }
        )
    elif rest[0] == "import":
        say({"figures": {"all": ready}, "digest": ""})
    elif rest[0] == "prepare":
        say(prepare(contender, *rest[1:]))
    elif rest[0] == "memory":
        say(memory(contender, rest[3]))
    elif rest[0] == "start":
        from starting import started

        say({"figures": started(contender), "digest": ""})
    else:
        say(task(contender, *rest))


def prepare(contender: Any, name: str, trace: str, folder: str) -> dict[str, Any]:
    from pathlib import Path

    import recordings
    import tasks

    try:
        tasks.PREPARED[name](contender, recordings.read(Path(trace)), Path(folder))
    except Exception as error:
        return {"refused": _said(error)}
    return {}


def memory(contender: Any, folder: str) -> dict[str, Any]:
    from pathlib import Path

    from memory import grown

    return grown(contender, Path(folder))


def task(contender: Any, name: str, trace: str, seed: str, folder: str) -> dict[str, Any]:
    import gc
    from pathlib import Path

    import recordings
    import tasks

    read = recordings.read(Path(trace))
    gc.collect()
    gc.freeze()
    try:
        outcome = tasks.run(name, contender, read, int(seed), Path(folder))
    except Exception as error:  # whatever a contender raises is its own failure, not ours
        return {"refused": _said(error)}
    return {"figures": outcome.figures, "digest": outcome.digest}


def _said(error: Exception) -> str:
    said = str(error).partition("\n")[0]
    return said if type(error).__name__ == "WrongText" else f"{type(error).__name__}: {said}"


def say(line: dict[str, Any]) -> None:
    import json

    print(json.dumps(line))


if __name__ == "__main__":
    main()
