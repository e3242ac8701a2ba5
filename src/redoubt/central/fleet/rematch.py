"""Definitions changed, and the fleet follows: what they say otherwise is found out, judged again and stored.

A run asks the new definitions for the mark of every question that the fleet has, has those packages judged whose mark
differs from the one that is remembered, and tells what is new, gone, worse and better. Nothing is taken from the
definitions before: a run that was cut off, a rollback or three steps at once are the same work. No image is
touched and no registry asked.

One Central leads a run; all of them judge. Knows no wire: a ``Judge`` is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress

import msgspec

from redoubt import tasks
from redoubt.central.fleet.judging import Judge
from redoubt.central.store import Pool
from redoubt.central.store.fleet import FleetStore
from redoubt.central.store.fleet_totals import FleetTotals
from redoubt.central.store.fleet_work import FleetWork
from redoubt.errors import RedoubtError
from redoubt.postgres.pool import again

#: Gives a judge for as long as it is used. What it says is of the definitions that are active when it is asked for.
Judges = Callable[[], AbstractAsyncContextManager[Judge]]

_QUESTIONS = 5000
_SCORES = 20_000
_KEPT_RUNS = 30
_OTHERS_SECONDS = 0.2
_IDLE_SECONDS = 30.0
_PAUSE_SECONDS = 5.0


class Outcome(msgspec.Struct, frozen=True):
    """What a run did: questions whose records differ, packages judged, pieces of work done here."""

    run: int
    questions: int
    packages: int


class Fleet:
    """The background work: follows the active definitions, judges what is new, keeps the counts.

    A part of Central (``start``, ``stop``). ``wake`` it when definitions were switched or an image was put;
    it looks by itself every half a minute. ``told`` hears what went wrong; the work is tried again. ``active`` gives the
    digest of the definitions that are active at Central: a Matcher that is behind does not take the fleet back.
    """

    def __init__(
        self,
        pool: Pool,
        judges: Judges,
        *,
        workers: int = 2,
        told: Callable[[str], None] | None = None,
        active: Callable[[], str] = lambda: "",
    ) -> None:
        self.images = FleetStore(pool)
        self._work = FleetWork(pool)
        self._totals = FleetTotals(pool)
        #: Hear of the images of which a run found something otherwise: their digests.
        self.listeners: list[Callable[[list[str]], None]] = []
        self._judges = judges
        self._workers = workers
        self._told = told or (lambda line: None)
        self._active = active
        self._awake = asyncio.Event()
        self._task = tasks.Background()

    async def start(self) -> None:
        """Begin to work in the background."""
        self._task.begin(self._forever(), "fleet")

    async def stop(self) -> None:
        """End. What was not finished is done by another, or at the next start."""
        await self._task.end()

    def wake(self) -> None:
        """There is something to do."""
        self._awake.set()

    async def catch_up(self) -> Outcome | None:
        """Do all that there is to do now; what the run did, where definitions had changed."""
        outcome = None
        async with self._judges() as judge:
            definitions, done = await self._work.state()
            behind = "" != self._active() == definitions != judge.info.digest
            if (definitions != judge.info.digest or not done) and not behind:
                outcome = await self.run(judge)
            else:
                await self._judge_all(judge)
            if releases := await self._work.releases(unknown=True):
                ends = await judge.ends_of_life(releases)
                await self._work.know_ends(list(zip(releases, ends, strict=True)))
        await self.count()
        await self.list_images()
        return outcome

    async def count(self) -> None:
        """Bring counts and lists up to date."""
        while await again(self._totals.bring_up_to_date):
            pass
        await again(self._totals.sweep)

    async def list_images(self) -> None:
        """Bring up to date what lists of images show of each; it takes longest, and makes way for what comes meanwhile."""
        while await again(self._totals.bring_lists_up_to_date) and not self._awake.is_set():
            pass

    async def run(self, judge: Judge) -> Outcome | None:
        """Have the whole fleet follow the definitions of ``judge``. None where another Central is at it."""
        async with self._work.leading() as leads:
            if not leads:
                await self._judge_all(judge)
                return None
            run = await self._work.begin(judge.info.digest)
            questions = packages = 0
            async for changed in self._changed(judge):
                questions += len(changed)
                packages += await self._work.ask_again(run, changed)
            last = await self._work.newest()
            await self._judge_all(judge)
            while await self._work.left(last):  # others are still at some
                await asyncio.sleep(_OTHERS_SECONDS)
                await self._judge_all(judge)
            releases = await self._work.releases()
            ends = await judge.ends_of_life(releases)
            await self._score(judge)
            await self._work.end(run, judge.info, list(zip(releases, ends, strict=True)))
            await self._totals.changes(run)
            if changed_images := await self._totals.changed_images(run):
                for tell in self.listeners:
                    tell(changed_images)
            await self._totals.forget_changes(_KEPT_RUNS)
            return Outcome(run, questions, packages)

    async def _changed(self, judge: Judge) -> AsyncIterator[list[tuple[int, bytes]]]:
        """Questions about which the definitions say something else than is remembered, with the new marks."""
        after = 0
        while questions := await self._work.questions(after, _QUESTIONS):
            marks = await judge.marks([question.body for question in questions])
            changed = [
                (question.question, mark)
                for question, mark in zip(questions, marks, strict=True)
                if question.mark != mark
            ]
            if changed:
                yield changed
            after = questions[-1].question

    async def _judge_all(self, judge: Judge) -> None:
        """Do pieces of work until there are none that nobody has."""

        async def worker() -> None:
            while await again(lambda: self._judge_some(judge)):
                pass

        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(worker())

    async def _judge_some(self, judge: Judge) -> bool:
        async with self._work.claimed() as (connection, work):
            if work is None or work.definitions != judge.info.digest:
                return False
            verdicts = await judge.judge(work.subjects)
            marks = await judge.marks([question.body for question in work.questions])
            await self._work.store(connection, work, verdicts, marks, judge.scores)
            return True

    async def _score(self, judge: Judge) -> None:
        after = ""
        while names := await self._work.cves(after, _SCORES):
            await self._work.score(names, await judge.scores(names))
            after = names[-1]

    async def _forever(self) -> None:
        failed = 0
        while True:
            pause = _IDLE_SECONDS
            self._awake.clear()
            try:
                await self.catch_up()
                failed = 0
            except* RedoubtError as errors:
                failed += 1
                if failed > 1:  # once is nothing: a Matcher starts after Central, and is started anew
                    self._told(f"the fleet could not follow: {_first(errors)}")
                pause = _PAUSE_SECONDS
            except* Exception as errors:  # noqa: BLE001 - it must go on
                self._told(f"a fault in following the fleet: {_first(errors)!r}")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), pause)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
