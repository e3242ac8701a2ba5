"""A scan in the original's form, ``storage.Image``. Pure: our reports in, structs of its JSON out.

Names and meanings of the fields are those of StackRox's ``proto/storage/image.proto``, ``vulnerability.proto`` and
``cve.proto``, as its REST API writes them. It has no room for all that we know; ``/v1/images/{id}/report`` has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime

import msgspec
from msgspec import UNSET, UnsetType

import redoubt
from redoubt.central.images.flaws import Vulnerability, vulnerability
from redoubt.central.store.scan_failures import ScanFailure
from redoubt.formats.summary import incomplete
from redoubt.indexer.sources.reference import ImageReference, parse_reference
from redoubt.model import (
    Configuration,
    Distribution,
    HistoryLine,
    IndexReport,
    Judged,
    Location,
    Package,
    PackageFindings,
    VulnerabilityReport,
)
from redoubt.model.namespaces import OPERATING_SYSTEM_TYPES

_SOURCES = {
    "pypi": "PYTHON",
    "maven": "JAVA",
    "gem": "RUBY",
    "npm": "NODEJS",
    "golang": "GO",
    "nuget": "DOTNETCORERUNTIME",
}
#: What a shell form's line begins with in an image's history (moby's builders, old and new).
_SHELL = re.compile(r"/bin/sh -c(?:\s+|$)")
_NOP = re.compile(r"#\(nop\)\s+")
_INSTRUCTION = re.compile(r"([A-Z]{2,12})(?:\s+|$)")


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """A message of the original: what it leaves unset in a ``oneof`` is left out, all else is always there."""


class ImageName(Part, frozen=True, kw_only=True):
    """``registry.example/team/shop:1.4`` taken apart; ``remote`` is ``team/shop``."""

    registry: str
    remote: str
    tag: str
    full_name: str


class DataSource(Part, frozen=True, kw_only=True):
    """Which integration was used."""

    id: str
    name: str
    mirror: str = ""


class Component(Part, frozen=True, kw_only=True):
    """``EmbeddedImageScanComponent``: a package in one image."""

    name: str
    version: str
    license: None = None
    vulns: tuple[Vulnerability, ...]
    layer_index: int | UnsetType = UNSET
    source: str
    location: str
    top_cvss: float | UnsetType = UNSET
    fixed_by: str
    architecture: str


class ImageScan(Part, frozen=True, kw_only=True):
    """What a scan found."""

    scanner_version: str
    scan_time: datetime
    components: tuple[Component, ...]
    operating_system: str
    data_source: DataSource
    notes: tuple[str, ...]


class ImageLayer(Part, frozen=True, kw_only=True):
    """A line of the image's history."""

    instruction: str
    value: str
    created: datetime | None = None
    author: str = ""
    empty: bool = False


class V1Metadata(Part, frozen=True, kw_only=True):
    """``digest`` is that of the image's configuration. ``user`` is ``root`` where the image names none."""

    digest: str
    created: str | None = None
    author: str = ""
    layers: tuple[ImageLayer, ...]
    user: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class V2Metadata(Part, frozen=True, kw_only=True):
    """``digest`` is that of the manifest."""

    digest: str


class ImageMetadata(Part, frozen=True, kw_only=True):
    """What the registry says of an image."""

    v1: V1Metadata
    v2: V2Metadata
    layer_shas: tuple[str, ...]
    data_source: DataSource | None


class Image(Part, frozen=True, kw_only=True):
    """``storage.Image``. ``id`` is the manifest's digest, empty where there is none (an SBOM)."""

    id: str
    name: ImageName
    names: tuple[ImageName, ...]
    metadata: ImageMetadata | None
    scan: ImageScan | None
    components: int
    cves: int
    fixable_cves: int
    last_updated: datetime
    not_pullable: bool = False
    is_cluster_local: bool = False
    top_cvss: float | UnsetType = UNSET
    notes: tuple[str, ...]
    #: Ours: the cluster whose own Indexer looked at it.
    cluster_id: str = ""
    #: Ours: who tried to scan it since, or at all, and why that failed.
    scan_failures: tuple[ScanFailure, ...] = ()


class Counted(msgspec.Struct, frozen=True):
    """What lists show of a report. ``top_cvss`` is None where nothing is scored."""

    components: int
    cves: int
    fixable: int
    top_cvss: float | None


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """What the original's form is made of. ``names`` are all that the image has; ``source`` is an integration's."""

    name: str
    names: tuple[str, ...] = ()
    index: IndexReport
    report: VulnerabilityReport
    indexed: datetime
    matched: datetime
    source: str = ""
    cluster: str = ""


def count(report: VulnerabilityReport) -> Counted:
    """A flaw in several packages counts once, and is fixable where one of them is."""
    found = [item for package in report.packages for item in package.findings]
    scores = [score.score for item in found for score in item.cvss]
    return Counted(
        report.package_count,
        len({item.id for item in found}),
        len({item.id for item in found if item.fixable}),
        max(scores, default=None),
    )


def image(
    scanned: Scanned, today: date, *, descriptions: bool = True, failures: Sequence[ScanFailure] = ()
) -> Image:
    """The image. ``today`` decides whether its system is still looked after; without ``descriptions`` flaws have none."""
    report = scanned.report
    counts = count(report)
    whole = report.image.kind == "registry"
    return Image(
        id=report.image.digest,
        name=name(scanned.name),
        names=tuple(name(each) for each in scanned.names or (scanned.name,)),
        metadata=_metadata(scanned) if whole else None,
        scan=scan(scanned, today, descriptions=descriptions),
        components=counts.components,
        cves=counts.cves,
        fixable_cves=counts.fixable,
        last_updated=max(scanned.indexed, scanned.matched),
        is_cluster_local=bool(scanned.cluster),
        cluster_id=scanned.cluster,
        scan_failures=tuple(failures),
        top_cvss=UNSET if counts.top_cvss is None else counts.top_cvss,
        notes=("MISSING_SIGNATURE", "MISSING_SIGNATURE_VERIFICATION_DATA")
        if whole
        else ("MISSING_METADATA",),
    )


def scan(scanned: Scanned, today: date, *, descriptions: bool = True) -> ImageScan:
    """What is found in it, as ``image`` has it."""
    report = scanned.report
    return ImageScan(
        scanner_version=redoubt.__version__,
        scan_time=scanned.matched,
        components=tuple(_components(scanned.index, report, descriptions=descriptions)),
        operating_system=system(report.distribution),
        data_source=DataSource(id="redoubt", name="Redoubt"),
        notes=tuple(_notes(report, today)),
    )


def unscanned(digest: str, failures: Sequence[ScanFailure]) -> Image:
    """An image of which nothing is known but that its scan fails."""
    names = tuple(dict.fromkeys(each.image_name for each in failures))
    return Image(
        id=digest,
        name=name(names[0]),
        names=tuple(name(each) for each in names),
        metadata=None,
        scan=None,
        components=0,
        cves=0,
        fixable_cves=0,
        last_updated=failures[0].failed,
        notes=("MISSING_METADATA", "MISSING_SCAN_DATA"),
        scan_failures=tuple(failures),
    )


def name(text: str) -> ImageName:
    """A reference taken apart; what is none (an SBOM's name) has a full name only."""
    try:
        reference = parse_reference(text)
    except redoubt.errors.UsageError:
        return ImageName(registry="", remote="", tag="", full_name=text)
    return ImageName(
        registry=reference.host,
        remote=reference.repository,
        tag=reference.tag,
        full_name=full_name(reference),
    )


def full_name(reference: ImageReference) -> str:
    """How an image is called here: with host and tag, or the digest where it was asked for by that."""
    return str(reference)


def system(distribution: Distribution | None) -> str:
    """``debian:12``; ``unknown`` where it is not known, as the original says it."""
    if distribution is None:
        return "unknown"
    return ":".join(part for part in (distribution.id, distribution.version_id) if part)


def _metadata(scanned: Scanned) -> ImageMetadata:
    told = scanned.index.image
    layers = scanned.index.layers
    made = scanned.index.configuration or Configuration(
        history=tuple(HistoryLine(created_by=layer.created_by) for layer in layers)
    )
    return ImageMetadata(
        v1=V1Metadata(
            digest=told.config_digest,
            created=made.created or None,
            layers=tuple(_line(line) for line in made.history),
            user="" if scanned.index.configuration is None else made.user or "root",
            labels=made.labels,
        ),
        v2=V2Metadata(digest=told.digest),
        layer_shas=tuple(layer.digest for layer in layers),
        data_source=DataSource(id="", name=scanned.source) if scanned.source else None,
    )


def _line(told: HistoryLine) -> ImageLayer:
    line = told.created_by.removesuffix("# buildkit").strip()
    shell = _SHELL.match(line)
    if shell is not None:
        line = line[shell.end() :]
        if (inner := _NOP.match(line)) is None:
            return ImageLayer(instruction="RUN", value=line, empty=told.empty)
        line = line[inner.end() :]
    if (word := _INSTRUCTION.match(line)) is not None:
        value = line[word.end() :]
        value = _SHELL.sub("", value) if word[1] == "RUN" else value
        return ImageLayer(instruction=word[1], value=value, empty=told.empty)
    return ImageLayer(instruction="", value=line, empty=told.empty)


def _components(
    index: IndexReport, report: VulnerabilityReport, *, descriptions: bool
) -> Iterator[Component]:
    layers = {layer.diff_id: number for number, layer in enumerate(index.layers)}
    found = {_key(package): package for package in report.packages}
    for package in index.packages:
        findings = found.get(_key(package))
        place = package.locations[0] if package.locations else Location("")
        vulns = tuple(
            vulnerability(item, describe=descriptions) for item in (findings.findings if findings else ())
        )
        scores = [flaw.cvss for flaw in vulns if flaw.cvss]
        yield Component(
            name=package.name,
            version=package.version,
            vulns=vulns,
            layer_index=layers.get(place.layer, UNSET),
            source=_source(package.type),
            location=place.path,
            top_cvss=max(scores) if scores else UNSET,
            fixed_by=findings.upgrade if findings else "",
            architecture=package.arch,
        )


def _key(package: Package | PackageFindings) -> tuple[object, ...]:
    return (
        package.type,
        package.name,
        package.version,
        package.arch,
        package.source_name,
        package.locations,
    )


def _source(kind: str) -> str:
    return "OS" if kind in OPERATING_SYSTEM_TYPES else _SOURCES.get(kind, "INFRASTRUCTURE")


def _notes(report: VulnerabilityReport, today: date) -> Iterator[str]:
    """Whatever could not be judged has a note: no findings is not the same as looked at."""
    gaps = [row for row in report.coverage if incomplete(row)]
    systems = [row for row in gaps if row.type in OPERATING_SYSTEM_TYPES]
    if any(row.judged is Judged.UNKNOWN_DISTRIBUTION for row in systems):
        yield "OS_UNAVAILABLE"
    if any(row.judged in (Judged.NO_DATA, Judged.UNSUPPORTED_DISTRIBUTION) for row in systems):
        yield "OS_CVES_UNAVAILABLE"
    if report.end_of_life and report.end_of_life <= today.isoformat():
        yield "OS_CVES_STALE"
    others = [row for row in gaps if row.type not in OPERATING_SYSTEM_TYPES]
    if any(row.judged is not Judged.MATCHED for row in others):
        yield "LANGUAGE_CVES_UNAVAILABLE"
    if report.problems or not report.package_count or any(row.judged is Judged.MATCHED for row in gaps):
        yield "PARTIAL_SCAN_DATA"
