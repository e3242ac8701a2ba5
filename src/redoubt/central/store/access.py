"""Roles, permission sets and access scopes that people made.

Those that come with Central are not here (see ``auth/roles.py``). Changes go one after another, under a lock, so that what
a role refers to is there as long as the role is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import msgspec

from redoubt.central.auth.roles import (
    DEFAULT_PERMISSION_SETS,
    DEFAULT_ROLES,
    DEFAULT_SCOPES,
    AccessScope,
    AccessWord,
    Origin,
    PermissionSet,
    Role,
    ScopeRules,
    Traits,
)
from redoubt.central.notices import tell
from redoubt.central.refusals import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from redoubt.central.store import Connection, Store

TOPIC = "access"
_MADE = Traits(origin=Origin.IMPERATIVE)
_LOCK = 0x616363657373  # "access"


class Everything(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, with what comes with Central, by identifier (roles: by name)."""

    roles: dict[str, Role]
    permission_sets: dict[str, PermissionSet]
    scopes: dict[str, AccessScope]


#: Looks at how everything would be; what it raises undoes the change.
Check = Callable[[Everything], None]


class AccessStore(Store):
    """Tables ``roles``, ``permission_sets`` and ``access_scopes``."""

    async def everything(self) -> Everything:
        """All of it, as of one moment."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await _everything(connection)

    async def save_role(self, role: Role, *, new: bool, check: Check) -> None:
        """Add or replace a role. What it refers to has to be there."""
        if role.name in DEFAULT_ROLES:
            raise _immutable("role", role.name, new)
        async with self._change(check) as connection:
            await _refers(connection, "permission_sets", role.permission_set_id, set(DEFAULT_PERMISSION_SETS))
            await _refers(connection, "access_scopes", role.access_scope_id, set(DEFAULT_SCOPES))
            values = (role.name, role.description, UUID(role.permission_set_id), UUID(role.access_scope_id))
            await _write(
                connection,
                f"role {role.name!r}",
                new,
                "INSERT INTO roles (name, description, permission_set_id, access_scope_id) VALUES ($1, $2, $3, $4)",
                "UPDATE roles SET description = $2, permission_set_id = $3, access_scope_id = $4 WHERE name = $1",
                values,
            )

    async def delete_role(self, name: str) -> None:
        """Delete a role; tokens that have it lose what it gave."""
        if name in DEFAULT_ROLES:
            raise _immutable("role", name)
        async with self._change() as connection:
            await _delete(connection, "DELETE FROM roles WHERE name = $1", name, f"role {name!r}")

    async def save_permission_set(self, found: PermissionSet, *, new: bool, check: Check) -> None:
        """Add or replace a permission set."""
        if found.id in DEFAULT_PERMISSION_SETS:
            raise _immutable("permission set", found.name, new)
        _not_a_default_name(found.name, DEFAULT_PERMISSION_SETS)
        kept = {name: word.value for name, word in found.resource_to_access.items()}
        async with self._change(check) as connection:
            await _write(
                connection,
                f"permission set {found.name!r}",
                new,
                "INSERT INTO permission_sets (id, name, description, resource_to_access) VALUES ($1, $2, $3, $4)",
                "UPDATE permission_sets SET name = $2, description = $3, resource_to_access = $4 WHERE id = $1",
                (UUID(found.id), found.name, found.description, msgspec.json.encode(kept).decode()),
            )

    async def delete_permission_set(self, identifier: str) -> None:
        """Delete a permission set that no role refers to."""
        if identifier in DEFAULT_PERMISSION_SETS:
            raise _immutable("permission set", DEFAULT_PERMISSION_SETS[identifier].name)
        async with self._change() as connection:
            await _unused(connection, "permission_set_id", identifier)
            await _delete(
                connection,
                "DELETE FROM permission_sets WHERE id = $1",
                UUID(identifier),
                f"permission set {identifier}",
            )

    async def save_scope(self, scope: AccessScope, *, new: bool, check: Check) -> None:
        """Add or replace an access scope."""
        if scope.id in DEFAULT_SCOPES:
            raise _immutable("access scope", scope.name, new)
        _not_a_default_name(scope.name, DEFAULT_SCOPES)
        async with self._change(check) as connection:
            await _write(
                connection,
                f"access scope {scope.name!r}",
                new,
                "INSERT INTO access_scopes (id, name, description, rules) VALUES ($1, $2, $3, $4)",
                "UPDATE access_scopes SET name = $2, description = $3, rules = $4 WHERE id = $1",
                (
                    UUID(scope.id),
                    scope.name,
                    scope.description,
                    msgspec.json.encode(scope.rules or ScopeRules()).decode(),
                ),
            )

    async def delete_scope(self, identifier: str) -> None:
        """Delete an access scope that no role refers to."""
        if identifier in DEFAULT_SCOPES:
            raise _immutable("access scope", DEFAULT_SCOPES[identifier].name)
        async with self._change() as connection:
            await _unused(connection, "access_scope_id", identifier)
            await _delete(
                connection,
                "DELETE FROM access_scopes WHERE id = $1",
                UUID(identifier),
                f"access scope {identifier}",
            )

    @asynccontextmanager
    async def _change(self, check: Check | None = None) -> AsyncIterator[Connection]:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            yield connection
            if check is not None:
                check(await _everything(connection))
            await tell(connection, TOPIC)


async def _everything(connection: Connection) -> Everything:
    roles = [
        _role(row)
        for row in await connection.fetch(
            "SELECT name, description, permission_set_id, access_scope_id FROM roles"
        )
    ]
    sets = [
        _set(row)
        for row in await connection.fetch(
            "SELECT id, name, description, resource_to_access FROM permission_sets"
        )
    ]
    scopes = [
        _scope(row)
        for row in await connection.fetch("SELECT id, name, description, rules FROM access_scopes")
    ]
    return Everything(
        roles=DEFAULT_ROLES | {role.name: role for role in roles},
        permission_sets=DEFAULT_PERMISSION_SETS | {found.id: found for found in sets},
        scopes=DEFAULT_SCOPES | {found.id: found for found in scopes},
    )


def _role(row: asyncpg.Record) -> Role:
    return Role(
        name=row["name"],
        description=row["description"],
        permission_set_id=str(row["permission_set_id"]),
        access_scope_id=str(row["access_scope_id"]),
        traits=_MADE,
    )


def _set(row: asyncpg.Record) -> PermissionSet:
    return PermissionSet(
        id=str(row["id"]),
        name=row["name"],
        description=row["description"],
        resource_to_access=msgspec.json.decode(row["resource_to_access"], type=dict[str, AccessWord]),
        traits=_MADE,
    )


def _scope(row: asyncpg.Record) -> AccessScope:
    return AccessScope(
        id=str(row["id"]),
        name=row["name"],
        description=row["description"],
        rules=msgspec.json.decode(row["rules"], type=ScopeRules),
        traits=_MADE,
    )


async def _write(
    connection: Connection, what: str, new: bool, insert: str, update: str, values: tuple[object, ...]
) -> None:
    try:
        tag = await connection.execute(insert if new else update, *values)
    except asyncpg.UniqueViolationError:
        raise AlreadyExists(f"{what} exists already") from None
    if tag.endswith(" 0"):
        raise NotFound(f"there is no {what}")


async def _delete(connection: Connection, statement: str, key: object, what: str) -> None:
    if (await connection.execute(statement, key)).endswith(" 0"):
        raise NotFound(f"there is no {what}")


async def _refers(connection: Connection, table: str, identifier: str, defaults: set[str]) -> None:
    if identifier in defaults:
        return
    found = await connection.fetchval(f"SELECT true FROM {table} WHERE id = $1", UUID(identifier))  # noqa: S608
    if not found:
        raise InvalidArgument(f"the role refers to {identifier}, which is not in {table}")


async def _unused(connection: Connection, column: str, identifier: str) -> None:
    statement = f"SELECT name FROM roles WHERE {column} = $1 ORDER BY name LIMIT 1"  # noqa: S608
    role = await connection.fetchval(statement, UUID(identifier))
    if role is not None:
        raise FailedPrecondition(f"the role {role!r} refers to it; change or delete the role first")


def _immutable(kind: str, name: str, new: bool = False) -> Exception:
    if new:
        return AlreadyExists(f"the {kind} {name!r} comes with Central")
    return InvalidArgument(f"the {kind} {name!r} comes with Central and cannot be changed or deleted")


def _not_a_default_name(name: str, defaults: dict[str, PermissionSet] | dict[str, AccessScope]) -> None:
    if any(found.name == name for found in defaults.values()):
        raise AlreadyExists(f"the name {name!r} belongs to one that comes with Central")
