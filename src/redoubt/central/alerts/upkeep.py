"""Alerts looked after in the background, by one replica: over when their policy is, and forgotten after a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial

import structlog

from redoubt import tasks
from redoubt.central.retaining import Retaining
from redoubt.central.store import Pool
from redoubt.central.store.alert_upkeep import AlertUpkeep, Open
from redoubt.central.store.policies import PolicyStore
from redoubt.model.happening import EventObject, KubernetesEvent
from redoubt.policies import Policy, PolicySet
from redoubt.policies.compiling import CompiledPolicy

#: Seconds between two looks whether policies changed, and after which all is looked at in any case.
EVERY, ANYHOW = 2.0, 300.0
#: Seconds between two times that what is old is forgotten.
FORGET = 3600.0

_log = structlog.get_logger("alerts")


class Upkeep:
    """The work. ``led`` by one replica; two at it do no harm."""

    def __init__(self, pool: Pool, *, every: float = EVERY) -> None:
        self._policies = PolicyStore(pool)
        self._alerts = AlertUpkeep(pool)
        self._retaining = Retaining(pool)
        self._every = every
        self._task = tasks.Background()
        self._revision: tuple[int, int] | None = None
        self._looked = self._forgot = 0.0

    async def start(self) -> None:
        """Begin."""
        self._task.begin(
            tasks.over_and_over(
                self.look, partial(_log.warning, "alerts are not looked after"), every=self._every
            ),
            "alerts upkeep",
        )

    async def stop(self) -> None:
        """End."""
        await self._task.end()

    async def look(self) -> None:
        """Do what is due."""
        now, revision = time.monotonic(), await self._policies.revision()
        if revision != self._revision or now - self._looked > ANYHOW:
            over = await self.follow_policies(await self._policies.all())
            over += await self._alerts.of_what_is_gone()
            await self._alerts.name_clusters()
            self._revision, self._looked = revision, now
            if over:
                _log.info("alerts are over", number=over)
        if not self._forgot or now - self._forgot > FORGET:
            gone = await self._retaining.forget()
            self._forgot = now
            if gone:
                _log.info("forgotten", **gone)

    async def follow_policies(self, policies: Iterable[Policy]) -> int:
        """What is about policies that are gone, disabled or no longer meant for it is over; how many alerts."""
        given = list(policies)
        stages = [(each.id, stage) for each in given if not each.disabled for stage in each.lifecycle_stages]
        over = await self._alerts.resolve_of(stages, [each.id for each in given if each.disabled])
        # The others are meant for everything.
        some = [each for each in given if each.scope or each.exclusions]
        made = await asyncio.to_thread(PolicySet, some)
        compiled = {each.policy.id: each for each in made.compiled}
        now = datetime.now(UTC)
        async for page in self._alerts.open_of(compiled):
            if ids := [each.id for each in page if not meant(compiled, each, now)]:
                over += await self._alerts.resolve(ids, now)
        return over


def meant(policies: Mapping[str, CompiledPolicy], given: Open, now: datetime) -> bool:
    """Whether an alert's policy would be asked of what it is about. Pure."""
    compiled = policies[given.policy]
    if (deployment := given.deployment) is not None:
        return compiled.applies.to_deployment(deployment, given.around, now)
    if (resource := given.alert.resource) is not None:
        event = KubernetesEvent(
            object=EventObject(cluster_id=given.alert.cluster_id, namespace=resource.namespace)
        )
        return compiled.applies.to_event(event, given.around, now)
    return True
