"""Requests about pods judged: exec, attach, port-forward. It must not know how a review arrived.

The workload of the pod is asked of the API server; where it cannot be had, policies are asked that want nothing of it. Of a
policy that is not enforced for requests there is only an alert.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import structlog

from redoubt.admission import telling
from redoubt.admission.figures import Figures
from redoubt.admission.images import Images
from redoubt.admission.judging import Reporter, Spared, Workloads, place
from redoubt.admission.reviews import ALLOWED, Answer, EventRequest, Options, Request
from redoubt.admission.rules import EVENTS, ON_REQUEST, Rules
from redoubt.errors import RedoubtError
from redoubt.indexer.sources.reference import named
from redoubt.model.happening import (
    EventObject,
    EventUser,
    KubernetesEvent,
    PodAttachArgs,
    PodExecArgs,
    PodPortForwardArgs,
)
from redoubt.model.workload import Deployment, ImageName
from redoubt.policies import Broken, ImagePart, PolicySet
from redoubt.policies.kubernetes import deployment
from redoubt.policies.showing import text

_log = structlog.get_logger("admission")


_NO_NAME, _NO_OPTIONS = ImageName(), Options()


class EventJudge:
    """Judges one request at a time, many at once."""

    def __init__(
        self,
        images: Images,
        figures: Figures,
        reporter: Reporter,
        spared: Spared,
        workloads: Workloads | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._images, self._figures, self._reporter = images, figures, reporter
        self._spared, self._workloads, self._now = spared, workloads, now

    async def event(self, request: EventRequest, rules: Rules, within: float) -> Answer:
        """Whether a request about a pod may go on. ``within`` are seconds."""
        until = time.monotonic() + within
        kind = EVENTS.get(request.sub_resource)
        if (
            request.operation != "CONNECT"
            or kind is None
            or rules.events.is_empty
            or self._spared.is_system(request.user_info.username)
        ):
            self._figures.count("spared")
            return ALLOWED
        event = _event(request, kind, rules, self._now())
        given = await self._workload(request, rules, within)
        known = given is not None
        if given is None:
            given = Deployment(namespace=request.namespace)
        given = msgspec.structs.replace(
            given, cluster_id=rules.cluster_id, cluster_name=rules.cluster_name, namespace=request.namespace
        )
        broken = await self._broken(given, event, rules, until)
        refused, bypassed = self._refused(request, rules, given, broken)
        if broken and known and not request.dry_run:
            self._reporter.tell(
                telling.happened(
                    broken,
                    given,
                    event,
                    frozenset(each.policy.id for each in refused),
                    ON_REQUEST,
                    self._now(),
                )
            )
        elif broken and not known:
            _log.warning(
                "no alert, as the pod's workload is not known", policies=len(broken), **place(request)
            )
        if not refused:
            self._figures.count("bypassed" if bypassed else "allowed")
            return ALLOWED
        self._figures.count("denied")
        what = f"This request ({request.sub_resource})"
        return Answer(allowed=False, message=telling.refusal(what, refused, hint=False), note="denied")

    def _refused(
        self, request: Request, rules: Rules, given: Deployment, broken: Sequence[Broken]
    ) -> tuple[list[Broken], bool]:
        """The policies because of which it is refused; none, and whether somebody broke the glass."""
        if not rules.config.enabled or self._spared.has(request.namespace):
            return [], False
        found = [each for each in broken if ON_REQUEST in each.policy.enforcement_actions]
        if found and not rules.config.disable_bypass and given.annotations.get(telling.BREAK_GLASS_EVENTS):
            _log.warning("break-glass", **place(request), user=text(request.user_info.username))
            return [], True
        return found, False

    async def _workload(self, request: Request, rules: Rules, within: float) -> Deployment | None:
        """The pod's workload, if it can be had in half the time."""
        if self._workloads is None:
            return None
        try:
            async with asyncio.timeout(within / 2):
                found = await self._workloads.of_pod(request.namespace, request.name)
            return deployment(found, named, namespace=request.namespace)
        except (RedoubtError, TimeoutError) as error:
            _log.warning(
                "the workload of a pod is not known", why=text(str(error) or "no answer"), **place(request)
            )
            return None

    async def _broken(
        self, given: Deployment, event: KubernetesEvent, rules: Rules, until: float
    ) -> list[Broken]:
        now, around = self._now(), rules.around(given.namespace)

        def asked(policies: PolicySet, parts: Sequence[ImagePart | None]) -> list[Broken]:
            return list(policies.request(given, parts, event, now, around).broken)

        nothing: list[ImagePart | None] = [None] * len(given.containers)
        broken = asked(rules.events.described, nothing)
        if rules.events.asks_images and given.containers:
            try:
                async with asyncio.timeout(max(0.0, until - time.monotonic())):
                    parts = [
                        await self._images.ask(
                            each.image.name or _NO_NAME,
                            each.image.id,
                            rules,
                            now,
                            cached=True,
                            namespace=given.namespace,
                        )
                        for each in given.containers
                        if each.image is not None
                    ]
            except (RedoubtError, TimeoutError):
                return broken  # what is not known broke nothing
            if len(parts) == len(given.containers):
                broken += asked(rules.events.imaged, parts)
        return broken


def _event(request: EventRequest, kind: str, rules: Rules, now: datetime) -> KubernetesEvent:
    """The request, as the original tells of it."""
    options = request.object or _NO_OPTIONS
    container = options.container or ""
    return KubernetesEvent(
        id=str(uuid4()),
        object=EventObject(
            name=request.name, resource=kind, cluster_id=rules.cluster_id, namespace=request.namespace
        ),
        timestamp=now,
        api_verb="CREATE",
        pod_exec_args=PodExecArgs(container=container, commands=options.command or ())
        if kind == "PODS_EXEC"
        else None,
        pod_port_forward_args=PodPortForwardArgs(ports=options.ports or ())
        if kind == "PODS_PORTFORWARD"
        else None,
        pod_attach_args=PodAttachArgs(container=container) if kind == "PODS_ATTACH" else None,
        user=EventUser(username=request.user_info.username, groups=request.user_info.groups or ()),
    )
