"""Central's definitions: one upload at a time becomes the active snapshot, and who waits for that is told.

Layout below the data folder, beside what ``Library`` keeps there:

* ``uploads/``: bodies while they arrive and are verified. Emptied at start: what is there was half-made.
* ``streams/``, ``upstream/``: see ``beside.py``.

Where Central has replicas, all of this is each one's own copy of what is in the database; see ``shared.py``.

Verifying and importing happen in a child process: Central's memory stays as it was, and its event loop free.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from redoubt import children
from redoubt.central.definitions.beside import Beside
from redoubt.central.definitions.shared import Shared
from redoubt.central.definitions.work import WORK, Became, Differs, ToCompare, ToImport, became
from redoubt.central.notices import Notices
from redoubt.central.refusals import Unavailable
from redoubt.central.store import Connection, Pool
from redoubt.central.store.definitions_shared import SharedDefinitions
from redoubt.definitions.durable import writing
from redoubt.definitions.library import Library
from redoubt.definitions.shelf import Entry, State
from redoubt.definitions.trust import STARTER_ROOT, TrustedRoot
from redoubt.errors import Busy, DefinitionsRefused, LimitExceeded, RedoubtError, UsageError

T = TypeVar("T")

_BLOCK = 1 << 20
_ZIP = b"PK"
#: Seconds for which who asks for a stream waits until it is here.
_ARRIVES = 20.0
#: The largest upload: StackRox's own has about 0.4 GB, a bundle of ours less.
LARGEST = 8 << 30


class Definitions:
    """The one place at Central that changes which definitions are active.

    ``starter``: load the starter definitions where none ever were. ``replicas``: the database that they are kept in
    for all replicas, and who tells of changes there; without it they are this Central's own.
    """

    def __init__(
        self,
        data: Path,
        *,
        largest: int = LARGEST,
        starter: bool = True,
        replicas: tuple[Pool, Notices] | None = None,
    ) -> None:
        self._data = data
        self._largest = largest
        self._uploads = data / "uploads"
        self._uploading = False
        self._changed = asyncio.Condition()
        self.library = Library(data)
        self._beside = Beside(data)
        bundle = STARTER_ROOT.with_name("starter.zip")
        self._starter = bundle if starter and bundle.is_file() else None
        self.shared: Shared | None = None
        if replicas is not None:
            store = SharedDefinitions(replicas[0])
            self.shared = Shared(store, data, self._beside, replicas[1], self._tell, starter=self._starter)

    async def start(self) -> None:
        """Sweep what an earlier process left half-made; import the starter where nothing was ever active."""
        with writing(self._uploads):
            self._uploads.mkdir(parents=True, exist_ok=True)
        for left in self._uploads.iterdir():
            left.unlink(missing_ok=True)
        self._beside.prepare()
        self._sweep()
        if self.shared is not None:
            await self.shared.start()
        elif self._starter is not None and self.active() is None:
            await self._take(self._starter, None, allow_older=False)

    async def stop(self) -> None:
        """End what works in the background."""
        if self.shared is not None:
            await self.shared.stop()

    # What is there

    async def uploading(self) -> bool:
        """Whether an upload is under way, on this replica or another one."""
        return self._uploading or (self.shared is not None and await self.shared.store.under_way())

    def state(self) -> State:
        """What is on the shelf. Of replicas: on all of them, or on its way here (``stream_file`` waits for it)."""
        if self.shared is not None and self.shared.said is not None:
            return self.shared.said.state
        return self.library.state()

    def active(self) -> Entry | None:
        """The active snapshot's entry, or None where nothing was ever imported."""
        state = self.state()
        return state.entries.get(state.active)

    async def wait_for_change(self, known: str) -> str:
        """The active digest (empty: none), as soon as it is another than ``known``."""
        async with self._changed:
            while (active := self.digest()) == known:
                await self._changed.wait()
            return active

    def digest(self) -> str:
        """The active snapshot's digest; empty where nothing was ever imported."""
        return self.state().active

    # What changes it

    async def receive(
        self, chunks: AsyncIterator[bytes], *, length: int | None = None, allow_older: bool = False
    ) -> Became:
        """Take an upload: stream it to the disk, verify it, make it active.

        Raises ``Busy`` while another one is under way, ``LimitExceeded``, ``AccessDenied`` where the disk is
        full, ``Aborted`` where another replica changed the trusted roots meanwhile, and what
        ``Library.import_bundle`` raises; then what was active stays so and nothing remains.
        """
        if length is not None and length > self._largest:
            raise self._too_large(length)
        async with self._alone() as session:
            file = self._uploads / f"{secrets.token_hex(8)}.zip"
            try:
                await self._store(chunks, file)
                done = await self._take(file, session, allow_older=allow_older)
                if done.stackrox and session is None:
                    self._beside.keep_upstream(file, done.digest)
                return done
            finally:
                file.unlink(missing_ok=True)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Connection | None]:
        """Nobody else changes the shelf until the end of the block. Gives the session of ``shared``, if there is one."""
        if self._uploading:
            raise Busy("another upload of definitions is under way; wait until it is done")
        self._uploading = True
        try:
            if self.shared is None:
                yield None
            else:
                async with self.shared.changing() as session:
                    yield session
        finally:
            self._uploading = False

    async def _store(self, chunks: AsyncIterator[bytes], file: Path) -> None:
        held, size = bytearray(), 0
        with writing(file.parent), file.open("xb", buffering=0) as sink:
            async for chunk in chunks:
                held += chunk
                size += len(chunk)
                if size > self._largest:
                    raise self._too_large(size)
                if size == len(held) >= len(_ZIP) and not held.startswith(_ZIP):
                    raise DefinitionsRefused("the bundle is not a definitions bundle (not a zip file)")
                if len(held) >= _BLOCK:
                    await asyncio.to_thread(sink.write, held)
                    held = bytearray()
            await asyncio.to_thread(sink.write, held)
        if not size:
            raise UsageError("the upload is empty; send the bundle's file as the body")

    def _too_large(self, size: int) -> LimitExceeded:
        return LimitExceeded(
            f"the upload has {size} bytes or more, and {self._largest} are taken; is it the right file?"
        )

    async def _take(
        self, file: Path, session: Connection | None, *, allow_older: bool, only_newer: bool = False
    ) -> Became:
        asked = ToImport(data=str(self._data), file=str(file), allow_older=allow_older, only_newer=only_newer)
        try:
            if self.shared is not None and session is not None:
                return await self.shared.take(session, asked)
            done = await children.run(f"{WORK}:take", asked, Became)
        except RedoubtError as error:
            raise _worded(error, file) from None
        await self._tell()
        return done

    async def take_newer(self, file: Path) -> Became:
        """Take in a bundle's file that nobody uploaded, where it was made after what is active.

        Where it was not, what is active is given, as ``already_active``. Raises as ``receive``.
        """
        async with self._alone() as session:
            return await self._take(file, session, allow_older=False, only_newer=True)

    async def rollback(self, to: str = "") -> Became:
        """Make the snapshot active that was so before, or the one that the digest ``to`` (or its start) names."""
        async with self._alone() as session:
            try:
                if self.shared is not None and session is not None:
                    return await self.shared.roll_back(session, to)
                previous = self.digest()
                entry = await asyncio.to_thread(self.library.rollback, to)
            except RedoubtError as error:
                raise _worded(error) from None
            await self._tell()
            return became(entry, previous=previous, already_active=entry.digest == previous)

    async def _tell(self) -> None:
        await asyncio.to_thread(self._sweep)
        async with self._changed:
            self._changed.notify_all()

    def _sweep(self) -> None:
        shelf = {item.entry.digest for item in self.library.list()}
        self._beside.sweep(shelf | self.state().entries.keys())

    # What is asked of it

    async def _whole(self, digest: str) -> str:
        """The digest on the shelf that begins so. Raises ``UsageError`` or ``DefinitionsMissing``."""
        return (await asyncio.to_thread(self.library.info, digest)).entry.digest

    async def differ(self, old: str, new: str) -> Differs:
        """What lies between two digests (or starts of them) on the shelf, in numbers."""
        try:
            # A library opens files as well; who calls names what is on the shelf, and no file of Central's.
            asked = ToCompare(data=str(self._data), old=await self._whole(old), new=await self._whole(new))
            return await children.run(f"{WORK}:differ", asked, Differs, nice=5)
        except RedoubtError as error:
            raise _worded(error) from None

    async def stream_file(self, digest: str) -> Path:
        """The file with a snapshot's compressed stream: made when first asked for or, of replicas, waited for on its way.

        Raises ``Unavailable`` where it does not come.
        """
        digest = self.state().find(digest).digest
        place = self._beside.stream_place(digest)
        if self.shared is not None:
            # It is on its way here; there is no need to make it.
            async with self._changed:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait_for(place.exists), _ARRIVES)
            if not place.exists():
                raise Unavailable("these definitions are not here yet; try again in a moment")
            return place
        return await self._beside.stream(digest)

    def upstream_bundle(self) -> Path | None:
        """The file of StackRox's that the active definitions were read from, if they were."""
        file = self._beside.upstream_place(self.digest())
        return file if file.is_file() else None

    # Whose bundles are accepted

    def trusted(self) -> tuple[TrustedRoot, ...]:
        """The roots that are trusted, and for which channel."""
        return self.library.trust.list()

    async def trust(self, root: bytes, channel: str) -> TrustedRoot:
        """Trust a ``root.json`` for a channel. Raises ``UsageError``, ``UnreadableInput``."""
        file = self._uploads / f"root-{secrets.token_hex(8)}.json"
        try:
            with writing(file):
                file.write_bytes(root)
            return await self._trusting(lambda: self.library.trust.add(file, channel))
        except RedoubtError as error:
            raise _worded(error, file, "the root") from None
        finally:
            file.unlink(missing_ok=True)

    async def distrust(self, channel: str, fingerprint: str = "") -> tuple[TrustedRoot, ...]:
        """Stop trusting a channel's roots. Raises ``UsageError`` where there is none."""
        try:
            return await self._trusting(lambda: self.library.trust.remove(channel, fingerprint))
        except RedoubtError as error:
            raise _worded(error) from None

    async def allow_unsigned(self, channel: str) -> bool:
        """Accept a channel's unsigned bundles from now on; False where that was so before."""
        return await self._trusting(lambda: self.library.trust.allow_unsigned(channel))

    async def disallow_unsigned(self, channel: str) -> None:
        """Accept them no longer. Raises ``UsageError`` where that was so before."""
        await self._trusting(lambda: self.library.trust.disallow_unsigned(channel))

    async def _trusting(self, work: Callable[[], T]) -> T:
        if self.shared is not None:
            return await self.shared.change_trust(work)
        return await asyncio.to_thread(work)


#: What people type to do at Central what the scanner's own command line does.
_TYPED = (
    ("`redoubt definitions import BUNDLE`", "`roxctl scanner upload-db --scanner-db-file BUNDLE`"),
    ("`redoubt definitions import", "`roxctl scanner upload-db --scanner-db-file"),
    ("`redoubt definitions list`", "`roxctl definitions history`"),
    ("`redoubt definitions trust ", "`roxctl definitions trust "),
    ("`redoubt definitions rollback", "`roxctl definitions rollback"),
)


def _worded(error: RedoubtError, file: Path | None = None, name: str = "the bundle") -> RedoubtError:
    """The same error with the commands of Central's users, and without the name of a temporary file."""
    text = str(error)
    if file is not None:
        text = text.replace(str(file), name).replace(file.name, name)
    for ours, theirs in _TYPED:
        text = text.replace(ours, theirs)
    return type(error)(text)
