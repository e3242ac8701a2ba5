"""As much of ELF as is needed to find data in an executable: its segments and its sections.

From the System V ABI ("ELF header", "Program header", "Section header"), both classes and byte orders.
Nothing the file says is believed before it is checked against a limit. It must not know what is looked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from redoubt.indexer.catalogers.interface import Content
from redoubt.indexer.catalogers.layout import Segment

MAGIC = b"\x7fELF"
_MAX_SECTIONS = 1024
_MAX_SEGMENTS = 256
_MAX_NAMES = 1 << 20
LOAD = 1
DYNAMIC = 2
_WRITABLE = 2


class Elf(NamedTuple):
    """An executable's header: its class, its byte order, and where its tables are."""

    wide: bool
    order: str
    segments_at: int
    segment_size: int
    segment_count: int
    sections_at: int
    section_size: int
    section_count: int
    names_index: int

    @property
    def segments_end(self) -> int:
        """Where the program header table ends in the file."""
        return self.segments_at + self.segment_size * self.segment_count

    def segments(self, table: bytes, wanted: int = LOAD) -> list[Segment]:
        """The segments of one type, from the bytes of the program header table; as far as it goes."""
        layout = struct.Struct(self.order + ("IIQQQQQ" if self.wide else "IIIIIII"))
        found = []
        for number in range(min(self.segment_count, _MAX_SEGMENTS)):
            at = number * self.segment_size
            if at + layout.size > len(table):
                break
            fields = layout.unpack_from(table, at)
            if self.wide:
                kind, flags, offset, address, _, size, room = fields
            else:
                kind, offset, address, _, size, room, flags = fields
            if kind == wanted:
                found.append(Segment(offset, address, size, room, bool(flags & _WRITABLE)))
        return found

    def section(self, content: Content, name: bytes) -> tuple[int, int] | None:
        """Where a section begins in the file and how long it is; None if there is none of that name."""
        sections = list(self._sections(content))
        if not 0 <= self.names_index < len(sections):
            return None
        _, offset, size = sections[self.names_index]
        names = content.read(offset, min(size, _MAX_NAMES))
        for name_at, offset, size in sections:
            if names[name_at : name_at + len(name) + 1] == name + b"\0":
                return offset, size
        return None

    def _sections(self, content: Content) -> Iterator[tuple[int, int, int]]:
        layout = struct.Struct(self.order + ("I20xQQ" if self.wide else "I12xII"))
        count = min(self.section_count, _MAX_SECTIONS)
        table = content.read(self.sections_at, count * self.section_size)
        for at in range(0, len(table) - layout.size + 1, self.section_size):
            yield layout.unpack_from(table, at)


def header(head: bytes) -> Elf | None:
    """The header of an executable from the file's first 64 bytes; None if it is not one."""
    if len(head) < 64 or head[:4] != MAGIC or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    if wide:
        segments_at, sections_at = struct.unpack_from(order + "QQ", head, 32)
        sizes = struct.unpack_from(order + "5H", head, 54)
    else:
        segments_at, sections_at = struct.unpack_from(order + "II", head, 28)
        sizes = struct.unpack_from(order + "5H", head, 42)
    segment_size, segment_count, section_size, section_count, names_index = sizes
    if segment_size < (56 if wide else 32):
        segment_count = 0
    if section_size < (64 if wide else 40):
        section_count = 0
    return Elf(
        wide,
        order,
        segments_at,
        max(segment_size, 1),
        segment_count,
        sections_at,
        max(section_size, 1),
        section_count,
        names_index,
    )
