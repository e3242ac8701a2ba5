"""The collector itself: has the kernel asked in the best way there is, and hands events on.

Blocking, in the thread that calls; who wants an event loop runs it beside one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import msgspec

from redoubt.collector import processes, snapshot, sources
from redoubt.collector.afterglow import Afterglow
from redoubt.collector.loader import Settings
from redoubt.collector.observer import Observer
from redoubt.collector.outside import Limit, Outside
from redoubt.collector.sources import Method, Source
from redoubt.model.noderecords import CollectorHealth, Connection, Endpoint, Event, Loss

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
    #: Whether addresses outside of the cluster are told as one, unless ``configure`` says otherwise.
    outside: bool = False
    #: Programs of the probe to run; None for all.
    only: Collection[str] | None = None
    #: The probe, where it is not this program's own.
    code: bytes | None = None
    health: CollectorHealth = field(default_factory=CollectorHealth)
    #: Called once all that happens is seen.
    ready: Callable[[CollectorHealth], None] = lambda _: None
    _tell: Callable[[Event], None] = field(default=lambda _: None, init=False)
    _stop: bool = field(default=False, init=False)
    _lost: list[dict[str, int]] = field(default_factory=list, init=False)
    _asked: deque[Callable[[], None]] = field(default_factory=deque, init=False)
    _observer: Observer = field(init=False)
    _glow: Afterglow | None = field(default=None, init=False)
    _outside: Outside | None = field(default=None, init=False)
    _limit: Limit = field(init=False)

    def __post_init__(self) -> None:
        """Put together what events go through: addresses outside → flows → how many → ``tell``."""
        self._observer = Observer(only_containers=self.settings.only_containers)
        self._limit = Limit(self.tell)
        self._tell = self.tell
        if self.afterglow is not None:
            self._tell = self._glow = Afterglow(self._limit, self.afterglow)
        if self.outside:
            self._tell = self._outside = Outside(self._tell)

    def run(self) -> None:
        """Until ``stop`` is called."""
        observer, glow = self._observer, self._glow
        source = sources.choose(self.method, self.settings, observer, self.health, self.only, self.code)
        try:
            if self.scrape:
                self._scrape()
                self._reconcile(source, observer)
            self.ready(self.health)
            counted, reconciled = 0.0, time.monotonic()
            while True:
                last = self._stop
                self._drain(source)
                while self._asked:
                    self._asked.popleft()()
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
                source.wait()
        finally:
            source.close()

    def stop(self) -> None:
        """Have ``run`` tell what is there already, and end. From any thread or signal handler.

        No ``threading.Event``: its lock would be waited for forever by a handler that interrupts a wait for it.
        """
        self._stop = True

    def again(self) -> None:
        """Have all that runs, stands and listens told once more. From any thread."""
        self._asked.append(self._again)

    def configure(self, *, apart: bool, networks: Iterable[str], a_minute: int) -> None:
        """How addresses outside are told (``Outside.configure``), and flows of a container in a minute. From any thread."""
        self._asked.append(lambda: self._configure(apart, tuple(networks), a_minute))

    def _again(self) -> None:
        self._scrape()
        for told in self._observer.tracker.standing():
            if self._glow is None or isinstance(told, Endpoint):
                self._hand_on(msgspec.structs.replace(told, scraped=True))
        if self._glow is not None:
            self._glow.again()

    def _configure(self, apart: bool, networks: tuple[str, ...], a_minute: int) -> None:
        self._limit.a_minute = a_minute
        wanted = (apart, networks)
        if self._outside is None or self._outside.configured == wanted:
            return
        self._outside.configure(apart=apart, networks=networks)
        if self._glow is not None:  # what flows are called by has changed
            self._glow.clear(self._observer.now)
            for told in self._observer.tracker.standing():
                if isinstance(told, Connection):
                    self._hand_on(msgspec.structs.replace(told, scraped=True))

    def _scrape(self) -> None:
        for found in processes.scrape():
            self._hand_on(self._observer.found(found))

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
        self._limit.flush(self._observer.now)
        self.health.limited = self._limit.limited
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
