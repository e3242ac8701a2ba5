"""One package judged by definitions in memory, for the matcher's tests."""

from __future__ import annotations

from matcher_snapshot import MemorySnapshot, index

from redoubt.matcher import match
from redoubt.model import (
    Advisory,
    Distribution,
    Finding,
    Package,
    PackageFindings,
)

DEB = "debian:11"


def pypi(name: str, version: str) -> Package:
    return Package(type="pypi", name=name, version=version)


def deb(name: str, version: str, **more: str) -> Package:
    return Package(type="deb", name=name, version=version, arch="amd64", **more)


def judged(snapshot: MemorySnapshot, package: Package, system: Distribution | None = None) -> PackageFindings:
    (found,) = match(index([package], system), snapshot).packages
    return found


def findings(snapshot: MemorySnapshot, package: Package, system: Distribution | None = None) -> list[Finding]:
    report = match(index([package], system), snapshot)
    return [item for found in report.packages for item in found.findings]


def ids(snapshot: MemorySnapshot, package: Package, system: Distribution | None = None) -> list[str]:
    return [item.id for item in findings(snapshot, package, system)]


def flaw(identifier: str, source: str = "osv", **more: object) -> Advisory:
    return Advisory(id=identifier, source=source, **more)
