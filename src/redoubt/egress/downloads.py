"""A file from a server onto the disk: only if it changed, whole or not at all, and from where it broke off.

What arrived of a download that broke off stays beside the file as ``.NAME.part``, with what the server
called it in ``.NAME.part.json``. The next try, of this process or a later one, asks for the rest
(RFC 9110, 14.2) under the condition that it is still the same (13.1.5); a server that cannot say so
sends all of it again. It must not know what is in a file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from redoubt.errors import LimitExceeded

if TYPE_CHECKING:
    from redoubt.egress import Client, Response

_CHUNK = 1 << 20
#: What one try got that the next one is not spared for: asking for a rest costs a request, too.
_WORTH = 64 << 10


class Downloaded(msgspec.Struct, frozen=True, kw_only=True):
    """What a download gave. Not ``changed``: the server still has what ``etag`` or ``modified`` named.

    ``resumed`` is how many bytes had arrived before.
    """

    changed: bool
    size: int = 0
    sha256: str = ""
    etag: str = ""
    modified: str = ""
    resumed: int = 0


class _Begun(msgspec.Struct, frozen=True):
    """What a part is a part of. ``validator`` is a strong ETag or a Last-Modified."""

    url: str
    validator: str


def download(
    client: Client,
    url: str,
    to: Path,
    *,
    limit: int,
    etag: str = "",
    modified: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Downloaded:
    """Fetch ``url`` into ``to``, at most ``limit`` bytes, unless the server says that it has not changed.

    ``etag`` and ``modified`` are what an earlier ``Downloaded`` gave. ``progress`` is told how many bytes
    there are, and of how many (0: unknown). ``to`` is replaced in one step, after everything is on disk; on
    any failure it stays as it was. Raises ``NetworkError``, ``AccessDenied`` or ``LimitExceeded``.
    """
    with _locked(to.with_name(f".{to.name}.part")) as file:
        part = _Part(file, to, url)
        try:
            return client.again(lambda: part.fetch(client, limit, etag, modified, progress))
        finally:
            part.drop_unless_worth()


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """The part at ``path``, opened and held. Of two processes the second waits, and then fetches again."""
    while True:
        file = path.open("a+b")
        fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                break
        file.close()  # the one before us finished, and this is its file now
    with file:
        yield file


class _Part:
    """The part of a file that is here, locked."""

    def __init__(self, file: BinaryIO, to: Path, url: str) -> None:
        self._file = file
        self._to = to
        self._path = to.with_name(f".{to.name}.part")
        self._about = to.with_name(f".{to.name}.part.json")
        self._url = url
        self._finished = False

    def fetch(
        self,
        client: Client,
        limit: int,
        etag: str,
        modified: str,
        progress: Callable[[int, int], None] | None,
    ) -> Downloaded:
        """One try."""
        here, validator = self._here()
        headers = {"Accept-Encoding": "identity" if here else "gzip"}
        if etag:
            headers["If-None-Match"] = etag
        if modified:
            headers["If-Modified-Since"] = modified
        if here:
            # Whether the old file still stands is asked first (RFC 9110, 13.2.2), then whether the part does.
            headers |= {"Range": f"bytes={here}-", "If-Range": validator}
        with client.send(self._url, headers=headers) as response:
            if response.status == 304 and (etag or modified):
                self._restart()
                return Downloaded(changed=False, etag=etag, modified=modified)
            if response.status == 416:  # what is here is longer than the file: begin again
                self._restart()
                response.close()
                return self.fetch(client, limit, etag, modified, progress)
            response.require(200, 206)
            if response.status != 206 or not response.header("content-range").startswith(f"bytes {here}-"):
                here = 0
                response.require(200)
            size, sha256 = self._take(response, here, limit, progress)
            done = Downloaded(
                changed=True,
                size=size,
                sha256=sha256,
                etag=response.header("etag"),
                modified=response.header("last-modified"),
                resumed=here,
            )
        self._path.replace(self._to)
        self._finished = True
        self._about.unlink(missing_ok=True)
        return done

    def _here(self) -> tuple[int, str]:
        """How many bytes of the file are here, and what the server called it; nothing where that is unknown."""
        size = os.fstat(self._file.fileno()).st_size
        if size >= _WORTH:
            with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
                begun = msgspec.json.decode(self._about.read_bytes(), type=_Begun)
                if begun.url == self._url and begun.validator:
                    return size, begun.validator
        return 0, ""

    def _take(
        self, response: Response, here: int, limit: int, progress: Callable[[int, int], None] | None
    ) -> tuple[int, str]:
        self._file.truncate(here)
        digest = hashlib.sha256()
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            digest.update(chunk)
        if not here:
            self._begin(response)
        size, total = here, here + response.length if response.length is not None else 0
        if response.header("content-encoding"):
            total = 0  # the length is that of what is packed
        try:
            for chunk in response.chunks(decoded=True):
                size += len(chunk)
                if size > limit:
                    self._restart()
                    raise LimitExceeded(f"{response.where}: more than the limit of {limit} bytes")
                digest.update(chunk)
                self._file.write(chunk)
                if progress is not None:
                    progress(size, total)
        finally:
            self._file.flush()
        os.fsync(self._file.fileno())
        return size, digest.hexdigest()

    def _begin(self, response: Response) -> None:
        """Note what the part is of, if the rest can be asked for later."""
        etag = response.header("etag")
        validator = etag if etag and not etag.startswith("W/") else response.header("last-modified")
        if response.header("content-encoding") or not validator:
            self._about.unlink(missing_ok=True)
            return
        self._about.write_bytes(msgspec.json.encode(_Begun(self._url, validator)))

    def drop_unless_worth(self) -> None:
        """Leave nothing behind that no later try can go on from."""
        if not self._finished and not self._here()[0]:
            self._path.unlink(missing_ok=True)
            self._about.unlink(missing_ok=True)

    def _restart(self) -> None:
        self._file.truncate(0)
        self._about.unlink(missing_ok=True)
