"""What a cluster that is no longer its owner's tells Central, and what anybody who may ask searches for.

Nothing leaves the readers but what PostgreSQL takes; alerts come to the same in either order.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from redoubt.central.activity import records
from redoubt.central.activity.receiving import _endpoints, _flows, _processes, read
from redoubt.central.alerts import merging
from redoubt.central.alerts import receiving as alerts
from redoubt.central.hub.receiving import ClusterRef
from redoubt.central.refusals import InvalidArgument
from redoubt.central.search import parse, where
from redoubt.central.store.alert_intake import KeptAlert, _row, entity_of
from redoubt.central.store.alerts import FIELDS
from support.activity import flow, listening, started
from support.alerts import alert, process, ran, violated
from targets.interface import Target

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
    mine = [alerts._of(each, _REF, "ACTIVE", _NOW) for each in given]
    for each in mine:
        assert each.cluster_id == str(_CLUSTER)
        one, other = merging.merged(each, mine[0]), merging.merged(mine[0], each)
        assert msgspec.structs.replace(one, id="") == msgspec.structs.replace(other, id="")
        kept = KeptAlert(alert=one, cluster=_CLUSTER, entity=entity_of(one), enforced=0, taken=(each.id,))
        _storable(_row(kept))
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


TARGETS = {
    "sensor:records": Target(_records, _record_seeds),
    "sensor:alerts": Target(_alerts, _alert_seeds),
    "search": Target(_search, _search_seeds),
}
