"""Which cluster a Sensor is of: what its certificate says, and for certificates of an init bundle the name that it gives.

An init bundle's certificates name no cluster, since there is none yet: whoever has one may add a cluster, and may speak for one
that is there only if it is the same cluster by Kubernetes' own word (the UID of its system namespace).
"""

from __future__ import annotations

from uuid import UUID, uuid4

import msgspec
import structlog

from redoubt.central.clusters.records import Cluster
from redoubt.central.config import Settings
from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.hub.registering import new_record
from redoubt.central.refusals import AlreadyExists, FailedPrecondition, InvalidArgument
from redoubt.central.store import Pool
from redoubt.central.store.clusters import ClusterStore
from redoubt.central.store.hub import HubStore
from redoubt.model.cluster import Identification
from redoubt.wire.identity import ANY_CLUSTER, Identity
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

_log = structlog.get_logger("hub")


class Admission:
    """Knows clusters by their Sensors."""

    def __init__(self, pool: Pool, settings: Settings) -> None:
        self._clusters = ClusterStore(pool, Cluster)
        self._hub = HubStore(pool)
        self._settings = settings

    async def cluster(self, identity: Identity, hello: pb.Hello) -> ClusterRef:
        """The Sensor's cluster; a new one where an init bundle's Sensor gives a name that is not there.

        Raises ``InvalidArgument``, and ``FailedPrecondition`` for a cluster that is not there any more, or is another one.
        """
        said = identification(hello)
        if identity.identifier != ANY_CLUSTER:
            return await self._certified(identity)
        name = wanted_name(hello.cluster_name)
        found = await self._clusters.named(name)
        if found is None:
            return await self._new(name, identity)
        cluster = ClusterRef(UUID(found.id), found.name)
        before = await self._hub.identification(cluster.id)
        known = msgspec.json.decode(before or "{}", type=Identification).system_namespace_id
        if known and known != said.system_namespace_id:
            raise FailedPrecondition(
                f"{name!r} is another cluster (its kube-system namespace has another UID); delete that one at Central"
                " where it is gone, or have this one take another name"
            )
        return cluster

    async def _certified(self, identity: Identity) -> ClusterRef:
        try:
            identifier = UUID(identity.identifier)
        except ValueError:
            raise InvalidArgument("the certificate names no cluster") from None
        found = await self._clusters.get(identifier)
        if found is None:
            raise FailedPrecondition(f"there is no cluster {identifier}; it was deleted at Central")
        return ClusterRef(identifier, found.name)

    async def _new(self, name: str, identity: Identity) -> ClusterRef:
        identifier = uuid4()
        record = new_record(identifier, name, self._settings, identity.bundle_id)
        try:
            await self._clusters.add(identifier, name, record)
        except AlreadyExists:
            raise FailedPrecondition(f"another Sensor has just added a cluster {name!r}; try again") from None
        _log.info("a cluster was added by its Sensor", cluster=name, bundle=identity.bundle_id)
        return ClusterRef(identifier, name)


def wanted_name(text: str) -> str:
    """A name that a cluster may have. Raises ``InvalidArgument``."""
    name = text.strip()
    if not 0 < len(name) <= 253 or not name.isprintable():
        raise InvalidArgument("a cluster's name has at most 253 printable characters")
    return name


def identification(hello: pb.Hello) -> Identification:
    """What the cluster says of itself. Raises ``InvalidArgument``."""
    try:
        return msgspec.json.decode(hello.identification or b"{}", type=Identification)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"the cluster's identification cannot be read: {error}") from None
