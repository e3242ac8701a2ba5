from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.collector import sockets
from redoubt.collector.sockets import Socket


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    """Ports of a listening socket and of one that is connected to it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
        listening.accept()[0],
    ):
        yield listening.getsockname()[1], client.getsockname()[1]


@pytest.mark.parametrize("source", [sockets.ours, lambda: sockets.of(os.getpid())], ids=["netlink", "/proc"])
def test_sockets_that_stand_are_found(source: object, pair: tuple[int, int]) -> None:
    port, client = pair
    assert callable(source)
    found = {each[:5]: each for each in source() if {port, client} & {each.local_port, each.remote_port}}
    assert {each: found[each].listening for each in found} == {
        ("tcp", "127.0.0.1", port, "0.0.0.0", 0): True,
        ("tcp", "127.0.0.1", port, "127.0.0.1", client): False,
        ("tcp", "127.0.0.1", client, "127.0.0.1", port): False,
    }
    assert all(each.inode for each in found.values())


@pytest.mark.parametrize("source", [sockets.ours, lambda: sockets.of(os.getpid())], ids=["netlink", "/proc"])
def test_ipv6_and_udp(source: object) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as bound:
        bound.bind(("::1", 0))
        port, inode = bound.getsockname()[1], os.fstat(bound.fileno()).st_ino
        assert callable(source)
        assert [each for each in source() if each.inode == inode] == [
            Socket("udp", "::1", port, "::", 0, 7, inode)
        ]


def test_a_process_that_is_gone_has_none() -> None:
    assert list(sockets.of(0)) == []


LINE = (
    "   0: 0100007F:1F90 0200007F:C350 01 00000000:00000000 00:00000000 00000000  0  0 77 1 0 100 0 0 10 0\n"
)


def test_a_line_of_proc() -> None:
    assert list(sockets.parse(iter([LINE]), "tcp")) == [
        Socket("tcp", "127.0.0.1", 8080, "127.0.0.2", 50000, 1, 77)
    ]
    waiting = LINE.replace(" 01 ", " 06 ")
    assert list(sockets.parse(iter([waiting]), "tcp")) == []


@pytest.mark.parametrize(
    ("state", "inode", "left"), [(5, 0, True), (9, 0, True), (5, 7, False), (1, 0, False), (8, 0, False)]
)
def test_what_its_process_closed_is_left_to_the_kernel(state: int, inode: int, left: bool) -> None:
    """What is established and nobody's waits to be accepted."""
    assert Socket("tcp", "10.0.0.1", 80, "10.0.0.2", 5000, state, inode).left is left


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\n",
        LINE[:40],
        LINE.replace("0100007F", "0100"),
        LINE.replace("1F90", "xyz"),
        LINE.replace(" 77 ", " x "),
    ],
)
def test_a_line_that_is_none_is_passed_over(line: str) -> None:
    assert list(sockets.parse(iter([line]), "tcp")) == []


@given(st.lists(st.text(alphabet="0123456789ABCDEF: x", max_size=120)))
def test_whatever_the_lines_are(lines: list[str]) -> None:
    for each in sockets.parse(iter(lines), "udp"):
        assert isinstance(each, Socket)


def test_netlink_messages_end_where_one_lies() -> None:
    good = struct.pack("=IHHII", 20, 20, 0, 1, 0) + b"body"
    assert list(sockets.messages(good + good)) == [(20, b"body")] * 2
    for length in (0, 15, 25, 1 << 31):
        lying = struct.pack("=IHHII", length, 20, 0, 1, 0) + b"body"
        assert list(sockets.messages(good + lying)) == [(20, b"body")]
    assert list(sockets.messages(good[:10])) == []
