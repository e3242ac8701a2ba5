"""Roles by their names, as they are now, and the rule that nobody gives more than he has."""

from __future__ import annotations

from collections.abc import Iterable

from redoubt.central.auth.caller import Caller
from redoubt.central.auth.roles import Resolved, Role, excess, resolve
from redoubt.central.notices import Notices, Remembered
from redoubt.central.refusals import PermissionDenied
from redoubt.central.store.access import TOPIC, AccessStore, Everything


class Roles:
    """What roles stand for. Kept for a few seconds, and dropped when a replica changes something."""

    def __init__(self, store: AccessStore, notices: Notices) -> None:
        self.store = store
        self._kept: Remembered[str, Everything] = Remembered(notices, TOPIC)
        #: What was resolved out of which state; another state is another object.
        self._resolved: tuple[Everything | None, dict[str, Resolved]] = (None, {})

    async def everything(self) -> Everything:
        """All roles, permission sets and scopes."""
        return await self._kept.get("", self.store.everything)

    async def resolved(self, names: Iterable[str]) -> list[Resolved]:
        """The roles of these names; those that are not there (any more) are left out."""
        found = await self.everything()
        if self._resolved[0] is not found:
            self._resolved = (found, {})
        known = self._resolved[1]
        several = []
        for name in names:
            if (role := known.get(name)) is None and name in found.roles:
                role = known[name] = resolved_in(found, found.roles[name])
            if role is not None:
                several.append(role)
        return several

    def changed(self) -> None:
        """Something was changed here: read anew, without waiting for the notice."""
        self._kept.forget()


def resolved_in(found: Everything, role: Role) -> Resolved:
    """A role with what it stands for in ``found``."""
    return resolve(
        role, found.permission_sets.get(role.permission_set_id), found.scopes.get(role.access_scope_id)
    )


def no_more_than(caller: Caller, wanted: Iterable[Resolved]) -> None:
    """Raises ``PermissionDenied`` where ``wanted`` gives what the caller does not have."""
    beyond = excess(caller.roles, wanted)
    if beyond:
        more = f" and {len(beyond) - 3} more" if len(beyond) > 3 else ""
        raise PermissionDenied(f"that would give more than you have: {'; '.join(beyond[:3])}{more}")
