"""The audit log: one row a call that may have changed something."""

from __future__ import annotations

from datetime import datetime

import msgspec

from redoubt.central.store import Store, affected, several


class Entry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who called what, from where, and how it ended. ``route`` is the path's template, ``path`` what was called."""

    id: int = 0
    at: datetime | None = None
    kind: str
    caller: str
    name: str
    roles: list[str]
    source: str
    method: str
    route: str
    path: str
    status: int
    request: str


class AuditStore(Store):
    """Table ``audit_log``."""

    async def add(self, entry: Entry) -> None:
        """Add an entry; its number and time are the database's."""
        await self._pool.execute(
            "INSERT INTO audit_log (kind, caller, name, roles, source, method, route, path, status, request)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            entry.kind,
            entry.caller,
            entry.name,
            entry.roles,
            entry.source,
            entry.method,
            entry.route,
            entry.path,
            entry.status,
            entry.request,
            timeout=5,
        )

    async def latest(self, before: int, limit: int) -> list[Entry]:
        """At most ``limit`` entries with a smaller number than ``before``, newest first."""
        rows = await self._pool.fetch(
            "SELECT id, at, kind, caller, name, roles, source, method, route, path, status, request"
            " FROM audit_log WHERE id < $1 ORDER BY id DESC LIMIT $2",
            before,
            limit,
        )
        return several(Entry, rows)

    async def forget(self, days: int) -> int:
        """Drop entries that are older; how many they were."""
        tag = await self._pool.execute(
            "DELETE FROM audit_log WHERE at < now() - make_interval(days => $1)", days
        )
        return affected(tag)
