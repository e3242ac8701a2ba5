"""How a cluster does, by when its Sensor was heard and what that said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from redoubt.central.clusters.health import Heard, health, status
from redoubt.central.clusters.records import AdmissionController, Cluster, DynamicConfig, config
from redoubt.model.cluster import DelegatedRegistryConfig, Identification, ServiceHealth
from redoubt.model.cluster import Health as Reported

NOW = datetime(2099, 1, 1, tzinfo=UTC)


def heard(silence: float, reported: Reported | None = None, *, connected: bool = True) -> Heard:
    said = Identification(k8s_version="v1.31.0", k8s_build_date="2099-01-01")
    return Heard(
        connected=connected,
        heard=NOW - timedelta(seconds=silence),
        silent=timedelta(seconds=silence),
        version="4.9.0",
        bundle="",
        identification=msgspec.json.encode(said).decode(),
        health=msgspec.json.encode(reported).decode() if reported else None,
        synced_at=None,
        reconciled='{"pod": 2}',
        spoilt=3,
    )


ALL_WELL = Reported(
    sensor=ServiceHealth(status="HEALTHY"),
    collector=ServiceHealth(status="HEALTHY", desired=3, ready=3, version="4.9.0", method="CORE_BPF"),
    admission=ServiceHealth(status="HEALTHY", desired=3, ready=3),
)


@pytest.mark.parametrize(
    ("silence", "expected"),
    [
        (0, "HEALTHY"),
        (89, "HEALTHY"),
        (90, "DEGRADED"),
        (179, "DEGRADED"),
        (180, "UNHEALTHY"),
        (1e6, "UNHEALTHY"),
    ],
)
def test_a_silent_sensor_is_degraded_and_then_unhealthy(silence: float, expected: str) -> None:
    found = health("x", heard(silence, ALL_WELL))
    assert found.sensor_health_status == found.overall_health_status == expected
    assert found.connected is (expected == "HEALTHY")
    assert found.collector_health_status == ("UNAVAILABLE" if expected == "UNHEALTHY" else "HEALTHY")


@pytest.mark.parametrize(
    ("collector", "admission", "overall"),
    [
        ("HEALTHY", "HEALTHY", "HEALTHY"),
        ("DEGRADED", "HEALTHY", "DEGRADED"),
        ("DEGRADED", "UNHEALTHY", "UNHEALTHY"),
        ("UNAVAILABLE", "HEALTHY", "HEALTHY"),
        ("a word of a later version", "HEALTHY", "HEALTHY"),
    ],
)
def test_a_cluster_is_as_well_as_its_worst_service(collector: str, admission: str, overall: str) -> None:
    reported = msgspec.structs.replace(
        ALL_WELL, collector=ServiceHealth(status=collector), admission=ServiceHealth(status=admission)
    )
    assert health("x", heard(1, reported)).overall_health_status == overall


def test_what_was_lost_removed_and_could_not_be_read_is_told() -> None:
    reported = msgspec.structs.replace(ALL_WELL, dropped={"processes": 7}, spooled=5)
    found = health("x", heard(1, reported))
    assert (found.dropped, found.spooled, found.spoilt) == ({"processes": 7}, 5, 3)
    assert found.removed_at_sync == {"pod": 2}
    assert found.collector_health_info is not None
    assert (found.collector_health_info.total_ready_pods, found.collector_health_info.method) == (
        3,
        "CORE_BPF",
    )


def test_before_a_sensor_says_how_others_are_nothing_is_known_of_them() -> None:
    found = health("x", heard(1))
    assert (found.collector_health_status, found.health_info_complete) == ("UNINITIALIZED", False)
    assert found.overall_health_status == "HEALTHY"


def test_the_clusters_own_version_is_told() -> None:
    found = status(heard(1))
    assert found.sensor_version == "4.9.0"
    assert found.orchestrator_metadata is not None
    assert found.orchestrator_metadata.version == "v1.31.0"


def test_a_record_becomes_what_its_sensor_is_told() -> None:
    nothing = DelegatedRegistryConfig()
    default = config(Cluster(id="x", name="north"), nothing).admission
    assert (default.enabled, default.enforce_on_creates, default.timeout_seconds) == (True, True, 10)
    said = AdmissionController(enabled=True, timeout_seconds=3, disable_bypass=True)
    record = Cluster(
        id="x",
        name="north",
        admission_controller_fail_on_error=True,
        dynamic_config=DynamicConfig(
            admission_controller_config=said, disable_audit_logs=True, registry_override="mirror.example"
        ),
    )
    found = config(record, nothing)
    assert (found.disable_audit_logs, found.registry_override) == (True, "mirror.example")
    admission = found.admission
    assert (admission.enforce_on_creates, admission.enforce_on_updates) == (True, False)
    assert (admission.timeout_seconds, admission.disable_bypass, admission.fail_closed) == (3, True, True)
    off = msgspec.structs.replace(
        record, dynamic_config=DynamicConfig(admission_controller_config=AdmissionController())
    )
    assert not config(off, nothing).admission.enabled
