"""What strangers send to Central before anybody knows them: credentials, and where they say they come from.

No stranger gets in, whatever he sends, and no exception but the refusal leaves the check.
"""

from __future__ import annotations

import asyncio
import base64
from ipaddress import ip_address
from typing import Any, cast

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from redoubt.central.auth import sources
from redoubt.central.auth.authenticate import Authenticator, basic
from redoubt.central.auth.caller import Caller
from redoubt.central.auth.tokens import AUDIENCE, ISSUER, Tokens
from redoubt.central.notices import Notices
from redoubt.central.refusals import Unauthenticated
from redoubt.central.store.tokens import SigningKey
from targets.interface import Target, require_clean

_KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
_ID = "0f" * 16
_TOKEN = "5f0c1b1e-7f1d-4c8e-9c39-0d2f7f3a1b2c"
_PROXIES = sources.networks(["10.0.0.0/8", "fd00::/8"])


class _Store:
    """Has a key, and no token: a token that seems right is found to be none."""

    async def keys(self) -> list[SigningKey]:
        return [SigningKey(id=_ID, public=_KEY.public_key().public_bytes_raw(), sealed=b"")]

    async def get(self, identifier: object) -> None:
        asked.append(identifier)


class _Sealer:
    def open(self, sealed: bytes, context: str) -> bytes:
        return _KEY.private_bytes_raw()


class _Passwords:
    async def check(self, user: str, password: str, source: str) -> Caller:
        asked.append(user)
        raise Unauthenticated("wrong")


asked: list[object] = []


def _authorization(data: bytes) -> int:
    asked.clear()
    tokens = Tokens(cast(Any, _Store()), cast(Any, None), Notices(cast(Any, None)), cast(Any, _Sealer()))
    header = data.decode("latin-1")
    try:
        caller = asyncio.run(Authenticator(_Passwords(), tokens).caller(header, None, ""))
    except Unauthenticated as error:
        require_clean(str(error))
        return len(asked)
    assert not header
    assert not caller.authenticated
    return 0


def _authorization_seeds() -> list[bytes]:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "jti": _TOKEN, "iat": 1, "exp": 4_000_000_000}
    token = jwt.encode(claims, _KEY, algorithm="EdDSA", headers={"kid": _ID})
    assert basic(base64.b64encode(b"admin:secret").decode()) == ("admin", "secret")
    return [f"Bearer {token}".encode(), b"Basic " + base64.b64encode(b"admin:secret")]


def _forwarded(data: bytes) -> int:
    peer, *headers = data.decode("latin-1").split("\n")
    found = sources.source(peer, headers, _PROXIES)
    sources.group(found)
    if found == sources.normal(peer):
        return 0
    ip_address(found)
    return 1


def _forwarded_seeds() -> list[bytes]:
    return [
        b"10.0.0.1\n203.0.113.9, 10.0.0.2",
        b"fd00::1\n[2001:db8::1]:4711\n10.0.0.3:80",
        b"::ffff:10.0.0.1\n::ffff:203.0.113.9",
    ]


TARGETS = {
    "central:authorization": Target(_authorization, _authorization_seeds),
    "central:forwarded": Target(_forwarded, _forwarded_seeds),
}
