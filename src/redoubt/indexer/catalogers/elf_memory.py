"""An executable as it lies in memory when it starts: what the file holds, zeros after it, pointers set.

From the System V ABI ("Program header", "Dynamic section", "Relocation"). In a position-independent
executable of a class that keeps addends apart (64 bits: ``RELA``), the bytes of a pointer in the file may be
nothing or nonsense: only the relocation knows. Where addends lie in place (32 bits) the file is right.
It must not know what is looked for.
"""

from __future__ import annotations

import struct

from redoubt.indexer.catalogers.elf import DYNAMIC, Elf
from redoubt.indexer.catalogers.interface import Content
from redoubt.indexer.catalogers.layout import Memory

_MAX_TABLE = 32 << 20  # bytes of relocations; real programs end below 10 MB
_MAX_LOOKS = 10_000  # places in them where an address may stand without being what is relocated
_MAX_DYNAMIC = 64 << 10
_RELA = 7
_RELA_SIZE = 8
_ENTRY = 24  # Elf64_Rela: place, type and symbol, addend


class ElfMemory(Memory):
    """Reads by address, and knows what relocations make of a pointer."""

    def __init__(self, content: Content, header: Elf, segments: bytes) -> None:
        """``segments`` is the program header table."""
        super().__init__(content, header.segments(segments), wide=header.wide, order=header.order)
        self._header = header
        self._dynamic = header.segments(segments, DYNAMIC)
        self._relocations: bytes | None = None

    def pointer(self, address: int) -> int:
        """The pointer at an address, relocated to a program that is loaded where it says; 0 if there is none."""
        if self._header.wide and (entry := self._relocation(address)):
            _, kind, addend = struct.unpack(self._header.order + "3Q", entry)
            # Without a symbol it is the relative one, whatever number a machine gives it.
            return int(addend) if kind >> 32 == 0 else 0
        return super().pointer(address)

    def _relocation(self, address: int) -> bytes:
        if self._relocations is None:
            self._relocations = self._table() if self._dynamic else b""
        key = struct.pack(self._header.order + "Q", address & (1 << 64) - 1)
        at = -1
        for _ in range(_MAX_LOOKS):
            at = self._relocations.find(key, at + 1)
            if at < 0 or at + _ENTRY > len(self._relocations):
                break
            if at % _ENTRY == 0:
                return self._relocations[at : at + _ENTRY]
        return b""

    def _table(self) -> bytes:
        place = self._dynamic[0]
        entries = self._content.read(place.offset, min(place.size, _MAX_DYNAMIC))
        pairs = struct.iter_unpack(self._header.order + "QQ", entries[: len(entries) // 16 * 16])
        found: dict[int, int] = dict(pairs)
        return self.read(found.get(_RELA, 0), min(found.get(_RELA_SIZE, 0), _MAX_TABLE))
