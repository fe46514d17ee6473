from syncstring._graph import EventGraph

__all__ = ["plan"]

def plan(graph: EventGraph, first: int, last: int) -> list[int]:
    """An order to walk the events [first, last) in: branch by branch, shorter ones first. O(n log n)."""
