"""The inventory: what hangs together, in whichever order it comes, and what a change touches."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from redoubt.model.cluster import K8sRoleBinding
from redoubt.sensor.cluster.changes import Change
from redoubt.sensor.conversion import objects, workloads
from redoubt.sensor.graph.inventory import Dirty, Inventory
from support.sensing import deployment

DIGEST = "sha256:" + "a1" * 32


def _object(kind: str, name: str, uid: str = "", namespace: str = "shop", **more: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {"uid": uid or f"uid-{name}", "name": name, "namespace": namespace}
    meta |= more.pop("metadata", {})
    return {"kind": kind, "apiVersion": more.pop("version", "v1"), "metadata": meta, **more}


def _workload(name: str = "web", **pod: Any) -> Change:
    given = deployment("shop", name, **pod)
    given["metadata"]["uid"] = f"uid-{name}"
    return Change("Deployment", f"uid-{name}", workloads.workload(given))


def _owned(kind: str, name: str, owner: str, owner_kind: str) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": owner_kind, "uid": f"uid-{owner}", "name": owner}
    return {
        **deployment("shop", name),
        "kind": kind,
        "metadata": {"uid": f"uid-{name}", "name": name, "namespace": "shop", "ownerReferences": [reference]},
    }


def _replica_set() -> Change:
    return Change(
        "ReplicaSet", "uid-web-1", workloads.workload(_owned("ReplicaSet", "web-1", "web", "Deployment"))
    )


def _pod(
    name: str = "web-1-a", owner: str = "web-1", digest: str = DIGEST, container: str = "f0" * 32
) -> Change:
    status = {
        "name": "main",
        "imageID": f"registry.example/shop@{digest}" if digest else "",
        "containerID": f"containerd://{container}",
        "state": {"running": {"startedAt": "2099-01-02T03:04:05Z"}},
    }
    given = _owned("Pod", name, owner, "ReplicaSet")
    given |= {"apiVersion": "v1", "spec": given["spec"]["template"]["spec"]}
    given["status"] = {
        "containerStatuses": [status],
        "podIP": "10.1.0.7",
        "startTime": "2099-01-02T03:04:05Z",
    }
    return Change("Pod", f"uid-{name}", workloads.pod(given))


def _taken(inventory: Inventory, *changes: Change) -> Dirty:
    for each in changes:
        inventory.apply(each)
    return inventory.drain()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_pod_is_its_deployments_in_whichever_order_they_come(order: Sequence[int]) -> None:
    changes = [_workload(), _replica_set(), _pod()]
    inventory = Inventory()
    for index in order:
        _taken(inventory, changes[index])
    assert inventory.deployment_of("uid-web-1-a") == "uid-web"
    found = inventory.deployment("uid-web")
    assert found is not None
    assert found.containers[0].image is not None
    assert found.containers[0].image.id == DIGEST
    pod = inventory.pod("uid-web-1-a")
    assert pod is not None
    assert pod.deployment_id == "uid-web"
    assert inventory.containers["f0" * 32] == ("uid-web-1-a", "main")
    assert inventory.pod_ips["10.1.0.7"] == "uid-web-1-a"
    # What another one owns is none itself.
    assert inventory.deployments == ["uid-web"]


def test_what_goes_takes_its_traces_along() -> None:
    inventory = Inventory()
    _taken(inventory, _workload(), _replica_set(), _pod())
    dirty = _taken(inventory, Change("Pod", "uid-web-1-a"))
    assert ("pod", "uid-web-1-a") in dirty.objects
    assert not inventory.containers
    assert not inventory.pod_ips
    dirty = _taken(inventory, Change("Deployment", "uid-web"))
    assert list(dirty.deployments) == ["uid-web"]
    assert inventory.get("deployment", "uid-web") is None
    assert list(inventory.keys()) == []
    # The same again is no change.
    assert not _taken(inventory, Change("Deployment", "uid-web")).objects


def test_what_a_list_does_not_have_is_gone() -> None:
    inventory = Inventory()
    _taken(inventory, _workload("a"), _workload("b"))
    dirty = _taken(inventory, Change("Deployment", "", listed=frozenset({"uid-b"})))
    assert list(dirty.objects) == [("deployment", "uid-a")]
    assert inventory.deployments == ["uid-b"]
    # A list of one kind says nothing of others.
    assert not _taken(inventory, Change("DaemonSet", "", listed=frozenset())).objects


def test_a_change_that_changes_nothing_touches_nothing() -> None:
    inventory = Inventory()
    first = _taken(inventory, _workload(), _replica_set(), _pod())
    assert first.deployments == {"uid-web": False}
    again = _taken(inventory, _workload(), _replica_set(), _pod())
    assert not again.objects
    assert not again.deployments


def test_only_what_was_made_while_we_watched_is_fresh() -> None:
    inventory = Inventory()
    change = _workload()
    assert _taken(inventory, change).deployments == {"uid-web": False}
    made = Change("Deployment", "uid-new", _workload("new").found, fresh=True)
    assert _taken(inventory, made).deployments == {"uid-new": True}
    assert _taken(
        inventory, Change("Deployment", "uid-new", _workload("new", hostPID=True).found)
    ).deployments == {"uid-new": False}


def test_an_account_that_may_do_more_touches_those_who_run_as_it() -> None:
    inventory = Inventory()
    _taken(inventory, _workload("web", serviceAccountName="till"), _workload("other"))
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    role = _object("ClusterRole", "admin", namespace="", rules=[everything])
    subject = {"kind": "ServiceAccount", "name": "till", "namespace": "shop"}
    bound = _object(
        "ClusterRoleBinding",
        "b",
        namespace="",
        subjects=[subject],
        roleRef={"kind": "ClusterRole", "name": "admin"},
    )
    before = _taken(inventory, Change("ClusterRoleBinding", "uid-b", objects.binding(bound)))
    assert not before.deployments
    dirty = _taken(inventory, Change("ClusterRole", "uid-admin", objects.role(role)))
    assert dirty.deployments == {"uid-web": False}
    assert ("binding", "uid-b") in dirty.objects
    found = inventory.deployment("uid-web")
    assert found is not None
    assert found.service_account_permission_level == "CLUSTER_ADMIN"
    binding = inventory.get("binding", "uid-b")
    assert isinstance(binding, K8sRoleBinding)
    assert binding.role_id == "uid-admin"
    assert _taken(inventory, Change("ClusterRole", "uid-admin")).deployments == {"uid-web": False}


def test_an_account_says_whether_its_token_is_mounted_where_the_pod_does_not() -> None:
    inventory = Inventory()
    _taken(inventory, _workload("web"), _workload("loud", automountServiceAccountToken=True))
    account = _object("ServiceAccount", "default", automountServiceAccountToken=False)
    dirty = _taken(inventory, Change("ServiceAccount", "uid-default", objects.service_account(account)))
    assert dirty.deployments == {"uid-web": False}
    for name, mounted in (("web", False), ("loud", True)):
        found = inventory.deployment(f"uid-{name}")
        assert found is not None
        assert found.automount_service_account_token is mounted


def test_services_network_policies_and_labels_of_the_namespace_are_around_a_workload() -> None:
    inventory = Inventory()
    inventory.be("cluster-1", "ward", {"zone": "a"})
    _taken(inventory, _workload())
    policy = _object("NetworkPolicy", "np", spec={"podSelector": {}})
    assert _taken(inventory, Change("NetworkPolicy", "uid-np", objects.network_policy(policy))).deployments
    space = _object("Namespace", "shop", uid="uid-ns", namespace="", metadata={"labels": {"team": "till"}})
    assert _taken(inventory, Change("Namespace", "uid-ns", objects.namespace(space))).deployments
    service = _object(
        "Service", "s", spec={"selector": {"app": "web"}, "clusterIP": "10.0.0.7", "ports": [{"port": 80}]}
    )
    dirty = _taken(inventory, Change("Service", "uid-s", objects.service(service)))
    assert dirty.deployments == {"uid-web": False}
    found, around = inventory.deployment("uid-web"), inventory.around("uid-web")
    assert found is not None
    assert (found.cluster_id, found.cluster_name, found.namespace_id) == ("cluster-1", "ward", "uid-ns")
    assert found.ports[0].exposure == "INTERNAL"
    assert around.namespace_labels == {"team": "till"}
    assert around.cluster_labels == {"zone": "a"}
    assert around.network_policies is not None
    assert around.network_policies.ingress
    assert inventory.service_at("10.0.0.7") == "uid-s"
    assert _taken(inventory, Change("Service", "uid-s")).deployments
    assert inventory.service_at("10.0.0.7") == ""
    again = inventory.deployment("uid-web")
    assert again is not None
    assert again.ports == ()
    # What is to be deployed is completed by the same.
    asked = workloads.workload(deployment("shop", "later")).deployment
    assert asked is not None
    assert inventory.surrounded(asked)[0].namespace_id == "uid-ns"


def test_pull_secrets_are_told_when_they_change() -> None:
    inventory = Inventory()
    config = "eyJhdXRocyI6IHt9fQ=="
    given = _object("Secret", "s", type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": config})
    assert _taken(inventory, Change("Secret", "uid-s", objects.secret(given))).pull_secrets
    assert not _taken(inventory, Change("Secret", "uid-s", objects.secret(given))).pull_secrets
    assert [each.name for each in inventory.pull_secrets_of("shop")] == ["s"]
    assert _taken(inventory, Change("Secret", "uid-s")).pull_secrets
    assert inventory.pull_secrets == []
    # OpenShift's own are for images that are read here.
    given["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "till"}
    assert not _taken(inventory, Change("Secret", "uid-s", objects.secret(given))).pull_secrets
    assert inventory.pull_secrets == []
    assert [each.name for each in inventory.pull_secrets_of("shop")] == ["s"]


def test_a_workload_that_says_it_is_in_another_namespace_now_is_in_no_other() -> None:
    inventory = Inventory()
    _taken(inventory, _workload())
    given = deployment("elsewhere", "web")
    given["metadata"]["uid"] = "uid-web"
    _taken(inventory, Change("Deployment", "uid-web", workloads.workload(given)))
    assert inventory.selected("shop", [{"app": "web"}]) == []
    assert inventory.selected("elsewhere", [{"app": "web"}]) == ["uid-web"]
    _taken(inventory, Change("Deployment", "uid-web"))
    assert inventory.selected("shop", [{"app": "web"}]) == []
    assert inventory.selected("elsewhere", [{"app": "web"}]) == []
