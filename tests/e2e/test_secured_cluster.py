"""A secured cluster, whole: a real Central, API server, registry, kernel and container."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from ociwriter import Entry, ImageWriter
from support.containers import Bundle
from support.kernel import needs_bpf
from support.kube import Cluster, Refused, kube
from support.registry import Registry, needs_registry, open_registry
from support.roots import dpkg_root
from support.secured import FORBIDDEN, Secured, pod_of, refusal, running, runs, workload

__all__ = ["kube", "open_registry"]
pytestmark = needs_registry


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, kube: Cluster) -> Iterator[Secured]:
    with running(tmp_path_factory.mktemp("secured"), kube) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def image(open_registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with known flaws, in a registry on this machine."""
    writer = ImageWriter()
    metadata = b"Metadata-Version: 2.1\nName: Django\nVersion: 2.2\n"
    writer.add(dpkg_root([("openssl", "3.0.2-0", ""), ("zlib1g", "1:1.2.11.dfsg-2", "zlib")]))
    writer.add([Entry("usr/lib/python3/dist-packages/Django-2.2.dist-info/METADATA", metadata)])
    archive = writer.write_docker_archive(tmp_path_factory.mktemp("image") / "image.tar")
    return open_registry.push(f"docker-archive:{archive}", "shop/web:1.4")


def test_a_deployment_appears_in_central_with_its_findings_and_its_risk(secured: Secured, image: str) -> None:
    namespace = secured.kube.namespace()
    secured.kube.admin.create(workload(namespace, "shop", image))
    found = secured.until("the deployment at Central", lambda: secured.deployments(namespace).get("shop"))
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

    def alerted(state: str) -> bool:
        return "Privileged Container" in secured.alerts(namespace, f"Violation State:{state}")

    secured.until("an alert", lambda: alerted("ACTIVE"))
    made["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {}
    secured.kube.admin.patch(loud, {"spec": made["spec"]})
    secured.until("the alert to be over", lambda: alerted("RESOLVED"))
    assert not alerted("ACTIVE")


def test_a_network_policy_is_tried_applied_seen_and_undone(secured: Secured, image: str) -> None:
    namespace = secured.kube.namespace()
    secured.kube.admin.create(workload(namespace, "shop", image))
    found = secured.until("the deployment", lambda: secured.deployments(namespace).get("shop"))
    cluster = secured.central.get("/v1/clusters")["clusters"][0]["id"]
    meta = {"name": "deny", "namespace": namespace}
    deny = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta,
        "spec": {"podSelector": {}},
    }
    change = {"applyYaml": json.dumps(deny)}

    def limited(graph: Any) -> bool:
        return any(
            each["entity"]["id"] == found["id"] and not each["nonIsolatedIngress"] for each in graph["nodes"]
        )

    def now() -> bool:
        return limited(secured.central.get(f"/v1/networkpolicies/cluster/{cluster}"))

    tried = secured.central.ask("POST", f"/v1/networkpolicies/simulate/{cluster}", change)
    assert limited(tried["simulatedGraph"])
    assert not now()
    secured.central.ask("POST", f"/v1/networkpolicies/apply/{cluster}", change)
    assert secured.kube.admin.get(deny)["spec"]["policyTypes"] == ["Ingress"]
    secured.until("the policy in the graph", now)
    undo = secured.central.get(f"/v1/networkpolicies/undo/{cluster}")["undoRecord"]["undoModification"]
    secured.central.ask("POST", f"/v1/networkpolicies/apply/{cluster}", undo)
    with pytest.raises(Refused):
        secured.kube.admin.get(deny)
    secured.until("the graph without it", lambda: not now())


@pytest.fixture(scope="module")
def guarded(secured: Secured) -> Secured:
    """With an admission controller that the API server asks, and a policy that refuses privileged containers."""
    secured.central.ask("POST", "/v1/policies", FORBIDDEN)
    secured.admission.start()
    return secured


def test_a_violating_deployment_is_refused_and_central_hears_of_it(guarded: Secured, image: str) -> None:
    namespace = guarded.kube.namespace()
    forbidden = workload(namespace, "forbidden", image, securityContext={"privileged": True})

    assert "No privileged container" in guarded.until(
        "the API server to refuse", lambda: refusal(guarded, forbidden)
    )
    with pytest.raises(Refused, match="No privileged container"):
        guarded.kube.admin.create(forbidden)
    guarded.kube.admin.create(workload(namespace, "allowed", image))

    guarded.until("the attempt at Central", lambda: guarded.alerts(namespace, "Violation State:ATTEMPTED"))
    guarded.until("the allowed one at Central", lambda: guarded.deployments(namespace).get("allowed"))
    assert "forbidden" not in guarded.deployments(namespace)


@pytest.fixture(scope="module")
def watched(secured: Secured) -> Secured:
    """With a Collector on this machine's kernel, which is the node ``node-1``."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}
    secured.kube.admin.create(node)
    ready = {"type": "Ready", "status": "True", "reason": "Test", "message": ""}
    secured.kube.admin.patch(node, {"status": {"conditions": [ready]}}, "status")
    secured.collector.start()
    return secured


SCRIPT = "while :; do /bin/nmap -V; nc {} {} </dev/null & sleep 1; done"


@contextmanager
def listening() -> Iterator[tuple[str, int]]:
    """Somebody to connect to, at an address of this machine's that is no loopback, where it has one."""
    told = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
    address = next((each for each in told if "." in each), "127.0.0.1")
    with socket.create_server((address, 0), backlog=100) as server:
        yield address, server.getsockname()[1]


@needs_bpf
@pytest.mark.skipif(not shutil.which("runc"), reason="needs Debian's runc")
def test_a_process_and_a_connection_of_a_real_container_are_told_of_its_pod(
    watched: Secured, image: str, tmp_path: Path
) -> None:
    namespace = watched.kube.namespace()
    watched.kube.admin.create(workload(namespace, "shop", image))
    pod = pod_of(watched, namespace, "shop")
    identifier = uuid4().hex * 2
    runs(watched, pod, identifier)
    found = watched.until("the deployment", lambda: watched.deployments(namespace).get("shop"))
    deployment = found["id"]
    container = Bundle(tmp_path, identifier, pod["metadata"]["uid"])
    with listening() as (address, port), container.running("/bin/sh", "-c", SCRIPT.format(address, port)):

        def processes() -> list[dict[str, Any]]:
            told = watched.central.get(f"/v1/processes/deployment/{deployment}")["processes"]
            return [each for each in told if each["signal"]["execFilePath"].endswith("busybox")]

        process = watched.until("the process at Central", processes)[0]
        assert process["podUid"] == pod["metadata"]["uid"]
        assert process["podId"] == pod["metadata"]["name"]
        assert process["containerName"] == "main"

        def alerted() -> bool:
            return "nmap Execution" in watched.alerts(namespace, "Lifecycle Stage:RUNTIME")

        watched.until("a runtime policy's alert", alerted)

        def edges() -> bool:
            cluster = watched.central.get("/v1/clusters")["clusters"][0]["id"]
            graph = watched.central.get(
                f"/v1/networkgraph/cluster/{cluster}?query={quote('Namespace:' + namespace)}"
            )
            return any(each["entity"]["id"] == deployment and each["outEdges"] for each in graph["nodes"])

        watched.until("the connection in the network graph", edges)
