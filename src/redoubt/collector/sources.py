"""Where events come from: the probe, or the process connector and /proc where there is no BPF. One interface for both."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import Literal, Protocol

from redoubt.collector import connector, processes
from redoubt.collector.connector import Connector
from redoubt.collector.libbpf import Unavailable
from redoubt.collector.loader import Probe, Settings
from redoubt.collector.observer import Observer
from redoubt.errors import EXIT_CREDENTIALS
from redoubt.model.noderecords import CollectorHealth, Event

Method = Literal["auto", "core_bpf", "ebpf", "proc_connector"]

#: Seconds between two looks into the ring: waking for each record costs ten times as much.
NAP = 0.05


class Source(Protocol):
    """What happens, as far as this way of asking shows it."""

    def read(self) -> Iterator[Event]:
        """What happened since it was asked last."""
        ...

    def wait(self) -> None:
        """Until there may be more, and never longer than ``NAP``."""
        ...

    def count(self, health: CollectorHealth) -> list[dict[str, int]]:
        """Write into ``health`` what is counted. Gives what was lost since the start: for each CPU, by kind."""
        ...

    def close(self) -> None:
        """Ask no longer."""
        ...


def choose(
    method: Method,
    settings: Settings,
    observer: Observer,
    health: CollectorHealth,
    only: Collection[str] | None = None,
    code: bytes | None = None,
) -> Source:
    """The best there is; ``health`` says which, and what it does not show. Raises ``Unavailable``, with every reason.

    ``code`` is the probe, where it is not this program's own; with ``ebpf`` there is no other way.
    """
    refused = ""
    if method != "proc_connector":
        try:
            source: Source = ByProbe(Probe(settings, only, code), observer)
        except Unavailable as error:
            if method != "auto":
                raise
            refused = str(error)
        else:
            health.method = "ebpf" if method == "ebpf" else "core_bpf"
            return source
    try:
        source = ByConnector(Connector(), observer, only_containers=settings.only_containers)
    except Unavailable as error:
        raise Unavailable(
            f"{refused}; {error}" if refused else str(error), denied=error.exit_code == EXIT_CREDENTIALS
        ) from None
    health.method = "proc_connector"
    health.degraded = (
        f"without BPF ({refused or 'as asked for'}): the process connector and /proc are read instead"
    )
    health.unseen = [
        "programs that end before /proc was read are counted and not told",
        "connections that are opened and closed between two looks, and UDP flows, are not seen",
        "who closed a connection is found by the next look, not at once",
    ]
    return source


class ByProbe:
    """The kernel's records through the ring."""

    def __init__(self, probe: Probe, observer: Observer) -> None:
        self._probe, self._observer = probe, observer

    def read(self) -> Iterator[Event]:
        """Events of all records that are in the ring."""
        take = self._observer.take
        for record in self._probe.ring.records():
            if (event := take(record)) is not None:
                yield event

    def wait(self) -> None:
        """A nap."""
        time.sleep(NAP)

    def count(self, health: CollectorHealth) -> list[dict[str, int]]:
        """The kernel's own counters."""
        counts = self._probe.counts()
        health.missed, health.made = counts.missed, counts.made
        health.spoilt, health.unnamed = self._observer.spoilt, self._observer.unnamed
        return counts.lost

    def close(self) -> None:
        """Take the probe out."""
        self._probe.close()


class ByConnector:
    """Pids as the kernel tells them; the rest from /proc, for whoever is still there."""

    def __init__(self, listening: Connector, observer: Observer, *, only_containers: bool) -> None:
        self._connector, self._observer = listening, observer
        self._only_containers = only_containers
        self._gone = 0

    def read(self) -> Iterator[Event]:
        """Events of programs that were started."""
        known = self._observer.processes
        for happened in self._connector.read():
            if happened.what == connector.FORK:
                known.forked(happened.pid, happened.child)
            elif happened.what == connector.EXIT:
                known.ended(happened.pid)
            elif (found := processes.look(happened.pid)) is None:
                self._gone += 1
            elif (event := self._observer.found(found, began=True)) is not None:
                yield event

    def wait(self) -> None:
        """Until something happened: who is looked for in /proc may be gone soon."""
        self._connector.wait(NAP)

    def count(self, health: CollectorHealth) -> list[dict[str, int]]:
        """Gaps in the numbers of each CPU's messages."""
        health.gone = self._gone
        lost = self._connector.lost
        return [{"process": lost.get(cpu, 0)} for cpu in range(max(lost, default=0) + 1)]

    def close(self) -> None:
        """Listen no longer."""
        self._connector.close()
