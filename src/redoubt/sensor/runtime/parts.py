"""Runtime detection as a part of the Sensor: put together over its inventory, detector and spool, with what it serves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

from redoubt.model.cluster import BaselineSync, ClusterConfig, ServiceHealth
from redoubt.sensor.config import Settings
from redoubt.sensor.detection.detector import Detector
from redoubt.sensor.detection.enforcement import Enforcer
from redoubt.sensor.graph.inventory import Inventory
from redoubt.sensor.identity.peers import Peers
from redoubt.sensor.runtime.audit import Auditing
from redoubt.sensor.runtime.cluster import Cluster, Judge, Spooled
from redoubt.sensor.runtime.detection import Runtime, Session
from redoubt.sensor.serving.audit import AuditWebhook
from redoubt.sensor.serving.collectors import CollectorService
from redoubt.sensor.serving.nodes import NodeService
from redoubt.sensor.serving.positions import Positions
from redoubt.sensor.serving.probes import Probes, from_central
from redoubt.sensor.stream.remembered import Remembered
from redoubt.sensor.stream.spool import Spool
from redoubt.wire import clocks
from redoubt.wire.calls import Servable
from redoubt.wire.material import Files
from redoubt.wire.proto.redoubt.v1.secured_pb2 import CollectorConfig


class RuntimePart:
    """``services`` and ``webhook`` are to be served, ``run`` is to be run."""

    def __init__(
        self,
        settings: Settings,
        inventory: Inventory,
        detector: Detector,
        enforcer: Enforcer,
        spool: Spool,
        files: Files,
        peers: Peers,
    ) -> None:
        self._inventory = inventory
        self._config = CollectorConfig(connections_per_minute=settings.connections_per_minute)
        judge, outgoing = Judge(detector, inventory), Spooled(spool)
        self.runtime = Runtime(Cluster(inventory), judge, enforcer, outgoing, grace=settings.container_grace)
        self.auditing = Auditing(judge)
        self._collectors = CollectorService(
            self.runtime, lambda: self._config, Probes(from_central(settings.central, files)), peers
        )
        self.positions = Positions(settings.data / "state" / "audit-positions.json")
        self.services: list[Servable] = [
            self._collectors,
            NodeService(self.auditing, outgoing, self.positions),
        ]
        self.webhook = AuditWebhook(self.auditing, outgoing, settings.audit_webhook_token)

    async def run(self, ready: asyncio.Event) -> None:
        """For ever; from when the cluster's objects are known: before, every container would be a stranger's."""
        await ready.wait()
        await self.runtime.run()

    def configure(self, config: ClusterConfig) -> None:
        """What Central sets for the cluster."""
        self.auditing.enabled = not config.disable_audit_logs
        self.runtime.configure(config.networks, apart=config.external_ips)
        now = CollectorConfig(
            external_ips=config.external_ips,
            networks=config.networks,
            connections_per_minute=self._config.connections_per_minute,
        )
        if now != self._config:
            self._config = now
            self._collectors.changed()

    def remember(self, remembered: Remembered) -> None:
        """Baselines that Central said before this Sensor began."""
        self.runtime.baselines.take(
            BaselineSync(
                whole=True,
                processes=tuple(remembered.processes.values()),
                networks=tuple(remembered.networks.values()),
            )
        )

    def health(self) -> ServiceHealth:
        """How the Collectors are."""
        nodes = len([kind for kind, _ in self._inventory.keys() if kind == "node"])  # noqa: SIM118  # no dict
        return collectors_health(self.runtime.sessions, nodes)

    def dropped(self) -> dict[str, int]:
        """What was lost, by kind."""
        lost = dict(self.runtime.dropped)
        if self.auditing.spoilt:
            lost["audit events unreadable"] = self.auditing.spoilt
        return lost


def collectors_health(sessions: Iterable[Session], nodes: int) -> ServiceHealth:
    """Of all Collectors together. ``nodes``: how many the cluster has."""
    there = [each for each in sessions if each.tell is not None]
    methods = Counter(each.health.method for each in there)
    problems = [f"{each.node}: {each.health.degraded}" for each in there if each.health.degraded]
    problems += [
        f"{each.node}: its clock is {clocks.told(each.ahead)} of the Sensor's" for each in there if each.ahead
    ]
    problems += _counted(there, _LOSSES)
    away = max(0, nodes - len(there))
    if there and away:
        problems.append(f"{away} of {nodes} nodes have no Collector that is connected")
    return ServiceHealth(
        status="UNAVAILABLE" if not there else "DEGRADED" if problems else "HEALTHY",
        desired=max(nodes, len(there)),
        ready=len(there),
        version=", ".join(sorted({each.version for each in there}))[:200],
        method=", ".join(sorted(methods)),
        problems=tuple(each[:500] for each in [*problems[:20], *_counted(there, _NOTICED)]),
    )


def _counted(sessions: Iterable[Session], counts: dict[str, Callable[[Session], int]]) -> list[str]:
    """What Collectors counted since they began."""
    totals = {words: sum(count(each) for each in sessions) for words, count in counts.items()}
    return [f"{total} {words}" for words, total in totals.items() if total]


_LOSSES: dict[str, Callable[[Session], int]] = {
    "records found no room in the ring of a node": lambda each: sum(
        sum(cpu.values()) for cpu in each.health.lost
    ),
    "events found no room while they waited for the Sensor": lambda each: sum(each.health.dropped.values()),
    "records could not be read": lambda each: each.health.spoilt,
}
#: What is as it should be, and worth knowing: in place of a program that is not run another one is.
_NOTICED: dict[str, Callable[[Session], int]] = {
    "flows were not told because their container had too many in a minute": lambda each: each.health.limited,
    "times the kernel did not run a program of the probe": lambda each: sum(each.health.missed.values()),
}
