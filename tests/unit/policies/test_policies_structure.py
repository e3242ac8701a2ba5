"""How criteria are joined: sections, groups, values, negation, and that all hold for the same thing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.model.happening import PodExecArgs
from redoubt.model.scannedimage import ScannedComponent, ScannedImage
from redoubt.model.workload import Container, Deployment, ImageName, Port, SecurityContext, Volume
from redoubt.policies.policy import Policy, PolicyGroup, PolicySection
from support.policies import (
    NOW,
    asked,
    container,
    deployed,
    deployment,
    flaw,
    group,
    image,
    policy,
    runtime,
    started,
)

#: A criterion → what it reads from (a name in an assignment) and how its value is judged, told a second time here.
_SIMPLE: dict[str, tuple[str, Any]] = {
    "Namespace": ("deployment", lambda d, v: d.namespace == v),
    "Host Network": ("deployment", lambda d, v: d.host_network is (v == "true")),
    "Exposed Port": ("port", lambda p, v: p.container_port == int(v)),
    "Exposed Port Protocol": ("port", lambda p, v: p.protocol == v),
    "Container Name": ("container", lambda c, v: c.name == v),
    "Privileged Container": ("container", lambda c, v: c.security_context.privileged is (v == "true")),
    "Volume Name": ("volume", lambda w, v: w.name == v),
    "Volume Source": ("volume", lambda w, v: w.source == v),
    "CVE": ("flaw", lambda f, v: f.cve == v),
    "Fixed By": ("flaw", lambda f, v: f.fixed_by == v),
    "Image Component": ("component", lambda c, v: c.name == v.rstrip("=")),
}
_VALUES = {
    "Host Network": ["true", "false"],
    "Privileged Container": ["true", "false"],
    "Exposed Port": ["1", "2"],
    "Image Component": ["a=", "b="],
}
_FIXED = ("Host Network", "Privileged Container", "Image Component")
_NAMES = st.sampled_from(["a", "b"])


@st.composite
def groups(draw: st.DrawFn, name: str) -> PolicyGroup:
    values = draw(
        st.lists(st.sampled_from(_VALUES.get(name, ["a", "b"])), min_size=1, max_size=2, unique=True)
    )
    if name in _FIXED and name != "Image Component":
        return group(name, values[0])
    negate = draw(st.booleans()) if name not in _FIXED else False
    return group(name, *values, every=draw(st.booleans()), negate=negate)


@st.composite
def sections(draw: st.DrawFn) -> list[PolicyGroup]:
    names = draw(st.lists(st.sampled_from(sorted(_SIMPLE)), min_size=1, max_size=4, unique=True))
    return [draw(groups(name)) for name in names]


_FLAWS = st.builds(lambda cve, fixed: flaw(cve, fixed_by=fixed), _NAMES, _NAMES)
_COMPONENTS = st.builds(
    lambda name, flaws: ScannedComponent(name=name, version="1", vulns=tuple(flaws)),
    _NAMES,
    st.lists(_FLAWS, max_size=2),
)
_IMAGES = st.lists(_COMPONENTS, max_size=2).map(lambda components: image(*components))
_CONTAINERS = st.builds(
    lambda name, privileged, volumes: container(
        name, security_context=SecurityContext(privileged=privileged), volumes=tuple(volumes)
    ),
    _NAMES,
    st.booleans(),
    st.lists(st.builds(lambda n, s: Volume(name=n, source=s), _NAMES, _NAMES), max_size=2),
)
_PORTS = st.builds(lambda n, p: Port(container_port=n, protocol=p), st.integers(1, 2), _NAMES)


def _assignments(what: Deployment, images: list[ScannedImage]) -> Iterator[dict[str, Any]]:
    """Every choice of one port, one container, one volume, one component and one flaw."""
    for port in [*what.ports, None]:
        for each, its in [*zip(what.containers, images, strict=True), (None, None)]:
            for volume in [*(each.volumes if each else ()), None]:
                components = its.scan.components if its is not None and its.scan is not None else ()
                for component in [*components, None]:
                    for one in [*(component.vulns if component else ()), None]:
                        yield {
                            "deployment": what,
                            "port": port,
                            "container": each,
                            "volume": volume,
                            "component": component,
                            "flaw": one,
                        }


def _fits(asked_for: PolicyGroup, chosen: dict[str, Any]) -> bool:
    of, judge = _SIMPLE[asked_for.field_name]
    thing = chosen[of]
    if thing is None:
        return False
    answers = [judge(thing, value.value) for value in asked_for.values]
    joined = all(answers) if asked_for.boolean_operator == "AND" else any(answers)
    return joined is not asked_for.negate


@settings(max_examples=250, deadline=None)
@given(
    st.lists(sections(), min_size=1, max_size=3),
    st.lists(st.tuples(_CONTAINERS, _IMAGES), min_size=1, max_size=2),
    st.lists(_PORTS, max_size=2),
    _NAMES,
    st.booleans(),
)
def test_a_policy_is_broken_when_one_choice_fits_all_of_a_section(
    made: list[list[PolicyGroup]],
    containers: list[tuple[Container, ScannedImage]],
    ports: list[Port],
    namespace: str,
    host: bool,
) -> None:
    images = [each for _, each in containers]
    what = deployment(
        *(each for each, _ in containers), ports=tuple(ports), namespace=namespace, host_network=host
    )
    choices = list(_assignments(what, images))
    expected = any(
        all(_fits(asked_for, chosen) for asked_for in section) for section in made for chosen in choices
    )
    found = deployed(policy(*made), what, images)
    assert bool(found.broken) is expected
    for broken in found.broken:
        assert broken.violations
        names = {each.field_name for section in made for each in section}
        assert {held.criterion for each in broken.violations for held in each.held} <= names


@settings(max_examples=100, deadline=None)
@given(st.lists(sections(), min_size=2, max_size=3), st.lists(_CONTAINERS, min_size=1, max_size=2))
def test_sections_are_joined_by_or(made: list[list[PolicyGroup]], containers: list[Container]) -> None:
    what = deployment(*containers)
    images = [image() for _ in containers]
    together = bool(deployed(policy(*made), what, images).broken)
    apart = any(bool(deployed(policy(section), what, images).broken) for section in made)
    assert together is apart


def test_one_container_has_to_fit_all_criteria_of_a_section() -> None:
    made = policy(
        [
            group("Volume Name", "data"),
            group("Volume Source", "/etc"),
            group("CVE", "CVE-1"),
            group("Fixed By", ".*"),
        ]
    )
    volumes = (Volume(name="data", source="/etc"),)
    mixed = (Volume(name="data", source="/srv"), Volume(name="tmp", source="/etc"))
    bad = image(ScannedComponent(name="x", vulns=(flaw("CVE-1", fixed_by="2"),)))
    half = image(ScannedComponent(name="x", vulns=(flaw("CVE-1"), flaw("CVE-2", fixed_by="2"))))
    first, second = container("one", volumes=volumes), container("two", volumes=mixed)
    assert not deployed(made, deployment(first, second), [half, bad]).broken
    (broken,) = deployed(made, deployment(first, second), [bad, half]).broken
    (violation,) = broken.violations
    assert violation.container == "one"
    assert {held.criterion: held.value for held in violation.held} == {
        "Volume Name": "data",
        "Volume Source": "/etc",
        "CVE": "CVE-1",
        "Fixed By": "2",
    }


def test_flaws_of_one_component_only() -> None:
    made = policy([group("Image Component", "openssl="), group("Severity", ">= IMPORTANT")])
    openssl = ScannedComponent(name="openssl", version="3.0", vulns=(flaw(severity="LOW"),))
    other = ScannedComponent(name="zlib", version="1.3", vulns=(flaw(severity="CRITICAL"),))
    assert not deployed(made, deployment(), [image(openssl, other)]).broken
    worse = msgspec.structs.replace(openssl, vulns=other.vulns)
    (broken,) = deployed(made, deployment(), [image(worse, other)]).broken
    assert "in openssl 3.0" in broken.violations[0].message
    assert len(broken.violations) == 1


def test_each_container_that_fits_is_told() -> None:
    made = policy([group("Privileged Container", "true")])
    bad = SecurityContext(privileged=True)
    what = deployment(
        container("a", security_context=bad), container("b"), container("c", security_context=bad)
    )
    (broken,) = deployed(made, what).broken
    assert [violation.container for violation in broken.violations] == ["a", "c"]
    assert broken.violations[0].message == "Container 'a': Privileged Container: true"


def test_what_happens_in_a_container_is_that_containers() -> None:
    made = asked(runtime([group("Process Name", "iptables"), group("Privileged Container", "true")]))
    what = deployment(container("web"), container("net", security_context=SecurityContext(privileged=True)))
    assert made.process(what, [None, None], started("iptables", where="net"), NOW).broken
    assert not made.process(what, [None, None], started("iptables", where="web"), NOW).broken
    assert not made.process(what, [None, None], started("iptables", where="debugger"), NOW).broken


def test_a_process_in_a_container_that_the_workload_does_not_name_breaks_policies_about_processes() -> None:
    made = asked(runtime([group("Process Name", "iptables")]))
    assert made.process(deployment(), [None], started("iptables", where="debugger-x7"), NOW).broken


def test_an_exec_is_about_the_container_that_it_names() -> None:
    from support.policies import request

    made = asked(runtime([group("Kubernetes Resource", "PODS_EXEC"), group("Privileged Container", "true")]))
    what = deployment(container("web"), container("net", security_context=SecurityContext(privileged=True)))
    for where, broken in (("net", True), ("web", False), ("", True)):
        event = request(pod_exec_args=PodExecArgs(container=where))
        assert bool(made.request(what, [None, None], event, NOW).broken) is broken


def test_containers_of_a_kind_can_be_left_out() -> None:
    from redoubt.policies.policy import EvaluationFilter

    skip = EvaluationFilter(skip_container_types=("INIT",))
    made = policy([group("Privileged Container", "true")], evaluation_filter=skip)
    bad = SecurityContext(privileged=True)
    assert not deployed(made, deployment(container(type="INIT", security_context=bad))).broken
    assert deployed(made, deployment(container(type="INIT"), container("b", security_context=bad))).broken
    started_in_it = asked(runtime([group("Process Name", "sh")], evaluation_filter=skip))
    assert not started_in_it.process(deployment(container(type="INIT")), [None], started(), NOW).broken
    assert started_in_it.process(deployment(container()), [None], started(), NOW).broken


def test_a_build_policy_is_asked_of_the_image_alone() -> None:
    made = asked(
        policy([group("Image Tag", "latest"), group("Image User", "root")], lifecycle_stages=("BUILD",))
    )
    latest = msgspec.structs.replace(image(user="root"), name=ImageName(tag="latest", full_name="x:latest"))
    (broken,) = made.build(made.image(latest, NOW), NOW).broken
    assert broken.violations[0].message.startswith("Image 'x:latest': Image Tag: latest; Image User: root")
    assert not made.build(made.image(image(user="root"), NOW), NOW).broken
    assert not made.deploy(deployment(), [made.image(latest, NOW)], NOW).broken


def test_policies_that_are_disabled_or_broken_are_not_asked() -> None:
    from redoubt.policies import PolicySet

    good = policy([group("Host IPC", "true")])
    made = PolicySet(
        [
            msgspec.structs.replace(good, disabled=True),
            policy([group("Namespace", "(")], name="A bad one"),
            policy([group("No Such Criterion", "x")], name="An unknown one"),
            Policy(name="An empty one", lifecycle_stages=("DEPLOY",)),
            Policy(name="A hollow one", policy_sections=(PolicySection(),)),
            good,
        ]
    )
    assert [each.policy for each in made.compiled] == [good]
    assert [each.policy.name for each in made.refused] == [
        "A bad one",
        "An unknown one",
        "An empty one",
        "A hollow one",
    ]
    assert all(each.reason for each in made.refused)


@pytest.mark.parametrize(
    ("criterion", "value", "broken"),
    [
        ("CVE", "CVE-2099-0001", True),
        ("CVE", "r/CVE-2099-0001|CVE-2099-0002", True),
        ("CVE", "CVE-2099", False),
        ("CVE", "c/CVE-2099", True),
        ("CVE", "r/c/CVE-2099", True),
        ("CVE", "c/CVE-2098", False),
        ("Image Component", "r/openssl=", True),
        ("Image Component", "openssl=", False),
        ("Image Component", "R/OPENSSL=", True),
    ],
)
def test_what_is_looked_up_by_words_is_what_the_criterion_asks(
    criterion: str, value: str, broken: bool
) -> None:
    made = policy([group(criterion, value)])
    given = image(ScannedComponent(name="r/openssl", vulns=(flaw("CVE-2099-0001"),)))
    assert bool(deployed(made, deployment(container()), [given]).broken) is broken


def test_some_of_the_policies_answer_as_if_they_were_the_only_ones() -> None:
    from redoubt.policies import PolicySet

    policies = [
        policy([group("Host IPC", "true")], name="Host"),
        policy([group("CVE", "a")], name="Flaw"),
        policy([group("Namespace", "(")], name="Bad"),
        policy([group("Namespace", "[")], name="Worse"),
    ]
    made = PolicySet(policies)
    given = image(ScannedComponent(name="x", vulns=(flaw("a"),)))
    part = made.image(given, NOW)
    for names in (set(), {"Host"}, {"Flaw", "Bad"}, {"Host", "Flaw", "Bad", "Worse"}):
        some = made.only(lambda each, names=names: each.name in names)
        alone = PolicySet(each for each in policies if each.name in names)
        assert [each.policy for each in some.compiled] == [each.policy for each in alone.compiled]
        assert some.refused == alone.refused
        what = deployment(container())
        told = [each.policy.name for each in some.deploy(what, [part], NOW).broken]
        assert told == [
            each.policy.name for each in alone.deploy(what, [alone.image(given, NOW)], NOW).broken
        ]
        assert told == (["Flaw"] if "Flaw" in names else [])
        assert some.deploy(what, [None], NOW).unanswered == alone.deploy(what, [None], NOW).unanswered
    assert len(made.compiled) == len(made.refused) == 2


def test_what_is_made_of_an_image_is_kept_until_time_changes_it() -> None:
    from datetime import timedelta

    from support.policies import ago

    made = asked(policy([group("Image Age", "90")]))
    part = made.image(image(created=ago(89)), NOW)
    assert part.until == NOW + timedelta(days=1)
    assert not made.deploy(deployment(), [part], NOW).broken
    later = NOW + timedelta(days=1, seconds=1)
    part = made.image(image(created=ago(89)), later)
    assert part.until is None
    assert made.deploy(deployment(), [part], later).broken
    assert asked(policy([group("Image Tag", "x")])).image(image(created=ago(1)), NOW).until is None
