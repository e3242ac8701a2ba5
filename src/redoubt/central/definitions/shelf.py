"""Central's definitions: one upload at a time becomes the active snapshot, and who waits for that is told.

Layout below the data folder, beside what ``Library`` keeps there:

* ``uploads/``: bodies while they arrive and are verified. Emptied at start: what is there was half-made.
* ``streams/<hex>.kv.zst``: what Matchers fetch, made once a snapshot, removed with it.
* ``upstream/<hex>/``: the file of an upload of StackRox's, as long as its snapshot is on the shelf.

Verifying and importing happen in a child process: Central's memory stays as it was, and its event loop free.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from redoubt import children
from redoubt.central.definitions.work import (
    Became,
    Differs,
    Exported,
    ToCompare,
    ToExport,
    ToImport,
    became,
)
from redoubt.definitions.durable import writing
from redoubt.definitions.library import Library, Shelved
from redoubt.definitions.shelf import Event
from redoubt.definitions.trust import STARTER_ROOT, TrustedRoot
from redoubt.errors import Busy, DefinitionsMissing, LimitExceeded, RedoubtError, UsageError

_WORK = "redoubt.central.definitions.work"
_BLOCK = 1 << 20
#: The largest upload: StackRox's own has about 0.4 GB, a bundle of ours less.
LARGEST = 8 << 30


class Definitions:
    """The one place at Central that changes which definitions are active.

    ``starter``: load the starter definitions where none ever were.
    """

    def __init__(self, data: Path, *, largest: int = LARGEST, starter: bool = True) -> None:
        self._data = data
        self._largest = largest
        self._starter = starter
        self._uploads = data / "uploads"
        self._streams = data / "streams"
        self._upstream = data / "upstream"
        self._uploading = False
        self._exporting: dict[str, asyncio.Lock] = {}
        self._changed = asyncio.Condition()
        self.library = Library(data)

    async def start(self) -> None:
        """Sweep what an earlier process left half-made; import the starter where nothing was ever active."""
        for folder in (self._uploads, self._streams, self._upstream):
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        for left in self._uploads.iterdir():
            left.unlink(missing_ok=True)
        for draft in self._streams.glob(".*"):
            draft.unlink(missing_ok=True)
        self._sweep()
        bundle = STARTER_ROOT.with_name("starter.zip")
        if self._starter and self.active() is None and bundle.is_file():
            await self._take(bundle, allow_older=False)

    async def stop(self) -> None:
        """Nothing works in the background."""

    # What is there

    @property
    def uploading(self) -> bool:
        """Whether an upload is under way."""
        return self._uploading

    def active(self) -> Shelved | None:
        """The active snapshot, or None where nothing was ever imported."""
        with suppress(DefinitionsMissing):
            return self.library.info()
        return None

    def history(self) -> tuple[Event, ...]:
        """Every change of what is active, oldest first."""
        return self.library.history()

    async def wait_for_change(self, known: str) -> str:
        """The active digest (empty: none), as soon as it is another than ``known``."""
        async with self._changed:
            while (active := self.digest()) == known:
                await self._changed.wait()
            return active

    def digest(self) -> str:
        """The active snapshot's digest; empty where nothing was ever imported."""
        active = self.active()
        return active.entry.digest if active else ""

    # What changes it

    async def receive(
        self, chunks: AsyncIterator[bytes], *, length: int | None = None, allow_older: bool = False
    ) -> Became:
        """Take an upload: stream it to the disk, verify it, make it active.

        Raises ``Busy`` while another one is under way, ``LimitExceeded``, ``AccessDenied`` where the disk is
        full, and what ``Library.import_bundle`` raises; then what was active stays so and nothing remains.
        """
        if self._uploading:
            raise Busy("another upload of definitions is under way; wait until it is done")
        if length is not None and length > self._largest:
            raise self._too_large(length)
        self._uploading = True
        file = self._uploads / f"{secrets.token_hex(8)}.zip"
        try:
            await self._store(chunks, file)
            done = await self._take(file, allow_older=allow_older)
            if done.stackrox:
                self._keep(file, done.digest)
            return done
        finally:
            file.unlink(missing_ok=True)
            self._uploading = False

    async def _store(self, chunks: AsyncIterator[bytes], file: Path) -> None:
        held, size = bytearray(), 0
        with writing(file.parent), file.open("xb", buffering=0) as sink:
            async for chunk in chunks:
                held += chunk
                size += len(chunk)
                if size > self._largest:
                    raise self._too_large(size)
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

    async def _take(self, file: Path, *, allow_older: bool, only_newer: bool = False) -> Became:
        asked = ToImport(data=str(self._data), file=str(file), allow_older=allow_older, only_newer=only_newer)
        try:
            done = await children.run(f"{_WORK}:take", asked, Became)
        except RedoubtError as error:
            raise _worded(error, file) from None
        await self._tell()
        return done

    async def take_newer(self, file: Path) -> Became:
        """Take in a bundle's file that nobody uploaded, where it was made after what is active.

        Where it was not, what is active is given, as ``already_active``. Raises as ``receive``.
        """
        if self._uploading:
            raise Busy("an upload of definitions is under way; wait until it is done")
        self._uploading = True
        try:
            return await self._take(file, allow_older=False, only_newer=True)
        finally:
            self._uploading = False

    async def rollback(self, to: str = "") -> Became:
        """Make the snapshot active that was so before, or the one that the digest ``to`` (or its start) names."""
        if self._uploading:
            raise Busy("an upload of definitions is under way; wait until it is done")
        previous = self.digest()
        try:
            entry = await asyncio.to_thread(self.library.rollback, to)
        except RedoubtError as error:
            raise _worded(error) from None
        await self._tell()
        return became(entry, previous=previous, already_active=entry.digest == previous)

    async def _tell(self) -> None:
        self._sweep()
        async with self._changed:
            self._changed.notify_all()

    # What is asked of it

    async def _whole(self, digest: str) -> str:
        """The digest on the shelf that begins so. Raises ``UsageError`` or ``DefinitionsMissing``."""
        return (await asyncio.to_thread(self.library.info, digest)).entry.digest

    async def differ(self, old: str, new: str) -> Differs:
        """What lies between two digests (or starts of them) on the shelf, in numbers."""
        try:
            # A library opens files as well; who calls names what is on the shelf, and no file of Central's.
            asked = ToCompare(data=str(self._data), old=await self._whole(old), new=await self._whole(new))
            return await children.run(f"{_WORK}:differ", asked, Differs, nice=5)
        except RedoubtError as error:
            raise _worded(error) from None

    async def stream_file(self, digest: str) -> Path:
        """The file with a snapshot's compressed stream, made when first asked for."""
        shelved = self.library.info(digest)
        digest = shelved.entry.digest
        out = self._streams / f"{_hex(digest)}.kv.zst"
        async with self._exporting.setdefault(digest, asyncio.Lock()):
            if not out.exists():
                asked = ToExport(data=str(self._data), digest=digest, out=str(out))
                await children.run(f"{_WORK}:export", asked, Exported)
        return out

    def upstream_bundle(self) -> Path | None:
        """The file of StackRox's that the active definitions were read from, if they were."""
        file = self._upstream / _hex(self.digest()) / "bundle.zip"
        return file if file.is_file() else None

    # Whose bundles are accepted

    def trusted(self) -> tuple[TrustedRoot, ...]:
        """The roots that are trusted, and for which channel."""
        return self.library.trust.list()

    def trust(self, root: bytes, channel: str) -> TrustedRoot:
        """Trust a ``root.json`` for a channel. Raises ``UsageError``, ``UnreadableInput``."""
        file = self._uploads / f"root-{secrets.token_hex(8)}.json"
        try:
            with writing(file):
                file.write_bytes(root)
            return self.library.trust.add(file, channel)
        except RedoubtError as error:
            raise _worded(error, file, "the root") from None
        finally:
            file.unlink(missing_ok=True)

    def distrust(self, channel: str, fingerprint: str = "") -> tuple[TrustedRoot, ...]:
        """Stop trusting a channel's roots. Raises ``UsageError`` where there is none."""
        try:
            return self.library.trust.remove(channel, fingerprint)
        except RedoubtError as error:
            raise _worded(error) from None

    def allow_unsigned(self, channel: str) -> bool:
        """Accept a channel's unsigned bundles from now on; False where that was so before."""
        return self.library.trust.allow_unsigned(channel)

    def disallow_unsigned(self, channel: str) -> None:
        """Accept them no longer. Raises ``UsageError`` where that was so before."""
        self.library.trust.disallow_unsigned(channel)

    # Inside

    def _keep(self, file: Path, digest: str) -> None:
        """Keep an upload of StackRox's beside its snapshot: its own Matchers may ask for it."""
        place = self._upstream / _hex(digest)
        with writing(place):
            place.mkdir(exist_ok=True)
            now = datetime.now(UTC).timestamp()
            os.utime(file, (now, now))
            file.replace(place / "bundle.zip")
            for member in place.iterdir():
                if member.name != "bundle.zip":
                    member.unlink()

    def _sweep(self) -> None:
        """Remove what belongs to snapshots that are no longer on the shelf."""
        on_shelf = {_hex(item.entry.digest) for item in self.library.list()}
        for file in self._streams.iterdir():
            if not file.name.startswith(".") and file.name.partition(".")[0] not in on_shelf:
                file.unlink(missing_ok=True)
        for place in self._upstream.iterdir():
            if place.name not in on_shelf:
                shutil.rmtree(place, ignore_errors=True)


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:") or "none"


#: What people type to do at Central what the scanner's own command line does.
_TYPED = (
    ("`redoubt definitions import BUNDLE`", "`roxctl scanner upload-db --scanner-db-file BUNDLE`"),
    ("`redoubt definitions import", "`roxctl scanner upload-db --scanner-db-file"),
    ("`redoubt definitions list`", "`roxctl definitions history`"),
    ("`redoubt definitions ", "`roxctl definitions "),
)


def _worded(error: RedoubtError, file: Path | None = None, name: str = "the bundle") -> RedoubtError:
    """The same error with the commands of Central's users, and without the name of a temporary file."""
    text = str(error)
    if file is not None:
        text = text.replace(str(file), name).replace(file.name, name)
    for ours, theirs in _TYPED:
        text = text.replace(ours, theirs)
    return type(error)(text)
