"""Probes for one kernel each (``EBPF``, as clusters of StackRox 4.4 and earlier have it): where they lie, and whether they are ours.

A probe and the program that reads its records have to be of the same source. So a probe's module version, by which support
packages have it, is the SHA-256 of that source, and each probe holds it in an ELF section of its own. One without that section is
another program's: StackRox's probes tell StackRox's Collector, in records of their own. It is never loaded.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from importlib import resources
from pathlib import Path

from redoubt.collector.libbpf import Unavailable

#: The section, and what it begins with; the version follows, in hexadecimal.
SECTION = b"redoubt.probe"
MARK = b"redoubt probe "
#: Bytes of a probe, unpacked.
_LARGEST = 64 << 20
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
_MOST_SECTIONS = 10_000


class ForeignProbe(Unavailable):
    """A probe that was not built from our source, or from another version of it."""


class NoProbe(Unavailable):
    """There is none for this kernel."""


def version() -> str:
    """The module version of this program's probes: the SHA-256 of their source."""
    folder = resources.files("redoubt.collector.probe")
    hashed = hashlib.sha256()
    for name in sorted(each.name for each in folder.iterdir() if each.name.endswith((".c", ".h"))):
        data = (folder / name).read_bytes()
        hashed.update(f"{name} {len(data)}\n".encode() + data)
    return hashed.hexdigest()


def file_name(kernel: str) -> str:
    """What a probe for a kernel (``5.10.0-26-amd64``) is called, in a folder and in support packages."""
    return f"collector-ebpf-{kernel}.o.gz"


def within(folder: Path, kernel: str) -> bytes | None:
    """The probe in a folder: ``collector-ebpf-KERNEL.o``, or the same with ``.gz``. Not unpacked, not checked."""
    packed = file_name(kernel)
    for name in (packed, packed.removesuffix(".gz")):
        try:
            with (folder / name).open("rb") as file:
                return file.read(_LARGEST)
        except OSError:
            continue
    return None


def checked(data: bytes, where: str) -> bytes:
    """The probe's object, unpacked. Raises ``ForeignProbe`` for one that is not ours; ``where`` names it."""
    code = _unpacked(data, where)
    mark = _section(code)
    if mark is None:
        raise ForeignProbe(
            f"{where}: not built from Redoubt's source, so it is not loaded; StackRox's probes are for StackRox's Collector only"
        )
    built = mark.rstrip(b"\0").removeprefix(MARK).decode("ascii", "replace")
    if not mark.startswith(MARK) or built != version():
        raise ForeignProbe(
            f"{where}: built from another version of the source ({built[:12]}…, wanted {version()[:12]}…); build it with this one"
        )
    return code


def missing(kernel: str, folder: Path) -> NoProbe:
    """That there is none, where it was looked for, and what to do."""
    return NoProbe(
        f"no probe for kernel {kernel}: none in {folder}, none in Central's support packages "
        f"({version()}/{file_name(kernel)}); upload one, or set collection_method=CORE_BPF"
    )


def _unpacked(data: bytes, where: str) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    unpacking = zlib.decompressobj(wbits=31)
    try:
        code = unpacking.decompress(data, _LARGEST)
    except zlib.error:
        raise ForeignProbe(f"{where}: damaged") from None
    if not unpacking.eof:
        raise ForeignProbe(f"{where}: damaged, or larger than a probe can be")
    return code


def _section(code: bytes) -> bytes | None:
    """What our section holds; None where there is none, or no ELF of the kernel's (64 bits, little-endian, BPF)."""
    try:
        header = _HEADER.unpack_from(code)
        if not header[0].startswith(b"\x7fELF\x02\x01") or header[2] != 247:
            return None
        start, size, count, names = header[6], header[11], header[12], header[13]
        if size != _SECTION_HEADER.size or not names < count <= _MOST_SECTIONS:
            return None
        sections = [_SECTION_HEADER.unpack_from(code, start + number * size) for number in range(count)]
        texts = _slice(code, sections[names][4], sections[names][5])
        for section in sections:
            if texts[section[0] : section[0] + len(SECTION) + 1] == SECTION + b"\0":
                return _slice(code, section[4], section[5])
    except (struct.error, OverflowError, ValueError):
        return None
    return None


def _slice(code: bytes, start: int, size: int) -> bytes:
    if start + size > len(code):
        raise ValueError("beyond the end")
    return code[start : start + size]
