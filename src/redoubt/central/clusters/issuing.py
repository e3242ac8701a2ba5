"""Certificates for the services of a cluster, signed for keys that never leave it. Knows the CA's folder, and no stream.

Who asks was asked by whoever calls: here a request counts for the cluster that is named by the caller, whatever it says of itself.
"""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from uuid import UUID

import structlog
from cryptography.hazmat.primitives.asymmetric import ec

from redoubt.central.refusals import FailedPrecondition, InvalidArgument
from redoubt.errors import RedoubtError
from redoubt.wire import csr
from redoubt.wire.authority import DAYS, Authority
from redoubt.wire.identity import Service
from redoubt.wire.proto.redoubt.v1 import sensors_pb2 as pb

#: The services that a cluster has.
SERVICES = frozenset(
    {Service.SENSOR, Service.ADMISSION_CONTROL, Service.COLLECTOR, Service.SCANNER_V4_INDEXER}
)
#: Seconds between two looks at the CA's folder.
_LOOK = 5.0
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

_log = structlog.get_logger("certificates")


class Issuer:
    """``ca`` is the folder of the CA with its key; None where this Central issues nothing. ``days`` is how long a certificate is good."""

    def __init__(self, ca: Path | None, days: float = DAYS) -> None:
        self._ca = ca
        self._days = days
        self._trusted = b""
        self._looked = 0.0

    async def authorities(self) -> bytes:
        """The CAs that are to be trusted, in PEM; nothing where none can be said. At most five seconds old."""
        if self._ca is None:
            return b""
        now = time.monotonic()
        if not self._looked or now - self._looked >= _LOOK:
            self._looked = now
            try:
                self._trusted = (await asyncio.to_thread(self.authority)).trusted
            except RedoubtError:
                self._trusted = b""  # said where somebody asks for a certificate
        return self._trusted

    def authority(self) -> Authority:
        """The CA as it is now; blocking. Raises ``FailedPrecondition``."""
        if self._ca is None:
            raise FailedPrecondition(
                "this Central has no CA to issue certificates with; set ca to the folder with ca.pem and ca-key.pem"
            )
        try:
            return Authority.load(self._ca)
        except (RedoubtError, OSError):
            raise FailedPrecondition(
                "the CA's certificate or key cannot be read; see Central's setting ca"
            ) from None

    async def issue(self, cluster: UUID, asked: pb.CertificateRequests) -> pb.Certificates:
        """What was asked for, or why not: all of it or nothing."""
        identifier = asked.id[:100]
        try:
            return await asyncio.to_thread(self._issued, cluster, asked, identifier)
        except RedoubtError as error:
            _log.warning("certificates were not issued", cluster=str(cluster), reason=str(error))
            return pb.Certificates(id=identifier, failure=str(error))

    def _issued(self, cluster: UUID, asked: pb.CertificateRequests, identifier: str) -> pb.Certificates:
        keys = requested(asked, str(cluster))
        authority = self.authority()
        issued = [
            pb.Certificates.One(
                service=service.value,
                certificate=authority.sign(
                    service, key, str(cluster), days=self._days, namespace=asked.namespace
                ),
            )
            for service, key in keys.items()
        ]
        _log.info("certificates were issued", cluster=str(cluster), services=sorted(keys))
        return pb.Certificates(id=identifier, issued=issued, authorities=authority.trusted)


def requested(asked: pb.CertificateRequests, cluster: str) -> dict[Service, ec.EllipticCurvePublicKey]:
    """The keys that certificates are asked for. Raises ``InvalidArgument``, and as ``csr.key_of``."""
    if not _NAMESPACE.fullmatch(asked.namespace):
        raise InvalidArgument("certificates are for services of a namespace; its name is none of Kubernetes'")
    if not 0 < len(asked.wanted) <= len(SERVICES):
        raise InvalidArgument(f"a request is for 1 to {len(SERVICES)} certificates")
    keys: dict[Service, ec.EllipticCurvePublicKey] = {}
    for each in asked.wanted:
        service = next((one for one in SERVICES if one.value == each.service), None)
        if service is None:
            raise InvalidArgument(f"{each.service[:60]!r} is no service that a cluster has")
        if service in keys:
            raise InvalidArgument(f"{service} is asked for twice")
        keys[service] = csr.key_of(each.request, service, cluster)
    return keys
