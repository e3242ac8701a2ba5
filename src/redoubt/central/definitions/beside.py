"""What lies beside the shelf: each snapshot's compressed stream for Matchers, and the file of StackRox's that it was read from.

Below the data folder:

* ``streams/<hex>.kv.zst``: left by the import, made when first asked for, or brought by another replica.
* ``upstream/<hex>/bundle.zip``: the file of an upload of StackRox's.

Both go when their snapshot does. A name that begins with a dot is of work in progress.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from redoubt import children
from redoubt.central.definitions.work import STREAMS, Exported, ToExport
from redoubt.definitions.durable import writing


class Beside:
    """Files by digest, below ``data``."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._streams = data / STREAMS
        self._upstream = data / "upstream"
        self._exporting: dict[str, asyncio.Lock] = {}

    def prepare(self) -> None:
        """Make the folders; sweep what an earlier process left half-made. Raises ``AccessDenied``."""
        for folder in (self._streams, self._upstream):
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        for draft in (*self._streams.glob(".*"), *self._upstream.glob("*/.*")):
            draft.unlink(missing_ok=True)

    def stream_place(self, digest: str) -> Path:
        """Where a snapshot's stream is, or will be."""
        return self._streams / f"{_hex(digest)}.kv.zst"

    def upstream_place(self, digest: str) -> Path:
        """Where StackRox's file is, or would be."""
        return self._upstream / _hex(digest) / "bundle.zip"

    async def stream(self, digest: str) -> Path:
        """The file with the stream of a snapshot on the shelf (its whole digest), made where it is not there yet."""
        out = self.stream_place(digest)
        async with self._exporting.setdefault(digest, asyncio.Lock()):
            if not out.exists():
                asked = ToExport(data=str(self._data), digest=digest, out=str(out))
                await children.run("redoubt.central.definitions.work:export", asked, Exported)
        return out

    def keep_upstream(self, file: Path, digest: str) -> Path:
        """Keep an upload of StackRox's beside its snapshot: its own Matchers may ask for it."""
        place = self.upstream_place(digest)
        with writing(place):
            place.parent.mkdir(exist_ok=True)
            now = datetime.now(UTC).timestamp()
            os.utime(file, (now, now))
            file.replace(place)
            for member in place.parent.iterdir():
                if member != place:
                    member.unlink()
        return place

    def sweep(self, digests: Iterable[str]) -> None:
        """Remove what belongs to other snapshots than these."""
        on_shelf = {_hex(digest) for digest in digests}
        for file in self._streams.iterdir():
            if not file.name.startswith(".") and file.name.partition(".")[0] not in on_shelf:
                file.unlink(missing_ok=True)
        for place in self._upstream.iterdir():
            if place.name not in on_shelf:
                shutil.rmtree(place, ignore_errors=True)


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:") or "none"
