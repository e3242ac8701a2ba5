"""How records lie in a snapshot's file: those of one package together as one entry, all others as they are.

An entry is a key and a value. The key of a package's is ``a`` namespace NUL name, its value the MessagePack of
``[[ref, ranges], …]``; entries in the order of their keys hold records in the order of theirs. Pure. Knows
nothing of what else records mean, nor of databases.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from redoubt.definitions import records, stream
from redoubt.definitions.records import Record

_decode = msgspec.msgpack.Decoder(list[tuple[str, msgspec.Raw]]).decode


def entry_of(key: bytes) -> bytes:
    """The key of the entry in which the record ``key`` lies. Ascends as records' keys do, whatever they are."""
    if key[:1] != records.AFFECTED:
        return key
    end = key.find(b"\0", key.find(b"\0") + 1)
    return key[:end] if end > 0 else key


def ungrouped(entries: Iterable[Record]) -> Iterator[Record]:
    """The records in some entries, in order."""
    for key, value in entries:
        if key[:1] != records.AFFECTED:
            yield key, value
            continue
        prefix = key + b"\0"
        for ref, ranges in _decode(value):
            yield prefix + ref.encode(), bytes(ranges)


def framed(entries: Iterable[Record]) -> bytes:
    """The same records as the stream has them."""
    head = stream.HEAD.pack
    parts: list[bytes | msgspec.Raw] = []
    for key, value in entries:
        if key[:1] != records.AFFECTED:
            parts += (head(len(key), len(value)), key, value)
            continue
        prefix = key + b"\0"
        for ref, ranges in _decode(value):
            name = prefix + ref.encode()
            parts += (head(len(name), len(ranges)), name, ranges)
    return b"".join(parts)


def grouped(package: bytes, members: list[bytes]) -> Record:
    """The entry of a ``package`` (``package_of`` a key). ``members`` are ``pair_head``, ref and value of each record."""
    return package[:-1], _array_head(len(members) // 3) + b"".join(members)


def together(pairs: Sequence[bytes]) -> bytes:
    """The value of an entry that holds some records, each with its ref before it as an entry has them."""
    return _array_head(len(pairs)) + b"".join(pairs)


def parted(pairs: Iterable[bytes]) -> list[tuple[str, bytes]]:
    """The ref of each of some records, with its ref before it as an entry has them, and its value."""
    found = []
    for pair in pairs:
        size = pair[1]
        if size < 0xC0:
            start, end = 2, size - 0x9E
        elif size == 0xD9:
            start, end = 3, 3 + pair[2]
        else:
            start, end = 4, 4 + int.from_bytes(pair[2:4])
        found.append((pair[start:end].decode(), pair[end:]))
    return found


def package_of(key: bytes) -> bytes:
    """What the keys of all records of a package begin with: up to and with the second NUL; empty if damaged."""
    end = key.find(b"\0", key.find(b"\0") + 1) + 1
    return key[:end] if 0 < key.find(b"\0") < end - 1 else b""


def pair_head(size: int) -> bytes:
    """The MessagePack before a ref of ``size`` bytes, the first of two items."""
    return _PAIR_HEADS[size] if size < len(_PAIR_HEADS) else _pair_head(size)


def _pair_head(size: int) -> bytes:
    if size < 32:
        return bytes((0x92, 0xA0 | size))
    if size < 256:
        return bytes((0x92, 0xD9, size))
    return b"\x92\xda" + size.to_bytes(2, "big")


_PAIR_HEADS = tuple(_pair_head(size) for size in range(256))


def _array_head(count: int) -> bytes:
    if count < 16:
        return bytes((0x90 | count,))
    if count < 65536:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")
