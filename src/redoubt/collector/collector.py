"""The collector itself: has the kernel asked in the best way there is, and hands events on.

Blocking, in the thread that calls; who wants an event loop runs it beside one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from threading import Event as Flag

from redoubt.collector import processes, snapshot
from redoubt.collector.events import Event, Loss
from redoubt.collector.health import Health
from redoubt.collector.loader import KINDS, Counts, Probe, Settings
from redoubt.collector.observer import Observer

#: Seconds between two looks into the ring: waking for each record costs ten times as much.
NAP = 0.05
#: Seconds between two looks at the counters and the clock.
_COUNTING = 1.0
#: Seconds between two looks at all sockets.
RECONCILING = 30.0


@dataclass(slots=True)
class Collector:
    """``tell`` is called with every event, in this thread. Raises ``Unavailable`` from ``run`` where nothing works."""

    tell: Callable[[Event], None]
    settings: Settings = field(default_factory=Settings)
    #: Whether what runs already is told, at first.
    scrape: bool = True
    #: Programs of the probe to run; None for all.
    only: Collection[str] | None = None
    health: Health = field(default_factory=Health)
    #: Called once all that happens is seen.
    ready: Callable[[Health], None] = lambda _: None
    _stop: Flag = field(default_factory=Flag, init=False)
    _lost: list[dict[str, int]] = field(default_factory=list, init=False)

    def run(self) -> None:
        """Until ``stop`` is called."""
        probe = Probe(self.settings, self.only)
        try:
            self.health.method = "core_bpf"
            observer = Observer(only_containers=self.settings.only_containers)
            if self.scrape:
                self._scrape(observer)
                self._reconcile(probe, observer)
            self.ready(self.health)
            counted, reconciled = 0.0, time.monotonic()
            while True:
                last = self._stop.is_set()
                self._drain(probe, observer)
                if last or time.monotonic() - counted >= _COUNTING:
                    self._count(probe.counts(), observer)
                    observer.tick()
                    counted = time.monotonic()
                if last:
                    return
                if self.scrape and time.monotonic() - reconciled >= RECONCILING:
                    self._reconcile(probe, observer)
                    reconciled = time.monotonic()
                self._stop.wait(NAP)
        finally:
            probe.close()

    def stop(self) -> None:
        """Have ``run`` tell what is there already, and end. From any thread or signal handler."""
        self._stop.set()

    def _scrape(self, observer: Observer) -> None:
        for found in processes.scrape():
            if (event := observer.found(found)) is not None:
                self.health.events += 1
                self.tell(event)

    def _reconcile(self, probe: Probe, observer: Observer) -> None:
        """Tell of connections and endpoints what the kernel did not: those from before, and what was lost."""
        drained = time.monotonic()

        def pause() -> None:
            nonlocal drained
            if time.monotonic() - drained > NAP:
                self._drain(probe, observer)
                drained = time.monotonic()

        began = observer.now
        seen = snapshot.take(only_containers=self.settings.only_containers, pause=pause)
        self._drain(probe, observer)
        self.health.unreadable = seen.unreadable
        missed = observer.tracker.reconcile(seen, began, observer.now)
        self.health.reconciled += len(missed)
        self.health.events += len(missed)
        for event in missed:
            self.tell(event)

    def _drain(self, probe: Probe, observer: Observer) -> None:
        take, tell, told = observer.take, self.tell, 0
        for record in probe.ring.records():
            event = take(record)
            if event is not None:
                told += 1
                tell(event)
        self.health.events += told

    def _count(self, counts: Counts, observer: Observer) -> None:
        """Keep the books, and tell what was lost since they were kept last."""
        health = self.health
        health.lost, health.missed, health.made = counts.lost, counts.missed, counts.made
        health.spoilt, health.unnamed = observer.spoilt, observer.unnamed
        before = self._lost or [dict.fromkeys(KINDS.values(), 0) for _ in counts.lost]
        cpus = [sum(now.values()) - sum(then.values()) for now, then in zip(counts.lost, before, strict=True)]
        if any(cpus):
            kinds = {
                kind: difference
                for kind in KINDS.values()
                if (difference := sum(n[kind] - t[kind] for n, t in zip(counts.lost, before, strict=True)))
            }
            self.tell(Loss(time=time.time_ns(), lost=kinds, cpus=cpus))
        self._lost = counts.lost
