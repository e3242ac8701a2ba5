"""What a node agent is told at start. See ``configuration`` for where it may stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from redoubt import configuration
from redoubt.errors import UsageError

PREFIX = "REDOUBT_NODE_"
ALIASES = {
    "sensor": ("ROX_ADVERTISED_ENDPOINT", "ROX_SENSOR_ENDPOINT"),
    "node_name": ("ROX_NODE_NAME", "NODE_HOSTNAME"),
    "interval": ("ROX_NODE_SCANNING_INTERVAL",),
    "log_level": ("LOGLEVEL",),
}


class Settings(configuration.Service, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One node agent. Times are in seconds."""

    #: Where the Sensor is; host and port.
    sensor: str = "sensor.stackrox.svc:443"
    #: A folder with ``ca.pem``, ``cert.pem`` and ``key.pem``: a Collector's.
    certificates: Path = Path("/run/secrets/stackrox.io/certs")
    #: The node's name in Kubernetes; empty: the host's.
    node_name: str = ""
    #: Where the host's root is mounted, read-only.
    host_root: Path = Path("/host")
    #: How often the host is indexed. The first time is within a tenth of it.
    interval: float = 14400.0
    #: The API server's audit log, where it writes one on this node.
    audit_log: Path | None = None
    #: A folder for what is remembered of the log; not given: its end is gone on from at each start.
    state: Path | None = None


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
    if settings.interval < 60:
        raise UsageError("settings: interval is at least 60 seconds")
    configuration.usual(settings)
    return settings
