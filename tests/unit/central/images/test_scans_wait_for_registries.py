"""What a scan does when a registry cannot answer now: how often it asks, what it shows, and who works meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, cast

import asyncpg
import pytest

from redoubt.central.images.jobs import ScanJob, State
from redoubt.central.images.scanning import Pace, Scanning
from redoubt.central.refusals import Aborted
from redoubt.central.scanners import Access
from redoubt.central.store.images import ImageStore
from redoubt.egress import ConnectionBroken, Missing, Unreachable, Untrusted
from redoubt.errors import AccessDenied, HostRefused, NetworkError, RedoubtError, TryLater, UnreadableInput
from redoubt.indexer.sources.reference import ImageReference
from redoubt.model import DefinitionsInfo, Image, IndexReport, VulnerabilityReport

NAME = "registry.example/shop:1"
QUICK = Pace(registry_first=0.001, registry_longest=0.01)


class Store:
    """Keeps nothing."""

    async def find(self, digest: str) -> None: ...

    async def put(self, *_: object) -> None: ...


class Registries:
    """All may be asked; ``outcomes`` are what was noted of them."""

    def __init__(self) -> None:
        self.outcomes: list[RedoubtError | None] = []
        self.asked = 0
        self.away = 0  # times that the database, where all of them are, cannot be asked

    async def access(self, reference: ImageReference) -> Access:
        self.asked += 1
        if self.asked <= self.away:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return Access(name="here", integration="1")

    def explained(self, error: RedoubtError, reference: ImageReference, access: Access) -> RedoubtError:
        return error

    async def outcome(self, access: Access, error: RedoubtError | None) -> None:
        self.outcomes.append(error)


class Scanner:
    """An Indexer and a Matcher; the first asks ``registry`` how it went, by image's name and number of the try."""

    def __init__(self, registry: Callable[[str, int], RedoubtError | None]) -> None:
        self._registry = registry
        self.tries: dict[str, int] = {}

    async def get(self, digest: str) -> None: ...

    async def index(self, reference: str, access: Access, **_: Any) -> IndexReport:
        self.tries[reference] = self.tries.get(reference, 0) + 1
        if (error := self._registry(reference, self.tries[reference])) is not None:
            raise error
        return IndexReport(image=Image(reference=reference, kind="registry", digest="sha256:" + "1" * 64))

    async def match(self, report: IndexReport) -> VulnerabilityReport:
        return VulnerabilityReport(
            image=report.image, definitions=DefinitionsInfo(digest="sha256:d", schema="1.0")
        )


def run(
    registry: Callable[[str, int], RedoubtError | None],
    work: Callable[[Scanning, Scanner, Registries], Awaitable[None]],
    pace: Pace = QUICK,
) -> None:
    async def whole() -> None:
        scanner, registries = Scanner(registry), Registries()
        scanning = Scanning(
            cast(ImageStore, Store()), scanner, scanner, registries, active=lambda: "sha256:d", pace=pace
        )
        try:
            await work(scanning, scanner, registries)
        finally:
            await scanning.stop()

    asyncio.run(asyncio.wait_for(whole(), 60))


def until(times: int, error: RedoubtError) -> Callable[[str, int], RedoubtError | None]:
    return lambda name, number: error if number <= times else None


async def waiting(scanning: Scanning) -> ScanJob:
    for _ in range(1000):
        jobs = [job for job in scanning.jobs() if job.next_try is not None]
        if jobs:
            return jobs[0]
        await asyncio.sleep(0.001)
    raise AssertionError("no scan waits for its next try")


@pytest.mark.parametrize(
    "error", [TryLater("answered 429", 0.005), TryLater("502"), ConnectionBroken("reset")]
)
def test_it_asks_again_until_the_registry_answers(error: RedoubtError) -> None:
    async def work(scanning: Scanning, scanner: Scanner, registries: Registries) -> None:
        await scanning.scan(NAME)
        (job,) = scanning.jobs()
        assert (scanner.tries, job.tries, job.state, job.problem) == ({NAME: 5}, 5, State.DONE, "")
        # Credentials may have ended meanwhile; the registry's health is noted at the end.
        assert (registries.asked, registries.outcomes) == (5, [None])

    run(until(4, error), work)


def test_a_database_that_is_started_again_is_waited_for() -> None:
    async def work(scanning: Scanning, scanner: Scanner, registries: Registries) -> None:
        registries.away = 3
        await scanning.scan(NAME)
        assert (registries.asked, scanner.tries) == (4, {NAME: 1})

    run(until(0, TryLater("never")), work)


def test_it_gives_up_after_so_many_times_and_says_why() -> None:
    async def work(scanning: Scanning, scanner: Scanner, registries: Registries) -> None:
        with pytest.raises(TryLater, match="answered 503"):
            await scanning.scan(NAME)
        (job,) = scanning.jobs()
        assert (scanner.tries[NAME], job.state, job.problem) == (5, State.FAILED, "answered 503")
        assert [type(error) for error in registries.outcomes] == [TryLater]

    run(until(99, TryLater("answered 503")), work)


@pytest.mark.parametrize(
    "error",
    [
        AccessDenied("401"),
        UnreadableInput("404"),
        Missing("404"),
        HostRefused.of("registry.example"),
        Unreachable("refused"),
        Untrusted("certificate"),
        NetworkError("answered 302"),
        TryLater("in an hour", 3600),
    ],
)
def test_what_will_not_pass_is_asked_once(error: RedoubtError) -> None:
    async def work(scanning: Scanning, scanner: Scanner, _: Registries) -> None:
        with pytest.raises(type(error)):
            await scanning.scan(NAME)
        assert scanner.tries == {NAME: 1}

    run(until(99, error), work)


def test_while_it_waits_it_is_shown_cancelled_and_in_nobodys_way() -> None:
    def registry(name: str, number: int) -> RedoubtError | None:
        return TryLater("answered 429", 60) if name == NAME else None

    async def work(scanning: Scanning, scanner: Scanner, _: Registries) -> None:
        scan = asyncio.create_task(scanning.scan(NAME))
        job = await waiting(scanning)
        assert job.next_try is not None
        assert 50 < (job.next_try - datetime.now(UTC)).total_seconds() <= 60
        assert (job.state, job.tries, job.problem) == (State.INDEXING, 1, "answered 429")
        # There is room for one image only, and it is not taken.
        await scanning.scan("other.example/shop:1")
        scanning.cancel(job.id)
        with pytest.raises(Aborted):
            await scan
        assert scanner.tries == {NAME: 1, "other.example/shop:1": 1}
        await scanning.scan("other.example/shop:2")
        ended = {job.image: (job.state, job.next_try) for job in scanning.jobs()}
        assert ended[NAME] == (State.CANCELLED, None)

    run(registry, work, Pace(at_once=1))


def test_who_asks_while_a_scan_is_being_cancelled_takes_no_part_in_it() -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    class Slow(Scanner):
        async def index(self, reference: str, access: Access, **more: Any) -> IndexReport:
            report = await super().index(reference, access, **more)
            if self.tries[reference] == 1:
                begun.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    await over.wait()  # it takes a moment to end
            return report

    async def whole() -> None:
        scanner = Slow(until(0, TryLater("never")))
        scanning = Scanning(
            cast(ImageStore, Store()), scanner, scanner, Registries(), active=lambda: "sha256:d", pace=QUICK
        )
        first = asyncio.create_task(scanning.scan(NAME))
        await begun.wait()
        first.cancel()  # its caller is gone
        await asyncio.wait([first])
        second = asyncio.create_task(scanning.scan(NAME))
        await asyncio.sleep(0.01)
        over.set()
        assert (await second).index.image.reference == NAME
        await scanning.stop()
        assert sorted(job.state.value for job in scanning.jobs()) == ["CANCELLED", "DONE"]

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_no_more_are_worked_on_at_once_than_is_said_however_they_waited() -> None:
    under_way: list[int] = [0, 0]

    class Counting(Scanner):
        async def index(self, reference: str, access: Access, **more: Any) -> IndexReport:
            under_way[0] += 1
            under_way[1] = max(under_way)
            try:
                await asyncio.sleep(0.002)
                return await super().index(reference, access, **more)
            finally:
                under_way[0] -= 1

    async def whole() -> None:
        scanner = Counting(until(3, TryLater("429")))
        pace = Pace(at_once=2, registry_first=0.001, registry_longest=0.005)
        scanning = Scanning(
            cast(ImageStore, Store()), scanner, scanner, Registries(), active=lambda: "sha256:d", pace=pace
        )
        await asyncio.gather(*(scanning.scan(f"registry.example/{number}:1") for number in range(12)))
        assert under_way == [0, 2]

    asyncio.run(asyncio.wait_for(whole(), 20))
