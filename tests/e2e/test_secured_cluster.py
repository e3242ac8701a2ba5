"""A secured cluster, whole: a real Central, API server, registry, kernel and container."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from ociwriter import Entry, ImageWriter
from support.kube import Cluster, Refused, kube
from support.registry import Registry, needs_registry, open_registry
from support.roots import dpkg_root
from support.secured import Secured
from support.up import PASSWORD, Up

__all__ = ["kube", "open_registry"]
pytestmark = needs_registry


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, kube: Cluster) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    with Up(folder, environment={"ROX_ADMIN_PASSWORD": PASSWORD}) as up:
        cluster = Secured(up, kube, folder)
        try:
            cluster.sensor.start()
            cluster.until("a cluster that is healthy", lambda: _healthy(cluster))
            yield cluster
        finally:
            cluster.stop()


def _healthy(secured: Secured) -> bool:
    clusters = secured.central.get("/v1/clusters")["clusters"]
    return any(each["name"] == "ward" for each in clusters)


@pytest.fixture(scope="module")
def image(open_registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with known flaws, in a registry on this machine."""
    writer = ImageWriter()
    metadata = b"Metadata-Version: 2.1\nName: Django\nVersion: 2.2\n"
    writer.add(dpkg_root([("openssl", "3.0.2-0", ""), ("zlib1g", "1:1.2.11.dfsg-2", "zlib")]))
    writer.add([Entry("usr/lib/python3/dist-packages/Django-2.2.dist-info/METADATA", metadata)])
    archive = writer.write_docker_archive(tmp_path_factory.mktemp("image") / "image.tar")
    return open_registry.push(f"docker-archive:{archive}", "shop/web:1.4")


def workload(namespace: str, name: str, image: str, **container: Any) -> dict[str, Any]:
    labels = {"app": name}
    spec = {"containers": [{"name": "main", "image": image, **container}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def listed(secured: Secured, namespace: str, name: str) -> dict[str, Any]:
    """A deployment as Central lists it; empty where it does not."""
    found = secured.central.get(f"/v1/deployments?query={quote(f'Namespace:{namespace}')}")["deployments"]
    return next((each for each in found if each["name"] == name), {})


def test_a_deployment_appears_in_central_with_its_findings_and_its_risk(secured: Secured, image: str) -> None:
    namespace = secured.kube.namespace()
    secured.kube.admin.create(workload(namespace, "shop", image))
    found = secured.until("the deployment at Central", lambda: listed(secured, namespace, "shop"))
    whole = secured.central.get(f"/v1/deployments/{found['id']}")
    assert [each["image"]["name"]["fullName"] for each in whole["containers"]] == [image]

    def findings() -> set[str]:
        images = secured.central.get(f"/v1/images?query={quote(f'Image:{image}')}")["images"]
        return {each["name"] for each in images if each.get("cves")}

    assert secured.until("the image's findings", findings) == {image}

    def risk() -> list[str]:
        told = secured.central.get(f"/v1/deploymentswithrisk/{found['id']}")["risk"] or {}
        return [each["name"] for each in told.get("results", [])]

    assert "Image Vulnerabilities" in secured.until(
        "a risk with the image in it", lambda: (r := risk()) and "Image Vulnerabilities" in r and r
    )


def test_what_breaks_a_policy_is_an_alert_until_it_does_no_more(secured: Secured, image: str) -> None:
    namespace = secured.kube.namespace()
    loud = workload(namespace, "loud", image, securityContext={"privileged": True})
    made = secured.kube.admin.create(loud)

    def alerts(state: str) -> list[str]:
        query = quote(f"Namespace:{namespace}+Violation State:{state}")
        return [each["policy"]["name"] for each in secured.central.get(f"/v1/alerts?query={query}")["alerts"]]

    secured.until("an alert", lambda: "Privileged Container" in alerts("ACTIVE"))
    made["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {}
    secured.kube.admin.patch(loud, {"spec": made["spec"]})
    secured.until("the alert to be over", lambda: "Privileged Container" in alerts("RESOLVED"))
    assert "Privileged Container" not in alerts("ACTIVE")


@pytest.fixture(scope="module")
def guarded(secured: Secured) -> Secured:
    """With an admission controller that the API server asks, and a policy that refuses privileged containers."""
    policy = {
        "name": "No privileged container",
        "severity": "HIGH_SEVERITY",
        "categories": ["Privileges"],
        "lifecycleStages": ["DEPLOY"],
        "eventSource": "NOT_APPLICABLE",
        "enforcementActions": ["FAIL_DEPLOYMENT_CREATE_ENFORCEMENT"],
        "scope": [{"label": {"key": "app", "value": "forbidden"}}],
        "policyVersion": "1.1",
        "policySections": [
            {"policyGroups": [{"fieldName": "Privileged Container", "values": [{"value": "true"}]}]}
        ],
    }
    secured.central.ask("POST", "/v1/policies", policy)
    secured.admission.start()
    return secured


def test_a_violating_deployment_is_refused_and_central_hears_of_it(guarded: Secured, image: str) -> None:
    namespace = guarded.kube.namespace()
    forbidden = workload(namespace, "forbidden", image, securityContext={"privileged": True})

    def refusal() -> str:
        try:
            guarded.kube.admin.create(forbidden, query="dryRun=All")
        except Refused as error:
            return error.message
        return ""

    assert "No privileged container" in guarded.until("the API server to refuse", refusal)
    with pytest.raises(Refused, match="No privileged container"):
        guarded.kube.admin.create(forbidden)
    guarded.kube.admin.create(workload(namespace, "allowed", image))

    def attempted() -> bool:
        query = quote(f"Namespace:{namespace}+Violation State:ATTEMPTED")
        return bool(guarded.central.get(f"/v1/alerts?query={query}")["alerts"])

    guarded.until("the attempt at Central", attempted)
    guarded.until("the allowed one at Central", lambda: listed(guarded, namespace, "allowed"))
    assert not listed(guarded, namespace, "forbidden")
