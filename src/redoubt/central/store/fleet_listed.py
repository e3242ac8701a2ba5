"""What lists of images show of each, as the image itself counts it: how many flaws, how many with a fix, the highest score.

``fleet_totals`` adds up findings of packages; here a flaw in several packages counts once. That cannot be added to, so it
is counted anew for the images that have a package of which something else was found, or that came or were settled. Who
changes something leaves the package or the image in ``fleet_due``.
"""

from __future__ import annotations

import asyncio

import msgspec

from redoubt.postgres.pool import Connection

#: Images that are counted at a time, and in one go.
_IMAGES, _GO = 250, 2000
#: Packages changed, from which on all images are counted.
_MANY = 10_000

_AFFECTED = """
INSERT INTO fleet_due SELECT DISTINCT 'recount', image FROM fleet_image_packages WHERE package = ANY($1) AND NOT owned
"""
_ALL = "INSERT INTO fleet_due SELECT 'recount', image FROM fleet_images"
_SOME = """
DELETE FROM fleet_due WHERE kind = 'recount' AND subject IN (
    SELECT DISTINCT subject FROM fleet_due WHERE kind = 'recount' ORDER BY subject LIMIT $1) RETURNING subject
"""
_SAID = """
SELECT package, array_agg(flaw) AS flaws, array_agg(flaw) FILTER (WHERE fixable) AS fixable, max(top_cvss) AS top_cvss
FROM fleet_findings JOIN fleet_details USING (detail) WHERE package = ANY($1) AND counts GROUP BY package
"""
_STORE = """
UPDATE fleet_images i SET flaws = n.flaws, fixable_flaws = n.fixable, top_cvss = n.top_cvss
FROM unnest($1::int[], $2::int[], $3::int[], $4::real[]) AS n (image, flaws, fixable, top_cvss)
WHERE n.image = i.image AND (i.flaws, i.fixable_flaws, i.top_cvss) IS DISTINCT FROM (n.flaws, n.fixable, n.top_cvss)
"""


class _Said(msgspec.Struct, frozen=True, gc=False):
    """What of a package's findings counts here."""

    flaws: frozenset[int]
    fixable: frozenset[int]
    top_cvss: float | None


_NOTHING = _Said(frozenset(), frozenset(), None)


async def count(connection: Connection) -> int:
    """Count what is due, at most ``_GO`` images; how many."""
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        rows = await connection.fetch("DELETE FROM fleet_due WHERE kind = 'listed' RETURNING subject")
        packages = list({row["subject"] for row in rows})
        if len(packages) > _MANY:
            await connection.execute(_ALL)
        elif packages:
            await connection.execute(_AFFECTED, packages)
    done = 0
    known: dict[int, _Said] = {}  # what is found otherwise meanwhile is due again
    while done < _GO and (counted := await _count_some(connection, known)):
        done += counted
    return done


async def _count_some(connection: Connection, known: dict[int, _Said]) -> int:
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        images = list({row["subject"] for row in await connection.fetch(_SOME, _IMAGES)})
        if not images:
            return 0
        contents = await connection.fetch(
            "SELECT image, array_agg(package) AS packages FROM fleet_image_packages"
            " WHERE image = ANY($1) AND NOT owned GROUP BY image",
            images,
        )
        new = {each for row in contents for each in row["packages"]} - known.keys()
        said = await connection.fetch(_SAID, list(new)) if new else []

        def work() -> list[tuple[int, _Said]]:
            known.update(dict.fromkeys(new, _NOTHING))
            for row in said:
                known[row["package"]] = _Said(
                    frozenset(row["flaws"]), frozenset(row["fixable"] or ()), row["top_cvss"]
                )
            found = dict.fromkeys(images, _NOTHING)
            found |= {row["image"]: _together([known[each] for each in row["packages"]]) for row in contents}
            return list(found.items())

        counted = await asyncio.to_thread(work)
        await connection.execute(
            _STORE,
            [image for image, _ in counted],
            [len(listed.flaws) for _, listed in counted],
            [len(listed.fixable) for _, listed in counted],
            [listed.top_cvss for _, listed in counted],
        )
    return len(images)


def _together(packages: list[_Said]) -> _Said:
    several = [each for each in packages if each.flaws]
    scores = [each.top_cvss for each in several if each.top_cvss is not None]
    return _Said(
        frozenset().union(*(each.flaws for each in several)),
        frozenset().union(*(each.fixable for each in several if each.fixable)),
        max(scores, default=None),
    )
