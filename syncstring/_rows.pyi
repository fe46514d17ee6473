from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["plain_row", "rows_of"]

def plain_row(found: tuple[Any, ...]) -> dict[str, Any] | None:
    """The row of a patch, of its columns (doc, time, session, row, data, sum) as SQLite has them, the row as
    bytes. None where they aren't in canonical form or the checksum is wrong, and for what is rare: the plain
    way tells. O(row)."""

def rows_of(
    cursor: Iterable[tuple[Any, ...]], most: int, plain: Callable[[tuple[Any, ...]], dict[str, Any]]
) -> tuple[list[dict[str, Any]], int]:
    """The rows that a cursor gives, up to the one with which they have more than `most` bytes (of row and
    data), and how many they have: as `plain_row` reads them, or `plain` where that doesn't. Raises what
    `plain` does."""
