"""Network policies changed by the Sensor at a real API server, and taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from redoubt.model.cluster import AppliedPolicies, PoliciesToApply, PolicyReference
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support.hub import StandIn, listening
from support.kube import Cluster, Refused, kube  # noqa: F401  (a fixture)
from support.sensing import sensing
from support.wire import Certificates, run

pytestmark = pytest.mark.xdist_group("kube")


def policy(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], **spec},
    }


def names(cluster: Cluster, namespace: str) -> dict[str, Any]:
    found = cluster.admin.ask("GET", f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")
    return {each["metadata"]["name"]: each["spec"] for each in found["items"]}


def test_network_policies_are_applied_and_undone_or_left(kube: Cluster, tmp_path: Path) -> None:  # noqa: F811
    namespace = kube.namespace()
    old = policy(namespace, "old", podSelector={"matchLabels": {"app": "old"}})
    old["metadata"]["labels"] = {"team": "a"}
    kube.admin.create(old)
    kube.admin.create(policy(namespace, "gone"))
    before = names(kube, namespace)

    async def work() -> None:
        certificates, central = Certificates(tmp_path), StandIn()
        async with (
            listening(central, certificates) as port,
            sensing(kube, tmp_path, certificates, port.port),
        ):
            await central.until("a sync", lambda: central.synced)

            async def ask(identifier: str, asked: PoliciesToApply) -> pb.Answer:
                request = pb.Request(id=identifier, apply_network_policies=msgspec.json.encode(asked))
                await central.say(pb.ToSensor(request=request))
                return await central.until("an answer", lambda: central.answers.get(identifier))

            given = (
                policy(namespace, "new", ingress=[{"ports": [{"port": 80, "protocol": "TCP"}]}]),
                policy(namespace, "old"),
            )
            asked = PoliciesToApply(
                policies=given, delete=(PolicyReference(namespace=namespace, name="gone"),)
            )
            answer = await ask("apply", asked)
            assert answer.failure == ""
            done = msgspec.json.decode(answer.result, type=AppliedPolicies)
            assert done.delete == (PolicyReference(namespace=namespace, name="new"),)
            assert [each["metadata"]["name"] for each in done.restore] == ["old", "gone"]
            after = names(kube, namespace)
            assert after.keys() == {"new", "old"}
            assert after["old"]["podSelector"] == {}

            # The API server takes the first and not the second: nothing is changed.
            bad = policy(namespace, "another", ingress=[{"ports": [{"port": "NOT_A_PORT"}]}])
            answer = await ask("bad", PoliciesToApply(policies=(policy(namespace, "new"), bad)))
            assert "another" in answer.failure
            assert names(kube, namespace) == after
            missing = PoliciesToApply(
                policies=(policy(namespace, "third"),),
                delete=(PolicyReference(namespace=namespace, name="none"),),
            )
            assert "there is no network policy" in (await ask("missing", missing)).failure
            assert names(kube, namespace) == after
            odd = PoliciesToApply(delete=(PolicyReference(namespace=namespace, name="../../secrets/x"),))
            assert "no name" in (await ask("odd", odd)).failure

            assert (
                await ask("undo", PoliciesToApply(policies=done.restore, delete=done.delete))
            ).failure == ""
            assert names(kube, namespace) == before
            assert kube.admin.get(old)["metadata"]["labels"] == {"team": "a"}

    run(work(), within=90)
