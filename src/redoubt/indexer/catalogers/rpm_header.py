"""Reads one rpm header: the record that rpm keeps of an installed package.

From rpm's "Package format" manual ("Header Structure"), in the form its databases hold: two big-endian
counts, an index of 16-byte entries, and the store they point into, without the magic of a package file.
It must not know where headers come from.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from redoubt.errors import UnreadableInput

#: Largest header that is read, in bytes. The largest known (a kernel's, with its list of files) is a sixteenth.
MAX_BLOB = 32 << 20
# rpm refuses larger ones itself (hdrblobInit's limits).
_MAX_ENTRIES = 0xFFFF
_MAX_STORE = 0x0FFFFFFF
_INT32, _STRING, _I18NSTRING = 4, 6, 9
_ENTRY = struct.Struct(">4I")
_COUNTS = struct.Struct(">2I")

_NAME, _VERSION, _RELEASE, _EPOCH, _VENDOR = 1000, 1001, 1002, 1003, 1011
_ARCH, _SOURCE_RPM, _MODULARITY_LABEL = 1022, 1044, 5096
_WANTED = frozenset({_NAME, _VERSION, _RELEASE, _EPOCH, _VENDOR, _ARCH, _SOURCE_RPM, _MODULARITY_LABEL})


class RpmHeader(NamedTuple):
    """What a header says of its package: bytes as they stand there, empty where it says nothing."""

    name: bytes
    epoch: int
    version: bytes
    release: bytes
    arch: bytes
    vendor: bytes
    source_rpm: bytes
    modularity_label: bytes


def read(blob: bytes) -> RpmHeader:
    """The header in ``blob``. Raises ``UnreadableInput`` where an entry that matters is not what it must be."""
    if len(blob) < _COUNTS.size:
        raise UnreadableInput("the header is shorter than its counts")
    entries, store_size = _COUNTS.unpack_from(blob)
    store_at = _COUNTS.size + entries * _ENTRY.size
    if not 0 < entries <= _MAX_ENTRIES or store_size > _MAX_STORE or store_at + store_size != len(blob):
        raise UnreadableInput("the header's counts do not agree with its length")
    strings: dict[int, bytes] = {}
    epoch: int | None = None
    for tag, kind, offset, count in _ENTRY.iter_unpack(blob[_COUNTS.size : store_at]):
        if tag not in _WANTED or tag in strings:
            continue
        start = store_at + offset
        if tag == _EPOCH:
            if kind != _INT32 or count != 1 or start + 4 > len(blob):
                raise UnreadableInput("the header's epoch is damaged")
            if epoch is None:
                epoch = int.from_bytes(blob[start : start + 4], "big")
            continue
        end = blob.find(b"\0", start) if offset < store_size else -1
        if kind not in (_STRING, _I18NSTRING) or count < 1 or end < 0:
            raise UnreadableInput(f"the header's text {tag} is damaged")
        strings[tag] = blob[start:end]
    return RpmHeader(
        name=strings.get(_NAME, b""),
        epoch=epoch or 0,
        version=strings.get(_VERSION, b""),
        release=strings.get(_RELEASE, b""),
        arch=strings.get(_ARCH, b""),
        vendor=strings.get(_VENDOR, b""),
        source_rpm=strings.get(_SOURCE_RPM, b""),
        modularity_label=strings.get(_MODULARITY_LABEL, b""),
    )
