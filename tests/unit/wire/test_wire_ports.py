"""Ports of this machine: whether they can be listened on, and why not."""

from __future__ import annotations

import socket
import threading

import pytest

from redoubt.errors import NetworkError
from redoubt.wire import ports


def taken() -> tuple[socket.socket, int]:
    one = socket.create_server(("127.0.0.1", ports.free(1)[0]))  # no connection's, once it is free again
    return one, one.getsockname()[1]


@pytest.mark.parametrize("host", ["", "127.0.0.1"])
def test_a_taken_port_is_told_with_its_number(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setattr(ports, "_PATIENCE", 0.2)
    one, port = taken()
    with one:
        for ask in (ports.check, ports.listening):
            with pytest.raises(NetworkError, match=rf"port {port} \(Address already in use\); name another"):
                ask(host, port)
    ports.check(host, port)
    with ports.listening(host, port) as mine:
        assert mine.getsockname()[1] == port


def test_whoever_had_it_may_be_ending() -> None:
    one, port = taken()
    threading.Timer(0.3, one.close).start()
    ports.check("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "a" * 70, "::zz"])
def test_an_address_that_is_not_ours_is_told(host: str) -> None:
    with pytest.raises(NetworkError, match=r"cannot listen on .*; name another one"):
        ports.check(host, 0)


def test_every_address_means_ipv6_as_well_where_there_is_any() -> None:
    with ports.listening("", 0) as one:
        port = one.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), 5).close()
        if one.family == socket.AF_INET6:
            socket.create_connection(("::1", port), 5).close()


def test_free_ports_are_none_that_a_connection_could_get(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_OURS", range(20_000, 20_040))
    monkeypatch.setattr(ports, "_given", set())
    found = ports.free(10)
    assert len(set(found)) == 10
    assert set(found) <= set(range(20_000, 20_040))
    # Whoever was given one may not listen yet.
    assert not set(found) & {port for _ in range(30) for port in ports.free(1)}
    monkeypatch.setattr(ports, "_given", set())
    with socket.create_server(("127.0.0.1", found[0])):
        assert found[0] not in ports.free(30)
    monkeypatch.setattr(ports, "_OURS", range(0))
    assert len(set(ports.free(3))) == 3
