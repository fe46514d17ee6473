from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, final

from syncstring._graph import EventGraph
from syncstring._patch import Ops, Splice
from syncstring.rules import Id

__all__ = ["Patch"]

@final
class Patch:
    """One edit by one author, on the text of its parents. Frozen; equal by value; hashable.

    `splices` are sequential `(pos, delete, insert)` on the parents' merged text, in code points; they
    are composed into one delta at once, and `patch.splices` are that delta's. `parents` are sorted,
    doubles dropped. `PatchError` says what breaks a rule. O(n log n) for n splices.
    """

    def __init__(
        self,
        id: tuple[int, str],
        parents: Iterable[tuple[int, str]],
        splices: Iterable[Sequence[Any]],
        author: str,
        wall: int,
        message: str | None = None,
    ) -> None: ...
    @classmethod
    def of_ops(
        cls,
        id: tuple[int, str],
        parents: Iterable[tuple[int, str]],
        ops: Ops,
        author: str,
        wall: int,
        message: str | None = None,
    ) -> Self:
        """The same from a canonical delta. The caller vouches for the delta; everything else is checked."""
    @classmethod
    def trusted(
        cls,
        id: tuple[int, str],
        parents: tuple[Id, ...],
        ops: Ops,
        author: str,
        wall: int,
        message: str | None = None,
    ) -> Self:
        """One that was checked before, from its parts."""
    @classmethod
    def of_event(cls, graph: EventGraph, event: int) -> Self:
        """The patch that an event of a graph is. O(1): its parts are made when they are looked at, and until
        then it keeps the graph. All its parents must be patches."""
    @property
    def id(self) -> Id: ...
    @property
    def time(self) -> int: ...
    @property
    def session(self) -> str: ...
    @property
    def parents(self) -> tuple[Id, ...]:
        """Ids of the heads that the author had: distinct, ascending."""
    @property
    def ops(self) -> Ops:
        """The delta as operations: 5 keeps five code points, -2 deletes two, "abc" inserts."""
    @property
    def delta(self) -> str:
        """The delta as it stands in a row."""
    @property
    def splices(self) -> list[Splice]:
        """The delta as sequential splices: insertions first, then deletions from the right."""
    @property
    def author(self) -> str: ...
    @property
    def wall(self) -> int:
        """What the author's own clock said, in microseconds since the epoch; for people."""
    @property
    def message(self) -> str | None: ...
    def to_row(self, doc: str) -> dict[str, Any]:
        """Its row in table `patches`. `PatchError` unless `doc` is a document's key: 40 hex digits."""
    @staticmethod
    def from_row(row: Mapping[str, Any]) -> Patch:
        """The patch that a row holds: `from_row(p.to_row(doc)) == p`. O(len(delta)).

        `MalformedRow` says what breaks a rule and in which row; `UnsupportedVersion` that a later format
        may know what this one doesn't: another `v`, an unknown field or operation.
        """
    def to_bytes(self) -> bytes:
        """The patch in few bytes, to send to a peer: `from_bytes(p.to_bytes()) == p`. FORMAT.md says how."""
    @staticmethod
    def from_bytes(data: bytes) -> Patch:
        """`to_bytes` back. `MalformedRow` for what isn't exactly what `to_bytes` gives for some patch;
        `UnsupportedVersion` for another format's."""
    def digest(self) -> bytes:
        """SHA-256 of its canonical row with an empty `doc`: of two patches under one id, where no store
        has decided, the one with the smaller digest counts."""
