"""The probe's records as bytes (probe/records.h), and a ring of the kernel's form in memory, for tests without a kernel."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterable

EXEC, FORK, EXIT, TCP, UDP, CGROUP = range(1, 7)


def record(kind: int, body: bytes, *, pid: int = 10, parent: int = 1, cgroup: int = 7, uid: int = 0) -> bytes:
    """A record with its head."""
    return struct.pack("<HHIQQIIII", kind, 40 + len(body), pid, 1, cgroup, parent, uid, 0, 1) + body


def executed(
    arguments: bytes = b"true\0",
    *,
    asked: bytes = b"true\0",
    file: bytes = b"true\0bin\0",
    whole: int | None = None,
    ancestors: Iterable[int] = (1,),
    pid: int = 10,
    cgroup: int = 7,
) -> bytes:
    """A program that was started."""
    above = [*ancestors, *([0] * 8)][:8]
    numbers = struct.pack(
        "<16s8IIIIHHH6x",
        b"true",
        *above,
        0xFFFFFFFF,
        4026531832,
        len(arguments) if whole is None else whole,
        len(asked),
        len(arguments),
        len(file),
    )
    return record(EXEC, numbers + asked + file + arguments, pid=pid, cgroup=cgroup)


def connected(
    was: int,
    state: int,
    *,
    kind: int = TCP,
    family: int = 2,
    local: bytes = b"\x0a\0\0\x01",
    remote: bytes = b"\x0a\0\0\x02",
    ports: tuple[int, int] = (40000, 443),
    socket: int = 99,
    cgroup: int = 7,
) -> bytes:
    """A socket's change of state."""
    body = struct.pack("<QHHHBBII16s16s", socket, family, *ports, was, state, 4026531999, 0, local, remote)
    return record(kind, body, cgroup=cgroup)


def named(path: str, *, cgroup: int = 7) -> bytes:
    """A cgroup's names."""
    names = [name.encode() for name in path.strip("/").split("/")][:12]
    body = struct.pack("<II", len(names), 0) + b"".join(name[:191].ljust(192, b"\0") for name in names)
    return record(CGROUP, body.ljust(8 + 12 * 192, b"\0"), cgroup=cgroup)


class Written:
    """A ring that a test writes, without the kernel's second mapping: a record must not reach over the end."""

    def __init__(self, size: int = mmap.PAGESIZE) -> None:
        self.size = size
        self.descriptor = os.memfd_create("ring")
        os.ftruncate(self.descriptor, 2 * mmap.PAGESIZE + 2 * size)
        self._memory = mmap.mmap(self.descriptor, 0)
        self._end = 0

    def write(self, data: bytes, *, flags: int = 0) -> None:
        """One record; ``flags``: 1 << 31 while it is not finished, 1 << 30 where it was taken back."""
        at = 2 * mmap.PAGESIZE + self._end % self.size
        self._memory[at : at + 8 + len(data)] = struct.pack("<II", len(data) | flags, 0) + data
        self._end += (8 + len(data) + 7) & ~7
        self._memory[mmap.PAGESIZE : mmap.PAGESIZE + 8] = struct.pack("<Q", self._end)

    @property
    def read(self) -> int:
        """How far the reader says it is."""
        return int(struct.unpack("<Q", self._memory[:8])[0])

    def close(self) -> None:
        """Free it."""
        self._memory.close()
        os.close(self.descriptor)
