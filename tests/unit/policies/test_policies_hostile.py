"""Objects made by strangers: huge, odd, half empty. Evaluations end, messages can be shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redoubt.model.happening import KubernetesEvent, NetworkFlow, Process, StartedProcess
from redoubt.model.scannedimage import DockerfileLine, ScannedComponent, ScannedImage
from redoubt.model.workload import Container, ContainerConfig, Deployment, EnvironmentVariable, Volume
from redoubt.policies import PolicySet, showing
from redoubt.policies.compiling import MOST_VIOLATIONS
from redoubt.policies.defaults import default_policies
from support.policies import (
    NOW,
    asked,
    container,
    deployed,
    deployment,
    flaw,
    flow,
    group,
    image,
    policy,
    request,
    runtime,
    started,
)


@pytest.fixture(scope="module")
def everything() -> PolicySet:
    return PolicySet(msgspec.structs.replace(each, disabled=False) for each in default_policies())


def timed(work: Callable[[], object], seconds: float) -> None:
    before = time.perf_counter()
    work()
    assert time.perf_counter() - before < seconds


def test_ten_thousand_containers(everything: PolicySet) -> None:
    what = deployment(*(container(f"c{at}") for at in range(10_000)))
    part = everything.image(ScannedImage(), NOW)

    def work() -> None:
        found = everything.deploy(what, [part] * 10_000, NOW)
        assert found.broken
        assert all(0 < len(each.violations) <= MOST_VIOLATIONS for each in found.broken)

    timed(work, 10)


def test_a_megabyte_of_annotations_and_labels(everything: PolicySet) -> None:
    big = {"admission.stackrox.io/break-glass": "x" * 1_000_000, "email": "a@" + "b." * 500_000}
    many = {f"key-{at}": "v" for at in range(20_000)}
    what = deployment(annotations={**big, **many}, labels=many)

    def work() -> None:
        for broken in everything.deploy(what, [None], NOW).broken:
            assert all(len(violation.message) < 2_000 for violation in broken.violations)

    timed(work, 10)


def test_an_image_of_many_flaws(everything: PolicySet) -> None:
    flaws = tuple(flaw(f"CVE-2099-{at}", severity="CRITICAL", cvss=9.8, fixed_by="2") for at in range(50))
    given_image = image(*(ScannedComponent(name=f"c{at}", version="1", vulns=flaws) for at in range(2_000)))

    def work() -> None:
        found = everything.build(everything.image(given_image, NOW), NOW)
        assert found.broken
        assert all(len(each.violations) <= MOST_VIOLATIONS for each in found.broken)

    timed(work, 10)


def test_long_dockerfile_lines_and_arguments(everything: PolicySet) -> None:
    lines = tuple(DockerfileLine(instruction="RUN", value=" apt-get update" * 20_000) for _ in range(10))
    timed(lambda: everything.build(everything.image(image(layers=lines), NOW), NOW), 10)
    process = started("sh", args="https://1.1.1.1" * 10_000, exec_file_path="/bin/" + "s" * 100_000)
    timed(lambda: everything.process(deployment(), [None], process, NOW), 10)


ODD = [
    "\x00",
    "\x1b[31mred",
    "a\nb\r\nc",
    "\u202eevil",
    "\u2028",
    "👾" * 300,
    "\ud800",
    "ı̇K",
    "",
    " " * 500,
    "%s{0}{name}",
]


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_texts_are_shown_on_one_line(everything: PolicySet, text: str) -> None:
    what = deployment(
        container(text, volumes=(Volume(name=text, source="/etc/" + text),)),
        name=text,
        namespace=text,
        labels={text: text},
    )
    made = policy([group("Volume Source", "r/(?s)/etc.*"), group("Container Name", "r/(?s).*")])
    found = [*deployed(made, what).broken, *everything.deploy(what, [None], NOW).broken]
    assert found
    for broken in found:
        for violation in broken.violations:
            assert violation.message.isprintable()
            assert len(violation.message) < 2_000
    for broken in everything.process(what, [None], started("nmap", where=text, args=text), NOW).broken:
        assert all(violation.message.isprintable() for violation in broken.violations)


def test_the_content_of_variables_is_never_told() -> None:
    secret = "hunter2-and-more"
    config = ContainerConfig(env=(EnvironmentVariable(key="PASSWORD", value=secret, env_var_source="RAW"),))
    (broken,) = deployed(
        policy([group("Environment Variable", "RAW=.*=.*")]), deployment(container(config=config))
    ).broken
    assert secret not in msgspec.json.encode(broken.violations).decode()
    assert "environment variable PASSWORD" in broken.violations[0].message


def test_as_many_images_as_containers() -> None:
    with pytest.raises(ValueError, match="1 containers, and 0 images"):
        asked(policy([group("Host IPC", "true")])).deploy(deployment(), [], NOW)


def test_things_that_say_nothing_break_nothing_by_it(everything: PolicySet) -> None:
    empty = deployment(Container())
    everything.deploy(empty, [None], NOW)
    everything.process(empty, [None], StartedProcess(process=Process()), NOW)
    everything.request(empty, [None], KubernetesEvent(), NOW)
    everything.audit(KubernetesEvent(), NOW)
    assert everything.flow(empty, [None], NetworkFlow(), NOW).broken == ()
    assert everything.flow(empty, [None], flow(), NOW).broken


def test_connections_to_what_is_not_in_baselines_break_nothing() -> None:
    made = asked(runtime([group("Unexpected Network Flow Detected", "true")]))
    assert made.flow(deployment(), [None], flow(), NOW).broken
    inner = msgspec.structs.replace(flow(), dst_entity_type="INTERNAL_ENTITIES")
    assert not made.flow(deployment(), [None], inner, NOW).broken


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        Deployment,
        namespace=st.text(max_size=5),
        labels=st.dictionaries(st.text(max_size=4), st.text(max_size=4)),
    ),
    st.lists(st.builds(Container, name=st.text(max_size=4), type=st.text(max_size=4)), max_size=3),
)
def test_anything_can_be_asked(everything: PolicySet, what: Deployment, containers: list[Container]) -> None:
    whole = msgspec.structs.replace(what, containers=tuple(containers))
    for broken in everything.deploy(whole, [None] * len(containers), NOW).broken:
        assert broken.violations


def test_objects_are_read_from_the_originals_json() -> None:
    document: dict[str, Any] = {
        "id": "1",
        "name": "shop",
        "hash": "18446744073709551615",
        "replicas": "3",
        "hostPid": True,
        "serviceAccountPermissionLevel": "SOMETHING_NEW",
        "containers": [
            {
                "name": "web",
                "securityContext": {"privileged": True, "selinux": None},
                "resources": {"cpuCoresRequest": 1, "memoryMbLimit": 64.5},
                "config": {"uid": "0", "env": [{"key": "A", "envVarSource": "RAW"}], "appArmorProfile": "x"},
                "volumes": [{"mountPropagation": "BIDIRECTIONAL", "readOnly": True}],
            }
        ],
        "ports": [{"containerPort": 22, "exposureInfos": [{"nodePort": 30022, "level": "NODE"}]}],
        "created": "2099-01-01T00:00:00.123456789Z",
    }
    found = msgspec.json.decode(msgspec.json.encode(document), type=Deployment, strict=False)
    assert found.replicas == 3
    assert found.host_pid
    assert found.ports[0].exposure_infos[0].node_port == 30022
    assert found.containers[0].config == ContainerConfig(
        env=(EnvironmentVariable(key="A", env_var_source="RAW"),), app_armor_profile="x"
    )
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"created": "2099-01-01T00:00:00"}', type=Deployment, strict=False)


def test_messages_say_what_where_and_which() -> None:
    made = asked(runtime([group("Process Name", "nmap"), group("Container Name", "web")]))
    (broken,) = made.process(
        deployment(), [None], started("nmap", exec_file_path="/usr/bin/nmap", args="-sS x"), NOW
    ).broken
    assert [violation.message for violation in broken.violations] == [
        "Container 'web': process /usr/bin/nmap -sS x: Process Name: nmap; Container Name: web"
    ]
    audit = asked(
        runtime(
            [group("Kubernetes Resource", "SECRETS"), group("Kubernetes API Verb", "GET")],
            source="AUDIT_LOG_EVENT",
        )
    )
    (told,) = audit.audit(request("SECRETS", "GET"), NOW).broken
    assert told.violations[0].message == "Kubernetes Resource: SECRETS; Kubernetes API Verb: GET"


@pytest.mark.parametrize(
    ("given_value", "shown"),
    [
        (True, "true"),
        ("", "empty"),
        (0.0, "0"),
        (7.50, "7.5"),
        (22, "22"),
        ((), "empty"),
        (("a", "b", "c", "d"), "a, b, c and 1 more"),
        ({}, "empty"),
        ({"b": "2", "a": "1"}, "a=1, b=2"),
        (NOW, "2099-06-01T12:00:00+00:00"),
    ],
)
def test_values_are_shown(given_value: object, shown: str) -> None:
    assert showing.value(given_value) == shown
