"""Whether a package of the system is the distribution's own, another maker's, or of nobody known.

Pure, and a matter of two tables. A distribution's data speaks of its own packages: another maker's package
of the same name is another thing. Whose package it is, is told by rpm's vendor, by dpkg's maintainer and by the marks
that repositories put into versions. In doubt a package is nobody's: then the distribution's data judges
it, and what it brought is judged as well. It must not know of files or findings.
"""

from __future__ import annotations

import enum
import re
from functools import lru_cache

from redoubt.model import Package


class Origin(enum.StrEnum):
    """Whose package it is."""

    OWN = "own"
    THIRD_PARTY = "third_party"
    UNKNOWN = "unknown"


#: What the vendors of a distribution's own rpm packages begin with, in lower case. Red Hat's and CentOS's packages
#: on a system that was made from theirs (converted, not installed) are judged there like its own.
_RPM_VENDORS = {
    "redhat": ("red hat", "centos"),
    "almalinux": ("almalinux", "cloudlinux", "red hat", "centos"),
    "rocky": ("rocky", "red hat", "centos"),
    "oracle": ("oracle", "red hat", "centos"),
    "amazon": ("amazon",),
    "fedora": ("fedora project",),
    "sles": ("suse", "opensuse"),
    "opensuse-leap": ("suse", "opensuse"),
    "opensuse-tumbleweed": ("suse", "opensuse"),
    "photon": ("vmware", "broadcom"),
    "azurelinux": ("microsoft",),
    "mariner": ("microsoft",),
}

#: Where the maintainers of Debian's and Ubuntu's packages have their addresses, in both alike: Ubuntu takes
#: over most of Debian's. A private address is nobody's.
_DEB_OWN = ("debian.org", "debian.net", "ubuntu.com", "canonical.com")

#: Makers with repositories of their own, by the host of the maintainer's address.
_DEB_OTHERS = (
    *("docker.com", "nodesource.com", "hashicorp.com", "microsoft.com", "nvidia.com", "sap.com"),
    *(
        "mongodb.com",
        "lists.mariadb.org",
        "couchdb.apache.org",
        "elastic.co",
        "influxdb.com",
        "influxdata.com",
    ),
    *("f5.com", "nginx.com", "konghq.com", "cloudflare.com", "gitlab.com", "grafana.com", "datadoghq.com"),
    *("tailscale.com", "openrobotics.org", "osrfoundation.org", "kubernetes.io", "oss.oracle.com"),
)
#: Those whose field has no such address: how it begins, and the whole of it.
_DEB_NAMES = ("Google Cloud CLI Authors", "Kubernetes Authors")
_DEB_WHOLE = frozenset({"GitHub", "HashiCorp"})

#: What repositories that keep Debian's or Ubuntu's maintainers put into the versions of their own builds:
#: PostgreSQL's, Ondřej Surý's, NodeSource's, Root's, and Launchpad's personal ones.
_DEB_MARKS = re.compile(r"[.~+-]pgdg|[.~+]sury|nodesource|\.root\.io\.|[.~+]ppa\d").search

_ADDRESS = re.compile(r"<[^<>@]*@([^<>@\s]+)>\s*$").search


def origin(package: Package, namespace: str) -> Origin:
    """Whose package one of the system is, in the namespace of its distribution. Other types are ``UNKNOWN``."""
    match package.type:
        case "rpm":
            return _of_rpm(package, namespace.partition(":")[0])
        case "deb":
            return _of_deb(package)
        case "apk" | "alpm":  # they name no maker: what is there is taken for the distribution's
            return Origin.OWN
    return Origin.UNKNOWN


def maker(package: Package) -> str:
    """A vendor or maintainer as people call it, without address; the version's mark where only that tells."""
    if package.type == "deb" and (mark := _DEB_MARKS(package.version)):
        return {"pg": "PostgreSQL", "su": "Ondřej Surý", "no": "NodeSource", "ro": "Root"}.get(
            mark.group().lstrip(".~+-")[:2], "a personal archive"
        )
    name = package.vendor.partition("<")[0].strip(" ,\"'")
    return name or package.vendor.strip("<> ")


def _of_rpm(package: Package, ecosystem: str) -> Origin:
    own = _RPM_VENDORS.get(ecosystem)
    if own is None:
        return Origin.UNKNOWN
    if not package.vendor:  # Amazon's own have none at times
        marked = ecosystem == "amazon" and "amzn" in package.version
        return Origin.OWN if marked else Origin.UNKNOWN
    return _of_vendor(package.vendor, own)


@lru_cache(4096)  # a few makers stand for thousands of packages
def _of_vendor(vendor: str, own: tuple[str, ...]) -> Origin:
    return Origin.OWN if vendor.lower().startswith(own) else Origin.THIRD_PARTY


def _of_deb(package: Package) -> Origin:
    return Origin.THIRD_PARTY if _DEB_MARKS(package.version) else _of_maintainer(package.vendor)


@lru_cache(4096)
def _of_maintainer(maintainer: str) -> Origin:
    if maintainer in _DEB_WHOLE or maintainer.startswith(_DEB_NAMES):
        return Origin.THIRD_PARTY
    address = _ADDRESS(maintainer)
    host = f".{address[1].lower()}" if address else ""
    if host.endswith(tuple(f".{other}" for other in _DEB_OTHERS)):
        return Origin.THIRD_PARTY
    return Origin.OWN if host.endswith(tuple(f".{own}" for own in _DEB_OWN)) else Origin.UNKNOWN
