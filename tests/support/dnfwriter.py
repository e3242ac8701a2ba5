"""Writes dnf's histories, of dnf 4 and dnf 5, with the tables and columns that matter."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

#: Name, version, release, architecture, repository, and what was done with it.
Row = tuple[str, str, str, str, str, str]

_DNF4 = """
CREATE TABLE trans_item (id INTEGER PRIMARY KEY AUTOINCREMENT, trans_id INTEGER, item_id INTEGER, repo_id INTEGER,
  action INTEGER NOT NULL, reason INTEGER NOT NULL, state INTEGER NOT NULL);
CREATE TABLE repo (id INTEGER PRIMARY KEY AUTOINCREMENT, repoid TEXT NOT NULL);
CREATE TABLE rpm (item_id INTEGER UNIQUE NOT NULL, name TEXT NOT NULL, epoch INTEGER NOT NULL,
  version TEXT NOT NULL, release TEXT NOT NULL, arch TEXT NOT NULL);
"""
_DNF5 = """
CREATE TABLE trans_item_action (id INTEGER, name TEXT NOT NULL UNIQUE, PRIMARY KEY(id));
CREATE TABLE repo (id INTEGER, repoid TEXT NOT NULL, PRIMARY KEY(id));
CREATE TABLE pkg_name (id INTEGER, name TEXT NOT NULL UNIQUE, PRIMARY KEY(id));
CREATE TABLE arch (id INTEGER, name TEXT NOT NULL UNIQUE, PRIMARY KEY(id));
CREATE TABLE rpm (item_id INTEGER NOT NULL UNIQUE, name_id INTEGER NOT NULL, epoch INTEGER NOT NULL,
  version TEXT NOT NULL, release TEXT NOT NULL, arch_id INTEGER NOT NULL);
CREATE TABLE trans_item (id INTEGER, trans_id INTEGER, item_id INTEGER, repo_id INTEGER, action_id INTEGER,
  reason_id INTEGER, state_id INTEGER, PRIMARY KEY(id));
"""
_ACTIONS = ("Install", "Upgrade", "Downgrade", "Reinstall", "Remove")


def dnf4(rows: Sequence[Row], *more: str) -> bytes:
    """A database of dnf 4; what was done with an item is ``Remove`` or anything else."""
    return _written(_DNF4, rows, more, lambda word: 8 if word == "Remove" else 1, normal=False)


def dnf5(rows: Sequence[Row], *more: str) -> bytes:
    """A database of dnf 5."""
    return _written(_DNF5, rows, more, lambda word: _ACTIONS.index(word) + 1, normal=True)


def _written(schema: str, rows: Sequence[Row], more: Sequence[str], action: object, *, normal: bool) -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.executescript(schema)
    assert callable(action)
    items: dict[tuple[str, ...], int] = {}
    if normal:
        connection.executemany("INSERT INTO trans_item_action VALUES (?, ?)", enumerate(_ACTIONS, 1))
    names = _numbers(connection, "pkg_name", [row[0] for row in rows]) if normal else {}
    arches = _numbers(connection, "arch", [row[3] for row in rows]) if normal else {}
    repositories = {name: number for number, name in enumerate(dict.fromkeys(row[4] for row in rows), 1)}
    connection.executemany("INSERT INTO repo VALUES (?, ?)", [(n, name) for name, n in repositories.items()])
    for name, version, release, arch, repository, word in rows:
        item = items.setdefault((name, version, release, arch), len(items) + 1)
        values = (item, names.get(name, name), 0, version, release, arches.get(arch, arch))
        connection.execute("INSERT OR IGNORE INTO rpm VALUES (?, ?, ?, ?, ?, ?)", values)
        connection.execute(
            "INSERT INTO trans_item VALUES (NULL, 1, ?, ?, ?, 1, 1)",
            (item, repositories[repository], action(word)),
        )
    for statement in more:
        connection.execute(statement)
    connection.commit()
    data = connection.serialize()
    connection.close()
    return data


def _numbers(connection: sqlite3.Connection, table: str, texts: Sequence[str]) -> dict[str, int]:
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts), 1)}
    query = f"INSERT INTO {table} VALUES (?, ?)"
    connection.executemany(query, [(number, text) for text, number in numbers.items()])
    return numbers
