"""Who is given which roles of Kubernetes: bindings taken together by subject, cluster by cluster."""

from __future__ import annotations

import base64
from collections.abc import Collection
from uuid import UUID

import msgspec

from redoubt.central.auth.caller import Caller
from redoubt.central.objects.looking import MOST, Looking, Page
from redoubt.central.refusals import InvalidArgument
from redoubt.central.store import Pool
from redoubt.model.cluster import K8sRole, K8sRoleBinding, Subject

#: Subjects in one answer, unless somebody says otherwise.
_PAGE = 1000
#: Names of a cluster and a subject, its kind and namespace, and the cluster's identifier.
_Key = tuple[str, str, str, str, str]


class Grants(msgspec.Struct, kw_only=True):
    """A subject of a cluster, and its roles. ``scoped_namespaces`` are those that ``scoped_roles`` hold in, one each."""

    id: str
    cluster: str
    cluster_name: str
    subject: Subject
    cluster_roles: list[K8sRole] = msgspec.field(default_factory=list)
    scoped_roles: list[K8sRole] = msgspec.field(default_factory=list)
    scoped_namespaces: list[str] = msgspec.field(default_factory=list)


async def granted(
    pool: Pool, caller: Caller, query: str = "", clusters: Collection[UUID] | None = None
) -> list[Grants]:
    """By cluster and name, out of the bindings that are found and the roles that ``caller`` may see.

    Those of ``clusters`` only, where they are named: all roles of a fleet are many. Raises ``InvalidArgument``.
    """
    found: dict[_Key, Grants] = {}
    for within in (None,) if clusters is None else clusters:
        await _gather(pool, caller, query, within, found)
    return [found[key] for key in sorted(found)]


async def people(pool: Pool, caller: Caller, query: str, page: Page) -> list[Grants]:
    """Users and groups of a page, by cluster and name; of all others no more than the name is held.

    Raises ``InvalidArgument``.
    """
    if not 0 <= page.limit <= MOST or not 0 <= page.offset < 2**31:
        raise InvalidArgument(f"pagination.limit is at most {MOST}, and pagination.offset not negative")
    keys: set[_Key] = set()
    async for binding in Looking(pool, "binding", K8sRoleBinding).every(caller, query):
        keys.update(_key(binding, each) for each in binding.subjects if each.kind in ("USER", "GROUP"))
    chosen = sorted(keys)[page.offset : page.offset + (page.limit or _PAGE)]
    found: dict[_Key, Grants] = {}
    for cluster in {key[-1] for key in chosen}:
        await _gather(pool, caller, query, UUID(cluster), found, frozenset(chosen))
    return [found[key] for key in chosen if key in found]


def _key(binding: K8sRoleBinding, subject: Subject) -> _Key:
    return binding.cluster_name, subject.name, subject.kind, subject.namespace, binding.cluster_id


async def _gather(
    pool: Pool,
    caller: Caller,
    query: str,
    within: UUID | None,
    found: dict[_Key, Grants],
    only: frozenset[_Key] | None = None,
) -> None:
    looking = Looking(pool, "role", K8sRole)
    roles = {(role.cluster_id, role.id): role async for role in looking.every(caller, "", within)}
    held: set[tuple[_Key, str, str]] = set()
    async for binding in Looking(pool, "binding", K8sRoleBinding).every(caller, query, within):
        role = roles.get((binding.cluster_id, binding.role_id))
        for subject in binding.subjects:
            key = _key(binding, subject)
            if only is not None and key not in only:
                continue
            mine = found.get(key)
            if mine is None:
                mine = found[key] = Grants(
                    id=_identifier(binding.cluster_id, subject),
                    cluster=binding.cluster_id,
                    cluster_name=binding.cluster_name,
                    subject=subject,
                )
            if role is None or not held.isdisjoint({(key, role.id, ""), (key, role.id, binding.namespace)}):
                continue
            held.add((key, role.id, binding.namespace))
            if not binding.namespace:
                mine.cluster_roles.append(role)
            else:
                mine.scoped_roles.append(role)
                mine.scoped_namespaces.append(binding.namespace)


def cluster_of(identifier: str) -> UUID | None:
    """The cluster of a subject by the subject's ``id``; None where it can be nobody's."""
    try:
        text = base64.urlsafe_b64decode(identifier + "=" * (-len(identifier) % 4))
        return UUID(text.split(b":", 1)[0].decode())
    except ValueError:
        return None


def _identifier(cluster: str, subject: Subject) -> str:
    """A subject has none of its own."""
    text = f"{cluster}:{subject.kind}:{subject.namespace}:{subject.name}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
