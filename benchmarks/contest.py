"""What a contender must bring, what a task returns, and what both need.

The law of this room. It knows no contender and no task.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterator
from hashlib import sha256
from pathlib import Path
from time import process_time
from typing import Any, Literal, NamedTuple, Protocol

from recordings import Splices, Trace


class WrongText(Exception):
    """A contender's text isn't the recorded one."""


class Past(Protocol):
    """A document whose old versions are asked for. `live` holds texts as they were shown at the time."""

    live: dict[int, str]

    def __init__(self, trace: Trace, watch: Collection[int] = ()) -> None:
        """`watch`: the transactions whose versions will be asked for."""

    def forget(self) -> None:
        """Drop whatever was derived."""

    def text(self, number: int) -> str:
        """The text at the version of a transaction: it and everything it had seen."""


class Contender(Protocol):
    """The names in each module of `contenders/`; a task that isn't in TASKS needs none of its functions.

    A *document* is a replica that can be edited; an *update* is what one transaction sends to the others.
    """

    LABEL: str
    PACKAGE: str | None
    KIND: Literal["ours", "peer", "yardstick"]
    TASKS: tuple[str, ...]
    MERGES: bool
    """Whether a concurrent trace can be replayed."""
    CACHES: bool
    """Whether anything is kept between old versions, so that cold and warm differ."""
    Past: type[Past]

    STORED: tuple[str, ...]
    """Which figures of the task `open` it has."""

    def empty(self, agent: int = -1) -> Any:
        """A new document of that agent, by default of one who only reads."""

    def text(self, document: Any) -> str: ...

    def type_all(self, trace: Trace) -> Any:
        """A document in which a sequential trace was typed, each transaction committed by itself."""

    def type_recorded(self, trace: Trace, times: list[int] | None = None) -> Any:
        """A document in which all was typed at the recorded times, or at these."""

    def type_list(self, edits: Splices) -> Any:
        """A document in which sequential splices were made, all known from the start."""

    def replayer(self, edits: Splices) -> Callable[[], object]:
        """The splices made ready; each call replays them and returns what has the text as its `str`."""

    def exchange(
        self, trace: Trace, watch: Collection[int] = ()
    ) -> tuple[list[Any], list[Any], dict[int, str]]:
        """Every agent's document after all was typed and delivered; the updates; texts shown meanwhile."""

    def take(self, document: Any, updates: list[Any]) -> None:
        """Take updates in, each as it comes."""

    def take_at_once(self, document: Any, updates: list[Any]) -> None:
        """Take updates in, all known from the start: the fastest way there is."""

    def take_rows(self, document: Any, documents: list[Any]) -> Callable[[], object]:
        """What these typed, as rows of a table; the call takes them in."""

    def save(self, document: Any) -> list[bytes]:
        """The whole history, as it would be stored."""

    def load(self, saved: list[bytes]) -> Any:
        """A document from that; its text is asked for at once."""

    def store(self, trace: Trace, folder: Path) -> None:
        """Lay a sequential trace's history into files, for `open_stored`."""

    def open_stored(self, folder: Path, figure: str) -> Any:
        """Open what was laid there; its text is asked for at once, then `close_stored` is called."""

    def close_stored(self, document: Any) -> None: ...

    def slide(self, document: Any, updates: list[Any], stops: list[int]) -> Iterator[str]:
        """Hold the text after each transaction in turn; the texts at the stops are yielded."""

    def all_splices(self, document: Any) -> None:
        """Derive the splices from each version to the next, nothing cached."""

    def every(self, document: Any) -> Iterator[str]:
        """The text of each version in turn, from the empty one on."""

    def commit(self, document: Any, splices: Splices) -> Any:
        """Make one transaction; its update."""

    def diff(self, old: str, new: str) -> Any: ...

    def patched(self, old: str, made: Any) -> str:
        """The text that a diff leads to."""


class Outcome(NamedTuple):
    figures: dict[str, float]
    digest: str = ""
    """Equal for contenders that saw the same texts; empty where the recording has told already."""


def clock() -> float:
    """The time, just after a collection: none is due only because of what was prepared."""
    gc.collect()
    return process_time()


def prepared(contender: Contender, trace: Trace) -> Trace:
    """The trace in the contender's own units."""
    prepare = getattr(contender, "prepare", None)
    return trace if prepare is None else prepare(trace)


def verify(text: str, expected: str, where: str) -> None:
    if text != expected:
        pairs = zip(text, expected, strict=False)
        at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(text), len(expected)))
        raise WrongText(
            f"its text {where} has {len(text):,} code points and differs at {at:,} from the right one, "
            f"which has {len(expected):,}"
        )


def digest(texts: list[str]) -> str:
    found = sha256()
    for text in texts:
        found.update(sha256(text.encode()).digest())
    return found.hexdigest()
