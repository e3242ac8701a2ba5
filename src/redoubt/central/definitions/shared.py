"""Definitions of several replicas: what the database says of the shelf is what each replica's shelf becomes.

A change is verified on the replica that was asked, written to the database in one transaction (with the files as large
objects), and only then made on that replica's own shelf. The others are told (``central.notices``), look at
intervals besides, fetch what they lack, prove its digest, and switch. A replica's folder is a cache: an empty one is
filled, and what it has that the database does not know goes.

The first replica that finds nothing in the database puts its own shelf there, with the starter definitions where that is
empty.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import structlog

from redoubt import children, tasks
from redoubt.central.definitions.beside import Beside
from redoubt.central.definitions.work import WORK, Adopted, Became, Proposal, ToAdopt, ToImport, became
from redoubt.central.notices import Notices
from redoubt.central.store import Connection
from redoubt.central.store.definitions_shared import (
    STREAM,
    TOPIC,
    UPSTREAM,
    NewFile,
    Row,
    Said,
    SharedDefinitions,
)
from redoubt.definitions.durable import writing
from redoubt.definitions.proposing import ProposingLibrary
from redoubt.definitions.shelf import State
from redoubt.errors import Busy, RedoubtError

T = TypeVar("T")

#: Seconds between two looks, and before the next one where something failed (doubled up to the former).
INTERVAL, _FIRST_WAIT = 30.0, 1.0

_log = structlog.get_logger("definitions")


class Shared:
    """Keeps the shelf below ``data`` at what the database says. ``switched`` is told of each step on the way.

    ``starter`` is the bundle that is put on an empty shelf where the database has none; ``beside`` the files beside it.
    """

    def __init__(
        self,
        store: SharedDefinitions,
        data: Path,
        beside: Beside,
        notices: Notices,
        switched: Callable[[], Awaitable[None]],
        *,
        starter: Path | None = None,
        interval: float = INTERVAL,
    ) -> None:
        self.store = store
        self.problem = ""
        self._data = data
        self._beside = beside
        self._library = ProposingLibrary(data)
        self._notices = notices
        self._switched = switched
        self._starter = starter
        self._interval = interval
        self._seen = 0
        self.said: Said | None = None  # what the database said last; the shelf here follows
        self._here = asyncio.Lock()  # of whoever changes this replica's folder
        self._wake = asyncio.Event()
        self._task = tasks.Background()

    async def start(self) -> None:
        """Begin to follow. What is on this replica's shelf serves until it has caught up."""
        self._notices.on(TOPIC, lambda _: self._wake.set())
        self._task.begin(self._run(), "definitions shared")

    async def stop(self) -> None:
        """End it."""
        await self._task.end()

    async def _run(self) -> None:
        wait = _FIRST_WAIT
        while True:
            self._wake.clear()
            pause = self._interval * random.uniform(0.8, 1.2)  # noqa: S311  # spreads load
            try:
                if not await self.catch_up():
                    await self._begin()
            except Busy:
                pause = _FIRST_WAIT
            except Exception as error:  # noqa: BLE001 (it is tried again)
                self.problem = str(error) or type(error).__name__
                _log.warning("definitions not caught up", reason=self.problem)
                pause, wait = wait, min(wait * 2, self._interval)
            else:
                self.problem, wait = "", _FIRST_WAIT
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)

    async def catch_up(self) -> bool:
        """Have the shelf here be what the database says; False where that says nothing yet."""
        async with self._here:
            return await self._caught_up()

    async def _begin(self) -> None:
        """Be the first, unless another replica was quicker. Raises ``Busy`` while another one is at it."""
        async with self.store.beginning() as alone:
            if not alone:
                raise Busy("another replica is putting its definitions into the database; try it again")
            # Who only finds that it is not the first holds up nobody's upload.
            if not await self.store.generation():
                async with self.changing() as session, self._here:
                    if not await self.store.generation():  # an upload may have been quicker
                        await self._seed(session)
        await self.catch_up()

    # Changes, on the replica that was asked

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Connection]:
        """The session of the one change of the shelf that is under way among all replicas.

        Raises ``Busy`` where another one is.
        """
        async with self.store.alone() as connection:
            if connection is None:
                raise Busy("another upload of definitions is under way; wait until it is done")
            yield connection

    async def take(self, session: Connection, asked: ToImport) -> Became:
        """Make a bundle's snapshot active on all replicas.

        Raises as ``work.take``, and ``Aborted`` where the trusted roots were changed meanwhile.
        """
        async with self._here:
            await self._ready(session)
            try:
                proposal = await children.run(f"{WORK}:propose", asked, Proposal)
            except RedoubtError:
                # A root that replaced another one counts, whatever becomes of the bundle that brought it.
                await self._tell_trust()
                raise
            done = proposal.became
            if proposal.state is not None:
                files = [await self._stream(done.digest)]
                if done.stackrox:
                    keep = self._beside.keep_upstream
                    place = await asyncio.to_thread(keep, Path(asked.file), done.digest)
                    files.append(NewFile(digest=done.digest, kind=UPSTREAM, path=place))
                await self._decide(session, proposal.state, files)
            return done

    async def roll_back(self, session: Connection, to: str) -> Became:
        """Make another snapshot on the shelf active on all replicas; raises as ``Library.rollback``."""
        async with self._here:
            await self._ready(session)
            previous = self._library.state().active
            library = ProposingLibrary(self._data)
            entry = await asyncio.to_thread(library.rollback, to)
            if library.proposed is not None:
                await self._decide(session, library.proposed, [])
            return became(entry, previous=previous, already_active=entry.digest == previous)

    async def change_trust(self, work: Callable[[], T]) -> T:
        """What ``work`` gives, which changes the trust below ``data``: for all replicas.

        Raises ``Busy`` at the very first start, where another replica is putting its shelf into the database.
        """
        if not await self.catch_up():
            await self._begin()
        async with self._here:
            await self._caught_up()
            try:
                done = await asyncio.to_thread(work)
                await self._tell_trust()
                return done
            except BaseException:
                self._seen = 0  # what was done here only is undone
                self._wake.set()
                raise

    async def _tell_trust(self) -> None:
        assert self.said is not None
        now = self._library.trust.contents()
        if now != self.said.trust:
            await self.store.change_trust(self.said.trust, now)
            self._seen = 0
            self._wake.set()

    async def _decide(self, connection: Connection, state: State, files: list[NewFile]) -> None:
        assert self.said is not None
        try:
            await self.store.change(
                connection,
                state,
                files,
                trusted=self.said.trusted,
                trust=(self.said.trust, self._library.trust.contents()),
            )
            await self._caught_up()
        except BaseException:
            self._seen = 0  # what was proposed here, and not decided, goes
            self._wake.set()
            raise

    # This replica's folder, with ``_here`` held

    async def _ready(self, connection: Connection) -> None:
        if not await self._caught_up():
            await self._seed(connection)
            await self._caught_up()

    async def _seed(self, connection: Connection) -> None:
        if self._starter is not None and not self._library.state().active:
            await children.run(
                f"{WORK}:take", ToImport(data=str(self._data), file=str(self._starter)), Became
            )
        state = self._library.state()
        files = [await self._stream(digest) for digest in state.entries]
        for digest in state.entries:
            if (place := self._beside.upstream_place(digest)).is_file():
                files.append(NewFile(digest=digest, kind=UPSTREAM, path=place))
        await self.store.first(connection, state, files, self._library.trust.contents())
        _log.info("definitions are in the database now", digest=state.active)

    async def _caught_up(self) -> bool:
        while True:
            if self._seen and self._seen == await self.store.generation():
                return True
            said = await self.store.read()
            if said is None:
                return False
            self.said = said
            await self._switched()
            await asyncio.to_thread(self._library.trust.restore, said.trust)
            state = said.state
            first = [row for row in said.files if row.digest == state.active]
            rest = [row for row in said.files if row.digest != state.active]
            # The active one is not kept waiting by those that are there to go back to.
            for rows in (first, rest):
                if not await self._fetched(rows):
                    break  # changed meanwhile
                await self._switched()
                await self._adopt(state, rows)
            else:
                self._seen = said.generation
                return True

    async def _stream(self, digest: str) -> NewFile:
        return NewFile(digest=digest, kind=STREAM, path=await self._beside.stream(digest))

    async def _adopt(self, state: State, rows: list[Row]) -> None:
        before = self._library.state().active
        streams = {
            row.digest: str(self._beside.stream_place(row.digest))
            for row in rows
            if row.kind == STREAM and row.digest in state.entries and not self._library.has(row.digest)
        }
        if streams:
            await children.run(f"{WORK}:adopt", ToAdopt(str(self._data), state, streams), Adopted)
        else:
            await asyncio.to_thread(self._library.adopt, state, {})
        if before != state.active:
            _log.info("definitions current", digest=state.active)
        await self._switched()

    async def _fetched(self, rows: list[Row]) -> bool:
        """Whether these files are here now, undamaged; False where one of them is no longer kept."""
        for row in rows:
            upstream = row.kind == UPSTREAM
            place = (self._beside.upstream_place if upstream else self._beside.stream_place)(row.digest)
            if _is(place, row):
                continue
            with writing(place.parent):
                place.parent.mkdir(parents=True, exist_ok=True)
            draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
            try:
                with writing(draft):
                    if not await self.store.fetch(row, draft):
                        return False
                    os.utime(draft, ns=(row.stamp, row.stamp))
                    draft.replace(place)
            finally:
                draft.unlink(missing_ok=True)
        return True


def _is(place: Path, row: Row) -> bool:
    try:
        facts = place.stat()
    except OSError:
        return False
    return (facts.st_size, facts.st_mtime_ns) == (row.size, row.stamp)
