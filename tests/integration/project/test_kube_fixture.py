"""The cluster that other tests build on."""

from __future__ import annotations

import pytest

from support.kube import Cluster, Refused


def _deployment(namespace: str) -> dict[str, object]:
    labels = {"app": "shop"}
    container = {"name": "shop", "image": "registry.example/shop:1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def test_a_deployment_becomes_pods_where_there_are_controllers(kube: Cluster) -> None:
    if not kube.controllers:
        pytest.skip("needs kube-controller-manager beside kube-apiserver")
    namespace = kube.namespace()
    kube.admin.create(_deployment(namespace))
    path = f"/api/v1/namespaces/{namespace}/pods"
    pods = kube.until("a pod of the deployment", lambda: kube.admin.ask("GET", path)["items"])
    assert pods[0]["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"


def test_users_have_the_rights_that_they_are_given_and_no_others(kube: Cluster) -> None:
    with pytest.raises(Refused) as refused:
        kube.api("plain").create(_deployment("default"))
    assert refused.value.status == 403
    assert kube.api("nobody").call("GET", "/api")[0] == 401


def test_what_there_is_outlives_the_api_server(kube: Cluster) -> None:
    namespace = kube.namespace(labels={"kept": "yes"})
    kube.stop_server()
    kube.start_server()
    found = kube.admin.ask("GET", f"/api/v1/namespaces/{namespace}")
    assert found["metadata"]["labels"]["kept"] == "yes"
