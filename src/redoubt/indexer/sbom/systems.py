"""How SBOMs name distributions, told in the words of ``os-release``. Tables and text; it must not know any format."""

from __future__ import annotations

import re
from functools import lru_cache

from redoubt.indexer.catalogers.fields import clean
from redoubt.model import Distribution
from redoubt.model.namespaces import DEBIAN_RELEASES

#: What tools call a distribution, in lower case → its ``ID`` in ``os-release``.
_IDS = {
    "alma": "almalinux",
    "amazon": "amzn",
    "amazon linux": "amzn",
    "azure linux": "azurelinux",
    "cbl-mariner": "mariner",
    "opensuse.leap": "opensuse-leap",
    "opensuse.tumbleweed": "opensuse-tumbleweed",
    "oracle": "ol",
    "oraclelinux": "ol",
    "oracle linux server": "ol",
    "red hat enterprise linux": "rhel",
    "redhat": "rhel",
    "rocky linux": "rocky",
    "slem": "sle-micro",
    "suse linux enterprise micro": "sle-micro",
    "suse linux enterprise server": "sles",
}
_VERSIONED = re.compile(r"(.+?)-(v?\d[^-]*|edge)").fullmatch


def named(name: str, version: str, codename: str = "") -> Distribution | None:
    """The distribution of a name and a version, whoever wrote them; None without a name."""
    wanted = clean(name).lower()
    wanted = _IDS.get(wanted, wanted)
    if not wanted:
        return None
    version = clean(version)
    if not codename and version in DEBIAN_RELEASES:
        version, codename = "", version
    return Distribution(id=wanted, version_id=version, codename=clean(codename))


@lru_cache(4096)
def from_purl(namespace: str, distro: str) -> Distribution | None:
    """The distribution that a purl of a system's package names: by its qualifier ``distro``, else its namespace.

    ``distro`` is ``debian-12`` as most write it, ``3.19.1`` alone as Trivy does for apk, ``bookworm`` as cdxgen
    did, ``opensuse-leap-15.5`` or ``arch``.
    """
    namespace = namespace.lower()
    if not distro:
        return named(namespace, "") if namespace else None
    if distro[0].isdigit() or distro == "edge" or distro in DEBIAN_RELEASES:
        return named(namespace, distro) if namespace else None
    if found := _VERSIONED(distro):
        return named(found[1], found[2])
    head, _, rest = distro.partition("-")
    if rest in DEBIAN_RELEASES or (namespace and head == namespace):
        return named(head, rest)
    return named(distro, "")
