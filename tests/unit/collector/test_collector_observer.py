from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.collector.containers import Container
from redoubt.collector.observer import Observer
from redoubt.collector.records import CLOSE, ESTABLISHED, LISTEN, SYN_RECV, SYN_SENT
from redoubt.collector.snapshot import Owned, Snapshot
from redoubt.collector.sockets import Socket
from redoubt.model.noderecords import Ancestor, Connection, Endpoint, Event, Process
from support import rings

ID, POD = "0123456789abcdef" * 4, "12345678-9abc-def0-1234-56789abcdef0"
PATH = f"kubepods/pod{POD}/{ID}"


@pytest.fixture
def observer() -> Observer:
    made = Observer()
    assert made.take(rings.named(PATH)) is None
    return made


def process(event: Event | None) -> Process:
    assert isinstance(event, Process)
    return event


def test_a_program_is_told_with_its_container(observer: Observer) -> None:
    told = process(observer.take(rings.executed(b"true\0x\0")))
    assert (told.container, told.pod, told.path, told.name) == (ID, POD, "/bin/true", "true")
    assert told.arguments == ("true", "x")


def test_where_the_kernel_tells_no_file_the_path_is_what_was_asked_for(observer: Observer) -> None:
    assert (
        process(observer.take(rings.executed(asked=b"/proc/self/fd/3\0", file=b""))).path == "/proc/self/fd/3"
    )


def test_ancestors_end_at_the_container(observer: Observer) -> None:
    observer.take(rings.named("system.slice/runtime.service", cgroup=8))
    assert observer.take(rings.executed(pid=2, file=b"runtime\0", cgroup=8, ancestors=())) is None
    observer.take(rings.executed(pid=3, file=b"sh\0", ancestors=(2,)))
    observer.take(rings.record(rings.FORK, struct.pack("<II", 4, 0), pid=3))
    told = process(observer.take(rings.executed(pid=5, ancestors=(4, 3, 2))))
    assert told.ancestors == (Ancestor("/sh", 0), Ancestor("/sh", 0))
    observer.take(rings.record(rings.EXIT, bytes(8), pid=3))
    told = process(observer.take(rings.executed(pid=6, ancestors=(4, 3))))
    assert told.ancestors == (Ancestor("/sh", 0),)


def test_a_container_whose_name_was_not_told_is_counted_and_not_guessed() -> None:
    observer = Observer()
    assert observer.take(rings.executed()) is None
    assert observer.unnamed == 1


def test_what_is_in_no_container_is_told_where_it_is_wanted() -> None:
    observer = Observer(only_containers=False)
    observer.take(rings.named("system.slice/ssh.service"))
    assert process(observer.take(rings.executed())).container == ""


def test_a_connection_keeps_its_role_until_its_close(observer: Observer) -> None:
    for socket, was, role in ((1, SYN_SENT, "client"), (2, SYN_RECV, "server")):
        opened = observer.take(rings.connected(was, ESTABLISHED, socket=socket))
        closed = observer.take(rings.connected(4, CLOSE, socket=socket))
        assert isinstance(opened, Connection)
        assert isinstance(closed, Connection)
        assert (opened.role, opened.state, closed.role, closed.state) == (role, "open", role, "closed")
        assert (opened.remote, opened.remote_port, opened.container) == ("10.0.0.2", 443, ID)


def test_an_end_that_a_look_at_all_sockets_showed_is_not_told_again(observer: Observer) -> None:
    assert observer.take(rings.connected(SYN_SENT, ESTABLISHED)) is not None
    told = observer.tracker.reconcile(Snapshot(networks={4026531999}), observer.now, observer.now)
    assert [(type(each), each.state) for each in told] == [(Connection, "closed")]
    assert observer.take(rings.connected(4, CLOSE)) is None
    assert observer.take(rings.connected(SYN_SENT, ESTABLISHED)) is not None
    assert observer.take(rings.connected(4, CLOSE)) is not None


def test_the_end_of_what_was_there_before_is_told_with_what_is_known_of_it() -> None:
    observer = Observer()
    socket = Socket("tcp", "10.0.0.1", 40000, "10.0.0.2", 443, 1, 5)
    key = (4026531999, *socket[:5])
    owned = Owned(socket, 4026531999, 10, Container(ID, POD))
    observer.tracker.reconcile(Snapshot([owned], {key}, {4026531999}), observer.now, observer.now)
    told = observer.take(rings.connected(4, CLOSE, cgroup=0))
    assert isinstance(told, Connection)
    assert (told.container, told.pod, told.role, told.state) == (ID, POD, "client", "closed")


def test_what_never_became_a_connection_is_none(observer: Observer) -> None:
    assert observer.take(rings.connected(SYN_SENT, CLOSE)) is None


def test_listening_sockets(observer: Observer) -> None:
    for was, state, expected in ((CLOSE, LISTEN, "open"), (LISTEN, CLOSE, "closed")):
        told = observer.take(rings.connected(was, state, ports=(8080, 0)))
        assert isinstance(told, Endpoint)
        assert (told.port, told.state, told.container) == (8080, expected, ID)


def test_a_udp_flow(observer: Observer) -> None:
    told = observer.take(rings.connected(0, 0, kind=rings.UDP, ports=(40000, 53)))
    assert isinstance(told, Connection)
    assert (told.protocol, told.remote_port, told.state) == ("udp", 53, "open")


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([rings.executed(), rings.named(PATH)]))))
def test_spoilt_records_are_counted_and_nothing_else(data: list[bytes]) -> None:
    observer = Observer(only_containers=False)
    for each in data:
        observer.take(each)
    assert observer.spoilt == sum(len(each) <= 60 for each in data)


def test_memory_is_bounded() -> None:
    observer = Observer(only_containers=False)
    for number in range(70_000):
        observer.take(rings.named("a", cgroup=number))
    assert len(observer._cgroups) == 1 << 16
