"""A cluster's record in the original's form, ``storage.Cluster``. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from redoubt.central.clusters.health import Health, Status
from redoubt.model.cluster import AdmissionControl, ClusterConfig, DelegatedRegistryConfig


class AdmissionController(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the admission controller decides. ``at_deadline`` is ours: what counts where images are not known in time."""

    enabled: bool = False
    timeout_seconds: int = 0
    scan_inline: bool = False
    disable_bypass: bool = False
    enforce_on_updates: bool = False
    at_deadline: Literal["ALLOW", "DENY"] = "ALLOW"


class AutoLock(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether process baselines are locked as soon as their learning ends."""

    enabled: bool = False


class DynamicConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What changes without installing anew."""

    admission_controller_config: AdmissionController | None = None
    registry_override: str = ""
    disable_audit_logs: bool = False
    auto_lock_process_baselines_config: AutoLock | None = None


class Tolerations(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether Collector tolerates tainted nodes."""

    disabled: bool = False


class Cluster(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A cluster's record. ``status`` and ``healthStatus`` are Central's; what is sent of them does not count."""

    id: str = ""
    name: str = ""
    type: str = "KUBERNETES_CLUSTER"
    labels: dict[str, str] = {}
    main_image: str = ""
    collector_image: str = ""
    central_api_endpoint: str = ""
    collection_method: str = "CORE_BPF"
    admission_controller: bool = False
    admission_controller_updates: bool = False
    admission_controller_events: bool = False
    admission_controller_fail_on_error: bool = False
    slim_collector: bool = False
    dynamic_config: DynamicConfig | None = None
    tolerations_config: Tolerations | None = None
    managed_by: str = "MANAGER_TYPE_MANUAL"
    init_bundle_id: str = ""
    status: Status | None = None
    health_status: Health | None = None


def config(
    record: Cluster, delegated: DelegatedRegistryConfig, networks: tuple[str, ...] = ()
) -> ClusterConfig:
    """What the cluster's Sensor is told of the record, and of ``networks`` outside that have a name. Where nothing is said, the admission controller enforces."""
    dynamic = record.dynamic_config or DynamicConfig()
    said = dynamic.admission_controller_config
    admission = AdmissionControl(fail_closed=record.admission_controller_fail_on_error)
    if said is not None:
        admission = AdmissionControl(
            enabled=said.enabled or said.enforce_on_updates,
            enforce_on_creates=said.enabled,
            enforce_on_updates=said.enforce_on_updates,
            scan_inline=said.scan_inline,
            disable_bypass=said.disable_bypass,
            timeout_seconds=said.timeout_seconds or AdmissionControl().timeout_seconds,
            fail_closed=record.admission_controller_fail_on_error,
            at_deadline=said.at_deadline,
        )
    return ClusterConfig(
        cluster_id=record.id,
        cluster_name=record.name,
        cluster_labels=record.labels,
        admission=admission,
        delegated=delegated,
        disable_audit_logs=dynamic.disable_audit_logs,
        registry_override=dynamic.registry_override,
        networks=networks,
    )
