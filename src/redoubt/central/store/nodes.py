"""What node agents found, and what definitions say of it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import zstandard

from redoubt.central.store import Connection, Store, one
from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.model import IndexReport, VulnerabilityReport

#: Bytes of a report, inflated.
LARGEST = 64 << 20
#: Nodes of a cluster.
_MOST = 10_000

_indexes = msgspec.json.Decoder(IndexReport)
_reports = msgspec.msgpack.Decoder(VulnerabilityReport)


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A report that is to be matched."""

    cluster: UUID
    node: str
    digest: bytes
    index: bytes
    tries: int


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What lists show of a node."""

    received: datetime
    matched: datetime | None
    components: int
    cves: int
    fixable: int
    top_cvss: float | None
    problem: str


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """A node with both reports."""

    received: datetime
    matched: datetime
    index: IndexReport
    report: VulnerabilityReport


def inflated(data: bytes) -> IndexReport:
    """An index report as it came. Raises ``UnreadableInput``."""
    opened = zlib.decompressobj()
    try:
        text = opened.decompress(data, LARGEST + 1)
        if len(text) > LARGEST:
            raise LimitExceeded(f"a node's report of more than {LARGEST} bytes")
        if not opened.eof:
            raise UnreadableInput("a node's report that ends early")
        return _indexes.decode(text)
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableInput(f"a node's report: {error}") from None


async def put(connection: Connection, cluster: UUID, node: str, digest: bytes, index: bytes) -> None:
    """Keep a report; the same again changes nothing but when it came."""
    await connection.execute(
        "INSERT INTO node_reports (cluster, node, received, digest, index, due)"
        " SELECT $1::uuid, $2::text, now(), $3::bytea, $4::bytea, now()"
        " WHERE (SELECT count(*) FROM node_reports WHERE cluster = $1) < $5"
        " OR EXISTS (SELECT FROM node_reports WHERE cluster = $1 AND node = $2)"
        " ON CONFLICT (cluster, node) DO UPDATE SET received = excluded.received, digest = excluded.digest,"
        " index = excluded.index,"
        " due = CASE WHEN node_reports.digest = excluded.digest THEN node_reports.due ELSE excluded.due END,"
        " tries = CASE WHEN node_reports.digest = excluded.digest THEN node_reports.tries ELSE 0 END,"
        " definitions = CASE WHEN node_reports.digest = excluded.digest THEN node_reports.definitions END",
        cluster,
        node,
        digest,
        index,
        _MOST,
    )


async def forget_gone(connection: Connection, cluster: UUID) -> None:
    """Forget reports and risks of nodes that are not there."""
    await connection.execute(
        "DELETE FROM node_reports r WHERE cluster = $1 AND NOT EXISTS (SELECT FROM cluster_objects o"
        " WHERE o.cluster = $1 AND o.kind = 'node' AND o.name = r.node)",
        cluster,
    )
    await connection.execute(
        "DELETE FROM risks r WHERE kind = 'node' AND cluster = $1"
        " AND NOT EXISTS (SELECT FROM node_reports n WHERE n.cluster = $1 AND n.node = r.subject)",
        cluster,
    )


class NodeStore(Store):
    """Table ``node_reports``."""

    async def take(self, active: str, count: int, lease: timedelta) -> list[Waiting]:
        """Reports that were not matched with ``active``; nobody else takes them within ``lease``."""
        rows = await self._pool.fetch(
            "UPDATE node_reports SET due = now() + $2::interval WHERE (cluster, node) IN (SELECT cluster, node"
            " FROM node_reports WHERE due <= now() AND definitions IS DISTINCT FROM $1 ORDER BY tries, due LIMIT $3"
            " FOR UPDATE SKIP LOCKED) RETURNING cluster, node, digest, index, tries",
            active,
            lease,
            count,
        )
        return [msgspec.convert(dict(row), Waiting) for row in rows]

    async def matched(
        self, waiting: Waiting, report: VulnerabilityReport, counts: Sequence[object], wait: timedelta
    ) -> None:
        """Keep what was found, unless another report came meanwhile. It is looked at again after ``wait`` at the earliest."""
        packed = await asyncio.to_thread(_packed, report)
        await self._pool.execute(
            "UPDATE node_reports SET matched = now(), definitions = $4, report = $5, components = $6, cves = $7,"
            " fixable = $8, top_cvss = $9, due = now() + $10::interval, tries = 0, problem = ''"
            " WHERE cluster = $1 AND node = $2 AND digest = $3",
            waiting.cluster,
            waiting.node,
            waiting.digest,
            report.definitions.digest,
            packed,
            *counts,
            wait,
        )

    async def again(self, waiting: Waiting, problem: str, wait: timedelta) -> None:
        """Try it again after a while."""
        await self._pool.execute(
            "UPDATE node_reports SET tries = tries + 1, problem = $4, due = now() + $5::interval"
            " WHERE cluster = $1 AND node = $2 AND digest = $3",
            waiting.cluster,
            waiting.node,
            waiting.digest,
            problem.replace("\x00", "")[:1000],
            wait,
        )

    async def counts(self, cluster: UUID) -> dict[str, Counts]:
        """What lists show, by node's name."""
        rows = await self._pool.fetch(
            "SELECT node, received, matched, components, cves, fixable, top_cvss::float8 AS top_cvss, problem"
            " FROM node_reports WHERE cluster = $1",
            cluster,
        )
        return {
            row["node"]: msgspec.convert({k: v for k, v in row.items() if k != "node"}, Counts)
            for row in rows
        }

    async def find(self, cluster: UUID, node: str) -> Matched | None:
        """A node's reports; None where it was not matched yet."""
        row = one(
            _Row,
            await self._pool.fetchrow(
                "SELECT received, matched, index, report FROM node_reports"
                " WHERE cluster = $1 AND node = $2 AND report IS NOT NULL",
                cluster,
                node,
            ),
        )
        if row is None:
            return None
        index, report = await asyncio.to_thread(lambda: (inflated(row.index), _opened(row.report)))
        return Matched(received=row.received, matched=row.matched, index=index, report=report)


class _Row(msgspec.Struct, frozen=True):
    received: datetime
    matched: datetime
    index: bytes
    report: bytes


def _packed(report: VulnerabilityReport) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(msgspec.msgpack.encode(report))


def _opened(data: bytes) -> VulnerabilityReport:
    return _reports.decode(zstandard.ZstdDecompressor().decompress(data, max_output_size=1 << 30))
