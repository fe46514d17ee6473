"""Four engines, put through one machine: ours, two CRDTs, and a fold of diff-match-patch patches.

    python examples/engines.py            # all that are installed
    python examples/engines.py fold       # one: what it does to people's typing

Each adapter is all that `syncstring.testing.engines.check_engine` needs to know of an engine.
"""

from __future__ import annotations

import itertools
import sys
from typing import Any

import syncstring
from syncstring.testing.engines import check_engine
from syncstring.testing.oracle import Broken


class Ours:
    """A `Document`; a message is its patches' bytes."""

    def __init__(self, name: str) -> None:
        ticks = itertools.count(1)
        self.document = syncstring.Document(session=name, author=name, clock=lambda: next(ticks) * 1_000)

    @property
    def text(self) -> str:
        return self.document.text

    def splice(self, pos: int, delete: int, insert: str) -> None:
        self.document.splice(pos, delete, insert)

    def take(self) -> list[bytes]:
        self.document.commit()
        made, self.document.outgoing = self.document.outgoing, []
        return [patch.to_bytes() for patch in made]

    def give(self, message: list[bytes]) -> None:
        self.document.receive([syncstring.Patch.from_bytes(data) for data in message])

    def everything(self) -> list[bytes]:
        self.document.commit()
        return [patch.to_bytes() for patch in self.document.history.patches()]


class Pycrdt:
    """Yjs's algorithm, by way of yrs. Its offsets are UTF-8 bytes."""

    def __init__(self, name: str) -> None:
        import pycrdt

        self.doc: Any = pycrdt.Doc(client_id=ord(name))
        self.doc["text"] = self.shared = pycrdt.Text()
        self.made: list[bytes] = []

    @property
    def text(self) -> str:
        return str(self.shared)

    def splice(self, pos: int, delete: int, insert: str) -> None:
        text = self.text
        start, stop = len(text[:pos].encode()), len(text[: pos + delete].encode())
        before = self.doc.get_state()
        with self.doc.transaction():
            if delete:
                del self.shared[start:stop]
            if insert:
                self.shared.insert(start, insert)
        self.made.append(self.doc.get_update(before))

    def take(self) -> list[bytes]:
        made, self.made = self.made, []
        return made

    def give(self, message: list[bytes]) -> None:
        for update in message:
            self.doc.apply_update(update)

    def everything(self) -> list[bytes]:
        return [self.doc.get_update()]


class Loro:
    """Loro's text. Its offsets are code points."""

    def __init__(self, name: str) -> None:
        import loro

        self.doc: Any = loro.LoroDoc()
        self.doc.peer_id = ord(name)
        self.shared = self.doc.get_text("text")
        self.made: list[bytes] = []
        self._mode = loro.ExportMode

    @property
    def text(self) -> str:
        return str(self.shared.to_string())

    def splice(self, pos: int, delete: int, insert: str) -> None:
        before = self.doc.oplog_vv
        if delete:
            self.shared.delete(pos, delete)
        if insert:
            self.shared.insert(pos, insert)
        self.doc.commit()
        self.made.append(self.doc.export(self._mode.Updates(before)))

    def take(self) -> list[bytes]:
        made, self.made = self.made, []
        return made

    def give(self, message: list[bytes]) -> None:
        for update in message:
            self.doc.import_(update)

    def everything(self) -> list[bytes]:
        return [self.doc.export(self._mode.Snapshot())]


class Fold:
    """What was done before merging was understood: patches with context, sorted by time, applied one after
    the other wherever they seem to fit."""

    clock = itertools.count(1)

    def __init__(self, name: str) -> None:
        import diff_match_patch

        self.dmp: Any = diff_match_patch.diff_match_patch()
        self.name = name
        self.patches: dict[tuple[int, str], str] = {}
        self.live = self.committed = ""
        self.outgoing: list[tuple[tuple[int, str], str]] = []

    @property
    def text(self) -> str:
        return self.live

    def splice(self, pos: int, delete: int, insert: str) -> None:
        self.live = self.live[:pos] + insert + self.live[pos + delete :]

    def _commit(self) -> None:
        if self.live != self.committed:
            patch = self.dmp.patch_toText(self.dmp.patch_make(self.committed, self.live))
            key = next(self.clock), self.name
            self.patches[key] = patch
            self.outgoing.append((key, patch))
            self.committed = self.live

    def take(self) -> list[tuple[tuple[int, str], str]]:
        self._commit()
        made, self.outgoing = self.outgoing, []
        return made

    def give(self, message: list[tuple[tuple[int, str], str]]) -> None:
        self._commit()
        self.patches.update(message)
        self.committed = ""
        for _, patch in sorted(self.patches.items()):
            self.committed = self.dmp.patch_apply(self.dmp.patch_fromText(patch), self.committed)[0]
        self.live = self.committed

    def everything(self) -> list[tuple[tuple[int, str], str]]:
        self._commit()
        return list(self.patches.items())


ENGINES: dict[str, tuple[Any, dict[str, Any]]] = {
    "ours": (Ours, {}),
    # YATA may put what others typed unseen in between what was typed letter by letter, in either direction.
    # Yjs shows an edit as soon as its neighbours are there, perhaps before what its author saw elsewhere.
    "pycrdt": (Pycrdt, {"laws": {"content", "order", "piece"}, "ordered": True}),
    "loro": (Loro, {}),
    "fold": (Fold, {"ordered": True}),
}


def main(names: list[str]) -> int:
    status = 0
    for name in names or list(ENGINES):
        engine, promised = ENGINES[name]
        try:
            check_engine(engine, **promised, seed=1)
        except ImportError as error:
            print(f"{name}: not here ({error})")
        except Broken as broken:
            print(f"{name}: {broken}", *broken.__notes__, sep="\n")
            status = 1
        else:
            print(f"{name}: nothing was lost, doubled, invented, moved or parted")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
