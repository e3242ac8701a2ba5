"""Policies between the API and the store: prepared, checked, kept; and compiled when they are asked.

What is compiled is kept until a policy changes, whichever replica changed it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import structlog

from redoubt.central.refusals import InvalidArgument, NotFound
from redoubt.central.store import Pool
from redoubt.central.store.policies import PolicyStore
from redoubt.policies import Policy, PolicySet
from redoubt.policies.defaults import default_policies
from redoubt.policies.validation import PolicyInvalid, Strictness, check, prepared

_log = structlog.get_logger("policies")


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one imported policy; ``error`` is empty where it was kept, ``kind`` the original's word for it."""

    policy: Policy
    error: str = ""
    kind: str = ""
    duplicate: str = ""
    reasons: str = ""
    notice: str = ""


class Policies:
    """All policies of this Central."""

    def __init__(self, pool: Pool) -> None:
        self._store = PolicyStore(pool)
        self._compiled: tuple[tuple[int, int], PolicySet] | None = None
        self._compiling = asyncio.Lock()

    async def start(self) -> None:
        """Default policies that are not there yet are added."""
        await self._store.add_missing(default_policies())

    async def stop(self) -> None:
        """Nothing works in the background."""

    async def compiled(self) -> PolicySet:
        """The policies as they are now."""
        async with self._compiling:
            revision = await self._store.revision()
            if self._compiled is None or self._compiled[0] != revision:
                made = await asyncio.to_thread(PolicySet, await self._store.all())
                for refused in made.refused:
                    _log.error("policy cannot be asked", policy=refused.policy.id, reason=refused.reason)
                self._compiled = (revision, made)
            return self._compiled[1]

    async def all(self) -> list[Policy]:
        """By name."""
        return await self._store.all()

    async def get(self, identifier: str) -> Policy:
        """Raises ``NotFound``."""
        found = await self._store.get(identifier)
        if found is None:
            raise NotFound(f"there is no policy {identifier[:80]}")
        return found

    async def add(self, policy: Policy, *, strict: bool = False) -> Policy:
        """A new one; its identifier is chosen here. Raises ``InvalidArgument`` and ``AlreadyExists``."""
        if policy.id:
            raise InvalidArgument("a new policy's identifier is chosen by Central; leave it out")
        kept = _checked(policy, Strictness(variables=strict, no_from=True))
        kept = msgspec.structs.replace(kept, id=str(uuid4()), is_default=False, **_UNLOCKED, **_now())
        await self._store.add(kept)
        return kept

    async def change(self, identifier: str, policy: Policy) -> Policy:
        """The whole policy. What a default policy asks for cannot be changed. Raises ``NotFound`` and ``InvalidArgument``."""
        there = await self.get(identifier)
        # A policy that was kept before is not read more strictly than it was.
        known = {(group.field_name, value.value) for group in there.groups() for value in group.values}
        news = {
            (group.field_name, value.value) for group in policy.groups() for value in group.values
        } - known
        kept = _checked(policy, Strictness(no_from=any(name == "Dockerfile Line" for name, _ in news)))
        _check_locked(there, kept)
        kept = msgspec.structs.replace(
            kept,
            id=there.id,
            is_default=there.is_default,
            criteria_locked=there.criteria_locked,
            mitre_vectors_locked=there.mitre_vectors_locked,
            **_now(),
        )
        if not await self._store.change(kept):
            raise NotFound(f"there is no policy {identifier[:80]}")
        return kept

    async def recategorise(self, old: str, new: str) -> int:
        """Give a category another name in all policies that have it; in how many."""
        number = 0
        for each in await self._store.all():
            if old in each.categories:
                names = tuple(dict.fromkeys(new if name == old else name for name in each.categories))
                number += await self._store.change(msgspec.structs.replace(each, categories=names, **_now()))
        return number

    async def switch(self, identifier: str, *, disabled: bool) -> None:
        """Off or on. Raises ``NotFound``."""
        there = await self.get(identifier)
        await self._store.change(msgspec.structs.replace(there, disabled=disabled, **_now()))

    async def delete(self, identifier: str) -> None:
        """Whatever is not there is deleted already. Raises ``InvalidArgument`` for a default policy."""
        there = await self._store.get(identifier)
        if there is None:
            return
        if there.is_default:
            raise InvalidArgument("a default policy cannot be deleted; disable it")
        await self._store.delete(identifier)

    async def exported(self, identifiers: Sequence[str]) -> list[Policy]:
        """In the order asked for. Raises ``InvalidArgument`` naming those that are not there."""
        found = await self._store.several(identifiers)
        missing = [each for each in identifiers if each not in found]
        if missing:
            raise InvalidArgument(f"no such policies: {', '.join(each[:80] for each in missing[:20])}")
        return [found[each] for each in identifiers]

    async def imported(self, policies: Sequence[Policy], *, overwrite: bool) -> list[Imported]:
        """Kept with their identifiers, as policies of one's own. What is wrong with one does not keep the others out."""
        return [await self._import(policy, overwrite=overwrite) for policy in policies]

    async def _import(self, policy: Policy, *, overwrite: bool) -> Imported:
        kept = prepared(policy)
        try:
            check(kept)
            if len(kept.id) > _LONGEST_ID or not kept.id.isprintable():
                raise PolicyInvalid((f"an identifier has at most {_LONGEST_ID} printable characters",))
        except PolicyInvalid as error:
            return Imported(policy=policy, error="Invalid policy", kind="invalid_policy", reasons=str(error))
        notice = ""
        if kept.notifiers:
            # There are no notifiers here yet, so none of theirs is ours.
            kept = msgspec.structs.replace(kept, notifiers=())
            notice = "Notification options have been removed from this policy."
        kept = msgspec.structs.replace(kept, id=kept.id or str(uuid4()), is_default=False, **_UNLOCKED)
        for each in await self._store.put(kept, overwrite=overwrite):
            same = "id" if each.id == kept.id else "name"
            kind = f"duplicate_system_policy_{same}" if each.is_default else f"duplicate_{same}"
            owner = "system policy" if each.is_default else "policy"
            return Imported(
                policy=kept,
                error=f"{owner} with {same} {(each.id if same == 'id' else each.name)!r} already exists",
                kind=kind,
                duplicate=each.name,
            )
        return Imported(policy=kept, notice=notice)


#: Identifiers are UUIDs, and a policy that comes from elsewhere keeps the one that it has.
_LONGEST_ID = 200
_UNLOCKED = {"criteria_locked": False, "mitre_vectors_locked": False}


def _now() -> dict[str, str]:
    return {"last_updated": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}


def _checked(policy: Policy, strictness: Strictness) -> Policy:
    kept = prepared(policy)
    try:
        check(kept, strictness)
    except PolicyInvalid as error:
        raise InvalidArgument(str(error)) from None
    if kept.notifiers:
        raise InvalidArgument(f"notifier {kept.notifiers[0][:80]} does not exist")
    return kept


def _check_locked(there: Policy, kept: Policy) -> None:
    if there.criteria_locked and (there.policy_sections, there.name) != (kept.policy_sections, kept.name):
        raise InvalidArgument("the name and criteria of this policy are locked; clone it to change them")
    if there.mitre_vectors_locked and there.mitre_attack_vectors != kept.mitre_attack_vectors:
        raise InvalidArgument("the MITRE ATT&CK vectors of this policy are locked; clone it to change them")
