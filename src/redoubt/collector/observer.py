"""Records of the kernel → events of containers: names numbers, remembers who is who. No I/O but the clock's.

The order of records is the ring's. Any of them may be missing: then less is said, never something else.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Literal

from redoubt.collector import containers, records
from redoubt.collector.containers import Container
from redoubt.collector.processes import Found, Known, Processes, text
from redoubt.collector.records import Connected, Executed, Exited, Forked, Named, Record, Spoilt
from redoubt.collector.snapshot import key
from redoubt.collector.tracker import Key, Told, Tracker
from redoubt.model.noderecords import Connection, Endpoint, Event, Process

#: Cgroups that are remembered: four times as many as the probe does, which tells a forgotten one again.
_CGROUPS = 1 << 16

#: Processes above one that are named, as the probe does.
_ANCESTORS = 8

Role = Literal["client", "server"]


class Observer:
    """What is known so far. ``only_containers`` leaves out what is in none."""

    def __init__(self, *, only_containers: bool = True) -> None:
        self._only_containers = only_containers
        self._cgroups: OrderedDict[int, Container | None] = OrderedDict()
        self.processes = Processes()
        self.tracker = Tracker()
        #: Records that were none, and records of containers whose name was not told.
        self.spoilt = 0
        self.unnamed = 0
        self._boot = 0
        self.tick()

    def tick(self) -> None:
        """Set the records' clock by the machine's: to be called now and then, because that one is put right."""
        self._boot = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    @property
    def now(self) -> int:
        """This moment by the records' clock, as events tell times."""
        return self._boot + time.clock_gettime_ns(time.CLOCK_BOOTTIME)

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

    def found(self, found: Found, *, began: bool = False) -> Event | None:
        """The event of a process that was found in /proc: one that ran already, or one that just began."""
        known = found.known
        self.processes.began(found.pid, known)
        container = known.container
        if container is None and self._only_containers:
            return None
        return Process(
            time=self.now if began else self._boot + int(found.started * 1e9),
            container=container.identifier if container else "",
            pod=container.pod if container else "",
            pid=found.pid,
            parent=known.parent,
            uid=known.uid,
            gid=found.gid,
            login_uid=found.login,
            name=found.name,
            path=known.path,
            arguments=tuple(map(text, found.arguments)),
            ancestors=self.processes.ancestors(self._above(known.parent), container),
            mounts=found.mounts,
            scraped=not began,
        )

    def _above(self, parent: int) -> list[int]:
        """The processes above, as far as parents are known."""
        above: list[int] = []
        while parent and parent not in above and len(above) < _ANCESTORS:
            above.append(parent)
            parent = self.processes.parent(parent)
        return above

    def _name(self, number: int, container: Container | None) -> None:
        self._cgroups.pop(number, None)
        if len(self._cgroups) >= _CGROUPS:
            self._cgroups.popitem(last=False)
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
        self.processes.began(record.pid, Known(path, record.uid, container, record.parent))
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
        if not record.udp and records.LISTEN in (record.was, record.state):
            event: Connection | Endpoint | None = self._endpoint(record)
        else:
            event = self._connection(record)
        if event is None or (self._only_containers and not event.container):
            return None
        self.tracker.note(event)
        return event

    def _endpoint(self, record: Connected) -> Endpoint:
        closed = record.state == records.CLOSE
        known = self._known(record) if closed else None
        container, pid = self._owner(record, known)
        return Endpoint(
            time=self._boot + record.time,
            container=container.identifier if container else "",
            pod=container.pod if container else "",
            protocol="tcp",
            address=record.local,
            port=record.local_port,
            state="closed" if closed else "open",
            pid=pid,
            network=record.network,
        )

    def _connection(self, record: Connected) -> Connection | None:
        closed = not record.udp and record.state == records.CLOSE
        if closed and record.was in (records.SYN_SENT, records.SYN_RECV):
            return None  # it never was one
        known = self._known(record) if closed else None
        if closed and known is None and self.tracker.closed(_ends(record)):
            return None
        listener = None
        if known is None:
            listener = self.tracker.listener(
                record.network, "udp" if record.udp else "tcp", record.local_port
            )
        container, pid = self._owner(record, known or listener)
        role: Role = "client"
        if isinstance(known, Connection):
            role = known.role
        elif listener is not None or record.was == (1 if record.udp else records.SYN_RECV):
            role = "server"
        return Connection(
            time=self._boot + record.time,
            container=container.identifier if container else "",
            pod=container.pod if container else "",
            protocol="udp" if record.udp else "tcp",
            role=role,
            local=record.local,
            local_port=record.local_port,
            remote=record.remote,
            remote_port=record.remote_port,
            state="closed" if closed else "open",
            pid=pid,
            network=record.network,
        )

    def _known(self, record: Connected) -> Told | None:
        return self.tracker.known(_ends(record))

    def _owner(self, record: Connected, known: Told | None) -> tuple[Container | None, int]:
        """Whose a socket is: what the kernel says, else what was known of it or of who waits on its port."""
        container = self._container(record)
        if container is None and known is not None and known.container:
            container = Container(known.container, known.pod)
        return container, record.pid or (known.pid if known is not None else 0)


def _ends(record: Connected) -> Key:
    """What tells a TCP socket from others."""
    return key(record.network, "tcp", record.local, record.local_port, record.remote, record.remote_port)
