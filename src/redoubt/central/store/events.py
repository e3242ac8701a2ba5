"""Administration events: what an administrator should know of, each once, however often it happens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from uuid import UUID, uuid4

import msgspec

from redoubt.central.store import Store, one, several


class Level(Enum):
    """How much it matters."""

    INFO = "ADMINISTRATION_EVENT_LEVEL_INFO"
    SUCCESS = "ADMINISTRATION_EVENT_LEVEL_SUCCESS"
    WARNING = "ADMINISTRATION_EVENT_LEVEL_WARNING"
    ERROR = "ADMINISTRATION_EVENT_LEVEL_ERROR"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a resource. ``message`` and ``hint`` are a line each and hold no secret."""

    level: Level
    domain: str
    message: str
    hint: str = ""
    resource_type: str = ""
    resource_id: str = ""
    resource_name: str = ""


class Kept(Event, frozen=True, kw_only=True):
    """An event as it is kept."""

    id: UUID
    occurrences: int
    created_at: datetime
    last_at: datetime


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events; what is empty does not matter."""

    since: datetime | None = None
    until: datetime | None = None
    domains: Sequence[str] = ()
    resource_types: Sequence[str] = ()
    levels: Sequence[str] = ()


_COLUMNS = "id, level, domain, message, hint, resource_type, resource_id, resource_name, occurrences, created_at, last_at"
_WHERE = (
    " WHERE ($1::timestamptz IS NULL OR last_at >= $1) AND ($2::timestamptz IS NULL OR last_at <= $2)"
    " AND (cardinality($3::text[]) = 0 OR domain = ANY ($3))"
    " AND (cardinality($4::text[]) = 0 OR resource_type = ANY ($4))"
    " AND (cardinality($5::text[]) = 0 OR level = ANY ($5))"
)


class EventStore(Store):
    """Table ``administration_events``."""

    async def add(self, event: Event) -> None:
        """Add it, or count it once more where the same message about the same thing is there."""
        await self._pool.execute(
            "INSERT INTO administration_events"
            " (id, level, domain, message, hint, resource_type, resource_id, resource_name)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
            " ON CONFLICT (level, domain, resource_type, resource_id, message_hash)"
            " DO UPDATE SET occurrences = administration_events.occurrences + 1, last_at = now(), hint = excluded.hint",
            uuid4(),
            event.level.value,
            event.domain,
            event.message,
            event.hint,
            event.resource_type,
            event.resource_id,
            event.resource_name,
        )

    async def get(self, identifier: UUID) -> Kept | None:
        """One event."""
        statement = f"SELECT {_COLUMNS} FROM administration_events WHERE id = $1"  # noqa: S608
        return one(Kept, await self._pool.fetchrow(statement, identifier))

    async def find(self, wanted: Filter, offset: int, limit: int) -> list[Kept]:
        """Events, newest first."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM administration_events{_WHERE}"  # noqa: S608
            " ORDER BY last_at DESC, id OFFSET $6 LIMIT $7",
            *_values(wanted),
            offset,
            limit,
        )
        return several(Kept, rows)

    async def count(self, wanted: Filter) -> int:
        """How many there are."""
        statement = f"SELECT count(*) FROM administration_events{_WHERE}"  # noqa: S608
        return int(await self._pool.fetchval(statement, *_values(wanted)))


def _values(wanted: Filter) -> tuple[object, ...]:
    return wanted.since, wanted.until, list(wanted.domains), list(wanted.resource_types), list(wanted.levels)
