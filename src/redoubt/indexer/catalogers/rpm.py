"""rpm packages, out of any of the databases that rpm keeps: here the SQLite database of 4.16 and later.

It must not know how a header is built (``rpm_header``), how Berkeley DB (``rpm_bdb``) and ndb (``rpm_ndb``)
lay out theirs, or what a module stream means.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.indexer.catalogers import rpm_bdb, rpm_header, rpm_ndb
from redoubt.indexer.catalogers.fields import MAX_PACKAGES, Findings, clean, shown
from redoubt.indexer.catalogers.interface import Catalog, Content, Wanted
from redoubt.model import ProblemKind

if TYPE_CHECKING:
    import sqlite3

_FOLDERS = (b"usr/lib/sysimage/rpm", b"var/lib/rpm", b"usr/share/rpm")
_NAMES = (b"rpmdb.sqlite", b"rpmdb.sqlite-wal", b"Packages", b"Packages.db")
_SQLITE = b"SQLite format 3\0"
_WAL = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_PIECE = 1 << 20
_MAX_HEADER = rpm_header.MAX_BLOB
#: Steps of SQLite's machine that one database may cost, in thousands. A large one costs fifty.
_MAX_STEPS = 20_000
_PLAIN_TABLE = re.compile(rb"(?is)CREATE TABLE(?!.*\b(?:AS|GENERATED)\b)")


class RpmCataloger:
    """``rpmdb.sqlite``, ``Packages`` and ``Packages.db`` in the three folders where rpm keeps them."""

    name = "rpm"
    version = 3
    wanted = Wanted(
        names=frozenset(_NAMES),
        databases=tuple(
            f"{folder.decode()}/{name.decode()}" for folder in _FOLDERS for name in _NAMES if b"-" not in name
        ),
        max_size=512 << 20,
    )

    def accepts(self, path: bytes) -> bool:
        """Whether the file lies in one of rpm's folders, at the root or in a tree below it."""
        folder = path.rpartition(b"/")[0]
        return folder.endswith(_FOLDERS) and any(
            folder == known or folder.endswith(b"/" + known) for known in _FOLDERS
        )

    def catalog(self, path: str, content: Content) -> Catalog:
        """Every package but ``gpg-pubkey``, which is a key and not a package."""
        found = Findings()
        below = _below(path)
        head = content.read(0, rpm_bdb.HEAD)
        if head == _SQLITE:
            _database(content, found, below)
        elif rpm_bdb.recognised(head):
            for blob in rpm_bdb.headers(content, found):
                _package(blob, found, below)
        elif head.startswith(rpm_ndb.MAGIC):
            for blob in rpm_ndb.headers(content, found):
                _package(blob, found, below)
        elif head.startswith(_WAL):
            found.problem(
                ProblemKind.UNSUPPORTED,
                "changes that were never merged into the rpm database; packages in them are not seen",
            )
        elif not path.endswith("-wal") or head:
            found.damaged("not an rpm database" if head else "an empty file in place of the rpm database")
        return found.catalog()


def _below(path: str) -> bytes:
    """The root that a database is of: empty, or with a slash at its end."""
    folder = path.rpartition("/")[0].encode()
    return next((folder.removesuffix(known) for known in _FOLDERS if folder.endswith(known)), b"")


def _database(content: Content, found: Findings, below: bytes) -> None:
    import sqlite3

    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        if content.size < _claimed_size(content.read(0, 100)):
            found.damaged("the rpm database is cut off")
        connection.deserialize(_without_wal(content))
        _harden(connection)
        _check_table(connection)
        _rows(connection, content.size, found, below)
    except LimitExceeded as error:
        found.problem(ProblemKind.LIMIT, str(error))
    except (UnreadableInput, sqlite3.Error, MemoryError, OverflowError, UnicodeDecodeError) as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
            found.problem(ProblemKind.LIMIT, "the rpm database costs too much to read")
        else:
            found.damaged(f"the rpm database is damaged: {_reason(error)}")
    finally:
        connection.close()


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "text that is not text"  # SQLite quotes the file in its message, and Python cannot decode it
    return shown(str(error)) or "a value that is too large"


def _claimed_size(head: bytes) -> int:
    """The size that the file's header gives, in bytes (file format, sections 1.3.2 and 1.3.7); 0 if it is stale."""
    if len(head) < 100 or head[24:28] != head[92:96]:
        return 0
    page = int.from_bytes(head[16:18], "big")
    return int.from_bytes(head[28:32], "big") * (page if page > 1 else 65536)


def _without_wal(content: Content) -> bytearray:
    """The database, marked as one without a write-ahead log (file format, section 1.3.3): there is no place for one."""
    data = bytearray(content.size)
    for offset in range(0, content.size, _PIECE):
        piece = content.read(offset, _PIECE)
        data[offset : offset + len(piece)] = piece
    data[18:20] = b"\1\1"
    return data


def _harden(connection: sqlite3.Connection) -> None:
    """What SQLite advises for a database from a stranger ("Defense Against The Dark Arts")."""
    import sqlite3

    connection.text_factory = bytes
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_HEADER)
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000)
    connection.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, 100)
    connection.setlimit(sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 10)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    for pragma in ("trusted_schema=OFF", "query_only=ON", "cell_size_check=ON", "mmap_size=0"):
        connection.execute(f"PRAGMA {pragma}")
    steps = iter(range(_MAX_STEPS))
    connection.set_progress_handler(lambda: next(steps, None) is None, 1000)
    connection.set_authorizer(
        lambda action, *_: (
            sqlite3.SQLITE_OK
            if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ)
            else sqlite3.SQLITE_DENY
        )
    )


def _check_table(connection: sqlite3.Connection) -> None:
    """Raises ``UnreadableInput`` unless ``Packages`` is a plain table: anything else runs what the file says."""
    objects = connection.execute(
        "SELECT type, rootpage, sql FROM sqlite_master WHERE name = 'Packages'"
    ).fetchall()
    if len(objects) != 1:
        raise UnreadableInput("it has no table of packages")
    kind, root, sql = objects[0]
    plain = kind == b"table" and root and isinstance(sql, bytes) and _PLAIN_TABLE.match(sql)
    if not plain:
        raise UnreadableInput("its packages are not in a plain table")
    connection.execute("SELECT rowid, blob FROM Packages LIMIT 0")  # fails where they are not there


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
            found.damaged(f"row {row} of the rpm database: {_reason(error)}")
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
    name, version, release = clean(header.name), clean(header.version), clean(header.release)
    if name == "gpg-pubkey":
        return
    if not (name and version and release):
        found.damaged(f"a package ({shown(name) or 'no name'}) without a name, a version or a release")
        return
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
    if header.has_files:
        try:
            paths = rpm_header.files(header)
        except UnreadableInput as error:
            found.damaged(f"{shown(name)}: {error}")
        else:
            found.owns(f"rpm/{name}", paths, below=below, version=f"{header.epoch}:{short}")
