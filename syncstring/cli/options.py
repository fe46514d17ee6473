"""What many commands have in common: what they exit with, and what can be typed in them.

Only click is imported before a command runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from syncstring.cli.output import Output

__all__ = [
    "DIFFERS", "EPILOG", "FAILED", "FINE", "INTERRUPTED", "NOT_FOUND", "STATUS", "USAGE", "WRONG",
    "common", "duration", "made_output", "source", "store",
]  # fmt: skip

FINE: Final = 0
DIFFERS: Final = 1
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
WRONG: Final = 4
INTERRUPTED: Final = 130

STATUS: Final = (
    "Exit status: 0 fine{}, 2 wrong usage, 3 no such file, repository or version, "
    "4 the source is broken or can't be read, 130 interrupted."
)
EPILOG: Final = STATUS.format("") + " `syncstring --help` says what SOURCE and REF may be."

F = TypeVar("F", bound=Callable[..., Any])

_UNITS: Final = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}


def duration(value: str) -> int:
    """Seconds, or `90s`, `5m`, `2h`, `1d`, in microseconds."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(s|min|m|h|d|)", value.strip())
    if found is None:
        raise click.BadParameter(f"{value!r} is no time; write 90, 90s, 5m, 2h or 1d")
    return round(float(found[1]) * _UNITS[found[2]] * 1_000_000)


def common(function: F) -> F:
    """The options that every command has."""
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="One JSON object a line."),
        click.option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            default="auto",
            help="When to use colours; auto: on a terminal, unless NO_COLOR is set or TERM is dumb.",
        ),
    ):
        function = decorate(function)
    return function


def store(function: F) -> F:
    """Where stored documents are."""
    return click.option(
        "--store",
        metavar="STORE",
        help="The store of the document: a path, or a URL such as rethinkdb://HOST:PORT/DB; by default "
        "$SYNCSTRING_STORE, else NAME.sync.",
    )(function)


def source(function: F) -> F:
    """SOURCE, and the store that it may be a document of."""
    return click.argument("source")(store(function))


def made_output(as_json: bool, color: str, iso: bool = False) -> Output:
    """Standard output, as those options want it."""
    from syncstring.cli.output import Output

    return Output(color, as_json, iso)
