"""What is connected and what listens at one moment, and whose it is: from every process's descriptors.

Slow (some microseconds for each descriptor of the machine), so it pauses where the caller has something else to do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from redoubt.collector import containers, sockets
from redoubt.collector.containers import Container
from redoubt.collector.sockets import Socket

_PREFIX = "socket:["
#: UDP sockets that wait on ports from here on are mostly clients' (ip_local_port_range).
EPHEMERAL = 32768


@dataclass(slots=True)
class Owned:
    """A socket and whose it is."""

    socket: Socket
    network: int
    pid: int
    container: Container | None


@dataclass(slots=True)
class Snapshot:
    """One look. ``unreadable`` counts processes whose descriptors or namespace may not be seen."""

    owned: list[Owned] = field(default_factory=list)
    #: Sockets of the namespaces that were read, owned or not, by (network, protocol, both ends).
    standing: set[tuple[object, ...]] = field(default_factory=set)
    #: Namespaces that were read.
    networks: set[int] = field(default_factory=set)
    unreadable: int = 0


def take(*, only_containers: bool, pause: Callable[[], None] = lambda: None) -> Snapshot:
    """Look at all processes, or those in containers. ``pause`` is called between two of them."""
    found = Snapshot()
    own = _network("self")
    owners: dict[int, tuple[int, Container | None]] = {}
    witnesses: dict[int, int] = {}
    for pid in _pids():
        pause()
        container = containers.of_process(pid)
        if container is None and only_containers:
            continue
        network = _network(str(pid))
        if network is None:
            found.unreadable += 1
            continue
        witnesses.setdefault(network, pid)
        try:
            for inode in _inodes(pid):
                owners.setdefault(inode, (pid, container))
        except PermissionError:
            found.unreadable += 1
        except OSError:
            continue  # it is gone
    for network, pid in witnesses.items():
        found.networks.add(network)
        for each in sockets.ours() if network == own else sockets.of(pid):
            if not each.left:
                found.standing.add(key(network, *each[:5]))
            owner = owners.get(each.inode) if each.inode else None
            if owner is not None:
                found.owned.append(Owned(each, network, *owner))
        pause()
    return found


def key(
    network: int, protocol: str, local: str, local_port: int, remote: str, remote_port: int
) -> tuple[object, ...]:
    """A socket by what tells it from others. One that waits has no other end, however that is written."""
    return (network, protocol, local, local_port, remote if remote_port else "", remote_port)


def _pids() -> Iterator[int]:
    for name in os.listdir("/proc"):  # noqa: PTH208  # names are enough
        if name.isdecimal():
            yield int(name)


def _network(pid: str) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino  # noqa: PTH116  # once for each process
    except OSError:
        return None


def _inodes(pid: int) -> Iterator[int]:
    """The sockets among a process's descriptors."""
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):  # noqa: PTH208
        try:
            target = os.readlink(f"{folder}/{name}")  # noqa: PTH115  # a hundred thousand times
        except OSError:
            continue
        if target.startswith(_PREFIX):
            yield int(target[len(_PREFIX) : -1])
