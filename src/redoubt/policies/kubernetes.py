"""Kubernetes' objects as policies look at them: whatever makes pods becomes a ``Deployment``. Pure: no client, no cluster.

Decoded JSON or YAML in, a struct out. What is not said has Kubernetes' defaults. Rules: the API reference of
Kubernetes 1.30 (core/v1, apps/v1, batch/v1) and StackRox's ``pkg/protoconv/resources`` for the original's words. RBAC,
services and network policies are not in a manifest; who knows a cluster puts them to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from redoubt.errors import UnreadableInput
from redoubt.model.workload import (
    Container,
    ContainerConfig,
    ContainerImage,
    Deployment,
    EnvironmentVariable,
    Exposure,
    ImageName,
    MountedSecret,
    Port,
    Probe,
    Resources,
    SeccompProfile,
    SecurityContext,
    Volume,
)

#: Kinds that make pods: where the pod's template is.
_TEMPLATES: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "DeploymentConfig": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
KINDS = frozenset(_TEMPLATES)
#: Groups of the API that these kinds are of; ``apps.openshift.io`` is OpenShift's.
_GROUPS = frozenset({"", "apps", "batch", "extensions", "apps.openshift.io"})
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
#: A volume's source → the original's word for it, and what its source is.
_VOLUMES: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "hostPath": ("HostPath", lambda v: _text(v, "path")),
    "secret": ("Secret", lambda v: _text(v, "secretName")),
    "configMap": ("ConfigMap", lambda v: _text(v, "name")),
    "emptyDir": ("EmptyDir", lambda v: _text(v, "medium")),
    "persistentVolumeClaim": ("PersistentVolumeClaim", lambda v: _text(v, "claimName")),
    "nfs": ("NFS", lambda v: f"{_text(v, 'server')}/{_text(v, 'path')}"),
    "gitRepo": ("GitRepo", lambda v: _text(v, "repository")),
    "awsElasticBlockStore": ("AWSElasticBlockStore", lambda v: _text(v, "volumeID")),
    "gcePersistentDisk": ("GCEPersistentDisk", lambda v: _text(v, "pdName")),
    "azureDisk": ("AzureDisk", lambda v: _text(v, "diskName")),
    "azureFile": ("AzureFile", lambda v: _text(v, "shareName")),
    "cephfs": ("CephFS", lambda v: _text(v, "path")),
    "cinder": ("Cinder", lambda v: _text(v, "volumeID")),
    "glusterfs": ("Glusterfs", lambda v: _text(v, "path")),
    "rbd": ("RBD", lambda v: f"{_text(v, 'pool')}/{_text(v, 'image')}"),
}
_PROPAGATIONS = {"HostToContainer": "HOST_TO_CONTAINER", "Bidirectional": "BIDIRECTIONAL"}
_SECCOMP = {"Unconfined": "UNCONFINED", "Localhost": "LOCALHOST"}
_SOURCES = {
    "secretKeyRef": "SECRET_KEY",
    "configMapKeyRef": "CONFIG_MAP_KEY",
    "fieldRef": "FIELD",
    "resourceFieldRef": "RESOURCE_FIELD",
}
_QUANTITY = re.compile(r"([+-]?[0-9.]{1,40})(?:[eE]([+-]?[0-9]{1,3})|(m|u|n|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?)")
_UNITS = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}

#: An image's name as it is written → taken apart.
Named = Callable[[str], ImageName]


class NotAWorkload(UnreadableInput):
    """An object that is not what its kind says."""


def is_workload(given: Mapping[str, Any]) -> bool:
    """Whether an object makes pods."""
    kind, version = given.get("kind"), given.get("apiVersion")
    group = version.rpartition("/")[0] if isinstance(version, str) else ""
    return isinstance(kind, str) and kind in KINDS and group in _GROUPS


def owned(given: Mapping[str, Any]) -> bool:
    """Whether an object belongs to another one that makes pods, which is looked at in its place."""
    meta = given.get("metadata")
    owners = meta.get("ownerReferences") if isinstance(meta, dict) else None
    return isinstance(owners, list) and any(isinstance(each, dict) and is_workload(each) for each in owners)


def deployment(given: Mapping[str, Any], named: Named, *, namespace: str = "default") -> Deployment:
    """An object that makes pods. ``namespace`` is for one that names none. Raises :class:`NotAWorkload`."""
    if not is_workload(given):
        kind = given.get("kind")
        told = kind[:80] if isinstance(kind, str) else ""
        raise NotAWorkload(f"{told or 'an object without a kind'} makes no pods")
    try:
        return _deployment(given, named, namespace)
    except (TypeError, ValueError, AttributeError, KeyError, msgspec.ValidationError) as error:
        raise NotAWorkload(f"a {given['kind']} that Kubernetes would not take: {str(error)[:200]}") from None


def _deployment(given: Mapping[str, Any], named: Named, namespace: str) -> Deployment:
    kind = given["kind"]
    meta = _dict(given, "metadata")
    template: Mapping[str, Any] = given
    for step in _TEMPLATES[kind]:
        template = _dict(template, step)
    pod, annotations = _dict(template, "spec"), _texts(meta, "annotations")
    inner = _texts(_dict(template, "metadata"), "annotations")
    identifier = _text(meta, "uid")
    containers = tuple(
        _container(each, pod, {**annotations, **inner}, identifier, word, named)
        for field, word in (
            ("initContainers", "INIT"),
            ("containers", "REGULAR"),
            ("ephemeralContainers", "REGULAR"),
        )
        for each in _list(pod, field)
    )
    return Deployment(
        id=identifier,
        name=_text(meta, "name") or _text(meta, "generateName"),
        type=kind,
        namespace=_text(meta, "namespace") or namespace,
        replicas=_replicas(kind, given),
        labels=_texts(meta, "labels"),
        pod_labels=_texts(_dict(template, "metadata"), "labels"),
        annotations=annotations,
        containers=containers,
        ports=tuple(port for each in containers for port in each.ports),
        image_pull_secrets=tuple(_text(each, "name") for each in _list(pod, "imagePullSecrets")),
        service_account=_text(pod, "serviceAccountName") or _text(pod, "serviceAccount") or "default",
        automount_service_account_token=_flag(pod, "automountServiceAccountToken", default=True),
        host_network=_flag(pod, "hostNetwork"),
        host_pid=_flag(pod, "hostPID"),
        host_ipc=_flag(pod, "hostIPC"),
        runtime_class=_text(pod, "runtimeClassName"),
    )


def _replicas(kind: str, given: Mapping[str, Any]) -> int:
    """As it is said; one where Kubernetes makes one of it."""
    spec = _dict(given, "spec")
    if spec.get("replicas") is not None:
        return _integer(spec, "replicas")
    return 1 if kind in ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController") else 0


def _container(
    given: Mapping[str, Any],
    pod: Mapping[str, Any],
    annotations: Mapping[str, str],
    identifier: str,
    kind: str,
    named: Named,
) -> Container:
    name = _text(given, "name")
    volumes, secrets = _mounts(given, pod)
    return Container(
        id=f"{identifier}:{name}",
        name=name,
        type=kind,
        image=ContainerImage(name=named(_text(given, "image"))),
        config=_config(given, pod, annotations, name),
        security_context=_security(given, pod),
        volumes=volumes,
        ports=tuple(_port(each) for each in _list(given, "ports")),
        secrets=secrets,
        resources=_resources(_dict(given, "resources")),
        liveness_probe=Probe(defined=bool(given.get("livenessProbe"))),
        readiness_probe=Probe(defined=bool(given.get("readinessProbe"))),
    )


def _config(
    given: Mapping[str, Any], pod: Mapping[str, Any], annotations: Mapping[str, str], name: str
) -> ContainerConfig:
    own, whole = _dict(given, "securityContext"), _dict(pod, "securityContext")
    user = _integer(own if "runAsUser" in own else whole, "runAsUser")
    return ContainerConfig(
        env=tuple(_variable(each) for each in _list(given, "env")),
        command=_words(given, "command"),
        args=_words(given, "args"),
        directory=_text(given, "workingDir"),
        uid=user,
        app_armor_profile=_apparmor(own) or _apparmor(whole) or annotations.get(_APPARMOR + name, ""),
    )


def _apparmor(context: Mapping[str, Any]) -> str:
    """The field that took the annotation's place in 1.30, in the annotation's words."""
    profile = _dict(context, "appArmorProfile")
    match _text(profile, "type"):
        case "Unconfined":
            return "unconfined"
        case "RuntimeDefault":
            return "runtime/default"
        case "Localhost":
            return f"localhost/{_text(profile, 'localhostProfile')}"
        case _:
            return ""


def _variable(given: Mapping[str, Any]) -> EnvironmentVariable:
    key, source = _text(given, "name"), _dict(given, "valueFrom")
    if given.get("valueFrom") is None:
        return EnvironmentVariable(key=key, value=_text(given, "value"), env_var_source="RAW")
    for field, word in _SOURCES.items():
        if ref := _dict(source, field):
            return EnvironmentVariable(key=key, value=_referred(field, ref), env_var_source=word)
    return EnvironmentVariable(key=key, env_var_source="UNKNOWN")


def _referred(field: str, ref: Mapping[str, Any]) -> str:
    """Where a variable's content comes from, for people."""
    match field:
        case "secretKeyRef" | "configMapKeyRef":
            thing = "secret" if field == "secretKeyRef" else "config map"
            return f"{thing} {_text(ref, 'name')}, key {_text(ref, 'key')}"
        case "fieldRef":
            return f"field {_text(ref, 'fieldPath')}"
        case _:
            return f"resource {_text(ref, 'resource')}"


def _security(given: Mapping[str, Any], pod: Mapping[str, Any]) -> SecurityContext:
    own, whole = _dict(given, "securityContext"), _dict(pod, "securityContext")
    capabilities = _dict(own, "capabilities")
    profile = _dict(own, "seccompProfile") or _dict(whole, "seccompProfile")
    return SecurityContext(
        privileged=_flag(own, "privileged"),
        read_only_root_filesystem=_flag(own, "readOnlyRootFilesystem"),
        allow_privilege_escalation=_flag(own, "allowPrivilegeEscalation", default=True),
        add_capabilities=_words(capabilities, "add"),
        drop_capabilities=_words(capabilities, "drop"),
        seccomp_profile=SeccompProfile(
            type=_SECCOMP.get(_text(profile, "type"), "RUNTIME_DEFAULT"),
            localhost_profile=_text(profile, "localhostProfile"),
        )
        if profile
        else None,
    )


def _mounts(
    given: Mapping[str, Any], pod: Mapping[str, Any]
) -> tuple[tuple[Volume, ...], tuple[MountedSecret, ...]]:
    """Volumes, and secrets however the container gets them."""
    there = {_text(each, "name"): _source(each) for each in _list(pod, "volumes")}
    volumes, secrets = [], []
    for mount in _list(given, "volumeMounts"):
        name, path = _text(mount, "name"), _text(mount, "mountPath")
        kind, source = there.get(name, ("unknown", ""))
        if kind == "Secret":
            secrets.append(MountedSecret(name=source, path=path))
            continue
        volumes.append(
            Volume(
                name=name,
                source=source,
                destination=path,
                read_only=_flag(mount, "readOnly"),
                type=kind,
                mount_propagation=_PROPAGATIONS.get(_text(mount, "mountPropagation"), "NONE"),
            )
        )
    secrets += [MountedSecret(name=_text(each, "name")) for each in _list(pod, "imagePullSecrets")]
    for field, ref in (("envFrom", "secretRef"), ("env", "secretKeyRef")):
        for each in _list(given, field):
            holder = _dict(each, "valueFrom") if field == "env" else each
            if name := _text(_dict(holder, ref), "name"):
                secrets.append(MountedSecret(name=name))
    return tuple(volumes), tuple(secrets)


def _source(volume: Mapping[str, Any]) -> tuple[str, str]:
    for field, (word, source) in _VOLUMES.items():
        if volume.get(field) is not None:
            return word, source(_dict(volume, field))
    return "unknown", ""


def _port(given: Mapping[str, Any]) -> Port:
    host = _integer(given, "hostPort")
    return Port(
        name=_text(given, "name"),
        container_port=_integer(given, "containerPort"),
        protocol=_text(given, "protocol") or "TCP",
        exposure="HOST" if host else "UNSET",
        exposure_infos=(Exposure(level="HOST", node_port=host),) if host else (),
    )


def _resources(given: Mapping[str, Any]) -> Resources:
    requests, limits = _dict(given, "requests"), _dict(given, "limits")
    mega = Decimal(1024 * 1024)
    # What is limited and not asked for is asked for, up to the limit: so Kubernetes.
    return Resources(
        cpu_cores_request=float(quantity(requests.get("cpu", limits.get("cpu")))),
        cpu_cores_limit=float(quantity(limits.get("cpu"))),
        memory_mb_request=float(quantity(requests.get("memory", limits.get("memory"))) / mega),
        memory_mb_limit=float(quantity(limits.get("memory")) / mega),
    )


def quantity(given: object) -> Decimal:
    """``500m``, ``1.5Gi``, ``2e3``: a resource quantity in its unit. 0 for what is none."""
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):
        return Decimal(0)
    match = _QUANTITY.fullmatch(str(given).strip())
    if match is None:
        return Decimal(0)
    try:
        number = Decimal(match[1])
        return number.scaleb(int(match[2])) if match[2] else number * _UNITS[match[3] or ""]
    except InvalidOperation:
        return Decimal(0)


class _Odd(ValueError):
    """Of another type than Kubernetes has there. Not read as if nothing were said: a policy would seem to be kept."""

    def __init__(self, field: str, given: object, expected: str) -> None:
        shown = repr(given)
        super().__init__(f"{field}: {shown if len(shown) <= 60 else shown[:57] + '…'} in place of {expected}")


def _text(given: Mapping[str, Any], field: str) -> str:
    match given.get(field):
        case None:
            return ""
        case str(value):
            return value
        case value:
            raise _Odd(field, value, "a text")


def _integer(given: Mapping[str, Any], field: str) -> int:
    match given.get(field):
        case None:
            return 0
        case int(value) if not isinstance(value, bool):
            return value
        case value:
            raise _Odd(field, value, "a whole number")


def _flag(given: Mapping[str, Any], field: str, *, default: bool = False) -> bool:
    match given.get(field):
        case None:
            return default
        case bool(value):
            return value
        case value:
            raise _Odd(field, value, "true or false")


def _dict(given: Mapping[str, Any], field: str) -> dict[str, Any]:
    match given.get(field):
        case None:
            return {}
        case dict(value):
            return value
        case value:
            raise _Odd(field, value, "an object")


def _items(given: Mapping[str, Any], field: str) -> list[Any]:
    match given.get(field):
        case None:
            return []
        case list(value):
            return value
        case value:
            raise _Odd(field, value, "a list")


def _list(given: Mapping[str, Any], field: str) -> Iterable[dict[str, Any]]:
    for each in _items(given, field):
        if not isinstance(each, dict):
            raise _Odd(field, each, "an object")
        yield each


def _words(given: Mapping[str, Any], field: str) -> tuple[str, ...]:
    return tuple(_text({field: each}, field) for each in _items(given, field))


def _texts(given: Mapping[str, Any], field: str) -> dict[str, str]:
    found = _dict(given, field)
    return {str(key): _text(found, key) for key in found}
