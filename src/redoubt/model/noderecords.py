"""What the collector tells: processes that began, connections, listening sockets, and what it lost.

Texts are what strangers wrote. They are UTF-8 with bytes that are none written as ``\\xNN``; control characters are still in them.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", rename="camel"):
    """Something that happened to ``container``, or on the machine itself where that is empty."""

    #: Nanoseconds since 1970, UTC.
    time: int
    #: 64 hexadecimal digits.
    container: str = ""
    #: The pod's UID as Kubernetes writes it, where the runtime put the container below it.
    pod: str = ""


class Ancestor(msgspec.Struct, frozen=True, rename="camel"):
    """A process above another, within the same container."""

    path: str
    uid: int


class Process(Event, frozen=True, kw_only=True, tag="process"):
    """A program was started, or ran already when the collector began."""

    pid: int
    parent: int
    #: Effective, as the machine counts users.
    uid: int
    gid: int
    #: Who logged in, as audit knows it; None where nobody did.
    login_uid: int | None = None
    #: The process's name: the first 15 bytes of its program's.
    name: str
    #: The program's file. From the process's root where the kernel told it, else as it was asked for.
    path: str
    #: As it was asked for: may be relative, or a script or symbolic link.
    asked: str = ""
    #: argv, its first included. The last may be cut; see ``cut``.
    arguments: tuple[str, ...] = ()
    #: Bytes of arguments that are not told.
    cut: int = 0
    ancestors: tuple[Ancestor, ...] = ()
    #: The number of its mount namespace.
    mounts: int = 0
    #: Whether it ran already.
    scraped: bool = False


class Connection(Event, frozen=True, kw_only=True, tag="connection"):
    """A connection was opened, is still open, or was closed. UDP has no close."""

    protocol: Literal["tcp", "udp"]
    role: Literal["client", "server"]
    #: Addresses without brackets; IPv4 within IPv6 is written as IPv4.
    local: str
    local_port: int
    remote: str
    remote_port: int
    state: Literal["open", "closed"]
    #: 0 where nobody knows.
    pid: int = 0
    #: The number of the network namespace.
    network: int = 0
    scraped: bool = False


class Flow(Event, frozen=True, kw_only=True, tag="flow"):
    """Who talks to whom, whichever port the caller has: begun, or ended some minutes ago."""

    protocol: Literal["tcp", "udp"]
    role: Literal["client", "server"]
    remote: str
    #: The server's.
    port: int
    state: Literal["open", "closed"]
    network: int = 0
    scraped: bool = False

    def ended(self, time: int) -> Flow:
        """The same, at its end."""
        return msgspec.structs.replace(self, time=time, state="closed", scraped=False)


class Endpoint(Event, frozen=True, kw_only=True, tag="endpoint"):
    """A socket that waits for others, or no longer."""

    protocol: Literal["tcp", "udp"]
    address: str
    port: int
    state: Literal["open", "closed"]
    pid: int = 0
    network: int = 0
    scraped: bool = False


class Loss(Event, frozen=True, kw_only=True, tag="loss"):
    """Something happened that is not told: records that found no room since the last such event."""

    #: By kind: exec, fork, exit, tcp, udp, cgroup.
    lost: dict[str, int]
    #: By CPU, all kinds.
    cpus: list[int]
