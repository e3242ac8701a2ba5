"""API tokens: JWTs (RFC 7519) that Central signs with Ed25519, each for some roles and until some moment.

The signature says that a token is ours, the database whether it is in force: what it may do and whether it was revoked is
never taken from the token. A token that the database does not know is no token.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from redoubt.central.auth.access import Roles, no_more_than
from redoubt.central.auth.caller import Caller, Kind
from redoubt.central.auth.secrets import Sealer
from redoubt.central.notices import Notices, Remembered
from redoubt.central.refusals import Aborted, InvalidArgument, NotFound, Unauthenticated, Unavailable
from redoubt.central.store.sealed import context
from redoubt.central.store.tokens import KEYS_TOPIC, TOPIC, SigningKey, Token, TokenStore

ISSUER = "redoubt-central"
AUDIENCE = "redoubt"
DEFAULT_DAYS = 365
LONGEST_NAME = 200
MOST_ROLES = 50
LONGEST_GRACE = timedelta(days=3650)

_MOST = 10_000
_ALGORITHM = "EdDSA"
_REFUSED = "the token is not accepted"


class Tokens:
    """Issues, checks, lists and revokes."""

    def __init__(self, store: TokenStore, roles: Roles, notices: Notices, sealer: Sealer) -> None:
        self.store = store
        self._roles = roles
        self._sealer = sealer
        self._known: Remembered[UUID, Token | None] = Remembered(notices, TOPIC)
        self._keys: Remembered[str, _Keys] = Remembered(notices, KEYS_TOPIC)
        #: Tokens (their SHA-256) whose signature was right, so that it is not computed on every call.
        self._right: dict[bytes, UUID] = {}
        notices.on(KEYS_TOPIC, lambda _: self._right.clear())

    async def prepare(self) -> None:
        """At start: have a key that signs. Raises ``UnreadableInput`` where it was sealed with other keys."""
        await self.store.first_key(self._make)
        await self._load()

    async def replace_key(self, grace: timedelta | None) -> int:
        """Sign with a new key from now on, on every replica; the former one's private half is gone for good.

        Tokens that it signed stay in force until they end, or with ``grace`` for that long at most; how many end
        earlier for that.
        """
        if grace is not None and not timedelta() <= grace <= LONGEST_GRACE:
            raise InvalidArgument(f"a grace is of 0 to {LONGEST_GRACE.days} days")
        ended = await self.store.replace_key(self._make(), grace)
        self._keys.forget()
        self._known.forget()
        self._right.clear()
        return ended

    async def issue(
        self, caller: Caller, name: str, roles: list[str], expiration: datetime | None
    ) -> tuple[str, Token]:
        """A token for ``roles``, which may give no more than the caller has. It is not kept."""
        now = datetime.now(UTC).replace(microsecond=0)
        ends = expiration or now + timedelta(days=DEFAULT_DAYS)
        if not name.strip() or len(name) > LONGEST_NAME:
            raise InvalidArgument(f"a token needs a name, of at most {LONGEST_NAME} characters")
        if not roles or len(roles) > MOST_ROLES:
            raise InvalidArgument(f"a token needs roles, at most {MOST_ROLES}")
        if ends.tzinfo is None:
            raise InvalidArgument("expiration: the time zone is missing")
        if ends <= now:
            raise InvalidArgument("expiration: lies in the past")
        wanted = await self._roles.resolved(dict.fromkeys(roles))
        missing = set(roles) - {found.role.name for found in wanted}
        if missing:
            raise InvalidArgument(f"there are no such roles: {', '.join(sorted(missing))}")
        no_more_than(caller, wanted)
        token = Token(
            id=uuid4(),
            name=name,
            roles=[found.role.name for found in wanted],
            issued_by=caller.label,
            issued_at=now,
            expiration=ends,
            revoked=False,
        )
        # Another replica may replace the key meanwhile.
        for _ in range(10):
            identifier, key = (await self._current()).signing
            text = _signed(token, identifier, key)
            if await self.store.add(token, identifier):
                return text, token
            self._keys.forget()
        raise Aborted("the key that signs tokens is being replaced; try again")

    async def check(self, token: str) -> Caller:
        """Who holds it. Raises ``Unauthenticated``."""
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        identifier = self._right.get(digest)
        if identifier is None:
            identifier = await self._verified(token)
            if len(self._right) >= _MOST:
                self._right.clear()
            self._right[digest] = identifier
        known = await self._known.get(identifier, lambda: self.store.get(identifier))
        if known is None or known.revoked:
            raise Unauthenticated("the token was revoked" if known else _REFUSED)
        if known.expiration <= datetime.now(UTC):
            raise Unauthenticated("the token has expired")
        return Caller(
            kind=Kind.TOKEN,
            id=str(known.id),
            name=known.name,
            roles=await self._roles.resolved(known.roles),
            expires=known.expiration,
        )

    async def revoke(self, identifier: UUID) -> None:
        """Revoke one for good; when this returns, this replica refuses it. Raises ``NotFound``."""
        if not await self.store.revoke(identifier):
            raise NotFound(f"there is no token {identifier}")
        self._known.forget()

    async def _verified(self, token: str) -> UUID:
        """The identifier of a token that we have signed and that has not ended."""
        try:
            named = jwt.get_unverified_header(token).get("kid")
            key = (await self._current()).public.get(named) if isinstance(named, str) else None
            if key is None and isinstance(named, str) and len(named) == 32:
                # Another replica may have a newer key. Strangers who name keys cost a small question each.
                self._keys.forget()
                key = (await self._current()).public.get(named)
            if key is None:
                raise Unauthenticated(_REFUSED)
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                # Of a clock that is behind, a new token seems to be from the future; it is in the database all the same.
                options={"require": ["exp", "iat", "iss", "aud", "jti"], "verify_iat": False},
            )
            return UUID(str(claims["jti"]))
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("the token has expired") from None
        except (jwt.PyJWTError, ValueError, RecursionError, OverflowError):
            raise Unauthenticated(_REFUSED) from None

    def _make(self) -> SigningKey:
        identifier = uuid4().hex
        key = Ed25519PrivateKey.generate()
        return SigningKey(
            id=identifier,
            public=key.public_key().public_bytes_raw(),
            sealed=self._sealer.seal(key.private_bytes_raw(), _context(identifier)),
        )

    async def _current(self) -> _Keys:
        return await self._keys.get("", self._load)

    async def _load(self) -> _Keys:
        keys = await self.store.keys()
        if not keys or keys[0].sealed is None:
            raise Unavailable("there is no key that signs tokens; start this Central anew")
        private = self._sealer.open(keys[0].sealed, _context(keys[0].id))
        return _Keys(
            {key.id: Ed25519PublicKey.from_public_bytes(key.public) for key in keys},
            (keys[0].id, Ed25519PrivateKey.from_private_bytes(private)),
        )


@dataclass(frozen=True)
class _Keys:
    """Public keys by identifier, and the one that signs."""

    public: dict[str, Ed25519PublicKey]
    signing: tuple[str, Ed25519PrivateKey]


def _signed(token: Token, identifier: str, key: Ed25519PrivateKey) -> str:
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "jti": str(token.id),
        "iat": int(token.issued_at.timestamp()),
        "exp": int(token.expiration.timestamp()),
        "name": token.name,
        "roles": token.roles,
    }
    return jwt.encode(claims, key, algorithm=_ALGORITHM, headers={"kid": identifier})


def _context(identifier: str) -> str:
    return context("signing_keys", "sealed", identifier)
