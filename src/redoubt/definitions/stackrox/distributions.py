"""Updaters of distributions: Alpine, Amazon, Debian, Oracle, Photon, SUSE and Ubuntu.

What ClairCore's matchers make of a record's version decides what it means here:

========= ======================= ============================== =======================================
updater   no ``fixed_in_version`` ``fixed_in_version`` ``0``     otherwise
========= ======================= ============================== =======================================
Debian    affected, no fix known  explicitly not affected        affected below it
Alpine    affected, no fix known  explicitly not affected        affected below it
Ubuntu    affected, no fix known  affected, no fix known         affected below it
rpm       affected up to          never affected: left out       affected below it
          ``package.version``,
          or without end
========= ======================= ============================== =======================================

What ClairCore's own reading has lost cannot be had back: Debian's ``undetermined`` and end-of-life are
affected without a fix, SUSE's service packs are one release (``sles:15.*``), Ubuntu's ESM fixes are plain fixes.

Ubuntu's and Photon's records speak of binary packages where our own definitions speak of sources: they stand
under names of their own (``namespaces.binary``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from redoubt.definitions.feeds import fields
from redoubt.definitions.feeds.interface import Notes, SpoiltRecord
from redoubt.definitions.feeds.ranges import FIXED, LAST, affected
from redoubt.definitions.feeds.secdb import alpine_page, names_in
from redoubt.definitions.stackrox.blob import Package, Vulnerability
from redoubt.definitions.stackrox.interface import Said, advisory, cves_in, severity
from redoubt.model import AffectedRange, Distribution, Severity, Status
from redoubt.model.namespaces import any_service_pack, binary, flavoured, of_distribution

_ARCH = re.compile(r"[a-z0-9_]{1,40}", re.ASCII)
#: Oracle's releases in which no package is in a module.
_BEFORE_MODULES = frozenset({"5", "6", "7"})
NO_MODULE = "-"
#: Amazon Linux 2's extras are not in the bundle: what it says holds for packages of the core, or of no known place.
_CORE = "amzn2-core|"
_ZERO_RPM = re.compile(r"(?:0:)?0(?:-0)?", re.ASCII)


class Debian:
    """The security tracker, a record a source package and release."""

    def read(self, record: Vulnerability, source: str, notes: Notes) -> Iterator[Said]:
        """See ``Vulnerabilities``. How urgent it is called is taken in Debian's words, not in ClairCore's,
        which are one step higher.
        """
        namespace, package = _where(record, "debian")
        if package.kind == "binary":
            raise SpoiltRecord("a binary package where Debian speaks of source packages")
        found = _ranged("deb", record, fields.severity(record.severity), never=True)
        url = f"https://security-tracker.debian.org/tracker/{record.name}"
        yield advisory(record, source, record.name, url=url), namespace, _named(namespace, package), found


class Alpine:
    """The secdb, a record a source package, release and name of a flaw, which may be several or untidy."""

    def read(self, record: Vulnerability, source: str, notes: Notes) -> Iterator[Said]:
        """See ``Vulnerabilities``."""
        namespace, package = _where(record, "alpine")
        name = _named(namespace, package)
        found = _ranged("apk", record, Severity.UNKNOWN, never=True)
        flaws = names_in(record.name)
        if not flaws:
            notes.drop("names no flaw")
        for flaw, aliases in flaws:
            yield (
                advisory(record, source, flaw, aliases=aliases, url=alpine_page(flaw)),
                namespace,
                name,
                found,
            )


class Ubuntu:
    """OVAL, a record a binary package, release and CVE."""

    def read(self, record: Vulnerability, source: str, notes: Notes) -> Iterator[Said]:
        """See ``Vulnerabilities``."""
        namespace, package = _where(record, "ubuntu")
        identifiers = cves_in(record.name)
        if len(identifiers) != 1:
            raise SpoiltRecord(f"not the name of one CVE: {record.name[:80]!r}")
        found = _ranged("deb", record, severity(record), never=False)
        url = f"https://ubuntu.com/security/{identifiers[0]}"
        name = fields.package(namespace, binary(package.name))
        yield advisory(record, source, identifiers[0], url=url), namespace, name, found


class Rpm:
    """A distribution of rpm packages, a record a binary package. ``did`` is its ``ID`` in ``os-release``.

    ``erratum`` finds the name of an erratum in a record's; where it finds none, and for a distribution
    without, the record is about the CVEs that it names.
    """

    def __init__(self, did: tuple[str, ...], erratum: str = "") -> None:
        self._did = did
        self._erratum = re.compile(erratum, re.ASCII) if erratum else None

    def read(self, record: Vulnerability, source: str, notes: Notes) -> Iterator[Said]:
        """See ``Vulnerabilities``."""
        namespace, package = _where(record, *self._did)
        module, repository = package.module, ""
        ecosystem, _, release = namespace.partition(":")
        if ecosystem == "oracle" and not module and release not in _BEFORE_MODULES:
            module = NO_MODULE
        if namespace == "amazon:2":
            repository = _CORE
        found = rpm_range(record, package, module=module, repository=repository)
        if found is None:
            notes.drop("says that no version is affected")
            return
        name = _named(namespace, package)
        if ecosystem == "photon":
            name = fields.package(namespace, binary(package.name))
        else:
            name = flavoured(namespace, name, record.fixed_in_version)
        rated = severity(record)
        erratum = self._erratum.search(record.name) if self._erratum else None
        if erratum:
            cves = cves_in(record.name, record.links)
            yield advisory(record, source, erratum[0], severity=rated, cves=cves), namespace, name, found
            return
        cves = cves_in(record.name)
        if not cves:
            raise SpoiltRecord(f"neither an erratum nor a CVE: {record.name[:80]!r}")
        for cve in cves:
            yield advisory(record, source, cve, severity=rated), namespace, name, found


def rpm_range(
    record: Vulnerability, package: Package, *, module: str = "", repository: str = ""
) -> AffectedRange | None:
    """The versions that a record about an rpm package speaks of; None where it says that there are none."""
    upper, end = record.fixed_in_version, FIXED
    if upper and _ZERO_RPM.fullmatch(upper):
        return None
    if not upper:
        upper, end = package.version, LAST
    arch = architectures(package.arch, record.arch_op)
    return affected("rpm", "", upper, end, arch=arch, module=module, repository=repository)


@lru_cache(maxsize=1 << 10)
def architectures(pattern: str, operation: str) -> str:
    """``arch`` as ranges write it: alternatives joined by ``|``, empty for any.

    ``pattern`` is a name, or with the operation ``pattern match`` a regular expression, of which ClairCore's
    data has alternatives only. Raises ``SpoiltRecord`` for what says something else.
    """
    if not pattern or operation == "not equals":
        if pattern:
            raise SpoiltRecord(f"affects all architectures but {pattern[:40]!r}")
        return ""
    names = pattern
    if operation == "pattern match":
        names = pattern.strip("^$")
        if names.startswith("(") and names.endswith(")"):
            names = names[1:-1]
    parts = sorted(set(names.split("|")))
    if not all(_ARCH.fullmatch(part) for part in parts):
        raise SpoiltRecord(f"not a list of architectures: {pattern[:80]!r}")
    return "|".join(parts)


def _ranged(scheme: str, record: Vulnerability, rated: Severity, *, never: bool) -> AffectedRange:
    """The versions that a deb or apk record speaks of. ``never``: whether ``0`` says that there are none."""
    fixed = record.fixed_in_version.strip()
    if fixed == "0":
        if never:
            return affected(scheme, status=Status.NOT_AFFECTED, severity=rated)
        fixed = ""
    return affected(scheme, "", fixed, FIXED, severity=rated)


def _where(record: Vulnerability, *expected: str) -> tuple[str, Package]:
    """A record's namespace and package. Raises ``SpoiltRecord`` where it names none of what is ``expected``."""
    release, package = record.distribution, record.package
    if release is None or package is None:
        raise SpoiltRecord("names no release or no package")
    if release.did not in expected:
        raise SpoiltRecord(f"speaks of the distribution {release.did[:40]!r}")
    return _namespace(release.did, release.version_id or release.version, release.version_code_name), package


@lru_cache(maxsize=1 << 10)
def _namespace(did: str, version: str, codename: str) -> str:
    found = of_distribution(Distribution(id=did, version_id=version, codename=codename))
    if did == "sles" and version.isdigit():
        found = any_service_pack(f"{did}:{version}")
    if found is None or found.endswith(":unknown") or not re.fullmatch(r"[a-z0-9.:_*-]{1,80}", found):
        raise SpoiltRecord(f"speaks of a release that is none: {did[:40]!r} {version[:40]!r}")
    return found


def _named(namespace: str, package: Package) -> str:
    return fields.package(namespace, package.name)
