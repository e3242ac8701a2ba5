"""Images that were scanned: their reports by digest, and the names that lead to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import msgspec
import zstandard

from redoubt.central.auth.reach import EVERYWHERE, Reach
from redoubt.central.store import Connection, Store, affected, one, several
from redoubt.errors import UnreadableInput
from redoubt.model import IndexReport, VulnerabilityReport

#: What a kept report may be, decompressed, in bytes.
_LARGEST = 1 << 30
_LISTED = "id, name, indexed, matched, definitions, system, components, cves, fixable, top_cvss::float8 AS top_cvss, source, cluster"
#: The same in a list, as the fleet counts it where its definitions are newer than those that the image was matched with last. (Of
#: two snapshots the one that the fleet follows is newer, but for one that it has not come to yet.)
_IN_LIST = (
    "i.id, i.name, i.indexed, i.matched, i.definitions, i.system, i.components, coalesce(f.flaws, i.cves) AS cves,"
    " coalesce(f.fixable_flaws, i.fixable) AS fixable,"
    " (CASE WHEN f.image IS NULL THEN i.top_cvss ELSE f.top_cvss END)::float8 AS top_cvss, i.source, i.cluster"
)
_FOLLOWED = """
FROM images i LEFT JOIN fleet_images f ON f.digest = i.id AND f.flaws IS NOT NULL
    AND i.definitions <> (SELECT definitions FROM fleet_state)
    AND (i.matched < (SELECT began FROM fleet_runs JOIN fleet_state USING (run))
        OR i.definitions = ANY(ARRAY(SELECT r.definitions FROM fleet_runs r, fleet_state s WHERE r.run < s.run)))
"""
_indexes = msgspec.msgpack.Decoder(IndexReport)
_reports = msgspec.msgpack.Decoder(VulnerabilityReport)


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """An image without its reports. ``id`` is the manifest's digest; see ``0030_images.sql``."""

    id: str
    name: str
    indexed: datetime
    matched: datetime
    definitions: str
    system: str
    components: int
    cves: int
    fixable: int
    top_cvss: float | None
    source: str
    #: The cluster whose own Indexer looked at it; empty for Central's.
    cluster: str = ""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An image with its reports, and all its names, the newest first."""

    listed: Listed
    names: tuple[str, ...]
    index: IndexReport
    report: VulnerabilityReport


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which images: each field is how a name, an id or a system begins (in any case); empty: any."""

    name: str = ""
    id: str = ""
    system: str = ""


class ImageStore(Store):
    """The tables ``images`` and ``image_names``."""

    async def find(self, digest: str) -> Kept | None:
        """What is kept of a digest."""
        row = await self._pool.fetchrow(
            f"SELECT {_LISTED}, index, report,"  # noqa: S608  # a constant
            " ARRAY(SELECT n.name FROM image_names n WHERE n.image = i.id ORDER BY n.seen DESC, n.name) AS names"
            " FROM images i WHERE id = $1",
            digest,
        )
        if row is None:
            return None
        values = dict(row)
        packed = values.pop("index"), values.pop("report")
        names = tuple(values.pop("names"))
        index, report = await asyncio.to_thread(_read, *packed)
        return Kept(listed=msgspec.convert(values, Listed), names=names, index=index, report=report)

    async def listed(self, digest: str) -> Listed | None:
        """The same without the reports."""
        row = await self._pool.fetchrow(f"SELECT {_LISTED} FROM images WHERE id = $1", digest)  # noqa: S608
        return one(Listed, row)

    async def named(self, name: str) -> str | None:
        """The digest that a name led to when it was looked at last."""
        found = await self._pool.fetchval("SELECT image FROM image_names WHERE name = $1", name)
        return None if found is None else str(found)

    async def makers(self, digest: str, name: str) -> set[str]:
        """Whose Indexers looked at an image, and at the one that a name leads to; those of what is kept."""
        rows = await self._pool.fetch(
            "SELECT DISTINCT cluster FROM images WHERE id = $1"
            " OR id = (SELECT image FROM image_names WHERE name = $2)",
            digest,
            name,
        )
        return {row["cluster"] for row in rows}

    async def names_by_others(self, digest: str, cluster: str) -> list[str]:
        """Names of an image that others than a cluster's Indexer looked at; none where it is not known, or that one did."""
        rows = await self._pool.fetch(
            "SELECT n.name FROM image_names n JOIN images i ON i.id = n.image WHERE i.id = $1 AND i.cluster <> $2",
            digest,
            cluster,
        )
        return [row["name"] for row in rows]

    async def put(self, listed: Listed, index: IndexReport, report: VulnerabilityReport) -> None:
        """Keep a scan in place of what was kept of the digest, and let its name lead to it."""
        packed = await asyncio.to_thread(_written, index), await asyncio.to_thread(_written, report)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO images (id, name, indexed, matched, definitions, system, components, cves, fixable,"
                " top_cvss, source, cluster, index, report)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
                " ON CONFLICT (id) DO UPDATE SET name = excluded.name, indexed = excluded.indexed,"
                " matched = excluded.matched, definitions = excluded.definitions, system = excluded.system,"
                " components = excluded.components, cves = excluded.cves, fixable = excluded.fixable,"
                " top_cvss = excluded.top_cvss, source = excluded.source, cluster = excluded.cluster,"
                " index = excluded.index, report = excluded.report",
                *msgspec.structs.astuple(listed),
                *packed,
            )
            await _lead(connection, listed)

    async def seen(self, listed: Listed) -> None:
        """Note that a name leads to an image that is kept as it is."""
        async with self._pool.acquire() as connection, connection.transaction():
            done = await connection.execute(
                "UPDATE images SET name = $2, indexed = $3, source = $4 WHERE id = $1",
                listed.id,
                listed.name,
                listed.indexed,
                listed.source,
            )
            if affected(done):
                await _lead(connection, listed)

    async def matched(self, listed: Listed, report: VulnerabilityReport) -> bool:
        """Keep another report of the same index; false where the image was looked at anew, or removed, meanwhile."""
        done = await self._pool.execute(
            "UPDATE images SET matched = $3, definitions = $4, cves = $5, fixable = $6, top_cvss = $7, report = $8"
            " WHERE id = $1 AND indexed = $2",
            listed.id,
            listed.indexed,
            listed.matched,
            listed.definitions,
            listed.cves,
            listed.fixable,
            listed.top_cvss,
            await asyncio.to_thread(_written, report),
        )
        return bool(affected(done))

    async def seen_within(self, digest: str, within: Reach) -> bool:
        """Whether a deployment within ``within`` runs an image."""
        where, values = _where(Wanted(), within)
        more = f"{where} AND" if where else "WHERE"
        statement = f"SELECT EXISTS (SELECT FROM images i {more} i.id = ${len(values) + 1})"  # noqa: S608
        return bool(await self._pool.fetchval(statement, *values, digest))

    async def list(
        self, wanted: Wanted, within: Reach = EVERYWHERE, *, limit: int, offset: int = 0
    ) -> list[Listed]:
        """Images by name: those that a deployment within ``within`` runs. Counts are of the definitions that the fleet follows, or newer ones."""
        where, values = _where(wanted, within)
        rows = await self._pool.fetch(
            f"SELECT {_IN_LIST} {_FOLLOWED} {where} ORDER BY i.name, i.id"
            f" LIMIT ${len(values) + 1} OFFSET ${len(values) + 2}",
            *values,
            limit,
            offset,
        )
        return several(Listed, rows)

    async def count(self, wanted: Wanted, within: Reach = EVERYWHERE) -> int:
        """How many there are."""
        where, values = _where(wanted, within)
        return int(await self._pool.fetchval(f"SELECT count(*) FROM images i {where}", *values))  # noqa: S608

    async def delete(self, wanted: Wanted) -> int:
        """Forget images; how many."""
        where, values = _where(wanted)
        return affected(await self._pool.execute(f"DELETE FROM images i {where}", *values))  # noqa: S608

    async def ids(self, wanted: Wanted, within: Reach = EVERYWHERE, *, page: int = 500) -> AsyncIterator[str]:
        """Their digests, in order; what comes or goes meanwhile may or may not be among them."""
        where, values = _where(wanted, within)
        last = ""
        more = f"{where} AND" if where else "WHERE"
        while True:
            rows = await self._pool.fetch(
                f"SELECT id FROM images i {more} id > ${len(values) + 1} ORDER BY id LIMIT {page}",  # noqa: S608
                *values,
                last,
            )
            if not rows:
                return
            for row in rows:
                last = str(row["id"])
                yield last


async def _lead(connection: Connection, listed: Listed) -> None:
    await connection.execute(
        "INSERT INTO image_names (name, image, seen) VALUES ($1, $2, $3)"
        " ON CONFLICT (name) DO UPDATE SET image = excluded.image, seen = excluded.seen",
        listed.name,
        listed.id,
        listed.indexed,
    )


#: Images that deployments run, for which a condition on ``o`` holds: by digest, and by name.
_RUN = (
    "i.id IN (WITH run AS (SELECT DISTINCT unnest(o.images) AS image FROM cluster_objects o"
    " WHERE o.kind = 'deployment' AND {}) SELECT image FROM run UNION ALL"
    " SELECT n.image FROM image_names n JOIN run ON run.image = n.name)"
)


def _where(wanted: Wanted, within: Reach = EVERYWHERE) -> tuple[str, list[object]]:
    """A condition and its values. The text is made of constants only."""
    conditions: list[str] = []
    values: list[object] = []
    if not within.everywhere:
        conditions.append(_RUN.format(within.condition(values, "o.cluster", "o.namespace")))
    for text, condition in (
        (wanted.name, "EXISTS (SELECT FROM image_names n WHERE n.image = i.id AND n.name ILIKE ${})"),
        (wanted.id, "i.id ILIKE ${}"),
        (wanted.system, "i.system ILIKE ${}"),
    ):
        if text:
            values.append(text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%")
            conditions.append(condition.format(len(values)))
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), values


def _written(report: IndexReport | VulnerabilityReport) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(msgspec.msgpack.encode(report))


def _read(index: bytes, report: bytes) -> tuple[IndexReport, VulnerabilityReport]:
    opened = zstandard.ZstdDecompressor()
    try:
        return (
            _indexes.decode(opened.decompress(index, max_output_size=_LARGEST)),
            _reports.decode(opened.decompress(report, max_output_size=_LARGEST)),
        )
    except (msgspec.MsgspecError, zstandard.ZstdError) as error:
        raise UnreadableInput(
            f"what is kept of an image cannot be read ({error}); have it scanned again, with force"
        ) from None
