"""What the kernel tells without BPF: that a process forked, started a program or ended, by its pid and no more.

The process connector (Documentation/driver-api/connector.rst, include/uapi/linux/cn_proc.h): netlink messages, numbered for
each CPU, so that a gap says how many were lost. Needs CAP_NET_ADMIN and the host's network namespace.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from redoubt.collector.libbpf import Unavailable
from redoubt.collector.sockets import messages

FORK, EXEC, EXIT = 1, 2, 0x80000000

_NETLINK_CONNECTOR = 11
_PROC = 1  # CN_IDX_PROC and CN_VAL_PROC
_LISTEN = 1  # PROC_CN_MCAST_LISTEN
_DONE = 3
_CONNECTOR = struct.Struct("=IIIIHH")
_EVENT = struct.Struct("=IIQ")
_IDS = struct.Struct("=IIII")
_BUFFER = 8 << 20
_MESSAGE = 4096
#: Messages that are read in a row.
_BURST = 10_000


class Happened(NamedTuple):
    """``pid`` did it; ``child`` is the new process of a fork, else 0."""

    what: int
    pid: int
    child: int


class Connector:
    """Listening. ``lost``: how many messages were lost, by CPU."""

    def __init__(self) -> None:
        """Raises ``Unavailable`` where it may not be listened, or not here."""
        self.lost: dict[int, int] = {}
        self._expected: dict[int, int] = {}
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_CONNECTOR)
        except OSError as error:
            raise Unavailable(
                f"no process connector: {error.strerror}; the host's network namespace is needed"
            ) from None
        try:
            self._socket.bind((0, _PROC))
            for option in (socket.SO_RCVBUF, 33):  # 33: SO_RCVBUFFORCE, which CAP_NET_ADMIN allows
                try:
                    self._socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
                except OSError:
                    continue
            body = _CONNECTOR.pack(_PROC, _PROC, 0, 0, 4, 0) + struct.pack("=I", _LISTEN)
            self._socket.send(struct.pack("=IHHII", 16 + len(body), _DONE, 0, 0, os.getpid()) + body)
        except OSError as error:
            self._socket.close()
            raise Unavailable(
                f"no process connector: {error.strerror}; CAP_NET_ADMIN is needed", denied=True
            ) from None
        self._socket.setblocking(False)

    def wait(self, seconds: float) -> None:
        """Until something happened."""
        select.select([self._socket], [], [], seconds)

    def read(self) -> Iterator[Happened]:
        """What happened and was not read, oldest first."""
        for _ in range(_BURST):
            try:
                data = self._socket.recv(_MESSAGE)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:  # what is missing is counted by the numbers
                    continue
                raise
            for kind, body in messages(data):
                if kind == _DONE and (happened := self.decode(body)) is not None:
                    yield happened

    def decode(self, body: bytes) -> Happened | None:
        """One message; None for what is of no interest, or none."""
        if len(body) < _CONNECTOR.size + _EVENT.size + _IDS.size:
            return None
        index, value, number, _, _, _ = _CONNECTOR.unpack_from(body)
        what, cpu, _ = _EVENT.unpack_from(body, _CONNECTOR.size)
        if (index, value) != (_PROC, _PROC):
            return None
        self._count(cpu, number)
        pid, process, child, child_process = _IDS.unpack_from(body, _CONNECTOR.size + _EVENT.size)
        if what == FORK:
            return Happened(what, process, child_process) if child == child_process else None
        if what in (EXEC, EXIT):
            return Happened(what, process, 0) if pid == process or what == EXEC else None
        return None

    def _count(self, cpu: int, number: int) -> None:
        """Keep the books: each CPU numbers its messages one after another."""
        expected = self._expected.get(cpu)
        if expected is not None and (gap := (number - expected) & 0xFFFFFFFF) < 1 << 31:
            self.lost[cpu] = self.lost.get(cpu, 0) + gap
        self._expected[cpu] = (number + 1) & 0xFFFFFFFF

    def close(self) -> None:
        """Listen no longer."""
        self._socket.close()
