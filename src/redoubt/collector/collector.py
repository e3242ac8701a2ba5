"""The collector itself: has the kernel asked in the best way there is, and hands events on.

Blocking, in the thread that calls; who wants an event loop runs it beside one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from threading import Event as Flag

from redoubt.collector import processes, snapshot, sources
from redoubt.collector.afterglow import Afterglow
from redoubt.collector.health import Health
from redoubt.collector.loader import Settings
from redoubt.collector.observer import Observer
from redoubt.collector.sources import Method, Source
from redoubt.model.noderecords import Event, Loss

#: Seconds between two looks at the counters and the clock.
_COUNTING = 1.0
#: Seconds between two looks at all sockets.
RECONCILING = 30.0
#: Seconds of such a look after which what happened meanwhile is handed on.
_PATIENCE = 0.05


@dataclass(slots=True)
class Collector:
    """``tell`` is called with every event, in this thread. ``run`` raises ``Unavailable`` where nothing works."""

    tell: Callable[[Event], None]
    settings: Settings = field(default_factory=Settings)
    method: Method = "auto"
    #: Whether what runs and is connected already is told, and is looked at now and then.
    scrape: bool = True
    #: Seconds for which a flow without connections is open still; None: connections are told, and no flows.
    afterglow: float | None = None
    #: Programs of the probe to run; None for all.
    only: Collection[str] | None = None
    health: Health = field(default_factory=Health)
    #: Called once all that happens is seen.
    ready: Callable[[Health], None] = lambda _: None
    _tell: Callable[[Event], None] = field(default=lambda _: None, init=False)
    _stop: Flag = field(default_factory=Flag, init=False)
    _lost: list[dict[str, int]] = field(default_factory=list, init=False)

    def run(self) -> None:
        """Until ``stop`` is called."""
        observer = Observer(only_containers=self.settings.only_containers)
        glow = None if self.afterglow is None else Afterglow(self.tell, self.afterglow)
        self._tell = self.tell if glow is None else glow
        source = sources.choose(self.method, self.settings, observer, self.health, self.only)
        try:
            if self.scrape:
                for found in processes.scrape():
                    self._hand_on(observer.found(found))
                self._reconcile(source, observer)
            self.ready(self.health)
            counted, reconciled = 0.0, time.monotonic()
            while True:
                last = self._stop.is_set()
                self._drain(source)
                if last or time.monotonic() - counted >= _COUNTING:
                    self._count(source)
                    observer.tick()
                    if glow is not None:
                        glow.expire(observer.now)
                    counted = time.monotonic()
                if last:
                    return
                if self.scrape and time.monotonic() - reconciled >= RECONCILING:
                    self._reconcile(source, observer)
                    reconciled = time.monotonic()
                source.wait(self._stop)
        finally:
            source.close()

    def stop(self) -> None:
        """Have ``run`` tell what is there already, and end. From any thread or signal handler."""
        self._stop.set()

    def _hand_on(self, event: Event | None) -> None:
        if event is not None:
            self.health.events += 1
            self._tell(event)

    def _drain(self, source: Source) -> None:
        tell, told = self._tell, 0
        for event in source.read():
            told += 1
            tell(event)
        self.health.events += told

    def _reconcile(self, source: Source, observer: Observer) -> None:
        """Tell of connections and endpoints what the kernel did not: those from before, and what was lost."""
        drained = time.monotonic()

        def pause() -> None:
            nonlocal drained
            if time.monotonic() - drained > _PATIENCE:
                self._drain(source)
                drained = time.monotonic()

        began = observer.now
        seen = snapshot.take(only_containers=self.settings.only_containers, pause=pause)
        self._drain(source)
        self.health.unreadable = seen.unreadable
        missed = observer.tracker.reconcile(seen, began, observer.now)
        self.health.reconciled += len(missed)
        for event in missed:
            self._hand_on(event)

    def _count(self, source: Source) -> None:
        """Keep the books, and tell what was lost since they were kept last."""
        lost = self.health.lost = source.count(self.health)
        before, self._lost = self._lost, lost
        more = [
            {kind: count - then.get(kind, 0) for kind, count in now.items()}
            for now, then in zip(lost, before + [{}] * len(lost), strict=False)
        ]
        cpus = [sum(each.values()) for each in more]
        if any(cpus):
            kinds = {kind: sum(each[kind] for each in more) for kind in more[0]}
            told = {kind: count for kind, count in kinds.items() if count}
            self.tell(Loss(time=time.time_ns(), lost=told, cpus=cpus))
