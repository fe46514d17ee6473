"""The main job, on a real history, in under a minute: `make demo`.

1. The git history of a file of this repository becomes a document, in one SQLite file.
2. Three seeded typists edit it at once through a network that delays, reorders and repeats; one of them is
   offline for a while. All three end in one text.
3. Three processes go on typing into the file. One is killed with SIGKILL in the middle and started again:
   nothing that was acknowledged is gone.
4. `log`, `blame` and a fast `replay` of what happened.

    python examples/demo.py [--seed N] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import syncstring
from syncstring.errors import SyncstringError
from syncstring.git import read_git
from syncstring.history import History
from syncstring.traces import read_trace

HERE = Path(__file__).parent
ROOT = HERE.parent
FILES = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Makefile", "pyproject.toml")
BUNDLED = HERE / "a-real-history.json.gz"
LINES = ("many hands write one text", "and every word of theirs", "stands where they put it")
WORDS = [word for line in LINES for word in line.split()]
NAMES = ("ada", "bob", "eve")

warnings.filterwarnings("ignore", message="SQLite")


def say(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def real_history() -> tuple[str, list[syncstring.Patch]]:
    """A file of this repository with its git history; or one that is bundled, where there is none."""
    best: tuple[str, list[syncstring.Patch]] = ("", [])
    for name in FILES:
        try:
            patches = read_git(str(ROOT), name).patches
        except (SyncstringError, OSError):
            continue
        if len(patches) > len(best[1]):
            best = (f"{name}, with its {len(patches)} commits", patches)
    if len(best[1]) > 1:
        return best
    return "a bundled text with its own history (no git history is here)", list(read_trace(BUNDLED).patches)


# --- 2. typists and a network -------------------------------------------------------------------


def line_end(text: str, chance: random.Random) -> int:
    """The end of some line, where a word more does no harm."""
    ends = [at for at, letter in enumerate(text) if letter == "\n"]
    return chance.choice(ends) if ends else len(text)


class Typist:
    """A document, the editor that shows it, and what the network has for it."""

    def __init__(self, name: str, seed: int, patches: list[syncstring.Patch], clock: list[int]) -> None:
        self.name = name
        self.chance = random.Random(f"{seed} {name}")
        self.document = syncstring.Document(
            session=f"demo{name}{seed}", author=name, clock=lambda: clock[0], patches=patches
        )
        self.editor = self.document.text
        self.at = self.chance.randint(0, len(self.editor))
        self.words: list[str] = []
        self.inbox: list[tuple[int, syncstring.Patch]] = []  # (arrives at, patch)

    def type(self) -> None:
        """One keystroke, or a deletion now and then; a new place after each few words."""
        if not self.words:
            self.at = line_end(self.document.text, self.chance)
            self.words = self.chance.sample(WORDS, 3)
            self.words[-1] = f" {self.words[-1]}"
        word = self.words[-1]
        if self.chance.random() < 0.03:  # a slip, and its correction
            self.edit(self.at, 0, "x")
            self.document.commit()
            self.edit(self.at, 1, "")
            self.document.commit()
        self.edit(self.at, 0, word[0])
        self.at += 1
        self.words[-1] = word[1:]
        if not self.words[-1]:
            self.words.pop()
            if self.words:
                self.words[-1] = f" {self.words[-1]}"
        self.document.commit()

    def edit(self, pos: int, delete: int, insert: str) -> None:
        self.document.splice(pos, delete, insert)
        self.editor = syncstring.apply(self.editor, [(pos, delete, insert)])

    def receive(self, now: int) -> int:
        arrived = [patch for time, patch in self.inbox if time <= now]
        self.inbox = [(time, patch) for time, patch in self.inbox if time > now]
        splices = self.document.receive(arrived)
        self.editor = syncstring.apply(self.editor, splices)
        self.at = syncstring.map_position(self.at, splices)
        assert self.editor == self.document.text
        return len(arrived)


def three_typists(patches: list[syncstring.Patch], seed: int) -> list[syncstring.Patch]:
    """Everybody types; returns all patches."""
    clock = [int((time.time() - 300) * 1e6)]  # they take two minutes, in a moment
    chance = random.Random(seed)
    typists = [Typist(name, seed, patches, clock) for name in NAMES]
    sent = delivered = parked = 0
    for step in range(1_200):
        clock[0] += chance.randint(20_000, 180_000)
        offline = typists[2] if 300 < step < 900 else None
        for typist in typists:
            if chance.random() < 0.8:
                typist.type()
            if typist is offline:
                continue
            made, typist.document.outgoing = typist.document.outgoing, []
            for peer in typists:
                if peer is typist:
                    continue
                for patch in made:
                    for _ in range(1 + (chance.random() < 0.1)):  # some come twice
                        peer.inbox.append((step + chance.randint(0, 40), patch))
                        sent += 1
            delivered += typist.receive(step)
            parked = max(parked, len(typist.document.parked))
    for typist in typists:
        for peer in typists:
            if peer is not typist:
                peer.inbox += [(0, patch) for patch in typist.document.outgoing]
    for typist in typists:
        typist.receive(sys.maxsize)
    texts = {typist.document.text for typist in typists}
    assert len(texts) == 1, "replicas differ"
    print(
        f"  {len(typists[0].document.history) - len(patches):,} patches; {sent:,} sent, some twice and in any"
    )
    print(f"  order; up to {parked} waited for a parent; eve was offline for half of it.")
    print(f"  ada, bob and eve: one text of {len(texts.pop()):,} characters, equal to each editor's copy")
    return list(typists[0].document.history)


# --- 3. processes and a file --------------------------------------------------------------------


def typing_process(path: str, name: str, seconds: float, seed: int) -> None:
    """A child: type, flush, and say what was acknowledged."""
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    with syncstring.open(path, "demo", author=name) as document:
        while time.monotonic() < end:
            at = line_end(document.text, chance)
            ids = []
            for letter in f" {chance.choice(WORDS)}":
                document.insert(at, letter)
                at += 1
                patch = document.commit()
                assert patch is not None
                ids.append(patch.id)
            document.sync()
            print("\n".join(f"{id.time} {id.session}" for id in ids), flush=True)


def three_processes(path: str, seed: int) -> None:
    def start(name: str, seconds: float, lap: int) -> subprocess.Popen[str]:
        command = [sys.executable, __file__, "--type", path, name, str(seconds), str(seed + lap)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    running = [start(name, 4.0, i) for i, name in enumerate(NAMES)]
    time.sleep(1.5)
    running[1].send_signal(signal.SIGKILL)
    print("  bob was killed with SIGKILL in mid-write, and comes back", flush=True)
    time.sleep(0.3)
    running.append(start("bob", 2.0, 9))
    said = [process.communicate()[0] for process in running]
    *whole, _ = said[1].split("\n")  # a line that the kill cut off says nothing
    said[1] = "\n".join(whole)
    acknowledged = {tuple(line.split()) for text in said for line in text.splitlines() if " " in line}
    with (
        syncstring.open(path, "demo", author="check") as one,
        syncstring.open(path, "demo", author="check") as two,
    ):
        known = {(str(version.id.time), version.id.session) for version in one.versions if version.id}
        lost = acknowledged - known
        assert not lost, f"lost {lost}"
        assert one.text == two.text
        print(f"  {len(acknowledged):,} acknowledged patches, 0 lost; every reader sees one text")


# --- 4. what happened ---------------------------------------------------------------------------


def show(path: str, *command: str, lines: int | None = None) -> None:
    print(f"\n$ syncstring {' '.join(command)}", flush=True)
    call = [sys.executable, "-m", "syncstring", *command]
    environment = {**os.environ, "SYNCSTRING_STORE": path}
    if lines is None:
        subprocess.run(call, env=environment, check=True)
        return
    done = subprocess.run(call, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    shown = done.stdout.splitlines()
    print("\n".join(shown[:lines]))
    if len(shown) > lines:
        print(f"… and {len(shown) - lines:,} lines more")


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--seed", type=int, default=7)
    arguments.add_argument("--keep", metavar="FOLDER", help="leave demo.sync there")
    arguments.add_argument("--type", nargs=4, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.type:
        path, name, seconds, seed = given.type
        typing_process(path, name, float(seconds), int(seed))
        return
    with tempfile.TemporaryDirectory(prefix="syncstring-demo-") as folder:
        path = str(Path(given.keep or folder, "demo.sync"))
        say("1. A real history becomes a document")
        title, patches = real_history()
        print(f"  {title}: {len(History(patches).text()):,} characters")
        say("2. Three people type at once, over a bad network")
        patches = three_typists(patches, given.seed)
        say("3. Three processes type into one SQLite file")
        with syncstring.open(path, "demo", author="demo") as document:
            document.bring(patches)
        three_processes(path, given.seed)
        say("4. What happened")
        show(path, "log", "demo", lines=14)
        show(path, "blame", "demo", lines=12)
        if sys.stdout.isatty():
            show(path, "replay", "demo", "--speed", "400", "--max-idle", "0.2")
        else:
            show(path, "replay", "demo", lines=6)
        show(path, "stats", "demo")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read it has seen enough
        sys.stdout = None
