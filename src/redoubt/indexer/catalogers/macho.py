"""As much of macOS' executables (Mach-O, also several in one file) as is needed to find data in them.

From Apple's ``mach-o/loader.h`` and ``mach-o/fat.h``: a header, load commands, of which those that describe segments
list the sections in them; and the "fat" file, a table of such files, one an architecture. It must not know
what is looked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from redoubt.indexer.catalogers.interface import Content, Window
from redoubt.indexer.catalogers.layout import Layout, Segment

_THIN = {
    b"\xce\xfa\xed\xfe": (False, "<"),
    b"\xcf\xfa\xed\xfe": (True, "<"),
    b"\xfe\xed\xfa\xce": (False, ">"),
    b"\xfe\xed\xfa\xcf": (True, ">"),
}
#: Both byte orders of the number are known to ``fat.h``; the table is big-endian in all files.
_FAT = {b"\xca\xfe\xba\xbe": struct.Struct(">8x2I4x"), b"\xca\xfe\xba\xbf": struct.Struct(">8x2Q8x")}
MAGICS = (*_THIN, *_FAT)
#: A Java class begins with the same four bytes as a fat file, and then has a version of at least 45.
_MAX_SLICES = 16
_MAX_COMMANDS = 1024
_MAX_SIZE = 1 << 20
_MAX_SECTIONS = 4096
_WRITABLE = 2
_UPX = b"UPX!"


def is_fat(head: bytes) -> bool:
    """Whether a file of these first bytes holds several executables."""
    return head[:4] in _FAT and 0 < int.from_bytes(head[4:8], "big") <= _MAX_SLICES


def slices(content: Content) -> Iterator[Content]:
    """The executables of a fat file, those left out that lie in another; of any other file, the file itself."""
    head = content.read(0, 8)
    if not is_fat(head):
        yield content
        return
    entry = _FAT[head[:4]]
    table = content.read(8, int.from_bytes(head[4:8], "big") * entry.size)
    end = 0
    for offset, size in sorted(entry.iter_unpack(table[: len(table) // entry.size * entry.size])):
        if max(end, 1) <= offset < content.size:
            size = min(size, content.size - offset)
            end = offset + size
            yield Window(content, offset, size)


def layout(head: bytes) -> Layout | None:
    """What the first bytes of one executable say, as far as they go; None if it is none."""
    if len(head) < 28 or head[:4] not in _THIN:
        return None
    wide, order = _THIN[head[:4]]
    count, length = struct.unpack_from(order + "2I", head, 16)
    at = 32 if wide else 28
    end = at + min(length, _MAX_SIZE)
    segments: list[Segment] = []
    sections: dict[bytes, tuple[int, int]] = {}
    for _ in range(min(count, _MAX_COMMANDS)):
        if at + 8 > min(end, len(head)):
            break
        command, size = struct.unpack_from(order + "2I", head, at)
        if size < 8:
            break
        if command == (0x19 if wide else 1):
            _segment(head[at : at + size], wide, order, segments, sections)
        at += size
    packed = _UPX in head[end : end + 64]
    return Layout(wide, order, tuple(segments), sections, end, end <= len(head), packed)


def _segment(
    command: bytes,
    wide: bool,
    order: str,
    segments: list[Segment],
    sections: dict[bytes, tuple[int, int]],
) -> None:
    """Take up one load command that describes a segment and its sections, as far as it goes."""
    header = struct.Struct(order + ("24x4Q4x2I4x" if wide else "24x4I4x2I4x"))
    part = struct.Struct(order + ("16s16x8xQI28x" if wide else "16s16x4x2I24x"))
    if len(command) < header.size:
        return
    address, room, offset, size, protection, count = header.unpack_from(command)
    segments.append(Segment(offset, address, size, room, bool(protection & _WRITABLE)))
    for at in range(header.size, len(command) - part.size + 1, part.size):
        if count <= 0 or len(sections) >= _MAX_SECTIONS:
            return
        count -= 1
        name, length, place = part.unpack_from(command, at)
        sections.setdefault(name.rstrip(b"\0"), (place, length))
