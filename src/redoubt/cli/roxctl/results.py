"""What Central says of an image, as the original's reports have it. Pure: JSON in, rows and counts out.

Central answers a scan with the original's ``storage.Image``; an SBOM's with the same ``scan`` in it. Of both the
original's reports show one row for each flaw in each component.
"""

from __future__ import annotations

import msgspec

from redoubt.errors import NetworkError

#: From the least to the worst. The original counts what has no severity as LOW; here it is told apart.
SEVERITIES = ("UNKNOWN", "LOW", "MODERATE", "IMPORTANT", "CRITICAL")
_SUFFIX = "_VULNERABILITY_SEVERITY"

#: What notes of a scan mean. None of them may be passed over: without a finding is not the same as looked at.
_NOTES = {
    "OS_UNAVAILABLE": "which system the image is of could not be told: its packages were not judged",
    "PARTIAL_SCAN_DATA": "some of it could not be read or judged",
    "OS_CVES_UNAVAILABLE": "there are no definitions for the image's system: its packages were not judged",
    "OS_CVES_STALE": "the definitions for the image's system are not renewed any more",
    "LANGUAGE_CVES_UNAVAILABLE": "there are no definitions for some of the languages' packages",
    "CERTIFIED_RHEL_SCAN_UNAVAILABLE": "Red Hat's data could not be used for this image",
    "MISSING_METADATA": "the registry gave no metadata of the image",
    "MISSING_SCAN_DATA": "the image was not scanned",
}


class Advisory(msgspec.Struct, frozen=True):
    """The vendor's notice of a fix."""

    name: str = ""
    link: str = ""


class Vulnerability(msgspec.Struct, frozen=True, rename="camel"):
    """A flaw in a component: ``storage.EmbeddedVulnerability``."""

    cve: str = ""
    cvss: float = 0.0
    summary: str = ""
    link: str = ""
    fixed_by: str = ""
    severity: str = ""
    advisory: Advisory | None = None

    @property
    def rated(self) -> str:
        """One of ``SEVERITIES``."""
        word = self.severity.removesuffix(_SUFFIX)
        return word if word in SEVERITIES else SEVERITIES[0]


class Component(msgspec.Struct, frozen=True, rename="camel"):
    """A package: ``storage.EmbeddedImageScanComponent``."""

    name: str = ""
    version: str = ""
    source: str = ""
    location: str = ""
    architecture: str = ""
    layer_index: int | None = None
    vulns: tuple[Vulnerability, ...] = ()


class Scan(msgspec.Struct, frozen=True, rename="camel"):
    """``storage.ImageScan``."""

    components: tuple[Component, ...] = ()
    operating_system: str = ""
    scan_time: str = ""
    notes: tuple[str, ...] = ()


class _Layer(msgspec.Struct, frozen=True):
    instruction: str = ""
    value: str = ""


class _V1(msgspec.Struct, frozen=True):
    layers: tuple[_Layer, ...] = ()


class _Metadata(msgspec.Struct, frozen=True):
    v1: _V1 | None = None


class _Name(msgspec.Struct, frozen=True, rename="camel"):
    full_name: str = ""


class Image(msgspec.Struct, frozen=True):
    """``storage.Image``, as far as reports show it. ``id`` is its digest."""

    id: str = ""
    name: _Name | None = None
    scan: Scan | None = None
    metadata: _Metadata | None = None
    notes: tuple[str, ...] = ()

    def instruction(self, component: Component) -> str:
        """The line of the Dockerfile that brought a component, as far as Central knows it."""
        layers = self.metadata.v1.layers if self.metadata and self.metadata.v1 else ()
        at = component.layer_index
        if at is None or not 0 <= at < len(layers):
            return ""
        return f"{layers[at].instruction} {layers[at].value}".strip()


class Row(msgspec.Struct, frozen=True, rename="camel"):
    """One line of a report, with the original's names."""

    cve_id: str
    cve_severity: str
    cve_cvss: float = msgspec.field(name="cveCVSS")
    cve_info: str
    advisory_id: str
    advisory_info: str
    component_name: str
    component_version: str
    component_fixed_version: str


class Result(msgspec.Struct, frozen=True):
    """The rows that were asked for, the worst component first, and how many there are of what."""

    summary: dict[str, int]
    vulnerabilities: tuple[Row, ...]

    @property
    def total(self) -> int:
        """Different flaws."""
        return self.summary["TOTAL-VULNERABILITIES"]

    @property
    def components(self) -> int:
        """Components that have any."""
        return self.summary["TOTAL-COMPONENTS"]


def decode(body: bytes, where: str) -> Image:
    """An answer. Raises ``NetworkError`` where it is none."""
    try:
        return msgspec.json.decode(body, type=Image, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NetworkError(f"{where}: the answer is not one of a scan ({error}); is this Central?") from None


def summarise(scan: Scan | None, severities: set[str]) -> Result:
    """What is shown of a scan. A flaw in several components is counted once, as the original does."""
    rows: list[Row] = []
    seen: dict[str, str] = {}
    components = 0
    for component in scan.components if scan else ():
        shown = [flaw for flaw in component.vulns if flaw.rated in severities]
        components += bool(shown)
        for flaw in shown:
            seen.setdefault(flaw.cve, flaw.rated)
            rows.append(_row(component, flaw))
    counts = {word: list(seen.values()).count(word) for word in SEVERITIES}
    summary = {"TOTAL-COMPONENTS": components, "TOTAL-VULNERABILITIES": len(seen), **counts}
    return Result(summary, tuple(_ordered(rows)))


def gaps(image: Image) -> list[str]:
    """What could not be judged, a line each."""
    notes = [*(image.scan.notes if image.scan else ()), *image.notes]
    if image.scan is None:
        notes.append("MISSING_SCAN_DATA")
    known = dict.fromkeys(note for note in notes if note != "UNSET" and "SIGNATURE" not in note)
    return [_NOTES.get(note, f"Central notes {note}") for note in known]


def _row(component: Component, flaw: Vulnerability) -> Row:
    advisory = flaw.advisory or Advisory()
    return Row(
        cve_id=flaw.cve,
        cve_severity=flaw.rated,
        cve_cvss=flaw.cvss,
        cve_info=flaw.link,
        advisory_id=advisory.name,
        advisory_info=advisory.link,
        component_name=component.name,
        component_version=component.version,
        component_fixed_version=flaw.fixed_by,
    )


def _ordered(rows: list[Row]) -> list[Row]:
    worst: dict[str, int] = {}
    for row in rows:
        rank = SEVERITIES.index(row.cve_severity)
        worst[row.component_name] = max(rank, worst.get(row.component_name, 0))
    return sorted(
        rows,
        key=lambda row: (
            -worst[row.component_name],
            row.component_name,
            -SEVERITIES.index(row.cve_severity),
            -row.cve_cvss,
        ),
    )
