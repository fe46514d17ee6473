"""One contender, one task, one trace, in this process: prints one JSON line.

    measure.py CONTENDER.py                       who it is
    measure.py CONTENDER.py import                CPU seconds until its first document stands
    measure.py CONTENDER.py TASK TRACE SEED       the task's figures

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
                "version": version(package) if package else f"of Python {python_version()}",
            }
        )
    elif rest[0] == "import":
        say({"figures": {"all": ready}, "digest": ""})
    else:
        say(task(contender, *rest))


def task(contender: Any, name: str, trace: str, seed: str) -> dict[str, Any]:
    import gc
    from pathlib import Path

    import recordings
    import tasks

    read = recordings.read(Path(trace))
    gc.collect()
    gc.freeze()
    try:
        outcome = tasks.run(name, contender, read, int(seed))
    except Exception as error:  # whatever a contender raises is its own failure, not ours
        said = str(error).partition("\n")[0]
        return {"refused": said if isinstance(error, tasks.WrongText) else f"{type(error).__name__}: {said}"}
    return {"figures": outcome.figures, "digest": outcome.digest}


def say(line: dict[str, Any]) -> None:
    import json

    print(json.dumps(line))


if __name__ == "__main__":
    main()
