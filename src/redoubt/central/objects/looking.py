"""Objects as callers ask for them, whatever the kind: found by a query, within what the caller may see, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from redoubt.central.auth.caller import Caller
from redoubt.central.auth.roles import Level, Resource
from redoubt.central.auth.scoping import visible
from redoubt.central.objects import query as queries
from redoubt.central.refusals import InvalidArgument, NotFound
from redoubt.central.store import Pool
from redoubt.central.store.objects import Found, ObjectStore, Where
from redoubt.model.cluster import KINDS
from redoubt.model.workload import Part

P = TypeVar("P", bound=Part)

#: Objects in one answer, unless somebody says otherwise; and at most.
_PAGE, _MOST = 1000, 10_000

#: Which permission each kind takes.
RESOURCES: dict[str, Resource] = {
    "deployment": Resource.DEPLOYMENT,
    "pod": Resource.DEPLOYMENT,
    "node": Resource.NODE,
    "namespace": Resource.NAMESPACE,
    "secret": Resource.SECRET,
    "serviceaccount": Resource.SERVICE_ACCOUNT,
    "role": Resource.K8S_ROLE,
    "binding": Resource.K8S_ROLE_BINDING,
    "networkpolicy": Resource.NETWORK_POLICY,
}


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which of those found. ``limit`` 0: as many as are usual."""

    limit: int = 0
    offset: int = 0
    field: str = ""
    reversed: bool = False


class Looking(Generic[P]):
    """Objects of one kind."""

    def __init__(self, pool: Pool, kind: str, struct: type[P]) -> None:
        assert KINDS[kind] is struct
        self._pool = pool
        self._store = ObjectStore(pool)
        self._kind = kind
        self._decoder = msgspec.json.Decoder(struct)

    async def one(self, caller: Caller, identifier: str) -> P:
        """By its identifier. Raises ``NotFound``, also where the caller may not see it."""
        found = await self._store.one(self._kind, identifier[:300], await self._seen(caller))
        if found is None:
            raise NotFound(f"there is no {self._kind} {identifier[:100]!r}")
        return self._read(found)

    async def page(self, caller: Caller, query: str, page: Page, within: UUID | None = None) -> list[P]:
        """Those found, of one cluster where it is given. Raises ``InvalidArgument``."""
        return [self._read(found) for found in await self.found(caller, query, page, within)]

    async def found(self, caller: Caller, query: str, page: Page, within: UUID | None = None) -> list[Found]:
        """The same as they are kept."""
        if not 0 <= page.limit <= _MOST or not 0 <= page.offset < 2**31:
            raise InvalidArgument(f"pagination.limit is at most {_MOST}, and pagination.offset not negative")
        order = queries.order(page.field, reverse=page.reversed)
        where = queries.where(self._kind, query, await self._seen(caller, within))
        return await self._store.page(self._kind, where, order, limit=page.limit or _PAGE, offset=page.offset)

    async def count(self, caller: Caller, query: str) -> int:
        """How many there are. Raises ``InvalidArgument``."""
        return await self._store.count(self._kind, queries.where(self._kind, query, await self._seen(caller)))

    async def every(self, caller: Caller, query: str) -> AsyncIterator[P]:
        """All. Raises ``InvalidArgument`` before the first."""
        where = queries.where(self._kind, query, await self._seen(caller))
        async for found in self._store.every(self._kind, where):
            yield self._read(found)

    async def _seen(self, caller: Caller, within: UUID | None = None) -> Where:
        resource = RESOURCES[self._kind]
        seen = await visible(self._pool, caller, resource)
        namespace = "" if resource.level is Level.CLUSTER else "o.namespace"
        text, values = seen.condition("o.cluster", namespace, 1)
        if within is not None:
            text, values = f"{text} AND o.cluster = ${len(values) + 1}", (*values, within)
        return Where(text, values)

    def _read(self, found: Found) -> P:
        """With the cluster's name as it is now."""
        part = self._decoder.decode(found.object)
        if "cluster_name" in part.__struct_fields__:
            part = msgspec.structs.replace(part, cluster_name=found.cluster_name)
        return part


def whole(value: object) -> Any:
    """A struct with all its fields, as the original's JSON has them: models leave out what has its default."""
    if isinstance(value, msgspec.Struct):
        return {
            field.encode_name: whole(getattr(value, field.name))
            for field in msgspec.structs.fields(type(value))
        }
    if isinstance(value, (tuple, list)):
        return [whole(each) for each in value]
    return value
