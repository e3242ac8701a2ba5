"""Writes the smallest ELF files that carry Go build information or a list of crates, for tests."""

from __future__ import annotations

import struct

MAGIC = b"\xff Go buildinf:"
_FRAME = bytes(range(0x30, 0x40))
_TEXT_AT = 0x1000


def framed(modules: str) -> bytes:
    """Module text between the 16 bytes that the linker puts around it; nothing if there is none."""
    return _FRAME + modules.encode() + _FRAME if modules else b""


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def inline(go: str, modules: str) -> bytes:
    """Build information as Go 1.18 and later write it."""
    mod = framed(modules)
    header = MAGIC + bytes((8, 2)) + bytes(16)
    return header + varint(len(go)) + go.encode() + varint(len(mod)) + mod


def pointed(go: str, modules: str, address: int, *, wide: bool = True, big: bool = False) -> bytes:
    """Build information as Go before 1.18 wrote it, to be loaded at ``address``."""
    order, word = (">" if big else "<"), ("Q" if wide else "I")
    size = 8 if wide else 4
    mod = framed(modules)
    strings_at = address + 32
    texts_at = strings_at + 4 * size
    header = (
        MAGIC + bytes((size, int(big))) + struct.pack(f"{order}2{word}", strings_at, strings_at + 2 * size)
    )
    strings = struct.pack(f"{order}4{word}", texts_at, len(go), texts_at + len(go), len(mod))
    return header.ljust(32, b"\0") + strings + go.encode() + mod


def relocated(go: str, modules: str, address: int, *, big: bool = False) -> tuple[bytes, int]:
    """The older format as a position-independent program has it, and where its dynamic section begins.

    Its pointers are nonsense in the file: only the relocations know them.
    """
    order = ">" if big else "<"
    whole = pointed(go, modules, address, big=big)
    entries = [(address, address + 16, 8)]  # an address that stands there without being relocated
    for at in (16, 24, 32, 48):
        (target,) = struct.unpack_from(order + "Q", whole, at)
        entries.append((address + at, target, 1027))
    table = b"".join(struct.pack(order + "QQQ", place, kind, target) for place, target, kind in entries)
    info = bytearray(whole.ljust((len(whole) + 15) & ~15, b"\0"))
    for at in (16, 24, 32, 48):
        struct.pack_into(order + "Q", info, at, 0x400000 if at > 24 else 0)
    dynamic = struct.pack(order + "6Q", 7, address + len(info), 8, len(table), 0, 0)
    return bytes(info) + table + dynamic, len(info) + len(table)


def elf(
    data: bytes,
    *,
    wide: bool = True,
    big: bool = False,
    text: int = 8192,
    address: int = 0x500000,
    section: bool = False,
    writable: bool = True,
    note: bool = False,
    room: int = 0,
    dynamic: int = -1,
) -> bytes:
    """An executable of one text segment of ``text`` bytes and one writable segment that holds ``data``.

    With ``section`` there is a section table after them that names ``.go.buildinfo``; with ``note`` a Go
    build-ID note follows the headers. The writable segment has ``room`` more bytes in memory than in the file,
    and its dynamic section begins at ``dynamic``.
    """
    order = ">" if big else "<"
    data_at = (_TEXT_AT + text + 15) & ~15
    head_size, segment_size, section_size = (64, 56, 64) if wide else (52, 32, 40)
    names = b"\0.go.buildinfo\0.shstrtab\0"
    names_at = data_at + len(data)
    sections_at = names_at + len(names) if section else 0
    ident = b"\x7fELF" + bytes((2 if wide else 1, 2 if big else 1, 1)) + bytes(9)
    fields = "HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"
    counts = (segment_size, 2 if dynamic < 0 else 3, section_size, 3 if section else 0, 2 if section else 0)
    head = ident + struct.pack(
        order + fields, 2, 62, 1, 0x400000, head_size, sections_at, 0, head_size, *counts
    )

    def segment(kind: int, flags: int, offset: int, place: int, size: int, room: int = 0) -> bytes:
        if wide:
            return struct.pack(order + "IIQQQQQQ", kind, flags, offset, place, 0, size, size + room, 0x1000)
        return struct.pack(order + "IIIIIIII", kind, offset, place, 0, size, size + room, flags, 0x1000)

    head += segment(1, 5, 0, 0x400000, _TEXT_AT + text)
    head += segment(1, 6 if writable else 4, data_at, address, len(data), room)
    if dynamic >= 0:
        head += segment(2, 6, data_at + dynamic, address + dynamic, len(data) - dynamic)
    if note:
        head += struct.pack(order + "3I", 4, 4, 4) + b"Go\0\0" + b"abcd"
    body = head.ljust(_TEXT_AT, b"\0").ljust(data_at, b"\x90") + data
    if section:

        def described(name: int, offset: int, size: int) -> bytes:
            values = (name, 1, 0, 0, offset, size, 0, 0, 0, 0)
            return struct.pack(order + ("IIQQQQIIQQ" if wide else "10I"), *values)

        body += (
            names
            + bytes(section_size)
            + described(1, data_at, len(data))
            + described(15, names_at, len(names))
        )
    return body


def audited(
    data: bytes,
    *,
    wide: bool = True,
    big: bool = False,
    loaded: bool = False,
    symbols: int = 0,
    appended: int = 0,
    note: bool = False,
) -> bytes:
    """An executable with a section ``.dep-v0`` that holds ``data``, after one segment.

    The section is part of the segment if it is ``loaded``; ``symbols`` bytes lie between it and the sections'
    names; ``appended`` bytes after everything are a segment of their own, as patchelf adds one.
    """
    order = ">" if big else "<"
    head_size, segment_size, section_size = (64, 56, 64) if wide else (52, 32, 40)
    text = bytes(_TEXT_AT + 4096)
    size = len(text) + len(data) * loaded
    names = b"\0.dep-v0\0.shstrtab\0"
    names_at = len(text) + len(data) + symbols
    sections_at = names_at + len(names)
    end = sections_at + 3 * section_size
    ident = b"\x7fELF" + bytes((2 if wide else 1, 2 if big else 1, 1)) + bytes(9)
    fields = "HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"
    counts = (segment_size, 2 if appended else 1, section_size, 3, 2)
    head = ident + struct.pack(
        order + fields, 2, 62, 1, 0x400000, head_size, sections_at, 0, head_size, *counts
    )
    for offset, length in ((0, size), (end, appended))[: counts[1]]:
        if wide:
            head += struct.pack(order + "IIQQQQQQ", 1, 5, offset, offset, 0, length, length, 0x1000)
        else:
            head += struct.pack(order + "IIIIIIII", 1, offset, offset, 0, length, length, 5, 0x1000)
    if note:
        head += struct.pack(order + "3I", 4, 4, 4) + b"Go\0\0" + b"abcd"
    described = order + ("IIQQQQIIQQ" if wide else "10I")
    sections = bytes(section_size)
    sections += struct.pack(described, 1, 1, 0, 0, len(text), len(data), 0, 0, 0, 0)
    sections += struct.pack(described, 9, 3, 0, 0, names_at, len(names), 0, 0, 0, 0)
    return head.ljust(len(text), b"\x90") + data + bytes(symbols) + names + sections + bytes(appended)
