"""The commands for stored documents, and those that prove what keeps them, with their options.

As `commands.py`: here stands what can be typed, what is done stands elsewhere, and only click is imported
before a command runs.
"""

from __future__ import annotations

from typing import Final

import click

from syncstring.cli.options import EPILOG, FINE, STATUS, WRONG, common, duration, made_output, source, store

__all__ = ["COMMANDS"]

_EPILOG: Final = STATUS.format("") + " `syncstring --help` says where a document is looked for."

_name = click.argument("name")
_author = click.option(
    "--author", envvar="SYNCSTRING_AUTHOR", default="", metavar="AUTHOR",
    help="Who does it; by default $SYNCSTRING_AUTHOR, else the login name.",
)  # fmt: skip


@click.command("import", epilog=_EPILOG)
@click.argument("origin", metavar="FROM")
@_name
@store
@click.option(
    "--as", "kind", type=click.Choice(["auto", "git", "rows", "text", "trace"]), default="auto",
    show_default=True,
    help="What FROM is; auto: git:… is git, .json and .json.gz are traces, .jsonl rows, all else text.",
)  # fmt: skip
@click.option("--merge", is_flag=True, help="Even where it shares nothing with the history that is there.")
@_author
@click.option("-m", "--message", help="What a patch of a text says of itself.")
@common
def import_(
    origin: str,
    name: str,
    store: str | None,
    kind: str,
    merge: bool,
    author: str,
    message: str | None,
    as_json: bool,
    color: str,
) -> None:
    """Put a history, or a text, into a document.

    The document is made where there is none. FROM is a recorded trace, a file's history in git
    (git:REPO:FILE), rows as `export rows` writes them, or a text; - is standard input, for rows and texts. A
    text becomes one patch: what differs from the newest version. What the document has already is left alone,
    so importing again changes nothing; a git history that has grown adds what is new.
    """
    from syncstring.cli.importing import import_into
    from syncstring.cli.places import place_of

    out = made_output(as_json, color)
    place = place_of(name, store)
    status = import_into(out, origin, kind, place, merge=merge, author=author, message=message)
    click.get_current_context().obj["status"] = status


@click.command(epilog=EPILOG)
@click.argument("format", type=click.Choice(["git", "rows", "text", "trace"]))
@source
@click.option("-o", "--output", "path", metavar="FILE", help="Write to this file, which is there as a whole.")
@click.option("--at", metavar="REF", help="Of this version; by default of everything.")
@click.option("--path", "file", metavar="PATH", help="git: what the file is called; by default as SOURCE.")
@click.option("--branch", default="main", show_default=True, help="git: the branch that gets the commits.")
@click.option("--all", "every", is_flag=True, help="git: a commit for each patch.")
@click.option(
    "--pause", type=duration, metavar="TIME", default="5m", show_default=True,
    help="git: how long without typing ends a commit.",
)  # fmt: skip
@click.option(
    "--most", type=click.IntRange(min=1), default=1_000, show_default=True,
    help="git: so many patches in a commit at most.",
)  # fmt: skip
@click.option("--salvage", is_flag=True, help="rows: all that can be read of a damaged document.")
@common
def export(
    format: str,
    source: str,
    store: str | None,
    path: str | None,
    at: str | None,
    file: str | None,
    branch: str,
    every: bool,
    pause: int,
    most: int,
    salvage: bool,
    as_json: bool,
    color: str,
) -> None:
    """Write a history, or the newest text, elsewhere.

    To standard output, or a file:

    \b
    git     a stream for `git fast-import`: the commits have the texts, authors, dates,
            messages and parents of the versions; a commit is what one author wrote
            without a pause and without anybody else. Tags are tags.
    rows    every patch as a line of JSON: an exact copy, for `import`
    text    the newest text
    trace   a recorded trace: as much of it as that format carries

    With --json, which needs a FILE: what was written, and how much.
    """
    from syncstring.cli.exporting import export_to

    export_to(
        made_output(as_json, color),
        format,
        source,
        store,
        path,
        at=at,
        file=file,
        branch=branch,
        pause=None if every else pause,
        most=most,
        salvage=salvage,
    )


@click.command(epilog=_EPILOG)
@_name
@click.argument("tag", required=False)
@click.argument("ref", required=False)
@store
@click.option("-d", "--delete", is_flag=True, help="Forget the tag; the version stays.")
@click.option("--move", is_flag=True, help="Though it means another version now.")
@click.option("--iso", is_flag=True, help="Times in full on a terminal, too.")
@common
def tag(
    name: str,
    tag: str | None,
    ref: str | None,
    store: str | None,
    delete: bool,
    move: bool,
    iso: bool,
    as_json: bool,
    color: str,
) -> None:
    """List the tags of a document; or have TAG mean the version REF, by default the newest.

    A tag may be given wherever a REF is. It means the same version for ever, whatever is written later.
    """
    from syncstring.cli.keeping import change_tag, list_tags

    out = made_output(as_json, color, iso)
    if tag is None:
        if delete or move:
            raise click.UsageError("which TAG?")
        list_tags(out, name, store)
    else:
        change_tag(out, name, store, tag, ref, delete=delete, move=move)


@click.command(epilog=EPILOG)
@_name
@click.argument("ref")
@store
@_author
@common
def restore(name: str, ref: str, store: str | None, author: str, as_json: bool, color: str) -> None:
    """Bring back the text of an old version.

    That is a new patch: what came since stays in the history.
    """
    from syncstring.cli.keeping import take_back
    from syncstring.cli.places import place_of

    take_back(made_output(as_json, color), place_of(name, store), "restore", ref, author)


@click.command(epilog=EPILOG)
@_name
@click.argument("ref")
@store
@_author
@common
def revert(name: str, ref: str, store: str | None, author: str, as_json: bool, color: str) -> None:
    """Take back one patch, whatever came since.

    That is a new patch. What the one that REF names inserted and still stands is deleted, what it deleted and
    nobody else did comes back.
    """
    from syncstring.cli.keeping import take_back
    from syncstring.cli.places import place_of

    take_back(made_output(as_json, color), place_of(name, store), "revert", ref, author)


@click.command(epilog=_EPILOG)
@click.argument("name", required=False)
@store
@common
def compact(name: str | None, store: str | None, as_json: bool, color: str) -> None:
    """Pack all patches, and sweep what is left over.

    Of one document, or of every one in the store. Sessions do so by themselves, but leave the newest patches
    as rows. Nothing is lost: every version stays.
    """
    from syncstring.cli.upkeep import compact as compact_all

    compact_all(made_output(as_json, color), name, store)


@click.command(epilog=_EPILOG)
@click.argument("name", required=False)
@store
@click.option("--repair", is_flag=True, help="Mend what can be mended without losing anything.")
@common
def fsck(name: str | None, store: str | None, repair: bool, as_json: bool, color: str) -> None:
    """Look for damage, and say what to do.

    In one document, or in everything that the store has: what is wrong, what can be read all the same, what
    helps. --repair deletes rows only where the same is read from elsewhere, and writes anew only what follows
    from what is there. With --json a document is an object, with its `findings`. Damage that is left exits
    with 4, what is only left over with 0.
    """
    from syncstring.cli.upkeep import check

    sound = check(made_output(as_json, color), name, store, repair)
    click.get_current_context().obj["status"] = FINE if sound else WRONG


@click.command("list", epilog=_EPILOG)
@store
@click.option("--iso", is_flag=True, help="Times in full on a terminal, too.")
@common
def list_(store: str | None, iso: bool, as_json: bool, color: str) -> None:
    """List the documents of a store.

    A line is a name, how many patches there are, and when the last one was made.
    """
    from syncstring.cli.upkeep import list_all

    list_all(made_output(as_json, color, iso), store)


@click.command(epilog=_EPILOG)
@_name
@store
@click.option("--yes", is_flag=True, help="Don't ask.")
@common
def delete(name: str, store: str | None, yes: bool, as_json: bool, color: str) -> None:
    """Delete a document with all its history. Who has it open learns of it."""
    from syncstring.cli.upkeep import delete_one

    delete_one(made_output(as_json, color), name, store, yes)


@click.command(epilog=_EPILOG)
@click.argument("old")
@click.argument("new")
@store
@common
def rename(old: str, new: str, store: str | None, as_json: bool, color: str) -> None:
    """Call a document otherwise. Who has it open goes on."""
    from syncstring.cli.upkeep import rename_one

    rename_one(made_output(as_json, color), old, new, store)


@click.group("store")
def store_() -> None:
    """Look after stores themselves."""


@store_.command("check", epilog=STATUS.format(", 1 something is wrong"))
@click.argument("url", envvar="SYNCSTRING_STORE")
@common
def check_(url: str, as_json: bool, color: str) -> None:
    """Say what a store stands on, and what is wrong with it.

    URL is a store: sqlite:PATH or a path, rethinkdb://HOST:PORT/DB; by default $SYNCSTRING_STORE. What keeps
    the rows and how, as far as we may look; how long reading and writing take, and until a feed tells of what
    was written; how far its clock is from ours. Then what is *wrong*: by it, acknowledged patches may be
    lost, or something doesn't work; and *advice*: what could be better. `fsck` looks at the rows themselves.

    Nothing is made or changed, but for a few rows of `cursors` that are gone at the end. With --json one
    object; `reading`, `writing`, `hearing` and `clock` (the store's, less ours) are in microseconds, null
    where they couldn't be seen.
    """
    from syncstring.cli.standing import check_store

    click.get_current_context().obj["status"] = check_store(made_output(as_json, color), url)


@click.command("test", epilog=STATUS.format(", 1 a check failed"))
@click.argument("url", required=False)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="What all chance follows from; by default another each time.",
)
@click.option("--only", default="", metavar="TEXT", help="Only checks whose name contains this.")
@click.option("--list", "listing", is_flag=True, help="Say what there is to check, and check nothing.")
@common
def test_(url: str | None, seed: int | None, only: str, listing: bool, as_json: bool, color: str) -> None:
    """Hold a store to its contract, promise by promise.

    URL is a store: memory:, sqlite:PATH or a path, rethinkdb://HOST:PORT/DB. It is made where there is none,
    and may hold documents; each check keeps to rows of its own, which it leaves there: take a store that can
    be thrown away. What only its author can do to a store, make it stall or break its feeds, `check_store`
    can be given in Python.

    With --json an object is a check, with its `message` if it failed; the last one sums up.
    """
    from syncstring.cli.proving import check_url, list_checks

    out = made_output(as_json, color)
    if listing:
        list_checks(out, only)
        return
    if url is None:
        raise click.UsageError("which store? Say memory:, sqlite:PATH or a path, rethinkdb://HOST:PORT/DB")
    click.get_current_context().obj["status"] = check_url(out, url, seed, only)


def _a_number(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    if value is not None and value != value:
        raise click.BadParameter("nan is no number of minutes")
    return value


@click.command(epilog=STATUS.format(", 1 a law broke"))
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", help="The first world's; by default another each time."
)
@click.option(
    "--steps", type=click.IntRange(min=1), metavar="N", default=1_000, show_default=True,
    help="How much happens in each world.",
)  # fmt: skip
@click.option(
    "--minutes", type=click.FloatRange(0, 1e6), metavar="M", callback=_a_number,
    help="When to begin no further world; by default after 1, or with --worlds never.",
)  # fmt: skip
@click.option("--worlds", type=click.IntRange(min=1), metavar="N", help="So many worlds at most.")
@click.option(
    "--store",
    "url",
    metavar="URL",
    help="In this store, where the rows stay; by default in a simulated one.",
)
@click.option(
    "--no-faults",
    is_flag=True,
    help="Nothing goes wrong by chance in the simulated store, only by calls to `fail`.",
)
@common
def fuzz(
    seed: int | None,
    steps: int,
    minutes: float | None,
    worlds: int | None,
    url: str | None,
    no_faults: bool,
    as_json: bool,
    color: str,
) -> None:
    """Look for bugs of ours, in a simulated world.

    World after world: people, packers, and a store that does all that a cluster may do; edits, lost answers,
    late and doubled deliveries, cut lines, crashes, clocks that jump; after each step every law is checked.
    A world follows from its seed, but for what a store named by --store does by itself; the next one's seed
    is one more. If a law breaks, a program comes out that shows it again in as few calls as are found; all
    else that is printed is a comment in it, so `syncstring fuzz > broken.py` can be run.

    With --json the first object says what will be done, the last one sums up; `failure` has the `script`.
    """
    from syncstring.cli.proving import fuzz as fuzz_worlds

    click.get_current_context().obj["status"] = fuzz_worlds(
        made_output(as_json, color),
        seed=seed,
        steps=steps,
        minutes=minutes,
        worlds=worlds,
        url=url,
        faults=not no_faults,
    )


COMMANDS: Final = (
    import_,
    export,
    tag,
    restore,
    revert,
    compact,
    fsck,
    list_,
    delete,
    rename,
    store_,
    test_,
    fuzz,
)
