"""SQLite's write-ahead log: the pages that were changed and not yet copied into the database beside it.

File format, section 4 ("The Write-Ahead Log"): a header, then frames, each a page with its number. Frames count as
far as their salts and running checksums are right, and up to the last that ends a transaction; what follows
was never committed, or is left over from before the log began anew. It must not know what pages mean.
"""

from __future__ import annotations

import struct

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.indexer.catalogers.interface import Content

MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
#: Adding up a log takes about a second for this much.
MAX_SIZE = 64 << 20
_VERSION = 3007000
_HEADER, _FRAME = 32, 24
_PAGE_SIZES = frozenset(1 << bits for bits in range(9, 17))
_MASK = 0xFFFFFFFF


def apply(database: bytearray, log: Content) -> None:
    """Change ``database`` to what it is with all that ``log`` commits.

    Raises ``UnreadableInput`` where the log is none or of another database, ``LimitExceeded`` where it is too large.
    """
    if log.size > MAX_SIZE:
        raise LimitExceeded(
            f"{log.size:,} bytes of changes that were never merged; the limit is {MAX_SIZE:,}"
        )
    size, pages, count = _committed(log)
    if not pages:
        return
    if int.from_bytes(database[16:18], "big") != (1 if size == 1 << 16 else size):
        raise UnreadableInput("changes with pages of another size than the database's")
    if count > len(database) // size + len(pages):  # what is added to a database is in its log
        raise UnreadableInput("changes that were never merged are damaged: more pages than there are")
    del database[count * size :]
    database.extend(bytes(count * size - len(database)))
    for number, offset in pages.items():
        if number <= count:
            database[(number - 1) * size : number * size] = log.read(offset, size)
    database[28:32] = count.to_bytes(4, "big")


def _committed(log: Content) -> tuple[int, dict[int, int], int]:
    """The size of a page, the offset in the log of each changed page's last state, and the pages of the database."""
    head = log.read(0, _HEADER)
    if len(head) < _HEADER or not head.startswith(MAGIC):
        raise UnreadableInput("changes that were never merged are damaged: not a write-ahead log")
    magic, version, size, _, *salts, first, second = struct.unpack(">8I", head)
    order = ">" if magic & 1 else "<"
    if version != _VERSION or size not in _PAGE_SIZES or _sum(head[:24], order, 0, 0) != (first, second):
        raise UnreadableInput("changes that were never merged are damaged: the log's header is wrong")
    pages: dict[int, int] = {}
    waiting: dict[int, int] = {}
    count = 0
    for at in range(_HEADER, log.size - _FRAME - size + 1, _FRAME + size):
        frame = log.read(at, _FRAME + size)
        number, commits, *rest = struct.unpack(">6I", frame[:_FRAME])
        first, second = _sum(frame[_FRAME:], order, *_sum(frame[:8], order, first, second))
        if rest != [*salts, first, second] or not number:
            break
        waiting[number] = at + _FRAME
        if commits:
            pages.update(waiting)
            waiting.clear()
            count = commits
    return size, pages, count


def _sum(data: bytes, order: str, first: int, second: int) -> tuple[int, int]:
    """Section 4.2: two sums over pairs of 32-bit words, each of which takes up the other."""
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return first, second
