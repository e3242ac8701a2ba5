"""Who takes what Sensors tell: one receiver a kind of message, each within the transaction that acknowledges it.

The stream knows nothing of alerts or processes, and they nothing of streams: both meet here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from redoubt.central.store import Connection
from redoubt.errors import UnreadableInput
from redoubt.model.cluster import BaselineSync
from redoubt.model.workload import Part
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb


class ClusterRef(msgspec.Struct, frozen=True):
    """A cluster, as its certificate and Central's own record name it; what a message says of it does not count.

    ``ahead``: by how many nanoseconds its Sensor's clock is ahead of ours. The moments that it tells are put right by it.
    """

    id: UUID
    name: str
    ahead: int = 0


class Spoilt(UnreadableInput):
    """A message that is not what its kind says. It is counted, acknowledged and dropped: sent again it would be no better."""


class Receiver(Protocol):
    """Takes one kind of message."""

    async def take(self, connection: Connection, cluster: ClusterRef, message: pb.FromSensor) -> None:
        """Store what ``message`` comes to.

        ``connection`` is in the transaction that also stores the acknowledgement: whatever is written through it is there
        exactly once, though the message may come again. Raises ``Spoilt`` for content that cannot be read, before it
        writes anything. Any other failure undoes the transaction, and the message comes again.
        """


class Follower(Protocol):
    """Hears of a cluster's objects, within the transaction that stores them."""

    async def changed(
        self, connection: Connection, cluster: ClusterRef, kind: str, objects: Sequence[Part]
    ) -> None:
        """Objects of a kind (``model.cluster.KINDS``) that are new or otherwise."""

    async def removed(
        self, connection: Connection, cluster: ClusterRef, kind: str, ids: Sequence[str]
    ) -> None:
        """Objects of a kind that are gone."""


class BaselineSource(Protocol):
    """Who has the baselines of a cluster."""

    async def whole(self, cluster: UUID) -> BaselineSync:
        """All of them (``BaselineSync.whole`` is set)."""
