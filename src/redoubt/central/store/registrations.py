"""Which clusters came with which cluster registration secret."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from redoubt.central.notices import tell
from redoubt.central.store import Connection, Store, one, several
from redoubt.central.store.bundles import TOPIC


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """See ``0130_registrations.sql``."""

    crs: UUID
    name: str
    cluster: UUID | None
    system: str
    completed_at: datetime | None


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A registration secret that counts, while nobody else registers with it."""

    name: str
    max_registrations: int


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster by its name. ``connected``: its Sensor came with a certificate of a Sensor, some time."""

    id: UUID
    connected: bool


_COLUMNS = "crs, name, cluster, system, completed_at"


async def hold(connection: Connection, crs: UUID) -> Secret | None:
    """The secret, and let nobody else register with it until the end of the transaction; None where it counts no more."""
    row = await connection.fetchrow(
        "SELECT name, max_registrations FROM init_bundles WHERE id = $1 AND kind = 'CRS' AND revoked_at IS NULL"
        " AND expires_at > now() FOR UPDATE",
        crs,
    )
    return one(Secret, row)


async def named(connection: Connection, name: str) -> Named | None:
    """The cluster of a name."""
    row = await connection.fetchrow(
        "SELECT id, EXISTS (SELECT FROM sensor_sessions s WHERE s.cluster = c.id) AS connected FROM clusters c"
        " WHERE name = $1 FOR UPDATE OF c",
        name,
    )
    return one(Named, row)


async def of(connection: Connection, crs: UUID, name: str, cluster: UUID | None) -> list[Registration]:
    """Registrations with this secret under the name, and pending ones of the cluster with any."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM cluster_registrations WHERE (crs = $1 AND name = $2)"  # noqa: S608
        " OR (cluster = $3 AND completed_at IS NULL)",
        crs,
        name,
        cluster,
    )
    return several(Registration, rows)


async def count(connection: Connection, crs: UUID) -> int:
    """How many clusters came with it, those that are gone among them."""
    return int(await connection.fetchval("SELECT count(*) FROM cluster_registrations WHERE crs = $1", crs))


async def initiate(connection: Connection, crs: UUID, name: str, cluster: UUID, system: str) -> None:
    """Note that a cluster gets certificates."""
    await connection.execute(
        "INSERT INTO cluster_registrations (crs, name, cluster, system) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (crs, name) DO UPDATE SET cluster = excluded.cluster, system = excluded.system,"
        " initiated_at = now(), completed_at = NULL",
        crs,
        name,
        cluster,
        system,
    )


class RegistrationStore(Store):
    """Table ``cluster_registrations``."""

    async def all(self, secrets: Sequence[UUID]) -> list[Registration]:
        """Those with these secrets, by name."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM cluster_registrations WHERE crs = ANY ($1::uuid[]) ORDER BY name",  # noqa: S608
            list(secrets),
        )
        return several(Registration, rows)

    async def complete(self, cluster: UUID) -> list[UUID]:
        """Its Sensor came with a certificate of its own. Secrets that are used up count no more; which those are."""
        async with self._pool.acquire() as connection, connection.transaction():
            pending = await connection.fetch(
                "SELECT crs FROM cluster_registrations WHERE cluster = $1 AND completed_at IS NULL", cluster
            )
            if not pending:
                return []
            used = sorted({row["crs"] for row in pending})
            # In the order of everybody who registers: first the secret.
            await connection.fetch(
                "SELECT FROM init_bundles WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE", used
            )
            await connection.execute(
                "UPDATE cluster_registrations SET completed_at = now() WHERE cluster = $1 AND completed_at IS NULL",
                cluster,
            )
            ended = await connection.fetch(
                "UPDATE init_bundles b SET revoked_at = now() WHERE id = ANY ($1::uuid[]) AND revoked_at IS NULL"
                " AND max_registrations > 0 AND max_registrations <="
                " (SELECT count(*) FROM cluster_registrations r WHERE r.crs = b.id AND completed_at IS NOT NULL)"
                " AND NOT EXISTS (SELECT FROM cluster_registrations r WHERE r.crs = b.id AND completed_at IS NULL)"
                " RETURNING id",
                used,
            )
            if ended:
                await tell(connection, TOPIC)
            return [row["id"] for row in ended]
