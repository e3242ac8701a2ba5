"""The fleet's work: which packages have to be judged, and what becomes of the verdicts on them.

Findings are stored as a difference: what did not change is not written. Several Centrals share the work; who claims a
piece holds its row until the verdicts are in, and a piece whose worker died is free again at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b

import msgspec

from redoubt.central.store import Pool, Store, affected
from redoubt.central.store.fleet_intake import PACKAGES_LOCK
from redoubt.central.store.fleet_rows import SEVERITIES, encode, verdict_decoder, without_findings
from redoubt.matcher.apart import Subject, Verdict, cves_of, is_suppressed
from redoubt.model import DefinitionsInfo, Epss, Finding
from redoubt.postgres.locks import held
from redoubt.postgres.pool import Connection

#: Gives the EPSS of each of some CVEs.
Scoring = Callable[[Sequence[str]], Awaitable[Sequence[Epss | None]]]

_subjects = msgspec.msgpack.Decoder(Subject)
#: Packages that one piece of work holds.
BATCH = 2000
#: So many small pieces, as new images leave them, are claimed at a time.
_SMALL = 20
#: One number for all Centrals: who holds it runs the fleet. It is "fleet" in ASCII.
_LOCK = 0x666C656574


class Question(msgspec.Struct, frozen=True):
    """A row of ``fleet_questions``."""

    question: int
    body: Subject
    mark: bytes | None


class Work(msgspec.Struct, frozen=True):
    """A piece of work: packages and their subjects, in the same order."""

    work: list[int]
    run: int
    definitions: str
    packages: list[int]
    subjects: list[Subject]
    #: Those among their questions that have no mark yet.
    questions: list[Question]


class Run(msgspec.Struct, frozen=True):
    """A run that began."""

    run: int
    definitions: str


_TEMPORARY = """
CREATE TEMPORARY TABLE IF NOT EXISTS fleet_incoming (
    package integer, flaw integer, ordinal smallint, detail integer, severity smallint,
    fixable boolean, exploited boolean, counts boolean, PRIMARY KEY (package, flaw, ordinal)
) ON COMMIT DELETE ROWS
"""
_COLUMNS = ("package", "flaw", "ordinal", "detail", "severity", "fixable", "exploited", "counts")

_GONE = """
WITH gone AS (
    DELETE FROM fleet_findings f WHERE f.package = ANY($1) AND NOT EXISTS (
        SELECT 1 FROM fleet_incoming i WHERE (i.package, i.flaw, i.ordinal) = (f.package, f.flaw, f.ordinal))
    RETURNING f.package, f.flaw, f.severity, f.counts
), told AS (
    INSERT INTO fleet_changes SELECT $2, package, flaw, 'gone', severity, 0 FROM gone WHERE counts
)
INSERT INTO fleet_due SELECT DISTINCT 'flaw', flaw FROM gone UNION ALL SELECT DISTINCT 'listed', package FROM gone
"""
_ALTERED = """
WITH altered AS (
    SELECT f.package, f.flaw, f.severity AS was, i.severity AS is_now, i.counts,
        i.severity > f.severity OR (i.severity = f.severity AND i.exploited AND NOT f.exploited) AS worse,
        i.severity < f.severity OR (i.severity = f.severity AND i.fixable AND NOT f.fixable) AS better,
        (i.fixable, i.counts, d.top_cvss) IS DISTINCT FROM (f.fixable, f.counts, e.top_cvss) AS listed
    FROM fleet_incoming i JOIN fleet_findings f USING (package, flaw, ordinal)
    JOIN fleet_details d ON d.detail = i.detail JOIN fleet_details e ON e.detail = f.detail
    WHERE (f.detail, f.severity, f.fixable, f.exploited, f.counts)
        <> (i.detail, i.severity, i.fixable, i.exploited, i.counts)
), done AS (
    UPDATE fleet_findings f SET detail = i.detail, severity = i.severity, fixable = i.fixable,
        exploited = i.exploited, counts = i.counts
    FROM fleet_incoming i WHERE (f.package, f.flaw, f.ordinal) = (i.package, i.flaw, i.ordinal)
        AND (f.detail, f.severity, f.fixable, f.exploited, f.counts)
        <> (i.detail, i.severity, i.fixable, i.exploited, i.counts)
), told AS (
    INSERT INTO fleet_changes SELECT $1, package, flaw, CASE WHEN worse THEN 'worse' ELSE 'better' END, was, is_now
    FROM altered WHERE counts AND (worse OR better)
)
INSERT INTO fleet_due SELECT DISTINCT 'flaw', flaw FROM altered UNION ALL SELECT DISTINCT 'listed', package FROM altered WHERE listed
"""
_NEW = """
WITH appeared AS (
    INSERT INTO fleet_findings (package, flaw, ordinal, detail, severity, fixable, exploited, counts)
    SELECT package, flaw, ordinal, detail, severity, fixable, exploited, counts FROM fleet_incoming i
    WHERE NOT EXISTS (
        SELECT 1 FROM fleet_findings f WHERE (i.package, i.flaw, i.ordinal) = (f.package, f.flaw, f.ordinal))
    RETURNING package, flaw, severity, counts
), told AS (
    INSERT INTO fleet_changes SELECT $1, package, flaw, 'new', 0, severity FROM appeared
    WHERE counts AND package = ANY($2)
)
INSERT INTO fleet_due SELECT DISTINCT 'flaw', flaw FROM appeared UNION ALL SELECT DISTINCT 'listed', package FROM appeared
"""
_VERDICTS = """
WITH given AS (
    SELECT * FROM
    unnest($1::int[], $2::bytea[], $3::int[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[], $9::int[])
    AS n (package, verdict, critical, high, medium, low, negligible, unknown, fixable)
), counts AS (
    INSERT INTO fleet_due_counts
    SELECT package, n.critical - p.critical, n.high - p.high, n.medium - p.medium, n.low - p.low,
        n.negligible - p.negligible, n.unknown - p.unknown, n.fixable - p.fixable
    FROM given n JOIN fleet_packages p USING (package)
    WHERE (p.critical, p.high, p.medium, p.low, p.negligible, p.unknown, p.fixable)
        <> (n.critical, n.high, n.medium, n.low, n.negligible, n.unknown, n.fixable)
)
UPDATE fleet_packages p SET verdict = n.verdict, critical = n.critical, high = n.high, medium = n.medium,
    low = n.low, negligible = n.negligible, unknown = n.unknown, fixable = n.fixable
FROM given n
WHERE p.package = n.package AND (p.verdict, p.critical, p.high, p.medium, p.low, p.negligible, p.unknown, p.fixable)
    IS DISTINCT FROM (n.verdict, n.critical, n.high, n.medium, n.low, n.negligible, n.unknown, n.fixable)
"""


class FleetWork(Store):
    """Questions, work and verdicts."""

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[bool]:
        """Whether this Central is the one that runs the fleet now; it is until the end of the block."""
        async with self._pool.acquire() as connection, held(connection, _LOCK) as leads:
            yield leads

    async def state(self) -> tuple[str, bool]:
        """Which definitions are asked, and whether all verdicts are theirs."""
        row = await self._pool.fetchrow(
            "SELECT definitions, EXISTS (SELECT 1 FROM fleet_runs r WHERE r.run = s.run AND ended IS NOT NULL) AS done"
            " FROM fleet_state s"
        )
        assert row is not None
        return row["definitions"], row["done"]

    async def begin(self, definitions: str) -> int:
        """Ask ``definitions`` from now on. Waits for those who are storing verdicts of others."""
        async with self._pool.acquire() as connection, connection.transaction():
            run: int = await connection.fetchval(
                "INSERT INTO fleet_runs (definitions) VALUES ($1) RETURNING run", definitions
            )
            await connection.execute("UPDATE fleet_state SET definitions = $1, run = $2", definitions, run)
        return run

    async def questions(self, after: int, limit: int) -> list[Question]:
        """The next questions behind ``after``, ascending."""
        rows = await self._pool.fetch(
            "SELECT question, body, mark FROM fleet_questions WHERE question > $1 ORDER BY question LIMIT $2",
            after,
            limit,
        )
        return [Question(row["question"], _subjects.decode(row["body"]), row["mark"]) for row in rows]

    async def ask_again(self, run: int, marks: Sequence[tuple[int, bytes]]) -> int:
        """Have the packages of these questions judged, and remember the new marks; how many packages they are."""
        async with self._pool.acquire() as connection, connection.transaction():
            questions = [question for question, _ in marks]
            await connection.execute(
                "UPDATE fleet_questions q SET mark = n.mark FROM unnest($1::int[], $2::bytea[]) AS n (question, mark)"
                " WHERE q.question = n.question",
                questions,
                [mark for _, mark in marks],
            )
            packages = [
                row["package"]
                for row in await connection.fetch(
                    "SELECT package FROM fleet_packages WHERE question = ANY($1) ORDER BY question, package",
                    questions,
                )
            ]
            await connection.executemany(
                "INSERT INTO fleet_work (packages) VALUES ($1)",
                [(packages[start : start + BATCH],) for start in range(0, len(packages), BATCH)],
            )
            await connection.execute(
                "UPDATE fleet_runs SET questions = questions + $2, packages = packages + $3 WHERE run = $1",
                run,
                len(questions),
                len(packages),
            )
        return len(packages)

    @asynccontextmanager
    async def claimed(self) -> AsyncIterator[tuple[Connection, Work | None]]:
        """A piece of work that nobody else has, until the end of the block; None where there is none.

        What is stored on the connection meanwhile is stored with its removal, or not at all.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", PACKAGES_LOCK)
            pieces = await connection.fetch(
                "SELECT work, packages FROM fleet_work ORDER BY work LIMIT 1 FOR UPDATE SKIP LOCKED"
            )
            if not pieces:
                yield connection, None
                return
            if len(pieces[0]["packages"]) * _SMALL <= BATCH * 4:
                pieces += await connection.fetch(
                    "SELECT work, packages FROM fleet_work WHERE work > $1 AND cardinality(packages) <= $2"
                    " ORDER BY work LIMIT $3 FOR UPDATE SKIP LOCKED",
                    pieces[0]["work"],
                    BATCH * 4 // _SMALL,
                    _SMALL,
                )
            wanted = list({package for piece in pieces for package in piece["packages"]})
            state = await connection.fetchrow("SELECT definitions, run FROM fleet_state FOR SHARE")
            assert state is not None
            rows = await connection.fetch(
                "SELECT package, body FROM fleet_packages WHERE package = ANY($1) ORDER BY question, package",
                wanted,
            )
            unmarked = await connection.fetch(
                "SELECT question, body FROM fleet_questions WHERE mark IS NULL AND question IN"
                " (SELECT question FROM fleet_packages WHERE package = ANY($1))",
                wanted,
            )
            yield (
                connection,
                Work(
                    work=[piece["work"] for piece in pieces],
                    run=state["run"],
                    definitions=state["definitions"],
                    packages=[each["package"] for each in rows],
                    subjects=[_subjects.decode(each["body"]) for each in rows],
                    questions=[
                        Question(each["question"], _subjects.decode(each["body"]), None) for each in unmarked
                    ],
                ),
            )

    async def store(
        self,
        connection: Connection,
        work: Work,
        verdicts: Sequence[Verdict],
        marks: Sequence[bytes],
        ask: Scoring,
    ) -> None:
        """Store what was said of a claimed piece of work, as a difference to what was said before, and remove it.

        ``ask`` gives the EPSS of flaws that nobody had before.
        """
        batch = _Batch(work, verdicts)
        flaws = await _flaws(connection, batch.names, ask)
        details = await _details(connection, batch.details)
        before = {
            row["package"]: row["verdict"]
            for row in await connection.fetch(
                "SELECT package, verdict FROM fleet_packages WHERE package = ANY($1) AND verdict IS NOT NULL",
                work.packages,
            )
        }
        await connection.execute(_TEMPORARY)
        await connection.copy_records_to_table(
            "fleet_incoming", records=batch.rows(flaws, details), columns=_COLUMNS
        )
        await connection.execute(_GONE, work.packages, work.run)
        await connection.execute(_ALTERED, work.run)
        await connection.execute(_NEW, work.run, list(before))
        said = [without_findings(verdict) for verdict in verdicts]
        await connection.execute(_VERDICTS, work.packages, said, *batch.counts())
        await _unsettle(connection, work.packages, verdicts, before)
        await connection.execute(
            "UPDATE fleet_questions q SET mark = n.mark FROM unnest($1::int[], $2::bytea[]) AS n (question, mark)"
            " WHERE q.question = n.question AND q.mark IS NULL",
            [question.question for question in work.questions],
            list(marks),
        )
        await connection.execute("DELETE FROM fleet_work WHERE work = ANY($1)", work.work)

    async def newest(self) -> int:
        """The number of the newest piece of work; 0 where there is none."""
        found: int = await self._pool.fetchval("SELECT coalesce(max(work), 0) FROM fleet_work")
        return found

    async def left(self, until: int) -> int:
        """How many pieces of work up to a number are not done."""
        found: int = await self._pool.fetchval("SELECT count(*) FROM fleet_work WHERE work <= $1", until)
        return found

    async def cves(self, after: str, limit: int) -> list[str]:
        """Names of flaws that are CVEs, ascending."""
        rows = await self._pool.fetch(
            "SELECT name FROM fleet_flaws WHERE name > $1 AND name LIKE 'CVE-%' ORDER BY name LIMIT $2",
            after,
            limit,
        )
        return [row["name"] for row in rows]

    async def score(self, names: Sequence[str], scores: Sequence[Epss | None]) -> int:
        """Remember the EPSS of some flaws; how many changed."""
        tag = await self._pool.execute(
            "UPDATE fleet_flaws o SET probability = n.probability, percentile = n.percentile, scored = n.scored"
            " FROM unnest($1::text[], $2::float8[], $3::float8[], $4::text[]) AS n (name, probability, percentile, scored)"
            " WHERE o.name = n.name AND (o.probability, o.percentile, o.scored)"
            " IS DISTINCT FROM (n.probability, n.percentile, n.scored)",
            list(names),
            *_columns(scores),
        )
        return affected(tag)

    async def releases(self, *, unknown: bool = False) -> list[str]:
        """The releases of systems that the fleet has; only those that nobody asked about where ``unknown``."""
        rows = await self._pool.fetch(
            "SELECT release FROM fleet_releases WHERE end_of_life IS NULL OR NOT $1", unknown
        )
        return [row["release"] for row in rows]

    async def know_ends(self, ends: Sequence[tuple[str, str]]) -> None:
        """Remember from when releases are no longer looked after."""
        await _know_ends(self._pool, ends)

    async def end(self, run: int, info: DefinitionsInfo, ends: Sequence[tuple[str, str]]) -> None:
        """A run is over: all verdicts are of the definitions that ``info`` names."""
        async with self._pool.acquire() as connection, connection.transaction():
            await _know_ends(connection, ends)
            await connection.execute("UPDATE fleet_state SET info = $1 WHERE run = $2", encode(info), run)
            await connection.execute("UPDATE fleet_runs SET ended = now() WHERE run = $1", run)


class _Detail(msgspec.Struct, frozen=True):
    """A row of ``fleet_details``."""

    body: bytes
    top_cvss: float | None


class _Batch:
    """Verdicts as rows: each text once, however many packages share it."""

    def __init__(self, work: Work, verdicts: Sequence[Verdict]) -> None:
        self.names: set[str] = set()
        self.details: dict[bytes, _Detail] = {}
        self._rows: list[tuple[int, Finding, int, bytes, bool]] = []
        self._counts: list[list[int]] = []
        keys: dict[int, bytes] = {}  # findings are shared, and as objects as well
        for package, subject, verdict in zip(work.packages, work.subjects, verdicts, strict=True):
            counts = not is_suppressed(subject.package)
            ordinals: dict[str, int] = {}
            numbers = [0] * (len(SEVERITIES) + 1)
            for item in verdict.judgement.findings:
                if (key := keys.get(id(item))) is None:
                    key = keys[id(item)] = self._add(item)
                ordinal = ordinals[item.id] = ordinals.get(item.id, -1) + 1
                self._rows.append((package, item, ordinal, key, counts))
                if counts:
                    numbers[item.severity.rank] += 1
                    numbers[-1] += item.fixable
            self._counts.append(numbers)

    def _add(self, item: Finding) -> bytes:
        body = encode(item)
        key = blake2b(body, digest_size=16).digest()
        scores = [score.score for score in item.cvss]
        self.details[key] = _Detail(body, max(scores, default=None))
        self.names.add(item.id)
        self.names.update(cves_of(item))  # they have scores, too
        return key

    def rows(
        self, flaws: dict[str, int], details: dict[bytes, int]
    ) -> list[tuple[int, int, int, int, int, bool, bool, bool]]:
        """Rows of ``fleet_incoming``."""
        return [
            (
                package,
                flaws[item.id],
                ordinal,
                details[key],
                item.severity.rank,
                item.fixable,
                item.kev is not None,
                counts,
            )
            for package, item, ordinal, key, counts in self._rows
        ]

    def counts(self) -> list[list[int]]:
        """Of each package how many findings count, a list a severity, the worst first, and those with a fix."""
        columns = [list(column) for column in zip(*self._counts, strict=True)]
        return [*reversed(columns[:-1]), columns[-1]]


async def _flaws(connection: Connection, names: set[str], ask: Scoring) -> dict[str, int]:
    """Numbers of flaws. New ones are added with their scores; sorted, so that nobody waits in a circle."""
    find = "SELECT name, flaw FROM fleet_flaws WHERE name = ANY($1)"
    known = {row["name"]: row["flaw"] for row in await connection.fetch(find, list(names))}
    new = sorted(names - known.keys())
    if new:
        scores = await ask(new)
        await connection.execute(
            "INSERT INTO fleet_flaws (name, probability, percentile, scored)"
            " SELECT * FROM unnest($1::text[], $2::float8[], $3::float8[], $4::text[]) ON CONFLICT DO NOTHING",
            new,
            *_columns(scores),
        )
        known |= {row["name"]: row["flaw"] for row in await connection.fetch(find, new)}
    return known


async def _details(connection: Connection, bodies: dict[bytes, _Detail]) -> dict[bytes, int]:
    """Numbers of what findings say, which is added where it is new."""
    find = "SELECT key, detail FROM fleet_details WHERE key = ANY($1)"
    known = {row["key"]: row["detail"] for row in await connection.fetch(find, list(bodies))}
    new = sorted(bodies.keys() - known.keys())
    if new:
        await connection.execute(
            "INSERT INTO fleet_details (key, body, top_cvss)"
            " SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::real[]) ON CONFLICT DO NOTHING",
            new,
            [bodies[key].body for key in new],
            [bodies[key].top_cvss for key in new],
        )
        known |= {row["key"]: row["detail"] for row in await connection.fetch(find, new)}
    return known


def _columns(scores: Sequence[Epss | None]) -> tuple[list[float], list[float], list[str | None]]:
    return (
        [score.probability if score else 0.0 for score in scores],
        [score.percentile if score else 0.0 for score in scores],
        [score.date if score else None for score in scores],
    )


async def _know_ends(connection: Connection | Pool, ends: Sequence[tuple[str, str]]) -> None:
    await connection.execute(
        "UPDATE fleet_releases r SET end_of_life = n.day FROM unnest($1::text[], $2::text[]) AS n (release, day)"
        " WHERE r.release = n.release AND r.end_of_life IS DISTINCT FROM n.day",
        [release for release, _ in ends],
        [day for _, day in ends],
    )


async def _unsettle(
    connection: Connection, packages: Sequence[int], verdicts: Sequence[Verdict], before: dict[int, bytes]
) -> None:
    """Have it found out again who owns what, in images with packages of which something else is known now."""
    turned = []
    for package, verdict in zip(packages, verdicts, strict=True):
        if (data := before.get(package)) is not None:
            old = verdict_decoder.decode(data)
            if (old.place, old.strange, old.known) != (verdict.place, verdict.strange, verdict.known):
                turned.append(package)
    if turned:
        await connection.execute(
            "UPDATE fleet_images SET settled = false WHERE settled AND image IN"
            " (SELECT image FROM fleet_image_packages WHERE package = ANY($1) ORDER BY image)",
            turned,
        )
