"""What the collector tells: processes that began, connections, listening sockets, what it lost, and how it is.

Texts are what strangers wrote. They are UTF-8 with bytes that are none written as ``\\xNN``; control characters are still in them.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

import msgspec

#: In place of an address: somewhere outside of the cluster.
EXTERNAL = "external"
#: Where pods, services and nodes have their addresses: RFC 1918, 6598, 3927, 4193 and 4291.
PRIVATE: tuple[IPv4Network | IPv6Network, ...] = tuple(
    map(
        ip_network,
        (
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "169.254.0.0/16",
            "fc00::/7",
            "fe80::/10",
        ),
    )
)


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
    #: An address; of known networks, the network (``203.0.113.0/24``); ``EXTERNAL`` where addresses outside are told as one.
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
    """Something happened that is not told: records that found no room since the last such event.

    ``lost`` is by kind. The kernel's: exec, fork, exit, tcp, udp, cgroup. Of what waited for the Sensor: the tags of events;
    and ``limited`` for flows beyond what a container may have told in a minute.
    """

    lost: dict[str, int]
    #: By CPU, all kinds.
    cpus: list[int]


#: What the Sensor is sent.
Told = Process | Connection | Flow | Endpoint | Loss

HealthMethod = Literal["core_bpf", "ebpf", "proc_connector", "none"]


class CollectorHealth(msgspec.Struct, kw_only=True, rename="camel"):
    """How the collector is: by what method it sees, what that does not show, and what was lost. Renewed while it runs."""

    method: HealthMethod = "none"
    #: Why it is no better method, in one line.
    degraded: str = ""
    #: What this method does not show, each in a line.
    unseen: list[str] = []
    #: Events that were told.
    events: int = 0
    #: Records that the kernel's side made, by kind.
    made: dict[str, int] = {}
    #: Records that found no room: for each CPU, by kind.
    lost: list[dict[str, int]] = []
    #: How often the kernel did not run a program because it was running already, by program.
    missed: dict[str, int] = {}
    #: Records that could not be read.
    spoilt: int = 0
    #: Records of containers whose names were not told: their doings are not told either.
    unnamed: int = 0
    #: Connections and endpoints that only a look at all sockets showed, opened or gone.
    reconciled: int = 0
    #: Processes whose descriptors or network could not be seen at the last look (CAP_SYS_PTRACE).
    unreadable: int = 0
    #: Programs that were started and gone before /proc was read (without BPF only).
    gone: int = 0
    #: Events that found no room while they waited for the Sensor, by kind.
    dropped: dict[str, int] = {}
    #: Flows that were not told because their container had too many in a minute.
    limited: int = 0
