"""The rig itself: servers that die, freeze, come back and leave nothing; bad networks; clock; loud skip."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import seeds
from rethink_servers import NAME, Address, Cluster, Proxy, Server, free_port
from steady import Steady

TESTS = Path(__file__).parent


def until(true: Callable[[], bool], limit: float = 120) -> None:
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end, f"not within {limit:g} s"
        time.sleep(0.01)


# --- servers ----------------------------------------------------------------------------------------------


def test_a_killed_server_comes_back_at_its_place_with_what_it_held(servers: None) -> None:
    with Server() as server:
        where = server.url("kept")
        server.insist(lambda r: r.table_create("rows"))
        server.insist(lambda r: r.table("rows").insert({"id": 1}))
        server.restart()
        assert server.insist(lambda r: r.table("rows").get(1)) == {"id": 1}
        assert (server.url("kept"), server.starts) == (where, 2)
        assert server.rss > 1 << 20 and server.cpu >= 0 and "Server ready" in server.said()


def test_a_frozen_server_takes_connections_and_answers_once_it_is_thawed(servers: None) -> None:
    with Server() as server:
        server.insist(lambda r: r.db_list())
        server.freeze()
        socket.create_connection((server.host, server.port), 5).close()
        with pytest.raises(TimeoutError):
            server.ask(lambda r: r.db_list(), 0.5)
        server.thaw()
        assert "test" in server.insist(lambda r: r.db_list())


@pytest.mark.parametrize("count", [1, 3])
def test_nothing_is_left_of_servers_whose_owner_was_killed(servers: None, count: int) -> None:
    code = (
        "from rethink_servers import *\n"
        f"cluster = Cluster({count})\n"
        "cluster.__enter__()\n"
        "print(cluster.folder, *(server.process.pid for server in cluster.servers))\n"
        "input()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        cwd=TESTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    folder, *pids = owner.stdout.readline().split()
    assert len(pids) == count
    assert Path(folder).is_dir()
    owner.send_signal(signal.SIGKILL)
    owner.communicate()

    def gone(pid: str) -> bool:
        with suppress(OSError):
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        return True

    until(lambda: all(map(gone, pids)))
    until(lambda: not Path(folder).exists())


@pytest.mark.slow
def test_a_cluster_has_another_primary_when_one_was_killed(servers: None) -> None:
    with Cluster() as cluster:
        cluster.heartbeat(2)
        cluster.ask(lambda r: r.db_create("kept"))
        cluster.ask(lambda r: r.db("kept").table_create("rows"))
        cluster.replicate("kept")
        cluster.ask(lambda r: r.db("kept").table("rows").insert({"id": 1}))
        first = cluster.primary("kept", "rows")
        first.kill9()
        until(lambda: cluster.primary("kept", "rows") is not first)
        assert cluster.ask(lambda r: r.db("kept").table("rows").get(1), read_mode="majority") == {"id": 1}
        first.start()
        cluster.joined(3)
        for shards in (2, 1):
            cluster.replicate("kept", shards)
        assert cluster.url("kept").count(",") == 2


def test_a_url_names_a_server_user_and_database() -> None:
    address = Address.of("rethinkdb://ada:pass%20word@somewhere:1234/db")
    assert (address.host, address.port) == ("somewhere", 1234)
    assert (address.user, address.password) == ("ada", "pass word")
    assert address.url("other") == "rethinkdb://ada:pass%20word@somewhere:1234/other"
    assert address.url("other", "bob", "") == "rethinkdb://bob:@somewhere:1234/other"


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of sockets that are no files")
def test_a_port_that_another_process_was_given_is_not_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", "from rethink_servers import *\nprint(free_port(), flush=True)\ninput()"],
        cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    port = int(holder.stdout.readline())
    drawn, draw = [port], random.SystemRandom.randrange
    monkeypatch.setattr(random.SystemRandom, "randrange", lambda *args: drawn.pop() if drawn else draw(*args))
    assert free_port() != port and not drawn
    holder.communicate("\n")


# --- networks ---------------------------------------------------------------------------------------------


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """Before something that answers with what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(end: socket.socket) -> None:
        with end, suppress(OSError):
            while data := end.recv(1 << 16):
                end.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with Proxy(Address(*listener.getsockname())) as proxy:
        yield proxy
    with suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def dialled(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), 60)


def heard(end: socket.socket, count: int) -> bytes:
    """So many bytes, or what came before the end."""
    data = b""
    with suppress(OSError):
        while len(data) < count and (more := end.recv(count - len(data))):
            data += more
    return data


def test_a_good_network_passes_every_byte(proxy: Proxy) -> None:
    sent = random.Random(seeds.fresh()).randbytes(300_000)
    with dialled(proxy) as end:
        threading.Thread(target=end.sendall, args=(sent,), daemon=True).start()
        assert heard(end, len(sent)) == sent
    assert proxy.connections == 1


def test_a_slow_network_passes_every_byte_later(proxy: Proxy) -> None:
    with dialled(proxy) as end:
        proxy.delay(0.1)
        began = time.monotonic()
        end.sendall(b"hello")
        assert heard(end, 5) == b"hello"
        assert time.monotonic() - began >= 0.2  # there and back


@pytest.mark.parametrize("to", ["client", "server"])
def test_a_cut_comes_after_just_so_many_bytes_and_to_every_connection(proxy: Proxy, to: str) -> None:
    with dialled(proxy) as end, dialled(proxy) as other:
        for each in (end, other):
            each.sendall(b"hello")
            assert heard(each, 5) == b"hello"
        proxy.cut(7, "client" if to == "client" else "server")
        end.sendall(b"0123456789")
        assert heard(end, 10) == (b"0123456" if to == "client" else b"")[:10] or to == "server"
        assert heard(other, 1) == b""
        assert not proxy.pending
    with dialled(proxy) as end:
        end.sendall(b"again")
        assert heard(end, 5) == b"again"


def test_a_mute_network_passes_nothing_and_loses_nothing(proxy: Proxy) -> None:
    with dialled(proxy) as end:
        end.sendall(b"hello")
        assert heard(end, 5) == b"hello"
        proxy.mute()
        end.sendall(b"later")
        end.settimeout(0.3)
        assert heard(end, 5) == b""
        with dialled(proxy) as new:
            new.settimeout(0.2)
            new.sendall(b"new")
            assert heard(new, 3) == b""
            proxy.passes()
            end.settimeout(60)
            new.settimeout(60)
            assert (heard(end, 5), heard(new, 3)) == (b"later", b"new")


def test_a_network_that_is_down_ends_connections_and_takes_none(proxy: Proxy) -> None:
    with dialled(proxy) as end:
        end.sendall(b"hello")
        assert heard(end, 5) == b"hello"
        proxy.down()
        assert heard(end, 1) == b""
    with dialled(proxy) as end:
        assert heard(end, 1) == b""
    proxy.passes()
    with dialled(proxy) as end:
        end.sendall(b"hello")
        assert heard(end, 5) == b"hello"


# --- the clock ---------------------------------------------------------------------------------------------


def test_the_steady_clock_counts_what_is_waited_for() -> None:
    with Steady() as clock:
        real, began = time.monotonic(), clock.time()
        until(lambda: clock.time() - began > 0.3)
        assert time.monotonic() - real > 0.3


def test_the_steady_clock_stands_still_while_the_process_does() -> None:
    code = (
        "from steady import *\n"
        "with Steady() as clock:\n"
        "    real, steady = time.monotonic(), clock.time()\n"
        "    print(flush=True)\n"
        "    input()\n"
        "    print(clock.time() - steady, time.monotonic() - real)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    time.sleep(1)
    process.send_signal(signal.SIGCONT)
    said, _ = process.communicate("\n")
    steady, real = map(float, said.split())
    assert real >= 1 and steady <= real - 0.8


# --- the skip ---------------------------------------------------------------------------------------------


def test_without_a_server_the_summary_says_how_many_tests_were_skipped(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(
        "def test_a(rethink): pass\n"
        "def test_b(rethink_url): pass\n"
        "def test_c(servers): pass\n"
        "def test_d(): pass\n"
    )
    bare = {name: value for name, value in os.environ.items() if name != NAME}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        env={**bare, "PATH": str(tmp_path), "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    said = done.stdout + done.stderr
    assert "RethinkDB: 3 tests skipped, no `rethinkdb` on PATH" in said, said
    assert "1 passed, 3 skipped" in said
