"""Objects as callers ask for them, whatever the kind: found by a query, within what the caller may see, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from redoubt.central import search
from redoubt.central.auth.caller import Caller
from redoubt.central.auth.reach import reach
from redoubt.central.auth.roles import Resource
from redoubt.central.refusals import InvalidArgument, NotFound
from redoubt.central.search import Column, Kind
from redoubt.central.store import Pool
from redoubt.central.store.objects import Found, ObjectStore, Where
from redoubt.model.cluster import KINDS
from redoubt.model.workload import Part

P = TypeVar("P", bound=Part)

#: Objects in one answer, unless somebody says otherwise; and at most.
_PAGE, MOST = 1000, 10_000

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

_EVERY = {
    "cluster": Column("c.name"),
    "cluster id": Column("o.cluster::text"),
    "namespace": Column("o.namespace"),
}


#: What a deployment's risk comes to; nothing where nobody looked yet.
_RISK = "(SELECT {} FROM risks r WHERE (r.kind, r.cluster, r.subject) = ('deployment', o.cluster, o.id))"


def _fields(name: str, *more: str) -> dict[str, Column]:
    """What is called by ``name``, by its id and its label."""
    return {
        **_EVERY,
        name: Column("o.name"),
        f"{name} id": Column("o.id"),
        f"{name} label": Column("o.labels", Kind.LABELS),
        "created": Column("o.created", Kind.TIME),
        **{each: Column("o.images", Kind.TEXTS) for each in more},
    }


#: Fields that are searched by, by the kind of object.
FIELDS: dict[str, dict[str, Column]] = {
    "deployment": _fields("deployment", "image", "image sha")
    | {
        "deployment risk priority": Column(_RISK.format("priority"), Kind.NUMBER),
        "deployment risk score": Column(_RISK.format("score"), Kind.NUMBER),
    },
    "pod": _fields("pod") | {"pod name": Column("o.name"), "pod uid": Column("o.id")},
    "node": _fields("node"),
    "namespace": _fields("namespace"),
    "secret": _fields("secret"),
    "serviceaccount": _fields("service account"),
    "role": _fields("role"),
    "binding": _fields("role binding"),
    "networkpolicy": _fields("network policy"),
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

    async def one(self, caller: Caller, identifier: str, within: UUID | None = None) -> P:
        """By its identifier. Raises ``NotFound``, also where the caller may not see it."""
        where = await self._where(caller, within=within)
        found = None if "\x00" in identifier else await self._store.one(self._kind, identifier[:300], where)
        if found is None:
            raise NotFound(f"there is no {self._kind} {identifier[:100]!r}")
        return self._read(found)

    async def page(self, caller: Caller, query: str, page: Page, within: UUID | None = None) -> list[P]:
        """Those found, of one cluster where it is given. Raises ``InvalidArgument``."""
        return [self._read(found) for found in await self.found(caller, query, page, within)]

    async def found(self, caller: Caller, query: str, page: Page, within: UUID | None = None) -> list[Found]:
        """The same as they are kept."""
        if not 0 <= page.limit <= MOST or not 0 <= page.offset < 2**31:
            raise InvalidArgument(f"pagination.limit is at most {MOST}, and pagination.offset not negative")
        order = self._order(page)
        where = await self._where(caller, query, within)
        return await self._store.page(self._kind, where, order, limit=page.limit or _PAGE, offset=page.offset)

    async def within(self, caller: Caller, cluster: UUID, namespace: str) -> list[P]:
        """All of a namespace."""
        where = await self._where(caller, within=cluster)
        text = f"{where.text} AND o.namespace = ${len(where.values) + 1}"
        every = self._store.every(self._kind, Where(text, (*where.values, namespace)))
        return [self._read(found) async for found in every]

    async def labels(self, caller: Caller) -> dict[str, set[str]]:
        """Labels and their values."""
        found: dict[str, set[str]] = {}
        for key, value in await self._store.labels(self._kind, await self._where(caller), limit=MOST):
            found.setdefault(key, set()).add(value)
        return found

    async def numbers(self, namespaces: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], dict[str, int]]:
        """How many objects of each kind are in namespaces."""
        return await self._store.numbers(namespaces)

    async def count(self, caller: Caller, query: str) -> int:
        """How many there are. Raises ``InvalidArgument``."""
        return await self._store.count(self._kind, await self._where(caller, query))

    async def every(self, caller: Caller, query: str, within: UUID | None = None) -> AsyncIterator[P]:
        """All, of one cluster where it is given. Raises ``InvalidArgument`` before the first."""
        where = await self._where(caller, query, within)
        async for found in self._store.every(self._kind, where):
            yield self._read(found)

    async def _where(self, caller: Caller, query: str = "", within: UUID | None = None) -> Where:
        asked = search.parse(query)
        seen = await reach(self._pool, caller, RESOURCES[self._kind])
        values: list[object] = []
        conditions = [seen.condition(values, "o.cluster", "o.namespace")]
        conditions += search.where(asked, FIELDS[self._kind], values)
        if within is not None:
            values.append(within)
            conditions.append(f"o.cluster = ${len(values)}")
        return Where(" AND ".join(conditions), tuple(values))

    def _order(self, page: Page) -> str:
        """By a field, or by name. Raises ``InvalidArgument``."""
        field = page.field.strip().lower()
        column = FIELDS[self._kind].get(field, None if field else Column("o.name"))
        if column is None or column.kind not in (Kind.TEXT, Kind.TIME, Kind.NUMBER):
            raise InvalidArgument(
                f"pagination.sortOption.field {page.field[:80]!r} is not one to sort by here"
            )
        return f"{column.sql} {'DESC' if page.reversed else 'ASC'} NULLS LAST, o.cluster, o.id"

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
