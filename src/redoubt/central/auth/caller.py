"""Who calls: nobody, a person, a token or one of our services, and what they may do."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from redoubt.central.auth.roles import Access, Resolved, Resource, combined
from redoubt.wire.identity import Service


class Kind(StrEnum):
    """How a caller is known."""

    ANONYMOUS = "anonymous"
    USER = "user"
    TOKEN = "token"  # noqa: S105 (a kind's name)
    SERVICE = "service"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """One who calls. ``id`` is stable and unique among a kind; ``expires`` is None where it never does."""

    kind: Kind = Kind.ANONYMOUS
    id: str = ""
    name: str = ""
    roles: list[Resolved] = []
    expires: datetime | None = None
    #: The kind of service of a client certificate, also where a person or token is known besides.
    service: Service | None = None
    source: str = ""

    @property
    def authenticated(self) -> bool:
        """A person, a token or a service."""
        return self.kind is not Kind.ANONYMOUS

    @property
    def label(self) -> str:
        """For logs: ``user:admin``, ``token:ci (4f…)``, ``SENSOR_SERVICE:<cluster>``, ``anonymous``."""
        if self.kind is Kind.SERVICE and self.service is not None:
            return f"{self.service}:{self.id}"
        if self.kind is Kind.TOKEN:
            return f"token:{self.name} ({self.id})"
        return f"{self.kind}:{self.id}" if self.authenticated else "anonymous"

    def may(self, resource: Resource, access: Access, *, everywhere: bool = False) -> bool:
        """Whether a role gives that access; ``everywhere``: in all clusters and namespaces."""
        names = (resource, resource.also) if resource.also else (resource,)
        return any(role.gives(name, everywhere=everywhere) >= access for role in self.roles for name in names)

    @property
    def permissions(self) -> dict[Resource, Access]:
        """The most that the roles give, by resource, wherever they hold."""
        return combined(self.roles)


ANONYMOUS = Caller()
