"""A policy tried out: on images that were scanned, where it has the BUILD stage, and on deployments, where it has DEPLOY.

Nothing comes of it but the answer. What happens in deployments cannot be tried: it is not asked about afterwards.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from redoubt.central.auth.caller import Caller
from redoubt.central.images import asking
from redoubt.central.images.query import wanted
from redoubt.central.objects.looking import Looking
from redoubt.central.policies import detection
from redoubt.central.policies.jobs import DryRuns, Tried, TriedOn
from redoubt.central.services import Services
from redoubt.central.store import Pool
from redoubt.model.workload import Container, Deployment, Surroundings
from redoubt.policies import ImagePart, Policy, PolicySet

#: What images make of the policy is kept for so many of them.
_PARTS = 500
#: Deployments of which violations are told, and violations of each, at most.
_TOLD, _VIOLATIONS = 5000, 40


async def tried(
    services: Services, caller: Caller, policy: Policy, *, images: int = 0, deployments: int = 0
) -> Tried:
    """Try a policy on what the caller may see; on so many of each at most, 0 for all."""
    made = await asyncio.to_thread(PolicySet, [policy])
    found = Tried([])
    if "BUILD" in policy.lifecycle_stages:
        found = await _on_images(services, made, images)
    if "DEPLOY" in policy.lifecycle_stages:
        more = await _on_deployments(services, caller, made, deployments)
        found = msgspec.structs.replace(
            more,
            alerts=found.alerts + more.alerts,
            images=found.images,
            incomplete=found.incomplete or more.incomplete,
        )
    return found


async def _on_images(services: Services, made: PolicySet, most: int) -> Tried:
    store = asking.store(services)
    alerts: list[TriedOn] = []
    looked_at = 0
    async for digest in store.ids(wanted("")):
        if looked_at == most > 0:
            return Tried(alerts, looked_at, incomplete=True)
        if (kept := await store.find(digest)) is None:
            continue
        looked_at += 1
        if found := await asyncio.to_thread(detection.messages, made, kept):
            alerts.append(TriedOn("", found, kept.listed.name))
    return Tried(alerts, looked_at)


async def _on_deployments(services: Services, caller: Caller, made: PolicySet, most: int) -> Tried:
    around, images = _Around(services.pool), _Images(services, made)
    alerts: list[TriedOn] = []
    looked_at = unanswered = 0
    async for each in Looking(services.pool, "deployment", Deployment).every(caller, ""):
        if looked_at == most > 0 or len(alerts) == _TOLD:
            return Tried(alerts, deployments=looked_at, unanswered=unanswered, incomplete=True)
        looked_at += 1
        parts = [await images.of(container) for container in each.containers]
        verdict = made.deploy(each, parts, datetime.now(UTC), await around.of(each))
        unanswered += bool(verdict.unanswered)
        if messages := [one.message for broken in verdict.broken for one in broken.violations]:
            alerts.append(TriedOn(each.name, messages[:_VIOLATIONS]))
        await asyncio.sleep(0)
    return Tried(alerts, deployments=looked_at, unanswered=unanswered)


class _Around:
    """Labels of clusters and namespaces, as they were when they were asked for first."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._known: dict[tuple[str, str], Surroundings] = {}

    async def of(self, deployment: Deployment) -> Surroundings:
        """What is known of where a deployment is; of network policies nothing is."""
        key = deployment.cluster_id, deployment.namespace
        if key not in self._known:
            row = await self._pool.fetchrow(
                "SELECT coalesce(c.record -> 'labels', '{}')::text AS cluster, coalesce((SELECT labels::text FROM cluster_objects o"
                " WHERE o.cluster = c.id AND o.kind = 'namespace' AND o.name = $2 LIMIT 1), '{}') AS namespace"
                " FROM clusters c WHERE c.id = $1",
                UUID(deployment.cluster_id),
                deployment.namespace,
            )
            self._known[key] = Surroundings(
                cluster_labels={} if row is None else msgspec.json.decode(row["cluster"]),
                namespace_labels={} if row is None else msgspec.json.decode(row["namespace"]),
            )
        return self._known[key]


class _Images:
    """What images make of the policy; those asked for last are kept."""

    def __init__(self, services: Services, made: PolicySet) -> None:
        self._services = services
        self._made = made
        self._parts: OrderedDict[str, ImagePart | None] = OrderedDict()

    async def of(self, container: Container) -> ImagePart | None:
        """None where the image was not scanned."""
        image = container.image
        name = "" if image is None else image.id or ("" if image.name is None else image.name.full_name)
        if not name:
            return None
        if name in self._parts:
            self._parts.move_to_end(name)
            return self._parts[name]
        store = asking.store(self._services)
        digest = name if name.startswith("sha256:") else await store.named(name)
        kept = await store.find(digest) if digest else None
        part = None
        if kept is not None:
            part = await asyncio.to_thread(
                lambda: self._made.image(detection.scanned(kept), datetime.now(UTC))
            )
        self._parts[name] = part
        if len(self._parts) > _PARTS:
            self._parts.popitem(last=False)
        return part


def equip(services: Services) -> None:
    """Give ``services`` the means to try policies out in the background."""
    services.dry_runs = DryRuns(services.pool, lambda caller, policy: tried(services, caller, policy))
    services.parts.append(services.dry_runs)
