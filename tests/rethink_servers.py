"""Real RethinkDB servers for tests: started, killed, frozen, joined to a cluster; and bad networks.

What it guarantees: a server listens on loopback only, on ports of its own that it keeps over restarts, with a
folder of its own; it is gone, and its folder too, when the process that started it is, however that one
ended. No wait is without a limit. It doesn't know the package: it talks to servers through the driver.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import quote, unquote, urlsplit

NAME: Final = "SYNCSTRING_RETHINKDB"
"""The variable that names a server which runs already, as a URL: for tests that needn't harm it."""
LIMIT: Final = 120.0  # seconds that anything here takes at most


def missing() -> str:
    """Why no server can be started here; empty if one can."""
    if shutil.which("rethinkdb") is None:
        return "no `rethinkdb` on PATH"
    try:
        import rethinkdb  # noqa: F401
    except ImportError:
        return "no driver: the extra `rethinkdb` is not installed"
    return ""


_taken: list[socket.socket] = []  # names that say which ports this process gave out; they end with it


def free_port() -> int:
    """A port that nobody listens on, and that no connection of ours gets for its own end: while a server is
    dead, a client that dials a port of that range again and again ends up talking to itself. Nor does any
    other process that asks here get it, while nothing listens on it yet, or between two lives of a server."""
    try:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        lowest = 32_768
    chance = random.SystemRandom()
    for _ in range(1_000):
        port = chance.randrange(min(15_000, lowest - 5_000), lowest)
        with suppress(OSError), socket.socket() as tried:
            tried.bind(("127.0.0.1", port))
            if sys.platform == "linux":
                name = socket.socket(socket.AF_UNIX)
                name.bind(f"\0syncstring-test-port-{port}")  # no file; `OSError` where another has it
                _taken.append(name)
            return port
    raise RuntimeError("no port is free")


def within(limit: float, ask: Callable[[], Any]) -> Any:
    """What a call gives that may hang: its own thread waits for it. `TimeoutError` past the limit."""
    found: list[Any] = []

    def work() -> None:
        try:
            found.append((ask(), None))
        except BaseException as error:
            found.append((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(limit)
    if not found:
        raise TimeoutError(f"no answer within {limit:g} s")
    value, error = found[0]
    if error is not None:
        raise error
    return value


class Guard:
    """Sees to it that a group of processes, stopped or not, and a folder don't outlive us: a shell that waits
    for the end of a pipe that we hold."""

    def __init__(self, group: int, folder: str = "") -> None:
        self._shell = subprocess.Popen(
            ["sh", "-c", 'read line; kill -9 "-$1"; [ -z "$2" ] || rm -rf "$2"', "sh", str(group), folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def leave(self) -> None:
        """They are gone already."""
        self._shell.kill()
        self._shell.wait()
        if self._shell.stdin is not None:
            self._shell.stdin.close()


class Address:
    """Where a server is, and questions to it."""

    def __init__(self, host: str, port: int, user: str = "", password: str = "") -> None:
        self.host, self.port, self.user, self.password = host, port, user, password

    @classmethod
    def of(cls, url: str) -> Address:
        """The server that a URL names."""
        parts = urlsplit(url)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(parts.hostname or "127.0.0.1", parts.port or 28_015, user, password)

    def url(self, db: str, user: str = "", password: str = "") -> str:
        """The URL of a database on it; as another user, where that is said."""
        if not user:
            user, password = self.user, self.password
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        return f"rethinkdb://{login}{self.host}:{self.port}/{db}"

    def ask(self, term: Callable[[Any], Any], limit: float = LIMIT, **options: Any) -> Any:
        """The answer to `term(r)`, on a connection of its own; a cursor's is a list."""
        from rethinkdb import RethinkDB

        r = RethinkDB()

        def run() -> Any:
            connection = r.connect(
                self.host, self.port, user=self.user or "admin", password=self.password, timeout=limit
            )
            try:
                answer = term(r).run(connection, **options)
                return list(answer) if hasattr(answer, "next") else answer
            finally:
                connection.close(noreply_wait=False)

        return within(limit, run)

    def insist(self, term: Callable[[Any], Any], limit: float = LIMIT, **options: Any) -> Any:
        """The same, asked again while the server says no: one that has just started does."""
        from rethinkdb.errors import ReqlError

        end = time.monotonic() + limit
        while True:
            try:
                return self.ask(term, max(1.0, end - time.monotonic()), **options)
            except (ReqlError, OSError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def drop(self, db: str) -> None:
        """Drop a database, if there is one."""
        self.insist(lambda r: r.branch(r.db_list().contains(db), r.db_drop(db), None))


class Server(Address):
    """One `rethinkdb` process; a context manager that starts and ends it."""

    def __init__(
        self,
        name: str = "one",
        folder: Path | None = None,
        join: Iterable[int] = (),
        options: Iterable[str] = (),
        own: bool = False,
    ) -> None:
        """In a folder of its own, or in a given one; if that is `own`, it goes too when we die."""
        super().__init__("127.0.0.1", free_port())
        self._options = list(options)  # of the command, more than are always given
        self.name = name
        self.cluster_port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self._join = list(join)
        self._guard: Guard | None = None
        self._own = own or folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="syncstring-rethink-")) if folder is None else folder
        self._data = self.folder / name
        self._log = self.folder / f"{name}.log"

    # --- its life ---------------------------------------------------------------------------------------

    def start(self) -> float:
        """Start it; how many seconds passed until it took a connection. Its tables may take longer."""
        assert self.process is None, f"server {self.name} runs already"
        command = ["rethinkdb", "serve"] if self._data.exists() else ["rethinkdb"]
        command += ["--directory", str(self._data), "--cache-size", "256", "--bind", "127.0.0.1"]
        command += ["--driver-port", str(self.port), "--cluster-port", str(self.cluster_port)]
        command += ["--no-http-admin", "--no-update-check", *self._options]
        if not self._data.exists():
            command += ["--server-name", self.name]
        for port in self._join:
            command += ["--join", f"127.0.0.1:{port}"]
        began = time.monotonic()
        with open(self._log, "ab") as log:
            # A group of its own: what a terminal sends to the tests' group isn't for it.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.process = process
        self._guard = Guard(process.pid, str(self.folder) if self._own else "")
        self.starts += 1
        while True:
            if process.poll() is not None:
                self._ended()
                raise RuntimeError(f"server {self.name} ended: {process.returncode}\n{self.said()[-3_000:]}")
            with suppress(OSError):
                socket.create_connection((self.host, self.port), 1).close()
                return time.monotonic() - began
            if time.monotonic() - began > LIMIT:
                self.kill9()
                raise TimeoutError(f"server {self.name} took no connection within {LIMIT:g} s")
            time.sleep(0.01)

    def _ended(self) -> None:
        self.process = None
        if self._guard is not None:
            self._guard.leave()
            self._guard = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill9(self) -> None:
        """SIGKILL, to it and what it started; it is gone when this returns. Frozen or not."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(LIMIT)
            self._ended()

    def stop(self) -> None:
        """End it as a service manager does."""
        if self.process is not None:
            self.thaw()
            self.process.terminate()
            try:
                self.process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                self.kill9()
            self._ended()

    def restart(self) -> float:
        """SIGKILL, and start it again on the same ports and folder."""
        self.kill9()
        return self.start()

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and nothing comes any more."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it; its folder goes, if it was made for it."""
        self.kill9()
        if self._own:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what it takes ------------------------------------------------------------------------------------

    @property
    def rss(self) -> int:
        """Bytes of memory that it has now."""
        assert self.process is not None
        return rss(self.process.pid)

    @property
    def cpu(self) -> float:
        """Seconds of processor time that it has had since it was started."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def said(self) -> str:
        """Its log."""
        return self._log.read_text(errors="replace")


def rss(pid: int) -> int:
    """Bytes of memory that a process has now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1_024
    return 0


class Cluster:
    """Servers that know each other; a context manager that starts and ends them."""

    def __init__(self, count: int = 3) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="syncstring-rethink-"))
        self.servers: list[Server] = []
        for number in range(count):
            join = [self.servers[0].cluster_port] if self.servers else []
            self.servers.append(Server(f"n{number + 1}", self.folder, join, own=True))

    def __enter__(self) -> Self:
        try:
            for server in self.servers:
                server.start()
            self.joined(len(self.servers))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for server in self.servers:
            server.kill9()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, db: str) -> str:
        """The URL of a database, with every server in it."""
        hosts = ",".join(f"{server.host}:{server.port}" for server in self.servers)
        return f"rethinkdb://{hosts}/{db}"

    def ask(self, term: Callable[[Any], Any], beside: Server | None = None, **options: Any) -> Any:
        """The answer of a server that runs, `beside` apart."""
        server = next(server for server in self.servers if server.running and server is not beside)
        return server.insist(term, **options)

    def joined(self, count: int) -> None:
        """Wait until so many know each other."""
        end = time.monotonic() + LIMIT
        while self.ask(lambda r: r.db("rethinkdb").table("server_status").count()) != count:
            assert time.monotonic() < end, f"the servers didn't join within {LIMIT:g} s"
            time.sleep(0.05)

    def heartbeat(self, seconds: int) -> None:
        """After how many seconds of silence the servers give one of them up."""
        self.ask(
            lambda r: r.db("rethinkdb").table("cluster_config").get("heartbeat").update(
                {"heartbeat_timeout_secs": seconds}
            )
        )  # fmt: skip

    def replicate(self, db: str, shards: int = 1, beside: Server | None = None) -> None:
        """Have a replica of every table on each server, and wait until they are there."""
        replicas = len(self.servers)
        self.ask(lambda r: r.db(db).reconfigure(shards=shards, replicas=replicas), beside)
        self.ask(lambda r: r.db(db).wait(wait_for="all_replicas_ready", timeout=LIMIT), beside)

    def primary(self, db: str, table: str) -> Server:
        """The server that has a table's first primary now."""
        end = time.monotonic() + LIMIT
        while True:
            shards = self.ask(lambda r: r.db(db).table(table).status())["shards"]
            names = shards[0]["primary_replicas"] if shards else []
            if names:
                return next(server for server in self.servers if server.name == names[0])
            assert time.monotonic() < end, f"table {table} has had no primary for {LIMIT:g} s"
            time.sleep(0.05)


class Proxy:
    """A network before one server, on a port of its own: good, slow, cut or mute, as it is told.

    Mute is what a cable pulled out is: connections stay open, nothing passes, nothing is lost; once it
    passes again, what was under way arrives. Daemon threads, two a connection."""

    def __init__(self, behind: Address) -> None:
        self.behind = behind
        self.port = free_port()
        self.connections = 0  # that were made so far
        self._turn = threading.Condition()
        self._mode: Literal["pass", "mute", "down"] = "pass"
        self._delay = 0.0
        self._left: dict[str, int] = {}  # bytes until a cut, by the side that they go to
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, db: str) -> str:
        """The URL of a database of the server behind it, through it."""
        return Address("127.0.0.1", self.port, self.behind.user, self.behind.password).url(db)

    # --- what it is told ----------------------------------------------------------------------------------

    def passes(self) -> None:
        """Be a good network."""
        self._set("pass")

    def delay(self, seconds: float) -> None:
        """Pass everything, so much later."""
        self._set("pass", seconds)

    def mute(self) -> None:
        """Pass nothing, in either direction; take connections, and don't say a word."""
        self._set("mute")

    def down(self) -> None:
        """Close every connection, and each new one at once."""
        self._set("down")
        self._close_all()

    def cut(self, after: int, to: Literal["client", "server"] = "client") -> None:
        """Close every connection once so many more bytes went to that side; pass the new ones."""
        with self._turn:
            self._left = {to: after}

    @property
    def pending(self) -> bool:
        """Whether a cut is still to come."""
        return bool(self._left)

    def close(self) -> None:
        self._set("down")
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._close_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what it does -------------------------------------------------------------------------------------

    def _set(self, mode: Literal["pass", "mute", "down"], delay: float = 0.0) -> None:
        with self._turn:
            self._mode, self._delay, self._left = mode, delay, {}
            self._turn.notify_all()

    def _close_all(self) -> None:
        with self._turn:
            connections, self._open = self._open, set()
        for end in connections:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # the threads that read them close them

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            with self._turn:
                refused = self._mode == "down"
            try:
                if refused:
                    raise OSError
                server = socket.create_connection((self.behind.host, self.behind.port), 5)
            except OSError:
                client.close()
                continue
            self.connections += 1
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._turn:
                self._open |= {client, server}
            for source, target, to in ((client, server, "server"), (server, client, "client")):
                threading.Thread(target=self._pump, args=(source, target, to), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, to: str) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if self._delay:
                    time.sleep(self._delay)
                with self._turn:
                    self._turn.wait_for(lambda: self._mode != "mute" or source not in self._open)
                    cut = to in self._left and len(data) >= self._left[to]
                    if cut:
                        data = data[: self._left.pop(to)]
                    elif to in self._left:
                        self._left[to] -= len(data)
                target.sendall(data)
                if cut:
                    self._close_all()
        with self._turn:
            self._open -= {source, target}
            self._turn.notify_all()
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()


def fresh_database() -> str:
    """A name that no database has."""
    return f"syncstring_test_{secrets.token_hex(6)}"


@contextmanager
def database(where: Address) -> Iterator[str]:
    """The name of a new database, dropped afterwards."""
    db = fresh_database()
    try:
        yield db
    finally:
        where.drop(db)
