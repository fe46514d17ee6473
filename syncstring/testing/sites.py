"""One opening of a document in a simulated world: what a person sees, and what must stand there.

The law of this room. Three texts go side by side: the document's, the one that an editor shows who knows
nothing but what it is handed, and the one that follows from what was done (`oracle`). Whatever the document
is asked to do, each learns of it in its own way; `check` compares them.

It doesn't know how patches travel: what was made goes to `post`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, TypeAlias

from syncstring._patch import apply
from syncstring.document import Cursor, Document, Edit
from syncstring.link import Link
from syncstring.patch import Id, Patch
from syncstring.store import Row
from syncstring.testing.lines import Line
from syncstring.testing.oracle import Broken, Copy

__all__ = ["Editor", "PlainEditor", "Site", "Skew"]

Splices: TypeAlias = Iterable[tuple[int, int, str]]


class Editor(Protocol):
    """What a person types into: a binding between a document and whatever shows it."""

    @property
    def text(self) -> str:
        """What is shown."""

    def type(self, pos: int, delete: int, insert: str) -> None:
        """The person replaces `delete` code points at `pos`; the binding tells the document, and may commit
        it. It sends nothing: that is the world's."""

    def apply(self, splices: Splices) -> None:
        """Somebody else changed the document: show it."""


class PlainEditor:
    """A string."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._text = document.text

    @property
    def text(self) -> str:
        return self._text

    def type(self, pos: int, delete: int, insert: str) -> None:
        self.document.splice(pos, delete, insert)
        self.apply([(pos, delete, insert)])

    def apply(self, splices: Splices) -> None:
        self._text = apply(self._text, list(splices))


class Skew:
    """How far a clock is off, in microseconds."""

    def __init__(self) -> None:
        self.ahead = 0


class Site:
    """A document, its editor, what must stand in both, and the traffic below."""

    def __init__(
        self,
        line: Line,
        link: Link,
        document: Document,
        editor: Editor,
        copy: Copy,
        skew: Skew,
        post: Callable[[Site, Sequence[Patch]], None],
    ) -> None:
        self.line = line
        self.link = link
        self.document = document
        self.editor = editor
        self.copy = copy
        self.skew = skew
        self.away: tuple[tuple[Id, ...], Copy] | None = None  # an editor elsewhere, and what it confirmed
        self.disk: dict[Id, Row] | None = None  # what of the outbox is on disk
        self.undos: list[Id] = []  # what `undo` takes back next is the last one
        self.redos: list[Id] = []
        self.cursors: list[tuple[Cursor, int]] = []  # and the letter it stays with
        self._post = post

    # --- what calls leave behind ----------------------------------------------------------------

    def _made(self) -> list[Patch]:
        made, self.document.outgoing = self.document.outgoing, []
        return made

    def _committed(self, made: Sequence[Patch]) -> None:
        """These are what was typed (the first one) and, perhaps, a message."""
        for patch in made:
            if self.copy.uncommitted:
                self._done(patch.id)
            self.copy.name(patch.id)
        if self.copy.uncommitted:
            self.copy.name(object())  # it came to nothing: typed, and deleted again

    def _done(self, id: Id) -> None:
        """A step that `undo` can take back."""
        self.undos.append(id)
        self.redos.clear()

    def type(self, pos: int, delete: int, text: str) -> None:
        """The person types."""
        self.editor.type(pos, delete, text)
        self.copy.edit([(pos, delete, text)])
        made = self._made()
        if len(made) > 1:
            raise ValueError(
                f"{len(made)} patches were made of one keystroke; a binding commits once at most"
            )
        if made:
            self._committed(made)
            self._post(self, made)

    def set_text(self, text: str) -> None:
        """The editor hands over a whole text."""
        splices = self.document.set_text(text)
        self.copy.edit(splices)
        self.editor.apply(splices)
        if self.document.text != text:
            raise Broken("editor", f"set_text({text!r}) leaves {self.document.text!r}")

    def commit(self, message: str | None = None) -> None:
        """What was typed becomes a patch."""
        self.document.commit(message)
        made = self._made()
        self._committed(made)
        self._post(self, made)

    def take_back(self, how: Literal["undo", "redo", "revert"], id: Id | None = None) -> None:
        """`undo`, `redo`, or `revert` of a patch: just what that did is taken back, through all that came."""
        if how == "revert":
            assert id is not None
            edit = self.document.revert(id)
        else:
            edit = self.document.undo() if how == "undo" else self.document.redo()
        made = self._made()
        self._committed(made[:-1] if edit.patch is not None else made)
        steps = self.redos if how == "redo" else self.undos
        taken = id if how == "revert" else steps.pop() if steps else None
        before = [*self.copy.chars]
        self._show(edit)
        if edit.patch is not None and how == "revert":
            self._done(edit.patch.id)
        elif edit.patch is not None:
            (self.undos if how == "redo" else self.redos).append(edit.patch.id)
        self._post(self, made)
        self._taken_back(taken, before)

    def _taken_back(self, taken: Id | None, before: Sequence[int]) -> None:
        """Of what that patch typed nothing stands any more, what it alone deleted is back, and nothing else
        changed. Letters that were brought back before stand for those that they took the place of."""
        oracle, now = self.copy.oracle, set(self.copy.chars)
        gone = oracle.said_of([char for char in before if char not in now])
        come = oracle.said_of(now.difference(before))
        if taken is None:
            if gone or come:
                raise Broken("undo", f"there was nothing to take back, and {gone} went, {come} came")
            return
        typed, alone, may_go, may_come = oracle.taken_back(oracle.number(taken), self.copy.known)
        if wrong := (gone - may_go) | (come - may_come):
            raise Broken("undo", f"{sorted(wrong)} changed, with which {taken} had nothing to do")
        if left := oracle.said_of(typed & now):
            raise Broken("undo", f"{sorted(left)} still stands, which {taken} typed")
        if missing := oracle.said_of(alone) - oracle.said_of(now):
            raise Broken("undo", f"{sorted(missing)} isn't back, which {taken} alone deleted")

    def restore(self, id: Id, wanted: str | None) -> None:
        """Bring back the version of a patch; its text, if anybody has seen it."""
        edit = self.document.restore([id])
        made = self._made()
        self._committed(made[:-1] if edit.patch is not None else made)
        self._show(edit)
        if edit.patch is not None:
            self._done(edit.patch.id)
        self._post(self, made)
        if wanted is not None and self.document.text != wanted:
            raise Broken("undo", f"restoring {id} leaves {self.document.text!r} instead of {wanted!r}")

    def _show(self, edit: Edit) -> None:
        """A call made a patch on the newest text."""
        if edit.patch is not None:
            self.copy.edit(edit.applied)
            self.copy.name(edit.patch.id)
        self.editor.apply(edit.applied)

    def edited_elsewhere(self, pos: int, delete: int, text: str, lags: bool) -> None:
        """The editor elsewhere sends an edit of what it confirmed last; if it `lags`, it has typed meanwhile
        and drops the answer."""
        assert self.away is not None
        heads, copy = self.away
        edit = self.document.edit_at(heads, [(pos, delete, text)])
        made = self._made()
        if edit.patch is None:
            self._committed(made)
            self._post(self, made)
            if text or delete:
                raise Broken("content", f"an edit of {heads} was lost: {(pos, delete, text)}")
            return
        self._committed(made[:-1])
        self._done(edit.patch.id)
        copy.edit([(pos, delete, text)])
        copy.name(edit.patch.id)
        self.copy.take([edit.patch.id], edit.applied)
        self.editor.apply(edit.applied)
        self._post(self, made)
        if lags:
            self.away = ((edit.patch.id,), copy)
            return
        copy.take(edit.heads, edit.splices)
        self.away = (edit.heads, copy)
        if copy.text != self.document.text:
            raise Broken("editor", f"elsewhere {copy.text!r} is shown instead of {self.document.text!r}")

    def receive(self, patches: Sequence[Patch | Row], stored: bool) -> None:
        """Others' patches come in."""
        before = self.document.heads
        self.arrived(before, self.document.receive(patches, stored))

    def adopt(self, patches: Sequence[Patch]) -> None:
        """The whole history was read."""
        before = self.document.heads
        self.arrived(before, self.document.adopt(patches), anew=True)

    def arrived(self, before: tuple[Id, ...], splices: Splices, anew: bool = False) -> None:
        """Patches came in: the heads before it, and what the document said of it; `anew` where it compared
        two texts to say so, and may have taken equal letters for each other."""
        made = self._made()
        for patch in made:
            self._done(patch.id)
            self.copy.name(patch.id)
        if self.copy.uncommitted and self.document.heads != before:
            self.copy.name(object())
        self._post(self, made)
        splices = list(splices)
        if anew and not self.copy.uncommitted:  # else nothing came in
            self.copy.becomes(self.document.heads, self.document.text)
        elif not anew and (self.document.heads != before or splices):
            self.copy.take(self.document.heads, splices)
        self.editor.apply(splices)

    # --- what must hold ----------------------------------------------------------------

    def check(self) -> None:
        """The three texts are one, cursors are where they belong, nothing was refused."""
        text = self.document.text
        if self.editor.text != text or self.copy.text != text:
            raise Broken(
                "editor",
                f"the document has {text!r}, its editor shows {self.editor.text!r}, and by what was done it "
                f"must be {self.copy.text!r}",
            )
        if len(self.document) != len(text):
            raise Broken("editor", f"len is {len(self.document)} of a text of {len(text)}")
        if self.document.problems or self.link.problems:
            raise Broken("refused", f"{(self.document.problems or self.link.problems)[0]!r}")
        for cursor, char in self.cursors:
            if char not in self.copy.chars or self.copy.oracle.letters[char] in self.copy.oracle.loose:
                continue  # deleted, or one that looks the same
            at = self.copy.chars.index(char) + (cursor.sticks == "before")
            if cursor.pos != at:
                raise Broken("editor", f"a cursor stays with the letter at {at}, and is at {cursor.pos}")
