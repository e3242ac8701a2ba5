"""Red Hat's VEX as ClairCore reads it: ``rhel-vex``, a record a package of a product.

``repository.name`` is the product's CPE and ``repository.key`` says whether the package is an rpm or a container.

- ``fixed_in_version``: versions below are affected. The erratum stands among the links.
- Without one, and with ``Invert``: explicitly not affected. Without either: every version is affected; such
  a record is of a source package, and speaks of everything that is built from it.
- Of a container ``range`` begins with the minor version that the fix is for: kind ``rhctag``, then major and minor.
- A package of no module is meant as such.

Where the same package of the same product is affected and not affected, it is affected. Whether Red Hat will
fix a flaw, and what is under investigation, is lost. The forms and names are those of our own feed
(``feeds.redhat``), so that the same products, kernels and modules are told apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.interface import Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, affected
from redoubt.definitions.feeds.redhat import NO_MODULE, SOURCE
from redoubt.definitions.stackrox.blob import Package, Vulnerability
from redoubt.definitions.stackrox.distributions import architectures
from redoubt.definitions.stackrox.interface import CVE, Said, advisory, severity, vectors
from redoubt.model import AffectedRange, Status, redhat

_RPM, _CONTAINER = "rhel-cpe-repository", "rhcc-container-repository"
_PAGE = "https://access.redhat.com/security/cve/"
_ERRATA = "https://access.redhat.com/errata/"
_NOTICE = re.compile(r"RH[SBE]A-\d{4}:\d{4,6}", re.ASCII)
_TAG = re.compile(r"rhctag:(\d{1,10})\.(\d{1,10})(?:\.\d{1,10}){8}", re.ASCII)


class RedHat:
    """The VEX documents' products, one by one."""

    def read(self, record: Vulnerability, source: str, notes: Notes) -> Iterator[Said]:
        """See ``Vulnerabilities``."""
        package, repository = record.package, record.repository
        if package is None or repository is None:
            raise SpoiltRecord("names no package or no product")
        if not CVE.fullmatch(record.name):
            raise SpoiltRecord(f"not a CVE: {record.name[:80]!r}")
        product = redhat.cpe(repository.name)
        if product is None or repository.key not in (_RPM, _CONTAINER):
            notes.drop("of no product of Red Hat's")
            return
        if package.name.startswith("kernel") and not redhat.is_kernel(package.name):
            notes.drop("named like a kernel, and none")
            return
        namespace = redhat.CONTAINERS
        if repository.key == _RPM:
            number = redhat.major(product, record.fixed_in_version)
            namespace = f"redhat:{number}" if number else redhat.LAYERED
        found = _range(record, package, repository.name, container=repository.key == _CONTAINER)
        said = advisory(
            record,
            source,
            record.name,
            severity=severity(record),
            cvss=vectors(record, source),
            url=_PAGE + record.name,
            but=_ERRATA,
        )
        yield said, namespace, fields.package(namespace, package.name), found


def _range(record: Vulnerability, package: Package, product: str, *, container: bool) -> AffectedRange:
    upper = record.fixed_in_version.removeprefix("0:")
    status = Status.AFFECTED
    if record.invert:
        upper, status = "", Status.NOT_AFFECTED
    if container:
        lower, arch, module = _minor(record) if upper else "", "", ""
    else:
        lower, module = "", package.module or NO_MODULE
        arch = SOURCE if package.kind == "source" else architectures(package.arch, record.arch_op)
        if "noarch" in arch.split("|"):
            arch = ""
    notice = _NOTICE.search(record.links.rpartition(" ")[2]) if upper else None
    return affected(
        "rpm",
        lower,
        upper,
        FIXED,
        status=status,
        arch=arch,
        module=module,
        severity=severity(record),
        repository=product,
        notice=notice[0] if notice else "",
    )


def _minor(record: Vulnerability) -> str:
    """The minor version that a container's range begins with, written as its tags are; empty for the first."""
    found = _TAG.fullmatch(record.range.lower) if record.range else None
    if found is None or found[1] == found[2] == "0":
        return ""
    return f"{'v' if record.fixed_in_version.startswith('v') else ''}{found[1]}.{found[2]}"
