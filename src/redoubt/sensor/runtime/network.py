"""Flows and endpoints of the cluster's containers: what began and ended is told, and policies asked of what began. Pure."""

from __future__ import annotations

from datetime import datetime

from redoubt.model import noderecords
from redoubt.model.cluster import BaselinePeer, EndpointRecord, Entity, FlowRecord
from redoubt.model.happening import NetworkFlow
from redoubt.sensor.runtime.alerting import Gathering
from redoubt.sensor.runtime.baselines import Baselines
from redoubt.sensor.runtime.entities import INTERNAL, Networks
from redoubt.sensor.runtime.flows import EndpointKey, FlowKey, Standing, Teller, endpoint
from redoubt.sensor.runtime.surroundings import Judging, Place, Workloads

_PROTOCOLS = {"tcp": "L4_PROTOCOL_TCP", "udp": "L4_PROTOCOL_UDP"}
#: Seconds in which a node's collector tells what a Sensor before this one did not take any more.
_NEW = 60.0
#: Deployments behind one service that are told apart.
_MOST_BEHIND = 4


class Network:
    """Flows between entities, and ports of deployments."""

    def __init__(self, workloads: Workloads, judging: Judging, baselines: Baselines) -> None:
        self._workloads = workloads
        self._judging = judging
        self._baselines = baselines
        self.networks = Networks()
        self._flows: Standing[FlowKey] = Standing()
        self._endpoints: Standing[EndpointKey] = Standing()
        #: Nodes that this Sensor is only beginning to hear from, and until when that is so.
        self._new: dict[str, float] = {}
        self._ports: dict[EndpointKey, tuple[str, tuple[str, str, str]]] = {}
        #: What is to be told, the last of each.
        self.flows: dict[FlowKey, FlowRecord] = {}
        self.endpoints: dict[EndpointKey, EndpointRecord] = {}

    def flow(
        self, node: str, place: Place, event: noderecords.Flow, alerts: Gathering, now: datetime
    ) -> None:
        """A flow of a container that began or ended."""
        detail = (event.container, event.role, event.remote, event.port, event.protocol, event.network)
        if event.state == "closed":
            # Several, where a service stands for several deployments.
            tellers = [Teller.of(node, *detail, number) for number in range(_MOST_BEHIND)]
            if node in self._new and not any(map(self._flows.knows, tellers)):
                self._unheard(place, event)
            for teller in tellers:
                over = self._flows.closed(teller)
                if over is not None:
                    self._flow_over(over, event.time)
            return
        for number, key in enumerate(self._keys(place, event)):
            new, over = self._flows.opened(key, Teller.of(node, *detail, number), event.time)
            if over is not None:
                self._flow_over(over, event.time)
            if new:
                self.flows[key] = key.record(event.time, None)
                self._judge(key, alerts, now)

    def _keys(self, place: Place, event: noderecords.Flow) -> list[FlowKey]:
        own = Entity(type="DEPLOYMENT", id=place.deployment_id)
        others = self.others(event.remote, event.port)[:_MOST_BEHIND]
        if event.role == "client":
            return [FlowKey(own, other, port, _PROTOCOLS[event.protocol]) for other, port in others]
        return [FlowKey(other, own, event.port, _PROTOCOLS[event.protocol]) for other, _ in others]

    def _unheard(self, place: Place, event: noderecords.Flow) -> None:
        """A flow ended that this Sensor was not told of: the one before it was, and told Central so."""
        for key in self._keys(place, event):
            # Whose an address was is not known where nobody has it now.
            if key not in self._flows and INTERNAL not in (key.source, key.destination):
                self._flow_over(key, event.time)

    def others(self, remote: str, port: int) -> list[tuple[Entity, int]]:
        """Who is at the other end, and at which port there."""
        behind = self._workloads.addressed(remote, port)
        if behind:
            return [(Entity(type="DEPLOYMENT", id=each), target) for each, target in behind]
        return [(self.networks.entity(remote), port)]

    def endpoint(
        self, node: str, place: Place, event: noderecords.Endpoint, process: tuple[str, str, str]
    ) -> None:
        """A port of a container's that is listened on, or no longer."""
        if _loopback(event.address):
            return
        teller = Teller.of(node, event.container, event.protocol, event.address, event.port, event.network)
        if event.state == "closed":
            over = self._endpoints.closed(teller)
            if over is not None:
                self._endpoint_over(over, event.time)
            return
        key = EndpointKey(
            place.deployment_id, place.pod_uid, place.container_name, event.port, _PROTOCOLS[event.protocol]
        )
        new, over = self._endpoints.opened(key, teller, event.time)
        if over is not None:
            self._endpoint_over(over, event.time)
        if new or (process[1] and self._ports.get(key) != (place.pod, process)):
            if not process[1] and key in self._ports:
                process = self._ports[key][1]
            self._ports[key] = (place.pod, process)
            self.endpoints[key] = endpoint(key, place.pod, event.time, None, process)

    def began(self, node: str, now: float, *, anew: bool) -> None:
        """See ``Standing``."""
        if node not in self._flows.nodes:
            self._new[node] = now + _NEW
        self._flows.began(node, now, anew=anew)
        self._endpoints.began(node, now, anew=anew)

    def away(self, node: str, now: float) -> None:
        """See ``Standing``."""
        self._flows.away(node, now)
        self._endpoints.away(node, now)

    def sweep(self, now: float, present: set[str], at: int) -> None:
        """End what nobody tells of any more. ``at``: nanoseconds, the end's time."""
        for node in [node for node, until in self._new.items() if until <= now]:
            del self._new[node]
        for over in self._flows.over(now, present):
            self._flow_over(over, at)
        for port in self._endpoints.over(now, present):
            self._endpoint_over(port, at)

    def cut(self) -> tuple[list[FlowRecord], list[EndpointRecord]]:
        """What is to be told; from now on it is not."""
        flows, self.flows = self.flows, {}
        endpoints, self.endpoints = self.endpoints, {}
        return list(flows.values()), list(endpoints.values())

    def _flow_over(self, key: FlowKey, time: int) -> None:
        before = self.flows.get(key)
        self.flows[key] = key.record(before.seen if before else time, time)

    def _endpoint_over(self, key: EndpointKey, time: int) -> None:
        pod, process = self._ports.pop(key, ("", ("", "", "")))
        before = self.endpoints.get(key)
        self.endpoints[key] = endpoint(key, pod, before.seen if before else time, time, process)

    def _judge(self, key: FlowKey, alerts: Gathering, now: datetime) -> None:
        for own, other, ingress in (
            (key.source, key.destination, False),
            (key.destination, key.source, True),
        ):
            if own.type != "DEPLOYMENT" or (deployment := self._workloads.deployment(own.id)) is None:
                continue
            peer = BaselinePeer(entity=other, port=key.port, protocol=key.protocol, ingress=ingress)
            flow = NetworkFlow(
                src_entity_name=self._name(key.source),
                src_entity_type=key.source.type,
                dst_entity_name=self._name(key.destination),
                dst_entity_type=key.destination.type,
                dst_port=key.port,
                l4_protocol=key.protocol,
                not_in_network_baseline=self._baselines.strange_peer(deployment.id, peer),
            )
            verdict = self._judging.policies.flow(
                deployment,
                self._judging.parts(deployment),
                flow,
                now,
                self._judging.around(deployment),
            )
            for broken in verdict.broken:
                alerts.flow(broken, deployment, flow, now)

    def _name(self, entity: Entity) -> str:
        if entity.type == "DEPLOYMENT":
            deployment = self._workloads.deployment(entity.id)
            return deployment.name if deployment else entity.id
        return entity.id or {"INTERNET": "External Entities"}.get(entity.type, "Internal Entities")


def _loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
