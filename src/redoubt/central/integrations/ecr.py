"""A password for Amazon's registries, for an access key: ``GetAuthorizationToken``, signed with Signature Version 4.

Sources of the rules: the ECR API reference, and "Signature Version 4" in the IAM user guide. The answer counts for twelve
hours and is kept for half of that.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import msgspec

from redoubt import egress
from redoubt.central.integrations.records import EcrConfig
from redoubt.errors import AccessDenied, NetworkError

_TARGET = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
_TYPE = "application/x-amz-json-1.1"
_KEPT = 6 * 3600.0
_REGION = re.compile(r"[a-z0-9-]{1,40}\Z")
_ANSWER = 1 << 20

#: Lets hosts be contacted by Central itself: ``egress.guard.Guard.permit``.
Permit: TypeAlias = Callable[[frozenset[str]], AbstractContextManager[object]]


class _Data(msgspec.Struct, rename="camel"):
    authorization_token: str


class _Answer(msgspec.Struct, rename="camel"):
    authorization_data: list[_Data]


class Tokens:
    """Passwords by access key and region. May be used from several threads."""

    def __init__(self, policy: egress.Policy, permit: Permit = nullcontext) -> None:
        self._policy = policy
        self._permit = permit
        self._kept: dict[tuple[str, ...], tuple[float, tuple[str, str]]] = {}
        self._lock = threading.Lock()

    def get(self, config: EcrConfig, ca: str = "") -> tuple[str, str]:
        """User name and password. Raises ``AccessDenied`` and ``NetworkError``."""
        if not _REGION.match(config.region):
            raise AccessDenied("an ECR with an access key needs its region, as eu-central-1")
        secret = hashlib.sha256(config.secret_access_key.encode()).hexdigest()
        key = (config.region, config.registry_id, config.access_key_id, secret)
        with self._lock:
            until, found = self._kept.get(key, (0.0, ("", "")))
        if time.monotonic() < until:
            return found
        found = self._asked(config, ca)
        with self._lock:
            self._kept[key] = time.monotonic() + _KEPT, found
        return found

    def _asked(self, config: EcrConfig, ca: str) -> tuple[str, str]:
        # The integration names the region, and with it this host.
        host = f"api.ecr.{config.region}.amazonaws.com"
        body = msgspec.json.encode({"registryIds": [config.registry_id]} if config.registry_id else {})
        headers = signed(host, body, config, datetime.now(UTC))
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(ca)
            file.flush()
            with (
                self._permit(frozenset({host})),
                egress.client(
                    policy=self._policy.allowing(host), ca_file=Path(file.name) if ca else None, timeout=10
                ) as client,
                client.send(
                    f"https://{host}/", method="POST", content=body, headers=headers, retry=egress.Retry(2)
                ) as response,
            ):
                if response.status in (400, 401, 403):
                    raise AccessDenied(f"{host}: the access key was refused; give one that may pull")
                response.require(200)
                return _login(response.read(_ANSWER), host)


def _login(data: bytes, host: str) -> tuple[str, str]:
    try:
        token = msgspec.json.decode(data, type=_Answer).authorization_data[0].authorization_token
        username, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (msgspec.MsgspecError, IndexError, binascii.Error, ValueError, RecursionError):
        colon = ""
    if not colon:
        raise NetworkError(f"{host}: answered something that holds no password")
    return username, password


def signed(host: str, body: bytes, config: EcrConfig, now: datetime) -> dict[str, str]:
    """The headers of the request, with its signature."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"content-type": _TYPE, "host": host, "x-amz-date": stamp, "x-amz-target": _TARGET}
    names = ";".join(headers)
    canonical = "\n".join(
        [
            *("POST", "/", ""),
            *(f"{name}:{value}" for name, value in headers.items()),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{stamp[:8]}/{config.region}/ecr/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{config.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    authorization = f"AWS4-HMAC-SHA256 Credential={config.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {name: value for name, value in headers.items() if name != "host"} | {
        "Authorization": authorization
    }
