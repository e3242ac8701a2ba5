"""SQLite databases from strangers: opened in memory, hardened, and read from plain tables only.

What SQLite advises for such files ("Defense Against The Dark Arts"), and limits on what one may cost. It must
not know what any table means. SQLite itself is imported where it is used: most images have no database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from redoubt.errors import LimitExceeded, UnreadableInput
from redoubt.indexer.catalogers import sqlite_log
from redoubt.indexer.catalogers.fields import Findings, shown
from redoubt.indexer.catalogers.interface import Content
from redoubt.model import ProblemKind

if TYPE_CHECKING:
    import sqlite3

MAGIC = b"SQLite format 3\0"
_PIECE = 1 << 20
#: Steps of SQLite's machine that one database may cost, in thousands. A large one costs fifty.
_MAX_STEPS = 20_000
_PLAIN_TABLE = re.compile(rb"(?is)CREATE TABLE(?!.*\b(?:AS|GENERATED)\b)")


@contextmanager
def opened(
    content: Content, found: Findings, what: str, *, longest: int, log: Content | None = None
) -> Iterator[sqlite3.Connection]:
    """A connection to the database in ``content``, texts as bytes, values up to ``longest`` bytes.

    ``log`` is the write-ahead log beside it: one that cannot be read is a problem, and the database is read without.
    ``what`` is what messages call it. Whatever goes wrong inside of the block, ``UnreadableInput`` and
    ``LimitExceeded`` among it, becomes a problem of ``found``, and the block ends there.
    """
    import sqlite3

    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        if log is None and content.size < _claimed_size(content.read(0, 100)):
            found.damaged(f"{what} is cut off")
        connection.deserialize(_whole(content, log, found))
        _harden(connection, longest)
        yield connection
    except LimitExceeded as error:
        found.problem(ProblemKind.LIMIT, str(error))
    except (UnreadableInput, sqlite3.Error, MemoryError, OverflowError, UnicodeDecodeError) as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
            found.problem(ProblemKind.LIMIT, f"{what} costs too much to read")
        else:
            found.damaged(f"{what} is damaged: {reason(error)}")
    finally:
        connection.close()


def tables(connection: sqlite3.Connection) -> frozenset[str]:
    """The names of what the database holds."""
    rows = connection.execute("SELECT name FROM sqlite_master LIMIT 1000").fetchall()
    return frozenset(name.decode("utf-8", "replace") for (name,) in rows if isinstance(name, bytes))


def require_table(connection: sqlite3.Connection, name: str, *columns: str) -> None:
    """Raise ``UnreadableInput`` unless ``name`` is a plain table: anything else runs what the file says.

    Raises an error of SQLite's where it lacks one of ``columns``.
    """
    objects = connection.execute(
        "SELECT type, rootpage, sql FROM sqlite_master WHERE name = ?", (name,)
    ).fetchall()
    if len(objects) != 1:
        raise UnreadableInput(f"it has no table {name}")
    kind, root, sql = objects[0]
    if not (kind == b"table" and root and isinstance(sql, bytes) and _PLAIN_TABLE.match(sql)):
        raise UnreadableInput(f"{name} is not a plain table")
    connection.execute(f"SELECT rowid, {', '.join(columns)} FROM {name} LIMIT 0")  # noqa: S608  the caller's words  # noqa: S608  names are the caller's


def reason(error: Exception) -> str:
    """An error in words that may be shown."""
    if isinstance(error, UnicodeDecodeError):
        return "text that is not text"  # SQLite quotes the file in its message, and Python cannot decode it
    return shown(str(error)) or "a value that is too large"


def _claimed_size(head: bytes) -> int:
    """The size that the file's header gives, in bytes (file format, sections 1.3.2 and 1.3.7); 0 if it is stale."""
    if len(head) < 100 or head[24:28] != head[92:96]:
        return 0
    page = int.from_bytes(head[16:18], "big")
    return int.from_bytes(head[28:32], "big") * (page if page > 1 else 65536)


def _whole(content: Content, log: Content | None, found: Findings) -> bytearray:
    """The database with what is in its log, marked as one without (file format, section 1.3.3): there is no place for it."""
    data = bytearray(content.size)
    for offset in range(0, content.size, _PIECE):
        piece = content.read(offset, _PIECE)
        data[offset : offset + len(piece)] = piece
    if log is not None:
        try:
            sqlite_log.apply(data, log)
        except LimitExceeded as error:
            found.problem(ProblemKind.LIMIT, str(error))
        except UnreadableInput as error:
            found.damaged(str(error))
    data[18:20] = b"\1\1"
    return data


def _harden(connection: sqlite3.Connection, longest: int) -> None:
    import sqlite3

    connection.text_factory = bytes
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, longest)
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
