"""The API server, as an admission controller needs it: its own registration's object, a ConfigMap, pods' workloads."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import quote

import msgspec

from redoubt.errors import RedoubtError, UnreadableInput
from redoubt.kubeapi import Api, ApiFailure
from redoubt.model.cluster import ADMISSION_CONFIG_KEY, ADMISSION_CONFIG_MAP

Object = dict[str, Any]

#: Kinds that own pods, or own what owns pods: their groups' versions, the newest first, and their plurals.
_OWNERS: dict[tuple[str, str], tuple[tuple[str, ...], str]] = {
    ("", "ReplicationController"): (("v1",), "replicationcontrollers"),
    ("apps", "ReplicaSet"): (("v1",), "replicasets"),
    ("apps", "Deployment"): (("v1",), "deployments"),
    ("apps", "StatefulSet"): (("v1",), "statefulsets"),
    ("apps", "DaemonSet"): (("v1",), "daemonsets"),
    ("batch", "Job"): (("v1",), "jobs"),
    ("batch", "CronJob"): (("v1", "v1beta1"), "cronjobs"),
    ("apps.openshift.io", "DeploymentConfig"): (("v1",), "deploymentconfigs"),
}
_VERSIONS = {(group, plural): (kind, versions) for (group, kind), (versions, plural) in _OWNERS.items()}
#: A pod's workload is the owner of an owner, at most.
_DEEPEST = 4
_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
_objects = msgspec.json.Decoder(Object)


class Cluster:
    """Over ``api``, for a service in ``namespace``."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace

    async def settings(self) -> bytes | None:
        """See ``following.ConfigMaps``."""
        path = f"/api/v1/namespaces/{quote(self._namespace)}/configmaps/{ADMISSION_CONFIG_MAP}"
        found = await self._get(path)
        data = None if found is None else found.get("binaryData")
        packed = data.get(ADMISSION_CONFIG_KEY) if isinstance(data, dict) else None
        if not isinstance(packed, str):
            return None
        try:
            return base64.b64decode(packed, validate=True)
        except (binascii.Error, ValueError):
            raise UnreadableInput(f"{path}: no base64") from None

    async def webhooks(self, name: str) -> Object | None:
        """The ``ValidatingWebhookConfiguration`` of that name; None where there is none. Raises ``RedoubtError``."""
        return await self._get(f"{_WEBHOOKS}/{quote(name)}")

    async def register(self, given: Object) -> None:
        """Put it there: made anew where it has no ``resourceVersion``. Raises ``RedoubtError``, a conflict among them."""
        if given["metadata"].get("resourceVersion"):
            await self._api.change("PUT", f"{_WEBHOOKS}/{quote(given['metadata']['name'])}", given)
        else:
            await self._api.change("POST", _WEBHOOKS, given)

    async def scaled(self, group: str, resource: str, namespace: str, name: str) -> Object:
        """See ``judging.Workloads``."""
        kind, versions = _VERSIONS.get((group, resource), ("", ()))
        if not kind:
            raise UnreadableInput(f"{resource[:80]} cannot be scaled")
        return await self._object(group, versions, resource, namespace, name, kind)

    async def of_pod(self, namespace: str, name: str) -> Object:
        """See ``judging.Workloads``."""
        found = await self._object("", ("v1",), "pods", namespace, name, "Pod")
        for _ in range(_DEEPEST):
            owner = _owner(found)
            if owner is None:
                break
            group, kind, owner_name = owner
            versions, plural = _OWNERS[group, kind]
            try:
                found = await self._object(group, versions, plural, namespace, owner_name, kind)
            except ApiFailure as error:
                if error.code != 404:
                    raise
                break  # gone already: what it owned is the topmost there is
        return found

    async def _object(
        self, group: str, versions: tuple[str, ...], plural: str, namespace: str, name: str, kind: str
    ) -> Object:
        failure: RedoubtError = UnreadableInput(f"there is no {plural}")
        for version in versions:
            base = f"/apis/{group}/{version}" if group else f"/api/{version}"
            path = f"{base}/namespaces/{quote(namespace, safe='')}/{plural}/{quote(name, safe='')}"
            try:
                return {
                    **_read(await self._api.get(path), path),
                    "kind": kind,
                    "apiVersion": f"{group}/{version}" if group else version,
                }
            except ApiFailure as error:
                if error.code != 404:
                    raise
                failure = error
        raise failure

    async def _get(self, path: str) -> Object | None:
        try:
            return _read(await self._api.get(path), path)
        except ApiFailure as error:
            if error.code == 404:
                return None
            raise


def _owner(given: Object) -> tuple[str, str, str] | None:
    """Who controls an object: group, kind and name, where it makes pods."""
    meta = given.get("metadata")
    owners = meta.get("ownerReferences") if isinstance(meta, dict) else None
    for each in owners if isinstance(owners, list) else ():
        if not isinstance(each, dict) or not each.get("controller"):
            continue
        group, kind, name = str(each.get("apiVersion")).rpartition("/")[0], each.get("kind"), each.get("name")
        if isinstance(kind, str) and isinstance(name, str) and (group, kind) in _OWNERS:
            return group, kind, name
    return None


def _read(content: bytes, path: str) -> Object:
    try:
        return _objects.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnreadableInput(f"{path}: the API server answered with no object") from None
