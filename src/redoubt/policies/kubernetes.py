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
    "hostPath": ("HostPath", lambda v: _text(v.get("path"))),
    "secret": ("Secret", lambda v: _text(v.get("secretName"))),
    "configMap": ("ConfigMap", lambda v: _text(v.get("name"))),
    "emptyDir": ("EmptyDir", lambda v: _text(v.get("medium"))),
    "persistentVolumeClaim": ("PersistentVolumeClaim", lambda v: _text(v.get("claimName"))),
    "nfs": ("NFS", lambda v: f"{_text(v.get('server'))}/{_text(v.get('path'))}"),
    "gitRepo": ("GitRepo", lambda v: _text(v.get("repository"))),
    "awsElasticBlockStore": ("AWSElasticBlockStore", lambda v: _text(v.get("volumeID"))),
    "gcePersistentDisk": ("GCEPersistentDisk", lambda v: _text(v.get("pdName"))),
    "azureDisk": ("AzureDisk", lambda v: _text(v.get("diskName"))),
    "azureFile": ("AzureFile", lambda v: _text(v.get("shareName"))),
    "cephfs": ("CephFS", lambda v: _text(v.get("path"))),
    "cinder": ("Cinder", lambda v: _text(v.get("volumeID"))),
    "glusterfs": ("Glusterfs", lambda v: _text(v.get("path"))),
    "rbd": ("RBD", lambda v: f"{_text(v.get('pool'))}/{_text(v.get('image'))}"),
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
    group = _text(given.get("apiVersion")).rpartition("/")[0]
    return _text(given.get("kind")) in KINDS and group in _GROUPS


def owned(given: Mapping[str, Any]) -> bool:
    """Whether an object belongs to another one that makes pods, which is looked at in its place."""
    owners = _dict(given.get("metadata")).get("ownerReferences")
    return isinstance(owners, list) and any(isinstance(each, dict) and is_workload(each) for each in owners)


def deployment(given: Mapping[str, Any], named: Named, *, namespace: str = "default") -> Deployment:
    """An object that makes pods. ``namespace`` is for one that names none. Raises :class:`NotAWorkload`."""
    if not is_workload(given):
        raise NotAWorkload(f"{_text(given.get('kind'))[:80] or 'an object without a kind'} makes no pods")
    try:
        return _deployment(given, named, namespace)
    except (TypeError, ValueError, AttributeError, KeyError, msgspec.ValidationError) as error:
        raise NotAWorkload(f"a {given['kind']} that cannot be read: {str(error)[:200]}") from None


def _deployment(given: Mapping[str, Any], named: Named, namespace: str) -> Deployment:
    kind = given["kind"]
    meta = _dict(given.get("metadata"))
    template: Mapping[str, Any] = given
    for step in _TEMPLATES[kind]:
        template = _dict(template.get(step))
    pod, annotations = _dict(template.get("spec")), _texts(meta.get("annotations"))
    inner = _texts(_dict(template.get("metadata")).get("annotations"))
    identifier = _text(meta.get("uid"))
    containers = tuple(
        _container(each, pod, {**annotations, **inner}, identifier, word, named)
        for field, word in (
            ("initContainers", "INIT"),
            ("containers", "REGULAR"),
            ("ephemeralContainers", "REGULAR"),
        )
        for each in _list(pod.get(field))
    )
    mounts = pod.get("automountServiceAccountToken")
    return Deployment(
        id=identifier,
        name=_text(meta.get("name")) or _text(meta.get("generateName")),
        type=kind,
        namespace=_text(meta.get("namespace")) or namespace,
        replicas=_replicas(kind, given),
        labels=_texts(meta.get("labels")),
        pod_labels=_texts(_dict(template.get("metadata")).get("labels")),
        annotations=annotations,
        containers=containers,
        ports=tuple(port for each in containers for port in each.ports),
        image_pull_secrets=tuple(_text(each.get("name")) for each in _list(pod.get("imagePullSecrets"))),
        service_account=_text(pod.get("serviceAccountName")) or _text(pod.get("serviceAccount")) or "default",
        automount_service_account_token=mounts is None or mounts is True,
        host_network=pod.get("hostNetwork") is True,
        host_pid=pod.get("hostPID") is True,
        host_ipc=pod.get("hostIPC") is True,
        runtime_class=_text(pod.get("runtimeClassName")),
    )


def _replicas(kind: str, given: Mapping[str, Any]) -> int:
    """As it is said; one where Kubernetes makes one of it."""
    said = _dict(given.get("spec")).get("replicas")
    if isinstance(said, int) and not isinstance(said, bool):
        return said
    return 1 if kind in ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController") else 0


def _container(
    given: Mapping[str, Any],
    pod: Mapping[str, Any],
    annotations: Mapping[str, str],
    identifier: str,
    kind: str,
    named: Named,
) -> Container:
    name = _text(given.get("name"))
    volumes, secrets = _mounts(given, pod)
    return Container(
        id=f"{identifier}:{name}",
        name=name,
        type=kind,
        image=ContainerImage(name=named(_text(given.get("image")))),
        config=_config(given, pod, annotations, name),
        security_context=_security(given, pod),
        volumes=volumes,
        ports=tuple(_port(each) for each in _list(given.get("ports"))),
        secrets=secrets,
        resources=_resources(_dict(given.get("resources"))),
        liveness_probe=Probe(defined=bool(given.get("livenessProbe"))),
        readiness_probe=Probe(defined=bool(given.get("readinessProbe"))),
    )


def _config(
    given: Mapping[str, Any], pod: Mapping[str, Any], annotations: Mapping[str, str], name: str
) -> ContainerConfig:
    own, whole = _dict(given.get("securityContext")), _dict(pod.get("securityContext"))
    user = own.get("runAsUser", whole.get("runAsUser"))
    return ContainerConfig(
        env=tuple(_variable(each) for each in _list(given.get("env"))),
        command=tuple(map(_text, _items(given.get("command")))),
        args=tuple(map(_text, _items(given.get("args")))),
        directory=_text(given.get("workingDir")),
        uid=user if isinstance(user, int) and not isinstance(user, bool) else 0,
        app_armor_profile=_apparmor(own) or _apparmor(whole) or annotations.get(_APPARMOR + name, ""),
    )


def _apparmor(context: Mapping[str, Any]) -> str:
    """The field that took the annotation's place in 1.30, in the annotation's words."""
    profile = _dict(context.get("appArmorProfile"))
    match profile.get("type"):
        case "Unconfined":
            return "unconfined"
        case "RuntimeDefault":
            return "runtime/default"
        case "Localhost":
            return f"localhost/{_text(profile.get('localhostProfile'))}"
        case _:
            return ""


def _variable(given: Mapping[str, Any]) -> EnvironmentVariable:
    key, source = _text(given.get("name")), given.get("valueFrom")
    if source is None:
        return EnvironmentVariable(key=key, value=_text(given.get("value")), env_var_source="RAW")
    for field, word in _SOURCES.items():
        if ref := _dict(_dict(source).get(field)):
            return EnvironmentVariable(key=key, value=_referred(field, ref), env_var_source=word)
    return EnvironmentVariable(key=key, env_var_source="UNKNOWN")


def _referred(field: str, ref: Mapping[str, Any]) -> str:
    """Where a variable's content comes from, for people."""
    match field:
        case "secretKeyRef" | "configMapKeyRef":
            thing = "secret" if field == "secretKeyRef" else "config map"
            return f"{thing} {_text(ref.get('name'))}, key {_text(ref.get('key'))}"
        case "fieldRef":
            return f"field {_text(ref.get('fieldPath'))}"
        case _:
            return f"resource {_text(ref.get('resource'))}"


def _security(given: Mapping[str, Any], pod: Mapping[str, Any]) -> SecurityContext:
    own, whole = _dict(given.get("securityContext")), _dict(pod.get("securityContext"))
    capabilities = _dict(own.get("capabilities"))
    profile = _dict(own.get("seccompProfile")) or _dict(whole.get("seccompProfile"))
    return SecurityContext(
        privileged=own.get("privileged") is True,
        read_only_root_filesystem=own.get("readOnlyRootFilesystem") is True,
        allow_privilege_escalation=own.get("allowPrivilegeEscalation") is not False,
        add_capabilities=tuple(map(_text, _items(capabilities.get("add")))),
        drop_capabilities=tuple(map(_text, _items(capabilities.get("drop")))),
        seccomp_profile=SeccompProfile(
            type=_SECCOMP.get(_text(profile.get("type")), "RUNTIME_DEFAULT"),
            localhost_profile=_text(profile.get("localhostProfile")),
        )
        if profile
        else None,
    )


def _mounts(
    given: Mapping[str, Any], pod: Mapping[str, Any]
) -> tuple[tuple[Volume, ...], tuple[MountedSecret, ...]]:
    """Volumes, and secrets however the container gets them."""
    there = {_text(each.get("name")): _source(each) for each in _list(pod.get("volumes"))}
    volumes, secrets = [], []
    for mount in _list(given.get("volumeMounts")):
        name, path = _text(mount.get("name")), _text(mount.get("mountPath"))
        kind, source = there.get(name, ("unknown", ""))
        if kind == "Secret":
            secrets.append(MountedSecret(name=source, path=path))
            continue
        volumes.append(
            Volume(
                name=name,
                source=source,
                destination=path,
                read_only=mount.get("readOnly") is True,
                type=kind,
                mount_propagation=_PROPAGATIONS.get(_text(mount.get("mountPropagation")), "NONE"),
            )
        )
    secrets += [MountedSecret(name=_text(each.get("name"))) for each in _list(pod.get("imagePullSecrets"))]
    for field, ref in (("envFrom", "secretRef"), ("env", "secretKeyRef")):
        for each in _list(given.get(field)):
            holder = _dict(each.get("valueFrom")) if field == "env" else each
            if name := _text(_dict(holder.get(ref)).get("name")):
                secrets.append(MountedSecret(name=name))
    return tuple(volumes), tuple(secrets)


def _source(volume: Mapping[str, Any]) -> tuple[str, str]:
    for field, (word, source) in _VOLUMES.items():
        if (given := volume.get(field)) is not None:
            return word, source(_dict(given))
    return "unknown", ""


def _port(given: Mapping[str, Any]) -> Port:
    host = _integer(given.get("hostPort"))
    return Port(
        name=_text(given.get("name")),
        container_port=_integer(given.get("containerPort")),
        protocol=_text(given.get("protocol")) or "TCP",
        exposure="HOST" if host else "UNSET",
        exposure_infos=(Exposure(level="HOST", node_port=host),) if host else (),
    )


def _resources(given: Mapping[str, Any]) -> Resources:
    requests, limits = _dict(given.get("requests")), _dict(given.get("limits"))
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


def _text(given: object) -> str:
    return given if isinstance(given, str) else ""


def _integer(given: object) -> int:
    return given if isinstance(given, int) and not isinstance(given, bool) else 0


def _dict(given: object) -> dict[str, Any]:
    return given if isinstance(given, dict) else {}


def _items(given: object) -> list[Any]:
    return given if isinstance(given, list) else []


def _list(given: object) -> Iterable[dict[str, Any]]:
    return [each for each in _items(given) if isinstance(each, dict)]


def _texts(given: object) -> dict[str, str]:
    return {
        key: value for key, value in _dict(given).items() if isinstance(key, str) and isinstance(value, str)
    }
