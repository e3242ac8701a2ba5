"""``/v1/administration/events``: what an administrator should know of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, QueryParameter

from redoubt.central.api.given import Given
from redoubt.central.auth.declare import allow
from redoubt.central.auth.roles import Access, Resource
from redoubt.central.refusals import NotFound
from redoubt.central.store.events import Filter, Kept

_READ = allow(Resource.ADMINISTRATION, Access.READ)


class EventResource(msgspec.Struct, frozen=True, rename="camel"):
    """What it happened to."""

    type: str
    id: str
    name: str


class AdministrationEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that happened, once or several times."""

    id: str
    type: str
    level: str
    message: str
    hint: str
    domain: str
    resource: EventResource
    num_occurrences: str
    last_occurred_at: datetime
    created_at: datetime


class EventAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """An event."""

    event: AdministrationEvent


class EventList(msgspec.Struct, frozen=True, rename="camel"):
    """Events, newest first."""

    events: list[AdministrationEvent]


class EventCount(msgspec.Struct, frozen=True, rename="camel"):
    """How many there are."""

    count: int


From: TypeAlias = Annotated[datetime | None, QueryParameter(name="filter.from")]
Until: TypeAlias = Annotated[datetime | None, QueryParameter(name="filter.until")]
Domains: TypeAlias = Annotated[list[str] | None, QueryParameter(name="filter.domain")]
ResourceTypes: TypeAlias = Annotated[list[str] | None, QueryParameter(name="filter.resourceType")]
Levels: TypeAlias = Annotated[list[str] | None, QueryParameter(name="filter.level")]


class EventController(Controller):
    """Events."""

    path = "/v1"
    tags = ("Administration events",)

    @get("/administration/events", opt=_READ, summary="Events")
    async def all(
        self,
        services: Given,
        since: From = None,
        until: Until = None,
        domains: Domains = None,
        types: ResourceTypes = None,
        levels: Levels = None,
        offset: Annotated[int, QueryParameter(name="pagination.offset", ge=0, le=1_000_000)] = 0,
        limit: Annotated[int, QueryParameter(name="pagination.limit", ge=0, le=1000)] = 0,
    ) -> EventList:
        """Newest first; without a limit, a thousand."""
        wanted = _filter(since, until, domains, types, levels)
        found = await services.auth.events.find(wanted, offset, limit or 1000)
        return EventList([_event(one) for one in found])

    @get("/administration/events/{id:uuid}", opt=_READ, summary="An event")
    async def one(self, services: Given, id: FromPath[UUID]) -> EventAnswer:  # noqa: A002
        """By its identifier."""
        found = await services.auth.events.get(id)
        if found is None:
            raise NotFound(f"there is no event {id}")
        return EventAnswer(_event(found))

    @get("/count/administration/events", opt=_READ, summary="How many events there are")
    async def count(
        self,
        services: Given,
        since: From = None,
        until: Until = None,
        domains: Domains = None,
        types: ResourceTypes = None,
        levels: Levels = None,
    ) -> EventCount:
        """Of those that the filter lets through."""
        wanted = _filter(since, until, domains, types, levels)
        return EventCount(await services.auth.events.count(wanted))


def _filter(
    since: datetime | None,
    until: datetime | None,
    domains: list[str] | None,
    types: list[str] | None,
    levels: list[str] | None,
) -> Filter:
    return Filter(
        since=since, until=until, domains=domains or (), resource_types=types or (), levels=levels or ()
    )


def _event(found: Kept) -> AdministrationEvent:
    return AdministrationEvent(
        id=str(found.id),
        type="ADMINISTRATION_EVENT_TYPE_GENERIC",
        level=found.level.value,
        message=found.message,
        hint=found.hint,
        domain=found.domain,
        resource=EventResource(found.resource_type, found.resource_id, found.resource_name),
        num_occurrences=str(found.occurrences),
        last_occurred_at=found.last_at,
        created_at=found.created_at,
    )
