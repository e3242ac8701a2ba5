"""Who is given which roles of Kubernetes: bindings taken together by subject, cluster by cluster."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from redoubt.central.auth.caller import Caller
from redoubt.central.objects.looking import Looking
from redoubt.central.store import Pool
from redoubt.model.cluster import K8sRole, K8sRoleBinding, Subject


class Grants(msgspec.Struct, kw_only=True):
    """A subject of a cluster, and its roles. ``scoped_namespaces`` are those that ``scoped_roles`` hold in, one each."""

    id: str
    cluster: str
    cluster_name: str
    subject: Subject
    cluster_roles: list[K8sRole] = msgspec.field(default_factory=list)
    scoped_roles: list[K8sRole] = msgspec.field(default_factory=list)
    scoped_namespaces: list[str] = msgspec.field(default_factory=list)


async def granted(pool: Pool, caller: Caller, query: str = "") -> list[Grants]:
    """By cluster and name, out of the bindings that are found and the roles that ``caller`` may see. Raises ``InvalidArgument``."""
    roles = {
        (role.cluster_id, role.id): role async for role in Looking(pool, "role", K8sRole).every(caller, "")
    }
    found: dict[tuple[Any, ...], Grants] = {}
    async for binding in Looking(pool, "binding", K8sRoleBinding).every(caller, query):
        role = roles.get((binding.cluster_id, binding.role_id))
        for subject in binding.subjects:
            key = (binding.cluster_name, subject.name, subject.kind, subject.namespace, binding.cluster_id)
            mine = found.get(key)
            if mine is None:
                mine = found[key] = Grants(
                    id=_identifier(binding.cluster_id, subject),
                    cluster=binding.cluster_id,
                    cluster_name=binding.cluster_name,
                    subject=subject,
                )
            if role is not None and role not in mine.cluster_roles:
                if not binding.namespace:
                    mine.cluster_roles.append(role)
                elif (role, binding.namespace) not in zip(
                    mine.scoped_roles, mine.scoped_namespaces, strict=True
                ):
                    mine.scoped_roles.append(role)
                    mine.scoped_namespaces.append(binding.namespace)
    return [found[key] for key in sorted(found)]


def _identifier(cluster: str, subject: Subject) -> str:
    """A subject has none of its own."""
    text = f"{cluster}:{subject.kind}:{subject.namespace}:{subject.name}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
