"""The harness that we hold ourselves to, shipped for whoever builds on us. PROVING.md is its guide.

From the ground up, each a module that knows only those before it:

- `reference`: the slow twin, where the algorithm is learnt; needs nothing compiled.
- `strategies`: texts, edits, patches, rows good and bad, whole histories, for Hypothesis.
- `conformance`: `check_store`, the contract of stores.
- `oracle`: what must stand in a text, told from what was done and not by any engine.
- `world`: actions, scripts, and how a failing one is cut down.
- `network`: a world of documents in one store that does all that a cluster may do.
- `machines`: that world under Hypothesis.
- `engines`: `check_engine`, any other engine in the same machine.

What stands in `__all__` is imported when it is first asked for, so that who needs no Hypothesis needs none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from syncstring.testing.conformance import check_store
    from syncstring.testing.engines import check_engine
    from syncstring.testing.machines import ConvergenceMachine
    from syncstring.testing.network import World
    from syncstring.testing.reference import Reference

__all__ = ["ConvergenceMachine", "Reference", "World", "check_engine", "check_store"]

_MODULES: Final = {
    "ConvergenceMachine": "machines",
    "Reference": "reference",
    "World": "network",
    "check_engine": "engines",
    "check_store": "conformance",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
