"""dnf's history: the repository that each installed package was taken from.

Two SQLite databases: libdnf's ``swdb`` of dnf 4, and dnf 5's transaction history. Of a package that was installed more than once the last time counts. It must not know what a
repository's name means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redoubt.errors import LimitExceeded
from redoubt.indexer.catalogers import sqlite
from redoubt.indexer.catalogers.fields import MAX_FIELD, MAX_PACKAGES, Findings, clean
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.indexer.origins import Origin

if TYPE_CHECKING:
    import sqlite3

_PLACES = ("var/lib/dnf/history.sqlite", "usr/lib/sysimage/libdnf5/transaction_history.sqlite")
_LONGEST = 1 << 20
#: dnf 4's number, and dnf 5's word, for a package that went away.
_REMOVED = 8
_REMOVE = b"Remove"

#: What dnf and the installer write where no repository was involved: a file, or whatever was there before.
_NO_REPOSITORY = ("@", "/", "anaconda")

#: Name, version and architecture → repository.
_Origins = dict[tuple[str, str, str], str]
_Rows = dict[int, tuple[object, ...]]


class DnfCataloger:
    """The databases of the image itself; no packages come of them."""

    name = "dnf"
    version = 1
    wanted = Wanted(
        names=frozenset(place.rpartition("/")[2].encode() for place in _PLACES),
        databases=_PLACES,
        max_size=256 << 20,
    )

    def accepts(self, path: bytes) -> bool:
        """Whether it is one of the places where dnf keeps its history."""
        return path in (place.encode() for place in _PLACES)

    def catalog(self, path: str, content: Content) -> Catalog:
        """Where packages came from. One whose repository is not told is left out."""
        found = Findings()
        origins: _Origins = {}
        if content.read(0, 16) == sqlite.MAGIC:
            with sqlite.opened(content, found, "dnf's history", longest=_LONGEST) as connection:
                if "trans_item_action" in sqlite.tables(connection):
                    _dnf5(connection, origins)
                else:
                    _dnf4(connection, origins)
        elif content.size:
            found.damaged("not an SQLite database")
        found.origins = tuple(Origin("rpm", *package, repository) for package, repository in origins.items())
        return found.catalog()


def _dnf4(connection: sqlite3.Connection, origins: _Origins) -> None:
    items = _table(connection, "trans_item", "item_id", "repo_id", "action")
    gone = {row for row, values in items.items() if values[2] == _REMOVED}
    packages = _table(connection, "rpm", "item_id", "name", "version", "release", "arch")
    named = {values[0]: values[1:] for values in packages.values()}
    _join(items, gone, named, _table(connection, "repo", "repoid"), origins)


def _dnf5(connection: sqlite3.Connection, origins: _Origins) -> None:
    items = _table(connection, "trans_item", "item_id", "repo_id", "action_id")
    actions = _table(connection, "trans_item_action", "name")
    removing = {row for row, (word,) in actions.items() if word == _REMOVE}
    gone = {row for row, values in items.items() if values[2] in removing}
    names, arches = _table(connection, "pkg_name", "name"), _table(connection, "arch", "name")
    named: dict[object, tuple[object, ...]] = {}
    packages = _table(connection, "rpm", "item_id", "name_id", "version", "release", "arch_id")
    for item, name, version, release, arch in packages.values():
        named[item] = (_of(names, name), version, release, _of(arches, arch))
    _join(items, gone, named, _table(connection, "repo", "repoid"), origins)


def _join(
    items: _Rows,
    gone: set[int],
    named: dict[object, tuple[object, ...]],
    repositories: _Rows,
    origins: _Origins,
) -> None:
    for row in sorted(items):
        item, repository, _ = items[row]
        if row in gone or item not in named:
            continue
        texts = [_text(value) for value in (*named[item], _of(repositories, repository))]
        if all(texts):
            name, version, release, arch, repoid = texts
            if not repoid.startswith(_NO_REPOSITORY):
                origins[name, f"{version}-{release}", arch] = repoid


def _table(connection: sqlite3.Connection, name: str, *columns: str) -> _Rows:
    """Row number → values. The numbers of these tables are their keys (``INTEGER PRIMARY KEY``)."""
    sqlite.require_table(connection, name, *columns)
    limit = MAX_PACKAGES + 1
    query = f"SELECT rowid, {', '.join(columns)} FROM {name} LIMIT {limit}"  # noqa: S608  our own words
    rows: _Rows = {}
    for row, *values in connection.execute(query):
        rows[row] = tuple(values)
        if len(rows) == limit:
            raise LimitExceeded(f"more than {MAX_PACKAGES:,} rows in {name} of dnf's history")
    return rows


def _of(rows: _Rows, row: object) -> object:
    return rows[row][0] if isinstance(row, int) and row in rows else b""


def _text(value: object) -> str:
    return clean(value)[:MAX_FIELD] if isinstance(value, bytes) else ""
