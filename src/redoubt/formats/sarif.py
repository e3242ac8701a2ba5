"""Vulnerability reports as SARIF 2.1.0 (OASIS), in the subset that GitHub code scanning reads.

A rule is a flaw, a result a flaw in a package, its locations the places in the image. GitHub's wishes:
``security-severity`` on the rule, ``primaryLocationLineHash`` as the fingerprint, a region on every
location (line 1: packages have no lines), and an automation id that keeps images apart. What could not be
judged is told as notifications of the run.
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from redoubt import __version__
from redoubt.errors import UsageError
from redoubt.formats import tracking
from redoubt.formats.interface import NO_INDEX, Options
from redoubt.formats.json import encode
from redoubt.formats.summary import gaps, main_cvss, repair, suppressed, suppression_line
from redoubt.formats.text import cut, markdown, printable, web_link
from redoubt.model import (
    Finding,
    IndexReport,
    Location,
    PackageFindings,
    Severity,
    Status,
    VulnerabilityReport,
)

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

#: GitHub refuses results with more than 1,000 locations and shows 100; texts are cut there at 1,024.
_LOCATIONS = 100
_TEXT = 1000

_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.NEGLIGIBLE: "note",
    Severity.UNKNOWN: "note",
}
#: A number in the middle of each of GitHub's bands, for severities that are not those of a CVSS score.
_SCORES = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "2.0",
    Severity.NEGLIGIBLE: "0.1",
}


class _Part(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """A JSON object of the specification: camel case, defaults left out."""


class _Text(_Part):
    text: str
    markdown: str = ""


class _Level(_Part):
    level: str


class _RuleProperties(_Part, rename={"security_severity": "security-severity"}):
    tags: tuple[str, ...]
    security_severity: str = ""


class _Rule(_Part):
    id: str
    short_description: _Text
    full_description: _Text
    default_configuration: _Level
    help: _Text
    properties: _RuleProperties
    help_uri: str = ""


class _Driver(_Part):
    name: str
    version: str
    rules: tuple[_Rule, ...]


class _Tool(_Part, omit_defaults=False):
    driver: _Driver


class _Artifact(_Part):
    uri: str


class _Region(_Part):
    start_line: int


class _Physical(_Part):
    artifact_location: _Artifact
    region: _Region


class _Logical(_Part):
    kind: str
    name: str
    fully_qualified_name: str = ""


class _LocationProperties(_Part):
    layer: str


class _Location(_Part):
    physical_location: _Physical
    logical_locations: tuple[_Logical, ...]
    message: _Text
    properties: _LocationProperties | None = None


class _ResultProperties(_Part, rename=None):
    purl: str
    severity: str
    status: str
    fixed_version: str = ""
    fix_channel: str = ""


class _Suppression(_Part):
    kind: str
    justification: str


class _Result(_Part):
    rule_id: str
    rule_index: int
    kind: str
    level: str
    message: _Text
    locations: tuple[_Location, ...]
    partial_fingerprints: dict[str, str]
    properties: _ResultProperties
    suppressions: tuple[_Suppression, ...] = ()


class _Notification(_Part):
    level: str
    message: _Text


class _Invocation(_Part):
    execution_successful: bool
    tool_execution_notifications: tuple[_Notification, ...] = ()


class _Automation(_Part):
    id: str


class _RunProperties(_Part, rename=None):
    image: str
    definitions: str
    image_digest: str = ""
    definitions_unsigned: bool = False


class _Run(_Part):
    tool: _Tool
    automation_details: _Automation
    invocations: tuple[_Invocation, ...]
    results: tuple[_Result, ...]
    properties: _RunProperties


class _Log(_Part):
    schema_: str = msgspec.field(name="$schema")
    version: str
    runs: tuple[_Run, ...]


def index(report: IndexReport, options: Options) -> bytes:
    """Refused: an index report has no results. Raises ``UsageError``."""
    raise UsageError(NO_INDEX["sarif"])


def vulnerabilities(report: VulnerabilityReport, options: Options) -> bytes:
    """One run with a rule for each flaw and a result for each flaw in each package.

    Findings that do not count are results too where that is wished: GitHub would open alerts for them, since it
    does not read ``suppressions`` (§3.27.23).
    """
    packages = report.packages + (report.suppressed if options.show_suppressed else ())
    found: dict[str, list[Finding]] = {}
    for package in packages:
        for item in package.findings:
            found.setdefault(printable(item.id), []).append(item)
    places = {rule: number for number, rule in enumerate(found)}
    fingerprints = tracking.Fingerprints()
    results = tuple(
        _result(package, item, places[printable(item.id)], fingerprints.of(package, item))
        for package in packages
        for item in package.findings
    )
    notes = [_Notification(level="warning", message=_plain(line)) for line in gaps(report)]
    if line := suppressed(report):
        notes.append(_Notification(level="note", message=_plain(line)))
    run = _Run(
        tool=_Tool(
            driver=_Driver(
                name="Redoubt",
                version=__version__,
                rules=tuple(_rule(identifier, items) for identifier, items in found.items()),
            )
        ),
        automation_details=_Automation(id=f"redoubt/{printable(tracking.lineage(report.image))}/"),
        invocations=(_Invocation(execution_successful=True, tool_execution_notifications=tuple(notes)),),
        results=results,
        properties=_RunProperties(
            image=printable(report.image.reference),
            image_digest=printable(report.image.digest or report.image.config_digest),
            definitions=report.definitions.digest,
            definitions_unsigned=report.definitions.unsigned,
        ),
    )
    return encode(_Log(schema_=_SCHEMA, version="2.1.0", runs=(run,)))


def _rule(identifier: str, items: list[Finding]) -> _Rule:
    """A flaw, by the worst that is said of it in any of its packages."""
    item = max(items, key=lambda each: each.severity.rank)
    title = next((each.title for each in items if each.title), "")
    lines = _help(item, title)
    return _Rule(
        id=identifier,
        short_description=_plain(cut(f"{identifier}: {printable(title)}" if title else identifier, _TEXT)),
        full_description=_plain(cut(printable(title) or identifier, _TEXT)),
        default_configuration=_Level(level=_LEVELS[item.severity]),
        help=_Text(
            text=_braces("\n".join(f"{name}: {value}" for name, value in lines)),
            markdown=_braces("\n".join(f"- **{name}**: {_marked(value)}" for name, value in lines)),
        ),
        help_uri=web_link(item.url),
        properties=_RuleProperties(
            tags=("security", "vulnerability", item.severity.value.lower()),
            security_severity=_security_severity(item),
        ),
    )


def _help(item: Finding, title: str) -> list[tuple[str, str]]:
    lines = [
        ("Flaw", f"{item.id}, {title}" if title else item.id),
        ("Also known as", ", ".join(item.aliases)),
        ("Severity", f"{item.severity} ({item.severity_source})" if item.severity_source else item.severity),
        *(("CVSS", f"{cvss.score:.1f} {cvss.vector} ({cvss.source})") for cvss in item.cvss),
        ("Known to be exploited since", item.kev.added if item.kev else ""),
        ("EPSS", f"{item.epss.probability:.2%} within 30 days" if item.epss else ""),
        ("Weaknesses", ", ".join(item.cwes)),
        *(("More", url) for url in dict.fromkeys((item.url, *item.references)) if web_link(url)),
    ]
    return [(name, printable(value)) for name, value in lines if value]


def _marked(value: str) -> str:
    return f"<{value}>" if web_link(value) else markdown(value)


def _security_severity(item: Finding) -> str:
    """A score whose band is the finding's severity; nothing where nobody said how bad it is."""
    cvss = main_cvss(item)
    if cvss and cvss.severity is item.severity and cvss.score > 0:
        return f"{cvss.score:.1f}"
    return _SCORES.get(item.severity, "")


def _result(package: PackageFindings, item: Finding, rule: int, fingerprint: str) -> _Result:
    open_ = (
        item.status is Status.UNDER_INVESTIGATION
    )  # the level of what is not a failure is "none" (§3.27.10)
    name = f"{package.name} {package.version}"
    text = f"{name} ({package.type}): {item.id}, {item.severity.lower()}, {repair(item)}."
    if package.upgrade:
        text += f" {package.upgrade} repairs all that can be repaired in this package."
    if (more := len(package.locations) - _LOCATIONS) > 0:
        text += f" {more:,} more places are not listed."
    return _Result(
        rule_id=printable(item.id),
        rule_index=rule,
        kind="open" if open_ else "fail",
        level="none" if open_ else _LEVELS[item.severity],
        message=_plain(text),
        locations=tuple(
            _location(package, where) for where in package.locations[:_LOCATIONS] or (Location(""),)
        ),
        partial_fingerprints={"primaryLocationLineHash": fingerprint},
        properties=_ResultProperties(
            purl=printable(package.purl),
            severity=item.severity.value,
            status=item.status.value,
            fixed_version=printable(item.fixed_version),
            fix_channel=printable(item.fix_channel),
        ),
        suppressions=(
            (_Suppression(kind="external", justification=printable(suppression_line(item.suppression))),)
            if item.suppression
            else ()
        ),
    )


def _location(package: PackageFindings, where: Location) -> _Location:
    return _Location(
        physical_location=_Physical(
            artifact_location=_Artifact(uri=_uri(where.path)), region=_Region(start_line=1)
        ),
        logical_locations=(
            _Logical(
                kind="package", name=printable(package.name), fully_qualified_name=printable(package.purl)
            ),
        ),
        message=_plain(f"{package.name} {package.version} in {where.path or 'the image'}"),
        properties=_LocationProperties(layer=printable(where.layer)) if where.layer else None,
    )


def _uri(path: str) -> str:
    """A path in the image as a relative reference (RFC 3986) that leads nowhere else."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return quote("/".join(parts), safe="/!", errors="replace") or "image"


def _plain(text: str) -> _Text:
    """A plain text message (§3.11): braces doubled, and nothing in it a link."""
    return _Text(text=_braces(printable(text).replace("](", "] (")))


def _braces(text: str) -> str:
    """Braces are placeholders' (§3.11.5)."""
    return text.replace("{", "{{").replace("}", "}}")
