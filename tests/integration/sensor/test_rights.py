"""The Sensor with the rights that generated manifests give it, and with none."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from redoubt.model.cluster import PoliciesToApply, PolicyReference
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support.hub import StandIn, listening
from support.kube import Cluster, kube  # noqa: F401  (a fixture)
from support.policies import group, policy
from support.sensing import Plain, deployment, generated, sensing
from support.wire import Certificates, run

pytestmark = pytest.mark.xdist_group("kube")


def test_the_rights_of_the_manifests_are_enough(kube: Cluster, tmp_path: Path) -> None:  # noqa: F811
    namespace, own = kube.namespace(), kube.namespace()
    rights = generated(own)
    bad = [{"name": "main", "image": "registry.example/shop:1.4", "securityContext": {"privileged": True}}]

    async def work() -> None:
        certificates, central = Certificates(tmp_path), StandIn()
        central.policies = [
            policy(
                [group("Privileged Container", "true")], enforcement_actions=("SCALE_TO_ZERO_ENFORCEMENT",)
            )
        ]
        async with (
            listening(central, certificates) as port,
            sensing(Plain(kube), tmp_path, certificates, port.port, namespace=own, health_interval=0.2),
        ):
            await central.until("a sync", lambda: central.synced)
            given = deployment(namespace, containers=bad)
            kube.admin.create(given)
            await central.until(
                "an enforcement",
                lambda: any(each.enforcement for _, _, alerts in central.alerts for each in alerts),
            )
            assert kube.admin.get(given)["spec"]["replicas"] == 0
            spec = {"podSelector": {}}
            meta = {"name": "deny", "namespace": namespace}
            denied = {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": meta,
                "spec": spec,
            }
            for name, asked in (
                ("make", PoliciesToApply(policies=(denied,))),
                ("replace", PoliciesToApply(policies=(denied,))),
                ("delete", PoliciesToApply(delete=(PolicyReference(namespace=namespace, name="deny"),))),
            ):
                request = pb.Request(id=name, apply_network_policies=msgspec.json.encode(asked))
                await central.say(pb.ToSensor(request=request))
                answer = await central.until("an answer", lambda name=name: central.answers.get(name))
                assert answer.failure == ""
            central.health.clear()
            healthy = await central.until("health", lambda: central.health)
            assert healthy[0]["sensor"]["status"] == "HEALTHY", healthy[0]
            where = {"name": "admission-control", "namespace": own}
            given = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": where}
            await asyncio.to_thread(
                kube.until, "the ConfigMap", lambda: kube.admin.get(given)["binaryData"], 20
            )

    try:
        for each in rights:
            kube.admin.create(each)
        run(work(), within=90)
    finally:
        for each in rights:
            kube.admin.delete(each)


def test_what_may_not_be_listed_is_said_and_holds_nothing_up(kube: Cluster, tmp_path: Path) -> None:  # noqa: F811
    async def work() -> None:
        certificates, central = Certificates(tmp_path), StandIn()
        async with (
            listening(central, certificates) as port,
            sensing(Plain(kube), tmp_path, certificates, port.port, health_interval=0.2),
        ):
            await central.until("a sync", lambda: central.synced)
            told = await central.until(
                "what may not be listed",
                lambda: [
                    each["sensor"]
                    for each in central.health
                    if any("secrets" in one and "forbidden" in one for one in each["sensor"]["problems"])
                ],
            )
            assert {each["status"] for each in told} == {"DEGRADED"}

    run(work(), within=60)
