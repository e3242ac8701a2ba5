"""Writes rpm's older databases byte by byte: Berkeley DB's hash and ndb, whole or as a test breaks them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

HASH = 0x061561
UNSORTED, OVERFLOW, META, SORTED = 2, 7, 8, 13


class Berkeley:
    """A hash of two buckets. Pages are written as they come; ``data`` is the file so far."""

    def __init__(self, page_size: int = 512, *, big: bool = False, checksum: bool = False) -> None:
        self.order = ">" if big else "<"
        self.page_size = page_size
        self.checksum = checksum
        self.start = 32 if checksum else 26
        self.pages = [b"", b"", b""]  # metadata and the buckets' first pages

    def page(self, number: int, following: int, entries: int, used: int, kind: int, rest: bytes) -> bytes:
        """A page with its header; ``rest`` is what comes after it."""
        head = struct.pack(f"{self.order}8xIIIHHBB", number, 0, following, entries, used & 0xFFFF, 0, kind)
        return (head.ljust(self.start, b"\0") + rest).ljust(self.page_size, b"\0")

    def value(self, value: bytes) -> bytes:
        """The item of a value: on the page if it is small, else what leads to its overflow pages."""
        if len(value) <= self.page_size // 4:
            return b"\1" + value
        room = self.page_size - self.start
        first = len(self.pages)
        parts = [value[at : at + room] for at in range(0, len(value), room)]
        for place, part in enumerate(parts, first):
            following = place + 1 if place + 1 < first + len(parts) else 0
            self.pages.append(self.page(place, following, 1, len(part), OVERFLOW, part))
        return self.off_page(first, len(value))

    def off_page(self, number: int, length: int) -> bytes:
        """An item that leads to overflow pages."""
        return struct.pack(f"{self.order}B3xII", 3, number, length)

    def key(self, number: int) -> bytes:
        """The item of a key."""
        return b"\1" + struct.pack(f"{self.order}I", number)

    def hash_page(self, number: int, items: Sequence[bytes], following: int = 0, kind: int = SORTED) -> bytes:
        """A page of the hash: keys and values by turns."""
        ends, body = [], b""
        for item in items:
            body = item + body
            ends.append(self.page_size - len(body))
        index = struct.pack(f"{self.order}{len(ends)}H", *ends)
        free = self.page_size - self.start - len(index) - len(body)
        return self.page(
            number, following, len(ends), ends[-1] if ends else 0, kind, index + bytes(free) + body
        )

    def put(self, values: Sequence[bytes], kind: int = SORTED) -> None:
        """The counter, then these values, as many on a page as fit; odd ones follow the second bucket."""
        waiting = [self.key(0), b"\1" + struct.pack(f"{self.order}I", len(values))]
        number = 1
        for place, value in enumerate(values, 1):
            pair = [self.key(place), self.value(value)]
            if sum(map(len, waiting + pair)) + 2 * len(waiting + pair) + self.start > self.page_size:
                following = 2 if number == 1 else len(self.pages)
                if following == len(self.pages):
                    self.pages.append(b"")
                self.pages[number] = self.hash_page(number, waiting, 0 if number == 1 else following, kind)
                number, waiting = following, []
            waiting += pair
        self.pages[number] = self.hash_page(number, waiting, 0, kind)
        for empty in (1, 2):
            self.pages[empty] = self.pages[empty] or self.hash_page(empty, [], 0, kind)

    def metadata(self, magic: int = HASH, version: int = 9, encrypted: int = 0, page_size: int = 0) -> bytes:
        """The first page."""
        head = struct.pack(
            f"{self.order}8xIIIIBBBB", 0, magic, version, page_size or self.page_size, encrypted, META, self.checksum, 0
        )  # fmt: skip
        counts = struct.pack(f"{self.order}II", 0, len(self.pages) - 1)
        buckets = struct.pack(f"{self.order}IIIIII", 1, 1, 0, 0, 0, 0)
        spares = struct.pack(f"{self.order}32I", 1, 1, *[0] * 30)
        whole = (head + counts).ljust(72, b"\0") + buckets + spares
        return whole.ljust(self.page_size, b"\0")

    def data(self, metadata: bytes = b"") -> bytes:
        """The file."""
        return (metadata or self.metadata()) + b"".join(self.pages[1:])


def berkeley(
    values: Sequence[bytes],
    page_size: int = 512,
    *,
    big: bool = False,
    checksum: bool = False,
    kind: int = SORTED,
) -> bytes:
    """A whole database with these headers."""
    database = Berkeley(page_size, big=big, checksum=checksum)
    database.put(values, kind)
    return database.data()


def ndb(values: Sequence[bytes], *, slot_pages: int = 1, version: int = 0) -> bytes:
    """A whole ndb database with these headers, numbered from 1."""
    slots, blobs = b"", b""
    for number, value in enumerate(values, 1):
        head = struct.pack("<4sIII", b"BlbS", number, 1, len(value))
        raw = head + value + bytes(-(len(head) + len(value) + 12) % 16)
        place = slot_pages * 256 + len(blobs) // 16
        blobs += raw + struct.pack("<II4s", zlib.adler32(raw), len(value), b"BlbE")
        slots += ndb_slot(number, place, place + (len(raw) + 12) // 16)
    free = slot_pages * 256 - 2 - len(values)
    head = struct.pack("<4sIIII", b"RpmP", version, 1, slot_pages, len(values) + 1).ljust(32, b"\0")
    return head + slots + ndb_slot(0, 0, 0) * free + blobs


def ndb_slot(package: int, first: int, end: int) -> bytes:
    """A slot for a blob in the blocks from ``first`` to before ``end``."""
    return struct.pack("<4sIII", b"Slot", package, first, end - first)
