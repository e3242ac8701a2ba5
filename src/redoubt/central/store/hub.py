"""Connections to Sensors: who has which, how far each has arrived, and what replicas hand each other."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from redoubt.central.notices import tell
from redoubt.central.store import Store

#: What replicas tell each other when something lies in ``sensor_pushes``.
TOPIC = "sensor_pushes"


class HubStore(Store):
    """The tables ``sensor_…``."""

    async def connected(self, cluster: UUID) -> bool:
        """Whether some replica has the cluster's Sensor."""
        return bool(
            await self._pool.fetchval("SELECT connected FROM sensor_sessions WHERE cluster = $1", cluster)
        )

    # What is handed over

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
        """Keep an answer for the replica that asked. The first one counts."""
        await self._pool.execute(
            "INSERT INTO sensor_answers (id, cluster, failure, result) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            identifier,
            cluster,
            failure,
            result,
        )

    async def take_answer(self, identifier: str, cluster: UUID) -> tuple[str, bytes] | None:
        """The answer of a cluster's Sensor, which is not kept any longer."""
        row = await self._pool.fetchrow(
            "DELETE FROM sensor_answers WHERE id = $1 AND cluster = $2 RETURNING failure, result",
            identifier,
            cluster,
        )
        return None if row is None else (row["failure"], row["result"])
