"""A compressed file as chunks of what it holds: gzip, zstd, xz and bzip2, told from the first bytes, or plain.

Never more than a chunk is in memory. Knows nothing of what is inside, or of how much is allowed in total.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Protocol, cast

import zstandard

from redoubt.errors import UnreadableInput

try:
    from isal import isal_zlib as _isal
    from isal.igzip import GzipFile
except ImportError:  # isal has no wheels for some machines
    import zlib as _isal  # type: ignore[no-redef]  # the same calls, slower
    from gzip import GzipFile  # type: ignore[assignment]  # likewise

CHUNK = 1 << 18
_WINDOW = 128 << 20  # of zstd: what ``zstd --long`` goes to
_XZ_MEMORY = 256 << 20  # what ``xz -9`` asks for is a quarter
_DAMAGE: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    ValueError,
    zlib.error,
    cast("type[Exception]", _isal.error),
    lzma.LZMAError,
    zstandard.ZstdError,
)


def chunks(name: str, file: IO[bytes]) -> Iterator[bytes]:
    """What is in ``file``, in chunks of at most ``CHUNK`` bytes.

    ``name`` is what errors call it. Raises ``UnreadableInput`` where it is damaged, or ends too early; not where
    a zstd file was cut, which only who reads what is inside can tell.
    """
    try:
        yield from _unpacked(file)
    except _DAMAGE as error:
        raise UnreadableInput(f"{name} is damaged ({error}); fetch it again") from None


def _unpacked(file: IO[bytes]) -> Iterator[bytes]:
    head = file.read(6)
    file.seek(0)
    if head == b"\xfd7zXZ\0":
        return _streams(file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY), "xz", b"\0")
    if head[:3] == b"BZh":
        return _streams(file, bz2.BZ2Decompressor, "bzip2", b"")
    stream: IO[bytes] = file
    if head[:2] == b"\x1f\x8b":
        stream = cast("IO[bytes]", GzipFile(fileobj=file, mode="rb"))  # type: ignore[no-untyped-call]  # isal's
    elif head[:4] == b"\x28\xb5\x2f\xfd":
        unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        stream = unpacker.stream_reader(file, read_size=CHUNK, read_across_frames=True)
    return iter(lambda: stream.read(CHUNK), b"")


class _Unpacker(Protocol):
    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def _streams(file: IO[bytes], unpacker: Callable[[], object], kind: str, padding: bytes) -> Iterator[bytes]:
    """The compressed streams of a file, one behind the other; ``padding`` may lie between and behind them.

    Of xz that is zeros (xz-file-format 2); parallel bzip2 programs write many streams, and no padding.
    """
    data = file.read(CHUNK)
    while data:
        stream = cast("_Unpacker", unpacker())
        while not stream.eof:
            if chunk := stream.decompress(data, CHUNK):
                yield chunk
            data = file.read(CHUNK) if stream.needs_input and not stream.eof else b""
            if not data and stream.needs_input and not stream.eof:
                raise EOFError(f"the {kind} stream ends too early")
        data = stream.unused_data.lstrip(padding)
        while not data and (more := file.read(CHUNK)):
            data = more.lstrip(padding)
