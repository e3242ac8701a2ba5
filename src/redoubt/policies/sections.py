"""A section of a policy, compiled: criteria that all have to hold, and for the same thing. Pure.

What a criterion reads from lies in a tree: a workload has containers, a container has volumes and an image, the image
components, a component flaws. Criteria that read from the same kind of thing have to hold for one such thing, and that
thing has to be in the one container for which the others hold. (The original asks less where two kinds of thing are in
each container: there one container may have the volume and another the flaw.)

Whether a section holds is asked far more often than why, so the two are kept apart: closures without any text for the
one, and for the other a second walk over what held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from redoubt.model.scannedimage import ScannedComponent, ScannedImage
from redoubt.policies import patterns, showing
from redoubt.policies.criteria import ALL, Criterion, Level, observed
from redoubt.policies.policy import PolicyGroup, PolicySection
from redoubt.policies.values import Age, Asked, BadValue, Clock, expression

#: An object and the clock → whether it fits.
Test = Callable[[Any, Clock], bool]


class Held(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A criterion that held, and what the object said."""

    criterion: str
    value: str


class Row(msgspec.Struct, frozen=True):
    """Criteria that held for one thing."""

    subject: str
    held: tuple[Held, ...]


class Leaf:
    """One group of a section: its criterion, and its question as a test of what the criterion reads from."""

    __slots__ = ("asked", "criterion", "test")

    def __init__(self, group: PolicyGroup) -> None:
        criterion = ALL.get(group.field_name)
        if criterion is None:
            raise BadValue(f"policy criteria name {group.field_name[:80]!r} is invalid")
        if not group.values:
            raise BadValue(f"no values for field {criterion.name!r}")
        self.criterion = criterion
        self.asked = Asked(
            tuple(each.value for each in group.values), group.boolean_operator == "AND", group.negate
        )
        self.test = _test(criterion, self.asked)

    @property
    def key(self) -> tuple[str, Asked]:
        """The same for leaves that ask the same."""
        return self.criterion.name, self.asked

    def held(self, given: Any) -> Held:
        """What the object said."""
        if self.criterion.level is Level.VARIABLE:
            return Held(self.criterion.name, showing.text(given.env_var_source))
        return Held(self.criterion.name, showing.value(self.criterion.read(given)))


def _test(criterion: Criterion, asked: Asked) -> Test:
    read, fits = criterion.read, criterion.kind(asked)
    if isinstance(fits, Age):
        age = fits.more_than

        def by_clock(given: Any, clock: Clock) -> bool:
            moment = read(given)
            return moment is not None and clock.older(moment, age)

        return by_clock

    def test(given: Any, _: Clock) -> bool:
        said = read(given)
        return said is not None and fits(said)

    return test


def together(tests: Sequence[Test]) -> Test | None:
    """All of them; None where there is none."""
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda given, clock: first(given, clock) and second(given, clock)
    return lambda given, clock: all(test(given, clock) for test in tests)


class Branch:
    """Criteria that have to hold for one of the things that an object has several of, and for one of the things in that."""

    __slots__ = ("exists", "inner", "items", "leaves", "level", "test")

    def __init__(
        self,
        level: Level,
        items: Callable[[Any], Iterable[Any]],
        leaves: Sequence[Leaf],
        inner: Branch | None = None,
    ) -> None:
        self.level = level
        self.items = items
        self.leaves = leaves
        self.inner = inner
        self.test = together([leaf.test for leaf in leaves])
        self.exists = self._exists()

    def _exists(self) -> Test:
        items, test = self.items, self.test
        deeper = None if self.inner is None else self.inner.exists

        def plain(owner: Any, clock: Clock) -> bool:
            assert test is not None
            for item in items(owner):  # noqa: SIM110  half the time of any()
                if test(item, clock):
                    return True
            return False

        def passing(owner: Any, clock: Clock) -> bool:
            assert deeper is not None
            for item in items(owner):  # noqa: SIM110
                if deeper(item, clock):
                    return True
            return False

        def both(owner: Any, clock: Clock) -> bool:
            assert test is not None
            assert deeper is not None
            for item in items(owner):  # noqa: SIM110
                if test(item, clock) and deeper(item, clock):
                    return True
            return False

        if deeper is None:
            return plain
        return passing if test is None else both

    def rows(self, owner: Any, clock: Clock) -> Iterator[Row]:
        """Every thing for which they hold."""
        for item in self.items(owner):
            if self.test is not None and not self.test(item, clock):
                continue
            held = tuple(leaf.held(item) for leaf in self.leaves)
            if self.inner is None:
                yield Row(showing.subject(self.level, item, owner), held)
                continue
            for row in self.inner.rows(item, clock):
                yield Row(row.subject or showing.subject(self.level, item, owner), held + row.held)


def branch(
    leaves: Sequence[Leaf],
    outer: tuple[Level, Callable[[Any], Iterable[Any]]],
    inner: tuple[Level, Callable[[Any], Iterable[Any]]] | None = None,
) -> Branch | None:
    """What a section asks of things of one kind, and of the things in them; None where it asks nothing."""
    own = [leaf for leaf in leaves if leaf.criterion.level is outer[0]]
    deeper = None if inner is None else branch(leaves, inner)
    if not own and deeper is None:
        return None
    return Branch(outer[0], outer[1], own, deeper)


def combined(base: Sequence[Held], branches: Sequence[Sequence[Row]]) -> Iterator[Row]:
    """What held at once. Of several kinds of thing the most numerous is gone through, of the others the first is told."""
    if not branches:
        yield Row("", tuple(base))
        return
    longest = max(branches, key=len)
    rest = [rows[0] for rows in branches if rows is not longest]
    for row in longest:
        subjects = [each.subject for each in (row, *rest) if each.subject]
        yield Row(", ".join(subjects), (*base, *row.held, *(held for each in rest for held in each.held)))


class SeenComponent:
    """A component, and those of its flaws that count."""

    __slots__ = ("flaws", "name", "version")

    def __init__(self, component: ScannedComponent) -> None:
        self.name = component.name
        self.version = component.version
        self.flaws = [flaw for flaw in component.vulns if observed(flaw)] if component.vulns else []


class ImageView:
    """An image as all trees of a set look at it. ``names`` and ``cves`` are in small letters, None where not all is ASCII."""

    __slots__ = ("components", "cves", "flaws", "image", "lines", "names")

    def __init__(self, image: ScannedImage) -> None:
        v1 = None if image.metadata is None else image.metadata.v1
        self.image = image
        self.lines = () if v1 is None else v1.layers
        self.components = (
            [] if image.scan is None else [SeenComponent(each) for each in image.scan.components]
        )
        self.flaws = [flaw for each in self.components for flaw in each.flaws]
        self.names = _small(each.name for each in self.components)
        self.cves = _small(flaw.cve for flaw in self.flaws)


def _small(texts: Iterable[str]) -> frozenset[str] | None:
    found = {text.lower() for text in texts}
    return frozenset(found) if all(text.isascii() for text in found) else None


class ImageTree:
    """What a section asks of an image: of itself, its Dockerfile's lines, its components and their flaws."""

    __slots__ = ("_cves", "_names", "branches", "key", "leaves", "test", "unknown")

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self.key = tuple(sorted((leaf.key for leaf in leaves), key=repr))
        own = [leaf for leaf in leaves if leaf.criterion.level is Level.IMAGE]
        self.leaves = own
        self.unknown = [leaf for leaf in own if leaf.criterion.no_source]
        lines = branch(leaves, (Level.LINE, lambda view: view.lines))
        components = branch(
            leaves,
            (Level.COMPONENT, lambda view: view.components),
            (Level.FLAW, lambda component: component.flaws),
        )
        self.branches = [each for each in (lines, components) if each is not None]
        tests = [_of_image(leaf.test) for leaf in own if not leaf.criterion.no_source]
        tests += [] if lines is None else [lines.exists]
        if components is not None and not components.leaves:
            # Which component a flaw is in does not matter: all flaws of the image are gone through at once.
            flat = branch(leaves, (Level.FLAW, lambda view: view.flaws))
            assert flat is not None
            tests.append(flat.exists)
        elif components is not None:
            tests.append(components.exists)
        self.test = together(tests)
        self._names = _asked_words(leaves, Level.COMPONENT)
        self._cves = _asked_words(leaves, Level.FLAW)

    def holds(self, view: ImageView, clock: Clock) -> bool | None:
        """Whether it holds; None where that hangs on what nothing is known of."""
        if self._names is not None and view.names is not None and self._names.isdisjoint(view.names):
            return False
        if self._cves is not None and view.cves is not None and self._cves.isdisjoint(view.cves):
            return False
        if self.test is not None and not self.test(view, clock):
            return False
        answer: bool | None = True
        for leaf in self.unknown:
            if leaf.criterion.read(view.image) is None:
                answer = None
            elif not leaf.test(view.image, clock):
                return False
        return answer

    def rows(self, view: ImageView, clock: Clock, most: int) -> Iterator[Row]:
        """What held, where it holds."""
        return combined(
            [leaf.held(view.image) for leaf in self.leaves],
            [list(islice(each.rows(view, clock), most)) for each in self.branches],
        )


def _of_image(test: Test) -> Test:
    return lambda view, clock: test(view.image, clock)


def _asked_words(leaves: Sequence[Leaf], level: Level) -> frozenset[str] | None:
    """Of names of components, or of CVEs, the words one of which has to be there; None where it is not that simple.

    Most policies about either name a few, and most images have none of them: they need not be gone through.
    """
    for leaf in leaves:
        if leaf.criterion.name not in ("CVE", "Image Component") or leaf.criterion.level is not level:
            continue
        if leaf.asked.negate or leaf.asked.every:
            continue
        # The very matchers that the criterion asks: see ``values.compound`` and ``values.regex``.
        if level is Level.COMPONENT:
            matchers = [patterns.whole(value.partition("=")[0]) for value in leaf.asked.values]
        else:
            matchers = [expression(value) for value in leaf.asked.values]
        words = [patterns.words_of(each) for each in matchers]
        if all(each is not None for each in words):
            return frozenset().union(*(each for each in words if each is not None))
    return None


def leaves_of(section: PolicySection) -> list[Leaf]:
    """The section's criteria, compiled. Raises :class:`BadValue` and ``patterns.BadPattern``."""
    if not section.policy_groups:
        raise BadValue("a section without criteria")
    return [Leaf(group) for group in section.policy_groups]
