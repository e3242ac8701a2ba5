"""``/v1/apitokens``: tokens for programs. The token itself is in the answer that makes it, and nowhere else."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from redoubt.central.api import checks
from redoubt.central.api.given import Call, Empty, Given
from redoubt.central.auth.access import resolved_in
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import NONE, Access, Resource, excess
from redoubt.central.auth.tokens import LONGEST_GRACE
from redoubt.central.refusals import InvalidArgument, NotFound
from redoubt.central.services import Services
from redoubt.central.store.tokens import Token

_READ = allow(Resource.INTEGRATION, Access.READ)
_REVOKE = allow(Resource.INTEGRATION, Access.READ_WRITE)
_ISSUE = allow((Resource.ACCESS, Access.READ), (Resource.INTEGRATION, Access.READ_WRITE))

_REPLACE = allow((Resource.ACCESS, Access.READ_WRITE), (Resource.INTEGRATION, Access.READ_WRITE))


class GenerateToken(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``role`` is the older way to name a single role. Without ``expiration`` a token is good for 365 days."""

    name: str = ""
    role: str = ""
    roles: list[str] = []
    expiration: datetime | None = None


class TokenMetadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is known of a token."""

    id: str
    name: str
    roles: list[str]
    issued_at: datetime
    expiration: datetime
    revoked: bool
    role: str
    issued_by: str


class GeneratedToken(msgspec.Struct, frozen=True, rename="camel"):
    """The token, and what is known of it."""

    token: str
    metadata: TokenMetadata


class TokenList(msgspec.Struct, frozen=True, rename="camel"):
    """Tokens, oldest first."""

    tokens: list[TokenMetadata]


class AllowedRoles(msgspec.Struct, frozen=True, rename="camel"):
    """The roles that the caller may give to a token."""

    role_names: list[str]


class ReplaceKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """``graceHours``: how long tokens that the former key signed stay in force at most; null: until they end."""

    grace_hours: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_GRACE.days * 24)] | None = None


class SigningKeyMetadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A key. ``tokens`` in force were signed by it; the last of them ends at ``lastExpiration``."""

    id: str
    created_at: datetime
    signs: bool
    tokens: int
    last_expiration: datetime | None


class SigningKeys(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The key that signs first. ``shortened``: how many tokens end earlier by what was asked."""

    keys: list[SigningKeyMetadata]
    shortened: int = 0


class TokenController(Controller):
    """Tokens."""

    path = "/v1/apitokens"
    tags = ("API tokens",)

    @post("/generate", opt=_ISSUE, status_code=200, summary="Make a token")
    async def generate(self, request: Call, services: Given, data: JSONBody[GenerateToken]) -> GeneratedToken:
        """For one or several roles that give no more than the caller has."""
        if data.role and data.roles:
            raise InvalidArgument("name either role or roles, not both")
        roles = [data.role] if data.role else data.roles
        name = checks.name(data.name, "the token's name")
        text, token = await services.auth.tokens.issue(request.user, name, roles, data.expiration)
        return GeneratedToken(text, _metadata(token))

    @get(
        "/generate/allowed-roles",
        opt=allow(Resource.ACCESS, Access.READ),
        summary="Which roles a token may get",
    )
    async def allowed(self, request: Call, services: Given) -> AllowedRoles:
        """Those that give no more than the caller has."""
        found = await services.auth.roles.everything()
        names = [
            role.name
            for role in found.roles.values()
            if role.name != NONE and not excess(request.user.roles, [resolved_in(found, role)])
        ]
        return AllowedRoles(sorted(names))

    @get(opt=_READ, summary="All tokens")
    async def all(self, services: Given, revoked: FromQuery[bool | None] = None) -> TokenList:
        """All of them, or only those that are revoked, or are not."""
        return TokenList([_metadata(token) for token in await services.auth.tokens.store.all(revoked)])

    @get("/{id:uuid}", opt=_READ, summary="A token")
    async def one(self, services: Given, id: FromPath[UUID]) -> TokenMetadata:  # noqa: A002
        """What is known of it."""
        token = await services.auth.tokens.store.get(id)
        if token is None:
            raise NotFound(f"there is no token {id}")
        return _metadata(token)

    @patch("/revoke/{id:uuid}", opt=_REVOKE, summary="Revoke a token")
    async def revoke(self, services: Given, id: FromPath[UUID]) -> Empty:  # noqa: A002
        """For good, and at once."""
        await services.auth.tokens.revoke(id)
        return Empty()


class SigningKeyController(Controller):
    """The keys that sign tokens. Not one of the original's paths."""

    path = "/v1/signingkeys"
    tags = ("API tokens",)

    @get(opt=_READ, summary="The keys that sign tokens")
    async def all(self, services: Given) -> SigningKeys:
        """The one that signs, and those whose tokens are still in force."""
        return SigningKeys(keys=await _keys(services))

    @post("/replace", opt=_REPLACE, status_code=200, summary="Sign tokens with a new key")
    async def replace(self, services: Given, data: JSONBody[ReplaceKey]) -> SigningKeys:
        """On every replica. The former key's private half is gone for good; its tokens stay in force as is asked."""
        grace = None if data.grace_hours is None else timedelta(hours=data.grace_hours)
        shortened = await services.auth.tokens.replace_key(grace)
        return SigningKeys(keys=await _keys(services), shortened=shortened)


async def _keys(services: Services) -> list[SigningKeyMetadata]:
    return [
        SigningKeyMetadata(
            id=key.id,
            created_at=key.created_at,
            signs=key.signs,
            tokens=key.tokens,
            last_expiration=key.last,
        )
        for key in await services.auth.tokens.store.key_facts()
    ]


def _metadata(token: Token) -> TokenMetadata:
    return TokenMetadata(
        id=str(token.id),
        name=token.name,
        roles=token.roles,
        issued_at=token.issued_at,
        expiration=token.expiration,
        revoked=token.revoked,
        role=token.roles[0] if len(token.roles) == 1 else "",
        issued_by=token.issued_by,
    )
