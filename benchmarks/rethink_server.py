"""A RethinkDB server to measure, and the driver without anything of ours.

The law of this room. A server listens on loopback only, on ports of its own that it keeps over restarts, with
a folder of its own; it is gone, and its folder too, when the process that started it is, however that one
ended. What it takes is read from the kernel, in ticks of the processor's clock and pages.

It doesn't know the package: the bare driver is what everything of ours is compared with.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

LIMIT = 60.0  # seconds that anything here takes at most
BATCH = 128  # rows: the server writes no more at once, so neither side sends more
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def missing() -> str:
    """Why nothing can be measured here; empty if it can."""
    if shutil.which("rethinkdb") is None:
        return "no `rethinkdb` on PATH"
    if not Path("/proc/self/stat").exists():
        return "no /proc, from which a server's memory and processor time are read"
    try:
        import rethinkdb  # noqa: F401
    except ImportError:
        return "no driver: the extra `rethinkdb` is not installed"
    return ""


class Down(Exception):
    """A server doesn't come up."""


class Server:
    """One `rethinkdb` process; a context manager that starts and ends it."""

    def __init__(self, cache: int = 512) -> None:
        self._cache = cache  # MB of rows in memory
        self._ports = _free_port(), _free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="syncstring-bench-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def url(self, db: str) -> str:
        return f"rethinkdb://127.0.0.1:{self._ports[0]}/{db}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Start it; how many seconds passed until it took a connection. Its tables may take longer."""
        data = self._folder / "data"
        command = ["rethinkdb", "serve"] if data.exists() else ["rethinkdb"]
        command += ["--directory", str(data), "--bind", "127.0.0.1", "--cache-size", str(self._cache)]
        command += ["--driver-port", str(self._ports[0]), "--cluster-port", str(self._ports[1])]
        command += ["--no-http-admin", "--no-update-check"]
        began = time.perf_counter()
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        # A shell waits for the end of a pipe that we hold.
        self._guard = subprocess.Popen(
            ["sh", "-c", 'read line; kill -9 "-$1"; rm -rf "$2"', "sh", str(self.pid), str(self._folder)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self._ports[0]), 1).close()
                return time.perf_counter() - began
            if self._process.poll() is not None or time.perf_counter() - began > LIMIT:
                said = (self._folder / "log").read_text(errors="replace")[-2_000:]
                self.kill()
                raise Down(f"the server doesn't come up: {said}")
            time.sleep(0.005)

    def kill(self) -> None:
        """SIGKILL; it is gone when this returns."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(LIMIT)
            self._process = None
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._guard = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def _free_port() -> int:
    """A port that nobody listens on, below those that the kernel gives to clients: while the server is dead,
    one of them must not get it for its own end."""
    with suppress(OSError):
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        for port in range(lowest - 1 - os.getpid() % 5_000, 1_024, -1):
            with suppress(OSError), socket.socket() as tried:
                tried.bind(("127.0.0.1", port))
                if port not in _given:
                    _given.add(port)
                    return port
    raise Down("no port is free")


_given: set[int] = set()


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has had, its threads and the kernel for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def rss(pid: int) -> int:
    """Bytes of memory that a process has now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def driver() -> Any:
    """The driver, for event loops; an instance of one's own, since it keeps what it is told."""
    from rethinkdb import RethinkDB

    r = RethinkDB()
    r.set_loop_type("asyncio")
    return r


async def dial(r: Any, url: str) -> Any:
    """One connection of the driver."""
    parts = urlsplit(url)
    return await r.connect(parts.hostname, parts.port, db=parts.path[1:])
