"""The fleet against a real server: whatever order things happen in, it says what a scan of today would say."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec
import pytest

from redoubt.central.fleet.judging import Judge, LocalJudge
from redoubt.central.fleet.rematch import Fleet
from redoubt.central.images import original, scanning
from redoubt.central.store import fleet_work
from redoubt.central.store.fleet import FleetStore
from redoubt.central.store.fleet_rows import Brief
from redoubt.central.store.images import ImageStore, Wanted
from redoubt.definitions.snapshot import Snapshot
from redoubt.errors import NetworkError, UsageError
from redoubt.matcher import match
from redoubt.matcher.apart import Subject, Verdict
from redoubt.model import (
    CveRecord,
    Cvss,
    Epss,
    Finding,
    IndexReport,
    KnownExploited,
    Package,
    Severity,
    VulnerabilityReport,
)
from redoubt.postgres import pool
from support.fleet import ALMA, DEBIAN, IMAGES, Definitions, image

MIGRATIONS = "redoubt.central.migrations"
Work = Callable[["World"], Coroutine[None, None, None]]


class Counting(LocalJudge):
    """Remembers what it was asked; fails when told to."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        self.judged: list[str] = []
        self.failing = 0

    async def judge(self, subjects: Sequence[Subject]) -> list[Verdict]:
        if self.failing:
            self.failing -= 1
            raise NetworkError("the Matcher went away")
        self.judged += [subject.package.name for subject in subjects]
        return await super().judge(subjects)


class World:
    """A database, and definitions that change."""

    def __init__(self, connections: asyncpg.Pool, folder: Path) -> None:
        self.pool = connections
        self._folder = folder
        self._opened: list[Snapshot] = []
        self.judge: Counting
        self.fleet = Fleet(connections, self.judges)
        self.store = FleetStore(connections)

    @contextlib.asynccontextmanager
    async def judges(self) -> AsyncIterator[Judge]:
        yield self.judge

    def switch(self, definitions: Definitions) -> Snapshot:
        snapshot = definitions.stored(self._folder / f"snapshot-{len(self._opened)}")
        self._opened.append(snapshot)
        self.judge = Counting(snapshot)
        return snapshot

    async def check(self, reports: Sequence[IndexReport], snapshot: Snapshot) -> None:
        """Everything that the fleet says of these images is what a match says, and there is nothing else."""
        expected = {report.image.digest: match(report, snapshot) for report in reports}
        for digest, said in expected.items():
            assert await self.store.report(digest) == said
        await self._check_pages(expected)

    async def _check_pages(self, expected: dict[str, VulnerabilityReport]) -> None:
        images = await walked(self.store.images)
        assert {row.digest for row in images} == set(expected)
        listed = await self.pool.fetch("SELECT digest, flaws, fixable_flaws, top_cvss FROM fleet_images")
        assert {row["digest"]: tuple(row)[1:] for row in listed} == {
            digest: as_listed(said) for digest, said in expected.items()
        }
        flaws: dict[str, set[str]] = {}
        for row in images:
            said = expected[row.digest]
            counts = Counter(item.severity for package in said.packages for item in package.findings)
            told = {severity: getattr(row, severity.lower()) for severity in Severity}
            assert told == {severity: counts[severity] for severity in Severity}, row.digest
            listed = await walked(
                lambda *page, digest=row.digest: self.store.findings_of_image(digest, *page)
            )
            assert Counter(
                (item.type, item.name, item.version, item.finding, item.exploited, item.probability)
                for item in listed
            ) == Counter(
                (package.type, package.name, package.version, brief(item), bool(item.kev), chance(item))
                for package in said.packages
                for item in package.findings
            )
            ranks = [item.finding.severity.rank for item in listed]
            assert ranks == sorted(ranks, reverse=True)
            for item in listed:
                flaws.setdefault(item.finding.id, set()).add(row.digest)
        told_flaws = await walked(self.store.cves)
        assert {row.name: row.images for row in told_flaws} == {
            name: len(images) for name, images in flaws.items()
        }
        order = [(row.severity, row.exploited, row.probability) for row in told_flaws]
        assert order == sorted(order, reverse=True)
        for name, digests in flaws.items():
            found = await walked(lambda *page, name=name: self.store.images_of_cve(name, *page))
            assert [row.digest for row in found] == sorted(
                digests, key=[row.digest for row in sorted(images, key=lambda row: -row.image)].index
            )


def as_listed(report: VulnerabilityReport) -> tuple[int, int, float | None]:
    counted = original.count(report)
    top = counted.top_cvss
    return counted.cves, counted.fixable, None if top is None else pytest.approx(top, abs=1e-6)


def brief(item: Finding) -> Brief:
    return msgspec.convert(msgspec.to_builtins(item), Brief)


def chance(item: Finding) -> float:
    return item.epss.probability if item.epss else 0.0


async def walked(page: Callable[[int, str], Coroutine[None, None, tuple[list, str]]]) -> list:  # type: ignore[type-arg]
    found, token = await page(3, "")
    while token:
        more, token = await page(3, token)
        found += more
    return found


@pytest.fixture
def world(migrated: Callable[[str], str], tmp_path: Path) -> Iterator[Callable[[Work], None]]:
    url = migrated(MIGRATIONS)

    def run(work: Work) -> None:
        async def inside() -> None:
            connections = await pool.connect(url, maximum=8)
            made = World(connections, tmp_path)
            try:
                await asyncio.wait_for(work(made), 120)
            finally:
                for snapshot in made._opened:
                    snapshot.close()
                await connections.close()

        asyncio.run(inside())

    return run


def test_an_image_says_what_a_scan_says_and_follows_when_definitions_change(
    world: Callable[[Work], None],
) -> None:
    async def work(w: World) -> None:
        first = w.switch(Definitions.plain())
        for report in IMAGES:
            await w.store.put_image(report)
        assert await w.store.report(IMAGES[0].image.digest) is None  # nobody has judged it yet
        await w.fleet.catch_up()
        await w.check(IMAGES, first)

        changed = Definitions.plain()
        changed.fixed("CVE-2099-0002", "debian", "debian:11", "requests", "2-1")  # repaired: gone
        changed.affects("CVE-2099-0050", "osv", "pypi", "requests", "9", severity=Severity.CRITICAL)
        changed.cves["CVE-2099-0006"] = CveRecord(kev=KnownExploited("2099-02-01"))
        changed.scores["CVE-2099-0001"] = Epss(0.7, 0.8, "2099-01-03")
        changed.ends["debian:11"] = "2097-01-01"
        changed.affects(
            "CVE-2099-0051", "alma", "almalinux:9", "libfix", "2-1.el9"
        )  # a system without data until now
        second = w.switch(changed)
        await w.fleet.catch_up()
        await w.check(IMAGES, second)

        w.switch(Definitions.plain())  # and back again
        await w.fleet.catch_up()
        await w.check(IMAGES, first)

    world(work)


def test_only_packages_of_which_something_else_is_said_are_judged_again(
    world: Callable[[Work], None],
) -> None:
    async def work(w: World) -> None:
        w.switch(Definitions.plain())
        for report in IMAGES:
            await w.store.put_image(report)
        await w.fleet.catch_up()
        everything = len(w.judge.judged)

        scored = Definitions.plain()
        scored.scores["CVE-2099-0001"] = Epss(0.9, 0.9, "2099-01-03")
        w.switch(scored)
        outcome = await w.fleet.catch_up()
        assert w.judge.judged == []
        assert outcome is not None
        assert (outcome.questions, outcome.packages) == (0, 0)

        changed = Definitions.plain()
        changed.affects("CVE-2099-0050", "osv", "pypi", "requests", "9")
        w.switch(changed)
        await w.fleet.catch_up()
        assert set(w.judge.judged) == {"requests"}
        assert len(w.judge.judged) < everything / 3

        # What came between two runs is judged by the same definitions, scores and all.
        snapshot = w.judge._snapshot
        later = image("later", [Package(type="pypi", name="requests", version="1")], ALMA)
        await w.store.put_image(later)
        await w.fleet.catch_up()
        await w.check([*IMAGES, later], snapshot)

        # An image whose packages are all known is not judged at all.
        w.judge.judged.clear()
        await w.store.put_image(image("again", [Package(type="pypi", name="requests", version="2")], None))
        await w.fleet.catch_up()
        assert w.judge.judged == []

    world(work)


def test_what_is_new_gone_and_worse_is_told_by_image(world: Callable[[Work], None]) -> None:
    async def work(w: World) -> None:
        definitions = Definitions()
        definitions.affects("CVE-2099-0001", "osv", "pypi", "a", "9", severity=Severity.LOW)
        definitions.affects("CVE-2099-0002", "osv", "pypi", "a", "9", severity=Severity.HIGH)
        definitions.affects("CVE-2099-0003", "osv", "pypi", "a", "9", severity=Severity.HIGH)
        w.switch(definitions)
        a, b = (Package(type="pypi", name=name, version="1") for name in "ab")
        await w.store.put_image(image("one", [a], DEBIAN))
        await w.store.put_image(image("two", [a, b], DEBIAN))
        await w.store.put_image(image("three", [b], DEBIAN))
        heard: list[list[str]] = []
        w.fleet.listeners.append(heard.append)
        outcome = await w.fleet.catch_up()
        assert outcome is not None
        assert heard == []
        assert await w.store.changes(outcome.run) == (
            [],
            "",
        )  # an image that came is no change of definitions

        changed = Definitions()
        changed.affects("CVE-2099-0001", "osv", "pypi", "a", "9", severity=Severity.CRITICAL)
        changed.affects("CVE-2099-0002", "osv", "pypi", "a", "9", severity=Severity.MEDIUM)
        changed.affects("CVE-2099-0004", "osv", "pypi", "a", "9")
        changed.affects("CVE-2099-0005", "osv", "pypi", "b", "9")
        w.switch(changed)
        outcome = await w.fleet.catch_up()
        assert outcome is not None
        told, _ = await w.store.changes(outcome.run)
        assert [sorted(each) for each in heard] == [sorted(row.digest for row in told)]
        assert [(row.name, row.appeared, row.gone, row.worse, row.better) for row in told] == [
            ("two", 2, 1, 1, 1),
            ("one", 1, 1, 1, 1),
            ("three", 1, 0, 0, 0),
        ]
        listed = await w.store.changes_of_image(told[1].digest, outcome.run)
        assert {(row.flaw, row.change, row.was, row.is_now) for row in listed} == {
            ("CVE-2099-0001", "worse", 2, 5),
            ("CVE-2099-0002", "better", 4, 3),
            ("CVE-2099-0003", "gone", 4, 0),
            ("CVE-2099-0004", "new", 0, 0),
        }

    world(work)


def test_a_run_that_was_cut_off_is_finished_by_the_next(world: Callable[[Work], None]) -> None:
    async def work(w: World) -> None:
        w.switch(Definitions.plain())
        for report in IMAGES:
            await w.store.put_image(report)
        w.judge.failing = 2
        with pytest.raises(BaseExceptionGroup):
            await w.fleet.catch_up()
        changed = Definitions.plain()
        changed.affects("CVE-2099-0050", "osv", "pypi", "requests", "9")
        second = w.switch(changed)
        w.judge.failing = 1
        with pytest.raises(BaseExceptionGroup):
            await w.fleet.catch_up()
        await w.fleet.catch_up()
        await w.check(IMAGES, second)

    world(work)


def test_several_centrals_share_the_work_and_each_piece_is_done_once(
    world: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redoubt.central.store.fleet_work.BATCH", 5)

    async def work(w: World) -> None:
        definitions = Definitions.plain()
        for number in range(60):
            definitions.affects(f"CVE-2099-0001{number:03}", "osv", "pypi", f"p{number}", "9")
        snapshot = w.switch(definitions)
        packages = [Package(type="pypi", name=f"p{number}", version="1") for number in range(59)]
        reports = [image(f"i{number}", packages[number : number + 20], DEBIAN) for number in range(40)]
        others = [Fleet(w.pool, w.judges) for _ in range(2)]
        await asyncio.gather(*(w.store.put_image(report) for report in reports))
        await w.pool.execute("DELETE FROM fleet_work")  # the run has all to do
        await asyncio.gather(w.fleet.catch_up(), *(other.catch_up() for other in others))
        await w.fleet.catch_up()
        assert sorted(w.judge.judged) == sorted(package.name for package in packages)
        await w.check(reports, snapshot)

    world(work)


def test_a_central_whose_matcher_is_behind_does_not_take_the_fleet_back(
    world: Callable[[Work], None],
) -> None:
    async def work(w: World) -> None:
        w.switch(Definitions.plain())
        old = w.judge
        for report in IMAGES:
            await w.store.put_image(report)
        changed = Definitions.plain()
        changed.affects("CVE-2099-0050", "osv", "pypi", "requests", "9")
        new = w.switch(changed)
        await w.fleet.catch_up()
        runs = await w.pool.fetchval("SELECT count(*) FROM fleet_runs")

        @contextlib.asynccontextmanager
        async def behind() -> AsyncIterator[Judge]:
            yield old

        other = Fleet(w.pool, behind, active=lambda: new.info.digest)
        assert await other.catch_up() is None
        assert await w.pool.fetchval("SELECT count(*) FROM fleet_runs") == runs
        await w.check(IMAGES, new)
        # Definitions that are active again (a rollback) are another matter.
        assert await Fleet(w.pool, behind, active=lambda: old.info.digest).catch_up() is not None

    world(work)


def test_whoever_is_killed_while_it_leads_is_followed_by_another(
    world: Callable[[Work], None],
) -> None:
    async def work(w: World) -> None:
        snapshot = w.switch(Definitions.plain())
        for report in IMAGES:
            await w.store.put_image(report)
        await w.pool.execute("DELETE FROM fleet_work")
        leads, cut = asyncio.Event(), asyncio.Event()

        class Stuck(Counting):
            async def marks(self, questions: Sequence[Subject]) -> list[bytes]:
                leads.set()
                await cut.wait()
                raise NetworkError("this Central is no more")

        stuck = Stuck(snapshot)

        @contextlib.asynccontextmanager
        async def judges() -> AsyncIterator[Judge]:
            yield stuck

        dying = asyncio.create_task(Fleet(w.pool, judges).catch_up())
        try:
            await asyncio.wait_for(leads.wait(), 30)
            # Another one helps, and leads nothing while the first one does.
            assert await w.fleet.catch_up() is None
            # What PostgreSQL does for a session whose client is gone.
            await w.pool.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1",
                fleet_work._LOCK & 0xFFFFFFFF,
            )
            for _ in range(1200):
                if await w.fleet.catch_up() is not None:
                    break
                await asyncio.sleep(0.05)
            else:
                pytest.fail("nobody took over")
        finally:
            cut.set()
            await asyncio.gather(dying, return_exceptions=True)
        await w.check(IMAGES, snapshot)

    world(work)


def test_what_no_image_has_any_more_is_swept(world: Callable[[Work], None]) -> None:
    async def work(w: World) -> None:
        w.switch(Definitions.plain())
        for report in IMAGES:
            await w.store.put_image(report)
        await w.fleet.catch_up()
        for report in IMAGES[1:]:
            await w.store.remove_image(report.image.digest)
        snapshot = w.switch(Definitions.some(random.Random(1)))
        await w.fleet.catch_up()
        await w.check(IMAGES[:1], snapshot)
        w.switch(Definitions.plain())
        await w.fleet.catch_up()
        counts = [
            await w.pool.fetchval(f"SELECT count(*) FROM fleet_{table}")
            for table in ("packages", "image_packages", "work", "due")
        ]
        assert counts == [2, 2, 0, 0]
        assert await w.pool.fetchval("SELECT count(*) FROM fleet_questions") == 2
        assert await w.pool.fetchval("SELECT count(*) FROM fleet_details") == 4

    world(work)


def test_images_go_and_come_with_other_contents(world: Callable[[Work], None]) -> None:
    async def work(w: World) -> None:
        snapshot = w.switch(Definitions.plain())
        for report in IMAGES:
            await w.store.put_image(report)
        await w.fleet.catch_up()
        assert await w.store.remove_image(IMAGES[0].image.digest)
        assert not await w.store.remove_image("sha256:none")
        await w.fleet.catch_up()
        await w.check(IMAGES[1:], snapshot)
        # The same digest, looked at by newer catalogers.
        more = msgspec.structs.replace(
            IMAGES[1],
            packages=(*IMAGES[0].packages, Package(type="pypi", name="requests", version="1")),
        )
        await w.store.put_image(more)
        await w.fleet.catch_up()
        await w.check([more, *IMAGES[2:]], snapshot)

    world(work)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_in_whatever_order_it_says_what_a_scan_says(
    world: Callable[[Work], None], seed: int
) -> None:
    chance = random.Random(seed)

    async def work(w: World) -> None:
        held: dict[str, IndexReport] = {}
        for _ in range(6):
            snapshot = w.switch(Definitions.some(chance))
            for _ in range(chance.randrange(4)):
                made = image(
                    f"image-{chance.randrange(8)}",
                    [
                        Package(type="pypi", name=f"p{number}", version=str(chance.randrange(1, 5)))
                        for number in chance.sample(range(9), chance.randrange(7))
                    ],
                    DEBIAN,
                )
                held[made.image.digest] = made
                await w.store.put_image(made)
                if chance.random() < 0.3:
                    await w.fleet.catch_up()
            if held and chance.random() < 0.3:
                del held[gone := chance.choice(sorted(held))]
                await w.store.remove_image(gone)
            await w.fleet.catch_up()
            await w.check(list(held.values()), snapshot)

    world(work)


def test_lists_of_images_show_the_definitions_of_now_though_nobody_reads_the_images(
    world: Callable[[Work], None],
) -> None:
    async def work(w: World) -> None:
        store = ImageStore(w.pool)

        async def scanned(report: IndexReport, snapshot: Snapshot) -> None:
            said, now = match(report, snapshot), datetime.now(UTC)
            await store.put(scanning._listed(report.image.reference, report, said, now, ""), report, said)
            await w.store.put_image(report)

        async def shown(snapshot: Snapshot) -> None:
            for row in await store.list(Wanted(), limit=100):
                report = next(each for each in IMAGES if each.image.digest == row.id)
                assert (row.cves, row.fixable, row.top_cvss) == as_listed(match(report, snapshot)), row.name

        first = w.switch(Definitions.plain())
        for report in IMAGES:
            await scanned(report, first)
        await shown(first)
        await w.fleet.catch_up()
        await shown(first)

        changed = Definitions.plain()
        changed.affects("CVE-2099-0050", "osv", "pypi", "requests", "9", severity=Severity.CRITICAL)
        changed.cves["CVE-2099-0050"] = CveRecord(
            cvss=(Cvss("nvd", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),)
        )
        second = w.switch(changed)
        await w.fleet.catch_up()
        await shown(second)
        assert any(row.top_cvss == pytest.approx(9.8) for row in await store.list(Wanted(), limit=100))
        # One is scanned with definitions that the fleet has not come to, and is not shown with older ones.
        third = w.switch(Definitions())
        await scanned(IMAGES[0], third)
        rows = {row.id: row for row in await store.list(Wanted(), limit=100)}
        assert rows[IMAGES[0].image.digest].cves == 0
        assert rows[IMAGES[1].image.digest].cves > 0
        await w.fleet.catch_up()
        await shown(third)
        # Back to what was before.
        again = w.switch(changed)
        await w.fleet.catch_up()
        await shown(again)

    world(work)


def test_in_the_background_it_follows_by_itself(world: Callable[[Work], None]) -> None:
    async def work(w: World) -> None:
        said: list[str] = []
        fleet = Fleet(w.pool, w.judges, told=said.append)
        snapshot = w.switch(Definitions.plain())
        w.judge.failing = 1
        await fleet.start()
        try:
            for report in IMAGES:
                await fleet.images.put_image(report)
            for _ in range(600):
                fleet.wake()
                if (await w.store.report(IMAGES[-1].image.digest)) is not None:
                    break
                await asyncio.sleep(0.05)
        finally:
            await fleet.stop()
        w.judge.failing = 0  # nobody may have asked it
        await w.fleet.catch_up()
        await w.check(IMAGES, snapshot)
        assert said in ([], ["the fleet could not follow: the Matcher went away"])

    world(work)


def test_hostile_names_and_tokens_are_no_trouble(world: Callable[[Work], None]) -> None:
    async def work(w: World) -> None:
        snapshot = w.switch(Definitions.plain())
        hostile = image(
            "x'); DROP TABLE fleet_images; --",
            [
                Package(type="pypi", name="a\0b", version="\udc80'"[1:] + "\0"),
                Package(type="", name="", version=""),
            ],
            DEBIAN,
        )
        await w.store.put_image(hostile)
        await w.fleet.catch_up()
        await w.check([hostile], snapshot)
        for token in ("zz", "00", msgspec.json.encode(["a"]).hex(), msgspec.json.encode([1] * 9).hex()):
            for page in (w.store.images, w.store.cves):
                with pytest.raises(UsageError, match="token"):
                    await page(10, token)
        with pytest.raises(UsageError, match="digest"):
            await w.store.put_image(
                msgspec.structs.replace(hostile, image=msgspec.structs.replace(hostile.image, digest=""))
            )

    world(work)
