"""A file on disk, read by place from several threads at once, and streams over stretches of it.

A compressed archive cannot be read by place: it is unpacked into a nameless temporary file first, within limits.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from redoubt.errors import AccessDenied, LimitExceeded, UnreadableInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Buffer

MAX_UNPACKED = 256 << 30
#: Growth that no archive of layers shows; small archives may grow as they like.
MAX_RATIO = 200
_RATIO_FREE = 256 << 20
_KEEP_FREE = 512 << 20
_CHUNK = 1 << 20

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip"}


class FileSlice(io.RawIOBase):
    """A stream over ``size`` bytes of a file from ``offset``. Owns its descriptor; used by one thread."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._at = offset
        self._end = offset + size
        self.size = size

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """The next bytes; 0 at the end, or where the file was cut meanwhile."""
        view = memoryview(buffer).cast("B")[: self._end - self._at]
        count = os.preadv(self._descriptor, [view], self._at) if view else 0
        self._at += count
        return count

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes, or all that is left."""
        if size < 0:
            return self.readall()
        data = os.pread(self._descriptor, min(size, self._end - self._at), self._at)
        self._at += len(data)
        return data

    def close(self) -> None:
        """Let go of the file."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()


class Archive:
    """A file opened for reading by place. ``path`` is what messages call it."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; ``UnreadableInput`` where the file ends before."""
        data = os.pread(self._file.fileno(), length, offset)
        if len(data) != length:
            raise UnreadableInput(f"{self.path}: the file is cut off")
        return data

    def slice(self, offset: int, size: int) -> FileSlice:
        """A stream of its own over a stretch of the file."""
        return FileSlice(os.dup(self._file.fileno()), offset, size)

    def close(self) -> None:
        """Let go of the file (and of the temporary space behind it). Open slices stay usable."""
        self._file.close()


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file, unbuffered. A pipe or a device is refused, not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UnreadableInput(f"{path}: no such file") from None
    except PermissionError:
        raise AccessDenied(f"{path}: permission denied") from None
    except OSError as error:
        raise UnreadableInput(f"{path}: cannot be opened ({error.strerror})") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnreadableInput(f"{path}: not a regular file")
    return open(descriptor, "rb", buffering=0)  # noqa: PTH123 (a descriptor, not a path)


def open_archive(path: Path) -> Archive:
    """Open an archive; one packed with gzip or zstd as a whole is unpacked to temporary space first.

    Raises ``UnreadableInput``, ``AccessDenied``, and ``LimitExceeded`` where it grows beyond the limits
    or would fill the disk.
    """
    file = open_regular(path)
    try:
        start = os.pread(file.fileno(), 8, 0)
        if start.startswith((_GZIP, _ZSTD)):
            with file:
                return Archive(path, _unpacked(path, file, gzip=start.startswith(_GZIP)))
        for magic, name in _OTHERS.items():
            if start.startswith(magic):
                raise UnreadableInput(f"{path}: packed with {name}, which is not read; unpack it first")
        return Archive(path, file)
    except BaseException:
        file.close()
        raise


def _unpacked(path: Path, file: IO[bytes], *, gzip: bool) -> IO[bytes]:
    packed_size = os.fstat(file.fileno()).st_size
    room = tempfile.gettempdir()
    full = LimitExceeded(
        f"{path}: no room to unpack it in {room}; unpack it yourself, or set TMPDIR to a larger disk"
    )
    size = 0
    out = tempfile.TemporaryFile(prefix="redoubt-")  # noqa: SIM115 (handed to the caller)
    try:
        for count, chunk in enumerate(_inflated(path, file, gzip=gzip)):
            size += len(chunk)
            if size > MAX_UNPACKED or size > max(_RATIO_FREE, packed_size * MAX_RATIO):
                raise LimitExceeded(f"{path}: grows beyond {size >> 20} MB when unpacked; refused")
            if count % 64 == 0 and shutil.disk_usage(room).free < _KEEP_FREE:
                raise full
            try:
                out.write(chunk)
            except OSError as error:
                raise full from error
        out.flush()
    except BaseException:
        out.close()
        raise
    return out


def _inflated(path: Path, file: IO[bytes], *, gzip: bool) -> Iterator[bytes]:
    import zlib

    import zstandard

    read = _gunzip(file) if gzip else _unzstd(file)
    try:
        while chunk := read(_CHUNK):
            yield chunk
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, ValueError) as error:
        raise UnreadableInput(f"{path}: the compressed archive is damaged or cut off") from error


def _gunzip(file: IO[bytes]) -> Callable[[int], bytes]:
    try:
        from isal.igzip import IGzipFile
    except ImportError:
        import gzip

        return gzip.GzipFile(fileobj=file).read
    stream = IGzipFile(fileobj=file)  # type: ignore[no-untyped-call]  # isal's
    return cast("Callable[[int], bytes]", stream.read)


def _unzstd(file: IO[bytes]) -> Callable[[int], bytes]:
    import zstandard

    unpacker = zstandard.ZstdDecompressor(max_window_size=128 << 20)
    return unpacker.stream_reader(file, read_across_frames=True).read
