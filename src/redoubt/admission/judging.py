"""Reviews judged: rules and what is asked in, an answer out. It must not know how a review arrived.

What is asked in turn: whether the request is judged at all; the policies that need only the description; those that need
images, of which it waits for what is not kept here until the deadline. What cannot be judged follows the cluster's
setting (``fail_closed``), and so does what is not known at the deadline (``at_deadline``): either is said and counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import structlog

from redoubt.admission import reading, telling
from redoubt.admission.figures import Figures
from redoubt.admission.images import Images
from redoubt.admission.reviews import (
    ALLOWED,
    Answer,
    Asked,
    Pieces,
    Request,
    WorkloadRequest,
)
from redoubt.admission.rules import ON_CREATE, ON_UPDATE, Rules, SeenWorkload, Stage, named
from redoubt.errors import RedoubtError
from redoubt.model.workload import Deployment, ImageName
from redoubt.policies import Broken, ImagePart, kubernetes, objects
from redoubt.policies.alerts import Alert
from redoubt.policies.glance import Workload, spelled_out
from redoubt.policies.kubernetes import KINDS, NotAWorkload, converted
from redoubt.policies.plan import Asking
from redoubt.policies.showing import text

_log = structlog.get_logger("admission")

#: Who makes pods out of what was judged before, besides service accounts of spared namespaces.
_SYSTEM = ("system:kube-controller-manager", "system:kube-scheduler", "system:apiserver", "system:node:")
_ACCOUNT = "system:serviceaccount:"
#: Workloads with more containers are judged in a thread, so that others are answered meanwhile.
_MANY = 200


_NOTHING, _NO_META = Pieces(), objects.Meta()
_ADDED, _RESIZED = "ephemeralcontainers", "resize"
#: Parts of objects that are judged; the object itself has no name of its own there. A pod that is resized comes whole.
_JUDGED = frozenset({"", "scale", _ADDED, _RESIZED})


class Reporter(Protocol):
    """Who tells Central."""

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Alerts on their way, if there is room."""


class Workloads(Protocol):
    """Who can look a workload up."""

    async def scaled(self, group: str, resource: str, namespace: str, name: str) -> dict[str, Any]:
        """The workload of a scale, as the API server has it. Raises ``RedoubtError``."""

    async def of_pod(self, namespace: str, name: str) -> dict[str, Any]:
        """The workload that a pod belongs to, or the pod. Raises ``RedoubtError``."""


class Spared:
    """Where nothing is refused: by namespace."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = frozenset(name for name in names if not name.endswith("*"))
        self._beginnings = tuple(name[:-1] for name in names if name.endswith("*"))

    def has(self, namespace: str) -> bool:
        """Whether it is such a namespace."""
        return namespace in self.names or bool(self._beginnings and namespace.startswith(self._beginnings))

    def is_system(self, user: str) -> bool:
        """Whether that user may do as he pleases: service accounts of these namespaces, and Kubernetes itself."""
        if user.startswith(_ACCOUNT):
            return self.has(user[len(_ACCOUNT) :].partition(":")[0])
        return user.startswith(_SYSTEM)


class Judge:
    """Judges one review at a time, many at once. ``rules`` is exchanged when settings change."""

    def __init__(
        self,
        images: Images,
        figures: Figures,
        reporter: Reporter,
        spared: Spared,
        workloads: Workloads | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.rules: Rules | None = None
        self._images, self._figures, self._reporter = images, figures, reporter
        self._spared, self._workloads, self._now = spared, workloads, now

    async def workload(self, asked: Asked, rules: Rules, within: float) -> Answer:
        """Whether an object may be made, or changed. ``within`` are seconds."""
        until = time.monotonic() + within
        request = asked.request
        stage = self._asked(request, rules)
        if stage is None:
            return self._done("spared", ALLOWED)
        try:
            suspects = None
            if request.sub_resource == "scale":
                given = await self._scaled(asked.whole(), rules, within)
            elif request.sub_resource == _ADDED:
                given = self._added(asked.whole(), rules)
            else:
                glanced = self._glanced(asked, rules, stage)
                if isinstance(glanced, Answer):
                    return glanced
                seen, suspects = glanced
                if seen is not None:
                    return await self._imaged(
                        asked, rules, stage, seen, until, lambda: self._made(asked, rules)
                    )
                given = self._made(asked, rules)
            if given is None:
                return self._done("spared", ALLOWED)
            return await self._properly(asked, rules, stage, given, until, suspects)
        except RedoubtError as error:
            return self.failed(request, rules, str(error))

    def _glanced(
        self, asked: Asked, rules: Rules, stage: Stage
    ) -> Answer | tuple[SeenWorkload | None, Asking | None]:
        """The answer, where it is known at once: to a workload that broke nothing before, or cannot, by its images neither.

        Else a workload that its images have to be looked at for, or the policies that it may break; neither where it takes a
        proper look to say. Raises ``RedoubtError``.
        """
        if not self._concerns(asked):
            return self._done("spared", ALLOWED)
        request = asked.request
        found, namespace = request.object, request.namespace
        if not isinstance(found, Workload):
            return None, None
        meta = found.metadata or _NO_META
        called = (request.operation, namespace, found.kind, meta.name, meta.generate_name)
        content = (found.spec, meta.labels, meta.annotations)
        seen = rules.seen.find(called, content)
        if seen is None:
            if not rules.config.disable_bypass and (meta.annotations or {}).get(telling.BREAK_GLASS):
                return None, None
            glimpse = stage.glance.at(found, namespace, rules.around(namespace), self._now())
            if glimpse is None:
                return None, None
            if suspects := stage.suspects(glimpse.bits):
                return None, suspects
            seen = SeenWorkload(glimpse.images, glimpse.bits)
            rules.seen.keep(called, content, seen, asked.size)
        if stage.asks_images and not self._is_in_order(seen, rules, stage):
            return seen, None
        return self._done("allowed", ALLOWED)

    def _is_in_order(self, workload: SeenWorkload, rules: Rules, stage: Stage) -> bool:
        """Whether the images of a workload whose description is in order are known, and break nothing."""
        now = self._now()
        bits, stamps = workload.bits, []
        for name in workload.images:
            kept = self._images.known(name, "", rules, now)
            if kept is None or kept.part is None:
                return False
            bits |= kept.part.may
            stamps.append(kept.stamp)
        if stamps != workload.stamps:
            if stage.suspects_with(bits):
                return False
            workload.stamps = stamps
        return True

    async def _properly(
        self,
        asked: Asked,
        rules: Rules,
        stage: Stage,
        given: Deployment,
        until: float,
        suspects: Asking | None = None,
    ) -> Answer:
        """A workload, whatever it looks like. ``suspects`` are the policies that it may break, if that is known.

        Raises ``RedoubtError``.
        """
        request = asked.request
        if len(given.containers) > _MANY:
            described = await asyncio.to_thread(self._described, request, rules, stage, given, suspects)
        else:
            described = self._described(request, rules, stage, given, suspects)
        if described is not None:
            return described
        seen = SeenWorkload(reading.image(each) for each in given.containers)
        if not stage.asks_images or not seen.images:
            return self._done("allowed", ALLOWED)
        return await self._imaged(asked, rules, stage, seen, until, lambda: given)

    def failed(self, request: Request, rules: Rules, why: str) -> Answer:
        """The answer to what cannot be judged."""
        closed = rules.config.fail_closed
        _log.warning(
            "not judged", refused=closed, why=text(why), **place(request), operation=text(request.operation)
        )
        return self._done(
            "failed",
            Answer(
                allowed=not closed,
                message=f"Redoubt could not judge this, and {'refuses' if closed else 'lets pass'} such: {text(why)}",
                note="not judged",
            ),
        )

    def _asked(self, request: Request, rules: Rules) -> Stage | None:
        """What is asked of such a request; None for nothing."""
        config = rules.config
        if not config.enabled or request.sub_resource not in _JUDGED:
            return None
        if request.operation == "CREATE" and config.enforce_on_creates:
            stage = rules.created
        elif request.operation == "UPDATE" and config.enforce_on_updates:
            stage = rules.added if request.sub_resource == _ADDED else rules.updated
        else:
            return None
        if stage.is_empty or self._spared.has(request.namespace):
            return None
        return None if self._spared.is_system(request.user_info.username) else stage

    def _concerns(self, asked: Asked) -> bool:
        """Whether that is a matter of ours. Raises ``RedoubtError``."""
        request = asked.request
        found = request.object or _NOTHING
        if not kubernetes.makes_pods(found.kind or "", found.api_version or ""):
            # Registrations of others' making may send us anything.
            if request.kind.kind in KINDS or request.resource.resource in _RESOURCES:
                raise NotAWorkload("an object that makes no pods, in place of one that does")
            return False
        if request.operation != "UPDATE" or not reading.is_owned(found):
            return True
        whole = asked.whole()
        return not reading.is_as_owned_before(whole.old_object, whole.object)

    def _made(self, asked: Asked, rules: Rules) -> Deployment:
        """What is asked about, as a workload. Raises ``RedoubtError``."""
        found = asked.request.object
        try:
            if isinstance(found, Workload):
                return self._placed(converted(spelled_out(found), named), asked.request, rules)
        except NotAWorkload:
            pass  # the whole of it says where
        return self._placed(reading.workload(asked.whole().object or _NOTHING), asked.request, rules)

    def _placed(self, given: Deployment, request: Request, rules: Rules) -> Deployment:
        return msgspec.structs.replace(
            given,
            cluster_id=rules.cluster_id,
            cluster_name=rules.cluster_name,
            namespace=request.namespace,
        )

    def _added(self, request: WorkloadRequest, rules: Rules) -> Deployment | None:
        """A pod with those containers alone that are put into it (``kubectl debug``); None where there are none.

        Whoever owns the pod has no say in it. Raises ``NotAWorkload``.
        """
        found = request.object or _NOTHING
        if found.kind != "Pod":
            return None  # before 1.22 it was a list without a pod
        given = self._placed(reading.workload(found), request, rules)
        before = {each.name for each in reading.workload(request.old_object or found).containers}
        added = tuple(each for each in given.containers if each.name not in before)
        return msgspec.structs.replace(given, containers=added) if added else None

    async def _scaled(self, request: WorkloadRequest, rules: Rules, within: float) -> Deployment | None:
        """The workload with as many replicas as are wanted; None where they become fewer. Raises ``RedoubtError``."""
        wanted, before = reading.replicas(request.object), reading.replicas(request.old_object)
        if wanted <= before:
            return None
        if self._workloads is None:
            raise NotAWorkload("a scale, and the API server cannot be asked what is scaled")
        resource = request.resource
        try:
            async with asyncio.timeout(within):
                found = await self._workloads.scaled(
                    resource.group, resource.resource, request.namespace, request.name
                )
        except TimeoutError:
            raise NotAWorkload("what is scaled could not be had in time") from None
        # Whoever owns it, this is somebody who changes it: Kubernetes' own controllers were spared before.
        return msgspec.structs.replace(
            kubernetes.deployment(found, named, namespace=request.namespace),
            replicas=wanted,
            cluster_id=rules.cluster_id,
            cluster_name=rules.cluster_name,
        )

    def _described(
        self,
        request: Request,
        rules: Rules,
        stage: Stage,
        given: Deployment,
        suspects: Asking | None,
    ) -> Answer | None:
        """What can be said without images, where that is not "in order"."""
        if not rules.config.disable_bypass and given.annotations.get(telling.BREAK_GLASS):
            _log.warning("break-glass", **place(request), user=text(request.user_info.username))
            return self._done(
                "bypassed",
                Answer(
                    allowed=True,
                    message="Redoubt did not judge this: it has the break-glass annotation. That is recorded.",
                    note="break-glass",
                ),
            )
        unknown: list[ImagePart | None] = [None] * len(given.containers)
        around = rules.around(given.namespace)
        broken = stage.described.deploy(given, unknown, self._now(), around, suspects).broken
        if broken:
            return self._refused(request, rules, given, broken, waiting=len(stage.imaged.compiled))
        return None

    async def _imaged(
        self,
        asked: Asked,
        rules: Rules,
        stage: Stage,
        workload: SeenWorkload,
        until: float,
        make: Callable[[], Deployment],
    ) -> Answer:
        """What images say. Broken by one that is known is broken; else all have to be known."""
        now = self._now()
        kept = [self._images.known(name, "", rules, now) for name in workload.images]
        parts = [None if each is None else each.part for each in kept]
        request, given = asked.request, make()
        missing = [at for at, part in enumerate(parts) if part is None]
        why = ""
        if missing:
            begun = time.monotonic()
            same = request.operation == "UPDATE" and reading.same_images(asked.whole(), workload.images)
            cached = same or not rules.config.scan_inline
            why = await self._fetch(workload, parts, missing, request, rules, cached, until)
            self._figures.waits.observe(time.monotonic() - begun)
        seen = [at for at, part in enumerate(parts) if part is not None]
        judged = given
        if len(seen) < len(parts):
            judged = msgspec.structs.replace(given, containers=tuple(given.containers[at] for at in seen))
        around = rules.around(given.namespace)
        broken = stage.imaged.deploy(judged, [parts[at] for at in seen], now, around).broken
        if broken:
            return self._refused(request, rules, given, broken)
        if len(seen) < len(parts):
            return self._not_in_time(request, rules, len(parts) - len(seen), why)
        if not missing:
            workload.stamps = [0 if each is None else each.stamp for each in kept]
        return self._done("allowed", ALLOWED)

    async def _fetch(
        self,
        workload: SeenWorkload,
        parts: list[ImagePart | None],
        missing: Sequence[int],
        request: Request,
        rules: Rules,
        cached: bool,
        until: float,
    ) -> str:
        """Fill ``parts`` with what can be had in time; why one could not be, if it is not for the time."""
        now = self._now()
        by_name: dict[ImageName, list[int]] = {}
        for at in missing:
            by_name.setdefault(workload.images[at], []).append(at)
        asking = {
            asyncio.create_task(
                self._images.ask(name, "", rules, now, cached=cached, namespace=request.namespace)
            ): where
            for name, where in by_name.items()
        }
        try:
            await asyncio.wait(asking, timeout=max(0.0, until - time.monotonic()))
        finally:
            for task in asking:
                task.cancel()  # what was begun goes on without us
        why = ""
        for task, where in asking.items():
            if not task.done() or task.cancelled():
                continue
            if (error := task.exception()) is not None:
                why = str(error)
                continue
            for at in where:
                parts[at] = task.result()
        return why

    def _refused(
        self, request: Request, rules: Rules, given: Deployment, broken: Sequence[Broken], waiting: int = 0
    ) -> Answer:
        if not request.dry_run:
            action = ON_CREATE if request.operation == "CREATE" else ON_UPDATE
            self._reporter.tell(telling.attempted(broken, given, action, self._now()))
        message = telling.refusal(
            f"This {given.type}", broken, hint=not rules.config.disable_bypass, waiting=waiting
        )
        return self._done("denied", Answer(allowed=False, message=message, note="denied"))

    def _not_in_time(self, request: Request, rules: Rules, missing: int, why: str) -> Answer:
        """What is known broke nothing, and not all is known."""
        refuse = rules.config.at_deadline == "DENY"
        what = f"{missing} of its images {'is' if missing == 1 else 'are'} not known in time"
        _log.warning(
            "images not known in time", refused=refuse, missing=missing, why=text(why), **place(request)
        )
        return self._done(
            "deadline",
            Answer(
                allowed=not refuse,
                message=f"Redoubt {'refuses this' if refuse else 'let this pass unjudged'}: {what}.",
                note="images not known in time",
            ),
        )

    def _done(self, outcome: str, answer: Answer) -> Answer:
        self._figures.count(outcome)
        return answer


_RESOURCES = frozenset(
    {
        "pods",
        "deployments",
        "replicasets",
        "replicationcontrollers",
        "statefulsets",
        "daemonsets",
        "jobs",
        "cronjobs",
        "deploymentconfigs",
    }
)


def place(request: Request) -> dict[str, str]:
    """What is logged of a request: where, and what it is called; never what it says."""
    return {
        "resource": text(request.resource.resource),
        "namespace": text(request.namespace),
        "name": text(request.name),
    }
