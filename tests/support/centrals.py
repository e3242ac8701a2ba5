"""Applications of Central for tests, without a database or with one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, cast

import httpx
from litestar import Litestar
from litestar.types import ControllerRouterHandler

from redoubt.central import app
from redoubt.central.auth.audit import Audit
from redoubt.central.auth.authenticate import Authenticator
from redoubt.central.auth.caller import Caller, Kind
from redoubt.central.auth.parts import Auth, sealer
from redoubt.central.auth.roles import Resolved, default
from redoubt.central.auth.secrets import Sealer
from redoubt.central.config import Settings
from redoubt.central.notices import Notices
from redoubt.central.probes.shelf import Probes
from redoubt.central.refusals import Unauthenticated
from redoubt.central.services import Services
from redoubt.central.store import Pool
from redoubt.central.store.audit import AuditStore, Entry
from redoubt.central.store.probes import ProbeStore
from redoubt.postgres import pool


class NamedRoles:
    """Takes the names of default roles, separated by commas, for a token."""

    async def check(self, token: str) -> Caller:
        try:
            return caller(*token.split(","))
        except KeyError:
            raise Unauthenticated("no such role") from None


class Nothing:
    """An audit log that keeps nothing."""

    async def add(self, entry: Entry) -> None: ...


def caller(*names: str, roles: Sequence[Resolved] = ()) -> Caller:
    """A caller with default roles."""
    held = [default(name) for name in names] + list(roles)
    return Caller(kind=Kind.TOKEN, id="test", name="test", roles=held)


def without_database(
    routes: Sequence[ControllerRouterHandler] | None = None, settings: Settings | None = None
) -> Litestar:
    """An application whose pool is none: for what must not touch it. Tokens are names of roles."""
    return app.create(services_without_database(settings), routes)


def services_without_database(settings: Settings | None = None) -> Services:
    """What ``without_database`` is made of."""
    settings = settings or Settings()
    none = cast(Pool, None)
    auth = Auth.create(settings, none, cast(Sealer, None), Notices(none))
    auth.authenticator = Authenticator(tokens=NamedRoles())
    auth.audit = Audit(cast(AuditStore, Nothing()))
    return Services(settings=settings, pool=none, auth=auth)


def bearer(*names: str) -> dict[str, str]:
    """The header of ``NamedRoles``."""
    return {"Authorization": f"Bearer {','.join(names)}"}


PASSWORD = "correct horse battery"  # of the administrator in tests


class Central:
    """A Central on a migrated database, in a running loop: what ``redoubt central`` does, without a listener."""

    def __init__(self, url: str, folder: Path, **settings: Any) -> None:
        self.settings = Settings(**{"data": folder, "admin_password": PASSWORD, **settings})
        self._url = url
        self.printed = ""

    async def __aenter__(self) -> Self:
        self.pool = await pool.connect(self._url, maximum=6)
        self.notices = Notices(self.pool)
        self.auth = Auth.create(self.settings, self.pool, sealer(self.settings), self.notices)
        await self.auth.prepare()
        self.printed, warnings = await self.auth.passwords.prepare(self.settings)
        self.probes = Probes(
            self.settings.data,
            ProbeStore(self.pool),
            reserve=0,
            in_database=self.settings.definitions_store == "database",
        )
        self.services = Services(
            settings=self.settings,
            pool=self.pool,
            auth=self.auth,
            probes=self.probes,
            parts=[self.notices, self.probes],
            warnings=warnings,
        )
        await self.equip(self.services)
        self.app = app.create(self.services)
        await self.services.start()
        for _ in range(6000):
            if self.notices.alive:
                break
            await asyncio.sleep(0.01)
        self.http = self.client()
        return self

    async def equip(self, services: Services) -> None:
        """More parts, in subclasses: before the application is made."""

    def client(self, source: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
        """A client that calls from ``source``."""
        transport = httpx.ASGITransport(
            cast(Any, self.app), client=(source, 1234), raise_app_exceptions=False
        )
        return httpx.AsyncClient(transport=transport, base_url="https://central.test", headers=headers)

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
        await self.services.stop()
        await self.pool.close()

    async def token(self, *roles: str, **body: Any) -> str:
        """A token that the administrator makes."""
        sent = {"name": "test", "roles": list(roles), **body}
        answer = await self.http.post("/v1/apitokens/generate", json=sent, auth=("admin", PASSWORD))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])


def authorized(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}
