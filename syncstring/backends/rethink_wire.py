"""Queries to a RethinkDB server, over a connection that may break at any moment.

The law of this room. Every wait has a limit of our own, since the driver has none once it is connected. Who
stops waiting harms nobody: a query that was sent is left to end by itself, because cancelling it would close
the connection under all others. What comes back is an answer, or one of three errors: `NotNow` (certainly not
done, the table isn't ready), `StoreUnavailable` (lost: perhaps done), `StoreError` (waiting doesn't help).
Their texts tell hosts and names, never a password, never a row.

It doesn't know tables. Of the driver it uses what its reader and writer of messages do, no pool and no state
that is shared by the process. A wire belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from rethinkdb import errors as reql
from rethinkdb.ast import expr
from rethinkdb.asyncio_net.net_asyncio import Connection

from syncstring.errors import PatchError, StoreError, StoreUnavailable

__all__ = ["Address", "NotNow", "Wire", "batches"]

PORT: Final = 28015
DIAL: Final = 5.0  # seconds for one host to answer
FIRST_PAUSE: Final = 0.05  # seconds between two dials, while none succeeds
AT_ONCE: Final = 200  # queries on one connection: the server takes 1,024
PING: Final = 3.0  # seconds for a connection to show that it is alive, when an answer didn't come
SLOWEST: Final = 20_000  # bytes a second that a line may take to be waited for


class NotNow(StoreUnavailable):
    """It was not done: the table isn't ready, or has just lost its primary. Soon it may be."""


@dataclass(frozen=True, repr=False)
class Address:
    """What a URL says. Shown, it has no password."""

    hosts: tuple[tuple[str, int], ...]
    db: str
    user: str
    password: str
    ca: str
    """A file of certificates to trust; empty without TLS."""

    @classmethod
    def parsed(cls, url: str) -> Address:
        """`rethinkdb[s]://[user[:password]@]host[:port][,host[:port]]/db[?ca=FILE&password_file=FILE]`.

        `PatchError` says what it can't be; `StoreError` if a file of it can't be read."""
        try:
            parts = urlsplit(url)
            if not url[len(parts.scheme) :].startswith("://"):
                raise ValueError("it is rethinkdb://HOST[:PORT]/DB")
        except ValueError as error:
            raise PatchError(f"that is no URL: {error}") from None
        _, *behind = re.split("[/?#]", url.partition("://")[2], maxsplit=1)
        if "@" in "".join(behind):  # then that is a part of a password, and nothing of it can be shown
            raise PatchError(
                "a / ? # or @ in a user's name, a password or a file's is written %2F %3F %23 %40"
            )
        asked = dict(parse_qsl(parts.query, keep_blank_values=True))
        given = parts.netloc.rpartition("@")
        user, colon, password = (unquote(part) for part in given[0].partition(":"))
        known = {"password_file", "ca"} if parts.scheme == "rethinkdbs" else {"password_file"}
        if strange := asked.keys() - known:
            may = ", ".join(sorted(known))
            raise PatchError(f"a {parts.scheme}: URL has no {', '.join(sorted(strange))}; it may have {may}")
        if "password_file" in asked:
            if colon:
                raise PatchError("the URL has a password and a password_file; give one of them")
            password = _password(asked["password_file"])
        if not (user + password).isascii():
            raise PatchError(
                "a user's name or password has other letters than ASCII, which the driver can't say"
            )
        db = unquote(parts.path.removeprefix("/"))
        if not db or not all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in db):
            raise PatchError(
                f"{_plain(parts):.200} names no database; it ends in /NAME, of letters, digits, _ and -"
            )
        if db == "rethinkdb" or parts.fragment:
            reason = "is the server's own" if db == "rethinkdb" else "has something after a #"
            raise PatchError(f"{_plain(parts)!r:.200} {reason}; name a database of yours")
        hosts = tuple(_host(part) for part in given[2].split(","))
        ca = ""
        if parts.scheme == "rethinkdbs":
            ca = asked.get("ca") or ssl.get_default_verify_paths().cafile or ""
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca)
            except ssl.SSLError:
                raise StoreError(f"file of certificates {ca!r:.200}: no certificate is in it") from None
            except OSError as error:
                why = f"{error.strerror}; name one by ?ca=FILE"
                raise StoreError(f"file of certificates {ca!r:.200}: {why}") from None
        return cls(hosts, db, user or "admin", password, ca)

    def __repr__(self) -> str:
        user = "" if self.user == "admin" else f"{self.user}@"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return f"rethinkdb{'s' if self.ca else ''}://{user}{hosts}/{self.db}"


def _plain(parts: SplitResult) -> str:
    """As much of it as can be shown."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _password(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise StoreError(f"password file {path}: {getattr(error, 'strerror', None) or 'no text'}") from None


def _host(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = text.partition(":")
    if (
        not host.isprintable()
        or " " in host
        or not host
        or (colon and colon != ":")
        or not (port or "0").isdecimal()
        or not port.isascii()
    ):
        raise PatchError(f"{text!r:.80} is no host[:port]")
    number = int(port[:6]) if port else PORT
    if not 1 <= number <= 65_535:
        raise PatchError(f"{text!r:.80}: a port is a number from 1 to 65535")
    return host, number


_SAID = re.compile(r"SSL|Errno|[Tt]imeout|timed out|getaddrinfo|[Nn]ame|closed|refused|reset|interrupted")
"""What stands in an error of the network, and not in one of somebody else's protocol."""


class _Decoder(json.JSONDecoder):
    """Answers as they are: the driver's own looks at each object for times and such, at twice the cost."""

    def __init__(self, _: object = None) -> None:
        super().__init__()


class _Line:
    """What goes over a connection: a slow line is not a dead one."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self.received = 0
        self._written = 0
        self._answered = 0  # so much of that
        self._ends: dict[int, int] = {}  # of each query that is under way: how much was written with it
        feed, write = reader.feed_data, writer.write

        def fed(data: bytes) -> None:
            self.received += len(data)
            feed(data)

        def written(data: bytes) -> None:
            self._written += len(data)
            if len(self._ends) > 4 * AT_ONCE:  # of scans that are over, of queries that failed
                for token in list(self._ends)[: 2 * AT_ONCE]:
                    del self._ends[token]
            self._ends[int.from_bytes(data[:8], "little")] = self._written
            write(data)

        reader.feed_data, writer.write = fed, written

    def answered(self, token: int) -> None:
        """A query got its answer: so what was written up to it went through."""
        self._answered = max(self._answered, self._ends.pop(token, 0))

    @property
    def busy(self) -> float:
        """Seconds that what isn't answered may take to be sent, at the least rate that is waited for."""
        return (self._written - self._answered) / SLOWEST


class Wire:
    """One connection: dialed when it is needed, and again, at the next host, when it is lost."""

    def __init__(self, address: Address, pause: float) -> None:
        self.address = address
        self.dialed = 0
        """How many connections were made."""
        self.lost: Callable[[str], None] = lambda reason: None
        """Told when a connection that was in use is given up."""
        self._closed = False
        self._at = random.randrange(len(address.hosts))
        self._connection: Any = None
        self._line: _Line | None = None
        self._dialing: asyncio.Task[Any] | None = None
        # While nobody answers, all who ask dial together once in a while.
        self._refused: StoreError | None = None
        self._again = 0.0
        self._pause = 0.0
        self._longest = pause
        self._room = asyncio.Semaphore(AT_ONCE)
        self._running: dict[asyncio.Task[Any], Any] = {}  # what is under way, and on which connection
        self._asking: asyncio.Task[None] | None = None  # whether it is alive

    # --- the connection ------------------------------------------------------------

    async def connection(self) -> Any:
        """An open connection. `StoreUnavailable` if no host answers, `StoreError` if one refuses us."""
        while True:
            if self._closed:
                raise StoreError("the store was closed; open it again")
            if self._connection is not None and self._connection.is_open():
                return self._connection
            if self._connection is not None:  # it was lost
                connection, self._connection = self._connection, None
                self._keep(asyncio.ensure_future(self._clear(connection)))
            if self._dialing is None or self._dialing.done():
                if self._refused is not None and asyncio.get_running_loop().time() < self._again:
                    raise type(self._refused)(str(self._refused))
                self._dialing = asyncio.ensure_future(self._dial())
                self._dialing.add_done_callback(_looked_at)
            # Not awaited itself: that closing the store cancels it isn't meant for who waits here.
            dialing = self._dialing
            await asyncio.wait([dialing])
            if not dialing.cancelled():
                dialing.result()

    async def _dial(self) -> None:
        """Try each host once, the one after the last first."""
        reasons = []
        try:
            for _ in self.address.hosts:
                host, port = self.address.hosts[self._at % len(self.address.hosts)]
                try:
                    self._connection = await self._dialed(host, port)
                    self.dialed += 1
                    self._refused, self._pause = None, 0.0
                    return
                except StoreUnavailable as error:
                    self._at += 1
                    reasons.append(str(error))
            raise StoreUnavailable(f"{'; '.join(reasons)}; try again")
        except StoreError as error:
            self._refused = error
            self._pause = min(self._longest, max(FIRST_PAUSE, 2 * self._pause))
            self._again = asyncio.get_running_loop().time() + self._pause * (0.5 + random.random())
            raise

    async def _dialed(self, host: str, port: int) -> Any:
        where = f"{host}:{port}"
        tls = {"ca_certs": self.address.ca} if self.address.ca else {}
        connection = Connection(
            host, port, self.address.db, None, self.address.user, self.address.password, DIAL, tls, 10,
            json_decoder=_Decoder,
        )  # fmt: skip
        try:
            async with asyncio.timeout(2 * DIAL):  # the driver's own limit is for each message after the dial
                await connection.reconnect(noreply_wait=False, timeout=DIAL)
        except TimeoutError:
            _abandon(connection)
            raise StoreUnavailable(f"{where} doesn't answer within {2 * DIAL:g} s") from None
        except asyncio.CancelledError:
            _abandon(connection)
            raise
        except reql.ReqlAuthError as error:
            reason = _text(error).rpartition(", ")[2]
            raise StoreError(f"{where} refuses user {self.address.user!r}: {reason}") from None
        except (reql.ReqlError, OSError, ValueError) as error:
            reason = _text(error).rpartition("Error: ")[2]
            if number := re.search(r"\[Errno (\d{1,5})\]", reason):
                reason = os.strerror(int(number[1])).lower()
            elif not isinstance(error, OSError) and not _SAID.search(reason):
                reason = f"it doesn't answer as a RethinkDB server does ({reason})"
            if "CERTIFICATE_VERIFY_FAILED" in reason or "WRONG_VERSION_NUMBER" in reason:
                raise StoreError(f"{where}: TLS: {reason}") from None
            raise StoreUnavailable(f"{where} can't be reached: {reason}") from None
        # Its reader closes the connection when that breaks, and may fail in doing so; nobody waits for it.
        instance = connection._instance
        instance._reader_task.add_done_callback(_looked_at)
        self._line = _Line(instance._streamreader, instance._streamwriter)
        if self._closed:
            await _end(connection)
            raise StoreError("the store was closed; open it again")
        return connection

    def drop(self, reason: str) -> None:
        """Give this connection up: whoever waits for it gets `StoreUnavailable`, the next query another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._at += 1
            self._keep(asyncio.ensure_future(self._clear(connection)))
            self.lost(reason)

    async def _clear(self, connection: Any) -> None:
        """Close a connection, and end what the driver leaves: a query that came just then gets no answer."""
        await _end(connection)
        for task, on in list(self._running.items()):
            if on is connection:
                task.cancel()

    def doubt(self) -> None:
        """An answer didn't come in time: see whether this connection is alive, and give it up if not."""
        if self._connection is not None and (self._asking is None or self._asking.done()):
            self._asking = asyncio.ensure_future(self._ask_whether_alive())
            self._keep(self._asking)

    async def _ask_whether_alive(self) -> None:
        suspect, line = self._connection, self._line
        while self._connection is suspect and line is not None:
            before = line.received
            with suppress(TimeoutError, StoreError):
                async with asyncio.timeout(PING + line.busy):
                    await self._run(expr(1), suspect)
                return
            if line.received == before and self._connection is suspect:
                self.drop(f"no answer within {PING:g} s")

    @property
    def received(self) -> int:
        """How many bytes came over the connection that is open now."""
        return self._line.received if self._line is not None else 0

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._running[task] = None
        task.add_done_callback(lambda task: self._running.pop(task, None))
        task.add_done_callback(_looked_at)

    # --- queries ------------------------------------------------------------

    async def run(self, query: Any) -> Any:
        """An answer, or a cursor. No limit but the dial's: the caller's own goes around it, and says `doubt`
        when it is over. Raises `NotNow`, `StoreUnavailable` or `StoreError`."""
        return await self._run(query, await self.connection())

    async def _run(self, query: Any, connection: Any) -> Any:
        await self._room.acquire()
        task = asyncio.ensure_future(_asked(query, connection, self._line))
        self._running[task] = connection
        try:
            task.add_done_callback(self._ran)
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if task.cancelled() and me is not None and not me.cancelling():
                raise StoreUnavailable(f"{self.address}: the connection was lost; try again") from None
            task.add_done_callback(_left)
            raise
        except reql.ReqlError as error:
            raise told(error, self.address) from None
        except OSError as error:
            raise StoreUnavailable(f"{self.address}: {error}; try again") from None

    def _ran(self, task: asyncio.Task[Any]) -> None:
        self._room.release()
        self._running.pop(task, None)
        _looked_at(task)

    async def close(self) -> None:
        """Give everything back. What still waits gets `StoreError` or `StoreUnavailable`. Twice is fine."""
        self._closed = True
        if self._dialing is not None:
            with suppress(StoreError, asyncio.CancelledError):
                self._dialing.cancel()
                await self._dialing
        connection, self._connection = self._connection, None
        if connection is not None:
            await _end(connection)
        if self._running:
            await asyncio.wait(list(self._running), timeout=PING)


async def _asked(query: Any, connection: Any, line: _Line | None) -> Any:
    """In a task of its own: it may raise before it waits."""
    asking = query.run(connection)
    token = connection._next_token - 1  # which it has got now
    answer = await asking
    if line is not None:
        line.answered(token)
    return answer


async def batches(cursor: Any, address: Address) -> AsyncGenerator[list[Any], None]:
    """What a cursor gives, as it comes. Raises what `Wire.run` does. The caller closes it: `leave`."""
    try:
        while await cursor.fetch_next():
            if not cursor.items:
                raise cursor.error
            items = list(cursor.items)
            cursor.items.clear()
            yield items
    except reql.ReqlError as error:
        raise told(error, address) from None
    finally:
        await leave(cursor)


async def leave(cursor: Any) -> None:
    """Tell the server that nobody reads that cursor any more. Never fails."""
    with suppress(reql.ReqlError, OSError, RuntimeError):
        await cursor.close()


def _left(task: asyncio.Task[Any]) -> None:
    """Nobody waits for this answer any more; if it is a cursor, the server must not keep it."""
    if not task.cancelled() and task.exception() is None and hasattr(task.result(), "fetch_next"):
        closing = asyncio.ensure_future(leave(task.result()))
        closing.add_done_callback(_looked_at)


def _abandon(connection: Any) -> None:
    """Close what was left in the middle of its handshake: the driver doesn't."""
    writer = connection._instance and connection._instance._streamwriter
    if writer is not None:
        writer.transport.abort()


async def _end(connection: Any) -> None:
    with suppress(reql.ReqlError, OSError, RuntimeError, TimeoutError):
        async with asyncio.timeout(PING):
            await connection.close(noreply_wait=False)


def _looked_at(task: asyncio.Task[Any]) -> None:
    """Don't let asyncio complain of an error that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def told(error: reql.ReqlError, address: Address) -> StoreError:
    """The driver's error as one of ours."""
    text = f"{address}: {_text(error)}"
    if isinstance(error, reql.ReqlPermissionError):
        return StoreError(f"{text} User {address.user!r} may not do this; ask who administers the database")
    if isinstance(error, reql.ReqlOpFailedError):
        if any(said in text for said in ("does not exist", "already exists", "is ambiguous")):
            return StoreError(text)
        return NotNow(text)
    if isinstance(error, reql.ReqlInternalError) and "write hook" not in text.lower():
        # Of a cluster without a primary, too; then it says that nothing took place.
        return NotNow(text) if "did not take place" in text else StoreUnavailable(f"{text} Try again")
    lost = (reql.ReqlDriverError, reql.ReqlAvailabilityError, reql.ReqlTimeoutError)
    if isinstance(error, lost) or "Connection is closed" in text:
        return StoreUnavailable(f"{text} Try again")
    return StoreError(f"{text} ({type(error).__name__})")


def _text(error: Exception) -> str:
    """What an error says, without the query, which has rows in it."""
    text = str(getattr(error, "message", "") or error)
    return " ".join(text.partition(" in:\n")[0].split())[:300]
