"""Who a service is: what its certificate says of it, and which services there are. Opens no connection.

The subject has the form that StackRox gives it, so that certificates of either can be told by the same eyes:
``CN = "<SERVICE_TYPE>: <identifier>"``, ``OU = <SERVICE_TYPE>``, and ``O`` is the id of the init bundle that the
certificate came with, if it came with one. A certificate of another form names nobody.
"""

from __future__ import annotations

import enum
import ssl
import time
from collections.abc import Mapping
from uuid import UUID

import msgspec

#: The namespace that services live in unless somebody says otherwise.
NAMESPACE = "stackrox"
#: In place of a cluster's id: a certificate of an init bundle, which any cluster may come with.
ANY_CLUSTER = str(UUID(int=0))
_LONGEST = 256


class Service(enum.StrEnum):
    """What a certificate's bearer is. ``SCANNER_V4`` is an Indexer and a Matcher in one."""

    CENTRAL = "CENTRAL_SERVICE"
    CENTRAL_DB = "CENTRAL_DB_SERVICE"
    SCANNER = "SCANNER_SERVICE"
    SCANNER_DB = "SCANNER_DB_SERVICE"
    SCANNER_V4 = "SCANNER_V4_SERVICE"
    SCANNER_V4_INDEXER = "SCANNER_V4_INDEXER_SERVICE"
    SCANNER_V4_MATCHER = "SCANNER_V4_MATCHER_SERVICE"
    SCANNER_V4_DB = "SCANNER_V4_DB_SERVICE"
    SENSOR = "SENSOR_SERVICE"
    COLLECTOR = "COLLECTOR_SERVICE"
    ADMISSION_CONTROL = "ADMISSION_CONTROL_SERVICE"
    REGISTRANT = "REGISTRANT_SERVICE"

    @property
    def host(self) -> str:
        """What it is called in DNS: ``scanner-v4-indexer``."""
        return self.value.removesuffix("_SERVICE").lower().replace("_", "-")

    @property
    def label(self) -> str:
        """Its identifier where there is but one of it: ``Scanner V4 Indexer``."""
        words = self.value.removesuffix("_SERVICE").split("_")
        return " ".join(word if word in {"DB", "V4"} else word.capitalize() for word in words)

    def hosts(self, namespace: str = NAMESPACE) -> tuple[str, ...]:
        """The names that its certificate is valid for in a cluster."""
        names = [self.host] + (["sensor-webhook"] if self is Service.SENSOR else [])
        return tuple(f"{name}.{namespace}{end}" for name in names for end in ("", ".svc"))


#: Who may act as an Indexer, and who as a Matcher.
INDEXERS = frozenset({Service.SCANNER_V4_INDEXER, Service.SCANNER_V4})
MATCHERS = frozenset({Service.SCANNER_V4_MATCHER, Service.SCANNER_V4})


class Identity(msgspec.Struct, frozen=True):
    """A service, as a certificate of our CA names it.

    ``identifier`` is a cluster's id, or the service's title where there is but one. ``serial`` is the
    certificate's, in hex; ``expires`` is when it ends and ``begins`` since when it counts, in seconds since 1970, 0 for not said.
    """

    service: Service
    identifier: str
    bundle_id: str = ""
    serial: str = ""
    expires: int = 0
    begins: int = 0

    @property
    def of_cluster(self) -> bool:
        """Whether it is a service of a cluster that is looked after: such have the cluster's id in place of a title."""
        try:
            return str(UUID(self.identifier)) == self.identifier.lower()
        except ValueError:
            return False

    def valid(self, now: float | None = None) -> bool:
        """Whether the certificate has not ended since the connection was made."""
        return not self.expires or (time.time() if now is None else now) < self.expires

    def __str__(self) -> str:
        return f"{self.service}: {self.identifier}"


def from_certificate(certificate: Mapping[str, object] | None) -> Identity | None:
    """Who a verified certificate (as ``ssl``'s ``getpeercert()`` tells it) names; None where it names no service.

    The caller has had the chain verified: this only reads the subject.
    """
    if not certificate:
        return None
    subject = _subject(certificate.get("subject"))
    units, names, bundles = (
        subject.get(key, []) for key in ("organizationalUnitName", "commonName", "organizationName")
    )
    if len(units) != 1 or len(names) != 1 or len(bundles) > 1:
        return None
    kind, separator, identifier = names[0].partition(": ")
    bundle = bundles[0] if bundles else ""
    if kind != units[0] or not separator or not _decent(identifier) or (bundle and not _decent(bundle)):
        return None
    try:
        service = Service(kind)
        begins, expires = (
            int(ssl.cert_time_to_seconds(str(certificate[key]))) if key in certificate else 0
            for key in ("notBefore", "notAfter")
        )
    except ValueError:
        return None
    return Identity(
        service, identifier, bundle, str(certificate.get("serialNumber", "")).lower(), expires, begins
    )


def _subject(names: object) -> dict[str, list[str]]:
    """``getpeercert()`` has a tuple a relative name, and in each a tuple an attribute."""
    found: dict[str, list[str]] = {}
    for relative in names if isinstance(names, tuple) else ():
        for key, value in relative:
            found.setdefault(key, []).append(value)
    return found


def _decent(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text.isprintable()
