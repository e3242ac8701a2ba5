"""Kubernetes' objects that make pods, as they are written: what is read of them, and nothing else. Pure.

Names are those of the API reference of Kubernetes 1.30 (core/v1, apps/v1, batch/v1). Each field may be ``null``, which is the
same as not said. A spec of every kind is one struct here: what a kind does not have is not said.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

Texts: TypeAlias = dict[str, str | None]
Quantity: TypeAlias = str | int | float | bool | list[Any] | dict[str, Any] | None


class _Written(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """An object. What is not read of it is skipped, whatever it is."""


class Owner(_Written, frozen=True, gc=False):
    """``OwnerReference``."""

    api_version: str | None = None
    kind: str | None = None


class Meta(_Written, frozen=True, gc=False):
    """``ObjectMeta``."""

    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    labels: Texts | None = None
    annotations: Texts | None = None
    owner_references: tuple[Owner, ...] | None = None


class Reference(_Written, frozen=True, gc=False):
    """A reference to something, of any of its kinds: a name, a key of it, a path."""

    name: str | None = None
    key: str | None = None
    field_path: str | None = None
    resource: str | None = None


class ValueFrom(_Written, frozen=True, gc=False):
    """``EnvVarSource``."""

    secret_key_ref: Reference | None = None
    config_map_key_ref: Reference | None = None
    field_ref: Reference | None = None
    resource_field_ref: Reference | None = None


class Variable(_Written, frozen=True, gc=False):
    """``EnvVar``."""

    name: str | None = None
    value: str | None = None
    value_from: ValueFrom | None = None


class VariablesFrom(_Written, frozen=True, gc=False):
    """``EnvFromSource``."""

    secret_ref: Reference | None = None


class Profile(_Written, frozen=True, gc=False):
    """``SeccompProfile`` and ``AppArmorProfile``."""

    type: str | None = None
    localhost_profile: str | None = None


class Capabilities(_Written, frozen=True, gc=False):
    """What is added to, or taken from, what a container may do."""

    add: tuple[str, ...] | None = None
    drop: tuple[str, ...] | None = None


class Context(_Written, frozen=True, gc=False):
    """``SecurityContext`` and ``PodSecurityContext``."""

    privileged: bool | None = None
    read_only_root_filesystem: bool | None = None
    allow_privilege_escalation: bool | None = None
    run_as_user: int | msgspec.UnsetType | None = msgspec.UNSET
    capabilities: Capabilities | None = None
    seccomp_profile: Profile | None = None
    app_armor_profile: Profile | None = None


class ContainerPort(_Written, frozen=True, gc=False):
    """A port that a container listens on."""

    name: str | None = None
    container_port: int | None = None
    host_port: int | None = None
    protocol: str | None = None


class Mount(_Written, frozen=True, gc=False):
    """``VolumeMount``."""

    name: str | None = None
    mount_path: str | None = None
    read_only: bool | None = None
    mount_propagation: str | None = None


class Requirements(_Written, frozen=True, gc=False):
    """``ResourceRequirements``."""

    requests: dict[str, Quantity] | None = None
    limits: dict[str, Quantity] | None = None


class Container(_Written, frozen=True, gc=False):
    """``Container`` and ``EphemeralContainer``."""

    name: str | None = None
    image: str | None = None
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    working_dir: str | None = None
    env: tuple[Variable, ...] | None = None
    env_from: tuple[VariablesFrom, ...] | None = None
    ports: tuple[ContainerPort, ...] | None = None
    resources: Requirements | None = None
    volume_mounts: tuple[Mount, ...] | None = None
    security_context: Context | None = None
    liveness_probe: dict[str, Any] | None = None
    readiness_probe: dict[str, Any] | None = None
    restart_policy: str | None = None


class Source(_Written, frozen=True, gc=False):
    """Where a volume comes from, of any of its kinds."""

    path: str | None = None
    secret_name: str | None = None
    name: str | None = None
    medium: str | None = None
    claim_name: str | None = None
    server: str | None = None
    repository: str | None = None
    volume_id: str | None = msgspec.field(default=None, name="volumeID")
    pd_name: str | None = None
    disk_name: str | None = None
    share_name: str | None = None
    pool: str | None = None
    image: str | None = None
    reference: str | None = None


class Volume(_Written, frozen=True, gc=False):
    """A volume of a pod."""

    name: str | None = None
    host_path: Source | None = None
    secret: Source | None = None
    config_map: Source | None = None
    empty_dir: Source | None = None
    persistent_volume_claim: Source | None = None
    nfs: Source | None = None
    git_repo: Source | None = None
    aws_elastic_block_store: Source | None = None
    gce_persistent_disk: Source | None = None
    azure_disk: Source | None = None
    azure_file: Source | None = None
    cephfs: Source | None = None
    cinder: Source | None = None
    glusterfs: Source | None = None
    rbd: Source | None = None
    image: Source | None = None


class Spec(_Written, frozen=True, gc=False):
    """``PodSpec``, and what the specs of other kinds have: replicas, and the pod's template."""

    init_containers: tuple[Container, ...] | None = None
    containers: tuple[Container, ...] | None = None
    ephemeral_containers: tuple[Container, ...] | None = None
    volumes: tuple[Volume, ...] | None = None
    image_pull_secrets: tuple[Reference, ...] | None = None
    service_account_name: str | None = None
    service_account: str | None = None
    automount_service_account_token: bool | None = None
    host_network: bool | None = None
    host_pid: bool | None = msgspec.field(default=None, name="hostPID")
    host_ipc: bool | None = msgspec.field(default=None, name="hostIPC")
    runtime_class_name: str | None = None
    security_context: Context | None = None
    replicas: int | None = None
    template: Template | None = None
    job_template: Template | None = None


class Template(_Written, frozen=True, gc=False):
    """``PodTemplateSpec`` and ``JobTemplateSpec``."""

    metadata: Meta | None = None
    spec: Spec | None = None


class Workload(_Written, frozen=True, gc=False):
    """An object of any of these kinds."""

    api_version: str | None = None
    kind: str | None = None
    metadata: Meta | None = None
    spec: Spec | None = None
