"""Which of the objects that we look at there are in this cluster, and in which version of the API.

Kubernetes' discovery (``/api/v1``, ``/apis/<group>``) is asked: a cluster of 1.20 has CronJobs in ``batch/v1beta1`` only,
another has OpenShift's DeploymentConfigs.
"""

from __future__ import annotations

from typing import Any

import msgspec

from redoubt.errors import UnreadableInput
from redoubt.kubeapi import Api, ApiFailure

_RBAC = "rbac.authorization.k8s.io"


class Resource(msgspec.Struct, frozen=True):
    """A kind of object: ``kind`` as manifests write it, ``path`` where all of them are listed."""

    kind: str
    plural: str
    group: str
    version: str

    @property
    def api_version(self) -> str:
        """``apps/v1``; ``v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path(self) -> str:
        """Where all of them are."""
        return f"{_root(self.group, self.version)}/{self.plural}"

    def of(self, namespace: str, name: str) -> str:
        """Where one of them is."""
        return f"{_root(self.group, self.version)}/namespaces/{namespace}/{self.plural}/{name}"


#: Kind, plural, group, and the versions whose form we know, the best one first.
WANTED: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("Namespace", "namespaces", "", ("v1",)),
    ("Node", "nodes", "", ("v1",)),
    ("ServiceAccount", "serviceaccounts", "", ("v1",)),
    ("Role", "roles", _RBAC, ("v1", "v1beta1")),
    ("ClusterRole", "clusterroles", _RBAC, ("v1", "v1beta1")),
    ("RoleBinding", "rolebindings", _RBAC, ("v1", "v1beta1")),
    ("ClusterRoleBinding", "clusterrolebindings", _RBAC, ("v1", "v1beta1")),
    ("NetworkPolicy", "networkpolicies", "networking.k8s.io", ("v1",)),
    ("Service", "services", "", ("v1",)),
    ("Ingress", "ingresses", "networking.k8s.io", ("v1", "v1beta1")),
    ("Route", "routes", "route.openshift.io", ("v1",)),
    ("Secret", "secrets", "", ("v1",)),
    ("ConfigMap", "configmaps", "", ("v1",)),
    ("Deployment", "deployments", "apps", ("v1",)),
    ("DaemonSet", "daemonsets", "apps", ("v1",)),
    ("StatefulSet", "statefulsets", "apps", ("v1",)),
    ("ReplicaSet", "replicasets", "apps", ("v1",)),
    ("ReplicationController", "replicationcontrollers", "", ("v1",)),
    ("Job", "jobs", "batch", ("v1",)),
    ("CronJob", "cronjobs", "batch", ("v1", "v1beta1")),
    ("DeploymentConfig", "deploymentconfigs", "apps.openshift.io", ("v1",)),
    ("ImageContentSourcePolicy", "imagecontentsourcepolicies", "operator.openshift.io", ("v1alpha1",)),
    ("ImageDigestMirrorSet", "imagedigestmirrorsets", "config.openshift.io", ("v1",)),
    ("ImageTagMirrorSet", "imagetagmirrorsets", "config.openshift.io", ("v1",)),
    ("Pod", "pods", "", ("v1",)),
)


_OPENSHIFT = frozenset(kind for kind, _, group, _ in WANTED if group.endswith(".openshift.io"))


def _root(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


async def discover(api: Api, *, partly: bool = False) -> tuple[Resource, ...]:
    """Those of what we look at that can be listed and watched here.

    Raises ``ApiFailure`` and ``NetworkError``, and the former also where kinds of Kubernetes' own are not there: an API server
    that was just started says bit by bit what it has. ``partly`` takes what there is.
    """
    groups = {name for each in _listed(await _asked(api, "/apis"), "groups") if (name := _text(each, "name"))}
    there: dict[tuple[str, str], dict[str, frozenset[str]]] = {}
    found = []
    for kind, plural, group, versions in WANTED:
        if group and group not in groups:
            continue
        for version in versions:
            if (group, version) not in there:
                there[group, version] = await _resources(api, _root(group, version))
            if there[group, version].get(plural, frozenset()) >= {"list", "watch"}:
                found.append(Resource(kind, plural, group, version))
                break
    missing = {each[0] for each in WANTED} - {each.kind for each in found} - _OPENSHIFT
    if missing and not partly:
        raise ApiFailure(f"the API server does not have {', '.join(sorted(missing))} (yet)", 503)
    return tuple(found)


async def _resources(api: Api, path: str) -> dict[str, frozenset[str]]:
    """Plurals, and what can be done with them; nothing where there is no such version."""
    try:
        answer = await _asked(api, path)
    except ApiFailure as failure:
        if failure.code in (404, 503):  # 503: an aggregated server that is away
            return {}
        raise
    return {
        _text(each, "name"): frozenset(verb for verb in each.get("verbs") or () if isinstance(verb, str))
        for each in _listed(answer, "resources")
    }


async def _asked(api: Api, path: str) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(await api.get(path))
    except (msgspec.DecodeError, UnicodeDecodeError):
        answer = None
    if not isinstance(answer, dict):
        raise UnreadableInput(f"{api.host}{path}: is no answer of an API server")
    return answer


def _listed(answer: dict[str, Any], field: str) -> list[dict[str, Any]]:
    found = answer.get(field)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _text(given: dict[str, Any], field: str) -> str:
    value = given.get(field)
    return value if isinstance(value, str) else ""
