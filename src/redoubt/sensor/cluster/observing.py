"""All watches of a cluster together: which kinds there are, what becomes of their objects, and the inventory kept by them."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import Any

import structlog

from redoubt import tasks
from redoubt.errors import RedoubtError
from redoubt.kubeapi import Api
from redoubt.sensor.cluster.changes import Changes
from redoubt.sensor.cluster.discovery import Resource, discover
from redoubt.sensor.cluster.watching import Convert, Watch
from redoubt.sensor.conversion import mirrors, objects, workloads
from redoubt.sensor.graph.inventory import Dirty, Inventory

_log = structlog.get_logger("watching")
#: Changes that are looked at in one go: others on the loop wait as long.
_BATCH = 100
#: Seconds until it is looked again which kinds there are; sooner after a failure.
_DISCOVER, _DISCOVER_AGAIN = 600.0, 5.0
#: Looks for which it is waited until there is all that Kubernetes itself has: about a minute.
_TRIES = 15

_WORKLOADS = (
    "Deployment",
    "DaemonSet",
    "StatefulSet",
    "ReplicaSet",
    "ReplicationController",
    "Job",
    "CronJob",
    "DeploymentConfig",
)
_CONVERT: dict[str, Convert] = {
    "Namespace": objects.namespace,
    "Node": objects.node,
    "ServiceAccount": objects.service_account,
    "Role": objects.role,
    "ClusterRole": objects.role,
    "RoleBinding": objects.binding,
    "ClusterRoleBinding": objects.binding,
    "NetworkPolicy": objects.network_policy,
    "Service": objects.service,
    "Ingress": objects.ingress,
    "Route": objects.route,
    "Secret": objects.secret,
    "ConfigMap": objects.config_map,
    "ImageContentSourcePolicy": mirrors.mirror_set,
    "ImageDigestMirrorSet": mirrors.mirror_set,
    "ImageTagMirrorSet": mirrors.mirror_set,
    "Pod": workloads.pod,
    **dict.fromkeys(_WORKLOADS, workloads.workload),
}


class Observer:
    """Keeps ``inventory`` as the cluster is. ``heard`` is told what changed; ``ready`` is set when all was looked at once."""

    def __init__(
        self,
        api: Api,
        inventory: Inventory,
        heard: Callable[[Dirty], None],
        *,
        most: int,
        seconds: float,
        jitter: float,
    ) -> None:
        self._api = api
        self._inventory = inventory
        self._heard = heard
        self._seconds, self._jitter = seconds, jitter
        self.changes = Changes(most)
        self.watches: dict[tuple[str, str], Watch] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[Any]] = {}
        self.ready = asyncio.Event()
        self.problem = "the API server was not asked yet"
        self._busy = False

    async def run(self) -> None:
        """For ever."""
        keeping = asyncio.create_task(self._keep(), name="inventory")
        try:
            await self._discover_first()
            await self._settle()
            self.ready.set()
            while True:
                await asyncio.sleep(_DISCOVER * random.uniform(0.8, 1.2))  # noqa: S311
                await self._look()
        finally:
            await tasks.end(keeping, *self._tasks.values())

    @property
    def problems(self) -> list[str]:
        """What cannot be watched now, and why."""
        own = [self.problem] if self.problem else []
        return own + sorted({each.problem for each in self.watches.values() if each.problem})

    @property
    def spoilt(self) -> int:
        """Objects that could not be read."""
        return sum(each.spoilt for each in self.watches.values())

    def resource(self, kind: str) -> Resource | None:
        """How the API of this cluster has a kind."""
        for each in self.watches.values():
            if each.resource.kind == kind:
                return each.resource
        return None

    async def _discover_first(self) -> None:
        tries = itertools.count(1)
        while not await self._look(partly=next(tries) > _TRIES):
            await asyncio.sleep(_DISCOVER_AGAIN * random.uniform(0.5, 1.0))  # noqa: S311

    async def _look(self, *, partly: bool = False) -> bool:
        try:
            there = await discover(self._api, partly=partly)
        except RedoubtError as error:
            if self.problem != str(error):
                _log.warning("the API server does not say what it has", problem=str(error))
            self.problem = str(error)
            return False
        self.problem = ""
        for each in there:
            key = each.kind, each.api_version
            if not any(kind == each.kind for kind, _ in self.watches):
                self.watches[key] = watch = Watch(
                    self._api,
                    each,
                    _CONVERT[each.kind],
                    self.changes.put,
                    seconds=self._seconds,
                    jitter=self._jitter,
                )
                self._tasks[key] = asyncio.create_task(watch.run(), name=f"watch {each.plural}")
        gone = [
            key for key in self.watches if not any(key == (each.kind, each.api_version) for each in there)
        ]
        for key in gone:
            del self.watches[key]
            await tasks.end(self._tasks.pop(key))
        if gone:  # another version of the same is taken the next time
            _log.warning("kinds are no more in the API", kinds=[kind for kind, _ in gone])
        return bool(there)

    async def _settle(self) -> None:
        """Until every kind was listed, and all of it was taken into the inventory."""
        await asyncio.gather(*(each.settled.wait() for each in self.watches.values()))
        while len(self.changes) or self._busy:
            await asyncio.sleep(0.01)

    async def _keep(self) -> None:
        while True:
            taken = await self.changes.take(_BATCH)
            self._busy = True
            try:
                for change in taken:
                    try:
                        self._inventory.apply(change)
                    except Exception:  # noqa: BLE001 (one odd object must not end the watch of all others)
                        _log.exception("a change could not be taken", kind=change.kind, id=change.id)
                self._heard(self._inventory.drain())
            finally:
                self._busy = False
            await asyncio.sleep(0)
