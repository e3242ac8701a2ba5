"""``/v1/roles``, ``/v1/permissionsets``, ``/v1/simpleaccessscopes``, ``/v1/mypermissions``, ``/v1/resources``.

Unlike the original, nobody can give himself more than he has by changing a role, a set or a scope: a change that would
make some role more than its author has is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import msgspec
from litestar import Controller, delete, get, post, put
from litestar.params import FromPath, JSONBody

from redoubt.central.api import checks
from redoubt.central.api.given import Call, Empty, Given
from redoubt.central.auth.access import no_more_than, resolved_in
from redoubt.central.auth.caller import Caller
from redoubt.central.auth.declare import allow, authenticated
from redoubt.central.auth.roles import (
    UNRESTRICTED,
    Access,
    AccessScope,
    AccessWord,
    PermissionSet,
    Resource,
    Role,
    ScopeRules,
)
from redoubt.central.refusals import InvalidArgument, NotFound
from redoubt.central.store.access import Check, Everything

_READ = allow(Resource.ACCESS, Access.READ)
_WRITE = allow(Resource.ACCESS, Access.READ_WRITE)


class RoleList(msgspec.Struct, frozen=True, rename="camel"):
    """All roles, by name."""

    roles: list[Role]


class Permissions(msgspec.Struct, frozen=True, rename="camel"):
    """What the caller may do."""

    resource_to_access: dict[str, AccessWord]


class ResourceList(msgspec.Struct, frozen=True, rename="camel"):
    """The resources that permissions are about."""

    resources: list[str]


class PermissionSetList(msgspec.Struct, frozen=True, rename="camel"):
    """All permission sets, by name."""

    permission_sets: list[PermissionSet]


class AccessScopeList(msgspec.Struct, frozen=True, rename="camel"):
    """All access scopes, by name."""

    access_scopes: list[AccessScope]


class RoleController(Controller):
    """Roles; who asks what he may do himself needs no permission."""

    path = "/v1"
    tags = ("Roles",)

    @get("/roles", opt=_READ, summary="All roles")
    async def roles(self, services: Given) -> RoleList:
        """Those that come with Central and those that were made."""
        found = await services.auth.roles.everything()
        return RoleList(sorted(found.roles.values(), key=lambda role: role.name))

    @get("/roles/{name:str}", opt=_READ, summary="A role")
    async def role(self, services: Given, name: FromPath[str]) -> Role:
        """By its name."""
        found = await services.auth.roles.everything()
        if name not in found.roles:
            raise NotFound(f"there is no role {name!r}")
        return found.roles[name]

    @post("/roles/{name:str}", opt=_WRITE, status_code=200, summary="Make a role")
    async def make(self, request: Call, services: Given, name: FromPath[str], data: JSONBody[Role]) -> Empty:
        """Of a permission set and an access scope that are there; it may give no more than its maker has."""
        return await self._save(request.user, services, name, data, new=True)

    @put("/roles/{name:str}", opt=_WRITE, summary="Change a role")
    async def change(
        self, request: Call, services: Given, name: FromPath[str], data: JSONBody[Role]
    ) -> Empty:
        """Its description, permission set and access scope."""
        return await self._save(request.user, services, name, data, new=False)

    @delete("/roles/{name:str}", opt=_WRITE, status_code=200, summary="Delete a role")
    async def remove(self, services: Given, name: FromPath[str]) -> Empty:
        """Tokens that have it lose what it gave."""
        await services.auth.roles.store.delete_role(checks.name(name))
        services.auth.roles.changed()
        return Empty()

    @get("/mypermissions", opt=authenticated(), summary="What the caller may do")
    async def mine(self, request: Call) -> Permissions:
        """Every resource, with the most that one of the caller's roles gives."""
        return Permissions(
            {resource.value: access.word for resource, access in request.user.permissions.items()}
        )

    @get("/resources", opt=authenticated(), summary="What permissions are about")
    async def resources(self) -> ResourceList:
        """The names of all resources."""
        return ResourceList([resource.value for resource in Resource])

    async def _save(self, caller: Caller, services: Given, name: str, data: Role, *, new: bool) -> Empty:
        checks.same(name, data.name, "the role's name")
        if "/" in name:
            raise InvalidArgument("the role's name has no slash")
        role = Role(
            name=checks.name(name, "the role's name"),
            description=checks.text(data.description, "the description"),
            permission_set_id=checks.identifier(data.permission_set_id, "permissionSetId"),
            access_scope_id=checks.identifier(data.access_scope_id, "accessScopeId"),
        )
        check = _within(caller, lambda after: [after.roles[role.name]])
        await services.auth.roles.store.save_role(role, new=new, check=check)
        services.auth.roles.changed()
        return Empty()


class PermissionSetController(Controller):
    """Permission sets."""

    path = "/v1/permissionsets"
    tags = ("Roles",)

    @get(opt=_READ, summary="All permission sets")
    async def all(self, services: Given) -> PermissionSetList:
        """Those that come with Central and those that were made."""
        found = await services.auth.roles.everything()
        return PermissionSetList(sorted(found.permission_sets.values(), key=lambda one: one.name))

    @get("/{id:uuid}", opt=_READ, summary="A permission set")
    async def one(self, services: Given, id: FromPath[UUID]) -> PermissionSet:  # noqa: A002
        """By its identifier."""
        found = (await services.auth.roles.everything()).permission_sets.get(str(id))
        if found is None:
            raise NotFound(f"there is no permission set {id}")
        return found

    @post(opt=_WRITE, status_code=200, summary="Make a permission set")
    async def make(self, request: Call, services: Given, data: JSONBody[PermissionSet]) -> PermissionSet:
        """The identifier is chosen here, unless the body has one."""
        made = _permission_set(checks.identifier_or_new(data.id), data)
        await services.auth.roles.store.save_permission_set(
            made, new=True, check=_with_set(request.user, made.id)
        )
        services.auth.roles.changed()
        return made

    @put("/{id:uuid}", opt=_WRITE, summary="Change a permission set")
    async def change(
        self,
        request: Call,
        services: Given,
        id: FromPath[UUID],  # noqa: A002
        data: JSONBody[PermissionSet],
    ) -> Empty:
        """Roles that refer to it change with it."""
        checks.same(id, data.id)
        changed = _permission_set(str(id), data)
        await services.auth.roles.store.save_permission_set(
            changed, new=False, check=_with_set(request.user, changed.id)
        )
        services.auth.roles.changed()
        return Empty()

    @delete("/{id:uuid}", opt=_WRITE, status_code=200, summary="Delete a permission set")
    async def remove(self, services: Given, id: FromPath[UUID]) -> Empty:  # noqa: A002
        """Refused while a role refers to it."""
        await services.auth.roles.store.delete_permission_set(str(id))
        services.auth.roles.changed()
        return Empty()


class AccessScopeController(Controller):
    """Access scopes."""

    path = "/v1/simpleaccessscopes"
    tags = ("Roles",)

    @get(opt=_READ, summary="All access scopes")
    async def all(self, services: Given) -> AccessScopeList:
        """Those that come with Central and those that were made."""
        found = await services.auth.roles.everything()
        return AccessScopeList(sorted(found.scopes.values(), key=lambda one: one.name))

    @get("/{id:uuid}", opt=_READ, summary="An access scope")
    async def one(self, services: Given, id: FromPath[UUID]) -> AccessScope:  # noqa: A002
        """By its identifier."""
        found = (await services.auth.roles.everything()).scopes.get(str(id))
        if found is None:
            raise NotFound(f"there is no access scope {id}")
        return found

    @post(opt=_WRITE, status_code=200, summary="Make an access scope")
    async def make(self, request: Call, services: Given, data: JSONBody[AccessScope]) -> AccessScope:
        """The identifier is chosen here, unless the body has one."""
        made = _scope(checks.identifier_or_new(data.id), data)
        await services.auth.roles.store.save_scope(made, new=True, check=_with_scope(request.user, made.id))
        services.auth.roles.changed()
        return made

    @put("/{id:uuid}", opt=_WRITE, summary="Change an access scope")
    async def change(
        self,
        request: Call,
        services: Given,
        id: FromPath[UUID],  # noqa: A002
        data: JSONBody[AccessScope],
    ) -> Empty:
        """Roles that refer to it change with it."""
        checks.same(id, data.id)
        changed = _scope(str(id), data)
        await services.auth.roles.store.save_scope(
            changed, new=False, check=_with_scope(request.user, changed.id)
        )
        services.auth.roles.changed()
        return Empty()

    @delete("/{id:uuid}", opt=_WRITE, status_code=200, summary="Delete an access scope")
    async def remove(self, services: Given, id: FromPath[UUID]) -> Empty:  # noqa: A002
        """Refused while a role refers to it."""
        await services.auth.roles.store.delete_scope(str(id))
        services.auth.roles.changed()
        return Empty()


def _within(caller: Caller, touched: Callable[[Everything], list[Role]]) -> Check:
    """A check that none of the roles which a change touches gives more than the caller has."""

    def check(after: Everything) -> None:
        no_more_than(caller, [resolved_in(after, role) for role in touched(after)])

    return check


def _with_set(caller: Caller, identifier: str) -> Check:
    return _within(
        caller, lambda after: [role for role in after.roles.values() if role.permission_set_id == identifier]
    )


def _with_scope(caller: Caller, identifier: str) -> Check:
    """What a scope lets in can be anything, so its roles count as if they held everywhere."""

    def everywhere(after: Everything) -> list[Role]:
        touched = [role for role in after.roles.values() if role.access_scope_id == identifier]
        return [msgspec.structs.replace(role, access_scope_id=UNRESTRICTED) for role in touched]

    return _within(caller, everywhere)


def _permission_set(identifier: str, data: PermissionSet) -> PermissionSet:
    known = {resource.value for resource in Resource}
    unknown = sorted(set(data.resource_to_access) - known)
    if unknown:
        raise InvalidArgument(f"there is no resource {unknown[0]!r}"[:300])
    return PermissionSet(
        id=identifier,
        name=checks.name(data.name),
        description=checks.text(data.description, "the description"),
        resource_to_access=data.resource_to_access,
    )


def _scope(identifier: str, data: AccessScope) -> AccessScope:
    rules = data.rules or ScopeRules()
    for selector in (*rules.cluster_label_selectors, *rules.namespace_label_selectors):
        for requirement in selector.requirements:
            if requirement.op not in ("IN", "NOT_IN", "EXISTS", "NOT_EXISTS"):
                raise InvalidArgument(
                    f"a selector's operator is IN, NOT_IN, EXISTS or NOT_EXISTS, not {requirement.op!r}"
                )
            if (requirement.op in ("IN", "NOT_IN")) != bool(requirement.values):
                raise InvalidArgument("IN and NOT_IN need values, EXISTS and NOT_EXISTS have none")
    for namespace in rules.included_namespaces:
        if not namespace.namespace_name or not (namespace.cluster_id or namespace.cluster_name):
            raise InvalidArgument("a namespace needs its name and its cluster")
    checks.text(msgspec.json.encode(rules).decode(), "the rules", 200_000)
    if b"\\u0000" in msgspec.json.encode(rules):
        raise InvalidArgument("the rules have a NUL")
    return AccessScope(
        id=identifier,
        name=checks.name(data.name),
        description=checks.text(data.description, "the description"),
        rules=rules,
    )
