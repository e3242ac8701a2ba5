"""Kubernetes' objects as policies look at them: whatever makes pods becomes a ``Deployment``. Pure: no client, no cluster.

JSON, or what JSON or YAML was decoded to, in; a struct out. What is not said has Kubernetes' defaults; what is of another
type than Kubernetes has there is refused and not read as if nothing were said, or a policy would seem to be kept. Rules: the
API reference of Kubernetes 1.30 and StackRox's ``pkg/protoconv/resources`` for the original's words. RBAC, services and
network policies are not in a manifest; who knows a cluster puts them to it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

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
from redoubt.policies import objects

#: Kinds that make pods, and whether there is a template of them in a template, or in the spec itself.
_DEPTHS = {
    "Pod": 0,
    "Deployment": 1,
    "DaemonSet": 1,
    "StatefulSet": 1,
    "ReplicaSet": 1,
    "ReplicationController": 1,
    "DeploymentConfig": 1,
    "Job": 1,
    "CronJob": 2,
}
KINDS = frozenset(_DEPTHS)
#: Groups of the API that these kinds are of; ``apps.openshift.io`` is OpenShift's.
_GROUPS = frozenset({"", "apps", "batch", "extensions", "apps.openshift.io"})
_ONE_OF_IT = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"})
#: How an annotation begins that says how a container is confined.
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
#: A volume's source → the original's word for it, and what its source is.
_VOLUMES: dict[str, tuple[str, Callable[[objects.Source], str | None]]] = {
    "host_path": ("HostPath", lambda v: v.path),
    "secret": ("Secret", lambda v: v.secret_name),
    "config_map": ("ConfigMap", lambda v: v.name),
    "empty_dir": ("EmptyDir", lambda v: v.medium),
    "persistent_volume_claim": ("PersistentVolumeClaim", lambda v: v.claim_name),
    "nfs": ("NFS", lambda v: f"{v.server or ''}/{v.path or ''}"),
    "git_repo": ("GitRepo", lambda v: v.repository),
    "aws_elastic_block_store": ("AWSElasticBlockStore", lambda v: v.volume_id),
    "gce_persistent_disk": ("GCEPersistentDisk", lambda v: v.pd_name),
    "azure_disk": ("AzureDisk", lambda v: v.disk_name),
    "azure_file": ("AzureFile", lambda v: v.share_name),
    "cephfs": ("CephFS", lambda v: v.path),
    "cinder": ("Cinder", lambda v: v.volume_id),
    "glusterfs": ("Glusterfs", lambda v: v.path),
    "rbd": ("RBD", lambda v: f"{v.pool or ''}/{v.image or ''}"),
    "image": ("Image", lambda v: v.reference),
}
_UNKNOWN_VOLUME = ("unknown", "")
_PROPAGATIONS = {"HostToContainer": "HOST_TO_CONTAINER", "Bidirectional": "BIDIRECTIONAL"}
_SECCOMP = {"Unconfined": "UNCONFINED", "Localhost": "LOCALHOST"}
_QUANTITY = re.compile(r"([+-]?[0-9.]{1,40})(?:[eE]([+-]?[0-9]{1,3})|(m|u|n|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?)")
_UNITS = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}
#: What msgspec says of a value of another type, and the words for its types.
_MISTYPED = re.compile(r"Expected `(.*?)(?: \| null)?`, got `(.*?)`(?: - at `\$\.?(.*)`)?$")
_TYPES = {
    "object": "an object",
    "array": "a list",
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}
_MEGA, _ZERO = 1024 * 1024, Decimal(0)
#: Forty digits, a sign, an exponent.
_LONG_QUANTITY = 64
_NO_CONTEXT, _NO_SPEC, _NO_META = objects.Context(), objects.Spec(), objects.Meta()
_DEFINED, _UNDEFINED, _NO_RESOURCES = Probe(defined=True), Probe(), Resources()
_decoder = msgspec.json.Decoder(objects.Workload)

_Decoded = TypeVar("_Decoded")
#: An image's name as it is written → taken apart.
Named = Callable[[str], ImageName]


class NotAWorkload(UnreadableInput):
    """An object that is not what its kind says."""


def is_workload(given: Mapping[str, Any]) -> bool:
    """Whether an object makes pods."""
    kind, version = given.get("kind"), given.get("apiVersion")
    return isinstance(kind, str) and makes_pods(kind, version if isinstance(version, str) else "")


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
        return converted(_understood(given), named, namespace=namespace)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.ValidationError) as error:
        raise NotAWorkload(f"a {given['kind']} {_would_not(error)}") from None


def read(content: bytes | msgspec.Raw) -> objects.Workload:
    """An object as JSON, for :func:`converted`, if it makes pods. Raises :class:`NotAWorkload`."""
    given = decoded(_decoder, content)
    if not makes_pods(given.kind or "", given.api_version or ""):
        raise NotAWorkload(f"{(given.kind or 'an object without a kind')[:80]} makes no pods")
    return given


def decoded(decoder: msgspec.json.Decoder[_Decoded], content: bytes | msgspec.Raw) -> _Decoded:
    """A piece of an object. Raises :class:`NotAWorkload`."""
    try:
        return decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAWorkload(f"an object {_would_not(error)}") from None


def is_owned(owners: Iterable[objects.Owner] | None) -> bool:
    """As :func:`owned`, of an object's owners."""
    return any(makes_pods(each.kind or "", each.api_version or "") for each in owners or ())


def converted(given: objects.Workload, named: Named, *, namespace: str = "default") -> Deployment:
    """What :func:`read` gave. ``namespace`` is for an object that names none."""
    kind = given.kind or ""
    meta, spec = given.metadata or _NO_META, given.spec or _NO_SPEC
    pod, inner = pod_of(kind, meta, spec)
    profiles = _texts(meta.annotations)
    if inner is not meta:
        profiles = profiles | _texts(inner.annotations)
    identifier, volumes = meta.uid or "", sources(pod)
    containers = tuple(
        # An init container that is restarted is a sidecar: it runs as long as the others do.
        contained(
            each,
            pod,
            profiles,
            volumes,
            identifier,
            "REGULAR" if each.restart_policy == "Always" else word,
            named,
        )
        for some, word in (
            (pod.init_containers, "INIT"),
            (pod.containers, "REGULAR"),
            (pod.ephemeral_containers, "REGULAR"),
        )
        if some
        for each in some
    )
    return msgspec.structs.replace(
        workload(kind, meta, spec, pod, inner, meta.namespace or namespace),
        containers=containers,
        ports=tuple([port for each in containers for port in each.ports]),
        image_pull_secrets=tuple([each.name or "" for each in pod.image_pull_secrets or ()]),
    )


def workload(
    kind: str, meta: objects.Meta, spec: Any, pod: Any, inner: objects.Meta, namespace: str
) -> Deployment:
    """A workload without its containers. ``spec`` and ``pod`` are ``objects.Spec``, or have what is read of one here."""
    return Deployment(
        id=meta.uid or "",
        name=meta.name or meta.generate_name or "",
        type=kind,
        namespace=namespace,
        replicas=spec.replicas if spec.replicas is not None else int(kind in _ONE_OF_IT),
        labels=_texts(meta.labels),
        pod_labels=_texts(inner.labels),
        annotations=_texts(meta.annotations),
        service_account=pod.service_account_name or pod.service_account or "default",
        automount_service_account_token=pod.automount_service_account_token is not False,
        host_network=bool(pod.host_network),
        host_pid=bool(pod.host_pid),
        host_ipc=bool(pod.host_ipc),
        runtime_class=pod.runtime_class_name or "",
    )


def makes_pods(kind: str, version: str) -> bool:
    """Whether objects of a kind and ``apiVersion`` do."""
    return kind in KINDS and version.rpartition("/")[0] in _GROUPS


def _understood(given: Mapping[str, Any]) -> objects.Workload:
    try:
        return msgspec.convert(given, objects.Workload)
    except msgspec.ValidationError:
        # YAML may have keys that are numbers; to Kubernetes they are texts.
        return msgspec.convert(msgspec.to_builtins(given, str_keys=True), objects.Workload)


def _would_not(error: Exception) -> str:
    said = _MISTYPED.match(str(error))
    if said is None:
        return f"that Kubernetes would not take: {str(error)[:200]}"
    expected, got = (
        " or ".join(_TYPES.get(word, word) for word in each.split(" | ")) for each in said.groups()[:2]
    )
    return f"that Kubernetes would not take: {(said[3] or 'all of it')[:200]}: {got} in place of {expected}"


def pod_of(kind: str, meta: objects.Meta, spec: Any) -> tuple[Any, objects.Meta]:
    """The pod's own spec and metadata. ``spec`` is an ``objects.Spec``, or has its templates."""
    depth = _DEPTHS[kind]
    if not depth:
        return spec, meta
    if depth == 2:
        job = spec.job_template
        spec = (job.spec if job is not None else None) or _NO_SPEC
    template = spec.template
    if template is None:
        return _NO_SPEC, _NO_META
    return template.spec or _NO_SPEC, template.metadata or _NO_META


def sources(pod: objects.Spec) -> Mapping[str, tuple[str, str]]:
    """A pod's volumes by their names: what each is of, and where."""
    return {each.name or "": _source(each) for each in pod.volumes or ()}


def contained(
    given: objects.Container,
    pod: objects.Spec,
    annotations: Mapping[str, str],
    sources: Mapping[str, tuple[str, str]],
    identifier: str,
    kind: str,
    named: Named,
) -> Container:
    """A container of a pod; ``annotations`` are those of the pod and of what makes it."""
    name = given.name or ""
    own, whole = given.security_context or _NO_CONTEXT, pod.security_context or _NO_CONTEXT
    volumes, secrets = _mounts(given, pod, sources)
    profile = _apparmor(own) or _apparmor(whole) or annotations.get(APPARMOR + name, "")
    return Container(
        id=f"{identifier}:{name}",
        name=name,
        type=kind,
        image=ContainerImage(name=named(given.image or "")),
        config=ContainerConfig(
            env=_variables(given.env) if given.env else (),
            command=given.command or (),
            args=given.args or (),
            directory=given.working_dir or "",
            uid=(whole.run_as_user if own.run_as_user is msgspec.UNSET else own.run_as_user) or 0,
            app_armor_profile=profile,
        ),
        security_context=_security(own, whole),
        volumes=volumes,
        ports=tuple([_port(each) for each in given.ports]) if given.ports else (),
        secrets=secrets,
        resources=_resources(given.resources),
        liveness_probe=_DEFINED if given.liveness_probe else _UNDEFINED,
        readiness_probe=_DEFINED if given.readiness_probe else _UNDEFINED,
    )


def _apparmor(context: objects.Context) -> str:
    """The field that took the annotation's place in 1.30, in the annotation's words."""
    profile = context.app_armor_profile
    match profile.type if profile is not None else "":
        case "Unconfined":
            return "unconfined"
        case "RuntimeDefault":
            return "runtime/default"
        case "Localhost":
            return f"localhost/{(profile.localhost_profile if profile is not None else '') or ''}"
        case _:
            return ""


def _variables(given: Sequence[objects.Variable]) -> tuple[EnvironmentVariable, ...]:
    return tuple(
        [
            EnvironmentVariable(key=each.name or "", value=each.value or "", env_var_source="RAW")
            if each.value_from is None
            else _from_elsewhere(each.name or "", each.value_from)
            for each in given
        ]
    )


def _from_elsewhere(key: str, source: objects.ValueFrom) -> EnvironmentVariable:
    """A variable whose content is elsewhere, with where that is, for people."""
    word = source_of(source)
    if (ref := source.secret_key_ref) is not None:
        where = f"secret {ref.name or ''}, key {ref.key or ''}"
    elif (ref := source.config_map_key_ref) is not None:
        where = f"config map {ref.name or ''}, key {ref.key or ''}"
    elif (ref := source.field_ref) is not None:
        where = f"field {ref.field_path or ''}"
    elif (ref := source.resource_field_ref) is not None:
        where = f"resource {ref.resource or ''}"
    else:
        where = ""
    return EnvironmentVariable(key=key, value=where, env_var_source=word)


def source_of(source: objects.ValueFrom) -> str:
    """The original's word for where a variable's content is."""
    if source.secret_key_ref is not None:
        return "SECRET_KEY"
    if source.config_map_key_ref is not None:
        return "CONFIG_MAP_KEY"
    if source.field_ref is not None:
        return "FIELD"
    return "UNKNOWN" if source.resource_field_ref is None else "RESOURCE_FIELD"


def _security(own: objects.Context, whole: objects.Context) -> SecurityContext:
    capabilities = own.capabilities
    profile = own.seccomp_profile or whole.seccomp_profile
    return SecurityContext(
        privileged=bool(own.privileged),
        read_only_root_filesystem=bool(own.read_only_root_filesystem),
        allow_privilege_escalation=own.allow_privilege_escalation is not False,
        add_capabilities=(capabilities.add or ()) if capabilities is not None else (),
        drop_capabilities=(capabilities.drop or ()) if capabilities is not None else (),
        seccomp_profile=SeccompProfile(
            type=_SECCOMP.get(profile.type or "", "RUNTIME_DEFAULT"),
            localhost_profile=profile.localhost_profile or "",
        )
        if profile is not None
        else None,
    )


def _mounts(
    given: objects.Container, pod: objects.Spec, sources: Mapping[str, tuple[str, str]]
) -> tuple[tuple[Volume, ...], tuple[MountedSecret, ...]]:
    """Volumes, and secrets however the container gets them."""
    volumes, secrets = [], []
    if given.volume_mounts:
        for mount in given.volume_mounts:
            name, path = mount.name or "", mount.mount_path or ""
            kind, source = sources.get(name, _UNKNOWN_VOLUME)
            if kind == "Secret":
                secrets.append(MountedSecret(name=source, path=path))
                continue
            volumes.append(
                Volume(
                    name=name,
                    source=source,
                    destination=path,
                    read_only=bool(mount.read_only),
                    type=kind,
                    mount_propagation=_PROPAGATIONS.get(mount.mount_propagation or "", "NONE"),
                )
            )
    for pulled in pod.image_pull_secrets or ():
        secrets.append(MountedSecret(name=pulled.name or ""))
    for all_of_it in given.env_from or ():
        if all_of_it.secret_ref is not None and all_of_it.secret_ref.name:
            secrets.append(MountedSecret(name=all_of_it.secret_ref.name))
    for variable in given.env or ():
        if (elsewhere := variable.value_from) is not None:
            ref = elsewhere.secret_key_ref
            if ref is not None and ref.name:
                secrets.append(MountedSecret(name=ref.name))
    return tuple(volumes), tuple(secrets)


def _source(volume: objects.Volume) -> tuple[str, str]:
    for field, (word, source) in _VOLUMES.items():
        if (found := getattr(volume, field)) is not None:
            return word, source(found) or ""
    return _UNKNOWN_VOLUME


def _port(given: objects.ContainerPort) -> Port:
    host = given.host_port or 0
    return Port(
        name=given.name or "",
        container_port=given.container_port or 0,
        protocol=given.protocol or "TCP",
        exposure="HOST" if host else "UNSET",
        exposure_infos=(Exposure(level="HOST", node_port=host),) if host else (),
    )


def _resources(given: objects.Requirements | None) -> Resources:
    if given is None:
        return _NO_RESOURCES
    requests, limits = given.requests or {}, given.limits or {}
    cores, memory = limits.get("cpu"), limits.get("memory")
    # What is limited and not asked for is asked for, up to the limit: so Kubernetes.
    return Resources(
        cpu_cores_request=_number(requests.get("cpu", cores), 1),
        cpu_cores_limit=_number(cores, 1),
        memory_mb_request=_number(requests.get("memory", memory), _MEGA),
        memory_mb_limit=_number(memory, _MEGA),
    )


def _number(given: object, unit: int) -> float:
    """A quantity in a unit."""
    if isinstance(given, str) and len(given) <= _LONG_QUANTITY:
        return _float(given, unit)
    return float(quantity(given) / unit)


@functools.lru_cache(maxsize=1024)
def _float(written: str, unit: int) -> float:
    return float(quantity(written) / unit)


def quantity(given: object) -> Decimal:
    """``500m``, ``1.5Gi``, ``2e3``: a resource quantity in its unit. 0 for what is none."""
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):
        return _ZERO
    written = str(given).strip()
    return _quantity(written) if len(written) <= _LONG_QUANTITY else _ZERO


@functools.lru_cache(maxsize=1024)
def _quantity(written: str) -> Decimal:
    match = _QUANTITY.fullmatch(written)
    if match is None:
        return _ZERO
    try:
        number = Decimal(match[1])
        return number.scaleb(int(match[2])) if match[2] else number * _UNITS[match[3] or ""]
    except InvalidOperation:
        return _ZERO


def _texts(given: objects.Texts | None) -> dict[str, str]:
    return {key: value or "" for key, value in given.items()} if given else {}
