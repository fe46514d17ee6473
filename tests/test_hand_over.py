"""The hand-over: no key is ever pressed between the document's change and the editor's.

Every interleaving of a few keys, arrivals, undos, new names and steps of the event loop is played, on a real
session in a real event loop. Whoever runs at any of its steps sees the editor and the document agree. An
editor that waits between `take` and applying what it took is caught by the same plays, so they can fail.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live import Editor, run, steps

import syncstring
from syncstring._patch import apply
from syncstring.backends.memory import MemoryStore
from syncstring.document import Document
from syncstring.errors import ConflictingPatch
from syncstring.patch import Id, Patch
from syncstring.session import Session
from syncstring.store import Changed

BASE = "base"


def others(base: Patch, reverse: bool) -> list[Patch]:
    """What a peer wrote on the base, each patch on the one before: inserted, deleted, inserted."""
    peer = Document(session="peer", author="peer", clock=lambda: base.time, patches=[base])
    for pos, delete, insert in ((0, 0, "P"), (2, 2, ""), (1, 0, "QR"), (0, 1, "S"), (0, 0, "T")):
        peer.splice(pos, delete, insert)
        peer.commit()
    return peer.outgoing[::-1] if reverse else peer.outgoing


class Play:
    """A session, its editor, and a script: `K` a key, `A` an arrival, `U` an undo, `C` a commit, `N` what is
    sent next has ids that are somebody's, says the store, `.` a step of the event loop."""

    def __init__(self, session: Session, arrivals: list[Patch]) -> None:
        self.session = session
        self.editor = Editor(session)
        self.arrivals = iter(arrivals)
        self.seen: list[tuple[str, str]] = []  # where they differed
        self.keys = itertools.count()

    def look(self) -> None:
        if self.editor.text != self.session.document.text:
            self.seen.append((self.editor.text, self.session.document.text))

    async def act(self, letter: str) -> None:
        session, traffic = self.session, self.session._traffic
        if letter == "K":
            number = next(self.keys)
            at = number % (len(self.editor.text) + 1)
            self.editor.key(at, 0, "xyzvw"[number % 5])
        elif letter == "A":
            patch = next(self.arrivals, None)
            if patch is not None:
                traffic.link.take(Changed(None, patch.to_row(traffic.link.doc)))
                traffic.bell.ring()
        elif letter == "U":
            self.editor.text = apply(self.editor.text, session.document.undo().splices)
        elif letter == "C":
            session.document.commit()
        elif letter == "N":
            send = traffic.link.send

            async def refused() -> list[Id]:
                traffic.link.send = send  # type: ignore[method-assign]
                raise ConflictingPatch("somebody's")

            traffic.link.send = refused  # type: ignore[method-assign]
        else:
            await steps()
        self.look()


async def play(
    script: str, reverse: bool = False, live: Callable[[Editor], Awaitable[None]] = Editor.live
) -> Play:
    """Play a script, then let everything come to rest."""
    store = MemoryStore()
    async with syncstring.connect(store, "notes", author="ada") as session:
        session.document.insert(0, BASE)
        base = session.document.commit()
        assert base is not None
        await session.flush()
        played = Play(session, others(base, reverse))
        reading = asyncio.ensure_future(live(played.editor))
        for letter in script:
            await played.act(letter)
        for _ in range(40):
            await played.act(".")
        await session.flush()
        for _ in range(10):
            await played.act(".")
        session.document.check()
    await reading
    return played


def orders(letters: str) -> Iterator[str]:
    """Every order of these letters, each once."""
    return iter(sorted({"".join(order) for order in itertools.permutations(letters)}))


async def all_agree(scripts: Iterator[str], reverse: bool = False) -> int:
    count = 0
    for script in scripts:
        played = await play(script, reverse)
        assert not played.seen, (script, played.seen)
        for letter in "xyzvw"[: script.count("K")] if "U" not in script else "":
            assert played.editor.text.count(letter) == 1, (script, played.editor.text)
        count += 1
    return count


@pytest.mark.parametrize("reverse", [False, True], ids=["parents first", "children first"])
def test_editor_and_document_agree_at_every_step_whenever_keys_and_arrivals_come(reverse: bool) -> None:
    assert run(all_agree(orders("KKAAA.."), reverse)) == 210


@pytest.mark.parametrize("letters", ["KKAA.N", "KKAA.U", "KCAA.U", "KCNAU."])
def test_they_agree_whatever_else_changes_the_text_meanwhile(letters: str) -> None:
    assert run(all_agree(orders(letters))) >= 180


@settings(max_examples=60)
@given(st.text("KKKAA....UCN", min_size=8, max_size=40), st.booleans())
def test_they_agree_in_longer_plays(script: str, reverse: bool) -> None:
    played = run(play(script, reverse))
    assert not played.seen, played.seen


async def _hasty(editor: Editor) -> None:
    """An editor that lets others run between taking and showing."""
    while await editor.session.arrival():
        splices = editor.session.take()
        await asyncio.sleep(0)
        editor.text = apply(editor.text, splices)


async def _careful(editor: Editor) -> None:
    while await editor.session.arrival():
        editor.text = apply(editor.text, editor.session.take())


def test_an_editor_that_waits_between_the_two_is_caught() -> None:
    async def caught() -> list[str]:
        found = []
        for script in orders("KAA.."):
            try:
                played = await play(script, live=_hasty)
            except Exception:  # what it shows is too short for where it types
                found.append(script)
            else:
                found += [script] if played.seen else []
        return found

    assert "AK" in "".join(run(caught())).replace(".", "")


def test_an_editor_that_takes_by_itself_agrees_like_one_that_loops_over_changes() -> None:
    async def agree() -> None:
        for script in orders("KKAA.."):
            assert not (await play(script, live=_careful)).seen, script

    run(agree())


def test_what_nobody_reads_changes_nothing_until_somebody_does() -> None:
    async def nobody(editor: Editor) -> None:
        return

    async def unread() -> None:
        played = await play("AAA.K..U.", live=nobody)
        assert not played.seen
        assert "P" not in played.session.document.text

    run(unread())
