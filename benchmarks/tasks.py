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

from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from time import process_time

import branches
import stored
from contest import Contender, Outcome, WrongText, clock, digest, prepared, verify
from recordings import Trace

__all__ = ["PREPARED", "TASKS", "WrongText", "run"]

ROW = 20  # old versions asked for one after the other
COLD = 10  # and as many of them with nothing kept
STOPS = 10  # places at which the slider's text is verified
APART = (50, 500, 5_000)
PAIRS = 5
DIFFERENT = (20_000, 100_000)
APPLIED = 1_000
REPLAYS = 20


def typing(contender: Contender, trace: Trace, seed: int) -> Outcome:
    mine = prepared(contender, trace)
    began = clock()
    document = contender.type_all(mine)
    took = process_time() - began
    verify(contender.text(document), trace.end, "after the last edit")
    return Outcome({"all": took})


def in_one(contender: Contender, trace: Trace, seed: int) -> Outcome:
    edits = [splice for step in trace.steps for splice in step.splices]
    began = clock()
    document = contender.type_list(edits)
    took = process_time() - began
    verify(contender.text(document), trace.end, "after the list")
    return Outcome({"all": took})


def kernel(contender: Contender, trace: Trace, seed: int) -> Outcome:
    replay = contender.replayer([splice for step in trace.steps for splice in step.splices])
    times = []
    for _ in range(REPLAYS):
        began = clock()
        buffer = replay()
        times.append(process_time() - began)
        verify(str(buffer), trace.end, "after a replay")
    return Outcome({"replay": median(times)})


def exchange(contender: Contender, trace: Trace, seed: int) -> Outcome:
    mine = prepared(contender, trace)
    began = clock()
    documents, updates, _ = contender.exchange(mine)
    took = process_time() - began
    for agent, document in enumerate(documents):
        verify(contender.text(document), trace.end, f"at agent {agent} in the end")
    figures = {"exchange": took}
    for name, way in (("each", contender.take), ("at once", contender.take_at_once)):
        document = contender.empty()
        began = clock()
        way(document, updates)
        figures[name] = process_time() - began
        verify(contender.text(document), trace.end, f"of a fresh replica ({name})")
    if from_rows := getattr(contender, "take_rows", None):
        document = contender.empty()
        take = from_rows(document, documents)
        began = clock()
        take()
        figures["rows"] = process_time() - began
        verify(contender.text(document), trace.end, "of a fresh replica (rows)")
    sizes = [len(update) for update in updates]
    keys = [size for size, step in zip(sizes, trace.steps, strict=True) if _is_keystroke(step.splices)]
    figures["keystroke"] = median(keys or sizes)
    figures["update"] = sum(sizes) / len(sizes)
    return Outcome(figures)


def _is_keystroke(splices: list[tuple[int, int, str]]) -> bool:
    return len(splices) == 1 and splices[0][1] == 0 and len(splices[0][2]) == 1


def versions(contender: Contender, trace: Trace, seed: int) -> Outcome:
    numbers = Random(seed).sample(range(len(trace.steps)), min(ROW, len(trace.steps) // 2))
    past = contender.Past(prepared(contender, trace), numbers)
    expected = trace.texts(numbers) if trace.is_sequential else past.live
    shown = {}

    def timed(number: int) -> float:
        began = process_time()
        shown[number] = past.text(number)
        took = process_time() - began
        verify(shown[number], expected[number], f"at the version of transaction {number}")
        return took

    past.forget()
    row = [timed(number) for number in numbers]
    cold = row
    if contender.CACHES:
        cold = []
        for number in numbers[:COLD]:
            past.forget()
            cold.append(timed(number))
    figures = {"cold": median(cold), "cold, slowest": max(cold), "in a row": median(row)}
    return Outcome({**figures, "in a row, slowest": max(row)}, digest([shown[number] for number in numbers]))


def slider(contender: Contender, trace: Trace, seed: int) -> Outcome:
    last = len(trace.steps) - 1
    stops = sorted({last * part // STOPS for part in range(1, STOPS + 1)})
    documents, updates, _ = contender.exchange(prepared(contender, trace))
    took, texts = 0.0, []
    began = clock()
    for text in contender.slide(documents[0], updates, stops):
        took += process_time() - began
        texts.append(text)
        began = process_time()
    if trace.is_sequential:
        expected = trace.texts(stops)
        for number, text in zip(stops, texts, strict=True):
            verify(text, expected[number], f"after {number + 1} transactions")
    verify(texts[-1], trace.end, "at the last version")
    figures = {"slide": took}
    if every := getattr(contender, "all_splices", None):
        began = clock()
        every(documents[0])
        figures["splices"] = process_time() - began
    return Outcome(figures, digest(texts))


def every(contender: Contender, trace: Trace, seed: int) -> Outcome:
    document = contender.type_all(trace)
    last = len(trace.steps)
    stops = sorted({last * part // STOPS for part in range(STOPS + 1)})
    seen = {}
    wanted = iter([*stops, -1])
    stop = next(wanted)
    began = clock()
    for number, text in enumerate(contender.every(document)):
        if number == stop:
            seen[number] = text
            stop = next(wanted)
    took = process_time() - began
    expected = {
        0: "",
        **{number + 1: text for number, text in trace.texts([n - 1 for n in stops if n]).items()},
    }
    if seen.keys() != expected.keys():
        raise WrongText(f"it has texts of {len(seen)} versions of {len(expected)}")
    for number, text in seen.items():
        verify(text, expected[number], f"after {number} transactions")
    return Outcome({"rate": (last + 1) / max(took, 1e-9)})


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
            verify(contender.patched(old, made), new, f"of a diff over {apart} edits")
        figures[str(apart)] = median(times)
        figures[f"{apart}, slowest"] = max(times)
    return Outcome(figures)


def different(contender: Contender, trace: Trace, seed: int) -> Outcome:
    random, figures = Random(seed), {}
    for size in DIFFERENT:
        prose = (trace.end * (size // max(1, len(trace.end)) + 1))[:size]
        letters = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz \n", k=size)) for _ in range(2)]
        times = []
        for old, new in ((prose, prose[::-1]), letters):
            began = clock()
            made = contender.diff(old, new)
            times.append(process_time() - began)
            verify(contender.patched(old, made), new, f"of a diff of {size} code points")
        figures[str(size)] = max(times)
    return Outcome(figures)


def apply(contender: Contender, trace: Trace, seed: int) -> Outcome:
    tail = trace.tail(min(APPLIED, len(trace.steps) // 2))
    _, updates, _ = contender.exchange(prepared(contender, tail))
    document = contender.empty()
    contender.take(document, updates[:1])
    began = clock()
    contender.take(document, updates[1:])
    took = process_time() - began
    verify(contender.text(document), trace.end, "after the last update")
    return Outcome({"all": took})


TASKS: dict[str, Callable[[Contender, Trace, int], Outcome]] = {
    "typing": typing,
    "list": in_one,
    "kernel": kernel,
    "exchange": exchange,
    "save": stored.save,
    "times": stored.times,
    "versions": versions,
    "slider": slider,
    "every": every,
    "diff": diff,
    "different": different,
    "apply": apply,
    "branches": branches.branches,
}
FROM_FILES: dict[str, Callable[[Contender, Trace, Path], Outcome]] = {"open": stored.opened}
PREPARED: dict[str, Callable[[Contender, Trace, Path], None]] = {
    "open": stored.lay,
    "memory": stored.stream,
}
"""What has to be laid into a contender's own folder before a task's first run."""


def run(name: str, contender: Contender, trace: Trace, seed: int, folder: Path | None = None) -> Outcome:
    """Run a task. `WrongText` where a text differs from what it must be."""
    if name in FROM_FILES:
        assert folder is not None, name
        return FROM_FILES[name](contender, trace, folder)
    return TASKS[name](contender, trace, seed)
