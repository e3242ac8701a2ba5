"""What a cluster that is no longer its owner's tells Central, and what anybody who may ask searches for.

Nothing leaves the readers but what PostgreSQL takes; alerts come to the same in either order.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from redoubt.central.activity import records
from redoubt.central.activity.receiving import _endpoints, _flows, _processes, read
from redoubt.central.alerts import merging
from redoubt.central.alerts import receiving as alerts
from redoubt.central.hub import objects, pullsecrets, wanting
from redoubt.central.hub.receiving import ClusterRef, Spoilt
from redoubt.central.refusals import InvalidArgument
from redoubt.central.search import parse, where
from redoubt.central.store import nodes
from redoubt.central.store.alert_intake import KeptAlert, _row, entity_of
from redoubt.central.store.alerts import FIELDS
from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.model import Image, IndexReport, Package
from redoubt.model.cluster import KINDS, PullSecret
from redoubt.wire import crs, csr
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb
from support.activity import flow, listening, started
from support.alerts import alert, process, ran, violated
from targets.interface import Target, require_clean

_NOW = datetime(2099, 6, 1, tzinfo=UTC)
_CLUSTER = UUID(int=1)
_REF = ClusterRef(_CLUSTER, "north")
_LARGEST = 2**63


def _storable(row: object) -> None:
    """Raise where PostgreSQL would not take a value."""
    values = msgspec.structs.astuple(row) if isinstance(row, msgspec.Struct) else row
    assert isinstance(values, tuple)
    for each in values:
        if isinstance(each, str):
            assert "\x00" not in each
            each.encode()
        elif isinstance(each, int):
            assert -_LARGEST <= each < _LARGEST
        elif isinstance(each, datetime):
            assert each.tzinfo is not None
            assert each <= _NOW


def _records(data: bytes) -> int:
    """The first byte says of which kind they are."""
    kind, content = data[:1], data[1:]
    rows: list[msgspec.Struct] = []
    match kind:
        case b"p":
            rows += records.processes(_CLUSTER, read(content, _processes)[0], _NOW)
        case b"f":
            rows += records.flows(_CLUSTER, read(content, _flows)[0], _NOW)
        case b"e":
            rows += records.endpoints(_CLUSTER, read(content, _endpoints)[0], _NOW)
    for each in rows:
        _storable(each)
    return len(rows)


def _record_seeds() -> list[bytes]:
    encode = msgspec.msgpack.encode
    return [
        b"p" + encode([started(args="-c x"), started("/bin/ls", pod_uid="")]),
        b"f" + encode([flow(), flow(closed=True)]),
        b"e" + encode([listening(), listening(9090, closed=True)]),
    ]


def _alerts(data: bytes) -> int:
    """How many could be read; each as the cluster's own, kept, and merged with the first."""
    given, _ = alerts.read(data)
    # Others are counted and left out by the receiver.
    mine = [
        alerts._of(each, _REF, "ACTIVE", _NOW) for each in given if each.lifecycle_stage in alerts._STAGES
    ]
    for each in mine:
        assert each.cluster_id == str(_CLUSTER)
        one, other = merging.merged(each, mine[0]), merging.merged(mine[0], each)
        assert msgspec.structs.replace(one, id="") == msgspec.structs.replace(other, id="")
        kept = KeptAlert(alert=one, cluster=_CLUSTER, entity=entity_of(one), enforced=0, taken=(each.id,))
        _storable(_row(kept))
        require_clean((kept.entity, kept.key))
    return len(mine)


def _alert_seeds() -> list[bytes]:
    happened = ran(process(args="a\x00b"), process("/bin/nc"))
    events = alert(
        lifecycle_stage="RUNTIME", violations=(violated("exec", 1, "K8S_EVENT"), violated("attach"))
    )
    return [msgspec.json.encode([alert()]), msgspec.json.encode([happened, events])]


def _search(data: bytes) -> int:
    """How many conditions a search text is."""
    values: list[object] = []
    try:
        conditions = where(parse(data.decode("utf-8", "replace")), FIELDS, values, _NOW)
    except InvalidArgument:
        return 0
    assert not any("\x00" in str(each) for each in values)
    return len(conditions)


def _search_seeds() -> list[bytes]:
    return [
        b'Severity:>=HIGH+Cluster:"a,b",c/d+Violation Time:<7d',
        b"Policy:r/.*x+Category:!DevOps,*+Inactive Deployment:true",
        b"Violation Time:tr/0-1000+Deployment ID:-",
    ]


def _object(data: bytes) -> int:
    """The first byte says of which kind it is. What is stored is the cluster's own, whatever it says."""
    kinds = sorted(KINDS)
    kind = kinds[data[0] % len(kinds)] if data else "pod"
    event = pb.ObjectEvent(kind=kind, id="uid", action=pb.ObjectEvent.UPSERT, object=data[1:])
    try:
        (found_kind, _), found = objects._read(_REF, event)
    except Spoilt:
        return 0
    assert found is not None
    stored, part = found
    assert (found_kind, stored.kind, getattr(part, "cluster_id", str(_CLUSTER))) == (
        kind,
        kind,
        str(_CLUSTER),
    )
    for text in (stored.name, stored.namespace, stored.hash, stored.labels, *stored.images, stored.object):
        assert "\x00" not in text
        text.encode()
    labels = msgspec.json.decode(stored.labels, type=dict[str, str])
    assert not any("\x00" in each for pair in labels.items() for each in pair)
    assert msgspec.json.decode(stored.object, type=type(part)) == part
    for image in wanting.images(part):
        assert "\x00" not in image.reference + image.name + image.digest
    return 1 + len(stored.images)


def _object_seeds() -> list[bytes]:
    kinds = sorted(KINDS)
    workload = (
        b'{"name":"web","labels":{"a":"b"},"created":"2099-01-01T00:00:00Z","clusterId":"another","containers":'
        b'[{"image":{"id":"sha256:' + b"a" * 64 + b'","name":{"fullName":"registry.example/web:1"}}}]}'
    )
    namespace = b'{"name":"shop","labels":{"team":"red"}}'
    return [
        bytes([kinds.index("deployment")]) + workload,
        bytes([kinds.index("namespace")]) + namespace,
        bytes([kinds.index("binding")]) + b'{"name":"x","subjects":[{"kind":"USER","name":"e"}]}',
    ]


def _node(data: bytes) -> int:
    """How many packages a node's report has."""
    try:
        return 1 + len(nodes.inflated(data).packages)
    except UnreadableInput:
        return 0


def _node_seeds() -> list[bytes]:
    index = IndexReport(
        image=Image(reference="worker", kind="dir"), packages=(Package(type="deb", name="a", version="1"),)
    )
    return [zlib.compress(msgspec.json.encode(index))]


def _pull_secrets(data: bytes) -> int:
    """How many integrations are made of a cluster's pull secrets."""
    try:
        secrets = pullsecrets._secrets.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0
    made = 0
    for each in secrets:
        try:
            found = pullsecrets._integrations(_REF, each)
        except InvalidArgument:
            continue
        for one in found:
            assert len(one.name) <= 200
            assert one.source is not None
            assert one.source.cluster_id == str(_CLUSTER)
        made += len(found)
    return made


def _pull_secret_seeds() -> list[bytes]:
    text = '{"auths":{"registry.example":{"auth":"dXNlcjpwYXNz"}}}'
    old = '{"https://registry.example/v1/":{"username":"a","password":"b"}}'
    several = [
        PullSecret(namespace="shop", name=name, config=config) for name, config in (("a", text), ("b", old))
    ]
    return [msgspec.json.encode(several)]


def _certificate(data: bytes) -> int:
    """Whether a request for a certificate is one that is signed."""
    try:
        key = csr.key_of(data, Service.SENSOR, str(_CLUSTER))
    except (UnreadableInput, LimitExceeded):
        return 0
    assert key.curve.name in ("secp256r1", "secp384r1")
    return 1


def _certificate_seeds() -> list[bytes]:
    return [csr.made(ec.derive_private_key(number, ec.SECP256R1())) for number in (3, 5)]


def _registration(data: bytes) -> int:
    """How many CAs a registration secret has."""
    try:
        return len(crs.read(data).authorities)
    except UnreadableInput:
        return 0


def _registration_seeds() -> list[bytes]:
    return [crs.written(crs.Registration(authorities=("a",), certificate="b", key="c")).encode()]


TARGETS = {
    "sensor:certificates": Target(_certificate, _certificate_seeds),
    "sensor:registration": Target(_registration, _registration_seeds),
    "sensor:records": Target(_records, _record_seeds),
    "sensor:alerts": Target(_alerts, _alert_seeds),
    "sensor:objects": Target(_object, _object_seeds),
    "sensor:nodes": Target(_node, _node_seeds),
    "sensor:pull-secrets": Target(_pull_secrets, _pull_secret_seeds),
    "search": Target(_search, _search_seeds),
}
