"""Alerts as a Sensor tells them, and what tests need to give them to Central."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec

from redoubt.central.hub.receiving import ClusterRef
from redoubt.model.happening import Process, ProcessSignal
from redoubt.policies.alerts import (
    Alert,
    AlertDeployment,
    AlertEnforcement,
    AlertViolation,
    Attributes,
    ProcessViolation,
)
from redoubt.policies.policy import Policy
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

CLUSTER = ClusterRef(UUID("00000000-0000-4000-8000-000000000001"), "production")
OTHER = ClusterRef(UUID("00000000-0000-4000-8000-000000000002"), "testing")
#: A moment that is over.
THEN = datetime(2026, 1, 1, 12, tzinfo=UTC)


def policy(name: str = "No latest tag", **more: Any) -> Policy:
    given = {"id": f"policy-{name}", "severity": "LOW_SEVERITY", "categories": ("DevOps",)}
    return Policy(name=name, **{**given, **more})


def deployment(name: str = "shop", **more: Any) -> AlertDeployment:
    given = {
        "id": f"id-{name}",
        "type": "Deployment",
        "namespace": "web",
        "labels": {},
        "containers": (),
        "annotations": {},
    }
    return AlertDeployment(name=name, **{**given, **more})  # type: ignore[arg-type]  # of these types


def violated(message: str, after: int | None = None, kind: str = "GENERIC") -> AlertViolation:
    time = None if after is None else THEN + timedelta(seconds=after)
    return AlertViolation(message=message, key_value_attrs=Attributes(attrs=()), type=kind, time=time)


def process(path: str = "/bin/sh", after: int = 0, **more: Any) -> Process:
    signal = ProcessSignal(
        exec_file_path=path, args=more.pop("args", ""), time=THEN + timedelta(seconds=after)
    )
    return Process(**{"id": str(uuid4()), "pod_id": "shop-1", "pod_uid": "pod-1", "signal": signal, **more})


def alert(of: Policy | None = None, about: AlertDeployment | None = None, **more: Any) -> Alert:
    given: dict[str, Any] = {
        "id": str(uuid4()),
        "policy": of or policy(),
        "lifecycle_stage": "DEPLOY",
        "deployment": about or deployment(),
        "violations": (violated("it does not hold"),),
        "time": datetime.now(UTC),
        "entity_type": "DEPLOYMENT",
    }
    return Alert(**{**given, **more})


def ran(*processes: Process, of: Policy | None = None, **more: Any) -> Alert:
    """A RUNTIME alert."""
    violation = ProcessViolation(message="a process was started", processes=processes)
    return alert(of, lifecycle_stage="RUNTIME", violations=(), process_violation=violation, **more)


def killed() -> AlertEnforcement:
    return AlertEnforcement(action="KILL_POD_ENFORCEMENT", message="the pod was killed")


def results(stage: str, deployment_id: str, *alerts: Alert) -> pb.FromSensor:
    kind = pb.AlertResults.Stage.Value(stage)
    given = pb.AlertResults(stage=kind, deployment_id=deployment_id, alerts=msgspec.json.encode(alerts))
    return pb.FromSensor(number=1, alerts=given)
