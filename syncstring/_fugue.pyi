from typing import Self, final

from syncstring._graph import EventGraph
from syncstring._spans import SpanList

__all__ = ["FugueList"]

@final
class FugueList(SpanList):
    """Spans that know their place in the FugueMax tree."""

    @property
    def graph(self) -> EventGraph: ...
    @property
    def base_size(self) -> int: ...
    @property
    def pool_base(self) -> int: ...
    def __new__(cls, graph: EventGraph, base_size: int, pool_base: int, room: int = 0) -> Self: ...
