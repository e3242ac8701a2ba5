"""Roles and bindings, and what service accounts may do by them. Pure."""

from __future__ import annotations

from collections import defaultdict

from redoubt.model.cluster import K8sRole
from redoubt.sensor.conversion.objects import SeenBinding
from redoubt.sensor.graph.permissions import Account, RoleKey, bound_role, levels, role_key


class Rights:
    """All roles and bindings. Levels are weighed anew when they are asked for after a change."""

    def __init__(self) -> None:
        self._roles: dict[RoleKey, K8sRole] = {}
        self._bindings: dict[str, SeenBinding] = {}
        self._of_role: dict[RoleKey, set[str]] = defaultdict(set)
        self._levels: dict[Account, str] = {}
        self._changed = False

    def level(self, account: Account) -> str:
        """What a service account may do."""
        return self._levels.get(account, "NONE")

    def role_of(self, binding: str) -> str:
        """The identifier of the role that a binding is for; empty where there is no such role."""
        role = self._roles.get(bound_role(self._bindings[binding]))
        return "" if role is None else role.id

    def put_role(self, role: K8sRole) -> set[str]:
        """A role came or changed. Bindings that are for it."""
        self._roles[role_key(role)] = role
        self._changed = True
        return self._of_role.get(role_key(role), set())

    def lose_role(self, role: K8sRole) -> set[str]:
        """A role went. Bindings that are for it."""
        self._roles.pop(role_key(role), None)
        self._changed = True
        return self._of_role.get(role_key(role), set())

    def put_binding(self, identifier: str, seen: SeenBinding) -> None:
        """A binding came or changed."""
        self.lose_binding(identifier)
        self._bindings[identifier] = seen
        self._of_role[bound_role(seen)].add(identifier)

    def lose_binding(self, identifier: str) -> None:
        """A binding went, if there was one."""
        before = self._bindings.pop(identifier, None)
        if before is not None:
            self._of_role[bound_role(before)].discard(identifier)
        self._changed = True

    def weigh(self) -> list[Account]:
        """Service accounts that have another level than when this was asked last."""
        if not self._changed:
            return []
        self._changed = False
        before, self._levels = self._levels, levels(self._roles, self._bindings.values())
        return [
            account
            for account in before.keys() | self._levels.keys()
            if before.get(account, "NONE") != self._levels.get(account, "NONE")
        ]
