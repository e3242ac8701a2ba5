"""Connections as the kernel of this machine tells them: every opening and close, with both ends and whose they are."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import textwrap
from collections import Counter

import pytest

from redoubt.model.noderecords import Connection, Endpoint, Flow
from support.kernel import DEADLINE, Contained, Watching, line, needs_bpf, watching

pytestmark = needs_bpf

#: As many connections as CI has time for; `make bench` makes 10,000.
MANY = 500

SERVER = """
import socket, sys
family = socket.AF_INET6 if sys.argv[1] == "::1" else socket.AF_INET
listening = socket.create_server((sys.argv[1], 0), family=family, backlog=64)
print(listening.getsockname()[1], flush=True)
while True:
    accepted = listening.accept()[0]
    data = accepted.recv(1)
    accepted.close()
    if data == b"e":
        break
"""
CLIENT = """
import socket, sys
host, port, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for number in range(times):
    with socket.create_connection((host, port)) as connected:
        print(connected.getsockname()[1])
        connected.sendall(b"e" if number == times - 1 else b"x")
        connected.recv(1)
"""
UDP = """
import socket, sys
host, chosen = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
server, client = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
server.bind((host, chosen))
for _ in range(5):
    client.sendto(b"ask", server.getsockname())
    _, who = server.recvfrom(10)
    server.sendto(b"answer", who)
    client.recv(10)
print(client.getsockname()[1], server.getsockname()[1])
"""


def free(host: str) -> int:
    """A port below those that the kernel gives out, which nobody has now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in range(20000, 30000):
        with socket.socket(family, socket.SOCK_DGRAM) as tried:
            try:
                tried.bind((host, port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-S", "-c", textwrap.dedent(code), *arguments]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_every_connection_is_told_from_both_sides_with_its_ends(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One end in some hundred thousand is not told by the kernel where a machine is busy: then the next look at all
    # sockets shows that it is gone.
    monkeypatch.setattr("redoubt.collector.collector.RECONCILING", 1.0)
    with Contained() as serving, watching() as (collector, calling):
        server = subprocess.Popen(python(SERVER, host), preexec_fn=serving.enter, stdout=subprocess.PIPE)
        try:
            port = int(line(server, server.stdout, bool, "a line of its own"))
            done = calling.run(*python(CLIENT, host, str(port), str(MANY)))
            server.wait(DEADLINE)
        finally:
            server.kill()
            server.wait(DEADLINE)

        def closed() -> int:
            both = collector.of(calling, Connection) + collector.of(serving, Connection)
            return sum(each.state == "closed" for each in both)

        collector.wait(lambda: closed() >= 2 * MANY, "the ends of all connections")
        collector.stop()
        clients, servers = collector.of(calling, Connection), collector.of(serving, Connection)
        endpoints = collector.of(serving, Endpoint)
    ports = list(map(int, done.stdout.split()))
    assert len(ports) == MANY
    for state in ("open", "closed"):
        told = [each for each in clients if each.state == state]
        assert Counter(each.local_port for each in told) == Counter(ports)
        assert {(e.role, e.local, e.remote, e.remote_port, e.protocol) for e in told} == {
            ("client", host, host, port, "tcp")
        }
        told = [each for each in servers if each.state == state]
        assert Counter(each.remote_port for each in told) == Counter(ports)
        assert {(e.role, e.local, e.remote, e.local_port, e.pid) for e in told} == {
            ("server", host, host, port, server.pid)
        }
    assert [(e.state, e.address, e.port, e.pid) for e in endpoints] == [
        ("open", host, port, server.pid),
        ("closed", host, port, server.pid),
    ]
    assert len({each.pid for each in clients}) == 1


def test_a_caller_that_connects_again_and_again_is_one_flow() -> None:
    with Contained() as serving, watching(afterglow=300) as (collector, calling):
        server = subprocess.Popen(
            python(SERVER, "127.0.0.1"), preexec_fn=serving.enter, stdout=subprocess.PIPE
        )
        try:
            port = int(line(server, server.stdout, bool, "a line of its own"))
            calling.run(*python(CLIENT, "127.0.0.1", str(port), "50"))
            server.wait(DEADLINE)
        finally:
            server.kill()
            server.wait(DEADLINE)
        collector.stop()
        told = collector.of(calling, Flow) + collector.of(serving, Flow)
    assert [(e.role, e.remote, e.port, e.state) for e in told] == [
        ("client", "127.0.0.1", port, "open"),
        ("server", "127.0.0.1", port, "open"),
    ]
    assert not [e for e in collector.events if isinstance(e, Connection)]


def test_a_connection_that_nobody_answers_is_none() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with watching() as (collector, container):
            script = f"import socket\ntry: socket.create_connection(('127.0.0.1', {port}))\nexcept OSError: print('refused')"
            assert container.run(*python(script)).stdout == b"refused\n"
            collector.stop()
            assert collector.of(container, Connection) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_udp_flow_is_told_once_for_each_side(host: str) -> None:
    with watching() as (collector, container):
        client, server = map(int, container.run(*python(UDP, host, str(free(host)))).stdout.split())
        collector.stop()
        told = collector.of(container, Connection)
    assert [(e.protocol, e.role, e.local, e.local_port, e.remote, e.remote_port, e.state) for e in told] == [
        ("udp", "client", host, client, host, server, "open"),
        ("udp", "server", host, server, host, client, "open"),
    ]


STANDING = """
import socket, sys
listening = socket.create_server(("127.0.0.1", 0))
connected = socket.create_connection(listening.getsockname())
accepted = listening.accept()[0]
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
port = 20000
while True:
    try:
        datagrams.bind(("127.0.0.1", port))
        break
    except OSError:
        port += 1
print(listening.getsockname()[1], connected.getsockname()[1], port, flush=True)
sys.stdin.readline()
late = socket.create_connection(listening.getsockname())
print(late.getsockname()[1], flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("apart", [False, True], ids=["the machine's network", "a network of its own"])
def test_what_stood_before_is_told_and_its_end_too(apart: bool) -> None:
    command = python(STANDING)
    if apart:
        if not shutil.which("ip"):
            pytest.skip("needs Debian's iproute2")
        command = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
    with Contained() as container:
        running = subprocess.Popen(
            command, preexec_fn=container.enter, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            assert running.stdin is not None
            port, client, datagrams = map(
                int, line(running, running.stdout, bool, "a line of its own").split()
            )
            with Watching() as collector:
                before = collector.of(container, Connection), collector.of(container, Endpoint)
                running.stdin.write(b"\n")
                running.stdin.flush()
                late = int(line(running, running.stdout, bool, "a line of its own"))
                running.communicate(b"\n", timeout=DEADLINE)
                collector.stop()
                connections = collector.of(container, Connection)[len(before[0]) :]
                endpoints = collector.of(container, Endpoint)[len(before[1]) :]
        finally:
            running.kill()
            running.wait(DEADLINE)
    assert {(e.role, e.local_port, e.remote_port, e.state, e.scraped, e.pid) for e in before[0]} == {
        ("client", client, port, "open", True, running.pid),
        ("server", port, client, "open", True, running.pid),
    }
    assert {(e.protocol, e.port, e.state, e.scraped) for e in before[1]} == {
        ("tcp", port, "open", True),
        ("udp", datagrams, "open", True),
    }
    closed = {(e.role, e.local_port, e.remote_port) for e in connections if e.state == "closed"}
    assert closed >= {("client", client, port), ("server", port, client), ("client", late, port)}
    opened = {(e.role, e.local_port, e.remote_port) for e in connections if e.state == "open"}
    # Who listened before the probe is not in the kernel's map. On cgroup v1 only a network apart says whose it is.
    assert opened - {("server", port, late)} == {("client", late, port)}
    if apart:
        assert ("server", port, late) in opened
    assert [(e.port, e.state) for e in endpoints] == [(port, "closed")]


def test_what_the_kernel_could_not_tell_a_look_at_all_sockets_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redoubt.collector.collector.RECONCILING", 0.1)
    with Contained() as container, Watching(only=("on_exec",)) as collector:
        running = subprocess.Popen(
            python(STANDING), preexec_fn=container.enter, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            port, client, _ = map(int, line(running, running.stdout, bool, "a line of its own").split())
            collector.wait(lambda: len(collector.of(container, Connection)) >= 2, "the open ones")
            running.communicate(b"\n\n", timeout=DEADLINE)
            collector.wait(
                lambda: sum(e.state == "closed" for e in collector.of(container, Connection)) >= 2,
                "their ends",
            )
        finally:
            running.kill()
            running.wait(DEADLINE)
    told = [(e.role, e.local_port, e.remote_port, e.state) for e in collector.of(container, Connection)]
    for role, local, remote in (("client", client, port), ("server", port, client)):
        assert [state for *which, state in told if which == [role, local, remote]] == ["open", "closed"]
    assert ("open", port) in [(e.state, e.port) for e in collector.of(container, Endpoint)]


def test_what_others_on_this_machine_connect_to_is_not_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, Watching(scrape=False) as collector:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            pass
        collector.stop()
    assert not [
        e for e in collector.events if isinstance(e, Connection) and port in (e.local_port, e.remote_port)
    ]
