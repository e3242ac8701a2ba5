"""The fleet's images: taken in, let go, and read a page at a time.

Counts and lists are kept by ``FleetTotals``; no page adds anything up over the fleet. A page ends with a token
(``after``) that begins the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec
import zstandard

from redoubt.central.store import Pool, Store, several
from redoubt.errors import UsageError
from redoubt.matcher.apart import Subject, Verdict, cves_of, question, subject, together
from redoubt.matcher.match import Judgement
from redoubt.model import (
    DefinitionsInfo,
    Epss,
    Finding,
    IndexReport,
    Severity,
    VulnerabilityReport,
    namespaces,
)
from redoubt.postgres.pool import Connection

if TYPE_CHECKING:
    import asyncpg

S = TypeVar("S")

#: Rows of a page, unless the caller wants fewer.
PAGE = 100
#: Above so many images a flaw's are found by walking over all images, below by its packages.
_COMMON = 400
#: What a kept report may be, decompressed.
_LARGEST_PLAIN = 1 << 30
#: Packages that one piece of work holds.
BATCH = 2000
_FAR = 2**31 - 1

encode = msgspec.msgpack.Encoder().encode
SEVERITIES = tuple(Severity)
verdict_decoder = msgspec.msgpack.Decoder(Verdict)
finding_decoder = msgspec.msgpack.Decoder(Finding)
_report_decoder = msgspec.msgpack.Decoder(IndexReport)
_info_decoder = msgspec.msgpack.Decoder(DefinitionsInfo)


class ImageRow(msgspec.Struct, frozen=True, kw_only=True):
    """An image in a list. Counts are of findings that count."""

    image: int
    digest: str
    name: str
    added: datetime
    packages: int
    critical: int
    high: int
    medium: int
    low: int
    negligible: int
    unknown: int
    fixable: int


class FlawRow(msgspec.Struct, frozen=True, kw_only=True):
    """A flaw in a list. ``severity`` is a rank (5 critical), the worst that any package's finding has."""

    flaw: int
    name: str
    severity: int
    exploited: bool
    probability: float
    percentile: float
    fixable: bool
    packages: int
    images: int
    first_seen: datetime


class FindingRow(msgspec.Struct, frozen=True, kw_only=True):
    """A finding of an image in a list: the package, and all that is said of the flaw in it."""

    type: str
    name: str
    version: str
    first_seen: datetime
    finding: Finding


class ChangeRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found otherwise than before in one package: ``new``, ``gone``, ``worse`` or ``better``."""

    run: int
    type: str
    name: str
    version: str
    flaw: str
    change: str
    was: int
    is_now: int


class ImageChanges(msgspec.Struct, frozen=True, kw_only=True):
    """How many findings of an image a run found new, gone, worse and better."""

    image: int
    digest: str
    name: str
    appeared: int
    gone: int
    worse: int
    better: int


_IMAGE = "image, digest, name, added, packages, critical, high, medium, low, negligible, unknown, fixable"
_FLAW = "flaw, name, severity, exploited, probability, percentile, fixable, packages, images, first_seen"


class FleetStore(Store):
    """Images of the fleet."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._compress = zstandard.ZstdCompressor(level=3).compress

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
            image: int = await connection.fetchval(
                "INSERT INTO fleet_images (digest, name, release, packages, report, settled)"
                " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (digest) DO UPDATE SET name = excluded.name,"
                " release = excluded.release, packages = excluded.packages, report = excluded.report,"
                " settled = excluded.settled RETURNING image",
                digest,
                name or report.image.reference,
                release or "",
                len(report.packages),
                self._compress(encode(report)),
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
            await connection.execute("DELETE FROM fleet_images WHERE image = $1", image)
            return True

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
        async with self._pool.acquire() as connection:
            image = await connection.fetchrow(
                "SELECT image, critical, high, medium, low, negligible FROM fleet_images WHERE digest = $1",
                digest,
            )
            if image is None:
                return [], ""
            rows = await connection.fetch(
                # Only those severities are read that the page can reach.
                "SELECT type, name, version, chosen.first_seen, d.body, probability, flaw, package,"
                " chosen.severity, chosen.exploited FROM ("
                "  SELECT f.package, f.flaw, f.detail, f.severity, f.exploited, f.first_seen,"
                "   o.probability"
                "  FROM fleet_image_packages p JOIN fleet_findings f ON f.package = p.package AND f.counts"
                "  JOIN fleet_flaws o ON o.flaw = f.flaw"
                "  WHERE p.image = $1 AND NOT p.owned AND f.severity >= $2::int AND f.severity <= $3::int"
                "   AND (f.severity, f.exploited, o.probability, f.flaw, f.package)"
                "    < ($3::int, $4::bool, $5::float8, $6::int, $7::int)"
                "  ORDER BY f.severity DESC, f.exploited DESC, o.probability DESC, f.flaw DESC, f.package DESC LIMIT $8"
                " ) chosen JOIN fleet_details d USING (detail) JOIN fleet_packages USING (package)"
                " ORDER BY chosen.severity DESC, chosen.exploited DESC, probability DESC, flaw DESC, package DESC",
                image["image"],
                _lowest(image, start, limit),
                *start,
                limit,
            )
            findings = [finding_decoder.decode(row["body"]) for row in rows]
            scores = _Scores(await _scores(connection, findings))
        found = [
            FindingRow(
                type=row["type"],
                name=row["name"],
                version=row["version"],
                first_seen=row["first_seen"],
                finding=msgspec.structs.replace(item, epss=scores.epss(cves_of(item))),
            )
            for row, item in zip(rows, findings, strict=True)
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
                "SELECT image, report, coalesce(end_of_life, '') AS ends FROM fleet_images"
                " LEFT JOIN fleet_releases USING (release) WHERE digest = $1",
                digest,
            )
            info = await connection.fetchval("SELECT info FROM fleet_state")
            if image is None or info is None:
                return None
            report = unpacked(image["report"])
            verdicts, scores = await self._verdicts(connection, image["image"])
        keys = [subject(package, report.distribution).key for package in report.packages]
        if any(key not in verdicts for key in keys):
            return None
        return together(
            report,
            [verdicts[key] for key in keys],
            _info_decoder.decode(info),
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


def unpacked(data: bytes) -> IndexReport:
    """A kept index report."""
    plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=_LARGEST_PLAIN)
    return _report_decoder.decode(plain)


def without_findings(verdict: Verdict) -> bytes:
    """A verdict as a package's row has it."""
    said = verdict.judgement
    return encode(msgspec.structs.replace(verdict, judgement=Judgement((), said.upgrade, said.unfixed)))


def _text(value: str) -> str:
    """What PostgreSQL takes: names in images are anything, and U+0000 is no text to it."""
    return value.replace("\0", "\ufffd").encode(errors="replace").decode()


def _lowest(image: asyncpg.Record, start: tuple[object, ...], limit: int) -> int:
    """The severity at which a page that begins at ``start`` is full."""
    first = start[0]
    assert isinstance(first, int)
    room = 0
    for rank in range(min(first, 5), 0, -1):
        if rank < first:  # of the one that it begins in, nobody knows how many are left
            room += image[SEVERITIES[rank].lower()]
        if room >= limit:
            return rank
    return 0


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
        found = msgspec.json.decode(bytes.fromhex(after), type=tuple[tuple(type(item) for item in first)])  # type: ignore[misc]
    except (ValueError, msgspec.MsgspecError):
        raise UsageError("the page's token is none of ours; begin with the first page") from None
    return tuple(found)
