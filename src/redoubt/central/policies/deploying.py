"""Policies asked of workloads that are not there yet: alerts of the DEPLOY stage, in the original's form.

Images are scanned where they can be. One that cannot be has no scan, which policies can ask for, and is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from redoubt.central.images import asking
from redoubt.central.images.asking import ScanRequest
from redoubt.central.policies.detection import OpenQuestion, chosen, open_questions, scanned
from redoubt.central.services import Services
from redoubt.errors import RedoubtError
from redoubt.model.scannedimage import ScannedImage
from redoubt.model.workload import Container, Deployment
from redoubt.policies import ImagePart, Policy, PolicySet
from redoubt.policies.alerts import DEPLOY_ENFORCEMENTS, Alert, AlertEnforcement, Message, told, violation


class ImageProblem(Message, frozen=True, kw_only=True):
    """An image that could not be scanned, and why."""

    image: str
    reason: str


class Run(Message, frozen=True, kw_only=True):
    """``DeployDetectionResponse.Run``; ``unanswered`` is ours."""

    name: str
    type: str
    alerts: tuple[Alert, ...]
    unanswered: tuple[OpenQuestion, ...] = ()


class DeployDetected(Message, frozen=True, kw_only=True):
    """``DeployDetectionResponse``; ``imageProblems`` is ours."""

    runs: tuple[Run, ...]
    ignored_object_refs: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    image_problems: tuple[ImageProblem, ...] = ()


async def detect(
    services: Services,
    policies: PolicySet,
    deployments: Sequence[Deployment],
    ignored: Sequence[str],
    *,
    categories: Sequence[str],
    force: bool,
) -> DeployDetected:
    """What breaks DEPLOY policies in workloads. Raises ``InvalidArgument`` and ``Unavailable``."""
    asked = chosen(policies, categories)
    names = {_name(each): None for one in deployments for each in one.containers}
    found = await asyncio.gather(*(_scanned(services, name, force=force) for name in names if name))
    images = {name: image for name, image, _ in found}
    problems = tuple(ImageProblem(image=name, reason=why) for name, _, why in found if why)
    now = datetime.now(UTC)

    def work() -> tuple[Run, ...]:
        parts = {name: asked.image(image, now) for name, image in images.items()}
        return tuple(_run(asked, each, parts, now) for each in deployments)

    runs = await asyncio.to_thread(work)
    return DeployDetected(runs=runs, ignored_object_refs=tuple(ignored), image_problems=problems)


def enforced(policies: PolicySet) -> PolicySet:
    """Only the policies that would do something to a workload."""
    return policies.only(lambda policy: not set(DEPLOY_ENFORCEMENTS).isdisjoint(policy.enforcement_actions))


async def _scanned(services: Services, name: str, *, force: bool) -> tuple[str, ScannedImage, str]:
    try:
        kept = await asking.scan(services, ScanRequest(image_name=name, force=force))
    except RedoubtError as error:
        return name, ScannedImage(), str(error)
    return name, await asyncio.to_thread(scanned, kept), ""


def _name(container: Container) -> str:
    image = container.image
    return "" if image is None or image.name is None else image.name.full_name


def _run(policies: PolicySet, given: Deployment, parts: dict[str, ImagePart], now: datetime) -> Run:
    found = policies.deploy(given, [parts.get(_name(each)) for each in given.containers], now)
    about = msgspec.structs.replace(told(given), id=given.id or str(uuid4()))
    alerts = tuple(
        Alert(
            id=str(uuid4()),
            policy=broken.policy,
            cluster_id=given.cluster_id,
            cluster_name=given.cluster_name,
            namespace=given.namespace,
            lifecycle_stage="DEPLOY",
            entity_type="DEPLOYMENT",
            deployment=about,
            violations=tuple(violation(each) for each in broken.violations),
            enforcement=_enforcement(broken.policy),
            time=now,
        )
        for broken in found.broken
    )
    return Run(
        name=given.name, type=given.type, alerts=alerts, unanswered=open_questions(policies, found, "DEPLOY")
    )


def _enforcement(policy: Policy) -> AlertEnforcement | None:
    for action in DEPLOY_ENFORCEMENTS:
        if action in policy.enforcement_actions:
            what = "have no replicas" if action == DEPLOY_ENFORCEMENTS[0] else "be scheduled on no node"
            return AlertEnforcement(
                action=action, message=f"The deployment would {what} in response to this policy violation."
            )
    return None
