"""Init bundles: the CA and certificates that the services of a new cluster come with, issued and revoked.

They name no cluster, but the bundle (``O``), which is what can be revoked. Forms are the original's: Helm values, and Secrets
for ``kubectl``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import msgspec

from redoubt.central.clusters.issuing import Issuer
from redoubt.central.notices import Notices, Remembered
from redoubt.central.refusals import InvalidArgument, PermissionDenied
from redoubt.central.store import Pool
from redoubt.central.store.bundles import TOPIC, Bundle, BundleStore, Used
from redoubt.wire.authority import Issued
from redoubt.wire.identity import ANY_CLUSTER, NAMESPACE, Service

#: Days that they are good for.
DAYS = 365

#: The services of a cluster: what Helm values call them, and the Secret that each looks into.
_SERVICES: Mapping[Service, tuple[str, str]] = {
    Service.ADMISSION_CONTROL: ("admissionControl", "admission-control"),
    Service.COLLECTOR: ("collector", "collector"),
    Service.SENSOR: ("sensor", "sensor"),
}
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """A new bundle in both forms, as text. Kept nowhere."""

    bundle: Bundle
    helm: str
    kubectl: str


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that was not revoked, why, and the clusters that use it."""

    id: str
    error: str
    impacted: Sequence[Used] = ()


class Bundles:
    """Init bundles of this Central. ``ca`` is the folder of the CA with its key; None where this Central issues none.

    ``days``: how long certificates are good that clusters get after they came. Whether a secret for registration counts is asked here too.
    """

    def __init__(self, pool: Pool, notices: Notices, ca: Path | None, days: float = DAYS) -> None:
        self.store = BundleStore(pool)
        self.issuer = Issuer(ca, days)
        self._counts: Remembered[str, bool] = Remembered(notices, TOPIC)

    async def check(self, bundle: str) -> None:
        """Raises ``PermissionDenied`` where a certificate came with a bundle that was revoked, or that is none of ours."""
        if bundle and not await self._counts.get(bundle, lambda: self._known(bundle)):
            raise PermissionDenied(
                "the certificate's init bundle or registration secret was revoked; install the cluster's services with another"
            )

    async def generate(self, name: str, by: str) -> Issue:
        """A new one. Raises ``InvalidArgument``, ``AlreadyExists``, and ``FailedPrecondition`` where there is no CA's key."""
        checked_name(name)
        authority = await asyncio.to_thread(self.issuer.authority)
        identifier, now = uuid4(), datetime.now(UTC)

        def issue() -> dict[Service, Issued]:
            return {
                service: authority.issue(service, ANY_CLUSTER, days=DAYS, bundle_id=str(identifier))
                for service in _SERVICES
            }

        bundle = Bundle(
            id=identifier,
            name=name,
            created_at=now,
            created_by=by,
            expires_at=min(now + timedelta(days=DAYS), authority.expires),
        )
        issued = await asyncio.to_thread(issue)
        await self.store.add(bundle)
        ca = authority.trusted.decode()
        return Issue(bundle=bundle, helm=_helm(bundle, ca, issued), kubectl=_kubectl(bundle, ca, issued))

    async def revoke(self, ids: Sequence[str], confirmed: Sequence[str]) -> tuple[list[str], list[Refusal]]:
        """Revoke bundles: those that were, and those that were not. Clusters that use one have to be confirmed, by identifier."""
        revoked: list[str] = []
        refused: list[Refusal] = []
        for text in ids:
            try:
                identifier = UUID(text)
            except ValueError:
                refused.append(Refusal(id=text, error="not an identifier of an init bundle"))
                continue
            impacted = await self.store.used([identifier])
            if {str(each.id) for each in impacted} - set(confirmed):
                error = "clusters use it, and not all of them are confirmed"
                refused.append(Refusal(id=text, error=error, impacted=impacted))
            elif await self.store.revoke(identifier):
                revoked.append(text)
            else:
                refused.append(Refusal(id=text, error="there is no such init bundle"))
        self._counts.forget()
        return revoked, refused

    async def ca_config(self) -> str:
        """Helm values with the CA alone. Raises ``FailedPrecondition``."""
        authority = await asyncio.to_thread(self.issuer.authority)
        return _HEAD_CA + _pem("ca:\n  cert: |\n", authority.trusted.decode(), 4)

    async def _known(self, bundle: str) -> bool:
        try:
            return await self.store.counts(UUID(bundle))
        except ValueError:
            return False


def checked_name(name: str) -> str:
    """A name that an init bundle or a registration secret may have. Raises ``InvalidArgument``."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument("the name has 1 to 128 letters, digits, '.', '_' and '-'")
    return name


_HEAD_CA = "# The CA of Central, as Helm values of the secured cluster's services.\n"


def _helm(bundle: Bundle, ca: str, issued: Mapping[Service, Issued]) -> str:
    text = (
        f"# Init bundle {bundle.name!r} ({bundle.id}), good until {bundle.expires_at:%Y-%m-%d}.\n"
        "# It holds private keys: whoever has it can add a cluster. Keep it secret.\n"
    )
    text += _pem("ca:\n  cert: |\n", ca, 4)
    for service, (name, _) in _SERVICES.items():
        text += _pem(f"{name}:\n  serviceTLS:\n    cert: |\n", issued[service].certificate.decode(), 6)
        text += _pem("    key: |\n", issued[service].key.decode(), 6)
    return text


def _kubectl(bundle: Bundle, ca: str, issued: Mapping[Service, Issued]) -> str:
    documents = []
    for service, (_, name) in _SERVICES.items():
        text = (
            "apiVersion: v1\nkind: Secret\nmetadata:\n"
            f"  name: {name}-tls\n  namespace: {NAMESPACE}\n"
            "  labels:\n    app.kubernetes.io/name: stackrox\n"
            "  annotations:\n"
            f'    init-bundle.stackrox.io/name: "{bundle.name}"\n'
            f'    init-bundle.stackrox.io/id: "{bundle.id}"\n'
            f'    init-bundle.stackrox.io/created-at: "{bundle.created_at:%Y-%m-%dT%H:%M:%SZ}"\n'
            f'    init-bundle.stackrox.io/expires-at: "{bundle.expires_at:%Y-%m-%dT%H:%M:%SZ}"\n'
            "type: Opaque\nstringData:\n"
        )
        text += _pem("  ca.pem: |\n", ca, 4)
        text += _pem(f"  {name}-cert.pem: |\n", issued[service].certificate.decode(), 4)
        text += _pem(f"  {name}-key.pem: |\n", issued[service].key.decode(), 4)
        documents.append(text)
    return "---\n".join(documents)


def _pem(head: str, pem: str, blanks: int) -> str:
    return head + "".join(f"{' ' * blanks}{line}\n" for line in pem.strip().splitlines())
