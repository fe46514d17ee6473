"""From patches to the events that the kernels number, for the tests of these."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from syncstring._graph import EventGraph
from syncstring._patch import compose
from syncstring.patch import Id, Patch


class Events:
    """An event graph that grows by patches, and which number each of them has there."""

    def __init__(self, patches: Iterable[Patch] = ()) -> None:
        self.graph = EventGraph()
        self.ids: list[Id] = []
        self.number: dict[Id, int] = {}
        for patch in patches:
            self.append(patch)

    def append(self, patch: Patch) -> int:
        parents = sorted(self.number[parent] for parent in patch.parents)
        event = self.graph.append(
            patch.time, patch.session, parents, patch.ops, patch.author, patch.wall, patch.message
        )
        self.ids.append(patch.id)
        self.number[patch.id] = event
        return event

    def numbers(self, ids: Iterable[tuple[int, str]]) -> tuple[int, ...]:
        return tuple(sorted(self.number[Id(*id)] for id in ids))

    def named(self, events: Iterable[int]) -> tuple[Id, ...]:
        return tuple(sorted(self.ids[event] for event in events))


def patches_of(case: dict[str, Any]) -> list[Patch]:
    """The patches of a merge case, in its own order: parents first."""
    ids = [Id(txn["time"], txn["agent"]) for txn in case["txns"]]
    return [
        Patch.of_ops(
            id, [ids[i] for i in txn["parents"]], compose(txn["patches"]), author=id.session, wall=id.time
        )
        for id, txn in zip(ids, case["txns"], strict=True)
    ]
