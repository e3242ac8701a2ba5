"""Records as a Sensor tells them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from redoubt.model.cluster import EndpointRecord, Entity, FlowRecord
from redoubt.model.happening import Process, ProcessSignal
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

SHOP = "00000000-0000-4000-8000-00000000000a"
BASE = "00000000-0000-4000-8000-00000000000b"


def started(
    path: str = "/bin/sh", args: str = "", of: str = SHOP, container: str = "main", **more: Any
) -> Process:
    signal = ProcessSignal(
        id=f"{path} {args}"[:50],
        name=path.rsplit("/", 1)[-1][:15],
        exec_file_path=path,
        args=args,
        time=datetime.now(UTC),
        uid=7,
    )
    given = {"id": "p", "pod_id": "shop-1", "pod_uid": "pod-1", "namespace": "web", "signal": signal, **more}
    return Process(deployment_id=of, container_name=container, **given)


def flow(
    source: Entity | str = SHOP, destination: Entity | str = BASE, port: int = 443, *, closed: bool = False
) -> FlowRecord:
    seen = time.time_ns()
    return FlowRecord(
        source=_entity(source),
        destination=_entity(destination),
        port=port,
        seen=seen,
        closed=seen if closed else None,
    )


def outside(address: str = "") -> Entity:
    return Entity(type="INTERNET", id=address)


def listening(port: int = 8080, of: str = SHOP, *, closed: bool = False, **more: Any) -> EndpointRecord:
    seen = time.time_ns()
    given = {"pod_id": "shop-1", "pod_uid": "pod-1", "container_name": "main", "process_name": "nginx",
             "exec_file_path": "/usr/sbin/nginx", **more}  # fmt: skip
    return EndpointRecord(deployment_id=of, port=port, seen=seen, closed=seen if closed else None, **given)


def told(*records: Process | FlowRecord | EndpointRecord) -> pb.FromSensor:
    kinds = {
        Process: pb.Records.PROCESSES,
        FlowRecord: pb.Records.FLOWS,
        EndpointRecord: pb.Records.ENDPOINTS,
    }
    return raw(kinds[type(records[0])], records)


def raw(kind: pb.Records.Kind.ValueType, records: Sequence[object] | bytes) -> pb.FromSensor:
    content = records if isinstance(records, bytes) else msgspec.msgpack.encode(records)
    return pb.FromSensor(number=1, records=pb.Records(kind=kind, records=content))


def _entity(given: Entity | str) -> Entity:
    return given if isinstance(given, Entity) else Entity(type="DEPLOYMENT", id=given)
