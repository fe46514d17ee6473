from typing import Any

__all__ = ["plain_row"]

def plain_row(found: tuple[Any, ...]) -> dict[str, Any] | None:
    """The row of a patch, of its columns (doc, time, session, row, data, sum) as SQLite has them, the row as
    bytes. None where they aren't in canonical form or the checksum is wrong, and for what is rare: the plain
    way tells. O(row)."""
