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
from redoubt.central.store.scan_failures import FailureStore
from redoubt.errors import RedoubtError, UsageError
from redoubt.indexer.sources.reference import of_openshift, parse_reference
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
        self._failures = FailureStore(pool)

    async def chosen(self, name: str, cluster: str) -> UUID | None:
        """The cluster that scans an image; None for Central. ``cluster``: the one that is asked for, by name or identifier.

        Raises ``NotFound`` where there is no such cluster, ``FailedPrecondition`` for an image that each cluster has another of.
        """
        if cluster:
            return await self.named(cluster)
        try:
            reference = parse_reference(name)
        except UsageError:
            return None  # whoever scans says what is wrong with it
        if of_openshift(reference):
            raise FailedPrecondition(
                f"{reference} is in OpenShift's own registry, which only its cluster reaches; say which one it is (cluster)"
            )
        return await self._delegation.of(str(reference))

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

    async def scan(
        self, cluster: UUID, name: str, *, force: bool, namespace: str, ad_hoc: bool = True
    ) -> str:
        """Have a cluster scan an image; its digest, under which it is kept now. ``ad_hoc``: somebody asks for it by name.

        Raises ``InvalidArgument`` for a name that is none, ``FailedPrecondition`` where the Sensor is away or could not or
        brought what may not be kept, and ``Unavailable`` where it does not answer. A failure is kept with the image.
        """
        try:
            reference = parse_reference(name)
        except UsageError as error:
            raise InvalidArgument(str(error)) from None
        scan = pb.ScanImage(image_name=str(reference), force=force, namespace=namespace, ad_hoc=ad_hoc)
        try:
            digest = await self._scanned(cluster, scan)
        except RedoubtError as error:
            await self._failures.failed(str(reference), str(cluster), reference.digest, str(error))
            raise
        await self._failures.over(str(reference))
        return digest

    async def _scanned(self, cluster: UUID, scan: pb.ScanImage) -> str:
        key = cluster, scan.image_name
        began = await self._pool.fetchval(
            "INSERT INTO asked_scans (cluster, reference, until) VALUES ($1, $2, now() + make_interval(secs => $3))"
            " ON CONFLICT (cluster, reference) DO UPDATE SET until = greatest(asked_scans.until, excluded.until)"
            " RETURNING now()",
            *key,
            self._patience,
        )
        await self._pool.execute("DELETE FROM asked_scans WHERE until < now()")
        await self._requests.request(cluster, pb.Request(scan_image=scan), patience=self._patience)
        row = await self._pool.fetchrow(
            "SELECT digest, kept FROM asked_scans WHERE cluster = $1 AND reference = $2 AND brought >= $3",
            *key,
            began,
        )
        if row is None:
            raise Unavailable("the cluster's Sensor answered, and brought nothing of the image")
        if not row["kept"]:
            raise FailedPrecondition(
                f"the cluster's Indexer says that {scan.image_name} is {row['digest']}, which is known by other names;"
                " what a cluster says of an image does not count for others: have Central scan it"
            )
        return str(row["digest"])

    async def brought(self, cluster: UUID, reference: str, digest: str, *, kept: bool) -> None:
        """Note what a cluster brought, where somebody asked for it."""
        await self._pool.execute(
            "UPDATE asked_scans SET brought = clock_timestamp(), digest = $3, kept = $4"
            " WHERE cluster = $1 AND reference = $2 AND until > now()",
            cluster,
            reference,
            digest,
            kept,
        )

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
