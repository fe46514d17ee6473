"""What is timed, and what must be right before a time counts.

The law of this room. A task runs one contender on one trace, once, in a process of its own, and returns
figures by name: seconds of CPU, or bytes. The clock stands still while a trace is prepared and while
what came out is verified. Whatever comes out otherwise than recorded raises `WrongText`, and the contender
has no figures for that task. What no recording tells (old versions of a concurrent trace) is compared in
two ways: with what the same contender showed live at that moment, here; and between contenders, by the
digest that a task returns.

It doesn't know which contenders there are: `Contender` says what each must bring.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterator
from hashlib import sha256
from random import Random
from statistics import median
from time import process_time
from typing import Any, Literal, NamedTuple, Protocol

from recordings import Trace

VERSIONS = 10  # old versions asked for in a run, and as many others before to warm up
STOPS = 10  # places at which the slider's text is verified
APART = (50, 500, 5_000)
PAIRS = 5
APPLIED = 1_000


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

    def empty(self, agent: int = -1) -> Any:
        """A new document of that agent, by default of one who only reads."""

    def text(self, document: Any) -> str: ...

    def type_all(self, trace: Trace) -> Any:
        """A document in which a sequential trace was typed, each transaction committed by itself."""

    def exchange(
        self, trace: Trace, watch: Collection[int] = ()
    ) -> tuple[list[Any], list[Any], dict[int, str]]:
        """Every agent's document after all was typed and delivered; the updates; texts shown meanwhile."""

    def take(self, document: Any, updates: list[Any]) -> None:
        """Take updates in, each as it comes."""

    def take_at_once(self, document: Any, updates: list[Any]) -> None:
        """Take updates in, all known from the start: the fastest way there is."""

    def save(self, document: Any) -> list[bytes]:
        """The whole history, as it would be stored."""

    def load(self, saved: list[bytes]) -> Any:
        """A document from that; its text is asked for at once."""

    def slide(self, document: Any, updates: list[Any], stops: list[int]) -> Iterator[str]:
        """Hold the text after each transaction in turn; the texts at the stops are yielded."""

    def diff(self, old: str, new: str) -> Any: ...

    def patched(self, old: str, made: Any) -> str:
        """The text that a diff leads to."""


class Outcome(NamedTuple):
    figures: dict[str, float]
    digest: str = ""
    """Equal for contenders that saw the same texts; empty where the recording has told already."""


def typing(contender: Contender, trace: Trace, seed: int) -> Outcome:
    mine = _prepared(contender, trace)
    began = _clock()
    document = contender.type_all(mine)
    took = process_time() - began
    _verify(contender.text(document), trace.end, "after the last edit")
    return Outcome({"all": took})


def exchange(contender: Contender, trace: Trace, seed: int) -> Outcome:
    mine = _prepared(contender, trace)
    began = _clock()
    documents, updates, _ = contender.exchange(mine)
    took = process_time() - began
    for agent, document in enumerate(documents):
        _verify(contender.text(document), trace.end, f"at agent {agent} in the end")
    figures = {"exchange": took}
    for name, way in (("each", contender.take), ("at once", contender.take_at_once)):
        document = contender.empty()
        began = _clock()
        way(document, updates)
        figures[name] = process_time() - began
        _verify(contender.text(document), trace.end, f"of a fresh replica ({name})")
    sizes = [len(update) for update in updates]
    keys = [size for size, step in zip(sizes, trace.steps, strict=True) if _is_keystroke(step.splices)]
    figures["keystroke"] = median(keys or sizes)
    figures["update"] = sum(sizes) / len(sizes)
    return Outcome(figures)


def save(contender: Contender, trace: Trace, seed: int) -> Outcome:
    mine = _prepared(contender, trace)
    document = contender.type_all(mine) if trace.is_sequential else contender.exchange(mine)[0][0]
    saved = contender.save(document)
    began = _clock()
    loaded = contender.load(saved)
    text = contender.text(loaded)
    took = process_time() - began
    _verify(text, trace.end, "after it was saved and loaded")
    size = sum(map(len, saved))
    edits = sum(len(step.splices) for step in trace.steps)
    return Outcome({"bytes": size, "an edit": size / edits, "load": took})


def _is_keystroke(splices: list[tuple[int, int, str]]) -> bool:
    return len(splices) == 1 and splices[0][1] == 0 and len(splices[0][2]) == 1


def versions(contender: Contender, trace: Trace, seed: int) -> Outcome:
    count = min(VERSIONS, len(trace.steps) // 2)
    numbers = Random(seed).sample(range(len(trace.steps)), 2 * count)
    others, asked = numbers[:count], numbers[count:]
    past = contender.Past(_prepared(contender, trace), numbers)
    expected = trace.texts(asked) if trace.is_sequential else past.live
    shown = {}

    def timed(number: int) -> float:
        began = process_time()
        shown[number] = past.text(number)
        took = process_time() - began
        _verify(shown[number], expected[number], f"at the version of transaction {number}")
        return took

    cold = []
    for number in asked:
        past.forget()
        cold.append(timed(number))
    warm = cold
    if contender.CACHES:
        past.forget()
        for number in others:
            past.text(number)
        warm = [timed(number) for number in asked]
    figures = {"cold": median(cold), "cold, slowest": max(cold), "warm": median(warm)}
    return Outcome({**figures, "warm, slowest": max(warm)}, _digest([shown[number] for number in asked]))


def slider(contender: Contender, trace: Trace, seed: int) -> Outcome:
    last = len(trace.steps) - 1
    stops = sorted({last * part // STOPS for part in range(1, STOPS + 1)})
    documents, updates, _ = contender.exchange(_prepared(contender, trace))
    took, texts = 0.0, []
    began = _clock()
    for text in contender.slide(documents[0], updates, stops):
        took += process_time() - began
        texts.append(text)
        began = process_time()
    if trace.is_sequential:
        expected = trace.texts(stops)
        for number, text in zip(stops, texts, strict=True):
            _verify(text, expected[number], f"after {number + 1} transactions")
    _verify(texts[-1], trace.end, "at the last version")
    figures = {"slide": took}
    if every := getattr(contender, "all_splices", None):
        began = _clock()
        every(documents[0])
        figures["splices"] = process_time() - began
    return Outcome(figures, _digest(texts))


def diff(contender: Contender, trace: Trace, seed: int) -> Outcome:
    random = Random(seed)
    pairs = {
        apart: [(start, start + apart) for start in random.choices(range(len(trace.steps) - apart), k=PAIRS)]
        for apart in APART
        if apart < len(trace.steps)
    }
    texts = trace.texts([number for each in pairs.values() for pair in each for number in pair])
    figures: dict[str, float] = {}
    for apart, each in pairs.items():
        times = []
        for first, second in each:
            old, new = texts[first], texts[second]
            began = process_time()
            made = contender.diff(old, new)
            times.append(process_time() - began)
            _verify(contender.patched(old, made), new, f"of a diff over {apart} edits")
        figures[str(apart)] = median(times)
        figures[f"{apart}, slowest"] = max(times)
    return Outcome(figures)


def apply(contender: Contender, trace: Trace, seed: int) -> Outcome:
    tail = trace.tail(min(APPLIED, len(trace.steps) // 2))
    _, updates, _ = contender.exchange(_prepared(contender, tail))
    document = contender.empty()
    contender.take(document, updates[:1])
    began = _clock()
    contender.take(document, updates[1:])
    took = process_time() - began
    _verify(contender.text(document), trace.end, "after the last update")
    return Outcome({"all": took})


TASKS: dict[str, Callable[[Contender, Trace, int], Outcome]] = {
    "typing": typing,
    "exchange": exchange,
    "save": save,
    "versions": versions,
    "slider": slider,
    "diff": diff,
    "apply": apply,
}


def run(name: str, contender: Contender, trace: Trace, seed: int) -> Outcome:
    """Run a task. `WrongText` where a text differs from what it must be."""
    return TASKS[name](contender, trace, seed)


def _clock() -> float:
    """The time, just after a collection: none is due only because of what was prepared."""
    gc.collect()
    return process_time()


def _prepared(contender: Contender, trace: Trace) -> Trace:
    """The trace in the contender's own units."""
    prepare = getattr(contender, "prepare", None)
    return trace if prepare is None else prepare(trace)


def _verify(text: str, expected: str, where: str) -> None:
    if text != expected:
        pairs = zip(text, expected, strict=False)
        at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(text), len(expected)))
        raise WrongText(
            f"its text {where} has {len(text):,} code points and differs at {at:,} from the right one, "
            f"which has {len(expected):,}"
        )


def _digest(texts: list[str]) -> str:
    found = sha256()
    for text in texts:
        found.update(sha256(text.encode()).digest())
    return found.hexdigest()
