"""Scans that a cluster is asked for: by name on the command line, or since the administrator has it scan such images.

The cluster's Sensor has its own Indexer look at the image, brings what that found, and then answers; so when the answer is
here, the image is kept, and says whose Indexer it was.
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

import msgspec

from redoubt.central.clusters.records import Cluster
from redoubt.central.delegation.choosing import Delegation
from redoubt.central.refusals import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from redoubt.central.store import Pool
from redoubt.central.store.clusters import ClusterStore
from redoubt.errors import UsageError
from redoubt.indexer.sources.reference import parse_reference
from redoubt.model.workload import Deployment
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

#: Seconds that a Sensor has to say more of workloads.
_ENHANCE = 30.0
_deployments = msgspec.json.Decoder(list[Deployment], strict=False)


class Requests(Protocol):
    """``hub.pushing.Pusher``."""

    async def request(self, cluster: UUID, request: pb.Request, *, patience: float) -> bytes:
        """What the cluster's Sensor answers."""


class Delegating:
    """Asks clusters' Sensors. ``patience``: seconds that a scan may take."""

    def __init__(self, pool: Pool, delegation: Delegation, requests: Requests, patience: float) -> None:
        self._pool = pool
        self._clusters = ClusterStore(pool, Cluster)
        self._delegation = delegation
        self._requests = requests
        self._patience = patience

    async def chosen(self, name: str, cluster: str) -> UUID | None:
        """The cluster that scans an image; None for Central. ``cluster``: the one that is asked for, by name or identifier.

        Raises ``NotFound`` where there is no such cluster.
        """
        if cluster:
            return await self.named(cluster)
        try:
            return await self._delegation.of(str(parse_reference(name)))
        except UsageError:
            return None  # whoever scans says what is wrong with it

    async def named(self, cluster: str) -> UUID:
        """A cluster by its name or identifier. Raises ``NotFound``."""
        found = await self._clusters.named(cluster)
        if found is None:
            try:
                found = await self._clusters.get(UUID(cluster))
            except ValueError:
                found = None
        if found is None:
            raise NotFound(f"there is no cluster {cluster[:100]!r}")
        return UUID(found.id)

    async def scan(self, cluster: UUID, name: str, *, force: bool, namespace: str) -> str:
        """Have a cluster scan an image; its digest, under which it is kept now.

        Raises ``InvalidArgument`` for a name that is none, ``FailedPrecondition`` where the Sensor is away or could not, and
        ``Unavailable`` where it does not answer.
        """
        try:
            reference = str(parse_reference(name))
        except UsageError as error:
            raise InvalidArgument(str(error)) from None
        await self._pool.execute(
            "INSERT INTO asked_scans (cluster, reference, until) VALUES ($1, $2, now() + make_interval(secs => $3))"
            " ON CONFLICT (cluster, reference) DO UPDATE SET until = greatest(asked_scans.until, excluded.until)",
            cluster,
            reference,
            self._patience,
        )
        await self._pool.execute("DELETE FROM asked_scans WHERE until < now()")
        scan = pb.ScanImage(image_name=reference, force=force, namespace=namespace)
        await self._requests.request(cluster, pb.Request(scan_image=scan), patience=self._patience)
        digest = await self._pool.fetchval("SELECT image FROM image_names WHERE name = $1", reference)
        if digest is None:
            raise Unavailable("the cluster's Sensor answered, and brought nothing of the image")
        return str(digest)

    async def asked(self, cluster: UUID, reference: str) -> bool:
        """Whether somebody asked the cluster for a scan of an image and may still wait."""
        return bool(
            await self._pool.fetchval(
                "SELECT true FROM asked_scans WHERE cluster = $1 AND reference = $2 AND until > now()",
                cluster,
                reference,
            )
        )

    async def enhanced(self, cluster: str, deployments: list[Deployment]) -> list[Deployment]:
        """Workloads as a cluster would know them. Raises as ``scan``, and ``NotFound``."""
        identifier = await self.named(cluster)
        request = pb.Request(enhance=msgspec.json.encode(deployments))
        data = await self._requests.request(identifier, request, patience=_ENHANCE)
        try:
            found = _deployments.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise FailedPrecondition(f"what the cluster's Sensor answered cannot be read: {error}") from None
        if len(found) != len(deployments):
            raise FailedPrecondition("the cluster's Sensor answered of other workloads than it was asked for")
        return found
