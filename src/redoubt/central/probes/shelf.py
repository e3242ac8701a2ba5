"""Central's kernel support packages: uploads that count as a whole or not at all, and what Sensors ask for.

Layout below ``<data>/probes``:

* ``files/<sha256>``: contents, as the table ``probes`` names them. Written before their rows, removed after them.
* ``incoming/<number>/``: an upload while it arrives, locked by the process that takes it. What nobody holds is swept at start.
* ``fetched/``: what came from upstream.

Replicas share the table, and the folder only where it is mounted into all of them. A row whose file is not here counts for
nothing on this replica: it is asked for again, and an upload brings it. Or contents are ``in_database`` as well, written with
their rows; then ``files`` is a cache, filled when somebody asks.
"""

from __future__ import annotations

import asyncio
import fcntl
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import structlog

from redoubt.central.probes import names
from redoubt.central.probes.body import Arrived, Body, synced
from redoubt.central.probes.upstream import Upstream
from redoubt.central.refusals import FailedPrecondition, InvalidArgument
from redoubt.central.store.probes import Kept, New, ProbeStore, Totals
from redoubt.definitions.durable import sync_directory, writing
from redoubt.errors import Busy
from redoubt.tasks import to_the_end
from redoubt.wire.failures import Unimplemented

_BLOCK = 1 << 20
#: Uploads at once.
_AT_ONCE = 4
#: Bytes that an upload has to leave free on the disk.
RESERVE = 1 << 30
_LOCK = ".lock"

_log = structlog.get_logger("probes")


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What an upload brought: files, of which some had other contents before; ``size`` in bytes."""

    files: int
    replaced: int
    size: int


class Found(msgspec.Struct, frozen=True):
    """A probe's file, and what stands for its bytes."""

    path: Path
    etag: str


class Probes:
    """A part of Central. ``taking``: whether uploads are taken; ``reserve``: bytes that they leave free.

    ``in_database``: contents are in the database, for all replicas.
    """

    def __init__(
        self,
        data: Path,
        store: ProbeStore,
        *,
        upstream: Upstream | None = None,
        taking: bool = True,
        reserve: int = RESERVE,
        in_database: bool = False,
    ) -> None:
        self.store = store
        self.upstream = upstream
        self._taking = taking
        self._reserve = reserve
        self._in_database = in_database
        self._fetching: dict[str, asyncio.Lock] = {}
        self._files = data / "probes" / "files"
        self._incoming = data / "probes" / "incoming"
        self._uploads: set[Body] = set()

    async def start(self) -> None:
        """Make the folders, and sweep what an earlier process left half-made."""
        for folder in (self._files, self._incoming):
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        if self.upstream is not None:
            self.upstream.start()
        await asyncio.to_thread(self._sweep_incoming)
        there = await asyncio.to_thread(lambda: [file.name for file in self._files.iterdir()])
        await self._forget(there)
        if self._in_database:
            # What this replica took in before contents were in the database is for all from now on.
            missing = await self.store.unstored()
            own = {digest: self._files / digest for digest in missing if (self._files / digest).is_file()}
            async with self.store.changing() as changing:
                await changing.keep(own)
                await changing.drop()

    async def stop(self) -> None:
        """Fetch no more."""
        if self.upstream is not None:
            await self.upstream.stop()

    # What is there

    async def available(self) -> bool:
        """Whether a Sensor may find a probe here: uploaded, or from upstream."""
        return self.upstream is not None or (await self.store.totals()).count > 0

    async def existing(self, asked: Sequence[str]) -> list[Kept]:
        """Of these names those that are uploaded. Raises ``Unimplemented`` where uploads are not taken."""
        self._check_taking()
        rows = await self.store.named([name for name in asked if names.is_probe(name)])
        present = await self.present(rows)
        return [row for row, there in zip(rows, present, strict=True) if there]

    async def find(self, name: str) -> Found | None:
        """A probe: what was uploaded, else what upstream has. Raises ``Unavailable`` where upstream does not answer."""
        if not names.is_probe(name):
            return None
        row = await self.store.get(name)
        if row is not None and (self._is_here(row) or await self._fetched(row)):
            return Found(self._files / row.sha256, row.sha256)
        path = await self.upstream.get(name) if self.upstream is not None else None
        if path is None:
            return None
        facts = path.stat()
        return Found(path, f"{facts.st_size:x}-{facts.st_mtime_ns:x}")

    async def present(self, rows: Sequence[Kept]) -> list[bool]:
        """Whether this replica has, or can have, each row's contents."""
        if self._in_database:
            stored = await self.store.stored({row.sha256 for row in rows})
            return [row.sha256 in stored for row in rows]
        return await asyncio.to_thread(lambda: [self._is_here(row) for row in rows])

    def _is_here(self, row: Kept) -> bool:
        try:
            return (self._files / row.sha256).stat().st_size == row.size
        except OSError:
            return False

    async def _fetched(self, row: Kept) -> bool:
        """Whether the row's contents came from the database."""
        if not self._in_database:
            return False
        async with self._fetching.setdefault(row.sha256, asyncio.Lock()):
            try:
                if self._is_here(row):
                    return True
                with self._place() as folder, writing(folder):
                    if not await self.store.fetch(row.sha256, folder / "contents"):
                        return False
                    (folder / "contents").replace(self._files / row.sha256)
                return True
            finally:
                self._fetching.pop(row.sha256, None)

    # What changes it

    async def receive(
        self, chunks: AsyncIterator[bytes], *, manifest_length: int, length: int | None, by: str
    ) -> Stored:
        """Take an upload. Files of a name that is known replace what was there.

        Raises ``Unimplemented`` where uploads are not taken, ``InvalidArgument``, ``FailedPrecondition`` where the disk
        has no room, ``AccessDenied`` where it fails, and ``Busy`` where too many are under way; then nothing changed.
        """
        self._check_taking()
        if length is None:
            raise InvalidArgument("an upload needs a Content-Length")
        if len(self._uploads) >= _AT_ONCE:
            raise Busy(f"{_AT_ONCE} uploads are under way; wait until one is done")
        self._check_room(length)
        with self._place() as folder:
            body = Body(folder, manifest_length, length)
            self._uploads.add(body)
            try:
                arrived = await self._arrive(chunks, body)
                await to_the_end(asyncio.to_thread(synced, folder))
                return await to_the_end(self._commit(arrived, by))
            finally:
                self._uploads.discard(body)
                body.close()

    async def delete(self, version: str, name: str = "") -> Totals:
        """Remove a version's files, or with ``name`` that one; how many there were, and their bytes."""
        async with self.store.changing() as changing:
            gone = await changing.delete(version, name)
        await to_the_end(self._forget([row.sha256 for row in gone]))
        return Totals(len(gone), sum(row.size for row in gone))

    # Inside

    def _check_taking(self) -> None:
        if not self._taking:
            raise Unimplemented(
                "this Central takes no kernel support packages (ROX_ENABLE_KERNEL_PACKAGE_UPLOAD is false)"
            )

    def _check_room(self, length: int) -> None:
        """Room for it beside what other uploads still bring."""
        needed = length + sum(body.remaining for body in self._uploads) + self._reserve
        with writing(self._incoming):
            free = shutil.disk_usage(self._incoming).free
        if free < needed:
            raise FailedPrecondition(
                f"the disk of Central's data folder has {free} bytes free, and this upload needs {needed}, with "
                f"{self._reserve} that stay free; make room, or delete probes (DELETE /v1/probeupload/probes/…)"
            )

    @contextmanager
    def _place(self) -> Iterator[Path]:
        """A folder for an upload, held by this process as long as it is used."""
        folder = self._incoming / secrets.token_hex(8)
        with writing(self._incoming):
            folder.mkdir()
            lock = (folder / _LOCK).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.close()

    async def _arrive(self, chunks: AsyncIterator[bytes], body: Body) -> list[Arrived]:
        held = bytearray()
        async for chunk in chunks:
            held += chunk
            if len(held) >= _BLOCK:
                await to_the_end(asyncio.to_thread(body.feed, held))
                held = bytearray()
        await to_the_end(asyncio.to_thread(body.feed, held))
        return body.finish()

    async def _commit(self, arrived: list[Arrived], by: str) -> Stored:
        """Contents first, then rows, in one transaction: whoever is killed in between leaves contents without rows."""
        new = [New(name=one.name, size=one.size, crc32=one.crc32, sha256=one.sha256) for one in arrived]
        digests = {one.sha256 for one in arrived}
        try:
            async with self.store.changing() as changing:
                await asyncio.to_thread(self._move, arrived)
                if self._in_database:
                    await changing.keep({one.sha256: self._files / one.sha256 for one in arrived})
                before = await changing.put(new, by)
        except BaseException:
            with suppress(Exception):
                await self._forget(list(digests))
            raise
        replaced = [digest for digest in before if digest not in digests]
        await self._forget(replaced)
        return Stored(files=len(new), replaced=len(replaced), size=sum(one.size for one in arrived))

    def _move(self, arrived: list[Arrived]) -> None:
        with writing(self._files):
            for one in arrived:
                one.path.replace(self._files / one.sha256)
            sync_directory(self._files)

    async def _forget(self, digests: Sequence[str]) -> None:
        """Remove the contents that no row names any more."""
        if not digests:
            return
        async with self.store.changing() as changing:
            used = await changing.used(digests)
            if self._in_database:
                await changing.drop()
            await asyncio.to_thread(self._remove, set(digests) - used)

    def _remove(self, digests: set[str]) -> None:
        for digest in digests:
            (self._files / digest).unlink(missing_ok=True)

    def _sweep_incoming(self) -> None:
        for folder in self._incoming.iterdir():
            with suppress(OSError):
                lock = folder / _LOCK
                if not lock.exists():
                    # Killed before it had one, unless it was made this moment.
                    folder.rmdir()
                    continue
                with lock.open("wb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
                    _log.info("an upload that was not finished is removed", folder=folder.name)
