"""Vulnerability reports for GitLab's container scanning: its security report schema, version 15.

Version 15.0.4 is declared, whose reports later 15.x schemas take too. The schema demands the scan's start and end: both are
the time that the definitions were built, so that equal reports stay equal. Descriptions are rendered as
Markdown there and are escaped.
"""

from __future__ import annotations

import re

import msgspec

from redoubt import __version__
from redoubt.errors import UsageError
from redoubt.formats import tracking
from redoubt.formats.interface import NO_INDEX, Options
from redoubt.formats.json import encode
from redoubt.formats.summary import gaps, needs, repair, suppressed
from redoubt.formats.text import cut, markdown, printable, web_link
from redoubt.model import Cvss, Finding, IndexReport, PackageFindings, Severity, VulnerabilityReport

_VERSION = "15.0.4"
_NAME = 255
_SOLUTION = 7000
_DESCRIPTION = 100_000
_IDENTIFIERS = 20
_VECTORS = 10

_SEVERITIES = {
    Severity.CRITICAL: "Critical",
    Severity.HIGH: "High",
    Severity.MEDIUM: "Medium",
    Severity.LOW: "Low",
    Severity.NEGLIGIBLE: "Info",
    Severity.UNKNOWN: "Unknown",
}
_CWE = re.compile(r"(?:CWE-)?([1-9][0-9]{0,8})")
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,19}(?=-)")
#: The base metrics of CVSS 2 and 3, all that later versions of the schema take; a vector's other metrics
#: are left away and the base score stays the same.
_VECTOR = re.compile(
    r"CVSS:3\.[01]/AV:[NALP]/AC:[LH]/PR:[NLH]/UI:[NR]/S:[UC]/C:[NLH]/I:[NLH]/A:[NLH](?=/|\Z)"
    r"|AV:[NAL]/AC:[LMH]/Au:[MSN]/C:[NPC]/I:[NPC]/A:[NPC](?=/|\Z)"
)


class _Part(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A JSON object of the schema: defaults left out."""


class _Vendor(_Part):
    name: str


class _Scanner(_Part):
    id: str
    name: str
    version: str
    vendor: _Vendor


class _Message(_Part):
    level: str
    value: str


class _Scan(_Part):
    analyzer: _Scanner
    scanner: _Scanner
    type: str
    start_time: str
    end_time: str
    status: str
    messages: tuple[_Message, ...] = ()


class _Identifier(_Part):
    type: str
    name: str
    value: str
    url: str = ""


class _Link(_Part):
    url: str


class _Vector(_Part):
    vendor: str
    vector: str


class _Package(_Part):
    name: str


class _Dependency(_Part):
    package: _Package
    version: str


class _Location(_Part):
    dependency: _Dependency
    operating_system: str
    image: str


class _Vulnerability(_Part):
    id: str
    name: str
    description: str
    severity: str
    identifiers: tuple[_Identifier, ...]
    location: _Location
    solution: str = ""
    cvss_vectors: tuple[_Vector, ...] = ()
    links: tuple[_Link, ...] = ()


class _Report(_Part):
    version: str
    scan: _Scan
    vulnerabilities: tuple[_Vulnerability, ...]


def index(report: IndexReport, options: Options) -> bytes:
    """Refused: an index report has no findings. Raises ``UsageError``."""
    raise UsageError(NO_INDEX["gitlab"])


def vulnerabilities(report: VulnerabilityReport, options: Options) -> bytes:
    """A vulnerability for each flaw in each package, and a warning for all that could not be judged."""
    scanner = _Scanner(id="redoubt", name="Redoubt", version=__version__, vendor=_Vendor(name="Redoubt"))
    time = tracking.moment(report.definitions).removesuffix("Z")
    fingerprints = tracking.Fingerprints()
    return encode(
        _Report(
            version=_VERSION,
            scan=_Scan(
                analyzer=scanner,
                scanner=scanner,
                type="container_scanning",
                start_time=time,
                end_time=time,
                status="success",
                messages=_messages(report),
            ),
            vulnerabilities=tuple(
                _vulnerability(report, package, item, fingerprints.of(package, item))
                for package in report.packages
                for item in package.findings
            ),
        )
    )


def _messages(report: VulnerabilityReport) -> tuple[_Message, ...]:
    """What could not be judged; and how many findings do not count, which GitLab has no form for."""
    messages = [_Message(level="warn", value=printable(line)) for line in gaps(report)]
    if report.definitions.unsigned:
        messages.append(_Message(level="warn", value="unsigned: nobody vouches for these definitions"))
    if line := suppressed(report):
        messages.append(_Message(level="info", value=printable(line)))
    return tuple(messages)


def _vulnerability(
    report: VulnerabilityReport, package: PackageFindings, item: Finding, fingerprint: str
) -> _Vulnerability:
    system = report.distribution
    words = (system.id, system.version_id or system.codename) if system else ()
    return _Vulnerability(
        id=tracking.unique_id(tracking.lineage(report.image), fingerprint),
        name=cut(printable(item.title or item.id), _NAME),
        description=cut(markdown(_description(package, item)), _DESCRIPTION),
        severity=_SEVERITIES[item.severity],
        solution=cut(_solution(package, item), _SOLUTION),
        identifiers=_identifiers(item),
        cvss_vectors=_vectors(item.cvss),
        links=tuple(_Link(url=url) for url in dict.fromkeys((item.url, *item.references)) if web_link(url)),
        location=_Location(
            dependency=_Dependency(
                package=_Package(name=printable(package.name)), version=printable(package.version)
            ),
            operating_system=printable(" ".join(word for word in words if word)) or "unknown",
            image=printable(report.image.reference) or "unknown",
        ),
    )


def _description(package: PackageFindings, item: Finding) -> str:
    where = f" Found in {package.locations[0].path}." if package.locations else ""
    return f"{item.title or item.id} ({package.name} {package.version}, {repair(item)}).{where}"


def _solution(package: PackageFindings, item: Finding) -> str:
    if not item.fixed_version:
        return ""
    more = f"; {package.upgrade} repairs all that can be" if package.upgrade != item.fixed_version else ""
    channel = f" ({needs(item)})" if item.fix_channel else ""
    return printable(
        f"Upgrade {package.name} to {item.fixed_version}{channel}{more if package.upgrade else ''}"
    )


def _identifiers(item: Finding) -> tuple[_Identifier, ...]:
    """The flaw's own name first, which GitLab follows it by; then its other names and its weaknesses."""
    names = [name for name in dict.fromkeys((item.id, item.fixing_advisory, *item.aliases)) if name]
    found = [_identifier(name, item) for name in names or ["unknown"]]
    for cwe in item.cwes:
        if match := _CWE.fullmatch(cwe):
            number = match.group(1)
            url = f"https://cwe.mitre.org/data/definitions/{number}.html"
            found.append(_Identifier(type="cwe", name=f"CWE-{number}", value=number, url=url))
    return tuple(found[:_IDENTIFIERS])


def _identifier(name: str, item: Finding) -> _Identifier:
    kind = _TYPE.match(name)
    url = web_link(item.url) if name == item.id else ""
    if not url and _CVE.fullmatch(name):
        url = f"https://www.cve.org/CVERecord?id={name}"
    name = cut(printable(name), _NAME)
    return _Identifier(type=kind.group().lower() if kind else "advisory", name=name, value=name, url=url)


def _vectors(scores: tuple[Cvss, ...]) -> tuple[_Vector, ...]:
    found = [
        _Vector(vendor=printable(cvss.source) or "unknown", vector=match.group())
        for cvss in scores
        if (match := _VECTOR.match(cvss.vector))
    ]
    return tuple(found[:_VECTORS])
