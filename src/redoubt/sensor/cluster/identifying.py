"""What the cluster says it is: versions and the namespaces that tell it from others."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from redoubt.errors import RedoubtError
from redoubt.jsonfields import text
from redoubt.kubeapi import Api
from redoubt.model.cluster import Identification

#: Seconds until an API server that is away is asked again.
_AGAIN = 2.0


async def identify(api: Api, own_namespace: str) -> Identification:
    """As much as the API server tells, once it tells anything; what it refuses is left empty."""
    while not (version := await _asked(api, "/version")):
        await asyncio.sleep(_AGAIN)
    openshift = await _asked(api, "/apis/config.openshift.io/v1/clusteroperators/openshift-apiserver")
    return Identification(
        system_namespace_id=await _namespace(api, "kube-system"),
        default_namespace_id=await _namespace(api, "default"),
        app_namespace=own_namespace,
        app_namespace_id=await _namespace(api, own_namespace),
        k8s_version=text(version, "gitVersion"),
        k8s_build_date=text(version, "buildDate"),
        openshift_version=_operator(openshift),
    )


def _operator(given: dict[str, Any]) -> str:
    status = given.get("status")
    found = status.get("versions") if isinstance(status, dict) else None
    for each in found if isinstance(found, list) else ():
        if isinstance(each, dict) and each.get("name") == "operator":
            return text(each, "version")
    return ""


async def _namespace(api: Api, name: str) -> str:
    return text(await _asked(api, f"/api/v1/namespaces/{name}"), "metadata", "uid")


async def _asked(api: Api, path: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(await api.get(path))
    except (RedoubtError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
