"""Images come into the fleet and leave it. Who judges and counts what came is told by rows of work."""

from __future__ import annotations

from redoubt.central.store import Store
from redoubt.central.store.fleet_rows import encode, packed
from redoubt.errors import UsageError
from redoubt.matcher.apart import Subject, question, subject
from redoubt.model import IndexReport, namespaces
from redoubt.postgres.pool import Connection

#: Held (shared) by who relies on packages to stay, and by the one who removes those that no image has.
PACKAGES_LOCK = 0x7061636B73


class FleetIntake(Store):
    """Takes images in and lets them go."""

    async def put_image(self, report: IndexReport, name: str = "") -> int:
        """Take an image in (again), by its digest, and have what nobody judged yet judged in the background.

        Raises ``UsageError`` where the image has no digest.
        """
        digest = report.image.digest or report.image.config_digest
        if not digest:
            raise UsageError("only images with a digest can be kept in the fleet")
        release = namespaces.lifecycle(report.distribution) if report.distribution else None
        subjects = {
            made.key: made for made in (subject(item, report.distribution) for item in report.packages)
        }
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", PACKAGES_LOCK)
            image: int = await connection.fetchval(
                "INSERT INTO fleet_images (digest, name, release, packages, report, settled)"
                " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (digest) DO UPDATE SET name = excluded.name,"
                " release = excluded.release, packages = excluded.packages, report = excluded.report,"
                " settled = excluded.settled RETURNING image",
                digest,
                name or report.image.reference,
                release or "",
                len(report.packages),
                packed(report),
                not any(place.owner for package in report.packages for place in package.locations),
            )
            if release:
                await connection.execute(
                    "INSERT INTO fleet_releases (release) VALUES ($1) ON CONFLICT DO NOTHING", release
                )
            await _register(connection, subjects)
            await _contain(connection, image, list(subjects))
        return image

    async def remove_image(self, digest: str) -> bool:
        """Let an image go. False where it is not there."""
        async with self._pool.acquire() as connection, connection.transaction():
            image = await connection.fetchval(
                "SELECT image FROM fleet_images WHERE digest = $1 FOR UPDATE", digest
            )
            if image is None:
                return False
            await connection.execute(
                "INSERT INTO fleet_due SELECT DISTINCT 'flaw', flaw FROM fleet_image_packages"
                " JOIN fleet_findings USING (package) WHERE image = $1 AND counts",
                image,
            )
            await connection.execute(
                "INSERT INTO fleet_due SELECT 'left', package FROM fleet_image_packages WHERE image = $1",
                image,
            )
            await connection.execute("DELETE FROM fleet_images WHERE image = $1", image)
            return True


async def _contain(connection: Connection, image: int, keys: list[bytes]) -> None:
    """Say what is in an image, and what of it has to be judged and counted."""
    added = await connection.fetch(
        "INSERT INTO fleet_image_packages (image, package)"
        " SELECT $1, package FROM fleet_packages WHERE key = ANY($2) ON CONFLICT DO NOTHING RETURNING package",
        image,
        keys,
    )
    gone = await connection.fetch(
        "DELETE FROM fleet_image_packages WHERE image = $1 AND package NOT IN"
        " (SELECT package FROM fleet_packages WHERE key = ANY($2)) RETURNING package",
        image,
        keys,
    )
    await connection.executemany(
        "INSERT INTO fleet_due VALUES ('left', $1)", [(row["package"],) for row in gone]
    )
    if await connection.fetchval("SELECT counted FROM fleet_images WHERE image = $1", image):
        # It was here before, with other packages.
        await connection.execute(
            "INSERT INTO fleet_due SELECT DISTINCT 'flaw', flaw FROM fleet_findings WHERE package = ANY($1) AND counts",
            [row["package"] for row in (*added, *gone)],
        )
    await connection.execute(
        "INSERT INTO fleet_work (packages) SELECT array_agg(package ORDER BY question) FROM fleet_packages"
        " WHERE key = ANY($1) AND verdict IS NULL HAVING count(*) > 0",
        keys,
    )
    await connection.execute("INSERT INTO fleet_due VALUES ('image', $1)", image)


async def _register(connection: Connection, subjects: dict[bytes, Subject]) -> None:
    """Rows for those subjects that nobody has seen before. Sorted, so that two who add the same wait in turn."""
    known = {
        row["key"]
        for row in await connection.fetch(
            "SELECT key FROM fleet_packages WHERE key = ANY($1)", list(subjects)
        )
    }
    new = [(key, made, question(made)) for key, made in sorted(subjects.items()) if key not in known]
    if not new:
        return
    asked = {item.key: item for _, _, item in new}
    asked = dict(sorted(asked.items(), key=lambda item: encode(item[1])))  # neighbours share records
    await connection.execute(
        "INSERT INTO fleet_questions (key, body) SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING",
        list(asked),
        [encode(item) for item in asked.values()],
    )
    await connection.execute(
        "INSERT INTO fleet_packages (key, question, type, name, version, body)"
        " SELECT n.key, q.question, n.type, n.name, n.version, n.body"
        " FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::bytea[])"
        " AS n (key, asked, type, name, version, body) JOIN fleet_questions q ON q.key = n.asked"
        " ORDER BY n.key ON CONFLICT DO NOTHING",
        [key for key, _, _ in new],
        [item.key for _, _, item in new],
        [_text(made.package.type) for _, made, _ in new],
        [_text(made.package.name) for _, made, _ in new],
        [_text(made.package.version) for _, made, _ in new],
        [encode(made) for _, made, _ in new],
    )


def _text(value: str) -> str:
    """What PostgreSQL takes: names in images are anything, and U+0000 is no text to it."""
    return value.replace("\0", "\ufffd").encode(errors="replace").decode()
