"""The command line: `syncstring VERB SOURCE …`.

The law of this room. A command parses, calls one public function and prints what it says: nothing is known
here that a program couldn't ask for. `--json` prints one object a line, whatever stands in it can be given
back as a REF; colours and progress are for terminals only; what others wrote (texts, names, messages,
errors) reaches a terminal with its control characters escaped. Exit status: 0 fine, 1 differs or failed,
2 usage, 3 not found, 4 broken, 130 interrupted; never a traceback for what came from outside.

`--help` must be a blink: nothing but click is imported before a command runs.

`sources.py` turns SOURCE into a timeline, `output.py` knows what a terminal is, `commands.py` the options;
the others print one thing each. `player.py` and `screen.py` play a history without knowing a terminal,
`terminal.py` is one without knowing what is played.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_MISSING = 'syncstring: the command line needs {}; run: pip install "syncstring[cli]"'


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line (`sys.argv` by default) and return its exit status."""
    if sys.stderr is None:  # closed by whoever called: nobody is told anything
        sys.stderr = open("/dev/null" if sys.platform != "win32" else "nul", "w")  # noqa: SIM115
    if sys.stdout is None:
        print("syncstring: standard output is closed; send it somewhere", file=sys.stderr)
        return 4
    try:
        from syncstring.cli.commands import run

        return run(args)
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in ("click", "rich"):
            raise
        print(_MISSING.format(name), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
