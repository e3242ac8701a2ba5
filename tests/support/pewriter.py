"""Writes the smallest PE and Mach-O files that carry Go build information or a list of crates, for tests."""

from __future__ import annotations

import struct

#: Where the data of ``pe`` and ``macho`` lies in the file.
DATA_AT = 0x3000


def pe(
    data: bytes,
    *,
    wide: bool = True,
    base: int = 0x400000,
    name: bytes = b".data",
    first: bytes = b".text",
    writable: bool = True,
    stub: int = 128,
) -> bytes:
    """A Windows executable whose second section, loaded at ``base + 0x5000``, holds ``data``."""
    head = (b"MZ" + bytes(58) + struct.pack("<I", stub)).ljust(stub, b"\0")
    optional = struct.pack("<H", 0x20B if wide else 0x10B) + bytes(22)
    optional += struct.pack("<Q", base) if wide else bytes(4) + struct.pack("<I", base)
    optional = optional.ljust(240 if wide else 224, b"\0")
    head += b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 2, 0, 0, 0, len(optional), 0x22) + optional
    size = (len(data) + 511) & ~511
    for title, address, room, raw, offset, flags in (
        (first, 0x1000, DATA_AT - 0x1000, DATA_AT - 0x1000, 0x1000, 0x60000020),
        (name, 0x5000, len(data), size, DATA_AT, 0xC0000040 if writable else 0x40000040),
    ):
        head += struct.pack("<8s4I12xI", title, room, address, raw, offset, flags)
    return head.ljust(DATA_AT, b"\x90") + data.ljust(size, b"\0")


def macho(
    data: bytes,
    *,
    wide: bool = True,
    big: bool = False,
    address: int = 0x500000,
    section: bytes = b"__go_buildinfo",
    commands: int = 0,
    packed: bool = False,
) -> bytes:
    """A macOS executable whose data segment, loaded at ``address``, holds ``data`` in one section.

    ``commands`` bytes of another load command come first.
    """
    order = ">" if big else "<"
    body = b""
    if commands:
        body += struct.pack(order + "2I", 0x1B, commands).ljust(commands, b"\0")
    for name, place, offset, size, protection, parts in (
        (b"__TEXT", 0x1000, 0, DATA_AT, 5, 0),
        (b"__DATA", address, DATA_AT, len(data), 3, 1),
    ):
        length = (72 + 80 * parts) if wide else (56 + 68 * parts)
        body += struct.pack(order + "2I16s", 0x19 if wide else 1, length, name)
        numbers = (place, size, offset, size, 7, protection, parts, 0)
        body += struct.pack(order + ("4Q4I" if wide else "8I"), *numbers)
        if parts:
            described = order + ("16s16s2Q8I" if wide else "16s16s9I")
            rest = (0,) * (7 if wide else 6)
            body += struct.pack(described, section, name, address, len(data), DATA_AT, *rest)
    number = 0xFEEDFACF if wide else 0xFEEDFACE
    head = struct.pack(order + "7I", number, 7, 3, 2, 2 + bool(commands), len(body), 0) + bytes(4 * wide)
    head += body + (b"\0\0\0\0UPX!" if packed else b"")
    return head.ljust(DATA_AT, b"\x90") + data


def fat(*programs: bytes, wide: bool = False, count: int = -1) -> bytes:
    """A universal file of several executables; ``count`` is how many it claims."""
    head = struct.pack(">2I", 0xCAFEBABF if wide else 0xCAFEBABE, len(programs) if count < 0 else count)
    body, at = b"", 0x1000
    for program in programs:
        fields = (0, 0, at, len(program), 12) + ((0,) if wide else ())
        head += struct.pack(">2I2Q2I" if wide else ">5I", *fields)
        body += program.ljust((len(program) + 0xFFF) & ~0xFFF, b"\0")
        at += (len(program) + 0xFFF) & ~0xFFF
    return head.ljust(0x1000, b"\0") + body
