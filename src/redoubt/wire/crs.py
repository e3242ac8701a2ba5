"""Cluster registration secrets as they travel: base64 of JSON, in the original's form."""

from __future__ import annotations

import base64
import binascii

import msgspec

from redoubt.errors import UnreadableInput

VERSION = 1
#: What the Secret is called, and its one key.
SECRET, KEY = "cluster-registration-secret", "crs"
_LARGEST = 1 << 20


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A registrant's certificate and key, and the CAs to trust, in PEM."""

    version: int = VERSION
    authorities: tuple[str, ...] = msgspec.field(name="CAs")
    certificate: str = msgspec.field(name="cert")
    key: str


def written(registration: Registration) -> str:
    """As it stands in the Secret's ``crs``."""
    return base64.b64encode(msgspec.json.encode(registration)).decode()


def read(content: bytes) -> Registration:
    """The same, read. Raises ``UnreadableInput``."""
    if len(content) > _LARGEST:
        raise UnreadableInput(f"a cluster registration secret of {len(content)} bytes")
    try:
        found = msgspec.json.decode(base64.b64decode(content.strip(), validate=True), type=Registration)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, ValueError):
        raise UnreadableInput(
            "no cluster registration secret (base64 of JSON with CAs, cert and key)"
        ) from None
    if found.version != VERSION:
        raise UnreadableInput(
            f"a cluster registration secret of version {found.version}; this Sensor knows {VERSION}"
        )
    if not any(each.strip() for each in found.authorities):
        raise UnreadableInput("a cluster registration secret without a CA")
    return found
