"""Categories of policies: those that come with Central, those that people made, and those that policies have.

A policy names its categories. One that nobody made has an identifier by its name, until somebody gives it another name.
"""

from __future__ import annotations

from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import asyncpg
import msgspec

from redoubt.central.policies.keeping import Policies
from redoubt.central.refusals import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from redoubt.central.store import Pool, Store

#: Those that come with Central: the original's names.
DEFAULTS = (
    *("Anomalous Activity", "Cryptocurrency Mining", "DevOps Best Practices", "Docker CIS"),
    *("File Activity Monitoring", "Kubernetes", "Kubernetes Events", "Network Tools", "Package Management"),
    *("Privileges", "Security Best Practices", "Supply Chain Security", "System Modification"),
    *("Vulnerability Management", "Zero Trust"),
)


class Category(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``v1.PolicyCategory``."""

    id: str
    name: str
    is_default: bool


class Categories(Store):
    """Table ``policy_categories``, and what policies say."""

    def __init__(self, pool: Pool, policies: Policies) -> None:
        super().__init__(pool)
        self._policies = policies

    async def all(self) -> list[Category]:
        """By name."""
        rows = await self._pool.fetch("SELECT id, name FROM policy_categories")
        found = {name.casefold(): _of(name, is_default=True) for name in DEFAULTS}
        for row in rows:
            found.setdefault(
                row["name"].casefold(), Category(id=str(row["id"]), name=row["name"], is_default=False)
            )
        for policy in await self._policies.all():
            for name in policy.categories:
                found.setdefault(name.casefold(), _of(name, is_default=False))
        return sorted(found.values(), key=lambda each: each.name)

    async def get(self, identifier: UUID) -> Category:
        """Raises ``NotFound``."""
        for each in await self.all():
            if each.id == str(identifier):
                return each
        raise NotFound(f"there is no category {identifier}")

    async def add(self, name: str) -> Category:
        """Raises ``AlreadyExists``."""
        await self._free(name)
        identifier = uuid4()
        await self._put(identifier, name)
        return Category(id=str(identifier), name=name, is_default=False)

    async def rename(self, identifier: UUID, name: str) -> Category:
        """Here, and in all policies that have it. Raises ``NotFound``, ``AlreadyExists``, and ``InvalidArgument`` for a default one."""
        there = await self.get(identifier)
        if there.is_default:
            raise InvalidArgument(f"the category {there.name!r} comes with Central and keeps its name")
        await self._free(name, but=there.id)
        await self._put(identifier, name)
        await self._policies.recategorise(there.name, name)
        return msgspec.structs.replace(there, name=name)

    async def delete(self, identifier: UUID) -> None:
        """Raises ``NotFound``, ``InvalidArgument`` for a default one, and ``FailedPrecondition`` for one that policies have."""
        there = await self.get(identifier)
        if there.is_default:
            raise InvalidArgument(f"the category {there.name!r} comes with Central and stays")
        having = [each.name for each in await self._policies.all() if there.name in each.categories]
        if having:
            raise FailedPrecondition(
                f"{len(having)} policies have the category {there.name!r}: {', '.join(having[:5])};"
                " give them another one first"
            )
        await self._pool.execute("DELETE FROM policy_categories WHERE id = $1", identifier)

    async def _free(self, name: str, but: str = "") -> None:
        for each in await self.all():
            if each.name.casefold() == name.casefold() and each.id != but:
                raise AlreadyExists(f"there is a category {each.name!r} already")

    async def _put(self, identifier: UUID, name: str) -> None:
        try:
            await self._pool.execute(
                "INSERT INTO policy_categories (id, name) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = excluded.name",
                identifier,
                name,
            )
        except asyncpg.UniqueViolationError:
            raise AlreadyExists(f"there is a category {name!r} already") from None


def _of(name: str, *, is_default: bool) -> Category:
    return Category(
        id=str(uuid5(NAMESPACE_URL, f"redoubt:policy-category:{name}")), name=name, is_default=is_default
    )
