"""What a Sensor is told at start. See ``configuration`` for where it may stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from redoubt import configuration
from redoubt.errors import UsageError

PREFIX = "REDOUBT_SENSOR_"
ALIASES = {
    "data": ("REDOUBT_DATA_DIR",),
    "central": ("ROX_CENTRAL_ENDPOINT",),
    "cluster_name": ("ROX_CLUSTER_NAME",),
    "namespace": ("POD_NAMESPACE",),
    "kubeconfig": ("KUBECONFIG",),
    "scans_at_once": ("ROX_MAX_PARALLEL_IMAGE_SCAN_INTERNAL",),
    "ad_hoc_scans_at_once": ("ROX_MAX_PARALLEL_AD_HOC_SCAN_INTERNAL",),
    "crs": ("ROX_CRS_FILE",),
    "log_level": ("LOGLEVEL",),
}


class Settings(configuration.Internal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Sensor. Times are in seconds, sizes in bytes."""

    secret = frozenset({"audit_webhook_token"})
    #: The spool, and what Central said last.
    data: Path = Path("/var/lib/redoubt/sensor")
    #: A cluster registration secret, with which a Sensor without a certificate gets one; not given: where the original mounts it.
    crs: Path | None = None
    #: Where Central is, and where the cluster's own Indexer, if there is one; host and port.
    central: str = "central.stackrox.svc:443"
    indexer: str = ""
    #: Images that the cluster's own Indexer looks at at a time: for policies, and for those who ask for one by name.
    scans_at_once: int = 30
    ad_hoc_scans_at_once: int = 5
    #: What the cluster is to be called, where Central has no name for it yet.
    cluster_name: str = ""
    #: The namespace that this Sensor runs in.
    namespace: str = "stackrox"
    #: How the API server is reached; not given: as a pod of the cluster, else as ``~/.kube/config`` says.
    kubeconfig: Path | None = None
    #: How long to wait before connecting to Central again: doubled each time, up to the longest.
    backoff_first: float = 10.0
    backoff_longest: float = 300.0
    #: What waits on disk for Central, at most. Beyond it the oldest is dropped, and counted.
    spool_bytes: int = 1 << 30
    #: What is held in memory of images, at most.
    image_cache_bytes: int = 200 << 20
    #: Changes of the cluster's objects that wait to be looked at, at most.
    changes: int = 10_000
    #: Seconds after which a watch is begun anew, and within which lists after a watch was lost are spread.
    watch_seconds: float = 300.0
    relist_jitter: float = 5.0
    #: How often Central is told how the cluster's services are.
    health_interval: float = 30.0
    #: How long what happens in a container waits for its pod's status to tell of it.
    container_grace: float = 20.0
    #: A container's flows that are told, in a minute; 0: all.
    connections_per_minute: int = 2048
    #: What the API server shows as a bearer token where it sends its audit events (``POST /audit``); none: they are not taken.
    audit_webhook_token: str = ""
    #: Nothing is done to workloads, whatever policies say.
    no_enforcement: bool = False


def load(
    file: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """The settings. Raises as ``configuration.load``."""
    settings = configuration.load(
        Settings, PREFIX, file, aliases=ALIASES, environment=environment, flags=flags
    )
    configuration.usual(settings)
    for name, least in (
        ("backoff_first", 0.05),
        ("watch_seconds", 1),
        ("relist_jitter", 0),
        ("health_interval", 0.05),
        ("spool_bytes", 1 << 20),
        ("image_cache_bytes", 1 << 20),
        ("changes", 1),
        ("scans_at_once", 1),
        ("ad_hoc_scans_at_once", 1),
        ("container_grace", 0),
        ("connections_per_minute", 0),
    ):
        if not getattr(settings, name) >= least:
            raise UsageError(f"settings: {name} is at least {least}")
    if not settings.backoff_longest >= settings.backoff_first:
        raise UsageError("settings: backoff_longest is at least backoff_first")
    return settings
