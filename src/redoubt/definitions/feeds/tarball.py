"""A tar that is streamed, plain or compressed: one member in memory at a time, nothing unpacked to disk.

POSIX.1-2017 (``pax``), and GNU's long names. Knows nothing of what members say or of how much is allowed
in total: what one member may take, and who counts all of it, is told to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

from redoubt.definitions.feeds import unpack
from redoubt.errors import LimitExceeded, UnreadableInput

_BLOCK = 512
_DESCRIPTION = 64 << 10  # longest name, or extended header, of one member in bytes
#: Extended headers that may follow each other without a member that they describe.
_DESCRIPTIONS = 16
_REGULAR = frozenset((b"0", b"\0", b"7"))
_WITHOUT_CONTENT = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))


class TarMember(NamedTuple):
    """A regular file. ``content`` is None where its name was not wanted."""

    name: str
    content: bytes | None


def members(
    archive: str, file: IO[bytes], wanted: Callable[[str], bool], largest: int, account: Callable[[int], None]
) -> Iterator[TarMember]:
    """Every regular file of the tar in ``file``, in its order; its first bytes tell how it is compressed.

    ``largest`` is what a wanted member may have in bytes. ``account`` is told the bytes unpacked so far and
    may raise. ``archive`` is what errors call it. Raises ``UnreadableInput`` where it is damaged or ends
    too early, ``LimitExceeded`` where a member is too large.
    """
    source = _Source(archive, unpack.chunks(archive, file), account)
    named, sized, described = "", -1, 0
    while (header := source.take(_BLOCK)).strip(b"\0"):
        size, kind = _size(archive, header), header[156:157]
        if kind in (b"x", b"g", b"L", b"K"):
            described += 1
            if size > _DESCRIPTION or described > _DESCRIPTIONS:
                raise LimitExceeded(f"{archive} describes a member at absurd length; it is not read")
            said = source.take(size)
            source.skip(-size % _BLOCK)
            if kind == b"L":
                named = _text(said)
            elif kind == b"x":
                facts = _extended(archive, said)
                named = facts.get("path", named)
                sized = _number(archive, facts["size"]) if "size" in facts else sized
            continue
        size = size if sized < 0 else sized
        name, named, sized, described = named or _name(header), "", -1, 0
        if kind in _WITHOUT_CONTENT:
            continue
        content = None
        if kind in _REGULAR and wanted(name):
            if size > largest:
                raise LimitExceeded(f"{archive} has a member of more than {largest} bytes; it is not read")
            content = source.take(size)
        else:
            source.skip(size)
        source.skip(-size % _BLOCK)
        if kind in _REGULAR:
            yield TarMember(name, content)
    source.drain()


class _Source:
    """What is unpacked, taken in the lengths that are asked for."""

    def __init__(self, archive: str, chunks: Iterator[bytes], account: Callable[[int], None]) -> None:
        self._archive = archive
        self._chunks = chunks
        self._account = account
        self._chunk = b""
        self._at = 0
        self._total = 0

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        at = self._at
        if len(self._chunk) - at >= size:
            self._at = at + size
            return self._chunk[at : at + size]
        pieces = [self._chunk[at:]]
        left = size - len(pieces[0])
        while left > 0:
            self._require_next()
            pieces.append(self._chunk[:left])
            self._at = len(pieces[-1])
            left -= self._at
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        """Go on behind the next ``size`` bytes."""
        while size > (have := len(self._chunk) - self._at):
            size -= have
            self._require_next()
        self._at += size

    def drain(self) -> None:
        """Go to the end: only then is what was compressed known to be whole."""
        while self._next():
            pass

    def _require_next(self) -> None:
        if not self._next():
            raise UnreadableInput(f"{self._archive} is truncated; fetch it again")

    def _next(self) -> bool:
        chunk = next(self._chunks, b"")
        self._chunk, self._at = chunk, 0
        self._total += len(chunk)
        self._account(self._total)
        return bool(chunk)


def _size(archive: str, header: bytes) -> int:
    """The size that a header gives, once its checksum is right (bytes counted as signed or unsigned)."""
    try:
        told = int(header[148:156].strip(b"\0 ") or b"0", 8)
    except ValueError:
        told = -1
    plain = header[:148] + b" " * 8 + header[156:]
    unsigned = sum(plain)
    if told not in (unsigned, unsigned - 256 * sum(byte > 127 for byte in plain)):
        raise UnreadableInput(f"{archive} is not a tar, or a damaged one; fetch it again")
    field = header[124:136]
    if field[0] == 0x80:  # GNU's form for large numbers
        return int.from_bytes(field[1:], "big")
    return _number(archive, field.strip(b"\0 ").decode("latin-1") or "0", 8)


def _number(archive: str, text: str, base: int = 10) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20) or (
        base == 8 and not set("89").isdisjoint(text)
    ):
        raise UnreadableInput(f"{archive} is not a tar, or a damaged one; fetch it again")
    return int(text, base)


def _extended(archive: str, said: bytes) -> dict[str, str]:
    """The ``length key=value`` lines of an extended header that matter here."""
    facts = {}
    at = 0
    while at < len(said):
        length, space, _ = said[at : at + 8].partition(b" ")
        size = _number(archive, length.decode("latin-1"))
        line = said[at : at + size]
        if not space or size <= len(length) + 1 or len(line) != size:
            raise UnreadableInput(f"{archive} is not a tar, or a damaged one; fetch it again")
        key, _, value = line[len(length) + 1 : -1].partition(b"=")
        if key in (b"path", b"size"):
            facts[key.decode()] = _text(value)
        at += size
    return facts


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")
