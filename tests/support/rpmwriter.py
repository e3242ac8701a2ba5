"""Writes rpm headers and rpm databases byte by byte, for tests of what real tools would never write."""

from __future__ import annotations

import sqlite3
import struct
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

CHAR, INT32, STRING, STRINGS = 1, 4, 6, 8
STATES, FLAGS, FOLDER_NUMBERS, BASENAMES, FOLDERS = 1029, 1037, 1116, 1117, 1118
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


def header_with_files(
    paths: Sequence[str],
    *,
    flags: Sequence[int] = (),
    states: Sequence[int] = (),
    lists: Mapping[str, tuple[int, int, bytes]] | None = None,
) -> bytes:
    """A package ``tool`` that has these files (absolute paths).

    ``lists`` puts (type, count, bytes) in the place of some of its lists: ``basenames``, ``folders`` …
    """
    folders = list(dict.fromkeys(path[: path.rfind("/") + 1] for path in paths))
    numbers = [folders.index(path[: path.rfind("/") + 1]) for path in paths]
    tables = {
        "numbers": (FOLDER_NUMBERS, INT32, len(paths), struct.pack(f">{len(paths)}I", *numbers)),
        "flags": (FLAGS, INT32, len(flags), struct.pack(f">{len(flags)}I", *flags)),
        "states": (STATES, CHAR, len(states), bytes(states)),
        "basenames": (BASENAMES, STRINGS, len(paths), _texts(path.rpartition("/")[2] for path in paths)),
        "folders": (FOLDERS, STRINGS, len(folders), _texts(folders)),
    }
    for name, (kind, count, data) in (lists or {}).items():
        tables[name] = (tables.pop(name)[0], kind, count, data)  # the last one in the store
    entries, store = [], b""
    for tag, text in ((_TAGS["name"], "tool"), (_TAGS["version"], "1"), (_TAGS["release"], "2")):
        entries.append((tag, STRING, len(store), 1))
        store += text.encode() + b"\0"
    for tag, kind, count, data in tables.values():
        if count:
            store = store.ljust((len(store) + 3) & ~3, b"\0")
            entries.append((tag, kind, len(store), count))
            store += data
    return raw_header(entries, store)


def _texts(texts: Iterable[str]) -> bytes:
    return b"".join(text.encode() + b"\0" for text in texts)


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


def logged(
    merged: Sequence[bytes], *transactions: Sequence[bytes | int], page: int = 512
) -> tuple[bytes, bytes]:
    """An SQLite database with ``merged`` in ``Packages``, and the write-ahead log with what followed.

    Each transaction inserts headers, and deletes the rows with the numbers in it. SQLite writes both files.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a")
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA page_size={page}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.execute(PACKAGES)
            connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(blob,) for blob in merged])
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            for transaction in transactions:
                connection.execute("BEGIN")
                for what in transaction:
                    if isinstance(what, int):
                        connection.execute("DELETE FROM Packages WHERE hnum = ?", (what,))
                    else:
                        connection.execute("INSERT INTO Packages (blob) VALUES (?)", (what,))
                connection.execute("COMMIT")
            return file.read_bytes(), sealed(Path(folder, "a-wal").read_bytes())


def sealed(log: bytes, salts: bytes = b"saltsalt") -> bytes:
    """A write-ahead log whose salts and sums are right, as far as it has whole frames."""
    out = bytearray(log)
    if len(out) < 32:
        return log
    order = ">" if out[3] & 1 else "<"
    out[16:24] = salts
    first, second = added(out[:24], order, 0, 0)
    out[24:32] = struct.pack(">2I", first, second)
    size = int.from_bytes(out[8:12], "big")
    if size < 512 or size & (size - 1):
        return bytes(out)
    for at in range(32, len(out) - size - 23, size + 24):
        out[at + 8 : at + 16] = salts
        first, second = added(out[at : at + 8] + out[at + 24 : at + 24 + size], order, first, second)
        out[at + 16 : at + 24] = struct.pack(">2I", first, second)
    return bytes(out)


def added(data: bytes, order: str, first: int, second: int) -> tuple[int, int]:
    """SQLite's sums over the words of a log."""
    for even, odd in struct.iter_unpack(order + "2I", data):
        first = (first + even + second) % 2**32
        second = (second + odd + first) % 2**32
    return first, second
