"""The connections and endpoints that stand, as far as events told, put right by what a snapshot shows. Pure.

A snapshot takes a while: what was told after it began weighs more than what it shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from redoubt.collector.containers import Container
from redoubt.collector.snapshot import EPHEMERAL, Owned, Snapshot, key
from redoubt.model.noderecords import Connection, Endpoint

#: Connections and endpoints that are remembered.
_MOST = 1 << 17

#: Nanoseconds for which a close is remembered: the kernel's own may come a minute after a look showed it.
_LATE = 120 * 10**9

Key = tuple[object, ...]
Told = Connection | Endpoint
Value = TypeVar("Value")


class Tracker:
    """By network namespace, protocol and both ends."""

    def __init__(self) -> None:
        self._standing: dict[Key, Told] = {}
        #: When what was closed lately was closed.
        self._closed: dict[Key, int] = {}
        self._listening: dict[Key, Told] = {}

    def __len__(self) -> int:
        return len(self._standing)

    def standing(self) -> Iterator[Told]:
        """All connections and endpoints that stand."""
        yield from list(self._standing.values())

    def known(self, which: Key) -> Told | None:
        """What stands there."""
        return self._standing.get(which)

    def closed(self, which: Key) -> bool:
        """Whether the end of what was there has been told, by a look at all sockets for one."""
        return which in self._closed

    def listener(self, network: int, protocol: str, port: int) -> Told | None:
        """Who waits on a port."""
        return self._listening.get((network, protocol, port))

    def note(self, told: Told) -> None:
        """Something that was told. UDP's flows have no close, and are not kept."""
        which = _key(told)
        if told.state == "closed":
            self._standing.pop(which, None)
            _put(self._closed, which, told.time)
            if isinstance(told, Endpoint):
                self._listening.pop((told.network, told.protocol, told.port), None)
            return
        if isinstance(told, Endpoint):
            _put(self._listening, (told.network, told.protocol, told.port), told)
        elif told.protocol == "udp":
            return
        _put(self._standing, which, told)

    def reconcile(self, snapshot: Snapshot, began: int, now: int) -> list[Told]:
        """What was missed: standing ones that nobody told of, and told ones that stand no longer.

        ``began`` and ``now``: when the snapshot was begun and ended, as events' times. What is given is noted already.
        """
        missed: list[Told] = []
        waiting = {
            (each.network, each.socket.protocol, each.socket.local_port)
            for each in snapshot.owned
            if each.socket.listening
        }
        for each in snapshot.owned:
            which = key(each.network, *each.socket[:5])
            if which in self._standing or self._closed.get(which, 0) >= began:
                continue
            server = (each.network, each.socket.protocol, each.socket.local_port) in waiting
            if (told := _told(each, server, now)) is not None:
                missed.append(told)
        for which, standing in self._standing.items():
            if standing.time >= began or which in snapshot.standing:
                continue
            # A namespace that was not read is gone, unless there was something that could not be read.
            if standing.network in snapshot.networks or not snapshot.unreadable:
                missed.append(msgspec.structs.replace(standing, time=now, state="closed", scraped=True))
        for told in missed:
            self.note(told)
        self._closed = {which: time for which, time in self._closed.items() if time >= began - _LATE}
        return missed


def _key(told: Told) -> Key:
    if isinstance(told, Connection):
        return key(told.network, told.protocol, told.local, told.local_port, told.remote, told.remote_port)
    return key(told.network, told.protocol, told.address, told.port, "", 0)


def _told(each: Owned, server: bool, now: int) -> Told | None:
    socket, container = each.socket, each.container or Container("", "")
    if socket.listening:
        if socket.protocol == "udp" and socket.local_port >= EPHEMERAL:
            return None
        return Endpoint(
            time=now,
            container=container.identifier,
            pod=container.pod,
            protocol=socket.protocol,
            address=socket.local,
            port=socket.local_port,
            state="open",
            pid=each.pid,
            network=each.network,
            scraped=True,
        )
    if socket.protocol == "udp":
        return None  # told by the packets that leave it
    return Connection(
        time=now,
        container=container.identifier,
        pod=container.pod,
        protocol=socket.protocol,
        role="server" if server else "client",
        local=socket.local,
        local_port=socket.local_port,
        remote=socket.remote,
        remote_port=socket.remote_port,
        state="open",
        pid=each.pid,
        network=each.network,
        scraped=True,
    )


def _put(where: dict[Key, Value], which: Key, value: Value) -> None:
    """Remember it as the youngest, and no more than there is room for."""
    where.pop(which, None)
    if len(where) >= _MOST:
        del where[next(iter(where))]
    where[which] = value
