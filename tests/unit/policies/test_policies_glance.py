"""A glance at a workload's JSON names every policy that the workload breaks: whatever is in it, seen before or not."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any

import msgspec
import pytest

from redoubt.indexer.sources.reference import named
from redoubt.model.workload import Surroundings
from redoubt.policies import PolicySet, kubernetes, objects
from redoubt.policies.criteria import ALL
from redoubt.policies.defaults import default_policies
from redoubt.policies.glance import Glance, Workload, spelled_out
from redoubt.policies.kubernetes import NotAWorkload
from redoubt.policies.policy import Policy
from support.policies import NOW, group, image, policy
from unit.policies.test_policies_criteria import CASES

NAMES = ("main", "side", "DB_PASSWORD", "data", "etc")


def some_workload(chance: random.Random) -> dict[str, Any]:
    """A workload as people write them, with a bit of everything; ``null`` in places."""

    def some(*choices: Any) -> Any:
        return chance.choice((*choices, None))

    def context() -> dict[str, Any] | None:
        return some(
            {},
            {
                "privileged": some(True, False),
                "readOnlyRootFilesystem": some(True, False),
                "allowPrivilegeEscalation": some(True, False),
                "capabilities": some({"add": some(["SYS_ADMIN"], []), "drop": some(["ALL"], ["net_raw"])}),
                "seccompProfile": some({"type": "Unconfined"}, {"type": "RuntimeDefault"}),
                "appArmorProfile": some(
                    {"type": "Unconfined"}, {"type": "Localhost", "localhostProfile": "x"}
                ),
            },
        )

    def variable() -> dict[str, Any]:
        source = some(
            {"secretKeyRef": {"name": "s", "key": "k"}},
            {"configMapKeyRef": {"name": "c", "key": "k"}},
            {"fieldRef": {"fieldPath": "spec.nodeName"}},
            {},
        )
        given = {"name": some(*NAMES, "A_SECRET_KEY", "x" * 300)}
        return {**given, "valueFrom": source} if chance.random() < 0.3 else {**given, "value": some("v", "")}

    def container() -> dict[str, Any]:
        given = {
            "name": some(*NAMES),
            "image": chance.choice(("shop:1", "shop:latest", "registry.example/kubernetesui/dashboard:2")),
            "env": some([variable() for _ in range(chance.randrange(4))]),
            "ports": some(
                [{"containerPort": chance.choice((22, 80)), "protocol": some("TCP"), "hostPort": some(22)}]
            ),
            "resources": some({"limits": some({"cpu": "1", "memory": "1Gi"}), "requests": some({"cpu": 0})}),
            "volumeMounts": some(
                [{"name": name, "mountPath": f"/{name}", "readOnly": some(True)} for name in NAMES]
            ),
            "securityContext": context(),
            "livenessProbe": some({}, {"httpGet": {}}),
            "readinessProbe": some({}, {"httpGet": {}}),
            "args": some(["a"]),
        }
        return {name: value for name, value in given.items() if chance.random() < 0.7}

    spec = {
        "containers": [container() for _ in range(chance.randrange(4))],
        "initContainers": some([container()]),
        "volumes": some(
            [{"name": "data", "hostPath": {"path": "/etc"}}, {"name": "etc", "secret": {"secretName": "s"}}],
            [
                {"name": "data", "emptyDir": {}},
                {"name": "side", "hostPath": {"path": "/var/run/docker.sock"}},
            ],
        ),
        "securityContext": context(),
        "serviceAccountName": some("shop"),
        "automountServiceAccountToken": some(True, False),
        "hostNetwork": some(True, False),
        "hostPID": some(True),
        "hostIPC": some(True),
        "runtimeClassName": some("gvisor"),
    }
    meta = {
        "name": "shop",
        "labels": some({"owner": "blue"}, {"app": None}),
        "annotations": some({"owner": "blue"}, {"email": "a@b.example"}),
    }
    if chance.random() < 0.2:
        profile = {kubernetes.APPARMOR + "main": "unconfined"}
        meta["annotations"] = {**(meta["annotations"] or {}), **profile}
    template = some({"metadata": some({"labels": {"a": "b"}}), "spec": some(spec, spec, spec)}) or {
        "spec": spec
    }
    kind, version, made = chance.choice(
        (
            ("Pod", "v1", spec),
            ("Deployment", "apps/v1", {"template": template, "replicas": some(0, 3)}),
            ("CronJob", "batch/v1", {"jobTemplate": some({"spec": {"template": template}})}),
        )
    )
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": some(meta, meta, meta),
        "spec": some(made, made, made),
    }


def policies() -> list[Policy]:
    """The default ones, and one of each criterion about workloads."""
    cases = [
        policy([case[0]], name=f"{case[0].field_name} {number}", id=f"case-{number}")
        for number, case in enumerate(CASES)
        if not ALL[case[0].field_name].runtime
    ]
    both = policy([group("Privileged Container", "true"), group("Image Tag", "latest")], id="both")
    return [*default_policies(), *cases, both]


@pytest.mark.parametrize("seed", range(6))
def test_a_glance_names_every_policy_that_is_broken(seed: int) -> None:
    chance = random.Random(seed)
    asked = PolicySet(policies())
    glance = Glance(asked.plan, named)
    part = asked.image(image(), NOW)
    glimpses = broken_ones = 0
    seen: list[dict[str, Any]] = []
    for _ in range(150):
        given = chance.choice(seen) if seen and chance.random() < 0.2 else some_workload(chance)
        seen.append(given)
        content = msgspec.json.encode(given)
        whole = kubernetes.converted(
            msgspec.json.decode(content, type=objects.Workload), named, namespace="stores"
        )
        pieces = msgspec.json.decode(content, type=Workload)
        assert kubernetes.converted(spelled_out(pieces), named, namespace="stores") == whole
        glimpse = glance.at(pieces, "stores", Surroundings(), NOW)
        if glimpse is None:
            assert kubernetes.APPARMOR in content.decode()
            continue
        glimpses += 1
        assert list(glimpse.images) == [each.image and each.image.name for each in whole.containers]
        parts = [part] * len(whole.containers)
        everything = [
            (each, each.sections) for each in asked.compiled if "DEPLOY" in each.policy.lifecycle_stages
        ]
        broken = {each.policy.id for each in asked.deploy(whole, parts, NOW, suspects=everything).broken}
        bits = glimpse.bits | (part.may if parts else 0)
        suspects = asked.plan.sections.among(bits)
        assert broken <= {each.policy.id for each, _ in suspects}
        found = asked.deploy(whole, parts, NOW, suspects=suspects).broken
        assert {each.policy.id for each in found} == broken
        broken_ones += len(broken)
        assert len(suspects) < len(everything)
    assert glimpses > 80
    assert broken_ones > 500


def test_what_kubernetes_would_not_take_is_refused_or_left_to_a_proper_look() -> None:
    asked = PolicySet(policies())
    glance = Glance(asked.plan, named)
    for wrong in (
        {"securityContext": {"privileged": "yes"}},
        {"volumeMounts": {}},
        {"resources": 5},
        {"ports": [{"containerPort": "80"}]},
        {"env": [{"name": 5}]},
    ):
        given = {
            "kind": "Pod",
            "apiVersion": "v1",
            "spec": {"containers": [{"name": "a", "image": "b", **wrong}]},
        }
        pieces = msgspec.json.decode(msgspec.json.encode(given), type=Workload)
        with pytest.raises(NotAWorkload):
            glance.at(pieces, "stores", Surroundings(), NOW)


def test_very_many_containers_are_not_glanced_at() -> None:
    given = {
        "kind": "Pod",
        "apiVersion": "v1",
        "spec": {"containers": [{"name": str(at)} for at in range(300)]},
    }
    pieces = msgspec.json.decode(msgspec.json.encode(given), type=Workload)
    assert Glance(PolicySet(policies()).plan, named).at(pieces, "stores", Surroundings(), NOW) is None


def test_however_large_what_is_sent_is_what_is_remembered_of_it_is_bounded() -> None:
    glance = Glance(PolicySet(policies()).plan, named)
    tracemalloc.start()
    try:
        for number in range(60):
            huge = [{"name": f"v{number}", "hostPath": {"path": "/" + "x" * 1_000_000}}]
            one = {
                "name": "c",
                "image": "shop:1",
                "env": [{"name": f"N{number}"}, {"name": "n" * (number % 2) * 100_000}],
            }
            given = {"kind": "Pod", "apiVersion": "v1", "spec": {"containers": [one], "volumes": huge}}
            pieces = msgspec.json.decode(msgspec.json.encode(given), type=Workload)
            assert glance.at(pieces, "stores", Surroundings(), NOW) is not None
        del given, huge, one, pieces
        assert tracemalloc.get_traced_memory()[0] < 20 << 20
    finally:
        tracemalloc.stop()
