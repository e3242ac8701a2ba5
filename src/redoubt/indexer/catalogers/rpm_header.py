"""Reads one rpm header: the record that rpm keeps of an installed package.

From rpm's "Package format" manual ("Header Structure"), in the form its databases hold: two big-endian
counts, an index of 16-byte entries, and the store they point into, without the magic of a package file.
It must not know where headers come from.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import zip_longest
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
# A file is a name, and the number of its folder in a list of these (rpm's manual, "File info tags").
_FILE_STATES, _FILE_FLAGS, _FOLDER_NUMBERS, _BASENAMES, _FOLDERS = 1029, 1037, 1116, 1117, 1118
_FILES = frozenset({_FILE_STATES, _FILE_FLAGS, _FOLDER_NUMBERS, _BASENAMES, _FOLDERS})
_CHAR, _STRINGS = 1, 8
_GHOST = 0x40  # a file that the package knows of and does not bring
_MAX_FILES = 1 << 20


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
    lists: dict[int, tuple[int, int, int]]  # of files: tag → kind, where it begins in the blob, count
    blob: bytes

    @property
    def has_files(self) -> bool:
        """Whether there is a list of files."""
        return _BASENAMES in self.lists


def read(blob: bytes) -> RpmHeader:
    """The header in ``blob``. Raises ``UnreadableInput`` where an entry that matters is not what it must be."""
    if len(blob) < _COUNTS.size:
        raise UnreadableInput("the header is shorter than its counts")
    entries, store_size = _COUNTS.unpack_from(blob)
    store_at = _COUNTS.size + entries * _ENTRY.size
    if not 0 < entries <= _MAX_ENTRIES or store_size > _MAX_STORE or store_at + store_size != len(blob):
        raise UnreadableInput("the header's counts do not agree with its length")
    strings: dict[int, bytes] = {}
    lists: dict[int, tuple[int, int, int]] = {}
    epoch: int | None = None
    for tag, kind, offset, count in _ENTRY.iter_unpack(blob[_COUNTS.size : store_at]):
        if tag in _FILES:
            lists.setdefault(tag, (kind, store_at + offset, count))
            continue
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
        lists=lists,
        blob=blob,
    )


def files(header: RpmHeader) -> list[bytes]:
    """The paths of the files that a package brought, without the first slash.

    Those that rpm did not write (ghosts, other architectures', replaced by another package's) are left out. Raises
    ``UnreadableInput`` where the lists do not fit each other.
    """
    names = _strings(header, _BASENAMES)
    folders = [folder[1:] if folder[:1] == b"/" else folder for folder in _strings(header, _FOLDERS)]
    numbers = _numbers(header, _FOLDER_NUMBERS, _INT32, len(names))
    if max(numbers, default=0) >= len(folders):
        raise UnreadableInput("the header's list of files is damaged")
    flags: Sequence[int] = ()
    if _FILE_FLAGS in header.lists:
        flags = _numbers(header, _FILE_FLAGS, _INT32, len(names))
    if any(flag & _GHOST for flag in flags) or _FILE_STATES in header.lists:
        states = _numbers(header, _FILE_STATES, _CHAR, len(names)) if _FILE_STATES in header.lists else ()
        brought = zip_longest(flags, states, fillvalue=0)
        return [
            folders[number] + name
            for name, number, (flag, state) in zip(names, numbers, brought, strict=True)
            if not (flag & _GHOST or state)
        ]
    return [folders[number] + name for name, number in zip(names, numbers, strict=True)]


def _strings(header: RpmHeader, tag: int) -> list[bytes]:
    kind, start, count = header.lists.get(tag, (0, 0, 0))
    if kind != _STRINGS or not 0 < count <= _MAX_FILES:
        raise UnreadableInput("the header's list of files is damaged")
    texts = header.blob[start:].split(b"\0", count)
    if len(texts) <= count:
        raise UnreadableInput("the header's list of files is cut off")
    return texts[:count]


def _numbers(header: RpmHeader, tag: int, kind: int, count: int) -> Sequence[int]:
    if header.lists.get(tag, (0, 0, 0))[::2] != (kind, count):
        raise UnreadableInput("the header's list of files is damaged")
    start = header.lists[tag][1]
    try:
        return struct.unpack_from(f">{count}{'B' if kind == _CHAR else 'I'}", header.blob, start)
    except struct.error:
        raise UnreadableInput("the header's list of files is cut off") from None


def source(source_rpm: str) -> tuple[str, str]:
    """``bash-5.1.8-6.el9.src.rpm`` → ``bash`` and ``5.1.8-6.el9``. No epoch stands in that name."""
    parts = source_rpm.removesuffix(".rpm").removesuffix(".src").removesuffix(".nosrc").rsplit("-", 2)
    return (parts[0], f"{parts[1]}-{parts[2]}") if len(parts) == 3 and parts[0] else ("", "")
