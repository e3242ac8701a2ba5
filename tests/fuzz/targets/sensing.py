"""What the Sensor reads: objects of the API server in a watch's lines, and a spool's segments as a crash leaves them."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import msgspec

from redoubt.errors import UnreadableInput
from redoubt.sensor.cluster.changes import Change
from redoubt.sensor.cluster.observing import _CONVERT
from redoubt.sensor.graph.inventory import Inventory
from redoubt.sensor.stream.outgoing import LARGEST, encoded
from redoubt.sensor.stream.spool import _HEAD, _records, _sum
from support.sensing import deployment
from targets.interface import Target


def _watched(data: bytes) -> int:
    """How many objects came to be known of lines of a watch, in whichever order, and went again."""
    inventory = Inventory("stackrox")
    inventory.be("c", "ward", {})
    uids = []
    for line in data.split(b"\n")[:50]:
        try:
            given: Any = msgspec.json.decode(line)
            kind, uid = given["kind"], given["metadata"]["uid"]
            convert = _CONVERT[kind]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
            continue
        if not isinstance(uid, str) or not uid:
            continue
        try:
            found = convert(given)
        except UnreadableInput:
            continue
        inventory.apply(Change(kind, uid, found, fresh=len(uids) % 2 == 0))
        uids.append((kind, uid))
        for key in inventory.drain().objects:
            if (one := inventory.get(*key)) is not None:
                ready = encoded(one)
                assert ready is None or len(ready.content) <= LARGEST
    known = len(list(inventory.keys()))
    for kind, uid in uids:
        inventory.apply(Change(kind, uid))
        inventory.drain()
    left = list(inventory.keys())
    assert left == [], left
    assert not inventory.containers
    assert not inventory.pod_ips
    return known


def _meta(name: str, **more: Any) -> dict[str, Any]:
    return {
        "uid": f"u-{name}",
        "name": name,
        "namespace": "shop",
        "creationTimestamp": "2099-01-02T03:04:05Z",
        **more,
    }


def _watched_seeds() -> list[bytes]:
    web = {**deployment("shop", "web"), "metadata": _meta("web", labels={"app": "web"})}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "uid": "u-web", "name": "web"}
    replicas = {**web, "kind": "ReplicaSet", "metadata": _meta("web-1", ownerReferences=[owner])}
    status = {
        "name": "main",
        "imageID": "registry.example/shop@sha256:" + "a" * 64,
        "containerID": "containerd://" + "f" * 64,
        "state": {"running": {"startedAt": "2099-01-02T03:04:05Z"}},
    }
    pod = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": _meta(
            "web-1-a", ownerReferences=[{**owner, "kind": "ReplicaSet", "uid": "u-web-1", "name": "web-1"}]
        ),
        "spec": web["spec"]["template"]["spec"],
        "status": {"podIP": "10.1.0.7", "containerStatuses": [status], "startTime": "2099-01-02T03:04:05Z"},
    }
    rule = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": "shop"}
    backend = {"service": {"name": "till", "port": {"number": 80}}}
    config = base64.b64encode(b'{"auths": {"registry.example": {"auth": "dTpw"}}}').decode()
    lines: list[dict[str, Any]] = [
        web,
        replicas,
        pod,
        {"kind": "Namespace", "metadata": _meta("shop", labels={"team": "a"})},
        {"kind": "ServiceAccount", "metadata": _meta("default"), "automountServiceAccountToken": False},
        {"kind": "ClusterRole", "metadata": _meta("admin"), "rules": [rule]},
        {
            "kind": "ClusterRoleBinding",
            "metadata": _meta("b"),
            "subjects": [subject],
            "roleRef": {"kind": "ClusterRole", "name": "admin"},
        },
        {
            "kind": "Service",
            "metadata": _meta("till"),
            "spec": {
                "selector": {"app": "web"},
                "clusterIP": "10.0.0.7",
                "ports": [{"port": 80, "targetPort": 8080}],
            },
        },
        {
            "kind": "Ingress",
            "metadata": _meta("in"),
            "spec": {"rules": [{"host": "shop.example", "http": {"paths": [{"backend": backend}]}}]},
        },
        {
            "kind": "NetworkPolicy",
            "metadata": _meta("np"),
            "spec": {
                "podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}
            },
        },
        {
            "kind": "Secret",
            "metadata": _meta("s"),
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": config},
        },
        {"kind": "ConfigMap", "metadata": _meta("cm"), "data": {"a": "b"}},
        {"kind": "Node", "metadata": _meta("n"), "status": {"nodeInfo": {"kernelVersion": "6.1"}}},
        {"kind": "Route", "metadata": _meta("r"), "spec": {"host": "a.example", "to": {"name": "till"}}},
    ]
    return [b"\n".join(json.dumps(each).encode() for each in lines), json.dumps(web).encode()]


def _spooled(data: bytes) -> int:
    """How many records are whole; what is behind the first that is not is not looked at."""
    last, found = 0, 0
    for each in _records(io.BytesIO(data)):
        assert last < each.end <= len(data)
        assert len(each.data) <= 16 << 20
        last, found = each.end, found + 1
    return found


def _spool_seeds() -> list[bytes]:
    records = [
        _HEAD.pack(number, len(content), _sum(number, 1, 3, content), 1, 3) + content
        for number, content in enumerate((b"one", b"two" * 100), 1)
    ]
    return [b"".join(records)]


TARGETS = {
    "sensor:watch": Target(_watched, _watched_seeds),
    "sensor:spool": Target(_spooled, _spool_seeds),
}
