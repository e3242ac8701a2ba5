"""Scans of images: a few at a time, each image once, tried again where a service is away for a moment.

A name is asked of its registry each time, since tags move; what it leads to is indexed once, and matched once for each
snapshot of definitions. What is kept is matched again, without the registry, when the definitions are others.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

import msgspec
import structlog

from redoubt import tasks
from redoubt.central.images import original
from redoubt.central.images.jobs import Job, ScanJob, Slot, State
from redoubt.central.refusals import Aborted, Exhausted, NotFound
from redoubt.central.refusals import Unavailable as NotNow
from redoubt.central.scanners import Access, Progress
from redoubt.central.store.images import ImageStore, Kept, Listed
from redoubt.errors import DefinitionsMissing, RedoubtError, TryLater, UsageError
from redoubt.indexer.sources.reference import ImageReference, is_digest, parse_reference
from redoubt.model import IndexReport, VulnerabilityReport
from redoubt.postgres import pool as pools
from redoubt.wire.failures import Unavailable

T = TypeVar("T")
R = TypeVar("R", IndexReport, VulnerabilityReport)

#: Scans that ended and are still told of.
_TOLD = 100
#: Seconds between two looks at how far a scan is, for who wants to be told.
_TELL = 0.25
_log = structlog.get_logger("images")


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How much at once, and how patiently. Seconds; pauses are doubled each time and jittered."""

    #: Images that are worked on, and that wait or are worked on; one more is refused.
    at_once: int = 4
    most: int = 2000
    #: For a whole scan.
    limit: float = 3600.0
    #: How long a service that is away is asked again, and the pauses in between.
    patience: float = 60.0
    first: float = 0.25
    longest: float = 8.0
    #: How often a registry is asked that cannot answer now, and the pauses in between, or that it asks for.
    registry_tries: int = 5
    registry_first: float = 2.0
    registry_longest: float = 120.0


class Indexer(Protocol):
    """``scanners.Indexer``."""

    async def index(
        self,
        reference: str,
        access: Access,
        *,
        platform: str = "",
        force: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> IndexReport: ...

    async def get(self, digest: str) -> IndexReport | None: ...


class Matcher(Protocol):
    """``scanners.Matcher``."""

    async def match(self, report: IndexReport) -> VulnerabilityReport: ...


class Registries(Protocol):
    """Who knows how registries are reached: ``integrations.registries.Registries``."""

    async def access(self, reference: ImageReference) -> Access:
        """How the image's registry is reached. Raises where it may not be."""

    def explained(self, error: RedoubtError, reference: ImageReference, access: Access) -> RedoubtError:
        """What to say of a registry that could not be read from."""

    async def outcome(self, access: Access, error: RedoubtError | None) -> None:
        """Note whether it could be read from."""


#: Is told of each scan that was kept; again where the database was away.
Listener = Callable[[IndexReport, VulnerabilityReport], Awaitable[None]]
#: Is told how far a scan is, first at its begin and then whenever something changed.
Told = Callable[[ScanJob], Awaitable[None]]


class Scanning:
    """Makes and keeps scans. ``active`` says which definitions are active here (their digest, or nothing)."""

    def __init__(
        self,
        store: ImageStore,
        indexer: Indexer,
        matcher: Matcher,
        registries: Registries,
        *,
        active: Callable[[], str],
        pace: Pace | None = None,
    ) -> None:
        self.store = store
        self.listeners: list[Listener] = []
        self._indexer = indexer
        self._matcher = matcher
        self._registries = registries
        self._active = active
        self.pace = pace or Pace()
        self._slots = asyncio.Semaphore(self.pace.at_once)
        self._matching = asyncio.Semaphore(self.pace.at_once)
        self._jobs: dict[tuple[str, str, bool], Job] = {}
        #: Cancelled, and not yet over, while the same image is scanned for somebody else.
        self._cancelled: list[Job] = []
        self._rematches: dict[str, asyncio.Task[Kept]] = {}
        self._ended: deque[Job] = deque(maxlen=_TOLD)

    async def start(self) -> None:
        """Nothing works before somebody asks."""

    async def stop(self) -> None:
        """End what is under way."""
        scans = [job.task for job in (*self._cancelled, *self._jobs.values()) if job.task]
        await tasks.end(*scans, *self._rematches.values())

    # Scans

    async def scan(
        self, name: str, *, force: bool = False, platform: str = "", told: Told | None = None
    ) -> Kept:
        """The scan of the image that ``name`` leads to now. ``force``: look at it again, whatever is kept.

        Raises ``UsageError`` for a name that is none, what the registry's refusal amounts to, ``Exhausted`` where too
        many wait, ``Unavailable`` where a service stays away, ``Aborted`` where somebody cancelled it.
        """
        reference = parse_reference(name)
        job = self._job(reference, platform, force)
        assert job.task is not None
        job.waiting += 1
        try:
            if told is not None:
                await _tell(job, job.task, told)
            return await asyncio.shield(job.task)
        except asyncio.CancelledError:
            if job.task.cancelled():
                raise Aborted(f"the scan of {reference} was cancelled") from None
            raise
        finally:
            job.waiting -= 1
            if not job.waiting:
                job.task.cancel()

    def jobs(self) -> list[ScanJob]:
        """Scans that wait or are under way, the oldest first, and then those that ended lately, the newest first."""
        return [job.told() for job in (*self._cancelled, *self._jobs.values(), *reversed(self._ended))]

    def cancel(self, identifier: str) -> None:
        """End a scan for all who wait for it. Raises ``NotFound``."""
        for job in self._jobs.values():
            if job.id == identifier and job.task is not None:
                job.task.cancel()
                return
        raise NotFound("there is no such scan under way")

    async def current(self, digest: str) -> Kept | None:
        """What is kept of a digest, matched again if the definitions are others now.

        Where that is not possible now, what is kept is given as it is: its report names its definitions.
        """
        kept = await self.store.find(digest)
        active = self._active()
        if kept is None or not active or kept.listed.definitions == active:
            return kept
        if (task := self._rematches.get(digest)) is None:
            task = self._rematches[digest] = asyncio.create_task(self._rematched(kept))
            task.add_done_callback(lambda _: self._rematches.pop(digest, None))
        try:
            return await asyncio.shield(task)
        except (Unavailable, DefinitionsMissing) as error:
            _log.warning("not matched again", image=digest, reason=str(error))
            return kept

    async def match(self, index: IndexReport) -> VulnerabilityReport:
        """What the definitions say of something that is not kept. Raises as ``scan``."""
        async with self._matching:
            return await self._trying(Job("", force=False), lambda: self._matcher.match(index))

    async def brought(
        self, name: str, index: IndexReport, cluster: str, *, keep: Callable[[], Awaitable[bool]]
    ) -> Kept:
        """What a report amounts to that a cluster's own Indexer made of an image; kept in place of what is, if ``keep`` says so then.

        Raises ``UsageError`` for a name or a report of no image, and as ``match``.
        """
        reference = parse_reference(name)
        if not is_digest(index.image.digest) or index.image.kind != "registry":
            raise UsageError("the report is of no image in a registry")
        if reference.digest and reference.digest != index.image.digest:
            raise UsageError(f"the report is of {index.image.digest}, and not of {reference}")
        index = _renamed(index, str(reference))
        report = await self.match(index)
        listed = _listed(str(reference), index, report, datetime.now(UTC), "", cluster=cluster)
        if await keep():  # asked last: others may have looked at it meanwhile
            await pools.again(lambda: self.store.put(listed, index, report))
            for tell in self.listeners:
                await pools.again(partial(tell, index, report))
        return Kept(listed=listed, names=(listed.name,), index=index, report=report)

    # What a scan does

    def _job(self, reference: ImageReference, platform: str, force: bool) -> Job:
        key = (str(reference), platform, force)
        # Who does not insist on a new look takes part in one that somebody else insists on.
        for each in (key, (*key[:2], True)):
            if (found := self._jobs.get(each)) is not None and not found.cancelled:
                return found
        if len(self._jobs) >= self.pace.most:
            raise Exhausted(f"{len(self._jobs)} scans wait already; try again later", 30.0)
        if (cancelled := self._jobs.get(key)) is not None:
            self._cancelled.append(cancelled)
        job = Job(str(reference), force)
        job.task = asyncio.create_task(self._run(job, reference, platform))
        self._jobs[key] = job
        job.task.add_done_callback(lambda _: self._over(key, job))
        return job

    def _over(self, key: tuple[str, str, bool], job: Job) -> None:
        if self._jobs.get(key) is job:
            del self._jobs[key]
        else:
            self._cancelled.remove(job)
        self._ended.append(job)

    async def _run(self, job: Job, reference: ImageReference, platform: str) -> Kept:
        try:
            async with Slot(self._slots) as slot, asyncio.timeout(self.pace.limit):
                kept = await self._scanned(job, reference, platform, slot)
        except asyncio.CancelledError:
            job.end(State.CANCELLED)
            raise
        except TimeoutError:
            job.end(State.FAILED, "it took too long")
            raise NotNow(
                f"the scan of {reference} took longer than {self.pace.limit / 60:.0f} minutes"
            ) from None
        except Exception as error:
            problem = str(error) if isinstance(error, RedoubtError) else "an error that was not foreseen"
            job.end(State.FAILED, problem)
            _log.warning("not scanned", image=job.image, reason=problem)
            raise
        job.end(State.DONE)
        return kept

    async def _scanned(self, job: Job, reference: ImageReference, platform: str, slot: Slot) -> Kept:
        job.state = State.INDEXING
        index, source = await self._indexed(job, reference, platform, slot)
        job.digest = digest = index.image.digest
        found = None if job.force else await pools.again(lambda: self.store.find(digest))
        now = datetime.now(UTC)
        # What a cluster's Indexer said counts for that cluster.
        own = found is not None and not found.listed.cluster
        if (
            found is not None
            and own
            and _same(found.index, index)
            and found.listed.definitions == self._active()
        ):
            listed = msgspec.structs.replace(found.listed, name=job.image, indexed=now, source=source)
            await pools.again(lambda: self.store.seen(listed))
            return _named(found, listed)
        job.state = State.MATCHING
        report = await self._trying(job, lambda: self._matcher.match(index), slot)
        listed = _listed(job.image, index, report, now, source)
        await pools.again(lambda: self.store.put(listed, index, report))
        for tell in self.listeners:
            await pools.again(partial(tell, index, report))
        names = (job.image, *(found.names if found else ()))
        return Kept(listed=listed, names=tuple(dict.fromkeys(names)), index=index, report=report)

    async def _indexed(
        self, job: Job, reference: ImageReference, platform: str, slot: Slot
    ) -> tuple[IndexReport, str]:
        """What is in the image, and the name of the integration that it was read by."""
        access: Access | None = None

        def tell(progress: Progress) -> None:
            job.progress = progress

        async def work() -> IndexReport:
            nonlocal access
            access = None
            # Anew each time: a cloud's token ends.
            access = await pools.again(lambda: self._registries.access(reference))
            named = reference.digest if not job.force else ""
            if named and (report := await self._indexer.get(named)) is not None:
                return _renamed(report, str(reference))
            return await self._indexer.index(
                str(reference), access, platform=platform, force=job.force, progress=tell
            )

        try:
            report = await self._trying(job, work, slot)
        except RedoubtError as error:
            if access is None:  # it says itself why the registry may not be asked
                raise
            await self._registries.outcome(access, error)
            raise self._registries.explained(error, reference, access) from error
        assert access is not None
        await self._registries.outcome(access, None)
        return report, access.name

    async def _trying(self, job: Job, work: Callable[[], Awaitable[T]], slot: Slot | None = None) -> T:
        """What ``work`` gives; again after a pause where a service is away or has no definitions yet, or a registry cannot now.

        ``slot`` is given back while a registry is waited for, so that others' images get on.
        """
        loop, pace = asyncio.get_running_loop(), self.pace
        until, away, refused = loop.time() + pace.patience, 0, 0
        while True:
            try:
                return await work()
            except (Unavailable, DefinitionsMissing) as error:
                wait = _pause(pace.first, pace.longest, away)
                away += 1
                lasting = isinstance(error, DefinitionsMissing) and not self._active()
                if lasting or loop.time() + wait > until:
                    raise
                job.problem, asked = str(error), None
            except TryLater as error:
                wait = max(_pause(pace.registry_first, pace.registry_longest, refused), error.after)
                refused += 1
                if refused >= pace.registry_tries or error.after > pace.registry_longest:
                    raise
                job.problem, asked = str(error), slot
            job.next_try = datetime.now(UTC) + timedelta(seconds=wait)
            await (asked.pause(wait) if asked is not None else asyncio.sleep(wait))
            job.next_try = None
            job.tries += 1
            if asked is not None:
                until = loop.time() + pace.patience

    async def _rematched(self, kept: Kept) -> Kept:
        async with self._matching:
            report = await self._matcher.match(kept.index)
        listed = _listed(
            kept.listed.name,
            kept.index,
            report,
            kept.listed.indexed,
            kept.listed.source,
            datetime.now(UTC),
            kept.listed.cluster,
        )
        with suppress(RedoubtError):
            await self.store.matched(listed, report)
        return msgspec.structs.replace(kept, listed=listed, report=report)


def _pause(first: float, longest: float, before: int) -> float:
    """Seconds to wait after ``before`` pauses."""
    whole: float = min(longest, first * 2.0 ** min(before, 30))
    return whole * random.uniform(0.5, 1)  # noqa: S311  # spreads load


async def _tell(job: Job, task: asyncio.Task[Kept], told: Told) -> None:
    """Tell of each change until the scan is over."""
    last = None
    while True:
        ended = task.done()
        if (now := job.told()) != last:
            await told(now)
            last = now
        if ended:
            return
        await asyncio.wait([task], timeout=_TELL)


def _listed(
    name: str,
    index: IndexReport,
    report: VulnerabilityReport,
    indexed: datetime,
    source: str,
    matched: datetime | None = None,
    cluster: str = "",
) -> Listed:
    counts = original.count(report)
    return Listed(
        id=index.image.digest,
        name=name,
        indexed=indexed,
        matched=matched or indexed,
        definitions=report.definitions.digest,
        system=original.system(report.distribution),
        components=counts.components,
        cves=counts.cves,
        fixable=counts.fixable,
        top_cvss=counts.top_cvss,
        source=source,
        cluster=cluster,
    )


def _same(kept: IndexReport, new: IndexReport) -> bool:
    """Whether the same looked at it: then the reports of one digest are the same."""
    return (kept.catalogers, kept.lookups, kept.schema) == (new.catalogers, new.lookups, new.schema)


def _named(kept: Kept, listed: Listed) -> Kept:
    """What is kept, under the name that it was asked for by now."""
    return Kept(
        listed=listed,
        names=tuple(dict.fromkeys((listed.name, *kept.names))),
        index=_renamed(kept.index, listed.name),
        report=_renamed(kept.report, listed.name),
    )


def _renamed(report: R, name: str) -> R:
    return msgspec.structs.replace(report, image=msgspec.structs.replace(report.image, reference=name))
