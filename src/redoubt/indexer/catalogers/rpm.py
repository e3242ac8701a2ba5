"""rpm packages, out of any of the databases that rpm keeps: here the SQLite database of 4.16 and later.

It must not know how a header is built (``rpm_header``), how Berkeley DB (``rpm_bdb``) and ndb (``rpm_ndb``)
lay out theirs, or what a module stream means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.indexer.catalogers import rpm_bdb, rpm_header, rpm_ndb, sqlite, sqlite_log
from redoubt.indexer.catalogers.fields import MAX_PACKAGES, Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.indexer.catalogers.rpm_header import RpmHeader
from redoubt.model import ProblemKind

if TYPE_CHECKING:
    import sqlite3

_FOLDERS = (b"usr/lib/sysimage/rpm", b"var/lib/rpm", b"usr/share/rpm")
_NAMES = (b"rpmdb.sqlite", b"rpmdb.sqlite-wal", b"Packages", b"Packages.db")
_LOG = b"-wal"
_MAX_HEADER = rpm_header.MAX_BLOB


class RpmCataloger:
    """``rpmdb.sqlite``, ``Packages`` and ``Packages.db`` in the three folders where rpm keeps them."""

    name = "rpm"
    version = 4
    wanted = Wanted(
        names=frozenset(_NAMES),
        databases=tuple(
            f"{folder.decode()}/{name.decode()}" for folder in _FOLDERS for name in _NAMES if b"-" not in name
        ),
        max_size=512 << 20,
        beside=_LOG,
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the file lies in one of rpm's folders, at the root or in a tree below it."""
        folder = path.rpartition(b"/")[0]
        return folder.endswith(_FOLDERS) and any(
            folder == known or folder.endswith(b"/" + known) for known in _FOLDERS
        )

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package but ``gpg-pubkey``, which is a key and not a package."""
        return self._catalog(path, content, None)

    def catalog_pair(self, path: str, content: Content, beside: Content) -> Catalog:
        """The same, of an SQLite database with what its write-ahead log holds."""
        return self._catalog(path, content, beside)

    def _catalog(self, path: str, content: Content, log: Content | None) -> Catalog:
        found = Findings()
        below = _below(path)
        head = content.read(0, rpm_bdb.HEAD)
        if head == sqlite.MAGIC:
            _database(content, found, below, log)
        elif rpm_bdb.recognised(head):
            for blob in rpm_bdb.headers(content, found):
                _package(blob, found, below)
        elif head.startswith(rpm_ndb.MAGIC):
            for blob in rpm_ndb.headers(content, found):
                _package(blob, found, below)
        elif head.startswith(sqlite_log.MAGIC):
            found.problem(
                ProblemKind.UNSUPPORTED,
                "changes to an rpm database that is not in this layer; packages in them are not seen",
            )
        elif not path.endswith(_LOG.decode()) or head:
            found.damaged("not an rpm database" if head else "an empty file in place of the rpm database")
        return found.catalog()


def _below(path: str) -> bytes:
    """The root that a database is of: empty, or with a slash at its end."""
    folder = path.rpartition("/")[0].encode()
    return next((folder.removesuffix(known) for known in _FOLDERS if folder.endswith(known)), b"")


def _database(content: Content, found: Findings, below: bytes, log: Content | None) -> None:
    size = content.size + (log.size if log else 0)
    with sqlite.opened(content, found, "the rpm database", longest=_MAX_HEADER, log=log) as connection:
        sqlite.require_table(connection, "Packages", "blob")
        _rows(connection, size, found, below)


def _rows(connection: sqlite3.Connection, size: int, found: Findings, below: bytes) -> None:
    """Read row after row. A row that cannot be read is a problem; the next is read."""
    import sqlite3

    row = -(1 << 63)
    left = size
    for _ in range(MAX_PACKAGES):
        # Row numbers only ever go up, so pages that are hung up in a circle come to an end.
        following = connection.execute(
            "SELECT rowid FROM Packages WHERE rowid > ? LIMIT 1", (row,)
        ).fetchone()
        if following is None or found.full:
            return
        row = following[0]
        try:
            (blob,) = connection.execute("SELECT blob FROM Packages WHERE rowid = ?", (row,)).fetchone() or (
                None,
            )
        except (sqlite3.DatabaseError, MemoryError, UnicodeDecodeError) as error:
            found.damaged(f"row {row} of the rpm database: {sqlite.reason(error)}")
            continue
        _package(blob, found, below)
        left -= len(blob) if isinstance(blob, (bytes, str)) else 0
        if left < 0:
            raise UnreadableInput("its rows share pages")
    raise LimitExceeded(f"more than {MAX_PACKAGES:,} rows in the rpm database; the rest are not read")


def _package(blob: object, found: Findings, below: bytes) -> None:
    if not isinstance(blob, bytes):
        found.damaged("a row of the rpm database is not a header")
        return
    try:
        header = rpm_header.read(blob)
    except UnreadableInput as error:
        found.damaged(str(error))
        return
    if (name := add(header, found)) and header.has_files:
        try:
            paths = rpm_header.files(header)
        except UnreadableInput as error:
            found.damaged(f"{shown(name)}: {error}")
        else:
            full = f"{header.epoch}:{clean(header.version)}-{clean(header.release)}"
            found.owns(f"rpm/{name}", paths, below=below, version=full)


def add(header: RpmHeader, found: Findings) -> str:
    """List the package of a header; its name, or nothing if it is none."""
    name, version, release = clean(header.name), clean(header.version), clean(header.release)
    if name == "gpg-pubkey":
        return ""
    if not (name and version and release):
        found.damaged(f"a package ({shown(name) or 'no name'}) without a name, a version or a release")
        return ""
    short = f"{version}-{release}"
    source_name, source_version = rpm_header.source(clean(header.source_rpm))
    found.add(
        "rpm",
        name,
        f"{header.epoch}:{short}" if header.epoch else short,
        arch=clean(header.arch),
        source_name=source_name,
        source_version=source_version if source_version != short else "",
        module=":".join(clean(header.modularity_label).split(":")[:2]),
        vendor=clean(header.vendor),
    )
    return name
