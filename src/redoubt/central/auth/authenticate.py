"""Out of a request's credentials, the caller.

Three kinds are known: a client certificate of our CA (checked by TLS, ``scope["state"]["peer"]``), ``Authorization:
Bearer`` with an API token, and ``Authorization: Basic``. Wrong credentials are refused on every route, also on those that
need none; only no credentials at all make an anonymous caller.
"""

from __future__ import annotations

import base64
import binascii
from typing import Protocol

from redoubt.central.auth.caller import Caller, Kind
from redoubt.central.refusals import Unauthenticated
from redoubt.wire.identity import Identity, Service

_LONGEST = 8192


class Passwords(Protocol):
    """Who knows users and their passwords."""

    async def check(self, user: str, password: str, source: str) -> Caller: ...


class Tokens(Protocol):
    """Who knows API tokens."""

    async def check(self, token: str) -> Caller: ...


class Trusted(Protocol):
    """Who knows whether certificates still count."""

    async def check(self, bundle: str) -> None:
        """Raises ``PermissionDenied`` where the init bundle that a certificate came with was revoked."""


class Authenticator:
    """Without ``passwords`` or ``tokens`` the respective credentials are refused."""

    def __init__(self, passwords: Passwords | None = None, tokens: Tokens | None = None) -> None:
        self._passwords = passwords
        #: Knows whether the init bundle counts that a certificate came with; None: all of them do.
        self.trusted: Trusted | None = None
        self._tokens = tokens

    async def caller(self, authorization: str, peer: Identity | None, source: str) -> Caller:
        """The caller. ``authorization`` is the header, or an empty text.

        Raises ``Unauthenticated``, and ``Exhausted`` where too many passwords were wrong.
        """
        if peer is not None and not peer.valid():
            # The connection outlived the certificate.
            peer = None
        if peer is not None and peer.service is Service.REGISTRANT:
            # Good for the stream of a new cluster, and for nothing else.
            peer = None
        if peer is not None and peer.bundle_id and self.trusted is not None:
            await self.trusted.check(peer.bundle_id)
        if not authorization:
            if peer is None:
                return Caller(source=source)
            return Caller(
                kind=Kind.SERVICE,
                id=peer.identifier,
                name=peer.service.label,
                service=peer.service,
                source=source,
            )
        found = await self._credentials(authorization, source)
        return Caller(
            kind=found.kind,
            id=found.id,
            name=found.name,
            roles=found.roles,
            expires=found.expires,
            service=None if peer is None else peer.service,
            source=source,
        )

    async def _credentials(self, authorization: str, source: str) -> Caller:
        scheme, _, value = authorization.partition(" ")
        value = value.strip()
        if len(authorization) > _LONGEST:
            raise Unauthenticated("the credentials are longer than any of ours")
        if scheme.lower() == "bearer" and self._tokens is not None:
            return await self._tokens.check(value)
        if scheme.lower() == "basic" and self._passwords is not None:
            user, password = basic(value)
            return await self._passwords.check(user, password, source)
        raise Unauthenticated("this kind of credentials is not accepted; use an API token or a password")


def basic(value: str) -> tuple[str, str]:
    """User name and password of HTTP's basic scheme (RFC 7617, UTF-8); raises ``Unauthenticated``."""
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        raise Unauthenticated("the user name and password cannot be read") from None
    if not colon:
        raise Unauthenticated("the user name and password cannot be read")
    return user, password
