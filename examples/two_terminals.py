"""Two terminals, one RethinkDB, one document: seen converging, with the server killed and started again.

    python examples/two_terminals.py [--seed N] [--speed KEYS]

starts a server of its own in a temporary folder, and two processes that type into one document, each where it
stands in the other's way, and put right what the other mistypes. While both type, the server is killed
(SIGKILL) and started again. Exit status 0 if both end with the same text, and it is exactly what was typed.

    python examples/two_terminals.py --edit NAME --store URL [--author WHO]

is one terminal of your own, for as many as you like: a line that you type goes to the end of the document;
/show prints it, /quit leaves. It works before the server is there, and while it isn't.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import syncstring
from syncstring.errors import SyncstringError

LINES = {
    "ada": (
        "many hands write one text",
        "and every word of theirs",
        "stands where they put it",
        "whatever dies meanwhile",
        "whoever was away",
        "and whichever came first",
    ),
    "bob": (
        "a server may die at any moment",
        "a laptop may be offline for weeks",
        "what was typed stays typed",
        "it waits for the server",
        "and goes in once",
        "at the place where it was typed",
    ),
}
SLIPS = {"the": "teh", "and": "adn", "what": "waht", "every": "evrey", "server": "sevrer", "laptop": "latpop"}
NAME = "minutes.md"
LIMIT = 240.0  # seconds for everything: it takes some twenty, but machines stand still at times
WIDTH = 46


def minutes(lines_of: Callable[[str], Iterable[str]]) -> str:
    """The text with so many of everybody's lines."""
    return "".join("\n".join([f"{author} writes:", *lines_of(author), "\n"]) for author in LINES)


BEFORE = minutes(lambda author: ())
AFTER = minutes(lambda author: LINES[author])


# --- a terminal -----------------------------------------------------------------------------------------


class Editor:
    """What an editor is to a session: it shows a text, and applies what it is handed."""

    def __init__(self, session: syncstring.Session) -> None:
        self.session = session
        self.document = session.document
        self.shown = self.document.text

    def edit(self, pos: int, delete: int, insert: str) -> None:
        """A key: it is shown at once, and on its way."""
        self.document.splice(pos, delete, insert)
        self.document.commit()
        self.shown = syncstring.apply(self.shown, [(pos, delete, insert)])

    async def listen(self, tell: Callable[[list[syncstring.Splice]], object] = len) -> None:
        async for change in self.session.changes():
            self.shown = syncstring.apply(self.shown, change.splices)  # before anything else is awaited
            assert self.shown == self.document.text
            tell(change.splices)


async def together(*work: Awaitable[Any]) -> None:
    """Do it all until the first is done, or fails."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# --- one that a person uses -----------------------------------------------------------------------------


async def edit(url: str, name: str, author: str) -> None:
    loop = asyncio.get_running_loop()
    keys = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(keys), sys.stdin)
    async with syncstring.connect(url, name, author=author, offline=True, limit=10) as session:
        editor = Editor(session)

        async def read() -> None:
            while (line := (await keys.readline()).decode(errors="replace")) not in ("", "/quit\n"):
                if line == "/show\n":
                    print(f"{editor.shown}-- {session.state}, {len(session.unsaved)} unsaved", flush=True)
                else:
                    editor.edit(len(editor.shown), 0, line)

        async def follow() -> None:
            async for state in session.states():
                print(f"-- {state}", flush=True)

        def tell(splices: list[syncstring.Splice]) -> None:
            for pos, delete, insert in splices:
                print(f"-- at {pos}: {f'-{delete} ' if delete else ''}{insert!r}", flush=True)

        await together(read(), editor.listen(tell), follow())
        if session.unsaved:
            print(f"-- sending {len(session.unsaved)}", flush=True)


# --- one that types by itself ---------------------------------------------------------------------------


async def type_by_itself(url: str, author: str, seed: int, speed: float) -> None:
    """Type one's lines, letter by letter, the second half once a line comes in; tell where things stand, as
    JSON, until nobody listens."""
    chance = random.Random(f"{seed} {author}")
    async with syncstring.connect(url, NAME, author=author, create=False) as session:
        editor = Editor(session)
        document = editor.document
        began = f"{author} writes:\n"
        caret = document.cursor(document.text.index(began) + len(began), sticks="before")
        left = len(LINES[author])
        go_on = asyncio.Event()

        def put_right() -> None:
            """A word that the other has mistyped, and has left."""
            for right, wrong in SLIPS.items():
                found = re.search(rf"\b{wrong}(?=\s)", editor.shown)
                if found and re.findall(r"(\w+) writes:\n", editor.shown[: found.start()])[-1] != author:
                    editor.edit(found.start(), len(wrong), right)

        async def type_all() -> None:
            nonlocal left, caret
            for line in LINES[author]:
                if left == len(LINES[author]) // 2:
                    await go_on.wait()
                words = [SLIPS[w] if w in SLIPS and chance.random() < 0.7 else w for w in line.split()]
                for letter in " ".join(words) + "\n":
                    pos = caret.pos
                    editor.edit(pos, 0, letter)
                    caret = document.cursor(pos + 1, sticks="before")
                    await asyncio.sleep(chance.uniform(0.5, 1.5) / speed)
                left -= 1
                put_right()
            while True:
                await asyncio.sleep(1 / speed)
                put_right()

        async def tell() -> None:
            while True:
                unsaved = session.unsaved
                now = Told(editor.shown, session.state, left, len(unsaved), unsaved.acknowledged)
                print(json.dumps(now._asdict()), flush=True)
                await asyncio.sleep(0.1)

        async def hear() -> None:
            await asyncio.to_thread(sys.stdin.readline)
            go_on.set()
            await asyncio.to_thread(sys.stdin.read)

        await together(editor.listen(), type_all(), tell(), hear())


# --- the show -------------------------------------------------------------------------------------------


def free_port() -> int:
    """One that no connection gets for its own end: who dials a dead server's port there may reach itself."""
    while True:
        with suppress(OSError), socket.socket() as tried:
            tried.bind(("127.0.0.1", port := random.randrange(15_000, 32_000)))
            return port


class Server:
    """A RethinkDB of our own, on loopback, in a folder that is gone afterwards."""

    def __init__(self, program: str) -> None:
        self.folder = tempfile.mkdtemp(prefix="two-terminals-")
        self.port, cluster = free_port(), free_port()
        self.command = [
            program,
            "--directory",
            f"{self.folder}/data",
            "--bind",
            "127.0.0.1",
            "--no-http-admin",
        ]
        self.command += ["--driver-port", str(self.port), "--cluster-port", str(cluster)]
        self.command += ["--no-update-check", "--cache-size", "128"]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"rethinkdb://127.0.0.1:{self.port}/prod"

    def start(self) -> None:
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            self.command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
        )

    def kill(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Told(NamedTuple):
    """Where a terminal stands."""

    text: str = ""
    state: str = "offline"
    left: int = 0  # lines that it is going to type
    unsaved: int = 0
    saved: int = 0


class Terminal:
    """A process that types, and what it told last."""

    def __init__(self, author: str, process: asyncio.subprocess.Process) -> None:
        self.author = author
        self.process = process
        self.now = Told()
        self.listening = asyncio.create_task(self._listen())

    @classmethod
    async def opened(cls, url: str, author: str, seed: int, speed: float) -> Terminal:
        pipe = asyncio.subprocess.PIPE
        command = [__file__, "--type", author, "--store", url, "--seed", f"{seed}", "--speed", f"{speed}"]
        return cls(
            author, await asyncio.create_subprocess_exec(sys.executable, *command, stdin=pipe, stdout=pipe)
        )

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.now = Told(**json.loads(line))

    def go_on(self) -> None:
        """Let it type its second half."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    async def close(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return await self.process.wait()


def side_by_side(began: float, what: str, terminals: list[Terminal]) -> None:
    print(f"\n{time.monotonic() - began:4.1f} s  {what}")
    columns = []
    for terminal in terminals:
        now = terminal.now
        head = f"{terminal.author}: {now.state}, {now.unsaved} unsaved, {now.saved} saved"
        columns.append([head, "-" * WIDTH, *now.text.rstrip().splitlines()])
    for at in range(max(map(len, columns), default=0)):
        cells = [column[at] if at < len(column) else "" for column in columns]
        print(("        " + "    ".join(f"{cell:<{WIDTH}}" for cell in cells)).rstrip())
    sys.stdout.flush()


async def show(program: str, seed: int, speed: float) -> bool:
    """Whether both ended with what was typed."""
    server = Server(program)
    terminals: list[Terminal] = []
    began = time.monotonic()

    async def until(met: Callable[[Told], bool]) -> None:
        while not all(met(terminal.now) for terminal in terminals):
            for terminal in terminals:
                if terminal.listening.done():
                    raise SyncstringError(f"{terminal.author}'s terminal ended")
            await asyncio.sleep(0.05)

    try:
        async with asyncio.timeout(LIMIT):
            server.start()
            async with syncstring.connect(server.url, NAME, author="somebody") as session:
                session.document.insert(0, BEFORE)
                await session.flush()
            for author in LINES:
                terminals.append(await Terminal.opened(server.url, author, seed, speed))
            await until(lambda now: 0 < now.left < len(LINES["ada"]))
            side_by_side(began, "both type", terminals)
            server.kill()
            for terminal in terminals:
                terminal.go_on()
            await until(lambda now: now.state == "offline" and now.unsaved > 20)
            side_by_side(began, "the server was killed with SIGKILL; both go on", terminals)
            server.start()
            await until(lambda now: now.state == "live")
            side_by_side(began, "it was started again on the same folder; both are live", terminals)
            await until(lambda now: now.left == 0 and not now.unsaved and now.text == AFTER)
            side_by_side(began, "all is typed, put right, and acknowledged", terminals)
            async with syncstring.connect(server.url, NAME, author="", create=False) as session:
                read = session.document.text
    except TimeoutError:
        side_by_side(began, f"this is not what was expected within {LIMIT:g} s", terminals)
        return False
    finally:
        ended = [await terminal.close() for terminal in terminals]
        server.close()
    print(
        "\nBoth show what was typed, letter by letter; so does whoever opens it now."
        if read == AFTER
        else read
    )
    return read == AFTER and not any(ended)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--edit", metavar="NAME", help="one terminal of your own, on this document")
    parser.add_argument("--store", metavar="URL", help="where it is: rethinkdb://HOST:PORT/DB")
    parser.add_argument("--author", default=os.environ.get("USER", "somebody"), metavar="WHO")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument(
        "--speed", type=float, default=10.0, metavar="KEYS", help="that are typed in a second"
    )
    parser.add_argument("--type", choices=LINES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        if given.edit or given.type:
            if not given.store:
                parser.error("which store? Say --store URL")
            if given.edit:
                asyncio.run(edit(given.store, given.edit, given.author))
            else:
                asyncio.run(type_by_itself(given.store, given.type, given.seed, given.speed))
            return 0
        program = shutil.which("rethinkdb")
        if program is None:
            print(
                "there is no `rethinkdb` on PATH; install it, or name a server: --edit NAME --store URL",
                file=sys.stderr,
            )
            return 1
        return 0 if asyncio.run(show(program, given.seed, given.speed)) else 1
    except SyncstringError as error:
        print(f"{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
