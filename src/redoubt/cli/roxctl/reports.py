"""Redoubt's own report of an image that Central scanned: made of the original's form of it, or narrowed to severities. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from redoubt.cli.roxctl.results import Component, Image, Vulnerability, gaps
from redoubt.model import (
    Cvss,
    DefinitionsInfo,
    Finding,
    Location,
    PackageFindings,
    Severity,
    Status,
    VulnerabilityReport,
)
from redoubt.model import Image as ImageLookedAt
from redoubt.model.image import Problem, ProblemKind

_SEVERITIES = {
    "UNKNOWN": Severity.UNKNOWN,
    "LOW": Severity.LOW,
    "MODERATE": Severity.MEDIUM,
    "IMPORTANT": Severity.HIGH,
    "CRITICAL": Severity.CRITICAL,
}
_WORDS = {severity: word for word, severity in _SEVERITIES.items()} | {Severity.NEGLIGIBLE: "LOW"}
#: ``storage.SourceType`` → the type of a purl, where it is one.
_TYPES = {
    "PYTHON": "pypi",
    "JAVA": "maven",
    "RUBY": "gem",
    "NODEJS": "npm",
    "GO": "golang",
    "DOTNETCORERUNTIME": "nuget",
}


def of(image: Image, wanted: set[str], name: str) -> VulnerabilityReport:
    """What the original's form of a scan holds, for formats that take a report. Definitions are not named in it."""
    components = image.scan.components if image.scan else ()
    return VulnerabilityReport(
        image=ImageLookedAt(reference=name, kind="registry" if image.id else "sbom", digest=image.id),
        package_count=len(components),
        definitions=DefinitionsInfo(digest="", schema=""),
        packages=tuple(_packages(components, wanted)),
        problems=tuple(Problem(kind=ProblemKind.UNSUPPORTED, message=line) for line in gaps(image)),
    )


def findings(report: VulnerabilityReport, wanted: set[str]) -> VulnerabilityReport:
    """The report with findings of these severities only."""
    packages = []
    for package in report.packages:
        kept = tuple(item for item in package.findings if _WORDS[item.severity] in wanted)
        if kept:
            packages.append(msgspec.structs.replace(package, findings=kept))
    return msgspec.structs.replace(report, packages=tuple(packages))


def _packages(components: tuple[Component, ...], wanted: set[str]) -> Iterator[PackageFindings]:
    for component in components:
        found = tuple(_finding(flaw) for flaw in component.vulns if flaw.rated in wanted)
        if found:
            yield PackageFindings(
                type=_TYPES.get(component.source, "os"),
                name=component.name,
                version=component.version,
                arch=component.architecture,
                unfixed=sum(not item.fixable for item in found),
                locations=(Location(component.location),) if component.location else (),
                findings=found,
            )


def _finding(flaw: Vulnerability) -> Finding:
    return Finding(
        id=flaw.cve,
        status=Status.AFFECTED,
        severity=_SEVERITIES[flaw.rated],
        title=flaw.summary,
        fixed_version=flaw.fixed_by,
        fixing_advisory=flaw.advisory.name if flaw.advisory else "",
        cvss=(Cvss("", "", flaw.cvss),) if flaw.cvss else (),
        url=flaw.link,
    )
