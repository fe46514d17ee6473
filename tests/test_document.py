"""The state machine that an editor holds, against the slow twin, several of them exchanging patches."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncstring._patch import apply, map_position
from syncstring.document import Document, Edit
from syncstring.errors import PatchError, SyncstringError, UnknownVersion, UnsupportedVersion
from syncstring.patch import MAX_PARENTS, Id, Patch
from syncstring.testing.reference import Char, Reference

DOC = "0" * 40
LETTERS = "ab \né漢😀\0"


class World:
    """Documents that exchange patches through a network that delays, reorders and repeats; each with an
    editor that holds a plain string and knows nothing but the splices it is handed."""

    def __init__(self, seed: int, replicas: int = 3) -> None:
        self.random = random.Random(seed)
        self.now = 1_700_000_000_000_000
        self.documents = [
            Document(session=f"s{i}", author=f"author {i}", clock=self.clock) for i in range(replicas)
        ]
        self.editors = [""] * replicas
        self.cursors: list[list[Any]] = [[] for _ in range(replicas)]
        self.mail: list[list[Patch]] = [[] for _ in range(replicas)]
        self.sent: list[Patch] = []
        # The twin's view of what stands for what: filled by what `Reference.restored` says at each undo.
        self.stands_for: list[dict[Char, Char]] = [{} for _ in range(replicas)]
        self.away: list[tuple[int, tuple[Id, ...], str]] = []  # editors elsewhere: (replica, heads, text)

    def clock(self) -> int:
        self.now += self.random.choice((0, 300, 40_000, 2_000_000))
        return self.now

    def text(self) -> str:
        return "".join(self.random.choice(LETTERS) for _ in range(self.random.choice((1, 1, 2, 5))))

    def some_splice(self, size: int) -> tuple[int, int, str]:
        pos = self.random.randint(0, size)
        delete = self.random.choice((0, 0, 0, 1, 2, 6))
        insert = self.text() if self.random.random() < 0.7 else ""
        return pos, min(delete, size - pos), insert

    def post(self, i: int) -> None:
        """What document i made goes into everybody's mail."""
        made, self.documents[i].outgoing[:] = self.documents[i].outgoing[:], []
        self.sent += made
        for j, mail in enumerate(self.mail):
            if j != i or self.random.random() < 0.1:
                mail += made

    def took(self, i: int, edit: Edit, local: bool) -> None:
        """The editor at hand applies what changed; for an editor elsewhere the caller looks at the rest."""
        if local:
            assert edit.splices == edit.applied
        self.editors[i] = apply(self.editors[i], edit.applied)
        assert edit.heads == self.documents[i].heads

    def step(self) -> None:
        i = self.random.randrange(len(self.documents))
        doc = self.documents[i]
        action = self.random.choices(
            ("splice", "set_text", "commit", "receive", "edit_at", "undo", "redo", "revert", "restore", "drop"),
            (40, 3, 20, 25, 6, 5, 3, 2, 1, 2),
        )[0]
        getattr(self, action)(i, doc)
        self.post(i)
        assert doc.text == self.editors[i]

    def splice(self, i: int, doc: Document) -> None:
        splice = self.some_splice(len(doc))
        doc.splice(*splice)
        self.editors[i] = apply(self.editors[i], [splice])

    def set_text(self, i: int, doc: Document) -> None:
        pos, delete, insert = self.some_splice(len(doc))
        new = apply(doc.text, [(pos, delete, insert)])
        splices = doc.set_text(new, cursor=pos + len(insert))
        self.editors[i] = apply(self.editors[i], splices)
        assert doc.text == new

    def commit(self, i: int, doc: Document) -> None:
        before = doc.text
        doc.commit(self.random.choice((None, "why")))
        assert doc.text == before == doc.at(doc.heads)

    def receive(self, i: int, doc: Document) -> None:
        mail = self.mail[i]
        self.random.shuffle(mail)
        count = self.random.randint(0, len(mail))
        arrived, mail[:] = mail[:count], mail[count:]
        if self.random.random() < 0.1:
            mail += arrived[:2]  # twice
        rows = self.random.random() < 0.5
        splices = doc.receive([patch.to_row(DOC) for patch in arrived] if rows else arrived)
        self.editors[i] = apply(self.editors[i], splices)

    def edit_at(self, i: int, doc: Document) -> None:
        if not self.away or self.random.random() < 0.4:
            if not doc._pending:
                self.away.append((i, doc.heads, doc.text))
            return
        i, heads, text = self.away.pop(self.random.randrange(len(self.away)))
        doc = self.documents[i]
        before = len(doc.history)
        pending = bool(doc._pending)
        splices = [self.some_splice(len(text))] if self.random.random() < 0.8 else []
        mine = apply(text, splices)
        edit = doc.edit_at(heads, splices)
        self.took(i, edit, local=False)
        assert apply(mine, edit.splices) == doc.text
        if edit.patch is None:
            assert len(doc.history) <= before + pending
        else:
            assert edit.patch.parents == tuple(sorted(heads))
            assert doc.at(edit.patch.id) == mine
            # An editor that has typed meanwhile drops the splices and goes on from its own patch.
            elsewhere = (i, edit.heads, doc.text) if self.random.random() < 0.5 else (i, (edit.patch.id,), mine)
            self.away.append(elsewhere)
        self.post(i)

    def take_back(self, i: int, doc: Document, ids: list[Id], act: Callable[[], Edit]) -> None:
        """Carry out an undo, redo or revert and compare it with the twin's."""
        doc.commit()
        if not ids:
            edit = act()
            assert edit == Edit(None, [], [], doc.heads)
            return
        reference = Reference(list(doc.history))
        (id,) = ids
        expected = reference.inverse(id, reference.heads, self.stands_for[i])
        restored = reference.restored(id, reference.heads, self.stands_for[i])
        edit = act()
        self.took(i, edit, local=True)
        assert doc.text == expected
        if edit.patch is not None:
            inserted = [(edit.patch.id, n) for n in range(len(restored))]
            assert sum(len(op) for op in edit.patch.ops if isinstance(op, str)) == len(restored)
            self.stands_for[i].update(zip(inserted, restored, strict=True))

    def undo(self, i: int, doc: Document) -> None:
        doc.commit()
        self.take_back(i, doc, list(doc._undos[-1]) if doc._undos else [], doc.undo)

    def redo(self, i: int, doc: Document) -> None:
        doc.commit()
        self.take_back(i, doc, list(doc._redos[-1]) if doc._redos else [], doc.redo)

    def revert(self, i: int, doc: Document) -> None:
        doc.commit()
        if len(doc.history):
            n = self.random.randint(1, len(doc.history))
            id = doc.versions[n].id
            assert id is not None
            self.take_back(i, doc, [id], lambda: doc.revert(n))

    def restore(self, i: int, doc: Document) -> None:
        n = self.random.randint(0, len(doc.history))
        old = doc.at(n)
        edit = doc.restore(n)  # commits first, which changes no text
        self.took(i, edit, local=True)
        assert doc.text == old

    def drop(self, i: int, doc: Document) -> None:
        doc.history.drop_caches()
        doc._tip.drop_caches()

    def settle(self) -> None:
        """Everything arrives everywhere."""
        for i, doc in enumerate(self.documents):
            doc.commit()
            self.post(i)
        for i, doc in enumerate(self.documents):
            self.random.shuffle(self.mail[i])
            self.editors[i] = apply(self.editors[i], doc.receive(self.mail[i]))
            self.mail[i] = []
            assert doc.text == self.editors[i]
            assert not doc.parked
            assert not doc.problems

    def check(self) -> None:
        reference = Reference(self.sent)
        for doc in self.documents:
            doc.check()
            assert doc.text == reference.text()
            assert doc.heads == reference.heads
            assert [doc.at(n) for n in range(len(doc.history) + 1)] == reference.prefixes()
            assert doc.blame() == doc.blame(doc.heads)
            assert [(run.text, run.id) for run in doc.blame()] == reference.blame(reference.heads)


def fuzz(seed: int, steps: int) -> None:
    world = World(seed)
    for _ in range(steps):
        world.step()
    world.settle()
    world.check()


@given(st.integers(0, 1 << 40))
@settings(max_examples=60)
def test_documents_that_exchange_patches_are_their_editors_copies_and_the_twins_text(seed: int) -> None:
    fuzz(seed, 80)
