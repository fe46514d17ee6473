"""Workers on one document, as whoever starts and kills them sees them; and the judge of what they left.

What it guarantees: the judge forgives nothing. Every acknowledged patch, and every one that was committed
by who had an outbox and came back, is in the history, once; nothing is parked or wrong; everybody reads one
text. Who waits for a worker waits within a limit, and is told what it said last. It doesn't know what goes
wrong with the store, or why.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import rethink_servers
import rethink_work
from rethink_work import Id, digest
from steady import Steady

import syncstring

SLACK: Final = 3.0
"""Seconds beyond its limit that a call may take here, those apart in which the machine stood still: two
processors, a dozen processes."""
PATIENCE: Final = 180.0
"""Seconds that a worker may need to get something acknowledged once all is well again."""


class Worker:
    """A process that works on a document, as whoever started it sees it."""

    def __init__(self, folder: Path, order: dict[str, Any], outbox: bool = False) -> None:
        name = order["author"]
        self.order = {**order, "log": str(folder / f"{name}.log")}
        if outbox:
            self.order["outbox"] = str(folder / f"{name}.outbox")
        self.acknowledged: set[Id] = set()
        self.made: set[Id] = set()
        self.openings = 0
        self._said: list[dict[str, Any]] = []
        self._read = 0
        self._errors = folder / f"{name}.errors"
        self.process: subprocess.Popen[bytes] | None = None
        self._guard: rethink_servers.Guard | None = None

    @property
    def writes(self) -> bool:
        return self.order["role"] in ("writer", "live")

    def start(self) -> None:
        order = {**self.order, "seed": self.order["seed"] + self.openings}
        command = [sys.executable, "-W", "ignore", rethink_work.__file__, json.dumps(order)]
        with open(self._errors, "ab") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=errors, stderr=errors, start_new_session=True
            )

    def kill(self) -> None:
        """SIGKILL; it is gone when this returns."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE)
            if self.process.stdin is not None:
                with suppress(OSError):
                    self.process.stdin.close()
            self.process = None
        if self._guard is not None:
            self._guard.leave()
            self._guard = None
        self.look()

    def freeze(self) -> None:
        """SIGSTOP: it wouldn't notice our end by itself."""
        assert self.process is not None
        self._guard = self._guard or rethink_servers.Guard(self.process.pid)
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    @property
    def rss(self) -> int:
        assert self.process is not None
        return rethink_servers.rss(self.process.pid)

    def look(self) -> None:
        """Read what its log has got."""
        try:
            with open(self.order["log"], "rb") as log:
                log.seek(self._read)
                data = log.read()
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            fields = json.loads(line)
            if "made" in fields:
                self.made.add(tuple(fields["made"]))
            elif "acknowledged" in fields:
                self.acknowledged |= {tuple(id) for id in fields["acknowledged"]}
            elif "opened" in fields:
                self.openings += 1
            else:
                self._said.append(fields)

    def tell(self, word: str) -> None:
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())
        self.process.stdin.flush()

    def answer(self, word: str) -> dict[str, Any]:
        """What it says to that word."""
        word = word.partition(" ")[0]
        self.wait(lambda: any(said["said"] == word for said in self._said), f"answered {word!r}")
        found = next(said for said in self._said if said["said"] == word)
        self._said.remove(found)
        return found

    def wait(self, true: Callable[[], bool], what: str) -> None:
        """Until its log makes that true. `AssertionError` when it died of itself or takes too long."""
        end = time.monotonic() + PATIENCE
        while True:
            self.look()
            if true():
                return
            author = self.order["author"]
            ended = self.process is None or self.process.poll() is not None
            assert not ended, f"{author} ended by itself: {self.errors()}"
            if time.monotonic() > end:
                assert self.process is not None
                self.process.send_signal(signal.SIGUSR1)
                time.sleep(0.5)
                raise AssertionError(f"{author} hasn't {what} for {PATIENCE:g} s: {self.errors()}")
            time.sleep(0.01)

    def errors(self) -> str:
        return self._errors.read_text(errors="replace")[-2_000:] or "it said nothing"


class Crew:
    """Some workers on one document; a context manager that starts and ends them."""

    def __init__(
        self,
        url: str,
        folder: Path,
        seed: int,
        writers: int = 4,
        packers: int = 1,
        prepared: bool = True,
        **options: Any,
    ) -> None:
        self.url = url
        self.prepared = prepared  # whether the database and the document are made before they come
        self.name = "work.md"
        roles = ["writer", "writer", "live", "live"] * writers
        roles = roles[:writers] + ["packer"] * packers
        self.workers = [
            Worker(
                folder,
                {
                    "url": url,
                    "name": self.name,
                    "role": role,
                    "author": f"{role}{number}",
                    "seed": (seed + 1_000_003 * number) % (1 << 60),
                    "options": options,
                },
                outbox=number % 2 == 0 and role != "packer",
            )
            for number, role in enumerate(roles)
        ]

    @property
    def writers(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.writes]

    def __enter__(self) -> Self:
        if self.prepared:
            syncstring.open(self.url, self.name, author="first", limit=60).close()
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.kill()

    def progress(self) -> float:
        """Wait until every writer got something acknowledged that it hadn't; how many seconds that took."""
        began = time.monotonic()
        before = {}
        for worker in self.writers:
            worker.look()
            before[worker] = len(worker.acknowledged)
        for worker in self.writers:
            worker.wait(
                lambda worker=worker: len(worker.acknowledged) > before[worker],  # type: ignore[misc]
                "got anything acknowledged",
            )
        return time.monotonic() - began

    def settle(self) -> dict[str, Any]:
        """Have all of them flush, then read; judge. `AssertionError` if anything is wrong."""
        live = [worker for worker in self.workers if worker.order["role"] == "live"]
        asking = [worker for worker in self.workers if worker not in live]
        _all(self.workers, "flush")  # after it, each live one has put back what a crash took away
        texts = [said["text"] for said in _all(asking, "read")]
        _all(live, f"await {texts[0]}" if texts else "read")
        authors = [worker.order["author"] for worker in self.workers]
        read = dict(zip(authors, _all(self.workers, "read"), strict=True))
        acknowledged: set[Id] = set()
        promised: set[Id] = set()
        for worker in self.workers:
            acknowledged |= worker.acknowledged
            if "outbox" in worker.order:
                promised |= worker.made
        figures = judge(self.url, self.name, acknowledged, promised, [r["text"] for r in read.values()])
        for author, said in read.items():
            for wrong in ("unsaved", "parked", "problems"):
                assert not said[wrong], f"{author} is left with {wrong}: {said[wrong]}"
            assert said["slowest"] <= SLACK, f"{author} waited {said['slowest']} s beyond its limit"
        return {
            **figures,
            "kept by outboxes": len(promised - acknowledged),
            "refused": sum(said["refused"] for said in read.values()),
            "slowest beyond limit": max(0.0, *(said["slowest"] for said in read.values())),
            "largest worker MB": max(said["rss"] for said in read.values()) >> 20,
        }


def _all(workers: list[Worker], word: str) -> list[dict[str, Any]]:
    """What they say to a word that all of them are told first."""
    for worker in workers:
        worker.tell(word)
    return [worker.answer(word) for worker in workers]


def judge(
    url: str, name: str, acknowledged: set[Id], promised: Iterable[Id] = (), texts: Iterable[str] = ()
) -> dict[str, Any]:
    """Open the document anew and compare: figures, or `AssertionError`. `texts` are digests of what others
    read; `promised` is what was committed by who had an outbox, and came back."""
    with syncstring.open(url, name, author="judge", limit=60) as document:
        document.sync()
        whole = document.versions
        ids = [tuple(version.id) for version in whole if version.id is not None]
        there = set(ids)
        lost = acknowledged - there
        assert not lost, (
            f"{len(lost)} of {len(acknowledged)} acknowledged patches are lost: {sorted(lost)[:3]}"
        )
        lost = set(promised) - there
        assert not lost, f"{len(lost)} patches were committed to an outbox and are lost: {sorted(lost)[:3]}"
        assert len(there) == len(ids), "a patch is there twice"
        assert not document.parked, f"{len(document.parked)} patches wait for their parents for ever"
        assert not document.problems, f"problems: {document.problems[:3]}"
        assert document.at(whole[-1]) == document.text, "the newest version isn't the text"
        others = set(texts)
        assert others <= {digest(document.text)}, f"{len(others)} different texts were read"
        return {"acknowledged": len(acknowledged), "lost": 0, "patches": len(ids)}


def refused(ask: Callable[[], Any], kind: type[syncstring.SyncstringError], limit: float) -> str:
    """What it says when it raises just that error, within its limit."""
    with Steady() as clock:
        began = clock.time()
        try:
            ask()
        except syncstring.SyncstringError as error:
            took = clock.time() - began
            assert type(error) is kind, f"{type(error).__name__} where {kind.__name__} is meant: {error}"
            assert took < limit + SLACK, f"it took {took:.1f} s to say {error}"
            return str(error)
    raise AssertionError(f"nothing was raised where {kind.__name__} is meant")


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="syncstring-work-") as name:
        yield Path(name)
