"""An image as the original tells of it, ``storage.Image``, as much of it as policies and risk look at. No I/O.

Names of the fields are those of StackRox's ``proto/storage/image.proto`` and ``vulnerability.proto``, as its JSON
writes them. An image that was not looked at has a name only: ``metadata`` is None where the registry was not asked,
``scan`` where nothing was scanned, and that is not the same as an image without packages.
"""

from __future__ import annotations

import msgspec

from redoubt.model.workload import ImageName, Moment, Part

#: ``VulnerabilitySeverity``, without its ending.
VULNERABILITY_SEVERITIES = ("UNKNOWN", "LOW", "MODERATE", "IMPORTANT", "CRITICAL")
SEVERITY_ENDING = "_VULNERABILITY_SEVERITY"


class ScannedFlaw(Part, frozen=True, kw_only=True):
    """``EmbeddedVulnerability``. ``severity`` ends in ``_VULNERABILITY_SEVERITY``; scores are 0 where there is none."""

    cve: str = ""
    cvss: float = 0.0
    nvd_cvss: float = 0.0
    fixed_by: str = ""
    severity: str = "UNKNOWN_VULNERABILITY_SEVERITY"
    suppressed: bool = False
    state: str = "OBSERVED"
    published_on: Moment | None = None
    first_system_occurrence: Moment | None = None
    first_image_occurrence: Moment | None = None
    fix_available_timestamp: Moment | None = None


class ScannedComponent(Part, frozen=True, kw_only=True):
    """``EmbeddedImageScanComponent``: a package, and what is known of it."""

    name: str = ""
    version: str = ""
    source: str = "OS"
    location: str = ""
    fixed_by: str = ""
    vulns: tuple[ScannedFlaw, ...] = ()


class ImageScan(Part, frozen=True, kw_only=True):
    """What a scan found, and when."""

    scan_time: Moment | None = None
    operating_system: str = ""
    components: tuple[ScannedComponent, ...] = ()
    notes: tuple[str, ...] = ()


class DockerfileLine(Part, frozen=True, kw_only=True):
    """``ImageLayer``: a line of the image's history."""

    instruction: str = ""
    value: str = ""
    empty: bool = False


class V1Metadata(Part, frozen=True, kw_only=True):
    """What the image's configuration says of itself."""

    digest: str = ""
    created: Moment | None = None
    author: str = ""
    user: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    layers: tuple[DockerfileLine, ...] = ()
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


class ImageMetadata(Part, frozen=True, kw_only=True):
    """What the registry says of an image."""

    v1: V1Metadata | None = None


class SignatureResult(Part, frozen=True, kw_only=True):
    """Whether one verifier (its ``io.stackrox.signatureintegration.…``) vouches for an image, and under which names."""

    verifier_id: str = ""
    status: str = "UNSET"
    verified_image_references: tuple[str, ...] = ()


class SignatureVerification(Part, frozen=True, kw_only=True):
    """What became of verifying an image's signatures."""

    results: tuple[SignatureResult, ...] = ()


class ScannedImage(Part, frozen=True, kw_only=True):
    """``storage.Image``. ``id`` is the manifest's digest."""

    id: str = ""
    name: ImageName | None = None
    names: tuple[ImageName, ...] = ()
    metadata: ImageMetadata | None = None
    scan: ImageScan | None = None
    signature_verification_data: SignatureVerification | None = None
    not_pullable: bool = False
    is_cluster_local: bool = False
    notes: tuple[str, ...] = ()
