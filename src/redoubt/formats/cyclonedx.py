"""Reports as CycloneDX 1.6 JSON: an SBOM of an index report, an SBOM with vulnerabilities of the other.

The structs are the part of the specification (ECMA-424) that we write, in its own names. No serial
number and no timestamp, both optional there: the same report is the same document, and its metadata name
the image and the definitions by digest. A vulnerability report holds the packages that have findings. An SBOM holds
all of the index report (``model.sbom``): ``indexer.sbom`` reads the same report back.

``analysis`` is written only where a source has judged beyond "affected": a scanner that called
everything exploitable would drown the people who do analyse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from redoubt import __version__
from redoubt.formats.interface import Options
from redoubt.formats.json import encode
from redoubt.formats.summary import needs, suppression_line
from redoubt.formats.text import web_link
from redoubt.model import (
    Coverage,
    DefinitionsInfo,
    Distribution,
    Finding,
    Image,
    IndexReport,
    Location,
    Package,
    PackageFindings,
    Problem,
    Severity,
    Status,
    Suppression,
    VulnerabilityReport,
    purl,
    sbom,
)

_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
#: What of a package is told beside its purl even where the purl tells it too: not everybody reads qualifiers.
_SAID_TWICE = frozenset({"source_name", "source_version", "module", "vendor"})
_CWE = re.compile(r"(?:CWE-)?([1-9][0-9]{0,8})")

_SEVERITIES = {
    Severity.CRITICAL: "critical",
    Severity.HIGH: "high",
    Severity.MEDIUM: "medium",
    Severity.LOW: "low",
    Severity.NEGLIGIBLE: "info",
    Severity.UNKNOWN: "unknown",
}
_METHODS = {"CVSS:4.0": "CVSSv4", "CVSS:3.1": "CVSSv31", "CVSS:3.0": "CVSSv3"}


class _Part(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """A JSON object of the specification: camel case, defaults left out."""


class _Property(_Part):
    name: str
    value: str


class _Hash(_Part):
    alg: str
    content: str


class _Occurrence(_Part):
    location: str
    additional_context: str = ""


class _Evidence(_Part):
    occurrences: tuple[_Occurrence, ...] = ()


class _Component(_Part):
    type: str
    name: str
    bom_ref: str = msgspec.field(name="bom-ref")
    group: str = ""
    version: str = ""
    hashes: tuple[_Hash, ...] = ()
    purl: str = ""
    evidence: _Evidence | None = None
    properties: tuple[_Property, ...] = ()


class _Tool(_Part):
    type: str
    name: str
    version: str


class _Tools(_Part):
    components: tuple[_Tool, ...]


class _Metadata(_Part):
    tools: _Tools
    component: _Component
    properties: tuple[_Property, ...] = ()


class _Source(_Part):
    name: str = ""
    url: str = ""


class _Reference(_Part):
    id: str
    source: _Source


class _Rating(_Part):
    source: _Source | None = None
    score: float | None = None
    severity: str = ""
    method: str = ""
    vector: str = ""


class _Advisory(_Part):
    url: str
    title: str = ""


class _Analysis(_Part):
    state: str
    justification: str = ""
    response: tuple[str, ...] = ()
    detail: str = ""


class _Version(_Part):
    version: str
    status: str


class _Affects(_Part):
    ref: str
    versions: tuple[_Version, ...] = ()


class _Vulnerability(_Part):
    bom_ref: str = msgspec.field(name="bom-ref")
    id: str
    source: _Source | None = None
    references: tuple[_Reference, ...] = ()
    ratings: tuple[_Rating, ...] = ()
    cwes: tuple[int, ...] = ()
    description: str = ""
    recommendation: str = ""
    advisories: tuple[_Advisory, ...] = ()
    published: str = ""
    analysis: _Analysis | None = None
    affects: tuple[_Affects, ...] = ()
    properties: tuple[_Property, ...] = ()


class _Bom(_Part, omit_defaults=False):
    schema_: str = msgspec.field(name="$schema")
    bom_format: str
    spec_version: str
    version: int
    metadata: _Metadata
    components: tuple[_Component, ...]


class _VulnerabilityBom(_Bom, omit_defaults=False):
    vulnerabilities: tuple[_Vulnerability, ...]


_ANALYSES = {
    Status.UNDER_INVESTIGATION: _Analysis(state="in_triage"),
    Status.WILL_NOT_FIX: _Analysis(state="exploitable", response=("will_not_fix",)),
    Status.END_OF_LIFE: _Analysis(
        state="exploitable", response=("can_not_fix",), detail="The product's support has ended."
    ),
    Status.FIX_DEFERRED: _Analysis(state="exploitable", detail="The source has deferred the fix."),
}


#: VEX's codes (OpenVEX, CSAF's flags) → CycloneDX's.
_JUSTIFICATIONS = {
    "component_not_present": "code_not_present",
    "vulnerable_code_not_present": "code_not_present",
    "vulnerable_code_not_in_execute_path": "code_not_reachable",
    "inline_mitigations_already_exist": "protected_by_mitigating_control",
}


def index(report: IndexReport, options: Options) -> bytes:
    """An SBOM with a component, and its purl, for every package and for the system."""
    refs = _References()
    properties = [_property("schema", report.schema)]
    properties += [_property("layer", _json(layer)) for layer in report.layers]
    properties += _problems(report.problems)
    properties += [_property(key, _json(told)) for key, told in _looking(report).items() if told]
    metadata = _metadata(report.image, refs, properties)
    components = [_system(report.distribution, refs)] if report.distribution else []
    components += [_package(item, report.distribution, refs) for item in report.packages]
    return encode(
        _Bom(
            schema_=_SCHEMA,
            bom_format="CycloneDX",
            spec_version="1.6",
            version=1,
            metadata=metadata,
            components=tuple(components),
        )
    )


def vulnerabilities(report: VulnerabilityReport, options: Options) -> bytes:
    """The packages with findings, and a vulnerability for each flaw with all that it affects."""
    refs = _References()
    properties = [
        *_definitions(report.definitions),
        *(_property("coverage", _coverage(row)) for row in report.coverage),
        *_problems(report.problems),
    ]
    metadata = _metadata(report.image, refs, properties)
    components = [_system(report.distribution, refs)] if report.distribution else []
    found: dict[tuple[str, str, str, str], list[tuple[str, PackageFindings, Finding]]] = {}
    for package in (*report.packages, *report.suppressed):
        component = _vulnerable(package, refs)
        components.append(component)
        for item in package.findings:
            key = (item.id, item.namespace, item.status.value, suppression_line(item.suppression))
            found.setdefault(key, []).append((component.bom_ref, package, item))
    return encode(
        _VulnerabilityBom(
            schema_=_SCHEMA,
            bom_format="CycloneDX",
            spec_version="1.6",
            version=1,
            metadata=metadata,
            components=tuple(components),
            vulnerabilities=tuple(_vulnerability(found[key], refs) for key in sorted(found)),
        )
    )


class _References:
    """Names for components, each used once."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def unique(self, wanted: str) -> str:
        """``wanted``, or ``wanted#2`` where that is taken (packages that a purl cannot tell apart)."""
        number = self._used[wanted] = self._used.get(wanted, 0) + 1
        return wanted if number == 1 else self.unique(f"{wanted}#{number}")


def _metadata(image: Image, refs: _References, properties: Iterable[_Property]) -> _Metadata:
    digest = image.digest or image.config_digest
    found = _DIGEST.fullmatch(digest)
    details = {
        "kind": image.kind,
        "manifest-digest": image.digest,
        "config-digest": image.config_digest,
        "media-type": image.media_type,
        "platform": str(image.platform or ""),
    }
    return _Metadata(
        tools=_Tools(components=(_Tool(type="application", name="redoubt", version=__version__),)),
        component=_Component(
            type="container" if image.kind != "dir" else "file",
            bom_ref=refs.unique(digest or "image"),
            name=image.subject or image.reference,
            version=digest,
            # A manifest's digest is the hash of the image, a configuration's is not.
            hashes=(_Hash(alg="SHA-256", content=found.group(1)),) if image.digest and found else (),
            properties=tuple(_property(name, value) for name, value in details.items() if value),
        ),
        properties=tuple(properties),
    )


def _system(distribution: Distribution, refs: _References) -> _Component:
    version = distribution.version_id or distribution.codename
    return _Component(
        type="operating-system",
        bom_ref=refs.unique(f"system/{distribution.id}"),
        name=distribution.id,
        version=version,
        properties=(
            _property("version-id", distribution.version_id),
            *(_property("codename", text) for text in (distribution.codename,) if text),
            *(_property("name", text) for text in (distribution.name,) if text),
            *(_property("id-like", other) for other in distribution.id_like),
        ),
    )


def _package(package: Package, distribution: Distribution | None, refs: _References) -> _Component:
    locator = purl.of_package(package, distribution)
    group, name = _split(package.type, package.name)
    seen = sbom.visible(locator, sbom.spellings(group, name), package.version)
    told = sbom.beyond(package, seen)
    properties = []
    for field in sbom.FIELDS:
        value = getattr(told, field)
        if value is None and field in _SAID_TWICE:
            value = getattr(package, field) or None
        if value is not None:
            properties.append(_property(field.replace("_", "-"), value))
    properties += [_property("repository", repository) for repository in told.repositories]
    return _Component(
        type="library",
        bom_ref=refs.unique(locator),
        group=group,
        name=name,
        version=package.version,
        purl=locator,
        evidence=_evidence(package.locations),
        properties=tuple(properties),
    )


def _looking(report: IndexReport) -> dict[str, dict[str, int] | dict[str, str]]:
    return {"catalogers": report.catalogers, "lookups": report.lookups}


def _vulnerable(package: PackageFindings, refs: _References) -> _Component:
    group, name = _split(package.type, package.name)
    details = {
        "source-name": package.source_name,
        "upgrade": package.upgrade,
    }
    return _Component(
        type="library",
        bom_ref=refs.unique(package.purl or f"{package.type}/{package.name}@{package.version}"),
        group=group,
        name=name,
        version=package.version,
        purl=package.purl,
        evidence=_evidence(package.locations),
        properties=tuple(_property(key, value) for key, value in details.items() if value),
    )


def _split(package_type: str, name: str) -> tuple[str, str]:
    separator = {"maven": ":", "npm": "/"}.get(package_type)
    if separator is None:
        return "", name
    group, _, rest = name.rpartition(separator)
    return group, rest


def _evidence(locations: tuple[Location, ...]) -> _Evidence | None:
    if not locations:
        return None
    return _Evidence(
        occurrences=tuple(
            _Occurrence(location=where.path, additional_context=sbom.context(where)) for where in locations
        )
    )


def _vulnerability(found: list[tuple[str, PackageFindings, Finding]], refs: _References) -> _Vulnerability:
    first = found[0][2]
    identifier = f"{first.id}/{first.namespace}/{first.status.value}"
    links = {item.url: item.title for _, _, finding in found for item in _links(finding)}
    properties = []
    if first.kev:
        properties.append(_property("kev-added", first.kev.added))
        properties.append(_property("kev-due", first.kev.due))
        properties.append(_property("kev-ransomware", str(first.kev.ransomware).lower()))
    if first.epss:
        properties.append(_property("epss-probability", f"{first.epss.probability:.5f}"))
        properties.append(_property("epss-percentile", f"{first.epss.percentile:.5f}"))
    return _Vulnerability(
        bom_ref=refs.unique(identifier),
        id=first.id,
        source=_Source(name=first.namespace or "unknown", url=web_link(first.url)),
        references=tuple(
            _Reference(id=alias, source=_Source(name=alias.partition("-")[0])) for alias in first.aliases
        ),
        ratings=tuple(_ratings(first)),
        cwes=tuple(sorted({int(match.group(1)) for cwe in first.cwes if (match := _CWE.fullmatch(cwe))})),
        description=first.title,
        recommendation=_recommendation(found),
        advisories=tuple(_Advisory(url=url, title=title) for url, title in sorted(links.items())),
        published=first.published if _TIME.fullmatch(first.published) else "",
        analysis=_suppressed(first.suppression) if first.suppression else _ANALYSES.get(first.status),
        affects=tuple(_affects(ref, package, item) for ref, package, item in found),
        properties=tuple(item for item in properties if item.value),
    )


def _suppressed(suppression: Suppression) -> _Analysis:
    """What is said of a finding that does not count.

    That the distribution judges it makes upstream's a false positive. An ignore rule without VEX's code for it says
    that somebody lives with the flaw, and not that there is none.
    """
    if suppression.kind == "owned":
        state = "false_positive"
    elif suppression.status == "fixed":
        state = "resolved"
    elif suppression.kind == "ignore-rule" and not suppression.justification:
        return _Analysis(
            state="exploitable", response=("will_not_fix",), detail=suppression_line(suppression)
        )
    else:
        state = "not_affected"
    return _Analysis(
        state=state,
        justification=_JUSTIFICATIONS.get(suppression.justification, ""),
        detail=suppression_line(suppression),
    )


def _affects(ref: str, package: PackageFindings, item: Finding) -> _Affects:
    open_ = item.status is Status.UNDER_INVESTIGATION or item.suppression
    status = "unknown" if open_ else "affected"
    versions = [_Version(version=package.version, status=status)]
    if item.fixed_version:
        versions.append(_Version(version=item.fixed_version, status="unaffected"))
    return _Affects(ref=ref, versions=tuple(versions))


def _ratings(item: Finding) -> list[_Rating]:
    ratings = []
    own = item.severity_source and not item.severity_source.startswith("cvss:")
    if own or not item.cvss:
        source = _Source(name=item.severity_source) if own else None
        ratings.append(_Rating(source=source, severity=_SEVERITIES[item.severity], method="other"))
    for cvss in item.cvss:
        ratings.append(
            _Rating(
                source=_Source(name=cvss.source) if cvss.source else None,
                score=cvss.score,
                severity=_SEVERITIES[cvss.severity],
                method=_METHODS.get(cvss.vector[:8], "CVSSv2"),
                vector=cvss.vector,
            )
        )
    return ratings


def _recommendation(found: list[tuple[str, PackageFindings, Finding]]) -> str:
    fixes = dict.fromkeys(
        f"{package.name} to {item.fixed_version}" + (f" ({needs(item)})" if item.fix_channel else "")
        for _, package, item in found
        if item.fixed_version
    )
    return f"Upgrade {', '.join(fixes)}." if fixes else ""


def _links(item: Finding) -> list[_Advisory]:
    pairs = [(reference.url, reference.ref) for reference in item.advisories]
    pairs += [(item.url, ""), *((url, "") for url in item.references)]
    return [_Advisory(url=url, title=title) for link, title in reversed(pairs) if (url := web_link(link))]


def _definitions(info: DefinitionsInfo) -> list[_Property]:
    properties = [
        _property("definitions-digest", info.digest),
        _property("definitions-channel", info.channel),
        _property("definitions-version", str(info.version or "")),
        _property("definitions-created", info.created),
        _property("definitions-unsigned", "true" if info.unsigned else ""),
    ]
    properties += [
        _property("definitions-source", f"{item.name} {item.newest}".strip()) for item in info.sources
    ]
    return [item for item in properties if item.value]


def _coverage(row: Coverage) -> str:
    return " ".join(part for part in (row.type, row.namespace, f"{row.judged.value};", row.detail) if part)


def _problems(problems: tuple[Problem, ...]) -> list[_Property]:
    return [_property("problem", _json(problem)) for problem in problems]


def _json(value: msgspec.Struct | dict[str, int] | dict[str, str]) -> str:
    """What ``indexer.sbom`` reads back, in one text."""
    return msgspec.json.encode(value).decode()


def _property(name: str, value: str) -> _Property:
    return _Property(name=f"redoubt:{name}", value=value)
