"""Images of clusters that are to be scanned."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from redoubt.central.store import Connection, Store, affected, several


class WantedImage(msgspec.Struct, frozen=True, kw_only=True):
    """See ``0085_cluster_images.sql``."""

    reference: str
    name: str
    digest: str
    tries: int = 0


async def want(connection: Connection, images: Sequence[WantedImage], cluster: UUID) -> bool:
    """Note those of which nothing is known that counts for their cluster; whether there are such.

    Within the transaction that stores their deployments.
    """
    tag = await connection.execute(
        "INSERT INTO cluster_images (reference, name, digest)"
        " SELECT w.reference, w.name, w.digest"
        " FROM unnest($1::text[], $2::text[], $3::text[]) AS w (reference, name, digest)"
        " WHERE NOT EXISTS (SELECT FROM images i WHERE i.cluster IN ('', $4::text) AND (i.id = w.digest"
        " OR w.digest = '' AND i.id = (SELECT n.image FROM image_names n WHERE n.name = w.reference)))"
        " ON CONFLICT DO NOTHING",
        [each.reference for each in images],
        [each.name for each in images],
        [each.digest for each in images],
        str(cluster),
    )
    return affected(tag) > 0


class WantedStore(Store):
    """Table ``cluster_images``."""

    async def take(self, count: int, lease: timedelta) -> list[WantedImage]:
        """Those that are due, the longest wanted first; nobody else takes them within ``lease``."""
        rows = await self._pool.fetch(
            "UPDATE cluster_images SET due = now() + $2::interval WHERE reference IN (SELECT reference FROM cluster_images"
            " WHERE due <= now() ORDER BY tries, wanted LIMIT $1 FOR UPDATE SKIP LOCKED)"
            " RETURNING reference, name, digest, tries",
            count,
            lease,
        )
        return several(WantedImage, rows)

    async def runs(self, image: WantedImage) -> bool:
        """Whether a deployment still has the image."""
        named = image.digest or image.name
        return bool(
            await self._pool.fetchval(
                "SELECT EXISTS (SELECT FROM cluster_objects WHERE kind = 'deployment' AND images @> ARRAY[$1::text])",
                named,
            )
            or (
                image.digest
                and await self._pool.fetchval(
                    "SELECT EXISTS (SELECT FROM cluster_objects WHERE kind = 'deployment' AND images @> ARRAY[$1::text])",
                    image.name,
                )
            )
        )

    async def done(self, reference: str) -> None:
        """It is wanted no more."""
        await self._pool.execute("DELETE FROM cluster_images WHERE reference = $1", reference)

    async def again(self, reference: str, wait: timedelta, problem: str, *, count: bool) -> None:
        """Try it again after a while."""
        await self._pool.execute(
            "UPDATE cluster_images SET due = now() + $2::interval, problem = $3, tries = tries + $4 WHERE reference = $1",
            reference,
            wait,
            problem.replace("\x00", ""),
            int(count),
        )
