"""The sockets that there are in a network namespace: asked of the kernel by netlink in our own, read from /proc in others'.

Entering another namespace takes CAP_SYS_ADMIN; reading ``/proc/PID/net`` of a process within takes nothing.
Netlink: ``sock_diag(7)``, include/uapi/linux/inet_diag.h. /proc: Documentation/networking/proc_net_tcp.rst.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from redoubt.collector import records

Protocol = Literal["tcp", "udp"]

#: TCP's states in which a connection stands: established, both sides' closing, listening.
_STANDING = frozenset({1, 4, 5, 8, 9, 10, 11})
_CLOSE, _LISTEN = 7, 10
#: FIN_WAIT1, FIN_WAIT2, LAST_ACK, CLOSING.
_LEAVING = frozenset({4, 5, 9, 11})

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBBI48x")
_ANSWER = struct.Struct("=BBxx2s2s16s16s12xIIIII")
_SECONDS = 5
_BUFFER = 1 << 16


class Socket(NamedTuple):
    """One socket. ``inode`` 0: no process has it any more."""

    protocol: Protocol
    local: str
    local_port: int
    remote: str
    remote_port: int
    state: int
    inode: int

    @property
    def left(self) -> bool:
        """Whether its process closed it, and only the kernel still waits for the other side: up to a minute."""
        return not self.inode and self.state in _LEAVING

    @property
    def listening(self) -> bool:
        """Whether it waits for others: TCP that listens, UDP that is connected to nobody."""
        return self.state == (_LISTEN if self.protocol == "tcp" else _CLOSE) and not self.remote_port


def ours() -> Iterator[Socket]:
    """Those of this process's network namespace. Raises ``OSError`` where the kernel has no sock_diag."""
    for protocol, number in (("tcp", socket.IPPROTO_TCP), ("udp", socket.IPPROTO_UDP)):
        for family in (socket.AF_INET, socket.AF_INET6):
            with suppress(FileNotFoundError):  # a kernel without that family
                yield from _asked(family, number, "tcp" if protocol == "tcp" else "udp")


def _asked(family: int, number: int, protocol: Protocol) -> Iterator[Socket]:
    states = sum(1 << state for state in _STANDING) if protocol == "tcp" else 0xFFF
    body = _REQUEST.pack(family, number, 0, 0, states)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as asked:
        asked.settimeout(_SECONDS)
        asked.send(_HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _DUMP, 1, 0) + body)
        while True:
            data = asked.recv(_BUFFER)
            for kind, answer in messages(data):
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", answer)[0]
                    raise OSError(number, "sock_diag")
                if kind == _SOCK_DIAG_BY_FAMILY and len(answer) >= _ANSWER.size:
                    yield _read(answer, protocol)


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kinds and bodies of the netlink messages in a datagram; what is cut or lies about its length ends them."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        yield kind, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _read(answer: bytes, protocol: Protocol) -> Socket:
    family, state, sport, dport, source, destination, *rest = _ANSWER.unpack_from(answer)
    v4 = family == socket.AF_INET
    return Socket(
        protocol,
        records.address(source, v4),
        int.from_bytes(sport, "big"),
        records.address(destination, v4),
        int.from_bytes(dport, "big"),
        state,
        rest[4],
    )


def of(pid: int) -> Iterator[Socket]:
    """Those of a process's network namespace; none where it is gone."""
    folder = Path("/proc") / str(pid) / "net"
    for name in ("tcp", "tcp6", "udp", "udp6"):
        with suppress(OSError), (folder / name).open(encoding="ascii", errors="replace") as lines:
            next(lines, None)
            yield from parse(lines, "tcp" if name.startswith("tcp") else "udp")


def parse(lines: Iterator[str], protocol: Protocol) -> Iterator[Socket]:
    """Sockets of a file of /proc/net without its heading. A line that is none is passed over."""
    for line in lines:
        fields = line.split()
        try:
            state = int(fields[3], 16)
            if protocol == "tcp" and state not in _STANDING:
                continue
            local, local_port = _end(fields[1])
            remote, remote_port = _end(fields[2])
            yield Socket(protocol, local, local_port, remote, remote_port, state, int(fields[9]))
        except (IndexError, ValueError, OverflowError):
            continue


def _end(text: str) -> tuple[str, int]:
    """``0100007F:1F90``: the address as words of the machine's order, the port as a number."""
    words, _, port = text.partition(":")
    if len(words) not in (8, 32):
        raise ValueError(words)
    data = b"".join(int(words[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(words), 8))
    return records.address(data, len(data) == 4), int(port, 16)
