"""Nodes, namespaces, secrets and the rest: each as its struct in ``redoubt.model.cluster``. Pure.

Annotations that say the object again (``kubectl apply`` does so, secrets' values included) are left out, long ones are cut. Rules: StackRox's ``sensor/kubernetes/listener/resources`` for the original's words.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from redoubt.jsonfields import (
    Given,
    flag,
    moment,
    number,
    part,
    parts,
    text,
    texts,
    words,
)
from redoubt.model.cluster import (
    ClusterNetworkPolicy,
    ClusterNode,
    ConfigMap,
    K8sRole,
    K8sRoleBinding,
    Namespace,
    PolicyRule,
    PullSecret,
    Secret,
    SecretFile,
    Service,
    ServiceAccount,
    Subject,
    Taint,
)

#: Characters of one annotation, and of all of an object's: beyond it values are cut, then left out.
LONGEST_ANNOTATION, LONGEST_ANNOTATIONS = 16_384, 262_144
_SAID_AGAIN = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
_EFFECTS = {
    "NoSchedule": "NO_SCHEDULE_TAINT_EFFECT",
    "PreferNoSchedule": "PREFER_NO_SCHEDULE_TAINT_EFFECT",
    "NoExecute": "NO_EXECUTE_TAINT_EFFECT",
}
_SUBJECTS = {"ServiceAccount": "SERVICE_ACCOUNT", "User": "USER", "Group": "GROUP"}
_PEM = {
    "BEGIN CERTIFICATE": "PUBLIC_CERTIFICATE",
    "BEGIN NEW CERTIFICATE REQUEST": "CERTIFICATE_REQUEST",
    "BEGIN CERTIFICATE REQUEST": "CERTIFICATE_REQUEST",
    "BEGIN PRIVACY-ENHANCED MESSAGE": "PRIVACY_ENHANCED_MESSAGE",
    "BEGIN OPENSSH PRIVATE KEY": "OPENSSH_PRIVATE_KEY",
    "BEGIN PGP PRIVATE KEY BLOCK": "PGP_PRIVATE_KEY",
    "BEGIN EC PRIVATE KEY": "EC_PRIVATE_KEY",
    "BEGIN RSA PRIVATE KEY": "RSA_PRIVATE_KEY",
    "BEGIN DSA PRIVATE KEY": "DSA_PRIVATE_KEY",
    "BEGIN PRIVATE KEY": "CERT_PRIVATE_KEY",
    "BEGIN ENCRYPTED PRIVATE KEY": "ENCRYPTED_PRIVATE_KEY",
}
_PULLS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}
#: Annotations of secrets that OpenShift makes for a service account.
_MADE = frozenset(
    {"kubernetes.io/service-account.name", "openshift.io/internal-registry-auth-token.service-account"}
)
#: A value larger than this is not looked into: etcd takes objects of 1.5 MB.
_LARGEST_VALUE = 2 << 20


def noted(given: Given) -> dict[str, str]:
    """An object's annotations, as many as may be kept."""
    return shortened(texts(given, "metadata", "annotations"))


def shortened(given: Mapping[str, str]) -> dict[str, str]:
    """Annotations without those that say the object again; long ones are cut."""
    kept: dict[str, str] = {}
    room = LONGEST_ANNOTATIONS
    for name, value in given.items():
        if name in _SAID_AGAIN:
            continue
        cut = value[:LONGEST_ANNOTATION]
        room -= len(name) + len(cut)
        if room < 0:
            break
        kept[name] = cut
    return kept


def _named(given: Given) -> dict[str, Any]:
    return {"id": text(given, "metadata", "uid"), "name": text(given, "metadata", "name")}


def _labelled(given: Given) -> dict[str, Any]:
    return {
        **_named(given),
        "labels": texts(given, "metadata", "labels"),
        "annotations": noted(given),
    }


def _placed(given: Given) -> dict[str, Any]:
    return {**_labelled(given), "namespace": text(given, "metadata", "namespace")}


def namespace(given: Given) -> Namespace:
    """A namespace."""
    return Namespace(**_labelled(given), creation_time=moment(given, "metadata", "creationTimestamp"))


def node(given: Given) -> ClusterNode:
    """A node."""
    addresses = parts(given, "status", "addresses")

    def of(kind: str) -> tuple[str, ...]:
        return tuple(text(each, "address") for each in addresses if text(each, "type") == kind)

    said = part(given, "status", "nodeInfo")
    return ClusterNode(
        **_labelled(given),
        taints=tuple(
            Taint(
                key=text(each, "key"),
                value=text(each, "value"),
                taint_effect=_EFFECTS.get(text(each, "effect"), "UNKNOWN_TAINT_EFFECT"),
            )
            for each in parts(given, "spec", "taints")
        ),
        joined_at=moment(given, "metadata", "creationTimestamp"),
        internal_ip_addresses=of("InternalIP"),
        external_ip_addresses=of("ExternalIP"),
        container_runtime_version=text(said, "containerRuntimeVersion"),
        kernel_version=text(said, "kernelVersion"),
        os_image=text(said, "osImage"),
        operating_system=text(said, "operatingSystem"),
        kubelet_version=text(said, "kubeletVersion"),
        kube_proxy_version=text(said, "kubeProxyVersion"),
    )


class SeenSecret(msgspec.Struct, frozen=True):
    """A secret without its values; ``pull`` is what registries are told, where it is for that.

    ``made`` ones are OpenShift's own, for the registry within the cluster: there are some in every namespace.
    """

    secret: Secret
    pull: PullSecret | None = None
    made: bool = False

    def __repr__(self) -> str:
        return f"SeenSecret({self.secret.namespace}/{self.secret.name})"


def secret(given: Given) -> SeenSecret:
    """A secret. Its values are looked at here and nowhere else."""
    data = part(given, "data")
    kind = text(given, "type") or "Opaque"
    found = Secret(
        **_placed(given),
        type=kind,
        created_at=moment(given, "metadata", "creationTimestamp"),
        files=tuple(
            _file(name, value, kind) for name, value in sorted(data.items()) if isinstance(name, str)
        ),
    )
    pull = None
    if kind in _PULLS and (content := _decoded(data.get(_PULLS[kind]))):
        config = content.decode("utf-8", "replace")
        if kind == "kubernetes.io/dockercfg":
            config = _as_new(config)
        if config:
            pull = PullSecret(namespace=found.namespace, name=found.name, config=config)
    return SeenSecret(found, pull, made=not _MADE.isdisjoint(found.annotations))


def _as_new(config: str) -> str:
    """The older file has no ``auths`` around it."""
    try:
        return json.dumps({"auths": json.loads(config)})
    except (ValueError, RecursionError):
        return ""


def _file(name: str, value: object, kind: str) -> SecretFile:
    if kind in _PULLS and name == _PULLS[kind]:
        return SecretFile(name=name, type="IMAGE_PULL_SECRET")
    content = _decoded(value)
    beginning = content[:200].lstrip().decode("ascii", "ignore")
    for words_of_it, word in _PEM.items():
        if beginning.startswith(f"-----{words_of_it}"):
            end = _ends(content) if word == "PUBLIC_CERTIFICATE" else None
            return SecretFile(name=name, type=word, cert_end=end)
    return SecretFile(name=name)


def _ends(pem: bytes) -> datetime | None:
    """When a certificate ends; None where it is none."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc
    except (ValueError, TypeError):
        return None


def _decoded(value: object) -> bytes:
    if not isinstance(value, str) or len(value) > _LARGEST_VALUE:
        return b""
    try:
        return base64.b64decode(value)
    except (binascii.Error, ValueError):
        return b""


def config_map(given: Given) -> ConfigMap:
    """That there is a config map, and the names in it."""
    names = (*part(given, "data"), *part(given, "binaryData"))
    return ConfigMap(
        **_named(given), namespace=text(given, "metadata", "namespace"), keys=tuple(sorted(set(names))[:1000])
    )


def service_account(given: Given) -> ServiceAccount:
    """A service account."""
    return ServiceAccount(
        **_placed(given),
        created_at=moment(given, "metadata", "creationTimestamp"),
        automount_token=flag(given, "automountServiceAccountToken", default=True),
        secrets=tuple(text(each, "name") for each in parts(given, "secrets")),
        image_pull_secrets=tuple(text(each, "name") for each in parts(given, "imagePullSecrets")),
    )


def role(given: Given) -> K8sRole:
    """A Role or ClusterRole."""
    return K8sRole(
        **_placed(given),
        cluster_role=text(given, "kind") == "ClusterRole",
        created_at=moment(given, "metadata", "creationTimestamp"),
        rules=tuple(
            PolicyRule(
                verbs=words(each, "verbs"),
                api_groups=words(each, "apiGroups"),
                resources=words(each, "resources"),
                resource_names=words(each, "resourceNames"),
                non_resource_urls=words(each, "nonResourceURLs"),
            )
            for each in parts(given, "rules")
        ),
    )


class SeenBinding(msgspec.Struct, frozen=True):
    """A binding, and whether the role that it names is a ClusterRole."""

    binding: K8sRoleBinding
    of_cluster_role: bool


def binding(given: Given) -> SeenBinding:
    """A RoleBinding or ClusterRoleBinding. Which role's identifier it has is for whoever knows the roles."""
    found = K8sRoleBinding(
        **_placed(given),
        cluster_role=text(given, "kind") == "ClusterRoleBinding",
        created_at=moment(given, "metadata", "creationTimestamp"),
        subjects=tuple(
            Subject(
                kind=_SUBJECTS.get(text(each, "kind"), "UNSET_KIND"),
                name=text(each, "name"),
                namespace=text(each, "namespace"),
            )
            for each in parts(given, "subjects")
        ),
        role_name=text(given, "roleRef", "name"),
    )
    return SeenBinding(found, text(given, "roleRef", "kind") == "ClusterRole")


def network_policy(given: Given) -> ClusterNetworkPolicy:
    """A network policy, with Kubernetes' own words."""
    return ClusterNetworkPolicy(
        **_placed(given),
        created=moment(given, "metadata", "creationTimestamp"),
        spec=part(given, "spec"),
    )


class Target(msgspec.Struct, frozen=True):
    """A service's port: which port of the pod it leads to, by number or name."""

    port: int
    name: str
    target: int | str
    node_port: int
    protocol: str


class SeenService(msgspec.Struct, frozen=True):
    """A service, with where it leads."""

    service: Service
    targets: tuple[Target, ...]


def service(given: Given) -> SeenService:
    """A Service."""
    spec = part(given, "spec")
    ips = (*words(spec, "clusterIPs"), text(spec, "clusterIP"))
    outside = parts(given, "status", "loadBalancer", "ingress")
    targets = tuple(_target(each) for each in parts(spec, "ports"))
    return SeenService(
        Service(
            **_named(given),
            namespace=text(given, "metadata", "namespace"),
            kind="Service",
            type=text(spec, "type") or "ClusterIP",
            cluster_ips=tuple(dict.fromkeys(ip for ip in ips if ip and ip != "None")),
            external_ips=(
                *words(spec, "externalIPs"),
                *(ip for each in outside if (ip := text(each, "ip"))),
            ),
            hosts=tuple(host for each in outside if (host := text(each, "hostname"))),
            ports=tuple(each.port for each in targets),
            selector=texts(spec, "selector"),
        ),
        targets,
    )


def _target(given: Given) -> Target:
    said = given.get("targetPort")
    port = number(given, "port")
    known = isinstance(said, (int, str)) and not isinstance(said, bool)
    return Target(
        port=port,
        name=text(given, "name"),
        target=(said or port) if known else port,
        node_port=number(given, "nodePort"),
        protocol=text(given, "protocol") or "TCP",
    )


class Backend(msgspec.Struct, frozen=True):
    """Where an ingress or a route leads: a service's port, by number or name (0: every one), for a host."""

    service: str
    port: int | str
    host: str


class SeenIngress(msgspec.Struct, frozen=True):
    """An Ingress, or OpenShift's Route."""

    service: Service
    backends: tuple[Backend, ...]


def ingress(given: Given) -> SeenIngress:
    """An Ingress of ``networking.k8s.io/v1`` or ``v1beta1``."""
    spec = part(given, "spec")
    found = [_backend(each, "") for name in ("defaultBackend", "backend") if (each := part(spec, name))]
    for rule in parts(spec, "rules"):
        host = text(rule, "host")
        found += [_backend(part(path, "backend"), host) for path in parts(rule, "http", "paths")]
    return _ingress(given, [each for each in found if each.service])


def _backend(given: Given, host: str) -> Backend:
    new = part(given, "service")
    if new:
        return Backend(text(new, "name"), text(new, "port", "name") or number(new, "port", "number"), host)
    port = text(given, "servicePort") or number(given, "servicePort")
    return Backend(text(given, "serviceName"), port, host)


def route(given: Given) -> SeenIngress:
    """A Route of OpenShift."""
    host = text(given, "spec", "host")
    port = text(given, "spec", "port", "targetPort") or number(given, "spec", "port", "targetPort")
    to = (part(given, "spec", "to"), *parts(given, "spec", "alternateBackends"))
    return _ingress(given, [Backend(text(each, "name"), port, host) for each in to if text(each, "name")])


def _ingress(given: Given, backends: list[Backend]) -> SeenIngress:
    outside = parts(given, "status", "loadBalancer", "ingress")
    hosts = (*(each.host for each in backends), *(text(each, "hostname") for each in outside))
    found = Service(
        **_named(given),
        namespace=text(given, "metadata", "namespace"),
        kind="Ingress",
        type=text(given, "kind"),
        external_ips=tuple(ip for each in outside if (ip := text(each, "ip"))),
        hosts=tuple(dict.fromkeys(host for host in hosts if host)),
    )
    return SeenIngress(found, tuple(backends))
