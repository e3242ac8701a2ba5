"""Who may call a route. Every route says so in its ``opt``, or the application is not made.

``opt=allow((Resource.ACCESS, Access.READ), …)`` asks for all of the permissions, ``opt=anonymous()`` for nothing,
``opt=authenticated()`` for anybody who is known, ``opt=services(Service.SENSOR)`` for a client certificate of one of
these kinds. Declarations are combined with ``|``: one that holds is enough.

What can be scoped to clusters or namespaces (images, say) is refused to roles that hold in some of them only, unless
the route says ``scoped=True``: that its handler leaves out what the caller may not see.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, overload

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from redoubt.central.auth.caller import Caller
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.refusals import PermissionDenied, Unauthenticated
from redoubt.wire.identity import Service

KEY = "access"


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One way to be let in: all that is named has to hold."""

    permissions: tuple[tuple[Resource, Access], ...] = ()
    services: frozenset[Service] = frozenset()
    known: bool = True
    scoped: bool = False

    def holds(self, caller: Caller) -> bool:
        """Whether it lets the caller in."""
        if self.services:
            return caller.service in self.services
        if self.known and not caller.authenticated:
            return False
        return all(
            caller.may(resource, access, everywhere=not self.scoped) for resource, access in self.permissions
        )

    def __str__(self) -> str:
        if self.services:
            return "a certificate of " + " or ".join(sorted(self.services))
        if self.permissions:
            return " and ".join(f"{access.word.value} on {resource}" for resource, access in self.permissions)
        return "a known caller" if self.known else "nothing"


class Declaration(dict[str, object]):
    """What a route's ``opt`` holds: under ``access`` the conditions of which one has to hold."""

    def __init__(self, conditions: Iterable[Condition]) -> None:
        super().__init__({KEY: tuple(conditions)})

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return conditions_of(self)

    def __or__(self, other: object) -> Declaration:  # type: ignore[override]  # dict's own merges keys
        if not isinstance(other, Declaration):
            return NotImplemented
        return Declaration(self.conditions + other.conditions)


@overload
def allow(resource: Resource, access: Access, /, *, scoped: bool = False) -> Declaration: ...
@overload
def allow(*permissions: tuple[Resource, Access], scoped: bool = False) -> Declaration: ...
def allow(*permissions: object, scoped: bool = False) -> Declaration:
    """Whoever has all of these permissions: ``allow(resource, access)`` or ``allow((resource, access), …)``."""
    if len(permissions) == 2 and isinstance(permissions[0], Resource):
        permissions = (permissions,)
    pairs = tuple(msgspec.convert(pair, tuple[Resource, Access]) for pair in permissions)
    if not pairs:
        raise ValueError("allow() names no permission; say authenticated() where being known is enough")
    return Declaration([Condition(permissions=pairs, scoped=scoped)])


def anonymous() -> Declaration:
    """Everybody."""
    return Declaration([Condition(known=False)])


def authenticated() -> Declaration:
    """Everybody who is known: a person, a token or a service."""
    return Declaration([Condition()])


def services(*kinds: Service) -> Declaration:
    """Services whose certificate is of one of these kinds."""
    if not kinds:
        raise ValueError("services() names no kind")
    return Declaration([Condition(services=frozenset(kinds))])


def conditions_of(opt: object) -> tuple[Condition, ...]:
    """The conditions in a route's ``opt``; empty where there are none."""
    found = opt.get(KEY) if isinstance(opt, dict) else None
    if isinstance(found, tuple) and all(isinstance(one, Condition) for one in found):
        return found
    return ()


def check(caller: Caller, conditions: Iterable[Condition]) -> None:
    """Raises ``Unauthenticated`` or ``PermissionDenied`` unless one of the conditions lets the caller in."""
    several = tuple(conditions)
    if any(condition.holds(caller) for condition in several):
        return
    if not caller.authenticated:
        raise Unauthenticated("credentials are needed: an API token, or a user name and password")
    needed = ", or ".join(str(condition) for condition in several) or "that somebody may call it"
    raise PermissionDenied(f"{caller.label} may not do this; it takes {needed}")


async def guard(
    connection: ASGIConnection[BaseRouteHandler, Caller, Any, Any], handler: BaseRouteHandler
) -> None:
    """Litestar's guard of every route."""
    check(connection.user, conditions_of(handler.opt))
