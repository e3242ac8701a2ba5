"""How a cluster does, in the original's words: by when its Sensor was heard last, and what that said of the others. Pure.

A Sensor that was heard within 90 seconds is healthy, within three minutes degraded, and unhealthy after that; what it said of others
counts only as long as it is not unhealthy.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from redoubt.model.cluster import Health as Reported
from redoubt.model.cluster import Identification, ServiceHealth

_DEGRADED, _UNHEALTHY = timedelta(seconds=90), timedelta(minutes=3)

HEALTHY, DEGRADED, UNHEALTHY = "HEALTHY", "DEGRADED", "UNHEALTHY"
UNAVAILABLE, UNINITIALIZED = "UNAVAILABLE", "UNINITIALIZED"
_STATUSES = frozenset({HEALTHY, DEGRADED, UNHEALTHY, UNAVAILABLE, UNINITIALIZED})
#: Problems of a service that are told.
_MOST = 50
#: The year 9999: what a clock or a Sensor says beyond is no moment.
_LAST = 253_370_764_800


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message of the original."""


class ServiceInfo(Part, frozen=True, kw_only=True):
    """``CollectorHealthInfo`` and its like. ``method`` is ours: how Collectors watch."""

    version: str = ""
    total_desired_pods: int = 0
    total_ready_pods: int = 0
    status_errors: tuple[str, ...] = ()
    method: str = ""


class Health(Part, frozen=True, kw_only=True):
    """``ClusterHealthStatus``; from ``connected`` on it is ours. Nothing is known before a cluster's Sensor has called."""

    id: str = ""
    overall_health_status: str = UNINITIALIZED
    sensor_health_status: str = UNINITIALIZED
    collector_health_status: str = UNINITIALIZED
    admission_control_health_status: str = UNINITIALIZED
    scanner_health_status: str = UNINITIALIZED
    collector_health_info: ServiceInfo | None = None
    admission_control_health_info: ServiceInfo | None = None
    scanner_health_info: ServiceInfo | None = None
    last_contact: datetime | None = None
    health_info_complete: bool = False
    #: Whether the stream is there now.
    connected: bool = False
    #: When all that there is was told last, and how many objects were found to be gone then, by kind.
    last_synced: datetime | None = None
    removed_at_sync: dict[str, int] = {}
    #: What the Sensor lost for want of room, by kind; messages that wait on its disk.
    dropped: dict[str, int] = {}
    spooled: int = 0
    #: Messages that Central could not read.
    spoilt: int = 0
    #: What the Sensor says is wrong with itself.
    sensor_problems: tuple[str, ...] = ()


class OrchestratorMetadata(Part, frozen=True, kw_only=True):
    """Which Kubernetes."""

    version: str = ""
    openshift_version: str = ""
    build_date: str = ""


class ServiceCertificate(Part, frozen=True, kw_only=True):
    """A kind of service of the cluster (``COLLECTOR_SERVICE``), and when the first certificate of it ends that is in use."""

    service: str
    expiry: datetime


class CertificateExpiry(Part, frozen=True, kw_only=True):
    """``ClusterCertExpiryStatus``; ``services`` is ours: what the Sensor says of the others'."""

    sensor_cert_expiry: datetime | None = None
    sensor_cert_not_before: datetime | None = None
    services: tuple[ServiceCertificate, ...] = ()


class Status(Part, frozen=True, kw_only=True):
    """``ClusterStatus``."""

    sensor_version: str = ""
    orchestrator_metadata: OrchestratorMetadata | None = None
    cert_expiry_status: CertificateExpiry | None = None


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a cluster's Sensor; see ``0080_hub.sql``."""

    connected: bool
    heard: datetime
    #: How long ago that was, by the clock that noted it: the database's.
    silent: timedelta
    version: str
    bundle: str
    identification: str
    health: str | None
    synced_at: datetime | None
    reconciled: str
    spoilt: int
    certificate_ends: datetime | None = None
    certificate_begins: datetime | None = None


def status(heard: Heard) -> Status:
    """What a Sensor said of itself and its cluster."""
    said = msgspec.json.decode(heard.identification, type=Identification)
    return Status(
        sensor_version=heard.version,
        orchestrator_metadata=OrchestratorMetadata(
            version=said.k8s_version, openshift_version=said.openshift_version, build_date=said.k8s_build_date
        ),
        cert_expiry_status=CertificateExpiry(
            sensor_cert_expiry=heard.certificate_ends,
            sensor_cert_not_before=heard.certificate_begins,
            services=tuple(ServiceCertificate(service=name, expiry=end) for name, end in ends(heard).items()),
        ),
    )


def ends(heard: Heard) -> dict[str, datetime]:
    """When certificates of the cluster's services end, by service; the Sensor's own as it showed it."""
    reported = msgspec.json.decode(heard.health, type=Reported) if heard.health else Reported()
    found = {
        each.service[:60]: datetime.fromtimestamp(each.ends, UTC)
        for each in reported.certificates[:_MOST]
        if 0 < each.ends < _LAST
    }
    if heard.certificate_ends is not None:
        found["SENSOR_SERVICE"] = heard.certificate_ends
    return dict(sorted(found.items()))


def health(identifier: str, heard: Heard) -> Health:
    """How the cluster does now."""
    sensor = _by_silence(heard.silent)
    reported = msgspec.json.decode(heard.health, type=Reported) if heard.health else None
    others = {
        name: UNINITIALIZED if reported is None else _said(getattr(reported, name).status, sensor)
        for name in ("collector", "admission", "scanner")
    }
    return Health(
        id=identifier,
        overall_health_status=_worst(sensor, others["collector"], others["admission"]),
        sensor_health_status=sensor,
        collector_health_status=others["collector"],
        admission_control_health_status=others["admission"],
        scanner_health_status=others["scanner"],
        collector_health_info=_info(reported.collector if reported else None),
        admission_control_health_info=_info(reported.admission if reported else None),
        scanner_health_info=_info(reported.scanner if reported else None),
        last_contact=heard.heard,
        health_info_complete=reported is not None,
        connected=heard.connected and sensor == HEALTHY,
        last_synced=heard.synced_at,
        removed_at_sync=msgspec.json.decode(heard.reconciled, type=dict[str, int]),
        dropped=reported.dropped if reported else {},
        spooled=reported.spooled if reported else 0,
        spoilt=heard.spoilt,
        sensor_problems=reported.sensor.problems[:_MOST] if reported else (),
    )


def _by_silence(silence: timedelta) -> str:
    if silence >= _UNHEALTHY:
        return UNHEALTHY
    return DEGRADED if silence >= _DEGRADED else HEALTHY


def _said(status: str, sensor: str) -> str:
    return UNAVAILABLE if sensor == UNHEALTHY or status not in _STATUSES else status


def _worst(*statuses: str) -> str:
    """What is not there at all does not make a cluster worse."""
    return next((each for each in (UNHEALTHY, DEGRADED) if each in statuses), HEALTHY)


def _info(said: ServiceHealth | None) -> ServiceInfo | None:
    if said is None:
        return None
    return ServiceInfo(
        version=said.version,
        total_desired_pods=said.desired,
        total_ready_pods=said.ready,
        status_errors=said.problems[:_MOST],
        method=said.method,
    )
