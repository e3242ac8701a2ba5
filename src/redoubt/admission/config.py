"""What an admission controller is told at start. See ``configuration`` for where it may stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from redoubt import configuration
from redoubt.errors import UsageError

PREFIX = "REDOUBT_ADMISSION_"
ALIASES = {
    "data": ("REDOUBT_DATA_DIR",),
    "sensor": ("ROX_SENSOR_ENDPOINT",),
    "central": ("ROX_CENTRAL_ENDPOINT",),
    "namespace": ("POD_NAMESPACE",),
    "log_level": ("LOGLEVEL",),
}
#: Says of a list that it is empty.
NONE = "none"
#: Where nothing is refused, unless somebody says otherwise.
SPARED = ("kube-system", "kube-public", "istio-system")


class Settings(configuration.Internal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One admission controller. Times are in seconds."""

    #: Where settings are kept, and alerts that the Sensor does not have yet: to be there after a restart.
    data: Path = Path("/var/lib/redoubt/admission-control")
    #: Where the Sensor is, and where Central is, if the Sensor does not say that; host and port.
    sensor: str = "sensor.stackrox.svc:443"
    central: str = ""
    #: The folder that the ConfigMap with settings is mounted at; it need not be there.
    config_folder: Path = Path("/run/config/stackrox.io/admission-control/config")
    #: This service's own namespace; not given: the one that its certificate is for.
    namespace: str = ""
    #: Namespaces where nothing is refused, and whose service accounts may do as they please; ``*`` at the end stands for
    #: anything; ``none``: none. This service's own is one of them, unless told otherwise.
    spared_namespaces: list[str] = msgspec.field(default_factory=lambda: list(SPARED))
    spare_own_namespace: bool = True
    #: Whether the API server is used at all: to register the webhooks, and to ask for pods' workloads.
    kubernetes: bool = True
    #: A file that says how to reach the API server; not given: the pod's own service account.
    kubeconfig: Path | None = None
    #: Whether this service registers itself: the ``ValidatingWebhookConfiguration`` of that name.
    register: bool = True
    webhook_name: str = "stackrox"
    #: ``https://host:port``, by which the API server reaches this service; empty: a Service of Kubernetes, of this name.
    webhook_url: str = ""
    webhook_service: str = "admission-control"
    #: Images' data that is kept: for how long, and how much of it.
    image_lifetime: float = 4 * 3600.0
    image_memory: int = 200 << 20
    #: Images that are asked for at a time.
    simultaneous: int = 32

    @property
    def spared(self) -> tuple[str, ...]:
        """Namespaces where nothing is refused, without this service's own."""
        return () if self.spared_namespaces == [NONE] else tuple(self.spared_namespaces)


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
    if settings.simultaneous < 1:
        raise UsageError("settings: simultaneous is at least 1")
    if settings.image_lifetime < 0 or settings.image_memory < 0:
        raise UsageError("settings: image_lifetime and image_memory are not below 0")
    if settings.webhook_url and not settings.webhook_url.startswith("https://"):
        raise UsageError("settings: webhook_url begins with https://; the API server speaks nothing else")
    if settings.register and not settings.kubernetes:
        raise UsageError("settings: register needs the API server; set kubernetes, or do not register")
    return settings
