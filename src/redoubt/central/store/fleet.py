"""The fleet's images: taken in, let go, and read a page at a time.

Counts and lists are kept by ``FleetTotals``; no page adds anything up over the fleet. A page ends with a token
(``after``) that begins the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import GenericAlias
from typing import TYPE_CHECKING, TypeVar

import msgspec

from redoubt.central.store import several
from redoubt.central.store.fleet_intake import FleetIntake
from redoubt.central.store.fleet_rows import (
    ChangeRow,
    FindingRow,
    FlawRow,
    ImageChanges,
    ImageRow,
    brief_decoder,
    finding_decoder,
    info_decoder,
    unpacked,
    verdict_decoder,
)
from redoubt.errors import UsageError
from redoubt.matcher.apart import Verdict, cves_of, subject, together
from redoubt.model import Epss, Finding, VulnerabilityReport
from redoubt.postgres.pool import Connection

if TYPE_CHECKING:
    pass

S = TypeVar("S")

#: Rows of a page, unless the caller wants fewer.
PAGE = 100
#: Above so many images a flaw's are found by walking over all images, below by its packages.
_COMMON = 400
_FAR = 2**31 - 1

_IMAGE = "image, digest, name, added, packages, critical, high, medium, low, negligible, unknown, fixable"
_FLAW = "flaw, name, severity, exploited, probability, percentile, fixable, packages, images, first_seen"


#: $1 digest, $2 rows, $3 to $7 where the page begins. Only those severities are read that the page can reach: below
#: the one that it begins in, of which nobody knows how much is left, as many as fill it.
_FINDINGS = """
SELECT p.type, p.name, p.version, c.first_seen, d.body, c.probability, c.flaw, c.package,
    c.severity, c.exploited
FROM (
    SELECT f.package, f.flaw, f.detail, f.severity, f.exploited, f.first_seen, o.probability
    FROM (
        SELECT image, CASE
            WHEN critical * (5 < $3::int)::int >= $2::int THEN 5
            WHEN critical * (5 < $3::int)::int + high * (4 < $3::int)::int >= $2::int THEN 4
            WHEN critical * (5 < $3::int)::int + high * (4 < $3::int)::int + medium * (3 < $3::int)::int >= $2::int THEN 3
            ELSE 0 END AS lowest
        FROM fleet_images WHERE digest = $1
    ) i JOIN fleet_image_packages ip ON ip.image = i.image AND NOT ip.owned
    JOIN fleet_findings f ON f.package = ip.package AND f.counts AND f.severity >= i.lowest
    JOIN fleet_flaws o ON o.flaw = f.flaw
    WHERE f.severity <= $3::int AND (f.severity, f.exploited, o.probability, f.flaw, f.package)
        < ($3::int, $4::bool, $5::float8, $6::int, $7::int)
    ORDER BY f.severity DESC, f.exploited DESC, o.probability DESC, f.flaw DESC, f.package DESC LIMIT $2::int
) c JOIN fleet_details d USING (detail) JOIN fleet_packages p ON p.package = c.package
ORDER BY c.severity DESC, c.exploited DESC, c.probability DESC, c.flaw DESC, c.package DESC
"""


class FleetStore(FleetIntake):
    """Images of the fleet: taken in, let go, and read a page at a time."""

    async def image(self, digest: str) -> ImageRow | None:
        """One image, by its digest."""
        rows = await self._pool.fetch(f"SELECT {_IMAGE} FROM fleet_images WHERE digest = $1", digest)  # noqa: S608
        return next(iter(several(ImageRow, rows)), None)

    async def images(self, limit: int = PAGE, after: str = "") -> tuple[list[ImageRow], str]:
        """The images with the most critical findings first, then high ones, and so on."""
        start = _token(after, (_FAR,) * 5)
        rows = await self._pool.fetch(
            f"SELECT {_IMAGE} FROM fleet_images WHERE (critical, high, medium, low, image) < ($1, $2, $3, $4, $5)"  # noqa: S608
            " ORDER BY critical DESC, high DESC, medium DESC, low DESC, image DESC LIMIT $6",
            *start,
            limit,
        )
        found = several(ImageRow, rows)
        return found, _next(
            found, limit, lambda row: (row.critical, row.high, row.medium, row.low, row.image)
        )

    async def cves(self, limit: int = PAGE, after: str = "") -> tuple[list[FlawRow], str]:
        """The flaws that any image has: the most severe first, then those exploited, then the likeliest to be."""
        start = _token(after, (_FAR, True, 2.0, _FAR))
        rows = await self._pool.fetch(
            f"SELECT {_FLAW} FROM fleet_flaws WHERE images > 0"  # noqa: S608
            " AND (severity, exploited, probability, flaw) < ($1::int, $2::bool, $3::float8, $4::int)"
            " ORDER BY severity DESC, exploited DESC, probability DESC, flaw DESC LIMIT $5",
            *start,
            limit,
        )
        found = several(FlawRow, rows)
        return found, _next(
            found, limit, lambda row: (row.severity, row.exploited, row.probability, row.flaw)
        )

    async def cve(self, name: str) -> FlawRow | None:
        """One flaw, by its name."""
        rows = await self._pool.fetch(f"SELECT {_FLAW} FROM fleet_flaws WHERE name = $1", name)  # noqa: S608
        return next(iter(several(FlawRow, rows)), None)

    async def images_of_cve(
        self, name: str, limit: int = PAGE, after: str = ""
    ) -> tuple[list[ImageRow], str]:
        """The images in which a flaw counts, the newest first."""
        (start,) = _token(after, (_FAR,))
        async with self._pool.acquire() as connection:
            flaw = await connection.fetchrow(
                "SELECT images, array(SELECT package FROM fleet_findings f WHERE f.flaw = o.flaw AND counts) AS packages"
                " FROM fleet_flaws o WHERE name = $1",
                name,
            )
            if flaw is None:
                return [], ""
            if flaw["images"] > _COMMON:
                # Nearly every image has it: a page is full soon when images are walked from the newest.
                chosen = (
                    "SELECT image FROM fleet_images i WHERE image < $1 AND EXISTS (SELECT 1 FROM fleet_image_packages p"
                    " WHERE p.image = i.image AND p.package = ANY($2) AND NOT owned) ORDER BY image DESC LIMIT $3"
                )
            else:
                chosen = (
                    "SELECT DISTINCT image FROM fleet_image_packages p WHERE image < $1 AND p.package = ANY($2)"
                    " AND NOT owned ORDER BY image DESC LIMIT $3"
                )
            rows = await connection.fetch(
                f"SELECT {_IMAGE} FROM fleet_images WHERE image IN ({chosen}) ORDER BY image DESC",  # noqa: S608
                start,
                flaw["packages"],
                limit,
            )
        found = several(ImageRow, rows)
        return found, _next(found, limit, lambda row: (row.image,))

    async def findings_of_image(
        self, digest: str, limit: int = PAGE, after: str = ""
    ) -> tuple[list[FindingRow], str]:
        """The findings of an image that count, in the order of ``cves``."""
        start = _token(after, (_FAR, True, 2.0, _FAR, _FAR))
        rows = await self._pool.fetch(_FINDINGS, digest, limit, *start)
        brief = brief_decoder.decode
        found = [
            FindingRow(
                type=kind,
                name=name,
                version=version,
                first_seen=first_seen,
                exploited=exploited,
                probability=probability,
                finding=brief(body),
            )
            for kind, name, version, first_seen, body, probability, _, _, _, exploited in rows
        ]
        if len(rows) < limit:
            return found, ""
        last = rows[-1]
        return found, _as_token(
            (last["severity"], last["exploited"], last["probability"], last["flaw"], last["package"])
        )

    async def report(self, digest: str) -> VulnerabilityReport | None:
        """The whole report, as a scan with the definitions of ``state`` would make it.

        None where the image is not there, or something in it has not been judged yet.
        """
        async with self._pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
            image = await connection.fetchrow(
                "SELECT image, report, release = '' OR end_of_life IS NOT NULL AS known, coalesce(end_of_life, '') AS ends"
                " FROM fleet_images"
                " LEFT JOIN fleet_releases USING (release) WHERE digest = $1",
                digest,
            )
            info = await connection.fetchval("SELECT info FROM fleet_state")
            if image is None or info is None or not image["known"]:
                return None
            report = unpacked(image["report"])
            verdicts, scores = await self._verdicts(connection, image["image"])
        keys = [subject(package, report.distribution).key for package in report.packages]
        if any(key not in verdicts for key in keys):
            return None
        return together(
            report,
            [verdicts[key] for key in keys],
            info_decoder.decode(info),
            _Scores(scores),
            end_of_life=image["ends"],
        )

    async def changes(self, run: int, limit: int = PAGE, after: str = "") -> tuple[list[ImageChanges], str]:
        """The images for which a run found anything otherwise, those with the most new findings first."""
        start = _token(after, (_FAR, _FAR))
        rows = await self._pool.fetch(
            "SELECT image, digest, name, appeared, gone, worse, better FROM fleet_image_changes"
            " JOIN fleet_images USING (image) WHERE run = $1 AND (appeared + worse, image) < ($2, $3)"
            " ORDER BY appeared + worse DESC, image DESC LIMIT $4",
            run,
            *start,
            limit,
        )
        found = several(ImageChanges, rows)
        return found, _next(found, limit, lambda row: (row.appeared + row.worse, row.image))

    async def changes_of_image(self, digest: str, run: int, limit: int = 1000) -> list[ChangeRow]:
        """What a run found otherwise in one image: the worst first."""
        rows = await self._pool.fetch(
            "SELECT c.run, p.type, p.name, p.version, o.name AS flaw, c.change, c.was, c.is_now"
            " FROM fleet_images i JOIN fleet_image_packages ip USING (image) JOIN fleet_changes c USING (package)"
            " JOIN fleet_packages p USING (package) JOIN fleet_flaws o ON o.flaw = c.flaw"
            " WHERE i.digest = $1 AND c.run = $2 AND NOT ip.owned"
            " ORDER BY greatest(c.was, c.is_now) DESC, o.name, p.name, p.package LIMIT $3",
            digest,
            run,
            limit,
        )
        return several(ChangeRow, rows)

    async def _verdicts(
        self, connection: Connection, image: int
    ) -> tuple[dict[bytes, Verdict], dict[str, Epss]]:
        packages = await connection.fetch(
            "SELECT package, key, verdict FROM fleet_image_packages JOIN fleet_packages USING (package)"
            " WHERE image = $1 AND verdict IS NOT NULL",
            image,
        )
        ids = [row["package"] for row in packages]
        rows = await connection.fetch(
            "SELECT package, detail FROM fleet_findings WHERE package = ANY($1)", ids
        )
        details = {
            row["detail"]: finding_decoder.decode(row["body"])
            for row in await connection.fetch(
                "SELECT detail, body FROM fleet_details WHERE detail = ANY($1)",
                list({row["detail"] for row in rows}),
            )
        }
        scores = await _scores(connection, details.values())
        findings: dict[int, list[Finding]] = {}
        for row in rows:
            findings.setdefault(row["package"], []).append(details[row["detail"]])
        verdicts = {}
        for row in packages:
            said = verdict_decoder.decode(row["verdict"])
            judgement = msgspec.structs.replace(
                said.judgement, findings=tuple(findings.get(row["package"], ()))
            )
            verdicts[row["key"]] = msgspec.structs.replace(said, judgement=judgement)
        return verdicts, scores


class _Scores:
    """EPSS as the database has it."""

    def __init__(self, known: dict[str, Epss]) -> None:
        self._known = known

    def epss(self, identifiers: tuple[str, ...]) -> Epss | None:
        found = [self._known[name] for name in identifiers if name in self._known]
        return max(found, key=lambda score: (score.probability, score.percentile), default=None)


async def _scores(connection: Connection, findings: Iterable[Finding]) -> dict[str, Epss]:
    """What is known of the CVEs of some findings."""
    rows = await connection.fetch(
        "SELECT name, probability, percentile, scored FROM fleet_flaws WHERE name = ANY($1) AND scored IS NOT NULL",
        list({name for item in findings for name in cves_of(item)}),
    )
    return {row["name"]: Epss(row["probability"], row["percentile"], row["scored"]) for row in rows}


def _next(rows: Sequence[S], limit: int, key: Callable[[S], tuple[object, ...]]) -> str:
    return _as_token(key(rows[-1])) if len(rows) == limit else ""


def _as_token(key: tuple[object, ...]) -> str:
    return msgspec.json.encode(key).hex()


def _token(after: str, first: tuple[object, ...]) -> tuple[object, ...]:
    """Where a page begins. Raises ``UsageError`` where it is no token of ours."""
    if not after:
        return first
    try:
        form = GenericAlias(tuple, tuple(type(item) for item in first))
        found = msgspec.json.decode(bytes.fromhex(after), type=form)
    except (ValueError, msgspec.MsgspecError):
        raise UsageError("the page's token is none of ours; begin with the first page") from None
    return tuple(found)
