"""What a Sensor decides by: config, policies, baselines, what is known; whole when it connects, and then what changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import msgspec
import structlog

from redoubt.central.clusters.records import Cluster, config
from redoubt.central.hub import portions
from redoubt.central.hub.receiving import BaselineSource
from redoubt.central.store import Pool
from redoubt.central.store.hub import HubStore, Look
from redoubt.central.store.objects import ObjectStore
from redoubt.central.store.policies import PolicyStore
from redoubt.model.cluster import BaselineSync, DelegatedRegistryConfig
from redoubt.policies.policy import written
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

#: Objects in a message.
_KNOWN = 2000
_log = structlog.get_logger("hub")
_delegations = msgspec.json.Decoder(DelegatedRegistryConfig)
_records = msgspec.json.Decoder(Cluster)


class NoBaselines:
    """There are none."""

    async def whole(self, cluster: UUID) -> BaselineSync:
        """See ``BaselineSource``."""
        return BaselineSync(whole=True)


class Told:
    """What the Sensor of one cluster was told last."""

    def __init__(
        self, pool: Pool, baselines: BaselineSource, cluster: UUID, holder: UUID, welcome: pb.Welcome
    ) -> None:
        self._hub = HubStore(pool)
        self._policies = PolicyStore(pool)
        self._objects = ObjectStore(pool)
        self._baselines = baselines
        self._cluster = cluster
        self._holder = holder
        self._welcome = welcome
        self._config = b""
        self._revision: tuple[int, int] | None = None
        #: Whether the Sensor was told all, in its order: what is otherwise since comes after that.
        self._all = False

    async def first(self) -> AsyncIterator[pb.ToSensor]:
        """All of it."""
        yield pb.ToSensor(welcome=self._welcome)
        look = await self._hub.look(self._cluster, self._holder)
        if look is not None:
            for message in await self._others(look):
                yield message
        baselines = await self._baselines.whole(self._cluster)
        for portion in portions.baselines(baselines):
            yield pb.ToSensor(baselines=pb.Baselines(baselines=portion))
        known = await self._objects.known(self._cluster)
        for at in range(0, max(len(known), 1), _KNOWN):
            part = (
                pb.Known.Object(kind=each.kind, id=each.id, hash=each.hash)
                for each in known[at : at + _KNOWN]
            )
            yield pb.ToSensor(known=pb.Known(objects=part, whole=at + _KNOWN >= len(known)))
        self._all = True

    async def changed(self, look: Look) -> list[pb.ToSensor]:
        """Config and policies, where they are others than were told last; nothing before all was told."""
        return await self._others(look) if self._all else []

    async def _others(self, look: Look) -> list[pb.ToSensor]:
        messages = []
        record = _records.decode(look.record)
        delegated = _delegations.decode(look.delegation or "{}")
        told = msgspec.json.encode(config(record, delegated, look.networks))
        if told != self._config:
            messages.append(pb.ToSensor(config=pb.Config(config=told)))
            self._config = told
        revision = (look.policies, look.policies_number)
        if revision != self._revision:
            messages.append(pb.ToSensor(policies=await self._enabled(look.policies)))
            self._revision = revision
        return messages

    async def _enabled(self, revision: int) -> pb.Policies:
        enabled = [written(each) for each in await self._policies.all() if not each.disabled]
        told, left_out = portions.policies(enabled)
        if left_out:
            _log.error("policies are too large to be told to Sensors", number=left_out)
        return pb.Policies(revision=revision, policies=told)
