"""TLS Secrets of the cluster's services, in the Sensor's namespace: what the others are mounted with. Names and keys are the original's.

One that somebody else made under such a name is left alone.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from redoubt.errors import NetworkError, RedoubtError, UnreadableInput
from redoubt.jsonfields import text
from redoubt.kubeapi import Api, ApiFailure
from redoubt.sensor.identity.folder import Leaf, leaf
from redoubt.wire.authority import Issued
from redoubt.wire.identity import Service

#: The Secret of each service.
NAMES: Mapping[Service, str] = {
    Service.SENSOR: "tls-cert-sensor",
    Service.ADMISSION_CONTROL: "tls-cert-admission-control",
    Service.COLLECTOR: "tls-cert-collector",
    Service.SCANNER_V4_INDEXER: "tls-cert-scanner-v4-indexer",
}
_LABEL, _US = "app.kubernetes.io/managed-by", "sensor"
_NOT_FOUND = 404


class Foreign(RedoubtError):
    """A Secret of such a name that is somebody else's."""


class Held(msgspec.Struct, frozen=True):
    """What a Secret holds; ``leaf`` is None where that cannot be used."""

    issued: Issued
    leaf: Leaf | None


class Secrets:
    """Those of one namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    async def get(self, service: Service) -> Held | None:
        """None where there is none. Raises ``Foreign``, ``ApiFailure``, ``NetworkError``."""
        found = await self._found(service)
        return None if found is None else _held(found)

    async def put(self, service: Service, issued: Issued) -> None:
        """Make or change it, all of it at once. Raises the same."""
        before = await self._found(service)
        content = {"ca.pem": issued.authorities, "cert.pem": issued.certificate, "key.pem": issued.key}
        given: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": NAMES[service],
                "namespace": self._namespace,
                "labels": {_LABEL: _US, "app.kubernetes.io/name": "stackrox", "rhacs.redhat.com/tls": "true"},
            },
            "type": "Opaque",
            "data": {name: base64.b64encode(data).decode() for name, data in content.items()},
        }
        if before is None:
            await self._api.change("POST", f"/api/v1/namespaces/{self._namespace}/secrets", given)
            return
        # Somebody who changed it meanwhile is noticed: it is looked at again.
        given["metadata"]["resourceVersion"] = text(before, "metadata", "resourceVersion")
        await self._api.change("PUT", self._where(service), given)

    async def _found(self, service: Service) -> dict[str, Any] | None:
        try:
            found = msgspec.json.decode(await self._api.get(self._where(service)))
        except ApiFailure as failure:
            if failure.code == _NOT_FOUND:
                return None
            raise
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise NetworkError("the API server answered with something that is no Secret") from None
        if not isinstance(found, dict) or text(found, "metadata", "labels", _LABEL) != _US:
            raise Foreign(
                f"the Secret {NAMES[service]} was not made by a Sensor and is left alone (label {_LABEL}: {_US})"
            )
        return found

    def _where(self, service: Service) -> str:
        return f"/api/v1/namespaces/{self._namespace}/secrets/{NAMES[service]}"


def _held(given: dict[str, Any]) -> Held:
    try:
        parts = [base64.b64decode(text(given, "data", name)) for name in ("cert.pem", "key.pem", "ca.pem")]
    except (binascii.Error, ValueError):
        parts = [b"", b"", b""]
    try:
        found = leaf(*parts)
    except UnreadableInput:
        found = None
    return Held(Issued(*parts), found)
