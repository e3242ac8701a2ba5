"""The admission controller, asked by a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.admission import Secured, default, secured
from support.kube import Cluster, Refused

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


def test_a_violating_deployment_is_refused_and_says_why(kube: Cluster, guarded: Secured) -> None:
    namespace = kube.namespace()
    message = refused(kube, workload(namespace, "registry.example/shop:latest"))
    assert "Policy: Latest tag" in message
    assert "Container 'shop'" in message
    assert BREAK_GLASS in message
    kube.admin.create(workload(namespace, "registry.example/shop:1.2"))
    alert = guarded.alerts(1)[0]
    assert (alert.policy.name, alert.state, alert.lifecycle_stage) == ("Latest tag", "ATTEMPTED", "DEPLOY")
    assert alert.deployment is not None
    assert (alert.deployment.namespace, alert.deployment.name) == (namespace, "shop")
