"""Does a store keep what `store.py` promises? `check_store`, for those who write one.

The law of this room. Each check is one promise; it fails with an AssertionError that says which one broke,
how, and how to see it again. Nothing is asked of a store that isn't in its contract, so a cluster can pass,
and one that passes is one that a session can stand on. Rows of others may be in the store: each check keeps
to documents of its own, and leaves them there.

It needs no test runner, and knows no backend. The checks stand in `store_rows` and `store_feeds`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from syncstring.errors import SyncstringError
from syncstring.testing.store_bench import Bench, Check, Factory, GapMaker, Stall
from syncstring.testing.store_feeds import FEED_CHECKS
from syncstring.testing.store_rows import ROW_CHECKS

__all__ = ["CHECKS", "check_store"]

CHECKS: Final[tuple[Check, ...]] = (*ROW_CHECKS, *FEED_CHECKS)
"""Every check, to run some or one by one: `check_store(factory, checks=[check])`."""


async def check_store(
    factory: Factory,
    *,
    seed: int = 0,
    checks: Iterable[Check] = CHECKS,
    gaps: Iterable[GapMaker] = (),
    stall: Stall | None = None,
    patient: bool = False,
    within: float = 120.0,
) -> None:
    """Hold a store to its contract. AssertionError says which promise broke and how to reproduce it.

    `factory(**options)` opens one more client of always the same store, with options that every store's
    `open` knows (`limit`, `queue`): an awaitable of it, or an async context manager. The store may hold other
    rows.

    What only its author can do to a store: each of `gaps` is awaited with a client and makes its feeds break;
    while `stall()` is entered, an async context manager, the store gives no answers. With `patient`, calls
    that raise `StoreUnavailable` are made again, as a session would: for stores with injected faults. A check
    that takes longer than `within` seconds hangs, so it fails.
    """
    for check in checks:
        bench = Bench(factory, seed, tuple(gaps), stall, patient)
        promise = (check.__doc__ or "").strip().partition("\n")[0]
        again = (
            f"again: await check_store(factory, seed={seed}, checks=[{check.__module__}.{check.__name__}])"
        )
        try:
            async with asyncio.timeout(within):
                try:
                    await check(bench)
                finally:
                    await bench.close()
        except AssertionError as error:
            raise AssertionError(f"{promise}\n{error}\n{again}") from error
        except TimeoutError as error:
            raise AssertionError(f"{promise}\nIt hangs: not done in {within:g} s.\n{again}") from error
        except SyncstringError as error:
            raise AssertionError(f"{promise}\n{type(error).__name__}: {error}\n{again}") from error
        except Exception as error:
            what = f"{type(error).__name__} isn't an error that a store may raise: {error}"
            raise AssertionError(f"{promise}\n{what}\n{again}") from error
