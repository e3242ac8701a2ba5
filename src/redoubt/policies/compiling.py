"""A policy compiled: its sections as one question each, its scopes, and what it lacks data for. Pure.

A section is asked of a ``World``: a workload with what is around it, its containers with their images, and, at
runtime, the one thing that happened. What happened in a container holds for that container alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import msgspec

from redoubt.model.happening import FileAccess, KubernetesEvent, NetworkFlow, StartedProcess
from redoubt.model.scannedimage import ScannedImage
from redoubt.model.workload import Container, Deployment, ImageName, Surroundings
from redoubt.policies import showing
from redoubt.policies.criteria import IN_IMAGES, Happening, Level
from redoubt.policies.policy import Policy, PolicySection
from redoubt.policies.scopes import Applies
from redoubt.policies.sections import (
    Branch,
    Held,
    ImageTree,
    ImageView,
    Row,
    branch,
    combined,
    leaves_of,
    together,
)
from redoubt.policies.values import BadValue, Clock

#: A policy tells at most so many things that are wrong with one object.
MOST_VIOLATIONS = 40

NO_NAME = ImageName()


class Violation(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """What broke a policy: a line for people, and the criteria with what the object said. ``container`` and ``image``
    are empty where it is the workload as a whole."""

    message: str
    section: str
    held: tuple[Held, ...]
    container: str = ""
    image: str = ""


class ImagePart:
    """What the policies of one set make of one image, kept for as long as both stay the same: until ``until``.

    ``verdicts`` has an answer for every image tree of the set; None is "not known". ``may`` has the bits of those that are not False.
    """

    __slots__ = ("made", "may", "name", "until", "verdicts", "view")

    def __init__(self, image: ScannedImage, trees: Sequence[ImageTree], clock: Clock) -> None:
        self.view = ImageView(image)
        self.name = image.name or NO_NAME
        self.verdicts = [tree.holds(self.view, clock) for tree in trees]
        self.may = sum(1 << at for at, verdict in enumerate(self.verdicts) if verdict is not False)
        self.made = clock.now
        self.until = clock.until


class Placed:
    """A container and its image. The container says what the image is called, where it does."""

    __slots__ = ("container", "name", "part", "verdicts")

    def __init__(self, container: Container, part: ImagePart) -> None:
        self.container = container
        self.part = part
        self.verdicts = part.verdicts
        image = container.image
        self.name = part.name if image is None or image.name is None else image.name


class World:
    """What policies are asked about. ``happened`` is what a runtime policy is asked about; ``where`` its container."""

    __slots__ = ("around", "clock", "deployment", "event", "file", "flow", "placed", "started", "where")

    def __init__(
        self,
        clock: Clock,
        deployment: Deployment,
        placed: Sequence[Placed],
        around: Surroundings,
        *,
        where: str = "",
        started: StartedProcess | None = None,
        event: KubernetesEvent | None = None,
        flow: NetworkFlow | None = None,
        file: FileAccess | None = None,
    ) -> None:
        self.clock = clock
        self.deployment = deployment
        self.placed = placed
        self.around = around
        self.where = where
        self.started = started
        self.event = event
        self.flow = flow
        self.file = file


#: Whether something holds in a world; None where that is not known.
Answer = Callable[[World], bool | None]


class CompiledSection:
    """One section. ``holds`` says whether, ``rows`` why; ``leaves`` are its criteria by what they read from."""

    __slots__ = (
        "_ancestors",
        "_apart",
        "_in_container",
        "_test",
        "criteria",
        "holds",
        "leaves",
        "name",
        "ports",
        "tree",
        "tree_at",
        "variables",
        "volumes",
    )

    def __init__(self, section: PolicySection, number: int, trees: list[ImageTree]) -> None:
        leaves = leaves_of(section)
        self.name = section.section_name or f"Section {number}"
        self.criteria = [leaf.criterion for leaf in leaves]
        self.leaves = {level: [leaf for leaf in leaves if leaf.criterion.level is level] for level in Level}
        self.ports = branch(
            leaves, (Level.PORT, lambda w: w.ports), (Level.EXPOSURE, lambda p: p.exposure_infos)
        )
        self._ancestors = branch(leaves, (Level.ANCESTOR, _ancestors))
        self.variables = branch(leaves, (Level.VARIABLE, _variables))
        self.volumes = branch(leaves, (Level.VOLUME, lambda container: container.volumes))
        self._test = together([leaf.test for leaf in self.leaves[Level.CONTAINER]])
        self._in_container = [each for each in (self.variables, self.volumes) if each is not None]
        asked = [leaf for leaf in leaves if leaf.criterion.level in IN_IMAGES - {Level.NAME}]
        self.tree: ImageTree | None = None
        self.tree_at = -1
        if asked:
            self.tree, self.tree_at = _shared(ImageTree(asked), trees)
        self._apart = self._checks()
        self.holds = self._holds()

    def happens(self, kind: Happening) -> bool:
        """Whether it is about that kind of event."""
        return any(kind in criterion.happenings for criterion in self.criteria)

    @property
    def contained(self) -> bool:
        """Whether it asks anything of containers."""
        return bool(self._test or self._in_container or self.leaves[Level.NAME] or self.tree is not None)

    def _checks(self) -> list[Callable[[World], bool]]:
        """What is asked of anything but containers; what happened first, as it is the least likely to fit."""
        checks: list[Callable[[World], bool]] = []
        for level, thing in _THINGS.items():
            if (test := together([leaf.test for leaf in self.leaves[level]])) is not None:
                checks.append(_of(thing, test))
            if level is Level.PROCESS and self._ancestors is not None:
                checks.append(_of(thing, self._ancestors.exists))
            if level is Level.DEPLOYMENT and self.ports is not None:
                checks.append(_of(thing, self.ports.exists))
        return checks

    def _holds(self) -> Answer:
        apart = self._apart
        if not self.contained:
            if len(apart) == 1:
                return apart[0]
            return lambda world: all(check(world) for check in apart)
        within = self._within()
        if not apart:
            return within
        return lambda world: all(check(world) for check in apart) and within(world)

    def _within(self) -> Answer:
        """What is asked of containers: of one of them."""
        test = together(
            [leaf.test for leaf in self.leaves[Level.CONTAINER]]
            + [each.exists for each in self._in_container]
        )
        named = together([leaf.test for leaf in self.leaves[Level.NAME]])
        at = self.tree_at

        def container_only(world: World) -> bool:
            assert test is not None
            for placed in world.placed:  # noqa: SIM110
                if test(placed.container, world.clock):
                    return True
            return False

        def image_only(world: World) -> bool | None:
            answer: bool | None = False
            for placed in world.placed:
                if (verdict := placed.verdicts[at]) is True:
                    return True
                if verdict is None:
                    answer = None
            return answer

        def all_of_it(world: World) -> bool | None:
            answer: bool | None = False
            for placed in world.placed:
                if test is not None and not test(placed.container, world.clock):
                    continue
                if named is not None and not named(placed.name, world.clock):
                    continue
                verdict = True if at < 0 else placed.verdicts[at]
                if verdict is True:
                    return True
                if verdict is None:
                    answer = None
            return answer

        if named is None and at < 0:
            return container_only
        return image_only if named is None and test is None else all_of_it

    def rows(self, world: World) -> Iterator[tuple[Row, Placed | None]]:
        """What held, where the section holds: of each container for which it does."""
        base = [
            leaf.held(given)
            for level, thing in _THINGS.items()
            if (given := thing(world)) is not None
            for leaf in self.leaves[level]
        ]
        around: list[list[Row]] = []
        if self.leaves[Level.PROCESS] and world.started is not None:
            around.append([Row(showing.subject(Level.PROCESS, world.started), ())])
        if self._ancestors is not None and world.started is not None:
            around.append(_first(self._ancestors, world.started, world.clock))
        if self.ports is not None:
            around.append(_first(self.ports, world.deployment, world.clock))
        if not self.contained:
            yield from ((row, None) for row in combined(base, around))
            return
        for placed in world.placed:
            if (inner := self._placed(placed, world.clock)) is not None:
                held, branches = inner
                yield from ((row, placed) for row in combined(base + held, around + branches))

    def _placed(self, placed: Placed, clock: Clock) -> tuple[list[Held], list[list[Row]]] | None:
        """What held for one container; None where the section does not hold for it."""
        named = self.leaves[Level.NAME]
        own = self.leaves[Level.CONTAINER]
        if not all(leaf.test(placed.container, clock) for leaf in own):
            return None
        if not all(leaf.test(placed.name, clock) for leaf in named):
            return None
        if self.tree_at >= 0 and placed.verdicts[self.tree_at] is not True:
            return None
        branches = [_first(each, placed.container, clock) for each in self._in_container]
        if self.tree is not None:
            # A moment is judged as it was when the part was made, or a row might be missing.
            part = placed.part
            branches.append(list(self.tree.rows(part.view, Clock(part.made), MOST_VIOLATIONS)))
        if not all(branches):
            return None
        held = [leaf.held(placed.container) for leaf in own] + [leaf.held(placed.name) for leaf in named]
        return held, branches


def _first(of: Branch, owner: object, clock: Clock) -> list[Row]:
    return list(islice(of.rows(owner, clock), MOST_VIOLATIONS))


def _ancestors(started: StartedProcess) -> Sequence[object]:
    return () if started.process.signal is None else started.process.signal.lineage_info


def _variables(container: Container) -> Sequence[object]:
    return () if container.config is None else container.config.env


#: What is read of a world at each level that is in no container; what happened first.
_THINGS: dict[Level, Callable[[World], object]] = {
    Level.PROCESS: lambda world: world.started,
    Level.EVENT: lambda world: world.event,
    Level.FLOW: lambda world: world.flow,
    Level.FILE: lambda world: world.file,
    Level.DEPLOYMENT: lambda world: world.deployment,
    Level.NETWORK_POLICIES: lambda world: world.around.network_policies,
}


def _of(thing: Callable[[World], object], test: Callable[[object, Clock], bool]) -> Callable[[World], bool]:
    def check(world: World) -> bool:
        given = thing(world)
        return given is not None and test(given, world.clock)

    return check


def _shared(tree: ImageTree, trees: list[ImageTree]) -> tuple[ImageTree, int]:
    """The tree that asks the same, if there is one, and where it is."""
    for at, other in enumerate(trees):
        if other.key == tree.key:
            return other, at
    trees.append(tree)
    return tree, len(trees) - 1


class CompiledPolicy:
    """A policy as it is asked. Raises :class:`BadValue`, ``patterns.BadPattern`` and ``ValueError`` where it cannot be."""

    __slots__ = ("_skipped", "applies", "needs_image", "no_source", "policy", "sections")

    def __init__(self, policy: Policy, trees: list[ImageTree]) -> None:
        if not policy.policy_sections:
            raise BadValue("a policy without sections")
        self.policy = policy
        self.applies = Applies(policy.scope, policy.exclusions)
        self.sections = [
            CompiledSection(section, number, trees)
            for number, section in enumerate(policy.policy_sections, 1)
        ]
        criteria = [criterion for section in self.sections for criterion in section.criteria]
        self.needs_image = any(criterion.needs_image for criterion in criteria)
        self.no_source = tuple(dict.fromkeys(c.name for c in criteria if c.no_source))
        only = policy.evaluation_filter
        self._skipped = frozenset() if only is None else frozenset(only.skip_container_types)

    def seen(self, world: World) -> World | None:
        """The world without the containers that the policy does not look at; None where it happened in one of them."""
        if not self._skipped:
            return world
        if world.where and any(
            each.container.name == world.where and each.container.type in self._skipped
            for each in world.placed
        ):
            return None
        return World(
            world.clock,
            world.deployment,
            [each for each in world.placed if each.container.type not in self._skipped],
            world.around,
            where=world.where,
            started=world.started,
            event=world.event,
            flow=world.flow,
            file=world.file,
        )

    def violations(self, world: World, sections: Sequence[CompiledSection]) -> tuple[Violation, ...]:
        """What those sections found, at most ``MOST_VIOLATIONS``."""
        found: list[Violation] = []
        for section in sections:
            for row, placed in section.rows(world):
                if len(found) == MOST_VIOLATIONS:
                    return tuple(found)
                found.append(_violation(section.name, row, placed))
        return tuple(found)


def _violation(section: str, row: Row, placed: Placed | None) -> Violation:
    container = "" if placed is None else placed.container.name
    image = "" if placed is None else placed.name.full_name
    said = "; ".join(f"{held.criterion}: {held.value}" for held in row.held)
    where = f"Container '{showing.text(container)}'" if container else ""
    if not where and image:
        where = f"Image '{showing.text(image)}'"
    return Violation(
        message=": ".join(part for part in (where, row.subject, said) if part),
        section=section,
        held=row.held,
        container=container,
        image=image,
    )


def unanswered(section: CompiledSection) -> tuple[str, ...]:
    """The criteria of a section on which its answer hangs while nothing is known of them."""
    return tuple(criterion.name for criterion in section.criteria if criterion.no_source)
