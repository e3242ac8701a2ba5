"""Writes rpm headers and rpm databases byte by byte, for tests of what real tools would never write."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Sequence

INT32, STRING = 4, 6
_TAGS = {
    "name": 1000,
    "version": 1001,
    "release": 1002,
    "epoch": 1003,
    "vendor": 1011,
    "arch": 1022,
    "source_rpm": 1044,
    "modularity_label": 5096,
}
PACKAGES = "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)"


def raw_header(entries: Iterable[tuple[int, int, int, int]], store: bytes) -> bytes:
    """A header of index entries (tag, type, offset, count) and a store, as they are given."""
    index = b"".join(struct.pack(">4I", *entry) for entry in entries)
    return struct.pack(">2I", len(index) // 16, len(store)) + index + store


def header(**fields: str | int) -> bytes:
    """A header with these fields; ``epoch`` is a number, the others are text."""
    entries, store = [], b""
    for field, value in fields.items():
        if isinstance(value, int):
            store = store.ljust((len(store) + 3) & ~3, b"\0")
            entries.append((_TAGS[field], INT32, len(store), 1))
            store += value.to_bytes(4, "big")
        else:
            entries.append((_TAGS[field], STRING, len(store), 1))
            store += value.encode() + b"\0"
    return raw_header(entries, store)


def database(blobs: Sequence[object], schema: str = PACKAGES, *more: str) -> bytes:
    """An SQLite database with these rows in ``Packages``, marked as rpm's are: with a write-ahead log."""
    connection = sqlite3.connect(":memory:")
    connection.execute(schema)
    connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(blob,) for blob in blobs])
    for statement in more:
        connection.execute(statement)
    connection.commit()
    data = bytearray(connection.serialize())
    connection.close()
    data[18:20] = b"\2\2"
    return bytes(data)
