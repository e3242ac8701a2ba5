"""Who the caller is, how one can log in, and the administrator's password."""

from __future__ import annotations

from datetime import datetime

import msgspec
from litestar import Controller, get, put
from litestar.params import FromPath, JSONBody

from redoubt.central.api.authorize import PATH
from redoubt.central.api.given import Call, Empty, Given
from redoubt.central.auth.caller import Caller, Kind
from redoubt.central.auth.declare import allow, anonymous, authenticated
from redoubt.central.auth.roles import Access, AccessWord, Resolved, Resource
from redoubt.central.refusals import NotFound, PermissionDenied

#: The original's.
BASIC_ID = "4df1b98c-24ed-4073-a9ad-356aec6bb62d"
BASIC_NAME = "Login with username/password"

_READ = allow(Resource.ACCESS, Access.READ)


class RolePermissions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A role, or all of them together, and what it gives."""

    name: str = ""
    resource_to_access: dict[str, AccessWord] = {}


class UserInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A person or a token."""

    username: str
    friendly_name: str
    permissions: RolePermissions
    roles: list[RolePermissions]


class ServiceInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A service with a certificate of ours."""

    id: str
    type: str


class AuthProvider(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A way to log in."""

    id: str
    name: str
    type: str
    enabled: bool = True
    active: bool = True
    login_url: str = ""
    config: dict[str, str] = {}


class AuthStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who calls. One of ``userId`` and ``serviceId`` is there."""

    user_id: str | None = None
    service_id: ServiceInfo | None = None
    expires: datetime | None = None
    refresh_url: str = ""
    auth_provider: AuthProvider | None = None
    user_info: UserInfo | None = None
    user_attributes: list[dict[str, str]] = []


class AuthProviderList(msgspec.Struct, frozen=True, rename="camel"):
    """Ways to log in."""

    auth_providers: list[AuthProvider]


class LoginProvider(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a login page has to know."""

    id: str
    name: str
    type: str
    login_url: str = ""


#: A name of ours: the page for roxctl. The original's roxctl opens a browser only where there is a way that is not "basic".
_PAGE = LoginProvider(
    id="b4b1a6c8-5b0f-4a53-9d0e-3d5a1c5a7e21", name="Central's page for roxctl", type="page", login_url=PATH
)


class LoginProviderList(msgspec.Struct, frozen=True, rename="camel"):
    """Ways to log in, for whoever is not logged in."""

    auth_providers: list[LoginProvider]


class ProviderType(msgspec.Struct, frozen=True, rename="camel"):
    """A kind of provider that can be set up."""

    type: str
    suggested_attributes: list[str] = []


class ProviderTypeList(msgspec.Struct, frozen=True, rename="camel"):
    """Kinds of providers that can be set up: none yet."""

    auth_provider_types: list[ProviderType]


class ChangePassword(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The password as it is and as it shall be."""

    current_password: str
    new_password: str


class AuthController(Controller):
    """Who calls, and how."""

    path = "/v1"
    tags = ("Authentication",)

    @get("/auth/status", opt=authenticated(), summary="Who the caller is")
    async def status(self, request: Call, services: Given) -> AuthStatus:
        """401 where nobody is known."""
        return _status(request.user, _basic(services))

    @put("/auth/password", opt=authenticated(), summary="Change one's password")
    async def password(self, request: Call, services: Given, data: JSONBody[ChangePassword]) -> Empty:
        """By its owner, who shows the current one again; a token cannot."""
        if request.user.kind is not Kind.USER:
            raise PermissionDenied("only who logged in with a password can change it")
        source = str(request.scope["state"].get("source", ""))
        await services.auth.passwords.change(
            request.user.id, data.current_password, data.new_password, source
        )
        return Empty()

    @get("/login/authproviders", opt=anonymous(), summary="How one can log in")
    async def login(self, services: Given) -> LoginProviderList:
        """For a login page."""
        if (found := _basic(services)) is None:
            return LoginProviderList([])
        return LoginProviderList([LoginProvider(id=found.id, name=found.name, type=found.type), _PAGE])

    @get("/authProviders", opt=_READ, summary="All ways to log in")
    async def providers(self, services: Given) -> AuthProviderList:
        """The password, unless it is disabled. Others cannot be set up yet."""
        found = _basic(services)
        return AuthProviderList([] if found is None else [found])

    @get("/authProviders/{id:str}", opt=_READ, summary="A way to log in")
    async def provider(self, services: Given, id: FromPath[str]) -> AuthProvider:  # noqa: A002
        """By its identifier."""
        found = _basic(services)
        if found is None or found.id != id:
            raise NotFound("there is no such auth provider")
        return found

    @get("/availableAuthProviders", opt=_READ, summary="What could be set up")
    async def available(self) -> ProviderTypeList:
        """Nothing yet."""
        return ProviderTypeList([])


def _basic(services: Given) -> AuthProvider | None:
    if services.settings.admin_password_disabled:
        return None
    return AuthProvider(id=BASIC_ID, name=BASIC_NAME, type="basic")


def _status(caller: Caller, basic: AuthProvider | None) -> AuthStatus:
    if caller.kind is Kind.SERVICE and caller.service is not None:
        return AuthStatus(service_id=ServiceInfo(id=caller.id, type=caller.service.value))
    permissions = RolePermissions(
        resource_to_access={resource.value: access.word for resource, access in caller.permissions.items()}
    )
    token = caller.kind is Kind.TOKEN
    return AuthStatus(
        user_id=f"auth-token:{caller.id}" if token else caller.id,
        expires=caller.expires,
        auth_provider=None if token else basic,
        user_info=UserInfo(
            username="" if token else caller.name,
            friendly_name=caller.name,
            permissions=permissions,
            roles=[_role(role) for role in caller.roles],
        ),
    )


def _role(role: Resolved) -> RolePermissions:
    return RolePermissions(
        name=role.role.name,
        resource_to_access={resource.value: access.word for resource, access in role.permissions.items()},
    )
