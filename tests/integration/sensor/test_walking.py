"""A Sensor against a real API server, and a stand-in for Central."""

from __future__ import annotations

import base64
import gzip
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from redoubt.model.cluster import AdmissionSettings, Enforcement
from redoubt.model.scannedimage import ImageScan, ScannedComponent, ScannedFlaw, ScannedImage
from redoubt.policies.alerts import Alert
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support.hub import CLUSTER, StandIn, listening
from support.indexing import Indexer, indexing
from support.kube import Cluster, Refused, kube  # noqa: F401  (a fixture)
from support.policies import group, policy
from support.sensing import deployment, sensing
from support.wire import Certificates, run


def _settings(cluster: Cluster) -> AdmissionSettings | None:
    """What the ConfigMap says to admission controllers: at first, perhaps, what another test's Sensor left there."""
    where = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "admission-control", "namespace": "default"},
    }
    try:
        packed = cluster.admin.get(where)["binaryData"]["settings.json.gz"]
    except Refused:
        return None
    return msgspec.json.decode(gzip.decompress(base64.b64decode(packed)), type=AdmissionSettings)


pytestmark = pytest.mark.xdist_group("kube")


def test_a_deployment_that_is_made_is_told_to_central(kube: Cluster, tmp_path: Path) -> None:  # noqa: F811
    namespace = kube.namespace({"team": "shop"})

    async def work() -> None:
        certificates, central = Certificates(tmp_path), StandIn()
        async with (
            listening(central, certificates) as port,
            sensing(kube, tmp_path, certificates, port.port),
        ):
            await central.until("a sync", lambda: central.synced)
            assert central.of("namespace", namespace)[0]["labels"]["team"] == "shop"
            kube.admin.create(deployment(namespace))
            found = await central.until("the deployment", lambda: central.of("deployment", "shop", namespace))
            assert found[0]["clusterId"] == CLUSTER
            assert found[0]["containers"][0]["image"]["name"]["fullName"] == "registry.example/shop:1.4"
            pods = await central.until(
                "its pod",
                lambda: [p for p in central.of("pod", namespace=namespace) if p.get("deploymentId")],
            )
            assert pods[0]["deploymentId"] == found[0]["id"]
            kube.admin.delete(deployment(namespace))
            await central.until(
                "the deployment's end", lambda: not central.of("deployment", "shop", namespace)
            )

    run(work(), within=90)


def test_a_new_deployment_that_breaks_a_policy_is_scaled_to_zero_and_an_old_one_is_let_alone(
    kube: Cluster,  # noqa: F811
    tmp_path: Path,
) -> None:
    namespace = kube.namespace()
    central = StandIn()
    central.policies = [
        policy(
            [group("Privileged Container", "true")],
            name="No privileged ones",
            enforcement_actions=("SCALE_TO_ZERO_ENFORCEMENT",),
        ),
        policy([group("CVE", "CVE-2099-0001")], id="b", name="A flaw"),
    ]
    flaw = ScannedFlaw(cve="CVE-2099-0001")
    central.images["registry.example/shop:1.4"] = ScannedImage(
        id="", scan=ImageScan(components=(ScannedComponent(name="curl", version="1", vulns=(flaw,)),))
    )
    bad = [{"name": "main", "image": "registry.example/shop:1.4", "securityContext": {"privileged": True}}]
    old, new = deployment(namespace, "old", containers=bad), deployment(namespace, "new", containers=bad)
    kube.admin.create(old)

    def told(name: str) -> list[set[str]]:
        found = central.of("deployment", name, namespace)
        identifier = found[0]["id"] if found else ""
        return [
            {each.policy.name for each in alerts} for _, one, alerts in central.alerts if one == identifier
        ]

    def done() -> list[Alert]:
        return [alert for _, _, alerts in central.alerts for alert in alerts if alert.enforcement is not None]

    async def work() -> None:
        certificates = Certificates(tmp_path)
        async with (
            listening(central, certificates) as port,
            sensing(kube, tmp_path, certificates, port.port),
        ):
            both = {"No privileged ones", "A flaw"}
            await central.until("alerts of the old one", lambda: both in told("old"))
            kube.admin.create(new)
            await central.until("alerts of the new one", lambda: both in told("new"))
            # Where the API server had no time for it at first, it is done and told a little later.
            enforced = await central.until("the enforcement", done)
            assert [
                (each.deployment and each.deployment.name, each.enforcement_count) for each in enforced
            ] == [("new", 1)]
            assert kube.admin.get(new)["spec"]["replicas"] == 0
            kube.admin.patch(old, {"metadata": {"labels": {"touched": "yes"}}})
            await central.until(
                "the old one's label",
                lambda: "touched" in central.of("deployment", "old", namespace)[0]["labels"],
            )
            assert kube.admin.get(old)["spec"]["replicas"] == 1
            settings = await central.until(
                "the ConfigMap with both policies",
                lambda: found if (found := _settings(kube)) and len(found.policies) == 2 else None,
                within=60,
            )
            assert settings.config.cluster_id == CLUSTER
            request = pb.Request(id="one", reassess="")
            await central.say(pb.ToSensor(request=request))
            await central.until("an answer", lambda: central.answers.get("one"))

    run(work(), within=90)


def _mirrors(kind: str, group: str, version: str, spec: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The definition of one of OpenShift's kinds, as much as an API server needs, and where its objects are."""
    plural = kind.lower().removesuffix("y") + ("ies" if kind.endswith("y") else "s")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {"kind": kind, "plural": plural},
            "versions": [
                {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }
    return definition, f"/apis/{group}/{version}/{plural}"


def test_images_that_openshift_has_mirrors_for_are_read_there(kube: Cluster, tmp_path: Path) -> None:  # noqa: F811
    digest = "sha256:" + "1" * 64
    source = {"source": "a.example", "mirrors": ["m.example"]}
    kinds = [
        ("ImageContentSourcePolicy", "operator.openshift.io", "v1alpha1", {"repositoryDigestMirrors": [source]}),
        ("ImageDigestMirrorSet", "config.openshift.io", "v1", {"imageDigestMirrors": [{**source, "source": "b.example"}]}),
        ("ImageTagMirrorSet", "config.openshift.io", "v1", {"imageTagMirrors": [{**source, "mirrorSourcePolicy": "NeverContactSource"}]}),
    ]  # fmt: skip
    definitions = [_mirrors(*each)[0] for each in kinds]

    async def work() -> None:
        certificates, central, indexer = Certificates(tmp_path), StandIn(), Indexer()
        async with (
            listening(central, certificates) as port,
            indexing(indexer, certificates) as where,
            sensing(kube, tmp_path, certificates, port.port, indexer=where),
        ):
            await central.until("a sync", lambda: central.synced)
            for number, name in enumerate(
                (f"a.example/app@{digest}", f"b.example/app@{digest}", "a.example/app:1")
            ):
                request = pb.Request(id=str(number), scan_image=pb.ScanImage(image_name=name))
                await central.say(pb.ToSensor(request=request))
                answer = await central.until("an answer", lambda at=str(number): central.answers.get(at))  # type: ignore[misc]
                assert answer.failure == ""
        assert [name for name, _ in indexer.tried] == [
            f"m.example/app@{digest}",
            f"m.example/app@{digest}",
            "m.example/app:1",
        ]

    try:
        for (kind, group, version, spec), definition in zip(kinds, definitions, strict=True):
            kube.admin.create(definition)
            made = {"apiVersion": f"{group}/{version}", "kind": kind, "metadata": {"name": "m"}, "spec": spec}
            end = time.monotonic() + 20
            while kube.admin.call("POST", _mirrors(kind, group, version, spec)[1], made)[0] != 201:
                assert time.monotonic() < end, f"no {kind} could be made"
                time.sleep(0.1)
        run(work(), within=60)
    finally:
        for definition in definitions:
            kube.admin.delete(definition)


def test_central_has_things_done_to_pods_and_workloads(kube: Cluster, tmp_path: Path) -> None:  # noqa: F811
    namespace = kube.namespace()
    given = deployment(namespace, "shop")
    kube.admin.create(given)
    kube.admin.create(deployment(namespace, "daemon", "DaemonSet"))

    async def work() -> None:
        certificates, central = Certificates(tmp_path), StandIn()
        async with (
            listening(central, certificates) as port,
            sensing(kube, tmp_path, certificates, port.port),
        ):
            pods = await central.until(
                "a pod",
                lambda: [
                    one for one in central.of("pod", namespace=namespace) if one["name"].startswith("shop")
                ],
            )
            asked = Enforcement(action="KILL_POD_ENFORCEMENT", namespace=namespace, pod_id=pods[0]["name"])

            async def ask(identifier: str, enforcement: Enforcement) -> pb.Answer:
                request = pb.Request(id=identifier, enforce=msgspec.json.encode(enforcement))
                await central.say(pb.ToSensor(request=request))
                return await central.until("an answer", lambda: central.answers.get(identifier))

            assert (await ask("kill", asked)).failure == ""
            await central.until(
                "another pod",
                lambda: (
                    [one for one in central.of("pod", namespace=namespace) if one["name"].startswith("shop")]
                    and pods[0]["id"] not in {one["id"] for one in central.of("pod", namespace=namespace)}
                ),
            )
            found = {one["name"]: one for one in central.of("deployment", namespace=namespace)}
            scale = Enforcement(
                action="SCALE_TO_ZERO_ENFORCEMENT",
                deployment_type="Deployment",
                namespace=namespace,
                name="shop",
                deployment_id="another",
            )
            # It is another one by now: let alone.
            assert (await ask("other", scale)).failure
            assert kube.admin.get(given)["spec"]["replicas"] == 1
            scale = msgspec.structs.replace(scale, deployment_id=found["shop"]["id"])
            assert (await ask("scale", scale)).failure == ""
            assert kube.admin.get(given)["spec"]["replicas"] == 0
            refused = msgspec.structs.replace(scale, deployment_type="DaemonSet", name="daemon")
            assert "no replicas" in (await ask("daemon", refused)).failure
            asking = pb.Request(
                id="enhance", enhance=b'[{"name": "later", "namespace": "%s"}]' % namespace.encode()
            )
            await central.say(pb.ToSensor(request=asking))
            answer = await central.until("an answer", lambda: central.answers.get("enhance"))
            (enhanced,) = msgspec.json.decode(answer.result)
            assert enhanced["namespaceId"] == central.of("namespace", namespace)[0]["id"]

    run(work(), within=90)
