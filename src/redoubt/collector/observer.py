"""Records of the kernel → events of containers: names numbers, remembers who is who. No I/O but the clock's.

The order of records is the ring's. Any of them may be missing: then less is said, never something else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from redoubt.collector import containers, records
from redoubt.collector.containers import Container
from redoubt.collector.events import Connection, Endpoint, Event, Process
from redoubt.collector.processes import Found, Known, Processes
from redoubt.collector.records import Connected, Executed, Exited, Forked, Named, Record, Spoilt

#: Cgroups that are remembered: four times as many as the probe does, which tells a forgotten one again.
_CGROUPS = 1 << 16
#: Open connections that are remembered, as many as the probe does.
_SOCKETS = 1 << 17

Role = Literal["client", "server"]


class Observer:
    """What is known so far. ``only_containers`` leaves out what is in none."""

    def __init__(
        self, *, only_containers: bool = True, resolve: Callable[[int, int], Container | None] | None = None
    ) -> None:
        self._only_containers = only_containers
        self._resolve = resolve
        self._cgroups: dict[int, Container | None] = {}
        self._sockets: dict[int, Role] = {}
        self.processes = Processes()
        #: Records that were none, and records of containers whose name was not told.
        self.spoilt = 0
        self.unnamed = 0
        self._boot = 0
        self.tick()

    def tick(self) -> None:
        """Set the records' clock by the machine's: to be called now and then, because that one is put right."""
        self._boot = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def take(self, data: memoryview | bytes) -> Event | None:
        """The event that a record is, or None where it only adds to what is known."""
        try:
            record = records.decode(data)
        except Spoilt:
            self.spoilt += 1
            return None
        match record:
            case Executed():
                return self._executed(record)
            case Connected():
                return self._connected(record)
            case Forked():
                self.processes.forked(record.pid, record.child)
            case Exited():
                self.processes.ended(record.pid)
            case Named():
                self._name(record.cgroup, containers.find(record.path))
        return None

    def found(self, found: Found) -> Event | None:
        """The event of a process that ran already."""
        known = found.known
        self.processes.began(found.pid, known)
        container = known.container
        if container is None and self._only_containers:
            return None
        return Process(
            time=self._boot + int(found.started * 1e9),
            container=container.identifier if container else "",
            pod=container.pod if container else "",
            pid=found.pid,
            parent=found.parent,
            uid=known.uid,
            gid=found.gid,
            login_uid=found.login,
            name=found.name,
            path=known.path,
            arguments=tuple(map(text, found.arguments)),
            mounts=found.mounts,
            scraped=True,
        )

    def _name(self, number: int, container: Container | None) -> None:
        self._cgroups.pop(number, None)
        if len(self._cgroups) >= _CGROUPS:
            del self._cgroups[next(iter(self._cgroups))]
        self._cgroups[number] = container

    def _container(self, record: Record) -> Container | None:
        number = record.cgroup
        try:
            # What is asked for becomes the youngest.
            container = self._cgroups[number] = self._cgroups.pop(number)
        except KeyError:
            self.unnamed += record.contained
            return None
        return container

    def _executed(self, record: Executed) -> Process | None:
        container = self._container(record)
        asked = text(record.asked)
        path = text(record.file) if record.file else asked
        self.processes.began(record.pid, Known(path, record.uid, container))
        if container is None and self._only_containers:
            return None
        return Process(
            time=self._boot + record.time,
            container=container.identifier if container else "",
            pod=container.pod if container else "",
            pid=record.pid,
            parent=record.parent,
            uid=record.uid,
            gid=record.gid,
            login_uid=record.login,
            name=text(record.command),
            path=path,
            asked=asked,
            arguments=tuple(map(text, record.arguments)),
            cut=record.cut,
            ancestors=self.processes.ancestors(record.ancestors, container),
            mounts=record.mounts,
        )

    def _connected(self, record: Connected) -> Connection | Endpoint | None:
        udp = not record.was and not record.state
        container = self._container(record)
        if container is None and self._resolve is not None:
            container = self._resolve(record.network, record.local_port)
        role = None if udp else self._role(record)
        if container is None and self._only_containers:
            return None
        moment = self._boot + record.time
        state: Literal["open", "closed"] = "closed" if record.state == records.CLOSE else "open"
        if not udp and records.LISTEN in (record.was, record.state):
            return Endpoint(
                time=moment,
                container=container.identifier if container else "",
                pod=container.pod if container else "",
                protocol="tcp",
                address=record.local,
                port=record.local_port,
                state=state,
                pid=record.pid,
                network=record.network,
            )
        if record.was in (records.SYN_SENT, records.SYN_RECV) and state == "closed":
            return None  # it never was one
        return Connection(
            time=moment,
            container=container.identifier if container else "",
            pod=container.pod if container else "",
            protocol="udp" if udp else "tcp",
            role=role or "client",
            local=record.local,
            local_port=record.local_port,
            remote=record.remote,
            remote_port=record.remote_port,
            state=state,
            pid=record.pid,
            network=record.network,
        )

    def _role(self, record: Connected) -> Role | None:
        if record.state == records.CLOSE:
            return self._sockets.pop(record.socket, None)
        if record.state != records.ESTABLISHED:
            return None
        role: Role = "server" if record.was == records.SYN_RECV else "client"
        if len(self._sockets) >= _SOCKETS:
            del self._sockets[next(iter(self._sockets))]
        self._sockets[record.socket] = role
        return role


def text(data: bytes) -> str:
    """A stranger's bytes as text that can be stored and sent: what is no UTF-8 becomes ``\\xNN``."""
    return data.decode("utf-8", "backslashreplace")
