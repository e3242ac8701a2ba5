from __future__ import annotations

from typing import Literal

from redoubt.collector.containers import Container
from redoubt.collector.snapshot import Owned, Snapshot, key
from redoubt.collector.sockets import Socket, parse
from redoubt.collector.tracker import Told, Tracker
from redoubt.model.noderecords import Connection, Endpoint

WEB = Container("a" * 64, "pod")
LISTENING = Socket("tcp", "::", 80, "::", 0, 10, 1)
SERVED = Socket("tcp", "10.0.0.1", 80, "10.0.0.9", 5000, 1, 2)
CALLING = Socket("tcp", "10.0.0.1", 40000, "10.0.0.8", 443, 1, 3)


def looked(*found: Socket, unreadable: int = 0, networks: frozenset[int] = frozenset({1})) -> Snapshot:
    return Snapshot(
        [Owned(each, 1, 10, WEB) for each in found],
        {key(1, *each[:5]) for each in found},
        set(networks),
        unreadable,
    )


def opened(local_port: int, time: int, state: Literal["open", "closed"] = "open") -> Connection:
    return Connection(
        time=time,
        container=WEB.identifier,
        protocol="tcp",
        role="client",
        local="10.0.0.1",
        local_port=local_port,
        remote="10.0.0.8",
        remote_port=443,
        state=state,
        network=1,
    )


def shown(told: list[Told]) -> list[tuple[object, ...]]:
    return [
        (each.role, each.local_port, each.state)
        if isinstance(each, Connection)
        else (each.protocol, each.port, each.state)
        for each in told
    ]


def test_what_stands_and_was_not_told_is_told_once() -> None:
    tracker = Tracker()
    told = tracker.reconcile(looked(LISTENING, SERVED, CALLING), 5, 6)
    assert shown(told) == [("tcp", 80, "open"), ("server", 80, "open"), ("client", 40000, "open")]
    assert {each.time for each in told} == {6}
    assert all(each.scraped and each.container == WEB.identifier for each in told)
    assert tracker.reconcile(looked(LISTENING, SERVED, CALLING), 7, 8) == []


def test_what_was_told_is_not_told_again() -> None:
    tracker = Tracker()
    tracker.note(opened(40000, 1))
    assert tracker.reconcile(looked(CALLING), 5, 6) == []


def test_what_stands_no_longer_is_closed() -> None:
    tracker = Tracker()
    tracker.note(opened(40000, 1))
    assert shown(tracker.reconcile(looked(), 5, 6)) == [("client", 40000, "closed")]
    assert len(tracker) == 0


def test_what_was_opened_while_it_was_looked_stays_open() -> None:
    tracker = Tracker()
    tracker.note(opened(40000, 5))
    assert tracker.reconcile(looked(), 5, 6) == []
    assert len(tracker) == 1


def test_what_was_closed_while_it_was_looked_is_not_opened_again() -> None:
    tracker = Tracker()
    tracker.note(opened(40000, 1))
    tracker.note(opened(40000, 5, "closed"))
    assert tracker.reconcile(looked(CALLING), 5, 6) == []
    assert shown(tracker.reconcile(looked(CALLING), 7, 8)) == [("client", 40000, "open")]


def test_what_is_in_a_network_that_is_gone_is_closed_unless_something_could_not_be_read() -> None:
    tracker = Tracker()
    tracker.note(opened(40000, 1))
    assert tracker.reconcile(looked(unreadable=1, networks=frozenset()), 5, 6) == []
    assert shown(tracker.reconcile(looked(networks=frozenset()), 7, 8)) == [("client", 40000, "closed")]


def test_a_socket_that_waits_is_one_however_its_other_end_is_written() -> None:
    tracker = Tracker()
    tracker.note(
        Endpoint(
            time=1, container=WEB.identifier, protocol="tcp", address="::", port=80, state="open", network=1
        )
    )
    assert tracker.reconcile(looked(LISTENING), 5, 6) == []
    assert tracker.listener(1, "tcp", 80) is not None


def test_datagrams_of_clients_are_no_endpoints() -> None:
    chosen, given = Socket("udp", "::", 53, "::", 0, 7, 1), Socket("udp", "::", 50000, "::", 0, 7, 2)
    assert shown(Tracker().reconcile(looked(chosen, given), 5, 6)) == [("udp", 53, "open")]


def test_memory_is_bounded() -> None:
    tracker = Tracker()
    for port in range(140_000):
        tracker.note(opened(port, 1))
        tracker.note(opened(port + 1, 1, "closed"))
    assert len(tracker) <= 1 << 17
    assert len(tracker._closed) == 1 << 17


def test_a_line_that_is_no_socket_is_passed_over() -> None:
    rest = "00000000:00000000 00:00000000 00000000 1000 0 4711 1"
    lines = [
        f"0: {end}:1F90 00000000:0000 0A {rest}" for end in ("-100007F", "0100007", "0100007F", "zz00007F")
    ]
    assert [each.local for each in parse(iter(["", *lines]), "tcp")] == ["127.0.0.1"]
