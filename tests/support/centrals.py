"""Applications of Central for tests, without a database or with one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from litestar import Litestar
from litestar.types import ControllerRouterHandler

from redoubt.central import app
from redoubt.central.auth.authenticate import Authenticator
from redoubt.central.auth.caller import Caller, Kind
from redoubt.central.auth.roles import Resolved, default
from redoubt.central.config import Settings
from redoubt.central.refusals import Unauthenticated
from redoubt.central.services import Services
from redoubt.central.store import Pool


class NamedRoles:
    """Takes the names of default roles, separated by commas, for a token."""

    async def check(self, token: str) -> Caller:
        try:
            return caller(*token.split(","))
        except KeyError:
            raise Unauthenticated("no such role") from None


def caller(*names: str, roles: Sequence[Resolved] = ()) -> Caller:
    """A caller with default roles."""
    held = [default(name) for name in names] + list(roles)
    return Caller(kind=Kind.TOKEN, id="test", name="test", roles=held)


def without_database(
    routes: Sequence[ControllerRouterHandler] | None = None, settings: Settings | None = None
) -> Litestar:
    """An application whose pool is none: for what must not touch it. Tokens are names of roles."""
    services = Services(
        settings=settings or Settings(), pool=cast(Pool, None), auth=Authenticator(tokens=NamedRoles())
    )
    return app.create(services, routes)


def bearer(*names: str) -> dict[str, str]:
    """The header of ``NamedRoles``."""
    return {"Authorization": f"Bearer {','.join(names)}"}
