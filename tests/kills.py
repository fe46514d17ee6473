"""Kill writers and packers of one SQLite file with SIGKILL at random instants, again and again.

    python tests/kills.py --kills 1000 --seed 7

Every child tells its parent which patches were acknowledged to it, after the fact, through a pipe. In the
end all of those must be there, once each, the file must be sound, and everybody who opens it must read one
text. Prints one line of JSON; exits with 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import sqlite3
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import syncstring
import syncstring.archive
import syncstring.traffic

SLOTS = 4


def work(path: str, role: str, seed: int, pipe: int, outbox: str | None) -> NoReturn:
    """A child: edit, or pack, for ever; tell what is safe."""
    chance = random.Random(seed)
    warnings.simplefilter("ignore")
    doc = syncstring.open(path, "killed", author=role, outbox=outbox, limit=60)
    while True:
        if role == "packer":
            with suppress(syncstring.StoreUnavailable):  # the file is busy
                doc.sync()
                doc.pack(everything=chance.random() < 0.5)
            time.sleep(chance.random() * 0.01)
            continue
        made = []
        for _ in range(chance.randint(1, 4)):
            at = chance.randint(0, len(doc))
            doc.splice(
                at, min(chance.choice((0, 0, 2, 9)), len(doc) - at), chance.choice(("a", "bc ", "d\n", "é"))
            )
            patch = doc.commit()
            if patch is not None:
                made.append(patch.id)
        doc.flush()
        os.write(pipe, b"".join(f"{id.time}:{id.session}\n".encode() for id in made))
        if chance.random() < 0.3:
            doc.sync()


def start(path: str, role: str, seed: int, outbox: str | None) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            work(path, role, seed, writing, outbox)
        except BaseException:
            import traceback

            traceback.print_exc()
        os._exit(70)
    os.close(writing)
    return pid, reading


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=None)
    arguments.add_argument("--minutes", type=float, default=30.0)
    given = arguments.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if given.seed is None else given.seed
    chance = random.Random(seed)
    warnings.simplefilter("ignore")
    syncstring.traffic.PACK_AT = 60  # so that packs are made all the time
    syncstring.archive.LATEST = 20
    acknowledged: set[tuple[int, str]] = set()
    failures: list[str] = []
    kills = rounds = 0
    end = time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory(prefix="syncstring-kills-") as folder:
        path = str(Path(folder, "team.db"))
        syncstring.open(path, "killed", author="first").close()
        while kills < given.kills and time.monotonic() < end:
            # A few rounds each: everybody dies at a moment of their own; then the file is looked at.
            rounds += 1
            running: dict[int, tuple[int, float, bytes]] = {}
            todo = min(given.kills - kills, 40)
            begun = 0
            while begun < todo or running:
                while begun < todo and len(running) < SLOTS:
                    role = chance.choice(("writer", "writer", "writer", "packer"))
                    outbox = (
                        str(Path(folder, f"outbox{begun % SLOTS}-{kills}")) if chance.random() < 0.3 else None
                    )
                    pid, reading = start(path, role, chance.randrange(1 << 32), outbox)
                    running[reading] = (pid, time.monotonic() + chance.uniform(0.03, 0.5), b"")
                    begun += 1
                ready, _, _ = select.select(list(running), [], [], 0.005)
                for reading in ready:
                    pid, deadline, rest = running[reading]
                    data = os.read(reading, 1 << 16)
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        written, _, session = line.decode().partition(":")
                        acknowledged.add((int(written), session))
                    running[reading] = (pid, deadline, rest)
                    if not data:
                        os.close(reading)
                        _, status = os.waitpid(pid, 0)
                        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
                            failures.append(f"a child ended by itself: {os.waitstatus_to_exitcode(status)}")
                        else:
                            kills += 1
                        del running[reading]
                for pid, deadline, _ in running.values():
                    if time.monotonic() > deadline:
                        os.kill(pid, signal.SIGKILL)
            failures += look(path, acknowledged)
            if failures:
                break
    print(json.dumps({"seed": seed, "kills": kills, "acknowledged": len(acknowledged), "failures": failures}))
    return 1 if failures else 0


def look(path: str, acknowledged: set[tuple[int, str]]) -> list[str]:
    """What is wrong with the file, in a process of its own: this one must stay without threads."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            found = _look(path, acknowledged)
        except BaseException as error:
            found = [repr(error)]
        os.write(writing, json.dumps(found).encode()[:60_000])
        os._exit(0)
    os.close(writing)
    data = b""
    while chunk := os.read(reading, 1 << 16):
        data += chunk
    os.close(reading)
    os.waitpid(pid, 0)
    result: list[str] = json.loads(data)
    return result


def _look(path: str, acknowledged: set[tuple[int, str]]) -> list[str]:
    wrong = []
    with (
        syncstring.open(path, "killed", author="a", limit=120) as a,
        syncstring.open(path, "killed", author="b", limit=120) as b,
    ):
        a.sync()
        b.sync()
        whole = a.versions
        ids = [version.id for version in whole if version.id is not None]
        if a.text != b.text:
            wrong.append("two readers read two texts")
        if lost := acknowledged.difference(tuple(id) for id in ids):
            wrong.append(
                f"{len(lost)} of {len(acknowledged)} acknowledged patches are lost: {sorted(lost)[:3]}"
            )
        if len(set(ids)) != len(ids):
            wrong.append("a patch is there twice")
        if a.parked or a.problems:
            wrong.append(f"parked {len(a.parked)}, problems {a.problems[:3]}")
        if a.at(whole[-1]) != a.text:
            wrong.append("the newest version is not the text")
    db = sqlite3.connect(path)
    if (said := db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
        wrong.append(f"integrity_check: {said}")
    db.close()
    return wrong


if __name__ == "__main__":
    sys.exit(main())
