"""Reads the headers in ``Packages.db``: ndb, rpm's own database, which SUSE's distributions use.

Everything is little-endian and lies in blocks of 16 bytes: a header of two, pages of slots that say where each
package's blob lies, then the blobs, each with a head, a tail and an Adler-32 sum (the layout of rpm's
``lib/backend/ndb/rpmpkg.c``). It must not know what a header holds.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from redoubt.errors import UnreadableInput
from redoubt.indexer.catalogers.fields import MAX_PACKAGES, Findings
from redoubt.indexer.catalogers.interface import Content
from redoubt.indexer.catalogers.rpm_header import MAX_BLOB
from redoubt.model import ProblemKind

MAGIC = b"RpmP"
_BLOCK = 16
_PAGE = 4096
_HEADER = struct.Struct("<4sI4xI")  # magic, version, pages of slots
_HEADER_SLOTS = 2  # the file's header takes the place of so many slots
_SLOT = struct.Struct("<4sIII")  # magic, package, first block, blocks
_HEAD = struct.Struct("<4sIII")  # magic, package, generation, length
_TAIL = struct.Struct("<II4s")  # sum, length, magic
#: Most slots that are looked at. rpm never gives a page of slots back, so there may be more than packages.
_MAX_SLOTS = 4 * MAX_PACKAGES


def headers(content: Content, found: Findings) -> Iterator[bytes]:
    """Every package's header, one at a time; what cannot be read becomes a problem of ``found``."""
    head = content.read(0, _HEADER.size)
    if len(head) < _HEADER.size:
        found.damaged("the rpm database is cut off")
        return
    _, version, pages = _HEADER.unpack(head)
    if version:
        found.problem(ProblemKind.UNSUPPORTED, f"rpm's ndb database has version {version}")
        return
    if not pages or pages * _PAGE > content.size or content.size % _BLOCK:
        found.damaged("the rpm database is cut off")
    # Blobs cannot be more than the file has room for: slots that share them come to an end.
    blocks = left = content.size // _BLOCK
    for package, first, count in _slots(content, pages, found):
        if not package or first < pages * (_PAGE // _BLOCK) or first + count > blocks:
            found.damaged(f"package {package} of the rpm database lies where it cannot lie")
            continue
        left -= count
        if left < 0:
            found.damaged("packages of the rpm database lie in the same place")
            return
        try:
            header, whole = _blob(content, package, first, count)
        except UnreadableInput as error:
            found.damaged(f"package {package} of the rpm database: {error}")
            continue
        if not whole:  # rpm looks at the sum only when it is asked to verify, so to rpm it is installed
            found.damaged(f"package {package} of the rpm database does not agree with its checksum")
        yield header


def _slots(content: Content, pages: int, found: Findings) -> Iterator[tuple[int, int, int]]:
    """Package, first block and number of blocks of every slot that is taken."""
    for page in range(min(pages, content.size // _PAGE)):
        if page * (_PAGE // _SLOT.size) >= _MAX_SLOTS:
            found.problem(ProblemKind.LIMIT, f"more than {_MAX_SLOTS:,} slots; the rest are not read")
            return
        skipped = 0 if page else _HEADER_SLOTS * _SLOT.size
        data = content.read(page * _PAGE + skipped, _PAGE - skipped)
        for magic, package, first, count in _SLOT.iter_unpack(data):
            if found.full:
                return
            if magic != b"Slot":
                found.damaged(f"page {page} of the rpm database is damaged")
                break
            if first:
                yield package, first, count


def _blob(content: Content, package: int, first: int, count: int) -> tuple[bytes, bool]:
    """The header in these blocks, and whether it agrees with its checksum."""
    size = count * _BLOCK
    if not _HEAD.size + _TAIL.size <= size <= MAX_BLOB:
        raise UnreadableInput(f"a header in {size:,} bytes")
    raw = content.read(first * _BLOCK, size)
    magic, owner, _, length = _HEAD.unpack_from(raw)
    end = size - _TAIL.size
    checksum, again, closing = _TAIL.unpack_from(raw, end)
    if (magic, owner, closing, again) != (b"BlbS", package, b"BlbE", length):
        raise UnreadableInput("its place holds something else")
    if not 0 <= end - _HEAD.size - length < _BLOCK:
        raise UnreadableInput("its length does not agree with its place")
    return raw[_HEAD.size : _HEAD.size + length], zlib.adler32(raw[:end]) == checksum
