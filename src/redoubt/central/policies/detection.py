"""Policies asked of images that Central has scanned: alerts of the BUILD stage, in the original's form.

Nothing is kept of these alerts: they are the answer to whoever asks before anything runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from redoubt.central.images.asking import originally
from redoubt.central.refusals import InvalidArgument
from redoubt.central.store.images import Kept
from redoubt.model.scannedimage import ScannedImage
from redoubt.policies import PolicySet, Verdict
from redoubt.policies.alerts import Alert, AlertImage, AlertImageName, Message, violation


class OpenQuestion(Message, frozen=True, kw_only=True):
    """A policy that could not be asked of the image, for want of data about ``criteria`` or for ``reason``."""

    policy_id: str
    policy_name: str
    criteria: tuple[str, ...] = ()
    reason: str = ""


class Detected(Message, frozen=True, kw_only=True):
    """``BuildDetectionResponse``; ``unanswered`` is ours."""

    alerts: tuple[Alert, ...]
    unanswered: tuple[OpenQuestion, ...] = ()


def scanned(kept: Kept) -> ScannedImage:
    """A scan as policies look at it."""
    return msgspec.json.decode(
        msgspec.json.encode(originally(kept, descriptions=False)), type=ScannedImage, strict=False
    )


def chosen(policies: PolicySet, categories: Sequence[str]) -> PolicySet:
    """The policies of some categories, all where none is named. Raises ``InvalidArgument`` for one that no policy has."""
    if not categories:
        return policies
    asked = [each.policy for each in policies.compiled] + [each.policy for each in policies.refused]
    unused = [name for name in categories if not any(name in policy.categories for policy in asked)]
    if unused:
        raise InvalidArgument(f"no policy has the categories {', '.join(name[:80] for name in unused[:20])}")
    return policies.only(lambda policy: not set(categories).isdisjoint(policy.categories))


async def detect(policies: PolicySet, kept: Kept, categories: Sequence[str] = ()) -> Detected:
    """What breaks BUILD policies in an image. Raises ``InvalidArgument``."""

    def work() -> Detected:
        asked, image, now = chosen(policies, categories), scanned(kept), datetime.now(UTC)
        return _detected(asked, asked.build(asked.image(image, now), now), image, now)

    return await asyncio.to_thread(work)


def messages(policies: PolicySet, kept: Kept) -> list[str]:
    """The same, as lines: for trying a policy out."""
    now = datetime.now(UTC)
    found = policies.build(policies.image(scanned(kept), now), now)
    return [each.message for broken in found.broken for each in broken.violations]


def _detected(policies: PolicySet, found: Verdict, image: ScannedImage, now: datetime) -> Detected:
    name = image.name
    told = AlertImage(
        id=image.id,
        name=AlertImageName()
        if name is None
        else AlertImageName(
            registry=name.registry, remote=name.remote, tag=name.tag, full_name=name.full_name
        ),
    )
    return Detected(
        alerts=tuple(
            Alert(
                id=str(uuid4()),
                policy=broken.policy,
                lifecycle_stage="BUILD",
                entity_type="CONTAINER_IMAGE",
                image=told,
                violations=tuple(violation(each) for each in broken.violations),
                time=now,
            )
            for broken in found.broken
        ),
        unanswered=open_questions(policies, found, "BUILD"),
    )


def open_questions(policies: PolicySet, found: Verdict, stage: str) -> tuple[OpenQuestion, ...]:
    """Policies of a stage that could not be asked."""
    return (
        *(
            OpenQuestion(policy_id=each.policy.id, policy_name=each.policy.name, criteria=each.criteria)
            for each in found.unanswered
        ),
        *(
            OpenQuestion(policy_id=each.policy.id, policy_name=each.policy.name, reason=each.reason)
            for each in policies.refused
            if stage in each.policy.lifecycle_stages
        ),
    )
