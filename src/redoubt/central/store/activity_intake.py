"""Activity comes in: many rows with one statement a table, in the transaction of the caller.

Rows come by key, each once, in the order of their keys: two transactions never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import msgspec

from redoubt.central.activity.records import EndpointRow, FlowRow, ProcessRow
from redoubt.central.store import Connection

R = TypeVar("R", bound=msgspec.Struct)

_TYPES = {"bytes": "bytea", "str": "text", "UUID": "uuid", "int": "bigint", "datetime": "timestamptz"}
#: A container's program: deployment, container, namespace, path, and when it was seen.
Seen = tuple[str, str, str, str, datetime]
#: A deployment's peer: deployment, type and identifier of the other end, port, protocol, whether it calls, and when it was seen.
PeerSeen = tuple[str, str, str, int, str, bool, datetime]


def _insert(table: str, kind: type[msgspec.Struct], update: str) -> str:
    columns = ", ".join(kind.__struct_fields__)
    given = ", ".join(
        f"${at}::{_TYPES[str(kind.__annotations__[name]).split(' ')[0]]}[]"
        for at, name in enumerate(kind.__struct_fields__, 1)
    )
    return f"INSERT INTO {table} AS t ({columns}) SELECT * FROM unnest({given}) ON CONFLICT (key) DO UPDATE SET {update}"  # noqa: S608


_SEEN = "first_seen = least(t.first_seen, excluded.first_seen), last_seen = greatest(t.last_seen, excluded.last_seen)"
#: What was told last counts, in whichever order it arrives; of the same moment that it is over.
_CLOSED = (
    ", closed = CASE WHEN excluded.last_seen > t.last_seen THEN excluded.closed"
    " WHEN excluded.last_seen < t.last_seen THEN t.closed ELSE greatest(t.closed, excluded.closed) END"
)
_PROCESSES = _insert("processes", ProcessRow, f"{_SEEN}, times = t.times + excluded.times")
_ENDPOINTS = _insert("listening_endpoints", EndpointRow, _SEEN + _CLOSED)
_FLOWS = _insert("network_flows", FlowRow, _SEEN + _CLOSED)

_PROCESS_BASELINES = """
INSERT INTO process_baselines (cluster, deployment, container, namespace, created, learned, changed)
SELECT $1, deployment, container, max(namespace), $4, $5, $4
FROM unnest($2::text[], $3::text[], $6::text[]) AS g (deployment, container, namespace)
GROUP BY deployment, container ORDER BY deployment, container ON CONFLICT DO NOTHING
"""
_PROCESS_ELEMENTS = """
INSERT INTO process_baseline_elements (cluster, deployment, container, path, auto, added)
SELECT b.cluster, b.deployment, b.container, g.path, TRUE, $6
FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[]) AS g (deployment, container, path, seen)
JOIN process_baselines b ON b.cluster = $1 AND b.deployment = g.deployment AND b.container = g.container
WHERE b.locked IS NULL AND g.seen < b.learned
ORDER BY b.deployment, b.container, g.path ON CONFLICT DO NOTHING
"""
_NETWORK_BASELINES = """
INSERT INTO network_baselines (cluster, deployment, created, learned)
SELECT $1, deployment, $3, $4 FROM unnest($2::text[]) AS g (deployment)
GROUP BY deployment ORDER BY deployment ON CONFLICT DO NOTHING
"""
_NETWORK_PEERS = """
INSERT INTO network_baseline_peers (cluster, deployment, peer_type, peer, port, protocol, ingress)
SELECT b.cluster, b.deployment, g.peer_type, g.peer, g.port, g.protocol, g.ingress
FROM unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::bool[], $8::timestamptz[])
    AS g (deployment, peer_type, peer, port, protocol, ingress, seen)
JOIN network_baselines b ON b.cluster = $1 AND b.deployment = g.deployment
WHERE NOT b.locked AND g.seen < b.learned
ORDER BY 2, 3, 4, 5, 6, 7 ON CONFLICT DO NOTHING
"""


async def processes(connection: Connection, rows: Sequence[ProcessRow]) -> list[bytes]:
    """Keep processes; the keys of those that were not there."""
    if not rows:
        return []
    new = await connection.fetch(
        f"WITH put AS ({_PROCESSES} RETURNING t.key, t.xmax = 0 AS new) SELECT key FROM put WHERE new",  # noqa: S608
        *_columns(rows),
    )
    return [row["key"] for row in new]


async def endpoints(connection: Connection, rows: Sequence[EndpointRow]) -> None:
    """Keep listening ports."""
    await _put(connection, _ENDPOINTS, rows)


async def flows(connection: Connection, rows: Sequence[FlowRow]) -> None:
    """Keep flows."""
    await _put(connection, _FLOWS, rows)


async def learn_processes(
    connection: Connection, cluster: UUID, seen: Sequence[Seen], now: datetime, period: timedelta
) -> None:
    """Programs become a container's usual ones while it is being learned. What somebody removed stays removed."""
    if not seen:
        return
    deployments, containers, namespaces, paths, moments = (list(each) for each in zip(*seen, strict=True))
    await connection.execute(
        _PROCESS_BASELINES, cluster, deployments, containers, now, now + period, namespaces
    )
    await connection.execute(_PROCESS_ELEMENTS, cluster, deployments, containers, paths, moments, now)


async def learn_peers(
    connection: Connection, cluster: UUID, seen: Sequence[PeerSeen], now: datetime, period: timedelta
) -> None:
    """Peers become a deployment's usual ones while it is being learned. What somebody forbade stays forbidden."""
    if not seen:
        return
    columns = [list(each) for each in zip(*seen, strict=True)]
    await connection.execute(_NETWORK_BASELINES, cluster, columns[0], now, now + period)
    await connection.execute(_NETWORK_PEERS, cluster, *columns)


async def deployments_gone(connection: Connection, cluster: UUID, deployments: Sequence[str]) -> None:
    """Deployments were deleted: what is known of them goes with them."""
    given = cluster, list(deployments)
    for table in ("processes", "listening_endpoints", "process_baselines", "network_baselines"):
        await connection.execute(
            f"DELETE FROM {table} WHERE cluster = $1 AND deployment = ANY($2::text[])",  # noqa: S608
            *given,
        )
    await connection.execute(
        "DELETE FROM network_flows WHERE cluster = $1 AND source_type = 'DEPLOYMENT' AND source = ANY($2::text[])",
        *given,
    )
    await connection.execute(
        "DELETE FROM network_flows WHERE cluster = $1 AND target_type = 'DEPLOYMENT' AND target = ANY($2::text[])",
        *given,
    )


async def pods_gone(connection: Connection, cluster: UUID, pods: Sequence[str]) -> None:
    """Pods were deleted: they listen no more. What was started in them stays."""
    await connection.execute(
        "DELETE FROM listening_endpoints WHERE cluster = $1 AND pod_uid = ANY($2::text[])",
        cluster,
        list(pods),
    )


async def _put(connection: Connection, statement: str, rows: Sequence[R]) -> None:
    if rows:
        await connection.execute(statement, *_columns(rows))


def _columns(rows: Sequence[R]) -> list[list[object]]:
    return [list(each) for each in zip(*(msgspec.structs.astuple(row) for row in rows), strict=True)]
