"""What is done to workloads and pods because of a policy: no replicas, no node, an end. By the API server.

Facts about kinds: StackRox's ``sensor/kubernetes/enforcer``. Every change names the object's UID, where it is known: what has
taken its place meanwhile is let alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from redoubt.errors import RedoubtError, UsageError
from redoubt.kubeapi import MERGE, Api, ApiFailure
from redoubt.model.cluster import Enforcement
from redoubt.sensor.cluster.discovery import Resource

_log = structlog.get_logger("enforcement")
#: What takes away all pods of a kind.
_NO_REPLICAS: dict[str, dict[str, Any]] = {
    "Deployment": {"replicas": 0},
    "StatefulSet": {"replicas": 0},
    "ReplicaSet": {"replicas": 0},
    "ReplicationController": {"replicas": 0},
    "DeploymentConfig": {"replicas": 0},
    "CronJob": {"suspend": True},
    "Job": {"parallelism": 0},
}
SCALABLE = frozenset(_NO_REPLICAS)
CONSTRAINABLE = frozenset({"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController"})
#: The label that no node has; the original's.
CONSTRAINT = "BlockedByStackRox"
#: Enforcements that wait, at most.
_WAITING = 1000


class Enforcer:
    """Does it. ``resource`` says how this cluster's API has a kind."""

    def __init__(self, api: Api, resource: Callable[[str], Resource | None], *, off: bool = False) -> None:
        self._api = api
        self._resource = resource
        self._off = off
        self._waiting: asyncio.Queue[Enforcement] = asyncio.Queue(_WAITING)
        self.done: dict[str, int] = {}
        self.failed = 0

    def enforce(self, asked: Enforcement) -> None:
        """Have it done some time soon; beyond what may wait it is not, and counted."""
        try:
            self._waiting.put_nowait(asked)
        except asyncio.QueueFull:
            self.failed += 1

    async def run(self) -> None:
        """Do what waits, for ever."""
        while True:
            asked = await self._waiting.get()
            try:
                await self.act(asked)
            except RedoubtError as error:
                _log.error("not enforced", action=asked.action, name=asked.name, reason=str(error)[:300])

    async def act(self, asked: Enforcement) -> None:
        """Do it now. Raises ``RedoubtError`` where it cannot be done."""
        try:
            await self._act(asked)
        except RedoubtError:
            self.failed += 1
            raise
        self.done[asked.action] = self.done.get(asked.action, 0) + 1
        _log.warning(
            "enforced", action=asked.action, namespace=asked.namespace, name=asked.pod_id or asked.name
        )

    async def _act(self, asked: Enforcement) -> None:
        if self._off:
            raise UsageError("enforcement is switched off here (no_enforcement)")
        match asked.action:
            case "SCALE_TO_ZERO_ENFORCEMENT":
                wanted = _NO_REPLICAS.get(asked.deployment_type)
                if wanted is None:
                    raise UsageError(f"a {asked.deployment_type} has no replicas to be taken away")
                await self._patch(asked, wanted)
            case "UNSATISFIABLE_NODE_CONSTRAINT_ENFORCEMENT":
                if asked.deployment_type not in CONSTRAINABLE:
                    raise UsageError(f"a {asked.deployment_type} cannot be kept off all nodes")
                constraint = {CONSTRAINT: asked.alert_id or "policy"}
                await self._patch(asked, {"template": {"spec": {"nodeSelector": constraint}}})
            case "KILL_POD_ENFORCEMENT":
                await self._kill(asked.namespace, asked.pod_id, asked.pod_uid)
            case _:
                raise UsageError(f"{asked.action[:80]} is nothing that a Sensor does")

    async def _patch(self, asked: Enforcement, spec: dict[str, Any]) -> None:
        resource = self._resource(asked.deployment_type)
        if resource is None:
            raise UsageError(f"there is no {asked.deployment_type} in this cluster's API")
        meta = {"metadata": {"uid": asked.deployment_id}} if asked.deployment_id else {}
        await self._api.change(
            "PATCH", resource.of(asked.namespace, asked.name), {**meta, "spec": spec}, MERGE
        )

    async def _kill(self, namespace: str, pod: str, uid: str) -> None:
        body: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self._api.change("DELETE", f"/api/v1/namespaces/{namespace}/pods/{pod}", body)
        except ApiFailure as failure:
            # It is gone; with 409 there is another one of its name.
            if failure.code != 404 and not (uid and failure.code == 409):
                raise
