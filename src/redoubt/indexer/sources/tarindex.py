"""Where the members of a tar lie: an index by name, read from the headers alone, nothing extracted.

It serves image archives, whose members are few and large. It must not know what an image is. The walker of
layers is another one: it streams, and keeps what it wants.

Sources of the rules: POSIX.1-2024 pax (ustar header, extended headers), GNU tar manual "Basic Tar Format"
(long names ``L`` and ``K``, base-256 numbers).
"""

from __future__ import annotations

import os
import posixpath

import msgspec

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.indexer.sources.slices import Archive, FileSlice

MAX_MEMBERS = 65_536
MAX_NAME = 4_096
MAX_EXTENDED = 1 << 20
MAX_LINKS = 16

_BLOCK = 512
_REGULAR = (b"0", b"\0", b"7")
_HARD, _SYMBOLIC = b"1", b"2"


class Member(msgspec.Struct, frozen=True):
    """One member: where its bytes lie in the archive, or the name that it links to."""

    offset: int
    size: int
    link: str = ""


class TarIndex:
    """The members of one archive by normalised name; of members with the same name the last counts.

    ``twice`` are names that came more than once. Names that lead out of the archive are left out: nothing
    can refer to them.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._members: dict[str, Member] = {}
        self.twice: set[str] = set()
        self._read()

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def find(self, name: str) -> Member | None:
        """The regular member that ``name`` is, or links to; None where there is none.

        Raises ``UnreadableInput`` for links that go in circles or out of the archive.
        """
        for _ in range(MAX_LINKS):
            member = self._members.get(_normal(name) or "")
            if member is None or not member.link:
                return member
            name = member.link
        raise UnreadableInput(f"{self._archive.path}: links in circles at {name[:200]!r}")

    def read(self, name: str, limit: int) -> bytes | None:
        """A member's bytes, or None. Raises ``LimitExceeded`` over ``limit`` bytes."""
        member = self.find(name)
        if member is None:
            return None
        if member.size > limit:
            raise LimitExceeded(
                f"{self._archive.path}: {name} has {member.size} bytes, more than the limit of {limit}"
            )
        return self._archive.read(member.offset, member.size)

    def open(self, name: str) -> FileSlice | None:
        """A stream over a member's bytes, or None."""
        member = self.find(name)
        return None if member is None else self._archive.slice(member.offset, member.size)

    def _read(self) -> None:
        size = self._archive.size
        at, ended = 0, False
        count = 0
        extended: dict[str, str] = {}
        while at + _BLOCK <= size:
            block = self._archive.read(at, _BLOCK)
            at += _BLOCK
            if not block.strip(b"\0"):
                ended = True
                break
            count += 1
            if count > MAX_MEMBERS:
                raise LimitExceeded(f"{self._archive.path}: more than {MAX_MEMBERS} members")
            length, kind = self._header(block, at)
            if kind in (b"L", b"K", b"x", b"g"):
                self._fits(at, length)
                if length > MAX_EXTENDED:
                    raise LimitExceeded(f"{self._archive.path}: a name of {length} bytes")
                if kind != b"g":
                    extended |= _extended(kind, self._archive.read(at, length))
            else:
                if "size" in extended:
                    length = _decimal(extended["size"])
                    if length < 0:
                        raise self._damaged(at, "a size that is none")
                if kind in _REGULAR:
                    self._fits(at, length)
                else:
                    length = 0
                self._add(block, kind, extended, Member(at, length))
                extended = {}
            at += -(-length // _BLOCK) * _BLOCK
        if not ended and at < size:
            raise UnreadableInput(f"{self._archive.path}: the archive is cut off")

    def _header(self, block: bytes, at: int) -> tuple[int, bytes]:
        """Size and type of the member whose header ``block`` is."""
        stored = _number(block[148:156])
        if stored != sum(block) - sum(block[148:156]) + 8 * 0x20:
            raise self._damaged(at, "a header whose checksum is wrong")
        length = _number(block[124:136])
        if length < 0:
            raise self._damaged(at, "a size that is none")
        return length, block[156:157]

    def _add(self, block: bytes, kind: bytes, extended: dict[str, str], member: Member) -> None:
        name = extended.get("path")
        if name is None:
            name = _text(block[:100])
            if block[257:263] == b"ustar\0" and (prefix := _text(block[345:500])):
                name = f"{prefix}/{name}"
        if len(name) > MAX_NAME:
            raise LimitExceeded(f"{self._archive.path}: a name of {len(name)} characters")
        place = _normal(name)
        if place is None or (kind not in _REGULAR and kind not in (_HARD, _SYMBOLIC)) or name.endswith("/"):
            return
        if kind in (_HARD, _SYMBOLIC):
            target = extended.get("linkpath", _text(block[157:257]))[:MAX_NAME]
            if kind == _SYMBOLIC:
                target = posixpath.join(posixpath.dirname(place), target)
            member = Member(0, 0, target or "/")
        if place in self._members:
            self.twice.add(place)
        self._members[place] = member

    def _fits(self, at: int, length: int) -> None:
        if at + length > self._archive.size:
            raise UnreadableInput(f"{self._archive.path}: the archive is cut off")

    def _damaged(self, at: int, what: str) -> UnreadableInput:
        return UnreadableInput(f"{self._archive.path}: not a tar, or damaged: {what} at byte {at - _BLOCK}")


def looks_like_tar(block: bytes) -> bool:
    """Whether the first 512 bytes of a file are a tar header (or the end of an empty tar)."""
    if len(block) < _BLOCK:
        return False
    stored = _number(block[148:156])
    return stored == sum(block[:_BLOCK]) - sum(block[148:156]) + 8 * 0x20


def _normal(name: str) -> str | None:
    """``name`` relative to the archive's root, without ``.`` and ``..``; None where it leads out of it."""
    path = posixpath.normpath(name)
    if path.startswith(("/", "..")) and (path[0] == "/" or path == ".." or path.startswith("../")):
        return None
    return path


def _text(field: bytes) -> str:
    return os.fsdecode(field.partition(b"\0")[0])


def _number(field: bytes) -> int:
    """A numeric field: octal text, or base-256 where the first bit is set. -1 where it is neither."""
    if field[0] & 0x80:
        if field[0] == 0xFF:
            return -1
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    text = field.strip(b" \0")
    if not text:
        return 0
    if text.strip(b"01234567"):
        return -1
    return int(text, 8)


def _decimal(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1


def _extended(kind: bytes, data: bytes) -> dict[str, str]:
    """What an extended header says of the next member: ``path``, ``linkpath``, ``size``."""
    if kind == b"L":
        return {"path": _text(data)}
    if kind == b"K":
        return {"linkpath": _text(data)}
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 12)
        length = _decimal(data[at:space].decode("latin-1")) if space > 0 else -1
        if length <= space - at + 1 or at + length > len(data):
            break
        key, equals, value = data[space + 1 : at + length - 1].partition(b"=")
        if equals and key in (b"path", b"linkpath", b"size"):
            found[key.decode()] = os.fsdecode(value)
        at += length
    return found
