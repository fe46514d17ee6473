__all__ = ["read_numbers", "read_text"]

def read_numbers(data: bytes, count: int) -> tuple[tuple[int, ...], int]:
    """The first `count` numbers as a tuple, and where they end. `ValueError` if they aren't there."""

def read_text(data: bytes) -> str:
    """The one text that this is. `ValueError` if it isn't."""
