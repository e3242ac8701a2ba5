"""Certificates of the services of `redoubt up`: made at the first start, and made anew well before they end.

The services read their folders again by themselves, so nothing is started anew for it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from redoubt.wire.authority import Authority
from redoubt.wire.identity import Service

#: Before its end a certificate is made anew, and of the CA's own end is warned.
BEFORE = timedelta(days=60)
SERVICES = (Service.CENTRAL, Service.SCANNER_V4_INDEXER, Service.SCANNER_V4_MATCHER)


class Leaves:
    """Below ``data``: the CA in ``ca``, and a folder for each service. ``names`` are what this machine is called."""

    def __init__(self, data: Path, names: list[str]) -> None:
        self._data = data
        self._names = names

    def folder(self, service: Service) -> Path:
        """Where a service finds its certificate."""
        return self._data / "certificates" / service.host

    def renew(self, now: datetime | None = None) -> list[Service]:
        """Make anew what ends soon, names too little, or trusts other CAs than count now; whose that were.

        Raises ``RedoubtError`` and ``OSError``; what was made is whole.
        """
        now = now or datetime.now(UTC)
        authority = Authority.create(self._data / "ca")
        due = [service for service in SERVICES if not self._good(authority, service, now)]
        for service in due:
            authority.issue(service, hosts=self._names, now=now).write(self.folder(service))
        return due

    def ends_with_its_authority(self, now: datetime | None = None) -> datetime | None:
        """When the CA ends, where that is soon: its certificates do not last longer, and somebody has to change it."""
        expires = Authority.create(self._data / "ca").expires
        return expires if expires <= (now or datetime.now(UTC)) + BEFORE else None

    def _good(self, authority: Authority, service: Service, now: datetime) -> bool:
        folder = self.folder(service)
        with suppress(OSError, ValueError, x509.ExtensionNotFound):
            found = x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())
            known = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            return (
                found.not_valid_after_utc > min(now + BEFORE, authority.expires - timedelta(seconds=1))
                and (folder / "key.pem").exists()
                and (folder / "ca.pem").read_bytes() == authority.trusted
                and {str(name.value) for name in known}.issuperset(self._names)
            )
        return False
