"""Reads the headers in rpm's ``Packages``: a hash table of Berkeley DB, which rpm kept until version 4.15.

A file is pages of one size in the byte order of its writer: one of metadata, those of the hash with keys
and values, and chains of overflow pages for values that fit into none (the structures of Berkeley DB's
``db_page.h``; hash versions 8 to 10, which are Berkeley DB 4.1 to 18). Its pages are read in the file's order
rather than bucket by bucket, so a broken page costs what stood on it and no more; then every bucket's page must have
been among them. It must not know what a header holds.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator

from redoubt.errors import UnreadableInput
from redoubt.indexer.catalogers.fields import MAX_PACKAGES, Findings
from redoubt.indexer.catalogers.interface import Content
from redoubt.indexer.catalogers.rpm_header import MAX_BLOB
from redoubt.model import ProblemKind

_HASH = (b"\x61\x15\x06\0", b"\0\x06\x15\x61")  # in either byte order
_TREE = (b"\x62\x31\x05\0", b"\0\x05\x31\x62")
_MAGIC_AT = 12
#: How many of a file's first bytes ``recognised`` looks at.
HEAD = 16

_META = 512  # bytes of the metadata page that are used, whatever its size
_PAGE_SIZES = frozenset(1 << power for power in range(9, 17))
_VERSIONS = frozenset({8, 9, 10})
_CHECKSUMMED = 0x01
_FREE, _UNSORTED, _OVERFLOW, _SORTED = 0, 2, 7, 13  # kinds of pages
_KIND_AT = 25
_ON_PAGE, _OFF_PAGE = 1, 3  # kinds of items
_COUNTER = b"\1\0\0\0\0"  # the item whose key is 0: the last number that rpm gave a package
_PIECE = 1 << 20  # a multiple of every page size


def recognised(head: bytes) -> bool:
    """Whether a file that begins with ``head`` says that it is a hash table or a tree of Berkeley DB."""
    return head[_MAGIC_AT:HEAD] in _HASH + _TREE


def headers(content: Content, found: Findings) -> Iterator[bytes]:
    """Every package's header, one at a time; what cannot be read becomes a problem of ``found``."""
    meta = content.read(0, _META)
    order = ">" if meta[_MAGIC_AT:HEAD] in (_HASH[1], _TREE[1]) else "<"
    if len(meta) < _META:
        found.damaged("the rpm database is cut off")
        return
    version, page_size, encrypted, flags = struct.unpack_from(f"{order}IIBxB", meta, 16)
    unreadable = (
        (meta[_MAGIC_AT:HEAD] in _TREE and "is a tree, which rpm never made of it")
        or (encrypted and "is encrypted")
        or (version not in _VERSIONS and f"has version {version}")
    )
    if unreadable:
        found.problem(ProblemKind.UNSUPPORTED, f"rpm's Berkeley DB database {unreadable}")
        return
    if page_size not in _PAGE_SIZES:
        found.damaged(f"the rpm database is damaged: pages of {page_size} bytes")
        return
    reader = _Reader(content, found, order, page_size, 32 if flags & _CHECKSUMMED else 26)
    (last,) = struct.unpack_from(f"{order}I", meta, 32)
    (top_bucket,) = struct.unpack_from(f"{order}I", meta, 72)
    complete = yield from reader.headers(last + 1)
    if last >= content.size // page_size:
        found.damaged("the rpm database is cut off")
    elif complete:
        reader.check_buckets(top_bucket, struct.unpack_from(f"{order}32I", meta, 96))


class _Reader:
    """One file. Every page gives what it holds once, so circles and shared chains come to an end."""

    def __init__(self, content: Content, found: Findings, order: str, page_size: int, index_at: int) -> None:
        self._content = content
        self._found = found
        self._order = order
        self._page_size = page_size
        self._index_at = index_at
        self._pages = content.size // page_size
        self._read = bytearray(self._pages)
        self._page = struct.Struct(f"{order}8xI4xIHHxB")  # number, next, entries, bytes used, kind
        self._off_page = struct.Struct(f"{order}B3xII")  # kind, first page, length

    def headers(self, pages: int) -> Generator[bytes, None, bool]:
        """What the first ``pages`` pages hold, without rpm's counter. Returns whether that was all."""
        left = MAX_PACKAGES
        self._pages = min(self._pages, pages)
        for number, page in self._hash_pages():
            for key, value in self._pairs(number, page):
                left -= 1
                if left < 0:
                    self._found.problem(
                        ProblemKind.LIMIT, f"more than {MAX_PACKAGES:,} headers; the rest are not read"
                    )
                    return False
                if self._found.full:
                    return False
                if key == _COUNTER:
                    continue
                try:
                    header = self._value(value)
                except UnreadableInput as error:
                    self._found.damaged(f"page {number} of the rpm database: {error}")
                    continue
                yield header
        return not self._found.full

    def check_buckets(self, top: int, spares: tuple[int, ...]) -> None:
        """Every bucket from 0 to ``top`` begins on a page of the hash: bucket + spares[its length in bits]."""
        missing = top + 1
        if top < self._pages:
            places = (bucket + spares[bucket.bit_length()] for bucket in range(top + 1))
            missing -= sum(place < self._pages and self._read[place] == _SORTED for place in places)
        if missing:
            self._found.damaged(f"{missing:,} of {top + 1:,} parts of the rpm database are missing")

    def _hash_pages(self) -> Iterator[tuple[int, bytes]]:
        size = self._page_size
        for start in range(0, self._pages * size, _PIECE):
            piece = self._content.read(start, min(_PIECE, self._pages * size - start))
            for at in range(0, len(piece), size):
                number, kind = (start + at) // size, piece[at + _KIND_AT]
                if self._found.full:
                    return
                if kind in (_FREE, _OVERFLOW) or number == 0:
                    continue
                page = piece[at : at + size]
                if kind not in (_SORTED, _UNSORTED) or self._page.unpack_from(page)[0] != number:
                    self._found.damaged(f"page {number} of the rpm database is damaged")
                    continue
                self._read[number] = _SORTED
                yield number, page

    def _pairs(self, number: int, page: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values, which lie from the page's end downwards; the index says where each begins."""
        count = self._page.unpack_from(page)[2]
        free = self._index_at + 2 * count
        end = len(page)
        if free <= end:
            offsets = struct.unpack_from(f"{self._order}{count}H", page, self._index_at)
            for key, value in zip(offsets[::2], offsets[1::2], strict=False):
                if not free <= value < key < end:
                    break
                yield page[key:end], page[value:key]
                end = value
            else:
                if count % 2 == 0:
                    return
        self._found.damaged(f"page {number} of the rpm database is damaged")

    def _value(self, item: bytes) -> bytes:
        if item[0] == _ON_PAGE:
            return item[1:]
        if item[0] != _OFF_PAGE or len(item) != self._off_page.size:
            raise UnreadableInput("a value that is neither here nor elsewhere")
        _, number, length = self._off_page.unpack(item)
        if not 0 < length <= min(MAX_BLOB, self._content.size):
            raise UnreadableInput(f"a header of {length:,} bytes")
        return self._chain(number, length)

    def _chain(self, number: int, left: int) -> bytes:
        """``left`` bytes from the overflow page ``number`` and those that follow it."""
        pieces = []
        while left:
            if not 0 < number < self._pages or self._read[number]:
                raise UnreadableInput(f"a header that leads to page {number}")
            self._read[number] = _OVERFLOW
            page = self._content.read(number * self._page_size, self._page_size)
            own, following, _, used, kind = self._page.unpack_from(page)
            room = len(page) - self._index_at
            if kind != _OVERFLOW or own != number or not 0 < used <= min(left, room):
                raise UnreadableInput(f"a header on page {number}, which is damaged")
            pieces.append(page[self._index_at : self._index_at + used])
            left -= used
            number = following
        return b"".join(pieces)
