"""The list in front of an upload: ``ProbeUploadManifest`` of the original's API, as protobuf.

Field 1, repeated: a file's name (1), size (2) and CRC-32 (3). The outer level is walked here and not by protobuf's own
parser, which would make millions of objects out of a list of empty ones before anybody could count them.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from google.protobuf.message import DecodeError

from redoubt.central.probes import names
from redoubt.central.refusals import InvalidArgument
from redoubt.wire.proto.redoubt.v1.probes_pb2 import GetExistingProbesReply

#: Bytes of a manifest, and files in one: a package of all kernels of a version has some thousands.
LARGEST = 16 << 20
MOST = 100_000
_LONGEST_ENTRY = 1024
_FILES = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Entry(msgspec.Struct, frozen=True):
    """A file that an upload holds. ``size`` in bytes."""

    name: str
    size: int
    crc32: int


def read(data: bytes) -> tuple[Entry, ...]:
    """The files, in the order of their contents. Raises ``InvalidArgument``."""
    found: dict[str, Entry] = {}
    for piece in _pieces(data):
        if len(found) == MOST:
            raise InvalidArgument(f"the manifest names more than {MOST} files")
        try:
            # Field by field the original's ProbeUploadManifest.File.
            file = GetExistingProbesReply.File.FromString(piece)
        except DecodeError:
            raise _broken() from None
        entry = Entry(file.name, file.size, file.crc32)
        shown = _shown(entry.name)
        if not names.is_probe(entry.name):
            raise InvalidArgument(
                f"{shown} is no probe; names are <module version>/collector-….ko.gz or …/collector-ebpf-….o.gz"
            )
        if entry.size < 0:
            raise InvalidArgument(f"{shown} has a size of {entry.size} bytes in the manifest")
        if entry.name in found:
            raise InvalidArgument(f"{shown} is in the manifest twice")
        found[entry.name] = entry
    if not found:
        raise InvalidArgument("the manifest names no files")
    return tuple(found.values())


def _pieces(data: bytes) -> Iterator[bytes]:
    """The encoded entries. What another version may have besides is passed over, as protobuf does."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        field, kind = tag >> 3, tag & 7
        if not field:
            raise _broken()
        if kind == _VARINT:
            _, at = _varint(data, at)
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise _broken()
        if length > len(data) - at:
            raise _broken()
        if field == _FILES:
            if kind != _BYTES or length > _LONGEST_ENTRY:
                raise _broken()
            yield data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at ``at``, of at most ten bytes, and where it ends."""
    value = 0
    for number, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * number)
        if byte < 0x80:
            return value, at + number + 1
    raise _broken()


def _broken() -> InvalidArgument:
    return InvalidArgument(
        "the manifest is damaged, or manifestLen is not its length; upload the package again"
    )


def _shown(name: str) -> str:
    return repr(name[:200])
