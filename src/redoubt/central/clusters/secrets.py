"""Cluster registration secrets: with one a new cluster comes, is given certificates of its own, and needs it no more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec

from redoubt.central.clusters.bundles import Bundles, checked_name
from redoubt.central.refusals import InvalidArgument
from redoubt.central.store import Pool
from redoubt.central.store.bundles import CRS, Bundle
from redoubt.central.store.registrations import Registration, RegistrationStore
from redoubt.wire import crs
from redoubt.wire.identity import ANY_CLUSTER, Service

#: How long one is good where nothing is said, and how many clusters may be said to come with it; the original's.
_GOOD = timedelta(days=1)
_MOST = 100


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A new one, and the Secret for ``kubectl``. That is kept nowhere."""

    secret: Bundle
    kubectl: str


class Secrets:
    """Registration secrets of this Central."""

    def __init__(self, pool: Pool, bundles: Bundles) -> None:
        self._bundles = bundles
        self._registrations = RegistrationStore(pool)

    async def generate(self, name: str, by: str, until: datetime | None = None, most: int = 0) -> Made:
        """A new one, good ``until`` then, or for a day; for ``most`` clusters, or any number.

        Raises ``InvalidArgument``, ``AlreadyExists``, and ``FailedPrecondition`` where there is no CA's key.
        """
        checked_name(name)
        if not 0 <= most <= _MOST:
            raise InvalidArgument(f"maxRegistrations is between 0 (any number) and {_MOST}")
        authority = await asyncio.to_thread(self._bundles.issuer.authority)
        identifier, now = uuid4(), datetime.now(UTC)
        ends = min(until or now + _GOOD, authority.expires)
        if ends <= now:
            raise InvalidArgument("it would have ended already")
        secret = Bundle(
            id=identifier,
            name=name,
            created_at=now,
            created_by=by,
            expires_at=ends,
            kind=CRS,
            max_registrations=most,
        )
        days = (ends - now) / timedelta(days=1)
        issued = await asyncio.to_thread(
            authority.issue, Service.REGISTRANT, ANY_CLUSTER, days=days, bundle_id=str(identifier)
        )
        await self._bundles.store.add(secret)
        registration = crs.Registration(
            authorities=(authority.trusted.decode(),),
            certificate=issued.certificate.decode(),
            key=issued.key.decode(),
        )
        return Made(secret=secret, kubectl=_kubectl(secret, registration))

    async def all(self) -> list[tuple[Bundle, list[Registration]]]:
        """Those that count, by name, with the clusters that came with each."""
        found = await self._bundles.store.all(CRS)
        came = await self._registrations.all([each.id for each in found])
        return [(each, [one for one in came if one.crs == each.id]) for each in found]

    async def revoke(self, ids: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
        """Revoke some: those that were, and those that were not, with the reason. Clusters that came with one stay."""
        revoked: list[str] = []
        refused: list[tuple[str, str]] = []
        for text in ids:
            try:
                identifier = UUID(text)
            except ValueError:
                refused.append((text, "not an identifier of a cluster registration secret"))
                continue
            if await self._bundles.store.revoke(identifier, CRS):
                revoked.append(text)
            else:
                refused.append((text, "there is no such cluster registration secret"))
        return revoked, refused


def _kubectl(secret: Bundle, registration: crs.Registration) -> str:
    who = f"at most {secret.max_registrations}" if secret.max_registrations else "any number of"
    return (
        f"# Cluster registration secret {secret.name!r} ({secret.id}), good until"
        f" {secret.expires_at:%Y-%m-%dT%H:%M:%SZ}, for {who} clusters.\n"
        "# It holds a private key: whoever has it can add a cluster. Keep it secret.\n"
        "apiVersion: v1\nkind: Secret\nmetadata:\n"
        f"  name: {crs.SECRET}\n"
        "  annotations:\n"
        f'    crs.platform.stackrox.io/name: "{secret.name}"\n'
        f'    crs.platform.stackrox.io/id: "{secret.id}"\n'
        f'    crs.platform.stackrox.io/created-at: "{secret.created_at:%Y-%m-%dT%H:%M:%SZ}"\n'
        f'    crs.platform.stackrox.io/expires-at: "{secret.expires_at:%Y-%m-%dT%H:%M:%SZ}"\n'
        "type: Opaque\nstringData:\n"
        f"  {crs.KEY}: {crs.written(registration)}\n"
    )
