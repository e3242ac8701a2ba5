"""The second line of offline mode: whatever connects past the door is refused, and counted."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from redoubt import egress
from redoubt.egress import guard as guards
from redoubt.egress import refusals
from redoubt.egress.guard import Guard
from redoubt.egress.hosts import is_own, proxies
from redoubt.errors import HostRefused

#: Nobody's: RFC 5737 and RFC 3849.
FAR, FAR6 = "192.0.2.1", "2001:db8::1"


@pytest.fixture
def told() -> Iterator[list[tuple[str, str]]]:
    heard: list[tuple[str, str]] = []
    end = refusals.listen(lambda host, who: heard.append((host, who)))
    yield heard
    end()


@pytest.fixture
def guard() -> Iterator[Guard]:
    made = Guard(lambda host: host == "named.example")
    made.install()
    yield made
    made.remove()


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("central.stackrox.svc", True),
        ("central.stackrox.svc.cluster.local", True),
        ("10.0.0.1", False),
        ("::ffff:192.0.2.1", False),
        ("localhost.example.org", False),
        ("svc", False),
        ("evil.svc.example.org", False),
        ("example.org", False),
        ("", False),
        ("2130706433", False),
    ],
)
def test_what_is_this_machine_or_the_cluster(host: str, own: bool) -> None:
    assert is_own(host) is own


def test_this_machine_may_be_connected_to(guard: Guard, listener: int, told: list[tuple[str, str]]) -> None:
    socket.create_connection(("127.0.0.1", listener), 5).close()
    socket.create_connection(("localhost", listener), 5).close()
    with socket.socketpair()[0]:
        assert told == []


@pytest.mark.parametrize("address", [FAR, FAR6])
def test_nobody_else_may(guard: Guard, told: list[tuple[str, str]], address: str) -> None:
    with refusals.asking("a test"), pytest.raises(HostRefused, match=f"offline mode: {address}"):
        socket.create_connection((address, 443), 5)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for kind, method in ((socket.SOCK_STREAM, "connect"), (socket.SOCK_DGRAM, "connect")):
        with socket.socket(family, kind) as raw, pytest.raises(HostRefused):
            getattr(raw, method)((address, 443))
    with socket.socket(family, socket.SOCK_DGRAM) as raw, pytest.raises(HostRefused):
        raw.sendto(b"x", (address, 53))
    assert {host for host, _ in told} == {address}
    assert told[0] == (address, "a test")


def test_names_are_refused_before_they_are_resolved(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: Any, **__: Any) -> None:
        raise AssertionError("resolved")

    monkeypatch.setattr(guards, "_resolve", resolve)
    with pytest.raises(HostRefused):
        socket.getaddrinfo("example.org", 443)
    with pytest.raises(HostRefused):
        socket.getaddrinfo(b"example.org", 443)


def test_what_an_allowed_name_resolved_to_may_be_connected_to(
    guard: Guard, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (FAR, listener))]
    monkeypatch.setattr(guards, "_resolve", lambda *_, **__: found)
    assert socket.getaddrinfo("named.example", listener) == found
    guard.check_name(FAR)
    with pytest.raises(HostRefused):
        guard.check_name("192.0.2.2")


def test_permission_ends_with_the_work_that_it_was_for(guard: Guard) -> None:
    with guard.permit(frozenset({"registry.example"})):
        guard.check_name("Registry.example")
    with pytest.raises(HostRefused):
        guard.check_name("registry.example")


def test_permission_for_all_is_for_all_and_ends_as_well(guard: Guard) -> None:
    with guard.permit(None):
        guard.check_name("anybody.example")
        with guard.permit(frozenset()):
            guard.check_name(FAR)
    for host in ("anybody.example", FAR):
        with pytest.raises(HostRefused):
            guard.check_name(host)


def test_an_address_may_be_connected_to_as_long_as_its_name(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (FAR, 443))]
    monkeypatch.setattr(guards, "_resolve", lambda *_, **__: found)
    with guard.permit(frozenset({"Registry.example"})):
        socket.getaddrinfo("registry.example", 443)
        guard.check_name(FAR)
    with pytest.raises(HostRefused):
        guard.check_name(FAR)
    # Another name that has the same address, and is allowed all the time, keeps it.
    socket.getaddrinfo("named.example", 443)
    guard.check_name(FAR)


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, set()),
        ({"HTTPS_PROXY": "http://user:pass@Proxy.example:3128"}, {"proxy.example"}),
        (
            {"https_proxy": "proxy.example:3128", "HTTP_PROXY": "socks5://10.0.0.1"},
            {"proxy.example", "10.0.0.1"},
        ),
        ({"ALL_PROXY": "http://[::1"}, set()),
    ],
)
def test_proxies_are_named_by_the_environment(
    environment: dict[str, str], found: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxies() == found


def test_uvloop_connects_in_c_and_is_asked_all_the_same(guard: Guard, listener: int) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", listener)
        transport.close()
        for host in (FAR, FAR6, "example.org"):
            with pytest.raises(HostRefused):
                await loop.create_connection(asyncio.Protocol, host, 443)
        with pytest.raises(HostRefused):
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(FAR, 53))
        with pytest.raises(HostRefused):
            await loop.getaddrinfo("example.org", 443)
        with socket.socket() as raw:
            raw.setblocking(False)
            with pytest.raises(HostRefused):
                await loop.sock_connect(raw, (FAR, 443))
        with pytest.raises(HostRefused):
            await asyncio.to_thread(socket.create_connection, (FAR, 443), 5)

    guards.run(work())


def test_a_guard_that_was_removed_asks_nobody() -> None:
    made = Guard(lambda host: False)
    made.install()
    made.remove()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
        raw.connect((FAR, 9))  # of a datagram socket: nothing is sent


def test_the_door_counts_what_it_refuses(told: list[tuple[str, str]]) -> None:
    policy = egress.Policy(offline=True, own=True)
    policy.check("localhost")
    with refusals.asking("user:admin"), pytest.raises(HostRefused) as refused:
        policy.check("registry.example")
    assert refused.value.host == "registry.example"
    assert told == [("registry.example", "user:admin")]
    thread = threading.Thread(target=refusals.tell, args=("other.example",))
    thread.start()
    thread.join()
    assert told[-1] == ("other.example", "")
