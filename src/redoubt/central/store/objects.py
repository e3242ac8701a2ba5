"""Clusters' objects: one table for all kinds, with columns for what lists are made by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from redoubt.central.store import Connection, Store

#: Objects that are read at once where all are.
_PAGE = 2000


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """An object as it is written; see ``0081_objects.sql``. ``labels`` and ``object`` are JSON."""

    kind: str
    id: str
    name: str
    namespace: str
    labels: str
    images: tuple[str, ...]
    created: datetime | None
    hash: str
    object: str


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """An object as it is read; ``cluster_name`` is the cluster's name now."""

    cluster: UUID
    cluster_name: str
    id: str
    hash: str
    object: str


class Known(msgspec.Struct, frozen=True):
    """What a Sensor is told that it need not send again."""

    kind: str
    id: str
    hash: str


class Where(msgspec.Struct, frozen=True):
    """A condition on ``o`` (the object) and ``c`` (its cluster), with its values from ``$1`` on. Made of constants only."""

    text: str = "true"
    values: tuple[object, ...] = ()


async def put(connection: Connection, cluster: UUID, objects: Sequence[Stored]) -> None:
    """Keep objects in place of what was kept under their identifiers."""
    await connection.executemany(
        "INSERT INTO cluster_objects (cluster, kind, id, name, namespace, labels, images, created, hash, object)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        " ON CONFLICT (cluster, kind, id) DO UPDATE SET name = excluded.name, namespace = excluded.namespace,"
        " labels = excluded.labels, images = excluded.images, created = excluded.created, hash = excluded.hash,"
        " object = excluded.object",
        [(cluster, *msgspec.structs.astuple(each)) for each in objects],
    )


async def remove(connection: Connection, cluster: UUID, kind: str, ids: Sequence[str]) -> list[str]:
    """Forget objects; those that there were."""
    rows = await connection.fetch(
        "DELETE FROM cluster_objects WHERE cluster = $1 AND kind = $2 AND id = ANY ($3::text[]) RETURNING id",
        cluster,
        kind,
        list(ids),
    )
    return [row["id"] for row in rows]


async def identifiers(connection: Connection, cluster: UUID) -> list[tuple[str, str]]:
    """Kind and identifier of all that a cluster has."""
    rows = await connection.fetch("SELECT kind, id FROM cluster_objects WHERE cluster = $1", cluster)
    return [(row["kind"], row["id"]) for row in rows]


class ObjectStore(Store):
    """Table ``cluster_objects``, read."""

    async def known(self, cluster: UUID) -> list[Known]:
        """What there is of a cluster, by kind and identifier."""
        rows = await self._pool.fetch(
            "SELECT kind, id, hash FROM cluster_objects WHERE cluster = $1", cluster
        )
        return [Known(row["kind"], row["id"], row["hash"]) for row in rows]

    async def one(self, kind: str, identifier: str, where: Where) -> Found | None:
        """The object of an identifier; of several clusters' the one that was there first."""
        number = len(where.values)
        row = await self._pool.fetchrow(
            "SELECT o.cluster, c.name AS cluster_name, o.id, o.hash, o.object FROM cluster_objects o"  # noqa: S608
            f" JOIN clusters c ON c.id = o.cluster WHERE {where.text} AND o.kind = ${number + 1} AND o.id = ${number + 2}"
            " ORDER BY o.added, o.cluster LIMIT 1",
            *where.values,
            kind,
            identifier,
        )
        return None if row is None else msgspec.convert(dict(row), Found)

    async def page(self, kind: str, where: Where, order: str, *, limit: int, offset: int = 0) -> list[Found]:
        """Objects of a kind in the order of a column. ``order`` is a constant of the caller's."""
        number = len(where.values)
        rows = await self._pool.fetch(
            "SELECT o.cluster, c.name AS cluster_name, o.id, o.hash, o.object FROM cluster_objects o"  # noqa: S608
            f" JOIN clusters c ON c.id = o.cluster WHERE {where.text} AND o.kind = ${number + 1}"
            f" ORDER BY {order} LIMIT ${number + 2} OFFSET ${number + 3}",
            *where.values,
            kind,
            limit,
            offset,
        )
        return [msgspec.convert(dict(row), Found) for row in rows]

    async def count(self, kind: str, where: Where) -> int:
        """How many there are."""
        return int(
            await self._pool.fetchval(
                "SELECT count(*) FROM cluster_objects o JOIN clusters c ON c.id = o.cluster"  # noqa: S608
                f" WHERE {where.text} AND o.kind = ${len(where.values) + 1}",
                *where.values,
                kind,
            )
        )

    async def labels(self, kind: str, where: Where, *, limit: int) -> list[tuple[str, str]]:
        """Labels and their values, each once, in order."""
        number = len(where.values)
        rows = await self._pool.fetch(
            "SELECT DISTINCT l.key, l.value FROM cluster_objects o JOIN clusters c ON c.id = o.cluster,"  # noqa: S608
            f" jsonb_each_text(o.labels) AS l WHERE {where.text} AND o.kind = ${number + 1}"
            f" ORDER BY l.key, l.value LIMIT ${number + 2}",
            *where.values,
            kind,
            limit,
        )
        return [(row["key"], row["value"]) for row in rows]

    async def numbers(self, namespaces: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], dict[str, int]]:
        """How many objects of each kind are in namespaces."""
        rows = await self._pool.fetch(
            "SELECT cluster, namespace, kind, count(*) AS number FROM cluster_objects WHERE (cluster, namespace) IN"
            " (SELECT * FROM unnest($1::uuid[], $2::text[])) GROUP BY cluster, namespace, kind",
            [cluster for cluster, _ in namespaces],
            [name for _, name in namespaces],
        )
        found: dict[tuple[UUID, str], dict[str, int]] = defaultdict(dict)
        for row in rows:
            found[row["cluster"], row["namespace"]][row["kind"]] = row["number"]
        return found

    async def every(self, kind: str, where: Where) -> AsyncIterator[Found]:
        """All, page by page; what comes or goes meanwhile may or may not be among them."""
        number = len(where.values)
        last: tuple[UUID, str] = (UUID(int=0), "")
        while True:
            rows = await self._pool.fetch(
                "SELECT o.cluster, c.name AS cluster_name, o.id, o.hash, o.object FROM cluster_objects o"  # noqa: S608
                f" JOIN clusters c ON c.id = o.cluster WHERE {where.text} AND o.kind = ${number + 1}"
                f" AND (o.cluster, o.id) > (${number + 2}, ${number + 3}) ORDER BY o.cluster, o.id LIMIT {_PAGE}",
                *where.values,
                kind,
                *last,
            )
            for row in rows:
                yield msgspec.convert(dict(row), Found)
            if len(rows) < _PAGE:
                return
            last = (rows[-1]["cluster"], rows[-1]["id"])
