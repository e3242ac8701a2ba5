"""A workload as the original tells of it, ``storage.Deployment``: whatever makes pods, and the containers in them. No I/O.

Names of the fields and of the values are those of StackRox's ``proto/storage/deployment.proto`` and ``rbac.proto``, as
its JSON writes them; only what policies and risk look at is here, and what is not known is left out. Enumerations are
their names, so that a value of a later version is kept and matches nothing. Numbers may come as text, as JSON of
64-bit integers does: decode with ``strict=False``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

#: A moment, always with its zone: two of them can be compared.
Moment = Annotated[datetime, msgspec.Meta(tz=True)]

#: ``PortConfig.ExposureLevel``: how far a port is reachable.
EXPOSURES = ("UNSET", "EXTERNAL", "NODE", "INTERNAL", "HOST", "ROUTE")
#: ``PermissionLevel``: what a service account may do, each more than the one before.
PERMISSION_LEVELS = (
    "UNSET",
    "NONE",
    "DEFAULT",
    "ELEVATED_IN_NAMESPACE",
    "ELEVATED_CLUSTER_WIDE",
    "CLUSTER_ADMIN",
)
MOUNT_PROPAGATIONS = ("NONE", "HOST_TO_CONTAINER", "BIDIRECTIONAL")
SECCOMP_PROFILES = ("UNCONFINED", "RUNTIME_DEFAULT", "LOCALHOST")


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel", omit_defaults=True):
    """A message of the original: its fields in camelCase, what has its default is left out."""


class ImageName(Part, frozen=True, kw_only=True):
    """``registry.example/team/shop:1.4`` taken apart; ``remote`` is ``team/shop``."""

    registry: str = ""
    remote: str = ""
    tag: str = ""
    full_name: str = ""


class ContainerImage(Part, frozen=True, kw_only=True):
    """The image that a container asks for. ``id`` is the manifest's digest where it is known."""

    id: str = ""
    name: ImageName | None = None
    not_pullable: bool = False
    is_cluster_local: bool = False


class EnvironmentVariable(Part, frozen=True, kw_only=True):
    """``ContainerConfig.EnvironmentConfig``. ``value`` is empty where the variable comes from elsewhere."""

    key: str = ""
    value: str = ""
    env_var_source: str = "UNSET"


class ContainerConfig(Part, frozen=True, kw_only=True):
    """How the container's process is started."""

    env: tuple[EnvironmentVariable, ...] = ()
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    directory: str = ""
    user: str = ""
    uid: int = 0
    app_armor_profile: str = ""


class SeccompProfile(Part, frozen=True, kw_only=True):
    """Which system calls are let through."""

    type: str = "UNCONFINED"
    localhost_profile: str = ""


class SecurityContext(Part, frozen=True, kw_only=True):
    """What the container may do. Capabilities are without ``CAP_``, as Kubernetes writes them."""

    privileged: bool = False
    drop_capabilities: tuple[str, ...] = ()
    add_capabilities: tuple[str, ...] = ()
    read_only_root_filesystem: bool = False
    seccomp_profile: SeccompProfile | None = None
    allow_privilege_escalation: bool = False


class Volume(Part, frozen=True, kw_only=True):
    """A volume as one container mounts it. ``type`` is the original's word (``HostPath``), ``source`` the host's path."""

    name: str = ""
    source: str = ""
    destination: str = ""
    read_only: bool = False
    type: str = ""
    mount_propagation: str = "NONE"


class Exposure(Part, frozen=True, kw_only=True):
    """``PortConfig.ExposureInfo``: one way in which a port is reachable."""

    level: str = "UNSET"
    service_name: str = ""
    service_port: int = 0
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    external_hostnames: tuple[str, ...] = ()


class Port(Part, frozen=True, kw_only=True):
    """``PortConfig``: a port of the pod, and how it is reachable."""

    name: str = ""
    container_port: int = 0
    protocol: str = ""
    exposure: str = "UNSET"
    exposure_infos: tuple[Exposure, ...] = ()


class MountedSecret(Part, frozen=True, kw_only=True):
    """``EmbeddedSecret``: which secret, and where."""

    name: str = ""
    path: str = ""


class Resources(Part, frozen=True, kw_only=True):
    """Cores and megabytes; 0 where nothing is asked for or no limit is set."""

    cpu_cores_request: float = 0.0
    cpu_cores_limit: float = 0.0
    memory_mb_request: float = 0.0
    memory_mb_limit: float = 0.0


class Probe(Part, frozen=True, kw_only=True):
    """Whether there is a probe."""

    defined: bool = False


class Container(Part, frozen=True, kw_only=True):
    """One container. ``type`` is ``REGULAR`` or ``INIT``."""

    id: str = ""
    name: str = ""
    type: str = "REGULAR"
    image: ContainerImage | None = None
    config: ContainerConfig | None = None
    security_context: SecurityContext | None = None
    volumes: tuple[Volume, ...] = ()
    ports: tuple[Port, ...] = ()
    secrets: tuple[MountedSecret, ...] = ()
    resources: Resources | None = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None


class LabelRequirement(Part, frozen=True, kw_only=True):
    """``LabelSelector.Requirement``; ``op`` is ``IN``, ``NOT_IN``, ``EXISTS`` or ``NOT_EXISTS``."""

    key: str = ""
    op: str = "UNKNOWN"
    values: tuple[str, ...] = ()


class LabelSelector(Part, frozen=True, kw_only=True):
    """``storage.LabelSelector``: all of it has to hold."""

    match_labels: dict[str, str] = {}
    requirements: tuple[LabelRequirement, ...] = ()


class Deployment(Part, frozen=True, kw_only=True):
    """A workload of any kind (``type``: ``Deployment``, ``DaemonSet``, ``Pod``…). ``ports`` are those of all containers."""

    id: str = ""
    name: str = ""
    type: str = ""
    namespace: str = ""
    namespace_id: str = ""
    cluster_id: str = ""
    cluster_name: str = ""
    replicas: int = 0
    labels: dict[str, str] = {}
    pod_labels: dict[str, str] = {}
    #: By which labels it knows its pods; None where it does not say.
    label_selector: LabelSelector | None = None
    annotations: dict[str, str] = {}
    created: Moment | None = None
    containers: tuple[Container, ...] = ()
    ports: tuple[Port, ...] = ()
    image_pull_secrets: tuple[str, ...] = ()
    service_account: str = ""
    service_account_permission_level: str = "UNSET"
    automount_service_account_token: bool = False
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    runtime_class: str = ""
    orchestrator_component: bool = False
    platform_component: bool = False
    inactive: bool = False


class NetworkPolicies(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Whether network policies apply to a workload, and which: names by their identifiers."""

    ingress: bool = False
    egress: bool = False
    names: dict[str, str] = {}


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a workload's own description does not say of it. None where it is not known."""

    network_policies: NetworkPolicies | None = None
    cluster_labels: dict[str, str] = {}
    namespace_labels: dict[str, str] = {}
