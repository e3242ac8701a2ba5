"""The rest of the Sensor as runtime detection sees it: the inventory, the detector and the spool behind its protocols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
import structlog

from redoubt.model.cluster import ContainerInstance, Pod
from redoubt.model.workload import Deployment, Surroundings
from redoubt.policies import ImagePart, PolicySet
from redoubt.sensor.conversion.objects import SeenService
from redoubt.sensor.graph.inventory import Inventory
from redoubt.sensor.runtime.surroundings import Place
from redoubt.sensor.stream.spool import Spool, kind_of
from redoubt.wire.failures import Unavailable
from redoubt.wire.proto.redoubt.v1.sensors_pb2 import FromSensor

_log = structlog.get_logger("sensor.runtime")


class Cluster:
    """``Workloads`` over the inventory."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    def container(self, container_id: str, pod_uid: str = "") -> Place | None:
        """See ``Workloads``."""
        known = self._inventory.containers.get(container_id)
        pod = self._inventory.pod(known[0] if known else pod_uid)
        if pod is None or not pod.deployment_id:
            return None
        for each in (*pod.live_instances, *pod.terminated_instances):
            if each.container_id == container_id:
                return _place(pod, each)
        return None

    def pod(self, uid: str, *, late: bool = False) -> Place | None:
        """See ``Workloads``."""
        pod = self._inventory.pod(uid)
        if pod is None or not pod.deployment_id:
            return None
        # What the pod itself has: sidecars are in no template, and neither is what ``kubectl debug`` puts into it.
        names = self._inventory.containers_of(uid)
        told = pod.live_instances or pod.terminated_instances
        if len(names) != 1 or (told and not late):
            return _place(pod, ContainerInstance())
        found = _place(pod, ContainerInstance(container_name=names[0]))
        return msgspec.structs.replace(found, guessed=True)

    def addressed(self, address: str, port: int) -> Sequence[tuple[str, int]]:
        """See ``Workloads``."""
        if pod := self._inventory.pod_ips.get(address):
            deployment = self._inventory.deployment_of(pod)
            return [(deployment, port)] if deployment else []
        service = self._inventory.service_at(address)
        seen = self._inventory.ways.service(service) if service else None
        if seen is None:
            return []
        behind = self._inventory.selected(seen.service.namespace, [seen.service.selector])
        return [(each, self._target(seen, port, each)) for each in behind]

    def _target(self, seen: SeenService, port: int, workload: str) -> int:
        """Which port of a workload's a service's leads to: by number, or by the name that the workload gives it."""
        target = next((each.target for each in seen.targets if each.port == port), 0)
        if isinstance(target, int):
            return target or port
        deployment = self._inventory.deployment(workload)
        named = (
            (each.container_port for each in deployment.ports if each.name == target) if deployment else ()
        )
        return next(iter(named), port)

    def deployment(self, identifier: str) -> Deployment | None:
        """See ``Workloads``."""
        return self._inventory.deployment(identifier)


class Detecting(Protocol):
    """The detector, as far as it is asked here."""

    @property
    def policies(self) -> PolicySet: ...

    def parts(self, deployment: Deployment) -> Sequence[ImagePart | None]: ...

    def around(self, deployment: Deployment) -> Surroundings: ...


class Judge:
    """``Judging`` over the detector and the inventory."""

    def __init__(self, detector: Detecting, inventory: Inventory) -> None:
        self._detector = detector
        self._inventory = inventory

    @property
    def policies(self) -> PolicySet:
        """See ``Judging``."""
        return self._detector.policies

    @property
    def cluster(self) -> tuple[str, str]:
        """See ``Judging``."""
        return self._inventory.cluster_id, self._inventory.cluster_name

    def parts(self, deployment: Deployment) -> Sequence[ImagePart | None]:
        """See ``Judging``."""
        return self._detector.parts(deployment)

    def around(self, deployment: Deployment) -> Surroundings:
        """See ``Judging``."""
        return self._detector.around(deployment)

    def in_namespace(self, namespace: str) -> Surroundings:
        """See ``Judging``."""
        found = self._inventory.namespace(namespace)
        return Surroundings(
            cluster_labels=self._inventory.cluster_labels,
            namespace_labels={} if found is None else found.labels,
        )


class Spooled:
    """``Outgoing`` over the spool."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    async def put(self, *messages: FromSensor) -> None:
        """See ``Outgoing``. What is too large for Central is left out, and counted with what is lost."""
        last = 0
        for each in messages:
            number = self._spool.append(kind_of(each), each)
            if not self._spool.fits(each):
                _log.error("too large for Central", kind=kind_of(each), bytes=each.ByteSize())
                continue
            if not number and last:  # too much waits for the disk
                await self._spool.durable(last)
                number = self._spool.append(kind_of(each), each)
            if not number:
                raise Unavailable("there is no room in the spool now")
            last = number
        if last:
            await self._spool.durable(last)


def _place(pod: Pod, container: ContainerInstance) -> Place:
    return Place(
        deployment_id=pod.deployment_id,
        namespace=pod.namespace,
        pod=pod.name,
        pod_uid=pod.id,
        container_name=container.container_name,
        image_id=container.image_digest,
    )
