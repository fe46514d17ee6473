__all__ = ["name_hash"]

def name_hash(time: int, session: str) -> int:
    """FNV-1a over the UTF-8 of `time:session`, then murmur3's fmix64; and of the next numbers in splitmix64's
    order, until a hex digit is a letter."""
