"""As much of Windows' executables (PE, PE32+) as is needed to find data in them: their sections.

From Microsoft's "PE Format": an MS-DOS header that says where the rest begins, a COFF header, an optional
header, and the table of sections. Pointers in the file are those of the image base that the header asks for, so
that base relocations needn't be read. It must not know what is looked for.
"""

from __future__ import annotations

import struct

from redoubt.indexer.catalogers.layout import Layout, Segment

MAGIC = b"MZ"
_MAX_SECTIONS = 256
#: Where the headers proper may begin. Real ones follow a stub of about 100 bytes.
_MAX_STUB = 1 << 20
_SECTION = struct.Struct("<8s4I12xI")
_WRITABLE = 0x80000000
_UPX = b"UPX"


def layout(head: bytes) -> Layout | None:
    """What the file's first bytes say, as far as they go; None if it is no such executable."""
    if len(head) < 64 or head[:2] != MAGIC:
        return None
    (at,) = struct.unpack_from("<I", head, 60)
    if not 0 < at <= _MAX_STUB:
        return None
    optional = at + 24
    if optional + 2 > len(head):
        return Layout(False, "<", (), {}, optional + 4096, whole=False)
    if head[at : at + 4] != b"PE\0\0":
        return None
    count, optional_size = struct.unpack_from("<H12xH", head, at + 6)
    (kind,) = struct.unpack_from("<H", head, optional)
    if kind not in (0x10B, 0x20B):
        return None
    wide = kind == 0x20B
    base = 0
    if optional + 32 <= len(head):
        (base,) = struct.unpack_from("<Q" if wide else "<I", head, optional + (24 if wide else 28))
    table = optional + optional_size
    end = table + min(count, _MAX_SECTIONS) * _SECTION.size
    segments: list[Segment] = []
    sections: dict[bytes, tuple[int, int]] = {}
    packed = False
    for place in range(table, min(end, len(head)) - _SECTION.size + 1, _SECTION.size):
        raw, room, address, size, offset, flags = _SECTION.unpack_from(head, place)
        name = raw.rstrip(b"\0")
        packed = packed or name.startswith(_UPX)
        segments.append(Segment(offset, base + address, size, max(room, size), bool(flags & _WRITABLE)))
        # What is in the file beyond the section's size is padding.
        sections.setdefault(name, (offset, min(size, room) if room else size))
    return Layout(wide, "<", tuple(segments), sections, end, end <= len(head), packed)
