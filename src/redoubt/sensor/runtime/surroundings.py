"""What runtime detection asks of the rest of the Sensor, as protocols: who is who in the cluster, and what policies need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from redoubt.model.cluster import Enforcement
from redoubt.model.workload import Deployment, Surroundings
from redoubt.policies import ImagePart, PolicySet
from redoubt.wire.proto.redoubt.v1.sensors_pb2 import FromSensor


class Place(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A container of a pod. ``container_name`` is empty where the pod's status does not tell of it yet."""

    deployment_id: str
    namespace: str = ""
    #: The pod's name, as ``ProcessIndicator.pod_id``.
    pod: str = ""
    pod_uid: str = ""
    container_name: str = ""
    #: The image's digest, ``sha256:…``; empty where it is not known.
    image_id: str = ""
    #: Whether the container is only the likely one: of the pod's sandbox, too, nothing but the pod is known.
    guessed: bool = False


class Workloads(Protocol):
    """The cluster's objects. All answers are from memory."""

    def container(self, container_id: str, pod_uid: str = "") -> Place | None:
        """By the runtime's identifier (64 hexadecimal digits), running or ended; its pod's UID where that is known."""

    def pod(self, uid: str, *, late: bool = False) -> Place | None:
        """By UID; with a container's name only where the pod has but one, of which its status does not tell yet.

        ``late``: even if it does. What it told of was another run of it, or nothing else will be known.
        """

    def addressed(self, address: str, port: int) -> Sequence[tuple[str, int]]:
        """Identifiers of the deployments behind an address: a pod's (not on the host's network), or a service's own.

        With the port of theirs that ``port`` leads to.
        """

    def deployment(self, identifier: str) -> Deployment | None:
        """One of them."""


class Judging(Protocol):
    """What policies are asked with. All answers are from memory."""

    @property
    def policies(self) -> PolicySet:
        """Those that are enabled now."""

    @property
    def cluster(self) -> tuple[str, str]:
        """The cluster's identifier and name."""

    def parts(self, deployment: Deployment) -> Sequence[ImagePart | None]:
        """What they make of its containers' images; None for one of which nothing is known yet."""

    def around(self, deployment: Deployment) -> Surroundings:
        """What its description does not say."""

    def in_namespace(self, namespace: str) -> Surroundings:
        """The same of a namespace, for audit events."""


class Enforcing(Protocol):
    """Does what policies ask for. Never waits."""

    def enforce(self, asked: Enforcement) -> None:
        """Have it done some time soon."""


class Outgoing(Protocol):
    """The way to Central."""

    async def put(self, *messages: FromSensor) -> None:
        """Returns once all are on the disk: then they arrive, sooner or later. Raises ``RedoubtError`` where they cannot."""
