"""What must stand in a text, told from what people did and not by any engine.

The law of this room. Replicas can agree on a text that lost somebody's words, so that they agree proves
little. Here every letter that is typed is somebody, for ever: it stands in a text if the edit that typed it
is known there and no edit known there deleted it, once, and nothing else does. Letters that were typed
directly beside each other are parted by nobody who saw neither. An *edit* is what one person did between two
moments at which others could see it, under a name of the caller's choice; what it *sees* is all that was
known where it was made.

It knows no patches, no positions but those of the text that an editor shows, and no rule of merging: what
FugueMax, YATA or anything else says of ties isn't its business. Letters are told apart by being different,
so a caller types different ones. Where two equal ones come at once, as when two people take back one
deletion, which is which can't be said, and nothing is demanded of that letter any more (`loose`).

That runs stay whole is "piece" for what was inserted at once, "forward" for what was typed behind a letter,
"backward" for what was then typed before that, behind the same one: Weidner and Kleppmann, "The Art of the
Fugue", 2023. Gaps in which deleted letters may lie are left out of the backward half: nobody can say on which
side of them somebody typed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Sequence
from typing import Final, TypeAlias

__all__ = ["LAWS", "Broken", "Copy", "Oracle"]

LAWS: Final = frozenset({"content", "order", "piece", "forward", "backward"})
"""What is demanded: every letter once, and no other; letters don't change places; what was inserted at once
stays whole; so does what was typed onwards; and what was typed backwards."""

START: Final = -1  # stands before every text


class Broken(AssertionError):
    """A law doesn't hold. `law` is its name: one of `LAWS`, or of those who use this room."""

    def __init__(self, law: str, text: str) -> None:
        super().__init__(f"{text} [{law}]")
        self.law = law


class _New:
    """A letter that came and isn't somebody yet."""

    __slots__ = ("letter",)

    def __init__(self, letter: str) -> None:
        self.letter = letter


_Place: TypeAlias = int | _New


class Oracle:
    """Everybody's letters and edits. `copy` gives what one person looks at; that is where things happen."""

    def __init__(self, laws: Iterable[str] = LAWS) -> None:
        self.laws = frozenset(laws)
        if unknown := self.laws - LAWS:
            raise ValueError(f"no law {', '.join(sorted(unknown))}; there are {', '.join(sorted(LAWS))}")
        self.letters: list[str] = []  # of each letter ever typed, by its number
        self.loose: set[str] = set()  # letters of which nobody can say which of several is which
        self._equal: dict[str, list[int]] = {}
        self._edit_of: list[int] = []  # which edit typed a letter
        self._left: list[int] = []  # behind which letter it was typed
        self._deleted_by: list[int] = []  # the edits that deleted a letter, a bit each
        self._typed: list[list[int]] = []  # by each edit
        self._deleted: list[list[int]] = []
        self._sees: list[int] = []  # the edits that an edit saw, and itself, a bit each
        self._number: dict[Hashable, int] = {}
        self._open: set[int] = set()
        self._beside: dict[int, list[tuple[int, str]]] = {}  # letter -> it was typed directly behind which

    def __contains__(self, name: Hashable) -> bool:
        return name in self._number

    def number(self, name: Hashable) -> int:
        """An edit's number: its bit in sets of edits. `KeyError` if there is none of that name."""
        return self._number[name]

    def taken_back(self, edit: int, known: int) -> tuple[set[int], set[int], set[str], set[str]]:
        """What taking back an edit is about, where these edits are known: the letters it typed; those that it
        alone deleted, without such as were ever brought back; the texts of what may go, and of what may
        come."""
        typed, deleted = self._typed[edit], self._deleted[edit]
        alone = {
            char
            for char in deleted
            if self._edit_of[char] != edit
            and self._deleted_by[char] & known == 1 << edit
            and len(self._equal[self.letters[char]]) == 1
        }
        letters = self.letters
        return set(typed), alone, {letters[char] for char in typed}, {letters[char] for char in deleted}

    def said_of(self, chars: Iterable[int]) -> set[str]:
        """The texts of letters, without loose ones."""
        return {self.letters[char] for char in self._firm(chars)}

    def is_open(self, char: int) -> bool:
        """Whether the edit that typed a letter has no name yet."""
        return self._edit_of[char] in self._open

    def names(self, edits: int) -> list[Hashable]:
        """The names of a set of edits."""
        return [name for name, number in self._number.items() if edits >> number & 1]

    def version(self, names: Iterable[Hashable]) -> int:
        """These edits and all that they saw, a bit each. `KeyError` for a name that no edit has."""
        known = 0
        for name in names:
            known |= self._sees[self._number[name]]
        return known

    def copy(self, names: Iterable[Hashable] = (), text: str = "") -> Copy:
        """What somebody looks at who opens the version of these edits and is shown `text`. `Broken` if that
        isn't what must stand there."""
        copy = Copy(self)
        copy.becomes(names, text)
        return copy

    def alive(self, edits: int) -> list[int]:
        """The letters that stand where these edits are known. O(letters ever typed)."""
        return [
            char
            for char, edit in enumerate(self._edit_of)
            if edits >> edit & 1 and not self._deleted_by[char] & edits
        ]

    # --- for copies -------------------------------------------------------------------------------------

    def _begin(self, known: int) -> int:
        edit = len(self._sees)
        self._sees.append(known | 1 << edit)
        self._open.add(edit)
        self._typed.append([])
        self._deleted.append([])
        return edit

    def _type(self, edit: int, letter: str, left: int) -> int:
        char = len(self.letters)
        self.letters.append(letter)
        self._equal.setdefault(letter, []).append(char)
        self._edit_of.append(edit)
        self._left.append(left)
        self._deleted_by.append(0)
        self._typed[edit].append(char)
        return char

    def _delete(self, edit: int, char: int) -> None:
        self._deleted_by[char] |= 1 << edit
        self._deleted[edit].append(char)

    def _note(self, left: int, right: int, law: str) -> None:
        if law in self.laws:
            self._beside.setdefault(right, []).append((left, law))

    def _unseen(self, char: int, other: int) -> bool:
        """Whether neither letter's author had seen the other."""
        a, b = self._edit_of[char], self._edit_of[other]
        return not (self._sees[a] >> b & 1 or self._sees[b] >> a & 1)

    def _change(self, before: int, after: int) -> tuple[list[int], set[int], bool]:
        """What has to come and to go where edits become known; whether something came and went at once."""
        come: list[int] = []
        go: set[int] = set()
        vanished = False
        new = after & ~before
        while new:
            edit = (new & -new).bit_length() - 1
            new &= new - 1
            for char in self._typed[edit]:
                if self._deleted_by[char] & after:
                    vanished = True
                else:
                    come.append(char)
            go.update(
                char
                for char in self._deleted[edit]
                if before >> self._edit_of[char] & 1 and not self._deleted_by[char] & before
            )
        return come, go, vanished

    def _firm(self, chars: Iterable[int]) -> list[int]:
        """Without those that might be others."""
        return [char for char in chars if self.letters[char] not in self.loose]

    def _said(self, chars: Iterable[int]) -> str:
        return repr("".join(self.letters[char] for char in sorted(chars)))


class Copy:
    """A text as one person looks at it, who every letter in it is, and which edits are known.

    Own edits go in by `edit` and get their name by `commit`; others' come in by `take` or `becomes`, which
    raise `Broken` where the engine didn't do what must be done.
    """

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.chars: list[int] = []
        self.known = 0
        self._edit: int | None = None  # what isn't committed yet
        self._text: str | None = ""
        self._after: set[_Place] = set()  # behind these, before the next one, deleted letters may lie

    @property
    def text(self) -> str:
        if self._text is None:
            letters = self.oracle.letters
            self._text = "".join([letters[char] for char in self.chars])
        return self._text

    @property
    def uncommitted(self) -> bool:
        return self._edit is not None

    def fork(self) -> Copy:
        """Another who looks at the same text. Nothing may be uncommitted."""
        assert self._edit is None
        other = Copy(self.oracle)
        other.chars, other.known = self.chars.copy(), self.known
        other._text, other._after = self._text, self._after.copy()
        return other

    # --- own edits ------------------------------------------------------------------------------------

    def edit(self, splices: Iterable[Sequence[int | str]]) -> None:
        """Do sequential splices `(pos, delete, insert)`, in code points, here."""
        oracle = self.oracle
        for pos, delete, insert in splices:
            assert isinstance(pos, int) and isinstance(delete, int) and isinstance(insert, str)
            if not insert and not delete:
                continue
            if self._edit is None:
                self._edit = oracle._begin(self.known)
                self.known |= 1 << self._edit
            for char in self._remove(pos, delete):
                assert isinstance(char, int)
                oracle._delete(self._edit, char)
            self._type(pos, insert, self._edit)
        self._text = None

    def _type(self, pos: int, insert: str, edit: int) -> None:
        oracle = self.oracle
        if not insert:
            return
        left = behind = self.chars[pos - 1] if pos else START
        new: list[int] = []
        for letter in insert:
            char = oracle._type(edit, letter, behind)
            if behind != START:
                oracle._note(behind, char, "piece" if new else "forward")
            new.append(char)
            behind = char
        if left in self._after:  # directly behind its neighbour, so before what was deleted there
            self._after.discard(left)
            self._after.add(new[-1])
        elif pos < len(self.chars) and oracle._left[self.chars[pos]] == left:
            # Between two that weren't typed one behind the other, it can't stay with both.
            oracle._note(new[-1], self.chars[pos], "backward")
        self.chars[pos:pos] = new

    def commit(self, name: Hashable) -> bool:
        """Give what was edited since the last call a name; False if nothing was."""
        if self._edit is None:
            return False
        self.oracle._number[name] = self._edit
        self.oracle._open.discard(self._edit)
        self._edit = None
        return True

    def name(self, name: Hashable) -> None:
        """As `commit`; where nothing was edited, an edit that does nothing gets the name."""
        if self._edit is None:
            self._edit = self.oracle._begin(self.known)
            self.known |= 1 << self._edit
        self.commit(name)

    def _remove(self, pos: int, delete: int) -> list[_Place]:
        gone: list[_Place] = list(self.chars[pos : pos + delete])
        if gone:
            del self.chars[pos : pos + delete]
            self._after.difference_update(gone)
            self._after.add(self.chars[pos - 1] if pos else START)
        return gone

    # --- others' edits ------------------------------------------------------------------------------------

    def take(self, names: Iterable[Hashable], splices: Iterable[Sequence[int | str]]) -> None:
        """Others' edits become known, with all that they saw; the engine said that these splices show it.

        `Broken` where that loses a letter, or doubles, invents, moves or revives one, or parts a run.
        """
        oracle = self.oracle
        if self._edit is not None:
            raise ValueError("commit first: what isn't committed was made without seeing these")
        known = self.known | oracle.version(names)
        come, go, vanished = oracle._change(self.known, known)
        places: list[_Place] = self.chars  # type: ignore[assignment]  # with newcomers, for a while
        gone: list[int] = []
        for pos, delete, insert in splices:
            assert isinstance(pos, int) and isinstance(delete, int) and isinstance(insert, str)
            if not 0 <= pos <= pos + delete <= len(places):
                raise Broken("content", f"splice {(pos, delete, insert)} is outside of {len(places)} letters")
            gone += [place for place in self._remove(pos, delete) if isinstance(place, int)]
            if insert:
                new = [_New(letter) for letter in insert]
                if (places[pos - 1] if pos else START) in self._after:
                    self._after.add(new[-1])
                places[pos:pos] = new
        self._gone(gone, go)
        self.known, self._text = known, None
        where = self._came(come)
        if vanished:  # somewhere: nobody says where
            self._after = {START, *self.chars}
        self._whole_runs(where)

    def _gone(self, gone: list[int], go: set[int]) -> None:
        """What went must be what had to go."""
        oracle = self.oracle
        if wrong := oracle._firm(set(gone) - go):
            raise Broken("content", f"{oracle._said(wrong)} went, and nobody deleted it")
        if missing := oracle._firm(go.difference(gone)):
            raise Broken("content", f"{oracle._said(missing)} still stands, and somebody deleted it")

    def _came(self, come: Iterable[int]) -> list[int]:
        """Find out who the newcomers are; where they stand is returned, ascending."""
        oracle = self.oracle
        waiting: dict[str, list[int]] = {}
        for char in come:
            waiting.setdefault(oracle.letters[char], []).append(char)
        oracle.loose.update(letter for letter, equal in waiting.items() if len(equal) > 1)
        places: list[_Place] = self.chars  # type: ignore[assignment]
        where = [at for at, place in enumerate(places) if isinstance(place, _New)]
        strange: list[str] = []
        for at in where:
            place = places[at]
            assert isinstance(place, _New)
            found = _one(waiting, oracle, place.letter)
            if found is None:
                strange.append(place.letter)
                continue
            places[at] = char = found
            if place in self._after:
                self._after.discard(place)
                self._after.add(char)
        if lost := oracle._firm(char for equal in waiting.values() for char in equal):
            raise Broken("content", f"{oracle._said(lost)} is lost: it was typed, and nobody deleted it")
        if strange:
            raise Broken("content", f"{''.join(strange)!r} came, and nobody typed it, or it is there twice")
        return where

    def becomes(self, names: Iterable[Hashable], text: str) -> None:
        """As `take`, where the engine tells no splices but only the whole text."""
        oracle = self.oracle
        assert self._edit is None
        known = self.known | oracle.version(names)
        come, go, vanished = oracle._change(self.known, known)
        stay = [char for char in self.chars if char not in go]
        by_letter: dict[str, list[int]] = {}
        for char in (*stay, *come):
            by_letter.setdefault(oracle.letters[char], []).append(char)
        oracle.loose.update(letter for letter, equal in by_letter.items() if len(equal) > 1)
        found: list[int] = []
        strange: list[str] = []
        for letter in text:
            one = _one(by_letter, oracle, letter)
            if one is None:
                strange.append(letter)
            else:
                found.append(one)
        if strange:
            raise Broken(
                "content",
                f"{''.join(strange)!r} is there, and nobody typed it, it was deleted, or it is there twice",
            )
        if lost := oracle._firm(char for equal in by_letter.values() for char in equal):
            raise Broken("content", f"{oracle._said(lost)} is lost: it was typed, and nobody deleted it")
        newcomers = set(come)
        stayed = oracle._firm(char for char in found if char not in newcomers)
        if "order" in oracle.laws and stayed != oracle._firm(stay):
            raise Broken("order", f"what stood there changed its order: {self.text!r} became {text!r}")
        if vanished or (not self.known and found):
            self._after = {START, *found}
        else:
            self._after_change(go, found, newcomers)
        self.chars, self.known, self._text = found, known, None
        self._whole_runs([at for at, char in enumerate(found) if char in newcomers])

    def _after_change(self, go: set[int], found: list[int], newcomers: set[int]) -> None:
        left: int = START
        for char in self.chars:
            if char not in go:
                left = char
                continue
            self._after.discard(char)
            self._after.add(left)
        left = START
        for char in found:
            if char in newcomers and left in self._after:
                self._after.add(char)
            left = char

    # --- runs ------------------------------------------------------------------------------------

    def _whole_runs(self, new: list[int]) -> None:
        """Nobody stands between two that were typed side by side and that he hadn't seen, nor they him."""
        oracle, chars = self.oracle, self.chars
        if not new or not oracle._beside:
            return
        place = {char: at for at, char in enumerate(chars)}
        for at, char in enumerate(chars):
            for left, law in oracle._beside.get(char, ()):
                if at and chars[at - 1] == left:
                    continue
                start = place.get(left)
                if start is None or len(oracle._firm((left, char))) < 2:
                    continue
                if start > at:
                    raise Broken(law, f"{oracle.letters[char]!r} moved before {oracle.letters[left]!r}")
                # Only where somebody came is there anything to be seen that wasn't seen before.
                if bisect_right(new, at) <= bisect_right(new, start - 1):
                    continue
                for other in chars[start + 1 : at]:
                    if oracle._firm((other,)) and oracle._unseen(other, left) and oracle._unseen(other, char):
                        raise Broken(
                            law,
                            f"{oracle.letters[other]!r} stands between {oracle.letters[left]!r} and "
                            f"{oracle.letters[char]!r}, which were typed side by side unseen",
                        )

    def check(self) -> None:
        """Compare with what follows from the edits alone; `Broken` otherwise. O(letters ever typed)."""
        oracle = self.oracle
        there, due = set(oracle._firm(self.chars)), set(oracle._firm(oracle.alive(self.known)))
        if there != due:
            raise Broken("content", f"{oracle._said(there ^ due)} is there and mustn't be, or isn't and must")


def _one(waiting: dict[str, list[int]], oracle: Oracle, letter: str) -> int | None:
    """One of those that wait for their place; of loose ones, any."""
    if candidates := waiting.get(letter):
        return candidates.pop(0)
    return oracle._equal[letter][0] if letter in oracle.loose else None
