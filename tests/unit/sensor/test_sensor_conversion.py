"""Objects of the API as what Central and policies look at; also objects that no API server would have let in."""

from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from redoubt.errors import UnreadableInput
from redoubt.policies.kubernetes import NotAWorkload
from redoubt.sensor.conversion import objects, workloads
from redoubt.sensor.stream.outgoing import LARGEST, encoded
from redoubt.wire.authority import Authority
from support.sensing import deployment

DIGEST = "sha256:" + "a1" * 32


def _meta(**more: Any) -> dict[str, Any]:
    return {"uid": "u", "name": "n", "namespace": "shop", "creationTimestamp": "2099-01-02T03:04:05Z", **more}


def _secret(kind: str, **data: str) -> objects.SeenSecret:
    packed = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    return objects.secret({"metadata": _meta(), "type": kind, "data": packed})


def test_a_secret_is_kept_without_its_values() -> None:
    found = _secret("Opaque", password="hunter2hunter2")
    assert [each.name for each in found.secret.files] == ["password"]
    assert found.pull is None
    for text in (repr(found), repr(found.secret), str(encoded(found.secret))):
        assert "hunter2" not in text
        assert base64.b64encode(b"hunter2hunter2").decode() not in text


def test_when_a_certificate_ends_is_kept_and_nothing_else_of_it(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path)
    pem = (tmp_path / "ca.pem").read_text()
    found = _secret("kubernetes.io/tls", **{"tls.crt": pem, "tls.key": "-----BEGIN EC PRIVATE KEY-----\nMHc"})
    files = {each.name: each for each in found.secret.files}
    assert files["tls.crt"].type == "PUBLIC_CERTIFICATE"
    assert files["tls.crt"].cert_end == authority.expires
    assert files["tls.key"].type == "EC_PRIVATE_KEY"
    assert "BEGIN" not in str(encoded(found.secret))


def test_pull_secrets_of_both_forms() -> None:
    auths = {"registry.example": {"username": "u", "password": "p"}}
    new = _secret("kubernetes.io/dockerconfigjson", **{".dockerconfigjson": json.dumps({"auths": auths})})
    old = _secret("kubernetes.io/dockercfg", **{".dockercfg": json.dumps(auths)})
    for found in (new, old):
        assert found.pull is not None
        assert json.loads(found.pull.config) == {"auths": auths}
        assert found.secret.files[0].type == "IMAGE_PULL_SECRET"
        assert '"p"' not in repr(found)
    assert _secret("kubernetes.io/dockercfg", **{".dockercfg": "no json"}).pull is None


@pytest.mark.parametrize("odd", [5, "text", ["list"], None, {"a": 5}, {"a": None}, {"a": "%%%"}])
def test_an_odd_secret_is_no_fault(odd: object) -> None:
    objects.secret({"metadata": _meta(), "type": "kubernetes.io/dockerconfigjson", "data": odd})


@pytest.mark.parametrize("odd", [5, "text", ["list"], [5], None, {}, {"a": []}, True])
@pytest.mark.parametrize("field", ["spec", "status", "metadata", "rules", "subjects", "roleRef"])
@pytest.mark.parametrize(
    "convert",
    [
        objects.namespace,
        objects.node,
        objects.role,
        objects.binding,
        objects.network_policy,
        objects.service,
        objects.ingress,
        objects.route,
        objects.service_account,
        objects.config_map,
    ],
)
def test_fields_of_the_wrong_type_count_as_not_there(convert: Any, field: str, odd: object) -> None:
    given = {"kind": "Thing", "metadata": _meta(), "spec": {}, field: odd}
    assert convert(given) is not None


def test_what_a_node_says() -> None:
    found = objects.node(
        {
            "metadata": _meta(),
            "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "192.0.2.7"}],
                "nodeInfo": {"kernelVersion": "6.1", "kubeletVersion": "v1.20.2"},
            },
        }
    )
    assert found.internal_ip_addresses == ("192.0.2.7",)
    assert found.taints[0].taint_effect == "NO_SCHEDULE_TAINT_EFFECT"
    assert found.kernel_version == "6.1"
    assert found.joined_at == dt.datetime(2099, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def test_only_what_nothing_owns_becomes_a_deployment() -> None:
    given = deployment("shop")
    given["metadata"]["uid"] = "d"
    seen = workloads.workload(given)
    assert seen.deployment is not None
    assert seen.deployment.containers[0].image is not None
    owned = {**given, "kind": "ReplicaSet"}
    owned["metadata"] = {
        **given["metadata"],
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop", "uid": "d"}],
    }
    assert workloads.workload(owned).deployment is None
    assert workloads.workload(owned).owner == "d"
    # Somebody's own kind makes no pods that we know of: what it owns stands for itself.
    owned["metadata"]["ownerReferences"][0]["apiVersion"] = "rollouts.example/v1"
    assert workloads.workload(owned).deployment is not None


def _pod(status: object) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _meta(),
        "spec": {"containers": [{"name": "main", "image": "registry.example/shop:1.4"}], "nodeName": "one"},
        "status": status,
    }


def test_a_pods_status_says_what_runs() -> None:
    state = {"running": {"startedAt": "2099-01-02T03:04:05Z"}}
    status = {
        "name": "main",
        "imageID": f"docker-pullable://registry.example/shop@{DIGEST}",
        "containerID": "containerd://" + "f0" * 32,
        "state": state,
        "lastState": {
            "terminated": {"exitCode": 3, "reason": "Error", "containerID": "containerd://" + "e0" * 32}
        },
    }
    found = workloads.pod(_pod({"containerStatuses": [status], "podIP": "10.1.0.7"}))
    (live,) = found.pod.live_instances
    assert (live.container_id, live.image_digest) == ("f0" * 32, DIGEST)
    assert found.pod.terminated_instances[0].exit_code == 3
    assert found.pod.ips == ("10.1.0.7",)
    assert found.images[0].digest == DIGEST
    assert found.workload is not None


@pytest.mark.parametrize(
    ("phase", "ips"),
    [("Running", ("10.1.0.7",)), ("", ("10.1.0.7",)), ("Succeeded", ()), ("Failed", ())],
)
def test_a_pod_that_ended_has_no_address_any_more(phase: str, ips: tuple[str, ...]) -> None:
    status = {"phase": phase, "podIP": "10.1.0.7", "podIPs": [{"ip": "10.1.0.7"}]}
    assert workloads.pod(_pod(status)).pod.ips == ips


@pytest.mark.parametrize(
    ("identifier", "digest"),
    [
        (f"registry.example/shop@{DIGEST}", DIGEST),
        (DIGEST, ""),  # the configuration's
        (f"docker://{DIGEST}", ""),
        ("registry.example/shop@sha256:short", ""),
        ("", ""),
    ],
)
def test_a_digest_is_the_manifests(identifier: str, digest: str) -> None:
    assert workloads.digest(identifier) == digest


@pytest.mark.parametrize(
    "odd", [5, "text", [5], {"containerStatuses": 5}, {"containerStatuses": [{"state": 5}]}, None]
)
def test_an_odd_status_is_no_fault(odd: object) -> None:
    assert workloads.pod(_pod(odd)).pod.name == "n"


def test_a_workload_that_kubernetes_would_not_take_is_refused() -> None:
    given = deployment("shop")
    given["spec"]["template"]["spec"]["containers"] = "many"
    with pytest.raises(NotAWorkload):
        workloads.workload(given)
    assert issubclass(NotAWorkload, UnreadableInput)


def test_annotations_that_say_the_object_again_are_left_out_and_long_ones_cut() -> None:
    given = {
        "kubectl.kubernetes.io/last-applied-configuration": "hunter2",
        "long": "x" * 1_000_000,
        "odd": "\u202e\x00\ud83d\ude00",
    }
    found = objects.namespace({"metadata": _meta(annotations=given)})
    assert set(found.annotations) == {"long", "odd"}
    assert len(found.annotations["long"]) == objects.LONGEST_ANNOTATION


def test_ten_thousand_containers_fit_into_a_message_and_it_is_said_that_some_are_missing() -> None:
    one = {"image": "registry.example/shop:1.4", "env": [{"name": "A", "value": "x" * 300}]}
    given = deployment("shop", containers=[{"name": f"c{each}", **one} for each in range(10_000)])
    given["metadata"]["uid"] = "d"
    seen = workloads.workload(given)
    assert seen.deployment is not None
    ready = encoded(seen.deployment)
    assert ready is not None
    assert ready.cut
    assert len(ready.content) <= LARGEST


def test_the_same_object_has_the_same_hash() -> None:
    one = objects.namespace({"metadata": _meta(labels={"a": "1", "b": "2"})})
    two = objects.namespace({"metadata": _meta(labels={"b": "2", "a": "1"})})
    first, second = encoded(one), encoded(two)
    assert first is not None
    assert second is not None
    assert first.hash == second.hash
