"""The admission controller, asked by a real API server."""

from __future__ import annotations

import asyncio
import base64
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redoubt.admission.following import packed
from redoubt.model.cluster import ADMISSION_CONFIG_KEY, ADMISSION_CONFIG_MAP
from redoubt.model.scannedimage import ImageScan, ScannedImage
from redoubt.policies.alerts import Alert
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support import hub
from support.admission import CLUSTER, Controller, Secured, default, secured, settings
from support.hub import StandIn, listening
from support.kube import Cluster, Refused
from support.policies import group, policy
from support.sensing import sensing
from support.wire import Certificates, run

SCALES = "SCALE_TO_ZERO_ENFORCEMENT"

BREAK_GLASS = "admission.stackrox.io/break-glass"
REGISTRATION = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "stackrox"},
}


def workload(namespace: str, image: str, name: str = "shop", **more: Any) -> dict[str, Any]:
    labels = {"app": name}
    spec = {"containers": [{"name": "shop", "image": image}], **more.pop("pod", {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, **more},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


@pytest.fixture
def guarded(kube: Cluster) -> Iterator[Secured]:
    """A cluster with a controller that refuses images with the tag "latest"."""
    with secured(kube.kubeconfig()) as made:
        try:
            made.tell(default("Latest tag"))
            made.controller.until(
                "the registration",
                lambda: made.controller.metrics()["rox_admission_control_registered"] == 1,
            )
            yield made
        finally:
            kube.admin.delete(REGISTRATION)


def refused(kube: Cluster, given: dict[str, Any], **more: Any) -> str:
    """The API server's words. It may take a moment until it knows of the webhook."""

    def asked() -> str:
        try:
            kube.admin.create(given, **more)
        except Refused as error:
            return error.message
        kube.admin.delete(given)
        return ""

    return kube.until("a refusal", asked, 20)


def allowed(kube: Cluster, given: dict[str, Any], **more: Any) -> None:
    """It is taken, and gone again."""
    kube.admin.create(given, **more)
    kube.admin.delete(given)


def test_a_violating_deployment_is_refused_and_says_why(kube: Cluster, guarded: Secured) -> None:
    namespace = kube.namespace()
    message = refused(kube, workload(namespace, "registry.example/shop:latest"))
    assert "Policy: Latest tag" in message
    assert "Container 'shop'" in message
    assert BREAK_GLASS in message
    allowed(kube, workload(namespace, "registry.example/shop:1.2"))
    alert = guarded.alerts(1)[0]
    assert (alert.policy.name, alert.state, alert.lifecycle_stage) == ("Latest tag", "ATTEMPTED", "DEPLOY")
    assert alert.deployment is not None
    assert (alert.deployment.namespace, alert.deployment.name) == (namespace, "shop")
    assert alert.enforcement is not None
    assert alert.enforcement.action == "FAIL_DEPLOYMENT_CREATE_ENFORCEMENT"


def test_init_containers_and_bare_pods_are_judged_as_well(kube: Cluster, guarded: Secured) -> None:
    namespace = kube.namespace()
    init = {"initContainers": [{"name": "first", "image": "registry.example/tool"}]}
    assert "Container 'first'" in refused(kube, workload(namespace, "registry.example/shop:1", pod=init))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bare", "namespace": namespace},
        "spec": {"containers": [{"name": "c", "image": "registry.example/shop:latest"}]},
    }
    assert "This Pod violates" in refused(kube, pod)


def test_break_glass_is_let_through_and_recorded_unless_it_is_disabled(
    kube: Cluster, guarded: Secured
) -> None:
    namespace = kube.namespace()
    bad = workload(namespace, "registry.example/shop:latest")
    refused(kube, bad)
    glass = workload(namespace, "registry.example/shop:latest", annotations={BREAK_GLASS: "ticket-1"})
    allowed(kube, glass)
    assert guarded.controller.reviews("bypassed") == 1
    assert '"break-glass"' in guarded.controller.said()
    guarded.tell(default("Latest tag"), disable_bypass=True)
    assert BREAK_GLASS not in refused(kube, glass)


def test_a_dry_run_is_refused_and_nobody_is_alarmed(kube: Cluster, guarded: Secured) -> None:
    namespace = kube.namespace()
    bad = workload(namespace, "registry.example/shop:latest", name="dry")
    assert "Latest tag" in refused(kube, bad, query="dryRun=All")
    refused(kube, workload(namespace, "registry.example/shop:latest", name="wet"))
    names = {alert.deployment.name for alert in guarded.alerts(1) if alert.deployment is not None}
    assert names == {"wet"}


def test_system_namespaces_and_controllers_are_left_alone(kube: Cluster, guarded: Secured) -> None:
    namespace = kube.namespace()
    refused(kube, workload(namespace, "registry.example/shop:latest"))
    allowed(kube, workload("kube-system", "registry.example/shop:latest"))
    own = kube.namespace(name="stackrox") if not _exists(kube, "stackrox") else "stackrox"
    allowed(kube, workload(own, "registry.example/shop:latest"))
    # What was taken before the policy goes on: its pods are the controllers' to make.
    guarded.tell(default("Latest tag", disabled=True))
    kube.admin.create(workload(namespace, "registry.example/shop:latest", name="old"))
    guarded.tell(default("Latest tag"))
    refused(kube, workload(namespace, "registry.example/shop:latest"))
    if kube.controllers:
        path = f"/api/v1/namespaces/{namespace}/pods"
        kube.until("a pod", lambda: kube.admin.ask("GET", path)["items"])


def _exists(kube: Cluster, namespace: str) -> bool:
    return kube.admin.call("GET", f"/api/v1/namespaces/{namespace}")[0] == 200


def test_an_update_is_judged_where_that_is_wanted_and_a_scale_with_it(
    kube: Cluster, guarded: Secured
) -> None:
    namespace = kube.namespace()
    refused(kube, workload(namespace, "registry.example/shop:latest"))
    policies = (
        default("Latest tag"),
        policy([group("Replicas", "> 2")], name="Three", enforcement_actions=(SCALES,)),
    )
    guarded.tell(*policies)
    good = workload(namespace, "registry.example/shop:1")
    kube.admin.create(good)
    change = {
        "spec": {"template": {"spec": {"containers": [{"name": "shop", "image": "registry.example/shop"}]}}}
    }
    with pytest.raises(Refused, match="Latest tag"):
        kube.admin.patch(good, change)
    with pytest.raises(Refused, match="Three"):
        kube.admin.patch(good, {"spec": {"replicas": 3}}, "scale")
    kube.admin.patch(good, {"spec": {"replicas": 2}}, "scale")
    kube.admin.patch(good, {"spec": {"replicas": 0}}, "scale")
    guarded.tell(*policies, enforce_on_updates=False)
    kube.admin.patch(good, change)
    kube.admin.patch(good, {"spec": {"replicas": 3}}, "scale")
    kube.admin.delete(good)


def test_a_change_of_what_somebody_owns_is_judged_where_its_spec_is_another(
    kube: Cluster, guarded: Secured
) -> None:
    namespace = kube.namespace()
    refused(kube, workload(namespace, "registry.example/shop:latest"))
    owner = workload(namespace, "registry.example/shop:1", name="owner")
    kube.admin.create(owner)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/owner"
    uid = kube.admin.ask("GET", path)["metadata"]["uid"]
    owners = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "owner", "uid": uid}]
    guarded.tell(default("Latest tag", disabled=True))
    old = workload(namespace, "registry.example/shop:latest", name="old", ownerReferences=owners)
    kube.admin.create(old)
    guarded.tell(default("Latest tag"))
    refused(kube, workload(namespace, "registry.example/shop:latest"))
    # Its spec, as the API server tells it, is the one before.
    kube.admin.patch(old, {"metadata": {"labels": {"seen": "yes"}}})
    with pytest.raises(Refused, match="Latest tag"):
        kube.admin.patch(old, {"spec": {"replicas": 2}})
    kube.admin.delete(old)
    kube.admin.delete(owner)


def test_exec_is_refused_where_it_is_enforced_and_told_where_it_is_not(
    kube: Cluster, guarded: Secured
) -> None:
    namespace = kube.namespace()
    made = workload(namespace, "registry.example/shop:1", name="target")
    refused(kube, workload(namespace, "registry.example/shop:latest"))
    kube.admin.create(made)
    pod = (
        kube.until("a pod", lambda: _pod_of(kube, namespace)) if kube.controllers else _bare(kube, namespace)
    )
    guarded.tell(default("Kubernetes Actions: Exec into Pod", "FAIL_KUBE_REQUEST_ENFORCEMENT"))

    def asked() -> str:
        status, told = kube.admin.exec(namespace, pod, "id")
        return told.get("message", "") if status == 403 else ""

    message = kube.until("a refusal of exec", asked, 20)
    assert "Kubernetes Actions: Exec into Pod" in message
    alert = next(a for a in guarded.alerts(2) if a.lifecycle_stage == "RUNTIME")
    assert (alert.state, alert.violations[0].type) == ("ATTEMPTED", "K8S_EVENT")
    assert "test-admin asked to run 'id'" in alert.violations[0].message
    assert alert.deployment is not None
    if kube.controllers:
        assert (alert.deployment.type, alert.deployment.name) == ("Deployment", "target")
    before = len(guarded.sensor.alerts)
    guarded.tell(default("Kubernetes Actions: Exec into Pod", "KILL_POD_ENFORCEMENT"))
    status, _ = kube.admin.exec(namespace, pod, "id")
    assert status != 403
    assert guarded.alerts(before + 1)[-1].state == "ACTIVE"


def _pod_of(kube: Cluster, namespace: str) -> str:
    """A pod's name, bound to a node, as exec wants it."""
    items = kube.admin.ask("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
    return str(items[0]["metadata"]["name"]) if items else ""


def _bare(kube: Cluster, namespace: str) -> str:
    meta = {"name": "bare", "namespace": namespace}
    spec = {"containers": [{"name": "c", "image": "registry.example/shop:1"}]}
    kube.admin.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    return "bare"


def test_images_that_are_not_scanned_are_refused_and_scanned_ones_are_not(
    kube: Cluster, guarded: Secured
) -> None:
    namespace = kube.namespace()
    refused(kube, workload(namespace, "registry.example/shop:latest"))
    guarded.tell(default("Images with no scans"))
    guarded.sensor.images["registry.example/scanned:1"] = ScannedImage(
        id="sha256:" + "a" * 64, scan=ImageScan()
    )
    allowed(kube, workload(namespace, "registry.example/scanned:1"))
    assert "Images with no scans" in refused(kube, workload(namespace, "registry.example/unknown:1"))


def test_with_everything_gone_a_restart_goes_on_refusing(kube: Cluster, guarded: Secured) -> None:
    namespace = kube.namespace()
    bad = workload(namespace, "registry.example/shop:latest")
    refused(kube, bad)
    guarded.sensor_port.stop()
    assert "Latest tag" in refused(kube, bad)
    guarded.controller.stop(signal.SIGKILL)
    guarded.controller.start()
    assert "Latest tag" in refused(kube, bad)
    # The API server goes and comes back: it knows what it has to ask, and we whom.
    kube.stop_server()
    kube.start_server()
    assert "Latest tag" in refused(kube, bad)
    guarded.sensor_port.start()
    guarded.alerts(1, within=60)


def test_another_ca_is_registered_and_trusted_without_a_restart(kube: Cluster, guarded: Secured) -> None:
    namespace = kube.namespace()
    bad = workload(namespace, "registry.example/shop:latest")
    refused(kube, bad)
    before = kube.admin.get(REGISTRATION)["webhooks"][0]["clientConfig"]["caBundle"]
    other = Certificates(guarded.folder / "other")
    other.authority.issue(
        Service.ADMISSION_CONTROL, identifier=CLUSTER, hosts=["localhost", "127.0.0.1"]
    ).write(guarded.folder / "certificates")
    kube.until(
        "the other CA in the registration",
        lambda: kube.admin.get(REGISTRATION)["webhooks"][0]["clientConfig"]["caBundle"] != before,
        60,
    )
    assert "Latest tag" in refused(kube, bad)


def test_a_registration_of_somebody_else_is_left_alone_and_a_changed_one_is_mended(
    kube: Cluster, guarded: Secured
) -> None:
    found = kube.admin.get(REGISTRATION)
    assert {each["name"] for each in found["webhooks"]} == {"policyeval.stackrox.io", "k8sevents.stackrox.io"}
    assert {each["failurePolicy"] for each in found["webhooks"]} == {"Ignore"}
    assert {each["timeoutSeconds"] for each in found["webhooks"]} == {12}
    guarded.tell(default("Latest tag"), fail_closed=True, timeout_seconds=5)

    def changed() -> bool:
        webhooks = kube.admin.get(REGISTRATION)["webhooks"]
        return {(each["failurePolicy"], each["timeoutSeconds"]) for each in webhooks} == {("Fail", 7)}

    kube.until("the other failurePolicy", changed, 20)
    theirs = {**REGISTRATION, "metadata": {"name": "stackrox", "labels": {}}, "webhooks": []}
    kube.admin.delete(REGISTRATION)
    kube.admin.create(theirs)
    guarded.tell(default("Latest tag"))
    guarded.controller.until("the complaint", lambda: "is not ours" in guarded.controller.said())
    assert kube.admin.get(REGISTRATION).get("webhooks", []) == []


def test_settings_come_from_the_config_map_where_there_is_no_sensor(kube: Cluster) -> None:
    own = kube.namespace()
    content = settings(7, default("Latest tag"))
    kube.admin.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": ADMISSION_CONFIG_MAP, "namespace": own},
            "binaryData": {ADMISSION_CONFIG_KEY: base64.b64encode(packed(content)).decode()},
        }
    )
    try:
        with secured(kube.kubeconfig(), NAMESPACE=own) as made:
            made.sensor_port.stop()
            bad = workload(kube.namespace(), "registry.example/shop:latest")
            assert "Latest tag" in refused(kube, bad)
    finally:
        kube.admin.delete(REGISTRATION)


def test_the_real_sensor_says_what_counts_and_tells_central(kube: Cluster, tmp_path: Path) -> None:
    namespace = kube.namespace()
    bad = workload(namespace, "registry.example/shop:latest", name="refused")

    async def work() -> None:
        certificates, central = Certificates(tmp_path), StandIn()
        central.policies = [
            default("Latest tag"),
            default("Kubernetes Actions: Exec into Pod", "KILL_POD_ENFORCEMENT"),
        ]
        folder = tmp_path / "admission"
        certificates.authority.issue(
            Service.ADMISSION_CONTROL, identifier=hub.CLUSTER, hosts=["localhost", "127.0.0.1"]
        ).write(folder / "certificates")
        async with (
            listening(central, certificates) as port,
            sensing(kube, tmp_path / "sensor", certificates, port.port) as sensor,
        ):
            controller = Controller(folder, f"127.0.0.1:{sensor.port}", kube.kubeconfig())
            try:
                await asyncio.to_thread(controller.start)
                assert "Latest tag" in await asyncio.to_thread(refused, kube, bad)
                found = await central.until("the alert", lambda: _told(central, pb.AlertResults.ATTEMPTED))
                assert found[0].deployment is not None
                assert (found[0].policy.name, found[0].deployment.name) == ("Latest tag", "refused")
                pod = await asyncio.to_thread(_bare, kube, namespace)
                await asyncio.to_thread(kube.admin.exec, namespace, pod, "id")
                happened = await central.until(
                    "what happened", lambda: _told(central, pb.AlertResults.RUNTIME)
                )
                assert "asked to run 'id'" in happened[0].violations[0].message
            finally:
                controller.stop(signal.SIGKILL)

    try:
        run(work(), within=120)
    finally:
        kube.admin.delete(REGISTRATION)


def _told(central: StandIn, stage: pb.AlertResults.Stage) -> list[Alert]:
    return [alert for at, _, alerts in central.alerts if at == stage for alert in alerts]
