"""The commands and their options, and what every outcome is worth.

Here stands what a user may type and which exit status an error has; what is done stands elsewhere. Only
click is imported before a command runs.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from syncstring.cli import stored
from syncstring.cli.options import (
    DIFFERS,
    EPILOG,
    FINE,
    INTERRUPTED,
    NOT_FOUND,
    STATUS,
    USAGE,
    WRONG,
    common,
    duration,
    made_output,
    source,
)

__all__ = ["cli", "run"]


# --- every outcome --------------------------------------------------------------------------------------


class _Verbs(click.Group):
    """Turns what a command raises into one line and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        ctx.obj = {"status": FINE}
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            pass  # who reads has seen enough
        except KeyboardInterrupt:
            ctx.obj["status"] = INTERRUPTED
        except OSError as error:
            ctx.obj["status"] = _complain(error)
        except Exception as error:
            from syncstring.errors import SyncstringError

            if not isinstance(error, SyncstringError):
                raise
            ctx.obj["status"] = _complain(error)
        _flush()
        return ctx.obj["status"]


def _complain(error: Exception) -> int:
    """Say what is wrong, in one line; the exit status that it means."""
    from syncstring.cli.output import masked, plain
    from syncstring.errors import PatchError, SyncstringError, UnknownVersion

    text = str(error)
    if isinstance(error, OSError) and not isinstance(error, SyncstringError):
        text = error.strerror or text
        if error.filename is not None:
            text = f"{os.fsdecode(error.filename)}: {text}"
    with suppress(OSError):
        print(f"syncstring: {plain(masked(text))}", file=sys.stderr, flush=True)
    if isinstance(error, PatchError):
        return USAGE
    if isinstance(error, (UnknownVersion, FileNotFoundError, NotADirectoryError)):
        return NOT_FOUND
    return WRONG


def _flush() -> None:
    """What can't be written any more goes nowhere, quietly, instead of failing again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def run(args: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status."""
    try:
        status = cli.main(None if args is None else list(args), prog_name="syncstring", standalone_mode=False)
    except click.ClickException as error:
        from syncstring.cli.output import masked

        said = io.StringIO()
        error.show(said)
        with suppress(OSError):
            print(masked(said.getvalue()), end="", file=sys.stderr, flush=True)
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    return status if isinstance(status, int) else FINE


# --- what can be typed ----------------------------------------------------------------------------------


def _speed(value: str) -> float | None:
    """A factor; None for `fit`."""
    if value == "fit":
        return None
    try:
        factor = float(value.removeprefix("x").removesuffix("x"))
    except ValueError:
        factor = 0.0
    if not 0.001 <= factor <= 1_000_000:
        raise click.BadParameter(f"{value!r} is no speed; give a factor like 0.5, 1 or 20, or fit")
    return factor


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"syncstring {version('syncstring')}")
        ctx.exit()


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=STATUS.format(", 1 differs (diff) or failed (fuzz, store check, test)"),
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
    help="Show the version and exit.",
)  # fmt: skip
def cli() -> None:
    """Read the history of a text: any version of it, who wrote what, played back; and keep it in a store.

    \b
    SOURCE is one of
      notes.md                    a stored document: in the store that --store or
                                  $SYNCSTRING_STORE names, else in notes.md.sync
      notes.json, notes.json.gz   a recorded editing trace
      git:REPO:FILE               the history of a file in git, up to HEAD;
                                  an empty REPO is the current folder
      git:REPO:REV:FILE           the same up to another revision

    \b
    REF, a version of it, is one of
      1234                        a number: the first 1234 patches, in time order
      3f9c                        an id or the beginning of one: at least 4 hex
                                  digits, one of them a letter
      3f9c+80ab                   all that several ids contain
      "2026-11-03 17:00", "5 minutes ago", "yesterday 17:00"
      v1.2                        a tag of a stored document
      v1.2, HEAD~3                for git sources any revision, if it is none of these
    """


@cli.command(epilog=EPILOG)
@source
@click.option("--all", "every", is_flag=True, help="Every patch instead of groups.")
@click.option("-n", "--limit", type=click.IntRange(min=0), help="So many lines at most.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written to a stored document.")
@click.option("--author", help="Only what authors wrote whose name contains this.")
@click.option(
    "--pause", type=duration, metavar="TIME", default="5m", show_default=True,
    help="How long without typing ends a group.",
)  # fmt: skip
@click.option(
    "--most", type=click.IntRange(min=1), default=1_000, show_default=True,
    help="So many patches in a group at most.",
)  # fmt: skip
@click.option("--iso", is_flag=True, help="Times in full on a terminal, too.")
@common
def log(
    source: str,
    store: str | None,
    every: bool,
    limit: int | None,
    follow: bool,
    author: str | None,
    pause: int,
    most: int,
    iso: bool,
    as_json: bool,
    color: str,
) -> None:
    """List what was written, newest first.

    A line is what one author wrote without a pause (what others typed meanwhile doesn't end it): the id of
    its last version, when that was, who, how many code points were inserted and deleted, and the message
    or what was typed last. In git histories it is a commit.

    With --json an object is the last version of a group; `inserted` and `deleted` are the group's, `patches`
    says of how many, `first` is the number of the first, `started` when that was written, `text` what was
    typed last. With --all it is a version.

    With --follow: the newest versions, as with --all but oldest first, then each new one as it arrives, until
    interrupted; -n says how many to begin with (10).
    """
    from syncstring.cli.log import log as print_log
    from syncstring.cli.sources import open_source, stored_place

    out = made_output(as_json, color, iso)
    if follow:
        from syncstring.cli.follow import follow as print_following

        place = stored_place(source, store)
        if place is None:
            raise click.UsageError(f"{source} doesn't grow; only a stored document can be followed")
        print_following(place, out, limit, author)
        return
    print_log(
        open_source(source, store), out, every=every, limit=limit, author=author, pause=pause, most=most
    )


@cli.command(epilog=EPILOG)
@source
@click.argument("ref")
@common
def show(source: str, store: str | None, ref: str, as_json: bool, color: str) -> None:
    """Write the text of a version.

    Exactly that text comes out, in UTF-8, nothing added and nothing escaped, on a terminal, too. With
    --json: the version, and its `text`.
    """
    from syncstring.cli.output import record, working
    from syncstring.cli.sources import open_source

    out = made_output(as_json, color)
    opened = open_source(source, store)
    with working("reading"):
        version = opened.version(ref)
        text = opened.timeline.text(version)
    if as_json:
        out.object(record(version, text=text))
    else:
        out.write(text)


@cli.command(
    epilog=STATUS.format(" (the texts are equal), 1 the texts differ")
    + " `syncstring --help` says what SOURCE and REF may be."
)
@source
@click.argument("a", metavar="REF")
@click.argument("b", metavar="REF")
@click.option("-w", "--words", is_flag=True, help="Mark words instead of lines: [-old-]{+new+}.")
@click.option(
    "-U", "--unified", "context", type=click.IntRange(min=0), default=3, show_default=True, metavar="N",
    help="Lines of context.",
)  # fmt: skip
@common
@click.pass_context
def diff(
    ctx: click.Context,
    source: str,
    store: str | None,
    a: str,
    b: str,
    words: bool,
    context: int,
    as_json: bool,
    color: str,
) -> None:
    """Compare two versions: a unified diff by lines, or by words.

    With --json: the splices that lead from the one to the other, {"pos", "delete", "insert"}, each in the
    text that the one before it left. They follow the characters themselves: what was deleted and typed
    again is in them, though the texts are equal there.
    """
    from syncstring.cli.output import working
    from syncstring.cli.sources import open_source

    out = made_output(as_json, color)
    opened = open_source(source, store)
    with working("comparing"):
        one, other = opened.version(a), opened.version(b)
        old, new = opened.timeline.text(one), opened.timeline.text(other)
    ctx.obj["status"] = FINE if old == new else DIFFERS
    if as_json:
        for pos, delete, insert in opened.timeline.diff(one, other):
            out.object({"pos": pos, "delete": delete, "insert": insert})
        return
    from syncstring.cli.diff import print_lines, print_words

    names = (f"{opened.title}\t{a}", f"{opened.title}\t{b}")
    (print_words if words else print_lines)(out, old, new, names, context)


@cli.command(epilog=EPILOG)
@source
@click.option("--at", metavar="REF", help="Of this version; by default the newest.")
@click.option("--runs", is_flag=True, help="Every run of text by one patch, instead of lines.")
@click.option("--iso", is_flag=True, help="Times in full on a terminal, too.")
@common
def blame(
    source: str, store: str | None, at: str | None, runs: bool, iso: bool, as_json: bool, color: str
) -> None:
    """Say who wrote each line, in which patch, when.

    That is the patch that wrote last in the line, of what is left of it; "ada +1": one more author has
    written in it. In colours each character has its author's. With --json: the runs, {"line", "pos",
    "text", "id", "author", "time", "wall"}; together they are the text.
    """
    from syncstring.cli.blame import print_blame
    from syncstring.cli.sources import open_source

    print_blame(open_source(source, store), made_output(as_json, color, iso), at, by_runs=runs)


@cli.command(epilog=EPILOG)
@source
@click.option(
    "--speed", type=_speed, metavar="FACTOR", default="fit", show_default=True,
    help="How many times as fast as it was written; fit: all of it in a minute.",
)  # fmt: skip
@click.option(
    "--max-idle", type=duration, metavar="TIME", default="2s", show_default=True,
    help="Cut longer pauses to this.",
)  # fmt: skip
@click.option("--from", "start", metavar="REF", help="Begin at this version; by default the empty one.")
@click.option("--to", "stop", metavar="REF", help="End at this version; by default the newest.")
@click.option("--quit-at-end", is_flag=True, help="Leave when the end is reached, instead of waiting there.")
@common
def replay(
    source: str,
    store: str | None,
    speed: float | None,
    max_idle: int,
    start: str | None,
    stop: str | None,
    quit_at_end: bool,
    as_json: bool,
    color: str,
) -> None:
    """Play the history in the terminal, authors in colour.

    Through a pipe, or with --json, one version a line comes out instead, oldest first and as fast as it
    can; the objects have the `splices` that lead to it from the version before, as [pos, delete, insert].

    \b
    space      pause, go on        . right    one version on (and pause)
    + -        faster, slower      left       one version back
    ] [        next, last group    home g     to the beginning
    a          next author         end G      to the end
    0 … 9      to 0 … 90 %         q          quit
    """
    from syncstring.cli.replay import replay as play
    from syncstring.cli.sources import open_source

    play(
        open_source(source, store),
        made_output(as_json, color),
        speed=speed,
        max_idle=max_idle,
        start=start,
        stop=stop,
        quit_at_end=quit_at_end,
    )


@cli.command(epilog=EPILOG)
@source
@common
def stats(source: str, store: str | None, as_json: bool, color: str) -> None:
    """Count: patches, authors, what still stands of whom, time, pauses, concurrency.

    With --json one object; times and lengths of pauses are in microseconds, `standing` is how much of the
    newest text an author wrote, a bubble is a stretch in which people didn't see each other's typing.
    """
    from syncstring.cli.sources import open_source
    from syncstring.cli.stats import print_stats

    print_stats(open_source(source, store), made_output(as_json, color))


for command in stored.COMMANDS:
    cli.add_command(command)
