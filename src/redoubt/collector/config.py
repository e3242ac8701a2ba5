"""What a Collector is told at start. See ``configuration`` for where it may stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from redoubt import configuration
from redoubt.collector.afterglow import AFTERGLOW
from redoubt.errors import UsageError

PREFIX = "REDOUBT_COLLECTOR_"
ALIASES = {
    "sensor": ("GRPC_SERVER", "ROX_SENSOR_ENDPOINT"),
    "collection_method": ("COLLECTION_METHOD", "ROX_COLLECTION_METHOD"),
    "hostname": ("NODE_HOSTNAME", "ROX_NODE_NAME"),
    "afterglow": ("ROX_AFTERGLOW_PERIOD",),
    "log_level": ("LOGLEVEL", "ROX_COLLECTOR_LOG_LEVEL"),
}
#: How the kernel is asked, by the original's names: with a probe that fits itself to the kernel; without BPF; with a probe
#: made for this very kernel. ``AUTO`` is the first, or else the second.
METHODS = ("AUTO", "CORE_BPF", "EBPF", "PROC_CONNECTOR")


class Settings(configuration.Service, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Collector. Times are in seconds."""

    #: Where the Sensor is; host and port.
    sensor: str = "sensor.stackrox.svc:443"
    #: A folder with ``ca.pem``, ``cert.pem`` and ``key.pem``.
    certificates: Path = Path("/run/secrets/stackrox.io/certs")
    #: The node's name in Kubernetes; empty: the host's.
    hostname: str = ""
    collection_method: str = "AUTO"
    #: Where probes for one kernel each lie, ``EBPF`` only.
    probes: Path = Path("/kernel-modules")
    #: How long the Sensor may take to answer when it is asked for one.
    probe_seconds: float = 30.0
    #: The ring between kernel and Collector has 2^N bytes.
    ring: int = 23
    #: Bytes of events that wait for the Sensor, at most.
    buffer: int = 32 << 20
    #: How long a flow without connections is open still.
    afterglow: float = AFTERGLOW
    #: How often the Sensor is told how the Collector is.
    health_interval: float = 30.0


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
    if settings.collection_method.upper() not in METHODS:
        raise UsageError(
            f"settings: collection_method is one of {', '.join(METHODS)}, not {settings.collection_method!r}"
        )
    if not 12 <= settings.ring <= 28:
        raise UsageError(f"settings: ring is between 12 and 28, not {settings.ring}")
    if settings.buffer < 1 << 20:
        raise UsageError("settings: buffer is at least 1048576 bytes")
    if not 0 <= settings.afterglow <= 3600:
        raise UsageError("settings: afterglow is between 0 and 3600 seconds")
    if settings.health_interval < 1:
        raise UsageError("settings: health_interval is at least 1 second")
    configuration.usual(settings)
    return msgspec.structs.replace(settings, collection_method=settings.collection_method.upper())
