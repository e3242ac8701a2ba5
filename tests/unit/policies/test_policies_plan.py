"""The plan asks a few policies in place of all: what is found is the same, whatever policies and workloads there are."""

from __future__ import annotations

import random
from typing import Any

import pytest

from redoubt.model.scannedimage import ScannedImage
from redoubt.model.workload import Container, Deployment, Resources, SecurityContext, Surroundings
from redoubt.policies import PolicySet, Verdict
from redoubt.policies.compiling import Placed, World
from redoubt.policies.criteria import ALL
from redoubt.policies.defaults import default_policies
from redoubt.policies.policy import EvaluationFilter, Policy, PolicyGroup
from redoubt.policies.values import Clock
from support.policies import NOW, container, deployment, group, image, policy
from unit.policies.test_policies_criteria import CASES

#: What criteria's cases say of each part of a workload.
OWN = [fields for case in CASES for kind, fields in (*case[1], *case[2]) if kind == "deployment"]
INSIDE = [fields for case in CASES for kind, fields in (*case[1], *case[2]) if kind == "container"]
AROUND = [given for case in CASES for kind, given in (*case[1], *case[2]) if kind == "around"]
IMAGES = [given for case in CASES for _, given in (*case[1], *case[2]) if isinstance(given, ScannedImage)]


def some_policy(chance: random.Random, number: int) -> Policy:
    """Criteria of any kind put together anyhow: many of them no policy of Central's would have."""

    def some_group() -> PolicyGroup:
        given = chance.choice(CASES)[0]
        turned = group(
            given.field_name,
            *(each.value for each in given.values),
            every=chance.random() < 0.5,
            negate=chance.random() < 0.5,
        )
        return turned if chance.random() < 0.2 and not PolicySet([policy([turned])]).refused else given

    sections = [
        [some_group() for _ in range(chance.choice((1, 1, 2, 3)))] for _ in range(chance.choice((1, 1, 2)))
    ]
    return policy(*sections, id=f"00000000-0000-4000-8000-{number:012d}", name=f"policy {number}")


def some_workload(chance: random.Random) -> tuple[Deployment, list[ScannedImage | None], Surroundings]:
    """A workload with a few containers, each of which is some of what the cases are about."""
    containers = []
    for at in range(chance.choice((0, 1, 1, 2, 3))):
        fields: dict[str, Any] = {}
        for _ in range(chance.choice((0, 1, 2, 4))):
            fields |= chance.choice(INSIDE)
        kind = chance.choice(("REGULAR", "REGULAR", "INIT"))
        containers.append(Container(**{**_fields(container(f"c{at}")), **fields, "type": kind}))
    own: dict[str, Any] = {}
    for _ in range(chance.choice((0, 1, 2, 4))):
        own |= chance.choice(OWN)
    given = Deployment(**{**_fields(deployment()), **own, "containers": tuple(containers)})
    images = [chance.choice((None, chance.choice(IMAGES))) for _ in containers]
    return given, images, chance.choice((Surroundings(), chance.choice(AROUND)))


def _fields(given: Any) -> dict[str, Any]:
    return {name: getattr(given, name) for name in given.__struct_fields__}


def plain(asked: PolicySet, *arguments: Any) -> Verdict:
    """What all policies say, each asked by itself."""
    return asked.deploy(*arguments, suspects=[(each, each.sections) for each in asked.compiled])


def said(found: Verdict) -> tuple[object, ...]:
    return (
        [(each.policy.id, each.violations) for each in found.broken],
        [(each.policy.id, each.criteria) for each in found.unanswered],
    )


@pytest.mark.parametrize("seed", range(12))
def test_any_policies_find_in_any_workloads_what_each_finds_by_itself(seed: int) -> None:
    chance = random.Random(seed)
    policies = [some_policy(chance, number) for number in range(150)]
    filtered = EvaluationFilter(skip_container_types=("INIT",))
    policies += [
        policy(
            *(each.policy_groups for each in one.policy_sections),
            id=one.id[:-3] + "999",
            evaluation_filter=filtered,
        )
        for one in policies[:20]
    ]
    asked = PolicySet(policies)
    assert len(asked.refused) < len(policies) / 2
    found = broken = 0
    for _ in range(60):
        given, images, around = some_workload(chance)
        parts = [None if each is None else asked.image(each, NOW) for each in images]
        quick = asked.deploy(given, parts, NOW, around)
        assert said(quick) == said(plain(asked, given, parts, NOW, around))
        broken += len(quick.broken)
        found += bool(quick.broken)
    assert found > 10
    assert broken < 60 * len(asked.compiled) / 2


def test_every_criterion_of_a_workload_is_asked_by_the_plan() -> None:
    """Each fits its cases by itself, and not the others: a plan that asked nothing would say the same of both."""
    for asked_for, fits, fits_not in CASES:
        if ALL[asked_for.field_name].runtime:
            continue
        asked = PolicySet([policy([asked_for])])
        for kind, thing in (*fits, *fits_not):
            given, images, around = _about(kind, thing)
            parts = [None if each is None else asked.image(each, NOW) for each in images]
            for _ in range(2):  # the second time it is remembered
                quick = asked.deploy(given, parts, NOW, around)
                assert bool(quick.broken) == ((kind, thing) in fits), asked_for.field_name
                assert said(quick) == said(plain(asked, given, parts, NOW, around))


def test_of_a_workload_that_is_in_order_few_default_policies_are_asked() -> None:
    asked = PolicySet([each for each in default_policies() if "DEPLOY" in each.lifecycle_stages])
    secured = SecurityContext(read_only_root_filesystem=True, drop_capabilities=("ALL",))
    given = deployment(
        container(security_context=secured, resources=Resources(cpu_cores_request=1, memory_mb_limit=1)),
        labels={"owner": "blue"},
        annotations={"owner": "blue", "email": "a@b.example"},
    )
    part = asked.image(image(user="1000"), NOW)
    world = World(Clock(NOW), given, [Placed(given.containers[0], part)], Surroundings())
    assert len(asked.compiled) > 30
    assert len(asked.plan.suspects(world)) < 4


def test_what_is_remembered_is_bounded() -> None:
    asked = PolicySet([policy([group("Environment Variable", "RAW=.*SECRET.*=")])])
    feature = asked.plan.of_variable
    assert feature is not None
    for number in range(20_000):
        feature.known.keep(("RAW", f"VARIABLE_{number}"), 0, 20)
    assert len(feature.known) < 10_000
    feature.known.keep(("RAW", "x" * 10_000), 0, 10_000)
    assert ("RAW", "x" * 10_000) not in feature.known


def _about(kind: str, thing: Any) -> tuple[Deployment, list[ScannedImage | None], Surroundings]:
    if kind == "deployment":
        return deployment(**thing), [None], Surroundings()
    if kind == "container":
        return deployment(Container(**{**_fields(container()), **thing})), [None], Surroundings()
    if kind == "around":
        return deployment(), [None], thing
    return deployment(), [thing], Surroundings()
