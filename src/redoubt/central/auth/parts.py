"""All that decides who may do what, put together, and its upkeep in the background."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from redoubt import tasks
from redoubt.central.auth.access import Roles
from redoubt.central.auth.audit import Audit
from redoubt.central.auth.authenticate import Authenticator
from redoubt.central.auth.passwords import Passwords
from redoubt.central.auth.secrets import Sealer
from redoubt.central.auth.tokens import Tokens
from redoubt.central.config import Settings
from redoubt.central.notices import Notices
from redoubt.central.store import Pool
from redoubt.central.store.access import AccessStore
from redoubt.central.store.accounts import AccountStore
from redoubt.central.store.audit import AuditStore
from redoubt.central.store.events import Event, EventStore, Level
from redoubt.central.store.sealed import SealedStore
from redoubt.central.store.tokens import TokenStore

_EVERY = 3600.0

_log = structlog.get_logger("auth")


def sealer(settings: Settings) -> Sealer:
    """The keys that seal secrets, from where the settings say; made at the first start."""
    return Sealer.create_or_open(settings.secrets_key_file or settings.data / "keys" / Path("secrets.keys"))


@dataclass(kw_only=True)
class Auth:
    """A part of Central. ``prepare`` first, then ``start``."""

    authenticator: Authenticator
    roles: Roles
    passwords: Passwords
    tokens: Tokens
    audit: Audit
    events: EventStore
    accounts: AccountStore
    sealer: Sealer
    sealed: SealedStore
    notices: Notices
    audit_days: int
    _task: tasks.Background = field(default_factory=tasks.Background)

    @classmethod
    def create(cls, settings: Settings, pool: Pool, sealer: Sealer, notices: Notices) -> Auth:
        """Put together; nothing is read or written yet."""
        roles = Roles(AccessStore(pool), notices)
        accounts = AccountStore(pool)
        passwords = Passwords(accounts, roles, notices, disabled=settings.admin_password_disabled)
        tokens = Tokens(TokenStore(pool), roles, notices, sealer)
        return cls(
            authenticator=Authenticator(passwords, tokens),
            roles=roles,
            passwords=passwords,
            tokens=tokens,
            audit=Audit(AuditStore(pool)),
            events=EventStore(pool),
            accounts=accounts,
            sealer=sealer,
            sealed=SealedStore(pool),
            notices=notices,
            audit_days=settings.audit_days,
        )

    async def prepare(self) -> None:
        """At start, on a migrated database: the keys. The administrator's account is ``passwords.prepare``'s."""
        await self.tokens.prepare()

    async def renew_secrets(self, *, new_key: bool) -> int:
        """Seal all secrets anew with the key that is first in the file; with ``new_key``, put one there before.

        How many there were. The key of before stays in the file until the next time, for what is under way. Raises
        ``AccessDenied`` where the file cannot be written, and ``UnreadableInput`` where a secret is damaged.
        """

        def anew(sealed: bytes, place: str) -> bytes | None:
            opened = self.sealer.open(sealed, place)
            made = self.sealer.seal(opened, place)
            return None if self.sealer.current(sealed) else made

        if new_key:
            await self.sealed.renew(anew)  # with what is first now, since older keys go
            await asyncio.to_thread(self.sealer.rotate)
        return await self.sealed.renew(anew)

    async def start(self) -> None:
        """Begin the hourly upkeep."""
        self._task.begin(
            tasks.over_and_over(
                self.upkeep, partial(_log.warning, "upkeep failed"), every=_EVERY, spread=0.3
            ),
            "auth upkeep",
        )

    async def stop(self) -> None:
        """End it."""
        await self._task.end()

    async def upkeep(self) -> None:
        """Drop what is over, and tell of tokens that end soon."""
        for token in await self.tokens.store.ending():
            await self.events.add(
                Event(
                    level=Level.WARNING,
                    domain="Authentication",
                    message=f"the API token {token.name!r} ends at {token.expiration:%Y-%m-%d %H:%M} UTC",
                    hint="issue another one and put it where this one is used",
                    resource_type="API Token",
                    resource_id=str(token.id),
                    resource_name=token.name,
                )
            )
        await self.tokens.store.forget_expired()
        await self.tokens.store.forget_keys()
        await self.accounts.forget_unfamiliar()
        await self.audit.store.forget(self.audit_days)
