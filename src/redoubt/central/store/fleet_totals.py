"""The fleet's counts and lists, brought up to date in the background: what pages show is here, and nothing is added up
for them.

Who changes something that is counted leaves a row in ``fleet_due``; one Central at a time takes these and counts what
they name. In how many images a flaw is, is a matter of sets: packages' images are bits of a number, and those of
a flaw's packages are joined. A table of all images' flaws would have a hundred times the rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from redoubt.central.store import Store, fleet_listed
from redoubt.central.store.fleet_intake import PACKAGES_LOCK
from redoubt.central.store.fleet_rows import unpacked, verdict_decoder
from redoubt.matcher.apart import owned, subject
from redoubt.postgres.locks import held
from redoubt.postgres.pool import Connection

#: It is "total" in ASCII.
_LOCK = 0x746F74616C
#: Flaws that are counted at a time.
_FLAWS = 3000
#: Images that are settled at a time.
_IMAGES = 50

_COUNT_IMAGES = """
UPDATE fleet_images i SET critical = s.critical, high = s.high, medium = s.medium, low = s.low,
    negligible = s.negligible, unknown = s.unknown, fixable = s.fixable
FROM (
    SELECT c.image, coalesce(sum(p.critical), 0) AS critical, coalesce(sum(p.high), 0) AS high,
        coalesce(sum(p.medium), 0) AS medium, coalesce(sum(p.low), 0) AS low,
        coalesce(sum(p.negligible), 0) AS negligible, coalesce(sum(p.unknown), 0) AS unknown,
        coalesce(sum(p.fixable), 0) AS fixable
    FROM fleet_images c LEFT JOIN fleet_image_packages ip ON ip.image = c.image AND NOT ip.owned
    LEFT JOIN fleet_packages p ON p.package = ip.package WHERE c.image = ANY($1) GROUP BY c.image
) s
WHERE s.image = i.image
    AND (i.critical, i.high, i.medium, i.low, i.negligible, i.unknown, i.fixable)
    <> (s.critical, s.high, s.medium, s.low, s.negligible, s.unknown, s.fixable)
"""
_ADD_TO_IMAGES = """
WITH due AS (
    DELETE FROM fleet_due_counts RETURNING *
), added AS (
    SELECT image, sum(critical) AS critical, sum(high) AS high, sum(medium) AS medium, sum(low) AS low,
        sum(negligible) AS negligible, sum(unknown) AS unknown, sum(fixable) AS fixable
    FROM due JOIN fleet_image_packages ip USING (package)
    WHERE $1 AND NOT owned GROUP BY image
), done AS (
    UPDATE fleet_images i SET critical = i.critical + s.critical, high = i.high + s.high,
        medium = i.medium + s.medium, low = i.low + s.low, negligible = i.negligible + s.negligible,
        unknown = i.unknown + s.unknown, fixable = i.fixable + s.fixable
    FROM added s WHERE s.image = i.image
)
SELECT count(*) FROM due
"""
_COUNT_CHANGES = """
INSERT INTO fleet_image_changes (run, image, appeared, gone, worse, better)
SELECT $1, image, sum(appeared), sum(gone), sum(worse), sum(better) FROM (
    SELECT package, count(*) FILTER (WHERE change = 'new') AS appeared, count(*) FILTER (WHERE change = 'gone') AS gone,
        count(*) FILTER (WHERE change = 'worse') AS worse, count(*) FILTER (WHERE change = 'better') AS better
    FROM fleet_changes WHERE run = $1 GROUP BY package
) c JOIN fleet_image_packages ip USING (package) WHERE NOT owned GROUP BY image
ON CONFLICT (run, image) DO UPDATE SET appeared = excluded.appeared, gone = excluded.gone, worse = excluded.worse,
    better = excluded.better
"""


class Counted(msgspec.Struct, frozen=True):
    """What was brought up to date: images settled, packages whose images were counted, flaws."""

    settled: int = 0
    packages: int = 0
    flaws: int = 0

    def __bool__(self) -> bool:
        return bool(self.settled or self.packages or self.flaws)


class FleetTotals(Store):
    """Counts and lists."""

    async def bring_up_to_date(self) -> Counted:
        """Count what is due. Nothing where another Central is counting."""
        async with self._pool.acquire() as connection, held(connection, _LOCK) as mine:
            if not mine:
                return Counted()
            return Counted(
                await self._settle(connection),
                await self._count_images(connection),
                await self._count_flaws(connection),
            )

    async def bring_lists_up_to_date(self) -> int:
        """Count what lists of images show, where that is due; how many images. 0 where another Central is counting."""
        async with self._pool.acquire() as connection, held(connection, _LOCK) as mine:
            return await fleet_listed.count(connection) if mine else 0

    async def changes(self, run: int) -> None:
        """Count what a run found otherwise, by image."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            await connection.execute(_COUNT_CHANGES, run)

    async def changed_images(self, run: int) -> list[str]:
        """Digests of the images of which a run found something otherwise."""
        rows = await self._pool.fetch(
            "SELECT i.digest FROM fleet_image_changes JOIN fleet_images i USING (image) WHERE run = $1", run
        )
        return [row["digest"] for row in rows]

    async def forget_changes(self, kept: int) -> None:
        """Forget what runs found, but for the last ``kept``."""
        for table in ("fleet_changes", "fleet_image_changes"):
            await self._pool.execute(
                f"DELETE FROM {table} WHERE run <= (SELECT max(run) FROM fleet_runs) - $1",  # noqa: S608
                kept,
            )

    async def sweep(self) -> int:
        """Remove packages that no image has any more, and what is only about them; how many packages.

        Nothing while somebody takes in an image or stores verdicts: the next sweep is soon enough.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", PACKAGES_LOCK):
                return 0
            left = await _taken(connection, "left")
            rows = await connection.fetch(
                "DELETE FROM fleet_packages p WHERE package = ANY($1) AND NOT EXISTS"
                " (SELECT 1 FROM fleet_image_packages ip WHERE ip.package = p.package) RETURNING package, question",
                left,
            )
            gone = [row["package"] for row in rows]
            if gone:
                await connection.execute("DELETE FROM fleet_findings WHERE package = ANY($1)", gone)
                await connection.execute(
                    "DELETE FROM fleet_questions q WHERE question = ANY($1) AND NOT EXISTS"
                    " (SELECT 1 FROM fleet_packages p WHERE p.question = q.question)",
                    [row["question"] for row in rows],
                )
            await connection.execute(
                "DELETE FROM fleet_details d WHERE NOT EXISTS (SELECT 1 FROM fleet_findings f WHERE f.detail = d.detail)"
            )
        return len(gone)

    async def _settle(self, connection: Connection) -> int:
        """Find out who owns what, in images whose packages all have verdicts."""
        done = after = 0
        while True:
            rows = await connection.fetch(
                "SELECT image, report FROM fleet_images i WHERE NOT settled AND image > $1 AND NOT EXISTS ("
                " SELECT 1 FROM fleet_image_packages ip JOIN fleet_packages p USING (package)"
                " WHERE ip.image = i.image AND verdict IS NULL) ORDER BY image LIMIT $2",
                after,
                _IMAGES,
            )
            if not rows:
                return done
            for row in rows:
                await self._settle_one(connection, row["image"], row["report"])
            done += len(rows)
            after = rows[-1]["image"]

    async def _settle_one(self, connection: Connection, image: int, data: bytes) -> None:
        known = await connection.fetch(
            "SELECT key, package, verdict, owned FROM fleet_image_packages JOIN fleet_packages USING (package)"
            " WHERE image = $1",
            image,
        )
        packages = {row["key"]: row for row in known}

        def work() -> set[int]:
            report = unpacked(data)
            keys = [subject(package, report.distribution).key for package in report.packages]
            verdicts = [verdict_decoder.decode(packages[key]["verdict"]) for key in keys]
            # A package that is there twice, in one place owned and in another not, counts.
            said = list(zip(keys, owned(report, verdicts), strict=True))
            counting = {key for key, is_owned in said if not is_owned}
            return {packages[key]["package"] for key, _ in said if key not in counting}

        owns = await asyncio.to_thread(work)
        turned = [row["package"] for row in known if row["owned"] != (row["package"] in owns)]
        async with connection.transaction():
            if turned:
                await connection.execute(
                    "UPDATE fleet_image_packages SET owned = NOT owned WHERE image = $1 AND package = ANY($2)",
                    image,
                    turned,
                )
                await connection.execute(
                    "INSERT INTO fleet_due SELECT DISTINCT 'flaw', flaw FROM fleet_findings, fleet_images"
                    " WHERE package = ANY($2) AND image = $1 AND counted AND counts",
                    image,
                    turned,
                )
            await connection.execute("UPDATE fleet_images SET settled = true WHERE image = $1", image)
            await connection.execute("INSERT INTO fleet_due VALUES ('image', $1)", image)

    async def _count_images(self, connection: Connection) -> int:
        """Add to images what their packages' counts changed by; and count those from scratch that are due.

        Counts and what they changed by were written together, and here all is seen at one instant: so nothing is
        counted twice. Where an image is written meanwhile, all of this is done again.
        """
        async with connection.transaction(isolation="repeatable_read"):
            await connection.execute("SET LOCAL statement_timeout = 0")
            await connection.execute("SET LOCAL work_mem = '64MB'")
            images = await _taken(connection, "image")
            if images:
                await connection.execute("INSERT INTO fleet_due SELECT 'recount', unnest($1::int[])", images)
            every: int = await connection.fetchval("SELECT count(*) FROM fleet_images")
            from_scratch = len(images) * 2 > every
            packages: int = await connection.fetchval(_ADD_TO_IMAGES, not from_scratch)
            if packages and from_scratch:
                images = [row["image"] for row in await connection.fetch("SELECT image FROM fleet_images")]
            if images:
                await connection.execute(_COUNT_IMAGES, images)
        return packages + len(images)

    async def _count_flaws(self, connection: Connection) -> int:
        done = await self._count_new_images(connection)
        async with connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            due = sorted(await _taken(connection, "flaw"))
            if not due:
                return done
            bits = await _bits(connection)
            for start in range(0, len(due), _FLAWS):
                await self._count_some(connection, due[start : start + _FLAWS], bits)
        return done + len(due)

    async def _count_new_images(self, connection: Connection) -> int:
        """Add images to the numbers of their flaws; where many are new, have the flaws counted from scratch."""
        async with connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            new = [
                row["image"]
                for row in await connection.fetch(
                    "SELECT image FROM fleet_images i WHERE NOT counted AND settled AND NOT EXISTS ("
                    " SELECT 1 FROM fleet_image_packages ip JOIN fleet_packages p USING (package)"
                    " WHERE ip.image = i.image AND verdict IS NULL) ORDER BY image"
                )
            ]
            if not new:
                return 0
            await connection.execute("UPDATE fleet_images SET counted = true WHERE image = ANY($1)", new)
            if len(new) > _IMAGES:
                await connection.execute("INSERT INTO fleet_due SELECT 'flaw', flaw FROM fleet_flaws")
                return 0
            tag = await connection.execute(
                "UPDATE fleet_flaws o SET images = o.images + n.images FROM ("
                " SELECT flaw, count(DISTINCT image) AS images FROM fleet_image_packages JOIN fleet_findings USING (package)"
                " WHERE image = ANY($1) AND NOT owned AND counts GROUP BY flaw) n WHERE n.flaw = o.flaw",
                new,
            )
        return int(tag.rpartition(" ")[2])

    async def _count_some(self, connection: Connection, flaws: Sequence[int], bits: dict[int, int]) -> None:
        findings = await connection.fetch(
            "SELECT flaw, package, severity, fixable, exploited FROM fleet_findings WHERE flaw = ANY($1) AND counts",
            flaws,
        )
        places = await connection.fetch(
            "SELECT package, array_agg(image) AS images FROM fleet_image_packages"
            " WHERE package = ANY($1) AND NOT owned GROUP BY package",
            list({row["package"] for row in findings}),
        )

        def work() -> list[_Total]:
            sets = {row["package"]: _bitset(row["images"], bits) for row in places}
            totals = {flaw: _Total(flaw) for flaw in flaws}
            for flaw, package, severity, fixable, exploited in findings:
                total = totals[flaw]
                if members := sets.get(package):
                    total.members |= members
                    total.packages += 1
                    total.severity = max(total.severity, severity)
                    total.fixable |= fixable
                    total.exploited |= exploited
            return list(totals.values())

        totals = await asyncio.to_thread(work)
        await connection.execute(
            "UPDATE fleet_flaws o SET severity = n.severity, fixable = n.fixable, exploited = n.exploited,"
            " packages = n.packages, images = n.images"
            " FROM unnest($1::int[], $2::int[], $3::bool[], $4::bool[], $5::int[], $6::int[])"
            " AS n (flaw, severity, fixable, exploited, packages, images) WHERE o.flaw = n.flaw"
            " AND (o.severity, o.fixable, o.exploited, o.packages, o.images)"
            " <> (n.severity, n.fixable, n.exploited, n.packages, n.images)",
            [total.flaw for total in totals],
            [total.severity for total in totals],
            [total.fixable for total in totals],
            [total.exploited for total in totals],
            [total.packages for total in totals],
            [total.members.bit_count() for total in totals],
        )


class _Total(msgspec.Struct):
    flaw: int
    members: int = 0
    packages: int = 0
    severity: int = 0
    fixable: bool = False
    exploited: bool = False


async def _taken(connection: Connection, kind: str) -> list[int]:
    """What of one kind is due; it no longer is once the transaction ends well."""
    rows = await connection.fetch("DELETE FROM fleet_due WHERE kind = $1 RETURNING subject", kind)
    return list({row["subject"] for row in rows})


async def _bits(connection: Connection) -> dict[int, int]:
    """A bit for each image that is counted; images that went leave no gaps."""
    rows = await connection.fetch("SELECT image FROM fleet_images WHERE counted ORDER BY image")
    return {row["image"]: bit for bit, row in enumerate(rows)}


def _bitset(images: Iterable[int], bits: dict[int, int]) -> int:
    """Images as bits of a number."""
    data = bytearray((len(bits) + 7) // 8)
    for image in images:
        bit = bits.get(image)
        if bit is not None:
            data[bit >> 3] |= 1 << (bit & 7)
    return int.from_bytes(data, "little")
