"""Policies asked: of an image, a workload, a process, a request, a connection, a file access. Pure.

A :class:`PolicySet` is compiled once and asked many times, by any number of threads. What it makes of an image is kept
by the caller (:meth:`PolicySet.image`), as many workloads have the same image.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from redoubt.errors import RedoubtError
from redoubt.model.happening import FileAccess, KubernetesEvent, NetworkFlow, StartedProcess
from redoubt.model.scannedimage import ScannedImage
from redoubt.model.workload import Container, Deployment, Surroundings
from redoubt.policies.compiling import (
    CompiledPolicy,
    CompiledSection,
    ImagePart,
    Placed,
    Violation,
    World,
    unanswered,
)
from redoubt.policies.criteria import Happening
from redoubt.policies.plan import Asking, Plan
from redoubt.policies.policy import Policy
from redoubt.policies.sections import ImageTree
from redoubt.policies.values import Clock

_NOWHERE = Surroundings()
_NONE = Deployment()
#: Between these a network baseline can be learned, so only these can break a policy.
_BASELINED = frozenset({"DEPLOYMENT", "EXTERNAL_SOURCE", "INTERNET"})


class Broken:
    """A policy that does not hold. ``violations`` are found when they are asked for."""

    __slots__ = ("_compiled", "_found", "_sections", "_world")

    def __init__(self, compiled: CompiledPolicy, world: World, sections: Sequence[CompiledSection]) -> None:
        self._compiled = compiled
        self._world = world
        self._sections = sections
        self._found: tuple[Violation, ...] | None = None

    @property
    def policy(self) -> Policy:
        """Which one."""
        return self._compiled.policy

    @property
    def violations(self) -> tuple[Violation, ...]:
        """What broke it; never empty."""
        if self._found is None:
            self._found = self._compiled.violations(self._world, self._sections)
        return self._found


class Unanswered(msgspec.Struct, frozen=True):
    """A policy that may be broken: it hangs on ``criteria`` of which nothing is known."""

    policy: Policy
    criteria: tuple[str, ...]


class Verdict(msgspec.Struct, frozen=True):
    """What policies say of one thing."""

    broken: tuple[Broken, ...] = ()
    unanswered: tuple[Unanswered, ...] = ()


class Refused(msgspec.Struct, frozen=True):
    """A policy that cannot be asked, and why."""

    policy: Policy
    reason: str


class PolicySet:
    """Policies, compiled. Those that are disabled are left out; ``refused`` are those that cannot be compiled."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._trees: list[ImageTree] = []
        self.compiled: list[CompiledPolicy] = []
        self.refused: list[Refused] = []
        for policy in policies:
            if policy.disabled:
                continue
            try:
                self.compiled.append(CompiledPolicy(policy, self._trees))
            except (RedoubtError, ValueError) as error:
                self.refused.append(Refused(policy, str(error)))
        self._unknown = ImagePart(ScannedImage(), self._trees, Clock(datetime.max.replace(tzinfo=UTC)))
        self._arrange()

    def only(self, wanted: Callable[[Policy], bool]) -> PolicySet:
        """Those of the policies that are wanted, not compiled again. What one set makes of an image is good for both."""
        chosen = copy.copy(self)
        chosen.compiled = [each for each in self.compiled if wanted(each.policy)]
        chosen.refused = [each for each in self.refused if wanted(each.policy)]
        chosen._arrange()
        return chosen

    def _arrange(self) -> None:
        self._build, self._deploy = (
            [(each, each.sections) for each in self.compiled if stage in each.policy.lifecycle_stages]
            for stage in ("BUILD", "DEPLOY")
        )
        self.plan = Plan(self._deploy, len(self._trees))
        self._happens = {kind: self._of_kind(kind, "DEPLOYMENT_EVENT") for kind in Happening}
        self._happens[Happening.AUDIT] = self._of_kind(Happening.AUDIT, "AUDIT_LOG_EVENT")
        self._on_nodes = self._of_kind(Happening.FILE, "NODE_EVENT")

    def _of_kind(self, kind: Happening, source: str) -> list[tuple[CompiledPolicy, list[CompiledSection]]]:
        """The policies about that kind of event, with those of their sections that are."""
        found = []
        for each in self.compiled:
            if "RUNTIME" not in each.policy.lifecycle_stages or each.policy.event_source != source:
                continue
            sections = [
                section
                for section in each.sections
                if section.happens(kind)
                and (kind is not Happening.PROCESS or not section.happens(Happening.FILE))
            ]
            if sections:
                found.append((each, sections))
        return found

    def image(self, image: ScannedImage, now: datetime) -> ImagePart:
        """What the policies make of an image. Keep it while image and policies stay the same, until its ``until``."""
        return ImagePart(image, self._trees, Clock(now))

    def build(self, part: ImagePart, now: datetime) -> Verdict:
        """What breaks a BUILD policy in an image."""
        name = part.name.full_name
        world = World(Clock(now), _NONE, (Placed(Container(), part),), _NOWHERE)
        return _asked(self._build, world, lambda each: each.applies.to_image(name, now))

    def deploy(
        self,
        deployment: Deployment,
        parts: Sequence[ImagePart | None],
        now: datetime,
        around: Surroundings = _NOWHERE,
        suspects: Asking | None = None,
    ) -> Verdict:
        """What breaks a DEPLOY policy in a workload. ``parts`` are its containers' images, None where nothing is known of one.

        ``suspects`` are those of the policies that may be broken, where that was found out before (``glance``).
        """
        world = World(Clock(now), deployment, self._placed(deployment, parts), around)
        return _asked(
            self.plan.suspects(world) if suspects is None else suspects,
            world,
            lambda each: each.applies.to_deployment(deployment, around, now),
        )

    def process(
        self,
        deployment: Deployment,
        parts: Sequence[ImagePart | None],
        started: StartedProcess,
        now: datetime,
        around: Surroundings = _NOWHERE,
    ) -> Verdict:
        """What breaks a runtime policy in a process that was started in a workload."""
        where = started.process.container_name
        world = World(
            Clock(now),
            deployment,
            self._placed(deployment, parts, where),
            around,
            where=where,
            started=started,
        )
        return self._happened(Happening.PROCESS, world)

    def request(
        self,
        deployment: Deployment,
        parts: Sequence[ImagePart | None],
        event: KubernetesEvent,
        now: datetime,
        around: Surroundings = _NOWHERE,
    ) -> Verdict:
        """What breaks a runtime policy in a request about a workload's pod: exec, attach, port-forward."""
        args = event.pod_exec_args or event.pod_attach_args
        where = "" if args is None else args.container
        placed = self._placed(deployment, parts, where or None)
        world = World(Clock(now), deployment, placed, around, where=where, event=event)
        return self._happened(Happening.KUBERNETES, world)

    def flow(
        self,
        deployment: Deployment,
        parts: Sequence[ImagePart | None],
        flow: NetworkFlow,
        now: datetime,
        around: Surroundings = _NOWHERE,
    ) -> Verdict:
        """What breaks a runtime policy in a connection of a workload's."""
        if not {flow.src_entity_type, flow.dst_entity_type} <= _BASELINED:
            return Verdict()
        world = World(Clock(now), deployment, self._placed(deployment, parts), around, flow=flow)
        return self._happened(Happening.FLOW, world)

    def file(
        self,
        deployment: Deployment,
        parts: Sequence[ImagePart | None],
        access: FileAccess,
        now: datetime,
        around: Surroundings = _NOWHERE,
    ) -> Verdict:
        """What breaks a runtime policy in what a workload's process did to a file."""
        where = "" if access.process is None else access.process.container_name
        placed = self._placed(deployment, parts, where or None)
        world = World(
            Clock(now), deployment, placed, around, where=where, started=_behind(access), file=access
        )
        return self._happened(Happening.FILE, world)

    def file_on_node(self, access: FileAccess, now: datetime) -> Verdict:
        """What breaks a runtime policy in what a node's process did to a file. Scopes are not about nodes."""
        world = World(Clock(now), _NONE, (), _NOWHERE, started=_behind(access), file=access)
        return _asked(self._on_nodes, world, lambda _: True)

    def audit(self, event: KubernetesEvent, now: datetime, around: Surroundings = _NOWHERE) -> Verdict:
        """What breaks a runtime policy in an event of the API server's audit log."""
        world = World(Clock(now), _NONE, (), around, event=event)
        return _asked(
            self._happens[Happening.AUDIT], world, lambda each: each.applies.to_event(event, around, now)
        )

    def _happened(self, kind: Happening, world: World) -> Verdict:
        return _asked(
            self._happens[kind],
            world,
            lambda each: each.applies.to_deployment(world.deployment, world.around, world.clock.now),
        )

    def _placed(
        self, deployment: Deployment, parts: Sequence[ImagePart | None], where: str | None = None
    ) -> Sequence[Placed]:
        """The containers with their images; only the one called ``where``, if that is given."""
        if len(parts) != len(deployment.containers):
            raise ValueError(f"{len(deployment.containers)} containers, and {len(parts)} images")
        return [
            Placed(container, self._unknown if part is None else part)
            for container, part in zip(deployment.containers, parts, strict=True)
            if where is None or container.name == where
        ]


def _asked(
    policies: Sequence[tuple[CompiledPolicy, list[CompiledSection]]],
    world: World,
    applies: Callable[[CompiledPolicy], bool],
) -> Verdict:
    """Whether it applies is asked last: most policies hold."""
    broken: list[Broken] = []
    open_questions: list[Unanswered] = []
    for compiled, sections in policies:
        seen = compiled.seen(world)
        if seen is None:
            continue
        held = []
        unknown: list[str] = []
        for section in sections:
            answer = section.holds(seen)
            if answer is True:
                held.append(section)
            elif answer is None:
                unknown += unanswered(section)
        if not held and not unknown:
            continue
        if not applies(compiled):
            continue
        if held:
            broken.append(Broken(compiled, seen, held))
        else:
            open_questions.append(Unanswered(compiled.policy, tuple(dict.fromkeys(unknown))))
    return Verdict(tuple(broken), tuple(open_questions))


def _behind(access: FileAccess) -> StartedProcess | None:
    return None if access.process is None else StartedProcess(process=access.process)
