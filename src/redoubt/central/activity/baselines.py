"""Baselines as people change them, and as Sensors are told of them.

Sensors are told those that are locked: others break no policy. What people change is told as soon as it is stored; a Sensor
that connects is given all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import msgspec

from redoubt.central.activity.receiving import PERIOD
from redoubt.central.auth.reach import EVERYWHERE, Reach
from redoubt.central.refusals import NotFound
from redoubt.central.store import Connection, Pool, baselines, network_baselines, risk
from redoubt.central.store.baselines import Baseline, BaselineKey, BaselineStore
from redoubt.central.store.network_baselines import NetworkBaseline, NetworkBaselineStore, Peer
from redoubt.model.cluster import (
    BaselinePeer,
    BaselineSync,
    ContainerBaseline,
    DeploymentNetworkBaseline,
    Entity,
)


class Teller(Protocol):
    """Tells Sensors of baselines that changed; the hub's ``Pusher``."""

    def baselines(self, cluster: UUID, sync: BaselineSync) -> None:
        """Never waits."""


class Failed(msgspec.Struct, frozen=True):
    """A baseline that was not changed, and why."""

    key: BaselineKey
    error: str


class Baselines:
    """All baselines of this Central."""

    def __init__(self, pool: Pool, teller: Teller | None = None, period: timedelta = PERIOD) -> None:
        self.store = BaselineStore(pool)
        self.networks = NetworkBaselineStore(pool)
        self._pool = pool
        self._teller = teller
        self._period = period

    async def whole(self, cluster: UUID) -> BaselineSync:
        """All that a Sensor decides by."""
        return BaselineSync(
            whole=True,
            processes=tuple(await self.store.locked(cluster)),
            networks=tuple(await self.networks.locked(cluster)),
        )

    async def change(
        self,
        keys: Sequence[BaselineKey],
        add: Sequence[str],
        remove: Sequence[str],
        reach: Reach = EVERYWHERE,
    ) -> tuple[list[Baseline], list[Failed]]:
        """Add programs to baselines, and remove others; what is removed is not learned again."""

        async def work(connection: Connection, there: Baseline, now: datetime) -> None:
            if remove:
                await baselines.put_elements(connection, there, remove, now, buried=True)
            if add:
                await baselines.put_elements(connection, there, add, now, buried=False)

        return await self._each(keys, work, reach, make=bool(add))

    async def lock(
        self, keys: Sequence[BaselineKey], reach: Reach = EVERYWHERE, *, locked: bool
    ) -> tuple[list[Baseline], list[Failed]]:
        """Lock or unlock: what is not in a locked one breaks the policies that ask for it."""

        async def work(connection: Connection, there: Baseline, now: datetime) -> None:
            await baselines.set_locked(connection, there, now, locked=locked)

        return await self._each(keys, work, reach)

    async def lock_learned(self, grace: timedelta) -> int:
        """Lock those that are locked by themselves, ``grace`` after their learning ended; how many."""

        async def work(connection: Connection, there: Baseline, now: datetime) -> None:
            await baselines.lock_learned(connection, there, now)

        return len((await self._each(await self.store.learned(grace), work, EVERYWHERE))[0])

    async def forget(self, keys: Sequence[BaselineKey], reach: Reach = EVERYWHERE) -> int:
        """Have baselines learned anew; how many."""

        async def work(connection: Connection, there: Baseline, now: datetime) -> None:
            await baselines.forget(connection, there, now, self._period)

        return len((await self._each(keys, work, reach))[0])

    async def network(self, deployment: str, reach: Reach = EVERYWHERE) -> NetworkBaseline:
        """A deployment's. Raises ``NotFound``."""
        found = await self.networks.get(deployment, reach)
        if found is None:
            raise _no_network(deployment)
        return found

    async def change_network(
        self,
        deployment: str,
        peers: Sequence[Peer] = (),
        reach: Reach = EVERYWHERE,
        *,
        locked: bool | None = None,
    ) -> NetworkBaseline:
        """Allow and forbid peers, lock or unlock. Raises ``NotFound``."""
        async with self._pool.acquire() as connection, connection.transaction():
            there = await network_baselines.found(connection, deployment, reach, lock=True)
            if there is None:
                raise _no_network(deployment)
            await network_baselines.put(connection, there, peers)
            if locked is not None:
                await network_baselines.set_locked(connection, there, locked=locked)
            changed = await network_baselines.found(connection, deployment, reach)
        assert changed is not None
        if self._teller is not None and (changed.locked or there.locked):
            self._teller.baselines(changed.cluster, BaselineSync(networks=(_network(changed),)))
        return changed

    async def _each(
        self, keys: Sequence[BaselineKey], work: _Work, reach: Reach, *, make: bool = False
    ) -> tuple[list[Baseline], list[Failed]]:
        changed: list[Baseline] = []
        failed: list[Failed] = []
        told: dict[UUID, list[ContainerBaseline]] = {}
        for key in keys:
            now = datetime.now(UTC)
            async with self._pool.acquire() as connection, connection.transaction():
                there = await baselines.found(connection, key, reach, lock=True)
                if there is None and make and (cluster := await self._deployed(connection, key, reach)):
                    await baselines.ensure(connection, cluster, key, now, self._period)
                    there = await baselines.found(connection, key, reach, lock=True)
                if there is None:
                    failed.append(Failed(key, "there is no such baseline"))
                    continue
                await work(connection, there, now)
                await risk.due(connection, there.cluster, [there.deployment])
                after = await baselines.found(connection, key, reach)
            assert after is not None
            changed.append(after)
            if there.locked or after.locked:
                told.setdefault(after.cluster, []).append(_container(after))
        if self._teller is not None:
            for cluster, several in told.items():
                self._teller.baselines(cluster, BaselineSync(processes=tuple(several)))
        return changed, failed

    async def _deployed(self, connection: Connection, key: BaselineKey, reach: Reach) -> UUID | None:
        """The cluster that has the deployment, in the namespace that is named."""
        values: list[object] = [key.deployment_id, key.cluster_id.lower(), key.namespace]
        condition = reach.condition(values)
        found: UUID | None = await connection.fetchval(
            "SELECT cluster FROM cluster_objects WHERE kind = 'deployment' AND id = $1"  # noqa: S608
            f" AND ($2 = '' OR cluster::text = $2) AND namespace = $3 AND {condition} ORDER BY added LIMIT 1",
            *values,
        )
        return found


class _Work(Protocol):
    async def __call__(self, connection: Connection, there: Baseline, now: datetime) -> None: ...


def _container(baseline: Baseline) -> ContainerBaseline:
    return ContainerBaseline(
        deployment_id=baseline.deployment,
        container_name=baseline.container,
        locked=baseline.locked is not None,
        paths=tuple(each.path for each in baseline.elements if not each.buried),
    )


def _network(baseline: NetworkBaseline) -> DeploymentNetworkBaseline:
    return DeploymentNetworkBaseline(
        deployment_id=baseline.deployment,
        locked=baseline.locked,
        peers=tuple(
            BaselinePeer(
                entity=Entity(type=each.peer_type, id=each.peer),
                port=each.port,
                protocol=each.protocol,
                ingress=each.ingress,
            )
            for each in baseline.peers
            if not each.forbidden
        ),
    )


def _no_network(deployment: str) -> NotFound:
    return NotFound(f"there is no network baseline of a deployment {deployment[:100]!r}")
