"""How the cluster's services are, for Central: every 30 seconds, and when Central has just been connected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

import redoubt
from redoubt.model.cluster import Health, ServiceHealth
from redoubt.wire import clocks
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

if TYPE_CHECKING:
    from redoubt.sensor.service import Sensor

#: Characters of a problem, and problems, that are told.
_LONGEST, _MOST = 500, 20


class HealthReport:
    """Puts together what the parts of a Sensor know. ``collectors`` and ``dropped`` are for the parts that others bring."""

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        #: How the Collectors are: set by whoever serves them.
        self.collectors: Callable[[], ServiceHealth] = ServiceHealth
        #: What else was lost, by kind.
        self.dropped: list[Callable[[], dict[str, int]]] = []

    async def run(self, interval: float) -> None:
        """For ever."""
        while True:
            self.say()
            await asyncio.sleep(interval)

    def say(self) -> None:
        """Tell Central now."""
        content = msgspec.json.encode(self.now())
        self._sensor.tell(pb.FromSensor(health=pb.ClusterHealth(health=content), clock=clocks.now()))

    def now(self) -> Health:
        """As it is."""
        sensor = self._sensor
        return Health(
            sensor=self._own(),
            collector=self.collectors(),
            admission=self._admission(),
            scanner=sensor.scanning.health,
            dropped=self.lost(),
            spooled=sensor.spool.waiting,
            admission_figures=tuple(sensor.admissions.figures.values()),
            certificates=sensor.renewal.ends(),
        )

    def _own(self) -> ServiceHealth:
        sensor = self._sensor
        problems = [*sensor.observer.problems]
        problems += [
            each for each in (sensor.spool.problem, sensor.admission.problem, sensor.problem) if each
        ]
        if sensor.link is not None and (ahead := sensor.link.clock.ahead):
            problems.append(f"the Sensor's clock is {clocks.told(ahead)} of Central's")
        problems += sensor.renewal.problems()
        if spoilt := sensor.observer.spoilt:
            problems.append(f"{spoilt} objects of the cluster could not be read")
        if sensor.enforcer.failed:
            problems.append(f"{sensor.enforcer.failed} enforcements could not be done")
        if not sensor.observer.ready.is_set():
            problems.append("not all objects of the cluster are known yet")
        return ServiceHealth(
            status="DEGRADED" if problems else "HEALTHY",
            desired=1,
            ready=1,
            version=redoubt.__version__,
            problems=tuple(each[:_LONGEST] for each in problems[:_MOST]),
        )

    def _admission(self) -> ServiceHealth:
        """Those that watch for settings here."""
        watching = len(self._sensor.admissions.watching)
        status = "HEALTHY" if watching else "UNAVAILABLE"
        problems = tuple(
            f"{name}: its clock is {clocks.told(ahead)} of the Sensor's"[:_LONGEST]
            for name, ahead in self._sensor.admissions.ahead.items()
        )
        return ServiceHealth(
            status="DEGRADED" if watching and problems else status,
            desired=watching,
            ready=watching,
            problems=problems[:_MOST],
        )

    def lost(self) -> dict[str, int]:
        """What was lost for want of room since the start, by kind."""
        sensor = self._sensor
        found: dict[str, int] = dict(sensor.spool.dropped)
        others = [each() for each in self.dropped]
        for each in (
            *others,
            {} if sensor.link is None else sensor.link.lost,
            {"alerts cut": sensor.detector.cut},
        ):
            for kind, count in each.items():
                found[kind] = found.get(kind, 0) + count
        return {kind: count for kind, count in found.items() if count}
