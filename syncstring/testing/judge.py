"""What must be left in a store at the end of a world.

The law of this room. Everything that was acknowledged, or kept on a disk whose owner came back, is in the
store, once, as it was made; nobody waits for a parent; everybody shows what the store has; and every version
that anybody ever saw reads as it did. After a sweep nothing is left that no manifest lists. Where the history
is short enough, the slow twin says the same of all of it.

It doesn't know how the world came there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from syncstring.history import History
from syncstring.store import key_of, of_document
from syncstring.testing.oracle import Broken
from syncstring.testing.reference import Reference
from syncstring.testing.store_bench import collect

if TYPE_CHECKING:
    from syncstring.testing.network import World

__all__ = ["judge"]

REFERENCE: Final = 60  # patches that the slow twin bears


def judge(world: World, *, swept: bool) -> None:
    """Compare what is in the store with all that was ever made; `Broken` says what isn't as it must be."""
    contents = world.driver.run(world.archive.read(whole=True))
    ids = [patch.id for patch in contents.patches]
    history = History(contents.patches)
    if len(ids) != len(set(ids)):
        raise Broken("durable", "a patch is there twice")
    for patch in contents.patches:
        if world.made.get(patch.id) != patch:
            raise Broken("durable", f"patch {patch.id} isn't what was made")
    if history.parked:
        raise Broken("durable", f"{len(history.parked)} patches wait for a parent")
    if problems := (*contents.problems, *history.problems):
        raise Broken("refused", f"{problems[0]!r}")
    if missing := world.oracle.names((world.acknowledged | world.kept) & ~world.oracle.version(ids)):
        raise Broken("durable", f"{len(missing)} patches are lost that were acknowledged, or kept on disk")
    for site in world.sites:
        if site.document.heads != history.heads or site.document.parked:
            raise Broken("converge", f"{site.document.session} doesn't have what the store has")
    for heads in world.texts:
        if all(id in history for id in heads):
            world.same(heads, history.text_at(heads), "is in the store as")
            world.count("versions read again")
    manifest = contents.manifest
    if sum(pack.count for pack in manifest.packs) != manifest.total:
        raise Broken("durable", "packs overlap")
    if swept:
        rows = world.driver.run(collect(world.archive.store.scan("packs", *of_document(world.doc))))
        if {key_of(row) for row in rows} != manifest.keys():
            raise Broken("durable", "something unlisted survived the sweep")
    if len(ids) <= REFERENCE:
        world.count("judged by the slow twin")
        if history.text() != (text := Reference(contents.patches).text()):
            raise Broken("converge", f"the merge is {history.text()!r}, the slow twin's {text!r}")
