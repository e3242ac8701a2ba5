"""The definitions of all replicas: what their shelves shall be, whose bundles they accept, and the files as large objects.

One replica at a time changes the shelf, as long as its session holds the lock; what it changes is one transaction of
that very session, so that who has lost the lock can change nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from redoubt.central.notices import tell
from redoubt.central.refusals import Aborted
from redoubt.central.store import Connection, Store, several
from redoubt.definitions.shelf import State
from redoubt.errors import DatabaseError
from redoubt.postgres import large
from redoubt.postgres.locks import held

TOPIC = "definitions"
STREAM, UPSTREAM = "stream", "upstream"
#: Held by the replica that changes the shelf: "defs" as a number.
LOCK = 0x64656673
#: Held by the replica that finds out whether it is the first.
_FIRST = LOCK + 1


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a snapshot that is on the shelf. ``stamp`` in nanoseconds since 1970."""

    digest: str
    kind: str
    content: int
    size: int
    sha256: str
    stamp: int


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the database says of the shelf."""

    generation: int
    trusted: int
    state: State
    files: tuple[Row, ...]
    trust: dict[str, bytes]


class NewFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that becomes a large object."""

    digest: str
    kind: str
    path: Path


def _step(_name: str) -> None:
    """Mark a step of writing. Tests put a function here that kills the process at a named step."""


class SharedDefinitions(Store):
    """Tables ``definitions_shelf``, ``definitions_files`` and ``definitions_trust``."""

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[Connection | None]:
        """The session that alone may change the shelf until the end of the block; None where another one is at it."""
        async with self._pool.acquire() as connection, held(connection, LOCK) as has:
            yield connection if has else None

    @asynccontextmanager
    async def beginning(self) -> AsyncIterator[bool]:
        """Whether this session alone may find out, until the end of the block, if anything was ever kept here."""
        async with self._pool.acquire() as connection, held(connection, _FIRST) as has:
            yield has

    async def under_way(self) -> bool:
        """Whether a replica is changing the shelf."""
        return bool(
            await self._pool.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = $1"
                " AND objsubid = 1 AND granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
                LOCK,
            )
        )

    async def generation(self) -> int:
        """It is another one after each change; 0 where nothing was ever kept here."""
        return int(await self._pool.fetchval("SELECT generation FROM definitions_shelf") or 0)

    async def read(self) -> Said | None:
        """All of it but the contents; None where nothing was ever kept here."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            row = await connection.fetchrow("SELECT generation, trusted, state FROM definitions_shelf")
            if row is None:
                return None
            files = await connection.fetch(
                "SELECT digest, kind, content, size, sha256, stamp FROM definitions_files"
            )
            trust = await connection.fetch("SELECT path, data FROM definitions_trust")
        try:
            state = msgspec.json.decode(row["state"], type=State)
        except msgspec.MsgspecError as error:
            raise DatabaseError(f"the definitions in the database cannot be read ({error})") from None
        if state.format != 1:
            raise DatabaseError("the definitions in the database are a newer Redoubt's; use that one")
        return Said(
            generation=row["generation"],
            trusted=row["trusted"],
            state=state,
            files=tuple(several(Row, files)),
            trust={one["path"]: one["data"] for one in trust},
        )

    async def fetch(self, row: Row, path: Path) -> bool:
        """Write a file's contents to the new file ``path``; False where the file is no longer kept.

        Raises ``DatabaseError`` where they are not those that were put there, ``OSError`` where the disk is full.
        """
        find = "SELECT content FROM definitions_files WHERE content = $1"
        what = f"the {row.kind} of {row.digest[:19]}…"
        return await large.fetch(self._pool, find, row.content, path, row.sha256, what)

    async def first(
        self, connection: Connection, state: State, files: Sequence[NewFile], trust: Mapping[str, bytes]
    ) -> None:
        """Keep a replica's shelf here, where nothing was ever kept. ``connection`` is that of ``alone``."""
        async with connection.transaction():
            await connection.execute(
                "INSERT INTO definitions_shelf (state) VALUES ($1)", msgspec.json.encode(state).decode()
            )
            await _put(connection, files)
            await _put_trust(connection, trust, {})
            await tell(connection, TOPIC)

    async def change(
        self,
        connection: Connection,
        state: State,
        files: Sequence[NewFile],
        *,
        trusted: int,
        trust: tuple[Mapping[str, bytes], Mapping[str, bytes]],
    ) -> None:
        """Make ``state`` what every shelf shall be, with new ``files``. ``connection`` is that of ``alone``.

        ``trust`` is what was accepted before and after. Raises ``Aborted`` where somebody changed that meanwhile
        (it is no longer what ``trusted`` counted): the bundle was verified with what counted before.
        """
        async with connection.transaction():
            _step("writing")
            await _put(connection, files)
            _step("written")
            tag = await connection.execute(
                "UPDATE definitions_shelf SET state = $1, generation = generation + 1 WHERE trusted = $2",
                msgspec.json.encode(state).decode(),
                trusted,
            )
            if tag != "UPDATE 1":
                raise Aborted("the trusted roots were changed meanwhile; upload it again")
            await connection.execute(
                "DELETE FROM definitions_files WHERE digest <> ALL ($1)", list(state.entries)
            )
            await _put_trust(connection, trust[1], trust[0])
            await tell(connection, TOPIC)
            _step("before-commit")
        _step("committed")

    async def change_trust(self, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> None:
        """Accept and no longer accept what differs; what others changed besides stays."""
        async with self._pool.acquire() as connection, connection.transaction():
            await _put_trust(connection, after, before)
            await tell(connection, TOPIC)


async def _put(connection: Connection, files: Sequence[NewFile]) -> None:
    for file in files:
        if await connection.fetchval(
            "SELECT true FROM definitions_files WHERE digest = $1 AND kind = $2", file.digest, file.kind
        ):
            continue
        made = await large.write(connection, file.path)
        _step(f"wrote-{file.kind}")
        await connection.execute(
            "INSERT INTO definitions_files (digest, kind, content, size, sha256, stamp)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            file.digest,
            file.kind,
            made.oid,
            made.size,
            made.sha256,
            file.path.stat().st_mtime_ns,
        )


async def _put_trust(connection: Connection, after: Mapping[str, bytes], before: Mapping[str, bytes]) -> None:
    gone = [path for path in before if path not in after]
    new = {path: data for path, data in after.items() if before.get(path) != data}
    if not gone and not new:
        return
    await connection.execute("DELETE FROM definitions_trust WHERE path = ANY ($1)", gone)
    await connection.executemany(
        "INSERT INTO definitions_trust (path, data) VALUES ($1, $2)"
        " ON CONFLICT (path) DO UPDATE SET data = excluded.data",
        list(new.items()),
    )
    await connection.execute(
        "UPDATE definitions_shelf SET trusted = trusted + 1, generation = generation + 1"
    )
