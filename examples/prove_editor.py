"""An editor binding of one's own, held to the laws: an editor that counts in UTF-16, as browsers do.

    python examples/prove_editor.py

`Binding` is what stands between a `Document` and CodeMirror, Monaco or a textarea. The proof is below it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from syncstring import Document
from syncstring.offsets import from_utf16, splices_to_utf16, to_utf16
from syncstring.testing.network import World
from syncstring.testing.world import search


class Textarea:
    """What a browser has: a text in UTF-16 units, and somebody who hears of changes."""

    def __init__(self, text: str) -> None:
        self.units = text.encode("utf-16-le")
        self.heard: list[tuple[int, int, str]] = []

    @property
    def value(self) -> str:
        return self.units.decode("utf-16-le")

    def replace(self, start: int, end: int, text: str) -> None:
        self.units = self.units[: 2 * start] + text.encode("utf-16-le") + self.units[2 * end :]
        self.heard.append((start, end, text))


class Binding:
    """Keeps a textarea and a document equal."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.area = Textarea(document.text)

    @property
    def text(self) -> str:
        """For the proof: what the person sees."""
        return self.area.value

    def type(self, pos: int, delete: int, insert: str) -> None:
        """For the proof: the person types. What follows is what happens in a browser."""
        before = self.area.value
        self.area.replace(to_utf16(before, pos), to_utf16(before, pos + delete), insert)
        self.changed(before)

    def changed(self, before: str) -> None:
        """The editor tells what was typed: hand it on in code points."""
        for start, end, text in self.area.heard:
            pos, stop = from_utf16(before, start), from_utf16(before, end)
            self.document.splice(pos, stop - pos, text)
            before = before[:pos] + text + before[stop:]
        self.area.heard.clear()

    def apply(self, splices: Iterable[tuple[int, int, str]]) -> None:
        """Others typed: show it, and don't hand it back."""
        for start, count, text in splices_to_utf16(self.area.value, list(splices)):
            self.area.replace(start, start + count, text)
        self.area.heard.clear()


# --- the proof ------------------------------------------------------------------------------------------


def main(worlds: int = 40) -> int:
    patches = sum(len(search(lambda s=seed: World(s, editor=Binding), 600).made) for seed in range(worlds))
    print(
        f"{worlds} worlds typed through it: {patches} patches, and it showed the document's text all the time"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
