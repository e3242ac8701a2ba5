"""Connections to Sensors: who has which, how far each has arrived, and what replicas hand each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from redoubt.central.clusters.health import Heard
from redoubt.central.notices import tell
from redoubt.central.store import Connection, Pool, Store, affected

#: What replicas tell each other when something lies in ``sensor_pushes``.
TOPIC = "sensor_pushes"
#: Seconds in which a Sensor that is connected has to be heard, or another one may take its place.
FRESH = 90.0
#: Seconds that pushes and answers are kept.
_KEPT = 900.0
#: Answers of a cluster that lie here at a time.
_ANSWERS = 100


class NewSession(msgspec.Struct, frozen=True, kw_only=True):
    """A Sensor that connects; see ``0080_hub.sql``."""

    cluster: UUID
    holder: UUID
    spool: str
    version: str
    capabilities: str
    bundle: str
    identification: str
    certificate_ends: datetime | None = None
    certificate_begins: datetime | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection looks for now and then. ``record`` (the cluster's) and ``delegation`` are JSON; others are equal while nothing changed."""

    record: str
    delegation: str | None
    policies: int
    policies_number: int
    pushes: bool
    #: Blocks outside the cluster that have a name.
    networks: tuple[str, ...] = ()


class Lost(Exception):
    """Another connection has the stream now, or the cluster is gone: nothing of this one counts any more."""


async def hold(connection: Connection, cluster: UUID, holder: UUID, spool: str) -> int:
    """Keep others from taking this stream's place until the end of the transaction; how far it has arrived. Raises ``Lost``."""
    if not await connection.fetchval(
        "SELECT true FROM sensor_sessions WHERE cluster = $1 AND holder = $2 FOR UPDATE", cluster, holder
    ):
        raise Lost
    # Only now: whoever was waited for may have written it.
    return await _arrived(connection, cluster, spool)


async def _arrived(connection: Connection | Pool, cluster: UUID, spool: str) -> int:
    found = await connection.fetchval(
        "SELECT acknowledged FROM sensor_spools WHERE cluster = $1 AND spool = $2", cluster, spool
    )
    return int(found or 0)


async def arrived(connection: Connection, cluster: UUID, spool: str, number: int) -> None:
    """Note that all up to ``number`` has arrived."""
    await connection.execute(
        "INSERT INTO sensor_spools (cluster, spool, acknowledged, used) VALUES ($1, $2, $3, now())"
        " ON CONFLICT (cluster, spool) DO UPDATE SET acknowledged = excluded.acknowledged, used = excluded.used",
        cluster,
        spool,
        number,
    )


async def counted(connection: Connection, cluster: UUID, spoilt: int, dropped: int) -> None:
    """Note that the Sensor was heard, and what could not be read or was lost."""
    await connection.execute(
        "UPDATE sensor_sessions SET heard = now(), spoilt = spoilt + $2, dropped = dropped + $3 WHERE cluster = $1",
        cluster,
        spoilt,
        dropped,
    )


async def healthy(connection: Connection, cluster: UUID, health: str) -> None:
    """Keep how a cluster's services are; JSON of ``model.cluster.Health``."""
    await connection.execute(
        "UPDATE sensor_sessions SET health = $2, health_at = now() WHERE cluster = $1", cluster, health
    )


async def synced(connection: Connection, cluster: UUID, gone: dict[str, int]) -> None:
    """Note that all that there is was said, and how many objects were gone, by kind."""
    await connection.execute(
        "UPDATE sensor_sessions SET synced_at = now(), reconciled = $2 WHERE cluster = $1",
        cluster,
        msgspec.json.encode(gone).decode(),
    )


class HubStore(Store):
    """The tables ``sensor_…``."""

    async def connected(self, cluster: UUID) -> bool:
        """Whether some replica has the cluster's Sensor."""
        return bool(
            await self._pool.fetchval("SELECT connected FROM sensor_sessions WHERE cluster = $1", cluster)
        )

    async def begin(self, session: NewSession) -> bool:
        """Have the stream to a cluster's Sensor, in place of whoever had it; False where another Sensor is connected and fresh.

        The same Sensor (of the same spool) may always connect again.
        """
        tag = await self._pool.execute(
            "INSERT INTO sensor_sessions (cluster, holder, connected, since, heard, spool, version, capabilities, bundle,"
            " identification, certificate_ends, certificate_begins, came_with)"
            " VALUES ($1, $2, true, now(), now(), $3, $4, $5, $6, $7, $9, $10, $6)"
            " ON CONFLICT (cluster) DO UPDATE SET holder = excluded.holder, connected = true, since = excluded.since,"
            " heard = excluded.heard, spool = excluded.spool, version = excluded.version,"
            " capabilities = excluded.capabilities, bundle = excluded.bundle, identification = excluded.identification,"
            " certificate_ends = excluded.certificate_ends, certificate_begins = excluded.certificate_begins,"
            " came_with = coalesce(nullif(excluded.bundle, ''), sensor_sessions.came_with)"
            " WHERE NOT sensor_sessions.connected OR sensor_sessions.spool = excluded.spool"
            " OR sensor_sessions.heard < now() - make_interval(secs => $8)",
            session.cluster,
            session.holder,
            session.spool,
            session.version,
            session.capabilities,
            session.bundle,
            session.identification,
            FRESH,
            session.certificate_ends,
            session.certificate_begins,
        )
        return affected(tag) == 1

    async def end(self, cluster: UUID, holder: UUID) -> None:
        """Have it no more."""
        await self._pool.execute(
            "UPDATE sensor_sessions SET connected = false WHERE cluster = $1 AND holder = $2", cluster, holder
        )

    async def acknowledged(self, cluster: UUID, spool: str) -> int:
        """How far a numbering has arrived."""
        return await _arrived(self._pool, cluster, spool)

    async def identification(self, cluster: UUID) -> str:
        """What the cluster's Sensor said last of the cluster; empty where none ever did."""
        found = await self._pool.fetchval(
            "SELECT identification FROM sensor_sessions WHERE cluster = $1", cluster
        )
        return str(found or "")

    async def heard(self) -> dict[UUID, Heard]:
        """What is kept of all clusters' Sensors."""
        rows = await self._pool.fetch(
            "SELECT cluster, connected, heard, now() - heard AS silent, version, bundle, identification, health, synced_at, reconciled, spoilt,"
            " certificate_ends, certificate_begins"
            " FROM sensor_sessions"
        )
        return {
            row["cluster"]: msgspec.convert({k: v for k, v in row.items() if k != "cluster"}, Heard)
            for row in rows
        }

    async def of_bundle(self, bundle: str) -> list[UUID]:
        """Clusters whose Sensor came with an init bundle, also where it has a certificate of its own since."""
        rows = await self._pool.fetch("SELECT cluster FROM sensor_sessions WHERE came_with = $1", bundle)
        return [row["cluster"] for row in rows]

    async def look(self, cluster: UUID, holder: UUID) -> Look | None:
        """What may have changed for a connection; None where it has the stream no more."""
        row = await self._pool.fetchrow(
            "SELECT c.record, (SELECT config FROM delegation) AS delegation, (SELECT coalesce(max(revision), 0) FROM policies) AS policies,"
            " (SELECT count(*) FROM policies) AS policies_number,"
            " EXISTS (SELECT FROM sensor_pushes p WHERE p.cluster = s.cluster) AS pushes,"
            " ARRAY(SELECT block::text FROM network_entities n WHERE n.cluster IS NULL OR n.cluster = s.cluster"
            " ORDER BY block) AS networks"
            " FROM sensor_sessions s JOIN clusters c ON c.id = s.cluster WHERE s.cluster = $1 AND s.holder = $2",
            cluster,
            holder,
        )
        return None if row is None else msgspec.convert(dict(row), Look)

    # What is handed over

    async def pushed(self, cluster: UUID) -> list[bytes]:
        """What lies here for a cluster's Sensor, and no longer."""
        rows = await self._pool.fetch(
            "DELETE FROM sensor_pushes WHERE cluster = $1 RETURNING id, message", cluster
        )
        return [row["message"] for row in sorted(rows, key=lambda row: int(row["id"]))]

    async def tidy(self) -> None:
        """Forget what nobody fetched."""
        for table in ("sensor_pushes", "sensor_answers"):
            await self._pool.execute(
                f"DELETE FROM {table} WHERE created < now() - make_interval(secs => $1)",  # noqa: S608
                _KEPT,
            )
        await self._pool.execute("DELETE FROM sensor_spools WHERE used < now() - interval '90 days'")

    async def push(self, clusters: Sequence[UUID], message: bytes) -> None:
        """Have the replicas that have these clusters' Sensors tell them a message."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO sensor_pushes (cluster, message) SELECT cluster, $2 FROM sensor_sessions"
                " WHERE connected AND cluster = ANY ($1::uuid[])",
                list(clusters),
                message,
            )
            await tell(connection, TOPIC)

    async def push_elsewhere(self, here: Sequence[UUID], message: bytes) -> None:
        """The same for all Sensors but those of ``here``."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO sensor_pushes (cluster, message) SELECT cluster, $2 FROM sensor_sessions"
                " WHERE connected AND cluster <> ALL ($1::uuid[])",
                list(here),
                message,
            )
            await tell(connection, TOPIC)

    async def put_answer(self, identifier: str, cluster: UUID, failure: str, result: bytes) -> None:
        """Keep an answer for the replica that asked. The first one counts; a cluster has some at a time only."""
        await self._pool.execute(
            "INSERT INTO sensor_answers (id, cluster, failure, result) SELECT $1::text, $2::uuid, $3::text,"
            " $4::bytea WHERE (SELECT count(*) FROM sensor_answers WHERE cluster = $2) < $5 ON CONFLICT DO NOTHING",
            identifier,
            cluster,
            failure,
            result,
            _ANSWERS,
        )

    async def take_answer(self, identifier: str, cluster: UUID) -> tuple[str, bytes] | None:
        """The answer of a cluster's Sensor, which is not kept any longer."""
        row = await self._pool.fetchrow(
            "DELETE FROM sensor_answers WHERE id = $1 AND cluster = $2 RETURNING failure, result",
            identifier,
            cluster,
        )
        return None if row is None else (row["failure"], row["result"])
