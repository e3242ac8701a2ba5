"""Index reports as a snapshot for GitHub's dependency submission API (version 0 of its snapshots).

``sha``, ``ref`` and ``scanned`` are left out though the API demands them: a commit, a branch and a time are
not in an image, and a wrong commit would be believed. Whoever submits adds them (``docs/reports.md``).
``job`` follows from the image alone: a later submission for the same image and platform replaces this one.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from redoubt import __version__
from redoubt.errors import UsageError
from redoubt.formats import tracking
from redoubt.formats.interface import NO_FINDINGS, Options
from redoubt.formats.json import encode
from redoubt.formats.text import printable
from redoubt.model import Distribution, Image, IndexReport, Package, VulnerabilityReport, purl


class _Part(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A JSON object of the API: defaults left out."""


class _Job(_Part):
    id: str
    correlator: str


class _Detector(_Part):
    name: str
    version: str
    url: str


class _Dependency(_Part):
    package_url: str
    scope: str
    metadata: dict[str, str]


class _Manifest(_Part):
    name: str
    metadata: dict[str, str]
    resolved: Mapping[str, _Dependency]


class _Snapshot(_Part):
    version: int
    job: _Job
    detector: _Detector
    metadata: dict[str, str]
    manifests: dict[str, _Manifest]


def vulnerabilities(report: VulnerabilityReport, options: Options) -> bytes:
    """Refused: a snapshot lists all packages, and a report only those with findings. Raises ``UsageError``."""
    raise UsageError(NO_FINDINGS["github"])


def index(report: IndexReport, options: Options) -> bytes:
    """A manifest for each type of package, with a dependency for each purl."""
    name = printable(tracking.lineage(report.image))
    digest = report.image.digest or report.image.config_digest
    platform = str(report.image.platform or "")
    found: dict[str, dict[str, _Dependency]] = {}
    for package in report.packages:
        locator = purl.of_package(package, report.distribution)
        found.setdefault(package.type, {}).setdefault(locator, _dependency(package, locator))
    return encode(
        _Snapshot(
            version=0,
            job=_Job(
                id=digest or tracking.hexadecimal(report.image.reference, *sorted(map(str, found))),
                correlator=" ".join(part for part in ("redoubt", name, platform) if part),
            ),
            detector=_Detector(name="redoubt", version=__version__, url="urn:redoubt"),
            metadata=_metadata(report.image, report.distribution),
            manifests={
                f"{name} ({kind})": _Manifest(
                    name=f"{name} ({kind})", metadata={"redoubt:type": kind}, resolved=found[kind]
                )
                for kind in sorted(found)
            },
        )
    )


def _dependency(package: Package, locator: str) -> _Dependency:
    """Everything in an image can run: the scope is ``runtime``. What asked for a package is not known."""
    first = package.locations[0] if package.locations else None
    metadata = {
        "redoubt:path": printable(first.path) if first else "",
        "redoubt:layer": first.layer if first else "",
    }
    return _Dependency(
        package_url=locator,
        scope="runtime",
        metadata={key: value for key, value in metadata.items() if value},
    )


def _metadata(image: Image, distribution: Distribution | None) -> dict[str, str]:
    """At most eight scalars, the API's limit."""
    values = {
        "redoubt:image": printable(image.reference),
        "redoubt:manifest-digest": image.digest,
        "redoubt:config-digest": image.config_digest,
        "redoubt:system": f"{distribution.id} {distribution.version_id}".strip() if distribution else "",
    }
    return {key: value for key, value in values.items() if value}
