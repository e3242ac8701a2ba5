"""What the kernel tells a Collector of foreign processes, the API server's audit log, and network policies that somebody sends."""

from __future__ import annotations

import json
import struct

from redoubt.collector import records, sockets
from redoubt.collector.connector import _CONNECTOR, _EVENT, _IDS, EXEC, Connector
from redoubt.errors import RedoubtError
from redoubt.networkpolicies import writing
from redoubt.sensor.runtime import audit
from support import rings
from targets.interface import Target, require_clean

_REQUESTED = {
    "stage": "ResponseComplete",
    "verb": "get",
    "auditID": "a",
    "objectRef": {"resource": "secrets", "namespace": "shop", "name": "till"},
    "user": {"username": "eve", "groups": ["g"]},
    "sourceIPs": ["203.0.113.7"],
    "userAgent": "kubectl",
    "stageTimestamp": "2099-01-02T03:04:05.678901Z",
}


def _ring(data: bytes) -> int:
    """How many records a text of them is, each with its length before it."""
    found = at = 0
    while at + 2 <= len(data):
        length = int.from_bytes(data[at : at + 2], "little")
        one, at = data[at + 2 : at + 2 + length], at + 2 + length
        try:
            records.decode(memoryview(one))
        except records.Spoilt:
            continue
        found += 1
    return found


def _ring_seeds() -> list[bytes]:
    several = [
        rings.executed(b"sh\0-c\0id\0"),
        rings.connected(7, 2),
        rings.connected(7, 10, family=10, local=b"\0" * 16, remote=b"\0" * 10 + b"\xff\xff\x0a\0\0\x02"),
        rings.named("/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + "a" * 64 + ".scope"),
    ]
    return [b"".join(len(each).to_bytes(2, "little") + each for each in several)]


def _netlink(data: bytes) -> int:
    """How many sockets and processes are in a datagram of netlink."""
    connector = object.__new__(Connector)
    connector.lost, connector._expected = {}, {}
    found = 0
    for _, body in sockets.messages(data):
        if len(body) >= sockets._ANSWER.size:
            one = sockets._read(body, "tcp")
            assert 0 <= one.local_port < 65536
            found += 1
        found += connector.decode(body) is not None
    assert all(each >= 0 for each in connector.lost.values())
    return found


def _netlink_seeds() -> list[bytes]:
    event = _CONNECTOR.pack(1, 1, 5, 0, 40, 0) + _EVENT.pack(EXEC, 0, 1) + _IDS.pack(10, 10, 0, 0)
    answer = sockets._ANSWER.pack(2, 1, b"\x1f\x90", b"\x01\xbb", b"\x0a" * 16, b"\x0b" * 16, 0, 0, 0, 0, 7)
    parts = [
        struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 1) + body
        for kind, body in ((3, event), (20, answer))
    ]
    return [b"".join(each.ljust((len(each) + 3) & ~3, b"\0") for each in parts)]


def _proc_net(data: bytes) -> int:
    """How many sockets a file below ``/proc`` has."""
    found = list(sockets.parse(iter(data.decode("ascii", "replace").split("\n")), "tcp"))
    require_clean([each.local for each in found])
    return len(found)


def _proc_net_seeds() -> list[bytes]:
    rest = "00000000:00000000 00:00000000 00000000 1000 0 4711 1"
    six = "0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000"
    return [f"0: 0100007F:1F90 00000000:0000 0A {rest}\n1: {six} 01 {rest}\n".encode()]


def _audit(data: bytes) -> int:
    """How many events a webhook's body or a log's lines tell of."""
    try:
        given: list[object] = list(audit.items(data))
    except audit.Unreadable:
        given = list(data.split(b"\n"))
    found = 0
    for each in given:
        try:
            event = audit.read(each, "cluster")  # type: ignore[arg-type]  # one or the other
        except audit.Unreadable:
            continue
        if event is not None:
            assert event.object is not None
            assert len(event.object.name) <= 1024
            found += 1
    return found


def _audit_seeds() -> list[bytes]:
    other = {**_REQUESTED, "verb": "deletecollection", "impersonatedUser": {"username": "root"}}
    return [
        json.dumps({"kind": "EventList", "items": [_REQUESTED, other]}).encode(),
        b"\n".join(json.dumps(each).encode() for each in (_REQUESTED, other)),
    ]


def _network_policies(data: bytes) -> int:
    """How many there are in a text."""
    try:
        found = writing.read(data.decode("utf-8", "replace"))
    except RedoubtError as error:
        require_clean(str(error))
        return 0
    for each in found:
        assert each.namespace
    return len(found)


def _network_policy_seeds() -> list[bytes]:
    spec = (
        b"{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, "
        b"except: [10.1.0.0/16]}}, {namespaceSelector: {}}], ports: [{port: 80, endPort: 90, protocol: TCP}]}]}"
    )
    head = b"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %b, namespace: shop}\nspec: %b\n"
    return [head % (b"a", spec) + b"---\n" + head % (b"b", b"{podSelector: {}, egress: [{}]}")]


TARGETS = {
    "collector:ring": Target(_ring, _ring_seeds),
    "collector:netlink": Target(_netlink, _netlink_seeds),
    "collector:proc-net": Target(_proc_net, _proc_net_seeds),
    "audit:log": Target(_audit, _audit_seeds),
    "graph:network-policies": Target(_network_policies, _network_policy_seeds),
}
