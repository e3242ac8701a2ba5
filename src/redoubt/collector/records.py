"""The ring's records (probe/records.h) as structs. Pure; whatever the bytes say, they are a record or ``Spoilt``."""

from __future__ import annotations

import struct
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop

import msgspec

#: `TCP_…` of include/net/tcp_states.h.
ESTABLISHED, SYN_SENT, SYN_RECV, CLOSE, LISTEN = 1, 2, 3, 7, 10

_HEAD = struct.Struct("<HHIQQIIII")
_EXEC = struct.Struct("<16s8IIIIHHH6x")
_TWO = struct.Struct("<II")
_CONNECTION = struct.Struct("<QHHHBBII16s16s")
_CGROUP = struct.Struct("<II")
_LEVEL = 192
_LEVELS = 12
_COMPONENT = 128
_COMPONENTS = 16
_NOBODY = 0xFFFFFFFF
_V4, _V6 = 2, 10
_MAPPED = bytes(10) + b"\xff\xff"


class Spoilt(ValueError):
    """Bytes that are no record of ours."""


class Record(msgspec.Struct, frozen=True):
    """What every record begins with: whose doing it is."""

    #: Nanoseconds since the machine started.
    time: int
    pid: int
    parent: int
    uid: int
    gid: int
    cgroup: int
    contained: bool


class Executed(Record, frozen=True):
    """A program was started."""

    command: bytes
    ancestors: tuple[int, ...]
    login: int | None
    mounts: int
    asked: bytes
    #: The program's file from the process's root on, b"" where its path is too long to be told.
    file: bytes
    arguments: tuple[bytes, ...]
    cut: int


class Forked(Record, frozen=True):
    """A process made another."""

    child: int


class Exited(Record, frozen=True):
    """A process ended."""

    code: int


class Connected(Record, frozen=True):
    """A TCP socket changed its state, or a UDP packet left (``was``: 1 where its socket waits on a port that it chose)."""

    udp: bool
    socket: int
    was: int
    state: int
    network: int
    local: str
    local_port: int
    remote: str
    remote_port: int


class Named(Record, frozen=True):
    """The path of ``cgroup``, which later records name by its number."""

    path: str


def decode(data: memoryview | bytes) -> Record:
    """One record. Raises ``Spoilt`` where it is shorter than it says, of no known kind, or says more than it holds."""
    size = len(data)
    if size < _HEAD.size:
        raise Spoilt("shorter than a record's head")
    kind, said, pid, time, cgroup, parent, uid, gid, flags = _HEAD.unpack_from(data)
    if said != size:
        raise Spoilt(f"a record of {size} bytes says that it has {said}")
    if not 0 < kind < len(_BODIES):
        raise Spoilt(f"no kind {kind} is known")
    try:
        return _BODIES[kind](data, (time, pid, parent, uid, gid, cgroup, bool(flags & 1)))
    except struct.error:
        raise Spoilt(f"a record of kind {kind} has {size} bytes") from None


_Head = tuple[int, int, int, int, int, int, bool]


def _executed(data: memoryview | bytes, head: _Head) -> Executed:
    at = _HEAD.size
    command, *numbers = _EXEC.unpack_from(data, at)
    login, mounts, whole, path_size, arguments_size, file_size = numbers[8:]
    at += _EXEC.size
    if at + path_size + file_size + arguments_size != len(data):
        raise Spoilt("texts of other lengths than the record says")
    rest = bytes(data[at:])
    asked = rest[:path_size].partition(b"\0")[0]
    names = rest[path_size : path_size + file_size].split(b"\0")
    arguments = rest[path_size + file_size :]
    if arguments.endswith(b"\0"):
        arguments = arguments[:-1]
    ancestors = tuple(numbers[:8])
    if 0 in ancestors:
        ancestors = ancestors[: ancestors.index(0)]
    return Executed(
        *head,
        command.partition(b"\0")[0],
        ancestors,
        None if login == _NOBODY else login,
        mounts,
        asked,
        _path(names),
        tuple(arguments.split(b"\0")) if arguments_size else (),
        max(whole - arguments_size, 0),
    )


def _path(names: list[bytes]) -> bytes:
    """The path of components from the last to the first; each ends with a NUL. b"" where one is cut or not told."""
    names.pop()
    if not names or len(names) >= _COMPONENTS or max(map(len, names)) >= _COMPONENT - 1:
        return b""
    names.reverse()
    return b"/" + b"/".join(names)


def _forked(data: memoryview | bytes, head: _Head) -> Forked:
    return Forked(*head, _TWO.unpack_from(data, _HEAD.size)[0])


def _exited(data: memoryview | bytes, head: _Head) -> Exited:
    return Exited(*head, _TWO.unpack_from(data, _HEAD.size)[0])


def _datagram(data: memoryview | bytes, head: _Head) -> Connected:
    return _connected(data, head, udp=True)


def _connected(data: memoryview | bytes, head: _Head, *, udp: bool = False) -> Connected:
    socket, family, local_port, remote_port, was, state, network, _, local, remote = _CONNECTION.unpack_from(
        data, _HEAD.size
    )
    if family not in (_V4, _V6):
        raise Spoilt(f"no family {family} is known")
    v4 = family == _V4
    return Connected(
        *head,
        udp,
        socket,
        was,
        state,
        network,
        address(local, v4),
        local_port,
        address(remote, v4),
        remote_port,
    )


@lru_cache(1 << 14)
def address(data: bytes, v4: bool) -> str:
    """An address of the kernel's as text; IPv4 that is written within IPv6 as IPv4."""
    if v4:
        return inet_ntop(AF_INET, data[:4])
    if data[:12] == _MAPPED:
        return inet_ntop(AF_INET, data[12:])
    return inet_ntop(AF_INET6, data)


def _named(data: memoryview | bytes, head: _Head) -> Named:
    levels, _ = _CGROUP.unpack_from(data, _HEAD.size)
    at = _HEAD.size + _CGROUP.size
    if levels > _LEVELS or at + _LEVEL * _LEVELS > len(data):
        raise Spoilt(f"a cgroup with {levels} levels")
    whole = bytes(data[at:])
    names = [whole[i * _LEVEL : (i + 1) * _LEVEL].partition(b"\0")[0] for i in range(levels)]
    return Named(*head, "/".join(name.decode("utf-8", "replace") for name in names))


_BODIES = (_forked, _executed, _forked, _exited, _connected, _datagram, _named)
