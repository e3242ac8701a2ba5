"""What nobody needs any more: images that nothing runs, clusters whose Sensor is silent. Knows no setting."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from redoubt.central.store import Store, affected

#: Images that are looked at, and forgotten, at a time.
_GO = 500
#: A deployment that runs an image, by its digest or one of its names, or somebody who watches it.
_IN_USE = (
    "(EXISTS (SELECT FROM cluster_objects o WHERE o.kind = 'deployment' AND o.images && (ARRAY[i.id]"
    " || ARRAY(SELECT n.name FROM image_names n WHERE n.image = i.id)))"
    " OR EXISTS (SELECT FROM image_names n JOIN watched_images w ON w.name = n.name WHERE n.image = i.id))"
)


class UnusedStore(Store):
    """Images and clusters."""

    async def note_used(self) -> None:
        """Note which images are in use today."""
        await self._pool.execute(
            f"UPDATE images i SET used = now() WHERE used < now() - interval '1 day' AND {_IN_USE}"  # noqa: S608
        )

    async def forget_images(self, age: timedelta) -> list[str]:
        """Forget images that were neither used nor looked at for so long, some at a time; their digests."""
        gone = await self._pool.fetch(
            "DELETE FROM images i WHERE id IN (SELECT id FROM images i"  # noqa: S608
            f" WHERE greatest(i.used, i.indexed) < now() - $1::interval AND NOT {_IN_USE} ORDER BY i.used LIMIT {_GO})"
            " RETURNING id",
            age,
        )
        return [row["id"] for row in gone]

    async def number_of_clusters(self) -> int:
        """How many there are."""
        return int(await self._pool.fetchval("SELECT count(*) FROM clusters"))

    async def silent_clusters(self, age: timedelta) -> list[tuple[UUID, str, str]]:
        """Clusters whose Sensor was not heard for so long: identifier, name and labels (JSON); but for the one that runs Central."""
        rows = await self._pool.fetch(
            "SELECT c.id, c.name, coalesce(c.record -> 'labels', '{}')::text AS labels FROM clusters c"
            " JOIN sensor_sessions s ON s.cluster = c.id WHERE s.heard < now() - $1::interval AND NOT EXISTS ("
            " SELECT FROM cluster_objects o WHERE o.cluster = c.id AND o.kind = 'deployment' AND o.name = 'central'"
            " AND o.labels ->> 'app' = 'central') ORDER BY c.name",
            age,
        )
        return [(row["id"], row["name"], row["labels"]) for row in rows]

    async def forget_cluster(self, cluster: UUID, age: timedelta) -> bool:
        """Forget one with all that is known of it, unless its Sensor was heard meanwhile."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            # As where somebody deletes one: first what ``hub.hold`` locks first.
            silent = await connection.fetchval(
                "SELECT heard < now() - $2::interval FROM sensor_sessions WHERE cluster = $1 FOR UPDATE",
                cluster,
                age,
            )
            if not silent:
                return False
            there = affected(await connection.execute("DELETE FROM clusters WHERE id = $1", cluster)) == 1
            await connection.execute("DELETE FROM alerts WHERE cluster = $1", cluster)
        return there
